/*
 * muster.conf for the command line: where it is, what it says about the store, a CA and an entry.
 * Later sections of the same name win; for an entry: defaults, its CA, its template, itself.
 */
#ifndef MU_CMD_CONFIG_H
#define MU_CMD_CONFIG_H

#include "agent/agent_settings.h"

/* Reads path, or, if it is NULL, /etc/muster/muster.conf if that exists (then *out may stay
 * NULL). A file that is wrong is MU_INPUT M706, exit code 4. */
enum mu_code mu_cmd_config_read(const char *path, struct mu_ini **out, struct mu_err *err) MU_CHECK;
/* Value of [agent] key, NULL if it is not set. */
const char *mu_cmd_config_agent(const struct mu_ini *ini, const char *key);
bool mu_cmd_config_has_ca(const struct mu_ini *ini, const char *name);
bool mu_cmd_config_has_entry(const struct mu_ini *ini, const char *name);
/* Secrets as the configuration writes them: file:PATH, credential:NAME, or the thing itself.
 * Borrowed from ini; NULL: it says nothing. */
struct mu_cmd_config_secrets {
    const char *challenge, *password, *srp_password, *key_password, *secret;
};
/* Adds to settings and secrets what [ca "name"] says. */
enum mu_code mu_cmd_config_ca(const struct mu_ini *ini, const char *name,
    struct mu_agent_settings *settings, struct mu_cmd_config_secrets *secrets, struct mu_err *err)
    MU_CHECK;
/* Adds all that concerns the entry. */
enum mu_code mu_cmd_config_entry(const struct mu_ini *ini, const char *name,
    struct mu_agent_settings *settings, struct mu_cmd_config_secrets *secrets, struct mu_err *err)
    MU_CHECK;

#endif
