/*
 * What every subcommand gets: the options, the store, the agent over the network, and ways to
 * speak. Data goes to stdout, talk to stderr. A subcommand is one function that returns the exit
 * code; the table of them is in cmd_table.c.
 */
#ifndef MU_CMD_H
#define MU_CMD_H

#include "agent/agent.h"
#include "cmd/muster/cmd_args.h"
#include "agent/agent_json.h"
#include "cmd/muster/cmd_secrets.h"

enum mu_cmd_exit {
    MU_CMD_OK = 0,
    MU_CMD_FAILED = 1,
    MU_CMD_CONFIG = 4,
    MU_CMD_PENDING = 5,
    MU_CMD_NOT_DEPLOYED = 6,
    MU_CMD_USAGE = 64,
};

struct mu_cmd {
    struct mu_cmd_args args;
    const struct mu_cmd_command *command;
    struct mu_env env;
    struct mu_agent_config *config; /* NULL before it is read */
    unsigned config_faults; /* told while it was read */
    struct mu_buf config_path;
    struct mu_keystore *store;
    struct mu_loop *loop;
    struct mu_transport *transport;
    struct mu_agent agent;
    struct mu_buf hooks_dir;
    struct mu_cmd_secrets env_secrets; /* MUSTER_SECRET_..., taken out of the environment */
    bool told_environment;
    unsigned debug; /* bit per enum mu_proto, bit 0: all */
    bool debug_http;
    bool color, color_err;
    bool misused; /* the value of an option is wrong: the error that follows ends with 64 */
    bool asks_agent; /* the store is not for us: the running agent tells (cmd_agent.h) */
    bool listening; /* signals end the loop */
    bool interrupted; /* by a signal: what would come next does not start */
    bool line_open; /* a progress line on the terminal waits to be overwritten */
};

typedef int mu_cmd_run(struct mu_cmd *cmd);

struct mu_cmd_command {
    const char *name; /* "ca fetch" */
    const char *usage; /* behind the name */
    const char *help;
    unsigned groups; /* of options, besides MU_ARGS_GLOBAL */
    size_t min_words, max_words;
    mu_cmd_run *run;
    bool reads_config; /* by itself: it must also work where the configuration is wrong */
};

/* The i-th command, NULL behind the last. */
const struct mu_cmd_command *mu_cmd_table_at(size_t i);
/* The command that argv[at] (and for "ca fetch" argv[at + 1]) names; *used gets how many words.
 * NULL if none. "status" is "list". */
const struct mu_cmd_command *mu_cmd_table_find(int argc, char *const *argv, int at, int *used);

/* Opens what a command needs, once; calling it again does nothing. A store that is not there and
 * must not be made is MU_NOT_FOUND. */
enum mu_code mu_cmd_open_store(struct mu_cmd *cmd, bool create, struct mu_err *err) MU_CHECK;
enum mu_code mu_cmd_open_net(struct mu_cmd *cmd, struct mu_err *err) MU_CHECK;

/* Errors without an M-code that the value of an option brought are those of usage. Returns err's code. */
enum mu_code mu_cmd_wrong_value(struct mu_cmd *cmd, const struct mu_err *err);

/* One file per subcommand. */
mu_cmd_run mu_cmd_enroll, mu_cmd_renew, mu_cmd_regenerate, mu_cmd_poll, mu_cmd_cancel, mu_cmd_csr,
    mu_cmd_install, mu_cmd_list, mu_cmd_status, mu_cmd_show, mu_cmd_diff, mu_cmd_trace, mu_cmd_export, mu_cmd_remove, mu_cmd_ca_fetch, mu_cmd_ca_list,
    mu_cmd_ca_trust, mu_cmd_ca_remove, mu_cmd_revoke, mu_cmd_crl_fetch, mu_cmd_cert_query, mu_cmd_probe, mu_cmd_log,
    mu_cmd_deploy, mu_cmd_hook_test, mu_cmd_replace, mu_cmd_place, mu_cmd_completion;
mu_cmd_run mu_cmd_errors, mu_cmd_metrics, mu_cmd_check, mu_cmd_doctor;
mu_cmd_run mu_cmd_config_check, mu_cmd_config_show, mu_cmd_config_set, mu_cmd_config_unset, mu_cmd_config_edit,
    mu_cmd_config_path, mu_cmd_secret_set, mu_cmd_secret_list, mu_cmd_secret_remove;

#endif
