/* What is known of an entry, and when its certificate is due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_deploy.h"
#include "agent/agent_entry.h"
#include "agent/agent_internal.h"
#include "base/text.h"
#include "enroll/enroll_lifecycle.h"
#include "pki/pki_name.h"

enum { DAY_S = 86400 };

bool mu_agent_is_due(int64_t not_before_s, int64_t not_after_s, int renew_days, int renew_percent,
    int64_t now_s, int64_t *from)
{
    int64_t due = mu_enroll_lifecycle_due(not_before_s, not_after_s, renew_days, renew_percent);

    if (from != NULL)
        *from = due != INT64_MAX ? due : 0;
    return now_s >= due;
}

/* Whole days, rounded down before expiry and behind it. */
static int days_between(int64_t now_s, int64_t then_s)
{
    int64_t left = then_s - now_s;

    return (int)(left >= 0 ? left / DAY_S : -((-left + DAY_S - 1) / DAY_S));
}

static enum mu_code dup_opt(const char *s, char **out, struct mu_err *err)
{
    return s == NULL ? MU_OK : mu_text_dup(s, out, err);
}

static void put_extension(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct mu_buf *out = cookie, text = {.max = 4096};
    char title[64], shown[4096];

    if (mu_pki_ext_format(oid, value, &text))
        mu_buf_putf(out, "%s%s:%s %s", out->n > 0 ? "\n" : "", mu_pki_ext_title(oid, title),
            critical ? " critical," : "", mu_text_escape_to(shown, sizeof(shown), mu_buf_bytes(&text)));
    mu_buf_clear(&text);
}

