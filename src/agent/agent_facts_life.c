/* What the lifecycle record of an entry adds to the facts of its files. */
#include <stdlib.h>
#include <string.h>

#include "agent/agent_config.h"
#include "agent/agent_deploy.h"
#include "agent/agent_internal.h"
#include "agent/agent_life.h"
#include "agent/agent_status.h"

enum { DEPLOY_MAX = 64 };

static char *copy(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

static void on_seen(void *cookie, const struct mu_agent_deploy_seen *seen)
{
    struct mu_agent_facts *f = cookie;
    struct mu_agent_facts_deploy *more;

    if (f->deploy_n == DEPLOY_MAX
        || (more = realloc(f->deploy, (f->deploy_n + 1) * sizeof *more)) == NULL)
        return;
    f->deploy = more;
    f->deploy[f->deploy_n++] = (struct mu_agent_facts_deploy){.recipe = copy(seen->recipe),
        .endpoint = copy(seen->endpoint), .serial_seen = copy(seen->serial_seen),
        .last_line = copy(seen->last_line), .file = copy(seen->file), .match = seen->match, .code = seen->code,
        .exit_code = seen->exit_code, .at_s = seen->at_s};
}

/* The CA by its section's name, which is what people call it. */
static void section_take(struct mu_agent *agent, struct mu_agent_facts *f)
{
    struct mu_agent_config_entry entry;
    char *ca;

    if (mu_agent_config_entry(agent->config, f->name, 0, &entry, NULL) != MU_OK)
        return;
    if (entry.ca != NULL && (ca = strdup(entry.ca)) != NULL) {
        free(f->ca);
        f->ca = ca;
    }
    mu_agent_config_entry_clear(&entry);
}

void mu_agent_facts_life(struct mu_agent *agent, struct mu_agent_facts *facts)
{
    struct mu_lifecycle_policy policy = {.renew_days = facts->renew_days, .jitter_percent = 20};
    struct mu_agent_life life = {0};
    bool has_record = mu_agent_life_read(agent->store, facts->name, &life, NULL) == MU_OK
        && !life.is_missing && !life.is_damaged;
    bool automation = true;

    facts->is_configured = agent->config != NULL
        && mu_agent_config_policy(agent->config, facts->name, &policy, &automation);
    if (facts->is_configured)
        section_take(agent, facts);
    if (!facts->is_configured && mu_agent_life_policy(agent, facts->name, &policy, NULL) != MU_OK)
        policy.renew_days = facts->renew_days;
    if (mu_agent_deploy_each(agent, facts->name, on_seen, facts, NULL) != MU_OK)
        facts->deploy_n = 0; /* none, or it cannot be read: it is made anew */
    facts->automation = automation && life.life.state != MU_LIFECYCLE_RETIRED;
    facts->renew_days = policy.renew_days;
    facts->renew_percent = policy.renew_percent;
    facts->ca_not_after_s = life.ca_not_after_s;
    facts->ca_window_s = policy.ca_window_s;
    facts->await_limit_s = policy.max_await_s > 0 ? policy.max_await_s : 3600;
    mu_agent_status_decide(
        facts, has_record ? &life.life : NULL, &policy, mu_env_now(agent->env));
}
