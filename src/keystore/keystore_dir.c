/* One directory of the store: files and links in it that change whole or not at all. */
#include "keystore/keystore_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "keystore/keystore_io.h"

#define TEMPORARY ".tmp-"

enum mu_code mu_keystore_fail(struct mu_err *err, const char *dir, const char *name, bool reading)
{
    int why = errno;
    const char *slash = name[0] != '\0' ? "/" : "";

    if (reading)
        return mu_err_set(err, why == ENOENT ? MU_NOT_FOUND : MU_STORAGE,
            why == EACCES ? MU_M(704) : MU_REASON_NONE, "cannot read %s%s%s: %s", dir, slash, name,
            strerror(why));
    return mu_err_set(
        err, MU_STORAGE, MU_M(702), "cannot write %s%s%s: %s", dir, slash, name, strerror(why));
}

enum mu_code mu_keystore_name_check(const char *name, struct mu_err *err)
{
    char shown[100];

    if (name != NULL && mu_text_is_entry_name(name))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "'%s' cannot be a name: letters, digits and . _ -, at most 64, not beginning with . or -",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(name != NULL ? name : "")));
}

static enum mu_code path_join(const char *parent, const char *name, char **out, struct mu_err *err)
{
    if (asprintf(out, "%s%s%s", parent, *parent != '\0' ? "/" : "", name) >= 0)
        return MU_OK;
    *out = NULL;
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a path");
}

static enum mu_code open_or_make(const struct mu_keystore_dir *parent, const char *name,
    bool create, unsigned mode, bool *made, struct mu_keystore_dir *out, struct mu_err *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    struct mu_keystore_dir dir = {-1, NULL};
    enum mu_code rc;

    dir.fd = openat(parent->fd, name, flags);
    *made = dir.fd < 0 && errno == ENOENT && create;
    if (*made) {
        if (mu_keystore_io_mkdir(parent->fd, name, mode) != 0 && errno != EEXIST)
            return mu_keystore_fail(err, parent->path, name, false);
        dir.fd = openat(parent->fd, name, flags);
    }
    if (dir.fd < 0)
        return mu_keystore_fail(err, parent->path, name, true);
    if ((rc = path_join(parent->path, name, &dir.path, err)) != MU_OK) {
        close(dir.fd);
        return rc;
    }
    *out = dir;
    return MU_OK;
}

enum mu_code mu_keystore_dir_open(const struct mu_keystore_dir *parent, const char *name,
    bool create, unsigned mode, struct mu_keystore_dir *out, struct mu_err *err)
{
    struct mu_keystore_dir dir = {-1, NULL};
    bool made;
    enum mu_code rc = open_or_make(parent, name, create, mode, &made, &dir, err);

    if (rc == MU_OK && made && mu_keystore_io_fsync(parent->fd) != 0) {
        rc = mu_keystore_fail(err, parent->path, name, false);
        mu_keystore_dir_close(&dir);
    }
    if (rc == MU_OK)
        *out = dir;
    return rc;
}

enum mu_code mu_keystore_dir_make(const struct mu_keystore_dir *parent, const char *name,
    unsigned mode, struct mu_keystore_dir *out, struct mu_err *err)
{
    bool made;

    return open_or_make(parent, name, true, mode, &made, out, err);
}

void mu_keystore_dir_close(struct mu_keystore_dir *dir)
{
    if (dir->path != NULL)
        close(dir->fd);
    free(dir->path);
    *dir = (struct mu_keystore_dir){-1, NULL};
}

enum mu_code mu_keystore_dir_sync(const struct mu_keystore_dir *dir, struct mu_err *err)
{
    if (mu_keystore_io_fsync(dir->fd) != 0)
        return mu_keystore_fail(err, dir->path, "", false);
    return MU_OK;
}

