/* From settings to a request and its engine. SCEP's request is made here, EST and CMP make theirs of
 * the same names. */
#include <stdlib.h>

#include "api/api_internal.h"
#include "base/der.h"
#include "base/limits.h"

/* ---- names and usages ---- */

static const struct mu_pki_cert *renewed(const struct muster_enrollment *e)
{
    return e->is_renewal ? e->own.v[0] : NULL;
}

static struct mu_bytes subject_of(const struct muster_enrollment *e)
{
    const struct mu_pki_cert *old = renewed(e);

    return e->subject.n == 0 && old != NULL ? old->subject : mu_buf_bytes(&e->subject);
}

static enum mu_code put_extensions(
    const struct muster_enrollment *e, struct mu_buf *out, struct mu_err *err)
{
    const struct mu_pki_cert *old = renewed(e);
    struct mu_bytes san = e->san.n == 0 && old != NULL ? old->exts.san : mu_buf_bytes(&e->san);
    struct mu_buf exts = {0};
    size_t at = mu_der_open(&exts, MU_DER_SEQUENCE);
    enum mu_code rc;

    if (san.n > 0)
        mu_pki_ext_put_san(&exts, subject_of(e).n == 0, san);
    if (e->key_usage != 0)
        mu_pki_ext_put_key_usage(&exts, true, e->key_usage);
    if (e->eku != 0)
        mu_pki_ext_put_eku(&exts, e->eku);
    mu_der_close(&exts, at);
    if ((rc = mu_buf_check(&exts, "requested extensions", err)) == MU_OK && exts.n > 2)
        mu_buf_put_bytes(out, mu_buf_bytes(&exts)); /* more than an empty SEQUENCE */
    mu_buf_clear(&exts);
    return rc;
}

static enum mu_code csr_make(
    struct muster_enrollment *e, struct mu_bytes extensions, struct mu_err *err)
{
    const struct mu_pki_csr_params params = {
        .challenge = &e->challenge, .subject = subject_of(e), .extensions = extensions};

    mu_buf_reset(&e->csr);
    return mu_pki_csr_make(&params, e->key, &e->csr, err);
}

/* ---- the engine ---- */

static void put_own(const struct muster_enrollment *e, struct mu_client_config *config)
{
    const bool is_est = e->proto->proto == MU_PROTO_EST;

    if (e->own.n == 0)
        return;
    if (e->is_renewal || e->proto->proto == MU_PROTO_CMP) {
        config->signer_cert = e->own.v[0];
        config->signer_key = e->own_key;
        config->signer_chain = &e->own;
        config->signs_first = !e->is_renewal;
        config->renews_key = e->is_renewal
            && (e->key == NULL || !mu_bytes_equal(mu_pki_key_spki(e->key), e->own.v[0]->spki));
    }
    if (is_est && !e->is_unverified)
        config->client_cert = "given";
}

static enum mu_code engine_open(
    struct muster_enrollment *e, struct mu_bytes extensions, struct mu_err *err)
{
    struct mu_client_config config = {
        .env = &e->env,
        .proto = e->proto->proto,
        .op = MU_CLIENT_ENROLL,
        .url = e->url,
        .entry = "muster",
        .ca_identifier = e->ca_identifier,
        .state = mu_buf_bytes(&e->engine_state),
        .csr = mu_buf_bytes(&e->csr),
        .subject = subject_of(e),
        .extensions = extensions,
        .key = e->key,
        .key_spec = e->key_spec,
        .key_spec_is_choice = e->key_spec_is_choice,
        .server_key = e->server_key,
        .has_challenge = mu_secret_is_set(&e->challenge),
        .trusted = e->trusted.n > 0 ? &e->trusted : NULL,
        .pin_sha256 = e->has_pin ? e->pin : NULL,
        .bootstrap = e->is_unverified,
        .allow_legacy = e->allow_legacy,
        .await_s = e->await_s,
        .max_await_s = e->max_await_s,
        .no_wait = e->no_wait,
    };

    put_own(e, &config);
    if (e->proto->proto == MU_PROTO_EST && !e->is_renewal && !e->is_unverified) {
        config.user = e->user;
        config.password = &e->password;
    } else if (e->proto->proto == MU_PROTO_CMP && config.signer_cert == NULL) {
        config.ref = e->user;
        config.secret = &e->password;
    }
    return e->proto->open(&config, &e->engine, err);
}

enum mu_code mu_api_request_key(struct muster_enrollment *e, struct mu_err *err)
{
    return e->key != NULL ? MU_OK : mu_pki_key_generate(&e->step.key, &e->key, err);
}

enum mu_code mu_api_request_prepare(struct muster_enrollment *e, struct mu_err *err)
{
    struct mu_buf extensions = {.max = MU_LIMIT_EXTENSIONS};
    enum mu_code rc = MU_OK;

    if (e->url == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the enrollment has no URL");
    if (e->engine_state.n > 0 && e->key == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "a request goes on with its own key only: set it first");
    /* EST asks for its key once the server's wishes are known. */
    if (e->key == NULL && e->proto->proto != MU_PROTO_EST)
        rc = mu_pki_key_generate(&e->key_spec, &e->key, err);
    if (rc == MU_OK)
        rc = put_extensions(e, &extensions, err);
    if (rc == MU_OK && e->engine_state.n == 0 && e->proto->proto == MU_PROTO_SCEP)
        rc = csr_make(e, mu_buf_bytes(&extensions), err);
    if (e->engine != NULL) {
        e->proto->free(e->engine);
        e->engine = NULL;
    }
    if (rc == MU_OK)
        rc = engine_open(e, mu_buf_bytes(&extensions), err);
    mu_buf_clear(&extensions);
    return rc;
}

/* EST: the CA is vouched for now, so a verified connection can do the rest (EST-19); or the server
 * links requests under TLS 1.2 only (EST-60). */
bool mu_api_request_is_to_be_redone(struct muster_enrollment *e, enum mu_code rc)
{
    struct mu_client_result r = {0};

    if (rc == MU_OK || e->engine == NULL || e->proto->proto != MU_PROTO_EST)
        return false;
    e->proto->result(e->engine, &r);
    if (e->is_unverified && r.bootstrapped && r.ca != NULL) {
        e->is_unverified = false;
        return mu_pki_certs_add(&e->trusted, r.ca, NULL) == MU_OK;
    }
    if (!r.wants_tls12 || e->tls12)
        return false;
    e->tls12 = true;
    return true;
}
