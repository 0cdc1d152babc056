/*
 * The one writer: takes what is queued, applies each batch behind a savepoint, commits them
 * together, then answers. Nothing is answered before the commit, winners' rows included.
 */
#include "store/store_sqlite_db.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "store/store_row.h"

enum {
    GROUP_MAX = 64, /* batches per commit */
    EXPECT_MAX = 32, /* waited for at most; the rest of the load goes on meanwhile */
    LINGER_NS = 8 * 1000 * 1000, /* in all */
    LINGER_GAP_NS =
        3 * 1000 * 1000, /* for the next one: as long as making one takes on a slow core */
    PROBE = 16,
};

/* Of a thread that calls mu_store_flush. */
static _Thread_local bool gathers, has_gathered;

/* What the last commits were like. */
struct pace {
    unsigned expect; /* below 2: nobody keeps company */
    unsigned alone, hold;
};

static enum mu_code step(struct mu_sqlite_conn *w, enum mu_sqlite_write_step id, struct mu_err *err)
{
    return mu_sqlite_run(w, mu_sqlite_bind(w, id, ""), err);
}

static void fail_all(
    struct mu_sqlite_outcome *group, size_t n, enum mu_code code, const struct mu_err *err)
{
    for (size_t i = 0; i < n; i++) {
        group[i].code = code;
        group[i].err = *err;
        group[i].lost = MU_STORE_LOST_NONE;
    }
}

static void apply_and_judge(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    o->code = mu_sqlite_apply(w, o);
    if (o->lost != MU_STORE_LOST_NONE)
        o->code = mu_err_set(
            &o->err, MU_DENIED, MU_REASON_NONE, "store: %s", mu_store_lost_text(o->lost));
}

static enum mu_code apply_among(
    struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o, struct mu_err *err)
{
    enum mu_code rc;

    if ((rc = step(w, MU_SQLITE_SAVE, err)) != MU_OK)
        return rc;
    apply_and_judge(w, o);
    if (o->code != MU_OK && (rc = step(w, MU_SQLITE_BACK, err)) != MU_OK)
        return rc;
    return step(w, MU_SQLITE_RELEASE, err);
}

/* One alone needs no savepoint: losing, it takes the transaction with it. */
static enum mu_code commit_one(
    struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o, struct mu_err *err)
{
    apply_and_judge(w, o);
    if (o->code == MU_OK)
        return step(w, MU_SQLITE_COMMIT, err);
    return sqlite3_get_autocommit(w->db) ? MU_OK : step(w, MU_SQLITE_ROLLBACK, err);
}

static void commit_group(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *group, size_t n)
{
    struct mu_err err = {0};
    enum mu_code rc = step(w, MU_SQLITE_BEGIN, &err);

    if (rc == MU_OK && n == 1) {
        rc = commit_one(w, group, &err);
    } else {
        for (size_t i = 0; rc == MU_OK && i < n; i++)
            rc = apply_among(w, &group[i], &err);
        if (rc == MU_OK)
            rc = step(w, MU_SQLITE_COMMIT, &err);
    }
    if (rc == MU_OK)
        return;
    if (!sqlite3_get_autocommit(w->db))
        (void)!step(w, MU_SQLITE_ROLLBACK, NULL);
    fail_all(group, n, rc, &err);
}

/* ---- answering ---- */

static void answer(struct mu_sqlite_outcome *o)
{
    struct mu_store_result result = {.code = o->code,
        .lost = o->lost,
        .request = o->request,
        .cert = o->cert,
        .entry = o->entry,
        .request_id = o->request_id,
        .err = o->code != MU_OK ? &o->err : NULL};

    o->change->done(o->change->cookie, &result);
    mu_store_row_free(MU_STORE_ROW_REQUEST, o->request);
    mu_store_row_free(MU_STORE_ROW_CERT, o->cert);
    mu_store_row_free(MU_STORE_ROW_ENTRY, o->entry);
}

static void answer_posted(void *cookie)
{
    answer(cookie);
    free(cookie);
}

static void answer_where_wanted(struct mu_sqlite *s, struct mu_sqlite_outcome *o)
{
    struct mu_sqlite_outcome *copy;

    if (!o->change->any_thread && s->post.post != NULL && o->change->caller_ != NULL
        && (copy = malloc(sizeof *copy)) != NULL) {
        *copy = *o;
        if (s->post.post(s->post.ctx, o->change->caller_, answer_posted, copy))
            return;
        free(copy);
    }
    answer(o);
}

