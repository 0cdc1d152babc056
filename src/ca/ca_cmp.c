/*
 * A CMP message in and out. Form and signature first, then a token of its address, then the
 * database says with what its MAC is to be checked, then the decision. What certConf and pollReq
 * will need goes into the record, so they may come after a restart.
 */
#include "ca/ca_cmp.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"
#include "proto/cmp/cmp_http.h"
#include "proto/cmp/cmp_server.h"
#include "store/store_row.h"

/* ---- out ---- */

static enum mu_code write_answer(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    enum mu_code rc;

    mu_buf_clear(&cmp->kept);
    cmp->kept = (struct mu_buf){.max = MU_LIMIT_KEPT, .secret = true};
    if (job->one != NULL && job->decision.verdict == MU_VERDICT_PENDING)
        job->decision.retry_after_s = job->one->check_after_s;
    rc = mu_cmp_server_write(
        cmp->server, &job->credential, &job->decision, &job->response, &cmp->kept, err);
    job->row.kept = mu_buf_bytes(&cmp->kept);
    return rc;
}

static void free_engine(void *engine)
{
    struct mu_ca_cmp *cmp = engine;

    mu_cmp_server_free(cmp->server);
    mu_secret_clear(&cmp->password);
    mu_secret_clear(&cmp->mac_key);
    mu_store_row_free(MU_STORE_ROW_ENTRY, cmp->entry);
    mu_store_row_free(MU_STORE_ROW_REQUEST, cmp->latest);
    mu_store_row_free(MU_STORE_ROW_CERT, cmp->latest_cert);
    mu_store_row_free(MU_STORE_ROW_CERT, cmp->signer_row);
    mu_buf_clear(&cmp->kept);
    mu_buf_clear(&cmp->content);
    mu_pki_csr_free(cmp->made_csr);
    mu_pki_cert_free(cmp->kept_signer);
    mu_pki_cert_free(cmp->renewed);
    mu_store_row_free(MU_STORE_ROW_CERT, cmp->renewed_row);
    free(cmp);
}

/* CMP-12: the id belongs to another request; the client has to choose a new one. */
static bool is_other(struct mu_ca_job *job, const struct mu_record_request *winner)
{
    if (mu_bytes_equal(winner->signer, mu_bytes(job->signer, 32))
        && mu_bytes_equal(winner->digest, job->question.request_digest))
        return false;
    mu_ca_record_refuse(job, MU_REFUSE_TRANSACTION);
    return true;
}

static void delivered(void *cookie, const struct mu_store_result *result)
{
    struct mu_ca_job *job = cookie;

    /* A confirmation that came meanwhile loses nothing: the answer is as good as the first one. */
    if (result->code != MU_OK && result->lost == MU_STORE_LOST_NONE)
        mu_ca_job_fail(job, result->err);
    else
        mu_ca_job_ready(job);
}

/* The time for the confirmation begins when the client gets the certificate; none is waited for if
 * the answer says so. */
static void move_confirmation(struct mu_ca_job *job)
{
    struct mu_store_change *c = &mu_ca_cmp_of(job)->change;
    bool implicit = job->question.implicit_confirm && job->one->implicit_confirm;

    c->confirm_ca = job->one->name;
    c->confirm_serial = mu_enroll_record_serial(job->again->serial);
    c->confirm = implicit ? MU_RECORD_CONFIRM_NONE : MU_RECORD_CONFIRM_WAITING;
    c->confirm_until_s = implicit ? 0 : job->now_s + job->one->confirm_wait_s;
}

