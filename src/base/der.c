/*
 * DER: reading by cursor, writing with the header put in front. Lengths and tags are checked
 * here and nowhere else. What BER allows beyond that is der_ber.c's business.
 */
#include "base/der.h"

#include <assert.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/time.h"

/* An arc of an OID may be a UUID (2.25.x), which needs 128 bits. */
__extension__ typedef unsigned __int128 arc;

/* ---- reading ---- */

bool mu_der_next(struct mu_bytes *in, struct mu_der *out)
{
    const uint8_t *p = in->p;
    size_t n = in->n, head = 2, len, i;

    if (n < 2 || (p[0] & 0x1f) == 0x1f)
        return false;
    len = p[1];
    if (len >= 0x80) {
        size_t octets = len & 0x7f;

        if (octets == 0 || octets > 4 || n < 2 + octets || p[2] == 0)
            return false;
        len = 0;
        for (i = 0; i < octets; i++)
            len = len << 8 | p[2 + i];
        if (len < 0x80)
            return false;
        head += octets;
    }
    if (len > n - head)
        return false;
    out->tag = p[0];
    out->value = mu_bytes(p + head, len);
    out->whole = mu_bytes(p, head + len);
    in->p += head + len;
    in->n -= head + len;
    return true;
}

bool mu_der_get(struct mu_bytes *in, unsigned tag, struct mu_der *out)
{
    return in->n != 0 && in->p[0] == tag && mu_der_next(in, out);
}

bool mu_der_optional(struct mu_bytes *in, unsigned tag, struct mu_der *out)
{
    struct mu_bytes ahead = *in;
    struct mu_der el;

    *out = (struct mu_der){0};
    if (in->n == 0)
        return true;
    if (!mu_der_next(&ahead, &el))
        return false;
    if (el.tag == tag) {
        *out = el;
        *in = ahead;
    }
    return true;
}

int mu_der_peek(struct mu_bytes in)
{
    return in.n != 0 ? in.p[0] : -1;
}

bool mu_der_only(struct mu_bytes in, unsigned tag, struct mu_der *out)
{
    struct mu_der el;

    if (!mu_der_get(&in, tag, &el) || in.n != 0)
        return false;
    *out = el;
    return true;
}

/* At least one octet, and none that says nothing. */
static bool is_minimal_int(struct mu_bytes v)
{
    if (v.n == 0)
        return false;
    return v.n == 1 || !((v.p[0] == 0x00 && v.p[1] < 0x80) || (v.p[0] == 0xff && v.p[1] >= 0x80));
}

bool mu_der_int(struct mu_bytes value, int64_t *out)
{
    uint64_t v;
    size_t i;

    if (!is_minimal_int(value) || value.n > 8)
        return false;
    v = value.p[0] >= 0x80 ? UINT64_MAX : 0;
    for (i = 0; i < value.n; i++)
        v = v << 8 | value.p[i];
    *out = (int64_t)v;
    return true;
}

bool mu_der_bits(struct mu_bytes value, struct mu_bytes *out)
{
    if (value.n == 0 || value.p[0] != 0)
        return false;
    *out = mu_bytes(value.p + 1, value.n - 1);
    return true;
}

bool mu_der_time(const struct mu_der *el, int64_t *out)
{
    if (el->tag != MU_DER_UTC_TIME && el->tag != MU_DER_GENERALIZED_TIME)
        return false;
    return mu_time_parse_asn1(el->value, el->tag == MU_DER_GENERALIZED_TIME, out);
}

