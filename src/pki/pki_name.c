/* Distinguished names: reading, showing and comparing them. Making them is pki_name_make.c. */
#include "pki/pki_name.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_internal.h"
#include "pki/pki_words.h"

/* ---- reading ---- */

struct attribute {
    struct mu_bytes oid;
    struct mu_der value;
    bool joins; /* in one RDN with the attribute before it */
};

struct walk {
    struct mu_bytes name, rdn;
    bool bad;
};

static struct walk walk_start(struct mu_bytes name_der)
{
    struct mu_der seq;
    struct walk w = {.bad = !mu_der_only(name_der, MU_DER_SEQUENCE, &seq)};
    if (!w.bad)
        w.name = seq.value;
    return w;
}

/* False at the end or at malformed DER (w->bad). */
static bool walk_next(struct walk *w, struct attribute *out)
{
    struct mu_der set, seq, oid;
    if (w->bad)
        return false;
    out->joins = w->rdn.n != 0;
    if (!out->joins) {
        if (w->name.n == 0)
            return false;
        if (!mu_der_get(&w->name, MU_DER_SET, &set) || set.value.n == 0)
            goto bad;
        w->rdn = set.value;
    }
    if (!mu_der_get(&w->rdn, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_OID, &oid)
        || !mu_der_next(&seq.value, &out->value) || seq.value.n)
        goto bad;
    out->oid = oid.value;
    return true;
bad:
    w->bad = true;
    return false;
}

/* Text of a value; "#hex" of the element if it is no string. */
static bool value_text(const struct mu_der *value, struct mu_buf *out, bool *is_hex)
{
    mu_buf_reset(out);
    *is_hex = !mu_der_string(value, out) || out->failed;
    if (!*is_hex)
        return true;
    mu_buf_reset(out);
    mu_buf_put_byte(out, '#');
    return mu_text_hex(out, value->whole, 0);
}

bool mu_pki_name_valid(struct mu_bytes name_der)
{
    struct walk w = walk_start(name_der);
    struct attribute a;
    while (walk_next(&w, &a))
        ;
    return !w.bad;
}

bool mu_pki_name_is_empty(struct mu_bytes name_der)
{
    struct walk w = walk_start(name_der);
    return !w.bad && w.name.n == 0;
}

bool mu_pki_name_each(struct mu_bytes name_der, mu_pki_name_each_call *call, void *cookie)
{
    struct walk w = walk_start(name_der);
    struct attribute a;
    struct mu_buf value;
    char oid[MU_OID_TEXT];
    bool is_hex;
    mu_buf_init(&value, MU_LIMIT_MESSAGE);
    while (walk_next(&w, &a)) {
        if (!value_text(&a.value, &value, &is_hex))
            w.bad = true;
        else
            call(cookie, mu_pki_name_type_word(a.oid, oid), mu_buf_str(&value));
    }
    mu_buf_clear(&value);
    return !w.bad;
}

bool mu_pki_name_get(struct mu_bytes name_der, const char *type, struct mu_buf *out)
{
    const char *oid = mu_pki_name_type_oid(type);
    struct walk w = walk_start(name_der);
    struct attribute a;
    while (walk_next(&w, &a))
        if (mu_der_oid_is(a.oid, oid))
            return mu_der_string(&a.value, out);
    return false;
}

/* Puts backslashes before what the parser would take for something else. */
static void escape_value(struct mu_bytes v, enum mu_pki_name_style style, struct mu_buf *out)
{
    const char *special = style == MU_PKI_NAME_SLASH ? "/\\" : ",+\"\\<>;";
    for (size_t i = 0; i < v.n; i++) {
        bool edge = style != MU_PKI_NAME_SLASH
            && ((v.p[i] == ' ' && (i == 0 || i + 1 == v.n)) || (v.p[i] == '#' && i == 0));
        if (edge || (v.p[i] && strchr(special, v.p[i])))
            mu_buf_put_byte(out, '\\');
        mu_buf_put_byte(out, v.p[i]);
    }
}

