/* A CertRep, checked in order: form, algorithms, signature, transaction, type, nonce, status
 * (SCEP-59); only then is anything in it used. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/scep/scep_client_internal.h"

static enum mu_code decode(struct mu_scep_client *c, const struct mu_http_response *response,
    struct mu_scep_msg *msg, struct mu_err *err)
{
    const char *type
        = mu_http_header_get(response->headers, response->header_n, "Content-Type");
    char shown[80];
    enum mu_code rc;

    (void)c;
    rc = mu_scep_msg_decode(mu_buf_bytes(&response->body), msg, err);
    if (rc == MU_OK || rc == MU_MEMORY)
        return rc;
    mu_err_narrow(err, MU_M(322));
    mu_err_context(err, "scep: the answer is no SCEP message (%s, %zu bytes)",
        type != NULL ? mu_text_escape_to(shown, sizeof shown, mu_bytes_str(type)) : "no type",
        response->body.n);
    return rc;
}

static const char *cipher_words(enum mu_pki_cipher cipher)
{
    return cipher == MU_PKI_DES_CBC ? "single DES" : mu_pki_cipher_title(cipher);
}

/* Decision D5: what is legacy in an answer needs the switch, and stays visible with it. */
static enum mu_code check_legacy(struct mu_scep_client *c, const struct mu_scep_msg *msg,
    const struct mu_pki_enveloped *enveloped, struct mu_err *err)
{
    bool weak_digest = mu_pki_digest_is_legacy(msg->cms.digest);
    bool weak_cipher = enveloped != NULL && mu_pki_cipher_is_legacy(enveloped->cipher);
    char words[80];

    if (!weak_digest && !weak_cipher)
        return MU_OK;
    snprintf(words, sizeof words, "%s%s%s",
        weak_cipher ? cipher_words(enveloped->cipher) : "",
        weak_cipher && weak_digest ? " and " : "",
        weak_digest ? mu_pki_digest_title(msg->cms.digest) : "");
    if (c->config.allow_legacy) {
        mu_scep_client_warn(c, MU_TRACE_REPLY,
            "the server answered with %s, taken because of allow-legacy", words);
        return MU_OK;
    }
    mu_err_set(err, MU_UNSUPPORTED, MU_M(303),
        "scep: the server answered with %s, which is too weak to be taken (RFC 8894 2.9)", words);
    mu_err_likely(err, "The server knows no better, whatever it offers.");
    mu_err_next(err,
        "Turn on allow-legacy (Enable Legacy Ciphers) to take such answers; better replace the "
        "server.");
    return MU_UNSUPPORTED;
}

static bool is_chosen(const struct mu_scep_client *c, const struct mu_pki_cert *cert)
{
    return cert == c->ca || cert == c->ra_sign || cert == c->ra_encrypt;
}

/* The authenticated certificate that signed; included ones count only if their key is known.
 * NULL if there is none. */
static struct mu_pki_cert *find_signer(
    const struct mu_scep_client *c, const struct mu_scep_msg *msg)
{
    struct mu_pki_cert *chosen[3] = {c->ra_sign, c->ca, c->ra_encrypt};
    struct mu_pki_cert *included = mu_pki_signed_signer(&msg->cms);
    size_t i;

    for (i = 0; i < 3; i++) {
        if (chosen[i] != NULL && mu_pki_signed_sid_is(&msg->cms, chosen[i]))
            return chosen[i];
    }
    for (i = 0; i < c->ca_certs.n; i++) {
        struct mu_pki_cert *cert = c->ca_certs.v[i];

        if (!is_chosen(c, cert) && mu_pki_signed_sid_is(&msg->cms, cert)
            && mu_scep_client_ca_path(c, cert, NULL, mu_env_now(c->config.env), NULL) == MU_OK)
            return cert;
    }
    for (i = 0; i < 3 && included != NULL; i++) {
        if (chosen[i] != NULL && mu_bytes_equal(chosen[i]->spki, included->spki))
            return chosen[i];
    }
    return NULL;
}

static enum mu_code check_signature(
    struct mu_scep_client *c, const struct mu_scep_msg *msg, struct mu_err *err)
{
    struct mu_pki_cert *signer = find_signer(c, msg), *included;
    char name[MU_SCEP_NAME_TEXT];
    enum mu_code rc;

