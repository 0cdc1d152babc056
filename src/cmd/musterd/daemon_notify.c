/* Datagrams to systemd. */
#include "cmd/musterd/daemon_notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static struct {
    int fd;
    struct sockaddr_un to;
    socklen_t to_n;
    int64_t watchdog_ms;
} notify = {.fd = -1};

/* Moves a number out of the environment; 0 if it is none. */
static int64_t take_number(const char *name)
{
    const char *text = getenv(name);
    int64_t v = 0;

    if (text == NULL || mu_text_int(text, 0, INT64_MAX, &v, NULL) != MU_OK)
        v = 0;
    unsetenv(name);
    return v;
}

void mu_daemon_notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    int64_t usec = take_number("WATCHDOG_USEC"), pid = take_number("WATCHDOG_PID");
    size_t n = path != NULL ? strlen(path) : 0;

    notify.watchdog_ms = pid == 0 || pid == (int64_t)getpid() ? usec / 2000 : 0;
    if (n > 1 && n < sizeof notify.to.sun_path && (path[0] == '/' || path[0] == '@')) {
        notify.to.sun_family = AF_UNIX;
        memcpy(notify.to.sun_path, path, n);
        if (path[0] == '@') /* of the abstract name space */
            notify.to.sun_path[0] = '\0';
        notify.to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    unsetenv("NOTIFY_SOCKET");
}

void mu_daemon_notify_close(void)
{
    if (notify.fd >= 0)
        close(notify.fd);
    notify.fd = -1;
}

void mu_daemon_notify_send(const char *fmt, ...)
{
    char text[1024];
    va_list args;
    int n;

    if (notify.fd < 0)
        return;
    va_start(args, fmt);
    n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    n = n < (int)sizeof text ? n : (int)sizeof text - 1;
    while (sendto(notify.fd, text, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&notify.to, notify.to_n) < 0
        && errno == EINTR)
        ;
}

void mu_daemon_notify_reloading(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    mu_daemon_notify_send("RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

int64_t mu_daemon_notify_watchdog_ms(void)
{
    return notify.watchdog_ms;
}
