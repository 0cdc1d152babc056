/* Protection on messages of openssl cmp, and each kind of our own: CMP-05, CMP-08, CMP-20..CMP-29. */
#include "kit.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "proto/cmp/cmp_protect.h"

static struct mu_secret secret_of(const char *text)
{
    struct mu_secret s = {0};
    kit_ok(mu_secret_set(&s, mu_bytes_str(text), &kit_err));
    return s;
}

static void load(const char *path, struct mu_cmp_msg *msg)
{
    struct mu_buf file = {0};
    kit_load(path, &file);
    kit_ok(mu_cmp_msg_decode(mu_buf_bytes(&file), msg, &kit_err));
    mu_buf_clear(&file);
}

/* C056: PBM with SHA-256, 500 iterations, HMAC-SHA1; requests and answers. */
static void macs_of_openssl_cmp_hold(void **state)
{
    static const char *const files[] = {"ir-1.req", "ir-1.rsp", "ir-2.req", "ir-2.rsp", "p10cr-1.req",
        "p10cr-2.req", "genm-1.req", "genm-1.rsp", "poll-2.req", "poll-2.rsp", "error-1.rsp"};
    struct mu_secret right = secret_of("test"), wrong = secret_of("Test"), none = {0};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof files / sizeof files[0]; i++) {
        struct mu_cmp_mac_key mac = {.mac = {.kind = MU_PKI_MAC_NONE}}, other = mac;
        struct mu_cmp_msg msg;
        struct mu_err err = {0};
        char path[128];
        snprintf(path, sizeof path, "openssl-cmp/%s/%s.der", i % 2 ? "rsa" : "ec", files[i / 2]);
        load(path, &msg);
        assert_int_equal(mu_cmp_protect_kind(&msg), MU_CMP_BY_MAC);
        kit_ok(mu_cmp_protect_verify_mac(&msg, &right, false, &mac, &kit_err));
        assert_int_equal(mac.mac.iterations, 500);
        assert_int_equal(mac.mac.hash, MU_PKI_SHA1);
        assert_int_equal(mu_cmp_protect_verify_mac(&msg, &wrong, false, &other, &err), MU_AUTH);
        assert_int_equal(err.reason, MU_REFUSE_SIGNATURE);
        assert_int_equal(mu_cmp_protect_verify_mac(&msg, &none, false, &other, &err), MU_AUTH);
        assert_int_equal(mu_cmp_protect_verify_mac(&msg, NULL, false, &other, &err), MU_AUTH);
        /* and is no signature */
        assert_null(mu_cmp_protect_signer(&msg, NULL));
        mu_cmp_protect_mac_clear(&mac);
        mu_cmp_protect_mac_clear(&other);
        mu_cmp_msg_clear(&msg);
    }
    mu_secret_clear(&right);
    mu_secret_clear(&wrong);
}

static void signatures_of_openssl_cmp_hold(void **state)
{
    static const char *const files[] = {"cr-1.req", "cr-1.rsp", "kur-1.req", "kur-1.rsp", "rr-1.req", "rr-1.rsp"};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof files / sizeof files[0]; i++) {
        struct mu_cmp_msg msg;
        struct mu_pki_cert *signer;
        struct mu_err err = {0};
        uint8_t *last;
        char path[128];
        snprintf(path, sizeof path, "openssl-cmp/%s/%s.der", i % 2 ? "rsa" : "ec", files[i / 2]);
        load(path, &msg);
        assert_int_equal(mu_cmp_protect_kind(&msg), MU_CMP_BY_SIGNATURE);
        signer = mu_cmp_protect_signer(&msg, NULL);
        assert_non_null(signer);
        kit_ok(mu_cmp_protect_verify_signature(&msg, signer, NULL, &kit_err));
        /* CMP-20: one bit of the body */
        last = msg.der.p + (msg.protected_part.p - msg.der.p) + msg.protected_part.n - 1;
        *last ^= 1;
        assert_int_equal(mu_cmp_protect_verify_signature(&msg, signer, NULL, &err), MU_AUTH);
        assert_int_equal(err.reason, MU_REFUSE_SIGNATURE);
        mu_cmp_msg_clear(&msg);
    }
}

/* ---- our own ---- */

