/* CAs, services, figures, the audit trail. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "web/ca/web_ca_internal.h"

static json_t *certs_json(const struct mu_pki_certs *certs, bool with_pem)
{
    json_t *list = json_array();

    for (size_t i = 0; certs != NULL && i < certs->n; i++)
        (void)json_array_append_new(list, mu_web_ca_cert_json(certs->v[i], with_pem));
    return list;
}

static json_t *view_json(const struct mu_ca_view *view, bool with_pem)
{
    json_t *o = json_object();

    mu_kit_json_set_text(o, "name", view->name);
    mu_kit_json_set_bool(o, "default", view->is_default);
    mu_kit_json_set_bool(o, "ready", view->has_key);
    mu_kit_json_set_text(o, "why", view->has_key ? NULL : view->why);
    (void)json_object_set_new(o, "chain", certs_json(view->chain, with_pem));
    (void)json_object_set_new(o, "ra", certs_json(view->ra, with_pem));
    (void)json_object_set_new(o, "next", certs_json(view->next, with_pem));
    (void)json_object_set_new(o, "kga", certs_json(view->kga, with_pem));
    mu_kit_json_set_text(o, "settings", view->settings);
    return o;
}

static bool append_view(void *cookie, const struct mu_ca_view *view)
{
    return json_array_append_new(cookie, view_json(view, false)) == 0;
}

static json_t *services_json(const struct mu_kit_call *call)
{
    json_t *o = json_object();

    for (enum mu_proto p = MU_PROTO_SCEP; p <= MU_PROTO_CMP; p++)
        mu_kit_json_set_bool(o, mu_proto_name(p), mu_ca_service_enabled(mu_web_ca_of(call), p));
    return o;
}

void mu_web_ca_info_list(struct mu_kit_call *call)
{
    json_t *rows = json_array(), *out = json_object();

    mu_ca_each(mu_web_ca_of(call), append_view, rows);
    (void)json_object_set_new(out, "cas", rows);
    (void)json_object_set_new(out, "services", services_json(call));
    mu_kit_json_set_time(out, "time", mu_web_ca_now(call));
    mu_kit_call_answer(call, out);
}

struct find {
    const char *name;
    json_t *found;
};

static bool find_view(void *cookie, const struct mu_ca_view *view)
{
    struct find *f = cookie;

    if (strcmp(view->name, f->name) != 0)
        return true;
    f->found = view_json(view, true);
    return false;
}

static void show(struct mu_kit_call *call, const char *name)
{
    struct find f = {.name = name};
    struct mu_err err = {0};
    json_t *out;
    char shown[80];

    mu_ca_each(mu_web_ca_of(call), find_view, &f);
    if (f.found == NULL) {
        mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA '%s'",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(name)));
        mu_err_next(&err, "muster-ca ca list");
        mu_kit_call_fail(call, &err);
        return;
    }
    out = json_object();
    (void)json_object_set_new(out, "ca", f.found);
    mu_kit_call_answer(call, out);
}

void mu_web_ca_info_show(struct mu_kit_call *call)
{
    show(call, call->arg);
}

static enum mu_code key_get(const struct mu_kit_call *call, const char *member,
    struct mu_pki_key_spec *out, struct mu_err *err)
{
    const char *word = NULL;
    enum mu_code rc = mu_kit_json_text(call->in, member, false, &word, err);

    return rc != MU_OK || word == NULL ? rc : mu_pki_key_spec_parse(word, false, out, err);
}

static enum mu_code init_read(
    const struct mu_kit_call *call, struct mu_ca_init *init, struct mu_err *err)
{
    static const char *const known[] = {"name", "root_subject", "root_key", "root_lifetime_s",
        "issuing_subject", "issuing_key", "issuing_lifetime_s", "ra", "settings", NULL};
    const int64_t century = (int64_t)100 * 365 * 86400;
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "name", true, &init->name, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "root_subject", true, &init->root_subject, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "issuing_subject", false, &init->issuing_subject, err))
        != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "settings", false, &init->settings, err)) != MU_OK)
        return rc;
    if ((rc = key_get(call, "root_key", &init->root_key, err)) != MU_OK)
        return rc;
    if ((rc = key_get(call, "issuing_key", &init->issuing_key, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_int(
             call->in, "root_lifetime_s", 86400, century, &init->root_lifetime_s, err))
        != MU_OK)
        return rc;
    if ((rc = mu_kit_json_int(
             call->in, "issuing_lifetime_s", 86400, century, &init->issuing_lifetime_s, err))
        != MU_OK)
        return rc;
    return mu_kit_json_bool(call->in, "ra", &init->with_ra, err);
}

void mu_web_ca_info_new(struct mu_kit_call *call)
{
    struct mu_ca_init init = {.with_ra = true};
    struct mu_err err = {0};
    char operator[32];

    init.operator= mu_web_ca_operator(call, operator);
    if (init_read(call, &init, &err) != MU_OK
        || mu_ca_init(mu_web_ca_of(call), &init, &err) != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        show(call, init.name);
}

void mu_web_ca_info_set(struct mu_kit_call *call)
{
    static const char *const known[] = {"settings", NULL};
    const char *settings = NULL;
    struct mu_err err = {0};
    char operator[32];

    if (mu_kit_json_check(call->in, known, &err) != MU_OK
        || mu_kit_json_text(call->in, "settings", true, &settings, &err) != MU_OK
        || mu_ca_set(
               mu_web_ca_of(call), call->arg, settings, mu_web_ca_operator(call, operator), &err)
            != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        show(call, call->arg);
}

void mu_web_ca_info_next(struct mu_kit_call *call)
{
    struct mu_err err = {0};
    char operator[32];

    if (mu_ca_next(mu_web_ca_of(call), call->arg, mu_web_ca_operator(call, operator), &err)
        != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        show(call, call->arg);
}

void mu_web_ca_info_activate(struct mu_kit_call *call)
{
    struct mu_err err = {0};
    char operator[32];

    if (mu_ca_activate(mu_web_ca_of(call), call->arg, mu_web_ca_operator(call, operator), &err)
        != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        show(call, call->arg);
}

/* Made here, or with "certificates" and "key" the one made elsewhere. */
void mu_web_ca_info_kga(struct mu_kit_call *call)
{
    static const char *const known[] = {"certificates", "key", NULL};
    const char *certs = NULL, *key = NULL, *name;
    struct mu_err err = {0};
    char operator[32];
    enum mu_code rc;

    name = mu_web_ca_operator(call, operator);
    if ((rc = mu_kit_json_check(call->in, known, &err)) == MU_OK
        && (rc = mu_kit_json_text(call->in, "certificates", false, &certs, &err)) == MU_OK)
        rc = mu_kit_json_text(call->in, "key", certs != NULL, &key, &err);
    if (rc == MU_OK && certs != NULL)
        rc = mu_ca_kga_give(mu_web_ca_of(call), call->arg,
            &(struct mu_ca_kga_given){.key = mu_bytes_str(key), .certs = mu_bytes_str(certs)}, name, &err);
    else if (rc == MU_OK)
        rc = mu_ca_kga(mu_web_ca_of(call), call->arg, name, &err);
    if (rc != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        show(call, call->arg);
}

/* ---- services ---- */

void mu_web_ca_info_services(struct mu_kit_call *call)
{
    json_t *out = json_object();

    (void)json_object_set_new(out, "services", services_json(call));
    mu_kit_call_answer(call, out);
}

static void service_set(struct mu_kit_call *call, bool enabled)
{
    enum mu_proto proto = mu_proto_parse(call->arg);
    struct mu_err err = {0};
    char operator[32], shown[40];

    if (proto == MU_PROTO_NONE) {
        mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "there is no service '%s'",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(call->arg)));
        mu_err_next(&err, "Known: scep, est, cmp.");
        mu_kit_call_fail(call, &err);
        return;
    }
    if (mu_ca_service_set(
            mu_web_ca_of(call), proto, enabled, mu_web_ca_operator(call, operator), &err)
        != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        mu_web_ca_info_services(call);
}

