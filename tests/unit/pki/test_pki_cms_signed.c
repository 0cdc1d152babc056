/* SignedData: COM-01..06, what OpenSSL makes and reads, damage. */
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "kit.h"

static const char content_text[] = "the content of the message";

static struct mu_bytes content(void)
{
    return mu_bytes_str(content_text);
}

static struct mu_pki_cert *signer(const char *key_word)
{
    return kit_cert(&(struct kit_cert){.subject = "/CN=signer", .key = kit_key(key_word, 0)});
}

/* Our message by this key, its certificate inside. */
static void encode(
    const char *key_word, const struct mu_pki_signed_params *base, struct mu_buf *out)
{
    struct mu_pki_signed_params params = *base;
    struct mu_pki_cert *cert = signer(key_word);
    struct mu_pki_certs certs = {0};
    kit_ok(mu_pki_certs_add(&certs, cert, kit_err_));
    params.key = kit_key(key_word, 0);
    params.cert = cert;
    params.certs = &certs;
    kit_ok(mu_pki_signed_encode(&params, out, kit_err_));
    mu_pki_certs_clear(&certs);
    mu_pki_cert_free(cert);
}

static CMS_ContentInfo *to_openssl(const struct mu_buf *der)
{
    const uint8_t *p = der->p;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)der->n);
    assert_non_null(cms);
    assert_ptr_equal(p, der->p + der->n);
    return cms;
}

/* ---- what we make ---- */

