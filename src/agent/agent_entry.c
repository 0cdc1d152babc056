/* Configuration and store as one list. */
#include "agent/agent_entry.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_config_internal.h"
#include "agent/agent_internal.h"
#include "agent/agent_secret_where.h"
#include "agent/agent_serial.h"
#include "base/limits.h"
#include "base/text.h"

/* A CA that a person accepted by its fingerprint is this entry's only one (agent_trust.c). */
static enum mu_code take_learned(struct mu_agent *agent, const char *name, struct mu_agent_settings *settings,
    struct mu_err *err)
{
    struct mu_agent_settings stored = {0};
    enum mu_code rc;

    if (settings->trust != NULL || settings->pin_sha256 != NULL)
        return MU_OK;
    rc = mu_agent_settings_load(agent->store, name, &stored, err);
    if (rc == MU_NOT_FOUND)
        return MU_OK;
    if (rc == MU_OK && stored.trust != NULL)
        rc = mu_agent_settings_put(settings, "trust", stored.trust, err);
    if (rc == MU_OK && stored.pin_sha256 != NULL)
        rc = mu_agent_settings_put(settings, "pin-sha256", stored.pin_sha256, err);
    mu_agent_settings_clear(&stored);
    return rc;
}

/* The entry without what is filled in. */
static enum mu_code load(struct mu_agent *agent, const char *name, size_t route,
    struct mu_agent_config_entry *out, struct mu_err *err)
{
    struct mu_agent_config_entry e = {.routes = 1};
    char stem[MU_KEYSTORE_STEM];
    enum mu_code rc;

    if (mu_agent_config_has_entry(agent->config, name)) {
        if ((rc = mu_agent_config_entry(agent->config, name, route, &e, err)) == MU_OK)
            rc = take_learned(agent, name, &e.settings, err);
    } else if (route > 0) {
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "'%s' has one CA only", name);
    } else {
        rc = mu_agent_settings_load(agent->store, name, &e.settings, err);
        if (rc == MU_NOT_FOUND && mu_keystore_current(agent->store, name, stem))
            rc = MU_OK;
        else if (rc == MU_NOT_FOUND)
            mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", name);
        mu_agent_config_entry_views(mu_agent_config_agent(agent->config), &e);
    }
    if (rc != MU_OK) {
        mu_agent_config_entry_clear(&e);
        return rc;
    }
    *out = e;
    return MU_OK;
}

enum mu_code mu_agent_entry_load(struct mu_agent *agent, const char *name, size_t route,
    struct mu_agent_config_entry *out, struct mu_err *err)
{
    struct mu_agent_config_entry e = {0};
    enum mu_code rc = load(agent, name, route, &e, err);

    if (rc == MU_OK && (rc = mu_agent_entry_subject(agent, name, &e.settings, err)) != MU_OK)
        mu_agent_config_entry_clear(&e);
    if (rc == MU_OK)
        *out = e;
    return rc;
}

enum mu_code mu_agent_entry_peek(
    struct mu_agent *agent, const char *name, struct mu_agent_config_entry *out, struct mu_err *err)
{
    return load(agent, name, 0, out, err);
}

static enum mu_code usual_subject(const char *name, struct mu_agent_settings *settings, struct mu_err *err)
{
    char text[MU_KEYSTORE_NAME + 8];

    snprintf(text, sizeof text, "/CN=%s", name);
    return mu_agent_settings_set(settings, "subject", text, err);
}

enum mu_code mu_agent_entry_settings(
    struct mu_agent *agent, const char *name, struct mu_agent_settings *out, struct mu_err *err)
{
    struct mu_agent_config_entry e = {0};
    enum mu_code rc;

    if (!mu_agent_config_has_entry(agent->config, name))
        return mu_agent_settings_load(agent->store, name, out, err);
    if ((rc = load(agent, name, 0, &e, err)) != MU_OK)
        return rc;
    if (e.settings.subject == NULL && (rc = usual_subject(name, &e.settings, err)) != MU_OK)
        mu_agent_settings_clear(&e.settings);
    *out = e.settings;
    return rc;
}

enum mu_code mu_agent_entry_subject(
    struct mu_agent *agent, const char *name, struct mu_agent_settings *settings, struct mu_err *err)
{
    struct mu_buf serial = {0}, text = {0};
    enum mu_code rc = MU_OK;

    if (settings->subject == NULL) {
        rc = usual_subject(name, settings, err);
    } else if (mu_agent_serial_is_in(settings->subject)) {
        rc = mu_agent_serial_read(mu_agent_config_agent(agent->config)->serial_source, &serial, err);
        if (rc == MU_OK && !mu_agent_serial_expand(settings->subject, mu_buf_str(&serial), &text))
            rc = mu_buf_check(&text, "subject", err);
        if (rc == MU_OK)
            rc = mu_agent_settings_set(settings, "subject", mu_buf_str(&text), err);
    }
    mu_buf_clear(&serial);
    mu_buf_clear(&text);
    return rc;
}

/* ---- changing ---- */

static bool is_secret(const char *key)
{
    for (size_t i = 0; mu_agent_secret_where_key(i) != NULL; i++)
        if (strcmp(mu_agent_secret_where_key(i), key) == 0)
            return true;
    return false;
}

