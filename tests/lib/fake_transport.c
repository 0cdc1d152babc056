/* A mu_transport without a network. See the header. */
#include "fake_transport.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_loop.h"

struct fake_session;

struct fake_transport {
    struct mu_transport transport;
    mu_fake_presents *presents;
    void *presents_cookie;
    struct mu_loop *loop;
    mu_fake_serve *serve;
    mu_fake_serve_later *serve_later;
    void *cookie;
    struct mu_http_peer peer;
    struct mu_http_facts facts;
    bool strip;
    int fail_n, lose_n;
    const char *fail_host;
    enum mu_code fail_code;
    enum mu_reason fail_reason;
    unsigned sends, sessions;
    struct mu_fake_exchange *exchanges;
};

struct fake_session {
    struct mu_http_session session;
    struct fake_transport *transport;
    struct mu_fake_exchange *exchange; /* under way, or NULL */
    bool used;
};

struct mu_fake_exchange {
    struct mu_fake_exchange *next;
    struct fake_transport *transport;
    struct fake_session *session; /* NULL once the client has gone */
    struct mu_http_request *request;
    mu_http_done *done;
    void *cookie;
    bool lose;
    struct mu_http_response response;
    struct mu_err err;
};

static void exchange_free(struct mu_fake_exchange *x)
{
    struct mu_fake_exchange **at = &x->transport->exchanges;

    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    if (x->session != NULL)
        x->session->exchange = NULL;
    mu_http_request_free(x->request);
    mu_http_response_clear(&x->response);
    free(x);
}

/* On the loop's thread: hands the answer to the client, if it is still there. */
static void deliver(void *cookie)
{
    struct mu_fake_exchange *x = cookie;
    struct mu_http_facts facts = x->transport->facts;
    struct mu_http_response response = x->response;
    struct fake_session *s = x->session;
    struct mu_err err = x->err;
    mu_http_done *done = x->done;
    void *done_cookie = x->cookie;

    memset(&x->response, 0, sizeof(x->response));
    if (s != NULL) {
        facts.reused = s->used;
        s->used = err.code == MU_OK;
    }
    exchange_free(x); /* first: done may send again, or close the session */
    if (s != NULL && err.code == MU_OK)
        done(done_cookie, &response, &facts, NULL);
    else if (s != NULL)
        done(done_cookie, NULL, &facts, &err);
    mu_http_response_clear(&response);
}

void mu_fake_exchange_answer(
    struct mu_fake_exchange *x, struct mu_http_response *response, const struct mu_err *err)
{
    if (x->lose) {
        mu_err_set(&x->err, MU_NETWORK, MU_M(103), "No answer from the fake server.");
    } else if (err != NULL && err->code != MU_OK) {
        x->err = *err;
    } else {
        x->response = *response;
        memset(response, 0, sizeof(*response));
    }
    if (response != NULL)
        mu_http_response_clear(response);
    if (mu_loop_post(x->transport->loop, deliver, x) != MU_OK)
        abort();
}

static const char *stripped(const char *url)
{
    const char *mark = strstr(url, "://");

    if (mark == NULL)
        return url;
    url = mark + 3 + strcspn(mark + 3, "/?");
    return *url == '\0' ? "/" : url;
}

/* On the loop's thread: the request reaches the server. */
static void arrive(void *cookie)
{
    struct mu_fake_exchange *x = cookie;
    struct fake_transport *t = x->transport;
    struct mu_http_response response = {0};
    struct mu_err err = {0};

    if (x->session == NULL) { /* gone before it was sent */
        exchange_free(x);
        return;
    }
    if (t->fail_host != NULL && strstr(x->request->target, t->fail_host) != NULL) {
        mu_err_set(&err, MU_NETWORK, MU_M(102), "The fake network failed as told.");
        mu_fake_exchange_answer(x, NULL, &err);
        return;
    }
    if (t->fail_n != 0) {
        t->fail_n -= t->fail_n > 0;
        mu_err_set(&err, t->fail_code, t->fail_reason, "The fake network failed as told.");
        mu_fake_exchange_answer(x, NULL, &err);
        return;
    }
    if (t->lose_n > 0) {
        t->lose_n--;
        x->lose = true;
    }
    x->request->peer = &t->peer;
    if (t->strip)
        x->request->target = stripped(x->request->target);
    if (t->serve_later != NULL) {
        t->serve_later(t->cookie, x->request, x);
        return;
    }
    t->serve(t->cookie, x->request, &response, &err);
    mu_fake_exchange_answer(x, &response, &err);
}

static enum mu_code fake_open(struct mu_transport *transport,
    const struct mu_http_session_spec *spec, struct mu_http_session **out, struct mu_err *err)
{
    struct fake_session *s = calloc(1, sizeof(*s));

    if (s == NULL)
        abort();
    s->session.transport = transport;
    s->transport = (struct fake_transport *)transport;
    s->transport->sessions++;
    *out = &s->session;
    return MU_OK;
}

