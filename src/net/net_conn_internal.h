/* What the files of one server connection share: net_conn.c has its life and its requests,
 * net_conn_io.c its octets and events, net_conn_answer.c its answers. */
#ifndef MU_NET_CONN_INTERNAL_H
#define MU_NET_CONN_INTERNAL_H

#include <sys/types.h>

#include "net/net_conn.h"

enum mu_net_conn_state {
    CONN_HANDSHAKE,
    CONN_HEAD,
    CONN_BODY,
    CONN_HANDLING,
    CONN_WRITING,
    CONN_LINGER,
};

enum {
    MU_NET_ONE_WRITE = 16 * 1024, /* bodies up to here share a write with their head */
};

struct mu_net_conn {
    struct mu_net_conn *next, **link;
    struct mu_net_worker *worker;
    struct mu_net_endpoint *endpoint;
    int fd; /* -1: closed, and only kept for the answer that is owed */
    SSL *ssl;
    struct event readable, writable, deadline;
    bool reads, writes; /* which of the events are added */
    bool write_reads;   /* TLS wants to read before it writes on */
    enum mu_net_conn_state state;

    struct mu_buf in;   /* received and not used yet */
    size_t scanned;     /* how far in was searched for the end of the head */
    struct mu_buf head; /* of the request at hand, cut up by the parser */
    struct mu_buf body; /* of a chunked request */
    struct mu_http_chunks chunks;
    struct mu_net_reply *reply; /* the request at hand */
    bool in_handler, answered;

    struct mu_buf out;  /* status line and headers, and a short body */
    struct mu_buf tail; /* a long body */
    size_t sent;        /* of out and tail together */
    bool close_after, refused;
    size_t lingered;

    struct mu_net_peer peer;
    bool peer_known;
};

/* ---- net_conn.c ---- */

void mu_net_conn_free(struct mu_net_conn *c);
void mu_net_conn_reply_free(struct mu_net_reply *r);
/* Goes as far as the octets that are there allow. */
void mu_net_conn_process(struct mu_net_conn *c);
/* Drops the first n octets of what was received. */
void mu_net_conn_consume(struct mu_buf *b, size_t n);

/* ---- net_conn_io.c: recv and send return > 0, 0 at the end, -1 try later, -2 broken ---- */

/* Adds or removes an event; added says which it is. */
void mu_net_conn_want(struct event *event, bool *added, bool wanted);
/* Asks for more input, also of what OpenSSL has read already. */
void mu_net_conn_want_more(struct mu_net_conn *c);
void mu_net_conn_start_deadline(struct mu_net_conn *c);
/* Into the worker's scratch. */
ssize_t mu_net_conn_recv(struct mu_net_conn *c);
ssize_t mu_net_conn_send(struct mu_net_conn *c, struct mu_bytes first, struct mu_bytes second);
/* What an OpenSSL call or a system call returned, in the words above. */
ssize_t mu_net_conn_tls_result(struct mu_net_conn *c, int n);
ssize_t mu_net_conn_plain_result(struct mu_net_conn *c, ssize_t n);

/* ---- net_conn_answer.c ---- */

/* Gives the client time to read a refusal: closing with octets unread would reset the connection
 * under it. */
void mu_net_conn_start_linger(struct mu_net_conn *c);
/* Writes what can be written. True: all is out and the next request may come. False: not yet, or
 * the connection is closed; the caller touches it no more. */
bool mu_net_conn_flush(struct mu_net_conn *c);
/* Hands the answer of the request at hand to the socket. As flush. */
bool mu_net_conn_send_answer(struct mu_net_conn *c);
/* Answers what is no request we take, and closes. */
void mu_net_conn_refuse(struct mu_net_conn *c, int status, const char *why);

#endif