static void openssl_verifies_what_we_make(void **state)
{
    static const struct {
        const char *key;
        enum mu_pki_digest digest;
        bool rsa_encryption;
    } rows[] = {
        {"rsa:2048", MU_PKI_SHA256, false},
        {"rsa:2048", MU_PKI_SHA256, true},
        {"rsa:2048", MU_PKI_SHA512, false},
        {"rsa:2048", MU_PKI_SHA1, false},
        {"ec:P-256", MU_PKI_SHA256, false},
        {"ec:P-384", MU_PKI_DIGEST_NONE, false},
    };
    const struct mu_pki_attr attrs[] = {
        {"2.16.840.1.113733.1.9.2", mu_bytes("\x13\x02"
                                             "19",
                                        4)},
        {"2.16.840.1.113733.1.9.5", mu_bytes("\x04\x03"
                                             "abc",
                                        5)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        encode(rows[i].key,
            &(struct mu_pki_signed_params){.content = content(), .digest = rows[i].digest,
                .attrs = attrs, .attr_n = 2, .signing_time_s = KIT_NOW,
                .sign_alg_rsa_encryption = rows[i].rsa_encryption},
            &der);
        CMS_ContentInfo *cms = to_openssl(&der);
        BIO *out = BIO_new(BIO_s_mem());
        if (CMS_verify(cms, NULL, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1) {
            ERR_print_errors_fp(stderr);
            fail_msg("row %zu", i);
        }
        char *p;
        assert_int_equal(BIO_get_mem_data(out, &p), strlen(content_text));
        assert_memory_equal(p, content_text, strlen(content_text));
        BIO_free(out);
        CMS_ContentInfo_free(cms);

        struct mu_pki_signed s;
        struct mu_bytes value;
        kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
        assert_true(mu_bytes_equal(s.content, content()));
        struct mu_pki_cert *cert = mu_pki_signed_signer(&s);
        assert_non_null(cert);
        kit_ok(mu_pki_signed_verify(&s, cert, true, kit_err_));
        kit_ok(mu_pki_signed_attr(&s, attrs[0].oid, &value, kit_err_));
        assert_true(mu_bytes_equal(value, attrs[0].value));
        kit_ok(mu_pki_signed_attr(&s, "2.16.840.1.113733.1.9.7", &value, kit_err_));
        assert_null(value.p);
        mu_pki_signed_clear(&s);
        mu_buf_clear(&der);
    }
}

static void ed25519_signs_with_sha512(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_signed s;
    encode("ed25519", &(struct mu_pki_signed_params){.content = content()}, &der);
    kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
    assert_int_equal(s.digest, MU_PKI_SHA512);
    kit_ok(mu_pki_signed_verify(&s, s.certs.v[0], false, kit_err_));
    mu_pki_signed_clear(&s);
    mu_buf_clear(&der);
}

static void versions_follow_the_content_type(void **state)
{
    static const struct {
        const char *type;
        long version;
    } rows[] = {{NULL, 1}, {"1.2.840.113549.1.9.16.1.4", 3}};
    for (size_t i = 0; i < 2; i++) {
        struct mu_buf der = {0};
        struct mu_der whole, el;
        encode("ec:P-256",
            &(struct mu_pki_signed_params){.content = content(), .content_type = rows[i].type},
            &der);
        assert_true(mu_der_only(kit_bytes_of(&der), MU_DER_SEQUENCE, &whole));
        assert_true(mu_der_get(&whole.value, MU_DER_OID, &el));
        assert_true(mu_der_get(&whole.value, MU_DER_CONTEXT_CONSTRUCTED(0), &el));
        assert_true(mu_der_only(el.value, MU_DER_SEQUENCE, &whole));
        assert_true(mu_der_get(&whole.value, MU_DER_INTEGER, &el));
        assert_int_equal(el.value.p[0], rows[i].version); /* COM-01 */
        assert_true(mu_der_valid(kit_bytes_of(&der), 32));
        mu_buf_clear(&der);
    }
}

static void signed_attributes_are_sorted(void **state)
{
    /* COM-04: DER order of the SET OF, whatever order the caller gave */
    const struct mu_pki_attr attrs[] = {
        {"2.16.840.1.113733.1.9.7", mu_bytes("\x13\x09"
                                             "123456789",
                                        11)},
        {"1.2.3", mu_bytes("\x05\x00", 2)},
    };
    struct mu_buf der = {0};
    struct mu_pki_signed s;
    struct mu_der a, b;
    encode("ec:P-256",
        &(struct mu_pki_signed_params){.content = content(), .attrs = attrs, .attr_n = 2}, &der);
    kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
    struct mu_bytes in = s.signed_attrs;
    assert_true(mu_der_next(&in, &a));
    for (int n = 1; in.n; n++) {
        assert_true(mu_der_next(&in, &b));
        size_t least = a.whole.n < b.whole.n ? a.whole.n : b.whole.n;
        assert_true(memcmp(a.whole.p, b.whole.p, least) <= 0);
        a = b;
        assert_true(n < 4);
    }
    mu_pki_signed_clear(&s);
    mu_buf_clear(&der);
}

static void absent_content_is_hashed_as_nothing(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_signed s;
    encode("ec:P-256", &(struct mu_pki_signed_params){0}, &der);
    kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
    assert_null(s.content.p);
    kit_ok(mu_pki_signed_verify(&s, s.certs.v[0], false, kit_err_)); /* COM-05 */
    mu_pki_signed_clear(&s);
    mu_buf_clear(&der);
}

/* ---- what OpenSSL makes ---- */

struct openssl_sign {
    const char *key;
    unsigned flags;
    bool ber, pss;
};

static void openssl_encode(const struct openssl_sign *how, const EVP_MD *md, struct mu_buf *out)
{
    struct mu_pki_cert *cert = signer(how->key);
    X509 *x = kit_x509(cert);
    BIO *in = BIO_new_mem_buf(content_text, -1), *der = BIO_new(BIO_s_mem());
    unsigned flags = CMS_BINARY | CMS_NOSMIMECAP | how->flags;
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL | CMS_STREAM);
    CMS_SignerInfo *info = CMS_add1_signer(cms, x, mu_pki_key_evp(kit_key(how->key, 0)), md,
        flags | (how->pss ? CMS_KEY_PARAM : 0));
    assert_non_null(info);
    if (how->pss)
        EVP_PKEY_CTX_set_rsa_padding(CMS_SignerInfo_get0_pkey_ctx(info), RSA_PKCS1_PSS_PADDING);
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
}

static void messages_of_openssl_are_read_and_verified(void **state)
{
    static const struct openssl_sign rows[] = {
        {"rsa:2048", 0, false, false},
        {"rsa:2048", 0, true, false}, /* INTEROP 3.7: indefinite lengths, chunks */
        {"rsa:2048", CMS_USE_KEYID, false, false}, /* COM-02 */
        {"rsa:2048", CMS_USE_KEYID, true, false},
        {"rsa:2048", CMS_NOATTR, false, false},
        {"rsa:2048", 0, false, true},
        {"ec:P-256", 0, false, false},
        {"ec:P-384", CMS_USE_KEYID, true, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        struct mu_pki_signed s;
        openssl_encode(&rows[i], EVP_sha256(), &der);
        assert_int_equal(mu_der_is_definite(kit_bytes_of(&der)), !rows[i].ber);
        kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
        assert_true(mu_bytes_equal(s.content, content()));
        assert_int_equal(s.signed_attrs.p == NULL, rows[i].flags == CMS_NOATTR);
        assert_int_equal(s.sid_skid.p != NULL, rows[i].flags == CMS_USE_KEYID);
        struct mu_pki_cert *cert = mu_pki_signed_signer(&s);
        assert_non_null(cert);
        kit_ok(mu_pki_signed_verify(&s, cert, false, kit_err_));
        mu_pki_signed_clear(&s);
        mu_buf_clear(&der);
    }
}

static void vectors_of_the_command_line_verify(void **state)
{
    static const struct {
        const char *file;
        enum mu_code code;
    } rows[] = {
        {"openssl/signed.der", MU_OK},
        {"openssl/signed-ec-keyid-ber.der", MU_OK},
        {"openssl/signed-pss.der", MU_OK},
        {"openssl/signed-two.der", MU_INPUT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf file = kit_vector(rows[i].file);
        struct mu_pki_signed s = {0};
        assert_int_equal(mu_pki_signed_decode(kit_bytes_of(&file), &s, kit_err()), rows[i].code);
        if (rows[i].code == MU_OK) {
            kit_ok(mu_pki_signed_verify(&s, mu_pki_signed_signer(&s), false, kit_err_));
            assert_true(mu_bytes_equal(s.content, kit_str("content of the message")));
        }
        mu_pki_signed_clear(&s);
        mu_buf_clear(&file);
    }
}

static void two_signers_are_refused(void **state)
{
    struct mu_pki_cert *cert = signer("ec:P-256");
    X509 *x = kit_x509(cert);
    BIO *in = BIO_new_mem_buf(content_text, -1);
    EVP_PKEY *key = mu_pki_key_evp(kit_key("ec:P-256", 0));
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY);
    assert_non_null(CMS_add1_signer(cms, x, key, EVP_sha256(), CMS_BINARY));
    assert_non_null(CMS_add1_signer(cms, x, key, EVP_sha512(), CMS_BINARY | CMS_NOCERTS));
    assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
    uint8_t *p = NULL;
    int n = i2d_CMS_ContentInfo(cms, &p);
    struct mu_pki_signed s = {0};
    assert_int_equal(mu_pki_signed_decode(mu_bytes(p, (size_t)n), &s, kit_err()), MU_INPUT);
    assert_true(kit_says("more than one signer"));
    assert_null(s.der.p);
    OPENSSL_free(p);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    X509_free(x);
    mu_pki_cert_free(cert);
}

/* ---- messages made by hand ---- */

struct craft {
    struct mu_bytes type_attr, digest_attr; /* whole values; p NULL: the right ones */
    bool no_type, no_digest, type_twice, unsorted;
    enum mu_pki_digest digest, listed, sig_digest; /* NONE: SHA-256 */
    const char *content_type;
    bool no_attrs;
    struct mu_bytes serial; /* p NULL: the certificate's */
};

static void put_attr(struct mu_buf *b, const char *oid, struct mu_bytes value)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, oid);
    mu_der_put(b, MU_DER_SET, value);
    mu_der_close(b, seq);
}

