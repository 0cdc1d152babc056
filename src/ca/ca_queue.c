/* The approval queue: what a waiting request would become, approval, rejection. */
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_internal.h"
#include "store/store_row.h"

enum { TRANSACTION_MAX = 10000, FETCH_WINDOW_S = 30 * 86400 };

/* A waiting request with all that a decision needs. */
struct waiting {
    struct mu_ca *ca;
    struct mu_ca_snapshot *snapshot;
    struct mu_record_request *row;
    struct mu_record_cert *key_seen;
    const struct mu_ca_one *one;
    const struct mu_enroll_profile *profile;
    struct mu_pki_csr *csr;
    struct mu_enroll_grant grant;
    struct mu_err refusal;
    bool is_ambiguous; /* another key waits under the same transaction id */
};

static void waiting_clear(struct waiting *w)
{
    mu_ca_snapshot_free(w->snapshot);
    mu_store_row_free(MU_STORE_ROW_REQUEST, w->row);
    free(w->key_seen);
    mu_pki_csr_free(w->csr);
    mu_enroll_grant_clear(&w->grant);
}

/* The newest of a transaction, as long as all of it are of one key: the id is no secret, so anybody
 * can send a request under another's. */
static bool keep_row(void *cookie, const struct mu_record_request *row)
{
    struct waiting *w = cookie;

    if (w->row == NULL)
        return (w->row = mu_store_row_copy(MU_STORE_ROW_REQUEST, row)) != NULL;
    w->is_ambiguous |= !mu_bytes_equal(w->row->signer, row->signer);
    return !w->is_ambiguous;
}

/* By number, else by transaction id. A number is never taken for a transaction id, which the client
 * chooses: else who approves #5 once too often approves what calls itself 5. */
static enum mu_code find(struct waiting *w, const char *id, struct mu_err *err)
{
    struct mu_store_filter filter = {
        .by_state = true, .state = MU_RECORD_PENDING, .limit = TRANSACTION_MAX};
    bool is_number = *id == '#' || mu_text_int(id, 1, INT64_MAX, &filter.id, NULL) == MU_OK;
    char shown[80];
    enum mu_code rc = MU_OK;

    mu_text_escape_to(shown, sizeof shown, mu_bytes_str(id));
    if (*id == '#' && mu_text_int(id + 1, 1, INT64_MAX, &filter.id, NULL) != MU_OK)
        filter.id = 0;
    if (!is_number)
        filter.transaction_id = id;
    if (*id != '\0' && (filter.id != 0 || !is_number))
        rc = mu_ca_requests_each(w->ca, &filter, keep_row, w, err);
    if (rc == MU_OK && w->is_ambiguous) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "requests of different keys are waiting under transaction id %s", shown);
        mu_err_next(err, "Name one by its number: muster-ca queue list");
        return MU_INPUT;
    }
    if (rc == MU_OK && w->row == NULL)
        rc = mu_err_set(
            err, MU_NOT_FOUND, MU_REFUSE_NO_SUCH_REQUEST, "no request %s is waiting", shown);
    return rc;
}

struct asking {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_done;
    struct mu_record_cert *key_seen;
};

static void on_facts(void *cookie, const struct mu_store_facts *facts)
{
    struct asking *a = cookie;

    pthread_mutex_lock(&a->lock);
    a->key_seen = mu_store_row_copy(MU_STORE_ROW_CERT, facts->key_seen);
    a->is_done = true;
    pthread_cond_signal(&a->ready);
    pthread_mutex_unlock(&a->lock);
}

static void ask_key(struct waiting *w)
{
    struct asking a = {.lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};
    uint8_t key[64] = {0};
    const struct mu_store_ask ask = {
        .ca = w->row->ca, .key_hash = mu_bytes(key, 32), .subject_hash = w->row->subject_hash};

    if (mu_pki_digest(MU_PKI_SHA256, w->csr->spki, key) != 32)
        return;
    w->ca->config.store->ops->ask(w->ca->config.store, &ask, on_facts, &a);
    pthread_mutex_lock(&a.lock);
    while (!a.is_done)
        pthread_cond_wait(&a.ready, &a.lock);
    pthread_mutex_unlock(&a.lock);
    w->key_seen = a.key_seen;
}

/* Decides as if an operator had approved; a refusal is kept, not returned. */
static enum mu_code load(
    struct waiting *w, struct mu_ca *ca, const char *id, const char *profile, struct mu_err *err)
{
    struct mu_enroll_facts facts = {.approved = true};
    enum mu_code rc;

    w->ca = ca;
    w->snapshot = mu_ca_snapshot_get(ca);
    if ((rc = find(w, id, err)) != MU_OK)
        return rc;
    w->one = mu_ca_snapshot_find(w->snapshot, w->row->ca);
    w->profile = mu_ca_snapshot_profile(w->snapshot, profile != NULL ? profile : w->row->profile);
    if (w->one == NULL || w->profile == NULL)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "request %lld: its CA or profile is gone", (long long)w->row->id);
    if ((rc = mu_pki_csr_decode(w->row->csr, &w->csr, err)) != MU_OK)
        return rc;
    ask_key(w);
    facts.proto = w->row->proto;
    facts.csr = w->csr;
    facts.issuer = w->one->ca.certs.v[0];
    facts.crl_url = w->one->crl_url;
    facts.ocsp_url = w->one->ocsp_url;
    facts.ca_issuers_url = w->one->ca_issuers_url;
    if (mu_enroll_profile_decide(w->profile, &facts, ca->config.env, &w->grant, &w->refusal)
        == MU_OK)
        w->refusal.code = MU_OK;
    return MU_OK;
}

