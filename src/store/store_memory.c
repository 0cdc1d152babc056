/*
 * Records in memory: for tests and for a demo that forgets. A real implementation of the
 * interface: every condition holds, any number of threads may call. A batch is judged as a whole
 * first, its rows are copied, and only then applied, so nothing can fail half-way. Callbacks get
 * copies and run without the lock.
 */
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>

#include "store/store_row.h"

enum { BUCKETS = 1 << 14 };

struct list {
    void **v; /* rows in the order of their id; NULL where one went */
    size_t n, cap;
};

/* Certificates and requests are found by chains of boxes, newest first. */
struct cert_box {
    struct mu_record_cert *row;
    struct cert_box *by_serial, *by_subject, *by_key;
};
struct request_box {
    struct mu_record_request *row; /* NULL: gone */
    struct request_box *by_signer;
};

struct setting {
    char *key, *value;
};

struct memory {
    struct mu_store base;
    pthread_mutex_t lock;
    struct list certs;    /* cert_box; id is the index + 1 */
    struct list requests; /* request_box; likewise */
    struct list audits, cas, profiles, entries, crls;
    struct list settings;
    struct cert_box *serials[BUCKETS], *subjects[BUCKETS], *keys[BUCKETS];
    struct request_box *signers[BUCKETS];
    int64_t pending;
};

static struct memory *of(struct mu_store *store)
{
    return (struct memory *)(void *)store;
}

static unsigned bucket(struct mu_bytes v)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < v.n; i++)
        h = (h ^ v.p[i]) * 16777619u;
    return (h ^ h >> 15) % BUCKETS;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool list_room(struct list *list)
{
    void **more;

    if (list->n < list->cap)
        return true;
    more = reallocarray(list->v, list->cap * 2 + 64, sizeof *more);
    if (more == NULL)
        return false;
    list->v = more;
    list->cap = list->cap * 2 + 64;
    return true;
}

/* ---- finding ---- */

static struct cert_box *cert_find(struct memory *m, const char *ca, struct mu_bytes serial)
{
    struct cert_box *box;

    for (box = m->serials[bucket(serial)]; box != NULL; box = box->by_serial)
        if (mu_bytes_equal(box->row->serial, serial) && same_text(box->row->ca, ca))
            return box;
    return NULL;
}

static struct request_box *request_find(struct memory *m, const struct mu_record_request *like)
{
    struct request_box *box;

    for (box = m->signers[bucket(like->signer)]; box != NULL; box = box->by_signer)
        if (box->row != NULL && mu_bytes_equal(box->row->signer, like->signer)
            && mu_bytes_equal(box->row->digest, like->digest) && box->row->proto == like->proto
            && same_text(box->row->ca, like->ca)
            && same_text(box->row->transaction_id, like->transaction_id))
            return box;
    return NULL;
}

static struct request_box *request_by_id(struct memory *m, int64_t id)
{
    struct request_box *box = id > 0 && (size_t)id <= m->requests.n ? m->requests.v[id - 1] : NULL;

    return box != NULL && box->row != NULL ? box : NULL;
}

static struct mu_record_entry *entry_find(struct memory *m, const char *name, size_t *at)
{
    for (size_t i = 0; i < m->entries.n; i++) {
        struct mu_record_entry *e = m->entries.v[i];

        if (e != NULL && same_text(e->name, name)) {
            if (at != NULL)
                *at = i;
            return e;
        }
    }
    return NULL;
}

static struct mu_record_entry *entry_by_password(struct memory *m, struct mu_bytes hash)
{
    for (size_t i = 0; hash.n != 0 && i < m->entries.n; i++) {
        struct mu_record_entry *e = m->entries.v[i];

        if (e != NULL && mu_bytes_equal_secret(e->password_hash, hash))
            return e;
    }
    return NULL;
}

/* ca and profile rows begin with their name. */
static void *named_find(const struct list *list, const char *name, size_t *at)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->v[i] != NULL && same_text(*(const char *const *)list->v[i], name)) {
            *at = i;
            return list->v[i];
        }
    }
    return NULL;
}