static void craft_attrs(const struct craft *c, enum mu_pki_digest digest, const char *type,
    struct mu_buf *set)
{
    struct mu_buf value = {0};
    uint8_t hash[64];
    size_t n = mu_pki_digest(digest, content(), hash);
    size_t mark = mu_der_open(set, MU_DER_SET);
    mu_der_put(&value, MU_DER_OCTET_STRING, mu_bytes(hash, n));
    if (c->unsorted && !c->no_digest)
        put_attr(set, MU_OID_MESSAGE_DIGEST, kit_bytes_of(&value));
    struct mu_buf oid = {0};
    mu_der_put_oid(&oid, type);
    for (int i = c->no_type; i < (c->type_twice ? 2 : 1); i++)
        put_attr(set, MU_OID_CONTENT_TYPE, c->type_attr.p ? c->type_attr : kit_bytes_of(&oid));
    if (!c->unsorted && !c->no_digest)
        put_attr(
            set, MU_OID_MESSAGE_DIGEST, c->digest_attr.p ? c->digest_attr : kit_bytes_of(&value));
    put_attr(set, "1.2.3", mu_bytes("\x05\x00", 2));
    mu_der_close(set, mark);
    mu_buf_clear(&value);
    mu_buf_clear(&oid);
}

/* A message signed correctly over what it says. */
static void craft(const struct craft *c, struct mu_buf *out)
{
    enum mu_pki_digest digest = c->digest ? c->digest : MU_PKI_SHA256;
    enum mu_pki_digest sig_digest = c->sig_digest ? c->sig_digest : digest;
    const char *type = c->content_type ? c->content_type : MU_OID_DATA;
    struct mu_pki_key *key = kit_key("rsa:2048", 0);
    struct mu_pki_cert *cert = signer("rsa:2048");
    struct mu_buf attrs = {0}, to_sign = {0}, signature = {0};
    craft_attrs(c, digest, type, &attrs);
    mu_buf_put_bytes(&to_sign, c->no_attrs ? content() : kit_bytes_of(&attrs));
    if (c->unsorted) { /* signs the DER order, sends another */
        struct mu_der set;
        assert_true(mu_der_only(kit_bytes_of(&attrs), MU_DER_SET, &set));
        mu_buf_reset(&to_sign);
        size_t mark = mu_der_open(&to_sign, MU_DER_SET);
        mu_buf_put_bytes(&to_sign, set.value);
        mu_der_close_set_of(&to_sign, mark);
        assert_false(mu_bytes_equal(kit_bytes_of(&to_sign), kit_bytes_of(&attrs)));
    }
    kit_ok(mu_pki_key_sign(key, sig_digest, kit_bytes_of(&to_sign), &signature, kit_err_));
    size_t m[10];
    m[0] = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, MU_OID_SIGNED_DATA);
    m[1] = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
    m[2] = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_int(out, 1);
    m[3] = mu_der_open(out, MU_DER_SET);
    mu_pki_digest_encode(out, c->listed ? c->listed : digest);
    mu_der_close(out, m[3]);
    m[3] = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, type);
    m[4] = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
    mu_der_put(out, MU_DER_OCTET_STRING, content());
    mu_der_close(out, m[4]);
    mu_der_close(out, m[3]);
    mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(0), cert->der);
    m[3] = mu_der_open(out, MU_DER_SET);
    m[4] = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_int(out, 1);
    m[5] = mu_der_open(out, MU_DER_SEQUENCE);
    mu_buf_put_bytes(out, cert->issuer);
    mu_der_put(out, MU_DER_INTEGER, c->serial.p ? c->serial : cert->serial);
    mu_der_close(out, m[5]);
    mu_pki_digest_encode(out, digest);
    if (!c->no_attrs) {
        mu_buf_put_byte(out, 0xa0);
        mu_buf_put(out, attrs.p + 1, attrs.n - 1);
    }
    mu_pki_key_sign_alg(key, sig_digest, out);
    mu_der_put(out, MU_DER_OCTET_STRING, kit_bytes_of(&signature));
    for (int i = 4; i >= 0; i--)
        mu_der_close(out, m[i]);
    assert_false(out->failed);
    mu_buf_clear(&attrs);
    mu_buf_clear(&to_sign);
    mu_buf_clear(&signature);
    mu_pki_cert_free(cert);
}

