/* Making a client engine from its configuration, freeing it, and telling what it knows, to its
 * neighbors and to its caller. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"
#include "proto/est/est_client_internal.h"

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

static enum mu_code copy_texts(
    struct mu_est_client_config *own, const struct mu_est_client_config *config, struct mu_err *err)
{
    const char **to[] = {&own->url, &own->label, &own->entry, &own->user, &own->srp_user,
        &own->client_cert, &own->server_cert, &own->source_ip, &own->trusted_as};
    const char *const from[] = {config->url, config->label, config->entry, config->user,
        config->srp_user, config->client_cert, config->server_cert, config->source_ip,
        config->trusted_as};
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; i < sizeof from / sizeof from[0]; i++)
        *to[i] = NULL;
    for (i = 0; i < sizeof from / sizeof from[0] && rc == MU_OK; i++)
        rc = dup_or_null(from[i], to[i], err);
    return rc;
}

static enum mu_code copy_secrets(
    struct mu_est_client *c, const struct mu_est_client_config *config, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (config->password != NULL)
        rc = mu_secret_set(&c->password, mu_secret_bytes(config->password), err);
    if (rc == MU_OK && config->kek != NULL)
        rc = mu_secret_set(&c->kek, mu_secret_bytes(config->kek), err);
    c->config.password = NULL;
    c->config.kek = NULL;
    return rc;
}

/* config's pointers become copies and counts, or NULL. */
static enum mu_code take_config(
    struct mu_est_client *c, const struct mu_est_client_config *config, struct mu_err *err)
{
    struct mu_est_client_config *own = &c->config;
    enum mu_code rc;

    *own = *config;
    own->subject = own->extensions = own->kek_id = mu_bytes(NULL, 0);
    own->trusted = NULL;
    own->pin_sha256 = NULL;
    own->key = NULL;
    c->key = config->key != NULL ? mu_pki_key_ref(config->key) : NULL;
    own->decrypt_cert = config->decrypt_cert != NULL ? mu_pki_cert_ref(config->decrypt_cert) : NULL;
    own->decrypt_key = config->decrypt_key != NULL ? mu_pki_key_ref(config->decrypt_key) : NULL;
    if (own->await_s <= 0)
        own->await_s = AWAIT_S;
    if (own->max_await_s <= 0)
        own->max_await_s = MAX_AWAIT_S;
    if (config->pin_sha256 != NULL) {
        memcpy(c->pin, config->pin_sha256, sizeof c->pin);
        c->has_pin = true;
    }
    mu_buf_put_bytes(&c->subject, config->subject);
    mu_buf_put_bytes(&c->extensions, config->extensions);
    mu_buf_put_bytes(&c->kek_id, config->kek_id);
    if ((rc = copy_texts(own, config, err)) != MU_OK
        || (rc = copy_secrets(c, config, err)) != MU_OK
        || (rc = mu_buf_check(&c->subject, "subject", err)) != MU_OK
        || (rc = mu_buf_check(&c->extensions, "extensions", err)) != MU_OK
        || (rc = mu_buf_check(&c->kek_id, "key identifier", err)) != MU_OK
        || (rc = copy_certs(&c->trusted, config->trusted, err)) != MU_OK)
        return rc;
    return copy_certs(&c->anchors, config->trusted, err);
}

static enum mu_code check_config(struct mu_est_client *c, struct mu_err *err)
{
    enum mu_code rc;

    if (c->config.url == NULL || c->config.url[0] == '\0')
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "est: this needs a URL");
    rc = mu_est_http_url(c->config.url, c->config.label, MU_EST_CACERTS, &c->url, err);
    if (rc == MU_OK && c->subject.n != 0 && !mu_pki_name_valid(mu_buf_bytes(&c->subject)))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "est: the subject is no Name");
    return rc;
}

enum mu_code mu_est_client_new(const struct mu_est_client_config *config,
    struct mu_est_client **out, struct mu_err *err)
{
    struct mu_est_client *c = calloc(1, sizeof *c);
    enum mu_code rc;

