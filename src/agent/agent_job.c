/*
 * The run of one job: key and request. What it needs is loaded before; the client is in
 * agent_client.c, how it ends in agent_end.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/limits.h"
#include "base/text.h"

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
    mu_agent_trace_init(&job->trace, agent, name);
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

void mu_agent_job_free(struct mu_agent_job *job)
{
    if (job == NULL)
        return;
    mu_client_free(job->attrs);
    mu_client_free(job->client);
    mu_buf_clear(&job->csr_attrs);
    mu_buf_clear(&job->paths);
    mu_transport_close(job->session);
    mu_agent_trace_clear(&job->trace); /* behind the last who may have something to say */
    mu_loop_timer_free(job->agent->loop, job->timer);
    mu_agent_identity_free(job->identity);
    mu_agent_identity_free(job->signer);
    mu_pki_certs_clear(&job->server_certs);
    mu_agent_settings_clear(&job->settings);
    mu_agent_secrets_clear(&job->secret);
    mu_keystore_entry_clear(&job->entry);
    mu_pki_key_free(job->signer_key);
    mu_pki_key_free(job->key);
    mu_buf_clear(&job->key_text);
    mu_agent_pending_clear(&job->pending);
    mu_agent_template_clear(&job->tmpl);
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

    mu_agent_life_nothing(job);
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

/* ---- keys ---- */

enum mu_code mu_agent_job_key_store(struct mu_agent_job *job, struct mu_err *err)
{
    enum mu_code rc;

    if (job->key_text.n == 0) {
        rc = mu_keystore_key_text(
            job->key, job->settings.key_file, &job->secret.key_password, &job->key_text, err);
        if (rc != MU_OK)
            return rc;
    }
    /* Its name is durable with the request, which is stored behind it and before it is sent. */
    return mu_keystore_put_unsynced(job->agent->store, MU_KEYSTORE_STATE, job->name, "key",
        mu_buf_bytes(&job->key_text), err);
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
    if (job->canceled)
        mu_agent_job_free(job);
    else
        job->on_key(job, job->key == NULL ? &job->work_err : NULL);
}

enum mu_code mu_agent_job_make_key(
    struct mu_agent_job *job, mu_agent_key_call *call, struct mu_err *err)
{
    enum mu_code rc;

    job->busy = true;
    job->on_key = call;
    rc = mu_loop_work(job->agent->loop, key_work, key_done, job);
    if (rc == MU_OK)
        return MU_OK;
    job->busy = false;
    return mu_err_set(err, rc, MU_REASON_NONE, "no thread to make a key on");
}

/* ---- a new request ---- */

/* Whoever makes the request: a key that is known already is stored before anybody hears of it. */
static enum mu_code request_make(struct mu_agent_job *job, struct mu_err *err)
{
    bool renews = job->pending.operation == MU_AGENT_RENEW;
    enum mu_code rc;

    if (job->key != NULL && (rc = mu_agent_job_key_store(job, err)) != MU_OK)
        return rc;
    mu_buf_clear(&job->pending.csr);
    if (!mu_agent_engine_makes_csr(&job->settings)) {
        rc = mu_agent_make_csr(&job->settings, renews ? job->entry.cert : NULL, &job->tmpl,
            mu_agent_settings_is_cmp(&job->settings) ? NULL : &job->secret.challenge, job->key,
            &job->pending.csr, err);
        if (rc != MU_OK)
            return rc;
    }
    job->pending.since_s = mu_env_now(job->agent->env);
    if (job->has_entry)
        snprintf(job->pending.replaces, sizeof(job->pending.replaces), "%s", job->entry.stem);
    return mu_agent_job_client(job, err);
}

static void request_with_new_key(struct mu_agent_job *job, const struct mu_err *err)
{
    if (err != NULL)
        mu_agent_job_end(job, err);
    else if (request_make(job, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

static void request_with_key(void *cookie)
{
    request_with_new_key(cookie, NULL);
}

enum mu_code mu_agent_job_request(struct mu_agent_job *job, struct mu_err *err)
{
    return mu_agent_template_wanted(job) ? mu_agent_job_later(job, mu_agent_template_ask, err)
                                         : mu_agent_job_request_now(job, err);
}

enum mu_code mu_agent_job_request_now(struct mu_agent_job *job, struct mu_err *err)
{
    enum mu_code rc;

    /* An engine that makes the request asks for its key when it knows what the CA wishes. */
    if (job->key != NULL || mu_agent_engine_makes_csr(&job->settings))
        return mu_agent_job_later(job, request_with_key, err);
    rc = job->spec.type != MU_PKI_KEY_OTHER /* the template's */
        ? MU_OK
        : mu_agent_key_spec(&job->settings, job->agent->allow_legacy, &job->spec, err);
    return rc == MU_OK ? mu_agent_job_make_key(job, request_with_new_key, err) : rc;
}

/* ---- a request that is out already ---- */

static void resume(void *cookie)
{
    struct mu_agent_job *job = cookie;

    if (mu_agent_job_client(job, &job->err) != MU_OK)
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
            mu_buf_bytes(&job->key_text), &job->secret.key_password, &job->key, err);
    if (rc != MU_OK)
        return rc;
    job->resumed = true;
    return mu_agent_job_later(job, resume, err);
}
