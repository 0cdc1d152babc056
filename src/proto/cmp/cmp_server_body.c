/* Bodies of the server's answers: ip, cp, kup, rp, pkiConf, pollRep, genp, error. */
#include <string.h>

#include "base/limits.h"
#include "enroll/enroll_diff.h"
#include "proto/cmp/cmp_genm.h"
#include "proto/cmp/cmp_server_internal.h"

enum { RETRY_DEFAULT_S = 60 };

void mu_cmp_server_keep_clear(struct mu_cmp_server_keep *keep)
{
    mu_buf_clear(&keep->text);
    mu_buf_clear(&keep->ca_pubs);
    mu_buf_clear(&keep->private_key);
    mu_buf_clear(&keep->encrypted_cert);
    mu_buf_clear(&keep->gen);
    mu_buf_clear(&keep->crl);
}

int mu_cmp_server_request_type(const struct mu_cmp_server *s)
{
    if (!s->msg->has_body)
        return -1;
    switch (s->msg->body.type) {
    case MU_CMP_IR:
    case MU_CMP_CR:
    case MU_CMP_KUR:
    case MU_CMP_P10CR:
    case MU_CMP_RR:
        return s->msg->body.type;
    case MU_CMP_POLL_REQ:
        return s->has_kept ? s->kept.type : -1;
    default:
        return -1;
    }
}

int mu_cmp_server_fail_bit(const struct mu_err *refusal)
{
    static const int by_code[] = {
        [MU_INPUT] = MU_CMP_BAD_DATA_FORMAT,
        [MU_AUTH] = MU_CMP_BAD_MESSAGE_CHECK,
        [MU_DENIED] = MU_CMP_NOT_AUTHORIZED,
        [MU_NOT_FOUND] = MU_CMP_BAD_REQUEST,
        [MU_BUSY] = MU_CMP_SYSTEM_UNAVAIL,
        [MU_UNSUPPORTED] = MU_CMP_BAD_REQUEST,
        [MU_STORAGE] = MU_CMP_SYSTEM_UNAVAIL,
        [MU_MEMORY] = MU_CMP_SYSTEM_UNAVAIL,
        [MU_INTERNAL] = MU_CMP_SYSTEM_FAILURE,
    };
    const struct mu_err_row *row =
        refusal->reason >= MU_REFUSE_FIRST ? mu_err_row(refusal->reason) : NULL;

    if (row != NULL && row->cmp_fail_bit >= 0)
        return row->cmp_fail_bit;
    if ((size_t)refusal->code < sizeof by_code / sizeof by_code[0] && refusal->code != MU_OK)
        return by_code[refusal->code];
    return MU_CMP_SYSTEM_FAILURE;
}

/* CMP-44: what is wrong with header, protection, sender or transaction, and our own trouble, is
 * told in an error message; what is wrong with the request in its own kind of answer. */
static bool is_about_body(const struct mu_cmp_server *s, const struct mu_err *refusal)
{
    static const enum mu_reason others[] = {
        MU_REFUSE_SIGNATURE, MU_REFUSE_ENTRY_UNKNOWN, MU_REFUSE_ENTRY_DISABLED, MU_REFUSE_PASSWORD,
        MU_REFUSE_SIGNER_UNTRUSTED, MU_REFUSE_SIGNER_REVOKED, MU_REFUSE_RATE, MU_REFUSE_REPLAY,
        MU_REFUSE_CLOCK, MU_REFUSE_SERVICE_OFF, MU_REFUSE_INTERNAL, MU_REFUSE_VERSION,
        MU_REFUSE_SENDER_NONCE, MU_REFUSE_RECIPIENT_NONCE, MU_REFUSE_PROTECTION_KIND,
        MU_REFUSE_TRANSACTION, MU_REFUSE_STATE,
    };

    if (!s->verified || mu_cmp_server_request_type(s) < 0)
        return false;
    if (s->msg->body.type == MU_CMP_POLL_REQ && !s->asked) /* the poll, not what it asks for */
        return false;
    if (refusal->reason < MU_REFUSE_FIRST)
        return refusal->code == MU_INPUT || refusal->code == MU_DENIED
            || refusal->code == MU_UNSUPPORTED;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i] == refusal->reason)
            return false;
    return true;
}

