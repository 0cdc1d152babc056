/*
 * What the subcommands of muster-ca share: the instance they speak of, options by table, output,
 * and asking: the running server by its admin socket or, where none answers, the same function
 * here under the lock.
 */
#ifndef MU_CMD_MUSTER_CA_CMD_H
#define MU_CMD_MUSTER_CA_CMD_H

#include <jansson.h>

#include "base/buf.h"
#include "base/env.h"

/* sysexits, as PRODUCT.md lists them */
enum { CMD_USAGE = 64, CMD_CANNOT_CREATE = 73, CMD_IO = 74 };

struct cmd_context {
    const char *dir; /* --dir, NULL: the system's instance */
    const char *config; /* --config, NULL: the instance's own */
    bool json;
};

struct cmd {
    const char *name;
    const char *summary;
    int (*run)(struct cmd_context *ctx, int argc, char **argv); /* argv[0] is the name */
};

int cmd_demo(struct cmd_context *ctx, int argc, char **argv);
int cmd_init(struct cmd_context *ctx, int argc, char **argv);
int cmd_serve(struct cmd_context *ctx, int argc, char **argv);
int cmd_ca(struct cmd_context *ctx, int argc, char **argv);
int cmd_entry(struct cmd_context *ctx, int argc, char **argv);
int cmd_profile(struct cmd_context *ctx, int argc, char **argv);
int cmd_queue(struct cmd_context *ctx, int argc, char **argv);
int cmd_issued(struct cmd_context *ctx, int argc, char **argv);
int cmd_revoke(struct cmd_context *ctx, int argc, char **argv);
int cmd_crl(struct cmd_context *ctx, int argc, char **argv);
int cmd_log(struct cmd_context *ctx, int argc, char **argv);
int cmd_scep(struct cmd_context *ctx, int argc, char **argv);
int cmd_est(struct cmd_context *ctx, int argc, char **argv);
int cmd_cmp(struct cmd_context *ctx, int argc, char **argv);
int cmd_stats(struct cmd_context *ctx, int argc, char **argv);

/* ---- options ---- */

struct cmd_opt {
    char letter; /* 0: none */
    const char *name; /* long name; NULL ends the table */
    const char *arg; /* name of its argument for the help; NULL: takes none */
    const char *help;
};

struct cmd_spec {
    const char *usage; /* "entry new NAME [option...]" */
    const char *about; /* a sentence or two */
    const struct cmd_opt *opts;
    unsigned min, max; /* operands */
};

enum { CMD_MAX_OPTS = 32, CMD_MAX_OPERANDS = 8 };

struct cmd_args {
    struct {
        const struct cmd_opt *opt;
        const char *value;
    } given[CMD_MAX_OPTS];
    size_t given_n;
    const char *operand[CMD_MAX_OPERANDS];
    size_t operand_n;
};

/* -1: go on. Otherwise the exit code: help was printed, or the usage was wrong and is said.
 * --help and --json are in every table by themselves. */
int cmd_parse(struct cmd_context *ctx, const struct cmd_spec *spec, int argc, char **argv,
    struct cmd_args *args);
bool cmd_has(const struct cmd_args *args, const char *name);
const char *cmd_get(const struct cmd_args *args, const char *name); /* the last; NULL: not given */

/* Runs one of verbs by argv[1]; says what there is if none fits. */
int cmd_verb(
    const struct cmd *verbs, const char *program, struct cmd_context *ctx, int argc, char **argv);

/* ---- output ---- */

/* The error in three parts on stderr, with --json also as an object on stdout; the exit code. */
int cmd_fail(const struct cmd_context *ctx, const struct mu_err *err);
int cmd_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The whole object on stdout. */
int cmd_put_json(const json_t *value);
const char *cmd_text(const json_t *object, const char *key); /* "-" if null or absent */
int64_t cmd_int(const json_t *object, const char *key);
bool cmd_bool(const json_t *object, const char *key);
/* "2025-11-20T17:40:05Z" as local time with zone, "2025-11-20 18:40 CET"; "-" for null. */
const char *cmd_time(const json_t *object, const char *key, char buf[48]);

struct cmd_column {
    const char *title;
    const char *key;
    enum { CMD_COLUMN_TEXT, CMD_COLUMN_INT, CMD_COLUMN_BOOL, CMD_COLUMN_TIME, CMD_COLUMN_AGE } type;
};
/* An array of objects as a table with a head; columns end with a NULL title. */
void cmd_table(const json_t *rows, const struct cmd_column *columns);

/* ---- asking ---- */

/* One request of the instance ctx names; in may be NULL and is taken. *out is the answer's
 * object. A failure is the server's own error. */
enum mu_code cmd_ask(const struct cmd_context *ctx, const char *method, const char *path,
    json_t *in, json_t **out, struct mu_err *err) MU_CHECK;
/* cmd_ask, and prints the failure or, with --json, the answer. *out is NULL if that was all there
 * was to do (the exit code is returned then); otherwise print it and drop it. */
int cmd_ask_print(
    const struct cmd_context *ctx, const char *method, const char *path, json_t *in, json_t **out);
/* "/v1/queue/" + percent-encoded operand + tail */
bool cmd_path(struct mu_buf *out, const char *head, const char *operand, const char *tail);
/* cmd_ask_print with such a path. */
int cmd_ask_about(const struct cmd_context *ctx, const char *method, const char *head,
    const char *operand, const char *tail, json_t *in, json_t **out);
/* A whole command about one thing: cmd_parse, then the question with the first operand in its path.
 * -1: go on with *out, and free it; else the exit code. */
int cmd_about(struct cmd_context *ctx, int argc, char **argv, const struct cmd_spec *spec,
    const char *method, const char *head, const char *tail, struct cmd_args *args, json_t **out);

#endif
