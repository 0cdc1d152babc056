/* muster-ca entry: who may ask. A generated password goes into a file, once. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/secret.h"
#include "base/text.h"
#include "cmd/muster-ca/cmd.h"
#include "cmd/muster-ca/files.h"
#include "keystore/keystore.h"
#include "web/kit/kit_json.h"

static void put_entry(const json_t *e)
{
    char when[48];

    printf("%s: %s, profile %s, protocols %s, password %s, %s\n", cmd_text(e, "name"),
        cmd_text(e, "state"), cmd_text(e, "profile"), cmd_text(e, "protocols"),
        cmd_text(e, "password"), cmd_bool(e, "once") ? "once" : "reusable");
    printf(
        "  used %lld times, last %s", (long long)cmd_int(e, "uses"), cmd_time(e, "last_use", when));
    printf(", made %s", cmd_time(e, "created", when));
    if (json_is_string(json_object_get(e, "expires")))
        printf(", good until %s", cmd_time(e, "expires", when));
    printf("\n");
    if (strstr(cmd_text(e, "protocols"), "cmp") != NULL)
        printf("  CMP reference %s\n", cmd_text(e, "name"));
    if (json_is_string(json_object_get(e, "comments")))
        printf("  %s\n", cmd_text(e, "comments"));
}

/* ---- passwords ---- */

static enum mu_code password_file_read(const char *path, json_t *in, struct mu_err *err)
{
    struct mu_buf text;
    enum mu_code rc;

    mu_buf_init_secret(&text, MU_LIMIT_CHALLENGE + 2);
    if ((rc = mu_keystore_file_read(path, MU_KEYSTORE_SECRET, &text, err)) == MU_OK) {
        if (text.n == 0)
            rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s is empty", path);
        else if (memchr(text.p, '\0', text.n) != NULL || !mu_text_is_utf8(mu_buf_bytes(&text)))
            rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s is not text", path);
        else
            mu_kit_json_set_buf(in, "password", &text);
    }
    mu_buf_clear(&text);
    return rc;
}

/* Moves the generated password out of the answer into the file. */
static enum mu_code password_file_write(const char *path, json_t *answer, struct mu_err *err)
{
    const json_t *password = json_object_get(answer, "password");
    struct mu_buf text;
    enum mu_code rc = MU_OK;

    if (!json_is_string(password))
        return MU_OK;
    mu_buf_init_secret(&text, 1024);
    mu_buf_putf(&text, "%s\n", json_string_value(password));
    if ((rc = mu_buf_check(&text, "password", err)) == MU_OK)
        rc = files_create(path, mu_buf_bytes(&text), 0600, err);
    mu_kit_json_set_text(answer, "password", "*");
    if (rc == MU_OK)
        mu_kit_json_set_text(answer, "password_file", path);
    else
        mu_err_next(err,
            "Nobody has the password now: muster-ca entry passwd NAME --out FILE makes another.");
    mu_buf_clear(&text);
    return rc;
}

/* Where the password will go, checked before anything is made. */
static enum mu_code out_file(
    const struct cmd_args *args, const char *name, char path[PATH_MAX], struct mu_err *err)
{
    const char *out = cmd_get(args, "out");

    if (cmd_has(args, "password-file"))
        return MU_OK;
    if (out == NULL && !mu_text_is_entry_name(name))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "an entry's name has letters, digits, '.', '_' and '-', at most 64, and does not begin "
            "with '.' or '-'");
    if (out != NULL)
        snprintf(path, PATH_MAX, "%s", out);
    else
        snprintf(path, PATH_MAX, "%s.secret", name);
    if (!files_exist(path))
        return MU_OK;
    mu_err_set(err, MU_STORAGE, MU_M(702), "%s is there already and is not overwritten", path);
    mu_err_likely(err, "An entry of this name was made before.");
    mu_err_next(err, "Move it away, or --out FILE.");
    return MU_STORAGE;
}

static int ask_password(struct cmd_context *ctx, const char *target, json_t *in, const char *file)
{
    struct mu_err err = {0};
    json_t *out = NULL;
    int code = 0;

    if (cmd_ask(ctx, "POST", target, in, &out, &err) != MU_OK)
        return cmd_fail(ctx, &err);
    if (password_file_write(file, out, &err) != MU_OK) {
        code = cmd_fail(ctx, &err);
    } else if (ctx->json) {
        code = cmd_put_json(out);
    } else {
        put_entry(json_object_get(out, "entry"));
        if (json_is_string(json_object_get(out, "password_file")))
            printf("  its password is in %s (0600) and nowhere else\n", file);
    }
    json_decref(out);
    return code;
}

