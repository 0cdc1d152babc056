/* A command asks the program that runs: answers, nobody there, somebody who does not answer. */
#include "net/net_ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_loop.h"
#include "net/net_server.h"

static char dir[64], path[200];
static struct mu_loop *fake;
static struct mu_net_server *server;

static void handler(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    struct mu_http_response r = {0};
    struct mu_buf b = {0};

    mu_buf_putf(&b, "%s %s %.*s", q->method, q->target, (int)q->body.n, (const char *)q->body.p);
    if (mu_http_response_set(&r, q->body.n > 0 ? 403 : 200, "text/plain", mu_buf_bytes(&b), NULL) != MU_OK)
        abort();
    mu_buf_clear(&b);
    mu_net_reply_send(reply, &r);
}

static int setup(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/test-ask-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    fake = mu_fake_loop_new();
    return 0;
}

static int teardown(void **state)
{
    mu_net_server_free(server);
    server = NULL;
    mu_fake_loop_free(fake);
    unlink(path);
    rmdir(dir);
    return 0;
}

static void serve(void)
{
    const struct mu_net_server_config config = {.workers = 1, .env = mu_fake_loop_env(fake)};
    struct mu_net_ask_path where;
    char address[128];
    struct mu_net_listener l = {.address = address, .handler = handler, .unix_mode = 0600};

    assert_int_equal(mu_net_ask_path_open(path, &where, NULL), MU_OK);
    snprintf(address, sizeof address, "unix:%s", where.text);
    assert_int_equal(mu_net_server_new(&config, &server, NULL), MU_OK);
    assert_int_equal(mu_net_server_listen(server, &l, NULL, NULL), MU_OK);
    assert_int_equal(mu_net_server_start(server, NULL), MU_OK);
    mu_net_ask_path_close(&where);
}

static void answers_come_with_their_status(void **state)
{
    struct mu_net_ask ask = {.path = path, .method = "GET", .target = "/v1/a?b=c"};
    struct mu_buf out = {0};
    int status = 0;

    serve();
    assert_int_equal(mu_net_ask(&ask, &status, &out, NULL), MU_OK);
    assert_int_equal(status, 200);
    assert_string_equal(mu_buf_str(&out), "GET /v1/a?b=c ");
    mu_buf_reset(&out);
    ask.method = "POST";
    ask.body = mu_bytes_str("{\"x\":1}");
    assert_int_equal(mu_net_ask(&ask, &status, &out, NULL), MU_OK);
    assert_int_equal(status, 403);
    assert_string_equal(mu_buf_str(&out), "POST /v1/a?b=c {\"x\":1}");
    mu_buf_clear(&out);
}

static void a_long_path_is_no_obstacle(void **state)
{
    const struct mu_net_ask ask = {.path = path, .method = "GET", .target = "/"};
    char deep[200];
    struct mu_buf out = {0};
    int status = 0;

    snprintf(deep, sizeof deep, "%s/%0100d", dir, 0);
    assert_int_equal(mkdir(deep, 0700), 0);
    assert_true(snprintf(path, sizeof path, "%s/s", deep) > 108);
    serve();
    assert_int_equal(mu_net_ask(&ask, &status, &out, NULL), MU_OK);
    assert_int_equal(status, 200);
    mu_buf_clear(&out);
    mu_net_server_free(server);
    server = NULL;
    unlink(path);
    rmdir(deep);
}

static void nobody_there_is_told_apart(void **state)
{
    const struct mu_net_ask ask = {.path = path, .method = "GET", .target = "/"};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct mu_buf out = {0};
    struct mu_err err = {0};
    int status, fd;

    assert_int_equal(mu_net_ask(&ask, &status, &out, &err), MU_NOT_FOUND); /* no socket */
    assert_int_equal(err.reason, MU_M(102));
    fd = socket(AF_UNIX, SOCK_STREAM, 0); /* one that a crash left */
    snprintf(sa.sun_path, sizeof sa.sun_path, "%.100s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(mu_net_ask(&ask, &status, &out, &err), MU_NOT_FOUND);
    assert_int_equal(err.reason, MU_M(102));
    assert_int_equal(listen(fd, 1), 0); /* one that never answers */
    {
        const struct mu_net_ask soon = {.path = path, .method = "GET", .target = "/", .wait_s = 1};

        assert_int_equal(mu_net_ask(&soon, &status, &out, &err), MU_NETWORK);
        assert_int_equal(err.reason, MU_M(103));
    }
    close(fd);
    mu_buf_clear(&out);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(answers_come_with_their_status),
        TEST(a_long_path_is_no_obstacle),
        TEST(nobody_there_is_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
