/* pkiMessage, both directions. The outer layer only: signatures are checked and envelopes opened
 * by the roles, which know the keys. */
#include "proto/scep/scep_msg.h"

#include <stdlib.h>

#include "base/der.h"
#include "base/limits.h"
#include "base/text.h"
#include "proto/scep/scep_attr.h"

#define OID_DATA "1.2.840.113549.1.7.1"

static const struct {
    int type;
    const char *name;
} types[] = {
    {MU_SCEP_CERT_REP, "CertRep"},
    {MU_SCEP_RENEWAL_REQ, "RenewalReq"},
    {MU_SCEP_UPDATE_REQ, "UpdateReq"},
    {MU_SCEP_PKCS_REQ, "PKCSReq"},
    {MU_SCEP_CERT_POLL, "CertPoll"},
    {MU_SCEP_GET_CERT, "GetCert"},
    {MU_SCEP_GET_CRL, "GetCRL"},
};

const char *mu_scep_type_name(int type)
{
    size_t i;

    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].type == type)
            return types[i].name;
    }
    return "unknown";
}

const char *mu_scep_status_name(int status)
{
    return status == MU_SCEP_SUCCESS ? "SUCCESS"
        : status == MU_SCEP_FAILURE  ? "FAILURE"
        : status == MU_SCEP_PENDING  ? "PENDING"
                                     : "unknown";
}

const char *mu_scep_fail_info_name(int fail_info)
{
    static const char *const names[]
        = {"badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId"};

    return fail_info >= 0 && fail_info <= MU_SCEP_BAD_CERT_ID ? names[fail_info] : "unknown";
}

/* messageType and, in a CertRep, pkiStatus and failInfo: known values only (SCEP-44..46). */
static enum mu_code decode_numbers(struct mu_scep_msg *msg, struct mu_err *err)
{
    enum mu_code rc;
    size_t i;

    rc = mu_scep_attr_number(
        &msg->cms, MU_SCEP_OID_MESSAGE_TYPE, "messageType", &msg->type, &msg->attrs_strange, err);
    if (rc != MU_OK)
        return rc;
    if (msg->type == -1)
        return mu_err_set(
            err, MU_INPUT, MU_REFUSE_MALFORMED, "scep: no messageType (RFC 8894 3.2.1.2)");
    for (i = 0; i < sizeof types / sizeof types[0] && types[i].type != msg->type; i++)
        ;
    if (i == sizeof types / sizeof types[0])
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: messageType %d is unknown (RFC 8894 3.2.1.2)", msg->type);
    msg->status = msg->fail_info = -1;
    if (msg->type != MU_SCEP_CERT_REP)
        return MU_OK;
    rc = mu_scep_attr_number(
        &msg->cms, MU_SCEP_OID_PKI_STATUS, "pkiStatus", &msg->status, &msg->attrs_strange, err);
    if (rc != MU_OK)
        return rc;
    if (msg->status == -1)
        return mu_err_set(
            err, MU_INPUT, MU_REFUSE_MALFORMED, "scep: CertRep without pkiStatus (RFC 8894 3.2.1.3)");
    if (msg->status != MU_SCEP_SUCCESS && msg->status != MU_SCEP_FAILURE
        && msg->status != MU_SCEP_PENDING)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: pkiStatus %d is unknown (RFC 8894 3.2.1.3)", msg->status);
    if (msg->status != MU_SCEP_FAILURE)
        return MU_OK;
    rc = mu_scep_attr_number(
        &msg->cms, MU_SCEP_OID_FAIL_INFO, "failInfo", &msg->fail_info, &msg->attrs_strange, err);
    if (rc != MU_OK)
        return rc;
    if (msg->fail_info > MU_SCEP_BAD_CERT_ID)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: failInfo %d is unknown (RFC 8894 3.2.1.4)", msg->fail_info);
    return mu_scep_attr_text(&msg->cms, MU_SCEP_OID_FAIL_INFO_TEXT, &msg->fail_info_text,
        &msg->attrs_strange, err);
}

enum mu_code mu_scep_msg_decode(struct mu_bytes body, struct mu_scep_msg *out, struct mu_err *err)
{
    struct mu_scep_msg msg = {.status = -1, .fail_info = -1};
    enum mu_code rc;

    rc = mu_pki_signed_decode(body, &msg.cms, err);
    if (rc != MU_OK)
        return rc;
    rc = MU_INPUT;
    if (!mu_der_oid_is(msg.cms.content_type, OID_DATA)) {
        mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: the signed content is not id-data (RFC 8894 3.2)");
        goto out;
    }
    if (msg.cms.signer_count != 1) {
        mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: %zu signers, exactly one is allowed (RFC 8894 3.2)", msg.cms.signer_count);
        goto out;
    }
    if (msg.cms.signed_attrs.p == NULL) {
        mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: no signed attributes, so no transactionID (RFC 8894 3.2.1)");
        goto out;
    }
    rc = mu_scep_attr_transaction_id(
        &msg.cms, &msg.transaction_id_der, &msg.transaction_id, &msg.attrs_strange, err);
    if (rc != MU_OK)
        goto out;
    rc = decode_numbers(&msg, err);
    if (rc != MU_OK)
        goto out;
    rc = mu_scep_attr_nonce(&msg.cms, MU_SCEP_OID_SENDER_NONCE, "senderNonce", &msg.sender_nonce,
        &msg.attrs_strange, err);
    if (rc != MU_OK)
        goto out;
    rc = mu_scep_attr_nonce(&msg.cms, MU_SCEP_OID_RECIPIENT_NONCE, "recipientNonce",
        &msg.recipient_nonce, &msg.attrs_strange, err);
    if (rc != MU_OK)
        goto out;
    msg.envelope = msg.cms.content;
    *out = msg;
    memset(&msg, 0, sizeof msg);
out:
    mu_scep_msg_clear(&msg);
    return rc;
}

