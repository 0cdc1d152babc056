/* What an answer means once it is known to be the responder's: done, wait, refused. */
#include <stdlib.h>

#include "base/text.h"
#include "proto/cmp/cmp_client_internal.h"

enum { CHECK_AFTER_MAX_S = 86400 };

static const char *status_word(int status)
{
    switch (status) {
    case MU_CMP_ACCEPTED:
        return "SUCCESS";
    case MU_CMP_GRANTED_WITH_MODS:
        return "SUCCESS (grantedWithMods)";
    case MU_CMP_REJECTION:
        return "FAILURE";
    case MU_CMP_WAITING:
        return "PENDING";
    default:
        return mu_cmp_status_name(status);
    }
}

void mu_cmp_client_reply_note(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    const struct mu_cmp_status *status, struct mu_bytes details)
{
    struct mu_buf text = {.max = 16 * 1024};
    bool has_text;

    c->pki_status = status->status;
    c->fail_bit = mu_cmp_status_fail_bit(status);
    has_text = mu_cmp_text_format(status->text, &text);
    if (details.n != 0) {
        if (has_text)
            mu_buf_put_str(&text, "; ");
        has_text = mu_cmp_text_format(details, &text) || has_text;
    }
    free(c->refusal_text);
    c->refusal_text = NULL;
    if (has_text && mu_text_dup(mu_buf_str(&text), &c->refusal_text, NULL) != MU_OK)
        c->refusal_text = NULL;
    mu_cmp_client_trace(c, MU_TRACE_REPLY, "%s, protection ok, pkistatus: %s%s%s%s%s%s",
        mu_cmp_type_name(msg->body.type), status_word(status->status), c->fail_bit >= 0 ? ", " : "",
        c->fail_bit >= 0 ? mu_cmp_fail_name(c->fail_bit) : "", c->refusal_text != NULL ? ", \"" : "",
        c->refusal_text != NULL ? c->refusal_text : "", c->refusal_text != NULL ? "\"" : "");
    mu_buf_clear(&text);
}

static enum mu_code unexpected(
    const struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_STATE,
        "cmp: %s is no answer to %s (RFC 9483 3.5)", mu_cmp_type_name(msg->body.type),
        c->phase == MU_CMP_PHASE_REQUEST ? mu_cmp_type_name((int)c->request_type) : "certConf");
}

static enum mu_code wait_for(struct mu_cmp_client *c, int64_t check_after_s)
{
    c->pending = true;
    c->check_after_s = check_after_s < 0 ? 0
        : check_after_s > CHECK_AFTER_MAX_S ? CHECK_AFTER_MAX_S
                                            : check_after_s;
    return MU_OK;
}

static enum mu_code on_error(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    const struct mu_cmp_status *status = &msg->body.u.error.status;

    mu_cmp_client_reply_note(c, msg, status, msg->body.u.error.details);
    /* A refusal may come signed where a MAC was not possible; what goes on with the transaction has
     * to be of its kind (CMP-19). */
    if (status->status == MU_CMP_WAITING && mu_cmp_client_by_mac(c)
        && mu_cmp_protect_kind(msg) != MU_CMP_BY_MAC)
        return mu_err_set(err, MU_AUTH, MU_M(502),
            "cmp: a signed message asks to wait, in a transaction by password (RFC 9483 3.2)");
    if (status->status == MU_CMP_WAITING) { /* CMP-100 */
        c->poll_id = -1;
        return wait_for(c, 0);
    }
    if (c->phase == MU_CMP_PHASE_REQUEST && c->fail_bit == MU_CMP_TRANSACTION_ID_IN_USE && c->polls == 0
        && c->config.transaction_id == NULL && !c->id_was_in_use) {
        c->id_in_use = c->id_was_in_use = true;
        return MU_OK;
    }
    /* Ours went out before a kill or a lost answer: the CA has it (RFC 9810 5.2.3, certConfirmed). */
    if (c->phase == MU_CMP_PHASE_CONFIRM && c->fail_bit == MU_CMP_CERT_CONFIRMED) {
        mu_cmp_client_trace(c, MU_TRACE_CONFIRM, "accepted before");
        c->pending = false;
        c->confirmed = true;
        return MU_OK;
    }
    if (c->phase == MU_CMP_PHASE_CONFIRM) {
        mu_err_set(err, MU_DENIED, MU_M(508), "cmp: our confirmation was not accepted%s%s%s%s",
            c->fail_bit >= 0 ? " (" : "", c->fail_bit >= 0 ? mu_cmp_fail_name(c->fail_bit) : "",
            c->fail_bit >= 0 ? ")" : "", c->refusal_text != NULL ? ":" : "");
        if (c->refusal_text != NULL)
            mu_err_likely(err, "The server says: \"%.300s\"", c->refusal_text);
        mu_err_said(err, c->refusal_text);
        return MU_DENIED;
    }
    return mu_cmp_client_fail_refused(c, status, err);
}

