/* The buffer: growing, its ceiling, and that failure sticks until asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/limits.h"

static void zero_is_an_empty_buffer(void **state)
{
    struct mu_buf b = {0};

    assert_string_equal(mu_buf_str(&b), "");
    assert_int_equal(mu_buf_bytes(&b).n, 0);
    assert_int_equal(mu_buf_check(&b, "x", NULL), MU_OK);
    mu_buf_reset(&b);
    mu_buf_clear(&b);
    assert_true(mu_buf_put_str(&b, "abc"));
    assert_string_equal(mu_buf_str(&b), "abc");
    mu_buf_clear(&b);
}

static void all_ways_to_put_append(void **state)
{
    struct mu_buf b = {0};

    assert_true(mu_buf_put(&b, "ab", 2));
    assert_true(mu_buf_put_byte(&b, 'c'));
    assert_true(mu_buf_put_str(&b, "de"));
    assert_true(mu_buf_put_str(&b, NULL));
    assert_true(mu_buf_put_bytes(&b, mu_bytes_str("f")));
    assert_true(mu_buf_put_bytes(&b, (struct mu_bytes){0}));
    assert_true(mu_buf_putf(&b, "-%d-%s", 7, "g"));
    memcpy(mu_buf_grow(&b, 2), "hi", 2);
    assert_string_equal(mu_buf_str(&b), "abcdef-7-ghi");
    assert_int_equal(b.n, 12);
    mu_buf_reset(&b);
    assert_string_equal(mu_buf_str(&b), "");
    mu_buf_clear(&b);
}

static void formatted_text_of_any_length_fits(void **state)
{
    struct mu_buf b = {0};
    int width;

    for (width = 1; width < 600; width++) {
        mu_buf_reset(&b);
        assert_true(mu_buf_putf(&b, "%0*d", width, 5));
        assert_int_equal(b.n, width);
        assert_int_equal(strlen(mu_buf_str(&b)), width);
        assert_int_equal(b.p[width - 1], '5');
    }
    mu_buf_clear(&b);
}

static void the_ceiling_is_exact_and_failure_sticks(void **state)
{
    struct mu_buf b;
    struct mu_err err = {0};

    mu_buf_init(&b, 10);
    assert_true(mu_buf_put(&b, "0123456789", 10));
    assert_false(mu_buf_put_byte(&b, 'x'));
    assert_int_equal(b.n, 10);
    assert_false(mu_buf_put(&b, "", 0));
    assert_int_equal(mu_buf_check(&b, "challenge", &err), MU_MEMORY);
    assert_non_null(strstr(err.what, "challenge"));
    mu_buf_reset(&b);
    assert_int_equal(mu_buf_check(&b, "challenge", &err), MU_OK);
    assert_false(mu_buf_putf(&b, "%s", "01234567890"));
    assert_int_equal(b.n, 0);
    assert_string_equal(mu_buf_str(&b), "");
    mu_buf_clear(&b);
    assert_int_equal(b.max, 10);
    assert_true(mu_buf_putf(&b, "%s", "0123456789"));
    assert_null(mu_buf_grow(&b, SIZE_MAX));
    mu_buf_clear(&b);
}

static void a_buffer_without_ceiling_has_the_default_one(void **state)
{
    struct mu_buf b = {0};

    assert_non_null(mu_buf_grow(&b, MU_BUF_DEFAULT_MAX));
    assert_null(mu_buf_grow(&b, 1));
    mu_buf_clear(&b);
}

static void a_secret_buffer_keeps_its_content_while_it_moves_and_stays_secret(void **state)
{
    struct mu_buf b;
    int i;

    mu_buf_init_secret(&b, 4096);
    for (i = 0; i < 1000; i++)
        assert_true(mu_buf_put_byte(&b, (uint8_t)i));
    for (i = 0; i < 1000; i++)
        assert_int_equal(b.p[i], (uint8_t)i);
    mu_buf_reset(&b);
    for (i = 0; i < 1000; i++)
        assert_int_equal(b.p[i], 0);
    mu_buf_clear(&b);
    assert_true(b.secret);
    assert_int_equal(b.max, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_an_empty_buffer),
        cmocka_unit_test(all_ways_to_put_append),
        cmocka_unit_test(formatted_text_of_any_length_fits),
        cmocka_unit_test(the_ceiling_is_exact_and_failure_sticks),
        cmocka_unit_test(a_buffer_without_ceiling_has_the_default_one),
        cmocka_unit_test(a_secret_buffer_keeps_its_content_while_it_moves_and_stays_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
