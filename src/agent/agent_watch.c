/* The agent's loop: entries and their times, one timer, the pace of requests, clocks that jump. */
#include "agent/agent_watch_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

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

#define FIRST INT64_MIN /* need_s of what is not paced */

/* ---- heaps ---- */

static int64_t key_of(const struct watch_heap *heap, const struct watch_entry *entry)
{
    return heap->is_ready ? entry->need_s : entry->at_s;
}

static void place(struct watch_heap *heap, size_t i, struct watch_entry *entry)
{
    heap->v[i] = entry;
    if (heap->is_ready)
        entry->ready_at = (uint32_t)i + 1;
    else
        entry->heap_at = (uint32_t)i + 1;
}

static void sift(struct watch_heap *heap, size_t i, struct watch_entry *entry)
{
    int64_t key = key_of(heap, entry);

    for (; i > 0 && key_of(heap, heap->v[(i - 1) / 2]) > key; i = (i - 1) / 2)
        place(heap, i, heap->v[(i - 1) / 2]);
    for (size_t child; (child = 2 * i + 1) < heap->n; i = child) {
        if (child + 1 < heap->n && key_of(heap, heap->v[child + 1]) < key_of(heap, heap->v[child]))
            child++;
        if (key_of(heap, heap->v[child]) >= key)
            break;
        place(heap, i, heap->v[child]);
    }
    place(heap, i, entry);
}

void watch_heap_take(struct watch_heap *heap, struct watch_entry *entry)
{
    uint32_t *at = heap->is_ready ? &entry->ready_at : &entry->heap_at;
    size_t i = *at;

    if (i == 0)
        return;
    *at = 0;
    heap->n--;
    if (i - 1 < heap->n)
        sift(heap, i - 1, heap->v[heap->n]);
}

/* There is room for all entries: see entries_set. */
void watch_heap_put(struct watch_heap *heap, struct watch_entry *entry)
{
    watch_heap_take(heap, entry);
    heap->n++;
    sift(heap, heap->n - 1, entry);
}

/* ---- times ---- */

static int64_t now_of(const struct mu_agent_watch *watch)
{
    return mu_env_now(watch->own.env);
}

int64_t watch_interval(const struct mu_agent_watch *watch)
{
    const struct mu_agent_config_agent *own
        = watch->config.config != NULL ? mu_agent_config_agent(watch->config.config) : NULL;

    return own != NULL && own->check_interval_s > 0 ? own->check_interval_s : 3600;
}

/* Files change behind us: within each interval everything is looked at. By the minute, so that an
 * idle agent wakes sixty times an hour and not ten thousand. */
void watch_schedule(struct mu_agent_watch *watch, struct watch_entry *entry, int64_t at_s)
{
    int64_t interval_s = watch_interval(watch), now_s = now_of(watch), last_s;
    uint64_t spread = mu_enroll_lifecycle_spread("", entry->name);

    last_s = now_s + interval_s - mu_enroll_lifecycle_share(spread, (uint64_t)now_s, interval_s / 4);
    if (interval_s >= 4 * MINUTE_S)
        last_s -= last_s % MINUTE_S;
    entry->at_s = at_s < last_s ? at_s : last_s;
    watch_heap_take(&watch->ready, entry);
    watch_heap_put(&watch->heap, entry);
}

static unsigned max_jobs(const struct mu_agent_watch *watch)
{
    return watch->config.max_jobs != 0 ? watch->config.max_jobs : MAX_JOBS;
}

/* No minute sees more than ten and what spreads those that wait over one check interval: a start with
 * ten thousand that are due, or an end of an outage, is no rush. */
static bool may_start(struct mu_agent_watch *watch, const struct watch_entry *entry)
{
    int64_t now_s = now_of(watch);

    if (now_s >= watch->minute_s + MINUTE_S || now_s < watch->minute_s) {
        watch->minute_s = now_s;
        watch->started = 0;
        watch->quota = FREE_PACE
            + (unsigned)((int64_t)watch->ready.n * MINUTE_S / watch_interval(watch));
    }
    return watch->started < watch->quota || entry->need_s == FIRST
        || (entry->need_s > now_s && entry->need_s - now_s < URGENT_S);
}

