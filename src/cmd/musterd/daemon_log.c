/* Lines of the daemon's own, and where all lines go. */
#include "cmd/musterd/daemon_log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "cmd/musterd/daemon_sink.h"
#include "keystore/keystore_log.h"

/* The program has one log. */
static struct {
    const struct mu_env *env;
    struct mu_keystore *store;
    struct mu_daemon_sinks *sinks;
    enum mu_daemon_level level;
    bool front, lost;
} the_log = {.level = MU_DAEMON_INFO};

static const char *const level_words[] = {"debug", "information", "notice", "warning", "error"};

void mu_daemon_log_init(const struct mu_env *env, bool front)
{
    the_log.env = env;
    the_log.front = front;
}

void mu_daemon_log_store(struct mu_keystore *store)
{
    the_log.store = store;
}

static enum mu_code level_parse(const char *word, enum mu_daemon_level *out, struct mu_err *err)
{
    static const char *const words[] = {"debug", "info", "notice", "warning", "error", NULL};
    char shown[40];

    *out = MU_DAEMON_INFO;
    for (size_t i = 0; word != NULL && words[i] != NULL; i++) {
        *out = (enum mu_daemon_level)i;
        if (strcmp(word, words[i]) == 0)
            return MU_OK;
    }
    if (word == NULL)
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_M(706),
        "log-level: '%s' is none of debug, info, notice, warning, error",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
}

enum mu_code mu_daemon_log_config(const char *level, const char *notify, struct mu_err *err)
{
    struct mu_daemon_sinks *sinks = NULL;
    enum mu_daemon_level parsed;
    enum mu_code rc;

    if ((rc = level_parse(level, &parsed, err)) != MU_OK
        || (rc = mu_daemon_sink_open(notify, &sinks, err)) != MU_OK)
        return rc;
    mu_daemon_sink_close(the_log.sinks);
    the_log.sinks = sinks;
    the_log.level = parsed;
    return MU_OK;
}

void mu_daemon_log_close(void)
{
    mu_daemon_sink_close(the_log.sinks);
    the_log.sinks = NULL;
    the_log.store = NULL;
}

/* ---- one record ---- */

static void stderr_put(const char *line)
{
    struct mu_buf text = {.max = 64 * 1024};

    mu_buf_putf(&text, "%s\n", line);
    while (write(STDERR_FILENO, text.p, text.n) < 0 && errno == EINTR)
        ;
    mu_buf_clear(&text);
}

/* Told once when the store's own log cannot be written, and once when it can again. */
static void store_put(const char *line)
{
    struct mu_err err = {0};

    if (the_log.store == NULL)
        return;
    if (mu_keystore_log_append(the_log.store, mu_bytes_str(line), &err) == MU_OK) {
        the_log.lost = false;
    } else if (!the_log.lost) {
        the_log.lost = true; /* first: what follows comes here again */
        mu_daemon_log_error("log", &err);
    }
}

static void put(const struct mu_daemon_record *record)
{
    if (record->level < the_log.level)
        return;
    if (the_log.front)
        stderr_put(record->line);
    mu_daemon_sink_put(the_log.sinks, record, mu_env_now(the_log.env));
    if (record->level > MU_DAEMON_DEBUG) /* traces would push the events out */
        store_put(record->line);
}

static void put_time(struct mu_buf *line)
{
    struct mu_time_civil c;

    mu_time_civil(mu_env_now(the_log.env), &c);
    mu_buf_putf(line, "date=%04d-%02d-%02d time=%02d:%02d:%02d tz=+0000", c.year, c.month, c.day,
        c.hour, c.minute, c.second);
}

/* key="value" with '"' and '\' escaped; nothing for an empty one. */
static void put_quoted(struct mu_buf *line, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    mu_buf_putf(line, " %s=\"", key);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            mu_buf_put_byte(line, '\\');
        mu_buf_put_byte(line, *value == '\n' ? ' ' : (uint8_t)*value);
    }
    mu_buf_put_byte(line, '"');
}

/* Lays out the line of a record without one, and sends it off. */
static void compose(struct mu_daemon_record *r)
{
    struct mu_buf line = {.max = 8 * 1024};

    put_time(&line);
    mu_buf_putf(&line, " type=event subtype=%s level=%s action=%s status=%s", r->subtype,
        level_words[r->level], r->action, r->is_failure ? "failure" : "success");
    put_quoted(&line, "msg", r->msg);
    put_quoted(&line, "hint", r->hint);
    put_quoted(&line, "code", r->code);
    r->line = mu_buf_str(&line);
    put(r);
    mu_buf_clear(&line);
}

void mu_daemon_log_line(enum mu_daemon_level level, const char *action, const char *fmt, ...)
{
    struct mu_daemon_record r = {.level = level,
        .is_failure = level >= MU_DAEMON_WARNING,
        .subtype = "system",
        .action = action};
    char msg[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    r.msg = msg;
    compose(&r);
}

void mu_daemon_log_error(const char *action, const struct mu_err *err)
{
    char code[8];
    struct mu_daemon_record r = {.level = MU_DAEMON_ERROR,
        .is_failure = true,
        .subtype = "system",
        .action = action,
        .msg = err->what,
        .hint = mu_err_next_text(err),
        .code = mu_err_code_text(err, code)};

    compose(&r);
}

bool mu_daemon_log_is_debug(void)
{
    return the_log.level == MU_DAEMON_DEBUG;
}

void mu_daemon_log_trace(void *ctx, const struct mu_trace_event *event)
{
    struct mu_daemon_record r = {.level = MU_DAEMON_DEBUG,
        .subtype = "system",
        .action = "trace",
        .method = mu_proto_name(event->proto)};
    char msg[2048];

    snprintf(msg, sizeof msg, "%s %s: %s", mu_proto_name(event->proto), mu_trace_step_name(event->step), event->text);
    r.msg = msg;
    compose(&r);
}
