/*
 * The agent itself: every certificate of the configuration and of the store, each with its lifecycle record
 * (enroll/enroll_lifecycle.h, kept in state/<name>.life), one timer for the nearest of them, and jobs that
 * run side by side up to a limit. It decides nothing of its own: it asks decide(), does what it says, and
 * tells apply() how it went. Each job, by whoever started, updates the record under the entry's lock, so
 * agent, timer, cron and hand see the same history.
 *
 * In memory is a name and a time for each entry: record and settings are read anew before each decision.
 */
#ifndef MU_AGENT_WATCH_H
#define MU_AGENT_WATCH_H

#include "agent/agent.h"
#include "agent/agent_config.h"
#include "agent/agent_deploy.h"
#include "agent/agent_event.h"
#include "agent/agent_life.h"

struct mu_agent_watch;

struct mu_agent_watch_config {
    struct mu_agent *agent;          /* store, env, loop, transport, events; outlives the watch */
    struct mu_agent_config *config;  /* a reference is taken; NULL: the store alone */
    const char *host;                /* for the spread: stable for this machine; outlives the watch */
    int64_t built_s;
    unsigned max_jobs;               /* 0: 16 */
    /* Secrets of an entry out of the configuration, the credential directory or the store; what it sets in
     * request has to last until the next such call. NULL: what lies in the store alone. */
    enum mu_code (*on_secrets)(void *cookie, const struct mu_agent_config_secrets *where,
        struct mu_agent_enroll *request, struct mu_err *err);
    void *cookie;
    /* Each may be NULL. What the jobs say, and how each ended (views). */
    void *listener;
    void (*on_step)(void *listener, const char *name, enum mu_agent_step step, const char *text);
    void (*on_job)(void *listener, const char *name, const struct mu_agent_outcome *outcome,
        const struct mu_err *err);
    /* Something of the watch's own for the log: what cannot be read, a damaged record. */
    void (*on_note)(void *listener, const char *name, const struct mu_err *err);
    /* What came of a hook, recipe or check, with its output (mu_agent_hook_lines makes it fit for a log). */
    void (*on_part)(void *listener, const char *name, const struct mu_agent_deploy_part *part);
    /* Deployment: mu_agent_deploy_start and its cancel. NULL: none, what is owed stays owed. */
    enum mu_code (*deploy_start)(struct mu_agent *agent, const struct mu_agent_deploy_request *request,
        const struct mu_agent_deploy_host *host, struct mu_agent_deploy **out, struct mu_err *err);
    void (*deploy_cancel)(struct mu_agent_deploy *deploy);
};
/* Stable for this machine and told apart from its clones: the spread of a fleet hangs on it. */
enum { MU_AGENT_WATCH_HOST = 128 };
const char *mu_agent_watch_host(char out[MU_AGENT_WATCH_HOST]);
/* The day this was compiled: no clock that can be believed is before it. */
int64_t mu_agent_watch_built(void);
enum mu_code mu_agent_watch_new(const struct mu_agent_watch_config *config, struct mu_agent_watch **out,
    struct mu_err *err) MU_CHECK;
/* Jobs stop: what was sent stays stored. */
void mu_agent_watch_free(struct mu_agent_watch *watch);
/* Apply: requests that were given up are asked about again (M313). */
enum mu_code mu_agent_watch_reload(struct mu_agent_watch *watch, struct mu_agent_config *config,
    struct mu_err *err) MU_CHECK;
/* The store or the clock changed behind it: look at this one (NULL: at all) again, now. */
void mu_agent_watch_touch(struct mu_agent_watch *watch, const char *name);
/* Starts everything that is due, in the order of need; runs from the loop. For 'muster renew --all', which
 * ends when nothing runs any more, on_idle comes once then. */
void mu_agent_watch_start(struct mu_agent_watch *watch);
void mu_agent_watch_run_once(struct mu_agent_watch *watch, void (*on_idle)(void *cookie), void *cookie);

/* What a person asks for by name; it is not counted by the storm guard. */
enum mu_agent_watch_wish {
    MU_AGENT_WISH_RENEW, MU_AGENT_WISH_RENEW_FORCE, MU_AGENT_WISH_REGENERATE, MU_AGENT_WISH_REKEY,
    MU_AGENT_WISH_POLL, MU_AGENT_WISH_CANCEL, MU_AGENT_WISH_DEPLOY, MU_AGENT_WISH_VERIFY,
};
/* MU_OK: begun (its end comes by on_job and the events) or, for CANCEL, done. MU_BUSY, M707: something
 * runs for this entry already. */
enum mu_code mu_agent_watch_wish(struct mu_agent_watch *watch, const char *name, enum mu_agent_watch_wish wish,
    struct mu_err *err) MU_CHECK;

/* For status: how many entries, of which so many run, wait for their turn, or were not looked at yet. */
struct mu_agent_watch_counts {
    size_t entries, running, ready, unseen;
};
void mu_agent_watch_counts(const struct mu_agent_watch *watch, struct mu_agent_watch_counts *out);
/* When this entry (NULL: the first of all) is looked at next, by the wall clock; 0: now, or there is no such entry. */
int64_t mu_agent_watch_next(const struct mu_agent_watch *watch, const char *name);

#endif