/* ---- the loop ---- */

/* Polls and deployments are no requests: they go first, and at any pace. */
static void ready_put(struct mu_agent_watch *watch, struct watch_entry *entry,
    enum mu_lifecycle_action action, const struct watch_look *look)
{
    int64_t end_s = look->life.life.not_after_s;

    entry->need_s = end_s != 0 ? end_s : now_of(watch);
    if (action == MU_LIFECYCLE_POLL || action == MU_LIFECYCLE_DEPLOY)
        entry->need_s = FIRST;
    watch_heap_take(&watch->heap, entry);
    watch_heap_put(&watch->ready, entry);
}

static bool look_slice(struct mu_agent_watch *watch)
{
    struct watch_look look;
    int n = 0;

    while (watch->heap.n > 0 && watch->heap.v[0]->at_s <= now_of(watch)) {
        struct watch_entry *entry = watch->heap.v[0];
        enum mu_lifecycle_action action;

        if (n++ == SLICE)
            return true;
        if ((action = watch_look(watch, entry, &look)) != MU_LIFECYCLE_WAIT)
            ready_put(watch, entry, action, &look);
    }
    return false;
}

/* The first look at all of them does not wait for jobs; these come afterwards, by need. Much may have
 * happened while one waited for its turn: it is looked at again. */
static void start_ready(struct mu_agent_watch *watch)
{
    struct watch_look look;

    while (watch->ready.n > 0 && watch->running < max_jobs(watch)
        && may_start(watch, watch->ready.v[0])) {
        struct watch_entry *entry = watch->ready.v[0];
        enum mu_lifecycle_action action = watch_look(watch, entry, &look);

        if (action == MU_LIFECYCLE_WAIT)
            continue; /* it is back in the heap */
        watch->started += action == MU_LIFECYCLE_ENROLL || action == MU_LIFECYCLE_RENEW;
        watch_heap_take(&watch->ready, entry);
        watch_run_start(watch, entry, &look);
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

static void rescan(struct mu_agent_watch *watch);

static void turn(void *cookie)
{
    struct mu_agent_watch *watch = cookie;
    bool more;
    int64_t ms;

    if (now_of(watch) >= watch->scanned_s + watch_interval(watch))
        rescan(watch);
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
        ms = watch_interval(watch) * 1000;
    timer_set(watch, ms, turn);
}

void watch_wake(struct mu_agent_watch *watch)
{
    if (watch->is_started)
        timer_set(watch, 0, turn);
}

/* ---- the clock ---- */

static void all_now(struct mu_agent_watch *watch)
{
    int64_t now_s = now_of(watch);

    for (size_t i = 0; i < watch->entry_n; i++) {
        struct watch_entry *entry = watch->entries[i];

        entry->hold_until_s = 0;
        if (entry->run != NULL)
            continue;
        entry->at_s = now_s;
        watch_heap_take(&watch->ready, entry);
        watch_heap_put(&watch->heap, entry);
    }
    watch->minute_s = watch->minute_s > now_s ? 0 : watch->minute_s;
    watch_wake(watch);
}

/* M803: the timer counts what has passed, the wall clock what is. Every time in the heap is the wall's. */
static void on_tick(void *cookie)
{
    struct mu_agent_watch *watch = cookie;
    int64_t now_s = now_of(watch), jump_s = now_s - watch->tick_s - TICK_S;
    struct mu_buf text = {.max = 64};

    mu_loop_timer_free(watch->own.loop, watch->tick);
    watch->tick_s = now_s;
    watch->tick = mu_loop_after(watch->own.loop, TICK_S * 1000, on_tick, watch);
    if (jump_s <= JUMP_S && jump_s >= -JUMP_S)
        return;
    mu_buf_put_str(&text, jump_s < 0 ? "-" : "+");
    mu_text_duration_format(&text, jump_s < 0 ? -jump_s : jump_s);
    watch_emit(watch, NULL, MU_AGENT_EVENT_CLOCK, MU_M(803), 0, mu_buf_str(&text));
    mu_buf_clear(&text);
    all_now(watch);
}

/* ---- entries ---- */

void watch_entry_free(struct watch_entry *entry)
{
    free(entry->name);
    free(entry);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **v;
    size_t n, room;
    bool failed;
};

static void names_add(void *cookie, const char *name)
{
    struct names *names = cookie;

    if (names->n == names->room) {
        size_t room = names->room != 0 ? names->room * 2 : 64;
        void *grown = realloc(names->v, room * sizeof(*names->v));

        if (grown == NULL) {
            names->failed = true;
            return;
        }
        names->v = grown;
        names->room = room;
    }
    if ((names->v[names->n] = strdup(name)) == NULL)
        names->failed = true;
    else
        names->n++;
}

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->v[i]);
    free(names->v);
}

