/* OIDs of CSR attributes by name, kind and signature. */
#include "world.h"
#include "proto/est/est_oids.h"

static const struct mu_est_oid *find(const char *dotted)
{
    uint8_t oid[MU_DER_OID_MAX];
    size_t n = mu_der_oid_encode(dotted, oid, sizeof oid);

    assert_int_not_equal(n, 0);
    return mu_est_oid_find(mu_bytes(oid, n));
}

static void names_what_it_knows(void **state)
{
    (void)state;
    assert_string_equal(find("1.3.132.0.34")->name, "secp384r1");
    assert_int_equal(find("1.3.132.0.34")->bits, 384);
    assert_string_equal(find("2.5.29.17")->name, "X509v3 Subject Alternative Name");
    assert_true(find("2.5.29.17")->is_extension);
    assert_null(find("1.3.6.1.1.1.1.22")); /* the seed's, undefined */
}

static void finds_signatures(void **state)
{
    (void)state;
    assert_string_equal(mu_est_oid_signature(MU_PKI_KEY_RSA, MU_PKI_SHA256), "1.2.840.113549.1.1.11");
    assert_string_equal(mu_est_oid_signature(MU_PKI_KEY_EC, MU_PKI_SHA384), "1.2.840.10045.4.3.3");
    assert_null(mu_est_oid_signature(MU_PKI_KEY_ED25519, MU_PKI_SHA256));
    assert_null(mu_est_oid_signature(MU_PKI_KEY_RSA, MU_PKI_DIGEST_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_it_knows),
        cmocka_unit_test(finds_signatures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
