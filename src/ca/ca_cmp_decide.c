/*
 * What is answered to a CMP message that checked out: requests for certificates by the profile of
 * whoever sent them, polls and confirmations by the record of their transaction. Revocation is
 * ca_cmp_revoke.c.
 */
#include <stdio.h>

#include "base/text.h"
#include "ca/ca_cmp.h"
#include "pki/pki_name.h"
#include "store/store_row.h"

/* ---- requests ---- */

/* A profile is for those whom the operator gave it to. Beside his own, a sender may name one that
 * the operator opened by a template-name; it stays manual if his own is. Who has none names none. */
const struct mu_enroll_profile *mu_ca_cmp_profile(
    struct mu_ca_job *job, const struct mu_enroll_profile *own)
{
    const char *label = mu_ca_cmp_of(job)->label;
    const char *name = job->question.profile_name != NULL ? job->question.profile_name
        : label[0] != '\0'                                ? label
                                                          : NULL;

    if (own == NULL)
        return NULL;
    if (name == NULL)
        return job->question.csr != NULL ? mu_ca_decide_template(job, own) : own;
    if (strcmp(own->name, name) == 0)
        return own;
    for (size_t i = 0; i < job->snapshot->profile_n; i++) {
        const struct mu_enroll_profile *p = job->snapshot->profiles[i];

        if (p->template_name != NULL && strcmp(p->template_name, name) == 0
            && (!own->manual || p->manual) && (!own->manual_renewal || p->manual_renewal) && mu_ca_decide_is_for_ca(job, p))
            return p;
    }
    return NULL;
}

static bool is_valid_now(const struct mu_ca_job *job, const struct mu_pki_cert *cert)
{
    return cert->not_before_s <= job->now_s && job->now_s <= cert->not_after_s;
}

/* The alternative names are the signer's own; a profile that has a rule for them decides by it. */
static bool may_name_san(const struct mu_ca_job *job, const struct mu_enroll_profile *profile)
{
    struct mu_bytes asked = job->question.csr->exts.san, own = job->claim.signer->exts.san;

    return asked.n == 0 || profile->san_rule != MU_PROFILE_SAN_ACCEPT
        || (own.n != 0 && mu_pki_san_subset(asked, own));
}

/* CMP-57: who signs with a certificate asks for what it names; an RA speaks for others, and a
 * profile with rules of its own for subjects decides by them about a manufacturer's device. */
static bool may_name(const struct mu_ca_job *job, const struct mu_enroll_profile *profile)
{
    const struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_pki_csr *csr = job->question.csr;

    if (cmp->is_ra)
        return true;
    if (!may_name_san(job, profile))
        return false;
    if (cmp->is_external && profile->subject_rule != MU_PROFILE_SUBJECT_ACCEPT)
        return true;
    return (mu_pki_name_equal(csr->subject, job->claim.signer->subject)
               && !mu_pki_name_is_empty(csr->subject))
        || (mu_pki_name_is_empty(csr->subject) && csr->exts.san.n != 0
            && job->claim.signer->exts.san.n != 0
            && mu_pki_san_subset(csr->exts.san, job->claim.signer->exts.san));
}

/* An RA renews for others, which oldCertID names: one of ours, in force. */
static bool is_for_another(const struct mu_ca_job *job)
{
    const struct mu_question *q = &job->question;

    return mu_ca_cmp_of(job)->is_ra && job->claim.is_renewal && q->old_serial.n != 0
        && mu_pki_name_equal(q->old_issuer, job->one->ca.certs.v[0]->subject)
        && !mu_pki_serial_equal(q->old_serial, job->claim.signer->serial);
}

static enum mu_code renewal_by_ra(struct mu_ca_job *job, const struct mu_record_cert *row,
    struct mu_enroll_facts *policy, struct mu_err *err)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    enum mu_code rc;

    if (row == NULL)
        return mu_ca_refusal(err, MU_REFUSE_NO_SUCH_CERT);
    if (row->revoked_s != 0)
        return mu_ca_refusal(err, MU_REFUSE_REVOKED);
    if (!is_valid_now(job, job->claim.signer))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_UNTRUSTED,
            "the certificate that signed the request is not valid now");
    if ((cmp->renewed_row = mu_store_row_copy(MU_STORE_ROW_CERT, row)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REFUSE_INTERNAL, "out of memory");
    if ((rc = mu_pki_cert_decode(cmp->renewed_row->der, &cmp->renewed, err)) != MU_OK)
        return rc;
    job->row.renews = mu_enroll_record_serial(cmp->renewed->serial);
    policy->renews = cmp->renewed;
    mu_ca_record_said(job, "signer", "an RA: renewal of another's certificate");
    return MU_OK;
}

