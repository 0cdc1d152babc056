/*
 * notify = command:PATH: a program that is run for each event of a certificate, one at a time and in their
 * order, with the fields in its environment. A slow one makes events wait, and past a limit lose.
 */
#ifndef MU_DAEMON_COMMAND_H
#define MU_DAEMON_COMMAND_H

#include "base/loop.h"
#include "cmd/musterd/daemon_log.h"

struct mu_daemon_command;
/* conf: hook-user, hook-timeout; copied. */
enum mu_code mu_daemon_command_new(const char *path, const struct mu_agent_config_agent *conf,
    struct mu_loop *loop, struct mu_daemon_command **out, struct mu_err *err) MU_CHECK;
/* What runs is ended, what waits is dropped. */
void mu_daemon_command_free(struct mu_daemon_command *command);
void mu_daemon_command_put(struct mu_daemon_command *command, const struct mu_daemon_record *record);

/* "MUSTER_NAME", appended to what stands in out. */
void mu_daemon_command_key(char *out, size_t size, enum mu_agent_event_field field);

#endif
