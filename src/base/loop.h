/*
 * What services need of an event loop, without naming one: after a time, on this thread, on a
 * helper thread, in a child. net implements it on libevent, tests/lib with a fake clock.
 */
#ifndef MU_BASE_LOOP_H
#define MU_BASE_LOOP_H

#include "base/err.h"
#include <stdint.h>

struct mu_loop;
struct mu_loop_timer;
struct mu_loop_child;

typedef void mu_loop_call(void *cookie);

struct mu_loop_ops {
    /* Calls once after ms milliseconds; NULL if no memory. Free it at any time to cancel; it must
     * be freed after it fired too. */
    struct mu_loop_timer *(*after)(struct mu_loop *, int64_t ms, mu_loop_call *call, void *cookie);
    void (*timer_free)(struct mu_loop *, struct mu_loop_timer *);
    /* From any thread: call soon on the loop's thread. */
    enum mu_code (*post)(struct mu_loop *, mu_loop_call *call, void *cookie);
    /* Runs work on a helper thread, then done on the loop's thread. */
    enum mu_code (*work)(struct mu_loop *, mu_loop_call *work, mu_loop_call *done, void *cookie);
    /* Runs until stop is called (from the loop's thread). */
    void (*run)(struct mu_loop *);
    void (*stop)(struct mu_loop *);
};

struct mu_loop {
    const struct mu_loop_ops *ops;
};

static inline struct mu_loop_timer *mu_loop_after(
    struct mu_loop *l, int64_t ms, mu_loop_call *call, void *cookie)
{
    return l->ops->after(l, ms, call, cookie);
}
static inline void mu_loop_timer_free(struct mu_loop *l, struct mu_loop_timer *t)
{
    if (t != NULL)
        l->ops->timer_free(l, t);
}
static inline enum mu_code mu_loop_post(struct mu_loop *l, mu_loop_call *call, void *cookie)
{
    return l->ops->post(l, call, cookie);
}
static inline enum mu_code mu_loop_work(
    struct mu_loop *l, mu_loop_call *work, mu_loop_call *done, void *cookie)
{
    return l->ops->work(l, work, done, cookie);
}
static inline void mu_loop_run(struct mu_loop *l) { l->ops->run(l); }
static inline void mu_loop_stop(struct mu_loop *l) { l->ops->stop(l); }

#endif
