/* Connections, statements and rows of SQLite. */
#include "store/store_sqlite_db.h"

#include <stdarg.h>
#include <pthread.h>
#include <stdlib.h>

enum mu_code mu_sqlite_fault(
    const struct mu_sqlite_conn *conn, const char *what, struct mu_err *err)
{
    int rc = sqlite3_errcode(conn->db);

    return mu_err_set(err, rc == SQLITE_BUSY || rc == SQLITE_LOCKED ? MU_BUSY : MU_STORAGE,
        MU_REASON_NONE, "store: %s: %s", what, sqlite3_errmsg(conn->db));
}

enum mu_code mu_sqlite_exec(struct mu_sqlite_conn *conn, const char *sql, struct mu_err *err)
{
    if (sqlite3_exec(conn->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return mu_sqlite_fault(conn, "cannot execute", err);
    return MU_OK;
}

/* Before SQLite is used for the first time: its account of memory, which nobody reads, costs a lock
 * at each allocation. */
static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum mu_code mu_sqlite_open(const char *path, bool read_only, const char *const *sql,
    struct mu_sqlite_conn **out, struct mu_err *err)
{
    struct mu_sqlite_conn *conn = calloc(1, sizeof *conn);
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int flags = (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX;
    enum mu_code rc;

    if (conn == NULL)
        return mu_err_set(
            err, MU_MEMORY, MU_REASON_NONE, "out of memory for a database connection");
    pthread_once(&once, configure);
    conn->sql = sql;
    if (sqlite3_open_v2(path, &conn->db, flags, NULL) != SQLITE_OK) {
        rc = conn->db != NULL
            ? mu_sqlite_fault(conn, path, err)
            : mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for SQLite");
        goto out;
    }
    sqlite3_busy_timeout(conn->db, 10000);
    /* Debian's SQLite plans by the values bound, and so would prepare nearly every statement anew
     * whenever it is run: a fifth of all CPU of an enrollment. Our plans do not depend on values. */
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
    sqlite3_extended_result_codes(conn->db, 0);
    if ((rc = mu_sqlite_exec(conn,
             "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
             "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16000; PRAGMA wal_autocheckpoint=2000;",
             err))
        != MU_OK)
        goto out;
    *out = conn;
    conn = NULL;
out:
    mu_sqlite_close(conn);
    return rc;
}

void mu_sqlite_close(struct mu_sqlite_conn *conn)
{
    if (conn == NULL)
        return;
    for (size_t i = 0; i < MU_SQLITE_STATEMENTS; i++)
        sqlite3_finalize(conn->st[i]);
    sqlite3_close(conn->db);
    free(conn);
}

static int bind_bytes(sqlite3_stmt *st, int at, struct mu_bytes v)
{
    return v.n == 0 ? sqlite3_bind_zeroblob(st, at, 0)
                    : sqlite3_bind_blob64(st, at, v.p, v.n, SQLITE_STATIC);
}

sqlite3_stmt *mu_sqlite_bind(struct mu_sqlite_conn *conn, unsigned id, const char *types, ...)
{
    sqlite3_stmt *st = conn->st[id];
    const char *text;
    va_list args;
    int rc = SQLITE_OK;

    if (st == NULL
        && sqlite3_prepare_v3(conn->db, conn->sql[id], -1, SQLITE_PREPARE_PERSISTENT, &st, NULL)
            != SQLITE_OK)
        return NULL;
    conn->st[id] = st;
    sqlite3_reset(st);
    va_start(args, types);
    for (int i = 1; rc == SQLITE_OK && types[i - 1] != '\0'; i++) {
        switch (types[i - 1]) {
        case 't':
            text = va_arg(args, const char *);
            rc = sqlite3_bind_text(st, i, text != NULL ? text : "", -1, SQLITE_STATIC);
            break;
        case 'b':
            rc = bind_bytes(st, i, va_arg(args, struct mu_bytes));
            break;
        default:
            rc = sqlite3_bind_int64(st, i, va_arg(args, int64_t));
            break;
        }
    }
    va_end(args);
    return rc == SQLITE_OK ? st : NULL;
}

enum mu_code mu_sqlite_run(struct mu_sqlite_conn *conn, sqlite3_stmt *st, struct mu_err *err)
{
    int rc;

    if (st == NULL)
        return mu_sqlite_fault(conn, "cannot prepare", err);
    rc = sqlite3_step(st);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        enum mu_code code = mu_sqlite_fault(conn, "cannot write", err);

        sqlite3_reset(st);
        return code;
    }
    sqlite3_reset(st);
    return MU_OK;
}

const char *mu_sqlite_text(sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);

    return text != NULL ? (const char *)text : "";
}

struct mu_bytes mu_sqlite_blob(sqlite3_stmt *st, int column)
{
    const void *p = sqlite3_column_blob(st, column);

