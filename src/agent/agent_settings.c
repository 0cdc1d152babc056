/* The words of an entry's settings: one table says what each is and where it goes. */
#include "agent/agent_settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_value.h"
#include "base/limits.h"
#include "base/text.h"

enum kind { TEXT, DURATION, YES_NO };

/* Part of what is asked of the CA, or the way to it, or neither. */
enum part { OWN, WAY, ASKED };

struct word {
    const char *word;
    enum kind kind;
    size_t at;
    enum part part;
    mu_agent_value_check *check; /* NULL: any text */
};

/* ---- the table ---- */

#define AT(member) offsetof(struct mu_agent_settings, member)

static const struct word words[] = {
    {"protocol", TEXT, AT(protocol), ASKED, mu_agent_value_protocol},
    {"url", TEXT, AT(url), WAY, NULL},
    {"ca-identifier", TEXT, AT(ca_identifier), ASKED, NULL},
    {"trust", TEXT, AT(trust), OWN, NULL},
    {"server-name", TEXT, AT(server_name), OWN, NULL},
    {"tls-min", TEXT, AT(tls_min), OWN, mu_agent_value_tls_min},
    {"user", TEXT, AT(user), OWN, NULL},
    {"srp-user", TEXT, AT(srp_user), OWN, NULL},
    {"client-cert", TEXT, AT(client_cert), OWN, NULL},
    {"server-cert", TEXT, AT(server_cert), OWN, NULL},
    {"path", TEXT, AT(path), WAY, NULL},
    {"ref", TEXT, AT(ref), OWN, NULL},
    {"mac", TEXT, AT(mac), OWN, mu_agent_value_mac},
    {"mac-iterations", TEXT, AT(mac_iterations), OWN, mu_agent_value_mac_iterations},
    {"pop", TEXT, AT(pop), OWN, mu_agent_value_pop},
    {"mac-owf", TEXT, AT(mac_owf), OWN, mu_agent_value_mac_digest},
    {"mac-hmac", TEXT, AT(mac_hmac), OWN, mu_agent_value_mac_digest},
    {"cmp-request", TEXT, AT(cmp_request), OWN, mu_agent_value_cmp_request},
    {"csrattrs", TEXT, AT(csrattrs), OWN, mu_agent_value_csrattrs},
    {"server-key-to", TEXT, AT(server_key_to), ASKED, mu_agent_value_server_key_to},
    {"renew-auth", TEXT, AT(renew_auth), OWN, mu_agent_value_renew_auth},
    {"pin-sha256", TEXT, AT(pin_sha256), OWN, mu_agent_value_pin},
    {"subject", TEXT, AT(subject), ASKED, mu_agent_value_subject},
    {"san", TEXT, AT(san), ASKED, mu_agent_value_san},
    {"key", TEXT, AT(key), ASKED, mu_agent_value_key},
    {"key-file", TEXT, AT(key_file), ASKED, NULL},
    {"key-usage", TEXT, AT(key_usage), ASKED, mu_agent_value_key_usage},
    {"eku", TEXT, AT(eku), ASKED, mu_agent_value_eku},
    {"template-name", TEXT, AT(template_name), ASKED, NULL},
    {"digest", TEXT, AT(digest), OWN, mu_agent_value_digest},
    {"cipher", TEXT, AT(cipher), OWN, mu_agent_value_cipher},
    {"method", TEXT, AT(method), OWN, mu_agent_value_method},
    {"ra-cert", TEXT, AT(ra_cert), OWN, NULL},
    {"nonce-check", TEXT, AT(nonce_check), OWN, mu_agent_value_nonce},
    {"scep-standard", TEXT, AT(scep_standard), OWN, mu_agent_value_standard},
    {"compat", TEXT, AT(compat), OWN, mu_agent_value_compat},
    {"proxy", TEXT, AT(proxy), OWN, NULL},
    {"no-proxy", TEXT, AT(no_proxy), OWN, NULL},
    {"source-ip", TEXT, AT(source_ip), OWN, NULL},
    {"renew-days", TEXT, AT(renew_days), OWN, mu_agent_value_renew},
    {"comments", TEXT, AT(comments), OWN, NULL},
    {"warn-days", TEXT, AT(warn_days), OWN, mu_agent_value_warn},
    {"renew-window", TEXT, AT(renew_window), OWN, mu_agent_value_window},
    {"deploy", TEXT, AT(deploy), OWN, mu_agent_value_recipes},
    {"verify", TEXT, AT(verify), OWN, mu_agent_value_verify},
    {"success-script", TEXT, AT(success_script), OWN, NULL},
    {"failure-script", TEXT, AT(failure_script), OWN, NULL},
    {"key-owner", TEXT, AT(key_owner), OWN, mu_agent_value_account},
    {"key-group", TEXT, AT(key_group), OWN, mu_agent_value_account},
    {"key-mode", TEXT, AT(key_mode), OWN, mu_agent_value_mode},
    {"timeout", DURATION, AT(timeout_s), OWN, NULL},
    {"await-result", DURATION, AT(await_s), OWN, NULL},
    {"max-await-result", DURATION, AT(max_await_s), OWN, NULL},
    {"automation", YES_NO, AT(automation), OWN, NULL},
    {"reuse-key", YES_NO, AT(reuse_key), OWN, NULL},
    {"challenge-once", YES_NO, AT(challenge_once), OWN, NULL},
    {"allow-legacy", YES_NO, AT(allow_legacy), OWN, NULL},
    {"server-key", YES_NO, AT(server_key), ASKED, NULL},
    {"implicit-confirm", YES_NO, AT(implicit_confirm), OWN, NULL},
    {"no-confirm", YES_NO, AT(no_confirm), OWN, NULL},
    {"ignore-key-usage", YES_NO, AT(ignore_key_usage), OWN, NULL},
    {"trust-ca-pubs", YES_NO, AT(trust_ca_pubs), OWN, NULL},
    {"ask-template", YES_NO, AT(ask_template), OWN, NULL},
    {"rsa-pss", YES_NO, AT(rsa_pss), OWN, NULL},
};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

