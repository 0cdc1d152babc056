/* GetCACaps words both ways (SCEP-15..20). */
#include "world.h"

static unsigned parse(const char *text)
{
    return mu_scep_caps_parse(mu_bytes_str(text));
}

static void words_are_found_whatever_their_form(void **state)
{
    static const struct { const char *text; unsigned caps; } rows[] = {
        {"", 0},
        {"\r\n\r\n", 0},
        {"AES", MU_SCEP_CAP_AES},
        {"aes\r\nDES3\r\n", MU_SCEP_CAP_AES | MU_SCEP_CAP_DES3},
        {"SHA-1\nsha-224\rSHA-256 SHA-384\tSHA-512",
            MU_SCEP_CAP_SHA1 | MU_SCEP_CAP_SHA224 | MU_SCEP_CAP_SHA256 | MU_SCEP_CAP_SHA384
                | MU_SCEP_CAP_SHA512},
        {"GetNextCACert\nPOSTPKIOperation\nRenewal",
            MU_SCEP_CAP_NEXT_CA | MU_SCEP_CAP_POST | MU_SCEP_CAP_RENEWAL},
        /* SCEP-18: unknown words, also ones that only begin like known ones */
        {"Example.com-Name\nAES-GCM\nRenewals\nPOST\nUpdate", 0},
        {"a word much longer than any capability there is, to be sure it is skipped\nDES\nMD5",
            MU_SCEP_CAP_DES | MU_SCEP_CAP_MD5},
        /* SCEP-19: neither Renewal nor GetNextCACert */
        {"SCEPStandard",
            MU_SCEP_CAP_STANDARD | MU_SCEP_CAP_AES | MU_SCEP_CAP_POST | MU_SCEP_CAP_SHA256},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (parse(rows[i].text) != rows[i].caps)
            fail_msg("'%s' gave %#x", rows[i].text, parse(rows[i].text));
    }
    assert_int_equal(mu_scep_caps_parse(mu_bytes("AES\0DES3", 8)), 0);
}

static void they_are_written_in_order_and_read_back(void **state)
{
    unsigned caps = MU_SCEP_CAP_STANDARD | MU_SCEP_CAP_AES | MU_SCEP_CAP_POST | MU_SCEP_CAP_SHA256
        | MU_SCEP_CAP_SHA512 | MU_SCEP_CAP_RENEWAL;
    struct mu_buf out = {0};
    unsigned i;

    (void)state;
    assert_true(mu_scep_caps_format(caps, &out));
    assert_string_equal(mu_buf_str(&out),
        "AES\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-512\n");
    assert_int_equal(mu_scep_caps_parse(mu_buf_bytes(&out)), caps);
    mu_buf_reset(&out);
    assert_true(mu_scep_caps_line(caps, &out));
    assert_string_equal(
        mu_buf_str(&out), "AES POSTPKIOperation Renewal SCEPStandard SHA-256 SHA-512");
    for (i = 0; i <= 12; i++) {
        if ((1u << i) == MU_SCEP_CAP_STANDARD)
            continue;
        mu_buf_reset(&out);
        assert_true(mu_scep_caps_format(1u << i, &out));
        assert_int_equal(mu_scep_caps_parse(mu_buf_bytes(&out)), 1u << i);
    }
    mu_buf_reset(&out);
    assert_true(mu_scep_caps_line(0, &out));
    assert_int_equal(out.n, 0);
    mu_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_found_whatever_their_form),
        cmocka_unit_test(they_are_written_in_order_and_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
