/* log: what happened, out of the store's log of events. */
#include <stdio.h>
#include <time.h>

#include "agent/agent_log.h"
#include "base/text.h"
#include "base/time.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_print.h"

enum { LOOK_AGAIN_MS = 300 };

struct log {
    struct mu_cmd *cmd;
    struct mu_agent_json j;
    struct mu_buf json;
};

/* A line that a crash tore, or that somebody else wrote, says nothing. */
static bool is_whole(struct mu_bytes line)
{
    struct mu_buf value = {0};
    bool whole = mu_text_is_utf8(line) && mu_agent_log_time(line) != 0
        && mu_agent_log_field(line, "action", &value) && mu_agent_log_field(line, "msg", &value);

    mu_buf_clear(&value);
    return whole;
}

static void print_line(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    struct mu_buf shown = {.max = 4 * MU_KEYSTORE_LOG_LINE};

    if (is_whole(line) && mu_text_escape(&shown, line, 4 * MU_KEYSTORE_LOG_LINE)) {
        fwrite(shown.p, 1, shown.n, stdout);
        putchar('\n');
    }
    mu_buf_clear(&shown);
}

static void add_json(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    struct log *log = cookie;

    if (is_whole(line))
        mu_agent_log_json(&log->j, NULL, line);
}

/* One object a line, for who follows. */
static void print_json(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    struct log *log = cookie;
    struct mu_agent_json j;

    if (!is_whole(line))
        return;
    mu_buf_reset(&log->json);
    mu_agent_json_begin(&j, &log->json, mu_env_now(&log->cmd->env));
    mu_agent_log_json(&j, "event", line);
    mu_agent_json_close(&j, '}');
    mu_cmd_print_json(log->cmd, &log->json);
}

static int follow(struct log *log, const struct mu_agent_log_filter *filter,
    struct mu_keystore_log_place *place, struct mu_err *err)
{
    const struct timespec pause = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
    bool json = log->cmd->args.json;

    for (;;) {
        if (mu_agent_log_read(log->cmd->store, filter, 0, place, json ? print_json : print_line, log, err)
            != MU_OK)
            return mu_cmd_print_error(log->cmd, NULL, err);
        if (fflush(stdout) != 0)
            return MU_CMD_OK; /* nobody reads any more */
        nanosleep(&pause, NULL);
    }
}

/* "1h" ago, "2025-11-20", or a whole time. */
static enum mu_code since_parse(struct mu_cmd *cmd, int64_t *out, struct mu_err *err)
{
    const char *text = cmd->args.since;
    char day[MU_TIME_TEXT];
    int64_t ago;

    if (text == NULL || mu_time_parse_rfc3339(text, out))
        return MU_OK;
    snprintf(day, sizeof day, "%.20sT00:00:00Z", text);
    if (mu_time_parse_rfc3339(day, out))
        return MU_OK;
    if (mu_text_duration(text, &ago, NULL) == MU_OK) {
        *out = mu_env_now(&cmd->env) - ago;
        return MU_OK;
    }
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "--since %s: a time like 2025-11-20, 2025-11-20T17:40:05Z, or 1h, 30d", text);
}

static int all_json(struct log *log, const struct mu_agent_log_filter *filter,
    struct mu_keystore_log_place *place, struct mu_err *err)
{
    mu_cmd_print_json_begin(log->cmd, &log->j, &log->json);
    mu_agent_json_open(&log->j, "events", '[');
    if (mu_agent_log_read(log->cmd->store, filter, 0, place, add_json, log, err) != MU_OK)
        return mu_cmd_print_error(log->cmd, NULL, err);
    return mu_cmd_print_json_list(log->cmd, &log->j, &log->json);
}

int mu_cmd_log(struct mu_cmd *cmd)
{
    struct mu_agent_log_filter filter = {
        .name = cmd->args.name, .action = cmd->args.action, .subtype = cmd->args.subtype};
    struct log log = {.cmd = cmd, .json.max = 8 * MU_KEYSTORE_LOG_MAX};
    struct mu_keystore_log_place place = {0};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;
    enum mu_code rc;

    if (since_parse(cmd, &filter.since_s, &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    if ((rc = mu_cmd_agent_open_store(cmd, &err)) != MU_OK && (rc != MU_NOT_FOUND || cmd->args.json))
        return mu_cmd_print_error(cmd, NULL, &err);
    if (cmd->asks_agent)
        return mu_cmd_agent_log(cmd, &filter);
    if (rc != MU_OK)
        return MU_CMD_OK; /* no store yet: nothing happened in it */
    if (cmd->args.follow)
        exit_code = follow(&log, &filter, &place, &err);
    else if (cmd->args.json)
        exit_code = all_json(&log, &filter, &place, &err);
    else if (mu_agent_log_read(cmd->store, &filter, 0, &place, print_line, &log, &err) != MU_OK)
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    mu_buf_clear(&log.json);
    return exit_code;
}
