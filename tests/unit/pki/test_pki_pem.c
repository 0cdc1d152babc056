/* PEM armor: blocks, what stands between them, damage. */
#include <string.h>

#include "kit.h"
#include "pki/pki_pem.h"

static void blocks_come_one_after_the_other(void **state)
{
    static const char file[] = "subject=/CN=a\n-----BEGIN CERTIFICATE-----\nAQID\n"
                               "-----END CERTIFICATE-----\r\ntext\n"
                               "-----BEGIN X509 CRL-----\r\nBA==\r\n-----END X509 CRL-----";
    struct mu_bytes text = mu_bytes_str(file), label;
    struct mu_buf der = {0};
    bool bad;
    assert_true(mu_pki_pem_is(text));
    assert_true(mu_pki_pem_next(&text, &label, &der, &bad));
    assert_true(mu_bytes_equal(label, kit_str("CERTIFICATE")));
    assert_true(mu_bytes_equal(mu_buf_bytes(&der), mu_bytes("\1\2\3", 3)));
    assert_true(mu_pki_pem_next(&text, &label, &der, &bad));
    assert_true(mu_bytes_equal(label, kit_str("X509 CRL")));
    assert_true(mu_bytes_equal(mu_buf_bytes(&der), mu_bytes("\4", 1)));
    assert_false(mu_pki_pem_next(&text, &label, &der, &bad));
    assert_false(bad);
    mu_buf_clear(&der);
}

static void headers_are_skipped(void **state)
{
    struct mu_bytes label,
        text = mu_bytes_str("-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\n"
                            "AQID\n-----END K-----\n");
    struct mu_buf der = {0};
    bool bad;
    assert_true(mu_pki_pem_next(&text, &label, &der, &bad));
    assert_int_equal(der.n, 3);
    mu_buf_clear(&der);
}

static void broken_blocks_are_bad(void **state)
{
    static const char *const rows[] = {
        "-----BEGIN CERTIFICATE-----\nAQID\n",
        "-----BEGIN CERTIFICATE-----\nAQ!D\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAQID\n-----END X509 CRL-----\n",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE\nAQID\n-----END CERTIFICATE-----\n",
        "-----BEGIN ",
        "-----BEGIN A-----",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_bytes text = mu_bytes_str(rows[i]), label;
        struct mu_buf der = {0};
        bool bad = false;
        if (mu_pki_pem_next(&text, &label, &der, &bad) || !bad)
            fail_msg("row %zu is taken", i);
        mu_buf_clear(&der);
    }
}

static void what_is_put_comes_back(void **state)
{
    uint8_t octets[100];
    struct mu_buf out = {0}, der = {0};
    struct mu_bytes text, label;
    bool bad;
    for (size_t i = 0; i < sizeof(octets); i++)
        octets[i] = (uint8_t)i;
    assert_true(mu_pki_pem_put(&out, "THING", mu_bytes(octets, sizeof(octets))));
    assert_true(memchr(out.p, '\n', 70) != NULL);
    text = mu_buf_bytes(&out);
    assert_true(mu_pki_pem_next(&text, &label, &der, &bad));
    assert_true(mu_bytes_equal(mu_buf_bytes(&der), mu_bytes(octets, sizeof(octets))));
    mu_buf_clear(&out);
    mu_buf_clear(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_one_after_the_other),
        cmocka_unit_test(headers_are_skipped),
        cmocka_unit_test(broken_blocks_are_bad),
        cmocka_unit_test(what_is_put_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
