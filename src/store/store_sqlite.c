/* Opening, creating and closing the database: file mode, schema, migrations, the writer's start. */
#include "store/store_sqlite_db.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

/* "must": tells our files from others (PRAGMA application_id). */
enum { APPLICATION_ID = 0x6d757374 };

/* Every index costs each enrollment a page in the log, so there are few: what a decision asks by,
 * and what lists are read by. Large columns stand last. */
static const char schema_1[] =
    "CREATE TABLE ca(name TEXT PRIMARY KEY, chain BLOB NOT NULL, key_ref TEXT NOT NULL,"
    " ra BLOB NOT NULL, ra_key_ref TEXT NOT NULL, next BLOB NOT NULL, next_key_ref TEXT NOT NULL,"
    " settings TEXT NOT NULL, created_s INTEGER NOT NULL);"
    "CREATE TABLE profile(name TEXT PRIMARY KEY, settings TEXT NOT NULL, created_s INTEGER NOT "
    "NULL);"
    "CREATE TABLE entry(name TEXT PRIMARY KEY, protocols INTEGER NOT NULL, profile TEXT NOT NULL,"
    " ca TEXT NOT NULL, password_hash BLOB NOT NULL, sealed BLOB NOT NULL, disabled INTEGER NOT "
    "NULL,"
    " created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL, max_uses INTEGER NOT NULL,"
    " uses INTEGER NOT NULL, last_use_s INTEGER NOT NULL, reset_s INTEGER NOT NULL,"
    " comments TEXT NOT NULL);"
    "CREATE UNIQUE INDEX entry_password ON entry(password_hash) WHERE length(password_hash) > 0;"
    "CREATE TABLE cert(id INTEGER PRIMARY KEY, ca TEXT NOT NULL, serial BLOB NOT NULL,"
    " subject TEXT NOT NULL, subject_hash BLOB NOT NULL, key_hash BLOB NOT NULL,"
    " not_before_s INTEGER NOT NULL, not_after_s INTEGER NOT NULL, issued_s INTEGER NOT NULL,"
    " proto INTEGER NOT NULL, profile TEXT NOT NULL, entry TEXT NOT NULL,"
    " transaction_id TEXT NOT NULL, renews BLOB NOT NULL, renewed_by BLOB NOT NULL,"
    " revoked_s INTEGER NOT NULL, revoke_reason INTEGER NOT NULL, delivery_known INTEGER NOT NULL,"
    " der BLOB NOT NULL);"
    "CREATE UNIQUE INDEX cert_serial ON cert(serial, ca);"
    "CREATE INDEX cert_subject ON cert(subject, ca);"
    "CREATE INDEX cert_key ON cert(key_hash);"
    "CREATE INDEX cert_end ON cert(not_after_s, revoked_s);"
    "CREATE INDEX cert_revoked ON cert(ca, revoked_s) WHERE revoked_s > 0;"
    "CREATE TABLE request(id INTEGER PRIMARY KEY, proto INTEGER NOT NULL,"
    " ca TEXT NOT NULL, transaction_id TEXT NOT NULL, signer BLOB NOT NULL, digest BLOB NOT NULL,"
    " state INTEGER NOT NULL, subject TEXT NOT NULL, subject_hash BLOB NOT NULL,"
    " profile TEXT NOT NULL, entry TEXT NOT NULL, renews BLOB NOT NULL, serial BLOB NOT NULL,"
    " words TEXT NOT NULL, created_s INTEGER NOT NULL, changed_s INTEGER NOT NULL,"
    " address TEXT NOT NULL, csr BLOB NOT NULL);"
    "CREATE UNIQUE INDEX request_transaction ON request(signer, digest, transaction_id, ca, proto);"
    "CREATE INDEX request_pending ON request(ca, created_s) WHERE state = 0;"
    "CREATE TABLE audit(id INTEGER PRIMARY KEY, time_s INTEGER NOT NULL,"
    " action TEXT NOT NULL, success INTEGER NOT NULL, reason INTEGER NOT NULL,"
    " proto INTEGER NOT NULL, ca TEXT NOT NULL, profile TEXT NOT NULL, entry TEXT NOT NULL,"
    " subject TEXT NOT NULL, serial BLOB NOT NULL, transaction_id TEXT NOT NULL,"
    " address TEXT NOT NULL, user_agent TEXT NOT NULL, size INTEGER NOT NULL,"
    " message TEXT NOT NULL);"
    "CREATE TABLE crl(ca TEXT NOT NULL, number INTEGER NOT NULL, this_update_s INTEGER NOT NULL,"
    " next_update_s INTEGER NOT NULL, der BLOB NOT NULL, PRIMARY KEY(ca, number)) WITHOUT ROWID;"
    "CREATE TABLE setting(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

