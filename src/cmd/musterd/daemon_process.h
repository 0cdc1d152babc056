/* What makes a process a daemon: limits, environment, detaching, the lock that only one of us holds. */
#ifndef MU_DAEMON_PROCESS_H
#define MU_DAEMON_PROCESS_H

#include "base/err.h"

/* umask, no core files (keys are in memory), enough open files, secrets out of the environment. Returns how
 * many variables MUSTER_SECRET_... there were. */
unsigned mu_daemon_process_prepare(void);

/* Leaves the terminal. The parent waits in here until the child calls ready, and ends with its exit code.
 * Returns in the child. */
enum mu_code mu_daemon_process_detach(struct mu_err *err) MU_CHECK;
/* In the child: the start has come to this; 0 is success, and then the terminal is let go. Does nothing if
 * there was no detach. */
void mu_daemon_process_ready(int exit_code);

/* Makes the directory that path is in, for all to look into, if it is not there. */
enum mu_code mu_daemon_process_directory(const char *path, struct mu_err *err) MU_CHECK;
/* Makes the directory of the sockets if it is missing, and writes our number into the pid file in it, which
 * stays locked as long as we live: MU_BUSY, M707 if another holds it. */
enum mu_code mu_daemon_process_lock(const char *path, int *fd, struct mu_err *err) MU_CHECK;
void mu_daemon_process_unlock(const char *path, int fd);

#endif