/* CMP-54, CMP-55: kur is signed with the certificate that it renews, or by an RA. */
static enum mu_code renewal(struct mu_ca_job *job, const struct mu_store_facts *facts,
    struct mu_enroll_facts *policy, struct mu_err *err)
{
    const struct mu_question *q = &job->question;
    const struct mu_pki_cert *signer = job->claim.signer;

    if (job->claim.auth != MU_AUTH_CERT)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_PROTECTION_KIND,
            "a kur is signed with the certificate it renews, not protected by a MAC (RFC 9483 "
            "4.1.3)");
    if (mu_ca_cmp_of(job)->signer_row == NULL)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
            "only a certificate of this CA can be renewed here (RFC 9483 4.1.3)");
    if (is_for_another(job))
        return renewal_by_ra(job, facts->other_cert, policy, err);
    if (q->old_serial.n != 0
        && (!mu_pki_serial_equal(q->old_serial, signer->serial)
            || !mu_pki_name_equal(q->old_issuer, signer->issuer)))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_CERT_ID,
            "oldCertID names another certificate than the one that signed (RFC 9483 4.1.3)");
    job->row.renews = mu_enroll_record_serial(signer->serial);
    policy->renews = signer;
    mu_ca_record_said(job, "signer", "a certificate of ours: renewal");
    return MU_OK;
}

static enum mu_code refuse_profile(struct mu_ca_job *job, struct mu_err *err)
{
    char shown[80];

    mu_text_escape_to(shown, sizeof shown,
        mu_bytes_str(job->question.profile_name != NULL ? job->question.profile_name
                                                        : mu_ca_cmp_of(job)->label));
    return mu_err_set(
        err, MU_DENIED, MU_REFUSE_UNSUPPORTED, "there is no profile '%s' for this sender", shown);
}

/* By certificate. */
static enum mu_code by_certificate(
    struct mu_ca_job *job, struct mu_enroll_facts *policy, struct mu_err *err)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_record_cert *of = cmp->renewed_row != NULL ? cmp->renewed_row : cmp->signer_row;
    const struct mu_enroll_profile *own;
    bool by_setting = cmp->is_ra || cmp->is_external;

    own = mu_ca_snapshot_profile(
        job->snapshot, by_setting ? job->one->client_profile : cmp->signer_row->profile);
    if (!by_setting || cmp->renewed_row != NULL)
        snprintf(job->entry, sizeof job->entry, "%s", of->entry);
    if (job->claim.is_renewal) {
        job->profile = mu_ca_snapshot_profile(job->snapshot, of->profile);
        return job->profile != NULL ? MU_OK : mu_ca_refusal(err, MU_REFUSE_ENTRY_UNKNOWN);
    }
    if (!is_valid_now(job, job->claim.signer))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_UNTRUSTED,
            "the certificate that signed the request is not valid now");
    if ((job->profile = mu_ca_cmp_profile(job, own)) == NULL)
        return job->question.profile_name != NULL || cmp->label[0] != '\0'
            ? refuse_profile(job, err)
            : mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
                "CA '%s' has no profile for requests by such certificates (client-profile)",
                job->one->name);
    if (!may_name(job, job->profile))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
            "the names asked for are not those of the certificate which signed (RFC 9483 5.1.1)");
    return MU_OK;
}

static enum mu_code by_entry(
    struct mu_ca_job *job, struct mu_enroll_facts *policy, struct mu_err *err)
{
    const struct mu_record_entry *e = mu_ca_cmp_of(job)->entry;

    job->has_password = policy->has_challenge = true;
    job->change.alive_since_s = e->reset_s;
    if (e->max_uses != 0 && e->uses >= e->max_uses)
        return mu_ca_refusal(err, MU_REFUSE_PASSWORD_USED);
    job->profile =
        mu_ca_cmp_profile(job, mu_ca_snapshot_profile(job->snapshot, e->profile));
    if (job->profile == NULL)
        return refuse_profile(job, err);
    return MU_OK;
}

