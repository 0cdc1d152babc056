/*
 * What is answered to a request that checked out as a message: who asks and with what right, then
 * the profile's rules, then the signature, then one record with all its conditions. The answer is
 * made before the record is submitted; if a condition is lost it is made anew.
 */
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_job.h"
#include "pki/pki_name.h"

enum { POLL_WINDOW_S = 30 * 86400 };

static void refuse(struct mu_ca_job *job, enum mu_reason reason)
{
    struct mu_err why = {0};

    mu_ca_refusal(&why, reason);
    mu_ca_job_refuse(job, &why);
}

static void said(const struct mu_ca_job *job, const char *rule, const char *result)
{
    mu_trace(job->ca->config.env, MU_PROTO_SCEP, MU_TRACE_CHECK, "%s: %s", rule, result);
}

static bool hash(struct mu_bytes v, uint8_t out[32])
{
    uint8_t digest[64];

    if (mu_pki_digest(MU_PKI_SHA256, v, digest) != 32)
        return false;
    memcpy(out, digest, 32);
    return true;
}

/* ---- answers ---- */

static const struct mu_pki_certs *reply_chain(const struct mu_ca_job *job)
{
    return job->use_next ? &job->one->next.certs : &job->one->ca.certs;
}

static void answer_cert(struct mu_ca_job *job, enum mu_verdict verdict, struct mu_pki_cert *cert)
{
    job->decision = (struct mu_decision){.verdict = verdict, .cert = cert, .chain = reply_chain(job)};
    mu_ca_job_done(job);
}

/* The certificate of a record, once more: the answer is new, its nonce being new. */
static void answer_again(struct mu_ca_job *job, const struct mu_record_cert *row, enum mu_verdict verdict)
{
    struct mu_err err = {0};

    if (mu_pki_cert_decode(row->der, &job->again, &err) != MU_OK) {
        err.code = MU_STORAGE;
        mu_err_narrow(&err, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &err);
        return;
    }
    answer_cert(job, verdict, job->again);
}

static void answer_pending(struct mu_ca_job *job)
{
    atomic_fetch_add(&job->ca->stats.pending, 1);
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_PENDING};
    mu_ca_job_done(job);
}

/* A request that has a record already, by what became of it. */
static void answer_recorded(struct mu_ca_job *job, const struct mu_record_request *request,
    const struct mu_record_cert *cert)
{
    struct mu_err why = {0};
    char words[400];

    if (request->state == MU_RECORD_PENDING) {
        said(job, "transaction", "known, waits for an operator");
        answer_pending(job);
    } else if (request->state == MU_RECORD_ISSUED && cert != NULL) {
        said(job, "transaction", "known, issued: the same certificate again");
        atomic_fetch_add(&job->ca->stats.resent, 1);
        answer_again(job, cert, MU_VERDICT_ISSUED);
    } else if (request->state == MU_RECORD_REJECTED) {
        mu_ca_refusal(&why, MU_REFUSE_OPERATOR);
        if (*request->words != '\0')
            mu_err_set(&why, MU_DENIED, MU_REFUSE_OPERATOR, "%s",
                mu_text_escape_to(words, sizeof words, mu_bytes_str(request->words)));
        mu_ca_job_refuse(job, &why);
    } else {
        refuse(job, MU_REFUSE_NO_SUCH_CERT);
    }
}

/* ---- the record, and what becomes of it ---- */

static void tell_recorded(struct mu_ca_job *job)
{
    if (job->row.state == MU_RECORD_ISSUED)
        atomic_fetch_add(job->row.renews.n != 0 ? &job->ca->stats.renewed : &job->ca->stats.issued, 1);
    else
        atomic_fetch_add(&job->ca->stats.pending, 1);
    mu_ca_tell(job->ca, &job->audit);
}

static enum mu_reason challenge_reason(const struct mu_record_entry *entry, int64_t now_s)
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
        if (result->request != NULL)
            answer_recorded(job, result->request, result->cert);
        else
            refuse(job, MU_REFUSE_NO_SUCH_REQUEST);
        break;
    case MU_STORE_LOST_CHALLENGE: refuse(job, challenge_reason(result->entry, job->now_s)); break;
    case MU_STORE_LOST_PENDING: refuse(job, MU_REFUSE_QUEUE_FULL); break;
    case MU_STORE_LOST_ALIVE: refuse(job, MU_REFUSE_ALIVE); break;
    case MU_STORE_LOST_RATE: refuse(job, MU_REFUSE_RATE); break;
    default: refuse(job, MU_REFUSE_INTERNAL); break;
    }
}

