/* Entries: who may ask. */
#include <string.h>

#include "base/text.h"
#include "web/ca/web_ca_internal.h"

static json_t *entry_json(const struct mu_record_entry *row)
{
    json_t *o = json_object();

    mu_kit_json_set_text(o, "name", row->name);
    mu_web_ca_set_protocols(o, "protocols", row->protocols);
    mu_kit_json_set_text(o, "profile", row->profile);
    mu_kit_json_set_text(o, "ca", mu_web_ca_or_null(row->ca));
    mu_kit_json_set_text(o, "password", row->sealed.n != 0 || row->password_hash.n != 0 ? "*" : NULL);
    mu_kit_json_set_bool(o, "once", row->max_uses == 1);
    mu_kit_json_set_int(o, "uses", row->uses);
    mu_kit_json_set_int(o, "max_uses", row->max_uses);
    mu_kit_json_set_bool(o, "disabled", row->disabled);
    mu_kit_json_set_text(o, "state",
        row->disabled                                          ? "disabled"
            : row->max_uses != 0 && row->uses >= row->max_uses ? "used"
                                                               : "ready");
    mu_kit_json_set_time(o, "created", row->created_s);
    mu_kit_json_set_time(o, "expires", row->expires_s);
    mu_kit_json_set_time(o, "last_use", row->last_use_s);
    mu_kit_json_set_text(o, "comments", mu_web_ca_or_null(row->comments));
    return o;
}

static bool append_entry(void *cookie, const struct mu_record_entry *row)
{
    return json_array_append_new(cookie, entry_json(row)) == 0;
}

void mu_web_ca_entry_list(struct mu_kit_call *call)
{
    static const char *const known[] = {"name", "limit", "before", NULL};
    struct mu_store_filter filter = {.limit = 10000};
    json_t *rows = json_array(), *out = json_object();
    struct mu_err err = {0};
    int64_t limit = 10000;
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) == MU_OK)
        rc = mu_kit_json_int(call->in, "limit", 1, 10000, &limit, &err);
    if (rc == MU_OK)
        rc = mu_kit_json_text(call->in, "name", false, &filter.name, &err);
    filter.limit = (unsigned)limit;
    if (rc == MU_OK)
        rc = mu_ca_entries_each(mu_web_ca_of(call), &filter, append_entry, rows, &err);
    (void)json_object_set_new(out, "entries", rows);
    mu_web_ca_finish(call, rc, out, &err);
}

/* The entry as it is now, into out as "entry". */
static enum mu_code entry_put(
    const struct mu_kit_call *call, const char *name, json_t *out, struct mu_err *err)
{
    struct mu_store_filter filter = {.name = name, .limit = 1};
    json_t *rows = json_array();
    enum mu_code rc = mu_ca_entries_each(mu_web_ca_of(call), &filter, append_entry, rows, err);
    char shown[80];

    if (rc == MU_OK && json_array_size(rows) == 0) {
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no entry '%s'",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(name)));
        mu_err_next(err, "muster-ca entry list");
    }
    if (rc == MU_OK)
        (void)json_object_set(out, "entry", json_array_get(rows, 0));
    json_decref(rows);
    return rc;
}

void mu_web_ca_entry_show(struct mu_kit_call *call)
{
    json_t *out = json_object();
    struct mu_err err = {0};
    enum mu_code rc = entry_put(call, call->arg, out, &err);

    mu_web_ca_finish(call, rc, out, &err);
}

static enum mu_code protocols_parse(const char *words, unsigned *out, struct mu_err *err)
{
    char copy[128], shown[80], *word, *rest = NULL;
    unsigned bits = 0;

    if (words == NULL || strcmp(words, "all") == 0) {
        *out = 0;
        return MU_OK;
    }
    if (strlen(words) >= sizeof copy)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: 'protocols' is too long");
    memcpy(copy, words, strlen(words) + 1);
    for (word = strtok_r(copy, ", ", &rest); word != NULL; word = strtok_r(NULL, ", ", &rest)) {
        enum mu_proto p = mu_proto_parse(word);

        if (strcmp(word, "srp") == 0) { /* of EST, and for nothing else */
            bits |= 1u << MU_PROTO_EST | MU_RECORD_ENTRY_SRP;
            continue;
        }
        if (strcmp(words, "shared-key") == 0) { /* of no protocol: nobody asks with it */
            bits = MU_RECORD_ENTRY_KEY;
            continue;
        }
        if (p == MU_PROTO_NONE) {
            mu_err_set(err, MU_INPUT, MU_REASON_NONE, "there is no protocol '%s'",
                mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
            mu_err_next(err, "Known: all, scep, est, cmp, srp; and shared-key alone.");
            return MU_INPUT;
        }
        bits |= 1u << p;
    }
    *out = bits;
    return MU_OK;
}

/* A given password; *set stays clear if there is none. */
static enum mu_code password_get(
    const struct mu_kit_call *call, struct mu_secret *set, struct mu_err *err)
{
    const char *given = NULL;
    enum mu_code rc = mu_kit_json_text(call->in, "password", false, &given, err);

    if (rc != MU_OK || given == NULL)
        return rc;
    if (given[0] == '\0')
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the password is empty");
    if (strlen(given) > MU_LIMIT_CHALLENGE)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the password is longer than %d octets (RFC 2985 5.4.1)", MU_LIMIT_CHALLENGE);
    return mu_secret_set(set, mu_bytes_str(given), err);
}

static enum mu_code new_read(const struct mu_kit_call *call, struct mu_ca_entry_new *entry,
    struct mu_secret *given, struct mu_err *err)
{
    static const char *const known[] = {"name", "profile", "protocols", "ca", "once", "max_uses",
        "password", "expires", "comments", NULL};
    const char *protocols = NULL, *expires = NULL;
    bool once = true;
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "name", true, &entry->name, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "profile", false, &entry->profile, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "ca", false, &entry->ca, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "comments", false, &entry->comments, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "protocols", false, &protocols, err)) != MU_OK)
        return rc;
    if ((rc = protocols_parse(protocols, &entry->protocols, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_bool(call->in, "once", &once, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_int(call->in, "max_uses", 0, 1000000, &entry->max_uses, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "expires", false, &expires, err)) != MU_OK)
        return rc;
    if (expires != NULL && !mu_time_parse_rfc3339(expires, &entry->expires_s))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "request: 'expires' is not a time like 2026-01-31T00:00:00Z");
    if (entry->profile == NULL)
        entry->profile = "default";
    entry->reusable = !once;
    return password_get(call, given, err);
}

