/* Text and numbers. ASCII rules throughout; the locale is never asked. */
#include "base/text.h"

#include <stdlib.h>

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- hex ---- */

static bool put_hex(struct mu_buf *out, struct mu_bytes v, char sep, const char *digits)
{
    size_t i, n = v.n * (sep != 0 ? 3 : 2) - (sep != 0 && v.n != 0);
    uint8_t *p = mu_buf_grow(out, n);

    if (p == NULL)
        return false;
    for (i = 0; i < v.n; i++) {
        if (sep != 0 && i != 0)
            *p++ = (uint8_t)sep;
        *p++ = (uint8_t)digits[v.p[i] >> 4];
        *p++ = (uint8_t)digits[v.p[i] & 15];
    }
    return true;
}

bool mu_text_hex(struct mu_buf *out, struct mu_bytes v, char sep)
{
    return put_hex(out, v, sep, "0123456789ABCDEF");
}

bool mu_text_hex_lower(struct mu_buf *out, struct mu_bytes v, char sep)
{
    return put_hex(out, v, sep, "0123456789abcdef");
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum mu_code mu_text_unhex(const char *s, struct mu_buf *out, struct mu_err *err)
{
    size_t before = out->n;

    while (*s != '\0') {
        int hi, lo;

        if (is_blank(*s) || *s == ':') {
            s++;
            continue;
        }
        hi = hex_digit(s[0]);
        lo = hi >= 0 ? hex_digit(s[1]) : -1;
        if (lo < 0) {
            if (out->n > before)
                out->p[out->n = before] = 0;
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "not a string of hex octets");
        }
        mu_buf_put_byte(out, (uint8_t)(hi << 4 | lo));
        s += 2;
    }
    return mu_buf_check(out, "hex string", err);
}

/* ---- base64 ---- */

bool mu_text_base64(struct mu_buf *out, struct mu_bytes v, unsigned columns)
{
    size_t chars = (v.n + 2) / 3 * 4, column = 0, i;
    size_t lines = columns != 0 ? (chars + columns - 1) / columns : 0;
    uint8_t *p = mu_buf_grow(out, chars + lines);

    if (p == NULL)
        return false;
    for (i = 0; i < v.n; i += 3) {
        size_t left = v.n - i, k;
        uint32_t w = (uint32_t)v.p[i] << 16 | (uint32_t)(left > 1 ? v.p[i + 1] : 0) << 8
            | (left > 2 ? v.p[i + 2] : 0);

        for (k = 0; k < 4; k++) {
            *p++ = (uint8_t)(k > left ? '=' : base64_alphabet[w >> (18 - 6 * k) & 63]);
            if (columns != 0 && ++column == columns) {
                *p++ = '\n';
                column = 0;
            }
        }
    }
    if (column != 0)
        *p = '\n';
    return true;
}

/* Value of a digit plus one, in both alphabets of RFC 4648; 0: none. */
static const uint8_t base64_digits[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0, 63, 0, 64,
    53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0, 0, 0, 0, 0, 0,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0, 0, 0, 0, 64,
    0, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
    42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 0, 0, 0, 0, 0};

static int base64_digit(uint8_t c)
{
    return base64_digits[c] - 1;
}

enum mu_code mu_text_unbase64(struct mu_bytes s, struct mu_buf *out, struct mu_err *err)
{
    size_t i, before = out->n, digits = 0, pads = 0;
    uint8_t *start = mu_buf_grow(out, s.n / 4 * 3 + 3), *p = start;
    uint32_t w = 0;
    int d;

    if (start == NULL)
        return mu_buf_check(out, "base64 text", err);
    for (i = 0; i < s.n; i++) {
        if ((d = base64_digit(s.p[i])) < 0) {
            if (s.p[i] == '=')
                pads++;
            else if (!is_blank((char)s.p[i]))
                goto bad;
            continue;
        }
        if (pads != 0)
            goto bad;
        w = w << 6 | (uint32_t)d;
        if (++digits % 4 == 0) {
            *p++ = (uint8_t)(w >> 16);
            *p++ = (uint8_t)(w >> 8);
            *p++ = (uint8_t)w;
        }
    }
    if (digits == 0 || digits % 4 == 1 || pads > 2 || (pads != 0 && (digits + pads) % 4 != 0))
        goto bad;
    if (digits % 4 == 2) {
        *p++ = (uint8_t)(w >> 4);
    } else if (digits % 4 == 3) {
        *p++ = (uint8_t)(w >> 10);
        *p++ = (uint8_t)(w >> 2);
    }
    out->n = before + (size_t)(p - start);
    out->p[out->n] = 0;
    return MU_OK;
bad:
    if (out->secret)
        mu_bytes_wipe(start, (size_t)(p - start));
    out->p[out->n = before] = 0;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "not base64 (at octet %zu of %zu)", i, s.n);
}

