/* HTTP messages as data, with the facts of the peer they came from. */
#ifndef MU_HTTP_MSG_H
#define MU_HTTP_MSG_H

#include "base/buf.h"
#include "base/env.h"

enum { MU_HTTP_MAX_HEADERS = 64 };

struct mu_http_header {
    const char *name;
    const char *value;
};

/* Who sent it. Views, valid while the request is. */
struct mu_http_peer {
    char address[48];        /* "192.0.2.1", "::1", or "" on a Unix socket */
    uint16_t port;
    bool is_unix;
    int64_t uid;             /* peer credentials on a Unix socket, else -1 */
    bool in_group;           /* its process is in the group that the listener named */
    bool tls;
    int tls_version;         /* 0x0303, 0x0304 */
    struct mu_bytes client_cert;   /* DER of the leaf, n 0 if none; not judged */
    struct mu_bytes client_chain;  /* the others, DER one behind the other */
    struct mu_bytes tls_unique;    /* n 0 if not available (TLS 1.3) */
    struct mu_bytes tls_exporter;  /* 32 octets, RFC 9266 */
    /* Fills in the two above, which cost a key derivation; NULL: they are there. Only on the
     * thread that the request came on. Call mu_http_peer_bind. */
    void (*bind)(void *cookie);
    void *bind_cookie;
    const char *srp_user;          /* NULL if not SRP */
};

/* Before tls_unique or tls_exporter is read. */
static inline void mu_http_peer_bind(const struct mu_http_peer *peer)
{
    if (peer->bind != NULL)
        peer->bind(peer->bind_cookie);
}

/* A line for the trace, told once the connection stands and before the request goes out. */
struct mu_http_note {
    enum mu_trace_step step;
    const char *text;
};

struct mu_http_request {
    const char *method;     /* "GET", "POST" */
    const char *target;     /* server: raw path and query; client: the whole URL */
    int minor;              /* HTTP/1.<minor> */
    const struct mu_http_header *headers;
    size_t header_n;
    struct mu_bytes body;
    const struct mu_http_peer *peer; /* server side; NULL on the client */
    bool same_connection;   /* client: only on the connection of the last exchange */
    bool explicit_anchor;   /* client: only to a server that a named CA vouches for, not the system's
                               store alone; else done gets MU_AUTH and nothing is sent */
    const struct mu_http_note *notes; /* client */
    size_t note_n;
};

/* A request that owns what it points at, all but peer (NULL in the copy). Free wipes it: headers
 * and bodies carry passwords. */
enum mu_code mu_http_request_copy(const struct mu_http_request *request,
    struct mu_http_request **out, struct mu_err *err) MU_CHECK;
void mu_http_request_free(struct mu_http_request *copy);

/* Owns everything in it. {0} is valid. */
struct mu_http_response {
    int status;
    int minor;
    struct mu_http_header *headers;
    size_t header_n;
    struct mu_buf body;
    bool body_complete_by_close; /* client: no length was given */
};

/* First header of this name, case-insensitive; NULL if none. */
const char *mu_http_header_get(const struct mu_http_header *headers, size_t n, const char *name);
enum mu_code mu_http_response_add(struct mu_http_response *r, const char *name, const char *value,
    struct mu_err *err) MU_CHECK;
/* Sets status, Content-Type and body in one go. */
enum mu_code mu_http_response_set(struct mu_http_response *r, int status, const char *content_type,
    struct mu_bytes body, struct mu_err *err) MU_CHECK;
void mu_http_response_clear(struct mu_http_response *r);
const char *mu_http_status_text(int status);

/* "application/x-pki-message; charset=x" against "application/x-pki-message": case-insensitive,
 * parameters ignored (EST-06). */
bool mu_http_media_is(const char *content_type, const char *media);

#endif
