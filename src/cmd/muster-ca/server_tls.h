/* Key and certificate of the TLS listeners: from files, or issued by a CA here and renewed by it. */
#ifndef MU_CMD_MUSTER_CA_SERVER_TLS_H
#define MU_CMD_MUSTER_CA_SERVER_TLS_H

#include "cmd/muster-ca/instance.h"
#include "net/net_server.h"

struct server_tls {
    struct mu_net_tls tls;
    bool is_issued; /* by us: renewed when two thirds of its time are over */
};

/* Does the configuration have a listener with TLS? */
bool server_tls_is_wanted(const struct instance_conf *conf);
enum mu_code server_tls_open(
    struct instance *instance, struct server_tls *out, struct mu_err *err) MU_CHECK;
void server_tls_close(struct server_tls *tls);
/* Is it time for a new certificate? */
bool server_tls_is_due(const struct server_tls *tls, int64_t now_s);

#endif