/* ---- numbers ---- */

enum mu_code mu_text_int(const char *s, int64_t min, int64_t max, int64_t *out, struct mu_err *err)
{
    const char *p = s;
    bool negative = *p == '-';
    int64_t v = 0;

    p += negative;
    if (!is_digit(*p))
        goto bad;
    for (; is_digit(*p); p++) {
        /* Counts downwards, because INT64_MIN has no positive twin. */
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *p - '0', &v))
            goto bad;
    }
    if (*p != '\0' || (!negative && v == INT64_MIN))
        goto bad;
    v = negative ? v : -v;
    if (v < min || v > max)
        goto bad;
    *out = v;
    return MU_OK;
bad:
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "not a number from %lld to %lld",
        (long long)min, (long long)max);
}

enum mu_code mu_text_duration(const char *s, int64_t *out_s, struct mu_err *err)
{
    static const struct {
        const char *word;
        int64_t s;
    } units[] = {{"", 1}, {"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    const char *p = s;
    int64_t v = 0;
    size_t i;

    if (!is_digit(*p))
        goto bad;
    for (; is_digit(*p); p++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            goto bad;
    }
    while (*p == ' ')
        p++;
    for (i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(p, units[i].word) != 0)
            continue;
        if (__builtin_mul_overflow(v, units[i].s, &v))
            goto bad;
        *out_s = v;
        return MU_OK;
    }
bad:
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "not a duration like 60s, 5min, 1h or 30d");
}

bool mu_text_duration_format(struct mu_buf *out, int64_t s)
{
    static const struct {
        const char *word;
        int64_t s;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    uint64_t left = s < 0 ? 0 - (uint64_t)s : (uint64_t)s;
    size_t i = 0;

    if (s < 0)
        mu_buf_put_byte(out, '-');
    while (i < 3 && left < (uint64_t)units[i].s)
        i++;
    mu_buf_putf(out, "%llu %s", (unsigned long long)(left / (uint64_t)units[i].s), units[i].word);
    left %= (uint64_t)units[i].s;
    if (i < 3 && left / (uint64_t)units[i + 1].s != 0)
        mu_buf_putf(out, " %llu %s", (unsigned long long)(left / (uint64_t)units[i + 1].s),
            units[i + 1].word);
    return !out->failed;
}

/* ---- UTF-8 and escaping ---- */

/* Length of the character at p, 0 if it is none (overlong, surrogate, beyond U+10FFFF, cut). */
static size_t utf8_char(const uint8_t *p, size_t n, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1
        : p[0] < 0xc2        ? 0
        : p[0] < 0xe0        ? 2
        : p[0] < 0xf0        ? 3
        : p[0] < 0xf5        ? 4
                             : 0;
    uint32_t c = len == 1 ? p[0] : len != 0 ? p[0] & (0xffu >> (len + 1)) : 0;
    size_t i;

    if (len == 0 || len > n)
        return 0;
    for (i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *out = c;
    return len;
}

/* What could move a cursor, start a new line or turn the direction of what a person reads. */
static bool is_unprintable(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f
        || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Writes the next character of v at *i into piece (at most 16 octets); returns its length. */
static size_t escape_char(struct mu_bytes v, size_t *i, char piece[16])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t c = 0;
    size_t len = utf8_char(v.p + *i, v.n - *i, &c), k, n = 0;

    if (len != 0 && !is_unprintable(c)) {
        memcpy(piece, v.p + *i, len);
        *i += len;
        return len;
    }
    for (k = 0; k < (len != 0 ? len : 1); k++) {
        uint8_t octet = v.p[*i + k];

        piece[n++] = '\\';
        piece[n++] = 'x';
        piece[n++] = digits[octet >> 4];
        piece[n++] = digits[octet & 15];
    }
    *i += k;
    return n;
}

/* Into to (size octets, no NUL). Where it does not fit, "..." follows what does. */
static size_t escape(char *to, size_t size, struct mu_bytes v)
{
    size_t i = 0, n = 0, whole = 0, dots = size < 3 ? size : 3;
    char piece[16];

    while (i < v.n) {
        size_t len = escape_char(v, &i, piece);

        if (len > size - n) {
            memcpy(to + whole, "...", dots);
            return whole + dots;
        }
        memcpy(to + n, piece, len);
        n += len;
        if (n + dots <= size)
            whole = n;
    }
    return n;
}

bool mu_text_escape(struct mu_buf *out, struct mu_bytes v, size_t max)
{
    size_t most = v.n > SIZE_MAX / 4 ? max : 4 * v.n, before = out->n;
    uint8_t *p;

    if (most > max)
        most = max;
    if ((p = mu_buf_grow(out, most)) == NULL)
        return false;
    out->n = before + escape((char *)p, most, v);
    out->p[out->n] = 0;
    return true;
}

const char *mu_text_escape_to(char *buf, size_t size, struct mu_bytes v)
{
    if (size != 0)
        buf[escape(buf, size - 1, v)] = '\0';
    return buf;
}

bool mu_text_is_utf8(struct mu_bytes v)
{
    size_t i, len;
    uint32_t c;

    for (i = 0; i < v.n; i += len) {
        if ((len = utf8_char(v.p + i, v.n - i, &c)) == 0)
            return false;
    }
    return true;
}

/* ---- words ---- */

bool mu_text_equal_nocase(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b))
        a++, b++;
    return lower(*a) == lower(*b);
}

