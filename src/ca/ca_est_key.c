/*
 * serverkeygen: keys that the CA makes for clients who cannot (RFC 7030 4.4). One is kept only while
 * its request waits for an operator and until the client fetches it, sealed in the record.
 */
#include "ca/ca_est.h"
#include "ca/ca_seal.h"

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
static enum mu_code make(struct mu_ca_job *job, struct mu_err *err)
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
        && (rc = mu_pki_csr_decode(mu_buf_bytes(&der), &job->est->own_csr, err)) == MU_OK
        && !mu_ca_record_hash(job->est->own_csr->info, job->est->own_digest))
        rc = mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "SHA-256 failed");
    mu_buf_clear(&extensions);
    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_ca_est_key_make(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_est_part *est = job->est;
    const struct mu_bytes subject = est->renamed.subject, san = est->renamed.exts.san;
    enum mu_code rc = job->claim.op == MU_OP_KEYGEN ? make(job, err) : MU_OK;

    if (rc != MU_OK || est->own_csr == NULL)
        return rc;
    job->question.csr = est->own_csr;
    if (job->new_name) {
        est->renamed = *est->own_csr;
        est->renamed.subject = subject;
        est->renamed.exts.san = san;
        job->question.csr = &est->renamed;
    }
    return MU_OK;
}

/* ---- kept until it is fetched ---- */

static enum mu_code seal(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_buf pem = {0};
    enum mu_code rc;

    mu_buf_init_secret(&pem, MU_LIMIT_KEPT);
    mu_buf_reset(&job->sealed);
    rc = mu_pki_key_encode(job->key, NULL, &pem, err);
    if (rc == MU_OK)
        rc = mu_ca_seal(job->ca, MU_CA_SEAL_KEY, job->transaction_id, mu_buf_bytes(&pem), &job->sealed, err);
    job->row.kept = mu_buf_bytes(&job->sealed);
    mu_buf_clear(&pem);
    return rc;
}

static enum mu_code unseal(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_secret pem = {0};
    enum mu_code rc;

    if (job->credential.kept.n == 0) /* two asked at the same time, and the other one got it */
        return mu_err_set(err, MU_BUSY, MU_REFUSE_RATE, "the key was handed over a moment ago");
    rc = mu_ca_unseal(
        job->ca, MU_CA_SEAL_KEY, job->transaction_id, job->credential.kept, &pem, err);
    mu_pki_key_free(job->key);
    job->key = NULL;
    if (rc == MU_OK)
        rc = mu_pki_key_decode(mu_secret_bytes(&pem), NULL, &job->key, err);
    if (rc == MU_OK && !mu_bytes_equal(mu_pki_key_spki(job->key), job->decision.cert->spki))
        rc = mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "the key that was kept is another certificate's");
    if (rc != MU_OK)
        mu_err_narrow(err, MU_REFUSE_UNDELIVERABLE);
    job->decision.key = job->key;
    job->est->hands_over = rc == MU_OK;
    mu_secret_clear(&pem);
    return rc;
}

enum mu_code mu_ca_est_key_settle(struct mu_ca_job *job, struct mu_err *err)
{
    bool is_new = job->known_id == 0;

    job->est->hands_over = false; /* a refusal after all hands nothing over */
    if (job->claim.op != MU_OP_KEYGEN)
        return MU_OK;
    if (job->decision.verdict == MU_VERDICT_PENDING && is_new)
        return seal(job, err);
    if (job->decision.verdict != MU_VERDICT_ISSUED)
        return MU_OK;
    if (!is_new)
        return unseal(job, err);
    /* Handed over at once: nothing is kept, and the record answers no other request. */
    job->row.digest = mu_bytes(job->est->own_digest, sizeof job->est->own_digest);
    return MU_OK;
}

static void forgotten(void *cookie, const struct mu_store_result *result)
{
    struct mu_ca_job *job = cookie;

    if (result->code != MU_OK)
        mu_ca_job_fail(job, result->err);
    else
        mu_ca_job_ready(job);
}

bool mu_ca_est_key_forget(struct mu_ca_job *job)
{
    if (!job->est->hands_over)
        return false;
    job->est->change = (struct mu_store_change){
        .now_s = job->now_s, .keep_id = job->known_id, .done = forgotten, .cookie = job};
    mu_store_submit(job->ca->config.store, &job->est->change);
    return true;
}

enum mu_code mu_ca_est_key_check(const struct mu_ca_job *job, struct mu_err *err)
{
    if (job->label_profile == NULL || !job->label_profile->keygen)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
            "this CA makes no keys for its clients here (serverkeygen is off; RFC 7030 4.4)");
    return MU_OK;
}
