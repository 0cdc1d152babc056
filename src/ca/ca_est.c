/*
 * An EST request in and out: the label chooses CA and profile, the TLS client's certificate is
 * judged here at each request (RFC 7030 3.3.2), a password by the engine, then the decision.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_est.h"
#include "ca/ca_shared.h"
#include "pki/pki_name.h"
#include "proto/est/est_server.h"

static void clear(struct mu_ca_job *job)
{
    if (job->est != NULL) {
        mu_pki_csr_free(job->est->own_csr);
        mu_secret_clear(&job->est->kek);
    }
    free(job->est);
}

static enum mu_code write_answer(struct mu_ca_job *job, struct mu_err *err)
{
    enum mu_code rc = mu_ca_est_key_settle(job, err);

    return rc != MU_OK ? rc
                       : mu_est_server_write(
                           job->engine, &job->credential, &job->decision, &job->response, err);
}

static void free_engine(void *engine)
{
    mu_est_server_free(engine);
}

/* The profile that was found may want more than the label did. */
static enum mu_code allows(const struct mu_ca_job *job, struct mu_err *err)
{
    const struct mu_enroll_profile *p = job->profile;

    if (job->claim.op == MU_OP_KEYGEN && !p->keygen)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
            "profile '%s' has no keys made by the CA (serverkeygen is off)", p->name);
    if (p->est & MU_PROFILE_EST_LINK && job->credential.challenge_is_secret)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_LINK,
            "profile '%s' wants requests linked to the TLS session", p->name);
    if (p->est & MU_PROFILE_EST_LINK && !job->est->is_ra && !job->est->is_linked)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_LINK,
            "the proof of possession has to be linked to the TLS session: the request has no "
            "challengePassword with the channel binding (RFC 7030 3.5)");
    if (p->est & MU_PROFILE_EST_BOTH && !(job->is_recorded || job->is_trusted))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_UNTRUSTED,
            "a TLS client certificate is needed here beside the password (RFC 7030 3.3.2)");
    if (p->est & MU_PROFILE_EST_BOTH && !job->has_password)
        return mu_ca_refusal(err, MU_REFUSE_PASSWORD_MISSING);
    return MU_OK;
}

static const struct mu_ca_way way = {
    .proto = MU_PROTO_EST,
    .write = write_answer,
    .allows = allows,
    .make = mu_ca_est_key_make,
    .keeps_key = true,
    .deliver = mu_ca_est_key_forget,
    .http_error = mu_est_server_http_error,
    .free = free_engine,
    .clear = clear,
};

/* ---- which CA, which profile ---- */

static enum mu_code choose(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_ca_choice c;
    enum mu_code rc = mu_ca_label_choose(job->snapshot, job->claim.label, &c, err);

    if (rc != MU_OK)
        return rc;
    job->one = c.one;
    job->label_profile = c.profile;
    job->is_label_named = c.is_named;
    job->est->switches = c.est;
    job->est->is_profile = c.is_profile;
    if (c.one->ca.key == NULL)
        return mu_err_set(
            err, MU_BUSY, MU_REFUSE_INTERNAL, "CA '%s' cannot answer: %s", c.one->name, c.one->why);
    job->credential = (struct mu_credential){
        .key = c.one->ca.key,
        .cert = c.one->ca.certs.v[0],
        .ca_chain = &c.one->ca.certs,
        .next_ca = c.one->links.n != 0 ? &c.one->links : NULL,
        .allow_legacy = c.one->allow_legacy || (c.profile != NULL && c.profile->allow_legacy),
        .realm = c.one->name,
        .nonce_key = mu_bytes(job->ca->nonce_key, sizeof job->ca->nonce_key),
        .one_line = c.est & MU_PROFILE_EST_ONE_LINE,
        .chain_in_reply = c.est & MU_PROFILE_EST_CHAIN,
        .link_required = c.est & MU_PROFILE_EST_LINK,
        .challenge_is_secret = c.est & MU_PROFILE_EST_CHALLENGE,
    };
    return MU_OK;
}

/* ---- who asks ---- */