static char **text_at(struct mu_agent_settings *s, const struct word *w)
{
    return (char **)(void *)((char *)s + w->at);
}

static const char *text_of(const struct mu_agent_settings *s, const struct word *w)
{
    return *(char *const *)(const void *)((const char *)s + w->at);
}

static int64_t *duration_at(struct mu_agent_settings *s, const struct word *w)
{
    return (int64_t *)(void *)((char *)s + w->at);
}

static int64_t duration_of(const struct mu_agent_settings *s, const struct word *w)
{
    return *(const int64_t *)(const void *)((const char *)s + w->at);
}

static int *yes_no_at(struct mu_agent_settings *s, const struct word *w)
{
    return (int *)(void *)((char *)s + w->at);
}

static int yes_no_of(const struct mu_agent_settings *s, const struct word *w)
{
    return *(const int *)(const void *)((const char *)s + w->at);
}

const char *mu_agent_settings_word(size_t i)
{
    return i < WORDS ? words[i].word : NULL;
}

/* EST calls the CA identifier a label. */
static const struct word *word_find(const char *key)
{
    if (strcmp(key, "label") == 0)
        key = "ca-identifier";
    for (size_t i = 0; i < WORDS; i++)
        if (strcmp(words[i].word, key) == 0)
            return &words[i];
    return NULL;
}

static enum mu_code word_unknown(const char *key, struct mu_err *err)
{
    const char *list[WORDS + 1] = {NULL};
    const char *near;
    char shown[80];

    for (size_t i = 0; i < WORDS; i++)
        list[i] = words[i].word;
    near = mu_text_nearest(key, list);
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "there is no setting '%s'",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(key)));
    if (near != NULL)
        mu_err_next(err, "did you mean %s?", near);
    return MU_INPUT;
}

/* ---- values ---- */

static enum mu_code set_text(struct mu_agent_settings *s, const struct word *w, const char *value,
    bool checked, struct mu_err *err)
{
    char *copy = NULL;
    enum mu_code rc = MU_OK;

    if (value != NULL && w->check != NULL && !checked)
        rc = w->check(value, err);
    if (rc == MU_OK && value != NULL)
        rc = mu_text_dup(value, &copy, err);
    if (rc != MU_OK)
        return rc;
    free(*text_at(s, w));
    *text_at(s, w) = copy;
    return MU_OK;
}

