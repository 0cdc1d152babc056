/* One job of the agent, seen from the terminal: its lines, its question, its end, and Ctrl-C. */
#ifndef MU_CMD_JOB_H
#define MU_CMD_JOB_H

#include "cmd/muster/cmd.h"

struct mu_cmd_job {
    struct mu_cmd *cmd;
    const char *name; /* entry; NULL for plain queries */
    const char *url; /* for the line that accepts a CA; may be NULL */
    /* Prints the answer of a query on stdout; returns the exit code. NULL: nothing to print. */
    int (*answer)(struct mu_cmd *cmd, const struct mu_agent_outcome *outcome, void *ctx);
    void *ctx;
    bool quiet_end; /* several jobs in a row: no 'Done.' and no JSON of its own */

    struct mu_agent_host host;
    struct mu_agent_job *running;
    bool told_pending, done;
    bool issued, is_renewal; /* it ended so: something is to be deployed */
    bool ca_changed; /* hooks.d/post hears of it */
    struct mu_err failed; /* code MU_OK: it did not */
    unsigned polls;
    int64_t last_line_s;
    char fingerprint[100]; /* of a CA that was not known and not accepted */
    char ca_name[MU_KEYSTORE_NAME];
    int exit_code;
};

/* Fills in host. The net is open. */
void mu_cmd_job_init(struct mu_cmd_job *job, struct mu_cmd *cmd, const char *name);
/* Runs what the agent started into job->running (rc and err are what that call returned) to its
 * end, prints it, and returns the exit code. */
int mu_cmd_job_finish(struct mu_cmd_job *job, enum mu_code rc, const struct mu_err *err);

#endif
