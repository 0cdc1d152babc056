/* The names a command is about: one, or with --all every one of the store. */
#ifndef MU_CMD_EACH_H
#define MU_CMD_EACH_H

#include "cmd/muster/cmd.h"

typedef int mu_cmd_each_call(struct mu_cmd *cmd, const char *name, bool is_one_of_many);
/* Calls for each; the first exit code that is not 0 is returned, the others go on. */
int mu_cmd_each(struct mu_cmd *cmd, mu_cmd_each_call *call);

#endif
