/*
 * The agent itself: every certificate of the configuration and of the store, each with its lifecycle record
 * (enroll/enroll_lifecycle.h, kept in state/<name>.life), one timer for the nearest of them, and jobs that
 * run side by side up to a limit. It decides nothing of its own: it asks decide(), does what it says, and
 * tells apply() how it went. Each job, by whoever started, updates the record under the entry's lock, so
 * agent, timer, cron and hand see the same history.
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
    struct mu_agent *agent;
    struct mu_agent_config *config;  /* a reference is taken */
    const char *host;                /* for the spread: stable for this machine */
    int64_t built_s;
    unsigned max_jobs;               /* 0: 16 */
    /* Secrets of an entry out of the configuration, the credential directory or the store. */
    enum mu_code (*on_secrets)(void *cookie, const struct mu_agent_config_secrets *where,
        struct mu_agent_enroll *request, struct mu_err *err);
    void *cookie;
};
enum mu_code mu_agent_watch_new(const struct mu_agent_watch_config *config, struct mu_agent_watch **out,
    struct mu_err *err) MU_CHECK;
/* Jobs stop: what was sent stays stored. */
void mu_agent_watch_free(struct mu_agent_watch *watch);
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
enum mu_code mu_agent_watch_wish(struct mu_agent_watch *watch, const char *name, enum mu_agent_watch_wish wish,
    struct mu_err *err) MU_CHECK;

#endif
