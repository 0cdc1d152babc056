/*
 * Reads: on the calling thread, each with a connection of its own out of a pool, so that they see
 * one consistent state and never wait for the writer. What decisions ask is prepared once; lists
 * for people are put together as needed, always by index and page.
 */
#include "store/store_sqlite_db.h"

#include <stdlib.h>

#include "store/store_row.h"

enum sql {
    ASK_SAME = MU_SQLITE_COUNT_STEPS, /* behind those of store_sqlite_count.c */
    ASK_RESENT,
    ASK_LATEST,
    ASK_ANY,
    ASK_CERT,
    ASK_OTHER,
    ASK_SAME_CERT,
    ASK_RESENT_CERT,
    ASK_LATEST_CERT,
    ASK_ENTRY,
    ASK_NAME,
    ASK_KEY,
    CAS,
    PROFILES,
    SETTINGS,
    CRL,
    SQL_N
};
_Static_assert((int)SQL_N <= (int)MU_SQLITE_STATEMENTS, "more statements than a connection keeps");

/* A part of the subject, whatever characters are in it; LIKE takes no notice of case. */
#define SUBJECT_HAS                                                                                \
    "subject LIKE '%'||replace(replace(replace(?,'\\','\\\\'),'%','\\%'),'_','\\_')||'%' ESCAPE "  \
    "'\\'"
#define CERT_GET "SELECT " MU_SQLITE_CERT " FROM cert WHERE serial=? AND ca=?"
const char *const mu_sqlite_read_sql[] = {
    [ASK_SAME] = "SELECT " MU_SQLITE_REQUEST " FROM request WHERE transaction_id=? AND signer=?"
                 " AND digest=? AND ca=? AND proto=? AND (state=0 OR changed_s>=?)",
    [ASK_RESENT] = "SELECT " MU_SQLITE_REQUEST " FROM request WHERE signer=? AND digest=? AND ca=?"
                   " AND proto=? AND transaction_id<>? AND (state=0 OR changed_s>=?)"
                   " ORDER BY id DESC LIMIT 1",
    [ASK_LATEST] = "SELECT " MU_SQLITE_REQUEST " FROM request WHERE transaction_id=? AND signer=?"
                   " AND ca=? AND proto=? AND (state=0 OR changed_s>=?) ORDER BY id DESC LIMIT 1",
    [ASK_ANY] = "SELECT " MU_SQLITE_REQUEST " FROM request WHERE transaction_id=? AND ca=?"
                " AND proto=3 AND proto=? AND (state=0 OR changed_s>=?) ORDER BY id DESC LIMIT 1",
    [ASK_CERT] = CERT_GET,
    [ASK_OTHER] = CERT_GET,
    [ASK_SAME_CERT] = CERT_GET,
    [ASK_RESENT_CERT] = CERT_GET,
    [ASK_LATEST_CERT] = CERT_GET,
    [ASK_ENTRY] =
        "SELECT " MU_SQLITE_ENTRY " FROM entry WHERE password_hash=? AND length(password_hash)>0",
    [ASK_NAME] = "SELECT " MU_SQLITE_ENTRY " FROM entry WHERE name=?",
    [ASK_KEY] = "SELECT " MU_SQLITE_CERT " FROM cert WHERE key_hash=? AND subject_hash<>?"
                " ORDER BY id DESC LIMIT 1",
    [CAS] = "SELECT name, chain, key_ref, ra, ra_key_ref, next, next_key_ref, settings, created_s"
            " FROM ca ORDER BY name",
    [PROFILES] = "SELECT name, settings, created_s FROM profile ORDER BY name",
    [SETTINGS] = "SELECT key, value FROM setting ORDER BY key",
    [CRL] = "SELECT ca, number, this_update_s, next_update_s, der FROM crl WHERE ca=?"
            " ORDER BY number DESC LIMIT 1",
    [MU_SQLITE_COUNTS] =
        "SELECT (SELECT count(*) FROM cert),"
        " (SELECT count(*) FROM cert WHERE not_after_s>?1 AND revoked_s=0),"
        " (SELECT count(*) FROM cert WHERE revoked_s>0),"
        " (SELECT count(*) FROM cert WHERE not_after_s>?1 AND not_after_s<?2 AND revoked_s=0),"
        " (SELECT count(*) FROM request WHERE state=0),"
        " (SELECT ifnull(min(created_s), 0) FROM request WHERE state=0),"
        " (SELECT count(*) FROM entry)",
    /* ids grow with time: the first row of the last day is found by halves */
    [MU_SQLITE_AUDIT_ENDS] = "SELECT ifnull(min(id), 0), ifnull(max(id), 0) FROM audit",
    [MU_SQLITE_AUDIT_TIME] = "SELECT id, time_s FROM audit WHERE id>=? ORDER BY id LIMIT 1",
    [MU_SQLITE_AUDIT_DAY] = "SELECT count(*) FILTER (WHERE action='issue'),"
                            " count(*) FILTER (WHERE action='renew'),"
                            " count(*) FILTER (WHERE action='refuse') FROM audit WHERE id>=?",
};

