/* AES key wrap, for recipients by password, by key agreement and by a shared key. */
#include "pki/pki_aes_wrap.h"

#include <openssl/err.h>

#include "pki/pki_internal.h"

enum { WRAPPED_MAX = 128 };

static const struct wrap_row {
    const char *oid, *fetch;
    size_t size;
} wraps[] = {
    {"2.16.840.1.101.3.4.1.5", "AES-128-WRAP", 16},
    {"2.16.840.1.101.3.4.1.25", "AES-192-WRAP", 24},
    {"2.16.840.1.101.3.4.1.45", "AES-256-WRAP", 32},
};
enum { WRAPS = sizeof(wraps) / sizeof(wraps[0]) };

size_t mu_pki_aes_wrap_size(struct mu_bytes oid)
{
    for (size_t i = 0; i < WRAPS; i++)
        if (mu_der_oid_is(oid, wraps[i].oid))
            return wraps[i].size;
    return 0;
}

size_t mu_pki_aes_wrap_size_for(enum mu_pki_cipher content)
{
    size_t n = mu_pki_cipher_is_legacy(content) ? 16 : mu_pki_cipher_key_size(content);
    return n == 24 || n == 32 ? n : 16;
}

static const struct wrap_row *row_of(size_t size)
{
    for (size_t i = 0; i < WRAPS; i++)
        if (wraps[i].size == size)
            return &wraps[i];
    return NULL;
}

void mu_pki_aes_wrap_put(struct mu_buf *b, size_t kek_size)
{
    const struct wrap_row *row = row_of(kek_size);
    size_t alg = mu_der_open(b, MU_DER_SEQUENCE);
    if (row)
        mu_der_put_oid(b, row->oid);
    else
        b->failed = true;
    mu_der_close(b, alg);
}

/* n is what came out, 0 for every failure. */
static size_t run(size_t size, bool encrypt, const uint8_t *kek, struct mu_bytes in, uint8_t *out)
{
    const struct wrap_row *row = row_of(size);
    EVP_CIPHER *cipher = row ? EVP_CIPHER_fetch(NULL, row->fetch, NULL) : NULL;
    EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;
    int n = 0;
    if (ctx) {
        EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
        if (EVP_CipherInit_ex(ctx, cipher, NULL, kek, NULL, encrypt) != 1
            || EVP_CipherUpdate(ctx, out, &n, in.p, (int)in.n) != 1 || n < 0)
            n = 0;
    }
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    ERR_clear_error();
    return (size_t)n;
}

bool mu_pki_aes_unwrap(const uint8_t *kek, size_t kek_size, struct mu_bytes wrapped,
    struct mu_secret *content_key)
{
    uint8_t plain[WRAPPED_MAX + 16];
    if (wrapped.n < 24 || wrapped.n > WRAPPED_MAX || wrapped.n % 8)
        return false;
    size_t n = run(kek_size, false, kek, wrapped, plain);
    bool ok = n && mu_secret_set(content_key, mu_bytes(plain, n), NULL) == MU_OK;
    mu_bytes_wipe(plain, sizeof(plain));
    return ok;
}

bool mu_pki_aes_wrap(const uint8_t *kek, size_t kek_size, struct mu_bytes content_key,
    struct mu_buf *out)
{
    uint8_t wrapped[WRAPPED_MAX + 16];
    if (content_key.n < 16 || content_key.n > WRAPPED_MAX - 8 || content_key.n % 8)
        return false;
    size_t n = run(kek_size, true, kek, content_key, wrapped);
    return n && mu_buf_put(out, wrapped, n);
}
