/* Revocation lists: CA-15..17, OpenSSL's and ours. */
#include <string.h>

#include "kit.h"
#include "pki/pki_crl.h"

static struct mu_pki_cert *issuer(void)
{
    return kit_cert(
        &(struct kit_cert){.subject = "/CN=ca", .key = kit_key("ec:P-256", 0), .is_ca = true});
}

static void make(const struct mu_pki_crl_entry *entries, size_t n, struct mu_buf *der)
{
    struct mu_pki_cert *ca = issuer();
    const struct mu_pki_crl_params params = {.issuer = ca->subject, .issuer_skid = ca->exts.skid,
        .this_update_s = KIT_NOW, .next_update_s = KIT_NOW + 86400, .number = 0xff01,
        .entries = entries, .n = n};
    kit_ok(mu_pki_crl_make(&params, kit_key("ec:P-256", 0), MU_PKI_DIGEST_NONE, der, kit_err_));
    mu_pki_cert_free(ca);
}

static void what_we_make_is_read_by_both(void **state)
{
    const struct mu_pki_crl_entry entries[] = {
        {mu_bytes("\x12\x34", 2), KIT_NOW - 100, 1},
        {mu_bytes("\x00\xff", 2), KIT_NOW - 200, 0},
    };
    struct mu_buf der = {0}, pem = {0};
    struct mu_pki_cert *ca = issuer();
    struct mu_pki_crl *crl;
    int64_t when_s;
    int reason;
    make(entries, 2, &der);
    const uint8_t *p = der.p;
    X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)der.n);
    X509 *ca_x = kit_x509(ca);
    assert_non_null(x);
    assert_int_equal(X509_CRL_verify(x, X509_get0_pubkey(ca_x)), 1);
    assert_int_equal(X509_CRL_get_version(x), 1); /* CA-15: v2 */
    assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x)), 2);
    assert_int_not_equal(
        X509_CRL_get_ext_by_NID(x, NID_authority_key_identifier, -1), -1); /* CA-16 */
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(x, NID_crl_number, NULL, NULL);
    assert_int_equal(ASN1_INTEGER_get(number), 0xff01);
    /* CA-17: reason 0 is left out */
    assert_int_equal(
        X509_REVOKED_get_ext_count(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 0)), 1);
    assert_int_equal(
        X509_REVOKED_get_ext_count(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 1)), 0);
    ASN1_INTEGER_free(number);
    X509_CRL_free(x);
    X509_free(ca_x);

    assert_true(mu_pki_crl_to_pem(mu_buf_bytes(&der), &pem));
    kit_ok(mu_pki_crl_decode(mu_buf_bytes(&pem), &crl, kit_err_));
    kit_ok(mu_pki_crl_verify(crl, ca, false, kit_err_));
    assert_int_equal(crl->this_update_s, KIT_NOW);
    assert_int_equal(crl->next_update_s, KIT_NOW + 86400);
    assert_true(mu_bytes_equal(crl->akid, ca->exts.skid));
    assert_true(mu_bytes_equal(crl->number, mu_bytes("\x00\xff\x01", 3)));
    assert_int_equal(mu_pki_crl_count(crl), 2);
    assert_true(mu_pki_crl_has(crl, mu_bytes("\x00\x12\x34", 3), &when_s, &reason));
    assert_int_equal(when_s, KIT_NOW - 100);
    assert_int_equal(reason, 1);
    assert_true(mu_pki_crl_has(crl, mu_bytes("\xff", 1), NULL, &reason));
    assert_int_equal(reason, -1);
    assert_false(mu_pki_crl_has(crl, mu_bytes("\x12", 1), &when_s, &reason));
    mu_pki_crl_free(crl);
    mu_pki_cert_free(ca);
    mu_buf_clear(&der);
    mu_buf_clear(&pem);
}

