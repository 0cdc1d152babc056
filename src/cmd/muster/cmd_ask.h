/* Questions to the person at the terminal, and secrets from files, descriptors and environment. */
#ifndef MU_CMD_ASK_H
#define MU_CMD_ASK_H

#include "base/secret.h"

/* Is somebody there: stdin and stderr are a terminal. */
bool mu_cmd_ask_possible(void);
/* Asks on stderr, reads a line without echo. MU_NOT_FOUND if nothing came. */
enum mu_code mu_cmd_ask_secret(
    const char *question, struct mu_secret *out, struct mu_err *err) MU_CHECK;
/* Asks until y or n; end of input is no. */
bool mu_cmd_ask_yes(const char *question);

/* All of an open descriptor up to the first line end. */
enum mu_code mu_cmd_ask_fd(const char *number, struct mu_secret *out, struct mu_err *err) MU_CHECK;
/* Moves an environment variable into out: it is gone afterwards, so no child sees it. False if
 * it was not set. */
bool mu_cmd_ask_environment(const char *name, struct mu_secret *out);

#endif
