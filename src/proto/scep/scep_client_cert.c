/* What a SUCCESS holds: the certificate for our key, one asked for by serial number, or a CRL. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/time.h"
#include "enroll/enroll_diff.h"
#include "pki/pki_crl.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_client_internal.h"

enum { SKEW_S = 86400 };

static void trace_ext(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    const struct mu_scep_client *c = cookie;
    struct mu_buf text = {.max = 4096};
    char title[64];

    if (mu_pki_ext_format(oid, value, &text))
        mu_scep_client_trace(c, MU_TRACE_CERT, "%s:%s %s", mu_pki_ext_title(oid, title),
            critical ? " critical," : "", mu_buf_str(&text));
    mu_buf_clear(&text);
}

static void trace_cert(struct mu_scep_client *c, const struct mu_pki_cert *cert)
{
    struct mu_buf text = {.max = 16 * 1024};
    char from[MU_TIME_TEXT], until[MU_TIME_TEXT];

    if (!mu_trace_on(c->config.env))
        return;
    mu_pki_name_format(cert->subject, MU_PKI_NAME_SLASH, &text);
    mu_scep_client_trace(c, MU_TRACE_CERT, "subject %s", mu_buf_str(&text));
    mu_buf_reset(&text);
    mu_pki_name_format(cert->issuer, MU_PKI_NAME_SLASH, &text);
    mu_scep_client_trace(c, MU_TRACE_CERT, "issuer %s", mu_buf_str(&text));
    mu_buf_reset(&text);
    mu_pki_cert_serial_trace(cert->serial, &text);
    mu_scep_client_trace(c, MU_TRACE_CERT, "version %d, serial %s", cert->version,
        mu_buf_str(&text));
    mu_scep_client_trace(c, MU_TRACE_CERT, "valid from %s until %s",
        mu_time_plain(cert->not_before_s, from), mu_time_plain(cert->not_after_s, until));
    if (cert->exts.all.p != NULL)
        mu_pki_ext_each(cert->exts.all, trace_ext, c);
    mu_buf_reset(&text);
    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &text);
    mu_scep_client_trace(c, MU_TRACE_CERT, "SHA-256 %s", mu_buf_str(&text));
    mu_buf_clear(&text);
}

static void trace_changed(struct mu_scep_client *c, const struct mu_pki_cert *cert)
{
    struct mu_buf text = {.max = 16 * 1024};

    if (c->csr != NULL && mu_enroll_diff(c->csr, cert, &text) && text.n != 0)
        mu_scep_client_trace(c, MU_TRACE_CHANGED, "%s", mu_buf_str(&text));
    mu_buf_clear(&text);
}

/* cert, checked up to the trusted CA, its chain, and both together for SAVE. */
static enum mu_code keep(struct mu_scep_client *c, struct mu_pki_cert *cert,
    const struct mu_pki_certs *came, struct mu_err *err)
{
    struct mu_pki_certs pool = {.n = 0}, chain = {.n = 0}, save = {.n = 0};
    const struct mu_pki_certs *lists[3] = {came, &c->ca_certs, &c->anchors};
    enum mu_code rc = MU_OK;
    size_t i, j;

    /* What does not fit is not needed: the nearest come first, and a chain is only for comfort. */
    for (j = 0; j < 3; j++) {
        for (i = 0; i < lists[j]->n && pool.n < MU_LIMIT_CERTS && rc == MU_OK; i++)
            rc = mu_pki_certs_add(&pool, lists[j]->v[i], err);
    }
    if (rc == MU_OK)
        rc = mu_pki_certs_chain(cert, &pool, &chain, err);
    if (rc == MU_OK)
        rc = mu_pki_certs_add(&save, cert, err);
    for (i = 0; i < chain.n && rc == MU_OK; i++)
        rc = mu_pki_certs_add(&save, chain.v[i], err);
    if (rc == MU_OK) {
        mu_pki_certs_clear(&c->chain);
        mu_pki_certs_clear(&c->save);
        mu_pki_cert_free(c->cert);
        c->cert = mu_pki_cert_ref(cert);
        c->chain = chain;
        c->save = save;
        memset(&chain, 0, sizeof chain);
        memset(&save, 0, sizeof save);
    }
    mu_pki_certs_clear(&pool);
    mu_pki_certs_clear(&chain);
    mu_pki_certs_clear(&save);
    return rc;
}

static struct mu_pki_cert *find_serial(
    const struct mu_scep_client *c, const struct mu_pki_certs *list)
{
    size_t i;

    for (i = 0; i < list->n; i++) {
        if (mu_pki_serial_equal(list->v[i]->serial, mu_buf_bytes(&c->serial))
            && mu_pki_name_equal(list->v[i]->issuer, c->ca->subject))
            return list->v[i];
    }
    return NULL;
}

/* The time to judge the path at: a certificate asked for may have expired since, and a CA's clock
 * may be ahead of ours. */
