/*
 * A certificate of the next CA (RFC 8894 4.7, figure 9; SCEP-78): the present CA vouches for its
 * successor, the request is enveloped to that, and what is issued waits beside the present
 * certificate until that expires, or somebody wants it sooner. Over EST and CMP no request can be
 * addressed to it: the successor that the present CA vouches for (cacerts; rootCaKeyUpdate) is known
 * from then on, so that what it will sign one day is believed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_deploy.h"
#include "agent/agent_internal.h"
#include "base/text.h"
#include "base/time.h"
#include "pki/pki_name.h"

/* ---- keeping the next CA ---- */

/* "<present>-next", with a number if another CA has that name. */
static enum mu_code keep_as(struct mu_agent_job *job, const char *base, struct mu_pki_cert *ca,
    char used[MU_KEYSTORE_NAME], struct mu_err *err)
{
    char name[MU_KEYSTORE_NAME + 16];
    enum mu_code rc = MU_AUTH;

    for (unsigned i = 1; rc == MU_AUTH && i < 10; i++) {
        snprintf(name, sizeof(name), i == 1 ? "%.80s-next" : "%.80s-next-%u", base, i);
        rc = mu_keystore_ca_add(job->agent->store, name, ca, false, used, err);
    }
    return rc;
}

static enum mu_code trust_add(struct mu_agent_job *job, const char *name, struct mu_err *err)
{
    char both[512];

    if (job->settings.trust == NULL) /* all of the store is trusted */
        return MU_OK;
    snprintf(both, sizeof(both), "%s, %s", job->settings.trust, name);
    return mu_agent_settings_set(&job->settings, "trust", both, err);
}

/* Said by its fingerprint, kept, and trusted for this entry. */
static enum mu_code keep_one(
    struct mu_agent_job *job, const char *base, struct mu_pki_cert *ca, bool issues,
    struct mu_err *err)
{
    char *subject = NULL, *sha256 = NULL, used[MU_KEYSTORE_NAME];
    bool is_new = !mu_keystore_ca_name(job->agent->store, ca, used);
    enum mu_code rc = keep_as(job, base, ca, used, err);

    if (rc == MU_OK)
        rc = trust_add(job, used, err);
    if (rc == MU_OK)
        rc = mu_agent_name_text(ca->subject, false, &subject, err);
    if (rc == MU_OK)
        rc = mu_agent_fingerprint(ca, &sha256, err);
    if (rc == MU_OK) {
        mu_agent_job_step(job, MU_AGENT_STEP_CA, "next: %s, SHA-256 %s, trusted as %s: the present CA vouches for it",
            subject, sha256, used);
        if (is_new)
            mu_agent_job_event_ca(job, used);
        if (issues)
            snprintf(job->pending.next_ca, sizeof(job->pending.next_ca), "%s", used);
    }
    free(subject);
    free(sha256);
    return rc;
}

static enum mu_code keep_all(
    struct mu_agent_job *job, const struct mu_client_result *answer, struct mu_err *err)
{
    char base[MU_KEYSTORE_NAME];
    enum mu_code rc = MU_OK;

    if (answer->ca == NULL)
        return mu_err_set(err, MU_INPUT, MU_M(322), "the successor is no CA's certificate");
    snprintf(base, sizeof(base), "%s", job->trusted.name);
    if (base[0] == '\0')
        mu_agent_trust_name(answer->ca, base);
    for (size_t i = 0; rc == MU_OK && i < answer->ca_certs->n; i++) {
        struct mu_pki_cert *cert = answer->ca_certs->v[i];

        if (mu_pki_cert_is_ca(cert) || cert == answer->ca)
            rc = keep_one(job, base[0] != '\0' ? base : "CA", cert, cert == answer->ca, err);
    }
    if (rc == MU_OK)
        rc = mu_agent_settings_store(job->agent->store, job->name, &job->settings, err);
    return rc;
}

/* ---- over EST and CMP: it is learned, nothing more ---- */

/* What of the answer is new here and vouched for. */
static enum mu_code learn_successors(
    struct mu_agent_job *job, const struct mu_pki_certs *certs, unsigned *n, struct mu_err *err)
{
    char base[MU_KEYSTORE_NAME], used[MU_KEYSTORE_NAME];
    enum mu_code rc = MU_OK;

