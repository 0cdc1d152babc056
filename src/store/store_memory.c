/*
 * Records in memory: for tests and for a demo that forgets. A real implementation of the
 * interface: every condition holds, any number of threads may call. A batch is judged as a whole
 * first, its rows are copied, and only then applied, so nothing can fail half-way. Callbacks get
 * copies and run without the lock.
 */
#include "store/store_memory_db.h"

#include <stdlib.h>

#include "store/store_row.h"

unsigned mu_memory_bucket(struct mu_bytes v)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < v.n; i++)
        h = (h ^ v.p[i]) * 16777619u;
    return (h ^ h >> 15) % BUCKETS;
}

bool mu_memory_same(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

struct mu_memory_cert_box *mu_memory_cert(
    struct mu_memory *m, const char *ca, struct mu_bytes serial)
{
    struct mu_memory_cert_box *box;

    for (box = m->serials[mu_memory_bucket(serial)]; box != NULL; box = box->by_serial)
        if (mu_bytes_equal(box->row->serial, serial) && mu_memory_same(box->row->ca, ca))
            return box;
    return NULL;
}

struct mu_memory_request_box *mu_memory_request(
    struct mu_memory *m, const struct mu_record_request *like)
{
    struct mu_memory_request_box *box;

    for (box = m->signers[mu_memory_bucket(like->signer)]; box != NULL; box = box->by_signer)
        if (box->row != NULL && mu_bytes_equal(box->row->signer, like->signer)
            && mu_bytes_equal(box->row->digest, like->digest) && box->row->proto == like->proto
            && mu_memory_same(box->row->ca, like->ca)
            && mu_memory_same(box->row->transaction_id, like->transaction_id))
            return box;
    return NULL;
}

struct mu_record_request *mu_memory_request_live(
    struct mu_memory *m, const struct mu_record_request *like, int64_t since_s)
{
    for (size_t i = m->requests.n; i-- > 0;) {
        struct mu_record_request *r = ((struct mu_memory_request_box *)m->requests.v[i])->row;

        if (r != NULL && r->proto == like->proto
            && mu_memory_same(r->transaction_id, like->transaction_id)
            && mu_memory_same(r->ca, like->ca)
            && (r->state == MU_RECORD_PENDING || r->changed_s >= since_s))
            return r;
    }
    return NULL;
}

struct mu_memory_request_box *mu_memory_request_by_id(struct mu_memory *m, int64_t id)
{
    struct mu_memory_request_box *box =
        id > 0 && (size_t)id <= m->requests.n ? m->requests.v[id - 1] : NULL;

    return box != NULL && box->row != NULL ? box : NULL;
}

struct mu_record_entry *mu_memory_entry(struct mu_memory *m, const char *name, size_t *at)
{
    for (size_t i = 0; i < m->entries.n; i++) {
        struct mu_record_entry *e = m->entries.v[i];

        if (e != NULL && mu_memory_same(e->name, name)) {
            if (at != NULL)
                *at = i;
            return e;
        }
    }
    return NULL;
}

struct mu_record_entry *mu_memory_entry_by_password(struct mu_memory *m, struct mu_bytes hash)
{
    for (size_t i = 0; hash.n != 0 && i < m->entries.n; i++) {
        struct mu_record_entry *e = m->entries.v[i];

        if (e != NULL && mu_bytes_equal_secret(e->password_hash, hash))
            return e;
    }
    return NULL;
}

void *mu_memory_named(const struct mu_memory_list *list, const char *name, size_t *at)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->v[i] != NULL && mu_memory_same(*(const char *const *)list->v[i], name)) {
            *at = i;
            return list->v[i];
        }
    }
    return NULL;
}

struct mu_record_crl *mu_memory_crl(struct mu_memory *m, const char *ca, size_t *at)
{
    for (size_t i = 0; i < m->crls.n; i++) {
        struct mu_record_crl *crl = m->crls.v[i];

        if (mu_memory_same(crl->ca, ca)) {
            *at = i;
            return crl;
        }
    }
    return NULL;
}

struct mu_record_cert *mu_memory_cert_of(struct mu_memory *m, const struct mu_record_request *r)
{
    struct mu_memory_cert_box *box = r->serial.n != 0 ? mu_memory_cert(m, r->ca, r->serial) : NULL;

    return box != NULL ? box->row : NULL;
}

static void memory_submit(struct mu_store *store, struct mu_store_change *c)
{
    struct mu_memory *m = mu_memory_of(store);
    struct mu_store_result result = {0};
    struct mu_memory_prepared p = {0};
    struct mu_memory_verdict v = {0};
    struct mu_err err = {0};

    pthread_mutex_lock(&m->lock);
    mu_memory_judge(m, c, &v);
    if (v.lost != MU_STORE_LOST_NONE) {
        result.lost = v.lost;
        result.code =
            mu_err_set(&err, MU_DENIED, MU_REASON_NONE, "store: %s", mu_store_lost_text(v.lost));
        result.request = mu_store_row_copy(MU_STORE_ROW_REQUEST, v.request);
        result.cert = mu_store_row_copy(MU_STORE_ROW_CERT, v.cert);
        result.entry = mu_store_row_copy(MU_STORE_ROW_ENTRY, v.entry);
    } else if (!mu_memory_room(m, c) || !mu_memory_prepare(m, c, &p)) {
        result.code = mu_err_set(&err, MU_MEMORY, MU_REASON_NONE, "store: out of memory");
    } else {
        mu_memory_apply(m, c, &p, &result.request_id);
    }
    pthread_mutex_unlock(&m->lock);
    mu_memory_prepared_free(&p, c->audit_n);
    result.err = result.code != MU_OK ? &err : NULL;
    c->done(c->cookie, &result);
    mu_store_row_free(MU_STORE_ROW_REQUEST, result.request);
    mu_store_row_free(MU_STORE_ROW_CERT, result.cert);
    mu_store_row_free(MU_STORE_ROW_ENTRY, result.entry);
}

static void list_free(struct mu_memory_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
}

static void memory_close(struct mu_store *store)
{
    struct mu_memory *m = mu_memory_of(store);

    for (size_t i = 0; i < m->certs.n; i++)
        free(((struct mu_memory_cert_box *)m->certs.v[i])->row);
    for (size_t i = 0; i < m->requests.n; i++)
        mu_store_row_free(
            MU_STORE_ROW_REQUEST, ((struct mu_memory_request_box *)m->requests.v[i])->row);
    for (size_t i = 0; i < m->settings.n; i++) {
        struct mu_memory_setting *s = m->settings.v[i];

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
    for (size_t i = 0; i < m->entries.n; i++)
        mu_store_row_free(MU_STORE_ROW_ENTRY, m->entries.v[i]);
    free(m->entries.v);
    list_free(&m->crls);
    list_free(&m->settings);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct mu_store_ops ops;
static pthread_once_t ops_once = PTHREAD_ONCE_INIT;

static void ops_init(void)
{
    ops = mu_memory_read_ops;
    ops.submit = memory_submit;
    ops.close = memory_close;
}

enum mu_code mu_store_memory_open(struct mu_store **out, struct mu_err *err)
{
    struct mu_memory *m = calloc(1, sizeof *m);

    if (m == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a store");
    pthread_once(&ops_once, ops_init);
    m->base.ops = &ops;
    pthread_mutex_init(&m->lock, NULL);
    *out = &m->base;
    return MU_OK;
}
