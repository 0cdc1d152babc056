/* Signing, and what a new certificate looks like as a row and as a sentence. */
#include "ca/ca_internal.h"

#include <stdio.h>

#include "base/text.h"
#include "pki/pki_name.h"

enum { SERIAL_OCTETS = 16 };

/* The issuer that signs here. */
struct here {
    struct mu_issuer base;
    const struct mu_env *env;
    struct mu_pki_key *key;
    struct mu_pki_cert *cert;
};

/* CA-01: positive, random, never a counter. */
static enum mu_code new_serial(
    const struct mu_env *env, uint8_t out[SERIAL_OCTETS], struct mu_err *err)
{
    enum mu_code rc = mu_env_random(env, out, SERIAL_OCTETS, err);

    out[0] &= 0x7f;
    if (out[0] == 0)
        out[0] = 0x40;
    return rc;
}

static void here_issue(struct mu_issuer *issuer, const struct mu_issuer_order *order,
    mu_issuer_done *done, void *cookie)
{
    const struct here *h = (const struct here *)(const void *)issuer;
    struct mu_pki_cert *cert = NULL;
    struct mu_buf der = {.max = 256 * 1024};
    uint8_t serial[SERIAL_OCTETS] = {0};
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, sizeof serial),
        .issuer = h->cert->subject,
        .subject = order->subject,
        .not_before_s = order->not_before_s,
        .not_after_s = order->not_after_s,
        .spki = order->spki,
        .extensions = order->extensions};
    struct mu_err err = {0};
    enum mu_code rc;

    if ((rc = new_serial(h->env, serial, &err)) == MU_OK
        && (rc = mu_pki_cert_make(&tbs, h->key, mu_pki_key_default_digest(h->key), &der, &err))
            == MU_OK)
        rc = mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &err);
    mu_buf_clear(&der);
    done(cookie, rc == MU_OK ? cert : NULL, rc == MU_OK ? NULL : &err);
    mu_pki_cert_free(cert);
}

static const struct mu_issuer_ops here_ops = {here_issue};

/* An issuer may take its time. */
struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_done;
    struct mu_pki_cert *cert;
    struct mu_err err;
};

static void issued(void *cookie, struct mu_pki_cert *cert, const struct mu_err *err)
{
    struct waiting *w = cookie;

    pthread_mutex_lock(&w->lock);
    w->cert = cert != NULL ? mu_pki_cert_ref(cert) : NULL;
    if (err != NULL)
        w->err = *err;
    w->is_done = true;
    pthread_cond_signal(&w->ready);
    pthread_mutex_unlock(&w->lock);
}

enum mu_code mu_ca_issue_sign(struct mu_ca *ca, const struct mu_ca_one *one, bool use_next,
    const struct mu_enroll_grant *grant, const struct mu_pki_csr *csr, struct mu_pki_cert **out,
    struct mu_err *err)
{
    const struct mu_ca_pair *by = use_next ? &one->next : &one->ca;
    struct here here = {{&here_ops}, ca->config.env, by->key, by->certs.v[0]};
    struct waiting w = {.lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};
    const struct mu_issuer_order order = {.subject = mu_buf_bytes(&grant->subject),
        .spki = csr->spki,
        .extensions = mu_buf_bytes(&grant->extensions),
        .not_before_s = grant->not_before_s,
        .not_after_s = grant->not_after_s,
        .csr = csr->der};

    if (by->key == NULL && ca->config.issuer == NULL)
        return mu_err_set(
            err, MU_INTERNAL, MU_REFUSE_INTERNAL, "the key of CA '%s' is missing", one->name);
    mu_issuer_issue(ca->config.issuer != NULL ? ca->config.issuer : &here.base, &order, issued, &w);
    pthread_mutex_lock(&w.lock);
    while (!w.is_done)
        pthread_cond_wait(&w.ready, &w.lock);
    pthread_mutex_unlock(&w.lock);
    if (w.cert == NULL) {
        if (err != NULL)
            *err = w.err;
        return w.err.code;
    }
    *out = w.cert;
    return MU_OK;
}

bool mu_ca_subject_text(struct mu_bytes name, struct mu_buf *out)
{
    return mu_pki_name_format(name, MU_PKI_NAME_COMMA, out) && !out->failed;
}

static bool hash(struct mu_bytes v, uint8_t out[32])
{
    uint8_t digest[64];

    if (mu_pki_digest(MU_PKI_SHA256, v, digest) != 32)
        return false;
    memcpy(out, digest, 32);
    return true;
}

enum mu_code mu_ca_issue_row(struct mu_ca_issue *issue, struct mu_pki_cert *cert,
    const struct mu_ca_one *one, struct mu_bytes renews, int64_t now_s, struct mu_err *err)
{
    issue->cert = cert;
    if (!mu_ca_subject_text(cert->subject, &issue->subject)
        || !mu_text_hex(&issue->serial_hex, mu_enroll_record_serial(cert->serial), ':')
        || !hash(cert->subject, issue->subject_hash) || !hash(cert->spki, issue->key_hash))
        return mu_err_set(err, MU_MEMORY, MU_REFUSE_INTERNAL, "out of memory for a certificate");
    issue->row = (struct mu_record_cert){
        .ca = one->name,
        .serial = mu_enroll_record_serial(cert->serial),
        .der = cert->der,
        .subject = mu_buf_str(&issue->subject),
        .subject_hash = mu_bytes(issue->subject_hash, 32),
        .key_hash = mu_bytes(issue->key_hash, 32),
        .not_before_s = cert->not_before_s,
        .not_after_s = cert->not_after_s,
        .issued_s = now_s,
        .renews = mu_enroll_record_serial(renews),
    };
    if (renews.n != 0)
        snprintf(issue->message, sizeof issue->message, "Certificate \"%.512s\" was renewed (%s)",
            mu_buf_str(&issue->subject), mu_buf_str(&issue->serial_hex));
    else
        snprintf(issue->message, sizeof issue->message,
            "Certificate signing request \"%.384s\" signed with CA certificate \"%.256s\"",
            mu_buf_str(&issue->subject), one->subject);
    return MU_OK;
}

void mu_ca_issue_clear(struct mu_ca_issue *issue)
{
    mu_pki_cert_free(issue->cert);
    mu_buf_clear(&issue->subject);
    mu_buf_clear(&issue->serial_hex);
    issue->cert = NULL;
}

static bool is_challenge(struct mu_bytes attribute)
{
    struct mu_der oid;

    return mu_der_get(&attribute, MU_DER_OID, &oid)
        && mu_der_oid_is(oid.value, "1.2.840.113549.1.9.7");
}

enum mu_code mu_ca_csr_strip(const struct mu_pki_csr *csr, struct mu_buf *out, struct mu_err *err)
{
    size_t whole = mu_der_open(out, MU_DER_SEQUENCE), info = mu_der_open(out, MU_DER_SEQUENCE),
           attributes;
    struct mu_bytes in = csr->attributes;
    struct mu_der el;

    mu_der_put_int(out, csr->version);
    mu_buf_put_bytes(out, csr->subject);
    mu_buf_put_bytes(out, csr->spki);
    attributes = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
    while (mu_der_next(&in, &el))
        if (!is_challenge(el.value))
            mu_buf_put_bytes(out, el.whole);
    mu_der_close(out, attributes);
    mu_der_close(out, info);
    mu_buf_put_bytes(out, csr->sig_alg);
    mu_der_put_bits(out, csr->signature);
    mu_der_close(out, whole);
    return mu_buf_check(out, "request", err);
}
