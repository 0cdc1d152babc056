/* export: a certificate with its key for somebody who does not read the store. */
#include <stdio.h>
#include <unistd.h>

#include "agent/agent_export.h"
#include "base/limits.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_print.h"

struct form {
    const char *word, *file; /* the option, and what it was given */
    enum mu_agent_export_form form;
    unsigned mode;
};

static enum mu_code form_of(struct mu_cmd *cmd, struct form *out, struct mu_err *err)
{
    const struct form forms[] = {{"pem", cmd->args.pem, MU_AGENT_EXPORT_PEM, 0644},
        {"bundle", cmd->args.bundle, MU_AGENT_EXPORT_BUNDLE, 0600}, {"p12", cmd->args.p12, MU_AGENT_EXPORT_P12, 0600}};
    unsigned n = 0;

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (forms[i].file == NULL)
            continue;
        *out = forms[i];
        n++;
    }
    if (n == 1)
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "export takes one of --pem FILE, --bundle FILE, --p12 FILE");
}

static bool is_stdout(const struct form *form)
{
    return strcmp(form->file, "-") == 0;
}

/* What protects the key outside: as options say it, else a person is asked for a PKCS #12's. */
static enum mu_code password_take(
    struct mu_cmd *cmd, const struct form *form, struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    struct mu_agent_config_entry entry = {.ca = NULL};
    struct mu_agent_config_secrets configured = {.challenge = NULL};
    struct mu_secret again = {0};
    enum mu_code rc;

    /* What opens the key is known; a password of the configuration is for the CA. */
    if (mu_agent_config_has_entry(cmd->config, cmd->args.words[0])
        && mu_agent_config_entry(cmd->config, cmd->args.words[0], 0, &entry, NULL) == MU_OK)
        configured.key_password = entry.secrets.key_password;
    rc = mu_cmd_secrets_take(cmd, &configured, secrets, err);
    mu_agent_config_entry_clear(&entry);
    if (rc != MU_OK || form->form != MU_AGENT_EXPORT_P12 || mu_secret_is_set(&secrets->password))
        return rc;
    if (!mu_cmd_ask_possible() || cmd->args.no_input) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "PKCS #12 needs a password, and nobody can be asked: add --password-file FILE or --password-fd N");
        return mu_cmd_wrong_value(cmd, err);
    }
    if ((rc = mu_cmd_ask_secret("  Password for the PKCS #12: ", &secrets->password, err)) == MU_OK
        && (rc = mu_cmd_ask_secret("  Once more: ", &again, err)) == MU_OK
        && !mu_bytes_equal(mu_secret_bytes(&secrets->password), mu_secret_bytes(&again)))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the two are not alike");
    mu_secret_clear(&again);
    return rc;
}

/* A file that is there may be somebody's only copy. */
static enum mu_code may_write(struct mu_cmd *cmd, const struct form *form, struct mu_err *err)
{
    char question[400];

    if (is_stdout(form)) {
        if (form->form == MU_AGENT_EXPORT_PEM || !isatty(STDOUT_FILENO))
            return MU_OK;
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a private key is not shown on a terminal: name a file, or pipe it");
    }
    if (cmd->args.yes || access(form->file, F_OK) != 0)
        return MU_OK;
    if (!mu_cmd_ask_possible() || cmd->args.no_input) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s is there already, and nobody can be asked: add --yes", form->file);
        return mu_cmd_wrong_value(cmd, err);
    }
    snprintf(question, sizeof question, "%.300s is there already. Do you want to replace it?", form->file);
    return mu_cmd_ask_yes(question) ? MU_OK : mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s stays as it is", form->file);
}

static enum mu_code put(const struct form *form, const struct mu_buf *out, struct mu_err *err)
{
    if (!is_stdout(form))
        return mu_keystore_file_write(form->file, form->mode, mu_buf_bytes(out), err);
    if (fwrite(out->p, 1, out->n, stdout) == out->n && fflush(stdout) == 0)
        return MU_OK;
    return mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "standard output cannot be written");
}

static int told(struct mu_cmd *cmd, const struct form *form, size_t certs)
{
    bool has_key = form->form != MU_AGENT_EXPORT_PEM;
    struct mu_buf out = {0};
    struct mu_agent_json j;
    char line[400];
    int exit_code = MU_CMD_OK;

    if (!cmd->args.json || is_stdout(form)) {
        snprintf(line, sizeof line, "%.200s: %zu certificate%s%s", form->file, certs, certs == 1 ? "" : "s",
            has_key ? " and the private key (0600)" : "");
        mu_cmd_print_line(cmd, "exported", line);
        mu_cmd_print_done(cmd);
        return MU_CMD_OK;
    }
    mu_cmd_print_json_begin(cmd, &j, &out);
    mu_agent_json_open(&j, "export", '{');
    mu_agent_json_text(&j, "name", cmd->args.words[0]);
    mu_agent_json_text(&j, "form", form->word);
    mu_agent_json_text(&j, "file", form->file);
    mu_agent_json_int(&j, "certificates", (int64_t)certs);
    mu_agent_json_bool(&j, "key", has_key);
    mu_agent_json_close(&j, '}');
    mu_agent_json_close(&j, '}');
    exit_code = mu_cmd_print_json(cmd, &out);
    mu_buf_clear(&out);
    return exit_code;
}

int mu_cmd_export(struct mu_cmd *cmd)
{
    struct mu_agent_export request = {.name = cmd->args.words[0]};
    struct mu_buf out = {.max = MU_LIMIT_FILE, .secret = true};
    struct mu_cmd_secrets secrets = {0};
    struct mu_err err = {0};
    struct form form = {.word = ""};
    size_t certs = 0;
    int exit_code;

    if (form_of(cmd, &form, &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    request.form = form.form;
    if (mu_cmd_open_store(cmd, false, &err) != MU_OK || may_write(cmd, &form, &err) != MU_OK
        || password_take(cmd, &form, &secrets, &err) != MU_OK)
        goto fail;
    request.key_password = mu_cmd_secrets_given(&secrets.key_password);
    request.password = mu_cmd_secrets_given(&secrets.password);
    if (mu_agent_export(&cmd->agent, &request, &out, &certs, &err) != MU_OK || put(&form, &out, &err) != MU_OK)
        goto fail;
    exit_code = told(cmd, &form, certs);
    goto out;
fail:
    exit_code = mu_cmd_print_error(cmd, request.name, &err);
out:
    mu_buf_clear(&out);
    mu_cmd_secrets_clear(&secrets);
    return exit_code;
}
