/* list, status: the table of all entries, or of those named. */
#include <stdio.h>

#include "cmd/muster/cmd_facts.h"

struct list {
    struct mu_cmd *cmd;
    struct mu_cmd_print_table table;
    struct mu_buf json;
    struct mu_agent_json j;
    struct mu_buf needy; /* names, each with a blank in front */
    unsigned total, classes[3];
    int64_t now_s;
};

static void take(void *cookie, const struct mu_agent_facts *facts)
{
    struct list *l = cookie;
    int class = mu_cmd_facts_class(facts);

    l->total++;
    l->classes[class]++;
    if (class == 2)
        mu_buf_putf(&l->needy, " %s", facts->name);
    if (l->cmd->args.json)
        mu_agent_json_facts(&l->j, NULL, facts, l->now_s);
    else
        mu_cmd_facts_row(&l->table, facts, l->now_s);
}

static enum mu_code take_named(struct list *l, struct mu_err *err)
{
    struct mu_agent_facts facts = {0};
    enum mu_code rc;
    size_t i;

    for (i = 0; i < l->cmd->args.word_n; i++) {
        if ((rc = mu_agent_show(&l->cmd->agent, l->cmd->args.words[i], &facts, err)) != MU_OK)
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
    printf("%u certificate%s: %u fine, %u waiting, %u need%s you%s%s%s\n", l->total,
        l->total == 1 ? "" : "s", l->classes[0], l->classes[1], l->classes[2],
        l->classes[2] == 1 ? "s" : "", l->needy.n > 0 ? "    (muster show" : "",
        mu_buf_str(&l->needy), l->needy.n > 0 ? ")" : "");
}

int mu_cmd_list(struct mu_cmd *cmd)
{
    struct list l = {.cmd = cmd, .now_s = mu_env_now(&cmd->env)};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;
    enum mu_code rc;

    mu_cmd_print_json_begin(cmd, &l.j, &l.json);
    mu_agent_json_open(&l.j, "certificates", '[');
    mu_cmd_facts_header(&l.table);
    rc = mu_cmd_open_store(cmd, false, &err);
    if (rc == MU_OK)
        rc = cmd->args.word_n > 0 ? take_named(&l, &err)
                                  : mu_agent_list(&cmd->agent, take, &l, &err);
    else if (rc == MU_NOT_FOUND && cmd->args.word_n == 0)
        rc = MU_OK; /* no store yet: nothing in it */
    if (rc != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
        mu_buf_clear(&l.table.cells);
    } else if (cmd->args.json) {
        mu_agent_json_close(&l.j, ']');
        mu_agent_json_close(&l.j, '}');
        exit_code = mu_cmd_print_json(cmd, &l.json);
        mu_buf_clear(&l.table.cells);
    } else {
        end_table(&l);
    }
    mu_buf_clear(&l.json);
    mu_buf_clear(&l.needy);
    return exit_code;
}
