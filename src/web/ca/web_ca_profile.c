/* Profiles: what is issued. */
#include <string.h>

#include "base/text.h"
#include "web/ca/web_ca_internal.h"

static void put_setting(void *cookie, const char *key, const char *value)
{
    mu_kit_json_set_text(cookie, key, value);
}

static json_t *profile_json(const struct mu_enroll_profile *profile)
{
    json_t *o = json_object(), *settings = json_object();

    mu_kit_json_set_text(o, "name", profile->name);
    mu_enroll_profile_each(profile, put_setting, settings);
    (void)json_object_set_new(o, "settings", settings);
    return o;
}

static bool append_profile(void *cookie, const struct mu_enroll_profile *profile)
{
    return json_array_append_new(cookie, profile_json(profile)) == 0;
}

void mu_web_ca_profile_list(struct mu_kit_call *call)
{
    json_t *rows = json_array(), *presets = json_array(), *out = json_object();
    const char *name, *title, *settings;

    mu_ca_profile_each(mu_web_ca_of(call), append_profile, rows);
    for (size_t i = 0; (name = mu_enroll_profile_preset(i, &title, &settings)) != NULL; i++) {
        json_t *o = json_object();

        mu_kit_json_set_text(o, "name", name);
        mu_kit_json_set_text(o, "title", title);
        (void)json_array_append_new(presets, o);
    }
    (void)json_object_set_new(out, "profiles", rows);
    (void)json_object_set_new(out, "presets", presets);
    mu_kit_call_answer(call, out);
}

struct find {
    const char *name;
    json_t *found;
};

static bool find_profile(void *cookie, const struct mu_enroll_profile *profile)
{
    struct find *f = cookie;

    if (strcmp(profile->name, f->name) != 0)
        return true;
    f->found = profile_json(profile);
    return false;
}

static enum mu_code profile_put(
    const struct mu_kit_call *call, const char *name, json_t *out, struct mu_err *err)
{
    struct find f = {.name = name};
    char shown[80];

    mu_ca_profile_each(mu_web_ca_of(call), find_profile, &f);
    if (f.found == NULL) {
        mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no profile '%s'",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(name)));
        mu_err_next(err, "muster-ca profile list");
        return MU_NOT_FOUND;
    }
    (void)json_object_set_new(out, "profile", f.found);
    return MU_OK;
}

void mu_web_ca_profile_show(struct mu_kit_call *call)
{
    json_t *out = json_object();
    struct mu_err err = {0};
    enum mu_code rc = profile_put(call, call->arg, out, &err);

    mu_web_ca_finish(call, rc, out, &err);
}

/* One 'key = value' line; a line feed in either would be a second setting. */
static enum mu_code setting_line(
    const char *key, const json_t *value, struct mu_buf *out, struct mu_err *err)
{
    const char *text = json_string_value(value);

    if (text == NULL || strpbrk(text, "\r\n") != NULL || strpbrk(key, "\r\n=[#") != NULL)
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "request: a setting is not one line of text");
    mu_buf_putf(out, "%s = %s\n", key, text);
    return mu_buf_check(out, "settings", err);
}

/* preset's lines first, then the caller's, so that these win. */
static enum mu_code settings_get(
    const struct mu_kit_call *call, struct mu_buf *out, struct mu_err *err)
{
    json_t *settings = json_object_get(call->in, "settings"), *value;
    const char *preset = NULL, *known, *title, *lines, *key;
    enum mu_code rc = mu_kit_json_text(call->in, "preset", false, &preset, err);
    char shown[80];

    if (rc != MU_OK)
        return rc;
    for (size_t i = 0; preset != NULL; i++) {
        known = mu_enroll_profile_preset(i, &title, &lines);
        if (known == NULL) {
            mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no preset '%s'",
                mu_text_escape_to(shown, sizeof shown, mu_bytes_str(preset)));
            mu_err_next(err, "muster-ca profile list --presets");
            return MU_NOT_FOUND;
        }
        if (strcmp(known, preset) == 0) {
            mu_buf_putf(out, "%s\n", lines);
            break;
        }
    }
    if (json_is_string(settings))
        mu_buf_put_str(out, json_string_value(settings));
    else if (json_is_object(settings))
        json_object_foreach(settings, key, value)
        {
            if ((rc = setting_line(key, value, out, err)) != MU_OK)
                return rc;
        }
    else if (settings != NULL && !json_is_null(settings))
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "request: 'settings' is neither text nor object");
    return mu_buf_check(out, "settings", err);
}

static void put(struct mu_kit_call *call, const char *name, bool create, struct mu_err *err)
{
    struct mu_buf settings = {0};
    json_t *out = json_object();
    char operator[32];
    enum mu_code rc;

    if ((rc = settings_get(call, &settings, err)) != MU_OK)
        goto out;
    if ((rc = mu_ca_profile_put(mu_web_ca_of(call), name, mu_buf_str(&settings), create,
             mu_web_ca_operator(call, operator), err))
        != MU_OK)
        goto out;
    rc = profile_put(call, name, out, err);
out:
    mu_buf_clear(&settings);
    mu_web_ca_finish(call, rc, out, err);
}

void mu_web_ca_profile_new(struct mu_kit_call *call)
{
    static const char *const known[] = {"name", "settings", "preset", NULL};
    const char *name = NULL;
    struct mu_err err = {0};

    if (mu_kit_json_check(call->in, known, &err) != MU_OK
        || mu_kit_json_text(call->in, "name", true, &name, &err) != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        put(call, name, true, &err);
}

void mu_web_ca_profile_replace(struct mu_kit_call *call)
{
    static const char *const known[] = {"settings", "preset", NULL};
    struct mu_err err = {0};

    if (mu_kit_json_check(call->in, known, &err) != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        put(call, call->arg, false, &err);
}

void mu_web_ca_profile_remove(struct mu_kit_call *call)
{
    struct mu_err err = {0};
    char operator[32];

    mu_web_ca_done(call,
        mu_ca_profile_remove(
            mu_web_ca_of(call), call->arg, mu_web_ca_operator(call, operator), &err),
        "profile", call->arg, &err);
}
