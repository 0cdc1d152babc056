/* Bodies of EST: base64 of DER in both directions (RFC 8951 3), and what is really sent. */
#ifndef MU_PROTO_EST_BODY_H
#define MU_PROTO_EST_BODY_H

#include "base/buf.h"

/* Base64, broken after 64 columns with a line end behind the last; or all of it in one line. */
bool mu_est_body_encode(struct mu_buf *out, struct mu_bytes der, bool one_line);
/* The DER (or BER) in a body, appended to der: base64 with any blanks and line ends in it, PEM
 * armor, or the octets themselves (IOP-21..23). What is neither is MU_INPUT. At most
 * MU_LIMIT_REPLY. A secret der is wiped. */
enum mu_code mu_est_body_decode(struct mu_bytes body, struct mu_buf *der, struct mu_err *err)
    MU_CHECK;

#endif
