/* Points in time: the calendar against the C library's, and each written form both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "base/time.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void the_calendar_agrees_with_the_c_library(void **state)
{
    int64_t t;

    /* From year 1 to 9999, a little less than a day at a time. */
    for (t = -62135596800; t < 253402300800; t += 86400 * 5 - 4337) {
        struct mu_time_civil c;
        time_t tt = (time_t)t;
        struct tm tm;
        int64_t back = 0;

        mu_time_civil(t, &c);
        gmtime_r(&tt, &tm);
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.hour, tm.tm_hour);
        assert_int_equal(c.minute, tm.tm_min);
        assert_int_equal(c.second, tm.tm_sec);
        assert_true(mu_time_from_civil(&c, &back));
        assert_int_equal(back, t);
    }
}

static void a_day_or_hour_that_does_not_exist_is_refused(void **state)
{
    static const struct mu_time_civil bad[] = {{2025, 0, 1}, {2025, 13, 1}, {2025, 1, 0},
        {2025, 1, 32}, {2025, 4, 31}, {2025, 2, 29}, {1900, 2, 29}, {2100, 2, 29},
        {2025, 1, 1, 24}, {2025, 1, 1, -1}, {2025, 1, 1, 0, 60}, {2025, 1, 1, 0, 0, 60},
        {2025, 1, 1, 0, -1}, {2025, 1, 1, 0, 0, -1}};
    static const struct mu_time_civil good[] = {
        {2024, 2, 29}, {2000, 2, 29}, {2025, 12, 31, 23, 59, 59}};
    int64_t t = 4711;
    size_t i;

    for (i = 0; i < LEN(bad); i++)
        assert_false(mu_time_from_civil(&bad[i], &t));
    assert_int_equal(t, 4711);
    for (i = 0; i < LEN(good); i++)
        assert_true(mu_time_from_civil(&good[i], &t));
}

