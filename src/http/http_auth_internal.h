/* What reading and writing of credentials and challenges share. */
#ifndef MU_HTTP_AUTH_INTERNAL_H
#define MU_HTTP_AUTH_INTERNAL_H

#include "http/http_auth.h"

struct mu_http_algorithm {
    const char *name;
    enum mu_http_digest_alg alg;
    bool sess;
};

enum { MU_HTTP_ALGORITHMS = 4 };
extern const struct mu_http_algorithm mu_http_algorithms[MU_HTTP_ALGORITHMS];

bool mu_http_auth_is_control(char c);
bool mu_http_auth_has_control(const char *s);
/* One token of RFC 9110 5.6.2, and nothing else. */
bool mu_http_auth_is_token(const char *s);

#endif
