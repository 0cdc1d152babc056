/* Applying a batch: prepared so that nothing can fail half-way. */
#include "store/store_memory_db.h"

#include <stdlib.h>

#include "store/store_row.h"

static bool list_room(struct mu_memory_list *list)
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

static void *copied(enum mu_store_row kind, const void *row, bool *ok)
{
    void *copy = mu_store_row_copy(kind, row);

    if (row != NULL && copy == NULL)
        *ok = false;
    return copy;
}

static struct mu_record_request *settled_copy(
    struct mu_memory *m, const struct mu_store_change *c, bool *ok)
{
    struct mu_memory_request_box *box =
        c->settle_id != 0 ? mu_memory_request_by_id(m, c->settle_id) : NULL;
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
        if (row.proto == MU_PROTO_EST && row.state == MU_RECORD_REJECTED)
            row.kept = (struct mu_bytes){0};
        if (c->cert != NULL)
            row.serial = c->cert->serial;
    }
    return copied(MU_STORE_ROW_REQUEST, &row, ok);
}

static struct mu_record_request *kept_copy(
    struct mu_memory *m, const struct mu_store_change *c, bool *ok)
{
    struct mu_memory_request_box *box =
        c->keep_id != 0 ? mu_memory_request_by_id(m, c->keep_id) : NULL;
    struct mu_record_request row;

    if (box == NULL)
        return NULL;
    row = *box->row;
    row.kept = c->keep;
    return copied(MU_STORE_ROW_REQUEST, &row, ok);
}

static struct mu_record_entry *entry_copy(
    struct mu_memory *m, const struct mu_store_change *c, bool *ok)
{
    struct mu_record_entry row, *old;

    if (c->entry == NULL || c->entry_put == MU_STORE_REMOVE)
        return NULL;
    row = *c->entry;
    if ((old = mu_memory_entry(m, row.name, NULL)) != NULL) {
        row.created_s = old->created_s;
        row.uses = c->entry_reset_uses ? 0 : old->uses;
        row.last_use_s = old->last_use_s;
        row.reset_s = c->entry_reset_uses ? c->now_s : old->reset_s;
    }
    return copied(MU_STORE_ROW_ENTRY, &row, ok);
}

static struct mu_memory_setting *setting_new(const char *key, const char *value)
{
    struct mu_memory_setting *s = calloc(1, sizeof *s);

    if (s == NULL || (s->key = strdup(key)) == NULL || (s->value = strdup(value)) == NULL) {
        if (s != NULL)
            free(s->key);
        free(s);
        return NULL;
    }
    return s;
}

