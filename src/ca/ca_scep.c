/*
 * A SCEP request in and out. Cheap checks first (size, form, signature of the message), then a
 * token of its address, then the private key, then the decision.
 */

#include "base/text.h"
#include "ca/ca_job.h"
#include "ca/ca_seal.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_server.h"

static bool can_decrypt(struct mu_pki_cert *cert)
{
    struct mu_pki_key *key;

    return cert != NULL && mu_pki_cert_key(cert, &key, NULL) == MU_OK && mu_pki_key_can_encrypt(key);
}

/* SCEP-36: the certificate of a key that cannot decrypt is encrypted to the challenge, which only
 * the request has: its poll finds it sealed beside the request. Bound to the signer, who stays when
 * the transaction id changes. */
static enum mu_code keep_challenge(struct mu_ca_job *job, struct mu_err *err)
{
    const struct mu_pki_csr *csr = job->question.csr;
    struct mu_buf signer = {0};
    enum mu_code rc = MU_OK;

    if (csr == NULL || csr->challenge.n == 0 || can_decrypt(job->claim.signer))
        return MU_OK;
    mu_text_hex(&signer, mu_bytes(job->signer, sizeof job->signer), 0);
    mu_buf_reset(&job->sealed);
    rc = mu_ca_seal(job->ca, MU_CA_SEAL_REQUEST, mu_buf_str(&signer),
        mu_secret_bytes(&csr->challenge), &job->sealed, err);
    job->row.kept = mu_buf_bytes(&job->sealed);
    mu_buf_clear(&signer);
    return rc;
}

static enum mu_code find_challenge(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_buf signer = {0};
    enum mu_code rc;

    if (job->credential.kept.n == 0)
        return MU_OK;
    mu_text_hex(&signer, mu_bytes(job->signer, sizeof job->signer), 0);
    rc = mu_ca_unseal(job->ca, MU_CA_SEAL_REQUEST, mu_buf_str(&signer), job->credential.kept,
        &job->challenge, err);
    if (rc == MU_OK)
        job->credential.password = &job->challenge;
    else
        mu_err_narrow(err, MU_REFUSE_UNDELIVERABLE);
    mu_buf_clear(&signer);
    return rc;
}

static enum mu_code write_answer(struct mu_ca_job *job, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (job->decision.verdict == MU_VERDICT_PENDING)
        rc = keep_challenge(job, err);
    else if (job->decision.verdict == MU_VERDICT_ISSUED && job->claim.op == MU_OP_POLL)
        rc = find_challenge(job, err);
    if (rc != MU_OK)
        return rc;
    return mu_scep_server_write(
        job->engine, &job->credential, &job->decision, &job->response, err);
}

static void free_engine(void *engine)
{
    mu_scep_server_free(engine);
}

static const struct mu_ca_way way = {
    .proto = MU_PROTO_SCEP,
    .write = write_answer,
    .http_error = mu_scep_server_http_error,
    .free = free_engine};

/* ---- which CA ---- */

static bool is_for(const struct mu_claim *claim, const struct mu_pki_certs *certs)
{
    const struct mu_pki_cert *cert = certs->n != 0 ? certs->v[0] : NULL;

    if (cert == NULL)
        return false;
    if (claim->recipient_skid.n != 0)
        return mu_bytes_equal(claim->recipient_skid, cert->exts.skid);
    return claim->recipient_serial.n != 0
        && mu_pki_serial_equal(claim->recipient_serial, cert->serial)
        && mu_pki_name_equal(claim->recipient_issuer, cert->issuer);
}

/* SCEP-78: the certificate a message is enveloped to names CA and key. */
static bool choose_by_recipient(struct mu_ca_job *job)
{
    for (size_t i = 0; i < job->snapshot->ca_n; i++) {
        const struct mu_ca_one *one = &job->snapshot->cas[i];

        job->use_next = is_for(&job->claim, &one->next.certs);
        if (job->use_next || is_for(&job->claim, &one->ra.certs)
            || is_for(&job->claim, &one->ca.certs)) {
            job->one = one;
            return true;
        }
    }
    return false;
}

/* A label of the path that is a CA's name, else message=, else the default one. */
static void choose_by_name(struct mu_ca_job *job)
{
    char label[72];
    const char *p = job->claim.path;
    size_t n;

    for (; p != NULL && *p != '\0'; p += n) {
        p += strspn(p, "/");
        n = strcspn(p, "/");
        if (n == 0 || n >= sizeof label)
            continue;
        memcpy(label, p, n);
        label[n] = '\0';
        if ((job->one = mu_ca_snapshot_find(job->snapshot, label)) != NULL)
            return;
    }
    if (job->claim.ca_identifier != NULL && *job->claim.ca_identifier != '\0')
        job->one = mu_ca_snapshot_find(job->snapshot, job->claim.ca_identifier);
    if (job->one == NULL)
        job->one = mu_ca_snapshot_find(job->snapshot, NULL);
}

static enum mu_code choose(struct mu_ca_job *job, struct mu_err *err)
{
    const struct mu_ca_one *one;
    const struct mu_ca_pair *answers;

