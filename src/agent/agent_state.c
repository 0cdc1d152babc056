/* What is kept of a request that is out, and of how the last try ended: two small INI files. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/ini.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/time.h"

static const char *const operations[] = {"enroll", "renew", "by-file"};

/* ---- one INI file of an entry ---- */

struct file {
    struct mu_keystore *store;
    const char *name, *kind;
    struct mu_ini *ini;
};

static enum mu_code file_read(struct file *file, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    char shown[MU_KEYSTORE_NAME + 16];
    enum mu_code rc;

    snprintf(shown, sizeof(shown), "state/%s.%s", file->name, file->kind);
    rc = mu_keystore_get(file->store, MU_KEYSTORE_STATE, file->name, file->kind, &text, err);
    if (rc == MU_OK)
        rc = mu_ini_parse(mu_buf_bytes(&text), shown, MU_INI_SECTIONS, &file->ini, err);
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code file_write(struct file *file, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    enum mu_code rc;

    mu_ini_format(file->ini, &text);
    if ((rc = mu_buf_check(&text, file->kind, err)) == MU_OK)
        rc = mu_keystore_put(file->store, MU_KEYSTORE_STATE, file->name, file->kind,
            mu_buf_bytes(&text), err);
    mu_buf_clear(&text);
    return rc;
}

static const char *file_get(const struct file *file, const char *key)
{
    const struct mu_ini_item *item = mu_ini_get(file->ini, file->kind, file->name, key);

    return item != NULL ? item->value : NULL;
}

static enum mu_code get_text(
    const struct file *file, const char *key, char **out, struct mu_err *err)
{
    const char *value = file_get(file, key);

    return value == NULL || value[0] == '\0' ? MU_OK : mu_text_dup(value, out, err);
}

static enum mu_code get_time(
    const struct file *file, const char *key, int64_t *out, struct mu_err *err)
{
    const char *value = file_get(file, key);

    if (value == NULL || mu_time_parse_rfc3339(value, out))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "state/%s.%s: %s is no time", file->name,
        file->kind, key);
}

static enum mu_code get_octets(
    const struct file *file, const char *key, struct mu_buf *out, struct mu_err *err)
{
    const char *value = file_get(file, key);

    return value == NULL ? MU_OK : mu_text_unbase64(mu_bytes_str(value), out, err);
}

static enum mu_code set_text(
    struct file *file, const char *key, const char *value, struct mu_err *err)
{
    if (value == NULL || value[0] == '\0')
        return MU_OK;
    return mu_ini_set(file->ini, file->kind, file->name, key, value, err);
}

static enum mu_code set_time(
    struct file *file, const char *key, int64_t value, struct mu_err *err)
{
    char text[MU_TIME_TEXT];

    return value == 0 ? MU_OK : set_text(file, key, mu_time_rfc3339(value, text), err);
}

static enum mu_code set_octets(
    struct file *file, const char *key, const struct mu_buf *value, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    enum mu_code rc;

    mu_text_base64(&text, mu_buf_bytes(value), 0);
    if ((rc = mu_buf_check(&text, key, err)) == MU_OK)
        rc = set_text(file, key, mu_buf_str(&text), err);
    mu_buf_clear(&text);
    return rc;
}

/* ---- the request that is out ---- */

static enum mu_code get_operation(
    const struct file *file, enum mu_agent_operation *out, struct mu_err *err)
{
    const char *word = file_get(file, "operation");

    for (size_t i = 0; word != NULL && i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (strcmp(word, operations[i]) == 0) {
            *out = (enum mu_agent_operation)i;
            return MU_OK;
        }
    }
    return mu_err_set(
        err, MU_INPUT, MU_REASON_NONE, "state/%s.pending has no known operation", file->name);
}

enum mu_code mu_agent_pending_load(struct mu_keystore *store, const char *name,
    struct mu_agent_pending *out, struct mu_err *err)
{
    struct file file = {store, name, "pending", NULL};
    struct mu_agent_pending p = {.csr.secret = true, .engine.secret = true};
    const char *replaces, *next_ca, *route, *trace;
    int64_t n = 0;
    enum mu_code rc;

