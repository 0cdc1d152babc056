/* Using keys: sign, verify, and RSA key transport. */
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "base/text.h"
#include "pki/pki_internal.h"

enum sig_family { SIG_RSA, SIG_RSA_PLAIN, SIG_RSA_PSS, SIG_ECDSA, SIG_ED25519, SIG_ED448 };

static const struct sig_row {
    const char *oid;
    enum sig_family family;
    enum mu_pki_digest digest;
} sig_rows[] = {
    {"1.2.840.113549.1.1.11", SIG_RSA, MU_PKI_SHA256},
    {"1.2.840.113549.1.1.12", SIG_RSA, MU_PKI_SHA384},
    {"1.2.840.113549.1.1.13", SIG_RSA, MU_PKI_SHA512},
    {MU_OID_RSA, SIG_RSA_PLAIN, MU_PKI_DIGEST_NONE},
    {"1.2.840.10045.4.3.2", SIG_ECDSA, MU_PKI_SHA256},
    {"1.2.840.10045.4.3.3", SIG_ECDSA, MU_PKI_SHA384},
    {"1.2.840.10045.4.3.4", SIG_ECDSA, MU_PKI_SHA512},
    {MU_OID_ED25519, SIG_ED25519, MU_PKI_DIGEST_NONE},
    {MU_OID_ED448, SIG_ED448, MU_PKI_DIGEST_NONE},
    {MU_OID_RSA_PSS, SIG_RSA_PSS, MU_PKI_DIGEST_NONE},
    {"1.2.840.113549.1.1.14", SIG_RSA, MU_PKI_SHA224},
    {"1.2.840.10045.4.3.1", SIG_ECDSA, MU_PKI_SHA224},
    {"1.2.840.113549.1.1.5", SIG_RSA, MU_PKI_SHA1},
    {"1.3.14.3.2.29", SIG_RSA, MU_PKI_SHA1},
    {"1.2.840.10045.4.1", SIG_ECDSA, MU_PKI_SHA1},
    {"1.2.840.113549.1.1.4", SIG_RSA, MU_PKI_MD5},
};
enum { SIG_ROWS = sizeof(sig_rows) / sizeof(sig_rows[0]) };

static enum mu_pki_key_type type_of(const struct mu_pki_key *key)
{
    struct mu_pki_key_spec spec;
    mu_pki_key_spec_of(key, &spec);
    return spec.type;
}

/* ---- sign ---- */

enum mu_pki_digest mu_pki_key_default_digest(const struct mu_pki_key *key)
{
    struct mu_pki_key_spec spec;
    mu_pki_key_spec_of(key, &spec);
    if (spec.type == MU_PKI_KEY_ED25519 || spec.type == MU_PKI_KEY_ED448)
        return MU_PKI_DIGEST_NONE;
    if (spec.type == MU_PKI_KEY_EC && spec.bits > 256)
        return spec.bits > 384 ? MU_PKI_SHA512 : MU_PKI_SHA384;
    return MU_PKI_SHA256;
}

static const struct sig_row *row_to_sign(const struct mu_pki_key *key, enum mu_pki_digest d)
{
    enum sig_family family;
    switch (type_of(key)) {
    case MU_PKI_KEY_RSA:
        family = SIG_RSA;
        break;
    case MU_PKI_KEY_EC:
        family = SIG_ECDSA;
        break;
    case MU_PKI_KEY_ED25519:
        family = SIG_ED25519;
        d = MU_PKI_DIGEST_NONE;
        break;
    case MU_PKI_KEY_ED448:
        family = SIG_ED448;
        d = MU_PKI_DIGEST_NONE;
        break;
    default:
        return NULL;
    }
    for (size_t i = 0; i < SIG_ROWS; i++)
        if (sig_rows[i].family == family && sig_rows[i].digest == d)
            return &sig_rows[i];
    return NULL;
}

