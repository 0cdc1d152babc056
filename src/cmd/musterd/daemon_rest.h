/* What an agent at rest gives back to the machine. */
#ifndef MU_DAEMON_REST_H
#define MU_DAEMON_REST_H

/* Free memory, and clean pages of the program and its libraries: not for an agent at work, which would have
 * to fetch them again. */
void mu_daemon_rest_give_back(void);

#endif
