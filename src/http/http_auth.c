/*
 * What stands in Authorization and WWW-Authenticate: a scheme, then a token68 or a list of
 * parameters (RFC 9110 11). Each text is copied into its place unescaped, and what does not fit
 * there is refused rather than cut: a shortened realm or nonce would be another one.
 */
#include <stddef.h>

#include "base/text.h"
#include "http/http_auth_internal.h"
#include "http/http_url.h"

enum {
    TOKEN_MAX = 64,   /* names of schemes and parameters; the longest known has 13 */
    VALUE_MAX = 1024, /* the longest place a value can go to */
    PARAMS_MAX = 32,  /* of one challenge; Digest knows 12 */
};

/* ---- letters ---- */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_token(char c) /* RFC 9110 5.6.2 */
{
    return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token68(char c) /* RFC 9110 11.2 */
{
    return is_alnum(c) || (c != '\0' && strchr("-._~+/", c) != NULL);
}

bool mu_http_auth_is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || (unsigned char)c == 0x7f;
}

bool mu_http_auth_has_control(const char *s)
{
    for (; *s != '\0'; s++)
        if (mu_http_auth_is_control(*s))
            return true;
    return false;
}

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

/* ---- parts of a field ---- */

static bool take_token(const char **at, char *out, size_t size)
{
    size_t n = 0;

    while (is_token((*at)[n]))
        n++;
    if (n == 0 || n >= size)
        return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
    return true;
}

/* A quoted string behind its first quote (RFC 9110 5.6.4). */
static bool take_quoted(const char **at, char *out, size_t size)
{
    const char *p = *at;
    size_t n = 0;

    for (; *p != '"'; p++) {
        if (*p == '\\')
            p++;
        if (*p == '\0' || mu_http_auth_is_control(*p) || n + 1 >= size)
            return false;
        out[n++] = *p;
    }
    out[n] = '\0';
    *at = p + 1;
    return true;
}

/* "name = value"; false, and *at where it was, if none begins here. *bad: it begins, but no value
 * that can be taken follows. */
static bool take_param(const char **at, char *name, char *value, bool *bad)
{
    const char *p = *at;

    if (!take_token(&p, name, TOKEN_MAX))
        return false;
    skip_blanks(&p);
    if (*p != '=')
        return false;
    p++;
    skip_blanks(&p);
    if (*p == '"') {
        p++;
        *bad = !take_quoted(&p, value, VALUE_MAX);
    } else {
        *bad = !take_token(&p, value, VALUE_MAX);
    }
    skip_blanks(&p);
    *bad = *bad || (*p != ',' && *p != '\0');
    *at = p;
    return true;
}

bool mu_http_auth_is_token(const char *s)
{
    const char *p = s;

    while (is_token(*p))
        p++;
    return p > s && *p == '\0';
}

/* Octets of a token68 with nothing but a comma or the end behind it; 0 if none is here. */
static size_t token68_length(const char *at)
{
    size_t n = 0, end;

    while (is_token68(at[n]))
        n++;
    if (n == 0)
        return 0;
    while (at[n] == '=')
        n++;
    end = n + strspn(at + n, " \t");
    return at[end] == ',' || at[end] == '\0' ? n : 0;
}

/* ---- parameters and their places ---- */

enum { USERNAME, USERNAME_EXT, REALM, NONCE, URI, RESPONSE, OPAQUE, CNONCE, NC, QOP, ALGORITHM, STALE,
    USERHASH, PLACES };

static const struct {
    const char *name;
    size_t offset, size; /* size 0: it has a form of its own */
} places[PLACES] = {
#define PLACE(name, field) \
    {name, offsetof(struct mu_http_auth, field), sizeof(((struct mu_http_auth *)0)->field)}
    [USERNAME] = PLACE("username", user),
    [USERNAME_EXT] = {"username*", 0, 0},
    [REALM] = PLACE("realm", realm),
    [NONCE] = PLACE("nonce", nonce),
    [URI] = PLACE("uri", uri),
    [RESPONSE] = PLACE("response", response),
    [OPAQUE] = PLACE("opaque", opaque),
    [CNONCE] = PLACE("cnonce", cnonce),
    [NC] = PLACE("nc", nc),
    [QOP] = PLACE("qop", qop),
    [ALGORITHM] = {"algorithm", 0, 0},
    [STALE] = {"stale", 0, 0},
    [USERHASH] = {"userhash", 0, 0},
#undef PLACE
};

