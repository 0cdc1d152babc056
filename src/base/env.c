/* Names of protocols and trace steps, and the system's own clock and randomness. */
#include "base/env.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/buf.h"
#include "base/text.h"

enum { TRACE_LINE_MAX = 64 * 1024 }; /* a CSR in base64 is the longest thing a line holds */

static const char *const proto_names[] = {
    [MU_PROTO_NONE] = "",
    [MU_PROTO_SCEP] = "scep",
    [MU_PROTO_EST] = "est",
    [MU_PROTO_CMP] = "cmp",
};

static const char *const step_names[] = {
    [MU_TRACE_START] = "start",
    [MU_TRACE_TRUST] = "trust",
    [MU_TRACE_RESOLVE] = "resolve",
    [MU_TRACE_CONNECT] = "connect",
    [MU_TRACE_TLS] = "tls",
    [MU_TRACE_AUTH] = "auth",
    [MU_TRACE_HTTP] = "http",
    [MU_TRACE_CAPS] = "caps",
    [MU_TRACE_CA] = "ca",
    [MU_TRACE_CSRATTRS] = "csrattrs",
    [MU_TRACE_REQUEST] = "request",
    [MU_TRACE_REPLY] = "reply",
    [MU_TRACE_POLL] = "poll",
    [MU_TRACE_CERT] = "cert",
    [MU_TRACE_CHANGED] = "changed",
    [MU_TRACE_SAVED] = "saved",
    [MU_TRACE_CONFIRM] = "confirm",
    [MU_TRACE_RESULT] = "result",
    [MU_TRACE_CHECK] = "check",
};

const char *mu_proto_name(enum mu_proto proto)
{
    return (size_t)proto < sizeof proto_names / sizeof proto_names[0] ? proto_names[proto] : "";
}

enum mu_proto mu_proto_parse(const char *word)
{
    size_t i;

    for (i = MU_PROTO_SCEP; i < sizeof proto_names / sizeof proto_names[0]; i++) {
        if (word != NULL && strcmp(word, proto_names[i]) == 0)
            return (enum mu_proto)i;
    }
    return MU_PROTO_NONE;
}

const char *mu_trace_step_name(enum mu_trace_step step)
{
    return (size_t)step < sizeof step_names / sizeof step_names[0] ? step_names[step] : "";
}

int64_t mu_env_now(const struct mu_env *env)
{
    return env->now(env->ctx);
}

enum mu_code mu_env_random(const struct mu_env *env, uint8_t *p, size_t n, struct mu_err *err)
{
    if (!env->random(env->ctx, p, n))
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "no randomness available");
    return MU_OK;
}

bool mu_trace_on(const struct mu_env *env)
{
    return env != NULL && env->trace != NULL;
}

void mu_trace(
    const struct mu_env *env, enum mu_proto proto, enum mu_trace_step step, const char *fmt, ...)
{
    struct mu_trace_event event = {.proto = proto, .step = step};
    struct mu_buf escaped = {.max = 4 * TRACE_LINE_MAX + 16};
    char text[1024], *big = NULL;
    va_list args;
    int n;

    if (!mu_trace_on(env))
        return;
    va_start(args, fmt);
    n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof text) {
        va_start(args, fmt);
        if (vasprintf(&big, fmt, args) < 0)
            big = NULL;
        va_end(args);
    }
    mu_text_escape(&escaped, mu_bytes_str(big != NULL ? big : text), TRACE_LINE_MAX);
    event.text = mu_buf_str(&escaped);
    env->trace(env->ctx, &event);
    mu_buf_clear(&escaped);
    free(big);
}

/* What MUSTER_CLOCK_SHIFT adds; stays 0 unless the program allowed it. */
static int64_t shift_s;

static int64_t system_now(void *ctx)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec + shift_s;
}

static bool system_random(void *ctx, uint8_t *p, size_t n)
{
    ssize_t got;

    while (n != 0) {
        got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

struct mu_env mu_env_system(void)
{
    return (struct mu_env){.now = system_now, .random = system_random};
}

void mu_env_system_allow_shift(void)
{
    const char *text = getenv("MUSTER_CLOCK_SHIFT");
    const int64_t most = (int64_t)200 * 366 * 86400; /* two hundred years are a typing error */

    if (text == NULL || mu_text_int(text, -most, most, &shift_s, NULL) != MU_OK)
        shift_s = 0;
}

int64_t mu_env_system_shift(void)
{
    return shift_s;
}
