/*
 * Reads: on the calling thread, each with a connection of its own out of a pool, so that they see
 * one consistent state and never wait for the writer. What decisions ask is prepared once;
 * store_sqlite_list.c has the lists.
 */
#include "store/store_sqlite_db.h"

#include <stdlib.h>

#include "store/store_row.h"

enum sql {
    ASK_SAME = MU_SQLITE_READ_STEPS, /* behind those of lists and counts */
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
    SQL_N
};
_Static_assert((int)SQL_N <= (int)MU_SQLITE_STATEMENTS, "more statements than a connection keeps");

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
    [MU_SQLITE_CAS] = "SELECT name, chain, key_ref, ra, ra_key_ref, next, next_key_ref, settings, created_s"
            " FROM ca ORDER BY name",
    [MU_SQLITE_PROFILES] = "SELECT name, settings, created_s FROM profile ORDER BY name",
    [MU_SQLITE_SETTINGS] = "SELECT key, value FROM setting ORDER BY key",
    [MU_SQLITE_CRL] = "SELECT ca, number, this_update_s, next_update_s, der FROM crl WHERE ca=?"
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

void mu_sqlite_ask(
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