static struct mu_record_crl *crl_find(struct memory *m, const char *ca, size_t *at)
{
    for (size_t i = 0; i < m->crls.n; i++) {
        struct mu_record_crl *crl = m->crls.v[i];

        if (same_text(crl->ca, ca)) {
            *at = i;
            return crl;
        }
    }
    return NULL;
}

/* ---- judging a batch ---- */

/* What a batch lost and to whom; rows are the store's own until copied. */
struct verdict {
    enum mu_store_lost lost;
    struct mu_record_request *request;
    struct mu_record_cert *cert;
    struct mu_record_entry *entry;
};

static struct mu_record_cert *cert_of(struct memory *m, const struct mu_record_request *r)
{
    struct cert_box *box = r->serial.n != 0 ? cert_find(m, r->ca, r->serial) : NULL;

    return box != NULL ? box->row : NULL;
}

static enum mu_store_lost lost_to(struct verdict *v, struct memory *m, struct request_box *box,
    enum mu_store_lost lost)
{
    if (box != NULL) {
        v->request = box->row;
        v->cert = cert_of(m, box->row);
    }
    return lost;
}

static int64_t subject_count(struct memory *m, const struct mu_store_change *c, const char *ca,
    struct mu_bytes hash, bool alive)
{
    struct cert_box *box;
    int64_t n = 0;

