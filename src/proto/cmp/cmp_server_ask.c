/* The body of a verified message as a question: proof of possession, what is named, what is
 * confirmed. */
#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_genm.h"
#include "proto/cmp/cmp_server_internal.h"

static enum mu_code one_only(size_t n, const char *what, struct mu_err *err)
{
    if (n == 1)
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REFUSE_UNSUPPORTED,
        "cmp: %zu %s in one message, exactly one is served (RFC 9483 4)", n, what);
}

/* ---- requests for certificates ---- */

/* CMP-62: a signature over poposkInput says nothing of the request but its key, so it has to say who
 * made it: else one that somebody saw would prove his key for himself (RFC 4211 4.1). */
static enum mu_code check_input_sender(
    const struct mu_cmp_server *s, const struct mu_cmp_cert_req *req, struct mu_err *err)
{
    struct mu_bytes in = req->popo_input_sender;
    struct mu_der name = {0};

    if (req->popo_input.p == NULL)
        return MU_OK;
    if (in.p != NULL && mu_der_get(&in, MU_DER_CONTEXT_CONSTRUCTED(4), &name)
        && s->msg->header.sender.p != NULL
        && mu_pki_name_equal(name.value, s->msg->header.sender))
        return MU_OK;
    return mu_err_set(err, MU_AUTH, MU_REFUSE_POP,
        "cmp: poposkInput does not name the sender of this message (RFC 4211 4.1)");
}

/* CMP-60..CMP-65. */
static enum mu_code check_possession(struct mu_cmp_server *s,
    const struct mu_credential *credential, const struct mu_cmp_cert_req *req, struct mu_err *err)
{
    enum mu_code rc;

    switch (req->popo) {
    case MU_CMP_POPO_SIGNATURE:
        if ((rc = check_input_sender(s, req, err)) != MU_OK)
            return rc;
        rc = mu_cmp_crmf_verify_popo(req, credential->allow_legacy, NULL, err);
        if (rc == MU_UNSUPPORTED)
            mu_err_narrow(err, MU_REFUSE_ALGORITHM);
        if (rc == MU_OK)
            mu_cmp_server_trace(s, MU_TRACE_CHECK, "proof of possession ok");
        return rc;
    case MU_CMP_POPO_RA_VERIFIED:
        if (s->outer != NULL || s->protection != MU_CMP_BY_SIGNATURE || !credential->ra_verified_ok)
            return mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
                "cmp: raVerified from somebody who is no RA here (RFC 9810 5.2.8.1)");
        mu_cmp_server_trace(s, MU_TRACE_CHECK, "proof of possession: verified by the RA");
        return MU_OK;
    case MU_CMP_POPO_NONE:
        return mu_err_set(err, MU_AUTH, MU_REFUSE_POP,
            "cmp: no proof of possession (RFC 9483 4.1.1)");
    default:
        if ((rc = mu_cmp_server_check_indirect(s, req, err)) == MU_OK) {
            s->encrypts = true;
            mu_cmp_server_trace(s, MU_TRACE_CHECK, "proof of possession: by opening the certificate");
        }
        return rc;
    }
}

/* CMP-54, CMP-55. */
static enum mu_code check_update(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_cmp_cert_req *req, struct mu_err *err)
{
    bool by_ra = credential->ra_verified_ok && s->outer == NULL;

    if (s->msg->body.type != MU_CMP_KUR)
        return MU_OK;
    if (s->protection != MU_CMP_BY_SIGNATURE)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PROTECTION_KIND,
            "cmp: kur is signed with the certificate it updates (RFC 9483 4.1.3)");
    if (req->old_serial.p == NULL || by_ra)
        return MU_OK;
    if (!mu_pki_serial_equal(req->old_serial, s->signer->serial)
        || !mu_pki_name_equal(req->old_issuer, s->signer->issuer))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_CERT_ID,
            "cmp: oldCertID names another certificate than the one that signs (RFC 9483 4.1.3)");
    return MU_OK;
}

