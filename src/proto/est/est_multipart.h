/* multipart/mixed (RFC 2046 5.1), as far as serverkeygen's answer needs it (RFC 7030 4.4.2). */
#ifndef MU_PROTO_EST_MULTIPART_H
#define MU_PROTO_EST_MULTIPART_H

#include "base/buf.h"
#include "base/env.h"

enum { MU_EST_MULTIPART_MAX = 8, MU_EST_BOUNDARY_MAX = 70 };

struct mu_est_part {
    char type[128];       /* Content-Type, "" if there is none */
    struct mu_bytes body; /* view */
};
struct mu_est_multipart {
    struct mu_est_part parts[MU_EST_MULTIPART_MAX];
    size_t n;
};

/* Parts in their order; preamble and epilogue are skipped. content_type is that of the response. */
enum mu_code mu_est_multipart_decode(const char *content_type, struct mu_bytes body,
    struct mu_est_multipart *out, struct mu_err *err) MU_CHECK;
/* The first part of this media type; NULL if there is none. */
const struct mu_est_part *mu_est_multipart_get(const struct mu_est_multipart *m, const char *media);

/* Writing: a boundary that base64 cannot hold, parts, the end. */
enum mu_code mu_est_multipart_boundary(const struct mu_env *env,
    char out[MU_EST_BOUNDARY_MAX + 1], struct mu_err *err) MU_CHECK;
void mu_est_multipart_put(struct mu_buf *out, const char *boundary, const char *type,
    struct mu_bytes body);
void mu_est_multipart_end(struct mu_buf *out, const char *boundary);

#endif
