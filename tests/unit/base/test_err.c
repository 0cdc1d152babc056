/* Filling and printing a mu_err. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/err.h"
#include "base/text.h"

static void an_error_says_what_the_finder_wrote(void **state)
{
    struct mu_err err = {.likely = "old", .next = "old"};

    assert_int_equal(mu_err_set(&err, MU_AUTH, MU_M(325), "scep: no %s (RFC 8894 3.2.1.5)",
                         "recipientNonce"),
        MU_AUTH);
    assert_int_equal(err.code, MU_AUTH);
    assert_int_equal(err.reason, 325);
    assert_string_equal(err.what, "scep: no recipientNonce (RFC 8894 3.2.1.5)");
    assert_string_equal(err.likely, "");
    assert_string_equal(err.next, "");
    assert_string_equal(mu_err_likely_text(&err), mu_err_row(MU_M(325))->likely);
    assert_string_equal(mu_err_next_text(&err), mu_err_row(MU_M(325))->next);
    mu_err_clear(&err);
    assert_int_equal(err.code, MU_OK);
    assert_string_equal(err.what, "");
}

static void nobody_has_to_take_the_error(void **state)
{
    assert_int_equal(mu_err_set(NULL, MU_DENIED, MU_M(312), "x"), MU_DENIED);
    assert_int_equal(mu_err_context(NULL, "entry"), MU_INTERNAL);
    mu_err_narrow(NULL, MU_M(314));
    mu_err_likely(NULL, "x");
    mu_err_next(NULL, "x");
    mu_err_clear(NULL);
}

static void context_goes_in_front_and_keeps_the_rest(void **state)
{
    struct mu_err err = {0};

    mu_err_set(&err, MU_DENIED, MU_M(312), "refused");
    mu_err_likely(&err, "too early");
    mu_err_next(&err, "wait %d days", 3);
    assert_int_equal(mu_err_context(&err, "entry '%s'", "gw"), MU_DENIED);
    mu_err_narrow(&err, MU_M(314));
    assert_string_equal(err.what, "entry 'gw': refused");
    assert_int_equal(err.reason, 314);
    assert_string_equal(mu_err_likely_text(&err), "too early");
    assert_string_equal(mu_err_next_text(&err), "wait 3 days");
}

static void an_error_may_quote_itself(void **state)
{
    struct mu_err err = {0};

    mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "inner");
    mu_err_set(&err, MU_NETWORK, MU_M(102), "outer (%s)", err.what);
    assert_string_equal(err.what, "outer (inner)");
}

/* However the cut falls, what is left is whole characters. */
static void long_text_is_cut_between_characters(void **state)
{
    static const char *const chars[] = {"x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x94\x91"};
    char text[2048];
    size_t c, lead, n;

    for (c = 0; c < 4; c++) {
        for (lead = 0; lead < 4; lead++) {
            struct mu_err err = {0};
            struct mu_err other = {0};

            memset(text, '.', lead);
            for (n = lead; n + 5 < sizeof text; n += strlen(chars[c]))
                memcpy(text + n, chars[c], strlen(chars[c]) + 1);
            mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "%s", text);
            assert_true(mu_text_is_utf8(mu_bytes_str(err.what)));
            assert_in_range(strlen(err.what), sizeof err.what - 4, sizeof err.what - 1);
            mu_err_likely(&err, "%s", text);
            assert_true(mu_text_is_utf8(mu_bytes_str(err.likely)));
            assert_in_range(strlen(err.likely), sizeof err.likely - 4, sizeof err.likely - 1);
            mu_err_set(&other, MU_INPUT, MU_REASON_NONE, "%s", text);
            mu_err_context(&other, "entry");
            assert_true(mu_text_starts(other.what, "entry: "));
            assert_true(mu_text_is_utf8(mu_bytes_str(other.what)));
            assert_in_range(strlen(other.what), sizeof other.what - 4, sizeof other.what - 1);
        }
    }
}

static void text_that_just_fits_is_not_cut(void **state)
{
    char text[sizeof((struct mu_err *)0)->what];
    struct mu_err err = {0};

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "%s", text);
    assert_string_equal(err.what, text);
}

static void exit_codes_follow_the_reason_then_the_code(void **state)
{
    static const struct {
        enum mu_code code;
        int reason;
        int exit;
    } cases[] = {
        {MU_OK, 0, 0}, {MU_OK, 312, 0},
        {MU_INPUT, 0, 1}, {MU_NOT_FOUND, 0, 1}, {MU_MEMORY, 0, 1}, {MU_INTERNAL, 0, 1},
        {MU_UNSUPPORTED, 0, 1}, {MU_DENIED, 0, 2}, {MU_NETWORK, 0, 3}, {MU_BUSY, 0, 3},
        {MU_PENDING, 0, 5}, {MU_AUTH, 0, 7}, {MU_STORAGE, 0, 74},
        {MU_DENIED, 312, 2}, {MU_NETWORK, 102, 3}, {MU_INPUT, 706, 4}, {MU_PENDING, 313, 5},
        {MU_STORAGE, 702, 6}, {MU_AUTH, 325, 7}, {MU_DENIED, 801, 8}, {MU_INPUT, 999, 1},
        {MU_AUTH, MU_REFUSE_PASSWORD, 2},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_err err = {.code = cases[i].code, .reason = MU_M(cases[i].reason)};

        assert_int_equal(mu_err_exit_code(&err), cases[i].exit);
    }
}

static void only_catalog_reasons_have_an_m_code(void **state)
{
    static const struct {
        int reason;
        const char *text;
    } cases[] = {{0, ""}, {312, "M312"}, {101, "M101"}, {MU_REFUSE_FIRST, ""}, {-5, ""}};
    size_t i;
    char buf[8];

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_err err = {.reason = MU_M(cases[i].reason)};

        assert_string_equal(mu_err_code_text(&err, buf), cases[i].text);
    }
}

static void without_a_reason_cause_and_next_step_are_empty(void **state)
{
    struct mu_err err = {.code = MU_INPUT};

    assert_string_equal(mu_err_likely_text(&err), "");
    assert_string_equal(mu_err_next_text(&err), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_says_what_the_finder_wrote),
        cmocka_unit_test(nobody_has_to_take_the_error),
        cmocka_unit_test(context_goes_in_front_and_keeps_the_rest),
        cmocka_unit_test(an_error_may_quote_itself),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(text_that_just_fits_is_not_cut),
        cmocka_unit_test(exit_codes_follow_the_reason_then_the_code),
        cmocka_unit_test(only_catalog_reasons_have_an_m_code),
        cmocka_unit_test(without_a_reason_cause_and_next_step_are_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