void mu_pki_key_sign_alg(const struct mu_pki_key *key, enum mu_pki_digest d, struct mu_buf *out)
{
    const struct sig_row *row = row_to_sign(key, d);
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);
    if (row)
        mu_der_put_oid(out, row->oid);
    else
        out->failed = true;
    if (row && row->family == SIG_RSA)
        mu_der_put_null(out); /* RFC 4055 5; the others carry no parameters */
    mu_der_close(out, seq);
}

static bool sign_eddsa(EVP_PKEY *evp, struct mu_bytes tbs, uint8_t *sig, size_t *sig_n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, evp) == 1
        && EVP_DigestSign(ctx, sig, sig_n, tbs.p, tbs.n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static EVP_PKEY_CTX *signer_new(EVP_PKEY *evp, enum mu_pki_digest d)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(evp, NULL);
    if (ctx && EVP_PKEY_sign_init(ctx) == 1
        && EVP_PKEY_CTX_set_signature_md(ctx, mu_pki_alg_md(d)) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

static bool sign_digest(const struct mu_pki_key *key, enum mu_pki_digest d, struct mu_bytes tbs,
    uint8_t *sig, size_t *sig_n)
{
    uint8_t hash[64];
    size_t hash_n = mu_pki_digest(d, tbs, hash);
    EVP_PKEY_CTX *ctx = hash_n ? mu_pki_key_take_signer(key, d) : NULL;
    if (hash_n && !ctx)
        ctx = signer_new(mu_pki_key_evp(key), d);
    bool ok = ctx && EVP_PKEY_sign(ctx, sig, sig_n, hash, hash_n) == 1;
    if (ok && !mu_pki_key_is_token(key))
        mu_pki_key_put_signer(key, d, ctx);
    else
        EVP_PKEY_CTX_free(ctx);
    return ok;
}

enum mu_code mu_pki_key_sign(const struct mu_pki_key *key, enum mu_pki_digest d,
    struct mu_bytes tbs, struct mu_buf *signature, struct mu_err *err)
{
    const struct sig_row *row = row_to_sign(key, d);
    if (!row || !mu_pki_key_has_private(key))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            row ? "this key has no private part to sign with"
                : "this key cannot sign with the digest asked for");
    EVP_PKEY *evp = mu_pki_key_evp(key);
    size_t before = signature->n, n = (size_t)EVP_PKEY_get_size(evp);
    uint8_t *p = mu_buf_grow(signature, n);
    if (!p)
        return mu_buf_check(signature, "signature", err);
    bool ok = row->digest == MU_PKI_DIGEST_NONE ? sign_eddsa(evp, tbs, p, &n)
                                                : sign_digest(key, row->digest, tbs, p, &n);
    if (!ok) {
        mu_pki_cut(signature, before);
        return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "signing failed");
    }
    mu_pki_cut(signature, before + n);
    return MU_OK;
}

/* ---- verify ---- */

struct pss {
    enum mu_pki_digest digest, mgf_digest;
    int64_t salt_n;
};

/* [n] EXPLICIT element that may be missing: *value is what is inside, n 0 if it is. */
static bool tagged(struct mu_bytes *in, unsigned n, struct mu_bytes *value)
{
    struct mu_der el;
    if (!mu_der_optional(in, MU_DER_CONTEXT_CONSTRUCTED(n), &el))
        return false;
    *value = el.whole.p ? el.value : mu_bytes(NULL, 0);
    return true;
}

static bool mgf1_decode(struct mu_bytes alg, enum mu_pki_digest *digest)
{
    struct mu_der seq, oid;
    return mu_der_only(alg, MU_DER_SEQUENCE, &seq) && mu_der_get(&seq.value, MU_DER_OID, &oid)
        && mu_der_oid_is(oid.value, MU_OID_MGF1) && mu_pki_digest_decode(seq.value, digest);
}

