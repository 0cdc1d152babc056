/*
 * Children of the loop. The kernel tells of an end by a descriptor (pidfd_open(2)), so there is no
 * SIGCHLD handler, nothing is reaped that is not ours, and a number cannot be another's by then.
 * Between fork and exec the child only makes system calls: a helper thread may hold any lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/net_internal.h"

enum { GRACE_MS = 5000, FREE_MS = 2000, LOOK_MS = 10, LINE_MAX_OCTETS = 512, MAX_GROUPS = 128, AT_ONCE = 4096, MAX_DRAIN = 256 };

struct mu_loop_child {
    struct mu_loop *loop;
    pid_t pid;
    int pidfd, out;             /* -1: closed */
    struct event *on_end, *on_output;
    struct mu_loop_timer *timer;
    mu_loop_exit_call *call;
    void *cookie;
    struct mu_buf output;
    char line[LINE_MAX_OCTETS + 1], last[LINE_MAX_OCTETS + 1];
    size_t line_n;
    bool is_late, has_ended;
};

/* Whose rights; found out before the fork, since reading the user database may take a lock. */
struct rights {
    bool change;
    uid_t uid;
    gid_t gid, groups[MAX_GROUPS];
    int group_n;
};

static enum mu_code rights_of(const char *user, struct rights *out, struct mu_err *err)
{
    struct passwd *pw;

    out->change = false;
    if (user == NULL)
        return MU_OK;
    errno = 0;
    pw = getpwnam(user);
    if (pw == NULL)
        return mu_err_set(err, MU_INPUT, MU_M(901), "There is no user \"%s\" to run it%s%s", user,
            errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    if (pw->pw_uid == geteuid())
        return MU_OK;
    if (geteuid() != 0)
        return mu_err_set(err, MU_DENIED, MU_M(901), "Only root can run it as \"%s\"", user);
    out->change = true;
    out->uid = pw->pw_uid;
    out->gid = pw->pw_gid;
    out->group_n = MAX_GROUPS;
    if (getgrouplist(user, pw->pw_gid, out->groups, &out->group_n) < 0)
        out->group_n = MAX_GROUPS;
    return MU_OK;
}

/* ---- in the child ---- */

static void reset_signals(void)
{
    const struct sigaction none = {.sa_handler = SIG_DFL};
    sigset_t empty;
    int i;

    for (i = 1; i < NSIG; i++)
        sigaction(i, &none, NULL); /* fails for those that cannot be changed */
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
}

/* stdin from nowhere, both outputs into the pipe, the pipe of the failure as 3, nothing else. */
static bool arrange_descriptors(int out, int failure)
{
    int null = open("/dev/null", O_RDONLY);

    /* Out of the way of 0 to 3 first. */
    out = fcntl(out, F_DUPFD, 10);
    failure = fcntl(failure, F_DUPFD, 10);
    if (null < 0 || out < 0 || failure < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0
        || dup2(out, 2) < 0 || dup2(failure, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) != 0)
        return false;
    return close_range(4, ~0U, 0) == 0;
}

static bool take_rights(const struct rights *r)
{
    return !r->change
        || (setgroups((size_t)r->group_n, r->groups) == 0 && setgid(r->gid) == 0
            && setuid(r->uid) == 0);
}

static _Noreturn void child_main(
    const struct mu_loop_spawn *what, const struct rights *rights, int out, int failure)
{
    union { const char *const *in; char *const *out; } argv = {what->argv}, env = {what->env};
    int e;

    reset_signals();
    umask(077);
    (void)setsid(); /* no terminal: whoever asks there would wait for ever */
    if (arrange_descriptors(out, failure)) {
        failure = 3;
        if (take_rights(rights) && chdir(what->cwd) == 0)
            execve(what->argv[0], argv.out, env.out);
    }
    e = errno;
    (void)!write(failure, &e, sizeof e);
    _exit(127);
}

/* ---- its output ---- */

/* Keeps the last line that says something, of however much there was. */
static void note_lines(struct mu_loop_child *c, const char *p, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (p[i] != '\n' && p[i] != '\r') {
            if (c->line_n < LINE_MAX_OCTETS)
                c->line[c->line_n++] = p[i] != '\0' ? p[i] : ' ';
            continue;
        }
        if (c->line_n != 0) {
            memcpy(c->last, c->line, c->line_n);
            c->last[c->line_n] = '\0';
        }
        c->line_n = 0;
    }
}

/* What is there; false at its end. */
static bool read_some(struct mu_loop_child *c)
{
    char chunk[AT_ONCE];
    ssize_t n = read(c->out, chunk, sizeof chunk);
    size_t room = c->output.max - c->output.n;

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0)
        return false;
    mu_buf_put(&c->output, chunk, (size_t)n < room ? (size_t)n : room);
    note_lines(c, chunk, (size_t)n);
    return true;
}

static void close_output(struct mu_loop_child *c)
{
    if (c->on_output != NULL)
        event_free(c->on_output);
    c->on_output = NULL;
    if (c->out >= 0)
        close(c->out);
    c->out = -1;
}

static void on_output(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_loop_child *c = cookie;

    (void)fd;
    (void)what;
    if (!read_some(c))
        close_output(c);
}

/* What lay in the pipe when it ended; who still holds the other side is not waited for. */
static void drain(struct mu_loop_child *c)
{
    int waiting = 0, rounds;

    for (rounds = 0; c->out >= 0 && rounds < MAX_DRAIN; rounds++) {
        if (ioctl(c->out, FIONREAD, &waiting) != 0 || waiting == 0 || !read_some(c))
            break;
    }
    close_output(c);
    note_lines(c, "\n", 1);
}

/* ---- its end ---- */

