/* How muster speaks: lines of a session, errors in three parts, times for people, tables. */
#ifndef MU_CMD_PRINT_H
#define MU_CMD_PRINT_H

#include "cmd/muster/cmd.h"

/* "  responder  text" on stderr, unless -q or --json. */
void mu_cmd_print_line(struct mu_cmd *cmd, const char *word, const char *text);
/* The same, to be overwritten by the next one if stderr is a terminal. */
void mu_cmd_print_progress(struct mu_cmd *cmd, const char *word, const char *text);
/* A plain line of talk on stderr. */
void mu_cmd_print_note(struct mu_cmd *cmd, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* 'Done.' at the end of a success; nothing with -q or --json. */
void mu_cmd_print_done(struct mu_cmd *cmd);

/* What happened, likely, do, on stderr; with --json the same as an object on stdout. Returns the
 * exit code. name (may be NULL) is the entry, for 'do'. */
int mu_cmd_print_error(struct mu_cmd *cmd, const char *name, const struct mu_err *err);
/* The same, and where the trace of it is: its name, NULL: nowhere. */
int mu_cmd_print_failure(struct mu_cmd *cmd, const char *name, const struct mu_err *err, const char *trace);
/* The same three parts as data, on stdout: "vpn: M312: ..."; name may be NULL. */
void mu_cmd_print_finding(struct mu_cmd *cmd, const char *name, const struct mu_err *err);
/* A usage error: the sentence and where the help is. Returns 64. */
int mu_cmd_print_usage_error(struct mu_cmd *cmd, const struct mu_err *err);
/* Writes the document to stdout with its newline; an error if it could not be made. */
int mu_cmd_print_json(struct mu_cmd *cmd, const struct mu_buf *document);
/* Closes the list that is open and the document, then the same. */
int mu_cmd_print_json_list(struct mu_cmd *cmd, struct mu_agent_json *j, const struct mu_buf *document);
/* Opens {"schema":"muster/1","time":... */
void mu_cmd_print_json_begin(struct mu_cmd *cmd, struct mu_agent_json *j, struct mu_buf *out);

/* "2026-11-20 16:22 UTC", in the local zone. Returns buf. */
const char *mu_cmd_print_time(int64_t t, char buf[48]);
/* "2026-11-20". */
const char *mu_cmd_print_day(int64_t t, char buf[16]);

/* A table: header and rows are added cell by cell, then printed with columns as wide as needed. */
enum { MU_CMD_TABLE_COLUMNS = 8 };
struct mu_cmd_print_table {
    struct mu_buf cells; /* texts, each with its NUL */
    size_t columns, count;
    size_t width[MU_CMD_TABLE_COLUMNS];
};
void mu_cmd_print_cell(struct mu_cmd_print_table *table, const char *text);
void mu_cmd_print_table_end(struct mu_cmd *cmd, struct mu_cmd_print_table *table);

#endif
