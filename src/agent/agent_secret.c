/* Secrets of an entry: given now, or kept under secrets/ from before. */
#include <stdlib.h>

#include "agent/agent_internal.h"

enum { SECRET_MAX = 4096 };

enum mu_code mu_agent_secret_copy(
    struct mu_secret *to, const struct mu_secret *from, struct mu_err *err)
{
    if (from == NULL || !mu_secret_is_set(from))
        return MU_OK;
    return mu_secret_set(to, mu_secret_bytes(from), err);
}

static enum mu_code stored_get(struct mu_agent *agent, const char *name, const char *kind,
    struct mu_secret *to, struct mu_err *err)
{
    struct mu_buf stored = {.max = SECRET_MAX, .secret = true};
    enum mu_code rc = mu_keystore_get(agent->store, MU_KEYSTORE_SECRETS, name, kind, &stored, err);

    if (rc == MU_OK && stored.n > 0)
        rc = mu_secret_set(to, mu_buf_bytes(&stored), err);
    mu_buf_clear(&stored);
    if (rc != MU_NOT_FOUND)
        return rc;
    mu_err_clear(err);
    return MU_OK;
}

static enum mu_code take(struct mu_agent *agent, const char *name, const char *kind,
    const struct mu_secret *given, struct mu_secret *to, struct mu_err *err)
{
    if (given != NULL && mu_secret_is_set(given))
        return mu_secret_set(to, mu_secret_bytes(given), err);
    return stored_get(agent, name, kind, to, err);
}

enum mu_code mu_agent_secrets_take(struct mu_agent *agent, const char *name,
    const struct mu_agent_secrets *given, struct mu_agent_secret_values *to, struct mu_err *err)
{
    enum mu_code rc;

    if ((rc = take(agent, name, "challenge", given->challenge, &to->challenge, err)) != MU_OK)
        return rc;
    if ((rc = take(agent, name, "key-password", given->key_password, &to->key_password, err))
        != MU_OK)
        return rc;
    if ((rc = take(agent, name, "password", given->password, &to->password, err)) != MU_OK)
        return rc;
    if ((rc = take(agent, name, "srp-password", given->srp_password, &to->srp_password, err))
        != MU_OK)
        return rc;
    if ((rc = take(agent, name, "secret", given->secret, &to->secret, err)) != MU_OK)
        return rc;
    return take(agent, name, "shared-key", given->shared_key, &to->shared_key, err);
}

static enum mu_code keep(struct mu_agent *agent, const char *name, const char *kind,
    const struct mu_secret *given, struct mu_err *err)
{
    if (given == NULL || !mu_secret_is_set(given))
        return MU_OK;
    return mu_keystore_put(
        agent->store, MU_KEYSTORE_SECRETS, name, kind, mu_secret_bytes(given), err);
}

enum mu_code mu_agent_secrets_keep(struct mu_agent *agent, const char *name,
    const struct mu_agent_secrets *given, struct mu_err *err)
{
    enum mu_code rc;

    if ((rc = keep(agent, name, "challenge", given->challenge, err)) != MU_OK)
        return rc;
    if ((rc = keep(agent, name, "key-password", given->key_password, err)) != MU_OK)
        return rc;
    if ((rc = keep(agent, name, "password", given->password, err)) != MU_OK)
        return rc;
    if ((rc = keep(agent, name, "srp-password", given->srp_password, err)) != MU_OK)
        return rc;
    if ((rc = keep(agent, name, "secret", given->secret, err)) != MU_OK)
        return rc;
    return keep(agent, name, "shared-key", given->shared_key, err);
}

enum mu_code mu_agent_secrets_remove(struct mu_agent *agent, const char *name, struct mu_err *err)
{
    static const char *const kinds[] = {
        "challenge", "key-password", "password", "srp-password", "secret", "shared-key"};
    enum mu_code rc = MU_OK;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && rc == MU_OK; i++)
        rc = mu_keystore_remove(agent->store, MU_KEYSTORE_SECRETS, name, kinds[i], err);
    return rc;
}

void mu_agent_secrets_clear(struct mu_agent_secret_values *values)
{
    mu_secret_clear(&values->challenge);
    mu_secret_clear(&values->key_password);
    mu_secret_clear(&values->password);
    mu_secret_clear(&values->srp_password);
    mu_secret_clear(&values->secret);
    mu_secret_clear(&values->shared_key);
}
