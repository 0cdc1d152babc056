/* What runs for an entry and what follows its end: jobs. Deployments are in agent_watch_deploy.c. */
#include "agent/agent_watch_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_entry.h"
#include "base/text.h"
#include "base/time.h"

enum {
    MINUTE_S = 60,
    CLOCK_ASK_S = 600,
    CLOCK_OFF_S = 300,
    DAY_S = 86400,
    REFUSED_S = 6 * 3600, /* as long as the lifecycle waits behind a first refusal */
    ROUTES = 8            /* whose refusals are remembered */
};

static int64_t now_of(const struct mu_agent_watch *watch)
{
    return mu_env_now(watch->own.env);
}

/* ---- the run itself ---- */

struct mu_watch_run *mu_agent_watch_run_new(struct mu_agent_watch *watch, struct mu_watch_entry *entry)
{
    struct mu_watch_run *run = calloc(1, sizeof(*run));

    if (run == NULL)
        return NULL;
    run->watch = watch;
    run->entry = entry;
    run->agent = &watch->own;
    run->started_s = now_of(watch);
    if (watch->config.config != NULL)
        run->config = mu_agent_config_ref(watch->config.config);
    run->next = watch->runs;
    watch->runs = run;
    watch->running++;
    entry->run = run;
    mu_agent_watch_heap_take(&watch->heap, entry);
    mu_agent_watch_heap_take(&watch->ready, entry);
    return run;
}

void mu_agent_watch_run_free(struct mu_watch_run *run)
{
    struct mu_agent_watch *watch = run->watch;
    struct mu_watch_run **at = &watch->runs;

    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    watch->running--;
    run->entry->run = NULL;
    mu_agent_job_cancel(run->job);
    if (run->deploy != NULL && watch->config.deploy_cancel != NULL)
        watch->config.deploy_cancel(run->deploy);
    mu_loop_timer_free(watch->own.loop, run->timer);
    if (run->has_plan)
        mu_agent_config_entry_clear(&run->plan);
    if (run->config != NULL)
        mu_agent_config_free(run->config);
    if (run->entry->is_gone)
        mu_agent_watch_entry_free(run->entry);
    free(run);
}

void mu_agent_watch_run_end(struct mu_watch_run *run)
{
    struct mu_agent_watch *watch = run->watch;
    struct mu_watch_entry *entry = run->entry;
    bool is_gone = entry->is_gone;

    mu_agent_watch_run_free(run);
    if (!is_gone)
        mu_agent_watch_schedule(watch, entry, now_of(watch));
    mu_agent_watch_wake(watch);
}

void mu_agent_watch_run_later(struct mu_watch_run *run, int64_t ms, mu_loop_call *call)
{
    struct mu_loop *loop = run->watch->own.loop;

    mu_loop_timer_free(loop, run->timer);
    run->timer = mu_loop_after(loop, ms, call, run);
    if (run->timer == NULL)
        mu_agent_watch_run_end(run);
}

enum mu_code mu_agent_watch_run_plan(struct mu_watch_run *run, struct mu_err *err)
{
    enum mu_code rc;

    if (run->has_plan)
        mu_agent_config_entry_clear(&run->plan);
    rc = mu_agent_entry_load(&run->watch->own, run->entry->name, run->route, &run->plan, err);
    run->has_plan = rc == MU_OK;
    return rc;
}

/* ---- a job ---- */

static void job_finish(void *cookie);

static void on_step(void *ctx, enum mu_agent_step step, const char *text)
{
    struct mu_watch_run *run = ctx;
    struct mu_agent_watch *watch = run->watch;

    if (watch->config.on_step != NULL)
        watch->config.on_step(watch->config.listener, run->entry->name, step, text);
}

/* M801, for those whose clock looks right and is not: once a day. */
static void tell_difference(struct mu_agent_watch *watch, int64_t difference_s)
{
    int64_t now_s = now_of(watch);
    char ours[MU_TIME_TEXT], theirs[MU_TIME_TEXT];
    struct mu_err what = {0};

    if ((difference_s <= CLOCK_OFF_S && difference_s >= -CLOCK_OFF_S)
        || (now_s < watch->clock_off_s + DAY_S && now_s >= watch->clock_off_s))
        return;
    watch->clock_off_s = now_s;
    mu_err_set(&what, MU_DENIED, MU_M(801), "our clock %s and the server's %s differ by %lld s",
        mu_time_rfc3339(now_s, ours), mu_time_rfc3339(now_s + difference_s, theirs),
        (long long)difference_s);
    mu_agent_watch_emit(watch, NULL, MU_AGENT_EVENT_CLOCK, &what, 0);
}

