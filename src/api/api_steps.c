/* The steps of a public enrollment: the engine's, in public words. */
#include <stdlib.h>

#include "api/api_internal.h"
#include "base/der.h"
#include "base/limits.h"

/* ---- the request ---- */

static enum mu_code csr_make(struct muster_enrollment *e, struct mu_err *err)
{
    struct mu_pki_csr_params params = {.challenge = &e->challenge};
    struct mu_buf exts = {0};
    struct mu_bytes san = mu_buf_bytes(&e->san);
    size_t at;
    enum mu_code rc;

    params.subject = mu_buf_bytes(&e->subject);
    if (params.subject.n == 0 && e->renew_cert != NULL)
        params.subject = e->renew_cert->subject;
    if (san.n == 0 && e->renew_cert != NULL)
        san = e->renew_cert->exts.san;
    at = mu_der_open(&exts, MU_DER_SEQUENCE);
    if (san.n > 0)
        mu_pki_ext_put_san(&exts, params.subject.n == 0, san);
    if (e->key_usage != 0)
        mu_pki_ext_put_key_usage(&exts, true, e->key_usage);
    if (e->eku != 0)
        mu_pki_ext_put_eku(&exts, e->eku);
    mu_der_close(&exts, at);
    if (exts.n > 2) /* more than an empty SEQUENCE */
        params.extensions = mu_buf_bytes(&exts);
    mu_buf_reset(&e->csr);
    if ((rc = mu_buf_check(&exts, "requested extensions", err)) == MU_OK)
        rc = mu_pki_csr_make(&params, e->key, &e->csr, err);
    mu_buf_clear(&exts);
    return rc;
}

static enum mu_code engine_open(struct muster_enrollment *e, struct mu_err *err)
{
    const struct mu_client_config config = {
        .env = &e->env,
        .proto = e->proto->proto,
        .op = MU_CLIENT_ENROLL,
        .url = e->url,
        .entry = "muster",
        .ca_identifier = e->ca_identifier,
        .state = mu_buf_bytes(&e->engine_state),
        .csr = mu_buf_bytes(&e->csr),
        .key = e->key,
        .signer_cert = e->renew_cert,
        .signer_key = e->renew_key,
        .has_challenge = mu_secret_is_set(&e->challenge),
        .trusted = e->trusted.n > 0 ? &e->trusted : NULL,
        .pin_sha256 = e->has_pin ? e->pin : NULL,
        .allow_legacy = e->allow_legacy,
        .await_s = e->await_s,
        .max_await_s = e->max_await_s,
        .no_wait = e->no_wait,
    };

    return e->proto->open(&config, &e->engine, err);
}

static enum mu_code prepare(struct muster_enrollment *e, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (e->url == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the enrollment has no URL");
    if (e->engine_state.n > 0 && e->key == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "a request goes on with its own key only: set it first");
    if (e->key == NULL)
        rc = mu_pki_key_generate(&e->key_spec, &e->key, err);
    if (rc == MU_OK && e->engine_state.n == 0)
        rc = csr_make(e, err);
    if (rc == MU_OK && e->engine != NULL) {
        e->proto->free(e->engine);
        e->engine = NULL;
    }
    return rc == MU_OK ? engine_open(e, err) : rc;
}

/* ---- what is wanted ---- */

static const char *content_type(const struct mu_http_request *request)
{
    return mu_http_header_get(request->headers, request->header_n, "Content-Type");
}

static enum mu_code publish_trust(
    struct muster_enrollment *e, struct muster_step *next, struct mu_err *err)
{
    const struct mu_pki_certs *certs = e->step.certs;
    enum mu_code rc;

    mu_buf_reset(&e->ca_pem);
    mu_buf_reset(&e->ca_sha256);
    if (certs == NULL || certs->n == 0)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "no CA certificate to ask about");
    for (size_t i = 0; i < certs->n; i++)
        mu_pki_cert_to_pem(certs->v[i], &e->ca_pem);
    mu_pki_cert_fingerprint(certs->v[0], MU_PKI_SHA256, &e->ca_sha256);
    if ((rc = mu_buf_check(&e->ca_pem, "a CA certificate", err)) != MU_OK)
        return rc;
    if ((rc = mu_buf_check(&e->ca_sha256, "a fingerprint", err)) != MU_OK)
        return rc;
    next->want = MUSTER_WANT_TRUST;
    next->ca_pem = mu_buf_str(&e->ca_pem);
    next->ca_sha256 = mu_buf_str(&e->ca_sha256);
    return MU_OK;
}

