/* The catalog is complete: each number once, with words and an exit code; each refusal too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/text.h"

/* The numbers of the error catalog. */
static const int catalog[] = {
    101, 102, 103, 104, 105, 106, 107, 108, 201, 202, 203, 204, 205, 206, 207, 209, 210, 211,
    212, 213, 214, 301, 302, 303, 304, 305, 311, 312, 313, 314, 315, 316, 317, 318, 319, 321,
    322, 323, 324, 325, 401, 403, 404, 405, 406, 407, 408, 409, 501, 502, 503, 504, 505, 506,
    507, 508, 509, 601, 602, 603, 604, 605, 606, 607, 608, 609, 610, 701, 702, 703, 704, 705,
    706, 707, 708, 709, 801, 802, 803, 901, 902, 903, 904, 905,
};

enum { CATALOG_N = sizeof catalog / sizeof catalog[0] };

static size_t count(int reason)
{
    const struct mu_err_row *row;
    size_t i, n = 0;

    for (i = 0; (row = mu_err_row_at(i)) != NULL; i++)
        n += (int)row->reason == reason;
    return n;
}

static void each_catalog_number_stands_in_the_table_once(void **state)
{
    size_t i;

    for (i = 0; i < CATALOG_N; i++) {
        const struct mu_err_row *row = mu_err_row(MU_M(catalog[i]));

        assert_int_equal(count(catalog[i]), 1);
        assert_non_null(row);
        assert_int_equal(row->reason, catalog[i]);
        assert_int_equal(row->http_status, -1);
        assert_int_equal(row->scep_fail_info, -1);
        assert_int_equal(row->cmp_fail_bit, -1);
    }
}

static void each_refusal_stands_in_the_table_once_with_its_numbers(void **state)
{
    int reason;

    for (reason = MU_REFUSE_FIRST; reason < MU_REFUSE_LAST; reason++) {
        const struct mu_err_row *row = mu_err_row(MU_M(reason));

        assert_int_equal(count(reason), 1);
        assert_in_range(row->http_status, 400, 599);
        assert_in_range(row->scep_fail_info, 0, 4); /* SCEP-46 */
        assert_in_range(row->cmp_fail_bit, 0, 26);  /* CMP-40 */
        assert_int_equal(row->exit_code, 2);
    }
}

static void nothing_else_stands_in_the_table(void **state)
{
    size_t n = 0;

    while (mu_err_row_at(n) != NULL)
        n++;
    assert_int_equal(n, CATALOG_N + (MU_REFUSE_LAST - MU_REFUSE_FIRST));
    assert_null(mu_err_row(MU_REASON_NONE));
    assert_null(mu_err_row(MU_M(100)));
    assert_null(mu_err_row(MU_REFUSE_LAST));
    assert_null(mu_err_row_at(SIZE_MAX));
}

static bool is_muster_exit_code(int code)
{
    static const int codes[] = {1, 2, 3, 4, 5, 6, 7, 8, 64, 73, 74, 77, 78};
    size_t i;

    for (i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

static void every_row_has_words_that_can_be_printed(void **state)
{
    const struct mu_err_row *row;
    size_t i;

    for (i = 0; (row = mu_err_row_at(i)) != NULL; i++) {
        assert_true(row->what[0] != '\0' && row->likely[0] != '\0' && row->next[0] != '\0');
        assert_true(is_muster_exit_code(row->exit_code));
        assert_true(mu_text_is_utf8(mu_bytes_str(row->what)));
        assert_true(strlen(row->what) < sizeof((struct mu_err *)0)->what);
        assert_true(strlen(row->likely) < sizeof((struct mu_err *)0)->likely);
        assert_true(strlen(row->next) < sizeof((struct mu_err *)0)->next);
        /* Only the sentence has something to fill in. */
        assert_null(strchr(row->likely, '<'));
        assert_null(strchr(row->next, '<'));
        if (row->reason >= MU_REFUSE_FIRST)
            assert_null(strchr(row->what, '<'));
    }
}

static void well_known_rows_say_what_others_rely_on(void **state)
{
    static const struct {
        int reason;
        int scep;
    } scep[] = {
        {MU_REFUSE_ALGORITHM, 0}, {MU_REFUSE_SIGNATURE, 1}, /* SCEP-05, SCEP-40 */
        {MU_REFUSE_PASSWORD, 2}, /* SCEP-56 */
        {MU_REFUSE_CLOCK, 3}, {MU_REFUSE_NO_SUCH_CERT, 4}, /* SCEP-73 */
        {MU_REFUSE_UNDELIVERABLE, 0}, /* SCEP-39 */
    };
    size_t i;

    for (i = 0; i < sizeof scep / sizeof scep[0]; i++)
        assert_int_equal(mu_err_row(MU_M(scep[i].reason))->scep_fail_info, scep[i].scep);
    assert_string_equal(mu_err_row(MU_REFUSE_ENTRY_UNKNOWN)->what, "Enrollment not found.");
    assert_string_equal(
        mu_err_row(MU_M(312))->what, "The CA refused and gave no reason (`-(null)`).");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_catalog_number_stands_in_the_table_once),
        cmocka_unit_test(each_refusal_stands_in_the_table_once_with_its_numbers),
        cmocka_unit_test(nothing_else_stands_in_the_table),
        cmocka_unit_test(every_row_has_words_that_can_be_printed),
        cmocka_unit_test(well_known_rows_say_what_others_rely_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
