/* muster-ca issued, revoke, crl, log */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster-ca/cmd.h"
#include "http/http_url.h"
#include "keystore/keystore.h"
#include "web/kit/kit_json.h"

/* Options whose value becomes a query parameter: option name, parameter. */
struct param {
    const char *option, *parameter;
};

static void query_put(
    struct mu_buf *path, const char *base, const struct param *params, const struct cmd_args *args)
{
    bool first = true;

    mu_buf_put_str(path, base);
    for (; params->option != NULL; params++) {
        const char *value = cmd_get(args, params->option);

        if (value == NULL)
            continue;
        mu_buf_putf(path, "%s%s=", first ? "?" : "&", params->parameter);
        mu_http_percent_encode(path, mu_bytes_str(value[0] != '\0' ? value : "yes"));
        first = false;
    }
}

static const struct cmd_opt issued_options[] = {
    {0, "subject", "TEXT", "whose subject contains it"},
    {0, "serial", "SERIAL", "hex, colons allowed"},
    {0, "profile", "NAME", "issued by this one"},
    {0, "transaction", "ID", "of this transaction"},
    {0, "revoked", NULL, "only revoked ones"},
    {0, "limit", "N", "at most so many (100)"},
    {0, "before", "ID", "the page behind this one"},
    {0, NULL, NULL, NULL},
};

static int issued_list(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "issued [list] [option...]",
        .opts = issued_options,
        .about = "Certificates, newest first."};
    static const struct param params[] = {{"subject", "subject"}, {"serial", "serial"},
        {"profile", "profile"}, {"transaction", "transaction"}, {"revoked", "revoked"},
        {"limit", "limit"}, {"before", "before"}, {NULL, NULL}};
    static const struct cmd_column columns[] = {
        {"ID", "id", CMD_COLUMN_INT},
        {"SERIAL", "serial", CMD_COLUMN_TEXT},
        {"VIA", "protocol", CMD_COLUMN_TEXT},
        {"STATE", "state", CMD_COLUMN_TEXT},
        {"UNTIL", "not_after", CMD_COLUMN_TIME},
        {"PROFILE", "profile", CMD_COLUMN_TEXT},
        {"ENTRY", "entry", CMD_COLUMN_TEXT},
        {"SUBJECT", "subject", CMD_COLUMN_TEXT},
        {NULL, NULL, CMD_COLUMN_TEXT},
    };
    struct mu_buf path = {0};
    struct cmd_args args;
    json_t *out;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    query_put(&path, "/v1/issued", params, &args);
    code = cmd_ask_print(ctx, "GET", mu_buf_str(&path), NULL, &out);
    mu_buf_clear(&path);
    if (out == NULL)
        return code;
    cmd_table(json_object_get(out, "issued"), columns);
    json_decref(out);
    return 0;
}

static int issued_show(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "issued show SERIAL",
        .min = 1,
        .max = 1,
        .about = "One certificate and its history, with PEM."};
    static const char *const rows[] = {"subject", "issuer", "serial", "sha256", "key", "state",
        "not_before", "not_after", "issued", "protocol", "ca", "profile", "entry", "transaction",
        "confirmation", "confirm_until", "renews", "renewed_by", "revoked", "revoke_reason"};
    struct cmd_args args;
    const json_t *cert;
    json_t *out;
    int code = cmd_about(ctx, argc, argv, &spec, "GET", "/v1/issued/", "", &args, &out);

    if (code >= 0)
        return code;
    cert = json_object_get(out, "certificate");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (json_is_string(json_object_get(cert, rows[i])))
            printf("%-14s %s\n", rows[i], cmd_text(cert, rows[i]));
    fputs(cmd_text(cert, "pem"), stdout);
    json_decref(out);
    return 0;
}