void mu_scep_msg_clear(struct mu_scep_msg *msg)
{
    mu_pki_signed_clear(&msg->cms);
    free(msg->transaction_id);
    free(msg->fail_info_text);
    memset(msg, 0, sizeof *msg);
}

enum mu_code mu_scep_msg_envelope(
    const struct mu_scep_msg *msg, struct mu_pki_enveloped *out, struct mu_err *err)
{
    struct mu_pki_enveloped e = {.kind = MU_PKI_RECIPIENT_OTHER};
    enum mu_code rc = mu_pki_enveloped_decode(msg->envelope, &e, err);

    if (rc != MU_OK)
        return rc;
    if (!mu_der_oid_is(e.content_type, OID_DATA)) {
        mu_pki_enveloped_clear(&e);
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: the encrypted content is not id-data (RFC 8894 3.2.2)");
    }
    *out = e;
    return MU_OK;
}

enum mu_code mu_scep_msg_encode(
    const struct mu_scep_msg_params *params, struct mu_buf *out, struct mu_err *err)
{
    struct mu_scep_attr_list attrs = {.n = 0};
    struct mu_pki_signed_params cms = {
        .content = params->envelope.n != 0 ? params->envelope : mu_bytes(NULL, 0),
        .key = params->key,
        .cert = params->cert,
        .digest = params->digest,
        .certs = params->certs,
        .sign_alg_rsa_encryption = params->sign_alg_rsa_encryption,
    };
    enum mu_code rc;

    if (params->transaction_id_der.n != 0)
        mu_scep_attr_put_raw(&attrs, MU_SCEP_OID_TRANSACTION_ID, params->transaction_id_der);
    else
        mu_scep_attr_put(&attrs, MU_SCEP_OID_TRANSACTION_ID, MU_DER_PRINTABLE_STRING,
            mu_bytes_str(params->transaction_id));
    mu_scep_attr_put_number(&attrs, MU_SCEP_OID_MESSAGE_TYPE, params->type);
    if (params->status >= 0)
        mu_scep_attr_put_number(&attrs, MU_SCEP_OID_PKI_STATUS, params->status);
    if (params->fail_info >= 0)
        mu_scep_attr_put_number(&attrs, MU_SCEP_OID_FAIL_INFO, params->fail_info);
    if (params->fail_info_text != NULL)
        mu_scep_attr_put(&attrs, MU_SCEP_OID_FAIL_INFO_TEXT, MU_DER_UTF8_STRING,
            mu_bytes_str(params->fail_info_text));
    if (params->sender_nonce.n != 0)
        mu_scep_attr_put(
            &attrs, MU_SCEP_OID_SENDER_NONCE, MU_DER_OCTET_STRING, params->sender_nonce);
    if (params->recipient_nonce.n != 0)
        mu_scep_attr_put(
            &attrs, MU_SCEP_OID_RECIPIENT_NONCE, MU_DER_OCTET_STRING, params->recipient_nonce);
    rc = mu_scep_attr_finish(&attrs, err);
    if (rc == MU_OK) {
        cms.attrs = attrs.v;
        cms.attr_n = attrs.n;
        rc = mu_pki_signed_encode(&cms, out, err);
    }
    mu_scep_attr_clear(&attrs);
    return rc;
}

/* SEQUENCE { a, b } of two whole elements. */
static bool get_pair(struct mu_bytes in, unsigned tag_a, unsigned tag_b, struct mu_der *a,
    struct mu_der *b)
{
    struct mu_der seq;
    struct mu_bytes rest;

    if (!mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    rest = seq.value;
    return mu_der_get(&rest, tag_a, a) && mu_der_get(&rest, tag_b, b) && rest.n == 0;
}

void mu_scep_msg_put_poll(struct mu_buf *out, struct mu_bytes issuer, struct mu_bytes subject)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_buf_put_bytes(out, issuer);
    mu_buf_put_bytes(out, subject);
    mu_der_close(out, mark);
}

bool mu_scep_msg_get_poll(struct mu_bytes in, struct mu_bytes *issuer, struct mu_bytes *subject)
{
    struct mu_der a, b;

    if (!get_pair(in, MU_DER_SEQUENCE, MU_DER_SEQUENCE, &a, &b))
        return false;
    *issuer = a.whole;
    *subject = b.whole;
    return true;
}

void mu_scep_msg_put_serial(struct mu_buf *out, struct mu_bytes issuer, struct mu_bytes serial)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_buf_put_bytes(out, issuer);
    mu_der_put(out, MU_DER_INTEGER, serial);
    mu_der_close(out, mark);
}

bool mu_scep_msg_get_serial(struct mu_bytes in, struct mu_bytes *issuer, struct mu_bytes *serial)
{
    struct mu_der a, b;

    if (!get_pair(in, MU_DER_SEQUENCE, MU_DER_INTEGER, &a, &b) || b.value.n == 0)
        return false;
    *issuer = a.whole;
    *serial = b.value;
    return true;
}
