/*
 * The client of a job: what it is given, what it asks on the way, and how its run ends. A job over
 * EST may need two: the first one's connection proves nothing and only fetches the CA.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/text.h"
#include "pki/pki_identity.h"

/* ---- what the driver asks ---- */

static void on_trust(void *ctx, struct mu_client *client, const struct mu_pki_certs *certs)
{
    mu_agent_job_ask_trust(ctx, client, certs);
}

/* The first time this is called everything is known but the answer. */
static void tell_request(struct mu_agent_job *job, const struct mu_client_result *r)
{
    static const char *const titles[] = {"", "SCEP", "EST", "CMP"};
    const char *protocol = job->settings.protocol != NULL ? job->settings.protocol : "scep";
    const char *title = titles[mu_proto_parse(protocol)];
    char *ca = NULL;
    struct mu_pki_key_spec spec;
    char text[32];

    if (job->told_request)
        return;
    job->told_request = true;
    if (r->ca != NULL && job->trust_ca == NULL
        && mu_agent_name_text(r->ca->subject, false, &ca, NULL) == MU_OK)
        mu_agent_job_step(job, MU_AGENT_STEP_CA, "%s", ca);
    free(ca);
    if (r->has_caps && r->server_date_s != 0)
        mu_agent_job_step(job, MU_AGENT_STEP_RESPONDER, "%s: %s; clock %+lld s", title, r->caps,
            (long long)(r->server_date_s - r->answer_at_s));
    else if (r->has_caps)
        mu_agent_job_step(job, MU_AGENT_STEP_RESPONDER, "%s: %s", title, r->caps);
    mu_pki_key_spec_of(job->key, &spec);
    mu_agent_job_step(job, MU_AGENT_STEP_KEY, "%s, %s", mu_pki_key_spec_format(&spec, text),
        job->settings.server_key > 0                    ? "to sign with: the server makes the key"
            : job->resumed                              ? "of the request"
            : job->has_entry && mu_bytes_equal(mu_pki_key_spki(job->key), job->entry.cert->spki)
            ? "as before"
            : "new");
    if (job->identity != NULL && job->identity->srp_user != NULL)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING,
            "TLS-SRP is deprecated and holds TLS down at 1.2: prefer a password or a certificate");
    mu_agent_job_step(job, MU_AGENT_STEP_REQUEST, "%s%s%s",
        r->transaction_id != NULL ? r->transaction_id : "",
        r->transaction_id != NULL ? "  " : "", job->resumed ? "again" : "sent");
}

/* From now on the CA is reached as it was said now; a pin that does not fit never gets here. */
static enum mu_code settings_keep(struct mu_agent_job *job, struct mu_err *err)
{
    enum mu_code rc;

    if (!job->keep_settings)
        return MU_OK;
    rc = mu_agent_settings_store(job->agent->store, job->name, &job->settings, err);
    job->keep_settings = rc != MU_OK;
    return rc;
}

/* The request as the engine made it: what it asked for is compared with what is issued. */
static enum mu_code csr_keep(
    struct mu_agent_job *job, const struct mu_client_result *r, struct mu_err *err)
{
    if (r->csr.n == 0)
        return MU_OK;
    mu_buf_clear(&job->pending.csr);
    mu_buf_put_bytes(&job->pending.csr, r->csr);
    return mu_buf_check(&job->pending.csr, "a request", err);
}

static enum mu_code on_state(void *ctx, struct mu_bytes engine, struct mu_err *err)
{
    struct mu_agent_job *job = ctx;
    struct mu_client_result r;
    enum mu_code rc;

    if ((rc = settings_keep(job, err)) != MU_OK)
        return rc;
    if ((rc = mu_agent_job_learn(job, err)) != MU_OK)
        return rc;
    mu_client_result(job->client, &r);
    mu_agent_trace_flush(&job->trace);
    snprintf(job->pending.trace, sizeof(job->pending.trace), "%s", job->trace.name);
    if ((rc = csr_keep(job, &r, err)) != MU_OK)
        return rc;
    mu_buf_clear(&job->pending.engine);
    mu_buf_put_bytes(&job->pending.engine, engine);
    if ((rc = mu_buf_check(&job->pending.engine, "a request", err)) != MU_OK)
        return rc;
    if (r.transaction_id != NULL && job->pending.transaction == NULL
        && (rc = mu_text_dup(r.transaction_id, &job->pending.transaction, err)) != MU_OK)
        return rc;
    if (!job->life_sent && (rc = mu_agent_life_sent(job, err)) != MU_OK)
        return rc;
    job->life_sent = true;
    rc = mu_agent_pending_store(job->agent->store, job->name, &job->pending, err);
    if (rc == MU_OK)
        tell_request(job, &r);
    return rc;
}

