/*
 * DER as a cursor over borrowed octets, and a writer. All of the project's own codecs stand on
 * this pair (docs/decisions/0001-der.md): keys and certificates stay bytes until somebody needs
 * them, which is most of what OpenSSL's generic decoders cost. BER from the field is made DER
 * once, at the door, by mu_der_from_ber.
 */
#ifndef MU_BASE_DER_H
#define MU_BASE_DER_H

#include "base/buf.h"

enum {
    MU_DER_BOOLEAN = 0x01, MU_DER_INTEGER = 0x02, MU_DER_BIT_STRING = 0x03,
    MU_DER_OCTET_STRING = 0x04, MU_DER_NULL = 0x05, MU_DER_OID = 0x06, MU_DER_ENUMERATED = 0x0a,
    MU_DER_UTF8_STRING = 0x0c, MU_DER_NUMERIC_STRING = 0x12, MU_DER_PRINTABLE_STRING = 0x13,
    MU_DER_T61_STRING = 0x14, MU_DER_IA5_STRING = 0x16, MU_DER_UTC_TIME = 0x17,
    MU_DER_GENERALIZED_TIME = 0x18, MU_DER_UNIVERSAL_STRING = 0x1c, MU_DER_BMP_STRING = 0x1e,
    MU_DER_SEQUENCE = 0x30, MU_DER_SET = 0x31,
};
#define MU_DER_CONTEXT(n) (0x80 | (n))             /* [n] IMPLICIT primitive */
#define MU_DER_CONTEXT_CONSTRUCTED(n) (0xa0 | (n)) /* [n] EXPLICIT, or IMPLICIT constructed */

/* ---- reading: a mu_bytes is the cursor and shrinks from the front ---- */

struct mu_der {
    unsigned tag;          /* one octet; high tag numbers are refused */
    struct mu_bytes value; /* content octets */
    struct mu_bytes whole; /* with tag and length */
};

/* Takes the next element off the cursor; false (cursor unchanged) at the end or at bad DER:
 * indefinite or non-minimal length, length beyond the end, high tag number. */
bool mu_der_next(struct mu_bytes *in, struct mu_der *out) MU_CHECK;
/* The same, if it has this tag. */
bool mu_der_get(struct mu_bytes *in, unsigned tag, struct mu_der *out) MU_CHECK;
/* True and taken if the next has this tag; true and out->whole.p NULL if it has another tag or
 * nothing is left; false only at bad DER. */
bool mu_der_optional(struct mu_bytes *in, unsigned tag, struct mu_der *out) MU_CHECK;
/* Tag of the next element, or -1. */
int mu_der_peek(struct mu_bytes in);
/* Exactly one element of this tag and nothing behind it. */
bool mu_der_only(struct mu_bytes in, unsigned tag, struct mu_der *out) MU_CHECK;
/* INTEGER or ENUMERATED content as a small number. */
bool mu_der_int(struct mu_bytes value, int64_t *out) MU_CHECK;
/* BIT STRING content: the octets, and that no bits are unused. */
bool mu_der_bits(struct mu_bytes value, struct mu_bytes *out) MU_CHECK;
/* UTCTime or GeneralizedTime element to seconds. */
bool mu_der_time(const struct mu_der *el, int64_t *out) MU_CHECK;
/* Content of any DirectoryString choice (and IA5, numeric) as UTF-8. False for bad strings. */
bool mu_der_string(const struct mu_der *el, struct mu_buf *out) MU_CHECK;
/* OID content octets against text "1.2.840..."; and as text. */
bool mu_der_oid_is(struct mu_bytes value, const char *dotted);
bool mu_der_oid_format(struct mu_bytes value, struct mu_buf *out);
enum { MU_DER_OID_MAX = 128 }; /* content octets; the longest known have about 30 */
/* "1.2.840" to content octets; returns their number, 0 if the text is no OID or does not fit. */
size_t mu_der_oid_encode(const char *dotted, uint8_t *out, size_t size);
/* True if the octets are a valid DER encoding to at most depth levels, one element, no rest. */
bool mu_der_valid(struct mu_bytes in, unsigned depth);

/* If in is BER that DER would not allow in lengths or constructed strings, writes the DER form;
 * otherwise copies. *rest_n (may be NULL: then a rest is an error) gets the octets behind the
 * first element. Depth and growth are bounded. SET order is not changed. */
enum mu_code mu_der_from_ber(struct mu_bytes in, struct mu_buf *out, size_t *rest_n,
    struct mu_err *err) MU_CHECK;
/* True if the first element needs no such conversion anywhere (cheap scan of the lengths). */
bool mu_der_is_definite(struct mu_bytes in);

/* ---- writing: content first, header put in front on close ---- */

/* Opens an element; returns a mark for close. Elements nest. */
size_t mu_der_open(struct mu_buf *b, unsigned tag);
void mu_der_close(struct mu_buf *b, size_t mark);
void mu_der_put(struct mu_buf *b, unsigned tag, struct mu_bytes value);
void mu_der_put_int(struct mu_buf *b, int64_t v);
/* INTEGER from big-endian magnitude octets: leading zeros go, a sign octet comes if needed. */
void mu_der_put_unsigned(struct mu_buf *b, struct mu_bytes magnitude);
void mu_der_put_bits(struct mu_buf *b, struct mu_bytes octets); /* no unused bits */
void mu_der_put_null(struct mu_buf *b);
void mu_der_put_bool(struct mu_buf *b, bool v); /* writes also FALSE */
void mu_der_put_oid(struct mu_buf *b, const char *dotted);
/* UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 4.1.2.5). */
void mu_der_put_time(struct mu_buf *b, int64_t t);
/* PrintableString if the text fits, else UTF8String. */
void mu_der_put_string(struct mu_buf *b, const char *utf8);
/* Closes a SET OF opened at mark after sorting its elements into DER order. */
void mu_der_close_set_of(struct mu_buf *b, size_t mark);

#endif
