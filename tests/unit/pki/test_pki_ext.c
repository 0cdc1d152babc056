/* Extensions: written, decoded, shown; words of configuration. I8's texts. */
#include <openssl/x509v3.h>
#include <string.h>

#include "kit.h"
#include "pki/pki_ext.h"

static void put_all(struct mu_buf *b)
{
    static const uint8_t id[20] = {0x9b, 0xf8, 0x39};
    struct mu_buf san = {0};
    kit_ok(mu_pki_san_parse("DNS:a.example,IP:192.0.2.1", &san, kit_err_));
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_pki_ext_put_basic(b, true, true, 0);
    mu_pki_ext_put_key_usage(b, true, MU_KU_DIGITAL_SIGNATURE | MU_KU_DECIPHER_ONLY);
    mu_pki_ext_put_eku(b, MU_EKU_CLIENT_AUTH | MU_EKU_CMC_RA | MU_EKU_ANY);
    mu_pki_ext_put_san(b, true, mu_buf_bytes(&san));
    mu_pki_ext_put_skid(b, id);
    mu_pki_ext_put_akid(b, mu_bytes(id, 20));
    mu_pki_ext_put_template_name(b, "tls-client \xc3\xbc");
    mu_pki_ext_put_crl_dp(b, "http://ca.example/crl");
    mu_pki_ext_put_aia(b, "http://ca.example/ocsp", "http://ca.example/ca");
    mu_der_close(b, seq);
    mu_buf_clear(&san);
}

static void what_is_written_is_decoded(void **state)
{
    struct mu_buf b = {0};
    struct mu_pki_exts exts;
    put_all(&b);
    kit_ok(mu_pki_exts_decode(mu_buf_bytes(&b), &exts, kit_err_));
    assert_true(exts.has_basic && exts.is_ca);
    assert_int_equal(exts.path_len, 0);
    assert_true(exts.has_key_usage);
    assert_int_equal(exts.key_usage, MU_KU_DIGITAL_SIGNATURE | MU_KU_DECIPHER_ONLY);
    assert_true(exts.has_eku);
    assert_int_equal(exts.eku, MU_EKU_CLIENT_AUTH | MU_EKU_CMC_RA | MU_EKU_ANY);
    assert_int_equal(exts.skid.n, 20);
    assert_true(mu_bytes_equal(exts.skid, exts.akid));
    assert_non_null(exts.san.p);
    assert_non_null(exts.template_name_raw.p);
    assert_false(exts.unknown_critical);
    mu_buf_clear(&b);
}

static void openssl_reads_what_is_written(void **state)
{
    struct mu_buf b = {0};
    put_all(&b);
    const uint8_t *p = b.p;
    X509_EXTENSIONS *exts = d2i_X509_EXTENSIONS(NULL, &p, (long)b.n);
    assert_non_null(exts);
    assert_int_equal(sk_X509_EXTENSION_num(exts), 9);
    static const int nids[] = {NID_basic_constraints, NID_key_usage, NID_ext_key_usage,
        NID_subject_alt_name, NID_subject_key_identifier, NID_authority_key_identifier,
        NID_crl_distribution_points, NID_info_access};
    static const bool critical[] = {true, true, false, true, false, false, false, false};
    for (size_t i = 0; i < sizeof(nids) / sizeof(nids[0]); i++) {
        int crit = -1;
        void *decoded = X509V3_get_d2i(exts, nids[i], &crit, NULL);
        assert_non_null(decoded);
        assert_int_equal(crit, critical[i]);
        const X509V3_EXT_METHOD *method = X509V3_EXT_get_nid(nids[i]);
        if (nids[i] == NID_key_usage) {
            assert_int_equal(ASN1_BIT_STRING_get_bit(decoded, 0), 1);
            assert_int_equal(ASN1_BIT_STRING_get_bit(decoded, 8), 1);
            assert_int_equal(ASN1_BIT_STRING_get_bit(decoded, 5), 0);
        }
        if (method->it)
            ASN1_item_free(decoded, ASN1_ITEM_ptr(method->it));
    }
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    mu_buf_clear(&b);
}

struct shown {
    struct mu_buf text;
};

static void show(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    char title[64];
    struct shown *shown = cookie;
    mu_buf_putf(&shown->text, "%s%s=", mu_pki_ext_title(oid, title), critical ? "!" : "");
    mu_pki_ext_format(oid, value, &shown->text);
    mu_buf_put_byte(&shown->text, '\n');
}

static void people_read_titles_and_values(void **state)
{
    struct shown shown = {0};
    struct mu_buf b = {0};
    put_all(&b);
    assert_true(mu_pki_ext_each(mu_buf_bytes(&b), show, &shown));
    assert_string_equal(mu_buf_str(&shown.text),
        "X509v3 Basic Constraints!=CA:TRUE, pathlen:0\n"
        "X509v3 Key Usage!=Digital Signature, Decipher Only\n"
        "X509v3 Extended Key Usage=TLS Web Client Authentication, CMC Registration Authority, "
        "Any Extended Key Usage\n"
        "X509v3 Subject Alternative Name!=DNS:a.example, IP:192.0.2.1\n"
        "X509v3 Subject Key Identifier="
        "9B:F8:39:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\n"
        "X509v3 Authority Key Identifier="
        "9B:F8:39:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\n"
        "Certificate Template Name=tls-client \xc3\xbc\n"
        "X509v3 CRL Distribution Points=URI:http://ca.example/crl\n"
        "Authority Information Access=OCSP - URI:http://ca.example/ocsp, "
        "CA Issuers - URI:http://ca.example/ca\n");
    mu_buf_reset(&shown.text);
    show(&shown, "1.2.3", false, mu_bytes("\x01\xff", 2));
    show(&shown, "2.5.29.15", false, mu_bytes("\x01\xff", 2)); /* malformed: as hex */
    assert_string_equal(mu_buf_str(&shown.text), "1.2.3=01:FF\nX509v3 Key Usage=01:FF\n");
    mu_buf_clear(&shown.text);
    mu_buf_clear(&b);
}

