/* Values of general messages, both ways. What the server answers is cmp_genm_answer.c. */
#include "proto/cmp/cmp_genm.h"

#include "base/limits.h"

#define OID_ALG_ID "1.3.6.1.5.5.7.5.1.11"      /* regCtrl-algId (RFC 9480 2.16) */
#define OID_RSA_KEY_LEN "1.3.6.1.5.5.7.5.1.12" /* regCtrl-rsaKeyLen */

/* ---- rootCaKeyUpdate ---- */

/* [n] holding a certificate; p NULL if absent. Taken as IMPLICIT, too. */
static bool tagged_cert(struct mu_bytes *in, unsigned n, struct mu_bytes *out)
{
    struct mu_der el, inner;

    *out = mu_bytes(NULL, 0);
    if (!mu_der_optional(in, MU_DER_CONTEXT_CONSTRUCTED(n), &el))
        return false;
    if (el.whole.p == NULL)
        return true;
    if (!mu_der_only(el.value, MU_DER_SEQUENCE, &inner))
        return false;
    *out = inner.whole;
    return true;
}

bool mu_cmp_genm_root_update_decode(struct mu_bytes value, struct mu_cmp_root_update *out)
{
    struct mu_cmp_root_update u;
    struct mu_der seq, el;

    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq)
        || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &el))
        return false;
    u.new_with_new = el.whole;
    if (!tagged_cert(&seq.value, 0, &u.new_with_old) || !tagged_cert(&seq.value, 1, &u.old_with_new)
        || seq.value.n != 0)
        return false;
    *out = u;
    return true;
}

static void put_tagged(struct mu_buf *out, unsigned n, struct mu_bytes cert)
{
    if (cert.n != 0)
        mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(n), cert);
}

void mu_cmp_genm_root_update_encode(const struct mu_cmp_root_update *update, struct mu_buf *out)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);

    mu_buf_put_bytes(out, update->new_with_new);
    put_tagged(out, 0, update->new_with_old);
    put_tagged(out, 1, update->old_with_new);
    mu_der_close(out, seq);
}

/* ---- certReqTemplate ---- */

static bool key_spec_of_alg(struct mu_bytes value, struct mu_pki_key_spec *out)
{
    struct mu_der alg, oid, curve;

    if (!mu_der_only(value, MU_DER_SEQUENCE, &alg) || !mu_der_get(&alg.value, MU_DER_OID, &oid))
        return false;
    if (mu_der_oid_is(oid.value, "1.3.101.112"))
        *out = (struct mu_pki_key_spec){MU_PKI_KEY_ED25519, 0};
    else if (mu_der_oid_is(oid.value, "1.3.101.113"))
        *out = (struct mu_pki_key_spec){MU_PKI_KEY_ED448, 0};
    else if (!mu_der_oid_is(oid.value, "1.2.840.10045.2.1")
        || !mu_der_get(&alg.value, MU_DER_OID, &curve))
        return false;
    else if (mu_der_oid_is(curve.value, "1.2.840.10045.3.1.7"))
        *out = (struct mu_pki_key_spec){MU_PKI_KEY_EC, 256};
    else if (mu_der_oid_is(curve.value, "1.3.132.0.34"))
        *out = (struct mu_pki_key_spec){MU_PKI_KEY_EC, 384};
    else if (mu_der_oid_is(curve.value, "1.3.132.0.35"))
        *out = (struct mu_pki_key_spec){MU_PKI_KEY_EC, 521};
    else
        return false;
    return true;
}

static bool key_spec_decode(struct mu_bytes control, struct mu_pki_key_spec *out, bool *known)
{
    struct mu_der oid, value;
    int64_t bits;

    *known = false;
    if (!mu_der_get(&control, MU_DER_OID, &oid) || !mu_der_next(&control, &value)
        || control.n != 0)
        return false;
    if (mu_der_oid_is(oid.value, OID_ALG_ID)) {
        *known = key_spec_of_alg(value.whole, out);
    } else if (mu_der_oid_is(oid.value, OID_RSA_KEY_LEN)) {
        if (value.tag != MU_DER_INTEGER || !mu_der_int(value.value, &bits))
            return false;
        *known = bits >= 1024 && bits <= 16384;
        if (*known)
            *out = (struct mu_pki_key_spec){MU_PKI_KEY_RSA, (unsigned)bits};
    }
    return true;
}

static enum mu_code bad_template(struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "cmp: malformed certReqTemplate (RFC 9483 4.3.3)");
}

enum mu_code mu_cmp_genm_template_decode(struct mu_bytes value, struct mu_buf *retagged,
    struct mu_cmp_req_template *out, struct mu_err *err)
{
    struct mu_cmp_req_template t = {.key_spec_n = 0};
    struct mu_der seq, tmpl, specs, one;
    bool known;
    enum mu_code rc;

    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq)
        || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &tmpl)
        || !mu_der_optional(&seq.value, MU_DER_SEQUENCE, &specs) || seq.value.n != 0)
        return bad_template(err);
    if ((rc = mu_cmp_crmf_template_decode(tmpl.value, retagged, &t.tmpl, err)) != MU_OK)
        return rc;
    while (specs.whole.p != NULL && specs.value.n != 0) {
        struct mu_pki_key_spec spec;

        if (!mu_der_get(&specs.value, MU_DER_SEQUENCE, &one)
            || !key_spec_decode(one.value, &spec, &known))
            return bad_template(err);
        if (known && t.key_spec_n < MU_CMP_KEY_SPECS)
            t.key_specs[t.key_spec_n++] = spec;
    }
    *out = t;
    return MU_OK;
}

