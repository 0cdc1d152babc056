/* The kinds of recipients: COM-10..COM-13, CMP-83..CMP-85, both ways with OpenSSL. */
#include <openssl/err.h>
#include <string.h>

#include "kit.h"

static const char plain_text[] = "what only the recipient may read";
static const uint8_t kek_octets[32] = "0123456789abcdef0123456789abcdef";

static struct mu_pki_cert *recipient(const char *word, unsigned which)
{
    return kit_cert(
        &(struct kit_cert){.subject = "/C=NL/CN=recipient", .key = kit_key(word, which)});
}

static struct mu_secret secret(const void *p, size_t n)
{
    struct mu_secret s = {0};
    kit_ok(mu_secret_set(&s, mu_bytes(p, n), kit_err_));
    return s;
}

static void assert_plain(struct mu_buf *out)
{
    assert_true(mu_bytes_equal(mu_buf_bytes(out), mu_bytes_str(plain_text)));
    mu_buf_clear(out);
}

static void decode(const struct mu_buf *der, enum mu_pki_recipient kind, int version,
    struct mu_pki_enveloped *e)
{
    assert_true(mu_der_valid(kit_bytes_of(der), 32));
    kit_ok(mu_pki_enveloped_decode(kit_bytes_of(der), e, kit_err_));
    assert_int_equal(e->kind, kind);
    assert_int_equal(e->version, version); /* COM-10, CMP-84 */
}

static void assert_openssl_reads(const struct mu_buf *der, struct mu_pki_cert *cert,
    struct mu_pki_key *key, bool by_kek)
{
    const uint8_t *p = der->p;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)der->n);
    BIO *out = BIO_new(BIO_s_mem());
    X509 *x = cert ? kit_x509(cert) : NULL;
    char *data;
    int ok;
    assert_non_null(cms);
    if (by_kek) {
        uint8_t copy[32], id[] = "kek";
        memcpy(copy, kek_octets, 32);
        ok = CMS_decrypt_set1_key(cms, copy, 32, id, 3) && CMS_decrypt(cms, NULL, NULL, NULL, out, 0);
    } else {
        ok = CMS_decrypt(cms, mu_pki_key_evp(key), x, NULL, out, 0);
    }
    if (!ok) {
        ERR_print_errors_fp(stderr);
        fail_msg("OpenSSL cannot decrypt");
    }
    assert_int_equal(BIO_get_mem_data(out, &data), strlen(plain_text));
    assert_memory_equal(data, plain_text, strlen(plain_text));
    X509_free(x);
    BIO_free(out);
    CMS_ContentInfo_free(cms);
}

/* CMP-83, CMP-84: RSA by key identifier, EC by key agreement, each curve and each cipher. */
static void openssl_reads_what_is_made_to_certificates(void **state)
{
    static const struct {
        const char *key;
        bool by_skid;
        enum mu_pki_cipher cipher;
        enum mu_pki_recipient kind;
        int version;
    } rows[] = {
        {"rsa:2048", false, MU_PKI_AES128_CBC, MU_PKI_RECIPIENT_KTRI, 0},
        {"rsa:2048", true, MU_PKI_AES256_CBC, MU_PKI_RECIPIENT_KTRI, 2},
        {"ec:P-256", false, MU_PKI_AES128_CBC, MU_PKI_RECIPIENT_KARI, 2},
        {"ec:P-256", true, MU_PKI_AES256_CBC, MU_PKI_RECIPIENT_KARI, 2},
        {"ec:P-384", true, MU_PKI_AES192_CBC, MU_PKI_RECIPIENT_KARI, 2},
        {"ec:P-521", false, MU_PKI_AES256_CBC, MU_PKI_RECIPIENT_KARI, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_pki_cert *cert = recipient(rows[i].key, 0), *other = recipient(rows[i].key, 1);
        const struct mu_pki_enveloped_params params = {
            .recipient = cert, .rid_by_skid = rows[i].by_skid, .cipher = rows[i].cipher};
        struct mu_buf der = {0}, out = {.secret = true};
        struct mu_pki_enveloped e;
        kit_ok(mu_pki_enveloped_encode(
            &params, mu_bytes_str(plain_text), kit_env(), &der, kit_err_));
        decode(&der, rows[i].kind, rows[i].version, &e);
        assert_true(mu_pki_enveloped_is_for(&e, cert));
        assert_int_equal(e.rid_skid.n != 0, rows[i].by_skid);
        if (rows[i].by_skid)
            assert_false(mu_pki_enveloped_is_for(&e, other));
        kit_ok(mu_pki_enveloped_open(&e, kit_key(rows[i].key, 0), false, &out, kit_err_));
        assert_plain(&out);
        /* another key of the same kind: one answer, nothing written */
        enum mu_code rc = mu_pki_enveloped_open(&e, kit_key(rows[i].key, 1), false, &out, kit_err());
        if (rows[i].kind == MU_PKI_RECIPIENT_KARI)
            assert_int_equal(rc, MU_AUTH);
        assert_true(rc != MU_OK ? out.n == 0 : true);
        mu_buf_clear(&out);
        assert_openssl_reads(&der, cert, kit_key(rows[i].key, 0), false);
        mu_pki_enveloped_clear(&e);
        mu_buf_clear(&der);
        mu_pki_cert_free(cert);
        mu_pki_cert_free(other);
    }
}

static void openssl_encode(struct mu_pki_cert *cert, unsigned flags, struct mu_buf *der)
{
    BIO *in = BIO_new_mem_buf(plain_text, -1);
    CMS_ContentInfo *cms =
        CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), CMS_BINARY | CMS_PARTIAL | flags);
    uint8_t *p = NULL;
    if (cert) {
        X509 *x = kit_x509(cert);
        assert_non_null(CMS_add1_recipient_cert(cms, x, CMS_BINARY | flags));
        X509_free(x);
    } else {
        uint8_t *key = OPENSSL_memdup(kek_octets, 32), *id = OPENSSL_memdup("kek", 3);
        assert_non_null(CMS_add0_recipient_key(
            cms, NID_undef, key, 32, id, 3, NULL, NULL, NULL));
    }
    assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
    int n = i2d_CMS_ContentInfo(cms, &p);
    mu_buf_put(der, p, (size_t)n);
    OPENSSL_free(p);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
}

