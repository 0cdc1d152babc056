/* Blocking, with time limits: the one who waits is a command. */
#include "net/net_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

enum {
    ANSWER_MAX = 64 << 20, /* a list of everything */
    HEAD_MAX = 16 * 1024,
    WAIT_S = 60,
};

enum mu_code mu_net_ask_path_open(const char *path, struct mu_net_ask_path *out, struct mu_err *err)
{
    char dir[PATH_MAX], base[PATH_MAX];
    int n;

    out->dir_fd = -1;
    if (strlen(path) < sizeof out->text) {
        snprintf(out->text, sizeof out->text, "%s", path);
        return MU_OK;
    }
    snprintf(dir, sizeof dir, "%s", path);
    snprintf(base, sizeof base, "%s", path);
    out->dir_fd = open(dirname(dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (out->dir_fd < 0)
        return mu_err_set(err, errno == ENOENT ? MU_NOT_FOUND : MU_STORAGE, MU_REASON_NONE,
            "cannot open the directory of %s: %s", path, strerror(errno));
    n = snprintf(out->text, sizeof out->text, "/proc/self/fd/%d/%s", out->dir_fd, basename(base));
    if (n < 0 || n >= (int)sizeof out->text) {
        mu_net_ask_path_close(out);
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the name of socket %s is too long", path);
    }
    return MU_OK;
}

void mu_net_ask_path_close(struct mu_net_ask_path *path)
{
    if (path->dir_fd >= 0)
        close(path->dir_fd);
    path->dir_fd = -1;
}

static enum mu_code connect_to(const char *path, int wait_s, int *out, struct mu_err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = wait_s};
    struct mu_net_ask_path where;
    enum mu_code rc;
    int fd;

    if ((rc = mu_net_ask_path_open(path, &where, err)) != MU_OK)
        return rc;
    memcpy(addr.sun_path, where.text, sizeof addr.sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "no socket: %s", strerror(errno));
        goto out;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0) {
        *out = fd;
        fd = -1;
        goto out;
    }
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
        rc = mu_err_set(err, MU_NOT_FOUND, MU_M(102), "nobody listens on %s", path);
    else
        rc = mu_err_set(err, MU_DENIED, errno == EACCES ? MU_M(704) : MU_REASON_NONE,
            "cannot connect to %s: %s", path, strerror(errno));
out:
    if (fd >= 0)
        close(fd);
    mu_net_ask_path_close(&where);
    return rc;
}

static enum mu_code broken(const char *path, const char *how, struct mu_err *err)
{
    return mu_err_set(
        err, MU_NETWORK, MU_REASON_NONE, "the answer of the server on %s %s", path, how);
}

static enum mu_code send_all(int fd, struct mu_bytes v, const char *path, struct mu_err *err)
{
    while (v.n > 0) {
        ssize_t n = send(fd, v.p, v.n, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return broken(path, "did not come: it closed the connection", err);
        v.p += n;
        v.n -= (size_t)n;
    }
    return MU_OK;
}

/* Value of a header of the head text, or NULL. */
static const char *head_get(const char *head, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " \t");
    }
    return NULL;
}

/* Octets of head and body announced, or 0 if more has to be read to know. *fault if it cannot be.
 */
static size_t whole_size(const struct mu_buf *in, size_t *head_n, bool *fault)
{
    const char *text = mu_buf_str(in), *end = strstr(text, "\r\n\r\n"), *length;
    char head[HEAD_MAX];
    unsigned long long n;

    if (end == NULL) {
        *fault = in->n >= HEAD_MAX;
        return 0;
    }
    *head_n = (size_t)(end - text) + 4;
    if (*head_n >= sizeof head) {
        *fault = true;
        return 0;
    }
    memcpy(head, text, *head_n);
    head[*head_n] = '\0';
    length = head_get(head, "Content-Length");
    if (!mu_text_starts(head, "HTTP/1.") || length == NULL || *length < '0' || *length > '9') {
        *fault = true;
        return 0;
    }
    n = strtoull(length, NULL, 10);
    *fault = n > ANSWER_MAX;
    return *fault ? 0 : *head_n + (size_t)n;
}

static enum mu_code receive(
    int fd, struct mu_buf *in, size_t *head_n, const char *path, struct mu_err *err)
{
    uint8_t part[16384];
    size_t whole = 0;
    bool fault = false;

    while (whole == 0 || in->n < whole) {
        ssize_t n = recv(fd, part, sizeof part, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mu_err_set(err, MU_NETWORK, MU_M(103), "the answer of the server on %s did not come in time", path);
        if (n == 0)
            return broken(path, "ended too early", err);
        if (!mu_buf_put(in, part, (size_t)n))
            return mu_buf_check(in, "answer", err);
        mu_bytes_wipe(part, (size_t)n);
        if (whole == 0)
            whole = whole_size(in, head_n, &fault);
        if (fault)
            return broken(path, "is no HTTP", err);
    }
    return MU_OK;
}

static void request_format(const struct mu_net_ask *ask, struct mu_buf *out)
{
    mu_buf_putf(out, "%s %s HTTP/1.1\r\nHost: local\r\nConnection: close\r\n", ask->method, ask->target);
    if (ask->body.n > 0 || strcmp(ask->method, "GET") != 0)
        mu_buf_putf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", ask->body.n);
    mu_buf_put_str(out, "\r\n");
    mu_buf_put_bytes(out, ask->body);
}

enum mu_code mu_net_ask(const struct mu_net_ask *ask, int *status, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf request, answer;
    size_t head_n = 0;
    enum mu_code rc;
    int fd = -1;

    mu_buf_init_secret(&request, 2 << 20);
    mu_buf_init_secret(&answer, ANSWER_MAX + HEAD_MAX);
    request_format(ask, &request);
    if ((rc = mu_buf_check(&request, "request", err)) != MU_OK
        || (rc = connect_to(ask->path, ask->wait_s != 0 ? ask->wait_s : WAIT_S, &fd, err)) != MU_OK
        || (rc = send_all(fd, mu_buf_bytes(&request), ask->path, err)) != MU_OK
        || (rc = receive(fd, &answer, &head_n, ask->path, err)) != MU_OK)
        goto out;
    *status = atoi((const char *)answer.p + strlen("HTTP/1.1 "));
    mu_buf_put(out, answer.p + head_n, answer.n - head_n);
    rc = mu_buf_check(out, "answer", err);
out:
    if (fd >= 0)
        close(fd);
    mu_buf_clear(&request);
    mu_buf_clear(&answer);
    return rc;
}
