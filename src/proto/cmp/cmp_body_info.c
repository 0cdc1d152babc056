/* The smaller kinds of PKIBody: certConf, pkiConf, polling, error, genm and genp, nested. */
#include "base/limits.h"
#include "proto/cmp/cmp_body_internal.h"
#include "proto/cmp/cmp_der.h"
#include "proto/cmp/cmp_status.h"

bool mu_cmp_body_get_null(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_der el;

    (void)retagged;
    (void)b;
    (void)err;
    return mu_der_only(in, MU_DER_NULL, &el);
}

void mu_cmp_body_put_null(const struct mu_cmp_body *b, struct mu_buf *out)
{
    (void)b;
    mu_der_put_null(out);
}

/* CertStatus { certHash, certReqId, statusInfo OPTIONAL, hashAlg [0] OPTIONAL } */
bool mu_cmp_body_get_conf(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_cmp_cert_status *s = &b->u.conf.status;
    struct mu_bytes first, rest;
    struct mu_der seq, el;

    (void)retagged;
    (void)err;
    if (!mu_cmp_body_get_list(in, MU_LIMIT_CMP_INFOS, &b->u.conf.n, &first))
        return false;
    if (b->u.conf.n == 0)
        return true;
    if (!mu_der_only(first, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    if (!mu_der_get(&rest, MU_DER_OCTET_STRING, &el)
        || !mu_cmp_body_get_int(&rest, &s->cert_req_id))
        return false;
    s->cert_hash = el.value;
    s->has_status = mu_der_peek(rest) == MU_DER_SEQUENCE;
    if ((s->has_status && !mu_cmp_status_get(&rest, &s->status))
        || !mu_cmp_der_optional(&rest, 0, MU_DER_SEQUENCE, &el) || rest.n != 0)
        return false;
    s->hash_alg = el.whole;
    return true;
}

void mu_cmp_body_put_conf(const struct mu_cmp_body *b, struct mu_buf *out)
{
    const struct mu_cmp_cert_status *s = &b->u.conf.status;
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), one;

    if (b->u.conf.n != 0) {
        one = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put(out, MU_DER_OCTET_STRING, s->cert_hash);
        mu_der_put_int(out, s->cert_req_id);
        if (s->has_status)
            mu_cmp_status_put(out, &s->status);
        if (s->hash_alg.p != NULL)
            mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(0), s->hash_alg);
        mu_der_close(out, one);
    }
    mu_der_close(out, mark);
}

bool mu_cmp_body_get_poll_req(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_bytes first, rest;
    struct mu_der seq;

    (void)retagged;
    (void)err;
    if (!mu_cmp_body_get_list(in, MU_LIMIT_CMP_INFOS, &b->u.poll_req.n, &first)
        || b->u.poll_req.n == 0 || !mu_der_only(first, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    return mu_cmp_body_get_int(&rest, &b->u.poll_req.cert_req_id) && rest.n == 0;
}

void mu_cmp_body_put_poll_req(const struct mu_cmp_body *b, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), one = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put_int(out, b->u.poll_req.cert_req_id);
    mu_der_close(out, one);
    mu_der_close(out, mark);
}

/* { certReqId, checkAfter INTEGER seconds, reason PKIFreeText OPTIONAL } */
bool mu_cmp_body_get_poll_rep(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_bytes first, rest;
    struct mu_der seq;

    (void)retagged;
    (void)err;
    if (!mu_cmp_body_get_list(in, MU_LIMIT_CMP_INFOS, &b->u.poll_rep.n, &first)
        || b->u.poll_rep.n == 0 || !mu_der_only(first, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    return mu_cmp_body_get_int(&rest, &b->u.poll_rep.cert_req_id)
        && mu_cmp_body_get_int(&rest, &b->u.poll_rep.check_after_s)
        && mu_cmp_status_get_text(&rest, &b->u.poll_rep.reason) && rest.n == 0;
}

void mu_cmp_body_put_poll_rep(const struct mu_cmp_body *b, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), one = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put_int(out, b->u.poll_rep.cert_req_id);
    mu_der_put_int(out, b->u.poll_rep.check_after_s);
    if (b->u.poll_rep.reason.n != 0)
        mu_der_put(out, MU_DER_SEQUENCE, b->u.poll_rep.reason);
    mu_der_close(out, one);
    mu_der_close(out, mark);
}

/* { pKIStatusInfo, errorCode INTEGER OPTIONAL, errorDetails PKIFreeText OPTIONAL } (CMP-45) */
bool mu_cmp_body_get_error(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_bytes rest;
    struct mu_der seq, el;

    (void)retagged;
    (void)err;
    if (!mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    if (!mu_cmp_status_get(&rest, &b->u.error.status)
        || !mu_der_optional(&rest, MU_DER_INTEGER, &el))
        return false;
    /* A code that is no small number says nothing to us; OpenSSL sends its packed ones. */
    b->u.error.has_code = el.whole.p != NULL && mu_der_int(el.value, &b->u.error.code);
    return mu_cmp_status_get_text(&rest, &b->u.error.details) && rest.n == 0;
}

void mu_cmp_body_put_error(const struct mu_cmp_body *b, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_cmp_status_put(out, &b->u.error.status);
    if (b->u.error.has_code)
        mu_der_put_int(out, b->u.error.code);
    if (b->u.error.details.n != 0)
        mu_der_put(out, MU_DER_SEQUENCE, b->u.error.details);
    mu_der_close(out, mark);
}

bool mu_cmp_body_get_gen(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_bytes list, rest;
    struct mu_der seq, info, oid, value;
    struct mu_cmp_info *one;

    (void)retagged;
    (void)err;
    if (!mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    for (list = seq.value; list.n != 0; b->u.gen.n++) {
        if (b->u.gen.n == MU_CMP_INFOS || !mu_der_get(&list, MU_DER_SEQUENCE, &info))
            return false;
        one = &b->u.gen.v[b->u.gen.n];
        rest = info.value;
        value = (struct mu_der){0};
        if (!mu_der_get(&rest, MU_DER_OID, &oid) || (rest.n != 0 && !mu_der_next(&rest, &value))
            || rest.n != 0)
            return false;
        one->oid = oid.value;
        one->value = value.whole;
    }
    return true;
}

void mu_cmp_body_put_gen(const struct mu_cmp_body *b, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), one, i;

    for (i = 0; i < b->u.gen.n; i++) {
        one = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put(out, MU_DER_OID, b->u.gen.v[i].oid);
        if (b->u.gen.v[i].value.p != NULL)
            mu_buf_put_bytes(out, b->u.gen.v[i].value);
        mu_der_close(out, one);
    }
    mu_der_close(out, mark);
}

/* PKIMessages: taken apart by whoever may look inside (one level only). */
bool mu_cmp_body_get_nested(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_der seq;
    struct mu_bytes first;

    (void)retagged;
    (void)err;
    if (!mu_cmp_body_get_list(in, MU_LIMIT_CMP_NESTED, &b->u.nested.n, &first)
        || b->u.nested.n == 0 || !mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    b->u.nested.messages = seq.value;
    return true;
}

void mu_cmp_body_put_nested(const struct mu_cmp_body *b, struct mu_buf *out)
{
    mu_der_put(out, MU_DER_SEQUENCE, b->u.nested.messages);
}
