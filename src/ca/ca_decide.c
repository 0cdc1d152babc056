/*
 * What is answered to a request that checked out as a message: who asks and with what right, then
 * the profile's rules; what follows is in ca_record.c.
 */
#include "ca/ca_job.h"
#include "pki/pki_name.h"

enum { POLL_WINDOW_S = 30 * 86400, SUPERSEDED = 4 /* RFC 5280 5.3.1 */ };

/* ---- who asks, with what right ---- */

/* A profile with a CA of its own is for no other. */
bool mu_ca_decide_is_for_ca(const struct mu_ca_job *job, const struct mu_enroll_profile *p)
{
    return p->ca == NULL || *p->ca == '\0' || strcmp(p->ca, job->one->name) == 0;
}

/* SCEP's requests can name a profile in no other way than by a template: one that takes it, and it
 * stays manual if the other is. EST has labels for that and CMP certProfile: there the profile of
 * label or entry stands, whatever the CSR names. */
const struct mu_enroll_profile *mu_ca_decide_template(
    struct mu_ca_job *job, const struct mu_enroll_profile *p)
{
    struct mu_buf name = {0};

    if (p != NULL && job->way->proto == MU_PROTO_SCEP
        && mu_enroll_profile_template(job->question.csr, &name)) {
        for (size_t i = 0; i < job->snapshot->profile_n; i++) {
            const struct mu_enroll_profile *other = job->snapshot->profiles[i];

            if (other->template_name != NULL && strcmp(other->template_name, mu_buf_str(&name)) == 0
                && (!p->manual || other->manual) && (!p->manual_renewal || other->manual_renewal) && mu_ca_decide_is_for_ca(job, other)
                && (other->protocols == 0 || (other->protocols & (1u << MU_PROTO_SCEP))))
                p = other;
        }
    }
    mu_buf_clear(&name);
    return p;
}

/* The entry a challenge belongs to, or why not. */
static enum mu_reason check_entry(struct mu_ca_job *job, const struct mu_record_entry *entry)
{
    /* A login was found right by its engine, a challenge is right by being found here. */
    if (entry == NULL || (*entry->ca != '\0' && strcmp(entry->ca, job->one->name) != 0)
        || (entry->protocols != 0 && !(entry->protocols & (1u << job->way->proto)))) {
        mu_ca_rate_wrong_guess(job->ca->rate, job->address, job->now_s);
        return MU_REFUSE_PASSWORD;
    }
    mu_buf_reset(&job->text);
    strncpy(job->entry, entry->name, sizeof job->entry - 1);
    if (entry->disabled || (entry->expires_s != 0 && entry->expires_s <= job->now_s)
        || (entry->max_uses != 0 && entry->uses >= entry->max_uses))
        return mu_ca_record_challenge_reason(entry, job->now_s);
    job->change.alive_since_s = entry->reset_s;
    return MU_REASON_NONE;
}

static enum mu_reason first_request(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    enum mu_reason reason;

    if (job->has_password) {
        if ((reason = check_entry(job, facts->entry)) != MU_REASON_NONE)
            return reason;
        mu_ca_record_said(job, "challenge", "ok");
        job->profile = mu_ca_snapshot_profile(job->snapshot, facts->entry->profile);
        if (job->profile == NULL)
            return MU_REFUSE_ENTRY_UNKNOWN;
        if (job->is_label_named && job->profile != job->label_profile)
            return MU_REFUSE_NOT_ENTITLED;
    } else if (job->is_trusted) {
        job->profile = job->label_profile;
        if (job->profile == NULL)
            return MU_REFUSE_ENTRY_UNKNOWN;
        mu_ca_record_said(job, "certificate", "of a CA that is trusted here");
    } else {
        if (!job->claim.signer_is_self_signed)
            return MU_REFUSE_SIGNER_UNTRUSTED;
        job->profile = mu_ca_snapshot_profile(job->snapshot, job->one->no_challenge);
        if (job->profile == NULL)
            return MU_REFUSE_PASSWORD_MISSING;
        mu_ca_record_said(job, "challenge", "none");
        return MU_REASON_NONE; /* who has no right at all gets this profile, not one he names */
    }
    job->profile = mu_ca_decide_template(job, job->profile);
    return MU_REASON_NONE;
}

