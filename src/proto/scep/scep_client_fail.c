/* What to tell people when the server does not give what was asked: HTTP errors, web pages, and
 * the reasons of a FAILURE with their likely causes. failInfoText is shown and searched for hints,
 * but no state of the protocol follows from it (SCEP-42). */
#include <stdio.h>

#include "base/text.h"
#include "base/time.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_client_internal.h"

enum { DAY_S = 86400 };

enum mu_code mu_scep_client_fail_http(const struct mu_scep_client *c,
    const struct mu_http_response *response, const char *asked, struct mu_err *err)
{
    bool by_get = !c->use_post && !c->post_after_get && c->state == MU_SCEP_CLIENT_SENT;
    int status = response->status;
    const char *to;
    char shown[200];

    if ((status == 400 && by_get) || c->get_was_garbled)
        return mu_err_set(err, MU_NETWORK, MU_M(319),
            "scep: the server could not decode our GET (RFC 8894 4.1): HTTP %d%s", status,
            c->get_was_garbled ? " to the POST after it" : "");
    if (status == 414 || c->post_after_get)
        return mu_err_set(err, MU_NETWORK, MU_M(108),
            "scep: the server finds the request line too long (414)%s",
            c->post_after_get ? ", and POST was refused as well" : "");
    if (status >= 300 && status < 400) {
        to = mu_http_header_get(response->headers, response->header_n, "Location");
        return mu_err_set(err, MU_INPUT, MU_M(107), "scep: %s redirects to %s", c->config.url,
            to != NULL ? mu_text_escape_to(shown, sizeof shown, mu_bytes_str(to)) : "nowhere");
    }
    mu_err_set(err, status >= 500 || status == 429 ? MU_NETWORK : MU_NOT_FOUND, MU_M(304),
        "scep: SCEP is not served at %s (%s: HTTP %d)", c->config.url, asked, status);
    if (c->state == MU_SCEP_CLIENT_SENT) {
        mu_err_likely(err, "The server failed; some do so instead of refusing, for instance at "
                           "a wrong challenge password.");
        mu_err_next(err, "Ask for the server's log of transaction %s.", c->transaction_id);
    } else if (c->config.ca_identifier == NULL) {
        mu_err_likely(err, "Switched off; wrong path; or the server needs a CA identifier.");
    }
    return status >= 500 || status == 429 ? MU_NETWORK : MU_NOT_FOUND;
}

enum mu_code mu_scep_client_fail_page(
    const struct mu_http_response *response, const char *asked, struct mu_err *err)
{
    const char *text = mu_buf_str(&response->body);
    const char *title = strcasestr(text, "<title>"), *end;
    char shown[120] = "";

    text += strspn(text, " \t\r\n\xef\xbb\xbf");
    if (strncasecmp(text, "<!doctype", 9) != 0 && strncasecmp(text, "<html", 5) != 0)
        return MU_OK;
    if (title != NULL) {
        title += strlen("<title>");
        end = strchr(title, '<');
        mu_text_escape_to(shown, sizeof shown,
            mu_bytes(title, end != NULL ? (size_t)(end - title) : strlen(title)));
    }
    return mu_err_set(err, MU_NETWORK, MU_M(105),
        "scep: the answer to %s is a web page (\"%s\")", asked, shown);
}

enum mu_code mu_scep_client_fail_pending(const struct mu_scep_client *c, struct mu_err *err)
{
    return mu_err_set(err, MU_PENDING, MU_M(313),
        "scep: still pending after %lld %s and %u poll%s, stopped asking (transaction %s)",
        (long long)(c->waited_s % 60 == 0 ? c->waited_s / 60 : c->waited_s),
        c->waited_s % 60 == 0 ? "min" : "s", c->polls, c->polls == 1 ? "" : "s",
        c->transaction_id);
}

/* Words in the CA's text that hint at a row of the catalog. The first that fits counts. */
static const struct { const char *word; int m; } hints[] = {
    {"request is revoked", 608},
    {"has been revoked", 608},
    {"certificate revoked", 608},
    {"too early", 314},
    {"renewal allowed from", 314},
    {"not yet", 314},
    {"challenge", 311},
    {"password", 311},
    {"passphrase", 311},
    {"secret", 311},
    {"subject differs", 315},
    {"subject does not match", 315},
    {"subject mismatch", 315},
    {"different subject", 315},
    {"already", 316},
    {"too many live", 316},
    {"exists", 316},
    {"duplicate", 316},
};

static int hint(const char *text)
{
    size_t i;

    for (i = 0; text != NULL && i < sizeof hints / sizeof hints[0]; i++) {
        if (strcasestr(text, hints[i].word) != NULL)
            return hints[i].m;
    }
    return 312;
}

/* One cause behind the other, numbered. */
static void add_cause(struct mu_buf *b, unsigned *n, const char *cause)
{
    mu_buf_putf(b, "%s%u. %s", *n != 0 ? "; " : "", *n + 1, cause);
    (*n)++;
}

