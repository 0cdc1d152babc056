/* What happened to an entry, put into its lifecycle record: by a job, or behind our back. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "agent/agent_deploy.h"
#include "agent/agent_entry.h"
#include "agent/agent_internal.h"
#include "agent/agent_life.h"
#include "base/text.h"
#include "base/time.h"

/* ---- policy ---- */

bool mu_agent_life_needs_deploy(const struct mu_agent_config_entry *entry)
{
    return entry != NULL
        && (entry->deploy != NULL || entry->verify != NULL || entry->success_script != NULL);
}

static bool has_secret(struct mu_agent *agent, const char *name)
{
    static const char *const kinds[] = {"challenge", "password", "srp-password", "secret"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (mu_keystore_has(agent->store, MU_KEYSTORE_SECRETS, name, kinds[i]))
            return true;
    return false;
}

enum mu_code mu_agent_life_policy_of(struct mu_agent *agent, const char *name,
    const struct mu_agent_config_entry *entry, struct mu_lifecycle_policy *out, struct mu_err *err)
{
    struct mu_lifecycle_policy policy;
    if (entry != NULL) {
        policy = entry->policy;
        policy.has_password = entry->secrets.challenge != NULL || entry->secrets.password != NULL
            || entry->secrets.srp_password != NULL || entry->secrets.secret != NULL;
    } else {
        policy = (struct mu_lifecycle_policy){
            .renew_days = -1, .warn_days = {-1}, .warn_n = 1, .jitter_percent = 20};
    }
    policy.has_password = policy.has_password || has_secret(agent, name);
    *out = policy;
    return MU_OK;
}

/* By the configuration or, made by hand, by its settings; false if there is neither. */
static bool known(struct mu_agent *agent, const char *name, struct mu_agent_config_entry *out)
{
    return mu_agent_entry_peek(agent, name, out, NULL) == MU_OK;
}

enum mu_code mu_agent_life_policy(struct mu_agent *agent, const char *name,
    struct mu_lifecycle_policy *out, struct mu_err *err)
{
    struct mu_agent_config_entry entry = {0};
    bool found = known(agent, name, &entry);
    enum mu_code rc = mu_agent_life_policy_of(agent, name, found ? &entry : NULL, out, err);

    mu_agent_config_entry_clear(&entry);
    return rc;
}

/* ---- one event ---- */

/* How it went is told to a record in every case: one that cannot be, since somebody changed the files
 * meanwhile, is brought in line first. */
static enum mu_lifecycle_follow apply(struct mu_agent *agent, const char *name,
    struct mu_agent_life *life, const struct mu_lifecycle_happened *given)
{
    struct mu_agent_config_entry entry = {0};
    struct mu_lifecycle_happened what = *given;
    struct mu_lifecycle_policy policy;
    enum mu_lifecycle_follow follow;
    bool found = known(agent, name, &entry);

    if (mu_agent_life_policy_of(agent, name, found ? &entry : NULL, &policy, NULL) != MU_OK)
        policy = (struct mu_lifecycle_policy){.renew_days = -1, .jitter_percent = 20};
    if (what.event == MU_LIFECYCLE_SAVED || what.event == MU_LIFECYCLE_ADOPTED)
        what.needs_deploy = what.needs_deploy
            || (found
                && (agent->deploys ? mu_agent_deploy_has_plan(agent, &entry) : mu_agent_life_needs_deploy(&entry)));
    follow = mu_enroll_lifecycle_apply(&life->life, &what, &policy, mu_env_now(agent->env));
    mu_agent_config_entry_clear(&entry);
    return follow;
}

static void begin(struct mu_agent *agent, const char *name, struct mu_agent_life *life)
{
    struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_BEGIN};

    if (apply(agent, name, life, &what) == MU_LIFECYCLE_STORE) {
        what.event = MU_LIFECYCLE_STORED;
        (void)apply(agent, name, life, &what);
    }
}

/* ---- what the files say ---- */

static enum mu_lifecycle_state state_of(const struct mu_agent_life *life)
{
    return life->life.state == MU_LIFECYCLE_RETIRED ? life->life.before : life->life.state;
}