/* SCEP-69: one of ours, byte for byte as it stands in the record. */
static enum mu_reason renewal(
    struct mu_ca_job *job, const struct mu_store_facts *facts, struct mu_enroll_facts *policy)
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
    mu_ca_record_said(job, "signer", "a certificate of ours: renewal");
    return job->profile != NULL ? MU_REASON_NONE : MU_REFUSE_ENTRY_UNKNOWN;
}

/* A record of this very request, still good to answer with. */
bool mu_ca_decide_is_repeat(const struct mu_ca_job *job, const struct mu_record_request *r,
    const struct mu_record_cert *cert)
{
    if (r == NULL)
        return false;
    if (r->state != MU_RECORD_ISSUED)
        return true;
    /* A key made here is handed over once: who asks again gets another one. */
    if (job->claim.op == MU_OP_KEYGEN && job->way->keeps_key && r->kept.n == 0)
        return false;
    return cert != NULL && cert->revoked_s == 0 && cert->not_after_s > job->now_s;
}

static void moved(void *cookie, const struct mu_store_result *result)
{
    struct mu_ca_job *job = cookie;

    if (result->code == MU_OK)
        mu_ca_job_ready(job);
    else
        mu_ca_record_done(job, result);
}

/* The client lost our PENDING and asks under a new transaction id (INTEROP 3.15). */
static void move_pending(struct mu_ca_job *job, const struct mu_record_request *r)
{
    struct mu_err err = {0};

    job->decision = (struct mu_decision){.verdict = MU_VERDICT_PENDING};
    job->change = (struct mu_store_change){.now_s = job->now_s,
        .settle_id = r->id,
        .settle_state = MU_RECORD_PENDING,
        .settle_transaction_id = job->claim.transaction_id,
        .done = moved,
        .cookie = job};
    if (mu_ca_job_write(job, &err) != MU_OK)
        mu_ca_job_refuse(job, &err);
    else
        mu_store_submit(job->ca->config.store, &job->change);
}

static bool answered_before(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    if (mu_ca_decide_is_repeat(job, facts->same, facts->same_cert)) {
        mu_ca_record_answer(job, facts->same, facts->same_cert);
        return true;
    }
    if (facts->same != NULL) /* revoked or expired since: a new request in its place */
        job->change.retransmit_since_s = job->now_s + 1;
    if (facts->resent == NULL || facts->resent->state == MU_RECORD_REJECTED
        || !mu_ca_decide_is_repeat(job, facts->resent, facts->resent_cert))
        return false;
    if (facts->resent->state == MU_RECORD_PENDING)
        move_pending(job, facts->resent);
    else
        mu_ca_record_answer(job, facts->resent, facts->resent_cert);
    return true;
}

void mu_ca_decide_grant(
    struct mu_ca_job *job, const struct mu_store_facts *facts, struct mu_enroll_facts *policy)
{
    const struct mu_ca_one *one = job->one;
    struct mu_err err = {0};

