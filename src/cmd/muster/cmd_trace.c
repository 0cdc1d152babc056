/* trace: what was said to a CA and what it answered, out of the store or out of the running agent. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/agent_trace.h"
#include "base/text.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_print.h"
#include "http/http_url.h"
#include "web/kit/kit_json.h"

enum { LOOK_AGAIN_MS = 300, ALL_MAX = 64 << 20 };

struct showing {
    struct mu_cmd *cmd;
    struct mu_agent_trace_choice choice;
    struct mu_agent_json j;
    struct mu_buf json;
    char name[MU_KEYSTORE_TRACE]; /* shown last */
    uint64_t offset;              /* and how far */
};

static bool lists(const struct mu_agent_trace_choice *choice)
{
    return choice->word == NULL && choice->id == NULL && !choice->last;
}

/* Whole lines only; how many octets they are. */
static size_t put_lines(struct mu_bytes text)
{
    const uint8_t *end = text.p != NULL && text.n > 0 ? memrchr(text.p, '\n', text.n) : NULL;
    size_t n = end != NULL ? (size_t)(end - text.p) + 1 : 0;

    fwrite(text.p, 1, n, stdout);
    return n;
}

/* What came to it since. */
static void show_more(struct showing *s)
{
    struct mu_buf text = {.max = MU_KEYSTORE_TRACE_FILE};

    if (s->name[0] != '\0' && mu_keystore_trace_read(s->cmd->store, s->name, s->offset, &text, NULL) == MU_OK)
        s->offset += put_lines(mu_buf_bytes(&text));
    mu_buf_clear(&text);
}

static void show_one(void *cookie, const char *name)
{
    struct showing *s = cookie;

    if (lists(&s->choice) && s->cmd->args.json) {
        mu_agent_json_text(&s->j, NULL, name);
    } else if (lists(&s->choice)) {
        puts(name);
    } else if (s->cmd->args.json) {
        if (mu_agent_trace_json(s->cmd->store, name, &s->j, NULL) != MU_OK)
            return; /* it fell out of the ring meanwhile */
    } else {
        snprintf(s->name, sizeof s->name, "%s", name);
        s->offset = 0;
        show_more(s);
    }
}

static bool is_behind(const char *name, const char *shown)
{
    return shown[0] == '\0' || strcmp(strrchr(name, '.'), strrchr(shown, '.')) > 0;
}

static void show_newer(void *cookie, const char *name)
{
    struct showing *s = cookie;

    if (is_behind(name, s->name))
        show_one(s, name);
}

/* The end of the last one, and those that begin from now on. */
static int follow(struct showing *s)
{
    const struct timespec pause = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};

    while (fflush(stdout) == 0) { /* somebody reads */
        nanosleep(&pause, NULL);
        show_more(s);
        if (mu_agent_trace_each(s->cmd->store, &s->choice, show_newer, s, NULL) != MU_OK)
            continue; /* none yet */
    }
    return MU_CMD_OK;
}

/* ---- out of the agent's mouth ---- */

static void put_part(struct mu_buf *target, const char *key, const char *value)
{
    if (value == NULL)
        return;
    mu_buf_putf(target, "&%s=", key);
    mu_http_percent_encode(target, mu_bytes_str(value));
}

static void print_answer(const json_t *body)
{
    const json_t *one, *line;
    size_t i, k;

    json_array_foreach(json_object_get(body, "traces"), i, one) {
        if (json_is_string(one))
            puts(json_string_value(one));
        json_array_foreach(json_object_get(one, "lines"), k, line) {
            if (json_string_value(line) != NULL)
                puts(json_string_value(line));
        }
    }
}

static int ask_agent(struct mu_cmd *cmd, const struct mu_agent_trace_choice *choice)
{
    struct mu_buf target = {0}, text = {.max = ALL_MAX};
    struct mu_err err = {0};
    json_t *body = NULL;
    enum mu_code rc;
    int exit_code = MU_CMD_OK;

    mu_buf_putf(&target, "/v1/traces?last=%s", choice->last ? "yes" : "no");
    put_part(&target, "word", choice->word);
    put_part(&target, "id", choice->id);
    if (cmd->args.follow)
        rc = mu_err_set(&err, MU_UNSUPPORTED, MU_REASON_NONE, "--follow reads the store itself, which is the agent's: run it as root");
    else
        rc = mu_cmd_agent_ask(cmd, "GET", mu_buf_str(&target), "", &text, &err);
    if (rc == MU_OK && cmd->args.json)
        fwrite(text.p, 1, text.n, stdout);
    else if (rc == MU_OK && (body = json_loadb((const char *)text.p, text.n, 0, NULL)) == NULL)
        rc = mu_err_set(&err, MU_NETWORK, MU_REASON_NONE, "the agent's answer is no JSON");
    if (rc != MU_OK)
        exit_code = mu_cmd_print_error(cmd, choice->word, &err);
    else
        print_answer(body);
    json_decref(body);
    mu_buf_clear(&target);
    mu_buf_clear(&text);
    return exit_code;
}

int mu_cmd_trace(struct mu_cmd *cmd)
{
    struct showing s = {.cmd = cmd, .json.max = ALL_MAX};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;
    enum mu_code rc;

    s.choice = (struct mu_agent_trace_choice){.word = cmd->args.word_n > 0 ? cmd->args.words[0] : NULL,
        .id = cmd->args.id, .last = cmd->args.last || (cmd->args.follow && cmd->args.word_n == 0)};
    if (mu_cmd_agent_open_store(cmd, &err) != MU_OK)
        return mu_cmd_print_error(cmd, s.choice.word, &err);
    if (cmd->asks_agent)
        return ask_agent(cmd, &s.choice);
    mu_cmd_print_json_begin(cmd, &s.j, &s.json);
    mu_agent_json_open(&s.j, "traces", '[');
    rc = mu_agent_trace_each(cmd->store, &s.choice, show_one, &s, &err);
    if (rc == MU_OK || (rc == MU_NOT_FOUND && cmd->args.follow)) {
        mu_agent_json_close(&s.j, ']');
        mu_agent_json_close(&s.j, '}');
        if (cmd->args.follow)
            exit_code = follow(&s);
        else if (cmd->args.json)
            exit_code = mu_cmd_print_json(cmd, &s.json);
    } else {
        exit_code = mu_cmd_print_error(cmd, s.choice.word, &err);
    }
    mu_buf_clear(&s.json);
    return exit_code;
}
