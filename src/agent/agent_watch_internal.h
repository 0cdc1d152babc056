/* What the files of the watch share: entries, the two heaps of them, and what runs for one. */
#ifndef MU_AGENT_WATCH_INTERNAL_H
#define MU_AGENT_WATCH_INTERNAL_H

#include "agent/agent_internal.h"
#include "agent/agent_watch.h"

struct watch_run;

/* One of ten thousand: kept small. */
struct watch_entry {
    char *name;
    int64_t at_s;            /* looked at then */
    int64_t need_s;          /* ready: the end of its certificate, the nearest goes first */
    int64_t hold_until_s;    /* something here, not the CA, is in the way: no action before */
    struct watch_run *run;   /* what runs for it; NULL: nothing */
    uint32_t heap_at, ready_at; /* place in the heap, plus 1; 0: not in it */
    uint8_t holds;           /* in a row */
    uint8_t event;           /* enum mu_agent_hook_event of the deployment that is owed */
    bool is_seen, is_gone;   /* gone: from the lists; freed when nothing runs for it */
    bool resume;             /* a restart or Apply: go on with what was given up */
};

/* Entries by a time; the nearest first. */
struct watch_heap {
    struct watch_entry **v;
    size_t n, room;
    bool is_ready; /* by need_s and ready_at, else at_s and heap_at */
};

struct mu_agent_watch {
    struct mu_agent_watch_config config;
    struct mu_agent own, person; /* the same but for by_itself */
    struct watch_entry **entries; /* by name */
    size_t entry_n;
    struct watch_heap heap, ready;
    struct watch_run *runs;
    size_t running;
    struct mu_loop_timer *timer, *tick;
    int64_t tick_s;       /* the wall clock when the tick was set */
    int64_t sure_s;       /* the latest of all records */
    int64_t scanned_s;    /* the store's names */
    /* the pace of requests: so many in the minute that began then */
    int64_t minute_s;
    unsigned started, quota;
    unsigned saves_left;  /* records that may be written in this turn of the loop */
    bool is_started, is_sweeping; /* sweeping: the first look at all of them */
    bool clock_told;      /* M801 */
    int64_t clock_asked_s;
    struct mu_agent_job *clock_job;
    void (*on_idle)(void *cookie);
    void *idle_cookie;
};

enum watch_kind { WATCH_JOB, WATCH_DEPLOY, WATCH_HOOK };

struct watch_run {
    struct watch_run *next;
    struct mu_agent_watch *watch;
    struct watch_entry *entry;
    enum watch_kind kind;
    struct mu_agent *agent;           /* own or person */
    struct mu_agent_config *config;   /* the one it began with */
    bool is_configured;
    struct mu_agent_config_entry plan; /* if configured */
    enum mu_lifecycle_action action;
    enum mu_agent_watch_wish wish;    /* of a person */
    bool is_wish;
    size_t route;
    bool next_ca;
    int64_t started_s;
    struct mu_agent_job *job;
    struct mu_agent_deploy *deploy;
    struct mu_loop_timer *timer;      /* the end, outside of the job's own call */
    enum mu_agent_result result;
    bool has_err, is_late;
    struct mu_err err;
    struct mu_agent_deploy_outcome outcome;
};

/* ---- agent_watch.c ---- */
void watch_heap_put(struct watch_heap *heap, struct watch_entry *entry);
void watch_heap_take(struct watch_heap *heap, struct watch_entry *entry);
/* Looks at it then, and not later than the check interval says. */
void watch_schedule(struct mu_agent_watch *watch, struct watch_entry *entry, int64_t at_s);
/* There may be something to do: the timer is set anew. */
void watch_wake(struct mu_agent_watch *watch);
void watch_note(struct mu_agent_watch *watch, const char *name, const struct mu_err *err);
int64_t watch_interval(const struct mu_agent_watch *watch);
void watch_entry_free(struct watch_entry *entry);

/* ---- agent_watch_look.c ---- */
/* Reads what there is, decides, tells, and says what to do now. MU_LIFECYCLE_WAIT: it is scheduled. */
struct watch_look {
    struct mu_agent_life life;
    struct mu_lifecycle_policy policy;
    struct mu_lifecycle_decision decision;
};
enum mu_lifecycle_action watch_look(
    struct mu_agent_watch *watch, struct watch_entry *entry, struct watch_look *look);
/* A local fault: no action for a while, longer each time. */
void watch_hold(struct mu_agent_watch *watch, struct watch_entry *entry, int64_t least_s);
/* Under the entry's lock: what happened, or (what NULL) the record as given. False: not now. */
bool watch_save(struct mu_agent_watch *watch, const char *name, const struct mu_agent_life *life);
void watch_emit(struct mu_agent_watch *watch, const char *name, enum mu_agent_event_kind kind,
    enum mu_reason code, int days, const char *detail);

/* ---- agent_watch_run.c ---- */
void watch_run_start(struct mu_agent_watch *watch, struct watch_entry *entry,
    const struct watch_look *look);
enum mu_code watch_run_wish(struct mu_agent_watch *watch, struct watch_entry *entry,
    enum mu_agent_watch_wish wish, struct mu_err *err) MU_CHECK;
/* Scripts that hear of something (failed, warning, expired). */
void watch_run_hook(struct mu_agent_watch *watch, struct watch_entry *entry,
    enum mu_agent_hook_event event, const struct mu_err *err);
void watch_run_free(struct watch_run *run);
/* The server's clock, where ours cannot be right. */
void watch_run_clock(struct mu_agent_watch *watch, const char *name);

#endif