static void recorded(void *cookie, const struct mu_store_result *result)
{
    struct mu_ca_job *job = cookie;
    struct mu_err why = {0};

    if (result->code == MU_OK) {
        tell_recorded(job);
        mu_ca_job_ready(job);
    } else if (result->lost != MU_STORE_LOST_NONE) {
        said(job, "record", mu_store_lost_text(result->lost));
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

    r->proto = MU_PROTO_SCEP;
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
    c->use_entry = job->entry[0] != '\0' && r->renews.n == 0 ? job->entry : NULL;
    c->audit = &job->audit;
    c->audit_n = 1;
    c->done = recorded;
    c->cookie = job;
    mu_ca_job_audit(job, &job->audit);
    if (mu_ca_job_write(job, &err) != MU_OK)
        mu_ca_job_refuse(job, &err);
    else
        mu_store_submit(job->ca->config.store, c);
}

static void record_pending(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    if (mu_ca_csr_strip(job->question.csr, &job->csr, &err) != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    mu_buf_putf(&job->text, "Certificate signing request \"%.512s\" waits for approval", mu_buf_str(&job->asked));
    job->row.state = MU_RECORD_PENDING;
    job->row.csr = mu_buf_bytes(&job->csr);
    job->audit = (struct mu_record_audit){.action = "pending", .success = true, .message = mu_buf_str(&job->text)};
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_PENDING};
    submit(job);
}

static void record_issue(struct mu_ca_job *job)
{
    struct mu_pki_cert *cert = NULL;
    struct mu_err err = {0};
    struct mu_ca_issue *issue = &job->issue;

    if (mu_ca_issue_sign(job->ca, job->one, job->use_next, &job->grant, job->question.csr, &cert, &err) != MU_OK
        || mu_ca_issue_row(issue, cert, job->one, job->row.renews, job->now_s, &err) != MU_OK) {
        mu_err_narrow(&err, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &err);
        return;
    }
    issue->row.proto = MU_PROTO_SCEP;
    issue->row.profile = job->profile->name;
    issue->row.entry = job->entry;
    issue->row.transaction_id = job->claim.transaction_id;
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
        .success = true, .serial = issue->row.serial, .message = issue->message};
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_ISSUED, .cert = issue->cert,
        .chain = reply_chain(job)};
    job->credential.ca_in_reply = job->profile->ca_in_reply;
    submit(job);
}

/* ---- who asks, with what right ---- */

/* A profile that takes the template a request names; it stays manual if the other is. */
static const struct mu_enroll_profile *by_template(struct mu_ca_job *job, const struct mu_enroll_profile *p)
{
    struct mu_buf name = {0};

    if (p != NULL && mu_enroll_profile_template(job->question.csr, &name)) {
        for (size_t i = 0; i < job->snapshot->profile_n; i++) {
            const struct mu_enroll_profile *other = job->snapshot->profiles[i];

            if (other->template_name != NULL && strcmp(other->template_name, mu_buf_str(&name)) == 0
                && (!p->manual || other->manual))
                p = other;
        }
    }
    mu_buf_clear(&name);
    return p;
}

/* The entry a challenge belongs to, or why not. */
static enum mu_reason check_entry(struct mu_ca_job *job, const struct mu_record_entry *entry)
{
    if (entry == NULL
        || (*entry->ca != '\0' && strcmp(entry->ca, job->one->name) != 0)
        || (entry->protocols != 0 && !(entry->protocols & (1u << MU_PROTO_SCEP)))) {
        mu_ca_rate_wrong_guess(job->ca->rate, job->address, job->now_s);
        return MU_REFUSE_PASSWORD;
    }
    mu_buf_reset(&job->text);
    strncpy(job->entry, entry->name, sizeof job->entry - 1);
    if (entry->disabled || (entry->expires_s != 0 && entry->expires_s <= job->now_s)
        || (entry->max_uses != 0 && entry->uses >= entry->max_uses))
        return challenge_reason(entry, job->now_s);
    job->change.alive_since_s = entry->reset_s;
    return MU_REASON_NONE;
}

static enum mu_reason first_request(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    enum mu_reason reason;

    if (job->has_password) {
        if ((reason = check_entry(job, facts->entry)) != MU_REASON_NONE)
            return reason;
        said(job, "challenge", "ok");
        job->profile = mu_ca_snapshot_profile(job->snapshot, facts->entry->profile);
        if (job->profile == NULL)
            return MU_REFUSE_ENTRY_UNKNOWN;
    } else {
        if (!job->claim.signer_is_self_signed)
            return MU_REFUSE_SIGNER_UNTRUSTED;
        job->profile = mu_ca_snapshot_profile(job->snapshot, job->one->no_challenge);
        if (job->profile == NULL)
            return MU_REFUSE_PASSWORD_MISSING;
        said(job, "challenge", "none");
    }
    job->profile = by_template(job, job->profile);
    return MU_REASON_NONE;
}

