/*
 * A mu_loop with a clock of its own: nothing waits, time jumps to the next timer. It brings a
 * mu_env whose now is that clock, whose random repeats from run to run, and whose trace is kept.
 * post, the clock and the trace may be used from any thread; the rest from one.
 */
#ifndef MU_FAKE_LOOP_H
#define MU_FAKE_LOOP_H

#include "base/env.h"
#include "base/loop.h"

enum { MU_FAKE_LOOP_START_S = 1732189931 }; /* 2024-11-21T11:52:11Z */

/* Aborts if there is no memory, as all of this does. */
struct mu_loop *mu_fake_loop_new(void);
/* Drops what is still posted and every timer. */
void mu_fake_loop_free(struct mu_loop *loop);

/* Borrowed; valid as long as the loop. */
const struct mu_env *mu_fake_loop_env(struct mu_loop *loop);
int64_t mu_fake_loop_now_ms(struct mu_loop *loop);
/* Sets the clock; timers keep the time that is left to them. */
void mu_fake_loop_set_now(struct mu_loop *loop, int64_t now_s);
/* Starts the random sequence anew. */
void mu_fake_loop_seed(struct mu_loop *loop, uint64_t seed);

/* Runs what is posted and every timer, jumping ahead, until nothing is left or stop is called.
 * Aborts after 100,000 calls: use run_for where something repeats for ever. */
void mu_fake_loop_run_until_idle(struct mu_loop *loop);
/* Runs what is posted; the clock stands still. */
void mu_fake_loop_run_posted(struct mu_loop *loop);
/* Runs what falls into the next ms, and leaves the clock at its end. */
void mu_fake_loop_run_for(struct mu_loop *loop, int64_t ms);
/* Waits in real time until another thread has posted something; false if nothing came. */
bool mu_fake_loop_wait_post(struct mu_loop *loop, int real_ms);
/* Takes back what is posted with this cookie. */
void mu_fake_loop_forget(struct mu_loop *loop, const void *cookie);

/* What a child does: called when one is started; fills in how it ends. output has no line end at its
 * own end. Without a script no program can be run. */
struct mu_fake_loop_end {
    int exit_code;
    const char *output;
    int64_t after_ms;
    bool cannot_start;
};
typedef void mu_fake_loop_script(
    void *cookie, const struct mu_loop_spawn *what, struct mu_fake_loop_end *end);
void mu_fake_loop_on_spawn(struct mu_loop *loop, mu_fake_loop_script *script, void *cookie);

size_t mu_fake_loop_timers(struct mu_loop *loop); /* armed and not yet fired */
/* Milliseconds until the next timer, -1 if there is none. */
int64_t mu_fake_loop_next_timer_ms(struct mu_loop *loop);

/* Trace so far, a line each: "scep http: GET http://...\n". Valid until the next trace line. */
const char *mu_fake_loop_trace(struct mu_loop *loop);
void mu_fake_loop_trace_reset(struct mu_loop *loop);

#endif
