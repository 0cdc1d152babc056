/* The lifecycle record as a file: a small INI text that people can read. */
#include "agent/agent_life.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/ini.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/time.h"

enum kind { TIME, COUNT, YES, STATE, SECONDS };

#define LIFE(member) offsetof(struct mu_agent_life, life.member)
#define OWN(member) offsetof(struct mu_agent_life, member)

/* What is 0 is not written. */
static const struct field {
    const char *key;
    enum kind kind;
    size_t at;
} fields[] = {
    {"state", STATE, LIFE(state)},
    {"before", STATE, LIFE(before)},
    {"not-before", TIME, LIFE(not_before_s)},
    {"not-after", TIME, LIFE(not_after_s)},
    {"issued", TIME, LIFE(issued_s)},
    {"by-agent", YES, LIFE(by_agent)},
    {"refused", COUNT, LIFE(refused)},
    {"unreached", COUNT, LIFE(unreached)},
    {"tried", TIME, LIFE(tried_s)},
    {"wait-until", TIME, LIFE(wait_until_s)},
    {"expired-refused", YES, LIFE(expired_refused)},
    {"pending-since", TIME, LIFE(pending_since_s)},
    {"poll", TIME, LIFE(poll_s)},
    {"polls", COUNT, LIFE(polls)},
    {"stopped", YES, LIFE(stopped)},
    {"undeployed", YES, LIFE(undeployed)},
    {"not-deployed", COUNT, LIFE(not_deployed)},
    {"deploy-tried", TIME, LIFE(deploy_tried_s)},
    {"yes-left", SECONDS, LIFE(yes_left_s)},
    {"no-left", SECONDS, LIFE(no_left_s)},
    {"warned", TIME, LIFE(warned_s)},
    {"sure", TIME, LIFE(sure_s)},
    {"asked-by-person", YES, OWN(asked_by_person)},
    {"ca-not-after", TIME, OWN(ca_not_after_s)},
    {"ca-looked", TIME, OWN(ca_looked_s)},
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

/* ---- writing ---- */

static void put_field(struct mu_buf *out, const struct field *f, const struct mu_agent_life *life)
{
    const void *at = (const char *)life + f->at;
    char text[MU_TIME_TEXT];
    int64_t v;

    switch (f->kind) {
    case TIME:
        if ((v = *(const int64_t *)at) != 0)
            mu_buf_putf(out, "%s = %s\n", f->key, mu_time_rfc3339(v, text));
        break;
    case SECONDS:
        if ((v = *(const int64_t *)at) != 0)
            mu_buf_putf(out, "%s = %" PRId64 "\n", f->key, v);
        break;
    case COUNT:
        if (*(const unsigned *)at != 0)
            mu_buf_putf(out, "%s = %u\n", f->key, *(const unsigned *)at);
        break;
    case YES:
        if (*(const bool *)at)
            mu_buf_putf(out, "%s = yes\n", f->key);
        break;
    case STATE:
        mu_buf_putf(out, "%s = %s\n", f->key,
            mu_enroll_lifecycle_state_word(*(const enum mu_lifecycle_state *)at));
        break;
    }
}

static void put_rest(struct mu_buf *out, const struct mu_agent_life *life)
{
    char text[MU_TIME_TEXT];
    bool first = true;

    for (int i = 0; i < MU_LIFECYCLE_ANSWERS; i++) {
        if (life->life.answered_s[i] == 0)
            continue;
        mu_buf_putf(out, "%s%s", first ? "answered = " : ", ",
            mu_time_rfc3339(life->life.answered_s[i], text));
        first = false;
    }
    if (!first)
        mu_buf_put_str(out, "\n");
    if (life->life.spread != 0)
        mu_buf_putf(out, "spread = %016" PRIx64 "\n", life->life.spread);
    if (life->told != 0)
        mu_buf_putf(out, "told = %08" PRIx32 "\n", life->told);
    if (life->cert.stem[0] != '\0')
        mu_buf_putf(out, "file = %s %" PRIu64 " %" PRIu64 " %" PRId64 "\n", life->cert.stem,
            life->cert.inode, life->cert.size, life->cert.mtime_ns);
    mu_buf_put_str(out, "whole = yes\n"); /* the last line: what is cut off is damaged */
}

static enum mu_code write_as(struct mu_keystore *store, const char *name,
    const struct mu_agent_life *life, bool synced, struct mu_err *err)
{
    struct mu_buf text = {0};
    enum mu_code rc;

    mu_buf_putf(&text, "[life \"%s\"]\n", name);
    for (size_t i = 0; i < FIELDS; i++)
        put_field(&text, &fields[i], life);
    put_rest(&text, life);
    rc = mu_buf_check(&text, "a lifecycle record", err);
    if (rc == MU_OK)
        rc = synced
            ? mu_keystore_put(store, MU_KEYSTORE_STATE, name, "life", mu_buf_bytes(&text), err)
            : mu_keystore_put_unsynced(
                store, MU_KEYSTORE_STATE, name, "life", mu_buf_bytes(&text), err);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_agent_life_write(struct mu_keystore *store, const char *name,
    const struct mu_agent_life *life, struct mu_err *err)
{
    return write_as(store, name, life, true, err);
}

enum mu_code mu_agent_life_write_unsynced(struct mu_keystore *store, const char *name,
    const struct mu_agent_life *life, struct mu_err *err)
{
    return write_as(store, name, life, false, err);
}

/* ---- reading: false is damage ---- */

static bool get_state(const char *value, enum mu_lifecycle_state *out)
{
    for (int i = 0; i < MU_LIFECYCLE_STATES; i++) {
        if (strcmp(mu_enroll_lifecycle_state_word((enum mu_lifecycle_state)i), value) == 0) {
            *out = (enum mu_lifecycle_state)i;
            return true;
        }
    }
    return false;
}

static bool get_field(const struct field *f, const char *value, struct mu_agent_life *life)
{
    void *at = (char *)life + f->at;
    int64_t v = 0;

    switch (f->kind) {
    case TIME:
        return mu_time_parse_rfc3339(value, at);
    case SECONDS:
        return mu_text_int(value, -INT64_C(10000000000), INT64_C(10000000000), at, NULL) == MU_OK;
    case COUNT:
        if (mu_text_int(value, 0, 1000000000, &v, NULL) != MU_OK)
            return false;
        *(unsigned *)at = (unsigned)v;
        return true;
    case YES:
        *(bool *)at = strcmp(value, "yes") == 0;
        return *(bool *)at;
    case STATE:
        return get_state(value, at);
    }
    return false;
}

static bool get_answers(const char *value, struct mu_agent_life *life)
{
    char one[MU_TIME_TEXT];
    int i = 0;

    for (; *value != '\0'; i++) {
        size_t n = strcspn(value, ",");

        if (i == MU_LIFECYCLE_ANSWERS || n >= sizeof(one))
            return false;
        memcpy(one, value, n);
        one[n] = '\0';
        if (!mu_time_parse_rfc3339(mu_text_trim(one), &life->life.answered_s[i]))
            return false;
        value += n + (value[n] == ',' ? 1 : 0);
    }
    /* oldest first, the newest at the end of the array */
    memmove(life->life.answered_s + MU_LIFECYCLE_ANSWERS - i, life->life.answered_s,
        (size_t)i * sizeof(int64_t));
    for (int j = 0; j < MU_LIFECYCLE_ANSWERS - i; j++)
        life->life.answered_s[j] = 0;
    return true;
}

static bool get_hex(const char *value, uint64_t *out)
{
    char *end;

    *out = strtoull(value, &end, 16);
    return end != value && *end == '\0';
}

static bool get_stamp(const char *value, struct mu_keystore_stamp *out)
{
    size_t n = strcspn(value, " ");

    if (n == 0 || n >= sizeof(out->stem))
        return false;
    memcpy(out->stem, value, n);
    out->stem[n] = '\0';
    return sscanf(value + n, " %" SCNu64 " %" SCNu64 " %" SCNd64, &out->inode, &out->size,
               &out->mtime_ns)
        == 3;
}

/* Keys that are not known are those of a later version. */
static bool get_item(const struct mu_ini_item *item, struct mu_agent_life *life, bool *whole)
{
    uint64_t v;

    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].key, item->key) == 0)
            return get_field(&fields[i], item->value, life);
    if (strcmp(item->key, "answered") == 0)
        return get_answers(item->value, life);
    if (strcmp(item->key, "spread") == 0)
        return get_hex(item->value, &life->life.spread);
    if (strcmp(item->key, "file") == 0)
        return get_stamp(item->value, &life->cert);
    if (strcmp(item->key, "told") == 0) {
        if (!get_hex(item->value, &v) || v > UINT32_MAX)
            return false;
        life->told = (uint32_t)v;
    }
    if (strcmp(item->key, "whole") == 0)
        *whole = strcmp(item->value, "yes") == 0;
    return true;
}

