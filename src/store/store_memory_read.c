/* Reads of the memory store: copies are picked under the lock, callbacks run without it. */
#include "store/store_memory_db.h"

#include <stdlib.h>

#include "store/store_row.h"

/* Copies of up to so many rows, for callbacks outside the lock. */
struct picked {
    void **v;
    size_t n, cap, max;
    bool failed;
};

static bool pick(struct picked *p, enum mu_store_row kind, const void *row)
{
    void **more;

    if (p->n == p->cap) {
        if ((more = reallocarray(p->v, p->cap * 2 + 16, sizeof *more)) == NULL) {
            p->failed = true;
            return false;
        }
        p->v = more;
        p->cap = p->cap * 2 + 16;
    }
    if ((p->v[p->n] = mu_store_row_copy(kind, row)) == NULL)
        p->failed = true;
    else
        p->n++;
    return !p->failed && (p->max == 0 || p->n < p->max);
}

/* Hands the rows out and frees them. */
#define DELIVER(picked, type, call, cookie)                                                        \
    do {                                                                                           \
        bool more_ = true;                                                                         \
        struct mu_err err_ = {0};                                                                  \
        if ((picked)->failed)                                                                      \
            mu_err_set(&err_, MU_MEMORY, MU_REASON_NONE, "store: out of memory");                  \
        for (size_t i_ = 0; i_ < (picked)->n; i_++) {                                              \
            if (more_)                                                                             \
                more_ = (call)((cookie), (const type *)(picked)->v[i_], NULL);                     \
            free((picked)->v[i_]);                                                                 \
        }                                                                                          \
        free((picked)->v);                                                                         \
        if (more_)                                                                                 \
            (call)((cookie), NULL, (picked)->failed ? &err_ : NULL);                               \
    } while (0)

static bool contains(const char *text, const char *part)
{
    return part == NULL || strcasestr(text, part) != NULL;
}

static bool wanted_text(const char *value, const char *filter)
{
    return filter == NULL || mu_memory_same(value, filter);
}

static bool wanted_serial(struct mu_bytes value, struct mu_bytes filter)
{
    return filter.n == 0 || mu_bytes_equal(value, mu_enroll_record_serial(filter));
}

static size_t from_index(const struct mu_memory_list *list, const struct mu_store_filter *f)
{
    return f->before_id > 0 && (size_t)(f->before_id - 1) < list->n ? (size_t)(f->before_id - 1)
                                                                    : list->n;
}

static size_t page(const struct mu_store_filter *f)
{
    return f->limit != 0 ? f->limit : 100;
}

static void memory_certs(
    struct mu_store *store, const struct mu_store_filter *f, mu_store_cert_call *call, void *cookie)
{
    struct mu_memory *m = mu_memory_of(store);
    struct picked picked = {.max = f->only_revoked && f->limit == 0 ? 0 : page(f)};

    pthread_mutex_lock(&m->lock);
    for (size_t i = from_index(&m->certs, f); i-- > 0;) {
        const struct mu_record_cert *row = ((struct mu_memory_cert_box *)m->certs.v[i])->row;

        if (wanted_text(row->ca, f->ca) && contains(row->subject, f->subject)
            && wanted_serial(row->serial, f->serial)
            && wanted_text(row->transaction_id, f->transaction_id)
            && wanted_text(row->profile, f->profile) && (!f->only_revoked || row->revoked_s != 0)
            && (f->expires_after_s == 0 || row->not_after_s >= f->expires_after_s)
            && (f->unconfirmed_s == 0
                || (row->confirm == MU_RECORD_CONFIRM_WAITING
                    && row->confirm_until_s < f->unconfirmed_s))
            && (f->expires_before_s == 0 || row->not_after_s < f->expires_before_s)
            && !pick(&picked, MU_STORE_ROW_CERT, row))
            break;
    }
    pthread_mutex_unlock(&m->lock);
    DELIVER(&picked, struct mu_record_cert, call, cookie);
}

