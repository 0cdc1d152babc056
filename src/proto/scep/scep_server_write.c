/* The server engine's way out: capabilities, CA certificates, and CertReps. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/scep/scep_caps.h"
#include "proto/scep/scep_server_internal.h"

/* SCEP-17..20; single DES and MD5 are never offered, whatever the switch says (SCEP-05). */
static enum mu_code write_caps(const struct mu_credential *credential,
    struct mu_http_response *response, struct mu_err *err)
{
    unsigned caps = MU_SCEP_CAP_AES | MU_SCEP_CAP_POST | MU_SCEP_CAP_RENEWAL
        | MU_SCEP_CAP_STANDARD | MU_SCEP_CAP_SHA256 | MU_SCEP_CAP_SHA512;
    struct mu_buf list = {.max = 1024};
    enum mu_code rc;

    if (credential->caps_sha384)
        caps |= MU_SCEP_CAP_SHA384;
    if (credential->allow_legacy)
        caps |= MU_SCEP_CAP_DES3 | MU_SCEP_CAP_SHA1;
    if (credential->next_ca != NULL && credential->next_ca->n != 0)
        caps |= MU_SCEP_CAP_NEXT_CA; /* SCEP-77 */
    mu_scep_caps_format(caps, &list);
    rc = mu_buf_check(&list, "capabilities", err);
    if (rc == MU_OK)
        rc = mu_http_response_set(response, 200, "text/plain", mu_buf_bytes(&list), err);
    mu_buf_clear(&list);
    return rc;
}

/* One certificate as such (SCEP-26, IOP-08), several as certs-only: RAs, then the issuing CA up to
 * the root (SCEP-27). */
static enum mu_code write_ca_certs(const struct mu_credential *credential,
    struct mu_http_response *response, struct mu_err *err)
{
    const struct mu_pki_certs *chain = credential->ca_chain, *ra = credential->ra;
    size_t ra_n = ra != NULL ? ra->n : 0, i;
    struct mu_pki_certs all = {.n = 0};
    struct mu_buf body = {.max = MU_LIMIT_REPLY};
    enum mu_code rc = MU_OK;

    if (chain == NULL || chain->n == 0)
        return mu_err_set(
            err, MU_INTERNAL, MU_REFUSE_INTERNAL, "scep: there is no CA certificate to hand out");
    if (credential->single_ca_cert || chain->n + ra_n == 1)
        return mu_http_response_set(response, 200, MU_SCEP_MEDIA_CA, chain->v[0]->der, err);
    for (i = 0; i < ra_n && rc == MU_OK; i++)
        rc = mu_pki_certs_add(&all, ra->v[i], err);
    for (i = 0; i < chain->n && rc == MU_OK; i++)
        rc = mu_pki_certs_add(&all, chain->v[i], err);
    if (rc == MU_OK) {
        mu_pki_certs_only_encode(&all, mu_bytes(NULL, 0), &body);
        rc = mu_buf_check(&body, "CA certificates", err);
    }
    if (rc == MU_OK)
        rc = mu_http_response_set(response, 200, MU_SCEP_MEDIA_CA_RA, mu_buf_bytes(&body), err);
    mu_pki_certs_clear(&all);
    mu_buf_clear(&body);
    return rc;
}

/* certs-only inside a SignedData of the current CA (SCEP-75). */
static enum mu_code write_next_ca(const struct mu_credential *credential,
    struct mu_http_response *response, struct mu_err *err)
{
    struct mu_pki_certs signer = {.n = 0};
    struct mu_pki_signed_params params = {.key = credential->ca_key, .certs = &signer};
    struct mu_buf inner = {.max = MU_LIMIT_REPLY}, body = {.max = MU_LIMIT_REPLY};
    enum mu_code rc;

    if (credential->next_ca == NULL || credential->next_ca->n == 0)
        return mu_http_response_set(
            response, 404, "text/plain", mu_bytes_str("There is no successor certificate.\n"), err);
    if (credential->ca_key == NULL || credential->ca_chain == NULL || credential->ca_chain->n == 0)
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL,
            "scep: the CA key to sign the successor certificate with is missing");
    params.cert = credential->ca_chain->v[0];
    params.digest = mu_pki_key_default_digest(credential->ca_key);
    params.sign_alg_rsa_encryption = credential->sign_alg_rsa_encryption;
    rc = mu_pki_certs_add(&signer, credential->ca_chain->v[0], err);
    if (rc == MU_OK) {
        mu_pki_certs_only_encode(credential->next_ca, mu_bytes(NULL, 0), &inner);
        rc = mu_buf_check(&inner, "successor certificates", err);
    }
    if (rc == MU_OK) {
        params.content = mu_buf_bytes(&inner);
        rc = mu_pki_signed_encode(&params, &body, err);
    }
    if (rc == MU_OK)
        rc = mu_http_response_set(response, 200, MU_SCEP_MEDIA_NEXT_CA, mu_buf_bytes(&body), err);
    mu_pki_certs_clear(&signer);
    mu_buf_clear(&inner);
    mu_buf_clear(&body);
    return rc;
}

