/* The control socket: the requests of web/agent, and what they want of the process. */
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/musterd/daemon.h"
#include "cmd/musterd/daemon_log.h"

/* Members may read. */
#define READERS "muster"

static void on_status(void *ctx, struct mu_web_agent_status *out)
{
    const struct mu_daemon *d = ctx;
    const struct mu_agent_config_agent *conf = mu_agent_config_agent(d->config);

    *out = (struct mu_web_agent_status){.config = mu_buf_str(&d->config_file),
        .socket = mu_buf_str(&d->socket),
        .metrics = conf->metrics,
        .notify = conf->notify,
        .pid = (int64_t)getpid(),
        .uid = (int64_t)geteuid(),
        .started_s = d->started_s,
        .reloaded_s = d->reloaded_s,
        .restart = d->restart[0] != '\0' ? d->restart : NULL,
        .fault = d->fault.code != MU_OK ? &d->fault : NULL};
    mu_daemon_watch_status(ctx, out);
}

static enum mu_code on_wish(
    void *ctx, const char *name, enum mu_agent_watch_wish wish, struct mu_err *err)
{
    return mu_daemon_watch_wish(ctx, name, wish, err);
}

static void on_touch(void *ctx, const char *name)
{
    struct mu_daemon *d = ctx;

    mu_agent_metrics_touch(d->certificates, name);
    mu_daemon_watch_touch(d, name);
}

static enum mu_code on_reload(void *ctx, struct mu_err *err)
{
    return mu_daemon_reload(ctx, err);
}

static void reply_done(void *cookie, struct mu_http_response *response)
{
    mu_net_reply_send(cookie, response);
}

static void on_request(void *cookie, const struct mu_http_request *request, struct mu_net_reply *reply)
{
    const struct mu_daemon *d = cookie;

    mu_kit_dispatch(mu_web_agent_router(d->web), request, reply_done, reply);
}

/* Group 'muster', if there is one and we may give a file to it; 0: nobody but us. */
static int64_t readers_gid(void)
{
    const struct group *group = getgrnam(READERS);
    gid_t groups[NGROUPS_MAX];
    int n;

    if (group == NULL || group->gr_gid == 0)
        return 0;
    if (geteuid() == 0 || getegid() == group->gr_gid)
        return (int64_t)group->gr_gid;
    n = getgroups(NGROUPS_MAX, groups);
    for (int i = 0; i < n; i++)
        if (groups[i] == group->gr_gid)
            return (int64_t)group->gr_gid;
    return 0;
}

enum mu_code mu_daemon_control_open(struct mu_daemon *d, struct mu_err *err)
{
    const struct mu_web_agent_host host = {.ctx = d,
        .on_status = on_status,
        .on_wish = on_wish,
        .on_touch = on_touch,
        .on_reload = on_reload,
        .on_metrics = mu_daemon_metrics_text};
    struct mu_daemon_serve_config config = {.call = on_request, .cookie = d, .unix_mode = 0600};
    char address[PATH_MAX + 8];
    enum mu_code rc;

    config.unix_group = readers_gid();
    if (config.unix_group != 0)
        config.unix_mode = 0660;
    snprintf(address, sizeof address, "unix:%s", mu_buf_str(&d->socket));
    config.address = address;
    if ((rc = mu_web_agent_new(
             &d->agent, &host, (int64_t)geteuid(), config.unix_group != 0 ? READERS : NULL, &d->web, err))
        != MU_OK)
        return rc;
    return mu_daemon_serve_open(&config, d->loop, &d->env, &d->control, NULL, err);
}