/* SCEP-69: one of ours, byte for byte as it stands in the record. */
static enum mu_reason renewal(struct mu_ca_job *job, const struct mu_store_facts *facts,
    struct mu_enroll_facts *policy)
{
    job->row.renews = mu_enroll_record_serial(job->claim.signer->serial);
    policy->renews = job->claim.signer;
    policy->renews_revoked = facts->cert->revoked_s != 0;
    if (policy->renews_revoked)
        return MU_REFUSE_SIGNER_REVOKED;
    /* A wrong password is always a failure; one that is used up is what a renewal may well have. */
    if (job->has_password && facts->entry == NULL) {
        mu_ca_rate_wrong_guess(job->ca->rate, job->address, job->now_s);
        return MU_REFUSE_PASSWORD;
    }
    policy->has_challenge = facts->entry != NULL && !facts->entry->disabled;
    strncpy(job->entry, facts->cert->entry, sizeof job->entry - 1);
    job->profile = mu_ca_snapshot_profile(job->snapshot, facts->cert->profile);
    said(job, "signer", "a certificate of ours: renewal");
    return job->profile != NULL ? MU_REASON_NONE : MU_REFUSE_ENTRY_UNKNOWN;
}

/* A record of this very request, still good to answer with. */
static bool is_repeat(const struct mu_ca_job *job, const struct mu_record_request *r,
    const struct mu_record_cert *cert)
{
    if (r == NULL)
        return false;
    if (r->state != MU_RECORD_ISSUED)
        return true;
    return cert != NULL && cert->revoked_s == 0 && cert->not_after_s > job->now_s;
}

static void moved(void *cookie, const struct mu_store_result *result)
{
    struct mu_ca_job *job = cookie;

    if (result->code == MU_OK)
        mu_ca_job_ready(job);
    else
        recorded(job, result);
}

/* The client lost our PENDING and asks under a new transaction id (INTEROP 3.15). */
static void move_pending(struct mu_ca_job *job, const struct mu_record_request *r)
{
    struct mu_err err = {0};

    job->decision = (struct mu_decision){.verdict = MU_VERDICT_PENDING};
    job->change = (struct mu_store_change){.now_s = job->now_s, .settle_id = r->id,
        .settle_state = MU_RECORD_PENDING, .settle_transaction_id = job->claim.transaction_id,
        .done = moved, .cookie = job};
    if (mu_ca_job_write(job, &err) != MU_OK)
        mu_ca_job_refuse(job, &err);
    else
        mu_store_submit(job->ca->config.store, &job->change);
}

static bool answered_before(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    if (is_repeat(job, facts->same, facts->same_cert)) {
        answer_recorded(job, facts->same, facts->same_cert);
        return true;
    }
    if (facts->same != NULL) /* revoked or expired since: a new request in its place */
        job->change.retransmit_since_s = job->now_s + 1;
    if (facts->resent == NULL || facts->resent->state == MU_RECORD_REJECTED
        || !is_repeat(job, facts->resent, facts->resent_cert))
        return false;
    if (facts->resent->state == MU_RECORD_PENDING)
        move_pending(job, facts->resent);
    else
        answer_recorded(job, facts->resent, facts->resent_cert);
    return true;
}

