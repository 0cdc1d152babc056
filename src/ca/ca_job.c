/* A request of any protocol on its way: its beginning, its ends, and what the audit trail has of it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_job.h"
#include "store/store_row.h"

/* ---- begin ---- */

struct mu_ca_job *mu_ca_job_new(const struct mu_ca_way *way, struct mu_ca *ca,
    struct mu_ca_snapshot *snapshot, const struct mu_http_request *request, mu_ca_reply *reply,
    void *cookie)
{
    struct mu_ca_job *job = calloc(1, sizeof *job);
    const char *user_agent;

    if (job == NULL) {
        mu_ca_snapshot_free(snapshot);
        mu_ca_answer_text(503, "out of memory\n", reply, cookie);
        return NULL;
    }
    job->way = way;
    job->ca = ca;
    job->snapshot = snapshot;
    job->request = request;
    job->reply = reply;
    job->cookie = cookie;
    job->now_s = mu_env_now(ca->config.env);
    job->address = request->peer != NULL ? request->peer->address : "";
    user_agent = mu_http_header_get(request->headers, request->header_n, "User-Agent");
    mu_text_escape_to(job->user_agent, sizeof job->user_agent, mu_bytes_str(user_agent));
    return job;
}

bool mu_ca_job_is_off(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    if (!job->snapshot->off[job->way->proto])
        return false;
    mu_ca_refusal(&err, MU_REFUSE_SERVICE_OFF);
    mu_ca_job_tell_refusal(job, &err, false);
    mu_ca_job_fail(job, &err);
    return true;
}

void mu_ca_job_tell_request(struct mu_ca_job *job, const char *message)
{
    struct mu_record_audit audit = {.action = "request", .success = true, .message = message};

    if (job->ca->config.event == NULL || message == NULL)
        return;
    mu_ca_job_audit(job, &audit);
    mu_ca_tell(job->ca, &audit);
}

static void job_free(struct mu_ca_job *job)
{
    if (job->engine != NULL)
        job->way->free(job->engine);
    if (job->way->clear != NULL)
        job->way->clear(job);
    mu_secret_clear(&job->password);
    mu_pki_key_free(job->key);
    mu_enroll_grant_clear(&job->grant);
    mu_ca_issue_clear(&job->issue);
    mu_buf_clear(&job->asked);
    mu_buf_clear(&job->planned);
    mu_buf_clear(&job->csr);
    mu_buf_clear(&job->sealed);
    mu_secret_clear(&job->challenge);
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
    return job->way->write(job, err);
}

/* The answer could not be made: nothing but HTTP is left. */
void mu_ca_job_fail(struct mu_ca_job *job, const struct mu_err *why)
{
    job->decision.verdict = MU_VERDICT_REFUSED;
    mu_http_response_clear(&job->response);
    if (job->way->http_error(why, &job->response, NULL) != MU_OK)
        job->response.status = 500;
    mu_ca_job_ready(job);
}

void mu_ca_job_done(struct mu_ca_job *job)
{
    struct mu_err err = {0};

    if (mu_ca_job_write(job, &err) != MU_OK) {
        if (err.reason == MU_REFUSE_UNDELIVERABLE && job->decision.verdict != MU_VERDICT_REFUSED)
            mu_ca_job_refuse(job, &err);
        else
            mu_ca_job_fail(job, &err);
    } else if (job->way->deliver == NULL || !job->way->deliver(job))
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
    audit->proto = job->way->proto;
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

void mu_ca_job_tell_refusal(struct mu_ca_job *job, const struct mu_err *why, bool keep)
{
    struct mu_record_audit audit = {
        .action = "refuse", .reason = why->reason, .message = why->what};
    char words[sizeof why->what + sizeof job->hint + 80];

    if (why->reason
        == MU_REFUSE_PASSWORD_USED) { /* SCEP-55; for the operator, not for the client */
        snprintf(words, sizeof words, "%s Possible breach: somebody else may have it.", why->what);
        audit.message = words;
    } else if (job->hint[0] != '\0') {
        snprintf(words, sizeof words, "%s %s", why->what, job->hint);
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

/* What passes by itself is worth another try then. */
static int64_t retry_after(enum mu_reason reason)
{
    return reason == MU_REFUSE_RATE || reason == MU_REFUSE_QUEUE_FULL ? 600 : 0;
}

void mu_ca_job_refuse(struct mu_ca_job *job, const struct mu_err *why)
{
    job->decision = (struct mu_decision){.verdict = MU_VERDICT_REFUSED,
        .refusal = *why,
        .retry_after_s = retry_after(why->reason)};
    mu_ca_job_tell_refusal(job, why, true);
    /* Our own trouble passes: by HTTP the client tries again, a FAILURE would be for good. */
    if (why->code == MU_STORAGE || why->code == MU_BUSY || why->code == MU_MEMORY
        || job->engine == NULL)
        mu_ca_job_fail(job, why);
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
    if (job->way->http_error(&why, &job->response, NULL) != MU_OK
        || mu_http_response_add(&job->response, "Retry-After", seconds, NULL) != MU_OK)
        job->response.status = 429;
    mu_ca_job_tell_refusal(job, &why, false);
    mu_ca_job_ready(job);
}

bool mu_ca_job_take_token(struct mu_ca_job *job)
{
    int64_t wait_s;

    if (mu_ca_rate_take(job->ca->rate, job->address, job->now_s, &wait_s)) {
        job->has_token = true;
        return true;
    }
    refuse_rate(job, wait_s);
    return false;
}
