/* PKIStatusInfo, PKIFailureInfo, PKIFreeText (RFC 9810 5.2.3, 5.1.1): numbers, words, octets. */
#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_body.h"
#include "proto/cmp/cmp_status.h"

const char *mu_cmp_status_name(int status)
{
    static const char *const names[] = {"accepted", "grantedWithMods", "rejection", "waiting",
        "revocationWarning", "revocationNotification", "keyUpdateWarning"};

    return status >= 0 && status <= MU_CMP_KEY_UPDATE_WARNING ? names[status] : "unknown";
}

const char *mu_cmp_fail_name(int bit)
{
    static const char *const names[MU_CMP_FAILS] = {"badAlg", "badMessageCheck", "badRequest",
        "badTime", "badCertId", "badDataFormat", "wrongAuthority", "incorrectData",
        "missingTimeStamp", "badPOP", "certRevoked", "certConfirmed", "wrongIntegrity",
        "badRecipientNonce", "timeNotAvailable", "unacceptedPolicy", "unacceptedExtension",
        "addInfoNotAvailable", "badSenderNonce", "badCertTemplate", "signerNotTrusted",
        "transactionIdInUse", "unsupportedVersion", "notAuthorized", "systemUnavail",
        "systemFailure", "duplicateCertReq"};

    return bit >= 0 && bit < MU_CMP_FAILS ? names[bit] : "unknown";
}

int mu_cmp_status_fail_bit(const struct mu_cmp_status *status)
{
    int bit;

    for (bit = 0; status->has_fail && bit < 32; bit++) {
        if ((status->fail & UINT32_C(1) << bit) != 0)
            return bit;
    }
    return -1;
}

/* Named bits: trailing zeros do not count, bits beyond those we know are ignored. */
static bool get_fail(struct mu_bytes value, uint32_t *out)
{
    size_t i;

    *out = 0;
    if (value.n < 1 || value.n > 17 || value.p[0] > 7 || (value.n == 1 && value.p[0] != 0))
        return false;
    for (i = 0; i < (value.n - 1) * 8 && i < MU_CMP_FAILS; i++) {
        if ((value.p[1 + i / 8] & (0x80 >> i % 8)) != 0)
            *out |= UINT32_C(1) << i;
    }
    return true;
}

static bool text_valid(struct mu_bytes content)
{
    struct mu_bytes in = content;
    struct mu_der el;
    size_t n;

    for (n = 0; in.n != 0; n++) {
        if (n == MU_LIMIT_CMP_INFOS || !mu_der_get(&in, MU_DER_UTF8_STRING, &el))
            return false;
    }
    return true;
}

bool mu_cmp_status_get_text(struct mu_bytes *in, struct mu_bytes *out)
{
    struct mu_der el;

    if (!mu_der_optional(in, MU_DER_SEQUENCE, &el) || !text_valid(el.value))
        return false;
    *out = el.value;
    return true;
}

bool mu_cmp_status_get(struct mu_bytes *in, struct mu_cmp_status *out)
{
    struct mu_cmp_status s = {0};
    struct mu_der seq, el;
    struct mu_bytes rest;
    int64_t v;

    if (!mu_der_get(in, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    if (!mu_der_get(&rest, MU_DER_INTEGER, &el) || !mu_der_int(el.value, &v) || v < 0
        || v > INT32_MAX || !mu_cmp_status_get_text(&rest, &s.text)
        || !mu_der_optional(&rest, MU_DER_BIT_STRING, &el)
        || (el.whole.p != NULL && !get_fail(el.value, &s.fail)) || rest.n != 0)
        return false;
    s.status = (int)v;
    s.has_fail = el.whole.p != NULL;
    *out = s;
    return true;
}

static void put_fail(struct mu_buf *out, uint32_t fail)
{
    uint8_t p[5] = {0};
    size_t n = 1;
    int bit;

    for (bit = 0; bit < 32; bit++) {
        if ((fail & UINT32_C(1) << bit) == 0)
            continue;
        p[1 + bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        n = 2 + (size_t)bit / 8;
        p[0] = (uint8_t)(7 - bit % 8);
    }
    mu_der_put(out, MU_DER_BIT_STRING, mu_bytes(p, n));
}

void mu_cmp_status_put(struct mu_buf *out, const struct mu_cmp_status *s)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put_int(out, s->status);
    if (s->text.n != 0)
        mu_der_put(out, MU_DER_SEQUENCE, s->text);
    if (s->has_fail)
        put_fail(out, s->fail);
    mu_der_close(out, mark);
}

bool mu_cmp_text_format(struct mu_bytes free_text, struct mu_buf *out)
{
    struct mu_bytes in = free_text;
    struct mu_der el;
    size_t before = out->n;

    while (in.n != 0 && mu_der_get(&in, MU_DER_UTF8_STRING, &el)) {
        if (el.value.n == 0)
            continue;
        if (out->n != before)
            mu_buf_put_str(out, "; ");
        mu_text_escape(out, el.value, 300);
    }
    return out->n != before;
}

void mu_cmp_text_put(struct mu_buf *out, const char *utf8)
{
    mu_der_put(out, MU_DER_UTF8_STRING, mu_bytes_str(utf8));
}
