/* What people ask for: enroll, renew, poll, cancel. Each decides what there is to do and starts
 * the job. */
#include "agent/agent.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_entry.h"
#include "agent/agent_deploy.h"
#include "agent/agent_internal.h"
#include "agent/agent_life.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/time.h"

/* ---- loading ---- */

static enum mu_code entry_load(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_keystore_saved saved;
    enum mu_code rc = mu_keystore_load(job->agent->store, job->name, &job->entry, err);

    if (rc == MU_OK && mu_agent_next_is_due(job->agent, job->name, &job->entry)) {
        mu_keystore_entry_clear(&job->entry);
        if ((rc = mu_keystore_activate(job->agent->store, job->name, &saved, err)) != MU_OK)
            return rc;
        mu_agent_job_step(job, MU_AGENT_STEP_SAVED,
            "%s: the certificate that waited, %s, is the present one now", job->name, saved.stem);
        rc = mu_keystore_load(job->agent->store, job->name, &job->entry, err);
    }
    job->has_entry = rc == MU_OK;
    return rc == MU_NOT_FOUND ? MU_OK : rc;
}

/* The key of the current pair, and its file's text. */
static enum mu_code entry_key(
    struct mu_agent_job *job, struct mu_pki_key **key, struct mu_buf *text, struct mu_err *err)
{
    struct mu_buf own = {.max = MU_LIMIT_FILE, .secret = true};
    enum mu_code rc;

    rc = mu_keystore_file_read(job->entry.key_file, MU_KEYSTORE_PUBLIC, &own, err);
    if (rc == MU_OK)
        rc = mu_keystore_key_parse(mu_buf_bytes(&own), &job->secret.key_password, key, err);
    if (rc == MU_OK && text != NULL) {
        mu_buf_reset(text);
        mu_buf_put_bytes(text, mu_buf_bytes(&own));
        rc = mu_buf_check(text, "a key", err);
    }
    mu_buf_clear(&own);
    return rc;
}

static enum mu_code pending_load(struct mu_agent_job *job, bool *found, struct mu_err *err)
{
    enum mu_code rc = mu_agent_pending_load(job->agent->store, job->name, &job->pending, err);

    *found = rc == MU_OK;
    return rc == MU_NOT_FOUND ? MU_OK : rc;
}

static enum mu_code settings_load(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_agent_config_entry entry = {0};
    enum mu_code rc;

    mu_agent_settings_clear(&job->settings);
    if (job->route == 0)
        rc = mu_agent_entry_settings(job->agent, job->name, &job->settings, err);
    else if ((rc = mu_agent_entry_load(job->agent, job->name, job->route, &entry, err)) == MU_OK)
        job->settings = entry.settings;
    return rc == MU_NOT_FOUND ? MU_OK : rc;
}

/* A kill after the switch and before the request was forgotten: what is current is its answer. */
static bool is_saved_already(struct mu_agent_job *job)
{
    bool switched = job->has_entry && strcmp(job->entry.stem, job->pending.replaces) != 0;
    struct mu_keystore_entry waits = {0};
    struct mu_pki_csr *csr = NULL;
    char stem[MU_KEYSTORE_STEM];
    bool same = false;

    /* Or it waits to be deployed. One of CMP is only marked so when it is confirmed. */
    if (mu_agent_hold_load(job->agent, job->name, &waits)) {
        same = job->settings.server_key > 0
            || (mu_pki_csr_decode(mu_buf_bytes(&job->pending.csr), &csr, NULL) == MU_OK
                && mu_bytes_equal(csr->spki, waits.cert->spki));
        mu_keystore_entry_clear(&waits);
        if (same) {
            mu_pki_csr_free(csr);
            return true;
        }
        mu_pki_csr_free(csr);
        csr = NULL;
    }
    /* The server's key is not the request's: nobody else switches while a request is out. */
    if (job->settings.server_key > 0)
        return switched;
    if (job->pending.next_ca[0] != '\0') {
        if (mu_keystore_next(job->agent->store, job->name, stem)
            && mu_keystore_load_serial(job->agent->store, job->name, stem, &waits, NULL) == MU_OK
            && mu_pki_csr_decode(mu_buf_bytes(&job->pending.csr), &csr, NULL) == MU_OK)
            same = mu_bytes_equal(csr->spki, waits.cert->spki);
        mu_keystore_entry_clear(&waits);
    }
    if (!same && csr == NULL && switched
        && mu_pki_csr_decode(mu_buf_bytes(&job->pending.csr), &csr, NULL) == MU_OK)
        same = mu_bytes_equal(csr->spki, job->entry.cert->spki);
    mu_pki_csr_free(csr);
    return same;
}

