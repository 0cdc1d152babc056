/* HTTP authentication: see est_auth.h. Basic needs nothing but a compare, since all of EST is
 * inside TLS; Digest is for who wants its password not even there. */
#include "proto/est/est_auth.h"

#include <stdio.h>

#include "base/text.h"
#include "http/http_url.h"
#include "pki/pki_alg.h"

/* How long a nonce is good: time to type a password, and for a poll or two. */
enum { NONCE_S = 300, NONCE_AHEAD_S = 60, NONCE_RANDOM = 8, NONCE_MAC = 16 };
enum { NONCE_OCTETS = 8 + NONCE_RANDOM + NONCE_MAC };

/* ---- Digest's hashes ---- */

static enum mu_pki_digest hash_of(enum mu_http_digest_alg alg)
{
    return alg == MU_HTTP_DIGEST_MD5 ? MU_PKI_MD5 : MU_PKI_SHA256;
}

/* Lower-case hex of the hash of what is in b, which is emptied. */
static bool hash_hex(enum mu_pki_digest d, struct mu_buf *b, char out[65])
{
    struct mu_buf hex = {.max = 80, .secret = true};
    uint8_t digest[64];
    size_t n = b->failed ? 0 : mu_pki_digest(d, mu_buf_bytes(b), digest);

    mu_buf_clear(b);
    if (n == 0 || n > 32)
        return false;
    mu_text_hex_lower(&hex, mu_bytes(digest, n), 0);
    memcpy(out, mu_buf_str(&hex), 2 * n + 1);
    mu_bytes_wipe(digest, sizeof digest);
    mu_buf_clear(&hex);
    return true;
}

bool mu_est_auth_digest(const struct mu_http_auth *auth, struct mu_bytes password,
    const char *method, char out[65])
{
    enum mu_pki_digest d = hash_of(auth->alg);
    struct mu_buf b = {.max = 8192, .secret = true};
    char a1[65], a2[65];
    bool ok;

    /* RFC 7616 3.4.2 */
    mu_buf_putf(&b, "%s:%s:", auth->user, auth->realm);
    mu_buf_put_bytes(&b, password);
    ok = hash_hex(d, &b, a1);
    if (ok && auth->sess) {
        mu_buf_putf(&b, "%s:%s:%s", a1, auth->nonce, auth->cnonce);
        ok = hash_hex(d, &b, a1);
    }
    if (ok) {
        mu_buf_putf(&b, "%s:%s", method, auth->uri); /* 3.4.3, qop auth */
        ok = hash_hex(d, &b, a2);
    }
    if (ok && auth->qop[0] != '\0')
        mu_buf_putf(&b, "%s:%s:%s:%s:%s:%s", a1, auth->nonce, auth->nc, auth->cnonce, auth->qop, a2);
    else if (ok)
        mu_buf_putf(&b, "%s:%s:%s", a1, auth->nonce, a2);
    ok = ok && hash_hex(d, &b, out);
    mu_buf_clear(&b);
    mu_bytes_wipe(a1, sizeof a1);
    return ok;
}

/* ---- nonces: time, randomness, HMAC over both and the realm ---- */

static bool nonce_mac(const struct mu_est_auth_server *s, const uint8_t *p, uint8_t mac[32])
{
    struct mu_buf b = {.max = 1024};
    bool ok;

    mu_buf_put_str(&b, "est digest nonce:");
    mu_buf_put(&b, p, 8 + NONCE_RANDOM);
    mu_buf_put_str(&b, s->realm);
    ok = !b.failed && mu_pki_hmac_sha256(s->nonce_key, mu_buf_bytes(&b), mac);
    mu_buf_clear(&b);
    return ok;
}

static enum mu_code nonce_make(
    const struct mu_est_auth_server *s, char *out, size_t size, struct mu_err *err)
{
    int64_t now_s = mu_env_now(s->env);
    uint8_t octets[NONCE_OCTETS], mac[32];
    struct mu_buf text = {.max = size};
    enum mu_code rc;
    int i;

    for (i = 0; i < 8; i++)
        octets[i] = (uint8_t)((uint64_t)now_s >> (56 - 8 * i));
    rc = mu_env_random(s->env, octets + 8, NONCE_RANDOM, err);
    if (rc != MU_OK)
        return rc;
    if (!nonce_mac(s, octets, mac))
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "est: HMAC failed");
    memcpy(octets + 8 + NONCE_RANDOM, mac, NONCE_MAC);
    mu_text_base64(&text, mu_bytes(octets, sizeof octets), 0);
    snprintf(out, size, "%s", mu_buf_str(&text));
    mu_buf_clear(&text);
    return MU_OK;
}