static struct mu_pki_cert *cert_by(struct mu_pki_key *key, struct mu_pki_key *by, unsigned usage)
{
    struct mu_buf name = {0}, exts = {0}, der = {0};
    struct mu_pki_cert *cert;
    uint8_t id[20];
    size_t seq;
    kit_ok(mu_pki_name_parse("/CN=signer", &name, &kit_err));
    assert_true(mu_pki_key_id(mu_pki_key_spki(key), id));
    seq = mu_der_open(&exts, MU_DER_SEQUENCE);
    mu_pki_ext_put_key_usage(&exts, true, usage);
    mu_pki_ext_put_skid(&exts, id);
    mu_der_close(&exts, seq);
    const struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes("\1", 1), .issuer = mu_buf_bytes(&name),
        .subject = mu_buf_bytes(&name), .not_before_s = 1700000000, .not_after_s = 1800000000,
        .spki = mu_pki_key_spki(key), .extensions = mu_buf_bytes(&exts)};
    kit_ok(mu_pki_cert_make(&tbs, by, MU_PKI_DIGEST_NONE, &der, &kit_err));
    kit_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &kit_err));
    mu_buf_clear(&name);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    return cert;
}

static struct mu_pki_cert *cert_for(struct mu_pki_key *key, unsigned usage)
{
    return cert_by(key, key, usage);
}

static void encode(const struct mu_cmp_protector *how, struct mu_pki_cert *cert, struct mu_cmp_msg *out)
{
    const struct mu_cmp_header header = {.pvno = 2, .transaction_id = mu_bytes("0123456789abcdef", 16),
        .sender_nonce = mu_bytes("fedcba9876543210", 16)};
    const struct mu_cmp_body body = {.type = MU_CMP_PKICONF};
    struct mu_pki_certs extra = {0};
    struct mu_buf der = {0};
    if (cert != NULL)
        kit_ok(mu_pki_certs_add(&extra, cert, &kit_err));
    kit_ok(mu_cmp_protect_encode(&header, &body, how, &extra, &der, &kit_err));
    assert_true(mu_der_valid(mu_buf_bytes(&der), 32));
    kit_ok(mu_cmp_msg_decode(mu_buf_bytes(&der), out, &kit_err));
    mu_pki_certs_clear(&extra);
    mu_buf_clear(&der);
}

/* CMP-22 */
static void each_kind_of_key_protects(void **state)
{
    static const struct { struct mu_pki_key_spec spec; enum mu_pki_digest digest; } rows[] = {
        {{MU_PKI_KEY_RSA, 2048}, MU_PKI_DIGEST_NONE}, {{MU_PKI_KEY_RSA, 2048}, MU_PKI_SHA512},
        {{MU_PKI_KEY_EC, 256}, MU_PKI_DIGEST_NONE}, {{MU_PKI_KEY_EC, 384}, MU_PKI_DIGEST_NONE},
        {{MU_PKI_KEY_EC, 521}, MU_PKI_DIGEST_NONE}, {{MU_PKI_KEY_ED25519, 0}, MU_PKI_DIGEST_NONE},
        {{MU_PKI_KEY_ED448, 0}, MU_PKI_DIGEST_NONE}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_pki_key *key;
        struct mu_pki_cert *cert;
        struct mu_cmp_msg msg;
        kit_ok(mu_pki_key_generate(&rows[i].spec, &key, &kit_err));
        cert = cert_for(key, MU_KU_DIGITAL_SIGNATURE);
        const struct mu_cmp_protector how = {.key = key, .cert = cert, .digest = rows[i].digest};
        encode(&how, cert, &msg);
        assert_true(mu_bytes_equal(msg.header.sender, cert->subject)); /* CMP-05 */
        assert_true(mu_bytes_equal(msg.header.sender_kid, cert->exts.skid)); /* CMP-09 */
        kit_ok(mu_cmp_protect_verify_signature(&msg, mu_cmp_protect_signer(&msg, NULL), NULL, &kit_err));
        mu_cmp_msg_clear(&msg);
        mu_pki_cert_free(cert);
        mu_pki_key_free(key);
    }
}

