/* What EST's bodies hold: see est_msg.h. */
#include "proto/est/est_msg.h"

#include "base/limits.h"
#include "pki/pki_cms.h"
#include "proto/est/est_body.h"

enum mu_code mu_est_msg_certs_decode(
    struct mu_bytes body, struct mu_pki_certs *list, struct mu_err *err)
{
    struct mu_buf der = {.max = MU_LIMIT_REPLY};
    enum mu_code rc;

    rc = mu_est_body_decode(body, &der, err);
    if (rc == MU_OK)
        rc = mu_pki_certs_decode(mu_buf_bytes(&der), list, err);
    if (rc == MU_OK && list->n == 0)
        rc = mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "est: there is no certificate in the answer (RFC 7030 4.2.3)");
    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_est_msg_certs_encode(
    const struct mu_pki_certs *list, struct mu_buf *der, struct mu_err *err)
{
    mu_pki_certs_only_encode(list, mu_bytes(NULL, 0), der);
    return mu_buf_check(der, "certificates", err);
}

enum mu_code mu_est_msg_key_encode(
    const struct mu_pki_key *key, struct mu_buf *der, struct mu_err *err)
{
    struct mu_buf pem = {.max = 0};
    enum mu_code rc;

    mu_buf_init_secret(&pem, MU_LIMIT_MESSAGE);
    rc = mu_pki_key_encode(key, NULL, &pem, err);
    if (rc == MU_OK)
        rc = mu_est_body_decode(mu_buf_bytes(&pem), der, err);
    mu_buf_clear(&pem);
    return rc;
}

enum mu_code mu_est_msg_key_decode(
    struct mu_bytes body, struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_buf der = {.max = 0};
    enum mu_code rc;

    mu_buf_init_secret(&der, MU_LIMIT_MESSAGE);
    rc = mu_est_body_decode(body, &der, err);
    if (rc == MU_OK)
        rc = mu_pki_key_decode(mu_buf_bytes(&der), NULL, out, err);
    if (rc != MU_OK)
        mu_err_context(err, "est: the key of the answer (RFC 7030 4.4.2)");
    mu_buf_clear(&der);
    return rc;
}
