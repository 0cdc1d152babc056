/* AsymmetricKeyPackage in SignedData in EnvelopedData. */
#include "pki/pki_key_package.h"

#include <openssl/err.h>

#include "base/limits.h"
#include "pki/pki_internal.h"

#define OID_KEY_PACKAGE "2.16.840.1.101.2.1.2.78.5" /* id-ct-KP-aKeyPackage */

static enum mu_code bad(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "key package: %s (RFC 5958)", what);
}

/* ---- AsymmetricKeyPackage ---- */

/* PrivateKeyInfo as OpenSSL writes it: version 0, algorithm, privateKey. */
static enum mu_code private_der(const struct mu_pki_key *key, struct mu_buf *out, struct mu_err *err)
{
    if (!mu_pki_key_has_private(key) || mu_pki_key_is_token(key))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNDELIVERABLE,
            "key package: this key cannot be given away");
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(mu_pki_key_evp(key));
    uint8_t *der = NULL;
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : 0;
    PKCS8_PRIV_KEY_INFO_free(info); /* clears what it holds */
    if (n <= 0)
        return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "key package: cannot encode");
    mu_buf_put(out, der, (size_t)n);
    OPENSSL_clear_free(der, (size_t)n);
    return mu_buf_check(out, "private key", err);
}

/* Content of the BIT STRING of a SubjectPublicKeyInfo, the octet of unused bits in front. */
static bool public_bits(struct mu_bytes spki, struct mu_bytes *out)
{
    struct mu_der seq, alg, bits;
    if (!mu_der_only(spki, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg)
        || !mu_der_get(&seq.value, MU_DER_BIT_STRING, &bits))
        return false;
    *out = bits.value;
    return true;
}

static enum mu_code encode(const struct mu_pki_key *key, bool with_public, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf info = {.max = MU_LIMIT_MESSAGE, .secret = true};
    struct mu_bytes bits;
    struct mu_der seq, version, alg, octets;
    enum mu_code rc = private_der(key, &info, err);
    if (rc == MU_OK
        && (!mu_der_only(mu_buf_bytes(&info), MU_DER_SEQUENCE, &seq)
            || !mu_der_get(&seq.value, MU_DER_INTEGER, &version)
            || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg)
            || !mu_der_get(&seq.value, MU_DER_OCTET_STRING, &octets)
            || !public_bits(mu_pki_key_spki(key), &bits)))
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "key package: cannot encode");
    if (rc == MU_OK) {
        size_t package = mu_der_open(out, MU_DER_SEQUENCE), one = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put_int(out, with_public); /* v2 if publicKey is there */
        mu_buf_put_bytes(out, alg.whole);
        mu_buf_put_bytes(out, octets.whole);
        if (with_public)
            mu_der_put(out, MU_DER_CONTEXT(1), bits);
        mu_der_close(out, one);
        mu_der_close(out, package);
        rc = mu_buf_check(out, "key package", err);
    }
    mu_buf_clear(&info);
    return rc;
}

enum mu_code mu_pki_key_package_encode(
    const struct mu_pki_key *key, struct mu_buf *out, struct mu_err *err)
{
    return encode(key, true, out, err);
}

/* OpenSSL reads version 0 only: the key again as such. */
static enum mu_code key_of(struct mu_bytes alg, struct mu_bytes octets, struct mu_pki_key **out,
    struct mu_err *err)
{
    struct mu_buf info = {.max = MU_LIMIT_MESSAGE, .secret = true};
    size_t seq = mu_der_open(&info, MU_DER_SEQUENCE);
    mu_der_put_int(&info, 0);
    mu_buf_put_bytes(&info, alg);
    mu_buf_put_bytes(&info, octets);
    mu_der_close(&info, seq);
    enum mu_code rc = mu_buf_check(&info, "private key", err);
    if (rc == MU_OK)
        rc = mu_pki_key_decode(mu_buf_bytes(&info), NULL, out, err);
    mu_buf_clear(&info);
    return rc;
}

enum mu_code mu_pki_key_package_decode(struct mu_bytes in, struct mu_pki_key **out,
    struct mu_err *err)
{
    struct mu_der package, one, version, alg, octets, el;
    struct mu_pki_key *key;
    struct mu_bytes bits;
    int64_t v;
    if (!mu_der_only(in, MU_DER_SEQUENCE, &package)
        || !mu_der_get(&package.value, MU_DER_SEQUENCE, &one))
        return bad("malformed", err);
    if (package.value.n)
        return bad("more than one key", err);
    if (!mu_der_get(&one.value, MU_DER_INTEGER, &version) || !mu_der_int(version.value, &v) || v < 0
        || v > 1 || !mu_der_get(&one.value, MU_DER_SEQUENCE, &alg)
        || !mu_der_get(&one.value, MU_DER_OCTET_STRING, &octets)
        || !mu_der_optional(&one.value, MU_DER_CONTEXT_CONSTRUCTED(0), &el)
        || !mu_der_optional(&one.value, MU_DER_CONTEXT(1), &el) || one.value.n)
        return bad("malformed OneAsymmetricKey", err);
    enum mu_code rc = key_of(alg.whole, octets.whole, &key, err);
    if (rc != MU_OK)
        return rc;
    if (el.whole.p
        && (!public_bits(mu_pki_key_spki(key), &bits) || !mu_bytes_equal(bits, el.value))) {
        mu_pki_key_free(key);
        return bad("the publicKey is another key's", err);
    }
    *out = key;
    return MU_OK;
}

