/*
 * Inside src/proto/cmp: readers and writers of the kinds of PKIBody, for the table in cmp_body.c.
 * in is what the body's tag holds. False: cannot be read; err may hold a better sentence.
 */
#ifndef MU_PROTO_CMP_BODY_INTERNAL_H
#define MU_PROTO_CMP_BODY_INTERNAL_H

#include "proto/cmp/cmp_body.h"

/* Counts the elements of a SEQUENCE OF that is all there is; *first gets the first whole one. */
bool mu_cmp_body_get_list(struct mu_bytes in, size_t max, size_t *n, struct mu_bytes *first) MU_CHECK;
bool mu_cmp_body_get_int(struct mu_bytes *in, int64_t *out) MU_CHECK;

bool mu_cmp_body_get_req(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_req(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_p10(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_p10(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_rep(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_rep(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_rr(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_rr(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_rp(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_rp(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_conf(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_conf(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_null(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_null(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_poll_req(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_poll_req(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_poll_rep(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_poll_rep(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_error(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_error(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_gen(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_gen(const struct mu_cmp_body *b, struct mu_buf *out);
bool mu_cmp_body_get_nested(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err);
void mu_cmp_body_put_nested(const struct mu_cmp_body *b, struct mu_buf *out);

#endif
