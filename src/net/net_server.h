/*
 * HTTP and HTTPS server: listeners, worker threads with an event loop each, requests as data. It
 * knows no protocol of ours. What it takes and refuses of HTTP is in http/http_parse.c; why it
 * does not stand on evhttp, in docs/decisions/0003-http-server.md.
 */
#ifndef MU_NET_SERVER_H
#define MU_NET_SERVER_H

#include "base/env.h"
#include "base/secret.h"
#include "http/http_msg.h"
#include "pki/pki_cert.h"

struct mu_net_server;
struct mu_net_reply; /* one answer that is owed */

/* Called on a worker thread. The request is valid until the reply is sent. The handler (or
 * whoever it hands reply to, on any thread) calls mu_net_reply_send exactly once. */
typedef void mu_net_handler(void *cookie, const struct mu_http_request *request,
    struct mu_net_reply *reply);

/* Takes over the response's content and sends it from the worker's loop. Works after the client
 * has gone. */
void mu_net_reply_send(struct mu_net_reply *reply, struct mu_http_response *response);
/* Between the two calls what this thread sends wakes no worker; release wakes each that has got
 * something, once. For a thread that answers many at a time. */
void mu_net_replies_hold(void);
void mu_net_replies_release(void);
/* Index of the worker that owns the reply, 0..workers-1. */
unsigned mu_net_reply_worker(const struct mu_net_reply *reply);

/* TLS-SRP (RFC 5054; deprecated): who logs in at a handshake, and with what. */
struct mu_net_srp_login {
    uint8_t salt[32];           /* the same at each handshake of this name */
    size_t salt_n;
    struct mu_secret password;  /* not set: nobody of this name may log in; wiped by the caller */
};
/* Called in a handshake on a worker's thread, so it must not wait. A name that nobody has gets a
 * salt as well, made of the name and a secret, so that names cannot be tried out. False: cannot
 * be told, and the handshake ends. */
typedef bool mu_net_srp_lookup(void *cookie, const char *user, struct mu_net_srp_login *out);
struct mu_net_srp {
    mu_net_srp_lookup *lookup; /* NULL: no TLS-SRP, and none of its cipher suites */
    void *cookie;
};

struct mu_net_tls {
    struct mu_pki_key *key;    /* RSA where TLS-SRP is to come with a server certificate */
    struct mu_pki_certs chain; /* leaf first */
    bool send_root;            /* a self-signed end of the chain too: who enrolls first sees it */
    bool ask_client_cert;      /* optional; judged per request by the handler */
    struct mu_net_srp srp;
};

struct mu_net_listener {
    const char *address;   /* "127.0.0.1", "::", or "unix:/path" */
    uint16_t port;         /* 0: any free one */
    const struct mu_net_tls *tls; /* NULL: plain */
    mu_net_handler *handler;
    void *cookie;
    size_t max_body;       /* 0: MU_LIMIT_MESSAGE */
    int unix_mode;         /* of a Unix socket, e.g. 0660 */
    int64_t unix_group;    /* gid that a Unix socket's file gets; peers in it are told. 0: none */
};

struct mu_net_server_config {
    unsigned workers;           /* 0: one per core that this process may use */
    unsigned max_connections;   /* per worker, 0: 1000 */
    int deadline_s;             /* for handshake, header and body together; 0: 10 */
    const struct mu_env *env;
    /* Called by each worker before it waits for its sockets: what a round has gathered, a log's
     * lines for one, can be handed on in one go. NULL: nothing. */
    void (*round_end)(void *cookie);
    void *cookie;
};

enum mu_code mu_net_server_new(const struct mu_net_server_config *config, struct mu_net_server **out,
    struct mu_err *err) MU_CHECK;
/* Before start. *port (may be NULL) gets the port in use. */
enum mu_code mu_net_server_listen(struct mu_net_server *server, const struct mu_net_listener *listener,
    uint16_t *port, struct mu_err *err) MU_CHECK;
/* Key and certificate of all TLS listeners for the connections to come; those that are open keep
 * what they have. From any thread, after listen. */
enum mu_code mu_net_server_renew_tls(struct mu_net_server *server, const struct mu_net_tls *tls,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_net_server_start(struct mu_net_server *server, struct mu_err *err) MU_CHECK;
/* Stops accepting, waits for owed answers up to grace_s, joins the workers. An answer that comes
 * later is dropped; it may come even after free. */
void mu_net_server_stop(struct mu_net_server *server, int grace_s);
void mu_net_server_free(struct mu_net_server *server);

#endif
