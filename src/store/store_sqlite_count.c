/* Numbers for dashboards and metrics, quick with a million certificates. */
#include "store/store_sqlite_db.h"

/* Reads so many numbers of one row. */
static enum mu_code numbers(
    struct mu_sqlite_conn *r, sqlite3_stmt *st, int64_t *const out[], int count, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (mu_sqlite_read_row(r, st, &rc, err))
        for (int i = 0; i < count; i++)
            *out[i] = sqlite3_column_int64(st, i);
    sqlite3_reset(st);
    return rc;
}

/* What the audit trail says of the time since. */
static enum mu_code count_day(
    struct mu_sqlite_conn *r, int64_t since_s, struct mu_store_counts *n, struct mu_err *err)
{
    int64_t low = 0, high = 0, id, time_s;
    int64_t *const ends[] = {&low, &high}, *const row[] = {&id, &time_s};
    int64_t *const out[] = {&n->issued_24h, &n->renewed_24h, &n->refused_24h};
    enum mu_code rc = numbers(r, mu_sqlite_bind(r, MU_SQLITE_AUDIT_ENDS, ""), ends, 2, err);

    high++; /* behind the last: nothing happened since */
    while (rc == MU_OK && low < high) {
        int64_t middle = low + (high - low) / 2;

        id = high;
        time_s = INT64_MAX;
        rc = numbers(r, mu_sqlite_bind(r, MU_SQLITE_AUDIT_TIME, "i", middle), row, 2, err);
        if (time_s > since_s)
            high = middle;
        else
            low = id + 1;
    }
    return rc != MU_OK ? rc
                       : numbers(r, mu_sqlite_bind(r, MU_SQLITE_AUDIT_DAY, "i", low), out, 3, err);
}

void mu_sqlite_counts(
    struct mu_store *store, int64_t now_s, mu_store_counts_call *call, void *cookie)
{
    struct mu_sqlite *s = mu_sqlite_of(store);
    struct mu_sqlite_conn *r = NULL;
    struct mu_store_counts n = {0};
    int64_t *const out[] = {&n.certs, &n.live, &n.revoked, &n.expiring_30d, &n.pending,
        &n.oldest_pending_s, &n.entries};
    struct mu_err err = {0};
    enum mu_code rc = mu_sqlite_reader_get(s, &r, &err);

    if (rc == MU_OK) {
        rc = numbers(
            r, mu_sqlite_bind(r, MU_SQLITE_COUNTS, "ii", now_s, now_s + 30 * 86400), out, 7, &err);
        if (rc == MU_OK)
            rc = count_day(r, now_s - 86400, &n, &err);
        mu_sqlite_reader_put(s, r);
    }
    call(cookie, rc == MU_OK ? &n : NULL, rc == MU_OK ? NULL : &err);
}
