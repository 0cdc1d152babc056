/* Bringing a certificate into use by hand: after enroll and renew, again, or for a trial. */
#ifndef MU_CMD_DEPLOY_H
#define MU_CMD_DEPLOY_H

#include "cmd/muster/cmd_job.h"

/* What follows a job: recipes and scripts after an issue, failure-script after a failure. Sets the job's
 * exit code to 6 where it was issued and is not in use. */
void mu_cmd_deploy_after(struct mu_cmd_job *job);

#endif
