/* PKIMessage (RFC 9810 5.1): the outer SEQUENCE, what is protected, extraCerts. */
#include "proto/cmp/cmp_msg.h"

#include "base/limits.h"

static enum mu_code malformed(struct mu_err *err, const char *what)
{
    return mu_err_set(
        err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: %s cannot be read (RFC 9810 5.1)", what);
}

/* Our own DER of what came: protection covers the DER, whatever was sent (CMP-20). */
static enum mu_code own(struct mu_bytes in, struct mu_cmp_msg *msg, struct mu_err *err)
{
    if (in.n > MU_LIMIT_REPLY)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cmp: a message of %zu octets, %d are the most", in.n, MU_LIMIT_REPLY);
    mu_buf_init_secret(&msg->der, MU_LIMIT_REPLY + 1024);
    mu_buf_init_secret(&msg->retagged, MU_LIMIT_REPLY + 1024);
    if (mu_der_is_definite(in)) {
        mu_buf_put_bytes(&msg->der, in);
    } else if (mu_der_from_ber(in, &msg->der, NULL, err) != MU_OK) {
        return malformed(err, "the PKIMessage");
    }
    if (mu_buf_check(&msg->der, "cmp: message", err) != MU_OK)
        return MU_MEMORY;
    if (!mu_der_valid(mu_buf_bytes(&msg->der), MU_LIMIT_DEPTH))
        return malformed(err, "the PKIMessage");
    /* Parts never overlap, so together they are shorter than the message. */
    if (mu_buf_grow(&msg->retagged, msg->der.n + 1) == NULL)
        return mu_buf_check(&msg->retagged, "cmp: message", err);
    msg->retagged.n = 0;
    return MU_OK;
}

static enum mu_code get_extra(struct mu_bytes *in, struct mu_cmp_msg *msg, struct mu_err *err)
{
    struct mu_der el, seq;

    if (!mu_der_optional(in, MU_DER_CONTEXT_CONSTRUCTED(1), &el))
        return malformed(err, "extraCerts");
    if (el.whole.p == NULL)
        return MU_OK;
    if (!mu_der_only(el.value, MU_DER_SEQUENCE, &seq))
        return malformed(err, "extraCerts");
    msg->extra_certs = seq.value;
    return mu_cmp_msg_get_certs(seq.value, &msg->extra, &msg->extra_unread, err);
}

static enum mu_code get_protection(struct mu_bytes *in, struct mu_cmp_msg *msg, struct mu_err *err)
{
    struct mu_der el, bits;

    if (!mu_der_optional(in, MU_DER_CONTEXT_CONSTRUCTED(0), &el))
        return malformed(err, "protection");
    if (el.whole.p == NULL)
        return MU_OK;
    if (!mu_der_only(el.value, MU_DER_BIT_STRING, &bits)
        || !mu_der_bits(bits.value, &msg->protection) || msg->protection.n == 0)
        return malformed(err, "protection");
    return MU_OK;
}

enum mu_code mu_cmp_msg_decode(struct mu_bytes in, struct mu_cmp_msg *out, struct mu_err *err)
{
    struct mu_der seq, header, body;
    struct mu_bytes rest;
    enum mu_code rc;

    memset(out, 0, sizeof *out);
    rc = own(in, out, err);
    if (rc != MU_OK)
        return rc;
    if (!mu_der_only(mu_buf_bytes(&out->der), MU_DER_SEQUENCE, &seq))
        return malformed(err, "the PKIMessage");
    rest = seq.value;
    if (!mu_der_get(&rest, MU_DER_SEQUENCE, &header))
        return malformed(err, "PKIHeader");
    rc = mu_cmp_header_decode(header.value, &out->header, err);
    if (rc != MU_OK)
        return rc;
    out->has_header = true;
    out->header_der = header.whole;
    if (!mu_der_next(&rest, &body))
        return malformed(err, "PKIBody");
    out->protected_part = mu_bytes(header.whole.p, header.whole.n + body.whole.n);
    rc = get_protection(&rest, out, err);
    if (rc == MU_OK)
        rc = get_extra(&rest, out, err);
    if (rc == MU_OK && rest.n != 0)
        rc = malformed(err, "what follows extraCerts");
    if (rc == MU_OK)
        rc = mu_cmp_body_decode(body.whole, &out->retagged, &out->body, err);
    out->has_body = rc == MU_OK;
    return rc;
}

void mu_cmp_msg_clear(struct mu_cmp_msg *msg)
{
    mu_pki_certs_clear(&msg->extra);
    mu_buf_clear(&msg->der);
    mu_buf_clear(&msg->retagged);
    memset(msg, 0, sizeof *msg);
}

void mu_cmp_msg_put_protected_part(const struct mu_cmp_msg *msg, struct mu_buf *out)
{
    mu_der_put(out, MU_DER_SEQUENCE, msg->protected_part);
}

void mu_cmp_msg_encode_part(
    const struct mu_cmp_header *header, const struct mu_cmp_body *body, struct mu_buf *part)
{
    size_t mark = mu_der_open(part, MU_DER_SEQUENCE);

    mu_cmp_header_encode(header, part);
    mu_cmp_body_encode(body, part);
    mu_der_close(part, mark);
}

enum mu_code mu_cmp_msg_encode(struct mu_bytes part, struct mu_bytes protection,
    const struct mu_pki_certs *extra, struct mu_buf *out, struct mu_err *err)
{
    struct mu_der el;
    size_t mark, tag, seq;

    if (!mu_der_only(part, MU_DER_SEQUENCE, &el))
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "cmp: the message could not be encoded");
    mark = mu_der_open(out, MU_DER_SEQUENCE);
    mu_buf_put_bytes(out, el.value);
    if (protection.p != NULL) {
        tag = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
        mu_der_put_bits(out, protection);
        mu_der_close(out, tag);
    }
    if (extra != NULL && extra->n != 0) {
        tag = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(1));
        seq = mu_der_open(out, MU_DER_SEQUENCE);
        mu_cmp_msg_put_certs(out, extra);
        mu_der_close(out, seq);
        mu_der_close(out, tag);
    }
    mu_der_close(out, mark);
    return mu_buf_check(out, "cmp: message", err);
}

void mu_cmp_msg_put_certs(struct mu_buf *out, const struct mu_pki_certs *certs)
{
    size_t i;

    for (i = 0; i < certs->n; i++)
        mu_buf_put_bytes(out, certs->v[i]->der);
}

enum mu_code mu_cmp_msg_get_certs(struct mu_bytes content, struct mu_pki_certs *list,
    size_t *unread, struct mu_err *err)
{
    struct mu_bytes in = content;
    struct mu_pki_cert *cert;
    struct mu_der el;
    enum mu_code rc;
    size_t n;

    for (n = 0; in.n != 0; n++) {
        if (n == MU_LIMIT_CERTS)
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "cmp: more than %d certificates in one message", MU_LIMIT_CERTS);
        if (!mu_der_next(&in, &el))
            return malformed(err, "a list of certificates");
        rc = mu_pki_cert_decode(el.whole, &cert, err);
        if (rc == MU_MEMORY || (rc != MU_OK && unread == NULL))
            return rc;
        if (rc != MU_OK) {
            ++*unread;
            continue;
        }
        rc = mu_pki_certs_add(list, cert, err);
        mu_pki_cert_free(cert);
        if (rc != MU_OK)
            return rc;
    }
    mu_err_clear(err);
    return MU_OK;
}
