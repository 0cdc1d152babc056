/* PEM armor: blocks out of a text, and into one. */
#include "pki/pki_pem.h"

#include "base/der.h"
#include "base/text.h"

static const char begin_mark[] = "-----BEGIN ";
static const char end_mark[] = "-----END ";
static const char dashes[] = "-----";

bool mu_pki_pem_put(struct mu_buf *out, const char *label, struct mu_bytes der)
{
    mu_buf_putf(out, "-----BEGIN %s-----\n", label);
    mu_text_base64(out, der, 64);
    return mu_buf_putf(out, "-----END %s-----\n", label) && !out->failed;
}

static const uint8_t *find(struct mu_bytes in, const char *what)
{
    return in.n ? memmem(in.p, in.n, what, strlen(what)) : NULL;
}

static struct mu_bytes from(struct mu_bytes in, const uint8_t *p)
{
    return mu_bytes(p, in.n - (size_t)(p - in.p));
}

bool mu_pki_pem_is(struct mu_bytes text)
{
    /* DER of more than 127 octets, or BER: no text has an octet like that behind a '0'. What looks
     * like PEM inside is somebody's words. */
    if (text.n > 1 && text.p[0] == MU_DER_SEQUENCE && text.p[1] >= 0x80)
        return false;
    return find(text, begin_mark) != NULL;
}

/* Drops "Name: value" lines and the blank line behind them. */
static struct mu_bytes without_headers(struct mu_bytes body)
{
    const uint8_t *colon = memchr(body.p, ':', body.n);
    if (!colon)
        return body;
    struct mu_bytes rest = from(body, colon);
    const uint8_t *lf = find(rest, "\n\n");
    const uint8_t *crlf = find(rest, "\r\n\r\n");
    if (lf && (!crlf || lf < crlf))
        return from(rest, lf + 2);
    return crlf ? from(rest, crlf + 4) : body;
}

bool mu_pki_pem_next(struct mu_bytes *text, struct mu_bytes *label, struct mu_buf *der, bool *bad)
{
    *bad = false;
    const uint8_t *begin = find(*text, begin_mark);
    if (!begin)
        return false;
    struct mu_bytes in = from(*text, begin + strlen(begin_mark));
    const uint8_t *label_end = find(in, dashes);
    const uint8_t *line_end = memchr(in.p, '\n', in.n);
    if (!label_end || !line_end || line_end < label_end) {
        *bad = true;
        return false;
    }
    struct mu_bytes name = mu_bytes(in.p, (size_t)(label_end - in.p));
    in = from(in, line_end + 1);
    const uint8_t *end = find(in, end_mark);
    if (!end) {
        *bad = true;
        return false;
    }
    mu_buf_reset(der);
    struct mu_bytes body = without_headers(mu_bytes(in.p, (size_t)(end - in.p)));
    in = from(in, end + strlen(end_mark));
    /* The END line must name the same thing: two files pasted into one another do not pass. */
    if (in.n < name.n + strlen(dashes) || memcmp(in.p, name.p, name.n) != 0
        || memcmp(in.p + name.n, dashes, strlen(dashes)) != 0
        || mu_text_unbase64(body, der, NULL) != MU_OK) {
        *bad = true;
        return false;
    }
    *text = mu_bytes(in.p + name.n + strlen(dashes), in.n - name.n - strlen(dashes));
    *label = name;
    return true;
}
