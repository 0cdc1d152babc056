/* Connections that come to nothing: 500 that stall in every way a client can, while another one is
 * served as if they were not there, and all of them end at the deadline; what is too long over TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <cmocka.h>

#include "net_fixture.h"

enum { STALLED = 500, DEADLINE_S = 4 };

static struct fix_cert root, server;
static SSL_CTX *ctx;

static int make_all(void **state)
{
    struct rlimit files;

    /* both ends of all connections are this process's */
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || (files.rlim_max != RLIM_INFINITY && files.rlim_max < 2048))
        return -1;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    fix_cert_make(&root, &(struct fix_cert_spec){.cn = "Test Root", .ca = true}, NULL);
    fix_cert_make(&server, &(struct fix_cert_spec){.cn = "server", .san = "IP:127.0.0.1"}, &root);
    ctx = SSL_CTX_new(TLS_client_method());
    return 0;
}

static int clear_all(void **state)
{
    fix_cert_clear(&root);
    fix_cert_clear(&server);
    SSL_CTX_free(ctx);
    return 0;
}

static void echo(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    fix_reply(reply, 200, q->target);
}

static int dial(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

static SSL *dial_tls(int fd)
{
    SSL *ssl = SSL_new(ctx);

    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

/* The client's first flight, or what there is of it. */
static void send_hello(int fd, size_t most)
{
    BIO *out = BIO_new(BIO_s_mem());
    SSL *ssl = SSL_new(ctx);
    char *p;
    long n;

    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    SSL_set_connect_state(ssl);
    assert_int_not_equal(SSL_do_handshake(ssl), 1);
    n = BIO_get_mem_data(out, &p);
    if ((size_t)n > most)
        n = (long)most;
    assert_int_equal(send(fd, p, (size_t)n, MSG_NOSIGNAL), n);
    SSL_free(ssl);
    ERR_clear_error();
}

static void send_tls(SSL *ssl, const char *text)
{
    assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), (int)strlen(text));
}

struct stalled {
    int fd;
    SSL *ssl;
    const char *more; /* one octet of it now and then; NULL: silent */
};

static void stall(struct stalled *s, int how, uint16_t port)
{
    *s = (struct stalled){.fd = dial(port)};
    switch (how) {
    case 0: /* not a word */
        break;
    case 1: /* a hello that does not end */
        send_hello(s->fd, 60);
        s->more = "\1";
        break;
    case 2: /* a whole one, and no answer to ours */
        send_hello(s->fd, 4096);
        break;
    case 3: /* headers without an end */
        s->ssl = dial_tls(s->fd);
        send_tls(s->ssl, "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: a\r\nX: ");
        s->more = "a";
        break;
    case 4: /* a body without an end */
        s->ssl = dial_tls(s->fd);
        send_tls(s->ssl, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n");
        s->more = "a";
        break;
    default: /* chunks without an end */
        s->ssl = dial_tls(s->fd);
        send_tls(s->ssl, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n");
        s->more = "a";
        break;
    }
}

static void send_one_octet_more(struct stalled *s)
{
    if (s->more != NULL && s->ssl != NULL)
        (void)!(SSL_write(s->ssl, s->more, 1) > 0);
    else if (s->more != NULL)
        (void)!send(s->fd, s->more, 1, MSG_NOSIGNAL);
    ERR_clear_error();
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A client that has nothing to do with it, on a new connection: within a second. */
static void assert_served(uint16_t port)
{
    struct mu_tls_identity id = {.anchors = {.v = &root.cert, .n = 1}};
    struct mu_http_session_spec spec = {.identity = &id, .proto = MU_PROTO_EST};
    struct mu_http_session *s = fix_open(&spec);
    double begin = now_s(), took;
    char url[128];

    snprintf(url, sizeof(url), "https://127.0.0.1:%u/.well-known/est/cacerts", port);
    assert_int_equal(fix_ask(s, url, NULL), MU_OK);
    took = now_s() - begin;
    mu_transport_close(s);
    if (took > 1)
        fail_msg("it took %.2f s", took);
}

/* True when the server has ended it. */
static bool is_over(int fd, double until_s)
{
    char buf[4096];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        double left = until_s - now_s();
        ssize_t n;

        if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) == 0)
            return false;
        n = recv(fd, buf, sizeof(buf), 0);
        if (n <= 0)
            return true; /* closed, or reset */
    }
}

/* Issue 3: a responder under 500 stalled connections answers another client within a second. */
static void stalled_connections_hold_up_nobody(void **state)
{
    static struct stalled all[STALLED];
    struct mu_net_server_config config = {.workers = 2, .deadline_s = DEADLINE_S, .env = &fix_env};
    struct mu_net_tls tls = {.key = server.key, .chain = server.chain, .ask_client_cert = true};
    struct mu_net_listener l = {.address = "127.0.0.1", .handler = echo, .tls = &tls};
    struct mu_net_server *own;
    uint16_t port = 0;
    double begin;

    assert_int_equal(mu_net_server_new(&config, &own, NULL), MU_OK);
    assert_int_equal(mu_net_server_listen(own, &l, &port, NULL), MU_OK);
    assert_int_equal(mu_net_server_start(own, NULL), MU_OK);
    for (int i = 0; i < STALLED; i++)
        stall(&all[i], i % 6, port);
    begin = now_s();
    assert_served(port);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < STALLED; i++)
            send_one_octet_more(&all[i]);
        assert_served(port);
    }
    /* One octet now and then buys no time: all end when their time is over. */
    for (int i = 0; i < STALLED; i++)
        if (!is_over(all[i].fd, begin + 3 * DEADLINE_S))
            fail_msg("stalled connection %d (kind %d) still stands after %.1f s", i, i % 6, now_s() - begin);
    assert_served(port);
    for (int i = 0; i < STALLED; i++) {
        SSL_free(all[i].ssl);
        close(all[i].fd);
    }
    mu_net_server_free(own);
}

/* Asks over TLS with so many octets of header and of body announced, and reads the status. */
static int ask_long(uint16_t port, size_t header_n, size_t body_n)
{
    int fd = dial(port), status = 0, n;
    SSL *ssl = dial_tls(fd);
    char *filler = malloc(header_n + 1), head[128], in[1024];

    assert_non_null(filler);
    memset(filler, 'h', header_n);
    filler[header_n] = '\0';
    snprintf(head, sizeof(head), "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\nX: ", body_n);
    send_tls(ssl, head);
    (void)!(SSL_write(ssl, filler, (int)header_n) > 0 && SSL_write(ssl, "\r\n\r\n", 4) > 0);
    n = SSL_read(ssl, in, sizeof(in) - 1);
    if (n > 0) {
        in[n] = '\0';
        status = atoi(in + strlen("HTTP/1.1 "));
    }
    free(filler);
    ERR_clear_error();
    SSL_free(ssl);
    close(fd);
    return status;
}

static void what_is_too_long_is_refused_readably_over_tls(void **state)
{
    struct mu_net_tls tls = {.key = server.key, .chain = server.chain};
    uint16_t port = fix_serve(echo, &tls);

    assert_int_equal(ask_long(port, 200000, 0), 431);
    assert_int_equal(ask_long(port, 10, 10 << 20), 413);
    assert_int_equal(ask_long(port, 10, 0), 200);
    assert_served(port);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stalled_connections_hold_up_nobody),
        TEST(what_is_too_long_is_refused_readably_over_tls),
    };
    return cmocka_run_group_tests(tests, make_all, clear_all);
}
