/* The configuration against the machine, and against what CAs were seen to do. */
#include "agent/agent_config_review.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_config_internal.h"
#include "agent/agent_entry.h"
#include "agent/agent_internal.h"
#include "agent/agent_life.h"
#include "agent/agent_secret_where.h"
#include "base/text.h"

enum { DAY_S = 86400 };

struct review {
    struct mu_agent *agent;
    const char *recipes;
    mu_agent_config_call *call;
    void *cookie;
};

static void tell(const struct review *r, bool is_error, const struct mu_agent_config_value *at,
    enum mu_reason reason, const char *text)
{
    const struct mu_agent_config *c = r->agent->config;
    const struct mu_agent_config_note note = {
        is_error, at != NULL ? c->files[at->file] : NULL, at != NULL ? at->line : 0, reason, text};

    r->call(r->cookie, &note);
}

static void tell_err(const struct review *r, bool is_error, const struct mu_agent_config_value *at,
    const char *word, const struct mu_err *err)
{
    char text[sizeof err->what + sizeof err->next + 80];

    snprintf(text, sizeof text, "%s: %s%s%s", word, err->what, err->next[0] != '\0' ? "; " : "", err->next);
    tell(r, is_error, at, err->reason, text);
}

/* ---- one value ---- */

static void file_exists(const struct review *r, const struct mu_agent_config_value *v, const char *word,
    const char *path)
{
    struct mu_buf text = {.secret = true};
    struct mu_err err = {0};

    if (mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, &text, &err) != MU_OK)
        tell_err(r, true, v, word, &err);
    mu_buf_clear(&text);
}

/* "corp-root, /etc/ssl/ca.pem": files, or names of the CA store. */
static void check_trust(const struct review *r, const struct mu_agent_config_value *v, const char *word)
{
    struct mu_pki_certs certs = {0};
    struct mu_err err = {0};

    if (r->agent->store == NULL) {
        if (v->text[0] == '/' && strpbrk(v->text, ", ") == NULL)
            file_exists(r, v, word, v->text);
        return;
    }
    if (mu_keystore_ca_load(r->agent->store, v->text, &certs, &err) != MU_OK)
        tell_err(r, true, v, word, &err);
    mu_pki_certs_clear(&certs);
}

/* credential:NAME is for musterd alone: it cannot be seen from here. */
static void check_secret(const struct review *r, const struct mu_agent_config_value *v, const char *word)
{
    struct mu_secret secret = {0};
    struct mu_err err = {0};

    if (mu_text_starts(v->text, "credential:") || !mu_agent_config_is_reference(v->text)
        || (mu_text_starts(v->text, "secret:") && r->agent->store == NULL))
        return;
    if (mu_agent_secret_where_read(r->agent->store, word, v->text, &secret, &err) != MU_OK)
        tell_err(r, true, v, word, &err);
    mu_secret_clear(&secret);
}

static void check_account(const struct review *r, const struct mu_agent_config_value *v, const char *word)
{
    bool is_group = strcmp(word, "key-group") == 0, found;
    char text[120];
    int64_t id;

    found = mu_text_int(v->text, 0, UINT32_MAX - 1LL, &id, NULL) == MU_OK
        || (is_group ? getgrnam(v->text) != NULL : getpwnam(v->text) != NULL);
    snprintf(text, sizeof text, "%s: there is no %s '%s' on this system", word, is_group ? "group" : "user", v->text);
    if (!found)
        tell(r, true, v, MU_REASON_NONE, text);
}

static void check_recipe(const struct review *r, const struct mu_agent_config_value *v)
{
    static const struct {
        const char *recipe, *service;
    } restarts[] = {{"freeradius", "FreeRADIUS"}, {"openvpn", "OpenVPN"}};
    char part[MU_AGENT_VALUE_PART], text[700];

    for (size_t i = 0; mu_agent_value_part(v->text, i, part); i++) {
        part[strcspn(part, " \t")] = '\0';
        snprintf(text, sizeof text, "%s/%s", r->recipes != NULL ? r->recipes : "", part);
        if (r->recipes != NULL && access(text, X_OK) != 0) {
            snprintf(text, sizeof text, "deploy: there is no recipe %s in %s", part, r->recipes);
            tell(r, true, v, MU_REASON_NONE, text);
        }
        for (size_t k = 0; k < sizeof restarts / sizeof restarts[0]; k++) {
            if (strcmp(part, restarts[k].recipe) != 0)
                continue;
            snprintf(text, sizeof text,
                "deploy: %s does not re-read certificates on reload; the recipe restarts it at each renewal",
                restarts[k].service);
            tell(r, false, v, MU_M(905), text);
        }
    }
}

