/*
 * One connection: handshake, request, answer, and again. The deadline counts for handshake, head
 * and body together, not between octets, so that a slow sender holds nothing. Nothing is read
 * while an answer is owed; pipelined requests wait in the socket.
 */
#include "net/net_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"

enum state { HANDSHAKE, HEAD, BODY, HANDLING, WRITING, LINGER };

enum {
    LINGER_S = 2,                  /* for a refused client to read the refusal */
    LINGER_MAX = 1 << 20,          /* octets of its request that we throw away meanwhile */
    ONE_WRITE = 16 * 1024,         /* bodies up to here share a write with their head */
    IDLE_KEEP = 4 * 1024,          /* a buffer longer than this is given back between requests */
    SLOWEST_READER = 16 * 1024,    /* octets per second a client must take of a long answer */
};

struct mu_net_conn {
    struct mu_net_conn *next, **link;
    struct mu_net_worker *worker;
    struct mu_net_endpoint *endpoint;
    int fd; /* -1: closed, and only kept for the answer that is owed */
    SSL *ssl;
    struct event readable, writable, deadline;
    bool reads, writes; /* which of the events are added */
    bool write_reads;   /* TLS wants to read before it writes on */
    enum state state;

    struct mu_buf in;   /* received and not used yet */
    size_t scanned;     /* how far in was searched for the end of the head */
    struct mu_buf head; /* of the request at hand, cut up by the parser */
    struct mu_buf body; /* of a chunked request */
    struct mu_http_chunks chunks;
    struct mu_net_reply *reply; /* the request at hand */
    bool in_handler, answered;

    struct mu_buf out;  /* status line and headers, and a short body */
    struct mu_buf tail; /* a long body */
    size_t sent;        /* of out and tail together */
    bool close_after, refused;
    size_t lingered;

    struct mu_net_peer peer;
    bool peer_known;
};

static void conn_process(struct mu_net_conn *c);
static void go_on(struct mu_net_conn *c);

struct mu_net_conn *mu_net_conn_next(const struct mu_net_conn *conn)
{
    return conn->next;
}

/* ---- ending ---- */

static void conn_free(struct mu_net_conn *c)
{
    mu_buf_clear(&c->in);
    mu_buf_clear(&c->head);
    mu_buf_clear(&c->body);
    mu_buf_clear(&c->out);
    mu_buf_clear(&c->tail);
    mu_net_peer_clear(&c->peer);
    free(c);
}

static void reply_free(struct mu_net_reply *r)
{
    struct mu_net_server *server = r->worker->server;

    mu_http_response_clear(&r->response);
    free(r);
    mu_net_server_unref(server);
}

/* Closes the socket. The connection itself lives on while an answer is owed. */
static void conn_close(struct mu_net_conn *c)
{
    struct mu_net_worker *w = c->worker;

    event_del(&c->readable);
    event_del(&c->writable);
    event_del(&c->deadline);
    if (c->ssl != NULL) {
        if (c->state != HANDSHAKE && c->state != LINGER)
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
    if (c->state != HANDLING) {
        if (c->reply != NULL)
            reply_free(c->reply); /* of a request that never became whole */
        conn_free(c);
    }
    mu_net_worker_conn_closed(w);
}

void mu_net_conn_kill(struct mu_net_conn *c)
{
    conn_close(c);
}

void mu_net_conn_wind_up(struct mu_net_conn *c)
{
    if (c->state == HANDLING || c->state == WRITING)
        c->close_after = true;
    else
        conn_close(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *cookie)
{
    conn_close(cookie);
}

/* ---- events ---- */

static void want(struct event *event, bool *added, bool wanted)
{
    if (wanted && !*added)
        event_add(event, NULL);
    else if (!wanted && *added)
        event_del(event);
    *added = wanted;
}

/* OpenSSL may have read more than it gave us, of which the socket says nothing. */
static void want_more(struct mu_net_conn *c)
{
    want(&c->readable, &c->reads, true);
    if (c->ssl != NULL && SSL_has_pending(c->ssl))
        event_active(&c->readable, EV_READ, 0);
}

static void start_deadline(struct mu_net_conn *c)
{
    event_add(&c->deadline, c->worker->deadline_common);
}

/* ---- octets in and out; all return > 0, 0 at the end, -1 try later, -2 broken ---- */

static ssize_t tls_result(struct mu_net_conn *c, int n)
{
    if (n > 0)
        return n;
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        c->write_reads = c->state == WRITING;
        want(&c->readable, &c->reads, true);
        return -1;
    case SSL_ERROR_WANT_WRITE:
        want(&c->writable, &c->writes, true);
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        return -2;
    }
}

static ssize_t plain_result(struct mu_net_conn *c, ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : -2;
}

static ssize_t conn_recv(struct mu_net_conn *c)
{
    struct mu_net_worker *w = c->worker;

    if (c->ssl != NULL) {
        ERR_clear_error();
        return tls_result(c, SSL_read(c->ssl, w->scratch, sizeof(w->scratch)));
    }
    return plain_result(c, recv(c->fd, w->scratch, sizeof(w->scratch), 0));
}

static ssize_t conn_send(struct mu_net_conn *c, struct mu_bytes first, struct mu_bytes second)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)first.p, first.n}, {(void *)(uintptr_t)second.p, second.n}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;

    if (c->ssl != NULL) {
        struct mu_bytes part = first.n > 0 ? first : second;

        ERR_clear_error();
        return tls_result(
            c, SSL_write(c->ssl, part.p, part.n > INT32_MAX ? INT32_MAX : (int)part.n));
    }
    n = plain_result(c, sendmsg(c->fd, &msg, MSG_NOSIGNAL));
    if (n == -1)
        want(&c->writable, &c->writes, true);
    return n;
}