static void put_key_spec(struct mu_buf *out, const struct mu_pki_key_spec *spec)
{
    size_t control = mu_der_open(out, MU_DER_SEQUENCE), alg;

    if (spec->type == MU_PKI_KEY_RSA) { /* CMP-95: algId is for the others */
        mu_der_put_oid(out, OID_RSA_KEY_LEN);
        mu_der_put_int(out, spec->bits);
    } else {
        mu_der_put_oid(out, OID_ALG_ID);
        alg = mu_der_open(out, MU_DER_SEQUENCE);
        if (spec->type == MU_PKI_KEY_EC) {
            mu_der_put_oid(out, "1.2.840.10045.2.1");
            mu_der_put_oid(out, spec->bits <= 256 ? "1.2.840.10045.3.1.7"
                    : spec->bits <= 384           ? "1.3.132.0.34"
                                                  : "1.3.132.0.35");
        } else {
            mu_der_put_oid(
                out, spec->type == MU_PKI_KEY_ED448 ? "1.3.101.113" : "1.3.101.112");
        }
        mu_der_close(out, alg);
    }
    mu_der_close(out, control);
}

void mu_cmp_genm_template_encode(const struct mu_cmp_req_template *t, struct mu_buf *out)
{
    struct mu_cmp_template tmpl = t->tmpl;
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE), specs;

    /* CMP-94: never in a template */
    tmpl.serial = tmpl.signing_alg = tmpl.spki = mu_bytes(NULL, 0);
    mu_cmp_crmf_template_encode(&tmpl, out);
    if (t->key_spec_n != 0) {
        specs = mu_der_open(out, MU_DER_SEQUENCE);
        for (size_t i = 0; i < t->key_spec_n; i++)
            put_key_spec(out, &t->key_specs[i]);
        mu_der_close(out, specs);
    }
    mu_der_close(out, seq);
}

/* ---- crlStatusList ---- */

/* The first directoryName among GeneralNames (content). */
static struct mu_bytes directory_name(struct mu_bytes names)
{
    struct mu_der name, inner;

    while (names.n != 0 && mu_der_next(&names, &name))
        if (name.tag == MU_DER_CONTEXT_CONSTRUCTED(4)
            && mu_der_only(name.value, MU_DER_SEQUENCE, &inner))
            return inner.whole;
    return mu_bytes(NULL, 0);
}

/* CRLStatus { source CHOICE { dpn [0] DistributionPointName, issuer [1] GeneralNames },
 * thisUpdate Time OPTIONAL } */
bool mu_cmp_genm_crl_status_decode(struct mu_bytes value, struct mu_cmp_crl_status *out)
{
    struct mu_cmp_crl_status s = {.this_update_s = 0};
    struct mu_der list, one, source, names, time;
    int tag;

    if (!mu_der_only(value, MU_DER_SEQUENCE, &list)
        || !mu_der_get(&list.value, MU_DER_SEQUENCE, &one)
        || !mu_der_next(&one.value, &source))
        return false;
    if (source.tag == MU_DER_CONTEXT_CONSTRUCTED(1)) {
        s.issuer = directory_name(source.value);
        /* EXPLICIT is right, IMPLICIT is forgiven */
        if (s.issuer.p == NULL && mu_der_only(source.value, MU_DER_SEQUENCE, &names))
            s.issuer = directory_name(names.value);
    } else if (source.tag == MU_DER_CONTEXT_CONSTRUCTED(0)) {
        if (mu_der_only(source.value, MU_DER_CONTEXT_CONSTRUCTED(0), &names)) /* fullName */
            s.issuer = directory_name(names.value);
    } else {
        return false;
    }
    tag = mu_der_peek(one.value);
    if (tag >= 0
        && (!mu_der_next(&one.value, &time) || !mu_der_time(&time, &s.this_update_s)
            || one.value.n != 0))
        return false;
    *out = s;
    return true;
}

void mu_cmp_genm_crl_status_encode(const struct mu_cmp_crl_status *status, struct mu_buf *out)
{
    size_t list = mu_der_open(out, MU_DER_SEQUENCE), one = mu_der_open(out, MU_DER_SEQUENCE);
    size_t source = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(1)); /* EXPLICIT (CMP-01) */
    size_t names = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(4), status->issuer);
    mu_der_close(out, names);
    mu_der_close(out, source);
    if (status->this_update_s != 0)
        mu_der_put_time(out, status->this_update_s);
    mu_der_close(out, one);
    mu_der_close(out, list);
}

bool mu_cmp_genm_texts_first(struct mu_bytes value, struct mu_bytes *out)
{
    struct mu_der seq, text;

    *out = mu_bytes(NULL, 0);
    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq))
        return false;
    if (seq.value.n == 0)
        return true;
    if (!mu_der_get(&seq.value, MU_DER_UTF8_STRING, &text))
        return false;
    *out = text.value;
    return true;
}
