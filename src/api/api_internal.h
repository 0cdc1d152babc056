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
    char *url, *ca_identifier, *user; /* user: CMP's reference too */
    struct mu_buf subject, san;   /* DER */
    unsigned key_usage, eku;
    struct mu_secret challenge, password;
    struct mu_pki_key_spec key_spec;
    bool key_spec_is_choice;
    struct mu_pki_key *key;
    /* Who asks: the certificate that is renewed, or a client certificate; its chain is behind it. */
    struct mu_pki_key *own_key;
    struct mu_pki_certs own;
    bool is_renewal, server_key;
    struct mu_pki_certs trusted;
    uint8_t pin[32];
    bool has_pin, no_wait, allow_legacy;
    bool bootstrap; /* wished for */
    bool is_unverified, tls12; /* of the present engine's connection */
    uint8_t binding[64]; /* of the last answer's connection */
    size_t binding_n;
    int64_t await_s, max_await_s;

    void *engine;
    struct mu_buf csr, engine_state; /* secret */
    struct mu_step step;             /* of the engine */
    struct muster_header headers[16];
    struct mu_buf ca_pem, ca_sha256, cert_pem, chain_pem, key_pem, state, transaction;
    struct mu_buf tls_cert_pem, tls_key_pem, tls_trusted_pem;
};

/* ---- api_request.c ---- */
/* Makes the key, the request and the engine; again after the engine ended because the rest needs
 * another connection. */
enum mu_code mu_api_request_prepare(struct muster_enrollment *e, struct mu_err *err) MU_CHECK;
/* True: the engine ended so, and what it learned is taken over. */
bool mu_api_request_is_to_be_redone(struct muster_enrollment *e, enum mu_code rc);
/* Answers the engine's wish for a key. */
enum mu_code mu_api_request_key(struct muster_enrollment *e, struct mu_err *err) MU_CHECK;

/* Hands an error out; returns its code. err may be NULL. */
enum muster_code mu_api_error(const struct mu_err *from, struct muster_error *err);

#endif
