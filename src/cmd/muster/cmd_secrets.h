/*
 * The secrets of one enrollment and where they come from, in this order: a file, a descriptor,
 * the configuration (a file or a systemd credential), the environment, a question on the
 * terminal. What is kept in the store serves where none of them says anything.
 */
#ifndef MU_CMD_SECRETS_H
#define MU_CMD_SECRETS_H

#include "base/secret.h"

struct mu_cmd;
struct mu_agent_config_secrets;
struct mu_agent_settings;
struct mu_agent_enroll;

struct mu_cmd_secrets {
    struct mu_secret challenge, key_password, password, srp_password, secret, shared_key;
};
void mu_cmd_secrets_clear(struct mu_cmd_secrets *secrets);

/* Takes the MUSTER_SECRET_... variables out of the environment, before any child starts. */
void mu_cmd_secrets_environment(struct mu_cmd *cmd);
/* What the options give, else the environment; nobody is asked. */
enum mu_code mu_cmd_secrets_options(
    struct mu_cmd *cmd, struct mu_cmd_secrets *secrets, struct mu_err *err) MU_CHECK;
/* The same, then what the configuration says for those that are still missing. config may be
 * NULL. */
enum mu_code mu_cmd_secrets_take(struct mu_cmd *cmd, const struct mu_agent_config_secrets *config,
    struct mu_cmd_secrets *secrets, struct mu_err *err) MU_CHECK;
/* What these settings need and nobody gave, the store neither: the person at the terminal is
 * asked; where nobody is, a user without a password is an error that names the option. */
enum mu_code mu_cmd_secrets_ask(struct mu_cmd *cmd, const char *name,
    const struct mu_agent_settings *settings, struct mu_cmd_secrets *secrets, struct mu_err *err)
    MU_CHECK;
/* Views for the agent: what is not set is NULL. */
const struct mu_secret *mu_cmd_secrets_given(const struct mu_secret *secret);

#endif