/* ---- signed and enveloped ---- */

static enum mu_code sign(const struct mu_pki_key_package_params *p, struct mu_bytes package,
    struct mu_buf *out, struct mu_err *err)
{
    struct mu_pki_certs certs = {0};
    enum mu_code rc = mu_pki_certs_add(&certs, p->signer, err);
    for (size_t i = 0; rc == MU_OK && p->signer_chain && i < p->signer_chain->n; i++)
        if (!mu_pki_cert_equal(p->signer_chain->v[i], p->signer))
            rc = mu_pki_certs_add(&certs, p->signer_chain->v[i], err);
    const struct mu_pki_signed_params params = {.content = package,
        .content_type = OID_KEY_PACKAGE,
        .key = p->signer_key,
        .cert = p->signer,
        .certs = &certs,
        .sid_by_skid = true,
        .bare = true};
    if (rc == MU_OK)
        rc = mu_pki_signed_encode(&params, out, err);
    mu_pki_certs_clear(&certs);
    return rc;
}

enum mu_code mu_pki_key_package_make(const struct mu_pki_key_package_params *params,
    const struct mu_env *env, struct mu_buf *out, struct mu_err *err)
{
    struct mu_pki_enveloped_params to = params->to;
    struct mu_buf package = {.max = MU_LIMIT_MESSAGE, .secret = true};
    struct mu_buf inner = {.max = MU_LIMIT_MESSAGE, .secret = true};
    enum mu_code rc;
    to.content_type = MU_OID_SIGNED_DATA;
    if ((rc = encode(params->key, !params->without_public, &package, err)) == MU_OK
        && (rc = sign(params, mu_buf_bytes(&package), &inner, err)) == MU_OK)
        rc = mu_pki_enveloped_encode(&to, mu_buf_bytes(&inner), env, out, err);
    mu_buf_clear(&package);
    mu_buf_clear(&inner);
    return rc;
}

static enum mu_code decrypt(const struct mu_pki_enveloped *e,
    const struct mu_pki_key_package_opener *with, struct mu_buf *out, struct mu_err *err)
{
    if (e->kind == MU_PKI_RECIPIENT_PWRI && with->password)
        return mu_pki_enveloped_open_password(e, with->password, with->allow_legacy, out, err);
    if (e->kind == MU_PKI_RECIPIENT_KEK && with->kek)
        return mu_pki_enveloped_open_kek(e, with->kek, out, err);
    if ((e->kind == MU_PKI_RECIPIENT_KTRI || e->kind == MU_PKI_RECIPIENT_KARI) && with->key)
        return mu_pki_enveloped_open_from(
            e, with->key, with->originators, with->allow_legacy, out, err);
    return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
        "key package: it is encrypted to something that is not at hand");
}

static enum mu_code open_signed(struct mu_bytes in, bool allow_legacy,
    struct mu_pki_key_package *out, struct mu_err *err)
{
    struct mu_pki_signed s;
    enum mu_code rc = mu_pki_signed_decode_bare(in, &s, err);
    if (rc != MU_OK)
        return rc;
    struct mu_pki_cert *signer = mu_pki_signed_signer(&s);
    if (!mu_der_oid_is(s.content_type, OID_KEY_PACKAGE) || !s.content.p)
        rc = bad("the signed content is no key package", err);
    else if (!signer)
        rc = mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "key package: the signer's certificate is not in it (RFC 9483 4.1.6)");
    else
        rc = mu_pki_signed_verify(&s, signer, allow_legacy, err);
    if (rc == MU_OK)
        rc = mu_pki_key_package_decode(s.content, &out->key, err);
    if (rc == MU_OK) {
        out->signer = mu_pki_cert_ref(signer);
        out->certs = s.certs;
        s.certs = (struct mu_pki_certs){0};
    }
    s.der.secret = true;
    mu_pki_signed_clear(&s);
    return rc;
}

enum mu_code mu_pki_key_package_open(struct mu_bytes in,
    const struct mu_pki_key_package_opener *with, struct mu_pki_key_package *out,
    struct mu_err *err)
{
    struct mu_pki_enveloped e;
    struct mu_pki_key_package package = {0};
    struct mu_buf plain = {.max = MU_LIMIT_MESSAGE, .secret = true};
    enum mu_code rc = with->bare ? mu_pki_enveloped_decode_bare(in, &e, err)
                                 : mu_pki_enveloped_decode(in, &e, err);
    if (rc != MU_OK)
        return rc;
    rc = decrypt(&e, with, &plain, err);
    if (rc == MU_OK)
        rc = open_signed(mu_buf_bytes(&plain), with->allow_legacy, &package, err);
    if (rc == MU_OK)
        *out = package;
    mu_pki_enveloped_clear(&e);
    mu_buf_clear(&plain);
    return rc;
}

void mu_pki_key_package_clear(struct mu_pki_key_package *package)
{
    mu_pki_key_free(package->key);
    mu_pki_cert_free(package->signer);
    mu_pki_certs_clear(&package->certs);
    *package = (struct mu_pki_key_package){0};
}
