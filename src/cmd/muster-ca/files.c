#include "cmd/muster-ca/files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum mu_code cannot(const char *verb, const char *path, struct mu_err *err)
{
    int e = errno;

    if (e == ENOENT && verb[0] == 'r')
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "cannot read %s: not there", path);
    return mu_err_set(err, MU_STORAGE, verb[0] == 'r' ? MU_REASON_NONE : MU_M(702),
        "cannot %s %s: %s", verb, path, strerror(e));
}

static enum mu_code read_fd(int fd, const char *path, struct mu_buf *out, struct mu_err *err)
{
    uint8_t part[4096];
    ssize_t n;

    while ((n = read(fd, part, sizeof part)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cannot("read", path, err);
        mu_buf_put(out, part, (size_t)n);
        mu_bytes_wipe(part, (size_t)n);
    }
    return mu_buf_check(out, path, err);
}

enum mu_code files_read(const char *path, struct mu_buf *out, struct mu_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum mu_code rc;

    if (fd < 0)
        return cannot("read", path, err);
    rc = read_fd(fd, path, out, err);
    close(fd);
    return rc;
}

enum mu_code files_read_secret(const char *path, struct mu_buf *out, struct mu_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    enum mu_code rc;

    if (fd < 0)
        return cannot("read", path, err);
    if (fstat(fd, &st) != 0)
        rc = cannot("read", path, err);
    else if (S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        rc = mu_err_set(err, MU_DENIED, MU_M(701), "%s is readable by others (%04o)", path,
            (unsigned)(st.st_mode & 07777));
    else
        rc = read_fd(fd, path, out, err);
    close(fd);
    while (rc == MU_OK && out->n > 0 && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r'))
        out->p[--out->n] = '\0';
    return rc;
}

static bool write_all(int fd, struct mu_bytes content)
{
    while (content.n > 0) {
        ssize_t n = write(fd, content.p, content.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        content.p += n;
        content.n -= (size_t)n;
    }
    return true;
}

static bool sync_dir_of(const char *path)
{
    char copy[PATH_MAX];
    bool ok;
    int fd;

    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ok = fsync(fd) == 0;
    return close(fd) == 0 && ok;
}

/* The new content in path.new, durable; the caller puts it in place. */
static enum mu_code write_beside(
    const char *path, struct mu_bytes content, mode_t mode, char beside[PATH_MAX], struct mu_err *err)
{
    int fd, n = snprintf(beside, PATH_MAX, "%s.%ld.new", path, (long)getpid());

    if (n < 0 || n >= PATH_MAX)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "path too long");
    unlink(beside); /* of a dead process with our number */
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return cannot("write", path, err);
    if (fchmod(fd, mode) != 0 || !write_all(fd, content) || fsync(fd) != 0) {
        enum mu_code rc = cannot("write", path, err);

        close(fd);
        unlink(beside);
        return rc;
    }
    if (close(fd) != 0) {
        enum mu_code rc = cannot("write", path, err);

        unlink(beside);
        return rc;
    }
    return MU_OK;
}

enum mu_code files_write(const char *path, struct mu_bytes content, mode_t mode, struct mu_err *err)
{
    char beside[PATH_MAX];
    enum mu_code rc = write_beside(path, content, mode, beside, err);

    if (rc != MU_OK)
        return rc;
    if (rename(beside, path) != 0) {
        rc = cannot("write", path, err);
        unlink(beside);
        return rc;
    }
    return sync_dir_of(path) ? MU_OK : cannot("write", path, err);
}

enum mu_code files_create(const char *path, struct mu_bytes content, mode_t mode, struct mu_err *err)
{
    char beside[PATH_MAX];
    enum mu_code rc = write_beside(path, content, mode, beside, err);

    if (rc != MU_OK)
        return rc;
    if (link(beside, path) != 0) { /* unlike rename, never over another */
        if (errno == EEXIST)
            rc = mu_err_set(err, MU_DENIED, MU_M(702), "%s is there already, not overwritten", path);
        else
            rc = cannot("write", path, err);
    }
    unlink(beside);
    if (rc == MU_OK && !sync_dir_of(path))
        rc = cannot("write", path, err);
    return rc;
}

enum mu_code files_mkdir(const char *path, mode_t mode, struct mu_err *err)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return sync_dir_of(path) ? MU_OK : cannot("make", path, err);
    if (errno != EEXIST)
        return cannot("make", path, err);
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return cannot("make", path, err);
    }
    return MU_OK;
}

bool files_exist(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}
