/* Sections to settings. */
#include "cmd/muster/cmd_config.h"

#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"

#define DEFAULT_FILE "/etc/muster/muster.conf"

enum mu_code mu_cmd_config_read(const char *path, struct mu_ini **out, struct mu_err *err)
{
    struct mu_buf text = {.secret = true}; /* a challenge may be inside */
    const char *file = path != NULL ? path : DEFAULT_FILE;
    enum mu_code rc;

    if (path == NULL && access(file, F_OK) != 0)
        return MU_OK;
    if ((rc = mu_keystore_file_read(file, MU_KEYSTORE_PUBLIC, &text, err)) == MU_OK)
        rc = mu_ini_parse(mu_buf_bytes(&text), file, MU_INI_SECTIONS, out, err);
    mu_buf_clear(&text);
    return rc;
}

const char *mu_cmd_config_agent(const struct mu_ini *ini, const char *key)
{
    const struct mu_ini_item *item = ini != NULL ? mu_ini_get(ini, "agent", NULL, key) : NULL;

    return item != NULL ? item->value : NULL;
}

static bool has(const struct mu_ini *ini, const char *section, const char *name)
{
    size_t i;

    for (i = 0; ini != NULL && i < mu_ini_count(ini); i++) {
        const struct mu_ini_item *item = mu_ini_at(ini, i);

        if (strcmp(item->section, section) == 0 && strcmp(item->name, name) == 0)
            return true;
    }
    return false;
}

bool mu_cmd_config_has_ca(const struct mu_ini *ini, const char *name)
{
    return has(ini, "ca", name);
}

bool mu_cmd_config_has_entry(const struct mu_ini *ini, const char *name)
{
    return has(ini, "certificate", name);
}

/* Keys that belong to the agent's schedule, hooks and deployment: right in a file, nothing for the
 * settings of a request. */
static bool is_of_agent(const char *key)
{
    static const char *const words[] = {"ca", "template", "automation", "warn-days", "deploy",
        "verify", "success-script", "failure-script", "key-owner", "key-group", "key-mode",
        "renew-window"};
    size_t i;

    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], key) == 0)
            return true;
    }
    return false;
}

/* Where the value of a secret's word goes; NULL: it is no secret. */
static const char **secret_of(struct mu_cmd_config_secrets *secrets, const char *key)
{
    const struct {
        const char *word;
        const char **at;
    } words[] = {{"challenge", &secrets->challenge}, {"password", &secrets->password},
        {"srp-password", &secrets->srp_password}, {"key-password", &secrets->key_password},
        {"secret", &secrets->secret}};
    size_t i;

    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, key) == 0)
            return words[i].at;
    }
    return NULL;
}

static enum mu_code section(const struct mu_ini *ini, const char *name, const char *which,
    struct mu_agent_settings *settings, struct mu_cmd_config_secrets *secrets, struct mu_err *err)
{
    enum mu_code rc;
    size_t i;

    for (i = 0; i < mu_ini_count(ini); i++) {
        const struct mu_ini_item *item = mu_ini_at(ini, i);
        const char **secret;

        if (strcmp(item->section, which) != 0 || strcmp(item->name, name) != 0)
            continue;
        if ((secret = secret_of(secrets, item->key)) != NULL) {
            *secret = item->value;
            continue;
        }
        if (is_of_agent(item->key))
            continue;
        if ((rc = mu_agent_settings_set(settings, item->key, item->value, err)) != MU_OK) {
            mu_err_context(err, "%s:%u", mu_ini_file(ini), item->line);
            mu_err_narrow(err, MU_M(706));
            return rc;
        }
    }
    return MU_OK;
}

enum mu_code mu_cmd_config_ca(const struct mu_ini *ini, const char *name,
    struct mu_agent_settings *settings, struct mu_cmd_config_secrets *secrets, struct mu_err *err)
{
    if (!mu_cmd_config_has_ca(ini, name))
        return mu_err_set(err, MU_INPUT, MU_M(706), "There is no [ca \"%s\"] in %s", name,
            ini != NULL ? mu_ini_file(ini) : DEFAULT_FILE);
    return section(ini, name, "ca", settings, secrets, err);
}

enum mu_code mu_cmd_config_entry(const struct mu_ini *ini, const char *name,
    struct mu_agent_settings *settings, struct mu_cmd_config_secrets *secrets, struct mu_err *err)
{
    const struct mu_ini_item *ca, *template;
    enum mu_code rc;

    if (ini == NULL || !mu_cmd_config_has_entry(ini, name))
        return MU_OK;
    template = mu_ini_get(ini, "certificate", name, "template");
    ca = mu_ini_get(ini, "certificate", name, "ca");
    if (ca == NULL && template != NULL)
        ca = mu_ini_get(ini, "template", template->value, "ca");
    if ((rc = section(ini, "", "defaults", settings, secrets, err)) != MU_OK)
        return rc;
    if (ca != NULL && (rc = mu_cmd_config_ca(ini, ca->value, settings, secrets, err)) != MU_OK)
        return rc;
    if (template != NULL
        && (rc = section(ini, template->value, "template", settings, secrets, err)) != MU_OK)
        return rc;
    return section(ini, name, "certificate", settings, secrets, err);
}
