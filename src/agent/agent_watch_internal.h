/* What the files of the watch share: entries, the two heaps of them, and what runs for one. */
#ifndef MU_AGENT_WATCH_INTERNAL_H
#define MU_AGENT_WATCH_INTERNAL_H

#include "agent/agent_internal.h"
#include "agent/agent_watch.h"

struct mu_watch_run;

/* One of ten thousand: kept small. */
struct mu_watch_entry {
    char *name;
    int64_t at_s;            /* looked at then */
    int64_t need_s;          /* ready: the end of its certificate, the nearest goes first */
    int64_t hold_until_s;    /* something here, not the CA, is in the way: no action before */
    struct mu_watch_run *run;   /* what runs for it; NULL: nothing */
    uint32_t heap_at, ready_at; /* place in the heap, plus 1; 0: not in it */
    int64_t refused_until_s; /* routes that refused are left out so long, while there are others */
    uint8_t refused;         /* which of them: a bit each */
    uint8_t holds;           /* in a row */
    uint8_t event;           /* enum mu_agent_hook_event of the deployment that is owed */
    bool is_seen, is_gone;   /* gone: from the lists; freed when nothing runs for it */
    bool ca_changed;         /* a script has to hear of it */
    bool resume;             /* a restart or Apply: go on with what was given up */
};

/* Entries by a time; the nearest first. */
struct mu_watch_heap {
    struct mu_watch_entry **v;
    size_t n, room;
    bool is_ready; /* by need_s and ready_at, else at_s and heap_at */
};

struct mu_agent_watch {
    struct mu_agent_watch_config config;
    struct mu_agent own, person; /* the same but for by_itself */
    struct mu_watch_entry **entries; /* by name */
    size_t entry_n;
    struct mu_watch_heap heap, ready;
    struct mu_watch_run *runs;
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
    int64_t clock_asked_s, clock_off_s;
    struct mu_agent_job *clock_job;
    void (*on_idle)(void *cookie);
    void *idle_cookie;
};

struct mu_watch_run {
    struct mu_watch_run *next;
    struct mu_agent_watch *watch;
    struct mu_watch_entry *entry;
    struct mu_agent *agent;            /* own or person */
    struct mu_agent_config *config;    /* the one it began with */
    bool has_plan;
    struct mu_agent_config_entry plan; /* of the route */
    enum mu_lifecycle_action action;
    enum mu_agent_watch_wish wish;     /* of a person */
    bool is_wish, is_told, is_deployed; /* told: a script hears of something */
    bool next_ca, is_fallback, had_pending;
    size_t route;
    int64_t started_s, next_try_s;
    struct mu_agent_job *job;
    struct mu_agent_deploy *deploy;
    struct mu_loop_timer *timer;       /* what follows, outside of the job's own call */
    enum mu_agent_result result;
    struct mu_err err;                 /* of the job, or what a script is told; MU_OK: none */
    enum mu_agent_hook_event hook_event; /* of that script */
};

/* ---- agent_watch_entry.c ---- */
/* Put takes it out first where it is in; who is not in is taken out all the same. */
void mu_agent_watch_heap_put(struct mu_watch_heap *heap, struct mu_watch_entry *entry);
void mu_agent_watch_heap_take(struct mu_watch_heap *heap, struct mu_watch_entry *entry);
/* The names of store and configuration: new ones are looked at now, those that are gone are dropped. */
enum mu_code mu_agent_watch_scan(struct mu_agent_watch *watch, struct mu_err *err) MU_CHECK;
void mu_agent_watch_rescan(struct mu_agent_watch *watch); /* the same; what is wrong is noted */
struct mu_watch_entry *mu_agent_watch_find(const struct mu_agent_watch *watch, const char *name);
void mu_agent_watch_entry_free(struct mu_watch_entry *entry);

/* ---- agent_watch.c ---- */
/* Looks at it then, and not later than the check interval says. */
void mu_agent_watch_schedule(struct mu_agent_watch *watch, struct mu_watch_entry *entry, int64_t at_s);
/* There may be something to do: the timer is set anew. */
void mu_agent_watch_wake(struct mu_agent_watch *watch);
void mu_agent_watch_note(struct mu_agent_watch *watch, const char *name, const struct mu_err *err);
int64_t mu_agent_watch_interval(const struct mu_agent_watch *watch);

/* ---- agent_watch_look.c ---- */
/* Reads what there is, decides, tells, and says what to do now. MU_LIFECYCLE_WAIT: it is scheduled. */
struct mu_watch_look {
    struct mu_agent_life life;
    struct mu_lifecycle_policy policy;
    struct mu_lifecycle_decision decision;
    bool is_dry; /* is there something to tell? nothing is told */
};
enum mu_lifecycle_action mu_agent_watch_look(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look);
/* A local fault: no action for a while, longer each time. */
void mu_agent_watch_hold(struct mu_agent_watch *watch, struct mu_watch_entry *entry, int64_t least_s);
/* Writes the record under the entry's lock. False: not now. */
bool mu_agent_watch_save(struct mu_agent_watch *watch, const char *name, const struct mu_agent_life *life);

/* ---- agent_watch_tell.c ---- */
/* what: the sentence with its code and next step; days: of a warning. */
void mu_agent_watch_emit(struct mu_agent_watch *watch, const char *name, enum mu_agent_event_kind kind,
    const struct mu_err *what, int days);
/* M801: one clock for all, so it is said once until it is right again. */
void mu_agent_watch_tell_clock(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, const struct mu_watch_look *look);
/* What is told has to be written, or it is told again; so it may have to wait for its turn. False: it waits. */
bool mu_agent_watch_tell(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look);

/* ---- agent_watch_run.c ---- */
struct mu_watch_run *mu_agent_watch_run_new(struct mu_agent_watch *watch, struct mu_watch_entry *entry);
/* Cancels what runs. */
void mu_agent_watch_run_free(struct mu_watch_run *run);
/* The end: the entry is looked at at once, and what follows is decided by what is on disk then. */
void mu_agent_watch_run_end(struct mu_watch_run *run);
void mu_agent_watch_run_later(struct mu_watch_run *run, int64_t ms, mu_loop_call *call);
/* Settings and hooks of the run's route. */
enum mu_code mu_agent_watch_run_plan(struct mu_watch_run *run, struct mu_err *err) MU_CHECK;
void mu_agent_watch_run_start(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, const struct mu_watch_look *look);
enum mu_code mu_agent_watch_run_wish(struct mu_agent_watch *watch, struct mu_watch_entry *entry,
    enum mu_agent_watch_wish wish, struct mu_err *err) MU_CHECK;
/* Asks a server for its clock, where ours cannot be right. */
void mu_agent_watch_run_clock(struct mu_agent_watch *watch, const char *name);

/* ---- agent_watch_deploy.c ---- */
enum mu_code mu_agent_watch_run_deploy(struct mu_watch_run *run, struct mu_err *err) MU_CHECK;
/* A script hears of it, and then the run ends; now, if there is none. */
void mu_agent_watch_run_tell(
    struct mu_watch_run *run, enum mu_agent_hook_event event, const struct mu_err *what);
/* The same within a look: entry->run is set if there is one. what NULL: nothing failed. */
void mu_agent_watch_run_hook(struct mu_agent_watch *watch, struct mu_watch_entry *entry,
    enum mu_agent_hook_event event, const struct mu_err *what);

#endif
