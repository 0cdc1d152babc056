/* DER, object identifiers: content octets and the dotted text. */
#include "base/der.h"

/* An arc of an OID may be a UUID (2.25.x), which needs 128 bits. */
__extension__ typedef unsigned __int128 arc;

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

size_t mu_der_oid_encode(const char *dotted, uint8_t *out, size_t size)
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

bool mu_der_oid_is(struct mu_bytes value, const char *dotted)
{
    uint8_t want[MU_DER_OID_MAX];
    size_t n = mu_der_oid_encode(dotted, want, sizeof want);

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
