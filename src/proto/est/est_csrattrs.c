/* CSR attributes: see est_csrattrs.h. The template of RFC 9908 is in est_template.c. */
#include "proto/est/est_csrattrs.h"

#include "base/limits.h"
#include "base/text.h"
#include "proto/est/est_oids.h"

/* ---- reading ---- */

struct element {
    struct mu_bytes oid;
    bool bare;
    struct mu_bytes values; /* content of the SET OF */
};

/* AttrOrOID. false: neither, which is skipped. */
static bool get_element(const struct mu_der *el, struct element *out)
{
    struct mu_bytes in = el->value;
    struct mu_der oid, values;

    if (el->tag == MU_DER_OID) {
        *out = (struct element){.oid = el->value, .bare = true};
        return true;
    }
    if (el->tag != MU_DER_SEQUENCE || !mu_der_get(&in, MU_DER_OID, &oid))
        return false;
    *out = (struct element){.oid = oid.value};
    /* Old servers leave the SET out where there is no value. */
    if (mu_der_get(&in, MU_DER_SET, &values))
        out->values = values.value;
    return true;
}

static bool first_value(const struct element *e, struct mu_der *out)
{
    struct mu_bytes in = e->values;

    return e->values.n != 0 && mu_der_next(&in, out);
}

void mu_est_csrattrs_wish(struct mu_est_csrattrs *out, const struct mu_est_ext_wish *wish)
{
    size_t i;

    for (i = 0; i < out->ext_n; i++) {
        if (mu_bytes_equal(out->exts[i].oid, wish->oid)) {
            if (out->exts[i].fill && !wish->fill)
                out->exts[i] = *wish;
            return;
        }
    }
    if (out->ext_n < MU_EST_WISHES_MAX)
        out->exts[out->ext_n++] = *wish;
}

/* Extensions with values (RFC 9908 3.2). What is none is left alone: RFC 7030's own example has an
 * OID there (EST-72). */
static void take_extensions(const struct element *e, struct mu_est_csrattrs *out)
{
    struct mu_pki_exts exts;
    struct mu_bytes in, one;
    struct mu_der value, ext, oid, critical, octets;

    if (!first_value(e, &value))
        return;
    if (value.tag != MU_DER_SEQUENCE || mu_pki_exts_decode(value.whole, &exts, NULL) != MU_OK) {
        out->bad_extensions = true;
        return;
    }
    in = value.value;
    while (mu_der_get(&in, MU_DER_SEQUENCE, &ext)) {
        one = ext.value;
        if (mu_der_get(&one, MU_DER_OID, &oid) && mu_der_optional(&one, MU_DER_BOOLEAN, &critical)
            && mu_der_get(&one, MU_DER_OCTET_STRING, &octets))
            mu_est_csrattrs_wish(out,
                &(struct mu_est_ext_wish){.oid = oid.value,
                    .critical = critical.whole.p != NULL && critical.value.n == 1 && critical.value.p[0] != 0,
                    .value = octets.value});
    }
}

/* A curve or a number of bits. */
void mu_est_csrattrs_key(
    struct mu_bytes oid, const struct mu_der *value, struct mu_est_csrattrs *out)
{
    const struct mu_est_oid *known = mu_est_oid_find(oid);
    const struct mu_est_oid *curve;
    int64_t bits;

    if (known == NULL || known->key == MU_PKI_KEY_OTHER)
        return;
    out->has_key = true;
    out->key = (struct mu_pki_key_spec){known->key, known->bits};
    if (value == NULL)
        return;
    if (known->key == MU_PKI_KEY_RSA && value->tag == MU_DER_INTEGER) {
        if (mu_der_int(value->value, &bits) && bits >= 512 && bits <= 16384)
            out->key.bits = (unsigned)bits;
    } else if (known->key == MU_PKI_KEY_EC && value->tag == MU_DER_OID) {
        curve = mu_est_oid_find(value->value);
        if (curve != NULL && curve->key == MU_PKI_KEY_EC && curve->bits != 0)
            out->key.bits = curve->bits;
        else
            out->key.type = MU_PKI_KEY_OTHER; /* some curve that is not known here */
    }
}

static void take_element(const struct element *e, struct mu_est_csrattrs *out)
{
    const struct mu_est_oid *known = mu_est_oid_find(e->oid);
    struct mu_der value;
    bool has_value = first_value(e, &value);

    if (mu_der_oid_is(e->oid, MU_EST_OID_CHALLENGE_PASSWORD))
        out->link = true;
    else if (mu_der_oid_is(e->oid, MU_EST_OID_EXTENSION_REQUEST) && !e->bare)
        take_extensions(e, out);
    else if (known != NULL && known->is_extension && e->bare)
        mu_est_csrattrs_wish(out, &(struct mu_est_ext_wish){.oid = e->oid, .fill = true});
    else if (known != NULL && known->digest != MU_PKI_DIGEST_NONE)
        out->digest = out->digest != MU_PKI_DIGEST_NONE ? out->digest : known->digest;
    else if (known != NULL && known->key != MU_PKI_KEY_OTHER && !out->has_key)
        mu_est_csrattrs_key(e->oid, has_value ? &value : NULL, out);
}

