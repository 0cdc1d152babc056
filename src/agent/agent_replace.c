/*
 * The file is walked once as a shell would read it: comments, quotes and backslashes count, so that a line
 * inside of another value is never taken for an assignment. Assignments are looked for at the beginning of
 * a line alone, with or without 'export'.
 */
#include "agent/agent_replace.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"

enum { NAME_MAX_LEN = 128 };

static const char begin_mark[] = "-----BEGIN ", end_mark[] = "-----END ", dashes[] = "-----";

struct walk {
    struct mu_bytes text;
    size_t at;
    unsigned line;
    const char *where;
};

/* One assignment: text[name..name + name_n], then '=', then the value with its quotes. */
struct assignment {
    size_t name, name_n;
    size_t from, to; /* of the value, quotes included */
    char quote;      /* 0: none */
    bool is_plain;   /* one word or one quoted text, and nothing glued to it */
};

enum mu_code mu_agent_replace_kind_parse(
    const char *word, enum mu_agent_replace_kind *out, struct mu_err *err)
{
    char shown[64];

    if (strcmp(word, "pkey") == 0)
        *out = MU_AGENT_REPLACE_PKEY;
    else if (strcmp(word, "cert") == 0)
        *out = MU_AGENT_REPLACE_CERT;
    else
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "'%s' is no kind: known are pkey and cert",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
    return MU_OK;
}

/* ---- reading as a shell does ---- */

static char peek(const struct walk *w)
{
    return w->at < w->text.n ? (char)w->text.p[w->at] : '\0';
}

static bool at_end(const struct walk *w)
{
    return w->at >= w->text.n;
}

static char take(struct walk *w)
{
    char c = (char)w->text.p[w->at++];

    w->line += c == '\n';
    return c;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_word_end(const struct walk *w)
{
    return at_end(w) || is_blank(peek(w)) || peek(w) == '\n' || peek(w) == ';';
}

static bool is_name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'
        || (!first && ((c >= '0' && c <= '9') || c == '.' || c == '-'));
}

/* Behind the closing quote. */
static enum mu_code skip_quoted(struct walk *w, struct mu_err *err)
{
    unsigned line = w->line;
    char quote = take(w);

    while (!at_end(w)) {
        char c = take(w);

        if (c == quote)
            return MU_OK;
        if (c == '\\' && quote == '"' && !at_end(w))
            take(w);
    }
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "%s:%u: the quote is never closed; the file is left as it is", w->where, line);
}

/* A word: until a blank, a line end or ';' outside of quotes. */
static enum mu_code skip_word(struct walk *w, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    while (rc == MU_OK && !is_word_end(w)) {
        char c = peek(w);

        if (c == '\'' || c == '"') {
            rc = skip_quoted(w, err);
        } else {
            take(w);
            if (c == '\\' && !at_end(w))
                take(w);
        }
    }
    return rc;
}

static void skip_comment(struct walk *w)
{
    while (!at_end(w) && peek(w) != '\n')
        take(w);
}

/* What follows on the line; its line end is taken too. */
static enum mu_code skip_rest(struct walk *w, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    while (rc == MU_OK && !at_end(w)) {
        char c = peek(w);

        if (c == '\n') {
            take(w);
            break;
        }
        if (c == '#')
            skip_comment(w);
        else if (is_blank(c) || c == ';')
            take(w);
        else
            rc = skip_word(w, err);
    }
    return rc;
}

static void skip_blanks(struct walk *w)
{
    while (!at_end(w) && is_blank(peek(w)))
        take(w);
}

static void skip_export(struct walk *w)
{
    static const char word[] = "export";
    const size_t n = sizeof word - 1;

    if (w->text.n - w->at > n && memcmp(w->text.p + w->at, word, n) == 0
        && is_blank((char)w->text.p[w->at + n])) {
        w->at += n;
        skip_blanks(w);
    }
}

/* At the beginning of a line: reads it to its end. *found: it is an assignment. */
static enum mu_code read_line(
    struct walk *w, struct assignment *out, bool *found, struct mu_err *err)
{
    enum mu_code rc;

    *found = false;
    skip_blanks(w);
    skip_export(w);
    out->name = w->at;
    while (!at_end(w) && is_name_char(peek(w), w->at == out->name))
        w->at++;
    out->name_n = w->at - out->name;
    if (out->name_n == 0 || at_end(w) || peek(w) != '=')
        return skip_rest(w, err);
    take(w);
    out->from = w->at;
    out->quote = peek(w) == '"' || peek(w) == '\'' ? peek(w) : '\0';
    rc = out->quote != '\0' ? skip_quoted(w, err) : skip_word(w, err);
    if (rc != MU_OK)
        return rc;
    out->is_plain = is_word_end(w);
    out->to = w->at;
    *found = true;
    return skip_rest(w, err);
}