/* CMP-80: the algorithm may be named though the key is not there. */
static void key_wish(const struct mu_cmp_template *tmpl, struct mu_pki_key_spec *spec)
{
    struct mu_der seq, alg, oid, curve = {0};

    if (!tmpl->spki.p || !mu_der_only(tmpl->spki, MU_DER_SEQUENCE, &seq)
        || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg)
        || !mu_der_get(&alg.value, MU_DER_OID, &oid))
        return;
    if (mu_der_oid_is(oid.value, "1.2.840.113549.1.1.1")) {
        *spec = (struct mu_pki_key_spec){MU_PKI_KEY_RSA, 2048};
    } else if (mu_der_oid_is(oid.value, "1.3.101.112")) {
        *spec = (struct mu_pki_key_spec){MU_PKI_KEY_ED25519, 0};
    } else if (mu_der_oid_is(oid.value, "1.2.840.10045.2.1")) {
        *spec = (struct mu_pki_key_spec){MU_PKI_KEY_EC, 256};
        if (mu_der_get(&alg.value, MU_DER_OID, &curve) && mu_der_oid_is(curve.value, "1.3.132.0.34"))
            spec->bits = 384;
        else if (curve.whole.p && mu_der_oid_is(curve.value, "1.3.132.0.35"))
            spec->bits = 521;
    }
}

static enum mu_code digest_request(struct mu_cmp_server *s, struct mu_bytes request,
    struct mu_question *question, struct mu_err *err)
{
    uint8_t digest[64];

    if (mu_pki_digest(MU_PKI_SHA256, request, digest) == 0)
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "cmp: SHA-256 failed");
    memcpy(s->request_digest, digest, sizeof s->request_digest);
    question->csr = s->csr;
    question->request_digest = mu_bytes(s->request_digest, sizeof s->request_digest);
    return MU_OK;
}

static enum mu_code check_template(const struct mu_cmp_cert_req *req, struct mu_err *err)
{
    const struct mu_cmp_template *tmpl = &req->tmpl;

    if (tmpl->version >= 0 && tmpl->version != 2)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_NAME,
            "cmp: version %lld in a certTemplate, 2 is meant (RFC 9483 4.1.1)",
            (long long)tmpl->version);
    if (tmpl->serial.p || tmpl->signing_alg.p || tmpl->has_unique_ids)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_NAME,
            "cmp: serialNumber, signingAlg or unique identifiers in a certTemplate "
            "(RFC 4211 5)");
    return MU_OK;
}

static enum mu_code ask_crmf(struct mu_cmp_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    const struct mu_cmp_cert_req *req = &s->msg->body.u.req.req;
    const struct mu_cmp_template *tmpl = &req->tmpl;
    struct mu_buf der = {.max = MU_LIMIT_MESSAGE};
    enum mu_code rc;

    if ((rc = one_only(s->msg->body.u.req.n, "certificate requests", err)) != MU_OK)
        return rc;
    s->cert_req_id = req->cert_req_id;
    if (req->cert_req_id != 0)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cmp: certReqId is %lld, 0 is meant (RFC 9483 4.1.1)", (long long)req->cert_req_id);
    if ((rc = check_template(req, err)) != MU_OK || (rc = check_update(s, credential, req, err)) != MU_OK)
        return rc;
    if (!s->wants_key && (rc = check_possession(s, credential, req, err)) != MU_OK)
        return rc;
    if (s->wants_key && s->msg->header.pvno != MU_CMP_2021)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_VERSION,
            "cmp: central key generation needs version 3 (RFC 9483 4.1.6)");
    if (s->wants_key && (rc = mu_cmp_server_deliverable(s, err)) != MU_OK)
        return rc;
    if (s->wants_key)
        key_wish(tmpl, &question->key_spec);
    rc = mu_pki_csr_frame(tmpl->subject, s->wants_key ? mu_bytes(NULL, 0) : tmpl->spki,
        tmpl->extensions, &der, err);
    if (rc == MU_OK)
        rc = mu_pki_csr_decode(mu_buf_bytes(&der), &s->csr, err);
    mu_buf_clear(&der);
    if (rc != MU_OK)
        return rc;
    question->old_issuer = req->old_issuer;
    question->old_serial = req->old_serial;
    return digest_request(s, req->cert_req, question, err);
}

