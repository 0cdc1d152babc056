/*
 * What the files of the configuration share. Values lie in blocks of their own, wiped when they are given
 * back, because a secret may be among them; files are not kept. An item is 16 octets, so that tens of
 * thousands of certificates cost a few megabytes.
 */
#ifndef MU_AGENT_CONFIG_INTERNAL_H
#define MU_AGENT_CONFIG_INTERNAL_H

#include "agent/agent_config.h"
#include "agent/agent_value.h"

enum { MU_AGENT_CONFIG_MODE = 0644 }; /* of a file that is made: secrets belong elsewhere */

enum mu_agent_config_kind {
    MU_AGENT_CONFIG_AGENT = 1,
    MU_AGENT_CONFIG_CA = 2,
    MU_AGENT_CONFIG_DEFAULTS = 4,
    MU_AGENT_CONFIG_TEMPLATE = 8,
    MU_AGENT_CONFIG_CERTIFICATE = 16,
};

/* ---- agent_config_words.c: what may stand where ---- */
struct mu_agent_config_word {
    const char *word;
    unsigned kinds;              /* sections it may stand in */
    mu_agent_value_check *check; /* NULL: by the settings' own, or any text */
    const char *usual;           /* default, for 'config show'; NULL: none */
    bool is_secret;
    bool is_ours;                /* not a word of the settings of a request */
};
/* The i-th, NULL behind the last. */
const struct mu_agent_config_word *mu_agent_config_word_at(size_t i);
/* Index of the word; -1 if there is none. */
int mu_agent_config_word_find(const char *key);
/* The nearest that may stand in a section of this kind; NULL if none is near. */
const char *mu_agent_config_word_nearest(const char *key, unsigned kind);
/* 0 if there is no such section. */
unsigned mu_agent_config_kind_parse(const char *section);
const char *mu_agent_config_kind_name(unsigned kind);
const char *mu_agent_config_kind_nearest(const char *section);
/* NULL: fine, or what is wrong with it. */
enum mu_code mu_agent_config_word_check(int word, const char *value, struct mu_err *err) MU_CHECK;

/* ---- the value ---- */
struct mu_agent_config_value {
    const char *text;
    unsigned line;
    uint16_t file;
    uint8_t word;
};

struct mu_agent_config_section {
    const char *name; /* "" where there is none */
    unsigned line;    /* of its first header */
    uint32_t first, n; /* its values, in order of reading */
    uint32_t order;
    uint16_t file;
    uint8_t kind;
};

struct mu_agent_config_block;

struct mu_agent_config {
    unsigned references;
    char *path;
    char **files;
    size_t file_n;
    struct mu_agent_config_section *sections; /* by kind and name, each once */
    size_t section_n;
    struct mu_agent_config_value *values;
    size_t value_n;
    struct mu_agent_config_block *blocks;
    size_t octets; /* of all files */
    struct mu_agent_config_agent agent;
};

const struct mu_agent_config_section *mu_agent_config_find(
    const struct mu_agent_config *config, unsigned kind, const char *name);
/* The last value of a word; NULL if it is not there or empty. */
const struct mu_agent_config_value *mu_agent_config_last(
    const struct mu_agent_config *config, const struct mu_agent_config_section *section, const char *word);
/* First and behind the last section of a kind. */
void mu_agent_config_range(const struct mu_agent_config *config, unsigned kind, size_t *from, size_t *to);

/* The sections that speak for one certificate, in the order in which they are laid over each other. */
struct mu_agent_config_layers {
    const struct mu_agent_config_section *layer[4];
    size_t n;
    size_t routes;
    char ca[MU_AGENT_VALUE_PART]; /* of the route; "" if there is none */
};
/* False: no such certificate, or not so many routes. */
bool mu_agent_config_layers(const struct mu_agent_config *config, const char *name, size_t route,
    struct mu_agent_config_layers *out);
/* The word's value on top; NULL: nobody says anything. */
const char *mu_agent_config_layers_get(
    const struct mu_agent_config *config, const struct mu_agent_config_layers *layers, const char *word);
bool mu_agent_config_is_reference(const char *secret);
void mu_agent_config_policy_of(const struct mu_agent_config_agent *agent, const char *renew_days,
    const char *warn_days, const char *renew_window, int64_t await_s, int64_t max_await_s,
    struct mu_lifecycle_policy *out);
/* Policy, automation and views of an entry whose settings are filled in. */
void mu_agent_config_entry_views(
    const struct mu_agent_config_agent *agent, struct mu_agent_config_entry *entry);

/* ---- agent_config_load.c ---- */
/* A text instead of a file that is not written yet stands for it: 'config set' and 'edit' check before
 * they replace. */
struct mu_agent_config_instead {
    const char *path;
    struct mu_bytes text;
};
struct mu_agent_config_reader {
    struct mu_agent_config *config;
    const struct mu_agent_config_instead *instead;
    mu_agent_config_call *call;
    void *cookie;
    struct mu_err *err;
    unsigned errors, told;
    enum mu_code rc; /* of the first error */
    size_t section_cap, value_cap;
    bool is_full;
};
/* One thing that is wrong, with its place; the first becomes err. */
void mu_agent_config_fault(struct mu_agent_config_reader *reader, uint16_t file, unsigned line,
    const struct mu_err *what);
void mu_agent_config_advice(struct mu_agent_config_reader *reader, uint16_t file, unsigned line,
    const char *text);
enum mu_code mu_agent_config_load_instead(const char *path, const struct mu_agent_config_instead *instead,
    struct mu_agent_config **out, mu_agent_config_call *call, void *cookie, struct mu_err *err) MU_CHECK;

/* ---- agent_config_take.c ---- */
/* Sections and items of one file. What is wrong inside is told; only what ends the reading is returned. */
enum mu_code mu_agent_config_take(struct mu_agent_config_reader *reader, uint16_t file, const struct mu_ini *ini,
    struct mu_err *err) MU_CHECK;
void mu_agent_config_texts_free(struct mu_agent_config *config);

/* ---- agent_config_check.c: what one section alone cannot tell ---- */
void mu_agent_config_check(struct mu_agent_config_reader *reader);

#endif
