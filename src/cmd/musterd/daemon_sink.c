/* Journal, syslog, files: datagrams and lines; commands are in daemon_command.c. */
#include "cmd/musterd/daemon_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "cmd/musterd/daemon_command.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SYSLOG_SOCKET "/dev/log"
#define IDENT "musterd"

enum { SINKS = 4, RECORD_MAX = 32 * 1024, FACILITY_DAEMON = 3 };

enum kind { JOURNAL, SYSLOG, SYSLOG_5424, FILE_LINES, COMMAND };

struct sink {
    enum kind kind;
    char *path;
    int fd;
    struct mu_daemon_command *command;
};

struct mu_daemon_sinks {
    struct sink v[SINKS];
    size_t n;
    char host[64];
    struct mu_loop *loop;
    const struct mu_agent_config_agent *conf; /* while they are opened */
};

/* ---- the journal's native protocol ---- */

/* "KEY=value\n", or with a length where the value has lines (systemd "Native Journal Protocol"). */
static void journal_field(struct mu_buf *out, const char *key, const char *value)
{
    size_t n = value != NULL ? strlen(value) : 0;

    if (n == 0)
        return;
    if (strchr(value, '\n') == NULL) {
        mu_buf_putf(out, "%s=%s\n", key, value);
        return;
    }
    mu_buf_putf(out, "%s\n", key);
    for (unsigned i = 0; i < 8; i++)
        mu_buf_put_byte(out, (uint8_t)((uint64_t)n >> (8 * i)));
    mu_buf_put(out, value, n);
    mu_buf_put_byte(out, '\n');
}

bool mu_daemon_sink_journal(const struct mu_daemon_record *r, struct mu_buf *out)
{
    mu_buf_putf(out, "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=" IDENT "\n", (int)r->level,
        FACILITY_DAEMON);
    journal_field(out, "MESSAGE", r->row->field[MU_AGENT_EVENT_MSG]);
    for (int i = MU_AGENT_EVENT_TYPE; i < MU_AGENT_EVENT_FIELDS; i++) {
        char key[40] = "MUSTER_";

        if (i == MU_AGENT_EVENT_MSG || i == MU_AGENT_EVENT_LEVEL) /* MESSAGE and PRIORITY */
            continue;
        mu_daemon_command_key(key, sizeof key, (enum mu_agent_event_field)i);
        journal_field(out, key, r->row->field[i]);
    }
    return !out->failed;
}

/* "<29>Nov 20 17:40:05 musterd[77]: date=..." (RFC 3164 4.1, without the host as on a local socket). */
bool mu_daemon_sink_syslog(const struct mu_daemon_record *r, long pid, struct mu_buf *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t at = (time_t)r->row->at_s;
    struct tm t = {0};

    localtime_r(&at, &t);
    mu_buf_putf(out, "<%d>%.3s %2d %02d:%02d:%02d " IDENT "[%ld]: %s", FACILITY_DAEMON * 8 + (int)r->level,
        months + 3 * t.tm_mon, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, pid, r->line);
    return !out->failed;
}

bool mu_daemon_sink_syslog_5424(
    const struct mu_daemon_record *r, const char *host, long pid, struct mu_buf *out)
{
    const char *action = r->row->field[MU_AGENT_EVENT_ACTION], *msg = r->row->field[MU_AGENT_EVENT_MSG];
    char when[MU_TIME_TEXT];

    mu_buf_putf(out, "<%d>1 %s %s " IDENT " %ld %s ", FACILITY_DAEMON * 8 + (int)r->level,
        mu_time_rfc3339(r->row->at_s, when), host[0] != '\0' ? host : "-", pid, action != NULL ? action : "-");
    mu_agent_event_row_sd(r->row, out);
    mu_buf_putf(out, " %s", msg != NULL ? msg : "");
    return !out->failed;
}

/* ---- sending ---- */

/* By name each time: who listens there may have been started anew. */
static void send_to(const struct sink *s, const struct mu_buf *text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    memcpy(to.sun_path, s->path, strlen(s->path));
    while (sendto(s->fd, text->p, text->n, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof to) < 0
        && errno == EINTR)
        ;
}

static int file_open(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
}

