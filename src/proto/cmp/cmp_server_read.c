/* The server engine with the credential: protection, then what belongs to the transaction. */
#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_server_internal.h"

/* ---- protection ---- */

static enum mu_code check_mac(struct mu_cmp_server *s, const struct mu_credential *credential,
    struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    /* the same salt and count as before: the work was done (CMP-29) */
    if (credential->mac_key != NULL
        && (rc = mu_pki_mac_decode(
                s->claim.mac_alg, credential->allow_legacy, &s->mac.mac, err)) == MU_OK)
        rc = mu_secret_set(&s->mac.key, mu_secret_bytes(credential->mac_key), err);
    if (rc == MU_OK)
        rc = mu_cmp_protect_verify_mac(
            s->msg, credential->password, credential->allow_legacy, &s->mac, err);
    if (rc != MU_OK) {
        mu_cmp_protect_mac_clear(&s->mac); /* CMP-32: no answer is ever made with it */
        return rc;
    }
    s->verified = true;
    mu_cmp_server_trace(s, MU_TRACE_CHECK, "MAC ok, %s, %u iterations",
        s->mac.mac.kind == MU_PKI_MAC_PBM ? "PasswordBasedMac" : "PBMAC1", s->mac.mac.iterations);
    return MU_OK;
}

/* CMP-35: the signer of a later message may be known from the first one only. */
static enum mu_code check_kept_signer(struct mu_cmp_server *s, struct mu_err *err)
{
    struct mu_pki_cert *cert = NULL;
    enum mu_code rc;

    if (!s->has_kept || s->kept.signer.n == 0)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cmp: the certificate that signed the message is not known (RFC 9483 3.3)");
    if ((rc = mu_pki_cert_decode(s->kept.signer, &cert, err)) != MU_OK)
        return rc;
    s->own_signer = s->signer = s->claim.signer = cert;
    rc = mu_cmp_protect_verify_signature(s->msg, cert, NULL, err);
    if (rc == MU_OK)
        s->signature_ok = true;
    return rc;
}

static enum mu_code check_signature(struct mu_cmp_server *s,
    const struct mu_credential *credential, struct mu_err *err)
{
    enum mu_code rc;

    if (!s->signature_ok && (rc = check_kept_signer(s, err)) != MU_OK)
        return rc;
    s->verified = true;
    mu_cmp_server_trace(s, MU_TRACE_CHECK, "message signature ok");
    return MU_OK;
}

static enum mu_code check_protection(struct mu_cmp_server *s,
    const struct mu_credential *credential, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (s->protection == MU_CMP_BY_MAC)
        rc = check_mac(s, credential, err);
    else if (s->protection == MU_CMP_BY_SIGNATURE)
        rc = check_signature(s, credential, err);
    if (rc == MU_OK && s->weak && !credential->allow_legacy) { /* its own, or the RA's around it */
        s->verified = s->protection == MU_CMP_BY_MAC;
        rc = mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cmp: a signature with a digest too weak to be taken without allow-legacy "
            "(RFC 9481 7.1)");
    }
    if (rc == MU_OK && s->outer != NULL && !credential->ra_verified_ok)
        rc = mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
            "cmp: the signer around the nested message is no RA of this CA (RFC 9483 5.2.2)");
    return rc;
}

/* ---- transaction ---- */

/* A later message of a transaction: same protection by the same sender, and it answers one of
 * ours (CMP-14, CMP-19, CMP-104). */
static enum mu_code check_transaction(struct mu_cmp_server *s, struct mu_err *err)
{
    const struct mu_cmp_kept *kept = &s->kept;
    bool same_sender;

