/* PKCS #10: T2 of the acceptance list (version 2, E109), COM-16..20, IOP-17. */
#include <string.h>

#include "base/text.h"
#include "kit.h"

static const char t2[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIIBQDCB5gIBAjAbMRkwFwYDVQQDDBBmaXJld2FsbC1wb3J0YWwxMFkwEwYHKoZI\n"
    "zj0CAQYIKoZIzj0DAQcDQgAEQoJQmPedxPNUcfCyRvpqyt1oiiJX/me+TdButUSu\n"
    "8hg+9nPF6+xNf+5LmtG/YKHeXyCKG6xB9OmJf255Zmx+5qBpMGcGCSqGSIb3DQEJ\n"
    "DjFaMFgwCQYDVR0TBAIwADALBgNVHQ8EBAMCB4AwHQYDVR0OBBYEFJv4OdUh5v9J\n"
    "/6wCV1v8TBqLHl2PMB8GA1UdIwQYMBaAFBrfOYTCVuZszyq0JqX9DNJD9T0+MAoG\n"
    "CCqGSM49BAMCA0kAMEYCIQCK3Li51F7fXsyKZwtIcYMFvDobY3cKKTTDixtN7QZ2\n"
    "jwIhAKUkqfWPAzwcxQaNQw6pyYvo18ymB9aEheeIXZfGI+tV\n"
    "-----END CERTIFICATE REQUEST-----\n";

static void t2_of_the_field_is_taken_with_version_2(void **state)
{
    struct mu_pki_csr *csr;
    struct mu_pki_key *key;
    struct mu_pki_key_spec spec;
    struct mu_buf text = {0};
    uint8_t id[20];
    kit_ok(mu_pki_csr_decode(kit_str(t2), &csr, kit_err_));
    assert_int_equal(csr->der.n, 324);
    assert_int_equal(csr->version, 2);
    assert_true(mu_pki_name_format(csr->subject, MU_PKI_NAME_COMMA, &text));
    assert_string_equal(mu_buf_str(&text), "CN=firewall-portal1");
    kit_ok(mu_pki_csr_verify(csr, false, &key, kit_err_));
    mu_pki_key_spec_of(key, &spec);
    assert_int_equal(spec.type, MU_PKI_KEY_EC);
    assert_int_equal(spec.bits, 256);
    mu_buf_reset(&text);
    assert_true(mu_pki_key_id(csr->spki, id));
    mu_text_hex(&text, mu_bytes(id, 20), ':');
    assert_string_equal(mu_buf_str(&text),
        "9B:F8:39:D5:21:E6:FF:49:FF:AC:02:57:5B:FC:4C:1A:8B:1E:5D:8F");
    assert_true(mu_bytes_equal(csr->exts.skid, mu_bytes(id, 20)));
    assert_true(csr->exts.has_basic);
    assert_false(csr->exts.is_ca);
    assert_int_equal(csr->exts.key_usage, MU_KU_DIGITAL_SIGNATURE);
    assert_int_equal(csr->exts.akid.p[0], 0x1a);
    assert_false(mu_secret_is_set(&csr->challenge));
    mu_buf_clear(&text);
    mu_pki_key_free(key);
    mu_pki_csr_free(csr);
}

/* ---- what we make ---- */

static void make(const struct mu_pki_csr_params *params, const char *key_word, struct mu_buf *der)
{
    kit_ok(mu_pki_csr_make(params, kit_key(key_word, 0), der, kit_err_));
}

static void openssl_reads_and_verifies_what_we_make(void **state)
{
    static const struct {
        const char *key;
        enum mu_pki_digest digest;
        int nid;
    } rows[] = {
        {"rsa:2048", MU_PKI_DIGEST_NONE, NID_sha256WithRSAEncryption},
        {"rsa:2048", MU_PKI_SHA512, NID_sha512WithRSAEncryption},
        {"ec:P-256", MU_PKI_DIGEST_NONE, NID_ecdsa_with_SHA256},
        {"ec:P-384", MU_PKI_DIGEST_NONE, NID_ecdsa_with_SHA384},
        {"ec:P-521", MU_PKI_DIGEST_NONE, NID_ecdsa_with_SHA512},
        {"ed25519", MU_PKI_DIGEST_NONE, NID_ED25519},
        {"ed448", MU_PKI_DIGEST_NONE, NID_ED448},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        make(&(struct mu_pki_csr_params){.subject = kit_name("/C=NL/CN=a"),
                 .digest = rows[i].digest},
            rows[i].key, &der);
        const uint8_t *p = der.p;
        X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.n);
        assert_non_null(req);
        assert_ptr_equal(p, der.p + der.n);
        assert_int_equal(X509_REQ_get_version(req), 0); /* COM-17 */
        assert_int_equal(X509_REQ_get_signature_nid(req), rows[i].nid);
        assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
        X509_REQ_free(req);
        struct mu_pki_csr *csr;
        kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
        kit_ok(mu_pki_csr_verify(csr, false, NULL, kit_err_));
        mu_pki_csr_free(csr);
        mu_buf_clear(&der);
    }
}

