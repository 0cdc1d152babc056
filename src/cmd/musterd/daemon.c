/* Opening, running and closing the agent. */
#include "cmd/musterd/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "cmd/muster/cmd_paths.h"
#include "cmd/musterd/daemon_log.h"
#include "cmd/musterd/daemon_notify.h"
#include "cmd/musterd/daemon_process.h"
#include "cmd/musterd/daemon_rest.h"
#include "net/net_client.h"
#include "net/net_loop.h"
#include "pki/pki_token.h"

enum { STATUS_MS = 60 * 1000, REST_MS = 1000 };

/* ---- configuration and places ---- */

static void note(void *cookie, const struct mu_agent_config_note *note)
{
    struct mu_err named = {.reason = note->reason};
    char code[8];

    fprintf(stderr, "musterd: %s: ", mu_err_code_text(&named, code));
    if (note->file != NULL && note->line > 0)
        fprintf(stderr, "%s:%u: ", note->file, note->line);
    fprintf(stderr, "%s%s\n", note->is_error ? "" : "warning: ", note->text);
}

/* Beside the socket: who has another socket is another agent. */
static void pid_file(const struct mu_buf *socket, struct mu_buf *out)
{
    const char *path = mu_buf_str(socket), *slash = strrchr(path, '/');

    if (slash != NULL && strcmp(slash, "/control.sock") == 0)
        mu_buf_putf(out, "%.*s/musterd.pid", (int)(slash - path), path);
    else
        mu_buf_putf(out, "%s.pid", path);
}

enum mu_code mu_daemon_config(struct mu_daemon *d, struct mu_err *err)
{
    const struct mu_agent_config_agent *conf;
    enum mu_code rc;

    if ((rc = mu_agent_config_load(d->options->config, &d->config, note, NULL, err)) != MU_OK)
        return rc;
    conf = mu_agent_config_agent(d->config);
    mu_buf_put_str(&d->config_file, d->options->config != NULL ? d->options->config : "/etc/muster/muster.conf");
    if ((rc = mu_cmd_paths_store(d->options->store, conf->store, &d->store_root, err)) != MU_OK
        || (rc = mu_cmd_paths_socket(d->options->socket, conf->control, &d->socket, err)) != MU_OK)
        return rc;
    pid_file(&d->socket, &d->pid_file);
    return mu_buf_check(&d->pid_file, "pid file", err);
}

/* ---- signals ---- */

static void on_stop(void *cookie)
{
    struct mu_daemon *d = cookie;

    mu_daemon_notify_send("STOPPING=1");
    mu_daemon_log_line(MU_DAEMON_NOTICE, "stop", "Stopping. What was asked of a CA stays stored.");
    mu_loop_stop(d->loop);
}

static void on_reload(void *cookie)
{
    if (mu_daemon_reload(cookie, NULL) != MU_OK)
        return; /* told already */
}

/* USR1 and USR2 mean nothing here, and must not end us. */
static enum mu_code signals_take(struct mu_daemon *d, struct mu_err *err)
{
    enum mu_code rc;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    if ((rc = mu_net_loop_on_signal(d->loop, SIGINT, on_stop, d, err)) != MU_OK
        || (rc = mu_net_loop_on_signal(d->loop, SIGTERM, on_stop, d, err)) != MU_OK)
        return rc;
    return mu_net_loop_on_signal(d->loop, SIGHUP, on_reload, d, err);
}

static void on_watchdog(void *cookie)
{
    struct mu_daemon *d = cookie;

    mu_daemon_notify_send("WATCHDOG=1");
    mu_loop_timer_free(d->loop, d->watchdog);
    d->watchdog = mu_loop_after(d->loop, mu_daemon_notify_watchdog_ms(), on_watchdog, d);
}

static void on_tick(void *cookie)
{
    struct mu_daemon *d = cookie;

    mu_daemon_tell_status(d);
    mu_daemon_metrics_touch(d);
    mu_loop_timer_free(d->loop, d->tick);
    d->tick = mu_loop_after(d->loop, STATUS_MS, on_tick, d);
}

static void on_rest(void *cookie)
{
    struct mu_daemon *d = cookie;
    struct mu_agent_watch_counts counts;

    mu_loop_timer_free(d->loop, d->rest);
    d->rest = NULL;
    mu_agent_watch_counts(d->watch, &counts);
    if (counts.running == 0 && counts.unseen == 0)
        mu_daemon_rest_give_back();
    else
        mu_daemon_rest_soon(d);
}

void mu_daemon_rest_soon(struct mu_daemon *d)
{
    if (d->rest == NULL)
        d->rest = mu_loop_after(d->loop, REST_MS, on_rest, d);
}

/* ---- the agent ---- */

static void on_event(void *cookie, const struct mu_agent_event *event)
{
    struct mu_daemon *d = cookie;

    mu_daemon_log_event(event);
    mu_web_agent_happened(d->web);
    mu_agent_metrics_event(d->certificates, event);
    mu_daemon_metrics_touch(d);
}

