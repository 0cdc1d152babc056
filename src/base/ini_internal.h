/*
 * What reading and changing a configuration share. The text itself is kept; items remember where
 * in it their lines and their value stand.
 */
#ifndef MU_BASE_INI_INTERNAL_H
#define MU_BASE_INI_INTERNAL_H

#include "base/ini.h"

/* An item and its place in the text. */
struct mu_ini_entry {
    struct mu_ini_item item;
    size_t section;     /* index of its section */
    size_t start, end;  /* all its lines, with the last newline */
    size_t value_start; /* from here to value_end the value was written */
    size_t value_end;
};

struct mu_ini_section {
    char *word;
    char *name;
    unsigned line;
    size_t end; /* behind the last line that belongs to its items, or behind its header */
};

struct mu_ini {
    char *file;
    enum mu_ini_style style;
    struct mu_buf text;
    struct mu_ini_section *sections; /* [0] is what stands before the first header */
    size_t section_n;
    struct mu_ini_entry *entries;
    size_t entry_n;
};

/* Takes blanks off both ends of [*from, *to) of p. */
void mu_ini_trim(const char *p, size_t *from, size_t *to);
/* The last entry that fits; NULL if none. name may be NULL for "". */
const struct mu_ini_entry *mu_ini_find(
    const struct mu_ini *ini, const char *section, const char *name, const char *key);

#endif
