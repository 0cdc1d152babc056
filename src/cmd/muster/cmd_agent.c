/* Requests to the running agent. */
#include "cmd/muster/cmd_agent.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "cmd/muster/cmd_paths.h"
#include "cmd/muster/cmd_print.h"
#include "http/http_url.h"
#include "net/net_ask.h"
#include "web/agent/web_agent_facts.h"
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

    json_t *body = NULL;
    const char *restart;

    if (rc != MU_OK && rc != MU_NOT_FOUND && rc != MU_DENIED)
        mu_cmd_print_note(cmd, "muster: the agent says: %s", err.what);
    if (rc == MU_OK && mu_kit_json_decode(mu_buf_bytes(&answer), &body, NULL) == MU_OK
        && (restart = json_string_value(json_object_get(json_object_get(body, "agent"), "restart"))) != NULL)
        mu_cmd_print_note(cmd, "muster: the running agent keeps its present %s until it is restarted: "
                               "systemctl restart musterd", restart);
    json_decref(body);
    mu_buf_clear(&answer);
}

/* ---- facts ---- */

enum mu_code mu_cmd_agent_open_store(struct mu_cmd *cmd, struct mu_err *err)
{
    struct mu_buf answer = {.max = 64 * 1024};
    enum mu_code rc = mu_cmd_open_store(cmd, false, err);

    /* A place somebody named is meant, and no other. */
    if (rc == MU_OK || (rc != MU_NOT_FOUND && rc != MU_STORAGE))
        return rc;
    cmd->asks_agent = cmd->args.store == NULL
        && ask(cmd, "GET", "/v1/status", "", POKE_S, &answer, NULL) == MU_OK;
    mu_buf_clear(&answer);
    if (!cmd->asks_agent && rc == MU_NOT_FOUND && mu_agent_config_entry_at(cmd->config, 0) != NULL)
        return mu_cmd_open_store(cmd, true, err); /* what is described is there, though nothing was made yet */
    return cmd->asks_agent ? MU_OK : rc;
}

/* Calls for each certificate of the answer; call NULL: the first into *only. */
static enum mu_code certificates(struct mu_cmd *cmd, const char *target, mu_agent_each_call *call,
    void *cookie, struct mu_agent_facts *only, struct mu_err *err)
{
    struct mu_buf text = {.max = 80 << 20};
    const json_t *one;
    json_t *body = NULL;
    enum mu_code rc = mu_cmd_agent_ask(cmd, "GET", target, "", &text, err);
    size_t i;

    if (rc == MU_OK && (body = json_loadb((const char *)text.p, text.n, 0, NULL)) == NULL)
        rc = mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "the agent's answer is no JSON");
    json_array_foreach(json_object_get(body, "certificates"), i, one) {
        struct mu_agent_facts facts = {0};

        if (rc != MU_OK || (rc = mu_web_agent_facts_decode(one, &facts, err)) != MU_OK)
            break;
        if (call == NULL) {
            *only = facts;
            break;
        }
        call(cookie, &facts);
        mu_agent_facts_clear(&facts);
    }
    json_decref(body);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_cmd_agent_list(
    struct mu_cmd *cmd, mu_agent_each_call *call, void *cookie, struct mu_err *err)
{
    return cmd->asks_agent ? certificates(cmd, "/v1/certificates", call, cookie, NULL, err)
                           : mu_agent_list(&cmd->agent, call, cookie, err);
}

enum mu_code mu_cmd_agent_show(
    struct mu_cmd *cmd, const char *name, struct mu_agent_facts *out, struct mu_err *err)
{
    struct mu_buf target = {0};
    enum mu_code rc;

    if (!cmd->asks_agent)
        return mu_agent_show(&cmd->agent, name, out, err);
    mu_buf_put_str(&target, "/v1/certificates/");
    mu_http_percent_encode(&target, mu_bytes_str(name));
    if ((rc = mu_buf_check(&target, "name", err)) == MU_OK)
        rc = certificates(cmd, mu_buf_str(&target), NULL, NULL, out, err);
    mu_buf_clear(&target);
    return rc;
}

/* ---- does it run? ---- */

static void state_json(struct mu_agent_json *j, bool runs, const json_t *agent)
{
    if (j == NULL)
        return;
    mu_agent_json_open(j, "agent", '{');
    mu_agent_json_bool(j, "running", runs);
    if (agent != NULL) {
        mu_agent_json_int(j, "pid", json_integer_value(json_object_get(agent, "pid")));
        mu_agent_json_text(j, "started", json_string_value(json_object_get(agent, "started")));
        mu_agent_json_text(
            j, "fault", json_string_value(json_object_get(json_object_get(agent, "fault"), "what")));
    }
    mu_agent_json_close(j, '}');
}

static void state_text(const json_t *agent, char *out, size_t size)
{
    const char *started = json_string_value(json_object_get(agent, "started")),
               *fault = json_string_value(json_object_get(json_object_get(agent, "fault"), "what")),
               *restart = json_string_value(json_object_get(agent, "restart"));
    char when[48] = "?";
    int64_t t;

    if (started != NULL && mu_time_parse_rfc3339(started, &t))
        mu_cmd_print_time(t, when);
    snprintf(out, size, "running, process %lld, since %s%s%.60s%s%.300s",
        (long long)json_integer_value(json_object_get(agent, "pid")), when,
        restart != NULL ? "; a restart is needed for another " : "", restart != NULL ? restart : "",
        fault != NULL ? "; " : "", fault != NULL ? fault : "");
}

void mu_cmd_agent_state(struct mu_cmd *cmd, struct mu_agent_json *j, char *out, size_t size)
{
    struct mu_buf answer = {.max = 64 * 1024};
    struct mu_err err = {0};
    enum mu_code rc = ask(cmd, "GET", "/v1/status", "", POKE_S, &answer, &err);
    json_t *body = NULL;

    if (rc == MU_OK)
        rc = mu_kit_json_decode(mu_buf_bytes(&answer), &body, &err);
    state_json(j, rc != MU_NOT_FOUND, json_object_get(body, "agent"));
    if (rc == MU_OK)
        state_text(json_object_get(body, "agent"), out, size);
    else if (rc == MU_NOT_FOUND)
        snprintf(out, size, "not running");
    else
        snprintf(out, size, "it runs, and does not tell: %.300s", err.what);
    json_decref(body);
    mu_buf_clear(&answer);
}
