/* config check, set, unset, path: what is wrong with it, and one value changed. */
#include <stdio.h>

#include "agent/agent_config_review.h"
#include "agent/agent_entry.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_print.h"

/* ---- notes ---- */

struct notes {
    struct mu_cmd *cmd;
    struct mu_agent_json *json; /* NULL: lines */
    unsigned errors, advices;
};

static void on_note(void *cookie, const struct mu_agent_config_note *note)
{
    const struct mu_err coded = {.reason = note->reason};
    struct notes *notes = cookie;
    char code[8], place[300] = "";

    notes->errors += note->is_error;
    notes->advices += !note->is_error;
    mu_err_code_text(&coded, code);
    if (notes->json != NULL) {
        mu_agent_json_open(notes->json, NULL, '{');
        mu_agent_json_text(notes->json, "severity", note->is_error ? "error" : "advice");
        mu_agent_json_text(notes->json, "code", code[0] != '\0' ? code : NULL);
        mu_agent_json_text(notes->json, "file", note->file);
        mu_agent_json_int(notes->json, "line", note->line);
        mu_agent_json_text(notes->json, "text", note->text);
        mu_agent_json_close(notes->json, '}');
        return;
    }
    if (note->file != NULL && note->line > 0)
        snprintf(place, sizeof place, "%s:%u: ", note->file, note->line);
    else if (note->file != NULL && strstr(note->text, note->file) == NULL)
        snprintf(place, sizeof place, "%s: ", note->file);
    printf("%s%s%s%s%s\n", place, note->is_error ? "" : "advice: ", code, code[0] != '\0' ? ": " : "", note->text);
}

/* The store adds what is only known there; without one, or without the right to read it, files are looked
 * at all the same. */
static enum mu_code review(struct mu_cmd *cmd, struct notes *notes, const char *name, struct mu_err *err)
{
    struct mu_err no_store = {0};
    enum mu_code rc = mu_cmd_open_store(cmd, false, &no_store);

    cmd->agent.config = cmd->config;
    cmd->agent.env = &cmd->env;
    cmd->agent.allow_legacy = mu_agent_config_agent(cmd->config)->allow_legacy;
    if (rc != MU_OK && rc != MU_NOT_FOUND)
        mu_cmd_print_note(cmd, "The store is not looked at: %s", no_store.what);
    return mu_agent_config_review(&cmd->agent, name, MUSTER_RECIPES, on_note, notes, err);
}

static void told_in_short(struct mu_cmd *cmd, const struct notes *notes)
{
    size_t entries = 0, cas = 0;

    while (mu_agent_config_entry_at(cmd->config, entries) != NULL)
        entries++;
    while (mu_agent_config_ca_at(cmd->config, cas) != NULL)
        cas++;
    if (notes->errors > 0)
        mu_cmd_print_note(cmd, "%u %s", notes->errors, notes->errors == 1 ? "error" : "errors");
    else
        mu_cmd_print_note(cmd, "The configuration is right: %zu certificate%s, %zu CA%s%s", entries,
            entries == 1 ? "" : "s", cas, cas == 1 ? "" : "s", notes->advices > 0 ? ", with advice" : "");
}

int mu_cmd_config_check(struct mu_cmd *cmd)
{
    const char *name = cmd->args.word_n > 0 ? cmd->args.words[0] : NULL;
    struct notes notes = {.cmd = cmd};
    struct mu_agent_json j;
    struct mu_buf out = {.max = 16 << 20};
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code;

    if (cmd->args.json) {
        mu_cmd_print_json_begin(cmd, &j, &out);
        mu_agent_json_open(&j, "notes", '[');
        notes.json = &j;
    }
    rc = mu_agent_config_load(cmd->args.config, &cmd->config, on_note, &notes, &err);
    if (rc == MU_OK)
        rc = review(cmd, &notes, name, &err);
    else if (notes.errors > 0)
        rc = MU_OK; /* told */
    if (rc != MU_OK) {
        mu_buf_clear(&out);
        return mu_cmd_print_error(cmd, name, &err);
    }
    exit_code = notes.errors > 0 ? MU_CMD_CONFIG : MU_CMD_OK;
    if (cmd->args.json) {
        mu_agent_json_close(&j, ']');
        mu_agent_json_int(&j, "errors", notes.errors);
        mu_agent_json_close(&j, '}');
        if (mu_cmd_print_json(cmd, &out) != MU_CMD_OK)
            exit_code = MU_CMD_FAILED;
    } else {
        told_in_short(cmd, &notes);
    }
    mu_buf_clear(&out);
    return exit_code;
}

/* ---- set ---- */

