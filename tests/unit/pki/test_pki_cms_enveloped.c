/* EnvelopedData: COM-10..14, recipients by key and by password, both ways with OpenSSL. */
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <string.h>

#include "kit.h"

static const char plain_text[] = "what only the recipient may read";

static struct mu_bytes plain(void)
{
    return mu_bytes_str(plain_text);
}

static struct mu_pki_cert *recipient(unsigned which)
{
    return kit_cert(
        &(struct kit_cert){.subject = "/C=NL/CN=recipient", .key = kit_key("rsa:2048", which)});
}

static void encode(enum mu_pki_cipher cipher, bool legacy, struct mu_buf *out)
{
    struct mu_pki_cert *cert = recipient(0);
    const struct mu_pki_enveloped_params params = {.recipient = cert, .cipher = cipher,
        .allow_legacy = legacy};
    kit_ok(mu_pki_enveloped_encode(&params, plain(), kit_env(), out, kit_err_));
    mu_pki_cert_free(cert);
}

static void assert_opens(struct mu_bytes der, bool legacy)
{
    struct mu_pki_enveloped e;
    struct mu_buf out = {.secret = true};
    kit_ok(mu_pki_enveloped_decode(der, &e, kit_err_));
    kit_ok(mu_pki_enveloped_open(&e, kit_key("rsa:2048", 0), legacy, &out, kit_err_));
    assert_true(mu_bytes_equal(mu_buf_bytes(&out), plain()));
    mu_buf_clear(&out);
    mu_pki_enveloped_clear(&e);
}

/* CMS_decrypt in a library context that has the legacy provider. */
static void assert_openssl_opens(const struct mu_buf *der, bool by_password, const char *password)
{
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(ctx, "legacy");
    OSSL_PROVIDER *standard = OSSL_PROVIDER_load(ctx, "default");
    CMS_ContentInfo *cms = CMS_ContentInfo_new_ex(ctx, NULL);
    BIO *out = BIO_new(BIO_s_mem());
    const uint8_t *p = der->p;
    assert_non_null(d2i_CMS_ContentInfo(&cms, &p, (long)der->n));
    assert_ptr_equal(p, der->p + der->n);
    int ok;
    if (by_password) {
        char copy[64];
        snprintf(copy, sizeof(copy), "%s", password);
        ok = CMS_decrypt_set1_password(cms, (unsigned char *)copy, (long)strlen(copy))
            && CMS_decrypt(cms, NULL, NULL, NULL, out, 0);
    } else {
        struct mu_pki_cert *cert = recipient(0);
        X509 *x = kit_x509(cert);
        ok = CMS_decrypt(cms, mu_pki_key_evp(kit_key("rsa:2048", 0)), x, NULL, out, 0);
        X509_free(x);
        mu_pki_cert_free(cert);
    }
    if (!ok) {
        ERR_print_errors_fp(stderr);
        fail_msg("OpenSSL cannot decrypt");
    }
    char *data;
    assert_int_equal(BIO_get_mem_data(out, &data), strlen(plain_text));
    assert_memory_equal(data, plain_text, strlen(plain_text));
    BIO_free(out);
    CMS_ContentInfo_free(cms);
    OSSL_PROVIDER_unload(legacy);
    OSSL_PROVIDER_unload(standard);
    OSSL_LIB_CTX_free(ctx);
}