    if (signer == NULL) {
        included = mu_pki_signed_signer(&msg->cms);
        return mu_err_set(err, MU_AUTH, MU_M(321),
            "scep: the answer is signed by \"%s\", which is neither the CA nor an RA of it "
            "(RFC 8894 3.2)",
            included != NULL ? mu_scep_client_name(included->subject, false, name)
                : msg->cms.sid_issuer.n != 0
                ? mu_scep_client_name(msg->cms.sid_issuer, false, name)
                : "an unknown key");
    }
    rc = mu_pki_signed_verify(&msg->cms, signer, c->config.allow_legacy, err);
    if (rc == MU_OK) {
        mu_scep_client_trace(c, MU_TRACE_REPLY, "signature ok, %s",
            mu_scep_client_name(signer->subject, true, name));
        return MU_OK;
    }
    mu_err_narrow(err, rc == MU_UNSUPPORTED ? MU_M(303) : MU_M(321));
    mu_err_context(err, "scep: the answer of \"%s\"",
        mu_scep_client_name(signer->subject, false, name));
    return rc;
}

static enum mu_code check_transaction(
    struct mu_scep_client *c, const struct mu_scep_msg *msg, struct mu_err *err)
{
    char shown[2 * MU_LIMIT_TRANSACTION_ID];

    if (strcmp(msg->transaction_id, c->transaction_id) != 0)
        return mu_err_set(err, MU_AUTH, MU_M(323),
            "scep: the answer belongs to transaction %s, ours is %s (RFC 8894 3.2.1.1)",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(msg->transaction_id)),
            c->transaction_id);
    mu_scep_client_trace(
        c, MU_TRACE_REPLY, "transaction id: %s, as sent", msg->transaction_id);
    if (msg->type != MU_SCEP_CERT_REP)
        return mu_err_set(err, MU_INPUT, MU_M(324),
            "scep: the answer has message type %d (%s), not CertRep (RFC 8894 3.2.1.2)",
            msg->type, mu_scep_type_name(msg->type));
    mu_scep_client_trace(c, MU_TRACE_REPLY, "messageType %d, CertRep", msg->type);
    return MU_OK;
}

static enum mu_code check_nonce(
    struct mu_scep_client *c, const struct mu_scep_msg *msg, struct mu_err *err)
{
    struct mu_bytes got = {msg->recipient_nonce.p, msg->recipient_nonce.n};
    bool equal = mu_bytes_equal(got, mu_bytes(c->nonce, sizeof c->nonce));
    struct mu_buf sent = {.max = 256}, back = {.max = 256};

    mu_text_hex(&sent, mu_bytes(msg->sender_nonce.p, msg->sender_nonce.n), 0);
    mu_text_hex(&back, got, 0);
    mu_scep_client_trace(
        c, MU_TRACE_REPLY, "senderNonce %s", sent.n != 0 ? mu_buf_str(&sent) : "none");
    mu_scep_client_trace(c, MU_TRACE_REPLY, "recipientNonce %s%s",
        back.n != 0 ? mu_buf_str(&back) : "none", equal ? ", as sent" : ", not ours");
    mu_buf_clear(&sent);
    mu_buf_clear(&back);
    if (equal)
        return MU_OK;
    if (!c->config.nonce_warn_only)
        return mu_err_set(err, MU_AUTH, MU_M(325),
            "scep: %s (RFC 8894 3.2.1.5)",
            got.n == 0 ? "no recipientNonce in the answer"
                       : "the answer does not repeat our nonce");
    mu_scep_client_warn(c, MU_TRACE_REPLY, "the answer does not repeat our nonce");
    return MU_OK;
}

/* With the key that signed the request (SCEP-38), or the challenge password (SCEP-36). */
static enum mu_code open_envelope(const struct mu_scep_client *c,
    const struct mu_pki_enveloped *enveloped, struct mu_buf *plain, struct mu_err *err)
{
    const struct mu_secret *challenge = mu_scep_client_challenge(c);
    enum mu_code rc;

    if (enveloped->kind == MU_PKI_RECIPIENT_PWRI) {
        if (challenge == NULL)
            return mu_err_set(err, MU_INPUT, MU_M(322),
                "scep: the answer is encrypted to a password, and our request had none "
                "(RFC 8894 3.1)");
        rc = mu_pki_enveloped_open_password(
            enveloped, challenge, c->config.allow_legacy, plain, err);
    } else {
        rc = mu_pki_enveloped_open(enveloped, mu_scep_client_signer_key(c),
            c->config.allow_legacy, plain, err);
    }
    if (rc != MU_OK) {
        mu_err_narrow(err, rc == MU_UNSUPPORTED ? MU_M(303) : MU_M(322));
        mu_err_context(err, "scep: the answer cannot be decrypted (RFC 8894 3.2.2)");
        if (rc == MU_AUTH && !mu_pki_enveloped_is_for(enveloped, mu_scep_client_signer(c)))
            mu_err_likely(err, "It was encrypted to another certificate than the one that "
                               "signed our request.");
    }
    return rc;
}