static enum mu_code names_read(struct mu_agent_watch *watch, struct names *names, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_each(watch->own.store, names_add, names, err);
    const char *name;
    size_t n = 0;

    if (rc != MU_OK)
        return rc;
    for (size_t i = 0; watch->config.config != NULL
         && (name = mu_agent_config_entry_at(watch->config.config, i)) != NULL;
         i++)
        names_add(names, name);
    if (names->failed)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the list of entries");
    if (names->n > 0)
        qsort(names->v, names->n, sizeof(*names->v), by_name);
    for (size_t i = 0; i < names->n; i++) {
        if (n > 0 && strcmp(names->v[n - 1], names->v[i]) == 0)
            free(names->v[i]);
        else
            names->v[n++] = names->v[i];
    }
    names->n = n;
    return MU_OK;
}

static struct watch_entry *entry_new(struct mu_agent_watch *watch, char **name)
{
    struct watch_entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    entry->name = *name;
    *name = NULL;
    entry->at_s = now_of(watch);
    entry->event = MU_AGENT_HOOK_RENEWED;
    entry->resume = true;
    return entry;
}

static void entry_drop(struct mu_agent_watch *watch, struct watch_entry *entry)
{
    watch_heap_take(&watch->heap, entry);
    watch_heap_take(&watch->ready, entry);
    if (entry->run != NULL)
        entry->is_gone = true;
    else
        watch_entry_free(entry);
}

static bool heap_room(struct watch_heap *heap, size_t n)
{
    void *grown;

    if (n <= heap->room)
        return true;
    if ((grown = realloc(heap->v, n * sizeof(*heap->v))) == NULL)
        return false;
    heap->v = grown;
    heap->room = n;
    return true;
}

/* Merges the names, both sorted, into the entries that are there. */
static enum mu_code entries_set(
    struct mu_agent_watch *watch, struct names *names, struct mu_err *err)
{
    struct watch_entry **v = calloc(names->n + 1, sizeof(*v));
    size_t old = 0, n = 0;

    if (v == NULL || !heap_room(&watch->heap, names->n + 1)
        || !heap_room(&watch->ready, names->n + 1)) {
        free(v);
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the entries");
    }
    for (size_t i = 0; i < names->n; i++) {
        while (old < watch->entry_n && strcmp(watch->entries[old]->name, names->v[i]) < 0)
            entry_drop(watch, watch->entries[old++]);
        if (old < watch->entry_n && strcmp(watch->entries[old]->name, names->v[i]) == 0) {
            v[n++] = watch->entries[old++];
        } else if ((v[n] = entry_new(watch, &names->v[i])) != NULL) {
            watch_heap_put(&watch->heap, v[n++]);
        }
    }
    while (old < watch->entry_n)
        entry_drop(watch, watch->entries[old++]);
    free(watch->entries);
    watch->entries = v;
    watch->entry_n = n;
    return MU_OK;
}

