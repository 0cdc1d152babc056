/*
 * The client engine's states. Each (state, event) has one handler; what it decides is in the
 * neighbors: cmp_client_ask.c (messages out), _check.c (is it the responder's answer), _reply.c,
 * _cert.c, _key.c, _info.c (what it means), _fail.c (what to tell when it fails), _state.c (storing).
 */
#include "base/time.h"
#include "proto/cmp/cmp_client_internal.h"

typedef enum mu_code handler(struct mu_cmp_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err);

/* ---- what the driver shall do ---- */

/* c->message, by POST, as it is. */
static enum mu_code want_send(struct mu_cmp_client *c, bool remember, struct mu_step *next)
{
    c->headers[0] = (struct mu_http_header){"Content-Type", MU_CMP_MEDIA};
    next->want = MU_WANT_SEND;
    next->remember = remember;
    next->request = (struct mu_http_request){
        .method = "POST",
        .target = mu_buf_str(&c->url),
        .minor = 1,
        .headers = c->headers,
        .header_n = 1,
        .body = mu_buf_bytes(&c->message),
        .notes = c->notes,
        .note_n = c->notes[1].text != NULL ? 2 : c->notes[0].text != NULL ? 1 : 0,
    };
    c->state = MU_CMP_CLIENT_SENT;
    return MU_OK;
}

static enum mu_code want_done(struct mu_cmp_client *c, struct mu_step *next)
{
    next->want = MU_WANT_DONE;
    c->state = MU_CMP_CLIENT_FINISHED;
    return MU_OK;
}

/* checkAfter is kept, within what is left (CMP-102). */
static enum mu_code want_wait(struct mu_cmp_client *c, struct mu_step *next, struct mu_err *err)
{
    int64_t left_s = c->config.max_await_s - c->waited_s, limit_s = c->config.max_await_s;
    int64_t wait_s = c->check_after_s > 0 ? c->check_after_s : c->config.await_s;

    if (c->config.no_wait) {
        mu_err_set(err, MU_PENDING, MU_M(509), "cmp: the server asks to wait %lld s", (long long)wait_s);
        return MU_PENDING;
    }
    if (left_s <= 0)
        return mu_cmp_client_fail_pending(c, err);
    c->wait_now_s = wait_s < left_s ? wait_s : left_s;
    next->want = MU_WANT_WAIT;
    next->wait_s = c->wait_now_s;
    next->wait_limit_s = limit_s;
    mu_cmp_client_trace(c, MU_TRACE_POLL, "again in %lld s, for at most %lld %s",
        (long long)next->wait_s, (long long)(limit_s % 60 == 0 ? limit_s / 60 : limit_s),
        limit_s % 60 == 0 ? "min" : "s");
    c->state = MU_CMP_CLIENT_WAITING;
    return MU_OK;
}

static enum mu_code want_confirm(struct mu_cmp_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc = mu_cmp_client_ask_confirm(c, err);

    return rc == MU_OK ? want_send(c, c->phase == MU_CMP_PHASE_CONFIRM, next) : rc;
}

/* ---- from the answers to the next message ---- */

static enum mu_code go_poll(struct mu_cmp_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    c->polls++;
    rc = mu_cmp_client_ask_poll(c, err);
    return rc == MU_OK ? want_send(c, false, next) : rc;
}

static enum mu_code go_save(struct mu_cmp_client *c, struct mu_step *next)
{
    if (c->implicit || c->config.disable_confirm) {
        mu_cmp_client_trace(
            c, MU_TRACE_CONFIRM, c->implicit ? "implicit" : "switched off, none is sent");
        if (!c->implicit)
            mu_cmp_client_warn(c, MU_TRACE_CONFIRM, "the CA wants a confirmation and gets none");
    } else {
        mu_cmp_client_trace(c, MU_TRACE_CONFIRM, "needed");
    }
    next->want = MU_WANT_SAVE;
    next->certs = &c->save;
    c->state = MU_CMP_CLIENT_SAVING;
    return MU_OK;
}

/* CMP-12: a new transaction with an id of its own; the answer belonged to the old one. */
static enum mu_code go_anew(struct mu_cmp_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    mu_cmp_client_trace(c, MU_TRACE_REQUEST, "transaction id %s is in use, another one", c->transaction_hex);
    c->id_in_use = c->first_sent = c->resumed = false;
    c->peer_nonce_n = 0;
    mu_buf_reset(&c->transaction_id);
    rc = mu_cmp_client_ask_request(c, err);
    return rc == MU_OK ? want_send(c, mu_cmp_client_enrolls(c), next) : rc;
}