/* EST-31: below a CA the operator named, valid now and not revoked. */
static enum mu_code check_stranger(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_buf issuer = {0};
    char shown[200];

    if (job->one->client_ca.n != 0 && job->est->is_profile)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
            "a certificate of another CA is good below the labels of this CA's settings only");
    if (job->one->client_ca.n != 0)
        return mu_ca_stranger_check(job, job->credential.allow_legacy, err);
    mu_ca_subject_text(job->claim.signer->issuer, &issuer);
    mu_text_escape_to(shown, sizeof shown, mu_buf_bytes(&issuer));
    mu_buf_clear(&issuer);
    return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_UNTRUSTED,
        "the TLS client certificate is neither one of this CA's nor below one it trusts: its "
        "issuer is \"%s\" (RFC 7030 3.3.2)",
        shown);
}

/* What the TLS client's certificate is worth. */
static void judge(struct mu_ca_job *job)
{
    const struct mu_pki_cert *signer = job->claim.signer;

    if (signer == NULL)
        return;
    if (job->is_recorded) {
        /* EST-30: asks for others, and at simplereenroll for itself. */
        job->est->is_ra = !job->claim.is_renewal && signer->exts.has_eku
            && signer->exts.eku & MU_EKU_CMC_RA && !job->is_revoked && !job->est->is_profile
            && signer->not_after_s >= job->now_s && signer->not_before_s <= job->now_s;
        job->is_trusted = job->credential.ra_verified_ok = job->est->is_ra;
    } else if (check_stranger(job, &job->est->stranger) == MU_OK) {
        job->is_trusted = true;
    }
    mu_ca_record_said(job, "TLS client certificate",
        job->est->is_ra        ? "one of ours, for an RA"
            : job->is_revoked  ? "one of ours, revoked"
            : job->is_recorded ? "one of ours"
            : job->is_trusted  ? "of a CA that is trusted here"
                               : job->est->stranger.what);
}

static bool has_challenge(const struct mu_ca_job *job)
{
    return job->challenge_is_password && mu_secret_is_set(&job->question.csr->challenge);
}

static enum mu_code no_certificate(const struct mu_ca_job *job, struct mu_err *err)
{
    if (job->claim.signer == NULL)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_UNTRUSTED,
            "a TLS client certificate is needed here beside the password (RFC 7030 3.3.2)");
    *err = job->est->stranger;
    if (err->reason != MU_REFUSE_SIGNER_REVOKED)
        mu_err_narrow(err, MU_REFUSE_SIGNER_UNTRUSTED);
    return MU_DENIED;
}

/* With what right: a password, a certificate, or both where both are demanded. A password entitles
 * to a first request, so that whoever has one is not tied to the certificate his TLS happens to
 * show; without one the certificate decides. */
static enum mu_code authorize(struct mu_ca_job *job, bool knows, struct mu_err *err)
{
    bool shows = job->is_recorded || job->is_trusted;

    if (job->est->switches & MU_PROFILE_EST_BOTH && !shows)
        return no_certificate(job, err);
    if (job->est->switches & MU_PROFILE_EST_BOTH && job->is_revoked)
        return mu_ca_refusal(err, MU_REFUSE_SIGNER_REVOKED);
    if (!knows && (job->claim.signer == NULL || job->est->switches & MU_PROFILE_EST_BOTH))
        return mu_ca_refusal(err, MU_REFUSE_PASSWORD_MISSING);
    if (!knows && !shows)
        return no_certificate(job, err);
    job->ignores_signer = knows && !(job->claim.is_renewal && shows);
    return MU_OK;
}

/* ---- what is asked ---- */

/* EST-44: names as RFC 5280 7.1 compares them, alternative names as a set. */
static enum mu_code check_same_names(const struct mu_ca_job *job, struct mu_err *err)
{
    const struct mu_pki_csr *csr = job->question.csr;
    const struct mu_pki_cert *old = job->claim.signer;
    struct mu_bytes is = csr->exts.san, was = old->exts.san;

    if (!mu_pki_name_equal(csr->subject, old->subject))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SUBJECT_DIFFERS,
            "the subject differs from that of the current certificate (RFC 7030 4.2.2)");
    if (is.n != was.n && (is.n == 0 || was.n == 0))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SUBJECT_DIFFERS,
            "the alternative names are missing or new, unlike those of the current certificate "
            "(RFC 7030 4.2.2)");
    if (is.n != 0 && !(mu_pki_san_subset(is, was) && mu_pki_san_subset(was, is)))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SUBJECT_DIFFERS,
            "the alternative names differ from those of the current certificate (RFC 7030 4.2.2)");
    return MU_OK;
}

