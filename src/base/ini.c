/* The configuration format, read: sections, items with their places in the text, faults by line. */
#include "base/ini_internal.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"

/* One line without its end. */
struct line {
    const char *p;
    size_t n;
    size_t start, next; /* offsets in the text: of the line, and of the one behind it */
    unsigned number;
};

struct parser {
    struct mu_ini *ini;
    struct mu_err *err;
    struct mu_buf value; /* of the open item */
    bool is_open; /* lines that begin with a blank still belong to the last item */
    mu_ini_fault_call *call; /* NULL: the first fault ends it */
    void *cookie;
    bool is_lost; /* behind a fault: what would go on with that line is passed over */
    enum mu_code rc; /* of the first fault that was told */
};

static enum mu_code fault(const struct parser *ps, unsigned line, const char *what)
{
    return mu_err_set(ps->err, MU_INPUT, MU_M(706), "%s:%u: %s", ps->ini->file, line, what);
}

static enum mu_code no_memory(struct mu_err *err)
{
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a configuration file");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'
        || c == '_' || c == '.';
}

void mu_ini_trim(const char *p, size_t *from, size_t *to)
{
    while (*from < *to && is_blank(p[*from]))
        (*from)++;
    while (*to > *from && is_blank(p[*to - 1]))
        (*to)--;
}

