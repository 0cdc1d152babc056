/*
 * One connection of the server, and what it shares with its worker. A worker is one thread with
 * one event loop; all of a connection happens there. net_server.c, net_listen.c, net_conn.c
 * and net_peer.c include this.
 */
#ifndef MU_NET_CONN_H
#define MU_NET_CONN_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/time.h"
#include "http/http_parse.h"
#include "net/net_internal.h"
#include "net/net_server.h"

enum {
    MU_NET_READ_SIZE = 16 * 1024 + 256, /* a whole TLS record, so that OpenSSL keeps none back */
    MU_NET_ACCEPT_BATCH = 32,           /* then the connections get their turn */
};

/* What is known of a client, and the memory behind the views in it. */
struct mu_net_peer {
    struct mu_http_peer facts;
    struct mu_buf client_cert, client_chain, srp_user;
    struct mu_net_binding binding;
};
void mu_net_peer_learn_address(
    struct mu_net_peer *peer, int fd, const struct sockaddr_storage *from, int64_t group);
/* After the handshake. */
void mu_net_peer_learn_tls(struct mu_net_peer *peer, SSL *ssl);
/* The channel bindings, which few requests ask for. */
void mu_net_peer_learn_binding(struct mu_net_peer *peer, SSL *ssl);
void mu_net_peer_clear(struct mu_net_peer *peer);

/* Where one address and port is listened on: a socket for each worker. */
struct mu_net_endpoint {
    mu_net_handler *handler;
    void *cookie;
    size_t max_body;
    SSL_CTX *tls;    /* NULL: plain; replaced under the lock */
    pthread_mutex_t tls_lock;
    struct mu_net_srp srp;
    char *unix_path; /* NULL: not a Unix socket */
    int64_t unix_group; /* 0: none */
    int *fds;        /* one per worker; -1: none */
};

struct mu_net_worker {
    struct mu_net_server *server;
    unsigned index;
    pthread_t thread;
    bool started;
    struct event_base *base;
    struct event *wake, *retry, *grace;
    int wake_fd;
    struct mu_net_accept {
        struct mu_net_worker *worker;
        struct mu_net_endpoint *endpoint;
        struct event *event;
        int fd;
    } *accepts;
    size_t accept_n;
    bool accepting;
    bool stopping;
    struct mu_net_conn *conns; /* all that have a socket */
    unsigned conn_n;
    struct timeval deadline;
    const struct timeval *deadline_common; /* libevent's cheap form of it */
    int64_t date_s;
    char date[MU_TIME_TEXT];
    uint8_t scratch[MU_NET_READ_SIZE];

    pthread_mutex_t lock; /* guards what follows: any thread comes here */
    struct mu_net_reply *answered, **answered_last;
    bool wake_held; /* a thread that holds its wake-ups back has this worker in its list */
    bool stop_asked;
    int grace_s;
    bool ended; /* the thread takes no more answers */
};

struct mu_net_server {
    struct mu_net_server_config config;
    struct mu_net_endpoint **endpoints;
    size_t endpoint_n;
    struct mu_net_worker **workers;
    bool running;
    atomic_uint refs; /* the owner's, and one per answer that is owed */
};

struct mu_net_reply {
    struct mu_net_reply *next; /* in the worker's list of answers */
    struct mu_net_worker *worker;
    struct mu_net_conn *conn;
    struct mu_http_request request;
    struct mu_http_head head;
    struct mu_http_response response;
};

/* ---- net_listen.c ---- */
/* Binds and listens. *port gets the port in use; it stays as it is for a Unix socket. */
enum mu_code mu_net_listen_open(const struct mu_net_listener *listener, unsigned workers,
    struct mu_net_endpoint **out, uint16_t *port, struct mu_err *err) MU_CHECK;
/* Nobody connects after this; an accepted connection does not need it. */
void mu_net_listen_close(struct mu_net_endpoint *endpoint, unsigned workers);
void mu_net_listen_free(struct mu_net_endpoint *endpoint, unsigned workers);
/* For one accepted connection; NULL: no memory. */
SSL *mu_net_listen_ssl(struct mu_net_endpoint *endpoint);
/* What the next connections get. */
enum mu_code mu_net_listen_renew(
    struct mu_net_endpoint *endpoint, const struct mu_net_tls *tls, struct mu_err *err) MU_CHECK;

/* ---- net_server.c, net_conn.c ---- */
/* The worker whose thread this is; NULL on any other. */
extern _Thread_local struct mu_net_worker *mu_net_this_worker;

/* Takes fd over, also on failure. */
void mu_net_conn_accept(struct mu_net_worker *worker, struct mu_net_endpoint *endpoint, int fd,
    const struct sockaddr_storage *from);
/* On the worker's thread: true if the connection's handler runs right now, and then it will see
 * the answer when it returns. */
bool mu_net_conn_answered_inside(struct mu_net_conn *conn);
/* The answer for this reply is there; it and perhaps the connection are gone afterwards. */
void mu_net_conn_answer(struct mu_net_reply *reply);
/* Frees an answer nobody waits for any more. */
void mu_net_conn_drop_answer(struct mu_net_reply *reply);
/* The server ends: closes, or sees that it closes once its answer is out. */
void mu_net_conn_wind_up(struct mu_net_conn *conn);
void mu_net_conn_kill(struct mu_net_conn *conn);
struct mu_net_conn *mu_net_conn_next(const struct mu_net_conn *conn);

/* A connection has closed: there is room for another. */
void mu_net_worker_conn_closed(struct mu_net_worker *worker);
void mu_net_server_unref(struct mu_net_server *server);
/* Now, for the Date header; valid until the next call. */
const char *mu_net_worker_date(struct mu_net_worker *worker);

#endif
