/* Keys: words, files, public keys, signatures. Key transport is in test_pki_cms_enveloped.c. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <string.h>

#include "kit.h"

static void words_give_types_and_sizes(void **state)
{
    static const struct {
        const char *word;
        bool legacy;
        enum mu_pki_key_type type;
        unsigned bits;
        const char *text;
    } rows[] = {
        {"rsa:2048", false, MU_PKI_KEY_RSA, 2048, "RSA 2048"},
        {"rsa-4096", false, MU_PKI_KEY_RSA, 4096, "RSA 4096"},
        {"2048", false, MU_PKI_KEY_RSA, 2048, "RSA 2048"},
        {"1024", true, MU_PKI_KEY_RSA, 1024, "RSA 1024"},
        {"rsa-1536", true, MU_PKI_KEY_RSA, 1536, "RSA 1536"},
        {"ec:P-256", false, MU_PKI_KEY_EC, 256, "EC P-256"},
        {"ec-secp256r1", false, MU_PKI_KEY_EC, 256, "EC P-256"},
        {"secp384r1", false, MU_PKI_KEY_EC, 384, "EC P-384"},
        {"EC:p-521", false, MU_PKI_KEY_EC, 521, "EC P-521"},
        {"Ed25519", false, MU_PKI_KEY_ED25519, 0, "Ed25519"},
    };
    struct mu_pki_key_spec spec;
    char buf[32];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        kit_ok(mu_pki_key_spec_parse(rows[i].word, rows[i].legacy, &spec, kit_err_));
        assert_int_equal(spec.type, rows[i].type);
        assert_int_equal(spec.bits, rows[i].bits);
        assert_string_equal(mu_pki_key_spec_format(&spec, buf), rows[i].text);
    }
}

static void unknown_words_list_the_known_and_weak_ones_are_m705(void **state)
{
    static const char *const unknown[] = {
        "1000", "rsa", "", "rsa:999", "ec:P-999", "dsa", "rsa 2048"};
    struct mu_pki_key_spec spec;
    struct mu_err err = {0};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(mu_pki_key_spec_parse(unknown[i], true, &spec, kit_err()), MU_INPUT);
        assert_true(kit_says("rsa:2048, rsa:3072, rsa:4096"));
    }
    assert_int_equal(mu_pki_key_spec_parse("1024", false, &spec, &err), MU_UNSUPPORTED);
    assert_int_equal(err.reason, MU_M(705));
    assert_non_null(strstr(err.what, "1024"));
}

static const char *const all_types[] = {"rsa:2048", "ec:P-256", "ec:P-384", "ec:P-521", "ed25519",
    "ed448"};
enum { ALL_TYPES = sizeof(all_types) / sizeof(all_types[0]) };

static void public_keys_come_back_from_their_encoding(void **state)
{
    for (size_t i = 0; i < ALL_TYPES; i++) {
        struct mu_pki_key *key = kit_key(all_types[i], 0), *again;
        struct mu_pki_key_spec a, b;
        kit_ok(mu_pki_key_from_spki(mu_pki_key_spki(key), &again, kit_err_));
        mu_pki_key_spec_of(key, &a);
        mu_pki_key_spec_of(again, &b);
        assert_int_equal(a.type, b.type);
        assert_int_equal(a.bits, b.bits);
        b = (struct mu_pki_key_spec){0};
        kit_ok(mu_pki_key_spec_of_spki(mu_pki_key_spki(key), &b, kit_err_));
        assert_int_equal(a.type, b.type);
        assert_int_equal(a.bits, b.bits);
        assert_int_equal(EVP_PKEY_eq(mu_pki_key_evp(key), mu_pki_key_evp(again)), 1);
        assert_true(mu_pki_key_equal(key, again));
        assert_false(mu_pki_key_equal(again, kit_key(all_types[(i + 1) % ALL_TYPES], 0)));
        assert_true(mu_pki_key_has_private(key));
        assert_false(mu_pki_key_has_private(again));
        assert_int_equal(mu_pki_key_can_encrypt(again), a.type == MU_PKI_KEY_RSA);
        mu_pki_key_free(again);
    }
}

static void bad_public_keys_are_refused(void **state)
{
    static const struct {
        const char *der;
        size_t n;
        enum mu_code code;
    } rows[] = {
        {"", 0, MU_INPUT},
        {"\x30\x00", 2, MU_INPUT},
        /* RSA with modulus 0, with an even one, negative, exponent 2 */
        {"\x30\x1a\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x09\x00\x30\x06"
         "\x02\x01\x00\x02\x01\x03",
            28, MU_INPUT},
        {"\x30\x1a\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x09\x00\x30\x06"
         "\x02\x01\x0e\x02\x01\x03",
            28, MU_INPUT},
        {"\x30\x1a\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x09\x00\x30\x06"
         "\x02\x01\x8f\x02\x01\x03",
            28, MU_INPUT},
        {"\x30\x1a\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x09\x00\x30\x06"
         "\x02\x01\x0f\x02\x01\x02",
            28, MU_INPUT},
        /* EC without a curve, with an unknown one, with a point that is none */
        {"\x30\x0f\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x03\x02\x00\x04", 17,
            MU_UNSUPPORTED},
        {"\x30\x13\x30\x0d\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x02\x2a\x03\x03\x02\x00\x04", 21,
            MU_UNSUPPORTED},
        {"\x30\x19\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01"
         "\x07\x03\x02\x00\x04",
            27, MU_INPUT},
        /* Ed25519 with one octet */
        {"\x30\x0b\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x01", 13, MU_INPUT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_pki_key *key = NULL;
        enum mu_code rc = mu_pki_key_from_spki(mu_bytes(rows[i].der, rows[i].n), &key, kit_err());
        if (rc != rows[i].code)
            fail_msg("row %zu gives %d", i, (int)rc);
        assert_null(key);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void private_keys_go_through_files(void **state)
{
    struct mu_secret password = {0}, wrong = {0};
    kit_ok(mu_secret_set(&password, kit_str("pass phrase"), kit_err_));
    kit_ok(mu_secret_set(&wrong, kit_str("other"), kit_err_));
    for (size_t i = 0; i < ALL_TYPES; i++) {
        struct mu_pki_key *key = kit_key(all_types[i], 0), *again = NULL;
        struct mu_buf pem = {.secret = true};
        struct mu_err err = {0};
        kit_ok(mu_pki_key_encode(key, NULL, &pem, kit_err_));
        assert_non_null(strstr(mu_buf_str(&pem), "BEGIN PRIVATE KEY"));
        kit_ok(mu_pki_key_decode(mu_buf_bytes(&pem), NULL, &again, kit_err_));
        assert_true(mu_pki_key_has_private(again));
        assert_true(mu_pki_key_equal(key, again));
        mu_pki_key_free(again);
        mu_buf_reset(&pem);
        kit_ok(mu_pki_key_encode(key, &password, &pem, kit_err_));
        assert_non_null(strstr(mu_buf_str(&pem), "BEGIN ENCRYPTED PRIVATE KEY"));
        kit_ok(mu_pki_key_decode(mu_buf_bytes(&pem), &password, &again, kit_err_));
        assert_true(mu_pki_key_equal(key, again));
        mu_pki_key_free(again);
        again = NULL;
        assert_int_equal(mu_pki_key_decode(mu_buf_bytes(&pem), &wrong, &again, &err), MU_INPUT);
        assert_int_equal(err.reason, MU_M(703));
        assert_int_equal(mu_pki_key_decode(mu_buf_bytes(&pem), NULL, &again, &err), MU_INPUT);
        assert_int_equal(err.reason, MU_M(703));
        assert_null(again);
        mu_buf_clear(&pem);
    }
    mu_secret_clear(&password);
    mu_secret_clear(&wrong);
}

static void key_files_of_openssl_are_read(void **state)
{
    static const char *const files[] = {"openssl/rsa.key", "openssl/ec.key", "openssl/ed25519.key"};
    struct mu_pki_key *key = NULL;
    for (size_t i = 0; i < 3; i++) {
        struct mu_buf file = kit_vector(files[i]);
        kit_ok(mu_pki_key_decode(mu_buf_bytes(&file), NULL, &key, kit_err_));
        uint8_t *der = NULL;
        int n = i2d_PrivateKey(mu_pki_key_evp(key), &der);
        mu_pki_key_free(key);
        kit_ok(mu_pki_key_decode(
            mu_bytes(der, (size_t)n), NULL, &key, kit_err_)); /* traditional DER */
        mu_pki_key_free(key);
        OPENSSL_free(der);
        mu_buf_clear(&file);
    }
    key = NULL;
    struct mu_buf cert = kit_vector("openssl/rsa.crt");
    assert_int_equal(mu_pki_key_decode(mu_buf_bytes(&cert), NULL, &key, kit_err()), MU_INPUT);
    assert_int_equal(mu_pki_key_decode(kit_str("nothing"), NULL, &key, kit_err()), MU_INPUT);
    assert_int_equal(mu_pki_key_decode(kit_str(""), NULL, &key, kit_err()), MU_INPUT);
    assert_null(key);
    mu_buf_clear(&cert);
}

/* The same public key as OpenSSL sees it, in the same octets, and a private part that works. */
static void expect_key(struct mu_bytes file, const struct mu_secret *password, EVP_PKEY *evp)
{
    const struct mu_pki_verify_opts opts = {.digest = MU_PKI_SHA256};
    struct mu_pki_key *key = NULL;
    struct mu_buf sig = {0}, alg = {0};
    uint8_t *spki = NULL;
    int n = i2d_PUBKEY(evp, &spki);
    kit_ok(mu_pki_key_decode(file, password, &key, kit_err_));
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(mu_pki_key_spki(key).n, n);
    assert_memory_equal(mu_pki_key_spki(key).p, spki, n);
    assert_int_equal(EVP_PKEY_eq(mu_pki_key_evp(key), evp), 1);
    assert_true(mu_pki_key_has_private(key));
    assert_int_equal(EVP_PKEY_get_bits(mu_pki_key_evp(key)), EVP_PKEY_get_bits(evp));
    kit_ok(mu_pki_key_sign(key, MU_PKI_SHA256, kit_str("x"), &sig, kit_err_));
    mu_pki_key_sign_alg(key, MU_PKI_SHA256, &alg);
    kit_ok(mu_pki_key_verify(key, mu_buf_bytes(&alg), kit_str("x"), mu_buf_bytes(&sig), &opts, NULL,
        kit_err_));
    OPENSSL_free(spki);
    mu_buf_clear(&sig);
    mu_buf_clear(&alg);
    mu_pki_key_free(key);
}

static struct mu_bytes bio_bytes(BIO *bio)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    return mu_bytes(p, (size_t)n);
}