/* RSASSA-PSS-params, RFC 4055 3.1. */
static bool pss_decode(struct mu_bytes params, struct pss *out)
{
    struct mu_der seq, salt;
    struct mu_bytes hash, mgf, salt_len, trailer;
    *out = (struct pss){MU_PKI_SHA1, MU_PKI_SHA1, 20};
    if (!mu_der_only(params, MU_DER_SEQUENCE, &seq))
        return false;
    struct mu_bytes in = seq.value;
    if (!tagged(&in, 0, &hash) || !tagged(&in, 1, &mgf) || !tagged(&in, 2, &salt_len)
        || !tagged(&in, 3, &trailer) || in.n)
        return false;
    if (hash.n && !mu_pki_digest_decode(hash, &out->digest))
        return false;
    if (mgf.n && !mgf1_decode(mgf, &out->mgf_digest))
        return false;
    if (salt_len.n
        && (!mu_der_only(salt_len, MU_DER_INTEGER, &salt) || !mu_der_int(salt.value, &out->salt_n)))
        return false;
    return out->salt_n >= 0 && out->salt_n <= 512;
}

static bool verify_eddsa(EVP_PKEY *evp, struct mu_bytes tbs, struct mu_bytes sig)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, evp) == 1
        && EVP_DigestVerify(ctx, sig.p, sig.n, tbs.p, tbs.n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool verify_digest(EVP_PKEY *evp, enum mu_pki_digest d, const struct pss *pss,
    struct mu_bytes tbs, struct mu_bytes sig)
{
    uint8_t hash[64];
    size_t hash_n = mu_pki_digest(d, tbs, hash);
    EVP_PKEY_CTX *ctx = hash_n ? EVP_PKEY_CTX_new(evp, NULL) : NULL;
    bool ok = ctx && EVP_PKEY_verify_init(ctx) == 1;
    if (ok && pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1;
    ok = ok && EVP_PKEY_CTX_set_signature_md(ctx, mu_pki_alg_md(d)) == 1;
    if (ok && pss)
        ok = EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mu_pki_alg_md(pss->mgf_digest)) == 1
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)pss->salt_n) == 1;
    ok = ok && EVP_PKEY_verify(ctx, sig.p, sig.n, hash, hash_n) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool family_fits(enum sig_family family, const struct mu_pki_key *key)
{
    switch (type_of(key)) {
    case MU_PKI_KEY_RSA:
        return family == SIG_RSA || family == SIG_RSA_PLAIN || family == SIG_RSA_PSS;
    case MU_PKI_KEY_EC:
        return family == SIG_ECDSA;
    case MU_PKI_KEY_ED25519:
        return family == SIG_ED25519;
    case MU_PKI_KEY_ED448:
        return family == SIG_ED448;
    default: /* keys bound to RSA-PSS */
        return family == SIG_RSA_PSS;
    }
}

static const struct sig_row *row_by_alg(struct mu_bytes sig_alg, struct mu_bytes *params,
    struct mu_err *err)
{
    struct mu_der seq, oid;
    if (!mu_der_only(sig_alg, MU_DER_SEQUENCE, &seq)
        || !mu_der_get(&seq.value, MU_DER_OID, &oid)) {
        mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "malformed signature algorithm");
        return NULL;
    }
    *params = seq.value;
    for (size_t i = 0; i < SIG_ROWS; i++)
        if (mu_der_oid_is(oid.value, sig_rows[i].oid))
            return &sig_rows[i];
    char text[80];
    mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "unknown signature algorithm %s",
        mu_pki_oid_text(oid.value, text, sizeof(text)));
    return NULL;
}

