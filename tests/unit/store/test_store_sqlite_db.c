/* What the SQLite store is beyond store.h: a file, with its mode, version, readers, copies. */
#include "store_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void execute(const char *file, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static bool last_id(void *cookie, const struct mu_record_cert *row, const struct mu_err *err)
{
    if (row != NULL)
        *(unsigned *)cookie += 1;
    return true;
}

static unsigned cert_count(void)
{
    unsigned n = 0;

    store_case->ops->certs(store_case, &(struct mu_store_filter){0}, last_id, &n);
    return n;
}

static void submit_cert(unsigned n, enum mu_code want)
{
    struct mu_record_cert cert = store_cert(n);
    struct mu_store_change change = {.cert = &cert};

    store_submit(&change, want);
}

static void records_are_there_after_reopening(void **state)
{
    submit_cert(1, MU_OK);
    mu_store_close(store_case);
    store_case = NULL;
    assert_int_equal(store_file_store(NULL), MU_OK);
    assert_int_equal(cert_count(), 1);
    submit_cert(1, MU_DENIED);
}

static void the_file_is_for_its_owner(void **state)
{
    struct stat st;

    assert_int_equal(stat(store_file_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    submit_cert(1, MU_OK);
    mu_store_close(store_case);
    store_case = NULL;
    assert_int_equal(chmod(store_file_path, 0644), 0);
    assert_int_equal(store_file_store(NULL), MU_OK);
    assert_int_equal(stat(store_file_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void another_programs_database_is_refused(void **state)
{
    struct mu_err err = {0};

    execute(store_file_path, "CREATE TABLE theirs(x)");
    assert_int_equal(store_file_store(&err), MU_STORAGE);
    assert_non_null(strstr(err.what, "another program"));
}

static void a_newer_version_is_refused(void **state)
{
    struct mu_err err = {0};

    assert_int_equal(store_file_store(NULL), MU_OK);
    mu_store_close(store_case);
    store_case = NULL;
    execute(store_file_path, "PRAGMA user_version=99");
    assert_int_equal(store_file_store(&err), MU_STORAGE);
    assert_non_null(strstr(err.what, "version 99"));
}

/* A database of the version before confirmations opens with its records, and upgrades once. */
static void an_old_database_is_upgraded(void **state)
{
    struct mu_record_cert cert = store_cert(2);
    struct mu_store_change change = {.cert = &cert};
    struct mu_store_change settle = {
        .confirm_ca = "ca", .confirm_serial = cert.serial, .confirm = MU_RECORD_CONFIRMED};

    submit_cert(1, MU_OK);
    mu_store_close(store_case);
    store_case = NULL;
    execute(store_file_path,
        "DROP INDEX cert_unconfirmed; DROP INDEX request_cmp;"
        "ALTER TABLE cert DROP COLUMN confirm; ALTER TABLE cert DROP COLUMN confirm_until_s;"
        "DROP INDEX request_key; ALTER TABLE request DROP COLUMN kept; PRAGMA user_version=1;");
    assert_int_equal(store_file_store(NULL), MU_OK);
    assert_int_equal(cert_count(), 1);
    cert.confirm = MU_RECORD_CONFIRM_WAITING;
    store_submit(&change, MU_OK);
    store_submit(&settle, MU_OK);
    mu_store_close(store_case);
    store_case = NULL;
    assert_int_equal(store_file_store(NULL), MU_OK);
    assert_int_equal(cert_count(), 2);
}

static void garbage_is_refused(void **state)
{
    int fd = open(store_file_path, O_WRONLY | O_CREAT, 0600);
    struct mu_err err = {0};

    assert_true(
        write(fd, "this is no database at all, but it is long enough to look at it", 63) == 63);
    close(fd);
    assert_int_equal(store_file_store(&err), MU_STORAGE);
}

static void a_missing_directory_is_named(void **state)
{
    struct mu_err err = {0};

    snprintf(store_file_path, STORE_FILE_PATH, "%s/none/ca.db", store_file_root);
    assert_int_equal(store_file_store(&err), MU_STORAGE);
    assert_int_equal(err.reason, MU_M(702));
}

static void a_reader_sees_but_does_not_write(void **state)
{
    struct mu_store *owner = store_case;

    submit_cert(1, MU_OK);
    assert_int_equal(mu_store_sqlite_open(&(struct mu_store_sqlite_config){.path = store_file_path,
                                              .read_only = true},
                         &store_case, NULL),
        MU_OK);
    assert_int_equal(cert_count(), 1);
    submit_cert(2, MU_STORAGE);
    mu_store_close(store_case);
    store_case = owner;
    assert_int_equal(cert_count(), 1);
}

static void a_backup_is_whole_and_private(void **state)
{
    struct stat st;
    struct mu_err err = {0};

    for (unsigned i = 0; i < 20; i++)
        submit_cert(i, MU_OK);
    if (mu_store_sqlite_backup(store_case, store_file_copy, &err) != MU_OK)
        fail_msg("%s", err.what);
    assert_int_equal(mu_store_sqlite_backup(store_case, store_file_copy, &err),
        MU_STORAGE); /* never over a file */
    assert_int_equal(stat(store_file_copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    mu_store_close(store_case);
    snprintf(store_file_path, STORE_FILE_PATH, "%s", store_file_copy);
    assert_int_equal(store_file_store(NULL), MU_OK);
    assert_int_equal(cert_count(), 20);
}

/* ---- completions find their way back ---- */

static pthread_t poster;
static unsigned posted;
static void (*posted_call)(void *);
static void *posted_cookie;
static pthread_mutex_t post_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t post_ready = PTHREAD_COND_INITIALIZER;

static void *caller(void *ctx)
{
    return ctx;
}

static bool post(void *ctx, void *who, void (*call)(void *cookie), void *cookie)
{
    pthread_mutex_lock(&post_lock);
    poster = pthread_self();
    posted_call = call;
    posted_cookie = cookie;
    posted++;
    pthread_cond_signal(&post_ready);
    pthread_mutex_unlock(&post_lock);
    return true;
}

static void note_thread(void *cookie, const struct mu_store_result *result)
{
    assert_int_equal(result->code, MU_DENIED);
    assert_non_null(result->entry);
    assert_string_equal(result->entry->name, "gone");
    *(pthread_t *)cookie = pthread_self();
}

static void completions_are_posted_with_their_rows(void **state)
{
    int here;
    pthread_t ran;
    struct mu_record_entry entry = store_entry("gone", 1, 0);
    struct mu_store_change put = {.now_s = NOW, .entry = &entry, .entry_put = MU_STORE_CREATE};
    struct mu_store_change change = {
        .now_s = NOW, .use_entry = "gone", .done = note_thread, .cookie = &ran};
    const struct mu_store_sqlite_config config = {
        .path = store_file_path, .post = {caller, post, &here}};

    assert_int_equal(mu_store_sqlite_open(&config, &store_case, NULL), MU_OK);
    entry.disabled = true;
    store_submit(&put, MU_OK); /* any_thread: not posted */
    assert_int_equal(posted, 0);
    mu_store_submit(store_case, &change);
    pthread_mutex_lock(&post_lock);
    while (posted == 0)
        pthread_cond_wait(&post_ready, &post_lock);
    pthread_mutex_unlock(&post_lock);
    assert_false(pthread_equal(poster, pthread_self()));
    posted_call(posted_cookie);
    assert_true(pthread_equal(ran, pthread_self()));
}

static unsigned answered;

static void count_answer(void *cookie, const struct mu_store_result *result)
{
    if (result->code == MU_OK)
        __atomic_add_fetch(&answered, 1, __ATOMIC_SEQ_CST);
}

static unsigned begun, ended, inside;

static void on_begin(void *ctx)
{
    begun++;
}

static void on_end(void *ctx)
{
    inside = answered - inside;
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

static void *gather_and_flush(void *cookie)
{
    static struct mu_store_change changes[20];
    static struct mu_record_cert rows[20];

    mu_store_thread_gathers();
    for (unsigned i = 0; i < 20; i++) {
        rows[i] = store_cert(i);
        changes[i] = (struct mu_store_change){.now_s = NOW, .cert = &rows[i], .done = count_answer};
        mu_store_submit(store_case, &changes[i]);
    }
    mu_store_flush(store_case);
    mu_store_flush(store_case); /* nothing is left */
    return NULL;
}

/* One wake-up, one commit, and its answers between begin and end. */
static void what_is_gathered_is_committed_together(void **state)
{
    const struct mu_store_sqlite_config config = {
        .path = store_file_path, .answers = {on_begin, on_end, NULL}};
    pthread_t thread;

    assert_int_equal(mu_store_sqlite_open(&config, &store_case, NULL), MU_OK);
    answered = 0;
    assert_int_equal(pthread_create(&thread, NULL, gather_and_flush, NULL), 0);
    pthread_join(thread, NULL);
    mu_store_close(store_case);
    store_case = NULL;
    assert_int_equal(answered, 20);
    assert_int_equal(begun, 1);
    assert_int_equal(ended, 1);
    assert_int_equal(inside, 20);
}

static void closing_finishes_what_is_queued(void **state)
{
    static struct mu_store_change changes[200];
    static struct mu_record_cert rows[200];

    answered = 0;
    for (unsigned i = 0; i < 200; i++) {
        rows[i] = store_cert(i);
        changes[i] = (struct mu_store_change){.now_s = NOW, .cert = &rows[i], .done = count_answer};
        mu_store_submit(store_case, &changes[i]);
    }
    mu_store_close(store_case);
    store_case = NULL;
    assert_int_equal(answered, 200);
    assert_int_equal(store_file_store(NULL), MU_OK);
    assert_int_equal(cert_count(), 100); /* one page */
}

int main(void)
{
#define OPENED(f) cmocka_unit_test_setup_teardown(f, store_file_open, store_file_remove)
#define CLOSED(f) cmocka_unit_test_setup_teardown(f, store_file_dir, store_file_remove)
    const struct CMUnitTest tests[] = {
        OPENED(records_are_there_after_reopening),
        OPENED(the_file_is_for_its_owner),
        CLOSED(another_programs_database_is_refused),
        CLOSED(a_newer_version_is_refused),
        OPENED(an_old_database_is_upgraded),
        CLOSED(garbage_is_refused),
        CLOSED(a_missing_directory_is_named),
        OPENED(a_reader_sees_but_does_not_write),
        OPENED(a_backup_is_whole_and_private),
        CLOSED(completions_are_posted_with_their_rows),
        CLOSED(what_is_gathered_is_committed_together),
        OPENED(closing_finishes_what_is_queued),
    };

    return cmocka_run_group_tests_name("store_sqlite_db", tests, NULL, NULL);
}
