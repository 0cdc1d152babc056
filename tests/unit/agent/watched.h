/* A watch over a world: the responder in memory, a fake clock, deployments that are only noted. */
#ifndef AGENT_WATCHED_H
#define AGENT_WATCHED_H

#include "conf.h"
#include "world.h"

#include "agent/agent_watch.h"

enum { HOUR = 3600, DAY = 86400 };

struct watched {
    struct world *w;
    struct conf conf;
    struct mu_agent_watch *watch;
    /* what was seen */
    struct mu_buf events;    /* "WARNING web M604 14\n" */
    struct mu_buf said;      /* of those with a code: "M313 still pending .... muster poll ..." */
    struct mu_buf notes;     /* of the watch: a line each */
    unsigned jobs, failures; /* ended */
    unsigned deploys, told;  /* deployments, and scripts that heard of something */
    unsigned ca_changed;     /* how often a script heard of it */
    enum mu_agent_hook_event last_told, last_deploy;
    unsigned last_attempt;
    /* switches */
    unsigned deploy_fails;   /* so many */
    bool idle;
};

int watched_setup(void **state);    /* *state: struct watched; the CA is trusted, one key for all */
int watched_teardown(void **state);
/* muster.conf gets [ca "a"] of the responder, these lines behind it; then a new watch is started. */
void watched_config(struct watched *t, const char *text);
void watched_restart(struct watched *t); /* the program anew: store, agent, watch */
void watched_run(struct watched *t, int64_t seconds);
int64_t watched_now(struct watched *t);
struct mu_agent_life watched_life(struct watched *t, const char *name);
bool watched_heard(struct watched *t, const char *line);
bool watched_said(struct watched *t, const char *words);
unsigned watched_count(struct watched *t, const char *word);
/* Requests since then that the CA answered, as the record has them. */
unsigned watched_answers(const struct mu_agent_life *life, int64_t since_s);

#endif
