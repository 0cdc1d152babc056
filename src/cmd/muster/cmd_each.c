/* --all, or a name. */
#include "cmd/muster/cmd_each.h"

#include "agent/agent_entry.h"
#include "cmd/muster/cmd_print.h"

static void collect(void *cookie, const char *name)
{
    mu_buf_put(cookie, name, strlen(name) + 1);
}

int mu_cmd_each(struct mu_cmd *cmd, mu_cmd_each_call *call)
{
    struct mu_buf names = {0};
    struct mu_err err = {0};
    const char *name;
    const bool json = cmd->args.json;
    int exit_code = MU_CMD_OK, one;
    enum mu_code rc;

    if (cmd->args.all == (cmd->args.word_n == 1)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            cmd->args.all ? "a name and --all exclude each other" : "a name is missing, or --all");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if ((rc = mu_cmd_open_store(cmd, mu_agent_config_entry_at(cmd->config, 0) != NULL, &err)) != MU_OK
        || (rc = mu_cmd_open_net(cmd, &err)) != MU_OK)
        return rc == MU_NOT_FOUND && cmd->args.all ? MU_CMD_OK
                                                   : mu_cmd_print_error(cmd, NULL, &err);
    if (!cmd->args.all)
        return call(cmd, cmd->args.words[0], false);
    if ((rc = mu_agent_entry_each(&cmd->agent, collect, &names, &err)) != MU_OK
        || (rc = mu_buf_check(&names, "names", &err)) != MU_OK)
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    cmd->args.json = false; /* one object at the end says it all */
    cmd->args.quiet = cmd->args.quiet || json;
    for (name = mu_buf_str(&names);
         rc == MU_OK && !cmd->interrupted && name < (const char *)names.p + names.n;
         name += strlen(name) + 1) {
        one = call(cmd, name, true);
        if (exit_code == MU_CMD_OK)
            exit_code = one;
    }
    cmd->args.json = json;
    if (json && rc == MU_OK) {
        cmd->args.word_n = 0;
        one = mu_cmd_list(cmd);
        exit_code = exit_code != MU_CMD_OK ? exit_code : one;
    }
    mu_buf_clear(&names);
    return exit_code;
}
