/* clang-format off */
/*
 * What is asked of the running agent, as JSON (schema "muster/1"); the objects of certificates are those of
 * 'muster status --json'. No socket in here: requests come from the control socket or by function call,
 * on the loop's thread.
 *
 *   GET  /v1/status                       {agent: version, process, store, configuration, clock, next look}
 *   GET  /v1/certificates [?after,limit]  {certificates: [...], next}: by name; next: where to go on
 *   GET  /v1/certificates/NAME            the same with one
 *   POST /v1/certificates/NAME/renew      {force, rekey}
 *   POST /v1/certificates/NAME/regenerate {rekey}
 *   POST /v1/certificates/NAME/poll | cancel | deploy | verify
 *                                         -> {name, wish, place}: begun; what comes of it is told by events
 *   GET  /v1/events [?n,after,wait,name,action,subtype,level,status,since,lines]
 *                                         {events: [...], place}: the last n (100), or what came behind place;
 *                                         wait: up to so many seconds for the next one; lines: each event as
 *                                         its line instead of an object
 *   GET  /v1/metrics                      text, as Prometheus reads it
 *   POST /v1/reload                       the configuration, read again; an error leaves the old one
 *   POST /v1/touch [{name}]               the store was changed by somebody else: look again, now
 */
/* clang-format on */
#ifndef MU_WEB_AGENT_H
#define MU_WEB_AGENT_H

#include "agent/agent.h"
#include "agent/agent_watch.h"
#include "web/kit/kit_router.h"

/* What /v1/status says of the process; texts are views during the call. */
struct mu_web_agent_status {
    const char *config, *socket, *metrics, *notify;
    const char *restart;        /* what only a restart takes ("store, control"); NULL: nothing */
    int64_t pid, uid, started_s, reloaded_s;
    int64_t next_s;             /* when it looks again; 0: not known */
    unsigned jobs;              /* that run now */
    unsigned unseen;            /* certificates it has not looked at since it began */
    const struct mu_err *fault; /* of the last reload, or of the store; NULL: none */
};

/* Done by whoever runs the agent; all are called on the loop's thread. */
struct mu_web_agent_host {
    void *ctx;
    void (*on_status)(void *ctx, struct mu_web_agent_status *out);
    enum mu_code (*on_wish)(
        void *ctx, const char *name, enum mu_agent_watch_wish wish, struct mu_err *err);
    void (*on_touch)(void *ctx, const char *name); /* NULL: all */
    enum mu_code (*on_reload)(void *ctx, struct mu_err *err);
    enum mu_code (*on_metrics)(void *ctx, struct mu_buf *out, struct mu_err *err);
};

struct mu_web_agent;
/* The agent, with its loop, outlives it. Requests are taken from root and owner_uid; from members of the
 * group named readers (NULL: none) those that change nothing. */
enum mu_code mu_web_agent_new(struct mu_agent *agent, const struct mu_web_agent_host *host,
    int64_t owner_uid, const char *readers, struct mu_web_agent **out, struct mu_err *err) MU_CHECK;
/* Answers those who still wait. */
void mu_web_agent_free(struct mu_web_agent *web);
/* For mu_kit_dispatch. */
const struct mu_kit_router *mu_web_agent_router(const struct mu_web_agent *web);
/* An event was written: who waits for one hears of it. */
void mu_web_agent_happened(struct mu_web_agent *web);

#endif
