/* What to tell people when the responder does not give what was asked. */
#include <stdio.h>

#include "base/text.h"
#include "base/time.h"
#include "proto/cmp/cmp_client_internal.h"

enum mu_code mu_cmp_client_fail_http(
    const struct mu_cmp_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    const char *url = mu_buf_str(&c->url), *text = mu_buf_str(&response->body), *to, *title, *end;
    char shown[160] = "";
    int status = response->status;

    if (status >= 300 && status < 400) { /* CMP-119 */
        to = mu_http_header_get(response->headers, response->header_n, "Location");
        return mu_err_set(err, MU_INPUT, MU_M(107), "cmp: %s redirects to %s", url,
            to != NULL ? mu_text_escape_to(shown, sizeof shown, mu_bytes_str(to)) : "nowhere");
    }
    text += strspn(text, " \t\r\n\xef\xbb\xbf");
    if (status == 200 && (strncasecmp(text, "<!doctype", 9) == 0 || strncasecmp(text, "<html", 5) == 0)) {
        title = strcasestr(text, "<title>");
        if (title != NULL) {
            title += strlen("<title>");
            end = strchr(title, '<');
            mu_text_escape_to(shown, sizeof shown,
                mu_bytes(title, end != NULL ? (size_t)(end - title) : strlen(title)));
        }
        return mu_err_set(err, MU_NETWORK, MU_M(105), "cmp: the answer is a web page (\"%s\")", shown);
    }
    if (status == 200)
        return mu_err_set(err, MU_NOT_FOUND, MU_M(504),
            "cmp: CMP is not served at %s (HTTP 200, but the answer of %zu bytes is no PKIMessage)",
            url, response->body.n);
    return mu_err_set(err, status >= 500 || status == 429 ? MU_NETWORK : MU_NOT_FOUND, MU_M(504),
        "cmp: CMP is not served at %s (HTTP %d)", url, status);
}

enum mu_code mu_cmp_client_fail_mac(const struct mu_cmp_client *c, struct mu_err *err)
{
    char ref[120];

    mu_err_set(err, MU_AUTH, MU_M(502), "cmp: protection check failed (MAC)");
    mu_err_next(err, "Check ref %s; the file had %zu bytes; mac = pbm for old servers.",
        mu_text_escape_to(ref, sizeof ref, mu_bytes_str(c->config.ref)), c->secret.n);
    return MU_AUTH;
}

enum mu_code mu_cmp_client_fail_pending(const struct mu_cmp_client *c, struct mu_err *err)
{
    return mu_err_set(err, MU_PENDING, MU_M(313),
        "cmp: still pending after %lld %s and %u poll%s, stopped asking (transaction %s)",
        (long long)(c->waited_s % 60 == 0 ? c->waited_s / 60 : c->waited_s),
        c->waited_s % 60 == 0 ? "min" : "s", c->polls, c->polls == 1 ? "" : "s",
        c->transaction_hex);
}

/* Words of the CA that hint at a row of the catalog; no state of the protocol follows from them. */
static const struct { const char *word; int m; } hints[] = {
    {"enrollment not found", 505},
    {"request is revoked", 608},
    {"has been revoked", 608},
    {"renewal allowed from", 314},
    {"too early", 314},
    {"subject differs", 315},
    {"too many live", 316},
};

static int hint(const struct mu_cmp_client *c)
{
    size_t i;

    for (i = 0; c->refusal_text != NULL && i < sizeof hints / sizeof hints[0]; i++) {
        if (strcasestr(c->refusal_text, hints[i].word) != NULL)
            return hints[i].m;
    }
    if (c->fail_bit == MU_CMP_BAD_MESSAGE_CHECK && mu_cmp_client_by_mac(c))
        return 502;
    if (c->fail_bit == MU_CMP_BAD_TIME)
        return 317;
    return 0;
}

static enum mu_code refused(
    struct mu_cmp_client *c, const struct mu_cmp_status *status, struct mu_err *err)
{
    const char *what = c->config.op == MU_CMP_CLIENT_KUR ? "renewal"
        : c->config.op == MU_CMP_CLIENT_RR               ? "revocation"
                                                         : "request";
    char when[MU_TIME_TEXT], ref[120];
    int m = hint(c);

    if (m == 505) {
        mu_err_set(err, MU_DENIED, MU_M(505), "cmp: Enrollment not found.");
        if (c->config.ref != NULL)
            mu_err_next(err, "Ask the operator to create %s.",
                mu_text_escape_to(ref, sizeof ref, mu_bytes_str(c->config.ref)));
        return MU_DENIED;
    }
    if (m == 502) {
        mu_cmp_client_fail_mac(c, err);
        mu_err_context(err, "cmp: the responder says badMessageCheck");
        return MU_AUTH;
    }
    mu_err_set(err, MU_DENIED, m != 0 ? MU_M(m) : MU_REASON_NONE,
        "cmp: the CA refused the %s%s%s%s (%s)", what, c->refusal_text != NULL ? ": \"" : "",
        c->refusal_text != NULL ? c->refusal_text : " and gave no reason",
        c->refusal_text != NULL ? "\"" : "",
        c->fail_bit >= 0 ? mu_cmp_fail_name(c->fail_bit) : mu_cmp_status_name(status->status));
    if (m == 0 && c->fail_bit == MU_CMP_BAD_ALG && c->config.central_keygen && !mu_cmp_client_by_mac(c)) {
        mu_err_likely(err, "The certificate that signs is for signatures only.");
        mu_err_next(err, "Sign with one of RSA with keyEncipherment or of EC with keyAgreement, or enroll anew by "
                         "reference and secret.");
    } else if (m == 0) {
        mu_err_likely(err, "See the words of the CA.");
        mu_err_next(err, "Ask the CA for its log of transaction %s at %s.", c->transaction_hex,
            mu_time_plain(mu_env_now(c->config.env), when));
    }
    return MU_DENIED;
}

enum mu_code mu_cmp_client_fail_refused(
    struct mu_cmp_client *c, const struct mu_cmp_status *status, struct mu_err *err)
{
    enum mu_code rc = refused(c, status, err);

    mu_err_said(err, c->refusal_text);
    return rc;
}
