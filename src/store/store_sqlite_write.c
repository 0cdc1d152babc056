/* One batch as SQL, in the order of its members. A lost condition keeps the winner's rows. */
#include "store/store_sqlite_db.h"

#include "store/store_row.h"

enum sql {
    /* behind those of mu_sqlite_write_step */
    REQUEST_FORGET = MU_SQLITE_STEPS,
    REQUEST_NEW,
    REQUEST_SAME,
    REQUEST_LIVE,
    REQUEST_KEEP,
    REQUEST_BY_ID,
    REQUEST_SETTLE,
    REQUEST_MOVE,
    PENDING_COUNT,
    RATE_COUNT,
    RATE_PENDING,
    ALIVE_COUNT,
    CERT_NEW,
    CERT_RENEWED,
    CERT_GET,
    CERT_REVOKE,
    CERT_CONFIRM,
    CERT_LIFT,
    ENTRY_USE,
    ENTRY_GET,
    ENTRY_NEW,
    ENTRY_SET,
    ENTRY_RESET,
    ENTRY_REMOVE,
    CRL_NEW,
    CRL_TRIM,
    CA_NEW,
    CA_SET,
    CA_REMOVE,
    PROFILE_NEW,
    PROFILE_SET,
    PROFILE_REMOVE,
    SETTING_PUT,
    SETTING_REMOVE,
    EXPIRE,
    FORGET_KEPT,
    FORGET_REQUESTS,
    FORGET_AUDIT,
    AUDIT_NEW,
    SQL_N
};
_Static_assert((int)SQL_N <= (int)MU_SQLITE_STATEMENTS, "more statements than a connection keeps");

