/* enroll: a first certificate, or a new one for an existing name. */
#include "cmd/muster/cmd_job.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_settings.h"

int mu_cmd_enroll(struct mu_cmd *cmd)
{
    const char *name = cmd->args.words[0];
    struct mu_agent_settings settings = {0};
    struct mu_cmd_secrets secrets = {0};
    struct mu_agent_enroll request = {.name = name,
        .settings = &settings,
        .replace = cmd->args.replace,
        .drop_pending = cmd->args.fresh,
        .no_wait = cmd->args.no_wait};
    struct mu_cmd_job job;
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code;

    if (mu_cmd_settings_via(&cmd->args, &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    mu_cmd_job_init(&job, cmd, name);
    if ((rc = mu_cmd_open_store(cmd, true, &err)) != MU_OK
        || (rc = mu_cmd_settings_enroll(cmd, name, &settings, &secrets, &err)) != MU_OK
        || (rc = mu_cmd_open_net(cmd, &err)) != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, name, &err);
        goto out;
    }
    job.url = settings.url;
    request.challenge = mu_cmd_secrets_given(&secrets.challenge);
    request.key_password = mu_cmd_secrets_given(&secrets.key_password);
    request.password = mu_cmd_secrets_given(&secrets.password);
    request.srp_password = mu_cmd_secrets_given(&secrets.srp_password);
    request.secret = mu_cmd_secrets_given(&secrets.secret);
    request.shared_key = mu_cmd_secrets_given(&secrets.shared_key);
    rc = mu_agent_enroll(&cmd->agent, &request, &job.host, &job.running, &err);
    exit_code = mu_cmd_job_finish(&job, rc, &err);
out:
    mu_cmd_secrets_clear(&secrets);
    mu_agent_settings_clear(&settings);
    return exit_code;
}
