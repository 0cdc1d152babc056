/* config edit: a copy in the person's editor, checked as a whole before it takes the file's place. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_print.h"

extern char **environ;

/* NAME: the file that has its section, else one of its own. */
static enum mu_code file_of(struct mu_cmd *cmd, const char *name, struct mu_buf *out, struct mu_err *err)
{
    const char *path = mu_agent_config_path(cmd->config), *file, *slash = strrchr(path, '/');
    struct mu_ini_header h;

    for (size_t i = 0; name != NULL && (file = mu_agent_config_file_at(cmd->config, i)) != NULL; i++) {
        struct mu_buf text = {.max = MU_LIMIT_INI, .secret = true};
        struct mu_ini *ini = NULL;
        bool has = false;

        if (mu_keystore_file_read(file, MU_KEYSTORE_PUBLIC, &text, NULL) == MU_OK
            && mu_ini_parse(mu_buf_bytes(&text), file, MU_INI_SECTIONS, &ini, NULL) == MU_OK)
            for (size_t k = 1; !has && mu_ini_header_at(ini, k, &h); k++)
                has = strcmp(h.section, "certificate") == 0 && strcmp(h.name, name) == 0;
        mu_ini_free(ini);
        mu_buf_clear(&text);
        if (has) {
            mu_buf_put_str(out, file);
            return mu_buf_check(out, "path", err);
        }
    }
    if (name == NULL)
        mu_buf_put_str(out, path);
    else if (!mu_text_is_entry_name(name))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "'%s' is no name of a certificate", name);
    else
        mu_buf_putf(out, "%.*scerts.d/%s.conf", slash != NULL ? (int)(slash - path) + 1 : 0, path, name);
    return mu_buf_check(out, "path", err);
}

/* Beside the file, under a name that is not read: nothing of it is ever in /tmp. */
static enum mu_code copy_path(const char *file, struct mu_buf *out, struct mu_err *err)
{
    const char *slash = strrchr(file, '/');
    size_t dir = slash != NULL ? (size_t)(slash - file) + 1 : 0;

    mu_buf_put(out, file, dir);
    if (out->n > 0 && mkdir(mu_buf_str(out), 0755) != 0 && errno != EEXIST)
        return mu_err_set(err, MU_STORAGE, MU_M(702), "Cannot write %s: %s", mu_buf_str(out), strerror(errno));
    mu_buf_putf(out, ".%s.edit", file + dir);
    return mu_buf_check(out, "path", err);
}

static enum mu_code run_editor(const char *copy, struct mu_err *err)
{
    const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
    char shell[] = "/bin/sh", flag[] = "-c", zero[] = "muster", script[1024];
    char *path = strdup(copy), *argv[] = {shell, flag, script, zero, path, NULL};
    int status = -1, failed;
    pid_t pid;

    if (visual != NULL && visual[0] != '\0')
        editor = visual;
    if (editor == NULL || editor[0] == '\0')
        editor = "vi";
    if (path == NULL || snprintf(script, sizeof script, "%s \"$1\"", editor) >= (int)sizeof script) {
        free(path);
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "EDITOR is too long");
    }
    failed = posix_spawn(&pid, shell, NULL, NULL, argv, environ);
    if (failed == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    free(path);
    if (failed != 0 || status != 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the editor (%s) did not end well: nothing was changed", editor);
    return MU_OK;
}

static void on_note(void *cookie, const struct mu_agent_config_note *note)
{
    if (note->line > 0)
        fprintf(stderr, "%s:%u: %s%s\n", note->file, note->line, note->is_error ? "" : "advice: ", note->text);
    else
        fprintf(stderr, "%s\n", note->text);
}

/* Until it is right, or the person has enough. */
static enum mu_code edit(struct mu_cmd *cmd, const char *file, const char *copy, bool *changed, struct mu_err *err)
{
    struct mu_buf before = {.max = MU_LIMIT_INI, .secret = true}, text = {.max = MU_LIMIT_INI, .secret = true};
    enum mu_code rc = mu_keystore_file_read(file, MU_KEYSTORE_PUBLIC, &before, err);

    *changed = false;
    if (rc == MU_NOT_FOUND) {
        mu_err_clear(err);
        rc = MU_OK;
    }
    if (rc == MU_OK)
        rc = mu_keystore_file_write(copy, 0600, mu_buf_bytes(&before), err);
    while (rc == MU_OK) {
        mu_buf_reset(&text);
        if ((rc = run_editor(copy, err)) != MU_OK
            || (rc = mu_keystore_file_read(copy, MU_KEYSTORE_PUBLIC, &text, err)) != MU_OK)
            break;
        if (mu_bytes_equal(mu_buf_bytes(&before), mu_buf_bytes(&text)))
            break;
        rc = mu_agent_config_replace(cmd->args.config, file, mu_buf_bytes(&text), on_note, NULL, err);
        *changed = rc == MU_OK;
        if (rc == MU_OK || !mu_cmd_ask_possible() || cmd->args.no_input || !mu_cmd_ask_yes("Edit it again?"))
            break;
        rc = MU_OK;
    }
    mu_buf_clear(&before);
    mu_buf_clear(&text);
    return rc;
}

int mu_cmd_config_edit(struct mu_cmd *cmd)
{
    const char *name = cmd->args.word_n > 0 ? cmd->args.words[0] : NULL;
    struct mu_buf file = {0}, copy = {0};
    struct mu_err err = {0};
    bool changed = false;
    enum mu_code rc;

    if ((rc = mu_agent_config_load_anyway(cmd->args.config, &cmd->config, &err)) == MU_OK
        && (rc = file_of(cmd, name, &file, &err)) == MU_OK
        && (rc = copy_path(mu_buf_str(&file), &copy, &err)) == MU_OK) {
        rc = edit(cmd, mu_buf_str(&file), mu_buf_str(&copy), &changed, &err);
        unlink(mu_buf_str(&copy));
    }
    if (rc == MU_OK)
        mu_cmd_print_line(cmd, changed ? "changed" : "unchanged", mu_buf_str(&file));
    if (changed)
        mu_cmd_agent_reload(cmd);
    mu_buf_clear(&file);
    mu_buf_clear(&copy);
    return rc == MU_OK ? MU_CMD_OK : mu_cmd_print_error(cmd, name, &err);
}
