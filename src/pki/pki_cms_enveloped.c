/* EnvelopedData with one recipient (RFC 5652 6), AuthEnvelopedData (RFC 5083) on receipt. The kinds
 * of recipients are pki_cms_recipient.c, and beside it those by password and by key agreement. */
#include <openssl/err.h>
#include <stdlib.h>

#include "base/limits.h"
#include "pki/pki_cms.h"
#include "pki/pki_cms_pwri.h"
#include "pki/pki_cms_recipient.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"

static enum mu_code bad(const char *what, const char *clause, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "cms: malformed EnvelopedData: %s (RFC 5652 %s)", what, clause);
}

/* ---- decoding ---- */

static bool gcm_params_decode(struct mu_bytes params, struct mu_pki_enveloped *e)
{
    struct mu_der seq, nonce, len;
    if (!mu_der_only(params, MU_DER_SEQUENCE, &seq)
        || !mu_der_get(&seq.value, MU_DER_OCTET_STRING, &nonce)
        || !mu_der_optional(&seq.value, MU_DER_INTEGER, &len) || seq.value.n)
        return false;
    e->iv = nonce.value;
    return nonce.value.n >= 1 && nonce.value.n <= 16;
}

static enum mu_code cipher_decode(struct mu_bytes alg, struct mu_pki_enveloped *e,
    struct mu_err *err)
{
    struct mu_der oid, iv;
    char text[80];
    if (!mu_der_get(&alg, MU_DER_OID, &oid))
        return bad("contentEncryptionAlgorithm", "6.1", err);
    e->cipher = mu_pki_cipher_by_oid(oid.value);
    if (e->cipher == MU_PKI_CIPHER_NONE)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "cms: unknown cipher %s",
            mu_pki_oid_text(oid.value, text, sizeof(text)));
    if (mu_pki_cipher_is_aead(e->cipher))
        return gcm_params_decode(alg, e) ? MU_OK : bad("GCM parameters", "6.1", err);
    size_t want = mu_pki_cipher_is_legacy(e->cipher) ? 8 : 16;
    if (!mu_der_only(alg, MU_DER_OCTET_STRING, &iv) || iv.value.n != want)
        return bad("initialization vector", "6.1", err);
    e->iv = iv.value;
    return MU_OK;
}

/* BER allows encryptedContent in pieces under the constructed tag, which conversion to DER must
 * leave alone: moves the pieces together, in the buffer that is ours. */
static bool join_pieces(struct mu_buf *der, struct mu_bytes pieces, struct mu_bytes *out)
{
    uint8_t *to = der->p + (pieces.p - der->p), *start = to;
    struct mu_der piece;
    while (pieces.n) {
        if (!mu_der_get(&pieces, MU_DER_OCTET_STRING, &piece))
            return false;
        memmove(to, piece.value.p, piece.value.n);
        to += piece.value.n;
    }
    *out = mu_bytes(start, (size_t)(to - start));
    return true;
}

static enum mu_code content_decode(struct mu_bytes in, struct mu_pki_enveloped *e,
    struct mu_err *err)
{
    struct mu_der type, alg, content;
    if (!mu_der_get(&in, MU_DER_OID, &type) || !mu_der_get(&in, MU_DER_SEQUENCE, &alg))
        return bad("encryptedContentInfo", "6.1", err);
    e->content_type = type.value;
    enum mu_code rc = cipher_decode(alg.value, e, err);
    if (rc != MU_OK)
        return rc;
    if (!mu_der_next(&in, &content) || in.n)
        return bad("encryptedContent", "6.1", err);
    if (content.tag == MU_DER_CONTEXT(0))
        e->ciphertext = content.value;
    else if (content.tag != MU_DER_CONTEXT_CONSTRUCTED(0)
        || !join_pieces(&e->der, content.value, &e->ciphertext))
        return bad("encryptedContent", "6.1", err);
    return MU_OK;
}

