/* The conditions of a batch, all looked at before anything is changed. */
#include "store/store_memory_db.h"

static enum mu_store_lost lost_to(struct mu_memory_verdict *v, struct mu_memory *m,
    struct mu_memory_request_box *box, enum mu_store_lost lost)
{
    if (box != NULL) {
        v->request = box->row;
        v->cert = mu_memory_cert_of(m, box->row);
    }
    return lost;
}

static int64_t subject_count(struct mu_memory *m, const struct mu_store_change *c, const char *ca,
    struct mu_bytes hash, bool alive)
{
    struct mu_memory_cert_box *box;
    int64_t n = 0;

    for (box = m->subjects[mu_memory_bucket(hash)]; box != NULL; box = box->by_subject) {
        const struct mu_record_cert *row = box->row;

        if (!mu_bytes_equal(row->subject_hash, hash) || !mu_memory_same(row->ca, ca))
            continue;
        if (!alive)
            n += row->issued_s > c->now_s - 3600;
        else
            n += row->not_after_s > c->now_s && row->revoked_s == 0
                && row->issued_s >= c->alive_since_s
                && !(c->cert->renews.n != 0 && mu_bytes_equal(row->serial, c->cert->renews));
    }
    return n;
}

static int64_t pending_count(
    struct mu_memory *m, const char *ca, struct mu_bytes hash, int64_t since_s)
{
    int64_t n = 0;

    if (m->pending == 0)
        return 0;
    for (size_t i = 0; i < m->requests.n; i++) {
        const struct mu_memory_request_box *box = m->requests.v[i];
        const struct mu_record_request *r = box != NULL ? box->row : NULL;

        n += r != NULL && r->state == MU_RECORD_PENDING && mu_memory_same(r->ca, ca)
            && (hash.n == 0 || (mu_bytes_equal(r->subject_hash, hash) && r->created_s > since_s));
    }
    return n;
}

static enum mu_store_lost judge_request(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_verdict *v)
{
    const struct mu_record_request *r = c->request;
    struct mu_memory_request_box *same = r != NULL ? mu_memory_request(m, r) : NULL;
    struct mu_record_request *live;

    if (r == NULL)
        return MU_STORE_LOST_NONE;
    if (same != NULL
        && (same->row->state == MU_RECORD_PENDING || same->row->changed_s >= c->retransmit_since_s))
        return lost_to(v, m, same, MU_STORE_LOST_TRANSACTION);
    if (c->transaction_alone
        && (live = mu_memory_request_live(m, r, c->retransmit_since_s)) != NULL) {
        v->request = live;
        v->cert = mu_memory_cert_of(m, live);
        return MU_STORE_LOST_TRANSACTION;
    }
    if (r->state == MU_RECORD_PENDING && c->pending_max > 0
        && pending_count(m, r->ca, (struct mu_bytes){0}, 0) >= c->pending_max)
        return MU_STORE_LOST_PENDING;
    if (c->rate_max > 0
        && subject_count(m, c, r->ca, r->subject_hash, false)
                + pending_count(m, r->ca, r->subject_hash, c->now_s - 3600)
            >= c->rate_max)
        return MU_STORE_LOST_RATE;
    return MU_STORE_LOST_NONE;
}

static enum mu_store_lost judge_settle(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_verdict *v)
{
    struct mu_memory_request_box *box =
        c->settle_id != 0 ? mu_memory_request_by_id(m, c->settle_id) : NULL;

    if (c->settle_id == 0 || (box != NULL && box->row->state == MU_RECORD_PENDING))
        return MU_STORE_LOST_NONE;
    return lost_to(v, m, box, MU_STORE_LOST_STATE);
}

static enum mu_store_lost judge_cert(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_verdict *v)
{
    struct mu_memory_cert_box *box;

