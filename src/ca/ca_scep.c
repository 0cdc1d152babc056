/*
 * A SCEP request in and out. Cheap checks first (size, form, signature of the message), then a
 * token of its address, then the private key, then the decision.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_job.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_server.h"
#include "store/store_row.h"

static void job_free(struct mu_ca_job *job)
{
    mu_scep_server_free(job->server);
    mu_enroll_grant_clear(&job->grant);
    mu_ca_issue_clear(&job->issue);
    mu_buf_clear(&job->asked);
    mu_buf_clear(&job->planned);
    mu_buf_clear(&job->csr);
    mu_buf_clear(&job->text);
    mu_buf_clear(&job->crl);
    mu_pki_cert_free(job->again);
    mu_http_response_clear(&job->response);
    mu_ca_snapshot_free(job->snapshot);
    free(job);
}

/* ---- ends ---- */

void mu_ca_job_ready(struct mu_ca_job *job)
{
    struct mu_http_response response = job->response;
    mu_ca_reply *reply = job->reply;
    void *cookie = job->cookie;

    if (job->has_token
        && (job->decision.verdict == MU_VERDICT_ISSUED || job->decision.verdict == MU_VERDICT_DATA))
        mu_ca_rate_give_back(job->ca->rate, job->address, job->now_s);
    job->response = (struct mu_http_response){0};
    job_free(job);
    mu_ca_answer(&response, reply, cookie);
}

enum mu_code mu_ca_job_write(struct mu_ca_job *job, struct mu_err *err)
{
    mu_http_response_clear(&job->response);
    return mu_scep_server_write(job->server, &job->credential, &job->decision, &job->response, err);
}

/* The answer could not be made: nothing but HTTP is left. */
static void fail(struct mu_ca_job *job, const struct mu_err *why)
{
    job->decision.verdict = MU_VERDICT_REFUSED;
    mu_http_response_clear(&job->response);
    if (mu_scep_server_http_error(why, &job->response, NULL) != MU_OK)
        job->response.status = 500;
    mu_ca_job_ready(job);
}

void mu_ca_job_done(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    if (mu_ca_job_write(job, &err) != MU_OK)
        fail(job, &err);
    else
        mu_ca_job_ready(job);
}

enum mu_code mu_ca_refusal(struct mu_err *err, enum mu_reason reason)
{
    const struct mu_err_row *row = mu_err_row(reason);

    return mu_err_set(err, MU_DENIED, reason, "%s", row != NULL ? row->what : "refused");
}

void mu_ca_job_audit(const struct mu_ca_job *job, struct mu_record_audit *audit)
{
    audit->time_s = job->now_s;
    audit->proto = MU_PROTO_SCEP;
    audit->ca = job->one != NULL ? job->one->name : "";
    audit->profile = job->profile != NULL ? job->profile->name : "";
    audit->entry = job->entry;
    audit->subject = mu_buf_str(job->planned.n != 0 ? &job->planned : &job->asked);
    audit->transaction_id = job->transaction_id;
    audit->address = job->address;
    audit->user_agent = job->user_agent;
    audit->size = (int64_t)job->request->body.n;
}

/* An audit line nobody waits for. */
struct note {
    struct mu_store_change change;
    struct mu_record_audit *row;
};

static void noted(void *cookie, const struct mu_store_result *result)
{
    struct note *note = cookie;

    free(note->row);
    free(note);
}

static void audit_later(struct mu_ca *ca, const struct mu_record_audit *row)
{
    struct note *note = calloc(1, sizeof *note);

    if (note == NULL || (note->row = mu_store_row_copy(MU_STORE_ROW_AUDIT, row)) == NULL) {
        free(note);
        return;
    }
    note->change = (struct mu_store_change){.now_s = row->time_s,
        .audit = note->row,
        .audit_n = 1,
        .done = noted,
        .cookie = note,
        .any_thread = true};
    mu_store_submit(ca->config.store, &note->change);
}

static void tell_refusal(struct mu_ca_job *job, const struct mu_err *why, bool keep)
{
    struct mu_record_audit audit = {
        .action = "refuse", .reason = why->reason, .message = why->what};
    char words[sizeof why->what + 80];

    if (why->reason
        == MU_REFUSE_PASSWORD_USED) { /* SCEP-55; for the operator, not for the client */
        snprintf(words, sizeof words, "%s Possible breach: somebody else may have it.", why->what);
        audit.message = words;
    }
    atomic_fetch_add(&job->ca->stats.refused, 1);
    if (why->reason >= MU_REFUSE_FIRST && why->reason < MU_REFUSE_LAST)
        atomic_fetch_add(&job->ca->stats.refused_by[why->reason - MU_REFUSE_FIRST], 1);
    mu_ca_job_audit(job, &audit);
    mu_ca_tell(job->ca, &audit);
    if (keep)
        audit_later(job->ca, &audit);
}

