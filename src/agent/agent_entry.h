/*
 * One certificate, whether the configuration describes it or 'muster enroll' made it (state/<name>.conf):
 * the two are one list. Where both know it the configuration speaks, but for what was learned since: the CA
 * that was accepted.
 */
#ifndef MU_AGENT_ENTRY_H
#define MU_AGENT_ENTRY_H

#include "agent/agent.h"
#include "agent/agent_config.h"

/* MU_NOT_FOUND if neither has it (a certificate without settings is found: they are empty). route: the
 * n-th CA of 'ca = a, b'. Subject: '/CN=<name>' where none is given, SN replaced by the unit's serial number. */
enum mu_code mu_agent_entry_load(struct mu_agent *agent, const char *name, size_t route,
    struct mu_agent_config_entry *out, struct mu_err *err) MU_CHECK;
/* The same of the first route as it is written, for those who want its policy and its hooks. */
enum mu_code mu_agent_entry_peek(struct mu_agent *agent, const char *name, struct mu_agent_config_entry *out,
    struct mu_err *err) MU_CHECK;
/* The settings of the first route; SN is not replaced. MU_NOT_FOUND as above, and for a certificate
 * without settings. */
enum mu_code mu_agent_entry_settings(struct mu_agent *agent, const char *name, struct mu_agent_settings *out,
    struct mu_err *err) MU_CHECK;
/* Fills in a subject and replaces SN. */
enum mu_code mu_agent_entry_subject(struct mu_agent *agent, const char *name,
    struct mu_agent_settings *settings, struct mu_err *err) MU_CHECK;
/* Changes one setting where it is kept: in the configuration of path (NULL: the usual one) if that describes
 * the entry, else with what it was enrolled with. value NULL: takes it away. A new name becomes one of the
 * configuration if its first word says whom to ask (ca, template, url, protocol); any other is MU_NOT_FOUND.
 * A secret as such is refused: it would stand on a command line. file gets the path that was changed. */
enum mu_code mu_agent_entry_set(struct mu_agent *agent, const char *path, const char *name, const char *key,
    const char *value, struct mu_buf *file, struct mu_err *err) MU_CHECK;
/* Is this no secret as such? */
enum mu_code mu_agent_entry_may_set(
    const char *name, const char *key, const char *value, struct mu_err *err) MU_CHECK;
/* Names of the store and of the configuration, sorted, each once. */
enum mu_code mu_agent_entry_each(struct mu_agent *agent, mu_keystore_each_call *call, void *cookie,
    struct mu_err *err) MU_CHECK;

#endif
