/* One signed attribute of a pkiMessage at a time. What the field sends is taken where its meaning
 * is certain, and noted; see INTEROP 3.9. */
#include "proto/scep/scep_attr.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/der.h"
#include "base/limits.h"
#include "base/text.h"

static bool is_text_tag(unsigned tag)
{
    return tag == MU_DER_PRINTABLE_STRING || tag == MU_DER_UTF8_STRING || tag == MU_DER_IA5_STRING
        || tag == MU_DER_T61_STRING || tag == MU_DER_NUMERIC_STRING || tag == MU_DER_BMP_STRING
        || tag == MU_DER_OCTET_STRING;
}

/* The one element of the attribute; whole.p NULL if the attribute is absent. */
static enum mu_code element(const struct mu_pki_signed *cms, const char *oid, const char *name,
    struct mu_der *out, struct mu_err *err)
{
    struct mu_bytes value;
    enum mu_code rc;

    memset(out, 0, sizeof *out);
    rc = mu_pki_signed_attr(cms, oid, &value, err);
    if (rc != MU_OK) {
        mu_err_context(err, "scep: %s", name);
        return rc;
    }
    if (value.p == NULL)
        return MU_OK;
    if (!mu_der_next(&value, out) || value.n != 0)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: %s is not one DER value (RFC 8894 3.2.1)", name);
    return MU_OK;
}

enum mu_code mu_scep_attr_number(const struct mu_pki_signed *cms, const char *oid,
    const char *name, int *out, bool *strange, struct mu_err *err)
{
    struct mu_der el;
    enum mu_code rc;
    char shown[40];
    int v = 0;
    size_t i;

    rc = element(cms, oid, name, &el, err);
    if (rc != MU_OK)
        return rc;
    if (el.whole.p == NULL) {
        *out = -1;
        return MU_OK;
    }
    if (!is_text_tag(el.tag))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: %s is no text but ASN.1 tag 0x%02x (RFC 8894 table 1)", name, el.tag);
    for (i = 0; i < el.value.n && i < 4; i++) {
        if (el.value.p[i] < '0' || el.value.p[i] > '9')
            break;
        v = v * 10 + (el.value.p[i] - '0');
    }
    if (i == 0 || i != el.value.n || i > 3 || (i > 1 && el.value.p[0] == '0'))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: %s '%s' is no decimal number (RFC 8894 table 1)", name,
            mu_text_escape_to(shown, sizeof shown, el.value));
    if (el.tag != MU_DER_PRINTABLE_STRING)
        *strange = true;
    *out = v;
    return MU_OK;
}

enum mu_code mu_scep_attr_nonce(const struct mu_pki_signed *cms, const char *oid,
    const char *name, struct mu_scep_nonce *out, bool *strange, struct mu_err *err)
{
    struct mu_der el;
    enum mu_code rc;

    rc = element(cms, oid, name, &el, err);
    if (rc != MU_OK)
        return rc;
    out->n = 0;
    if (el.whole.p == NULL)
        return MU_OK;
    if (el.tag != MU_DER_OCTET_STRING)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: %s is no OCTET STRING (RFC 8894 3.2.1.5)", name);
    if (el.value.n > sizeof out->p)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: %s has %zu octets, at most %d are taken (RFC 8894 3.2.1.5 wants 16)", name,
            el.value.n, MU_LIMIT_NONCE);
    if (el.value.n != 16)
        *strange = true;
    if (el.value.n != 0)
        memcpy(out->p, el.value.p, el.value.n);
    out->n = el.value.n;
    return MU_OK;
}

static bool is_printable(struct mu_bytes v)
{
    size_t i;

    for (i = 0; i < v.n; i++) {
        if (v.p[i] < 0x21 || v.p[i] > 0x7e)
            return false;
    }
    return true;
}

enum mu_code mu_scep_attr_transaction_id(const struct mu_pki_signed *cms, struct mu_bytes *raw,
    char **text, bool *strange, struct mu_err *err)
{
    struct mu_buf b = {.max = 2 * MU_LIMIT_TRANSACTION_ID + 1};
    struct mu_der el;
    enum mu_code rc;

    rc = element(cms, MU_SCEP_OID_TRANSACTION_ID, "transactionID", &el, err);
    if (rc != MU_OK)
        return rc;
    if (el.whole.p == NULL || el.value.n == 0)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: no transactionID (RFC 8894 3.2.1.1)");
    if (!is_text_tag(el.tag))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: transactionID is no text but ASN.1 tag 0x%02x (RFC 8894 3.2.1.1)", el.tag);
    if (el.value.n > MU_LIMIT_TRANSACTION_ID)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: transactionID has %zu octets, at most %d are taken (RFC 8894 3.2.1.1)",
            el.value.n, MU_LIMIT_TRANSACTION_ID);
    if (is_printable(el.value))
        mu_buf_put_bytes(&b, el.value);
    else
        mu_text_hex(&b, el.value, 0);
    if (el.tag != MU_DER_PRINTABLE_STRING || !is_printable(el.value))
        *strange = true;
    rc = mu_text_dup(mu_buf_str(&b), text, err);
    mu_buf_clear(&b);
    if (rc == MU_OK)
        *raw = el.whole;
    return rc;
}

enum mu_code mu_scep_attr_text(const struct mu_pki_signed *cms, const char *oid, char **text,
    bool *strange, struct mu_err *err)
{
    struct mu_buf utf8 = {.max = 4096}, shown = {.max = 4096};
    struct mu_der el;
    enum mu_code rc;

    rc = element(cms, oid, "failInfoText", &el, err);
    if (rc != MU_OK)
        return rc;
    *text = NULL;
    if (el.whole.p != NULL && mu_der_string(&el, &utf8) && !utf8.failed) {
        if (el.tag != MU_DER_UTF8_STRING)
            *strange = true;
        mu_text_escape(&shown, mu_buf_bytes(&utf8), 400);
        rc = mu_text_dup(mu_buf_str(&shown), text, err);
    }
    mu_buf_clear(&utf8);
    mu_buf_clear(&shown);
    return rc;
}

void mu_scep_attr_put_raw(struct mu_scep_attr_list *list, const char *oid, struct mu_bytes el)
{
    assert(list->n < sizeof list->v / sizeof list->v[0]);
    list->v[list->n].oid = oid;
    mu_buf_put_bytes(&list->value[list->n], el);
    list->n++;
}

void mu_scep_attr_put(struct mu_scep_attr_list *list, const char *oid, unsigned tag,
    struct mu_bytes content)
{
    assert(list->n < sizeof list->v / sizeof list->v[0]);
    list->v[list->n].oid = oid;
    mu_der_put(&list->value[list->n], tag, content);
    list->n++;
}

void mu_scep_attr_put_number(struct mu_scep_attr_list *list, const char *oid, int number)
{
    char text[16];

    snprintf(text, sizeof text, "%d", number);
    mu_scep_attr_put(list, oid, MU_DER_PRINTABLE_STRING, mu_bytes_str(text));
}

enum mu_code mu_scep_attr_finish(struct mu_scep_attr_list *list, struct mu_err *err)
{
    enum mu_code rc;
    size_t i;

    for (i = 0; i < list->n; i++) {
        rc = mu_buf_check(&list->value[i], "SCEP attribute", err);
        if (rc != MU_OK)
            return rc;
        list->v[i].value = mu_buf_bytes(&list->value[i]);
    }
    return MU_OK;
}

void mu_scep_attr_clear(struct mu_scep_attr_list *list)
{
    size_t i;

    for (i = 0; i < list->n; i++)
        mu_buf_clear(&list->value[i]);
    list->n = 0;
}
