/* The transport interface, as the fake one keeps its promises: answers come on the loop, a closed
 * session hears nothing more, failures are told as told. */
#include "fake_transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "fake_loop.h"

static struct mu_loop *loop;
static struct mu_transport *transport;
static struct mu_http_session *session;
static struct mu_fake_exchange *later;
static char last[1024];
static unsigned served;
static struct mu_err fault;

static void serve(void *cookie, const struct mu_http_request *q, struct mu_http_response *r, struct mu_err *err)
{
    char text[128];

    served++;
    snprintf(text, sizeof(text), "%s %s %s %.*s", q->method, q->target, q->peer->address,
        (int)q->body.n, (const char *)q->body.p);
    if (strstr(q->target, "/fail") != NULL)
        mu_err_set(err, MU_DENIED, MU_REASON_NONE, "as asked");
    else
        assert_int_equal(mu_http_response_set(r, 200, "text/plain", mu_bytes_str(text), NULL), MU_OK);
}

static void serve_later(void *cookie, const struct mu_http_request *q, struct mu_fake_exchange *x)
{
    served++;
    later = x;
}

static void done(void *cookie, struct mu_http_response *response, const struct mu_http_facts *facts,
    const struct mu_err *err)
{
    assert_true((response == NULL) != (err == NULL));
    snprintf(last, sizeof(last), "%s%s", response != NULL ? mu_buf_str(&response->body) : err->what,
        facts->reused ? " (reused)" : "");
    if (err != NULL)
        fault = *err;
}

static void begin(mu_fake_serve_later *f)
{
    struct mu_http_session_spec spec = {0};

    loop = mu_fake_loop_new();
    transport = f != NULL ? mu_fake_transport_new_later(loop, f, NULL)
                          : mu_fake_transport_new(loop, serve, NULL);
    assert_int_equal(mu_transport_open(transport, &spec, &session, NULL), MU_OK);
    served = 0;
    last[0] = '\0';
}

static int end(void **state)
{
    mu_transport_close(session);
    session = NULL;
    mu_fake_transport_free(transport);
    mu_fake_loop_free(loop);
    return 0;
}

static void ask(const char *target)
{
    char own[64], body[] = "b";
    struct mu_http_request r = {.method = "POST", .target = own, .body = mu_bytes(body, 1)};

    strcpy(own, target);
    last[0] = '\0';
    assert_int_equal(mu_transport_send(session, &r, done, NULL, NULL), MU_OK);
    memset(own, '!', 10); /* the request was copied */
    body[0] = '!';
    assert_string_equal(last, ""); /* never before send returns */
}

static void answers_come_on_the_loop(void **state)
{
    begin(NULL);
    ask("http://h/x?y=+");
    mu_fake_loop_run_until_idle(loop);
    assert_string_equal(last, "POST http://h/x?y=+ 192.0.2.1 b");
    mu_fake_transport_strip(transport);
    ask("http://h/x?y=+");
    mu_fake_loop_run_until_idle(loop);
    assert_string_equal(last, "POST /x?y=+ 192.0.2.1 b (reused)");
    ask("http://h/fail");
    mu_fake_loop_run_until_idle(loop);
    assert_int_equal(fault.code, MU_DENIED);
    assert_int_equal(mu_fake_transport_sends(transport), 3);
}

static void failures_are_scripted(void **state)
{
    begin(NULL);
    mu_fake_transport_fail(transport, 2, MU_NETWORK, MU_M(102));
    for (int i = 0; i < 2; i++) {
        ask("http://h/x");
        mu_fake_loop_run_until_idle(loop);
        assert_int_equal(fault.reason, MU_M(102));
    }
    assert_int_equal(served, 0);
    mu_fake_transport_lose_answers(transport, 1);
    ask("http://h/x");
    mu_fake_loop_run_until_idle(loop);
    assert_int_equal(fault.reason, MU_M(103));
    assert_int_equal(served, 1); /* the server has seen it */
    ask("http://h/x");
    mu_fake_loop_run_until_idle(loop);
    assert_string_equal(last, "POST http://h/x 192.0.2.1 b");
}

static void a_closed_session_hears_nothing(void **state)
{
    begin(NULL);
    ask("http://h/x");
    mu_transport_close(session);
    session = NULL;
    mu_fake_loop_run_until_idle(loop);
    assert_string_equal(last, "");
    assert_int_equal(served, 0);
    assert_int_equal(mu_fake_transport_sessions(transport), 0);
}

