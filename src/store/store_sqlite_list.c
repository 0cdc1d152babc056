/* Lists for people: put together as needed, always by index and page. */
#include "store/store_sqlite_db.h"

#include "store/store_row.h"

/* A part of the subject, whatever characters are in it; LIKE takes no notice of case. */
#define SUBJECT_HAS                                                                                \
    "subject LIKE '%'||replace(replace(replace(?,'\\','\\\\'),'%','\\%'),'_','\\_')||'%' ESCAPE "  \
    "'\\'"

typedef bool row_call(sqlite3_stmt *st, void *row_cookie);

/* Calls for each row; *ended gets whether all were read. */
static enum mu_code each_row(struct mu_sqlite_conn *r, sqlite3_stmt *st, row_call *call,
    void *cookie, bool *ended, struct mu_err *err)
{
    int got = SQLITE_ERROR;

    *ended = true;
    while (st != NULL && (got = sqlite3_step(st)) == SQLITE_ROW) {
        if (!call(st, cookie)) {
            *ended = false;
            return MU_OK;
        }
    }
    return got == SQLITE_DONE ? MU_OK : mu_sqlite_fault(r, "cannot read", err);
}

/* A query for a list under construction. */
struct query {
    struct mu_buf sql;
    const struct mu_store_filter *filter;
    char kinds[24]; /* as for mu_sqlite_bind */
    union {
        const char *t;
        struct mu_bytes b;
        int64_t i;
    } values[24];
    size_t n;
};

static void where(struct query *q, const char *condition)
{
    mu_buf_put_str(&q->sql, strstr(mu_buf_str(&q->sql), " WHERE ") == NULL ? " WHERE " : " AND ");
    mu_buf_put_str(&q->sql, condition);
}

static void where_text(struct query *q, const char *condition, const char *value)
{
    if (value == NULL)
        return;
    where(q, condition);
    q->kinds[q->n] = 't';
    q->values[q->n++].t = value;
}

static void where_int(struct query *q, const char *condition, int64_t value)
{
    if (value == 0)
        return;
    where(q, condition);
    q->kinds[q->n] = 'i';
    q->values[q->n++].i = value;
}

static void where_bytes(struct query *q, const char *condition, struct mu_bytes value)
{
    if (value.n == 0)
        return;
    where(q, condition);
    q->kinds[q->n] = 'b';
    q->values[q->n++].b = value;
}

static sqlite3_stmt *query_prepare(struct mu_sqlite_conn *r, struct query *q, bool no_limit)
{
    sqlite3_stmt *st = NULL;

    mu_buf_put_str(&q->sql, " ORDER BY id DESC");
    if (!no_limit)
        mu_buf_putf(&q->sql, " LIMIT %u", q->filter->limit != 0 ? q->filter->limit : 100);
    if (q->sql.failed || sqlite3_prepare_v2(r->db, mu_buf_str(&q->sql), -1, &st, NULL) != SQLITE_OK)
        return NULL;
    for (size_t i = 0; i < q->n; i++) {
        int at = (int)i + 1;

        if (q->kinds[i] == 't')
            sqlite3_bind_text(st, at, q->values[i].t, -1, SQLITE_STATIC);
        else if (q->kinds[i] == 'i')
            sqlite3_bind_int64(st, at, q->values[i].i);
        else
            sqlite3_bind_blob64(st, at, q->values[i].b.p, q->values[i].b.n, SQLITE_STATIC);
    }
    return st;
}

/* Runs a list: kept is the id of a prepared statement, or q a query to finish and drop. */
static enum mu_code list(struct mu_store *store, struct query *q, bool no_limit, int kept,
    row_call *call, void *cookie, bool *ended, struct mu_err *err)
{
    struct mu_sqlite *s = mu_sqlite_of(store);
    struct mu_sqlite_conn *r = NULL;
    sqlite3_stmt *st;
    enum mu_code rc;

    *ended = true;
    if ((rc = mu_sqlite_reader_get(s, &r, err)) != MU_OK)
        return rc;
    st = q != NULL ? query_prepare(r, q, no_limit) : mu_sqlite_bind(r, (unsigned)kept, "");
    rc = each_row(r, st, call, cookie, ended, err);
    if (q != NULL)
        sqlite3_finalize(st);
    else
        sqlite3_reset(st);
    mu_sqlite_reader_put(s, r);
    return rc;
}

/* Row functions of one kind: a struct with the caller's function, one that reads and calls it, and
 * the end of the list. */