    if (!s->has_kept)
        return mu_err_set(err, MU_NOT_FOUND, MU_REFUSE_STATE,
            "cmp: %s for a transaction that is not known here (RFC 9483 3.5)",
            mu_cmp_type_name(s->msg->body.type));
    if (kept->protection != s->protection)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PROTECTION_KIND,
            "cmp: the protection changed its kind within the transaction (RFC 9483 3.2)");
    if (s->protection == MU_CMP_BY_MAC)
        same_sender = mu_bytes_equal(kept->reference, mu_buf_bytes(&s->entry));
    else
        same_sender = s->signer != NULL && mu_bytes_equal(kept->signer, s->signer->der);
    if (!same_sender)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
            "cmp: another sender than that of the transaction's first message (RFC 9483 3.5)");
    if (!mu_cmp_kept_nonce_is(kept->nonce_key, s->msg->header.recip_nonce))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_RECIPIENT_NONCE,
            "cmp: recipNonce is none we sent in this transaction (RFC 9483 3.5)");
    return MU_OK;
}

/* The first message of a transaction answers nothing. */
static enum mu_code check_first(const struct mu_cmp_server *s, struct mu_err *err)
{
    if (s->msg->header.recip_nonce.n != 0)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_RECIPIENT_NONCE,
            "cmp: recipNonce in the first message of a transaction (RFC 9483 3.1)");
    return MU_OK;
}

static enum mu_code check_state(struct mu_cmp_server *s, struct mu_err *err)
{
    if (s->claim.op == MU_OP_CONFIRM || s->claim.op == MU_OP_POLL)
        return check_transaction(s, err);
    if (s->msg->body.type == MU_CMP_ERROR)
        return MU_OK;
    return check_first(s, err);
}

/* CMP-18: one name, or the first would be taken for all that was meant. */
static enum mu_code take_profile(
    struct mu_cmp_server *s, struct mu_question *question, struct mu_err *err)
{
    const struct mu_cmp_header *h = &s->msg->header;

    if (h->cert_profile_n == 0)
        return MU_OK;
    if (h->cert_profile_n > 1 || h->cert_profile.n == 0
        || memchr(h->cert_profile.p, 0, h->cert_profile.n) != NULL)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_UNSUPPORTED,
            "cmp: certProfile holds %zu names, exactly one is served (RFC 9483 3.1)",
            h->cert_profile_n);
    mu_buf_put_bytes(&s->profile_name, h->cert_profile);
    if (mu_buf_check(&s->profile_name, "certProfile", err) != MU_OK)
        return err->code;
    question->profile_name = mu_buf_str(&s->profile_name);
    return MU_OK;
}

struct mu_bytes mu_cmp_server_kept_signer(struct mu_bytes in)
{
    struct mu_cmp_kept kept;

    return in.n != 0 && mu_cmp_kept_decode(in, &kept, NULL) == MU_OK ? kept.signer
                                                                     : mu_bytes(NULL, 0);
}

static enum mu_code load_kept(struct mu_cmp_server *s, const struct mu_credential *credential,
    struct mu_err *err)
{
    enum mu_code rc;

    if (credential->kept.n == 0)
        return MU_OK;
    if ((rc = mu_cmp_kept_decode(credential->kept, &s->kept, err)) == MU_OK)
        s->has_kept = true;
    return rc;
}

enum mu_code mu_cmp_server_read(struct mu_cmp_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    enum mu_code rc;

    memset(question, 0, sizeof *question);
    if ((rc = load_kept(s, credential, err)) != MU_OK
        || (rc = check_protection(s, credential, err)) != MU_OK)
        return rc;
    if (credential->time_slack_s > 0
        && (rc = mu_cmp_header_check_time(
                &s->msg->header, mu_env_now(s->env), credential->time_slack_s, err))
            != MU_OK)
        return rc;
    if ((rc = check_state(s, err)) != MU_OK || (rc = take_profile(s, question, err)) != MU_OK)
        return rc;
    question->sent_s = s->msg->header.has_time ? s->msg->header.time_s : 0;
    question->implicit_confirm = s->has_kept ? s->kept.implicit_asked
                                              : s->msg->header.implicit_confirm && !s->encrypts;
    if (s->protection == MU_CMP_BY_MAC && s->verified)
        question->mac_key = &s->mac.key;
    rc = mu_cmp_server_ask(s, credential, question, err);
    s->asked = rc == MU_OK;
    question->op = s->claim.op;
    question->claim = s->claim;
    question->peer = s->request->peer;
    question->authenticated = s->verified && s->protection == MU_CMP_BY_MAC;
    return rc;
}