/* The elements of der in order; false if it is no list of at most MU_EST_CSRATTRS_MAX. */
static bool split(struct mu_bytes der, struct element *out, size_t *n)
{
    struct mu_der outer, el;
    struct mu_bytes in;

    *n = 0;
    if (der.n == 0)
        return true;
    if (!mu_der_valid(der, MU_LIMIT_DEPTH) || !mu_der_only(der, MU_DER_SEQUENCE, &outer))
        return false;
    in = outer.value;
    while (in.n != 0) {
        if (!mu_der_next(&in, &el) || *n == MU_EST_CSRATTRS_MAX)
            return false;
        if (get_element(&el, &out[*n]))
            ++*n;
    }
    return true;
}

enum mu_code mu_est_csrattrs_decode(
    struct mu_bytes der, struct mu_est_csrattrs *out, struct mu_err *err)
{
    struct element elements[MU_EST_CSRATTRS_MAX];
    struct mu_der value;
    size_t n, i;

    memset(out, 0, sizeof *out);
    if (der.n > MU_LIMIT_EXTENSIONS || !split(der, elements, &n))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "est: the CSR attributes are no CsrAttrs, or too many (RFC 8951 4)");
    for (i = 0; i < n; i++) { /* EST-71: with a template nothing else counts */
        if (mu_der_oid_is(elements[i].oid, MU_EST_OID_TEMPLATE) && first_value(&elements[i], &value)
            && mu_est_template_decode(value.whole, out))
            return MU_OK;
    }
    memset(out, 0, sizeof *out);
    for (i = 0; i < n; i++)
        take_element(&elements[i], out);
    return MU_OK;
}

/* ---- for people ---- */

const char *mu_est_csrattrs_name(struct mu_bytes oid)
{
    const struct mu_est_oid *known = mu_est_oid_find(oid);

    return known != NULL ? known->name : "undefined";
}

static void put_ext(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct mu_buf *b = cookie;
    char title[64];

    mu_buf_putf(b, "%s%s:%s ", b->n != 0 ? "; " : "", mu_pki_ext_title(oid, title),
        critical ? " critical," : "");
    mu_pki_ext_format(oid, value, b);
}

static void put_values(const struct element *e, struct mu_buf *b)
{
    struct mu_bytes in = e->values;
    struct mu_pki_exts exts;
    struct mu_der value;
    int64_t v;

    if (mu_der_oid_is(e->oid, MU_EST_OID_EXTENSION_REQUEST) && first_value(e, &value)
        && mu_pki_exts_decode(value.whole, &exts, NULL) == MU_OK) {
        mu_pki_ext_each(value.whole, put_ext, b);
        return;
    }
    if (mu_der_oid_is(e->oid, MU_EST_OID_TEMPLATE)) {
        mu_buf_put_str(b, "a template (RFC 9908)");
        return;
    }
    while (mu_der_next(&in, &value)) {
        if (b->n != 0)
            mu_buf_put_str(b, ", ");
        if (value.tag == MU_DER_OID) {
            mu_der_oid_format(value.value, b);
            mu_buf_putf(b, " %s", mu_est_csrattrs_name(value.value));
        } else if (value.tag == MU_DER_INTEGER && mu_der_int(value.value, &v)) {
            mu_buf_putf(b, "%lld", (long long)v);
        } else if (value.whole.n <= 64) {
            mu_text_hex(b, value.whole, 0);
        } else {
            mu_buf_putf(b, "%zu bytes", value.whole.n);
        }
    }
}

bool mu_est_csrattrs_each(struct mu_bytes der, mu_est_csrattrs_call *call, void *cookie)
{
    struct element elements[MU_EST_CSRATTRS_MAX];
    size_t n, i;

    if (der.n > MU_LIMIT_EXTENSIONS || !split(der, elements, &n))
        return false;
    for (i = 0; i < n; i++) {
        struct mu_buf oid = {.max = 1024}, values = {.max = 8192};

        mu_der_oid_format(elements[i].oid, &oid);
        put_values(&elements[i], &values);
        call(cookie, mu_buf_str(&oid), mu_est_csrattrs_name(elements[i].oid), mu_buf_str(&values));
        mu_buf_clear(&oid);
        mu_buf_clear(&values);
    }
    return true;
}