static void on_job_done(
    void *ctx, const struct mu_agent_outcome *outcome, const struct mu_err *err)
{
    struct mu_watch_run *run = ctx;
    struct mu_agent_watch *watch = run->watch;

    run->job = NULL;
    run->result = outcome->result;
    run->err = err != NULL ? *err : (struct mu_err){0};
    if (outcome->has_clock)
        tell_difference(watch, outcome->clock_difference_s);
    run->entry->ca_changed = run->entry->ca_changed || outcome->ca_changed;
    if (err == NULL && outcome->result == MU_AGENT_ISSUED)
        run->entry->event = run->is_wish && run->wish >= MU_AGENT_WISH_REGENERATE ? MU_AGENT_HOOK_REGENERATED
            : outcome->replaced != NULL                                          ? MU_AGENT_HOOK_RENEWED
                                                                                 : MU_AGENT_HOOK_ENROLLED;
    if (watch->config.on_job != NULL)
        watch->config.on_job(watch->config.listener, run->entry->name, outcome, err);
    mu_agent_watch_run_later(run, 0, job_finish); /* its lock is held until this returns */
}

static enum mu_code enroll(struct mu_watch_run *run, struct mu_agent_enroll *request,
    const struct mu_agent_host *host, struct mu_err *err)
{
    char stem[MU_KEYSTORE_STEM];

    request->replace = mu_keystore_current(run->agent->store, run->entry->name, stem);
    return mu_agent_enroll(run->agent, request, host, &run->job, err);
}

static enum mu_code renew(struct mu_watch_run *run, const struct mu_agent_enroll *given,
    const struct mu_agent_host *host, struct mu_err *err)
{
    const struct mu_agent_renew request = {.name = run->entry->name,
        .route = run->route,
        .challenge = given->challenge,
        .key_password = given->key_password,
        .password = given->password,
        .srp_password = given->srp_password,
        .secret = given->secret,
        .shared_key = given->shared_key,
        .drop_pending = given->drop_pending,
        .same_try = given->same_try,
        .force = !run->is_wish || run->wish != MU_AGENT_WISH_RENEW,
        .regenerate = run->is_wish && run->wish >= MU_AGENT_WISH_REGENERATE,
        .rekey = run->is_wish && run->wish == MU_AGENT_WISH_REKEY,
        .next_ca = run->next_ca,
        .no_wait = true};

    return mu_agent_renew(run->agent, &request, host, &run->job, err);
}

/* Most renewals are made with the certificate alone: a challenge that was for the first request only may be gone
 * by then. What was really needed the CA will say. */
static enum mu_code take_secrets(struct mu_watch_run *run, struct mu_agent_enroll *request, struct mu_err *err)
{
    const struct mu_agent_watch_config *config = &run->watch->config;
    enum mu_code rc = config->on_secrets(config->cookie, &run->plan.secrets, request, err);

    if (rc == MU_OK || run->action == MU_LIFECYCLE_ENROLL)
        return rc;
    if (err != NULL)
        mu_agent_watch_note(run->watch, run->entry->name, err);
    mu_err_clear(err);
    return MU_OK;
}

static enum mu_code job_start(struct mu_watch_run *run, struct mu_err *err)
{
    struct mu_agent_watch *watch = run->watch;
    const char *name = run->entry->name;
    const struct mu_agent_host host = {.ctx = run, .on_step = on_step, .on_done = on_job_done};
    struct mu_agent_enroll request = {.name = name,
        .route = run->route,
        .no_wait = true,
        .drop_pending = run->is_fallback,
        .same_try = run->is_fallback};
    enum mu_code rc = mu_agent_watch_run_plan(run, err);

    if (rc == MU_OK && watch->config.on_secrets != NULL)
        rc = take_secrets(run, &request, err);
    if (rc != MU_OK)
        return rc;
    if (run->action == MU_LIFECYCLE_POLL
        || (!run->is_fallback && !run->is_wish
            && mu_keystore_has(watch->own.store, MU_KEYSTORE_STATE, name, "pending"))) {
        run->had_pending = true;
        return mu_agent_poll(run->agent, name, true, request.key_password, &host, &run->job, err);
    }
    return run->action == MU_LIFECYCLE_ENROLL ? enroll(run, &request, &host, err)
                                              : renew(run, &request, &host, err);
}

/* ---- behind a job ---- */

/* The next route behind this one that has not refused lately; plan.routes: none. */
static size_t next_route(const struct mu_watch_run *run)
{
    const struct mu_watch_entry *entry = run->entry;
    bool remembers = !run->is_wish && now_of(run->watch) < entry->refused_until_s;
    size_t at = run->route + 1;

    while (at < run->plan.routes && at < ROUTES && remembers && (entry->refused & 1U << at) != 0)
        at++;
    return at;
}

/* A CA that refused is not asked again because another one could not be reached: that would use up what
 * the storm guard allows, and the other would not be asked when it is back. */