/* EST-45: the names of ChangeSubjectName (RFC 6402 2.8) in place of those in the CSR. Its elements
 * are untagged: one that holds SETs, or nothing, is the subject. */
static enum mu_code take_new_name(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_bytes value =
        mu_pki_csr_attribute(job->question.csr, "1.3.6.1.5.5.7.7.36");
    struct mu_bytes subject = mu_bytes("\x30\x00", 2), san = {0};
    struct mu_der all, el;

    if (value.p == NULL)
        return MU_OK;
    if (!mu_der_only(value, MU_DER_SEQUENCE, &all) || all.value.n == 0)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "ChangeSubjectName names nothing (RFC 6402 2.8)");
    while (mu_der_get(&all.value, MU_DER_SEQUENCE, &el)) {
        if (el.value.n == 0 || mu_der_peek(el.value) == MU_DER_SET)
            subject = el.whole;
        else
            san = el.whole;
    }
    if (all.value.n != 0)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "ChangeSubjectName is malformed (RFC 6402 2.8)");
    job->est->renamed = *job->question.csr;
    job->est->renamed.subject = subject;
    job->est->renamed.exts.san = san;
    job->new_name = true;
    return MU_OK;
}

/* By the CSR of the client, whose key counts for nothing with serverkeygen: the same one may be
 * posted to both. */
static bool hash_info(const struct mu_ca_job *job, struct mu_bytes info, uint8_t out[32])
{
    struct mu_buf tagged = {0};
    bool ok;

    if (job->claim.op != MU_OP_KEYGEN)
        return mu_ca_record_hash(info, out);
    mu_buf_put_str(&tagged, "serverkeygen ");
    mu_buf_put_bytes(&tagged, info);
    ok = !tagged.failed && mu_ca_record_hash(mu_buf_bytes(&tagged), out);
    mu_buf_clear(&tagged);
    return ok;
}

/* A linked CSR is made anew for each connection, so a retry is known by what stays: all but the
 * challengePassword and the signature (EST-50). */
static enum mu_code take_digest(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_buf der = {0}, id = {0};
    struct mu_bytes whole, info;
    struct mu_der outer, el;
    enum mu_code rc = mu_ca_csr_strip(job->question.csr, &der, err);

    whole = mu_buf_bytes(&der);
    if (rc == MU_OK
        && (!mu_der_only(whole, MU_DER_SEQUENCE, &outer)
            || (info = outer.value, !mu_der_next(&info, &el))
            || !hash_info(job, el.whole, job->est->digest)
            || !mu_text_hex(&id, mu_bytes(job->est->digest, 16), 0)))
        rc = mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "a request could not be remembered");
    if (rc == MU_OK) {
        job->question.request_digest = mu_bytes(job->est->digest, sizeof job->est->digest);
        snprintf(job->transaction_id, sizeof job->transaction_id, "%s", mu_buf_str(&id));
        job->claim.transaction_id = job->transaction_id;
    }
    mu_buf_clear(&der);
    mu_buf_clear(&id);
    return rc;
}

/* ---- in ---- */

static void tell_request(struct mu_ca_job *job)
{
    char text[80];

    snprintf(text, sizeof text, "EST %.40s message received", job->claim.message_type);
    mu_ca_job_tell_request(job, text);
}

static void refuse(struct mu_ca_job *job, struct mu_err *why)
{
    if (why->reason < MU_REFUSE_FIRST && why->code == MU_INPUT)
        mu_err_narrow(why, MU_REFUSE_MALFORMED);
    if (why->reason == MU_REFUSE_PASSWORD)
        mu_ca_login_failed(job);
    mu_ca_job_refuse(job, why);
}

static enum mu_code prepare(struct mu_ca_job *job, struct mu_err *err)
{
    enum mu_code rc;

