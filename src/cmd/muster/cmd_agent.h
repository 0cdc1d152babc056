/*
 * The agent that runs: asked where the store is not for this user, and told when a command has changed
 * something, so that it looks at once. Commands work without it just as well.
 */
#ifndef MU_CMD_AGENT_H
#define MU_CMD_AGENT_H

#include "cmd/muster/cmd.h"

/* One request; its answer appended to out. MU_NOT_FOUND, M102: no agent runs. A refusal of the agent comes
 * as the error it sent. */
enum mu_code mu_cmd_agent_ask(struct mu_cmd *cmd, const char *method, const char *target, const char *body,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* The store was changed: an agent that runs looks at this entry again (NULL: at all). Nobody there, or nobody
 * who hears us: nothing. */
void mu_cmd_agent_touch(struct mu_cmd *cmd, const char *name);
/* The configuration was changed. What the agent has to say against it is printed. */
void mu_cmd_agent_reload(struct mu_cmd *cmd);

/* Opens the store for reading or, where that is the agent's alone and one runs (this user's, or the
 * system's), sets cmd->asks_agent. */
enum mu_code mu_cmd_agent_open_store(struct mu_cmd *cmd, struct mu_err *err) MU_CHECK;
/* mu_agent_show and mu_agent_list behind it, wherever the facts come from. */
enum mu_code mu_cmd_agent_show(
    struct mu_cmd *cmd, const char *name, struct mu_agent_facts *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_cmd_agent_list(
    struct mu_cmd *cmd, mu_agent_each_call *call, void *cookie, struct mu_err *err) MU_CHECK;

/* For status: "running, process 77, since 2025-11-20 18:40", "not running"; as a member "agent" of j (may be
 * NULL) as well. */
void mu_cmd_agent_state(struct mu_cmd *cmd, struct mu_agent_json *j, char *out, size_t size);

/* ---- cmd_agent_log.c ---- */
struct mu_agent_log_filter;
/* 'muster log' out of the agent's mouth; returns the exit code. */
int mu_cmd_agent_log(struct mu_cmd *cmd, const struct mu_agent_log_filter *filter);

#endif
