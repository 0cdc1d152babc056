/* The agent's loop: entries and their times, one timer, the pace of requests, clocks that jump. */
#include "agent/agent_watch_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

#define FIRST INT64_MIN /* need_s of what is not paced */

enum {
    MINUTE_S = 60,
    TICK_S = 60,     /* how soon a jump of the clock is noticed */
    JUMP_S = 30,     /* what is one */
    SLICE = 200,     /* looks in one turn of the loop */
    SAVES = 64,      /* records written in one turn */
    FREE_PACE = 10,  /* requests a minute, whatever there is to do (docs/fleet.md) */
    MAX_JOBS = 16,
    URGENT_S = 3600, /* who has no more time than this is not paced */
};

/* ---- times ---- */

static int64_t now_of(const struct mu_agent_watch *watch)
{
    return mu_env_now(watch->own.env);
}

int64_t mu_agent_watch_interval(const struct mu_agent_watch *watch)
{
    const struct mu_agent_config_agent *own
        = watch->config.config != NULL ? mu_agent_config_agent(watch->config.config) : NULL;

    return own != NULL && own->check_interval_s > 0 ? own->check_interval_s : 3600;
}

/* Files change behind us: within each interval everything is looked at. By the minute, so that an
 * idle agent wakes sixty times an hour and not ten thousand. */
void mu_agent_watch_schedule(struct mu_agent_watch *watch, struct mu_watch_entry *entry, int64_t at_s)
{
    int64_t interval_s = mu_agent_watch_interval(watch), now_s = now_of(watch), last_s;
    uint64_t spread = mu_enroll_lifecycle_spread("", entry->name);

    last_s = now_s + interval_s - mu_enroll_lifecycle_share(spread, (uint64_t)now_s, interval_s / 4);
    if (interval_s >= 4 * MINUTE_S)
        last_s -= last_s % MINUTE_S;
    entry->at_s = at_s < last_s ? at_s : last_s;
    mu_agent_watch_heap_take(&watch->ready, entry);
    mu_agent_watch_heap_put(&watch->heap, entry);
}

static unsigned max_jobs(const struct mu_agent_watch *watch)
{
    return watch->config.max_jobs != 0 ? watch->config.max_jobs : MAX_JOBS;
}

/* No minute sees more than ten and what spreads those that wait over one check interval: a start with
 * ten thousand that are due, or an end of an outage, is no rush. */
static bool may_start(struct mu_agent_watch *watch, const struct mu_watch_entry *entry)
{
    int64_t now_s = now_of(watch);

    if (now_s >= watch->minute_s + MINUTE_S || now_s < watch->minute_s) {
        watch->minute_s = now_s;
        watch->started = 0;
        watch->quota = FREE_PACE
            + (unsigned)((int64_t)watch->ready.n * MINUTE_S / mu_agent_watch_interval(watch));
    }
    return watch->started < watch->quota || entry->need_s == FIRST
        || (entry->need_s > now_s && entry->need_s - now_s < URGENT_S);
}

/* ---- the loop ---- */

/* Polls and deployments are no requests: they go first, and at any pace. */
static void ready_put(struct mu_agent_watch *watch, struct mu_watch_entry *entry,
    enum mu_lifecycle_action action, const struct mu_watch_look *look)
{
    int64_t end_s = look->life.life.not_after_s;

    entry->need_s = end_s != 0 ? end_s : now_of(watch);
    if (action == MU_LIFECYCLE_POLL || action == MU_LIFECYCLE_DEPLOY)
        entry->need_s = FIRST;
    mu_agent_watch_heap_take(&watch->heap, entry);
    mu_agent_watch_heap_put(&watch->ready, entry);
}

static bool look_slice(struct mu_agent_watch *watch)
{
    struct mu_watch_look look;
    int n = 0;

    while (watch->heap.n > 0 && watch->heap.v[0]->at_s <= now_of(watch)) {
        struct mu_watch_entry *entry = watch->heap.v[0];
        enum mu_lifecycle_action action;

        if (n++ == SLICE)
            return true;
        if ((action = mu_agent_watch_look(watch, entry, &look)) != MU_LIFECYCLE_WAIT)
            ready_put(watch, entry, action, &look);
    }
    return false;
}

/* The first look at all of them does not wait for jobs; these come afterwards, by need. Much may have
 * happened while one waited for its turn: it is looked at again. */
static void start_ready(struct mu_agent_watch *watch)
{
    struct mu_watch_look look;

    while (watch->ready.n > 0 && watch->running < max_jobs(watch)
        && may_start(watch, watch->ready.v[0])) {
        struct mu_watch_entry *entry = watch->ready.v[0];
        enum mu_lifecycle_action action = mu_agent_watch_look(watch, entry, &look);

        if (action == MU_LIFECYCLE_WAIT)
            continue; /* it is back in the heap */
        watch->started += action == MU_LIFECYCLE_ENROLL || action == MU_LIFECYCLE_RENEW;
        mu_agent_watch_heap_take(&watch->ready, entry);
        mu_agent_watch_run_start(watch, entry, &look);
    }
}

