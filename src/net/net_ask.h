/* One HTTP request over a Unix socket, waiting for its answer: how a command asks the program that runs. */
#ifndef MU_NET_ASK_H
#define MU_NET_ASK_H

#include "base/buf.h"

/* Room for "/proc/self/fd/N/name", which is what a path too long for sockaddr_un becomes. */
struct mu_net_ask_path {
    char text[108];
    int dir_fd; /* -1: none; keep open as long as text is used */
};
enum mu_code mu_net_ask_path_open(
    const char *path, struct mu_net_ask_path *out, struct mu_err *err) MU_CHECK;
void mu_net_ask_path_close(struct mu_net_ask_path *path);

struct mu_net_ask {
    const char *path;             /* of the socket */
    const char *method, *target;  /* "POST", "/v1/touch" */
    struct mu_bytes body;         /* JSON; may be empty */
    int wait_s;                   /* for each step; 0: 60 */
};
/* MU_NOT_FOUND: nobody listens there (M102); MU_DENIED, M704: it is not for us. Any answer of the server is
 * MU_OK: its status, and its body appended to out, which should be secret. */
enum mu_code mu_net_ask(const struct mu_net_ask *ask, int *status, struct mu_buf *out, struct mu_err *err)
    MU_CHECK;

#endif