/* What the next message of the transaction is checked against is that of the last answer. */
static bool deliver(struct mu_ca_job *job)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_record_cert *cert = job->known_cert;

    job->known_cert = NULL;
    if (job->known_id == 0)
        return false;
    cmp->change = (struct mu_store_change){
        .now_s = job->now_s, .done = delivered, .cookie = job};
    if (cmp->kept.n != 0) {
        cmp->change.keep_id = job->known_id;
        cmp->change.keep = mu_buf_bytes(&cmp->kept);
    }
    if (cert != NULL && job->again != NULL && cert->confirm == MU_RECORD_CONFIRM_WAITING)
        move_confirmation(job);
    if (cmp->change.keep_id == 0 && cmp->change.confirm_serial.n == 0)
        return false;
    mu_store_submit(job->ca->config.store, &cmp->change);
    return true;
}

static const struct mu_ca_way way = {.proto = MU_PROTO_CMP,
    .write = write_answer,
    .is_other = is_other,
    .deliver = deliver,
    .http_error = mu_cmp_server_http_error,
    .free = free_engine};

/* ---- which CA ---- */

static const struct mu_ca_one *by_signer(const struct mu_ca_job *job)
{
    const struct mu_pki_cert *signer = job->claim.signer;

    for (size_t i = 0; signer != NULL && i < job->snapshot->ca_n; i++)
        if (mu_pki_name_equal(signer->issuer, job->snapshot->cas[i].ca.certs.v[0]->subject))
            return &job->snapshot->cas[i];
    return NULL;
}

/* Only one that a client would believe: valid now, and issued by the CA as it is, or given to us. */
static void use_kga(struct mu_ca_job *job)
{
    const struct mu_ca_pair *kga = &job->one->kga;
    struct mu_pki_cert *cert = kga->certs.n != 0 ? kga->certs.v[0] : NULL;

    if (kga->key == NULL || cert->not_before_s > job->now_s || cert->not_after_s < job->now_s
        || (!job->one->kga_is_given
            && !mu_bytes_equal(cert->exts.akid, job->one->ca.certs.v[0]->exts.skid)))
        return;
    if (job->one->kga_is_given)
        job->credential.kga_chain = &kga->certs;
    job->credential.kga_key = kga->key;
    job->credential.kga_cert = cert;
}

/* A label of the path that is a CA's name or whose profile has a CA of its own, else the issuer of
 * the certificate that signed, else the default one. */
static enum mu_code choose(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_enroll_profile *profile = NULL;
    const struct mu_ca_pair *answers;

    if (cmp->label[0] != '\0')
        job->one = mu_ca_snapshot_find(job->snapshot, cmp->label);
    if (cmp->label[0] != '\0' && job->one == NULL)
        profile = mu_ca_snapshot_profile(job->snapshot, cmp->label);
    if (job->one != NULL) /* so the label names no profile */
        cmp->label[0] = '\0';
    else if (profile != NULL && profile->ca != NULL && *profile->ca != '\0')
        job->one = mu_ca_snapshot_find(job->snapshot, profile->ca);
    if (job->one == NULL)
        job->one = by_signer(job);
    if (job->one == NULL)
        job->one = mu_ca_snapshot_find(job->snapshot, NULL);
    if (job->one == NULL)
        return mu_err_set(err, MU_NOT_FOUND, MU_REFUSE_SERVICE_OFF, "there is no CA here yet");
    answers = job->one->ra.certs.n != 0 ? &job->one->ra : &job->one->ca;
    if (answers->key == NULL || job->one->ca.key == NULL)
        return mu_err_set(err, MU_BUSY, MU_REFUSE_INTERNAL, "CA '%s' cannot answer: %s",
            job->one->name, job->one->why);
    job->credential = (struct mu_credential){.key = answers->key,
        .cert = answers->certs.v[0],
        .ca_chain = &job->one->ca.certs,
        .ra = &job->one->ra.certs,
        .next_ca = &job->one->links, /* the successor and what leads to it */
        .ca_key = job->one->ca.key,
        .allow_legacy = job->one->allow_legacy,
        .time_slack_s = job->one->time_slack_s,
        .confirm_wait_s = (int)job->one->confirm_wait_s,
        .allow_implicit_confirm = job->one->implicit_confirm};
    use_kga(job);
    return MU_OK;
}

