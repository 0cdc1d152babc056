/*
 * The configuration format, changed. Only the octets of the value are replaced; the result is read
 * again and must say what was meant, so no value can smuggle in a line.
 */
#include "base/ini_internal.h"

#include "base/limits.h"

static const char *newline_of(const struct mu_ini *ini)
{
    return strstr(mu_buf_str(&ini->text), "\r\n") != NULL ? "\r\n" : "\n";
}

static void put_range(struct mu_buf *out, const struct mu_ini *ini, size_t from, size_t to)
{
    if (to > from)
        mu_buf_put(out, ini->text.p + from, to - from);
}

/* The value as reading would give it back: no blanks around lines, no empty lines outside. */
static void normalize(struct mu_buf *out, enum mu_ini_style style, const char *value)
{
    size_t n, from, to;

    if (style == MU_INI_BARE) {
        mu_buf_put_str(out, value);
        return;
    }
    for (; *value != '\0'; value += n + (value[n] == '\n')) {
        n = to = strcspn(value, "\n");
        from = 0;
        mu_ini_trim(value, &from, &to);
        if (out->n != 0)
            mu_buf_put_byte(out, '\n');
        mu_buf_put(out, value + from, to - from);
    }
    while (out->n != 0 && out->p[out->n - 1] == '\n')
        out->p[--out->n] = 0;
}

/* The value as it is written: further lines begin with blanks. */
static void put_value(struct mu_buf *out, const struct mu_ini *ini, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n' && ini->style == MU_INI_SECTIONS)
            mu_buf_putf(out, "%s    ", newline_of(ini));
        else
            mu_buf_put_byte(out, (uint8_t)*value);
    }
}

static void put_item(
    struct mu_buf *out, const struct mu_ini *ini, const char *key, const char *value)
{
    const char *quote = ini->style == MU_INI_BARE ? "\"" : "";

    mu_buf_putf(out, "%s%s%s", key, ini->style == MU_INI_BARE ? " " : " = ", quote);
    put_value(out, ini, value);
    mu_buf_putf(out, "%s%s", quote, newline_of(ini));
}

static void put_end_of_line(struct mu_buf *out, const struct mu_ini *ini)
{
    if (out->n != 0 && out->p[out->n - 1] != '\n')
        mu_buf_put_str(out, newline_of(ini));
}

static void put_new_section(
    struct mu_buf *out, const struct mu_ini *ini, const char *section, const char *name)
{
    if (out->n != 0)
        mu_buf_put_str(out, newline_of(ini));
    if (name[0] != '\0')
        mu_buf_putf(out, "[%s \"%s\"]%s", section, name, newline_of(ini));
    else
        mu_buf_putf(out, "[%s]%s", section, newline_of(ini));
}

/* Puts the item behind the last of its section, or into a new section at the end. */
static void add_item(struct mu_buf *out, const struct mu_ini *ini, const char *section,
    const char *name, const char *key, const char *value)
{
    size_t i = ini->section_n, end = ini->text.n;
    bool found = false;

    while (i-- > 0 && !found) {
        const struct mu_ini_section *s = &ini->sections[i];

        found = strcmp(s->word, section) == 0 && strcmp(s->name, name) == 0;
        if (found && (ini->style == MU_INI_SECTIONS || s->end != 0))
            end = s->end;
    }
    put_range(out, ini, 0, end);
    put_end_of_line(out, ini);
    if (!found)
        put_new_section(out, ini, section, name);
    put_item(out, ini, key, value);
    put_range(out, ini, end, ini->text.n);
}

static void remove_items(struct mu_buf *out, const struct mu_ini *ini, const char *section,
    const char *name, const char *key)
{
    size_t at = 0, i;

    for (i = 0; i < ini->entry_n; i++) {
        const struct mu_ini_entry *e = &ini->entries[i];

        if (strcmp(e->item.key, key) != 0 || strcmp(e->item.section, section) != 0
            || strcmp(e->item.name, name) != 0)
            continue;
        put_range(out, ini, at, e->start);
        at = e->end;
    }
    put_range(out, ini, at, ini->text.n);
}