/* What follows encryptedContentInfo differs between the two types. */
static enum mu_code tail_decode(struct mu_bytes in, bool auth, struct mu_pki_enveloped *e,
    struct mu_err *err)
{
    struct mu_der el;
    if (auth != mu_pki_cipher_is_aead(e->cipher))
        return bad("the cipher does not fit the content type", "6.1", err);
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &el))
        return bad("attributes", "6.1", err);
    if (auth) {
        if (el.whole.p)
            e->auth_attrs = el.value;
        if (!mu_der_get(&in, MU_DER_OCTET_STRING, &el) || el.value.n < 12 || el.value.n > 16
            || !mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(2), &(struct mu_der){0}))
            return bad("mac (RFC 5083 2.1)", "6.1", err);
        e->mac = el.value;
    }
    return in.n == 0 ? MU_OK : bad("something behind the content", "6.1", err);
}

/* Content of EnvelopedData out of the ContentInfo around it. */
static enum mu_code unwrap(struct mu_bytes der, struct mu_bytes *out, bool *auth,
    struct mu_err *err)
{
    struct mu_der whole, el;
    if (!mu_der_only(der, MU_DER_SEQUENCE, &whole) || !mu_der_get(&whole.value, MU_DER_OID, &el))
        return bad("no ContentInfo", "3", err);
    *auth = mu_der_oid_is(el.value, MU_OID_AUTH_ENVELOPED_DATA);
    if (!*auth && !mu_der_oid_is(el.value, MU_OID_ENVELOPED_DATA))
        return bad("another content type", "6.1", err);
    if (!mu_der_only(whole.value, MU_DER_CONTEXT_CONSTRUCTED(0), &el)
        || !mu_der_only(el.value, MU_DER_SEQUENCE, &whole))
        return bad("content", "3", err);
    *out = whole.value;
    return MU_OK;
}

static enum mu_code enveloped_decode(struct mu_bytes in, bool auth, struct mu_pki_enveloped *e,
    struct mu_err *err)
{
    struct mu_der el;
    int64_t version;
    enum mu_code rc;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el))
        return bad("version", "6.1", err);
    e->version = mu_der_int(el.value, &version) && version >= 0 && version < 100 ? (int)version : -1;
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el))
        return bad("originatorInfo", "6.1", err);
    if (!mu_der_get(&in, MU_DER_SET, &el))
        return bad("recipientInfos", "6.1", err);
    if ((rc = mu_pki_recipients_decode(el.value, e, err)) != MU_OK)
        return rc;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return bad("encryptedContentInfo", "6.1", err);
    if ((rc = content_decode(el.value, e, err)) != MU_OK)
        return rc;
    return tail_decode(in, auth, e, err);
}

static enum mu_code decode(struct mu_bytes in, bool bare, struct mu_pki_enveloped *out,
    struct mu_err *err)
{
    struct mu_pki_enveloped e = {0};
    struct mu_bytes content = {0};
    struct mu_der whole;
    bool auth = false;
    enum mu_code rc;
    mu_buf_init(&e.der, MU_LIMIT_REPLY);
    if (mu_der_is_definite(in)) {
        mu_buf_put_bytes(&e.der, in);
        rc = mu_buf_check(&e.der, "EnvelopedData", err);
    } else {
        rc = mu_der_from_ber(in, &e.der, NULL, err);
    }
    if (rc == MU_OK && !bare) {
        rc = unwrap(mu_buf_bytes(&e.der), &content, &auth, err);
    } else if (rc == MU_OK) {
        content = mu_buf_bytes(&e.der);
        if (!mu_der_next(&content, &whole) || content.n
            || (whole.tag != MU_DER_SEQUENCE && whole.tag != MU_DER_CONTEXT_CONSTRUCTED(0)))
            rc = bad("no SEQUENCE", "6.1", err);
        else
            content = whole.value;
    }
    if (rc == MU_OK)
        rc = enveloped_decode(content, auth, &e, err);
    if (rc == MU_OK)
        *out = e;
    else
        mu_pki_enveloped_clear(&e);
    return rc;
}