static enum mu_code go_on(struct mu_cmp_client *c, struct mu_step *next, struct mu_err *err)
{
    if (c->id_in_use)
        return go_anew(c, next, err);
    if (c->pending)
        return want_wait(c, next, err);
    if (c->confirmed || !mu_cmp_client_enrolls(c))
        return want_done(c, next);
    if (c->phase == MU_CMP_PHASE_REJECT)
        return want_confirm(c, next, err);
    return go_save(c, next);
}

/* A rejection has been told, or could not be: what it was about is the error. */
static enum mu_code end_rejected(struct mu_cmp_client *c, struct mu_err *err)
{
    if (err != NULL)
        *err = c->rejected;
    return c->rejected.code;
}

/* While waiting, what is no authenticated answer changes nothing: asked again later. */
static enum mu_code later(
    struct mu_cmp_client *c, const struct mu_err *failed, struct mu_step *next, struct mu_err *err)
{
    bool may = failed->code == MU_NETWORK || failed->reason == MU_M(501)
        || failed->reason == MU_M(503);
    enum mu_code rc;

    if (may && c->pending && c->polls != 0 && !c->config.no_wait) {
        rc = want_wait(c, next, NULL);
        if (rc == MU_OK) {
            mu_cmp_client_trace(c, MU_TRACE_POLL, "not answered: %s", failed->what);
            return MU_OK;
        }
    }
    if (err != NULL)
        *err = *failed;
    return failed->code;
}

static enum mu_code on_send_failed(struct mu_cmp_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    struct mu_err failed = {.code = MU_NETWORK};

    if (c->phase == MU_CMP_PHASE_REJECT)
        return end_rejected(c, err);
    if (event->failed != NULL)
        failed = *event->failed;
    else
        mu_err_set(&failed, MU_NETWORK, MU_REASON_NONE, "cmp: the request could not be sent");
    if (failed.code == MU_OK)
        failed.code = MU_NETWORK;
    return later(c, &failed, next, err);
}

/* CMP-118: a PKIMessage may come with any of these; what else comes is no CMP. */
static bool may_hold_message(const struct mu_http_response *r)
{
    const char *type = mu_http_header_get(r->headers, r->header_n, "Content-Type");

    if (r->status < 200 || (r->status >= 300 && r->status < 400))
        return false;
    return r->status == 200 || (type != NULL && mu_cmp_http_media_is(type));
}

static enum mu_code on_reply(struct mu_cmp_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    struct mu_err failed = {.code = MU_OK};
    struct mu_cmp_msg msg = {.has_header = false};
    bool was_rejecting = c->phase == MU_CMP_PHASE_REJECT;
    enum mu_code rc;

    if (!may_hold_message(event->response)) {
        rc = mu_cmp_client_fail_http(c, event->response, &failed);
    } else if (c->config.op == MU_CMP_CLIENT_PROBE) {
        rc = mu_cmp_client_probe_take(c, event->response, &failed);
    } else {
        rc = mu_cmp_client_check(c, event->response, &msg, &failed);
        if (rc == MU_OK)
            rc = mu_cmp_client_reply_take(c, &msg, &failed);
    }
    mu_cmp_msg_clear(&msg);
    failed.code = rc;
    if (was_rejecting)
        return end_rejected(c, err);
    if (rc != MU_OK)
        return later(c, &failed, next, err);
    return go_on(c, next, err);
}

static enum mu_code on_time(struct mu_cmp_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    (void)event;
    c->waited_s += c->wait_now_s;
    return go_poll(c, next, err);
}

static enum mu_code on_saved(struct mu_cmp_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    if (event->failed != NULL) { /* not confirmed: the CA takes it back */
        if (err != NULL)
            *err = *event->failed;
        return event->failed->code != MU_OK ? event->failed->code : MU_STORAGE;
    }
    if (c->implicit || c->config.disable_confirm)
        return want_done(c, next);
    c->phase = MU_CMP_PHASE_CONFIRM;
    return want_confirm(c, next, err);
}

