/*
 * The client engine's states. Each (state, event) has one handler; what a handler decides is in
 * the neighbors: est_client_ask.c (requests, waits), _ca.c (cacerts and trust), _csr.c (csrattrs
 * and the CSR), _reply.c (what was issued), _fail.c (what to tell when it fails), _state.c
 * (storing), _facts.c (the trace of a request).
 */
#include "base/text.h"
#include "base/time.h"
#include "proto/est/est_client_internal.h"

typedef enum mu_code handler(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err);

static enum mu_code done(struct mu_est_client *c, struct mu_step *next)
{
    next->want = MU_WANT_DONE;
    c->state = MU_EST_CLIENT_FINISHED;
    return MU_OK;
}

/* ---- from the attributes to the request ---- */

static enum mu_code go_post(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc = mu_est_client_csr_make(c, err);

    if (rc != MU_OK)
        return rc;
    mu_est_client_trace_request(c);
    return mu_est_client_post(c, next, err);
}

/* The binding is that of the connection of the last answer, which the POST will insist on. */
static enum mu_code go_binding(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    if (!mu_est_client_may_link(c) || c->status == 0)
        return go_post(c, next, err);
    next->want = MU_WANT_BINDING;
    c->state = MU_EST_CLIENT_ASKED_BINDING;
    return MU_OK;
}

static enum mu_code go_key(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    if (c->config.op == MU_EST_CLIENT_ATTRS)
        return done(c, next);
    if (c->key != NULL)
        return go_binding(c, next, err);
    next->want = MU_WANT_KEY;
    mu_est_client_key_spec(c, &next->key);
    c->state = MU_EST_CLIENT_ASKED_KEY;
    return MU_OK;
}

static enum mu_code go_attrs(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    if (c->config.op == MU_EST_CLIENT_CA)
        return done(c, next);
    if (c->config.ignore_csrattrs && c->config.op != MU_EST_CLIENT_ATTRS)
        return go_key(c, next, err);
    return mu_est_client_get(c, MU_EST_CSRATTRS, true, MU_EST_CLIENT_ASKED_ATTRS, next, err);
}

/* The CA is trusted. Over TLS that proved nothing, that is all there was to do here (EST-19). */
static enum mu_code go_trusted(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    if (!c->config.bootstrap)
        return go_attrs(c, next, err);
    c->bootstrapped = true;
    if (c->config.op == MU_EST_CLIENT_CA)
        return done(c, next);
    return mu_err_set(err, MU_AUTH, MU_REASON_NONE,
        "est: the CA was accepted over a connection that proved nothing; a new one, which it has to "
        "vouch for, does the rest (RFC 7030 4.1.1)");
}

/* ---- answers ---- */

/* 401 to any request: answered where that can be (RFC 7030 3.2.3). */
static bool is_challenge(const struct mu_est_client *c, const struct mu_event *event)
{
    return event->response->status == 401 && !c->config.bootstrap;
}

static enum mu_code on_ca(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    bool ask = false;
    enum mu_code rc;

    if (is_challenge(c, event))
        return mu_est_client_answer(c, event->response, next, err);
    if (event->response->status == 404 && c->config.label != NULL && c->config.label[0] != '\0')
        return mu_est_client_get(c, MU_EST_CACERTS, false, MU_EST_CLIENT_PROBED, next, err);
    if (event->response->status != 200) /* EST-33: exactly 200 */
        return mu_est_client_fail_http(c, event->response, err);
    rc = mu_est_client_fail_page(c, event->response, err);
    if (rc == MU_OK)
        rc = mu_est_client_ca_take(c, event->response, err);
    if (rc == MU_OK)
        rc = mu_est_client_ca_trust(c, &ask, err);
    if (rc != MU_OK || !ask)
        return rc != MU_OK ? rc : go_trusted(c, next, err);
    next->want = MU_WANT_TRUST;
    next->certs = &c->save;
    c->state = MU_EST_CLIENT_ASKED_TRUST;
    return MU_OK;
}

/* What the same says without the label tells which of the two is wrong (M401). */
static enum mu_code on_probe(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    bool there = event->response->status == 200 || event->response->status == 401;
    char label[120];

    (void)next;
    mu_text_escape_to(label, sizeof label, mu_bytes_str(c->config.label));
    if (there)
        return mu_err_set(err, MU_NOT_FOUND, MU_M(401),
            "est: there is no EST under the CA identifier \"%s\" (404), but without one there is",
            label);
    return mu_err_set(err, MU_NOT_FOUND, MU_M(401),
        "est: there is no EST at %s (404 with the CA identifier \"%s\", HTTP %d without one)",
        c->config.url, label, event->response->status);
}

static enum mu_code on_trust(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc = mu_est_client_ca_answer(c, event->yes, err);

    return rc == MU_OK ? go_trusted(c, next, err) : rc;
}

/* 204, 404 and 501 are no wishes (EST-62, E063); a server without the optional operation may say
 * so with any of them. */
static bool has_no_wishes(int status)
{
    return status == 204 || status == 404 || status == 405 || status == 410 || status == 501;
}