enum mu_code mu_pki_enveloped_decode(struct mu_bytes in, struct mu_pki_enveloped *out,
    struct mu_err *err)
{
    return decode(in, false, out, err);
}

enum mu_code mu_pki_enveloped_decode_bare(struct mu_bytes in, struct mu_pki_enveloped *out,
    struct mu_err *err)
{
    return decode(in, true, out, err);
}

void mu_pki_enveloped_clear(struct mu_pki_enveloped *e)
{
    mu_buf_clear(&e->der);
    *e = (struct mu_pki_enveloped){0};
}

bool mu_pki_enveloped_is_for(const struct mu_pki_enveloped *e, const struct mu_pki_cert *cert)
{
    uint8_t id[20];
    if (e->kind != MU_PKI_RECIPIENT_KTRI && e->kind != MU_PKI_RECIPIENT_KARI)
        return false;
    if (!e->rid_skid.p)
        return mu_pki_serial_equal(e->rid_serial, cert->serial)
            && mu_pki_name_equal(e->rid_issuer, cert->issuer);
    if (cert->exts.skid.n)
        return mu_bytes_equal(e->rid_skid, cert->exts.skid);
    return mu_pki_key_id(cert->spki, id) && mu_bytes_equal(e->rid_skid, mu_bytes(id, sizeof(id)));
}

/* ---- opening ---- */

/* The one answer to all that goes wrong behind the recipient's key. */
static enum mu_code cannot_open(struct mu_err *err)
{
    ERR_clear_error();
    return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE, "cms: the content cannot be decrypted");
}

static enum mu_code cipher_check(const struct mu_pki_enveloped *e, bool allow_legacy,
    struct mu_err *err)
{
    if (mu_pki_cipher_is_legacy(e->cipher) && !allow_legacy)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: %s is legacy and not allowed here", mu_pki_cipher_title(e->cipher));
    if (!mu_pki_alg_cipher(e->cipher))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: %s is not available in this OpenSSL", mu_pki_cipher_title(e->cipher));
    return MU_OK;
}

/* Authenticated attributes and tag; nothing to do for CBC. */
static bool aead_prepare(EVP_CIPHER_CTX *ctx, const struct mu_pki_enveloped *e)
{
    struct mu_buf aad;
    uint8_t tag[16];
    int n;
    if (!e->mac.n)
        return true;
    memcpy(tag, e->mac.p, e->mac.n);
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)e->mac.n, tag) != 1)
        return false;
    if (!e->auth_attrs.p)
        return true;
    mu_buf_init(&aad, MU_LIMIT_MESSAGE);
    mu_der_put(&aad, MU_DER_SET, e->auth_attrs); /* RFC 5083 2.2 */
    bool ok = !aad.failed && EVP_DecryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n) == 1;
    mu_buf_clear(&aad);
    return ok;
}

static bool content_decrypt(const struct mu_pki_enveloped *e, struct mu_bytes content_key,
    struct mu_buf *out)
{
    size_t before = out->n;
    int n = 0, last = 0;
    uint8_t *p = mu_buf_grow(out, e->ciphertext.n + EVP_MAX_BLOCK_LENGTH);
    EVP_CIPHER_CTX *ctx = p ? EVP_CIPHER_CTX_new() : NULL;
    bool ok = ctx && EVP_DecryptInit_ex(ctx, mu_pki_alg_cipher(e->cipher), NULL, NULL, NULL) == 1;
    if (ok && e->mac.n)
        ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)e->iv.n, NULL) == 1;
    ok = ok && EVP_DecryptInit_ex(ctx, NULL, NULL, content_key.p, e->iv.p) == 1
        && aead_prepare(ctx, e)
        && EVP_DecryptUpdate(ctx, p, &n, e->ciphertext.p, (int)e->ciphertext.n) == 1
        && EVP_DecryptFinal_ex(ctx, p + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (p && !ok)
        mu_bytes_wipe(p, e->ciphertext.n + EVP_MAX_BLOCK_LENGTH);
    if (p)
        mu_pki_cut(out, ok ? before + (size_t)n + (size_t)last : before);
    return ok;
}

