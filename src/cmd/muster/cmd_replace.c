/*
 * replace-pem, also called scep_replace_pem: key and certificate of an entry go into a settings file. In a
 * hook the entry is the one whose hook it is; by hand --name says it, or there is only one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_replace.h"
#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster/cmd_print.h"
#include "keystore/keystore_place.h"

enum { PAIRS = MU_ARGS_MAX_WORDS / 2 };

/* Where the two files are. */
struct source {
    struct mu_buf key_file, cert_file;
    struct mu_buf key, cert; /* read when first asked for */
};

static const char *set_variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The hook's own entry: paths by serial, as the hook got them. */
static bool from_hook(struct source *source)
{
    const char *key = set_variable("MUSTER_KEY"), *cert = set_variable("MUSTER_CERT");

    if (set_variable("MUSTER_NAME") == NULL || (key == NULL && cert == NULL))
        return false;
    mu_buf_put_str(&source->key_file, key != NULL ? key : "");
    mu_buf_put_str(&source->cert_file, cert != NULL ? cert : "");
    return true;
}

struct only {
    char name[MU_KEYSTORE_NAME];
    size_t n;
};

static void count(void *cookie, const char *name)
{
    struct only *only = cookie;

    snprintf(only->name, sizeof only->name, "%s", name);
    only->n++;
}

static enum mu_code only_entry(struct mu_cmd *cmd, struct only *only, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_each(cmd->store, count, only, err);

    if (rc != MU_OK || only->n == 1)
        return rc;
    mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        only->n == 0 ? "there is no certificate here" : "there are %zu certificates here", only->n);
    mu_err_likely(err, "Outside of a hook nothing says which one is meant.");
    mu_err_next(err, only->n == 0 ? "muster enroll NAME" : "say which one: --name NAME");
    return MU_INPUT;
}

static enum mu_code from_store(struct mu_cmd *cmd, struct source *source, struct mu_err *err)
{
    struct mu_keystore_entry entry = {0};
    struct only only = {0};
    enum mu_code rc = mu_cmd_open_store(cmd, false, err);

    if (rc == MU_OK && cmd->args.name == NULL)
        rc = only_entry(cmd, &only, err);
    if (rc == MU_OK)
        rc = mu_keystore_load(
            cmd->store, cmd->args.name != NULL ? cmd->args.name : only.name, &entry, err);
    if (rc == MU_OK) {
        mu_buf_put_str(&source->key_file, entry.key_file);
        mu_buf_put_str(&source->cert_file, entry.cert_file);
    }
    mu_keystore_entry_clear(&entry);
    return rc;
}

static enum mu_code read_kind(
    struct source *source, enum mu_agent_replace_kind kind, struct mu_bytes *out, struct mu_err *err)
{
    bool is_key = kind == MU_AGENT_REPLACE_PKEY;
    struct mu_buf *text = is_key ? &source->key : &source->cert;
    const char *path = mu_buf_str(is_key ? &source->key_file : &source->cert_file);
    enum mu_code rc = MU_OK;

    if (path[0] == '\0')
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no %s here",
            is_key ? "private key" : "certificate");
    if (text->n == 0)
        rc = mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, text, err);
    *out = mu_buf_bytes(text);
    return rc;
}

static enum mu_code read_pairs(
    struct mu_cmd *cmd, struct source *source, struct mu_agent_replace *list, struct mu_err *err)
{
    const size_t n = cmd->args.word_n / 2;
    enum mu_agent_replace_kind kind;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < n; i++) {
        list[i].param = cmd->args.words[1 + 2 * i];
        if ((rc = mu_agent_replace_kind_parse(cmd->args.words[2 + 2 * i], &kind, err)) == MU_OK)
            rc = read_kind(source, kind, &list[i].pem, err);
        for (size_t k = 0; rc == MU_OK && k < i; k++) {
            if (strcmp(list[k].param, list[i].param) == 0)
                rc = mu_err_set(
                    err, MU_INPUT, MU_REASON_NONE, "parameter %s is named twice", list[i].param);
        }
    }
    return rc;
}

static enum mu_code replace(struct mu_cmd *cmd, struct source *source, struct mu_err *err)
{
    struct mu_keystore_place *place = NULL;
    const struct mu_keystore_place_how as_it_is = {0};
    struct mu_agent_replace list[PAIRS];
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    struct mu_buf made = {.max = 2 * MU_LIMIT_FILE, .secret = true};
    enum mu_code rc;

    if ((rc = read_pairs(cmd, source, list, err)) != MU_OK
        || (rc = mu_keystore_place_open(cmd->args.words[0], &place, err)) != MU_OK)
        goto out;
    if (cmd->args.words[0][0] != '/')
        mu_cmd_print_note(cmd, "muster: %s is %s", cmd->args.words[0], mu_keystore_place_path(place));
    if ((rc = mu_keystore_place_read(place, &text, err)) != MU_OK
        || (rc = mu_agent_replace(mu_buf_bytes(&text), mu_keystore_place_path(place), list,
                cmd->args.word_n / 2, &made, err))
            != MU_OK)
        goto out;
    if (!mu_bytes_equal(mu_buf_bytes(&text), mu_buf_bytes(&made)))
        rc = mu_keystore_place_write(place, &as_it_is, mu_buf_bytes(&made), err);
out:
    mu_keystore_place_close(place);
    mu_buf_clear(&text);
    mu_buf_clear(&made);
    return rc;
}

/* Kinds are judged before anything is opened: a typo is a typo wherever it is tried. */
static enum mu_code check_words(struct mu_cmd *cmd, struct mu_err *err)
{
    enum mu_agent_replace_kind kind;
    enum mu_code rc = MU_OK;

    if (cmd->args.word_n == 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "usage: scep_replace_pem [--name N] FILE (PARAM pkey|cert)...");
    if (cmd->args.word_n == 1 || cmd->args.word_n % 2 == 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "usage: scep_replace_pem FILE (PARAM pkey|cert)...: %s",
            cmd->args.word_n == 1 ? "no parameter is named" : "each parameter needs its kind");
    for (size_t i = 2; rc == MU_OK && i < cmd->args.word_n; i += 2)
        rc = mu_agent_replace_kind_parse(cmd->args.words[i], &kind, err);
    return rc;
}

int mu_cmd_replace(struct mu_cmd *cmd)
{
    struct source source = {.key = {.max = MU_LIMIT_FILE, .secret = true}};
    struct mu_err err = {0};
    enum mu_code rc = MU_OK;

    if (check_words(cmd, &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    if (cmd->args.name != NULL || !from_hook(&source))
        rc = from_store(cmd, &source, &err);
    if (rc == MU_OK && (rc = mu_buf_check(&source.key_file, "a path", &err)) == MU_OK)
        rc = replace(cmd, &source, &err);
    mu_buf_clear(&source.key_file);
    mu_buf_clear(&source.cert_file);
    mu_buf_clear(&source.key);
    mu_buf_clear(&source.cert);
    return rc == MU_OK ? MU_CMD_OK : mu_cmd_print_error(cmd, NULL, &err);
}
