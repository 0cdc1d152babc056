/* A mu_loop whose clock jumps. See the header. */
#include "fake_loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"

enum { MAX_CALLS = 100000, TRACE_MAX = 4 << 20 };

struct post {
    struct post *next;
    mu_loop_call *work; /* run before call becomes a post of its own; NULL: plain post */
    mu_loop_call *call;
    void *cookie;
};

struct mu_loop_timer {
    struct mu_loop_timer *next;
    int64_t due_ms;
    bool fired;
    mu_loop_call *call;
    void *cookie;
};

struct fake_loop {
    struct mu_loop loop;
    struct mu_env env;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t posted;
    int64_t now_ms;
    uint64_t random;
    struct post *first, **last;
    struct mu_loop_timer *timers; /* by due_ms, equals in the order of arming */
    struct mu_buf trace;
    bool stopped;
    mu_fake_loop_script *script; /* what children do; NULL: there are none */
    void *script_cookie;
};

struct mu_loop_child {
    struct fake_loop *f;
    struct mu_loop_timer *timer;
    struct mu_loop_exit exit;
    struct mu_buf output;
    char last_line[512];
    mu_loop_exit_call *call;
    void *cookie;
};

static struct fake_loop *fake_of(struct mu_loop *loop)
{
    return (struct fake_loop *)loop;
}

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static void timer_insert(struct fake_loop *f, struct mu_loop_timer *t)
{
    struct mu_loop_timer **at = &f->timers;

    while (*at != NULL && (*at)->due_ms <= t->due_ms)
        at = &(*at)->next;
    t->next = *at;
    *at = t;
}

static void timer_unlink(struct fake_loop *f, struct mu_loop_timer *t)
{
    for (struct mu_loop_timer **at = &f->timers; *at != NULL; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            return;
        }
}

static struct mu_loop_timer *fake_after(
    struct mu_loop *loop, int64_t ms, mu_loop_call *call, void *cookie)
{
    struct fake_loop *f = fake_of(loop);
    struct mu_loop_timer *t = must(calloc(1, sizeof(*t)));

    t->call = call;
    t->cookie = cookie;
    pthread_mutex_lock(&f->lock);
    t->due_ms = f->now_ms + (ms > 0 ? ms : 0);
    timer_insert(f, t);
    pthread_mutex_unlock(&f->lock);
    return t;
}

static void fake_timer_free(struct mu_loop *loop, struct mu_loop_timer *t)
{
    struct fake_loop *f = fake_of(loop);

    pthread_mutex_lock(&f->lock);
    if (!t->fired)
        timer_unlink(f, t);
    pthread_mutex_unlock(&f->lock);
    free(t);
}

static void put_post(struct fake_loop *f, mu_loop_call *work, mu_loop_call *call, void *cookie)
{
    struct post *p = must(calloc(1, sizeof(*p)));

    p->work = work;
    p->call = call;
    p->cookie = cookie;
    pthread_mutex_lock(&f->lock);
    *f->last = p;
    f->last = &p->next;
    pthread_cond_signal(&f->posted);
    pthread_mutex_unlock(&f->lock);
}

static enum mu_code fake_post(struct mu_loop *loop, mu_loop_call *call, void *cookie)
{
    put_post(fake_of(loop), NULL, call, cookie);
    return MU_OK;
}

static enum mu_code fake_work(
    struct mu_loop *loop, mu_loop_call *work, mu_loop_call *done, void *cookie)
{
    put_post(fake_of(loop), work, done, cookie);
    return MU_OK;
}

/* Runs one posted call; false if there is none. */
static bool run_post(struct fake_loop *f)
{
    struct post *p;

    pthread_mutex_lock(&f->lock);
    p = f->first;
    if (p != NULL) {
        f->first = p->next;
        if (f->first == NULL)
            f->last = &f->first;
    }
    pthread_mutex_unlock(&f->lock);
    if (p == NULL)
        return false;
    if (p->work != NULL) {
        p->work(p->cookie);
        put_post(f, NULL, p->call, p->cookie);
    } else {
        p->call(p->cookie);
    }
    free(p);
    return true;
}

/* Fires the next timer due up to limit_ms, moving the clock there; false if there is none. */
static bool run_timer(struct fake_loop *f, int64_t limit_ms)
{
    struct mu_loop_timer *t;

    pthread_mutex_lock(&f->lock);
    t = f->timers;
    if (t != NULL && t->due_ms > limit_ms)
        t = NULL;
    if (t != NULL) {
        f->timers = t->next;
        t->fired = true;
        if (t->due_ms > f->now_ms)
            f->now_ms = t->due_ms;
    }
    pthread_mutex_unlock(&f->lock);
    if (t != NULL)
        t->call(t->cookie); /* may free t */
    return t != NULL;
}

