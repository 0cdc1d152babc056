/* The approval queue. */
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "web/ca/web_ca_internal.h"

static json_t *request_json(const struct mu_record_request *row, int64_t now_s)
{
    json_t *o = json_object();

    mu_kit_json_set_int(o, "id", row->id);
    mu_kit_json_set_text(o, "state", mu_enroll_record_state_name(row->state));
    mu_kit_json_set_text(o, "protocol", mu_proto_name(row->proto));
    mu_kit_json_set_text(o, "ca", row->ca);
    mu_kit_json_set_text(o, "transaction", mu_web_ca_or_null(row->transaction_id));
    mu_kit_json_set_text(o, "subject", row->subject);
    mu_kit_json_set_text(o, "profile", mu_web_ca_or_null(row->profile));
    mu_kit_json_set_text(o, "entry", mu_web_ca_or_null(row->entry));
    mu_kit_json_set_text(o, "address", mu_web_ca_or_null(row->address));
    mu_kit_json_set_time(o, "created", row->created_s);
    mu_kit_json_set_time(o, "changed", row->changed_s);
    mu_kit_json_set_int(o, "age_s", now_s > row->created_s ? now_s - row->created_s : 0);
    mu_web_ca_set_serial(o, "renews", row->renews);
    mu_web_ca_set_serial(o, "serial", row->serial);
    mu_kit_json_set_text(o, "reason", mu_web_ca_or_null(row->words));
    return o;
}

struct list {
    json_t *rows;
    int64_t now_s;
};

static bool append_request(void *cookie, const struct mu_record_request *row)
{
    struct list *l = cookie;

    return json_array_append_new(l->rows, request_json(row, l->now_s)) == 0;
}

static enum mu_code state_get(
    const struct mu_kit_call *call, struct mu_store_filter *filter, struct mu_err *err)
{
    const char *word = NULL;
    enum mu_code rc = mu_kit_json_text(call->in, "state", false, &word, err);
    char shown[80];

    filter->by_state = true;
    filter->state = MU_RECORD_PENDING;
    if (rc != MU_OK || word == NULL)
        return rc;
    if (strcmp(word, "all") == 0) {
        filter->by_state = false;
        return MU_OK;
    }
    if (mu_enroll_record_state_parse(word, &filter->state))
        return MU_OK;
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "there is no state '%s'",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
    mu_err_next(err, "Known: pending, issued, rejected, all.");
    return MU_INPUT;
}

void mu_web_ca_queue_list(struct mu_kit_call *call)
{
    static const char *const known[] = {"state", "ca", "transaction", "before", "limit", NULL};
    struct list l = {.rows = json_array(), .now_s = mu_web_ca_now(call)};
    struct mu_store_filter filter = {0};
    json_t *out = json_object();
    struct mu_buf serial = {0};
    struct mu_err err = {0};
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) != MU_OK)
        goto out;
    if ((rc = state_get(call, &filter, &err)) != MU_OK)
        goto out;
    if ((rc = mu_web_ca_filter(call, &filter, &serial, &err)) != MU_OK)
        goto out;
    rc = mu_ca_requests_each(mu_web_ca_of(call), &filter, append_request, &l, &err);
out:
    (void)json_object_set_new(out, "queue", l.rows);
    mu_buf_clear(&serial);
    mu_web_ca_finish(call, rc, out, &err);
}

/* ---- one request: asked against what would be issued ---- */

struct parts {
    json_t *list; /* "C=NL" */
};

static void append_part(void *cookie, const char *type, const char *value)
{
    struct parts *p = cookie;
    struct mu_buf text = {0};

    mu_buf_putf(&text, "%s=", type);
    mu_text_escape(&text, mu_bytes_str(value), MU_LIMIT_MESSAGE); /* the client's, for a terminal */
    (void)json_array_append_new(p->list, json_string(mu_buf_str(&text)));
    mu_buf_clear(&text);
}

static bool list_has(const json_t *list, const json_t *text)
{
    json_t *v;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)list, i, v)
    {
        if (json_equal(v, text))
            return true;
    }
    return false;
}

static void append_missing(json_t *changes, const json_t *from, const json_t *in, const char *word)
{
    json_t *v;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)from, i, v)
    {
        json_t *o;

        if (list_has(in, v))
            continue;
        o = json_object();
        (void)json_object_set(o, "what", v);
        mu_kit_json_set_text(o, "change", word);
        (void)json_array_append_new(changes, o);
    }
}

static json_t *changes_json(struct mu_bytes asked, struct mu_bytes issued)
{
    struct parts a = {json_array()}, b = {json_array()};
    json_t *changes = json_array();

    mu_pki_name_each(asked, append_part, &a);
    mu_pki_name_each(issued, append_part, &b);
    append_missing(changes, a.list, b.list, "removed");
    append_missing(changes, b.list, a.list, "added");
    json_decref(a.list);
    json_decref(b.list);
    return changes;
}

