/* One file to values: every word known, every value right, all that is wrong told. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_config_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "keystore/keystore.h"

#define BELONGS_NOWHERE UINT32_MAX

/* Texts behind each other; freed, and wiped, together. */
struct mu_agent_config_block {
    struct mu_agent_config_block *next;
    size_t used, size;
    char text[];
};

static enum mu_code no_memory(struct mu_err *err)
{
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for the configuration");
}

static const char *keep(struct mu_agent_config *config, const char *text)
{
    size_t n = strlen(text) + 1, size = n > 65536 ? n : 65536;
    struct mu_agent_config_block *b = config->blocks;

    if (n == 1)
        return "";
    if (b == NULL || b->size - b->used < n) {
        if ((b = malloc(sizeof *b + size)) == NULL)
            return NULL;
        *b = (struct mu_agent_config_block){config->blocks, 0, size};
        config->blocks = b;
    }
    memcpy(b->text + b->used, text, n);
    b->used += n;
    return b->text + b->used - n;
}

/* ---- telling ---- */

static void tell(struct mu_agent_config_reader *r, const struct mu_agent_config_note *note)
{
    if (r->call != NULL && r->told < MU_LIMIT_CONFIG_NOTES)
        r->call(r->cookie, note);
    r->told++;
}

void mu_agent_config_fault(
    struct mu_agent_config_reader *r, uint16_t file, unsigned line, const struct mu_err *what)
{
    const char *path = r->config->files[file];
    char text[sizeof what->what + sizeof what->next + 4];

    snprintf(text, sizeof text, "%s%s%s", what->what, what->next[0] != '\0' ? "; " : "", what->next);
    tell(r,
        &(struct mu_agent_config_note){true, path, line,
            what->reason != MU_REASON_NONE ? what->reason : MU_M(706), text});
    if (r->errors++ > 0)
        return;
    r->rc = what->code;
    if (r->err == NULL)
        return;
    *r->err = *what;
    if (what->reason == MU_REASON_NONE)
        mu_err_narrow(r->err, MU_M(706));
    if (line > 0)
        mu_err_context(r->err, "%s:%u", path, line);
}

void mu_agent_config_advice(
    struct mu_agent_config_reader *r, uint16_t file, unsigned line, const char *text)
{
    tell(r, &(struct mu_agent_config_note){false, r->config->files[file], line, MU_REASON_NONE, text});
}

/* ---- one file ---- */

static uint32_t add_section(
    struct mu_agent_config_reader *r, uint16_t file, const struct mu_ini_header *h, unsigned kind, struct mu_err *err)
{
    struct mu_agent_config *c = r->config;
    const char *name = keep(c, h->name);
    void *list = c->sections;

    if (c->section_n == MU_LIMIT_CONFIG_SECTIONS) {
        r->is_full = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "%s: more than %d sections",
                         c->files[file], MU_LIMIT_CONFIG_SECTIONS)
            != MU_OK;
        return BELONGS_NOWHERE;
    }
    if (c->section_n == r->section_cap) {
        size_t cap = r->section_cap != 0 ? 2 * r->section_cap : 16;

        if ((list = realloc(list, cap * sizeof *c->sections)) != NULL) {
            c->sections = list;
            r->section_cap = cap;
        }
    }
    if (list == NULL || name == NULL) {
        r->is_full = no_memory(err) != MU_OK;
        return BELONGS_NOWHERE;
    }
    c->sections[c->section_n] = (struct mu_agent_config_section){.name = name, .line = h->line,
        .order = (uint32_t)c->section_n, .file = file, .kind = (uint8_t)kind};
    return (uint32_t)c->section_n++;
}

/* A section that may stand here gets a number; any other is told once, and its keys are passed over. */
static uint32_t take_section(
    struct mu_agent_config_reader *r, uint16_t file, const struct mu_ini_header *h, struct mu_err *fatal)
{
    unsigned kind = mu_agent_config_kind_parse(h->section);
    bool is_named = kind != MU_AGENT_CONFIG_AGENT && kind != MU_AGENT_CONFIG_DEFAULTS;
    struct mu_err err = {0};
    const char *near;

    if (kind == 0) {
        mu_err_set(&err, MU_INPUT, MU_M(706), "there is no section [%.40s]", h->section);
        if ((near = mu_agent_config_kind_nearest(h->section)) != NULL)
            mu_err_next(&err, "did you mean [%s]?", near);
    } else if (is_named && h->name[0] == '\0') {
        mu_err_set(&err, MU_INPUT, MU_M(706), "[%s] lacks a name", h->section);
        mu_err_next(&err, "it is written [%s \"NAME\"]", h->section);
    } else if (!is_named && h->name[0] != '\0') {
        mu_err_set(&err, MU_INPUT, MU_M(706), "[%s] has no name", h->section);
    } else if (!is_named || mu_agent_value_name(h->name, &err) == MU_OK) {
        return add_section(r, file, h, kind, fatal);
    }
    mu_agent_config_fault(r, file, h->line, &err);
    return BELONGS_NOWHERE;
}

