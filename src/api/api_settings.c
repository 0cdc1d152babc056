/* The settings of a public enrollment: each is checked when it is set. */
#include <stdlib.h>

#include "api/api_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"

static int64_t env_now(void *ctx)
{
    struct muster_enrollment *e = ctx;
    struct mu_env system = mu_env_system();

    return e->now != NULL ? e->now(e->now_context) : mu_env_now(&system);
}

static bool env_random(void *ctx, uint8_t *p, size_t n)
{
    struct mu_env system = mu_env_system();

    return mu_env_random(&system, p, n, NULL) == MU_OK;
}

static void env_trace(void *ctx, const struct mu_trace_event *event)
{
    struct muster_enrollment *e = ctx;
    struct mu_buf line = {0};

    mu_buf_putf(&line, "%s %s: %s", mu_proto_name(event->proto), mu_trace_step_name(event->step),
        event->text);
    e->trace(e->trace_context, mu_buf_str(&line));
    mu_buf_clear(&line);
}

enum muster_code muster_enrollment_new(
    const char *protocol, struct muster_enrollment **out, struct muster_error *err)
{
    const struct mu_client_proto *proto = mu_client_proto_find(mu_proto_parse(protocol));
    struct muster_enrollment *e;
    struct mu_err failed = {0};

    if (proto == NULL) {
        mu_err_set(&failed, MU_UNSUPPORTED, MU_REASON_NONE, "this protocol is not available");
        return mu_api_error(&failed, err);
    }
    if ((e = calloc(1, sizeof(*e))) == NULL) {
        mu_err_set(&failed, MU_MEMORY, MU_REASON_NONE, "no memory for an enrollment");
        return mu_api_error(&failed, err);
    }
    e->proto = proto;
    e->env = (struct mu_env){.now = env_now, .random = env_random, .ctx = e};
    mu_buf_init_secret(&e->tls_key_pem, MU_LIMIT_FILE);
    e->key_spec = proto->proto == MU_PROTO_SCEP ? (struct mu_pki_key_spec){MU_PKI_KEY_RSA, 2048}
                                                : (struct mu_pki_key_spec){MU_PKI_KEY_EC, 256};
    mu_buf_init_secret(&e->csr, MU_LIMIT_MESSAGE);
    mu_buf_init_secret(&e->engine_state, MU_BUF_DEFAULT_MAX);
    mu_buf_init_secret(&e->state, MU_BUF_DEFAULT_MAX);
    mu_buf_init_secret(&e->key_pem, MU_LIMIT_FILE);
    *out = e;
    return MUSTER_OK;
}

void muster_enrollment_free(struct muster_enrollment *e)
{
    if (e == NULL)
        return;
    if (e->engine != NULL)
        e->proto->free(e->engine);
    free(e->url);
    free(e->ca_identifier);
    free(e->user);
    mu_buf_clear(&e->subject);
    mu_buf_clear(&e->san);
    mu_secret_clear(&e->challenge);
    mu_secret_clear(&e->password);
    mu_pki_key_free(e->key);
    mu_pki_key_free(e->own_key);
    mu_pki_certs_clear(&e->own);
    mu_pki_certs_clear(&e->trusted);
    mu_buf_clear(&e->csr);
    mu_buf_clear(&e->engine_state);
    mu_buf_clear(&e->ca_pem);
    mu_buf_clear(&e->ca_sha256);
    mu_buf_clear(&e->cert_pem);
    mu_buf_clear(&e->chain_pem);
    mu_buf_clear(&e->key_pem);
    mu_buf_clear(&e->state);
    mu_buf_clear(&e->transaction);
    mu_buf_clear(&e->tls_cert_pem);
    mu_buf_clear(&e->tls_key_pem);
    mu_buf_clear(&e->tls_trusted_pem);
    free(e);
}

static enum muster_code set_text(char **at, const char *text, struct muster_error *err)
{
    struct mu_err failed = {0};
    char *copy = NULL;

    if (text != NULL && mu_text_dup(text, &copy, &failed) != MU_OK)
        return mu_api_error(&failed, err);
    free(*at);
    *at = copy;
    return MUSTER_OK;
}

