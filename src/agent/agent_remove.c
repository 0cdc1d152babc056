/* What hangs on an entry, and its end. */
#include "agent/agent_remove.h"

#include <stdio.h>

#include "agent/agent_entry.h"
#include "agent/agent_internal.h"

/* ---- who needs it ---- */

struct uses {
    struct mu_agent *agent;
    const char *name;
    struct mu_buf *out;
};

static void deployments(const struct uses *u, const struct mu_agent_facts *f)
{
    for (size_t i = 0; i < f->deploy_n; i++) {
        const struct mu_agent_facts_deploy *d = &f->deploy[i];

        if (d->match)
            mu_buf_putf(u->out, "%s%s%s\n", d->recipe != NULL ? d->recipe : "",
                d->recipe != NULL && d->endpoint != NULL ? " " : "", d->endpoint != NULL ? d->endpoint : "");
    }
}

static void entry_uses(void *cookie, const char *name)
{
    const struct uses *u = cookie;
    struct mu_agent_settings settings = {.protocol = NULL};

    if (strcmp(name, u->name) == 0 || mu_agent_entry_settings(u->agent, name, &settings, NULL) != MU_OK)
        return;
    if (settings.client_cert != NULL && strcmp(settings.client_cert, u->name) == 0)
        mu_buf_putf(u->out, "the client certificate of %s\n", name);
    mu_agent_settings_clear(&settings);
}

static void section_uses(void *cookie, const struct mu_agent_config_item *item)
{
    const struct uses *u = cookie;

    if (strcmp(item->key, "client-cert") == 0 && strcmp(item->section, "certificate") != 0 && !item->is_overridden
        && item->value != NULL && strcmp(item->value, u->name) == 0)
        mu_buf_putf(u->out, "the client certificate of [%s \"%s\"]\n", item->section, item->name);
}

enum mu_code mu_agent_remove_uses(struct mu_agent *agent, const char *name, const struct mu_agent_facts *facts,
    struct mu_buf *out, struct mu_err *err)
{
    struct uses u = {agent, name, out};
    enum mu_code rc;

    if (facts != NULL)
        deployments(&u, facts);
    rc = mu_agent_entry_each(agent, entry_uses, &u, err);
    if (rc == MU_OK && agent->config != NULL)
        mu_agent_config_each(agent->config, section_uses, &u);
    return rc == MU_OK ? mu_buf_check(out, "where it is in use", err) : rc;
}

/* ---- the removal ---- */

struct named {
    struct mu_agent *agent;
    const char *name, *kind;
    bool found;
    enum mu_code rc;
    struct mu_err *err;
};

/* 'password = secret:NAME' of another section reads secrets/NAME.password. */
static void names_secret(void *cookie, const struct mu_agent_config_item *item)
{
    struct named *n = cookie;
    bool is_own = strcmp(item->section, "certificate") == 0 && strcmp(item->name, n->name) == 0;

    if (!is_own && strcmp(item->key, n->kind) == 0 && item->value != NULL && strncmp(item->value, "secret:", 7) == 0
        && strcmp(item->value + 7, n->name) == 0)
        n->found = true;
}

static void secret_remove(void *cookie, const char *kind)
{
    struct named *n = cookie;

    n->kind = kind;
    n->found = false;
    mu_agent_config_each(n->agent->config, names_secret, n);
    if (n->rc == MU_OK && !n->found)
        n->rc = mu_keystore_remove(n->agent->store, MU_KEYSTORE_SECRETS, n->name, kind, n->err);
}

static enum mu_code secrets_remove(struct mu_agent *agent, const char *name, struct mu_err *err)
{
    struct named n = {.agent = agent, .name = name, .err = err};
    enum mu_code rc = mu_keystore_each_kind(agent->store, MU_KEYSTORE_SECRETS, name, secret_remove, &n, err);

    return rc == MU_OK ? n.rc : rc;
}

static bool is_stored(struct mu_agent *agent, const char *name)
{
    char stem[MU_KEYSTORE_STEM];

    return mu_keystore_has(agent->store, MU_KEYSTORE_STATE, name, "conf")
        || mu_keystore_has(agent->store, MU_KEYSTORE_STATE, name, "life")
        || mu_keystore_has(agent->store, MU_KEYSTORE_STATE, name, "pending")
        || mu_keystore_current(agent->store, name, stem);
}

static enum mu_code remove_locked(struct mu_agent *agent, const char *path, const char *name,
    mu_agent_config_file_call *changed, void *cookie, struct mu_err *err)
{
    bool is_configured = mu_agent_config_has_entry(agent->config, name);
    enum mu_code rc = MU_OK;

    if (!is_configured && !is_stored(agent, name)) {
        /* What a run that was killed has left goes all the same. */
        if ((rc = mu_keystore_entry_remove(agent->store, name, err)) == MU_OK)
            rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", name);
        return rc;
    }
    if (is_configured)
        rc = mu_agent_config_remove(path, name, changed, cookie, err);
    if (rc == MU_OK)
        rc = mu_keystore_entry_remove(agent->store, name, err);
    if (rc == MU_OK)
        rc = secrets_remove(agent, name, err);
    if (rc == MU_OK)
        rc = mu_keystore_trace_remove(agent->store, name, err);
    return rc;
}

enum mu_code mu_agent_remove(struct mu_agent *agent, const char *path, const char *name,
    mu_agent_config_file_call *changed, void *cookie, struct mu_err *err)
{
    struct mu_keystore_lock *lock = NULL;
    enum mu_code rc = mu_keystore_lock(agent->store, name, &lock, err);

    if (rc == MU_OK)
        rc = remove_locked(agent, path, name, changed, cookie, err);
    mu_keystore_unlock(lock);
    return rc;
}