static void memory_requests(struct mu_store *store, const struct mu_store_filter *f,
    mu_store_request_call *call, void *cookie)
{
    struct mu_memory *m = mu_memory_of(store);
    struct picked picked = {.max = page(f)};

    pthread_mutex_lock(&m->lock);
    for (size_t i = from_index(&m->requests, f); i-- > 0;) {
        const struct mu_record_request *row =
            ((struct mu_memory_request_box *)m->requests.v[i])->row;

        if (row != NULL && wanted_text(row->ca, f->ca) && (f->id == 0 || row->id == f->id)
            && (!f->by_state || row->state == f->state) && contains(row->subject, f->subject)
            && wanted_text(row->transaction_id, f->transaction_id)
            && !pick(&picked, MU_STORE_ROW_REQUEST, row))
            break;
    }
    pthread_mutex_unlock(&m->lock);
    DELIVER(&picked, struct mu_record_request, call, cookie);
}

static void memory_audits(struct mu_store *store, const struct mu_store_filter *f,
    mu_store_audit_call *call, void *cookie)
{
    struct mu_memory *m = mu_memory_of(store);
    struct picked picked = {.max = page(f)};

    pthread_mutex_lock(&m->lock);
    for (size_t i = from_index(&m->audits, f); i-- > 0;) {
        const struct mu_record_audit *row = m->audits.v[i];

        if (row != NULL && wanted_text(row->ca, f->ca) && wanted_text(row->action, f->action)
            && contains(row->subject, f->subject) && wanted_serial(row->serial, f->serial)
            && wanted_text(row->transaction_id, f->transaction_id) && row->time_s >= f->since_s
            && !pick(&picked, MU_STORE_ROW_AUDIT, row))
            break;
    }
    pthread_mutex_unlock(&m->lock);
    DELIVER(&picked, struct mu_record_audit, call, cookie);
}

static void memory_entries(struct mu_store *store, const struct mu_store_filter *f,
    mu_store_entry_call *call, void *cookie)
{
    struct mu_memory *m = mu_memory_of(store);
    struct picked picked = {0};

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->entries.n; i++) {
        const struct mu_record_entry *row = m->entries.v[i];

        if (row != NULL && wanted_text(row->name, f->name)
            && (!f->only_wildcard || strchr(row->name, '*') != NULL) && wanted_text(row->profile, f->profile)
            && !pick(&picked, MU_STORE_ROW_ENTRY, row))
            break;
    }
    pthread_mutex_unlock(&m->lock);
    DELIVER(&picked, struct mu_record_entry, call, cookie);
}

static void pick_all(struct mu_memory *m, struct picked *picked, const struct mu_memory_list *list,
    enum mu_store_row kind)
{
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i] != NULL && !pick(picked, kind, list->v[i]))
            break;
    pthread_mutex_unlock(&m->lock);
}

static void memory_cas(struct mu_store *store, mu_store_ca_call *call, void *cookie)
{
    struct picked picked = {0};

    pick_all(mu_memory_of(store), &picked, &mu_memory_of(store)->cas, MU_STORE_ROW_CA);
    DELIVER(&picked, struct mu_record_ca, call, cookie);
}

static void memory_profiles(struct mu_store *store, mu_store_profile_call *call, void *cookie)
{
    struct picked picked = {0};

    pick_all(mu_memory_of(store), &picked, &mu_memory_of(store)->profiles, MU_STORE_ROW_PROFILE);
    DELIVER(&picked, struct mu_record_profile, call, cookie);
}

static void memory_settings(struct mu_store *store, mu_store_setting_call *call, void *cookie)
{
    struct mu_memory *m = mu_memory_of(store);
    bool more = true;

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; more && i < m->settings.n; i++) {
        const struct mu_memory_setting *s = m->settings.v[i];

        if (s != NULL)
            more = call(cookie, s->key, s->value, NULL);
    }
    pthread_mutex_unlock(&m->lock);
    if (more)
        call(cookie, NULL, NULL, NULL);
}

