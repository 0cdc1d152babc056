/*
 * Secrets as the configuration writes them: file:PATH (for its owner alone, M701), credential:NAME (what systemd
 * put into $CREDENTIALS_DIRECTORY), secret:NAME ('muster secret set NAME KEY'), or the thing itself.
 */
#ifndef MU_AGENT_SECRET_WHERE_H
#define MU_AGENT_SECRET_WHERE_H

#include "agent/agent.h"
#include "agent/agent_config.h"

/* key: the configuration's word, "challenge", "password", "srp-password", "key-password", "secret", "shared-key". */
enum mu_code mu_agent_secret_where_read(struct mu_keystore *store, const char *key, const char *where,
    struct mu_secret *out, struct mu_err *err) MU_CHECK;
/* Up to the first line end; "-" is stdin. */
enum mu_code mu_agent_secret_where_file(const char *path, struct mu_secret *out, struct mu_err *err) MU_CHECK;
/* The i-th of those words, NULL behind the last. */
const char *mu_agent_secret_where_key(size_t i);

/* Where a request's secrets lie while it is started; the agent makes copies. {.agent = ...} is empty. */
struct mu_agent_secret_where {
    struct mu_agent *agent;
    struct mu_secret challenge, password, srp_password, key_password, secret, shared_key;
};
/* For mu_agent_watch_config.on_secrets; cookie is a struct mu_agent_secret_where, its content replaced. */
enum mu_code mu_agent_secret_where_take(void *cookie, const struct mu_agent_config_secrets *where,
    struct mu_agent_enroll *request, struct mu_err *err) MU_CHECK;
void mu_agent_secret_where_clear(struct mu_agent_secret_where *held);

#endif