/* ---- nothing to do ---- */

static enum mu_code nothing(struct mu_agent_job *job, const char *why, struct mu_err *err)
{
    snprintf(job->why, sizeof(job->why), "%s", why);
    return mu_agent_job_nothing(job, err);
}

static bool is_due(const struct mu_agent_job *job, int64_t *from)
{
    const struct mu_pki_cert *cert = job->entry.cert;
    int days, percent;

    mu_agent_settings_renew(&job->settings, &days, &percent);
    return mu_agent_is_due(
        cert->not_before_s, cert->not_after_s, days, percent, mu_env_now(job->agent->env), from);
}

static enum mu_code not_due(struct mu_agent_job *job, struct mu_err *err)
{
    const struct mu_pki_cert *cert = job->entry.cert;
    char until[MU_TIME_TEXT], from[MU_TIME_TEXT], why[200];
    int64_t from_s = 0;

    is_due(job, &from_s);
    if (from_s == 0)
        snprintf(why, sizeof(why), "valid until %s; renewal is off (renew-days = 0)",
            mu_time_plain(cert->not_after_s, until));
    else
        snprintf(why, sizeof(why), "valid until %s, renews from %s",
            mu_time_plain(cert->not_after_s, until), mu_time_plain(from_s, from));
    return nothing(job, why, err);
}

/* The certificate of the next CA is here already. */
static enum mu_code next_waits(struct mu_agent_job *job, const char *stem, struct mu_err *err)
{
    char until[MU_TIME_TEXT], why[200];

    snprintf(why, sizeof(why), "%s waits, and takes over at %s", stem,
        mu_time_plain(job->entry.cert->not_after_s, until));
    return nothing(job, why, err);
}

/* What was issued is not deployed yet. False: nothing of that kind. */
static bool is_held(struct mu_agent_job *job, char why[320])
{
    char stem[MU_KEYSTORE_STEM];

    if (!mu_agent_deploy_held(job->agent, job->name, stem))
        return false;
    snprintf(why, 320, "%s is issued and waits to be brought into use: muster deploy %s", stem, job->name);
    return true;
}

/* The request that is out is done already, or goes on. */
static enum mu_code go_on(struct mu_agent_job *job, struct mu_err *err)
{
    char why[320];
    enum mu_code rc;

    if (is_saved_already(job)) {
        if ((rc = mu_agent_job_forget(job, err)) != MU_OK)
            return rc;
        return is_held(job, why) ? nothing(job, why, err) : not_due(job, err);
    }
    if (job->pending.operation == MU_AGENT_BY_FILE) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s waits for the answer to a request by file", job->name);
        mu_err_next(err, "muster install %s FILE, or muster cancel %s", job->name, job->name);
        return MU_INPUT;
    }
    if (job->pending.operation == MU_AGENT_RENEW) {
        if (!job->has_entry)
            return mu_err_set(err, MU_STORAGE, MU_REASON_NONE,
                "%s has a renewal pending, but no certificate", job->name);
        if ((rc = entry_key(job, &job->signer_key, NULL, err)) != MU_OK)
            return rc;
    }
    if (job->pending.route != job->route) { /* on the way that it went */
        job->route = job->pending.route;
        if ((rc = settings_load(job, err)) != MU_OK)
            return rc;
    }
    mu_agent_trace_resume(&job->trace, job->pending.trace);
    mu_agent_life_resume(job);
    return mu_agent_job_resume(job, err);
}

/* ---- enroll ---- */

static enum mu_code secrets_take(
    struct mu_agent_job *job, const struct mu_agent_secrets *given, struct mu_err *err)
{
    return mu_agent_secrets_take(job->agent, job->name, given, &job->secret, err);
}

/* What is asked now, beside what the entry was asked with. */
struct alike {
    bool request, content;
};

static enum mu_code settings_take(struct mu_agent_job *job, const struct mu_agent_settings *given,
    struct alike *same, struct mu_err *err)
{
    struct mu_agent_settings before = {0};
    enum mu_code rc;