static enum mu_code scan(struct mu_agent_watch *watch, struct mu_err *err)
{
    struct names names = {0};
    enum mu_code rc = names_read(watch, &names, err);

    if (rc == MU_OK)
        rc = entries_set(watch, &names, err);
    names_clear(&names);
    watch->scanned_s = now_of(watch);
    return rc;
}

static void rescan(struct mu_agent_watch *watch)
{
    struct mu_err err = {0};

    if (scan(watch, &err) != MU_OK)
        watch_note(watch, NULL, &err);
}

static struct watch_entry *entry_find(const struct mu_agent_watch *watch, const char *name)
{
    size_t low = 0, high = watch->entry_n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(watch->entries[mid]->name, name);

        if (c == 0)
            return watch->entries[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* ---- for the program ---- */

void watch_note(struct mu_agent_watch *watch, const char *name, const struct mu_err *err)
{
    if (watch->config.on_note != NULL)
        watch->config.on_note(watch->config.cookie, name, err);
}

static void agents_set(struct mu_agent_watch *watch)
{
    watch->own = *watch->config.agent;
    watch->own.config = watch->config.config;
    watch->own.host = watch->config.host;
    watch->own.by_itself = true;
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
    if ((rc = scan(watch, err)) != MU_OK) {
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
        watch_run_free(watch->runs);
    mu_agent_job_cancel(watch->clock_job);
    mu_loop_timer_free(watch->own.loop, watch->timer);
    mu_loop_timer_free(watch->own.loop, watch->tick);
    for (size_t i = 0; i < watch->entry_n; i++)
        watch_entry_free(watch->entries[i]);
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
    if ((rc = scan(watch, err)) != MU_OK) {
        if (watch->config.config != NULL)
            mu_agent_config_free(watch->config.config);
        watch->config.config = before;
        return rc;
    }
    if (before != NULL)
        mu_agent_config_free(before);
    agents_set(watch);
    for (size_t i = 0; i < watch->entry_n; i++)
        watch->entries[i]->resume = true;
    all_now(watch);
    return MU_OK;
}

void mu_agent_watch_touch(struct mu_agent_watch *watch, const char *name)
{
    struct watch_entry *entry = name != NULL ? entry_find(watch, name) : NULL;

    if (entry == NULL)
        rescan(watch);
    if (name == NULL) {
        all_now(watch);
        return;
    }
    if ((entry = entry_find(watch, name)) == NULL || entry->run != NULL)
        return; /* what runs is followed by a look */
    entry->hold_until_s = 0;
    watch_schedule(watch, entry, now_of(watch));
    watch_wake(watch);
}

void mu_agent_watch_start(struct mu_agent_watch *watch)
{
    watch->is_started = watch->is_sweeping = true;
    watch->saves_left = SAVES;
    watch->tick_s = now_of(watch);
    mu_loop_timer_free(watch->own.loop, watch->tick);
    watch->tick = mu_loop_after(watch->own.loop, TICK_S * 1000, on_tick, watch);
    watch_wake(watch);
}

void mu_agent_watch_run_once(
    struct mu_agent_watch *watch, void (*call)(void *cookie), void *cookie)
{
    watch->on_idle = call;
    watch->idle_cookie = cookie;
    mu_agent_watch_start(watch);
}

enum mu_code mu_agent_watch_wish(struct mu_agent_watch *watch, const char *name,
    enum mu_agent_watch_wish wish, struct mu_err *err)
{
    struct watch_entry *entry = entry_find(watch, name);

    if (entry == NULL) {
        rescan(watch);
        entry = entry_find(watch, name);
    }
    if (entry == NULL)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", name);
    return watch_run_wish(watch, entry, wish, err);
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
    const struct watch_entry *entry = entry_find(watch, name);

    return entry != NULL && entry->run == NULL && entry->heap_at != 0 ? entry->at_s : 0;
}
