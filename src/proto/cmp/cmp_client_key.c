/* Central key generation (RFC 9483 4.1.6): the private key out of its envelope, and who made it. */
#include "base/limits.h"
#include "pki/pki_key_package.h"
#include "proto/cmp/cmp_client_internal.h"

/* CMP-86: whoever signed the package is a key generation authority below what we trust, or the CA
 * itself. By MAC the envelope itself shows that it comes from who knows the secret. */
static enum mu_code check_authority(
    struct mu_cmp_client *c, struct mu_pki_key_package *package, struct mu_err *err)
{
    const struct mu_pki_path_opts opts = {
        .now_s = mu_env_now(c->config.env),
        .partial = true,
        .allow_legacy = c->config.allow_legacy,
    };
    const struct mu_pki_cert *signer = package->signer;
    char name[MU_CMP_NAME_TEXT];
    enum mu_code rc;

    if (mu_cmp_client_by_mac(c))
        return MU_OK;
    rc = mu_pki_path_check(package->signer, &package->certs, &c->trusted, &opts, err);
    if (rc != MU_OK) {
        mu_err_context(err, "cmp: who made the key");
        return rc;
    }
    if ((signer->exts.has_eku && (signer->exts.eku & MU_EKU_CM_KGA) != 0) || mu_pki_cert_is_ca(signer))
        return MU_OK;
    return mu_err_set(err, MU_AUTH, MU_REASON_NONE,
        "cmp: the key is signed by \"%s\", who is no key generation authority (RFC 9483 4.1.6)",
        mu_cmp_client_name(signer->subject, name));
}

enum mu_code mu_cmp_client_key_take(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    const struct mu_cmp_cert_response *r = &msg->body.u.rep.response;
    bool by_mac = mu_cmp_client_by_mac(c);
    const struct mu_pki_key_package_opener with = {
        .key = by_mac ? NULL : c->config.signer_key,
        .originators = &c->peer,
        .password = by_mac ? &c->secret : NULL,
        .allow_legacy = c->config.allow_legacy,
        .bare = true,
    };
    struct mu_pki_key_package package = {.key = NULL};
    enum mu_code rc;

    if (r->private_key.p == NULL)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: %s (RFC 9483 4.1.6)",
            r->has_encrypted_value ? "the private key comes in the old form (EncryptedValue)"
                                   : "no private key beside the certificate");
    rc = mu_pki_key_package_open(r->private_key, &with, &package, err);
    if (rc != MU_OK) {
        mu_err_context(err, "cmp: the private key that the CA made");
        return rc;
    }
    rc = check_authority(c, &package, err);
    if (rc == MU_OK) {
        mu_pki_key_free(c->new_key);
        c->new_key = mu_pki_key_ref(package.key);
    }
    mu_pki_key_package_clear(&package);
    return rc;
}
