/* What a 200 to a POST holds: the certificate for our key, or a key made for us and its
 * certificate; checked up to what is trusted before anybody is told. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/time.h"
#include "enroll/enroll_diff.h"
#include "pki/pki_name.h"
#include "proto/est/est_client_internal.h"
#include "proto/est/est_msg.h"
#include "proto/est/est_multipart.h"

enum { SKEW_S = 86400 };

static void trace_ext(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    const struct mu_est_client *c = cookie;
    struct mu_buf text = {.max = 4096};
    char title[64];

    if (mu_pki_ext_format(oid, value, &text))
        mu_est_client_trace(c, MU_TRACE_CERT, "%s:%s %s", mu_pki_ext_title(oid, title),
            critical ? " critical," : "", mu_buf_str(&text));
    mu_buf_clear(&text);
}

static void trace_cert(const struct mu_est_client *c, const struct mu_pki_cert *cert)
{
    char subject[MU_EST_NAME_TEXT], issuer[MU_EST_NAME_TEXT];
    char from[MU_TIME_TEXT], until[MU_TIME_TEXT];
    struct mu_buf text = {.max = 1024};
    union { const struct mu_est_client *in; void *out; } cookie = {.in = c};

    if (!mu_trace_on(c->config.env))
        return;
    mu_pki_cert_serial_trace(cert->serial, &text);
    mu_est_client_trace(c, MU_TRACE_CERT, "version %d, serial %s, issuer %s, subject %s",
        cert->version, mu_buf_str(&text), mu_est_client_name(cert->issuer, issuer),
        mu_est_client_name(cert->subject, subject));
    if (cert->exts.all.p != NULL)
        mu_pki_ext_each(cert->exts.all, trace_ext, cookie.out);
    mu_est_client_trace(c, MU_TRACE_CERT, "valid from %s until %s",
        mu_time_plain(cert->not_before_s, from), mu_time_plain(cert->not_after_s, until));
    mu_buf_reset(&text);
    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &text);
    mu_est_client_trace(c, MU_TRACE_CERT, "SHA-256 %s", mu_buf_str(&text));
    mu_buf_clear(&text);
}

static void trace_changed(const struct mu_est_client *c, const struct mu_pki_cert *cert)
{
    struct mu_buf text = {.max = 16 * 1024};

    if (mu_enroll_diff(c->csr_parsed, cert, &text) && text.n != 0)
        mu_est_client_trace(c, MU_TRACE_CHANGED, "%s", mu_buf_str(&text));
    mu_buf_clear(&text);
}

/* The certificate, its chain, and both together for SAVE. */
static enum mu_code keep(struct mu_est_client *c, struct mu_pki_cert *cert,
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
        if (chain.n != 0)
            c->ca = c->chain.v[0];
        memset(&chain, 0, sizeof chain);
        memset(&save, 0, sizeof save);
    }
    mu_pki_certs_clear(&pool);
    mu_pki_certs_clear(&chain);
    mu_pki_certs_clear(&save);
    return rc;
}

/* The time to judge the path at: a CA's clock may be ahead of ours. */
static int64_t moment(struct mu_est_client *c, const struct mu_pki_cert *cert)
{
    int64_t now_s = mu_env_now(c->config.env);
    char from[MU_TIME_TEXT], is[MU_TIME_TEXT];

    if (now_s < cert->not_before_s && cert->not_before_s - now_s <= SKEW_S) {
        mu_est_client_warn(c, MU_TRACE_CERT, "valid only from %s, our clock says %s",
            mu_time_plain(cert->not_before_s, from), mu_time_plain(now_s, is));
        return cert->not_before_s;
    }
    return now_s;
}

static enum mu_code take_cert(struct mu_est_client *c, const struct mu_pki_certs *list,
    const struct mu_pki_key *key, struct mu_err *err)
{
    /* A set has no order, and servers add their chain: the key decides (EST-40). */
    struct mu_pki_cert *cert = mu_pki_certs_by_key(list, mu_pki_key_spki(key));
    enum mu_code rc;

    if (cert == NULL)
        return mu_err_set(err, MU_AUTH, MU_M(214),
            "est: the issued certificate belongs to another key (RFC 7030 4.2.3)");
    rc = mu_est_client_ca_path(c, cert, list, moment(c, cert), err);
    if (rc != MU_OK) {
        if (err != NULL && err->reason == MU_REASON_NONE)
            mu_err_narrow(err, MU_M(213));
        mu_err_context(err, "est: the issued certificate does not verify with the trusted CA");
        return rc;
    }
    rc = keep(c, cert, list, err);
    if (rc != MU_OK)
        return rc;
    trace_cert(c, cert);
    trace_changed(c, cert);
    return MU_OK;
}

