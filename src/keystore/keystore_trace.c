/* log/trace: one file an exchange, and the ring that they are. */
#include "keystore/keystore_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "keystore/keystore_internal.h"
#include "keystore/keystore_io.h"

enum { SAME_SECOND = 100, STAMP = 16 /* "20251120T174005Z" */ };

#define CUT "(more was said, and is left out)\n"

static enum mu_code dir_open(
    struct mu_keystore *store, bool create, struct mu_keystore_dir *out, struct mu_err *err)
{
    struct mu_keystore_dir log = {.fd = -1};
    enum mu_code rc = mu_keystore_dir_open(&store->root, "log", create, 0750, &log, err);

    if (rc == MU_OK)
        rc = mu_keystore_dir_open(&log, "trace", create, 0700, out, err);
    mu_keystore_dir_close(&log);
    return rc;
}

/* What stands behind the entry's name, NULL: it is no name of a trace. An entry's name may have dots itself. */
static const char *stamp_of(const char *name)
{
    const char *dot = strrchr(name, '.'), *p;

    if (dot == NULL || dot == name || strlen(dot + 1) < STAMP || strlen(name) >= MU_KEYSTORE_TRACE)
        return NULL;
    for (p = dot + 1; *p != '\0'; p++) {
        size_t i = (size_t)(p - dot) - 1;
        bool fits = i == 8 ? *p == 'T' : i == 15 ? *p == 'Z' : i == 16 ? *p == '-' : *p >= '0' && *p <= '9';

        if (!fits)
            return NULL;
    }
    return dot + 1;
}

bool mu_keystore_trace_is_name(const char *name, const char *entry)
{
    const char *stamp = stamp_of(name);
    char own[MU_KEYSTORE_TRACE];

    if (stamp == NULL)
        return false;
    snprintf(own, sizeof(own), "%.*s", (int)(stamp - name - 1), name);
    return mu_text_is_entry_name(own) && (entry == NULL || strcmp(own, entry) == 0);
}

static enum mu_code name_check(const char *name, struct mu_err *err)
{
    char shown[160];

    if (mu_keystore_trace_is_name(name, NULL))
        return MU_OK;
    return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "'%s' is no name of a trace",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(name)));
}

/* ---- writing ---- */

