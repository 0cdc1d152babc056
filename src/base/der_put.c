/* DER, writing: content first, its header put in front when the element is closed. */
#include "base/der.h"

#include <assert.h>
#include <stdlib.h>

#include "base/time.h"

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
    /* An octet that only repeats the sign bit of the next one says nothing. */
    while (skip < 7 && p[skip] == (p[skip + 1] >= 0x80 ? 0xff : 0x00))
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
    uint8_t octets[MU_DER_OID_MAX];
    size_t n = mu_der_oid_encode(dotted, octets, sizeof octets);

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