static enum mu_code extension_facts(
    const struct mu_pki_cert *cert, struct mu_agent_facts *f, struct mu_err *err)
{
    struct mu_buf text = {0};
    enum mu_code rc;

    if (cert->exts.all.n > 0)
        mu_pki_ext_each(cert->exts.all, put_extension, &text);
    if ((rc = mu_buf_check(&text, "extensions", err)) == MU_OK && text.n > 0)
        rc = mu_text_dup(mu_buf_str(&text), &f->extensions, err);
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code certificate_facts(struct mu_agent *agent, const struct mu_keystore_entry *entry,
    struct mu_agent_facts *f, struct mu_err *err)
{
    const struct mu_pki_cert *cert = entry->cert;
    struct mu_buf serial = {0}, san = {0}, path = {0};
    struct mu_pki_key_spec spec;
    struct mu_pki_key *key = NULL;
    char text[32];
    enum mu_code rc;

    f->not_before_s = cert->not_before_s;
    f->not_after_s = cert->not_after_s;
    mu_pki_cert_serial_hex(cert->serial, &serial);
    if (cert->exts.san.n > 0)
        mu_pki_san_format(cert->exts.san, &san);
    if ((rc = mu_agent_name_text(cert->subject, true, &f->subject, err)) != MU_OK)
        goto out;
    if ((rc = mu_agent_name_text(cert->issuer, true, &f->issuer, err)) != MU_OK)
        goto out;
    if ((rc = mu_text_dup(mu_buf_str(&serial), &f->serial, err)) != MU_OK)
        goto out;
    if ((rc = mu_text_dup(entry->stem, &f->stem, err)) != MU_OK)
        goto out;
    if (san.n > 0 && (rc = mu_text_dup(mu_buf_str(&san), &f->san, err)) != MU_OK)
        goto out;
    if ((rc = extension_facts(cert, f, err)) != MU_OK)
        goto out;
    if ((rc = mu_agent_fingerprint(cert, &f->sha256, err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_path(agent->store, f->name, "latest.crt", &path, err)) != MU_OK)
        goto out;
    if ((rc = mu_text_dup(mu_buf_str(&path), &f->cert_file, err)) != MU_OK)
        goto out;
    mu_buf_reset(&path);
    if ((rc = mu_keystore_path(agent->store, f->name, "latest.key", &path, err)) != MU_OK)
        goto out;
    if ((rc = mu_text_dup(mu_buf_str(&path), &f->key_file, err)) != MU_OK)
        goto out;
    if (mu_pki_cert_key(entry->cert, &key, NULL) == MU_OK) {
        mu_pki_key_spec_of(key, &spec);
        rc = mu_text_dup(mu_pki_key_spec_format(&spec, text), &f->key, err);
    }
out:
    mu_buf_clear(&serial);
    mu_buf_clear(&san);
    mu_buf_clear(&path);
    return rc;
}

/* Of what an exchange warned of, the weak choices stay true (M705); the rest is in its trace and the log. */
static char *keep_weak(char *lines)
{
    char *to = lines;
    const char *from = lines;

    while (from != NULL && *from != '\0') {
        size_t n = strcspn(from, "\n"), whole = n + (from[n] == '\n');

        if (memmem(from, n, "legacy", strlen("legacy")) != NULL) {
            memmove(to, from, whole);
            to += whole;
        }
        from += whole;
    }
    if (to != NULL)
        *to = '\0';
    return lines;
}

static enum mu_code last_facts(
    struct mu_keystore *store, struct mu_agent_facts *f, struct mu_err *err)
{
    struct mu_agent_last last = {0};
    enum mu_code rc = mu_agent_last_load(store, f->name, &last, err);

    if (rc != MU_OK)
        return rc;
    f->last_result = last.result;
    f->last_code = last.code;
    f->last_what = last.what;
    f->last_likely = last.likely;
    f->last_next = last.next;
    f->last_reason = last.said;
    f->last_txn = last.transaction;
    f->last_trace = last.trace;
    f->changed = last.changed;
    f->warnings = keep_weak(last.warnings);
    f->last_s = last.at_s;
    f->has_clock = last.has_clock;
    f->clock_difference_s = last.clock_difference_s;
    f->attempts = last.attempts;
    return MU_OK;
}

static enum mu_code pending_facts(
    struct mu_keystore *store, struct mu_agent_facts *f, struct mu_err *err)
{
    struct mu_agent_pending pending = {0};
    enum mu_code rc = mu_agent_pending_load(store, f->name, &pending, err);

    if (rc != MU_OK)
        return rc == MU_NOT_FOUND ? MU_OK : rc;
    f->is_pending = true;
    f->is_by_file = pending.operation == MU_AGENT_BY_FILE;
    f->pending_since_s = pending.since_s;
    f->pending_txn = pending.transaction;
    pending.transaction = NULL;
    mu_agent_pending_clear(&pending);
    return MU_OK;
}

static enum mu_code settings_facts(
    const struct mu_agent_settings *settings, struct mu_agent_facts *f, struct mu_err *err)
{
    enum mu_code rc;

    f->proto = settings->protocol != NULL ? mu_proto_parse(settings->protocol) : MU_PROTO_NONE;
    mu_agent_settings_renew(settings, &f->renew_days, &f->renew_percent);
    if ((rc = dup_opt(settings->url, &f->url, err)) != MU_OK)
        return rc;
    if ((rc = dup_opt(settings->ca_identifier, &f->label, err)) != MU_OK)
        return rc;
    if ((rc = dup_opt(settings->user, &f->user, err)) != MU_OK)
        return rc;
    if ((rc = dup_opt(settings->srp_user, &f->srp_user, err)) != MU_OK)
        return rc;
    if ((rc = dup_opt(settings->client_cert, &f->client_cert, err)) != MU_OK)
        return rc;
    return dup_opt(settings->trust, &f->ca, err);
}

/* That there is one, never which. */
static void secret_facts(struct mu_keystore *store, struct mu_agent_facts *f)
{
    f->has_password = mu_keystore_has(store, MU_KEYSTORE_SECRETS, f->name, "password");
    f->has_srp_password = mu_keystore_has(store, MU_KEYSTORE_SECRETS, f->name, "srp-password");
    f->has_key_password = mu_keystore_has(store, MU_KEYSTORE_SECRETS, f->name, "key-password");
}

/* The pair that waits, beside the present one or before there is one. */
static enum mu_code next_facts(struct mu_agent *agent, struct mu_agent_facts *f, struct mu_err *err)
{
    struct mu_keystore_entry waits = {0};
    char stem[MU_KEYSTORE_STEM];
    enum mu_code rc;

    if (!mu_keystore_next(agent->store, f->name, stem))
        return MU_OK;
    if ((rc = mu_text_dup(stem, &f->next_stem, err)) != MU_OK)
        return rc;
    f->next_held = mu_agent_deploy_held(agent, f->name, NULL);
    if (mu_keystore_load_serial(agent->store, f->name, stem, &waits, NULL) == MU_OK)
        f->next_from_s = waits.cert->not_before_s;
    mu_keystore_entry_clear(&waits);
    return MU_OK;
}

enum mu_code mu_agent_show(
    struct mu_agent *agent, const char *name, struct mu_agent_facts *out, struct mu_err *err)
{
    struct mu_agent_facts f = {.renew_days = -1};
    struct mu_agent_settings settings = {0};
    struct mu_keystore_entry entry = {0};
    struct mu_keystore_saved saved;
    int64_t now = mu_env_now(agent->env);
    enum mu_code with_settings, with_cert, rc = MU_OK;

    with_settings = mu_agent_entry_settings(agent, name, &settings, err);
    if (with_settings != MU_OK && with_settings != MU_NOT_FOUND)
        return with_settings;
    snprintf(f.name, sizeof(f.name), "%s", name);
    with_cert = mu_keystore_load(agent->store, name, &entry, err);
    if (with_cert == MU_OK && mu_agent_next_is_due(agent, name, &entry)
        && mu_agent_activate(agent, name, true, &saved, NULL) == MU_OK) {
        mu_keystore_entry_clear(&entry);
        with_cert = mu_keystore_load(agent->store, name, &entry, err);
    }
    if (with_cert != MU_OK && with_cert != MU_NOT_FOUND) {
        rc = with_cert;
        goto out;
    }
    if ((rc = pending_facts(agent->store, &f, err)) != MU_OK)
        goto out;
    if (with_cert == MU_NOT_FOUND && with_settings == MU_NOT_FOUND && !f.is_pending) {
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", name);
        goto out;
    }
    if ((rc = settings_facts(&settings, &f, err)) != MU_OK)
        goto out;
    secret_facts(agent->store, &f);
    if ((rc = last_facts(agent->store, &f, err)) != MU_OK)
        goto out;
    if (with_cert == MU_OK) {
        if ((rc = certificate_facts(agent, &entry, &f, err)) != MU_OK)
            goto out;
        f.days_left = days_between(now, f.not_after_s);
        mu_agent_is_due(f.not_before_s, f.not_after_s, f.renew_days, f.renew_percent, now, &f.renew_from_s);
    } else if (settings.subject != NULL && (rc = mu_text_dup(settings.subject, &f.subject, err)) != MU_OK) {
        goto out;
    }
    if ((rc = next_facts(agent, &f, err)) != MU_OK)
        goto out;
    mu_agent_facts_life(agent, &f);
    mu_err_clear(err);
    *out = f;
out:
    if (rc != MU_OK)
        mu_agent_facts_clear(&f);
    mu_agent_settings_clear(&settings);
    mu_keystore_entry_clear(&entry);
    return rc;
}

void mu_agent_facts_clear(struct mu_agent_facts *f)
{
    char *const texts[] = {f->url, f->ca, f->subject, f->issuer, f->san, f->extensions, f->serial, f->stem, f->next_stem,
        f->sha256, f->key, f->cert_file, f->key_file, f->pending_txn, f->last_result, f->last_code,
        f->last_what, f->last_likely, f->last_next, f->last_reason, f->last_txn, f->last_trace, f->changed, f->warnings, f->label,
        f->user, f->srp_user, f->client_cert};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
    for (size_t i = 0; i < f->deploy_n; i++) {
        free(f->deploy[i].recipe);
        free(f->deploy[i].endpoint);
        free(f->deploy[i].serial_seen);
        free(f->deploy[i].last_line);
        free(f->deploy[i].file);
    }
    free(f->deploy);
    *f = (struct mu_agent_facts){0};
}

struct list {
    struct mu_agent *agent;
    mu_agent_each_call *call;
    void *cookie;
};

void mu_agent_show_or_failed(struct mu_agent *agent, const char *name, struct mu_agent_facts *out)
{
    struct mu_err why = {0};
    char code[8];

    if (mu_agent_show(agent, name, out, &why) == MU_OK)
        return;
    *out = (struct mu_agent_facts){.state = MU_AGENT_FAILED, .renew_days = -1};
    snprintf(out->name, sizeof(out->name), "%s", name);
    out->last_result = strdup("failed");
    out->last_code = strdup(mu_err_code_text(&why, code));
    out->last_what = strdup(why.what);
}

static void list_one(void *cookie, const char *name)
{
    struct list *list = cookie;
    struct mu_agent_facts facts = {0};

    mu_agent_show_or_failed(list->agent, name, &facts);
    list->call(list->cookie, &facts);
    mu_agent_facts_clear(&facts);
}

enum mu_code mu_agent_list(
    struct mu_agent *agent, mu_agent_each_call *call, void *cookie, struct mu_err *err)
{
    struct list list = {agent, call, cookie};

    return mu_agent_entry_each(agent, list_one, &list, err);
}
