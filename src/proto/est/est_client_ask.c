/* Requests out: URL, headers, authentication, polls; and the trace of the start. */
#include <stdio.h>

#include "base/text.h"
#include "base/time.h"
#include "http/http_url.h"
#include "proto/est/est_auth.h"
#include "proto/est/est_body.h"
#include "proto/est/est_client_internal.h"

enum { RETRY_AFTER_MAX_S = 30 * 86400 };

/* ---- the start ---- */

static const char *start_word(const struct mu_est_client *c)
{
    switch (c->config.op) {
    case MU_EST_CLIENT_CA:
        return "cacerts";
    case MU_EST_CLIENT_ATTRS:
        return "csrattrs";
    case MU_EST_CLIENT_KEYGEN:
        return "serverkeygen";
    case MU_EST_CLIENT_ENROLL:
        break;
    }
    return c->config.reenroll ? "reenroll" : "enroll";
}

static void trace_auth(const struct mu_est_client *c)
{
    const struct mu_est_client_config *config = &c->config;

    if (config->bootstrap) {
        mu_est_client_trace(c, MU_TRACE_AUTH, "none, the server has proved nothing yet");
        return;
    }
    if (config->user != NULL)
        mu_est_client_trace(c, MU_TRACE_AUTH, "HTTP user %s, password %s", config->user,
            mu_secret_is_set(&c->password) ? "*" : "none");
    if (config->srp_user != NULL)
        mu_est_client_trace(c, MU_TRACE_AUTH, "SRP user %s, password *", config->srp_user);
    if (config->client_cert == NULL)
        return;
    mu_est_client_trace(c, MU_TRACE_AUTH, "client certificate %s, tried", config->client_cert);
    if (config->client_cert_lacks_eku)
        mu_est_client_trace(c, MU_TRACE_AUTH,
            "warning: %s may lack the key usage for TLS client authentication",
            config->client_cert);
}

void mu_est_client_trace_start(const struct mu_est_client *c)
{
    const struct mu_est_client_config *config = &c->config;
    const char *server = config->server_cert != NULL ? config->server_cert : config->trusted_as;
    const char *issued = config->trusted_as != NULL ? config->trusted_as : server;

    if (config->entry != NULL)
        mu_est_client_trace(c, MU_TRACE_START, "%s for '%s'", start_word(c), config->entry);
    else
        mu_est_client_trace(c, MU_TRACE_START, "%s", start_word(c));
    if (config->reenroll)
        mu_est_client_trace(c, MU_TRACE_REQUEST, "settings taken from the store");
    if (config->bootstrap)
        mu_est_client_trace(
            c, MU_TRACE_TRUST, "none yet: TLS is not verified, only cacerts is asked for");
    else if (server == NULL)
        mu_est_client_trace(c, MU_TRACE_TRUST, "the CA store of the system for the server");
    else if (strcmp(server, issued) == 0)
        mu_est_client_trace(
            c, MU_TRACE_TRUST, "%s for the server and for issued certificates", server);
    else
        mu_est_client_trace(
            c, MU_TRACE_TRUST, "%s for the server, %s for issued certificates", server, issued);
    trace_auth(c);
}

/* ---- requests ---- */

/* Path and query of the URL that is asked for, for Digest. */
static const char *target_of(const struct mu_est_client *c)
{
    struct mu_http_url url;

    if (mu_http_url_parse(mu_buf_str(&c->url), NULL, &url, NULL) != MU_OK || url.path[0] == '\0')
        return "/";
    return url.path;
}

/* A POST brings the password with it, so that no 401 is needed first; a GET only where one came.
 * The challenge of Digest is answered until the server has a new one. */
static enum mu_code put_authorization(
    struct mu_est_client *c, const char *method, struct mu_err *err)
{
    bool is_post = strcmp(method, "POST") == 0;
    enum mu_code rc = MU_OK;

    mu_buf_reset(&c->authorization);
    c->used_basic = false;
    if (c->config.user == NULL || c->config.bootstrap || (!c->has_challenge && !is_post))
        return MU_OK;
    if (c->has_challenge) {
        rc = mu_est_auth_say(&c->challenge, ++c->nc, method, target_of(c), c->config.user,
            &c->password, c->config.env, &c->authorization, err);
        c->used_basic = c->challenge.scheme == MU_HTTP_SCHEME_BASIC;
    } else if (strchr(c->config.user, ':') == NULL) {
        rc = mu_est_auth_basic(c->config.user, &c->password, &c->authorization, err);
        c->used_basic = true;
    }
    return rc;
}

/* c->url, c->body and method to a step. */
static enum mu_code put_request(struct mu_est_client *c, const char *method,
    enum mu_est_client_state state, struct mu_step *next, struct mu_err *err)
{
    bool is_post = strcmp(method, "POST") == 0;
    enum mu_code rc = put_authorization(c, method, err);
    size_t n = 0;

    if (rc != MU_OK)
        return rc;
    next->want = MU_WANT_SEND;
    next->remember = is_post;
    next->request = (struct mu_http_request){
        .method = method, .target = mu_buf_str(&c->url), .minor = 1, .headers = c->headers};
    if (is_post) {
        c->headers[n++] = (struct mu_http_header){"Content-Type", MU_EST_MEDIA_PKCS10};
        c->headers[n++] = (struct mu_http_header){"Content-Transfer-Encoding", "base64"};
        next->request.body = mu_buf_bytes(&c->body);
        next->request.same_connection = c->linked;
    }
    /* EST-22: no password, and EST-77: no key from a server that only the system's store vouches for. */
    next->request.explicit_anchor
        = c->authorization.n != 0 || (is_post && c->config.op == MU_EST_CLIENT_KEYGEN);
    if (c->authorization.n != 0)
        c->headers[n++] = (struct mu_http_header){"Authorization", mu_buf_str(&c->authorization)};
    next->request.header_n = n;
    c->state = state;
    return MU_OK;
}