int cmd_issued(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"list", "all, or those that fit", issued_list},
        {"show", "one", issued_show},
        {NULL, NULL, NULL},
    };

    if (argc < 2
        || (argv[1][0] == '-' && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
        return issued_list(ctx, argc, argv);
    return cmd_verb(verbs, "issued", ctx, argc, argv);
}

int cmd_revoke(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {'r', "reason", "WORD", "keyCompromise, superseded, ... (unspecified)"},
        {0, "ca", "NAME", "whose certificate it is"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "revoke SERIAL [option...]",
        .opts = options,
        .min = 1,
        .max = 1,
        .about = "Revokes a certificate and makes a new CRL at once. There is no way back."};
    struct cmd_args args;
    json_t *in, *out;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    in = json_object();
    mu_kit_json_set_text(in, "serial", args.operand[0]);
    if (cmd_has(&args, "reason"))
        mu_kit_json_set_text(in, "reason", cmd_get(&args, "reason"));
    if (cmd_has(&args, "ca"))
        mu_kit_json_set_text(in, "ca", cmd_get(&args, "ca"));
    code = cmd_ask_print(ctx, "POST", "/v1/revoke", in, &out);
    if (out == NULL)
        return code;
    printf("%s: revoked, %s; the CRL is new\n", cmd_text(out, "serial"), cmd_text(out, "reason"));
    json_decref(out);
    return 0;
}

/* ---- crl ---- */

static int put_crl(struct cmd_context *ctx, const struct cmd_args *args, const json_t *crl)
{
    const char *file = cmd_get(args, "out"), *pem = cmd_text(crl, "pem");
    char from[48], until[48];
    struct mu_err err = {0};

    if (file == NULL) {
        fputs(pem, stdout);
        return 0;
    }
    if (mu_keystore_file_write(file, 0644, mu_bytes_str(pem), &err) != MU_OK)
        return cmd_fail(ctx, &err);
    printf("%s: number %s, %lld revoked, %s to %s\n", file, cmd_text(crl, "number"),
        (long long)cmd_int(crl, "revoked"), cmd_time(crl, "this_update", from),
        cmd_time(crl, "next_update", until));
    return 0;
}

static const struct cmd_opt crl_options[] = {
    {0, "ca", "NAME", "of this CA"},
    {'o', "out", "FILE", "write the PEM there instead of stdout"},
    {0, NULL, NULL, NULL},
};

static int crl_show(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "crl show [option...]",
        .opts = crl_options,
        .about = "The present revocation list."};
    static const struct param params[] = {{"ca", "ca"}, {NULL, NULL}};
    struct mu_buf path = {0};
    struct cmd_args args;
    json_t *out;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    query_put(&path, "/v1/crl", params, &args);
    code = cmd_ask_print(ctx, "GET", mu_buf_str(&path), NULL, &out);
    mu_buf_clear(&path);
    if (out == NULL)
        return code;
    code = put_crl(ctx, &args, out);
    json_decref(out);
    return code;
}

static int crl_make(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "crl make [option...]",
        .opts = crl_options,
        .about = "Makes a new revocation list now. It is made by itself after each revocation and\n"
                 "before the last one ends."};
    struct cmd_args args;
    json_t *in, *out;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    in = json_object();
    if (cmd_has(&args, "ca"))
        mu_kit_json_set_text(in, "ca", cmd_get(&args, "ca"));
    code = cmd_ask_print(ctx, "POST", "/v1/crl", in, &out);
    if (out == NULL)
        return code;
    code = put_crl(ctx, &args, out);
    json_decref(out);
    return code;
}

int cmd_crl(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"show", "the present one", crl_show},
        {"make", "a new one", crl_make},
        {NULL, NULL, NULL},
    };

    if (argc < 2
        || (argv[1][0] == '-' && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
        return crl_show(ctx, argc, argv);
    return cmd_verb(verbs, "crl", ctx, argc, argv);
}

/* ---- log ---- */

int cmd_log(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "action", "WORD", "issue, renew, refuse, revoke, approve, reject, ..."},
        {0, "subject", "TEXT", "whose subject contains it"},
        {0, "serial", "SERIAL", "hex, colons allowed"},
        {0, "transaction", "ID", "of this transaction"},
        {0, "since", "TIME", "2026-01-31T00:00:00Z or a duration back, 2d"},
        {0, "limit", "N", "at most so many (100)"},
        {0, "before", "ID", "the page behind this one"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "log [option...]",
        .opts = options,
        .about = "The audit trail, newest first: what was asked, issued, refused and done."};
    static const struct param params[] = {{"action", "action"}, {"subject", "subject"},
        {"serial", "serial"}, {"transaction", "transaction"}, {"limit", "limit"},
        {"before", "before"}, {NULL, NULL}};
    static const struct cmd_column columns[] = {
        {"ID", "id", CMD_COLUMN_INT},
        {"TIME", "time", CMD_COLUMN_TIME},
        {"ACTION", "action", CMD_COLUMN_TEXT},
        {"STATUS", "status", CMD_COLUMN_TEXT},
        {"FROM", "address", CMD_COLUMN_TEXT},
        {"MESSAGE", "message", CMD_COLUMN_TEXT},
        {NULL, NULL, CMD_COLUMN_TEXT},
    };
    const struct mu_env env = mu_env_system();
    struct mu_buf path = {0};
    char text[MU_TIME_TEXT];
    const char *since;
    struct cmd_args args;
    int64_t back_s;
    json_t *out;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    query_put(&path, "/v1/log", params, &args);
    if ((since = cmd_get(&args, "since")) != NULL) {
        if (mu_text_duration(since, &back_s, NULL) == MU_OK)
            since = mu_time_rfc3339(mu_env_now(&env) - back_s, text);
        mu_buf_putf(&path, "%ssince=", strchr(mu_buf_str(&path), '?') != NULL ? "&" : "?");
        mu_http_percent_encode(&path, mu_bytes_str(since));
    }
    code = cmd_ask_print(ctx, "GET", mu_buf_str(&path), NULL, &out);
    mu_buf_clear(&path);
    if (out == NULL)
        return code;
    cmd_table(json_object_get(out, "log"), columns);
    json_decref(out);
    return 0;
}