/* OpenSSL's key agreement uses SHA-1 as it comes (COM-12 of the field). */
static void what_openssl_makes_is_read(void **state)
{
    static const char *const keys[] = {"ec:P-256", "ec:P-384", "ec:P-521"};
    for (size_t i = 0; i < 6; i++) {
        struct mu_pki_cert *cert = recipient(keys[i / 2], 0);
        struct mu_buf der = {0}, out = {.secret = true};
        struct mu_pki_enveloped e;
        openssl_encode(cert, i % 2 ? CMS_USE_KEYID : 0, &der);
        decode(&der, MU_PKI_RECIPIENT_KARI, 2, &e);
        assert_true(mu_pki_enveloped_is_for(&e, cert));
        kit_ok(mu_pki_enveloped_open(&e, kit_key(keys[i / 2], 0), false, &out, kit_err_));
        assert_plain(&out);
        mu_pki_enveloped_clear(&e);
        mu_buf_clear(&der);
        mu_pki_cert_free(cert);
    }
}

static void shared_keys_work_both_ways(void **state)
{
    struct mu_secret kek = secret(kek_octets, 32), wrong = secret("fedcba9876543210", 16);
    const struct mu_pki_enveloped_params params = {
        .kek = &kek, .kek_id = mu_bytes_str("kek"), .cipher = MU_PKI_AES128_CBC};
    struct mu_buf der = {0}, out = {.secret = true};
    struct mu_pki_enveloped e;
    for (int i = 0; i < 2; i++) {
        mu_buf_reset(&der);
        if (i == 0)
            kit_ok(mu_pki_enveloped_encode(
                &params, mu_bytes_str(plain_text), kit_env(), &der, kit_err_));
        else
            openssl_encode(NULL, 0, &der);
        decode(&der, MU_PKI_RECIPIENT_KEK, 2, &e);
        assert_true(mu_bytes_equal(e.kek_id, mu_bytes_str("kek")));
        kit_ok(mu_pki_enveloped_open_kek(&e, &kek, &out, kit_err_));
        assert_plain(&out);
        assert_int_equal(mu_pki_enveloped_open_kek(&e, &wrong, &out, kit_err()), MU_AUTH);
        assert_int_equal(out.n, 0);
        assert_int_equal(
            mu_pki_enveloped_open(&e, kit_key("rsa:2048", 0), false, &out, kit_err()),
            MU_UNSUPPORTED);
        assert_openssl_reads(&der, NULL, NULL, true);
        mu_pki_enveloped_clear(&e);
    }
    mu_buf_clear(&der);
    mu_secret_clear(&kek);
    mu_secret_clear(&wrong);
}

