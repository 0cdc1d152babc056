/*
 * The configuration format: sections, 'key = value', '#' comments, a value goes on in lines that
 * begin with a blank. Line-exact errors, and a write-back that keeps every other byte.
 * Sections are "[agent]" or '[ca "NAME"]'; their words and the keys are read in lower case.
 * A file of options without sections (sscep's) is read with MU_INI_BARE: 'key value', quotes
 * allowed, case kept.
 */
#ifndef MU_BASE_INI_H
#define MU_BASE_INI_H

#include "base/buf.h"

struct mu_ini;

struct mu_ini_item {
    const char *section; /* "agent", "ca", "" before the first */
    const char *name;    /* NAME of [ca "NAME"], or "" */
    const char *key;
    const char *value;   /* continuation lines joined by '\n', outer blanks gone */
    unsigned line;       /* 1-based, of the key */
    size_t header;       /* index of its section among the headers */
};

/* A section's first line; the same section may come more than once. [0] stands for what is before the first. */
struct mu_ini_header {
    const char *section, *name;
    unsigned line;
};

enum mu_ini_style { MU_INI_SECTIONS, MU_INI_BARE };

/* file is the name used in errors (M706: <file>:<line>: <what>). */
enum mu_code mu_ini_parse(struct mu_bytes text, const char *file, enum mu_ini_style style,
    struct mu_ini **out, struct mu_err *err) MU_CHECK;
/* The same, but reading goes on behind a line that breaks the format, so that each is told; err has the first. */
typedef void mu_ini_fault_call(void *cookie, const struct mu_err *fault);
enum mu_code mu_ini_parse_all(struct mu_bytes text, const char *file, enum mu_ini_style style,
    mu_ini_fault_call *call, void *cookie, struct mu_ini **out, struct mu_err *err) MU_CHECK;
void mu_ini_free(struct mu_ini *ini);
size_t mu_ini_count(const struct mu_ini *ini);
const struct mu_ini_item *mu_ini_at(const struct mu_ini *ini, size_t i);
/* Sections, empty ones too; false behind the last. */
bool mu_ini_header_at(const struct mu_ini *ini, size_t i, struct mu_ini_header *out);
/* The last one that fits; NULL if none. name may be NULL for "". */
const struct mu_ini_item *mu_ini_get(const struct mu_ini *ini, const char *section,
    const char *name, const char *key);
const char *mu_ini_file(const struct mu_ini *ini);
/* Changes or adds one value (NULL removes it); the rest stays byte for byte. Lines of a value lose
 * their outer blanks. Items taken before are no longer valid. MU_INPUT if the format cannot hold
 * the value; then nothing is changed. */
enum mu_code mu_ini_set(struct mu_ini *ini, const char *section, const char *name,
    const char *key, const char *value, struct mu_err *err) MU_CHECK;
/* Takes all sections of this name away, with their items and the comments between those. What stands outside stays. */
enum mu_code mu_ini_remove(struct mu_ini *ini, const char *section, const char *name, struct mu_err *err) MU_CHECK;
bool mu_ini_format(const struct mu_ini *ini, struct mu_buf *out);

#endif