/* ---- the key, once the CA's wish is known ---- */

static void key_made(struct mu_agent_job *job, const struct mu_err *failed)
{
    struct mu_err err = {0};

    if (failed == NULL && mu_agent_job_key_store(job, &err) != MU_OK)
        failed = &err;
    mu_client_key(job->client, failed == NULL ? job->key : NULL, failed);
}

enum mu_code mu_agent_key_spec_check(
    struct mu_agent_job *job, const struct mu_pki_key_spec *spec, struct mu_err *err)
{
    struct mu_pki_key_spec same;
    char word[32];

    if (spec->type != MU_PKI_KEY_RSA)
        return MU_OK;
    snprintf(word, sizeof(word), "rsa:%u", spec->bits);
    return mu_pki_key_spec_parse(
        word, job->agent->allow_legacy || job->settings.allow_legacy > 0, &same, err);
}

static void on_key(void *ctx, struct mu_client *client, const struct mu_pki_key_spec *spec)
{
    struct mu_agent_job *job = ctx;
    struct mu_err err = {0};
    enum mu_code rc = mu_agent_job_learn(job, &err);

    if (rc == MU_OK)
        rc = mu_agent_key_spec_check(job, spec, &err);
    if (rc == MU_OK) {
        job->spec = *spec;
        rc = mu_agent_job_make_key(job, key_made, &err);
    }
    if (rc != MU_OK)
        mu_client_key(client, NULL, &err);
}

static enum mu_code on_save(void *ctx, const struct mu_pki_certs *certs, struct mu_err *err)
{
    return mu_agent_job_save(ctx, certs, err);
}

static void on_wait(void *ctx, int64_t wait_s, int64_t limit_s)
{
    struct mu_agent_job *job = ctx;

    if (!job->was_pending)
        mu_agent_job_step(job, MU_AGENT_STEP_STATUS,
            "PENDING, waits for an operator; asking again every %lld s", (long long)wait_s);
    job->was_pending = true;
    mu_agent_trace_flush(&job->trace);
    mu_agent_job_event_pending(job, NULL);
    if (job->host.on_wait != NULL)
        job->host.on_wait(job->host.ctx, wait_s, limit_s);
}

/* ---- the end of a run, which may not be the end of the job ---- */