/* EST and CMP: confirmations, and what an engine keeps of a transaction. Their indexes hold only
 * rows of theirs, so that SCEP pays nothing. */
static const char schema_2[] =
    "ALTER TABLE cert ADD COLUMN confirm INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cert ADD COLUMN confirm_until_s INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX cert_unconfirmed ON cert(confirm_until_s) WHERE confirm = 1;"
    "ALTER TABLE request ADD COLUMN kept BLOB NOT NULL DEFAULT x'';"
    "CREATE INDEX request_cmp ON request(transaction_id, ca) WHERE proto = 3;";

/* EST: keys that wait to be fetched; few rows have any. */
static const char schema_3[] =
    "CREATE INDEX request_key ON request(changed_s) WHERE proto = 2 AND length(kept) > 0;";

/* The i-th brings a database from version i to i + 1. */
static const char *const migrations[] = {schema_1, schema_2, schema_3};
enum { VERSION = sizeof migrations / sizeof migrations[0] };

static int64_t pragma(struct mu_sqlite_conn *conn, const char *sql)
{
    sqlite3_stmt *st = NULL;
    int64_t value = -1;

    if (sqlite3_prepare_v2(conn->db, sql, -1, &st, NULL) == SQLITE_OK
        && sqlite3_step(st) == SQLITE_ROW)
        value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return value;
}

static enum mu_code migrate_from(struct mu_sqlite_conn *conn, int64_t version, struct mu_err *err)
{
    char sql[96];
    enum mu_code rc = MU_OK;

    for (; rc == MU_OK && version < VERSION; version++)
        rc = mu_sqlite_exec(conn, migrations[version], err);
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION_ID,
        VERSION);
    return rc != MU_OK ? rc : mu_sqlite_exec(conn, sql, err);
}

static enum mu_code migrate(struct mu_sqlite *s, struct mu_err *err)
{
    struct mu_sqlite_conn *conn = s->writer;
    int64_t version, id;
    enum mu_code rc;

    if ((rc = mu_sqlite_exec(conn, "PRAGMA journal_mode=WAL;", err)) != MU_OK
        || (rc = mu_sqlite_exec(conn, "BEGIN IMMEDIATE", err)) != MU_OK)
        return rc;
    version = pragma(conn, "PRAGMA user_version");
    id = pragma(conn, "PRAGMA application_id");
    if (id != APPLICATION_ID
        && (id != 0 || version != 0 || pragma(conn, "SELECT count(*) FROM sqlite_schema") != 0))
        rc = mu_err_set(err, MU_STORAGE, MU_REASON_NONE,
            "store: %s is the database of another program", s->path);
    else if (version > VERSION || version < 0)
        rc = mu_err_set(err, MU_STORAGE, MU_REASON_NONE,
            "store: %s has version %lld, this program knows up to %d", s->path, (long long)version,
            VERSION);
    else if (version < VERSION)
        rc = migrate_from(conn, version, err);
    if (rc != MU_OK) {
        (void)!mu_sqlite_exec(conn, "ROLLBACK", NULL);
        return rc;
    }
    return mu_sqlite_exec(conn, "COMMIT", err);
}

/* The name of a new file is durable once its directory is. */
static bool sync_directory(const char *path)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    free(copy);
    return ok;
}