static enum mu_code set(struct mu_agent_settings *settings, const char *key, const char *value,
    bool checked, struct mu_err *err)
{
    const struct word *w = word_find(key);
    int64_t duration = 0;
    int answer = 0;
    enum mu_code rc = MU_OK;

    if (w == NULL)
        return word_unknown(key, err);
    switch (w->kind) {
    case TEXT:
        rc = set_text(settings, w, value, checked, err);
        break;
    case DURATION:
        if (value != NULL)
            rc = mu_text_duration(value, &duration, err);
        if (rc == MU_OK)
            *duration_at(settings, w) = duration;
        break;
    case YES_NO:
        if (value != NULL)
            rc = mu_agent_value_parse_answer(value, &answer, err);
        if (rc == MU_OK)
            *yes_no_at(settings, w) = answer;
        break;
    }
    if (rc != MU_OK)
        mu_err_context(err, "%s", key);
    return rc;
}

enum mu_code mu_agent_settings_set(
    struct mu_agent_settings *settings, const char *key, const char *value, struct mu_err *err)
{
    return set(settings, key, value, false, err);
}

enum mu_code mu_agent_settings_put(
    struct mu_agent_settings *settings, const char *key, const char *value, struct mu_err *err)
{
    return set(settings, key, value, true, err);
}

static bool word_get(const struct mu_agent_settings *s, const struct word *w, struct mu_buf *out)
{
    struct mu_buf none = {0};
    struct mu_buf *to = out != NULL ? out : &none;
    bool is_set = true;

    switch (w->kind) {
    case TEXT:
        is_set = text_of(s, w) != NULL;
        if (is_set)
            mu_buf_put_str(to, text_of(s, w));
        break;
    case DURATION:
        is_set = duration_of(s, w) != 0;
        if (is_set)
            mu_buf_putf(to, "%llds", (long long)duration_of(s, w));
        break;
    case YES_NO:
        is_set = yes_no_of(s, w) != 0;
        if (is_set)
            mu_buf_put_str(to, yes_no_of(s, w) > 0 ? "yes" : "no");
        break;
    }
    mu_buf_clear(&none);
    return is_set;
}

bool mu_agent_settings_get(
    const struct mu_agent_settings *settings, const char *key, struct mu_buf *out)
{
    const struct word *w = word_find(key);

    return w != NULL && word_get(settings, w, out);
}

bool mu_agent_settings_is_est(const struct mu_agent_settings *settings)
{
    return settings->protocol != NULL && strcmp(settings->protocol, "est") == 0;
}

bool mu_agent_settings_is_cmp(const struct mu_agent_settings *settings)
{
    return settings->protocol != NULL && strcmp(settings->protocol, "cmp") == 0;
}

void mu_agent_settings_renew(const struct mu_agent_settings *settings, int *days, int *percent)
{
    *days = -1;
    *percent = 0;
    if (settings->renew_days != NULL
        && mu_agent_value_parse_renew(settings->renew_days, days, percent, NULL) != MU_OK)
        *days = -1;
}

void mu_agent_settings_clear(struct mu_agent_settings *settings)
{
    for (size_t i = 0; i < WORDS; i++)
        if (words[i].kind == TEXT)
            free(*text_at(settings, &words[i]));
    *settings = (struct mu_agent_settings){0};
}

enum mu_code mu_agent_settings_merge(
    struct mu_agent_settings *to, const struct mu_agent_settings *from, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < WORDS; i++) {
        struct mu_buf value = {0};

        if (word_get(from, &words[i], &value)
            && (rc = mu_buf_check(&value, words[i].word, err)) == MU_OK)
            rc = mu_agent_settings_set(to, words[i].word, mu_buf_str(&value), err);
        mu_buf_clear(&value);
    }
    return rc;
}