static void count_call(unsigned *n)
{
    if (++*n > MAX_CALLS) {
        fprintf(stderr, "fake_loop: %d calls and still not idle\n", MAX_CALLS);
        abort();
    }
}

static void run_until(struct fake_loop *f, int64_t limit_ms)
{
    unsigned n = 0;

    f->stopped = false;
    while (!f->stopped && (run_post(f) || run_timer(f, limit_ms)))
        count_call(&n);
}

void mu_fake_loop_run_until_idle(struct mu_loop *loop)
{
    run_until(fake_of(loop), INT64_MAX);
}

void mu_fake_loop_run_posted(struct mu_loop *loop)
{
    unsigned n = 0;

    while (run_post(fake_of(loop)))
        count_call(&n);
}

void mu_fake_loop_run_for(struct mu_loop *loop, int64_t ms)
{
    struct fake_loop *f = fake_of(loop);
    int64_t end_ms = mu_fake_loop_now_ms(loop) + ms;

    run_until(f, end_ms);
    pthread_mutex_lock(&f->lock);
    if (!f->stopped && f->now_ms < end_ms)
        f->now_ms = end_ms;
    pthread_mutex_unlock(&f->lock);
}

bool mu_fake_loop_wait_post(struct mu_loop *loop, int real_ms)
{
    struct fake_loop *f = fake_of(loop);
    struct timespec end;
    bool there;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += real_ms / 1000;
    end.tv_nsec += (long)(real_ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&f->lock);
    while (f->first == NULL && pthread_cond_timedwait(&f->posted, &f->lock, &end) == 0)
        ;
    there = f->first != NULL;
    pthread_mutex_unlock(&f->lock);
    return there;
}

/* Other threads may still post when nothing is left here, so this waits for them. */
static void fake_run(struct mu_loop *loop)
{
    struct fake_loop *f = fake_of(loop);
    unsigned n = 0;

    f->stopped = false;
    while (!f->stopped) {
        count_call(&n);
        if (!run_post(f) && !run_timer(f, INT64_MAX) && !mu_fake_loop_wait_post(loop, 30000)) {
            fprintf(stderr, "fake_loop: nothing left to run and nobody called stop\n");
            abort();
        }
    }
}

static void fake_stop(struct mu_loop *loop)
{
    fake_of(loop)->stopped = true;
}

/* ---- children ---- */

static void child_ends(void *cookie)
{
    struct mu_loop_child *c = cookie;

    mu_loop_timer_free(&c->f->loop, c->timer);
    c->timer = NULL;
    c->call(c->cookie, &c->exit); /* may free c */
}

static enum mu_code fake_spawn(struct mu_loop *loop, const struct mu_loop_spawn *what,
    mu_loop_exit_call *call, void *cookie, struct mu_loop_child **out, struct mu_err *err)
{
    struct fake_loop *f = fake_of(loop);
    struct mu_fake_loop_end end = {.exit_code = 0, .output = "", .after_ms = 0};
    struct mu_loop_child *c;
    const char *line;

    *out = NULL;
    if (f->script == NULL)
        return mu_err_set(err, MU_STORAGE, MU_M(901), "%s cannot be run", what->argv[0]);
    f->script(f->script_cookie, what, &end);
    if (end.cannot_start)
        return mu_err_set(err, MU_STORAGE, MU_M(901), "%s cannot be run: No such file or directory",
            what->argv[0]);
    c = must(calloc(1, sizeof *c));
    c->f = f;
    c->call = call;
    c->cookie = cookie;
    c->exit.is_late = what->limit_ms > 0 && end.after_ms > what->limit_ms;
    c->exit.exit_code = c->exit.is_late ? -1 : end.exit_code;
    c->exit.signal = c->exit.is_late ? 15 : 0;
    mu_buf_init(&c->output, what->output_max);
    mu_buf_put_str(&c->output, end.output);
    line = strrchr(end.output, '\n');
    snprintf(c->last_line, sizeof c->last_line, "%s", line != NULL ? line + 1 : end.output);
    c->exit.output = mu_buf_bytes(&c->output);
    c->exit.last_line = c->last_line;
    c->timer = fake_after(loop, c->exit.is_late ? what->limit_ms : end.after_ms, child_ends, c);
    *out = c;
    return MU_OK;
}

static void fake_child_free(struct mu_loop *loop, struct mu_loop_child *c)
{
    mu_loop_timer_free(loop, c->timer);
    mu_buf_clear(&c->output);
    free(c);
}

