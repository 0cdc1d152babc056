/* Lines of the event log: fields, filters, the last of them, JSON. */
#include "agent/agent_log.h"

#include "kit.h"

#include <stdio.h>

#define LINE(text) mu_bytes_str(text)

static const char signed_line[] =
    "date=2025-11-20 time=18:40:05 tz=+0100 type=event subtype=system level=notice "
    "action=certificate-generate status=success name=\"web 1\" method=renew "
    "msg=\"he said \\\"no\\\" \\\\ \\x07\" txn=";

static void fields_are_found_and_unescaped(void **state)
{
    struct mu_buf v = {0};

    assert_true(mu_agent_log_field(LINE(signed_line), "status", &v));
    assert_string_equal(mu_buf_str(&v), "success");
    assert_true(mu_agent_log_field(LINE(signed_line), "name", &v));
    assert_string_equal(mu_buf_str(&v), "web 1");
    assert_true(mu_agent_log_field(LINE(signed_line), "msg", &v));
    assert_string_equal(mu_buf_str(&v), "he said \"no\" \\ \\x07");
    assert_true(mu_agent_log_field(LINE(signed_line), "txn", &v));
    assert_string_equal(mu_buf_str(&v), "");
    assert_false(mu_agent_log_field(LINE(signed_line), "said", &v));
    assert_false(mu_agent_log_field(LINE("garbage without sense"), "garbage", &v));
    assert_false(mu_agent_log_field(LINE("a=\"never ends"), "b", &v));
    assert_false(mu_agent_log_field(LINE(""), "a", &v));
    mu_buf_clear(&v);
}

static void time_is_of_its_zone(void **state)
{
    assert_int_equal(mu_agent_log_time(LINE(signed_line)), 1763660405);
    assert_int_equal(mu_agent_log_time(LINE("date=2025-11-20 time=17:40:05 tz=+0000")), 1763660405);
    assert_int_equal(mu_agent_log_time(LINE("date=2025-11-20 time=12:10:05 tz=-0530")), 1763660405);
    assert_int_equal(mu_agent_log_time(LINE("date=2025-13-20 time=17:40:05")), 0);
    assert_int_equal(mu_agent_log_time(LINE("time=17:40:05")), 0);
}

static void filters_are_all_to_fit(void **state)
{
    const struct {
        struct mu_agent_log_filter filter;
        bool fits;
    } cases[] = {
        {{0}, true},
        {{.name = "web 1"}, true},
        {{.name = "web"}, false},
        {{.action = "certificate-generate", .subtype = "system"}, true},
        {{.action = "certificate-generate", .subtype = "vpn"}, false},
        {{.since_s = 1763660405}, true},
        {{.since_s = 1763660406}, false},
        {{.level = "notice", .status = "failure"}, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(mu_agent_log_matches(&cases[i].filter, LINE(signed_line)), cases[i].fits);
}

static void put(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    mu_buf_putf(cookie, "%.*s|", (int)line.n, (const char *)line.p);
}

static void the_last_that_fit_are_read(void **state)
{
    struct kit *kit = *state;
    const struct mu_agent_log_filter odd = {.name = "odd"};
    struct mu_keystore_log_place place = {0};
    struct mu_buf seen = {0};

    for (int i = 1; i <= 6; i++) {
        char line[40];

        snprintf(line, sizeof line, "name=%s n=%d", i % 2 ? "odd" : "even", i);
        assert_int_equal(mu_keystore_log_append(kit->store, LINE(line), NULL), MU_OK);
    }
    assert_int_equal(mu_agent_log_read(kit->store, &odd, 2, &place, put, &seen, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&seen), "name=odd n=3|name=odd n=5|");
    mu_buf_reset(&seen);
    assert_int_equal(mu_agent_log_read(kit->store, &odd, 0, &place, put, &seen, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&seen), "");
    assert_int_equal(mu_keystore_log_append(kit->store, LINE("name=odd n=7"), NULL), MU_OK);
    assert_int_equal(mu_agent_log_read(kit->store, &odd, 0, &place, put, &seen, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&seen), "name=odd n=7|");
    mu_buf_clear(&seen);
}

static void a_line_becomes_an_object(void **state)
{
    struct mu_buf out = {0};
    struct mu_agent_json j = {.out = &out};

    mu_agent_log_json(&j, NULL, LINE("a=1 msg=\"x \\\"y\\\"\" code=M312"));
    assert_string_equal(mu_buf_str(&out), "{\"a\":\"1\",\"msg\":\"x \\\"y\\\"\",\"code\":\"M312\"}");
    mu_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_and_unescaped),
        cmocka_unit_test(time_is_of_its_zone),
        cmocka_unit_test(filters_are_all_to_fit),
        cmocka_unit_test_setup_teardown(the_last_that_fit_are_read, kit_setup, kit_teardown),
        cmocka_unit_test(a_line_becomes_an_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
