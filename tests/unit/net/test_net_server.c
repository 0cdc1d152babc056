/* The server over plain sockets on loopback: keep-alive, pipelining, refusals, deadlines, late
 * answers, ceilings, graceful stop. Ports are always 0; nothing sleeps, reads have a limit. */
#include "net/net_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_loop.h"

static struct mu_loop *fake; /* for its env: the Date header is predictable */
static struct mu_net_server *server;
static uint16_t port;

/* Replies that the tests keep back. */
static struct mu_net_reply *kept[64];
static atomic_uint kept_n;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t kept_more = PTHREAD_COND_INITIALIZER;

static void keep(struct mu_net_reply *reply)
{
    pthread_mutex_lock(&kept_lock);
    kept[kept_n++] = reply;
    pthread_cond_signal(&kept_more);
    pthread_mutex_unlock(&kept_lock);
}

static struct mu_net_reply *take_kept(void)
{
    struct mu_net_reply *r;

    pthread_mutex_lock(&kept_lock);
    while (kept_n == 0)
        pthread_cond_wait(&kept_more, &kept_lock);
    r = kept[--kept_n];
    pthread_mutex_unlock(&kept_lock);
    return r;
}

static void answer(struct mu_net_reply *reply, int status, const char *body)
{
    struct mu_http_response r = {0};

    if (mu_http_response_set(&r, status, "text/plain", mu_bytes_str(body), NULL) != MU_OK)
        abort();
    mu_net_reply_send(reply, &r);
}

/* Tells what it saw: "METHOD target|body-length|body". Some targets do something else. */
static void handler(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    struct mu_http_response r = {0};
    struct mu_buf b;

    if (strcmp(q->target, "/keep") == 0) {
        keep(reply);
        return;
    }
    mu_buf_init(&b, 8 << 20);
    if (strcmp(q->target, "/big") == 0) {
        memset(mu_buf_grow(&b, 4 << 20), 'x', 4 << 20);
    } else if (strcmp(q->target, "/group") == 0) {
        mu_buf_putf(&b, "member=%d", q->peer->in_group);
    } else if (strcmp(q->target, "/peer") == 0) {
        mu_buf_putf(&b, "%s unix=%d uid=%lld tls=%d port=%d", q->peer->address, q->peer->is_unix,
            (long long)q->peer->uid, q->peer->tls, q->peer->port != 0);
    } else {
        mu_buf_putf(&b, "%s %s|%zu|", q->method, q->target, q->body.n);
        mu_buf_put_bytes(&b, q->body);
    }
    if (mu_http_response_set(&r, strcmp(q->target, "/204") == 0 ? 204 : 200, "text/plain",
            mu_buf_bytes(&b), NULL) != MU_OK)
        abort();
    if (strcmp(q->target, "/close") == 0 && mu_http_response_add(&r, "Connection", "close", NULL) != MU_OK)
        abort();
    /* what the server itself says must not be said twice */
    if (mu_http_response_add(&r, "Content-Length", "999", NULL) != MU_OK)
        abort();
    mu_buf_clear(&b);
    mu_net_reply_send(reply, &r);
    mu_http_response_clear(&r); /* empty now */
}

static void start_with(unsigned workers, unsigned max_connections, int deadline_s,
    void (*round_end)(void *cookie), void *cookie)
{
    struct mu_net_server_config config = {.workers = workers, .max_connections = max_connections,
        .deadline_s = deadline_s, .env = mu_fake_loop_env(fake), .round_end = round_end,
        .cookie = cookie};
    struct mu_net_listener l = {.address = "127.0.0.1", .handler = handler, .max_body = 100000};
    struct mu_err err = {0};

    assert_int_equal(mu_net_server_new(&config, &server, NULL), MU_OK);
    if (mu_net_server_listen(server, &l, &port, &err) != MU_OK)
        fail_msg("%s", err.what);
    assert_true(port != 0);
    if (mu_net_server_start(server, &err) != MU_OK)
        fail_msg("%s", err.what);
}

static void start(unsigned workers, unsigned max_connections, int deadline_s)
{
    start_with(workers, max_connections, deadline_s, NULL, NULL);
}

static int setup(void **state)
{
    fake = mu_fake_loop_new();
    return 0;
}

static int teardown(void **state)
{
    mu_net_server_free(server);
    server = NULL;
    mu_fake_loop_free(fake);
    return 0;
}

