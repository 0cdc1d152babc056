/* GetCACert and GetNextCACert: what came, who of them is what (SCEP-32), and the trace of it. */
#include <string.h>

#include "base/text.h"
#include "base/time.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_client_internal.h"

const char *mu_scep_client_name(struct mu_bytes name, bool cn_only, char buf[MU_SCEP_NAME_TEXT])
{
    struct mu_buf text = {.max = 16 * 1024}, cn = {.max = 4096};

    if (cn_only && mu_pki_name_get(name, "CN", &cn)) {
        mu_buf_put_str(&text, "CN=");
        mu_text_escape(&text, mu_buf_bytes(&cn), 128);
    } else {
        mu_pki_name_format(
            name, cn_only ? MU_PKI_NAME_SLASH : MU_PKI_NAME_COMMA, &text);
    }
    mu_text_escape_to(buf, MU_SCEP_NAME_TEXT, mu_buf_bytes(&text));
    mu_buf_clear(&text);
    mu_buf_clear(&cn);
    return buf;
}

struct ext_cookie {
    const struct mu_scep_client *c;
    size_t number;
};

static void trace_ext(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    const struct ext_cookie *e = cookie;
    struct mu_buf text = {.max = 4096};
    char title[64];

    if (mu_pki_ext_format(oid, value, &text))
        mu_scep_client_trace(e->c, MU_TRACE_CA, "[%zu] %s:%s %s", e->number,
            mu_pki_ext_title(oid, title), critical ? " critical," : "", mu_buf_str(&text));
    mu_buf_clear(&text);
}

static void trace_cert(const struct mu_scep_client *c, size_t number, struct mu_pki_cert *cert)
{
    struct mu_buf serial = {.max = 256}, subject = {.max = 16 * 1024}, issuer = {.max = 16 * 1024};
    struct mu_buf print = {.max = 256};
    struct ext_cookie ext = {c, number};

    if (!mu_trace_on(c->config.env))
        return;
    mu_pki_cert_serial_trace(cert->serial, &serial);
    mu_pki_name_format(cert->subject, MU_PKI_NAME_SLASH, &subject);
    mu_pki_name_format(cert->issuer, MU_PKI_NAME_SLASH, &issuer);
    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &print);
    mu_scep_client_trace(c, MU_TRACE_CA, "[%zu] version %d, serial %s, issuer %s", number,
        cert->version, mu_buf_str(&serial),
        mu_pki_name_equal(cert->subject, cert->issuer) ? "itself" : mu_buf_str(&issuer));
    mu_scep_client_trace(c, MU_TRACE_CA, "[%zu] subject %s", number, mu_buf_str(&subject));
    if (cert->exts.all.p != NULL)
        mu_pki_ext_each(cert->exts.all, trace_ext, &ext);
    mu_scep_client_trace(c, MU_TRACE_CA, "[%zu] SHA-256 %s", number, mu_buf_str(&print));
    mu_buf_clear(&serial);
    mu_buf_clear(&subject);
    mu_buf_clear(&issuer);
    mu_buf_clear(&print);
}

enum mu_code mu_scep_client_ca_take(
    struct mu_scep_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    const char *type
        = mu_http_header_get(response->headers, response->header_n, "Content-Type");
    struct mu_pki_certs certs = {.n = 0};
    enum mu_code rc;
    char shown[80];
    size_t i;

    if (response->body.n == 0)
        return mu_err_set(err, MU_INPUT, MU_M(301), "scep: GetCACert returned nothing");
    /* SCEP-28: the content decides, not its label. */
    rc = mu_pki_certs_decode(mu_buf_bytes(&response->body), &certs, err);
    if (rc == MU_OK && certs.n == 0)
        rc = mu_err_set(err, MU_INPUT, MU_M(301), "scep: GetCACert returned no certificate");
    else if (rc == MU_INPUT) {
        mu_err_narrow(err, MU_M(301));
        rc = mu_err_context(err, "scep: GetCACert (%s, %zu bytes)",
            type != NULL ? mu_text_escape_to(shown, sizeof shown, mu_bytes_str(type)) : "no type",
            response->body.n);
        rc = MU_INPUT;
    }
    if (rc != MU_OK) {
        mu_pki_certs_clear(&certs);
        return rc;
    }
    mu_pki_certs_clear(&c->ca_certs);
    c->ca_certs = certs;
    c->reply_type = certs.n > 1 ? 3 : 1;
    if (type != NULL && mu_http_media_is(type, MU_SCEP_MEDIA_CA))
        c->reply_type = 1;
    else if (type != NULL && mu_http_media_is(type, MU_SCEP_MEDIA_CA_RA))
        c->reply_type = 3;
    mu_scep_client_trace(c, MU_TRACE_CA, "Reply type %d, %zu certificate%s", c->reply_type,
        certs.n, certs.n == 1 ? "" : "s");
    for (i = 0; i < certs.n; i++)
        trace_cert(c, i + 1, certs.v[i]);
    return MU_OK;
}

