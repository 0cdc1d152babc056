/* muster-ca queue: requests that wait for a person. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cmd/muster-ca/cmd.h"
#include "web/kit/kit_json.h"

static int queue_list(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "state", "WORD", "pending (default), issued, rejected, all"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "queue list [option...]",
        .opts = options,
        .about = "Requests that wait for approval, newest first."};
    static const struct cmd_column columns[] = {
        {"ID", "id", CMD_COLUMN_INT},
        {"VIA", "protocol", CMD_COLUMN_TEXT},
        {"STATE", "state", CMD_COLUMN_TEXT},
        {"AGE", "age_s", CMD_COLUMN_AGE},
        {"FROM", "address", CMD_COLUMN_TEXT},
        {"PROFILE", "profile", CMD_COLUMN_TEXT},
        {"SUBJECT", "subject", CMD_COLUMN_TEXT},
        {"TRANSACTION", "transaction", CMD_COLUMN_TEXT},
        {NULL, NULL, CMD_COLUMN_TEXT},
    };
    struct mu_buf path = {0};
    struct cmd_args args;
    json_t *out;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    if (cmd_has(&args, "state"))
        cmd_path(&path, "/v1/queue?state=", cmd_get(&args, "state"), "");
    else
        mu_buf_put_str(&path, "/v1/queue");
    code = cmd_ask_print(ctx, "GET", mu_buf_str(&path), NULL, &out);
    mu_buf_clear(&path);
    if (out == NULL)
        return code;
    cmd_table(json_object_get(out, "queue"), columns);
    json_decref(out);
    return 0;
}

/* As PRODUCT's approval queue shows it. */
static void put_request(const json_t *r)
{
    const json_t *asked = json_object_get(r, "asked"), *issue = json_object_get(r, "issue");
    struct mu_buf age = {0};
    char until[48];
    json_t *c;
    size_t i;

    mu_text_duration_format(&age, cmd_int(r, "age_s"));
    printf("#%lld  %s  %s  %s  profile %s  txn %s\n", (long long)cmd_int(r, "id"),
        cmd_text(r, "protocol"), cmd_text(r, "address"), mu_buf_str(&age), cmd_text(r, "profile"),
        cmd_text(r, "transaction"));
    mu_buf_clear(&age);
    printf("  asked   %s  %s  SAN %s\n", cmd_text(asked, "subject"), cmd_text(asked, "key"),
        cmd_text(asked, "san"));
    if (json_is_object(issue))
        printf("  issue   %s  SAN %s  until %s\n", cmd_text(issue, "subject"),
            cmd_text(issue, "san"), cmd_time(issue, "not_after", until));
    json_array_foreach(json_object_get(issue, "changes"), i, c) printf("          %s %s\n",
        strcmp(cmd_text(c, "change"), "added") == 0 ? "+" : "-", cmd_text(c, "what"));
    if (json_is_string(json_object_get(r, "refusal")))
        printf("  refused if approved: %s\n", cmd_text(r, "refusal"));
    printf(
        "  checks  challenge %s   ", cmd_bool(r, "challenge_ok") ? cmd_text(r, "entry") : "none");
    if (json_is_string(json_object_get(r, "key_seen_as")))
        printf("key seen before as %s", cmd_text(r, "key_seen_as"));
    else
        printf("key not seen under another name");
    if (json_is_string(json_object_get(r, "renews")))
        printf("   renews %s", cmd_text(r, "renews"));
    printf("\n");
}

static int queue_show(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_spec spec = {.usage = "queue show ID",
        .min = 1,
        .max = 1,
        .about = "One request: what was asked for against what would be issued, and the checks.\n"
                 "ID is its number or transaction id."};
    struct cmd_args args;
    json_t *out;
    int code = cmd_about(ctx, argc, argv, &spec, "GET", "/v1/queue/", "", &args, &out);

    if (code >= 0)
        return code;
    put_request(json_object_get(out, "request"));
    json_decref(out);
    return 0;
}

static int settle(struct cmd_context *ctx, const char *id, const char *tail, json_t *in)
{
    json_t *out;
    int code = cmd_ask_about(ctx, "POST", "/v1/queue/", id, tail, in, &out);

    if (out == NULL)
        return code;
    printf("%s: %s", id, cmd_text(out, "result"));
    if (json_is_string(json_object_get(out, "serial")))
        printf(", serial %s; the client gets it when it asks again", cmd_text(out, "serial"));
    printf("\n");
    json_decref(out);
    return 0;
}

static int queue_approve(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "profile", "NAME", "issue by this profile instead of the request's"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "queue approve ID [option...]",
        .opts = options,
        .min = 1,
        .max = 1,
        .about = "Issues the certificate. ID is the number or transaction id."};
    struct cmd_args args;
    json_t *in;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    in = json_object();
    if (cmd_has(&args, "profile"))
        mu_kit_json_set_text(in, "profile", cmd_get(&args, "profile"));
    return settle(ctx, args.operand[0], "/approve", in);
}

static int queue_reject(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd_opt options[] = {
        {0, "reason", "TEXT", "goes to the client"},
        {0, NULL, NULL, NULL},
    };
    static const struct cmd_spec spec = {.usage = "queue reject ID --reason TEXT",
        .opts = options,
        .min = 1,
        .max = 1,
        .about = "Refuses the request. ID is the number or transaction id."};
    struct cmd_args args;
    json_t *in;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    if (!cmd_has(&args, "reason"))
        return cmd_usage("queue reject needs --reason TEXT: the client is told");
    in = json_object();
    mu_kit_json_set_text(in, "reason", cmd_get(&args, "reason"));
    return settle(ctx, args.operand[0], "/reject", in);
}

int cmd_queue(struct cmd_context *ctx, int argc, char **argv)
{
    static const struct cmd verbs[] = {
        {"list", "what waits", queue_list},
        {"show", "one request", queue_show},
        {"approve", "issue it", queue_approve},
        {"reject", "refuse it", queue_reject},
        {NULL, NULL, NULL},
    };

    return cmd_verb(verbs, "queue", ctx, argc, argv);
}
