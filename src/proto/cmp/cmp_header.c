/* PKIHeader (RFC 9810 5.1.1, RFC 9483 3.1): fields, generalInfo, and the checks that need no key. */
#include "proto/cmp/cmp_header.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/time.h"
#include "proto/cmp/cmp_body.h"
#include "proto/cmp/cmp_der.h"

static enum mu_code malformed(struct mu_err *err, const char *field)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "cmp: PKIHeader: %s cannot be read (RFC 9810 5.1.1)", field);
}

/* Name of a directoryName, which is [4] EXPLICIT because Name is a CHOICE. Any choice is taken. */
static bool get_general_name(struct mu_bytes *in, struct mu_bytes *general, struct mu_bytes *name)
{
    struct mu_der el, inner;

    if (!mu_der_next(in, &el) || (el.tag & 0xc0) != 0x80)
        return false;
    *general = el.whole;
    if (el.tag != MU_DER_CONTEXT_CONSTRUCTED(4))
        return true;
    if (!mu_der_only(el.value, MU_DER_SEQUENCE, &inner) || inner.whole.n > MU_LIMIT_NAME
        || !mu_pki_name_valid(inner.whole))
        return false;
    *name = inner.whole;
    return true;
}

static bool get_octets(struct mu_bytes *in, unsigned n, size_t max, struct mu_bytes *out)
{
    struct mu_der el;

    if (!mu_cmp_der_optional(in, n, MU_DER_OCTET_STRING, &el) || el.value.n > max)
        return false;
    *out = el.value;
    if (el.whole.p == NULL)
        out->p = NULL;
    return true;
}

static bool get_profile(struct mu_bytes value, struct mu_cmp_header *out)
{
    struct mu_der seq, el;
    struct mu_bytes rest;

    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq))
        return false;
    for (rest = seq.value; rest.n != 0; out->cert_profile_n++) {
        if (!mu_der_get(&rest, MU_DER_UTF8_STRING, &el) || !mu_text_is_utf8(el.value))
            return false;
        if (out->cert_profile_n == 0)
            out->cert_profile = el.value;
    }
    return out->cert_profile_n != 0;
}

/* One InfoTypeAndValue of generalInfo; what is not known here is ignored (CMP-06). */
static bool get_info(struct mu_bytes oid, struct mu_bytes value, struct mu_cmp_header *out)
{
    struct mu_der el;

    switch (mu_cmp_it_of(oid)) {
    case MU_CMP_IT_IMPLICIT_CONFIRM: /* value NULL; absent is forgiven */
        out->implicit_confirm = value.n == 0 || mu_der_only(value, MU_DER_NULL, &el);
        return out->implicit_confirm;
    case MU_CMP_IT_CONFIRM_WAIT_TIME:
        return mu_der_only(value, MU_DER_GENERALIZED_TIME, &el)
            && mu_der_time(&el, &out->confirm_wait_s);
    case MU_CMP_IT_CERT_PROFILE:
        return get_profile(value, out);
    case MU_CMP_IT_ORIG_MESSAGE:
        if (!mu_der_only(value, MU_DER_SEQUENCE, &el))
            return false;
        out->orig_message = el.value;
        return true;
    default:
        return true;
    }
}

static bool get_general_info(struct mu_bytes content, struct mu_cmp_header *out)
{
    struct mu_bytes rest = content, in;
    struct mu_der info, oid, value;
    size_t n;

    for (n = 0; rest.n != 0; n++) {
        if (n == MU_LIMIT_CMP_INFOS || !mu_der_get(&rest, MU_DER_SEQUENCE, &info))
            return false;
        in = info.value;
        value = (struct mu_der){0};
        if (!mu_der_get(&in, MU_DER_OID, &oid) || (in.n != 0 && !mu_der_next(&in, &value))
            || in.n != 0 || !get_info(oid.value, value.whole, out))
            return false;
    }
    out->general_info = content;
    return true;
}

enum mu_code mu_cmp_header_decode(
    struct mu_bytes content, struct mu_cmp_header *out, struct mu_err *err)
{
    struct mu_cmp_header h = {0};
    struct mu_bytes in = content;
    struct mu_der el;
    int64_t pvno;

