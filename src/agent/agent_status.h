/*
 * From what is known of an entry to what people are told of it: the state, when it is tried again and
 * why it is held, one word for monitoring, and the two lines of the router's page. Pure.
 */
#ifndef MU_AGENT_STATUS_H
#define MU_AGENT_STATUS_H

#include "agent/agent.h"
#include "enroll/enroll_lifecycle.h"

/* Fills state, held, why, next_try_s, due_since_s, attempts and what the CA was seen to allow. The facts of
 * the files, of the last try and of the deployment are there. life NULL: no record. */
void mu_agent_status_decide(struct mu_agent_facts *facts, const struct mu_lifecycle *life,
    const struct mu_lifecycle_policy *policy, int64_t now_s);

/* 0: fine; 1: waits, or is being worked on; 2: needs somebody. */
int mu_agent_status_class(const struct mu_agent_facts *facts);
/* The M-code that says most about it: of the last try, M602, M604, M902, ...; MU_REASON_NONE: all is well. */
enum mu_reason mu_agent_status_code(const struct mu_agent_facts *facts);

/* What there is to say of it, in the three parts of an error: what happened, likely, do. Most important
 * first; nothing where all is well. */
typedef void mu_agent_status_call(void *cookie, const struct mu_err *finding);
void mu_agent_status_each(
    const struct mu_agent_facts *facts, int64_t now_s, mu_agent_status_call *call, void *cookie);

/* One sentence of it by its code, for who tells of it when it comes about: M313, M601 to M607 and M801.
 * False: none of these. */
bool mu_agent_status_say(
    const struct mu_agent_facts *facts, enum mu_reason code, int64_t now_s, struct mu_err *out);

/* R046 to R053: "Module scepClient running", "Certificate enrolled 4A96E1736D". */
const char *mu_agent_status_router_module(const struct mu_agent_facts *facts);
bool mu_agent_status_router_certificate(const struct mu_agent_facts *facts, struct mu_buf *out);

#endif