enum mu_code mu_pki_enveloped_open_from(const struct mu_pki_enveloped *e,
    const struct mu_pki_key *key, const struct mu_pki_certs *originators, bool allow_legacy,
    struct mu_buf *out, struct mu_err *err)
{
    struct mu_secret content_key = {0};
    enum mu_code rc = cipher_check(e, allow_legacy, err);
    if (rc != MU_OK)
        return rc;
    if (e->kind == MU_PKI_RECIPIENT_KARI)
        rc = mu_pki_kari_unwrap(e, key, originators, &content_key, err);
    else if (e->kind == MU_PKI_RECIPIENT_KTRI)
        rc = mu_pki_key_transport_decrypt(key, e->key_alg, e->encrypted_key,
            mu_pki_cipher_key_size(e->cipher), &content_key, err);
    else
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: the recipient is not addressed by a key of its own (RFC 5652 6.2)");
    if (rc == MU_AUTH || (rc == MU_OK && !content_decrypt(e, mu_secret_bytes(&content_key), out)))
        rc = cannot_open(err);
    mu_secret_clear(&content_key);
    return rc;
}

enum mu_code mu_pki_enveloped_open(const struct mu_pki_enveloped *e, const struct mu_pki_key *key,
    bool allow_legacy, struct mu_buf *out, struct mu_err *err)
{
    return mu_pki_enveloped_open_from(e, key, NULL, allow_legacy, out, err);
}

enum mu_code mu_pki_enveloped_open_kek(const struct mu_pki_enveloped *e,
    const struct mu_secret *kek, struct mu_buf *out, struct mu_err *err)
{
    struct mu_secret content_key = {0};
    enum mu_code rc = cipher_check(e, false, err);
    if (rc != MU_OK)
        return rc;
    if (e->kind != MU_PKI_RECIPIENT_KEK)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: the recipient is not addressed by a shared key (RFC 5652 6.2.3)");
    rc = mu_pki_kek_unwrap(e, kek, &content_key, err);
    if (rc == MU_AUTH || (rc == MU_OK && !content_decrypt(e, mu_secret_bytes(&content_key), out)))
        rc = cannot_open(err);
    mu_secret_clear(&content_key);
    return rc;
}

enum mu_code mu_pki_enveloped_open_password(const struct mu_pki_enveloped *e,
    const struct mu_secret *password, bool allow_legacy, struct mu_buf *out, struct mu_err *err)
{
    struct mu_secret content_key = {0};
    enum mu_code rc = cipher_check(e, allow_legacy, err);
    if (rc != MU_OK)
        return rc;
    if (e->kind != MU_PKI_RECIPIENT_PWRI)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: the recipient is not addressed by a password (RFC 5652 6.2.4)");
    rc = mu_pki_pwri_unwrap(e, password, &content_key, err);
    if (rc == MU_AUTH || (rc == MU_OK && !content_decrypt(e, mu_secret_bytes(&content_key), out)))
        rc = cannot_open(err);
    mu_secret_clear(&content_key);
    return rc;
}

/* ---- encoding ---- */

