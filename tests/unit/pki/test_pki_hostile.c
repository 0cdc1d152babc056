/* What somebody may send to be taken for something else, or to keep us busy (COM-15). */
#include <string.h>

#include <openssl/err.h>

#include "base/limits.h"
#include "kit.h"

static struct mu_buf csr_with(
    const char *challenge, struct mu_bytes subject, struct mu_bytes extensions)
{
    struct mu_secret secret = {0};
    struct mu_buf der = {0};
    kit_ok(mu_secret_set(&secret, kit_str(challenge), kit_err_));
    const struct mu_pki_csr_params params = {
        .subject = subject, .challenge = &secret, .extensions = extensions};
    kit_ok(mu_pki_csr_make(&params, kit_key("ec:P-256", 0), &der, kit_err_));
    mu_secret_clear(&secret);
    return der;
}

/* A text inside DER that looks like PEM must not take the place of the DER around it. */
static void der_with_pem_inside_is_der(void **state)
{
    struct mu_buf der = csr_with("\n-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n"
                                 "-----END CERTIFICATE REQUEST-----\n",
        kit_name("CN=outer"), mu_bytes(NULL, 0));
    struct mu_pki_csr *csr;
    kit_ok(mu_pki_csr_decode(mu_buf_bytes(&der), &csr, kit_err_));
    assert_true(mu_bytes_equal(csr->der, mu_buf_bytes(&der)));
    assert_true(mu_pki_name_equal(csr->subject, kit_name("CN=outer")));
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);

    struct mu_pki_cert *cert = kit_cert(&(struct kit_cert){
        .subject = "CN=-----BEGIN CERTIFICATE-----", .key = kit_key("ec:P-256", 0)});
    struct mu_pki_certs certs = {0};
    kit_ok(mu_pki_certs_decode(cert->der, &certs, kit_err_));
    assert_int_equal(certs.n, 1);
    assert_true(mu_pki_cert_equal(certs.v[0], cert));
    mu_pki_certs_clear(&certs);
    mu_pki_cert_free(cert);
}

/* The ceilings of base/limits.h hold: comparing names costs their product. */
static void names_and_extensions_beyond_their_limit_are_refused(void **state)
{
    struct mu_buf name = {0}, exts = {0}, value = {0}, der;
    struct mu_pki_csr *csr;
    size_t seq = mu_der_open(&name, MU_DER_SEQUENCE);
    while (name.n <= MU_LIMIT_NAME) {
        struct mu_der el;
        assert_true(mu_der_only(kit_name("CN=one of many"), MU_DER_SEQUENCE, &el));
        mu_buf_put_bytes(&name, el.value);
    }
    mu_der_close(&name, seq);
    der = csr_with("x", mu_buf_bytes(&name), mu_bytes(NULL, 0));
    assert_int_equal(mu_pki_csr_decode(mu_buf_bytes(&der), &csr, kit_err()), MU_INPUT);
    assert_true(kit_says("subject"));
    mu_buf_clear(&der);

    seq = mu_der_open(&value, MU_DER_SEQUENCE);
    while (value.n <= MU_LIMIT_EXTENSIONS)
        mu_der_put(&value, MU_DER_CONTEXT(2), kit_str("a"));
    mu_der_close(&value, seq);
    seq = mu_der_open(&exts, MU_DER_SEQUENCE);
    mu_pki_ext_put_san(&exts, false, mu_buf_bytes(&value));
    mu_der_close(&exts, seq);
    der = csr_with("x", kit_name("CN=x"), mu_buf_bytes(&exts));
    assert_int_equal(mu_pki_csr_decode(mu_buf_bytes(&der), &csr, kit_err()), MU_INPUT);
    assert_true(kit_says("extension"));
    mu_buf_clear(&der);
    mu_buf_clear(&name);
    mu_buf_clear(&value);
    mu_buf_clear(&exts);
}

static void rsa_spki(struct mu_buf *out, uint8_t exponent)
{
    uint8_t modulus[256];
    memset(modulus, 0xab, sizeof(modulus));
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE), alg = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, MU_OID_RSA);
    mu_der_put_null(out);
    mu_der_close(out, alg);
    struct mu_buf key = {0};
    size_t inner = mu_der_open(&key, MU_DER_SEQUENCE);
    mu_der_put_unsigned(&key, mu_bytes(modulus, sizeof(modulus)));
    mu_der_put_int(&key, exponent);
    mu_der_close(&key, inner);
    mu_der_put_bits(out, mu_buf_bytes(&key));
    mu_der_close(out, seq);
    mu_buf_clear(&key);
}

/* With the exponent 1 everybody can sign, and what is encrypted is plain. */
static void an_rsa_key_with_exponent_1_is_none(void **state)
{
    struct mu_buf spki = {0};
    struct mu_pki_key *key;
    rsa_spki(&spki, 3);
    kit_ok(mu_pki_key_from_spki(mu_buf_bytes(&spki), &key, kit_err_));
    mu_pki_key_free(key);
    mu_buf_reset(&spki);
    rsa_spki(&spki, 1);
    assert_int_equal(mu_pki_key_from_spki(mu_buf_bytes(&spki), &key, kit_err()), MU_INPUT);
    mu_buf_clear(&spki);
}

/* TLS on the same thread takes what lies in OpenSSL's queue for its own. */
static void a_refused_key_leaves_nothing_in_openssls_queue(void **state)
{
    static const uint8_t spkis[][24] = {
        /* EC with a curve whose OID is padded, EC with an unknown curve */
        {0x30, 0x13, 0x30, 0x0d, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x02,
            0x80, 0x01, 0x03, 0x02, 0x00, 0x04},
        {0x30, 0x13, 0x30, 0x0d, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x02,
            0x2a, 0x03, 0x03, 0x02, 0x00, 0x04},
    };
    struct mu_pki_key *key;
    for (size_t i = 0; i < sizeof(spkis) / sizeof(spkis[0]); i++) {
        ERR_clear_error();
        assert_int_equal(
            mu_pki_key_from_spki(mu_bytes(spkis[i], 21), &key, kit_err()), MU_UNSUPPORTED);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

/* base/buf.h promises a NUL behind the content; the padding must not stand there. */
static void decrypted_text_ends_where_it_ends(void **state)
{
    struct mu_pki_cert *cert =
        kit_cert(&(struct kit_cert){.subject = "CN=r", .key = kit_key("rsa:2048", 0)});
    const struct mu_pki_enveloped_params params = {.recipient = cert, .cipher = MU_PKI_AES128_CBC};
    struct mu_buf der = {0}, plain = {0};
    struct mu_pki_enveloped e;
    kit_ok(mu_pki_enveloped_encode(&params, kit_str("text"), kit_env(), &der, kit_err_));
    kit_ok(mu_pki_enveloped_decode(mu_buf_bytes(&der), &e, kit_err_));
    kit_ok(mu_pki_enveloped_open(&e, kit_key("rsa:2048", 0), false, &plain, kit_err_));
    assert_int_equal(plain.n, 4);
    assert_string_equal(mu_buf_str(&plain), "text");
    mu_pki_enveloped_clear(&e);
    mu_buf_clear(&der);
    mu_buf_clear(&plain);
    mu_pki_cert_free(cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(der_with_pem_inside_is_der),
        cmocka_unit_test(names_and_extensions_beyond_their_limit_are_refused),
        cmocka_unit_test(an_rsa_key_with_exponent_1_is_none),
        cmocka_unit_test(a_refused_key_leaves_nothing_in_openssls_queue),
        cmocka_unit_test(decrypted_text_ends_where_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