/* ---- CertRep ---- */

/* What goes into the envelope: the certificate first, then the CA's where a device needs it; or
 * the CRL alone (SCEP-57, SCEP-74). */
static enum mu_code reply_data(const struct mu_scep_server *s,
    const struct mu_credential *credential, const struct mu_decision *decision, struct mu_buf *out,
    struct mu_err *err)
{
    struct mu_pki_certs list = {.n = 0};
    enum mu_code rc = MU_OK;
    size_t i;

    if (s->claim.op == MU_OP_GET_CRL) {
        if (decision->crl.n == 0)
            return mu_err_set(
                err, MU_INTERNAL, MU_REFUSE_INTERNAL, "scep: a decision without its CRL");
        mu_pki_certs_only_encode(&list, decision->crl, out);
        return mu_buf_check(out, "CRL", err);
    }
    if (decision->cert == NULL)
        return mu_err_set(
            err, MU_INTERNAL, MU_REFUSE_INTERNAL, "scep: a decision without its certificate");
    rc = mu_pki_certs_add(&list, decision->cert, err);
    for (i = 0; credential->ca_in_reply && decision->chain != NULL && i < decision->chain->n
        && rc == MU_OK;
        i++)
        rc = mu_pki_certs_add(&list, decision->chain->v[i], err);
    if (rc == MU_OK) {
        mu_pki_certs_only_encode(&list, mu_bytes(NULL, 0), out);
        rc = mu_buf_check(out, "certificates", err);
    }
    mu_pki_certs_clear(&list);
    return rc;
}

/* IOP-15: the request's own cipher if it is allowed; what is only accepted becomes its nearest. */
static enum mu_pki_cipher reply_cipher(
    const struct mu_scep_server *s, const struct mu_credential *credential)
{
    enum mu_pki_cipher cipher = s->enveloped.cipher;

    if (cipher == MU_PKI_AES256_GCM)
        return MU_PKI_AES256_CBC;
    if (cipher == MU_PKI_CIPHER_NONE || cipher == MU_PKI_AES128_GCM
        || (mu_pki_cipher_is_legacy(cipher) && !credential->allow_legacy))
        return MU_PKI_AES128_CBC;
    return cipher;
}

static enum mu_pki_digest reply_digest(
    const struct mu_scep_server *s, const struct mu_credential *credential)
{
    enum mu_pki_digest digest = s->msg.cms.digest, own;

    own = mu_pki_key_default_digest(credential->key);
    if (own == MU_PKI_DIGEST_NONE || digest == MU_PKI_DIGEST_NONE
        || (mu_pki_digest_is_legacy(digest) && !credential->allow_legacy))
        return own;
    return digest;
}

/* To the certificate that signed the request, never to the new one (SCEP-38). */
static enum mu_code reply_envelope(struct mu_scep_server *s,
    const struct mu_credential *credential, const struct mu_decision *decision, struct mu_buf *out,
    struct mu_err *err)
{
    struct mu_pki_enveloped_params params = {
        .cipher = reply_cipher(s, credential),
        .allow_legacy = credential->allow_legacy,
    };
    struct mu_buf plain = {.max = MU_LIMIT_REPLY};
    enum mu_code rc;

    if (s->signer == NULL || !mu_scep_server_deliverable(s, credential, &params.password))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNDELIVERABLE,
            "scep: the answer cannot be encrypted to the signer of the request (RFC 8894 3.1)");
    if (params.password == NULL)
        params.recipient = s->signer;
    rc = reply_data(s, credential, decision, &plain, err);
    if (rc == MU_OK)
        rc = mu_pki_enveloped_encode(&params, mu_buf_bytes(&plain), s->env, out, err);
    mu_buf_clear(&plain);
    return rc;
}

/* Reason and sentence of a refusal as failInfo and text. */
static void reply_refusal(const struct mu_err *refusal, struct mu_scep_msg_params *params)
{
    const struct mu_err_row *row = mu_err_row(refusal->reason);

    params->status = MU_SCEP_FAILURE;
    params->fail_info = row != NULL && row->scep_fail_info >= 0 ? row->scep_fail_info
                                                                : MU_SCEP_BAD_REQUEST;
    params->fail_info_text = refusal->what[0] != '\0' ? refusal->what
        : row != NULL                                 ? row->what
                                                      : "The CA refused the request.";
}

