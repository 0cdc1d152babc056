/* Any octets as CSR attributes, and as the template within them: reading, printing, adding to
 * them. What was written is read again. */
#include <stdlib.h>

#include "proto/est/est_csrattrs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void on_element(void *cookie, const char *oid, const char *name, const char *values)
{
    size_t *n = cookie;

    require(oid != NULL && name[0] != '\0' && values != NULL);
    ++*n;
}

static void on_rdn(void *cookie, const char *type, const char *value)
{
    (void)cookie;
    (void)value;
    require(type[0] != '\0');
}

/* The wishes that have values as Extensions. */
static void put_extensions(const struct mu_est_csrattrs *a, struct mu_buf *out)
{
    size_t outer = mu_der_open(out, MU_DER_SEQUENCE), i, one;

    for (i = 0; i < a->ext_n; i++) {
        if (a->exts[i].fill)
            continue;
        one = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put(out, MU_DER_OID, a->exts[i].oid);
        if (a->exts[i].critical)
            mu_der_put_bool(out, true);
        mu_der_put(out, MU_DER_OCTET_STRING, a->exts[i].value);
        mu_der_close(out, one);
    }
    mu_der_close(out, outer);
}

/* What was understood, written in our own words in both styles, is understood in the same way. */
static void write_again(const struct mu_est_csrattrs *a)
{
    static const char *const fill[] = {MU_EST_OID_SAN, NULL};
    static const struct mu_pki_name_part subject[] = {{"O", "x"}, {"CN", NULL}};
    struct mu_est_csrattrs_params params = {.link = a->link, .digest = a->digest};
    struct mu_buf exts = {0}, out = {0};
    struct mu_est_csrattrs again;
    int style;

    put_extensions(a, &exts);
    if (a->ext_n != 0 && !exts.failed)
        params.extensions = mu_buf_bytes(&exts);
    if (a->has_key)
        params.key = a->key;
    for (style = 0; style < 4; style++) {
        params.with_template = style & 1;
        params.fill = style & 2 ? fill : NULL;
        params.subject = subject;
        params.subject_n = style & 1 ? 2 : 0;
        mu_buf_reset(&out);
        if (mu_est_csrattrs_encode(&params, &out, NULL) != MU_OK)
            continue; /* too big */
        require(mu_est_csrattrs_decode(mu_buf_bytes(&out), &again, NULL) == MU_OK);
        require(again.link == a->link && again.is_template == ((style & 1) != 0));
        require(!a->has_key || a->key.type == MU_PKI_KEY_OTHER || again.key.type == a->key.type);
    }
    mu_buf_clear(&exts);
    mu_buf_clear(&out);
}

static void look(struct mu_bytes der)
{
    struct mu_est_csrattrs attrs, again;
    struct mu_buf out = {0};
    size_t n = 0;

    if (mu_est_csrattrs_decode(der, &attrs, NULL) != MU_OK)
        return;
    require(attrs.ext_n <= MU_EST_WISHES_MAX);
    require(mu_est_csrattrs_each(der, on_element, &n));
    if (attrs.subject.n != 0)
        require(mu_est_template_subject(attrs.subject, on_rdn, NULL));
    write_again(&attrs);
    if (n < MU_EST_CSRATTRS_MAX
        && mu_est_csrattrs_add(der, MU_EST_OID_CHALLENGE_PASSWORD, &out, NULL) == MU_OK
        && mu_est_csrattrs_decode(mu_buf_bytes(&out), &again, NULL) == MU_OK)
        require(again.is_template == attrs.is_template && (again.link || again.is_template)
            && again.ext_n == attrs.ext_n);
    mu_buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_buf wrapped = {0};
    size_t outer, one, set;

    look(mu_bytes(data, size));
    /* As the value of a template. */
    outer = mu_der_open(&wrapped, MU_DER_SEQUENCE);
    one = mu_der_open(&wrapped, MU_DER_SEQUENCE);
    mu_der_put_oid(&wrapped, MU_EST_OID_TEMPLATE);
    set = mu_der_open(&wrapped, MU_DER_SET);
    mu_buf_put(&wrapped, data, size);
    mu_der_close(&wrapped, set);
    mu_der_close(&wrapped, one);
    mu_der_close(&wrapped, outer);
    if (!wrapped.failed)
        look(mu_buf_bytes(&wrapped));
    mu_buf_clear(&wrapped);
    return 0;
}