    *same = (struct alike){true, true};
    if ((rc = settings_load(job, err)) != MU_OK)
        return rc;
    if (given == NULL) /* what the configuration leaves to be filled in */
        return mu_agent_config_has_entry(job->agent->config, job->name)
            ? mu_agent_entry_subject(job->agent, job->name, &job->settings, err)
            : MU_OK;
    if ((rc = mu_agent_settings_copy(&job->settings, &before, err)) != MU_OK)
        return rc;
    if ((rc = mu_agent_settings_merge(&job->settings, given, err)) == MU_OK) {
        same->request = mu_agent_settings_same_request(&before, &job->settings);
        same->content = mu_agent_settings_same_content(&before, &job->settings);
    }
    mu_agent_settings_clear(&before);
    return rc;
}

static enum mu_code other_settings(const char *name, const char *what, const char *next,
    struct mu_err *err)
{
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s has %s with other settings", name, what);
    mu_err_next(err, "%s", next);
    return MU_INPUT;
}

/* A key of the user's own, or none: then one is made. */
static enum mu_code key_given(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_pki_key_spec spec;

    if (job->settings.key_file == NULL) /* said now, not on the way */
        return mu_agent_key_spec(&job->settings, job->agent->allow_legacy, &spec, err);
    return mu_keystore_key_read(job->settings.key_file, &job->secret.key_password, &job->key, err);
}

/* What is needed later without options: settings, and the secrets (a challenge until it is used). The
 * request is stored beside them before it is sent, which makes the names of all durable. */
static enum mu_code settings_keep(
    struct mu_agent_job *job, const struct mu_agent_secrets *given, struct mu_err *err)
{
    enum mu_code rc
        = mu_agent_settings_store_unsynced(job->agent->store, job->name, &job->settings, err);

    return rc == MU_OK ? mu_agent_secrets_keep(job->agent, job->name, given, err) : rc;
}

static struct mu_agent_secrets secrets_of(const struct mu_agent_enroll *request)
{
    return (struct mu_agent_secrets){
        request->challenge, request->key_password, request->password, request->srp_password,
        request->secret, request->shared_key};
}

static enum mu_code enroll_new(
    struct mu_agent_job *job, const struct mu_agent_enroll *request, struct mu_err *err)
{
    const struct mu_agent_secrets secrets = secrets_of(request);
    enum mu_code rc;

    if ((rc = mu_agent_settings_complete(&job->settings, true, err)) != MU_OK)
        return rc;
    if ((rc = key_given(job, err)) != MU_OK)
        return rc;
    if ((rc = settings_keep(job, &secrets, err)) != MU_OK)
        return rc;
    job->pending.operation = MU_AGENT_ENROLL;
    job->pending.route = (unsigned)job->route;
    return mu_agent_job_request(job, err);
}

/* Settings that can stand alone: what an earlier try was given does not shine through. */
static bool is_whole(const struct mu_agent_settings *given)
{
    return given != NULL && given->protocol != NULL && given->url != NULL
        && (given->subject != NULL || given->san != NULL);
}

static enum mu_code enroll_decide(
    struct mu_agent_job *job, const struct mu_agent_enroll *request, struct mu_err *err)
{
    const struct mu_agent_secrets secrets = secrets_of(request);
    struct alike same;
    bool is_pending = false;
    char next[320];
    enum mu_code rc;

    if ((rc = settings_take(job, request->settings, &same, err)) != MU_OK)
        return rc;
    if ((rc = secrets_take(job, &secrets, err)) != MU_OK)
        return rc;
    if ((rc = entry_load(job, err)) != MU_OK)
        return rc;
    if (request->drop_pending
        && (rc = mu_agent_pending_remove(job->agent->store, job->name, err)) != MU_OK)
        return rc;
    if ((rc = pending_load(job, &is_pending, err)) != MU_OK)
        return rc;
    if (is_pending && !same.content && !is_saved_already(job)) {
        snprintf(next, sizeof(next),
            "muster poll %s, muster cancel %s, or enroll again with --new", job->name, job->name);
        return other_settings(job->name, "a pending request", next, err);
    }
    if (is_pending && !(is_saved_already(job) && request->replace)) {
        job->keep_settings = request->settings != NULL;
        return go_on(job, err);
    }
    if (is_whole(request->settings) && (!job->has_entry || request->replace)) {
        mu_agent_settings_clear(&job->settings);
        if ((rc = mu_agent_settings_copy(request->settings, &job->settings, err)) != MU_OK)
            return rc;
    }
    if (job->has_entry && !request->replace
        && mu_env_now(job->agent->env) <= job->entry.cert->not_after_s) {
        snprintf(next, sizeof(next), "enroll again with --replace for a new key and certificate");
        return same.request ? not_due(job, err) : other_settings(job->name, "a certificate", next, err);
    }
    if (!job->has_entry && !request->replace && is_held(job, next))
        return nothing(job, next, err);
    mu_agent_pending_clear(&job->pending);
    return enroll_new(job, request, err);
}

