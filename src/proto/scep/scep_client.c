/*
 * The client engine's states. Each (state, event) has one handler; what a handler decides is in
 * the neighbors: scep_client_want.c (what the driver shall do), _ca.c and _trust.c (certificates),
 * _ask.c (messages out), _reply.c and _cert.c (messages in), _fail.c (what to tell when it fails),
 * _state.c (storing).
 */
#include "base/text.h"
#include "base/time.h"
#include "proto/scep/scep_client_internal.h"

enum { SAFE_URL = 2000 }; /* octets; what old proxies and servers are known to take */

typedef enum mu_code handler(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err);

/* ---- from the answers to the message ---- */

static void trace_auth(const struct mu_scep_client *c)
{
    const char *challenge = c->config.has_challenge ? "challenge *" : "no challenge";
    struct mu_buf serial = {.max = 256};

    if (mu_scep_client_is_query(c) || c->config.signer_cert != NULL) {
        mu_pki_cert_serial_trace(c->config.signer_cert->serial, &serial);
        mu_scep_client_trace(c, MU_TRACE_AUTH, "%s%ssigned with the certificate of serial %s",
            mu_scep_client_is_query(c) ? "" : challenge, mu_scep_client_is_query(c) ? "" : ", ", mu_buf_str(&serial));
    } else {
        mu_scep_client_trace(c, MU_TRACE_AUTH,
            "%s, signed with a self-signed certificate of the new key", challenge);
    }
    mu_buf_clear(&serial);
}

static enum mu_code go_message(struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    rc = mu_scep_client_ask_choose(c, err);
    if (rc == MU_OK)
        rc = mu_scep_client_ask_prepare(c, err);
    if (rc != MU_OK)
        return rc;
    trace_auth(c);
    return mu_scep_client_want_send(c, next, err);
}

static enum mu_code go_trust(struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;
    bool ask = false;

    rc = mu_scep_client_ca_choose(c, err);
    if (rc == MU_OK)
        rc = mu_scep_client_ca_trust(c, &ask, err);
    if (rc != MU_OK)
        return rc;
    if (c->config.op == MU_SCEP_CLIENT_CA)
        return mu_scep_client_want_done(c, next);
    if (!ask)
        return go_message(c, next, err);
    return mu_scep_client_want_trust(c, next);
}

static enum mu_code go_ca(struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    if (c->config.op == MU_SCEP_CLIENT_CAPS)
        return mu_scep_client_want_done(c, next);
    if (c->config.expect_standard && !(c->caps & MU_SCEP_CAP_STANDARD))
        return mu_err_set(err, MU_AUTH, MU_M(303),
            "scep: SCEPStandard is expected of this server but missing in its capabilities; "
            "somebody may have taken it out on the way (RFC 8894 7.5)");
    if (c->ca_certs.n != 0)
        return go_trust(c, next, err);
    return mu_scep_client_want_get(c, MU_SCEP_HTTP_CA_CERT, MU_SCEP_CLIENT_ASKED_CA, next, err);
}

static void trace_caps(struct mu_scep_client *c)
{
    struct mu_buf line = {.max = 1024};

    mu_scep_caps_line(c->caps, &line);
    mu_scep_client_trace(c, MU_TRACE_CAPS, "%s", line.n != 0 ? mu_buf_str(&line) : "none");
    mu_buf_clear(&line);
}

/* A web page is refused; its beginning is for the trace. */
static enum mu_code page_check(const struct mu_scep_client *c,
    const struct mu_http_response *response, const char *asked, struct mu_err *err)
{
    enum mu_code rc = mu_scep_client_fail_page(response, asked, err);
    struct mu_bytes body = mu_buf_bytes(&response->body);
    char shown[4 * 200 + 1];

    if (rc != MU_OK)
        mu_scep_client_trace(c, MU_TRACE_REPLY, "no SCEP message, it begins: %s",
            mu_text_escape_to(shown, sizeof shown, mu_bytes(body.p, body.n < 200 ? body.n : 200)));
    return rc;
}

