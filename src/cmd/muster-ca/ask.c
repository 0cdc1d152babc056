/* A command is a request: of the running server or, where none answers, of the same code here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/muster-ca/instance.h"
#include "cmd/muster-ca/socket.h"
#include "http/http_url.h"
#include "web/ca/web_ca.h"

struct local {
    json_t *answer;
    bool broken;
};

/* Every call into the CA waits for its end, so this comes before mu_kit_dispatch returns. */
static void local_done(void *cookie, struct mu_http_response *response)
{
    struct local *l = cookie;

    l->answer =
        json_loadb((const char *)response->body.p, response->body.n, JSON_REJECT_DUPLICATES, NULL);
    l->broken = !json_is_object(l->answer);
}

static enum mu_code ask_here(const struct instance_conf *conf, const char *method,
    const char *target, const json_t *in, json_t **out, struct mu_err *err)
{
    struct instance_options options = {0};
    struct mu_http_peer peer = {.is_unix = true, .uid = (int64_t)geteuid()};
    struct mu_http_request request = {
        .method = method, .target = target, .minor = 1, .peer = &peer};
    struct instance instance = {.lock_fd = -1};
    struct local l = {0};
    char *body = NULL;
    enum mu_code rc;

    if ((rc = instance_open(conf, &options, &instance, err)) != MU_OK)
        return rc;
    struct mu_web_ca web = {.ca = instance.ca, .env = &instance.env};
    struct mu_kit_router router = {
        .routes = mu_web_ca_routes, .context = &web, .owner_uid = peer.uid};
    if (in != NULL && (body = json_dumps(in, JSON_COMPACT)) != NULL)
        request.body = mu_bytes_str(body);
    mu_kit_dispatch(&router, &request, local_done, &l);
    instance_close(&instance);
    if (body != NULL)
        mu_bytes_wipe(body, strlen(body));
    free(body);
    if (l.broken) {
        json_decref(l.answer);
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    }
    *out = l.answer;
    return MU_OK;
}

enum mu_code cmd_ask(const struct cmd_context *ctx, const char *method, const char *path,
    json_t *in, json_t **out, struct mu_err *err)
{
    struct instance_conf conf = {0};
    json_t *answer = NULL;
    enum mu_code rc;

    rc = instance_conf_load(ctx, &conf, err);
    if (rc == MU_NOT_FOUND || (rc != MU_OK && err->reason == MU_REASON_NONE)) {
        mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA %s%s",
            ctx->dir != NULL ? "in " : "on this machine", ctx->dir != NULL ? ctx->dir : "");
        mu_err_next(err, "muster-ca%s%s init makes one; --dir DIR in front names another.",
            ctx->dir != NULL ? " --dir " : "", ctx->dir != NULL ? ctx->dir : "");
    }
    if (rc != MU_OK)
        goto out;
    rc = socket_ask(conf.admin, method, path, in, &answer, err);
    if (rc == MU_NOT_FOUND)
        rc = ask_here(&conf, method, path, in, &answer, err);
    if (rc != MU_OK)
        goto out;
    if (mu_kit_error_decode(answer, err)) {
        rc = err->code;
        goto out;
    }
    *out = answer;
    answer = NULL;
out:
    json_decref(answer);
    json_decref(in);
    instance_conf_clear(&conf);
    return rc;
}

int cmd_ask_print(
    const struct cmd_context *ctx, const char *method, const char *path, json_t *in, json_t **out)
{
    struct mu_err err = {0};
    json_t *answer = NULL;
    int code;

    *out = NULL;
    if (cmd_ask(ctx, method, path, in, &answer, &err) != MU_OK)
        return cmd_fail(ctx, &err);
    if (!ctx->json) {
        *out = answer;
        return 0;
    }
    code = cmd_put_json(answer);
    json_decref(answer);
    return code;
}

bool cmd_path(struct mu_buf *out, const char *head, const char *operand, const char *tail)
{
    mu_buf_put_str(out, head);
    mu_http_percent_encode(out, mu_bytes_str(operand));
    mu_buf_put_str(out, tail);
    return !out->failed;
}

int cmd_ask_about(const struct cmd_context *ctx, const char *method, const char *head,
    const char *operand, const char *tail, json_t *in, json_t **out)
{
    struct mu_buf path = {0};
    int code;

    cmd_path(&path, head, operand, tail);
    code = cmd_ask_print(ctx, method, mu_buf_str(&path), in, out);
    mu_buf_clear(&path);
    return code;
}

int cmd_about(struct cmd_context *ctx, int argc, char **argv, const struct cmd_spec *spec,
    const char *method, const char *head, const char *tail, struct cmd_args *args, json_t **out)
{
    int code = cmd_parse(ctx, spec, argc, argv, args);

    if (code >= 0)
        return code;
    code = cmd_ask_about(ctx, method, head, args->operand[0], tail, NULL, out);
    return *out != NULL ? -1 : code;
}
