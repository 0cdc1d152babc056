/* Certificates: made, decoded, compared with OpenSSL's reading; CA-01..03, CA-05..08; serials. */
#include <openssl/x509v3.h>
#include <string.h>

#include "kit.h"

static void openssl_agrees_with_what_we_make_and_read(void **state)
{
    static const struct {
        const char *key, *serial;
        int64_t from, to;
        const char *san;
        bool is_ca, v1;
    } rows[] = {
        {"rsa:2048", "0x4A96E1736D", 0, 0, "DNS:a.example", false, false},
        {"ec:P-256", "ff:00", 0, 0, NULL, true,
            false}, /* CA-01: positive though the top bit is set */
        {"ec:P-384", "0x0102030405060708090a0b0c0d0e0f10", 0, 0, NULL, false, false},
        {"ed25519", "1", 2524607999, 2524608000, NULL, false, false}, /* CA-03: the turn of 2049 */
        {"rsa:2048", "1", 0, 253402300799, NULL, true, false}, /* 99991231235959Z */
        {"ec:P-256", "7", 0, 0, NULL, false, true}, /* CA-02: v1 without extensions */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_pki_cert *cert = kit_cert(&(struct kit_cert){.subject = "/C=NL/O=Example/CN=a",
            .key = kit_key(rows[i].key, 0),
            .serial = rows[i].serial,
            .not_before_s = rows[i].from,
            .not_after_s = rows[i].to,
            .san = rows[i].san,
            .is_ca = rows[i].is_ca,
            .v1 = rows[i].v1});
        X509 *x = kit_x509(cert);
        assert_int_equal(X509_verify(x, X509_get0_pubkey(x)), 1);
        assert_int_equal(X509_get_version(x) + 1, cert->version);
        assert_int_equal(cert->version, rows[i].v1 ? 1 : 3);
        struct tm tm = {0};
        assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm), 1);
        assert_int_equal(timegm(&tm), cert->not_after_s);
        assert_int_equal(X509_get0_notAfter(x)->type,
            cert->not_after_s < 2524608000 ? V_ASN1_UTCTIME : V_ASN1_GENERALIZEDTIME);
        assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(x), &tm), 1);
        assert_int_equal(timegm(&tm), cert->not_before_s);
        /* serial as `openssl x509 -serial` prints it (R033) */
        struct mu_buf hex = {0};
        BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
        assert_false(BN_is_negative(bn));
        char *want = BN_bn2hex(bn);
        assert_true(mu_pki_cert_serial_hex(cert->serial, &hex));
        assert_string_equal(mu_buf_str(&hex), want);
        OPENSSL_free(want);
        BN_free(bn);
        mu_buf_clear(&hex);
        /* CA-05: names octet for octet */
        uint8_t *name = NULL;
        int n = i2d_X509_NAME(X509_get_issuer_name(x), &name);
        assert_true(mu_bytes_equal(cert->issuer, mu_bytes(name, (size_t)n)));
        OPENSSL_free(name);
        unsigned char digest[32];
        assert_int_equal(X509_digest(x, EVP_sha256(), digest, NULL), 1);
        assert_memory_equal(digest, cert->sha256, 32);
        assert_int_equal(mu_pki_cert_is_ca(cert), rows[i].is_ca || rows[i].v1);
        assert_int_equal(X509_check_ca(x) != 0, rows[i].is_ca || rows[i].v1);
        if (!rows[i].v1) { /* CA-07, CA-08 */
            assert_true(mu_bytes_equal(cert->exts.skid, cert->exts.akid));
            assert_memory_equal(X509_get0_subject_key_id(x)->data, cert->exts.skid.p, 20);
        }
        assert_true(mu_pki_cert_is_self_signed(cert));
        X509_free(x);
        mu_pki_cert_free(cert);
    }
}

