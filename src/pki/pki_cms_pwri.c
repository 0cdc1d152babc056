/* A password as recipient: PBKDF2 makes a key, which wraps the content key as in RFC 3211 2.3, or
 * by AES key wrap (RFC 3394), which the CMP profile asks for (RFC 9481 4.3; COM-12, CMP-85). */
#include "pki/pki_cms_pwri.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/limits.h"
#include "pki/pki_aes_wrap.h"
#include "pki/pki_internal.h"
#include "pki/pki_pbkdf2.h"

enum { ITERATIONS = 10000, SALT = 16, WRAPPED_MAX = 128, KEK_MAX = 32 };

/* ---- key wrapping ---- */

static bool cbc(const EVP_CIPHER *cipher, bool encrypt, const uint8_t *key, const uint8_t *iv,
    const uint8_t *in, size_t n, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int done = 0;
    bool ok = ctx && EVP_CipherInit_ex(ctx, cipher, NULL, key, iv, encrypt) == 1
        && EVP_CIPHER_CTX_set_padding(ctx, 0) == 1
        && EVP_CipherUpdate(ctx, out, &done, in, (int)n) == 1 && done == (int)n;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* RFC 3211 2.3.2 backwards. block is the cipher's block size, n a multiple of it. */
static bool unwrap_3211(const EVP_CIPHER *cipher, const uint8_t *key, struct mu_bytes iv,
    struct mu_bytes wrapped, struct mu_secret *content_key)
{
    size_t block = (size_t)EVP_CIPHER_get_block_size(cipher), n = wrapped.n;
    uint8_t inner_last[EVP_MAX_BLOCK_LENGTH], inner[WRAPPED_MAX], plain[WRAPPED_MAX];
    if (n < 2 * block || n % block || n > WRAPPED_MAX || iv.n != block)
        return false;
    /* The last block of the first pass was the IV of the second. */
    bool ok = cbc(cipher, false, key, wrapped.p + n - 2 * block, wrapped.p + n - block, block,
                  inner_last)
        && cbc(cipher, false, key, inner_last, wrapped.p, n, inner)
        && cbc(cipher, false, key, iv.p, inner, n, plain);
    ok = ok && (plain[1] ^ plain[4]) == 0xff && (plain[2] ^ plain[5]) == 0xff
        && (plain[3] ^ plain[6]) == 0xff && plain[0] >= 3 && (size_t)plain[0] + 4 <= n
        && mu_secret_set(content_key, mu_bytes(plain + 4, plain[0]), NULL) == MU_OK;
    mu_bytes_wipe(inner, sizeof(inner));
    mu_bytes_wipe(plain, sizeof(plain));
    return ok;
}

static bool wrap_3211(const uint8_t *key, const uint8_t iv[16], struct mu_bytes content_key,
    const struct mu_env *env, struct mu_buf *out)
{
    const EVP_CIPHER *cipher = mu_pki_alg_cipher(MU_PKI_AES256_CBC);
    uint8_t plain[WRAPPED_MAX], inner[WRAPPED_MAX];
    size_t n = (4 + content_key.n + 15) / 16 * 16;
    if (n < 32)
        n = 32;
    if (n > WRAPPED_MAX || content_key.n < 3 || mu_env_random(env, plain, n, NULL) != MU_OK)
        return false;
    plain[0] = (uint8_t)content_key.n;
    for (int i = 0; i < 3; i++)
        plain[1 + i] = (uint8_t)~content_key.p[i];
    memcpy(plain + 4, content_key.p, content_key.n);
    uint8_t *p = mu_buf_grow(out, n);
    bool ok = p && cbc(cipher, true, key, iv, plain, n, inner)
        && cbc(cipher, true, key, inner + n - 16, inner, n, p);
    mu_bytes_wipe(plain, sizeof(plain));
    mu_bytes_wipe(inner, sizeof(inner));
    return ok;
}

/* ---- PasswordRecipientInfo ---- */

struct kek {
    enum mu_pki_cipher cipher;       /* RFC 3211, if not NONE */
    struct mu_bytes iv;
    bool is_wrap;                    /* RFC 3394 */
    size_t size;
};

static bool kek_decode(struct mu_bytes key_alg, struct kek *out)
{
    struct mu_der seq, oid, inner, inner_oid, iv;
    *out = (struct kek){0};
    if (!mu_der_only(key_alg, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_OID, &oid))
        return false;
    out->size = mu_pki_aes_wrap_size(oid.value);
    out->is_wrap = out->size != 0;
    if (out->is_wrap)
        return true;
    if (!mu_der_oid_is(oid.value, MU_OID_PWRI_KEK)
        || !mu_der_only(seq.value, MU_DER_SEQUENCE, &inner)
        || !mu_der_get(&inner.value, MU_DER_OID, &inner_oid)
        || !mu_der_only(inner.value, MU_DER_OCTET_STRING, &iv))
        return false;
    out->cipher = mu_pki_cipher_by_oid(inner_oid.value);
    out->iv = iv.value;
    out->size = mu_pki_cipher_key_size(out->cipher);
    return out->cipher != MU_PKI_CIPHER_NONE && !mu_pki_cipher_is_aead(out->cipher)
        && !mu_pki_cipher_is_legacy(out->cipher);
}

enum mu_code mu_pki_pwri_unwrap(const struct mu_pki_enveloped *e, const struct mu_secret *password,
    struct mu_secret *content_key, struct mu_err *err)
{
    struct mu_pki_pbkdf2 kdf;
    struct kek kek;
    uint8_t key[KEK_MAX];
    if (!e->kdf_alg.p || !mu_pki_pbkdf2_decode(e->kdf_alg, &kdf) || !kek_decode(e->key_alg, &kek))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: unknown algorithms of a password recipient (RFC 5652 6.2.4)");
    if (kdf.iterations < 1 || kdf.iterations > MU_LIMIT_PBKDF2 || kdf.salt.n > 1024)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cms: PBKDF2 asks for more than %d iterations", (int)MU_LIMIT_PBKDF2);
    bool ok = mu_pki_pbkdf2_derive(&kdf, mu_secret_bytes(password), key, kek.size);
    if (ok && kek.is_wrap)
        ok = mu_pki_aes_unwrap(key, kek.size, e->encrypted_key, content_key);
    else if (ok)
        ok = unwrap_3211(mu_pki_alg_cipher(kek.cipher), key, kek.iv, e->encrypted_key, content_key);
    mu_bytes_wipe(key, sizeof(key));
    if (!ok || content_key->n != mu_pki_cipher_key_size(e->cipher)) {
        mu_secret_clear(content_key);
        ERR_clear_error();
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE, "cms: the password does not fit");
    }
    return MU_OK;
}