static void openssl_opens_what_we_make(void **state)
{
    static const struct {
        enum mu_pki_cipher cipher;
        bool legacy;
    } rows[] = {
        {MU_PKI_AES128_CBC, false}, {MU_PKI_AES192_CBC, false}, {MU_PKI_AES256_CBC, false},
        {MU_PKI_DES3_CBC, true}, {MU_PKI_DES_CBC, true}, {MU_PKI_BLOWFISH_CBC, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        encode(rows[i].cipher, rows[i].legacy, &der);
        assert_true(mu_der_valid(kit_bytes_of(&der), 32));
        assert_openssl_opens(&der, false, NULL);
        assert_opens(kit_bytes_of(&der), rows[i].legacy);
        mu_buf_clear(&der);
    }
}

/* The versions of EnvelopedData and of its recipient. */
static void versions_of(struct mu_bytes der, int64_t *outer, int64_t *inner)
{
    struct mu_der whole, el, version;
    assert_true(mu_der_only(der, MU_DER_SEQUENCE, &whole));
    assert_true(mu_der_get(&whole.value, MU_DER_OID, &el));
    assert_true(mu_der_get(&whole.value, MU_DER_CONTEXT_CONSTRUCTED(0), &el));
    assert_true(mu_der_only(el.value, MU_DER_SEQUENCE, &whole));
    assert_true(mu_der_get(&whole.value, MU_DER_INTEGER, &version));
    assert_true(mu_der_int(version.value, outer));
    assert_true(mu_der_get(&whole.value, MU_DER_SET, &el));
    assert_true(mu_der_next(&el.value, &whole));
    assert_true(mu_der_get(&whole.value, MU_DER_INTEGER, &version));
    assert_true(mu_der_int(version.value, inner));
}

static void versions_follow_the_recipient(void **state)
{
    struct mu_buf der = {0};
    struct mu_secret password = {0};
    int64_t outer, inner;
    encode(MU_PKI_AES128_CBC, false, &der);
    versions_of(kit_bytes_of(&der), &outer, &inner);
    assert_int_equal(outer, 0); /* COM-10 */
    assert_int_equal(inner, 0); /* COM-11 */
    mu_buf_reset(&der);
    kit_ok(mu_secret_set(&password, kit_str("pw"), kit_err_));
    const struct mu_pki_enveloped_params params = {
        .password = &password, .cipher = MU_PKI_AES128_CBC};
    kit_ok(mu_pki_enveloped_encode(&params, plain(), kit_env(), &der, kit_err_));
    versions_of(kit_bytes_of(&der), &outer, &inner);
    assert_int_equal(outer, 3);
    assert_int_equal(inner, 0);
    mu_secret_clear(&password);
    mu_buf_clear(&der);
}

/* ---- what OpenSSL makes ---- */

struct openssl_encrypt {
    const char *cipher;
    unsigned flags;
    bool ber, oaep;
};

static void openssl_encode(const struct openssl_encrypt *how, struct mu_buf *out)
{
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(ctx, "legacy");
    OSSL_PROVIDER *standard = OSSL_PROVIDER_load(ctx, "default");
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(ctx, how->cipher, NULL);
    struct mu_pki_cert *cert = recipient(0);
    X509 *x = kit_x509(cert);
    BIO *in = BIO_new_mem_buf(plain_text, -1), *der = BIO_new(BIO_s_mem());
    unsigned flags = CMS_BINARY | how->flags;
    CMS_ContentInfo *cms =
        CMS_encrypt_ex(NULL, NULL, cipher, flags | CMS_PARTIAL | CMS_STREAM, ctx, NULL);
    assert_non_null(cms);
    CMS_RecipientInfo *info =
        CMS_add1_recipient_cert(cms, x, flags | (how->oaep ? CMS_KEY_PARAM : 0));
    assert_non_null(info);
    if (how->oaep) {
        EVP_PKEY_CTX *pctx = CMS_RecipientInfo_get0_pkey_ctx(info);
        EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_OAEP_PADDING);
        EVP_PKEY_CTX_set_rsa_oaep_md(pctx, EVP_sha256());
    }
    if (how->ber) {
        assert_int_equal(i2d_CMS_bio_stream(der, cms, in, (int)flags | CMS_STREAM), 1);
    } else {
        assert_int_equal(CMS_final(cms, in, NULL, flags), 1);
        assert_int_equal(i2d_CMS_bio(der, cms), 1);
    }
    char *p;
    long n = BIO_get_mem_data(der, &p);
    mu_buf_put(out, p, (size_t)n);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    BIO_free(der);
    X509_free(x);
    mu_pki_cert_free(cert);
    EVP_CIPHER_free(cipher);
    OSSL_PROVIDER_unload(legacy);
    OSSL_PROVIDER_unload(standard);
    OSSL_LIB_CTX_free(ctx);
}