static void consume(struct mu_buf *b, size_t n)
{
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

/* ---- answering ---- */

/* Gives the client time to read the refusal: closing with octets unread would reset the
 * connection under it. */
static void start_linger(struct mu_net_conn *c)
{
    struct timeval tv = {LINGER_S, 0};

    if (c->ssl != NULL && c->state != HANDSHAKE)
        SSL_shutdown(c->ssl);
    ERR_clear_error();
    shutdown(c->fd, SHUT_WR);
    c->state = LINGER;
    c->lingered = 0;
    want(&c->writable, &c->writes, false);
    want(&c->readable, &c->reads, true);
    event_add(&c->deadline, &tv);
}

/* Writes what can be written. True: all is out and the next request may come. False: not yet,
 * or the connection is closed; the caller touches it no more. */
static bool flush(struct mu_net_conn *c)
{
    size_t total = c->out.n + c->tail.n;

    c->write_reads = false;
    while (c->sent < total) {
        size_t in_tail = c->sent > c->out.n ? c->sent - c->out.n : 0;
        size_t in_out = c->sent - in_tail;
        ssize_t n = conn_send(c, mu_bytes(c->out.p + in_out, c->out.n - in_out),
            mu_bytes(c->tail.n > 0 ? c->tail.p + in_tail : NULL, c->tail.n - in_tail));

        if (n == -1)
            return false;
        if (n <= 0) {
            conn_close(c);
            return false;
        }
        c->sent += (size_t)n;
    }
    want(&c->writable, &c->writes, false);
    mu_buf_clear(&c->tail);
    mu_buf_reset(&c->out);
    c->sent = 0;
    if (c->refused) {
        start_linger(c);
        return false;
    }
    if (c->close_after || c->worker->stopping) {
        conn_close(c);
        return false;
    }
    if (c->in.n == 0 && c->in.cap > IDLE_KEEP)
        mu_buf_clear(&c->in);
    if (c->out.cap > IDLE_KEEP)
        mu_buf_clear(&c->out);
    c->state = HEAD;
    c->scanned = 0;
    start_deadline(c);
    want_more(c);
    return true;
}

static bool is_ours(const char *name)
{
    static const char *const ours[] = {"Content-Length", "Transfer-Encoding", "Connection"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (mu_text_equal_nocase(name, ours[i]))
            return true;
    return false;
}

static void put_head(struct mu_net_conn *c, const struct mu_http_response *r, bool keep_alive,
    int minor, bool no_content)
{
    int status = r->status >= 200 && r->status <= 999 ? r->status : 500;

    mu_buf_putf(&c->out, "HTTP/1.1 %d %s\r\n", status, mu_http_status_text(status));
    if (mu_http_header_get(r->headers, r->header_n, "Date") == NULL)
        mu_buf_putf(&c->out, "Date: %s\r\n", mu_net_worker_date(c->worker));
    for (size_t i = 0; i < r->header_n; i++)
        if (!is_ours(r->headers[i].name))
            mu_buf_putf(&c->out, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
    if (!no_content)
        mu_buf_putf(&c->out, "Content-Length: %zu\r\n", r->body.n);
    if (!keep_alive)
        mu_buf_put_str(&c->out, "Connection: close\r\n");
    else if (minor == 0)
        mu_buf_put_str(&c->out, "Connection: keep-alive\r\n");
    mu_buf_put_str(&c->out, "\r\n");
}

/* Lays the answer out for flush, which follows. False: no memory, and the connection is closed. */
static bool put_answer(struct mu_net_conn *c, struct mu_http_response *r, bool keep_alive,
    int minor, bool is_head)
{
    const char *connection = mu_http_header_get(r->headers, r->header_n, "Connection");
    bool no_content = r->status == 204 || r->status == 304;
    struct timeval tv = c->worker->deadline;

    if (connection != NULL && strcasestr(connection, "close") != NULL)
        keep_alive = false;
    keep_alive = keep_alive && !c->close_after && !c->worker->stopping;
    c->close_after = !keep_alive;
    put_head(c, r, keep_alive, minor, no_content);
    if (!is_head && !no_content) {
        if (r->body.n <= ONE_WRITE) {
            mu_buf_put_bytes(&c->out, mu_buf_bytes(&r->body));
        } else {
            c->tail = r->body;
            memset(&r->body, 0, sizeof(r->body));
        }
    }
    c->sent = 0;
    c->state = WRITING;
    if (c->out.failed) {
        conn_close(c);
        return false;
    }
    tv.tv_sec += (time_t)(c->tail.n / SLOWEST_READER);
    event_add(&c->deadline, &tv);
    return true;
}

/* Hands the answer of the request at hand to the socket. As flush. */
static bool send_answer(struct mu_net_conn *c)
{
    struct mu_net_reply *reply = c->reply;
    bool there;

    c->reply = NULL;
    c->answered = false;
    /* The request's octets are used up now. */
    if (!reply->head.chunked && reply->head.length > 0)
        consume(&c->in, (size_t)reply->head.length);
    there = put_answer(c, &reply->response, reply->head.keep_alive, reply->head.minor,
        strcmp(reply->request.method, "HEAD") == 0);
    reply_free(reply);
    return there && flush(c);
}

bool mu_net_conn_answered_inside(struct mu_net_conn *c)
{
    if (c->in_handler)
        c->answered = true;
    return c->in_handler;
}

void mu_net_conn_drop_answer(struct mu_net_reply *reply)
{
    struct mu_net_conn *c = reply->conn;

    reply_free(reply); /* may free the worker: c is not its memory */
    conn_free(c);
}

void mu_net_conn_answer(struct mu_net_reply *reply)
{
    struct mu_net_conn *c = reply->conn;

    if (c->fd < 0)
        mu_net_conn_drop_answer(reply);
    else if (send_answer(c))
        conn_process(c);
}

/* Answers what is no request we take, and closes. */
static void refuse(struct mu_net_conn *c, int status, const char *why)
{
    struct mu_http_response r = {0};
    char text[160];
    bool there;

    snprintf(text, sizeof(text), "%s\n", why);
    if (mu_http_response_set(&r, status, "text/plain", mu_bytes_str(text), NULL) != MU_OK)
        r.status = status; /* without words, then */
    c->refused = true;
    there = put_answer(c, &r, false, 1, false);
    mu_http_response_clear(&r);
    if (there)
        flush(c); /* refused: never true */
}

/* ---- requests ---- */

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
    c->state = HANDLING;
    event_del(&c->deadline); /* what is awaited now is ours */
    c->in_handler = true;
    c->endpoint->handler(c->endpoint->cookie, &r->request, r);
    c->in_handler = false;
    return c->answered && send_answer(c);
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
            refuse(c, 414, "the request line is too long");
        else
            refuse(c, 431, "the header fields are too long");
        return false;
    }
    if (n == 0) {
        /* A TLS hello, for one: it would wait for an answer, and we for a line end. */
        if (c->in.p[0] >= 0x7f || (c->in.p[0] < 0x20 && c->in.p[0] != '\r' && c->in.p[0] != '\n'))
            refuse(c, 400, "this is no HTTP");
        return false;
    }
    mu_buf_reset(&c->head);
    if (!mu_buf_put(&c->head, c->in.p, n) || !reply_new(c)) {
        conn_close(c);
        return false;
    }
    consume(&c->in, n);
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
        reply_free(r);
        refuse(c, status, why);
        return false;
    }
    mu_buf_reset(&c->body);
    c->chunks = (struct mu_http_chunks){0};
    c->state = BODY;
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
            consume(&c->in, used);
        return result == MU_HTTP_CHUNK_DONE;
    }
    c->reply = NULL;
    reply_free(r);
    if (result == MU_HTTP_CHUNK_BAD)
        refuse(c, 400, "the chunked body is damaged");
    else
        refuse(c, 413, "the body is too long");
    return false;
}

