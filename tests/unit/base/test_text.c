/* Text and numbers: each reader with what it takes and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/text.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void hex_is_written_in_three_forms(void **state)
{
    const uint8_t v[] = {0x00, 0x9a, 0xff};
    struct mu_buf b = {0};

    assert_true(mu_text_hex(&b, mu_bytes(v, 3), 0));
    assert_true(mu_text_hex(&b, mu_bytes(v, 3), ':'));
    assert_true(mu_text_hex_lower(&b, mu_bytes(v, 1), ':'));
    assert_true(mu_text_hex_lower(&b, mu_bytes(v, 2), 0));
    assert_true(mu_text_hex(&b, mu_bytes(v, 0), ':'));
    assert_string_equal(mu_buf_str(&b), "009AFF00:9A:FF00009a");
    mu_buf_clear(&b);
}

static void hex_is_read_with_colons_and_blanks(void **state)
{
    static const char *const good[] = {"009aff", "00:9A:fF", " 00 9a\nff ", "00:9a:ff:"};
    static const char *const bad[] = {"0", "0:0", "00:9", "0g", "zz", "00x9a", "0\xc3\xa4"};
    const uint8_t want[] = {'+', 0x00, 0x9a, 0xff};
    struct mu_buf b = {0};
    size_t i;

    for (i = 0; i < LEN(good); i++) {
        mu_buf_reset(&b);
        mu_buf_put_byte(&b, '+');
        assert_int_equal(mu_text_unhex(good[i], &b, NULL), MU_OK);
        assert_int_equal(b.n, 4);
        assert_memory_equal(b.p, want, 4);
    }
    for (i = 0; i < LEN(bad); i++) {
        mu_buf_reset(&b);
        mu_buf_put_byte(&b, '+');
        assert_int_equal(mu_text_unhex(bad[i], &b, NULL), MU_INPUT);
        assert_string_equal(mu_buf_str(&b), "+");
    }
    mu_buf_clear(&b);
}

static void base64_of_rfc_4648_10(void **state)
{
    static const struct {
        const char *plain, *coded;
    } cases[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    struct mu_buf b = {0};
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        mu_buf_reset(&b);
        assert_true(mu_text_base64(&b, mu_bytes_str(cases[i].plain), 0));
        assert_string_equal(mu_buf_str(&b), cases[i].coded);
        if (i == 0)
            continue;
        mu_buf_reset(&b);
        assert_int_equal(mu_text_unbase64(mu_bytes_str(cases[i].coded), &b, NULL), MU_OK);
        assert_string_equal(mu_buf_str(&b), cases[i].plain);
    }
    mu_buf_clear(&b);
}

static void base64_lines_end_with_a_newline_once(void **state)
{
    struct mu_buf b = {0};

    assert_true(mu_text_base64(&b, mu_bytes_str("foobar"), 4));
    assert_string_equal(mu_buf_str(&b), "Zm9v\nYmFy\n");
    mu_buf_reset(&b);
    assert_true(mu_text_base64(&b, mu_bytes_str("foobarf"), 5));
    assert_string_equal(mu_buf_str(&b), "Zm9vY\nmFyZg\n==\n");
    mu_buf_reset(&b);
    assert_true(mu_text_base64(&b, mu_bytes_str("f"), 64));
    assert_string_equal(mu_buf_str(&b), "Zg==\n");
    mu_buf_clear(&b);
}

static void base64_is_read_leniently_and_garbage_refused(void **state)
{
    static const struct {
        const char *text, *plain; /* NULL: refused */
    } cases[] = {
        {"Zm9v\r\nYmFy\r\n", "foobar"}, {" Z m 9 v ", "foo"}, {"Zg", "f"}, {"Zm8", "fo"},
        {"Zg==\n", "f"}, {"Z\tg=\n=", "f"}, {"_-8_", "\xff\xef\x3f"}, {"/+8/", "\xff\xef\x3f"},
        {"", NULL}, {" \n", NULL}, {"=", NULL}, {"Z", NULL}, {"Zm9vY", NULL}, {"Zg=", NULL},
        {"Zg===", NULL}, {"Zg==Zg==", NULL}, {"Zm9v====", NULL}, {"Zm9v<html>", NULL},
        {"Zm9v!", NULL}, {"Zm9v=", NULL}, {"Zm=v", NULL},
    };
    struct mu_buf b = {0};
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        mu_buf_reset(&b);
        mu_buf_put_byte(&b, '+');
        assert_int_equal(mu_text_unbase64(mu_bytes_str(cases[i].text), &b, NULL),
            cases[i].plain != NULL ? MU_OK : MU_INPUT);
        assert_string_equal(mu_buf_str(&b) + 1, cases[i].plain != NULL ? cases[i].plain : "");
        assert_int_equal(b.n, strlen(mu_buf_str(&b)));
    }
    assert_int_equal(mu_text_unbase64(mu_bytes("Zm9\0", 4), &b, NULL), MU_INPUT);
    mu_buf_clear(&b);
}