    if (!mu_der_get(&in, MU_DER_INTEGER, &el) || !mu_der_int(el.value, &pvno) || pvno < 0
        || pvno > INT32_MAX)
        return malformed(err, "pvno");
    h.pvno = (int)pvno;
    if (!get_general_name(&in, &h.sender_general, &h.sender))
        return malformed(err, "sender");
    if (!get_general_name(&in, &h.recipient_general, &h.recipient))
        return malformed(err, "recipient");
    if (!mu_cmp_der_optional(&in, 0, MU_DER_GENERALIZED_TIME, &el)
        || (el.whole.p != NULL && !mu_der_time(&el, &h.time_s)))
        return malformed(err, "messageTime");
    h.has_time = el.whole.p != NULL;
    if (!mu_cmp_der_optional(&in, 1, MU_DER_SEQUENCE, &el))
        return malformed(err, "protectionAlg");
    h.protection_alg = el.whole;
    if (!get_octets(&in, 2, MU_LIMIT_CMP_KID, &h.sender_kid)
        || !get_octets(&in, 3, MU_LIMIT_CMP_KID, &h.recip_kid))
        return malformed(err, "senderKID or recipKID");
    if (!get_octets(&in, 4, MU_LIMIT_TRANSACTION_ID, &h.transaction_id))
        return malformed(err, "transactionID");
    if (!get_octets(&in, 5, MU_LIMIT_NONCE, &h.sender_nonce)
        || !get_octets(&in, 6, MU_LIMIT_NONCE, &h.recip_nonce))
        return malformed(err, "senderNonce or recipNonce");
    if (!mu_cmp_der_optional(&in, 7, MU_DER_SEQUENCE, &el))
        return malformed(err, "freeText");
    h.free_text = el.value;
    if (!mu_cmp_der_optional(&in, 8, MU_DER_SEQUENCE, &el) || !get_general_info(el.value, &h))
        return malformed(err, "generalInfo");
    if (in.n != 0)
        return malformed(err, "what follows generalInfo");
    *out = h;
    return MU_OK;
}

static void put_general_name(struct mu_buf *out, struct mu_bytes name)
{
    size_t mark = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(4));

    if (name.p != NULL)
        mu_buf_put_bytes(out, name);
    else
        mu_der_put(out, MU_DER_SEQUENCE, mu_bytes(NULL, 0));
    mu_der_close(out, mark);
}

static void put_octets(struct mu_buf *out, unsigned n, struct mu_bytes v)
{
    size_t mark;

    if (v.p == NULL)
        return;
    mark = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(n));
    mu_der_put(out, MU_DER_OCTET_STRING, v);
    mu_der_close(out, mark);
}

/* GeneralizedTime whatever the year, with Z and no fraction (CMP-07). */
static void put_time(struct mu_buf *out, int64_t t)
{
    struct mu_time_civil c;
    char text[48];
    int n;

    mu_time_civil(t, &c);
    n = snprintf(text, sizeof text, "%04d%02d%02d%02d%02d%02dZ", c.year, c.month, c.day, c.hour,
        c.minute, c.second);
    mu_der_put(out, MU_DER_GENERALIZED_TIME, mu_bytes(text, (size_t)n));
}

static size_t open_info(struct mu_buf *out, enum mu_cmp_it it)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put(out, MU_DER_OID, mu_cmp_it_oid(it));
    return mark;
}

