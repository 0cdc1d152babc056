/* csr: a request as a file. install: the answer to it. */
#include <stdio.h>

#include "agent/agent_entry.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_settings.h"

static enum mu_code put(const char *path, const struct mu_buf *pem, struct mu_err *err)
{
    if (path != NULL && strcmp(path, "-") != 0)
        return mu_keystore_file_write(path, 0, mu_buf_bytes(pem), err);
    fwrite(pem->p, 1, pem->n, stdout);
    return MU_OK;
}

/* The request, or where it is. */
static int put_json(struct mu_cmd *cmd, const struct mu_buf *pem)
{
    struct mu_buf out = {.secret = true};
    struct mu_agent_json j;
    int exit_code;

    mu_cmd_print_json_begin(cmd, &j, &out);
    mu_agent_json_open(&j, "csr", '{');
    mu_agent_json_text(&j, "name", cmd->args.words[0]);
    mu_agent_json_text(&j, "file", cmd->args.output);
    mu_agent_json_text(&j, "pem", cmd->args.output == NULL ? mu_buf_str(pem) : NULL);
    mu_agent_json_close(&j, '}');
    mu_agent_json_close(&j, '}');
    exit_code = mu_cmd_print_json(cmd, &out);
    mu_buf_clear(&out);
    return exit_code;
}

/* A request by file needs no URL; the settings get one only if it was given. */
static enum mu_code settings_of(struct mu_cmd *cmd, const char *name, struct mu_agent_settings *out,
    struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    enum mu_code rc;

    if (cmd->args.url != NULL || cmd->args.ca != NULL || cmd->args.demo)
        return mu_cmd_settings_enroll(cmd, name, out, secrets, err);
    rc = mu_agent_entry_settings(&cmd->agent, name, out, err);
    if ((rc != MU_OK && rc != MU_NOT_FOUND)
        || (rc = mu_cmd_settings_args(cmd, out, err)) != MU_OK)
        return rc;
    if ((rc = mu_agent_entry_subject(&cmd->agent, name, out, err)) != MU_OK)
        return rc;
    return mu_cmd_secrets_options(cmd, secrets, err);
}

int mu_cmd_csr(struct mu_cmd *cmd)
{
    struct mu_agent_settings settings = {0};
    struct mu_cmd_secrets secrets = {0};
    struct mu_buf pem = {.secret = true}; /* a challenge may be in it */
    struct mu_agent_enroll request = {.name = cmd->args.words[0], .settings = &settings};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;

    if (mu_cmd_open_store(cmd, true, &err) != MU_OK
        || settings_of(cmd, request.name, &settings, &secrets, &err) != MU_OK)
        goto fail;
    request.challenge = mu_cmd_secrets_given(&secrets.challenge);
    request.key_password = mu_cmd_secrets_given(&secrets.key_password);
    if (mu_agent_csr(&cmd->agent, &request, &pem, &err) != MU_OK
        || (!(cmd->args.json && cmd->args.output == NULL)
            && put(cmd->args.output, &pem, &err) != MU_OK))
        goto fail;
    if (cmd->args.json)
        exit_code = put_json(cmd, &pem);
    else if (cmd->args.output != NULL)
        mu_cmd_print_line(cmd, "request", cmd->args.output);
    mu_cmd_print_done(cmd);
    goto out;
fail:
    exit_code = mu_cmd_print_error(cmd, request.name, &err);
out:
    mu_buf_clear(&pem);
    mu_cmd_secrets_clear(&secrets);
    mu_agent_settings_clear(&settings);
    return exit_code;
}

/* A pair that exists: its key comes with --key-file, and what renews it with the options of enroll. */
static enum mu_code adopt(struct mu_cmd *cmd, const char *name, const struct mu_pki_certs *certs,
    struct mu_cmd_secrets *secrets, struct mu_keystore_saved *saved, struct mu_err *err)
{
    const bool is_told = cmd->args.url != NULL || cmd->args.ca != NULL || cmd->args.demo;
    struct mu_agent_adopt request = {.name = name, .key_file = cmd->args.key_file, .certs = certs};
    struct mu_agent_settings settings = {0};
    enum mu_code rc;

    rc = is_told ? mu_cmd_settings_adopt(cmd, name, &settings, secrets, err)
                 : mu_cmd_secrets_options(cmd, secrets, err);
    if (rc == MU_OK) {
        request.settings = is_told ? &settings : NULL;
        request.challenge = mu_cmd_secrets_given(&secrets->challenge);
        request.key_password = mu_cmd_secrets_given(&secrets->key_password);
        request.password = mu_cmd_secrets_given(&secrets->password);
        request.srp_password = mu_cmd_secrets_given(&secrets->srp_password);
        request.secret = mu_cmd_secrets_given(&secrets->secret);
        request.shared_key = mu_cmd_secrets_given(&secrets->shared_key);
        rc = mu_agent_adopt(&cmd->agent, &request, saved, err);
    }
    mu_agent_settings_clear(&settings);
    if (rc == MU_OK && !is_told && !mu_agent_config_has_entry(cmd->config, name))
        mu_cmd_print_note(cmd, "  %-10s muster config set %s protocol PROTO, and url URL: nobody is asked to renew it yet",
            "later", name);
    return rc;
}

int mu_cmd_install(struct mu_cmd *cmd)
{
    const char *name = cmd->args.words[0];
    struct mu_cmd_secrets secrets = {0};
    struct mu_pki_certs certs = {0};
    struct mu_keystore_saved saved = {0};
    struct mu_err err = {0};
    char line[2 * MU_KEYSTORE_STEM + MU_KEYSTORE_NAME + 40];
    int exit_code = MU_CMD_OK;
    size_t i;

    if (cmd->args.activate == (cmd->args.word_n > 1)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "install needs a FILE or --activate");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (mu_cmd_open_store(cmd, cmd->args.key_file != NULL, &err) != MU_OK
        || (cmd->args.key_file == NULL && mu_cmd_secrets_options(cmd, &secrets, &err) != MU_OK))
        goto fail;
    if (cmd->args.activate) {
        if (mu_agent_activate(&cmd->agent, name, false, &saved, &err) != MU_OK)
            goto fail;
        goto told;
    }
    for (i = 1; i < cmd->args.word_n; i++) {
        if (mu_keystore_certs_read(cmd->args.words[i], &certs, &err) != MU_OK)
            goto fail;
    }
    if (cmd->args.key_file != NULL) {
        if (adopt(cmd, name, &certs, &secrets, &saved, &err) != MU_OK)
            goto fail;
    } else if (mu_agent_install(&cmd->agent, name, &certs,
                   mu_cmd_secrets_given(&secrets.key_password), &saved, &err)
        != MU_OK) {
        goto fail;
    }
told:
    snprintf(line, sizeof line, "%s: %s.crt, %s%s", name, saved.stem,
        saved.replaced[0] != '\0' ? "replaces " : "new", saved.replaced);
    mu_cmd_print_line(cmd, "saved", line);
    mu_cmd_agent_touch(cmd, name);
    mu_cmd_print_done(cmd);
    goto out;
fail:
    exit_code = mu_cmd_print_error(cmd, name, &err);
out:
    mu_pki_certs_clear(&certs);
    mu_cmd_secrets_clear(&secrets);
    return exit_code;
}
