/*
 * The server and its workers. Each worker is a thread with an event loop and a listening
 * socket of its own (SO_REUSEPORT), so a connection lives on one thread from accept to close.
 * The ceiling of connections is each worker's own: with one for all, a worker that closed its
 * door without having a connection would never open it again.
 */
#include "net/net_conn.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    DEFAULT_CONNECTIONS = 1000,
    DEFAULT_DEADLINE_S = 10,
    MAX_WORKERS = 256,
    HELD_MAX = 16,
    ACCEPT_RETRY_MS = 200, /* after the process ran out of descriptors */
};

_Thread_local struct mu_net_worker *mu_net_this_worker;

/* Of a thread that holds its wake-ups back. */
static _Thread_local bool holds;
static _Thread_local struct mu_net_worker *held[HELD_MAX];
static _Thread_local size_t held_n;

static enum mu_code no_memory(struct mu_err *err)
{
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
}

/* ---- accepting ---- */

static void set_accepting(struct mu_net_worker *w, bool on)
{
    if (on == w->accepting)
        return;
    w->accepting = on;
    for (size_t i = 0; i < w->accept_n; i++) {
        if (on)
            event_add(w->accepts[i].event, NULL);
        else
            event_del(w->accepts[i].event);
    }
}

static bool has_room(const struct mu_net_worker *w)
{
    return !w->stopping && w->conn_n < w->server->config.max_connections;
}

static void on_retry(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_worker *w = cookie;

    if (has_room(w))
        set_accepting(w, true);
}

static void on_accept(evutil_socket_t fd, short what, void *cookie)
{
    const struct mu_net_accept *a = cookie;
    struct mu_net_worker *w = a->worker;

    for (int i = 0; i < MU_NET_ACCEPT_BATCH && has_room(w); i++) {
        struct timeval tv = {0, ACCEPT_RETRY_MS * 1000};
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        int client = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (client >= 0) {
            mu_net_conn_accept(w, a->endpoint, client, &from);
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            /* No descriptors or no memory: asking again at once would only burn time. */
            set_accepting(w, false);
            evtimer_add(w->retry, &tv);
        }
        return;
    }
    if (!has_room(w))
        set_accepting(w, false);
}

void mu_net_worker_conn_closed(struct mu_net_worker *w)
{
    w->conn_n--;
    if (w->stopping && w->conn_n == 0)
        event_base_loopbreak(w->base);
    else if (has_room(w) && !evtimer_pending(w->retry, NULL))
        set_accepting(w, true);
}

const char *mu_net_worker_date(struct mu_net_worker *w)
{
    int64_t now_s = mu_env_now(w->server->config.env);

    if (now_s != w->date_s || w->date[0] == '\0') {
        mu_time_http(now_s, w->date);
        w->date_s = now_s;
    }
    return w->date;
}

/* ---- answers from anywhere ---- */

