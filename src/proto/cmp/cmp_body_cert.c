/* The kinds of PKIBody that ask for certificates and for revocation, and their answers. */
#include "base/limits.h"
#include "proto/cmp/cmp_body_internal.h"
#include "proto/cmp/cmp_der.h"
#include "proto/cmp/cmp_status.h"

/* ---- ir, cr, kur ---- */

bool mu_cmp_body_get_req(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_bytes first;

    return mu_cmp_body_get_list(in, MU_LIMIT_CMP_INFOS, &b->u.req.n, &first) && b->u.req.n != 0
        && mu_cmp_crmf_decode(first, retagged, &b->u.req.req, err) == MU_OK;
}

void mu_cmp_body_put_req(const struct mu_cmp_body *b, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_cmp_crmf_encode(&b->u.req.req, out);
    mu_der_close(out, mark);
}

bool mu_cmp_body_get_p10(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_der el;

    (void)retagged;
    (void)err;
    b->u.p10 = in;
    return mu_der_only(in, MU_DER_SEQUENCE, &el);
}

void mu_cmp_body_put_p10(const struct mu_cmp_body *b, struct mu_buf *out)
{
    mu_buf_put_bytes(out, b->u.p10);
}

/* ---- ip, cp, kup ---- */

/* EncryptedKey: EncryptedValue, or envelopedData [0], IMPLICIT as CRMF's module is. */
static bool get_encrypted(struct mu_bytes in, struct mu_buf *retagged, struct mu_bytes *envelope,
    bool *old)
{
    struct mu_der el;
    struct mu_bytes rest = in;

    if (!mu_der_next(&rest, &el) || rest.n != 0)
        return false;
    if (el.tag == MU_DER_CONTEXT_CONSTRUCTED(0))
        *envelope = mu_cmp_der_retag(retagged, &el, MU_DER_SEQUENCE);
    else if (el.tag == MU_DER_SEQUENCE)
        *old = true;
    else
        return false;
    return true;
}

/* CertifiedKeyPair { certOrEncCert, privateKey [0] OPTIONAL, publicationInfo [1] OPTIONAL } */
static bool get_pair(struct mu_bytes content, struct mu_buf *retagged,
    struct mu_cmp_cert_response *r)
{
    struct mu_bytes in = content;
    struct mu_der el, cert;

    if (!mu_der_next(&in, &el))
        return false;
    if (el.tag == MU_DER_CONTEXT_CONSTRUCTED(0)) {
        if (!mu_der_only(el.value, MU_DER_SEQUENCE, &cert))
            return false;
        r->cert = cert.whole;
    } else if (el.tag != MU_DER_CONTEXT_CONSTRUCTED(1)
        || !get_encrypted(el.value, retagged, &r->encrypted_cert, &r->has_encrypted_value)) {
        return false;
    }
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el)
        || (el.whole.p != NULL
            && !get_encrypted(el.value, retagged, &r->private_key, &r->has_encrypted_value)))
        return false;
    return mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &el) && in.n == 0;
}

static bool get_response(struct mu_bytes in, struct mu_buf *retagged,
    struct mu_cmp_cert_response *r)
{
    struct mu_der seq, el;
    struct mu_bytes rest;

    if (!mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    if (!mu_cmp_body_get_int(&rest, &r->cert_req_id) || !mu_cmp_status_get(&rest, &r->status)
        || !mu_der_optional(&rest, MU_DER_SEQUENCE, &el)
        || (el.whole.p != NULL && !get_pair(el.value, retagged, r))
        || !mu_der_optional(&rest, MU_DER_OCTET_STRING, &el))
        return false;
    r->rsp_info = el.whole.p != NULL ? el.value : mu_bytes(NULL, 0);
    return rest.n == 0;
}

bool mu_cmp_body_get_rep(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_der seq, el;
    struct mu_bytes rest, first;
    size_t n;

    (void)err;
    if (!mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    if (!mu_cmp_der_optional(&rest, 1, MU_DER_SEQUENCE, &el)
        || (el.whole.p != NULL && !mu_cmp_body_get_list(el.whole, MU_LIMIT_CERTS, &n, &first)))
        return false;
    b->u.rep.ca_pubs = el.value;
    return mu_cmp_body_get_list(rest, MU_LIMIT_CMP_INFOS, &b->u.rep.n, &first) && b->u.rep.n != 0
        && get_response(first, retagged, &b->u.rep.response);
}

/* [n] EXPLICIT { envelopedData [0] IMPLICIT } */
static void put_encrypted(struct mu_buf *out, unsigned n, struct mu_bytes envelope)
{
    size_t mark;

    if (envelope.p == NULL)
        return;
    mark = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(n));
    mu_cmp_der_put_as(out, MU_DER_CONTEXT_CONSTRUCTED(0), envelope);
    mu_der_close(out, mark);
}

static void put_response(const struct mu_cmp_cert_response *r, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), pair;

    mu_der_put_int(out, r->cert_req_id);
    mu_cmp_status_put(out, &r->status);
    if (r->cert.p != NULL || r->encrypted_cert.p != NULL) {
        pair = mu_der_open(out, MU_DER_SEQUENCE);
        if (r->cert.p != NULL)
            mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(0), r->cert);
        else
            put_encrypted(out, 1, r->encrypted_cert);
        put_encrypted(out, 0, r->private_key);
        mu_der_close(out, pair);
    }
    if (r->rsp_info.p != NULL)
        mu_der_put(out, MU_DER_OCTET_STRING, r->rsp_info);
    mu_der_close(out, mark);
}

static void put_explicit_list(struct mu_buf *out, unsigned n, struct mu_bytes content)
{
    size_t mark;

    if (content.n == 0)
        return;
    mark = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(n));
    mu_der_put(out, MU_DER_SEQUENCE, content);
    mu_der_close(out, mark);
}

