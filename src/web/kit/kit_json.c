#include "web/kit/kit_json.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { SHOWN_MAX = 4096 }; /* of a text that has to be escaped */

/* jansson recurses up to 2048 levels; ours ends where no request of ours can be. */
static bool depth_ok(struct mu_bytes text)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > MU_KIT_JSON_DEPTH)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

enum mu_code mu_kit_json_decode(struct mu_bytes text, json_t **out, struct mu_err *err)
{
    char why[160];
    json_error_t fault;
    json_t *v;

    if (text.n == 0) {
        v = json_object();
        if (v == NULL)
            return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
        *out = v;
        return MU_OK;
    }
    if (text.n > MU_KIT_JSON_MAX)
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "request: more than %d octets of JSON", MU_KIT_JSON_MAX);
    if (!depth_ok(text))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "request: JSON nested deeper than %d levels", MU_KIT_JSON_DEPTH);
    v = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &fault);
    if (v == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: JSON line %d: %s", fault.line,
            mu_text_escape_to(why, sizeof why, mu_bytes_str(fault.text)));
    if (!json_is_object(v)) {
        json_decref(v);
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: the JSON is not an object");
    }
    *out = v;
    return MU_OK;
}

static int dump_to_buf(const char *p, size_t n, void *cookie)
{
    struct mu_buf *out = cookie;

    return mu_buf_put(out, p, n) ? 0 : -1;
}

enum mu_code mu_kit_json_encode(const json_t *value, struct mu_buf *out, struct mu_err *err)
{
    if (json_dump_callback(value, dump_to_buf, out, JSON_COMPACT) != 0 && !out->failed)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "answer: cannot be written as JSON");
    mu_buf_put_byte(out, '\n');
    return mu_buf_check(out, "JSON answer", err);
}

enum mu_code mu_kit_json_check(const json_t *in, const char *const *known, struct mu_err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)in, key, value)
    {
        const char *near_word;
        char shown[80];
        size_t i = 0;

        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] != NULL)
            continue;
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(key));
        near_word = mu_text_nearest(key, known);
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: unknown member '%s'", shown);
        if (near_word != NULL)
            mu_err_next(err, "Did you mean '%s'?", near_word);
        return MU_INPUT;
    }
    return MU_OK;
}

static json_t *member(const json_t *in, const char *key)
{
    json_t *v = json_object_get(in, key);

    return json_is_null(v) ? NULL : v;
}

enum mu_code mu_kit_json_text(
    const json_t *in, const char *key, bool required, const char **out, struct mu_err *err)
{
    json_t *v = member(in, key);

    if (v == NULL && required)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: '%s' is missing", key);
    if (v != NULL && !json_is_string(v))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: '%s' is not a text", key);
    *out = v != NULL ? json_string_value(v) : NULL;
    return MU_OK;
}

enum mu_code mu_kit_json_int(
    const json_t *in, const char *key, int64_t min, int64_t max, int64_t *out, struct mu_err *err)
{
    json_t *v = member(in, key);
    int64_t n;

    if (v == NULL)
        return MU_OK;
    if (json_is_string(v)) {
        enum mu_code rc = mu_text_int(json_string_value(v), min, max, &n, err);

        if (rc != MU_OK) {
            mu_err_context(err, "request: '%s'", key);
            return rc;
        }
        *out = n;
        return MU_OK;
    }
    if (!json_is_integer(v))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: '%s' is not a number", key);
    n = json_integer_value(v);
    if (n < min || n > max)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "request: '%s' is not between %lld and %lld", key, (long long)min, (long long)max);
    *out = n;
    return MU_OK;
}

enum mu_code mu_kit_json_bool(const json_t *in, const char *key, bool *out, struct mu_err *err)
{
    json_t *v = member(in, key);
    const char *s;

    if (v == NULL)
        return MU_OK;
    if (json_is_boolean(v)) {
        *out = json_is_true(v);
        return MU_OK;
    }
    s = json_is_string(v) ? json_string_value(v) : "";
    if (strcmp(s, "yes") == 0 || strcmp(s, "true") == 0)
        *out = true;
    else if (strcmp(s, "no") == 0 || strcmp(s, "false") == 0)
        *out = false;
    else
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: '%s' is not yes or no", key);
    return MU_OK;
}