static void all_forms_of(const char *kind)
{
    EVP_PKEY *evp = mu_pki_key_evp(kit_key(kind, 0));
    BIO *pkcs8 = BIO_new(BIO_s_mem()), *pkcs1 = BIO_new(BIO_s_mem());
    BIO *sealed = BIO_new(BIO_s_mem()), *info = BIO_new(BIO_s_mem());
    struct mu_secret password = {0};
    uint8_t *der = NULL;
    int n = i2d_PrivateKey(evp, &der);
    kit_ok(mu_secret_set(&password, kit_str("pass"), kit_err_));
    BIO_puts(pkcs8, "Bag Attributes: none\n");
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(pkcs8, evp, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(pkcs1, evp, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(sealed, evp, EVP_aes_128_cbc(),
                         (const unsigned char *)"pass", 4, NULL, NULL), 1);
    assert_int_equal(i2d_PKCS8PrivateKeyInfo_bio(info, evp), 1);
    expect_key(bio_bytes(pkcs8), NULL, evp);
    expect_key(bio_bytes(pkcs1), NULL, evp);
    expect_key(bio_bytes(sealed), &password, evp);
    expect_key(bio_bytes(info), NULL, evp);
    expect_key(mu_bytes(der, (size_t)n), NULL, evp);
    /* a certificate or parameters before the key: as OpenSSL finds it */
    struct mu_buf cert = kit_vector("openssl/rsa.crt");
    mu_buf_put_bytes(&cert, bio_bytes(pkcs8));
    expect_key(mu_buf_bytes(&cert), NULL, evp);
    mu_buf_clear(&cert);
    mu_secret_clear(&password);
    OPENSSL_free(der);
    BIO_free(pkcs8);
    BIO_free(pkcs1);
    BIO_free(sealed);
    BIO_free(info);
}

static void files_of_all_forms_give_the_same_key(void **state)
{
    all_forms_of("rsa:2048");
    all_forms_of("ec:P-256");
    all_forms_of("ec:P-384");
    all_forms_of("ec:P-521");
}

/* What our own reader leaves to OpenSSL, and what nobody takes. */
static void ec_files_of_rare_forms(void **state)
{
    EVP_PKEY *evp = mu_pki_key_evp(kit_key("ec:P-256", 0));
    struct mu_pki_key *key = NULL;
    struct mu_buf bare = {0};
    uint8_t *der = NULL;
    int n = i2d_PrivateKey(evp, &der);
    for (int cut = 0; cut < n; cut++) {
        assert_int_equal(mu_pki_key_decode(mu_bytes(der, (size_t)cut), NULL, &key, kit_err()), MU_INPUT);
        assert_null(key);
        assert_int_equal(ERR_peek_error(), 0);
    }
    size_t seq = mu_der_open(&bare, MU_DER_SEQUENCE), params;
    mu_der_put_int(&bare, 1);
    mu_der_put(&bare, MU_DER_OCTET_STRING, mu_bytes(der + 7, 32));
    params = mu_der_open(&bare, MU_DER_CONTEXT_CONSTRUCTED(0));
    mu_der_put_oid(&bare, "1.2.840.10045.3.1.7");
    mu_der_close(&bare, params);
    mu_der_close(&bare, seq);
    expect_key(mu_buf_bytes(&bare), NULL, evp); /* the public key is computed */
    der[n - 1] ^= 1; /* a point that is none */
    assert_int_equal(mu_pki_key_decode(mu_bytes(der, (size_t)n), NULL, &key, kit_err()), MU_INPUT);
    assert_null(key);
    OPENSSL_free(der);
    mu_buf_clear(&bare);
}

static void damaged_rsa_files_are_refused(void **state)
{
    EVP_PKEY *evp = mu_pki_key_evp(kit_key("rsa:2048", 0));
    struct mu_pki_key *key = NULL;
    uint8_t *der = NULL;
    int n = i2d_PrivateKey(evp, &der);
    for (int cut = 0; cut < n; cut += 7) {
        assert_int_equal(
            mu_pki_key_decode(mu_bytes(der, (size_t)cut), NULL, &key, kit_err()), MU_INPUT);
        assert_null(key);
        assert_int_equal(ERR_peek_error(), 0);
    }
    der[4] = MU_DER_OCTET_STRING; /* no version */
    assert_int_equal(mu_pki_key_decode(mu_bytes(der, (size_t)n), NULL, &key, kit_err()), MU_INPUT);
    assert_null(key);
    OPENSSL_free(der);
}

static void public_keys_are_not_written_as_private_ones(void **state)
{
    struct mu_pki_key *key;
    struct mu_buf pem = {0};
    kit_ok(mu_pki_key_from_spki(mu_pki_key_spki(kit_key("ec:P-256", 0)), &key, kit_err_));
    assert_int_equal(mu_pki_key_encode(key, NULL, &pem, kit_err()), MU_UNSUPPORTED);
    assert_int_equal(mu_pki_key_sign(key, MU_PKI_SHA256, kit_str("x"), &pem, kit_err()),
        MU_UNSUPPORTED);
    assert_int_equal(pem.n, 0);
    mu_pki_key_free(key);
}

static void signatures_verify_and_damage_is_seen(void **state)
{
    static const struct {
        const char *key;
        enum mu_pki_digest digest;
    } rows[] = {
        {"rsa:2048", MU_PKI_SHA256}, {"rsa:2048", MU_PKI_SHA384}, {"rsa:2048", MU_PKI_SHA512},
        {"rsa:2048", MU_PKI_SHA224}, {"ec:P-256", MU_PKI_SHA256}, {"ec:P-384", MU_PKI_SHA384},
        {"ec:P-521", MU_PKI_SHA512}, {"ed25519", MU_PKI_DIGEST_NONE}, {"ed448", MU_PKI_DIGEST_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_pki_key *key = kit_key(rows[i].key, 0);
        struct mu_buf alg = {0}, sig = {0};
        enum mu_pki_digest used = MU_PKI_MD5;
        mu_pki_key_sign_alg(key, rows[i].digest, &alg);
        kit_ok(mu_pki_key_sign(key, rows[i].digest, kit_str("message"), &sig, kit_err_));
        kit_ok(mu_pki_key_verify(key, mu_buf_bytes(&alg), kit_str("message"), mu_buf_bytes(&sig),
            NULL, &used, kit_err_));
        assert_int_equal(used, rows[i].digest);
        assert_int_equal(mu_pki_key_verify(key, mu_buf_bytes(&alg), kit_str("Message"),
                             mu_buf_bytes(&sig), NULL, NULL, kit_err()),
            MU_AUTH);
        sig.p[sig.n / 2] ^= 1;
        assert_int_equal(mu_pki_key_verify(key, mu_buf_bytes(&alg), kit_str("message"),
                             mu_buf_bytes(&sig), NULL, NULL, kit_err()),
            MU_AUTH);
        assert_int_equal(mu_pki_key_verify(key, mu_buf_bytes(&alg), kit_str("message"),
                             mu_bytes("", 0), NULL, NULL, kit_err()),
            MU_AUTH);
        assert_int_equal(ERR_peek_error(), 0);
        mu_buf_clear(&alg);
        mu_buf_clear(&sig);
    }
}

static void signature_identifiers_carry_the_right_parameters(void **state)
{
    struct mu_buf alg = {0};
    mu_pki_key_sign_alg(kit_key("rsa:2048", 0), MU_PKI_SHA256, &alg); /* COM-16: NULL */
    assert_memory_equal(alg.p + alg.n - 2, "\x05\x00", 2);
    mu_buf_reset(&alg);
    mu_pki_key_sign_alg(kit_key("ec:P-256", 0), MU_PKI_SHA256, &alg); /* none */
    assert_int_equal(alg.n, 12);
    mu_buf_reset(&alg);
    mu_pki_key_sign_alg(kit_key("ed25519", 0), MU_PKI_DIGEST_NONE, &alg);
    assert_memory_equal(alg.p, "\x30\x05\x06\x03\x2b\x65\x70", 7);
    mu_buf_clear(&alg);
}

static void weak_and_unknown_algorithms_are_refused(void **state)
{
    struct mu_pki_key *key = kit_key("rsa:2048", 0);
    const struct mu_pki_verify_opts legacy = {.allow_legacy = true};
    static const enum mu_pki_digest weak[] = {MU_PKI_MD5, MU_PKI_SHA1};
    struct mu_buf alg = {0}, sig = {0};
    struct mu_err err = {0};
    for (size_t i = 0; i < 2; i++) {
        mu_buf_reset(&alg);
        mu_buf_reset(&sig);
        mu_pki_key_sign_alg(key, weak[i], &alg);
        kit_ok(mu_pki_key_sign(key, weak[i], kit_str("m"), &sig, kit_err_));
        assert_int_equal(mu_pki_key_verify(key, mu_buf_bytes(&alg), kit_str("m"),
                             mu_buf_bytes(&sig), NULL, NULL, &err),
            MU_UNSUPPORTED);
        assert_int_equal(err.reason, MU_M(705));
        kit_ok(mu_pki_key_verify(key, mu_buf_bytes(&alg), kit_str("m"), mu_buf_bytes(&sig), &legacy,
            NULL, kit_err_));
    }
    assert_int_equal(mu_pki_key_verify(key, mu_bytes("\x30\x04\x06\x02\x2a\x03", 6), kit_str("m"),
                         mu_buf_bytes(&sig), NULL, NULL, kit_err()),
        MU_UNSUPPORTED);
    assert_true(kit_says("1.2.3"));
    assert_int_equal(mu_pki_key_verify(key, mu_bytes("\x30", 1), kit_str("m"), mu_buf_bytes(&sig),
                         NULL, NULL, kit_err()),
        MU_INPUT);
    /* an algorithm of another family than the key */
    mu_buf_reset(&alg);
    mu_pki_key_sign_alg(kit_key("ec:P-256", 0), MU_PKI_SHA256, &alg);
    assert_int_equal(mu_pki_key_verify(key, mu_buf_bytes(&alg), kit_str("m"), mu_buf_bytes(&sig),
                         NULL, NULL, kit_err()),
        MU_AUTH);
    mu_buf_clear(&alg);
    mu_buf_clear(&sig);
}

static void rsa_pss_certificates_verify(void **state)
{
    struct mu_buf file = kit_vector("openssl/pss.crt");
    struct mu_pki_certs list = {0};
    kit_ok(mu_pki_certs_decode(mu_buf_bytes(&file), &list, kit_err_));
    assert_int_equal(list.n, 1);
    kit_ok(mu_pki_cert_verify(list.v[0], list.v[0], false, kit_err_));
    mu_pki_certs_clear(&list);
    mu_buf_clear(&file);
}

/* ---- one key, several threads ---- */

static void *sign_often(void *arg)
{
    struct mu_pki_key *key = arg;
    for (int i = 0; i < 20; i++) {
        struct mu_buf alg = {0}, sig = {0};
        mu_pki_key_sign_alg(key, MU_PKI_SHA256, &alg);
        bool ok = mu_pki_key_sign(key, MU_PKI_SHA256, kit_str("m"), &sig, NULL) == MU_OK
            && mu_pki_key_verify(
                   key, mu_buf_bytes(&alg), kit_str("m"), mu_buf_bytes(&sig), NULL, NULL, NULL)
                == MU_OK;
        mu_buf_clear(&alg);
        mu_buf_clear(&sig);
        if (!ok)
            return NULL;
    }
    return key;
}

static void one_key_serves_several_threads(void **state)
{
    pthread_t threads[4];
    void *result;
    struct mu_pki_key *key = mu_pki_key_ref(kit_key("rsa:2048", 0));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_often, key), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, key);
    }
    mu_pki_key_free(key);
    mu_pki_key_free(NULL);
}

