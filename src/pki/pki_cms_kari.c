/* KeyAgreeRecipientInfo (RFC 5652 6.2.2, RFC 5753): ECDH of one key with one key, X9.63 KDF, AES key
 * wrap. Made ephemeral-static with the key inside; taken also from an originator who is a
 * certificate (RFC 9483 4.1.6.2). */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>

#include "pki/pki_aes_wrap.h"
#include "pki/pki_cms_recipient.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"

enum { SHARED_MAX = 80 }; /* P-521 gives 66 octets */

static const struct scheme_row {
    const char *oid;
    enum mu_pki_digest digest;
} schemes[] = {
    {"1.3.132.1.11.1", MU_PKI_SHA256}, /* dhSinglePass-stdDH-*kdf-scheme */
    {"1.3.132.1.11.2", MU_PKI_SHA384},
    {"1.3.132.1.11.3", MU_PKI_SHA512},
    {"1.3.132.1.11.0", MU_PKI_SHA224},
    {"1.3.133.16.840.63.0.2", MU_PKI_SHA1}, /* what OpenSSL takes if nobody asks for more */
};
enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

static enum mu_code bad(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "cms: malformed EnvelopedData: %s (RFC 5652 6.2.2)", what);
}

static enum mu_code does_not_fit(struct mu_err *err)
{
    ERR_clear_error();
    return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE, "cms: the key does not fit");
}

/* ---- decoding ---- */

static bool issuer_serial_decode(struct mu_bytes in, struct mu_bytes *issuer,
    struct mu_bytes *serial)
{
    struct mu_der name, number;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &name) || !mu_der_get(&in, MU_DER_INTEGER, &number)
        || in.n)
        return false;
    *issuer = name.whole;
    *serial = number.value;
    return true;
}

static bool originator_decode(struct mu_bytes in, struct mu_pki_enveloped *e)
{
    struct mu_der who, alg, bits;
    if (!mu_der_next(&in, &who) || in.n)
        return false;
    switch (who.tag) {
    case MU_DER_SEQUENCE:
        return issuer_serial_decode(who.value, &e->originator_issuer, &e->originator_serial);
    case MU_DER_CONTEXT(0):
        e->originator_skid = who.value;
        return true;
    case MU_DER_CONTEXT_CONSTRUCTED(1):
        if (!mu_der_get(&who.value, MU_DER_SEQUENCE, &alg)
            || !mu_der_get(&who.value, MU_DER_BIT_STRING, &bits) || who.value.n
            || !mu_der_bits(bits.value, &e->originator_bits))
            return false;
        e->originator_alg = alg.value;
        return true;
    default:
        return false;
    }
}

static bool rid_decode(struct mu_bytes *in, struct mu_pki_enveloped *e)
{
    struct mu_der rid, skid;
    if (!mu_der_next(in, &rid))
        return false;
    if (rid.tag == MU_DER_SEQUENCE)
        return issuer_serial_decode(rid.value, &e->rid_issuer, &e->rid_serial);
    if (rid.tag != MU_DER_CONTEXT_CONSTRUCTED(0)
        || !mu_der_get(&rid.value, MU_DER_OCTET_STRING, &skid))
        return false;
    e->rid_skid = skid.value;
    return true;
}

enum mu_code mu_pki_kari_decode(struct mu_bytes in, struct mu_pki_enveloped *e, struct mu_err *err)
{
    struct mu_der el, who, ukm, octets, keys, one;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el)
        || !mu_der_get(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &who)
        || !originator_decode(who.value, e))
        return bad("originator", err);
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &ukm))
        return bad("ukm", err);
    if (ukm.whole.p) {
        if (!mu_der_only(ukm.value, MU_DER_OCTET_STRING, &octets))
            return bad("ukm", err);
        e->ukm = octets.value;
    }
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return bad("keyEncryptionAlgorithm", err);
    e->key_alg = el.whole;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &keys) || in.n
        || !mu_der_get(&keys.value, MU_DER_SEQUENCE, &one))
        return bad("recipientEncryptedKeys", err);
    if (keys.value.n)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cms: more than one recipient (RFC 8894 3.2)");
    if (!rid_decode(&one.value, e) || !mu_der_get(&one.value, MU_DER_OCTET_STRING, &el)
        || one.value.n)
        return bad("recipientEncryptedKeys", err);
    e->encrypted_key = el.value;
    e->kind = MU_PKI_RECIPIENT_KARI;
    return MU_OK;
}