/* Is it one of ours; and is it still good? */
static bool nonce_is_ours(const struct mu_est_auth_server *s, const char *nonce, bool *stale)
{
    struct mu_buf octets = {.max = 256};
    int64_t made_s = 0, now_s = mu_env_now(s->env);
    uint8_t mac[32];
    bool ours;
    int i;

    ours = mu_text_unbase64(mu_bytes_str(nonce), &octets, NULL) == MU_OK
        && octets.n == NONCE_OCTETS && nonce_mac(s, octets.p, mac)
        && mu_bytes_equal_secret(
            mu_bytes(octets.p + 8 + NONCE_RANDOM, NONCE_MAC), mu_bytes(mac, NONCE_MAC));
    for (i = 0; ours && i < 8; i++)
        made_s = (int64_t)((uint64_t)made_s << 8 | octets.p[i]);
    *stale = ours && (now_s - made_s > NONCE_S || made_s - now_s > NONCE_AHEAD_S);
    mu_buf_clear(&octets);
    return ours;
}

/* ---- server ---- */

static enum mu_code wrong(struct mu_err *err)
{
    return mu_err_set(err, MU_AUTH, MU_REFUSE_PASSWORD,
        "est: user or password is wrong (RFC 7030 3.2.3)");
}

static bool basic_right(const struct mu_http_auth *said, const struct mu_secret *password)
{
    uint8_t is[32], due[32];
    uint8_t digest[64];
    struct mu_bytes secret = password != NULL ? mu_secret_bytes(password) : mu_bytes("", 0);
    bool known = password != NULL && mu_secret_is_set(password);

    /* Hashes compare in the same time whatever the lengths are. */
    if (mu_pki_digest(MU_PKI_SHA256, mu_bytes_str(said->password), digest) == 0)
        return false;
    memcpy(is, digest, sizeof is);
    if (mu_pki_digest(MU_PKI_SHA256, secret, digest) == 0)
        return false;
    memcpy(due, digest, sizeof due);
    mu_bytes_wipe(digest, sizeof digest);
    return mu_bytes_equal_secret(mu_bytes(is, sizeof is), mu_bytes(due, sizeof due)) && known;
}

/* The digest covers the request line: it has to be that of this request (RFC 7616 3.4.6). */
static bool uri_is(const char *uri, const char *target)
{
    struct mu_http_url url;

    if (strcmp(uri, target) == 0)
        return true;
    return strstr(uri, "://") != NULL && mu_http_url_parse(uri, NULL, &url, NULL) == MU_OK
        && strcmp(url.path, target) == 0;
}

static enum mu_code digest_check(const struct mu_est_auth_server *s,
    const struct mu_http_auth *said, const struct mu_secret *password,
    const struct mu_http_request *request, bool *stale, struct mu_err *err)
{
    struct mu_bytes secret = password != NULL ? mu_secret_bytes(password) : mu_bytes("", 0);
    bool known = password != NULL && mu_secret_is_set(password), right;
    char due[65] = "";

    if (s->nonce_key.n == 0 || said->alg == MU_HTTP_DIGEST_OTHER || said->userhash
        || (said->qop[0] != '\0' && strcmp(said->qop, "auth") != 0))
        return wrong(err);
    if (!s->allow_legacy && (said->alg == MU_HTTP_DIGEST_MD5 || said->qop[0] == '\0'))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PASSWORD,
            "est: Digest with %s is not taken without allow-legacy (RFC 7616 3.2)",
            said->alg == MU_HTTP_DIGEST_MD5 ? "MD5" : "no qop");
    right = mu_est_auth_digest(said, secret, request->method, due)
        && mu_bytes_equal_secret(mu_bytes_str(due), mu_bytes_str(said->response));
    if (!right || !known || strcmp(said->realm, s->realm) != 0
        || !uri_is(said->uri, request->target) || !nonce_is_ours(s, said->nonce, stale))
        return wrong(err);
    if (*stale)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PASSWORD,
            "est: the nonce of Digest is too old, please answer the new one (RFC 7616 3.3)");
    return MU_OK;
}