const char *const mu_sqlite_write_sql[] = {
    [MU_SQLITE_BEGIN] = "BEGIN IMMEDIATE",
    [MU_SQLITE_COMMIT] = "COMMIT",
    [MU_SQLITE_ROLLBACK] = "ROLLBACK",
    [MU_SQLITE_SAVE] = "SAVEPOINT batch",
    [MU_SQLITE_BACK] = "ROLLBACK TO batch",
    [MU_SQLITE_RELEASE] = "RELEASE batch",
    [REQUEST_FORGET] = "DELETE FROM request WHERE transaction_id=?1 AND signer=?2 AND digest=?3"
                       " AND ca=?4 AND proto=?5 AND state<>0 AND changed_s<?6",
    [REQUEST_NEW] = "INSERT INTO request(proto, ca, transaction_id, signer, digest, state, csr,"
                    " subject, subject_hash, profile, entry, renews, serial, words, created_s,"
                    " changed_s, address, kept) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
                    " ON CONFLICT DO NOTHING",
    [REQUEST_SAME] = "SELECT " MU_SQLITE_REQUEST " FROM request WHERE transaction_id=? AND signer=?"
                     " AND digest=? AND ca=? AND proto=?",
    [REQUEST_LIVE] = "SELECT " MU_SQLITE_REQUEST " FROM request WHERE transaction_id=? AND ca=?"
                     " AND proto=3 AND proto=? AND (state=0 OR changed_s>=?)"
                     " ORDER BY id DESC LIMIT 1",
    [REQUEST_KEEP] = "UPDATE request SET kept=?2 WHERE id=?1",
    [REQUEST_BY_ID] = "SELECT " MU_SQLITE_REQUEST " FROM request WHERE id=?",
    [REQUEST_SETTLE] = "UPDATE request SET state=?2, words=?3, serial=?4, changed_s=?5, csr=x'',"
                       " kept=CASE WHEN proto=2 AND ?2=2 THEN x'' ELSE kept END"
                       " WHERE id=?1 AND state=0",
    [REQUEST_MOVE] = "UPDATE OR IGNORE request SET transaction_id=?2 WHERE id=?1 AND state=0",
    [PENDING_COUNT] = "SELECT count(*) FROM request WHERE ca=? AND state=0",
    [RATE_COUNT] =
        "SELECT count(*) FROM cert WHERE subject=? AND ca=? AND subject_hash=? AND issued_s>?",
    [RATE_PENDING] =
        "SELECT count(*) FROM request WHERE ca=? AND state=0 AND subject_hash=? AND created_s>?",
    [ALIVE_COUNT] = "SELECT count(*) FROM cert WHERE subject=?1 AND ca=?2 AND subject_hash=?3"
                    " AND not_after_s>?4 AND revoked_s=0 AND issued_s>=?5 AND serial<>?6",
    [CERT_NEW] =
        "INSERT INTO cert(ca, serial, subject, subject_hash, key_hash, not_before_s,"
        " not_after_s, issued_s, proto, profile, entry, transaction_id, renews, renewed_by,"
        " revoked_s, revoke_reason, delivery_known, confirm, confirm_until_s, der)"
        " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
    [CERT_RENEWED] = "UPDATE cert SET renewed_by=? WHERE serial=? AND ca=?",
    [CERT_GET] = "SELECT " MU_SQLITE_CERT " FROM cert WHERE serial=? AND ca=?",
    [CERT_REVOKE] =
        "UPDATE cert SET revoked_s=?, revoke_reason=? WHERE serial=? AND ca=? AND revoked_s=0",
    [CERT_CONFIRM] =
        "UPDATE cert SET confirm=?3, confirm_until_s=?4, delivery_known=max(delivery_known, ?5)"
        " WHERE serial=?1 AND ca=?2 AND confirm=1",
    [CERT_LIFT] = "UPDATE cert SET revoked_s=0, revoke_reason=0 WHERE serial=? AND ca=?"
                  " AND revoked_s>0 AND revoke_reason=6",
    [ENTRY_USE] = "UPDATE entry SET uses=uses+1, last_use_s=?2 WHERE name=?1 AND disabled=0"
                  " AND (expires_s=0 OR expires_s>?2) AND (max_uses=0 OR uses<max_uses)",
    [ENTRY_GET] = "SELECT " MU_SQLITE_ENTRY " FROM entry WHERE name=?",
    [ENTRY_NEW] = "INSERT INTO entry(" MU_SQLITE_ENTRY ")"
                  " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
    [ENTRY_SET] = "UPDATE OR IGNORE entry SET protocols=?2, profile=?3, ca=?4, password_hash=?5,"
                  " sealed=?6, disabled=?7, expires_s=?8, max_uses=?9, comments=?10 WHERE name=?1",
    [ENTRY_RESET] = "UPDATE entry SET uses=0, reset_s=?2 WHERE name=?1",
    [ENTRY_REMOVE] = "DELETE FROM entry WHERE name=?",
    [CRL_NEW] = "INSERT INTO crl(ca, number, this_update_s, next_update_s, der)"
                " SELECT ?1, ?2, ?3, ?4, ?5 WHERE ?2 > ifnull((SELECT max(number) FROM crl WHERE "
                "ca=?1), -1)",
    [CRL_TRIM] = "DELETE FROM crl WHERE ca=?1 AND number < ?2 - 3",
    [CA_NEW] = "INSERT INTO ca(name, chain, key_ref, ra, ra_key_ref, next, next_key_ref, settings,"
               " created_s) VALUES(?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
    [CA_SET] = "UPDATE ca SET chain=?2, key_ref=?3, ra=?4, ra_key_ref=?5, next=?6, next_key_ref=?7,"
               " settings=?8 WHERE name=?1",
    [CA_REMOVE] = "DELETE FROM ca WHERE name=?",
    [PROFILE_NEW] =
        "INSERT INTO profile(name, settings, created_s) VALUES(?,?,?) ON CONFLICT DO NOTHING",
    [PROFILE_SET] = "UPDATE profile SET settings=?2 WHERE name=?1",
    [PROFILE_REMOVE] = "DELETE FROM profile WHERE name=?",
    [SETTING_PUT] = "INSERT INTO setting(key, value) VALUES(?1, ?2)"
                    " ON CONFLICT(key) DO UPDATE SET value=?2",
    [SETTING_REMOVE] = "DELETE FROM setting WHERE key=?",
    [EXPIRE] = "UPDATE request SET state=2, words=?3, changed_s=?4, csr=x'',"
               " kept=CASE WHEN proto=2 THEN x'' ELSE kept END"
               " WHERE state=0 AND ca=?1 AND created_s<?2",
    [FORGET_KEPT] = "UPDATE request SET kept=x''"
                    " WHERE proto=2 AND length(kept)>0 AND state<>0 AND changed_s<?1 AND ca=?2",
    /* The oldest stand first; looking at so many at a time keeps each commit short. */
    [FORGET_REQUESTS] =
        "DELETE FROM request WHERE id IN (SELECT id FROM (SELECT id, state, changed_s"
        " FROM request ORDER BY id LIMIT 2000) WHERE state<>0 AND changed_s<?)",
    [FORGET_AUDIT] = "DELETE FROM audit WHERE id IN (SELECT id FROM (SELECT id, time_s FROM audit"
                     " ORDER BY id LIMIT 2000) WHERE time_s<?)",
    [AUDIT_NEW] = "INSERT INTO audit(time_s, action, success, reason, proto, ca, profile, entry,"
                  " subject, serial, transaction_id, address, user_agent, size, message)"
                  " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
};