static void on_end(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_loop_child *c = cookie;
    struct mu_loop_exit result = {.exit_code = -1};
    siginfo_t info = {.si_pid = 0};

    (void)fd;
    (void)what;
    if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return;
    if (c->is_late)
        kill(-c->pid, SIGKILL); /* what it began and did not end with it; it is a zombie still: the
                                   number is nobody else's */
    waitpid(c->pid, NULL, 0);
    c->has_ended = true;
    event_del(c->on_end);
    mu_loop_timer_free(c->loop, c->timer);
    c->timer = NULL;
    drain(c);
    if (info.si_code == CLD_EXITED)
        result.exit_code = info.si_status;
    else
        result.signal = info.si_status;
    result.is_late = c->is_late;
    result.output = mu_buf_bytes(&c->output);
    result.last_line = c->last;
    c->call(c->cookie, &result); /* may free c */
}

static void on_grace(void *cookie)
{
    struct mu_loop_child *c = cookie;

    kill(-c->pid, SIGKILL);
}

static void on_limit(void *cookie)
{
    struct mu_loop_child *c = cookie;

    c->is_late = true;
    kill(-c->pid, SIGTERM);
    mu_loop_timer_free(c->loop, c->timer);
    c->timer = mu_loop_after(c->loop, GRACE_MS, on_grace, c);
    if (c->timer == NULL)
        on_grace(c);
}

/* ---- starting ---- */

static enum mu_code no(struct mu_err *err, const char *what, const char *program, int e)
{
    return mu_err_set(err, MU_STORAGE, MU_M(901), "%s cannot be %s: %s", program, what, strerror(e));
}

/* Whether exec came to pass: the pipe closes, or brings why not. */
static int exec_failure(int fd)
{
    int e = 0;
    ssize_t n;

    do {
        n = read(fd, &e, sizeof e);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof e ? e : 0;
}

static bool watch(struct mu_loop_child *c, int64_t limit_ms)
{
    struct event_base *base = mu_net_loop_base(c->loop);

    c->on_end = event_new(base, c->pidfd, EV_READ | EV_PERSIST, on_end, c);
    c->on_output = event_new(base, c->out, EV_READ | EV_PERSIST, on_output, c);
    if (limit_ms > 0)
        c->timer = mu_loop_after(c->loop, limit_ms, on_limit, c);
    return c->on_end != NULL && c->on_output != NULL && event_add(c->on_end, NULL) == 0
        && event_add(c->on_output, NULL) == 0 && (limit_ms <= 0 || c->timer != NULL);
}

static enum mu_code start(struct mu_loop_child *c, const struct mu_loop_spawn *what,
    const struct rights *rights, struct mu_err *err)
{
    int out[2], failure[2], e;
    sigset_t all, before;

    if (pipe2(out, O_CLOEXEC) != 0)
        return no(err, "started", what->argv[0], errno);
    c->out = out[0];
    if (pipe2(failure, O_CLOEXEC) != 0) {
        e = errno;
        close(out[1]);
        return no(err, "started", what->argv[0], e);
    }
    /* No handler of ours may run in the child. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->pid = fork();
    if (c->pid == 0)
        child_main(what, rights, out[1], failure[1]);
    e = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(out[1]);
    close(failure[1]);
    if (c->pid < 0) {
        close(failure[0]);
        return no(err, "started", what->argv[0], e);
    }
    e = exec_failure(failure[0]);
    close(failure[0]);
    if (e != 0) {
        waitpid(c->pid, NULL, 0);
        c->has_ended = true;
        return no(err, "run", what->argv[0], e);
    }
    c->pidfd = pidfd_open(c->pid, 0);
    if (c->pidfd < 0)
        return no(err, "watched", what->argv[0], errno);
    if (fcntl(c->out, F_SETFL, O_NONBLOCK) != 0 || !watch(c, what->limit_ms))
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    return MU_OK;
}

enum mu_code mu_net_child_spawn(struct mu_loop *loop, const struct mu_loop_spawn *what,
    mu_loop_exit_call *call, void *cookie, struct mu_loop_child **out, struct mu_err *err)
{
    struct mu_loop_child *c;
    struct rights rights;
    enum mu_code rc = rights_of(what->user, &rights, err);

    *out = NULL;
    if (rc != MU_OK)
        return rc;
    c = calloc(1, sizeof *c);
    if (c == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    c->loop = loop;
    c->pid = c->pidfd = c->out = -1;
    c->call = call;
    c->cookie = cookie;
    mu_buf_init(&c->output, what->output_max > 0 ? what->output_max : 1);
    rc = start(c, what, &rights, err);
    if (rc == MU_OK)
        *out = c;
    else
        mu_net_child_free(loop, c);
    return rc;
}

/* A moment to tidy up: a recipe brings the old files back. */
static void end_now(const struct mu_loop_child *c)
{
    const struct timespec look = {0, LOOK_MS * 1000000L};
    siginfo_t info = {.si_pid = 0};
    int ms;

    kill(-c->pid, SIGTERM);
    for (ms = 0; ms < FREE_MS; ms += LOOK_MS) {
        if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0)
            break;
        nanosleep(&look, NULL);
    }
    kill(-c->pid, SIGKILL); /* a zombie still: the number is nobody else's */
    waitpid(c->pid, NULL, 0);
}

void mu_net_child_free(struct mu_loop *loop, struct mu_loop_child *c)
{
    if (c->pid > 0 && !c->has_ended)
        end_now(c);
    if (c->on_end != NULL)
        event_free(c->on_end);
    if (c->pidfd >= 0)
        close(c->pidfd);
    close_output(c);
    mu_loop_timer_free(loop, c->timer);
    mu_buf_clear(&c->output);
    free(c);
}
