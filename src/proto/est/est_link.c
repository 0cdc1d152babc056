/* Linking identity and proof of possession: see est_link.h. */
#include "proto/est/est_link.h"

#include "base/text.h"

enum mu_code mu_est_link_make(
    struct mu_bytes binding, struct mu_secret *challenge, struct mu_err *err)
{
    struct mu_buf text = {.max = 0};
    enum mu_code rc;

    mu_buf_init_secret(&text, 1024);
    mu_text_base64(&text, binding, 0);
    rc = mu_buf_check(&text, "channel binding", err);
    if (rc == MU_OK)
        rc = mu_secret_set(challenge, mu_buf_bytes(&text), err);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_est_link_check(
    const struct mu_secret *challenge, const struct mu_http_peer *peer, struct mu_err *err)
{
    struct mu_buf value = {.max = 0};
    bool equal = false;

    if (peer != NULL)
        mu_http_peer_bind(peer);
    if (peer == NULL || (peer->tls_unique.n == 0 && peer->tls_exporter.n == 0))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_LINK,
            "est: the challengePassword links the request to a TLS session, but this connection "
            "has no channel binding (RFC 7030 3.5)");
    mu_buf_init_secret(&value, 1024);
    if (mu_text_unbase64(mu_secret_bytes(challenge), &value, NULL) == MU_OK && value.n != 0)
        equal = mu_bytes_equal_secret(mu_buf_bytes(&value), peer->tls_unique)
            || mu_bytes_equal_secret(mu_buf_bytes(&value), peer->tls_exporter);
    mu_buf_clear(&value);
    if (equal)
        return MU_OK;
    return mu_err_set(err, MU_AUTH, MU_REFUSE_LINK,
        "est: the challengePassword of the request is not the channel binding of this TLS session: "
        "the proof of possession is linked to another connection (RFC 7030 3.5)");
}
