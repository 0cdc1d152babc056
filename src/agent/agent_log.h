/*
 * The lines of log/events (keystore_log.h) as facts: fields by their word, filters of 'muster log' and of
 * the control socket, and a line as JSON. Pure but for reading the log.
 */
#ifndef MU_AGENT_LOG_H
#define MU_AGENT_LOG_H

#include "agent/agent_json.h"
#include "keystore/keystore_log.h"

/* Value of a field of 'key=value key="quoted \"value\""'; false if the line does not have it. */
bool mu_agent_log_field(struct mu_bytes line, const char *key, struct mu_buf *out);
/* When, by date=, time= and tz=; 0: cannot be told. */
int64_t mu_agent_log_time(struct mu_bytes line);

struct mu_agent_log_filter {
    const char *name, *action, *subtype, *level, *status; /* NULL: any */
    int64_t since_s;                                      /* 0: any */
};
bool mu_agent_log_matches(const struct mu_agent_log_filter *filter, struct mu_bytes line);
/* The last n (0: all) lines behind *place that match, oldest first; *place moves to the end of the log. */
enum mu_code mu_agent_log_read(struct mu_keystore *store, const struct mu_agent_log_filter *filter,
    size_t n, struct mu_keystore_log_place *place, mu_keystore_log_call *call, void *cookie,
    struct mu_err *err) MU_CHECK;
/* All its fields as texts, in their order. */
void mu_agent_log_json(struct mu_agent_json *j, const char *key, struct mu_bytes line);

#endif