static void base64_round_trip_of_all_lengths(void **state)
{
    struct mu_buf coded = {0}, back = {0};
    uint8_t v[70];
    size_t n;

    for (n = 0; n < sizeof v; n++)
        v[n] = (uint8_t)(n * 37 + 200);
    for (n = 1; n < sizeof v; n++) {
        mu_buf_reset(&coded);
        mu_buf_reset(&back);
        mu_text_base64(&coded, mu_bytes(v, n), (unsigned)(n % 7));
        assert_int_equal(mu_text_unbase64(mu_buf_bytes(&coded), &back, NULL), MU_OK);
        assert_true(mu_bytes_equal(mu_buf_bytes(&back), mu_bytes(v, n)));
    }
    mu_buf_clear(&coded);
    mu_buf_clear(&back);
}

static void numbers_are_whole_strings_within_bounds(void **state)
{
    static const struct {
        const char *text;
        int64_t min, max, value;
        bool ok;
    } cases[] = {
        {"0", 0, 10, 0, true}, {"10", 0, 10, 10, true}, {"007", 0, 10, 7, true},
        {"-3", -5, 5, -3, true}, {"9223372036854775807", 0, INT64_MAX, INT64_MAX, true},
        {"-9223372036854775808", INT64_MIN, 0, INT64_MIN, true},
        {"11", 0, 10, 0, false}, {"-1", 0, 10, 0, false}, {"", 0, 10, 0, false},
        {"-", -5, 5, 0, false}, {"+1", 0, 10, 0, false}, {" 1", 0, 10, 0, false},
        {"1 ", 0, 10, 0, false}, {"1x", 0, 10, 0, false}, {"0x1", 0, 10, 0, false},
        {"9223372036854775808", 0, INT64_MAX, 0, false},
        {"-9223372036854775809", INT64_MIN, 0, 0, false},
        {"99999999999999999999999999", INT64_MIN, INT64_MAX, 0, false},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        int64_t v = 4711;

        assert_int_equal(mu_text_int(cases[i].text, cases[i].min, cases[i].max, &v, NULL),
            cases[i].ok ? MU_OK : MU_INPUT);
        assert_int_equal(v, cases[i].ok ? cases[i].value : 4711);
    }
}

static void durations_are_read_with_their_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t s; /* -1: refused */
    } cases[] = {
        {"90", 90}, {"0", 0}, {"60s", 60}, {"5min", 300}, {"1h", 3600}, {"30d", 2592000},
        {"45 s", 45}, {"", -1}, {"-1", -1}, {"s", -1}, {"5m", -1}, {"1.5h", -1}, {"1h30min", -1},
        {"60 sec", -1}, {"99999999999999999999", -1}, {"9223372036854775807d", -1},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        int64_t s = 4711;

        assert_int_equal(mu_text_duration(cases[i].text, &s, NULL),
            cases[i].s >= 0 ? MU_OK : MU_INPUT);
        assert_int_equal(s, cases[i].s >= 0 ? cases[i].s : 4711);
    }
}

