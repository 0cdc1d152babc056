/*
 * What happened to a certificate, once, in the words of PRODUCT "Events": one typed event that the log,
 * syslog, the journal, 'muster log', --json and the metrics all show alike. Emitted by whoever finishes
 * the deed, after it is on disk; who runs it (musterd, or muster by hand) decides where it goes.
 */
#ifndef MU_AGENT_EVENT_H
#define MU_AGENT_EVENT_H

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
    const char *reason;       /* the CA's own words */
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

/* Pure: the words and the line. */
const char *mu_agent_event_subtype(enum mu_agent_event_kind kind); /* "vpn", "system" */
const char *mu_agent_event_action(enum mu_agent_event_kind kind);  /* "certificate-generate" */
bool mu_agent_event_is_failure(enum mu_agent_event_kind kind);
bool mu_agent_event_msg(const struct mu_agent_event *event, struct mu_buf *out);
/* 'date= time= tz= type=event subtype= ... txn=' without the line end. */
bool mu_agent_event_line(const struct mu_agent_event *event, struct mu_buf *out);

#endif