static void wake(struct mu_net_worker *w)
{
    uint64_t one = 1;

    while (write(w->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void mu_net_replies_hold(void)
{
    holds = true;
}

/* With the lock held, as in mu_net_reply_send. */
void mu_net_replies_release(void)
{
    for (size_t i = 0; i < held_n; i++) {
        struct mu_net_worker *w = held[i];

        pthread_mutex_lock(&w->lock);
        w->wake_held = false;
        if (!w->ended)
            wake(w);
        pthread_mutex_unlock(&w->lock);
        mu_net_server_unref(w->server);
    }
    held_n = 0;
    holds = false;
}

/* With the lock held: the worker will be woken with the others. */
static bool hold_back(struct mu_net_worker *w)
{
    if (!holds || (!w->wake_held && held_n == HELD_MAX))
        return false;
    if (!w->wake_held) {
        atomic_fetch_add(&w->server->refs, 1);
        w->wake_held = true;
        held[held_n++] = w;
    }
    return true;
}

void mu_net_reply_send(struct mu_net_reply *reply, struct mu_http_response *response)
{
    struct mu_net_worker *w = reply->worker;
    bool late;

    reply->response = *response;
    memset(response, 0, sizeof(*response));
    if (mu_net_this_worker == w && mu_net_conn_answered_inside(reply->conn))
        return;
    pthread_mutex_lock(&w->lock);
    late = w->ended;
    if (!late) {
        bool first = w->answered == NULL;

        reply->next = NULL;
        *w->answered_last = reply;
        w->answered_last = &reply->next;
        /* With the lock held: once the list can be taken, the worker may end and close the
         * descriptor. One wake-up brings all answers that come before it looks. */
        if (!hold_back(w) && (first || w->wake_held))
            wake(w);
    }
    pthread_mutex_unlock(&w->lock);
    if (late)
        mu_net_conn_drop_answer(reply);
}

unsigned mu_net_reply_worker(const struct mu_net_reply *reply)
{
    return reply->worker->index;
}

static struct mu_net_reply *take_answers(struct mu_net_worker *w)
{
    struct mu_net_reply *list = w->answered;

    w->answered = NULL;
    w->answered_last = &w->answered;
    return list;
}

static void begin_stop(struct mu_net_worker *w, int grace_s)
{
    struct timeval tv = {grace_s > 0 ? grace_s : 0, 0};
    struct mu_net_conn *c, *next;

    w->stopping = true;
    set_accepting(w, false);
    for (c = w->conns; c != NULL; c = next) {
        next = mu_net_conn_next(c);
        mu_net_conn_wind_up(c);
    }
    if (w->conn_n == 0)
        event_base_loopbreak(w->base);
    else
        evtimer_add(w->grace, &tv);
}

static void on_grace(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_worker *w = cookie;

    event_base_loopbreak(w->base);
}

static void on_wake(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_worker *w = cookie;
    struct mu_net_reply *r, *next;
    bool stop;
    int grace_s;
    uint64_t n;

    (void)!read(w->wake_fd, &n, sizeof(n));
    pthread_mutex_lock(&w->lock);
    r = take_answers(w);
    stop = w->stop_asked;
    grace_s = w->grace_s;
    pthread_mutex_unlock(&w->lock);
    if (stop && !w->stopping)
        begin_stop(w, grace_s);
    for (; r != NULL; r = next) {
        next = r->next;
        mu_net_conn_answer(r);
    }
}

/* ---- workers ---- */

static void *worker_main(void *cookie)
{
    struct mu_net_worker *w = cookie;
    const struct mu_net_server_config *config = &w->server->config;
    struct mu_net_reply *r, *next;

    mu_net_this_worker = w;
    set_accepting(w, true);
    do {
        if (config->round_end != NULL)
            config->round_end(config->cookie);
        event_base_loop(w->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
    } while (!event_base_got_break(w->base));
    set_accepting(w, false);
    while (w->conns != NULL)
        mu_net_conn_kill(w->conns);
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    r = take_answers(w);
    pthread_mutex_unlock(&w->lock);
    if (config->round_end != NULL)
        config->round_end(config->cookie);
    for (; r != NULL; r = next) {
        next = r->next;
        mu_net_conn_drop_answer(r);
    }
    return NULL;
}

static void worker_free(struct mu_net_worker *w)
{
    struct event *const events[] = {w->wake, w->retry, w->grace};

    for (size_t i = 0; i < w->accept_n; i++)
        event_free(w->accepts[i].event);
    free(w->accepts);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i] != NULL)
            event_free(events[i]);
    if (w->base != NULL)
        event_base_free(w->base);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static enum mu_code worker_base(struct mu_net_worker *w, struct mu_err *err)
{
    struct event_config *config = event_config_new();

    if (config == NULL)
        return no_memory(err);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK); /* no other thread calls it */
    w->base = event_base_new_with_config(config);
    event_config_free(config);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->base == NULL || w->wake_fd < 0)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "cannot make an event loop: %s",
            strerror(errno));
    w->wake = event_new(w->base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w);
    w->retry = evtimer_new(w->base, on_retry, w);
    w->grace = evtimer_new(w->base, on_grace, w);
    w->deadline = (struct timeval){w->server->config.deadline_s, 0};
    w->deadline_common = event_base_init_common_timeout(w->base, &w->deadline);
    if (w->wake == NULL || w->retry == NULL || w->grace == NULL || w->deadline_common == NULL
        || event_add(w->wake, NULL) != 0)
        return no_memory(err);
    return MU_OK;
}

static enum mu_code worker_new(
    struct mu_net_server *server, unsigned index, struct mu_net_worker **out, struct mu_err *err)
{
    struct mu_net_worker *w = calloc(1, sizeof(*w));
    enum mu_code rc;

    if (w == NULL)
        return no_memory(err);
    w->server = server;
    w->index = index;
    w->wake_fd = -1;
    w->answered_last = &w->answered;
    pthread_mutex_init(&w->lock, NULL);
    if ((rc = worker_base(w, err)) != MU_OK)
        worker_free(w);
    else
        *out = w;
    return rc;
}

static enum mu_code worker_add_endpoint(
    struct mu_net_worker *w, struct mu_net_endpoint *endpoint, struct mu_err *err)
{
    struct mu_net_accept *a = &w->accepts[w->accept_n];

    if (endpoint->fds[w->index] < 0)
        return MU_OK;
    *a = (struct mu_net_accept){.worker = w, .endpoint = endpoint, .fd = endpoint->fds[w->index]};
    a->event = event_new(w->base, a->fd, EV_READ | EV_PERSIST, on_accept, a);
    if (a->event == NULL)
        return no_memory(err);
    w->accept_n++;
    return MU_OK;
}