/* CMP-56. */
static enum mu_code ask_p10(struct mu_cmp_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    enum mu_code rc = mu_pki_csr_decode(s->msg->body.u.p10, &s->csr, err);

    s->cert_req_id = -1;
    if (rc == MU_OK)
        rc = mu_pki_csr_verify(s->csr, credential->allow_legacy, NULL, err);
    if (rc == MU_UNSUPPORTED)
        mu_err_narrow(err, MU_REFUSE_ALGORITHM);
    if (rc != MU_OK)
        return rc;
    mu_cmp_server_trace(s, MU_TRACE_CHECK, "proof of possession ok");
    return digest_request(s, s->csr->info, question, err);
}

/* ---- revocation (CMP-87, CMP-88) ---- */

static enum mu_code ask_revocation(struct mu_cmp_server *s,
    const struct mu_credential *credential, struct mu_question *question, struct mu_err *err)
{
    const struct mu_cmp_rev_details *details = &s->msg->body.u.rr.details;
    enum mu_code rc = one_only(s->msg->body.u.rr.n, "revocations", err);

    if (rc != MU_OK)
        return rc;
    if (s->protection != MU_CMP_BY_SIGNATURE)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PROTECTION_KIND,
            "cmp: rr is signed, a MAC is not enough (RFC 9483 4.2)");
    if (details->tmpl.issuer.p == NULL || details->tmpl.serial.p == NULL)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_CERT_ID,
            "cmp: rr names no certificate by issuer and serialNumber (RFC 9483 4.2)");
    if (!credential->ra_verified_ok
        && (!mu_pki_serial_equal(details->tmpl.serial, s->signer->serial)
            || !mu_pki_name_equal(details->tmpl.issuer, s->signer->issuer)))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_CERT_ID,
            "cmp: rr names another certificate than the one that signs (RFC 9483 4.2)");
    question->issuer = details->tmpl.issuer;
    question->serial = details->tmpl.serial;
    question->revoke_reason = details->reason < 0 ? 0 : details->reason;
    return MU_OK;
}

/* ---- confirmation and polling ---- */

/* Of a certificate whose signature implies a hash that is none of ours by name: Ed448 (RFC 9481 3.3). */
static struct mu_bytes implied_hash(struct mu_bytes issued, uint8_t room[64])
{
    struct mu_pki_cert *cert = NULL;
    size_t n = 0;

    if (issued.n != 0 && mu_pki_cert_decode(issued, &cert, NULL) == MU_OK)
        n = mu_pki_sig_hash(cert->sig_alg, cert->der, room);
    mu_pki_cert_free(cert);
    return mu_bytes(room, n);
}