static void messages_of_openssl_are_opened(void **state)
{
    static const struct {
        struct openssl_encrypt how;
        bool legacy;
    } rows[] = {
        {{"AES-128-CBC", 0, false, false}, false},
        {{"AES-128-CBC", 0, true, false}, false}, /* COM-14: encryptedContent in pieces */
        {{"AES-256-CBC", CMS_USE_KEYID, false, false}, false}, /* COM-11: rid by key id */
        {{"AES-256-CBC", CMS_USE_KEYID, true, false}, false},
        {{"AES-256-CBC", 0, false, true}, false}, /* OAEP with SHA-256 */
        {{"AES-128-GCM", 0, false, false}, false},
        {{"AES-256-GCM", 0, true, false}, false},
        {{"DES-EDE3-CBC", 0, false, false}, true},
        {{"DES-CBC", 0, true, false}, true},
    };
    struct mu_pki_cert *cert = recipient(0);
    struct mu_pki_cert *other = kit_cert(&(struct kit_cert){.subject = "/CN=other",
        .key = kit_key("rsa:2048", 1), .serial = "99"});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        struct mu_pki_enveloped e;
        openssl_encode(&rows[i].how, &der);
        kit_ok(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err_));
        assert_int_equal(e.kind, MU_PKI_RECIPIENT_KTRI);
        assert_true(mu_pki_enveloped_is_for(&e, cert));
        assert_false(mu_pki_enveloped_is_for(&e, other));
        mu_pki_enveloped_clear(&e);
        assert_opens(kit_bytes_of(&der), rows[i].legacy);
        mu_buf_clear(&der);
    }
    mu_pki_cert_free(cert);
    mu_pki_cert_free(other);
}

static void vectors_of_the_command_line_open(void **state)
{
    static const struct {
        const char *file;
        bool legacy, password;
    } rows[] = {
        {"openssl/enveloped-aes128.der", false, false},
        {"openssl/enveloped-keyid-ber.der", false, false},
        {"openssl/enveloped-oaep.der", false, false},
        {"openssl/authenveloped-gcm.der", false, false},
        {"openssl/enveloped-des.der", true, false},
        {"openssl/enveloped-password.der", false, true},
    };
    struct mu_buf key_file = kit_vector("openssl/rsa.key");
    struct mu_secret password = {0};
    struct mu_pki_key *key;
    kit_ok(mu_pki_key_decode(kit_bytes_of(&key_file), NULL, &key, kit_err_));
    kit_ok(mu_secret_set(&password, kit_str("challenge1"), kit_err_));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf file = kit_vector(rows[i].file), out = {.secret = true};
        struct mu_pki_enveloped e;
        kit_ok(mu_pki_enveloped_decode(kit_bytes_of(&file), &e, kit_err_));
        if (rows[i].password)
            kit_ok(mu_pki_enveloped_open_password(&e, &password, false, &out, kit_err_));
        else
            kit_ok(mu_pki_enveloped_open(&e, key, rows[i].legacy, &out, kit_err_));
        assert_true(mu_bytes_equal(mu_buf_bytes(&out), kit_str("content of the message")));
        mu_pki_enveloped_clear(&e);
        mu_buf_clear(&out);
        mu_buf_clear(&file);
    }
    mu_pki_key_free(key);
    mu_secret_clear(&password);
    mu_buf_clear(&key_file);
}

static void the_recipients_name_may_be_encoded_otherwise(void **state)
{
    /* INTEROP 3.8: UTF8String for PrintableString, other case, a serial with a leading zero */
    struct mu_buf name = {0};
    struct mu_pki_cert *cert = recipient(0);
    size_t m[4];
    m[0] = mu_der_open(&name, MU_DER_SEQUENCE);
    for (int i = 0; i < 2; i++) {
        m[1] = mu_der_open(&name, MU_DER_SET);
        m[2] = mu_der_open(&name, MU_DER_SEQUENCE);
        mu_der_put_oid(&name, i ? "2.5.4.3" : "2.5.4.6");
        mu_der_put(&name, MU_DER_UTF8_STRING, kit_str(i ? " Recipient" : "NL"));
        mu_der_close(&name, m[2]);
        mu_der_close(&name, m[1]);
    }
    mu_der_close(&name, m[0]);
    struct mu_pki_enveloped e = {.kind = MU_PKI_RECIPIENT_KTRI, .rid_issuer = kit_bytes_of(&name),
        .rid_serial = mu_bytes("\0\x12\x34", 3)};
    assert_true(mu_pki_enveloped_is_for(&e, cert));
    e.rid_serial = mu_bytes("\x12\x35", 2);
    assert_false(mu_pki_enveloped_is_for(&e, cert));
    mu_buf_clear(&name);
    mu_pki_cert_free(cert);
}

