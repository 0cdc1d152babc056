/* renew --all without further wishes. */
#ifndef MU_CMD_RENEW_ALL_H
#define MU_CMD_RENEW_ALL_H

#include "cmd/muster/cmd.h"

int mu_cmd_renew_all(struct mu_cmd *cmd);

#endif
