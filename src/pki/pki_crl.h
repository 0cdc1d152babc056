/* Certificate revocation lists (RFC 5280 5). */
#ifndef MU_PKI_CRL_H
#define MU_PKI_CRL_H

#include "pki/pki_cert.h"

struct mu_pki_crl {
    struct mu_bytes der; /* owned */
    struct mu_bytes tbs, issuer, sig_alg, signature, revoked; /* revoked: content of the SEQUENCE, n 0 if none */
    int64_t this_update_s, next_update_s; /* next 0: absent */
    struct mu_bytes number; /* cRLNumber INTEGER content, n 0 if absent */
    struct mu_bytes akid;
};
enum mu_code mu_pki_crl_decode(struct mu_bytes file, struct mu_pki_crl **out, struct mu_err *err)
    MU_CHECK; /* DER or PEM */
void mu_pki_crl_free(struct mu_pki_crl *crl);
enum mu_code mu_pki_crl_verify(const struct mu_pki_crl *crl, struct mu_pki_cert *issuer,
    bool allow_legacy, struct mu_err *err) MU_CHECK;
/* reason -1: revoked without one. False: not in it. */
bool mu_pki_crl_has(const struct mu_pki_crl *crl, struct mu_bytes serial, int64_t *when_s, int *reason);
size_t mu_pki_crl_count(const struct mu_pki_crl *crl);

struct mu_pki_crl_entry { struct mu_bytes serial; int64_t when_s; int reason; /* 0: omitted */ };
struct mu_pki_crl_params {
    struct mu_bytes issuer, issuer_skid;
    int64_t this_update_s, next_update_s;
    uint64_t number;
    const struct mu_pki_crl_entry *entries;
    size_t n;
};
enum mu_code mu_pki_crl_make(const struct mu_pki_crl_params *params, const struct mu_pki_key *key,
    enum mu_pki_digest digest, struct mu_buf *der, struct mu_err *err) MU_CHECK;
bool mu_pki_crl_to_pem(struct mu_bytes der, struct mu_buf *out);

#endif