static void memory_crl(
    struct mu_store *store, const char *ca, mu_store_crl_call *call, void *cookie)
{
    struct mu_memory *m = mu_memory_of(store);
    struct picked picked = {0};
    const struct mu_record_crl *row;
    size_t at;

    pthread_mutex_lock(&m->lock);
    if ((row = mu_memory_crl(m, ca, &at)) != NULL)
        pick(&picked, MU_STORE_ROW_CRL, row);
    pthread_mutex_unlock(&m->lock);
    DELIVER(&picked, struct mu_record_crl, call, cookie);
}

/* What an ask finds: copies. */
struct found {
    struct mu_record_request *same, *resent, *latest;
    struct mu_record_cert *same_cert, *resent_cert, *latest_cert, *cert, *other_cert, *key_seen;
    struct mu_record_entry *entry;
};

static void find_requests(struct mu_memory *m, const struct mu_store_ask *ask, struct found *f)
{
    const struct mu_record_request *same = NULL, *resent = NULL, *latest = NULL;
    struct mu_memory_request_box *box;

    box = ask->signer.n != 0 ? m->signers[mu_memory_bucket(ask->signer)] : NULL;
    for (; box != NULL; box = box->by_signer) {
        const struct mu_record_request *r = box->row;
        bool same_txn;

        if (r == NULL || !mu_bytes_equal(r->signer, ask->signer) || r->proto != ask->proto
            || !mu_memory_same(r->ca, ask->ca)
            || (r->state != MU_RECORD_PENDING && r->changed_s < ask->since_s))
            continue;
        same_txn =
            ask->transaction_id != NULL && mu_memory_same(r->transaction_id, ask->transaction_id);
        if (same_txn && latest == NULL)
            latest = r;
        if (ask->digest.n == 0 || !mu_bytes_equal(r->digest, ask->digest))
            continue;
        if (same_txn && same == NULL)
            same = r;
        else if (!same_txn && resent == NULL)
            resent = r;
    }
    if (ask->any_signer && ask->transaction_id != NULL)
        latest = mu_memory_request_live(m,
            &(struct mu_record_request){
                .proto = ask->proto, .ca = ask->ca, .transaction_id = ask->transaction_id},
            ask->since_s);
    f->same = mu_store_row_copy(MU_STORE_ROW_REQUEST, same);
    f->resent = mu_store_row_copy(MU_STORE_ROW_REQUEST, resent);
    f->latest = mu_store_row_copy(MU_STORE_ROW_REQUEST, latest);
    f->same_cert =
        same != NULL ? mu_store_row_copy(MU_STORE_ROW_CERT, mu_memory_cert_of(m, same)) : NULL;
    f->resent_cert =
        resent != NULL ? mu_store_row_copy(MU_STORE_ROW_CERT, mu_memory_cert_of(m, resent)) : NULL;
    f->latest_cert =
        latest != NULL ? mu_store_row_copy(MU_STORE_ROW_CERT, mu_memory_cert_of(m, latest)) : NULL;
}

static void memory_ask(
    struct mu_store *store, const struct mu_store_ask *ask, mu_store_facts_call *call, void *cookie)
{
    struct mu_memory *m = mu_memory_of(store);
    struct found f = {0};
    struct mu_memory_cert_box *box;
    struct mu_record_entry *entry = NULL;