/* A script of one's own that reloads what has to be restarted. */
static void check_script(const struct review *r, const struct mu_agent_config_value *v)
{
    static const char *const services[] = {"freeradius", "radiusd", "openvpn"};
    char text[160];

    if (strstr(v->text, "reload") == NULL && strstr(v->text, "HUP") == NULL)
        return;
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (strstr(v->text, services[i]) == NULL)
            continue;
        snprintf(text, sizeof text, "success-script: %s does not re-read certificates on reload; restart it",
            services[i]);
        tell(r, false, v, MU_M(905), text);
    }
}

static void check_name_or_file(
    const struct review *r, const struct mu_agent_config_value *v, const char *word)
{
    char stem[MU_KEYSTORE_STEM], text[200];

    if (strchr(v->text, '/') != NULL) {
        file_exists(r, v, word, v->text);
        return;
    }
    if (r->agent->store == NULL || !mu_text_is_entry_name(v->text)
        || mu_keystore_current(r->agent->store, v->text, stem)
        || mu_agent_config_has_entry(r->agent->config, v->text))
        return;
    snprintf(text, sizeof text, "%s: there is no certificate '%s' here", word, v->text);
    tell(r, true, v, MU_REASON_NONE, text);
}

static void check_value(const struct review *r, const struct mu_agent_config_value *v)
{
    const struct mu_agent_config_word *w = mu_agent_config_word_at(v->word);
    int answer = 0;

    if (v->text[0] == '\0')
        return;
    if (w->is_secret)
        check_secret(r, v, w->word);
    else if (strcmp(w->word, "trust") == 0 || strcmp(w->word, "server-cert") == 0)
        check_trust(r, v, w->word);
    else if (strcmp(w->word, "client-cert") == 0)
        check_name_or_file(r, v, w->word);
    else if (strcmp(w->word, "ra-cert") == 0 || (strcmp(w->word, "key-file") == 0 && v->text[0] == '/'))
        file_exists(r, v, w->word, v->text);
    else if (strcmp(w->word, "key-owner") == 0 || strcmp(w->word, "key-group") == 0
        || strcmp(w->word, "hook-user") == 0)
        check_account(r, v, w->word);
    else if (strcmp(w->word, "deploy") == 0)
        check_recipe(r, v);
    else if (strcmp(w->word, "success-script") == 0)
        check_script(r, v);
    else if (strcmp(w->word, "allow-legacy") == 0
        && mu_agent_value_parse_answer(v->text, &answer, NULL) == MU_OK && answer > 0)
        tell(r, false, v, MU_M(705), "allow-legacy: weak algorithms are let through");
}

static void check_section(const struct review *r, const struct mu_agent_config_section *s)
{
    const struct mu_agent_config *c = r->agent->config;

    for (uint32_t i = 0; i < s->n; i++) {
        const struct mu_agent_config_value *v = &c->values[s->first + i];

        if (v == mu_agent_config_last(c, s, mu_agent_config_word_at(v->word)->word))
            check_value(r, v);
    }
}

/* ---- one certificate ---- */

enum mu_reason mu_agent_config_review_policy(
    const struct mu_lifecycle *life, const struct mu_lifecycle_policy *policy, int *days)
{
    int64_t lifetime_s = life->not_after_s - life->not_before_s, left_s, window_s = policy->ca_window_s;
    int64_t due_s;

    *days = 0;
    if (policy->renew_days == 0 && policy->renew_percent == 0) {
        *days = 30;
        return MU_M(604);
    }
    if (life->not_after_s == 0)
        return MU_REASON_NONE;
    if (mu_enroll_lifecycle_is_hasty(life->not_before_s, life->not_after_s, policy)) {
        *days = (int)(lifetime_s / 3 / DAY_S);
        return MU_M(602);
    }
    due_s = mu_enroll_lifecycle_due(
        life->not_before_s, life->not_after_s, policy->renew_days, policy->renew_percent);
    left_s = due_s != INT64_MAX ? life->not_after_s - due_s : 0;
    if (window_s == 0 && life->no_left_s > life->yes_left_s && left_s >= life->no_left_s)
        window_s = life->yes_left_s > 0 ? life->yes_left_s : life->no_left_s;
    if (window_s > 0 && left_s > window_s) {
        *days = (int)(window_s / DAY_S) - (life->yes_left_s == window_s ? 0 : 1);
        *days = *days > 0 ? *days : 0;
        return MU_M(603);
    }
    return MU_REASON_NONE;
}

