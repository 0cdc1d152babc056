/* GetCACaps words (RFC 8894 3.5.2) and what follows from them. */
#ifndef MU_PROTO_SCEP_CAPS_H
#define MU_PROTO_SCEP_CAPS_H

#include "base/buf.h"
#include "pki/pki_alg.h"

enum {
    MU_SCEP_CAP_AES = 1 << 0, MU_SCEP_CAP_DES3 = 1 << 1, MU_SCEP_CAP_NEXT_CA = 1 << 2,
    MU_SCEP_CAP_POST = 1 << 3, MU_SCEP_CAP_RENEWAL = 1 << 4, MU_SCEP_CAP_SHA1 = 1 << 5,
    MU_SCEP_CAP_SHA256 = 1 << 6, MU_SCEP_CAP_SHA512 = 1 << 7, MU_SCEP_CAP_STANDARD = 1 << 8,
    MU_SCEP_CAP_SHA384 = 1 << 9, MU_SCEP_CAP_SHA224 = 1 << 10, MU_SCEP_CAP_MD5 = 1 << 11,
    MU_SCEP_CAP_DES = 1 << 12,
};

/* Any line ends, any case; unknown words are ignored (SCEP-18). SCEPStandard sets what it
 * implies (SCEP-19). */
unsigned mu_scep_caps_parse(struct mu_bytes body);
/* CRLF-free list, one word a line, in alphabetical order. */
bool mu_scep_caps_format(unsigned caps, struct mu_buf *out);
/* On one line for the trace. */
bool mu_scep_caps_line(unsigned caps, struct mu_buf *out);

#endif
