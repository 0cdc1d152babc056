/* Processes, limits, the pid file. */
#include "cmd/musterd/daemon_process.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/text.h"

enum { OPEN_FILES = 4096 }; /* jobs, clients of the sockets and hooks, with room to spare */

/* A pipe to the parent that waits; -1: there is none. */
static int ready_fd = -1;

static unsigned secrets_out(void)
{
    unsigned n = 0;

    for (char **p = environ; p != NULL && *p != NULL;) {
        char *eq = strchr(*p, '='), name[128];

        if (!mu_text_starts(*p, "MUSTER_SECRET_") || eq == NULL || (size_t)(eq - *p) >= sizeof name) {
            p++;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(eq - *p), *p);
        mu_bytes_wipe(eq + 1, strlen(eq + 1)); /* /proc shows the memory, not the list */
        unsetenv(name); /* what was behind it stands here now */
        n++;
    }
    return n;
}

unsigned mu_daemon_process_prepare(void)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit files;

    umask(077);
    setrlimit(RLIMIT_CORE, &no_core);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < OPEN_FILES) {
        files.rlim_cur = files.rlim_max < OPEN_FILES ? files.rlim_max : OPEN_FILES;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return secrets_out();
}

/* ---- detaching ---- */

/* The parent's exit code: the child's word, or failure if it died without one. */
static void wait_for_child(int fd, pid_t child)
{
    unsigned char code = 1;
    ssize_t n;

    do
        n = read(fd, &code, 1);
    while (n < 0 && errno == EINTR);
    waitpid(child, NULL, n == 1 && code == 0 ? WNOHANG : 0);
    _exit(n == 1 ? code : 1);
}

static enum mu_code fork_failed(struct mu_err *err)
{
    return mu_err_set(
        err, MU_INTERNAL, MU_REASON_NONE, "cannot go into the background: %s", strerror(errno));
}

enum mu_code mu_daemon_process_detach(struct mu_err *err)
{
    int fds[2];
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return fork_failed(err);
    fflush(NULL);
    child = fork();
    if (child < 0)
        return fork_failed(err);
    if (child > 0) {
        close(fds[1]);
        wait_for_child(fds[0], child);
    }
    close(fds[0]);
    /* A session leader could get a terminal again: its child cannot. */
    if (setsid() < 0 || (child = fork()) < 0)
        return fork_failed(err);
    if (child > 0)
        _exit(0);
    ready_fd = fds[1];
    if (chdir("/") != 0)
        return fork_failed(err);
    return MU_OK;
}

void mu_daemon_process_ready(int exit_code)
{
    const unsigned char code = (unsigned char)exit_code;
    int null;

    if (ready_fd < 0)
        return;
    if (exit_code == 0 && (null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0) {
        for (int fd = 0; fd <= 2; fd++)
            dup2(null, fd);
        if (null > 2)
            close(null);
    }
    while (write(ready_fd, &code, 1) < 0 && errno == EINTR)
        ;
    close(ready_fd);
    ready_fd = -1;
}

/* ---- the pid file ---- */

static enum mu_code failed(const char *path, struct mu_err *err)
{
    int why = errno;

    mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write %s: %s", path, strerror(why));
    if (why == EACCES || why == EROFS)
        mu_err_next(err, "Give a place of your own: --socket PATH, or run as root.");
    return MU_STORAGE;
}

enum mu_code mu_daemon_process_directory(const char *path, struct mu_err *err)
{
    char copy[PATH_MAX];
    const char *dir;

    snprintf(copy, sizeof copy, "%s", path);
    dir = dirname(copy);
    if (mkdir(dir, 0700) == 0)
        return chmod(dir, 0755) == 0 ? MU_OK : failed(dir, err);
    return errno == EEXIST ? MU_OK : failed(dir, err);
}

static enum mu_code held(int fd, const char *path, struct mu_err *err)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    text[n > 0 ? strspn(text, "0123456789") : 0] = '\0';
    return mu_err_set(err, MU_BUSY, MU_M(707), "musterd runs already, process %s (%s)",
        text[0] != '\0' ? text : "unknown", path);
}

enum mu_code mu_daemon_process_lock(const char *path, int *out, struct mu_err *err)
{
    char text[24];
    enum mu_code rc = mu_daemon_process_directory(path, err);
    int fd, n;

    if (rc != MU_OK)
        return rc;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return failed(path, err);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? held(fd, path, err) : failed(path, err);
        close(fd);
        return rc;
    }
    n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (fchmod(fd, 0644) != 0 || ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        rc = failed(path, err);
        close(fd);
        return rc;
    }
    *out = fd;
    return MU_OK;
}

void mu_daemon_process_unlock(const char *path, int fd)
{
    if (fd < 0)
        return;
    unlink(path); /* while it is ours: who waits for the lock makes a new file */
    close(fd);
}
