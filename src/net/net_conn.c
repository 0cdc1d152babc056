/*
 * One connection: handshake, request, answer, and again. The deadline counts for handshake, head
 * and body together, not between octets, so that a slow sender holds nothing. Nothing is read
 * while an answer is owed; pipelined requests wait in the socket.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/net_conn_internal.h"

enum {
    LINGER_MAX = 1 << 20, /* octets of a refused request that we throw away meanwhile */
};

static void go_on(struct mu_net_conn *c);

struct mu_net_conn *mu_net_conn_next(const struct mu_net_conn *conn)
{
    return conn->next;
}

/* ---- ending ---- */

void mu_net_conn_free(struct mu_net_conn *c)
{
    mu_buf_clear(&c->in);
    mu_buf_clear(&c->head);
    mu_buf_clear(&c->body);
    mu_buf_clear(&c->out);
    mu_buf_clear(&c->tail);
    mu_net_peer_clear(&c->peer);
    free(c);
}

void mu_net_conn_reply_free(struct mu_net_reply *r)
{
    struct mu_net_server *server = r->worker->server;

    mu_http_response_clear(&r->response);
    free(r);
    mu_net_server_unref(server);
}

/* Closes the socket. The connection itself lives on while an answer is owed. */
void mu_net_conn_kill(struct mu_net_conn *c)
{
    struct mu_net_worker *w = c->worker;

    event_del(&c->readable);
    event_del(&c->writable);
    event_del(&c->deadline);
    if (c->ssl != NULL) {
        if (c->state != CONN_HANDSHAKE && c->state != CONN_LINGER)
            SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        c->ssl = NULL;
        ERR_clear_error();
    }
    close(c->fd);
    c->fd = -1;
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    if (c->state != CONN_HANDLING) {
        if (c->reply != NULL)
            mu_net_conn_reply_free(c->reply); /* of a request that never became whole */
        mu_net_conn_free(c);
    }
    mu_net_worker_conn_closed(w);
}