/* ---- the pool ---- */

enum mu_code mu_sqlite_reader_get(
    struct mu_sqlite *s, struct mu_sqlite_conn **out, struct mu_err *err)
{
    struct mu_sqlite_conn *conn;

    pthread_mutex_lock(&s->pool_lock);
    if ((conn = s->pool) != NULL)
        s->pool = conn->next;
    pthread_mutex_unlock(&s->pool_lock);
    if (conn == NULL)
        return mu_sqlite_open(s->path, true, mu_sqlite_read_sql, out, err);
    *out = conn;
    return MU_OK;
}

void mu_sqlite_reader_put(struct mu_sqlite *s, struct mu_sqlite_conn *conn)
{
    pthread_mutex_lock(&s->pool_lock);
    conn->next = s->pool;
    s->pool = conn;
    pthread_mutex_unlock(&s->pool_lock);
}

/* ---- what a decision asks ---- */

/* One row at most; false: no row, or *rc is set. The statement stays on its row until the end. */
bool mu_sqlite_read_row(
    struct mu_sqlite_conn *r, sqlite3_stmt *st, enum mu_code *rc, struct mu_err *err)
{
    int got = st != NULL ? sqlite3_step(st) : SQLITE_ERROR;

    if (got != SQLITE_ROW && got != SQLITE_DONE)
        *rc = mu_sqlite_fault(r, "cannot read", err);
    return got == SQLITE_ROW;
}

/* Copies: nothing of the snapshot stays open while the decision is made. */
struct answer {
    struct mu_record_request *same, *resent, *latest;
    struct mu_record_cert *same_cert, *resent_cert, *latest_cert, *cert, *other_cert, *key_seen;
    struct mu_record_entry *entry;
};

static enum mu_code copied(
    enum mu_store_row kind, const void *row, void **out, struct mu_err *err)
{
    if ((*out = mu_store_row_copy(kind, row)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "store: out of memory");
    return MU_OK;
}

static enum mu_code ask_cert(struct mu_sqlite_conn *r, enum sql sql, struct mu_bytes serial,
    const char *ca, struct mu_record_cert **out, struct mu_err *err)
{
    sqlite3_stmt *st;
    struct mu_record_cert row;
    void *copy = NULL;
    enum mu_code rc = MU_OK;

    if (serial.n == 0)
        return MU_OK;
    st = mu_sqlite_bind(r, sql, "bt", mu_enroll_record_serial(serial), ca);
    if (mu_sqlite_read_row(r, st, &rc, err)) {
        mu_sqlite_row_cert(st, &row);
        rc = copied(MU_STORE_ROW_CERT, &row, &copy, err);
    }
    *out = copy;
    return rc;
}

static enum mu_code ask_request(struct mu_sqlite_conn *r, sqlite3_stmt *st, enum sql cert_sql,
    struct mu_record_request **out, struct mu_record_cert **cert_out, struct mu_err *err)
{
    struct mu_record_request row;
    void *copy = NULL;
    enum mu_code rc = MU_OK;