/* CMP-22: RSASSA-PSS by wish with an RSA key, without a word with one that is bound to it; no other. */
static void rsa_pss_is_made(void **state)
{
    static const struct { const char *kind; enum mu_pki_digest digest; } rows[] = {{"RSA", MU_PKI_DIGEST_NONE},
        {"RSA", MU_PKI_SHA512}, {"RSA-PSS", MU_PKI_SHA384}, {"EC", MU_PKI_DIGEST_NONE}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        EVP_PKEY *evp = i < 3 ? NULL : EVP_EC_gen("P-256");
        unsigned char *der = NULL;
        struct mu_buf out = {0};
        struct mu_err err = {0};
        struct mu_pki_key *key;
        struct mu_pki_cert *cert;
        struct mu_cmp_msg msg;
        struct mu_der seq, oid;
        if (evp == NULL) {
            EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, rows[i].kind, NULL);
            assert_true(EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1
                && EVP_PKEY_generate(ctx, &evp) == 1);
            EVP_PKEY_CTX_free(ctx);
        }
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, evp, NULL, NULL, 0, NULL, NULL), 1);
        long n = BIO_get_mem_data(bio, &der);
        kit_ok(mu_pki_key_decode(mu_bytes(der, (size_t)n), NULL, &key, &kit_err));
        assert_int_equal(mu_pki_key_is_pss(key), i == 2);
        EVP_PKEY *ca = EVP_EC_gen("P-256"); /* signs the certificate, which a bound key cannot here */
        unsigned char *ca_der = NULL;
        int ca_n = i2d_PrivateKey(ca, &ca_der);
        struct mu_pki_key *ca_key;
        kit_ok(mu_pki_key_decode(mu_bytes(ca_der, (size_t)ca_n), NULL, &ca_key, &kit_err));
        cert = cert_by(key, ca_key, MU_KU_DIGITAL_SIGNATURE);
        const struct mu_cmp_protector how
            = {.key = key, .cert = cert, .digest = rows[i].digest, .pss = i != 2};
        if (i == 3) {
            const struct mu_cmp_header header = {.pvno = 2};
            const struct mu_cmp_body body = {.type = MU_CMP_PKICONF};
            assert_int_equal(mu_cmp_protect_encode(&header, &body, &how, NULL, &out, &err), MU_UNSUPPORTED);
            assert_non_null(strstr(err.what, "only an RSA key"));
        } else {
            encode(&how, cert, &msg);
            assert_true(mu_der_only(msg.header.protection_alg, MU_DER_SEQUENCE, &seq)
                && mu_der_get(&seq.value, MU_DER_OID, &oid));
            assert_true(mu_der_oid_is(oid.value, "1.2.840.113549.1.1.10"));
            kit_ok(mu_cmp_protect_verify_signature(&msg, mu_cmp_protect_signer(&msg, NULL), NULL, &kit_err));
            mu_cmp_msg_clear(&msg);
        }
        mu_buf_clear(&out);
        mu_pki_cert_free(cert);
        mu_pki_key_free(key);
        mu_pki_key_free(ca_key);
        OPENSSL_free(ca_der);
        EVP_PKEY_free(ca);
        BIO_free(bio);
        EVP_PKEY_free(evp);
    }
}

/* RSA-PSS of others: made here with OpenSSL, SHA-256 in both places, salt of 32. */
static void rsa_pss_is_taken(void **state)
{
    static const uint8_t alg[] = {0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34,
        0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
        0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d,
        0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x20};
    EVP_PKEY *evp = EVP_RSA_gen(2048);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    unsigned char *pem = NULL;
    uint8_t signature[512];
    size_t n = sizeof signature;
    struct mu_buf part = {0}, der = {0};
    struct mu_pki_certs extra = {0};
    struct mu_pki_key *key;
    struct mu_pki_cert *cert;
    struct mu_cmp_msg msg;
    (void)state;
    int pem_n = i2d_PrivateKey(evp, &pem);
    kit_ok(mu_pki_key_decode(mu_bytes(pem, (size_t)pem_n), NULL, &key, &kit_err));
    cert = cert_for(key, MU_KU_DIGITAL_SIGNATURE);
    const struct mu_cmp_header header = {.pvno = 2, .sender = cert->subject, .sender_kid = cert->exts.skid,
        .transaction_id = mu_bytes("T", 1), .protection_alg = mu_bytes(alg, sizeof alg)};
    const struct mu_cmp_body body = {.type = MU_CMP_PKICONF};
    mu_cmp_msg_encode_part(&header, &body, &part);
    assert_int_equal(EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL, evp), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 32), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &n, part.p, part.n), 1);
    kit_ok(mu_pki_certs_add(&extra, cert, &kit_err));
    kit_ok(mu_cmp_msg_encode(mu_buf_bytes(&part), mu_bytes(signature, n), &extra, &der, &kit_err));
    kit_ok(mu_cmp_msg_decode(mu_buf_bytes(&der), &msg, &kit_err));
    kit_ok(mu_cmp_protect_verify_signature(&msg, mu_cmp_protect_signer(&msg, NULL), NULL, &kit_err));
    mu_cmp_msg_clear(&msg);
    mu_pki_certs_clear(&extra);
    mu_buf_clear(&part);
    mu_buf_clear(&der);
    mu_pki_cert_free(cert);
    mu_pki_key_free(key);
    OPENSSL_free(pem);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(evp);
}