static void durations_are_written_with_two_units_at_most(void **state)
{
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {
        {0, "0 s"}, {45, "45 s"}, {60, "1 min"}, {192, "3 min 12 s"}, {3600, "1 h"},
        {3660, "1 h 1 min"}, {3601, "1 h"}, {86400 * 12, "12 d"}, {90000, "1 d 1 h"},
        {-45, "-45 s"}, {INT64_MIN, "-106751991167300 d 15 h"},
    };
    struct mu_buf b = {0};
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        mu_buf_reset(&b);
        assert_true(mu_text_duration_format(&b, cases[i].s));
        assert_string_equal(mu_buf_str(&b), cases[i].text);
    }
    mu_buf_clear(&b);
}

static void remote_text_is_escaped(void **state)
{
    static const struct {
        const char *text, *escaped;
    } cases[] = {
        {"", ""}, {"plain text", "plain text"}, {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"a\r\nb\tc", "a\\x0d\\x0ab\\x09c"}, {"\x1b[31mred", "\\x1b[31mred"},
        {"\x7f", "\\x7f"}, {"\xff\xfe", "\\xff\\xfe"}, {"caf\xe9", "caf\\xe9"},
        {"\xc0\x80", "\\xc0\\x80"},                         /* overlong NUL */
        {"\xe2\x80\xae" "exe", "\\xe2\\x80\\xae" "exe"},    /* right-to-left override */
        {"\xe2\x81\xa6x", "\\xe2\\x81\\xa6x"},              /* isolate */
        {"\xc2\x85", "\\xc2\\x85"},                         /* C1: next line */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},                /* surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},       /* beyond Unicode */
        {"\xe2\x82", "\\xe2\\x82"}, {"\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91"},
    };
    struct mu_buf b = {0};
    char fixed[64];
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        mu_buf_reset(&b);
        assert_true(mu_text_escape(&b, mu_bytes_str(cases[i].text), 100));
        assert_string_equal(mu_buf_str(&b), cases[i].escaped);
        assert_string_equal(
            mu_text_escape_to(fixed, sizeof fixed, mu_bytes_str(cases[i].text)), cases[i].escaped);
    }
    mu_buf_reset(&b);
    assert_true(mu_text_escape(&b, mu_bytes("a\0b", 3), 100));
    assert_string_equal(mu_buf_str(&b), "a\\x00b");
    mu_buf_clear(&b);
}

static void escaped_text_is_cut_between_characters(void **state)
{
    static const struct {
        const char *text;
        size_t max;
        const char *escaped;
    } cases[] = {
        {"abcdef", 6, "abcdef"}, {"abcdefg", 6, "abc..."}, {"abcdefg", 3, "..."},
        {"abcdefg", 2, ".."}, {"abcdefg", 0, ""}, {"\n\n\n", 12, "\\x0a\\x0a\\x0a"},
        {"\n\n\n", 11, "\\x0a\\x0a..."}, {"\n\n\n", 10, "\\x0a..."},
        {"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 8, "\xe2\x82\xac..."},
        {"ab\xe2\x82\xac", 5, "ab\xe2\x82\xac"}, {"ab\xe2\x82\xac" "c", 5, "ab..."},
    };
    struct mu_buf b = {0};
    char fixed[16];
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        mu_buf_reset(&b);
        assert_true(mu_text_escape(&b, mu_bytes_str(cases[i].text), cases[i].max));
        assert_string_equal(mu_buf_str(&b), cases[i].escaped);
        assert_string_equal(
            mu_text_escape_to(fixed, cases[i].max + 1, mu_bytes_str(cases[i].text)),
            cases[i].escaped);
    }
    mu_buf_clear(&b);
}

static void utf8_is_told_from_what_looks_like_it(void **state)
{
    static const char *const bad[] = {"\x80", "\xc3", "\xc3(", "\xc1\xbf", "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf", "\xed\xbf\xbf", "\xf5\x80\x80\x80", "\xff", "ok\xe2\x82"};
    size_t i;

    assert_true(mu_text_is_utf8(mu_bytes_str("")));
    assert_true(mu_text_is_utf8(mu_bytes_str("a\xc2\x80\xe0\xa0\x80\xf4\x8f\xbf\xbf\xee\x80\x80")));
    for (i = 0; i < LEN(bad); i++)
        assert_false(mu_text_is_utf8(mu_bytes_str(bad[i])));
}