void mu_fake_loop_on_spawn(struct mu_loop *loop, mu_fake_loop_script *script, void *cookie)
{
    fake_of(loop)->script = script;
    fake_of(loop)->script_cookie = cookie;
}

static int64_t fake_now(void *ctx)
{
    return mu_fake_loop_now_ms(ctx) / 1000;
}

/* splitmix64: repeatable, and good enough to look random. */
static bool fake_random(void *ctx, uint8_t *p, size_t n)
{
    struct fake_loop *f = ctx;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < n; i++) {
        uint64_t z = f->random += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        p[i] = (uint8_t)(z >> 32);
    }
    pthread_mutex_unlock(&f->lock);
    return true;
}

static void fake_trace(void *ctx, const struct mu_trace_event *e)
{
    struct fake_loop *f = ctx;
    const char *proto = mu_proto_name(e->proto);

    pthread_mutex_lock(&f->lock);
    mu_buf_putf(&f->trace, "%s%s%s: %s\n", proto, *proto != '\0' ? " " : "",
        mu_trace_step_name(e->step), e->text);
    pthread_mutex_unlock(&f->lock);
}

struct mu_loop *mu_fake_loop_new(void)
{
    static const struct mu_loop_ops ops = {
        .after = fake_after,
        .timer_free = fake_timer_free,
        .post = fake_post,
        .work = fake_work,
        .spawn = fake_spawn,
        .child_free = fake_child_free,
        .run = fake_run,
        .stop = fake_stop,
    };
    struct fake_loop *f = must(calloc(1, sizeof(*f)));

    f->loop.ops = &ops;
    f->env = (struct mu_env){fake_now, fake_random, fake_trace, f};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->posted, NULL);
    f->now_ms = (int64_t)MU_FAKE_LOOP_START_S * 1000;
    f->random = 1;
    f->last = &f->first;
    mu_buf_init(&f->trace, TRACE_MAX);
    return &f->loop;
}

void mu_fake_loop_free(struct mu_loop *loop)
{
    struct fake_loop *f = fake_of(loop);

    if (f == NULL)
        return;
    while (f->first != NULL) {
        struct post *p = f->first;

        f->first = p->next;
        free(p);
    }
    while (f->timers != NULL) {
        struct mu_loop_timer *t = f->timers;

        f->timers = t->next;
        free(t);
    }
    mu_buf_clear(&f->trace);
    pthread_cond_destroy(&f->posted);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

const struct mu_env *mu_fake_loop_env(struct mu_loop *loop)
{
    return &fake_of(loop)->env;
}

int64_t mu_fake_loop_now_ms(struct mu_loop *loop)
{
    struct fake_loop *f = fake_of(loop);
    int64_t now_ms;

    pthread_mutex_lock(&f->lock);
    now_ms = f->now_ms;
    pthread_mutex_unlock(&f->lock);
    return now_ms;
}

void mu_fake_loop_set_now(struct mu_loop *loop, int64_t now_s)
{
    struct fake_loop *f = fake_of(loop);
    int64_t shift_ms;

    pthread_mutex_lock(&f->lock);
    shift_ms = now_s * 1000 - f->now_ms;
    f->now_ms += shift_ms;
    for (struct mu_loop_timer *t = f->timers; t != NULL; t = t->next)
        t->due_ms += shift_ms;
    pthread_mutex_unlock(&f->lock);
}

void mu_fake_loop_seed(struct mu_loop *loop, uint64_t seed)
{
    fake_of(loop)->random = seed;
}

void mu_fake_loop_forget(struct mu_loop *loop, const void *cookie)
{
    struct fake_loop *f = fake_of(loop);
    struct post **at = &f->first;

    pthread_mutex_lock(&f->lock);
    while (*at != NULL) {
        struct post *p = *at;

        if (p->cookie == cookie) {
            *at = p->next;
            free(p);
        } else {
            at = &p->next;
        }
    }
    f->last = at;
    pthread_mutex_unlock(&f->lock);
}

size_t mu_fake_loop_timers(struct mu_loop *loop)
{
    size_t n = 0;

    for (struct mu_loop_timer *t = fake_of(loop)->timers; t != NULL; t = t->next)
        n++;
    return n;
}

int64_t mu_fake_loop_next_timer_ms(struct mu_loop *loop)
{
    struct fake_loop *f = fake_of(loop);

    return f->timers == NULL ? -1 : f->timers->due_ms - f->now_ms;
}

const char *mu_fake_loop_trace(struct mu_loop *loop)
{
    return mu_buf_str(&fake_of(loop)->trace);
}

void mu_fake_loop_trace_reset(struct mu_loop *loop)
{
    mu_buf_reset(&fake_of(loop)->trace);
}