static void trace_reply(const struct mu_scep_server *s, const struct mu_scep_msg_params *params,
    size_t n)
{
    if (params->status == MU_SCEP_FAILURE)
        mu_scep_server_trace(s, MU_TRACE_REPLY, "pkistatus: FAILURE, %s, \"%s\"",
            mu_scep_fail_info_name(params->fail_info), params->fail_info_text);
    else
        mu_scep_server_trace(
            s, MU_TRACE_REPLY, "pkistatus: %s", mu_scep_status_name(params->status));
    mu_scep_server_trace(
        s, MU_TRACE_REPLY, "%zu bytes, enveloped %zu bytes", n, params->envelope.n);
}

static enum mu_code write_message(struct mu_scep_server *s,
    const struct mu_credential *credential, const struct mu_decision *decision,
    struct mu_http_response *response, struct mu_err *err)
{
    uint8_t nonce[16];
    struct mu_pki_certs certs = {.n = 0};
    struct mu_scep_msg_params params = {
        .transaction_id_der = s->msg.transaction_id_der,
        .type = MU_SCEP_CERT_REP,
        .recipient_nonce = mu_bytes(s->msg.sender_nonce.p, s->msg.sender_nonce.n),
        .sender_nonce = mu_bytes(nonce, sizeof nonce),
        .status = MU_SCEP_PENDING,
        .fail_info = -1,
        .key = credential->key,
        .cert = credential->cert,
        .certs = &certs,
        .digest = reply_digest(s, credential),
        .sign_alg_rsa_encryption = credential->sign_alg_rsa_encryption,
    };
    struct mu_buf envelope = {.max = MU_LIMIT_REPLY}, body = {.max = MU_LIMIT_REPLY};
    enum mu_code rc;

    rc = mu_env_random(s->env, nonce, sizeof nonce, err);
    if (rc == MU_OK)
        rc = mu_pki_certs_add(&certs, credential->cert, err);
    if (rc == MU_OK && decision->verdict == MU_VERDICT_REFUSED) {
        reply_refusal(&decision->refusal, &params);
    } else if (rc == MU_OK && decision->verdict != MU_VERDICT_PENDING) {
        params.status = MU_SCEP_SUCCESS;
        rc = reply_envelope(s, credential, decision, &envelope, err);
        params.envelope = mu_buf_bytes(&envelope);
    }
    if (rc == MU_OK)
        rc = mu_scep_msg_encode(&params, &body, err);
    if (rc == MU_OK)
        rc = mu_buf_check(&body, "CertRep", err);
    if (rc == MU_OK) {
        trace_reply(s, &params, body.n);
        rc = mu_http_response_set(response, 200, MU_SCEP_MEDIA_MESSAGE, mu_buf_bytes(&body), err);
    }
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&envelope);
    mu_buf_clear(&body);
    return rc;
}

enum mu_code mu_scep_server_write(struct mu_scep_server *s,
    const struct mu_credential *credential, const struct mu_decision *decision,
    struct mu_http_response *response, struct mu_err *err)
{
    if (s->has_msg && decision != NULL) {
        if (credential->key == NULL || credential->cert == NULL)
            return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL,
                "scep: no key and certificate to sign the answer with");
        return write_message(s, credential, decision, response, err);
    }
    if (decision != NULL && decision->verdict == MU_VERDICT_REFUSED)
        return mu_scep_server_http_error(&decision->refusal, response, err);
    switch (s->claim.op) {
    case MU_OP_CAPS:
        return write_caps(credential, response, err);
    case MU_OP_CA_CERTS:
        return write_ca_certs(credential, response, err);
    case MU_OP_NEXT_CA:
        return write_next_ca(credential, response, err);
    default:
        return mu_err_set(
            err, MU_INTERNAL, MU_REFUSE_INTERNAL, "scep: a message was left without a decision");
    }
}

enum mu_code mu_scep_server_http_error(
    const struct mu_err *failed, struct mu_http_response *response, struct mu_err *err)
{
    static const int by_code[] = {
        [MU_INPUT] = 400, [MU_AUTH] = 400, [MU_DENIED] = 403, [MU_NOT_FOUND] = 404,
        [MU_BUSY] = 503, [MU_UNSUPPORTED] = 501, [MU_MEMORY] = 503, [MU_INTERNAL] = 500,
    };
    const struct mu_err_row *row = mu_err_row(failed->reason);
    struct mu_buf text = {.max = 2048};
    int status = 0;
    enum mu_code rc;

    if (row != NULL && row->reason >= MU_REFUSE_FIRST)
        status = row->http_status;
    if (status < 400 && (size_t)failed->code < sizeof by_code / sizeof by_code[0])
        status = by_code[failed->code];
    if (status < 400)
        status = 500;
    mu_buf_putf(&text, "%s\n", failed->what[0] != '\0' ? failed->what
            : row != NULL                              ? row->what
                                                       : "The request was refused.");
    rc = mu_http_response_set(response, status, "text/plain", mu_buf_bytes(&text), err);
    mu_buf_clear(&text);
    return rc;
}
