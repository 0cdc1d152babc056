/* Bodies of EST: see est_body.h. Whatever a Content-Transfer-Encoding says, nobody here asks it
 * (RFC 8951 3). */
#include "proto/est/est_body.h"

#include "base/der.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_pem.h"

bool mu_est_body_encode(struct mu_buf *out, struct mu_bytes der, bool one_line)
{
    return mu_text_base64(out, der, one_line ? 0 : 64);
}

static struct mu_bytes without_blanks(struct mu_bytes in)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};

    if (in.n >= sizeof mark && memcmp(in.p, mark, sizeof mark) == 0)
        in = mu_bytes(in.p + sizeof mark, in.n - sizeof mark);
    while (in.n != 0 && strchr(" \t\r\n", in.p[0]) != NULL && in.p[0] != 0)
        in = mu_bytes(in.p + 1, in.n - 1);
    return in;
}

static enum mu_code from_pem(struct mu_bytes body, struct mu_buf *der, struct mu_err *err)
{
    struct mu_buf block = {.max = 0};
    struct mu_bytes label;
    bool bad, found;

    if (der->secret)
        mu_buf_init_secret(&block, MU_LIMIT_REPLY);
    else
        mu_buf_init(&block, MU_LIMIT_REPLY);
    found = mu_pki_pem_next(&body, &label, &block, &bad);
    if (found)
        mu_buf_put_bytes(der, mu_buf_bytes(&block));
    mu_buf_clear(&block);
    if (!found)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "est: the body begins like PEM and is damaged (RFC 8951 3)");
    return mu_buf_check(der, "body", err);
}

enum mu_code mu_est_body_decode(struct mu_bytes body, struct mu_buf *der, struct mu_err *err)
{
    struct mu_bytes text = without_blanks(body);
    size_t before = der->n;
    enum mu_code rc;

    if (text.n == 0)
        return mu_err_set(
            err, MU_INPUT, MU_REFUSE_MALFORMED, "est: the body is empty (RFC 8951 3)");
    if (body.n > MU_LIMIT_REPLY)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "est: the body has %zu bytes, at most %d are taken", body.n, MU_LIMIT_REPLY);
    if (body.p[0] == MU_DER_SEQUENCE) {
        /* No base64 of a SEQUENCE begins with '0': these are the octets themselves (IOP-22). */
        mu_buf_put_bytes(der, body);
        return mu_buf_check(der, "body", err);
    }
    if (mu_pki_pem_is(text)) {
        rc = from_pem(text, der, err);
    } else {
        rc = mu_text_unbase64(text, der, err);
        if (rc == MU_INPUT)
            rc = mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "est: the body is not base64 (RFC 8951 3)");
    }
    if (rc == MU_OK && (der->n == before || der->p[before] != MU_DER_SEQUENCE))
        rc = mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "est: the body holds no DER (RFC 8951 3)");
    return rc;
}