static enum mu_code on_caps(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    if (event->response->status == 200) {
        rc = page_check(c, event->response, "GetCACaps", err);
        if (rc != MU_OK)
            return rc;
        c->caps = mu_scep_caps_parse(mu_buf_bytes(&event->response->body));
        c->has_caps = true;
        trace_caps(c);
        return go_ca(c, next, err);
    }
    if (c->config.op == MU_SCEP_CLIENT_CAPS)
        return mu_scep_client_fail_http(c, event->response, "GetCACaps", err);
    /* SCEP-21: no capabilities; if GetCACert fails as well there is no SCEP here at all. */
    c->caps_http_status = event->response->status;
    mu_scep_client_trace(c, MU_TRACE_CAPS, "none (HTTP %d)", event->response->status);
    return go_ca(c, next, err);
}

static enum mu_code on_send_failed(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    (void)c;
    (void)next;
    if (event->failed == NULL)
        return mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "scep: the request could not be sent");
    if (err != NULL)
        *err = *event->failed;
    return event->failed->code != MU_OK ? event->failed->code : MU_NETWORK;
}

/* Old servers drop the connection at GetCACaps (IOP-07): with allow_legacy that counts as no
 * capabilities, where the connection as such was possible. */
static enum mu_code on_caps_failed(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum mu_reason reason = event->failed != NULL ? event->failed->reason : MU_M(102);

    if (!c->config.allow_legacy || c->config.op == MU_SCEP_CLIENT_CAPS
        || (reason >= MU_M(101) && reason <= MU_M(107)))
        return on_send_failed(c, event, next, err);
    mu_scep_client_trace(c, MU_TRACE_CAPS, "none (no answer)");
    return go_ca(c, next, err);
}

static enum mu_code on_ca(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    if (event->response->status != 200)
        return mu_scep_client_fail_http(c, event->response, "GetCACert", err);
    rc = page_check(c, event->response, "GetCACert", err);
    if (rc == MU_OK)
        rc = mu_scep_client_ca_take(c, event->response, err);
    return rc == MU_OK ? go_trust(c, next, err) : rc;
}

static enum mu_code on_trust(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc = mu_scep_client_ca_answer(c, event->yes, err);

    return rc == MU_OK ? go_message(c, next, err) : rc;
}

static enum mu_code on_next_ca(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    if (event->response->status == 404)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "scep: the CA has no successor certificate (GetNextCACert answered 404)");
    if (event->response->status != 200)
        return mu_scep_client_fail_http(c, event->response, "GetNextCACert", err);
    rc = page_check(c, event->response, "GetNextCACert", err);
    if (rc == MU_OK)
        rc = mu_scep_client_ca_next(c, event->response, err);
    return rc == MU_OK ? mu_scep_client_want_done(c, next) : rc;
}

/* SCEP-25: once more with 3DES and SHA-1, for the server that is known for it. */
static bool may_retry_legacy(struct mu_scep_client *c, const struct mu_http_response *response)
{
    const char *server = mu_http_header_get(response->headers, response->header_n, "Server");

    return c->config.compat_iis && c->config.allow_legacy && !c->tried_legacy && !c->pending
        && server != NULL && strstr(server, "Microsoft-IIS") != NULL
        && (c->fail_info == MU_SCEP_BAD_ALG || c->fail_info == MU_SCEP_BAD_MESSAGE_CHECK
            || response->status == 500);
}

static enum mu_code retry_legacy(
    struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    c->tried_legacy = true;
    c->digest = MU_PKI_SHA1;
    c->cipher = MU_PKI_DES3_CBC;
    mu_scep_client_warn(
        c, MU_TRACE_REQUEST, "asking this IIS again with 3DES and SHA-1 (allow-legacy)");
    return mu_scep_client_want_send(c, next, err);
}

/* While PENDING a server that is away is asked again later, within the limits. */
static enum mu_code later(
    struct mu_scep_client *c, enum mu_code rc, struct mu_step *next, struct mu_err *err)
{
    struct mu_err failed = {.code = rc};
    enum mu_code waited;

