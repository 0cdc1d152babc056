/* Clock, randomness and trace as pure code gets them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/env.h"

struct fake {
    int64_t now_s;
    bool has_random;
    unsigned events;
    enum mu_proto proto;
    enum mu_trace_step step;
    char text[4096];
};

static int64_t fake_now(void *ctx)
{
    return ((struct fake *)ctx)->now_s;
}

static bool fake_random(void *ctx, uint8_t *p, size_t n)
{
    memset(p, 0x5a, n);
    return ((struct fake *)ctx)->has_random;
}

static void fake_trace(void *ctx, const struct mu_trace_event *event)
{
    struct fake *fake = ctx;

    fake->events++;
    fake->proto = event->proto;
    fake->step = event->step;
    snprintf(fake->text, sizeof fake->text, "%s", event->text);
}

static void time_and_randomness_come_from_the_caller(void **state)
{
    struct fake fake = {.now_s = 1732189931, .has_random = true};
    struct mu_env env = {.now = fake_now, .random = fake_random, .ctx = &fake};
    uint8_t p[4];

    assert_int_equal(mu_env_now(&env), 1732189931);
    assert_int_equal(mu_env_random(&env, p, sizeof p, NULL), MU_OK);
    assert_int_equal(p[3], 0x5a);
    fake.has_random = false;
    assert_int_equal(mu_env_random(&env, p, sizeof p, NULL), MU_INTERNAL);
}

static void a_trace_line_reaches_who_listens_escaped(void **state)
{
    struct fake fake = {0};
    struct mu_env env = {.trace = fake_trace, .ctx = &fake};

    assert_true(mu_trace_on(&env));
    mu_trace(&env, MU_PROTO_SCEP, MU_TRACE_CAPS, "%s %d", "AES\r\nfake: line", 7);
    assert_int_equal(fake.events, 1);
    assert_int_equal(fake.proto, MU_PROTO_SCEP);
    assert_int_equal(fake.step, MU_TRACE_CAPS);
    assert_string_equal(fake.text, "AES\\x0d\\x0afake: line 7");
}

static void a_long_trace_line_is_whole(void **state)
{
    struct fake fake = {0};
    struct mu_env env = {.trace = fake_trace, .ctx = &fake};

    mu_trace(&env, MU_PROTO_EST, MU_TRACE_REQUEST, "%03000d|", 1);
    assert_int_equal(strlen(fake.text), 3001);
    assert_int_equal(fake.text[3000], '|');
}

static void nobody_has_to_listen(void **state)
{
    struct mu_env env = {0};

    mu_trace(&env, MU_PROTO_SCEP, MU_TRACE_CAPS, "%d", 1);
    mu_trace(NULL, MU_PROTO_SCEP, MU_TRACE_CAPS, "%d", 1);
    assert_false(mu_trace_on(&env));
    assert_false(mu_trace_on(NULL));
}

static void names_of_protocols_and_steps(void **state)
{
    static const char *const steps[] = {"start", "trust", "resolve", "connect", "tls", "auth",
        "http", "caps", "ca", "csrattrs", "request", "reply", "poll", "cert", "changed", "saved",
        "confirm", "result", "check"};
    size_t i;

    assert_string_equal(mu_proto_name(MU_PROTO_NONE), "");
    assert_string_equal(mu_proto_name(MU_PROTO_SCEP), "scep");
    assert_string_equal(mu_proto_name(MU_PROTO_EST), "est");
    assert_string_equal(mu_proto_name(MU_PROTO_CMP), "cmp");
    assert_int_equal(mu_proto_parse("scep"), MU_PROTO_SCEP);
    assert_int_equal(mu_proto_parse("est"), MU_PROTO_EST);
    assert_int_equal(mu_proto_parse("cmp"), MU_PROTO_CMP);
    assert_int_equal(mu_proto_parse("SCEP"), MU_PROTO_NONE);
    assert_int_equal(mu_proto_parse(""), MU_PROTO_NONE);
    assert_int_equal(mu_proto_parse(NULL), MU_PROTO_NONE);
    assert_int_equal(sizeof steps / sizeof steps[0], MU_TRACE_CHECK + 1);
    for (i = 0; i <= MU_TRACE_CHECK; i++)
        assert_string_equal(mu_trace_step_name((enum mu_trace_step)i), steps[i]);
    assert_string_equal(mu_trace_step_name((enum mu_trace_step)99), "");
}

static void the_systems_randomness_differs_from_call_to_call(void **state)
{
    struct mu_env env = mu_env_system();
    uint8_t a[32] = {0}, b[32] = {0};

    assert_int_equal(mu_env_random(&env, a, sizeof a, NULL), MU_OK);
    assert_int_equal(mu_env_random(&env, b, sizeof b, NULL), MU_OK);
    assert_memory_not_equal(a, b, sizeof a);
    assert_null(env.trace);
}

/* Other builds ignore the variable: nothing is shifted before a program allows it. */
static void the_clock_is_shifted_only_after_it_was_allowed(void **state)
{
    static const struct {
        const char *text;
        int64_t shift_s;
    } cases[] = {{"86400", 86400}, {"-3600", -3600}, {"", 0}, {"1d", 0}, {"99999999999999", 0}};
    struct mu_env env = mu_env_system();
    int64_t now;
    size_t i;

    setenv("MUSTER_CLOCK_SHIFT", "86400", 1);
    assert_int_equal(mu_env_system_shift(), 0);
    now = (int64_t)time(NULL);
    assert_in_range(mu_env_now(&env), now, now + 100);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setenv("MUSTER_CLOCK_SHIFT", cases[i].text, 1);
        mu_env_system_allow_shift();
        assert_int_equal(mu_env_system_shift(), cases[i].shift_s);
        now = (int64_t)time(NULL) + cases[i].shift_s;
        assert_in_range(mu_env_now(&env), now, now + 100);
    }
    unsetenv("MUSTER_CLOCK_SHIFT");
    mu_env_system_allow_shift();
    assert_int_equal(mu_env_system_shift(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_and_randomness_come_from_the_caller),
        cmocka_unit_test(a_trace_line_reaches_who_listens_escaped),
        cmocka_unit_test(a_long_trace_line_is_whole),
        cmocka_unit_test(nobody_has_to_listen),
        cmocka_unit_test(names_of_protocols_and_steps),
        cmocka_unit_test(the_systems_randomness_differs_from_call_to_call),
        cmocka_unit_test(the_clock_is_shifted_only_after_it_was_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
