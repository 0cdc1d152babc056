/*
 * mu_loop on libevent. Only the loop's own thread ever calls libevent; others leave what they
 * post in a list and wake the loop through an eventfd, so the base needs no locks.
 */
#include "net/net_loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/net_internal.h"

enum { MAX_HELPERS = 4, MAX_SIGNALS = 8 };

struct job {
    struct job *next;
    mu_loop_call *work; /* on a helper; NULL for a plain post */
    mu_loop_call *call;
    void *cookie;
};

struct queue {
    struct job *first, **last;
};

struct signal_watch {
    struct event *event;
    mu_loop_call *call;
    void *cookie;
};

struct net_loop {
    struct mu_loop loop;
    struct event_base *base;
    struct event *wake;
    int wake_fd;
    struct signal_watch signals[MAX_SIGNALS];
    size_t signal_n;
    pthread_mutex_t lock;   /* guards all below */
    pthread_cond_t has_work;
    struct queue posted, work;
    pthread_t helpers[MAX_HELPERS];
    unsigned helper_n, idle_n, waiting_n; /* threads; those without work; jobs not begun */
    bool ending;
};

struct mu_loop_timer {
    struct event *event;
    mu_loop_call *call;
    void *cookie;
};

static struct net_loop *net_of(struct mu_loop *loop)
{
    return (struct net_loop *)loop;
}

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void queue_put(struct queue *q, struct job *j)
{
    j->next = NULL;
    *q->last = j;
    q->last = &j->next;
}

static struct job *queue_take(struct queue *q)
{
    struct job *j = q->first;

    if (j != NULL && (q->first = j->next) == NULL)
        q->last = &q->first;
    return j;
}

static void queue_clear(struct queue *q)
{
    struct job *j;

    while ((j = queue_take(q)) != NULL)
        free(j);
}

static struct job *job_new(mu_loop_call *work, mu_loop_call *call, void *cookie)
{
    struct job *j = malloc(sizeof(*j));

    if (j != NULL)
        *j = (struct job){NULL, work, call, cookie};
    return j;
}