/* M312: what is likely, best match first, as far as it can be checked here. */
static void rank_causes(const struct mu_scep_client *c, struct mu_err *err)
{
    const struct mu_pki_cert *old = c->config.signer_cert;
    struct mu_buf b = {.max = 2048};
    char early[80];
    unsigned n = 0;
    int64_t left_s;

    if (old != NULL && c->csr != NULL) {
        left_s = old->not_after_s - mu_env_now(c->config.env);
        if (!mu_pki_name_equal(old->subject, c->csr->subject))
            add_cause(&b, &n, "the subject differs from the current certificate (checked: it does)");
        snprintf(early, sizeof early, "too early: %lld days left", (long long)(left_s / DAY_S));
        add_cause(&b, &n, left_s <= 0 ? "the current certificate has expired" : early);
        if (!c->config.has_challenge)
            add_cause(&b, &n, "this CA wants the challenge password again on renewal");
        add_cause(&b, &n, "it allows one certificate per subject");
    } else {
        add_cause(&b, &n, c->config.has_challenge
                ? "the challenge password is wrong, used or expired"
                : "this CA wants a challenge password");
        add_cause(&b, &n, "there is a request or certificate for this subject already");
        add_cause(&b, &n, "the subject or key is not what the CA allows");
    }
    mu_err_likely(err, "%s", mu_buf_str(&b));
    mu_buf_clear(&b);
}

static void advise_log(const struct mu_scep_client *c, struct mu_err *err)
{
    char when[MU_TIME_TEXT];

    mu_err_next(err, "Ask the CA for its log of transaction %s at %s.", c->transaction_id,
        mu_time_plain(mu_env_now(c->config.env), when));
}

static enum mu_code bad_request(
    const struct mu_scep_client *c, const char *text, const char *word, struct mu_err *err)
{
    const char *what = c->config.signer_cert != NULL ? "renewal" : "request";
    int m = hint(text);

    if (text == NULL) {
        mu_err_set(err, MU_DENIED, MU_M(312), "scep: the CA refused the %s and gave no reason (%s)",
            what, word);
        rank_causes(c, err);
    } else {
        mu_err_set(err, MU_DENIED, MU_M(m), "scep: the CA refused the %s: \"%s\" (%s)", what, text,
            word);
        if (m == 312)
            mu_err_likely(err, "See the words of the CA.");
    }
    if (m == 312)
        advise_log(c, err);
    return MU_DENIED;
}

static enum mu_code bad_message(
    const struct mu_scep_client *c, const char *text, struct mu_err *err)
{
    const struct mu_pki_cert *used = c->ra_encrypt != NULL ? c->ra_encrypt : c->ca;
    struct mu_buf list = {.max = 2048};
    char name[MU_SCEP_NAME_TEXT];
    size_t i;

    mu_err_set(err, MU_DENIED, MU_M(302),
        "scep: the responder could not read our message (badMessageCheck%s%s)",
        text != NULL ? ": " : "", text != NULL ? text : "");
    for (i = 0; i < c->ca_certs.n; i++)
        mu_buf_putf(&list, "%s\"%s\"", i != 0 ? ", " : "",
            mu_scep_client_name(c->ca_certs.v[i]->subject, true, name));
    mu_err_next(err, "Used \"%s\"; candidates: %.200s: set ra-cert.",
        mu_scep_client_name(used->subject, true, name), mu_buf_str(&list));
    mu_buf_clear(&list);
    return MU_DENIED;
}

static enum mu_code bad_alg(const struct mu_scep_client *c, const char *text, struct mu_err *err)
{
    struct mu_buf offered = {.max = 1024};
    bool is_rsa = mu_pki_key_can_encrypt(mu_scep_client_signer_key(c));

    mu_scep_caps_line(c->caps, &offered);
    if (!is_rsa)
        mu_err_set(err, MU_DENIED, MU_M(305),
            "scep: this SCEP server needs an RSA key (badAlg%s%s)", text != NULL ? ": " : "",
            text != NULL ? text : "");
    else
        mu_err_set(err, MU_DENIED, MU_M(303),
            "scep: the CA refused %s and %s (offered: %s; badAlg%s%s)",
            mu_pki_cipher_title(c->cipher), mu_pki_digest_title(c->digest),
            offered.n != 0 ? mu_buf_str(&offered) : "none", text != NULL ? ": " : "",
            text != NULL ? text : "");
    mu_buf_clear(&offered);
    return MU_DENIED;
}

static enum mu_code bad_time(const struct mu_scep_client *c, const char *text, struct mu_err *err)
{
    int64_t off_s = c->server_date_s - mu_env_now(c->config.env);

    mu_err_set(err, MU_DENIED, MU_M(317), "scep: the message time is off (badTime%s%s)",
        text != NULL ? ": " : "", text != NULL ? text : "");
    if (c->server_date_s != 0)
        mu_err_likely(err, "Clock differs by %lld s from the server's.", (long long)off_s);
    return MU_DENIED;
}

static enum mu_code refused(const struct mu_scep_client *c, const struct mu_scep_msg *msg,
    const char *text, struct mu_err *err)
{
    switch (msg->fail_info) {
    case MU_SCEP_BAD_ALG:
        return bad_alg(c, text, err);
    case MU_SCEP_BAD_MESSAGE_CHECK:
        return bad_message(c, text, err);
    case MU_SCEP_BAD_TIME:
        return bad_time(c, text, err);
    case MU_SCEP_BAD_CERT_ID:
        return mu_err_set(err, MU_DENIED, MU_M(318),
            "scep: the CA has no such request or certificate (badCertId%s%s)",
            text != NULL ? ": " : "", text != NULL ? text : "");
    case MU_SCEP_BAD_REQUEST:
        return bad_request(c, text, "badRequest", err);
    default:
        return bad_request(c, text, "no failInfo", err);
    }
}

enum mu_code mu_scep_client_fail_refused(
    const struct mu_scep_client *c, const struct mu_scep_msg *msg, struct mu_err *err)
{
    const char *text = msg->fail_info_text;
    enum mu_code rc;

    if (text != NULL && text[0] == '\0')
        text = NULL;
    rc = refused(c, msg, text, err);
    mu_err_said(err, text);
    return rc;
}