static int64_t number(bool v)
{
    return v ? 1 : 0;
}

/* Runs; *changed gets whether a row was written. */
static enum mu_code run(
    struct mu_sqlite_conn *w, sqlite3_stmt *st, bool *changed, struct mu_err *err)
{
    enum mu_code rc = mu_sqlite_run(w, st, err);

    if (rc == MU_OK && changed != NULL)
        *changed = sqlite3_changes(w->db) > 0;
    return rc;
}

static enum mu_code count(
    struct mu_sqlite_conn *w, sqlite3_stmt *st, int64_t *out, struct mu_err *err)
{
    if (st == NULL || sqlite3_step(st) != SQLITE_ROW)
        return mu_sqlite_fault(w, "cannot count", err);
    *out += sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return MU_OK;
}

/* ---- winners ---- */

static void keep_cert(
    struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o, struct mu_bytes serial, const char *ca)
{
    sqlite3_stmt *st = mu_sqlite_bind(w, CERT_GET, "bt", mu_enroll_record_serial(serial), ca);
    struct mu_record_cert row;

    if (st != NULL && sqlite3_step(st) == SQLITE_ROW) {
        mu_sqlite_row_cert(st, &row);
        o->cert = mu_store_row_copy(MU_STORE_ROW_CERT, &row);
    }
    sqlite3_reset(st);
}

static void keep_request(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o, sqlite3_stmt *st)
{
    struct mu_record_request row;

    if (st != NULL && sqlite3_step(st) == SQLITE_ROW) {
        mu_sqlite_row_request(st, &row);
        o->request = mu_store_row_copy(MU_STORE_ROW_REQUEST, &row);
    }
    sqlite3_reset(st);
    if (o->request != NULL && o->request->serial.n != 0)
        keep_cert(w, o, o->request->serial, o->request->ca);
}

static void keep_entry(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o, const char *name)
{
    sqlite3_stmt *st = mu_sqlite_bind(w, ENTRY_GET, "t", name);
    struct mu_record_entry row;

    if (st != NULL && sqlite3_step(st) == SQLITE_ROW) {
        mu_sqlite_row_entry(st, &row);
        o->entry = mu_store_row_copy(MU_STORE_ROW_ENTRY, &row);
    }
    sqlite3_reset(st);
}

/* ---- parts of a batch; a lost condition is MU_OK with o->lost set ---- */