static void certificates_of_openssl_are_read(void **state)
{
    static const struct {
        const char *file;
        enum mu_pki_key_type type;
        const char *subject;
    } rows[] = {
        {"openssl/rsa.crt", MU_PKI_KEY_RSA, "C=NL,O=Example,CN=rsa"},
        {"openssl/ec.crt", MU_PKI_KEY_EC, "CN=ec"},
        {"openssl/ed25519.crt", MU_PKI_KEY_ED25519, "CN=ed25519"},
        {"openssl/pss.crt", MU_PKI_KEY_RSA, "CN=pss"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf file = kit_vector(rows[i].file), text = {0};
        struct mu_pki_certs list = {0};
        struct mu_pki_key *key, *again;
        struct mu_pki_key_spec spec;
        kit_ok(mu_pki_certs_decode(mu_buf_bytes(&file), &list, kit_err_));
        assert_int_equal(list.n, 1);
        assert_true(mu_pki_name_format(list.v[0]->subject, MU_PKI_NAME_COMMA, &text));
        assert_string_equal(mu_buf_str(&text), rows[i].subject);
        kit_ok(mu_pki_cert_key(list.v[0], &key, kit_err_));
        kit_ok(mu_pki_cert_key(list.v[0], &again, kit_err_));
        assert_ptr_equal(key, again); /* kept */
        mu_pki_key_spec_of(key, &spec);
        assert_int_equal(spec.type, rows[i].type);
        assert_true(mu_pki_cert_is_self_signed(list.v[0]));
        /* PEM and back */
        mu_buf_reset(&text);
        assert_true(mu_pki_cert_to_pem(list.v[0], &text));
        kit_ok(mu_pki_certs_decode(mu_buf_bytes(&text), &list, kit_err_));
        assert_int_equal(list.n, 2);
        assert_true(mu_pki_cert_equal(list.v[0], list.v[1]));
        mu_pki_certs_clear(&list);
        mu_buf_clear(&file);
        mu_buf_clear(&text);
    }
}

static void issuers_are_verified_by_name_and_signature(void **state)
{
    struct mu_pki_cert *ca = kit_cert(
        &(struct kit_cert){.subject = "/CN=ca", .key = kit_key("ec:P-256", 0), .is_ca = true});
    struct mu_pki_cert *same_name = kit_cert(
        &(struct kit_cert){.subject = "/CN=ca", .key = kit_key("ec:P-256", 1), .is_ca = true});
    struct mu_pki_cert *leaf = kit_cert(&(struct kit_cert){.subject = "/CN=leaf",
        .issuer = "/CN=ca",
        .key = kit_key("rsa:2048", 0),
        .issuer_key = kit_key("ec:P-256", 0)});
    kit_ok(mu_pki_cert_verify(leaf, ca, false, kit_err_));
    assert_int_equal(mu_pki_cert_verify(leaf, same_name, false, kit_err()), MU_AUTH);
    assert_true(kit_says("certificate \"CN = leaf\""));
    assert_int_equal(mu_pki_cert_verify(ca, leaf, false, kit_err()), MU_AUTH);
    assert_true(kit_says("not issued by \"CN = leaf\""));
    assert_false(mu_pki_cert_is_self_signed(leaf));
    mu_pki_cert_free(ca);
    mu_pki_cert_free(same_name);
    mu_pki_cert_free(leaf);
}

static void sha1_signatures_need_the_legacy_switch(void **state)
{
    struct mu_pki_cert *cert = kit_cert(&(struct kit_cert){.subject = "/CN=old",
        .key = kit_key("rsa:2048", 0), .digest = MU_PKI_SHA1});
    struct mu_err err = {0};
    assert_int_equal(mu_pki_cert_verify(cert, cert, false, &err), MU_UNSUPPORTED);
    assert_int_equal(err.reason, MU_M(705));
    kit_ok(mu_pki_cert_verify(cert, cert, true, kit_err_));
    mu_pki_cert_free(cert);
}

static void odd_serials_are_taken(void **state)
{
    /* CA-01: zero, negative, long ones of the field */
    static const struct {
        const char *octets;
        size_t n;
        const char *hex, *trace;
    } rows[] = {
        {"\x00", 1, "00", "0 (0x0)"},
        {"\x07\x46\x97", 3, "074697", "476823 (0x74697)"},
        {"\x00\xff", 2, "FF", "255 (0xff)"},
        {"\xff\x01", 2, "FF01", "ff:01"},
        {"\x7f\xff\xff\xff\xff\xff\xff\xff", 8, "7FFFFFFFFFFFFFFF",
            "9223372036854775807 (0x7fffffffffffffff)"},
        {"\x00\x80\x00\x00\x00\x00\x00\x00\x01", 9, "8000000000000001", "80:00:00:00:00:00:00:01"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf text = {0};
        assert_true(mu_pki_cert_serial_hex(mu_bytes(rows[i].octets, rows[i].n), &text));
        assert_string_equal(mu_buf_str(&text), rows[i].hex);
        mu_buf_reset(&text);
        assert_true(mu_pki_cert_serial_trace(mu_bytes(rows[i].octets, rows[i].n), &text));
        assert_string_equal(mu_buf_str(&text), rows[i].trace);
        mu_buf_clear(&text);
    }
    assert_true(mu_pki_serial_equal(mu_bytes("\0\0\x12", 3), mu_bytes("\x12", 1)));
    assert_false(mu_pki_serial_equal(mu_bytes("\x12\0", 2), mu_bytes("\x12", 1)));
}

static void serials_are_typed_in_several_ways(void **state)
{
    static const struct {
        const char *text, *octets;
        size_t n;
    } rows[] = {
        {"476823", "\x07\x46\x97", 3},
        {"0x74697", "\x07\x46\x97", 3},
        {"07:46:97", "\x07\x46\x97", 3},
        {"4A96E1736D", "\x4a\x96\xe1\x73\x6d", 5},
        {"0", "\0", 1},
        {"255", "\0\xff", 2},
        {"ABC", "\x0a\xbc", 2},
        {"0xFF", "\0\xff", 2},
        {"340282366920938463463374607431768211456", "\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 17},
    };
    static const char *const bad[] = {"", "0x", "x", "12 34g", "-1",
        ("99999999999999999999999999999999999999999999999999999"
         "99999999999999999999999999999999999999999999999999999")};
    struct mu_buf out = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        mu_buf_reset(&out);
        kit_ok(mu_pki_serial_parse(rows[i].text, &out, kit_err_));
        if (!mu_bytes_equal(mu_buf_bytes(&out), mu_bytes(rows[i].octets, rows[i].n)))
            fail_msg("%s", rows[i].text);
    }
    mu_buf_reset(&out);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(mu_pki_serial_parse(bad[i], &out, kit_err()), MU_INPUT);
    assert_int_equal(out.n, 0);
    mu_buf_clear(&out);
}

static void fingerprints_are_colon_hex(void **state)
{
    struct mu_pki_cert *cert =
        kit_cert(&(struct kit_cert){.subject = "/CN=a", .key = kit_key("ec:P-256", 0)});
    struct mu_buf text = {0};
    char first[4];
    assert_true(mu_pki_cert_fingerprint(cert, MU_PKI_DIGEST_NONE, &text));
    assert_int_equal(text.n, 95);
    snprintf(first, sizeof(first), "%02X:", cert->sha256[0]);
    assert_memory_equal(text.p, first, 3);
    mu_buf_reset(&text);
    assert_true(mu_pki_cert_fingerprint(cert, MU_PKI_SHA1, &text));
    assert_int_equal(text.n, 59);
    mu_buf_clear(&text);
    mu_pki_cert_free(cert);
}

static void damage_is_refused_with_the_fields_name(void **state)
{
    struct mu_pki_cert *cert = kit_cert(&(struct kit_cert){.subject = "/CN=a",
        .key = kit_key("ec:P-256", 0), .not_before_s = 1700000000}), *out = NULL;
    uint8_t der[1024];
    assert_true(cert->der.n < sizeof(der));
    for (size_t n = 0; n < cert->der.n; n++)
        assert_int_equal(mu_pki_cert_decode(mu_bytes(cert->der.p, n), &out, kit_err()), MU_INPUT);
    const struct {
        const uint8_t *at;
        uint8_t value;
        const char *says;
    } rows[] = {
        {cert->tbs.p, 0x31, "tbsCertificate"},
        {cert->tbs.p + 8, 0x07, "version"}, /* v8 */
        {cert->serial.p - 2, 0x04, "serialNumber"},
        {cert->issuer.p, 0x31, "issuer"},
        {cert->issuer.p + 2, 0x30, "issuer"},
        {cert->issuer.p + cert->issuer.n + 2, 0x04, "validity"},
        {cert->issuer.p + cert->issuer.n + 6, 'x', "validity"},
        {cert->subject.p, 0x31, "subject"},
        {cert->spki.p, 0x31, "subjectPublicKeyInfo"},
        {cert->spki.p + cert->spki.n, 0xa4, "extensions"},
        {cert->sig_alg.p + cert->sig_alg.n - 1, 0x03, "differ"}, /* CA-02 */
        {cert->sig_alg.p, 0x31, "signatureAlgorithm"},
        {cert->sig_alg.p + cert->sig_alg.n, 0x04, "signatureValue"},
        {cert->sig_alg.p + cert->sig_alg.n + 2, 0x01, "signatureValue"}, /* unused bits */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memcpy(der, cert->der.p, cert->der.n);
        der[rows[i].at - cert->der.p] = rows[i].value;
        enum mu_code rc = mu_pki_cert_decode(mu_bytes(der, cert->der.n), &out, kit_err());
        if (rc != MU_INPUT || !kit_says(rows[i].says))
            fail_msg("row %zu gives %d", i, (int)rc);
        assert_null(out);
    }
    memcpy(der, cert->der.p, cert->der.n);
    assert_int_equal(mu_pki_cert_decode(mu_bytes(der, cert->der.n + 1), &out, kit_err()), MU_INPUT);
    mu_pki_cert_free(cert);
}

static void references_keep_a_certificate_alive(void **state)
{
    struct mu_pki_cert *cert =
        kit_cert(&(struct kit_cert){.subject = "/CN=a", .key = kit_key("ec:P-256", 0)});
    struct mu_pki_key *key;
    mu_pki_cert_ref(cert);
    mu_pki_cert_free(cert);
    kit_ok(mu_pki_cert_key(cert, &key, kit_err_));
    mu_pki_cert_free(cert);
    mu_pki_cert_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_agrees_with_what_we_make_and_read),
        cmocka_unit_test(certificates_of_openssl_are_read),
        cmocka_unit_test(issuers_are_verified_by_name_and_signature),
        cmocka_unit_test(sha1_signatures_need_the_legacy_switch),
        cmocka_unit_test(odd_serials_are_taken),
        cmocka_unit_test(serials_are_typed_in_several_ways),
        cmocka_unit_test(fingerprints_are_colon_hex),
        cmocka_unit_test(damage_is_refused_with_the_fields_name),
        cmocka_unit_test(references_keep_a_certificate_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
