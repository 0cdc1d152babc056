/* serverkeygen, the client's side: how the key is asked for, and opened (RFC 7030 4.4). */
#include "base/limits.h"
#include "pki/pki_key_package.h"
#include "proto/est/est_body.h"
#include "proto/est/est_client_internal.h"
#include "proto/est/est_keygen.h"

enum mu_code mu_est_client_key_wish(
    const struct mu_est_client *c, struct mu_buf *attributes, struct mu_err *err)
{
    uint8_t room[20];

    if (mu_secret_is_set(&c->kek))
        mu_est_keygen_put(MU_EST_KEYGEN_SECRET, mu_buf_bytes(&c->kek_id), attributes);
    else if (c->config.decrypt_cert != NULL)
        mu_est_keygen_put(
            MU_EST_KEYGEN_CERT, mu_est_keygen_id(c->config.decrypt_cert, room), attributes);
    return mu_buf_check(attributes, "attributes of serverkeygen", err);
}

/* EnvelopedData by itself begins with its version, in a ContentInfo with an OID. */
static bool is_bare(struct mu_bytes der)
{
    struct mu_der outer;

    return mu_der_next(&der, &outer) && mu_der_peek(outer.value) == MU_DER_INTEGER;
}

/* Whoever made the key has to be of the CA that is trusted. */
static enum mu_code check_signer(struct mu_est_client *c, struct mu_pki_key_package *package,
    struct mu_err *err)
{
    enum mu_code rc = mu_est_client_ca_path(
        c, package->signer, &package->certs, mu_env_now(c->config.env), err);
    char name[MU_EST_NAME_TEXT];

    if (rc == MU_OK)
        mu_est_client_trace(c, MU_TRACE_REPLY, "key *, made by %s, signature ok",
            mu_est_client_name(package->signer->subject, name));
    else
        mu_err_context(err, "est: who made the key is not known (RFC 7030 4.4.2)");
    return rc;
}

enum mu_code mu_est_client_key_open(struct mu_est_client *c, struct mu_bytes body, struct mu_err *err)
{
    struct mu_pki_key_package_opener with = {
        .key = c->config.decrypt_key,
        .originators = &c->ca_certs,
        .kek = mu_secret_is_set(&c->kek) ? &c->kek : NULL,
        .allow_legacy = c->config.allow_legacy,
    };
    struct mu_pki_key_package package = {.key = NULL};
    struct mu_buf der = {.max = 0};
    enum mu_code rc;

    mu_buf_init_secret(&der, MU_LIMIT_MESSAGE);
    rc = mu_est_body_decode(body, &der, err);
    if (rc == MU_OK) {
        with.bare = is_bare(mu_buf_bytes(&der));
        rc = mu_pki_key_package_open(mu_buf_bytes(&der), &with, &package, err);
    }
    if (rc == MU_OK)
        rc = check_signer(c, &package, err);
    else
        mu_err_context(err, "est: the encrypted key of the answer (RFC 7030 4.4.2)");
    if (rc == MU_OK) {
        c->made_key = package.key;
        package.key = NULL;
    }
    mu_pki_key_package_clear(&package);
    mu_buf_clear(&der);
    return rc;
}
