/* SignedData with one signer (RFC 5652 5): decoding, verifying, encoding. */
#include <stdlib.h>

#include "base/limits.h"
#include "pki/pki_cms.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"

static enum mu_code bad(const char *what, const char *clause, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "cms: malformed SignedData: %s (RFC 5652 %s)", what, clause);
}

/* ---- decoding ---- */

static enum mu_code sid_decode(struct mu_bytes *in, struct mu_pki_signed *s, struct mu_err *err)
{
    struct mu_der sid, el;
    if (!mu_der_next(in, &sid))
        return bad("sid", "5.3", err);
    if (sid.tag == MU_DER_CONTEXT(0)) {
        s->sid_skid = sid.value;
        return MU_OK;
    }
    if (sid.tag != MU_DER_SEQUENCE || !mu_der_get(&sid.value, MU_DER_SEQUENCE, &el))
        return bad("sid", "5.3", err);
    s->sid_issuer = el.whole;
    if (!mu_der_get(&sid.value, MU_DER_INTEGER, &el) || sid.value.n)
        return bad("sid", "5.3", err);
    s->sid_serial = el.value;
    return MU_OK;
}

static enum mu_code signer_decode(struct mu_bytes in, struct mu_pki_signed *s, struct mu_err *err)
{
    struct mu_der el, attrs;
    enum mu_code rc;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el))
        return bad("SignerInfo version", "5.3", err);
    if ((rc = sid_decode(&in, s, err)) != MU_OK)
        return rc;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return bad("digestAlgorithm", "5.3", err);
    if (!mu_pki_digest_decode(el.whole, &s->digest))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: unknown digest algorithm of the signer (RFC 5652 5.3)");
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &attrs))
        return bad("signedAttrs", "5.3", err);
    if (attrs.whole.p)
        s->signed_attrs = attrs.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return bad("signatureAlgorithm", "5.3", err);
    s->sig_alg = el.whole;
    if (!mu_der_get(&in, MU_DER_OCTET_STRING, &el))
        return bad("signature", "5.3", err);
    s->signature = el.value;
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &el) || in.n)
        return bad("unsignedAttrs", "5.3", err);
    return MU_OK;
}

/* COM-06: the signer's digest is announced in front. */
static bool digest_is_listed(struct mu_bytes digests, enum mu_pki_digest digest)
{
    struct mu_der el;
    enum mu_pki_digest d;
    while (digests.n && mu_der_next(&digests, &el))
        if (mu_pki_digest_decode(el.whole, &d) && d == digest)
            return true;
    return false;
}

static enum mu_code signers_decode(struct mu_bytes in, struct mu_bytes digests,
    struct mu_pki_signed *s, struct mu_err *err)
{
    struct mu_der signer;
    if (in.n == 0)
        return MU_OK;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &signer))
        return bad("signerInfos", "5.1", err);
    if (in.n)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cms: more than one signer (RFC 8894 3.1)");
    s->signer_count = 1;
    enum mu_code rc = signer_decode(signer.value, s, err);
    if (rc == MU_OK && !digest_is_listed(digests, s->digest))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cms: the signer's digest is not in digestAlgorithms (RFC 8933 3)");
    return rc;
}

static enum mu_code content_decode(struct mu_bytes in, struct mu_pki_signed *s, struct mu_err *err)
{
    struct mu_der el, wrapped, octets;
    if (!mu_der_get(&in, MU_DER_OID, &el))
        return bad("eContentType", "5.2", err);
    s->content_type = el.value;
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &wrapped) || in.n)
        return bad("eContent", "5.2", err);
    if (!wrapped.whole.p)
        return MU_OK;
    if (!mu_der_only(wrapped.value, MU_DER_OCTET_STRING, &octets))
        return bad("eContent is no OCTET STRING", "5.2", err);
    s->content = octets.value;
    return MU_OK;
}