static void late_answers(void **state)
{
    struct mu_http_response r = {0};
    struct mu_http_session_spec spec = {0};

    begin(serve_later);
    ask("http://h/x");
    mu_fake_loop_run_until_idle(loop);
    assert_int_equal(served, 1);
    assert_string_equal(last, "");
    assert_int_equal(mu_http_response_set(&r, 200, NULL, mu_bytes_str("late"), NULL), MU_OK);
    mu_fake_exchange_answer(later, &r, NULL);
    mu_fake_loop_run_until_idle(loop);
    assert_string_equal(last, "late");
    /* the client went before the answer */
    ask("http://h/x");
    mu_fake_loop_run_until_idle(loop);
    mu_transport_close(session);
    assert_int_equal(mu_http_response_set(&r, 200, NULL, mu_bytes_str("nobody"), NULL), MU_OK);
    last[0] = '\0';
    mu_fake_exchange_answer(later, &r, NULL);
    mu_fake_loop_run_until_idle(loop);
    assert_string_equal(last, "");
    assert_int_equal(mu_transport_open(transport, &spec, &session, NULL), MU_OK);
}

/* ---- the loop under it ---- */

static void tick(void *cookie)
{
    size_t n = strlen(last);

    snprintf(last + n, sizeof(last) - n, "%s@%lld ", (const char *)cookie,
        (long long)(mu_fake_loop_now_ms(loop) - MU_FAKE_LOOP_START_S * 1000LL));
}

static char a[] = "a", b[] = "b", c[] = "c";

static void time_jumps_to_the_next_timer(void **state)
{
    struct mu_loop_timer *t[3];
    const struct mu_env *env;

    begin(NULL);
    env = mu_fake_loop_env(loop);
    t[0] = mu_loop_after(loop, 3600000, tick, c);
    t[1] = mu_loop_after(loop, 1000, tick, a);
    t[2] = mu_loop_after(loop, 1000, tick, b);
    assert_int_equal(mu_fake_loop_timers(loop), 3);
    assert_int_equal(mu_fake_loop_next_timer_ms(loop), 1000);
    mu_fake_loop_run_for(loop, 1500);
    assert_string_equal(last, "a@1000 b@1000 ");
    assert_int_equal(mu_fake_loop_now_ms(loop), MU_FAKE_LOOP_START_S * 1000LL + 1500);
    mu_fake_loop_run_until_idle(loop);
    assert_string_equal(last, "a@1000 b@1000 c@3600000 ");
    assert_int_equal(mu_env_now(env), MU_FAKE_LOOP_START_S + 3600);
    for (int i = 0; i < 3; i++)
        mu_loop_timer_free(loop, t[i]);
    /* a clock that is set moves no timer */
    t[0] = mu_loop_after(loop, 10, tick, a);
    mu_fake_loop_set_now(loop, 5000);
    assert_int_equal(mu_fake_loop_next_timer_ms(loop), 10);
    mu_loop_timer_free(loop, t[0]);
    assert_int_equal(mu_fake_loop_next_timer_ms(loop), -1);
}

static void randomness_repeats_and_the_trace_is_kept(void **state)
{
    uint8_t x[16], y[16];
    const struct mu_env *env;

    begin(NULL);
    env = mu_fake_loop_env(loop);
    mu_fake_loop_seed(loop, 7);
    assert_int_equal(mu_env_random(env, x, sizeof(x), NULL), MU_OK);
    assert_int_equal(mu_env_random(env, y, sizeof(y), NULL), MU_OK);
    assert_memory_not_equal(x, y, sizeof(x));
    mu_fake_loop_seed(loop, 7);
    assert_int_equal(mu_env_random(env, y, sizeof(y), NULL), MU_OK);
    assert_memory_equal(x, y, sizeof(x));
    mu_trace(env, MU_PROTO_SCEP, MU_TRACE_HTTP, "GET %s", "/x");
    mu_trace(env, MU_PROTO_NONE, MU_TRACE_RESULT, "ok (0)");
    assert_string_equal(mu_fake_loop_trace(loop), "scep http: GET /x\nresult: ok (0)\n");
    mu_fake_loop_trace_reset(loop);
    assert_string_equal(mu_fake_loop_trace(loop), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(answers_come_on_the_loop, end),
        cmocka_unit_test_teardown(failures_are_scripted, end),
        cmocka_unit_test_teardown(a_closed_session_hears_nothing, end),
        cmocka_unit_test_teardown(late_answers, end),
        cmocka_unit_test_teardown(time_jumps_to_the_next_timer, end),
        cmocka_unit_test_teardown(randomness_repeats_and_the_trace_is_kept, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
