/*
 * One connection of the server, and what it shares with its worker. A worker is one thread with
 * one event loop; all of a connection happens there. Only net_server.c and net_conn.c include
 * this.
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

/* Where one address and port is listened on: a socket for each worker. */
struct mu_net_endpoint {
    mu_net_handler *handler;
    void *cookie;
    size_t max_body;
    SSL_CTX *tls;    /* NULL: plain */
    char *unix_path; /* NULL: not a Unix socket */
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