static void a_certificate_that_is_no_ca_says_so(void **state)
{
    struct mu_buf text = {0};
    assert_true(mu_pki_ext_format("2.5.29.19", mu_bytes("\x30\x00", 2), &text));
    assert_string_equal(mu_buf_str(&text), "CA:FALSE");
    mu_buf_clear(&text);
}

static void malformed_and_doubled_extensions_are_refused(void **state)
{
    static const struct {
        const char *oid, *value;
        size_t n;
    } rows[] = {
        {"2.5.29.19", "\x30\x03\x02\x01\xff", 5}, /* negative path length */
        {"2.5.29.19", "\x31\x00", 2},
        {"2.5.29.15", "\x03\x01\x08", 3},
        {"2.5.29.15", "\x04\x01\x00", 3},
        {"2.5.29.15", "\x03\x00", 2},
        {"2.5.29.37", "\x30\x00", 2},
        {"2.5.29.37", "\x30\x02\x05\x00", 4},
        {"2.5.29.17", "\x30\x01\x82", 3},
        {"2.5.29.14", "\x30\x00", 2},
        {"2.5.29.35", "\x04\x00", 2},
    };
    struct mu_pki_exts exts = {.path_len = 77};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf b = {0};
        size_t seq = mu_der_open(&b, MU_DER_SEQUENCE);
        mu_pki_ext_put(&b, rows[i].oid, false, mu_bytes(rows[i].value, rows[i].n));
        mu_der_close(&b, seq);
        if (mu_pki_exts_decode(mu_buf_bytes(&b), &exts, kit_err()) != MU_INPUT)
            fail_msg("row %zu is taken", i);
        mu_buf_clear(&b);
    }
    struct mu_buf twice = {0};
    size_t seq = mu_der_open(&twice, MU_DER_SEQUENCE);
    mu_pki_ext_put(&twice, "1.2.3", false, kit_str("a"));
    mu_pki_ext_put(&twice, "1.2.3", false, kit_str("b"));
    mu_der_close(&twice, seq);
    assert_int_equal(mu_pki_exts_decode(mu_buf_bytes(&twice), &exts, kit_err()), MU_INPUT);
    assert_true(kit_says("1.2.3 is there twice"));
    mu_buf_clear(&twice);
    assert_int_equal(
        mu_pki_exts_decode(mu_bytes("\x30\x02\x30\x00", 4), &exts, kit_err()), MU_INPUT);
    assert_int_equal(mu_pki_exts_decode(mu_bytes("", 0), &exts, kit_err()), MU_INPUT);
    assert_int_equal(exts.path_len, 77); /* untouched on failure */
}

static void unknown_critical_extensions_are_noted(void **state)
{
    static const struct {
        const char *oid;
        bool critical, noted;
    } rows[] = {{"1.2.3", true, true}, {"1.2.3", false, false}, {"2.5.29.99", true, true},
        {"2.5.29.30", true, false}};
    for (size_t i = 0; i < 4; i++) {
        struct mu_pki_exts exts;
        struct mu_buf b = {0};
        size_t seq = mu_der_open(&b, MU_DER_SEQUENCE);
        mu_pki_ext_put(&b, rows[i].oid, rows[i].critical, kit_str("x"));
        mu_der_close(&b, seq);
        kit_ok(mu_pki_exts_decode(mu_buf_bytes(&b), &exts, kit_err_));
        assert_int_equal(exts.unknown_critical, rows[i].noted);
        mu_buf_clear(&b);
    }
}

static void words_of_configuration_parse(void **state)
{
    unsigned bits;
    struct mu_buf text = {0};
    kit_ok(mu_pki_key_usage_parse("digitalSignature, keyEncipherment", &bits, kit_err_));
    assert_int_equal(bits, MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    assert_true(mu_pki_key_usage_format(bits, &text));
    assert_string_equal(mu_buf_str(&text), "digitalSignature, keyEncipherment");
    kit_ok(mu_pki_key_usage_parse("", &bits, kit_err_));
    assert_int_equal(bits, 0);
    kit_ok(mu_pki_eku_parse("clientAuth serverauth,1.3.6.1.5.5.7.3.9", &bits, kit_err_));
    assert_int_equal(bits, MU_EKU_CLIENT_AUTH | MU_EKU_SERVER_AUTH | MU_EKU_OCSP_SIGNING);
    mu_buf_reset(&text);
    assert_true(mu_pki_eku_format(bits, &text));
    assert_string_equal(mu_buf_str(&text), "serverAuth, clientAuth, OCSPSigning");
    bits = 5;
    assert_int_equal(mu_pki_key_usage_parse("digitalSignatur", &bits, kit_err()), MU_INPUT);
    assert_true(kit_says("did you mean 'digitalSignature'"));
    assert_int_equal(mu_pki_eku_parse("1.2.3", &bits, kit_err()), MU_INPUT);
    assert_true(kit_says("known are serverAuth, clientAuth"));
    assert_int_equal(bits, 5);
    mu_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_decoded),
        cmocka_unit_test(openssl_reads_what_is_written),
        cmocka_unit_test(people_read_titles_and_values),
        cmocka_unit_test(a_certificate_that_is_no_ca_says_so),
        cmocka_unit_test(malformed_and_doubled_extensions_are_refused),
        cmocka_unit_test(unknown_critical_extensions_are_noted),
        cmocka_unit_test(words_of_configuration_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