/* ---- key derivation ---- */

/* ECC-CMS-SharedInfo (RFC 5753 7.2). */
static void shared_info_put(struct mu_buf *b, struct mu_bytes wrap_alg, struct mu_bytes ukm,
    size_t kek_size)
{
    const uint8_t bits[4] = {0, 0, (uint8_t)(kek_size * 8 >> 8), (uint8_t)(kek_size * 8)};
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_buf_put_bytes(b, wrap_alg);
    if (ukm.p) {
        size_t tag = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
        mu_der_put(b, MU_DER_OCTET_STRING, ukm);
        mu_der_close(b, tag);
    }
    size_t tag = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(2));
    mu_der_put(b, MU_DER_OCTET_STRING, mu_bytes(bits, 4));
    mu_der_close(b, tag);
    mu_der_close(b, seq);
}

static size_t agree(EVP_PKEY *own, EVP_PKEY *peer, uint8_t out[SHARED_MAX])
{
    size_t n = SHARED_MAX;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    bool ok = ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1
        && EVP_PKEY_derive(ctx, out, &n) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok ? n : 0;
}

static bool x963(enum mu_pki_digest digest, struct mu_bytes secret, struct mu_bytes info,
    uint8_t *out, size_t n)
{
    char md[16];
    snprintf(md, sizeof(md), "%s", mu_pki_digest_word(digest));
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "X963KDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, md, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.p, secret.n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.p, info.n),
        OSSL_PARAM_construct_end(),
    };
    bool ok = ctx && EVP_KDF_derive(ctx, out, n, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

/* The key encryption key of two keys. */
static bool derive(EVP_PKEY *own, EVP_PKEY *peer, enum mu_pki_digest digest,
    struct mu_bytes wrap_alg, struct mu_bytes ukm, uint8_t *kek, size_t kek_size)
{
    uint8_t shared[SHARED_MAX];
    struct mu_buf info = {.max = 4096};
    size_t n = agree(own, peer, shared);
    shared_info_put(&info, wrap_alg, ukm, kek_size);
    bool ok = n && !info.failed
        && x963(digest, mu_bytes(shared, n), mu_buf_bytes(&info), kek, kek_size);
    mu_bytes_wipe(shared, sizeof(shared));
    mu_buf_clear(&info);
    return ok;
}

/* ---- opening ---- */

struct scheme {
    enum mu_pki_digest digest;
    struct mu_bytes wrap_alg;
    size_t kek_size;
};

static bool scheme_decode(struct mu_bytes key_alg, struct scheme *out)
{
    struct mu_der seq, oid, wrap, wrap_oid;
    if (!mu_der_only(key_alg, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_OID, &oid)
        || !mu_der_only(seq.value, MU_DER_SEQUENCE, &wrap))
        return false;
    out->wrap_alg = wrap.whole;
    if (!mu_der_get(&wrap.value, MU_DER_OID, &wrap_oid))
        return false;
    out->kek_size = mu_pki_aes_wrap_size(wrap_oid.value);
    for (size_t i = 0; i < SCHEMES; i++) {
        if (mu_der_oid_is(oid.value, schemes[i].oid)) {
            out->digest = schemes[i].digest;
            return out->kek_size != 0;
        }
    }
    return false;
}

/* The algorithm of our own key, whose curve the originator's key shares where it names none
 * (RFC 5753 3.1.1). */
static enum mu_code originator_key(const struct mu_pki_enveloped *e, const struct mu_pki_key *own,
    struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_der seq, alg, oid, curve;
    struct mu_buf spki = {.max = 1024};
    struct mu_bytes own_spki = mu_pki_key_spki(own), params = e->originator_alg;
    if (!mu_der_get(&params, MU_DER_OID, &oid) || !mu_der_oid_is(oid.value, MU_OID_EC)
        || !mu_der_only(own_spki, MU_DER_SEQUENCE, &seq)
        || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg))
        return does_not_fit(err);
    if (mu_der_only(params, MU_DER_OID, &curve) && !mu_bytes_equal(e->originator_alg, alg.value))
        return does_not_fit(err);
    size_t whole = mu_der_open(&spki, MU_DER_SEQUENCE);
    mu_buf_put_bytes(&spki, alg.whole);
    mu_der_put_bits(&spki, e->originator_bits);
    mu_der_close(&spki, whole);
    enum mu_code rc = mu_buf_check(&spki, "originator's key", err);
    if (rc == MU_OK && mu_pki_key_from_spki(mu_buf_bytes(&spki), out, NULL) != MU_OK)
        rc = does_not_fit(err);
    mu_buf_clear(&spki);
    return rc;
}

