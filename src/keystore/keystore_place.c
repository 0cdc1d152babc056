/* The walk to a directory, and the change of one file in it. */
#include "keystore/keystore_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "keystore/keystore_internal.h"
#include "keystore/keystore_io.h"

enum { LINKS = 16, LOCK_TRIES = 200, LOCK_PAUSE_MS = 50 };

struct mu_keystore_place {
    int dir;
    char path[PATH_MAX];  /* as people know it */
    char name[NAME_MAX + 1]; /* in dir; where a neighbor link leads */
    bool exists;
    struct stat st;
};

static enum mu_code fail(const struct mu_keystore_place *place, bool reading, struct mu_err *err)
{
    int why = errno;
    char shown[300];

    mu_text_escape_to(shown, sizeof shown, mu_bytes_str(place->path));
    errno = why;
    return mu_keystore_fail(err, shown, "", reading);
}

static enum mu_code refuse(
    const struct mu_keystore_place *place, const char *what, const char *target, struct mu_err *err)
{
    char shown[200], to[200];

    mu_text_escape_to(shown, sizeof shown, mu_bytes_str(place->path));
    mu_text_escape_to(to, sizeof to, mu_bytes_str(target));
    mu_err_set(err, MU_DENIED, MU_M(702), "%s: %s leads to %s and is not followed", shown, what, to);
    mu_err_likely(err, "A link that leads out of the place that was named.");
    mu_err_next(err, "name the file itself");
    return MU_DENIED;
}

/* ---- the way to the directory ---- */

/* Might somebody else than root and ourselves have put this link here? */
static bool is_trusted_link(int dir, const struct stat *link)
{
    struct stat st;
    uid_t me = geteuid();

    if ((link->st_uid != 0 && link->st_uid != me) || fstat(dir, &st) != 0)
        return false;
    if (st.st_uid != 0 && st.st_uid != me)
        return false;
    return (st.st_mode & 022) == 0 || (st.st_mode & S_ISVTX) != 0;
}

struct way {
    const struct mu_keystore_place *place;
    char rest[PATH_MAX]; /* what is still to be walked */
    unsigned links;
};

/* The next step goes into a link: its target is walked instead, from *dir or from the root. */
static enum mu_code follow(struct way *w, int *dir, const char *step, struct mu_err *err)
{
    char target[PATH_MAX], rest[PATH_MAX];
    struct stat st;
    ssize_t n = readlinkat(*dir, step, target, sizeof target - 1);