enum mu_code mu_agent_enroll(struct mu_agent *agent, const struct mu_agent_enroll *request,
    const struct mu_agent_host *host, struct mu_agent_job **out, struct mu_err *err)
{
    struct mu_agent_job *job = NULL;
    enum mu_code rc = mu_agent_job_new(agent, request->name, host, &job, err);

    if (rc != MU_OK)
        return rc;
    job->no_wait = request->no_wait;
    job->route = request->route;
    job->same_try = request->same_try;
    if ((rc = enroll_decide(job, request, err)) != MU_OK) {
        mu_agent_job_free(job);
        return rc;
    }
    if (out != NULL)
        *out = job;
    return MU_OK;
}

/* ---- renew ---- */

/* SCEP takes a new key unless told otherwise, EST keeps it; a key that somebody else made stays. */
static enum mu_code renew_key(
    struct mu_agent_job *job, const struct mu_agent_renew *request, struct mu_err *err)
{
    bool reuse = job->settings.reuse_key > 0 || request->regenerate || request->reuse_key
        || (job->settings.reuse_key == 0 && mu_agent_settings_is_est(&job->settings))
        || job->settings.key_file != NULL || mu_pki_key_is_token(job->signer_key);
    struct mu_pki_key_spec spec;
    char word[32];

    if (reuse && !request->rekey)
        return entry_key(job, &job->key, &job->key_text, err);
    if (job->settings.key != NULL)
        return MU_OK;
    /* As the present one. */
    mu_pki_key_spec_of(job->signer_key, &spec);
    if (spec.type == MU_PKI_KEY_RSA)
        snprintf(word, sizeof(word), "rsa:%u", spec.bits);
    else if (spec.type == MU_PKI_KEY_EC)
        snprintf(word, sizeof(word), "ec:P-%u", spec.bits);
    else
        return MU_OK;
    return mu_agent_settings_set(&job->settings, "key", word, err);
}

static enum mu_code renew_start(
    struct mu_agent_job *job, const struct mu_agent_renew *request, struct mu_err *err)
{
    int64_t now = mu_env_now(job->agent->env);
    enum mu_code rc;

    if ((rc = mu_agent_settings_complete(&job->settings, true, err)) != MU_OK)
        return rc;
    if ((rc = entry_key(job, &job->signer_key, NULL, err)) != MU_OK)
        return rc;
    if ((rc = renew_key(job, request, err)) != MU_OK)
        return rc;
    if (now > job->entry.cert->not_after_s)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING, "M601: expired %lld d ago, trying to renew all the same",
            (long long)((now - job->entry.cert->not_after_s) / 86400));
    mu_agent_pending_clear(&job->pending);
    job->pending.operation = MU_AGENT_RENEW;
    job->pending.route = (unsigned)job->route;
    job->regenerates = request->regenerate;
    return job->next_ca ? mu_agent_job_next_ca(job, err) : mu_agent_job_request(job, err);
}

static enum mu_code renew_decide(
    struct mu_agent_job *job, const struct mu_agent_renew *request, struct mu_err *err)
{
    const struct mu_agent_secrets secrets = {
        request->challenge, request->key_password, request->password, request->srp_password,
        request->secret, request->shared_key};
    char why[320], stem[MU_KEYSTORE_STEM];
    bool is_pending = false, due;
    enum mu_code rc;