    if (rc != MU_NETWORK || !c->pending || c->polls == 0 || c->config.no_wait)
        return rc;
    if (err != NULL)
        failed = *err;
    waited = mu_scep_client_want_wait(c, next, NULL);
    if (waited != MU_OK) {
        if (err != NULL)
            *err = failed;
        return rc;
    }
    mu_scep_client_trace(c, MU_TRACE_POLL, "not answered: %s", failed.what);
    return MU_OK;
}

/* SCEP-09: proxies and servers cut or change what is longer than they know; POST arrives whole. A
 * server that offers no POST is tried as well, once: it may not tell all it can. */
static bool may_post(const struct mu_scep_client *c)
{
    return !c->use_post && !c->post_after_get && c->config.method == MU_SCEP_METHOD_AUTO;
}

static enum mu_code post_instead(
    struct mu_scep_client *c, const char *why, struct mu_step *next, struct mu_err *err)
{
    c->post_after_get = true;
    mu_scep_client_warn(c, MU_TRACE_REQUEST, "%s, trying POST", why);
    return mu_scep_client_want_message(c, next, err);
}

static enum mu_code on_message_failed(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    struct mu_err failed = {.code = MU_OK};
    enum mu_code rc = on_send_failed(c, event, next, &failed);

    /* M101 to M107: there was no connection, or it is not about this request */
    if (may_post(c) && rc == MU_NETWORK && c->url.n > SAFE_URL
        && (failed.reason < MU_M(101) || failed.reason > MU_M(107))) {
        c->get_was_garbled = true;
        return post_instead(c, "the connection broke at a long GET", next, err);
    }
    rc = later(c, rc, next, &failed);
    if (rc != MU_OK && err != NULL)
        *err = failed;
    return rc;
}

static enum mu_code on_http_error(struct mu_scep_client *c,
    const struct mu_http_response *response, struct mu_step *next, struct mu_err *err)
{
    struct mu_err failed = {.code = MU_OK};
    enum mu_code rc;

    if (response->status == 414 && may_post(c))
        return post_instead(c, "the URL was too long for the server (414)", next, err);
    if (response->status == 400 && may_post(c)) {
        c->get_was_garbled = true;
        return post_instead(c, "the server could not decode our GET (400)", next, err);
    }
    if (may_retry_legacy(c, response))
        return retry_legacy(c, next, err);
    rc = mu_scep_client_fail_http(c, response, "PKIOperation", &failed);
    rc = later(c, rc, next, &failed);
    if (rc != MU_OK && err != NULL)
        *err = failed;
    return rc;
}

static enum mu_code on_reply(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    if (event->response->status != 200)
        return on_http_error(c, event->response, next, err);
    rc = mu_scep_client_reply_take(c, event->response, err);
    if (rc == MU_DENIED && may_retry_legacy(c, event->response))
        return retry_legacy(c, next, err);
    if (rc != MU_OK)
        return rc;
    if (c->pki_status == MU_SCEP_PENDING) {
        c->pending = true;
        return mu_scep_client_want_wait(c, next, err);
    }
    c->pending = false;
    if (mu_scep_client_is_query(c))
        return mu_scep_client_want_done(c, next);
    return mu_scep_client_want_save(c, next);
}

/* A message of a transaction that began some time ago: the CA may have expired since (SCEP-31). */
static enum mu_code send_on(struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc = mu_scep_client_ca_check(c, err);

    return rc == MU_OK ? mu_scep_client_want_send(c, next, err) : rc;
}

static enum mu_code on_time(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    int64_t left_s = c->config.max_await_s - c->waited_s;

    (void)event;
    c->waited_s += c->config.await_s < left_s ? c->config.await_s : left_s;
    c->polls++;
    return send_on(c, next, err);
}

static enum mu_code on_saved(struct mu_scep_client *c, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err)
{
    if (event->failed == NULL)
        return mu_scep_client_want_done(c, next);
    if (err != NULL)
        *err = *event->failed;
    return event->failed->code != MU_OK ? event->failed->code : MU_STORAGE;
}

