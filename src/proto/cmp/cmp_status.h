/* Inside src/proto/cmp: PKIStatusInfo and PKIFreeText as parts of bodies. */
#ifndef MU_PROTO_CMP_STATUS_H
#define MU_PROTO_CMP_STATUS_H

#include "proto/cmp/cmp_body.h"

bool mu_cmp_status_get(struct mu_bytes *in, struct mu_cmp_status *out) MU_CHECK;
void mu_cmp_status_put(struct mu_buf *out, const struct mu_cmp_status *status);
/* PKIFreeText if it is next: its content; n 0 if not. */
bool mu_cmp_status_get_text(struct mu_bytes *in, struct mu_bytes *out) MU_CHECK;

#endif
