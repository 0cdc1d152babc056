/*
 * RSA keys from their numbers. OpenSSL's generic decoders and encoders look through everything its
 * providers offer each time they are asked, which costs more than a signature; an RSA key is a few
 * integers, and an enrollment reads several.
 */
#include <openssl/core_names.h>

#include "pki/pki_internal.h"

enum {
    MODULUS_MAX = 2048,    /* octets: OpenSSL's own limit of 16384 bits */
    PUBLIC_MAX = 8,        /* octets: a longer public exponent only burns time */
    PUBLIC_NUMBERS = 2,    /* n, e */
    PRIVATE_NUMBERS = 8,   /* n, e, d, p, q and what the Chinese remainders need */
};

/* In the order of RSAPrivateKey (RFC 8017 A.1.2), which begins like RSAPublicKey. */
static const char *const names[PRIVATE_NUMBERS] = {
    OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D,
    OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

/* OSSL_PARAM wants integers in the machine's order. 0: zero, negative or too long. */
static size_t native_order(struct mu_bytes big_endian, uint8_t *out, size_t max)
{
    if (big_endian.n && big_endian.p[0] & 0x80)
        return 0;
    while (big_endian.n && big_endian.p[0] == 0)
        big_endian = mu_bytes(big_endian.p + 1, big_endian.n - 1);
    if (big_endian.n > max)
        return 0;
    for (size_t i = 0; i < big_endian.n; i++)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        out[big_endian.n - 1 - i] = big_endian.p[i];
#else
        out[i] = big_endian.p[i];
#endif
    return big_endian.n;
}

static bool is_odd(struct mu_bytes big_endian)
{
    return big_endian.n && big_endian.p[big_endian.n - 1] & 1;
}

static EVP_PKEY *from_params(int selection, OSSL_PARAM *params)
{
    EVP_PKEY *evp = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &evp, selection, params) != 1) {
        EVP_PKEY_free(evp);
        evp = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return evp;
}

/* The key of count INTEGERs, which are all there is in. */
static EVP_PKEY *from_numbers(struct mu_bytes in, size_t count, int selection)
{
    uint8_t numbers[PRIVATE_NUMBERS][MODULUS_MAX];
    OSSL_PARAM params[PRIVATE_NUMBERS + 1];
    EVP_PKEY *evp = NULL;
    size_t used[PRIVATE_NUMBERS] = {0}, i;
    for (i = 0; i < count; i++) {
        struct mu_der el;
        if (!mu_der_get(&in, MU_DER_INTEGER, &el))
            goto out;
        /* an even modulus or exponent is none, and OpenSSL would find out only when it is used */
        if (i < PUBLIC_NUMBERS && !is_odd(el.value))
            goto out;
        used[i] = native_order(el.value, numbers[i], i == 1 ? PUBLIC_MAX : MODULUS_MAX);
        if (used[i] == 0)
            goto out;
        if (i == 1 && used[i] == 1 && numbers[i][0] == 1) /* everybody could sign with it */
            goto out;
        params[i] = OSSL_PARAM_construct_BN(names[i], numbers[i], used[i]);
    }
    params[i] = OSSL_PARAM_construct_end();
    if (in.n == 0)
        evp = from_params(selection, params);
out:
    for (i = PUBLIC_NUMBERS; i < count; i++)
        mu_bytes_wipe(numbers[i], used[i]);
    return evp;
}

EVP_PKEY *mu_pki_rsa_public(struct mu_bytes bits)
{
    struct mu_der seq;
    if (!mu_der_only(bits, MU_DER_SEQUENCE, &seq))
        return NULL;
    return from_numbers(seq.value, PUBLIC_NUMBERS, EVP_PKEY_PUBLIC_KEY);
}

/* Version 0 off the cursor: two primes in RSAPrivateKey, no public key in PrivateKeyInfo. */
static bool version_0(struct mu_bytes *in)
{
    struct mu_der version;
    int64_t v;
    return mu_der_get(in, MU_DER_INTEGER, &version) && mu_der_int(version.value, &v) && v == 0;
}

/* The RSAPrivateKey inside PrivateKeyInfo (RFC 5208 5); der itself if it is none. */
static bool unwrap(struct mu_bytes der, struct mu_bytes *out)
{
    struct mu_der seq, alg, oid, key, attributes;
    if (!mu_der_only(der, MU_DER_SEQUENCE, &seq) || !version_0(&seq.value))
        return false;
    *out = der;
    if (mu_der_peek(seq.value) != MU_DER_SEQUENCE)
        return true;
    if (!mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg) || !mu_der_get(&alg.value, MU_DER_OID, &oid)
        || !mu_der_oid_is(oid.value, MU_OID_RSA))
        return false;
    if (!mu_der_get(&seq.value, MU_DER_OCTET_STRING, &key)
        || !mu_der_optional(&seq.value, MU_DER_CONTEXT_CONSTRUCTED(0), &attributes) || seq.value.n)
        return false;
    *out = key.value;
    return true;
}

/* SubjectPublicKeyInfo (RFC 3279 2.3.1) of the key whose numbers begin at in. */
static void put_spki(struct mu_buf *out, struct mu_bytes in)
{
    struct mu_buf bits = {0};
    struct mu_der el;
    size_t seq, alg, numbers = mu_der_open(&bits, MU_DER_SEQUENCE);
    for (int i = 0; i < PUBLIC_NUMBERS; i++)
        if (mu_der_get(&in, MU_DER_INTEGER, &el))
            mu_der_put_unsigned(&bits, el.value);
    mu_der_close(&bits, numbers);
    out->failed = out->failed || bits.failed;
    seq = mu_der_open(out, MU_DER_SEQUENCE);
    alg = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, MU_OID_RSA);
    mu_der_put_null(out);
    mu_der_close(out, alg);
    mu_der_put_bits(out, mu_buf_bytes(&bits));
    mu_der_close(out, seq);
    mu_buf_clear(&bits);
}

EVP_PKEY *mu_pki_rsa_private(struct mu_bytes der, struct mu_buf *spki)
{
    struct mu_bytes key;
    struct mu_der seq;
    if (!unwrap(der, &key) || !mu_der_only(key, MU_DER_SEQUENCE, &seq) || !version_0(&seq.value))
        return NULL;
    EVP_PKEY *evp = from_numbers(seq.value, PRIVATE_NUMBERS, EVP_PKEY_KEYPAIR);
    if (evp)
        put_spki(spki, seq.value);
    return evp;
}