static enum mu_code request_limits(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    const struct mu_record_request *r = c->request;
    int64_t n = 0;
    enum mu_code rc;

    if (r->state == MU_RECORD_PENDING && c->pending_max > 0) {
        if ((rc = count(w, mu_sqlite_bind(w, PENDING_COUNT, "t", r->ca), &n, &o->err)) != MU_OK)
            return rc;
        if (n >= c->pending_max)
            o->lost = MU_STORE_LOST_PENDING;
    }
    if (o->lost != MU_STORE_LOST_NONE || c->rate_max <= 0)
        return MU_OK;
    n = 0;
    if ((rc = count(w,
             mu_sqlite_bind(
                 w, RATE_COUNT, "ttbi", c->subject, r->ca, r->subject_hash, c->now_s - 3600),
             &n, &o->err))
            != MU_OK
        || (rc = count(w,
                mu_sqlite_bind(w, RATE_PENDING, "tbi", r->ca, r->subject_hash, c->now_s - 3600), &n,
                &o->err))
            != MU_OK)
        return rc;
    if (n >= c->rate_max)
        o->lost = MU_STORE_LOST_RATE;
    return MU_OK;
}

static enum mu_code apply_request(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    const struct mu_record_request *r = c->request;
    bool is_new;
    enum mu_code rc;

    if (r == NULL)
        return MU_OK;
    if (c->retransmit_since_s != 0
        && (rc = run(w,
                mu_sqlite_bind(w, REQUEST_FORGET, "tbbtii", r->transaction_id, r->signer, r->digest,
                    r->ca, (int64_t)r->proto, c->retransmit_since_s),
                NULL, &o->err))
            != MU_OK)
        return rc;
    if (c->transaction_alone) {
        keep_request(w, o,
            mu_sqlite_bind(w, REQUEST_LIVE, "ttii", r->transaction_id, r->ca, (int64_t)r->proto,
                c->retransmit_since_s));
        if (o->request != NULL) {
            o->lost = MU_STORE_LOST_TRANSACTION;
            return MU_OK;
        }
    }
    if ((rc = request_limits(w, o)) != MU_OK || o->lost != MU_STORE_LOST_NONE)
        return rc;
    rc = run(w,
        mu_sqlite_bind(w, REQUEST_NEW, "ittbbibtbttbbtiitb", (int64_t)r->proto, r->ca,
            r->transaction_id, r->signer, r->digest, (int64_t)r->state, r->csr, r->subject,
            r->subject_hash, r->profile, r->entry, r->renews, r->serial, r->words, r->created_s,
            r->changed_s, r->address, r->kept),
        &is_new, &o->err);
    if (rc != MU_OK)
        return rc;
    o->request_id = sqlite3_last_insert_rowid(w->db);
    if (!is_new) {
        o->lost = MU_STORE_LOST_TRANSACTION;
        keep_request(w, o,
            mu_sqlite_bind(w, REQUEST_SAME, "tbbti", r->transaction_id, r->signer, r->digest, r->ca,
                (int64_t)r->proto));
    }
    return MU_OK;
}

static enum mu_code apply_settle(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    struct mu_bytes serial = c->cert != NULL ? c->cert->serial : (struct mu_bytes){0};
    sqlite3_stmt *st;
    bool changed = false;
    enum mu_code rc;

    if (c->settle_id == 0)
        return MU_OK;
    st = c->settle_transaction_id != NULL
        ? mu_sqlite_bind(w, REQUEST_MOVE, "it", c->settle_id, c->settle_transaction_id)
        : mu_sqlite_bind(w, REQUEST_SETTLE, "iitbi", c->settle_id, (int64_t)c->settle_state,
            c->settle_words, serial, c->now_s);
    if ((rc = run(w, st, &changed, &o->err)) != MU_OK)
        return rc;
    o->request_id = c->settle_id;
    if (!changed) {
        o->lost = MU_STORE_LOST_STATE;
        keep_request(w, o, mu_sqlite_bind(w, REQUEST_BY_ID, "i", c->settle_id));
    }
    return MU_OK;
}