/* The generated password leaves in this one answer. */
static void password_put(json_t *out, const struct mu_secret *made)
{
    if (mu_secret_is_set(made))
        mu_kit_json_set_text(out, "password", (const char *)mu_secret_bytes(made).p);
    else
        mu_kit_json_set_text(out, "password", NULL);
}

void mu_web_ca_entry_new(struct mu_kit_call *call)
{
    struct mu_ca_entry_new entry = {0};
    struct mu_secret given = {0}, made = {0};
    json_t *out = json_object();
    struct mu_err err = {0};
    char operator[32];
    enum mu_code rc;

    if ((rc = new_read(call, &entry, &given, &err)) != MU_OK)
        goto out;
    entry.operator= mu_web_ca_operator(call, operator);
    if (mu_secret_is_set(&given))
        entry.password = &given;
    if ((rc = mu_ca_entry_new(mu_web_ca_of(call), &entry, &made, &err)) != MU_OK)
        goto out;
    password_put(out, &made);
    rc = entry_put(call, entry.name, out, &err);
out:
    mu_secret_clear(&given);
    mu_secret_clear(&made);
    mu_web_ca_finish(call, rc, out, &err);
}

void mu_web_ca_entry_passwd(struct mu_kit_call *call)
{
    static const char *const known[] = {"password", NULL};
    struct mu_secret given = {0}, made = {0};
    json_t *out = json_object();
    struct mu_err err = {0};
    char operator[32];
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) != MU_OK)
        goto out;
    if ((rc = password_get(call, &given, &err)) != MU_OK)
        goto out;
    if ((rc = mu_ca_entry_passwd(mu_web_ca_of(call), call->arg,
             mu_secret_is_set(&given) ? &given : NULL, &made, mu_web_ca_operator(call, operator),
             &err))
        != MU_OK)
        goto out;
    password_put(out, &made);
    rc = entry_put(call, call->arg, out, &err);
out:
    mu_secret_clear(&given);
    mu_secret_clear(&made);
    mu_web_ca_finish(call, rc, out, &err);
}

void mu_web_ca_entry_device(struct mu_kit_call *call)
{
    static const char *const known[] = {"reference", NULL};
    const char *reference = json_string_value(json_object_get(call->in, "reference"));
    struct mu_secret made = {0};
    json_t *out = json_object();
    struct mu_err err = {0};
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) == MU_OK && reference == NULL)
        rc = mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "reference: which device?");
    if (rc == MU_OK)
        rc = mu_ca_entry_device(mu_web_ca_of(call), call->arg, reference, &made, &err);
    if (rc == MU_OK) {
        password_put(out, &made);
        rc = entry_put(call, call->arg, out, &err);
    }
    mu_secret_clear(&made);
    mu_web_ca_finish(call, rc, out, &err);
}

void mu_web_ca_entry_reset(struct mu_kit_call *call)
{
    struct mu_err err = {0};
    char operator[32];

    mu_web_ca_done(call,
        mu_ca_entry_reset(mu_web_ca_of(call), call->arg, mu_web_ca_operator(call, operator), &err),
        "entry", call->arg, &err);
}

static void set_disabled(struct mu_kit_call *call, bool disabled)
{
    struct mu_err err = {0};
    char operator[32];

    mu_web_ca_done(call,
        mu_ca_entry_disable(
            mu_web_ca_of(call), call->arg, disabled, mu_web_ca_operator(call, operator), &err),
        "entry", call->arg, &err);
}

void mu_web_ca_entry_disable(struct mu_kit_call *call)
{
    set_disabled(call, true);
}

void mu_web_ca_entry_enable(struct mu_kit_call *call)
{
    set_disabled(call, false);
}

void mu_web_ca_entry_remove(struct mu_kit_call *call)
{
    struct mu_err err = {0};
    char operator[32];

    mu_web_ca_done(call,
        mu_ca_entry_remove(mu_web_ca_of(call), call->arg, mu_web_ca_operator(call, operator), &err),
        "entry", call->arg, &err);
}