    if (!mu_ca_decide_is_for_ca(job, job->profile)) {
        mu_err_set(&err, MU_DENIED, MU_REFUSE_UNSUPPORTED, "profile '%s' is not for CA '%s'",
            job->profile->name, one->name);
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (job->way->allows != NULL && job->way->allows(job, &err) != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (job->way->make != NULL && job->way->make(job, &err) != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    policy->proto = job->way->proto;
    policy->csr = job->question.csr;
    policy->issuer = mu_ca_record_chain(job)->v[0];
    policy->crl_url = one->crl_url;
    policy->ocsp_url = one->ocsp_url;
    policy->ca_issuers_url = one->ca_issuers_url;
    policy->key_seen_as = facts->key_seen != NULL ? facts->key_seen->subject : NULL;
    if (mu_enroll_profile_decide(job->profile, policy, job->ca->config.env, &job->grant, &err)
        != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (!mu_ca_subject_text(mu_buf_bytes(&job->grant.subject), &job->planned)
        || !mu_ca_record_hash(mu_buf_bytes(&job->grant.subject), job->planned_hash))
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
    else if (job->grant.manual)
        mu_ca_record_pending(job);
    else
        mu_ca_record_issue(job);
}

static void enroll(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    struct mu_enroll_facts policy = {
        .has_challenge = job->has_password, .new_name = job->new_name};
    enum mu_reason reason;

    if (job->is_ours
        && (facts->cert == NULL || !mu_bytes_equal(facts->cert->der, job->claim.signer->der))) {
        mu_ca_record_refuse(job, MU_REFUSE_SIGNER_UNTRUSTED);
        return;
    }
    /* Also where the answer is there already: who lost his key gets nothing more (SCEP-69, EST-23). The
     * renewal itself supersedes the certificate where the profile says so; its answer may get lost. */
    if (job->is_ours && facts->cert->revoked_s != 0 && facts->cert->revoke_reason != SUPERSEDED) {
        mu_ca_record_refuse(job, MU_REFUSE_SIGNER_REVOKED);
        return;
    }
    if (answered_before(job, facts))
        return;
    reason = job->is_ours ? renewal(job, facts, &policy) : first_request(job, facts);
    if (reason != MU_REASON_NONE)
        mu_ca_record_refuse(job, reason);
    else
        mu_ca_decide_grant(job, facts, &policy);
}

/* ---- the other questions ---- */

static void poll(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    if (facts->latest == NULL)
        mu_ca_record_refuse(job, MU_REFUSE_NO_SUCH_REQUEST);
    else
        mu_ca_record_answer(job, facts->latest, facts->latest_cert);
}

static void get_cert(struct mu_ca_job *job, const struct mu_store_facts *facts)
{
    if (facts->cert == NULL)
        mu_ca_record_refuse(job, MU_REFUSE_NO_SUCH_CERT);
    else
        mu_ca_record_answer_again(job, facts->cert, MU_VERDICT_DATA);
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
    case MU_OP_POLL:
        poll(job, facts);
        break;
    case MU_OP_GET_CERT:
        get_cert(job, facts);
        break;
    default:
        enroll(job, facts);
        break;
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
    job->has_password = job->challenge_is_password
        ? mu_secret_is_set(&csr->challenge) && csr->challenge.n != 0
        : job->question.authenticated && job->claim.entry != NULL;
    if (job->has_password && job->challenge_is_password
        && mu_ca_password_hash(job->ca, mu_secret_bytes(&csr->challenge), job->password_hash))
        ask->password_hash = mu_bytes(job->password_hash, 32);
    else if (job->has_password)
        ask->entry_name = job->claim.entry;
    if (job->snapshot->keys_matter && job->claim.op != MU_OP_KEYGEN && mu_ca_record_hash(csr->spki, job->key_hash)
        && mu_ca_record_hash(csr->subject, job->asked_hash)) {
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
        mu_ca_record_refuse(job, MU_REFUSE_NO_CRL);
        return;
    }
    job->decision =
        (struct mu_decision){.verdict = MU_VERDICT_DATA, .crl = mu_buf_bytes(&job->crl)};
    mu_ca_job_done(job);
}

/* The CA's own certificates can be asked for too. */
static bool own_cert(struct mu_ca_job *job)
{
    const struct mu_ca_pair *pairs[] = {&job->one->ca, &job->one->ra, &job->one->next};

    for (size_t i = 0; i < 3; i++) {
        struct mu_pki_cert *cert =
            mu_pki_certs_by_serial(&pairs[i]->certs, job->question.issuer, job->question.serial);

        if (cert != NULL) {
            mu_ca_record_answer_cert(job, MU_VERDICT_DATA, cert);
            return true;
        }
    }
    return false;
}

void mu_ca_decide(struct mu_ca_job *job)
{
    const struct mu_pki_cert *signer = job->claim.signer;
    struct mu_store_ask ask = {
        .ca = job->one->name, .proto = job->way->proto, .transaction_id = job->claim.transaction_id};

    job->is_ours = !job->ignores_signer && !job->is_trusted && signer != NULL && !job->claim.signer_is_self_signed
        && mu_pki_name_equal(signer->issuer, job->one->ca.certs.v[0]->subject);
    if (!mu_ca_record_identity(job)) {
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
        return;
    }
    switch (job->claim.op) {
    case MU_OP_GET_CRL:
        get_crl(job);
        return;
    case MU_OP_GET_CERT:
        if (own_cert(job))
            return;
        if (!names_us(job, job->question.issuer)) {
            mu_ca_record_refuse(job, MU_REFUSE_NO_SUCH_CERT);
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
            mu_ca_record_refuse(job, MU_REFUSE_RATE);
            return;
        }
        break;
    }
    job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_facts, job);
}