static void on_idle(void *cookie)
{
    struct mu_agent_watch *watch = cookie;
    void (*call)(void *) = watch->on_idle;

    watch->on_idle = NULL;
    if (call != NULL)
        call(watch->idle_cookie);
}

static void turn(void *cookie);

static void timer_set(struct mu_agent_watch *watch, int64_t ms, mu_loop_call *call)
{
    mu_loop_timer_free(watch->own.loop, watch->timer);
    watch->timer = mu_loop_after(watch->own.loop, ms, call, watch);
}

/* Milliseconds until something may happen; -1: only when a job ends. */
static int64_t next_ms(const struct mu_agent_watch *watch)
{
    int64_t now_s = now_of(watch), at_s = INT64_MAX;

    if (watch->running >= max_jobs(watch))
        return -1;
    if (watch->heap.n > 0)
        at_s = watch->heap.v[0]->at_s;
    if (watch->ready.n > 0 && watch->minute_s + MINUTE_S < at_s)
        at_s = watch->minute_s + MINUTE_S;
    if (at_s == INT64_MAX)
        return -1;
    return at_s > now_s ? (at_s - now_s) * 1000 : 0;
}

static void turn(void *cookie)
{
    struct mu_agent_watch *watch = cookie;
    bool more;
    int64_t ms;

    if (now_of(watch) >= watch->scanned_s + mu_agent_watch_interval(watch))
        mu_agent_watch_rescan(watch);
    if (!watch->is_sweeping)
        watch->saves_left = SAVES;
    more = look_slice(watch);
    if (!more && watch->is_sweeping) {
        watch->is_sweeping = false;
        watch->saves_left = SAVES;
    }
    if (!more)
        start_ready(watch);
    ms = more ? 0 : next_ms(watch);
    if (watch->on_idle != NULL && !more && watch->running == 0 && watch->ready.n == 0
        && (watch->heap.n == 0 || watch->heap.v[0]->at_s > now_of(watch))) {
        timer_set(watch, 0, on_idle);
        return;
    }
    if (ms < 0)
        ms = mu_agent_watch_interval(watch) * 1000;
    timer_set(watch, ms, turn);
}

void mu_agent_watch_wake(struct mu_agent_watch *watch)
{
    if (watch->is_started)
        timer_set(watch, 0, turn);
}

/* ---- the clock ---- */

static void all_now(struct mu_agent_watch *watch)
{
    int64_t now_s = now_of(watch);

    for (size_t i = 0; i < watch->entry_n; i++) {
        struct mu_watch_entry *entry = watch->entries[i];

        entry->hold_until_s = 0;
        entry->refused = 0;
        if (entry->run != NULL)
            continue;
        entry->at_s = now_s;
        mu_agent_watch_heap_take(&watch->ready, entry);
        mu_agent_watch_heap_put(&watch->heap, entry);
    }
    watch->minute_s = watch->minute_s > now_s ? 0 : watch->minute_s;
    mu_agent_watch_wake(watch);
}

/* M803: the timer counts what has passed, the wall clock what is. Every time in the heap is the wall's. */
static void on_tick(void *cookie)
{
    struct mu_agent_watch *watch = cookie;
    int64_t now_s = now_of(watch), jump_s = now_s - watch->tick_s - TICK_S;
    struct mu_buf text = {.max = 64};
    struct mu_err what = {0};

    mu_loop_timer_free(watch->own.loop, watch->tick);
    watch->tick_s = now_s;
    watch->tick = mu_loop_after(watch->own.loop, TICK_S * 1000, on_tick, watch);
    if (jump_s <= JUMP_S && jump_s >= -JUMP_S)
        return;
    mu_buf_put_str(&text, jump_s < 0 ? "-" : "+");
    mu_text_duration_format(&text, jump_s < 0 ? -jump_s : jump_s);
    mu_err_set(&what, MU_DENIED, MU_M(803), "the clock jumped by %s", mu_buf_str(&text));
    mu_agent_watch_emit(watch, NULL, MU_AGENT_EVENT_CLOCK, &what, 0);
    mu_buf_clear(&text);
    all_now(watch);
}

/* ---- for the program ---- */

void mu_agent_watch_note(struct mu_agent_watch *watch, const char *name, const struct mu_err *err)
{
    if (watch->config.on_note != NULL)
        watch->config.on_note(watch->config.listener, name, err);
}

static void agents_set(struct mu_agent_watch *watch)
{
    watch->own = *watch->config.agent;
    watch->own.config = watch->config.config;
    watch->own.host = watch->config.host;
    watch->own.by_itself = true;
    watch->own.deploys = watch->config.deploy_start != NULL;
    watch->person = watch->own;
    watch->person.by_itself = false;
}