static void words(void **state)
{
    char blanks[] = " \t a b\r\n", all[] = " \t ", none[] = "x";

    assert_true(mu_text_equal_nocase("Content-TYPE", "content-type"));
    assert_true(mu_text_equal_nocase("", ""));
    assert_false(mu_text_equal_nocase("abc", "ab"));
    assert_false(mu_text_equal_nocase("ab", "abc"));
    assert_false(mu_text_equal_nocase("[", "{"));
    assert_false(mu_text_equal_nocase("@", "`"));
    assert_true(mu_text_starts("rsa:2048", "rsa:"));
    assert_true(mu_text_starts("x", ""));
    assert_false(mu_text_starts("rs", "rsa:"));
    assert_string_equal(mu_text_trim(blanks), "a b");
    assert_string_equal(mu_text_trim(all), "");
    assert_string_equal(mu_text_trim(none), "x");
}

static void the_nearest_word_is_one_that_was_meant(void **state)
{
    static const char *const keys[]
        = {"subject", "san", "key", "renew-days", "warn-days", "url", "protocol", NULL};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"subjct", "subject"}, {"sbuject", "subject"}, {"renew-day", "renew-days"},
        {"renewdays", "renew-days"}, {"renew_days", "renew-days"}, {"Protocol", "protocol"},
        {"ulr", "url"}, {"ur", "url"}, {"sna", "san"}, {"x", NULL}, {"", NULL},
        {"completely-else", NULL}, {"foo", NULL},
        {"a-word-that-is-much-longer-than-any-word-of-ours-could-ever-be", NULL},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        const char *found = mu_text_nearest(cases[i].word, keys);

        if (cases[i].nearest == NULL)
            assert_null(found);
        else
            assert_string_equal(found != NULL ? found : "(none)", cases[i].nearest);
    }
}

static void a_copy_is_equal_and_owned(void **state)
{
    char *copy = NULL;

    assert_int_equal(mu_text_dup("abc", &copy, NULL), MU_OK);
    assert_string_equal(copy, "abc");
    free(copy);
}

static void entry_names_can_be_file_names(void **state)
{
    static const char *const good[] = {"gw", "branch-scep", "a.b_c-9", "A", "9",
        "0123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {"", ".", "..", ".hidden", "-rf", "a/b", "a b", "a\nb",
        "\xc3\xa4", "a:b", "a\\b", "a\"",
        "01234567890123456789012345678901234567890123456789012345678901234"};
    size_t i;

    for (i = 0; i < LEN(good); i++)
        assert_true(mu_text_is_entry_name(good[i]));
    for (i = 0; i < LEN(bad); i++)
        assert_false(mu_text_is_entry_name(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_is_written_in_three_forms),
        cmocka_unit_test(hex_is_read_with_colons_and_blanks),
        cmocka_unit_test(base64_of_rfc_4648_10),
        cmocka_unit_test(base64_lines_end_with_a_newline_once),
        cmocka_unit_test(base64_is_read_leniently_and_garbage_refused),
        cmocka_unit_test(base64_round_trip_of_all_lengths),
        cmocka_unit_test(numbers_are_whole_strings_within_bounds),
        cmocka_unit_test(durations_are_read_with_their_unit),
        cmocka_unit_test(durations_are_written_with_two_units_at_most),
        cmocka_unit_test(remote_text_is_escaped),
        cmocka_unit_test(escaped_text_is_cut_between_characters),
        cmocka_unit_test(utf8_is_told_from_what_looks_like_it),
        cmocka_unit_test(words),
        cmocka_unit_test(the_nearest_word_is_one_that_was_meant),
        cmocka_unit_test(a_copy_is_equal_and_owned),
        cmocka_unit_test(entry_names_can_be_file_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
