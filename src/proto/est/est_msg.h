/*
 * What EST's bodies hold: certificates (certs-only) and plain keys made by the server (RFC 7030
 * 4.4.2). Both directions. Encrypted keys are pki/pki_key_package.h's.
 */
#ifndef MU_PROTO_EST_MSG_H
#define MU_PROTO_EST_MSG_H

#include "base/env.h"
#include "pki/pki_cert.h"
#include "pki/pki_csr.h"

/* A body of certificates: certs-only, or what else comes (IOP-22). Appended to list. */
enum mu_code mu_est_msg_certs_decode(struct mu_bytes body, struct mu_pki_certs *list,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_est_msg_certs_encode(const struct mu_pki_certs *list, struct mu_buf *der,
    struct mu_err *err) MU_CHECK;

/* PrivateKeyInfo of a key. der should be secret. */
enum mu_code mu_est_msg_key_encode(const struct mu_pki_key *key, struct mu_buf *der,
    struct mu_err *err) MU_CHECK;
/* The body of a part with a plain key. */
enum mu_code mu_est_msg_key_decode(struct mu_bytes body, struct mu_pki_key **out, struct mu_err *err)
    MU_CHECK;

#endif
