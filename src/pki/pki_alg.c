/* Algorithms: words, OIDs, and OpenSSL's handles for them, fetched once. */
#include "pki/pki_alg.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "pki/pki_internal.h"

static const struct digest_row {
    const char *word, *title, *oid;
    size_t size;
} digest_rows[] = {
    [MU_PKI_MD5] = {"md5", "MD5", "1.2.840.113549.2.5", 16},
    [MU_PKI_SHA1] = {"sha1", "SHA-1", "1.3.14.3.2.26", 20},
    [MU_PKI_SHA224] = {"sha224", "SHA-224", "2.16.840.1.101.3.4.2.4", 28},
    [MU_PKI_SHA256] = {"sha256", "SHA-256", "2.16.840.1.101.3.4.2.1", 32},
    [MU_PKI_SHA384] = {"sha384", "SHA-384", "2.16.840.1.101.3.4.2.2", 48},
    [MU_PKI_SHA512] = {"sha512", "SHA-512", "2.16.840.1.101.3.4.2.3", 64},
};
enum { DIGEST_ROWS = sizeof(digest_rows) / sizeof(digest_rows[0]) };

static const struct cipher_row {
    const char *word, *title, *oid, *fetch;
    size_t key_size;
    bool legacy;
} cipher_rows[] = {
    [MU_PKI_DES_CBC] = {"des", "DES-CBC", "1.3.14.3.2.7", "DES-CBC", 8, true},
    [MU_PKI_DES3_CBC] = {"3des", "3DES-CBC", "1.2.840.113549.3.7", "DES-EDE3-CBC", 24, true},
    [MU_PKI_BLOWFISH_CBC] = {"blowfish", "Blowfish-CBC", "1.3.6.1.4.1.3029.1.2", "BF-CBC", 16,
        true},
    [MU_PKI_AES128_CBC] = {"aes128", "AES-128-CBC", "2.16.840.1.101.3.4.1.2", "AES-128-CBC", 16,
        false},
    [MU_PKI_AES192_CBC] = {"aes192", "AES-192-CBC", "2.16.840.1.101.3.4.1.22", "AES-192-CBC", 24,
        false},
    [MU_PKI_AES256_CBC] = {"aes256", "AES-256-CBC", "2.16.840.1.101.3.4.1.42", "AES-256-CBC", 32,
        false},
    [MU_PKI_AES128_GCM] = {"aes128gcm", "AES-128-GCM", "2.16.840.1.101.3.4.1.6", "AES-128-GCM", 16,
        false},
    [MU_PKI_AES256_GCM] = {"aes256gcm", "AES-256-GCM", "2.16.840.1.101.3.4.1.46", "AES-256-GCM",
        32, false},
};
enum { CIPHER_ROWS = sizeof(cipher_rows) / sizeof(cipher_rows[0]) };

/* Constant for the life of the process: a fetch costs more than the digest of a small message. */
static pthread_once_t fetched = PTHREAD_ONCE_INIT;
static EVP_MD *mds[DIGEST_ROWS];
static EVP_CIPHER *ciphers[CIPHER_ROWS];
static void contexts_free(void *of_thread);
static pthread_key_t contexts;

static void fetch_all(void)
{
    for (int i = 1; i < DIGEST_ROWS; i++)
        mds[i] = EVP_MD_fetch(NULL, digest_rows[i].word, NULL);
    for (int i = 1; i < CIPHER_ROWS; i++)
        if (!cipher_rows[i].legacy)
            ciphers[i] = EVP_CIPHER_fetch(NULL, cipher_rows[i].fetch, NULL);
    if (pthread_key_create(&contexts, contexts_free) != 0)
        abort(); /* more keys than a process can have */
    ERR_clear_error();
}

const EVP_MD *mu_pki_alg_md(enum mu_pki_digest d)
{
    pthread_once(&fetched, fetch_all);
    assert((int)d >= 0 && (int)d < DIGEST_ROWS);
    return mds[d];
}

/* Contexts of this thread, one for each digest: to make one, and to say which digest it is for,
 * costs more than the digest of a small message. */
static void contexts_free(void *of_thread)
{
    EVP_MD_CTX **v = of_thread;
    for (int i = 0; i < DIGEST_ROWS; i++)
        EVP_MD_CTX_free(v[i]);
    free(v);
}