static void challenge_and_extensions_come_back(void **state)
{
    static const struct {
        const char *challenge;
        unsigned tag; /* COM-20: PrintableString preferred */
    } rows[] = {
        {"challenge1", MU_DER_PRINTABLE_STRING},
        {"pass*word@1", MU_DER_UTF8_STRING},
        {"gr\xc3\xbc\xc3\x9f", MU_DER_UTF8_STRING},
    };
    struct mu_buf extensions = {0}, san = {0};
    kit_ok(mu_pki_san_parse("DNS:a.example", &san, kit_err_));
    size_t seq = mu_der_open(&extensions, MU_DER_SEQUENCE);
    mu_pki_ext_put_san(&extensions, false, kit_bytes_of(&san));
    mu_pki_ext_put_template_name(&extensions, "tls-client");
    mu_der_close(&extensions, seq);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_secret challenge = {0};
        struct mu_buf der = {0};
        struct mu_pki_csr *csr;
        kit_ok(mu_secret_set(&challenge, kit_str(rows[i].challenge), kit_err_));
        make(&(struct mu_pki_csr_params){.subject = kit_name("/CN=a"), .challenge = &challenge,
                 .extensions = kit_bytes_of(&extensions)},
            "ec:P-256", &der);
        kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
        assert_true(mu_bytes_equal(mu_secret_bytes(&csr->challenge), kit_str(rows[i].challenge)));
        assert_int_equal(mu_pki_csr_attribute(csr, MU_OID_CHALLENGE_PASSWORD).p[0], rows[i].tag);
        assert_true(mu_bytes_equal(csr->exts.all, kit_bytes_of(&extensions)));
        assert_true(mu_bytes_equal(csr->exts.san, kit_bytes_of(&san)));
        assert_true(csr->exts.template_name_raw.n > 2);
        /* OpenSSL sees the same attributes (COM-19) */
        const uint8_t *p = der.p;
        X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.n);
        STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
        assert_int_equal(sk_X509_EXTENSION_num(exts), 2);
        assert_int_not_equal(X509_REQ_get_attr_by_NID(req, NID_pkcs9_challengePassword, -1), -1);
        sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
        X509_REQ_free(req);
        mu_pki_csr_free(csr);
        mu_buf_clear(&der);
        mu_secret_clear(&challenge);
    }
    mu_buf_clear(&extensions);
    mu_buf_clear(&san);
}

static void empty_subject_and_no_attributes_write_both_containers(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_csr *csr;
    make(&(struct mu_pki_csr_params){0}, "ec:P-256", &der);
    kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
    assert_true(mu_pki_name_is_empty(csr->subject));
    /* COM-17: A0 00 closes the signed part */
    assert_memory_equal(csr->info.p + csr->info.n - 2, "\xa0\x00", 2);
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);
}

static void long_or_binary_challenges_are_refused(void **state)
{
    char text[300];
    struct mu_buf der = {0};
    struct mu_secret challenge = {0};
    memset(text, 'a', sizeof(text));
    kit_ok(mu_secret_set(&challenge, mu_bytes(text, 256), kit_err_));
    const struct mu_pki_csr_params params = {.challenge = &challenge};
    assert_int_equal(mu_pki_csr_make(&params, kit_key("ec:P-256", 0), &der, kit_err()), MU_INPUT);
    kit_ok(mu_secret_set(&challenge, mu_bytes("a\0b", 3), kit_err_));
    assert_int_equal(mu_pki_csr_make(&params, kit_key("ec:P-256", 0), &der, kit_err()), MU_INPUT);
    assert_int_equal(der.n, 0);
    mu_secret_clear(&challenge);
}

