#include "cmd/muster-ca/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"
#include "pki/pki_cert.h"

enum { LINE_MAX_OCTETS = 4096, GATHER_MAX = 32 * 1024 };

/* The program has one log. */
static struct {
    pthread_mutex_t lock;
    const char *path;
    int fd;
    enum log_level level;
    enum mu_proto only;
    const struct mu_env *env;
    char gathered[GATHER_MAX];
    size_t gathered_n;
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO};

static int file_open(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
}

enum mu_code log_open(const char *path, enum log_level level, struct mu_err *err)
{
    int fd = STDERR_FILENO;

    if (path != NULL && (fd = file_open(path)) < 0)
        return mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write %s: %s", path, strerror(errno));
    the_log.path = path;
    the_log.fd = fd;
    the_log.level = level;
    return MU_OK;
}

static _Thread_local bool gathers;

/* What cannot be written is lost: the CA does not stop for its log, the audit trail is elsewhere.
 * With the lock held. */
static void put_out(const void *p, size_t size)
{
    ssize_t n;

    do
        n = write(the_log.fd, p, size);
    while (n < 0 && errno == EINTR);
}

static void put_gathered(void)
{
    if (the_log.gathered_n != 0)
        put_out(the_log.gathered, the_log.gathered_n);
    the_log.gathered_n = 0;
}

void log_reopen(void)
{
    int fd;

    if (the_log.path == NULL || (fd = file_open(the_log.path)) < 0)
        return;
    pthread_mutex_lock(&the_log.lock);
    put_gathered();
    close(the_log.fd);
    the_log.fd = fd;
    pthread_mutex_unlock(&the_log.lock);
}

enum log_level log_level_parse(const char *word)
{
    if (word != NULL && strcmp(word, "warning") == 0)
        return LOG_LEVEL_WARNING;
    return word != NULL && strcmp(word, "notice") == 0 ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO;
}

void log_clock(const struct mu_env *env)
{
    the_log.env = env;
}

/* Whole lines in a write, so that threads do not mix them. */
static void put_line(struct mu_buf *line)
{
    mu_buf_put_byte(line, '\n');
    pthread_mutex_lock(&the_log.lock);
    if (line->n > GATHER_MAX - the_log.gathered_n)
        put_gathered();
    if (gathers && line->n <= GATHER_MAX) {
        memcpy(the_log.gathered + the_log.gathered_n, line->p, line->n);
        the_log.gathered_n += line->n;
    } else {
        put_gathered();
        put_out(line->p, line->n);
    }
    pthread_mutex_unlock(&the_log.lock);
}

void log_gather(void)
{
    gathers = true;
}

void log_flush(void)
{
    pthread_mutex_lock(&the_log.lock);
    put_gathered();
    pthread_mutex_unlock(&the_log.lock);
}

static void put_time(struct mu_buf *line)
{
    struct mu_time_civil c;

    mu_time_civil(the_log.env != NULL ? mu_env_now(the_log.env) : (int64_t)time(NULL), &c);
    mu_buf_putf(line, "date=%04d-%02d-%02d time=%02d:%02d:%02d tz=+0000", c.year, c.month, c.day,
        c.hour, c.minute, c.second);
}

/* Printable ASCII without quotes and backslashes, not too long. */
static bool is_plain(const char *value)
{
    size_t n = 0;

    while (value[n] >= ' ' && value[n] <= '~' && value[n] != '"' && value[n] != '\\')
        n++;
    return value[n] == '\0' && n < 1024;
}

/* key="value" with '"' and '\' escaped; nothing for an empty one. */
static void put_quoted(struct mu_buf *line, const char *key, const char *value)
{
    struct mu_buf escaped;

    if (value == NULL || value[0] == '\0')
        return;
    if (is_plain(value)) { /* nearly always */
        mu_buf_put_str(line, " ");
        mu_buf_put_str(line, key);
        mu_buf_put_str(line, "=\"");
        mu_buf_put_str(line, value);
        mu_buf_put_str(line, "\"");
        return;
    }
    mu_buf_init(&escaped, 2048);
    mu_text_escape(&escaped, mu_bytes_str(value), 1024);
    mu_buf_putf(line, " %s=\"", key);
    for (const char *s = mu_buf_str(&escaped); *s != '\0'; s++) {
        if (*s == '"' || (*s == '\\' && s[1] != 'x'))
            mu_buf_put_byte(line, '\\');
        mu_buf_put_byte(line, (uint8_t)*s);
    }
    mu_buf_put_byte(line, '"');
    mu_buf_clear(&escaped);
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"information", "notice", "warning"};

    return names[level];
}