void mu_memory_prepared_free(struct mu_memory_prepared *p, size_t audit_n)
{
    if (p->request != NULL)
        mu_store_row_free(MU_STORE_ROW_REQUEST, p->request->row);
    if (p->cert != NULL)
        free(p->cert->row);
    free(p->request);
    free(p->cert);
    mu_store_row_free(MU_STORE_ROW_REQUEST, p->settled);
    mu_store_row_free(MU_STORE_ROW_REQUEST, p->kept);
    free(p->renewed);
    free(p->ca);
    free(p->profile);
    mu_store_row_free(MU_STORE_ROW_ENTRY, p->entry);
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

bool mu_memory_prepare(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_prepared *p)
{
    struct mu_memory_cert_box *old;
    struct mu_record_cert row;
    bool ok = true;

    if (c->request != NULL && (p->request = calloc(1, sizeof *p->request)) != NULL)
        p->request->row = copied(MU_STORE_ROW_REQUEST, c->request, &ok);
    if (c->cert != NULL && (p->cert = calloc(1, sizeof *p->cert)) != NULL)
        p->cert->row = copied(MU_STORE_ROW_CERT, c->cert, &ok);
    if ((c->request != NULL && p->request == NULL) || (c->cert != NULL && p->cert == NULL))
        return false;
    if (c->cert != NULL && c->cert->renews.n != 0
        && (old = mu_memory_cert(m, c->cert->ca, c->cert->renews)) != NULL) {
        row = *old->row;
        row.renewed_by = c->cert->serial;
        p->renewed = copied(MU_STORE_ROW_CERT, &row, &ok);
    }
    p->settled = settled_copy(m, c, &ok);
    p->kept = kept_copy(m, c, &ok);
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

bool mu_memory_room(struct mu_memory *m, const struct mu_store_change *c)
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

static void put_cert(struct mu_memory *m, struct mu_memory_prepared *p)
{
    struct mu_memory_cert_box *box = p->cert, *old;
    unsigned b;

    if (box == NULL)
        return;
    if (p->renewed != NULL && (old = mu_memory_cert(m, box->row->ca, box->row->renews)) != NULL) {
        free(old->row);
        old->row = p->renewed;
        p->renewed = NULL;
    }
    box->row->id = (int64_t)m->certs.n + 1;
    m->certs.v[m->certs.n++] = box;
    b = mu_memory_bucket(box->row->serial);
    box->by_serial = m->serials[b];
    m->serials[b] = box;
    b = mu_memory_bucket(box->row->subject_hash);
    box->by_subject = m->subjects[b];
    m->subjects[b] = box;
    b = mu_memory_bucket(box->row->key_hash);
    box->by_key = m->keys[b];
    m->keys[b] = box;
    p->cert = NULL;
}

/* The box stays in its chain with row NULL: cheaper than finding its neighbors. */
static void request_drop(struct mu_memory *m, struct mu_memory_request_box *box)
{
    m->pending -= box->row->state == MU_RECORD_PENDING;
    mu_store_row_free(MU_STORE_ROW_REQUEST, box->row);
    box->row = NULL;
}

static void put_request(struct mu_memory *m, struct mu_memory_prepared *p, int64_t *id)
{
    struct mu_memory_request_box *box = p->request, *same;
    unsigned b;

    if (box == NULL)
        return;
    if ((same = mu_memory_request(m, box->row)) != NULL)
        request_drop(m, same);
    *id = box->row->id = (int64_t)m->requests.n + 1;
    m->requests.v[m->requests.n++] = box;
    b = mu_memory_bucket(box->row->signer);
    box->by_signer = m->signers[b];
    m->signers[b] = box;
    m->pending += box->row->state == MU_RECORD_PENDING;
    p->request = NULL;
}

static void put_settled(struct mu_memory *m, struct mu_memory_prepared *p, int64_t *id)
{
    struct mu_memory_request_box *box;

    if (p->settled == NULL)
        return;
    box = mu_memory_request_by_id(m, p->settled->id);
    m->pending -= p->settled->state != MU_RECORD_PENDING;
    mu_store_row_free(MU_STORE_ROW_REQUEST, box->row);
    box->row = p->settled;
    *id = box->row->id;
    p->settled = NULL;
}

static void put_kept(struct mu_memory *m, struct mu_memory_prepared *p)
{
    struct mu_memory_request_box *box;

    if (p->kept == NULL)
        return;
    box = mu_memory_request_by_id(m, p->kept->id);
    mu_store_row_free(MU_STORE_ROW_REQUEST, box->row);
    box->row = p->kept;
    p->kept = NULL;
}

static void put_confirm(struct mu_memory *m, const struct mu_store_change *c)
{
    struct mu_memory_cert_box *box =
        c->confirm_serial.n != 0 ? mu_memory_cert(m, c->confirm_ca, c->confirm_serial) : NULL;

    if (box == NULL)
        return;
    box->row->confirm = c->confirm;
    box->row->confirm_until_s = c->confirm_until_s;
    box->row->delivery_known |= c->confirm == MU_RECORD_CONFIRMED;
}

static void put_named(
    struct mu_memory_list *list, void **row, const char *name, enum mu_store_put put)
{
    size_t at;
    void *old = mu_memory_named(list, name, &at);

    if (old != NULL) {
        free(old);
        list->v[at] = *row; /* NULL: removed */
    } else if (put != MU_STORE_REMOVE) {
        list->v[list->n++] = *row;
    }
    *row = NULL;
}

static void put_setting(struct mu_memory *m, struct mu_memory_prepared *p, const char *key)
{
    for (size_t i = 0; i < m->settings.n; i++) {
        struct mu_memory_setting *s = m->settings.v[i];

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

static void expire(struct mu_memory *m, const struct mu_store_change *c)
{
    for (size_t i = 0; i < m->requests.n; i++) {
        struct mu_memory_request_box *box = m->requests.v[i];
        struct mu_record_request *r = box->row, row, *copy;

        if (r == NULL)
            continue;
        if (c->expire_ca != NULL && r->state == MU_RECORD_PENDING
            && mu_memory_same(r->ca, c->expire_ca) && r->created_s < c->expire_pending_s) {
            row = *r;
            row.state = MU_RECORD_REJECTED;
            row.words = c->settle_words;
            row.changed_s = c->now_s;
            row.csr = (struct mu_bytes){0};
            if (r->proto == MU_PROTO_EST)
                row.kept = (struct mu_bytes){0};
            if ((copy = mu_store_row_copy(MU_STORE_ROW_REQUEST, &row)) != NULL) {
                mu_store_row_free(MU_STORE_ROW_REQUEST, r);
                box->row = copy;
                m->pending--;
            }
        } else if (r->state != MU_RECORD_PENDING && r->changed_s < c->forget_settled_s) {
            request_drop(m, box);
        } else if (r->state != MU_RECORD_PENDING && r->proto == MU_PROTO_EST && r->kept.n != 0
            && c->expire_ca != NULL && mu_memory_same(r->ca, c->expire_ca) && r->changed_s < c->forget_kept_s) {
            row = *r;
            row.kept = (struct mu_bytes){0};
            if ((copy = mu_store_row_copy(MU_STORE_ROW_REQUEST, &row)) != NULL) {
                mu_store_row_free(MU_STORE_ROW_REQUEST, r);
                box->row = copy;
            }
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

void mu_memory_apply(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_prepared *p, int64_t *id)
{
    struct mu_record_entry *e;
    struct mu_memory_cert_box *box;
    size_t at;

    put_request(m, p, id);
    put_settled(m, p, id);
    put_kept(m, p);
    put_cert(m, p);
    if (c->use_entry != NULL && (e = mu_memory_entry(m, c->use_entry, NULL)) != NULL) {
        e->uses++;
        e->last_use_s = c->now_s;
    }
    put_confirm(m, c);
    if (c->revoke_serial.n != 0 && (box = mu_memory_cert(m, c->revoke_ca, c->revoke_serial)) != NULL
        && (c->revoke_lift || box->row->revoked_s == 0)) {
        box->row->revoked_s = c->revoke_lift ? 0 : c->now_s;
        box->row->revoke_reason = c->revoke_lift ? 0 : c->revoke_reason;
    }
    if (p->crl != NULL) {
        if (mu_memory_crl(m, c->crl->ca, &at) != NULL)
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