/* ---- what others make ---- */

/* A request whose attributes field is given octet for octet (p NULL: field missing). */
static void make_with_attributes(struct mu_bytes attributes, struct mu_buf *der)
{
    struct mu_buf info = {0}, alg = {0};
    struct mu_pki_key *key = kit_key("ec:P-256", 0);
    size_t seq = mu_der_open(&info, MU_DER_SEQUENCE);
    mu_der_put_int(&info, 0);
    mu_buf_put_bytes(&info, kit_name("/CN=a"));
    mu_buf_put_bytes(&info, mu_pki_key_spki(key));
    if (attributes.p)
        mu_der_put(&info, MU_DER_CONTEXT_CONSTRUCTED(0), attributes);
    mu_der_close(&info, seq);
    mu_pki_key_sign_alg(key, MU_PKI_SHA256, &alg);
    kit_ok(mu_pki_sign_wrap(kit_bytes_of(&info), kit_bytes_of(&alg), key, MU_PKI_SHA256, der,
        kit_err_));
    mu_buf_clear(&info);
    mu_buf_clear(&alg);
}

/* One attribute with as many values as given. */
static void attribute(struct mu_buf *b, const char *oid, struct mu_bytes values)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, oid);
    mu_der_put(b, MU_DER_SET, values);
    mu_der_close(b, seq);
}

static void missing_attributes_are_forgiven(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_csr *csr;
    make_with_attributes(mu_bytes(NULL, 0), &der);
    kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
    kit_ok(mu_pki_csr_verify(csr, false, NULL, kit_err_));
    assert_null(csr->exts.all.p);
    assert_null(mu_pki_csr_attribute(csr, MU_OID_CHALLENGE_PASSWORD).p);
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);
}

static void challenges_of_any_type_are_read(void **state)
{
    static const struct {
        const char *value;
        size_t n;
        const char *text; /* NULL: none */
    } rows[] = {
        {"\x13\x03"
         "abc", 5, "abc"},
        {"\x0c\x03"
         "abc", 5, "abc"},
        {"\x14\x03"
         "abc", 5, "abc"},
        {"\x16\x03"
         "abc", 5, "abc"},
        {"\x1e\x06\0a\0b\0c", 8, "abc"},
        {"\x1c\x08\0\0\0a\0\0\0b", 10, "ab"},
        {"\x04\x03"
         "abc", 5, "abc"}, /* IOP-17: no DirectoryString at all */
        {"\x13\x00", 2, NULL}, /* INTEROP 5.8: empty counts as absent */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf attributes = {0}, der = {0};
        struct mu_pki_csr *csr;
        attribute(&attributes, MU_OID_CHALLENGE_PASSWORD, mu_bytes(rows[i].value, rows[i].n));
        make_with_attributes(kit_bytes_of(&attributes), &der);
        kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
        assert_int_equal(mu_secret_is_set(&csr->challenge), rows[i].text != NULL);
        if (rows[i].text)
            assert_true(mu_bytes_equal(mu_secret_bytes(&csr->challenge), kit_str(rows[i].text)));
        mu_pki_csr_free(csr);
        mu_buf_clear(&attributes);
        mu_buf_clear(&der);
    }
}

/* IOP-17: an old client writes the value where the SET should be. */
static void a_challenge_without_its_set_is_read(void **state)
{
    static const struct {
        const char *rest;
        size_t n;
        enum mu_code code;
    } rows[] = {
        {"\x04\x03" "abc", 5, MU_OK},
        {"\x13\x03" "abc", 5, MU_OK},
        {"\x13\x03" "abc" "\x13\x03" "abc", 10, MU_INPUT}, /* two */
        {"\x13\x04" "abc", 5, MU_INPUT},
        {"", 0, MU_INPUT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf attributes = {0}, der = {0};
        struct mu_pki_csr *csr = NULL;
        size_t seq = mu_der_open(&attributes, MU_DER_SEQUENCE);
        mu_der_put_oid(&attributes, MU_OID_CHALLENGE_PASSWORD);
        mu_buf_put(&attributes, rows[i].rest, rows[i].n);
        mu_der_close(&attributes, seq);
        make_with_attributes(kit_bytes_of(&attributes), &der);
        if (mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err()) != rows[i].code)
            fail_msg("row %zu", i);
        if (csr) {
            assert_true(mu_bytes_equal(mu_secret_bytes(&csr->challenge), kit_str("abc")));
            kit_ok(mu_pki_csr_verify(csr, false, NULL, kit_err_));
        }
        mu_pki_csr_free(csr);
        mu_buf_clear(&attributes);
        mu_buf_clear(&der);
    }
}