static void unknown_word(struct mu_agent_config_reader *r, uint16_t file,
    const struct mu_ini_item *item, unsigned kind, int word)
{
    const char *near = mu_agent_config_word_nearest(item->key, kind);
    struct mu_err err = {0};

    if (word >= 0) {
        unsigned right = mu_agent_config_word_at((size_t)word)->kinds;

        mu_err_set(&err, MU_INPUT, MU_M(706), "'%s' does not belong into [%s]", item->key, item->section);
        mu_err_next(&err, "it belongs into [%s]",
            mu_agent_config_kind_name((right & MU_AGENT_CONFIG_AGENT) != 0 ? MU_AGENT_CONFIG_AGENT
                                                                           : MU_AGENT_CONFIG_CERTIFICATE));
    } else {
        mu_err_set(&err, MU_INPUT, MU_M(706), "there is no '%.60s' in [%s]", item->key, item->section);
        if (near != NULL)
            mu_err_next(&err, "did you mean %s?", near);
    }
    mu_agent_config_fault(r, file, item->line, &err);
}

static enum mu_code add_value(struct mu_agent_config_reader *r, uint16_t file,
    const struct mu_ini_item *item, int word, struct mu_err *err)
{
    struct mu_agent_config *c = r->config;
    const char *text = keep(c, item->value);
    void *list = c->values;

    if (c->value_n == r->value_cap) {
        size_t cap = r->value_cap != 0 ? 2 * r->value_cap : 64;

        if ((list = realloc(list, cap * sizeof *c->values)) != NULL) {
            c->values = list;
            r->value_cap = cap;
        }
    }
    if (list == NULL || text == NULL)
        return no_memory(err);
    c->values[c->value_n++] = (struct mu_agent_config_value){text, item->line, file, (uint8_t)word};
    return MU_OK;
}

bool mu_agent_config_is_reference(const char *secret)
{
    return secret[0] == '\0' || mu_text_starts(secret, "file:") || mu_text_starts(secret, "credential:")
        || mu_text_starts(secret, "secret:");
}

/* A secret in the file itself: nobody else may read that file, and better it were elsewhere (M701). */
static void literal_secret(
    struct mu_agent_config_reader *r, uint16_t file, const struct mu_ini_item *item)
{
    const char *path = r->config->files[file];
    struct mu_err err = {0};
    char text[200];

    if (mu_keystore_file_is_open(path, &err)) {
        mu_err_context(&err, "%s is in the file itself", item->key);
        mu_agent_config_fault(r, file, item->line, &err);
        return;
    }
    snprintf(text, sizeof text,
        "%s is in the file itself; safer are file:PATH, credential:NAME, or secret:NAME with 'muster secret set'",
        item->key);
    mu_agent_config_advice(r, file, item->line, text);
}

/* Something behind the value that looks like a comment. Commands have '#' of their own. */
static bool has_comment(const struct mu_ini_item *item)
{
    if (strstr(item->key, "script") != NULL || strcmp(item->key, "comments") == 0
        || strcmp(item->key, "serial-source") == 0)
        return false;
    return strstr(item->value, " #") != NULL || strstr(item->value, "\t#") != NULL;
}

static enum mu_code take_item(struct mu_agent_config_reader *r, uint16_t file,
    const struct mu_ini_item *item, uint32_t section, struct mu_err *fatal)
{
    struct mu_agent_config *c = r->config;
    struct mu_err err = {0};
    unsigned kind;
    int word;
    enum mu_code rc;

    if (section == BELONGS_NOWHERE)
        return MU_OK;
    kind = c->sections[section].kind;
    word = mu_agent_config_word_find(item->key);
    if (word < 0 || (mu_agent_config_word_at((size_t)word)->kinds & kind) == 0) {
        unknown_word(r, file, item, kind, word);
        return MU_OK;
    }
    if (mu_agent_config_word_check(word, item->value, &err) != MU_OK) {
        if (has_comment(item))
            mu_err_next(&err, "a comment has a line of its own: behind a value it is part of it");
        mu_agent_config_fault(r, file, item->line, &err);
        return MU_OK;
    }
    if (has_comment(item))
        mu_agent_config_advice(r, file, item->line,
            "the '#' and what follows are part of the value: a comment has a line of its own");
    if (mu_agent_config_word_at((size_t)word)->is_secret && !mu_agent_config_is_reference(item->value))
        literal_secret(r, file, item);
    if ((rc = add_value(r, file, item, word, fatal)) != MU_OK)
        return rc;
    if (c->sections[section].n++ == 0)
        c->sections[section].first = (uint32_t)(c->value_n - 1);
    return MU_OK;
}

enum mu_code mu_agent_config_take(
    struct mu_agent_config_reader *r, uint16_t file, const struct mu_ini *ini, struct mu_err *err)
{
    const struct mu_ini_item *item;
    struct mu_ini_header h;
    uint32_t section = BELONGS_NOWHERE;
    size_t i = 0, at = 0;
    enum mu_code rc = MU_OK;

    for (; rc == MU_OK && mu_ini_header_at(ini, at, &h); at++) {
        item = mu_ini_at(ini, i);
        if (at == 0 && item != NULL && item->header == 0) {
            struct mu_err outside = {0};

            mu_err_set(&outside, MU_INPUT, MU_M(706), "'%.60s' stands before the first [section]", item->key);
            mu_agent_config_fault(r, file, item->line, &outside);
        } else if (at > 0) {
            section = take_section(r, file, &h, err);
            if (r->is_full)
                return MU_MEMORY;
        }
        for (; rc == MU_OK && item != NULL && item->header == at; item = mu_ini_at(ini, ++i))
            rc = take_item(r, file, item, section, err);
    }
    return rc;
}

void mu_agent_config_texts_free(struct mu_agent_config *config)
{
    for (struct mu_agent_config_block *next, *b = config->blocks; b != NULL; b = next) {
        next = b->next;
        mu_bytes_wipe(b->text, b->used);
        free(b);
    }
    config->blocks = NULL;
}
