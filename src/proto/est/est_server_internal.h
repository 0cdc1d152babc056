/* The server engine's inside, shared by est_server.c and est_server_write.c. */
#ifndef MU_PROTO_EST_SERVER_INTERNAL_H
#define MU_PROTO_EST_SERVER_INTERNAL_H

#include "http/http_auth.h"
#include "proto/est/est_http.h"
#include "proto/est/est_keygen.h"
#include "proto/est/est_server.h"

struct mu_est_server {
    const struct mu_env *env;
    const struct mu_http_request *request;
    struct mu_est_path path;
    struct mu_buf raw_path;
    struct mu_http_auth auth;   /* wiped */
    bool has_auth;              /* there was an Authorization, readable or not */
    bool stale;                 /* Digest: right, but the nonce was old */
    bool wrong_method;
    struct mu_claim claim;
    struct mu_pki_cert *signer; /* the TLS client's */
    /* after read */
    struct mu_pki_csr *csr;
    uint8_t request_digest[32];
    struct mu_est_keygen keygen; /* how the key is to be encrypted */
};

#define mu_est_server_trace(s, step, ...) mu_trace((s)->env, MU_PROTO_EST, (step), __VA_ARGS__)

#endif
