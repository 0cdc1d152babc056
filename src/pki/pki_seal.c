/* AES-256-GCM over one short secret, and the keys for it. */
#include "pki/pki_seal.h"

#include <openssl/err.h>

#include "pki/pki_internal.h"

enum { VERSION = 1, NONCE = 12, TAG = 16 };

enum mu_code mu_pki_seal_key(struct mu_bytes secret, const char *label,
    uint8_t key[MU_PKI_SEAL_KEY], struct mu_err *err)
{
    static const uint8_t first_block = 1;
    uint8_t prk[32];
    bool ok = mu_pki_hmac_sha256(mu_bytes_str(label), secret, prk) /* RFC 5869 2.2 */
        && mu_pki_hmac_sha256(mu_bytes(prk, sizeof(prk)), mu_bytes(&first_block, 1), key); /* 2.3 */
    mu_bytes_wipe(prk, sizeof(prk));
    return ok ? MU_OK : mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "HMAC-SHA-256 failed");
}

/* The version is authenticated with the place: a later format cannot be taken for this one. */
static bool place_add(EVP_CIPHER_CTX *ctx, struct mu_bytes place)
{
    static const uint8_t version = VERSION;
    int n;
    return EVP_CipherUpdate(ctx, NULL, &n, &version, 1) == 1
        && (!place.n || EVP_CipherUpdate(ctx, NULL, &n, place.p, (int)place.n) == 1);
}

enum mu_code mu_pki_seal(const uint8_t key[MU_PKI_SEAL_KEY], struct mu_bytes place,
    struct mu_bytes plain, const struct mu_env *env, struct mu_buf *out, struct mu_err *err)
{
    uint8_t nonce[NONCE], none[TAG], *p;
    size_t before = out->n;
    int n = 0, last = 0;
    enum mu_code rc;
    if (plain.n > MU_PKI_SEAL_MAX || place.n > MU_PKI_SEAL_MAX)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a secret of %zu octets is too long to be "
            "sealed", plain.n);
    if ((rc = mu_env_random(env, nonce, sizeof(nonce), err)) != MU_OK)
        return rc;
    mu_buf_put_byte(out, VERSION);
    mu_buf_put(out, nonce, sizeof(nonce));
    p = mu_buf_grow(out, plain.n + TAG);
    if ((rc = mu_buf_check(out, "a sealed secret", err)) != MU_OK)
        return rc;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx
        && EVP_EncryptInit_ex(ctx, mu_pki_alg_cipher(MU_PKI_AES256_GCM), NULL, key, nonce) == 1
        && place_add(ctx, place)
        && (!plain.n || EVP_EncryptUpdate(ctx, p, &n, plain.p, (int)plain.n) == 1)
        && EVP_EncryptFinal_ex(ctx, none, &last) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, p + plain.n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (ok)
        return MU_OK;
    mu_bytes_wipe(out->p + before, out->n - before);
    mu_pki_cut(out, before);
    return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "a secret cannot be sealed");
}

enum mu_code mu_pki_seal_open(const uint8_t key[MU_PKI_SEAL_KEY], struct mu_bytes place,
    struct mu_bytes sealed, struct mu_secret *out, struct mu_err *err)
{
    struct mu_buf plain;
    uint8_t tag[TAG], none[TAG], *p;
    int n = 0, last = 0;
    enum mu_code rc = MU_AUTH;
    if (sealed.n < MU_PKI_SEAL_OVERHEAD || sealed.n > MU_PKI_SEAL_MAX + MU_PKI_SEAL_OVERHEAD
        || sealed.p[0] != VERSION || place.n > MU_PKI_SEAL_MAX)
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE, "a sealed secret cannot be opened");
    struct mu_bytes body = mu_bytes(sealed.p + 1 + NONCE, sealed.n - MU_PKI_SEAL_OVERHEAD);
    mu_buf_init_secret(&plain, MU_PKI_SEAL_MAX + TAG);
    memcpy(tag, body.p + body.n, TAG);
    p = mu_buf_grow(&plain, body.n + TAG);
    EVP_CIPHER_CTX *ctx = p ? EVP_CIPHER_CTX_new() : NULL;
    bool ok = ctx
        && EVP_DecryptInit_ex(
               ctx, mu_pki_alg_cipher(MU_PKI_AES256_GCM), NULL, key, sealed.p + 1)
            == 1
        && place_add(ctx, place)
        && (!body.n || EVP_DecryptUpdate(ctx, p, &n, body.p, (int)body.n) == 1)
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1
        && EVP_DecryptFinal_ex(ctx, none, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    rc = ok ? mu_secret_set(out, mu_bytes(p, body.n), err)
            : mu_err_set(err, MU_AUTH, MU_REASON_NONE, "a sealed secret cannot be opened");
    mu_buf_clear(&plain);
    return rc;
}
