/* muster-ca ca list|show|new|set|next|activate|kga, scep, est, cmp enable|disable, stats */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster-ca/cmd.h"
#include "keystore/keystore.h"
#include "web/kit/kit_json.h"

static void put_cert(const char *role, const json_t *cert)
{
    char from[48], until[48];

    printf("  %-8s %s\n           serial %s, %s, %s to %s\n           SHA-256 %s\n", role,
        cmd_text(cert, "subject"), cmd_text(cert, "serial"), cmd_text(cert, "key"),
        cmd_time(cert, "not_before", from), cmd_time(cert, "not_after", until),
        cmd_text(cert, "sha256"));
}

static void put_ca(const json_t *ca, bool with_pem)
{
    static const char *const lists[] = {"chain", "ra", "next", "kga"};
    size_t i;
    json_t *cert;

    printf("%s%s%s%s\n", cmd_text(ca, "name"), cmd_bool(ca, "default") ? " (default)" : "",
        cmd_bool(ca, "ready") ? "" : ": not ready, ",
        cmd_bool(ca, "ready") ? "" : cmd_text(ca, "why"));
    for (size_t l = 0; l < 4; l++)
        json_array_foreach(json_object_get(ca, lists[l]), i, cert) put_cert(l == 0
                ? (i + 1 == json_array_size(json_object_get(ca, "chain")) ? "root" : "issuing")
                : lists[l],
            cert);
    if (!with_pem)
        return;
    if (json_string_length(json_object_get(ca, "settings")) != 0)
        printf("\n%s\n", cmd_text(ca, "settings"));
    for (size_t l = 0; l < 4; l++)
        json_array_foreach(json_object_get(ca, lists[l]), i, cert)
            fputs(cmd_text(cert, "pem"), stdout);
}

static int ca_list(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {
        .usage = "ca list", .about = "The CAs and their certificates."};
    static const struct {
        const char *word, *shown;
    } services[] = {{"scep", "SCEP"}, {"est", "EST"}, {"cmp", "CMP"}};
    struct cmd_args args;
    json_t *out, *row;
    size_t i;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    code = cmd_ask_print(ctx, "GET", "/v1/ca", NULL, &out);
    if (out == NULL)
        return code;
    json_array_foreach(json_object_get(out, "cas"), i, row) put_ca(row, false);
    for (i = 0; i < sizeof services / sizeof services[0]; i++)
        printf("%s is %s\n", services[i].shown,
            cmd_bool(json_object_get(out, "services"), services[i].word) ? "enabled" : "disabled");
    json_decref(out);
    return 0;
}

/* Asks /v1/ca/NAME<tail> and prints the CA that comes back. */
static int ask_ca(
    struct cmd_context *ctx, const char *method, const char *name, const char *tail, json_t *in)
{
    json_t *out;
    int code = cmd_ask_about(ctx, method, "/v1/ca/", name, tail, in, &out);

    if (out == NULL)
        return code;
    put_ca(json_object_get(out, "ca"), true);
    json_decref(out);
    return 0;
}

static int ca_show(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "ca show NAME",
        .min = 1,
        .max = 1,
        .about = "One CA with its settings and certificates in PEM."};
    struct cmd_args args;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    return code >= 0 ? code : ask_ca(ctx, "GET", args.operand[0], "", NULL);
}

static int ca_new(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "subject", "DN", "of the root"},
        {0, "issuing-subject", "DN", "of an issuing CA below it; without, the root issues"},
        {0, "key", "SPEC", "of root and issuing CA (rsa:2048)"},
        {0, "no-ra", NULL, "no RA certificate"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "ca new NAME --subject DN [option...]",
        .opts = options,
        .min = 1,
        .max = 1,
        .about = "One more CA beside the others; clients reach it as /scep/NAME."};
    struct cmd_args args;
    json_t *in, *out;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    in = json_object();
    mu_kit_json_set_text(in, "name", args.operand[0]);
    mu_kit_json_set_text(in, "root_subject", cmd_get(&args, "subject"));
    mu_kit_json_set_text(in, "issuing_subject", cmd_get(&args, "issuing-subject"));
    mu_kit_json_set_text(in, "root_key", cmd_get(&args, "key"));
    mu_kit_json_set_text(in, "issuing_key", cmd_get(&args, "key"));
    mu_kit_json_set_bool(in, "ra", !cmd_has(&args, "no-ra"));
    code = cmd_ask_print(ctx, "POST", "/v1/ca", in, &out);
    if (out == NULL)
        return code;
    put_ca(json_object_get(out, "ca"), false);
    json_decref(out);
    return 0;
}

