/* Requests to the running agent. */
#include "cmd/muster/cmd_agent.h"

#include <stdio.h>
#include <unistd.h>

#include "base/time.h"
#include "cmd/muster/cmd_paths.h"
#include "cmd/muster/cmd_print.h"
#include "net/net_ask.h"
#include "web/kit/kit_json.h"

enum { WAIT_S = 60, POKE_S = 2 };

static enum mu_code socket_path(const struct mu_cmd *cmd, struct mu_buf *out, struct mu_err *err)
{
    return mu_cmd_paths_socket(cmd->args.socket, mu_agent_config_agent(cmd->config)->control, out, err);
}

/* The error of an answer that is not 2xx, in the agent's own words. */
static enum mu_code refusal(struct mu_bytes text, int status, struct mu_err *err)
{
    json_t *answer = NULL;
    struct mu_err own = {0};
    bool told = mu_kit_json_decode(text, &answer, NULL) == MU_OK && mu_kit_error_decode(answer, &own);

    json_decref(answer);
    if (!told)
        return mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "the agent answered with HTTP %d", status);
    if (err != NULL)
        *err = own;
    return own.code;
}

static enum mu_code ask(struct mu_cmd *cmd, const char *method, const char *target, const char *body,
    int wait_s, struct mu_buf *out, struct mu_err *err)
{
    struct mu_net_ask request = {
        .method = method, .target = target, .body = mu_bytes_str(body), .wait_s = wait_s};
    struct mu_buf path = {0};
    size_t before = out->n;
    int status = 0;
    enum mu_code rc;

    if ((rc = socket_path(cmd, &path, err)) == MU_OK) {
        request.path = mu_buf_str(&path);
        rc = mu_net_ask(&request, &status, out, err);
        /* A user without an agent of his own means the system's. */
        if (rc == MU_NOT_FOUND && geteuid() != 0 && cmd->args.socket == NULL
            && strcmp(request.path, MU_CMD_PATHS_SYSTEM_SOCKET) != 0) {
            request.path = MU_CMD_PATHS_SYSTEM_SOCKET;
            rc = mu_net_ask(&request, &status, out, err);
        }
    }
    if (rc == MU_OK && status / 100 != 2)
        rc = refusal(mu_bytes(out->p + before, out->n - before), status, err);
    mu_buf_clear(&path);
    return rc;
}

enum mu_code mu_cmd_agent_ask(struct mu_cmd *cmd, const char *method, const char *target, const char *body,
    struct mu_buf *out, struct mu_err *err)
{
    enum mu_code rc = ask(cmd, method, target, body, WAIT_S, out, err);

    if (rc == MU_NOT_FOUND && err != NULL && err->reason == MU_M(102)) {
        mu_err_context(err, "the agent does not run");
        mu_err_next(err, "Start it: systemctl start musterd, or musterd -F.");
    }
    return rc;
}

void mu_cmd_agent_touch(struct mu_cmd *cmd, const char *name)
{
    struct mu_buf answer = {.max = 64 * 1024};
    char body[MU_KEYSTORE_NAME + 16] = "";

    if (name != NULL)
        snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    if (ask(cmd, "POST", "/v1/touch", body, POKE_S, &answer, NULL) != MU_OK && cmd->args.verbose > 0)
        mu_cmd_print_note(cmd, "no running agent was told");
    mu_buf_clear(&answer);
}

void mu_cmd_agent_reload(struct mu_cmd *cmd)
{
    struct mu_buf answer = {.max = 64 * 1024};
    struct mu_err err = {0};
    enum mu_code rc = ask(cmd, "POST", "/v1/reload", "", POKE_S, &answer, &err);

    if (rc != MU_OK && rc != MU_NOT_FOUND && rc != MU_DENIED)
        mu_cmd_print_note(cmd, "muster: the agent says: %s", err.what);
    mu_buf_clear(&answer);
}

bool mu_cmd_agent_may_ask(struct mu_cmd *cmd, const struct mu_err *err)
{
    struct mu_buf answer = {.max = 64 * 1024};
    bool there;

    /* A place somebody named is meant; and one that can be read needs no agent. */
    if (cmd->args.store != NULL || (err->code != MU_NOT_FOUND && err->code != MU_STORAGE))
        return false;
    there = ask(cmd, "GET", "/v1/status", "", POKE_S, &answer, NULL) == MU_OK;
    mu_buf_clear(&answer);
    return there;
}

bool mu_cmd_agent_state(struct mu_cmd *cmd, char *out, size_t size)
{
    struct mu_buf answer = {.max = 64 * 1024};
    struct mu_err err = {0};
    enum mu_code rc = ask(cmd, "GET", "/v1/status", "", POKE_S, &answer, &err);
    json_t *body = NULL;
    const char *started;
    char when[48] = "?";
    int64_t t;

    if (rc == MU_OK)
        rc = mu_kit_json_decode(mu_buf_bytes(&answer), &body, &err);
    if (rc == MU_OK) {
        const json_t *agent = json_object_get(body, "agent");

        started = json_string_value(json_object_get(agent, "started"));
        if (started != NULL && mu_time_parse_rfc3339(started, &t))
            mu_cmd_print_time(t, when);
        snprintf(out, size, "running, process %lld, since %s",
            (long long)json_integer_value(json_object_get(agent, "pid")), when);
        started = json_string_value(json_object_get(json_object_get(agent, "fault"), "what"));
        if (started != NULL)
            snprintf(out + strlen(out), size - strlen(out), "; %.300s", started);
    } else if (rc == MU_NOT_FOUND) {
        snprintf(out, size, "not running");
    } else {
        snprintf(out, size, "unknown, %.300s", err.what);
    }
    json_decref(body);
    mu_buf_clear(&answer);
    return rc == MU_OK;
}
