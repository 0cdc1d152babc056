/* Tokens per address: burst, refill, giving back, a full table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "ca/ca_internal.h"

static void tokens_run_out_and_come_back(void **state)
{
    struct mu_ca_rate *rate = mu_ca_rate_new(2, 0.5, 0);
    int64_t wait_s;

    assert_true(mu_ca_rate_take(rate, "192.0.2.1", 1000, &wait_s));
    assert_true(mu_ca_rate_take(rate, "192.0.2.1", 1000, &wait_s));
    assert_false(mu_ca_rate_take(rate, "192.0.2.1", 1000, &wait_s));
    assert_int_equal(wait_s, 3);
    assert_true(mu_ca_rate_take(rate, "192.0.2.2", 1000, &wait_s));
    assert_true(mu_ca_rate_take(rate, "192.0.2.1", 1002, &wait_s));
    assert_false(mu_ca_rate_take(rate, "192.0.2.1", 1002, &wait_s));
    mu_ca_rate_give_back(rate, "192.0.2.1", 1002);
    assert_true(mu_ca_rate_take(rate, "192.0.2.1", 1002, &wait_s));
    assert_false(mu_ca_rate_take(
        rate, "192.0.2.1", 900, &wait_s)); /* a clock that went back gives nothing */
    mu_ca_rate_free(rate);
}

static void a_quiet_address_has_no_more_than_the_burst(void **state)
{
    struct mu_ca_rate *rate = mu_ca_rate_new(2, 10, 0);
    int64_t wait_s;

    mu_ca_rate_give_back(rate, "192.0.2.1", 1000);
    for (int i = 0; i < 2; i++)
        assert_true(mu_ca_rate_take(rate, "192.0.2.1", 999999, &wait_s));
    assert_false(mu_ca_rate_take(rate, "192.0.2.1", 999999, &wait_s));
    mu_ca_rate_free(rate);
}

static void sockets_and_no_limit(void **state)
{
    struct mu_ca_rate *rate = mu_ca_rate_new(1, 0.001, 1), *none = mu_ca_rate_new(-1, 0, -1);
    int64_t wait_s;

    for (int i = 0; i < 100; i++) {
        assert_true(mu_ca_rate_take(rate, "", 1000, &wait_s));
        assert_true(mu_ca_rate_take(none, "192.0.2.1", 1000, &wait_s));
        mu_ca_rate_wrong_guess(none, "192.0.2.1", 1000);
        assert_true(mu_ca_rate_may_guess(none, "192.0.2.1", 1000));
    }
    mu_ca_rate_free(rate);
    mu_ca_rate_free(none);
}

static void an_ipv6_network_counts_as_one(void **state)
{
    struct mu_ca_rate *rate = mu_ca_rate_new(1, 0.001, 0);
    int64_t wait_s;

    assert_true(mu_ca_rate_take(rate, "2001:db8:1:2::1", 1000, &wait_s));
    assert_false(mu_ca_rate_take(rate, "2001:db8:1:2:ffff::2", 1000, &wait_s));
    assert_true(mu_ca_rate_take(rate, "2001:db8:1:3::1", 1000, &wait_s));
    mu_ca_rate_free(rate);
}

static void guesses_are_counted_by_the_hour(void **state)
{
    struct mu_ca_rate *rate = mu_ca_rate_new(0, 0, 3);

    for (int i = 0; i < 3; i++) {
        assert_true(mu_ca_rate_may_guess(rate, "192.0.2.1", 1000 + i));
        mu_ca_rate_wrong_guess(rate, "192.0.2.1", 1000 + i);
    }
    assert_false(mu_ca_rate_may_guess(rate, "192.0.2.1", 1003));
    assert_true(mu_ca_rate_may_guess(rate, "192.0.2.2", 1003));
    assert_false(mu_ca_rate_may_guess(rate, "192.0.2.1", 4599));
    assert_true(mu_ca_rate_may_guess(rate, "192.0.2.1", 4600));
    mu_ca_rate_free(rate);
}

/* The table is bounded: a flood of addresses costs memory once and never fails. */
static void many_addresses_share_the_table(void **state)
{
    struct mu_ca_rate *rate = mu_ca_rate_new(1, 0.001, 0);
    char address[32];
    int64_t wait_s;

    for (unsigned i = 0; i < 100000; i++) {
        snprintf(address, sizeof address, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        assert_true(mu_ca_rate_take(rate, address, 1000 + i / 100, &wait_s));
    }
    assert_false(mu_ca_rate_take(rate, address, 2000, &wait_s)); /* who was here last is known */
    mu_ca_rate_free(rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_run_out_and_come_back),
        cmocka_unit_test(a_quiet_address_has_no_more_than_the_burst),
        cmocka_unit_test(sockets_and_no_limit),
        cmocka_unit_test(an_ipv6_network_counts_as_one),
        cmocka_unit_test(guesses_are_counted_by_the_hour),
        cmocka_unit_test(many_addresses_share_the_table),
    };

    return cmocka_run_group_tests_name("ca_rate", tests, NULL, NULL);
}