static struct mu_pki_cert *originator_cert(const struct mu_pki_enveloped *e,
    const struct mu_pki_certs *list)
{
    for (size_t i = 0; list && i < list->n; i++) {
        struct mu_pki_cert *cert = list->v[i];
        if (e->originator_skid.p ? mu_bytes_equal(e->originator_skid, cert->exts.skid)
                                 : mu_pki_serial_equal(e->originator_serial, cert->serial)
                    && mu_pki_name_equal(e->originator_issuer, cert->issuer))
            return cert;
    }
    return NULL;
}

static enum mu_code find_originator(const struct mu_pki_enveloped *e, const struct mu_pki_key *own,
    const struct mu_pki_certs *list, struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_pki_key *key;
    if (e->originator_bits.p)
        return originator_key(e, own, out, err);
    struct mu_pki_cert *cert = originator_cert(e, list);
    if (!cert)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: the originator's certificate is not known (RFC 5652 6.2.2)");
    enum mu_code rc = mu_pki_cert_key(cert, &key, err);
    if (rc == MU_OK)
        *out = mu_pki_key_ref(key);
    return rc;
}

static bool is_ec(const struct mu_pki_key *key)
{
    struct mu_pki_key_spec spec;
    mu_pki_key_spec_of(key, &spec);
    return spec.type == MU_PKI_KEY_EC;
}

enum mu_code mu_pki_kari_unwrap(const struct mu_pki_enveloped *e, const struct mu_pki_key *key,
    const struct mu_pki_certs *originators, struct mu_secret *content_key, struct mu_err *err)
{
    struct scheme scheme;
    struct mu_pki_key *peer = NULL;
    uint8_t kek[32];
    if (!is_ec(key) || !mu_pki_key_has_private(key))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: this key cannot agree on a key, EC keys can (RFC 5753)");
    if (!scheme_decode(e->key_alg, &scheme))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: unknown algorithms of key agreement (RFC 5753 7.1)");
    enum mu_code rc = find_originator(e, key, originators, &peer, err);
    if (rc != MU_OK)
        return rc;
    bool ok = is_ec(peer)
        && derive(mu_pki_key_evp(key), mu_pki_key_evp(peer), scheme.digest, scheme.wrap_alg, e->ukm,
            kek, scheme.kek_size)
        && mu_pki_aes_unwrap(kek, scheme.kek_size, e->encrypted_key, content_key)
        && content_key->n == mu_pki_cipher_key_size(e->cipher);
    mu_bytes_wipe(kek, sizeof(kek));
    mu_pki_key_free(peer);
    return ok ? MU_OK : does_not_fit(err);
}

/* ---- making ---- */