    if (!choose_by_recipient(job))
        choose_by_name(job);
    one = job->one;
    if (one == NULL)
        return mu_err_set(err, MU_NOT_FOUND, MU_REFUSE_SERVICE_OFF, "there is no CA here yet");
    answers = job->use_next ? &one->next : one->ra.certs.n != 0 ? &one->ra : &one->ca;
    if (answers->key == NULL || one->ca.key == NULL)
        return mu_err_set(
            err, MU_BUSY, MU_REFUSE_INTERNAL, "CA '%s' cannot answer: %s", one->name, one->why);
    job->credential = (struct mu_credential){
        .key = answers->key,
        .cert = answers->certs.v[0],
        .ca_chain = job->use_next ? &one->next.certs : &one->ca.certs,
        .ra = &one->ra.certs,
        .next_ca = &one->next.certs,
        .ca_key = one->ca.key,
        .allow_legacy = one->allow_legacy,
        .sign_alg_rsa_encryption = one->sign_alg_rsa_encryption,
        .ca_in_reply = true,
        .single_ca_cert = one->single_ca_cert,
        .caps_sha384 = one->caps_sha384,
    };
    return MU_OK;
}

/* ---- in ---- */

/* "SCEP GetCA message received" and its like. */
static void tell_request(struct mu_ca_job *job)
{
    static const char *const texts[] = {
        [MU_OP_CAPS] = "SCEP GetCACaps message received",
        [MU_OP_CA_CERTS] = "SCEP GetCA message received",
        [MU_OP_NEXT_CA] = "SCEP GetNextCA message received",
        [MU_OP_POLL] = "SCEP CertPoll message received",
        [MU_OP_GET_CERT] = "SCEP GetCert message received",
        [MU_OP_GET_CRL] = "SCEP GetCRL message received",
    };

    mu_ca_job_tell_request(job,
        job->claim.op != MU_OP_ENROLL ? texts[job->claim.op]
            : job->claim.message_type != NULL && strcmp(job->claim.message_type, "RenewalReq") == 0
            ? "SCEP RenewalReq message received"
            : "SCEP PKCSReq message received");
}

/* A message that is none, or whose signature is wrong. */
static void refuse_early(struct mu_ca_job *job, struct mu_err *why)
{
    struct mu_err err = {0};

    if (why->reason < MU_REFUSE_FIRST)
        mu_err_narrow(why, MU_REFUSE_MALFORMED);
    if (!mu_ca_job_take_token(job))
        return;
    if (job->engine != NULL && choose(job, &err) != MU_OK) {
        mu_scep_server_free(job->engine);
        job->engine = NULL;
        job->claim = (struct mu_claim){0};
    }
    mu_ca_job_refuse(job, why);
}

/* GetCACaps, GetCACert: no key is used, nothing is recorded. */
static void answer_simple(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    job->decision.verdict = MU_VERDICT_DATA;
    if (mu_scep_server_write(job->engine, &job->credential, NULL, &job->response, &err) != MU_OK)
        mu_ca_job_fail(job, &err);
    else
        mu_ca_job_ready(job);
}

static void serve(struct mu_ca_job *job)
{
    struct mu_scep_server *server = NULL;
    struct mu_err err = {0};
    enum mu_code rc;
    bool needs_key;

    if (mu_ca_job_is_off(job))
        return;
    rc = mu_scep_server_open(job->ca->config.env, job->request, &server, &job->claim, &err);
    job->engine = server;
    if (rc != MU_OK) {
        refuse_early(job, &err);
        return;
    }
    mu_text_escape_to(
        job->transaction_id, sizeof job->transaction_id, mu_bytes_str(job->claim.transaction_id));
    if (choose(job, &err) != MU_OK) {
        mu_ca_job_tell_refusal(job, &err, false);
        mu_ca_job_fail(job, &err);
        return;
    }
    tell_request(job);
    needs_key = job->claim.op != MU_OP_CAPS && job->claim.op != MU_OP_CA_CERTS;
    if (needs_key && !mu_ca_job_take_token(job))
        return;
    if (!needs_key || job->claim.op == MU_OP_NEXT_CA) {
        answer_simple(job);
        return;
    }
    if (mu_scep_server_read(job->engine, &job->credential, &job->question, &err) != MU_OK) {
        if (err.reason < MU_REFUSE_FIRST)
            mu_err_narrow(&err, MU_REFUSE_MALFORMED);
        mu_ca_job_refuse(job, &err);
        return;
    }
    if (job->claim.op == MU_OP_GET_CRL)
        mu_ca_crl_refresh(job->ca);
    mu_ca_decide(job);
}

void mu_ca_scep(struct mu_ca *ca, struct mu_ca_snapshot *snapshot,
    const struct mu_http_request *request, mu_ca_reply *reply, void *cookie)
{
    struct mu_ca_job *job = mu_ca_job_new(&way, ca, snapshot, request, reply, cookie);

    if (job == NULL)
        return;
    job->challenge_is_password = true;
    serve(job);
}