static int entry_new(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "profile", "NAME", "what is issued (default)"},
        {0, "protocols", "LIST", "scep, est, cmp (all)"},
        {0, "srp", NULL, "EST, and its password opens TLS-SRP alone (deprecated)"},
        {0, "shared-key", NULL, "lets nobody ask: an AES key that EST's made keys are encrypted to"},
        {0, "protocol", "NAME", "the same for one"},
        {0, "ca", "NAME", "only this CA"},
        {0, "once", NULL, "the password is good for one certificate (default)"},
        {0, "reusable", NULL, "for any number"},
        {0, "max-uses", "N", "for so many"},
        {0, "valid", "DURATION", "so long, e.g. 7d"},
        {0, "password-file", "FILE", "take this one (0600) instead of a random one"},
        {'o', "out", "FILE", "write the random one there (NAME.secret)"},
        {0, "comments", "TEXT", "for people"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "entry new NAME [option...]",
        .opts = options,
        .min = 1,
        .max = 1,
        .about =
            "Lets somebody ask. A random password of 128 bits is made and written into a file of\n"
            "mode 0600, once: no command shows it again. With --shared-key it is 64 hex digits, and\n"
            "NAME is the ID of muster's --server-key-to shared:ID."};
    char file[PATH_MAX] = "", expires[MU_TIME_TEXT];
    struct mu_err err = {0};
    struct cmd_args args;
    int64_t valid_s;
    json_t *in;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    if (cmd_has(&args, "once") && (cmd_has(&args, "reusable") || cmd_has(&args, "max-uses")))
        return cmd_usage("--once, --reusable or --max-uses, not two of them");
    if (cmd_has(&args, "srp") && cmd_has(&args, "protocols"))
        return cmd_usage("--srp is of EST: without --protocols");
    if (cmd_has(&args, "shared-key")
        && (cmd_has(&args, "protocols") || cmd_has(&args, "protocol") || cmd_has(&args, "srp")
            || cmd_has(&args, "once") || cmd_has(&args, "max-uses")))
        return cmd_usage("--shared-key lets nobody ask: no protocols and no uses go with it");
    in = json_object();
    mu_kit_json_set_text(in, "name", args.operand[0]);
    mu_kit_json_set_text(in, "profile", cmd_get(&args, "profile"));
    mu_kit_json_set_text(in, "protocols",
        cmd_has(&args, "srp")              ? "srp"
            : cmd_has(&args, "shared-key") ? "shared-key"
            : cmd_has(&args, "protocol") ? cmd_get(&args, "protocol")
                                         : cmd_get(&args, "protocols"));
    mu_kit_json_set_text(in, "ca", cmd_get(&args, "ca"));
    mu_kit_json_set_text(in, "comments", cmd_get(&args, "comments"));
    mu_kit_json_set_text(in, "max_uses", cmd_get(&args, "max-uses"));
    mu_kit_json_set_bool(in, "once", !cmd_has(&args, "reusable") && !cmd_has(&args, "max-uses") && !cmd_has(&args, "shared-key"));
    if (out_file(&args, args.operand[0], file, &err) != MU_OK)
        goto fail;
    if (cmd_has(&args, "valid")) {
        const struct mu_env env = mu_env_system();

        if (mu_text_duration(cmd_get(&args, "valid"), &valid_s, &err) != MU_OK)
            goto fail;
        mu_kit_json_set_text(in, "expires", mu_time_rfc3339(mu_env_now(&env) + valid_s, expires));
    }
    if (cmd_has(&args, "password-file")
        && password_file_read(cmd_get(&args, "password-file"), in, &err) != MU_OK)
        goto fail;
    return ask_password(ctx, "/v1/entries", in, file);
fail:
    json_decref(in);
    return cmd_fail(ctx, &err);
}

/* The password of an entry or of a device, into a file of that name; takes over in. */
static int password_of(
    struct cmd_context *ctx, const struct cmd_args *args, const char *name, const char *tail, json_t *in)
{
    struct mu_buf path = {0};
    char file[PATH_MAX] = "";
    struct mu_err err = {0};
    int code;

    if (out_file(args, name, file, &err) != MU_OK) {
        json_decref(in);
        return cmd_fail(ctx, &err);
    }
    cmd_path(&path, "/v1/entries/", args->operand[0], tail);
    code = ask_password(ctx, mu_buf_str(&path), in, file);
    mu_buf_clear(&path);
    return code;
}