/* Content of SignedData out of the ContentInfo around it. */
static enum mu_code unwrap(struct mu_bytes der, struct mu_bytes *out, struct mu_err *err)
{
    struct mu_der whole, el;
    if (!mu_der_only(der, MU_DER_SEQUENCE, &whole) || !mu_der_get(&whole.value, MU_DER_OID, &el))
        return bad("no ContentInfo", "3", err);
    if (!mu_der_oid_is(el.value, MU_OID_SIGNED_DATA))
        return bad("another content type", "5.1", err);
    if (!mu_der_only(whole.value, MU_DER_CONTEXT_CONSTRUCTED(0), &el)
        || !mu_der_only(el.value, MU_DER_SEQUENCE, &whole))
        return bad("content", "3", err);
    *out = whole.value;
    return MU_OK;
}

static enum mu_code signed_decode(struct mu_bytes in, struct mu_pki_signed *s, struct mu_err *err)
{
    struct mu_der el, digests, set;
    enum mu_code rc;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el))
        return bad("version", "5.1", err);
    if (!mu_der_get(&in, MU_DER_SET, &digests))
        return bad("digestAlgorithms", "5.1", err);
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return bad("encapContentInfo", "5.1", err);
    if ((rc = content_decode(el.value, s, err)) != MU_OK)
        return rc;
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &set))
        return bad("certificates", "5.1", err);
    if (set.whole.p && (rc = mu_pki_certs_from_set(set.value, &s->certs, err)) != MU_OK)
        return rc;
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &set))
        return bad("crls", "5.1", err);
    if (set.whole.p)
        s->crls = set.value;
    if (!mu_der_get(&in, MU_DER_SET, &set) || in.n)
        return bad("signerInfos", "5.1", err);
    return signers_decode(set.value, digests.value, s, err);
}

static enum mu_code decode(struct mu_bytes in, bool bare, struct mu_pki_signed *out,
    struct mu_err *err)
{
    struct mu_pki_signed s = {0};
    struct mu_bytes content = {0};
    struct mu_der whole;
    enum mu_code rc;
    mu_buf_init(&s.der, MU_LIMIT_REPLY);
    if (mu_der_is_definite(in)) {
        mu_buf_put_bytes(&s.der, in);
        rc = mu_buf_check(&s.der, "SignedData", err);
    } else {
        rc = mu_der_from_ber(in, &s.der, NULL, err);
    }
    if (rc == MU_OK && !bare)
        rc = unwrap(mu_buf_bytes(&s.der), &content, err);
    else if (rc == MU_OK && !mu_der_only(mu_buf_bytes(&s.der), MU_DER_SEQUENCE, &whole))
        rc = bad("no SEQUENCE", "5.1", err);
    else if (rc == MU_OK)
        content = whole.value;
    if (rc == MU_OK)
        rc = signed_decode(content, &s, err);
    if (rc == MU_OK)
        *out = s;
    else
        mu_pki_signed_clear(&s);
    return rc;
}

enum mu_code mu_pki_signed_decode(struct mu_bytes in, struct mu_pki_signed *out, struct mu_err *err)
{
    return decode(in, false, out, err);
}

enum mu_code mu_pki_signed_decode_bare(struct mu_bytes in, struct mu_pki_signed *out,
    struct mu_err *err)
{
    return decode(in, true, out, err);
}

void mu_pki_signed_clear(struct mu_pki_signed *s)
{
    mu_pki_certs_clear(&s->certs);
    mu_buf_clear(&s->der);
    *s = (struct mu_pki_signed){0};
}

enum mu_code mu_pki_signed_attr(const struct mu_pki_signed *s, const char *oid,
    struct mu_bytes *out, struct mu_err *err)
{
    struct mu_bytes in = s->signed_attrs, found = {0};
    struct mu_der seq, type, set, value;
    while (in.n) {
        if (!mu_der_get(&in, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_OID, &type)
            || !mu_der_get(&seq.value, MU_DER_SET, &set) || seq.value.n)
            return bad("signedAttrs", "5.3", err);
        if (!mu_der_oid_is(type.value, oid))
            continue;
        if (found.p || !mu_der_next(&set.value, &value) || set.value.n)
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "cms: signed attribute %s has not exactly one value (RFC 5652 11)", oid);
        found = value.whole;
    }
    *out = found;
    return MU_OK;
}

