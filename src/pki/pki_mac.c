/* PasswordBasedMac and PBMAC1. */
#include "pki/pki_mac.h"

#include <openssl/err.h>

#include "pki/pki_internal.h"
#include "pki/pki_pbkdf2.h"

#define OID_PBM "1.2.840.113533.7.66.13"
#define OID_PBMAC1 "1.2.840.113549.1.5.14"

static enum mu_code malformed(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "mac: malformed %s", what);
}

static enum mu_code unsupported(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "mac: %s", what);
}

/* ---- parameters ---- */

static bool split(struct mu_bytes alg, struct mu_bytes *oid, struct mu_bytes *params)
{
    struct mu_der seq, el;
    if (!mu_der_only(alg, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_OID, &el))
        return false;
    *oid = el.value;
    *params = seq.value;
    return true;
}

bool mu_pki_mac_is(struct mu_bytes algorithm_identifier)
{
    struct mu_bytes oid, params;
    return split(algorithm_identifier, &oid, &params)
        && (mu_der_oid_is(oid, OID_PBM) || mu_der_oid_is(oid, OID_PBMAC1));
}

/* Before any work: how much of it the sender may ask for (CMP-28). */
static enum mu_code bounds(struct mu_pki_mac *mac, struct mu_bytes salt, int64_t iterations,
    int64_t key_length, struct mu_err *err)
{
    if (salt.n < MU_PKI_MAC_SALT_MIN || salt.n > MU_PKI_MAC_SALT_MAX)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_ALGORITHM,
            "mac: a salt of %zu octets; %d to %d are taken (RFC 4211 4.4)", salt.n,
            MU_PKI_MAC_SALT_MIN, MU_PKI_MAC_SALT_MAX);
    if (iterations < MU_PKI_MAC_ITERATIONS_MIN || iterations > MU_PKI_MAC_ITERATIONS_MAX)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_ALGORITHM,
            "mac: %lld iterations; %d to %d are taken (RFC 9045 4.3)", (long long)iterations,
            MU_PKI_MAC_ITERATIONS_MIN, MU_PKI_MAC_ITERATIONS_MAX);
    if (mac->kind == MU_PKI_MAC_PBMAC1 && (key_length < 16 || key_length > MU_PKI_MAC_SIZE))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_ALGORITHM,
            "mac: a key of %lld octets; 16 to %d are taken (RFC 9481 6.1.2)", (long long)key_length,
            MU_PKI_MAC_SIZE);
    memcpy(mac->salt, salt.p, salt.n);
    mac->salt_n = salt.n;
    mac->iterations = (unsigned)iterations;
    mac->key_length = (unsigned)key_length;
    return MU_OK;
}

/* PBMParameter (RFC 9810 5.1.3.1). */
static enum mu_code pbm_decode(struct mu_bytes params, bool allow_legacy, struct mu_pki_mac *mac,
    struct mu_err *err)
{
    struct mu_der seq, salt, owf, count, hmac;
    int64_t iterations;
    if (!mu_der_only(params, MU_DER_SEQUENCE, &seq))
        return malformed("PBMParameter (RFC 9810 5.1.3.1)", err);
    struct mu_bytes in = seq.value;
    if (!mu_der_get(&in, MU_DER_OCTET_STRING, &salt) || !mu_der_get(&in, MU_DER_SEQUENCE, &owf)
        || !mu_der_get(&in, MU_DER_INTEGER, &count) || !mu_der_get(&in, MU_DER_SEQUENCE, &hmac)
        || in.n)
        return malformed("PBMParameter (RFC 9810 5.1.3.1)", err);
    if (!mu_der_int(count.value, &iterations))
        iterations = INT64_MAX; /* more than that */
    if (!mu_pki_digest_decode(owf.whole, &mac->owf) || mac->owf == MU_PKI_MD5)
        return unsupported("unknown one-way function of a PasswordBasedMac", err);
    if (mac->owf == MU_PKI_SHA1 && !allow_legacy)
        return unsupported("SHA-1 as one-way function is legacy and not allowed here", err);
    if (!mu_pki_hmac_decode(hmac.value, &mac->hash))
        return unsupported("a PasswordBasedMac with something else than HMAC (RFC 9045 4)", err);
    return bounds(mac, salt.value, iterations, 0, err);
}