static void microsofts_extension_request_is_read(void **state)
{
    struct mu_buf attributes = {0}, extensions = {0}, der = {0};
    struct mu_pki_csr *csr;
    size_t seq = mu_der_open(&extensions, MU_DER_SEQUENCE);
    mu_pki_ext_put_key_usage(&extensions, true, MU_KU_KEY_ENCIPHERMENT);
    mu_der_close(&extensions, seq);
    attribute(&attributes, MU_OID_MS_EXTENSION_REQUEST, kit_bytes_of(&extensions));
    make_with_attributes(kit_bytes_of(&attributes), &der);
    kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
    assert_int_equal(csr->exts.key_usage, MU_KU_KEY_ENCIPHERMENT);
    mu_pki_csr_free(csr);
    mu_buf_clear(&attributes);
    mu_buf_clear(&extensions);
    mu_buf_clear(&der);
}

static void attributes_that_must_be_single_are_refused_twice(void **state)
{
    static const char two_values[] = "\x13\x01" "a\x13\x01" "b";
    for (int i = 0; i < 3; i++) {
        struct mu_buf attributes = {0}, der = {0};
        struct mu_pki_csr *csr = NULL;
        if (i == 0) {
            attribute(&attributes, MU_OID_CHALLENGE_PASSWORD, mu_bytes(two_values, 6));
        } else if (i == 1) {
            attribute(&attributes, MU_OID_CHALLENGE_PASSWORD, mu_bytes(two_values, 3));
            attribute(&attributes, MU_OID_CHALLENGE_PASSWORD, mu_bytes(two_values, 3));
        } else {
            attribute(&attributes, MU_OID_EXTENSION_REQUEST, mu_bytes("\x30\x00\x30\x00", 4));
        }
        make_with_attributes(kit_bytes_of(&attributes), &der);
        assert_int_equal(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err()), MU_INPUT);
        assert_null(csr);
        assert_true(kit_says("not exactly one value"));
        mu_buf_clear(&attributes);
        mu_buf_clear(&der);
    }
}

static void a_request_not_signed_by_its_own_key_is_a_pop_failure(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_csr *csr;
    struct mu_pki_key *key = NULL;
    make(&(struct mu_pki_csr_params){.subject = kit_name("/CN=victim")}, "ec:P-256", &der);
    der.p[kit_find(kit_bytes_of(&der), "victim", 6)] = 'V';
    kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
    struct mu_err err = {0};
    assert_int_equal(mu_pki_csr_verify(csr, true, &key, &err), MU_AUTH); /* COM-18 */
    assert_int_equal(err.reason, MU_REFUSE_POP);
    assert_null(key);
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);
}

static void sha1_requests_need_the_legacy_switch(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_csr *csr;
    struct mu_err err = {0};
    make(&(struct mu_pki_csr_params){.digest = MU_PKI_SHA1}, "rsa:2048", &der);
    kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
    assert_int_equal(mu_pki_csr_verify(csr, false, NULL, &err), MU_UNSUPPORTED);
    assert_int_equal(err.reason, MU_M(705));
    kit_ok(mu_pki_csr_verify(csr, true, NULL, kit_err_));
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);
}

static void an_unknown_key_algorithm_is_named(void **state)
{
    /* ML-DSA-65: the request itself is fine, only its key is beyond us */
    struct mu_buf der = {0}, info = {0};
    size_t whole = mu_der_open(&der, MU_DER_SEQUENCE), seq = mu_der_open(&info, MU_DER_SEQUENCE);
    mu_der_put_int(&info, 0);
    mu_der_put(&info, MU_DER_SEQUENCE, mu_bytes(NULL, 0));
    size_t spki = mu_der_open(&info, MU_DER_SEQUENCE), alg = mu_der_open(&info, MU_DER_SEQUENCE);
    mu_der_put_oid(&info, "2.16.840.1.101.3.4.3.18");
    mu_der_close(&info, alg);
    mu_der_put_bits(&info, kit_str("key"));
    mu_der_close(&info, spki);
    mu_der_put(&info, MU_DER_CONTEXT_CONSTRUCTED(0), mu_bytes(NULL, 0));
    mu_der_close(&info, seq);
    mu_buf_put_bytes(&der, kit_bytes_of(&info));
    mu_buf_put(&der, "\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12", 13);
    mu_der_put_bits(&der, kit_str("signature"));
    mu_der_close(&der, whole);
    struct mu_pki_csr *csr;
    kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
    assert_int_equal(mu_pki_csr_verify(csr, false, NULL, kit_err()), MU_UNSUPPORTED);
    assert_true(kit_says("unknown key algorithm 2.16.840.1.101.3.4.3.18"));
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);
    mu_buf_clear(&info);
}