void mu_web_ca_info_enable(struct mu_kit_call *call)
{
    service_set(call, true);
}

void mu_web_ca_info_disable(struct mu_kit_call *call)
{
    service_set(call, false);
}

/* ---- figures ---- */

static json_t *refused_json(const struct mu_ca_stats *stats)
{
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof stats->refused_by / sizeof stats->refused_by[0]; i++) {
        const struct mu_err_row *row = mu_err_row((enum mu_reason)(MU_REFUSE_FIRST + i));
        json_t *o;

        if (stats->refused_by[i] == 0)
            continue;
        o = json_object();
        mu_kit_json_set_text(o, "reason", row != NULL ? row->what : NULL);
        mu_kit_json_set_int(o, "count", (int64_t)stats->refused_by[i]);
        (void)json_array_append_new(list, o);
    }
    return list;
}

void mu_web_ca_info_stats(struct mu_kit_call *call)
{
    json_t *out = json_object(), *since = json_object(), *now = json_object();
    struct mu_store_counts counts = {0};
    struct mu_ca_stats stats = {0};
    struct mu_err err = {0};
    enum mu_code rc = mu_ca_counts(mu_web_ca_of(call), &counts, &err);

    mu_ca_stats(mu_web_ca_of(call), &stats);
    mu_kit_json_set_int(since, "requests", (int64_t)stats.requests);
    mu_kit_json_set_int(since, "issued", (int64_t)stats.issued);
    mu_kit_json_set_int(since, "renewed", (int64_t)stats.renewed);
    mu_kit_json_set_int(since, "pending", (int64_t)stats.pending);
    mu_kit_json_set_int(since, "refused", (int64_t)stats.refused);
    mu_kit_json_set_int(since, "resent", (int64_t)stats.resent);
    mu_kit_json_set_int(since, "rate_limited", (int64_t)stats.rate_limited);
    (void)json_object_set_new(since, "refused_by", refused_json(&stats));
    mu_kit_json_set_int(now, "certificates", counts.certs);
    mu_kit_json_set_int(now, "live", counts.live);
    mu_kit_json_set_int(now, "revoked", counts.revoked);
    mu_kit_json_set_int(now, "expiring_30d", counts.expiring_30d);
    mu_kit_json_set_int(now, "queue", counts.pending);
    mu_kit_json_set_time(now, "queue_oldest", counts.oldest_pending_s);
    mu_kit_json_set_int(now, "entries", counts.entries);
    mu_kit_json_set_int(now, "issued_24h", counts.issued_24h);
    mu_kit_json_set_int(now, "renewed_24h", counts.renewed_24h);
    mu_kit_json_set_int(now, "refused_24h", counts.refused_24h);
    mu_kit_json_set_time(out, "time", mu_web_ca_now(call));
    (void)json_object_set_new(out, "since_start", since);
    (void)json_object_set_new(out, "now", now);
    mu_web_ca_finish(call, rc, out, &err);
}