    if ((rc = file_read(&file, err)) != MU_OK)
        goto out;
    if ((rc = get_operation(&file, &p.operation, err)) != MU_OK)
        goto out;
    if ((rc = get_text(&file, "transaction", &p.transaction, err)) != MU_OK)
        goto out;
    if ((rc = get_time(&file, "since", &p.since_s, err)) != MU_OK)
        goto out;
    if ((rc = get_octets(&file, "csr", &p.csr, err)) != MU_OK)
        goto out;
    if ((rc = get_octets(&file, "engine", &p.engine, err)) != MU_OK)
        goto out;
    replaces = file_get(&file, "replaces");
    snprintf(p.replaces, sizeof(p.replaces), "%s", replaces != NULL ? replaces : "");
    next_ca = file_get(&file, "next-ca");
    snprintf(p.next_ca, sizeof(p.next_ca), "%s", next_ca != NULL ? next_ca : "");
    trace = file_get(&file, "trace");
    snprintf(p.trace, sizeof(p.trace), "%s", trace != NULL ? trace : "");
    if ((route = file_get(&file, "route")) != NULL)
        rc = mu_text_int(route, 0, 1000, &n, err);
    p.route = (unsigned)n;
out:
    mu_ini_free(file.ini);
    if (rc != MU_OK) {
        mu_agent_pending_clear(&p);
        return rc;
    }
    *out = p;
    return MU_OK;
}

enum mu_code mu_agent_pending_store(struct mu_keystore *store, const char *name,
    const struct mu_agent_pending *pending, struct mu_err *err)
{
    struct file file = {store, name, "pending", NULL};
    char route[16];
    enum mu_code rc = mu_ini_parse(mu_bytes_str(""), name, MU_INI_SECTIONS, &file.ini, err);

    if (rc == MU_OK)
        rc = set_text(&file, "operation", operations[pending->operation], err);
    if (rc == MU_OK)
        rc = set_text(&file, "transaction", pending->transaction, err);
    if (rc == MU_OK)
        rc = set_text(&file, "replaces", pending->replaces, err);
    if (rc == MU_OK)
        rc = set_text(&file, "next-ca", pending->next_ca, err);
    if (rc == MU_OK)
        rc = set_text(&file, "trace", pending->trace, err);
    snprintf(route, sizeof(route), "%u", pending->route);
    if (rc == MU_OK && pending->route != 0)
        rc = set_text(&file, "route", route, err);
    if (rc == MU_OK)
        rc = set_time(&file, "since", pending->since_s, err);
    if (rc == MU_OK)
        rc = set_octets(&file, "csr", &pending->csr, err);
    if (rc == MU_OK)
        rc = set_octets(&file, "engine", &pending->engine, err);
    if (rc == MU_OK)
        rc = file_write(&file, err);
    mu_ini_free(file.ini);
    return rc;
}

enum mu_code mu_agent_pending_remove(
    struct mu_keystore *store, const char *name, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (mu_agent_cmp_unconfirmed(store, name)) /* without its request nobody would know */
        rc = mu_keystore_next_remove(store, name, err);
    if (rc == MU_OK)
        rc = mu_keystore_remove(store, MU_KEYSTORE_STATE, name, "pending", err);
    if (rc == MU_OK)
        rc = mu_keystore_remove(store, MU_KEYSTORE_STATE, name, "key", err);
    return rc;
}

static void count_one(void *cookie, const char *stem)
{
    (void)stem;
    ++*(size_t *)cookie;
}

enum mu_code mu_agent_forget_unissued(struct mu_agent *agent, const char *name, struct mu_err *err)
{
    size_t n = 0;
    enum mu_code rc = mu_keystore_each_serial(agent->store, name, count_one, &n, err);

    if (rc == MU_NOT_FOUND) {
        mu_err_clear(err);
        rc = MU_OK;
    }
    if (rc != MU_OK || n > 0)
        return rc;
    if ((rc = mu_agent_secrets_remove(agent, name, err)) != MU_OK)
        return rc;
    if ((rc = mu_keystore_remove(agent->store, MU_KEYSTORE_STATE, name, "last", err)) != MU_OK)
        return rc;
    if ((rc = mu_keystore_remove(agent->store, MU_KEYSTORE_STATE, name, "life", err)) != MU_OK)
        return rc;
    return mu_keystore_remove(agent->store, MU_KEYSTORE_STATE, name, "conf", err);
}

