/* Any text as muster.conf. What it takes can be asked for: each entry, each route, each value; a secret as
 * such is never among what is shown. */
#include <stdlib.h>

#include "agent/agent_config_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void on_note(void *cookie, const struct mu_agent_config_note *note)
{
    unsigned *errors = cookie;

    require(note->text != NULL && note->file != NULL);
    *errors += note->is_error;
}

static void on_item(void *cookie, const struct mu_agent_config_item *item)
{
    int word = mu_agent_config_word_find(item->key);

    require(word >= 0 && item->value != NULL);
    if (mu_agent_config_word_at((size_t)word)->is_secret)
        require(item->value[0] == '*' || mu_agent_config_is_reference(item->value));
}

static void ask(const struct mu_agent_config *config)
{
    const char *name;
    size_t i;

    mu_agent_config_each(config, on_item, NULL);
    for (i = 0; i < 64 && (name = mu_agent_config_entry_at(config, i)) != NULL; i++) {
        struct mu_agent_config_entry e = {0};
        struct mu_lifecycle_policy policy;

        require(mu_agent_config_has_entry(config, name));
        require(mu_agent_config_policy(config, name, &policy, NULL));
        require(mu_agent_config_each_of(config, name, on_item, NULL, NULL) == MU_OK);
        for (size_t route = 0; route == 0 || route < e.routes; route++) {
            mu_agent_config_entry_clear(&e);
            require(mu_agent_config_entry(config, name, route, &e, NULL) == MU_OK);
            require(e.routes >= 1 && e.routes <= 16);
        }
        mu_agent_config_entry_clear(&e);
    }
    for (i = 0; i < 64 && (name = mu_agent_config_ca_at(config, i)) != NULL; i++) {
        struct mu_agent_settings settings = {0};
        struct mu_agent_config_secrets secrets = {0};

        require(mu_agent_config_ca(config, name, &settings, &secrets, NULL) == MU_OK);
        require(settings.protocol != NULL && settings.url != NULL);
        mu_agent_settings_clear(&settings);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mu_agent_config_instead instead = {"/nonexistent/muster/muster.conf", mu_bytes(data, size)};
    struct mu_agent_config *config = NULL;
    struct mu_err err = {0};
    unsigned errors = 0;
    enum mu_code rc = mu_agent_config_load_instead(instead.path, &instead, &config, on_note, &errors, &err);

    require((rc == MU_OK) == (config != NULL) && (rc == MU_OK || err.what[0] != '\0'));
    require(rc != MU_OK || errors == 0);
    if (config != NULL)
        ask(config);
    mu_agent_config_free(config);
    return 0;
}