static int64_t moment(struct mu_scep_client *c, const struct mu_pki_cert *cert)
{
    int64_t now_s = mu_env_now(c->config.env);
    char from[MU_TIME_TEXT], is[MU_TIME_TEXT];

    if (c->config.op == MU_SCEP_CLIENT_CERT)
        return now_s > cert->not_after_s ? cert->not_after_s
            : now_s < cert->not_before_s ? cert->not_before_s
                                         : now_s;
    if (now_s < cert->not_before_s && cert->not_before_s - now_s <= SKEW_S) {
        mu_scep_client_warn(c, MU_TRACE_CERT, "valid only from %s, our clock says %s",
            mu_time_plain(cert->not_before_s, from), mu_time_plain(now_s, is));
        return cert->not_before_s;
    }
    return now_s;
}

static enum mu_code take_cert(struct mu_scep_client *c, const struct mu_pki_certs *list,
    struct mu_err *err)
{
    bool by_serial = c->config.op == MU_SCEP_CLIENT_CERT;
    struct mu_pki_cert *cert;
    enum mu_code rc;

    if (list->n == 0)
        return mu_err_set(err, MU_INPUT, MU_M(322),
            "scep: SUCCESS without a certificate (RFC 8894 3.3.2.1)");
    /* A set has no order: the key decides (COM-09). */
    cert = by_serial ? find_serial(c, list) : mu_pki_certs_by_key(list, c->csr->spki);
    if (cert == NULL && !by_serial)
        cert = mu_pki_certs_by_key(list, mu_pki_key_spki(c->config.key));
    if (cert == NULL && by_serial)
        return mu_err_set(err, MU_INPUT, MU_M(322),
            "scep: the answer holds another certificate than the one asked for (RFC 8894 4.5.1)");
    if (cert == NULL)
        return mu_err_set(err, MU_AUTH, MU_M(214),
            "scep: the issued certificate belongs to another key (transaction %s)",
            c->transaction_id);
    rc = mu_scep_client_ca_path(c, cert, list, moment(c, cert), err);
    if (rc != MU_OK) {
        if (err != NULL && err->reason == MU_REASON_NONE)
            mu_err_narrow(err, MU_M(213));
        mu_err_context(err, "scep: the issued certificate does not verify with the trusted CA");
        return rc;
    }
    rc = keep(c, cert, list, err);
    if (rc != MU_OK)
        return rc;
    trace_cert(c, cert);
    trace_changed(c, cert);
    return MU_OK;
}

static enum mu_code take_crl(struct mu_scep_client *c, struct mu_bytes plain, struct mu_err *err)
{
    struct mu_pki_certs list = {.n = 0};
    struct mu_pki_crl *crl = NULL;
    struct mu_buf hold = {.max = MU_LIMIT_REPLY};
    struct mu_bytes der = {NULL, 0};
    enum mu_code rc;

    rc = mu_pki_certs_only_decode(plain, &list, &der, &hold, err);
    if (rc == MU_OK && der.n == 0)
        rc = mu_err_set(err, MU_INPUT, MU_M(322),
            "scep: the answer to GetCRL holds no CRL (RFC 8894 4.6.1)");
    if (rc == MU_OK)
        rc = mu_pki_crl_decode(der, &crl, err);
    if (rc == MU_INPUT)
        mu_err_narrow(err, MU_M(322));
    if (rc != MU_OK)
        goto out;
    mu_scep_client_trace(c, MU_TRACE_REPLY, "decrypted, %zu bytes, 1 CRL", plain.n);
    rc = mu_pki_crl_verify(crl, c->ca, c->config.allow_legacy, err);
    if (rc != MU_OK) {
        mu_err_narrow(err, MU_M(321));
        mu_err_context(err, "scep: the CRL is not that of the trusted CA");
        goto out;
    }
    mu_buf_reset(&c->crl);
    mu_buf_put_bytes(&c->crl, der);
    rc = mu_buf_check(&c->crl, "CRL", err);
out:
    mu_pki_crl_free(crl);
    mu_pki_certs_clear(&list);
    mu_buf_clear(&hold);
    return rc;
}

enum mu_code mu_scep_client_cert_take(
    struct mu_scep_client *c, struct mu_bytes plain, struct mu_err *err)
{
    struct mu_pki_certs list = {.n = 0};
    enum mu_code rc;

    if (c->config.op == MU_SCEP_CLIENT_CRL)
        return take_crl(c, plain, err);
    /* A bare certificate instead of certs-only is taken too (IOP-22). */
    rc = mu_pki_certs_decode(plain, &list, err);
    if (rc == MU_OK) {
        mu_scep_client_trace(c, MU_TRACE_REPLY, "decrypted, %zu bytes, %zu certificate%s",
            plain.n, list.n, list.n == 1 ? "" : "s");
        rc = take_cert(c, &list, err);
    } else if (rc == MU_INPUT) {
        mu_err_narrow(err, MU_M(322));
        mu_err_context(err, "scep: what was in the envelope (RFC 8894 3.3.2.1)");
    }
    mu_pki_certs_clear(&list);
    return rc;
}