static void enroll(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    const struct mu_ca_one *one = job->one;
    struct mu_enroll_facts policy = {.proto = MU_PROTO_SCEP, .csr = job->question.csr,
        .has_challenge = job->has_password, .issuer = reply_chain(job)->v[0], .crl_url = one->crl_url,
        .ocsp_url = one->ocsp_url, .ca_issuers_url = one->ca_issuers_url};
    struct mu_err err = {0};
    enum mu_reason reason;

    if (job->is_ours && (facts->cert == NULL || !mu_bytes_equal(facts->cert->der, job->claim.signer->der))) {
        refuse(job, MU_REFUSE_SIGNER_UNTRUSTED);
        return;
    }
    if (answered_before(job, facts))
        return;
    reason = job->is_ours ? renewal(job, facts, &policy) : first_request(job, facts);
    if (reason != MU_REASON_NONE) {
        refuse(job, reason);
        return;
    }
    policy.key_seen_as = facts->key_seen != NULL ? facts->key_seen->subject : NULL;
    if (mu_enroll_profile_decide(job->profile, &policy, job->ca->config.env, &job->grant, &err) != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (!mu_ca_subject_text(mu_buf_bytes(&job->grant.subject), &job->planned)
        || !hash(mu_buf_bytes(&job->grant.subject), job->planned_hash))
        refuse(job, MU_REFUSE_INTERNAL);
    else if (job->grant.manual)
        record_pending(job);
    else
        record_issue(job);
}

/* ---- the other questions ---- */

static void poll(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    if (facts->latest == NULL)
        refuse(job, MU_REFUSE_NO_SUCH_REQUEST);
    else
        answer_recorded(job, facts->latest, facts->latest_cert);
}

static void get_cert(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    if (facts->cert == NULL)
        refuse(job, MU_REFUSE_NO_SUCH_CERT);
    else
        answer_again(job, facts->cert, MU_VERDICT_DATA);
}

static void on_facts(void *cookie, const struct mu_store_facts *facts)
{
    struct mu_ca_job *job = cookie;
    struct mu_err why;

    if (facts->err != NULL) {
        why = *facts->err;
        mu_err_narrow(&why, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &why);
        return;
    }
    switch (job->claim.op) {
    case MU_OP_POLL: poll(job, facts); break;
    case MU_OP_GET_CERT: get_cert(job, facts); break;
    default: enroll(job, facts); break;
    }
}

/* Issuer as the CA's own name (SCEP-72, IOP-13). */
static bool names_us(const struct mu_ca_job *job, struct mu_bytes issuer)
{
    return mu_pki_name_equal(issuer, job->one->ca.certs.v[0]->subject);
}

static void ask_enroll(struct mu_ca_job *job, struct mu_store_ask *ask)
{
    const struct mu_pki_csr *csr = job->question.csr;

    ask->digest = job->question.request_digest;
    ask->since_s = job->now_s - job->one->retransmit_s;
    if (job->is_ours)
        ask->serial = job->claim.signer->serial;
    job->has_password = mu_secret_is_set(&csr->challenge) && csr->challenge.n != 0;
    if (job->has_password
        && mu_ca_password_hash(job->ca, mu_secret_bytes(&csr->challenge), job->password_hash))
        ask->password_hash = mu_bytes(job->password_hash, 32);
    if (job->snapshot->keys_matter && hash(csr->spki, job->key_hash)
        && hash(csr->subject, job->asked_hash)) {
        ask->key_hash = mu_bytes(job->key_hash, 32);
        ask->subject_hash = mu_bytes(job->asked_hash, 32);
    }
    mu_ca_subject_text(csr->subject, &job->asked);
}

static void get_crl(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    if (!names_us(job, job->question.issuer)
        || mu_ca_crl_read(job->ca, job->one->name, &job->crl, NULL, &err) != MU_OK) {
        refuse(job, MU_REFUSE_NO_CRL);
        return;
    }
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_DATA, .crl = mu_buf_bytes(&job->crl)};
    mu_ca_job_done(job);
}

/* The CA's own certificates can be asked for too. */
static bool own_cert(struct mu_ca_job *job)
{
    const struct mu_ca_pair *pairs[] = {&job->one->ca, &job->one->ra, &job->one->next};

    for (size_t i = 0; i < 3; i++) {
        struct mu_pki_cert *cert = mu_pki_certs_by_serial(
            &pairs[i]->certs, job->question.issuer, job->question.serial);

        if (cert != NULL) {
            answer_cert(job, MU_VERDICT_DATA, cert);
            return true;
        }
    }
    return false;
}

void mu_ca_decide(struct mu_ca_job *job)
{
    const struct mu_pki_cert *signer = job->claim.signer;
    struct mu_store_ask ask = {.ca = job->one->name, .proto = MU_PROTO_SCEP,
        .transaction_id = job->claim.transaction_id};

    job->is_ours = !job->claim.signer_is_self_signed
        && mu_pki_name_equal(signer->issuer, job->one->ca.certs.v[0]->subject);
    if (!mu_enroll_record_signer(signer, job->is_ours, job->signer)) {
        refuse(job, MU_REFUSE_INTERNAL);
        return;
    }
    switch (job->claim.op) {
    case MU_OP_GET_CRL: get_crl(job); return;
    case MU_OP_GET_CERT:
        if (own_cert(job))
            return;
        if (!names_us(job, job->question.issuer)) {
            refuse(job, MU_REFUSE_NO_SUCH_CERT);
            return;
        }
        ask.transaction_id = NULL;
        ask.serial = job->question.serial;
        break;
    case MU_OP_POLL:
        ask.signer = mu_bytes(job->signer, 32);
        ask.since_s = job->now_s - POLL_WINDOW_S;
        break;
    default:
        ask.signer = mu_bytes(job->signer, 32);
        ask_enroll(job, &ask);
        if (job->has_password && !mu_ca_rate_may_guess(job->ca->rate, job->address, job->now_s)) {
            refuse(job, MU_REFUSE_RATE);
            return;
        }
        break;
    }
    job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_facts, job);
}