enum mu_code mu_pki_key_verify(const struct mu_pki_key *key, struct mu_bytes sig_alg,
    struct mu_bytes tbs, struct mu_bytes signature, const struct mu_pki_verify_opts *opts,
    enum mu_pki_digest *used, struct mu_err *err)
{
    static const struct mu_pki_verify_opts strict;
    struct mu_bytes params;
    struct pss pss;
    struct mu_err local = {0};
    if (!opts)
        opts = &strict;
    if (!err)
        err = &local;
    const struct sig_row *row = row_by_alg(sig_alg, &params, err);
    if (!row)
        return err->code;
    enum mu_pki_digest d = row->digest;
    if (row->family == SIG_RSA_PLAIN)
        d = opts->digest;
    if (row->family == SIG_RSA_PSS) {
        if (!pss_decode(params, &pss))
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "malformed RSASSA-PSS parameters (RFC 4055 3.1)");
        d = pss.digest;
    }
    bool eddsa = row->family == SIG_ED25519 || row->family == SIG_ED448;
    if (d == MU_PKI_DIGEST_NONE && !eddsa)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_ALGORITHM,
            "signature algorithm rsaEncryption names no digest");
    if (mu_pki_digest_is_legacy(d) && !opts->allow_legacy)
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "a signature with %s is weak or legacy",
            mu_pki_digest_title(d));
    if (!family_fits(row->family, key))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "the signature algorithm does not fit the key");

    EVP_PKEY *evp = mu_pki_key_evp(key);
    bool ok = eddsa
        ? verify_eddsa(evp, tbs, signature)
        : verify_digest(evp, d, row->family == SIG_RSA_PSS ? &pss : NULL, tbs, signature);
    ERR_clear_error();
    if (!ok)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE, "the signature is wrong");
    if (used)
        *used = d;
    return MU_OK;
}

enum mu_pki_digest mu_pki_sig_digest(struct mu_bytes sig_alg)
{
    struct mu_bytes params;
    struct pss pss;
    const struct sig_row *row = row_by_alg(sig_alg, &params, NULL);
    if (!row)
        return MU_PKI_DIGEST_NONE;
    if (row->family == SIG_RSA_PSS)
        return pss_decode(params, &pss) ? pss.digest : MU_PKI_DIGEST_NONE;
    return row->family == SIG_ED25519 ? MU_PKI_SHA512 : row->digest;
}

static size_t shake256(struct mu_bytes data, uint8_t out[64])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_shake256(), NULL) == 1
        && EVP_DigestUpdate(ctx, data.p, data.n) == 1 && EVP_DigestFinalXOF(ctx, out, 64) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok ? 64 : 0;
}

size_t mu_pki_sig_hash(struct mu_bytes sig_alg, struct mu_bytes data, uint8_t out[64])
{
    enum mu_pki_digest digest = mu_pki_sig_digest(sig_alg);
    struct mu_bytes params;
    const struct sig_row *row = row_by_alg(sig_alg, &params, NULL);
    if (digest != MU_PKI_DIGEST_NONE)
        return mu_pki_digest(digest, data, out);
    return row && row->family == SIG_ED448 ? shake256(data, out) : 0;
}

/* ---- RSA key transport ---- */

enum mu_code mu_pki_key_transport_encrypt(const struct mu_pki_key *key, struct mu_bytes content_key,
    struct mu_buf *out, struct mu_err *err)
{
    if (!mu_pki_key_can_encrypt(key))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNDELIVERABLE,
            "the recipient's key cannot encrypt: it is not RSA");
    EVP_PKEY *evp = mu_pki_key_evp(key);
    size_t before = out->n, n = (size_t)EVP_PKEY_get_size(evp);
    uint8_t *p = mu_buf_grow(out, n);
    if (!p)
        return mu_buf_check(out, "encrypted key", err);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(evp, NULL);
    bool ok = ctx && EVP_PKEY_encrypt_init(ctx) == 1
        && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1
        && EVP_PKEY_encrypt(ctx, p, &n, content_key.p, content_key.n) == 1;
    EVP_PKEY_CTX_free(ctx);
    mu_pki_cut(out, before + (ok ? n : 0));
    return ok ? MU_OK
              : mu_pki_ossl_fail(err, MU_INPUT, MU_REFUSE_UNDELIVERABLE,
                  "cannot encrypt to the recipient's key");
}