#define LIST_OF(kind, record, call_type, read)                                                     \
    struct kind##_list {                                                                           \
        call_type *call;                                                                           \
        void *cookie;                                                                              \
    };                                                                                             \
    static bool kind##_row(sqlite3_stmt *st, void *cookie)                                         \
    {                                                                                              \
        struct kind##_list *l = cookie;                                                            \
        record row;                                                                                \
                                                                                                   \
        read(st, &row);                                                                            \
        return l->call(l->cookie, &row, NULL);                                                     \
    }                                                                                              \
    static void kind##_list(struct mu_store *store, struct query *q, bool no_limit, int kept,      \
        call_type *call, void *cookie)                                                             \
    {                                                                                              \
        struct kind##_list l = {call, cookie};                                                     \
        struct mu_err err = {0};                                                                   \
        bool ended;                                                                                \
        enum mu_code rc = list(store, q, no_limit, kept, kind##_row, &l, &ended, &err);            \
                                                                                                   \
        if (q != NULL)                                                                             \
            mu_buf_clear(&q->sql);                                                                 \
        if (ended || rc != MU_OK)                                                                  \
            call(cookie, NULL, rc != MU_OK ? &err : NULL);                                         \
    }

static void row_ca(sqlite3_stmt *st, struct mu_record_ca *row)
{
    *row = (struct mu_record_ca){.name = mu_sqlite_text(st, 0),
        .chain = mu_sqlite_blob(st, 1),
        .key_ref = mu_sqlite_text(st, 2),
        .ra = mu_sqlite_blob(st, 3),
        .ra_key_ref = mu_sqlite_text(st, 4),
        .next = mu_sqlite_blob(st, 5),
        .next_key_ref = mu_sqlite_text(st, 6),
        .settings = mu_sqlite_text(st, 7),
        .created_s = sqlite3_column_int64(st, 8)};
}

static void row_profile(sqlite3_stmt *st, struct mu_record_profile *row)
{
    *row = (struct mu_record_profile){.name = mu_sqlite_text(st, 0),
        .settings = mu_sqlite_text(st, 1),
        .created_s = sqlite3_column_int64(st, 2)};
}

LIST_OF(ca, struct mu_record_ca, mu_store_ca_call, row_ca)
LIST_OF(profile, struct mu_record_profile, mu_store_profile_call, row_profile)
LIST_OF(entry, struct mu_record_entry, mu_store_entry_call, mu_sqlite_row_entry)
LIST_OF(cert, struct mu_record_cert, mu_store_cert_call, mu_sqlite_row_cert)
LIST_OF(request, struct mu_record_request, mu_store_request_call, mu_sqlite_row_request)
LIST_OF(audit, struct mu_record_audit, mu_store_audit_call, mu_sqlite_row_audit)

static void sqlite_cas(struct mu_store *store, mu_store_ca_call *call, void *cookie)
{
    ca_list(store, NULL, true, MU_SQLITE_CAS, call, cookie);
}

static void sqlite_profiles(struct mu_store *store, mu_store_profile_call *call, void *cookie)
{
    profile_list(store, NULL, true, MU_SQLITE_PROFILES, call, cookie);
}

static void sqlite_entries(struct mu_store *store, const struct mu_store_filter *f,
    mu_store_entry_call *call, void *cookie)
{
    struct query q = {.filter = f};

    mu_buf_put_str(&q.sql, "SELECT " MU_SQLITE_ENTRY ", rowid AS id FROM entry");
    where_text(&q, "name=?", f->name);
    if (f->only_wildcard)
        where(&q, "name LIKE '%*%'");
    where_text(&q, "profile=?", f->profile);
    entry_list(store, &q, f->limit == 0, 0, call, cookie);
}

static void sqlite_certs(
    struct mu_store *store, const struct mu_store_filter *f, mu_store_cert_call *call, void *cookie)
{
    struct query q = {.filter = f};

    mu_buf_put_str(&q.sql, "SELECT " MU_SQLITE_CERT " FROM cert");
    if (f->unconfirmed_s != 0) { /* few, and in an index of their own */
        mu_buf_put_str(&q.sql, " INDEXED BY cert_unconfirmed");
        where(&q, "confirm=1");
        where_int(&q, "confirm_until_s<?", f->unconfirmed_s);
    }
    where_bytes(&q, "serial=?", f->serial.n != 0 ? mu_enroll_record_serial(f->serial) : f->serial);
    where_text(&q, f->serial.n != 0 || f->only_revoked ? "ca=?" : "+ca=?", f->ca);
    if (f->only_revoked)
        where(&q, "revoked_s>0");
    /* The index of subjects holds no certificates, so looking through it is quick. */
    where_text(&q, "id IN (SELECT id FROM cert INDEXED BY cert_subject WHERE " SUBJECT_HAS ")",
        f->subject);
    where_text(
        &q, "serial IN (SELECT serial FROM request WHERE transaction_id=?)", f->transaction_id);
    where_text(&q, "profile=?", f->profile);
    where_int(&q, "not_after_s>=?", f->expires_after_s);
    where_int(&q, "not_after_s<?", f->expires_before_s);
    where_int(&q, "id<?", f->before_id);
    cert_list(store, &q, f->only_revoked && f->limit == 0, 0, call, cookie);
}

static void sqlite_requests(struct mu_store *store, const struct mu_store_filter *f,
    mu_store_request_call *call, void *cookie)
{
    struct query q = {.filter = f};

    mu_buf_put_str(&q.sql, "SELECT " MU_SQLITE_REQUEST " FROM request");
    if (f->by_state && f->state == MU_RECORD_PENDING) /* few, and in an index of their own */
        mu_buf_put_str(&q.sql, " INDEXED BY request_pending");
    where_int(&q, "id=?", f->id);
    where_text(&q, "transaction_id=?", f->transaction_id);
    if (f->by_state)
        where(&q,
            f->state == MU_RECORD_PENDING      ? "state=0"
                : f->state == MU_RECORD_ISSUED ? "state=1"
                                               : "state=2");
    where_text(&q, "ca=?", f->ca);
    where_text(&q, SUBJECT_HAS, f->subject);
    where_int(&q, "id<?", f->before_id);
    request_list(store, &q, false, 0, call, cookie);
}

static void sqlite_audits(struct mu_store *store, const struct mu_store_filter *f,
    mu_store_audit_call *call, void *cookie)
{
    struct query q = {.filter = f};

    mu_buf_put_str(&q.sql, "SELECT " MU_SQLITE_AUDIT " FROM audit");
    where_text(&q, "ca=?", f->ca);
    where_text(&q, "action=?", f->action);
    where_text(&q, SUBJECT_HAS, f->subject);
    where_bytes(&q, "serial=?", f->serial.n != 0 ? mu_enroll_record_serial(f->serial) : f->serial);
    where_text(&q, "transaction_id=?", f->transaction_id);
    where_int(&q, "time_s>=?", f->since_s);
    where_int(&q, "id<?", f->before_id);
    audit_list(store, &q, false, 0, call, cookie);
}

struct settings_list {
    mu_store_setting_call *call;
    void *cookie;
};

static bool setting_row(sqlite3_stmt *st, void *cookie)
{
    struct settings_list *l = cookie;

    return l->call(l->cookie, mu_sqlite_text(st, 0), mu_sqlite_text(st, 1), NULL);
}

static void sqlite_settings(struct mu_store *store, mu_store_setting_call *call, void *cookie)
{
    struct settings_list l = {call, cookie};
    struct mu_err err = {0};
    bool ended;
    enum mu_code rc = list(store, NULL, true, MU_SQLITE_SETTINGS, setting_row, &l, &ended, &err);

    if (ended || rc != MU_OK)
        call(cookie, NULL, NULL, rc != MU_OK ? &err : NULL);
}

static void sqlite_crl(
    struct mu_store *store, const char *ca, mu_store_crl_call *call, void *cookie)
{
    struct mu_sqlite *s = mu_sqlite_of(store);
    struct mu_sqlite_conn *r = NULL;
    struct mu_record_crl row;
    struct mu_err err = {0};
    sqlite3_stmt *st = NULL;
    enum mu_code rc = mu_sqlite_reader_get(s, &r, &err);
    bool more = true;

    if (rc == MU_OK) {
        st = mu_sqlite_bind(r, MU_SQLITE_CRL, "t", ca);
        if (mu_sqlite_read_row(r, st, &rc, &err)) {
            row = (struct mu_record_crl){.ca = mu_sqlite_text(st, 0),
                .number = (uint64_t)sqlite3_column_int64(st, 1),
                .this_update_s = sqlite3_column_int64(st, 2),
                .next_update_s = sqlite3_column_int64(st, 3),
                .der = mu_sqlite_blob(st, 4)};
            more = call(cookie, &row, NULL);
        }
        sqlite3_reset(st);
        mu_sqlite_reader_put(s, r);
    }
    if (more)
        call(cookie, NULL, rc != MU_OK ? &err : NULL);
}

const struct mu_store_ops mu_sqlite_read_ops = {.ask = mu_sqlite_ask,
    .cas = sqlite_cas,
    .profiles = sqlite_profiles,
    .settings = sqlite_settings,
    .entries = sqlite_entries,
    .certs = sqlite_certs,
    .requests = sqlite_requests,
    .audits = sqlite_audits,
    .crl = sqlite_crl,
    .counts = mu_sqlite_counts};
