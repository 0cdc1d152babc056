/*
 * EST in HTTP (RFC 7030 3.2): paths with and without a label, operations with their methods and
 * media types, for both roles.
 */
#ifndef MU_PROTO_EST_HTTP_H
#define MU_PROTO_EST_HTTP_H

#include "http/http_msg.h"

#define MU_EST_PATH "/.well-known/est"
#define MU_EST_MEDIA_PKCS7 "application/pkcs7-mime"
#define MU_EST_MEDIA_CERTS_ONLY "application/pkcs7-mime; smime-type=certs-only"
#define MU_EST_MEDIA_KEY_CMS "application/pkcs7-mime; smime-type=server-generated-key"
#define MU_EST_MEDIA_PKCS8 "application/pkcs8"
#define MU_EST_MEDIA_PKCS10 "application/pkcs10"
#define MU_EST_MEDIA_CSRATTRS "application/csrattrs"
#define MU_EST_MEDIA_MULTIPART "multipart/mixed"

enum mu_est_op {
    MU_EST_CACERTS, MU_EST_CSRATTRS, MU_EST_SIMPLEENROLL, MU_EST_SIMPLEREENROLL,
    MU_EST_SERVERKEYGEN, MU_EST_FULLCMC, MU_EST_OP_N,
};
enum { MU_EST_LABEL_MAX = 64 };

struct mu_est_path {
    enum mu_est_op op;
    char label[MU_EST_LABEL_MAX + 1]; /* "" if none */
};

/* "simpleenroll" */
const char *mu_est_http_op_name(enum mu_est_op op);
/* Method of an operation: "GET" or "POST". */
const char *mu_est_http_method(enum mu_est_op op);
/* Is this raw target below /.well-known/est? */
bool mu_est_http_is(const char *target);
/* Raw target of a request. What is no operation of EST is MU_NOT_FOUND (EST-80). */
enum mu_code mu_est_http_parse(const char *target, struct mu_est_path *out, struct mu_err *err)
    MU_CHECK;
/* The client's URL of an operation: url with or without the well-known part, which may already
 * have a label; label NULL or "": none to add. Checks it: http:// is M201. */
enum mu_code mu_est_http_url(const char *url, const char *label, enum mu_est_op op,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;

#endif
