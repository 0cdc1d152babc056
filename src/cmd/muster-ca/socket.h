/* One JSON request over a Unix socket, waiting for its answer. */
#ifndef MU_CMD_MUSTER_CA_SOCKET_H
#define MU_CMD_MUSTER_CA_SOCKET_H

#include <jansson.h>

#include "base/buf.h"

/* Room for "/proc/self/fd/N/name", which is what a path too long for sockaddr_un becomes. */
struct socket_path {
    char text[108];
    int dir_fd; /* -1: none; keep open as long as text is used */
};
enum mu_code socket_path_open(
    const char *path, struct socket_path *out, struct mu_err *err) MU_CHECK;
void socket_path_close(struct socket_path *path);

/* MU_NOT_FOUND: nobody listens there. Any answer of the server is MU_OK: *out is its object, with
 * "error" in it or not. */
enum mu_code socket_ask(const char *path, const char *method, const char *target, const json_t *in,
    json_t **out, struct mu_err *err) MU_CHECK;

#endif