static void two_recipients_are_refused(void **state)
{
    struct mu_pki_cert *a = recipient(0), *b = recipient(1);
    STACK_OF(X509) *certs = sk_X509_new_null();
    sk_X509_push(certs, kit_x509(a));
    sk_X509_push(certs, kit_x509(b));
    BIO *in = BIO_new_mem_buf(plain_text, -1);
    CMS_ContentInfo *cms = CMS_encrypt(certs, in, EVP_aes_128_cbc(), CMS_BINARY);
    uint8_t *p = NULL;
    int n = i2d_CMS_ContentInfo(cms, &p);
    struct mu_pki_enveloped e = {0};
    assert_int_equal(mu_pki_enveloped_decode(mu_bytes(p, (size_t)n), &e, kit_err()), MU_INPUT);
    assert_true(kit_says("more than one recipient"));
    OPENSSL_free(p);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    sk_X509_pop_free(certs, X509_free);
    mu_pki_cert_free(a);
    mu_pki_cert_free(b);
}

/* ---- the legacy switch ---- */

static void legacy_ciphers_are_refused_without_the_switch(void **state)
{
    static const enum mu_pki_cipher ciphers[] = {MU_PKI_DES_CBC, MU_PKI_DES3_CBC,
        MU_PKI_BLOWFISH_CBC};
    struct mu_pki_cert *cert = recipient(0);
    for (size_t i = 0; i < 3; i++) {
        struct mu_buf der = {0}, out = {0};
        struct mu_pki_enveloped e;
        struct mu_err err = {0};
        const struct mu_pki_enveloped_params strict = {.recipient = cert, .cipher = ciphers[i]};
        assert_int_equal(mu_pki_enveloped_encode(&strict, plain(), kit_env(), &der, &err),
            MU_UNSUPPORTED);
        assert_int_equal(err.reason, MU_M(705));
        assert_int_equal(der.n, 0);
        encode(ciphers[i], true, &der);
        kit_ok(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err_));
        /* refused before any key is used: a key that cannot decrypt makes no difference */
        assert_int_equal(mu_pki_enveloped_open(&e, kit_key("ec:P-256", 0), false, &out, &err),
            MU_UNSUPPORTED);
        assert_int_equal(err.reason, MU_REFUSE_ALGORITHM);
        assert_non_null(strstr(err.what, "legacy"));
        mu_pki_enveloped_clear(&e);
        mu_buf_clear(&der);
        mu_buf_clear(&out);
    }
    mu_pki_cert_free(cert);
}

static void the_default_context_never_learns_des(void **state)
{
    struct mu_buf der = {0};
    encode(MU_PKI_DES_CBC, true, &der);
    EVP_CIPHER *des = EVP_CIPHER_fetch(NULL, "DES-CBC", NULL);
    assert_null(des);
    ERR_clear_error();
    mu_buf_clear(&der);
}

/* ---- failures that must look alike (COM-13) ---- */

static enum mu_code open_damaged(struct mu_buf *der, size_t at, struct mu_err *err)
{
    struct mu_pki_enveloped e;
    struct mu_buf out = {.secret = true};
    der->p[at] ^= 1;
    kit_ok(mu_pki_enveloped_decode(kit_bytes_of(der), &e, kit_err_));
    enum mu_code rc = mu_pki_enveloped_open(&e, kit_key("rsa:2048", 0), false, &out, err);
    assert_int_equal(ERR_peek_error(), 0);
    if (rc != MU_OK)
        assert_int_equal(out.n, 0);
    mu_buf_clear(&out);
    mu_pki_enveloped_clear(&e);
    der->p[at] ^= 1;
    return rc;
}

