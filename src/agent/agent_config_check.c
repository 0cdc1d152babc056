/* What one line alone cannot tell: names that lead somewhere, entries that are whole, [agent] as numbers. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_config_internal.h"
#include "base/text.h"

static const struct mu_agent_config_agent usual = {
    .serial_source = "auto",
    .metrics = "off",
    .notify = "syslog",
    .hook_user = "root",
    .log_level = "info",
    .check_interval_s = 3600,
    .hook_timeout_s = 60,
    .trace_size = 16 * 1024 * 1024,
    .jitter_percent = 20,
    .max_requests = 2,
    .clock = MU_LIFECYCLE_CLOCK_REQUIRED,
    .automation = true,
};

const struct mu_agent_config_agent *mu_agent_config_agent(const struct mu_agent_config *config)
{
    return config != NULL ? &config->agent : &usual;
}

/* ---- [agent] ---- */

static void fill_text(const struct mu_agent_config_value *v, const char *word, const char **to,
    const char *key)
{
    if (strcmp(word, key) == 0)
        *to = v->text;
}

static bool is_yes(const char *text)
{
    int answer = 0;

    return mu_agent_value_parse_answer(text, &answer, NULL) == MU_OK && answer > 0;
}

/* The values were checked when they were read. */
static enum mu_code fill_number(
    struct mu_agent_config_agent *a, const struct mu_agent_config_value *v, const char *word)
{
    if (strcmp(word, "check-interval") == 0)
        return mu_text_duration(v->text, &a->check_interval_s, NULL);
    if (strcmp(word, "hook-timeout") == 0)
        return mu_text_duration(v->text, &a->hook_timeout_s, NULL);
    if (strcmp(word, "trace-size") == 0)
        return mu_agent_value_parse_size(v->text, &a->trace_size, NULL);
    if (strcmp(word, "jitter") == 0)
        return mu_agent_value_parse_percent(v->text, &a->jitter_percent, NULL);
    if (strcmp(word, "max-requests") == 0)
        return mu_agent_value_parse_per_day(v->text, &a->max_requests, NULL);
    if (strcmp(word, "automation") == 0)
        a->automation = is_yes(v->text);
    else if (strcmp(word, "allow-legacy") == 0)
        a->allow_legacy = is_yes(v->text);
    else if (strcmp(word, "time-source") == 0)
        a->clock = v->text[0] == 'r' ? MU_LIFECYCLE_CLOCK_REQUIRED
            : v->text[0] == 'w'      ? MU_LIFECYCLE_CLOCK_WARN
                                     : MU_LIFECYCLE_CLOCK_IGNORE;
    return MU_OK;
}

static void fill_agent(struct mu_agent_config_reader *r)
{
    struct mu_agent_config_agent *a = &r->config->agent;
    const struct mu_agent_config_section *s = mu_agent_config_find(r->config, MU_AGENT_CONFIG_AGENT, "");
    const struct mu_agent_config_word *w;
    const struct mu_agent_config_value *v;
    struct mu_err err = {0};

    *a = usual;
    for (size_t i = 0; s != NULL && (w = mu_agent_config_word_at(i)) != NULL; i++) {
        if ((w->kinds & MU_AGENT_CONFIG_AGENT) == 0 || (v = mu_agent_config_last(r->config, s, w->word)) == NULL)
            continue;
        fill_text(v, w->word, &a->store, "store");
        fill_text(v, w->word, &a->serial_source, "serial-source");
        fill_text(v, w->word, &a->hostname, "hostname");
        fill_text(v, w->word, &a->ui, "ui");
        fill_text(v, w->word, &a->control, "control");
        fill_text(v, w->word, &a->metrics, "metrics");
        fill_text(v, w->word, &a->notify, "notify");
        fill_text(v, w->word, &a->hook_user, "hook-user");
        fill_text(v, w->word, &a->log_level, "log-level");
        if (fill_number(a, v, w->word) != MU_OK) {
            mu_err_set(&err, MU_INPUT, MU_M(706), "%s is out of range", w->word);
            mu_agent_config_fault(r, v->file, v->line, &err);
        }
    }
    v = s != NULL ? mu_agent_config_last(r->config, s, "check-interval") : NULL;
    if (v != NULL && (a->check_interval_s < 10 || a->check_interval_s > 7 * 86400)) {
        mu_err_set(&err, MU_INPUT, MU_M(706), "check-interval is from 10s to 7d");
        mu_agent_config_fault(r, v->file, v->line, &err);
    }
    v = s != NULL ? mu_agent_config_last(r->config, s, "hook-timeout") : NULL;
    if (v != NULL && (a->hook_timeout_s < 1 || a->hook_timeout_s > 86400)) {
        mu_err_set(&err, MU_INPUT, MU_M(706), "hook-timeout is from 1s to 1d");
        mu_agent_config_fault(r, v->file, v->line, &err);
    }
}

/* ---- names that lead somewhere ---- */

/* The nearest name of that kind, for a person who mistyped one. */
static const char *nearest_name(const struct mu_agent_config *c, unsigned kind, const char *name)
{
    size_t from, to, n = 0;
    const char *list[65];

    mu_agent_config_range(c, kind, &from, &to);
    for (size_t i = from; i < to && n < 64; i++)
        if (c->sections[i].name[0] == name[0] || to - from <= 64)
            list[n++] = c->sections[i].name;
    list[n] = NULL;
    return mu_text_nearest(name, list);
}