enum muster_code muster_enrollment_set_url(
    struct muster_enrollment *e, const char *url, struct muster_error *err)
{
    return set_text(&e->url, url, err);
}

enum muster_code muster_enrollment_set_ca_identifier(
    struct muster_enrollment *e, const char *identifier, struct muster_error *err)
{
    return set_text(&e->ca_identifier, identifier, err);
}

/* Replaces the buffer's content by what parse makes of the text. */
static enum muster_code set_der(struct mu_buf *at, const char *text,
    enum mu_code (*parse)(const char *, struct mu_buf *, struct mu_err *), struct muster_error *err)
{
    struct mu_err failed = {0};
    struct mu_buf der = {0};
    enum mu_code rc = MU_OK;

    if (text != NULL && (rc = parse(text, &der, &failed)) == MU_OK)
        rc = mu_buf_check(&der, "a name", &failed);
    if (rc != MU_OK) {
        mu_buf_clear(&der);
        return mu_api_error(&failed, err);
    }
    mu_buf_clear(at);
    *at = der;
    return MUSTER_OK;
}

enum muster_code muster_enrollment_set_subject(
    struct muster_enrollment *e, const char *subject, struct muster_error *err)
{
    return set_der(&e->subject, subject, mu_pki_name_parse, err);
}

enum muster_code muster_enrollment_set_san(
    struct muster_enrollment *e, const char *san, struct muster_error *err)
{
    return set_der(&e->san, san, mu_pki_san_parse, err);
}

enum muster_code muster_enrollment_set_usage(struct muster_enrollment *e, const char *key_usage,
    const char *extended_key_usage, struct muster_error *err)
{
    struct mu_err failed = {0};
    unsigned usage = 0, eku = 0;

    if (key_usage != NULL && mu_pki_key_usage_parse(key_usage, &usage, &failed) != MU_OK)
        return mu_api_error(&failed, err);
    if (extended_key_usage != NULL && mu_pki_eku_parse(extended_key_usage, &eku, &failed) != MU_OK)
        return mu_api_error(&failed, err);
    e->key_usage = usage;
    e->eku = eku;
    return MUSTER_OK;
}

static enum muster_code set_secret(
    struct mu_secret *at, const char *text, struct muster_error *err)
{
    struct mu_err failed = {0};

    if (text == NULL)
        mu_secret_clear(at);
    else if (mu_secret_set(at, mu_bytes_str(text), &failed) != MU_OK)
        return mu_api_error(&failed, err);
    return MUSTER_OK;
}

enum muster_code muster_enrollment_set_challenge(
    struct muster_enrollment *e, const char *challenge, struct muster_error *err)
{
    return set_secret(&e->challenge, challenge, err);
}

enum muster_code muster_enrollment_set_login(struct muster_enrollment *e, const char *user,
    const char *password, struct muster_error *err)
{
    enum muster_code rc = set_text(&e->user, user, err);

    return rc == MUSTER_OK ? set_secret(&e->password, password, err) : rc;
}

enum muster_code muster_enrollment_set_key(
    struct muster_enrollment *e, const char *spec, struct muster_error *err)
{
    struct mu_err failed = {0};

    if (mu_pki_key_spec_parse(spec, e->allow_legacy, &e->key_spec, &failed) != MU_OK)
        return mu_api_error(&failed, err);
    mu_pki_key_free(e->key);
    e->key = NULL;
    e->key_spec_is_choice = true;
    return MUSTER_OK;
}

static enum mu_code key_decode(
    const char *pem, const char *password, struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_secret secret = {0};
    enum mu_code rc = MU_OK;

    if (password != NULL)
        rc = mu_secret_set(&secret, mu_bytes_str(password), err);
    if (rc == MU_OK)
        rc = mu_pki_key_decode(mu_bytes_str(pem), &secret, out, err);
    mu_secret_clear(&secret);
    return rc;
}

enum muster_code muster_enrollment_set_key_pem(struct muster_enrollment *e, const char *pem,
    const char *password, struct muster_error *err)
{
    struct mu_pki_key *key = NULL;
    struct mu_err failed = {0};

    if (key_decode(pem, password, &key, &failed) != MU_OK)
        return mu_api_error(&failed, err);
    mu_pki_key_free(e->key);
    e->key = key;
    return MUSTER_OK;
}