/* Some servers refuse what they do not offer; whether they want us shows at the POST. */
static bool is_refused(int status)
{
    return status == 400 || status == 403;
}

static enum mu_code on_attrs(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (is_challenge(c, event))
        return mu_est_client_answer(c, event->response, next, err);
    if (has_no_wishes(event->response->status)) {
        mu_est_client_trace(
            c, MU_TRACE_CSRATTRS, "none offered (HTTP %d)", event->response->status);
    } else if (is_refused(event->response->status) && c->config.op != MU_EST_CLIENT_ATTRS) {
        mu_est_client_warn(c, MU_TRACE_CSRATTRS, "refused (HTTP %d), going on without",
            event->response->status);
    } else if (event->response->status != 200) {
        return mu_est_client_fail_http(c, event->response, err);
    } else {
        rc = mu_est_client_fail_page(c, event->response, err);
        if (rc == MU_OK)
            rc = mu_est_client_attrs_take(c, event->response, err);
    }
    return rc == MU_OK ? go_key(c, next, err) : rc;
}

/* Any answer shows the connection; what it says was known before. */
static enum mu_code on_again(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    (void)event;
    return go_binding(c, next, err);
}

static enum mu_code on_key(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    if (event->key == NULL) {
        if (event->failed == NULL)
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "est: there is no key for the request");
        if (err != NULL)
            *err = *event->failed;
        return event->failed->code != MU_OK ? event->failed->code : MU_INPUT;
    }
    mu_pki_key_free(c->key);
    c->key = mu_pki_key_ref(event->key);
    return go_binding(c, next, err);
}

static enum mu_code on_binding(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum { EXPORTER_OCTETS = 32 }; /* RFC 9266 2; tls-unique has 12 */
    enum mu_code rc;

    mu_buf_reset(&c->binding);
    mu_buf_put_bytes(&c->binding, event->binding);
    rc = mu_buf_check(&c->binding, "channel binding", err);
    if (rc != MU_OK)
        return rc;
    c->has_binding = event->binding.n != 0;
    c->by_exporter = event->binding.n == EXPORTER_OCTETS;
    if (!c->has_binding && c->attrs.link)
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(407),
            "est: the server wants the request linked to the TLS session, which has no channel "
            "binding here (RFC 7030 3.5)");
    return go_post(c, next, err);
}

/* Something to bind a linked CSR to, once more (EST-51); else the same request again. */
static enum mu_code go_again(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    if (!c->linked)
        return mu_est_client_post(c, next, err);
    c->linked = false;
    return mu_est_client_get(c, c->config.ignore_csrattrs ? MU_EST_CACERTS : MU_EST_CSRATTRS, true,
        MU_EST_CLIENT_ASKED_AGAIN, next, err);
}

static enum mu_code on_reply(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    const struct mu_http_response *response = event->response;
    struct mu_err failed = {.code = MU_OK};
    enum mu_code rc;

    if (is_challenge(c, event))
        return mu_est_client_answer(c, response, next, err);
    if (response->status == 202) {
        c->pending = true;
        c->rebinds = 0;
        return mu_est_client_wait(c, response, next, err);
    }
    if (response->status != 200) {
        rc = mu_est_client_fail_http(c, response, &failed);
        /* While pending a server that is away is asked again later, within the limits. */
        if (failed.reason == MU_M(405) && c->pending && c->polls != 0 && !c->config.no_wait
            && mu_est_client_wait(c, response, next, NULL) == MU_OK)
            return MU_OK;
        if (err != NULL)
            *err = failed;
        return rc;
    }
    rc = mu_est_client_fail_page(c, response, err);
    if (rc == MU_OK)
        rc = mu_est_client_reply_take(c, response, err);
    if (rc != MU_OK)
        return rc;
    c->pending = false;
    next->want = MU_WANT_SAVE;
    next->certs = &c->save;
    c->state = MU_EST_CLIENT_SAVING;
    return MU_OK;
}

static enum mu_code on_send_failed(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    (void)next;
    return mu_est_client_fail_send(c, event->failed, err);
}

/* The connection of a linked request is gone (EST-51). A server that keeps none cannot be linked to,
 * which matters only if it wants to be. */
static enum mu_code link_anew(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    if (c->rebinds++ < MU_EST_REBINDS) {
        mu_est_client_trace(
            c, MU_TRACE_REQUEST, "the connection it was linked to is gone, linking anew");
        return go_again(c, next, err);
    }
    mu_est_client_warn(c, MU_TRACE_REQUEST,
        "the server keeps no connection open, so the request is not linked to TLS");
    c->has_binding = false;
    return go_post(c, next, err);
}

static enum mu_code on_post_failed(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    const struct mu_err *failed = event->failed;

    if (c->linked && failed != NULL && failed->code == MU_NETWORK
        && failed->reason == MU_REASON_NONE && (c->rebinds < MU_EST_REBINDS || !c->attrs.link))
        return link_anew(c, next, err);
    if (failed != NULL && failed->code == MU_NETWORK && c->pending && c->polls != 0
        && !c->config.no_wait && mu_est_client_wait(c, NULL, next, NULL) == MU_OK) {
        mu_est_client_trace(c, MU_TRACE_POLL, "not answered: %s", failed->what);
        return MU_OK;
    }
    return mu_est_client_fail_send(c, failed, err);
}