static int entry_passwd(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "password-file", "FILE", "take this one (0600) instead of a random one"},
        {'o', "out", "FILE", "write the random one there (NAME.secret)"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "entry passwd NAME [option...]",
        .opts = options,
        .min = 1,
        .max = 1,
        .about = "A new password; the old one is refused from now on."};
    struct mu_err err = {0};
    struct cmd_args args;
    json_t *in;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    in = json_object();
    if (cmd_has(&args, "password-file")
        && password_file_read(cmd_get(&args, "password-file"), in, &err) != MU_OK) {
        json_decref(in);
        return cmd_fail(ctx, &err);
    }
    return password_of(ctx, &args, args.operand[0], "/passwd", in);
}

static int entry_device(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {'o', "out", "FILE", "write it there (REFERENCE.secret)"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "entry device NAME REFERENCE [option...]",
        .opts = options,
        .min = 2,
        .max = 2,
        .about = "The password of one device of a wildcard entry (CMP): derived from the entry's, so\n"
                 "it is the same each time until that changes."};
    struct cmd_args args;
    json_t *in;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    in = json_object();
    mu_kit_json_set_text(in, "reference", args.operand[1]);
    return password_of(ctx, &args, args.operand[1], "/device", in);
}

/* ---- the others ---- */

static int entry_list(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {
        .usage = "entry list", .about = "All entries. Passwords are not shown."};
    static const struct cmd_column columns[] = {
        {"NAME", "name", CMD_COLUMN_TEXT},
        {"STATE", "state", CMD_COLUMN_TEXT},
        {"PROFILE", "profile", CMD_COLUMN_TEXT},
        {"PROTOCOLS", "protocols", CMD_COLUMN_TEXT},
        {"ONCE", "once", CMD_COLUMN_BOOL},
        {"USES", "uses", CMD_COLUMN_INT},
        {"LAST USE", "last_use", CMD_COLUMN_TIME},
        {NULL, NULL, CMD_COLUMN_TEXT},
    };
    struct cmd_args args;
    json_t *out;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    code = cmd_ask_print(ctx, "GET", "/v1/entries", NULL, &out);
    if (out == NULL)
        return code;
    cmd_table(json_object_get(out, "entries"), columns);
    json_decref(out);
    return 0;
}

static int entry_show(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {
        .usage = "entry show NAME", .min = 1, .max = 1, .about = "One entry."};
    struct cmd_args args;
    json_t *out;
    int code = cmd_about(ctx, argc, argv, &spec, "GET", "/v1/entries/", "", &args, &out);

    if (code >= 0)
        return code;
    put_entry(json_object_get(out, "entry"));
    json_decref(out);
    return 0;
}

static int change(struct cmd_context *ctx, int argc, char **argv, const char *method,
    const char *tail, const struct cmd_spec *spec, const char *done)
{
    struct cmd_args args;
    json_t *out;
    int code = cmd_about(ctx, argc, argv, spec, method, "/v1/entries/", tail, &args, &out);

    if (code >= 0)
        return code;
    printf("%s: %s\n", args.operand[0], done);
    json_decref(out);
    return 0;
}

static int entry_reset(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "entry reset NAME",
        .min = 1,
        .max = 1,
        .about = "The client lost its key: it may use its password again from the beginning."};

    return change(ctx, argc, argv, "POST", "/reset", &spec, "may be used again from the beginning");
}

static int entry_disable(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "entry disable NAME",
        .min = 1,
        .max = 1,
        .about = "Refuses the entry until it is enabled again."};

    return change(ctx, argc, argv, "POST", "/disable", &spec, "disabled");
}

static int entry_enable(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {
        .usage = "entry enable NAME", .min = 1, .max = 1, .about = "Takes 'disable' back."};

    return change(ctx, argc, argv, "POST", "/enable", &spec, "enabled");
}

static int entry_remove(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "entry remove NAME",
        .min = 1,
        .max = 1,
        .about = "Forgets the entry; certificates that came by it stay."};

    return change(ctx, argc, argv, "DELETE", "", &spec, "removed");
}

int cmd_entry(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"new", "let somebody ask", entry_new},
        {"list", "all of them", entry_list},
        {"show", "one", entry_show},
        {"passwd", "a new password", entry_passwd},
        {"device", "the password of one device of a wildcard entry", entry_device},
        {"reset", "begin again: the client lost its key", entry_reset},
        {"disable", "refuse it", entry_disable},
        {"enable", "no longer refuse it", entry_enable},
        {"remove", "forget it", entry_remove},
        {NULL, NULL, NULL},
    };

    return cmd_verb(verbs, "entry", ctx, argc, argv);
}
