/* errors: the catalog, one code or all; as man it is muster-errors(7), so that the manual cannot drift. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/muster/cmd_print.h"

static const struct {
    unsigned first;
    const char *title;
} groups[] = {{101, "Network"}, {201, "TLS and trust"}, {301, "SCEP"}, {401, "EST"}, {501, "CMP"}, {601, "Lifecycle"},
    {701, "Local"}, {801, "Clock"}, {901, "Deployment"}};

static bool is_catalog(const struct mu_err_row *row)
{
    return row->reason >= MU_M(100) && row->reason < MU_M(1000);
}

/* ---- for people ---- */

static void text_one(const struct mu_err_row *row)
{
    printf("M%u: %s\n  likely    %s\n  do        %s\n  exit code %d\n", (unsigned)row->reason, row->what, row->likely,
        row->next, row->exit_code);
}

static void json_one(struct mu_agent_json *j, const struct mu_err_row *row)
{
    char code[8];

    snprintf(code, sizeof code, "M%u", (unsigned)row->reason);
    mu_agent_json_open(j, NULL, '{');
    mu_agent_json_text(j, "code", code);
    mu_agent_json_text(j, "what", row->what);
    mu_agent_json_text(j, "likely", row->likely);
    mu_agent_json_text(j, "do", row->next);
    mu_agent_json_int(j, "exit", row->exit_code);
    mu_agent_json_close(j, '}');
}

/* ---- the manual ---- */

static void roff(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\')
            fputs(*text == '-' ? "\\-" : "\\e", stdout);
        else if (*text == '`')
            putchar('\'');
        else
            putchar(*text);
    }
}

static void man_one(const struct mu_err_row *row)
{
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (groups[i].first == (unsigned)row->reason)
            printf(".SH %s\n", groups[i].title);
    printf(".TP\n.B M%u\n", (unsigned)row->reason);
    roff(row->what);
    printf("\n.br\nLikely: ");
    roff(row->likely);
    printf("\n.br\nDo: ");
    roff(row->next);
    printf("\n.br\nExit code %d.\n", row->exit_code);
}

static void man(void)
{
    const struct mu_err_row *row;

    puts(".\\\" Made by 'muster errors --as man'; change base/err_table.c instead.\n"
         ".TH MUSTER\\-ERRORS 7 \"\" muster muster\n.SH NAME\nmuster\\-errors \\- codes of muster and musterd\n"
         ".SH DESCRIPTION\nEach failure has a code, says what happened, the likely cause, and what to do. The words are the "
         "same on the command\nline, in the log\n.RB ( code= ),\nin\n.BR \\-\\-json ,\nand in MUSTER_ERROR_CODE, "
         "MUSTER_ERROR_TEXT and MUSTER_ERROR_HINT of hooks. Words in <> are filled in.\n.B muster errors\n.I CODE\n"
         "prints one of them;\n.BR \"muster status\" \" and \" \"muster doctor\"\nexplain those that a certificate has met.");
    for (size_t i = 0; (row = mu_err_row_at(i)) != NULL; i++)
        if (is_catalog(row))
            man_one(row);
    puts(".SH SEE ALSO\n.BR muster (1),\n.BR musterd (8),\n.BR muster\\-hooks (7)");
}

static int unknown(struct mu_cmd *cmd, const char *word)
{
    struct mu_err err = {0};

    mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "there is no code '%s'; they are M101 to M905", word);
    return mu_cmd_print_error(cmd, NULL, &err);
}

int mu_cmd_errors(struct mu_cmd *cmd)
{
    const char *word = cmd->args.word_n > 0 ? cmd->args.words[0] : NULL;
    unsigned long code = word != NULL ? strtoul(word + (toupper((unsigned char)word[0]) == 'M'), NULL, 10) : 0;
    const struct mu_err_row *row;
    struct mu_buf json = {0};
    struct mu_agent_json j;
    unsigned found = 0;

    if (cmd->args.as != NULL && strcmp(cmd->args.as, "man") == 0) {
        man();
        return MU_CMD_OK;
    }
    mu_cmd_print_json_begin(cmd, &j, &json);
    mu_agent_json_open(&j, "errors", '[');
    for (size_t i = 0; (row = mu_err_row_at(i)) != NULL; i++) {
        if (!is_catalog(row) || (word != NULL && (unsigned long)row->reason != code))
            continue;
        if (cmd->args.json)
            json_one(&j, row);
        else
            text_one(row);
        found++;
    }
    if (cmd->args.json && found > 0) {
        mu_agent_json_close(&j, ']');
        mu_agent_json_close(&j, '}');
        mu_cmd_print_json(cmd, &json);
    }
    mu_buf_clear(&json);
    return found > 0 ? MU_CMD_OK : unknown(cmd, word);
}
