/* state/<name>.deploy: what ran for which pair, and how it went. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_deploy_internal.h"
#include "base/ini.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/time.h"

#define KIND "deploy"

static const char *const state_words[] = {"running", "done", "failed"};
static const char *const kind_words[]
    = {"pre", "switch", "recipe", "script", "file", "verify", "post", "failure"};

/* ---- reading ---- */

static const char *get(const struct mu_ini *ini, const char *section, const char *name, const char *key)
{
    const struct mu_ini_item *item = mu_ini_get(ini, section, name, key);

    return item != NULL ? item->value : NULL;
}

static void get_stem(const struct mu_ini *ini, const char *name, const char *key, char out[MU_KEYSTORE_STEM])
{
    const char *value = get(ini, KIND, name, key);

    snprintf(out, MU_KEYSTORE_STEM, "%s", value != NULL ? value : "");
}

static enum mu_code get_text(
    const struct mu_ini *ini, const char *number, const char *key, char **out, struct mu_err *err)
{
    const char *value = get(ini, "part", number, key);

    return value != NULL && value[0] != '\0' ? mu_text_dup(value, out, err) : MU_OK;
}

static int64_t get_number(const struct mu_ini *ini, const char *number, const char *key, int64_t otherwise)
{
    const char *value = get(ini, "part", number, key);
    int64_t n;

    return value != NULL && mu_text_int(value, -1, 9999, &n, NULL) == MU_OK ? n : otherwise;
}

/* Records of before had no kind. */
static enum mu_agent_deploy_kind kind_of(const char *word, const char *what)
{
    size_t i;

    for (i = 0; word != NULL && i < sizeof kind_words / sizeof kind_words[0]; i++) {
        if (strcmp(kind_words[i], word) == 0)
            return (enum mu_agent_deploy_kind)i;
    }
    return what != NULL && mu_text_starts(what, "verify ") ? MU_AGENT_DEPLOY_VERIFY : MU_AGENT_DEPLOY_SCRIPT;
}

static enum mu_code get_part(const struct mu_ini *ini, const char *number,
    struct mu_agent_deploy_item *item, struct mu_err *err)
{
    const char *state = get(ini, "part", number, "state"), *at = get(ini, "part", number, "time");
    enum mu_code rc = get_text(ini, number, "what", &item->what, err);
    size_t i;

    if (rc == MU_OK)
        rc = get_text(ini, number, "line", &item->line, err);
    if (rc == MU_OK)
        rc = get_text(ini, number, "serial", &item->serial_seen, err);
    if (rc == MU_OK)
        rc = get_text(ini, number, "wrote", &item->wrote, err);
    for (i = 0; state != NULL && i < sizeof state_words / sizeof state_words[0]; i++) {
        if (strcmp(state_words[i], state) == 0)
            item->state = (enum mu_agent_deploy_state)i;
    }
    if (at != NULL)
        (void)mu_time_parse_rfc3339(at, &item->at_s);
    item->exit_code = (int)get_number(ini, number, "exit", -1);
    item->code = MU_M(get_number(ini, number, "code", 0));
    if (rc == MU_OK)
        item->kind = kind_of(get(ini, "part", number, "kind"), item->what);
    return rc;
}

enum mu_code mu_agent_deploy_record_load(struct mu_keystore *store, const char *name,
    struct mu_agent_deploy_record *out, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE};
    struct mu_ini *ini = NULL;
    char shown[MU_KEYSTORE_NAME + 16], number[8];
    enum mu_code rc = mu_keystore_get(store, MU_KEYSTORE_STATE, name, KIND, &text, err);

    *out = (struct mu_agent_deploy_record){.done = false};
    if (rc == MU_NOT_FOUND) {
        mu_err_clear(err);
        mu_buf_clear(&text);
        return MU_OK;
    }
    snprintf(shown, sizeof shown, "state/%s." KIND, name);
    if (rc == MU_OK && mu_ini_parse(mu_buf_bytes(&text), shown, MU_INI_SECTIONS, &ini, NULL) != MU_OK)
        ini = NULL; /* damaged: as if nothing had been deployed, which does no harm */
    mu_buf_clear(&text);
    if (rc != MU_OK || ini == NULL)
        return rc;
    get_stem(ini, name, "stem", out->stem);
    get_stem(ini, name, "old-stem", out->old_stem);
    get_stem(ini, name, "held", out->held);
    out->done = get(ini, KIND, name, "done") != NULL && strcmp(get(ini, KIND, name, "done"), "yes") == 0;
    while (rc == MU_OK && out->parts.n < MU_AGENT_DEPLOY_ITEMS) {
        snprintf(number, sizeof number, "%zu", out->parts.n);
        if (get(ini, "part", number, "what") == NULL)
            break;
        rc = get_part(ini, number, &out->parts.v[out->parts.n++], err);
    }
    mu_ini_free(ini);
    if (rc != MU_OK)
        mu_agent_deploy_record_clear(out);
    return rc;
}

/* ---- writing ---- */

