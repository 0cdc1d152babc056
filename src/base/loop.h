/*
 * What services need of an event loop, without naming one: after a time, on this thread, on a
 * helper thread, in a child. net implements it on libevent, tests/lib with a fake clock.
 */
#ifndef MU_BASE_LOOP_H
#define MU_BASE_LOOP_H

#include "base/bytes.h"
#include "base/err.h"
#include <stdint.h>

struct mu_loop;
struct mu_loop_timer;
struct mu_loop_child;

typedef void mu_loop_call(void *cookie);

/* What a child is given: nothing but this. Views, needed during the call only. */
struct mu_loop_spawn {
    const char *const *argv; /* [0] is a whole path; NULL behind the last */
    const char *const *env;  /* all of it: "NAME=value"; NULL behind the last */
    const char *cwd;
    const char *user;        /* whose rights it gets (with that user's groups); NULL: ours */
    int64_t limit_ms;        /* then its process group is told to end, then killed; 0: no limit */
    size_t output_max;       /* of stdout and stderr together; more is read and dropped */
};
/* Views during the call. */
struct mu_loop_exit {
    int exit_code;           /* 0 to 255; -1: it was ended by a signal */
    int signal;
    bool is_late;            /* ended at its limit */
    struct mu_bytes output;  /* its first output_max octets */
    const char *last_line;   /* its last line that is not empty, however much there was; "" if none */
};
typedef void mu_loop_exit_call(void *cookie, const struct mu_loop_exit *exit);

struct mu_loop_ops {
    /* Calls once after ms milliseconds; NULL if no memory. Free it at any time to cancel; it must
     * be freed after it fired too. */
    struct mu_loop_timer *(*after)(struct mu_loop *, int64_t ms, mu_loop_call *call, void *cookie);
    void (*timer_free)(struct mu_loop *, struct mu_loop_timer *);
    /* From any thread: call soon on the loop's thread. */
    enum mu_code (*post)(struct mu_loop *, mu_loop_call *call, void *cookie);
    /* Runs work on a helper thread, then done on the loop's thread. */
    enum mu_code (*work)(struct mu_loop *, mu_loop_call *work, mu_loop_call *done, void *cookie);
    /* Starts a program in a session and process group of its own, with umask 077, stdin closed and no descriptor
     * of ours; call comes once, when it has ended. What it left running in the background goes on.
     * Failing to start is an error here, not an exit. */
    enum mu_code (*spawn)(struct mu_loop *, const struct mu_loop_spawn *what,
        mu_loop_exit_call *call, void *cookie, struct mu_loop_child **out, struct mu_err *err);
    /* Ends its group if it still runs, by TERM and, at most 2 s later, KILL; call does not come. After
     * call it must be freed too. */
    void (*child_free)(struct mu_loop *, struct mu_loop_child *);
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
static inline enum mu_code mu_loop_spawn(struct mu_loop *l, const struct mu_loop_spawn *what,
    mu_loop_exit_call *call, void *cookie, struct mu_loop_child **out, struct mu_err *err)
{
    return l->ops->spawn(l, what, call, cookie, out, err);
}
static inline void mu_loop_child_free(struct mu_loop *l, struct mu_loop_child *child)
{
    if (child != NULL)
        l->ops->child_free(l, child);
}
static inline void mu_loop_run(struct mu_loop *l) { l->ops->run(l); }
static inline void mu_loop_stop(struct mu_loop *l) { l->ops->stop(l); }

#endif
