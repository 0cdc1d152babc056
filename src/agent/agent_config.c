/* The configuration asked: sections by name, a certificate out of its layers, its policy. */
#include "agent/agent_config.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_config_internal.h"
#include "base/text.h"

/* ---- sections ---- */

static int compare(const struct mu_agent_config_section *s, unsigned kind, const char *name)
{
    return s->kind != kind ? (int)s->kind - (int)kind : strcmp(s->name, name);
}

/* The first section that is not before kind and name. */
static size_t place(const struct mu_agent_config *c, unsigned kind, const char *name)
{
    size_t low = 0, high = c->section_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&c->sections[middle], kind, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct mu_agent_config_section *mu_agent_config_find(
    const struct mu_agent_config *config, unsigned kind, const char *name)
{
    size_t at = config != NULL ? place(config, kind, name) : 0;

    if (config == NULL || at == config->section_n || compare(&config->sections[at], kind, name) != 0)
        return NULL;
    return &config->sections[at];
}

void mu_agent_config_range(const struct mu_agent_config *config, unsigned kind, size_t *from, size_t *to)
{
    *from = place(config, kind, "");
    *to = place(config, kind + 1, "");
}

static const char *name_at(const struct mu_agent_config *config, unsigned kind, size_t i)
{
    size_t from, to;

    if (config == NULL)
        return NULL;
    mu_agent_config_range(config, kind, &from, &to);
    return i < to - from ? config->sections[from + i].name : NULL;
}

const char *mu_agent_config_entry_at(const struct mu_agent_config *config, size_t i)
{
    return name_at(config, MU_AGENT_CONFIG_CERTIFICATE, i);
}

const char *mu_agent_config_ca_at(const struct mu_agent_config *config, size_t i)
{
    return name_at(config, MU_AGENT_CONFIG_CA, i);
}

bool mu_agent_config_has_entry(const struct mu_agent_config *config, const char *name)
{
    return mu_agent_config_find(config, MU_AGENT_CONFIG_CERTIFICATE, name) != NULL;
}

bool mu_agent_config_has_ca(const struct mu_agent_config *config, const char *name)
{
    return mu_agent_config_find(config, MU_AGENT_CONFIG_CA, name) != NULL;
}

const struct mu_agent_config_value *mu_agent_config_last(
    const struct mu_agent_config *config, const struct mu_agent_config_section *section, const char *word)
{
    int index = mu_agent_config_word_find(word);

    for (uint32_t i = section->n; i-- > 0;) {
        const struct mu_agent_config_value *v = &config->values[section->first + i];

        if (v->word == index)
            return v->text[0] != '\0' ? v : NULL;
    }
    return NULL;
}

const char *mu_agent_config_path(const struct mu_agent_config *config)
{
    return config != NULL ? config->path : MU_AGENT_CONFIG_FILE;
}

const char *mu_agent_config_file_at(const struct mu_agent_config *config, size_t i)
{
    return config != NULL && i < config->file_n ? config->files[i] : NULL;
}

/* ---- layers ---- */

static const char *says(
    const struct mu_agent_config *c, const struct mu_agent_config_section *s, const char *word)
{
    const struct mu_agent_config_value *v = s != NULL ? mu_agent_config_last(c, s, word) : NULL;

    return v != NULL ? v->text : NULL;
}

bool mu_agent_config_layers(
    const struct mu_agent_config *config, const char *name, size_t route, struct mu_agent_config_layers *out)
{
    const struct mu_agent_config_section *self = mu_agent_config_find(config, MU_AGENT_CONFIG_CERTIFICATE, name);
    const struct mu_agent_config_section *order[4] = {0};
    const char *template, *ca;

    *out = (struct mu_agent_config_layers){0};
    if (self == NULL)
        return false;
    template = says(config, self, "template");
    order[0] = mu_agent_config_find(config, MU_AGENT_CONFIG_DEFAULTS, "");
    order[2] = template != NULL ? mu_agent_config_find(config, MU_AGENT_CONFIG_TEMPLATE, template) : NULL;
    order[3] = self;
    if ((ca = says(config, self, "ca")) == NULL && (ca = says(config, order[2], "ca")) == NULL)
        ca = says(config, order[0], "ca");
    out->routes = ca != NULL ? mu_agent_value_parts(ca) : 1;
    if (route >= out->routes)
        return false;
    if (ca != NULL && mu_agent_value_part(ca, route, out->ca))
        order[1] = mu_agent_config_find(config, MU_AGENT_CONFIG_CA, out->ca);
    for (size_t i = 0; i < 4; i++)
        if (order[i] != NULL)
            out->layer[out->n++] = order[i];
    return true;
}

const char *mu_agent_config_layers_get(
    const struct mu_agent_config *config, const struct mu_agent_config_layers *layers, const char *word)
{
    int index = mu_agent_config_word_find(word);

    for (size_t l = layers->n; l-- > 0;) {
        const struct mu_agent_config_section *s = layers->layer[l];

        for (uint32_t i = s->n; i-- > 0;) {
            const struct mu_agent_config_value *v = &config->values[s->first + i];

            if (v->word == index)
                return v->text[0] != '\0' ? v->text : NULL;
        }
    }
    return NULL;
}

/* ---- to settings ---- */

static const char **secret_of(struct mu_agent_config_secrets *secrets, const char *word)
{
    const struct {
        const char *word;
        const char **at;
    } words[] = {{"challenge", &secrets->challenge}, {"password", &secrets->password},
        {"srp-password", &secrets->srp_password}, {"key-password", &secrets->key_password},
        {"secret", &secrets->secret}, {"shared-key", &secrets->shared_key}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].at;
    return NULL;
}

static enum mu_code lay(const struct mu_agent_config *c, const struct mu_agent_config_section *s,
    struct mu_agent_settings *settings, struct mu_agent_config_secrets *secrets, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (uint32_t i = 0; rc == MU_OK && i < s->n; i++) {
        const struct mu_agent_config_value *v = &c->values[s->first + i];
        const struct mu_agent_config_word *w = mu_agent_config_word_at(v->word);
        const char *text = v->text[0] != '\0' ? v->text : NULL;

        if (w->is_secret)
            *secret_of(secrets, w->word) = text;
        else if (!w->is_ours)
            rc = mu_agent_settings_put(settings, w->word, text, err);
    }
    return rc;
}

/* CMP's address may stand without a scheme (C012). */
static enum mu_code whole_url(struct mu_agent_settings *settings, struct mu_err *err)
{
    struct mu_buf whole = {0};
    enum mu_code rc;

    if (settings->url == NULL || strstr(settings->url, "://") != NULL)
        return MU_OK;
    mu_buf_putf(&whole, "http://%s", settings->url);
    if ((rc = mu_buf_check(&whole, "URL", err)) == MU_OK)
        rc = mu_agent_settings_put(settings, "url", mu_buf_str(&whole), err);
    mu_buf_clear(&whole);
    return rc;
}

enum mu_code mu_agent_config_ca(const struct mu_agent_config *config, const char *name,
    struct mu_agent_settings *settings, struct mu_agent_config_secrets *secrets, struct mu_err *err)
{
    const struct mu_agent_config_section *s = mu_agent_config_find(config, MU_AGENT_CONFIG_CA, name);
    enum mu_code rc;

    if (s == NULL)
        return mu_err_set(err, MU_INPUT, MU_M(706), "There is no [ca \"%s\"] in the configuration", name);
    rc = lay(config, s, settings, secrets, err);
    return rc == MU_OK ? whole_url(settings, err) : rc;
}

/* ---- policy ---- */

void mu_agent_config_policy_of(const struct mu_agent_config_agent *agent, const char *renew_days,
    const char *warn_days, const char *renew_window, int64_t await_s, int64_t max_await_s,
    struct mu_lifecycle_policy *out)
{
    *out = (struct mu_lifecycle_policy){.renew_days = -1,
        .warn_days = {-1},
        .warn_n = 1,
        .check_interval_s = agent->check_interval_s,
        .await_s = await_s,
        .max_await_s = max_await_s,
        .jitter_percent = agent->jitter_percent,
        .max_requests = agent->max_requests,
        .clock = agent->clock};
    /* what was checked when it was read cannot fail; if it did, the default is the careful choice */
    if (renew_days != NULL
        && mu_agent_value_parse_renew(renew_days, &out->renew_days, &out->renew_percent, NULL) != MU_OK)
        out->renew_days = -1;
    if (warn_days != NULL
        && mu_agent_value_parse_warn(warn_days, out->warn_days, &out->warn_n, NULL) != MU_OK)
        out->warn_n = 1;
    if (renew_window != NULL
        && mu_agent_value_parse_window(renew_window, &out->ca_window_s, NULL) != MU_OK)
        out->ca_window_s = 0;
}

static int64_t duration_of(const char *text)
{
    int64_t s = 0;

    return text != NULL && mu_text_duration(text, &s, NULL) == MU_OK ? s : 0;
}

bool mu_agent_config_policy(const struct mu_agent_config *config, const char *name,
    struct mu_lifecycle_policy *out, bool *automation)
{
    struct mu_agent_config_layers layers;
    const char *answer;
    int yes = 1;

    if (!mu_agent_config_layers(config, name, 0, &layers))
        return false;
    mu_agent_config_policy_of(&config->agent, mu_agent_config_layers_get(config, &layers, "renew-days"),
        mu_agent_config_layers_get(config, &layers, "warn-days"),
        mu_agent_config_layers_get(config, &layers, "renew-window"),
        duration_of(mu_agent_config_layers_get(config, &layers, "await-result")),
        duration_of(mu_agent_config_layers_get(config, &layers, "max-await-result")), out);
    answer = mu_agent_config_layers_get(config, &layers, "automation");
    if (answer != NULL && mu_agent_value_parse_answer(answer, &yes, NULL) != MU_OK)
        yes = -1;
    if (automation != NULL)
        *automation = config->agent.automation && yes > 0;
    return true;
}

/* ---- an entry ---- */

/* What an entry says beside its request, as views into its settings. */
void mu_agent_config_entry_views(
    const struct mu_agent_config_agent *agent, struct mu_agent_config_entry *entry)
{
    const struct mu_agent_settings *s = &entry->settings;

    mu_agent_config_policy_of(
        agent, s->renew_days, s->warn_days, s->renew_window, s->await_s, s->max_await_s, &entry->policy);
    entry->automation = agent->automation && s->automation >= 0;
    entry->deploy = s->deploy;
    entry->verify = s->verify;
    entry->success_script = s->success_script;
    entry->failure_script = s->failure_script;
    entry->key_owner = s->key_owner;
    entry->key_group = s->key_group;
    entry->key_mode = s->key_mode;
    entry->comments = s->comments;
}

enum mu_code mu_agent_config_entry(const struct mu_agent_config *config, const char *name, size_t route,
    struct mu_agent_config_entry *out, struct mu_err *err)
{
    struct mu_agent_config_entry e = {0};
    struct mu_agent_config_layers layers;
    const struct mu_agent_config_section *ca;
    enum mu_code rc = MU_OK;

    if (!mu_agent_config_layers(config, name, route, &layers))
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "the configuration has no certificate '%s'%s", name, route > 0 ? " with so many CAs" : "");
    for (size_t i = 0; rc == MU_OK && i < layers.n; i++)
        rc = lay(config, layers.layer[i], &e.settings, &e.secrets, err);
    if (rc == MU_OK)
        rc = whole_url(&e.settings, err);
    if (rc != MU_OK) {
        mu_agent_settings_clear(&e.settings);
        return rc;
    }
    ca = mu_agent_config_find(config, MU_AGENT_CONFIG_CA, layers.ca);
    e.ca = ca != NULL ? ca->name : NULL;
    e.routes = layers.routes;
    mu_agent_config_entry_views(&config->agent, &e);
    *out = e;
    return MU_OK;
}

void mu_agent_config_entry_clear(struct mu_agent_config_entry *entry)
{
    mu_agent_settings_clear(&entry->settings);
    *entry = (struct mu_agent_config_entry){0};
}