static void an_empty_list_has_no_revoked_certificates(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_crl *crl;
    make(NULL, 0, &der);
    const uint8_t *p = der.p;
    X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)der.n);
    assert_non_null(x);
    assert_null(X509_CRL_get_REVOKED(x)); /* CA-15 */
    X509_CRL_free(x);
    kit_ok(mu_pki_crl_decode(mu_buf_bytes(&der), &crl, kit_err_));
    assert_int_equal(mu_pki_crl_count(crl), 0);
    assert_int_equal(crl->revoked.n, 0);
    mu_pki_crl_free(crl);
    mu_buf_clear(&der);
}

static void a_list_of_openssl_is_read(void **state)
{
    static const char *const files[] = {"openssl/rsa.crl", "openssl/rsa.crl.pem"};
    struct mu_buf cert_file = kit_vector("openssl/rsa.crt");
    struct mu_pki_certs certs = {0};
    kit_ok(mu_pki_certs_decode(mu_buf_bytes(&cert_file), &certs, kit_err_));
    for (size_t i = 0; i < 2; i++) {
        struct mu_buf file = kit_vector(files[i]);
        struct mu_pki_crl *crl;
        int64_t when_s;
        int reason;
        kit_ok(mu_pki_crl_decode(mu_buf_bytes(&file), &crl, kit_err_));
        assert_int_equal(mu_pki_crl_count(crl), 2);
        assert_true(mu_bytes_equal(crl->number, mu_bytes("\x01", 1)));
        assert_true(mu_pki_crl_has(crl, mu_bytes("\x12\x34", 2), &when_s, &reason));
        assert_int_equal(reason, 1);
        assert_int_equal(when_s, 1761955200); /* 2025-11-01 */
        assert_true(mu_pki_crl_has(crl, mu_bytes("\x56\x78", 2), &when_s, &reason));
        assert_int_equal(reason, -1);
        /* that certificate's key usage has no cRLSign */
        assert_int_equal(mu_pki_crl_verify(crl, certs.v[0], false, kit_err()), MU_AUTH);
        assert_true(kit_says("may not sign CRLs"));
        certs.v[0]->exts.key_usage |= MU_KU_CRL_SIGN;
        kit_ok(mu_pki_crl_verify(crl, certs.v[0], false, kit_err_));
        certs.v[0]->exts.key_usage &= ~(unsigned)MU_KU_CRL_SIGN;
        mu_pki_crl_free(crl);
        mu_buf_clear(&file);
    }
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&cert_file);
}

static void damaged_and_foreign_lists_are_refused(void **state)
{
    const struct mu_pki_crl_entry entry = {mu_bytes("\x12\x34", 2), KIT_NOW, 1};
    struct mu_buf der = {0};
    struct mu_pki_cert *ca = issuer();
    struct mu_pki_cert *other = kit_cert(
        &(struct kit_cert){.subject = "/CN=other", .key = kit_key("ec:P-256", 0), .is_ca = true});
    struct mu_pki_crl *crl = NULL;
    make(&entry, 1, &der);
    for (size_t n = 0; n < der.n; n++) {
        assert_int_equal(mu_pki_crl_decode(mu_bytes(der.p, n), &crl, kit_err()), MU_INPUT);
        assert_null(crl);
    }
    assert_int_equal(mu_pki_crl_decode(ca->der, &crl, kit_err()), MU_INPUT);
    der.p[kit_find(mu_buf_bytes(&der), "\x02\x02\x12\x34", 4) + 3] ^= 1;
    kit_ok(mu_pki_crl_decode(mu_buf_bytes(&der), &crl, kit_err_));
    assert_int_equal(mu_pki_crl_verify(crl, ca, false, kit_err()), MU_AUTH);
    assert_int_equal(mu_pki_crl_verify(crl, other, false, kit_err()), MU_AUTH);
    assert_true(kit_says("not issued by"));
    mu_pki_crl_free(crl);
    mu_pki_crl_free(NULL);
    mu_pki_cert_free(ca);
    mu_pki_cert_free(other);
    mu_buf_clear(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_we_make_is_read_by_both),
        cmocka_unit_test(an_empty_list_has_no_revoked_certificates),
        cmocka_unit_test(a_list_of_openssl_is_read),
        cmocka_unit_test(damaged_and_foreign_lists_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