/* PBMAC1-params (RFC 8018 A.5). */
static enum mu_code pbmac1_decode(struct mu_bytes params, struct mu_pki_mac *mac,
    struct mu_err *err)
{
    struct mu_der seq, kdf_alg, scheme;
    struct mu_pki_pbkdf2 kdf;
    if (!mu_der_only(params, MU_DER_SEQUENCE, &seq)
        || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &kdf_alg)
        || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &scheme) || seq.value.n)
        return malformed("PBMAC1-params (RFC 8018 A.5)", err);
    if (!mu_pki_pbkdf2_decode(kdf_alg.value, &kdf))
        return unsupported("PBMAC1 with something else than PBKDF2 and HMAC (RFC 9481 6.1.2)", err);
    if (!mu_pki_hmac_decode(scheme.value, &mac->hash))
        return unsupported("PBMAC1 with something else than HMAC (RFC 9481 6.2)", err);
    mac->owf = kdf.prf;
    return bounds(mac, kdf.salt, kdf.iterations,
        kdf.key_length ? kdf.key_length : (int64_t)mu_pki_digest_size(mac->hash), err);
}

enum mu_code mu_pki_mac_decode(struct mu_bytes algorithm_identifier, bool allow_legacy,
    struct mu_pki_mac *out, struct mu_err *err)
{
    struct mu_pki_mac mac = {0};
    struct mu_bytes oid, params;
    enum mu_code rc;
    if (!split(algorithm_identifier, &oid, &params))
        return malformed("AlgorithmIdentifier (RFC 5280 4.1.1.2)", err);
    if (mu_der_oid_is(oid, OID_PBM)) {
        mac.kind = MU_PKI_MAC_PBM;
        rc = pbm_decode(params, allow_legacy, &mac, err);
    } else if (mu_der_oid_is(oid, OID_PBMAC1)) {
        mac.kind = MU_PKI_MAC_PBMAC1;
        rc = pbmac1_decode(params, &mac, err);
    } else {
        char text[80];
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "mac: unknown algorithm %s",
            mu_pki_oid_text(oid, text, sizeof(text)));
    }
    if (rc == MU_OK)
        *out = mac;
    return rc;
}

static void pbm_put(struct mu_buf *out, const struct mu_pki_mac *mac)
{
    size_t params = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put(out, MU_DER_OCTET_STRING, mu_bytes(mac->salt, mac->salt_n));
    mu_pki_digest_encode(out, mac->owf);
    mu_der_put_int(out, mac->iterations);
    if (mac->hash == MU_PKI_SHA1) { /* the OID of RFC 9810 5.1.3.1, which peers of that age know */
        size_t alg = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put_oid(out, "1.3.6.1.5.5.8.1.2");
        mu_der_put_null(out);
        mu_der_close(out, alg);
    } else {
        mu_pki_hmac_put(out, mac->hash);
    }
    mu_der_close(out, params);
}

static void pbmac1_put(struct mu_buf *out, const struct mu_pki_mac *mac)
{
    const struct mu_pki_pbkdf2 kdf = {.salt = mu_bytes(mac->salt, mac->salt_n),
        .iterations = mac->iterations,
        .key_length = mac->key_length,
        .prf = mac->owf};
    size_t params = mu_der_open(out, MU_DER_SEQUENCE);
    size_t alg = mu_der_open(out, MU_DER_SEQUENCE);
    mu_pki_pbkdf2_put(out, &kdf);
    mu_der_close(out, alg);
    mu_pki_hmac_put(out, mac->hash);
    mu_der_close(out, params);
}

void mu_pki_mac_encode(const struct mu_pki_mac *mac, struct mu_buf *out)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);
    if (mac->kind == MU_PKI_MAC_PBM) {
        mu_der_put_oid(out, OID_PBM);
        pbm_put(out, mac);
    } else {
        mu_der_put_oid(out, OID_PBMAC1);
        pbmac1_put(out, mac);
    }
    mu_der_close(out, seq);
}

enum mu_code mu_pki_mac_init(struct mu_pki_mac *mac, enum mu_pki_mac_kind kind, unsigned iterations,
    const struct mu_env *env, struct mu_err *err)
{
    struct mu_pki_mac m = {.kind = kind, .owf = MU_PKI_SHA256, .hash = MU_PKI_SHA256};
    uint8_t salt[16];
    enum mu_code rc = mu_env_random(env, salt, sizeof(salt), err);
    if (rc == MU_OK)
        rc = bounds(&m, mu_bytes(salt, sizeof(salt)),
            iterations ? iterations : MU_PKI_MAC_ITERATIONS, kind == MU_PKI_MAC_PBMAC1 ? 32 : 0,
            err);
    if (rc == MU_OK)
        *mac = m;
    return rc;
}

