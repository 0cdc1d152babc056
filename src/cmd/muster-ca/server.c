#include "cmd/muster-ca/server.h"

#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/muster-ca/files.h"
#include "cmd/muster-ca/log.h"
#include "cmd/muster-ca/record.h"
#include "cmd/muster-ca/server_tls.h"
#include "net/net_ask.h"
#include "net/net_loop.h"
#include "net/net_server.h"
#include "web/ca/web_ca.h"

enum { TICK_MS = 60 * 1000, GRACE_S = 5 };

struct server {
    const struct server_options *options;
    struct instance instance;
    struct mu_loop *loop;
    struct mu_loop_timer *tick;
    struct mu_net_server *public, *admin;
    struct server_tls tls;
    struct mu_net_ask_path admin_path;
    struct mu_web_ca web;
    struct mu_kit_router router;
    struct record *record;
    uint16_t ports[INSTANCE_MAX_LISTEN];
};

/* ---- what is done together ---- */

/* On the store's writer thread: it answers what it has committed. */
static _Thread_local bool is_answering;

static void answers_begin(void *ctx)
{
    is_answering = true;
    log_gather();
    mu_net_replies_hold();
}

static void answers_end(void *ctx)
{
    log_flush();
    is_answering = false;
    mu_net_replies_release();
}

/* On a worker: before it waits, what its requests have submitted and told is handed on. */
static void on_round_end(void *cookie)
{
    const struct server *s = cookie;

    log_gather();
    mu_store_thread_gathers();
    log_flush();
    mu_store_flush(s->instance.store);
}

/* ---- public requests ---- */

struct exchange {
    struct mu_net_reply *reply;
    struct record *record;
    unsigned number;
};

/* A line of the log is written before the answer it tells of. The writer's answers have theirs
 * written together (answers_end). */
static void send_reply(struct mu_net_reply *reply, struct mu_http_response *response)
{
    if (!is_answering)
        log_flush();
    mu_net_reply_send(reply, response);
}

static void exchange_reply(void *cookie, struct mu_http_response *response)
{
    struct exchange *x = cookie;

    record_reply(x->record, x->number, response);
    send_reply(x->reply, response);
    free(x);
}

static void plain_reply(void *cookie, struct mu_http_response *response)
{
    send_reply(cookie, response);
}

static void on_request(
    void *cookie, const struct mu_http_request *request, struct mu_net_reply *reply)
{
    struct server *s = cookie;
    struct exchange *x = s->record != NULL ? calloc(1, sizeof *x) : NULL;

    if (x == NULL) {
        mu_ca_handle(s->instance.ca, request, plain_reply, reply);
        return;
    }
    x->reply = reply;
    x->record = s->record;
    x->number = record_request(s->record, request);
    mu_ca_handle(s->instance.ca, request, exchange_reply, x);
}

/* ---- the operator's ---- */

static void on_admin(
    void *cookie, const struct mu_http_request *request, struct mu_net_reply *reply)
{
    const struct server *s = cookie;

    mu_kit_dispatch(&s->router, request, plain_reply, reply);
}

/* ---- the main thread ---- */

static void on_stop(void *cookie)
{
    struct server *s = cookie;

    log_line(LOG_LEVEL_NOTICE, "stop", "Stopping: no new requests, answers under way are sent.");
    mu_loop_stop(s->loop);
}

/* From files that were exchanged, or by the CA anew. */
static void renew_tls(struct server *s)
{
    struct server_tls fresh = {0};
    struct mu_err err = {0};
    enum mu_code rc = server_tls_open(&s->instance, &fresh, &err);

    if (rc == MU_OK)
        rc = mu_net_server_renew_tls(s->public, &fresh.tls, &err);
    if (rc != MU_OK) {
        log_error("tls", &err);
        server_tls_close(&fresh);
        return;
    }
    server_tls_close(&s->tls);
    s->tls = fresh;
    log_line(LOG_LEVEL_NOTICE, "tls", "The TLS listeners have a new certificate.");
}

static void on_reload(void *cookie)
{
    struct server *s = cookie;
    struct mu_err err = {0};

    log_reopen();
    if (mu_ca_reload(s->instance.ca, &err) != MU_OK)
        log_error("reload", &err);
    else
        log_line(LOG_LEVEL_NOTICE, "reload", "CAs, profiles and settings read again.");
    if (s->tls.tls.key != NULL && !s->tls.is_issued)
        renew_tls(s);
}

static void on_tick(void *cookie)
{
    struct server *s = cookie;
    struct mu_err err = {0};

    if (mu_ca_tick(s->instance.ca, &err) != MU_OK)
        log_error("tick", &err);
    if (server_tls_is_due(&s->tls, mu_env_now(&s->instance.env)))
        renew_tls(s);
    mu_loop_timer_free(s->loop, s->tick);
    s->tick = mu_loop_after(s->loop, TICK_MS, on_tick, s);
}

/* Before any thread is started, so that only the loop sees them. */
static enum mu_code signals_take(struct server *s, struct mu_err *err)
{
    enum mu_code rc;

    signal(SIGPIPE, SIG_IGN);
    if ((rc = mu_net_loop_on_signal(s->loop, SIGINT, on_stop, s, err)) != MU_OK)
        return rc;
    if ((rc = mu_net_loop_on_signal(s->loop, SIGTERM, on_stop, s, err)) != MU_OK)
        return rc;
    return mu_net_loop_on_signal(s->loop, SIGHUP, on_reload, s, err);
}