static bool is_out(const struct mu_agent_life *life)
{
    enum mu_lifecycle_state state = state_of(life);

    return state == MU_LIFECYCLE_KEYED || state == MU_LIFECYCLE_REQUESTED
        || state == MU_LIFECYCLE_RENEWING;
}

/* A request that is out; one by file is its user's own affair. */
static bool has_pending(struct mu_agent *agent, const char *name)
{
    struct mu_agent_pending pending = {0};
    bool online;

    if (!mu_keystore_has(agent->store, MU_KEYSTORE_STATE, name, "pending"))
        return false;
    online = mu_agent_pending_load(agent->store, name, &pending, NULL) != MU_OK
        || pending.operation != MU_AGENT_BY_FILE;
    mu_agent_pending_clear(&pending);
    return online;
}

static int64_t chain_end(const struct mu_pki_certs *chain)
{
    int64_t end_s = 0;

    for (size_t i = 0; i < chain->n; i++)
        if (end_s == 0 || chain->v[i]->not_after_s < end_s)
            end_s = chain->v[i]->not_after_s;
    return end_s;
}

/* The facts of the present certificate into the event, and whose they are into the record. */
static bool take_certificate(struct mu_agent *agent, const char *name, struct mu_agent_life *life,
    struct mu_lifecycle_happened *what)
{
    struct mu_keystore_entry entry = {0};
    struct mu_keystore_stamp stamp;

    if (!mu_keystore_stamp(agent->store, name, &stamp)
        || mu_keystore_load(agent->store, name, &entry, NULL) != MU_OK)
        return false;
    what->not_before_s = entry.cert->not_before_s;
    what->not_after_s = entry.cert->not_after_s;
    life->ca_not_after_s = chain_end(&entry.chain);
    life->cert = stamp;
    mu_keystore_entry_clear(&entry);
    return true;
}

/* The same of one that waits to be deployed: the record is ahead of the switch. False: none, or known. */
static bool take_held(struct mu_agent *agent, const char *name, struct mu_agent_life *life,
    struct mu_lifecycle_happened *what)
{
    struct mu_keystore_entry entry = {0};
    bool is_new;

    if (!mu_agent_hold_load(agent, name, &entry))
        return false;
    is_new = entry.cert->not_before_s != life->life.not_before_s
        || entry.cert->not_after_s != life->life.not_after_s;
    what->not_before_s = entry.cert->not_before_s;
    what->not_after_s = entry.cert->not_after_s;
    what->needs_deploy = true;
    mu_keystore_entry_clear(&entry);
    if (is_new)
        life->told = 0;
    return is_new;
}

static bool certificate_changed(
    struct mu_agent *agent, const char *name, struct mu_agent_life *life)
{
    char before[MU_KEYSTORE_STEM];
    struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_ADOPTED};

    snprintf(before, sizeof(before), "%s", life->cert.stem);
    if (!take_certificate(agent, name, life, &what))
        return false; /* cannot be read now: looked at again */
    if (strcmp(before, life->cert.stem) == 0 && what.not_before_s == life->life.not_before_s
        && what.not_after_s == life->life.not_after_s)
        return true; /* copied back, touched */
    /* A kill between the switch and its record: it is what was asked for. */
    if (is_out(life) && strcmp(before, life->cert.stem) != 0)
        what.event = MU_LIFECYCLE_SAVED;
    what.by_person = life->asked_by_person;
    life->told = 0;
    (void)apply(agent, name, life, &what);
    return true;
}

static void certificate_lost(struct mu_agent *agent, const char *name, struct mu_agent_life *life)
{
    const struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_LOST};

    life->cert = (struct mu_keystore_stamp){0};
    life->ca_not_after_s = 0;
    (void)apply(agent, name, life, &what);
}

static bool request_changed(struct mu_agent *agent, const char *name, struct mu_agent_life *life)
{
    const struct mu_lifecycle_happened canceled = {.event = MU_LIFECYCLE_CANCELED};
    bool pending = has_pending(agent, name);

    if (pending == is_out(life))
        return false;
    if (pending)
        begin(agent, name, life);
    else
        (void)apply(agent, name, life, &canceled);
    return true;
}