bool mu_pki_signed_sid_is(const struct mu_pki_signed *s, const struct mu_pki_cert *cert)
{
    uint8_t id[20];
    if (s->signer_count != 1)
        return false;
    if (!s->sid_skid.p)
        return mu_pki_serial_equal(s->sid_serial, cert->serial)
            && mu_pki_name_equal(s->sid_issuer, cert->issuer);
    if (cert->exts.skid.n)
        return mu_bytes_equal(s->sid_skid, cert->exts.skid);
    return mu_pki_key_id(cert->spki, id) && mu_bytes_equal(s->sid_skid, mu_bytes(id, sizeof(id)));
}

struct mu_pki_cert *mu_pki_signed_signer(const struct mu_pki_signed *s)
{
    for (size_t i = 0; i < s->certs.n; i++)
        if (mu_pki_signed_sid_is(s, s->certs.v[i]))
            return s->certs.v[i];
    return NULL;
}

/* ---- verifying ---- */

/* contentType and messageDigest, each once and right (COM-03, COM-05). */
static enum mu_code attrs_check(const struct mu_pki_signed *s, struct mu_err *err)
{
    struct mu_bytes value;
    struct mu_der el;
    uint8_t digest[64];
    enum mu_code rc;
    if ((rc = mu_pki_signed_attr(s, MU_OID_CONTENT_TYPE, &value, err)) != MU_OK)
        return rc;
    if (!mu_der_only(value, MU_DER_OID, &el) || !mu_bytes_equal(el.value, s->content_type))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cms: attribute contentType is missing or is not the content's type (RFC 5652 11.1)");
    if ((rc = mu_pki_signed_attr(s, MU_OID_MESSAGE_DIGEST, &value, err)) != MU_OK)
        return rc;
    size_t n = mu_pki_digest(s->digest, s->content, digest);
    if (!mu_der_only(value, MU_DER_OCTET_STRING, &el) || n == 0
        || !mu_bytes_equal(el.value, mu_bytes(digest, n)))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cms: attribute messageDigest is missing or is not the content's digest (RFC 5652 "
            "11.2)");
    return MU_OK;
}

/* COM-04: the signature covers the attributes as a SET OF. A sender who signed the DER order but
 * sent another one is right too, so sorted is the second try. */
static enum mu_code attrs_verify(const struct mu_pki_signed *s, const struct mu_pki_key *key,
    const struct mu_pki_verify_opts *opts, enum mu_pki_digest *used, struct mu_err *err)
{
    struct mu_buf received, sorted;
    mu_buf_init(&received, MU_LIMIT_MESSAGE);
    mu_buf_init(&sorted, MU_LIMIT_MESSAGE);
    mu_der_put(&received, MU_DER_SET, s->signed_attrs);
    enum mu_code rc = mu_buf_check(&received, "signedAttrs", err);
    if (rc == MU_OK)
        rc = mu_pki_key_verify(key, s->sig_alg, mu_buf_bytes(&received), s->signature, opts, used,
            err);
    if (rc == MU_AUTH) {
        size_t set = mu_der_open(&sorted, MU_DER_SET);
        mu_buf_put_bytes(&sorted, s->signed_attrs);
        mu_der_close_set_of(&sorted, set);
        if (!sorted.failed && !mu_bytes_equal(mu_buf_bytes(&sorted), mu_buf_bytes(&received)))
            rc = mu_pki_key_verify(key, s->sig_alg, mu_buf_bytes(&sorted), s->signature, opts, used,
                err);
    }
    mu_buf_clear(&received);
    mu_buf_clear(&sorted);
    return rc;
}