static void run_again(void *cookie)
{
    struct mu_agent_job *job = cookie;

    mu_client_free(job->client);
    job->client = NULL;
    mu_agent_trusted_clear(&job->trusted);
    if (mu_agent_job_client(job, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

/* The CA was accepted over a connection that proved nothing: a new one, which it has to vouch for,
 * does the rest (EST-19, RFC 7030 4.1.1). */
static bool is_accepted(struct mu_agent_job *job)
{
    struct mu_client_result r;

    mu_client_result(job->client, &r);
    if (!job->bootstrap || !r.bootstrapped || job->err.code != MU_OK)
        return false;
    return job->trust_given || (job->trusted.has_pin && r.ca_certs != NULL
        && mu_agent_job_trust_pinned(job, r.ca_certs, &job->err) == MU_OK);
}

/* The server wants linked requests and knows them under TLS 1.2 only (EST-60): once more so. */
static bool may_link_by_tls12(struct mu_agent_job *job)
{
    struct mu_client_result r;

    mu_client_result(job->client, &r);
    return r.wants_tls12 && !job->tls12;
}

/* Nobody here vouches for the server, no CA was named, and there is somebody to ask. */
static bool may_bootstrap(const struct mu_agent_job *job, const struct mu_err *err)
{
    return err != NULL && err->reason == MU_M(204) && !job->bootstrap && !job->trust_given
        && job->host.may_ask && mu_agent_settings_is_est(&job->settings)
        && job->settings.trust == NULL;
}

static void on_done(void *ctx, struct mu_client *client, const struct mu_err *err)
{
    struct mu_agent_job *job = ctx;
    bool accepted = is_accepted(job);

    if (accepted || may_bootstrap(job, err) || may_link_by_tls12(job)) {
        job->bootstrap = !accepted && may_bootstrap(job, err);
        job->tls12 = job->tls12 || may_link_by_tls12(job);
        if (mu_agent_job_later(job, run_again, &job->err) == MU_OK)
            return;
    }
    /* What we could not keep of the trust is the reason, not that there was none. */
    mu_agent_job_end(job, err != NULL && job->err.code != MU_OK ? &job->err : err);
}

/* ---- the client ---- */

static bool pin_is_known(const struct mu_agent_job *job)
{
    for (size_t i = 0; i < job->trusted.certs.n; i++)
        if (memcmp(job->trusted.certs.v[i]->sha256, job->trusted.pin, sizeof(job->trusted.pin)) == 0)
            return true;
    return false;
}

/* Who we are, and what the engine makes its request of. */
static enum mu_code request_config(struct mu_agent_job *job, struct mu_client_config *config,
    struct mu_buf *subject, struct mu_buf *extensions, struct mu_err *err)
{
    bool renews = job->pending.operation == MU_AGENT_RENEW;
    bool by_password = !renews || job->shows[0] == '\0';
    bool same_key = renews && job->key != NULL
        && mu_bytes_equal(mu_pki_key_spki(job->key), job->entry.cert->spki);
    enum mu_code rc;

    rc = mu_agent_request_parts(
        &job->settings, renews ? job->entry.cert : NULL, same_key, subject, extensions, err);
    if (rc != MU_OK)
        return rc;
    config->subject = mu_buf_bytes(subject);
    config->extensions = mu_buf_bytes(extensions);
    config->bootstrap = job->bootstrap;
    config->renews_key = renews && !same_key;
    config->client_cert = job->shows[0] != '\0' ? job->shows : NULL;
    config->client_cert_lacks_eku = config->client_cert != NULL && job->identity != NULL
        && job->identity->chain.n > 0
        && mu_agent_cert_lacks_client_auth(job->identity->chain.v[0]);
    config->has_key_password = mu_secret_is_set(&job->secret.key_password);
    config->srp_user = by_password ? job->settings.srp_user : NULL;
    if (by_password && job->settings.user != NULL) {
        config->user = job->settings.user;
        config->password = &job->secret.password;
    }
    if (job->settings.key == NULL)
        return MU_OK;
    config->key_spec_is_choice = true;
    return mu_agent_key_spec(&job->settings, job->agent->allow_legacy, &config->key_spec, err);
}

/* What SCEP's engine gets whole. */
static enum mu_code csr_config(
    struct mu_agent_job *job, struct mu_client_config *config, struct mu_err *err)
{
    struct mu_pki_csr *csr = NULL;
    enum mu_code rc = mu_pki_csr_decode(mu_buf_bytes(&job->pending.csr), &csr, err);

    if (rc != MU_OK)
        return rc;
    config->csr = mu_buf_bytes(&job->pending.csr);
    config->has_challenge = mu_secret_is_set(&csr->challenge);
    mu_pki_csr_free(csr);
    if (job->pending.next_ca[0] == '\0')
        return MU_OK;
    mu_pki_cert_free(job->next_cert);
    job->next_cert = NULL;
    rc = mu_keystore_ca_get(job->agent->store, job->pending.next_ca, &job->next_cert, err);
    config->encrypt_to = job->next_cert; /* SCEP-78 */
    return rc;
}

enum mu_code mu_agent_job_client(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_client_config config = {.op = MU_CLIENT_ENROLL};
    bool renews = job->pending.operation == MU_AGENT_RENEW;
    struct mu_buf subject = {0}, extensions = {0};
    struct mu_secret kek = {0};
    enum mu_code rc;

    if ((rc = mu_agent_trusted_load(job->agent, &job->settings, &job->trusted, err)) != MU_OK)
        return rc;
    if (mu_agent_settings_is_est(&job->settings) && job->trusted.has_pin && !pin_is_known(job))
        job->bootstrap = true;
    if ((rc = mu_agent_job_identity(job, job->bootstrap, err)) != MU_OK)
        return rc;
    mu_agent_client_config(job->agent, &job->settings, &job->trusted, &config);
    config.env = &job->trace.env;
    config.host = (struct mu_client_host){.ctx = job, .on_key = on_key, .on_trust = on_trust,
        .on_state = on_state, .on_save = on_save, .on_wait = on_wait, .on_done = on_done};
    config.entry = job->name;
    config.identity = job->identity;
    config.state = mu_buf_bytes(&job->pending.engine);
    config.key = job->key;
    config.signer_cert = renews ? job->entry.cert : NULL;
    config.signer_key = renews ? job->signer_key : NULL;
    config.no_wait = job->no_wait;
    rc = mu_agent_engine_makes_csr(&job->settings)
        ? request_config(job, &config, &subject, &extensions, err)
        : csr_config(job, &config, err);
    if (rc == MU_OK)
        rc = mu_agent_cmp_config(job, &config, err);
    if (rc == MU_OK && config.server_key && !job->bootstrap)
        rc = mu_agent_delivery_take(job, &config, &kek, err);
    if (rc == MU_OK)
        rc = mu_client_new(&config, &job->client, err);
    mu_secret_clear(&kek);
    mu_buf_clear(&subject);
    mu_buf_clear(&extensions);
    return rc == MU_OK ? mu_client_start(job->client, err) : rc;
}