/* "ca" of an entry that the configuration does not describe: what that section says becomes its own, with
 * the secrets that it names. */
static enum mu_code take_ca(struct mu_agent *agent, const char *name, const char *ca,
    struct mu_agent_settings *settings, struct mu_err *err)
{
    struct mu_agent_secret_where held = {.agent = agent};
    struct mu_agent_config_secrets where = {0};
    struct mu_agent_enroll request = {0};
    struct mu_agent_secrets secrets;
    enum mu_code rc = mu_agent_config_ca(agent->config, ca, settings, &where, err);

    if (rc == MU_OK && (rc = mu_agent_secret_where_take(&held, &where, &request, err)) == MU_OK) {
        secrets = (struct mu_agent_secrets){request.challenge, request.key_password, request.password,
            request.srp_password, request.secret, request.shared_key};
        rc = mu_agent_secrets_keep(agent, name, &secrets, err);
    }
    mu_agent_secret_where_clear(&held);
    return rc;
}

static enum mu_code set_stored(struct mu_agent *agent, const char *name, const char *key, const char *value,
    struct mu_buf *file, struct mu_err *err)
{
    struct mu_agent_settings settings = {0};
    struct mu_keystore_lock *lock = NULL;
    enum mu_code rc = mu_keystore_lock(agent->store, name, &lock, err);

    if (rc != MU_OK)
        return rc;
    rc = mu_agent_settings_load(agent->store, name, &settings, err);
    if (rc == MU_NOT_FOUND)
        rc = MU_OK;
    if (rc == MU_OK && strcmp(key, "ca") == 0 && value != NULL)
        rc = take_ca(agent, name, value, &settings, err);
    else if (rc == MU_OK && (rc = mu_agent_settings_set(&settings, key, value, err)) != MU_OK)
        mu_err_narrow(err, MU_M(706));
    if (rc == MU_OK)
        rc = mu_agent_settings_store(agent->store, name, &settings, err);
    mu_agent_settings_clear(&settings);
    mu_keystore_unlock(lock);
    if (rc == MU_OK && file != NULL)
        mu_buf_putf(file, "%s/state/%s.conf", mu_keystore_root(agent->store), name);
    return rc;
}

static bool is_stored(struct mu_agent *agent, const char *name)
{
    char stem[MU_KEYSTORE_STEM];

    return agent->store != NULL
        && (mu_keystore_has(agent->store, MU_KEYSTORE_STATE, name, "conf")
            || mu_keystore_current(agent->store, name, stem));
}

enum mu_code mu_agent_entry_may_set(const char *name, const char *key, const char *value, struct mu_err *err)
{
    if (!is_secret(key) || value == NULL || mu_agent_config_is_reference(value))
        return MU_OK;
    mu_err_set(err, MU_INPUT, MU_M(706), "%s is a secret and does not belong on a command line", key);
    mu_err_likely(err, "Everybody on this machine can read the command lines of its programs.");
    mu_err_next(err, "muster secret set %s %s", name[0] != '\0' ? name : "NAME", key);
    return MU_INPUT;
}

enum mu_code mu_agent_entry_set(struct mu_agent *agent, const char *path, const char *name, const char *key,
    const char *value, struct mu_buf *file, struct mu_err *err)
{
    static const char *const first[] = {"ca", "template", "url", "protocol"};
    bool is_first = false;

    if (mu_agent_entry_may_set(name, key, value, err) != MU_OK)
        return MU_INPUT;
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
        is_first = is_first || strcmp(first[i], key) == 0;
    if (!mu_agent_config_has_entry(agent->config, name)) {
        if (is_stored(agent, name))
            return set_stored(agent, name, key, value, file, err);
        if (!is_first) {
            mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", name);
            mu_err_next(err, "muster list; a new one begins with: muster config set %s ca CA", name);
            return MU_NOT_FOUND;
        }
    }
    return mu_agent_config_set(path, "certificate", name, key, value, file, err);
}

/* ---- names ---- */

struct merge {
    const struct mu_agent_config *config;
    size_t next; /* of the configuration's names */
    mu_keystore_each_call *call;
    void *cookie;
};

/* All of the configuration that comes before name (NULL: all that is left); name itself is passed over. */
static void configured_until(struct merge *m, const char *name)
{
    const char *own;
    int order;

    while ((own = mu_agent_config_entry_at(m->config, m->next)) != NULL) {
        order = name != NULL ? strcmp(own, name) : -1;
        if (order > 0)
            return;
        m->next++;
        if (order == 0)
            return;
        m->call(m->cookie, own);
    }
}

static void stored_one(void *cookie, const char *name)
{
    struct merge *m = cookie;

    configured_until(m, name);
    m->call(m->cookie, name);
}

enum mu_code mu_agent_entry_each(
    struct mu_agent *agent, mu_keystore_each_call *call, void *cookie, struct mu_err *err)
{
    struct merge m = {agent->config, 0, call, cookie};
    enum mu_code rc = agent->store != NULL ? mu_keystore_each(agent->store, stored_one, &m, err) : MU_OK;

    if (rc == MU_OK)
        configured_until(&m, NULL);
    return rc;
}
