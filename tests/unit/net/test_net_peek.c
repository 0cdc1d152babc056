/* What a service presents: by TLS at once and behind STARTTLS, and why it could not be seen (M902). */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "net_fixture.h"

static struct fix_cert root, server;
static struct mu_http_peeked seen;
static struct mu_buf leaf;
static size_t seen_n;
static struct mu_err failed;

static int make_certs(void **state)
{
    (void)state;
    fix_cert_make(&root, &(struct fix_cert_spec){.cn = "Test Root", .ca = true}, NULL);
    fix_cert_make(&server, &(struct fix_cert_spec){.cn = "server", .san = "IP:127.0.0.1"}, &root);
    return 0;
}

static int clear_certs(void **state)
{
    (void)state;
    fix_cert_clear(&root);
    fix_cert_clear(&server);
    mu_buf_clear(&leaf);
    return 0;
}

static void on_seen(void *cookie, const struct mu_http_peeked *list, size_t n, const struct mu_err *err)
{
    (void)cookie;
    failed = err != NULL ? *err : (struct mu_err){.code = MU_OK};
    seen_n = n;
    mu_buf_clear(&leaf);
    mu_buf_init(&leaf, 65536);
    memset(&seen, 0, sizeof seen);
    if (n > 0) {
        seen = list[0];
        mu_buf_put_bytes(&leaf, list[0].leaf);
    }
    mu_loop_stop(fix_loop);
}

static void peek(const char *host, uint16_t port, const char *starttls, int timeout_s)
{
    const struct mu_http_peek what
        = {.host = host, .port = port, .starttls = starttls, .timeout_s = timeout_s};
    struct mu_http_peeking *p;

    assert_int_equal(mu_transport_peek(fix_client, &what, on_seen, NULL, &p, NULL), MU_OK);
    mu_loop_run(fix_loop);
}

static void nobody_asks(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    (void)cookie;
    (void)q;
    fix_reply(reply, 200, "");
}

static void sees_the_certificate_of_a_service_nobody_here_trusts(void **state)
{
    const struct mu_net_tls tls = {.key = server.key, .chain = server.chain};
    uint16_t port = fix_serve(nobody_asks, &tls);

    (void)state;
    peek("127.0.0.1", port, NULL, 0);
    assert_int_equal(seen_n, 1);
    assert_string_equal(seen.why, "");
    assert_string_equal(seen.address, "127.0.0.1");
    assert_true(mu_bytes_equal(mu_buf_bytes(&leaf), server.cert->der));
}

static void tells_why_nothing_is_seen(void **state)
{
    uint16_t plain = fix_serve(nobody_asks, NULL), silent = fix_serve_octets(NULL);

    (void)state;
    peek("127.0.0.1", plain, NULL, 2);
    assert_int_equal(leaf.n, 0);
    assert_string_not_equal(seen.why, "");
    peek("127.0.0.1", silent, NULL, 1);
    assert_string_equal(seen.why, "no answer in time");
    peek("127.0.0.1", 1, NULL, 1);
    assert_string_equal(seen.why, "Connection refused");
    peek("no-such-host.invalid", 443, NULL, 1);
    assert_int_equal(seen_n, 0);
    assert_int_equal(failed.reason, MU_M(101));
}

/* ---- STARTTLS: a service of a few lines in front of a TLS port ---- */

static const char *const *talk; /* what it says, then what it hears, in turns; NULL ends it */
static uint16_t tls_port;

static void *serve_starttls(void *cookie)
{
    int listener = *(int *)cookie, fd = accept(listener, NULL, NULL), up;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(tls_port)};
    char buf[4096];
    size_t i;

    for (i = 0; talk[i] != NULL; i++) {
        if (i % 2 == 0)
            (void)!write(fd, talk[i], strlen(talk[i]));
        else if (read(fd, buf, sizeof buf) <= 0)
            break;
    }
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    up = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(up, (struct sockaddr *)&to, sizeof to) == 0) { /* client speaks first, then the server */
        ssize_t n = read(fd, buf, sizeof buf);

        (void)!write(up, buf, n > 0 ? (size_t)n : 0);
        while ((n = read(up, buf, sizeof buf)) > 0 && write(fd, buf, (size_t)n) == n)
            shutdown(up, SHUT_WR);
    }
    close(up);
    close(fd);
    return NULL;
}

static void through(const char *word, const char *const *lines)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;

    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    talk = lines;
    assert_int_equal(pthread_create(&thread, NULL, serve_starttls, &fd), 0);
    peek("127.0.0.1", ntohs(at.sin_port), word, 3);
    pthread_join(thread, NULL);
    close(fd);
}

static void speaks_what_comes_before_tls(void **state)
{
    const struct mu_net_tls tls = {.key = server.key, .chain = server.chain};
    static const char *const smtp[] = {"220-mail\r\n220 ready\r\n", "", "250-mail\r\n250-SIZE 1\r\n250 STARTTLS\r\n",
        "", "220 go ahead\r\n", NULL};
    static const char *const imap[] = {"* OK ready\r\n", "", "a OK begin\r\n", NULL};
    static const char *const pop3[] = {"+OK ready\r\n", "", "+OK begin\r\n", NULL};
    static const char *const postgresql[] = {"", "", "S", NULL};

    (void)state;
    tls_port = fix_serve(nobody_asks, &tls);
    through("smtp", smtp);
    assert_string_equal(seen.why, "");
    assert_true(mu_bytes_equal(mu_buf_bytes(&leaf), server.cert->der));
    through("imap", imap);
    assert_true(mu_bytes_equal(mu_buf_bytes(&leaf), server.cert->der));
    through("pop3", pop3);
    assert_true(mu_bytes_equal(mu_buf_bytes(&leaf), server.cert->der));
    through("postgresql", postgresql);
    assert_true(mu_bytes_equal(mu_buf_bytes(&leaf), server.cert->der));
}

static void a_service_without_starttls_is_told(void **state)
{
    static const char *const refuses[] = {"220 ready\r\n", "", "250 mail\r\n", "", "454 not now\r\n", NULL};
    static const char *const no_tls[] = {"", "", "N", NULL};

    (void)state;
    through("smtp", refuses);
    assert_string_equal(seen.why, "the service does not offer STARTTLS here");
    through("postgresql", no_tls);
    assert_string_equal(seen.why, "the service does not offer TLS");
}

static void a_canceled_one_tells_nobody(void **state)
{
    const struct mu_http_peek what = {.host = "127.0.0.1", .port = 1};
    struct mu_http_peeking *p;

    (void)state;
    seen_n = 77;
    assert_int_equal(mu_transport_peek(fix_client, &what, on_seen, NULL, &p, NULL), MU_OK);
    fix_client->ops->peek_cancel(fix_client, p);
    peek("127.0.0.1", 1, NULL, 1); /* comes behind it */
    assert_int_equal(seen_n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            sees_the_certificate_of_a_service_nobody_here_trusts, fix_setup, fix_teardown),
        cmocka_unit_test_setup_teardown(tells_why_nothing_is_seen, fix_setup, fix_teardown),
        cmocka_unit_test_setup_teardown(speaks_what_comes_before_tls, fix_setup, fix_teardown),
        cmocka_unit_test_setup_teardown(a_service_without_starttls_is_told, fix_setup, fix_teardown),
        cmocka_unit_test_setup_teardown(a_canceled_one_tells_nobody, fix_setup, fix_teardown),
    };

    return cmocka_run_group_tests(tests, make_certs, clear_certs);
}
