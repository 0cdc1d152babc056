/*
 * A mu_transport without a network: each request goes to a function, the answer comes back on the
 * loop. So a client runs against a server engine, or against a scripted peer, in one thread.
 */
#ifndef MU_FAKE_TRANSPORT_H
#define MU_FAKE_TRANSPORT_H

#include "base/loop.h"
#include "http/http_transport.h"

/* Fills the response, or sets err (mu_err_set) to make the exchange fail. */
typedef void mu_fake_serve(void *cookie, const struct mu_http_request *request,
    struct mu_http_response *response, struct mu_err *err);

/* For servers that answer later: exchange is answered once, from any thread. */
struct mu_fake_exchange;
typedef void mu_fake_serve_later(
    void *cookie, const struct mu_http_request *request, struct mu_fake_exchange *exchange);
/* Takes the response's content. err (may be NULL) with a code makes the exchange fail. */
void mu_fake_exchange_answer(
    struct mu_fake_exchange *exchange, struct mu_http_response *response, const struct mu_err *err);

/* The server's side of the request gets peer facts of a plain connection from 192.0.2.1 unless
 * mu_fake_transport_peer says otherwise. The target is the client's: the whole URL; where the
 * server wants path and query only, mu_fake_transport_strip cuts it. */
struct mu_transport *mu_fake_transport_new(struct mu_loop *loop, mu_fake_serve *serve, void *cookie);
struct mu_transport *mu_fake_transport_new_later(
    struct mu_loop *loop, mu_fake_serve_later *serve, void *cookie);
/* All sessions must be closed. */
void mu_fake_transport_free(struct mu_transport *transport);

/* The next n exchanges fail so, without reaching the server (n < 0: all). */
void mu_fake_transport_fail(struct mu_transport *transport, int n, enum mu_code code,
    enum mu_reason reason);
/* Requests whose URL has this in it are not connected (M102); NULL: none. */
void mu_fake_transport_fail_host(struct mu_transport *transport, const char *host);
/* The server gets the next n requests, but the client gets no answer (M103). */
void mu_fake_transport_lose_answers(struct mu_transport *transport, int n);
/* Requests arrive as "/path?query". */
void mu_fake_transport_strip(struct mu_transport *transport);
/* Copied, but what it points at is borrowed. */
void mu_fake_transport_peer(struct mu_transport *transport, const struct mu_http_peer *peer);
void mu_fake_transport_facts(struct mu_transport *transport, const struct mu_http_facts *facts);
/* What a service presents to a peek: DER, borrowed until the next call; n 0: it refuses the connection.
 * Without one every service does. */
typedef struct mu_bytes mu_fake_presents(void *cookie, const char *host, unsigned port);
void mu_fake_transport_presents(
    struct mu_transport *transport, mu_fake_presents *presents, void *cookie);
/* Sends so far, failed ones included. */
unsigned mu_fake_transport_sends(const struct mu_transport *transport);
unsigned mu_fake_transport_sessions(const struct mu_transport *transport); /* open now */

#endif
