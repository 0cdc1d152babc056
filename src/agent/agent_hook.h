/*
 * Programs that people give us to run (PRODUCT "Hooks"): what they are told, which of them there are, and
 * that they can be trusted not to be somebody else's. Running them is mu_loop_spawn.
 */
#ifndef MU_AGENT_HOOK_H
#define MU_AGENT_HOOK_H

#include "agent/agent.h"
#include "agent/agent_deploy.h"

enum { MU_AGENT_HOOK_VARS = 48, MU_AGENT_HOOK_OUTPUT = 64 * 1024 };

/* "NAME=value" texts, NULL behind the last. {0} is empty. */
struct mu_agent_hook_env {
    char *v[MU_AGENT_HOOK_VARS + 1];
    size_t n;
    bool failed;
};
/* value NULL or empty: nothing is set. */
void mu_agent_hook_put(struct mu_agent_hook_env *env, const char *name, const char *value);
void mu_agent_hook_put_try(struct mu_agent_hook_env *env, unsigned attempt, int64_t next_try_s);
void mu_agent_hook_env_clear(struct mu_agent_hook_env *env);

/* What a hook hears about. */
struct mu_agent_hook_about {
    const char *name, *ca, *stem, *old_stem; /* stem NULL: the current pair, if any */
    const struct mu_agent_config_entry *plan;
    enum mu_agent_hook_event event;
    const struct mu_err *failed;             /* NULL: nothing failed */
    const char *transaction, *trace;         /* of its exchange; NULL: none */
    unsigned attempt;
    int64_t next_try_s;
};
/* The whole documented environment; paths by serial, and only of files that exist. No key and no secret is
 * in it. */
enum mu_code mu_agent_hook_environment(struct mu_agent *agent, const struct mu_agent_hook_about *about,
    struct mu_agent_hook_env *out, struct mu_err *err) MU_CHECK;

/* Whole paths of the scripts of hooks.d/<phase>/ ("pre", "deploy", "post", "failed"), by name: regular
 * executable files of root or ours that nobody else can write. Others are told in warning and left out. */
typedef void mu_agent_hook_script_call(void *cookie, const char *path);
enum mu_code mu_agent_hook_each(const struct mu_agent *agent, const char *phase,
    mu_agent_hook_script_call *call, void *cookie, struct mu_buf *warnings, struct mu_err *err) MU_CHECK;
/* Path of a recipe by its name, which never is a path; MU_NOT_FOUND names the recipes there are. */
enum mu_code mu_agent_hook_recipe(const struct mu_agent *agent, struct mu_bytes name, struct mu_buf *path,
    struct mu_err *err) MU_CHECK;
/* Output of a program line by line, escaped, cut, without empty ones; what stands in a private key is "*". */
typedef void mu_agent_hook_line_call(void *cookie, const char *line);
void mu_agent_hook_lines(struct mu_bytes output, mu_agent_hook_line_call *call, void *cookie);
/* What our own programs said in it of a deployment, last: "muster: M903: Parameter ..." is M903 and its
 * sentence. MU_REASON_NONE: nothing. */
enum mu_reason mu_agent_hook_said(struct mu_bytes output, char *sentence, size_t size);
/* Is there a private key in it? */
bool mu_agent_hook_shows_key(struct mu_bytes output);
/* May this file be run as a hook? Else M901 with the reason. */
enum mu_code mu_agent_hook_check(const char *path, struct mu_err *err) MU_CHECK;

#endif
