/* Files, descriptors, credentials, environment, questions. */
#include "cmd/muster/cmd_secrets.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_secret_where.h"
#include "base/text.h"
#include "cmd/muster/cmd.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_print.h"

enum { KINDS = 6 };

struct kind {
    const char *key, *word, *variable;
    size_t file, fd; /* options in mu_cmd_args; fd SIZE_MAX: there is none */
    size_t at;       /* in mu_cmd_secrets */
    size_t config;   /* in mu_agent_config_secrets */
};

#define ROW(name, key, variable, file, fd)                                                              \
    {key, variable, "MUSTER_SECRET_" variable, offsetof(struct mu_cmd_args, file), fd,                  \
        offsetof(struct mu_cmd_secrets, name), offsetof(struct mu_agent_config_secrets, name)}
#define FD(member) offsetof(struct mu_cmd_args, member)

static const struct kind kinds[KINDS] = {
    ROW(challenge, "challenge", "CHALLENGE", challenge_file, FD(challenge_fd)),
    ROW(key_password, "key-password", "KEY_PASSWORD", key_pass_file, SIZE_MAX),
    ROW(password, "password", "PASSWORD", password_file, FD(password_fd)),
    ROW(srp_password, "srp-password", "SRP_PASSWORD", srp_password_file, FD(srp_password_fd)),
    ROW(secret, "secret", "SECRET", secret_file, FD(secret_fd)),
    ROW(shared_key, "shared-key", "SHARED_KEY", shared_key_file, FD(shared_key_fd)),
};

static struct mu_secret *secret_at(struct mu_cmd_secrets *secrets, size_t at)
{
    return (struct mu_secret *)(void *)((char *)secrets + at);
}

static const char *text_at(const void *base, size_t at)
{
    return at == SIZE_MAX ? NULL : *(const char *const *)(const void *)((const char *)base + at);
}

void mu_cmd_secrets_clear(struct mu_cmd_secrets *secrets)
{
    for (size_t i = 0; i < KINDS; i++)
        mu_secret_clear(secret_at(secrets, kinds[i].at));
}

const struct mu_secret *mu_cmd_secrets_given(const struct mu_secret *secret)
{
    return mu_secret_is_set(secret) ? secret : NULL;
}

void mu_cmd_secrets_environment(struct mu_cmd *cmd)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (mu_cmd_ask_environment(kinds[i].variable, secret_at(&cmd->env_secrets, kinds[i].at))
            && cmd->args.verbose > 0)
            mu_cmd_print_note(cmd, "%s was taken out of the environment", kinds[i].variable);
    }
}

static enum mu_code of_environment(
    struct mu_cmd *cmd, const struct kind *kind, struct mu_secret *secret, struct mu_err *err)
{
    const struct mu_secret *value = secret_at(&cmd->env_secrets, kind->at);

    if (!mu_secret_is_set(value))
        return MU_OK;
    if (!cmd->told_environment) {
        char text[200];

        snprintf(text, sizeof text,
            "%s: others may see an environment, a file is safer", kind->variable);
        mu_cmd_print_line(cmd, "warning", text);
    }
    cmd->told_environment = true;
    return mu_secret_set(secret, mu_secret_bytes(value), err);
}

static enum mu_code of_options(
    struct mu_cmd *cmd, const struct kind *kind, struct mu_secret *secret, struct mu_err *err)
{
    const char *file = text_at(&cmd->args, kind->file), *fd = text_at(&cmd->args, kind->fd);

    if (secret == NULL || (cmd->args.no_challenge && strcmp(kind->word, "CHALLENGE") == 0))
        return MU_OK;
    if (file != NULL)
        return mu_agent_secret_where_file(file, secret, err);
    return fd != NULL ? mu_cmd_ask_fd(fd, secret, err) : MU_OK;
}

enum mu_code mu_cmd_secrets_options(
    struct mu_cmd *cmd, struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    return mu_cmd_secrets_take(cmd, NULL, secrets, err);
}

enum mu_code mu_cmd_secrets_take(struct mu_cmd *cmd, const struct mu_agent_config_secrets *config,
    struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < KINDS; i++) {
        struct mu_secret *secret = secret_at(secrets, kinds[i].at);
        const char *written = config != NULL ? text_at(config, kinds[i].config) : NULL;
        bool unwanted = cmd->args.no_challenge && strcmp(kinds[i].word, "CHALLENGE") == 0;

        rc = of_options(cmd, &kinds[i], secret, err);
        if (rc == MU_OK && !mu_secret_is_set(secret) && written != NULL && !unwanted)
            rc = mu_agent_secret_where_read(cmd->store, kinds[i].key, written, secret, err);
        if (rc == MU_OK && !mu_secret_is_set(secret) && !unwanted)
            rc = of_environment(cmd, &kinds[i], secret, err);
    }
    return rc;
}

/* ---- questions ---- */

/* A valid certificate and a pending request need no password: nobody is asked for one then. */
static bool is_needed(struct mu_cmd *cmd, const char *name, const char *kind)
{
    char stem[MU_KEYSTORE_STEM];

    return (cmd->args.replace || cmd->args.fresh || !mu_keystore_current(cmd->store, name, stem))
        && !mu_keystore_has(cmd->store, MU_KEYSTORE_SECRETS, name, kind)
        && !mu_keystore_has(cmd->store, MU_KEYSTORE_STATE, name, "pending");
}

static bool may_ask(const struct mu_cmd *cmd)
{
    return mu_cmd_ask_possible() && !cmd->args.no_input;
}

static enum mu_code ask_password(struct mu_cmd *cmd, const char *user, const char *option,
    struct mu_secret *password, struct mu_err *err)
{
    char question[200];

    if (may_ask(cmd)) {
        snprintf(question, sizeof question, "  Password of %s: ", user);
        return mu_cmd_ask_secret(question, password, err);
    }
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "there is no password for the user '%s'", user);
    mu_err_next(err, "give it with --%s FILE ('-' is stdin)", option);
    return MU_INPUT;
}

enum mu_code mu_cmd_secrets_ask(struct mu_cmd *cmd, const char *name,
    const struct mu_agent_settings *settings, struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    bool is_est = mu_agent_settings_is_est(settings), is_cmp = mu_agent_settings_is_cmp(settings);
    enum mu_code rc = MU_OK;

    if (is_cmp && settings->ref != NULL && settings->client_cert == NULL
        && !mu_secret_is_set(&secrets->secret) && is_needed(cmd, name, "secret"))
        return ask_password(cmd, settings->ref, "secret-file", &secrets->secret, err);

    if (is_est && settings->user != NULL && !mu_secret_is_set(&secrets->password)
        && is_needed(cmd, name, "password"))
        rc = ask_password(cmd, settings->user, "password-file", &secrets->password, err);
    if (rc == MU_OK && is_est && settings->srp_user != NULL
        && !mu_secret_is_set(&secrets->srp_password) && is_needed(cmd, name, "srp-password"))
        rc = ask_password(cmd, settings->srp_user, "srp-password-file", &secrets->srp_password, err);
    if (rc != MU_OK || is_est || is_cmp || cmd->args.no_challenge || mu_secret_is_set(&secrets->challenge)
        || !may_ask(cmd) || !is_needed(cmd, name, "challenge"))
        return rc;
    /* Nothing typed means none. */
    rc = mu_cmd_ask_secret("  Challenge password (empty: none): ", &secrets->challenge, err);
    return rc == MU_NOT_FOUND ? MU_OK : rc;
}