    snprintf(base, sizeof(base), "%s", job->trusted.name);
    for (size_t i = 0; rc == MU_OK && i < certs->n; i++) {
        struct mu_pki_cert *cert = certs->v[i];

        if (mu_keystore_ca_name(job->agent->store, cert, used)
            || !mu_agent_job_may_learn(job, certs, cert) || !mu_pki_cert_is_self_signed(cert))
            continue;
        if (base[0] == '\0')
            mu_agent_trust_name(cert, base);
        rc = keep_one(job, base[0] != '\0' ? base : "CA", cert, false, err);
        if (rc == MU_OK && mu_keystore_ca_name(job->agent->store, cert, used))
            mu_agent_job_event_ca(job, used);
        (*n)++;
    }
    if (rc == MU_OK && *n > 0)
        rc = mu_agent_settings_store(job->agent->store, job->name, &job->settings, err);
    return rc;
}

/* err: why there is none. What only the network did not give is no answer. */
static enum mu_code take_successors(struct mu_agent_job *job, const struct mu_client_result *answer,
    const struct mu_err *failed, struct mu_err *err)
{
    unsigned n = 0;
    enum mu_code rc = MU_OK;

    if (failed != NULL && failed->code != MU_NOT_FOUND && failed->code != MU_UNSUPPORTED
        && failed->code != MU_DENIED) {
        *err = *failed;
        return failed->code;
    }
    if (failed == NULL && answer->ca_certs != NULL)
        rc = learn_successors(job, answer->ca_certs, &n, err);
    if (rc == MU_OK && n == 0)
        mu_agent_job_step(job, MU_AGENT_STEP_CA, "no successor is announced%s%s", failed != NULL ? ": " : "",
            failed != NULL ? failed->what : "");
    return rc;
}

/* CMP asks about one root: that which the present certificate leads to (CMP-93). */
static void ask_about_root(struct mu_agent_job *job, struct mu_pki_certs *root)
{
    const struct mu_pki_path_opts opts = {
        .now_s = mu_env_now(job->agent->env), .partial = true, .any_time = true, .allow_legacy = true};

    for (size_t i = 0; i < job->trusted.certs.n && root->n == 0; i++) {
        struct mu_pki_certs one = {.v = &job->trusted.certs.v[i], .n = 1};

        if (mu_pki_cert_is_self_signed(one.v[0])
            && mu_pki_path_check(job->entry.cert, &job->entry.chain, &one, &opts, NULL) == MU_OK
            && mu_pki_certs_add(root, one.v[0], NULL) != MU_OK)
            return;
    }
}

/* ---- asking for it ---- */

/* Not within the client's own call: it is done with. */
static void request(void *cookie)
{
    struct mu_agent_job *job = cookie;

    mu_client_free(job->client);
    job->client = NULL;
    mu_agent_trusted_clear(&job->trusted);
    if (job->only_learns) {
        if (mu_agent_job_nothing(job, &job->err) != MU_OK)
            mu_agent_job_end(job, &job->err);
    } else if (mu_agent_job_request(job, &job->err) != MU_OK) {
        mu_agent_job_end(job, &job->err);
    }
}

static bool asks_scep(const struct mu_agent_job *job)
{
    return !mu_agent_settings_is_est(&job->settings) && !mu_agent_settings_is_cmp(&job->settings);
}

