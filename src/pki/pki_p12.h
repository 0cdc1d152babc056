/* PKCS #12 (RFC 7292): a private key with its certificates in one file that a password protects. */
#ifndef MU_PKI_P12_H
#define MU_PKI_P12_H

#include "pki/pki_cert.h"
#include "pki/pki_key.h"

/* Key, certificate and chain, both bags encrypted with AES-256-CBC under PBKDF2, HMAC-SHA-256 over all: what
 * OpenSSL 1.1, Windows 10, macOS 15, Java 8u301 and later read. label is the friendly name. A key in a token is
 * MU_UNSUPPORTED; an empty password or one that is no UTF-8 MU_INPUT. out should be secret. */
enum mu_code mu_pki_p12_encode(const struct mu_pki_key *key, const struct mu_pki_cert *cert,
    const struct mu_pki_certs *chain, const char *label, const struct mu_secret *password, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;

#endif