static const struct mu_agent_config_value *where(
    const struct mu_agent_config *c, const char *name, const char *word)
{
    const struct mu_agent_config_value *v = NULL;
    struct mu_agent_config_layers layers;

    if (!mu_agent_config_layers(c, name, 0, &layers))
        return NULL;
    for (size_t l = layers.n; v == NULL && l-- > 0;)
        v = mu_agent_config_last(c, layers.layer[l], word);
    return v;
}

static void tell_policy(const struct review *r, const char *name, enum mu_reason reason,
    const struct mu_lifecycle *life, const char *renew_days, int days)
{
    char text[300];

    if (reason == MU_M(604))
        snprintf(text, sizeof text, "%s: renewal is off; muster config set %s renew-days %d", name, name, days);
    else if (reason == MU_M(602))
        snprintf(text, sizeof text,
            "%s: every new certificate would be due at once (lifetime %lld d, renew-days %s); muster config set "
            "%s renew-days %d",
            name, (long long)((life->not_after_s - life->not_before_s) / DAY_S), renew_days, name, days);
    else if (life->no_left_s > 0)
        snprintf(text, sizeof text,
            "%s: renew-days %s is more than the CA's window: it said no with %lld d left%s; muster config set %s "
            "renew-days %d",
            name, renew_days, (long long)(life->no_left_s / DAY_S), life->yes_left_s > 0 ? " and yes later" : "",
            name, days);
    else
        snprintf(text, sizeof text,
            "%s: renew-days %s is more than renew-window; until then the agent waits; muster config set %s "
            "renew-days %d",
            name, renew_days, name, days);
    tell(r, false, where(r->agent->config, name, "renew-days"), reason, text);
}

static void check_entry(const struct review *r, const char *name)
{
    struct mu_agent_config_entry e = {0};
    struct mu_pki_key_spec spec;
    struct mu_lifecycle life = {0};
    struct mu_keystore_entry current = {0};
    struct mu_err err = {0};
    enum mu_reason reason;
    int days;

    if (mu_agent_entry_peek(r->agent, name, &e, &err) != MU_OK) {
        tell_err(r, true, NULL, name, &err);
        return;
    }
    if (e.settings.key_file == NULL
        && mu_agent_key_spec(&e.settings, r->agent->allow_legacy, &spec, &err) != MU_OK)
        tell_err(r, true, where(r->agent->config, name, "key"), name, &err);
    if (mu_agent_life_load(r->agent->store, name, &life, &err) != MU_OK)
        life = (struct mu_lifecycle){0};
    if (mu_keystore_load(r->agent->store, name, &current, NULL) == MU_OK) {
        life.not_before_s = current.cert->not_before_s;
        life.not_after_s = current.cert->not_after_s;
    }
    reason = mu_agent_config_review_policy(&life, &e.policy, &days);
    if (reason != MU_REASON_NONE)
        tell_policy(r, name, reason, &life, e.settings.renew_days != NULL ? e.settings.renew_days : "auto", days);
    mu_keystore_entry_clear(&current);
    mu_agent_config_entry_clear(&e);
}

static void entry_of_each(void *cookie, const char *name)
{
    check_entry(cookie, name);
}

enum mu_code mu_agent_config_review(struct mu_agent *agent, const char *name, const char *recipes,
    mu_agent_config_call *call, void *cookie, struct mu_err *err)
{
    struct review r = {agent, recipes, call, cookie};
    const struct mu_agent_config *c = agent->config;
    struct mu_agent_config_layers layers = {0};

    if (name == NULL) {
        for (size_t i = 0; c != NULL && i < c->section_n; i++)
            check_section(&r, &c->sections[i]);
        return agent->store != NULL ? mu_agent_entry_each(agent, entry_of_each, &r, err) : MU_OK;
    }
    for (size_t route = 0; mu_agent_config_layers(c, name, route, &layers); route++)
        for (size_t l = 0; l < layers.n; l++)
            if (route == 0 || layers.layer[l]->kind == MU_AGENT_CONFIG_CA)
                check_section(&r, layers.layer[l]);
    if (agent->store != NULL)
        check_entry(&r, name);
    else if (!mu_agent_config_has_entry(c, name))
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", name);
    return MU_OK;
}
