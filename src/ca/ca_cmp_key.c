/* Keys made by the CA for a client that asks so (RFC 9483 4.1.6), where the profile allows it. The
 * key is handed over once and kept nowhere. */
#include "ca/ca_cmp.h"

static bool allows(const struct mu_enroll_profile *p, const struct mu_pki_key_spec *spec)
{
    switch (spec->type) {
    case MU_PKI_KEY_RSA:
        return p->rsa_min != 0 && spec->bits >= p->rsa_min && spec->bits <= 4096;
    case MU_PKI_KEY_EC:
        return (spec->bits == 256 && p->ec_curves & 1) || (spec->bits == 384 && p->ec_curves & 2)
            || (spec->bits == 521 && p->ec_curves & 4);
    case MU_PKI_KEY_ED25519:
        return p->ed25519;
    default:
        return false;
    }
}

static struct mu_pki_key_spec choose(
    const struct mu_enroll_profile *p, const struct mu_pki_key_spec *wish)
{
    if (allows(p, wish))
        return *wish;
    if (p->ec_curves != 0)
        return (struct mu_pki_key_spec){
            MU_PKI_KEY_EC, p->ec_curves & 1 ? 256 : p->ec_curves & 2 ? 384 : 521};
    return (struct mu_pki_key_spec){MU_PKI_KEY_RSA, p->rsa_min != 0 ? p->rsa_min : 2048};
}

enum mu_code mu_ca_cmp_keygen(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_enroll_profile *p = job->profile;
    const struct mu_pki_csr *asked = job->question.csr;
    const struct mu_pki_key_spec spec = choose(p, &job->question.key_spec);
    struct mu_pki_csr_params params = {
        .subject = asked->subject,
        .extensions = mu_pki_csr_attribute(asked, "1.2.840.113549.1.9.14")};
    struct mu_buf der = {0};
    enum mu_code rc;

    if (!p->keygen)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_UNSUPPORTED,
            "profile '%s' makes no keys for its clients (keygen)", p->name);
    if (p->manual)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_UNSUPPORTED,
            "profile '%s' asks for approval, and a key made here cannot wait for it", p->name);
    if (job->question.implicit_confirm && job->one->implicit_confirm)
        mu_ca_record_said(job, "key", "made here, confirmed implicitly");
    if ((rc = mu_pki_key_generate(&spec, &job->key, err)) == MU_OK
        && (rc = mu_pki_csr_make(&params, job->key, &der, err)) == MU_OK
        && (rc = mu_pki_csr_decode(mu_buf_bytes(&der), &cmp->made_csr, err)) == MU_OK)
        job->question.csr = cmp->made_csr;
    mu_buf_clear(&der);
    return rc;
}
