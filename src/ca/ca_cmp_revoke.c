/* Revocation over CMP (rr): by the certificate itself or an RA, also holds and their release. */
#include "base/text.h"
#include "ca/ca_cmp.h"
#include "pki/pki_name.h"

enum { HOLD = 6, RELEASE = 8 }; /* CRLReason certificateHold, removeFromCRL */
enum { HOLD_SLACK_S = 600, RELEASE_SLACK_S = 60 };

/* A certificate goes on hold and is released any number of times, so these two can be repeated by who
 * saw them once, and no record of transactions tells: their time does. A release is younger than the
 * hold it ends; a hold is of now. */
static enum mu_code check_fresh(
    const struct mu_ca_job *job, const struct mu_record_cert *target, struct mu_err *err)
{
    int64_t sent_s = job->question.sent_s;
    bool is_hold = job->question.revoke_reason == HOLD;

    if (is_hold ? sent_s >= job->now_s - HOLD_SLACK_S && sent_s <= job->now_s + HOLD_SLACK_S
                : sent_s >= target->revoked_s - RELEASE_SLACK_S)
        return MU_OK;
    if (!is_hold)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_CLOCK,
            "messageTime is before the hold that the message would end (RFC 9483 3.5)");
    return mu_err_set(err, MU_DENIED, MU_REFUSE_CLOCK,
        "messageTime is not within %d minutes of now: a certificate goes on hold by a message of now "
        "(RFC 9483 3.5)",
        HOLD_SLACK_S / 60);
}

/* What stands in the way (CMP-88, CMP-89, CMP-90). */
static enum mu_code check_revoke(
    const struct mu_ca_job *job, const struct mu_record_cert *target, struct mu_err *err)
{
    const struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    bool lifts = job->question.revoke_reason == RELEASE;

    if (target == NULL)
        return mu_ca_refusal(err, MU_REFUSE_NO_SUCH_CERT);
    if (!cmp->is_ra
        && (cmp->signer_row == NULL
            || !mu_bytes_equal(cmp->signer_row->serial, target->serial)))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
            "a certificate is revoked by itself or by an RA (RFC 9483 4.2)");
    if (target->not_after_s < job->now_s)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_CERT_ID,
            "the certificate has expired, so it is not revoked any more (RFC 9483 4.2)");
    if (lifts && (target->revoked_s == 0 || target->revoke_reason != HOLD))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_STATE,
            "only a certificate on hold can be released (RFC 5280 5.3.1)");
    if (!lifts && target->revoked_s != 0)
        return mu_ca_refusal(err, MU_REFUSE_REVOKED);
    if (lifts && !cmp->is_ra)
        return mu_ca_refusal(err, MU_REFUSE_SIGNER_REVOKED);
    return lifts || job->question.revoke_reason == HOLD ? check_fresh(job, target, err) : MU_OK;
}

static void on_revoke(void *cookie, const struct mu_store_facts *facts)
{
    struct mu_ca_job *job = cookie;
    const struct mu_record_cert *target = facts->other_cert;
    struct mu_store_change *c = &job->change;
    struct mu_buf hex = {0};
    struct mu_err err = {0};

    if (facts->err != NULL) {
        err = *facts->err;
        mu_err_narrow(&err, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (target != NULL)
        mu_buf_put_str(&job->planned, target->subject);
    if (check_revoke(job, target, &err) != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    c->revoke_ca = job->one->name;
    c->revoke_serial = mu_enroll_record_serial(job->question.serial);
    c->revoke_reason = job->question.revoke_reason;
    c->revoke_lift = c->revoke_reason == RELEASE;
    mu_text_hex(&hex, c->revoke_serial, ':');
    if (c->revoke_lift)
        mu_buf_putf(&job->text, "Certificate %s is in force again", mu_buf_str(&hex));
    else
        mu_buf_putf(&job->text, "Certificate %s revoked (%s)", mu_buf_str(&hex),
            mu_enroll_record_reason_name(c->revoke_reason));
    mu_buf_clear(&hex);
    mu_ca_cmp_submit(job, "revoke", c->revoke_serial);
}

void mu_ca_cmp_revoke(struct mu_ca_job *job)
{
    struct mu_store_ask ask = {
        .ca = job->one->name, .proto = MU_PROTO_CMP, .other_serial = job->question.serial};
    struct mu_err err = {0};

    if (job->claim.auth != MU_AUTH_CERT) {
        mu_err_set(&err, MU_DENIED, MU_REFUSE_PROTECTION_KIND,
            "a revocation is signed, not protected by a MAC (RFC 9483 4.2)");
        mu_ca_job_refuse(job, &err);
    } else if (!mu_pki_name_equal(job->question.issuer, job->one->ca.certs.v[0]->subject)) {
        mu_ca_record_refuse(job, MU_REFUSE_NO_SUCH_CERT);
    } else {
        job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_revoke, job);
    }
}