    for (box = m->subjects[bucket(hash)]; box != NULL; box = box->by_subject) {
        const struct mu_record_cert *row = box->row;

        if (!mu_bytes_equal(row->subject_hash, hash) || !same_text(row->ca, ca))
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

static int64_t pending_count(struct memory *m, const char *ca, struct mu_bytes hash, int64_t since_s)
{
    int64_t n = 0;

    if (m->pending == 0)
        return 0;
    for (size_t i = 0; i < m->requests.n; i++) {
        const struct request_box *box = m->requests.v[i];
        const struct mu_record_request *r = box != NULL ? box->row : NULL;

        n += r != NULL && r->state == MU_RECORD_PENDING && same_text(r->ca, ca)
            && (hash.n == 0 || (mu_bytes_equal(r->subject_hash, hash) && r->created_s > since_s));
    }
    return n;
}

static enum mu_store_lost judge_request(struct memory *m, const struct mu_store_change *c, struct verdict *v)
{
    const struct mu_record_request *r = c->request;
    struct request_box *same = r != NULL ? request_find(m, r) : NULL;

    if (r == NULL)
        return MU_STORE_LOST_NONE;
    if (same != NULL
        && (same->row->state == MU_RECORD_PENDING || same->row->changed_s >= c->retransmit_since_s))
        return lost_to(v, m, same, MU_STORE_LOST_TRANSACTION);
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

static enum mu_store_lost judge_settle(struct memory *m, const struct mu_store_change *c, struct verdict *v)
{
    struct request_box *box = c->settle_id != 0 ? request_by_id(m, c->settle_id) : NULL;

    if (c->settle_id == 0 || (box != NULL && box->row->state == MU_RECORD_PENDING))
        return MU_STORE_LOST_NONE;
    return lost_to(v, m, box, MU_STORE_LOST_STATE);
}

static enum mu_store_lost judge_cert(struct memory *m, const struct mu_store_change *c, struct verdict *v)
{
    struct cert_box *box;

    if (c->cert != NULL) {
        if (c->alive_max > 0
            && subject_count(m, c, c->cert->ca, c->cert->subject_hash, true) >= c->alive_max)
            return MU_STORE_LOST_ALIVE;
        if (cert_find(m, c->cert->ca, c->cert->serial) != NULL)
            return MU_STORE_LOST_SERIAL;
    }
    if (c->revoke_serial.n == 0)
        return MU_STORE_LOST_NONE;
    box = cert_find(m, c->revoke_ca, c->revoke_serial);
    if (box == NULL || (box->row->revoked_s != 0 && !c->revoke_lenient)) {
        v->cert = box != NULL ? box->row : NULL;
        return MU_STORE_LOST_REVOKED;
    }
    return MU_STORE_LOST_NONE;
}

static enum mu_store_lost judge_use(struct memory *m, const struct mu_store_change *c, struct verdict *v)
{
    struct mu_record_entry *e = c->use_entry != NULL ? entry_find(m, c->use_entry, NULL) : NULL;

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

static enum mu_store_lost judge_settings(struct memory *m, const struct mu_store_change *c)
{
    enum mu_store_lost lost = MU_STORE_LOST_NONE;
    struct mu_record_entry *other;
    const struct mu_record_crl *last;
    size_t at;

    if (c->crl != NULL && (last = crl_find(m, c->crl->ca, &at)) != NULL && last->number >= c->crl->number)
        return MU_STORE_LOST_NUMBER;
    if (c->ca != NULL)
        lost = judge_put(named_find(&m->cas, c->ca->name, &at) != NULL, c->ca_put);
    if (lost == MU_STORE_LOST_NONE && c->profile != NULL)
        lost = judge_put(named_find(&m->profiles, c->profile->name, &at) != NULL, c->profile_put);
    if (lost == MU_STORE_LOST_NONE && c->entry != NULL) {
        lost = judge_put(entry_find(m, c->entry->name, NULL) != NULL, c->entry_put);
        other = c->entry_put != MU_STORE_REMOVE ? entry_by_password(m, c->entry->password_hash) : NULL;
        if (lost == MU_STORE_LOST_NONE && other != NULL && !same_text(other->name, c->entry->name))
            lost = MU_STORE_LOST_EXISTS;
    }
    return lost;
}

static void judge(struct memory *m, const struct mu_store_change *c, struct verdict *v)
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

/* ---- applying: prepared so that nothing can fail ---- */

struct prepared {
    struct request_box *request;
    struct cert_box *cert;
    struct mu_record_request *settled;
    struct mu_record_cert *renewed;
    void *ca, *profile, *entry, *crl;
    struct setting *setting;
    void **audits;
};

static void *copied(enum mu_store_row kind, const void *row, bool *ok)
{
    void *copy = mu_store_row_copy(kind, row);

    if (row != NULL && copy == NULL)
        *ok = false;
    return copy;
}

static struct mu_record_request *settled_copy(struct memory *m, const struct mu_store_change *c, bool *ok)
{
    struct request_box *box = c->settle_id != 0 ? request_by_id(m, c->settle_id) : NULL;
    struct mu_record_request row;

    if (box == NULL)
        return NULL;
    row = *box->row;
    if (c->settle_transaction_id != NULL) {
        row.transaction_id = c->settle_transaction_id;
    } else {
        row.state = c->settle_state;
        row.words = c->settle_words;
        row.csr = (struct mu_bytes){0};
        row.changed_s = c->now_s;
        if (c->cert != NULL)
            row.serial = c->cert->serial;
    }
    return copied(MU_STORE_ROW_REQUEST, &row, ok);
}

static struct mu_record_entry *entry_copy(struct memory *m, const struct mu_store_change *c, bool *ok)
{
    struct mu_record_entry row, *old;

    if (c->entry == NULL || c->entry_put == MU_STORE_REMOVE)
        return NULL;
    row = *c->entry;
    if ((old = entry_find(m, row.name, NULL)) != NULL) {
        row.created_s = old->created_s;
        row.uses = c->entry_reset_uses ? 0 : old->uses;
        row.last_use_s = old->last_use_s;
        row.reset_s = c->entry_reset_uses ? c->now_s : old->reset_s;
    }
    return copied(MU_STORE_ROW_ENTRY, &row, ok);
}

static struct setting *setting_new(const char *key, const char *value)
{
    struct setting *s = calloc(1, sizeof *s);

    if (s == NULL || (s->key = strdup(key)) == NULL || (s->value = strdup(value)) == NULL) {
        if (s != NULL)
            free(s->key);
        free(s);
        return NULL;
    }
    return s;
}

static void prepared_free(struct prepared *p, size_t audit_n)
{
    if (p->request != NULL)
        free(p->request->row);
    if (p->cert != NULL)
        free(p->cert->row);
    free(p->request);
    free(p->cert);
    free(p->settled);
    free(p->renewed);
    free(p->ca);
    free(p->profile);
    free(p->entry);
    free(p->crl);
    if (p->setting != NULL) {
        free(p->setting->key);
        free(p->setting->value);
        free(p->setting);
    }
    for (size_t i = 0; p->audits != NULL && i < audit_n; i++)
        free(p->audits[i]);
    free(p->audits);
}

static bool prepare_rows(struct memory *m, const struct mu_store_change *c, struct prepared *p)
{
    struct cert_box *old;
    struct mu_record_cert row;
    bool ok = true;

    if (c->request != NULL && (p->request = calloc(1, sizeof *p->request)) != NULL)
        p->request->row = copied(MU_STORE_ROW_REQUEST, c->request, &ok);
    if (c->cert != NULL && (p->cert = calloc(1, sizeof *p->cert)) != NULL)
        p->cert->row = copied(MU_STORE_ROW_CERT, c->cert, &ok);
    if ((c->request != NULL && p->request == NULL) || (c->cert != NULL && p->cert == NULL))
        return false;
    if (c->cert != NULL && c->cert->renews.n != 0
        && (old = cert_find(m, c->cert->ca, c->cert->renews)) != NULL) {
        row = *old->row;
        row.renewed_by = c->cert->serial;
        p->renewed = copied(MU_STORE_ROW_CERT, &row, &ok);
    }
    p->settled = settled_copy(m, c, &ok);
    if (c->ca_put != MU_STORE_REMOVE)
        p->ca = copied(MU_STORE_ROW_CA, c->ca, &ok);
    if (c->profile_put != MU_STORE_REMOVE)
        p->profile = copied(MU_STORE_ROW_PROFILE, c->profile, &ok);
    p->entry = entry_copy(m, c, &ok);
    p->crl = copied(MU_STORE_ROW_CRL, c->crl, &ok);
    if (c->setting_key != NULL && c->setting_value != NULL
        && (p->setting = setting_new(c->setting_key, c->setting_value)) == NULL)
        ok = false;
    if (c->audit_n != 0 && (p->audits = calloc(c->audit_n, sizeof *p->audits)) == NULL)
        return false;
    for (size_t i = 0; i < c->audit_n; i++)
        p->audits[i] = copied(MU_STORE_ROW_AUDIT, &c->audit[i], &ok);
    return ok;
}

static bool prepare_room(struct memory *m, const struct mu_store_change *c)
{
    for (size_t i = 0; i < c->audit_n; i++)
        if (m->audits.cap - m->audits.n < c->audit_n) {
            size_t n = m->audits.n;

            m->audits.n = m->audits.cap; /* asks for more */
            bool ok = list_room(&m->audits);
            m->audits.n = n;
            if (!ok)
                return false;
        }
    return list_room(&m->requests) && list_room(&m->certs) && list_room(&m->cas)
        && list_room(&m->profiles) && list_room(&m->entries) && list_room(&m->crls)
        && list_room(&m->settings);
}

static void put_cert(struct memory *m, struct prepared *p)
{
    struct cert_box *box = p->cert, *old;
    unsigned b;

    if (box == NULL)
        return;
    if (p->renewed != NULL && (old = cert_find(m, box->row->ca, box->row->renews)) != NULL) {
        free(old->row);
        old->row = p->renewed;
        p->renewed = NULL;
    }
    box->row->id = (int64_t)m->certs.n + 1;
    m->certs.v[m->certs.n++] = box;
    b = bucket(box->row->serial);
    box->by_serial = m->serials[b];
    m->serials[b] = box;
    b = bucket(box->row->subject_hash);
    box->by_subject = m->subjects[b];
    m->subjects[b] = box;
    b = bucket(box->row->key_hash);
    box->by_key = m->keys[b];
    m->keys[b] = box;
    p->cert = NULL;
}

/* The box stays in its chain with row NULL: cheaper than finding its neighbors. */
static void request_drop(struct memory *m, struct request_box *box)
{
    m->pending -= box->row->state == MU_RECORD_PENDING;
    free(box->row);
    box->row = NULL;
}

static void put_request(struct memory *m, struct prepared *p, int64_t *id)
{
    struct request_box *box = p->request, *same;
    unsigned b;

    if (box == NULL)
        return;
    if ((same = request_find(m, box->row)) != NULL)
        request_drop(m, same);
    *id = box->row->id = (int64_t)m->requests.n + 1;
    m->requests.v[m->requests.n++] = box;
    b = bucket(box->row->signer);
    box->by_signer = m->signers[b];
    m->signers[b] = box;
    m->pending += box->row->state == MU_RECORD_PENDING;
    p->request = NULL;
}

static void put_settled(struct memory *m, struct prepared *p, int64_t *id)
{
    struct request_box *box;

    if (p->settled == NULL)
        return;
    box = request_by_id(m, p->settled->id);
    m->pending -= p->settled->state != MU_RECORD_PENDING;
    free(box->row);
    box->row = p->settled;
    *id = box->row->id;
    p->settled = NULL;
}

static void put_named(struct list *list, void **row, const char *name, enum mu_store_put put)
{
    size_t at;
    void *old = named_find(list, name, &at);

    if (old != NULL) {
        free(old);
        list->v[at] = *row; /* NULL: removed */
    } else if (put != MU_STORE_REMOVE) {
        list->v[list->n++] = *row;
    }
    *row = NULL;
}

static void put_setting(struct memory *m, struct prepared *p, const char *key)
{
    for (size_t i = 0; i < m->settings.n; i++) {
        struct setting *s = m->settings.v[i];

        if (s != NULL && strcmp(s->key, key) == 0) {
            free(s->key);
            free(s->value);
            free(s);
            m->settings.v[i] = p->setting;
            p->setting = NULL;
            return;
        }
    }
    if (p->setting != NULL)
        m->settings.v[m->settings.n++] = p->setting;
    p->setting = NULL;
}

static void expire(struct memory *m, const struct mu_store_change *c)
{
    for (size_t i = 0; i < m->requests.n; i++) {
        struct request_box *box = m->requests.v[i];
        struct mu_record_request *r = box->row, row, *copy;

        if (r == NULL)
            continue;
        if (c->expire_ca != NULL && r->state == MU_RECORD_PENDING && same_text(r->ca, c->expire_ca)
            && r->created_s < c->expire_pending_s) {
            row = *r;
            row.state = MU_RECORD_REJECTED;
            row.words = c->settle_words;
            row.changed_s = c->now_s;
            row.csr = (struct mu_bytes){0};
            if ((copy = mu_store_row_copy(MU_STORE_ROW_REQUEST, &row)) != NULL) {
                free(r);
                box->row = copy;
                m->pending--;
            }
        } else if (r->state != MU_RECORD_PENDING && r->changed_s < c->forget_settled_s) {
            request_drop(m, box);
        }
    }
    for (size_t i = 0; c->forget_audit_s != 0 && i < m->audits.n; i++) {
        struct mu_record_audit *a = m->audits.v[i];

        if (a != NULL && a->time_s < c->forget_audit_s) {
            free(a);
            m->audits.v[i] = NULL;
        }
    }
}

static void apply(struct memory *m, const struct mu_store_change *c, struct prepared *p, int64_t *id)
{
    struct mu_record_entry *e;
    struct cert_box *box;
    size_t at;

    put_request(m, p, id);
    put_settled(m, p, id);
    put_cert(m, p);
    if (c->use_entry != NULL && (e = entry_find(m, c->use_entry, NULL)) != NULL) {
        e->uses++;
        e->last_use_s = c->now_s;
    }
    if (c->revoke_serial.n != 0 && (box = cert_find(m, c->revoke_ca, c->revoke_serial)) != NULL
        && box->row->revoked_s == 0) {
        box->row->revoked_s = c->now_s;
        box->row->revoke_reason = c->revoke_reason;
    }
    if (p->crl != NULL) {
        if (crl_find(m, c->crl->ca, &at) != NULL)
            free(m->crls.v[at]);
        else
            at = m->crls.n++;
        m->crls.v[at] = p->crl;
        p->crl = NULL;
    }
    if (c->ca != NULL)
        put_named(&m->cas, &p->ca, c->ca->name, c->ca_put);
    if (c->profile != NULL)
        put_named(&m->profiles, &p->profile, c->profile->name, c->profile_put);
    if (c->entry != NULL)
        put_named(&m->entries, &p->entry, c->entry->name, c->entry_put);
    if (c->setting_key != NULL)
        put_setting(m, p, c->setting_key);
    if (c->expire_ca != NULL || c->forget_settled_s != 0 || c->forget_audit_s != 0)
        expire(m, c);
    for (size_t i = 0; i < c->audit_n; i++) {
        struct mu_record_audit *a = p->audits[i];

        a->id = (int64_t)m->audits.n + 1;
        m->audits.v[m->audits.n++] = a;
        p->audits[i] = NULL;
    }
}

static void memory_submit(struct mu_store *store, struct mu_store_change *c)
{
    struct memory *m = of(store);
    struct mu_store_result result = {0};
    struct prepared p = {0};
    struct verdict v = {0};
    struct mu_err err = {0};

    pthread_mutex_lock(&m->lock);
    judge(m, c, &v);
    if (v.lost != MU_STORE_LOST_NONE) {
        result.lost = v.lost;
        result.code = mu_err_set(&err, MU_DENIED, MU_REASON_NONE, "store: %s", mu_store_lost_text(v.lost));
        result.request = mu_store_row_copy(MU_STORE_ROW_REQUEST, v.request);
        result.cert = mu_store_row_copy(MU_STORE_ROW_CERT, v.cert);
        result.entry = mu_store_row_copy(MU_STORE_ROW_ENTRY, v.entry);
    } else if (!prepare_room(m, c) || !prepare_rows(m, c, &p)) {
        result.code = mu_err_set(&err, MU_MEMORY, MU_REASON_NONE, "store: out of memory");
    } else {
        apply(m, c, &p, &result.request_id);
    }
    pthread_mutex_unlock(&m->lock);
    prepared_free(&p, c->audit_n);
    result.err = result.code != MU_OK ? &err : NULL;
    c->done(c->cookie, &result);
    free((void *)(uintptr_t)result.request);
    free((void *)(uintptr_t)result.cert);
    free((void *)(uintptr_t)result.entry);
}

/* ---- reads ---- */

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
    return filter == NULL || same_text(value, filter);
}

static bool wanted_serial(struct mu_bytes value, struct mu_bytes filter)
{
    return filter.n == 0 || mu_bytes_equal(value, mu_enroll_record_serial(filter));
}

static size_t from_index(const struct list *list, const struct mu_store_filter *f)
{
    return f->before_id > 0 && (size_t)(f->before_id - 1) < list->n ? (size_t)(f->before_id - 1) : list->n;
}

static size_t page(const struct mu_store_filter *f)
{
    return f->limit != 0 ? f->limit : 100;
}

static void memory_certs(struct mu_store *store, const struct mu_store_filter *f,
    mu_store_cert_call *call, void *cookie)
{
    struct memory *m = of(store);
    struct picked picked = {.max = f->only_revoked && f->limit == 0 ? 0 : page(f)};

    pthread_mutex_lock(&m->lock);
    for (size_t i = from_index(&m->certs, f); i-- > 0;) {
        const struct mu_record_cert *row = ((struct cert_box *)m->certs.v[i])->row;

        if (wanted_text(row->ca, f->ca) && contains(row->subject, f->subject)
            && wanted_serial(row->serial, f->serial) && wanted_text(row->transaction_id, f->transaction_id)
            && wanted_text(row->profile, f->profile) && (!f->only_revoked || row->revoked_s != 0)
            && (f->expires_after_s == 0 || row->not_after_s >= f->expires_after_s)
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
    struct memory *m = of(store);
    struct picked picked = {.max = page(f)};

    pthread_mutex_lock(&m->lock);
    for (size_t i = from_index(&m->requests, f); i-- > 0;) {
        const struct mu_record_request *row = ((struct request_box *)m->requests.v[i])->row;

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
    struct memory *m = of(store);
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
    struct memory *m = of(store);
    struct picked picked = {0};

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->entries.n; i++) {
        const struct mu_record_entry *row = m->entries.v[i];

        if (row != NULL && wanted_text(row->name, f->name) && wanted_text(row->profile, f->profile)
            && !pick(&picked, MU_STORE_ROW_ENTRY, row))
            break;
    }
    pthread_mutex_unlock(&m->lock);
    DELIVER(&picked, struct mu_record_entry, call, cookie);
}

static void pick_all(struct memory *m, struct picked *picked, const struct list *list, enum mu_store_row kind)
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

    pick_all(of(store), &picked, &of(store)->cas, MU_STORE_ROW_CA);
    DELIVER(&picked, struct mu_record_ca, call, cookie);
}

static void memory_profiles(struct mu_store *store, mu_store_profile_call *call, void *cookie)
{
    struct picked picked = {0};

    pick_all(of(store), &picked, &of(store)->profiles, MU_STORE_ROW_PROFILE);
    DELIVER(&picked, struct mu_record_profile, call, cookie);
}

static void memory_settings(struct mu_store *store, mu_store_setting_call *call, void *cookie)
{
    struct memory *m = of(store);
    bool more = true;

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; more && i < m->settings.n; i++) {
        const struct setting *s = m->settings.v[i];

        if (s != NULL)
            more = call(cookie, s->key, s->value, NULL);
    }
    pthread_mutex_unlock(&m->lock);
    if (more)
        call(cookie, NULL, NULL, NULL);
}

static void memory_crl(struct mu_store *store, const char *ca, mu_store_crl_call *call, void *cookie)
{
    struct memory *m = of(store);
    struct picked picked = {0};
    const struct mu_record_crl *row;
    size_t at;

    pthread_mutex_lock(&m->lock);
    if ((row = crl_find(m, ca, &at)) != NULL)
        pick(&picked, MU_STORE_ROW_CRL, row);
    pthread_mutex_unlock(&m->lock);
    DELIVER(&picked, struct mu_record_crl, call, cookie);
}

/* What an ask finds: copies. */
struct found {
    struct mu_record_request *same, *resent, *latest;
    struct mu_record_cert *same_cert, *resent_cert, *latest_cert, *cert, *key_seen;
    struct mu_record_entry *entry;
};

static void find_requests(struct memory *m, const struct mu_store_ask *ask, struct found *f)
{
    const struct mu_record_request *same = NULL, *resent = NULL, *latest = NULL;
    struct request_box *box;

    for (box = m->signers[bucket(ask->signer)]; box != NULL; box = box->by_signer) {
        const struct mu_record_request *r = box->row;
        bool same_txn;

        if (r == NULL || !mu_bytes_equal(r->signer, ask->signer) || r->proto != ask->proto
            || !same_text(r->ca, ask->ca)
            || (r->state != MU_RECORD_PENDING && r->changed_s < ask->since_s))
            continue;
        same_txn = ask->transaction_id != NULL && same_text(r->transaction_id, ask->transaction_id);
        if (same_txn && latest == NULL)
            latest = r;
        if (ask->digest.n == 0 || !mu_bytes_equal(r->digest, ask->digest))
            continue;
        if (same_txn && same == NULL)
            same = r;
        else if (!same_txn && resent == NULL)
            resent = r;
    }
    f->same = mu_store_row_copy(MU_STORE_ROW_REQUEST, same);
    f->resent = mu_store_row_copy(MU_STORE_ROW_REQUEST, resent);
    f->latest = mu_store_row_copy(MU_STORE_ROW_REQUEST, latest);
    f->same_cert = same != NULL ? mu_store_row_copy(MU_STORE_ROW_CERT, cert_of(m, same)) : NULL;
    f->resent_cert = resent != NULL ? mu_store_row_copy(MU_STORE_ROW_CERT, cert_of(m, resent)) : NULL;
    f->latest_cert = latest != NULL ? mu_store_row_copy(MU_STORE_ROW_CERT, cert_of(m, latest)) : NULL;
}

static void memory_ask(struct mu_store *store, const struct mu_store_ask *ask,
    mu_store_facts_call *call, void *cookie)
{
    struct memory *m = of(store);
    struct found f = {0};
    struct cert_box *box;

    pthread_mutex_lock(&m->lock);
    if (ask->signer.n != 0)
        find_requests(m, ask, &f);
    if (ask->serial.n != 0
        && (box = cert_find(m, ask->ca, mu_enroll_record_serial(ask->serial))) != NULL)
        f.cert = mu_store_row_copy(MU_STORE_ROW_CERT, box->row);
    f.entry = mu_store_row_copy(MU_STORE_ROW_ENTRY, entry_by_password(m, ask->password_hash));
    for (box = ask->key_hash.n != 0 ? m->keys[bucket(ask->key_hash)] : NULL; box != NULL; box = box->by_key) {
        if (mu_bytes_equal(box->row->key_hash, ask->key_hash)
            && !mu_bytes_equal(box->row->subject_hash, ask->subject_hash)) {
            f.key_seen = mu_store_row_copy(MU_STORE_ROW_CERT, box->row);
            break;
        }
    }
    pthread_mutex_unlock(&m->lock);
    call(cookie, &(struct mu_store_facts){.same = f.same, .same_cert = f.same_cert,
                     .resent = f.resent, .resent_cert = f.resent_cert, .latest = f.latest,
                     .latest_cert = f.latest_cert, .cert = f.cert, .entry = f.entry,
                     .key_seen = f.key_seen});
    free(f.same);
    free(f.same_cert);
    free(f.resent);
    free(f.resent_cert);
    free(f.latest);
    free(f.latest_cert);
    free(f.cert);
    free(f.entry);
    free(f.key_seen);
}

static void memory_counts(struct mu_store *store, int64_t now_s, mu_store_counts_call *call, void *cookie)
{
    struct memory *m = of(store);
    struct mu_store_counts n = {0};

    pthread_mutex_lock(&m->lock);
    n.certs = (int64_t)m->certs.n;
    n.pending = m->pending;
    for (size_t i = 0; i < m->certs.n; i++) {
        const struct mu_record_cert *c = ((struct cert_box *)m->certs.v[i])->row;
        bool live = c->not_after_s > now_s && c->revoked_s == 0;

        n.live += live;
        n.revoked += c->revoked_s != 0;
        n.renewed += c->renewed_by.n != 0;
        n.expiring_30d += live && c->not_after_s < now_s + 30 * 86400;
        n.issued_24h += c->issued_s > now_s - 86400;
    }
    for (size_t i = 0; i < m->requests.n; i++) {
        const struct mu_record_request *r = ((struct request_box *)m->requests.v[i])->row;

        if (r != NULL && r->state == MU_RECORD_PENDING
            && (n.oldest_pending_s == 0 || r->created_s < n.oldest_pending_s))
            n.oldest_pending_s = r->created_s;
    }
    for (size_t i = 0; i < m->entries.n; i++)
        n.entries += m->entries.v[i] != NULL;
    for (size_t i = 0; i < m->audits.n; i++) {
        const struct mu_record_audit *a = m->audits.v[i];

        n.refused_24h += a != NULL && a->time_s > now_s - 86400 && same_text(a->action, "refuse");
    }
    pthread_mutex_unlock(&m->lock);
    call(cookie, &n, NULL);
}

static void list_free(struct list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
}

static void memory_close(struct mu_store *store)
{
    struct memory *m = of(store);

    for (size_t i = 0; i < m->certs.n; i++)
        free(((struct cert_box *)m->certs.v[i])->row);
    for (size_t i = 0; i < m->requests.n; i++)
        free(((struct request_box *)m->requests.v[i])->row);
    for (size_t i = 0; i < m->settings.n; i++) {
        struct setting *s = m->settings.v[i];

        if (s != NULL) {
            free(s->key);
            free(s->value);
        }
    }
    list_free(&m->certs);
    list_free(&m->requests);
    list_free(&m->audits);
    list_free(&m->cas);
    list_free(&m->profiles);
    list_free(&m->entries);
    list_free(&m->crls);
    list_free(&m->settings);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

enum mu_code mu_store_memory_open(struct mu_store **out, struct mu_err *err)
{
    static const struct mu_store_ops ops = {.submit = memory_submit, .ask = memory_ask,
        .cas = memory_cas, .profiles = memory_profiles, .settings = memory_settings,
        .entries = memory_entries, .certs = memory_certs, .requests = memory_requests,
        .audits = memory_audits, .crl = memory_crl, .counts = memory_counts, .close = memory_close};
    struct memory *m = calloc(1, sizeof *m);

    if (m == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a store");
    m->base.ops = &ops;
    pthread_mutex_init(&m->lock, NULL);
    *out = &m->base;
    return MU_OK;
}