static void set_algorithm(struct mu_http_auth *out, const char *name)
{
    out->alg = MU_HTTP_DIGEST_OTHER;
    for (size_t i = 0; i < MU_HTTP_ALGORITHMS; i++)
        if (mu_text_equal_nocase(mu_http_algorithms[i].name, name)) {
            out->alg = mu_http_algorithms[i].alg;
            out->sess = mu_http_algorithms[i].sess;
        }
}

/* UTF-8''J%C3%A4s%C3%B8n (RFC 8187 3.2, RFC 7616 3.4). */
static bool set_user_ext(struct mu_http_auth *out, const char *value)
{
    struct mu_buf user;
    const char *text;
    bool ok = false;

    if (!mu_text_starts(value, "UTF-8'") && !mu_text_starts(value, "utf-8'"))
        return false;
    text = strchr(value + 6, '\''); /* the language between is nobody's business */
    if (text == NULL)
        return false;
    mu_buf_init(&user, sizeof(out->user) - 1);
    if (mu_http_percent_decode(&user, mu_bytes_str(text + 1))
        && mu_text_is_utf8(mu_buf_bytes(&user)) && strlen(mu_buf_str(&user)) == user.n
        && !mu_http_auth_has_control(mu_buf_str(&user))) {
        memcpy(out->user, mu_buf_str(&user), user.n + 1);
        ok = true;
    }
    mu_buf_clear(&user);
    return ok;
}

/* False: given before, or too long for its place. */
static bool set_param(struct mu_http_auth *out, unsigned *seen, const char *name, const char *value)
{
    size_t n = strlen(value), i = 0;

    while (i < PLACES && !mu_text_equal_nocase(places[i].name, name))
        i++;
    if (i == PLACES)
        return true; /* unknown ones are ignored (RFC 7616 3.3) */
    if ((*seen & 1U << i) != 0)
        return false;
    *seen |= 1U << i;
    if (i == ALGORITHM)
        set_algorithm(out, value);
    else if (i == STALE)
        out->stale = mu_text_equal_nocase(value, "true");
    else if (i == USERHASH)
        out->userhash = mu_text_equal_nocase(value, "true");
    else if (i == USERNAME_EXT)
        return set_user_ext(out, value);
    else if (n < places[i].size)
        memcpy((char *)out + places[i].offset, value, n + 1);
    else
        return false;
    return true;
}

static enum mu_http_scheme scheme_of(const char *name)
{
    if (mu_text_equal_nocase(name, "Basic"))
        return MU_HTTP_SCHEME_BASIC;
    return mu_text_equal_nocase(name, "Digest") ? MU_HTTP_SCHEME_DIGEST : MU_HTTP_SCHEME_OTHER;
}

/* Parameters up to the end or to where another challenge begins. False: not well-formed.
 * *usable: each known one stood there once, and fit. */
static bool take_params(
    const char **at, struct mu_http_auth *out, unsigned *seen, bool *usable)
{
    char name[TOKEN_MAX], value[VALUE_MAX];
    bool bad = false, whole = true;

    for (int i = 0; i < PARAMS_MAX && whole; i++) {
        const char *before = *at;

        *at += strspn(*at, " \t,");
        if (**at == '\0')
            break;
        if (!take_param(at, name, value, &bad)) {
            *at = before;
            break;
        }
        whole = !bad;
        if (whole && !set_param(out, seen, name, value))
            *usable = false;
    }
    mu_bytes_wipe(value, sizeof(value));
    return whole;
}

/* ---- what a client says ---- */

static enum mu_code malformed(struct mu_err *err, const char *why)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "http: the Authorization field %s", why);
}

/* user-id ":" password (RFC 7617 2); the user may be empty, and a colon is the password's. */
static enum mu_code parse_basic(const char *at, struct mu_http_auth *out, struct mu_err *err)
{
    size_t n = token68_length(at);
    enum mu_code rc = MU_INPUT;
    struct mu_buf pair;
    const char *text, *colon;

    mu_buf_init_secret(&pair, sizeof(out->user) + sizeof(out->password) + 4);
    if (n == 0 || at[n + strspn(at + n, " \t")] != '\0'
        || mu_text_unbase64(mu_bytes(at, n), &pair, NULL) != MU_OK) {
        malformed(err, "has no base64 behind Basic (RFC 7617 2)");
        goto out;
    }
    text = mu_buf_str(&pair);
    colon = strchr(text, ':');
    if (strlen(text) != pair.n || mu_http_auth_has_control(text) || colon == NULL) {
        malformed(err, "is not user, colon, password (RFC 7617 2)");
    } else if ((size_t)(colon - text) >= sizeof(out->user)
        || strlen(colon + 1) >= sizeof(out->password)) {
        malformed(err, "has a user or password of more than 255 octets");
    } else {
        memcpy(out->user, text, (size_t)(colon - text));
        memcpy(out->password, colon + 1, strlen(colon + 1));
        rc = MU_OK;
    }
out:
    mu_buf_clear(&pair);
    return rc;
}

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdefABCDEF") == n;
}