static bool can_encrypt(struct mu_pki_cert *cert)
{
    struct mu_pki_key *key;

    return mu_pki_cert_key(cert, &key, NULL) == MU_OK && mu_pki_key_can_encrypt(key);
}

/* Whether ca issued some other certificate of the list that is, or is not, a CA. */
static bool has_below(const struct mu_pki_certs *list, const struct mu_pki_cert *ca, bool is_ca)
{
    size_t i;

    for (i = 0; i < list->n; i++) {
        if (mu_pki_name_equal(list->v[i]->issuer, ca->subject)
            && !mu_pki_name_equal(list->v[i]->subject, ca->subject)
            && mu_pki_cert_is_ca(list->v[i]) == is_ca)
            return true;
    }
    return false;
}

/* The CA that issues: that of an RA, else the one with no other CA below it. */
static struct mu_pki_cert *choose_ca(const struct mu_pki_certs *list)
{
    struct mu_pki_cert *first = NULL, *lowest = NULL;
    size_t i;

    for (i = 0; i < list->n; i++) {
        if (!mu_pki_cert_is_ca(list->v[i]))
            continue;
        if (has_below(list, list->v[i], false))
            return list->v[i];
        if (first == NULL)
            first = list->v[i];
        if (lowest == NULL && !has_below(list, list->v[i], true))
            lowest = list->v[i];
    }
    return lowest != NULL ? lowest : first;
}

/* Non-CA certificates in the order of SCEP-32 and IOP-06: one of the wanted usages in turn, then
 * one without any key usage. NULL: the CA does it itself. */
static struct mu_pki_cert *choose_ra(
    const struct mu_scep_client *c, const unsigned *usages, size_t n, bool encrypts)
{
    const struct mu_pki_certs *list = &c->ca_certs;
    size_t i, j;

    for (j = 0; j <= n; j++) {
        for (i = 0; i < list->n; i++) {
            struct mu_pki_cert *cert = list->v[i];
            const struct mu_pki_exts *exts = &cert->exts;
            bool fits;

            if (mu_pki_cert_is_ca(cert) || cert == c->ca)
                continue;
            if (j < n)
                fits = exts->has_key_usage && (exts->key_usage & usages[j]);
            else
                fits = !exts->has_key_usage || c->config.compat_iis;
            if (fits && (!encrypts || can_encrypt(cert)))
                return cert;
        }
    }
    return NULL;
}

enum mu_code mu_scep_client_ca_choose(struct mu_scep_client *c, struct mu_err *err)
{
    static const unsigned encrypts[] = {MU_KU_KEY_ENCIPHERMENT, MU_KU_DATA_ENCIPHERMENT};
    static const unsigned signs[] = {MU_KU_DIGITAL_SIGNATURE};

    c->ca = choose_ca(&c->ca_certs);
    if (c->ca == NULL && c->ca_certs.n == 1)
        c->ca = c->ca_certs.v[0];
    if (c->ca == NULL)
        return mu_err_set(err, MU_INPUT, MU_M(301),
            "scep: none of the %zu certificates of GetCACert is that of a CA (RFC 8894 4.2)",
            c->ca_certs.n);
    c->ra_encrypt = c->config.encrypt_to != NULL
        ? c->config.encrypt_to
        : choose_ra(c, encrypts, sizeof encrypts / sizeof encrypts[0], true);
    c->ra_sign = choose_ra(c, signs, sizeof signs / sizeof signs[0], false);
    return MU_OK;
}

/* ---- GetNextCACert ---- */

/* The current CA: one that is trusted here as a CA, else the one that issues among those given.
 * Never an RA, whatever it may sign otherwise. NULL if it did not sign. */
