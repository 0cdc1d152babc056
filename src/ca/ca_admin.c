/* What an operator does with profiles, services, certificates; and all the lists. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_internal.h"

/* ---- profiles, services ---- */

enum mu_code mu_ca_profile_put(struct mu_ca *ca, const char *name, const char *settings,
    bool create, const char *operator, struct mu_err * err)
{
    const struct mu_record_profile row = {
        .name = name, .settings = settings, .created_s = mu_env_now(ca->config.env)};
    struct mu_store_change change = {
        .profile = &row, .profile_put = create ? MU_STORE_CREATE : MU_STORE_REPLACE};
    struct mu_enroll_profile *parsed = NULL;
    enum mu_code rc;

    if ((rc = mu_enroll_profile_parse(name, settings, &parsed, err)) != MU_OK)
        return rc;
    mu_enroll_profile_free(parsed);
    rc = mu_ca_change(ca, &change, true, "profile", operator, err, "Profile '%s' %s", name,
        create ? "made" : "changed");
    if (rc != MU_DENIED)
        return rc;
    return create
        ? mu_err_set(err, MU_DENIED, MU_REASON_NONE, "there is a profile '%s' already", name)
        : mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no profile '%s'", name);
}

enum mu_code mu_ca_profile_remove(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err)
{
    const struct mu_record_profile row = {.name = name};
    struct mu_store_change change = {.profile = &row, .profile_put = MU_STORE_REMOVE};
    enum mu_code rc =
        mu_ca_change(ca, &change, true, "profile", operator, err, "Profile '%.64s' removed", name);

    return rc != MU_DENIED
        ? rc
        : mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no profile '%.64s'", name);
}

void mu_ca_profile_each(struct mu_ca *ca, mu_ca_profile_call *call, void *cookie)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);

    for (size_t i = 0; i < s->profile_n && call(cookie, s->profiles[i]); i++)
        continue;
    mu_ca_snapshot_free(s);
}

void mu_ca_each(struct mu_ca *ca, mu_ca_view_call *call, void *cookie)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *standard = mu_ca_snapshot_find(s, NULL);

    for (size_t i = 0; i < s->ca_n; i++) {
        const struct mu_ca_one *one = &s->cas[i];
        bool has_key = one->why[0] == '\0';
        const struct mu_ca_view view = {.name = one->name,
            .chain = &one->ca.certs,
            .ra = &one->ra.certs,
            .next = &one->next.certs,
            .kga = &one->kga.certs,
            .settings = one->settings,
            .is_default = one == standard,
            .has_key = has_key,
            .why = has_key ? NULL : one->why};

        if (!call(cookie, &view))
            break;
    }
    mu_ca_snapshot_free(s);
}

enum mu_code mu_ca_service_set(
    struct mu_ca *ca, enum mu_proto proto, bool enabled, const char *operator, struct mu_err * err)
{
    char key[24];
    struct mu_store_change change = {.setting_key = key, .setting_value = enabled ? NULL : "off"};

    if (proto == MU_PROTO_NONE)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "there is no such service");
    snprintf(key, sizeof key, "service.%s", mu_proto_name(proto));
    return mu_ca_change(ca, &change, true, "service", operator, err, "Service %s %s",
        mu_proto_name(proto), enabled ? "enabled" : "disabled");
}

bool mu_ca_service_enabled(struct mu_ca *ca, enum mu_proto proto)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    bool enabled = !s->off[proto];

    mu_ca_snapshot_free(s);
    return enabled;
}

/* ---- revocation ---- */

enum mu_code mu_ca_revoke(struct mu_ca *ca, const char *name, const char *serial, int reason,
    const char *operator, struct mu_err * err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    struct mu_buf octets = {0}, hex = {0};
    struct mu_store_change change = {.revoke_reason = reason};
    enum mu_code rc;

    if (one == NULL) {
        rc = mu_err_set(
            err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA '%.64s'", name != NULL ? name : "");
    } else if ((rc = mu_pki_serial_parse(serial, &octets, err)) == MU_OK) {
        change.revoke_ca = one->name;
        change.revoke_serial = mu_enroll_record_serial(mu_buf_bytes(&octets));
        mu_text_hex(&hex, change.revoke_serial, ':');
        rc = mu_ca_change(ca, &change, false, "revoke", operator, err,
            "Certificate %s revoked (%s)", mu_buf_str(&hex), mu_enroll_record_reason_name(reason));
        if (rc == MU_DENIED)
            rc = mu_err_set(err, MU_NOT_FOUND, MU_REFUSE_NO_SUCH_CERT,
                "CA '%s' has no certificate %s that is not revoked", one->name, mu_buf_str(&hex));
    }
    if (rc == MU_OK)
        rc = mu_ca_crl(ca, one->name, NULL, err);
    mu_buf_clear(&octets);
    mu_buf_clear(&hex);
    mu_ca_snapshot_free(s);
    return rc;
}

/* ---- lists ---- */

/* A list read to its end, whoever calls back. */
struct listing {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_done;
    void *cookie;
    struct mu_err err;
    union {
        mu_ca_cert_call *cert;
        mu_ca_request_call *request;
        mu_ca_entry_call *entry;
        mu_ca_audit_call *audit;
    } call;
};
#define LISTING                                                                                    \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER                       \
    }

static void listing_end(struct listing *l, const struct mu_err *err)
{
    pthread_mutex_lock(&l->lock);
    if (err != NULL)
        l->err = *err;
    l->is_done = true;
    pthread_cond_signal(&l->ready);
    pthread_mutex_unlock(&l->lock);
}

static enum mu_code listing_wait(struct listing *l, struct mu_err *err)
{
    pthread_mutex_lock(&l->lock);
    while (!l->is_done)
        pthread_cond_wait(&l->ready, &l->lock);
    pthread_mutex_unlock(&l->lock);
    if (l->err.code != MU_OK && err != NULL)
        *err = l->err;
    return l->err.code;
}

#define LIST(kind, kinds)                                                                          \
    static bool on_##kind(                                                                         \
        void *cookie, const struct mu_record_##kind *row, const struct mu_err *err)                \
    {                                                                                              \
        struct listing *l = cookie;                                                                \
                                                                                                   \
        if (row != NULL && l->call.kind(l->cookie, row))                                           \
            return true;                                                                           \
        listing_end(l, err);                                                                       \
        return false;                                                                              \
    }                                                                                              \
    enum mu_code mu_ca_##kinds##_each(struct mu_ca *ca, const struct mu_store_filter *filter,      \
        mu_ca_##kind##_call *call, void *cookie, struct mu_err *err)                               \
    {                                                                                              \
        struct listing l = LISTING;                                                                \
                                                                                                   \
        l.cookie = cookie;                                                                         \
        l.call.kind = call;                                                                        \
        ca->config.store->ops->kinds(ca->config.store, filter, on_##kind, &l);                     \
        return listing_wait(&l, err);                                                              \
    }

LIST(cert, certs)
LIST(request, requests)
LIST(entry, entries)
LIST(audit, audits)

struct counting {
    struct listing l;
    struct mu_store_counts *out;
};

static void on_counts(void *cookie, const struct mu_store_counts *counts, const struct mu_err *err)
{
    struct counting *c = cookie;

    if (counts != NULL)
        *c->out = *counts;
    listing_end(&c->l, err);
}

enum mu_code mu_ca_counts(struct mu_ca *ca, struct mu_store_counts *out, struct mu_err *err)
{
    struct counting c = {.l = LISTING, .out = out};

    ca->config.store->ops->counts(ca->config.store, mu_env_now(ca->config.env), on_counts, &c);
    return listing_wait(&c.l, err);
}