/* CMP-23, IOP-34; CMP-05 */
static void the_certificate_has_to_fit(void **state)
{
    const struct mu_pki_key_spec ec = {MU_PKI_KEY_EC, 256};
    const struct mu_cmp_verify_opts lenient = {.ignore_key_usage = true};
    struct mu_pki_key *key;
    struct mu_pki_cert *cert;
    struct mu_cmp_msg msg;
    (void)state;
    kit_ok(mu_pki_key_generate(&ec, &key, &kit_err));
    cert = cert_for(key, MU_KU_KEY_AGREEMENT);
    const struct mu_cmp_protector how = {.key = key, .cert = cert};
    encode(&how, cert, &msg);
    assert_int_equal(mu_cmp_protect_verify_signature(&msg, cert, NULL, &kit_err), MU_AUTH);
    assert_non_null(strstr(kit_err.what, "digitalSignature"));
    kit_ok(mu_cmp_protect_verify_signature(&msg, cert, &lenient, &kit_err));
    msg.header.sender = mu_bytes("\x30\x00", 2);
    assert_int_equal(mu_cmp_protect_verify_signature(&msg, cert, &lenient, &kit_err), MU_AUTH);
    assert_non_null(strstr(kit_err.what, "sender"));
    mu_cmp_msg_clear(&msg);
    mu_pki_cert_free(cert);
    mu_pki_key_free(key);
}

/* CMP-29: the same parameters cost nothing again, others are derived anew. */
static void a_derived_key_is_used_again(void **state)
{
    struct mu_cmp_mac_key mac = {.mac = {.kind = MU_PKI_MAC_NONE}};
    struct mu_pki_mac params = {.kind = MU_PKI_MAC_PBM, .owf = MU_PKI_SHA256, .hash = MU_PKI_SHA256,
        .salt = "01234567", .salt_n = 8, .iterations = 100};
    struct mu_secret secret = secret_of("test"), first = {0};
    const struct mu_cmp_protector how = {.mac = &mac, .reference = mu_bytes_str("ref")};
    const uint8_t *at;
    struct mu_cmp_msg msg;
    (void)state;
    kit_ok(mu_cmp_protect_mac_derive(&mac, &params, &secret, &kit_err));
    kit_ok(mu_secret_set(&first, mu_secret_bytes(&mac.key), &kit_err));
    at = mac.key.p;
    encode(&how, NULL, &msg);
    kit_ok(mu_cmp_protect_verify_mac(&msg, &secret, false, &mac, &kit_err));
    assert_ptr_equal(mac.key.p, at);
    assert_true(mu_bytes_equal(msg.header.sender_kid, mu_bytes_str("ref")));
    params.salt[0] ^= 1;
    kit_ok(mu_cmp_protect_mac_derive(&mac, &params, &secret, &kit_err));
    assert_false(mu_bytes_equal(mu_secret_bytes(&mac.key), mu_secret_bytes(&first)));
    mu_cmp_msg_clear(&msg);
    mu_cmp_protect_mac_clear(&mac);
    mu_secret_clear(&secret);
    mu_secret_clear(&first);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(macs_of_openssl_cmp_hold),
        cmocka_unit_test(signatures_of_openssl_cmp_hold),
        cmocka_unit_test(each_kind_of_key_protects),
        cmocka_unit_test(rsa_pss_is_made),
        cmocka_unit_test(rsa_pss_is_taken),
        cmocka_unit_test(the_certificate_has_to_fit),
        cmocka_unit_test(a_derived_key_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