enum mu_code mu_est_auth_check(const struct mu_est_auth_server *server,
    const struct mu_http_auth *said, const struct mu_secret *password,
    const struct mu_http_request *request, bool *stale, struct mu_err *err)
{
    *stale = false;
    switch (said->scheme) {
    case MU_HTTP_SCHEME_BASIC:
        return basic_right(said, password) ? MU_OK : wrong(err);
    case MU_HTTP_SCHEME_DIGEST:
        return digest_check(server, said, password, request, stale, err);
    default:
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PASSWORD_MISSING,
            "est: this way of HTTP authentication is not known here (RFC 7030 3.2.3)");
    }
}

static enum mu_code offer(const struct mu_http_auth *challenge, struct mu_http_response *response,
    struct mu_err *err)
{
    struct mu_buf value = {.max = 2048};
    enum mu_code rc;

    if (mu_http_auth_challenge_format(challenge, &value))
        rc = mu_http_response_add(response, "WWW-Authenticate", mu_buf_str(&value), err);
    else
        rc = mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "est: the realm \"%s\" cannot be said "
            "in a header", challenge->realm);
    mu_buf_clear(&value);
    return rc;
}

enum mu_code mu_est_auth_offer(const struct mu_est_auth_server *server, bool stale,
    struct mu_http_response *response, struct mu_err *err)
{
    struct mu_http_auth challenge = {.scheme = MU_HTTP_SCHEME_DIGEST, .qop = "auth", .stale = stale};
    enum mu_code rc = MU_OK;

    snprintf(challenge.realm, sizeof challenge.realm, "%s", server->realm);
    if (server->nonce_key.n != 0) {
        challenge.alg = MU_HTTP_DIGEST_SHA256;
        rc = nonce_make(server, challenge.nonce, sizeof challenge.nonce, err);
        if (rc == MU_OK)
            rc = offer(&challenge, response, err);
        challenge.alg = MU_HTTP_DIGEST_MD5;
        if (rc == MU_OK && server->allow_legacy)
            rc = offer(&challenge, response, err);
    }
    memset(&challenge, 0, sizeof challenge);
    challenge.scheme = MU_HTTP_SCHEME_BASIC;
    snprintf(challenge.realm, sizeof challenge.realm, "%s", server->realm);
    return rc == MU_OK ? offer(&challenge, response, err) : rc;
}

/* ---- client ---- */

static bool put_password(struct mu_http_auth *auth, const struct mu_secret *password)
{
    struct mu_bytes secret = mu_secret_bytes(password);

    if (secret.n >= sizeof auth->password || memchr(secret.p, 0, secret.n) != NULL)
        return false;
    memcpy(auth->password, secret.p, secret.n);
    auth->password[secret.n] = '\0';
    return true;
}

static enum mu_code say(const struct mu_http_auth *auth, struct mu_buf *out, struct mu_err *err)
{
    if (mu_http_auth_format(auth, out))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_M(403),
        "est: this user or password cannot be said in HTTP %s (RFC 7617 2)",
        auth->scheme == MU_HTTP_SCHEME_BASIC ? "Basic" : "Digest");
}

enum mu_code mu_est_auth_basic(const char *user, const struct mu_secret *password,
    struct mu_buf *out, struct mu_err *err)
{
    struct mu_http_auth auth = {.scheme = MU_HTTP_SCHEME_BASIC};
    enum mu_code rc;

    if (strlen(user) >= sizeof auth.user || (password != NULL && !put_password(&auth, password)))
        rc = mu_err_set(err, MU_INPUT, MU_M(403), "est: user or password is too long for HTTP "
            "(255 octets)");
    else {
        snprintf(auth.user, sizeof auth.user, "%s", user);
        rc = say(&auth, out, err);
    }
    mu_http_auth_clear(&auth);
    return rc;
}

/* Calls for each challenge of each WWW-Authenticate; the next of both, false at the end. */
static bool next_challenge(const struct mu_http_response *r, size_t *header, size_t *i,
    struct mu_http_auth *out)
{
    for (; *header < r->header_n; ++*header, *i = 0) {
        if (mu_text_equal_nocase(r->headers[*header].name, "WWW-Authenticate")
            && mu_http_auth_challenge(r->headers[*header].value, (*i)++, out))
            return true;
    }
    return false;
}

static bool offers_auth(const char *qop)
{
    const char *at = qop;
    size_t n;

    while (*at != '\0') {
        at += strspn(at, ", \t");
        n = strcspn(at, ", \t");
        if (n == 4 && strncasecmp(at, "auth", 4) == 0)
            return true;
        at += n;
    }
    return false;
}