/* CMP-85: PBKDF2, then AES key wrap with a key as long as the content's. */
static void a_password_may_wrap_by_aes(void **state)
{
    static const enum mu_pki_cipher ciphers[] = {
        MU_PKI_AES128_CBC, MU_PKI_AES192_CBC, MU_PKI_AES256_CBC};
    static const char *const oids[] = {
        "2.16.840.1.101.3.4.1.5", "2.16.840.1.101.3.4.1.25", "2.16.840.1.101.3.4.1.45"};
    struct mu_secret password = secret("fortinet1", 9), wrong = secret("fortinet2", 9);
    for (size_t i = 0; i < 3; i++) {
        const struct mu_pki_enveloped_params params = {
            .password = &password, .aes_wrap = true, .cipher = ciphers[i]};
        struct mu_buf der = {0}, out = {.secret = true};
        struct mu_pki_enveloped e;
        struct mu_der seq, oid;
        kit_ok(mu_pki_enveloped_encode(
            &params, mu_bytes_str(plain_text), kit_env(), &der, kit_err_));
        decode(&der, MU_PKI_RECIPIENT_PWRI, 3, &e);
        assert_true(mu_der_only(e.key_alg, MU_DER_SEQUENCE, &seq));
        assert_true(mu_der_get(&seq.value, MU_DER_OID, &oid));
        assert_true(mu_der_oid_is(oid.value, oids[i]));
        kit_ok(mu_pki_enveloped_open_password(&e, &password, false, &out, kit_err_));
        assert_plain(&out);
        assert_int_equal(
            mu_pki_enveloped_open_password(&e, &wrong, false, &out, kit_err()), MU_AUTH);
        mu_pki_enveloped_clear(&e);
        mu_buf_clear(&der);
        mu_buf_clear(&out);
    }
    mu_secret_clear(&password);
    mu_secret_clear(&wrong);
}

/* RFC 9483 4.1.6.2: the originator may be a certificate, found by its key identifier. */
static void an_originator_may_be_a_certificate(void **state)
{
    struct mu_pki_cert *to = recipient("ec:P-256", 0), *from = recipient("ec:P-256", 1);
    const struct mu_pki_enveloped_params params = {.recipient = to, .cipher = MU_PKI_AES128_CBC};
    struct mu_pki_certs known = {0};
    struct mu_buf der = {0}, out = {.secret = true};
    struct mu_pki_enveloped e;
    kit_ok(mu_pki_enveloped_encode(&params, mu_bytes_str(plain_text), kit_env(), &der, kit_err_));
    kit_ok(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err_));
    /* as if the ephemeral key had been certified: opening asks for the certificate */
    e.originator_bits = e.originator_alg = mu_bytes(NULL, 0);
    e.originator_skid = from->exts.skid;
    assert_true(e.originator_skid.n != 0);
    assert_int_equal(
        mu_pki_enveloped_open(&e, kit_key("ec:P-256", 0), false, &out, kit_err()), MU_UNSUPPORTED);
    kit_ok(mu_pki_certs_add(&known, from, kit_err_));
    assert_int_equal(mu_pki_enveloped_open_from(
                         &e, kit_key("ec:P-256", 0), &known, false, &out, kit_err()),
        MU_AUTH);
    mu_pki_enveloped_clear(&e);
    mu_buf_clear(&der);
    mu_pki_certs_clear(&known);
    mu_pki_cert_free(to);
    mu_pki_cert_free(from);
}

/* COM-13: whatever is damaged, there is one answer; and bytes of any kind are survived. */
static void damage_has_one_answer(void **state)
{
    struct mu_pki_cert *cert = recipient("ec:P-256", 0);
    const struct mu_pki_enveloped_params params = {.recipient = cert, .cipher = MU_PKI_AES128_CBC};
    struct mu_buf der = {0};
    kit_ok(mu_pki_enveloped_encode(&params, mu_bytes_str(plain_text), kit_env(), &der, kit_err_));
    for (size_t i = 0; i < der.n; i++) {
        struct mu_pki_enveloped e;
        struct mu_buf out = {.secret = true};
        struct mu_err err = {0};
        der.p[i] ^= 0x11;
        if (mu_pki_enveloped_decode(kit_bytes_of(&der), &e, &err) == MU_OK) {
            bool key_or_content = e.kind == MU_PKI_RECIPIENT_KARI
                && ((der.p + i >= der.p + (e.encrypted_key.p - e.der.p)
                    && i < (size_t)(e.encrypted_key.p - e.der.p) + e.encrypted_key.n));
            enum mu_code rc = mu_pki_enveloped_open(&e, kit_key("ec:P-256", 0), false, &out, &err);
            if (key_or_content) {
                assert_int_equal(rc, MU_AUTH);
                assert_string_equal(err.what, "cms: the content cannot be decrypted");
            }
            assert_int_equal(ERR_peek_error(), 0);
            mu_pki_enveloped_clear(&e);
        }
        mu_buf_clear(&out);
        der.p[i] ^= 0x11;
    }
    mu_buf_clear(&der);
    mu_pki_cert_free(cert);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_reads_what_is_made_to_certificates),
        cmocka_unit_test(what_openssl_makes_is_read),
        cmocka_unit_test(shared_keys_work_both_ways),
        cmocka_unit_test(a_password_may_wrap_by_aes),
        cmocka_unit_test(an_originator_may_be_a_certificate),
        cmocka_unit_test(damage_has_one_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