static void bad_key_and_bad_content_answer_alike(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_enveloped e;
    struct mu_err first = {0}, second = {0};
    encode(MU_PKI_AES128_CBC, false, &der);
    kit_ok(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err_));
    size_t key_at = (size_t)(e.encrypted_key.p - e.der.p) + 100;
    size_t content_at = (size_t)(e.ciphertext.p - e.der.p) + e.ciphertext.n - 17;
    mu_pki_enveloped_clear(&e);
    /* one wrong content in 256 has good padding by accident: then it opens to garbage */
    int refused = 0;
    for (size_t i = 0; i < 20; i++)
        refused += open_damaged(&der, key_at + i, &first) == MU_AUTH;
    assert_in_range(refused, 15, 20);
    assert_int_equal(open_damaged(&der, content_at, &second), MU_AUTH);
    assert_string_equal(first.what, second.what);
    assert_int_equal(first.reason, MU_REFUSE_SIGNATURE);
    assert_int_equal(second.reason, MU_REFUSE_SIGNATURE);
    mu_buf_clear(&der);
}

static void transport_gives_octets_whatever_the_padding(void **state)
{
    struct mu_pki_key *key = kit_key("rsa:2048", 0);
    static const uint8_t content_key[16] = "0123456789abcde";
    uint8_t noise[256] = {0};
    struct mu_buf encrypted = {0}, alg = {0};
    struct mu_secret a = {0}, b = {0};
    size_t seq = mu_der_open(&alg, MU_DER_SEQUENCE);
    mu_der_put_oid(&alg, MU_OID_RSA);
    mu_der_put_null(&alg);
    mu_der_close(&alg, seq);
    kit_ok(mu_pki_key_transport_encrypt(key, mu_bytes(content_key, 16), &encrypted, kit_err_));
    kit_ok(mu_pki_key_transport_decrypt(key, kit_bytes_of(&alg), kit_bytes_of(&encrypted), 16, &a,
        kit_err_));
    assert_memory_equal(a.p, content_key, 16);
    /* a key of another length is as wrong as a bad padding */
    kit_ok(mu_pki_key_transport_decrypt(key, kit_bytes_of(&alg), kit_bytes_of(&encrypted), 32, &a,
        kit_err_));
    assert_int_equal(a.n, 32);
    assert_memory_not_equal(a.p, content_key, 16);
    memset(noise, 5, sizeof(noise));
    kit_ok(mu_pki_key_transport_decrypt(key, kit_bytes_of(&alg), mu_bytes(noise, 256), 16, &a,
        kit_err_));
    kit_ok(mu_pki_key_transport_decrypt(key, kit_bytes_of(&alg), mu_bytes(noise, 256), 16, &b,
        kit_err_));
    assert_int_equal(a.n, 16);
    assert_memory_not_equal(a.p, b.p, 16); /* random, so nobody can ask twice */
    assert_int_equal(ERR_peek_error(), 0);
    mu_secret_clear(&a);
    mu_secret_clear(&b);
    mu_buf_clear(&encrypted);
    mu_buf_clear(&alg);
}

static void a_changed_tag_is_refused(void **state)
{
    struct mu_buf der = {0};
    struct mu_err err = {0};
    openssl_encode(&(struct openssl_encrypt){"AES-128-GCM", 0, false, false}, &der);
    assert_int_equal(open_damaged(&der, der.n - 1, &err), MU_AUTH);
    assert_int_equal(open_damaged(&der, der.n - 20, &err), MU_AUTH);
    mu_buf_clear(&der);
}