    /* Before the body is looked at: clients of Digest send none until they are challenged. */
    judge(job);
    if ((rc = authorize(job, job->claim.entry != NULL || job->challenge_is_password, err)) != MU_OK)
        return rc;
    if ((rc = mu_est_server_read(job->engine, &job->credential, &job->question, err)) != MU_OK
        || (rc = authorize(job, job->question.authenticated || has_challenge(job), err)) != MU_OK)
        return rc;
    job->est->is_linked = mu_secret_is_set(&job->question.csr->challenge);
    if (job->question.authenticated && job->claim.auth == MU_AUTH_SRP)
        mu_ca_login_srp_right(job);
    if (!job->ignores_signer && job->is_recorded && !job->est->is_ra) {
        if (job->claim.is_renewal && (rc = check_same_names(job, err)) != MU_OK)
            return rc;
        if ((rc = take_new_name(job, err)) != MU_OK)
            return rc;
    }
    if ((rc = take_digest(job, err)) != MU_OK)
        return rc;
    if (job->new_name)
        job->question.csr = &job->est->renamed;
    return MU_OK;
}

static void answer(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    if (prepare(job, &err) != MU_OK)
        refuse(job, &err);
    else
        mu_ca_decide(job);
}

static void go_on(struct mu_ca_job *job)
{
    mu_ca_shared_look(job, mu_est_server_shared_id(job->engine), &job->est->kek, answer);
}

/* cacerts, csrattrs: nobody has to say who he is (RFC 7030 4.1.2, 4.5.1), and no key is used. */
static void answer_simple(struct mu_ca_job *job)
{
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_DATA};
    if (job->claim.op == MU_OP_CSR_ATTRS && job->label_profile != NULL)
        job->decision.csr_attrs = mu_buf_bytes(&job->label_profile->csrattrs_der);
    mu_ca_job_done(job);
}

/* RFC 7030 3.1: all of it goes through TLS. */
static bool is_plain(struct mu_ca_job *job)
{
    const struct mu_http_peer *peer = job->request->peer;
    struct mu_err err = {0};

    if (peer != NULL && peer->tls)
        return false;
    mu_err_set(&err, MU_DENIED, MU_REFUSE_PROTECTION_KIND,
        "EST is served by https only, and this port is plain (RFC 7030 3.1)");
    mu_ca_job_tell_refusal(job, &err, false);
    mu_ca_job_fail(job, &err);
    return true;
}

static void refuse_early(struct mu_ca_job *job, struct mu_err *why)
{
    struct mu_err err = {0};

    if (job->engine != NULL && choose(job, &err) != MU_OK && why != &err)
        job->one = NULL;
    if (mu_ca_job_take_token(job))
        refuse(job, why);
}

static void serve(struct mu_ca_job *job)
{
    struct mu_est_server *engine = NULL;
    struct mu_err err = {0};
    enum mu_code rc;

    if (mu_ca_job_is_off(job) || is_plain(job))
        return;
    rc = mu_est_server_open(job->ca->config.env, job->request, &engine, &job->claim, &err);
    job->engine = engine;
    if (rc != MU_OK) {
        refuse_early(job, &err);
        return;
    }
    if (choose(job, &err) != MU_OK) {
        mu_ca_job_tell_refusal(job, &err, false);
        mu_ca_job_fail(job, &err);
        return;
    }
    tell_request(job);
    if (job->claim.op == MU_OP_CA_CERTS || job->claim.op == MU_OP_CSR_ATTRS) {
        answer_simple(job);
        return;
    }
    if (!mu_ca_job_take_token(job))
        return;
    job->challenge_is_password = job->est->switches & MU_PROFILE_EST_CHALLENGE && job->claim.entry == NULL;
    if (job->claim.op == MU_OP_KEYGEN && mu_ca_est_key_check(job, &err) != MU_OK)
        mu_ca_job_refuse(job, &err);
    else
        mu_ca_login(job, go_on);
}

void mu_ca_est(struct mu_ca *ca, struct mu_ca_snapshot *snapshot,
    const struct mu_http_request *request, mu_ca_reply *reply, void *cookie)
{
    struct mu_ca_job *job = mu_ca_job_new(&way, ca, snapshot, request, reply, cookie);

    if (job == NULL)
        return;
    if ((job->est = calloc(1, sizeof *job->est)) == NULL)
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
    else
        serve(job);
}