/* CMP-76, RFC 9481 3.3; python: hashlib.shake_256(b'abc').hexdigest(64), hashlib.sha512(b'abc').hexdigest() */
static void what_a_signature_hashes_with(void **state)
{
    static const struct { uint8_t last; const char *hex; } rows[] = {
        {0x71, "483366601360a8771c6863080cc4114d8db44530f8f1e1ee4f94ea37e78b5739"
               "d5a15bef186a5386c75744c0527e1faa9f8726e462a12a4feb06bd8801e751e4"}, /* Ed448 */
        {0x70, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"}, /* Ed25519 */
        {0x72, ""},
    };
    for (size_t i = 0; i < 3; i++) {
        const uint8_t alg[] = {0x30, 5, 6, 3, 0x2b, 0x65, rows[i].last};
        uint8_t out[64];
        struct mu_buf hex = {0};
        size_t n = mu_pki_sig_hash(mu_bytes(alg, sizeof alg), mu_bytes("abc", 3), out);
        for (size_t k = 0; k < n; k++)
            mu_buf_putf(&hex, "%02x", out[k]);
        assert_string_equal(mu_buf_str(&hex), rows[i].hex);
        mu_buf_clear(&hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_give_types_and_sizes),
        cmocka_unit_test(unknown_words_list_the_known_and_weak_ones_are_m705),
        cmocka_unit_test(public_keys_come_back_from_their_encoding),
        cmocka_unit_test(bad_public_keys_are_refused),
        cmocka_unit_test(private_keys_go_through_files),
        cmocka_unit_test(key_files_of_openssl_are_read),
        cmocka_unit_test(files_of_all_forms_give_the_same_key),
        cmocka_unit_test(ec_files_of_rare_forms),
        cmocka_unit_test(damaged_rsa_files_are_refused),
        cmocka_unit_test(public_keys_are_not_written_as_private_ones),
        cmocka_unit_test(what_a_signature_hashes_with),
        cmocka_unit_test(signatures_verify_and_damage_is_seen),
        cmocka_unit_test(signature_identifiers_carry_the_right_parameters),
        cmocka_unit_test(weak_and_unknown_algorithms_are_refused),
        cmocka_unit_test(rsa_pss_certificates_verify),
        cmocka_unit_test(one_key_serves_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