static struct mu_pki_cert *next_signer(
    const struct mu_scep_client *c, const struct mu_pki_signed *cms)
{
    struct mu_pki_cert *ca;
    size_t i;

    for (i = 0; i < c->trusted.n; i++) {
        ca = c->trusted.v[i];
        if ((mu_pki_cert_is_ca(ca) || mu_pki_name_equal(ca->subject, ca->issuer))
            && mu_pki_signed_sid_is(cms, ca))
            return ca;
    }
    if (c->trusted.n != 0)
        return NULL;
    ca = c->ca_certs.n == 1 ? c->ca_certs.v[0] : choose_ca(&c->ca_certs);
    return ca != NULL && mu_pki_signed_sid_is(cms, ca) ? ca : NULL;
}

/* SCEP-76: signed by the current CA, which is valid now. */
static enum mu_code next_check(const struct mu_scep_client *c, const struct mu_pki_signed *cms,
    struct mu_pki_cert **signer, struct mu_err *err)
{
    struct mu_pki_cert *ca = cms->signer_count == 1 ? next_signer(c, cms) : NULL;
    int64_t now_s = mu_env_now(c->config.env);
    char name[MU_SCEP_NAME_TEXT], date[MU_TIME_TEXT];
    enum mu_code rc;

    if (ca == NULL)
        return mu_err_set(err, MU_AUTH, MU_M(321),
            "scep: the successor certificate is not signed by the current CA (RFC 8894 4.7.1)");
    if (now_s < ca->not_before_s || now_s > ca->not_after_s)
        return mu_err_set(err, MU_AUTH, now_s > ca->not_after_s ? MU_M(213) : MU_M(802),
            "scep: the successor certificate is signed by the CA \"%s\", which %s %s "
            "(RFC 8894 4.7.1)",
            mu_scep_client_name(ca->subject, false, name),
            now_s > ca->not_after_s ? "expired on" : "is not valid before",
            mu_time_plain(now_s > ca->not_after_s ? ca->not_after_s : ca->not_before_s, date));
    rc = mu_pki_signed_verify(cms, ca, c->config.allow_legacy, err);
    if (rc != MU_OK) {
        mu_err_narrow(err, MU_M(321));
        mu_err_context(err, "scep: GetNextCACert (RFC 8894 4.7.1)");
        return rc;
    }
    *signer = ca;
    return MU_OK;
}

/* The successor's certificates count only once the current CA's signature over them holds. */
enum mu_code mu_scep_client_ca_next(
    struct mu_scep_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    struct mu_pki_signed cms = {.signer_count = 0};
    struct mu_pki_certs next = {.n = 0};
    struct mu_pki_cert *signer = NULL;
    struct mu_buf keep = {.max = 0};
    char name[MU_SCEP_NAME_TEXT];
    enum mu_code rc;
    size_t i;

    rc = mu_pki_signed_decode(mu_buf_bytes(&response->body), &cms, err);
    if (rc != MU_OK) {
        mu_err_narrow(err, MU_M(322));
        mu_err_context(err, "scep: GetNextCACert (RFC 8894 4.7.1)");
        return rc;
    }
    rc = next_check(c, &cms, &signer, err);
    if (rc == MU_OK)
        rc = mu_pki_certs_only_decode(cms.content, &next, NULL, &keep, err);
    if (rc == MU_OK && next.n == 0)
        rc = mu_err_set(err, MU_INPUT, MU_M(322),
            "scep: GetNextCACert holds no certificate (RFC 8894 4.7.1)");
    if (rc == MU_OK) {
        mu_scep_client_trace(c, MU_TRACE_REPLY, "signature ok, %s",
            mu_scep_client_name(signer->subject, true, name));
        mu_scep_client_trace(
            c, MU_TRACE_CA, "%zu successor certificate%s", next.n, next.n == 1 ? "" : "s");
        for (i = 0; i < next.n; i++)
            trace_cert(c, i + 1, next.v[i]);
        mu_pki_certs_clear(&c->ca_certs);
        c->ca_certs = next;
        memset(&next, 0, sizeof next);
        c->ca = choose_ca(&c->ca_certs);
    }
    mu_pki_certs_clear(&next);
    mu_buf_clear(&keep);
    mu_pki_signed_clear(&cms);
    return rc;
}