    if (n <= 0 || fstatat(*dir, step, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(w->place, true, err);
    target[n] = '\0';
    if (!is_trusted_link(*dir, &st))
        return refuse(w->place, step, target, err);
    memcpy(rest, w->rest, sizeof rest);
    if (++w->links > LINKS
        || snprintf(w->rest, sizeof w->rest, "%s/%s", target, rest) >= (int)sizeof w->rest) {
        errno = ELOOP;
        return fail(w->place, true, err);
    }
    if (target[0] == '/') {
        close(*dir);
        if ((*dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
            return fail(w->place, true, err);
    }
    return MU_OK;
}

/* Takes the first step off rest; false: there is none. */
static bool next_step(struct way *w, char step[NAME_MAX + 1])
{
    const char *p = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(p, "/");

    if (n == 0 || n > NAME_MAX)
        return false;
    memcpy(step, p, n);
    step[n] = '\0';
    memmove(w->rest, p + n, strlen(p + n) + 1);
    return true;
}

static enum mu_code walk(struct way *w, int *out, struct mu_err *err)
{
    char step[NAME_MAX + 1];
    int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    enum mu_code rc = dir >= 0 ? MU_OK : fail(w->place, true, err);

    while (rc == MU_OK && next_step(w, step)) {
        int next = openat(dir, step, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (next >= 0) {
            close(dir);
            dir = next;
        } else if (errno == ENOTDIR || errno == ELOOP) {
            struct stat st;

            if (fstatat(dir, step, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
                rc = follow(w, &dir, step, err);
            else
                rc = fail(w->place, true, err);
        } else {
            rc = fail(w->place, true, err);
        }
    }
    if (rc == MU_OK && (*out = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = fail(w->place, true, err);
    if (dir >= 0)
        close(dir);
    return rc;
}

/* ---- the file ---- */

/* A link to a neighbor is followed, any other refused; then st and exists are the file's. */
static enum mu_code look(struct mu_keystore_place *place, struct mu_err *err)
{
    char target[NAME_MAX + 1];

    for (unsigned i = 0; i < LINKS; i++) {
        ssize_t n;

        place->exists = fstatat(place->dir, place->name, &place->st, AT_SYMLINK_NOFOLLOW) == 0;
        if (!place->exists)
            return errno == ENOENT ? MU_OK : fail(place, true, err);
        if (!S_ISLNK(place->st.st_mode))
            return MU_OK;
        n = readlinkat(place->dir, place->name, target, sizeof target - 1);
        if (n <= 0)
            return fail(place, true, err);
        target[n] = '\0';
        if (strchr(target, '/') != NULL || strcmp(target, ".") == 0 || strcmp(target, "..") == 0)
            return refuse(place, "it", target, err);
        memcpy(place->name, target, (size_t)n + 1);
    }
    errno = ELOOP;
    return fail(place, true, err);
}

static enum mu_code lock(const struct mu_keystore_place *place, struct mu_err *err)
{
    const struct timespec pause = {0, LOCK_PAUSE_MS * 1000000L};

    for (unsigned i = 0; flock(place->dir, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(place, false, err);
        if (i == LOCK_TRIES)
            return mu_err_set(err, MU_BUSY, MU_REASON_NONE,
                "another program works on the directory of %s", place->path);
        nanosleep(&pause, NULL);
    }
    return MU_OK;
}

/* place->path from a path that may be relative; false: too long, or no name at its end. */
static bool make_whole(struct mu_keystore_place *place, const char *path)
{
    char cwd[PATH_MAX];
    const char *slash;
    int n;

    if (path[0] == '/')
        n = snprintf(place->path, sizeof place->path, "%s", path);
    else if (getcwd(cwd, sizeof cwd) != NULL)
        n = snprintf(place->path, sizeof place->path, "%s/%s", cwd, path);
    else
        return false;
    if (n < 0 || (size_t)n >= sizeof place->path)
        return false;
    slash = strrchr(place->path, '/');
    n = snprintf(place->name, sizeof place->name, "%s", slash + 1);
    return n > 0 && (size_t)n < sizeof place->name && strcmp(place->name, ".") != 0
        && strcmp(place->name, "..") != 0;
}

enum mu_code mu_keystore_place_open(
    const char *path, struct mu_keystore_place **out, struct mu_err *err)
{
    struct mu_keystore_place *place = calloc(1, sizeof *place);
    struct way *w = calloc(1, sizeof *w);
    char shown[200];
    enum mu_code rc;

    if (place == NULL || w == NULL) {
        free(place);
        free(w);
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a path");
    }
    place->dir = -1;
    w->place = place;
    if (!make_whole(place, path)) {
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "'%s' is no path of a file",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(path)));
        goto out;
    }
    memcpy(w->rest, place->path, (size_t)(strrchr(place->path, '/') - place->path));
    if ((rc = walk(w, &place->dir, err)) == MU_OK && (rc = lock(place, err)) == MU_OK)
        rc = look(place, err);
out:
    free(w);
    if (rc != MU_OK) {
        mu_keystore_place_close(place);
        return rc;
    }
    *out = place;
    return MU_OK;
}

void mu_keystore_place_close(struct mu_keystore_place *place)
{
    if (place != NULL && place->dir >= 0)
        close(place->dir); /* the lock goes with it */
    free(place);
}

const char *mu_keystore_place_path(const struct mu_keystore_place *place)
{
    return place->path;
}

bool mu_keystore_place_exists(const struct mu_keystore_place *place)
{
    return place->exists;
}

enum mu_code mu_keystore_place_read(
    struct mu_keystore_place *place, struct mu_buf *out, struct mu_err *err)
{
    int fd = openat(place->dir, place->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    enum mu_code rc;

    if (fd < 0)
        return fail(place, true, err);
    if (fstat(fd, &place->st) != 0 || !S_ISREG(place->st.st_mode))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s is no file", place->path);
    else
        rc = mu_keystore_fd_read(fd, place->path, out, err);
    close(fd);
    return rc;
}

static bool old_name(const struct mu_keystore_place *place, char out[NAME_MAX + 1])
{
    return snprintf(out, NAME_MAX + 1, ".%s.muster-old", place->name) <= NAME_MAX;
}

/* Owner and mode before the content, so that at no moment anybody reads it who may not. */
static int dress(int fd, const struct mu_keystore_place *place, const struct mu_keystore_place_how *how)
{
    uid_t uid = how->has_uid ? how->uid : place->exists ? place->st.st_uid : (uid_t)-1;
    gid_t gid = how->has_gid ? how->gid : place->exists ? place->st.st_gid : (gid_t)-1;
    mode_t mode = how->has_mode ? how->mode : place->exists ? place->st.st_mode & 07777 : 0600;

    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) != 0)
        return -1;
    return fchmod(fd, mode);
}

static int fill(int fd, const struct mu_keystore_place *place,
    const struct mu_keystore_place_how *how, struct mu_bytes content)
{
    int why, rc = dress(fd, place, how);

    if (rc == 0)
        rc = mu_keystore_io_write(fd, content.p, content.n);
    if (rc == 0)
        rc = mu_keystore_io_fsync(fd);
    why = errno;
    if (mu_keystore_io_close(fd) != 0 && rc == 0)
        return -1;
    errno = why;
    return rc;
}

static int keep_old(const struct mu_keystore_place *place)
{
    char old[NAME_MAX + 1];

    if (!place->exists || !old_name(place, old)
        || linkat(place->dir, place->name, place->dir, old, 0) == 0 || errno == EEXIST)
        return 0;
    return -1;
}

enum mu_code mu_keystore_place_write(struct mu_keystore_place *place,
    const struct mu_keystore_place_how *how, struct mu_bytes content, struct mu_err *err)
{
    char temporary[NAME_MAX + 1];
    enum mu_code rc = MU_OK;
    int fd;

    if (place->exists && !S_ISREG(place->st.st_mode))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s is no file", place->path);
    if (snprintf(temporary, sizeof temporary, ".%.200s.muster-%ld", place->name, (long)getpid()) < 0)
        return MU_INTERNAL;
    (void)unlinkat(place->dir, temporary, 0); /* a crash left it and our process number came again */
    if ((fd = mu_keystore_io_create(place->dir, temporary, 0600)) < 0)
        return fail(place, false, err);
    if (fill(fd, place, how, content) != 0 || (how->keep_old && keep_old(place) != 0)
        || mu_keystore_io_rename(place->dir, temporary, place->name) != 0) {
        rc = fail(place, false, err);
        (void)mu_keystore_io_unlink(place->dir, temporary);
    } else if (mu_keystore_io_fsync(place->dir) != 0) {
        rc = fail(place, false, err);
    }
    return rc == MU_OK ? look(place, err) : rc;
}

enum mu_code mu_keystore_place_back(struct mu_keystore_place *place, struct mu_err *err)
{
    char old[NAME_MAX + 1];

    if (!old_name(place, old) || mu_keystore_io_rename(place->dir, old, place->name) != 0
        || mu_keystore_io_fsync(place->dir) != 0)
        return errno == ENOENT ? mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
                                     "no earlier %s was kept", place->path)
                               : fail(place, false, err);
    return look(place, err);
}

enum mu_code mu_keystore_place_forget(struct mu_keystore_place *place, struct mu_err *err)
{
    char old[NAME_MAX + 1];

    if (old_name(place, old) && mu_keystore_io_unlink(place->dir, old) != 0 && errno != ENOENT)
        return fail(place, false, err);
    return MU_OK;
}
