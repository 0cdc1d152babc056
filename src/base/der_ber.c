/*
 * BER to DER, once, at the door. Three things are put right: indefinite lengths, lengths that
 * are not minimal, and strings sent in pieces. Values are never changed: a certificate inside
 * stays what its issuer signed as far as it was DER.
 *
 * Two walks over the input, both linear: the first measures how long the content of every
 * constructed element will be (one record each, in the order met), the second writes with these
 * records at hand. So nothing is copied twice however deep the nesting is.
 *
 * Strings in pieces: a constructed universal string (0x24 and so on) says what it is. A
 * constructed [0] does not: it may be an explicit tag around anything, or the pieces of an
 * implicitly tagged OCTET STRING, and only the schema knows. The one such field in what we read is
 *
 *     EncryptedContentInfo ::= SEQUENCE { OBJECT IDENTIFIER, AlgorithmIdentifier (a SEQUENCE),
 *                                         [0] IMPLICIT OCTET STRING OPTIONAL }   (RFC 5652 6.1)
 *
 * so the rule is its shape: a constructed [0] that is the third element of a SEQUENCE, behind an
 * OBJECT IDENTIFIER and a SEQUENCE, and holds nothing but OCTET STRINGs, is joined to a primitive
 * [0]. No other structure of CMS, X.509, PKCS #10, CRMF or CMP has that shape.
 */
#include "base/der.h"

#include "base/limits.h"

enum { EOC = 0, EXPLICIT_0 = 0xa0, IMPLICIT_0 = 0x80 };

/* One BER header. */
struct head {
    uint8_t tag;
    bool indefinite;
    size_t n; /* octets of the header */
    size_t len; /* content octets; of no meaning if indefinite */
};

/* What the second walk needs to know of a constructed element. */
struct record {
    size_t out_len;
    uint8_t out_tag;
    bool join; /* write the content of the pieces only */
    uint8_t unused; /* of a joined BIT STRING */
};

/* What an element means to the one around it. */
struct measure {
    size_t whole; /* its DER form */
    size_t content; /* the same without header, if it is a piece of a string */
    uint8_t unused; /* BIT STRING: unused bits of the last piece */
};

struct walk {
    const uint8_t *p;
    const char *what; /* what was wrong, NULL so far */
    struct mu_buf records;
    size_t next_record;
    bool is_scan; /* only asks whether there is anything to change, and keeps no records */
    bool changes; /* something is not DER */
    uint8_t *to;
};

static bool fail(struct walk *w, const char *what)
{
    if (w->what == NULL)
        w->what = what;
    return false;
}

static size_t length_octets(size_t len)
{
    size_t n = 1;

    if (len < 0x80)
        return 1;
    while (len >> (8 * n) != 0)
        n++;
    return 1 + n;
}

static bool read_head(struct walk *w, size_t at, size_t end, struct head *out)
{
    size_t n = end - at, octets, i;

    if (n < 2)
        return fail(w, "cut short");
    const uint8_t *p = w->p + at; /* not before: of nothing at all there is no pointer */
    if ((p[0] & 0x1f) == 0x1f)
        return fail(w, "a tag number above 30");
    *out = (struct head){.tag = p[0], .n = 2, .len = p[1]};
    if (p[1] == 0x80) {
        out->indefinite = true;
        return (p[0] & 0x20) != 0 || fail(w, "an indefinite length of a primitive element");
    }
    if (p[1] > 0x80) {
        octets = p[1] & 0x7f;
        if (octets > n - 2)
            return fail(w, "cut short");
        out->len = 0;
        for (i = 0; i < octets; i++) {
            if (out->len >> 24 != 0)
                return fail(w, "a length above 32 bits");
            out->len = out->len << 8 | p[2 + i];
        }
        out->n += octets;
        if (out->n != 1 + length_octets(out->len))
            w->changes = true;
    }
    if (out->len > n - out->n)
        return fail(w, "a length beyond the end");
    return true;
}

/* The universal types that BER may send in pieces. */
static bool is_string(uint8_t tag)
{
    unsigned number = tag & 0x1f;

    if ((tag & 0xc0) != 0)
        return false;
    return number == MU_DER_BIT_STRING || number == MU_DER_OCTET_STRING || number == 7
        || number == MU_DER_UTF8_STRING
        || (number >= MU_DER_NUMERIC_STRING && number <= MU_DER_BMP_STRING && number != 29);
}

