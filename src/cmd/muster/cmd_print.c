/* Lines, errors, times, tables. */
#include "cmd/muster/cmd_print.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static bool is_talking(const struct mu_cmd *cmd)
{
    return !cmd->args.quiet && !cmd->args.json;
}

/* Ends a progress line that stands on the terminal. */
static void close_line(struct mu_cmd *cmd)
{
    if (cmd->line_open)
        fputs("\r\033[K", stderr);
    cmd->line_open = false;
}

/* Text of several lines is indented under its word. */
static void put_part(FILE *to, const char *word, const char *text)
{
    do {
        size_t n = strcspn(text, "\n");

        fprintf(to, "  %-9s %.*s\n", word, (int)n, text);
        text += n + (text[n] == '\n');
        word = "";
    } while (*text != '\0');
}

/* Ranked causes stand one under the other. */
static void put_likely(FILE *to, const struct mu_err *err)
{
    struct mu_buf lines = {0}, ranked = {0};
    const char *p;
    unsigned rank = 1;

    mu_agent_json_causes(mu_err_likely_text(err), &lines);
    for (p = mu_buf_str(&lines); strchr(mu_buf_str(&lines), '\n') != NULL && *p != '\0';) {
        size_t n = strcspn(p, "\n");

        mu_buf_putf(&ranked, "%u. %.*s%s", rank++, (int)n, p, p[n] == '\n' ? "\n" : "");
        p += n + (p[n] == '\n');
    }
    if (lines.n > 0)
        put_part(to, "likely", ranked.n > 0 ? mu_buf_str(&ranked) : mu_buf_str(&lines));
    mu_buf_clear(&lines);
    mu_buf_clear(&ranked);
}

void mu_cmd_print_line(struct mu_cmd *cmd, const char *word, const char *text)
{
    if (!is_talking(cmd))
        return;
    close_line(cmd);
    fprintf(stderr, "  %-10s %s\n", word, text);
}

void mu_cmd_print_progress(struct mu_cmd *cmd, const char *word, const char *text)
{
    if (!is_talking(cmd))
        return;
    if (!isatty(STDERR_FILENO)) {
        mu_cmd_print_line(cmd, word, text);
        return;
    }
    close_line(cmd);
    fprintf(stderr, "  %-10s %s", word, text);
    fflush(stderr);
    cmd->line_open = true;
}