bool mu_text_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

char *mu_text_trim(char *s)
{
    size_t n;

    while (is_blank(*s))
        s++;
    n = strlen(s);
    while (n > 0 && is_blank(s[n - 1]))
        n--;
    s[n] = '\0';
    return s;
}

enum { WORD_MAX = 48 }; /* longer words are no typing errors of ours */

/* Edits (insert, drop, change, swap neighbors) that make a into b. */
static size_t edits(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], *last2 = rows[0], *last = rows[1], *row = rows[2], *t;
    size_t an = strlen(a), bn = strlen(b), i, k;

    if (an > WORD_MAX || bn > WORD_MAX)
        return SIZE_MAX;
    for (k = 0; k <= bn; k++)
        last[k] = last2[k] = k;
    for (i = 1; i <= an; i++) {
        row[0] = i;
        for (k = 1; k <= bn; k++) {
            size_t best = last[k - 1] + (lower(a[i - 1]) != lower(b[k - 1]));

            if (last[k] + 1 < best)
                best = last[k] + 1;
            if (row[k - 1] + 1 < best)
                best = row[k - 1] + 1;
            if (i > 1 && k > 1 && lower(a[i - 1]) == lower(b[k - 2])
                && lower(a[i - 2]) == lower(b[k - 1]) && last2[k - 2] + 1 < best)
                best = last2[k - 2] + 1;
            row[k] = best;
        }
        t = last2;
        last2 = last;
        last = row;
        row = t;
    }
    return last[bn];
}

const char *mu_text_nearest(const char *word, const char *const *words)
{
    size_t best = SIZE_MAX, n = strlen(word);
    const char *found = NULL;

    for (; *words != NULL; words++) {
        size_t d = edits(word, *words);

        if (d < best) {
            best = d;
            found = *words;
        }
    }
    /* One edit per three letters, at least one: "ur" may be "url", "x" is nothing. */
    return n > 1 && best <= (n < 6 ? 1 : n / 3) ? found : NULL;
}

enum mu_code mu_text_dup(const char *s, char **out, struct mu_err *err)
{
    char *copy = strdup(s);

    if (copy == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    *out = copy;
    return MU_OK;
}

bool mu_text_is_entry_name(const char *s)
{
    size_t n;

    if (s[0] == '.' || s[0] == '-')
        return false;
    for (n = 0; s[n] != '\0'; n++) {
        char c = lower(s[n]);

        if (n >= 64 || !(is_digit(c) || (c >= 'a' && c <= 'z') || strchr("._-", c) != NULL))
            return false;
    }
    return n != 0;
}