static bool parse(struct mu_bytes text, const char *name, struct mu_agent_life *life)
{
    struct mu_ini *ini = NULL;
    bool whole = false, good;

    if (mu_ini_parse(text, "life", MU_INI_SECTIONS, &ini, NULL) != MU_OK)
        return false;
    good = mu_ini_count(ini) > 0 && strcmp(mu_ini_at(ini, 0)->name, name) == 0;
    for (size_t i = 0; good && i < mu_ini_count(ini); i++)
        good = get_item(mu_ini_at(ini, i), life, &whole);
    mu_ini_free(ini);
    return good && whole;
}

enum mu_code mu_agent_life_read(
    struct mu_keystore *store, const char *name, struct mu_agent_life *out, struct mu_err *err)
{
    struct mu_agent_life life = {0};
    struct mu_buf text = {.max = MU_LIMIT_INI};
    enum mu_code rc = mu_keystore_get(store, MU_KEYSTORE_STATE, name, "life", &text, err);

    if (rc == MU_NOT_FOUND) {
        mu_err_clear(err);
        life.is_missing = true;
        rc = MU_OK;
    } else if (rc == MU_OK && !parse(mu_buf_bytes(&text), name, &life)) {
        life = (struct mu_agent_life){.is_damaged = true};
    }
    mu_buf_clear(&text);
    if (rc == MU_OK)
        *out = life;
    return rc;
}

enum mu_code mu_agent_life_load(
    struct mu_keystore *store, const char *name, struct mu_lifecycle *out, struct mu_err *err)
{
    struct mu_agent_life life;
    enum mu_code rc = mu_agent_life_read(store, name, &life, err);

    if (rc == MU_OK)
        *out = life.life;
    return rc;
}

enum mu_code mu_agent_life_store(struct mu_keystore *store, const char *name,
    const struct mu_lifecycle *record, struct mu_err *err)
{
    struct mu_agent_life life;
    enum mu_code rc = mu_agent_life_read(store, name, &life, err);

    if (rc != MU_OK)
        return rc;
    life.life = *record;
    return mu_agent_life_write(store, name, &life, err);
}