bool mu_pki_name_format(struct mu_bytes name_der, enum mu_pki_name_style style, struct mu_buf *out)
{
    static const struct {
        const char *first, *next, *join, *equals;
    } marks[] = {
        [MU_PKI_NAME_SLASH] = {"/", "/", "/", "="},
        [MU_PKI_NAME_COMMA] = {"", ",", "+", "="},
        [MU_PKI_NAME_SPACED] = {"", ", ", " + ", " = "},
    };
    struct walk w = walk_start(name_der);
    struct attribute a;
    struct mu_buf value, escaped;
    char oid[MU_OID_TEXT];
    size_t before = out->n;
    mu_buf_init(&value, MU_LIMIT_MESSAGE);
    mu_buf_init(&escaped, MU_LIMIT_MESSAGE);
    for (bool first = true; walk_next(&w, &a); first = false) {
        mu_buf_put_str(out, first ? marks[style].first : a.joins ? marks[style].join
                                                                 : marks[style].next);
        mu_buf_put_str(out, mu_pki_name_type_word(a.oid, oid));
        mu_buf_put_str(out, marks[style].equals);
        bool is_hex;
        if (!value_text(&a.value, &value, &is_hex))
            w.bad = true;
        mu_buf_reset(&escaped);
        if (is_hex)
            mu_buf_put_bytes(&escaped, mu_buf_bytes(&value));
        else
            escape_value(mu_buf_bytes(&value), style, &escaped);
        mu_text_escape(out, mu_buf_bytes(&escaped), MU_LIMIT_MESSAGE);
    }
    mu_buf_clear(&value);
    mu_buf_clear(&escaped);
    if (w.bad)
        mu_pki_cut(out, before);
    return !w.bad && !out->failed;
}

const char *mu_pki_name_text(struct mu_bytes name_der, char *buf, size_t size)
{
    struct mu_buf text;
    mu_buf_init(&text, MU_LIMIT_MESSAGE);
    if (!mu_pki_name_format(name_der, MU_PKI_NAME_SPACED, &text))
        snprintf(buf, size, "(bad name)");
    else
        mu_text_escape_to(buf, size, mu_buf_bytes(&text));
    mu_buf_clear(&text);
    return buf;
}

/* ---- comparing ---- */

/* RFC 5280 7.1 in the small: ASCII case, outer blanks and runs of blanks do not count. */
static void fold(struct mu_buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->n; i++) {
        uint8_t c = text->p[i];
        if (c == ' ' && (n == 0 || text->p[n - 1] == ' '))
            continue;
        text->p[n++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
    }
    if (n && text->p[n - 1] == ' ')
        n--;
    mu_pki_cut(text, n);
}

static bool value_equal(const struct mu_der *a, const struct mu_der *b, struct mu_buf *x,
    struct mu_buf *y)
{
    if (mu_bytes_equal(a->whole, b->whole))
        return true;
    mu_buf_reset(x);
    mu_buf_reset(y);
    if (!mu_der_string(a, x) || !mu_der_string(b, y))
        return false;
    fold(x);
    fold(y);
    return mu_bytes_equal(mu_buf_bytes(x), mu_buf_bytes(y));
}

bool mu_pki_name_equal(struct mu_bytes a, struct mu_bytes b)
{
    if (mu_bytes_equal(a, b))
        return true;
    struct walk u = walk_start(a), v = walk_start(b);
    struct attribute s, t;
    struct mu_buf x, y;
    mu_buf_init(&x, MU_LIMIT_MESSAGE);
    mu_buf_init(&y, MU_LIMIT_MESSAGE);
    bool equal, more;
    do {
        more = walk_next(&u, &s);
        equal = walk_next(&v, &t) == more;
        if (more && equal)
            equal = s.joins == t.joins && mu_bytes_equal(s.oid, t.oid)
                && value_equal(&s.value, &t.value, &x, &y);
    } while (more && equal);
    mu_buf_clear(&x);
    mu_buf_clear(&y);
    return equal && !u.bad && !v.bad;
}