static void signed_attributes_must_fit_the_content(void **state)
{
    static const struct {
        struct craft craft;
        enum mu_code decode, verify;
        const char *says;
    } rows[] = {
        {{.no_type = false}, MU_OK, MU_OK, ""},
        {{.unsorted = true}, MU_OK, MU_OK, ""}, /* COM-04: sorted is what counts */
        {{.no_type = true}, MU_OK, MU_AUTH, "contentType"}, /* COM-03 */
        {{.type_twice = true}, MU_OK, MU_INPUT, "not exactly one value"},
        {{.type_attr = {(const uint8_t *)"\x06\x01\x2a", 3}}, MU_OK, MU_AUTH, "contentType"},
        {{.type_attr = {(const uint8_t *)"\x06\x01\x2a\x06\x01\x2a", 6}}, MU_OK, MU_INPUT,
            "not exactly one value"},
        {{.no_digest = true}, MU_OK, MU_AUTH, "messageDigest"},
        {{.digest_attr = {(const uint8_t *)"\x04\x01\x2a", 3}}, MU_OK, MU_AUTH, "messageDigest"},
        {{.listed = MU_PKI_SHA512}, MU_INPUT, MU_OK, "digestAlgorithms"}, /* COM-06 */
        {{.sig_digest = MU_PKI_SHA512}, MU_OK, MU_AUTH, "different digests"},
        {{.no_attrs = true}, MU_OK, MU_OK, ""},
        {{.no_attrs = true, .content_type = "1.2.3.4"}, MU_OK, MU_AUTH, "no signedAttrs"},
        {{.digest = MU_PKI_SHA1}, MU_OK, MU_UNSUPPORTED, "weak or legacy"},
        {{.digest = MU_PKI_MD5}, MU_OK, MU_UNSUPPORTED, "weak or legacy"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        struct mu_pki_signed s = {0};
        craft(&rows[i].craft, &der);
        enum mu_code rc = mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err());
        if (rc != rows[i].decode || (rc != MU_OK && !kit_says(rows[i].says)))
            fail_msg("row %zu: decode gives %d", i, (int)rc);
        if (rc == MU_OK) {
            rc = mu_pki_signed_verify(&s, s.certs.v[0], false, kit_err());
            if (rc != rows[i].verify || (rc != MU_OK && !kit_says(rows[i].says)))
                fail_msg("row %zu: verify gives %d", i, (int)rc);
        }
        if (rc == MU_UNSUPPORTED)
            kit_ok(mu_pki_signed_verify(&s, s.certs.v[0], true, kit_err_));
        mu_pki_signed_clear(&s);
        mu_buf_clear(&der);
    }
}

