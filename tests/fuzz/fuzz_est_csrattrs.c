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
