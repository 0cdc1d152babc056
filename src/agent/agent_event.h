/*
 * What happened to a certificate, once, in the words of PRODUCT "Events": one typed event that the log,
 * syslog, the journal, 'muster log' and --json all show alike. Emitted by whoever finishes
 * the deed, after it is on disk; who runs it (musterd, or muster by hand) decides where it goes.
 */
#ifndef MU_AGENT_EVENT_H
#define MU_AGENT_EVENT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum mu_agent_event_kind {
    MU_AGENT_EVENT_LOADED,         /* Certificate is loaded */
    MU_AGENT_EVENT_SIGNED,         /* Successfully signed local certificate via SCEP */
    MU_AGENT_EVENT_CONNECT_FAILED, /* Failed to connect SCEP Server */
    MU_AGENT_EVENT_SIGN_FAILED,    /* Failed to sign local certificate via SCEP-<reason> */
    MU_AGENT_EVENT_WARNING,        /* Local certificate <name> will expire in <n> days */
    MU_AGENT_EVENT_PENDING,
    MU_AGENT_EVENT_HELD,
    MU_AGENT_EVENT_CLOCK,
    MU_AGENT_EVENT_DEPLOYED,
    MU_AGENT_EVENT_DEPLOY_FAILED,
    MU_AGENT_EVENT_STALE,          /* renewed, and the service shows the old one */
    MU_AGENT_EVENT_CA_CHANGED,
    MU_AGENT_EVENT_EXPIRED,
    MU_AGENT_EVENT_KINDS
};

/* Views; absent ones NULL. */
struct mu_agent_event {
    enum mu_agent_event_kind kind;
    int64_t at_s;
    const char *name;         /* entry */
    const char *proto;        /* "scep", "est", "cmp" */
    const char *method;       /* "enroll", "renew", "regenerate", "poll", "deploy" */
    const char *reason;       /* the CA's own words, or what happened where the CA is not the cause */
    const char *hint;         /* what to do */
    const char *serial;
    const char *transaction;
    const char *detail;       /* "nginx localhost:443" */
    enum mu_reason code;      /* M312; none on success */
    int days;                 /* WARNING */
};

typedef void mu_agent_event_call(void *cookie, const struct mu_agent_event *event);

/* Who hears of events. {0}: nobody. */
struct mu_agent_events {
    mu_agent_event_call *call;
    void *cookie;
};
void mu_agent_event_emit(const struct mu_agent_events *to, const struct mu_agent_event *event);

/* ---- pure: the words and the line ---- */
const char *mu_agent_event_subtype(enum mu_agent_event_kind kind); /* "vpn", "system" */
const char *mu_agent_event_action(enum mu_agent_event_kind kind);  /* "certificate-generate" */
const char *mu_agent_event_level(enum mu_agent_event_kind kind);   /* "notice", "warning", "error" */
/* Of syslog: 5, 4, 3. */
int mu_agent_event_severity(enum mu_agent_event_kind kind);
bool mu_agent_event_is_failure(enum mu_agent_event_kind kind);
bool mu_agent_event_msg(const struct mu_agent_event *event, struct mu_buf *out);

enum mu_agent_event_field {
    MU_AGENT_EVENT_DATE, MU_AGENT_EVENT_TIME, MU_AGENT_EVENT_TZ, MU_AGENT_EVENT_TYPE,
    MU_AGENT_EVENT_SUBTYPE, MU_AGENT_EVENT_LEVEL, MU_AGENT_EVENT_ACTION, MU_AGENT_EVENT_STATUS,
    MU_AGENT_EVENT_NAME, MU_AGENT_EVENT_METHOD, MU_AGENT_EVENT_MSG, MU_AGENT_EVENT_REASON,
    MU_AGENT_EVENT_HINT, MU_AGENT_EVENT_CODE, MU_AGENT_EVENT_TXN,
    MU_AGENT_EVENT_FIELDS
};
/* "subtype"; for the journal the same in upper case with MUSTER_ in front. */
const char *mu_agent_event_field_name(enum mu_agent_event_field field);

/* The same event as texts, NULL where there is nothing to say. Times are UTC. */
struct mu_agent_event_row {
    const char *field[MU_AGENT_EVENT_FIELDS];
    int64_t at_s;
    struct mu_buf texts; /* what field points into */
};
enum mu_code mu_agent_event_row(const struct mu_agent_event *event, struct mu_agent_event_row *out,
    struct mu_err *err) MU_CHECK;
void mu_agent_event_row_clear(struct mu_agent_event_row *row);

/* 'date= time= tz= type=event subtype= ... txn=' without the line end; never more than
 * MU_AGENT_EVENT_LINE octets. Control characters of remote text are escaped. */
enum { MU_AGENT_EVENT_LINE = 8000 };
bool mu_agent_event_line(const struct mu_agent_event *event, struct mu_buf *out);
bool mu_agent_event_row_line(const struct mu_agent_event_row *row, struct mu_buf *out);
/* For --json: mu_agent_log_json of the line (agent_log.h). */
/* Structured data of RFC 5424 6.3: '[muster@32473 type="event" ...]'. */
bool mu_agent_event_row_sd(const struct mu_agent_event_row *row, struct mu_buf *out);
/* The sink that 'muster log' reads: the line, appended to the store's log. */
struct mu_keystore;
enum mu_code mu_agent_event_store(struct mu_keystore *store, const struct mu_agent_event *event,
    struct mu_err *err) MU_CHECK;

#endif
