/* Signatures by RSASSA-PSS (RFC 4055 3.1, RFC 9481 3.1): the same digest in both places, a salt of
 * its length. Verifying them is in pki_key_use.c with the others. */
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "pki/pki_internal.h"

bool mu_pki_key_is_pss(const struct mu_pki_key *key)
{
    return EVP_PKEY_is_a(mu_pki_key_evp(key), "RSA-PSS");
}

bool mu_pki_key_can_pss(const struct mu_pki_key *key)
{
    return mu_pki_key_is_pss(key) || EVP_PKEY_is_a(mu_pki_key_evp(key), "RSA");
}

/* With NULL parameters, as RFC 4055 2.1 has it for these. */
static void put_digest(struct mu_buf *out, enum mu_pki_digest d)
{
    struct mu_buf plain = {.max = 64};
    struct mu_der seq, oid;
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);
    mu_pki_digest_encode(&plain, d);
    if (mu_der_only(mu_buf_bytes(&plain), MU_DER_SEQUENCE, &seq)
        && mu_der_get(&seq.value, MU_DER_OID, &oid))
        mu_buf_put_bytes(out, oid.whole);
    else
        out->failed = true;
    mu_der_put_null(out);
    mu_der_close(out, mark);
    mu_buf_clear(&plain);
}

void mu_pki_key_pss_alg(enum mu_pki_digest d, struct mu_buf *out)
{
    size_t alg = mu_der_open(out, MU_DER_SEQUENCE), params, field, mgf;
    mu_der_put_oid(out, MU_OID_RSA_PSS);
    params = mu_der_open(out, MU_DER_SEQUENCE);
    field = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
    put_digest(out, d);
    mu_der_close(out, field);
    field = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(1));
    mgf = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, MU_OID_MGF1);
    put_digest(out, d);
    mu_der_close(out, mgf);
    mu_der_close(out, field);
    field = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(2));
    mu_der_put_int(out, (int64_t)mu_pki_digest_size(d));
    mu_der_close(out, field);
    mu_der_close(out, params);
    mu_der_close(out, alg);
}

enum mu_code mu_pki_key_sign_pss(const struct mu_pki_key *key, enum mu_pki_digest d,
    struct mu_bytes tbs, struct mu_buf *signature, struct mu_err *err)
{
    uint8_t hash[64];
    size_t hash_n = mu_pki_digest(d, tbs, hash);
    if (!mu_pki_key_can_pss(key) || !mu_pki_key_has_private(key) || hash_n == 0)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "this key cannot sign by RSASSA-PSS");
    EVP_PKEY *evp = mu_pki_key_evp(key);
    size_t before = signature->n, n = (size_t)EVP_PKEY_get_size(evp);
    uint8_t *p = mu_buf_grow(signature, n);
    if (!p)
        return mu_buf_check(signature, "signature", err);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(evp, NULL);
    bool ok = ctx && EVP_PKEY_sign_init(ctx) == 1
        && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1
        && EVP_PKEY_CTX_set_signature_md(ctx, mu_pki_alg_md(d)) == 1
        && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mu_pki_alg_md(d)) == 1
        && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1
        && EVP_PKEY_sign(ctx, p, &n, hash, hash_n) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!ok) {
        mu_pki_cut(signature, before);
        return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "signing failed");
    }
    mu_pki_cut(signature, before + n);
    return MU_OK;
}