/* Decoded flags are in general_info already: a header that was read is written as it was. */
static void put_general_info(struct mu_buf *out, const struct mu_cmp_header *h)
{
    size_t tag, seq, info, inner;

    if (h->general_info.n == 0 && !h->implicit_confirm && h->confirm_wait_s == 0
        && h->cert_profile.p == NULL && h->orig_message.p == NULL)
        return;
    tag = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(8));
    seq = mu_der_open(out, MU_DER_SEQUENCE);
    if (h->general_info.n != 0) {
        mu_buf_put_bytes(out, h->general_info);
    } else {
        if (h->implicit_confirm) {
            info = open_info(out, MU_CMP_IT_IMPLICIT_CONFIRM);
            mu_der_put_null(out);
            mu_der_close(out, info);
        }
        if (h->confirm_wait_s != 0) {
            info = open_info(out, MU_CMP_IT_CONFIRM_WAIT_TIME);
            put_time(out, h->confirm_wait_s);
            mu_der_close(out, info);
        }
        if (h->orig_message.p != NULL) {
            info = open_info(out, MU_CMP_IT_ORIG_MESSAGE);
            mu_der_put(out, MU_DER_SEQUENCE, h->orig_message);
            mu_der_close(out, info);
        }
        if (h->cert_profile.p != NULL) {
            info = open_info(out, MU_CMP_IT_CERT_PROFILE);
            inner = mu_der_open(out, MU_DER_SEQUENCE);
            mu_der_put(out, MU_DER_UTF8_STRING, h->cert_profile);
            mu_der_close(out, inner);
            mu_der_close(out, info);
        }
    }
    mu_der_close(out, seq);
    mu_der_close(out, tag);
}

void mu_cmp_header_encode(const struct mu_cmp_header *h, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE), field;

    mu_der_put_int(out, h->pvno);
    put_general_name(out, h->sender);
    put_general_name(out, h->recipient);
    if (h->has_time) {
        field = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
        put_time(out, h->time_s);
        mu_der_close(out, field);
    }
    if (h->protection_alg.p != NULL) {
        field = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(1));
        mu_buf_put_bytes(out, h->protection_alg);
        mu_der_close(out, field);
    }
    put_octets(out, 2, h->sender_kid);
    put_octets(out, 3, h->recip_kid);
    put_octets(out, 4, h->transaction_id);
    put_octets(out, 5, h->sender_nonce);
    put_octets(out, 6, h->recip_nonce);
    if (h->free_text.n != 0) {
        field = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(7));
        mu_der_put(out, MU_DER_SEQUENCE, h->free_text);
        mu_der_close(out, field);
    }
    put_general_info(out, h);
    mu_der_close(out, mark);
}

enum mu_code mu_cmp_header_check(
    const struct mu_cmp_header *h, bool is_protected, struct mu_err *err)
{
    if (h->pvno != MU_CMP_2000 && h->pvno != MU_CMP_2021)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_VERSION,
            "cmp: version %d is not spoken here, 2 and 3 are (RFC 9810 7)", h->pvno);
    if (h->transaction_id.n == 0)
        return mu_err_set(
            err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: no transactionID (RFC 9483 3.5)");
    if (h->sender_nonce.n < MU_CMP_NONCE)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_SENDER_NONCE,
            "cmp: senderNonce of %zu octets, 16 are the least (RFC 9483 3.5)", h->sender_nonce.n);
    if (is_protected && h->protection_alg.p == NULL)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cmp: protection without protectionAlg (RFC 9810 5.1.1)");
    if (!is_protected && h->protection_alg.p != NULL)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cmp: protectionAlg without protection (RFC 9810 5.1.1)");
    return MU_OK;
}

enum mu_code mu_cmp_header_check_time(
    const struct mu_cmp_header *h, int64_t now_s, int64_t slack_s, struct mu_err *err)
{
    char there[MU_TIME_TEXT], here[MU_TIME_TEXT];

    if (!h->has_time || (h->time_s >= now_s - slack_s && h->time_s <= now_s + slack_s))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REFUSE_CLOCK,
        "cmp: messageTime is %s, here it is %s (RFC 9483 3.5)", mu_time_rfc3339(h->time_s, there),
        mu_time_rfc3339(now_s, here));
}

bool mu_cmp_header_reference(const struct mu_cmp_header *h, struct mu_buf *out)
{
    size_t i;

    mu_buf_reset(out);
    if (h->sender_kid.n != 0)
        mu_buf_put_bytes(out, h->sender_kid);
    else if (h->sender.p == NULL || !mu_pki_name_get(h->sender, "CN", out))
        return false;
    if (out->failed || out->n == 0 || !mu_text_is_utf8(mu_buf_bytes(out)))
        return false;
    for (i = 0; i < out->n; i++) {
        if (out->p[i] < 0x20 || out->p[i] == 0x7f)
            return false;
    }
    return true;
}