static int dial_to(const struct sockaddr *sa, socklen_t len)
{
    struct timeval limit = {20, 0};
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, sa, len) != 0)
        fail_msg("connect: %s", strerror(errno));
    return fd;
}

static int dial(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    return dial_to((struct sockaddr *)&sa, sizeof(sa));
}

static void send_text(int fd, const char *text)
{
    size_t n = strlen(text);

    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

/* Reads until text ends with suffix. */
static const char *read_until(int fd, const char *suffix)
{
    static char buf[1 << 16];
    size_t n = 0, want = strlen(suffix);

    for (;;) {
        ssize_t got = recv(fd, buf + n, 1, 0);

        if (got != 1)
            fail_msg("no \"%s\" in \"%.*s\"", suffix, (int)n, buf);
        n++;
        buf[n] = '\0';
        if (n >= want && strcmp(buf + n - want, suffix) == 0)
            return buf;
    }
}

/* Reads until the server closes; a reset counts too. */
static const char *read_all(int fd)
{
    static char buf[1 << 16];
    size_t n = 0;
    ssize_t got;

    while ((got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0)
        n += (size_t)got;
    if (got < 0 && errno != ECONNRESET)
        fail_msg("the server keeps the connection: %s", strerror(errno));
    buf[n] = '\0';
    return buf;
}

static const char *ask(const char *text)
{
    int fd = dial();
    const char *a;

    send_text(fd, text);
    a = read_all(fd);
    close(fd);
    return a;
}

static void assert_status(const char *reply, int status)
{
    char start_text[32];

    snprintf(start_text, sizeof(start_text), "HTTP/1.1 %d ", status);
    if (strncmp(reply, start_text, strlen(start_text)) != 0)
        fail_msg("not %d: %s", status, reply);
}

static void an_answer_is_complete(void **state)
{
    start(2, 0, 0);
    assert_string_equal(ask("GET /scep?operation=x&message=a+b/c== HTTP/1.1\r\nHost: a\r\n"
                            "Connection: close\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nDate: Thu, 21 Nov 2024 11:52:11 GMT\r\nContent-Type: text/plain\r\n"
        "Content-Length: 40\r\nConnection: close\r\n\r\n"
        "GET /scep?operation=x&message=a+b/c==|0|");
}

static void http_1_0_gets_a_length_and_a_close(void **state)
{
    const char *a;

    start(1, 0, 0);
    a = ask("GET /x HTTP/1.0\r\n\r\n");
    assert_status(a, 200);
    assert_non_null(strstr(a, "\r\nContent-Length: 9\r\n"));
    assert_non_null(strstr(a, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(a, "\r\n\r\nGET /x|0|"));
}

static void http_1_0_may_keep_alive(void **state)
{
    int fd;

    start(1, 0, 0);
    fd = dial();
    for (int i = 0; i < 3; i++) {
        send_text(fd, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_non_null(strstr(read_until(fd, "GET /x|0|"), "\r\nConnection: keep-alive\r\n"));
    }
    close(fd);
}

static void one_connection_serves_many_requests(void **state)
{
    char want[64], text[128];
    int fd;

    start(1, 0, 0);
    fd = dial();
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof(text), "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i);
        snprintf(want, sizeof(want), "POST /%d|3|abc", i);
        send_text(fd, text);
        assert_null(strstr(read_until(fd, want), "Connection:"));
    }
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    int fd;

    start(1, 0, 0);
    fd = dial();
    send_text(fd,
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy"
        "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /5 HTTP/1.1\r\nHost: a\r\n\r\n");
    read_until(fd, "GET /1|0|");
    read_until(fd, "POST /2|2|xy");
    read_until(fd, "POST /3|3|abc");
    answer(take_kept(), 200, "FOUR");
    read_until(fd, "FOUR");
    read_until(fd, "GET /5|0|");
    close(fd);
}

static void requests_may_come_octet_by_octet(void **state)
{
    static const char text[] = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nwxyz"
                               "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "4;x=y\r\nabcd\r\n0\r\nT: u\r\n\r\n";
    int fd, one = 1;

    start(1, 0, 0);
    fd = dial();
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
    read_until(fd, "POST /a|4|wxyz");
    read_until(fd, "POST /b|4|abcd");
    close(fd);
}

static void the_handlers_connection_close_is_honored(void **state)
{
    const char *a;

    start(1, 0, 0);
    a = ask("GET /close HTTP/1.1\r\nHost: a\r\n\r\n"); /* returns only when the server closes */
    assert_non_null(strstr(a, "\r\nConnection: close\r\n"));
    a = strstr(a, "Connection:");
    assert_null(strstr(a + 1, "Connection:"));
}

static void head_and_204_have_no_body(void **state)
{
    const char *a;

    start(1, 0, 0);
    a = ask("HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(a, "\r\nContent-Length: 10\r\n"));
    assert_string_equal(strstr(a, "\r\n\r\n"), "\r\n\r\n");
    a = ask("GET /204 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_status(a, 204);
    assert_null(strstr(a, "Content-Length"));
    assert_string_equal(strstr(a, "\r\n\r\n"), "\r\n\r\n");
}

static void expect_100_continue(void **state)
{
    int fd;

    start(1, 0, 0);
    fd = dial();
    send_text(fd, "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_string_equal(read_until(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    send_text(fd, "ab");
    read_until(fd, "POST /x|2|ab");
    /* what is refused is refused before the body */
    send_text(fd, "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100001\r\n\r\n");
    assert_status(read_all(fd), 413);
    close(fd);
}

static void what_is_no_request_is_refused_and_closed(void **state)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", 413},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n", 413},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"\x16\x03\x01\x02\r\n\r\n", 400},
        {"\x16\x03\x01\x02\x01", 400}, /* a TLS hello is answered at once */
    };

    start(1, 0, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *a = ask(cases[i].text);

        assert_status(a, cases[i].status);
        assert_non_null(strstr(a, "\r\nConnection: close\r\n"));
    }
}

/* The refusal arrives although the client went on sending: no reset under it. */
static void long_requests_are_refused_readably(void **state)
{
    static char big[300000];
    char *p;

    start(1, 0, 0);
    memset(big, 'a', sizeof(big) - 1);
    memcpy(big, "GET /", 5);
    assert_status(ask(big), 414);

    p = big + sprintf(big, "GET / HTTP/1.1\r\nHost: a\r\n");
    *p = 'X';
    memcpy(p + 100, ": y\r\n", 5);
    assert_status(ask(big), 431);

    memset(big, 'a', sizeof(big) - 1);
    memcpy(big, "GET /", 5);
    memcpy(big + 70000, " HTTP/1.1\r\nHost: a\r\n\r\n", 23);
    assert_status(ask(big), 414);

    memset(big, 'b', sizeof(big) - 1);
    p = big + sprintf(big, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 299000\r\n\r\n");
    *p = 'b';
    assert_status(ask(big), 413);
}

static void a_get_of_12_kib_arrives_untouched(void **state)
{
    static char text[14000], want[14000];
    int n, fd;

    start(1, 0, 0);
    n = sprintf(text, "GET /scep?operation=PKIOperation&message=");
    for (int i = 0; i < 12288; i++)
        text[n++] = "AB+/=%2"[i % 7];
    snprintf(want, sizeof(want), "%.*s|0|", n, text);
    strcpy(text + n, " HTTP/1.1\r\nHost: a\r\n\r\n");
    fd = dial();
    send_text(fd, text);
    read_until(fd, want);
    close(fd);
}

static void a_long_answer_arrives_whole(void **state)
{
    size_t n = 0;
    char buf[65536];
    ssize_t got;
    int fd;

    start(1, 0, 0);
    fd = dial();
    send_text(fd, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    read_until(fd, "\r\n\r\n");
    while ((got = recv(fd, buf, sizeof(buf), 0)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            if (buf[i] != 'x')
                fail_msg("octet %zu is damaged", n + (size_t)i);
        n += (size_t)got;
    }
    assert_int_equal(got, 0);
    assert_int_equal(n, 4 << 20);
    close(fd);
}

static double since(const struct timespec *t)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - t->tv_sec) + (double)(now.tv_nsec - t->tv_nsec) / 1e9;
}

/* One octet now and then does not hold a connection beyond the deadline. */
static void slow_clients_are_cut_off(void **state)
{
    static const char *const starts[] = {
        "", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n"};
    struct timespec begin;

    start(1, 0, 1);
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        int fd = dial();
        struct timeval step = {0, 100000};
        char c;

        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof(step));
        clock_gettime(CLOCK_MONOTONIC, &begin);
        send_text(fd, starts[i]);
        /* recv is the clock: it returns after 100 ms, or at once when the server closes */
        while (recv(fd, &c, 1, 0) < 0 && errno == EAGAIN && since(&begin) < 10)
            (void)!send(fd, i == 0 ? "" : "a", i == 0 ? 0 : 1, MSG_NOSIGNAL);
        assert_true(since(&begin) > 0.8);
        assert_true(since(&begin) < 5);
        close(fd);
    }
}

/* The deadline is the client's; what we ourselves take does not count. */
static void waiting_for_us_has_no_deadline(void **state)
{
    struct timeval step = {1, 500000};
    char c;
    int fd;

    start(1, 0, 1);
    fd = dial();
    send_text(fd, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof(step));
    assert_int_equal(recv(fd, &c, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    answer(take_kept(), 200, "LATE");
    read_until(fd, "LATE");
    close(fd);
}

static atomic_uint rounds;

static void count_round(void *cookie)
{
    atomic_fetch_add((atomic_uint *)cookie, 1);
}

static void *answer_all_held(void *cookie)
{
    mu_net_replies_hold();
    for (int i = 0; i < 6; i++)
        answer(take_kept(), 200, "HELD");
    mu_net_replies_release();
    answer(take_kept(), 200, "ALONE");
    return NULL;
}

/* Both workers are woken, once each; after release a wake-up is at once again. */
static void wake_ups_are_held_back_and_none_is_lost(void **state)
{
    pthread_t thread;
    int fds[7];

    start_with(2, 0, 0, count_round, &rounds);
    assert_int_equal(pthread_create(&thread, NULL, answer_all_held, NULL), 0);
    for (int i = 0; i < 7; i++) {
        fds[i] = dial();
        send_text(fds[i], "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
        if (i == 5)
            for (int k = 0; k < 6; k++)
                read_until(fds[k], "HELD");
    }
    read_until(fds[6], "ALONE");
    pthread_join(thread, NULL);
    for (int i = 0; i < 7; i++)
        close(fds[i]);
    assert_true(atomic_load(&rounds) >= 4);
}

static void *answer_from_thread(void *cookie)
{
    struct mu_net_reply *r = take_kept();
    char body[32];

    snprintf(body, sizeof(body), "worker %u", mu_net_reply_worker(r));
    answer(r, 202, body);
    return NULL;
}

static void answers_come_from_other_threads(void **state)
{
    enum { N = 40 };
    pthread_t threads[N];
    int fds[N];

    start(3, 0, 0);
    for (int i = 0; i < N; i++) {
        fds[i] = dial();
        send_text(fds[i], "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, answer_from_thread, NULL), 0);
    for (int i = 0; i < N; i++) {
        const char *a = read_until(fds[i], "worker ");

        assert_status(a, 202);
        close(fds[i]);
    }
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
}

static void an_answer_to_a_client_that_vanished_is_dropped(void **state)
{
    struct linger hard = {1, 0};

    start(2, 0, 0);
    for (int i = 0; i < 20; i++) {
        int fd = dial();

        send_text(fd, "POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
        if (i % 2 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)); /* close sends a reset */
        if (i == 0) {
            struct mu_net_reply *r = take_kept();

            close(fd);
            answer(r, 200, "nobody");
        } else {
            close(fd);
            answer(take_kept(), 200, "nobody");
        }
    }
    /* and the server lives */
    assert_status(ask("GET /x HTTP/1.0\r\n\r\n"), 200);
}

static void connections_beyond_the_ceiling_wait(void **state)
{
    struct timeval brief = {0, 200000}, limit = {20, 0};
    int held[3], more;
    char c;

    start(1, 3, 0);
    for (int i = 0; i < 3; i++) {
        held[i] = dial();
        send_text(held[i], "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        read_until(held[i], "GET /x|0|");
    }
    more = dial(); /* the kernel takes it, the worker does not */
    send_text(more, "GET /more HTTP/1.1\r\nHost: a\r\n\r\n");
    setsockopt(more, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
    assert_int_equal(recv(more, &c, 1, 0), -1);
    close(held[1]);
    setsockopt(more, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    read_until(more, "GET /more|0|");
    close(more);
    close(held[0]);
    close(held[2]);
}

static void ipv6_and_the_peers_address(void **state)
{
    struct mu_net_server_config config = {.workers = 1, .env = mu_fake_loop_env(fake)};
    struct mu_net_listener l = {.address = "::", .handler = handler};
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd;

    assert_int_equal(mu_net_server_new(&config, &server, NULL), MU_OK);
    assert_int_equal(mu_net_server_listen(server, &l, &port, NULL), MU_OK);
    assert_int_equal(mu_net_server_start(server, NULL), MU_OK);
    sa.sin6_port = htons(port);
    fd = dial_to((struct sockaddr *)&sa, sizeof(sa));
    send_text(fd, "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n");
    read_until(fd, "::1 unix=0 uid=-1 tls=0 port=1");
    close(fd);
    /* an IPv4 client of the same socket is named in IPv4's way */
    fd = dial();
    send_text(fd, "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n");
    read_until(fd, "\r\n\r\n127.0.0.1 unix=0 uid=-1 tls=0 port=1");
    close(fd);
}

static void unix_sockets_tell_the_uid_and_keep_their_mode(void **state)
{
    struct mu_net_server_config config = {.workers = 2, .env = mu_fake_loop_env(fake)};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/test-net-XXXXXX", address[128], want[64];
    struct mu_net_listener l = {.address = address, .handler = handler, .unix_mode = 0660};
    struct mu_net_server *second;
    struct mu_err err = {0};
    struct stat st;
    int fd;

    assert_non_null(mkdtemp(dir));
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", dir);
    snprintf(address, sizeof(address), "unix:%s", sa.sun_path);
    /* what a crashed server left is no obstacle */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    close(fd);

    assert_int_equal(mu_net_server_new(&config, &server, NULL), MU_OK);
    if (mu_net_server_listen(server, &l, NULL, &err) != MU_OK)
        fail_msg("%s", err.what);
    assert_int_equal(mu_net_server_start(server, NULL), MU_OK);
    assert_int_equal(stat(sa.sun_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    fd = dial_to((struct sockaddr *)&sa, sizeof(sa));
    snprintf(want, sizeof(want), "\r\n\r\n unix=1 uid=%lld tls=0 port=0", (long long)getuid());
    send_text(fd, "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n");
    read_until(fd, want);
    close(fd);

    /* a live one is */
    assert_int_equal(mu_net_server_new(&config, &second, NULL), MU_OK);
    assert_int_equal(mu_net_server_listen(second, &l, NULL, &err), MU_BUSY);
    mu_net_server_free(second);
    assert_int_equal(stat(sa.sun_path, &st), 0);

    mu_net_server_stop(server, 0);
    assert_int_equal(stat(sa.sun_path, &st), -1);
    rmdir(dir);
}

/* Whoever is in the group may be told apart, by the groups its process has. */
static void unix_sockets_know_members_of_their_group(void **state)
{
    struct mu_net_server_config config = {.workers = 1, .env = mu_fake_loop_env(fake)};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/test-net-XXXXXX", address[128];
    struct mu_net_listener l = {.address = address, .handler = handler, .unix_mode = 0660};
    const bool root = getuid() == 0;
    const gid_t other = 4242;
    struct stat st;
    int fd;

    assert_non_null(mkdtemp(dir));
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", dir);
    snprintf(address, sizeof(address), "unix:%s", sa.sun_path);
    l.unix_group = root ? other : getgid();
    assert_int_equal(mu_net_server_new(&config, &server, NULL), MU_OK);
    assert_int_equal(mu_net_server_listen(server, &l, NULL, NULL), MU_OK);
    assert_int_equal(mu_net_server_start(server, NULL), MU_OK);
    assert_int_equal(stat(sa.sun_path, &st), 0);
    assert_int_equal(st.st_gid, l.unix_group);
    if (root) {
        fd = dial_to((struct sockaddr *)&sa, sizeof(sa));
        send_text(fd, "GET /group HTTP/1.1\r\nHost: a\r\n\r\n");
        read_until(fd, "member=0");
        close(fd);
        assert_int_equal(setgroups(1, &other), 0);
    }
    fd = dial_to((struct sockaddr *)&sa, sizeof(sa));
    send_text(fd, "GET /group HTTP/1.1\r\nHost: a\r\n\r\n");
    read_until(fd, "member=1");
    close(fd);
    mu_net_server_stop(server, 0);
    rmdir(dir);
}

static void a_port_in_use_is_refused(void **state)
{
    struct mu_net_server_config config = {.workers = 2, .env = mu_fake_loop_env(fake)};
    struct mu_net_listener l = {.address = "127.0.0.1", .handler = handler};
    struct mu_net_server *second;
    struct mu_err err = {0};

    start(2, 0, 0);
    l.port = port;
    assert_int_equal(mu_net_server_new(&config, &second, NULL), MU_OK);
    assert_int_equal(mu_net_server_listen(second, &l, NULL, &err), MU_BUSY);
    assert_non_null(strstr(err.what, "cannot listen on 127.0.0.1 port "));
    l.port = 0;
    l.address = "not an address";
    assert_int_equal(mu_net_server_listen(second, &l, NULL, &err), MU_INPUT);
    l.address = "unix:";
    assert_int_equal(mu_net_server_listen(second, &l, NULL, &err), MU_INPUT);
    mu_net_server_free(second);
}

static void *stop_server(void *cookie)
{
    mu_net_server_stop(server, 20);
    return NULL;
}

static void stop_waits_for_owed_answers(void **state)
{
    int owed, idle;
    pthread_t t;
    struct mu_net_reply *r;

    start(2, 0, 0);
    owed = dial();
    send_text(owed, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    r = take_kept();
    idle = dial();
    send_text(idle, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    read_until(idle, "GET /x|0|");
    assert_int_equal(pthread_create(&t, NULL, stop_server, NULL), 0);
    assert_string_equal(read_all(idle), ""); /* closed: the stop is under way */
    answer(r, 200, "LAST");
    assert_non_null(strstr(read_all(owed), "\r\n\r\nLAST"));
    pthread_join(t, NULL);
    close(owed);
    close(idle);
}

static void answers_after_stop_and_after_free_are_dropped(void **state)
{
    struct mu_net_reply *a, *b;
    int fd[2];

    start(2, 0, 0);
    for (int i = 0; i < 2; i++) {
        fd[i] = dial();
        send_text(fd[i], "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    a = take_kept();
    b = take_kept();
    mu_net_server_stop(server, 0);
    assert_string_equal(read_all(fd[0]), "");
    answer(a, 200, "too late");
    mu_net_server_free(server);
    server = NULL;
    answer(b, 200, "far too late");
    close(fd[0]);
    close(fd[1]);
}

static void *hammer(void *cookie)
{
    unsigned *done = cookie;
    int fd = dial();

    for (int i = 0; i < 300; i++) {
        static const char text[] = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        char buf[512];
        size_t n = 0;

        if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(text) - 1)
            break;
        do {
            ssize_t got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);

            if (got <= 0)
                goto out;
            n += (size_t)got;
            buf[n] = '\0';
        } while (strstr(buf, "|3|abc") == NULL);
        ++*done;
    }
out:
    close(fd);
    return NULL;
}

static void many_clients_at_once(void **state)
{
    pthread_t t[8];
    unsigned done[8] = {0};

    start(3, 0, 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, &done[i]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(done[i], 300);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_complete),
        TEST(http_1_0_gets_a_length_and_a_close),
        TEST(http_1_0_may_keep_alive),
        TEST(one_connection_serves_many_requests),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(requests_may_come_octet_by_octet),
        TEST(the_handlers_connection_close_is_honored),
        TEST(head_and_204_have_no_body),
        TEST(expect_100_continue),
        TEST(what_is_no_request_is_refused_and_closed),
        TEST(long_requests_are_refused_readably),
        TEST(a_get_of_12_kib_arrives_untouched),
        TEST(a_long_answer_arrives_whole),
        TEST(slow_clients_are_cut_off),
        TEST(waiting_for_us_has_no_deadline),
        TEST(wake_ups_are_held_back_and_none_is_lost),
        TEST(answers_come_from_other_threads),
        TEST(an_answer_to_a_client_that_vanished_is_dropped),
        TEST(connections_beyond_the_ceiling_wait),
        TEST(ipv6_and_the_peers_address),
        TEST(unix_sockets_tell_the_uid_and_keep_their_mode),
        TEST(unix_sockets_know_members_of_their_group),
        TEST(a_port_in_use_is_refused),
        TEST(stop_waits_for_owed_answers),
        TEST(answers_after_stop_and_after_free_are_dropped),
        TEST(many_clients_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
