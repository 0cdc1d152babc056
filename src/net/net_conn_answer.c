/* Answers of one server connection: the head, the body, and what comes after they are out. */
#include <openssl/err.h>
#include <strings.h>

#include "base/limits.h"
#include "base/text.h"
#include "net/net_conn_internal.h"

enum {
    LINGER_S = 2,               /* for a refused client to read the refusal */
    IDLE_KEEP = 4 * 1024,       /* a buffer longer than this is given back between requests */
    SLOWEST_READER = 16 * 1024, /* octets per second a client must take of a long answer */
};

void mu_net_conn_start_linger(struct mu_net_conn *c)
{
    struct timeval tv = {LINGER_S, 0};

    if (c->ssl != NULL && c->state != CONN_HANDSHAKE)
        SSL_shutdown(c->ssl);
    ERR_clear_error();
    shutdown(c->fd, SHUT_WR);
    c->state = CONN_LINGER;
    c->lingered = 0;
    mu_net_conn_want(&c->writable, &c->writes, false);
    mu_net_conn_want(&c->readable, &c->reads, true);
    event_add(&c->deadline, &tv);
}

bool mu_net_conn_flush(struct mu_net_conn *c)
{
    size_t total = c->out.n + c->tail.n;

    c->write_reads = false;
    while (c->sent < total) {
        size_t in_tail = c->sent > c->out.n ? c->sent - c->out.n : 0;
        size_t in_out = c->sent - in_tail;
        ssize_t n = mu_net_conn_send(c, mu_bytes(c->out.p + in_out, c->out.n - in_out),
            mu_bytes(c->tail.n > 0 ? c->tail.p + in_tail : NULL, c->tail.n - in_tail));

        if (n == -1)
            return false;
        if (n <= 0) {
            mu_net_conn_kill(c);
            return false;
        }
        c->sent += (size_t)n;
    }
    mu_net_conn_want(&c->writable, &c->writes, false);
    mu_buf_clear(&c->tail);
    mu_buf_reset(&c->out);
    c->sent = 0;
    if (c->refused) {
        mu_net_conn_start_linger(c);
        return false;
    }
    if (c->close_after || c->worker->stopping) {
        mu_net_conn_kill(c);
        return false;
    }
    if (c->in.n == 0 && c->in.cap > IDLE_KEEP)
        mu_buf_clear(&c->in);
    if (c->out.cap > IDLE_KEEP)
        mu_buf_clear(&c->out);
    c->state = CONN_HEAD;
    c->scanned = 0;
    mu_net_conn_start_deadline(c);
    mu_net_conn_want_more(c);
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
        if (r->body.n <= MU_NET_ONE_WRITE) {
            mu_buf_put_bytes(&c->out, mu_buf_bytes(&r->body));
        } else {
            c->tail = r->body;
            memset(&r->body, 0, sizeof(r->body));
        }
    }
    c->sent = 0;
    c->state = CONN_WRITING;
    if (c->out.failed) {
        mu_net_conn_kill(c);
        return false;
    }
    tv.tv_sec += (time_t)(c->tail.n / SLOWEST_READER);
    event_add(&c->deadline, &tv);
    return true;
}

bool mu_net_conn_send_answer(struct mu_net_conn *c)
{
    struct mu_net_reply *reply = c->reply;
    bool there;

    c->reply = NULL;
    c->answered = false;
    /* The request's octets are used up now. */
    if (!reply->head.chunked && reply->head.length > 0)
        mu_net_conn_consume(&c->in, (size_t)reply->head.length);
    there = put_answer(c, &reply->response, reply->head.keep_alive, reply->head.minor,
        strcmp(reply->request.method, "HEAD") == 0);
    mu_net_conn_reply_free(reply);
    return there && mu_net_conn_flush(c);
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

    mu_net_conn_reply_free(reply); /* may free the worker: c is not its memory */
    mu_net_conn_free(c);
}

void mu_net_conn_answer(struct mu_net_reply *reply)
{
    struct mu_net_conn *c = reply->conn;

    if (c->fd < 0)
        mu_net_conn_drop_answer(reply);
    else if (mu_net_conn_send_answer(c))
        mu_net_conn_process(c);
}

void mu_net_conn_refuse(struct mu_net_conn *c, int status, const char *why)
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
        mu_net_conn_flush(c); /* refused: never true */
}
