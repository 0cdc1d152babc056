/* log/events: appending under a lock, turning over, reading on from a place. */
#include "keystore/keystore_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keystore/keystore_internal.h"
#include "keystore/keystore_io.h"

#define NEW "events"
#define OLD "events.1"

const char *mu_keystore_log_place_format(
    const struct mu_keystore_log_place *place, char buf[MU_KEYSTORE_LOG_PLACE])
{
    snprintf(buf, MU_KEYSTORE_LOG_PLACE, "%" PRIu64 "-%" PRIu64, place->file, place->offset);
    return buf;
}

bool mu_keystore_log_place_parse(const char *text, struct mu_keystore_log_place *out)
{
    struct mu_keystore_log_place place;
    char behind;

    if (strspn(text, "0123456789-") != strlen(text)
        || sscanf(text, "%" SCNu64 "-%" SCNu64 "%c", &place.file, &place.offset, &behind) != 2)
        return false;
    *out = place;
    return true;
}

/* ---- appending ---- */

static bool is_current(int fd, int dir, const char *name)
{
    struct stat open_one, named;

    return fstat(fd, &open_one) == 0 && fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0
        && open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

/* The file, locked. Another may turn it over between open and lock: then once more. */
static int open_locked(int dir)
{
    for (int i = 0; i < 4; i++) {
        int fd = openat(dir, NEW, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX) == 0 && is_current(fd, dir, NEW))
            return fd;
        close(fd);
    }
    errno = EAGAIN;
    return -1;
}

static void put_line(struct mu_buf *out, struct mu_bytes line, bool torn)
{
    if (torn)
        mu_buf_put_byte(out, '\n'); /* what a crash left unfinished stands alone */
    for (size_t i = 0; i < line.n; i++)
        mu_buf_put_byte(out, line.p[i] == '\n' || line.p[i] == '\0' ? ' ' : line.p[i]);
    mu_buf_put_byte(out, '\n');
}

static bool ends_torn(int fd, off_t size)
{
    char last = '\n';

    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

/* All of it or nothing: half a line would be read as a whole one. */
static int write_whole(int fd, off_t size, const struct mu_buf *text)
{
    int why;

    if (mu_keystore_io_write(fd, text->p, text->n) == 0)
        return 0;
    why = errno;
    if (ftruncate(fd, size) != 0)
        why = errno;
    errno = why;
    return -1;
}

static enum mu_code append_to(const struct mu_keystore_dir *dir, struct mu_bytes line, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_KEYSTORE_LOG_LINE + 2};
    enum mu_code rc = MU_OK;
    struct stat st;
    int fd = open_locked(dir->fd);

    if (fd < 0 || fstat(fd, &st) != 0)
        goto fail;
    if (st.st_size > 0 && (uint64_t)st.st_size + line.n + 2 > MU_KEYSTORE_LOG_MAX) {
        int fresh;

        if (mu_keystore_io_rename(dir->fd, NEW, OLD) != 0 || (fresh = open_locked(dir->fd)) < 0)
            goto fail;
        close(fd);
        fd = fresh;
        if (fstat(fd, &st) != 0)
            goto fail;
    }
    put_line(&text, line, ends_torn(fd, st.st_size));
    if ((rc = mu_buf_check(&text, "event", err)) == MU_OK && write_whole(fd, st.st_size, &text) != 0)
        goto fail;
    goto out;
fail:
    rc = mu_keystore_fail(err, dir->path, NEW, false);
out:
    if (fd >= 0)
        close(fd);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_keystore_log_append(struct mu_keystore *store, struct mu_bytes line, struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    enum mu_code rc;

    line.n = line.n < MU_KEYSTORE_LOG_LINE ? line.n : MU_KEYSTORE_LOG_LINE;
    if ((rc = mu_keystore_dir_open(&store->root, "log", true, 0750, &dir, err)) == MU_OK)
        rc = append_to(&dir, line, err);
    mu_keystore_dir_close(&dir);
    return rc;
}

/* ---- reading ---- */

static enum mu_code read_file(const struct mu_keystore_dir *dir, const char *name, uint64_t *file,
    struct mu_buf *out, struct mu_err *err)
{
    int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum mu_code rc;
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return MU_NOT_FOUND;
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = mu_keystore_fail(err, dir->path, name, true);
    } else {
        *file = (uint64_t)st.st_ino;
        rc = mu_keystore_fd_read(fd, name, out, err);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

static void tell_lines(uint64_t file, const struct mu_buf *text, struct mu_keystore_log_place *place,
    mu_keystore_log_call *call, void *cookie)
{
    size_t at = place->file == file && place->offset <= text->n ? (size_t)place->offset : 0;
    const uint8_t *end;

    place->file = file;
    place->offset = at;
    while (at < text->n && (end = memchr(text->p + at, '\n', text->n - at)) != NULL) {
        struct mu_bytes line = mu_bytes(text->p + at, (size_t)(end - text->p) - at);

        at += line.n + 1;
        place->offset = at;
        if (line.n > 0)
            call(cookie, line, place);
    }
}

enum mu_code mu_keystore_log_read(struct mu_keystore *store, struct mu_keystore_log_place *place,
    mu_keystore_log_call *call, void *cookie, struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    struct mu_buf older = {0}, newer = {0};
    uint64_t older_file = 0, newer_file = 0;
    enum mu_code rc;

    mu_buf_init(&older, 2 * MU_KEYSTORE_LOG_MAX);
    mu_buf_init(&newer, 2 * MU_KEYSTORE_LOG_MAX);
    rc = mu_keystore_dir_open(&store->root, "log", false, 0, &dir, err);
    if (rc == MU_NOT_FOUND) {
        rc = MU_OK;
        goto out;
    }
    /* The newer first: if it is turned over meanwhile, it is read twice and told once. */
    if (rc == MU_OK)
        rc = read_file(&dir, NEW, &newer_file, &newer, err);
    if (rc == MU_OK || rc == MU_NOT_FOUND)
        rc = read_file(&dir, OLD, &older_file, &older, err);
    if (rc != MU_OK && rc != MU_NOT_FOUND)
        goto out;
    rc = MU_OK;
    if (older_file != 0 && older_file != newer_file && (place->file != newer_file || newer_file == 0))
        tell_lines(older_file, &older, place, call, cookie);
    if (newer_file != 0)
        tell_lines(newer_file, &newer, place, call, cookie);
out:
    mu_keystore_dir_close(&dir);
    mu_buf_clear(&older);
    mu_buf_clear(&newer);
    return rc;
}

bool mu_keystore_log_grew(struct mu_keystore *store, const struct mu_keystore_log_place *place)
{
    struct stat st;

    return fstatat(store->root.fd, "log/" NEW, &st, AT_SYMLINK_NOFOLLOW) == 0
        && ((uint64_t)st.st_ino != place->file || (uint64_t)st.st_size > place->offset);
}
