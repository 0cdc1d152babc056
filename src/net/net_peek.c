/*
 * What certificate does a service show? A handshake with each address of a name, on a helper thread
 * with plain blocking calls and a deadline: it happens once per renewal, and a load balancer of which
 * one node still shows the old certificate is what it is there to find.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "net/net_internal.h"

enum { DEFAULT_S = 10, HOST_MAX = 256, LINE_OCTETS = 1024, LINES = 64 };

struct mu_http_peeking {
    char host[HOST_MAX], sni[HOST_MAX], port[8], starttls[16];
    int timeout_s;
    struct mu_loop *loop;
    mu_http_peek_done *done; /* NULL: canceled */
    void *cookie;
    struct mu_http_peeked seen[MU_HTTP_PEEK_MAX];
    struct mu_buf der[MU_HTTP_PEEK_MAX];
    size_t n;
    struct mu_err err;
};

/* ---- a socket with a deadline ---- */

struct line {
    int fd;
    int64_t end_ms;
    char *why;
    size_t why_size;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool no(struct line *l, const char *why)
{
    if (l->why[0] == '\0')
        snprintf(l->why, l->why_size, "%s", why);
    return false;
}

static bool wait_for(struct line *l, short events)
{
    struct pollfd p = {l->fd, events, 0};
    int64_t left = l->end_ms - now_ms();
    int n = left > 0 ? poll(&p, 1, (int)left) : 0;

    if (n == 0)
        return no(l, "no answer in time");
    return n > 0 || errno == EINTR || no(l, strerror(errno));
}

static bool reach(struct line *l, const struct addrinfo *to)
{
    socklen_t len = sizeof(int);
    int e = 0;

    l->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return no(l, strerror(errno));
    if (connect(l->fd, to->ai_addr, to->ai_addrlen) == 0)
        return true;
    if (errno != EINPROGRESS)
        return no(l, strerror(errno));
    if (!wait_for(l, POLLOUT))
        return false;
    return (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0 && e == 0) || no(l, strerror(e));
}

/* ---- what some protocols say before TLS ---- */

static bool say(struct line *l, const void *p, size_t n)
{
    if (!wait_for(l, POLLOUT))
        return false;
    return send(l->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n || no(l, "the connection was cut");
}

/* Octet by octet: what follows the last line belongs to TLS. */
static bool hear(struct line *l, char line[LINE_OCTETS])
{
    size_t n = 0;

    for (;;) {
        ssize_t got;
        char c;

        if (!wait_for(l, POLLIN))
            return false;
        got = recv(l->fd, &c, 1, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0)
            return no(l, "the connection was cut before STARTTLS");
        if (c == '\n')
            break;
        if (n + 1 >= LINE_OCTETS)
            return no(l, "no line of this protocol");
        line[n++] = c;
    }
    line[n] = '\0';
    return true;
}

/* Lines up to the one that begins with one of the two; only the first of them is a yes. */
static bool hear_until(struct line *l, const char *yes, const char *goes_on)
{
    char line[LINE_OCTETS];
    int i;

    for (i = 0; i < LINES; i++) {
        if (!hear(l, line))
            return false;
        if (mu_text_starts(line, yes))
            return true;
        if (goes_on == NULL || !mu_text_starts(line, goes_on))
            break;
    }
    return no(l, "the service does not offer STARTTLS here");
}

static bool start_smtp(struct line *l)
{
    return hear_until(l, "220 ", "220-") && say(l, "EHLO muster\r\n", 13)
        && hear_until(l, "250 ", "250-") && say(l, "STARTTLS\r\n", 10) && hear_until(l, "220", NULL);
}

static bool start_imap(struct line *l)
{
    return hear_until(l, "* OK", NULL) && say(l, "a STARTTLS\r\n", 12) && hear_until(l, "a OK", "*");
}

static bool start_pop3(struct line *l)
{
    return hear_until(l, "+OK", NULL) && say(l, "STLS\r\n", 6) && hear_until(l, "+OK", NULL);
}

static bool start_postgresql(struct line *l)
{
    static const uint8_t ssl_request[8] = {0, 0, 0, 8, 4, 210, 22, 47};
    char c = 0;

    return say(l, ssl_request, sizeof ssl_request) && wait_for(l, POLLIN)
        && ((recv(l->fd, &c, 1, 0) == 1 && c == 'S') || no(l, "the service does not offer TLS"));
}

static const struct {
    const char *word;
    bool (*start)(struct line *l);
} prologues[] = {
    {"smtp", start_smtp}, {"imap", start_imap}, {"pop3", start_pop3}, {"postgresql", start_postgresql}};
enum { PROLOGUES = sizeof(prologues) / sizeof(prologues[0]) };

static bool prologue(struct line *l, const char *word)
{
    size_t i;

    for (i = 0; i < PROLOGUES; i++) {
        if (strcmp(prologues[i].word, word) == 0)
            return prologues[i].start(l);
    }
    return word[0] == '\0';
}

/* ---- TLS ---- */

static SSL_CTX *context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx != NULL) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* it is looked at, not trusted */
        SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    }
    return ctx;
}

