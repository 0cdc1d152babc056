/*
 * Preloaded into a program under test: counts every call that somebody outside can see (write,
 * sync, rename, link, unlink, truncate, send, fork), writes them to a log, and ends the process with
 * SIGKILL before or after the n-th. A kill shows torn states; the log shows a missing fsync, which
 * a kill cannot.
 *
 *   KILLAT_LOG=file   '<n> <call> <path, "socket" or "local"> [<new path>]' when it begins,
 *                     '<n> = <end> <result>' when it came back. end: how many calls had begun by
 *                     then. One with a greater number began after this one was done, whatever
 *                     the thread.
 *   KILLAT_N=n        which call
 *   KILLAT_WHEN=before|after
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static atomic_long count;
static __thread int inside;

/* TCP, or a local socket that has a name: pairs inside the program have none. */
static const char *socket_name(int fd)
{
    struct sockaddr_un own = {0};
    int type = 0, domain = 0;
    socklen_t n = sizeof type, own_n = sizeof own;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_STREAM)
        return NULL;
    n = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) != 0)
        return NULL;
    if (domain == AF_INET || domain == AF_INET6)
        return "socket";
    if (domain == AF_UNIX && getsockname(fd, (struct sockaddr *)&own, &own_n) == 0
        && own.sun_path[0] != 0)
        return "local";
    return NULL;
}

/* What an fd is, or NULL if nobody outside sees it (pipes, eventfds, terminals, our log). */
static const char *fd_name(int fd, char *buf, size_t size)
{
    char link[64];
    struct stat st;
    if (fd <= 2 || syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) != 0)
        return NULL;
    if (!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode) && !S_ISDIR(st.st_mode))
        return NULL;
    if (S_ISSOCK(st.st_mode))
        return socket_name(fd);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, buf, size - 1);
    if (n <= 0)
        return NULL;
    buf[n] = 0;
    return buf;
}

/* Whole path of a name below a directory's fd. */
static const char *at_name(int dir, const char *name, char *buf, size_t size)
{
    char link[64];

    if (dir == AT_FDCWD || name[0] == '/')
        return name;
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t n = readlink(link, buf, size - 1);
    if (n <= 0)
        return name;
    snprintf(buf + n, size - (size_t)n, "/%s", name);
    return buf;
}

static void log_line(const char *line, int len)
{
    const char *path = getenv("KILLAT_LOG");
    int fd = path == NULL ? -1
        : (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)!syscall(SYS_write, fd, line, (size_t)len);
        syscall(SYS_close, fd);
    }
}

static void die_if(long n, const char *when)
{
    const char *at = getenv("KILLAT_N"), *w = getenv("KILLAT_WHEN");
    if (at != NULL && w != NULL && atol(at) == n && strcmp(w, when) == 0) {
        kill(getpid(), SIGKILL);
        pause();
    }
}

static long enter(const char *call, const char *a, const char *b)
{
    char line[8192 + 64];
    long n = atomic_fetch_add(&count, 1) + 1;

    inside = 1;
    log_line(line, snprintf(line, sizeof line, "%ld %s %s%s%s\n", n, call, a, b != NULL ? " " : "", b != NULL ? b : ""));
    die_if(n, "before");
    return n;
}

/* errno is the call's. */
static void leave(long n, long result)
{
    int why = errno;
    char line[80];

    die_if(n, "after");
    log_line(line, snprintf(line, sizeof line, "%ld = %ld %ld\n", n, atomic_load(&count), result));
    inside = 0;
    errno = why;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (real == NULL) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define FD_CALL(type, name, params, args) \
    type name params \
    { \
        char buf[4096]; \
        REAL(name); \
        const char *what = inside ? NULL : fd_name(fd, buf, sizeof buf); \
        if (what == NULL) \
            return real args; \
        long n = enter(#name, what, NULL); \
        type r = real args; \
        leave(n, (long)r); \
        return r; \
    }

#define AT(dir, name, buf) at_name(dir, name, buf, sizeof buf)
#define PATH_CALL(name, params, args, a, b) \
    int name params \
    { \
        REAL(name); \
        if (inside) \
            return real args; \
        char one[4096], two[4096]; \
        (void)one; \
        (void)two; \
        long n = enter(#name, a, b); \
        int r = real args; \
        leave(n, r); \
        return r; \
    }

FD_CALL(ssize_t, write, (int fd, const void *p, size_t n_), (fd, p, n_))
FD_CALL(ssize_t, pwrite, (int fd, const void *p, size_t n_, off_t o), (fd, p, n_, o))
FD_CALL(ssize_t, pwrite64, (int fd, const void *p, size_t n_, off64_t o), (fd, p, n_, o))
FD_CALL(ssize_t, writev, (int fd, const struct iovec *v, int c), (fd, v, c))
FD_CALL(ssize_t, send, (int fd, const void *p, size_t n_, int f), (fd, p, n_, f))
FD_CALL(ssize_t, sendto, (int fd, const void *p, size_t n_, int f, const struct sockaddr *a, socklen_t l), (fd, p, n_, f, a, l))
FD_CALL(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))
FD_CALL(int, fsync, (int fd), (fd))
FD_CALL(int, fdatasync, (int fd), (fd))
FD_CALL(int, ftruncate, (int fd, off_t l), (fd, l))
FD_CALL(int, ftruncate64, (int fd, off64_t l), (fd, l))
PATH_CALL(rename, (const char *a, const char *b), (a, b), a, b)
PATH_CALL(renameat, (int x, const char *a, int y, const char *b), (x, a, y, b), AT(x, a, one), AT(y, b, two))
PATH_CALL(renameat2, (int x, const char *a, int y, const char *b, unsigned f), (x, a, y, b, f), AT(x, a, one), AT(y, b, two))
PATH_CALL(link, (const char *a, const char *b), (a, b), a, b)
PATH_CALL(linkat, (int x, const char *a, int y, const char *b, int f), (x, a, y, b, f), AT(x, a, one), AT(y, b, two))
PATH_CALL(symlink, (const char *a, const char *b), (a, b), a, b)
PATH_CALL(symlinkat, (const char *a, int y, const char *b), (a, y, b), a, AT(y, b, two))
PATH_CALL(unlink, (const char *a), (a), a, NULL)
PATH_CALL(unlinkat, (int x, const char *a, int f), (x, a, f), AT(x, a, one), NULL)
PATH_CALL(mkdir, (const char *a, mode_t m), (a, m), a, NULL)
PATH_CALL(mkdirat, (int x, const char *a, mode_t m), (x, a, m), AT(x, a, one), NULL)

/* A spawn. The child is no part of the program under test: its calls are not counted. */
pid_t fork(void)
{
    REAL(fork);
    if (inside)
        return real();
    long n = enter("fork", "child", NULL);
    pid_t pid = real();
    if (pid != 0)
        leave(n, pid);
    return pid;
}
