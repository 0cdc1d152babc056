#include "cmd/muster-ca/files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum mu_code cannot(const char *verb, const char *path, struct mu_err *err)
{
    return mu_err_set(err, MU_STORAGE, MU_M(702), "cannot %s %s: %s", verb, path, strerror(errno));
}

bool files_exist(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
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

enum mu_code files_create(
    const char *path, struct mu_bytes content, mode_t mode, struct mu_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    enum mu_code rc = MU_OK;

    if (fd < 0 && errno == EEXIST) {
        mu_err_set(err, MU_STORAGE, MU_M(702), "%s is there already and is not overwritten", path);
        mu_err_likely(err, "An earlier run wrote it.");
        mu_err_next(err, "Move it away, or name another file.");
        return MU_STORAGE;
    }
    if (fd < 0)
        return cannot("write", path, err);
    if (fchmod(fd, mode) != 0 || !write_all(fd, content) || fsync(fd) != 0)
        rc = cannot("write", path, err);
    if (close(fd) != 0 && rc == MU_OK)
        rc = cannot("write", path, err);
    if (rc == MU_OK && !sync_dir_of(path))
        rc = cannot("write", path, err);
    if (rc != MU_OK)
        unlink(path);
    return rc;
}
