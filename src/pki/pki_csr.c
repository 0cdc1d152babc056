/* PKCS #10 requests, both directions. */
#include "pki/pki_csr.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"
#include "pki/pki_pem.h"

struct box {
    struct mu_pki_csr csr;
    size_t n;
    uint8_t der[];
};

static enum mu_code bad(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "malformed certificate request: %s (RFC 2986 4)", what);
}

/* ---- attributes ---- */

/* The content of the SET; or the one value itself, where an old client left the SET out (IOP-17). */
static bool attribute_values(struct mu_bytes in, struct mu_bytes *values)
{
    struct mu_der el;
    if (!mu_der_next(&in, &el) || in.n)
        return false;
    *values = el.tag == MU_DER_SET ? el.value : el.whole;
    return true;
}

/* Finds the attribute; *values is what its SET holds. False at malformed DER; *times counts. */
static bool attribute_find(struct mu_bytes attributes, const char *oid, struct mu_bytes *values,
    unsigned *times)
{
    struct mu_der seq, type;
    struct mu_bytes found;
    *times = 0;
    while (attributes.n) {
        if (!mu_der_get(&attributes, MU_DER_SEQUENCE, &seq)
            || !mu_der_get(&seq.value, MU_DER_OID, &type)
            || !attribute_values(seq.value, &found))
            return false;
        if (!mu_der_oid_is(type.value, oid))
            continue;
        if ((*times)++ == 0)
            *values = found;
    }
    return true;
}

/* The one value of an attribute that must be single; p NULL if the attribute is not there. */
static enum mu_code attribute_single(struct mu_bytes attributes, const char *oid, const char *name,
    struct mu_der *out, struct mu_err *err)
{
    struct mu_bytes values = {0};
    unsigned times;
    *out = (struct mu_der){0};
    if (!attribute_find(attributes, oid, &values, &times))
        return bad("attributes", err);
    if (times == 0)
        return MU_OK;
    if (times > 1 || !mu_der_next(&values, out) || values.n)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "certificate request: %s has not exactly one value (RFC 2985 5.4)", name);
    return MU_OK;
}

struct mu_bytes mu_pki_csr_attribute(const struct mu_pki_csr *csr, const char *oid)
{
    struct mu_bytes values = {0};
    struct mu_der el;
    unsigned times;
    if (!attribute_find(csr->attributes, oid, &values, &times) || times == 0
        || !mu_der_next(&values, &el))
        return mu_bytes(NULL, 0);
    return el.whole;
}

static enum mu_code challenge_decode(struct mu_pki_csr *csr, struct mu_err *err)
{
    struct mu_der value;
    enum mu_code rc = attribute_single(csr->attributes, MU_OID_CHALLENGE_PASSWORD,
        "challengePassword", &value, err);
    if (rc != MU_OK || !value.whole.p || value.value.n == 0)
        return rc;
    struct mu_buf text;
    mu_buf_init_secret(&text, 4 * MU_LIMIT_CHALLENGE);
    /* IOP-17: a type that is no string is taken as the octets it holds */
    if (!mu_der_string(&value, &text)) {
        mu_buf_reset(&text);
        mu_buf_put_bytes(&text, value.value);
    }
    if (text.failed || value.value.n > (size_t)4 * MU_LIMIT_CHALLENGE)
        rc = mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "certificate request: challengePassword is too long (RFC 2985 5.4.1)");
    else if (text.n)
        rc = mu_secret_set(&csr->challenge, mu_buf_bytes(&text), err);
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code extensions_decode(struct mu_pki_csr *csr, struct mu_err *err)
{
    struct mu_der value;
    csr->exts.path_len = -1;
    enum mu_code rc = attribute_single(csr->attributes, MU_OID_EXTENSION_REQUEST,
        "extensionRequest", &value, err);
    if (rc == MU_OK && !value.whole.p)
        rc = attribute_single(csr->attributes, MU_OID_MS_EXTENSION_REQUEST, "extensionRequest",
            &value, err);
    if (rc != MU_OK || !value.whole.p)
        return rc;
    if (value.whole.n > MU_LIMIT_EXTENSIONS) /* COM-15 */
        return bad("extensions of more octets than are taken", err);
    return mu_pki_exts_decode(value.whole, &csr->exts, err);
}

/* ---- decoding ---- */

