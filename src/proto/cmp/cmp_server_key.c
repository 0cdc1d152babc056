/* Keys made by the CA: to whom they can be sent, and as what (RFC 9483 4.1.6); and certificates that are
 * sent encrypted to their own key (RFC 9810 5.2.8.3.2). */
#include "base/limits.h"
#include "pki/pki_cms.h"
#include "pki/pki_key_package.h"
#include "proto/cmp/cmp_server_internal.h"

/* CMP-83: by password if and only if the request had a MAC; else to the certificate that signed
 * it, the way its key and keyUsage allow. */
static bool can_receive(struct mu_pki_cert *cert)
{
    struct mu_pki_key *key;
    struct mu_pki_key_spec spec;
    unsigned wanted;

    if (cert == NULL || mu_pki_cert_key(cert, &key, NULL) != MU_OK)
        return false;
    mu_pki_key_spec_of(key, &spec);
    if (spec.type != MU_PKI_KEY_RSA && spec.type != MU_PKI_KEY_EC)
        return false;
    wanted = spec.type == MU_PKI_KEY_RSA ? MU_KU_KEY_ENCIPHERMENT : MU_KU_KEY_AGREEMENT;
    return !cert->exts.has_key_usage || (cert->exts.key_usage & wanted) != 0;
}

enum mu_code mu_cmp_server_deliverable(const struct mu_cmp_server *s, struct mu_err *err)
{
    if (s->protection == MU_CMP_BY_MAC || can_receive(s->signer))
        return MU_OK;
    return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNDELIVERABLE,
        "cmp: a generated key could not be encrypted to the certificate that signs: RSA with "
        "keyEncipherment or EC with keyAgreement is needed (RFC 9483 4.1.6)");
}

enum mu_code mu_cmp_server_package(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_buf *out, struct mu_err *err)
{
    bool own = credential->kga_key == NULL || credential->kga_cert == NULL;
    struct mu_pki_key_package_params params = {
        .key = decision->key,
        .signer_key = own ? credential->key : credential->kga_key,
        .signer = own ? credential->cert : credential->kga_cert,
        .signer_chain = !own && credential->kga_chain != NULL ? credential->kga_chain : credential->ca_chain,
        .to = {.cipher = MU_PKI_AES256_CBC, .bare = true},
    };
    enum mu_code rc = mu_cmp_server_deliverable(s, err);

    if (rc != MU_OK)
        return rc;
    if (params.signer_key == NULL || params.signer == NULL)
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL,
            "cmp: no key to sign a generated key with (RFC 9483 4.1.6)");
    if (s->protection == MU_CMP_BY_MAC) {
        params.to.password = credential->password;
        params.to.aes_wrap = true; /* CMP-85 */
    } else {
        params.to.recipient = s->signer;
        params.to.rid_by_skid = true; /* CMP-84 */
    }
    return mu_pki_key_package_make(&params, s->env, out, err);
}

enum mu_code mu_cmp_server_check_indirect(
    const struct mu_cmp_server *s, const struct mu_cmp_cert_req *req, struct mu_err *err)
{
    struct mu_pki_key *key = NULL;
    struct mu_pki_key_spec spec = {.type = MU_PKI_KEY_OTHER};

    if (req->subsequent_message != 0)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_POP,
            "cmp: this kind of proof of possession is not served; a signature is, and an encrypted "
            "certificate (RFC 9810 5.2.8)");
    if (s->msg->header.pvno != MU_CMP_2021)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_POP,
            "cmp: a proof of possession by an encrypted certificate needs version 3 (RFC 9810 7)");
    if (mu_pki_key_from_spki(req->tmpl.spki, &key, NULL) == MU_OK)
        mu_pki_key_spec_of(key, &spec);
    mu_pki_key_free(key);
    if (spec.type != (req->popo == MU_CMP_POPO_KEY_ENCIPHERMENT ? MU_PKI_KEY_RSA : MU_PKI_KEY_EC))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_POP,
            "cmp: nothing can be encrypted to this key so as its proof of possession says: RSA for "
            "keyEncipherment, EC for keyAgreement (RFC 9810 5.2.8.3)");
    return MU_OK;
}

enum mu_code mu_cmp_server_encrypt(
    struct mu_cmp_server *s, struct mu_pki_cert *cert, struct mu_buf *out, struct mu_err *err)
{
    const struct mu_pki_enveloped_params params = {
        .recipient = cert, .rid_by_skid = true, .cipher = MU_PKI_AES256_CBC, .bare = true};

    mu_buf_init_secret(out, MU_LIMIT_MESSAGE);
    return mu_pki_enveloped_encode(&params, cert->der, s->env, out, err);
}