static void keys_that_cannot_decrypt_are_refused(void **state)
{
    struct mu_buf der = {0}, out = {0};
    struct mu_pki_enveloped e;
    struct mu_pki_key *public_only;
    encode(MU_PKI_AES128_CBC, false, &der);
    kit_ok(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err_));
    assert_int_equal(mu_pki_enveloped_open(&e, kit_key("ec:P-256", 0), false, &out, kit_err()),
        MU_UNSUPPORTED);
    kit_ok(mu_pki_key_from_spki(mu_pki_key_spki(kit_key("rsa:2048", 0)), &public_only, kit_err_));
    assert_int_equal(
        mu_pki_enveloped_open(&e, public_only, false, &out, kit_err()), MU_UNSUPPORTED);
    mu_pki_key_free(public_only);
    mu_pki_enveloped_clear(&e);
    mu_buf_clear(&der);
}

static void nobody_encrypts_to_a_key_that_cannot(void **state)
{
    struct mu_buf der = {0};
    struct mu_err err = {0};
    struct mu_pki_cert *cert =
        kit_cert(&(struct kit_cert){.subject = "/CN=ec", .key = kit_key("ed25519", 0)});
    struct mu_pki_enveloped_params params = {.recipient = cert, .cipher = MU_PKI_AES128_CBC};
    assert_int_equal(
        mu_pki_enveloped_encode(&params, plain(), kit_env(), &der, &err), MU_UNSUPPORTED);
    assert_int_equal(err.reason, MU_REFUSE_UNDELIVERABLE);
    params.recipient = NULL;
    assert_int_equal(mu_pki_enveloped_encode(&params, plain(), kit_env(), &der, &err), MU_INPUT);
    assert_int_equal(der.n, 0);
    mu_pki_cert_free(cert);
}

/* ---- passwords (COM-12) ---- */

static void a_password_opens_in_both_directions(void **state)
{
    static const enum mu_pki_cipher ciphers[] = {MU_PKI_AES128_CBC, MU_PKI_AES192_CBC,
        MU_PKI_AES256_CBC};
    struct mu_secret password = {0}, wrong = {0};
    kit_ok(mu_secret_set(&password, kit_str("challenge1"), kit_err_));
    kit_ok(mu_secret_set(&wrong, kit_str("challenge2"), kit_err_));
    for (size_t i = 0; i < 3; i++) {
        struct mu_buf der = {0}, out = {.secret = true};
        struct mu_pki_enveloped e;
        const struct mu_pki_enveloped_params params = {.password = &password, .cipher = ciphers[i]};
        kit_ok(mu_pki_enveloped_encode(&params, plain(), kit_env(), &der, kit_err_));
        assert_openssl_opens(&der, true, "challenge1");
        kit_ok(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err_));
        assert_int_equal(e.kind, MU_PKI_RECIPIENT_PWRI);
        kit_ok(mu_pki_enveloped_open_password(&e, &password, false, &out, kit_err_));
        assert_true(mu_bytes_equal(mu_buf_bytes(&out), plain()));
        mu_buf_reset(&out);
        struct mu_err err = {0};
        assert_int_equal(mu_pki_enveloped_open_password(&e, &wrong, false, &out, &err), MU_AUTH);
        assert_int_equal(err.reason, MU_REFUSE_SIGNATURE);
        assert_int_equal(out.n, 0);
        assert_int_equal(mu_pki_enveloped_open(&e, kit_key("rsa:2048", 0), false, &out, kit_err()),
            MU_UNSUPPORTED);
        mu_pki_enveloped_clear(&e);
        mu_buf_clear(&der);
        mu_buf_clear(&out);
    }
    mu_secret_clear(&password);
    mu_secret_clear(&wrong);
}

