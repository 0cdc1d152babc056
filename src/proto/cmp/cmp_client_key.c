/* Central key generation (RFC 9483 4.1.6): the private key out of its envelope. */
#include "base/limits.h"
#include "proto/cmp/cmp_client_internal.h"

enum mu_code mu_cmp_client_key_take(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    (void)c;
    (void)msg;
    return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
        "cmp: a key made by the CA cannot be opened here (RFC 9483 4.1.6)");
}
