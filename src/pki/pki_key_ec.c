/*
 * EC private keys from their numbers, as pki_key_rsa.c does it for RSA: OpenSSL's generic decoder looks
 * through everything its providers offer each time it is asked, a fifth of an enrollment's instructions.
 */
#include <openssl/core_names.h>

#include "pki/pki_internal.h"

enum { SCALAR_MAX = 66, POINT_MAX = 133 }; /* octets, of P-521 */

static const struct curve {
    const char *oid, *name;
    size_t octets;
} curves[] = {
    {"1.2.840.10045.3.1.7", "P-256", 32},
    {"1.3.132.0.34", "P-384", 48},
    {"1.3.132.0.35", "P-521", 66},
};

static const struct curve *curve_find(struct mu_bytes oid)
{
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
        if (mu_der_oid_is(oid, curves[i].oid))
            return &curves[i];
    return NULL;
}

static bool version_is(struct mu_bytes *in, int64_t wanted)
{
    struct mu_der version;
    int64_t v;

    return mu_der_get(in, MU_DER_INTEGER, &version) && mu_der_int(version.value, &v) && v == wanted;
}

/* ECPrivateKey { 1, privateKey, parameters [0] OPTIONAL, publicKey [1] } (RFC 5915 3). *curve is that of
 * the wrapping, NULL where there is none. */
struct parts {
    const struct curve *curve;
    struct mu_bytes scalar, point;
};

static bool read_inner(struct mu_bytes der, struct parts *p)
{
    const struct curve *own = NULL;
    struct mu_der seq, el, params, point, bits;

    if (!mu_der_only(der, MU_DER_SEQUENCE, &seq) || !version_is(&seq.value, 1)
        || !mu_der_get(&seq.value, MU_DER_OCTET_STRING, &el)
        || !mu_der_optional(&seq.value, MU_DER_CONTEXT_CONSTRUCTED(0), &params)
        || !mu_der_get(&seq.value, MU_DER_CONTEXT_CONSTRUCTED(1), &point) || seq.value.n != 0
        || !mu_der_only(point.value, MU_DER_BIT_STRING, &bits))
        return false;
    if (params.whole.p != NULL) {
        struct mu_der oid;

        if (!mu_der_only(params.value, MU_DER_OID, &oid) || (own = curve_find(oid.value)) == NULL
            || (p->curve != NULL && p->curve != own))
            return false;
        p->curve = own;
    }
    p->scalar = el.value;
    if (bits.value.n < 2 || bits.value.p[0] != 0)
        return false;
    p->point = mu_bytes(bits.value.p + 1, bits.value.n - 1);
    return p->curve != NULL && p->scalar.n == p->curve->octets && p->point.n == 2 * p->curve->octets + 1
        && p->point.p[0] == 4; /* not compressed: as it stands in the SubjectPublicKeyInfo */
}

/* The ECPrivateKey inside PrivateKeyInfo (RFC 5958 2, RFC 5480 2.1.1), or bare. */
static bool read_parts(struct mu_bytes der, struct parts *p)
{
    struct mu_der seq, alg, oid, curve, key, more;

    if (!mu_der_only(der, MU_DER_SEQUENCE, &seq))
        return false;
    if (!version_is(&seq.value, 0))
        return read_inner(der, p);
    if (!mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg) || !mu_der_get(&alg.value, MU_DER_OID, &oid)
        || !mu_der_oid_is(oid.value, MU_OID_EC) || !mu_der_get(&alg.value, MU_DER_OID, &curve)
        || alg.value.n != 0 || (p->curve = curve_find(curve.value)) == NULL)
        return false;
    return mu_der_get(&seq.value, MU_DER_OCTET_STRING, &key)
        && mu_der_optional(&seq.value, MU_DER_CONTEXT_CONSTRUCTED(0), &more) && seq.value.n == 0
        && read_inner(key.value, p);
}

static EVP_PKEY *from_parts(const struct parts *p)
{
    char name[8];
    uint8_t scalar[SCALAR_MAX], point[POINT_MAX];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *evp = NULL;

    snprintf(name, sizeof name, "%s", p->curve->name);
    memcpy(point, p->point.p, p->point.n);
    for (size_t i = 0; i < p->scalar.n; i++) /* OSSL_PARAM wants integers in the machine's order */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        scalar[p->scalar.n - 1 - i] = p->scalar.p[i];
#else
        scalar[i] = p->scalar.p[i];
#endif
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, scalar, p->scalar.n),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, p->point.n),
        OSSL_PARAM_construct_end(),
    };
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &evp, EVP_PKEY_KEYPAIR, params) != 1) {
        EVP_PKEY_free(evp);
        evp = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    mu_bytes_wipe(scalar, sizeof scalar);
    return evp;
}

/* SubjectPublicKeyInfo (RFC 5480 2). */
static void put_spki(struct mu_buf *out, const struct parts *p)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE), alg = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put_oid(out, MU_OID_EC);
    mu_der_put_oid(out, p->curve->oid);
    mu_der_close(out, alg);
    mu_der_put_bits(out, p->point);
    mu_der_close(out, seq);
}

EVP_PKEY *mu_pki_ec_private(struct mu_bytes der, struct mu_buf *spki)
{
    struct parts p = {NULL, {0}, {0}};
    EVP_PKEY *evp;

    if (!read_parts(der, &p) || (evp = from_parts(&p)) == NULL)
        return NULL;
    put_spki(spki, &p);
    return evp;
}
