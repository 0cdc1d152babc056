/* Revocation lists: made, kept with a number that only grows, renewed before they end. */
#include <stdlib.h>

#include "base/limits.h"
#include "ca/ca_internal.h"
#include "pki/pki_crl.h"

/* ---- reading the latest ---- */

struct reading {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_done, found;
    struct mu_buf *der;
    struct mu_record_crl facts;
    struct mu_err err;
};

static bool on_crl(void *cookie, const struct mu_record_crl *row, const struct mu_err *err)
{
    struct reading *r = cookie;

    pthread_mutex_lock(&r->lock);
    if (row != NULL) {
        r->found = true;
        r->facts = *row;
        r->facts.ca = NULL;
        r->facts.der = (struct mu_bytes){0};
        mu_buf_put_bytes(r->der, row->der);
    } else if (err != NULL) {
        r->err = *err;
    }
    r->is_done = true;
    pthread_cond_signal(&r->ready);
    pthread_mutex_unlock(&r->lock);
    return false;
}

enum mu_code mu_ca_crl_read(struct mu_ca *ca, const char *name, struct mu_buf *der,
    struct mu_record_crl *facts, struct mu_err *err)
{
    struct reading r = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER, .der = der};

    if (der->max == 0)
        der->max = MU_LIMIT_CRL;
    ca->config.store->ops->crl(ca->config.store, name, on_crl, &r);
    pthread_mutex_lock(&r.lock);
    while (!r.is_done)
        pthread_cond_wait(&r.ready, &r.lock);
    pthread_mutex_unlock(&r.lock);
    if (r.err.code != MU_OK) {
        if (err != NULL)
            *err = r.err;
        return r.err.code;
    }
    if (!r.found)
        return mu_err_set(
            err, MU_NOT_FOUND, MU_REFUSE_NO_CRL, "there is no revocation list of '%s'", name);
    if (facts != NULL)
        *facts = r.facts;
    return mu_buf_check(der, "CRL", err);
}

/* ---- making the next ---- */

struct gathering {
    struct mu_pki_crl_entry *v;
    size_t n, cap;
    struct mu_buf serials; /* offsets in v until all are there */
    struct mu_err err;
};

static bool on_revoked(void *cookie, const struct mu_record_cert *row)
{
    struct gathering *g = cookie;

    if (g->n == g->cap) {
        size_t cap = g->cap * 2 + 64;
        struct mu_pki_crl_entry *more = reallocarray(g->v, cap, sizeof *more);

        if (more == NULL) {
            mu_err_set(&g->err, MU_MEMORY, MU_REASON_NONE, "out of memory for a CRL");
            return false;
        }
        g->v = more;
        g->cap = cap;
    }
    g->v[g->n++] = (struct mu_pki_crl_entry){.serial = mu_bytes(NULL, row->serial.n),
        .when_s = row->revoked_s,
        .reason = row->revoke_reason};
    mu_buf_put_bytes(&g->serials, row->serial);
    return true;
}

/* The serials have their place now. */
static enum mu_code place_serials(struct gathering *g, struct mu_err *err)
{
    const uint8_t *at = g->serials.p;
    enum mu_code rc = mu_buf_check(&g->serials, "CRL", err);

    for (size_t i = 0; rc == MU_OK && i < g->n; i++) {
        g->v[i].serial.p = at;
        at += g->v[i].serial.n;
    }
    return rc;
}

static enum mu_code make(
    struct mu_ca *ca, const struct mu_ca_one *one, struct mu_buf *der, struct mu_err *err)
{
    const struct mu_pki_cert *cert = one->ca.certs.v[0];
    int64_t now_s = mu_env_now(ca->config.env);
    struct gathering g = {.serials = {.max = MU_LIMIT_CRL}};
    struct mu_record_crl last = {0}, row;
    struct mu_buf old = {.max = MU_LIMIT_CRL};
    struct mu_pki_crl_params params = {.issuer = cert->subject,
        .issuer_skid = cert->exts.skid,
        .this_update_s = now_s,
        .next_update_s = now_s + one->crl_lifetime_s};
    /* CA-19: a revoked certificate stays until one CRL after its end. */
    const struct mu_store_filter filter = {
        .ca = one->name, .only_revoked = true, .expires_after_s = now_s - one->crl_lifetime_s};
    struct mu_store_change change = {.crl = &row};
    enum mu_code rc;

    rc = mu_ca_crl_read(ca, one->name, &old, &last, err);
    mu_buf_clear(&old);
    if (rc != MU_OK && rc != MU_NOT_FOUND)
        return rc;
    params.number = last.number + 1;
    if ((rc = mu_ca_certs_each(ca, &filter, on_revoked, &g, err)) == MU_OK && g.err.code != MU_OK) {
        rc = g.err.code;
        if (err != NULL)
            *err = g.err;
    }
    if (rc == MU_OK && (rc = place_serials(&g, err)) == MU_OK) {
        params.entries = g.v;
        params.n = g.n;
        rc =
            mu_pki_crl_make(&params, one->ca.key, mu_pki_key_default_digest(one->ca.key), der, err);
    }
    if (rc == MU_OK) {
        row = (struct mu_record_crl){.ca = one->name,
            .number = params.number,
            .this_update_s = params.this_update_s,
            .next_update_s = params.next_update_s,
            .der = mu_buf_bytes(der)};
        rc =
            mu_ca_change(ca, &change, false, "crl", "", err, "CRL %llu of \"%s\" made, %zu revoked",
                (unsigned long long)params.number, one->subject, g.n);
    }
    free(g.v);
    mu_buf_clear(&g.serials);
    return rc;
}

