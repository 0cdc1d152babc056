/* A certificate taken out of configuration and store: what hangs on it, and the removal. The CA does not hear of it. */
#ifndef MU_AGENT_REMOVE_H
#define MU_AGENT_REMOVE_H

#include "agent/agent.h"

/* Where it is needed, a line each: "nginx localhost:443", "the client certificate of web", "the client certificate of
 * [ca "corp"]"; empty: nowhere that is known. facts may be NULL. */
enum mu_code mu_agent_remove_uses(struct mu_agent *agent, const char *name, const struct mu_agent_facts *facts,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* Out of the configuration of path (NULL: the usual one), then out of the store with keys, former pairs, settings,
 * secrets (unless a section still names them) and traces. changed is told each file of the configuration. M707 if
 * somebody works on it: then nothing was changed. MU_NOT_FOUND: there is no such certificate. */
enum mu_code mu_agent_remove(struct mu_agent *agent, const char *path, const char *name,
    mu_agent_config_file_call *changed, void *cookie, struct mu_err *err) MU_CHECK;

#endif
