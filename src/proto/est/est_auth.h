/*
 * HTTP authentication with its hashes, for both roles: Basic (RFC 7617) and Digest (RFC 7616).
 * A server's nonces are stateless: the time and an HMAC over it, so that any node knows its own.
 */
#ifndef MU_PROTO_EST_AUTH_H
#define MU_PROTO_EST_AUTH_H

#include "base/env.h"
#include "base/secret.h"
#include "http/http_auth.h"
#include "http/http_msg.h"

/* ---- server ---- */

struct mu_est_auth_server {
    const struct mu_env *env;
    const char *realm;
    struct mu_bytes nonce_key;         /* n 0: no Digest */
    bool allow_legacy;                 /* Digest with MD5, or without qop */
};
/* What a request says against the entry's password (NULL: no such entry). MU_AUTH with
 * MU_REFUSE_PASSWORD, always after the same work. *stale: Digest was right but its nonce is old. */
enum mu_code mu_est_auth_check(const struct mu_est_auth_server *server,
    const struct mu_http_auth *said, const struct mu_secret *password,
    const struct mu_http_request *request, bool *stale, struct mu_err *err) MU_CHECK;
/* Adds WWW-Authenticate: Digest and Basic, the better first. */
enum mu_code mu_est_auth_offer(const struct mu_est_auth_server *server, bool stale,
    struct mu_http_response *response, struct mu_err *err) MU_CHECK;

/* ---- client ---- */

/* Value of Authorization: Basic. out should be secret. */
enum mu_code mu_est_auth_basic(const char *user, const struct mu_secret *password,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* The best challenge of a 401 that can be answered. MU_UNSUPPORTED if there is none. */
enum mu_code mu_est_auth_choose(const struct mu_http_response *response, bool allow_legacy,
    struct mu_http_auth *out, struct mu_err *err) MU_CHECK;
/* Value of Authorization that answers such a challenge; nc counts the answers to its nonce from 1.
 * target is path and query. */
enum mu_code mu_est_auth_say(const struct mu_http_auth *challenge, unsigned nc, const char *method,
    const char *target, const char *user, const struct mu_secret *password,
    const struct mu_env *env, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* Is Basic among what a 401 offers? */
bool mu_est_auth_offers_basic(const struct mu_http_response *challenge);
/* Words for "Basic, Digest (SHA-256)": what a 401 offers; "" if nothing. */
bool mu_est_auth_schemes(const struct mu_http_response *challenge, struct mu_buf *out);
/* Response of Digest for what auth says, in lower-case hex; out has room for 65 octets. */
bool mu_est_auth_digest(const struct mu_http_auth *auth, struct mu_bytes password,
    const char *method, char out[65]);

#endif