    pthread_mutex_lock(&m->lock);
    if (ask->signer.n != 0 || ask->any_signer)
        find_requests(m, ask, &f);
    if (ask->serial.n != 0
        && (box = mu_memory_cert(m, ask->ca, mu_enroll_record_serial(ask->serial))) != NULL)
        f.cert = mu_store_row_copy(MU_STORE_ROW_CERT, box->row);
    if (ask->other_serial.n != 0
        && (box = mu_memory_cert(m, ask->ca, mu_enroll_record_serial(ask->other_serial))) != NULL)
        f.other_cert = mu_store_row_copy(MU_STORE_ROW_CERT, box->row);
    if (ask->password_hash.n != 0)
        entry = mu_memory_entry_by_password(m, ask->password_hash);
    else if (ask->entry_name != NULL)
        entry = mu_memory_entry(m, ask->entry_name, NULL);
    f.entry = mu_store_row_copy(MU_STORE_ROW_ENTRY, entry);
    for (box = ask->key_hash.n != 0 ? m->keys[mu_memory_bucket(ask->key_hash)] : NULL; box != NULL;
         box = box->by_key) {
        if (mu_bytes_equal(box->row->key_hash, ask->key_hash)
            && !mu_bytes_equal(box->row->subject_hash, ask->subject_hash)) {
            f.key_seen = mu_store_row_copy(MU_STORE_ROW_CERT, box->row);
            break;
        }
    }
    pthread_mutex_unlock(&m->lock);
    call(cookie,
        &(struct mu_store_facts){.same = f.same,
            .same_cert = f.same_cert,
            .resent = f.resent,
            .resent_cert = f.resent_cert,
            .latest = f.latest,
            .latest_cert = f.latest_cert,
            .cert = f.cert,
            .other_cert = f.other_cert,
            .entry = f.entry,
            .key_seen = f.key_seen});
    mu_store_row_free(MU_STORE_ROW_REQUEST, f.same);
    mu_store_row_free(MU_STORE_ROW_REQUEST, f.resent);
    mu_store_row_free(MU_STORE_ROW_REQUEST, f.latest);
    mu_store_row_free(MU_STORE_ROW_ENTRY, f.entry);
    free(f.same_cert);
    free(f.resent_cert);
    free(f.latest_cert);
    free(f.cert);
    free(f.other_cert);
    free(f.key_seen);
}

static void memory_counts(
    struct mu_store *store, int64_t now_s, mu_store_counts_call *call, void *cookie)
{
    struct mu_memory *m = mu_memory_of(store);
    struct mu_store_counts n = {0};

    pthread_mutex_lock(&m->lock);
    n.certs = (int64_t)m->certs.n;
    n.pending = m->pending;
    for (size_t i = 0; i < m->certs.n; i++) {
        const struct mu_record_cert *c = ((struct mu_memory_cert_box *)m->certs.v[i])->row;
        bool live = c->not_after_s > now_s && c->revoked_s == 0;

        n.live += live;
        n.revoked += c->revoked_s != 0;
        n.expiring_30d += live && c->not_after_s < now_s + 30 * 86400;
    }
    for (size_t i = 0; i < m->requests.n; i++) {
        const struct mu_record_request *r = ((struct mu_memory_request_box *)m->requests.v[i])->row;

        if (r != NULL && r->state == MU_RECORD_PENDING
            && (n.oldest_pending_s == 0 || r->created_s < n.oldest_pending_s))
            n.oldest_pending_s = r->created_s;
    }
    for (size_t i = 0; i < m->entries.n; i++)
        n.entries += m->entries.v[i] != NULL;
    for (size_t i = 0; i < m->audits.n; i++) {
        const struct mu_record_audit *a = m->audits.v[i];

        if (a == NULL || a->time_s <= now_s - 86400)
            continue;
        n.issued_24h += mu_memory_same(a->action, "issue");
        n.renewed_24h += mu_memory_same(a->action, "renew");
        n.refused_24h += mu_memory_same(a->action, "refuse");
    }
    pthread_mutex_unlock(&m->lock);
    call(cookie, &n, NULL);
}

const struct mu_store_ops mu_memory_read_ops = {.ask = memory_ask,
    .cas = memory_cas,
    .profiles = memory_profiles,
    .settings = memory_settings,
    .entries = memory_entries,
    .certs = memory_certs,
    .requests = memory_requests,
    .audits = memory_audits,
    .crl = memory_crl,
    .counts = memory_counts};