/* RSAES-OAEP-params, RFC 4055 4.1; a pSource label is refused, nobody uses one. */
static bool oaep_decode(struct mu_bytes params, enum mu_pki_digest *digest,
    enum mu_pki_digest *mgf_digest)
{
    struct mu_der seq;
    struct mu_bytes hash, mgf;
    *digest = *mgf_digest = MU_PKI_SHA1;
    if (params.n == 0)
        return true;
    if (!mu_der_only(params, MU_DER_SEQUENCE, &seq) || !tagged(&seq.value, 0, &hash)
        || !tagged(&seq.value, 1, &mgf) || seq.value.n)
        return false;
    return (!hash.n || mu_pki_digest_decode(hash, digest))
        && (!mgf.n || mgf1_decode(mgf, mgf_digest));
}

static EVP_PKEY_CTX *decrypt_context(const struct mu_pki_key *key, struct mu_bytes alg,
    struct mu_err *err)
{
    struct mu_der seq, oid;
    enum mu_pki_digest digest = MU_PKI_DIGEST_NONE, mgf_digest = MU_PKI_DIGEST_NONE;
    bool known =
        mu_der_only(alg, MU_DER_SEQUENCE, &seq) && mu_der_get(&seq.value, MU_DER_OID, &oid);
    bool oaep = known && mu_der_oid_is(oid.value, MU_OID_RSA_OAEP);
    if (oaep)
        known = oaep_decode(seq.value, &digest, &mgf_digest);
    else if (known)
        known = mu_der_oid_is(oid.value, MU_OID_RSA);
    if (!known) {
        mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "unknown key transport algorithm");
        return NULL;
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(mu_pki_key_evp(key), NULL);
    bool ok = ctx && EVP_PKEY_decrypt_init(ctx) == 1
        && EVP_PKEY_CTX_set_rsa_padding(ctx, oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING)
            == 1;
    if (ok && oaep)
        ok = EVP_PKEY_CTX_set_rsa_oaep_md(ctx, mu_pki_alg_md(digest)) == 1
            && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mu_pki_alg_md(mgf_digest)) == 1;
    if (!ok) {
        EVP_PKEY_CTX_free(ctx);
        mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "cannot prepare decryption");
        return NULL;
    }
    return ctx;
}

enum mu_code mu_pki_key_transport_decrypt(const struct mu_pki_key *key, struct mu_bytes alg,
    struct mu_bytes encrypted, size_t want, struct mu_secret *out, struct mu_err *err)
{
    struct mu_err local = {0};
    if (!err)
        err = &local;
    if (!mu_pki_key_can_encrypt(key) || !mu_pki_key_has_private(key))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "this key cannot decrypt a content key");
    size_t size = (size_t)EVP_PKEY_get_size(mu_pki_key_evp(key));
    uint8_t substitute[64];
    if (want > sizeof(substitute) || want > size)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "content key is too long");
    EVP_PKEY_CTX *ctx = decrypt_context(key, alg, err);
    if (!ctx)
        return err->code;
    enum mu_code rc = MU_OK;
    uint8_t *plain = calloc(1, size);
    if (!plain || RAND_bytes(substitute, (int)want) != 1) {
        rc = mu_pki_ossl_fail(err, MU_MEMORY, MU_REASON_NONE, "cannot prepare decryption");
        goto out;
    }
    /* From here to the end nothing branches on whether the padding was right. */
    size_t n = size;
    int ok = EVP_PKEY_decrypt(ctx, plain, &n, encrypted.p, encrypted.n);
    ERR_clear_error();
    uint64_t bad = (uint64_t)(unsigned)(ok ^ 1) | (uint64_t)(n ^ want);
    uint8_t keep = (uint8_t)(((bad | (0 - bad)) >> 63) - 1); /* 0xff if bad is 0 */
    for (size_t i = 0; i < want; i++)
        plain[i] = (uint8_t)((plain[i] & keep) | (substitute[i] & (uint8_t)~keep));
    rc = mu_secret_set(out, mu_bytes(plain, want), err);
out:
    mu_bytes_wipe(substitute, sizeof(substitute));
    if (plain)
        mu_bytes_wipe(plain, size);
    free(plain);
    EVP_PKEY_CTX_free(ctx);
    return rc;
}