void mu_net_conn_wind_up(struct mu_net_conn *c)
{
    if (c->state == CONN_HANDLING || c->state == CONN_WRITING)
        c->close_after = true;
    else
        mu_net_conn_kill(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *cookie)
{
    mu_net_conn_kill(cookie);
}

/* ---- requests ---- */

void mu_net_conn_consume(struct mu_buf *b, size_t n)
{
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

static void bind_peer(void *cookie)
{
    struct mu_net_conn *c = cookie;

    /* Once: no renegotiation, so the binding stays. Whoever waited past the end of the connection
     * finds none. */
    c->peer.facts.bind = NULL;
    if (c->ssl != NULL && mu_net_this_worker == c->worker)
        mu_net_peer_learn_binding(&c->peer, c->ssl);
}

/* The request is whole: the handler gets it. True: answered already, and the next may come. */
static bool dispatch(struct mu_net_conn *c)
{
    struct mu_net_reply *r = c->reply;

    if (c->ssl != NULL && !c->peer_known) {
        mu_net_peer_learn_tls(&c->peer, c->ssl);
        c->peer.facts.bind = bind_peer;
        c->peer.facts.bind_cookie = c;
    }
    c->peer_known = true;
    r->request = (struct mu_http_request){.method = r->head.method, .target = r->head.target,
        .minor = r->head.minor, .headers = r->head.headers, .header_n = r->head.header_n,
        .peer = &c->peer.facts,
        .body = r->head.chunked ? mu_buf_bytes(&c->body)
                                : mu_bytes(c->in.p, (size_t)r->head.length)};
    c->state = CONN_HANDLING;
    event_del(&c->deadline); /* what is awaited now is ours */
    c->in_handler = true;
    c->endpoint->handler(c->endpoint->cookie, &r->request, r);
    c->in_handler = false;
    return c->answered && mu_net_conn_send_answer(c);
}

static bool reply_new(struct mu_net_conn *c)
{
    c->reply = calloc(1, sizeof(*c->reply));
    if (c->reply == NULL)
        return false;
    c->reply->conn = c;
    c->reply->worker = c->worker;
    atomic_fetch_add(&c->worker->server->refs, 1);
    return true;
}

/* Takes the head off the input. Returns true when the body comes next; false: more is needed, or
 * the request was refused. */
static bool take_head(struct mu_net_conn *c)
{
    size_t n = mu_http_head_end(mu_buf_bytes(&c->in), &c->scanned);
    struct mu_net_reply *r;
    const char *why = "";
    int status;

    if (n > MU_LIMIT_HEADERS || (n == 0 && c->in.n > MU_LIMIT_HEADERS)) {
        if (memchr(c->in.p, '\n', MU_LIMIT_URL) == NULL)
            mu_net_conn_refuse(c, 414, "the request line is too long");
        else
            mu_net_conn_refuse(c, 431, "the header fields are too long");
        return false;
    }
    if (n == 0) {
        /* A TLS hello, for one: it would wait for an answer, and we for a line end. */
        if (c->in.p[0] >= 0x7f || (c->in.p[0] < 0x20 && c->in.p[0] != '\r' && c->in.p[0] != '\n'))
            mu_net_conn_refuse(c, 400, "this is no HTTP");
        return false;
    }
    mu_buf_reset(&c->head);
    if (!mu_buf_put(&c->head, c->in.p, n) || !reply_new(c)) {
        mu_net_conn_kill(c);
        return false;
    }
    mu_net_conn_consume(&c->in, n);
    r = c->reply;
    status = mu_http_head_parse((char *)c->head.p, n, &r->head, &why);
    if (status == 0 && strlen(r->head.target) > MU_LIMIT_URL) {
        status = 414;
        why = "the request line is too long";
    } else if (status == 0 && r->head.length > c->endpoint->max_body) {
        status = 413;
        why = "the body is too long";
    }
    if (status != 0) {
        c->reply = NULL;
        mu_net_conn_reply_free(r);
        mu_net_conn_refuse(c, status, why);
        return false;
    }
    mu_buf_reset(&c->body);
    c->chunks = (struct mu_http_chunks){0};
    c->state = CONN_BODY;
    return true;
}

/* True when the body is whole; false: more is needed, or the request was refused. */
static bool take_body(struct mu_net_conn *c)
{
    struct mu_net_reply *r = c->reply;
    enum mu_http_chunk_result result;
    size_t used;

    if (!r->head.chunked)
        return c->in.n >= r->head.length;
    result = mu_http_chunks_decode(
        &c->chunks, mu_buf_bytes(&c->in), &used, &c->body, c->endpoint->max_body);
    if (result == MU_HTTP_CHUNK_MORE || result == MU_HTTP_CHUNK_DONE) {
        if (used > 0)
            mu_net_conn_consume(&c->in, used);
        return result == MU_HTTP_CHUNK_DONE;
    }
    c->reply = NULL;
    mu_net_conn_reply_free(r);
    if (result == MU_HTTP_CHUNK_BAD)
        mu_net_conn_refuse(c, 400, "the chunked body is damaged");
    else
        mu_net_conn_refuse(c, 413, "the body is too long");
    return false;
}

/* "100 Continue" goes out at once or never: nothing else is in the socket then. */
static bool send_continue(struct mu_net_conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (mu_net_conn_send(c, mu_bytes(text, sizeof(text) - 1), mu_bytes(NULL, 0)) == sizeof(text) - 1)
        return true;
    mu_net_conn_kill(c);
    return false;
}

void mu_net_conn_process(struct mu_net_conn *c)
{
    for (;;) {
        if (c->state == CONN_HEAD) {
            if (c->in.n == 0 || !take_head(c))
                return;
            if (c->reply->head.expect_continue && c->in.n == 0 && !send_continue(c))
                return;
        }
        if (!take_body(c) || !dispatch(c))
            return;
    }
}

/* ---- what the socket says ---- */

static void read_request(struct mu_net_conn *c)
{
    bool fresh = c->state == CONN_HEAD && c->in.n == 0 && c->peer_known;
    ssize_t n = mu_net_conn_recv(c);

    if (n == -1)
        return;
    if (n <= 0) {
        mu_net_conn_kill(c);
        return;
    }
    if (!mu_buf_put(&c->in, c->worker->scratch, (size_t)n)) {
        mu_net_conn_kill(c);
        return;
    }
    if (fresh)
        mu_net_conn_start_deadline(c); /* the time between two requests does not count */
    mu_net_conn_want_more(c);
    mu_net_conn_process(c);
}

static void linger(struct mu_net_conn *c)
{
    ssize_t n = mu_net_conn_plain_result(c, recv(c->fd, c->worker->scratch, sizeof(c->worker->scratch), 0));

    if (n > 0)
        c->lingered += (size_t)n;
    if (n == 0 || n == -2 || c->lingered > LINGER_MAX)
        mu_net_conn_kill(c);
}

/* Plain HTTP came to a TLS port: one sentence in the clear helps who typed http for https. */
static void tell_plain_client(struct mu_net_conn *c)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 30\r\nConnection: close\r\n\r\n"
                               "this port speaks only https://";

    (void)!send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
    mu_net_conn_start_linger(c);
}

/* Without session tickets a client that leaves Nagle on waits for the acknowledgment of its
 * Finished, which Linux would delay by 40 ms. */
static void acknowledge(struct mu_net_conn *c)
{
    int one = 1;

    setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

static void handshake(struct mu_net_conn *c)
{
    int n;

    ERR_clear_error();
    n = SSL_accept(c->ssl);
    if (n == 1) {
        c->state = CONN_HEAD;
        mu_net_conn_want(&c->writable, &c->writes, false);
        if (!SSL_has_pending(c->ssl)) /* mostly the request came with the Finished */
            acknowledge(c);
        mu_net_conn_want_more(c);
        return;
    }
    if (ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_SSL
        && ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST)
        tell_plain_client(c);
    else if (mu_net_conn_tls_result(c, n) != -1)
        mu_net_conn_kill(c);
}

static void go_on(struct mu_net_conn *c)
{
    switch (c->state) {
    case CONN_HANDSHAKE:
        handshake(c);
        break;
    case CONN_HEAD:
    case CONN_BODY:
        read_request(c);
        break;
    case CONN_WRITING:
        if (mu_net_conn_flush(c))
            mu_net_conn_process(c);
        break;
    case CONN_LINGER:
        linger(c);
        break;
    case CONN_HANDLING:
        break;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_conn *c = cookie;

    /* Not now: flush asks again. */
    if (c->state == CONN_HANDLING || (c->state == CONN_WRITING && !c->write_reads))
        mu_net_conn_want(&c->readable, &c->reads, false);
    else
        go_on(c);
}

static void on_writable(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_conn *c = cookie;

    mu_net_conn_want(&c->writable, &c->writes, false);
    go_on(c);
}

void mu_net_conn_accept(struct mu_net_worker *w, struct mu_net_endpoint *endpoint, int fd,
    const struct sockaddr_storage *from)
{
    struct mu_net_conn *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        close(fd);
        return;
    }
    c->worker = w;
    c->endpoint = endpoint;
    c->fd = fd;
    mu_buf_init(&c->in, MU_LIMIT_HEADERS + endpoint->max_body + 2 * MU_NET_READ_SIZE);
    mu_buf_init(&c->head, MU_LIMIT_HEADERS);
    mu_buf_init(&c->body, endpoint->max_body + 1);
    mu_buf_init(&c->out, MU_LIMIT_HEADERS + MU_NET_ONE_WRITE);
    mu_net_peer_learn_address(&c->peer, fd, from, endpoint->unix_group);
    event_assign(&c->readable, w->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->writable, w->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    event_assign(&c->deadline, w->base, -1, EV_TIMEOUT, on_deadline, c);
    c->state = endpoint->tls != NULL ? CONN_HANDSHAKE : CONN_HEAD;
    c->link = &w->conns;
    c->next = w->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    w->conns = c;
    w->conn_n++;
    if (endpoint->tls != NULL) {
        c->ssl = mu_net_listen_ssl(endpoint);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) {
            mu_net_conn_kill(c);
            return;
        }
    }
    mu_net_conn_start_deadline(c);
    mu_net_conn_want(&c->readable, &c->reads, true);
    if (c->ssl != NULL)
        go_on(c); /* while others were served its hello came in */
}