EVP_MD_CTX *mu_pki_alg_md_ctx(enum mu_pki_digest d)
{
    const EVP_MD *md = mu_pki_alg_md(d);
    EVP_MD_CTX **v = md ? pthread_getspecific(contexts) : NULL;
    if (md && !v) {
        v = calloc(DIGEST_ROWS, sizeof(*v));
        if (!v || pthread_setspecific(contexts, v) != 0) {
            free(v);
            return NULL;
        }
    }
    if (!v)
        return NULL;
    if (v[d])
        return EVP_DigestInit_ex(v[d], NULL, NULL) == 1 ? v[d] : NULL;
    v[d] = EVP_MD_CTX_new();
    if (v[d] && EVP_DigestInit_ex(v[d], md, NULL) != 1) {
        EVP_MD_CTX_free(v[d]);
        v[d] = NULL;
    }
    return v[d];
}

const EVP_CIPHER *mu_pki_alg_cipher(enum mu_pki_cipher c)
{
    assert((int)c >= 0 && (int)c < CIPHER_ROWS);
    if (cipher_rows[c].legacy)
        return mu_pki_legacy_cipher(c);
    pthread_once(&fetched, fetch_all);
    return ciphers[c];
}

enum mu_code mu_pki_ossl_fail(struct mu_err *err, enum mu_code code, enum mu_reason reason,
    const char *fmt, ...)
{
    char what[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    mu_err_set(err, code, reason, why ? "%s: %s" : "%s%s", what, why ? why : "");
    ERR_clear_error();
    return code;
}

const char *mu_pki_oid_text(struct mu_bytes oid, char *buf, size_t size)
{
    struct mu_buf text = {0};
    mu_buf_init(&text, 256);
    bool ok = mu_der_oid_format(oid, &text) && !text.failed;
    snprintf(buf, size, "%s", ok ? mu_buf_str(&text) : "(bad OID)");
    mu_buf_clear(&text);
    return buf;
}

/* ---- digests ---- */

const char *mu_pki_digest_word(enum mu_pki_digest d)
{
    return digest_rows[d].word;
}

const char *mu_pki_digest_title(enum mu_pki_digest d)
{
    return digest_rows[d].title;
}

const char *mu_pki_digest_oid(enum mu_pki_digest d)
{
    return digest_rows[d].oid;
}

bool mu_pki_digest_parse(const char *word, enum mu_pki_digest *out)
{
    for (int i = 1; i < DIGEST_ROWS; i++) {
        if (mu_text_equal_nocase(word, digest_rows[i].word)
            || mu_text_equal_nocase(word, digest_rows[i].title)) {
            *out = (enum mu_pki_digest)i;
            return true;
        }
    }
    return false;
}

bool mu_pki_digest_is_legacy(enum mu_pki_digest d)
{
    return d == MU_PKI_MD5 || d == MU_PKI_SHA1;
}

size_t mu_pki_digest_size(enum mu_pki_digest d)
{
    return digest_rows[d].size;
}

enum mu_pki_digest mu_pki_digest_by_oid(struct mu_bytes oid)
{
    for (int i = DIGEST_ROWS - 1; i > 0; i--)
        if (mu_der_oid_is(oid, digest_rows[i].oid))
            return (enum mu_pki_digest)i;
    return MU_PKI_DIGEST_NONE;
}

bool mu_pki_digest_decode(struct mu_bytes algorithm_identifier, enum mu_pki_digest *out)
{
    struct mu_der seq, oid, null;
    if (!mu_der_only(algorithm_identifier, MU_DER_SEQUENCE, &seq))
        return false;
    struct mu_bytes in = seq.value;
    if (!mu_der_get(&in, MU_DER_OID, &oid) || !mu_der_optional(&in, MU_DER_NULL, &null) || in.n)
        return false;
    if (null.whole.p && null.value.n)
        return false;
    enum mu_pki_digest d = mu_pki_digest_by_oid(oid.value);
    if (d == MU_PKI_DIGEST_NONE)
        return false;
    *out = d;
    return true;
}

void mu_pki_digest_encode(struct mu_buf *out, enum mu_pki_digest d)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, digest_rows[d].oid);
    if (mu_pki_digest_is_legacy(d))
        mu_der_put_null(out); /* RFC 3370 2.1: implementations expect it */
    mu_der_close(out, seq);
}

size_t mu_pki_digest(enum mu_pki_digest d, struct mu_bytes data, uint8_t out[64])
{
    EVP_MD_CTX *ctx = mu_pki_alg_md_ctx(d);
    unsigned n = 0;
    if (!ctx || (data.n != 0 && EVP_DigestUpdate(ctx, data.p, data.n) != 1)
        || EVP_DigestFinal_ex(ctx, out, &n) != 1) {
        ERR_clear_error();
        return 0;
    }
    return n;
}

