/* --licenses. */
#ifndef MU_CMD_LICENSES_H
#define MU_CMD_LICENSES_H

/* Prints each library the programs load with its license; returns the exit code. */
int mu_cmd_licenses_print(void);

#endif