/* A poll that needs a new binding, and gets no answer to its GET. */
static enum mu_code on_again_failed(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    if (event->failed != NULL && event->failed->code == MU_NETWORK && c->pending && c->polls != 0
        && !c->config.no_wait && mu_est_client_wait(c, NULL, next, NULL) == MU_OK) {
        c->linked = true; /* it will be again */
        mu_est_client_trace(c, MU_TRACE_POLL, "not answered: %s", event->failed->what);
        return MU_OK;
    }
    return mu_est_client_fail_send(c, event->failed, err);
}

static enum mu_code on_time(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    (void)event;
    c->waited_s += c->wait_s;
    c->polls++;
    c->auth_tries = 0;
    return go_again(c, next, err);
}

static enum mu_code on_saved(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    if (event->failed == NULL)
        return done(c, next);
    if (err != NULL)
        *err = *event->failed;
    return event->failed->code != MU_OK ? event->failed->code : MU_STORAGE;
}

static const struct {
    enum mu_est_client_state state;
    enum mu_event_type event;
    handler *handle;
} table[] = {
    {MU_EST_CLIENT_ASKED_CA, MU_EVENT_RESPONSE, on_ca},
    {MU_EST_CLIENT_ASKED_CA, MU_EVENT_SEND_FAILED, on_send_failed},
    {MU_EST_CLIENT_PROBED, MU_EVENT_RESPONSE, on_probe},
    {MU_EST_CLIENT_PROBED, MU_EVENT_SEND_FAILED, on_send_failed},
    {MU_EST_CLIENT_ASKED_TRUST, MU_EVENT_TRUST, on_trust},
    {MU_EST_CLIENT_ASKED_ATTRS, MU_EVENT_RESPONSE, on_attrs},
    {MU_EST_CLIENT_ASKED_ATTRS, MU_EVENT_SEND_FAILED, on_send_failed},
    {MU_EST_CLIENT_ASKED_AGAIN, MU_EVENT_RESPONSE, on_again},
    {MU_EST_CLIENT_ASKED_AGAIN, MU_EVENT_SEND_FAILED, on_again_failed},
    {MU_EST_CLIENT_ASKED_KEY, MU_EVENT_KEY, on_key},
    {MU_EST_CLIENT_ASKED_BINDING, MU_EVENT_BINDING, on_binding},
    {MU_EST_CLIENT_SENT, MU_EVENT_RESPONSE, on_reply},
    {MU_EST_CLIENT_SENT, MU_EVENT_SEND_FAILED, on_post_failed},
    {MU_EST_CLIENT_WAITING, MU_EVENT_TIME, on_time},
    {MU_EST_CLIENT_SAVING, MU_EVENT_SAVED, on_saved},
};

static void note_answer(struct mu_est_client *c, const struct mu_event *event)
{
    const char *date
        = mu_http_header_get(event->response->headers, event->response->header_n, "Date");
    int64_t t;

    c->status = event->response->status;
    if (event->facts != NULL && event->facts->server_date_s != 0)
        c->server_date_s = event->facts->server_date_s;
    else if (date != NULL && mu_time_parse_http(date, &t))
        c->server_date_s = t;
    if (c->config.client_cert != NULL && !c->told_cert_used) {
        mu_est_client_trace(c, MU_TRACE_AUTH, "client certificate %s, %s", c->config.client_cert,
            event->facts != NULL && event->facts->cert_unasked ? "not asked for by the server"
                                                               : "used"); /* E100 */
        c->told_cert_used = true;
    }
}

enum mu_code mu_est_client_step(struct mu_est_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    struct mu_step step = {.want = MU_WANT_DONE};
    enum mu_code rc;
    size_t i;

    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].state == c->state && table[i].event == event->type)
            break;
    }
    if (i == sizeof table / sizeof table[0]
        || (event->type == MU_EVENT_RESPONSE && event->response == NULL))
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE,
            "est: event %d does not answer what was wanted in state %d", (int)event->type,
            (int)c->state);
    if (event->type == MU_EVENT_RESPONSE)
        note_answer(c, event);
    rc = table[i].handle(c, event, &step, err);
    if (rc != MU_OK)
        c->state = MU_EST_CLIENT_FAILED;
    else
        *next = step;
    return rc;
}

enum mu_code mu_est_client_start(
    struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    struct mu_step step = {.want = MU_WANT_DONE};
    enum mu_code rc;

    if (c->state != MU_EST_CLIENT_NEW)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "est: the engine was started before");
    mu_est_client_trace_start(c);
    if (c->config.op == MU_EST_CLIENT_ATTRS
        || (c->config.ca_known && c->config.op != MU_EST_CLIENT_CA && !c->config.bootstrap))
        rc = go_attrs(c, &step, err);
    else
        rc = mu_est_client_get(c, MU_EST_CACERTS, true, MU_EST_CLIENT_ASKED_CA, &step, err);
    if (rc != MU_OK)
        c->state = MU_EST_CLIENT_FAILED;
    else
        *next = step;
    return rc;
}
