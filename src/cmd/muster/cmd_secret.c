/* secret set, list, remove: what is kept under secrets/. A value never comes by the command line. */
#include <stdio.h>
#include <unistd.h>

#include "agent/agent_secret_where.h"
#include "base/text.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_print.h"

static enum mu_code check_key(const char *key, struct mu_err *err)
{
    const char *words[8] = {NULL}, *near;
    size_t n = 0;

    for (; mu_agent_secret_where_key(n) != NULL; n++) {
        words[n] = mu_agent_secret_where_key(n);
        if (strcmp(key, words[n]) == 0)
            return MU_OK;
    }
    mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "'%s' is none of challenge, password, srp-password, key-password, secret, shared-key", key);
    if ((near = mu_text_nearest(key, words)) != NULL)
        mu_err_next(err, "Did you mean %s?", near);
    return MU_INPUT;
}

static enum mu_code value_of(struct mu_cmd *cmd, struct mu_secret *out, struct mu_err *err)
{
    char question[120];

    if (cmd->args.file != NULL && cmd->args.fd != NULL) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "--file and --fd exclude each other");
        return mu_cmd_wrong_value(cmd, err);
    }
    if (cmd->args.file != NULL)
        return mu_agent_secret_where_file(cmd->args.file, out, err);
    if (cmd->args.fd != NULL)
        return mu_cmd_ask_fd(cmd->args.fd, out, err);
    if (!mu_cmd_ask_possible())
        return mu_cmd_ask_fd("0", out, err);
    if (cmd->args.no_input)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "nobody may be asked: give the secret with --file or --fd");
    snprintf(question, sizeof question, "  %s of %s: ", cmd->args.words[1], cmd->args.words[0]);
    return mu_cmd_ask_secret(question, out, err);
}

static enum mu_code store(struct mu_cmd *cmd, const struct mu_secret *value, struct mu_err *err)
{
    const char *name = cmd->args.words[0], *key = cmd->args.words[1];
    struct mu_keystore_lock *lock = NULL;
    enum mu_code rc = mu_keystore_lock(cmd->store, name, &lock, err);

    if (rc != MU_OK)
        return rc;
    if (value != NULL)
        rc = mu_keystore_put(cmd->store, MU_KEYSTORE_SECRETS, name, key, mu_secret_bytes(value), err);
    else if (!mu_keystore_has(cmd->store, MU_KEYSTORE_SECRETS, name, key))
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "%s has no %s here", name, key);
    else
        rc = mu_keystore_remove(cmd->store, MU_KEYSTORE_SECRETS, name, key, err);
    mu_keystore_unlock(lock);
    return rc;
}

int mu_cmd_secret_set(struct mu_cmd *cmd)
{
    const char *name = cmd->args.words[0];
    struct mu_secret value = {0};
    struct mu_err err = {0};
    char line[200];
    enum mu_code rc;

    if (check_key(cmd->args.words[1], &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    if ((rc = mu_cmd_open_store(cmd, true, &err)) == MU_OK && (rc = value_of(cmd, &value, &err)) == MU_OK) {
        if (!mu_secret_is_set(&value) || value.n == 0)
            rc = mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "an empty secret is none: muster secret remove");
        else
            rc = store(cmd, &value, &err);
    }
    mu_secret_clear(&value);
    if (rc != MU_OK)
        return mu_cmd_print_error(cmd, name, &err);
    snprintf(line, sizeof line, "%s of %s; in the configuration: %s = secret:%s", cmd->args.words[1], name,
        cmd->args.words[1], name);
    mu_cmd_print_line(cmd, "kept", line);
    mu_cmd_agent_touch(cmd, NULL);
    return MU_CMD_OK;
}

int mu_cmd_secret_remove(struct mu_cmd *cmd)
{
    struct mu_err err = {0};

    if (check_key(cmd->args.words[1], &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    if (mu_cmd_open_store(cmd, false, &err) != MU_OK || store(cmd, NULL, &err) != MU_OK)
        return mu_cmd_print_error(cmd, cmd->args.words[0], &err);
    return MU_CMD_OK;
}

static void print_one(void *cookie, const char *name, const char *kind)
{
    struct mu_agent_json *j = cookie;

    if (j == NULL) {
        printf("%s %s\n", name, kind);
        return;
    }
    mu_agent_json_open(j, NULL, '{');
    mu_agent_json_text(j, "name", name);
    mu_agent_json_text(j, "key", kind);
    mu_agent_json_close(j, '}');
}

int mu_cmd_secret_list(struct mu_cmd *cmd)
{
    struct mu_buf out = {0};
    struct mu_agent_json j;
    struct mu_err err = {0};
    enum mu_code rc = mu_cmd_open_store(cmd, false, &err);
    int exit_code = MU_CMD_OK;

    if (rc != MU_OK && rc != MU_NOT_FOUND)
        return mu_cmd_print_error(cmd, NULL, &err);
    if (cmd->args.json) {
        mu_cmd_print_json_begin(cmd, &j, &out);
        mu_agent_json_open(&j, "secrets", '[');
    }
    if (rc == MU_OK)
        rc = mu_keystore_each_small(
            cmd->store, MU_KEYSTORE_SECRETS, print_one, cmd->args.json ? &j : NULL, &err);
    else
        rc = MU_OK;
    if (rc != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    } else if (cmd->args.json) {
        exit_code = mu_cmd_print_json_list(cmd, &j, &out);
    }
    mu_buf_clear(&out);
    return exit_code;
}