/* Text of a program, made fit for a line of the file. */
static void put_text(struct mu_buf *b, const char *key, const char *value)
{
    char safe[1024];

    if (value != NULL && value[0] != '\0')
        mu_buf_putf(b, "%s = %s\n", key, mu_text_escape_to(safe, sizeof safe, mu_bytes_str(value)));
}

static void put_part(struct mu_buf *b, size_t i, const struct mu_agent_deploy_item *item)
{
    char at[MU_TIME_TEXT];

    mu_buf_putf(b, "\n[part \"%zu\"]\n", i);
    put_text(b, "what", item->what);
    put_text(b, "kind", kind_words[item->kind]);
    put_text(b, "state", state_words[item->state]);
    if (item->at_s != 0)
        put_text(b, "time", mu_time_rfc3339(item->at_s, at));
    if (item->exit_code >= 0)
        mu_buf_putf(b, "exit = %d\n", item->exit_code);
    if (item->code != MU_REASON_NONE)
        mu_buf_putf(b, "code = %d\n", (int)item->code);
    put_text(b, "serial", item->serial_seen);
    put_text(b, "line", item->line);
    put_text(b, "wrote", item->wrote);
}

enum mu_code mu_agent_deploy_record_store(struct mu_keystore *store, const char *name,
    const struct mu_agent_deploy_record *record, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE};
    enum mu_code rc;
    size_t i;

    mu_buf_putf(&text, "[" KIND " \"%s\"]\n", name);
    put_text(&text, "stem", record->stem);
    put_text(&text, "old-stem", record->old_stem);
    put_text(&text, "held", record->held);
    put_text(&text, "done", record->done ? "yes" : "no");
    for (i = 0; i < record->parts.n; i++)
        put_part(&text, i, &record->parts.v[i]);
    rc = mu_buf_check(&text, "state of the deployment", err);
    if (rc == MU_OK)
        rc = mu_keystore_put(store, MU_KEYSTORE_STATE, name, KIND, mu_buf_bytes(&text), err);
    mu_buf_clear(&text);
    return rc;
}

void mu_agent_deploy_record_clear(struct mu_agent_deploy_record *record)
{
    mu_agent_deploy_plan_clear(&record->parts);
}

/* ---- the pair before ---- */

struct before {
    struct mu_agent *agent;
    const char *name;
    const struct mu_keystore_entry *entry;
    char *stem;
    int64_t at_s;
};

static void look_before(void *cookie, const char *stem)
{
    struct before *b = cookie;
    struct mu_keystore_entry old = {.stem = ""};

    if (strcmp(stem, b->entry->stem) == 0
        || mu_keystore_load_serial(b->agent->store, b->name, stem, &old, NULL) != MU_OK)
        return;
    if (old.cert->not_before_s <= b->entry->cert->not_before_s && old.cert->not_before_s >= b->at_s) {
        b->at_s = old.cert->not_before_s;
        snprintf(b->stem, MU_KEYSTORE_STEM, "%s", stem);
    }
    mu_keystore_entry_clear(&old);
}

void mu_agent_deploy_stem_before(struct mu_agent *agent, const char *name, const struct mu_keystore_entry *entry,
    char out[MU_KEYSTORE_STEM])
{
    struct before b = {.agent = agent, .name = name, .entry = entry, .stem = out, .at_s = INT64_MIN};

    out[0] = '\0';
    if (entry->cert == NULL || mu_keystore_each_serial(agent->store, name, look_before, &b, NULL) != MU_OK)
        out[0] = '\0';
}

/* ---- for status ---- */

enum mu_code mu_agent_deploy_each(struct mu_agent *agent, const char *name, mu_agent_deploy_seen_call *call,
    void *cookie, struct mu_err *err)
{
    struct mu_agent_deploy_record record;
    enum mu_code rc = mu_agent_deploy_record_load(agent->store, name, &record, err);
    size_t i;

    for (i = 0; rc == MU_OK && i < record.parts.n; i++) {
        struct mu_agent_deploy_item *item = &record.parts.v[i];
        bool is_check = item->kind == MU_AGENT_DEPLOY_VERIFY;
        char *what = item->what + (is_check ? strlen("verify ")
                                            : mu_text_starts(item->what, "recipe ") ? strlen("recipe ") : 0);
        const struct mu_agent_deploy_seen seen = {
            .recipe = is_check ? NULL : what,
            .endpoint = is_check ? what : NULL,
            .serial_seen = item->serial_seen,
            .last_line = item->line,
            .file = is_check ? mu_agent_deploy_wrote(&record.parts, i) : item->wrote,
            .match = item->state == MU_AGENT_DEPLOY_DONE,
            .code = item->code,
            .exit_code = item->exit_code,
            .at_s = item->at_s,
        };

        /* Scripts of failures and those who are asked first are no place where it is in use. */
        if (item->kind != MU_AGENT_DEPLOY_FAILURE && item->kind != MU_AGENT_DEPLOY_SWITCH
            && (item->kind != MU_AGENT_DEPLOY_PRE || item->state == MU_AGENT_DEPLOY_FAILED))
            call(cookie, &seen);
    }
    if (rc == MU_OK)
        mu_agent_deploy_record_clear(&record);
    return rc;
}
