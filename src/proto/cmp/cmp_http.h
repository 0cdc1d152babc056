/* CMP over HTTP (RFC 9811): paths, labels, media type. */
#ifndef MU_PROTO_CMP_HTTP_H
#define MU_PROTO_CMP_HTTP_H

#include "http/http_msg.h"
#include "http/http_url.h"

#define MU_CMP_MEDIA "application/pkixcmp"
#define MU_CMP_MEDIA_POLL "application/pkixcmp-poll" /* taken as the same (CMP-116) */
#define MU_CMP_PATH_DEFAULT "/app/cert/cmp2"

/* Where a path leads. Views into static text and buffers below. */
struct mu_cmp_path {
    char label[68];       /* of /.well-known/cmp/p/<label>, "" if none */
    char operation[32];   /* "initialization" ..., "" if none; not judged against the body */
    bool closes;          /* /app/cert/cmp2 ends its connections (C036) */
};

/* True if the path is one of CMP's: /.well-known/cmp[/<operation>],
 * /.well-known/cmp/p/<label>[/<operation>], /pkix[/], /app/cert/cmp2[/], the last two with any
 * trailing slash. target is raw; a query is ignored; percent-encoding of a label is undone. */
bool mu_cmp_http_path(const char *target, struct mu_cmp_path *out);
bool mu_cmp_http_media_is(const char *content_type);

/* Client: the URL to post to. Without a scheme http:// is put in front, without a path
 * MU_CMP_PATH_DEFAULT behind (C012). A label (NULL: none) is appended to /.well-known/cmp. */
enum mu_code mu_cmp_http_url(const char *url, const char *label, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;

#endif
