/* EST's row in the driver's table. */
#include <stdio.h>

#include "client/client_proto.h"
#include "proto/est/est_client.h"

static enum mu_code op_of(
    const struct mu_client_config *c, enum mu_est_client_op *out, struct mu_err *err)
{
    switch (c->op) {
    case MU_CLIENT_CAPS:
    case MU_CLIENT_CA:
    case MU_CLIENT_PROBE:
        *out = MU_EST_CLIENT_CA;
        return MU_OK;
    case MU_CLIENT_ATTRS:
        *out = MU_EST_CLIENT_ATTRS;
        return MU_OK;
    case MU_CLIENT_ENROLL:
        *out = c->server_key ? MU_EST_CLIENT_KEYGEN : MU_EST_CLIENT_ENROLL;
        return MU_OK;
    case MU_CLIENT_NEXT_CA:
    case MU_CLIENT_CERT:
    case MU_CLIENT_CRL:
    case MU_CLIENT_REVOKE:
        break;
    }
    return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
        "EST has no operation for this; a next CA comes with cacerts, CRLs by their own URL");
}

static enum mu_code est_open(const struct mu_client_config *c, void **engine, struct mu_err *err)
{
    struct mu_est_client_config config = {
        .env = c->env,
        .url = c->url,
        .label = c->ca_identifier,
        .entry = c->entry,
        .reenroll = c->signer_cert != NULL,
        .renews_key = c->renews_key,
        .subject = c->subject,
        .extensions = c->extensions,
        .key = c->key,
        .key_spec = c->key_spec,
        .key_spec_is_choice = c->key_spec_is_choice,
        .digest = c->digest,
        .ignore_csrattrs = c->ignore_csrattrs,
        .user = c->user,
        .password = c->password,
        .srp_user = c->srp_user,
        .client_cert = c->client_cert,
        .client_cert_lacks_eku = c->client_cert_lacks_eku,
        .server_cert = c->server_cert,
        .source_ip = c->source_ip,
        .has_key_password = c->has_key_password,
        .trusted = c->trusted,
        .trusted_as = c->trusted_as,
        .pin_sha256 = c->pin_sha256,
        .bootstrap = c->bootstrap,
        .allow_legacy = c->allow_legacy,
        .kek = c->kek,
        .kek_id = c->kek_id,
        .decrypt_cert = c->decrypt_cert,
        .decrypt_key = c->decrypt_key,
        .await_s = c->await_s,
        .max_await_s = c->max_await_s,
        .no_wait = c->no_wait,
    };
    struct mu_est_client *client = NULL;
    enum mu_code rc = op_of(c, &config.op, err);

    if (rc == MU_OK)
        rc = c->state.n > 0 ? mu_est_client_restore(&config, c->state, &client, err)
                            : mu_est_client_new(&config, &client, err);
    if (rc == MU_OK)
        *engine = client;
    return rc;
}

static enum mu_code est_start(void *engine, struct mu_step *next, struct mu_err *err)
{
    return mu_est_client_start(engine, next, err);
}

static enum mu_code est_step(
    void *engine, const struct mu_event *event, struct mu_step *next, struct mu_err *err)
{
    return mu_est_client_step(engine, event, next, err);
}

static enum mu_code est_store(const void *engine, struct mu_buf *out, struct mu_err *err)
{
    return mu_est_client_store(engine, out, err);
}

static void est_free(void *engine)
{
    mu_est_client_free(engine);
}

/* EST has no list of capabilities: what was answered says it. */
static void est_result(const void *engine, struct mu_client_result *out)
{
    struct mu_est_client_result r = {0};

    mu_est_client_result(engine, &r);
    *out = (struct mu_client_result){
        .has_caps = r.ca_certs != NULL || r.csr_attrs.n > 0,
        .ca_certs = r.ca_certs,
        .ca = r.ca,
        .cert = r.cert,
        .chain = r.chain,
        .csr = r.csr,
        .csr_attrs = r.csr_attrs,
        .key = r.key,
        .bootstrapped = r.bootstrapped,
        .wants_tls12 = r.wants_tls12,
        .pending = r.pending,
        .polls = r.polls,
        .used_post = r.csr.n > 0,
        .warnings = r.warnings != NULL ? r.warnings : "",
        .server_date_s = r.server_date_s,
    };
    snprintf(out->caps, sizeof(out->caps), "%s%s%s", r.ca_certs != NULL ? "cacerts" : "",
        r.ca_certs != NULL && r.csr_attrs.n > 0 ? " " : "", r.csr_attrs.n > 0 ? "csrattrs" : "");
}

const struct mu_client_proto mu_client_proto_est = {
    .proto = MU_PROTO_EST,
    .open = est_open,
    .start = est_start,
    .step = est_step,
    .store = est_store,
    .result = est_result,
    .free = est_free,
};