static void note_refusal(struct mu_watch_run *run)
{
    struct mu_watch_entry *entry = run->entry;
    int64_t now_s = now_of(run->watch);

    if (run->plan.routes < 2 || run->route >= ROUTES || run->err.code != MU_DENIED)
        return;
    if (now_s >= entry->refused_until_s)
        entry->refused = 0;
    entry->refused |= (uint8_t)(1U << run->route);
    entry->refused_until_s = now_s + REFUSED_S;
}

/* Where a run begins: with the first that has not refused lately, or, if all have, with the first. */
static void first_route(struct mu_watch_run *run)
{
    const struct mu_watch_entry *entry = run->entry;

    run->route = 0;
    if (run->plan.routes < 2 || now_of(run->watch) >= entry->refused_until_s || (entry->refused & 1U) == 0)
        return;
    run->route = next_route(run);
    if (run->route >= run->plan.routes)
        run->route = 0;
}

/* Not what is ours alone, nor what has to wait for a person; within the cap. */
static bool may_fall_back(const struct mu_watch_run *run, const struct mu_lifecycle *life)
{
    struct mu_lifecycle_policy policy;

    if (next_route(run) >= run->plan.routes || life->pending_since_s != 0)
        return false;
    if (run->err.code == MU_PENDING || run->err.code == MU_BUSY || run->err.code == MU_STORAGE
        || run->err.code == MU_MEMORY || run->err.code == MU_INTERNAL)
        return false;
    return run->is_wish
        || (mu_agent_life_policy(&run->watch->own, run->entry->name, &policy, NULL) == MU_OK
            && mu_enroll_lifecycle_left(life, &policy, now_of(run->watch)) > 0);
}

static bool is_scep(const struct mu_watch_run *run)
{
    return run->plan.settings.protocol != NULL && strcmp(run->plan.settings.protocol, "scep") == 0;
}

/* The same entry over its next route, or, where a successor's certificate was not to be had, over the
 * present CA. True: it runs. */
static bool try_otherwise(struct mu_watch_run *run, const struct mu_lifecycle *life)
{
    struct mu_err err = {0};

    if (run->next_ca && is_scep(run) && run->err.code != MU_NETWORK) {
        run->next_ca = false;
    } else if (may_fall_back(run, life)) {
        run->route = next_route(run);
        run->is_fallback = true;
    } else {
        return false;
    }
    if (job_start(run, &err) == MU_OK)
        return true;
    mu_agent_watch_note(run->watch, run->entry->name, &err);
    return false;
}

static void job_failed(struct mu_watch_run *run)
{
    struct mu_agent_watch *watch = run->watch;
    struct mu_watch_entry *entry = run->entry;
    struct mu_lifecycle_decision next = {0};
    struct mu_lifecycle_policy policy;
    struct mu_lifecycle life = {0};

    note_refusal(run);
    if (mu_agent_life_load(watch->own.store, entry->name, &life, NULL) == MU_OK
        && try_otherwise(run, &life))
        return;
    if (life.tried_s < run->started_s) /* it could not be written down: a full disk */
        mu_agent_watch_hold(watch, entry, 0);
    if (mu_agent_life_policy(&watch->own, entry->name, &policy, NULL) == MU_OK)
        mu_enroll_lifecycle_decide(&life, &policy, now_of(watch), &next);
    run->next_try_s = next.at_s != INT64_MAX ? next.at_s : 0;
    mu_agent_watch_run_tell(run, MU_AGENT_HOOK_FAILED, &run->err);
}

/* There was nothing to ask for, and nothing was put right either: the record was behind. What a kill had
 * left of a request that was through is gone now, and its deployment does not wait. */
static bool was_in_vain(const struct mu_watch_run *run)
{
    return run->result == MU_AGENT_NOTHING && !run->is_wish
        && !(run->had_pending
            && !mu_keystore_has(run->watch->own.store, MU_KEYSTORE_STATE, run->entry->name, "pending"));
}

static void job_finish(void *cookie)
{
    struct mu_watch_run *run = cookie;

    if (run->err.code != MU_OK && run->err.code != MU_PENDING) {
        job_failed(run);
        return;
    }
    run->entry->holds = 0;
    run->entry->refused = 0;
    if (was_in_vain(run))
        mu_agent_watch_hold(run->watch, run->entry, 0);
    mu_agent_watch_run_end(run);
}

/* ---- starting ---- */

static void start_failed(struct mu_watch_run *run, const struct mu_err *err)
{
    mu_agent_watch_note(run->watch, run->entry->name, err);
    if (err->code != MU_BUSY)
        mu_agent_note_failed(run->agent, run->entry->name, err);
    mu_agent_watch_hold(run->watch, run->entry, MINUTE_S); /* M707: another works on it */
    mu_agent_watch_run_end(run);
}

