/*
 * What musterd says: lines of its own and the events of certificates, in one form (PRODUCT "Events"), to
 * whoever the configuration names. Only the loop's thread writes.
 */
#ifndef MU_DAEMON_LOG_H
#define MU_DAEMON_LOG_H

#include "agent/agent_config.h"
#include "agent/agent_event.h"
#include "base/env.h"
#include "base/loop.h"
#include "keystore/keystore.h"

/* Of syslog (RFC 5424 6.2.1). */
enum mu_daemon_level {
    MU_DAEMON_ERROR = 3,
    MU_DAEMON_WARNING,
    MU_DAEMON_NOTICE,
    MU_DAEMON_INFO,
    MU_DAEMON_DEBUG,
};

/* One thing that is said: an event of a certificate, or what the agent says of itself in the same fields. */
struct mu_daemon_record {
    enum mu_daemon_level level;
    const struct mu_agent_event_row *row;
    const char *line; /* all of it as 'key=value' */
};

/* front: lines on stderr too. env, loop (for command:PATH) and, once it is there, store outlive the log. */
void mu_daemon_log_init(const struct mu_env *env, struct mu_loop *loop, bool front);
void mu_daemon_log_store(struct mu_keystore *store);
/* conf has log-level ("debug", "info", "notice", "warning", "error"; NULL: info) and notify (daemon_sink.h). An
 * error leaves what was. */
enum mu_code mu_daemon_log_config(const struct mu_agent_config_agent *conf, struct mu_err *err) MU_CHECK;
void mu_daemon_log_close(void);

void mu_daemon_log_line(enum mu_daemon_level level, const char *action, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void mu_daemon_log_error(const char *action, const struct mu_err *err);
void mu_daemon_log_event(const struct mu_agent_event *event);
bool mu_daemon_log_is_debug(void);
void mu_daemon_log_trace(void *ctx, const struct mu_trace_event *event);

#endif
