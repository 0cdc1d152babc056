/* Making a client engine from its configuration, freeing it, and telling what it knows. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_client_internal.h"

enum { AWAIT_S = 60, MAX_AWAIT_S = 3600 };

static enum mu_code dup_or_null(const char *s, const char **out, struct mu_err *err)
{
    char *copy = NULL;
    enum mu_code rc = s != NULL ? mu_text_dup(s, &copy, err) : MU_OK;

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

static void copy_bytes(struct mu_buf *to, struct mu_bytes *view)
{
    mu_buf_put_bytes(to, *view);
    *view = mu_buf_bytes(to);
}

static void forget_borrowed(struct mu_cmp_client_config *own)
{
    own->url = own->entry = own->cert_profile = own->ref = own->server_cert_as = NULL;
    own->trusted_as = own->transaction_id = NULL;
    own->csr = mu_bytes(NULL, 0);
    own->secret = NULL;
    own->signer_chain = own->server_certs = own->trusted = NULL;
    own->key = own->signer_key = NULL;
    own->signer_cert = own->old_cert = NULL;
}

/* config's pointers become copies and counts, or NULL. */
static enum mu_code take_config(
    struct mu_cmp_client *c, const struct mu_cmp_client_config *config, struct mu_err *err)
{
    struct mu_cmp_client_config *own = &c->config;
    enum mu_code rc;

    *own = *config;
    forget_borrowed(own);
    copy_bytes(&c->subject, &own->subject);
    copy_bytes(&c->extensions, &own->extensions);
    copy_bytes(&c->recipient, &own->recipient);
    own->key = config->key != NULL ? mu_pki_key_ref(config->key) : NULL;
    own->signer_key = config->signer_key != NULL ? mu_pki_key_ref(config->signer_key) : NULL;
    own->signer_cert = config->signer_cert != NULL ? mu_pki_cert_ref(config->signer_cert) : NULL;
    own->old_cert = config->old_cert != NULL ? mu_pki_cert_ref(config->old_cert) : NULL;
    if (own->await_s <= 0)
        own->await_s = AWAIT_S;
    if (own->max_await_s <= 0)
        own->max_await_s = MAX_AWAIT_S;
    if ((rc = mu_buf_check(&c->subject, "subject", err)) != MU_OK
        || (rc = mu_buf_check(&c->extensions, "extensions", err)) != MU_OK
        || (rc = mu_buf_check(&c->recipient, "recipient", err)) != MU_OK
        || (rc = dup_or_null(config->url, &own->url, err)) != MU_OK
        || (rc = dup_or_null(config->entry, &own->entry, err)) != MU_OK
        || (rc = dup_or_null(config->cert_profile, &own->cert_profile, err)) != MU_OK
        || (rc = dup_or_null(config->ref, &own->ref, err)) != MU_OK
        || (rc = dup_or_null(config->server_cert_as, &own->server_cert_as, err)) != MU_OK
        || (rc = dup_or_null(config->trusted_as, &own->trusted_as, err)) != MU_OK
        || (rc = dup_or_null(config->transaction_id, &own->transaction_id, err)) != MU_OK
        || (rc = copy_certs(&c->signer_chain, config->signer_chain, err)) != MU_OK
        || (rc = copy_certs(&c->server_certs, config->server_certs, err)) != MU_OK
        || (rc = copy_certs(&c->trusted, config->trusted, err)) != MU_OK)
        return rc;
    if (config->secret != NULL && mu_secret_is_set(config->secret))
        rc = mu_secret_set(&c->secret, mu_secret_bytes(config->secret), err);
    if (rc == MU_OK && config->csr.n != 0)
        rc = mu_pki_csr_decode(config->csr, &c->csr, err);
    return rc;
}

static bool can_open(const struct mu_pki_key *key)
{
    struct mu_pki_key_spec spec;

    mu_pki_key_spec_of(key, &spec);
    return spec.type == MU_PKI_KEY_RSA || spec.type == MU_PKI_KEY_EC;
}