static void a_password_message_of_openssl_is_opened(void **state)
{
    struct mu_secret password = {0};
    kit_ok(mu_secret_set(&password, kit_str("challenge1"), kit_err_));
    for (int ber = 0; ber < 2; ber++) {
        char copy[] = "challenge1";
        BIO *in = BIO_new_mem_buf(plain_text, -1), *der = BIO_new(BIO_s_mem());
        CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(),
            CMS_PARTIAL | CMS_BINARY | CMS_STREAM);
        /* OpenSSL may use the octets until the message is made */
        assert_non_null(CMS_add0_recipient_password(cms, -1, NID_id_alg_PWRI_KEK, NID_undef,
            (unsigned char *)OPENSSL_strdup(copy), (ossl_ssize_t)strlen(copy), EVP_aes_128_cbc()));
        if (ber) {
            assert_int_equal(i2d_CMS_bio_stream(der, cms, in, CMS_BINARY | CMS_STREAM), 1);
        } else {
            assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
            assert_int_equal(i2d_CMS_bio(der, cms), 1);
        }
        char *p;
        long n = BIO_get_mem_data(der, &p);
        struct mu_pki_enveloped e;
        struct mu_buf out = {.secret = true};
        kit_ok(mu_pki_enveloped_decode(mu_bytes(p, (size_t)n), &e, kit_err_));
        kit_ok(mu_pki_enveloped_open_password(&e, &password, false, &out, kit_err_));
        assert_true(mu_bytes_equal(mu_buf_bytes(&out), plain()));
        mu_buf_clear(&out);
        mu_pki_enveloped_clear(&e);
        CMS_ContentInfo_free(cms);
        BIO_free(in);
        BIO_free(der);
    }
    mu_secret_clear(&password);
}

static void too_many_iterations_are_refused(void **state)
{
    struct mu_secret password = {0};
    struct mu_buf der = {0}, out = {0};
    struct mu_pki_enveloped e;
    struct mu_buf kdf = {0};
    kit_ok(mu_secret_set(&password, kit_str("pw"), kit_err_));
    const struct mu_pki_enveloped_params params = {
        .password = &password, .cipher = MU_PKI_AES128_CBC};
    kit_ok(mu_pki_enveloped_encode(&params, plain(), kit_env(), &der, kit_err_));
    kit_ok(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err_));
    mu_der_put_oid(&kdf, MU_OID_PBKDF2);
    size_t seq = mu_der_open(&kdf, MU_DER_SEQUENCE);
    mu_der_put(&kdf, MU_DER_OCTET_STRING, kit_str("salt"));
    mu_der_put_int(&kdf, 1000001); /* COM-15 */
    mu_der_close(&kdf, seq);
    e.kdf_alg = kit_bytes_of(&kdf);
    assert_int_equal(
        mu_pki_enveloped_open_password(&e, &password, false, &out, kit_err()), MU_INPUT);
    assert_true(kit_says("iterations"));
    mu_pki_enveloped_clear(&e);
    mu_secret_clear(&password);
    mu_buf_clear(&der);
    mu_buf_clear(&kdf);
}

static void aes_key_wrap_of_the_cmp_profile_is_opened(void **state)
{
    /* RFC 9481 4.3: PBKDF2 and aes256-wrap; the content key is wrapped here by OpenSSL */
    struct mu_secret password = {0};
    struct mu_buf der = {0}, kdf = {0}, alg = {0}, out = {.secret = true};
    struct mu_pki_enveloped e;
    uint8_t kek[32], content_key[16] = "0123456789abcde", wrapped[24], ciphertext[64];
    int n = 0, last = 0;
    kit_ok(mu_secret_set(&password, kit_str("pw"), kit_err_));
    assert_int_equal(
        PKCS5_PBKDF2_HMAC("pw", 2, (const uint8_t *)"salt", 4, 100, EVP_sha1(), 32, kek), 1);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap(), NULL, kek, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, wrapped, &n, content_key, 16), 1);
    assert_int_equal(n, 24);
    EVP_CIPHER_CTX_reset(ctx);
    static const uint8_t iv[16] = {1, 2, 3};
    assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_cbc(), NULL, content_key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, ciphertext, &n, (const uint8_t *)plain_text,
                         (int)strlen(plain_text)), 1);
    assert_int_equal(EVP_EncryptFinal_ex(ctx, ciphertext + n, &last), 1);
    EVP_CIPHER_CTX_free(ctx);
    mu_der_put_oid(&kdf, MU_OID_PBKDF2);
    size_t seq = mu_der_open(&kdf, MU_DER_SEQUENCE);
    mu_der_put(&kdf, MU_DER_OCTET_STRING, kit_str("salt"));
    mu_der_put_int(&kdf, 100);
    mu_der_close(&kdf, seq);
    seq = mu_der_open(&alg, MU_DER_SEQUENCE);
    mu_der_put_oid(&alg, "2.16.840.1.101.3.4.1.45");
    mu_der_close(&alg, seq);
    e = (struct mu_pki_enveloped){.kind = MU_PKI_RECIPIENT_PWRI, .kdf_alg = kit_bytes_of(&kdf),
        .key_alg = kit_bytes_of(&alg), .encrypted_key = mu_bytes(wrapped, 24),
        .cipher = MU_PKI_AES128_CBC, .iv = mu_bytes(iv, 16),
        .ciphertext = mu_bytes(ciphertext, (size_t)(n + last))};
    kit_ok(mu_pki_enveloped_open_password(&e, &password, false, &out, kit_err_));
    assert_true(mu_bytes_equal(mu_buf_bytes(&out), plain()));
    wrapped[3] ^= 1;
    mu_buf_reset(&out);
    assert_int_equal(
        mu_pki_enveloped_open_password(&e, &password, false, &out, kit_err()), MU_AUTH);
    mu_secret_clear(&password);
    mu_buf_clear(&der);
    mu_buf_clear(&kdf);
    mu_buf_clear(&alg);
    mu_buf_clear(&out);
}