static bool take_leaf(struct line *l, SSL *ssl, struct mu_buf *der)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    int n = leaf != NULL ? i2d_X509(leaf, NULL) : 0;
    uint8_t *p = n > 0 ? mu_buf_grow(der, (size_t)n) : NULL;

    return (p != NULL && i2d_X509(leaf, &p) == n) || no(l, "it shows no certificate");
}

/* The certificate is there once the server's part is: a service that wants one of ours may end the
 * handshake behind that, which is none of our business here. */
static bool shake(struct line *l, SSL *ssl, struct mu_buf *der)
{
    char reason[128];

    for (;;) {
        int n = SSL_connect(ssl), e = SSL_get_error(ssl, n);

        if (n == 1 || SSL_get0_peer_certificate(ssl) != NULL)
            return take_leaf(l, ssl, der);
        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
            return no(l, e == SSL_ERROR_SSL ? mu_net_tls_error(reason, sizeof reason)
                                            : "the connection was cut in the handshake");
        if (!wait_for(l, e == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT))
            return false;
    }
}

static void look(const struct mu_http_peeking *p, SSL_CTX *ctx, const struct addrinfo *to,
    struct mu_http_peeked *seen, struct mu_buf *der)
{
    struct line l = {-1, now_ms() + (int64_t)p->timeout_s * 1000, seen->why, sizeof seen->why};
    SSL *ssl = NULL;
    bool ok = reach(&l, to) && prologue(&l, p->starttls);

    if (ok && (ssl = SSL_new(ctx)) != NULL && SSL_set_fd(ssl, l.fd) == 1
        && (p->sni[0] == '\0' || SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)p->sni) == 1))
        (void)shake(&l, ssl, der);
    else if (ok)
        no(&l, "out of memory");
    SSL_free(ssl);
    ERR_clear_error();
    if (l.fd >= 0)
        close(l.fd);
    seen->leaf = mu_buf_bytes(der);
}

/* On the helper thread. */
static void work(void *cookie)
{
    struct mu_http_peeking *p = cookie;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL, *at;
    SSL_CTX *ctx = context();
    int e = getaddrinfo(p->host, p->port, &hints, &list);

    if (e != 0)
        mu_err_set(&p->err, MU_NETWORK, MU_M(101), "Name %s could not be resolved (%s)", p->host,
            gai_strerror(e));
    else if (ctx == NULL)
        mu_err_set(&p->err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    for (at = list; at != NULL && ctx != NULL && p->n < MU_HTTP_PEEK_MAX; at = at->ai_next) {
        struct mu_http_peeked *seen = &p->seen[p->n];

        mu_buf_init(&p->der[p->n], 64 * 1024);
        getnameinfo(at->ai_addr, at->ai_addrlen, seen->address, sizeof seen->address, NULL, 0,
            NI_NUMERICHOST);
        look(p, ctx, at, seen, &p->der[p->n]);
        p->n++;
    }
    if (list != NULL)
        freeaddrinfo(list);
    SSL_CTX_free(ctx);
}

/* ---- on the loop ---- */

static void finish(void *cookie)
{
    struct mu_http_peeking *p = cookie;
    size_t i;

    if (p->done != NULL)
        p->done(p->cookie, p->seen, p->n, p->n == 0 ? &p->err : NULL);
    for (i = 0; i < p->n; i++)
        mu_buf_clear(&p->der[i]);
    free(p);
}

static bool is_address(const char *host)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    bool yes = getaddrinfo(host, NULL, &hints, &list) == 0;

    if (yes)
        freeaddrinfo(list);
    return yes;
}

enum mu_code mu_net_peek(struct mu_loop *loop, const struct mu_http_peek *what,
    mu_http_peek_done *done, void *cookie, struct mu_http_peeking **out, struct mu_err *err)
{
    const char *sni = what->sni != NULL ? what->sni : is_address(what->host) ? "" : what->host;
    struct mu_http_peeking *p;
    enum mu_code rc;

    if (strlen(what->host) >= HOST_MAX || strlen(sni) >= HOST_MAX || what->port > 65535
        || (what->starttls != NULL && strlen(what->starttls) >= sizeof p->starttls))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "A name or a port is too long");
    p = calloc(1, sizeof *p);
    if (p == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    snprintf(p->host, sizeof p->host, "%s", what->host);
    snprintf(p->sni, sizeof p->sni, "%s", sni);
    snprintf(p->port, sizeof p->port, "%u", what->port);
    snprintf(p->starttls, sizeof p->starttls, "%s", what->starttls != NULL ? what->starttls : "");
    p->timeout_s = what->timeout_s > 0 ? what->timeout_s : DEFAULT_S;
    p->loop = loop;
    p->done = done;
    p->cookie = cookie;
    rc = mu_loop_work(loop, work, finish, p);
    if (rc != MU_OK) {
        free(p);
        return mu_err_set(err, rc, MU_REASON_NONE, "No thread can be started to look at %s", what->host);
    }
    *out = p;
    return MU_OK;
}

void mu_net_peek_cancel(struct mu_http_peeking *p)
{
    p->done = NULL;
}
