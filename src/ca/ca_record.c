/*
 * A decision becomes a record and an answer. The answer is made before the record is submitted
 * and leaves when it is durable; if a condition is lost it is made anew from the winner's record.
 */
#include "base/text.h"
#include "ca/ca_job.h"

void mu_ca_record_refuse(struct mu_ca_job *job, enum mu_reason reason)
{
    struct mu_err why = {0};

    mu_ca_refusal(&why, reason);
    mu_ca_job_refuse(job, &why);
}

void mu_ca_record_said(const struct mu_ca_job *job, const char *rule, const char *result)
{
    mu_trace(job->ca->config.env, job->way->proto, MU_TRACE_CHECK, "%s: %s", rule, result);
}

bool mu_ca_record_hash(struct mu_bytes v, uint8_t out[32])
{
    uint8_t digest[64];

    if (mu_pki_digest(MU_PKI_SHA256, v, digest) != 32)
        return false;
    memcpy(out, digest, 32);
    return true;
}

/* By the certificate; where there is none, by the login. */
bool mu_ca_record_identity(struct mu_ca_job *job)
{
    char login[320] = "entry ";

    if (job->claim.signer != NULL && !job->ignores_signer)
        return mu_enroll_record_signer(job->claim.signer, job->is_ours, job->signer);
    strncat(login, job->claim.entry != NULL ? job->claim.entry : "", sizeof login - 7);
    return mu_ca_record_hash(mu_bytes_str(login), job->signer);
}

/* ---- answers ---- */

const struct mu_pki_certs *mu_ca_record_chain(const struct mu_ca_job *job)
{
    return job->use_next ? &job->one->next.certs : &job->one->ca.certs;
}

void mu_ca_record_answer_cert(
    struct mu_ca_job *job, enum mu_verdict verdict, struct mu_pki_cert *cert)
{
    job->decision =
        (struct mu_decision){.verdict = verdict, .cert = cert, .chain = mu_ca_record_chain(job)};
    mu_ca_job_done(job);
}

/* The certificate of a record, once more: the answer is new, its nonce being new. */
void mu_ca_record_answer_again(
    struct mu_ca_job *job, const struct mu_record_cert *row, enum mu_verdict verdict)
{
    struct mu_err err = {0};

    if (mu_pki_cert_decode(row->der, &job->again, &err) != MU_OK) {
        err.code = MU_STORAGE;
        mu_err_narrow(&err, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &err);
        return;
    }
    mu_ca_record_answer_cert(job, verdict, job->again);
}

static void answer_pending(struct mu_ca_job *job)
{
    atomic_fetch_add(&job->ca->stats.pending, 1);
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_PENDING};
    mu_ca_job_done(job);
}

/* A request that has a record already, by what became of it. */
void mu_ca_record_answer(struct mu_ca_job *job, const struct mu_record_request *request,
    const struct mu_record_cert *cert)
{
    struct mu_err why = {0};
    char words[400];

    job->known_id = request->id;
    job->credential.kept = request->kept;
    job->known_cert = cert;
    if (request->state == MU_RECORD_PENDING) {
        mu_ca_record_said(job, "transaction", "known, waits for an operator");
        answer_pending(job);
    } else if (request->state == MU_RECORD_ISSUED && cert != NULL) {
        mu_ca_record_said(job, "transaction", "known, issued: the same certificate again");
        atomic_fetch_add(&job->ca->stats.resent, 1);
        mu_ca_record_answer_again(job, cert, MU_VERDICT_ISSUED);
    } else if (request->state == MU_RECORD_REJECTED) {
        mu_ca_refusal(&why, MU_REFUSE_OPERATOR);
        if (*request->words != '\0')
            mu_err_set(&why, MU_DENIED, MU_REFUSE_OPERATOR, "%s",
                mu_text_escape_to(words, sizeof words, mu_bytes_str(request->words)));
        mu_ca_job_refuse(job, &why);
    } else {
        mu_ca_record_refuse(job, MU_REFUSE_NO_SUCH_CERT);
    }
}

/* ---- the record, and what becomes of it ---- */

static void tell_recorded(struct mu_ca_job *job)
{
    if (job->row.state == MU_RECORD_ISSUED)
        atomic_fetch_add(
            job->row.renews.n != 0 ? &job->ca->stats.renewed : &job->ca->stats.issued, 1);
    else
        atomic_fetch_add(&job->ca->stats.pending, 1);
    mu_ca_tell(job->ca, &job->audit);
}

enum mu_reason mu_ca_record_challenge_reason(const struct mu_record_entry *entry, int64_t now_s)
{
    if (entry == NULL)
        return MU_REFUSE_PASSWORD;
    if (entry->disabled)
        return MU_REFUSE_ENTRY_DISABLED;
    if (entry->expires_s != 0 && entry->expires_s <= now_s)
        return MU_REFUSE_PASSWORD_EXPIRED;
    return MU_REFUSE_PASSWORD_USED;
}