enum mu_code mu_agent_settings_copy(
    const struct mu_agent_settings *from, struct mu_agent_settings *to, struct mu_err *err)
{
    struct mu_agent_settings copy = {0};
    enum mu_code rc = mu_agent_settings_merge(&copy, from, err);

    if (rc != MU_OK) {
        mu_agent_settings_clear(&copy);
        return rc;
    }
    *to = copy;
    return MU_OK;
}

static bool same_parts(
    const struct mu_agent_settings *a, const struct mu_agent_settings *b, enum part least)
{
    for (size_t i = 0; i < WORDS; i++) {
        const char *x, *y;

        if (words[i].part < least)
            continue;
        if (words[i].kind == YES_NO) {
            if ((yes_no_of(a, &words[i]) > 0) != (yes_no_of(b, &words[i]) > 0))
                return false;
            continue;
        }
        x = text_of(a, &words[i]);
        y = text_of(b, &words[i]);
        if ((x == NULL) != (y == NULL) || (x != NULL && strcmp(x, y) != 0))
            return false;
    }
    return true;
}

bool mu_agent_settings_same_request(
    const struct mu_agent_settings *a, const struct mu_agent_settings *b)
{
    return same_parts(a, b, WAY);
}

bool mu_agent_settings_same_content(
    const struct mu_agent_settings *a, const struct mu_agent_settings *b)
{
    return same_parts(a, b, ASKED);
}

/* ---- state/<name>.conf ---- */

enum mu_code mu_agent_settings_load(struct mu_keystore *store, const char *name,
    struct mu_agent_settings *out, struct mu_err *err)
{
    struct mu_agent_settings loaded = {0};
    struct mu_buf text = {.max = MU_LIMIT_INI};
    struct mu_ini *ini = NULL;
    char file[MU_KEYSTORE_NAME + 8];
    enum mu_code rc;

    snprintf(file, sizeof(file), "%s.conf", name);
    rc = mu_keystore_get(store, MU_KEYSTORE_STATE, name, "conf", &text, err);
    if (rc == MU_OK)
        rc = mu_ini_parse(mu_buf_bytes(&text), file, MU_INI_SECTIONS, &ini, err);
    for (size_t i = 0; rc == MU_OK && i < mu_ini_count(ini); i++) {
        const struct mu_ini_item *item = mu_ini_at(ini, i);

        if ((rc = mu_agent_settings_set(&loaded, item->key, item->value, err)) == MU_OK)
            continue;
        mu_err_narrow(err, MU_M(706));
        mu_err_context(err, "%s:%u", file, item->line);
    }
    mu_ini_free(ini);
    mu_buf_clear(&text);
    if (rc != MU_OK) {
        mu_agent_settings_clear(&loaded);
        return rc;
    }
    *out = loaded;
    return MU_OK;
}

enum mu_code mu_agent_settings_store_unsynced(struct mu_keystore *store, const char *name,
    const struct mu_agent_settings *settings, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_INI};
    struct mu_ini *ini = NULL;
    enum mu_code rc = mu_ini_parse(mu_bytes_str(""), name, MU_INI_SECTIONS, &ini, err);

    for (size_t i = 0; rc == MU_OK && i < WORDS; i++) {
        struct mu_buf value = {0};

        if (word_get(settings, &words[i], &value)
            && (rc = mu_buf_check(&value, words[i].word, err)) == MU_OK)
            rc = mu_ini_set(ini, "certificate", name, words[i].word, mu_buf_str(&value), err);
        mu_buf_clear(&value);
    }
    if (rc == MU_OK) {
        mu_ini_format(ini, &text);
        rc = mu_buf_check(&text, "settings", err);
    }
    if (rc == MU_OK)
        rc = mu_keystore_put_unsynced(store, MU_KEYSTORE_STATE, name, "conf", mu_buf_bytes(&text), err);
    mu_ini_free(ini);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_agent_settings_store(struct mu_keystore *store, const char *name,
    const struct mu_agent_settings *settings, struct mu_err *err)
{
    enum mu_code rc = mu_agent_settings_store_unsynced(store, name, settings, err);

    return rc == MU_OK ? mu_keystore_sync(store, MU_KEYSTORE_STATE, err) : rc;
}