static bool put_char(struct mu_buf *out, uint32_t c)
{
    uint8_t p[4];

    /* A NUL would end the text for half of its readers; surrogates are no characters. */
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return false;
    if (c < 0x80)
        return mu_buf_put_byte(out, (uint8_t)c);
    if (c < 0x800) {
        p[0] = (uint8_t)(0xc0 | c >> 6);
        p[1] = (uint8_t)(0x80 | (c & 0x3f));
        return mu_buf_put(out, p, 2);
    }
    if (c < 0x10000) {
        p[0] = (uint8_t)(0xe0 | c >> 12);
        p[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        p[2] = (uint8_t)(0x80 | (c & 0x3f));
        return mu_buf_put(out, p, 3);
    }
    p[0] = (uint8_t)(0xf0 | c >> 18);
    p[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    p[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    p[3] = (uint8_t)(0x80 | (c & 0x3f));
    return mu_buf_put(out, p, 4);
}

/* Characters of width octets each, none above most. */
static bool put_chars(struct mu_buf *out, struct mu_bytes v, size_t width, uint32_t most)
{
    size_t i, k, before = out->n;

    if (v.n % width != 0)
        return false;
    for (i = 0; i < v.n; i += width) {
        uint32_t c = 0;

        for (k = 0; k < width; k++)
            c = c << 8 | v.p[i + k];
        if (c > most || !put_char(out, c)) {
            if (out->p != NULL)
                out->p[out->n = before] = 0;
            return false;
        }
    }
    return true;
}

bool mu_der_string(const struct mu_der *el, struct mu_buf *out)
{
    switch (el->tag) {
    case MU_DER_UTF8_STRING:
        if (!mu_text_is_utf8(el->value) || (el->value.n && memchr(el->value.p, 0, el->value.n)))
            return false;
        return mu_buf_put_bytes(out, el->value);
    case MU_DER_NUMERIC_STRING:
    case MU_DER_PRINTABLE_STRING: /* '*', '@' and '_' are common in it, though not allowed */
    case MU_DER_IA5_STRING:
    case 0x1a: /* VisibleString */
        return put_chars(out, el->value, 1, 0x7f);
    case MU_DER_T61_STRING: /* everybody writes Latin-1 into it */
        return put_chars(out, el->value, 1, 0xff);
    case MU_DER_BMP_STRING:
        return put_chars(out, el->value, 2, 0xffff);
    case MU_DER_UNIVERSAL_STRING:
        return put_chars(out, el->value, 4, 0x10ffff);
    default:
        return false;
    }
}

/* Takes one arc; false at the end, at an arc cut short, padded or beyond 128 bits. */
static bool next_arc(struct mu_bytes *in, arc *out)
{
    arc v = 0;
    size_t i;

    if (in->n == 0 || in->p[0] == 0x80)
        return false;
    for (i = 0; i < in->n; i++) {
        if (v >> 121 != 0)
            return false;
        v = v << 7 | (in->p[i] & 0x7f);
        if (in->p[i] < 0x80) {
            in->p += i + 1;
            in->n -= i + 1;
            *out = v;
            return true;
        }
    }
    return false;
}

/* Writes one arc, base 128; returns its octets (at most 19). */
static size_t put_arc(uint8_t p[19], arc v)
{
    uint8_t back[19];
    size_t n = 0, i;

    do {
        back[n++] = (uint8_t)(v & 0x7f);
        v >>= 7;
    } while (v != 0);
    for (i = 0; i < n; i++)
        p[i] = (uint8_t)(back[n - 1 - i] | (i + 1 < n ? 0x80 : 0));
    return n;
}

/* "1.2.840" to content octets; returns their number, 0 if the text is no OID or too long. */
static size_t oid_encode(const char *dotted, uint8_t *out, size_t size)
{
    size_t n = 0, arcs = 0;
    const char *p = dotted;
    arc first = 0;

    for (;;) {
        uint8_t octets[19];
        size_t len;
        arc v = 0;

        if (*p < '0' || *p > '9')
            return 0;
        for (; *p >= '0' && *p <= '9'; p++) {
            if (v > (~(arc)0 - 80 - 9) / 10) /* 80: what the first arc may add */
                return 0;
            v = v * 10 + (arc)(*p - '0');
        }
        if (arcs == 1 && first < 2 && v > 39)
            return 0;
        if (arcs++ == 0) {
            if (v > 2 || *p != '.')
                return 0;
            first = v;
        } else {
            len = put_arc(octets, arcs == 2 ? v + 40 * first : v);
            if (len > size - n)
                return 0;
            memcpy(out + n, octets, len);
            n += len;
        }
        if (*p == '\0')
            return n;
        if (*p++ != '.')
            return 0;
    }
}

enum { OID_MAX = 128 }; /* content octets; the longest known have about 30 */

bool mu_der_oid_is(struct mu_bytes value, const char *dotted)
{
    uint8_t want[OID_MAX];
    size_t n = oid_encode(dotted, want, sizeof want);

    return n != 0 && mu_bytes_equal(value, mu_bytes(want, n));
}

static bool put_decimal(struct mu_buf *out, arc v)
{
    char text[40], *p = text + sizeof text;

    do {
        *--p = (char)('0' + (int)(v % 10));
        v /= 10;
    } while (v != 0);
    return mu_buf_put(out, p, (size_t)(text + sizeof text - p));
}

bool mu_der_oid_format(struct mu_bytes value, struct mu_buf *out)
{
    size_t before = out->n;
    arc v, first;

    if (!next_arc(&value, &v))
        return false;
    first = v < 80 ? v / 40 : 2;
    put_decimal(out, first);
    mu_buf_put_byte(out, '.');
    put_decimal(out, v - 40 * first);
    while (value.n != 0) {
        if (!next_arc(&value, &v)) {
            if (out->p != NULL)
                out->p[out->n = before] = 0;
            return false;
        }
        mu_buf_put_byte(out, '.');
        put_decimal(out, v);
    }
    return !out->failed;
}

static bool is_valid_oid(struct mu_bytes v)
{
    bool starts = true;
    size_t i;

    for (i = 0; i < v.n; i++) {
        if (starts && v.p[i] == 0x80)
            return false;
        starts = v.p[i] < 0x80;
    }
    return v.n != 0 && starts;
}

/* What DER asks of the content of the primitive universal types that can break a reader. */
static bool is_valid_primitive(const struct mu_der *el)
{
    const struct mu_bytes v = el->value;

    switch (el->tag) {
    case 0x00: /* end-of-contents belongs to BER */
    case MU_DER_SEQUENCE & 0x1f:
    case MU_DER_SET & 0x1f:
        return false;
    case MU_DER_BOOLEAN:
        return v.n == 1 && (v.p[0] == 0x00 || v.p[0] == 0xff);
    case MU_DER_INTEGER:
    case MU_DER_ENUMERATED:
        return is_minimal_int(v);
    case MU_DER_BIT_STRING:
        return v.n != 0 && v.p[0] <= 7 && (v.p[0] == 0 || v.n > 1);
    case MU_DER_NULL:
        return v.n == 0;
    case MU_DER_OID:
        return is_valid_oid(v);
    default:
        return true;
    }
}

static bool is_valid_content(struct mu_bytes in, unsigned depth)
{
    struct mu_der el;

    while (in.n != 0) {
        if (!mu_der_next(&in, &el))
            return false;
        if ((el.tag & 0x20) == 0) {
            if (!is_valid_primitive(&el))
                return false;
            continue;
        }
        /* EXTERNAL (0x28) and EMBEDDED PDV (0x2b) are constructed too; strings never are. */
        if (el.tag < 0x40 && el.tag != MU_DER_SEQUENCE && el.tag != MU_DER_SET && el.tag != 0x28
            && el.tag != 0x2b)
            return false;
        if (depth == 0 || !is_valid_content(el.value, depth - 1))
            return false;
    }
    return true;
}

bool mu_der_valid(struct mu_bytes in, unsigned depth)
{
    struct mu_bytes rest = in;
    struct mu_der el;

    return mu_der_next(&rest, &el) && rest.n == 0 && is_valid_content(in, depth);
}

/* ---- writing ---- */

/* Length octets for a content of len; returns how many. */
static size_t put_length(uint8_t p[5], size_t len)
{
    size_t octets = 1, i;

    if (len < 0x80) {
        p[0] = (uint8_t)len;
        return 1;
    }
    while (octets < 4 && len >> (8 * octets) != 0)
        octets++;
    p[0] = (uint8_t)(0x80 | octets);
    for (i = 0; i < octets; i++)
        p[1 + i] = (uint8_t)(len >> (8 * (octets - 1 - i)));
    return 1 + octets;
}

size_t mu_der_open(struct mu_buf *b, unsigned tag)
{
    size_t mark = b->n;
    uint8_t head[2] = {(uint8_t)tag, 0};

    assert(tag <= 0xff && (tag & 0x1f) != 0x1f);
    mu_buf_put(b, head, 2);
    return mark;
}

void mu_der_close(struct mu_buf *b, size_t mark)
{
    size_t len, extra;
    uint8_t octets[5];

    if (b->failed)
        return;
    assert(b->n >= mark + 2);
    len = b->n - mark - 2;
    if (len > UINT32_MAX) { /* mu_der_next would not read it either */
        b->failed = true;
        return;
    }
    extra = put_length(octets, len) - 1;
    if (extra != 0) {
        if (mu_buf_grow(b, extra) == NULL)
            return;
        memmove(b->p + mark + 2 + extra, b->p + mark + 2, len);
    }
    memcpy(b->p + mark + 1, octets, 1 + extra);
}

void mu_der_put(struct mu_buf *b, unsigned tag, struct mu_bytes value)
{
    uint8_t head[6];
    size_t n;

    assert(tag <= 0xff && (tag & 0x1f) != 0x1f);
    if (value.n > UINT32_MAX) {
        b->failed = true;
        return;
    }
    head[0] = (uint8_t)tag;
    n = 1 + put_length(head + 1, value.n);
    mu_buf_put(b, head, n);
    mu_buf_put_bytes(b, value);
}

void mu_der_put_int(struct mu_buf *b, int64_t v)
{
    uint8_t p[8];
    size_t i, skip = 0;

    for (i = 0; i < 8; i++)
        p[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
    while (skip < 7 && !is_minimal_int(mu_bytes(p + skip, 8 - skip)))
        skip++;
    mu_der_put(b, MU_DER_INTEGER, mu_bytes(p + skip, 8 - skip));
}

void mu_der_put_unsigned(struct mu_buf *b, struct mu_bytes magnitude)
{
    size_t mark = mu_der_open(b, MU_DER_INTEGER);

    while (magnitude.n != 0 && magnitude.p[0] == 0) {
        magnitude.p++;
        magnitude.n--;
    }
    if (magnitude.n == 0 || magnitude.p[0] >= 0x80)
        mu_buf_put_byte(b, 0);
    mu_buf_put_bytes(b, magnitude);
    mu_der_close(b, mark);
}

void mu_der_put_bits(struct mu_buf *b, struct mu_bytes octets)
{
    size_t mark = mu_der_open(b, MU_DER_BIT_STRING);

    mu_buf_put_byte(b, 0);
    mu_buf_put_bytes(b, octets);
    mu_der_close(b, mark);
}

void mu_der_put_null(struct mu_buf *b)
{
    mu_der_put(b, MU_DER_NULL, (struct mu_bytes){0});
}

void mu_der_put_bool(struct mu_buf *b, bool v)
{
    uint8_t octet = v ? 0xff : 0x00;

    mu_der_put(b, MU_DER_BOOLEAN, mu_bytes(&octet, 1));
}

void mu_der_put_oid(struct mu_buf *b, const char *dotted)
{
    uint8_t octets[OID_MAX];
    size_t n = oid_encode(dotted, octets, sizeof octets);

    if (n == 0)
        b->failed = true;
    else
        mu_der_put(b, MU_DER_OID, mu_bytes(octets, n));
}

void mu_der_put_time(struct mu_buf *b, int64_t t)
{
    struct mu_time_civil c;
    size_t mark;

    mu_time_civil(t, &c);
    if (c.year < 0 || c.year > 9999) {
        b->failed = true;
        return;
    }
    if (c.year >= 1950 && c.year < 2050) {
        mark = mu_der_open(b, MU_DER_UTC_TIME);
        mu_buf_putf(b, "%02d", c.year % 100);
    } else {
        mark = mu_der_open(b, MU_DER_GENERALIZED_TIME);
        mu_buf_putf(b, "%04d", c.year);
    }
    mu_buf_putf(b, "%02d%02d%02d%02d%02dZ", c.month, c.day, c.hour, c.minute, c.second);
    mu_der_close(b, mark);
}

void mu_der_put_string(struct mu_buf *b, const char *utf8)
{
    static const char printable[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789 '()+,-./:=?";
    bool fits = utf8[strspn(utf8, printable)] == '\0';

    mu_der_put(b, fits ? MU_DER_PRINTABLE_STRING : MU_DER_UTF8_STRING, mu_bytes_str(utf8));
}

/* X.690 11.6: as octet strings, the shorter one padded with zeros; no two differ only in that. */
static int compare(const void *pa, const void *pb)
{
    const struct mu_bytes *a = pa, *b = pb;
    int d = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);

    return d != 0 ? d : (a->n > b->n) - (a->n < b->n);
}

static bool sort_elements(struct mu_buf *b, size_t start)
{
    struct mu_bytes in = mu_bytes(b->p + start, b->n - start);
    struct mu_bytes *list = NULL;
    struct mu_buf sorted = {.max = in.n + 1, .secret = b->secret};
    size_t n = 0, i;
    struct mu_der el;
    bool ok = false;

    for (; in.n != 0; n++) {
        if (!mu_der_next(&in, &el))
            return false;
    }
    if (n < 2)
        return true;
    if ((list = calloc(n, sizeof *list)) == NULL)
        return false;
    in = mu_bytes(b->p + start, b->n - start);
    for (i = 0; i < n && mu_der_next(&in, &el); i++)
        list[i] = el.whole;
    qsort(list, n, sizeof *list, compare);
    for (i = 0; i < n; i++)
        mu_buf_put_bytes(&sorted, list[i]);
    if (!sorted.failed) {
        memcpy(b->p + start, sorted.p, sorted.n);
        ok = true;
    }
    mu_buf_clear(&sorted);
    free(list);
    return ok;
}

void mu_der_close_set_of(struct mu_buf *b, size_t mark)
{
    if (b->failed)
        return;
    if (!sort_elements(b, mark + 2)) {
        b->failed = true;
        return;
    }
    mu_der_close(b, mark);
}
