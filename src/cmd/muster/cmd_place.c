/*
 * place: the recipes' way to bring a copy to where a service reads it. The files are joined to one, which
 * appears whole or not at all, with the owner and mode that the service needs.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster/cmd_print.h"
#include "keystore/keystore_place.h"

static enum mu_code unknown(const char *what, const char *word, struct mu_err *err)
{
    char shown[100];

    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "there is no %s '%s' on this system", what,
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
}

/* Names first: a user may be called by a number. */
static enum mu_code parse_owner(const char *word, uid_t *out, struct mu_err *err)
{
    const struct passwd *user = getpwnam(word);
    int64_t n = 0;

    if (user == NULL && mu_text_int(word, 0, UINT32_MAX - 1LL, &n, err) != MU_OK)
        return unknown("user", word, err);
    *out = user != NULL ? user->pw_uid : (uid_t)n;
    return MU_OK;
}

static enum mu_code parse_group(const char *word, gid_t *out, struct mu_err *err)
{
    const struct group *group = getgrnam(word);
    int64_t n = 0;

    if (group == NULL && mu_text_int(word, 0, UINT32_MAX - 1LL, &n, err) != MU_OK)
        return unknown("group", word, err);
    *out = group != NULL ? group->gr_gid : (gid_t)n;
    return MU_OK;
}

static enum mu_code parse_mode(const char *word, mode_t *out, struct mu_err *err)
{
    char *end = NULL;
    unsigned long n = strtoul(word, &end, 8);

    if (word[0] < '0' || word[0] > '7' || *end != '\0' || n > 0777)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "--mode takes an octal number up to 0777");
    *out = (mode_t)n;
    return MU_OK;
}

static enum mu_code how_of(
    const struct mu_cmd_args *args, struct mu_keystore_place_how *how, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    how->has_uid = args->owner != NULL;
    how->has_gid = args->group != NULL;
    how->has_mode = args->mode != NULL;
    how->keep_old = args->keep;
    if (how->has_uid)
        rc = parse_owner(args->owner, &how->uid, err);
    if (rc == MU_OK && how->has_gid)
        rc = parse_group(args->group, &how->gid, err);
    if (rc == MU_OK && how->has_mode)
        rc = parse_mode(args->mode, &how->mode, err);
    return rc;
}

static enum mu_code read_all(const struct mu_cmd_args *args, struct mu_buf *out, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 1; rc == MU_OK && i < args->word_n; i++)
        rc = mu_keystore_file_read(args->words[i], MU_KEYSTORE_PUBLIC, out, err);
    return rc;
}

static enum mu_code place_it(struct mu_cmd *cmd, struct mu_err *err)
{
    struct mu_keystore_place_how how = {0};
    struct mu_keystore_place *place = NULL;
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    enum mu_code rc;

    if ((rc = how_of(&cmd->args, &how, err)) != MU_OK)
        rc = mu_cmd_wrong_value(cmd, err);
    if (rc != MU_OK
        || (rc = read_all(&cmd->args, &text, err)) != MU_OK
        || (rc = mu_keystore_place_open(cmd->args.words[0], &place, err)) != MU_OK)
        goto out;
    if (cmd->args.back)
        rc = mu_keystore_place_back(place, err);
    else if (cmd->args.forget)
        rc = mu_keystore_place_forget(place, err);
    else
        rc = mu_keystore_place_write(place, &how, mu_buf_bytes(&text), err);
out:
    mu_keystore_place_close(place);
    mu_buf_clear(&text);
    return rc;
}

int mu_cmd_place(struct mu_cmd *cmd)
{
    struct mu_err err = {0};
    bool is_write = !cmd->args.back && !cmd->args.forget;

    if (is_write != (cmd->args.word_n > 1) || (cmd->args.back && cmd->args.forget)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "place takes a target and the files to put there, or a target and --back or --forget");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    return place_it(cmd, &err) == MU_OK ? MU_CMD_OK : mu_cmd_print_error(cmd, NULL, &err);
}