/* ip, cp, kup to what was asked (CMP-69, CMP-70). */
static enum mu_code on_rep(struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    const struct mu_cmp_cert_response *r = &msg->body.u.rep.response;
    int64_t want_id = c->config.op == MU_CMP_CLIENT_P10CR ? -1 : 0;

    mu_cmp_client_reply_note(c, msg, &r->status, mu_bytes(NULL, 0));
    if (msg->body.u.rep.n != 1)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cmp: %zu CertResponses, one is expected (RFC 9483 4.1.1)", msg->body.u.rep.n);
    /* Old servers answer p10cr with 0 (IOP-32). */
    if (r->cert_req_id != want_id && !(want_id == -1 && r->cert_req_id == 0)
        && r->status.status != MU_CMP_REJECTION)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cmp: certReqId %lld in the answer, ours is %lld (RFC 9483 4.1.1)",
            (long long)r->cert_req_id, (long long)want_id);
    switch (r->status.status) {
    case MU_CMP_WAITING:
        c->poll_id = r->cert_req_id;
        return wait_for(c, 0);
    case MU_CMP_ACCEPTED:
    case MU_CMP_GRANTED_WITH_MODS:
        c->granted_with_mods = r->status.status == MU_CMP_GRANTED_WITH_MODS;
        c->pending = false;
        return mu_cmp_client_cert_take(c, msg, err);
    default:
        return mu_cmp_client_fail_refused(c, &r->status, err);
    }
}

static enum mu_code on_rp(struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    mu_cmp_client_reply_note(c, msg, &msg->body.u.rp.status, mu_bytes(NULL, 0));
    c->pending = false;
    if (msg->body.u.rp.status.status == MU_CMP_ACCEPTED
        || msg->body.u.rp.status.status == MU_CMP_GRANTED_WITH_MODS
        || msg->body.u.rp.status.status == MU_CMP_REVOCATION_WARNING
        || msg->body.u.rp.status.status == MU_CMP_REVOCATION_NOTIFICATION)
        return MU_OK;
    return mu_cmp_client_fail_refused(c, &msg->body.u.rp.status, err);
}

static enum mu_code on_poll_rep(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    struct mu_buf text = {.max = 4096};

    if (!c->pending || c->polls == 0)
        return unexpected(c, msg, err);
    mu_cmp_text_format(msg->body.u.poll_rep.reason, &text);
    mu_cmp_client_trace(c, MU_TRACE_REPLY, "pollRep, protection ok, pkistatus: PENDING, check after %lld s%s%s",
        (long long)msg->body.u.poll_rep.check_after_s, text.n != 0 ? ": " : "", mu_buf_str(&text));
    mu_buf_clear(&text);
    return wait_for(c, msg->body.u.poll_rep.check_after_s);
}

static enum mu_code on_pkiconf(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_err *err)
{
    if (c->phase == MU_CMP_PHASE_REQUEST)
        return unexpected(c, msg, err);
    mu_cmp_client_trace(c, MU_TRACE_CONFIRM,
        c->phase == MU_CMP_PHASE_CONFIRM ? "accepted" : "rejection taken note of");
    c->pending = false;
    c->confirmed = c->phase == MU_CMP_PHASE_CONFIRM;
    return MU_OK;
}

static bool answers(enum mu_cmp_type request, enum mu_cmp_type reply)
{
    switch (request) {
    case MU_CMP_IR:
        return reply == MU_CMP_IP;
    case MU_CMP_CR:
    case MU_CMP_P10CR:
        return reply == MU_CMP_CP;
    case MU_CMP_KUR:
        return reply == MU_CMP_KUP;
    case MU_CMP_RR:
        return reply == MU_CMP_RP;
    case MU_CMP_GENM:
        return reply == MU_CMP_GENP;
    default:
        return false;
    }
}

enum mu_code mu_cmp_client_reply_take(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    enum mu_cmp_type type = msg->body.type;

    if (type == MU_CMP_ERROR)
        return on_error(c, msg, err);
    if (type == MU_CMP_POLL_REP)
        return on_poll_rep(c, msg, err);
    if (type == MU_CMP_PKICONF)
        return on_pkiconf(c, msg, err);
    if (c->phase != MU_CMP_PHASE_REQUEST || !answers(c->request_type, type))
        return unexpected(c, msg, err);
    if (type == MU_CMP_RP)
        return on_rp(c, msg, err);
    if (type == MU_CMP_GENP)
        return mu_cmp_client_info_take(c, msg, err);
    return on_rep(c, msg, err);
}