static void a_leading_zero_in_the_serial_is_forgiven(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_signed s;
    craft(&(struct craft){.serial = {(const uint8_t *)"\x00\x00\x12\x34", 4}}, &der);
    kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
    assert_non_null(mu_pki_signed_signer(&s)); /* 0x1234 */
    mu_pki_signed_clear(&s);
    mu_buf_clear(&der);
    craft(&(struct craft){.serial = {(const uint8_t *)"\x12\x35", 2}}, &der);
    kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
    assert_null(mu_pki_signed_signer(&s));
    mu_pki_signed_clear(&s);
    mu_buf_clear(&der);
}

/* ---- damage ---- */

static void a_changed_message_does_not_verify(void **state)
{
    static const char attr_value[] = "\x13\x05"
                                     "19abc";
    const struct mu_pki_attr attr = {"2.16.840.1.113733.1.9.2", mu_bytes(attr_value, 7)};
    struct mu_buf der = {0};
    encode("rsa:2048",
        &(struct mu_pki_signed_params){.content = content(), .attrs = &attr, .attr_n = 1}, &der);
    struct mu_bytes whole = kit_bytes_of(&der);
    const size_t places[] = {
        kit_find(whole, content_text, 8),  /* content */
        kit_find(whole, "19abc", 5),       /* signed attribute */
        der.n - 10,                        /* signature */
    };
    for (size_t i = 0; i < 3; i++) {
        struct mu_pki_signed s;
        der.p[places[i]] ^= 1;
        kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
        struct mu_err err = {0};
        assert_int_equal(mu_pki_signed_verify(&s, s.certs.v[0], false, &err), MU_AUTH);
        assert_int_equal(err.reason, MU_REFUSE_SIGNATURE);
        assert_int_equal(ERR_peek_error(), 0);
        der.p[places[i]] ^= 1;
        mu_pki_signed_clear(&s);
    }
    mu_buf_clear(&der);
}