/* ---- listeners ---- */

enum mu_code mu_net_server_listen(struct mu_net_server *server,
    const struct mu_net_listener *listener, uint16_t *port, struct mu_err *err)
{
    struct mu_net_endpoint *e = NULL, **grown;
    uint16_t used = 0;
    enum mu_code rc = mu_net_listen_open(listener, server->config.workers, &e, &used, err);

    if (rc != MU_OK)
        return rc;
    grown = realloc(server->endpoints, (server->endpoint_n + 1) * sizeof(struct mu_net_endpoint *));
    if (grown == NULL) {
        mu_net_listen_free(e, server->config.workers);
        return no_memory(err);
    }
    server->endpoints = grown;
    server->endpoints[server->endpoint_n++] = e;
    if (port != NULL)
        *port = used;
    return MU_OK;
}

enum mu_code mu_net_server_renew_tls(
    struct mu_net_server *server, const struct mu_net_tls *tls, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < server->endpoint_n; i++)
        if (server->endpoints[i]->tls != NULL)
            rc = mu_net_listen_renew(server->endpoints[i], tls, err);
    return rc;
}

/* ---- the server ---- */

/* Those this process may run on: more threads than that would only take turns. */
static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

enum mu_code mu_net_server_new(
    const struct mu_net_server_config *config, struct mu_net_server **out, struct mu_err *err)
{
    struct mu_net_server *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return no_memory(err);
    s->config = *config;
    if (s->config.workers == 0)
        s->config.workers = cores();
    if (s->config.workers > MAX_WORKERS)
        s->config.workers = MAX_WORKERS;
    if (s->config.max_connections == 0)
        s->config.max_connections = DEFAULT_CONNECTIONS;
    if (s->config.deadline_s <= 0)
        s->config.deadline_s = DEFAULT_DEADLINE_S;
    atomic_init(&s->refs, 1);
    s->workers = calloc(s->config.workers, sizeof(struct mu_net_worker *));
    if (s->workers == NULL) {
        free(s);
        return no_memory(err);
    }
    mu_net_ignore_sigpipe();
    *out = s;
    return MU_OK;
}

static enum mu_code start_worker(struct mu_net_server *s, unsigned index, struct mu_err *err)
{
    struct mu_net_worker *w;
    sigset_t all, before;
    enum mu_code rc;
    int why;

    if ((rc = worker_new(s, index, &s->workers[index], err)) != MU_OK)
        return rc;
    w = s->workers[index];
    w->accepts = calloc(s->endpoint_n + 1, sizeof(*w->accepts));
    if (w->accepts == NULL)
        return no_memory(err);
    for (size_t i = 0; i < s->endpoint_n; i++)
        if ((rc = worker_add_endpoint(w, s->endpoints[i], err)) != MU_OK)
            return rc;
    sigfillset(&all); /* signals belong to the program's own thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    why = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (why != 0)
        return mu_err_set(
            err, MU_INTERNAL, MU_REASON_NONE, "cannot start a worker thread: %s", strerror(why));
    w->started = true;
    return MU_OK;
}

enum mu_code mu_net_server_start(struct mu_net_server *s, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    s->running = true;
    for (unsigned i = 0; i < s->config.workers && rc == MU_OK; i++)
        rc = start_worker(s, i, err);
    if (rc != MU_OK)
        mu_net_server_stop(s, 0);
    return rc;
}

void mu_net_server_stop(struct mu_net_server *s, int grace_s)
{
    if (!s->running)
        return;
    s->running = false;
    for (unsigned i = 0; i < s->config.workers; i++) {
        struct mu_net_worker *w = s->workers[i];

        if (w == NULL || !w->started)
            continue;
        pthread_mutex_lock(&w->lock);
        w->stop_asked = true;
        w->grace_s = grace_s;
        pthread_mutex_unlock(&w->lock);
        wake(w);
    }
    for (unsigned i = 0; i < s->config.workers; i++)
        if (s->workers[i] != NULL && s->workers[i]->started)
            pthread_join(s->workers[i]->thread, NULL);
    for (size_t i = 0; i < s->endpoint_n; i++)
        mu_net_listen_close(s->endpoints[i], s->config.workers);
}

void mu_net_server_unref(struct mu_net_server *s)
{
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < s->config.workers; i++)
        if (s->workers[i] != NULL)
            worker_free(s->workers[i]);
    for (size_t i = 0; i < s->endpoint_n; i++)
        mu_net_listen_free(s->endpoints[i], s->config.workers);
    free(s->endpoints);
    free(s->workers);
    free(s);
}

void mu_net_server_free(struct mu_net_server *s)
{
    if (s == NULL)
        return;
    mu_net_server_stop(s, 0);
    /* Answers that are still owed keep the memory, and nothing else, until they come. */
    mu_net_server_unref(s);
}