/* ---- one value ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct mu_bytes trimmed(struct mu_bytes v)
{
    while (v.n > 0 && is_space(v.p[0])) {
        v.p++;
        v.n--;
    }
    while (v.n > 0 && is_space(v.p[v.n - 1]))
        v.n--;
    return v;
}

static bool begins(struct mu_bytes v, const char *mark)
{
    size_t n = strlen(mark);

    return v.n >= n && memcmp(v.p, mark, n) == 0;
}

/* One or more PEM blocks and blanks around them, nothing that a shell would expand. */
static bool is_pem(struct mu_bytes v)
{
    size_t tail = sizeof dashes - 1;

    v = trimmed(v);
    if (!begins(v, begin_mark) || memchr(v.p, '\n', v.n) == NULL || memchr(v.p, '\\', v.n) != NULL
        || memchr(v.p, '$', v.n) != NULL || memchr(v.p, '`', v.n) != NULL)
        return false;
    return memmem(v.p, v.n, end_mark, sizeof end_mark - 1) != NULL
        && memcmp(v.p + v.n - tail, dashes, tail) == 0;
}

static bool is_base64_line(struct mu_bytes v)
{
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+'
                || c == '/' || c == '='))
            return false;
    }
    return v.n > 0;
}

/* The new block between the blanks that stand around the old one, with its kind of line ends. */
static void put_pem(struct mu_bytes old, struct mu_bytes pem, struct mu_buf *out)
{
    struct mu_bytes core = trimmed(old);
    bool crlf = memmem(core.p, core.n, "\r\n", 2) != NULL;

    pem = trimmed(pem);
    mu_buf_put(out, old.p, (size_t)(core.p - old.p));
    for (size_t i = 0; i < pem.n; i++) {
        if (pem.p[i] == '\r')
            continue;
        if (pem.p[i] == '\n' && crlf)
            mu_buf_put_byte(out, '\r');
        mu_buf_put_byte(out, pem.p[i]);
    }
    mu_buf_put(out, core.p + core.n, (size_t)(old.p + old.n - (core.p + core.n)));
}

/* The octets inside of the one block: what its base64 says. */
static enum mu_code pem_to_der(struct mu_bytes pem, struct mu_buf *out, struct mu_err *err)
{
    const uint8_t *p, *end;

    pem = trimmed(pem);
    p = pem.n > 0 ? memchr(pem.p, '\n', pem.n) : NULL;
    end = p != NULL ? memmem(p, (size_t)(pem.p + pem.n - p), end_mark, sizeof end_mark - 1) : NULL;
    if (!begins(pem, begin_mark) || end == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "what is to be written is no PEM");
    if (memchr(p, ':', (size_t)(end - p)) != NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the key is encrypted in the old way of PEM: one line of base64 cannot hold that");
    return mu_text_unbase64(mu_bytes(p, (size_t)(end - p)), out, err);
}

/* One line of base64: of a PEM text or of DER, as it is now. */
static enum mu_code put_base64(
    struct mu_bytes old, struct mu_bytes pem, bool *known, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf now = {.max = MU_LIMIT_FILE, .secret = true};
    struct mu_buf der = {.max = MU_LIMIT_FILE, .secret = true};
    enum mu_code rc = MU_OK;

    *known = false;
    if (mu_text_unbase64(old, &now, err) != MU_OK || now.n == 0)
        goto out;
    if (begins(mu_buf_bytes(&now), begin_mark)) {
        *known = mu_text_base64(out, pem, 0);
    } else if (now.p[0] == 0x30 && now.n > 1) { /* a SEQUENCE */
        *known = true;
        if ((rc = pem_to_der(pem, &der, err)) == MU_OK)
            mu_text_base64(out, mu_buf_bytes(&der), 0);
    }
out:
    mu_buf_clear(&now);
    mu_buf_clear(&der);
    return rc;
}

static enum mu_code form_unknown(const struct walk *w, const struct assignment *a, unsigned line,
    const char *param, struct mu_err *err)
{
    bool is_empty = a->to - a->from <= (a->quote != '\0' ? 2 : 0);

    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s:%u: the value of %s %s; the file is left as it is",
        w->where, line, param,
        is_empty ? "is empty, so nothing says which form it should have"
                 : "has another form than a PEM in quotes or one line of base64");
    mu_err_next(err, "put a PEM between quotes there, or one line of base64, by hand once");
    return MU_INPUT;
}

static enum mu_code put_value(const struct walk *w, const struct assignment *a, unsigned line,
    const struct mu_agent_replace *with, struct mu_buf *out, struct mu_err *err)
{
    size_t q = a->quote != '\0' ? 1 : 0;
    struct mu_bytes old = mu_bytes(w->text.p + a->from + q, a->to - a->from - 2 * q);
    enum mu_code rc = MU_OK;
    bool known = a->is_plain;

    if (known) {
        mu_buf_put(out, w->text.p + a->from, q);
        if (q != 0 && is_pem(old))
            put_pem(old, with->pem, out);
        else if (is_base64_line(old))
            rc = put_base64(old, with->pem, &known, out, err);
        else
            known = false;
        mu_buf_put(out, w->text.p + a->to - q, q);
    }
    if (rc == MU_OK && !known)
        rc = form_unknown(w, a, line, with->param, err);
    return rc;
}