void mu_cmd_print_note(struct mu_cmd *cmd, const char *fmt, ...)
{
    va_list args;

    if (!is_talking(cmd))
        return;
    close_line(cmd);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

void mu_cmd_print_done(struct mu_cmd *cmd)
{
    fflush(stdout); /* so that it stands behind the data, where both go to one place */
    if (is_talking(cmd) || cmd->debug != 0)
        fputs("Done.\n", stderr);
}

/* The catalog's sentence, if it has nothing left to fill in; else what the finder wrote. */
static const char *headline(const struct mu_err *err)
{
    const struct mu_err_row *row = mu_err_row(err->reason);

    if (row == NULL || row->what == NULL || row->what[0] == '\0' || strchr(row->what, '<') != NULL)
        return err->what;
    return row->what;
}

static int error_json(struct mu_cmd *cmd, const char *name, const struct mu_err *err, const char *trace,
    int exit_code)
{
    struct mu_buf out = {0};
    struct mu_agent_json j;
    char code[8];

    mu_err_code_text(err, code);
    mu_cmd_print_json_begin(cmd, &j, &out);
    mu_agent_json_open(&j, "error", '{');
    mu_agent_json_text(&j, "name", name);
    mu_agent_json_text(&j, "code", code[0] != '\0' ? code : NULL);
    mu_agent_json_text(&j, "what", err->what);
    mu_agent_json_text(
        &j, "likely", mu_err_likely_text(err)[0] != '\0' ? mu_err_likely_text(err) : NULL);
    mu_agent_json_text(&j, "do", mu_err_next_text(err)[0] != '\0' ? mu_err_next_text(err) : NULL);
    mu_agent_json_text(&j, "trace", trace);
    mu_agent_json_int(&j, "exit", exit_code);
    mu_agent_json_close(&j, '}');
    mu_agent_json_close(&j, '}');
    mu_cmd_print_json(cmd, &out);
    mu_buf_clear(&out);
    return exit_code;
}

static void put_parts(FILE *to, const char *head, const struct mu_err *err)
{
    if (strcmp(head, err->what) != 0)
        put_part(to, "what", err->what);
    put_likely(to, err);
    if (mu_err_next_text(err)[0] != '\0')
        put_part(to, "do", mu_err_next_text(err));
}

void mu_cmd_print_finding(struct mu_cmd *cmd, const char *name, const struct mu_err *err)
{
    const char *head = headline(err);
    char code[8];

    mu_err_code_text(err, code);
    printf("%s%s%s%s%s%s%s\n", cmd->color ? "\033[1m" : "", name != NULL ? name : "",
        name != NULL ? ": " : "", code, code[0] != '\0' ? ": " : "", head, cmd->color ? "\033[0m" : "");
    put_parts(stdout, head, err);
}

int mu_cmd_print_error(struct mu_cmd *cmd, const char *name, const struct mu_err *err)
{
    return mu_cmd_print_failure(cmd, name, err, NULL);
}

int mu_cmd_print_failure(struct mu_cmd *cmd, const char *name, const struct mu_err *err, const char *trace)
{
    char line[MU_KEYSTORE_NAME + 40], code[8];
    const char *head = headline(err);

    close_line(cmd);
    if (cmd->misused && err->reason == MU_REASON_NONE)
        return mu_cmd_print_usage_error(cmd, err);
    if (cmd->args.json)
        return error_json(cmd, name, err, trace, mu_err_exit_code(err));
    mu_err_code_text(err, code);
    fprintf(stderr, "%smuster: %s%s%s%s\n", cmd->color_err ? "\033[1m" : "", code,
        code[0] != '\0' ? ": " : "", head, cmd->color_err ? "\033[0m" : "");
    put_parts(stderr, head, err);
    if (trace != NULL) {
        snprintf(line, sizeof line, "muster trace %s --last", name);
        put_part(stderr, "trace", line);
    }
    return mu_err_exit_code(err);
}

int mu_cmd_print_usage_error(struct mu_cmd *cmd, const struct mu_err *err)
{
    if (cmd->args.json) {
        error_json(cmd, NULL, err, NULL, MU_CMD_USAGE);
        return MU_CMD_USAGE;
    }
    fprintf(stderr, "muster: %s\n", err->what);
    if (err->next[0] != '\0')
        put_part(stderr, "do", err->next);
    if (cmd->command != NULL)
        fprintf(stderr, "  usage     muster %s %s\n  help      muster %s --help\n",
            cmd->command->name, cmd->command->usage, cmd->command->name);
    else
        fputs("  help      muster --help\n", stderr);
    return MU_CMD_USAGE;
}

void mu_cmd_print_json_begin(struct mu_cmd *cmd, struct mu_agent_json *j, struct mu_buf *out)
{
    mu_agent_json_begin(j, out, mu_env_now(&cmd->env));
}

int mu_cmd_print_json(struct mu_cmd *cmd, const struct mu_buf *document)
{
    struct mu_err err = {0};

    if (mu_buf_check(document, "JSON", &err) != MU_OK) {
        fprintf(stderr, "muster: %s\n", err.what);
        return MU_CMD_FAILED;
    }
    fwrite(document->p, 1, document->n, stdout);
    putchar('\n');
    return MU_CMD_OK;
}

int mu_cmd_print_json_list(struct mu_cmd *cmd, struct mu_agent_json *j, const struct mu_buf *document)
{
    mu_agent_json_close(j, ']');
    mu_agent_json_close(j, '}');
    return mu_cmd_print_json(cmd, document);
}

const char *mu_cmd_print_time(int64_t t, char buf[48])
{
    time_t when = (time_t)t;
    struct tm tm;

    if (localtime_r(&when, &tm) == NULL || strftime(buf, 48, "%Y-%m-%d %H:%M %Z", &tm) == 0)
        buf[0] = '\0';
    return buf;
}

const char *mu_cmd_print_day(int64_t t, char buf[16])
{
    time_t when = (time_t)t;
    struct tm tm;

    if (localtime_r(&when, &tm) == NULL || strftime(buf, 16, "%Y-%m-%d", &tm) == 0)
        buf[0] = '\0';
    return buf;
}

/* Columns on the screen: characters, not octets. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void mu_cmd_print_cell(struct mu_cmd_print_table *table, const char *text)
{
    size_t column = table->count++ % table->columns;

    if (width_of(text) > table->width[column])
        table->width[column] = width_of(text);
    mu_buf_put(&table->cells, text, strlen(text) + 1);
}

/* States that need somebody are red, fine ones green. */
static const char *color_of(const char *text)
{
    static const char *const good[] = {"OK"},
                             *const bad[] = {"EXPIRED", "FAILED", "REJECTED", "RETRYING", "RENEWED-STALE"};
    size_t i;

    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (strcmp(text, good[i]) == 0)
            return "\033[32m";
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (strcmp(text, bad[i]) == 0)
            return "\033[31m";
    }
    return NULL;
}

void mu_cmd_print_table_end(struct mu_cmd *cmd, struct mu_cmd_print_table *table)
{
    const char *text = mu_buf_str(&table->cells);
    size_t i;

    for (i = 0; i < table->count && !table->cells.failed; i++) {
        size_t column = i % table->columns;
        const char *color = cmd->color ? color_of(text) : NULL;
        bool is_last = column + 1 == table->columns;

        printf("%s%s%s", color != NULL ? color : "", text, color != NULL ? "\033[0m" : "");
        if (is_last)
            putchar('\n');
        else
            printf("%*s", (int)(table->width[column] - width_of(text) + 2), "");
        text += strlen(text) + 1;
    }
    mu_buf_clear(&table->cells);
}