static enum muster_code set_own(struct muster_enrollment *e, bool is_renewal,
    const char *certificate_pem, const char *key_pem, const char *password, struct muster_error *err)
{
    struct mu_pki_certs certs = {0};
    struct mu_pki_key *key = NULL;
    struct mu_err failed = {0};
    enum mu_code rc = mu_pki_certs_decode(mu_bytes_str(certificate_pem), &certs, &failed);

    if (rc == MU_OK)
        rc = key_decode(key_pem, password, &key, &failed);
    if (rc == MU_OK && !mu_bytes_equal(certs.v[0]->spki, mu_pki_key_spki(key)))
        rc = mu_err_set(&failed, MU_INPUT, MU_M(708), "the certificate is for another key");
    if (rc != MU_OK) {
        mu_pki_certs_clear(&certs);
        mu_pki_key_free(key);
        return mu_api_error(&failed, err);
    }
    mu_pki_certs_clear(&e->own);
    mu_pki_key_free(e->own_key);
    e->own = certs;
    e->own_key = key;
    e->is_renewal = is_renewal;
    return MUSTER_OK;
}

enum muster_code muster_enrollment_set_renewal(struct muster_enrollment *e,
    const char *certificate_pem, const char *key_pem, const char *password, struct muster_error *err)
{
    return set_own(e, true, certificate_pem, key_pem, password, err);
}

enum muster_code muster_enrollment_set_client_certificate(struct muster_enrollment *e,
    const char *certificate_pem, const char *key_pem, const char *password, struct muster_error *err)
{
    return set_own(e, false, certificate_pem, key_pem, password, err);
}

void muster_enrollment_set_server_key(struct muster_enrollment *e, bool server_key)
{
    e->server_key = server_key;
}

void muster_enrollment_set_bootstrap(struct muster_enrollment *e, bool bootstrap)
{
    e->bootstrap = bootstrap;
}

enum muster_code muster_enrollment_add_trusted(
    struct muster_enrollment *e, const char *pem, struct muster_error *err)
{
    struct mu_err failed = {0};

    if (mu_pki_certs_decode(mu_bytes_str(pem), &e->trusted, &failed) != MU_OK)
        return mu_api_error(&failed, err);
    return MUSTER_OK;
}

enum muster_code muster_enrollment_set_pin(
    struct muster_enrollment *e, const char *sha256, struct muster_error *err)
{
    struct mu_err failed = {0};
    struct mu_buf octets = {0};
    enum mu_code rc = mu_text_unhex(sha256, &octets, &failed);

    if (rc == MU_OK && octets.n != sizeof(e->pin))
        rc = mu_err_set(&failed, MU_INPUT, MU_REASON_NONE,
            "a SHA-256 fingerprint has 32 octets, this one %zu", octets.n);
    if (rc == MU_OK) {
        memcpy(e->pin, octets.p, sizeof(e->pin));
        e->has_pin = true;
    }
    mu_buf_clear(&octets);
    return rc == MU_OK ? MUSTER_OK : mu_api_error(&failed, err);
}

void muster_enrollment_set_polling(struct muster_enrollment *e, int64_t every_s, int64_t at_most_s)
{
    e->await_s = every_s;
    e->max_await_s = at_most_s;
}

void muster_enrollment_set_no_wait(struct muster_enrollment *e, bool no_wait)
{
    e->no_wait = no_wait;
}

void muster_enrollment_set_allow_legacy(struct muster_enrollment *e, bool allow)
{
    e->allow_legacy = allow;
}

void muster_enrollment_set_clock(
    struct muster_enrollment *e, int64_t (*now)(void *context), void *context)
{
    e->now = now;
    e->now_context = context;
}

void muster_enrollment_set_trace(struct muster_enrollment *e,
    void (*trace)(void *context, const char *line), void *context)
{
    e->trace = trace;
    e->trace_context = context;
    e->env.trace = trace != NULL ? env_trace : NULL;
}