/* Another node may have taken the number: then with the next one. */
enum mu_code mu_ca_crl_make(
    struct mu_ca *ca, const struct mu_ca_one *one, struct mu_buf *der, struct mu_err *err)
{
    enum mu_code rc;

    if (one->ca.key == NULL)
        return mu_err_set(
            err, MU_INTERNAL, MU_REASON_NONE, "CA '%s' cannot sign: %s", one->name, one->why);
    if (der->max == 0)
        der->max = MU_LIMIT_CRL;
    pthread_mutex_lock(&ca->admin_lock);
    for (int tries = 0; (rc = make(ca, one, der, err)) == MU_DENIED && tries < 3; tries++)
        mu_buf_reset(der);
    pthread_mutex_unlock(&ca->admin_lock);
    return rc;
}

static enum mu_code find(struct mu_ca *ca, const char *name, struct mu_ca_snapshot **s,
    const struct mu_ca_one **one, struct mu_err *err)
{
    *s = mu_ca_snapshot_get(ca);
    if ((*one = mu_ca_snapshot_find(*s, name)) != NULL)
        return MU_OK;
    mu_ca_snapshot_free(*s);
    return mu_err_set(
        err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA '%.64s'", name != NULL ? name : "");
}

enum mu_code mu_ca_crl(struct mu_ca *ca, const char *name, struct mu_buf *der, struct mu_err *err)
{
    struct mu_ca_snapshot *s;
    const struct mu_ca_one *one;
    struct mu_buf spare = {0};
    enum mu_code rc = find(ca, name, &s, &one, err);

    if (rc != MU_OK)
        return rc;
    rc = mu_ca_crl_make(ca, one, der != NULL ? der : &spare, err);
    mu_buf_clear(&spare);
    mu_ca_snapshot_free(s);
    return rc;
}

enum mu_code mu_ca_crl_latest(
    struct mu_ca *ca, const char *name, struct mu_buf *der, struct mu_err *err)
{
    struct mu_ca_snapshot *s;
    const struct mu_ca_one *one;
    enum mu_code rc = find(ca, name, &s, &one, err);

    if (rc != MU_OK)
        return rc;
    rc = mu_ca_crl_read(ca, one->name, der, NULL, err);
    mu_ca_snapshot_free(s);
    return rc;
}

/* ---- what has to be done from time to time ---- */

static enum mu_code tick_one(
    struct mu_ca *ca, const struct mu_ca_one *one, int64_t now_s, struct mu_err *err)
{
    struct mu_record_crl facts = {0};
    struct mu_buf der = {0};
    struct mu_store_change change = {.now_s = now_s,
        .expire_ca = one->name,
        .expire_pending_s = now_s - one->pending_age_s,
        .settle_words = "Nobody approved the request in time.",
        .forget_settled_s = now_s - 90 * 86400,
        .forget_kept_s = now_s - one->retransmit_s};
    enum mu_code rc = mu_ca_crl_read(ca, one->name, &der, &facts, err);

    mu_buf_reset(&der);
    if (rc == MU_NOT_FOUND || (rc == MU_OK && facts.next_update_s - one->crl_renew_s <= now_s))
        rc = one->ca.key != NULL ? mu_ca_crl_make(ca, one, &der, err) : MU_OK;
    mu_buf_clear(&der);
    return rc != MU_OK ? rc : mu_store_submit_wait(ca->config.store, &change, NULL, err);
}

/* Makes new lists if a client revoked something: asked for where lists are handed out, so that they
 * are never behind what was answered, and never made on the store's thread. */
void mu_ca_crl_refresh(struct mu_ca *ca)
{
    struct mu_ca_snapshot *s;
    struct mu_buf der = {0};

    if (!atomic_exchange(&ca->crl_due, false))
        return;
    s = mu_ca_snapshot_get(ca);
    for (size_t i = 0; i < s->ca_n; i++) {
        if (s->cas[i].ca.key != NULL && mu_ca_crl_make(ca, &s->cas[i], &der, NULL) != MU_OK)
            atomic_store(&ca->crl_due, true); /* at the next one */
        mu_buf_clear(&der);
    }
    mu_ca_snapshot_free(s);
}

enum mu_code mu_ca_tick(struct mu_ca *ca, struct mu_err *err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    enum mu_code rc = mu_ca_confirm_tick(ca, mu_env_now(ca->config.env), err), one;
    bool is_changed = false;

    mu_ca_crl_refresh(ca);
    mu_ca_mac_tick(ca->mac, mu_env_now(ca->config.env));

    for (size_t i = 0; i < s->ca_n; i++)
        if ((one = tick_one(ca, &s->cas[i], mu_env_now(ca->config.env), err)) != MU_OK)
            rc = one; /* the others all the same */
    for (size_t i = 0; i < s->ca_n; i++)
        is_changed = is_changed || mu_ca_stranger_is_changed(&ca->config, &s->cas[i]);
    mu_ca_snapshot_free(s);
    if (is_changed && (one = mu_ca_reload(ca, err)) != MU_OK)
        rc = one;
    return rc;
}
