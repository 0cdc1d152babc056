/*
 * An object of "certificates" back to facts: for a command that tells in tables and pages what it was told by
 * the agent. What is written by agent_json_facts.c is read here.
 */
#ifndef MU_WEB_AGENT_FACTS_H
#define MU_WEB_AGENT_FACTS_H

#include "agent/agent.h"
#include "web/kit/kit_json.h"

/* Members that are not there are not known; unknown ones are left alone, as a later agent may have more. */
enum mu_code mu_web_agent_facts_decode(const json_t *in, struct mu_agent_facts *out, struct mu_err *err)
    MU_CHECK;

#endif