static void on_next_ca(void *ctx, struct mu_client *client, const struct mu_err *err)
{
    struct mu_agent_job *job = ctx;
    struct mu_client_result answer;
    enum mu_code rc;

    mu_client_result(client, &answer);
    if (asks_scep(job) && err != NULL) {
        mu_agent_job_end(job, err);
        return;
    }
    rc = asks_scep(job) ? keep_all(job, &answer, &job->err) : take_successors(job, &answer, err, &job->err);
    if (rc != MU_OK || mu_agent_job_later(job, request, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

static enum mu_code ask(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_client_config config = {
        .op = mu_agent_settings_is_est(&job->settings) ? MU_CLIENT_CA : MU_CLIENT_NEXT_CA};
    struct mu_pki_certs root = {0};
    enum mu_code rc;

    if ((rc = mu_agent_trusted_load(job->agent, &job->settings, &job->trusted, err)) != MU_OK)
        return rc;
    if ((rc = mu_agent_job_identity(job, false, err)) != MU_OK)
        return rc;
    mu_agent_client_config(job->agent, &job->settings, &job->trusted, &config);
    config.env = &job->trace.env;
    config.host = (struct mu_client_host){.ctx = job, .on_done = on_next_ca};
    config.entry = job->name;
    config.identity = job->identity;
    if (mu_agent_settings_is_cmp(&job->settings)) {
        config.signer_cert = job->entry.cert;
        config.signer_key = job->signer_key;
    }
    if ((rc = mu_agent_cmp_config(job, &config, err)) != MU_OK)
        return rc;
    if (mu_agent_settings_is_cmp(&job->settings))
        ask_about_root(job, &root);
    if (root.n != 0)
        config.trusted = &root;
    rc = mu_client_new(&config, &job->client, err);
    mu_pki_certs_clear(&root);
    return rc == MU_OK ? mu_client_start(job->client, err) : rc;
}

static void on_ask(void *cookie)
{
    struct mu_agent_job *job = cookie;

    if (ask(job, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

enum mu_code mu_agent_job_next_ca(struct mu_agent_job *job, struct mu_err *err)
{
    return mu_agent_job_later(job, on_ask, err);
}

/* ---- what waits ---- */

bool mu_agent_next_is_due(
    struct mu_agent *agent, const char *name, const struct mu_keystore_entry *current)
{
    char stem[MU_KEYSTORE_STEM];

    return mu_env_now(agent->env) > current->cert->not_after_s
        && mu_keystore_next(agent->store, name, stem)
        && !mu_agent_cmp_unconfirmed(agent->store, name) && !mu_agent_deploy_held(agent, name, NULL);
}

static enum mu_code activate_locked(struct mu_agent *agent, const char *name, bool due,
    struct mu_keystore_saved *saved, struct mu_err *err)
{
    struct mu_keystore_entry entry = {0};
    enum mu_code rc = due ? mu_keystore_load(agent->store, name, &entry, err) : MU_OK;

    if (rc == MU_OK && due && !mu_agent_next_is_due(agent, name, &entry))
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "%s is not out of time", name);
    mu_keystore_entry_clear(&entry);
    return rc == MU_OK ? mu_keystore_activate(agent->store, name, saved, err) : rc;
}

enum mu_code mu_agent_activate(struct mu_agent *agent, const char *name, bool due,
    struct mu_keystore_saved *saved, struct mu_err *err)
{
    struct mu_keystore_lock *lock = NULL;
    enum mu_code rc = mu_keystore_lock(agent->store, name, &lock, err);

    if (rc == MU_OK)
        rc = activate_locked(agent, name, due, saved, err);
    if (rc == MU_OK)
        mu_agent_event_loaded(agent, name, "renew", saved->stem);
    mu_keystore_unlock(lock);
    return rc;
}

void mu_agent_job_tell_waits(struct mu_agent_job *job)
{
    struct mu_keystore_entry entry = {0};
    char until[MU_TIME_TEXT], from[MU_TIME_TEXT], *subject = NULL;

    if (mu_keystore_load_serial(job->agent->store, job->name, job->saved.stem, &entry, NULL)
            == MU_OK
        && mu_agent_name_text(entry.cert->subject, true, &subject, NULL) == MU_OK) {
        mu_agent_job_step(job, MU_AGENT_STEP_STATUS, "SUCCESS");
        mu_agent_job_step(job, MU_AGENT_STEP_ISSUED, "%s, serial %s, by the next CA, until %s",
            subject, job->saved.stem, mu_time_plain(entry.cert->not_after_s, until));
        mu_agent_job_step(job, MU_AGENT_STEP_SAVED,
            "%s: %s.crt, %s.key (0600), which take over at %s, or with: muster install %s "
            "--activate",
            job->name, job->saved.stem, job->saved.stem,
            mu_time_plain(job->entry.cert->not_after_s, from), job->name);
    }
    free(subject);
    mu_keystore_entry_clear(&entry);
}
