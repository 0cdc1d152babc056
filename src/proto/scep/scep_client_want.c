/* What the engine wants of its driver next: each function fills the step and sets the state that
 * awaits the answer. */
#include "proto/scep/scep_client_internal.h"

enum mu_code mu_scep_client_want_get(struct mu_scep_client *c, enum mu_scep_http_op op,
    enum mu_scep_client_state state, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    mu_buf_reset(&c->url);
    rc = mu_scep_http_url(
        c->config.url, op, c->config.ca_identifier, mu_bytes(NULL, 0), &c->url, err);
    if (rc != MU_OK)
        return rc;
    next->want = MU_WANT_SEND;
    next->request = (struct mu_http_request){
        .method = "GET", .target = mu_buf_str(&c->url), .minor = 1};
    c->state = state;
    return MU_OK;
}

enum mu_code mu_scep_client_want_message(
    struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    bool post = c->use_post || c->post_after_get;
    struct mu_bytes body = mu_buf_bytes(&c->message);
    enum mu_code rc;

    mu_buf_reset(&c->url);
    rc = mu_scep_http_url(c->config.url, MU_SCEP_HTTP_PKI_OPERATION, NULL,
        post ? mu_bytes(NULL, 0) : body, &c->url, err);
    if (rc != MU_OK)
        return rc;
    next->want = MU_WANT_SEND;
    next->remember = !mu_scep_client_is_query(c);
    next->request = (struct mu_http_request){
        .method = post ? "POST" : "GET", .target = mu_buf_str(&c->url), .minor = 1};
    if (post) {
        c->header = (struct mu_http_header){"Content-Type", MU_SCEP_MEDIA_MESSAGE};
        next->request.headers = &c->header;
        next->request.header_n = 1;
        next->request.body = body;
    } else {
        mu_scep_client_trace(
            c, MU_TRACE_REQUEST, "base64 %zu bytes, for GET", (body.n + 2) / 3 * 4);
    }
    c->state = MU_SCEP_CLIENT_SENT;
    return MU_OK;
}

enum mu_code mu_scep_client_want_send(
    struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc;

    rc = mu_scep_client_ask_build(c, err);
    return rc == MU_OK ? mu_scep_client_want_message(c, next, err) : rc;
}

enum mu_code mu_scep_client_want_done(struct mu_scep_client *c, struct mu_step *next)
{
    next->want = MU_WANT_DONE;
    c->state = MU_SCEP_CLIENT_FINISHED;
    return MU_OK;
}

enum mu_code mu_scep_client_want_wait(struct mu_scep_client *c, struct mu_step *next, struct mu_err *err)
{
    int64_t left_s = c->config.max_await_s - c->waited_s;
    int64_t limit_s = c->config.max_await_s;

    if (c->config.no_wait)
        return mu_err_set(err, MU_PENDING, MU_REASON_NONE,
            "scep: the CA has the request and waits for somebody to approve it (PENDING)");
    if (left_s <= 0 || (c->config.max_polls != 0 && c->polls >= c->config.max_polls))
        return mu_scep_client_fail_pending(c, err);
    next->want = MU_WANT_WAIT;
    next->wait_s = c->config.await_s < left_s ? c->config.await_s : left_s;
    next->wait_limit_s = limit_s;
    mu_scep_client_trace(c, MU_TRACE_POLL, "again in %lld s, for at most %lld %s",
        (long long)next->wait_s, (long long)(limit_s % 60 == 0 ? limit_s / 60 : limit_s),
        limit_s % 60 == 0 ? "min" : "s");
    c->state = MU_SCEP_CLIENT_WAITING;
    return MU_OK;
}

enum mu_code mu_scep_client_want_trust(struct mu_scep_client *c, struct mu_step *next)
{
    next->want = MU_WANT_TRUST;
    next->certs = &c->save;
    c->state = MU_SCEP_CLIENT_ASKED_TRUST;
    return MU_OK;
}

enum mu_code mu_scep_client_want_save(struct mu_scep_client *c, struct mu_step *next)
{
    next->want = MU_WANT_SAVE;
    next->certs = &c->save;
    c->state = MU_SCEP_CLIENT_SAVING;
    return MU_OK;
}
