/* serverkeygen, the client's side: how the key is asked for, and opened (RFC 7030 4.4). */
#include "proto/est/est_client_internal.h"
#include "proto/est/est_msg.h"

enum mu_code mu_est_client_key_wish(
    const struct mu_est_client *c, struct mu_buf *attributes, struct mu_err *err)
{
    (void)attributes;
    if (!mu_secret_is_set(&c->kek) && c->config.decrypt_cert == NULL)
        return MU_OK;
    return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
        "est: keys encrypted to the client are not known here");
}

enum mu_code mu_est_client_key_open(struct mu_est_client *c, struct mu_bytes body, struct mu_err *err)
{
    (void)c;
    (void)body;
    return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
        "est: keys encrypted to the client are not known here");
}
