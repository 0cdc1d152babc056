/* Making a client engine from its configuration, freeing it, and telling what it knows, to its
 * neighbors and to its caller. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/scep/scep_client_internal.h"

enum { AWAIT_S = 60, MAX_AWAIT_S = 3600 };

static enum mu_code dup_or_null(const char *s, const char **out, struct mu_err *err)
{
    char *copy = NULL;
    enum mu_code rc;

    *out = NULL;
    if (s == NULL)
        return MU_OK;
    rc = mu_text_dup(s, &copy, err);
    *out = copy;
    return rc;
}

static enum mu_code copy_certs(
    struct mu_pki_certs *to, const struct mu_pki_certs *from, struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; from != NULL && i < from->n && rc == MU_OK; i++)
        rc = mu_pki_certs_add(to, from->v[i], err);
    return rc;
}

/* config's pointers become copies and counts, or NULL. */
static enum mu_code take_config(
    struct mu_scep_client *c, const struct mu_scep_client_config *config, struct mu_err *err)
{
    struct mu_scep_client_config *own = &c->config;
    enum mu_code rc;

    *own = *config;
    own->url = own->entry = own->ca_identifier = own->transaction_id = own->trusted_as = NULL;
    own->csr = own->serial = mu_bytes(NULL, 0);
    own->trusted = own->ca_certs = NULL;
    own->pin_sha256 = NULL;
    own->key = config->key != NULL ? mu_pki_key_ref(config->key) : NULL;
    own->signer_key = config->signer_key != NULL ? mu_pki_key_ref(config->signer_key) : NULL;
    own->signer_cert = config->signer_cert != NULL ? mu_pki_cert_ref(config->signer_cert) : NULL;
    own->encrypt_to = config->encrypt_to != NULL ? mu_pki_cert_ref(config->encrypt_to) : NULL;
    own->self_signed = NULL;
    if (config->self_signed != NULL)
        c->self_signed = mu_pki_cert_ref(config->self_signed);
    if (own->await_s <= 0)
        own->await_s = AWAIT_S;
    if (own->max_await_s <= 0)
        own->max_await_s = MAX_AWAIT_S;
    if (config->pin_sha256 != NULL) {
        memcpy(c->pin, config->pin_sha256, sizeof c->pin);
        c->has_pin = true;
    }
    if (config->skip_caps) {
        c->has_caps = true;
        c->caps = config->known_caps;
    }
    mu_buf_put_bytes(&c->serial, config->serial);
    if ((rc = mu_buf_check(&c->serial, "serial number", err)) != MU_OK
        || (rc = dup_or_null(config->url, &own->url, err)) != MU_OK
        || (rc = dup_or_null(config->entry, &own->entry, err)) != MU_OK
        || (rc = dup_or_null(config->ca_identifier, &own->ca_identifier, err)) != MU_OK
        || (rc = dup_or_null(config->trusted_as, &own->trusted_as, err)) != MU_OK
        || (rc = dup_or_null(config->transaction_id, &own->transaction_id, err)) != MU_OK
        || (rc = copy_certs(&c->trusted, config->trusted, err)) != MU_OK
        || (rc = copy_certs(&c->ca_certs, config->ca_certs, err)) != MU_OK)
        return rc;
    c->ca_given = c->ca_certs.n != 0;
    if (config->csr.n != 0)
        rc = mu_pki_csr_decode(config->csr, &c->csr, err);
    return rc;
}

/* The key of the request, whatever way its maker encoded it. */
static bool key_fits(const struct mu_pki_csr *csr, const struct mu_pki_key *key)
{
    struct mu_pki_key *asked = NULL;
    bool equal;

    if (key == NULL || mu_bytes_equal(mu_pki_key_spki(key), csr->spki))
        return key != NULL;
    if (mu_pki_key_from_spki(csr->spki, &asked, NULL) != MU_OK)
        return false;
    equal = mu_pki_key_equal(asked, key);
    mu_pki_key_free(asked);
    return equal;
}

/* What an operation cannot do without. A lack is a fault of the caller's configuration. */
static enum mu_code check_config(const struct mu_scep_client *c, struct mu_err *err)
{
    const struct mu_scep_client_config *config = &c->config;
    bool enrolls = config->op == MU_SCEP_CLIENT_ENROLL || config->op == MU_SCEP_CLIENT_POLL;
    bool asks = config->op == MU_SCEP_CLIENT_CERT || config->op == MU_SCEP_CLIENT_CRL;
    const char *lacks = NULL;