/* After damage nobody knows how often the CA was asked today: as often as is allowed. */
static bool repair(struct mu_agent_life *life, int64_t now_s)
{
    for (int i = 0; life->is_damaged && i < MU_LIFECYCLE_ANSWERS; i++)
        life->life.answered_s[i] = now_s;
    return life->is_damaged;
}

bool mu_agent_life_settle(struct mu_agent *agent, const char *name, struct mu_agent_life *life)
{
    int64_t now_s = mu_env_now(agent->env);
    struct mu_lifecycle_happened held = {0};
    struct mu_keystore_stamp stamp = {0};
    bool there = mu_keystore_stamp(agent->store, name, &stamp), changed = life->is_missing;

    if (life->life.spread == 0 && agent->host != NULL) {
        life->life.spread = mu_enroll_lifecycle_spread(agent->host, name);
        changed = true;
    }
    changed |= repair(life, now_s);
    changed |= mu_enroll_lifecycle_rebase(&life->life, now_s);
    if (there && !mu_keystore_stamp_equal(&stamp, &life->cert)) {
        changed |= certificate_changed(agent, name, life);
    } else if (take_held(agent, name, life, &held)) { /* a kill before it was written down */
        held.event = is_out(life) ? MU_LIFECYCLE_SAVED : MU_LIFECYCLE_ADOPTED;
        held.by_person = life->asked_by_person;
        (void)apply(agent, name, life, &held);
        changed = true;
    } else if (!there && !mu_agent_deploy_held(agent, name, NULL) && (life->cert.stem[0] != '\0' || life->life.not_after_s != 0)) {
        certificate_lost(agent, name, life);
        changed = true;
    }
    changed |= request_changed(agent, name, life);
    return changed;
}

/* ---- what a job came to ---- */

int64_t mu_agent_life_allowed_from(const char *words)
{
    static const char mark[] = "allowed from ";
    char text[MU_TIME_TEXT] = "";
    int64_t at_s;

    for (; *words != '\0'; words++)
        if (strncasecmp(words, mark, sizeof(mark) - 1) == 0)
            break;
    if (*words == '\0')
        return 0;
    words += sizeof(mark) - 1;
    snprintf(text, sizeof(text), "%.*s", (int)strspn(words, "0123456789-:TZtz"), words);
    if (strlen(text) == 10) /* a date alone */
        snprintf(text + 10, sizeof(text) - 10, "T00:00:00Z");
    return mu_time_parse_rfc3339(text, &at_s) && at_s > 0 ? at_s : 0;
}

/* Did the CA do its part? Then what went wrong behind it must not make it do so again and again. */
static bool is_answered(const struct mu_agent_job *job, const struct mu_err *err)
{
    return job->told_request && err->code != MU_NETWORK && err->code != MU_BUSY;
}

static enum mu_lifecycle_event event_of(const struct mu_agent_job *job, const struct mu_err *err)
{
    if (err->code == MU_PENDING)
        return MU_LIFECYCLE_PENDING;
    if (err->code == MU_DENIED)
        return MU_LIFECYCLE_REFUSED;
    /* what it sent is no good: a certificate of another CA, a wrong signature */
    if (is_answered(job, err) && (err->code == MU_AUTH || err->code == MU_INPUT))
        return MU_LIFECYCLE_REFUSED;
    return MU_LIFECYCLE_UNREACHED;
}

/* The latest time that somebody vouched for: the server and the own clock agree that it is past. */
static void take_date(struct mu_agent_life *life, const struct mu_client_result *answer, int64_t now_s)
{
    int64_t date_s = answer != NULL ? answer->server_date_s : 0;

    if (date_s > now_s)
        date_s = now_s;
    if (date_s > life->life.sure_s)
        life->life.sure_s = date_s;
}

static void note_failure(struct mu_agent_job *job, struct mu_agent_life *life,
    const struct mu_client_result *answer, const struct mu_err *err)
{
    struct mu_lifecycle_happened what = {.event = event_of(job, err),
        .by_person = !job->agent->by_itself,
        .same_try = job->same_try,
        .answered = is_answered(job, err),
        .retry_after_s = answer != NULL ? answer->retry_after_s : 0};

    if (what.event == MU_LIFECYCLE_REFUSED)
        what.retry_at_s = mu_agent_life_allowed_from(err->what);
    (void)apply(job->agent, job->name, life, &what);
    if (what.event == MU_LIFECYCLE_PENDING && err->reason == MU_M(313)) {
        what.event = MU_LIFECYCLE_GAVE_UP;
        (void)apply(job->agent, job->name, life, &what);
    }
}

