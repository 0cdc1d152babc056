/* From options, configuration and the demo's file to the settings and secrets of one enrollment. */
#ifndef MU_CMD_SETTINGS_H
#define MU_CMD_SETTINGS_H

#include "cmd/muster/cmd.h"

/* What the options say about connection, algorithms, subject and key, added to settings. */
enum mu_code mu_cmd_settings_args(
    struct mu_cmd *cmd, struct mu_agent_settings *settings, struct mu_err *err) MU_CHECK;

/* Is --via one that this version speaks? */
enum mu_code mu_cmd_settings_via(const struct mu_cmd_args *args, struct mu_err *err) MU_CHECK;

/* Everything for 'enroll' and 'csr': the configuration or else the stored settings, then --demo, then
 * the options; '/CN=<name>' if no subject was given. Secrets as cmd_secrets.h has it; not set where
 * there is none. The store is open. */
enum mu_code mu_cmd_settings_enroll(struct mu_cmd *cmd, const char *name,
    struct mu_agent_settings *settings, struct mu_cmd_secrets *secrets, struct mu_err *err)
    MU_CHECK;

/* The same for a certificate that exists: no subject is made up and nobody is asked for a secret. */
enum mu_code mu_cmd_settings_adopt(struct mu_cmd *cmd, const char *name,
    struct mu_agent_settings *settings, struct mu_cmd_secrets *secrets, struct mu_err *err)
    MU_CHECK;

/* URL of 'muster-ca demo' in ./demo (or $MUSTER_DEMO) for the protocol of --via: out of its
 * demo.conf; its root becomes trusted as "demo", which the first use says. */
enum mu_code mu_cmd_settings_demo(struct mu_cmd *cmd, struct mu_buf *url, struct mu_err *err)
    MU_CHECK;

#endif
