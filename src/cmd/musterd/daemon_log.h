/*
 * What musterd says: lines of its own and the events of certificates, in one form (PRODUCT "Events"), to
 * whoever the configuration names. Only the loop's thread writes.
 */
#ifndef MU_DAEMON_LOG_H
#define MU_DAEMON_LOG_H

#include "agent/agent_config.h"
#include "agent/agent_event.h"
#include "base/env.h"
#include "keystore/keystore.h"

enum mu_daemon_level {
    MU_DAEMON_DEBUG,
    MU_DAEMON_INFO,
    MU_DAEMON_NOTICE,
    MU_DAEMON_WARNING,
    MU_DAEMON_ERROR,
};

/* One thing that is said. Absent ones NULL. */
struct mu_daemon_record {
    enum mu_daemon_level level;
    bool is_failure;
    const char *subtype, *action, *name, *method, *msg, *reason, *hint, *code, *txn, *serial;
    const char *line; /* all of it as 'key=value' */
};

/* front: lines on stderr too. env and, once it is there, store outlive the log. */
void mu_daemon_log_init(const struct mu_env *env, bool front);
void mu_daemon_log_store(struct mu_keystore *store);
/* level: "debug", "info", "notice", "warning", "error"; NULL: info. notify: see daemon_sink.h. An error
 * leaves what was. */
enum mu_code mu_daemon_log_config(const char *level, const char *notify, struct mu_err *err) MU_CHECK;
void mu_daemon_log_close(void);

void mu_daemon_log_line(enum mu_daemon_level level, const char *action, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void mu_daemon_log_error(const char *action, const struct mu_err *err);
void mu_daemon_log_event(const struct mu_agent_event *event);
bool mu_daemon_log_is_debug(void);
void mu_daemon_log_trace(void *ctx, const struct mu_trace_event *event);

#endif