/* ---- damage ---- */

static void truncated_messages_are_refused(void **state)
{
    struct mu_buf der = {0}, ber = {0};
    struct mu_pki_enveloped e = {0};
    encode(MU_PKI_AES128_CBC, false, &der);
    openssl_encode(&(struct openssl_encrypt){"AES-128-CBC", 0, true, false}, &ber);
    for (size_t n = 0; n < der.n; n++)
        assert_int_equal(mu_pki_enveloped_decode(mu_bytes(der.p, n), &e, kit_err()), MU_INPUT);
    for (size_t n = 0; n < ber.n; n++)
        assert_int_not_equal(mu_pki_enveloped_decode(mu_bytes(ber.p, n), &e, NULL), MU_OK);
    mu_buf_put_byte(&der, 0);
    assert_int_equal(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err()), MU_INPUT);
    assert_null(e.der.p);
    mu_buf_clear(&der);
    mu_buf_clear(&ber);
}

static void an_unknown_cipher_is_named(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_enveloped e;
    encode(MU_PKI_AES128_CBC, false, &der);
    /* 2.16.840.1.101.3.4.1.2 becomes ...1.3, AES-128-OFB */
    size_t at = kit_find(kit_bytes_of(&der), "\x60\x86\x48\x01\x65\x03\x04\x01\x02", 9);
    der.p[at + 8] = 3;
    assert_int_equal(mu_pki_enveloped_decode(kit_bytes_of(&der), &e, kit_err()), MU_UNSUPPORTED);
    assert_true(kit_says("2.16.840.1.101.3.4.1.3"));
    mu_buf_clear(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_opens_what_we_make),
        cmocka_unit_test(versions_follow_the_recipient),
        cmocka_unit_test(messages_of_openssl_are_opened),
        cmocka_unit_test(vectors_of_the_command_line_open),
        cmocka_unit_test(the_recipients_name_may_be_encoded_otherwise),
        cmocka_unit_test(two_recipients_are_refused),
        cmocka_unit_test(legacy_ciphers_are_refused_without_the_switch),
        cmocka_unit_test(the_default_context_never_learns_des),
        cmocka_unit_test(bad_key_and_bad_content_answer_alike),
        cmocka_unit_test(transport_gives_octets_whatever_the_padding),
        cmocka_unit_test(a_changed_tag_is_refused),
        cmocka_unit_test(keys_that_cannot_decrypt_are_refused),
        cmocka_unit_test(nobody_encrypts_to_a_key_that_cannot),
        cmocka_unit_test(a_password_opens_in_both_directions),
        cmocka_unit_test(a_password_message_of_openssl_is_opened),
        cmocka_unit_test(too_many_iterations_are_refused),
        cmocka_unit_test(aes_key_wrap_of_the_cmp_profile_is_opened),
        cmocka_unit_test(truncated_messages_are_refused),
        cmocka_unit_test(an_unknown_cipher_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