/* Answers itself what the public interface does not ask: the key, and that no TLS is bound. */
static enum mu_code publish(
    struct muster_enrollment *e, enum mu_code rc, struct muster_step *next, struct mu_err *err)
{
    struct mu_event event;
    struct mu_step step;

    while (rc == MU_OK) {
        *next = (struct muster_step){0};
        switch (e->step.want) {
        case MU_WANT_SEND:
            next->want = MUSTER_WANT_SEND;
            next->method = e->step.request.method;
            next->url = e->step.request.target;
            next->content_type = content_type(&e->step.request);
            next->body = e->step.request.body.p;
            next->body_n = e->step.request.body.n;
            next->remember = e->step.remember;
            return MU_OK;
        case MU_WANT_WAIT:
            next->want = MUSTER_WANT_WAIT;
            next->wait_s = e->step.wait_s;
            return MU_OK;
        case MU_WANT_TRUST:
            return publish_trust(e, next, err);
        case MU_WANT_SAVE:
            next->want = MUSTER_WANT_SAVE;
            return MU_OK;
        case MU_WANT_DONE:
            next->want = MUSTER_WANT_DONE;
            return MU_OK;
        case MU_WANT_KEY:
            event = (struct mu_event){.type = MU_EVENT_KEY, .key = e->key};
            break;
        case MU_WANT_BINDING:
            event = (struct mu_event){.type = MU_EVENT_BINDING};
            break;
        }
        step = (struct mu_step){0};
        rc = e->proto->step(e->engine, &event, &step, err);
        e->step = step;
    }
    return rc;
}

enum muster_code muster_enrollment_start(
    struct muster_enrollment *e, struct muster_step *next, struct muster_error *err)
{
    struct mu_err failed = {0};
    struct muster_step step = {0};
    enum mu_code rc = prepare(e, &failed);

    e->step = (struct mu_step){0};
    if (rc == MU_OK)
        rc = e->proto->start(e->engine, &e->step, &failed);
    if ((rc = publish(e, rc, &step, &failed)) != MU_OK)
        return mu_api_error(&failed, err);
    *next = step;
    return MUSTER_OK;
}

/* ---- what came of it ---- */

static enum mu_code take_response(
    const struct muster_event *event, struct mu_http_response *out, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    mu_buf_init(&out->body, MU_LIMIT_CRL);
    out->status = event->status;
    out->minor = 1;
    for (size_t i = 0; rc == MU_OK && i < event->header_n; i++)
        rc = mu_http_response_add(out, event->headers[i].name, event->headers[i].value, err);
    mu_buf_put(&out->body, event->body, event->body_n);
    return rc == MU_OK ? mu_buf_check(&out->body, "an answer", err) : rc;
}

static void take_failure(const struct muster_error *from, struct mu_err *to)
{
    mu_err_set(to, from->code != MUSTER_OK ? (enum mu_code)from->code : MU_NETWORK,
        MU_M(from->reason), "%s", from->what);
}

static enum mu_code engine_step(
    struct muster_enrollment *e, const struct muster_event *event, struct mu_err *err)
{
    static const enum mu_event_type types[] = {MU_EVENT_RESPONSE, MU_EVENT_SEND_FAILED,
        MU_EVENT_TIME, MU_EVENT_TRUST, MU_EVENT_SAVED};
    struct mu_http_response response = {0};
    struct mu_err failed = {0};
    struct mu_event own = {.type = types[event->type], .yes = event->yes};
    struct mu_step step = {0};
    enum mu_code rc = MU_OK;

    if (event->type == MUSTER_EVENT_RESPONSE) {
        rc = take_response(event, &response, err);
        own.response = &response;
    } else if (event->failed != NULL) {
        take_failure(event->failed, &failed);
        own.failed = &failed;
    }
    if (rc == MU_OK)
        rc = e->proto->step(e->engine, &own, &step, err);
    e->step = step;
    mu_http_response_clear(&response);
    return rc;
}

enum muster_code muster_enrollment_step(struct muster_enrollment *e,
    const struct muster_event *event, struct muster_step *next, struct muster_error *err)
{
    struct mu_err failed = {0};
    struct muster_step step = {0};
    enum mu_code rc;

    if (e->engine == NULL || (unsigned)event->type > MUSTER_EVENT_SAVED) {
        mu_err_set(&failed, MU_INPUT, MU_REASON_NONE, "the enrollment has not been started");
        return mu_api_error(&failed, err);
    }
    rc = engine_step(e, event, &failed);
    if ((rc = publish(e, rc, &step, &failed)) != MU_OK)
        return mu_api_error(&failed, err);
    *next = step;
    return MUSTER_OK;
}

