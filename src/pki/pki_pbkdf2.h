/* Inside src/pki: PBKDF2 as AlgorithmIdentifier (RFC 8018 A.2), for recipients by password and for
 * PBMAC1. */
#ifndef MU_PKI_PBKDF2_H
#define MU_PKI_PBKDF2_H

#include "base/secret.h"
#include "pki/pki_alg.h"

struct mu_pki_pbkdf2 {
    struct mu_bytes salt; /* view */
    int64_t iterations;
    int64_t key_length; /* 0: absent */
    enum mu_pki_digest prf;
};

/* Content octets of the AlgorithmIdentifier. Nothing is bounded yet: the caller knows how much work
 * the sender may cause. False: not PBKDF2, malformed, or an unknown PRF. */
bool mu_pki_pbkdf2_decode(struct mu_bytes in, struct mu_pki_pbkdf2 *out);
/* Appends OID and parameters, what stands inside the AlgorithmIdentifier. */
void mu_pki_pbkdf2_put(struct mu_buf *b, const struct mu_pki_pbkdf2 *kdf);
bool mu_pki_pbkdf2_derive(const struct mu_pki_pbkdf2 *kdf, struct mu_bytes secret, uint8_t *key,
    size_t n);

/* hmacWithSHA256 and its family: content of an AlgorithmIdentifier to the digest and back. Takes
 * also hmac-sha1 of RFC 4210's OID arc. */
bool mu_pki_hmac_decode(struct mu_bytes alg, enum mu_pki_digest *out);
void mu_pki_hmac_put(struct mu_buf *b, enum mu_pki_digest digest);

#endif