static enum mu_code info_decode(struct mu_bytes in, struct mu_pki_csr *csr, struct mu_err *err)
{
    struct mu_der el;
    int64_t version;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el) || !mu_der_int(el.value, &version))
        return bad("version", err);
    csr->version = version < 0 || version > INT32_MAX ? INT32_MAX : (int)version;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el) || el.whole.n > MU_LIMIT_NAME
        || !mu_pki_name_valid(el.whole))
        return bad("subject", err);
    csr->subject = el.whole;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return bad("subjectPKInfo", err);
    csr->spki = el.whole;
    /* COM-17: missing attributes are forgiven */
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el) || in.n)
        return bad("attributes", err);
    if (el.whole.p)
        csr->attributes = el.value;
    return MU_OK;
}

static enum mu_code csr_decode(struct mu_pki_csr *csr, struct mu_err *err)
{
    struct mu_der whole, info, alg, bits;
    if (!mu_der_only(csr->der, MU_DER_SEQUENCE, &whole))
        return bad("no DER SEQUENCE", err);
    struct mu_bytes in = whole.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &info))
        return bad("certificationRequestInfo", err);
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &alg))
        return bad("signatureAlgorithm", err);
    if (!mu_der_get(&in, MU_DER_BIT_STRING, &bits) || in.n
        || !mu_der_bits(bits.value, &csr->signature))
        return bad("signature", err);
    csr->info = info.whole;
    csr->sig_alg = alg.whole;
    enum mu_code rc = info_decode(info.value, csr, err);
    if (rc == MU_OK)
        rc = extensions_decode(csr, err);
    if (rc == MU_OK)
        rc = challenge_decode(csr, err);
    return rc;
}

static bool is_request_label(struct mu_bytes label)
{
    return mu_bytes_equal(label, mu_bytes_str("CERTIFICATE REQUEST"))
        || mu_bytes_equal(label, mu_bytes_str("NEW CERTIFICATE REQUEST"));
}

/* DER of the request into der, out of PEM or BER. */
static enum mu_code unwrap(struct mu_bytes file, struct mu_buf *der, struct mu_err *err)
{
    struct mu_bytes text = file, label;
    bool malformed;
    if (!mu_pki_pem_is(file)) {
        if (!mu_der_is_definite(file))
            return mu_der_from_ber(file, der, NULL, err);
        mu_buf_put_bytes(der, file);
        return mu_buf_check(der, "certificate request", err);
    }
    while (mu_pki_pem_next(&text, &label, der, &malformed))
        if (is_request_label(label))
            return MU_OK;
    return bad(malformed ? "broken PEM" : "no CERTIFICATE REQUEST in the PEM text", err);
}

enum mu_code mu_pki_csr_decode(struct mu_bytes file, struct mu_pki_csr **out, struct mu_err *err)
{
    struct mu_buf der;
    struct box *box = NULL;
    mu_buf_init_secret(&der, MU_LIMIT_MESSAGE); /* a challenge may be inside */
    enum mu_code rc = unwrap(file, &der, err);
    if (rc == MU_OK && !(box = calloc(1, sizeof(*box) + der.n)))
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a certificate request");
    if (rc == MU_OK) {
        box->n = der.n;
        if (der.n)
            memcpy(box->der, der.p, der.n);
        box->csr.der = mu_bytes(box->der, der.n);
        rc = csr_decode(&box->csr, err);
    }
    if (rc == MU_OK)
        *out = &box->csr;
    else if (box)
        mu_pki_csr_free(&box->csr);
    mu_buf_clear(&der);
    return rc;
}

void mu_pki_csr_free(struct mu_pki_csr *csr)
{
    if (!csr)
        return;
    struct box *box = (struct box *)csr; /* its first member */
    mu_secret_clear(&csr->challenge);
    mu_bytes_wipe(box->der, box->n);
    free(box);
}

enum mu_code mu_pki_csr_verify(const struct mu_pki_csr *csr, bool allow_legacy,
    struct mu_pki_key **key, struct mu_err *err)
{
    const struct mu_pki_verify_opts opts = {.allow_legacy = allow_legacy};
    struct mu_pki_key *own = NULL;
    enum mu_code rc = mu_pki_key_from_spki(csr->spki, &own, err);
    if (rc == MU_OK)
        rc = mu_pki_key_verify(own, csr->sig_alg, csr->info, csr->signature, &opts, NULL, err);
    if (rc == MU_AUTH)
        mu_err_set(err, MU_AUTH, MU_REFUSE_POP,
            "certificate request: its signature is not made with its own key (RFC 2986 3)");
    else if (rc != MU_OK)
        mu_err_context(err, "certificate request");
    if (rc == MU_OK && key) {
        *key = own;
        own = NULL;
    }
    mu_pki_key_free(own);
    return rc;
}