static void on_request(void *cookie, const struct mu_store_facts *facts)
{
    struct mu_ca_job *job = cookie;
    struct mu_enroll_facts policy = {0};
    struct mu_err err = {0};
    enum mu_code rc = MU_OK;

    if (facts->err != NULL) {
        err = *facts->err;
        mu_err_narrow(&err, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (job->claim.op == MU_OP_KEYGEN && facts->same != NULL
        && facts->same->state == MU_RECORD_ISSUED) {
        mu_err_set(&err, MU_DENIED, MU_REFUSE_UNDELIVERABLE,
            "the key made for this request was handed over once and is kept nowhere: ask anew "
            "(RFC 9483 4.1.6)");
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (mu_ca_decide_is_repeat(job, facts->same, facts->same_cert)) {
        mu_ca_record_answer(job, facts->same, facts->same_cert);
        return;
    }
    if (job->claim.is_renewal)
        rc = renewal(job, facts, &policy, &err);
    if (rc == MU_OK)
        rc = job->claim.auth == MU_AUTH_CERT ? by_certificate(job, &policy, &err)
                                             : by_entry(job, &policy, &err);
    if (rc == MU_OK && job->claim.op == MU_OP_KEYGEN)
        rc = mu_ca_cmp_keygen(job, &err);
    if (rc != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    job->change.transaction_alone = true;
    if (!job->question.implicit_confirm || !job->one->implicit_confirm)
        job->confirm_until_s = job->now_s + job->one->confirm_wait_s;
    mu_ca_decide_grant(job, facts, &policy);
}

/* What is known of this transaction is all that a decision needs, in most cases: the request is a
 * new one, or the very one that the record is about. */
static void decide_by_transaction(struct mu_ca_job *job, int64_t since_s)
{
    const struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_record_request *latest = cmp->latest;
    struct mu_store_facts facts = {0};

    if (latest != NULL && (latest->state == MU_RECORD_PENDING || latest->changed_s >= since_s)) {
        facts.same = latest;
        facts.same_cert = cmp->latest_cert;
    }
    on_request(job, &facts);
}

static void request(struct mu_ca_job *job)
{
    const struct mu_pki_csr *csr = job->question.csr;
    const struct mu_record_request *latest = mu_ca_cmp_of(job)->latest;
    struct mu_store_ask ask = {.ca = job->one->name,
        .proto = MU_PROTO_CMP,
        .transaction_id = job->claim.transaction_id,
        .signer = mu_bytes(job->signer, 32),
        .digest = job->question.request_digest,
        .since_s = job->now_s - job->one->retransmit_s};

    mu_ca_subject_text(csr->subject, &job->asked);
    if (is_for_another(job))
        ask.other_serial = job->question.old_serial;
    if (latest != NULL && (latest->state == MU_RECORD_PENDING || latest->changed_s >= ask.since_s)
        && job->way->is_other(job, latest)) /* CMP-12 */
        return;
    if (job->snapshot->keys_matter && csr->spki.n != 0
        && mu_ca_record_hash(csr->spki, job->key_hash)
        && mu_ca_record_hash(csr->subject, job->asked_hash)) {
        ask.key_hash = mu_bytes(job->key_hash, 32);
        ask.subject_hash = mu_bytes(job->asked_hash, 32);
    }
    if (ask.key_hash.n == 0 && ask.other_serial.n == 0)
        decide_by_transaction(job, ask.since_s);
    else
        job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_request, job);
}

/* ---- what belongs to a transaction ---- */

/* CMP-104: the same credentials as the request's. */
static bool is_ours(const struct mu_ca_job *job)
{
    const struct mu_record_request *latest = mu_ca_cmp_of(job)->latest;

    return latest != NULL && mu_bytes_equal(latest->signer, mu_bytes(job->signer, 32));
}

/* Who was told to wait is asked for again: what was shut off meanwhile gets nothing any more. A
 * secret that has run out or is used up was good when the request came. */
static void poll(struct mu_ca_job *job)
{
    const struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    enum mu_reason reason = mu_ca_cmp_who_may_ask(job);

    if (!is_ours(job))
        mu_ca_record_refuse(job, MU_REFUSE_NO_SUCH_REQUEST);
    else if (reason == MU_REFUSE_ENTRY_DISABLED || reason == MU_REFUSE_SIGNER_REVOKED)
        mu_ca_record_refuse(job, reason);
    else
        mu_ca_record_answer(job, cmp->latest, cmp->latest_cert);
}

/* Confirmed before; or too late, and revoked since: who sends it must not go on with that certificate. */
static enum mu_reason not_waiting(const struct mu_record_cert *cert)
{
    return cert != NULL && cert->confirm == MU_RECORD_CONFIRM_REJECTED ? MU_REFUSE_REVOKED : MU_REFUSE_CONFIRMED;
}

static void settled(void *cookie, const struct mu_store_result *result)
{
    struct mu_ca_job *job = cookie;
    struct mu_err why = {0};

    if (result->code == MU_OK) {
        if (job->change.revoke_serial.n != 0)
            atomic_store(&job->ca->crl_due, true);
        mu_ca_tell(job->ca, &job->audit);
        mu_ca_job_ready(job);
    } else if (result->lost == MU_STORE_LOST_CONFIRM) {
        mu_ca_record_refuse(job, not_waiting(result->cert));
    } else if (result->lost == MU_STORE_LOST_REVOKED) {
        mu_ca_record_refuse(
            job, result->cert != NULL ? MU_REFUSE_REVOKED : MU_REFUSE_NO_SUCH_CERT);
    } else {
        why = *result->err;
        mu_err_narrow(&why, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &why);
    }
}

/* The change with its audit line; the answer is ready before it is submitted. */
void mu_ca_cmp_submit(struct mu_ca_job *job, const char *action, struct mu_bytes serial)
{
    struct mu_store_change *c = &job->change;
    struct mu_err err = {0};

    job->audit = (struct mu_record_audit){
        .action = action, .success = true, .serial = serial, .message = mu_buf_str(&job->text)};
    mu_ca_job_audit(job, &job->audit);
    c->now_s = job->now_s;
    c->audit = &job->audit;
    c->audit_n = 1;
    c->done = settled;
    c->cookie = job;
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_DATA};
    if (mu_ca_job_write(job, &err) != MU_OK)
        mu_ca_job_refuse(job, &err);
    else
        mu_store_submit(job->ca->config.store, c);
}

/* CMP-75 to CMP-79. */
static void confirm(struct mu_ca_job *job)
{
    const struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_record_cert *cert = cmp->latest_cert;
    struct mu_store_change *c = &job->change;
    struct mu_buf hex = {0};
    const char *words = job->question.words;

    if (!is_ours(job) || cert == NULL || cmp->latest->state != MU_RECORD_ISSUED) {
        mu_ca_record_refuse(job, MU_REFUSE_STATE);
        return;
    }
    if (cert->confirm != MU_RECORD_CONFIRM_WAITING) {
        mu_ca_record_refuse(job, not_waiting(cert));
        return;
    }
    mu_text_hex(&hex, cert->serial, ':');
    mu_buf_reset(&job->planned);
    mu_buf_put_str(&job->planned, cert->subject);
    c->confirm_ca = cert->ca;
    c->confirm_serial = cert->serial;
    c->confirm = MU_RECORD_CONFIRMED;
    if (job->question.confirm_accepted) {
        mu_buf_putf(&job->text, "Certificate \"%.512s\" was confirmed (%s)", cert->subject,
            mu_buf_str(&hex));
    } else {
        c->confirm = MU_RECORD_CONFIRM_REJECTED;
        c->revoke_ca = cert->ca;
        c->revoke_serial = cert->serial;
        c->revoke_reason = 5; /* cessationOfOperation: it was never used */
        c->revoke_lenient = true;
        mu_buf_putf(&job->text, "Certificate \"%.400s\" was rejected by its client (%s)%s%.200s",
            cert->subject, mu_buf_str(&hex), words != NULL ? ": " : "", words != NULL ? words : "");
    }
    mu_buf_clear(&hex);
    mu_ca_cmp_submit(job, c->confirm == MU_RECORD_CONFIRMED ? "confirm" : "reject", cert->serial);
}

/* ---- which ---- */

void mu_ca_cmp_decide(struct mu_ca_job *job)
{
    enum mu_op op = job->claim.op;
    enum mu_reason reason;

    if (!mu_ca_record_identity(job)) {
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
        return;
    }
    if (op == MU_OP_POLL) {
        poll(job);
        return;
    }
    if (op == MU_OP_CONFIRM) {
        confirm(job);
        return;
    }
    if (op == MU_OP_INFO && job->claim.auth == MU_AUTH_NONE) { /* an error, CMP-46 */
        mu_ca_cmp_info(job);
        return;
    }
    reason = mu_ca_cmp_who_may_ask(job);
    if (reason != MU_REASON_NONE && !(op == MU_OP_REVOKE && reason == MU_REFUSE_SIGNER_REVOKED)) {
        mu_ca_record_refuse(job, reason);
        return;
    }
    if (op == MU_OP_ENROLL || op == MU_OP_KEYGEN)
        request(job);
    else if (op == MU_OP_REVOKE)
        mu_ca_cmp_revoke(job);
    else
        mu_ca_cmp_info(job);
}