/* The CA ends before the new certificate would: its successor is looked for first, once a day. */
static bool wants_next_ca(
    struct mu_agent_watch *watch, const struct mu_watch_run *run, const struct mu_watch_look *look)
{
    const struct mu_agent_life *life = &look->life;
    struct mu_agent_life looked = *life;
    int64_t now_s = now_of(watch), lifetime_s = life->life.not_after_s - life->life.not_before_s;

    if (run->action != MU_LIFECYCLE_RENEW || life->ca_not_after_s == 0
        || now_s + lifetime_s <= life->ca_not_after_s || now_s < life->ca_looked_s + DAY_S
        || run->plan.settings.protocol == NULL)
        return false;
    looked.ca_looked_s = now_s;
    return mu_agent_watch_save(watch, run->entry->name, &looked);
}

void mu_agent_watch_run_start(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, const struct mu_watch_look *look)
{
    struct mu_watch_run *run = mu_agent_watch_run_new(watch, entry);
    struct mu_err err = {0};
    enum mu_code rc;

    if (run == NULL) {
        mu_agent_watch_hold(watch, entry, MINUTE_S);
        mu_agent_watch_schedule(watch, entry, entry->hold_until_s);
        return;
    }
    run->action = look->decision.action;
    rc = mu_agent_watch_run_plan(run, &err);
    if (rc == MU_OK && run->action == MU_LIFECYCLE_DEPLOY) {
        rc = mu_agent_watch_run_deploy(run, &err);
    } else if (rc == MU_OK) {
        first_route(run);
        run->next_ca = wants_next_ca(watch, run, look);
        rc = job_start(run, &err);
    }
    if (rc != MU_OK)
        start_failed(run, &err);
}

static enum mu_code wish_start(struct mu_watch_run *run, struct mu_err *err)
{
    enum mu_code rc = mu_agent_watch_run_plan(run, err);

    if (rc != MU_OK)
        return rc;
    if (run->wish == MU_AGENT_WISH_DEPLOY || run->wish == MU_AGENT_WISH_VERIFY)
        return mu_agent_watch_run_deploy(run, err);
    run->action = run->wish == MU_AGENT_WISH_POLL ? MU_LIFECYCLE_POLL : MU_LIFECYCLE_RENEW;
    return job_start(run, err);
}

enum mu_code mu_agent_watch_run_wish(struct mu_agent_watch *watch, struct mu_watch_entry *entry,
    enum mu_agent_watch_wish wish, struct mu_err *err)
{
    struct mu_watch_run *run;
    enum mu_code rc;

    if (entry->run != NULL && wish == MU_AGENT_WISH_CANCEL)
        mu_agent_watch_run_end(entry->run); /* what was sent stays stored, and is forgotten now */
    if (entry->run != NULL)
        return mu_err_set(err, MU_BUSY, MU_M(707), "the agent works on %s", entry->name);
    entry->hold_until_s = 0;
    if (wish == MU_AGENT_WISH_CANCEL) {
        rc = mu_agent_cancel(&watch->person, entry->name, err);
        mu_agent_watch_schedule(watch, entry, now_of(watch));
        mu_agent_watch_wake(watch);
        return rc;
    }
    if ((run = mu_agent_watch_run_new(watch, entry)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a job");
    run->is_wish = true;
    run->wish = wish;
    run->agent = &watch->person;
    if ((rc = wish_start(run, err)) != MU_OK)
        mu_agent_watch_run_end(run);
    return rc;
}

/* ---- the server's clock, where ours cannot be right ---- */

static void on_clock(void *ctx, const struct mu_agent_outcome *outcome, const struct mu_err *err)
{
    struct mu_agent_watch *watch = ctx;

    (void)err; /* only its Date is of interest, and there may be one with an error too */
    watch->clock_job = NULL;
    if (outcome->has_clock)
        tell_difference(watch, outcome->clock_difference_s);
}

void mu_agent_watch_run_clock(struct mu_agent_watch *watch, const char *name)
{
    const struct mu_agent_host host = {.ctx = watch, .on_done = on_clock};
    struct mu_agent_query query = {.op = MU_AGENT_QUERY_CA};
    struct mu_agent_settings settings = {0};
    int64_t now_s = now_of(watch);

    if (watch->clock_job != NULL
        || (now_s < watch->clock_asked_s + CLOCK_ASK_S && now_s >= watch->clock_asked_s))
        return;
    if (mu_agent_entry_settings(&watch->own, name, &settings, NULL) == MU_OK && settings.url != NULL) {
        watch->clock_asked_s = now_s;
        query.url = settings.url;
        query.settings = &settings;
        if (mu_agent_query(&watch->own, &query, &host, &watch->clock_job, NULL) != MU_OK)
            watch->clock_job = NULL; /* asked again later */
    }
    mu_agent_settings_clear(&settings);
}
