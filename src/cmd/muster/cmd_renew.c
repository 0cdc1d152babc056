/* renew: what is due, or by force. regenerate: now, with the stored settings and the same key. */
#include <stdio.h>

#include "agent/agent_life.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_each.h"
#include "cmd/muster/cmd_job.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_renew_all.h"
#include "cmd/muster/cmd_settings.h"

/* What the configuration says is of use, but no need: most renewals are made with the certificate alone. */
static enum mu_code take_secrets(
    struct mu_cmd *cmd, const char *name, struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    struct mu_agent_config_entry entry = {0};
    enum mu_code rc;

    if (!mu_agent_config_has_entry(cmd->config, name))
        return mu_cmd_secrets_options(cmd, secrets, err);
    if ((rc = mu_agent_config_entry(cmd->config, name, 0, &entry, err)) == MU_OK)
        rc = mu_cmd_secrets_take(cmd, &entry.secrets, secrets, err);
    mu_agent_config_entry_clear(&entry);
    if (rc == MU_OK)
        return MU_OK;
    mu_cmd_print_line(cmd, "warning", err->what);
    mu_err_clear(err);
    mu_cmd_secrets_clear(secrets);
    return mu_cmd_secrets_options(cmd, secrets, err);
}

static int renew(struct mu_cmd *cmd, const struct mu_agent_renew *how, bool is_one_of_many)
{
    struct mu_agent_renew request = *how;
    struct mu_cmd_secrets secrets = {0};
    struct mu_cmd_job job;
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code;

    mu_cmd_job_init(&job, cmd, how->name);
    job.quiet_end = is_one_of_many;
    if (take_secrets(cmd, how->name, &secrets, &err) != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, how->name, &err);
        goto out;
    }
    request.challenge = mu_cmd_secrets_given(&secrets.challenge);
    request.key_password = mu_cmd_secrets_given(&secrets.key_password);
    request.password = mu_cmd_secrets_given(&secrets.password);
    request.srp_password = mu_cmd_secrets_given(&secrets.srp_password);
    request.secret = mu_cmd_secrets_given(&secrets.secret);
    request.shared_key = mu_cmd_secrets_given(&secrets.shared_key);
    rc = mu_agent_renew(&cmd->agent, &request, &job.host, &job.running, &err);
    exit_code = mu_cmd_job_finish(&job, rc, &err);
out:
    mu_cmd_secrets_clear(&secrets);
    return exit_code;
}

/* With --all, what has no certificate and no request is not due: it was never asked for with
 * success. */
static bool is_nothing_to_renew(struct mu_cmd *cmd, const char *name)
{
    struct mu_agent_facts facts = {0};
    bool nothing;

    if (mu_agent_show(&cmd->agent, name, &facts, NULL) != MU_OK)
        return false;
    nothing = facts.serial == NULL && !facts.is_pending;
    mu_agent_facts_clear(&facts);
    if (nothing)
        mu_cmd_print_note(cmd, "%s: nothing to do: it has no certificate yet", name);
    return nothing;
}

/* --force skips the rule of days, not the storm guard. */
static bool is_used_up(struct mu_cmd *cmd, const char *name)
{
    struct mu_lifecycle_policy policy;
    struct mu_lifecycle life = {0};

    if (mu_agent_life_load(cmd->store, name, &life, NULL) != MU_OK
        || mu_agent_life_policy(&cmd->agent, name, &policy, NULL) != MU_OK
        || mu_enroll_lifecycle_left(&life, &policy, mu_env_now(&cmd->env)) > 0)
        return false;
    mu_cmd_print_note(cmd, "%s: nothing to do: it has had its requests for now (max-requests)", name);
    return true;
}

static int renew_one(struct mu_cmd *cmd, const char *name, bool is_one_of_many)
{
    const struct mu_agent_renew how = {.name = name,
        .force = cmd->args.force,
        .rekey = cmd->args.rekey,
        .reuse_key = cmd->args.reuse_key,
        .dry_run = cmd->args.dry_run,
        .next_ca = cmd->args.next_ca,
        .no_wait = cmd->args.no_wait || is_one_of_many}; /* others must not wait for a person */

    if (is_one_of_many && is_nothing_to_renew(cmd, name))
        return MU_CMD_OK;
    if (is_one_of_many && cmd->args.force && !cmd->args.dry_run && is_used_up(cmd, name))
        return MU_CMD_OK;
    return renew(cmd, &how, is_one_of_many);
}

int mu_cmd_renew(struct mu_cmd *cmd)
{
    struct mu_err err = {0};

    if (cmd->args.next_ca && cmd->args.all) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "--next-ca is for one certificate, not --all");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (cmd->args.rekey && cmd->args.reuse_key) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "--rekey and --reuse-key exclude each other");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (cmd->args.all && cmd->args.word_n == 0 && !cmd->args.force && !cmd->args.rekey
        && !cmd->args.reuse_key && !cmd->args.dry_run)
        return mu_cmd_renew_all(cmd);
    cmd->agent.by_itself = cmd->args.all; /* nobody asked for one by name: the guard counts */
    return mu_cmd_each(cmd, renew_one);
}

static bool has_certificate(struct mu_cmd *cmd, const char *name)
{
    char stem[MU_KEYSTORE_STEM];

    return mu_keystore_current(cmd->store, name, stem);
}

/* Asks in the words of the console's generate (E114). Whatever else stands on the line is read and
 * not used: the stored settings are (E116). */
int mu_cmd_regenerate(struct mu_cmd *cmd)
{
    const struct mu_agent_renew how = {.name = cmd->args.words[0],
        .regenerate = true,
        .force = true,
        .rekey = cmd->args.rekey,
        .no_wait = cmd->args.no_wait};
    struct mu_err err = {0};
    enum mu_code rc;

    if ((rc = mu_cmd_open_store(cmd, false, &err)) != MU_OK
        || (rc = mu_cmd_open_net(cmd, &err)) != MU_OK)
        return mu_cmd_print_error(cmd, how.name, &err);
    if (!cmd->args.yes && (!mu_cmd_ask_possible() || cmd->args.no_input)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "'%s' would be made anew, and nobody can be asked: add --yes", how.name);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (!cmd->args.yes && has_certificate(cmd, how.name)) {
        fprintf(stderr,
            "Certificate '%s' already exists, re-generate will ignore all the options you have "
            "provided.\nAre you sure to re-generate the certificate?\n",
            how.name);
        if (!mu_cmd_ask_yes("Do you want to continue?"))
            return MU_CMD_FAILED;
    }
    return renew(cmd, &how, false);
}
