/* The word SN, and where the serial number of the unit comes from. */
#include "agent/agent_serial.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { COMMAND_MS = 5000 };

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Is the SN at p (which is inside text) the word that is meant? */
static bool is_meant(const char *text, const char *p)
{
    char before = p > text ? p[-1] : '\0', behind = p[2];

    return !is_word(before) && before != '\\' && !is_word(behind) && behind != '=';
}

bool mu_agent_serial_is_in(const char *text)
{
    const char *p;

    for (p = text; (p = strstr(p, "SN")) != NULL; p += 2) {
        if (is_meant(text, p))
            return true;
    }
    return false;
}

bool mu_agent_serial_expand(const char *text, const char *serial, struct mu_buf *out)
{
    const char *p = text, *next;

    while ((next = strstr(p, "SN")) != NULL) {
        mu_buf_put(out, p, (size_t)(next - p));
        mu_buf_put_str(out, is_meant(text, next) ? serial : "SN");
        p = next + 2;
    }
    mu_buf_put_str(out, p);
    return !out->failed;
}

/* A command that hangs must not stop the agent: it gets 5 s for its line and as long to end. */
static bool is_readable(int fd, const struct timespec *begin)
{
    struct timespec now;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t left_ms;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left_ms = COMMAND_MS - ((now.tv_sec - begin->tv_sec) * 1000 + (now.tv_nsec - begin->tv_nsec) / 1000000);
    return left_ms > 0 && poll(&p, 1, (int)left_ms) == 1;
}

/* The first line of fd without blanks around it; false if there is none, or if it has signs that
 * would mean something in a name. */
static bool read_first_line(int fd, struct mu_buf *out)
{
    char text[128];
    ssize_t got = 0, n;
    struct timespec begin;
    size_t start = 0, end;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    while ((size_t)got < sizeof text - 1 && is_readable(fd, &begin)
        && (n = read(fd, text + got, sizeof text - 1 - (size_t)got)) > 0)
        got += n;
    text[got] = '\0';
    while (text[start] == ' ' || text[start] == '\t')
        start++;
    end = start + strcspn(text + start, "\r\n");
    while (end > start && (text[end - 1] == ' ' || text[end - 1] == '\t'))
        end--;
    text[end] = '\0';
    if (end == start || strpbrk(text + start, "/\\,+=\"<>;#") != NULL)
        return false;
    return mu_buf_put_str(out, text + start);
}

static bool read_file(const char *path, struct mu_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_there;

    if (fd < 0)
        return false;
    is_there = read_first_line(fd, out);
    close(fd);
    return is_there;
}

/* Its line is read; what is left of it gets as long again, and then no more. */
static bool ended_well(pid_t pid, int *status)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000000L};

    for (int i = 0; i < COMMAND_MS / 10; i++) {
        if (waitpid(pid, status, WNOHANG) != 0)
            return WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
        nanosleep(&pause, NULL);
    }
    kill(-pid, SIGKILL);
    waitpid(pid, status, 0);
    return false;
}

static bool read_command(const char *command, struct mu_buf *out)
{
    char shell[] = "/bin/sh", flag[] = "-c", line[1024];
    char *argv[] = {shell, flag, line, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int ends[2], status = -1;
    bool is_there = false;
    pid_t pid;

    if ((size_t)snprintf(line, sizeof line, "%s", command) >= sizeof line
        || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    if (posix_spawn_file_actions_init(&actions) == 0) {
        if (posix_spawnattr_init(&attr) == 0) {
            if (posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) == 0
                && posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP) == 0
                && posix_spawn(&pid, shell, &actions, &attr, argv, environ) == 0) {
                close(ends[1]);
                ends[1] = -1;
                is_there = read_first_line(ends[0], out);
                is_there = ended_well(pid, &status) && is_there;
            }
            posix_spawnattr_destroy(&attr);
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    if (ends[1] >= 0)
        close(ends[1]);
    close(ends[0]);
    return is_there;
}

enum mu_code mu_agent_serial_read(const char *source, struct mu_buf *out, struct mu_err *err)
{
    static const struct {
        const char *word, *path;
    } places[] = {
        {"dmi", "/sys/class/dmi/id/product_serial"},
        {"device-tree", "/proc/device-tree/serial-number"},
        {"machine-id", "/etc/machine-id"},
    };
    bool is_auto = source == NULL || strcmp(source, "auto") == 0, is_known = is_auto;
    size_t i;

    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        bool is_this = source != NULL && strcmp(source, places[i].word) == 0;

        is_known = is_known || is_this;
        if ((is_auto || is_this) && read_file(places[i].path, out))
            return mu_buf_check(out, "serial number", err);
    }
    if (!is_known && read_command(source, out))
        return mu_buf_check(out, "serial number", err);
    mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
        "the subject has SN in it, and serial-source (%s) gives no serial number",
        source != NULL ? source : "auto");
    mu_err_next(err, "Set serial-source in [agent], or write \\SN if the letters are meant.");
    return MU_NOT_FOUND;
}