    if (c == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "est: out of memory");
    mu_buf_init(&c->subject, MU_LIMIT_NAME);
    mu_buf_init(&c->extensions, MU_LIMIT_EXTENSIONS);
    mu_buf_init(&c->kek_id, 1024);
    mu_buf_init(&c->attrs_der, MU_LIMIT_EXTENSIONS);
    mu_buf_init_secret(&c->csr, MU_LIMIT_MESSAGE);
    mu_buf_init_secret(&c->binding, 256);
    mu_buf_init(&c->url, MU_LIMIT_URL);
    mu_buf_init_secret(&c->body, 2 * MU_LIMIT_MESSAGE);
    mu_buf_init_secret(&c->authorization, 8192);
    mu_buf_init(&c->warnings, 8192);
    rc = take_config(c, config, err);
    if (rc == MU_OK)
        rc = check_config(c, err);
    if (rc == MU_OK)
        *out = c;
    else
        mu_est_client_free(c);
    return rc;
}

static void free_text(const char *s)
{
    union { const char *in; char *out; } u = {.in = s};

    free(u.out);
}

void mu_est_client_free(struct mu_est_client *c)
{
    if (c == NULL)
        return;
    free_text(c->config.url);
    free_text(c->config.label);
    free_text(c->config.entry);
    free_text(c->config.user);
    free_text(c->config.srp_user);
    free_text(c->config.client_cert);
    free_text(c->config.server_cert);
    free_text(c->config.source_ip);
    free_text(c->config.trusted_as);
    mu_pki_cert_free(c->config.decrypt_cert);
    mu_pki_key_free(c->config.decrypt_key);
    mu_buf_clear(&c->subject);
    mu_buf_clear(&c->extensions);
    mu_buf_clear(&c->kek_id);
    mu_secret_clear(&c->password);
    mu_secret_clear(&c->kek);
    mu_pki_certs_clear(&c->trusted);
    mu_pki_certs_clear(&c->ca_certs);
    mu_pki_certs_clear(&c->anchors);
    mu_buf_clear(&c->attrs_der);
    mu_http_auth_clear(&c->challenge);
    mu_pki_key_free(c->key);
    mu_buf_clear(&c->csr);
    mu_pki_csr_free(c->csr_parsed);
    mu_buf_clear(&c->binding);
    mu_buf_clear(&c->url);
    mu_buf_clear(&c->body);
    mu_buf_clear(&c->authorization);
    mu_pki_key_free(c->made_key);
    mu_pki_cert_free(c->cert);
    mu_pki_certs_clear(&c->chain);
    mu_pki_certs_clear(&c->save);
    mu_buf_clear(&c->warnings);
    free(c);
}

void mu_est_client_warn(struct mu_est_client *c, enum mu_trace_step step, const char *fmt, ...)
{
    char line[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    mu_est_client_trace(c, step, "warning: %s", line);
    if (strstr(mu_buf_str(&c->warnings), line) == NULL)
        mu_buf_putf(&c->warnings, "%s\n", line);
}

const char *mu_est_client_name(struct mu_bytes name, char buf[MU_EST_NAME_TEXT])
{
    struct mu_buf text = {.max = 16 * 1024};

    mu_pki_name_format(name, MU_PKI_NAME_COMMA, &text);
    mu_text_escape_to(buf, MU_EST_NAME_TEXT, mu_buf_bytes(&text));
    mu_buf_clear(&text);
    return buf;
}

void mu_est_client_result(const struct mu_est_client *c, struct mu_est_client_result *out)
{
    *out = (struct mu_est_client_result){
        .ca_certs = c->has_ca ? &c->ca_certs : NULL,
        .ca = c->ca,
        .anchors = &c->anchors,
        .csr_attrs = mu_buf_bytes(&c->attrs_der),
        .csr = mu_buf_bytes(&c->csr),
        .key = c->made_key,
        .cert = c->cert,
        .chain = &c->chain,
        .pending = c->pending,
        .polls = c->polls,
        .status = c->status,
        .linked = c->linked,
        .bootstrapped = c->bootstrapped,
        .wants_tls12 = c->wants_tls12,
        .warnings = mu_buf_str(&c->warnings),
        .server_date_s = c->server_date_s,
    };
}