static enum mu_code put_url(
    struct mu_est_client *c, enum mu_est_op op, bool with_label, struct mu_err *err)
{
    mu_buf_reset(&c->url);
    c->op = op;
    return mu_est_http_url(c->config.url, with_label ? c->config.label : NULL, op, &c->url, err);
}

enum mu_code mu_est_client_get(struct mu_est_client *c, enum mu_est_op op, bool with_label,
    enum mu_est_client_state state, struct mu_step *next, struct mu_err *err)
{
    enum mu_code rc = put_url(c, op, with_label, err);

    c->auth_tries = 0;
    return rc == MU_OK ? put_request(c, "GET", state, next, err) : rc;
}

enum mu_code mu_est_client_post(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
{
    enum mu_est_op op = c->config.op == MU_EST_CLIENT_KEYGEN ? MU_EST_SERVERKEYGEN
        : c->config.reenroll                                  ? MU_EST_SIMPLEREENROLL
                                                              : MU_EST_SIMPLEENROLL;
    enum mu_code rc = put_url(c, op, true, err);

    c->auth_tries = 0;
    mu_buf_reset(&c->body);
    mu_est_body_encode(&c->body, mu_buf_bytes(&c->csr), false);
    if (rc == MU_OK)
        rc = mu_buf_check(&c->body, "certificate request", err);
    return rc == MU_OK ? put_request(c, "POST", MU_EST_CLIENT_SENT, next, err) : rc;
}

/* IOP-26: never more answers to one request than could make a difference. A second one only if the
 * first was Basic, sent unasked to a server that does not know it, or if the nonce was too old. The
 * same password by another scheme would only count as one more guess. */
enum mu_code mu_est_client_answer(struct mu_est_client *c, const struct mu_http_response *response,
    struct mu_step *next, struct mu_err *err)
{
    struct mu_http_auth offer;
    bool said = c->authorization.n != 0;
    enum mu_code rc;

    if (c->config.user == NULL || c->auth_tries >= MU_EST_AUTH_TRIES
        || mu_est_auth_choose(response, c->config.allow_legacy, &offer, NULL) != MU_OK)
        return mu_est_client_fail_http(c, response, err);
    if (said && (c->used_basic ? mu_est_auth_offers_basic(response) : !offer.stale))
        return mu_est_client_fail_http(c, response, err);
    c->challenge = offer;
    c->has_challenge = true;
    c->nc = 0;
    c->auth_tries++;
    mu_est_client_trace(c, MU_TRACE_AUTH, "the server asks for HTTP %s",
        offer.scheme == MU_HTTP_SCHEME_BASIC ? "Basic" : "Digest");
    rc = put_request(c, mu_est_http_method(c->op), c->state, next, err);
    return rc;
}

/* ---- 202 ---- */

/* Seconds or a date (EST-48); one that says nothing is as none. */
static int64_t retry_after(const struct mu_est_client *c, const struct mu_http_response *response)
{
    const char *value = NULL;
    int64_t v;

    if (response != NULL)
        value = mu_http_header_get(response->headers, response->header_n, "Retry-After");
    if (value == NULL)
        return 0;
    if (mu_text_int(value, 0, INT64_MAX, &v, NULL) == MU_OK)
        return v < RETRY_AFTER_MAX_S ? v : RETRY_AFTER_MAX_S;
    if (value[0] != '\0' && strspn(value, "0123456789") == strlen(value))
        return RETRY_AFTER_MAX_S;
    if (!mu_time_parse_http(value, &v))
        return 0;
    v -= c->server_date_s != 0 ? c->server_date_s : mu_env_now(c->config.env);
    return v < 0 ? 0 : v > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : v;
}

enum mu_code mu_est_client_wait(struct mu_est_client *c, const struct mu_http_response *response,
    struct mu_step *next, struct mu_err *err)
{
    int64_t wait_s = retry_after(c, response), limit_s = c->config.max_await_s;
    struct mu_buf in = {.max = 64};

    if (wait_s == 0)
        wait_s = c->config.await_s;
    mu_text_duration_format(&in, wait_s);
    if (c->config.no_wait)
        mu_err_set(err, MU_PENDING, MU_M(404),
            "est: accepted, come back in %s (202, RFC 7030 4.2.3)", mu_buf_str(&in));
    /* Asking earlier than allowed is no use: what does not fit any more ends it (EST-49). */
    if (!c->config.no_wait && wait_s > limit_s - c->waited_s) {
        mu_est_client_fail_pending(c, err);
        mu_err_next(err, "The server says: come back in %s. Then `muster poll`, or raise max-await-result.",
            mu_buf_str(&in));
    }
    mu_buf_clear(&in);
    if (c->config.no_wait || wait_s > limit_s - c->waited_s)
        return MU_PENDING;
    c->wait_s = wait_s;
    next->want = MU_WANT_WAIT;
    next->wait_s = wait_s;
    next->wait_limit_s = limit_s;
    mu_est_client_trace(c, MU_TRACE_POLL, "again in %lld s, for at most %lld %s",
        (long long)wait_s, (long long)(limit_s % 60 == 0 ? limit_s / 60 : limit_s),
        limit_s % 60 == 0 ? "min" : "s");
    c->state = MU_EST_CLIENT_WAITING;
    return MU_OK;
}
