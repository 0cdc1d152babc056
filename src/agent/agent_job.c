/*
 * The run of one job: key, request, client. What it needs is loaded before; how it ends is in
 * agent_end.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_identity.h"

/* ---- the job itself ---- */

/* A kill left a key whose request is gone, or was never made: nobody will ask for it. */
static enum mu_code orphan_key_remove(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_keystore *store = job->agent->store;

    if (mu_keystore_has(store, MU_KEYSTORE_STATE, job->name, "pending")
        || !mu_keystore_has(store, MU_KEYSTORE_STATE, job->name, "key"))
        return MU_OK;
    return mu_keystore_remove(store, MU_KEYSTORE_STATE, job->name, "key", err);
}

enum mu_code mu_agent_job_new(struct mu_agent *agent, const char *name,
    const struct mu_agent_host *host, struct mu_agent_job **out, struct mu_err *err)
{
    struct mu_agent_job *job = calloc(1, sizeof(*job));
    enum mu_code rc = MU_OK;

    if (job == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a job");
    job->agent = agent;
    job->host = *host;
    mu_buf_init_secret(&job->key_text, MU_LIMIT_FILE);
    mu_agent_pending_clear(&job->pending);
    if (name != NULL) {
        snprintf(job->name, sizeof(job->name), "%s", name);
        if ((rc = mu_keystore_lock(agent->store, name, &job->lock, err)) == MU_OK)
            rc = orphan_key_remove(job, err);
    }
    if (rc != MU_OK) {
        mu_agent_job_free(job);
        return rc;
    }
    *out = job;
    return MU_OK;
}

static void identity_free(struct mu_tls_identity *identity)
{
    if (identity == NULL)
        return;
    mu_pki_certs_clear(&identity->anchors);
    free(identity);
}

void mu_agent_job_free(struct mu_agent_job *job)
{
    if (job == NULL)
        return;
    mu_client_free(job->client);
    mu_transport_close(job->session);
    mu_loop_timer_free(job->agent->loop, job->timer);
    identity_free(job->identity);
    mu_agent_settings_clear(&job->settings);
    mu_secret_clear(&job->challenge);
    mu_secret_clear(&job->key_password);
    mu_keystore_entry_clear(&job->entry);
    mu_pki_key_free(job->signer_key);
    mu_pki_key_free(job->key);
    mu_buf_clear(&job->key_text);
    mu_agent_pending_clear(&job->pending);
    mu_agent_trusted_clear(&job->trusted);
    mu_pki_cert_free(job->trust_ca);
    mu_pki_cert_free(job->next_cert);
    mu_buf_clear(&job->file);
    free(job->changed);
    free(job->url);
    mu_keystore_unlock(job->lock);
    free(job);
}

void mu_agent_job_cancel(struct mu_agent_job *job)
{
    /* A helper thread still uses it; it goes when that is done. */
    if (job != NULL && job->busy)
        job->canceled = true;
    else
        mu_agent_job_free(job);
}

enum mu_code mu_agent_job_later(
    struct mu_agent_job *job, mu_loop_call *call, struct mu_err *err)
{
    mu_loop_timer_free(job->agent->loop, job->timer);
    job->timer = mu_loop_after(job->agent->loop, 0, call, job);
    if (job->timer == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a timer");
    return MU_OK;
}

static void on_nothing(void *cookie)
{
    struct mu_agent_job *job = cookie;
    struct mu_agent_outcome outcome = {.result = MU_AGENT_NOTHING, .why = job->why};
    struct mu_agent_facts facts = {0};

    if (mu_agent_show(job->agent, job->name, &facts, NULL) == MU_OK)
        outcome.facts = &facts;
    mu_agent_job_answer(job, &outcome, NULL);
    mu_agent_facts_clear(&facts);
}

enum mu_code mu_agent_job_nothing(struct mu_agent_job *job, struct mu_err *err)
{
    return mu_agent_job_later(job, on_nothing, err);
}

void mu_agent_job_step(
    struct mu_agent_job *job, enum mu_agent_step step, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    if (job->host.on_step == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    job->host.on_step(job->host.ctx, step, text);
}

enum mu_code mu_agent_job_identity(struct mu_agent_job *job, bool bootstrap, struct mu_err *err)
{
    struct mu_tls_identity *identity;
    enum mu_code rc = MU_OK;

    if (!mu_agent_url_is_tls(job->settings.url))
        return MU_OK;
    if ((identity = calloc(1, sizeof(*identity))) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a connection");
    identity->env = job->agent->env;
    identity->insecure_bootstrap = bootstrap;
    identity->use_system_anchors = job->settings.trust == NULL;
    for (size_t i = 0; rc == MU_OK && i < job->trusted.certs.n; i++)
        rc = mu_pki_certs_add(&identity->anchors, job->trusted.certs.v[i], err);
    if (rc != MU_OK) {
        identity_free(identity);
        return rc;
    }
    identity_free(job->identity);
    job->identity = identity;
    return MU_OK;
}

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
        job->resumed                                    ? "of the request"
            : job->has_entry && mu_bytes_equal(mu_pki_key_spki(job->key), job->entry.cert->spki)
            ? "as before"
            : "new");
    mu_agent_job_step(job, MU_AGENT_STEP_REQUEST, "%s  %s",
        r->transaction_id != NULL ? r->transaction_id : "", job->resumed ? "again" : "sent");
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

static enum mu_code on_state(void *ctx, struct mu_bytes engine, struct mu_err *err)
{
    struct mu_agent_job *job = ctx;
    struct mu_client_result r;
    enum mu_code rc;

    if ((rc = settings_keep(job, err)) != MU_OK)
        return rc;
    mu_client_result(job->client, &r);
    mu_buf_clear(&job->pending.engine);
    mu_buf_put_bytes(&job->pending.engine, engine);
    if ((rc = mu_buf_check(&job->pending.engine, "a request", err)) != MU_OK)
        return rc;
    if (r.transaction_id != NULL && job->pending.transaction == NULL
        && (rc = mu_text_dup(r.transaction_id, &job->pending.transaction, err)) != MU_OK)
        return rc;
    rc = mu_agent_pending_store(job->agent->store, job->name, &job->pending, err);
    if (rc == MU_OK)
        tell_request(job, &r);
    return rc;
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
    if (job->host.on_wait != NULL)
        job->host.on_wait(job->host.ctx, wait_s, limit_s);
}

static void on_done(void *ctx, struct mu_client *client, const struct mu_err *err)
{
    struct mu_agent_job *job = ctx;

    /* What we could not keep of the trust is the reason, not that there was none. */
    mu_agent_job_end(job, err != NULL && job->err.code != MU_OK ? &job->err : err);
}

/* ---- the client ---- */

static enum mu_code client_start(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_client_config config = {.op = MU_CLIENT_ENROLL};
    bool renews = job->pending.operation == MU_AGENT_RENEW;
    struct mu_pki_csr *csr = NULL;
    enum mu_code rc;

    if ((rc = mu_agent_trusted_load(job->agent, &job->settings, &job->trusted, err)) != MU_OK)
        return rc;
    if ((rc = mu_agent_job_identity(job, false, err)) != MU_OK)
        return rc;
    if ((rc = mu_pki_csr_decode(mu_buf_bytes(&job->pending.csr), &csr, err)) != MU_OK)
        return rc;
    mu_agent_client_config(job->agent, &job->settings, &job->trusted, &config);
    config.host = (struct mu_client_host){.ctx = job, .on_trust = on_trust, .on_state = on_state,
        .on_save = on_save, .on_wait = on_wait, .on_done = on_done};
    if (job->pending.next_ca[0] != '\0') {
        mu_pki_cert_free(job->next_cert);
        job->next_cert = NULL;
        rc = mu_keystore_ca_get(
            job->agent->store, job->pending.next_ca, &job->next_cert, err);
        if (rc != MU_OK) {
            mu_pki_csr_free(csr);
            return rc;
        }
        config.encrypt_to = job->next_cert; /* SCEP-78 */
    }
    config.entry = job->name;
    config.identity = job->identity;
    config.state = mu_buf_bytes(&job->pending.engine);
    config.csr = mu_buf_bytes(&job->pending.csr);
    config.key = job->key;
    config.signer_cert = renews ? job->entry.cert : NULL;
    config.signer_key = renews ? job->signer_key : NULL;
    config.has_challenge = mu_secret_is_set(&csr->challenge);
    config.no_wait = job->no_wait;
    mu_pki_csr_free(csr);
    if ((rc = mu_client_new(&config, &job->client, err)) != MU_OK)
        return rc;
    return mu_client_start(job->client, err);
}

/* ---- a new request ---- */

/* Stored before anybody hears of it. */
static enum mu_code key_store(struct mu_agent_job *job, struct mu_err *err)
{
    enum mu_code rc;

    if (job->key_text.n == 0) {
        rc = mu_keystore_key_text(
            job->key, job->settings.key_file, &job->key_password, &job->key_text, err);
        if (rc != MU_OK)
            return rc;
    }
    return mu_keystore_put(job->agent->store, MU_KEYSTORE_STATE, job->name, "key",
        mu_buf_bytes(&job->key_text), err);
}

static enum mu_code request_make(struct mu_agent_job *job, struct mu_err *err)
{
    bool renews = job->pending.operation == MU_AGENT_RENEW;
    enum mu_code rc;

    if ((rc = key_store(job, err)) != MU_OK)
        return rc;
    mu_buf_clear(&job->pending.csr);
    rc = mu_agent_make_csr(&job->settings, renews ? job->entry.cert : NULL, &job->challenge,
        job->key, &job->pending.csr, err);
    if (rc != MU_OK)
        return rc;
    job->pending.since_s = mu_env_now(job->agent->env);
    if (job->has_entry)
        snprintf(job->pending.replaces, sizeof(job->pending.replaces), "%s", job->entry.stem);
    return client_start(job, err);
}

/* On the helper thread. */
static void key_work(void *cookie)
{
    struct mu_agent_job *job = cookie;

    if (mu_pki_key_generate(&job->spec, &job->key, &job->work_err) != MU_OK)
        job->key = NULL;
}

static void key_done(void *cookie)
{
    struct mu_agent_job *job = cookie;

    job->busy = false;
    if (job->canceled) {
        mu_agent_job_free(job);
        return;
    }
    if (job->key == NULL)
        mu_agent_job_end(job, &job->work_err);
    else if (request_make(job, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

static void request_with_key(void *cookie)
{
    struct mu_agent_job *job = cookie;

    if (request_make(job, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

enum mu_code mu_agent_job_request(struct mu_agent_job *job, struct mu_err *err)
{
    enum mu_code rc;

    if (job->key != NULL)
        return mu_agent_job_later(job, request_with_key, err);
    rc = mu_agent_key_spec(&job->settings, job->agent->allow_legacy, &job->spec, err);
    if (rc != MU_OK)
        return rc;
    job->busy = true;
    rc = mu_loop_work(job->agent->loop, key_work, key_done, job);
    if (rc == MU_OK)
        return MU_OK;
    job->busy = false;
    return mu_err_set(err, rc, MU_REASON_NONE, "no thread to make a key on");
}

/* ---- a request that is out already ---- */

static void resume(void *cookie)
{
    struct mu_agent_job *job = cookie;

    if (client_start(job, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

enum mu_code mu_agent_job_resume(struct mu_agent_job *job, struct mu_err *err)
{
    enum mu_code rc;

    rc = mu_keystore_get(
        job->agent->store, MU_KEYSTORE_STATE, job->name, "key", &job->key_text, err);
    if (rc == MU_NOT_FOUND) {
        mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "the key of the pending request of %s is gone",
            job->name);
        mu_err_next(err, "muster enroll %s --new", job->name);
        return MU_STORAGE;
    }
    if (rc == MU_OK)
        rc = mu_keystore_key_parse(
            mu_buf_bytes(&job->key_text), &job->key_password, &job->key, err);
    if (rc != MU_OK)
        return rc;
    job->resumed = true;
    return mu_agent_job_later(job, resume, err);
}