enum mu_code mu_pki_signed_verify(const struct mu_pki_signed *s, struct mu_pki_cert *signer,
    bool allow_legacy, struct mu_err *err)
{
    const struct mu_pki_verify_opts opts = {.allow_legacy = allow_legacy, .digest = s->digest};
    enum mu_pki_digest used = MU_PKI_DIGEST_NONE;
    struct mu_pki_key *key;
    enum mu_code rc;
    if (s->signer_count != 1)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE, "cms: the message is not signed");
    if (mu_pki_digest_is_legacy(s->digest) && !allow_legacy)
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "a signature with %s is weak or legacy",
            mu_pki_digest_title(s->digest));
    if ((rc = mu_pki_cert_key(signer, &key, err)) != MU_OK)
        return rc;
    if (s->signed_attrs.p) {
        if ((rc = attrs_check(s, err)) != MU_OK)
            return rc;
        rc = attrs_verify(s, key, &opts, &used, err);
    } else if (!mu_der_oid_is(s->content_type, MU_OID_DATA)) {
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cms: no signedAttrs around content that is not id-data (RFC 5652 5.3)");
    } else {
        rc = mu_pki_key_verify(key, s->sig_alg, s->content, s->signature, &opts, &used, err);
    }
    if (rc != MU_OK) {
        mu_err_context(err, "cms");
        return rc;
    }
    if (used != MU_PKI_DIGEST_NONE && used != s->digest)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cms: digest and signature algorithm use different digests (RFC 8933 3)");
    return MU_OK;
}

/* ---- encoding ---- */

static void attr_put(struct mu_buf *b, const char *oid, struct mu_bytes value)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, oid);
    mu_der_put(b, MU_DER_SET, value);
    mu_der_close(b, seq);
}

/* The attributes as the SET OF that is signed. */
static enum mu_code attrs_encode(const struct mu_pki_signed_params *p, enum mu_pki_digest digest,
    struct mu_buf *out, struct mu_err *err)
{
    uint8_t hash[64];
    struct mu_buf value;
    size_t n = mu_pki_digest(digest, p->content, hash);
    if (n == 0)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "cms: digest failed");
    mu_buf_init(&value, 256);
    size_t set = mu_der_open(out, MU_DER_SET);
    mu_der_put_oid(&value, p->content_type ? p->content_type : MU_OID_DATA);
    attr_put(out, MU_OID_CONTENT_TYPE, mu_buf_bytes(&value));
    mu_buf_reset(&value);
    mu_der_put(&value, MU_DER_OCTET_STRING, mu_bytes(hash, n));
    attr_put(out, MU_OID_MESSAGE_DIGEST, mu_buf_bytes(&value));
    if (p->signing_time_s) {
        mu_buf_reset(&value);
        mu_der_put_time(&value, p->signing_time_s);
        attr_put(out, MU_OID_SIGNING_TIME, mu_buf_bytes(&value));
    }
    for (size_t i = 0; i < p->attr_n; i++)
        attr_put(out, p->attrs[i].oid, p->attrs[i].value);
    mu_der_close_set_of(out, set);
    enum mu_code rc = mu_buf_check(&value, "signed attributes", err);
    mu_buf_clear(&value);
    return rc == MU_OK ? mu_buf_check(out, "signed attributes", err) : rc;
}

static void sig_alg_put(struct mu_buf *b, const struct mu_pki_signed_params *p,
    enum mu_pki_digest digest)
{
    struct mu_pki_key_spec spec;
    mu_pki_key_spec_of(p->key, &spec);
    if (!p->sign_alg_rsa_encryption || spec.type != MU_PKI_KEY_RSA) {
        mu_pki_key_sign_alg(p->key, digest, b);
        return;
    }
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, MU_OID_RSA);
    mu_der_put_null(b);
    mu_der_close(b, seq);
}

