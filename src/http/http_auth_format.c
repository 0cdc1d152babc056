/* Authorization and WWW-Authenticate as text. */
#include "base/text.h"
#include "http/http_auth_internal.h"
#include "http/http_url.h"

const struct mu_http_algorithm mu_http_algorithms[MU_HTTP_ALGORITHMS] = {
    {"MD5", MU_HTTP_DIGEST_MD5, false},
    {"MD5-sess", MU_HTTP_DIGEST_MD5, true},
    {"SHA-256", MU_HTTP_DIGEST_SHA256, false},
    {"SHA-256-sess", MU_HTTP_DIGEST_SHA256, true},
};

static bool put_quoted(struct mu_buf *out, const char *name, const char *value)
{
    mu_buf_putf(out, "%s%s=\"", out->n > 0 && out->p[out->n - 1] != ' ' ? ", " : "", name);
    for (; *value != '\0'; value++) {
        if (mu_http_auth_is_control(*value))
            return false;
        if (*value == '"' || *value == '\\')
            mu_buf_put_byte(out, '\\');
        mu_buf_put_byte(out, (uint8_t)*value);
    }
    return mu_buf_put_byte(out, '"');
}

static bool put_algorithm(const struct mu_http_auth *auth, struct mu_buf *out)
{
    for (size_t i = 0; i < MU_HTTP_ALGORITHMS; i++)
        if (mu_http_algorithms[i].alg == auth->alg && mu_http_algorithms[i].sess == auth->sess)
            return mu_buf_putf(out, ", algorithm=%s", mu_http_algorithms[i].name);
    return false;
}

static bool put_basic(const struct mu_http_auth *auth, struct mu_buf *out)
{
    struct mu_buf pair;
    bool ok;

    /* The first colon ends the user (RFC 7617 2). */
    if (strchr(auth->user, ':') != NULL || mu_http_auth_has_control(auth->user) || mu_http_auth_has_control(auth->password))
        return false;
    mu_buf_init_secret(&pair, sizeof(auth->user) + sizeof(auth->password));
    mu_buf_put_str(&pair, auth->user);
    mu_buf_put_byte(&pair, ':');
    mu_buf_put_str(&pair, auth->password);
    mu_buf_put_str(out, "Basic ");
    ok = !pair.failed && mu_text_base64(out, mu_buf_bytes(&pair), 0);
    mu_buf_clear(&pair);
    return ok;
}

/* A quoted string is for ASCII; other names go percent-encoded (RFC 7616 3.4). */
static bool put_user(const struct mu_http_auth *auth, struct mu_buf *out)
{
    const char *p = auth->user;

    while (*p != '\0' && (unsigned char)*p < 0x80)
        p++;
    if (*p == '\0' || auth->userhash || !mu_text_is_utf8(mu_bytes_str(auth->user)))
        return put_quoted(out, "username", auth->user);
    mu_buf_put_str(out, "username*=UTF-8''");
    return mu_http_percent_encode(out, mu_bytes_str(auth->user));
}

static bool put_digest(const struct mu_http_auth *auth, struct mu_buf *out)
{
    bool ok;

    mu_buf_put_str(out, "Digest ");
    ok = put_user(auth, out) && put_quoted(out, "realm", auth->realm)
        && put_quoted(out, "nonce", auth->nonce) && put_quoted(out, "uri", auth->uri)
        && put_algorithm(auth, out) && put_quoted(out, "response", auth->response);
    /* These three without quotes (RFC 7616 3.4). */
    if (ok && auth->qop[0] != '\0')
        ok = mu_http_auth_is_token(auth->qop) && mu_http_auth_is_token(auth->nc)
            && mu_buf_putf(out, ", qop=%s, nc=%s", auth->qop, auth->nc)
            && put_quoted(out, "cnonce", auth->cnonce);
    if (ok && auth->opaque[0] != '\0')
        ok = put_quoted(out, "opaque", auth->opaque);
    if (ok && auth->userhash)
        ok = mu_buf_put_str(out, ", userhash=true");
    return ok;
}

bool mu_http_auth_format(const struct mu_http_auth *auth, struct mu_buf *out)
{
    bool ok = false;

    if (auth->scheme == MU_HTTP_SCHEME_BASIC)
        ok = put_basic(auth, out);
    else if (auth->scheme == MU_HTTP_SCHEME_DIGEST)
        ok = put_digest(auth, out);
    return ok && !out->failed;
}

bool mu_http_auth_challenge_format(const struct mu_http_auth *challenge, struct mu_buf *out)
{
    bool digest = challenge->scheme == MU_HTTP_SCHEME_DIGEST, ok;

    if (!digest && challenge->scheme != MU_HTTP_SCHEME_BASIC)
        return false;
    mu_buf_put_str(out, digest ? "Digest " : "Basic ");
    ok = put_quoted(out, "realm", challenge->realm);
    if (ok && digest) {
        ok = put_quoted(out, "nonce", challenge->nonce) && put_algorithm(challenge, out);
        if (ok && challenge->qop[0] != '\0')
            ok = put_quoted(out, "qop", challenge->qop);
        if (ok && challenge->opaque[0] != '\0')
            ok = put_quoted(out, "opaque", challenge->opaque);
        if (ok && challenge->stale)
            ok = mu_buf_put_str(out, ", stale=true");
        if (ok && challenge->userhash)
            ok = mu_buf_put_str(out, ", userhash=true");
    }
    /* Names and passwords are UTF-8 here (RFC 7617 2.1, RFC 7616 3.3). */
    return ok && mu_buf_put_str(out, ", charset=\"UTF-8\"") && !out->failed;
}

void mu_http_auth_clear(struct mu_http_auth *auth)
{
    mu_bytes_wipe(auth, sizeof(*auth));
}