/* The better the higher; 0: cannot be answered. */
static int worth(const struct mu_http_auth *c, bool allow_legacy)
{
    bool digest = c->scheme == MU_HTTP_SCHEME_DIGEST;

    if (c->scheme == MU_HTTP_SCHEME_BASIC)
        return 1;
    if (!digest || c->alg == MU_HTTP_DIGEST_OTHER || (c->qop[0] != '\0' && !offers_auth(c->qop)))
        return 0;
    if (c->alg == MU_HTTP_DIGEST_MD5)
        return allow_legacy ? 2 : 0;
    return c->qop[0] != '\0' || allow_legacy ? 3 : 0;
}

bool mu_est_auth_offers_basic(const struct mu_http_response *challenge)
{
    struct mu_http_auth c;
    size_t header = 0, i = 0;

    while (next_challenge(challenge, &header, &i, &c)) {
        if (c.scheme == MU_HTTP_SCHEME_BASIC)
            return true;
    }
    return false;
}

bool mu_est_auth_schemes(const struct mu_http_response *challenge, struct mu_buf *out)
{
    static const char *const algs[] = {"MD5", "SHA-256", "another hash"};
    struct mu_http_auth c;
    size_t header = 0, i = 0, before = out->n;

    while (next_challenge(challenge, &header, &i, &c)) {
        if (out->n != before)
            mu_buf_put_str(out, ", ");
        if (c.scheme == MU_HTTP_SCHEME_BASIC)
            mu_buf_put_str(out, "Basic");
        else if (c.scheme == MU_HTTP_SCHEME_DIGEST)
            mu_buf_putf(out, "Digest (%s)", algs[c.alg]);
        else
            mu_buf_put_str(out, "one not known here");
    }
    return !out->failed;
}

static enum mu_code answer_digest(struct mu_http_auth *auth, unsigned nc, const char *method,
    const char *target, const struct mu_secret *password, const struct mu_env *env,
    struct mu_err *err)
{
    struct mu_buf hex = {.max = 64};
    uint8_t cnonce[16];
    char response[65];
    enum mu_code rc;

    rc = mu_env_random(env, cnonce, sizeof cnonce, err);
    if (rc != MU_OK)
        return rc;
    mu_text_hex_lower(&hex, mu_bytes(cnonce, sizeof cnonce), 0);
    if (auth->qop[0] != '\0' || auth->sess)
        snprintf(auth->cnonce, sizeof auth->cnonce, "%s", mu_buf_str(&hex));
    mu_buf_clear(&hex);
    if (auth->qop[0] != '\0') {
        snprintf(auth->qop, sizeof auth->qop, "auth");
        snprintf(auth->nc, sizeof auth->nc, "%08x", nc);
    }
    if ((size_t)snprintf(auth->uri, sizeof auth->uri, "%s", target) >= sizeof auth->uri)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "est: the path is too long for Digest");
    auth->stale = auth->userhash = false;
    if (!mu_est_auth_digest(auth, mu_secret_bytes(password), method, response))
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "est: the hash of Digest failed");
    snprintf(auth->response, sizeof auth->response, "%s", response);
    return MU_OK;
}

enum mu_code mu_est_auth_choose(const struct mu_http_response *response, bool allow_legacy,
    struct mu_http_auth *out, struct mu_err *err)
{
    struct mu_http_auth c;
    size_t header = 0, i = 0;
    int best = 0;

    while (next_challenge(response, &header, &i, &c)) {
        if (worth(&c, allow_legacy) > best) {
            *out = c;
            best = worth(&c, allow_legacy);
        }
    }
    if (best == 0)
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(403),
            "est: the server offers no way to authenticate that is known here (RFC 7030 3.2.3)");
    return MU_OK;
}

enum mu_code mu_est_auth_say(const struct mu_http_auth *challenge, unsigned nc, const char *method,
    const char *target, const char *user, const struct mu_secret *password,
    const struct mu_env *env, struct mu_buf *out, struct mu_err *err)
{
    struct mu_http_auth auth = *challenge;
    enum mu_code rc;

    if (challenge->scheme == MU_HTTP_SCHEME_BASIC)
        return mu_est_auth_basic(user, password, out, err);
    if (strlen(user) >= sizeof auth.user)
        return mu_err_set(err, MU_INPUT, MU_M(403), "est: the user is too long for HTTP");
    snprintf(auth.user, sizeof auth.user, "%s", user);
    rc = answer_digest(&auth, nc, method, target, password, env, err);
    return rc == MU_OK ? say(&auth, out, err) : rc;
}
