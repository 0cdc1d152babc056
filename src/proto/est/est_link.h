/*
 * Linking identity and proof of possession (RFC 7030 3.5): the base64 of the connection's channel
 * binding stands in challengePassword. tls-unique under TLS 1.2, tls-exporter (RFC 9266) under 1.3.
 */
#ifndef MU_PROTO_EST_LINK_H
#define MU_PROTO_EST_LINK_H

#include "base/secret.h"
#include "http/http_msg.h"

/* The challengePassword for a binding. */
enum mu_code mu_est_link_make(struct mu_bytes binding, struct mu_secret *challenge,
    struct mu_err *err) MU_CHECK;
/* Is the challenge the binding of this connection? MU_AUTH, MU_REFUSE_LINK if it is not, or if
 * the connection has none. */
enum mu_code mu_est_link_check(const struct mu_secret *challenge, const struct mu_http_peer *peer,
    struct mu_err *err) MU_CHECK;

#endif