static bool temporary_name(char out[MU_KEYSTORE_FILE_NAME], const char *name)
{
    int n = snprintf(out, MU_KEYSTORE_FILE_NAME, TEMPORARY "%ld-%s", (long)getpid(), name);

    if (n < MU_KEYSTORE_FILE_NAME)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

static int temporary_create(int dir, const char *name, unsigned mode)
{
    int fd = mu_keystore_io_create(dir, name, mode);

    /* A crash left it and our process number came round again. */
    if (fd < 0 && errno == EEXIST && mu_keystore_io_unlink(dir, name) == 0)
        fd = mu_keystore_io_create(dir, name, mode);
    return fd;
}

/* Closes in every case; reports the first thing that went wrong. */
static int write_and_sync(int fd, struct mu_bytes content)
{
    int rc = mu_keystore_io_write(fd, content.p, content.n);
    int why;

    if (rc == 0)
        rc = mu_keystore_io_fsync(fd);
    why = errno;
    if (mu_keystore_io_close(fd) != 0 && rc == 0)
        return -1;
    errno = why;
    return rc;
}

enum mu_code mu_keystore_dir_put(const struct mu_keystore_dir *dir, const char *name, unsigned mode,
    struct mu_bytes content, struct mu_err *err)
{
    char temporary[MU_KEYSTORE_FILE_NAME];
    enum mu_code rc;
    int fd;

    if (!temporary_name(temporary, name))
        return mu_keystore_fail(err, dir->path, name, false);
    if ((fd = temporary_create(dir->fd, temporary, mode)) < 0)
        return mu_keystore_fail(err, dir->path, name, false);
    if (write_and_sync(fd, content) == 0
        && mu_keystore_io_rename(dir->fd, temporary, name) == 0)
        return MU_OK;
    rc = mu_keystore_fail(err, dir->path, name, false);
    (void)mu_keystore_io_unlink(dir->fd, temporary);
    return rc;
}

/* Over what is there: under another name first, then by rename. */
static int link_replace(const struct mu_keystore_dir *dir, const char *name, const char *target)
{
    char temporary[MU_KEYSTORE_FILE_NAME];
    int made, why;

    if (!temporary_name(temporary, name))
        return -1;
    made = mu_keystore_io_symlink(dir->fd, temporary, target);
    if (made != 0 && errno == EEXIST && mu_keystore_io_unlink(dir->fd, temporary) == 0)
        made = mu_keystore_io_symlink(dir->fd, temporary, target);
    if (made != 0)
        return -1;
    if (mu_keystore_io_rename(dir->fd, temporary, name) == 0)
        return 0;
    why = errno;
    (void)mu_keystore_io_unlink(dir->fd, temporary);
    errno = why;
    return -1;
}

enum mu_code mu_keystore_dir_link(const struct mu_keystore_dir *dir, const char *name,
    const char *target, struct mu_err *err)
{
    char present[MU_KEYSTORE_FILE_NAME];
    ssize_t n = readlinkat(dir->fd, name, present, sizeof(present));
    bool is_new = n < 0 && errno == ENOENT;

    if (n == (ssize_t)strlen(target) && memcmp(present, target, (size_t)n) == 0)
        return MU_OK;
    /* A link is there with its target or not at all. */
    if ((is_new ? mu_keystore_io_symlink(dir->fd, name, target)
                : link_replace(dir, name, target)) != 0)
        return mu_keystore_fail(err, dir->path, name, false);
    return MU_OK;
}

enum mu_code mu_keystore_fd_read(int fd, const char *path, struct mu_buf *out, struct mu_err *err)
{
    size_t start = out->n;

    for (;;) {
        uint8_t part[4096];
        ssize_t n = read(fd, part, sizeof(part));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mu_keystore_fail(err, path, "", true);
        if (n == 0)
            break;
        if (out->n - start + (size_t)n > MU_LIMIT_FILE || !mu_buf_put(out, part, (size_t)n)) {
            mu_bytes_wipe(part, sizeof(part));
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s is longer than %d octets", path,
                MU_LIMIT_FILE);
        }
        if (out->secret)
            mu_bytes_wipe(part, sizeof(part));
    }
    return MU_OK;
}

enum mu_code mu_keystore_dir_get(const struct mu_keystore_dir *dir, const char *name,
    struct mu_buf *out, struct mu_err *err)
{
    int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *path = NULL;
    struct stat st;
    enum mu_code rc;

    if (fd < 0)
        return mu_keystore_fail(err, dir->path, name, true);
    if ((rc = path_join(dir->path, name, &path, err)) != MU_OK)
        goto out;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "%s is no regular file", path);
        goto out;
    }
    rc = mu_keystore_fd_read(fd, path, out, err);
out:
    free(path);
    close(fd);
    return rc;
}

enum mu_code mu_keystore_dir_remove(
    const struct mu_keystore_dir *dir, const char *name, struct mu_err *err)
{
    if (mu_keystore_io_unlink(dir->fd, name) != 0)
        return errno == ENOENT ? MU_OK : mu_keystore_fail(err, dir->path, name, false);
    return mu_keystore_dir_sync(dir, err);
}

struct names {
    char **v;
    size_t n;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_add(struct names *names, const char *name)
{
    char **v = realloc(names->v, (names->n + 1) * sizeof(*v));

    if (v == NULL)
        return false;
    names->v = v;
    if ((v[names->n] = strdup(name)) == NULL)
        return false;
    names->n++;
    return true;
}

static enum mu_code names_read(
    const struct mu_keystore_dir *dir, struct names *names, struct mu_err *err)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (stream == NULL) {
        if (fd >= 0)
            close(fd);
        return mu_keystore_fail(err, dir->path, "", true);
    }
    while ((entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!names_add(names, entry->d_name)) {
            closedir(stream);
            return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a directory's names");
        }
    }
    closedir(stream);
    return MU_OK;
}

enum mu_code mu_keystore_dir_each(const struct mu_keystore_dir *dir, mu_keystore_each_call *call,
    void *cookie, struct mu_err *err)
{
    struct names names = {0};
    enum mu_code rc = names_read(dir, &names, err);

    if (rc == MU_OK && names.n > 0)
        qsort(names.v, names.n, sizeof(*names.v), by_name);
    for (size_t i = 0; i < names.n; i++) {
        if (rc == MU_OK)
            call(cookie, names.v[i]);
        free(names.v[i]);
    }
    free(names.v);
    return rc;
}

struct tidy {
    const struct mu_keystore_dir *dir;
    const char *prefix;
    bool dead_only;
};

/* The process that wrote it is gone. */
static bool writer_is_dead(const char *name)
{
    long pid = strtol(name + strlen(TEMPORARY), NULL, 10);

    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static void tidy_one(void *cookie, const char *name)
{
    const struct tidy *tidy = cookie;
    const char *file;

    if (!mu_text_starts(name, TEMPORARY))
        return;
    file = strchr(name + strlen(TEMPORARY), '-');
    if (tidy->prefix != NULL && (file == NULL || !mu_text_starts(file + 1, tidy->prefix)))
        return;
    if (!tidy->dead_only || writer_is_dead(name))
        (void)mu_keystore_io_unlink(tidy->dir->fd, name);
}

void mu_keystore_dir_tidy(const struct mu_keystore_dir *dir, const char *prefix)
{
    struct tidy tidy = {dir, prefix, false};

    if (mu_keystore_dir_each(dir, tidy_one, &tidy, NULL) != MU_OK)
        return;
}

void mu_keystore_dir_tidy_dead(const struct mu_keystore_dir *dir)
{
    struct tidy tidy = {dir, NULL, true};

    if (mu_keystore_dir_each(dir, tidy_one, &tidy, NULL) != MU_OK)
        return;
}
