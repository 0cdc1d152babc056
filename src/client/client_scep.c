/* SCEP's row in the driver's table. */
#include <stdio.h>

#include "client/client_proto.h"
#include "proto/scep/scep_caps.h"
#include "proto/scep/scep_client.h"
#include "proto/scep/scep_msg.h"

static enum mu_scep_client_op op_of(enum mu_client_op op)
{
    switch (op) {
    case MU_CLIENT_CAPS:
        return MU_SCEP_CLIENT_CAPS;
    case MU_CLIENT_CA:
    case MU_CLIENT_PROBE:
        return MU_SCEP_CLIENT_CA;
    case MU_CLIENT_NEXT_CA:
        return MU_SCEP_CLIENT_NEXT_CA;
    case MU_CLIENT_CERT:
        return MU_SCEP_CLIENT_CERT;
    case MU_CLIENT_CRL:
        return MU_SCEP_CLIENT_CRL;
    case MU_CLIENT_ATTRS: /* refused in scep_open, as is REVOKE */
    case MU_CLIENT_REVOKE:
    case MU_CLIENT_ENROLL:
        break;
    }
    return MU_SCEP_CLIENT_ENROLL;
}

static enum mu_scep_method method_of(enum mu_client_method method)
{
    switch (method) {
    case MU_CLIENT_METHOD_GET:
        return MU_SCEP_METHOD_GET;
    case MU_CLIENT_METHOD_POST:
        return MU_SCEP_METHOD_POST;
    case MU_CLIENT_METHOD_AUTO:
        break;
    }
    return MU_SCEP_METHOD_AUTO;
}

static enum mu_code scep_open(
    const struct mu_client_config *c, void **engine, struct mu_err *err)
{
    const struct mu_scep_client_config config = {
        .env = c->env,
        .op = op_of(c->op),
        .url = c->url,
        .entry = c->entry,
        .ca_identifier = c->ca_identifier,
        .csr = c->csr,
        .key = c->key,
        .signer_cert = c->signer_cert,
        .signer_key = c->signer_key,
        .plain_pkcs_req = c->plain_pkcs_req,
        .has_challenge = c->has_challenge,
        .serial = c->serial,
        .trusted = c->trusted,
        .trusted_as = c->trusted_as,
        .pin_sha256 = c->pin_sha256,
        .ca_certs = c->ca_certs,
        .encrypt_to = c->encrypt_to,
        .digest = c->digest,
        .cipher = c->cipher,
        .method = method_of(c->method),
        .allow_legacy = c->allow_legacy,
        .nonce_warn_only = c->nonce_warn_only,
        .expect_standard = c->expect_standard,
        .compat_iis = c->compat_iis,
        .await_s = c->await_s,
        .max_await_s = c->max_await_s,
        .no_wait = c->no_wait,
        .transaction_id = c->transaction_id,
    };
    struct mu_scep_client *client = NULL;
    enum mu_code rc;

    if (c->op == MU_CLIENT_ATTRS || c->op == MU_CLIENT_REVOKE || c->server_key)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "SCEP has no %s",
            c->server_key ? "keys made by the server" : "csrattrs");
    rc = c->state.n > 0 ? mu_scep_client_restore(&config, c->state, &client, err)
                        : mu_scep_client_new(&config, &client, err);

    if (rc == MU_OK)
        *engine = client;
    return rc;
}

static enum mu_code scep_start(void *engine, struct mu_step *next, struct mu_err *err)
{
    return mu_scep_client_start(engine, next, err);
}

static enum mu_code scep_step(
    void *engine, const struct mu_event *event, struct mu_step *next, struct mu_err *err)
{
    return mu_scep_client_step(engine, event, next, err);
}

static enum mu_code scep_store(const void *engine, struct mu_buf *out, struct mu_err *err)
{
    return mu_scep_client_store(engine, out, err);
}

static void scep_free(void *engine)
{
    mu_scep_client_free(engine);
}

static void scep_result(const void *engine, struct mu_client_result *out)
{
    struct mu_scep_client_result r = {0};
    struct mu_buf line = {0};

    mu_scep_client_result(engine, &r);
    *out = (struct mu_client_result){
        .has_caps = r.has_caps,
        .ca_certs = r.ca_certs,
        .ca = r.ca,
        .ra_sign = r.ra_sign,
        .ra_encrypt = r.ra_encrypt,
        .transaction_id = r.transaction_id,
        .cert = r.cert,
        .chain = r.chain,
        .crl = r.crl,
        .pending = r.pending,
        .polls = r.polls,
        .digest = r.digest,
        .cipher = r.cipher,
        .used_post = r.used_post,
        .used_renewal = r.used_renewal,
        .refusal = r.fail_info >= 0 ? mu_scep_fail_info_name(r.fail_info) : NULL,
        .warnings = r.warnings != NULL ? r.warnings : "",
        .server_date_s = r.server_date_s,
    };
    if (r.has_caps && mu_scep_caps_line(r.caps, &line))
        snprintf(out->caps, sizeof(out->caps), "%s", mu_buf_str(&line));
    mu_buf_clear(&line);
}

const struct mu_client_proto mu_client_proto_scep = {
    .proto = MU_PROTO_SCEP,
    .open = scep_open,
    .start = scep_start,
    .step = scep_step,
    .store = scep_store,
    .result = scep_result,
    .free = scep_free,
};