    return mu_bytes(p, (size_t)sqlite3_column_bytes(st, column));
}

void mu_sqlite_row_cert(sqlite3_stmt *st, struct mu_record_cert *row)
{
    *row = (struct mu_record_cert){
        .id = sqlite3_column_int64(st, 0),
        .ca = mu_sqlite_text(st, 1),
        .serial = mu_sqlite_blob(st, 2),
        .der = mu_sqlite_blob(st, 3),
        .subject = mu_sqlite_text(st, 4),
        .subject_hash = mu_sqlite_blob(st, 5),
        .key_hash = mu_sqlite_blob(st, 6),
        .not_before_s = sqlite3_column_int64(st, 7),
        .not_after_s = sqlite3_column_int64(st, 8),
        .issued_s = sqlite3_column_int64(st, 9),
        .proto = (enum mu_proto)sqlite3_column_int(st, 10),
        .profile = mu_sqlite_text(st, 11),
        .entry = mu_sqlite_text(st, 12),
        .transaction_id = mu_sqlite_text(st, 13),
        .renews = mu_sqlite_blob(st, 14),
        .renewed_by = mu_sqlite_blob(st, 15),
        .revoked_s = sqlite3_column_int64(st, 16),
        .revoke_reason = sqlite3_column_int(st, 17),
        .delivery_known = sqlite3_column_int(st, 18) != 0,
        .confirm = (enum mu_record_confirm)sqlite3_column_int(st, 19),
        .confirm_until_s = sqlite3_column_int64(st, 20),
    };
}

void mu_sqlite_row_request(sqlite3_stmt *st, struct mu_record_request *row)
{
    *row = (struct mu_record_request){
        .id = sqlite3_column_int64(st, 0),
        .proto = (enum mu_proto)sqlite3_column_int(st, 1),
        .ca = mu_sqlite_text(st, 2),
        .transaction_id = mu_sqlite_text(st, 3),
        .signer = mu_sqlite_blob(st, 4),
        .digest = mu_sqlite_blob(st, 5),
        .state = (enum mu_record_state)sqlite3_column_int(st, 6),
        .csr = mu_sqlite_blob(st, 7),
        .subject = mu_sqlite_text(st, 8),
        .subject_hash = mu_sqlite_blob(st, 9),
        .profile = mu_sqlite_text(st, 10),
        .entry = mu_sqlite_text(st, 11),
        .renews = mu_sqlite_blob(st, 12),
        .serial = mu_sqlite_blob(st, 13),
        .words = mu_sqlite_text(st, 14),
        .created_s = sqlite3_column_int64(st, 15),
        .changed_s = sqlite3_column_int64(st, 16),
        .address = mu_sqlite_text(st, 17),
        .kept = mu_sqlite_blob(st, 18),
    };
}

void mu_sqlite_row_entry(sqlite3_stmt *st, struct mu_record_entry *row)
{
    *row = (struct mu_record_entry){
        .name = mu_sqlite_text(st, 0),
        .protocols = (unsigned)sqlite3_column_int64(st, 1),
        .profile = mu_sqlite_text(st, 2),
        .ca = mu_sqlite_text(st, 3),
        .password_hash = mu_sqlite_blob(st, 4),
        .sealed = mu_sqlite_blob(st, 5),
        .disabled = sqlite3_column_int(st, 6) != 0,
        .created_s = sqlite3_column_int64(st, 7),
        .expires_s = sqlite3_column_int64(st, 8),
        .max_uses = sqlite3_column_int64(st, 9),
        .uses = sqlite3_column_int64(st, 10),
        .last_use_s = sqlite3_column_int64(st, 11),
        .reset_s = sqlite3_column_int64(st, 12),
        .comments = mu_sqlite_text(st, 13),
    };
}

void mu_sqlite_row_audit(sqlite3_stmt *st, struct mu_record_audit *row)
{
    *row = (struct mu_record_audit){
        .id = sqlite3_column_int64(st, 0),
        .time_s = sqlite3_column_int64(st, 1),
        .action = mu_sqlite_text(st, 2),
        .success = sqlite3_column_int(st, 3) != 0,
        .reason = (enum mu_reason)sqlite3_column_int(st, 4),
        .proto = (enum mu_proto)sqlite3_column_int(st, 5),
        .ca = mu_sqlite_text(st, 6),
        .profile = mu_sqlite_text(st, 7),
        .entry = mu_sqlite_text(st, 8),
        .subject = mu_sqlite_text(st, 9),
        .serial = mu_sqlite_blob(st, 10),
        .transaction_id = mu_sqlite_text(st, 11),
        .address = mu_sqlite_text(st, 12),
        .user_agent = mu_sqlite_text(st, 13),
        .size = sqlite3_column_int64(st, 14),
        .message = mu_sqlite_text(st, 15),
    };
}