static void answer_group(struct mu_sqlite *s, struct mu_sqlite_outcome *group, size_t n)
{
    if (s->answers.begin != NULL)
        s->answers.begin(s->answers.ctx);
    for (size_t i = 0; i < n; i++)
        answer_where_wanted(s, &group[i]);
    if (s->answers.end != NULL)
        s->answers.end(s->answers.ctx);
}

/* ---- the queue ---- */

static struct mu_store_change *take(struct mu_sqlite *s)
{
    struct mu_store_change *c = s->head;

    if (c == NULL)
        return NULL;
    s->head = c->next_;
    if (s->head == NULL)
        s->tail = &s->head;
    s->queued--;
    c->next_ = NULL;
    return c;
}

static struct timespec later(const struct timespec *from, long ns)
{
    struct timespec t = *from;

    t.tv_nsec += ns;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Waits until expect changes are queued, or none came within LINGER_GAP_NS, or LINGER_NS are over;
 * false: the time was up. Called with the lock; woken by the last of them only. */
static bool linger(struct mu_sqlite *s, unsigned expect)
{
    struct timespec now, end, until;
    unsigned seen = s->queued;

    clock_gettime(CLOCK_MONOTONIC, &now);
    end = later(&now, LINGER_NS);
    until = later(&now, LINGER_GAP_NS);
    s->wanted = expect;
    while (s->queued < expect && !s->stop) {
        if (is_before(&end, &until))
            until = end;
        if (pthread_cond_timedwait(&s->some, &s->lock, &until) == 0)
            continue;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (s->queued == seen || !is_before(&now, &end))
            return s->queued >= expect;
        seen = s->queued;
        until = later(&now, LINGER_GAP_NS);
    }
    return true;
}

/* How long it pays to wait for company. A commit costs the same for one as for ten, but a client
 * that asks alone must not wait: so one alone goes at once, and every PROBE-th time it is tried
 * whether others come; while they do, as many are waited for as came last time, now and then one
 * more. Called with the lock. */
static void gather(struct mu_sqlite *s, struct pace *pace)
{
    if (pace->expect < 2 && s->queued < 2 && ++pace->alone % PROBE != 0)
        return;
    if (pace->expect < 2)
        pace->expect = 2;
    if (!linger(s, pace->expect)) {
        pace->expect = s->queued;
        pace->hold = PROBE;
    } else if (pace->hold != 0) {
        pace->hold--;
    } else if (pace->expect < EXPECT_MAX) {
        pace->expect++;
    }
}

void *mu_sqlite_writer(void *sqlite)
{
    struct mu_sqlite *s = sqlite;
    static _Thread_local struct mu_sqlite_outcome group[GROUP_MAX];
    struct pace pace = {0};
    size_t n;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        s->wanted = 1;
        while (s->head == NULL && !s->stop)
            pthread_cond_wait(&s->some, &s->lock);
        if (s->head == NULL)
            break;
        gather(s, &pace);
        for (n = 0; n < GROUP_MAX && s->head != NULL; n++)
            group[n] = (struct mu_sqlite_outcome){.change = take(s)};
        s->wanted = UINT_MAX; /* looks itself when it is ready */
        pthread_mutex_unlock(&s->lock);
        commit_group(s->writer, group, n);
        answer_group(s, group, n);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void mu_store_thread_gathers(void)
{
    gathers = true;
}

void mu_sqlite_flush(struct mu_store *store)
{
    struct mu_sqlite *s = mu_sqlite_of(store);

    if (!has_gathered)
        return;
    has_gathered = false;
    pthread_mutex_lock(&s->lock);
    if (s->queued >= s->wanted)
        pthread_cond_signal(&s->some);
    pthread_mutex_unlock(&s->lock);
}

void mu_sqlite_submit(struct mu_store *store, struct mu_store_change *change)
{
    struct mu_sqlite *s = mu_sqlite_of(store);
    struct mu_err err = {0};
    enum mu_code rc = MU_OK;

    change->next_ = NULL;
    change->caller_ =
        !change->any_thread && s->post.caller != NULL ? s->post.caller(s->post.ctx) : NULL;
    pthread_mutex_lock(&s->lock);
    if (s->read_only)
        rc = mu_err_set(
            &err, MU_STORAGE, MU_REASON_NONE, "store: %s is open for reading only", s->path);
    else if (s->queued >= s->max_queue)
        rc = mu_err_set(&err, MU_BUSY, MU_REASON_NONE, "store: too many changes are waiting");
    if (rc == MU_OK) {
        *s->tail = change;
        s->tail = &change->next_;
        s->queued++;
        has_gathered = gathers;
        if (!gathers && s->queued >= s->wanted)
            pthread_cond_signal(&s->some);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc != MU_OK)
        change->done(change->cookie, &(struct mu_store_result){.code = rc, .err = &err});
}
