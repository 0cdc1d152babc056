/* What a profile's csrattrs says, as the CsrAttrs that EST hands out (RFC 8951 4, RFC 9908 3.2). */
#ifndef MU_ENROLL_CSRATTRS_H
#define MU_ENROLL_CSRATTRS_H

#include "base/buf.h"

/* value is base64 of a CsrAttrs, or words by comma:
 *   1.3.6.1.1.1.1.22       an object of any kind
 *   secp384r1, sha384, emailAddress, challengePassword, subjectAltName, ...   by its name
 *   key=ec:P-384           the key wished for, as an attribute (EST-65); key=rsa:4096, key=ed25519
 *   keyUsage=digitalSignature+keyEncipherment, extendedKeyUsage=clientAuth    values of extensions,
 *                          all in one extensionRequest (EST-66)
 * "none" and "" are no wishes: out stays empty. */
enum mu_code mu_enroll_csrattrs_parse(const char *value, struct mu_buf *out, struct mu_err *err)
    MU_CHECK;
#endif