static enum mu_code apply_keep(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;

    return c->keep_id == 0
        ? MU_OK
        : run(w, mu_sqlite_bind(w, REQUEST_KEEP, "ib", c->keep_id, c->keep), NULL, &o->err);
}

static enum mu_code apply_cert(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    const struct mu_record_cert *r = c->cert;
    int64_t alive = 0;
    bool is_new;
    enum mu_code rc;

    if (r == NULL)
        return MU_OK;
    if (c->alive_max > 0) {
        rc = count(w,
            mu_sqlite_bind(w, ALIVE_COUNT, "ttbiib", r->subject, r->ca, r->subject_hash, c->now_s,
                c->alive_since_s, r->renews),
            &alive, &o->err);
        if (rc != MU_OK)
            return rc;
        if (alive >= c->alive_max) {
            o->lost = MU_STORE_LOST_ALIVE;
            return MU_OK;
        }
    }
    rc = run(w,
        mu_sqlite_bind(w, CERT_NEW, "tbtbbiiiitttbbiiiiib", r->ca, r->serial, r->subject,
            r->subject_hash, r->key_hash, r->not_before_s, r->not_after_s, r->issued_s,
            (int64_t)r->proto, r->profile, r->entry, r->transaction_id, r->renews, r->renewed_by,
            r->revoked_s, (int64_t)r->revoke_reason, number(r->delivery_known),
            (int64_t)r->confirm, r->confirm_until_s, r->der),
        &is_new, &o->err);
    if (rc != MU_OK)
        return rc;
    if (!is_new)
        o->lost = MU_STORE_LOST_SERIAL;
    else if (r->renews.n != 0)
        rc = run(
            w, mu_sqlite_bind(w, CERT_RENEWED, "bbt", r->serial, r->renews, r->ca), NULL, &o->err);
    return rc;
}

static enum mu_code apply_use(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    bool changed;
    enum mu_code rc;

    if (c->use_entry == NULL)
        return MU_OK;
    rc = run(w, mu_sqlite_bind(w, ENTRY_USE, "ti", c->use_entry, c->now_s), &changed, &o->err);
    if (rc == MU_OK && !changed) {
        o->lost = MU_STORE_LOST_CHALLENGE;
        keep_entry(w, o, c->use_entry);
    }
    return rc;
}

static enum mu_code apply_confirm(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    bool changed;
    enum mu_code rc;

    if (c->confirm_serial.n == 0)
        return MU_OK;
    rc = run(w,
        mu_sqlite_bind(w, CERT_CONFIRM, "btiii", c->confirm_serial, c->confirm_ca,
            (int64_t)c->confirm, c->confirm_until_s, number(c->confirm == MU_RECORD_CONFIRMED)),
        &changed, &o->err);
    if (rc == MU_OK && !changed) {
        o->lost = MU_STORE_LOST_CONFIRM;
        keep_cert(w, o, c->confirm_serial, c->confirm_ca);
    }
    return rc;
}

static enum mu_code apply_revoke(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    bool changed;
    enum mu_code rc;

    if (c->revoke_serial.n == 0)
        return MU_OK;
    rc = run(w,
        c->revoke_lift ? mu_sqlite_bind(w, CERT_LIFT, "bt", c->revoke_serial, c->revoke_ca)
                       : mu_sqlite_bind(w, CERT_REVOKE, "iibt", c->now_s, (int64_t)c->revoke_reason,
                           c->revoke_serial, c->revoke_ca),
        &changed, &o->err);
    if (rc != MU_OK || changed)
        return rc;
    keep_cert(w, o, c->revoke_serial, c->revoke_ca);
    if (o->cert == NULL || !c->revoke_lenient)
        o->lost = MU_STORE_LOST_REVOKED;
    return MU_OK;
}