/* ---- audit trail ---- */

static bool append_audit(void *cookie, const struct mu_record_audit *row)
{
    json_t *o = json_object();

    mu_kit_json_set_int(o, "id", row->id);
    mu_kit_json_set_time(o, "time", row->time_s);
    mu_kit_json_set_text(o, "action", row->action);
    mu_kit_json_set_text(o, "status", row->success ? "success" : "failure");
    mu_kit_json_set_text(o, "message", row->message);
    mu_kit_json_set_text(o, "protocol", mu_web_ca_or_null(mu_proto_name(row->proto)));
    mu_kit_json_set_text(o, "ca", mu_web_ca_or_null(row->ca));
    mu_kit_json_set_text(o, "profile", mu_web_ca_or_null(row->profile));
    mu_kit_json_set_text(o, "entry", mu_web_ca_or_null(row->entry));
    mu_kit_json_set_text(o, "subject", mu_web_ca_or_null(row->subject));
    mu_web_ca_set_serial(o, "serial", row->serial);
    mu_kit_json_set_text(o, "transaction", mu_web_ca_or_null(row->transaction_id));
    mu_kit_json_set_text(o, "address", mu_web_ca_or_null(row->address));
    mu_kit_json_set_text(o, "user_agent", mu_web_ca_or_null(row->user_agent));
    mu_kit_json_set_int(o, "size", row->size);
    return json_array_append_new(cookie, o) == 0;
}

void mu_web_ca_info_log(struct mu_kit_call *call)
{
    static const char *const known[] = {
        "action", "subject", "serial", "transaction", "ca", "since", "before", "limit", NULL};
    struct mu_store_filter filter = {0};
    json_t *rows = json_array(), *out = json_object();
    struct mu_buf serial = {0};
    const char *since = NULL;
    struct mu_err err = {0};
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) != MU_OK)
        goto out;
    if ((rc = mu_web_ca_filter(call, &filter, &serial, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "action", false, &filter.action, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "since", false, &since, &err)) != MU_OK)
        goto out;
    if (since != NULL && !mu_time_parse_rfc3339(since, &filter.since_s)) {
        rc = mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "request: 'since' is not a time like 2026-01-31T00:00:00Z");
        goto out;
    }
    rc = mu_ca_audits_each(mu_web_ca_of(call), &filter, append_audit, rows, &err);
out:
    (void)json_object_set_new(out, "log", rows);
    mu_buf_clear(&serial);
    mu_web_ca_finish(call, rc, out, &err);
}
