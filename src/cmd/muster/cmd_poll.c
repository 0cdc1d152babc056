/* poll: ask now about a pending request. cancel: forget it. */
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_each.h"
#include "cmd/muster/cmd_job.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_settings.h"

static int poll_one(struct mu_cmd *cmd, const char *name, bool is_one_of_many)
{
    struct mu_cmd_secrets secrets = {0};
    struct mu_cmd_job job;
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code;

    mu_cmd_job_init(&job, cmd, name);
    job.quiet_end = is_one_of_many;
    if ((rc = mu_cmd_secrets_options(cmd, &secrets, &err)) != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, name, &err);
    } else {
        rc = mu_agent_poll(&cmd->agent, name, !cmd->args.wait,
            mu_cmd_secrets_given(&secrets.key_password), &job.host, &job.running, &err);
        exit_code = mu_cmd_job_finish(&job, rc, &err);
    }
    mu_cmd_secrets_clear(&secrets);
    return exit_code;
}

int mu_cmd_poll(struct mu_cmd *cmd)
{
    return mu_cmd_each(cmd, poll_one);
}

int mu_cmd_cancel(struct mu_cmd *cmd)
{
    const char *name = cmd->args.words[0];
    struct mu_err err = {0};

    if (mu_cmd_open_store(cmd, false, &err) != MU_OK)
        return mu_cmd_print_error(cmd, name, &err);
    if (!mu_keystore_has(cmd->store, MU_KEYSTORE_STATE, name, "pending")) {
        mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "%s has no pending request", name);
        return mu_cmd_print_error(cmd, name, &err);
    }
    if (!cmd->args.yes && (!mu_cmd_ask_possible() || cmd->args.no_input)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "the request of '%s' and its key would be lost, and nobody can be asked: add --yes",
            name);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (!cmd->args.yes
        && !mu_cmd_ask_yes("The request and its key are lost, and the settings if nothing was ever "
                           "issued. Do you want to continue?"))
        return MU_CMD_FAILED;
    if (mu_agent_cancel(&cmd->agent, name, &err) != MU_OK)
        return mu_cmd_print_error(cmd, name, &err);
    mu_cmd_agent_touch(cmd, name);
    mu_cmd_print_note(
        cmd, "The request of '%s' is forgotten here; the CA may still have it.", name);
    mu_cmd_print_done(cmd);
    return MU_CMD_OK;
}
