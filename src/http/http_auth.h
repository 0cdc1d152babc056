/*
 * HTTP authentication as data (RFC 7617, 7616): what a server offers, what a client says. No
 * hashing here: Digest's response is computed where pki is (proto/est).
 */
#ifndef MU_HTTP_AUTH_H
#define MU_HTTP_AUTH_H

#include "base/buf.h"

enum mu_http_scheme {
    MU_HTTP_SCHEME_NONE,
    MU_HTTP_SCHEME_BASIC,
    MU_HTTP_SCHEME_DIGEST,
    MU_HTTP_SCHEME_OTHER,
};
enum mu_http_digest_alg { MU_HTTP_DIGEST_MD5, MU_HTTP_DIGEST_SHA256, MU_HTTP_DIGEST_OTHER };

/* One challenge of WWW-Authenticate, or one Authorization. Texts are unescaped, bounded, "" if absent. */
struct mu_http_auth {
    enum mu_http_scheme scheme;
    char user[256], password[256];  /* Basic: both; Digest: user */
    char realm[256], nonce[256], uri[1024], response[130], opaque[256], cnonce[256], nc[16], qop[64];
    enum mu_http_digest_alg alg;
    bool sess, stale, userhash;
};

/* Authorization of a request. MU_INPUT if malformed; of a scheme not known here only the kind,
 * OTHER. Wipe the result: it may hold a password. Not judged: whether realm, uri and nonce are
 * those of this server and request. */
enum mu_code mu_http_auth_parse(const char *value, struct mu_http_auth *out, struct mu_err *err) MU_CHECK;
/* The i-th challenge in a WWW-Authenticate value (several may stand in one); false behind the
 * last, and from the first on that cannot be read. One that nobody could answer (no realm, a
 * parameter twice or too long) comes as OTHER. qop is the list as offered: "auth, auth-int". */
bool mu_http_auth_challenge(const char *value, size_t i, struct mu_http_auth *out);
/* As header value; Basic: base64 of user:password; Digest: all that is set. out should be secret.
 * False if it cannot be said: a colon in a Basic user, control characters, an unknown algorithm. */
bool mu_http_auth_format(const struct mu_http_auth *auth, struct mu_buf *out);
/* A challenge as header value, of Basic or Digest. */
bool mu_http_auth_challenge_format(const struct mu_http_auth *challenge, struct mu_buf *out);
void mu_http_auth_clear(struct mu_http_auth *auth);

#endif
