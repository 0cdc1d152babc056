/*
 * csrattrs, and the request made of what the user wants and the CA wishes. What the user asked for
 * explicitly wins, and a difference is told (E064); what the CA gives values for is put in; what
 * it wants and nobody gave is M408 before anything is posted (E056).
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"
#include "proto/est/est_body.h"
#include "proto/est/est_client_internal.h"
#include "proto/est/est_link.h"

/* ---- csrattrs ---- */

static void trace_object(void *cookie, const char *oid, const char *name, const char *values)
{
    const struct mu_est_client *c = cookie;

    mu_est_client_trace(c, MU_TRACE_CSRATTRS, "object %s %s%s%s", oid, name,
        values[0] != '\0' ? ": " : "", values);
}

static void trace_body(const struct mu_est_client *c, struct mu_bytes body)
{
    struct mu_buf text = {.max = MU_LIMIT_MESSAGE};
    size_t i;

    for (i = 0; i < body.n; i++) {
        if (body.p[i] > ' ')
            mu_buf_put_byte(&text, body.p[i]);
    }
    mu_est_client_trace(c, MU_TRACE_CSRATTRS, "%zu bytes, %s", body.n, mu_buf_str(&text));
    mu_buf_clear(&text);
}

static enum mu_code refuse_attrs(enum mu_code rc, struct mu_err *err)
{
    mu_err_narrow(err, MU_M(408));
    mu_err_context(err, "est: the answer to csrattrs");
    mu_err_likely(err, "The server sends something else than CSR attributes.");
    mu_err_next(err, "Set csrattrs = ignore to enroll without asking for them.");
    return rc;
}

enum mu_code mu_est_client_attrs_take(
    struct mu_est_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    struct mu_bytes body = mu_buf_bytes(&response->body);
    enum mu_code rc = MU_OK;

    mu_buf_reset(&c->attrs_der);
    memset(&c->attrs, 0, sizeof c->attrs);
    if (body.n == 0) {
        mu_est_client_trace(c, MU_TRACE_CSRATTRS, "none offered (an empty answer)");
        return MU_OK;
    }
    trace_body(c, body);
    rc = mu_est_body_decode(body, &c->attrs_der, err);
    if (rc == MU_OK)
        rc = mu_est_csrattrs_decode(mu_buf_bytes(&c->attrs_der), &c->attrs, err);
    if (rc != MU_OK)
        return refuse_attrs(rc, err);
    mu_est_csrattrs_each(mu_buf_bytes(&c->attrs_der), trace_object, c);
    if (c->attrs.bad_extensions)
        mu_est_client_trace(c, MU_TRACE_CSRATTRS,
            "note: an extension request in it is malformed and left out (RFC 9908 5.2)");
    return MU_OK;
}

/* ---- the key ---- */

static bool key_is_usable(const struct mu_pki_key_spec *spec)
{
    if (spec->type == MU_PKI_KEY_RSA)
        return spec->bits == 0 || (spec->bits >= 2048 && spec->bits <= 8192);
    return spec->type != MU_PKI_KEY_OTHER;
}

void mu_est_client_key_spec(struct mu_est_client *c, struct mu_pki_key_spec *out)
{
    *out = c->config.key_spec;
    if (out->type == MU_PKI_KEY_OTHER)
        *out = (struct mu_pki_key_spec){MU_PKI_KEY_EC, 256};
    if (c->config.key_spec_is_choice && c->config.key_spec.type != MU_PKI_KEY_OTHER)
        return;
    if (!c->attrs.has_key || c->config.ignore_csrattrs)
        return;
    if (!key_is_usable(&c->attrs.key)) {
        mu_est_client_warn(c, MU_TRACE_CSRATTRS,
            "the CA suggests a kind of key that cannot be made here; the default is used");
        return;
    }
    if (c->attrs.key.bits == 0 && c->attrs.key.type == out->type)
        return; /* any of this kind */
    *out = c->attrs.key;
    if (out->bits == 0 && out->type == MU_PKI_KEY_EC)
        out->bits = 256;
    if (out->bits == 0 && out->type == MU_PKI_KEY_RSA)
        out->bits = 2048;
}

/* The digest wished for fits only a signature of that family; mu_pki_csr_make refuses the rest. */
static enum mu_pki_digest choose_digest(const struct mu_est_client *c)
{
    struct mu_pki_key_spec spec;

    mu_pki_key_spec_of(c->key, &spec);
    if (spec.type != MU_PKI_KEY_RSA && spec.type != MU_PKI_KEY_EC)
        return MU_PKI_DIGEST_NONE;
    if (c->config.digest != MU_PKI_DIGEST_NONE)
        return c->config.digest;
    if (mu_pki_digest_is_legacy(c->attrs.digest) && !c->config.allow_legacy)
        return MU_PKI_DIGEST_NONE;
    return c->attrs.digest;
}

