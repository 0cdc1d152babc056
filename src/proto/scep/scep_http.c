/* SCEP in HTTP: what the client asks for, and what a server makes of what clients really send. */
#include "proto/scep/scep_http.h"

#include "base/limits.h"
#include "base/text.h"

static const char *const words[] = {
    [MU_SCEP_HTTP_CAPS] = "GetCACaps",
    [MU_SCEP_HTTP_CA_CERT] = "GetCACert",
    [MU_SCEP_HTTP_NEXT_CA] = "GetNextCACert",
    [MU_SCEP_HTTP_PKI_OPERATION] = "PKIOperation",
};

enum { CA_IDENTIFIER_MAX = 1024 };

enum mu_code mu_scep_http_url(const char *url, enum mu_scep_http_op op, const char *ca_identifier,
    struct mu_bytes get_message, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf text = {.max = 2 * MU_LIMIT_MESSAGE};
    enum mu_code rc;

    mu_buf_putf(out, "%s%soperation=%s", url, strchr(url, '?') != NULL ? "&" : "?", words[op]);
    if (op == MU_SCEP_HTTP_PKI_OPERATION) {
        if (get_message.n != 0) {
            mu_text_base64(&text, get_message, 0);
            mu_buf_put_str(out, "&message=");
            mu_http_percent_encode(out, mu_buf_bytes(&text));
        }
    } else if (ca_identifier != NULL && ca_identifier[0] != '\0') {
        mu_buf_put_str(out, "&message=");
        mu_http_percent_encode(out, mu_bytes_str(ca_identifier));
    }
    rc = mu_buf_check(&text, "SCEP message in a URL", err);
    if (rc == MU_OK)
        rc = mu_buf_check(out, "SCEP URL", err);
    mu_buf_clear(&text);
    return rc;
}

/* The operation's word in the query; false if there is none, or none that is known. */
static bool query_op(const char *target, enum mu_scep_http_op *op)
{
    struct mu_buf word = {.max = 64};
    struct mu_bytes raw;
    bool found = false;
    size_t i;

    if (mu_http_query_get(target, "operation", &raw) && mu_http_percent_decode(&word, raw)) {
        for (i = 0; i < sizeof words / sizeof words[0] && !found; i++) {
            found = mu_text_equal_nocase(mu_buf_str(&word), words[i]);
            if (found)
                *op = (enum mu_scep_http_op)i;
        }
    }
    mu_buf_clear(&word);
    return found;
}

/* Base64 as it stands in a query. A blank is a '+' that somebody decoded as a form (IOP-02);
 * line breaks are skipped by the decoder (IOP-01). */
static enum mu_code get_message(struct mu_bytes raw, struct mu_buf *message, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_HEADERS};
    enum mu_code rc;
    size_t i;

    mu_http_percent_decode(&text, raw);
    rc = mu_buf_check(&text, "message of a GET", err);
    if (rc != MU_OK)
        goto out;
    for (i = 0; i < text.n; i++) {
        if (text.p[i] == ' ')
            text.p[i] = '+';
    }
    rc = mu_text_unbase64(mu_buf_bytes(&text), message, err);
    if (rc != MU_OK)
        rc = mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: message= of PKIOperation is no base64 (RFC 8894 4.1)");
out:
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code from_get(const char *target, enum mu_scep_http_op *op,
    struct mu_buf *ca_identifier, struct mu_buf *message, struct mu_err *err)
{
    struct mu_bytes raw;
    bool has_message;

    if (!query_op(target, op))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: the URL names no known operation (RFC 8894 4.1)");
    has_message = mu_http_query_get(target, "message", &raw);
    if (*op == MU_SCEP_HTTP_PKI_OPERATION) {
        if (!has_message || raw.n == 0)
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "scep: PKIOperation by GET without message= (RFC 8894 4.1)");
        return get_message(raw, message, err);
    }
    /* SCEP-12: no request data; at most the name of a CA. */
    if (has_message && raw.n <= CA_IDENTIFIER_MAX)
        mu_http_percent_decode(ca_identifier, raw);
    return mu_buf_check(ca_identifier, "CA identifier", err);
}

enum mu_code mu_scep_http_request(const struct mu_http_request *request, enum mu_scep_http_op *op,
    struct mu_buf *ca_identifier, struct mu_buf *message, struct mu_err *err)
{
    if (mu_text_equal_nocase(request->method, "GET"))
        return from_get(request->target, op, ca_identifier, message, err);
    if (!mu_text_equal_nocase(request->method, "POST"))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
            "scep: only GET and POST are served (RFC 8894 4.1)");
    if (request->body.n == 0)
        return mu_err_set(
            err, MU_INPUT, MU_REFUSE_MALFORMED, "scep: POST without a body (RFC 8894 4.3)");
    if (request->body.n > MU_LIMIT_MESSAGE)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: the message has %zu bytes, at most %d are taken", request->body.n,
            MU_LIMIT_MESSAGE);
    mu_buf_put_bytes(message, request->body);
    if (mu_buf_check(message, "SCEP message", err) != MU_OK)
        return MU_MEMORY;
    *op = MU_SCEP_HTTP_PKI_OPERATION;
    return MU_OK;
}

bool mu_scep_http_is(const struct mu_http_request *request)
{
    enum mu_scep_http_op op;
    const char *type;

    if (query_op(request->target, &op))
        return true;
    type = mu_http_header_get(request->headers, request->header_n, "Content-Type");
    return mu_text_equal_nocase(request->method, "POST") && type != NULL
        && mu_http_media_is(type, MU_SCEP_MEDIA_MESSAGE);
}