static void originator_put(struct mu_buf *b, const struct mu_pki_key *ephemeral)
{
    struct mu_der seq, alg, bits;
    struct mu_bytes spki = mu_pki_key_spki(ephemeral);
    size_t tag = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    size_t key = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(1));
    size_t id = mu_der_open(b, MU_DER_SEQUENCE); /* parameters absent, as OpenSSL has it */
    mu_der_put_oid(b, MU_OID_EC);
    mu_der_close(b, id);
    if (mu_der_only(spki, MU_DER_SEQUENCE, &seq) && mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg)
        && mu_der_get(&seq.value, MU_DER_BIT_STRING, &bits))
        mu_buf_put_bytes(b, bits.whole);
    else
        b->failed = true;
    mu_der_close(b, key);
    mu_der_close(b, tag);
}

static void rid_put(struct mu_buf *b, const struct mu_pki_enveloped_params *p)
{
    const struct mu_pki_cert *cert = p->recipient;
    bool by_skid = p->rid_by_skid && cert->exts.skid.n;
    size_t rid = mu_der_open(b, by_skid ? MU_DER_CONTEXT_CONSTRUCTED(0) : MU_DER_SEQUENCE);
    if (by_skid) {
        mu_der_put(b, MU_DER_OCTET_STRING, cert->exts.skid);
    } else {
        mu_buf_put_bytes(b, cert->issuer);
        mu_der_put(b, MU_DER_INTEGER, cert->serial);
    }
    mu_der_close(b, rid);
}

static void info_put(struct mu_buf *b, const struct mu_pki_enveloped_params *p,
    const struct mu_pki_key *ephemeral, const char *scheme, struct mu_bytes wrap_alg,
    struct mu_bytes wrapped)
{
    size_t info = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(1));
    mu_der_put_int(b, 3); /* COM-11 */
    originator_put(b, ephemeral);
    size_t alg = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, scheme);
    mu_buf_put_bytes(b, wrap_alg);
    mu_der_close(b, alg);
    size_t keys = mu_der_open(b, MU_DER_SEQUENCE), one = mu_der_open(b, MU_DER_SEQUENCE);
    rid_put(b, p);
    mu_der_put(b, MU_DER_OCTET_STRING, wrapped);
    mu_der_close(b, one);
    mu_der_close(b, keys);
    mu_der_close(b, info);
}

/* The hash as strong as the curve (RFC 5753 8). */
static const struct scheme_row *scheme_for(const struct mu_pki_key_spec *spec)
{
    return spec->bits > 384 ? &schemes[2] : spec->bits > 256 ? &schemes[1] : &schemes[0];
}

enum mu_code mu_pki_kari_put(struct mu_buf *b, const struct mu_pki_enveloped_params *params,
    const struct mu_pki_key *key, struct mu_bytes content_key, struct mu_err *err)
{
    struct mu_pki_key *ephemeral = NULL;
    struct mu_pki_key_spec spec;
    struct mu_buf wrap_alg = {.max = 64}, wrapped = {.max = 128};
    size_t size = mu_pki_aes_wrap_size_for(params->cipher);
    uint8_t kek[32];
    mu_pki_key_spec_of(key, &spec);
    const struct scheme_row *scheme = scheme_for(&spec);
    enum mu_code rc = mu_pki_key_generate(&spec, &ephemeral, err);
    if (rc != MU_OK)
        return rc;
    mu_pki_aes_wrap_put(&wrap_alg, size);
    if (derive(mu_pki_key_evp(ephemeral), mu_pki_key_evp(key), scheme->digest,
            mu_buf_bytes(&wrap_alg), mu_bytes(NULL, 0), kek, size)
        && mu_pki_aes_wrap(kek, size, content_key, &wrapped))
        info_put(b, params, ephemeral, scheme->oid, mu_buf_bytes(&wrap_alg), mu_buf_bytes(&wrapped));
    else
        rc = mu_pki_ossl_fail(err, MU_INTERNAL, MU_REFUSE_UNDELIVERABLE,
            "cms: cannot agree on a key with the recipient");
    mu_bytes_wipe(kek, sizeof(kek));
    mu_pki_key_free(ephemeral);
    mu_buf_clear(&wrap_alg);
    mu_buf_clear(&wrapped);
    return rc;
}