    if (!mu_sqlite_read_row(r, st, &rc, err))
        return rc;
    mu_sqlite_row_request(st, &row);
    if ((rc = copied(MU_STORE_ROW_REQUEST, &row, &copy, err)) != MU_OK)
        return rc;
    *out = copy;
    return ask_cert(r, cert_sql, row.serial, row.ca, cert_out, err);
}

static enum mu_code ask_latest(
    struct mu_sqlite_conn *r, const struct mu_store_ask *ask, struct answer *a, struct mu_err *err)
{
    int64_t proto = ask->proto;
    sqlite3_stmt *st = ask->any_signer
        ? mu_sqlite_bind(r, ASK_ANY, "ttii", ask->transaction_id, ask->ca, proto, ask->since_s)
        : mu_sqlite_bind(r, ASK_LATEST, "tbtii", ask->transaction_id, ask->signer, ask->ca, proto,
            ask->since_s);

    return ask_request(r, st, ASK_LATEST_CERT, &a->latest, &a->latest_cert, err);
}

static enum mu_code ask_requests(
    struct mu_sqlite_conn *r, const struct mu_store_ask *ask, struct answer *a, struct mu_err *err)
{
    int64_t proto = ask->proto;
    bool has_signer = ask->signer.n != 0;
    enum mu_code rc = MU_OK;

    if (has_signer && ask->transaction_id != NULL && ask->digest.n != 0)
        rc = ask_request(r,
            mu_sqlite_bind(r, ASK_SAME, "tbbtii", ask->transaction_id, ask->signer, ask->digest,
                ask->ca, proto, ask->since_s),
            ASK_SAME_CERT, &a->same, &a->same_cert, err);
    if (rc == MU_OK && has_signer && ask->digest.n != 0 && a->same == NULL)
        rc = ask_request(r,
            mu_sqlite_bind(r, ASK_RESENT, "bbtiti", ask->signer, ask->digest, ask->ca, proto,
                ask->transaction_id, ask->since_s),
            ASK_RESENT_CERT, &a->resent, &a->resent_cert, err);
    if (rc == MU_OK && ask->transaction_id != NULL
        && (ask->any_signer || (has_signer && ask->digest.n == 0)))
        rc = ask_latest(r, ask, a, err);
    return rc;
}

static enum mu_code ask_entry(
    struct mu_sqlite_conn *r, const struct mu_store_ask *ask, struct answer *a, struct mu_err *err)
{
    sqlite3_stmt *st;
    struct mu_record_entry row;
    void *copy = NULL;
    enum mu_code rc = MU_OK;

    if (ask->password_hash.n == 0 && ask->entry_name == NULL)
        return MU_OK;
    st = ask->password_hash.n != 0 ? mu_sqlite_bind(r, ASK_ENTRY, "b", ask->password_hash)
                                   : mu_sqlite_bind(r, ASK_NAME, "t", ask->entry_name);
    if (mu_sqlite_read_row(r, st, &rc, err)) {
        mu_sqlite_row_entry(st, &row);
        rc = copied(MU_STORE_ROW_ENTRY, &row, &copy, err);
    }
    a->entry = copy;
    return rc;
}

static enum mu_code ask_key(
    struct mu_sqlite_conn *r, const struct mu_store_ask *ask, struct answer *a, struct mu_err *err)
{
    sqlite3_stmt *st;
    struct mu_record_cert row;
    void *copy = NULL;
    enum mu_code rc = MU_OK;