void mu_kit_json_set_text(json_t *object, const char *key, const char *value)
{
    json_t *v = value == NULL ? json_null() : json_string(value);

    if (v == NULL) { /* not UTF-8 */
        struct mu_buf escaped = {0};

        if (mu_text_escape(&escaped, mu_bytes_str(value), SHOWN_MAX))
            v = json_string(mu_buf_str(&escaped));
        mu_buf_clear(&escaped);
    }
    (void)json_object_set_new(object, key, v);
}

void mu_kit_json_set_int(json_t *object, const char *key, int64_t value)
{
    (void)json_object_set_new(object, key, json_integer(value));
}

void mu_kit_json_set_bool(json_t *object, const char *key, bool value)
{
    (void)json_object_set_new(object, key, json_boolean(value));
}

void mu_kit_json_set_time(json_t *object, const char *key, int64_t t)
{
    char text[MU_TIME_TEXT];

    mu_kit_json_set_text(object, key, t == 0 ? NULL : mu_time_rfc3339(t, text));
}

void mu_kit_json_set_buf(json_t *object, const char *key, const struct mu_buf *text)
{
    mu_kit_json_set_text(object, key, mu_buf_str(text));
}

/* ---- errors ---- */

static const struct {
    enum mu_code code;
    const char *kind;
    int status;
} kinds[] = {
    {MU_INPUT, "input", 400},
    {MU_AUTH, "auth", 403},
    {MU_DENIED, "denied", 403},
    {MU_NOT_FOUND, "not-found", 404},
    {MU_BUSY, "busy", 503},
    {MU_PENDING, "pending", 409},
    {MU_UNSUPPORTED, "unsupported", 501},
    {MU_NETWORK, "network", 502},
    {MU_STORAGE, "storage", 507},
    {MU_MEMORY, "memory", 503},
    {MU_INTERNAL, "internal", 500},
};

enum { KIND_N = sizeof kinds / sizeof kinds[0] };

static size_t kind_of(enum mu_code code)
{
    size_t i = 0;

    while (i < KIND_N - 1 && kinds[i].code != code)
        i++;
    return i;
}

int mu_kit_error_status(const struct mu_err *err)
{
    return kinds[kind_of(err->code)].status;
}

json_t *mu_kit_error_encode(const struct mu_err *err)
{
    json_t *answer = json_object(), *fault = json_object();
    char number[8];

    if (answer == NULL || fault == NULL) {
        json_decref(answer);
        json_decref(fault);
        return NULL;
    }
    if (err->reason >= MU_REFUSE_FIRST)
        snprintf(number, sizeof number, "R%d", (int)err->reason);
    else
        mu_err_code_text(err, number);
    mu_kit_json_set_text(fault, "code", number);
    mu_kit_json_set_text(fault, "kind", kinds[kind_of(err->code)].kind);
    mu_kit_json_set_text(fault, "what", err->what);
    mu_kit_json_set_text(fault, "likely", mu_err_likely_text(err));
    mu_kit_json_set_text(fault, "next", mu_err_next_text(err));
    mu_kit_json_set_text(answer, "schema", MU_KIT_SCHEMA);
    (void)json_object_set_new(answer, "error", fault);
    return answer;
}

static const char *text_or_empty(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s != NULL ? s : "";
}

bool mu_kit_error_decode(const json_t *answer, struct mu_err *err)
{
    const json_t *fault = json_object_get(answer, "error");
    const char *number, *kind;
    int64_t reason = 0;
    size_t i = 0;

    if (!json_is_object(fault))
        return false;
    kind = text_or_empty(fault, "kind");
    while (i < KIND_N - 1 && strcmp(kinds[i].kind, kind) != 0)
        i++;
    number = text_or_empty(fault, "code");
    if ((*number == 'M' || *number == 'R')
        && mu_text_int(number + 1, 100, MU_REFUSE_LAST, &reason, NULL) != MU_OK)
        reason = 0;
    mu_err_set(err, kinds[i].code, (enum mu_reason)reason, "%s", text_or_empty(fault, "what"));
    mu_err_likely(err, "%s", text_or_empty(fault, "likely"));
    mu_err_next(err, "%s", text_or_empty(fault, "next"));
    return true;
}
