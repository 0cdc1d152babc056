/* Values with where they come from: for 'config show --origin' and the pages. */
#include <stdio.h>
#include <string.h>

#include "agent/agent_config_internal.h"

/* A secret that is written down is never shown; where one is kept may be. */
static const char *shown(const struct mu_agent_config_word *word, const char *text)
{
    return word->is_secret && !mu_agent_config_is_reference(text) ? "*" : text;
}

static void call_value(const struct mu_agent_config *c, const struct mu_agent_config_section *s,
    const struct mu_agent_config_value *v, bool is_overridden, mu_agent_config_item_call *call, void *cookie)
{
    const struct mu_agent_config_word *w = mu_agent_config_word_at(v->word);
    const struct mu_agent_config_item item = {.section = mu_agent_config_kind_name(s->kind),
        .name = s->name,
        .key = w->word,
        .value = shown(w, v->text),
        .file = c->files[v->file],
        .line = v->line,
        .is_overridden = is_overridden};

    call(cookie, &item);
}

static void call_default(unsigned kind, const char *name, const struct mu_agent_config_word *w,
    mu_agent_config_item_call *call, void *cookie)
{
    const struct mu_agent_config_item item = {.section = mu_agent_config_kind_name(kind),
        .name = name,
        .key = w->word,
        .value = w->usual,
        .is_default = true};

    if (w->usual != NULL)
        call(cookie, &item);
}

static bool is_last(
    const struct mu_agent_config *c, const struct mu_agent_config_section *s, uint32_t at)
{
    for (uint32_t i = at + 1; i < s->n; i++)
        if (c->values[s->first + i].word == c->values[s->first + at].word)
            return false;
    return true;
}

static bool has_word(const struct mu_agent_config *c, const struct mu_agent_config_section *s, size_t word)
{
    for (uint32_t i = 0; s != NULL && i < s->n; i++)
        if (c->values[s->first + i].word == word)
            return true;
    return false;
}

void mu_agent_config_each(const struct mu_agent_config *config, mu_agent_config_item_call *call, void *cookie)
{
    const struct mu_agent_config_section *agent = mu_agent_config_find(config, MU_AGENT_CONFIG_AGENT, "");
    const struct mu_agent_config_word *w;

    for (size_t i = 0; config != NULL && i < config->section_n; i++) {
        const struct mu_agent_config_section *s = &config->sections[i];

        for (uint32_t at = 0; at < s->n; at++)
            call_value(config, s, &config->values[s->first + at], !is_last(config, s, at), call, cookie);
        if (s != agent)
            continue;
        for (size_t k = 0; (w = mu_agent_config_word_at(k)) != NULL; k++)
            if ((w->kinds & MU_AGENT_CONFIG_AGENT) != 0 && !has_word(config, s, k))
                call_default(MU_AGENT_CONFIG_AGENT, "", w, call, cookie);
    }
    for (size_t k = 0; agent == NULL && (w = mu_agent_config_word_at(k)) != NULL; k++)
        if ((w->kinds & MU_AGENT_CONFIG_AGENT) != 0)
            call_default(MU_AGENT_CONFIG_AGENT, "", w, call, cookie);
}

/* A default that means nothing for this protocol is not shown. */
static bool is_of_protocol(const char *word, const char *protocol)
{
    static const struct {
        const char *protocol, *words;
    } own[] = {
        {"scep", " challenge-once method digest cipher nonce-check scep-standard compat "},
        {"est", " csrattrs renew-auth server-key server-key-to tls-min "},
        {"cmp", " path mac pop mac-iterations mac-owf mac-hmac cmp-request implicit-confirm no-confirm ignore-key-usage trust-ca-pubs ask-template rsa-pss "},
    };
    char padded[48];

    snprintf(padded, sizeof padded, " %s ", word);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strstr(own[i].words, padded) != NULL)
            return protocol == NULL || strcmp(own[i].protocol, protocol) == 0;
    return true;
}

enum mu_code mu_agent_config_each_of(const struct mu_agent_config *config, const char *name,
    mu_agent_config_item_call *call, void *cookie, struct mu_err *err)
{
    const unsigned entry = MU_AGENT_CONFIG_CERTIFICATE | MU_AGENT_CONFIG_CA;
    const struct mu_agent_config_word *w;
    struct mu_agent_config_layers layers;
    const char *protocol;

    if (!mu_agent_config_layers(config, name, 0, &layers))
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "the configuration has no certificate '%s'", name);
    protocol = mu_agent_config_layers_get(config, &layers, "protocol");
    for (size_t k = 0; (w = mu_agent_config_word_at(k)) != NULL; k++) {
        bool found = false;

        for (size_t l = layers.n; (w->kinds & entry) != 0 && l-- > 0;) {
            const struct mu_agent_config_section *s = layers.layer[l];

            for (uint32_t i = s->n; i-- > 0;) {
                if (config->values[s->first + i].word != k)
                    continue;
                call_value(config, s, &config->values[s->first + i], found, call, cookie);
                found = true;
            }
        }
        if (!found && (w->kinds & entry) != 0 && is_of_protocol(w->word, protocol))
            call_default(MU_AGENT_CONFIG_CERTIFICATE, name, w, call, cookie);
    }
    return MU_OK;
}