enum mu_code mu_agent_watch_new(const struct mu_agent_watch_config *config,
    struct mu_agent_watch **out, struct mu_err *err)
{
    struct mu_agent_watch *watch = calloc(1, sizeof(*watch));
    enum mu_code rc;

    if (watch == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the agent");
    watch->config = *config;
    if (config->config != NULL)
        watch->config.config = mu_agent_config_ref(config->config);
    watch->ready.is_ready = true;
    agents_set(watch);
    if ((rc = mu_agent_watch_scan(watch, err)) != MU_OK) {
        mu_agent_watch_free(watch);
        return rc;
    }
    *out = watch;
    return MU_OK;
}

void mu_agent_watch_free(struct mu_agent_watch *watch)
{
    if (watch == NULL)
        return;
    while (watch->runs != NULL)
        mu_agent_watch_run_free(watch->runs);
    mu_agent_job_cancel(watch->clock_job);
    mu_loop_timer_free(watch->own.loop, watch->timer);
    mu_loop_timer_free(watch->own.loop, watch->tick);
    for (size_t i = 0; i < watch->entry_n; i++)
        mu_agent_watch_entry_free(watch->entries[i]);
    free(watch->entries);
    free(watch->heap.v);
    free(watch->ready.v);
    if (watch->config.config != NULL)
        mu_agent_config_free(watch->config.config);
    free(watch);
}

enum mu_code mu_agent_watch_reload(
    struct mu_agent_watch *watch, struct mu_agent_config *config, struct mu_err *err)
{
    struct mu_agent_config *before = watch->config.config;
    enum mu_code rc;

    watch->config.config = config != NULL ? mu_agent_config_ref(config) : NULL;
    agents_set(watch); /* the names are those of the new one */
    if ((rc = mu_agent_watch_scan(watch, err)) != MU_OK) {
        if (watch->config.config != NULL)
            mu_agent_config_free(watch->config.config);
        watch->config.config = before;
        agents_set(watch);
        return rc;
    }
    if (before != NULL)
        mu_agent_config_free(before);
    for (size_t i = 0; i < watch->entry_n; i++)
        watch->entries[i]->resume = true;
    all_now(watch);
    return MU_OK;
}

void mu_agent_watch_touch(struct mu_agent_watch *watch, const char *name)
{
    struct mu_watch_entry *entry = name != NULL ? mu_agent_watch_find(watch, name) : NULL;

    if (entry == NULL)
        mu_agent_watch_rescan(watch);
    if (name == NULL) {
        all_now(watch);
        return;
    }
    if ((entry = mu_agent_watch_find(watch, name)) == NULL || entry->run != NULL)
        return; /* what runs is followed by a look */
    entry->hold_until_s = 0;
    mu_agent_watch_schedule(watch, entry, now_of(watch));
    mu_agent_watch_wake(watch);
}

void mu_agent_watch_start(struct mu_agent_watch *watch)
{
    watch->is_started = watch->is_sweeping = true;
    watch->saves_left = SAVES;
    watch->tick_s = now_of(watch);
    mu_loop_timer_free(watch->own.loop, watch->tick);
    watch->tick = mu_loop_after(watch->own.loop, TICK_S * 1000, on_tick, watch);
    mu_agent_watch_wake(watch);
}

void mu_agent_watch_run_once(
    struct mu_agent_watch *watch, void (*call)(void *cookie), void *cookie)
{
    watch->on_idle = call;
    watch->idle_cookie = cookie;
    for (size_t i = 0; i < watch->entry_n; i++)
        watch->entries[i]->resume = false; /* a timer is no restart: what was given up stays so */
    mu_agent_watch_start(watch);
}

enum mu_code mu_agent_watch_wish(struct mu_agent_watch *watch, const char *name,
    enum mu_agent_watch_wish wish, struct mu_err *err)
{
    struct mu_watch_entry *entry = mu_agent_watch_find(watch, name);

    if (entry == NULL) {
        mu_agent_watch_rescan(watch);
        entry = mu_agent_watch_find(watch, name);
    }
    if (entry == NULL)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", name);
    return mu_agent_watch_run_wish(watch, entry, wish, err);
}

void mu_agent_watch_counts(const struct mu_agent_watch *watch, struct mu_agent_watch_counts *out)
{
    *out = (struct mu_agent_watch_counts){
        .entries = watch->entry_n, .running = watch->running, .ready = watch->ready.n};
    for (size_t i = 0; i < watch->entry_n; i++)
        out->unseen += !watch->entries[i]->is_seen;
}

int64_t mu_agent_watch_next(const struct mu_agent_watch *watch, const char *name)
{
    const struct mu_watch_entry *entry = name != NULL ? mu_agent_watch_find(watch, name)
        : watch->heap.n > 0                          ? watch->heap.v[0]
                                                     : NULL;

    return entry != NULL && entry->run == NULL && entry->heap_at != 0 ? entry->at_s : 0;
}