enum mu_code mu_keystore_trace_new(struct mu_keystore *store, const char *entry, int64_t at_s,
    char name[MU_KEYSTORE_TRACE], struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    struct mu_time_civil t;
    char again[8] = "";
    int fd = -1;
    enum mu_code rc;

    if ((rc = mu_keystore_name_check(entry, err)) != MU_OK || (rc = dir_open(store, true, &dir, err)) != MU_OK)
        return rc;
    mu_time_civil(at_s, &t);
    for (int i = 1; fd < 0 && i <= SAME_SECOND; i++) {
        if (i > 1)
            snprintf(again, sizeof(again), "-%d", i);
        snprintf(name, MU_KEYSTORE_TRACE, "%s.%04d%02d%02dT%02d%02d%02dZ%s", entry, t.year % 10000, t.month, t.day, t.hour,
            t.minute, t.second, again);
        fd = mu_keystore_io_create(dir.fd, name, 0600);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    if (fd < 0)
        rc = mu_keystore_fail(err, dir.path, name, false);
    else
        close(fd);
    mu_keystore_dir_close(&dir);
    return rc;
}

static int append_to(int dir, const char *name, struct mu_bytes lines)
{
    int fd = openat(dir, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc = -1, why;
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0)
        rc = -1;
    else if (st.st_size >= MU_KEYSTORE_TRACE_FILE)
        rc = 0;
    else if ((size_t)st.st_size + lines.n + sizeof(CUT) > MU_KEYSTORE_TRACE_FILE)
        rc = mu_keystore_io_write(fd, CUT, sizeof(CUT) - 1) == 0 ? ftruncate(fd, MU_KEYSTORE_TRACE_FILE) : -1;
    else
        rc = mu_keystore_io_write(fd, lines.p, lines.n);
    why = errno;
    close(fd);
    errno = why;
    return rc;
}

enum mu_code mu_keystore_trace_append(
    struct mu_keystore *store, const char *name, struct mu_bytes lines, struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    enum mu_code rc = name_check(name, err);

    if (rc != MU_OK || (rc = dir_open(store, true, &dir, err)) != MU_OK)
        return rc;
    if (append_to(dir.fd, name, lines) != 0)
        rc = mu_keystore_fail(err, dir.path, name, false);
    mu_keystore_dir_close(&dir);
    return rc;
}

/* ---- the ring ---- */

struct trace {
    char name[MU_KEYSTORE_TRACE];
    int64_t size;
};

struct ring {
    const struct mu_keystore_dir *dir;
    const char *entry;
    struct trace *v;
    size_t n, cap;
    bool failed;
};

static void ring_add(void *cookie, const char *name)
{
    struct ring *ring = cookie;
    struct stat st;

    if (!mu_keystore_trace_is_name(name, ring->entry)
        || fstatat(ring->dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return;
    if (ring->n == ring->cap) {
        size_t cap = ring->cap == 0 ? 64 : 2 * ring->cap;
        struct trace *v = realloc(ring->v, cap * sizeof(*v));

        ring->failed = ring->failed || v == NULL;
        if (v == NULL)
            return;
        ring->v = v;
        ring->cap = cap;
    }
    snprintf(ring->v[ring->n].name, MU_KEYSTORE_TRACE, "%s", name);
    ring->v[ring->n++].size = st.st_size;
}

static int by_time(const void *a, const void *b)
{
    const struct trace *x = a, *y = b;
    const char *s = stamp_of(x->name), *t = stamp_of(y->name);
    int order = strncmp(s, t, STAMP);

    if (order == 0) /* "-10" comes behind "-2" */
        order = strlen(s) < strlen(t) ? -1 : strlen(s) > strlen(t) ? 1 : strcmp(s, t);
    return order != 0 ? order : strcmp(x->name, y->name);
}

/* Oldest first. No directory yet: an empty ring. */
static enum mu_code ring_open(struct mu_keystore *store, const char *entry, struct mu_keystore_dir *dir,
    struct ring *ring, struct mu_err *err)
{
    enum mu_code rc = dir_open(store, false, dir, err);

    *ring = (struct ring){.dir = dir, .entry = entry};
    if (rc == MU_NOT_FOUND) {
        mu_err_clear(err);
        return MU_OK;
    }
    if (rc == MU_OK)
        rc = mu_keystore_dir_each(dir, ring_add, ring, err);
    if (rc == MU_OK && ring->failed)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the list of traces");
    if (rc == MU_OK && ring->n > 0)
        qsort(ring->v, ring->n, sizeof(*ring->v), by_time);
    return rc;
}

static void ring_close(struct ring *ring, struct mu_keystore_dir *dir)
{
    free(ring->v);
    mu_keystore_dir_close(dir);
}

static enum mu_code remove_first(struct ring *ring, size_t n, struct mu_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (mu_keystore_io_unlink(ring->dir->fd, ring->v[i].name) != 0 && errno != ENOENT)
            return mu_keystore_fail(err, ring->dir->path, ring->v[i].name, false);
    return MU_OK;
}

enum mu_code mu_keystore_trace_prune(struct mu_keystore *store, int64_t max, struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    struct ring ring;
    int64_t all = 0;
    size_t n = 0;
    enum mu_code rc = ring_open(store, NULL, &dir, &ring, err);

    for (size_t i = 0; i < ring.n; i++)
        all += ring.v[i].size;
    for (; rc == MU_OK && n < ring.n && all > max; n++)
        all -= ring.v[n].size;
    if (rc == MU_OK)
        rc = remove_first(&ring, n, err);
    ring_close(&ring, &dir);
    return rc;
}

enum mu_code mu_keystore_trace_each(struct mu_keystore *store, const char *entry, mu_keystore_each_call *call,
    void *cookie, struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    struct ring ring;
    enum mu_code rc = ring_open(store, entry, &dir, &ring, err);

    for (size_t i = 0; rc == MU_OK && i < ring.n; i++)
        call(cookie, ring.v[i].name);
    ring_close(&ring, &dir);
    return rc;
}

enum mu_code mu_keystore_trace_remove(struct mu_keystore *store, const char *entry, struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    struct ring ring;
    enum mu_code rc = ring_open(store, entry, &dir, &ring, err);

    if (rc == MU_OK)
        rc = remove_first(&ring, ring.n, err);
    ring_close(&ring, &dir);
    return rc;
}

/* ---- reading ---- */

enum mu_code mu_keystore_trace_read(struct mu_keystore *store, const char *name, uint64_t offset,
    struct mu_buf *out, struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    enum mu_code rc = name_check(name, err);
    size_t before = out->n;
    int fd = -1;

    if (rc != MU_OK || (rc = dir_open(store, false, &dir, err)) != MU_OK)
        return rc;
    fd = openat(dir.fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || lseek(fd, (off_t)offset, SEEK_SET) < 0)
        rc = mu_keystore_fail(err, dir.path, name, true);
    else
        rc = mu_keystore_fd_read(fd, name, out, err);
    while (rc == MU_OK && out->n > before && out->p[out->n - 1] == '\0')
        out->n--; /* what makes a full one full */
    if (fd >= 0)
        close(fd);
    mu_keystore_dir_close(&dir);
    return rc;
}