void mu_agent_pending_clear(struct mu_agent_pending *pending)
{
    free(pending->transaction);
    mu_buf_clear(&pending->csr);
    mu_buf_clear(&pending->engine);
    *pending = (struct mu_agent_pending){.csr.secret = true, .engine.secret = true};
}

/* ---- the last try ---- */

struct last_text {
    const char *key;
    size_t at;
};

static const struct last_text last_texts[] = {
    {"result", offsetof(struct mu_agent_last, result)},
    {"code", offsetof(struct mu_agent_last, code)},
    {"what", offsetof(struct mu_agent_last, what)},
    {"likely", offsetof(struct mu_agent_last, likely)},
    {"next", offsetof(struct mu_agent_last, next)},
    {"said", offsetof(struct mu_agent_last, said)},
    {"transaction", offsetof(struct mu_agent_last, transaction)},
    {"trace", offsetof(struct mu_agent_last, trace)},
    {"changed", offsetof(struct mu_agent_last, changed)},
    {"warnings", offsetof(struct mu_agent_last, warnings)},
};
enum { LAST_TEXTS = sizeof(last_texts) / sizeof(last_texts[0]) };

static char **last_text(struct mu_agent_last *last, size_t i)
{
    return (char **)(void *)((char *)last + last_texts[i].at);
}

enum mu_code mu_agent_last_load(
    struct mu_keystore *store, const char *name, struct mu_agent_last *out, struct mu_err *err)
{
    struct file file = {store, name, "last", NULL};
    struct mu_agent_last last = {0};
    const char *attempts, *clock;
    int64_t n = 0;
    enum mu_code rc = file_read(&file, err);

    if (rc == MU_NOT_FOUND) {
        *out = last;
        return MU_OK;
    }
    for (size_t i = 0; rc == MU_OK && i < LAST_TEXTS; i++)
        rc = get_text(&file, last_texts[i].key, last_text(&last, i), err);
    if (rc == MU_OK)
        rc = get_time(&file, "time", &last.at_s, err);
    if (rc == MU_OK && (attempts = file_get(&file, "attempts")) != NULL)
        rc = mu_text_int(attempts, 0, 1000000, &n, err);
    if (rc == MU_OK && (clock = file_get(&file, "clock")) != NULL) {
        last.has_clock = true;
        rc = mu_text_int(clock, -INT64_C(10000000000), INT64_C(10000000000), &last.clock_difference_s, err);
    }
    mu_ini_free(file.ini);
    if (rc != MU_OK) {
        mu_agent_last_clear(&last);
        return rc;
    }
    last.attempts = (unsigned)n;
    *out = last;
    return MU_OK;
}

enum mu_code mu_agent_last_store(struct mu_keystore *store, const char *name,
    const struct mu_agent_last *last, struct mu_err *err)
{
    struct file file = {store, name, "last", NULL};
    struct mu_agent_last texts = *last;
    char attempts[16], clock[24];
    enum mu_code rc = mu_ini_parse(mu_bytes_str(""), name, MU_INI_SECTIONS, &file.ini, err);

    snprintf(attempts, sizeof(attempts), "%u", last->attempts);
    for (size_t i = 0; rc == MU_OK && i < LAST_TEXTS; i++)
        rc = set_text(&file, last_texts[i].key, *last_text(&texts, i), err);
    if (rc == MU_OK)
        rc = set_time(&file, "time", last->at_s, err);
    if (rc == MU_OK)
        rc = set_text(&file, "attempts", attempts, err);
    snprintf(clock, sizeof(clock), "%" PRId64, last->clock_difference_s);
    if (rc == MU_OK && last->has_clock)
        rc = set_text(&file, "clock", clock, err);
    if (rc == MU_OK)
        rc = file_write(&file, err);
    mu_ini_free(file.ini);
    return rc;
}

void mu_agent_last_clear(struct mu_agent_last *last)
{
    for (size_t i = 0; i < LAST_TEXTS; i++)
        free(*last_text(last, i));
    *last = (struct mu_agent_last){0};
}
