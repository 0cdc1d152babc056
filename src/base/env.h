/*
 * What the outside gives to pure code: the time, randomness, and somebody who listens to the
 * trace. One vocabulary of steps serves command line, log, console and pages.
 */
#ifndef MU_BASE_ENV_H
#define MU_BASE_ENV_H

#include "base/bytes.h"
#include "base/err.h"

enum mu_proto { MU_PROTO_NONE, MU_PROTO_SCEP, MU_PROTO_EST, MU_PROTO_CMP };

/* Lower-case word ("scep"), or "" for MU_PROTO_NONE. */
const char *mu_proto_name(enum mu_proto proto);
/* MU_PROTO_NONE if the word is unknown. */
enum mu_proto mu_proto_parse(const char *word);

enum mu_trace_step {
    MU_TRACE_START, MU_TRACE_TRUST, MU_TRACE_RESOLVE, MU_TRACE_CONNECT, MU_TRACE_TLS,
    MU_TRACE_AUTH, MU_TRACE_HTTP, MU_TRACE_CAPS, MU_TRACE_CA, MU_TRACE_CSRATTRS,
    MU_TRACE_REQUEST, MU_TRACE_REPLY, MU_TRACE_POLL, MU_TRACE_CERT, MU_TRACE_CHANGED,
    MU_TRACE_SAVED, MU_TRACE_CONFIRM, MU_TRACE_RESULT,
    MU_TRACE_CHECK, /* responder: one per check and policy rule, with its result */
};

const char *mu_trace_step_name(enum mu_trace_step step);

struct mu_trace_event {
    enum mu_proto proto;
    enum mu_trace_step step;
    const char *text; /* one line, escaped, secrets already '*' */
};

struct mu_env {
    int64_t (*now)(void *ctx);                      /* seconds since 1970 */
    bool (*random)(void *ctx, uint8_t *p, size_t n); /* false: no randomness, do not go on */
    void (*trace)(void *ctx, const struct mu_trace_event *event); /* may be NULL */
    void *ctx;
};

int64_t mu_env_now(const struct mu_env *env);
enum mu_code mu_env_random(const struct mu_env *env, uint8_t *p, size_t n, struct mu_err *err)
    MU_CHECK;
/* Formats one line and hands it to env->trace, if there is one. Control characters in the result
 * are escaped; callers put '*' for secrets. */
void mu_trace(const struct mu_env *env, enum mu_proto proto, enum mu_trace_step step,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Multi-line free: emits "<prefix><line>" once for each of the text's lines. */
bool mu_trace_on(const struct mu_env *env);

/* The system's clock and getrandom(2). Only programs use it. trace is NULL.
 * Where the build allows it (test builds, demo), MUSTER_CLOCK_SHIFT seconds are added after
 * mu_env_system_allow_shift. */
struct mu_env mu_env_system(void);
void mu_env_system_allow_shift(void);
/* What MUSTER_CLOCK_SHIFT adds, 0 if not allowed. */
int64_t mu_env_system_shift(void);

#endif
