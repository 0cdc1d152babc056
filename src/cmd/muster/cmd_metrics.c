/* metrics: those of the store, for a text file, where no agent runs. */
#include <stdio.h>

#include "agent/agent_metrics.h"
#include "cmd/muster/cmd_print.h"

enum { TEXT_MAX = 64 << 20 };

int mu_cmd_metrics(struct mu_cmd *cmd)
{
    struct mu_agent_metrics *metrics = NULL;
    struct mu_buf text = {.max = TEXT_MAX};
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code = MU_CMD_OK;

    if ((rc = mu_cmd_open_store(cmd, false, &err)) == MU_OK
        && (rc = mu_agent_metrics_new(&metrics, &err)) == MU_OK
        && (rc = mu_agent_metrics_look(metrics, &cmd->agent, 0, &err)) == MU_OK)
        rc = mu_agent_metrics_text(metrics, &cmd->agent, &text, &err);
    if (rc != MU_OK)
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    else
        fwrite(text.p, 1, text.n, stdout);
    mu_buf_clear(&text);
    mu_agent_metrics_free(metrics);
    return exit_code;
}