static enum mu_code apply_crl(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_record_crl *r = o->change->crl;
    bool changed;
    enum mu_code rc;

    if (r == NULL)
        return MU_OK;
    rc = run(w,
        mu_sqlite_bind(w, CRL_NEW, "tiiib", r->ca, (int64_t)r->number, r->this_update_s,
            r->next_update_s, r->der),
        &changed, &o->err);
    if (rc == MU_OK && !changed)
        o->lost = MU_STORE_LOST_NUMBER;
    return rc != MU_OK
        ? rc
        : run(w, mu_sqlite_bind(w, CRL_TRIM, "ti", r->ca, (int64_t)r->number), NULL, &o->err);
}

/* Creates or replaces by put; replace comes first for MU_STORE_PUT. */
static enum mu_code put(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o,
    enum mu_store_put how,
    sqlite3_stmt *(*create)(struct mu_sqlite_conn *, const struct mu_store_change *),
    sqlite3_stmt *(*replace)(struct mu_sqlite_conn *, const struct mu_store_change *),
    sqlite3_stmt *(*remove_)(struct mu_sqlite_conn *, const struct mu_store_change *))
{
    bool changed = false;
    enum mu_code rc = MU_OK;

    if (how == MU_STORE_REMOVE)
        rc = run(w, remove_(w, o->change), &changed, &o->err);
    if (how == MU_STORE_REPLACE || how == MU_STORE_PUT)
        rc = run(w, replace(w, o->change), &changed, &o->err);
    if (rc == MU_OK && !changed && (how == MU_STORE_CREATE || how == MU_STORE_PUT))
        rc = run(w, create(w, o->change), &changed, &o->err);
    if (rc == MU_OK && !changed)
        o->lost = how == MU_STORE_CREATE || how == MU_STORE_PUT ? MU_STORE_LOST_EXISTS
                                                                : MU_STORE_LOST_MISSING;
    return rc;
}

static sqlite3_stmt *ca_new(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    return mu_sqlite_bind(w, CA_NEW, "tbtbtbtti", c->ca->name, c->ca->chain, c->ca->key_ref,
        c->ca->ra, c->ca->ra_key_ref, c->ca->next, c->ca->next_key_ref, c->ca->settings,
        c->ca->created_s);
}

static sqlite3_stmt *ca_set(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    return mu_sqlite_bind(w, CA_SET, "tbtbtbtt", c->ca->name, c->ca->chain, c->ca->key_ref,
        c->ca->ra, c->ca->ra_key_ref, c->ca->next, c->ca->next_key_ref, c->ca->settings);
}

static sqlite3_stmt *ca_remove(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    return mu_sqlite_bind(w, CA_REMOVE, "t", c->ca->name);
}

static sqlite3_stmt *profile_new(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    return mu_sqlite_bind(
        w, PROFILE_NEW, "tti", c->profile->name, c->profile->settings, c->profile->created_s);
}

static sqlite3_stmt *profile_set(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    return mu_sqlite_bind(w, PROFILE_SET, "tt", c->profile->name, c->profile->settings);
}

static sqlite3_stmt *profile_remove(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    return mu_sqlite_bind(w, PROFILE_REMOVE, "t", c->profile->name);
}

static sqlite3_stmt *entry_new(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    const struct mu_record_entry *e = c->entry;

    return mu_sqlite_bind(w, ENTRY_NEW, "tittbbiiiiiiit", e->name, (int64_t)e->protocols,
        e->profile, e->ca, e->password_hash, e->sealed, number(e->disabled), e->created_s,
        e->expires_s, e->max_uses, e->uses, e->last_use_s, e->reset_s, e->comments);
}

static sqlite3_stmt *entry_set(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    const struct mu_record_entry *e = c->entry;

    return mu_sqlite_bind(w, ENTRY_SET, "tittbbiiit", e->name, (int64_t)e->protocols, e->profile,
        e->ca, e->password_hash, e->sealed, number(e->disabled), e->expires_s, e->max_uses,
        e->comments);
}

static sqlite3_stmt *entry_remove(struct mu_sqlite_conn *w, const struct mu_store_change *c)
{
    return mu_sqlite_bind(w, ENTRY_REMOVE, "t", c->entry->name);
}

