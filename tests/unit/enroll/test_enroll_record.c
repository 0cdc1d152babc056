/* Words of the records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "enroll/enroll_record.h"

/* CA-17 */
static void reasons_are_words_or_numbers(void **state)
{
    struct mu_err err = {0};
    int reason = -1;

    for (int i = 0; i <= 10; i++) {
        if (i == 7 || i == 8) {
            assert_string_equal(mu_enroll_record_reason_name(i), "unknown");
            continue;
        }
        assert_int_equal(
            mu_enroll_record_reason_parse(mu_enroll_record_reason_name(i), &reason, &err), MU_OK);
        assert_int_equal(reason, i);
    }
    assert_int_equal(mu_enroll_record_reason_parse("KEYCOMPROMISE", &reason, &err), MU_OK);
    assert_int_equal(reason, 1);
    assert_int_equal(mu_enroll_record_reason_parse("4", &reason, &err), MU_OK);
    assert_int_equal(reason, 4);
    assert_int_equal(
        mu_enroll_record_reason_parse("8", &reason, &err), MU_INPUT); /* removeFromCRL */
    assert_int_equal(mu_enroll_record_reason_parse("bored", &reason, &err), MU_INPUT);
    assert_non_null(strstr(err.what, "superseded"));
    assert_int_equal(reason, 4);
}

static void states_have_words(void **state)
{
    enum mu_record_state s = MU_RECORD_PENDING;

    assert_true(mu_enroll_record_state_parse("Rejected", &s));
    assert_int_equal(s, MU_RECORD_REJECTED);
    assert_string_equal(mu_enroll_record_state_name(MU_RECORD_ISSUED), "issued");
    assert_false(mu_enroll_record_state_parse("lost", &s));
}

static void serials_lose_their_zeros(void **state)
{
    assert_int_equal(mu_enroll_record_serial(mu_bytes("\0\0\x81", 3)).n, 1);
    assert_int_equal(mu_enroll_record_serial(mu_bytes("\0", 1)).n, 1);
    assert_int_equal(mu_enroll_record_serial(mu_bytes(NULL, 0)).n, 0);
}

/* SCEP-60, SCEP-63: the key of a self-made signer, the certificate of one of ours. */
static void a_signer_is_its_key_or_its_certificate(void **state)
{
    static const uint8_t spki[] = {0x30, 0x00};
    struct mu_pki_cert one = {.spki = mu_bytes(spki, 2), .sha256 = {1}},
                       two = {.spki = mu_bytes(spki, 2), .sha256 = {2}};
    uint8_t a[32], b[32];

    assert_true(mu_enroll_record_signer(&one, false, a) && mu_enroll_record_signer(&two, false, b));
    assert_memory_equal(a, b, 32);
    assert_true(mu_enroll_record_signer(&one, true, a) && mu_enroll_record_signer(&two, true, b));
    assert_memory_not_equal(a, b, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_are_words_or_numbers),
        cmocka_unit_test(states_have_words),
        cmocka_unit_test(serials_lose_their_zeros),
        cmocka_unit_test(a_signer_is_its_key_or_its_certificate),
    };

    return cmocka_run_group_tests_name("enroll_record", tests, NULL, NULL);
}
