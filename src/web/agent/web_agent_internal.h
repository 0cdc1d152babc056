/* What the files of web/agent share. */
#ifndef MU_WEB_AGENT_INTERNAL_H
#define MU_WEB_AGENT_INTERNAL_H

#include "agent/agent_entry.h"
#include "agent/agent_json.h"
#include "agent/agent_log.h"
#include "web/agent/web_agent.h"

enum {
    MU_WEB_AGENT_ANSWER = 64 << 20, /* octets: 10,000 certificates take 15 MiB */
    MU_WEB_AGENT_SLICE = 32,        /* certificates read before others have their turn */
    MU_WEB_AGENT_LISTS = 8,         /* lists that are made at a time */
    MU_WEB_AGENT_FOLLOWERS = 16,    /* who wait for events */
    MU_WEB_AGENT_WAIT_S = 60,       /* and how long at most */
};

struct mu_web_agent_list;     /* one that is being made */
struct mu_web_agent_follower; /* one who waits */

struct mu_web_agent {
    struct mu_agent *agent;
    struct mu_web_agent_host host;
    struct mu_kit_router router;
    struct mu_web_agent_list *lists;
    unsigned list_n;
    struct mu_web_agent_follower *followers;
    unsigned follower_n;
    struct mu_loop_timer *look; /* at the log, for what others write; while somebody waits */
};

int64_t mu_web_agent_now(const struct mu_web_agent *web);
/* The members a request may have; on an error the call is answered. */
bool mu_web_agent_takes(struct mu_kit_call *call, const char *const *known);
/* Closes the document and answers with it. */
void mu_web_agent_answer(struct mu_kit_call *call, struct mu_agent_json *j);

/* ---- web_agent_certs.c ---- */
void mu_web_agent_certs_list(struct mu_kit_call *call);
void mu_web_agent_certs_show(struct mu_kit_call *call);
void mu_web_agent_certs_end(struct mu_web_agent *web); /* answers all that are unfinished */

/* ---- web_agent_events.c ---- */
void mu_web_agent_events(struct mu_kit_call *call);
void mu_web_agent_events_end(struct mu_web_agent *web);

/* ---- web_agent_traces.c ---- */
void mu_web_agent_traces(struct mu_kit_call *call);

#endif