/* The base64 as it came, without its line ends (E072). */
static void trace_body(const struct mu_est_client *c, struct mu_bytes body)
{
    struct mu_buf text = {.max = MU_LIMIT_REPLY};
    size_t i;

    if (!mu_trace_on(c->config.env))
        return;
    for (i = 0; i < body.n; i++) {
        if (body.p[i] > ' ' && body.p[i] < 0x7f)
            mu_buf_put_byte(&text, body.p[i]);
    }
    mu_est_client_trace(c, MU_TRACE_REPLY, "%s", mu_buf_str(&text));
    mu_buf_clear(&text);
}

static enum mu_code take_certs(
    struct mu_est_client *c, struct mu_bytes body, struct mu_err *err)
{
    struct mu_pki_certs list = {.n = 0};
    enum mu_code rc = mu_est_msg_certs_decode(body, &list, err);

    if (rc == MU_OK) {
        mu_est_client_trace(c, MU_TRACE_REPLY, "%zu bytes, base64, %zu certificate%s", body.n, list.n,
            list.n == 1 ? "" : "s");
        trace_body(c, body);
        rc = take_cert(c, &list, c->key, err);
    } else {
        if (err != NULL && err->reason >= MU_REFUSE_FIRST)
            mu_err_narrow(err, MU_REASON_NONE);
        mu_err_context(err, "est: the answer to %s", mu_est_http_op_name(c->op));
    }
    mu_pki_certs_clear(&list);
    return rc;
}

/* ---- serverkeygen ---- */

static enum mu_code take_key(struct mu_est_client *c, const struct mu_est_multipart *parts,
    const struct mu_est_part **certs, struct mu_err *err)
{
    bool wants_cms = mu_secret_is_set(&c->kek) || c->config.decrypt_cert != NULL;
    const struct mu_est_part *key = mu_est_multipart_get(parts, MU_EST_MEDIA_PKCS8);
    size_t i;

    *certs = NULL;
    if (key != NULL && wants_cms)
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE,
            "est: the key was to be encrypted to us and came in the clear (RFC 7030 4.4.2)");
    for (i = 0; i < parts->n; i++) {
        const struct mu_est_part *part = &parts->parts[i];

        if (part == key || !mu_http_media_is(part->type, MU_EST_MEDIA_PKCS7))
            continue;
        if (strcasestr(part->type, "server-generated-key") != NULL)
            key = part;
        else
            *certs = part;
    }
    if (key == NULL || *certs == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "est: the answer has no part with the %s (RFC 7030 4.4.2)",
            key == NULL ? "key" : "certificate");
    mu_pki_key_free(c->made_key);
    c->made_key = NULL;
    if (mu_http_media_is(key->type, MU_EST_MEDIA_PKCS8))
        return mu_est_msg_key_decode(key->body, &c->made_key, err);
    return mu_est_client_key_open(c, key->body, err);
}

static enum mu_code take_generated(struct mu_est_client *c,
    const struct mu_http_response *response, struct mu_err *err)
{
    const char *type
        = mu_http_header_get(response->headers, response->header_n, "Content-Type");
    const struct mu_est_part *certs;
    struct mu_est_multipart parts;
    struct mu_pki_certs list = {.n = 0};
    enum mu_code rc;

    rc = mu_est_multipart_decode(type, mu_buf_bytes(&response->body), &parts, err);
    if (rc == MU_OK)
        rc = take_key(c, &parts, &certs, err);
    if (rc == MU_OK)
        rc = mu_est_msg_certs_decode(certs->body, &list, err);
    if (rc == MU_OK) {
        mu_est_client_trace(c, MU_TRACE_REPLY, "%zu bytes, %zu parts, key *, %zu certificate%s",
            response->body.n, parts.n, list.n, list.n == 1 ? "" : "s");
        rc = take_cert(c, &list, c->made_key, err);
    } else if (err != NULL && err->reason >= MU_REFUSE_FIRST) {
        mu_err_narrow(err, MU_REASON_NONE);
    }
    mu_pki_certs_clear(&list);
    return rc;
}

enum mu_code mu_est_client_reply_take(
    struct mu_est_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    if (c->config.op == MU_EST_CLIENT_KEYGEN)
        return take_generated(c, response, err);
    return take_certs(c, mu_buf_bytes(&response->body), err);
}
