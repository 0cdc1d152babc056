/*
 * muster: finds out which face was called, reads the options, hands over to the command. What the
 * commands share (store, network, trace) is opened here when they ask for it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_licenses.h"
#include "cmd/muster/cmd_paths.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/sscep.h"
#include "net/net_client.h"
#include "net/net_loop.h"
#include "pki/pki_token.h"

static void trace_line(void *ctx, const struct mu_trace_event *event)
{
    const struct mu_cmd *cmd = ctx;
    const char *proto = mu_proto_name(event->proto);
    bool is_http = event->step == MU_TRACE_HTTP || event->step == MU_TRACE_CONNECT
        || event->step == MU_TRACE_RESOLVE || event->step == MU_TRACE_TLS;

    if ((cmd->debug & 1) != 0 || (cmd->debug & (1U << event->proto)) != 0
        || (is_http && cmd->debug_http))
        fprintf(stderr, "%s%s%s: %s\n", proto, proto[0] != '\0' ? " " : "",
            mu_trace_step_name(event->step), event->text);
}

/* "scep,http", "all". */
static enum mu_code set_debug(struct mu_cmd *cmd, struct mu_err *err)
{
    const char *p = cmd->args.debug;
    char word[16];

    if (cmd->args.debug_all || cmd->args.verbose > 1)
        cmd->debug |= 1;
    while (p != NULL && *p != '\0') {
        size_t n = strcspn(p, ", ");

        snprintf(word, sizeof word, "%.*s", (int)n, p);
        if (strcmp(word, "all") == 0)
            cmd->debug |= 1;
        else if (strcmp(word, "http") == 0 || strcmp(word, "tls") == 0)
            cmd->debug_http = true;
        else if (mu_proto_parse(word) != MU_PROTO_NONE)
            cmd->debug |= 1U << mu_proto_parse(word);
        else if (n > 0)
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
                "--debug %s: known are scep, est, cmp, tls, http, all", word);
        p += n + (p[n] != '\0');
    }
    if (cmd->debug != 0 || cmd->debug_http) {
        cmd->env.trace = trace_line;
        cmd->env.ctx = cmd;
    }
    return MU_OK;
}

/* What was done by hand stands in the same log as what the agent does. That it cannot be written
 * there changes nothing of how it went. */
static void on_event(void *cookie, const struct mu_agent_event *event)
{
    struct mu_cmd *cmd = cookie;
    struct mu_err err = {0};

    if (mu_agent_event_store(cmd->store, event, &err) != MU_OK && cmd->args.verbose > 0)
        mu_cmd_print_note(cmd, "muster: %s", err.what);
}

enum mu_code mu_cmd_open_store(struct mu_cmd *cmd, bool create, struct mu_err *err)
{
    struct mu_buf root = {0};
    enum mu_code rc;

    if (cmd->store != NULL)
        return MU_OK;
    rc = mu_cmd_paths_store(cmd->args.store, mu_agent_config_agent(cmd->config)->store, &root, err);
    if (rc == MU_OK)
        rc = mu_keystore_open(mu_buf_str(&root), create, &cmd->store, err);
    mu_buf_clear(&root);
    if (rc == MU_OK && cmd->hooks_dir.n == 0)
        rc = mu_cmd_paths_beside(cmd->args.config, "hooks.d", &cmd->hooks_dir, err);
    if (rc != MU_OK)
        return rc;
    cmd->agent.hooks_dir = mu_buf_str(&cmd->hooks_dir);
    cmd->agent.recipes_dir = mu_cmd_paths_recipes();
    cmd->agent.store = cmd->store;
    cmd->agent.env = &cmd->env;
    cmd->agent.allow_legacy = cmd->args.allow_legacy;
    cmd->agent.events = (struct mu_agent_events){on_event, cmd};
    cmd->agent.config = cmd->config;
    cmd->agent.deploys = true;
    cmd->agent.keeps_traces = true;
    return MU_OK;
}

enum mu_code mu_cmd_wrong_value(struct mu_cmd *cmd, const struct mu_err *err)
{
    cmd->misused = err->reason == MU_REASON_NONE && (err->code == MU_INPUT || err->code == MU_UNSUPPORTED);
    return err->code;
}