void mu_net_ignore_sigpipe(void)
{
    struct sigaction now;

    /* Who has a handler of its own keeps it. */
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

/* ---- timers ---- */

static void on_timer(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_loop_timer *t = cookie;

    t->call(t->cookie); /* may free t */
}

static struct mu_loop_timer *loop_after(
    struct mu_loop *loop, int64_t ms, mu_loop_call *call, void *cookie)
{
    struct mu_loop_timer *t = calloc(1, sizeof(*t));
    struct timeval tv = {0};

    if (t == NULL)
        return NULL;
    if (ms > 0)
        tv = (struct timeval){(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    t->call = call;
    t->cookie = cookie;
    t->event = evtimer_new(net_of(loop)->base, on_timer, t);
    if (t->event == NULL || evtimer_add(t->event, &tv) != 0) {
        if (t->event != NULL)
            event_free(t->event);
        free(t);
        return NULL;
    }
    return t;
}

static void loop_timer_free(struct mu_loop *loop, struct mu_loop_timer *t)
{
    event_free(t->event);
    free(t);
}

/* ---- posts ---- */

static void put_post(struct net_loop *l, struct job *j)
{
    uint64_t one = 1;
    bool first;

    pthread_mutex_lock(&l->lock);
    first = l->posted.first == NULL;
    queue_put(&l->posted, j);
    /* One wake-up brings all that is posted until the loop looks. With the lock held: once the
     * list can be taken, what is in it may end the loop and close the descriptor. */
    while (first && write(l->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_mutex_unlock(&l->lock);
}

static void on_wake(evutil_socket_t fd, short what, void *cookie)
{
    struct net_loop *l = cookie;
    struct job *j, *next;
    uint64_t n;

    (void)!read(l->wake_fd, &n, sizeof(n));
    pthread_mutex_lock(&l->lock);
    j = l->posted.first;
    queue_init(&l->posted);
    pthread_mutex_unlock(&l->lock);
    for (; j != NULL; j = next) {
        next = j->next;
        j->call(j->cookie);
        free(j);
    }
}

static enum mu_code loop_post(struct mu_loop *loop, mu_loop_call *call, void *cookie)
{
    struct job *j = job_new(NULL, call, cookie);

    if (j == NULL)
        return MU_MEMORY;
    put_post(net_of(loop), j);
    return MU_OK;
}

/* ---- helper threads ---- */

static void *helper_main(void *cookie)
{
    struct net_loop *l = cookie;

    pthread_mutex_lock(&l->lock);
    while (!l->ending) {
        struct job *j = queue_take(&l->work);

        if (j == NULL) {
            l->idle_n++;
            pthread_cond_wait(&l->has_work, &l->lock);
            l->idle_n--;
            continue;
        }
        l->waiting_n--;
        pthread_mutex_unlock(&l->lock);
        j->work(j->cookie);
        put_post(l, j);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* With the lock held: another helper if all will be at work. False if there is not even one. */
static bool want_helper(struct net_loop *l)
{
    sigset_t all, before;

    if (l->idle_n > l->waiting_n || l->helper_n == MAX_HELPERS)
        return true;
    /* Signals belong to the loop's thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&l->helpers[l->helper_n], NULL, helper_main, l) == 0)
        l->helper_n++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return l->helper_n > 0;
}

static enum mu_code loop_work(
    struct mu_loop *loop, mu_loop_call *work, mu_loop_call *done, void *cookie)
{
    struct net_loop *l = net_of(loop);
    struct job *j = job_new(work, done, cookie);
    enum mu_code rc = MU_OK;

    if (j == NULL)
        return MU_MEMORY;
    pthread_mutex_lock(&l->lock);
    if (want_helper(l)) {
        queue_put(&l->work, j);
        l->waiting_n++;
        pthread_cond_signal(&l->has_work);
    } else {
        rc = MU_BUSY;
        free(j);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

/* ---- the loop ---- */

static void loop_run(struct mu_loop *loop)
{
    event_base_loop(net_of(loop)->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void loop_stop(struct mu_loop *loop)
{
    event_base_loopbreak(net_of(loop)->base);
}

static const struct mu_loop_ops loop_ops = {
    .after = loop_after,
    .timer_free = loop_timer_free,
    .post = loop_post,
    .work = loop_work,
    .spawn = mu_net_child_spawn,
    .child_free = mu_net_child_free,
    .run = loop_run,
    .stop = loop_stop,
};

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config == NULL)
        return NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

enum mu_code mu_net_loop_new(struct mu_loop **out, struct mu_err *err)
{
    struct net_loop *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    l->loop.ops = &loop_ops;
    queue_init(&l->posted);
    queue_init(&l->work);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->has_work, NULL);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->base = base_new();
    if (l->base != NULL && l->wake_fd >= 0)
        l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    if (l->wake == NULL || event_add(l->wake, NULL) != 0) {
        mu_net_loop_free(&l->loop);
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "cannot make an event loop: %s",
            strerror(errno));
    }
    mu_net_ignore_sigpipe();
    *out = &l->loop;
    return MU_OK;
}

static void helpers_end(struct net_loop *l)
{
    pthread_mutex_lock(&l->lock);
    l->ending = true;
    pthread_cond_broadcast(&l->has_work);
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < l->helper_n; i++)
        pthread_join(l->helpers[i], NULL);
    l->helper_n = 0;
}

static void settle_queue(struct queue *q)
{
    struct job *j;

    while ((j = queue_take(q)) != NULL) {
        if (j->work != NULL)
            j->call(j->cookie);
        free(j);
    }
}

void mu_net_loop_settle(struct mu_loop *loop)
{
    struct net_loop *l = net_of(loop);

    if (l == NULL)
        return;
    helpers_end(l);
    settle_queue(&l->posted);
    settle_queue(&l->work);
}

void mu_net_loop_free(struct mu_loop *loop)
{
    struct net_loop *l = net_of(loop);

    if (l == NULL)
        return;
    helpers_end(l);
    queue_clear(&l->posted);
    queue_clear(&l->work);
    for (size_t i = 0; i < l->signal_n; i++)
        event_free(l->signals[i].event);
    if (l->wake != NULL)
        event_free(l->wake);
    if (l->base != NULL)
        event_base_free(l->base);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    pthread_cond_destroy(&l->has_work);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void on_signal(evutil_socket_t fd, short what, void *cookie)
{
    struct signal_watch *w = cookie;

    w->call(w->cookie);
}

enum mu_code mu_net_loop_on_signal(
    struct mu_loop *loop, int signal, mu_loop_call *call, void *cookie, struct mu_err *err)
{
    struct net_loop *l = net_of(loop);
    struct signal_watch *w = &l->signals[l->signal_n];

    if (l->signal_n == MAX_SIGNALS)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no more than %d signals", MAX_SIGNALS);
    w->call = call;
    w->cookie = cookie;
    w->event = evsignal_new(l->base, signal, on_signal, w);
    if (w->event == NULL || evsignal_add(w->event, NULL) != 0) {
        if (w->event != NULL)
            event_free(w->event);
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "cannot watch signal %d", signal);
    }
    l->signal_n++;
    return MU_OK;
}

struct event_base *mu_net_loop_base(struct mu_loop *loop)
{
    return net_of(loop)->base;
}
