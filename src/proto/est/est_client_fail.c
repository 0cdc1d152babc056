/* What to tell people when the server does not give what was asked: HTTP errors with the server's
 * words, web pages, and what of it has a row in the catalog. */
#include <stdio.h>

#include "base/text.h"
#include "proto/est/est_auth.h"
#include "proto/est/est_client_internal.h"

enum { WORDS = 240 };

/* The server's own words, on one line, escaped; "" if there are none that people could read. */
static void words_of(const struct mu_http_response *response, char out[WORDS])
{
    const char *type
        = mu_http_header_get(response->headers, response->header_n, "Content-Type");
    const char *text = mu_buf_str(&response->body);
    size_t n;

    out[0] = '\0';
    text += strspn(text, " \t\r\n");
    n = strcspn(text, "\r\n");
    if (n == 0 || text[0] == '<' || !mu_text_is_utf8(mu_bytes(text, n))
        || (type != NULL && !mu_text_starts(type, "text/")))
        return;
    mu_text_escape_to(out, WORDS, mu_bytes(text, n));
}

static bool says(const char *words, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcasestr(words, *list) != NULL)
            return true;
    }
    return false;
}

/* Words by which servers tell that the linked proof was the cause (IOP-27). */
static const char *const link_words[] = {"linked", "linking", "channel binding", "tls-unique",
    "tls unique", "tls-exporter", "challengepassword", "challenge password", "proof-of-possession",
    "proof of possession", NULL};
static const char *const revoked_words[] = {"request is revoked", "has been revoked", "certificate revoked", NULL};
static const char *const early_words[] = {"too early", "renewal allowed from", "not yet", NULL};
static const char *const other_faults[] = {"unknown ca", "expired", "revoked", NULL}; /* in an alert */
static const char *const subject_words[] = {"subject differs", "subject does not match", NULL};

static enum mu_code fail_auth(struct mu_est_client *c, const struct mu_http_response *response,
    const char *words, struct mu_err *err)
{
    const struct mu_est_client_config *config = &c->config;
    struct mu_buf schemes = {.max = 512};

    mu_est_auth_schemes(response, &schemes);
    if (config->user == NULL && config->client_cert != NULL)
        mu_err_set(err, MU_DENIED, MU_M(406),
            "est: the certificate %s was not accepted as TLS client (401)%s%s%s",
            config->client_cert, words[0] != '\0' ? ": \"" : "", words,
            words[0] != '\0' ? "\"" : "");
    else if (config->user == NULL)
        mu_err_set(err, MU_DENIED, MU_M(403), "est: the server wants a user and password (401)");
    else
        mu_err_set(err, MU_DENIED, MU_M(403), "est: user or password refused (401)%s%s%s",
            words[0] != '\0' ? ": \"" : "", words, words[0] != '\0' ? "\"" : "");
    if (err == NULL || err->reason != MU_M(406) || schemes.n != 0)
        mu_err_next(err, "The server offers %s.",
            schemes.n != 0 ? mu_buf_str(&schemes) : "no way to authenticate by HTTP");
    mu_buf_clear(&schemes);
    return MU_DENIED;
}

static enum mu_code fail_busy(struct mu_est_client *c, const struct mu_http_response *response,
    const char *words, struct mu_err *err)
{
    const char *after
        = mu_http_header_get(response->headers, response->header_n, "Retry-After");
    char shown[64];

    mu_err_set(err, MU_NETWORK, MU_M(405), "est: the server is busy or broken (%s: HTTP %d)%s%s%s",
        mu_est_http_op_name(c->op), response->status, words[0] != '\0' ? ": \"" : "", words,
        words[0] != '\0' ? "\"" : "");
    if (after != NULL)
        mu_err_next(err, "The server says: try again after %s.",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(after)));
    return MU_NETWORK;
}

static enum mu_code fail_link(struct mu_est_client *c, const struct mu_http_response *response,
    const char *words, struct mu_err *err)
{
    c->wants_tls12 = c->by_exporter;
    mu_err_set(err, MU_DENIED, MU_M(407), "est: the proof linked to the TLS session failed (%d): \"%s\"",
        response->status, words);
    if (c->by_exporter)
        mu_err_likely(err, "A proxy breaks TLS; or the server knows linking under TLS 1.2 only.");
    return MU_DENIED;
}

/* 400, 403 and the like to a POST: understood and refused. */
static enum mu_code fail_refused(struct mu_est_client *c, const struct mu_http_response *response,
    const char *words, struct mu_err *err)
{
    const struct mu_est_client_config *config = &c->config;
    int m = says(words, early_words) ? 314
        : says(words, subject_words) ? 315
        : says(words, revoked_words) ? 608
                                     : 409;

    if ((c->linked && (says(words, link_words) || words[0] == '\0'))
        || (!c->linked && c->attrs.link && says(words, link_words)))
        return fail_link(c, response, words, err);
    if (response->status == 403 && config->client_cert != NULL && config->client_cert_lacks_eku
        && m == 409) {
        mu_err_set(err, MU_DENIED, MU_M(406),
            "est: the certificate %s was not accepted as TLS client (403)%s%s%s",
            config->client_cert, words[0] != '\0' ? ": \"" : "", words,
            words[0] != '\0' ? "\"" : "");
        return MU_DENIED;
    }
    if (words[0] == '\0')
        mu_err_set(err, MU_DENIED, MU_M(409),
            "est: the request was refused (%d), the server does not say why", response->status);
    else
        mu_err_set(err, MU_DENIED, MU_M(m), "est: the request was refused (%d): \"%s\"",
            response->status, words);
    return MU_DENIED;
}