static int ca_set(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "ca set NAME FILE",
        .min = 2,
        .max = 2,
        .about = "Replaces a CA's settings by the 'key = value' lines of FILE (- is stdin)."};
    struct mu_err err = {0};
    struct mu_buf text;
    struct cmd_args args;
    json_t *in;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    mu_buf_init(&text, MU_LIMIT_INI);
    if (mu_keystore_file_read(args.operand[1], MU_KEYSTORE_PUBLIC, &text, &err) != MU_OK) {
        mu_buf_clear(&text);
        return cmd_fail(ctx, &err);
    }
    in = json_object();
    mu_kit_json_set_buf(in, "settings", &text);
    mu_buf_clear(&text);
    return ask_ca(ctx, "POST", args.operand[0], "/set", in);
}

static int ca_next(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "ca next NAME",
        .min = 1,
        .max = 1,
        .about = "Makes the successor that GetNextCACert hands out."};
    struct cmd_args args;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    return code >= 0 ? code : ask_ca(ctx, "POST", args.operand[0], "/next", NULL);
}

static int ca_activate(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "ca activate NAME",
        .min = 1,
        .max = 1,
        .about = "The successor becomes the CA that issues."};
    struct cmd_args args;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    return code >= 0 ? code : ask_ca(ctx, "POST", args.operand[0], "/activate", NULL);
}

/* Certificates and key as text into the request. */
static enum mu_code kga_files(const char *certs, const char *key, json_t *in, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE}, secret = {.max = MU_LIMIT_FILE, .secret = true};
    enum mu_code rc = mu_keystore_file_read(certs, MU_KEYSTORE_PUBLIC, &text, err);

    if (rc == MU_OK)
        rc = mu_keystore_file_read(key, MU_KEYSTORE_SECRET, &secret, err);
    if (rc == MU_OK && (!mu_text_is_utf8(mu_buf_bytes(&text)) || !mu_text_is_utf8(mu_buf_bytes(&secret))))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "certificates and key are wanted in PEM");
    if (rc == MU_OK) {
        mu_kit_json_set_buf(in, "certificates", &text);
        mu_kit_json_set_buf(in, "key", &secret);
    }
    mu_buf_clear(&text);
    mu_buf_clear(&secret);
    return rc;
}

static int ca_kga(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "cert", "FILE", "one made elsewhere: its certificate first, then what leads to a root (PEM)"},
        {0, "key-file", "FILE", "its key (PEM, 0600)"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "ca kga NAME [--cert FILE --key-file FILE]",
        .opts = options,
        .min = 1,
        .max = 1,
        .about = "Makes the certificate (cmKGA) that signs keys made for clients, or takes one."};
    struct mu_err err = {0};
    struct cmd_args args;
    json_t *in;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    if (cmd_has(&args, "cert") != cmd_has(&args, "key-file"))
        return cmd_usage("--cert and --key-file belong together");
    if (!cmd_has(&args, "cert"))
        return ask_ca(ctx, "POST", args.operand[0], "/kga", NULL);
    in = json_object();
    if (kga_files(cmd_get(&args, "cert"), cmd_get(&args, "key-file"), in, &err) != MU_OK) {
        json_decref(in);
        return cmd_fail(ctx, &err);
    }
    return ask_ca(ctx, "POST", args.operand[0], "/kga", in);
}

