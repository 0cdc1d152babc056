/* Lists of certificates: files, look-ups, chains. */
#include <stdlib.h>

#include "base/limits.h"
#include "pki/pki_cms.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"
#include "pki/pki_pem.h"

enum mu_code mu_pki_certs_add(struct mu_pki_certs *list, struct mu_pki_cert *cert,
    struct mu_err *err)
{
    if (list->n >= MU_LIMIT_CERTS)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "more than %d certificates",
            (int)MU_LIMIT_CERTS);
    struct mu_pki_cert **v = realloc(list->v, (list->n + 1) * sizeof(*v));
    if (!v)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for certificates");
    list->v = v;
    v[list->n++] = mu_pki_cert_ref(cert);
    return MU_OK;
}

void mu_pki_certs_clear(struct mu_pki_certs *list)
{
    for (size_t i = 0; i < list->n; i++)
        mu_pki_cert_free(list->v[i]);
    free(list->v);
    *list = (struct mu_pki_certs){0};
}

/* ---- files ---- */

static enum mu_code decode_der(struct mu_bytes der, struct mu_pki_certs *list, struct mu_err *err)
{
    struct mu_der whole;
    struct mu_bytes in = der;
    /* ContentInfo begins with an OID, Certificate with a SEQUENCE; BER only the first has */
    if (!mu_der_next(&in, &whole) || mu_der_peek(whole.value) == MU_DER_OID) {
        struct mu_buf keep;
        mu_buf_init(&keep, MU_LIMIT_REPLY);
        enum mu_code rc = mu_pki_certs_only_decode(der, list, NULL, &keep, err);
        mu_buf_clear(&keep);
        return rc;
    }
    struct mu_pki_cert *cert;
    enum mu_code rc = mu_pki_cert_decode(der, &cert, err);
    if (rc != MU_OK)
        return rc;
    rc = mu_pki_certs_add(list, cert, err);
    mu_pki_cert_free(cert);
    return rc;
}

static bool is_label(struct mu_bytes label)
{
    static const char *const labels[] = {"CERTIFICATE", "X509 CERTIFICATE", "PKCS7", "CMS"};
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
        if (mu_bytes_equal(label, mu_bytes_str(labels[i])))
            return true;
    return false;
}

enum mu_code mu_pki_certs_decode(struct mu_bytes file, struct mu_pki_certs *list,
    struct mu_err *err)
{
    struct mu_pki_certs found = {0};
    struct mu_buf der;
    struct mu_bytes label;
    bool bad = false;
    enum mu_code rc = MU_OK;
    mu_buf_init(&der, MU_LIMIT_REPLY);
    if (!mu_pki_pem_is(file)) {
        rc = decode_der(file, &found, err);
        goto out;
    }
    while (rc == MU_OK && mu_pki_pem_next(&file, &label, &der, &bad))
        if (is_label(label))
            rc = decode_der(mu_buf_bytes(&der), &found, err);
    if (rc == MU_OK && (bad || found.n == 0))
        rc = mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            bad ? "a PEM block is broken" : "no certificate in the file");
out:
    for (size_t i = 0; rc == MU_OK && i < found.n; i++)
        rc = mu_pki_certs_add(list, found.v[i], err);
    mu_pki_certs_clear(&found);
    mu_buf_clear(&der);
    return rc;
}

/* ---- look-ups ---- */

struct mu_pki_cert *mu_pki_certs_by_key(const struct mu_pki_certs *list, struct mu_bytes spki)
{
    for (size_t i = 0; i < list->n; i++)
        if (mu_bytes_equal(list->v[i]->spki, spki))
            return list->v[i];
    return NULL;
}

struct mu_pki_cert *mu_pki_certs_by_serial(const struct mu_pki_certs *list, struct mu_bytes issuer,
    struct mu_bytes serial)
{
    for (size_t i = 0; i < list->n; i++)
        if (mu_pki_serial_equal(list->v[i]->serial, serial)
            && mu_pki_name_equal(list->v[i]->issuer, issuer))
            return list->v[i];
    return NULL;
}

static bool ids_disagree(const struct mu_pki_cert *cert, const struct mu_pki_cert *issuer)
{
    return cert->exts.akid.n && issuer->exts.skid.n
        && !mu_bytes_equal(cert->exts.akid, issuer->exts.skid);
}

static bool has(const struct mu_pki_certs *list, const struct mu_pki_cert *cert)
{
    for (size_t i = 0; i < list->n; i++)
        if (mu_pki_cert_equal(list->v[i], cert))
            return true;
    return false;
}

/* Whoever signed cert; legacy signatures are fine, for this only sorts, it does not judge. */
static struct mu_pki_cert *issuer_of(struct mu_pki_cert *cert, const struct mu_pki_certs *pool)
{
    for (size_t i = 0; i < pool->n; i++)
        if (!mu_pki_cert_equal(pool->v[i], cert) && !ids_disagree(cert, pool->v[i])
            && mu_pki_cert_verify(cert, pool->v[i], true, NULL) == MU_OK)
            return pool->v[i];
    return NULL;
}

enum mu_code mu_pki_certs_chain(struct mu_pki_cert *leaf, const struct mu_pki_certs *pool,
    struct mu_pki_certs *out, struct mu_err *err)
{
    struct mu_pki_cert *cert = leaf;
    struct mu_pki_certs chain = {0};
    enum mu_code rc = MU_OK;
    while (rc == MU_OK && !mu_pki_cert_is_self_signed(cert)) {
        cert = issuer_of(cert, pool);
        if (!cert || has(&chain, cert))
            break; /* incomplete, or a ring of cross-certificates */
        rc = mu_pki_certs_add(&chain, cert, err);
    }
    for (size_t i = 0; rc == MU_OK && i < chain.n; i++)
        rc = mu_pki_certs_add(out, chain.v[i], err);
    mu_pki_certs_clear(&chain);
    return rc;
}