/* "100 Continue" goes out at once or never: nothing else is in the socket then. */
static bool send_continue(struct mu_net_conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (conn_send(c, mu_bytes(text, sizeof(text) - 1), mu_bytes(NULL, 0)) == sizeof(text) - 1)
        return true;
    mu_net_conn_kill(c);
    return false;
}

/* Goes as far as the octets that are there allow. */
static void conn_process(struct mu_net_conn *c)
{
    for (;;) {
        if (c->state == HEAD) {
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
    bool fresh = c->state == HEAD && c->in.n == 0 && c->peer_known;
    ssize_t n = conn_recv(c);

    if (n == -1)
        return;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    if (!mu_buf_put(&c->in, c->worker->scratch, (size_t)n)) {
        conn_close(c);
        return;
    }
    if (fresh)
        start_deadline(c); /* the time between two requests does not count */
    want_more(c);
    conn_process(c);
}

static void linger(struct mu_net_conn *c)
{
    ssize_t n = plain_result(c, recv(c->fd, c->worker->scratch, sizeof(c->worker->scratch), 0));

    if (n > 0)
        c->lingered += (size_t)n;
    if (n == 0 || n == -2 || c->lingered > LINGER_MAX)
        conn_close(c);
}

/* Plain HTTP came to a TLS port: one sentence in the clear helps who typed http for https. */
static void tell_plain_client(struct mu_net_conn *c)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 30\r\nConnection: close\r\n\r\n"
                               "this port speaks only https://";

    (void)!send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
    start_linger(c);
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
        c->state = HEAD;
        want(&c->writable, &c->writes, false);
        if (!SSL_has_pending(c->ssl)) /* mostly the request came with the Finished */
            acknowledge(c);
        want_more(c);
        return;
    }
    if (ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_SSL
        && ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST)
        tell_plain_client(c);
    else if (tls_result(c, n) != -1)
        conn_close(c);
}

