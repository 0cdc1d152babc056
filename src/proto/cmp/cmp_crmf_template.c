/* CertTemplate (RFC 4211 5), IMPLICIT tags: as asked for, as a certificate is named in rr, as a wish. */
#include "base/limits.h"
#include "proto/cmp/cmp_crmf.h"
#include "proto/cmp/cmp_der.h"

/* OptionalValidity: Time is a CHOICE, so [0] and [1] are explicit. */
static bool get_validity(struct mu_bytes in, struct mu_cmp_template *t)
{
    struct mu_der el, time;
    struct mu_bytes rest;

    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el))
        return false;
    if (el.whole.p != NULL) {
        rest = el.value;
        if (!mu_der_next(&rest, &time) || rest.n != 0 || !mu_der_time(&time, &t->not_before_s))
            return false;
    }
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &el))
        return false;
    if (el.whole.p != NULL) {
        rest = el.value;
        if (!mu_der_next(&rest, &time) || rest.n != 0 || !mu_der_time(&time, &t->not_after_s))
            return false;
    }
    return in.n == 0 && (t->not_before_s != 0 || t->not_after_s != 0);
}

static bool get_name(struct mu_bytes in, struct mu_bytes *out)
{
    struct mu_der el;

    if (!mu_der_only(in, MU_DER_SEQUENCE, &el) || el.whole.n > MU_LIMIT_NAME
        || !mu_pki_name_valid(el.whole))
        return false;
    *out = el.whole;
    return true;
}

/* One field by its tag; issuer and subject are explicit, Name being a CHOICE (CMP-50). */
static bool get_field(const struct mu_der *el, struct mu_buf *retagged, struct mu_cmp_template *t)
{
    switch (el->tag) {
    case MU_DER_CONTEXT(0):
        return mu_der_int(el->value, &t->version) && t->version >= 0;
    case MU_DER_CONTEXT(1):
        t->serial = el->value;
        return el->value.n != 0 && el->value.n <= 64;
    case MU_DER_CONTEXT_CONSTRUCTED(2):
        t->signing_alg = mu_cmp_der_retag(retagged, el, MU_DER_SEQUENCE);
        return true;
    case MU_DER_CONTEXT_CONSTRUCTED(3):
        return get_name(el->value, &t->issuer);
    case MU_DER_CONTEXT_CONSTRUCTED(4):
        return get_validity(el->value, t);
    case MU_DER_CONTEXT_CONSTRUCTED(5):
        return get_name(el->value, &t->subject);
    case MU_DER_CONTEXT_CONSTRUCTED(6):
        t->spki = mu_cmp_der_retag(retagged, el, MU_DER_SEQUENCE);
        return true;
    case MU_DER_CONTEXT(7):
    case MU_DER_CONTEXT(8):
        t->has_unique_ids = true;
        return true;
    case MU_DER_CONTEXT_CONSTRUCTED(9):
        t->extensions = mu_cmp_der_retag(retagged, el, MU_DER_SEQUENCE);
        return t->extensions.n <= MU_LIMIT_EXTENSIONS;
    default:
        return false;
    }
}

enum mu_code mu_cmp_crmf_template_decode(struct mu_bytes content, struct mu_buf *retagged,
    struct mu_cmp_template *out, struct mu_err *err)
{
    static const char *const names[] = {"version", "serialNumber", "signingAlg", "issuer", "validity",
        "subject", "publicKey", "issuerUID", "subjectUID", "extensions"};
    struct mu_cmp_template t = {.version = -1};
    struct mu_bytes in = content;
    struct mu_der el;
    int last = -1, n;

    while (in.n != 0) {
        if (!mu_der_next(&in, &el))
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "cmp: the CertTemplate cannot be read (RFC 4211 5)");
        n = (int)(el.tag & 0x1f);
        if ((el.tag & 0xc0) != 0x80 || n <= last || n > 9)
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "cmp: the CertTemplate has fields unknown, twice or out of order (RFC 4211 5)");
        last = n;
        if (!get_field(&el, retagged, &t))
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "cmp: %s of the CertTemplate cannot be read (RFC 4211 5)", names[n]);
    }
    *out = t;
    return MU_OK;
}

static void put_explicit(struct mu_buf *out, unsigned n, struct mu_bytes element)
{
    if (element.p != NULL)
        mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(n), element);
}

static void put_validity(struct mu_buf *out, const struct mu_cmp_template *t)
{
    size_t mark, field;

    if (t->not_before_s == 0 && t->not_after_s == 0)
        return;
    mark = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(4));
    if (t->not_before_s != 0) {
        field = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
        mu_der_put_time(out, t->not_before_s);
        mu_der_close(out, field);
    }
    if (t->not_after_s != 0) {
        field = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(1));
        mu_der_put_time(out, t->not_after_s);
        mu_der_close(out, field);
    }
    mu_der_close(out, mark);
}

void mu_cmp_crmf_template_encode(const struct mu_cmp_template *t, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), at;

    if (t->version >= 0) {
        at = out->n;
        mu_der_put_int(out, t->version);
        if (!out->failed)
            out->p[at] = MU_DER_CONTEXT(0);
    }
    if (t->serial.p != NULL)
        mu_der_put(out, MU_DER_CONTEXT(1), t->serial);
    mu_cmp_der_put_as(out, MU_DER_CONTEXT_CONSTRUCTED(2), t->signing_alg);
    put_explicit(out, 3, t->issuer);
    put_validity(out, t);
    put_explicit(out, 5, t->subject);
    mu_cmp_der_put_as(out, MU_DER_CONTEXT_CONSTRUCTED(6), t->spki);
    mu_cmp_der_put_as(out, MU_DER_CONTEXT_CONSTRUCTED(9), t->extensions);
    mu_der_close(out, mark);
}

bool mu_cmp_crmf_wants_key(const struct mu_cmp_template *t)
{
    struct mu_der spki, alg, key;
    struct mu_bytes in, bits;

    if (t->spki.p == NULL)
        return true;
    if (!mu_der_only(t->spki, MU_DER_SEQUENCE, &spki))
        return false;
    in = spki.value;
    return mu_der_get(&in, MU_DER_SEQUENCE, &alg) && mu_der_get(&in, MU_DER_BIT_STRING, &key)
        && mu_der_bits(key.value, &bits) && bits.n == 0;
}