    if (c->cert != NULL) {
        if (c->alive_max > 0
            && subject_count(m, c, c->cert->ca, c->cert->subject_hash, true) >= c->alive_max)
            return MU_STORE_LOST_ALIVE;
        if (mu_memory_cert(m, c->cert->ca, c->cert->serial) != NULL)
            return MU_STORE_LOST_SERIAL;
    }
    if (c->confirm_serial.n != 0) {
        box = mu_memory_cert(m, c->confirm_ca, c->confirm_serial);
        if (box == NULL || box->row->confirm != MU_RECORD_CONFIRM_WAITING) {
            v->cert = box != NULL ? box->row : NULL;
            return MU_STORE_LOST_CONFIRM;
        }
    }
    if (c->revoke_serial.n == 0)
        return MU_STORE_LOST_NONE;
    box = mu_memory_cert(m, c->revoke_ca, c->revoke_serial);
    if (box == NULL || (!c->revoke_lift && box->row->revoked_s != 0 && !c->revoke_lenient)
        || (c->revoke_lift && (box->row->revoked_s == 0 || box->row->revoke_reason != 6))) {
        v->cert = box != NULL ? box->row : NULL;
        return MU_STORE_LOST_REVOKED;
    }
    return MU_STORE_LOST_NONE;
}

static enum mu_store_lost judge_use(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_verdict *v)
{
    struct mu_record_entry *e =
        c->use_entry != NULL ? mu_memory_entry(m, c->use_entry, NULL) : NULL;

    if (c->use_entry == NULL)
        return MU_STORE_LOST_NONE;
    if (e != NULL && !e->disabled && (e->expires_s == 0 || e->expires_s > c->now_s)
        && (e->max_uses == 0 || e->uses < e->max_uses))
        return MU_STORE_LOST_NONE;
    v->entry = e;
    return MU_STORE_LOST_CHALLENGE;
}

static enum mu_store_lost judge_put(bool there, enum mu_store_put put)
{
    if (there && put == MU_STORE_CREATE)
        return MU_STORE_LOST_EXISTS;
    if (!there && (put == MU_STORE_REPLACE || put == MU_STORE_REMOVE))
        return MU_STORE_LOST_MISSING;
    return MU_STORE_LOST_NONE;
}

static enum mu_store_lost judge_settings(struct mu_memory *m, const struct mu_store_change *c)
{
    enum mu_store_lost lost = MU_STORE_LOST_NONE;
    struct mu_record_entry *other;
    const struct mu_record_crl *last;
    size_t at;

    if (c->crl != NULL && (last = mu_memory_crl(m, c->crl->ca, &at)) != NULL
        && last->number >= c->crl->number)
        return MU_STORE_LOST_NUMBER;
    if (c->ca != NULL)
        lost = judge_put(mu_memory_named(&m->cas, c->ca->name, &at) != NULL, c->ca_put);
    if (lost == MU_STORE_LOST_NONE && c->profile != NULL)
        lost =
            judge_put(mu_memory_named(&m->profiles, c->profile->name, &at) != NULL, c->profile_put);
    if (lost == MU_STORE_LOST_NONE && c->entry != NULL) {
        lost = judge_put(mu_memory_entry(m, c->entry->name, NULL) != NULL, c->entry_put);
        other = c->entry_put != MU_STORE_REMOVE
            ? mu_memory_entry_by_password(m, c->entry->password_hash)
            : NULL;
        if (lost == MU_STORE_LOST_NONE && other != NULL
            && !mu_memory_same(other->name, c->entry->name))
            lost = MU_STORE_LOST_EXISTS;
    }
    return lost;
}

void mu_memory_judge(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_verdict *v)
{
    v->lost = judge_request(m, c, v);
    if (v->lost == MU_STORE_LOST_NONE)
        v->lost = judge_settle(m, c, v);
    if (v->lost == MU_STORE_LOST_NONE)
        v->lost = judge_cert(m, c, v);
    if (v->lost == MU_STORE_LOST_NONE)
        v->lost = judge_use(m, c, v);
    if (v->lost == MU_STORE_LOST_NONE)
        v->lost = judge_settings(m, c);
}
