/* What a running agent changes: its configuration. And what it tells systemd of itself. */
#include <stdio.h>
#include <string.h>

#include "cmd/muster/cmd_paths.h"
#include "cmd/musterd/daemon.h"
#include "cmd/musterd/daemon_log.h"
#include "cmd/musterd/daemon_notify.h"

static void note(void *cookie, const struct mu_agent_config_note *note)
{
    char code[8] = "";
    struct mu_err named = {.reason = note->reason};

    mu_err_code_text(&named, code);
    if (note->file != NULL && note->line > 0) /* a line that breaks the format is named by its text */
        mu_daemon_log_line(note->is_error ? MU_DAEMON_ERROR : MU_DAEMON_WARNING, "config", "%s: %s:%u: %s",
            code, note->file, note->line, note->text);
    else
        mu_daemon_log_line(
            note->is_error ? MU_DAEMON_ERROR : MU_DAEMON_WARNING, "config", "%s: %s", code, note->text);
}

typedef enum mu_code place_of(const char *option, const char *configured, struct mu_buf *out, struct mu_err *err);

/* Would a start now take another place than the one that is open? */
static bool differs(place_of *place, const char *option, const char *configured, const struct mu_buf *open)
{
    struct mu_buf fresh = {0};
    bool other = place(option, configured, &fresh, NULL) == MU_OK && strcmp(mu_buf_str(&fresh), mu_buf_str(open)) != 0;

    mu_buf_clear(&fresh);
    return other;
}

/* What is open stays so: two stores, or a socket that nobody finds any more, would surprise. Said here once,
 * and by status until it is done. */
static void tell_restarts(struct mu_daemon *d, const struct mu_agent_config_agent *now)
{
    bool store = differs(mu_cmd_paths_store, d->options->store, now->store, &d->store_root),
         control = differs(mu_cmd_paths_socket, d->options->socket, now->control, &d->socket);

    snprintf(d->restart, sizeof d->restart, "%s%s%s", store ? "store" : "", store && control ? ", " : "",
        control ? "control" : "");
    if (store)
        mu_daemon_log_line(MU_DAEMON_WARNING, "reload", "The configuration names another store: it is taken when musterd "
                                                        "is restarted; until then the present one stays in use: %s.",
            mu_buf_str(&d->store_root));
    if (control)
        mu_daemon_log_line(MU_DAEMON_WARNING, "reload", "The configuration names another control socket: it is taken when "
                                                        "musterd is restarted; until then it listens at %s.",
            mu_buf_str(&d->socket));
}

/* In the order in which a failure leaves what was. */
static enum mu_code adopt(struct mu_daemon *d, struct mu_agent_config *fresh, struct mu_err *err)
{
    const struct mu_agent_config_agent *now = mu_agent_config_agent(fresh);
    enum mu_code rc;

    if ((rc = mu_daemon_log_config(now, err)) != MU_OK)
        return rc;
    mu_daemon_trace(d);
    if ((rc = mu_daemon_metrics_config(d, now->metrics, err)) != MU_OK)
        return rc;
    if ((rc = mu_daemon_watch_reload(d, fresh, err)) != MU_OK)
        return rc;
    tell_restarts(d, now);
    return MU_OK;
}

enum mu_code mu_daemon_reload(struct mu_daemon *d, struct mu_err *err)
{
    struct mu_agent_config *fresh = NULL;
    struct mu_err why = {0};
    enum mu_code rc;

    mu_daemon_notify_reloading();
    rc = mu_agent_config_load(d->options->config, &fresh, note, NULL, &why);
    if (rc == MU_OK)
        rc = adopt(d, fresh, &why);
    if (rc == MU_OK) {
        struct mu_agent_config *before = d->config;

        d->config = fresh;
        mu_agent_config_free(before);
        d->reloaded_s = mu_env_now(&d->env);
        mu_err_clear(&d->fault);
        mu_daemon_log_line(MU_DAEMON_NOTICE, "reload", "The configuration was read again.");
    } else {
        mu_agent_config_free(fresh);
        mu_err_context(&why, "the configuration stays as it was");
        d->fault = why;
        mu_daemon_log_error("reload", &why);
        if (err != NULL)
            *err = why;
    }
    mu_daemon_notify_send("READY=1");
    mu_daemon_tell_status(d);
    return rc;
}

/* The watch's count: ten thousand names are not read for each job that ends. */
void mu_daemon_tell_status(struct mu_daemon *d)
{
    struct mu_agent_watch_counts counts;
    char jobs[40] = "";

    mu_agent_watch_counts(d->watch, &counts);
    if (counts.running > 0)
        snprintf(jobs, sizeof jobs, ", %zu being worked on", counts.running);
    mu_daemon_notify_send("STATUS=%zu certificate%s%s%s%s%s%s", counts.entries, counts.entries == 1 ? "" : "s", jobs,
        mu_env_system_shift() != 0 ? ", the clock is shifted" : "",
        d->fault.code != MU_OK ? ", the configuration on disk is wrong and not in use" : "",
        d->restart[0] != '\0' ? ", a restart is needed for another " : "", d->restart);
}