static enum mu_code apply_entry(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    enum mu_code rc;

    if (c->entry == NULL)
        return MU_OK;
    rc = put(w, o, c->entry_put, entry_new, entry_set, entry_remove);
    if (rc == MU_OK && o->lost == MU_STORE_LOST_MISSING && c->entry_put == MU_STORE_REPLACE) {
        keep_entry(w, o, c->entry->name); /* there, so it was the password that is taken */
        if (o->entry != NULL)
            o->lost = MU_STORE_LOST_EXISTS;
    }
    if (rc == MU_OK && o->lost == MU_STORE_LOST_NONE && c->entry_reset_uses)
        rc = run(w, mu_sqlite_bind(w, ENTRY_RESET, "ti", c->entry->name, c->now_s), NULL, &o->err);
    return rc;
}

static enum mu_code apply_settings(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    enum mu_code rc = MU_OK;

    if (c->ca != NULL)
        rc = put(w, o, c->ca_put, ca_new, ca_set, ca_remove);
    if (rc == MU_OK && o->lost == MU_STORE_LOST_NONE && c->profile != NULL)
        rc = put(w, o, c->profile_put, profile_new, profile_set, profile_remove);
    if (rc == MU_OK && o->lost == MU_STORE_LOST_NONE)
        rc = apply_entry(w, o);
    if (rc != MU_OK || o->lost != MU_STORE_LOST_NONE || c->setting_key == NULL)
        return rc;
    return run(w,
        c->setting_value != NULL
            ? mu_sqlite_bind(w, SETTING_PUT, "tt", c->setting_key, c->setting_value)
            : mu_sqlite_bind(w, SETTING_REMOVE, "t", c->setting_key),
        NULL, &o->err);
}

static enum mu_code apply_age(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    const struct mu_store_change *c = o->change;
    enum mu_code rc = MU_OK;

    if (c->expire_ca != NULL)
        rc = run(w,
            mu_sqlite_bind(
                w, EXPIRE, "titi", c->expire_ca, c->expire_pending_s, c->settle_words, c->now_s),
            NULL, &o->err);
    if (rc == MU_OK && c->expire_ca != NULL && c->forget_kept_s != 0)
        rc = run(w, mu_sqlite_bind(w, FORGET_KEPT, "it", c->forget_kept_s, c->expire_ca), NULL, &o->err);
    if (rc == MU_OK && c->forget_settled_s != 0)
        rc = run(w, mu_sqlite_bind(w, FORGET_REQUESTS, "i", c->forget_settled_s), NULL, &o->err);
    if (rc == MU_OK && c->forget_audit_s != 0)
        rc = run(w, mu_sqlite_bind(w, FORGET_AUDIT, "i", c->forget_audit_s), NULL, &o->err);
    return rc;
}

static enum mu_code apply_audit(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < o->change->audit_n; i++) {
        const struct mu_record_audit *a = &o->change->audit[i];

        rc = run(w,
            mu_sqlite_bind(w, AUDIT_NEW, "itiiittttbtttit", a->time_s, a->action,
                number(a->success), (int64_t)a->reason, (int64_t)a->proto, a->ca, a->profile,
                a->entry, a->subject, a->serial, a->transaction_id, a->address, a->user_agent,
                a->size, a->message),
            NULL, &o->err);
    }
    return rc;
}

enum mu_code mu_sqlite_apply(struct mu_sqlite_conn *w, struct mu_sqlite_outcome *o)
{
    static enum mu_code (*const parts[])(struct mu_sqlite_conn *, struct mu_sqlite_outcome *) = {
        apply_request,
        apply_settle,
        apply_keep,
        apply_cert,
        apply_use,
        apply_confirm,
        apply_revoke,
        apply_crl,
        apply_settings,
        apply_age,
        apply_audit,
    };
    enum mu_code rc = MU_OK;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if ((rc = parts[i](w, o)) != MU_OK || o->lost != MU_STORE_LOST_NONE)
            return rc;
    return rc;
}