enum mu_code mu_ca_queue_show(
    struct mu_ca *ca, const char *id, mu_ca_queue_call *call, void *cookie, struct mu_err *err)
{
    struct waiting w = {0};
    enum mu_code rc = load(&w, ca, id, NULL, err);

    if (rc == MU_OK)
        call(cookie,
            &(struct mu_ca_queue_view){.request = w.row,
                .csr = w.csr,
                .subject = mu_buf_bytes(&w.grant.subject),
                .extensions = mu_buf_bytes(&w.grant.extensions),
                .not_before_s = w.grant.not_before_s,
                .not_after_s = w.grant.not_after_s,
                .refusal = w.refusal.code != MU_OK ? &w.refusal : NULL,
                .key_seen_as = w.key_seen != NULL ? w.key_seen->subject : NULL});
    waiting_clear(&w);
    return rc;
}

static enum mu_code settle(struct waiting *w, struct mu_store_change *change,
    struct mu_record_audit *audit, const char *operator, struct mu_err * err)
{
    enum mu_code rc;

    audit->time_s = change->now_s = mu_env_now(w->ca->config.env);
    audit->success = true;
    audit->proto = w->row->proto;
    audit->ca = w->row->ca;
    audit->profile = w->profile->name;
    audit->entry = w->row->entry;
    audit->transaction_id = w->row->transaction_id;
    audit->address = operator;
    change->settle_id = w->row->id;
    change->audit = audit;
    change->audit_n = 1;
    rc = mu_store_submit_wait(w->ca->config.store, change, NULL, err);
    if (rc == MU_DENIED)
        return mu_err_set(err, MU_NOT_FOUND, MU_REFUSE_NO_SUCH_REQUEST,
            "request %lld is not waiting any more", (long long)w->row->id);
    if (rc == MU_OK)
        mu_ca_tell(w->ca, audit);
    return rc;
}

static enum mu_code approve(
    struct waiting *w, const char *operator, struct mu_buf * serial, struct mu_err *err)
{
    struct mu_ca_issue issue = {0};
    struct mu_pki_cert *cert = NULL;
    struct mu_record_audit audit = {.action = "issue"};
    struct mu_store_change change = {
        .settle_state = MU_RECORD_ISSUED, .cert = &issue.row, .settle_words = ""};
    enum mu_code rc;

    if ((rc = mu_ca_issue_sign(w->ca, w->one, false, &w->grant, w->csr, &cert, err)) != MU_OK
        || (rc = mu_ca_issue_row(
                &issue, cert, w->one, w->row->renews, mu_env_now(w->ca->config.env), err))
            != MU_OK)
        goto out;
    issue.row.proto = w->row->proto;
    issue.row.profile = w->profile->name;
    issue.row.entry = w->row->entry;
    issue.row.transaction_id = w->row->transaction_id;
    if (w->row->proto == MU_PROTO_CMP) { /* the wait is set anew when the client fetches it */
        issue.row.confirm = MU_RECORD_CONFIRM_WAITING;
        issue.row.confirm_until_s =
            mu_env_now(w->ca->config.env) + FETCH_WINDOW_S + w->one->confirm_wait_s;
    }
    audit.subject = issue.row.subject;
    audit.serial = issue.row.serial;
    audit.message = issue.message;
    if ((rc = settle(w, &change, &audit, operator, err)) != MU_OK)
        goto out;
    atomic_fetch_add(&w->ca->stats.issued, 1);
    if (serial != NULL && !mu_pki_cert_serial_hex(issue.row.serial, serial))
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a serial number");
out:
    mu_ca_issue_clear(&issue);
    return rc;
}

enum mu_code mu_ca_queue_approve(struct mu_ca *ca, const char *id, const char *profile,
    const char *operator, struct mu_buf * serial, struct mu_err *err)
{
    struct waiting w = {0};
    enum mu_code rc = load(&w, ca, id, profile, err);

    if (rc == MU_OK && (rc = w.refusal.code) != MU_OK) {
        if (err != NULL)
            *err = w.refusal;
    } else if (rc == MU_OK) {
        rc = approve(&w, operator, serial, err);
    }
    waiting_clear(&w);
    return rc;
}

enum mu_code mu_ca_queue_reject(
    struct mu_ca *ca, const char *id, const char *reason, const char *operator, struct mu_err * err)
{
    struct waiting w = {.ca = ca};
    static const struct mu_enroll_profile none = {.name = NULL};
    struct mu_buf message = {0};
    struct mu_record_audit audit = {.action = "reject"};
    struct mu_store_change change = {.settle_state = MU_RECORD_REJECTED, .settle_words = reason};
    enum mu_code rc = find(&w, id, err);

    if (rc == MU_OK) {
        w.profile = &none;
        mu_buf_putf(&message, "Request of \"%.512s\" rejected: %.256s", w.row->subject, reason);
        audit.subject = w.row->subject;
        audit.message = mu_buf_str(&message);
        rc = settle(&w, &change, &audit, operator, err);
    }
    mu_buf_clear(&message);
    waiting_clear(&w);
    return rc;
}
