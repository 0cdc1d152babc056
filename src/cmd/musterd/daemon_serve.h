/*
 * A local HTTP server whose requests are answered on the loop's thread: the agent is of one thread. The
 * server's own thread reads and writes, so that a slow or silent client holds up nobody but itself.
 */
#ifndef MU_DAEMON_SERVE_H
#define MU_DAEMON_SERVE_H

#include "base/loop.h"
#include "http/http_msg.h"
#include "net/net_server.h"

struct mu_daemon_serve;

/* Answers with mu_net_reply_send, now or later, from any thread. */
typedef void mu_daemon_serve_call(
    void *cookie, const struct mu_http_request *request, struct mu_net_reply *reply);

struct mu_daemon_serve_config {
    const char *address; /* "unix:/path" or "127.0.0.1" */
    uint16_t port;
    int unix_mode;
    int64_t unix_group;
    mu_daemon_serve_call *call;
    void *cookie;
};
/* A socket's directory is there. A socket that a crash left is replaced. *port (may be NULL) is the one in use. */
enum mu_code mu_daemon_serve_open(const struct mu_daemon_serve_config *config, struct mu_loop *loop,
    const struct mu_env *env, struct mu_daemon_serve **out, uint16_t *port, struct mu_err *err) MU_CHECK;
/* No more requests; those that were not begun get 503, answers that are owed a moment. */
void mu_daemon_serve_stop(struct mu_daemon_serve *serve);
/* Once the loop runs no more: until then it may hold a call for what was stopped. */
void mu_daemon_serve_free(struct mu_daemon_serve *serve);

/* A text with a status; for answers without a handler of web/kit. */
void mu_daemon_serve_text(
    struct mu_net_reply *reply, int status, const char *content_type, struct mu_bytes text);

#endif
