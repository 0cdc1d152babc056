/* From options, configuration and the demo's file to the settings and secrets of one enrollment. */
#ifndef MU_CMD_SETTINGS_H
#define MU_CMD_SETTINGS_H

#include "cmd/muster/cmd.h"

/* What the options say about connection, algorithms, subject and key, added to settings. */
enum mu_code mu_cmd_settings_args(const struct mu_cmd_args *args,
    struct mu_agent_settings *settings, struct mu_err *err) MU_CHECK;

/* Everything for 'enroll' and 'csr': stored settings, then the configuration, then --demo, then
 * the options; '/CN=<name>' if no subject was given. challenge as the options, the environment,
 * the configuration or the person at the terminal say; not set if there is none. The store is
 * open. */
enum mu_code mu_cmd_settings_enroll(struct mu_cmd *cmd, const char *name,
    struct mu_agent_settings *settings, struct mu_secret *challenge, struct mu_err *err) MU_CHECK;

/* '/CN=<name>' if there is no subject; SN in one becomes the unit's serial number. */
enum mu_code mu_cmd_settings_subject(struct mu_cmd *cmd, const char *name,
    struct mu_agent_settings *settings, struct mu_err *err) MU_CHECK;

/* Only the secrets, for 'renew' and the like: nobody is asked. */
enum mu_code mu_cmd_settings_challenge(
    struct mu_cmd *cmd, struct mu_secret *challenge, struct mu_err *err) MU_CHECK;
enum mu_code mu_cmd_settings_key_password(
    struct mu_cmd *cmd, struct mu_secret *password, struct mu_err *err) MU_CHECK;

/* URL of 'muster-ca demo' in ./demo (or $MUSTER_DEMO): out of its demo.conf; its root becomes
 * trusted as "demo", which the first use says. challenge_file may be NULL. */
enum mu_code mu_cmd_settings_demo(struct mu_cmd *cmd, struct mu_buf *url,
    struct mu_buf *challenge_file, struct mu_err *err) MU_CHECK;

#endif