/* What waits for the end of the present certificate changes nothing yet. */
static void note_success(struct mu_agent_job *job, struct mu_agent_life *life)
{
    struct mu_lifecycle_happened what = {
        .event = MU_LIFECYCLE_SAVED, .by_person = !job->agent->by_itself};

    if (job->holds && take_held(job->agent, job->name, life, &what))
        ; /* the record is ahead of the switch */
    else if (job->saved.waits)
        what.event = MU_LIFECYCLE_CANCELED;
    else if (!take_certificate(job->agent, job->name, life, &what)) {
        /* somebody took it away meanwhile; the CA has answered all the same, and that counts */
        what.event = MU_LIFECYCLE_UNREACHED;
        what.answered = true;
    } else
        life->told = 0;
    (void)apply(job->agent, job->name, life, &what);
}

static void written(struct mu_agent_job *job, const struct mu_agent_life *life)
{
    if (life->is_damaged)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING,
            "the record of %s (state/%s.life) was damaged and is made anew", job->name, job->name);
}

static void write_down(struct mu_agent_job *job, const struct mu_agent_life *life)
{
    written(job, life);
    if (mu_agent_life_write_unsynced(job->agent->store, job->name, life, NULL) != MU_OK)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING, "how it went could not be written down");
}

void mu_agent_life_end(
    struct mu_agent_job *job, const struct mu_client_result *answer, const struct mu_err *err)
{
    struct mu_agent_life life;

    if (mu_agent_life_read(job->agent->store, job->name, &life, NULL) != MU_OK)
        return;
    if (err == NULL) { /* not settled: the certificate is this job's */
        (void)repair(&life, mu_env_now(job->agent->env));
        if (!is_out(&life))
            begin(job->agent, job->name, &life);
        note_success(job, &life);
    } else {
        (void)mu_agent_life_settle(job->agent, job->name, &life);
        note_failure(job, &life, answer, err);
    }
    take_date(&life, answer, mu_env_now(job->agent->env));
    write_down(job, &life);
}

enum mu_code mu_agent_life_sent(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_agent_life life;
    enum mu_code rc = mu_agent_life_read(job->agent->store, job->name, &life, err);

    if (rc != MU_OK)
        return rc;
    (void)mu_agent_life_settle(job->agent, job->name, &life);
    if (!job->resumed)
        life.asked_by_person = !job->agent->by_itself;
    if (!is_out(&life))
        begin(job->agent, job->name, &life);
    written(job, &life);
    return mu_agent_life_write_unsynced(job->agent->store, job->name, &life, err);
}

/* A job that had nothing to do, or one by a person who asks about what was given up. */
static void look(struct mu_agent_job *job, bool resume)
{
    const struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_RESUME, .by_person = true};
    struct mu_agent_life life;
    bool changed;

    if (mu_agent_life_read(job->agent->store, job->name, &life, NULL) != MU_OK)
        return;
    changed = mu_agent_life_settle(job->agent, job->name, &life);
    if (resume && life.life.stopped) {
        (void)apply(job->agent, job->name, &life, &what);
        changed = true;
    }
    if (changed)
        write_down(job, &life);
}

void mu_agent_life_nothing(struct mu_agent_job *job)
{
    look(job, false);
}

void mu_agent_life_resume(struct mu_agent_job *job)
{
    look(job, !job->agent->by_itself);
}

enum mu_code mu_agent_life_happened(struct mu_agent *agent, const char *name,
    const struct mu_lifecycle_happened *what, struct mu_err *err)
{
    struct mu_agent_life life;
    enum mu_code rc = mu_agent_life_read(agent->store, name, &life, err);

    if (rc != MU_OK)
        return rc;
    (void)mu_agent_life_settle(agent, name, &life);
    if (what != NULL)
        (void)apply(agent, name, &life, what);
    return mu_agent_life_write(agent->store, name, &life, err);
}
