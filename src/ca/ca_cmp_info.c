/* What a CMP client asks about the CA (genm): most of it the engine answers out of the credential;
 * here are the revocation list and the template for requests. */
#include "ca/ca_cmp.h"
#include "pki/pki_name.h"
#include "proto/cmp/cmp_crmf.h"

static void get_crl(struct mu_ca_job *job)
{
    const struct mu_question *q = &job->question;
    struct mu_record_crl facts = {0};
    struct mu_err err = {0};

    if ((q->issuer.n != 0 && !mu_pki_name_equal(q->issuer, job->one->ca.certs.v[0]->subject))
        || mu_ca_crl_read(job->ca, job->one->name, &job->crl, &facts, &err) != MU_OK) {
        mu_ca_record_refuse(job, MU_REFUSE_NO_CRL);
        return;
    }
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_DATA};
    if (q->crl_since_s == 0 || facts.this_update_s > q->crl_since_s)
        job->decision.crl = mu_buf_bytes(&job->crl);
    mu_ca_job_done(job);
}

/* ---- certReqTemplate ---- */

/* CMP-95: one control for each kind of key. */
static void put_curve(struct mu_buf *b, const char *curve)
{
    size_t control = mu_der_open(b, MU_DER_SEQUENCE), alg;

    mu_der_put_oid(b, "1.3.6.1.5.5.7.5.1.11");
    alg = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, curve != NULL ? "1.2.840.10045.2.1" : "1.3.101.112");
    if (curve != NULL)
        mu_der_put_oid(b, curve);
    mu_der_close(b, alg);
    mu_der_close(b, control);
}

static void put_key_spec(struct mu_buf *b, const struct mu_enroll_profile *p)
{
    static const char *const curves[] = {
        "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"}; /* P-256, P-384, P-521 */
    size_t controls = mu_der_open(b, MU_DER_SEQUENCE), control;

    for (unsigned i = 0; i < 3; i++)
        if (p->ec_curves & 1u << i)
            put_curve(b, curves[i]);
    if (p->ed25519)
        put_curve(b, NULL);
    if (p->rsa_min != 0) {
        control = mu_der_open(b, MU_DER_SEQUENCE);
        mu_der_put_oid(b, "1.3.6.1.5.5.7.5.1.12");
        mu_der_put_int(b, p->rsa_min);
        mu_der_close(b, control);
    }
    mu_der_close(b, controls);
}

/* The profile's rules as far as a template can say them (CMP-94). */
static void put_template(struct mu_buf *b, const struct mu_enroll_profile *p)
{
    struct mu_cmp_template tmpl = {.version = -1};
    struct mu_buf extensions = {0};
    size_t all = mu_der_open(b, MU_DER_SEQUENCE),
           list = mu_der_open(&extensions, MU_DER_SEQUENCE);

    if (p->has_key_usage && p->key_usage != 0)
        mu_pki_ext_put_key_usage(
            &extensions, p->critical & MU_PROFILE_CRITICAL_KEY_USAGE, p->key_usage);
    if (p->has_eku && p->eku != 0)
        mu_pki_ext_put_eku(&extensions, p->eku);
    mu_der_close(&extensions, list);
    if (extensions.n > 2)
        tmpl.extensions = mu_buf_bytes(&extensions);
    if (p->subject_rule == MU_PROFILE_SUBJECT_FIXED)
        tmpl.subject = mu_buf_bytes(&p->subject_fixed);
    mu_cmp_crmf_template_encode(&tmpl, b);
    put_key_spec(b, p);
    mu_der_close(b, all);
    mu_buf_clear(&extensions);
}

static void get_template(struct mu_ca_job *job)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const char *name = cmp->entry != NULL ? cmp->entry->profile
        : cmp->signer_row != NULL         ? cmp->signer_row->profile
                                          : job->one->client_profile;
    struct mu_err err = {0};

    job->profile = mu_ca_cmp_profile(job, mu_ca_snapshot_profile(job->snapshot, name));
    if (job->profile == NULL) {
        mu_ca_record_refuse(job, MU_REFUSE_UNSUPPORTED);
        return;
    }
    put_template(&cmp->content, job->profile);
    if (mu_buf_check(&cmp->content, "certReqTemplate", &err) != MU_OK) {
        mu_ca_job_refuse(job, &err);
        return;
    }
    job->decision = (struct mu_decision){
        .verdict = MU_VERDICT_DATA, .csr_attrs = mu_buf_bytes(&cmp->content)};
    mu_ca_job_done(job);
}

void mu_ca_cmp_info(struct mu_ca_job *job)
{
    if (job->claim.op == MU_OP_GET_CRL) {
        get_crl(job);
    } else if (job->claim.op == MU_OP_CSR_ATTRS) {
        get_template(job);
    } else {
        job->decision = (struct mu_decision){
            .verdict = MU_VERDICT_DATA, .chain = mu_ca_record_chain(job)};
        mu_ca_job_done(job);
    }
}