static void no_such(struct mu_agent_config_reader *r, const struct mu_agent_config_value *v, unsigned kind,
    const char *name)
{
    const char *near = nearest_name(r->config, kind, name);
    struct mu_err err = {0};

    mu_err_set(&err, MU_INPUT, MU_M(706), "there is no [%s \"%s\"]", mu_agent_config_kind_name(kind), name);
    if (near != NULL)
        mu_err_next(&err, "did you mean %s?", near);
    mu_agent_config_fault(r, v->file, v->line, &err);
}

static void check_names(struct mu_agent_config_reader *r, const struct mu_agent_config_section *s)
{
    const struct mu_agent_config_value *ca = mu_agent_config_last(r->config, s, "ca");
    const struct mu_agent_config_value *template = mu_agent_config_last(r->config, s, "template");
    char part[MU_AGENT_VALUE_PART];

    for (size_t i = 0; ca != NULL && mu_agent_value_part(ca->text, i, part); i++)
        if (mu_agent_config_find(r->config, MU_AGENT_CONFIG_CA, part) == NULL)
            no_such(r, ca, MU_AGENT_CONFIG_CA, part);
    if (template != NULL
        && mu_agent_config_find(r->config, MU_AGENT_CONFIG_TEMPLATE, template->text) == NULL)
        no_such(r, template, MU_AGENT_CONFIG_TEMPLATE, template->text);
}

/* ---- entries that are whole ---- */

static void at_section(struct mu_agent_config_reader *r, const struct mu_agent_config_section *s,
    enum mu_reason reason, const char *what, const char *next)
{
    struct mu_err err = {0};

    mu_err_set(&err, MU_INPUT, reason, "[%s%s%s%s] %s", mu_agent_config_kind_name(s->kind),
        s->name[0] != '\0' ? " \"" : "", s->name, s->name[0] != '\0' ? "\"" : "", what);
    if (next != NULL)
        mu_err_next(&err, "%s", next);
    mu_agent_config_fault(r, s->file, s->line, &err);
}

static bool is_tls(const char *url)
{
    return mu_text_starts(url, "https://") || mu_text_starts(url, "HTTPS://");
}

static void check_way(struct mu_agent_config_reader *r, const struct mu_agent_config_section *s,
    const char *protocol, const char *url)
{
    if (protocol == NULL)
        at_section(r, s, MU_M(706), "has no protocol", "protocol = scep, est or cmp");
    else if (url == NULL)
        at_section(r, s, MU_M(706), "has no url", NULL);
    else if (strcmp(protocol, "est") == 0 && !is_tls(url))
        at_section(r, s, MU_M(201), "has EST over http:// (RFC 7030 3.3)", "Use https://.");
    else if (strcmp(protocol, "cmp") != 0 && strstr(url, "://") == NULL)
        at_section(r, s, MU_M(706), "has a url without http:// or https://", NULL);
}

static const char *text_of(
    const struct mu_agent_config *c, const struct mu_agent_config_section *s, const char *word)
{
    const struct mu_agent_config_value *v = mu_agent_config_last(c, s, word);

    return v != NULL ? v->text : NULL;
}

static bool is_automatic(const struct mu_agent_config *c, const struct mu_agent_config_layers *layers)
{
    const char *answer = mu_agent_config_layers_get(c, layers, "automation");

    return c->agent.automation && (answer == NULL || is_yes(answer));
}

/* A certificate has a CA to ask, unless it is made by file and hand (R011). */
static void check_entry(struct mu_agent_config_reader *r, const struct mu_agent_config_section *s)
{
    struct mu_agent_config_layers layers;
    const char *url, *protocol;

    if (!mu_agent_config_layers(r->config, s->name, 0, &layers))
        return;
    if (layers.ca[0] != '\0' && mu_agent_config_find(r->config, MU_AGENT_CONFIG_CA, layers.ca) == NULL)
        return; /* told */
    url = mu_agent_config_layers_get(r->config, &layers, "url");
    protocol = mu_agent_config_layers_get(r->config, &layers, "protocol");
    if (url == NULL && protocol == NULL) {
        if (is_automatic(r->config, &layers))
            at_section(r, s, MU_M(706), "has no CA to ask", "ca = NAME of a [ca \"NAME\"], or automation = no");
        return;
    }
    if (layers.ca[0] == '\0' || text_of(r->config, s, "url") != NULL || text_of(r->config, s, "protocol") != NULL)
        check_way(r, s, protocol, url);
}

void mu_agent_config_check(struct mu_agent_config_reader *r)
{
    const struct mu_agent_config *c = r->config;

    fill_agent(r);
    for (size_t i = 0; i < c->section_n; i++) {
        const struct mu_agent_config_section *s = &c->sections[i];

        if (s->kind == MU_AGENT_CONFIG_CA)
            check_way(r, s, text_of(c, s, "protocol"), text_of(c, s, "url"));
        else if (s->kind != MU_AGENT_CONFIG_AGENT)
            check_names(r, s);
        if (s->kind == MU_AGENT_CONFIG_CERTIFICATE)
            check_entry(r, s);
    }
}
