/* Options by table: one for parsing and for the help. */
#include "cmd/muster-ca/cmd.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const struct cmd_opt common[] = {
    {0, "json", NULL, "the answer as one JSON object"},
    {'h', "help", NULL, "this text"},
    {0, NULL, NULL, NULL},
};

enum { LONG_ONLY = 256 };

int cmd_usage(const char *fmt, ...)
{
    va_list args;

    fputs("muster-ca: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return CMD_USAGE;
}

static void help_opts(const struct cmd_opt *o)
{
    for (; o->name != NULL; o++) {
        char left[64];

        snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg != NULL ? " " : "",
            o->arg != NULL ? o->arg : "");
        if (o->letter != 0)
            printf("  -%c, %-26s %s\n", o->letter, left, o->help);
        else
            printf("      %-26s %s\n", left, o->help);
    }
}

static int help(const struct cmd_spec *spec)
{
    printf("usage: muster-ca [--dir DIR] %s\n\n%s\n\n", spec->usage, spec->about);
    if (spec->opts != NULL)
        help_opts(spec->opts);
    help_opts(common);
    return 0;
}

struct table {
    const struct cmd_opt *opt[CMD_MAX_OPTS];
    struct option longs[CMD_MAX_OPTS + 1];
    char shorts[2 * CMD_MAX_OPTS + 2];
    size_t n, short_n;
};

static void table_add(struct table *t, const struct cmd_opt *o)
{
    for (; o != NULL && o->name != NULL && t->n < CMD_MAX_OPTS; o++, t->n++) {
        t->opt[t->n] = o;
        t->longs[t->n] = (struct option){
            o->name, o->arg != NULL ? required_argument : no_argument, NULL, LONG_ONLY + (int)t->n};
        if (o->letter != 0) {
            t->shorts[t->short_n++] = o->letter;
            if (o->arg != NULL)
                t->shorts[t->short_n++] = ':';
        }
    }
}

static const struct cmd_opt *table_find(const struct table *t, int c)
{
    if (c >= LONG_ONLY)
        return t->opt[c - LONG_ONLY];
    for (size_t i = 0; i < t->n; i++)
        if (t->opt[i]->letter == c)
            return t->opt[i];
    return NULL;
}

/* Only the option's name: what stands behind '=' may be anything. */
static void complain(const struct table *t, const char *word, int what)
{
    const char *names[CMD_MAX_OPTS + 1] = {NULL};
    const char *near_word;
    char name[40];

    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    if (what == ':') {
        cmd_usage("%s needs an argument (--help tells)", name);
        return;
    }
    for (size_t i = 0; i < t->n; i++)
        names[i] = t->opt[i]->name;
    near_word = mu_text_starts(name, "--") ? mu_text_nearest(name + 2, names) : NULL;
    if (near_word != NULL)
        cmd_usage("unknown option %s, did you mean --%s?", name, near_word);
    else
        cmd_usage("unknown option %s (--help lists them)", name);
}

int cmd_parse(struct cmd_context *ctx, const struct cmd_spec *spec, int argc, char **argv,
    struct cmd_args *args)
{
    struct table t = {0};
    int c;

    memset(args, 0, sizeof *args);
    t.shorts[t.short_n++] = ':';
    table_add(&t, spec->opts);
    table_add(&t, common);
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
        const struct cmd_opt *o;

        if (c == '?' || c == ':') {
            complain(&t, argv[optind - 1], c);
            return CMD_USAGE;
        }
        o = table_find(&t, c);
        if (strcmp(o->name, "help") == 0)
            return help(spec);
        if (strcmp(o->name, "json") == 0)
            ctx->json = true;
        if (args->given_n == CMD_MAX_OPTS)
            return cmd_usage("too many options");
        args->given[args->given_n].opt = o;
        args->given[args->given_n++].value = optarg;
    }
    while (optind < argc && args->operand_n < CMD_MAX_OPERANDS)
        args->operand[args->operand_n++] = argv[optind++];
    if (optind < argc || args->operand_n < spec->min || args->operand_n > spec->max)
        return cmd_usage("usage: muster-ca [--dir DIR] %s", spec->usage);
    return -1;
}

const char *cmd_get(const struct cmd_args *args, const char *name)
{
    for (size_t i = args->given_n; i > 0; i--)
        if (strcmp(args->given[i - 1].opt->name, name) == 0)
            return args->given[i - 1].value != NULL ? args->given[i - 1].value : "";
    return NULL;
}

bool cmd_has(const struct cmd_args *args, const char *name)
{
    return cmd_get(args, name) != NULL;
}

int cmd_verb(
    const struct cmd *verbs, const char *program, struct cmd_context *ctx, int argc, char **argv)
{
    const char *names[16] = {NULL};
    const char *near_word;
    bool wants_help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    size_t n = 0;

    if (wants_help) {
        printf("usage: muster-ca [--dir DIR] %s VERB [option...]\n\n", program);
        for (const struct cmd *v = verbs; v->name != NULL; v++)
            printf("  %-10s %s\n", v->name, v->summary);
        return 0;
    }
    for (const struct cmd *v = verbs; v->name != NULL; v++) {
        if (argc > 1 && strcmp(argv[1], v->name) == 0)
            return v->run(ctx, argc - 1, argv + 1);
        if (n < 15)
            names[n++] = v->name;
    }
    if (argc < 2)
        return cmd_usage("%s: what? (muster-ca %s --help)", program, program);
    near_word = mu_text_nearest(argv[1], names);
    if (near_word != NULL)
        return cmd_usage("%s: unknown '%s', did you mean '%s'?", program, argv[1], near_word);
    return cmd_usage("%s: unknown '%s' (muster-ca %s --help)", program, argv[1], program);
}