static enum mu_code fake_send(struct mu_http_session *session, const struct mu_http_request *request,
    mu_http_done *done, void *cookie, struct mu_err *err)
{
    struct fake_session *s = (struct fake_session *)session;
    struct mu_fake_exchange *x = calloc(1, sizeof(*x));

    assert(s->exchange == NULL); /* one at a time */
    if (x == NULL || mu_http_request_copy(request, &x->request, NULL) != MU_OK)
        abort();
    x->transport = s->transport;
    x->session = s;
    x->done = done;
    x->cookie = cookie;
    x->next = s->transport->exchanges;
    s->transport->exchanges = x;
    s->transport->sends++;
    s->exchange = x;
    return mu_loop_post(s->transport->loop, arrive, x);
}

static void fake_close(struct mu_http_session *session)
{
    struct fake_session *s = (struct fake_session *)session;

    /* What is under way goes on at the server and frees itself when answered. */
    if (s->exchange != NULL)
        s->exchange->session = NULL;
    s->transport->sessions--;
    free(s);
}

/* ---- peek ---- */

struct mu_http_peeking {
    struct fake_transport *t;
    char host[256];
    unsigned port;
    mu_http_peek_done *done;
    void *cookie;
};

static void peek_answer(void *cookie)
{
    struct mu_http_peeking *p = cookie;
    struct mu_http_peeked seen = {.address = "192.0.2.80"};
    struct mu_err err = {.code = MU_OK};

    if (p->t->presents != NULL)
        seen.leaf = p->t->presents(p->t->presents_cookie, p->host, p->port);
    if (seen.leaf.n == 0)
        snprintf(seen.why, sizeof seen.why, "Connection refused");
    if (p->done != NULL)
        p->done(p->cookie, &seen, 1, err.code != MU_OK ? &err : NULL);
    free(p);
}

static enum mu_code fake_peek(struct mu_transport *transport, const struct mu_http_peek *what,
    mu_http_peek_done *done, void *cookie, struct mu_http_peeking **out, struct mu_err *err)
{
    struct mu_http_peeking *p = calloc(1, sizeof(*p));

    (void)err;
    if (p == NULL)
        abort();
    p->t = (struct fake_transport *)transport;
    snprintf(p->host, sizeof p->host, "%s", what->host);
    p->port = what->port;
    p->done = done;
    p->cookie = cookie;
    *out = p;
    return mu_loop_post(p->t->loop, peek_answer, p);
}

static void fake_peek_cancel(struct mu_transport *transport, struct mu_http_peeking *p)
{
    (void)transport;
    p->done = NULL;
}

void mu_fake_transport_presents(
    struct mu_transport *transport, mu_fake_presents *presents, void *cookie)
{
    ((struct fake_transport *)transport)->presents = presents;
    ((struct fake_transport *)transport)->presents_cookie = cookie;
}

static struct fake_transport *transport_new(struct mu_loop *loop, void *cookie)
{
    static const struct mu_transport_ops ops = {.open = fake_open,
        .send = fake_send,
        .close = fake_close,
        .peek = fake_peek,
        .peek_cancel = fake_peek_cancel};
    struct fake_transport *t = calloc(1, sizeof(*t));

    if (t == NULL)
        abort();
    t->transport.ops = &ops;
    t->loop = loop;
    t->cookie = cookie;
    t->peer = (struct mu_http_peer){.address = "192.0.2.1", .port = 40000, .uid = -1};
    strcpy(t->facts.address, "192.0.2.80:80");
    return t;
}

struct mu_transport *mu_fake_transport_new(struct mu_loop *loop, mu_fake_serve *serve, void *cookie)
{
    struct fake_transport *t = transport_new(loop, cookie);

    t->serve = serve;
    return &t->transport;
}

struct mu_transport *mu_fake_transport_new_later(
    struct mu_loop *loop, mu_fake_serve_later *serve, void *cookie)
{
    struct fake_transport *t = transport_new(loop, cookie);

    t->serve_later = serve;
    return &t->transport;
}

void mu_fake_transport_free(struct mu_transport *transport)
{
    struct fake_transport *t = (struct fake_transport *)transport;

    if (t == NULL)
        return;
    assert(t->sessions == 0);
    while (t->exchanges != NULL) {
        mu_fake_loop_forget(t->loop, t->exchanges);
        exchange_free(t->exchanges);
    }
    free(t);
}

void mu_fake_transport_fail_host(struct mu_transport *transport, const char *host)
{
    ((struct fake_transport *)transport)->fail_host = host;
}

void mu_fake_transport_fail(
    struct mu_transport *transport, int n, enum mu_code code, enum mu_reason reason)
{
    struct fake_transport *t = (struct fake_transport *)transport;

    t->fail_n = n;
    t->fail_code = code;
    t->fail_reason = reason;
}

void mu_fake_transport_lose_answers(struct mu_transport *transport, int n)
{
    ((struct fake_transport *)transport)->lose_n = n;
}

void mu_fake_transport_strip(struct mu_transport *transport)
{
    ((struct fake_transport *)transport)->strip = true;
}

void mu_fake_transport_peer(struct mu_transport *transport, const struct mu_http_peer *peer)
{
    ((struct fake_transport *)transport)->peer = *peer;
}

void mu_fake_transport_facts(struct mu_transport *transport, const struct mu_http_facts *facts)
{
    ((struct fake_transport *)transport)->facts = *facts;
}

unsigned mu_fake_transport_sends(const struct mu_transport *transport)
{
    return ((const struct fake_transport *)transport)->sends;
}

unsigned mu_fake_transport_sessions(const struct mu_transport *transport)
{
    return ((const struct fake_transport *)transport)->sessions;
}
