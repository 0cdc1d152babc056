/* One SQLite connection with its prepared statements: what the files store_sqlite*.c share. */
#ifndef MU_STORE_STORE_SQLITE_DB_H
#define MU_STORE_STORE_SQLITE_DB_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/store.h"

enum { MU_SQLITE_STATEMENTS = 56 };

/* Belongs to one thread at a time (opened with NOMUTEX). */
struct mu_sqlite_conn {
    sqlite3 *db;
    const char *const *sql; /* texts; prepared at their first use and kept */
    sqlite3_stmt *st[MU_SQLITE_STATEMENTS];
    struct mu_sqlite_conn *next; /* in the pool */
};

struct mu_sqlite {
    struct mu_store base;
    char *path;
    struct mu_store_post post;
    struct mu_store_answers answers;
    bool read_only;
    /* readers not in use */
    pthread_mutex_t pool_lock;
    struct mu_sqlite_conn *pool;
    /* the writer and its queue */
    struct mu_sqlite_conn *writer;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct mu_store_change *head, **tail;
    unsigned queued, max_queue;
    unsigned wanted; /* so many have to be queued for the writer to be woken */
    bool stop;
};

enum mu_code mu_sqlite_open(const char *path, bool read_only, const char *const *sql,
    struct mu_sqlite_conn **out, struct mu_err *err) MU_CHECK;
void mu_sqlite_close(struct mu_sqlite_conn *conn);
/* MU_STORAGE (MU_BUSY where it may pass) with SQLite's words. */
enum mu_code mu_sqlite_fault(
    const struct mu_sqlite_conn *conn, const char *what, struct mu_err *err);
enum mu_code mu_sqlite_exec(
    struct mu_sqlite_conn *conn, const char *sql, struct mu_err *err) MU_CHECK;
/* The id-th statement, reset, with parameters bound in order: 't' const char *, 'b' struct
 * mu_bytes, 'i' int64_t. What is bound must stay until the next reset. NULL on failure. */
sqlite3_stmt *mu_sqlite_bind(struct mu_sqlite_conn *conn, unsigned id, const char *types, ...);
/* For statements without rows. */
enum mu_code mu_sqlite_run(
    struct mu_sqlite_conn *conn, sqlite3_stmt *st, struct mu_err *err) MU_CHECK;

/* Columns in the order the row functions read them. */
#define MU_SQLITE_CERT                                                                             \
    "id, ca, serial, der, subject, subject_hash, key_hash, not_before_s, not_after_s, issued_s, "  \
    "proto, profile, entry, transaction_id, renews, renewed_by, revoked_s, revoke_reason, "        \
    "delivery_known, confirm, confirm_until_s"
#define MU_SQLITE_REQUEST                                                                          \
    "id, proto, ca, transaction_id, signer, digest, state, csr, subject, subject_hash, profile, "  \
    "entry, renews, serial, words, created_s, changed_s, address, kept"
#define MU_SQLITE_ENTRY                                                                            \
    "name, protocols, profile, ca, password_hash, sealed, disabled, created_s, expires_s, "        \
    "max_uses, uses, last_use_s, reset_s, comments"
#define MU_SQLITE_AUDIT                                                                            \
    "id, time_s, action, success, reason, proto, ca, profile, entry, subject, serial, "            \
    "transaction_id, address, user_agent, size, message"
void mu_sqlite_row_cert(sqlite3_stmt *st, struct mu_record_cert *row);
void mu_sqlite_row_request(sqlite3_stmt *st, struct mu_record_request *row);
void mu_sqlite_row_entry(sqlite3_stmt *st, struct mu_record_entry *row);
void mu_sqlite_row_audit(sqlite3_stmt *st, struct mu_record_audit *row);
const char *mu_sqlite_text(sqlite3_stmt *st, int column); /* never NULL */
struct mu_bytes mu_sqlite_blob(sqlite3_stmt *st, int column);

/* store_sqlite_write.c: one batch. Its first statements are the writer's. */
enum mu_sqlite_write_step {
    MU_SQLITE_BEGIN,
    MU_SQLITE_COMMIT,
    MU_SQLITE_ROLLBACK,
    MU_SQLITE_SAVE,
    MU_SQLITE_BACK,
    MU_SQLITE_RELEASE,
    MU_SQLITE_STEPS,
};
extern const char *const mu_sqlite_write_sql[];
/* One batch and what became of it. The rows are copies. */
struct mu_sqlite_outcome {
    struct mu_store_change *change;
    enum mu_code code;
    enum mu_store_lost lost;
    struct mu_record_request *request;
    struct mu_record_cert *cert;
    struct mu_record_entry *entry;
    int64_t request_id;
    struct mu_err err;
};
/* MU_OK with outcome->lost set: a condition was lost, what was done so far must be undone. */
enum mu_code mu_sqlite_apply(
    struct mu_sqlite_conn *writer, struct mu_sqlite_outcome *outcome) MU_CHECK;
/* store_sqlite_writer.c */
void *mu_sqlite_writer(void *sqlite);
void mu_sqlite_submit(struct mu_store *store, struct mu_store_change *change);
void mu_sqlite_flush(struct mu_store *store);
/* store_sqlite_read.c. Its first statements are those of store_sqlite_count.c and of
 * store_sqlite_list.c. */
enum {
    MU_SQLITE_COUNTS,
    MU_SQLITE_AUDIT_ENDS,
    MU_SQLITE_AUDIT_TIME,
    MU_SQLITE_AUDIT_DAY,
    MU_SQLITE_CAS,
    MU_SQLITE_PROFILES,
    MU_SQLITE_SETTINGS,
    MU_SQLITE_CRL,
    MU_SQLITE_READ_STEPS,
};
extern const struct mu_store_ops mu_sqlite_read_ops; /* all but submit and close */
extern const char *const mu_sqlite_read_sql[];
enum mu_code mu_sqlite_reader_get(
    struct mu_sqlite *s, struct mu_sqlite_conn **out, struct mu_err *err) MU_CHECK;
void mu_sqlite_reader_put(struct mu_sqlite *s, struct mu_sqlite_conn *conn);
/* One row at most; false: no row, or *rc is set. The statement stays on its row until reset. */
bool mu_sqlite_read_row(
    struct mu_sqlite_conn *r, sqlite3_stmt *st, enum mu_code *rc, struct mu_err *err);
void mu_sqlite_ask(
    struct mu_store *store, const struct mu_store_ask *ask, mu_store_facts_call *call, void *cookie);
/* store_sqlite_count.c */
void mu_sqlite_counts(
    struct mu_store *store, int64_t now_s, mu_store_counts_call *call, void *cookie);

static inline struct mu_sqlite *mu_sqlite_of(struct mu_store *store)
{
    return (struct mu_sqlite *)(void *)store;
}

#endif
