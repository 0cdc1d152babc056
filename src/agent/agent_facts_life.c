/* What the lifecycle record of an entry adds to the facts of its files. */
#include "agent/agent_internal.h"
#include "agent/agent_life.h"
#include "agent/agent_status.h"

void mu_agent_facts_life(
    struct mu_agent *agent, struct mu_agent_facts *facts, const struct mu_agent_settings *settings)
{
    struct mu_lifecycle_policy policy = {.renew_days = facts->renew_days, .jitter_percent = 20};
    struct mu_agent_life life = {0};
    bool has_record = mu_agent_life_read(agent->store, facts->name, &life, NULL) == MU_OK
        && !life.is_missing && !life.is_damaged;

    facts->automation = life.life.state != MU_LIFECYCLE_RETIRED;
    if (mu_agent_life_policy(agent, facts->name, &policy, NULL) == MU_OK)
        facts->renew_days = policy.renew_days;
    facts->await_limit_s = policy.max_await_s > 0 ? policy.max_await_s : 3600;
    mu_agent_status_decide(
        facts, has_record ? &life.life : NULL, &policy, mu_env_now(agent->env));
}