static const struct {
    enum mu_scep_client_state state;
    enum mu_event_type event;
    handler *handle;
} table[] = {
    {MU_SCEP_CLIENT_ASKED_CAPS, MU_EVENT_RESPONSE, on_caps},
    {MU_SCEP_CLIENT_ASKED_CAPS, MU_EVENT_SEND_FAILED, on_caps_failed},
    {MU_SCEP_CLIENT_ASKED_CA, MU_EVENT_RESPONSE, on_ca},
    {MU_SCEP_CLIENT_ASKED_CA, MU_EVENT_SEND_FAILED, on_send_failed},
    {MU_SCEP_CLIENT_ASKED_TRUST, MU_EVENT_TRUST, on_trust},
    {MU_SCEP_CLIENT_ASKED_NEXT_CA, MU_EVENT_RESPONSE, on_next_ca},
    {MU_SCEP_CLIENT_ASKED_NEXT_CA, MU_EVENT_SEND_FAILED, on_send_failed},
    {MU_SCEP_CLIENT_SENT, MU_EVENT_RESPONSE, on_reply},
    {MU_SCEP_CLIENT_SENT, MU_EVENT_SEND_FAILED, on_message_failed},
    {MU_SCEP_CLIENT_WAITING, MU_EVENT_TIME, on_time},
    {MU_SCEP_CLIENT_SAVING, MU_EVENT_SAVED, on_saved},
};

static void note_date(struct mu_scep_client *c, const struct mu_event *event)
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

enum mu_code mu_scep_client_step(struct mu_scep_client *c, const struct mu_event *event,
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
            "scep: event %d does not answer what was wanted in state %d", (int)event->type,
            (int)c->state);
    if (event->type == MU_EVENT_RESPONSE)
        note_date(c, event);
    rc = table[i].handle(c, event, &step, err);
    if (rc != MU_OK)
        c->state = MU_SCEP_CLIENT_FAILED;
    else
        *next = step;
    return rc;
}

static const char *start_word(const struct mu_scep_client *c)
{
    switch (c->config.op) {
    case MU_SCEP_CLIENT_CAPS:
        return "GetCACaps";
    case MU_SCEP_CLIENT_CA:
        return "GetCACert";
    case MU_SCEP_CLIENT_NEXT_CA:
        return "GetNextCACert";
    case MU_SCEP_CLIENT_POLL:
        return "CertPoll";
    case MU_SCEP_CLIENT_CERT:
        return "GetCert";
    case MU_SCEP_CLIENT_CRL:
        return "GetCRL";
    case MU_SCEP_CLIENT_ENROLL:
        break;
    }
    if (c->pending)
        return "CertPoll";
    return c->config.signer_cert != NULL && !c->config.plain_pkcs_req ? "RenewalReq" : "PKCSReq";
}

static enum mu_code first_step(struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    if (c->resumed) {
        trace_auth(c);
        if (c->pending)
            c->polls++;
        return send_on(c, next, err);
    }
    if (c->config.op == MU_SCEP_CLIENT_NEXT_CA)
        return mu_scep_client_want_get(c, MU_SCEP_HTTP_NEXT_CA, MU_SCEP_CLIENT_ASKED_NEXT_CA, next, err);
    if (c->has_caps && c->config.op != MU_SCEP_CLIENT_CAPS) {
        trace_caps(c);
        return go_ca(c, next, err);
    }
    return mu_scep_client_want_get(c, MU_SCEP_HTTP_CAPS, MU_SCEP_CLIENT_ASKED_CAPS, next, err);
}

enum mu_code mu_scep_client_start(
    struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    struct mu_step step = {.want = MU_WANT_DONE};
    enum mu_code rc;

    if (c->state != MU_SCEP_CLIENT_NEW)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "scep: the engine was started before");
    if (c->config.entry != NULL)
        mu_scep_client_trace(
            c, MU_TRACE_START, "%s for '%s'", start_word(c), c->config.entry);
    else
        mu_scep_client_trace(c, MU_TRACE_START, "%s", start_word(c));
    rc = first_step(c, &step, err);
    if (rc != MU_OK)
        c->state = MU_SCEP_CLIENT_FAILED;
    else
        *next = step;
    return rc;
}