/* True if the text reads back as what was meant: no value can smuggle in a line. */
static bool is_as_meant(const struct mu_ini *before, const struct mu_ini *after,
    const char *section, const char *name, const char *key, const char *value)
{
    const struct mu_ini_entry *old = mu_ini_find(before, section, name, key);
    const struct mu_ini_entry *now = mu_ini_find(after, section, name, key);

    if (value == NULL)
        return now == NULL;
    return now != NULL && strcmp(now->item.value, value) == 0
        && after->entry_n == before->entry_n + (old == NULL);
}

enum mu_code mu_ini_set(struct mu_ini *ini, const char *section, const char *name, const char *key,
    const char *value, struct mu_err *err)
{
    struct mu_buf text, normal;
    struct mu_ini *after = NULL, swap;
    const struct mu_ini_entry *old;
    enum mu_code rc;

    if (name == NULL)
        name = "";
    mu_buf_init_secret(&text, MU_LIMIT_INI);
    mu_buf_init_secret(&normal, MU_LIMIT_INI);
    if (value != NULL) {
        normalize(&normal, ini->style, value);
        value = mu_buf_str(&normal);
    }
    old = mu_ini_find(ini, section, name, key);
    if (value == NULL) {
        remove_items(&text, ini, section, name, key);
    } else if (old != NULL) {
        put_range(&text, ini, 0, old->value_start);
        put_value(&text, ini, value);
        put_range(&text, ini, old->value_end, ini->text.n);
    } else {
        add_item(&text, ini, section, name, key, value);
    }
    if ((rc = mu_buf_check(&normal, ini->file, err)) != MU_OK
        || (rc = mu_buf_check(&text, ini->file, err)) != MU_OK
        || (rc = mu_ini_parse(mu_buf_bytes(&text), ini->file, ini->style, &after, err)) != MU_OK)
        goto out;
    if (!is_as_meant(ini, after, section, name, key, value)) {
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "%s: this value of '%s' cannot be written into the file", ini->file, key);
        goto out;
    }
    swap = *ini;
    *ini = *after;
    *after = swap;
out:
    mu_buf_clear(&normal);
    mu_buf_clear(&text);
    mu_ini_free(after);
    return rc;
}

/* Offset of a line by its number. */
static size_t line_at(const struct mu_ini *ini, unsigned line)
{
    const uint8_t *p = ini->text.p, *end = p + ini->text.n, *found;

    for (unsigned i = 1; i < line && (found = memchr(p, '\n', (size_t)(end - p))) != NULL; i++)
        p = found + 1;
    return (size_t)(p - ini->text.p);
}

/* Behind the blank lines there. */
static size_t behind_blank_lines(const struct mu_ini *ini, size_t at)
{
    for (size_t i = at; i < ini->text.n; i++) {
        uint8_t c = ini->text.p[i];

        if (c == '\n')
            at = i + 1;
        else if (c != ' ' && c != '\t' && c != '\r')
            break;
    }
    return at;
}

enum mu_code mu_ini_remove(struct mu_ini *ini, const char *section, const char *name, struct mu_err *err)
{
    struct mu_ini *after = NULL, swap;
    struct mu_buf text;
    size_t at = 0;
    enum mu_code rc;

    mu_buf_init_secret(&text, MU_LIMIT_INI);
    for (size_t i = 1; i < ini->section_n; i++) {
        const struct mu_ini_section *s = &ini->sections[i];

        if (strcmp(s->word, section) != 0 || strcmp(s->name, name != NULL ? name : "") != 0)
            continue;
        put_range(&text, ini, at, line_at(ini, s->line));
        at = behind_blank_lines(ini, s->end);
    }
    put_range(&text, ini, at, ini->text.n);
    if ((rc = mu_buf_check(&text, ini->file, err)) == MU_OK
        && (rc = mu_ini_parse(mu_buf_bytes(&text), ini->file, ini->style, &after, err)) == MU_OK) {
        swap = *ini;
        *ini = *after;
        *after = swap;
    }
    mu_buf_clear(&text);
    mu_ini_free(after);
    return rc;
}