static void status_refused(const struct mu_err *refusal, struct mu_cmp_status *status,
    struct mu_cmp_server_keep *keep)
{
    const struct mu_err_row *row = mu_err_row(refusal->reason);

    status->status = MU_CMP_REJECTION;
    status->has_fail = true; /* CMP-42: with rejection only */
    status->fail = UINT32_C(1) << mu_cmp_server_fail_bit(refusal);
    mu_buf_reset(&keep->text);
    mu_cmp_text_put(&keep->text,
        refusal->what[0] != '\0' ? refusal->what
            : row != NULL        ? row->what
                                 : "The CA refused the request.");
    status->text = mu_buf_bytes(&keep->text);
}

static void error_body(const struct mu_err *refusal, struct mu_cmp_body *body,
    struct mu_cmp_server_keep *keep)
{
    memset(body, 0, sizeof *body);
    body->type = MU_CMP_ERROR;
    status_refused(refusal, &body->u.error.status, keep);
}

static enum mu_cmp_type answer_type(int request)
{
    return request == MU_CMP_IR ? MU_CMP_IP
        : request == MU_CMP_KUR ? MU_CMP_KUP
        : request == MU_CMP_RR  ? MU_CMP_RP
                                : MU_CMP_CP;
}

/* ---- certificates ---- */

/* CMP-71: in ip, under a MAC, the trust anchor of the new certificate. */
static void ca_pubs(const struct mu_cmp_server *s, const struct mu_pki_certs *chain,
    struct mu_cmp_body *body, struct mu_cmp_server_keep *keep)
{
    struct mu_pki_cert *root = chain != NULL && chain->n != 0 ? chain->v[chain->n - 1] : NULL;

    if (body->type != MU_CMP_IP || s->protection != MU_CMP_BY_MAC || root == NULL
        || !mu_pki_name_equal(root->subject, root->issuer))
        return;
    mu_buf_put_bytes(&keep->ca_pubs, root->der);
    body->u.rep.ca_pubs = mu_buf_bytes(&keep->ca_pubs);
}

/* An extension that was asked for and is not there, whatever its value: those that matter to us are
 * compared by mu_enroll_diff. */
struct missing {
    const char *oid;
    bool found;
};

static void look_for(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct missing *m = cookie;

    m->found = m->found || strcmp(oid, m->oid) == 0;
}

struct dropped {
    const struct mu_pki_cert *cert;
    bool any;
};

static void was_dropped(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct dropped *d = cookie;
    struct missing m = {.oid = oid};

    mu_pki_ext_each(d->cert->exts.all, look_for, &m);
    d->any = d->any || !m.found;
}

static bool differs(const struct mu_pki_csr *asked, const struct mu_pki_cert *cert)
{
    struct mu_buf text = {.max = 16 * 1024};
    struct dropped dropped = {.cert = cert};
    bool same;

    if (asked->exts.all.n == 0 && mu_bytes_equal(asked->subject, cert->subject))
        return false;
    mu_pki_ext_each(asked->exts.all, was_dropped, &dropped);
    same = mu_enroll_diff(asked, cert, &text) && text.n == 0;
    mu_buf_clear(&text);
    return !same || dropped.any || asked->exts.is_ca != cert->exts.is_ca;
}

/* CMP-52: other names, usages or times than those asked for; after a wait the request is known from
 * what was kept of it. */
static bool is_modified(const struct mu_cmp_server *s, const struct mu_pki_cert *cert)
{
    const struct mu_cmp_template *tmpl = &s->msg->body.u.req.req.tmpl;
    struct mu_pki_csr *asked = NULL;
    bool modified;

    if (s->csr != NULL)
        return differs(s->csr, cert)
            || (s->msg->body.type != MU_CMP_P10CR
                && ((tmpl->not_before_s != 0 && tmpl->not_before_s != cert->not_before_s)
                    || (tmpl->not_after_s != 0 && tmpl->not_after_s != cert->not_after_s)));
    if (!s->has_kept || s->kept.asked.n == 0
        || mu_pki_csr_decode(s->kept.asked, &asked, NULL) != MU_OK)
        return false;
    modified = differs(asked, cert);
    mu_pki_csr_free(asked);
    return modified;
}