static void go_on(struct mu_net_conn *c)
{
    switch (c->state) {
    case HANDSHAKE:
        handshake(c);
        break;
    case HEAD:
    case BODY:
        read_request(c);
        break;
    case WRITING:
        if (flush(c))
            conn_process(c);
        break;
    case LINGER:
        linger(c);
        break;
    case HANDLING:
        break;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_conn *c = cookie;

    /* Not now: flush asks again. */
    if (c->state == HANDLING || (c->state == WRITING && !c->write_reads))
        want(&c->readable, &c->reads, false);
    else
        go_on(c);
}

static void on_writable(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_conn *c = cookie;

    want(&c->writable, &c->writes, false);
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
    mu_buf_init(&c->out, MU_LIMIT_HEADERS + ONE_WRITE);
    mu_net_peer_learn_address(&c->peer, fd, from, endpoint->unix_group);
    event_assign(&c->readable, w->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->writable, w->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    event_assign(&c->deadline, w->base, -1, EV_TIMEOUT, on_deadline, c);
    c->state = endpoint->tls != NULL ? HANDSHAKE : HEAD;
    c->link = &w->conns;
    c->next = w->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    w->conns = c;
    w->conn_n++;
    if (endpoint->tls != NULL) {
        c->ssl = mu_net_listen_ssl(endpoint);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) {
            conn_close(c);
            return;
        }
    }
    start_deadline(c);
    want(&c->readable, &c->reads, true);
    if (c->ssl != NULL)
        go_on(c); /* while others were served its hello came in */
}