static bool update_all(enum mu_pki_digest d, const uint8_t *pad, size_t block, struct mu_bytes data,
    uint8_t *out, unsigned *n)
{
    EVP_MD_CTX *ctx = mu_pki_alg_md_ctx(d);
    return ctx && EVP_DigestUpdate(ctx, pad, block) == 1
        && (data.n == 0 || EVP_DigestUpdate(ctx, data.p, data.n) == 1)
        && EVP_DigestFinal_ex(ctx, out, n) == 1;
}

/* RFC 2104 over the fetched digest: HMAC() of OpenSSL 3 fetches its algorithm at each call, which
 * costs more than the MAC. */
size_t mu_pki_hmac(enum mu_pki_digest d, struct mu_bytes key, struct mu_bytes data, uint8_t out[64])
{
    const EVP_MD *md = mu_pki_alg_md(d);
    uint8_t inner[EVP_MAX_MD_SIZE], short_key[EVP_MAX_MD_SIZE], ipad[128], opad[128];
    size_t block = md ? (size_t)EVP_MD_get_block_size(md) : 0;
    unsigned n = 0, inner_n = 0;
    bool ok = block && block <= sizeof(ipad);
    if (ok && key.n > block) {
        key = mu_bytes(short_key, mu_pki_digest(d, key, short_key));
        ok = key.n != 0;
    }
    for (size_t i = 0; ok && i < block; i++) {
        uint8_t k = i < key.n ? key.p[i] : 0;
        ipad[i] = k ^ 0x36;
        opad[i] = k ^ 0x5c;
    }
    ok = ok && update_all(d, ipad, block, data, inner, &inner_n)
        && update_all(d, opad, block, mu_bytes(inner, inner_n), out, &n)
        && mu_pki_alg_md_ctx(d); /* begun anew: what was computed may be a key */
    mu_bytes_wipe(ipad, sizeof(ipad));
    mu_bytes_wipe(opad, sizeof(opad));
    mu_bytes_wipe(inner, sizeof(inner));
    mu_bytes_wipe(short_key, sizeof(short_key));
    ERR_clear_error();
    return ok ? n : 0;
}

bool mu_pki_hmac_sha256(struct mu_bytes key, struct mu_bytes data, uint8_t out[32])
{
    uint8_t mac[64];
    bool ok = mu_pki_hmac(MU_PKI_SHA256, key, data, mac) == 32;
    if (ok)
        memcpy(out, mac, 32);
    mu_bytes_wipe(mac, sizeof(mac));
    return ok;
}

/* ---- ciphers ---- */

const char *mu_pki_cipher_word(enum mu_pki_cipher c)
{
    return cipher_rows[c].word;
}

const char *mu_pki_cipher_title(enum mu_pki_cipher c)
{
    return cipher_rows[c].title;
}

const char *mu_pki_cipher_oid(enum mu_pki_cipher c)
{
    return cipher_rows[c].oid;
}

bool mu_pki_cipher_parse(const char *word, enum mu_pki_cipher *out)
{
    static const struct {
        const char *word;
        enum mu_pki_cipher cipher;
    } others[] = {
        {"aes", MU_PKI_AES128_CBC},
        {"des3", MU_PKI_DES3_CBC},
        {"des-ede3-cbc", MU_PKI_DES3_CBC},
        {"bf-cbc", MU_PKI_BLOWFISH_CBC},
    };
    for (int i = 1; i < CIPHER_ROWS; i++) {
        if (mu_text_equal_nocase(word, cipher_rows[i].word)
            || mu_text_equal_nocase(word, cipher_rows[i].title)) {
            *out = (enum mu_pki_cipher)i;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (mu_text_equal_nocase(word, others[i].word)) {
            *out = others[i].cipher;
            return true;
        }
    }
    return false;
}

bool mu_pki_cipher_is_legacy(enum mu_pki_cipher c)
{
    return cipher_rows[c].legacy;
}

bool mu_pki_cipher_is_aead(enum mu_pki_cipher c)
{
    return c == MU_PKI_AES128_GCM || c == MU_PKI_AES256_GCM;
}

size_t mu_pki_cipher_key_size(enum mu_pki_cipher c)
{
    return cipher_rows[c].key_size;
}

enum mu_pki_cipher mu_pki_cipher_by_oid(struct mu_bytes oid)
{
    for (int i = CIPHER_ROWS - 1; i > 0; i--)
        if (mu_der_oid_is(oid, cipher_rows[i].oid))
            return (enum mu_pki_cipher)i;
    return MU_PKI_CIPHER_NONE;
}