/* ---- the state: SEQUENCE { OCTET STRING request, OCTET STRING engine } ---- */

enum muster_code muster_enrollment_state(struct muster_enrollment *e, const void **state,
    size_t *state_n, struct muster_error *err)
{
    struct mu_buf engine = {.secret = true};
    struct mu_err failed = {0};
    enum mu_code rc;
    size_t at;

    if (e->engine == NULL)
        rc = mu_err_set(&failed, MU_INPUT, MU_REASON_NONE, "the enrollment has not been started");
    else
        rc = e->proto->store(e->engine, &engine, &failed);
    mu_buf_reset(&e->state);
    at = mu_der_open(&e->state, MU_DER_SEQUENCE);
    mu_der_put(&e->state, MU_DER_OCTET_STRING, mu_buf_bytes(&e->csr));
    mu_der_put(&e->state, MU_DER_OCTET_STRING, mu_buf_bytes(&engine));
    mu_der_close(&e->state, at);
    if (rc == MU_OK)
        rc = mu_buf_check(&e->state, "a request", &failed);
    mu_buf_clear(&engine);
    if (rc != MU_OK)
        return mu_api_error(&failed, err);
    *state = e->state.p;
    *state_n = e->state.n;
    return MUSTER_OK;
}

enum muster_code muster_enrollment_set_state(struct muster_enrollment *e, const void *state,
    size_t state_n, struct muster_error *err)
{
    struct mu_der all, csr, engine;
    struct mu_bytes rest;
    struct mu_err failed = {0};

    if (!mu_der_only(mu_bytes(state, state_n), MU_DER_SEQUENCE, &all))
        goto bad;
    rest = all.value;
    if (!mu_der_get(&rest, MU_DER_OCTET_STRING, &csr) || !mu_der_get(&rest, MU_DER_OCTET_STRING, &engine)
        || rest.n > 0 || engine.value.n == 0)
        goto bad;
    mu_buf_reset(&e->csr);
    mu_buf_reset(&e->engine_state);
    mu_buf_put_bytes(&e->csr, csr.value);
    mu_buf_put_bytes(&e->engine_state, engine.value);
    if (mu_buf_check(&e->csr, "a request", &failed) == MU_OK
        && mu_buf_check(&e->engine_state, "a request", &failed) == MU_OK)
        return MUSTER_OK;
    return mu_api_error(&failed, err);
bad:
    mu_err_set(&failed, MU_INPUT, MU_REASON_NONE, "this is not the state of an enrollment");
    return mu_api_error(&failed, err);
}

/* ---- results ---- */

static const char *text_or_null(const struct mu_buf *text)
{
    return text->n > 0 && !text->failed ? mu_buf_str(text) : NULL;
}

static bool result(const struct muster_enrollment *e, struct mu_client_result *out)
{
    if (e->engine == NULL)
        return false;
    e->proto->result(e->engine, out);
    return true;
}

const char *muster_enrollment_certificate_pem(struct muster_enrollment *e)
{
    struct mu_client_result r;

    mu_buf_reset(&e->cert_pem);
    if (result(e, &r) && r.cert != NULL)
        mu_pki_cert_to_pem(r.cert, &e->cert_pem);
    return text_or_null(&e->cert_pem);
}

const char *muster_enrollment_chain_pem(struct muster_enrollment *e)
{
    struct mu_client_result r;

    mu_buf_reset(&e->chain_pem);
    if (result(e, &r) && r.cert != NULL && r.chain != NULL)
        for (size_t i = 0; i < r.chain->n; i++)
            mu_pki_cert_to_pem(r.chain->v[i], &e->chain_pem);
    return text_or_null(&e->chain_pem);
}

const char *muster_enrollment_key_pem(struct muster_enrollment *e)
{
    mu_buf_reset(&e->key_pem);
    if (e->key == NULL || mu_pki_key_encode(e->key, NULL, &e->key_pem, NULL) != MU_OK)
        return NULL;
    return text_or_null(&e->key_pem);
}

const char *muster_enrollment_transaction_id(struct muster_enrollment *e)
{
    struct mu_client_result r;

    mu_buf_reset(&e->transaction);
    if (result(e, &r) && r.transaction_id != NULL)
        mu_buf_put_str(&e->transaction, r.transaction_id);
    return text_or_null(&e->transaction);
}