/* ---- names ---- */

struct subject_cookie {
    struct mu_bytes have;
    struct mu_buf *rdns;    /* more of them, encoded */
    char missing[200];      /* types nobody gave */
};

static void look_at_rdn(void *cookie, const char *type, const char *value)
{
    struct subject_cookie *s = cookie;
    struct mu_pki_name_part part = {type, value};
    struct mu_buf is = {.max = 4096}, name = {.max = MU_LIMIT_NAME};
    struct mu_der outer;
    size_t n = strlen(s->missing);

    if (mu_pki_name_get(s->have, type, &is))
        ; /* the user's own counts */
    else if (value == NULL)
        snprintf(s->missing + n, sizeof s->missing - n, "%s%s", n != 0 ? ", " : "", type);
    else if (mu_pki_name_build(&part, 1, &name, NULL) == MU_OK
        && mu_der_only(mu_buf_bytes(&name), MU_DER_SEQUENCE, &outer))
        mu_buf_put_bytes(s->rdns, outer.value);
    mu_buf_clear(&is);
    mu_buf_clear(&name);
}

static enum mu_code lacks(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_M(408),
        "est: the server's attributes ask for %s, the request lacks it (RFC 7030 4.5.2)", what);
}

/* The user's subject, with what a template gives a value for and the user did not (EST-68). */
static enum mu_code make_subject(
    const struct mu_est_client *c, struct mu_buf *out, struct mu_err *err)
{
    static const uint8_t empty[] = {MU_DER_SEQUENCE, 0};
    struct mu_buf rdns = {.max = MU_LIMIT_NAME};
    struct subject_cookie s = {.have = mu_buf_bytes(&c->subject), .rdns = &rdns};
    struct mu_der own;
    char what[240];
    enum mu_code rc;
    size_t mark;

    if (s.have.n == 0)
        s.have = mu_bytes(empty, sizeof empty);
    if (c->attrs.subject.n != 0 && !c->config.ignore_csrattrs)
        mu_est_template_subject(c->attrs.subject, look_at_rdn, &s);
    if (s.missing[0] != '\0') {
        mu_buf_clear(&rdns);
        snprintf(what, sizeof what, "%s in the subject", s.missing);
        return lacks(what, err);
    }
    mark = mu_der_open(out, MU_DER_SEQUENCE);
    if (mu_der_only(s.have, MU_DER_SEQUENCE, &own))
        mu_buf_put_bytes(out, own.value);
    mu_buf_put_bytes(out, mu_buf_bytes(&rdns));
    mu_der_close(out, mark);
    rc = mu_buf_check(&rdns, "subject", err);
    mu_buf_clear(&rdns);
    return rc == MU_OK ? mu_buf_check(out, "subject", err) : rc;
}

/* ---- extensions ---- */

/* extnValue of an extension among the user's; p NULL if absent. */
static struct mu_bytes find_ext(struct mu_bytes extensions, struct mu_bytes oid)
{
    struct mu_der all, ext, id, critical, value;
    struct mu_bytes in, one;

    if (extensions.n == 0 || !mu_der_only(extensions, MU_DER_SEQUENCE, &all))
        return mu_bytes(NULL, 0);
    in = all.value;
    while (mu_der_get(&in, MU_DER_SEQUENCE, &ext)) {
        one = ext.value;
        if (mu_der_get(&one, MU_DER_OID, &id) && mu_der_optional(&one, MU_DER_BOOLEAN, &critical)
            && mu_der_get(&one, MU_DER_OCTET_STRING, &value) && mu_bytes_equal(id.value, oid))
            return value.value;
    }
    return mu_bytes(NULL, 0);
}

static void put_wish(struct mu_buf *b, const struct mu_est_ext_wish *wish)
{
    size_t outer = mu_der_open(b, MU_DER_SEQUENCE);

    mu_der_put(b, MU_DER_OID, wish->oid);
    if (wish->critical)
        mu_der_put_bool(b, true);
    mu_der_put(b, MU_DER_OCTET_STRING, wish->value);
    mu_der_close(b, outer);
}

/* What the client can fill in by itself: the key's identifier. */
static bool fill(const struct mu_est_client *c, const struct mu_est_ext_wish *wish, struct mu_buf *b)
{
    uint8_t id[20];

    if (!mu_der_oid_is(wish->oid, "2.5.29.14") || !mu_pki_key_id(mu_pki_key_spki(c->key), id))
        return false;
    mu_pki_ext_put_skid(b, id);
    return true;
}

static enum mu_code take_wish(
    struct mu_est_client *c, const struct mu_est_ext_wish *wish, struct mu_buf *b, struct mu_err *err)
{
    const char *name = mu_est_csrattrs_name(wish->oid);
    struct mu_bytes own = find_ext(mu_buf_bytes(&c->extensions), wish->oid);

