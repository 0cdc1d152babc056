/*
 * Requests of the local socket: a table of method, path and handler. A call is answered once, by
 * its handler or by whoever the handler gave it to, on any thread; the same table serves the
 * socket and a command that does the work itself.
 */
#ifndef MU_WEB_KIT_ROUTER_H
#define MU_WEB_KIT_ROUTER_H

#include "http/http_msg.h"
#include "web/kit/kit_json.h"

struct mu_kit_call {
    void *context; /* the router's */
    json_t *in; /* object: the body's members, and the query's as text; never NULL */
    char *arg; /* what {} in the pattern stood for, decoded; NULL without */
    int64_t uid; /* who asks */
};

typedef void mu_kit_handler(struct mu_kit_call *call);

struct mu_kit_route {
    const char *method; /* "GET", "POST", "DELETE"; NULL ends the table */
    const char *pattern; /* "/v1/queue/{}/approve": {} is one path segment, at most one of them */
    mu_kit_handler *handler;
};

struct mu_kit_router {
    const struct mu_kit_route *routes;
    void *context;
    int64_t owner_uid; /* besides root: whose requests are taken */
    const char *readers; /* name of the group that may GET; NULL: nobody else */
};

/* Takes over the content of response. May come before mu_kit_dispatch returns. */
typedef void mu_kit_done(void *cookie, struct mu_http_response *response);

/* Finds the route, decodes, checks who asks (peer credentials of a Unix socket: root, the owner,
 * for GET the readers), calls the handler. Whatever goes wrong before it is answered in JSON too. The request
 * need not outlive the call of this function. */
void mu_kit_dispatch(const struct mu_kit_router *router, const struct mu_http_request *request,
    mu_kit_done *done, void *cookie);

/* Exactly one of these per call; the call is gone afterwards. out is taken and gets "schema". */
void mu_kit_call_answer(struct mu_kit_call *call, json_t *out);
void mu_kit_call_fail(struct mu_kit_call *call, const struct mu_err *err);
/* A text that is made already; the buffer stays the caller's. */
void mu_kit_call_answer_text(
    struct mu_kit_call *call, const char *content_type, const struct mu_buf *text);

#endif