static char *copy_word(const char *p, size_t n, bool lower)
{
    char *s = strndup(p, n), *c;

    for (c = s; lower && s != NULL && *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
    return s;
}

/* ---- growing the lists ---- */

/* Room for one more of n things of size octets; lists grow at powers of two. */
static bool grow(void **list, size_t n, size_t size)
{
    void *p;

    if ((n & (n - 1)) != 0)
        return true;
    if ((p = realloc(*list, (n != 0 ? 2 * n : 1) * size)) == NULL)
        return false;
    *list = p;
    return true;
}

static bool add_section(struct mu_ini *ini, char *word, char *name, unsigned line, size_t end)
{
    void *list = ini->sections;
    bool ok = word != NULL && name != NULL && grow(&list, ini->section_n, sizeof *ini->sections);

    ini->sections = list;
    if (!ok) {
        free(word);
        free(name);
        return false;
    }
    ini->sections[ini->section_n++] = (struct mu_ini_section){word, name, line, end};
    return true;
}

static struct mu_ini_entry *add_entry(struct mu_ini *ini, const struct line *l, char *key)
{
    void *list = ini->entries;
    bool ok = key != NULL && grow(&list, ini->entry_n, sizeof *ini->entries);
    struct mu_ini_entry *e;

    ini->entries = list;
    if (!ok) {
        free(key);
        return NULL;
    }
    e = &ini->entries[ini->entry_n++];
    *e = (struct mu_ini_entry){.section = ini->section_n - 1, .start = l->start, .end = l->next};
    e->item.key = key;
    e->item.line = l->number;
    ini->sections[e->section].end = l->next;
    return e;
}

/* ---- reading ---- */

static enum mu_code read_section(struct parser *ps, const struct line *l)
{
    size_t at = 1, to = l->n, word, word_n, name = 0, name_n = 0;
    const char *p = l->p;

    mu_ini_trim(p, &at, &to);
    if (p[to - 1] != ']')
        return fault(ps, l->number, "a section has no ']' at its end");
    to--;
    mu_ini_trim(p, &at, &to);
    for (word = at; at < to && is_word(p[at]); at++)
        ;
    word_n = at - word;
    if (word_n == 0)
        return fault(ps, l->number, "a section has no word behind '['");
    if (at < to) {
        name = at;
        name_n = to;
        mu_ini_trim(p, &name, &name_n);
        if (name == at || name_n - name < 3 || p[name] != '"' || p[name_n - 1] != '"')
            return fault(ps, l->number, "a section is written [word] or [word \"NAME\"]");
        name_n -= ++name + 1;
        if (memchr(p + name, '"', name_n) != NULL)
            return fault(ps, l->number, "a section's name has a quote in it");
    }
    return add_section(ps->ini, copy_word(p + word, word_n, true), strndup(p + name, name_n),
               l->number, l->next)
        ? MU_OK
        : no_memory(ps->err);
}

/* Ends the open item: its value is complete. */
static enum mu_code finish_item(struct parser *ps)
{
    struct mu_ini *ini = ps->ini;
    char *value;

    if (!ps->is_open)
        return MU_OK;
    ps->is_open = false;
    while (ps->value.n != 0 && ps->value.p[ps->value.n - 1] == '\n')
        ps->value.n--;
    if (ps->value.failed || (value = strndup(mu_buf_str(&ps->value), ps->value.n)) == NULL)
        return no_memory(ps->err);
    ini->entries[ini->entry_n - 1].item.value = value;
    return MU_OK;
}

/* key = value */
static enum mu_code read_item(struct parser *ps, const struct line *l)
{
    size_t key_n, from, to = l->n;
    struct mu_ini_entry *e;

    for (key_n = 0; key_n < l->n && is_word(l->p[key_n]); key_n++)
        ;
    for (from = key_n; from < to && is_blank(l->p[from]); from++)
        ;
    if (from == to || l->p[from] != '=')
        return fault(ps, l->number, "neither [section] nor key = value nor # comment");
    if (key_n == 0)
        return fault(ps, l->number, "no key before '='");
    from++;
    mu_ini_trim(l->p, &from, &to);
    if ((e = add_entry(ps->ini, l, copy_word(l->p, key_n, true))) == NULL)
        return no_memory(ps->err);
    e->value_start = l->start + from;
    e->value_end = l->start + to;
    mu_buf_reset(&ps->value);
    mu_buf_put(&ps->value, l->p + from, to - from);
    ps->is_open = true;
    return MU_OK;
}

static enum mu_code read_continuation(struct parser *ps, const struct line *l)
{
    struct mu_ini_entry *e = &ps->ini->entries[ps->ini->entry_n - 1];
    size_t from = 0, to = l->n;

    mu_ini_trim(l->p, &from, &to);
    if (ps->value.n != 0)
        mu_buf_put_byte(&ps->value, '\n');
    mu_buf_put(&ps->value, l->p + from, to - from);
    if (from == to) /* blank lines at the end belong to nobody */
        return MU_OK;
    if (e->value_start == e->value_end && from < to)
        e->value_start = l->start + from;
    e->value_end = l->start + to;
    e->end = l->next;
    ps->ini->sections[e->section].end = l->next;
    return MU_OK;
}

static enum mu_code read_line(struct parser *ps, const struct line *l)
{
    size_t from = 0, to = l->n;
    enum mu_code rc;

    mu_ini_trim(l->p, &from, &to);
    if (l->n != 0 && (l->p[0] == ' ' || l->p[0] == '\t') && (ps->is_open || ps->is_lost))
        return ps->is_open ? read_continuation(ps, l) : MU_OK;
    ps->is_lost = false;
    if ((rc = finish_item(ps)) != MU_OK)
        return rc;
    if (from == to || l->p[from] == '#')
        return MU_OK;
    if (from != 0)
        return fault(ps, l->number, "the line begins with a blank, but there is no value to go on");
    return l->p[0] == '[' ? read_section(ps, l) : read_item(ps, l);
}

/* key value, key "value", key = value */
static enum mu_code read_bare_line(struct parser *ps, const struct line *l)
{
    size_t from = 0, to = l->n, key, key_n;
    struct mu_ini_entry *e;
    const char *quote;

    mu_ini_trim(l->p, &from, &to);
    if (from == to || l->p[from] == '#')
        return MU_OK;
    for (key = from; from < to && !is_blank(l->p[from]) && l->p[from] != '='; from++)
        ;
    if ((key_n = from - key) == 0)
        return fault(ps, l->number, "no key before '='");
    mu_ini_trim(l->p, &from, &to);
    if (from < to && l->p[from] == '=') {
        from++;
        mu_ini_trim(l->p, &from, &to);
    }
    if (from == to)
        return fault(ps, l->number, "a key without a value");
    if (l->p[from] == '"') {
        from++;
        quote = memchr(l->p + from, '"', to - from);
        if (quote == NULL)
            return fault(ps, l->number, "a quote is not closed");
        if (quote != l->p + to - 1)
            return fault(ps, l->number, "something stands behind the closing quote");
        to--;
    }
    if ((e = add_entry(ps->ini, l, copy_word(l->p + key, key_n, false))) == NULL
        || (e->item.value = strndup(l->p + from, to - from)) == NULL)
        return no_memory(ps->err);
    e->value_start = l->start + from;
    e->value_end = l->start + to;
    return MU_OK;
}

static bool has_control(const struct line *l)
{
    size_t i;

    for (i = 0; i < l->n; i++) {
        uint8_t c = (uint8_t)l->p[i];

        if ((c < 0x20 && !is_blank((char)c)) || c == 0x7f)
            return true;
    }
    return false;
}

static enum mu_code take_line(struct parser *ps, const struct line *l)
{
    if (has_control(l))
        return fault(ps, l->number, "a control character");
    if (!mu_text_is_utf8(mu_bytes(l->p, l->n)))
        return fault(ps, l->number, "not UTF-8");
    return ps->ini->style == MU_INI_BARE ? read_bare_line(ps, l) : read_line(ps, l);
}

/* Told, and reading goes on? */
static bool is_told(struct parser *ps, enum mu_code rc)
{
    if (rc != MU_INPUT || ps->call == NULL)
        return false;
    ps->call(ps->cookie, ps->err);
    ps->rc = rc;
    ps->is_open = false;
    ps->is_lost = true;
    return true;
}

static enum mu_code read_lines(struct parser *ps)
{
    const struct mu_bytes text = mu_buf_bytes(&ps->ini->text);
    struct line l = {0};
    enum mu_code rc;

    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        ps->ini->sections[0].end = l.next = 3; /* a byte order mark, as some editors put it */
    while (l.next < text.n) {
        const uint8_t *end = memchr(text.p + l.next, '\n', text.n - l.next);

        l.number++;
        l.start = l.next;
        l.p = (const char *)text.p + l.start;
        l.n = end != NULL ? (size_t)(end - text.p) - l.start : text.n - l.start;
        l.next = l.start + l.n + (end != NULL);
        if (l.n != 0 && l.p[l.n - 1] == '\r')
            l.n--;
        if ((rc = take_line(ps, &l)) != MU_OK && !is_told(ps, rc))
            return rc;
    }
    rc = finish_item(ps);
    return rc == MU_OK ? ps->rc : rc;
}

/* Lists have stopped moving: let the items point at their sections. */
static void link_items(struct mu_ini *ini)
{
    size_t i;

    for (i = 0; i < ini->entry_n; i++) {
        const struct mu_ini_section *s = &ini->sections[ini->entries[i].section];

        ini->entries[i].item.section = s->word;
        ini->entries[i].item.name = s->name;
        ini->entries[i].item.header = ini->entries[i].section;
    }
}

enum mu_code mu_ini_parse(struct mu_bytes text, const char *file, enum mu_ini_style style,
    struct mu_ini **out, struct mu_err *err)
{
    return mu_ini_parse_all(text, file, style, NULL, NULL, out, err);
}

struct first {
    mu_ini_fault_call *call;
    void *cookie;
    struct mu_err err; /* the first that was told */
};

static void tell_and_keep(void *cookie, const struct mu_err *fault)
{
    struct first *first = cookie;

    if (first->err.code == MU_OK)
        first->err = *fault;
    first->call(first->cookie, fault);
}

enum mu_code mu_ini_parse_all(struct mu_bytes text, const char *file, enum mu_ini_style style,
    mu_ini_fault_call *call, void *cookie, struct mu_ini **out, struct mu_err *err)
{
    struct first first = {.call = call, .cookie = cookie};
    struct mu_err own = {0};
    struct parser ps = {.ini = calloc(1, sizeof *ps.ini), .err = err != NULL ? err : &own,
        .call = call != NULL ? tell_and_keep : NULL, .cookie = &first};
    enum mu_code rc;

    mu_buf_init_secret(&ps.value, MU_LIMIT_INI); /* a value may be a password */
    if (ps.ini == NULL || (ps.ini->file = strdup(file)) == NULL) {
        rc = no_memory(err);
        goto out;
    }
    ps.ini->style = style;
    mu_buf_init_secret(&ps.ini->text, MU_LIMIT_INI);
    mu_buf_put_bytes(&ps.ini->text, text);
    if ((rc = mu_buf_check(&ps.ini->text, file, err)) != MU_OK)
        goto out;
    if (!add_section(ps.ini, strdup(""), strdup(""), 0, 0)) {
        rc = no_memory(err);
        goto out;
    }
    if ((rc = read_lines(&ps)) != MU_OK) {
        if (rc == MU_INPUT && first.err.code != MU_OK)
            *ps.err = first.err;
        goto out;
    }
    link_items(ps.ini);
    *out = ps.ini;
    ps.ini = NULL;
out:
    mu_buf_clear(&ps.value);
    mu_ini_free(ps.ini);
    return rc;
}

static void free_value(const char *value)
{
    char *p = (char *)(uintptr_t)value;

    if (p != NULL)
        mu_bytes_wipe(p, strlen(p));
    free(p);
}

static void clear(struct mu_ini *ini)
{
    size_t i;

    for (i = 0; i < ini->entry_n; i++) {
        free((char *)(uintptr_t)ini->entries[i].item.key);
        free_value(ini->entries[i].item.value);
    }
    for (i = 0; i < ini->section_n; i++) {
        free(ini->sections[i].word);
        free(ini->sections[i].name);
    }
    free(ini->entries);
    free(ini->sections);
    free(ini->file);
    mu_buf_clear(&ini->text);
}

void mu_ini_free(struct mu_ini *ini)
{
    if (ini == NULL)
        return;
    clear(ini);
    free(ini);
}

/* ---- asking ---- */

size_t mu_ini_count(const struct mu_ini *ini)
{
    return ini->entry_n;
}

const struct mu_ini_item *mu_ini_at(const struct mu_ini *ini, size_t i)
{
    return i < ini->entry_n ? &ini->entries[i].item : NULL;
}

bool mu_ini_header_at(const struct mu_ini *ini, size_t i, struct mu_ini_header *out)
{
    if (i >= ini->section_n)
        return false;
    *out = (struct mu_ini_header){ini->sections[i].word, ini->sections[i].name, ini->sections[i].line};
    return true;
}

const struct mu_ini_entry *mu_ini_find(
    const struct mu_ini *ini, const char *section, const char *name, const char *key)
{
    size_t i;

    for (i = ini->entry_n; i-- > 0;) {
        const struct mu_ini_item *item = &ini->entries[i].item;

        if (strcmp(item->key, key) == 0 && strcmp(item->section, section) == 0
            && strcmp(item->name, name != NULL ? name : "") == 0)
            return &ini->entries[i];
    }
    return NULL;
}

const struct mu_ini_item *mu_ini_get(
    const struct mu_ini *ini, const char *section, const char *name, const char *key)
{
    const struct mu_ini_entry *e = mu_ini_find(ini, section, name, key);

    return e != NULL ? &e->item : NULL;
}

const char *mu_ini_file(const struct mu_ini *ini)
{
    return ini->file;
}

bool mu_ini_format(const struct mu_ini *ini, struct mu_buf *out)
{
    return mu_buf_put_bytes(out, mu_buf_bytes(&ini->text));
}
