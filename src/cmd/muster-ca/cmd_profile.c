/* muster-ca profile: what is issued. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cmd/muster-ca/cmd.h"
#include "keystore/keystore.h"
#include "web/kit/kit_json.h"

static void put_profile(const json_t *profile)
{
    const char *key;
    json_t *value;

    printf("# profile %s\n", cmd_text(profile, "name"));
    json_object_foreach(json_object_get(profile, "settings"), key, value)
        printf("%-19s = %s\n", key, json_string_value(value));
}

static int profile_list(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "presets", NULL, "what --preset of 'profile new' knows"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {
        .usage = "profile list [--presets]", .opts = options, .about = "All profiles."};
    struct cmd_args args;
    json_t *out, *row;
    size_t i;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    code = cmd_ask_print(ctx, "GET", "/v1/profiles", NULL, &out);
    if (out == NULL)
        return code;
    if (cmd_has(&args, "presets")) {
        json_array_foreach(json_object_get(out, "presets"), i, row)
            printf("%-18s %s\n", cmd_text(row, "name"), cmd_text(row, "title"));
    } else {
        printf("%-18s  %-8s  %-8s  %s\n", "NAME", "APPROVAL", "LIFETIME", "SUBJECT");
        json_array_foreach(json_object_get(out, "profiles"), i, row)
        {
            const json_t *s = json_object_get(row, "settings");

            printf("%-18s  %-8s  %-8s  %s\n", cmd_text(row, "name"), cmd_text(s, "approval"),
                cmd_text(s, "lifetime"), cmd_text(s, "subject"));
        }
    }
    json_decref(out);
    return 0;
}

static int ask_profile(struct cmd_context *ctx, const char *method, const char *path, json_t *in)
{
    json_t *out;
    int code = cmd_ask_print(ctx, method, path, in, &out);

    if (out == NULL)
        return code;
    put_profile(json_object_get(out, "profile"));
    json_decref(out);
    return 0;
}

static int profile_show(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "profile show NAME",
        .min = 1,
        .max = 1,
        .about = "One profile as 'key = value' lines, those at their default too."};
    struct mu_buf path = {0};
    struct cmd_args args;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    cmd_path(&path, "/v1/profiles/", args.operand[0], "");
    code = ask_profile(ctx, "GET", mu_buf_str(&path), NULL);
    mu_buf_clear(&path);
    return code;
}

/* Lines of a file, then those of the command line, which win. */
static enum mu_code settings_get(const struct cmd_args *args, json_t *in, struct mu_err *err)
{
    const char *file = cmd_get(args, "file");
    struct mu_buf text;
    enum mu_code rc = MU_OK;

    mu_buf_init(&text, MU_LIMIT_INI);
    if (file != NULL && (rc = mu_keystore_file_read(file, MU_KEYSTORE_PUBLIC, &text, err)) != MU_OK)
        goto out;
    mu_buf_put_byte(&text, '\n');
    for (size_t i = 1; i < args->operand_n; i++) {
        if (strchr(args->operand[i], '=') == NULL || strchr(args->operand[i], '\n') != NULL) {
            rc = mu_err_set(
                err, MU_INPUT, MU_REASON_NONE, "'%.60s' is not KEY=VALUE", args->operand[i]);
            goto out;
        }
        mu_buf_putf(&text, "%s\n", args->operand[i]);
    }
    if ((rc = mu_buf_check(&text, "settings", err)) == MU_OK)
        mu_kit_json_set_buf(in, "settings", &text);
out:
    mu_buf_clear(&text);
    return rc;
}

static int put(
    struct cmd_context *ctx, int argc, char **argv, const struct cmd_spec *spec, bool create)
{
    struct mu_buf path = {0};
    struct mu_err err = {0};
    struct cmd_args args;
    json_t *in;
    int code = cmd_parse(ctx, spec, argc, argv, &args);

    if (code >= 0)
        return code;
    in = json_object();
    if (settings_get(&args, in, &err) != MU_OK) {
        json_decref(in);
        return cmd_fail(ctx, &err);
    }
    if (cmd_has(&args, "preset"))
        mu_kit_json_set_text(in, "preset", cmd_get(&args, "preset"));
    if (create)
        mu_kit_json_set_text(in, "name", args.operand[0]);
    cmd_path(&path, "/v1/profiles", "", "");
    if (!create)
        cmd_path(&path, "/", args.operand[0], "");
    code = ask_profile(ctx, "POST", mu_buf_str(&path), in);
    mu_buf_clear(&path);
    return code;
}

static const struct cmd_opt put_options[] = {
    {'f', "file", "FILE", "'key = value' lines (- is stdin)"},
    {0, "preset", "NAME", "begin with these: 'profile list --presets'"},
    {0, NULL, NULL, NULL},
};

static int profile_new(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "profile new NAME [KEY=VALUE...] [option...]",
        .opts = put_options,
        .min = 1,
        .max = CMD_MAX_OPERANDS,
        .about =
            "A new profile. Keys are described in muster-ca(8); what is not set has its default."};

    return put(ctx, argc, argv, &spec, true);
}

static int profile_set(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "profile set NAME [KEY=VALUE...] [option...]",
        .opts = put_options,
        .min = 1,
        .max = CMD_MAX_OPERANDS,
        .about = "Replaces a profile: what is not set gets its default."};

    return put(ctx, argc, argv, &spec, false);
}

static int profile_remove(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "profile remove NAME",
        .min = 1,
        .max = 1,
        .about = "Forgets a profile that no entry names."};
    struct cmd_args args;
    json_t *out;
    int code = cmd_about(ctx, argc, argv, &spec, "DELETE", "/v1/profiles/", "", &args, &out);

    if (code >= 0)
        return code;
    printf("%s: removed\n", args.operand[0]);
    json_decref(out);
    return 0;
}

int cmd_profile(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"new", "a new one", profile_new},
        {"list", "all of them", profile_list},
        {"show", "one with all its keys", profile_show},
        {"set", "replace one", profile_set},
        {"remove", "forget one", profile_remove},
        {NULL, NULL, NULL},
    };

    return cmd_verb(verbs, "profile", ctx, argc, argv);
}