/* Is what we have open still what has that name? */
static bool file_is_there(const struct sink *s)
{
    struct stat ours, theirs;

    return s->fd >= 0 && fstat(s->fd, &ours) == 0 && lstat(s->path, &theirs) == 0
        && ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static void file_put(struct sink *s, const char *line)
{
    struct mu_buf text = {.max = RECORD_MAX};
    int fresh;

    if (!file_is_there(s) && (fresh = file_open(s->path)) >= 0) {
        if (s->fd >= 0)
            close(s->fd);
        s->fd = fresh;
    }
    mu_buf_putf(&text, "%s\n", line);
    while (s->fd >= 0 && write(s->fd, text.p, text.n) < 0 && errno == EINTR)
        ;
    mu_buf_clear(&text);
}

static bool record_make(
    const struct mu_daemon_sinks *sinks, enum kind kind, const struct mu_daemon_record *record, struct mu_buf *text)
{
    if (kind == JOURNAL)
        return mu_daemon_sink_journal(record, text);
    return kind == SYSLOG ? mu_daemon_sink_syslog(record, (long)getpid(), text)
                          : mu_daemon_sink_syslog_5424(record, sinks->host, (long)getpid(), text);
}

void mu_daemon_sink_put(struct mu_daemon_sinks *sinks, const struct mu_daemon_record *record)
{
    for (size_t i = 0; sinks != NULL && i < sinks->n; i++) {
        struct sink *s = &sinks->v[i];
        struct mu_buf text = {.max = RECORD_MAX};

        if (s->kind == FILE_LINES)
            file_put(s, record->line);
        else if (s->kind == COMMAND)
            mu_daemon_command_put(s->command, record);
        else if (record_make(sinks, s->kind, record, &text))
            send_to(s, &text);
        mu_buf_clear(&text);
    }
}

/* ---- opening ---- */

static enum mu_code sink_add(
    struct mu_daemon_sinks *sinks, enum kind kind, const char *path, struct mu_err *err)
{
    struct sink *s = &sinks->v[sinks->n];
    enum mu_code rc;

    if (sinks->n == SINKS)
        return mu_err_set(err, MU_INPUT, MU_M(706), "notify: more than %d places", SINKS);
    if (path[0] != '/' || (kind <= SYSLOG_5424 && strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path))
        return mu_err_set(err, MU_INPUT, MU_M(706), "notify: '%s' is no path from the root", path);
    if ((rc = mu_text_dup(path, &s->path, err)) != MU_OK)
        return rc;
    s->kind = kind;
    if (kind == COMMAND) {
        s->fd = -1;
        rc = mu_daemon_command_new(s->path, sinks->conf, sinks->loop, &s->command, err);
        sinks->n++; /* what is in it is freed with the rest */
        return rc;
    }
    s->fd = kind == FILE_LINES ? file_open(path) : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0) {
        rc = mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write %s: %s", path, strerror(errno));
        free(s->path);
        return rc;
    }
    sinks->n++;
    return MU_OK;
}

static enum mu_code sink_parse(struct mu_daemon_sinks *sinks, const char *word, struct mu_err *err)
{
    static const char *const known[] = {"syslog", "journal", "off", NULL};
    const char *near_word;
    char shown[80];

    if (strcmp(word, "off") == 0)
        return MU_OK;
    if (strcmp(word, "syslog") == 0 && access(JOURNAL_SOCKET, W_OK) == 0)
        return sink_add(sinks, JOURNAL, JOURNAL_SOCKET, err);
    if (strcmp(word, "syslog") == 0)
        return sink_add(sinks, SYSLOG, SYSLOG_SOCKET, err);
    if (strcmp(word, "journal") == 0)
        return sink_add(sinks, JOURNAL, JOURNAL_SOCKET, err);
    if (mu_text_starts(word, "journal:"))
        return sink_add(sinks, JOURNAL, word + 8, err);
    if (mu_text_starts(word, "syslog:"))
        return sink_add(sinks, SYSLOG, word + 7, err);
    if (mu_text_starts(word, "syslog5424:"))
        return sink_add(sinks, SYSLOG_5424, word + 11, err);
    if (mu_text_starts(word, "file:"))
        return sink_add(sinks, FILE_LINES, word + 5, err);
    if (mu_text_starts(word, "command:"))
        return sink_add(sinks, COMMAND, word + 8, err);
    near_word = mu_text_nearest(word, known);
    return mu_err_set(err, MU_INPUT, MU_M(706),
        "notify: '%s' is none of syslog, journal, file:PATH, command:PATH, off%s%s",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)),
        near_word != NULL ? "; did you mean " : "", near_word != NULL ? near_word : "");
}

enum mu_code mu_daemon_sink_open(const struct mu_agent_config_agent *conf, struct mu_loop *loop,
    struct mu_daemon_sinks **out, struct mu_err *err)
{
    struct mu_daemon_sinks *sinks = calloc(1, sizeof *sinks);
    char *copy = NULL, *rest = NULL, *word;
    enum mu_code rc;

    if (sinks == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    if (gethostname(sinks->host, sizeof sinks->host - 1) != 0)
        sinks->host[0] = '\0';
    sinks->loop = loop;
    sinks->conf = conf;
    rc = mu_text_dup(conf->notify != NULL ? conf->notify : "syslog", &copy, err);
    if (rc == MU_OK)
        word = strtok_r(copy, ",", &rest);
    for (; rc == MU_OK && word != NULL; word = strtok_r(NULL, ",", &rest))
        rc = sink_parse(sinks, mu_text_trim(word), err);
    free(copy);
    sinks->conf = NULL;
    if (rc == MU_OK)
        *out = sinks;
    else
        mu_daemon_sink_close(sinks);
    return rc;
}

void mu_daemon_sink_close(struct mu_daemon_sinks *sinks)
{
    for (size_t i = 0; sinks != NULL && i < sinks->n; i++) {
        if (sinks->v[i].fd >= 0)
            close(sinks->v[i].fd);
        mu_daemon_command_free(sinks->v[i].command);
        free(sinks->v[i].path);
    }
    free(sinks);
}
