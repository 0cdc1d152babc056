/* mu_transport on curl multi. curl stays inside src/net. */
#ifndef MU_NET_CLIENT_H
#define MU_NET_CLIENT_H

#include "base/loop.h"
#include "http/http_transport.h"

enum mu_code mu_net_client_new(struct mu_loop *loop, struct mu_transport **out, struct mu_err *err)
    MU_CHECK;
void mu_net_client_free(struct mu_transport *transport);
/* What the linked libcurl can: true for "ldap", "http" ... */
bool mu_net_client_has_scheme(const char *scheme);

#endif