void mu_ca_job_refuse(struct mu_ca_job *job, const struct mu_err *why)
{
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_REFUSED, .refusal = *why};
    tell_refusal(job, why, true);
    /* Our own trouble passes: by HTTP the client tries again, a FAILURE would be for good. */
    if (why->code == MU_STORAGE || why->code == MU_BUSY || why->code == MU_MEMORY
        || job->server == NULL)
        fail(job, why);
    else
        mu_ca_job_done(job);
}

/* Too many requests from there: no private key, no database. */
static void refuse_rate(struct mu_ca_job *job, int64_t wait_s)
{
    struct mu_err why = {0};
    char seconds[24];

    mu_ca_refusal(&why, MU_REFUSE_RATE);
    atomic_fetch_add(&job->ca->stats.rate_limited, 1);
    snprintf(seconds, sizeof seconds, "%lld", (long long)wait_s);
    job->decision.verdict = MU_VERDICT_REFUSED;
    if (mu_scep_server_http_error(&why, &job->response, NULL) != MU_OK
        || mu_http_response_add(&job->response, "Retry-After", seconds, NULL) != MU_OK)
        job->response.status = 429;
    tell_refusal(job, &why, false);
    mu_ca_job_ready(job);
}

static bool take_token(struct mu_ca_job *job)
{
    int64_t wait_s;

    if (mu_ca_rate_take(job->ca->rate, job->address, job->now_s, &wait_s)) {
        job->has_token = true;
        return true;
    }
    refuse_rate(job, wait_s);
    return false;
}

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
    struct mu_record_audit audit = {.action = "request", .success = true};

    if (job->ca->config.event == NULL)
        return;
    audit.message = job->claim.op != MU_OP_ENROLL ? texts[job->claim.op]
        : job->claim.message_type != NULL && strcmp(job->claim.message_type, "RenewalReq") == 0
        ? "SCEP RenewalReq message received"
        : "SCEP PKCSReq message received";
    mu_ca_job_audit(job, &audit);
    mu_ca_tell(job->ca, &audit);
}

/* A message that is none, or whose signature is wrong. */
static void refuse_early(struct mu_ca_job *job, struct mu_err *why)
{
    struct mu_err err = {0};

    if (why->reason < MU_REFUSE_FIRST)
        mu_err_narrow(why, MU_REFUSE_MALFORMED);
    if (!take_token(job))
        return;
    if (job->server != NULL && choose(job, &err) != MU_OK) {
        mu_scep_server_free(job->server);
        job->server = NULL;
        job->claim = (struct mu_claim){0};
    }
    mu_ca_job_refuse(job, why);
}

/* GetCACaps, GetCACert: no key is used, nothing is recorded. */
static void answer_simple(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    job->decision.verdict = MU_VERDICT_DATA;
    if (mu_scep_server_write(job->server, &job->credential, NULL, &job->response, &err) != MU_OK)
        fail(job, &err);
    else
        mu_ca_job_ready(job);
}

static void serve(struct mu_ca_job *job)
{
    struct mu_err err = {0};
    bool needs_key;

    if (job->snapshot->off[MU_PROTO_SCEP]) {
        mu_ca_refusal(&err, MU_REFUSE_SERVICE_OFF);
        tell_refusal(job, &err, false);
        fail(job, &err);
        return;
    }
    if (mu_scep_server_open(job->ca->config.env, job->request, &job->server, &job->claim, &err)
        != MU_OK) {
        refuse_early(job, &err);
        return;
    }
    mu_text_escape_to(
        job->transaction_id, sizeof job->transaction_id, mu_bytes_str(job->claim.transaction_id));
    if (choose(job, &err) != MU_OK) {
        tell_refusal(job, &err, false);
        fail(job, &err);
        return;
    }
    tell_request(job);
    needs_key = job->claim.op != MU_OP_CAPS && job->claim.op != MU_OP_CA_CERTS;
    if (needs_key && !take_token(job))
        return;
    if (!needs_key || job->claim.op == MU_OP_NEXT_CA) {
        answer_simple(job);
        return;
    }
    if (mu_scep_server_read(job->server, &job->credential, &job->question, &err) != MU_OK) {
        if (err.reason < MU_REFUSE_FIRST)
            mu_err_narrow(&err, MU_REFUSE_MALFORMED);
        mu_ca_job_refuse(job, &err);
        return;
    }
    mu_ca_decide(job);
}

void mu_ca_scep(struct mu_ca *ca, struct mu_ca_snapshot *snapshot,
    const struct mu_http_request *request, mu_ca_reply *reply, void *cookie)
{
    struct mu_ca_job *job = calloc(1, sizeof *job);
    const char *user_agent;

    if (job == NULL) {
        mu_ca_snapshot_free(snapshot);
        mu_ca_answer_text(503, "out of memory\n", reply, cookie);
        return;
    }
    job->ca = ca;
    job->snapshot = snapshot;
    job->request = request;
    job->reply = reply;
    job->cookie = cookie;
    job->now_s = mu_env_now(ca->config.env);
    job->address = request->peer != NULL ? request->peer->address : "";
    user_agent = mu_http_header_get(request->headers, request->header_n, "User-Agent");
    mu_text_escape_to(job->user_agent, sizeof job->user_agent, mu_bytes_str(user_agent));
    serve(job);
}
