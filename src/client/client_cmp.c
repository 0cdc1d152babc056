/* CMP's row in the driver's table. */
#include <stdio.h>
#include <stdlib.h>

#include "client/client_proto.h"
#include "http/http_url.h"
#include "proto/cmp/cmp_client.h"

static enum mu_cmp_client_op enroll_op(const struct mu_client_config *c)
{
    if (c->signer_cert != NULL && !c->signs_first)
        return MU_CMP_CLIENT_KUR;
    switch (c->cmp_request) {
    case MU_CLIENT_REQUEST_CR:
        return MU_CMP_CLIENT_CR;
    case MU_CLIENT_REQUEST_P10CR:
        return MU_CMP_CLIENT_P10CR;
    case MU_CLIENT_REQUEST_IR:
        break;
    }
    return MU_CMP_CLIENT_IR;
}

static enum mu_code op_of(
    const struct mu_client_config *c, enum mu_cmp_client_op *op, struct mu_err *err)
{
    switch (c->op) {
    case MU_CLIENT_ENROLL:
        *op = enroll_op(c);
        return MU_OK;
    case MU_CLIENT_CAPS:
    case MU_CLIENT_CA:
        *op = MU_CMP_CLIENT_CA;
        return MU_OK;
    case MU_CLIENT_NEXT_CA:
        *op = MU_CMP_CLIENT_ROOT_UPDATE;
        return MU_OK;
    case MU_CLIENT_CRL:
        *op = MU_CMP_CLIENT_CRL;
        return MU_OK;
    case MU_CLIENT_ATTRS:
        *op = MU_CMP_CLIENT_TEMPLATE;
        return MU_OK;
    case MU_CLIENT_PROBE:
        *op = MU_CMP_CLIENT_PROBE;
        return MU_OK;
    case MU_CLIENT_REVOKE:
        *op = MU_CMP_CLIENT_RR;
        return MU_OK;
    case MU_CLIENT_CERT:
        break;
    }
    return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
        "CMP has no question for a certificate by its serial number");
}

/* The path of the settings, where the URL names only the host (C012). */
static enum mu_code whole_url(
    const struct mu_client_config *c, struct mu_buf *out, struct mu_err *err)
{
    struct mu_http_url parts;
    enum mu_code rc = mu_http_url_parse(c->url, "http", &parts, err);

    if (rc != MU_OK)
        return rc;
    mu_buf_put_str(out, c->url);
    if (c->path != NULL && (parts.path[0] == '\0' || strcmp(parts.path, "/") == 0)) {
        out->n = strlen(c->url) - strlen(parts.path);
        mu_buf_putf(out, "%s%s", c->path[0] == '/' ? "" : "/", c->path);
    }
    return mu_buf_check(out, "URL", err);
}

/* Names and extensions of the request: those of the CSR that the host made and keeps. */
static enum mu_code take_csr(const struct mu_client_config *c, struct mu_cmp_client_config *config,
    struct mu_pki_csr **csr, struct mu_err *err)
{
    enum mu_code rc;

    if (c->csr.n == 0)
        return MU_OK;
    rc = mu_pki_csr_decode(c->csr, csr, err);
    if (rc != MU_OK)
        return rc;
    if (config->op == MU_CMP_CLIENT_P10CR)
        config->csr = c->csr;
    config->subject = (*csr)->subject;
    if ((*csr)->exts.all.p != NULL)
        config->extensions = (*csr)->exts.all;
    return MU_OK;
}

static enum mu_code cmp_open(const struct mu_client_config *c, void **engine, struct mu_err *err)
{
    struct mu_cmp_client_config config = {
        .env = c->env,
        .entry = c->entry,
        .subject = c->subject,
        .extensions = c->extensions,
        .key = c->key,
        .central_keygen = c->server_key,
        .indirect = c->indirect,
        .cert_profile = c->ca_identifier,
        .ref = c->ref,
        .secret = c->secret,
        .mac = c->pbmac1 ? MU_CMP_MAC_PBMAC1 : MU_CMP_MAC_PBM,
        .signer_cert = c->signer_cert,
        .signer_chain = c->signer_chain,
        .signer_key = c->signer_key,
        .digest = c->digest,
        .server_certs = c->server_certs,
        .server_cert_as = c->server_cert,
        .trusted = c->trusted,
        .trusted_as = c->trusted_as,
        .revoke_reason = c->revoke_reason,
        .implicit_confirm = c->implicit_confirm,
        .mac_iterations = c->mac_iterations,
        .mac_owf = c->mac_owf,
        .mac_hmac = c->mac_hmac,
        .disable_confirm = c->no_confirm,
        .ignore_key_usage = c->ignore_key_usage,
        .rsa_pss = c->rsa_pss,
        .trust_ca_pubs = c->trust_ca_pubs,
        .allow_legacy = c->allow_legacy,
        .await_s = c->await_s,
        .max_await_s = c->max_await_s,
        .no_wait = c->no_wait,
    };
    struct mu_cmp_client *client = NULL;
    struct mu_pki_csr *csr = NULL;
    struct mu_buf url = {.max = 8 * 1024};
    enum mu_code rc;

    if ((rc = op_of(c, &config.op, err)) == MU_OK && (rc = whole_url(c, &url, err)) == MU_OK
        && (rc = take_csr(c, &config, &csr, err)) == MU_OK) {
        config.url = mu_buf_str(&url);
        rc = c->state.n > 0 ? mu_cmp_client_restore(&config, c->state, &client, err)
                            : mu_cmp_client_new(&config, &client, err);
    }
    if (rc == MU_OK)
        *engine = client;
    mu_pki_csr_free(csr);
    mu_buf_clear(&url);
    return rc;
}

static enum mu_code cmp_start(void *engine, struct mu_step *next, struct mu_err *err)
{
    return mu_cmp_client_start(engine, next, err);
}

static enum mu_code cmp_step(
    void *engine, const struct mu_event *event, struct mu_step *next, struct mu_err *err)
{
    return mu_cmp_client_step(engine, event, next, err);
}

static enum mu_code cmp_store(const void *engine, struct mu_buf *out, struct mu_err *err)
{
    return mu_cmp_client_store(engine, out, err);
}

static void cmp_free(void *engine)
{
    mu_cmp_client_free(engine);
}

static void cmp_result(const void *engine, struct mu_client_result *out)
{
    struct mu_cmp_client_result r = {0};

    mu_cmp_client_result(engine, &r);
    *out = (struct mu_client_result){
        .ca_certs = r.ca_certs,
        .transaction_id = r.transaction_id,
        .cert = r.cert,
        .chain = r.chain,
        .key = r.key,
        .crl = r.crl,
        .csr_attrs = r.cert_template,
        .wish_keys = r.template_keys,
        .wish_key_n = r.template_key_n,
        .wish_subject = r.template_subject,
        .wish_extensions = r.template_extensions,
        .pending = r.pending,
        .polls = r.polls,
        .retry_after_s = r.check_after_s,
        .over = r.rejected,
        .used_post = true,
        .refusal = r.refusal,
        .warnings = r.warnings != NULL ? r.warnings : "",
        .server_date_s = r.server_date_s,
    };
    if (r.offers == NULL || r.offers[0] == '\0')
        return;
    snprintf(out->caps, sizeof out->caps, "%s", r.offers);
    out->protection = r.protection;
    out->needs = r.needs;
}

const struct mu_client_proto mu_client_proto_cmp = {
    .proto = MU_PROTO_CMP,
    .open = cmp_open,
    .start = cmp_start,
    .step = cmp_step,
    .store = cmp_store,
    .result = cmp_result,
    .free = cmp_free,
};