static enum mu_code issued_body(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_cmp_body *body, struct mu_cmp_server_keep *keep,
    struct mu_err *err)
{
    struct mu_cmp_cert_response *response = &body->u.rep.response;

    if (decision->cert == NULL)
        return mu_err_set(
            err, MU_INTERNAL, MU_REFUSE_INTERNAL, "cmp: a decision without its certificate");
    response->status.status = decision->modified || is_modified(s, decision->cert)
        ? MU_CMP_GRANTED_WITH_MODS
        : MU_CMP_ACCEPTED;
    ca_pubs(s, decision->chain != NULL ? decision->chain : credential->ca_chain, body, keep);
    if (s->has_kept ? s->kept.encrypts : s->encrypts) {
        enum mu_code sealed = mu_cmp_server_encrypt(s, decision->cert, &keep->encrypted_cert, err);
        response->encrypted_cert = mu_buf_bytes(&keep->encrypted_cert);
        return sealed;
    }
    response->cert = decision->cert->der;
    if (decision->key == NULL)
        return MU_OK;
    enum mu_code rc = mu_cmp_server_package(s, credential, decision, &keep->private_key, err);
    if (rc == MU_OK)
        response->private_key = mu_buf_bytes(&keep->private_key);
    return rc;
}

static enum mu_code rep_body(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_cmp_body *body, struct mu_cmp_server_keep *keep,
    struct mu_err *err)
{
    int request = mu_cmp_server_request_type(s);

    memset(body, 0, sizeof *body);
    body->type = answer_type(request);
    if (body->type == MU_CMP_RP) {
        body->u.rp.n = 1;
        if (decision->verdict == MU_VERDICT_REFUSED)
            status_refused(&decision->refusal, &body->u.rp.status, keep);
        return MU_OK;
    }
    body->u.rep.n = 1;
    body->u.rep.response.cert_req_id = s->cert_req_id;
    switch (decision->verdict) {
    case MU_VERDICT_ISSUED:
        return issued_body(s, credential, decision, body, keep, err);
    case MU_VERDICT_PENDING:
        body->u.rep.response.status.status = MU_CMP_WAITING;
        return MU_OK;
    default:
        status_refused(&decision->refusal, &body->u.rep.response.status, keep);
        return MU_OK;
    }
}

static void poll_body(
    const struct mu_cmp_server *s, const struct mu_decision *decision, struct mu_cmp_body *body)
{
    memset(body, 0, sizeof *body);
    body->type = MU_CMP_POLL_REP;
    body->u.poll_rep.n = 1;
    body->u.poll_rep.cert_req_id = s->cert_req_id;
    body->u.poll_rep.check_after_s =
        decision->retry_after_s > 0 ? decision->retry_after_s : RETRY_DEFAULT_S;
}

enum mu_code mu_cmp_server_body(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_cmp_body *body, struct mu_cmp_server_keep *keep,
    struct mu_err *err)
{
    bool refused = decision != NULL && decision->verdict == MU_VERDICT_REFUSED;

    mu_buf_init(&keep->text, 4096);
    mu_buf_init(&keep->ca_pubs, MU_LIMIT_REPLY);
    mu_buf_init_secret(&keep->private_key, MU_LIMIT_MESSAGE);
    mu_buf_init(&keep->gen, MU_LIMIT_REPLY);
    if (refused && !is_about_body(s, &decision->refusal)) {
        error_body(&decision->refusal, body, keep);
        return MU_OK;
    }
    if (s->msg->body.type == MU_CMP_POLL_REQ && decision->verdict == MU_VERDICT_PENDING) {
        poll_body(s, decision, body);
        return MU_OK;
    }
    if (mu_cmp_server_request_type(s) >= 0)
        return rep_body(s, credential, decision, body, keep, err);
    memset(body, 0, sizeof *body);
    if (s->msg->body.type == MU_CMP_GENM)
        return mu_cmp_genm_answer(&s->msg->body, credential, decision, body, &keep->gen, err);
    body->type = MU_CMP_PKICONF; /* CMP-78, CMP-46 */
    return MU_OK;
}
