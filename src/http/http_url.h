/* URLs, percent-encoding and query strings, as data. */
#ifndef MU_HTTP_URL_H
#define MU_HTTP_URL_H

#include "base/buf.h"

struct mu_http_url {
    char scheme[8];   /* "http", "https", lower case */
    char host[256];   /* without brackets */
    bool is_ipv6;
    uint16_t port;    /* default filled in */
    bool has_port;
    const char *path; /* into the text given: path and query, "" if none */
};

/* text without scheme gets default_scheme (NULL: an error). User info is refused: secrets do not
 * belong there. */
enum mu_code mu_http_url_parse(const char *text, const char *default_scheme,
    struct mu_http_url *out, struct mu_err *err) MU_CHECK;

/* Escapes all but unreserved characters (so '+', '/', '=' too). */
bool mu_http_percent_encode(struct mu_buf *out, struct mu_bytes v);
/* Decodes %XX; leaves '+' alone; broken escapes stay as they are. */
bool mu_http_percent_decode(struct mu_buf *out, struct mu_bytes v);
/* Raw value of key in the query of a raw target ("/x?operation=..&message=.."); the value of
 * 'message' may itself contain raw '=' '+' '/'. False if absent. */
bool mu_http_query_get(const char *target, const char *key, struct mu_bytes *raw);
/* Path of a raw target, without the query. */
struct mu_bytes mu_http_target_path(const char *target);

#endif