void mu_daemon_trace(struct mu_daemon *d)
{
    d->env.trace = mu_daemon_log_is_debug() ? mu_daemon_log_trace : NULL;
}

static enum mu_code agent_open(struct mu_daemon *d, struct mu_err *err)
{
    enum mu_code rc;

    if ((rc = mu_keystore_open(mu_buf_str(&d->store_root), true, &d->store, err)) != MU_OK
        || (rc = mu_cmd_paths_beside(d->options->config, "hooks.d", &d->hooks_dir, err)) != MU_OK
        || (rc = mu_net_client_new(d->loop, &d->transport, err)) != MU_OK)
        return rc;
    mu_daemon_log_store(d->store);
    d->agent = (struct mu_agent){.store = d->store,
        .env = &d->env,
        .loop = d->loop,
        .transport = d->transport,
        .allow_legacy = mu_agent_config_agent(d->config)->allow_legacy,
        .config = d->config,
        .events = {.call = on_event, .cookie = d},
        .hooks_dir = mu_buf_str(&d->hooks_dir),
        .recipes_dir = mu_cmd_paths_recipes(),
        .keeps_traces = true,
        .by_itself = true};
    return mu_daemon_watch_open(d, err);
}

static void say_start(const struct mu_daemon *d)
{
    mu_daemon_log_line(MU_DAEMON_NOTICE, "start", "musterd %s runs with the store %s, control socket %s.",
        MUSTER_VERSION, mu_buf_str(&d->store_root), mu_buf_str(&d->socket));
    if (mu_env_system_shift() != 0)
        mu_daemon_log_line(MU_DAEMON_WARNING, "clock", "The clock is shifted by %lld s (MUSTER_CLOCK_SHIFT).",
            (long long)mu_env_system_shift());
    if (d->secrets_dropped > 0)
        mu_daemon_log_line(MU_DAEMON_WARNING, "start",
            "%u variables MUSTER_SECRET_... were taken out of the environment; the agent takes secrets "
            "from files, credentials and 'muster secret set'.",
            d->secrets_dropped);
}

enum mu_code mu_daemon_open(struct mu_daemon *d, struct mu_err *err)
{
    const struct mu_agent_config_agent *conf = mu_agent_config_agent(d->config);
    enum mu_code rc;

    d->started_s = mu_env_now(&d->env);
    if ((rc = mu_net_loop_new(&d->loop, err)) != MU_OK
        || (rc = mu_agent_metrics_new(&d->certificates, err)) != MU_OK)
        return rc;
    mu_daemon_log_init(&d->env, d->loop, d->options->front && getenv("JOURNAL_STREAM") == NULL);
    if ((rc = mu_daemon_log_config(conf, err)) != MU_OK
        || (rc = mu_daemon_process_lock(mu_buf_str(&d->pid_file), &d->pid_fd, err)) != MU_OK
        || (rc = signals_take(d, err)) != MU_OK
        || (rc = agent_open(d, err)) != MU_OK || (rc = mu_daemon_control_open(d, err)) != MU_OK
        || (rc = mu_daemon_metrics_config(d, conf->metrics, err)) != MU_OK)
        return rc;
    mu_daemon_trace(d);
    say_start(d);
    return MU_OK;
}

void mu_daemon_run(struct mu_daemon *d)
{
    mu_daemon_notify_send("READY=1");
    on_tick(d);
    if (mu_daemon_notify_watchdog_ms() > 0)
        on_watchdog(d);
    mu_daemon_rest_give_back(); /* what only the start needed */
    mu_daemon_watch_start(d);
    mu_daemon_rest_soon(d);
    mu_loop_run(d->loop);
}

void mu_daemon_close(struct mu_daemon *d)
{
    mu_web_agent_free(d->web); /* while its answers can still go out */
    mu_daemon_serve_stop(d->control);
    mu_daemon_metrics_stop(d);
    mu_daemon_watch_close(d);
    mu_net_loop_settle(d->loop); /* jobs that a helper thread was still working on go now */
    mu_daemon_log_close();
    if (d->loop != NULL) {
        mu_loop_timer_free(d->loop, d->watchdog);
        mu_loop_timer_free(d->loop, d->tick);
        mu_loop_timer_free(d->loop, d->rest);
        if (d->transport != NULL)
            mu_net_client_free(d->transport);
        mu_net_loop_free(d->loop);
    }
    mu_daemon_serve_free(d->control);
    mu_daemon_metrics_free(d);
    mu_agent_metrics_free(d->certificates);
    mu_keystore_free(d->store);
    mu_agent_config_free(d->config);
    mu_daemon_process_unlock(mu_buf_str(&d->pid_file), d->pid_fd);
    mu_daemon_notify_close();
    mu_buf_clear(&d->config_file);
    mu_buf_clear(&d->store_root);
    mu_buf_clear(&d->hooks_dir);
    mu_buf_clear(&d->socket);
    mu_buf_clear(&d->pid_file);
    mu_pki_token_shutdown();
}
