/* The log of a store that only the agent may read. */
#include <stdio.h>

#include "agent/agent_log.h"
#include "base/text.h"
#include "base/time.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_print.h"
#include "http/http_url.h"
#include "web/kit/kit_json.h"

enum { FOLLOW_S = 30, ALL = 1000000 };

static void put_part(struct mu_buf *target, const char *key, const char *value)
{
    if (value == NULL)
        return;
    mu_buf_putf(target, "&%s=", key);
    mu_http_percent_encode(target, mu_bytes_str(value));
}

static void target_format(const struct mu_cmd *cmd, const struct mu_agent_log_filter *filter,
    const char *place, struct mu_buf *target)
{
    char since[MU_TIME_TEXT];

    mu_buf_reset(target);
    mu_buf_putf(target, "/v1/events?n=%d", ALL);
    put_part(target, "name", filter->name);
    put_part(target, "action", filter->action);
    put_part(target, "subtype", filter->subtype);
    put_part(target, "since", filter->since_s != 0 ? mu_time_rfc3339(filter->since_s, since) : NULL);
    put_part(target, "after", place);
    if (place != NULL)
        mu_buf_putf(target, "&wait=%d", FOLLOW_S);
    if (!cmd->args.json)
        mu_buf_put_str(target, "&lines=yes");
}

/* Lines, or with --json and --follow an object for each. */
static void print_events(const struct mu_cmd *cmd, const json_t *events)
{
    const json_t *event;
    size_t i;

    json_array_foreach(events, i, event) {
        char *text = json_is_object(event) ? json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
        const char *line = json_string_value(event);

        if (line != NULL || text != NULL) {
            struct mu_buf shown = {.max = 8 * MU_KEYSTORE_LOG_LINE};

            mu_text_escape(&shown, mu_bytes_str(line != NULL ? line : text), 4 * MU_KEYSTORE_LOG_LINE);
            puts(mu_buf_str(&shown));
            mu_buf_clear(&shown);
        }
        free(text);
    }
}

/* One answer; place gets where to go on. */
static enum mu_code round_of(struct mu_cmd *cmd, const char *target, struct mu_buf *place, struct mu_err *err)
{
    struct mu_buf text = {.max = 64 << 20};
    json_t *body = NULL;
    enum mu_code rc = mu_cmd_agent_ask(cmd, "GET", target, "", &text, err);

    if (rc == MU_OK && cmd->args.json && !cmd->args.follow) {
        fwrite(text.p, 1, text.n, stdout); /* the document as it is */
    } else if (rc == MU_OK && (body = json_loadb((const char *)text.p, text.n, 0, NULL)) == NULL) {
        rc = mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "the agent's answer is no JSON");
    } else if (rc == MU_OK) {
        const char *now = json_string_value(json_object_get(body, "place"));

        print_events(cmd, json_object_get(body, "events"));
        mu_buf_reset(place);
        mu_buf_put_str(place, now != NULL ? now : "0-0");
    }
    json_decref(body);
    mu_buf_clear(&text);
    return rc;
}

int mu_cmd_agent_log(struct mu_cmd *cmd, const struct mu_agent_log_filter *filter)
{
    struct mu_buf target = {0}, place = {0};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;
    enum mu_code rc;

    do {
        target_format(cmd, filter, place.n > 0 ? mu_buf_str(&place) : NULL, &target);
        rc = round_of(cmd, mu_buf_str(&target), &place, &err);
    } while (rc == MU_OK && cmd->args.follow && fflush(stdout) == 0);
    if (rc != MU_OK)
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    mu_buf_clear(&target);
    mu_buf_clear(&place);
    return exit_code;
}