    if (own.p != NULL) {
        if (!wish->fill && !mu_bytes_equal(own, wish->value))
            mu_est_client_warn(c, MU_TRACE_CSRATTRS,
                "the CA suggests another %s than the one asked for, which is used", name);
        return MU_OK;
    }
    if (!wish->fill) {
        put_wish(b, wish);
        return MU_OK;
    }
    if (fill(c, wish, b))
        return MU_OK;
    if (mu_der_oid_is(wish->oid, MU_EST_OID_SAN))
        return lacks("a subject alternative name", err);
    if (c->attrs.is_template)
        return lacks(name, err);
    mu_est_client_trace(
        c, MU_TRACE_CSRATTRS, "note: the CA wishes for %s and names no value", name);
    return MU_OK;
}

static enum mu_code make_extensions(struct mu_est_client *c, struct mu_buf *out, struct mu_err *err)
{
    size_t outer = mu_der_open(out, MU_DER_SEQUENCE), empty = out->n, i;
    struct mu_der own;
    enum mu_code rc = MU_OK;

    if (c->extensions.n != 0 && mu_der_only(mu_buf_bytes(&c->extensions), MU_DER_SEQUENCE, &own))
        mu_buf_put_bytes(out, own.value);
    for (i = 0; !c->config.ignore_csrattrs && i < c->attrs.ext_n && rc == MU_OK; i++)
        rc = take_wish(c, &c->attrs.exts[i], out, err);
    if (out->n == empty)
        mu_buf_reset(out);
    else
        mu_der_close(out, outer);
    return rc == MU_OK ? mu_buf_check(out, "extensions", err) : rc;
}

/* ---- the request ---- */

/* tls-unique goes in whenever there is one (EST-53). The exporter only where linking is demanded:
 * RFC 7030 does not know it, so a server that does not ask might take it for something else
 * (EST-60). */
bool mu_est_client_may_link(const struct mu_est_client *c)
{
    return !c->config.no_link && !c->config.bootstrap;
}

static bool links(const struct mu_est_client *c)
{
    return mu_est_client_may_link(c) && c->has_binding && (!c->by_exporter || c->attrs.link);
}

static enum mu_code check_key(const struct mu_est_client *c, struct mu_err *err)
{
    uint8_t digest[64];

    if (!c->has_key_digest)
        return MU_OK;
    if (mu_pki_digest(MU_PKI_SHA256, mu_pki_key_spki(c->key), digest) == 0)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "est: SHA-256 failed");
    if (memcmp(digest, c->key_digest, sizeof c->key_digest) != 0)
        return mu_err_set(err, MU_INPUT, MU_M(708),
            "est: the stored request was made with another key than the one given");
    return MU_OK;
}

static enum mu_code sign(struct mu_est_client *c, struct mu_bytes subject, struct mu_bytes extensions,
    struct mu_err *err)
{
    struct mu_secret challenge = {0};
    struct mu_buf more = {.max = 4096};
    struct mu_pki_csr_params params = {
        .subject = subject, .extensions = extensions, .digest = choose_digest(c)};
    enum mu_code rc = MU_OK;

    c->linked = links(c);
    if (c->linked) {
        rc = mu_est_link_make(mu_buf_bytes(&c->binding), &challenge, err);
        params.challenge = &challenge;
    }
    if (rc == MU_OK && c->config.op == MU_EST_CLIENT_KEYGEN) {
        rc = mu_est_client_key_wish(c, &more, err);
        params.attributes = mu_buf_bytes(&more);
    }
    mu_buf_reset(&c->csr);
    mu_pki_csr_free(c->csr_parsed);
    c->csr_parsed = NULL;
    if (rc == MU_OK)
        rc = mu_pki_csr_make(&params, c->key, &c->csr, err);
    if (rc == MU_OK)
        rc = mu_pki_csr_decode(mu_buf_bytes(&c->csr), &c->csr_parsed, err);
    mu_buf_clear(&more);
    mu_secret_clear(&challenge);
    return rc;
}

enum mu_code mu_est_client_csr_make(struct mu_est_client *c, struct mu_err *err)
{
    struct mu_buf subject = {.max = MU_LIMIT_NAME}, extensions = {.max = MU_LIMIT_EXTENSIONS};
    enum mu_code rc;

    rc = check_key(c, err);
    if (rc == MU_OK)
        rc = make_subject(c, &subject, err);
    if (rc == MU_OK)
        rc = make_extensions(c, &extensions, err);
    if (rc == MU_OK)
        rc = sign(c, mu_buf_bytes(&subject), mu_buf_bytes(&extensions), err);
    mu_buf_clear(&subject);
    mu_buf_clear(&extensions);
    return rc;
}