static void every_truncation_is_refused(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_csr *csr = NULL;
    make(&(struct mu_pki_csr_params){.subject = kit_name("/CN=a")}, "ec:P-256", &der);
    for (size_t n = 0; n < der.n; n++) {
        assert_int_equal(mu_pki_csr_decode(mu_bytes(der.p, n), &csr, kit_err()), MU_INPUT);
        assert_null(csr);
    }
    mu_buf_put_byte(&der, 0);
    assert_int_equal(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err()), MU_INPUT);
    assert_int_equal(
        mu_pki_csr_decode(kit_str("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
            &csr, kit_err()),
        MU_INPUT);
    mu_buf_clear(&der);
}

/* What CRMF asks for as a request: the same parts come out, and nobody takes its signature. */
static void a_frame_decodes_and_proves_nothing(void **state)
{
    struct mu_pki_key *key = kit_key("ec:P-256", 0);
    struct mu_buf der = {0}, exts = {0};
    struct mu_pki_csr *csr;
    size_t seq = mu_der_open(&exts, MU_DER_SEQUENCE);
    mu_pki_ext_put_key_usage(&exts, true, MU_KU_DIGITAL_SIGNATURE);
    mu_der_close(&exts, seq);
    kit_ok(mu_pki_csr_frame(
        kit_name("/CN=frame"), mu_pki_key_spki(key), kit_bytes_of(&exts), &der, kit_err_));
    assert_true(mu_der_valid(kit_bytes_of(&der), 16));
    kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
    assert_true(mu_bytes_equal(csr->subject, kit_name("/CN=frame")));
    assert_true(mu_bytes_equal(csr->spki, mu_pki_key_spki(key)));
    assert_true(mu_bytes_equal(csr->exts.all, kit_bytes_of(&exts)));
    assert_false(mu_pki_csr_lacks_key(csr));
    assert_int_not_equal(mu_pki_csr_verify(csr, true, NULL, kit_err()), MU_OK);
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);
    mu_buf_clear(&exts);
}

static void a_frame_may_lack_its_key(void **state)
{
    const struct mu_bytes none = {0};
    struct mu_buf der = {0};
    struct mu_pki_csr *csr;
    kit_ok(mu_pki_csr_frame(none, none, none, &der, kit_err_));
    kit_ok(mu_pki_csr_decode(kit_bytes_of(&der), &csr, kit_err_));
    assert_true(mu_pki_name_is_empty(csr->subject));
    assert_true(mu_pki_csr_lacks_key(csr));
    assert_int_not_equal(mu_pki_csr_verify(csr, true, NULL, kit_err()), MU_OK);
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t2_of_the_field_is_taken_with_version_2),
        cmocka_unit_test(openssl_reads_and_verifies_what_we_make),
        cmocka_unit_test(challenge_and_extensions_come_back),
        cmocka_unit_test(empty_subject_and_no_attributes_write_both_containers),
        cmocka_unit_test(long_or_binary_challenges_are_refused),
        cmocka_unit_test(missing_attributes_are_forgiven),
        cmocka_unit_test(challenges_of_any_type_are_read),
        cmocka_unit_test(a_challenge_without_its_set_is_read),
        cmocka_unit_test(microsofts_extension_request_is_read),
        cmocka_unit_test(attributes_that_must_be_single_are_refused_twice),
        cmocka_unit_test(a_request_not_signed_by_its_own_key_is_a_pop_failure),
        cmocka_unit_test(sha1_requests_need_the_legacy_switch),
        cmocka_unit_test(an_unknown_key_algorithm_is_named),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_frame_decodes_and_proves_nothing),
        cmocka_unit_test(a_frame_may_lack_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
