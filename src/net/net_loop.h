/* mu_loop on libevent. */
#ifndef MU_NET_LOOP_H
#define MU_NET_LOOP_H

#include "base/loop.h"

enum mu_code mu_net_loop_new(struct mu_loop **out, struct mu_err *err) MU_CHECK;
/* Waits for work that a helper thread has begun; what is posted or not begun yet is dropped. */
void mu_net_loop_free(struct mu_loop *loop);
/* For who has canceled all that runs: waits for work that has begun, and calls done for it and for what has not,
 * so that each owner can give back what it held. Nothing else is run. No work can be given afterwards. */
void mu_net_loop_settle(struct mu_loop *loop);
/* Calls on the loop's thread when the signal arrives. At most 8 signals. */
enum mu_code mu_net_loop_on_signal(struct mu_loop *loop, int signal, mu_loop_call *call, void *cookie,
    struct mu_err *err) MU_CHECK;

#endif
