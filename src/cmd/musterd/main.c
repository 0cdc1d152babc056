/* musterd: the options, and from there to the agent. */
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/text.h"
#include "cmd/muster/cmd_licenses.h"
#include "cmd/muster/cmd_paths.h"
#include "cmd/musterd/daemon.h"
#include "cmd/musterd/daemon_notify.h"
#include "cmd/musterd/daemon_process.h"

enum { EXIT_USAGE = 64 };

static int help(void)
{
    puts("musterd [OPTION...]\n\n"
         "The agent: enrolls and renews the certificates of /etc/muster/muster.conf.\n\n"
         "  -F, --foreground    stay in front; lines go to stderr too\n"
         "  --config FILE       instead of /etc/muster/muster.conf; certs.d lies beside it\n"
         "  --store DIR         instead of the configured one or /var/lib/muster\n"
         "  --socket PATH       control socket, instead of /run/muster/control.sock\n"
         "  --check             read the configuration, say what is wrong with it, and end\n"
         "  --demo              MUSTER_CLOCK_SHIFT shifts the clock\n"
         "  --version, --licenses, --help\n\n"
         "TERM and INT end it, HUP reads the configuration again. See musterd(8).");
    return 0;
}

static int usage(const char *what, const char *word)
{
    char shown[80];

    fprintf(stderr, "musterd: %s '%s' (musterd --help)\n", what,
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
    return EXIT_USAGE;
}

/* "--store DIR" or "--store=DIR". */
static bool take(const char *name, int argc, char **argv, int *i, const char **out)
{
    size_t n = strlen(name);

    if (strncmp(argv[*i], name, n) != 0 || (argv[*i][n] != '\0' && argv[*i][n] != '='))
        return false;
    if (argv[*i][n] == '=')
        *out = argv[*i] + n + 1;
    else
        *out = *i + 1 < argc ? argv[++*i] : "";
    return true;
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct mu_daemon_options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = NULL;

        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
            return help();
        if (strcmp(word, "--version") == 0)
            return printf("musterd %s\n", MUSTER_VERSION) > 0 ? 0 : 1;
        if (strcmp(word, "--licenses") == 0)
            return mu_cmd_licenses_print();
        if (strcmp(word, "-F") == 0 || strcmp(word, "--foreground") == 0)
            o->front = true;
        else if (strcmp(word, "--check") == 0)
            o->check = true;
        else if (strcmp(word, "--demo") == 0)
            o->demo = true;
        else if (take("--config", argc, argv, &i, &value))
            o->config = value;
        else if (take("--store", argc, argv, &i, &value))
            o->store = value;
        else if (take("--socket", argc, argv, &i, &value))
            o->socket = value;
        else
            return usage("unknown option", word);
        if (value != NULL && value[0] == '\0')
            return usage("a value is missing behind", word);
    }
    return -1;
}

/* What happened, likely, do; returns the exit code. */
static int fail(const struct mu_err *err)
{
    char code[8];

    mu_err_code_text(err, code);
    fprintf(stderr, "musterd: %s%s%s\n", code, code[0] != '\0' ? ": " : "", err->what);
    if (mu_err_likely_text(err)[0] != '\0')
        fprintf(stderr, "  likely    %s\n", mu_err_likely_text(err));
    if (mu_err_next_text(err)[0] != '\0')
        fprintf(stderr, "  do        %s\n", mu_err_next_text(err));
    return mu_err_exit_code(err);
}

static int check(const struct mu_daemon *d)
{
    printf("The configuration is fine: %s\n", mu_buf_str(&d->config_file));
    return 0;
}

/* jansson copies texts: nothing of them stays in freed memory. */
static void wiping_free(void *p)
{
    if (p != NULL)
        mu_bytes_wipe(p, malloc_usable_size(p));
    free(p);
}

static int run(struct mu_daemon *d)
{
    struct mu_err err = {0};
    int exit_code = 0;
    enum mu_code rc;

    if ((rc = mu_daemon_config(d, &err)) == MU_OK && d->options->check)
        return check(d);
    if (rc == MU_OK && !d->options->front)
        rc = mu_daemon_process_detach(&err);
    if (rc == MU_OK) {
        mu_daemon_notify_init();
        rc = mu_daemon_open(d, &err);
    }
    if (rc != MU_OK)
        exit_code = fail(&err);
    mu_daemon_process_ready(exit_code);
    if (rc == MU_OK)
        mu_daemon_run(d);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct mu_daemon_options options = {0};
    struct mu_daemon daemon = {.options = &options, .env = mu_env_system(), .pid_fd = -1};
    struct mu_buf config = {0};
    int exit_code = parse(argc, argv, &options);

    if (exit_code >= 0)
        return exit_code;
    options.config = mu_cmd_paths_config(options.config, &config);
    setlocale(LC_TIME, "C");
    tzset();
    mallopt(M_ARENA_MAX, 1); /* two threads that seldom work at a time need no second heap */
    json_set_alloc_funcs(malloc, wiping_free);
    daemon.secrets_dropped = mu_daemon_process_prepare();
#ifdef MU_TEST_BUILD
    options.demo = true;
#endif
    if (options.demo)
        mu_env_system_allow_shift();
    exit_code = run(&daemon);
    mu_daemon_close(&daemon);
    mu_buf_clear(&config);
    return exit_code;
}
