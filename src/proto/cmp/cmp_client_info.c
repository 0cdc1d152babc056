/* genm and genp: CA certificates, an update of the root, a template, a CRL (RFC 9483 4.3). */
#include <stdlib.h>

#include "base/limits.h"
#include "proto/cmp/cmp_client_internal.h"
#include "proto/cmp/cmp_genm.h"

static enum mu_cmp_it asked(const struct mu_cmp_client *c)
{
    switch (c->config.op) {
    case MU_CMP_CLIENT_ROOT_UPDATE:
        return MU_CMP_IT_ROOT_CA_CERT;
    case MU_CMP_CLIENT_TEMPLATE:
        return MU_CMP_IT_CERT_REQ_TEMPLATE;
    case MU_CMP_CLIENT_CRL:
        return MU_CMP_IT_CRL_STATUS_LIST;
    default:
        return MU_CMP_IT_CA_CERTS;
    }
}

void mu_cmp_client_info_ask(
    const struct mu_cmp_client *c, struct mu_cmp_body *body, struct mu_buf *value)
{
    struct mu_cmp_crl_status status = {.this_update_s = 0}; /* whatever there is (CMP-97) */

    body->u.gen.n = 1; /* CMP-91 */
    body->u.gen.v[0].oid = mu_cmp_it_oid((int)asked(c));
    if (c->config.op == MU_CMP_CLIENT_ROOT_UPDATE) {
        mu_buf_put_bytes(value, c->trusted.v[0]->der);
    } else if (c->config.op == MU_CMP_CLIENT_CRL) {
        status.issuer = c->config.signer_cert != NULL ? c->config.signer_cert->issuer
                                                      : c->trusted.v[0]->subject;
        mu_cmp_genm_crl_status_encode(&status, value);
    }
    if (value->n != 0)
        body->u.gen.v[0].value = mu_buf_bytes(value);
}

static enum mu_code malformed(struct mu_err *err, const char *what)
{
    return mu_err_set(
        err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: %s cannot be read (RFC 9483 4.3)", what);
}

static enum mu_code nothing(struct mu_err *err, const char *what)
{
    return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "cmp: the CA has no %s (RFC 9483 4.3)", what);
}

static enum mu_code take_certs(struct mu_cmp_client *c, struct mu_bytes value, struct mu_err *err)
{
    struct mu_der list;
    size_t unread = 0;

    if (value.p == NULL)
        return nothing(err, "certificates to hand out");
    if (!mu_der_only(value, MU_DER_SEQUENCE, &list))
        return malformed(err, "the list of CA certificates");
    mu_pki_certs_clear(&c->ca_certs);
    return mu_cmp_msg_get_certs(list.value, &c->ca_certs, &unread, err);
}

/* RootCaKeyUpdateContent { newWithNew, newWithOld [0], oldWithNew [1] }: newWithNew is believed
 * only if newWithOld leads from the root we have to its key (CMP-93). */
static enum mu_code take_root(struct mu_cmp_client *c, struct mu_bytes value, struct mu_err *err)
{
    struct mu_pki_cert *with_new = NULL, *with_old = NULL;
    struct mu_der seq, new_der, old_der;
    struct mu_bytes in;
    enum mu_code rc;

    if (value.p == NULL)
        return nothing(err, "update of this root");
    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq))
        return malformed(err, "rootCaKeyUpdate");
    in = seq.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &new_der)
        || !mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &old_der))
        return malformed(err, "rootCaKeyUpdate");
    if (old_der.whole.p == NULL)
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE,
            "cmp: a new root without newWithOld, which nothing here can vouch for (RFC 9483 4.3.2)");
    rc = mu_pki_cert_decode(new_der.whole, &with_new, err);
    if (rc == MU_OK)
        rc = mu_pki_cert_decode(old_der.value, &with_old, err);
    if (rc == MU_OK)
        rc = mu_pki_cert_verify(with_old, c->trusted.v[0], c->config.allow_legacy, err);
    if (rc == MU_OK
        && (!mu_bytes_equal(with_old->spki, with_new->spki) || !mu_pki_cert_is_self_signed(with_new)
            || !mu_pki_cert_is_ca(with_new)))
        rc = mu_err_set(err, MU_AUTH, MU_REASON_NONE,
            "cmp: newWithNew and newWithOld are not of one key (RFC 9483 4.3.2)");
    if (rc == MU_OK) {
        mu_pki_certs_clear(&c->ca_certs);
        rc = mu_pki_certs_add(&c->ca_certs, with_new, err);
    }
    if (rc == MU_OK)
        rc = mu_pki_certs_add(&c->ca_certs, with_old, err);
    mu_pki_cert_free(with_new);
    mu_pki_cert_free(with_old);
    return rc;
}

