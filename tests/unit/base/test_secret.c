/* Secrets: set, replaced, cleared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/secret.h"

static void a_secret_is_a_copy_with_a_nul_behind(void **state)
{
    char from[] = "hunter2";
    struct mu_secret s = {0};

    assert_false(mu_secret_is_set(&s));
    assert_int_equal(mu_secret_set(&s, mu_bytes_str(from), NULL), MU_OK);
    memset(from, 'x', sizeof from - 1);
    assert_true(mu_secret_is_set(&s));
    assert_string_equal((const char *)s.p, "hunter2");
    assert_true(mu_bytes_equal(mu_secret_bytes(&s), mu_bytes_str("hunter2")));
    mu_secret_clear(&s);
    assert_false(mu_secret_is_set(&s));
    assert_int_equal(mu_secret_bytes(&s).n, 0);
    mu_secret_clear(&s);
}

static void an_empty_secret_is_set(void **state)
{
    struct mu_secret s = {0};

    assert_int_equal(mu_secret_set(&s, (struct mu_bytes){0}, NULL), MU_OK);
    assert_true(mu_secret_is_set(&s));
    assert_int_equal(mu_secret_bytes(&s).n, 0);
    mu_secret_clear(&s);
}

static void a_secret_can_be_replaced_by_a_part_of_itself(void **state)
{
    struct mu_secret s = {0};

    assert_int_equal(mu_secret_set(&s, mu_bytes_str("old-new"), NULL), MU_OK);
    assert_int_equal(mu_secret_set(&s, mu_bytes(s.p + 4, 3), NULL), MU_OK);
    assert_string_equal((const char *)s.p, "new");
    assert_int_equal(s.n, 3);
    mu_secret_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_a_copy_with_a_nul_behind),
        cmocka_unit_test(an_empty_secret_is_set),
        cmocka_unit_test(a_secret_can_be_replaced_by_a_part_of_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