/* CMP-76: over the certificate by the digest named, else by that of its signature. */
static enum mu_code check_hash(const struct mu_cmp_kept *kept, struct mu_bytes issued,
    const struct mu_cmp_cert_status *status, int pvno, struct mu_err *err)
{
    enum mu_pki_digest digest = kept->hash;
    struct mu_bytes want = {0};
    uint8_t room[64];

    if (status->hash_alg.p != NULL && pvno < MU_CMP_2021)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_VERSION,
            "cmp: hashAlg in a certConf of version %d, 3 has it (RFC 9810 5.3.18)", pvno);
    if (status->hash_alg.p != NULL && !mu_pki_digest_decode(status->hash_alg, &digest))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cmp: unknown hashAlg in certConf (RFC 9810 5.3.18)");
    if (status->hash_alg.p != NULL && (digest < MU_PKI_SHA256 || digest > MU_PKI_SHA512))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cmp: certConf hashes with something else than SHA-256, SHA-384 or SHA-512");
    if (digest < MU_PKI_SHA256)
        want = implied_hash(issued, room);
    if (digest == MU_PKI_DIGEST_NONE && want.n == 64 && status->cert_hash.n == 32)
        want.n = 32; /* OpenSSL takes the half of Ed448's SHAKE256 */
    else if (digest >= MU_PKI_SHA256)
        want = kept->hashes[digest - MU_PKI_SHA256];
    if (want.n == 0 && issued.n != 0 && digest >= MU_PKI_SHA256)
        want = mu_bytes(room, mu_pki_digest(digest, issued, room));
    if (want.n == 0 || !mu_bytes_equal(want, status->cert_hash))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_CERT_ID,
            "cmp: certHash is not that of the certificate issued here (RFC 9483 5.1.2)");
    return MU_OK;
}

static enum mu_code ask_confirmation(struct mu_cmp_server *s,
    const struct mu_credential *credential, struct mu_question *question, struct mu_err *err)
{
    const struct mu_cmp_cert_status *status = &s->msg->body.u.conf.status;
    enum mu_code rc;

    if (s->kept.hashes[0].n == 0)
        return mu_err_set(err, MU_NOT_FOUND, MU_REFUSE_STATE,
            "cmp: certConf before a certificate was answered (RFC 9483 5.1.2)");
    if (s->msg->body.u.conf.n == 0) /* CMP-75: all of them are rejected */
        return MU_OK;
    if ((rc = one_only(s->msg->body.u.conf.n, "confirmations", err)) != MU_OK)
        return rc;
    if (status->cert_req_id != s->kept.cert_req_id)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_CERT_ID,
            "cmp: certConf for certReqId %lld, %lld was answered (RFC 9483 5.1.2)",
            (long long)status->cert_req_id, (long long)s->kept.cert_req_id);
    if ((rc = check_hash(&s->kept, credential->issued, status, s->msg->header.pvno, err)) != MU_OK)
        return rc;
    question->confirm_hash = status->cert_hash;
    question->confirm_accepted = !status->has_status || status->status.status == MU_CMP_ACCEPTED
        || status->status.status == MU_CMP_GRANTED_WITH_MODS;
    if (status->has_status && mu_cmp_text_format(status->status.text, &s->words))
        question->words = mu_buf_str(&s->words);
    return MU_OK;
}

static enum mu_code ask_poll(struct mu_cmp_server *s, struct mu_err *err)
{
    enum mu_code rc = one_only(s->msg->body.u.poll_req.n, "pollReq entries", err);

    s->cert_req_id = s->kept.cert_req_id;
    if (rc == MU_OK && s->msg->body.u.poll_req.cert_req_id != s->kept.cert_req_id)
        rc = mu_err_set(err, MU_INPUT, MU_REFUSE_CERT_ID,
            "cmp: pollReq for certReqId %lld, %lld waits (RFC 9483 4.4)",
            (long long)s->msg->body.u.poll_req.cert_req_id, (long long)s->kept.cert_req_id);
    return rc;
}

enum mu_code mu_cmp_server_ask(struct mu_cmp_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    switch (s->claim.op) {
    case MU_OP_ENROLL:
    case MU_OP_KEYGEN:
        return s->msg->body.type == MU_CMP_P10CR ? ask_p10(s, credential, question, err)
                                                 : ask_crmf(s, credential, question, err);
    case MU_OP_REVOKE:
        return ask_revocation(s, credential, question, err);
    case MU_OP_CONFIRM:
        return ask_confirmation(s, credential, question, err);
    case MU_OP_POLL:
        return ask_poll(s, err);
    default:
        return s->msg->body.type == MU_CMP_GENM ? mu_cmp_genm_ask(&s->msg->body, question, err)
                                                : MU_OK;
    }
}