/* ---- making ---- */

static void attribute_put(struct mu_buf *b, const char *oid, struct mu_bytes value,
    const char *text)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, oid);
    size_t set = mu_der_open(b, MU_DER_SET);
    if (text)
        mu_der_put_string(b, text);
    else
        mu_buf_put_bytes(b, value);
    mu_der_close(b, set);
    mu_der_close(b, seq);
}

static void info_put(struct mu_buf *b, const struct mu_pki_csr_params *params, struct mu_bytes spki)
{
    const struct mu_bytes none = {0};
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_int(b, 0);
    if (params->subject.n)
        mu_buf_put_bytes(b, params->subject);
    else
        mu_der_put(b, MU_DER_SEQUENCE, none);
    mu_buf_put_bytes(b, spki);
    size_t attributes = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    if (params->challenge && params->challenge->n)
        attribute_put(b, MU_OID_CHALLENGE_PASSWORD, none, (const char *)params->challenge->p);
    if (params->extensions.n)
        attribute_put(b, MU_OID_EXTENSION_REQUEST, params->extensions, NULL);
    mu_buf_put_bytes(b, params->attributes);
    mu_der_close_set_of(b, attributes);
    mu_der_close(b, seq);
}

/* rsaEncryption with a BIT STRING of no bits. */
static const uint8_t no_key[] = {0x30, 0x12, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
    0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x01, 0x00};

enum mu_code mu_pki_csr_frame(struct mu_bytes subject, struct mu_bytes spki,
    struct mu_bytes extensions, struct mu_buf *der, struct mu_err *err)
{
    const struct mu_pki_csr_params params = {.subject = subject, .extensions = extensions};
    size_t whole = mu_der_open(der, MU_DER_SEQUENCE);
    info_put(der, &params, spki.n ? spki : mu_bytes(no_key, sizeof(no_key)));
    size_t alg = mu_der_open(der, MU_DER_SEQUENCE);
    mu_der_put_oid(der, "1.3.6.1.5.5.7.6.2"); /* id-alg-noSignature (RFC 5272 C.1) */
    mu_der_put_null(der);
    mu_der_close(der, alg);
    mu_der_put_bits(der, mu_bytes(NULL, 0));
    mu_der_close(der, whole);
    return mu_buf_check(der, "certificate request", err);
}

bool mu_pki_csr_lacks_key(const struct mu_pki_csr *csr)
{
    struct mu_der seq, alg, bits;
    return mu_der_only(csr->spki, MU_DER_SEQUENCE, &seq)
        && mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg)
        && mu_der_get(&seq.value, MU_DER_BIT_STRING, &bits) && bits.value.n <= 1;
}

enum mu_code mu_pki_csr_make(const struct mu_pki_csr_params *params, const struct mu_pki_key *key,
    struct mu_buf *der, struct mu_err *err)
{
    enum mu_pki_digest digest = params->digest;
    struct mu_buf info, sig_alg;
    if (digest == MU_PKI_DIGEST_NONE)
        digest = mu_pki_key_default_digest(key);
    if (params->challenge && params->challenge->n > MU_LIMIT_CHALLENGE)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the challenge password is longer than %d (RFC 2985 5.4.1)", (int)MU_LIMIT_CHALLENGE);
    if (params->challenge && params->challenge->p
        && (memchr(params->challenge->p, 0, params->challenge->n)
            || !mu_text_is_utf8(mu_secret_bytes(params->challenge))))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the challenge password is no text");
    mu_buf_init_secret(&info, MU_LIMIT_MESSAGE);
    mu_buf_init(&sig_alg, 64);
    info_put(&info, params, mu_pki_key_spki(key));
    mu_pki_key_sign_alg(key, digest, &sig_alg);
    enum mu_code rc = mu_buf_check(&info, "certificate request", err);
    if (rc == MU_OK && sig_alg.failed)
        rc = mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "this key cannot sign with the digest asked for");
    if (rc == MU_OK)
        rc = mu_pki_sign_wrap(mu_buf_bytes(&info), mu_buf_bytes(&sig_alg), key, digest, der, err);
    mu_buf_clear(&info);
    mu_buf_clear(&sig_alg);
    return rc;
}

bool mu_pki_csr_to_pem(struct mu_bytes der, struct mu_buf *out)
{
    return mu_pki_pem_put(out, "CERTIFICATE REQUEST", der);
}