static enum mu_code fail_missing(struct mu_est_client *c, const struct mu_http_response *response,
    const char *words, struct mu_err *err)
{
    const char *label = c->config.label;

    if (c->op == MU_EST_SERVERKEYGEN)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "est: this server makes no keys (serverkeygen: HTTP %d, RFC 7030 4.4)", response->status);
    if (response->status == 501 || response->status == 405)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "est: the server does not know %s (HTTP %d)%s%s%s", mu_est_http_op_name(c->op),
            response->status, words[0] != '\0' ? ": \"" : "", words, words[0] != '\0' ? "\"" : "");
    mu_err_set(err, MU_NOT_FOUND, MU_M(401), "est: there is no EST at %s (%s: HTTP %d)",
        mu_buf_str(&c->url), mu_est_http_op_name(c->op), response->status);
    if (label == NULL || label[0] == '\0')
        mu_err_likely(err, "Wrong path; or the server needs a CA identifier.");
    return MU_NOT_FOUND;
}

static enum mu_code fail_redirect(struct mu_est_client *c, const struct mu_http_response *response,
    struct mu_err *err)
{
    const char *to = mu_http_header_get(response->headers, response->header_n, "Location");
    char shown[200];

    return mu_err_set(err, MU_INPUT, MU_M(107), "est: %s redirects to %s (RFC 7030 3.2.1)",
        mu_buf_str(&c->url),
        to != NULL ? mu_text_escape_to(shown, sizeof shown, mu_bytes_str(to)) : "nowhere");
}

static enum mu_code fail_status(struct mu_est_client *c, const struct mu_http_response *response,
    const char *words, struct mu_err *err)
{
    int status = response->status;

    if (status >= 300 && status < 400)
        return fail_redirect(c, response, err);
    if (status == 401)
        return fail_auth(c, response, words, err);
    if (status == 404 || status == 405 || status == 410 || status == 501)
        return fail_missing(c, response, words, err);
    if (status >= 500 || status == 408 || status == 429)
        return fail_busy(c, response, words, err);
    if (status >= 400)
        return fail_refused(c, response, words, err);
    return mu_err_set(err, MU_INPUT, MU_M(405),
        "est: %s was answered by HTTP %d, which says nothing here (RFC 7030 4.1.3, 4.2.3)",
        mu_est_http_op_name(c->op), status);
}

enum mu_code mu_est_client_fail_http(
    struct mu_est_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    char words[WORDS];
    enum mu_code rc;

    words_of(response, words);
    if (words[0] != '\0')
        mu_est_client_trace(c, MU_TRACE_REPLY, "HTTP %d: %s", response->status, words);
    rc = fail_status(c, response, words, err);
    mu_err_said(err, words);
    return rc;
}

enum mu_code mu_est_client_fail_page(
    const struct mu_est_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    const char *text = mu_buf_str(&response->body);
    const char *title = strcasestr(text, "<title>"), *end;
    char shown[120] = "", begins[4 * 200 + 1];
    size_t n = response->body.n < 200 ? response->body.n : 200;

    text += strspn(text, " \t\r\n\xef\xbb\xbf");
    if (strncasecmp(text, "<!doctype", 9) != 0 && strncasecmp(text, "<html", 5) != 0)
        return MU_OK;
    if (title != NULL) {
        title += strlen("<title>");
        end = strchr(title, '<');
        mu_text_escape_to(shown, sizeof shown,
            mu_bytes(title, end != NULL ? (size_t)(end - title) : strlen(title)));
    }
    mu_est_client_trace(c, MU_TRACE_REPLY, "no answer of EST, it begins: %s",
        mu_text_escape_to(begins, sizeof begins, mu_bytes(response->body.p, n)));
    return mu_err_set(err, MU_NETWORK, MU_M(105), "est: the answer to %s is a web page (\"%s\")",
        mu_est_http_op_name(c->op), shown);
}

enum mu_code mu_est_client_fail_pending(const struct mu_est_client *c, struct mu_err *err)
{
    return mu_err_set(err, MU_PENDING, MU_M(313),
        "est: still pending after %lld %s and %u poll%s, stopped asking",
        (long long)(c->waited_s % 60 == 0 ? c->waited_s / 60 : c->waited_s),
        c->waited_s % 60 == 0 ? "min" : "s", c->polls, c->polls == 1 ? "" : "s");
}

enum mu_code mu_est_client_fail_send(
    const struct mu_est_client *c, const struct mu_err *failed, struct mu_err *err)
{
    enum mu_code rc = failed != NULL && failed->code != MU_OK ? failed->code : MU_NETWORK;

    if (c->op == MU_EST_CACERTS)
        mu_est_client_trace(c, MU_TRACE_CA, "getting the CA certificates failed: %s",
            failed != NULL ? failed->what : "not sent");
    if (failed == NULL)
        return mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "est: the request could not be sent");
    if (err != NULL)
        *err = *failed;
    /* M406 says more than the alert, unless that names another fault: what the certificate lacks is known
     * here (E101). */
    if (failed->reason == MU_M(207) && c->config.client_cert != NULL
        && c->config.client_cert_lacks_eku && !says(failed->what, other_faults) && err != NULL) {
        err->likely[0] = err->next[0] = '\0';
        mu_err_narrow(err, MU_M(406));
        mu_err_context(err, "est: the certificate %s was not accepted as TLS client",
            c->config.client_cert);
    }
    return rc;
}