static void times_are_written_in_three_forms(void **state)
{
    char buf[MU_TIME_TEXT];

    assert_string_equal(mu_time_rfc3339(1763660405, buf), "2025-11-20T17:40:05Z");
    assert_string_equal(mu_time_plain(1763660405, buf), "2025-11-20 17:40:05 UTC");
    assert_string_equal(mu_time_http(1732189931, buf), "Thu, 21 Nov 2024 11:52:11 GMT");
    assert_string_equal(mu_time_http(0, buf), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(mu_time_http(-1, buf), "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_string_equal(mu_time_rfc3339(-62135596800, buf), "0001-01-01T00:00:00Z");
}

static void rfc_3339_is_read(void **state)
{
    static const struct {
        const char *text;
        int64_t t;
    } good[] = {
        {"2025-11-20T17:40:05Z", 1763660405}, {"2025-11-20t17:40:05z", 1763660405},
        {"2025-11-20 17:40:05Z", 1763660405}, {"2025-11-20T17:40:05.999Z", 1763660405},
        {"2025-11-20T18:40:05+01:00", 1763660405}, {"2025-11-20T12:10:05-05:30", 1763660405},
        {"2026-01-07T00:00Z", 1767744000},
    };
    static const char *const bad[] = {"", "2025-11-20", "2025-11-20T17:40:05",
        "2025-11-20T17:40:05ZZ", "2025-02-30T00:00:00Z", "2025-11-20T17:40:05.Z",
        "25-11-20T17:40:05Z", "2025-11-20T17:40:5Z", "2025-11-20T17:40:05+1:00",
        "2025-11-20T17:40:05+01:00x", "2025-11-20T17:40:05+24:00", "-025-11-20T17:40:05Z"};
    int64_t t;
    size_t i;

    for (i = 0; i < LEN(good); i++) {
        t = 0;
        assert_true(mu_time_parse_rfc3339(good[i].text, &t));
        assert_int_equal(t, good[i].t);
    }
    t = 4711;
    for (i = 0; i < LEN(bad); i++)
        assert_false(mu_time_parse_rfc3339(bad[i], &t));
    assert_int_equal(t, 4711);
}

/* RFC 9110 5.6.7: a recipient takes all three. */
static void http_dates_are_read_in_their_three_forms(void **state)
{
    static const char *const good[] = {"Thu, 21 Nov 2024 11:52:11 GMT",
        "Thursday, 21-Nov-24 11:52:11 GMT", "Thu Nov 21 11:52:11 2024"};
    static const char *const bad[] = {"", "soon", "120", "Thu, 21 Foo 2024 11:52:11 GMT",
        "Thu, 31 Nov 2024 11:52:11 GMT", "Thu, 21 Nov 2024 11:52:11 CET",
        "Thu, 21 Nov 2024 11:52:11", "Thu, 21 Nov 2024 11:52:11 GMT x",
        "Thu, 21 Nov 2024 25:52:11 GMT", "Thu Nov 21 11:52:11 2024 x"};
    int64_t t;
    size_t i;

    for (i = 0; i < LEN(good); i++) {
        t = 0;
        assert_true(mu_time_parse_http(good[i], &t));
        assert_int_equal(t, 1732189931);
    }
    t = 4711;
    for (i = 0; i < LEN(bad); i++)
        assert_false(mu_time_parse_http(bad[i], &t));
    assert_int_equal(t, 4711);
}

static void asn1_times_are_read(void **state)
{
    static const struct {
        const char *text;
        bool generalized;
        const char *plain; /* NULL: refused */
    } cases[] = {
        {"241121115211Z", false, "2024-11-21T11:52:11Z"},
        {"491231235959Z", false, "2049-12-31T23:59:59Z"},
        {"500101000000Z", false, "1950-01-01T00:00:00Z"},
        {"2411211152Z", false, "2024-11-21T11:52:00Z"},
        {"241121125211+0100", false, "2024-11-21T11:52:11Z"},
        {"2411210652-0500", false, "2024-11-21T11:52:00Z"},
        {"20241121115211Z", true, "2024-11-21T11:52:11Z"},
        {"20500101000000Z", true, "2050-01-01T00:00:00Z"},
        {"99991231235959Z", true, "9999-12-31T23:59:59Z"},
        {"20241121115211.25Z", true, "2024-11-21T11:52:11Z"},
        {"202411211152Z", true, "2024-11-21T11:52:00Z"},
        {"2024112111Z", true, "2024-11-21T11:00:00Z"},
        {"20241121125211+0100", true, "2024-11-21T11:52:11Z"},
        {"", false, NULL}, {"", true, NULL}, {"241121115211", false, NULL},
        {"20241121115211", true, NULL}, {"241121115211.5Z", false, NULL},
        {"241321115211Z", false, NULL}, {"240230115211Z", false, NULL},
        {"241121115260Z", false, NULL}, {"241121245211Z", false, NULL},
        {"24112111521Z", false, NULL}, {"241121115211Zx", false, NULL},
        {"24112111Z", false, NULL}, {"2411211152+01", false, NULL},
        {"20241121115211.Z", true, NULL}, {"2 241121115211Z", true, NULL},
    };
    char buf[MU_TIME_TEXT];
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        int64_t t = 4711;
        bool ok = mu_time_parse_asn1(mu_bytes_str(cases[i].text), cases[i].generalized, &t);

        assert_int_equal(ok, cases[i].plain != NULL);
        if (ok)
            assert_string_equal(mu_time_rfc3339(t, buf), cases[i].plain);
        else
            assert_int_equal(t, 4711);
    }
    {
        int64_t t;

        assert_false(mu_time_parse_asn1(mu_bytes("24112111521\0Z", 13), false, &t));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_calendar_agrees_with_the_c_library),
        cmocka_unit_test(a_day_or_hour_that_does_not_exist_is_refused),
        cmocka_unit_test(times_are_written_in_three_forms),
        cmocka_unit_test(rfc_3339_is_read),
        cmocka_unit_test(http_dates_are_read_in_their_three_forms),
        cmocka_unit_test(asn1_times_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