/* What is written must be one PEM text that no quote can be ended by. */
static enum mu_code pem_check(const struct mu_agent_replace *item, struct mu_err *err)
{
    if (is_pem(item->pem) && memchr(item->pem.p, '"', item->pem.n) == NULL
        && memchr(item->pem.p, '\'', item->pem.n) == NULL)
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "what %s should get is no PEM (a key in a token has none)", item->param);
}

/* ---- all of it ---- */

/* Every name that the file sets, for the nearest one. */
struct names {
    struct mu_buf text; /* each with its NUL */
    size_t n;
};

static enum mu_code not_found(
    const char *param, const char *where, const struct names *names, struct mu_err *err)
{
    const char **list = calloc(names->n + 1, sizeof *list), *at = mu_buf_str(&names->text), *near;
    char shown[NAME_MAX_LEN];
    size_t i;

    mu_text_escape_to(shown, sizeof shown, mu_bytes_str(param));
    mu_err_set(err, MU_NOT_FOUND, MU_M(903), "Parameter %s not found in %s; the file is left as it is",
        shown, where);
    if (list == NULL)
        return MU_NOT_FOUND;
    for (i = 0; i < names->n; i++, at += strlen(at) + 1)
        list[i] = at;
    near = mu_text_nearest(param, list);
    if (near != NULL)
        mu_err_next(err, "Did you mean %s?", near);
    else
        mu_err_next(err, "look into %s for its name", where);
    free(list);
    return MU_NOT_FOUND;
}

static void names_add(struct names *names, const struct walk *w, const struct assignment *a)
{
    if (a->name_n < NAME_MAX_LEN && names->text.n + a->name_n + 1 < MU_BUF_DEFAULT_MAX) {
        mu_buf_put(&names->text, w->text.p + a->name, a->name_n);
        mu_buf_put_byte(&names->text, '\0');
        names->n++;
    }
}

static const struct mu_agent_replace *wanted(const struct walk *w, const struct assignment *a,
    const struct mu_agent_replace *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (mu_bytes_equal(mu_bytes(w->text.p + a->name, a->name_n), mu_bytes_str(list[i].param)))
            return &list[i];
    }
    return NULL;
}

static enum mu_code walk_all(struct walk *w, const struct mu_agent_replace *list, size_t n,
    bool *seen, struct names *names, struct mu_buf *out, struct mu_err *err)
{
    const struct mu_agent_replace *with;
    struct assignment a;
    size_t copied = 0;
    enum mu_code rc = MU_OK;
    bool found;

    while (rc == MU_OK && !at_end(w)) {
        unsigned line = w->line;

        if ((rc = read_line(w, &a, &found, err)) != MU_OK || !found)
            continue;
        names_add(names, w, &a);
        if ((with = wanted(w, &a, list, n)) == NULL)
            continue;
        seen[with - list] = true;
        mu_buf_put(out, w->text.p + copied, a.from - copied);
        rc = put_value(w, &a, line, with, out, err);
        copied = a.to;
    }
    mu_buf_put(out, w->text.p + copied, w->text.n - copied);
    return rc;
}

enum mu_code mu_agent_replace(struct mu_bytes text, const char *where,
    const struct mu_agent_replace *list, size_t n, struct mu_buf *out, struct mu_err *err)
{
    struct walk w = {.text = text, .line = 1, .where = where};
    struct mu_buf made = {.max = MU_LIMIT_FILE + MU_LIMIT_FILE / 2, .secret = true};
    struct names names = {0};
    bool *seen = calloc(n + 1, sizeof *seen);
    enum mu_code rc = MU_OK;
    size_t i;

    if (seen == NULL)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the parameters");
    else if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s is no text; it is left as it is", where);
    for (i = 0; rc == MU_OK && i < n; i++)
        rc = pem_check(&list[i], err);
    if (rc == MU_OK)
        rc = walk_all(&w, list, n, seen, &names, &made, err);
    for (i = 0; rc == MU_OK && i < n; i++) {
        if (!seen[i])
            rc = not_found(list[i].param, where, &names, err);
    }
    if (rc == MU_OK && (rc = mu_buf_check(&made, where, err)) == MU_OK) {
        mu_buf_put_bytes(out, mu_buf_bytes(&made));
        rc = mu_buf_check(out, where, err);
    }
    mu_buf_clear(&made);
    mu_buf_clear(&names.text);
    free(seen);
    return rc;
}
