/* certs-only messages (COM-08) and the CertificateSet of any SignedData. */
#include "base/limits.h"
#include "pki/pki_cms.h"
#include "pki/pki_internal.h"

enum mu_code mu_pki_certs_from_set(struct mu_bytes set, struct mu_pki_certs *list,
    struct mu_err *err)
{
    struct mu_der el;
    while (set.n) {
        if (!mu_der_next(&set, &el))
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "cms: malformed certificates (RFC 5652 10.2.3)");
        if (el.tag != MU_DER_SEQUENCE)
            continue; /* attribute certificates and other formats */
        struct mu_pki_cert *cert;
        enum mu_code rc = mu_pki_cert_decode(el.whole, &cert, err);
        if (rc == MU_OK) {
            rc = mu_pki_certs_add(list, cert, err);
            mu_pki_cert_free(cert);
        }
        if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

void mu_pki_certs_only_encode(const struct mu_pki_certs *certs, struct mu_bytes crl,
    struct mu_buf *out)
{
    const struct mu_bytes none = {0};
    size_t info = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, MU_OID_SIGNED_DATA);
    size_t wrapped = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_int(out, 1);
    mu_der_put(out, MU_DER_SET, none);
    size_t content = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, MU_OID_DATA);
    mu_der_close(out, content);
    if (certs && certs->n) {
        size_t set = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
        for (size_t i = 0; i < certs->n; i++)
            mu_buf_put_bytes(out, certs->v[i]->der);
        mu_der_close(out, set);
    }
    if (crl.n)
        mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(1), crl);
    mu_der_put(out, MU_DER_SET, none);
    mu_der_close(out, seq);
    mu_der_close(out, wrapped);
    mu_der_close(out, info);
}

static bool sets_decode(struct mu_bytes in, struct mu_bytes *certs, struct mu_bytes *crls)
{
    struct mu_der whole, type, wrapped, seq, el, cert_set, crl_set;
    if (!mu_der_only(in, MU_DER_SEQUENCE, &whole) || !mu_der_get(&whole.value, MU_DER_OID, &type)
        || !mu_der_oid_is(type.value, MU_OID_SIGNED_DATA)
        || !mu_der_only(whole.value, MU_DER_CONTEXT_CONSTRUCTED(0), &wrapped)
        || !mu_der_only(wrapped.value, MU_DER_SEQUENCE, &seq))
        return false;
    in = seq.value;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el) || !mu_der_get(&in, MU_DER_SET, &el)
        || !mu_der_get(&in, MU_DER_SEQUENCE, &el)
        || !mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &cert_set)
        || !mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &crl_set)
        || !mu_der_get(&in, MU_DER_SET, &el) || in.n)
        return false;
    *certs = cert_set.whole.p ? cert_set.value : mu_bytes(NULL, 0);
    *crls = crl_set.whole.p ? crl_set.value : mu_bytes(NULL, 0);
    return true;
}

enum mu_code mu_pki_certs_only_decode(struct mu_bytes in, struct mu_pki_certs *certs,
    struct mu_bytes *crl, struct mu_buf *keep, struct mu_err *err)
{
    struct mu_bytes cert_set, crl_set;
    struct mu_der el = {0};
    enum mu_code rc;
    if (!mu_der_is_definite(in)) {
        mu_buf_reset(keep);
        if ((rc = mu_der_from_ber(in, keep, NULL, err)) != MU_OK)
            return rc;
        in = mu_buf_bytes(keep);
    }
    if (!sets_decode(in, &cert_set, &crl_set))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cms: no certs-only message (RFC 5652 5.2)");
    struct mu_pki_certs found = {0};
    if ((rc = mu_pki_certs_from_set(cert_set, &found, err)) != MU_OK)
        goto out;
    if (crl_set.n && !mu_der_get(&crl_set, MU_DER_SEQUENCE, &el)) {
        rc = mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "cms: malformed CRL in the message");
        goto out;
    }
    for (size_t i = 0; i < found.n; i++)
        if ((rc = mu_pki_certs_add(certs, found.v[i], err)) != MU_OK)
            goto out;
    if (crl)
        *crl = el.whole;
out:
    mu_pki_certs_clear(&found);
    return rc;
}