static void set_san(json_t *o, struct mu_bytes general_names)
{
    struct mu_buf text = {0};

    if (general_names.n != 0)
        mu_pki_san_format(general_names, &text);
    mu_kit_json_set_text(o, "san", mu_web_ca_or_null(mu_buf_str(&text)));
    mu_buf_clear(&text);
}

static json_t *asked_json(const struct mu_pki_csr *csr)
{
    json_t *o = json_object();

    mu_web_ca_set_name(o, "subject", csr->subject);
    set_san(o, csr->exts.san);
    mu_web_ca_set_key(o, "key", csr->spki);
    return o;
}

static json_t *issue_json(const struct mu_ca_queue_view *view)
{
    struct mu_pki_exts exts = {0};
    json_t *o;

    if (view->subject.n == 0)
        return json_null();
    o = json_object();
    mu_web_ca_set_name(o, "subject", view->subject);
    if (view->extensions.n == 0 || mu_pki_exts_decode(view->extensions, &exts, NULL) == MU_OK)
        set_san(o, exts.san);
    mu_kit_json_set_time(o, "not_before", view->not_before_s);
    mu_kit_json_set_time(o, "not_after", view->not_after_s);
    (void)json_object_set_new(o, "changes", changes_json(view->csr->subject, view->subject));
    return o;
}

static void explain_absence(enum mu_code rc, struct mu_err *err)
{
    if (rc != MU_NOT_FOUND)
        return;
    mu_err_likely(err, "It was settled already, or the client took it back.");
    mu_err_next(err, "muster-ca queue list --state all");
}

struct show {
    json_t *out;
    int64_t now_s;
};

static void show_request(void *cookie, const struct mu_ca_queue_view *view)
{
    struct show *s = cookie;
    json_t *o = request_json(view->request, s->now_s);

    if (view->csr != NULL)
        (void)json_object_set_new(o, "asked", asked_json(view->csr));
    (void)json_object_set_new(o, "issue", view->csr != NULL ? issue_json(view) : json_null());
    mu_kit_json_set_text(o, "refusal", view->refusal != NULL ? view->refusal->what : NULL);
    mu_kit_json_set_text(o, "key_seen_as", view->key_seen_as);
    mu_kit_json_set_bool(o, "challenge_ok", mu_web_ca_or_null(view->request->entry) != NULL);
    (void)json_object_set_new(s->out, "request", o);
}

void mu_web_ca_queue_show(struct mu_kit_call *call)
{
    struct show s = {.out = json_object(), .now_s = mu_web_ca_now(call)};
    struct mu_err err = {0};
    enum mu_code rc = mu_ca_queue_show(mu_web_ca_of(call), call->arg, show_request, &s, &err);

    explain_absence(rc, &err);
    mu_web_ca_finish(call, rc, s.out, &err);
}

void mu_web_ca_queue_approve(struct mu_kit_call *call)
{
    static const char *const known[] = {"profile", NULL};
    const char *profile = NULL;
    json_t *out = json_object();
    struct mu_buf serial = {0};
    struct mu_err err = {0};
    char operator[32];
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "profile", false, &profile, &err)) != MU_OK)
        goto out;
    if ((rc = mu_ca_queue_approve(mu_web_ca_of(call), call->arg, profile,
             mu_web_ca_operator(call, operator), &serial, &err))
        != MU_OK)
        goto out;
    mu_kit_json_set_text(out, "result", "approved");
    mu_kit_json_set_text(out, "id", call->arg);
    mu_kit_json_set_buf(out, "serial", &serial);
out:
    explain_absence(rc, &err);
    mu_buf_clear(&serial);
    mu_web_ca_finish(call, rc, out, &err);
}

void mu_web_ca_queue_reject(struct mu_kit_call *call)
{
    static const char *const known[] = {"reason", NULL};
    const char *reason = NULL;
    json_t *out = json_object();
    struct mu_err err = {0};
    char operator[32];
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "reason", true, &reason, &err)) != MU_OK)
        goto out;
    if (reason[0] == '\0') {
        rc = mu_err_set(
            &err, MU_INPUT, MU_REASON_NONE, "the reason is empty: it goes to the client");
        goto out;
    }
    if ((rc = mu_ca_queue_reject(
             mu_web_ca_of(call), call->arg, reason, mu_web_ca_operator(call, operator), &err))
        != MU_OK)
        goto out;
    mu_kit_json_set_text(out, "result", "rejected");
    mu_kit_json_set_text(out, "id", call->arg);
out:
    explain_absence(rc, &err);
    mu_web_ca_finish(call, rc, out, &err);
}
