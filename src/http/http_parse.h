/*
 * Requests as they stand on the wire: the head (request line and fields) and chunked bodies, as
 * a server reads them. Strict where leniency lets two readers see two messages (RFC 9112 11.2):
 * duplicate or conflicting lengths, folded lines, blanks before a colon and in the target, a
 * missing or second Host are refused.
 */
#ifndef MU_HTTP_PARSE_H
#define MU_HTTP_PARSE_H

#include "http/http_msg.h"

struct mu_http_head {
    const char *method;
    const char *target; /* raw */
    int minor;          /* 0 or 1 */
    struct mu_http_header headers[MU_HTTP_MAX_HEADERS];
    size_t header_n;
    bool chunked;
    uint64_t length;      /* Content-Length, 0 if none */
    bool keep_alive;      /* the client does not mind another request on this connection */
    bool expect_continue; /* it waits for "100 Continue" */
};

/* Octets of the head at the front of in, empty line included; 0 while it is not complete.
 * *scanned (0 at first) remembers how far it has looked. */
size_t mu_http_head_end(struct mu_bytes in, size_t *scanned);

/* text is a whole head of n octets with a NUL behind it; it is cut up in place and out points
 * into it. Returns 0, or the status to answer with and *why in a few words. */
int mu_http_head_parse(char *text, size_t n, struct mu_http_head *out, const char **why);

/* A chunked body, fed piece by piece. {0} is the beginning. */
struct mu_http_chunks {
    int state;
    uint64_t left;    /* of this chunk */
    unsigned digits;
    size_t line_n;    /* octets of the trailer or extension so far */
};
enum mu_http_chunk_result { MU_HTTP_CHUNK_MORE, MU_HTTP_CHUNK_DONE, MU_HTTP_CHUNK_BAD,
    MU_HTTP_CHUNK_TOO_LONG };
/* Takes octets of in, appends content to body (up to max octets in all) and says in *used how
 * many it took; those behind the end of the body are left. Trailer fields are dropped. */
enum mu_http_chunk_result mu_http_chunks_decode(struct mu_http_chunks *c, struct mu_bytes in,
    size_t *used, struct mu_buf *body, size_t max);

#endif
