/* The agent as a process: what is opened in which order, what a signal does, how it ends. */
#ifndef MU_DAEMON_H
#define MU_DAEMON_H

#include "agent/agent_metrics.h"
#include "agent/agent.h"
#include "agent/agent_config.h"
#include "agent/agent_entry.h"
#include "agent/agent_secret_where.h"
#include "agent/agent_watch.h"
#include "cmd/musterd/daemon_serve.h"
#include "web/agent/web_agent.h"

struct mu_daemon_options {
    const char *config, *store, *socket; /* NULL: the configuration's or the default */
    bool front, check, demo;
};

enum { MU_DAEMON_HOST = MU_AGENT_WATCH_HOST };

struct mu_daemon {
    char host[MU_DAEMON_HOST]; /* what the spread of this machine hangs on */
    const struct mu_daemon_options *options;
    struct mu_env env;
    struct mu_agent_config *config;
    struct mu_buf config_file, store_root, socket, pid_file, hooks_dir; /* paths */
    int pid_fd;
    struct mu_keystore *store;
    struct mu_loop *loop;
    struct mu_transport *transport;
    struct mu_agent agent;
    struct mu_agent_secret_where secrets;
    struct mu_agent_watch *watch;
    struct mu_web_agent *web;
    struct mu_daemon_serve *control;
    struct mu_daemon_metrics *metrics;
    struct mu_agent_metrics *certificates; /* what the metrics say of them */
    struct mu_loop_timer *watchdog, *tick, *rest;
    unsigned secrets_dropped; /* variables that had no business in our environment */
    int64_t started_s, reloaded_s;
    struct mu_err fault; /* of the last reload; MU_OK: none */
    char restart[24];    /* what the configuration wants and only a restart takes: "store, control"; "": nothing */
};

/* Reads the configuration, says what is wrong with it on stderr. */
enum mu_code mu_daemon_config(struct mu_daemon *daemon, struct mu_err *err) MU_CHECK;
/* Opens everything; when it returns MU_OK the agent is ready. Nothing was asked of a CA yet. */
enum mu_code mu_daemon_open(struct mu_daemon *daemon, struct mu_err *err) MU_CHECK;
/* Once nothing runs for a while, what only work needs is given back. */
void mu_daemon_rest_soon(struct mu_daemon *daemon);
/* Until a signal ends it. */
void mu_daemon_run(struct mu_daemon *daemon);
/* Jobs stop: what was sent stays stored. */
void mu_daemon_close(struct mu_daemon *daemon);

/* ---- daemon_control.c ---- */
enum mu_code mu_daemon_control_open(struct mu_daemon *daemon, struct mu_err *err) MU_CHECK;

/* Traces go to the log at level debug, and are not even made otherwise. */
void mu_daemon_trace(struct mu_daemon *daemon);

/* ---- daemon_watch.c ---- */
enum mu_code mu_daemon_watch_open(struct mu_daemon *daemon, struct mu_err *err) MU_CHECK;
void mu_daemon_watch_close(struct mu_daemon *daemon);
void mu_daemon_watch_start(struct mu_daemon *daemon);
enum mu_code mu_daemon_watch_reload(
    struct mu_daemon *daemon, struct mu_agent_config *fresh, struct mu_err *err) MU_CHECK;
/* Fills in jobs and the time of the next look. */
void mu_daemon_watch_status(struct mu_daemon *daemon, struct mu_web_agent_status *out);
void mu_daemon_watch_touch(struct mu_daemon *daemon, const char *name); /* NULL: all */
enum mu_code mu_daemon_watch_wish(struct mu_daemon *daemon, const char *name,
    enum mu_agent_watch_wish wish, struct mu_err *err) MU_CHECK;

/* ---- daemon_metrics.c ---- */
/* "off", or a list of textfile:PATH, unix:PATH, 127.0.0.1:PORT. An error leaves what was. */
enum mu_code mu_daemon_metrics_config(struct mu_daemon *daemon, const char *where, struct mu_err *err) MU_CHECK;
/* Something happened: the file is written anew, soon. */
void mu_daemon_metrics_touch(struct mu_daemon *daemon);
void mu_daemon_metrics_stop(struct mu_daemon *daemon); /* while the loop is there */
void mu_daemon_metrics_free(struct mu_daemon *daemon); /* once it runs no more */
/* The text; ctx is the daemon. */
enum mu_code mu_daemon_metrics_text(void *ctx, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* ---- daemon_reload.c ---- */
/* The old configuration stays if the new one is wrong. */
enum mu_code mu_daemon_reload(struct mu_daemon *daemon, struct mu_err *err) MU_CHECK;
/* STATUS= for systemd. */
void mu_daemon_tell_status(struct mu_daemon *daemon);

#endif