/* RFC 7616 3.4: what has to be there. */
static const char *missing_of_digest(const struct mu_http_auth *out, unsigned seen)
{
    const unsigned user = 1U << USERNAME, ext = 1U << USERNAME_EXT, qop = 1U << QOP,
                   counted = 1U << CNONCE | 1U << NC,
                   always = 1U << REALM | 1U << NONCE | 1U << URI | 1U << RESPONSE;

    if ((seen & always) != always || (seen & (user | ext)) == 0)
        return "lacks user, realm, nonce, uri or response (RFC 7616 3.4)";
    if ((seen & (user | ext)) == (user | ext) || ((seen & ext) != 0 && out->userhash))
        return "names the user twice (RFC 7616 3.4)";
    if ((seen & qop) != 0 ? (seen & counted) != counted || !is_hex(out->nc, 8)
                          : (seen & counted) != 0)
        return "has qop, cnonce and nc not together (RFC 7616 3.4)";
    if ((out->alg == MU_HTTP_DIGEST_MD5 && !is_hex(out->response, 32))
        || (out->alg == MU_HTTP_DIGEST_SHA256 && !is_hex(out->response, 64)))
        return "has a response of the wrong length (RFC 7616 3.4.1)";
    return NULL;
}

static enum mu_code parse_digest(const char *at, struct mu_http_auth *out, struct mu_err *err)
{
    unsigned seen = 0;
    bool usable = true;
    const char *missing;

    if (!take_params(&at, out, &seen, &usable) || at[strspn(at, " \t,")] != '\0')
        return malformed(err, "is no list of parameters (RFC 9110 11.4)");
    if (!usable)
        return malformed(err, "has a parameter twice or too long (RFC 7616 3.4)");
    missing = missing_of_digest(out, seen);
    return missing != NULL ? malformed(err, missing) : MU_OK;
}

enum mu_code mu_http_auth_parse(const char *value, struct mu_http_auth *out, struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    char name[TOKEN_MAX];

    memset(out, 0, sizeof(*out));
    skip_blanks(&value);
    if (!take_token(&value, name, sizeof(name)) || (*value != '\0' && strchr(" \t", *value) == NULL))
        return malformed(err, "names no scheme (RFC 9110 11.4)");
    skip_blanks(&value);
    out->scheme = scheme_of(name);
    if (out->scheme == MU_HTTP_SCHEME_BASIC)
        rc = parse_basic(value, out, err);
    else if (out->scheme == MU_HTTP_SCHEME_DIGEST)
        rc = parse_digest(value, out, err);
    if (rc != MU_OK)
        mu_http_auth_clear(out);
    return rc;
}

/* ---- what a server offers ---- */

/* One challenge; false if there is none, or none that can be read. */
static bool take_challenge(const char **at, struct mu_http_auth *out)
{
    bool usable = true;
    unsigned seen = 0;
    char name[TOKEN_MAX];
    size_t n;

    memset(out, 0, sizeof(*out));
    *at += strspn(*at, " \t,");
    if (!take_token(at, name, sizeof(name)) || (**at != '\0' && strchr(" \t,", **at) == NULL))
        return false;
    out->scheme = scheme_of(name);
    skip_blanks(at);
    if (**at == '\0' || **at == ',')
        return true;
    n = token68_length(*at);
    if (n > 0) {
        *at += n;
        skip_blanks(at);
        return true;
    }
    if (!take_params(at, out, &seen, &usable))
        return false;
    skip_blanks(at);
    if (**at != '\0' && **at != ',')
        return false;
    /* Nobody can answer a Digest challenge without realm and nonce (RFC 7616 3.3). */
    if (out->scheme == MU_HTTP_SCHEME_DIGEST
        && (seen & (1U << REALM | 1U << NONCE)) != (1U << REALM | 1U << NONCE))
        usable = false;
    if (!usable)
        out->scheme = MU_HTTP_SCHEME_OTHER;
    return true;
}

bool mu_http_auth_challenge(const char *value, size_t i, struct mu_http_auth *out)
{
    for (size_t k = 0; take_challenge(&value, out); k++)
        if (k == i)
            return true;
    memset(out, 0, sizeof(*out));
    return false;
}