/* "agent", "defaults", "ca:branch", "template:gateway", or the name of a certificate. */
struct target {
    char section[16];
    const char *name;
};

static enum mu_code target_of(struct mu_cmd *cmd, size_t words, struct target *out, struct mu_err *err)
{
    static const char *const named[] = {"ca", "template", "certificate"};
    const char *word = cmd->args.words[0], *colon = strchr(word, ':');

    if (cmd->args.word_n > words) { /* SECTION NAME KEY VALUE */
        for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
            if (strcmp(word, named[i]) != 0)
                continue;
            snprintf(out->section, sizeof out->section, "%s", word);
            out->name = cmd->args.words[1];
            return MU_OK;
        }
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "'%s' is none of the sections with a name: ca, template, certificate (quote a value with blanks)", word);
    }
    snprintf(out->section, sizeof out->section, "certificate");
    out->name = word;
    if (strcmp(word, "agent") == 0 || strcmp(word, "defaults") == 0) {
        snprintf(out->section, sizeof out->section, "%s", word);
        out->name = "";
    }
    for (size_t i = 0; colon != NULL && i < sizeof named / sizeof named[0]; i++) {
        if (strlen(named[i]) != (size_t)(colon - word) || strncmp(word, named[i], (size_t)(colon - word)) != 0)
            continue;
        snprintf(out->section, sizeof out->section, "%s", named[i]);
        out->name = colon + 1;
    }
    return MU_OK;
}

static int change(struct mu_cmd *cmd, size_t words, bool takes_away)
{
    const char *key = cmd->args.words[cmd->args.word_n - (takes_away ? 1 : 2)];
    const char *value = takes_away ? NULL : cmd->args.words[cmd->args.word_n - 1];
    struct target target;
    struct mu_buf file = {0};
    struct mu_err err = {0};
    enum mu_code rc;

    if (target_of(cmd, words, &target, &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    if ((rc = mu_agent_config_load_anyway(cmd->args.config, &cmd->config, &err)) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    if (value != NULL && value[0] == '\0')
        value = NULL;
    rc = mu_cmd_open_store(cmd, false, &err);
    if (rc != MU_OK && rc != MU_NOT_FOUND && strcmp(target.section, "certificate") == 0
        && !mu_agent_config_has_entry(cmd->config, target.name))
        return mu_cmd_print_error(cmd, target.name, &err);
    cmd->agent.config = cmd->config;
    mu_err_clear(&err);
    if (strcmp(target.section, "certificate") == 0)
        rc = mu_agent_entry_set(&cmd->agent, cmd->args.config, target.name, key, value, &file, &err);
    else
        rc = mu_agent_entry_may_set(target.name, key, value, &err) != MU_OK
            ? MU_INPUT
            : mu_agent_config_set(cmd->args.config, target.section, target.name, key, value, &file, &err);
    if (rc == MU_OK) {
        mu_cmd_print_line(cmd, "changed", mu_buf_str(&file));
        mu_cmd_agent_reload(cmd);
    }
    mu_buf_clear(&file);
    return rc == MU_OK ? MU_CMD_OK : mu_cmd_print_error(cmd, target.name[0] != '\0' ? target.name : NULL, &err);
}

int mu_cmd_config_set(struct mu_cmd *cmd)
{
    return change(cmd, 3, false);
}

int mu_cmd_config_unset(struct mu_cmd *cmd)
{
    return change(cmd, 2, true);
}

/* ---- path ---- */

int mu_cmd_config_path(struct mu_cmd *cmd)
{
    struct mu_err err = {0};
    struct mu_buf out = {0};
    struct mu_agent_json j;
    const char *file;
    int exit_code = MU_CMD_OK;

    if (mu_agent_config_load_anyway(cmd->args.config, &cmd->config, &err) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    if (!cmd->args.json) {
        printf("%s\n", mu_agent_config_path(cmd->config));
        for (size_t i = 0; (file = mu_agent_config_file_at(cmd->config, i)) != NULL; i++)
            if (strcmp(file, mu_agent_config_path(cmd->config)) != 0)
                printf("%s\n", file);
        return MU_CMD_OK;
    }
    mu_cmd_print_json_begin(cmd, &j, &out);
    mu_agent_json_text(&j, "path", mu_agent_config_path(cmd->config));
    mu_agent_json_open(&j, "files", '[');
    for (size_t i = 0; (file = mu_agent_config_file_at(cmd->config, i)) != NULL; i++)
        mu_agent_json_text(&j, NULL, file);
    exit_code = mu_cmd_print_json_list(cmd, &j, &out);
    mu_buf_clear(&out);
    return exit_code;
}
