/*
 * What a job says to the CA, kept beside what its host wants to hear of it: the job hands on an environment
 * of its own, whose lines go to both. Best effort: a trace that cannot be written changes nothing of the job.
 */
#ifndef MU_AGENT_TRACE_H
#define MU_AGENT_TRACE_H

#include "base/env.h"
#include "keystore/keystore_trace.h"

struct mu_agent;

struct mu_agent_trace {
    struct mu_env env;            /* for everybody who works for the job */
    const struct mu_env *outer;
    struct mu_keystore *store;
    char entry[MU_KEYSTORE_NAME];
    char name[MU_KEYSTORE_TRACE]; /* "": nothing was written yet */
    struct mu_buf lines;          /* not written yet */
    int64_t max;                  /* of the ring; 0: nothing is kept */
};

/* Not to be moved afterwards. entry NULL: the host alone hears of it. */
void mu_agent_trace_init(struct mu_agent_trace *trace, const struct mu_agent *agent, const char *entry);
/* A request that was out already goes on in its own trace. */
void mu_agent_trace_resume(struct mu_agent_trace *trace, const char *name);
/* To the file, before something that may take long. */
void mu_agent_trace_flush(struct mu_agent_trace *trace);
/* The same, and what is too old goes. */
void mu_agent_trace_end(struct mu_agent_trace *trace);
void mu_agent_trace_clear(struct mu_agent_trace *trace);

/* ---- for those who look ---- */
/* Does this text of a trace speak of the transaction? In any case of letters, as people type it. */
bool mu_agent_trace_has(struct mu_bytes text, const char *transaction);
/* Which traces: of this entry, this one by its name, or those of this transaction (word NULL: all); of those that
 * speak of the transaction id (NULL: any); the latest of them only. Oldest first. MU_NOT_FOUND if there are none. */
struct mu_agent_trace_choice {
    const char *word, *id;
    bool last;
};
enum mu_code mu_agent_trace_each(struct mu_keystore *store, const struct mu_agent_trace_choice *choice,
    mu_keystore_each_call *call, void *cookie, struct mu_err *err) MU_CHECK;
/* One as an object: "trace", its "name", and its "lines". */
struct mu_agent_json;
enum mu_code mu_agent_trace_json(struct mu_keystore *store, const char *name, struct mu_agent_json *j,
    struct mu_err *err) MU_CHECK;

#endif
