/* The log: one key=value line per thing that happened (PRODUCT "Events"), from any thread. */
#ifndef MU_CMD_MUSTER_CA_LOG_H
#define MU_CMD_MUSTER_CA_LOG_H

#include "base/env.h"
#include "enroll/enroll_record.h"

enum log_level { LOG_LEVEL_INFO, LOG_LEVEL_NOTICE, LOG_LEVEL_WARNING };

/* path NULL: stderr. The file is opened for appending, mode 0640. */
enum mu_code log_open(const char *path, enum log_level level, struct mu_err *err) MU_CHECK;
/* From now on this thread's lines wait in memory for log_flush, or for another thread's line. */
void log_gather(void);
void log_flush(void);
/* After somebody moved the file away. Goes on with the old one if the new cannot be opened. */
void log_reopen(void);
enum log_level log_level_parse(const char *word); /* NULL: info */

/* One line about the program itself. name is its action ("start", "stop"), msg is escaped. */
void log_line(enum log_level level, const char *action, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of a failure, with code and hint. */
void log_error(const char *action, const struct mu_err *err);
/* For mu_ca_config.event; the cookie is not looked at. */
void log_event(void *cookie, const struct mu_record_audit *event);
/* The trace of this protocol alone; MU_PROTO_NONE: of all. */
void log_trace_only(enum mu_proto proto);
/* For mu_env.trace: "scep step: fact" with the time in front. */
void log_trace(void *ctx, const struct mu_trace_event *event);
/* The clock that lines carry; NULL: the system's. */
void log_clock(const struct mu_env *env);

#endif