enum mu_code mu_cmd_open_net(struct mu_cmd *cmd, struct mu_err *err)
{
    enum mu_code rc;

    if (cmd->loop == NULL && (rc = mu_net_loop_new(&cmd->loop, err)) != MU_OK)
        return rc;
    if (cmd->transport == NULL
        && (rc = mu_net_client_new(cmd->loop, &cmd->transport, err)) != MU_OK)
        return rc;
    cmd->agent.loop = cmd->loop;
    cmd->agent.transport = cmd->transport;
    return MU_OK;
}

static void close_all(struct mu_cmd *cmd)
{
    if (cmd->transport != NULL)
        mu_net_client_free(cmd->transport);
    if (cmd->loop != NULL)
        mu_net_loop_free(cmd->loop);
    mu_keystore_free(cmd->store);
    mu_agent_config_free(cmd->config);
    mu_buf_clear(&cmd->config_path);
    mu_buf_clear(&cmd->hooks_dir);
    mu_cmd_secrets_clear(&cmd->env_secrets);
    mu_pki_token_shutdown();
}

static bool may_color(FILE *to, int fd, const struct mu_cmd_args *args)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return !args->no_color && isatty(fd) && (no == NULL || no[0] == '\0') && term != NULL
        && strcmp(term, "dumb") != 0;
}

static int help(const struct mu_cmd_command *command)
{
    struct mu_buf text = {0};
    size_t i;

    if (command != NULL) {
        mu_buf_putf(&text, "muster %s %s\n\n%s\n", command->name, command->usage, command->help);
        mu_cmd_args_help(command->groups | MU_ARGS_GLOBAL, &text);
    } else {
        mu_buf_put_str(&text, "muster [GLOBAL] COMMAND [NAME...] [OPTIONS]\n\nCommands\n");
        for (i = 0; (command = mu_cmd_table_at(i)) != NULL; i++)
            mu_buf_putf(&text, "  %-12s %s\n", command->name, command->help);
        mu_buf_put_str(&text,
            "  sscep        the options of sscep, also under that name\n"
            "  help COMMAND its options\n");
        mu_cmd_args_help(MU_ARGS_GLOBAL, &text);
    }
    fputs(mu_buf_str(&text), stdout);
    mu_buf_clear(&text);
    return MU_CMD_OK;
}

static int unknown_command(struct mu_cmd *cmd, const char *word)
{
    const char *words[64], *near;
    const struct mu_cmd_command *c;
    struct mu_err err = {0};
    size_t i, n = 0;

    for (i = 0; (c = mu_cmd_table_at(i)) != NULL && n < 63; i++)
        words[n++] = c->name;
    words[n] = NULL;
    near = mu_text_nearest(word, words);
    mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "unknown command '%s'", word);
    if (strcmp(word, "config") == 0)
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "'config' needs a second word: check, show, set, unset, edit, path");
    else if (strcmp(word, "secret") == 0)
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "'secret' needs a second word: set, list, remove");
    else if (strcmp(word, "ca") == 0 || strcmp(word, "crl") == 0 || strcmp(word, "cert") == 0)
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "'%s' needs a second word: ca fetch, ca list, ca trust, "
            "ca remove, crl fetch, cert query",
            word);
    else if (near != NULL)
        mu_err_next(&err, "Did you mean '%s'?", near);
    return mu_cmd_print_usage_error(cmd, &err);
}

/* All but the first fault, which is the error itself. */
static void on_config_note(void *cookie, const struct mu_agent_config_note *note)
{
    struct mu_cmd *cmd = cookie;

    if (!note->is_error || cmd->config_faults++ == 0 || cmd->args.json)
        return;
    if (note->line > 0)
        fprintf(stderr, "muster: %s:%u: %s\n", note->file, note->line, note->text);
    else
        fprintf(stderr, "muster: %s\n", note->text); /* it names the place itself */
}

/* Everything that must be right before a command runs. */
static enum mu_code prepare(struct mu_cmd *cmd, struct mu_err *err)
{
    enum mu_code rc;