static enum mu_code take_success(struct mu_scep_client *c,
    const struct mu_pki_enveloped *enveloped, struct mu_err *err)
{
    struct mu_buf plain = {.max = 0};
    enum mu_code rc;

    mu_buf_init_secret(&plain, MU_LIMIT_REPLY);
    rc = open_envelope(c, enveloped, &plain, err);
    if (rc == MU_OK)
        rc = mu_scep_client_cert_take(c, mu_buf_bytes(&plain), err);
    mu_buf_clear(&plain);
    return rc;
}

static enum mu_code take_status(struct mu_scep_client *c, const struct mu_scep_msg *msg,
    const struct mu_pki_enveloped *enveloped, struct mu_err *err)
{
    c->pki_status = msg->status;
    c->fail_info = msg->fail_info;
    if (msg->status == MU_SCEP_FAILURE) {
        mu_scep_client_trace(c, MU_TRACE_REPLY, "pkistatus: FAILURE, %s%s%s%s",
            msg->fail_info >= 0 ? mu_scep_fail_info_name(msg->fail_info) : "no failInfo",
            msg->fail_info_text != NULL ? ", \"" : "",
            msg->fail_info_text != NULL ? msg->fail_info_text : "",
            msg->fail_info_text != NULL ? "\"" : "");
        return mu_scep_client_fail_refused(c, msg, err);
    }
    mu_scep_client_trace(
        c, MU_TRACE_REPLY, "pkistatus: %s", mu_scep_status_name(msg->status));
    if (msg->status == MU_SCEP_SUCCESS)
        return take_success(c, enveloped, err);
    if (c->config.op == MU_SCEP_CLIENT_CERT || c->config.op == MU_SCEP_CLIENT_CRL)
        return mu_err_set(err, MU_INPUT, MU_M(322),
            "scep: PENDING is no answer to a query (RFC 8894 4.5.1)");
    return MU_OK;
}

static enum mu_code decode_envelope(
    const struct mu_scep_msg *msg, struct mu_pki_enveloped *out, struct mu_err *err)
{
    enum mu_code rc;

    if (msg->envelope.n == 0)
        return mu_err_set(err, MU_INPUT, MU_M(322),
            "scep: SUCCESS without an envelope (RFC 8894 3.3.2.1)");
    rc = mu_scep_msg_envelope(msg, out, err);
    if (rc != MU_OK) {
        mu_err_narrow(err, rc == MU_UNSUPPORTED ? MU_M(303) : MU_M(322));
        mu_err_context(err, "scep: the envelope of the answer (RFC 8894 3.2.2)");
    }
    return rc;
}

enum mu_code mu_scep_client_reply_take(
    struct mu_scep_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    struct mu_pki_enveloped enveloped = {.kind = MU_PKI_RECIPIENT_OTHER};
    struct mu_scep_msg msg = {.status = -1};
    bool has_envelope;
    enum mu_code rc;

    rc = decode(c, response, &msg, err);
    if (rc != MU_OK)
        return rc;
    mu_scep_client_trace(c, MU_TRACE_REPLY, "%zu bytes, enveloped %zu bytes", response->body.n,
        msg.envelope.n);
    if (msg.attrs_strange)
        mu_scep_client_trace(
            c, MU_TRACE_REPLY, "note: attributes are not as RFC 8894 3.2.1 wants them");
    has_envelope = msg.type == MU_SCEP_CERT_REP && msg.status == MU_SCEP_SUCCESS;
    if (has_envelope && (rc = decode_envelope(&msg, &enveloped, err)) != MU_OK)
        goto out;
    if ((rc = check_legacy(c, &msg, has_envelope ? &enveloped : NULL, err)) != MU_OK
        || (rc = check_signature(c, &msg, err)) != MU_OK
        || (rc = check_transaction(c, &msg, err)) != MU_OK
        || (rc = check_nonce(c, &msg, err)) != MU_OK)
        goto out;
    rc = take_status(c, &msg, &enveloped, err);
out:
    mu_pki_enveloped_clear(&enveloped);
    mu_scep_msg_clear(&msg);
    return rc;
}
