/* One JSON request over a Unix socket, waiting for its answer. */
#ifndef MU_CMD_MUSTER_CA_SOCKET_H
#define MU_CMD_MUSTER_CA_SOCKET_H

#include <jansson.h>

#include "base/buf.h"

/* MU_NOT_FOUND: nobody listens there. Any answer of the server is MU_OK: *out is its object, with
 * "error" in it or not. */
enum mu_code socket_ask(const char *path, const char *method, const char *target, const json_t *in,
    json_t **out, struct mu_err *err) MU_CHECK;

#endif