void log_line(enum log_level level, const char *action, const char *fmt, ...)
{
    struct mu_buf line;
    char msg[1024];
    va_list args;

    if (level < the_log.level)
        return;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    mu_buf_init(&line, LINE_MAX_OCTETS);
    put_time(&line);
    mu_buf_putf(&line, " type=event subtype=system level=%s action=%s status=%s", level_name(level),
        action, level == LOG_LEVEL_WARNING ? "failure" : "success");
    put_quoted(&line, "msg", msg);
    put_line(&line);
    mu_buf_clear(&line);
}

void log_error(const char *action, const struct mu_err *err)
{
    struct mu_buf line;
    char number[8];

    mu_buf_init(&line, LINE_MAX_OCTETS);
    put_time(&line);
    mu_buf_putf(&line, " type=event subtype=system level=warning action=%s status=failure", action);
    put_quoted(&line, "msg", err->what);
    put_quoted(&line, "hint", mu_err_next_text(err));
    put_quoted(&line, "code", mu_err_code_text(err, number));
    put_line(&line);
    mu_buf_clear(&line);
}

void log_event(void *cookie, const struct mu_record_audit *event)
{
    const struct mu_err_row *row = event->success ? NULL : mu_err_row(event->reason);
    bool is_request = strcmp(event->action, "request") == 0;
    enum log_level level = !event->success ? LOG_LEVEL_WARNING
        : is_request                       ? LOG_LEVEL_INFO
                                           : LOG_LEVEL_NOTICE;
    struct mu_buf line, serial = {0};

    if (level < the_log.level)
        return;
    mu_buf_init(&line, 2 * LINE_MAX_OCTETS);
    put_time(&line);
    mu_buf_putf(&line, " type=event subtype=ca level=%s action=%s status=%s", level_name(level),
        event->action, event->success ? "success" : "failure");
    put_quoted(&line, "name", event->entry);
    put_quoted(&line, "method", mu_proto_name(event->proto));
    put_quoted(&line, "msg", event->message);
    if (row != NULL) {
        put_quoted(&line, "reason", row->what);
        put_quoted(&line, "hint", row->next);
    }
    put_quoted(&line, "ca", event->ca);
    put_quoted(&line, "profile", event->profile);
    put_quoted(&line, "subject", event->subject);
    if (event->serial.n != 0 && mu_pki_cert_serial_hex(event->serial, &serial))
        put_quoted(&line, "serial", mu_buf_str(&serial));
    put_quoted(&line, "srcip", event->address);
    put_quoted(&line, "agent", event->user_agent);
    if (event->size != 0)
        mu_buf_putf(&line, " size=%lld", (long long)event->size);
    put_quoted(&line, "txn", event->transaction_id);
    put_line(&line);
    mu_buf_clear(&line);
    mu_buf_clear(&serial);
}

void log_trace_only(enum mu_proto proto)
{
    the_log.only = proto;
}

void log_trace(void *ctx, const struct mu_trace_event *event)
{
    char when[MU_TIME_TEXT];
    struct mu_buf line;

    if (the_log.only != MU_PROTO_NONE && event->proto != the_log.only)
        return;
    mu_buf_init(&line, (size_t)1 << 20);
    mu_buf_putf(&line, "%s %s %s: %s",
        mu_time_rfc3339(the_log.env != NULL ? mu_env_now(the_log.env) : (int64_t)time(NULL), when),
        mu_proto_name(event->proto), mu_trace_step_name(event->step), event->text);
    put_line(&line);
    mu_buf_clear(&line);
}
