/* muster-ca: finds the subcommand. */
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/text.h"
#include "cmd/muster-ca/cmd.h"

static const struct cmd commands[] = {
    {"demo", "a CA to try things with, on loopback, without configuration", cmd_demo},
    {"init", "make a lasting CA: keys, certificates, database, configuration", cmd_init},
    {"serve", "answer requests until stopped", cmd_serve},
    {"ca", "list, show, set, new, next, activate, kga: the CAs", cmd_ca},
    {"entry", "new, list, show, passwd, reset, disable, enable, remove: who may ask", cmd_entry},
    {"profile", "new, list, show, set, remove: what is issued", cmd_profile},
    {"queue", "list, show, approve, reject: requests that wait for a person", cmd_queue},
    {"issued", "list, show: certificates", cmd_issued},
    {"revoke", "revoke a certificate", cmd_revoke},
    {"crl", "show or make the revocation list", cmd_crl},
    {"log", "the audit trail", cmd_log},
    {"scep", "enable, disable: the SCEP service", cmd_scep},
    {"est", "enable, disable: the EST service", cmd_est},
    {"cmp", "enable, disable: the CMP service", cmd_cmp},
    {"stats", "figures", cmd_stats},
    {NULL, NULL, NULL},
};

static int help(void)
{
    printf("usage: muster-ca [--dir DIR] [--config FILE] COMMAND [option...]\n\n"
           "A small certification authority that answers SCEP.\n\n");
    for (const struct cmd *c = commands; c->name != NULL; c++)
        printf("  %-8s %s\n", c->name, c->summary);
    printf("\n  --dir DIR      the instance in DIR, the demo's too; otherwise the system's\n"
           "  --config FILE  its configuration, otherwise DIR/muster-ca.conf or\n"
           "                 /etc/muster-ca/muster-ca.conf\n"
           "\nmuster-ca COMMAND --help tells more, so does muster-ca(8).\n");
    return 0;
}

static int unknown(const char *word)
{
    const char *names[sizeof commands / sizeof commands[0]];
    const char *near_word;
    char shown[40];

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        names[i] = commands[i].name;
    near_word = mu_text_nearest(word, names);
    mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word));
    if (near_word != NULL)
        return cmd_usage("unknown command '%s', did you mean '%s'?", shown, near_word);
    return cmd_usage("unknown command '%s' (muster-ca --help lists them)", shown);
}

/* jansson copies texts, a new password among them: nothing of it stays in freed memory. */
static void wiping_free(void *p)
{
    if (p != NULL)
        mu_bytes_wipe(p, malloc_usable_size(p));
    free(p);
}

/* "--dir DIR" or "--dir=DIR" at argv[*i]; moves *i behind it. */
static bool take(const char *name, int argc, char **argv, int *i, const char **out)
{
    size_t n = strlen(name);

    if (strncmp(argv[*i], name, n) != 0 || (argv[*i][n] != '\0' && argv[*i][n] != '='))
        return false;
    if (argv[*i][n] == '=')
        *out = argv[*i] + n + 1;
    else if (*i + 1 < argc)
        *out = argv[++*i];
    else
        return false;
    ++*i;
    return true;
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit files;
    struct cmd_context ctx = {0};
    int i = 1;

    setlocale(LC_TIME, "C");
    tzset();
    setrlimit(RLIMIT_CORE, &no_core); /* keys are in memory */
    /* Each worker takes a thousand connections; a session's usual 1,024 files would not do. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    json_set_alloc_funcs(malloc, wiping_free);
    while (i < argc && argv[i][0] == '-') {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return help();
        if (strcmp(argv[i], "--version") == 0) {
            puts("muster-ca " MUSTER_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--json") == 0) {
            ctx.json = true;
            i++;
            continue;
        }
        if (!take("--dir", argc, argv, &i, &ctx.dir)
            && !take("--config", argc, argv, &i, &ctx.config))
            return cmd_usage("unknown option %.40s (muster-ca --help)", argv[i]);
        if (ctx.dir != NULL && ctx.dir[0] == '\0')
            return cmd_usage("--dir is empty");
    }
    if (i == argc)
        return cmd_usage("what? (muster-ca --help)");
    for (const struct cmd *c = commands; c->name != NULL; c++)
        if (strcmp(c->name, argv[i]) == 0)
            return c->run(&ctx, argc - i, argv + i);
    return unknown(argv[i]);
}