static const struct {
    enum mu_cmp_client_state state;
    enum mu_event_type event;
    handler *handle;
} table[] = {
    {MU_CMP_CLIENT_SENT, MU_EVENT_RESPONSE, on_reply},
    {MU_CMP_CLIENT_SENT, MU_EVENT_SEND_FAILED, on_send_failed},
    {MU_CMP_CLIENT_WAITING, MU_EVENT_TIME, on_time},
    {MU_CMP_CLIENT_SAVING, MU_EVENT_SAVED, on_saved},
};

static void note_date(struct mu_cmp_client *c, const struct mu_event *event)
{
    const char *date;
    int64_t t;

    if (event->facts != NULL && event->facts->server_date_s != 0) {
        c->server_date_s = event->facts->server_date_s;
        return;
    }
    date = mu_http_header_get(event->response->headers, event->response->header_n, "Date");
    if (date != NULL && mu_time_parse_http(date, &t))
        c->server_date_s = t;
}

enum mu_code mu_cmp_client_step(struct mu_cmp_client *c, const struct mu_event *event,
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
            "cmp: event %d does not answer what was wanted in state %d", (int)event->type,
            (int)c->state);
    if (event->type == MU_EVENT_RESPONSE)
        note_date(c, event);
    rc = table[i].handle(c, event, &step, err);
    if (rc != MU_OK)
        c->state = MU_CMP_CLIENT_FAILED;
    else
        *next = step;
    return rc;
}

static const char *start_word(const struct mu_cmp_client *c)
{
    static const char *const words[] = {
        [MU_CMP_CLIENT_IR] = "ir", [MU_CMP_CLIENT_CR] = "cr", [MU_CMP_CLIENT_P10CR] = "p10cr",
        [MU_CMP_CLIENT_KUR] = "kur", [MU_CMP_CLIENT_RR] = "rr", [MU_CMP_CLIENT_CA] = "genm caCerts",
        [MU_CMP_CLIENT_ROOT_UPDATE] = "genm rootCaCert",
        [MU_CMP_CLIENT_TEMPLATE] = "genm certReqTemplate",
        [MU_CMP_CLIENT_CRL] = "genm crlStatusList",
        [MU_CMP_CLIENT_PROBE] = "genm caCerts",
    };

    if (c->resumed && c->phase == MU_CMP_PHASE_CONFIRM)
        return "certConf";
    return c->resumed && c->pending ? "pollReq" : words[c->config.op];
}

/* C022: who is expected to answer, and whom the certificate has to lead up to. */
static void trace_trust(const struct mu_cmp_client *c)
{
    char first[MU_CMP_NAME_TEXT], second[MU_CMP_NAME_TEXT];
    const char *trusted = c->config.trusted_as != NULL ? c->config.trusted_as
        : c->trusted.n != 0 ? mu_cmp_client_name(c->trusted.v[0]->subject, first)
                            : "nothing";
    const char *server = c->config.server_cert_as != NULL ? c->config.server_cert_as
        : c->server_certs.n != 0 ? mu_cmp_client_name(c->server_certs.v[0]->subject, second)
                                 : trusted;

    mu_cmp_client_trace(c, MU_TRACE_TRUST, "%s expected from the server, %s trusted", server, trusted);
}

static enum mu_code first_step(struct mu_cmp_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    if (c->resumed && c->phase == MU_CMP_PHASE_CONFIRM)
        return want_confirm(c, next, err);
    if (c->resumed && c->pending)
        return go_poll(c, next, err);
    if (c->resumed) /* no answer was seen: the same octets, so the same request */
        return want_send(c, true, next);
    rc = mu_cmp_client_ask_request(c, err);
    return rc == MU_OK ? want_send(c, mu_cmp_client_enrolls(c), next) : rc;
}

enum mu_code mu_cmp_client_start(struct mu_cmp_client *c, struct mu_step *next, struct mu_err *err)
{
    struct mu_step step = {.want = MU_WANT_DONE};
    enum mu_code rc;

    if (c->state != MU_CMP_CLIENT_NEW)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "cmp: the engine was started before");
    if (c->config.entry != NULL)
        mu_cmp_client_trace(c, MU_TRACE_START, "%s for '%s'", start_word(c), c->config.entry);
    else
        mu_cmp_client_trace(c, MU_TRACE_START, "%s", start_word(c));
    trace_trust(c);
    rc = first_step(c, &step, err);
    if (rc != MU_OK)
        c->state = MU_CMP_CLIENT_FAILED;
    else
        *next = step;
    return rc;
}