    if ((rc = settings_load(job, err)) != MU_OK)
        return rc;
    if ((rc = secrets_take(job, &secrets, err)) != MU_OK)
        return rc;
    if ((rc = entry_load(job, err)) != MU_OK)
        return rc;
    if (request->drop_pending
        && (rc = mu_agent_pending_remove(job->agent->store, job->name, err)) != MU_OK)
        return rc;
    if ((rc = pending_load(job, &is_pending, err)) != MU_OK)
        return rc;
    if (is_pending && request->dry_run)
        return nothing(job, "a request is pending; it would be asked about", err);
    if (is_pending && !is_saved_already(job))
        return go_on(job, err);
    if (is_pending && (rc = mu_agent_job_forget(job, err)) != MU_OK)
        return rc;
    if (!request->force && !request->regenerate && is_held(job, why))
        return nothing(job, why, err);
    if (!job->has_entry) {
        mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "%s has no certificate to renew", job->name);
        mu_err_next(err, "muster enroll %s", job->name);
        return MU_NOT_FOUND;
    }
    job->next_ca = request->next_ca;
    if (mu_keystore_next(job->agent->store, job->name, stem) && !request->force
        && !request->regenerate)
        return next_waits(job, stem, err);
    due = is_due(job, NULL);
    if (!due && !request->force && !request->regenerate && !request->next_ca)
        return not_due(job, err);
    job->only_learns = request->next_ca && !due && !request->force && !request->regenerate
        && (mu_agent_settings_is_est(&job->settings) || mu_agent_settings_is_cmp(&job->settings));
    if (job->only_learns)
        snprintf(job->why, sizeof(job->why), "it is not due; it is renewed by whoever is the CA then");
    if (request->dry_run)
        return nothing(job, due ? "it is due and would be renewed" : "it would be renewed", err);
    return renew_start(job, request, err);
}

enum mu_code mu_agent_renew(struct mu_agent *agent, const struct mu_agent_renew *request,
    const struct mu_agent_host *host, struct mu_agent_job **out, struct mu_err *err)
{
    struct mu_agent_job *job = NULL;
    enum mu_code rc = mu_agent_job_new(agent, request->name, host, &job, err);

    if (rc != MU_OK)
        return rc;
    job->no_wait = request->no_wait;
    job->route = request->route;
    job->same_try = request->same_try;
    if ((rc = renew_decide(job, request, err)) != MU_OK) {
        mu_agent_job_free(job);
        return rc;
    }
    if (out != NULL)
        *out = job;
    return MU_OK;
}

/* ---- poll and cancel ---- */

static enum mu_code poll_decide(
    struct mu_agent_job *job, const struct mu_secret *key_password, struct mu_err *err)
{
    const struct mu_agent_secrets secrets = {.key_password = key_password};
    bool is_pending = false;
    enum mu_code rc;

    if ((rc = settings_load(job, err)) != MU_OK)
        return rc;
    if ((rc = secrets_take(job, &secrets, err)) != MU_OK)
        return rc;
    if ((rc = entry_load(job, err)) != MU_OK)
        return rc;
    if ((rc = pending_load(job, &is_pending, err)) != MU_OK)
        return rc;
    if (is_pending)
        return go_on(job, err);
    if (job->has_entry || job->settings.url != NULL || job->settings.subject != NULL)
        return nothing(job, "no request is pending", err);
    return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", job->name);
}

enum mu_code mu_agent_poll(struct mu_agent *agent, const char *name, bool no_wait,
    const struct mu_secret *key_password, const struct mu_agent_host *host,
    struct mu_agent_job **out, struct mu_err *err)
{
    struct mu_agent_job *job = NULL;
    enum mu_code rc = mu_agent_job_new(agent, name, host, &job, err);

    if (rc != MU_OK)
        return rc;
    job->no_wait = no_wait;
    if ((rc = poll_decide(job, key_password, err)) != MU_OK) {
        mu_agent_job_free(job);
        return rc;
    }
    if (out != NULL)
        *out = job;
    return MU_OK;
}

enum mu_code mu_agent_cancel(struct mu_agent *agent, const char *name, struct mu_err *err)
{
    const struct mu_lifecycle_happened canceled = {.event = MU_LIFECYCLE_CANCELED};
    struct mu_keystore_lock *lock = NULL;
    enum mu_code rc = mu_keystore_lock(agent->store, name, &lock, err);

    if (rc != MU_OK)
        return rc;
    /* The request last: after a kill between, canceling again does the rest. */
    if (!mu_keystore_has(agent->store, MU_KEYSTORE_STATE, name, "pending"))
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "%s has no pending request", name);
    else if ((rc = mu_agent_forget_unissued(agent, name, err)) == MU_OK)
        rc = mu_agent_pending_remove(agent->store, name, err);
    if (rc == MU_OK && mu_keystore_has(agent->store, MU_KEYSTORE_STATE, name, "life"))
        rc = mu_agent_life_happened(agent, name, &canceled, err);
    mu_keystore_unlock(lock);
    return rc;
}
