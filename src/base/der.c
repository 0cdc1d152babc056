/*
 * DER, reading: a cursor, and the values of the simple types. Lengths and tags are checked here
 * and nowhere else. What BER allows beyond that is der_ber.c's business.
 */
#include "base/der.h"

#include "base/text.h"
#include "base/time.h"

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
