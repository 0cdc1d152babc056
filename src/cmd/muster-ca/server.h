/* Serving: what 'serve' and 'demo' share. */
#ifndef MU_CMD_MUSTER_CA_SERVER_H
#define MU_CMD_MUSTER_CA_SERVER_H

#include "cmd/muster-ca/instance.h"

struct server_options {
    const struct instance_conf *conf;
    bool create; /* what is missing of the instance */
    bool debug; /* the trace of each message into the log */
    enum mu_proto only; /* of this protocol; MU_PROTO_NONE: of all */
    bool quiet; /* warnings only */
    /* Before anything is served; a failure ends the start. */
    enum mu_code (*prepare)(void *cookie, struct instance *instance, struct mu_err *err);
    /* All listeners answer; ports in the order of conf->listen. */
    enum mu_code (*ready)(
        void *cookie, struct instance *instance, const uint16_t *ports, struct mu_err *err);
    void *cookie;
};

/* Until SIGINT or SIGTERM. SIGHUP reads CAs and profiles again and reopens the log. */
enum mu_code server_run(const struct server_options *options, struct mu_err *err) MU_CHECK;

#endif
