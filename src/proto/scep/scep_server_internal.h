/* The server engine's inside, shared by scep_server.c and scep_server_write.c. */
#ifndef MU_PROTO_SCEP_SERVER_INTERNAL_H
#define MU_PROTO_SCEP_SERVER_INTERNAL_H

#include "proto/scep/scep_http.h"
#include "proto/scep/scep_msg.h"
#include "proto/scep/scep_server.h"

struct mu_scep_server {
    const struct mu_env *env;
    const struct mu_http_request *request;
    enum mu_scep_http_op http_op;
    struct mu_buf ca_identifier, path;
    /* PKIOperation */
    struct mu_scep_msg msg;
    bool has_msg;
    struct mu_pki_cert *signer; /* borrowed from msg */
    struct mu_pki_enveloped enveloped;
    bool has_enveloped;
    struct mu_claim claim;
    /* after read */
    struct mu_buf plain;
    struct mu_pki_csr *csr;
    uint8_t request_digest[32];
};

#define mu_scep_server_trace(s, step, ...) \
    mu_trace((s)->env, MU_PROTO_SCEP, (step), __VA_ARGS__)

/* What a reply to this request would be enveloped with: true and *password NULL for the signer's
 * RSA key, true and the password, or false if nothing will do (SCEP-36, SCEP-39). */
bool mu_scep_server_deliverable(const struct mu_scep_server *s,
    const struct mu_credential *credential, const struct mu_secret **password);

#endif