void mu_cmp_body_put_rep(const struct mu_cmp_body *b, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), list;

    put_explicit_list(out, 1, b->u.rep.ca_pubs);
    list = mu_der_open(out, MU_DER_SEQUENCE);
    put_response(&b->u.rep.response, out);
    mu_der_close(out, list);
    mu_der_close(out, mark);
}

/* ---- rr, rp ---- */

/* reasonCode (2.5.29.21) out of crlEntryDetails; -1 if it is not there. */
static bool get_reason(struct mu_bytes content, int *reason)
{
    struct mu_bytes in = content, rest;
    struct mu_der seq, oid, critical, value, num;
    int64_t v;
    size_t n;

    for (n = 0; in.n != 0; n++) {
        if (n == MU_LIMIT_CMP_INFOS || !mu_der_get(&in, MU_DER_SEQUENCE, &seq))
            return false;
        rest = seq.value;
        if (!mu_der_get(&rest, MU_DER_OID, &oid)
            || !mu_der_optional(&rest, MU_DER_BOOLEAN, &critical)
            || !mu_der_get(&rest, MU_DER_OCTET_STRING, &value) || rest.n != 0)
            return false;
        if (!mu_der_oid_is(oid.value, "2.5.29.21"))
            continue;
        if (*reason != -1 || !mu_der_only(value.value, MU_DER_ENUMERATED, &num)
            || !mu_der_int(num.value, &v) || v < 0 || v > 10 || v == 7)
            return false;
        *reason = (int)v;
    }
    return true;
}

bool mu_cmp_body_get_rr(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_cmp_rev_details *d = &b->u.rr.details;
    struct mu_der seq, el;
    struct mu_bytes first, rest;

    d->reason = -1;
    if (!mu_cmp_body_get_list(in, MU_LIMIT_CMP_INFOS, &b->u.rr.n, &first) || b->u.rr.n == 0
        || !mu_der_only(first, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    if (!mu_der_get(&rest, MU_DER_SEQUENCE, &el)
        || mu_cmp_crmf_template_decode(el.value, retagged, &d->tmpl, err) != MU_OK
        || !mu_der_optional(&rest, MU_DER_SEQUENCE, &el) || rest.n != 0)
        return false;
    d->extensions = el.whole.p != NULL ? el.whole : mu_bytes(NULL, 0);
    return get_reason(el.value, &d->reason);
}

void mu_cmp_body_put_rr(const struct mu_cmp_body *b, struct mu_buf *out)
{
    const struct mu_cmp_rev_details *d = &b->u.rr.details;
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), details = mu_der_open(out, MU_DER_SEQUENCE),
           exts, ext, value;
    uint8_t reason = (uint8_t)d->reason;

    mu_cmp_crmf_template_encode(&d->tmpl, out);
    if (d->reason >= 0) {
        exts = mu_der_open(out, MU_DER_SEQUENCE);
        ext = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put_oid(out, "2.5.29.21");
        value = mu_der_open(out, MU_DER_OCTET_STRING);
        mu_der_put(out, MU_DER_ENUMERATED, mu_bytes(&reason, 1));
        mu_der_close(out, value);
        mu_der_close(out, ext);
        mu_der_close(out, exts);
    }
    mu_der_close(out, details);
    mu_der_close(out, mark);
}

/* RevRepContent { status SEQUENCE OF, revCerts [0] OPTIONAL, crls [1] OPTIONAL } */
bool mu_cmp_body_get_rp(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_der seq, el, id, name, serial;
    struct mu_bytes rest, first, one;
    size_t n;

    (void)retagged;
    (void)err;
    if (!mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    if (!mu_der_get(&rest, MU_DER_SEQUENCE, &el)
        || !mu_cmp_body_get_list(el.whole, MU_LIMIT_CMP_INFOS, &b->u.rp.n, &first) || b->u.rp.n == 0
        || !mu_cmp_status_get(&first, &b->u.rp.status)
        || !mu_cmp_der_optional(&rest, 0, MU_DER_SEQUENCE, &el))
        return false;
    if (el.whole.p != NULL) {
        if (!mu_cmp_body_get_list(el.whole, MU_LIMIT_CMP_INFOS, &n, &one)
            || !mu_der_only(one, MU_DER_SEQUENCE, &id))
            return false;
        one = id.value;
        if (!mu_der_next(&one, &name) || !mu_der_get(&one, MU_DER_INTEGER, &serial) || one.n != 0)
            return false;
        if (name.tag == MU_DER_CONTEXT_CONSTRUCTED(4))
            b->u.rp.cert_issuer = name.value;
        b->u.rp.cert_serial = serial.value;
    }
    if (!mu_cmp_der_optional(&rest, 1, MU_DER_SEQUENCE, &el) || rest.n != 0)
        return false;
    b->u.rp.crls = el.value;
    return true;
}

void mu_cmp_body_put_rp(const struct mu_cmp_body *b, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), list = mu_der_open(out, MU_DER_SEQUENCE), tag, id;

    mu_cmp_status_put(out, &b->u.rp.status);
    mu_der_close(out, list);
    if (b->u.rp.cert_issuer.p != NULL && b->u.rp.cert_serial.p != NULL) {
        tag = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
        list = mu_der_open(out, MU_DER_SEQUENCE);
        id = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(4), b->u.rp.cert_issuer);
        mu_der_put(out, MU_DER_INTEGER, b->u.rp.cert_serial);
        mu_der_close(out, id);
        mu_der_close(out, list);
        mu_der_close(out, tag);
    }
    put_explicit_list(out, 1, b->u.rp.crls);
    mu_der_close(out, mark);
}
