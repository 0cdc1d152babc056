/* config show: what it says, in its own words, with or without where that stands. */
#include <stdio.h>

#include "agent/agent_entry.h"
#include "cmd/muster/cmd_print.h"

struct show {
    struct mu_cmd *cmd;
    struct mu_agent_json *json; /* NULL: text */
    char header[100]; /* that was printed last */
    bool is_entry; /* effective values of one: one section */
};

static void header(struct show *show, const struct mu_agent_config_item *item)
{
    char text[100];

    if (item->name[0] != '\0')
        snprintf(text, sizeof text, "[%s \"%s\"]", item->section, item->name);
    else
        snprintf(text, sizeof text, "[%s]", item->section);
    if (strcmp(text, show->header) == 0)
        return;
    printf("%s%s\n", show->header[0] != '\0' ? "\n" : "", text);
    snprintf(show->header, sizeof show->header, "%s", text);
}

/* Further lines of a value begin with blanks, as in the file. */
static void value(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            fputs("\n    ", stdout);
        else
            putchar(*text);
    }
}

static void as_json(struct show *show, const struct mu_agent_config_item *item)
{
    struct mu_agent_json *j = show->json;

    mu_agent_json_open(j, NULL, '{');
    mu_agent_json_text(j, "section", item->section);
    mu_agent_json_text(j, "name", item->name[0] != '\0' ? item->name : NULL);
    mu_agent_json_text(j, "key", item->key);
    mu_agent_json_text(j, "value", item->value);
    mu_agent_json_text(j, "file", item->file);
    mu_agent_json_int(j, "line", item->line);
    mu_agent_json_bool(j, "default", item->is_default);
    mu_agent_json_bool(j, "overridden", item->is_overridden);
    mu_agent_json_close(j, '}');
}

static void on_item(void *cookie, const struct mu_agent_config_item *item)
{
    struct show *show = cookie;
    const bool origin = show->cmd->args.origin;

    if (!origin && (item->is_default || item->is_overridden))
        return;
    if (show->json != NULL) {
        as_json(show, item);
        return;
    }
    if (!show->is_entry)
        header(show, item);
    printf("%s%-16s = ", item->is_overridden ? "# " : "", item->key);
    value(item->value);
    if (origin && item->is_default)
        printf("  # default");
    else if (origin && item->line > 0)
        printf("  # %s:%u%s", item->file, item->line, item->is_overridden ? ", not the last" : "");
    else if (origin && item->file != NULL)
        printf("  # %s", item->file);
    putchar('\n');
}

/* An entry that the configuration does not know: what it was enrolled with. */
static enum mu_code stored(struct show *show, const char *name, struct mu_err *err)
{
    struct mu_agent_settings settings = {0};
    char file[400];
    enum mu_code rc;

    if ((rc = mu_cmd_open_store(show->cmd, false, err)) != MU_OK)
        return rc;
    if ((rc = mu_agent_settings_load(show->cmd->store, name, &settings, err)) == MU_NOT_FOUND)
        return mu_err_set(err, rc, MU_REASON_NONE, "there is no certificate '%s'", name);
    if (rc != MU_OK)
        return rc;
    snprintf(file, sizeof file, "%s/state/%s.conf", mu_keystore_root(show->cmd->store), name);
    for (size_t i = 0; mu_agent_settings_word(i) != NULL; i++) {
        struct mu_buf text = {0};
        struct mu_agent_config_item item = {
            .section = "certificate", .name = name, .key = mu_agent_settings_word(i), .file = file};

        if (mu_agent_settings_get(&settings, item.key, &text)) {
            item.value = mu_buf_str(&text);
            on_item(show, &item);
        }
        mu_buf_clear(&text);
    }
    mu_agent_settings_clear(&settings);
    return MU_OK;
}

int mu_cmd_config_show(struct mu_cmd *cmd)
{
    const char *name = cmd->args.word_n > 0 ? cmd->args.words[0] : NULL;
    struct show show = {.cmd = cmd, .is_entry = name != NULL};
    struct mu_buf out = {.max = 64 << 20};
    struct mu_agent_json j;
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code = MU_CMD_OK;

    if (mu_agent_config_load(cmd->args.config, &cmd->config, NULL, NULL, &err) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    if (cmd->args.json) {
        mu_cmd_print_json_begin(cmd, &j, &out);
        mu_agent_json_open(&j, "values", '[');
        show.json = &j;
    } else if (name != NULL) {
        printf("[certificate \"%s\"]\n", name);
    }
    if (name == NULL) {
        mu_agent_config_each(cmd->config, on_item, &show);
        rc = MU_OK;
    } else if (mu_agent_config_has_entry(cmd->config, name)) {
        rc = mu_agent_config_each_of(cmd->config, name, on_item, &show, &err);
    } else {
        rc = stored(&show, name, &err);
    }
    if (rc != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, name, &err);
    } else if (cmd->args.json) {
        exit_code = mu_cmd_print_json_list(cmd, &j, &out);
    }
    mu_buf_clear(&out);
    return exit_code;
}
