/* The writer of --json: commas, escapes, nulls, text that is no UTF-8. */
#include "agent/agent_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void objects_arrays_and_commas(void **state)
{
    struct mu_buf out = {0};
    struct mu_agent_json j = {.out = &out};

    mu_agent_json_open(&j, NULL, '{');
    mu_agent_json_text(&j, "schema", "muster/1");
    mu_agent_json_open(&j, "a", '[');
    mu_agent_json_open(&j, NULL, '{');
    mu_agent_json_int(&j, "n", -5);
    mu_agent_json_bool(&j, "b", true);
    mu_agent_json_close(&j, '}');
    mu_agent_json_open(&j, NULL, '{');
    mu_agent_json_close(&j, '}');
    mu_agent_json_close(&j, ']');
    mu_agent_json_null(&j, "z");
    mu_agent_json_close(&j, '}');
    assert_string_equal(
        mu_buf_str(&out), "{\"schema\":\"muster/1\",\"a\":[{\"n\":-5,\"b\":true},{}],\"z\":null}");
    mu_buf_clear(&out);
}

static void text_is_escaped(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "\"k\":\"plain\""},
        {"a\"b\\c", "\"k\":\"a\\\"b\\\\c\""},
        {"line\nnext\ttab\x01", "\"k\":\"line\\nnext\\u0009tab\\u0001\""},
        {"\xc3\xa9", "\"k\":\"\xc3\xa9\""},
        {"bad\xff", "\"k\":\"bad\\\\xff\""},
        {NULL, "\"k\":null"},
        {"", "\"k\":\"\""},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_buf out = {0};
        struct mu_agent_json j = {.out = &out};

        mu_agent_json_text(&j, "k", cases[i].in);
        assert_string_equal(mu_buf_str(&out), cases[i].out);
        mu_buf_clear(&out);
    }
}

static void times_and_lists(void **state)
{
    struct mu_buf out = {0};
    struct mu_agent_json j = {.out = &out};

    mu_agent_json_time(&j, "t", 0);
    mu_agent_json_time(&j, "u", 1763660405);
    mu_agent_json_list(&j, "l", "C=NL removed, OU=AS added", ", ");
    mu_agent_json_list(&j, "m", NULL, ", ");
    mu_agent_json_list(&j, "n", "a\n\nb\n", "\n");
    assert_string_equal(mu_buf_str(&out),
        "\"t\":null,\"u\":\"2025-11-20T17:40:05Z\","
        "\"l\":[\"C=NL removed\",\"OU=AS added\"],\"m\":[],\"n\":[\"a\",\"b\"]");
    mu_buf_clear(&out);
}

static void ranked_causes_become_lines(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"1. too early; 2. a challenge is wanted; or both; 3. other",
            "too early\na challenge is wanted; or both\nother"},
        {"1. alone", "alone"},
        {"Typo; no DNS yet at boot.", "Typo; no DNS yet at boot."},
        {"", ""},
        {NULL, ""},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_buf out = {0};

        assert_true(mu_agent_json_causes(cases[i].in, &out));
        assert_string_equal(mu_buf_str(&out), cases[i].out);
        mu_buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_arrays_and_commas),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(times_and_lists),
        cmocka_unit_test(ranked_causes_become_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
