/* What stands behind the public enrollment. */
#ifndef MU_API_INTERNAL_H
#define MU_API_INTERNAL_H

#include "client/client_proto.h"
#include "muster/muster.h"
#include "pki/pki_csr.h"

struct muster_enrollment {
    struct mu_env env;
    int64_t (*now)(void *context);
    void *now_context;
    void (*trace)(void *context, const char *line);
    void *trace_context;

    const struct mu_client_proto *proto;
    char *url, *ca_identifier;
    struct mu_buf subject, san;   /* DER */
    unsigned key_usage, eku;
    struct mu_secret challenge;
    struct mu_pki_key_spec key_spec;
    struct mu_pki_key *key, *renew_key;
    struct mu_pki_cert *renew_cert;
    struct mu_pki_certs trusted;
    uint8_t pin[32];
    bool has_pin, no_wait, allow_legacy;
    int64_t await_s, max_await_s;

    void *engine;
    struct mu_buf csr, engine_state; /* secret */
    struct mu_step step;             /* of the engine */
    struct mu_buf ca_pem, ca_sha256, cert_pem, chain_pem, key_pem, state, transaction;
};

/* Hands an error out; returns its code. err may be NULL. */
enum muster_code mu_api_error(const struct mu_err *from, struct muster_error *err);

#endif