    cmd->color = may_color(stdout, STDOUT_FILENO, &cmd->args);
    cmd->color_err = may_color(stderr, STDERR_FILENO, &cmd->args);
    mu_cmd_secrets_environment(cmd);
#ifdef MU_TEST_BUILD
    mu_env_system_allow_shift();
#else
    if (cmd->args.demo)
        mu_env_system_allow_shift();
#endif
    if (mu_env_system_shift() != 0)
        mu_cmd_print_note(cmd, "muster: the clock is shifted by %lld s (MUSTER_CLOCK_SHIFT)",
            (long long)mu_env_system_shift());
    cmd->args.config = mu_cmd_paths_config(cmd->args.config, &cmd->config_path);
    if (!cmd->command->reads_config
        && (rc = mu_agent_config_load(cmd->args.config, &cmd->config, on_config_note, cmd, err)) != MU_OK)
        return rc;
    cmd->args.allow_legacy = cmd->args.allow_legacy || mu_agent_config_agent(cmd->config)->allow_legacy;
    return MU_OK;
}

/* Parses what is behind the command and runs it. */
static int run_command(struct mu_cmd *cmd, int argc, char **argv, int at)
{
    struct mu_err err = {0};

    if (mu_cmd_args_parse(
            &cmd->args, cmd->command->groups | MU_ARGS_GLOBAL, argc, argv, &at, false, &err)
        != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    if (cmd->args.help)
        return help(cmd->command);
    if (cmd->args.word_n < cmd->command->min_words || cmd->args.word_n > cmd->command->max_words) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            cmd->args.word_n < cmd->command->min_words ? "%s: a name is missing"
                                                       : "%s: too many names",
            cmd->command->name);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (set_debug(cmd, &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    if (prepare(cmd, &err) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    return cmd->command->run(cmd);
}

/* argv[at] and on are a command with its options. */
static int dispatch(struct mu_cmd *cmd, int argc, char **argv, int at)
{
    int used = 0;

    if (at < argc && strcmp(argv[at], "help") == 0)
        return help(at + 1 < argc ? mu_cmd_table_find(argc, argv, at + 1, &used) : NULL);
    if (at >= argc) {
        help(NULL);
        return cmd->args.help ? MU_CMD_OK : MU_CMD_USAGE;
    }
    cmd->command = mu_cmd_table_find(argc, argv, at, &used);
    if (cmd->command == NULL)
        return cmd->args.help ? help(NULL) : unknown_command(cmd, argv[at]);
    return run_command(cmd, argc, argv, at + used);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

int main(int argc, char **argv)
{
    struct mu_cmd cmd = {.env = mu_env_system()};
    struct mu_err err = {0};
    int at = 1, i, exit_code;

    signal(SIGPIPE, SIG_IGN);
    if (argc > 0 && strcmp(base_name(argv[0]), "sscep") == 0)
        return mu_sscep_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "sscep") == 0)
        return mu_sscep_main(argc - 1, argv + 1);
    if (argc > 0 && strcmp(base_name(argv[0]), "scep_replace_pem") == 0) {
        static char word[] = "replace-pem";
        char *words[] = {word, NULL};

        cmd.command = mu_cmd_table_find(1, words, 0, &at);
        exit_code = run_command(&cmd, argc, argv, 1);
        close_all(&cmd);
        return exit_code;
    }
    for (i = 1; i < argc; i++) /* also for what is wrong in front of it */
        cmd.args.json = cmd.args.json || strcmp(argv[i], "--json") == 0;
    if (mu_cmd_args_parse(&cmd.args, MU_ARGS_GLOBAL, argc, argv, &at, true, &err) != MU_OK)
        exit_code = mu_cmd_print_usage_error(&cmd, &err);
    else if (cmd.args.version)
        exit_code = printf("muster %s\n", MUSTER_VERSION) > 0 ? MU_CMD_OK : MU_CMD_FAILED;
    else if (cmd.args.licenses)
        exit_code = mu_cmd_licenses_print();
    else
        exit_code = dispatch(&cmd, argc, argv, at);
    close_all(&cmd);
    return exit_code;
}