    if (config->url == NULL || config->url[0] == '\0')
        lacks = "a URL";
    else if (enrolls && c->csr == NULL)
        lacks = "a certificate request";
    else if ((enrolls || asks) && mu_scep_client_signer_key(c) == NULL)
        lacks = "a private key";
    else if (asks && config->signer_cert == NULL)
        lacks = "a certificate to sign with (RFC 8894 4.5)";
    else if (config->op == MU_SCEP_CLIENT_CERT && c->serial.n == 0)
        lacks = "a serial number (RFC 8894 3.3.4)";
    else if (config->op == MU_SCEP_CLIENT_NEXT_CA && c->trusted.n == 0 && c->ca_certs.n == 0)
        lacks = "the current CA certificate (RFC 8894 4.7.1)";
    if (lacks != NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "scep: this operation needs %s", lacks);
    if (enrolls && !key_fits(c->csr, config->key))
        return mu_err_set(err, MU_INPUT, MU_M(708),
            "scep: the certificate request is for another key than the one given");
    return MU_OK;
}

enum mu_code mu_scep_client_new(const struct mu_scep_client_config *config,
    struct mu_scep_client **out, struct mu_err *err)
{
    struct mu_scep_client *c = calloc(1, sizeof *c);
    enum mu_code rc;

    if (c == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "scep: out of memory");
    mu_buf_init(&c->serial, 64);
    mu_buf_init(&c->message, MU_LIMIT_MESSAGE);
    mu_buf_init(&c->url, 2 * MU_LIMIT_MESSAGE);
    mu_buf_init(&c->crl, MU_LIMIT_REPLY);
    mu_buf_init(&c->warnings, 8192);
    c->pki_status = c->fail_info = -1;
    rc = take_config(c, config, err);
    if (rc == MU_OK)
        rc = check_config(c, err);
    if (rc == MU_OK)
        *out = c;
    else
        mu_scep_client_free(c);
    return rc;
}

static void free_text(const char *s)
{
    union { const char *in; char *out; } u = {.in = s};

    free(u.out);
}

void mu_scep_client_free(struct mu_scep_client *c)
{
    if (c == NULL)
        return;
    free_text(c->config.url);
    free_text(c->config.entry);
    free_text(c->config.ca_identifier);
    free_text(c->config.trusted_as);
    free_text(c->config.transaction_id);
    mu_pki_key_free(c->config.key);
    mu_pki_key_free(c->config.signer_key);
    mu_pki_cert_free(c->config.signer_cert);
    mu_pki_cert_free(c->config.encrypt_to);
    mu_pki_csr_free(c->csr);
    mu_buf_clear(&c->serial);
    mu_pki_certs_clear(&c->trusted);
    mu_pki_certs_clear(&c->ca_certs);
    mu_pki_certs_clear(&c->anchors);
    free(c->transaction_id);
    mu_pki_cert_free(c->self_signed);
    mu_buf_clear(&c->message);
    mu_buf_clear(&c->url);
    mu_pki_cert_free(c->cert);
    mu_pki_certs_clear(&c->chain);
    mu_pki_certs_clear(&c->save);
    mu_buf_clear(&c->crl);
    mu_buf_clear(&c->warnings);
    free(c);
}

void mu_scep_client_warn(
    struct mu_scep_client *c, enum mu_trace_step step, const char *fmt, ...)
{
    char line[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    mu_scep_client_trace(c, step, "warning: %s", line);
    if (strstr(mu_buf_str(&c->warnings), line) == NULL)
        mu_buf_putf(&c->warnings, "%s\n", line);
}

struct mu_pki_cert *mu_scep_client_signer(const struct mu_scep_client *c)
{
    return c->config.signer_cert != NULL ? c->config.signer_cert : c->self_signed;
}

struct mu_pki_key *mu_scep_client_signer_key(const struct mu_scep_client *c)
{
    if (c->config.signer_cert != NULL && c->config.signer_key != NULL)
        return c->config.signer_key;
    return c->config.key;
}

const struct mu_secret *mu_scep_client_challenge(const struct mu_scep_client *c)
{
    return c->csr != NULL && mu_secret_is_set(&c->csr->challenge) ? &c->csr->challenge : NULL;
}

bool mu_scep_client_is_query(const struct mu_scep_client *c)
{
    return c->config.op == MU_SCEP_CLIENT_CERT || c->config.op == MU_SCEP_CLIENT_CRL;
}

void mu_scep_client_result(const struct mu_scep_client *c, struct mu_scep_client_result *out)
{
    *out = (struct mu_scep_client_result){
        .has_caps = c->has_caps,
        .caps = c->caps,
        .ca_certs = &c->ca_certs,
        .ca = c->ca,
        .ra_sign = c->ra_sign,
        .ra_encrypt = c->ra_encrypt,
        .reply_type = c->reply_type,
        .transaction_id = c->transaction_id,
        .self_signed = c->self_signed,
        .cert = c->cert,
        .chain = &c->chain,
        .crl = mu_buf_bytes(&c->crl),
        .pending = c->pending,
        .polls = c->polls,
        .fail_info = c->fail_info,
        .pki_status = c->pki_status,
        .digest = c->digest,
        .cipher = c->cipher,
        .used_post = c->use_post || c->post_after_get,
        .used_renewal = c->type == MU_SCEP_RENEWAL_REQ,
        .warnings = mu_buf_str(&c->warnings),
        .server_date_s = c->server_date_s,
    };
}
