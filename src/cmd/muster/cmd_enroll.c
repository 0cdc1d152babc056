/* enroll: a first certificate, or a new one for an existing name. */
#include "cmd/muster/cmd_job.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_settings.h"

int mu_cmd_enroll(struct mu_cmd *cmd)
{
    const char *name = cmd->args.words[0];
    struct mu_agent_settings settings = {0};
    struct mu_secret challenge = {0}, key_password = {0};
    struct mu_agent_enroll request = {.name = name,
        .settings = &settings,
        .replace = cmd->args.replace,
        .drop_pending = cmd->args.fresh,
        .no_wait = cmd->args.no_wait};
    struct mu_cmd_job job;
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code;

    if (cmd->args.via != NULL && mu_proto_parse(cmd->args.via) != MU_PROTO_NONE
        && strcmp(cmd->args.via, "scep") != 0) {
        mu_err_set(&err, MU_UNSUPPORTED, MU_REASON_NONE,
            "--via %s: not available in this version, only scep", cmd->args.via);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    mu_cmd_job_init(&job, cmd, name);
    if ((rc = mu_cmd_open_store(cmd, true, &err)) != MU_OK
        || (rc = mu_cmd_settings_enroll(cmd, name, &settings, &challenge, &err)) != MU_OK
        || (rc = mu_cmd_settings_key_password(cmd, &key_password, &err)) != MU_OK
        || (rc = mu_cmd_open_net(cmd, &err)) != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, name, &err);
        goto out;
    }
    job.url = settings.url;
    if (mu_secret_is_set(&challenge))
        request.challenge = &challenge;
    if (mu_secret_is_set(&key_password))
        request.key_password = &key_password;
    rc = mu_agent_enroll(&cmd->agent, &request, &job.host, &job.running, &err);
    exit_code = mu_cmd_job_finish(&job, rc, &err);
out:
    mu_secret_clear(&challenge);
    mu_secret_clear(&key_password);
    mu_agent_settings_clear(&settings);
    return exit_code;
}