static void another_key_does_not_verify(void **state)
{
    static const char *const others[] = {"rsa:2048", "ec:P-256", "ed25519"};
    struct mu_buf der = {0};
    struct mu_pki_signed s;
    encode("rsa:2048", &(struct mu_pki_signed_params){.content = content()}, &der);
    kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
    for (size_t i = 0; i < 3; i++) {
        struct mu_pki_cert *other =
            kit_cert(&(struct kit_cert){.subject = "/CN=signer", .key = kit_key(others[i], 1)});
        assert_int_equal(mu_pki_signed_verify(&s, other, false, kit_err()), MU_AUTH);
        mu_pki_cert_free(other);
    }
    mu_pki_signed_clear(&s);
    mu_buf_clear(&der);
}

static void unsigned_messages_do_not_verify(void **state)
{
    struct mu_buf der = {0};
    struct mu_pki_signed s;
    struct mu_pki_cert *cert = signer("ec:P-256");
    struct mu_pki_certs certs = {0};
    kit_ok(mu_pki_certs_add(&certs, cert, kit_err_));
    mu_pki_certs_only_encode(&certs, mu_bytes(NULL, 0), &der);
    kit_ok(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err_));
    assert_int_equal(s.signer_count, 0);
    assert_null(mu_pki_signed_signer(&s));
    assert_int_equal(mu_pki_signed_verify(&s, cert, false, kit_err()), MU_AUTH);
    mu_pki_signed_clear(&s);
    mu_pki_certs_clear(&certs);
    mu_pki_cert_free(cert);
    mu_buf_clear(&der);
}

static void truncated_and_prolonged_messages_are_refused(void **state)
{
    struct mu_buf der = {0}, ber = {0};
    struct mu_pki_signed s = {0};
    encode("ec:P-256", &(struct mu_pki_signed_params){.content = content()}, &der);
    openssl_encode(&(struct openssl_sign){"ec:P-256", 0, true, false}, EVP_sha256(), &ber);
    for (size_t n = 0; n < der.n; n++)
        assert_int_equal(mu_pki_signed_decode(mu_bytes(der.p, n), &s, kit_err()), MU_INPUT);
    for (size_t n = 0; n < ber.n; n++)
        assert_int_not_equal(mu_pki_signed_decode(mu_bytes(ber.p, n), &s, NULL), MU_OK);
    mu_buf_put_byte(&der, 0); /* COM-15 */
    mu_buf_put_byte(&ber, 0);
    assert_int_equal(mu_pki_signed_decode(kit_bytes_of(&der), &s, kit_err()), MU_INPUT);
    assert_int_equal(mu_pki_signed_decode(kit_bytes_of(&ber), &s, kit_err()), MU_INPUT);
    assert_null(s.der.p);
    mu_buf_clear(&der);
    mu_buf_clear(&ber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_verifies_what_we_make),
        cmocka_unit_test(ed25519_signs_with_sha512),
        cmocka_unit_test(versions_follow_the_content_type),
        cmocka_unit_test(signed_attributes_are_sorted),
        cmocka_unit_test(absent_content_is_hashed_as_nothing),
        cmocka_unit_test(messages_of_openssl_are_read_and_verified),
        cmocka_unit_test(vectors_of_the_command_line_verify),
        cmocka_unit_test(two_signers_are_refused),
        cmocka_unit_test(signed_attributes_must_fit_the_content),
        cmocka_unit_test(a_leading_zero_in_the_serial_is_forgiven),
        cmocka_unit_test(a_changed_message_does_not_verify),
        cmocka_unit_test(another_key_does_not_verify),
        cmocka_unit_test(unsigned_messages_do_not_verify),
        cmocka_unit_test(truncated_and_prolonged_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