/* ---- writing ---- */

const char *mu_est_csrattrs_key_oid(const struct mu_pki_key_spec *spec, const char **curve)
{
    *curve = NULL;
    switch (spec->type) {
    case MU_PKI_KEY_RSA:
        return "1.2.840.113549.1.1.1";
    case MU_PKI_KEY_EC:
        *curve = spec->bits == 384 ? "1.3.132.0.34"
            : spec->bits == 521    ? "1.3.132.0.35"
            : spec->bits == 256    ? "1.2.840.10045.3.1.7"
                                   : NULL;
        return "1.2.840.10045.2.1";
    case MU_PKI_KEY_ED25519:
        return "1.3.101.112";
    case MU_PKI_KEY_ED448:
        return "1.3.101.113";
    default:
        return NULL;
    }
}

static void put_key(const struct mu_pki_key_spec *spec, struct mu_buf *b)
{
    const char *curve, *oid = mu_est_csrattrs_key_oid(spec, &curve);
    size_t outer, set;

    if (oid == NULL)
        return;
    outer = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, oid);
    set = mu_der_open(b, MU_DER_SET);
    if (curve != NULL)
        mu_der_put_oid(b, curve);
    else if (spec->type == MU_PKI_KEY_RSA && spec->bits != 0)
        mu_der_put_int(b, spec->bits);
    mu_der_close(b, set);
    mu_der_close(b, outer);
}

static void put_attribute(struct mu_buf *b, const char *oid, struct mu_bytes value)
{
    size_t outer = mu_der_open(b, MU_DER_SEQUENCE), set;

    mu_der_put_oid(b, oid);
    set = mu_der_open(b, MU_DER_SET);
    mu_buf_put_bytes(b, value);
    mu_der_close(b, set);
    mu_der_close(b, outer);
}

static void put_template(const struct mu_est_csrattrs_params *params, struct mu_buf *b)
{
    struct mu_buf value = {.max = MU_LIMIT_EXTENSIONS};

    mu_est_template_put(params, &value);
    if (value.failed)
        b->failed = true;
    put_attribute(b, MU_EST_OID_TEMPLATE, mu_buf_bytes(&value));
    mu_buf_clear(&value);
}

enum mu_code mu_est_csrattrs_encode(
    const struct mu_est_csrattrs_params *params, struct mu_buf *out, struct mu_err *err)
{
    const char *signature = mu_est_oid_signature(params->key.type, params->digest);
    struct mu_buf b = {.max = MU_LIMIT_EXTENSIONS};
    size_t outer = mu_der_open(&b, MU_DER_SEQUENCE), empty = b.n, i;
    enum mu_code rc;

    if (params->link)
        mu_der_put_oid(&b, MU_EST_OID_CHALLENGE_PASSWORD);
    for (i = 0; params->oids != NULL && params->oids[i] != NULL; i++)
        mu_der_put_oid(&b, params->oids[i]);
    put_key(&params->key, &b);
    if (signature != NULL)
        mu_der_put_oid(&b, signature);
    if (params->extensions.n != 0)
        put_attribute(&b, MU_EST_OID_EXTENSION_REQUEST, params->extensions);
    for (i = 0; params->fill != NULL && params->fill[i] != NULL; i++)
        mu_der_put_oid(&b, params->fill[i]);
    if (params->with_template)
        put_template(params, &b);
    if (b.n != empty) {
        mu_der_close(&b, outer);
        mu_buf_put_bytes(out, mu_buf_bytes(&b));
    }
    rc = mu_buf_check(&b, "CSR attributes", err);
    if (rc == MU_OK)
        rc = mu_buf_check(out, "CSR attributes", err);
    mu_buf_clear(&b);
    return rc;
}

enum mu_code mu_est_csrattrs_add(
    struct mu_bytes attrs, const char *oid, struct mu_buf *out, struct mu_err *err)
{
    struct element elements[MU_EST_CSRATTRS_MAX];
    struct mu_der outer = {.value = {NULL, 0}};
    size_t n, i, mark;

    if (!split(attrs, elements, &n) || (attrs.n != 0 && !mu_der_only(attrs, MU_DER_SEQUENCE, &outer)))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "est: the CSR attributes are no CsrAttrs, or too many (RFC 8951 4)");
    for (i = 0; i < n; i++) {
        if (mu_der_oid_is(elements[i].oid, oid)) {
            mu_buf_put_bytes(out, attrs);
            return mu_buf_check(out, "CSR attributes", err);
        }
    }
    mark = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, oid);
    mu_buf_put_bytes(out, outer.value);
    mu_der_close(out, mark);
    return mu_buf_check(out, "CSR attributes", err);
}
