/* Where configuration, store and control socket are: by option, environment, configuration, or by who asks. */
#ifndef MU_CMD_PATHS_H
#define MU_CMD_PATHS_H

#include "base/buf.h"

/* given (--store), MUSTER_STORE, configured; /var/lib/muster as root, else the user's data. */
enum mu_code mu_cmd_paths_store(
    const char *given, const char *configured, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* given (--config), MUSTER_CONFIG, or a user's own below XDG_CONFIG_HOME if there is one; else NULL, which is
 * /etc/muster/muster.conf. Borrowed, from buf or from what was given. */
const char *mu_cmd_paths_config(const char *given, struct mu_buf *buf);
/* "hooks.d" and the like, beside the configuration file (NULL: /etc/muster/muster.conf). A whole path. */
enum mu_code mu_cmd_paths_beside(
    const char *config, const char *file, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* Where recipes are looked for; NULL: where they were installed. Only builds for tests ask MUSTER_RECIPES. */
const char *mu_cmd_paths_recipes(void);
/* given (--socket), MUSTER_SOCKET, configured ("unix:" in front or not); /run/muster/control.sock as root,
 * else below XDG_RUNTIME_DIR where there is one. */
enum mu_code mu_cmd_paths_socket(
    const char *given, const char *configured, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* The system's socket, which others than root may ask as well. */
#define MU_CMD_PATHS_SYSTEM_SOCKET "/run/muster/control.sock"

#endif