/* ---- in ---- */

static void tell_request(struct mu_ca_job *job)
{
    char text[80];
    const char *type = job->claim.message_type != NULL ? job->claim.message_type : "unknown";

    snprintf(text, sizeof text, "CMP %.32s message received", type);
    mu_ca_job_tell_request(job, text);
}

/* A message that is none, or whose signature is wrong. */
static void refuse_early(struct mu_ca_job *job, struct mu_err *why)
{
    struct mu_err err = {0};

    if (why->reason < MU_REFUSE_FIRST && why->code != MU_UNSUPPORTED) /* another method */
        mu_err_narrow(why, MU_REFUSE_MALFORMED);
    if (!mu_ca_job_take_token(job))
        return;
    if (mu_ca_cmp_of(job)->server == NULL || choose(job, &err) != MU_OK) {
        free_engine(job->engine);
        job->engine = NULL;
        job->claim = (struct mu_claim){0};
    }
    mu_ca_job_refuse(job, why);
}

/* The secret is there, or the signer is known: now the message itself. */
static void read_message(struct mu_ca_job *job)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    struct mu_err err = {0};

    if (cmp->latest != NULL && job->claim.op != MU_OP_ENROLL && job->claim.op != MU_OP_KEYGEN)
        job->credential.kept = cmp->latest->kept;
    if (cmp->latest_cert != NULL)
        job->credential.issued = cmp->latest_cert->der;
    if (!cmp->is_unknown && mu_ca_mac_get(job, &cmp->mac_key))
        job->credential.mac_key = &cmp->mac_key;
    if (mu_cmp_server_read(cmp->server, &job->credential, &job->question, &err) != MU_OK
        || cmp->is_unknown) {
        if (cmp->is_unknown && (err.code == MU_OK || err.reason == MU_REFUSE_SIGNATURE))
            mu_ca_refusal(&err, MU_REFUSE_ENTRY_UNKNOWN);
        else if (job->claim.auth == MU_AUTH_MAC && err.reason == MU_REFUSE_SIGNATURE)
            mu_ca_cmp_who_guessed(job);
        if (err.reason < MU_REFUSE_FIRST)
            mu_err_narrow(&err, MU_REFUSE_MALFORMED);
        mu_ca_job_refuse(job, &err);
        return;
    }
    mu_ca_mac_put(job);
    job->claim = job->question.claim;
    mu_ca_cmp_decide(job);
}

static void serve(struct mu_ca_job *job)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    struct mu_err err = {0};

    if (mu_ca_job_is_off(job))
        return;
    if (mu_cmp_server_open(job->ca->config.env, job->request, &cmp->server, &job->claim, &err)
        != MU_OK) {
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
    if (!mu_ca_job_take_token(job))
        return;
    if (job->claim.op == MU_OP_GET_CRL)
        mu_ca_crl_refresh(job->ca);
    mu_ca_cmp_who(job, read_message);
}

void mu_ca_cmp(struct mu_ca *ca, struct mu_ca_snapshot *snapshot,
    const struct mu_http_request *request, mu_ca_reply *reply, void *cookie)
{
    struct mu_ca_job *job = mu_ca_job_new(&way, ca, snapshot, request, reply, cookie);
    struct mu_cmp_path path = {0};
    struct mu_ca_cmp *cmp;
    struct mu_err err = {0};

    if (job == NULL)
        return;
    if ((cmp = calloc(1, sizeof *cmp)) == NULL) {
        mu_err_set(&err, MU_MEMORY, MU_REFUSE_INTERNAL, "out of memory");
        mu_ca_job_fail(job, &err);
        return;
    }
    job->engine = cmp;
    if (mu_cmp_http_path(request->target, &path))
        memcpy(cmp->label, path.label, sizeof cmp->label);
    serve(job);
}

bool mu_ca_cmp_is(const struct mu_http_request *request, struct mu_bytes path)
{
    return mu_cmp_server_is(request);
}