static enum mu_code take_crl(struct mu_cmp_client *c, struct mu_bytes value, struct mu_err *err)
{
    struct mu_der list, crl;
    struct mu_bytes in;

    if (value.p == NULL)
        return nothing(err, "CRL for us");
    if (!mu_der_only(value, MU_DER_SEQUENCE, &list))
        return malformed(err, "the list of CRLs");
    in = list.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &crl))
        return malformed(err, "the CRL");
    mu_buf_reset(&c->crl);
    mu_buf_put_bytes(&c->crl, crl.whole);
    return mu_buf_check(&c->crl, "CRL", err);
}

static void trace_template(const struct mu_cmp_client *c)
{
    const struct mu_cmp_req_template *t = &c->req_template;
    struct mu_buf text = {.max = 4096};
    char word[32], name[MU_CMP_NAME_TEXT];

    for (size_t i = 0; i < t->key_spec_n; i++)
        mu_buf_putf(&text, "%s%s", i != 0 ? " or " : "key ", mu_pki_key_spec_format(&t->key_specs[i], word));
    if (t->tmpl.subject.n != 0)
        mu_buf_putf(&text, "%ssubject \"%s\"", text.n != 0 ? ", " : "", mu_cmp_client_name(t->tmpl.subject, name));
    if (t->tmpl.extensions.n != 0)
        mu_buf_putf(&text, "%sextensions of %zu bytes", text.n != 0 ? ", " : "", t->tmpl.extensions.n);
    mu_cmp_client_trace(c, MU_TRACE_CSRATTRS, "template: %s", text.n != 0 ? mu_buf_str(&text) : "nothing known here");
    mu_buf_clear(&text);
}

/* What the CA wants in a request (CMP-94, CMP-96); the host makes the request of it. */
static enum mu_code take_template(struct mu_cmp_client *c, struct mu_bytes value, struct mu_err *err)
{
    enum mu_code rc;

    mu_buf_reset(&c->cert_template);
    mu_buf_reset(&c->template_parts);
    c->req_template = (struct mu_cmp_req_template){.key_spec_n = 0};
    if (value.p == NULL) {
        mu_cmp_client_trace(c, MU_TRACE_CSRATTRS, "no template: the CA has no wishes");
        return MU_OK;
    }
    mu_buf_put_bytes(&c->cert_template, value);
    if (mu_buf_grow(&c->template_parts, value.n + 1) == NULL)
        return mu_buf_check(&c->template_parts, "certificate request template", err);
    c->template_parts.n = 0;
    if ((rc = mu_buf_check(&c->cert_template, "certificate request template", err)) != MU_OK)
        return rc;
    rc = mu_cmp_genm_template_decode(
        mu_buf_bytes(&c->cert_template), &c->template_parts, &c->req_template, err);
    if (rc == MU_OK)
        trace_template(c);
    return rc;
}

enum mu_code mu_cmp_client_info_take(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    static const struct {
        enum mu_cmp_it asked, answered;
        enum mu_code (*take)(struct mu_cmp_client *c, struct mu_bytes value, struct mu_err *err);
    } rows[] = {
        {MU_CMP_IT_CA_CERTS, MU_CMP_IT_CA_CERTS, take_certs},
        {MU_CMP_IT_ROOT_CA_CERT, MU_CMP_IT_ROOT_CA_KEY_UPDATE, take_root},
        {MU_CMP_IT_CERT_REQ_TEMPLATE, MU_CMP_IT_CERT_REQ_TEMPLATE, take_template},
        {MU_CMP_IT_CRL_STATUS_LIST, MU_CMP_IT_CRLS, take_crl},
    };
    size_t i, row;

    c->pending = false;
    for (row = 0; rows[row].asked != asked(c); row++)
        ;
    for (i = 0; i < msg->body.u.gen.n; i++) {
        if (mu_cmp_it_of(msg->body.u.gen.v[i].oid) != (int)rows[row].answered)
            continue;
        mu_cmp_client_trace(c, MU_TRACE_REPLY, "genp, protection ok");
        c->pki_status = MU_CMP_ACCEPTED;
        return rows[row].take(c, msg->body.u.gen.v[i].value, err);
    }
    return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
        "cmp: the responder does not know this question (RFC 9810 5.3.19.7)");
}
