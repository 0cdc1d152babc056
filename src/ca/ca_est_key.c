/* serverkeygen: keys that the CA makes for clients who cannot (RFC 7030 4.4). None is kept. */
#include "ca/ca_est.h"

static bool is_profile_s(const struct mu_enroll_profile *p, const struct mu_pki_key_spec *spec)
{
    switch (spec->type) {
    case MU_PKI_KEY_RSA:
        return p->rsa_min != 0 && spec->bits >= p->rsa_min && spec->bits <= 4096;
    case MU_PKI_KEY_EC:
        return (spec->bits == 256 && p->ec_curves & 1) || (spec->bits == 384 && p->ec_curves & 2)
            || (spec->bits == 521 && p->ec_curves & 4);
    default:
        return false;
    }
}

/* The kind of the placeholder's key if the profile allows it, else the profile's first. */
static struct mu_pki_key_spec key_kind(const struct mu_ca_job *job)
{
    const struct mu_enroll_profile *p = job->label_profile;
    const struct mu_pki_key_spec *wish = &job->question.key_spec;

    if (is_profile_s(p, wish))
        return *wish;
    if (p->ec_curves != 0)
        return (struct mu_pki_key_spec){
            MU_PKI_KEY_EC, p->ec_curves & 1 ? 256 : p->ec_curves & 2 ? 384 : 521};
    return (struct mu_pki_key_spec){MU_PKI_KEY_RSA, p->rsa_min != 0 ? p->rsa_min : 2048};
}

static bool is_wish(const char *oid)
{
    return strcmp(oid, "2.5.29.14") != 0; /* the identifier of the placeholder's key */
}

struct copy {
    struct mu_buf *out;
};

static void copy_wish(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    const struct copy *c = cookie;

    if (is_wish(oid))
        mu_pki_ext_put(c->out, oid, critical, value);
}

/* RFC 7030 4.4.1: key and signature of the CSR say nothing. Its names and wishes go into one that
 * the new key signs, and that takes its place. */
enum mu_code mu_ca_est_key_make(struct mu_ca_job *job, struct mu_err *err)
{
    const struct mu_pki_key_spec spec = key_kind(job);
    struct mu_buf extensions = {0}, der = {0};
    struct copy copy = {&extensions};
    struct mu_pki_csr_params params = {.subject = job->question.csr->subject};
    size_t mark = mu_der_open(&extensions, MU_DER_SEQUENCE);
    enum mu_code rc = MU_OK;

    if (job->question.csr->exts.all.n != 0)
        mu_pki_ext_each(job->question.csr->exts.all, copy_wish, &copy);
    mu_der_close(&extensions, mark);
    if (extensions.n > 2)
        params.extensions = mu_buf_bytes(&extensions);
    if ((rc = mu_pki_key_generate(&spec, &job->key, err)) == MU_OK
        && (rc = mu_pki_csr_make(&params, job->key, &der, err)) == MU_OK
        && (rc = mu_pki_csr_decode(mu_buf_bytes(&der), &job->est->own_csr, err)) == MU_OK)
        job->question.csr = job->est->own_csr;
    mu_buf_clear(&extensions);
    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_ca_est_key_check(const struct mu_ca_job *job, struct mu_err *err)
{
    if (job->label_profile == NULL || !job->label_profile->keygen)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
            "this CA makes no keys for its clients here (serverkeygen is off; RFC 7030 4.4)");
    return MU_OK;
}
