/*
 * From a pair in the store to a service that presents it (PRODUCT "Hooks"): pre, then the switch, recipes,
 * success-script, verification, post; failure-script where an enrollment or a deployment failed. Once per
 * serial: state/<name>.deploy remembers what was done, so a kill goes on where it was. Children run as
 * hook-user, in '/', with umask 077, a clean environment, a time limit, their output bounded; no key and no
 * secret travels in the environment.
 */
#ifndef MU_AGENT_DEPLOY_H
#define MU_AGENT_DEPLOY_H

#include "agent/agent.h"
#include "agent/agent_config.h"

enum mu_agent_hook_event {
    MU_AGENT_HOOK_ENROLLED, MU_AGENT_HOOK_RENEWED, MU_AGENT_HOOK_REGENERATED, MU_AGENT_HOOK_FAILED,
    MU_AGENT_HOOK_WARNING, MU_AGENT_HOOK_EXPIRED, MU_AGENT_HOOK_CA_CHANGED, MU_AGENT_HOOK_TEST,
};
const char *mu_agent_hook_event_word(enum mu_agent_hook_event event); /* "enrolled" */

/* What one hook, recipe or check came to; views during the call. */
struct mu_agent_deploy_part {
    const char *what;      /* "recipe nginx", "success-script", "verify tls:localhost:443" */
    bool ok;
    int exit_code;         /* of a child; -1: none */
    enum mu_reason code;   /* M901, M902, M904, M905, M609 */
    const char *last_line; /* of its output */
    const char *serial_seen;
    struct mu_bytes output;
};

struct mu_agent_deploy_outcome {
    bool ok;               /* in use, as far as anything was asked to prove it */
    bool is_stale;         /* RENEWED-STALE: a service still shows the old one (M902) */
    bool is_vetoed;        /* hooks.d/pre: the pair waits, and the present one stays in use */
    bool nothing;          /* there was nothing to run */
    const char *serial;    /* of the pair deployed */
};

struct mu_agent_deploy;
struct mu_agent_deploy_host {
    void *ctx;
    void (*on_part)(void *ctx, const struct mu_agent_deploy_part *part); /* may be NULL */
    void (*on_warning)(void *ctx, const char *lines);                     /* scripts left out; may be NULL */
    void (*on_done)(void *ctx, const struct mu_agent_deploy_outcome *outcome, const struct mu_err *err);
};
struct mu_agent_deploy_request {
    const char *name;
    const struct mu_agent_config_entry *plan;   /* copied as far as needed */
    const struct mu_agent_config_agent *agent;
    enum mu_agent_hook_event event;
    const struct mu_err *failed;   /* becomes MUSTER_ERROR_*: only failure-script and hooks.d/failed run */
    const char *transaction;       /* may be NULL */
    unsigned attempt;
    int64_t next_try_s;
    bool verify_only;
    bool again;                    /* by hand: although done for this serial */
};
enum mu_code mu_agent_deploy_start(struct mu_agent *agent, const struct mu_agent_deploy_request *request,
    const struct mu_agent_deploy_host *host, struct mu_agent_deploy **out, struct mu_err *err) MU_CHECK;
void mu_agent_deploy_cancel(struct mu_agent_deploy *deploy);
/* Is there anything to run or to verify: of the entry, or in hooks.d? */
bool mu_agent_deploy_has_plan(const struct mu_agent *agent, const struct mu_agent_config_entry *plan);
/* A pair of this entry waits to be deployed: hooks.d/pre has not said yes yet, or it is not valid yet.
 * stem may be NULL. */
bool mu_agent_deploy_held(struct mu_agent *agent, const char *name, char stem[MU_KEYSTORE_STEM]);
/* Anything that wants to hear of a failure? */
bool mu_agent_deploy_has_failure(const struct mu_agent *agent, const struct mu_agent_config_entry *plan);
/* Scripts of hooks.d/post, which hear of changed CAs too. */
bool mu_agent_deploy_has_post(const struct mu_agent *agent);

/* M609: what the service of a recipe needs of a certificate. */
enum mu_code mu_agent_deploy_recipe_fits(
    const char *recipe, struct mu_pki_cert *cert, struct mu_err *err) MU_CHECK;

/* What state/<name>.deploy says, for status. */
struct mu_agent_deploy_seen {
    char *recipe, *endpoint, *serial_seen; /* owned; NULL: not known */
    char *last_line;                       /* of its output */
    const char *file;                      /* that a recipe wrote for it; NULL: not known */
    bool match;
    enum mu_reason code;
    int exit_code;
    int64_t at_s;
};
typedef void mu_agent_deploy_seen_call(void *cookie, const struct mu_agent_deploy_seen *seen);
enum mu_code mu_agent_deploy_each(struct mu_agent *agent, const char *name, mu_agent_deploy_seen_call *call,
    void *cookie, struct mu_err *err) MU_CHECK;

#endif
