/* list, status: the table of all entries, or of those named; the router's two lines; --watch. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent_status.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_facts.h"

enum { WATCH_S = 2, NEEDY_MAX = 16 };

enum style { TABLE, ROUTER };

struct list {
    struct mu_cmd *cmd;
    enum style style;
    bool explains; /* what there is to say of each */
    struct mu_cmd_print_table table;
    struct mu_buf json;
    struct mu_agent_json j;
    struct mu_buf needy; /* names, each with a blank in front */
    unsigned total, classes[3];
    int64_t now_s;
};

/* R046: two lines; more than one entry: each under its name. */
static void take_router(struct list *l, const struct mu_agent_facts *facts)
{
    struct mu_buf line = {0};

    mu_agent_status_router_certificate(facts, &line);
    if (l->cmd->args.word_n != 1)
        printf("%s%s:\n", l->total > 1 ? "\n" : "", facts->name);
    printf("%s\n%s\n", mu_agent_status_router_module(facts), mu_buf_str(&line));
    mu_buf_clear(&line);
}

static void take(void *cookie, const struct mu_agent_facts *facts)
{
    struct list *l = cookie;
    int class = mu_agent_status_class(facts);

    l->total++;
    l->classes[class]++;
    if (class == 2 && l->classes[2] <= NEEDY_MAX)
        mu_buf_putf(&l->needy, " %s", facts->name);
    if (l->cmd->args.json)
        mu_agent_json_facts(&l->j, NULL, facts, l->now_s);
    else if (l->style == ROUTER)
        take_router(l, facts);
    else
        mu_cmd_facts_row(&l->table, facts, l->now_s);
}

static enum mu_code take_named(struct list *l, struct mu_err *err)
{
    struct mu_agent_facts facts = {0};
    enum mu_code rc;
    size_t i;

    for (i = 0; i < l->cmd->args.word_n; i++) {
        if ((rc = mu_cmd_agent_show(l->cmd, l->cmd->args.words[i], &facts, err)) != MU_OK)
            return rc;
        take(l, &facts);
        mu_agent_facts_clear(&facts);
    }
    return MU_OK;
}

static void end_table(struct list *l)
{
    if (l->total == 0) {
        mu_cmd_print_note(l->cmd, "No certificates here: muster enroll NAME --url URL");
        mu_buf_clear(&l->table.cells);
        return;
    }
    mu_cmd_print_table_end(l->cmd, &l->table);
    printf("%u certificate%s: %u fine, %u waiting, %u need%s you%s%s%s%s\n", l->total,
        l->total == 1 ? "" : "s", l->classes[0], l->classes[1], l->classes[2],
        l->classes[2] == 1 ? "s" : "", l->needy.n > 0 ? "    (muster doctor" : "",
        mu_buf_str(&l->needy), l->classes[2] > NEEDY_MAX ? " ..." : "", l->needy.n > 0 ? ")" : "");
}

struct say {
    struct list *list;
    const char *name;
    const struct mu_agent_facts *facts;
};

static void say(void *cookie, const struct mu_err *finding)
{
    const struct say *s = cookie;

    putchar('\n');
    mu_cmd_print_finding(s->list->cmd, s->name, finding);
    mu_cmd_facts_trace(s->facts, finding);
}

/* For those named: what there is to say, each with its next step. */
static void explain(struct list *l)
{
    for (size_t i = 0; i < l->cmd->args.word_n; i++) {
        struct mu_agent_facts facts = {0};
        struct say s = {l, l->cmd->args.words[i], &facts};

        if (mu_cmd_agent_show(l->cmd, s.name, &facts, NULL) == MU_OK)
            mu_agent_status_each(&facts, l->now_s, say, &s);
        mu_agent_facts_clear(&facts);
    }
}

static void list_clear(struct list *l)
{
    mu_buf_clear(&l->table.cells);
    mu_buf_clear(&l->json);
    mu_buf_clear(&l->needy);
}

static int once(struct mu_cmd *cmd, enum style style, bool explains)
{
    struct list l = {.cmd = cmd, .style = style, .now_s = mu_env_now(&cmd->env)};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;
    char state[400];
    enum mu_code rc;

    l.json.max = l.table.cells.max = 64 << 20; /* ten thousand entries */
    mu_cmd_print_json_begin(cmd, &l.j, &l.json);
    mu_agent_json_open(&l.j, "certificates", '[');
    mu_cmd_facts_header(&l.table);
    rc = mu_cmd_agent_open_store(cmd, &err);
    if (rc == MU_OK)
        rc = cmd->args.word_n > 0 ? take_named(&l, &err)
                                  : mu_cmd_agent_list(cmd, take, &l, &err);
    else if (rc == MU_NOT_FOUND && cmd->args.word_n == 0)
        rc = MU_OK; /* no store yet: nothing in it */
    if (rc != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    } else if (cmd->args.json) {
        mu_agent_json_close(&l.j, ']');
        mu_cmd_agent_state(cmd, &l.j, state, sizeof state);
        mu_agent_json_close(&l.j, '}');
        exit_code = mu_cmd_print_json(cmd, &l.json);
    } else if (style == TABLE) {
        end_table(&l);
        if (cmd->args.word_n == 0 && l.total > 0) {
            mu_cmd_agent_state(cmd, NULL, state, sizeof state);
            printf("agent: %s\n", state);
        }
        if (explains)
            explain(&l);
    }
    list_clear(&l);
    return exit_code;
}

int mu_cmd_list(struct mu_cmd *cmd)
{
    return once(cmd, TABLE, false);
}

int mu_cmd_status(struct mu_cmd *cmd)
{
    const struct timespec pause = {.tv_sec = WATCH_S};
    const char *word = cmd->args.style != NULL ? cmd->args.style : "table";
    enum style style = strcmp(word, "router") == 0 ? ROUTER : TABLE;
    struct mu_err err = {0};
    int exit_code;

    if (style == TABLE && strcmp(word, "table") != 0) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "--style %s: known are table, router", word);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    for (;;) {
        if (cmd->args.watch && !cmd->args.json && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        exit_code = once(cmd, style, true);
        if (!cmd->args.watch || exit_code != MU_CMD_OK || fflush(stdout) != 0)
            return exit_code;
        nanosleep(&pause, NULL);
    }
}
