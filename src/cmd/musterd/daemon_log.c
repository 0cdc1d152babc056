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
    struct mu_loop *loop;
    struct mu_keystore *store;
    struct mu_daemon_sinks *sinks;
    enum mu_daemon_level level;
    bool front, lost;
} the_log = {.level = MU_DAEMON_INFO};

static const char *const level_words[] = {[MU_DAEMON_ERROR] = "error",
    [MU_DAEMON_WARNING] = "warning",
    [MU_DAEMON_NOTICE] = "notice",
    [MU_DAEMON_INFO] = "information",
    [MU_DAEMON_DEBUG] = "debug"};

void mu_daemon_log_init(const struct mu_env *env, struct mu_loop *loop, bool front)
{
    the_log.loop = loop;
    the_log.env = env;
    the_log.front = front;
}

void mu_daemon_log_store(struct mu_keystore *store)
{
    the_log.store = store;
}

static enum mu_code level_parse(const char *word, enum mu_daemon_level *out, struct mu_err *err)
{
    static const char *const words[] = {"error", "warning", "notice", "info", "debug", NULL};
    char shown[40];

    *out = MU_DAEMON_INFO;
    for (size_t i = 0; word != NULL && words[i] != NULL; i++) {
        *out = (enum mu_daemon_level)(i + MU_DAEMON_ERROR);
        if (strcmp(word, words[i]) == 0)
            return MU_OK;
    }
    if (word == NULL)
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_M(706),
        "log-level: '%s' is none of debug, info, notice, warning, error",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
}

enum mu_code mu_daemon_log_config(const struct mu_agent_config_agent *conf, struct mu_err *err)
{
    struct mu_daemon_sinks *sinks = NULL;
    enum mu_daemon_level parsed;
    enum mu_code rc;

    if ((rc = level_parse(conf->log_level, &parsed, err)) != MU_OK
        || (rc = mu_daemon_sink_open(conf, the_log.loop, &sinks, err)) != MU_OK)
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
    if (the_log.front)
        stderr_put(record->line);
    mu_daemon_sink_put(the_log.sinks, record);
    if (record->level < MU_DAEMON_DEBUG) /* traces would push the events out */
        store_put(record->line);
}

/* Lays out the line and sends it off. */
static void put_row(enum mu_daemon_level level, const struct mu_agent_event_row *row)
{
    struct mu_buf line = {.max = MU_AGENT_EVENT_LINE + 1};

    if (level > the_log.level)
        return;
    mu_agent_event_row_line(row, &line);
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] == '\n') /* a hint may have two lines */
            line.p[i] = ' ';
    if (!line.failed)
        put(&(const struct mu_daemon_record){level, row, mu_buf_str(&line)});
    mu_buf_clear(&line);
}

/* A row of our own: fields are views. */
static void put_own(enum mu_daemon_level level, const char *action, const char *msg,
    const struct mu_err *err, const char *method)
{
    struct mu_agent_event_row row = {.at_s = mu_env_now(the_log.env)};
    char when[MU_TIME_TEXT], code[8] = "";

    mu_time_rfc3339(row.at_s, when); /* 2025-11-20T17:40:05Z */
    when[10] = when[19] = '\0';
    row.field[MU_AGENT_EVENT_DATE] = when;
    row.field[MU_AGENT_EVENT_TIME] = when + 11;
    row.field[MU_AGENT_EVENT_TZ] = "+0000";
    row.field[MU_AGENT_EVENT_TYPE] = "event";
    row.field[MU_AGENT_EVENT_SUBTYPE] = "system";
    row.field[MU_AGENT_EVENT_LEVEL] = level_words[level];
    row.field[MU_AGENT_EVENT_ACTION] = action;
    row.field[MU_AGENT_EVENT_STATUS] = level <= MU_DAEMON_WARNING ? "failure" : "success";
    row.field[MU_AGENT_EVENT_METHOD] = method;
    row.field[MU_AGENT_EVENT_MSG] = msg;
    if (err != NULL && mu_err_next_text(err)[0] != '\0')
        row.field[MU_AGENT_EVENT_HINT] = mu_err_next_text(err);
    if (err != NULL && mu_err_code_text(err, code)[0] != '\0')
        row.field[MU_AGENT_EVENT_CODE] = code;
    put_row(level, &row);
}

void mu_daemon_log_line(enum mu_daemon_level level, const char *action, const char *fmt, ...)
{
    char msg[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    put_own(level, action, msg, NULL, NULL);
}

void mu_daemon_log_error(const char *action, const struct mu_err *err)
{
    put_own(MU_DAEMON_ERROR, action, err->what, err, NULL);
}

void mu_daemon_log_event(const struct mu_agent_event *event)
{
    struct mu_agent_event_row row;

    if (mu_agent_event_row(event, &row, NULL) != MU_OK)
        return; /* no memory: the deed itself is on disk */
    put_row((enum mu_daemon_level)mu_agent_event_severity(event->kind), &row);
    mu_agent_event_row_clear(&row);
}

bool mu_daemon_log_is_debug(void)
{
    return the_log.level == MU_DAEMON_DEBUG;
}

void mu_daemon_log_trace(void *ctx, const struct mu_trace_event *event)
{
    char msg[2048];

    snprintf(msg, sizeof msg, "%s %s: %s", mu_proto_name(event->proto), mu_trace_step_name(event->step), event->text);
    put_own(MU_DAEMON_DEBUG, "trace", msg, NULL, mu_proto_name(event->proto));
}