enum mu_code mu_pki_mac_choose(struct mu_pki_mac *mac, enum mu_pki_digest owf, enum mu_pki_digest hash,
    bool allow_legacy, struct mu_err *err)
{
    if (owf == MU_PKI_MD5 || hash == MU_PKI_MD5)
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "mac: MD5 is not used in a MAC (RFC 9481 6)");
    if ((owf == MU_PKI_SHA1 || hash == MU_PKI_SHA1) && !allow_legacy)
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "mac: SHA-1 is weak or legacy (RFC 9481 6)");
    if (owf != MU_PKI_DIGEST_NONE)
        mac->owf = owf;
    if (hash != MU_PKI_DIGEST_NONE)
        mac->hash = hash;
    if (mac->kind == MU_PKI_MAC_PBMAC1) /* a key as long as the HMAC's output (RFC 9481 6.1.2) */
        mac->key_length = (unsigned)mu_pki_digest_size(mac->hash);
    return MU_OK;
}

bool mu_pki_mac_equal(const struct mu_pki_mac *a, const struct mu_pki_mac *b)
{
    return a->kind == b->kind && a->owf == b->owf && a->hash == b->hash
        && a->iterations == b->iterations && a->key_length == b->key_length
        && mu_bytes_equal(mu_bytes(a->salt, a->salt_n), mu_bytes(b->salt, b->salt_n));
}

/* ---- use ---- */

/* BASEKEY: the one-way function over secret and salt, exactly iterations times (CMP-27). An HMAC
 * takes a key of any length, so K is H and the key is all of it, as all known peers have it. */
static bool pbm_derive(const struct mu_pki_mac *mac, struct mu_bytes secret, uint8_t key[64],
    size_t *n)
{
    EVP_MD_CTX *ctx = mu_pki_alg_md_ctx(mac->owf);
    unsigned size = 0;
    bool ok = ctx && EVP_DigestUpdate(ctx, secret.p, secret.n) == 1
        && EVP_DigestUpdate(ctx, mac->salt, mac->salt_n) == 1
        && EVP_DigestFinal_ex(ctx, key, &size) == 1;
    if (ok && mac->owf == MU_PKI_SHA256)
        mu_pki_sha256_again(key, mac->iterations - 1);
    for (unsigned i = 1; ok && mac->owf != MU_PKI_SHA256 && i < mac->iterations; i++)
        ok = EVP_DigestInit_ex(ctx, NULL, NULL) == 1 && EVP_DigestUpdate(ctx, key, size) == 1
            && EVP_DigestFinal_ex(ctx, key, &size) == 1;
    ok = ok && mu_pki_alg_md_ctx(mac->owf); /* begun anew: the key stays nowhere */
    *n = size;
    return ok;
}

enum mu_code mu_pki_mac_derive(const struct mu_pki_mac *mac, const struct mu_secret *secret,
    struct mu_secret *key, struct mu_err *err)
{
    const struct mu_pki_pbkdf2 kdf = {.salt = mu_bytes(mac->salt, mac->salt_n),
        .iterations = mac->iterations,
        .prf = mac->owf};
    uint8_t derived[64];
    size_t n = mac->key_length;
    bool ok = mac->kind == MU_PKI_MAC_PBM
        ? pbm_derive(mac, mu_secret_bytes(secret), derived, &n)
        : mu_pki_pbkdf2_derive(&kdf, mu_secret_bytes(secret), derived, n);
    enum mu_code rc = ok ? mu_secret_set(key, mu_bytes(derived, n), err)
                         : mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE,
                             "mac: the key cannot be derived");
    mu_bytes_wipe(derived, sizeof(derived));
    return rc;
}

enum mu_code mu_pki_mac_make(const struct mu_pki_mac *mac, const struct mu_secret *key,
    struct mu_bytes data, uint8_t out[MU_PKI_MAC_SIZE], size_t *n, struct mu_err *err)
{
    *n = mu_pki_hmac(mac->hash, mu_secret_bytes(key), data, out);
    if (*n == 0)
        return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "mac: HMAC failed");
    return MU_OK;
}

enum mu_code mu_pki_mac_verify(const struct mu_pki_mac *mac, const struct mu_secret *key,
    struct mu_bytes data, struct mu_bytes value, struct mu_err *err)
{
    uint8_t own[MU_PKI_MAC_SIZE];
    size_t n;
    enum mu_code rc = mu_pki_mac_make(mac, key, data, own, &n, err);
    if (rc == MU_OK && !mu_bytes_equal_secret(mu_bytes(own, n), value))
        rc = mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE, "mac: the MAC is wrong");
    mu_bytes_wipe(own, sizeof(own));
    return rc;
}