    if (ask->key_hash.n == 0)
        return MU_OK;
    st = mu_sqlite_bind(r, ASK_KEY, "bb", ask->key_hash, ask->subject_hash);
    if (mu_sqlite_read_row(r, st, &rc, err)) {
        mu_sqlite_row_cert(st, &row);
        rc = copied(MU_STORE_ROW_CERT, &row, &copy, err);
    }
    a->key_seen = copy;
    return rc;
}

static enum mu_code ask_all(
    struct mu_sqlite_conn *r, const struct mu_store_ask *ask, struct answer *a, struct mu_err *err)
{
    enum mu_code rc = ask_requests(r, ask, a, err);

    if (rc == MU_OK)
        rc = ask_cert(r, ASK_CERT, ask->serial, ask->ca, &a->cert, err);
    if (rc == MU_OK)
        rc = ask_cert(r, ASK_OTHER, ask->other_serial, ask->ca, &a->other_cert, err);
    if (rc == MU_OK)
        rc = ask_entry(r, ask, a, err);
    if (rc == MU_OK)
        rc = ask_key(r, ask, a, err);
    for (int i = ASK_SAME; i <= ASK_KEY; i++)
        sqlite3_reset(r->st[i]);
    return rc;
}

static void answer_clear(struct answer *a)
{
    struct mu_record_cert *const certs[] = {
        a->same_cert, a->resent_cert, a->latest_cert, a->cert, a->other_cert, a->key_seen};

    mu_store_row_free(MU_STORE_ROW_REQUEST, a->same);
    mu_store_row_free(MU_STORE_ROW_REQUEST, a->resent);
    mu_store_row_free(MU_STORE_ROW_REQUEST, a->latest);
    for (size_t i = 0; i < sizeof certs / sizeof certs[0]; i++)
        mu_store_row_free(MU_STORE_ROW_CERT, certs[i]);
    mu_store_row_free(MU_STORE_ROW_ENTRY, a->entry);
}

static void sqlite_ask(
    struct mu_store *store, const struct mu_store_ask *ask, mu_store_facts_call *call, void *cookie)
{
    struct mu_sqlite *s = mu_sqlite_of(store);
    struct mu_sqlite_conn *r = NULL;
    struct mu_store_facts facts = {0};
    struct mu_err err = {0};
    struct answer a = {0};
    enum mu_code rc = mu_sqlite_reader_get(s, &r, &err);

    if (rc == MU_OK) {
        rc = ask_all(r, ask, &a, &err);
        mu_sqlite_reader_put(s, r);
    }
    if (rc != MU_OK)
        facts.err = &err;
    else
        facts = (struct mu_store_facts){.same = a.same,
            .same_cert = a.same_cert,
            .resent = a.resent,
            .resent_cert = a.resent_cert,
            .latest = a.latest,
            .latest_cert = a.latest_cert,
            .cert = a.cert,
            .other_cert = a.other_cert,
            .entry = a.entry,
            .key_seen = a.key_seen};
    call(cookie, &facts);
    answer_clear(&a);
}

/* ---- lists ---- */

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
    ca_list(store, NULL, true, CAS, call, cookie);
}

static void sqlite_profiles(struct mu_store *store, mu_store_profile_call *call, void *cookie)
{
    profile_list(store, NULL, true, PROFILES, call, cookie);
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
    enum mu_code rc = list(store, NULL, true, SETTINGS, setting_row, &l, &ended, &err);

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
        st = mu_sqlite_bind(r, CRL, "t", ca);
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

const struct mu_store_ops mu_sqlite_read_ops = {.ask = sqlite_ask,
    .cas = sqlite_cas,
    .profiles = sqlite_profiles,
    .settings = sqlite_settings,
    .entries = sqlite_entries,
    .certs = sqlite_certs,
    .requests = sqlite_requests,
    .audits = sqlite_audits,
    .crl = sqlite_crl,
    .counts = mu_sqlite_counts};