/* What an operation cannot do without. A lack is a fault of the caller's configuration. */
static enum mu_code check_config(const struct mu_cmp_client *c, struct mu_err *err)
{
    const struct mu_cmp_client_config *config = &c->config;
    bool by_cert = config->signer_cert != NULL && config->signer_key != NULL;
    const char *lacks = NULL;

    if (config->url == NULL || config->url[0] == '\0')
        lacks = "a URL";
    else if (config->op != MU_CMP_CLIENT_PROBE && !by_cert
        && (config->ref == NULL || !mu_secret_is_set(&c->secret)))
        lacks = "a reference and a secret, or a certificate to sign with (RFC 9483 3.2)";
    else if (config->op == MU_CMP_CLIENT_P10CR && c->csr == NULL)
        lacks = "a certificate request";
    else if ((config->op == MU_CMP_CLIENT_KUR || config->op == MU_CMP_CLIENT_RR) && !by_cert)
        lacks = "the certificate in question and its key to sign with (RFC 9483 4.1.3, 4.2)";
    else if (mu_cmp_client_enrolls(c) && config->op != MU_CMP_CLIENT_P10CR && config->key == NULL
        && !config->central_keygen)
        lacks = "a private key";
    else if (mu_cmp_client_indirect(c) && !can_open(config->key))
        lacks = "an RSA or EC key that is here, to open the certificate with (RFC 9810 5.2.8.3.2)";
    else if (mu_cmp_client_indirect(c) && config->disable_confirm)
        lacks = "its confirmation, which is the proof of possession (RFC 9810 5.2.8.3.2)";
    else if (config->op == MU_CMP_CLIENT_ROOT_UPDATE && c->trusted.n == 0)
        lacks = "the present root certificate (RFC 9483 4.3.2)";
    else if (config->op == MU_CMP_CLIENT_CRL && c->trusted.n == 0 && !by_cert)
        lacks = "the certificate of the CA whose CRL it is (RFC 9483 4.3.4)";
    if (lacks != NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "cmp: this operation needs %s", lacks);
    return MU_OK;
}

enum mu_code mu_cmp_client_new(
    const struct mu_cmp_client_config *config, struct mu_cmp_client **out, struct mu_err *err)
{
    struct mu_cmp_client *c = calloc(1, sizeof *c);
    enum mu_code rc;

    if (c == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "cmp: out of memory");
    c->pki_status = c->fail_bit = -1;
    mu_buf_init_secret(&c->message, MU_LIMIT_MESSAGE);
    mu_buf_init(&c->crl, MU_LIMIT_REPLY);
    rc = take_config(c, config, err);
    if (rc == MU_OK)
        rc = check_config(c, err);
    if (rc == MU_OK)
        rc = mu_cmp_http_url(c->config.url, NULL, &c->url, err);
    if (rc == MU_OK)
        *out = c;
    else
        mu_cmp_client_free(c);
    return rc;
}

static void free_text(const char *own)
{
    free((void *)(uintptr_t)own);
}

void mu_cmp_client_free(struct mu_cmp_client *c)
{
    size_t i;

    if (c == NULL)
        return;
    free_text(c->config.url);
    free_text(c->config.entry);
    free_text(c->config.cert_profile);
    free_text(c->config.ref);
    free_text(c->config.server_cert_as);
    free_text(c->config.trusted_as);
    free_text(c->config.transaction_id);
    mu_pki_key_free(c->config.key);
    mu_pki_key_free(c->config.signer_key);
    mu_pki_cert_free(c->config.signer_cert);
    mu_pki_cert_free(c->config.old_cert);
    mu_pki_csr_free(c->csr);
    mu_secret_clear(&c->secret);
    mu_cmp_protect_mac_clear(&c->mac);
    mu_cmp_protect_mac_clear(&c->peer_mac);
    mu_pki_certs_clear(&c->signer_chain);
    mu_pki_certs_clear(&c->server_certs);
    mu_pki_certs_clear(&c->trusted);
    mu_pki_certs_clear(&c->peer);
    mu_pki_certs_clear(&c->chain);
    mu_pki_certs_clear(&c->save);
    mu_pki_certs_clear(&c->ca_certs);
    mu_pki_cert_free(c->cert);
    mu_pki_key_free(c->new_key);
    mu_buf_clear(&c->url);
    mu_buf_clear(&c->subject);
    mu_buf_clear(&c->extensions);
    mu_buf_clear(&c->recipient);
    mu_buf_clear(&c->transaction_id);
    mu_buf_clear(&c->message);
    mu_buf_clear(&c->crl);
    mu_buf_clear(&c->cert_template);
    mu_buf_clear(&c->template_parts);
    mu_buf_clear(&c->warnings);
    mu_buf_clear(&c->offers);
    mu_buf_clear(&c->protection);
    mu_buf_clear(&c->needs);
    for (i = 0; i < MU_CMP_NOTES; i++)
        mu_buf_clear(&c->note_text[i]);
    free(c->transaction_hex);
    free(c->refusal_text);
    free(c);
}

