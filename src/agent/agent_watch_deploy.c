/* The watch's deployments, and the scripts that are told of what happened. */
#include "agent/agent_watch_internal.h"

enum { BUSY_MS = 5000 };

static void on_deployed(
    void *ctx, const struct mu_agent_deploy_outcome *outcome, const struct mu_err *err);

static void on_part(void *ctx, const struct mu_agent_deploy_part *part)
{
    struct mu_watch_run *run = ctx;

    if (run->watch->config.on_part != NULL)
        run->watch->config.on_part(run->watch->config.listener, run->entry->name, part);
}

static void on_warning(void *ctx, const char *lines)
{
    struct mu_watch_run *run = ctx;
    struct mu_err err = {0};

    while (*lines != '\0') {
        size_t n = strcspn(lines, "\n");

        mu_err_set(&err, MU_DENIED, MU_REASON_NONE, "%.*s", (int)n, lines);
        mu_agent_watch_note(run->watch, run->entry->name, &err);
        lines += n + (lines[n] == '\n' ? 1 : 0);
    }
}

static enum mu_code start(struct mu_watch_run *run, enum mu_agent_hook_event event,
    const struct mu_err *failed, struct mu_err *err)
{
    struct mu_agent_watch *watch = run->watch;
    const struct mu_agent_deploy_host host
        = {.ctx = run, .on_part = on_part, .on_warning = on_warning, .on_done = on_deployed};
    struct mu_lifecycle life = {0};
    struct mu_agent_deploy_request request = {.name = run->entry->name,
        .plan = &run->plan,
        .agent = mu_agent_config_agent(run->config),
        .event = event,
        .failed = failed,
        .next_try_s = run->next_try_s,
        .verify_only = run->is_wish && run->wish == MU_AGENT_WISH_VERIFY,
        .again = run->is_wish && run->wish == MU_AGENT_WISH_DEPLOY};

    if (watch->config.deploy_start == NULL)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "nothing here deploys certificates");
    if (mu_agent_life_load(watch->own.store, run->entry->name, &life, NULL) == MU_OK)
        request.attempt = 1 + life.not_deployed;
    if (event == MU_AGENT_HOOK_FAILED)
        request.attempt = life.refused + life.unreached;
    return watch->config.deploy_start(&watch->own, &request, &host, &run->deploy, err);
}

/* ---- scripts ---- */

static bool has_script(const struct mu_watch_run *run, enum mu_agent_hook_event event)
{
    if (run->watch->config.deploy_start == NULL || !run->has_plan)
        return false;
    return event == MU_AGENT_HOOK_CA_CHANGED ? mu_agent_deploy_has_post(&run->watch->own)
                                             : mu_agent_deploy_has_failure(&run->watch->own, &run->plan);
}

void mu_agent_watch_run_tell(
    struct mu_watch_run *run, enum mu_agent_hook_event event, const struct mu_err *what)
{
    struct mu_err err = {0};

    run->is_told = true;
    if (has_script(run, event) && start(run, event, what, &err) == MU_OK)
        return;
    if (err.code != MU_OK)
        mu_agent_watch_note(run->watch, run->entry->name, &err);
    mu_agent_watch_run_end(run);
}

/* Outside of the look: the script's run holds the entry's lock, and the look has yet to write what it told. */
static void hook_start(void *cookie)
{
    struct mu_watch_run *run = cookie;
    struct mu_err err = {0};

    if (start(run, run->hook_event, run->err.code != MU_OK ? &run->err : NULL, &err) == MU_OK)
        return;
    if (err.code == MU_BUSY) {
        mu_agent_watch_run_later(run, BUSY_MS, hook_start);
        return;
    }
    mu_agent_watch_note(run->watch, run->entry->name, &err);
    mu_agent_watch_run_end(run);
}

void mu_agent_watch_run_hook(struct mu_agent_watch *watch, struct mu_watch_entry *entry,
    enum mu_agent_hook_event event, const struct mu_err *what)
{
    struct mu_watch_run *run;
    struct mu_err err = {0};

    if (entry->run != NULL || watch->config.deploy_start == NULL
        || (run = mu_agent_watch_run_new(watch, entry)) == NULL)
        return;
    run->is_told = true;
    run->hook_event = event;
    if (what != NULL)
        run->err = *what;
    if (mu_agent_watch_run_plan(run, &err) == MU_OK && has_script(run, event)) {
        mu_agent_watch_run_later(run, 0, hook_start);
        return;
    }
    if (err.code != MU_OK)
        mu_agent_watch_note(watch, entry->name, &err);
    mu_agent_watch_run_free(run); /* within a look, which goes on */
}

/* ---- deployments ---- */

enum mu_code mu_agent_watch_run_deploy(struct mu_watch_run *run, struct mu_err *err)
{
    return start(run, (enum mu_agent_hook_event)run->entry->event, NULL, err);
}

/* Whoever has the lock is not waited for on this thread. */
static void write_down(void *cookie)
{
    struct mu_watch_run *run = cookie;
    struct mu_agent_watch *watch = run->watch;
    const struct mu_lifecycle_happened what = {
        .event = run->is_deployed ? MU_LIFECYCLE_DEPLOYED : MU_LIFECYCLE_NOT_DEPLOYED};
    struct mu_keystore_lock *lock = NULL;
    struct mu_err err = {0};
    enum mu_code rc = mu_keystore_lock(watch->own.store, run->entry->name, &lock, &err);

    if (rc == MU_BUSY) {
        mu_agent_watch_run_later(run, BUSY_MS, write_down);
        return;
    }
    if (rc == MU_OK)
        rc = mu_agent_life_happened(&watch->own, run->entry->name, &what, &err);
    mu_keystore_unlock(lock);
    if (rc != MU_OK) { /* it will be done again: once per serial, as its own record says */
        mu_agent_watch_note(watch, run->entry->name, &err);
        mu_agent_watch_hold(watch, run->entry, 0);
    }
    mu_agent_watch_run_end(run);
}

static void finish(void *cookie)
{
    struct mu_watch_run *run = cookie;
    bool verified = run->is_wish && run->wish == MU_AGENT_WISH_VERIFY && run->is_deployed;

    if (run->is_told || verified)
        mu_agent_watch_run_end(run);
    else
        write_down(run);
}

static void on_deployed(
    void *ctx, const struct mu_agent_deploy_outcome *outcome, const struct mu_err *err)
{
    struct mu_watch_run *run = ctx;

    run->deploy = NULL;
    run->is_deployed = err == NULL && outcome != NULL && (outcome->ok || outcome->nothing);
    if (err != NULL)
        mu_agent_watch_note(run->watch, run->entry->name, err);
    mu_agent_watch_run_later(run, 0, finish);
}