static enum mu_code public_start(struct server *s, struct mu_err *err)
{
    const struct instance_conf *conf = s->options->conf;
    struct mu_net_server_config config = {.workers = (unsigned)conf->workers,
        .max_connections = (unsigned)conf->max_connections,
        .env = &s->instance.env,
        .round_end = on_round_end,
        .cookie = s};
    enum mu_code rc = mu_net_server_new(&config, &s->public, err);

    if (rc == MU_OK && server_tls_is_wanted(conf))
        rc = server_tls_open(&s->instance, &s->tls, err);
    for (size_t i = 0; rc == MU_OK && i < conf->listen_n; i++) {
        struct mu_net_listener listener = {.address = conf->listen[i].address,
            .port = conf->listen[i].port,
            .tls = conf->listen[i].tls ? &s->tls.tls : NULL,
            .handler = on_request,
            .cookie = s};

        rc = mu_net_server_listen(s->public, &listener, &s->ports[i], err);
        if (rc != MU_OK)
            mu_err_next(
                err, "Choose another address or port (--port, listen=), or end who has it.");
    }
    return rc;
}

/* The system's socket is below /run, which is empty after a boot. */
static enum mu_code admin_dir(const char *path, struct mu_err *err)
{
    char copy[PATH_MAX];

    snprintf(copy, sizeof copy, "%s", path);
    return files_mkdir(dirname(copy), 0755, err);
}

/* A thread of its own: an operator's request waits for the database, clients' do not wait for it.
 */
static enum mu_code admin_start(struct server *s, struct mu_err *err)
{
    struct mu_net_server_config config = {
        .workers = 1, .max_connections = 64, .deadline_s = 60, .env = &s->instance.env};
    char address[sizeof s->admin_path.text + 8];
    enum mu_code rc;

    s->web = (struct mu_web_ca){.ca = s->instance.ca, .env = &s->instance.env};
    s->router = (struct mu_kit_router){
        .routes = mu_web_ca_routes, .context = &s->web, .owner_uid = (int64_t)geteuid()};
    if ((rc = admin_dir(s->options->conf->admin, err)) != MU_OK)
        return rc;
    if ((rc = mu_net_ask_path_open(s->options->conf->admin, &s->admin_path, err)) != MU_OK)
        return rc;
    if ((rc = mu_net_server_new(&config, &s->admin, err)) != MU_OK)
        return rc;
    snprintf(address, sizeof address, "unix:%s", s->admin_path.text);
    unlink(s->admin_path.text); /* ours by the lock: what is there is of a process that died */
    struct mu_net_listener listener = {.address = address,
        .handler = on_admin,
        .cookie = s,
        .max_body = MU_KIT_JSON_MAX,
        .unix_mode = 0660};
    return mu_net_server_listen(s->admin, &listener, NULL, err);
}

static enum mu_code start(struct server *s, struct mu_err *err)
{
    const struct server_options *o = s->options;
    struct instance_options open = {
        .create = o->create,
        .event = log_event,
        .trace = o->debug ? log_trace : NULL,
        .answers = {.begin = answers_begin, .end = answers_end}};
    enum mu_code rc;

    if ((rc = log_open(
             o->conf->log, o->quiet ? LOG_LEVEL_WARNING : log_level_parse(o->conf->log_level), err))
        != MU_OK)
        return rc;
    if ((rc = mu_net_loop_new(&s->loop, err)) != MU_OK)
        return rc;
    if ((rc = signals_take(s, err)) != MU_OK)
        return rc;
    if ((rc = instance_open(o->conf, &open, &s->instance, err)) != MU_OK)
        return rc;
    log_clock(&s->instance.env);
    log_trace_only(o->only);
    if (mu_env_system_shift() != 0)
        log_line(LOG_LEVEL_WARNING, "clock", "The clock is shifted by %lld s (MUSTER_CLOCK_SHIFT).",
            (long long)mu_env_system_shift());
    if (o->conf->record != NULL && (rc = record_open(o->conf->record, &s->record, err)) != MU_OK)
        return rc;
    if (o->prepare != NULL && (rc = o->prepare(o->cookie, &s->instance, err)) != MU_OK)
        return rc;
    if ((rc = public_start(s, err)) != MU_OK)
        return rc;
    if ((rc = admin_start(s, err)) != MU_OK)
        return rc;
    if ((rc = mu_net_server_start(s->public, err)) != MU_OK)
        return rc;
    if ((rc = mu_net_server_start(s->admin, err)) != MU_OK)
        return rc;
    if (o->ready != NULL && (rc = o->ready(o->cookie, &s->instance, s->ports, err)) != MU_OK)
        return rc;
    log_line(LOG_LEVEL_NOTICE, "start", "muster-ca %s serves %s.", MUSTER_VERSION, o->conf->dir);
    return MU_OK;
}

enum mu_code server_run(const struct server_options *options, struct mu_err *err)
{
    struct server s = {
        .options = options, .instance = {.lock_fd = -1}, .admin_path = {.dir_fd = -1}};
    enum mu_code rc = start(&s, err);

    if (rc == MU_OK) {
        on_tick(&s);
        mu_loop_run(s.loop);
    }
    if (s.public != NULL)
        mu_net_server_stop(s.public, GRACE_S);
    if (s.admin != NULL) {
        mu_net_server_stop(s.admin, GRACE_S);
        unlink(s.admin_path.text);
    }
    /* The store answers what it owes before the servers, who own the replies, are gone. */
    instance_close(&s.instance);
    mu_net_server_free(s.public);
    mu_net_server_free(s.admin);
    server_tls_close(&s.tls);
    mu_net_ask_path_close(&s.admin_path);
    mu_loop_timer_free(s.loop, s.tick);
    mu_net_loop_free(s.loop);
    record_close(s.record);
    log_clock(NULL);
    return rc;
}