int cmd_ca(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"list", "the CAs", ca_list},
        {"show", "one with its settings", ca_show},
        {"new", "one more", ca_new},
        {"set", "its settings", ca_set},
        {"next", "a successor", ca_next},
        {"activate", "the successor takes over", ca_activate},
        {"kga", "signs generated keys", ca_kga},
        {NULL, NULL, NULL},
    };

    return cmd_verb(verbs, "ca", ctx, argc, argv);
}

/* ---- services ---- */

static int service(struct cmd_context *ctx, int argc, char **argv, const char *proto, bool enable)
{
    char usage[32], about[96], path[64], upper[8];
    const struct cmd_spec spec = {.usage = usage, .about = about};
    struct cmd_args args;
    json_t *out;
    int code;

    snprintf(upper, sizeof upper, "%s", proto);
    for (char *p = upper; *p != '\0'; p++)
        *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    snprintf(usage, sizeof usage, "%s %s", proto, enable ? "enable" : "disable");
    snprintf(about, sizeof about, "Switches the %s service; it stays so over a restart.", upper);
    snprintf(path, sizeof path, "/v1/services/%s/%s", proto, enable ? "enable" : "disable");
    if ((code = cmd_parse(ctx, &spec, argc, argv, &args)) >= 0)
        return code;
    code = cmd_ask_print(ctx, "POST", path, NULL, &out);
    if (out == NULL)
        return code;
    printf("%s is %s\n", upper,
        cmd_bool(json_object_get(out, "services"), proto) ? "enabled" : "disabled");
    json_decref(out);
    return 0;
}

static int scep_enable(struct cmd_context *ctx, int argc, char **argv)
{
    return service(ctx, argc, argv, "scep", true);
}

static int scep_disable(struct cmd_context *ctx, int argc, char **argv)
{
    return service(ctx, argc, argv, "scep", false);
}

int cmd_scep(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"enable", "answer SCEP", scep_enable},
        {"disable", "refuse it", scep_disable},
        {NULL, NULL, NULL},
    };

    return cmd_verb(verbs, "scep", ctx, argc, argv);
}

static int est_enable(struct cmd_context *ctx, int argc, char **argv)
{
    return service(ctx, argc, argv, "est", true);
}

static int est_disable(struct cmd_context *ctx, int argc, char **argv)
{
    return service(ctx, argc, argv, "est", false);
}

int cmd_est(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"enable", "answer EST", est_enable},
        {"disable", "refuse it", est_disable},
        {NULL, NULL, NULL},
    };

    return cmd_verb(verbs, "est", ctx, argc, argv);
}

static int cmp_enable(struct cmd_context *ctx, int argc, char **argv)
{
    return service(ctx, argc, argv, "cmp", true);
}

static int cmp_disable(struct cmd_context *ctx, int argc, char **argv)
{
    return service(ctx, argc, argv, "cmp", false);
}

int cmd_cmp(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"enable", "answer CMP", cmp_enable},
        {"disable", "refuse it", cmp_disable},
        {NULL, NULL, NULL},
    };

    return cmd_verb(verbs, "cmp", ctx, argc, argv);
}

/* ---- stats ---- */

static void put_numbers(const char *title, const json_t *object)
{
    const char *key;
    json_t *value;

    printf("%s\n", title);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (json_is_integer(value))
            printf("  %-14s %lld\n", key, (long long)json_integer_value(value));
    }
}

int cmd_stats(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {
        .usage = "stats", .about = "What happened since the start, and what there is."};
    struct cmd_args args;
    json_t *out, *row;
    size_t i;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    code = cmd_ask_print(ctx, "GET", "/v1/stats", NULL, &out);
    if (out == NULL)
        return code;
    put_numbers("since the start", json_object_get(out, "since_start"));
    json_array_foreach(json_object_get(json_object_get(out, "since_start"), "refused_by"), i, row)
        printf("    %-6lld %s\n", (long long)cmd_int(row, "count"), cmd_text(row, "reason"));
    put_numbers("now", json_object_get(out, "now"));
    json_decref(out);
    return 0;
}