bool mu_cmp_client_by_mac(const struct mu_cmp_client *c)
{
    /* kur and rr are signed whatever else is there (CMP-54, CMP-88); elsewhere a secret given is
     * the wish to use it. */
    return c->config.op != MU_CMP_CLIENT_KUR && c->config.op != MU_CMP_CLIENT_RR
        && c->config.ref != NULL && mu_secret_is_set(&c->secret);
}

bool mu_cmp_client_by_signature(const struct mu_cmp_client *c)
{
    return !mu_cmp_client_by_mac(c) && c->config.signer_cert != NULL && c->config.signer_key != NULL;
}

bool mu_cmp_client_indirect(const struct mu_cmp_client *c)
{
    return c->config.indirect && mu_cmp_client_enrolls(c) && c->config.op != MU_CMP_CLIENT_P10CR
        && !c->config.central_keygen;
}

bool mu_cmp_client_enrolls(const struct mu_cmp_client *c)
{
    return c->config.op <= MU_CMP_CLIENT_KUR;
}

const char *mu_cmp_client_name(struct mu_bytes name, char buf[MU_CMP_NAME_TEXT])
{
    struct mu_buf text = {.max = 16 * 1024};

    mu_pki_name_format(name, MU_PKI_NAME_SPACED, &text);
    snprintf(buf, MU_CMP_NAME_TEXT, "%s", text.n != 0 ? mu_buf_str(&text) : "nobody");
    mu_buf_clear(&text);
    return buf;
}

void mu_cmp_client_warn(struct mu_cmp_client *c, enum mu_trace_step step, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    mu_cmp_client_trace(c, step, "warning: %s", line);
    mu_buf_putf(&c->warnings, "%s\n", line);
}

void mu_cmp_client_result(const struct mu_cmp_client *c, struct mu_cmp_client_result *out)
{
    *out = (struct mu_cmp_client_result){
        .transaction_id = c->transaction_hex,
        .ca_certs = c->ca_certs.n != 0 ? &c->ca_certs : NULL,
        .cert = c->cert,
        .chain = &c->chain,
        .key = c->new_key,
        .crl = mu_buf_bytes(&c->crl),
        .cert_template = mu_buf_bytes(&c->cert_template),
        .template_keys = c->req_template.key_specs,
        .template_key_n = c->req_template.key_spec_n,
        .template_subject = c->req_template.tmpl.subject,
        .template_extensions = c->req_template.tmpl.extensions,
        .pending = c->pending,
        .confirmed = c->confirmed,
        .implicit = c->implicit,
        .granted_with_mods = c->granted_with_mods,
        .polls = c->polls,
        .check_after_s = c->pending ? c->check_after_s : 0,
        .rejected = c->phase == MU_CMP_PHASE_REJECT,
        .pki_status = c->pki_status,
        .fail_bit = c->fail_bit,
        .refusal = c->fail_bit >= 0 ? mu_cmp_fail_name(c->fail_bit) : NULL,
        .warnings = mu_buf_str(&c->warnings),
        .offers = mu_buf_str(&c->offers),
        .protection = mu_buf_str(&c->protection),
        .needs = mu_buf_str(&c->needs),
        .server_date_s = c->server_date_s,
    };
}
