/* Octets: equality, also in constant time, and wiping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"

static void equality_compares_length_and_content(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"", "", true},
        {"a", "a", true},
        {"a", "b", false},
        {"a", "aa", false},
        {"secret-1", "secret-2", false},
        {"xsecret", "ysecret", false},
        {"secret", "secret", true},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_bytes a = mu_bytes_str(cases[i].a), b = mu_bytes_str(cases[i].b);

        assert_int_equal(mu_bytes_equal(a, b), cases[i].equal);
        assert_int_equal(mu_bytes_equal_secret(a, b), cases[i].equal);
    }
}

static void every_single_bit_makes_secrets_differ(void **state)
{
    uint8_t a[16] = {1, 2, 3}, b[16];
    size_t bit;

    for (bit = 0; bit < 8 * sizeof a; bit++) {
        memcpy(b, a, sizeof a);
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(mu_bytes_equal_secret(mu_bytes(a, sizeof a), mu_bytes(b, sizeof b)));
    }
}

static void no_octets_are_equal_whatever_their_pointer(void **state)
{
    assert_true(mu_bytes_equal((struct mu_bytes){0}, mu_bytes("x", 0)));
    assert_true(mu_bytes_equal_secret((struct mu_bytes){0}, mu_bytes("x", 0)));
    assert_int_equal(mu_bytes_str(NULL).n, 0);
}

static void wiping_leaves_zeros_and_takes_null(void **state)
{
    char secret[] = "secret";
    static const char zeros[sizeof secret];

    mu_bytes_wipe(secret, sizeof secret);
    assert_memory_equal(secret, zeros, sizeof secret);
    mu_bytes_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_compares_length_and_content),
        cmocka_unit_test(every_single_bit_makes_secrets_differ),
        cmocka_unit_test(no_octets_are_equal_whatever_their_pointer),
        cmocka_unit_test(wiping_leaves_zeros_and_takes_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