/* Pieces of a string are OCTET STRINGs (X.690 8.21) or, as some write, of the string's own type. */
static bool is_piece_of(uint8_t tag, uint8_t piece)
{
    piece &= (uint8_t)~0x20;
    tag &= (uint8_t)~0x20;
    return piece == tag || (tag != MU_DER_BIT_STRING && piece == MU_DER_OCTET_STRING);
}

/* What a constructed element's children showed so far. */
struct children {
    size_t whole, content, count;
    bool all_pieces; /* of the type the element itself has */
    bool all_octets; /* OCTET STRINGs */
    bool is_encrypted; /* OBJECT IDENTIFIER, then SEQUENCE: the third may be the content */
    uint8_t unused;
};

static bool measure_element(
    struct walk *w, size_t *at, size_t end, unsigned depth, bool may_join_0, struct measure *out);

static bool measure_child(
    struct walk *w, uint8_t parent, size_t *at, size_t end, unsigned depth, struct children *kids)
{
    uint8_t tag = w->p[*at];
    bool third = parent == MU_DER_SEQUENCE && kids->count == 2 && kids->is_encrypted;
    struct measure m;

    if (!measure_element(w, at, end, depth, third, &m))
        return false;
    if (kids->count == 0)
        kids->is_encrypted = tag == MU_DER_OID;
    else if (kids->count == 1)
        kids->is_encrypted = kids->is_encrypted && tag == MU_DER_SEQUENCE;
    if (parent == (MU_DER_BIT_STRING | 0x20) && kids->unused != 0)
        return fail(w, "a piece of a BIT STRING with unused bits before the last");
    kids->unused = m.unused;
    kids->all_pieces = kids->all_pieces && is_piece_of(parent, tag);
    kids->all_octets = kids->all_octets && (tag & ~0x20) == MU_DER_OCTET_STRING;
    kids->whole += m.whole;
    kids->content += m.content;
    kids->count++;
    return true;
}

/* All children of an element; *at goes behind the end-of-contents octets, if there are any. */
static bool measure_children(struct walk *w, const struct head *h, size_t *at, size_t end,
    unsigned depth, struct children *kids)
{
    size_t stop = h->indefinite ? end : *at + h->len;

    while (h->indefinite || *at < stop) {
        if (h->indefinite && stop - *at >= 2 && w->p[*at] == EOC && w->p[*at + 1] == 0) {
            *at += 2;
            return true;
        }
        if (*at >= stop)
            return fail(w, "an indefinite length without an end");
        if (!measure_child(w, h->tag, at, stop, depth, kids))
            return false;
    }
    return true;
}

static bool measure_constructed(struct walk *w, const struct head *h, size_t *at, size_t end,
    unsigned depth, bool may_join_0, struct measure *out)
{
    struct children kids = {.all_pieces = true, .all_octets = true};
    struct record r = {.out_tag = h->tag};
    size_t index = w->records.n;

    if (depth == 0)
        return fail(w, "nested too deep");
    if (!w->is_scan && mu_buf_grow(&w->records, sizeof r) == NULL)
        return fail(w, "too many elements");
    if (!measure_children(w, h, at, end, depth - 1, &kids))
        return false;
    r.out_len = kids.whole;
    if (is_string(h->tag)) {
        if (!kids.all_pieces)
            return fail(w, "a string whose pieces are of another type");
        r.join = true;
        r.out_tag = h->tag & (uint8_t)~0x20;
        r.unused = kids.unused;
        r.out_len = kids.content + (r.out_tag == MU_DER_BIT_STRING);
    } else if (may_join_0 && h->tag == EXPLICIT_0 && kids.all_octets) {
        r.join = true;
        r.out_tag = IMPLICIT_0;
        r.out_len = kids.content;
    }
    if (h->indefinite || r.join)
        w->changes = true;
    if (r.out_len > UINT32_MAX)
        return fail(w, "a length above 32 bits");
    out->whole = 1 + length_octets(r.out_len) + r.out_len;
    out->content = kids.content;
    out->unused = kids.unused;
    if (!w->is_scan)
        memcpy(w->records.p + index, &r, sizeof r);
    return true;
}

