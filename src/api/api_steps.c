/* The steps of a public enrollment: the engine's, in public words. */
#include <stdlib.h>

#include "api/api_internal.h"
#include "base/der.h"
#include "base/limits.h"

/* ---- what is wanted ---- */

static enum mu_code publish_send(
    struct muster_enrollment *e, struct muster_step *next, struct mu_err *err)
{
    const struct mu_http_request *request = &e->step.request;

    if (request->header_n > sizeof(e->headers) / sizeof(e->headers[0]))
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "a request with too many headers");
    for (size_t i = 0; i < request->header_n; i++)
        e->headers[i] = (struct muster_header){request->headers[i].name, request->headers[i].value};
    *next = (struct muster_step){.want = MUSTER_WANT_SEND,
        .method = request->method,
        .url = request->target,
        .content_type = mu_http_header_get(request->headers, request->header_n, "Content-Type"),
        .body = request->body.p,
        .body_n = request->body.n,
        .remember = e->step.remember,
        .headers = e->headers,
        .header_n = request->header_n,
        .same_connection = request->same_connection,
        .needs_named_anchor = request->explicit_anchor,
        .tls_unverified = e->is_unverified,
        .tls_1_2 = e->tls12};
    return MU_OK;
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

/* The engine's end, unless another one is to go on over another connection. */
static enum mu_code go_on(struct muster_enrollment *e, enum mu_code rc, struct mu_err *err)
{
    struct mu_step step = {0};

    if (!mu_api_request_is_to_be_redone(e, rc))
        return rc;
    mu_err_clear(err);
    if ((rc = mu_api_request_prepare(e, err)) == MU_OK)
        rc = e->proto->start(e->engine, &step, err);
    e->step = step;
    return rc;
}

/* Answers itself what the public interface does not ask: the key, and the binding that came with the
 * last answer. */
static enum mu_code publish(
    struct muster_enrollment *e, enum mu_code rc, struct muster_step *next, struct mu_err *err)
{
    struct mu_event event;
    struct mu_step step;

    while (rc == MU_OK) {
        *next = (struct muster_step){0};
        switch (e->step.want) {
        case MU_WANT_SEND:
            return publish_send(e, next, err);
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
            if ((rc = mu_api_request_key(e, err)) != MU_OK)
                return rc;
            event = (struct mu_event){.type = MU_EVENT_KEY, .key = e->key};
            break;
        case MU_WANT_BINDING:
            event = (struct mu_event){
                .type = MU_EVENT_BINDING, .binding = mu_bytes(e->binding, e->binding_n)};
            break;
        }
        step = (struct mu_step){0};
        rc = e->proto->step(e->engine, &event, &step, err);
        e->step = step;
        rc = go_on(e, rc, err);
    }
    return rc;
}

enum muster_code muster_enrollment_start(
    struct muster_enrollment *e, struct muster_step *next, struct muster_error *err)
{
    struct mu_err failed = {0};
    struct muster_step step = {0};
    enum mu_code rc;

    e->tls12 = false;
    e->binding_n = 0;
    e->is_unverified = e->proto->proto == MU_PROTO_EST && (e->bootstrap || e->has_pin) && e->trusted.n == 0;
    rc = mu_api_request_prepare(e, &failed);

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

    e->binding_n = 0;
    if (event->type == MUSTER_EVENT_RESPONSE && event->tls_binding != NULL
        && event->tls_binding_n <= sizeof(e->binding))
        memcpy(e->binding, event->tls_binding, e->binding_n = event->tls_binding_n);
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
    return go_on(e, rc, err);
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
    struct mu_client_result r = {0};
    const struct mu_pki_key *key = result(e, &r) && r.key != NULL ? r.key : e->key;

    mu_buf_reset(&e->key_pem);
    if (key == NULL || mu_pki_key_encode(key, NULL, &e->key_pem, NULL) != MU_OK)
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
