/* renew --all, for timer and cron: does what the agent would do now, by the same records, and ends. */
#include <signal.h>
#include <stdio.h>

#include "agent/agent_deploy.h"
#include "agent/agent_secret_where.h"
#include "agent/agent_watch.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_renew_all.h"
#include "net/net_loop.h"

struct all {
    struct mu_cmd *cmd;
    int exit_code;
    unsigned jobs;
    bool idle;
};

static void fails(struct all *all, int exit_code)
{
    if (all->exit_code == MU_CMD_OK)
        all->exit_code = exit_code;
}

static void on_step(void *listener, const char *name, enum mu_agent_step step, const char *text)
{
    struct all *all = listener;
    char line[1200];

    if (all->cmd->args.verbose == 0 && step != MU_AGENT_STEP_WARNING)
        return;
    snprintf(line, sizeof line, "%s: %s", mu_agent_step_word(step), text);
    mu_cmd_print_line(all->cmd, name, line);
}

static void on_job(void *listener, const char *name, const struct mu_agent_outcome *outcome,
    const struct mu_err *err)
{
    struct all *all = listener;
    char text[200], day[16];

    all->jobs++;
    if (err != NULL) {
        fails(all, mu_cmd_print_error(all->cmd, name, err));
    } else if (outcome->result == MU_AGENT_ISSUED && outcome->facts != NULL
        && outcome->facts->serial != NULL) {
        snprintf(text, sizeof text, "issued, serial %.100s, until %s", outcome->facts->serial,
            mu_cmd_print_day(outcome->facts->not_after_s, day));
        mu_cmd_print_line(all->cmd, name, text);
    }
}

/* Who works on it already does what is due (M707): that is no failure here. */
static void on_note(void *listener, const char *name, const struct mu_err *err)
{
    struct all *all = listener;

    if (err->reason == MU_M(707))
        mu_cmd_print_note(all->cmd, "%s: %s", name != NULL ? name : "", err->what);
    else
        fails(all, mu_cmd_print_error(all->cmd, name, err));
}

/* A request is out, and nobody is at it this very moment: the agent or another hand would finish it. */
static bool is_left_pending(struct mu_keystore *store, const char *name)
{
    struct mu_keystore_lock *lock = NULL;
    bool is;

    if (!mu_keystore_has(store, MU_KEYSTORE_STATE, name, "pending"))
        return false;
    if (mu_keystore_lock(store, name, &lock, NULL) == MU_BUSY)
        return false;
    is = mu_keystore_has(store, MU_KEYSTORE_STATE, name, "pending");
    mu_keystore_unlock(lock);
    return is;
}

/* What waits for a person is said each time, asked about just now or not yet again. */
static void tell_pending(void *cookie, const char *name)
{
    struct all *all = cookie;

    if (!is_left_pending(all->cmd->store, name))
        return;
    mu_cmd_print_note(all->cmd, "%s: PENDING, waits for an operator\n  later      muster poll %s", name, name);
    fails(all, MU_CMD_PENDING);
}

static void on_idle(void *cookie)
{
    struct all *all = cookie;

    all->idle = true;
    mu_loop_stop(all->cmd->loop);
}

static void on_signal(void *cookie)
{
    mu_loop_stop(((struct mu_cmd *)cookie)->loop);
}

static enum mu_code run(struct mu_cmd *cmd, struct all *all, struct mu_err *err)
{
    struct mu_agent_secret_where secrets = {.agent = &cmd->agent};
    char host[MU_AGENT_WATCH_HOST];
    const struct mu_agent_watch_config config = {.agent = &cmd->agent,
        .config = cmd->config,
        .host = mu_agent_watch_host(host),
        .built_s = mu_agent_watch_built(),
        .on_secrets = mu_agent_secret_where_take,
        .cookie = &secrets,
        .listener = all,
        .on_step = on_step,
        .on_job = on_job,
        .on_note = on_note,
        .deploy_start = mu_agent_deploy_start,
        .deploy_cancel = mu_agent_deploy_cancel};
    struct mu_agent_watch *watch = NULL;
    enum mu_code rc;

    if ((rc = mu_net_loop_on_signal(cmd->loop, SIGINT, on_signal, cmd, err)) != MU_OK
        || (rc = mu_net_loop_on_signal(cmd->loop, SIGTERM, on_signal, cmd, err)) != MU_OK)
        return rc;
    cmd->listening = true;
    if ((rc = mu_agent_watch_new(&config, &watch, err)) == MU_OK) {
        mu_agent_watch_run_once(watch, on_idle, all);
        mu_loop_run(cmd->loop);
        mu_agent_watch_free(watch);
    }
    mu_agent_secret_where_clear(&secrets);
    return rc;
}

int mu_cmd_renew_all(struct mu_cmd *cmd)
{
    struct all all = {.cmd = cmd};
    struct mu_err err = {0};
    const bool json = cmd->args.json;
    enum mu_code rc;
    int listed;

    if ((rc = mu_cmd_open_store(cmd, mu_agent_config_entry_at(cmd->config, 0) != NULL, &err)) != MU_OK
        || (rc = mu_cmd_open_net(cmd, &err)) != MU_OK)
        return rc == MU_NOT_FOUND ? MU_CMD_OK : mu_cmd_print_error(cmd, NULL, &err);
    cmd->args.json = false; /* one object at the end says it all */
    cmd->args.quiet = cmd->args.quiet || json;
    if ((rc = run(cmd, &all, &err)) != MU_OK)
        fails(&all, mu_cmd_print_error(cmd, NULL, &err));
    else if (!all.idle)
        mu_cmd_print_note(cmd, "Interrupted. What is out is kept.");
    else if ((rc = mu_keystore_each(cmd->store, tell_pending, &all, &err)) != MU_OK)
        fails(&all, mu_cmd_print_error(cmd, NULL, &err));
    else if (all.jobs == 0 && all.exit_code == MU_CMD_OK)
        mu_cmd_print_note(cmd, "nothing to do: nothing is due");
    cmd->interrupted = rc == MU_OK && !all.idle;
    if (cmd->interrupted)
        fails(&all, MU_CMD_FAILED);
    cmd->args.json = json;
    if (json && rc == MU_OK) {
        listed = mu_cmd_list(cmd);
        fails(&all, listed);
    }
    return all.exit_code;
}
