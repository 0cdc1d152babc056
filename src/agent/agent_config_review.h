/*
 * What the words of a configuration do not tell and this machine does: files that are missing or closed, CAs
 * nobody imported, secrets that are not there, and a renewal that the CA's own behavior does not allow (M602,
 * M603: what was learned at each answer). For 'config check' and doctor.
 */
#ifndef MU_AGENT_CONFIG_REVIEW_H
#define MU_AGENT_CONFIG_REVIEW_H

#include "agent/agent.h"
#include "agent/agent_config.h"

/* All of it, or one certificate (also one of the store alone). agent->store may be NULL: then only files
 * and accounts are looked at. recipes: where they lie; NULL: not looked at. Errors are what cannot work,
 * advice is what will not work for long. */
enum mu_code mu_agent_config_review(struct mu_agent *agent, const char *name, const char *recipes,
    mu_agent_config_call *call, void *cookie, struct mu_err *err) MU_CHECK;

/* Pure: are the renewals of a certificate with this lifetime and policy in conflict with what its CA was seen to
 * do? M602, M603, M604, or none; days gets the renew-days to set (0: none is known). */
enum mu_reason mu_agent_config_review_policy(const struct mu_lifecycle *record,
    const struct mu_lifecycle_policy *policy, int *days);

#endif
