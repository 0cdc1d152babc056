/* A protocol as the driver sees it: one row of functions over an engine it knows nothing of. */
#ifndef MU_CLIENT_PROTO_H
#define MU_CLIENT_PROTO_H

#include "client/client.h"

struct mu_client_proto {
    enum mu_proto proto;
    /* A new engine, or out of config->state. */
    enum mu_code (*open)(const struct mu_client_config *config, void **engine, struct mu_err *err);
    enum mu_code (*start)(void *engine, struct mu_step *next, struct mu_err *err);
    enum mu_code (*step)(
        void *engine, const struct mu_event *event, struct mu_step *next, struct mu_err *err);
    enum mu_code (*store)(const void *engine, struct mu_buf *out, struct mu_err *err);
    void (*result)(const void *engine, struct mu_client_result *out);
    void (*free)(void *engine);
};

/* The row of a protocol; NULL if there is none. */
const struct mu_client_proto *mu_client_proto_find(enum mu_proto proto);

extern const struct mu_client_proto mu_client_proto_cmp;  /* client_cmp.c */
extern const struct mu_client_proto mu_client_proto_scep; /* client_scep.c */
extern const struct mu_client_proto mu_client_proto_est;  /* client_est.c */

#endif