static enum mu_code create_file(const char *path, struct mu_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    bool ok;

    ok = fd >= 0 && fstat(fd, &st) == 0 && ((st.st_mode & 077) == 0 || fchmod(fd, 0600) == 0);
    if (ok && st.st_size == 0)
        ok = fsync(fd) == 0 && sync_directory(path);
    if (!ok)
        mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok ? MU_OK : MU_STORAGE;
}

static void sqlite_close(struct mu_store *store)
{
    struct mu_sqlite *s = mu_sqlite_of(store);
    struct mu_sqlite_conn *conn;

    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_broadcast(&s->some);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    while ((conn = s->pool) != NULL) {
        s->pool = conn->next;
        mu_sqlite_close(conn);
    }
    mu_sqlite_close(s->writer);
    pthread_mutex_destroy(&s->pool_lock);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->some);
    free(s->path);
    free(s);
}

static struct mu_store_ops ops;
static pthread_once_t ops_once = PTHREAD_ONCE_INIT;

static void ops_init(void)
{
    ops = mu_sqlite_read_ops;
    ops.submit = mu_sqlite_submit;
    ops.flush = mu_sqlite_flush;
    ops.close = sqlite_close;
}

static enum mu_code start(struct mu_sqlite *s, struct mu_err *err)
{
    enum mu_code rc;

    if (s->read_only)
        return MU_OK;
    if ((rc = create_file(s->path, err)) != MU_OK
        || (rc = mu_sqlite_open(s->path, false, mu_sqlite_write_sql, &s->writer, err)) != MU_OK
        || (rc = migrate(s, err)) != MU_OK)
        return rc;
    if (pthread_create(&s->thread, NULL, mu_sqlite_writer, s) != 0)
        return mu_err_set(
            err, MU_MEMORY, MU_REASON_NONE, "store: cannot start the writer's thread");
    s->has_thread = true;
    return MU_OK;
}

/* The writer waits by the clock that nobody sets. */
static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

enum mu_code mu_store_sqlite_open(
    const struct mu_store_sqlite_config *config, struct mu_store **out, struct mu_err *err)
{
    struct mu_sqlite *s = calloc(1, sizeof *s);
    enum mu_code rc;

    if (s == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a store");
    pthread_once(&ops_once, ops_init);
    s->base.ops = &ops;
    s->post = config->post;
    s->answers = config->answers;
    s->read_only = config->read_only;
    s->max_queue = config->max_queue != 0 ? config->max_queue : 8192;
    s->tail = &s->head;
    pthread_mutex_init(&s->pool_lock, NULL);
    pthread_mutex_init(&s->lock, NULL);
    cond_init(&s->some);
    if ((rc = mu_text_dup(config->path, &s->path, err)) == MU_OK)
        rc = start(s, err);
    if (rc != MU_OK) {
        sqlite_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return MU_OK;
}

enum mu_code mu_store_sqlite_backup(struct mu_store *store, const char *path, struct mu_err *err)
{
    struct mu_sqlite *s = mu_sqlite_of(store);
    struct mu_sqlite_conn *from = NULL, *to = NULL;
    sqlite3_backup *backup;
    enum mu_code rc;
    int fd;

    if ((fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        return mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write %s: %s", path, strerror(errno));
    if ((rc = mu_sqlite_open(s->path, true, mu_sqlite_read_sql, &from, err)) != MU_OK
        || (rc = mu_sqlite_open(path, false, mu_sqlite_read_sql, &to, err)) != MU_OK)
        goto out;
    backup = sqlite3_backup_init(to->db, "main", from->db, "main");
    if (backup == NULL || sqlite3_backup_step(backup, -1) != SQLITE_DONE)
        rc = mu_sqlite_fault(to, "backup", err);
    if (backup != NULL && sqlite3_backup_finish(backup) != SQLITE_OK && rc == MU_OK)
        rc = mu_sqlite_fault(to, "backup", err);
    if (rc == MU_OK && (fsync(fd) != 0 || !sync_directory(path)))
        rc = mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write %s: %s", path, strerror(errno));
out:
    mu_sqlite_close(to);
    mu_sqlite_close(from);
    close(fd);
    if (rc != MU_OK)
        unlink(path);
    return rc;
}