static bool measure_element(
    struct walk *w, size_t *at, size_t end, unsigned depth, bool may_join_0, struct measure *out)
{
    struct head h;

    *out = (struct measure){0};
    if (!read_head(w, *at, end, &h))
        return false;
    if (h.tag == EOC)
        return fail(w, "end-of-contents octets out of place");
    *at += h.n;
    if ((h.tag & 0x20) != 0)
        return measure_constructed(w, &h, at, end, depth, may_join_0, out);
    out->whole = 1 + length_octets(h.len) + h.len;
    out->content = h.len;
    if (h.tag == MU_DER_BIT_STRING) {
        if (h.len == 0 || w->p[*at] > 7)
            return fail(w, "a bad BIT STRING");
        out->content = h.len - 1;
        out->unused = w->p[*at];
    }
    *at += h.len;
    return true;
}

static void write_head(struct walk *w, uint8_t tag, size_t len)
{
    size_t n = length_octets(len) - 1, i;

    *w->to++ = tag;
    if (n != 0)
        *w->to++ = (uint8_t)(0x80 | n);
    for (i = 0; i < n; i++)
        *w->to++ = (uint8_t)(len >> (8 * (n - 1 - i)));
    if (n == 0)
        *w->to++ = (uint8_t)len;
}

/* Nothing can fail here any more: the first walk has seen every header. */
static void write_element(struct walk *w, size_t *at, size_t end, bool as_piece)
{
    struct record r;
    struct head h;
    size_t stop;

    if (!read_head(w, *at, end, &h))
        return;
    *at += h.n;
    if ((h.tag & 0x20) == 0) {
        size_t skip = as_piece && h.tag == MU_DER_BIT_STRING;

        if (!as_piece)
            write_head(w, h.tag, h.len);
        memcpy(w->to, w->p + *at + skip, h.len - skip);
        w->to += h.len - skip;
        *at += h.len;
        return;
    }
    memcpy(&r, w->records.p + w->next_record, sizeof r);
    w->next_record += sizeof r;
    if (!as_piece) {
        write_head(w, r.out_tag, r.out_len);
        if (r.join && r.out_tag == MU_DER_BIT_STRING)
            *w->to++ = r.unused;
    }
    stop = h.indefinite ? end : *at + h.len;
    while (h.indefinite ? w->p[*at] != EOC : *at < stop)
        write_element(w, at, stop, r.join);
    if (h.indefinite)
        *at += 2;
}

/* The first walk. On success *used says where the first element ends. */
static bool measure(struct walk *w, struct mu_bytes in, bool is_scan, size_t *used, size_t *out_n)
{
    struct measure m;

    *w = (struct walk){.p = in.p, .is_scan = is_scan};
    /* A constructed element has two octets at least. */
    mu_buf_init(&w->records, (in.n / 2 + 1) * sizeof(struct record));
    *used = 0;
    if (!measure_element(w, used, in.n, MU_LIMIT_DEPTH, false, &m))
        return false;
    *out_n = m.whole;
    return true;
}

enum mu_code mu_der_from_ber(
    struct mu_bytes in, struct mu_buf *out, size_t *rest_n, struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    struct walk w;
    size_t used, out_n, at = 0;

    /* Nearly all that comes is DER: look first, and keep records only where they are needed. */
    if (!measure(&w, in, true, &used, &out_n)
        || (w.changes && !measure(&w, in, false, &used, &out_n))) {
        rc = mu_err_set(err, w.records.failed ? MU_MEMORY : MU_INPUT, MU_REASON_NONE,
            "asn1: not BER: %s (X.690 8.1)", w.what);
        goto out;
    }
    if (rest_n == NULL && used != in.n) {
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "asn1: %zu octets behind the end of the element", in.n - used);
        goto out;
    }
    if ((w.to = mu_buf_grow(out, out_n)) == NULL) {
        rc = mu_buf_check(out, "a message in DER", err);
        goto out;
    }
    if (w.changes)
        write_element(&w, &at, in.n, false);
    else
        memcpy(w.to, in.p, out_n);
    if (rest_n != NULL)
        *rest_n = in.n - used;
out:
    mu_buf_clear(&w.records);
    return rc;
}

bool mu_der_is_definite(struct mu_bytes in)
{
    struct walk w;
    size_t used, out_n;

    return measure(&w, in, true, &used, &out_n) && !w.changes;
}