static bool content_encrypt(enum mu_pki_cipher cipher, const uint8_t *key, const uint8_t *iv,
    struct mu_bytes plain, struct mu_buf *out)
{
    int n = 0, last = 0;
    uint8_t *p = mu_buf_grow(out, plain.n + EVP_MAX_BLOCK_LENGTH);
    EVP_CIPHER_CTX *ctx = p ? EVP_CIPHER_CTX_new() : NULL;
    bool ok = ctx && EVP_EncryptInit_ex(ctx, mu_pki_alg_cipher(cipher), NULL, key, iv) == 1
        && EVP_EncryptUpdate(ctx, p, &n, plain.p, (int)plain.n) == 1
        && EVP_EncryptFinal_ex(ctx, p + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (ok)
        mu_pki_cut(out, (size_t)n + (size_t)last);
    return ok;
}

static void content_put(struct mu_buf *b, const struct mu_pki_enveloped_params *p,
    struct mu_bytes iv, struct mu_bytes ciphertext)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, p->content_type ? p->content_type : MU_OID_DATA);
    size_t alg = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, mu_pki_cipher_oid(p->cipher));
    mu_der_put(b, MU_DER_OCTET_STRING, iv);
    mu_der_close(b, alg);
    mu_der_put(b, MU_DER_CONTEXT(0), ciphertext);
    mu_der_close(b, seq);
}

static enum mu_code enveloped_put(struct mu_buf *b, const struct mu_pki_enveloped_params *p,
    struct mu_bytes content_key, struct mu_bytes iv, struct mu_bytes ciphertext,
    const struct mu_env *env, struct mu_err *err)
{
    size_t info = 0, wrapped = 0;
    if (!p->bare) {
        info = mu_der_open(b, MU_DER_SEQUENCE);
        mu_der_put_oid(b, MU_OID_ENVELOPED_DATA);
        wrapped = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    }
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_int(b, mu_pki_recipient_version(p)); /* COM-10 */
    size_t set = mu_der_open(b, MU_DER_SET);
    enum mu_code rc = mu_pki_recipient_put(b, p, content_key, env, err);
    mu_der_close(b, set);
    content_put(b, p, iv, ciphertext);
    mu_der_close(b, seq);
    if (!p->bare) {
        mu_der_close(b, wrapped);
        mu_der_close(b, info);
    }
    return rc == MU_OK ? mu_buf_check(b, "EnvelopedData", err) : rc;
}

enum mu_code mu_pki_enveloped_encode(const struct mu_pki_enveloped_params *params,
    struct mu_bytes plain, const struct mu_env *env, struct mu_buf *out, struct mu_err *err)
{
    uint8_t key[32], iv[16];
    size_t key_n = mu_pki_cipher_key_size(params->cipher);
    size_t iv_n = mu_pki_cipher_is_legacy(params->cipher) ? 8 : 16;
    struct mu_buf ciphertext, b;
    enum mu_code rc;
    if (mu_pki_cipher_is_legacy(params->cipher) && !params->allow_legacy)
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "%s is weak or legacy",
            mu_pki_cipher_word(params->cipher));
    if (mu_pki_cipher_is_aead(params->cipher) || !mu_pki_alg_cipher(params->cipher))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "cms: cannot encrypt with %s",
            mu_pki_cipher_title(params->cipher));
    mu_buf_init(&ciphertext, MU_LIMIT_REPLY);
    mu_buf_init(&b, MU_LIMIT_REPLY);
    if ((rc = mu_env_random(env, key, key_n, err)) != MU_OK
        || (rc = mu_env_random(env, iv, iv_n, err)) != MU_OK)
        goto out;
    if (!content_encrypt(params->cipher, key, iv, plain, &ciphertext)) {
        rc = mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "cms: encryption failed");
        goto out;
    }
    rc = enveloped_put(&b, params, mu_bytes(key, key_n), mu_bytes(iv, iv_n),
        mu_buf_bytes(&ciphertext), env, err);
    if (rc == MU_OK) {
        mu_buf_put_bytes(out, mu_buf_bytes(&b));
        rc = mu_buf_check(out, "EnvelopedData", err);
    }
out:
    mu_bytes_wipe(key, sizeof(key));
    mu_buf_clear(&ciphertext);
    mu_buf_clear(&b);
    return rc;
}
