/* The watch over all certificates: how the process starts it and hands requests to it. */
#include "agent/agent_deploy.h"
#include "agent/agent_hook.h"
#include "cmd/musterd/daemon.h"
#include "cmd/musterd/daemon_log.h"

static enum mu_code on_secrets(void *cookie, const struct mu_agent_config_secrets *where,
    struct mu_agent_enroll *request, struct mu_err *err)
{
    struct mu_daemon *d = cookie;

    return mu_agent_secret_where_take(&d->secrets, where, request, err);
}

static void on_step(void *cookie, const char *name, enum mu_agent_step step, const char *text)
{
    mu_daemon_log_line(step == MU_AGENT_STEP_WARNING ? MU_DAEMON_WARNING : MU_DAEMON_DEBUG, "step", "%s: %s: %s",
        name, mu_agent_step_word(step), text);
}

/* What is not an event of the certificate: a record that cannot be read, a store that cannot be written. */
static void on_note(void *cookie, const char *name, const struct mu_err *err)
{
    struct mu_err named = *err;

    if (name != NULL)
        mu_err_context(&named, "%s", name);
    mu_daemon_log_error("watch", &named);
}

struct told {
    const char *name, *what;
};

static void on_output(void *cookie, const char *line)
{
    const struct told *t = cookie;

    mu_daemon_log_line(MU_DAEMON_INFO, "hook", "%s: %s: %s", t->name, t->what, line);
}

/* That it failed is an event of the certificate; what it printed is not. */
static void on_part(void *cookie, const char *name, const struct mu_agent_deploy_part *part)
{
    struct told t = {name, part->what};

    mu_agent_hook_lines(part->output, on_output, &t);
    mu_daemon_log_line(part->ok ? MU_DAEMON_INFO : MU_DAEMON_WARNING, "hook", "%s: %s: %s", name, part->what,
        part->ok ? "ok" : part->last_line != NULL ? part->last_line : "failed");
}

static void on_job(void *cookie, const char *name, const struct mu_agent_outcome *outcome,
    const struct mu_err *err)
{
    mu_daemon_tell_status(cookie);
    mu_daemon_rest_soon(cookie);
}

enum mu_code mu_daemon_watch_open(struct mu_daemon *d, struct mu_err *err)
{
    struct mu_agent_watch_config config = {.agent = &d->agent,
        .config = d->config,
        .host = d->host,
        .built_s = mu_agent_watch_built(),
        .cookie = d,
        .listener = d,
        .on_secrets = on_secrets,
        .on_step = on_step,
        .on_job = on_job,
        .on_note = on_note,
        .on_part = on_part,
        .deploy_start = mu_agent_deploy_start,
        .deploy_cancel = mu_agent_deploy_cancel};

    (void)mu_agent_watch_host(d->host);
    d->secrets = (struct mu_agent_secret_where){.agent = &d->agent};
    return mu_agent_watch_new(&config, &d->watch, err);
}

void mu_daemon_watch_close(struct mu_daemon *d)
{
    mu_agent_watch_free(d->watch);
    d->watch = NULL;
    mu_agent_secret_where_clear(&d->secrets);
}

void mu_daemon_watch_start(struct mu_daemon *d)
{
    mu_agent_watch_start(d->watch);
}

enum mu_code mu_daemon_watch_reload(struct mu_daemon *d, struct mu_agent_config *fresh, struct mu_err *err)
{
    const struct mu_agent before = d->agent;
    enum mu_code rc;

    /* First: the names that the watch goes through are the new configuration's. */
    d->agent.config = fresh;
    d->agent.allow_legacy = mu_agent_config_agent(fresh)->allow_legacy;
    if ((rc = mu_agent_watch_reload(d->watch, fresh, err)) != MU_OK)
        d->agent = before;
    return rc;
}

void mu_daemon_watch_touch(struct mu_daemon *d, const char *name)
{
    mu_agent_watch_touch(d->watch, name);
}

enum mu_code mu_daemon_watch_wish(
    struct mu_daemon *d, const char *name, enum mu_agent_watch_wish wish, struct mu_err *err)
{
    return mu_agent_watch_wish(d->watch, name, wish, err);
}

void mu_daemon_watch_status(struct mu_daemon *d, struct mu_web_agent_status *out)
{
    struct mu_agent_watch_counts counts;

    mu_agent_watch_counts(d->watch, &counts);
    out->jobs = (unsigned)counts.running;
    out->unseen = (unsigned)counts.unseen;
    out->next_s = mu_agent_watch_next(d->watch, NULL);
}