static void lost(struct mu_ca_job *job, const struct mu_store_result *result)
{
    switch (result->lost) {
    case MU_STORE_LOST_TRANSACTION:
    case MU_STORE_LOST_STATE:
        if (result->request != NULL && job->way->is_other != NULL
            && job->way->is_other(job, result->request))
            break;
        if (result->request != NULL)
            mu_ca_record_answer(job, result->request, result->cert);
        else
            mu_ca_record_refuse(job, MU_REFUSE_NO_SUCH_REQUEST);
        break;
    case MU_STORE_LOST_CHALLENGE:
        mu_ca_record_refuse(job, mu_ca_record_challenge_reason(result->entry, job->now_s));
        break;
    case MU_STORE_LOST_PENDING:
        mu_ca_record_refuse(job, MU_REFUSE_QUEUE_FULL);
        break;
    case MU_STORE_LOST_ALIVE:
        mu_ca_record_refuse(job, MU_REFUSE_ALIVE);
        break;
    case MU_STORE_LOST_RATE:
        mu_ca_record_refuse(job, MU_REFUSE_RATE);
        break;
    default:
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
        break;
    }
}

void mu_ca_record_done(void *cookie, const struct mu_store_result *result)
{
    struct mu_ca_job *job = cookie;
    struct mu_err why = {0};

    if (result->code == MU_OK) {
        tell_recorded(job);
        mu_ca_job_ready(job);
    } else if (result->lost != MU_STORE_LOST_NONE) {
        mu_ca_record_said(job, "record", mu_store_lost_text(result->lost));
        lost(job, result);
    } else {
        why = *result->err;
        mu_err_narrow(&why, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &why);
    }
}

static void submit(struct mu_ca_job *job)
{
    struct mu_store_change *c = &job->change;
    struct mu_record_request *r = &job->row;
    struct mu_err err = {0};

    r->proto = job->way->proto;
    r->ca = job->one->name;
    r->transaction_id = job->claim.transaction_id;
    r->signer = mu_bytes(job->signer, 32);
    r->digest = job->question.request_digest;
    r->subject = mu_buf_str(&job->asked);
    r->subject_hash = mu_bytes(job->planned_hash, 32);
    r->profile = job->profile->name;
    r->entry = job->entry;
    r->created_s = r->changed_s = job->now_s;
    r->address = job->address;
    c->now_s = job->now_s;
    c->request = r;
    if (c->retransmit_since_s == 0)
        c->retransmit_since_s = job->now_s - job->one->retransmit_s;
    c->pending_max = job->one->pending_max;
    c->subject = mu_buf_str(&job->planned);
    c->rate_max = job->profile->max_requests;
    c->alive_max = job->profile->max_alive;
    c->use_entry =
        job->has_password && job->entry[0] != '\0' && r->renews.n == 0 ? job->entry : NULL;
    c->audit = &job->audit;
    c->audit_n = 1;
    c->done = mu_ca_record_done;
    c->cookie = job;
    mu_ca_job_audit(job, &job->audit);
    if (mu_ca_job_write(job, &err) != MU_OK)
        mu_ca_job_refuse(job, &err);
    else
        mu_store_submit(job->ca->config.store, c);
}

void mu_ca_record_pending(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    if (job->key != NULL && !job->way->keeps_key) {
        mu_err_set(&err, MU_DENIED, MU_REFUSE_UNSUPPORTED,
            "profile '%s' wants an operator's approval, and a key made here is not kept until then",
            job->profile->name);
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (mu_ca_csr_strip(job->question.csr, &job->csr, &err) != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    mu_buf_putf(&job->text, "Certificate signing request \"%.512s\" waits for approval",
        mu_buf_str(&job->asked));
    job->row.state = MU_RECORD_PENDING;
    job->row.csr = mu_buf_bytes(&job->csr);
    job->audit = (struct mu_record_audit){
        .action = "pending", .success = true, .message = mu_buf_str(&job->text)};
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_PENDING};
    submit(job);
}

void mu_ca_record_issue(struct mu_ca_job *job)
{
    struct mu_pki_cert *cert = NULL;
    struct mu_err err = {0};
    struct mu_ca_issue *issue = &job->issue;

    if (mu_ca_issue_sign(
            job->ca, job->one, job->use_next, &job->grant, job->question.csr, &cert, &err)
            != MU_OK
        || mu_ca_issue_row(issue, cert, job->one, job->row.renews, job->now_s, &err) != MU_OK) {
        mu_err_narrow(&err, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &err);
        return;
    }
    issue->row.proto = job->way->proto;
    issue->row.profile = job->profile->name;
    issue->row.entry = job->entry;
    issue->row.transaction_id = job->claim.transaction_id;
    if (job->confirm_until_s != 0) {
        issue->row.confirm = MU_RECORD_CONFIRM_WAITING;
        issue->row.confirm_until_s = job->confirm_until_s;
    }
    job->row.state = MU_RECORD_ISSUED;
    job->row.serial = issue->row.serial;
    job->change.cert = &issue->row;
    if (job->row.renews.n != 0 && job->profile->revoke_old) {
        job->change.revoke_ca = job->one->name;
        job->change.revoke_serial = job->row.renews;
        job->change.revoke_reason = 4; /* superseded */
        job->change.revoke_lenient = true;
    }
    job->audit = (struct mu_record_audit){.action = job->row.renews.n != 0 ? "renew" : "issue",
        .success = true,
        .serial = issue->row.serial,
        .message = issue->message};
    job->decision = (struct mu_decision){
        .verdict = MU_VERDICT_ISSUED,
        .cert = issue->cert,
        .chain = mu_ca_record_chain(job),
        .key = job->key};
    job->credential.ca_in_reply = job->profile->ca_in_reply;
    submit(job);
}