static void kek_put(struct mu_buf *b, struct mu_bytes iv)
{
    size_t alg = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, MU_OID_PWRI_KEK);
    size_t inner = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, mu_pki_cipher_oid(MU_PKI_AES256_CBC));
    mu_der_put(b, MU_DER_OCTET_STRING, iv);
    mu_der_close(b, inner);
    mu_der_close(b, alg);
}

static void info_put(struct mu_buf *b, const struct mu_pki_pbkdf2 *kdf, size_t wrap_size,
    struct mu_bytes iv, struct mu_bytes wrapped)
{
    size_t info = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(3));
    mu_der_put_int(b, 0); /* COM-11 */
    size_t alg = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    mu_pki_pbkdf2_put(b, kdf);
    mu_der_close(b, alg);
    if (wrap_size)
        mu_pki_aes_wrap_put(b, wrap_size);
    else
        kek_put(b, iv);
    mu_der_put(b, MU_DER_OCTET_STRING, wrapped);
    mu_der_close(b, info);
}

enum mu_code mu_pki_pwri_put(struct mu_buf *b, const struct mu_pki_enveloped_params *params,
    struct mu_bytes content_key, const struct mu_env *env, struct mu_err *err)
{
    const struct mu_secret *password = params->password;
    size_t wrap_size = params->aes_wrap ? mu_pki_aes_wrap_size_for(params->cipher) : 0;
    uint8_t key[KEK_MAX], salt[SALT], iv[16];
    const struct mu_pki_pbkdf2 kdf = {
        .salt = mu_bytes(salt, SALT), .iterations = ITERATIONS, .prf = MU_PKI_SHA256};
    struct mu_buf wrapped;
    enum mu_code rc;
    if (!password || !mu_secret_is_set(password))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_UNDELIVERABLE,
            "cms: neither a certificate nor a password to encrypt to");
    if ((rc = mu_env_random(env, salt, sizeof(salt), err)) != MU_OK
        || (rc = mu_env_random(env, iv, sizeof(iv), err)) != MU_OK)
        return rc;
    mu_buf_init(&wrapped, WRAPPED_MAX);
    bool ok = mu_pki_pbkdf2_derive(
        &kdf, mu_secret_bytes(password), key, wrap_size ? wrap_size : sizeof(key));
    ok = ok
        && (wrap_size ? mu_pki_aes_wrap(key, wrap_size, content_key, &wrapped)
                      : wrap_3211(key, iv, content_key, env, &wrapped));
    if (ok)
        info_put(b, &kdf, wrap_size, mu_bytes(iv, sizeof(iv)), mu_buf_bytes(&wrapped));
    else
        rc = mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "cms: key wrapping failed");
    mu_bytes_wipe(key, sizeof(key));
    mu_buf_clear(&wrapped);
    return rc;
}