static void signer_put(struct mu_buf *b, const struct mu_pki_signed_params *p,
    enum mu_pki_digest digest, const struct mu_buf *attrs, const struct mu_buf *signature)
{
    struct mu_bytes set = mu_buf_bytes(attrs);
    size_t info = mu_der_open(b, MU_DER_SEQUENCE);
    if (p->sid_by_skid && p->cert->exts.skid.n) { /* COM-02, CMP-82 */
        mu_der_put_int(b, 3);
        mu_der_put(b, MU_DER_CONTEXT(0), p->cert->exts.skid);
    } else {
        mu_der_put_int(b, 1); /* COM-02: sid is issuer and serial */
        size_t sid = mu_der_open(b, MU_DER_SEQUENCE);
        mu_buf_put_bytes(b, p->cert->issuer);
        mu_der_put(b, MU_DER_INTEGER, p->cert->serial);
        mu_der_close(b, sid);
    }
    mu_pki_digest_encode(b, digest);
    mu_buf_put_byte(b, MU_DER_CONTEXT_CONSTRUCTED(0)); /* COM-04: on the wire instead of 0x31 */
    mu_buf_put(b, set.p + 1, set.n - 1);
    sig_alg_put(b, p, digest);
    mu_der_put(b, MU_DER_OCTET_STRING, mu_buf_bytes(signature));
    mu_der_close(b, info);
}

static void signed_put(struct mu_buf *b, const struct mu_pki_signed_params *p,
    enum mu_pki_digest digest, const struct mu_buf *attrs, const struct mu_buf *signature)
{
    const char *type = p->content_type ? p->content_type : MU_OID_DATA;
    bool by_skid = p->sid_by_skid && p->cert->exts.skid.n;
    size_t info = 0, wrapped = 0;
    if (!p->bare) {
        info = mu_der_open(b, MU_DER_SEQUENCE);
        mu_der_put_oid(b, MU_OID_SIGNED_DATA);
        wrapped = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    }
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_int(b, strcmp(type, MU_OID_DATA) == 0 && !by_skid ? 1 : 3); /* COM-01 */
    size_t digests = mu_der_open(b, MU_DER_SET);
    mu_pki_digest_encode(b, digest);
    mu_der_close(b, digests);
    size_t encap = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, type);
    if (p->content.p) {
        size_t content = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
        mu_der_put(b, MU_DER_OCTET_STRING, p->content);
        mu_der_close(b, content);
    }
    mu_der_close(b, encap);
    if (p->certs && p->certs->n) {
        size_t set = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
        for (size_t i = 0; i < p->certs->n; i++)
            mu_buf_put_bytes(b, p->certs->v[i]->der);
        mu_der_close(b, set);
    }
    size_t signers = mu_der_open(b, MU_DER_SET);
    signer_put(b, p, digest, attrs, signature);
    mu_der_close(b, signers);
    mu_der_close(b, seq);
    if (!p->bare) {
        mu_der_close(b, wrapped);
        mu_der_close(b, info);
    }
}

enum mu_code mu_pki_signed_encode(const struct mu_pki_signed_params *params, struct mu_buf *out,
    struct mu_err *err)
{
    enum mu_pki_digest digest = params->digest;
    struct mu_buf attrs, signature;
    if (digest == MU_PKI_DIGEST_NONE)
        digest = mu_pki_key_default_digest(params->key);
    if (digest == MU_PKI_DIGEST_NONE)
        digest = MU_PKI_SHA512; /* RFC 8419 3.1, for EdDSA */
    mu_buf_init(&attrs, MU_LIMIT_MESSAGE);
    mu_buf_init(&signature, 4096);
    enum mu_code rc = attrs_encode(params, digest, &attrs, err);
    if (rc == MU_OK)
        rc = mu_pki_key_sign(params->key, digest, mu_buf_bytes(&attrs), &signature, err);
    if (rc == MU_OK) {
        signed_put(out, params, digest, &attrs, &signature);
        rc = mu_buf_check(out, "SignedData", err);
    }
    mu_buf_clear(&attrs);
    mu_buf_clear(&signature);
    return rc;
}
