/* The store as a whole: its directories, locks, and the small files of an entry. */
#include "keystore/keystore.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "keystore/keystore_internal.h"
#include "keystore/keystore_io.h"

/* ---- opening ---- */

/* The name of a new directory is kept by the one it is in. Where that may be written to but not
 * read it cannot be synced by us. */
static int parent_sync(const char *path)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int rc = fd >= 0 ? mu_keystore_io_fsync(fd) : copy != NULL && errno == EACCES ? 0 : -1;

    if (fd >= 0)
        close(fd);
    free(copy);
    return rc;
}

static int directory_make(const char *path)
{
    if (mu_keystore_io_mkdir(AT_FDCWD, path, 0755) != 0)
        return errno == EEXIST ? 0 : -1;
    return parent_sync(path);
}

/* Makes the directories that lead to root, as mkdir -p does. */
static enum mu_code root_make(const char *root, struct mu_err *err)
{
    char *path = strdup(root);
    enum mu_code rc = MU_OK;

    if (path == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a path");
    for (char *p = path + 1; rc == MU_OK; p++) {
        char last = *p;

        if (last != '/' && last != '\0')
            continue;
        *p = '\0';
        if (directory_make(path) != 0)
            rc = mu_keystore_fail(err, path, "", false);
        *p = last;
        if (last == '\0')
            break;
    }
    free(path);
    return rc;
}

static enum mu_code root_open(
    const char *root, bool create, struct mu_keystore_dir *out, struct mu_err *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd = open(root, flags);
    enum mu_code rc;

    if (fd < 0 && errno == ENOENT && create) {
        if ((rc = root_make(root, err)) != MU_OK)
            return rc;
        fd = open(root, flags);
    }
    if (fd < 0)
        return mu_keystore_fail(err, root, "", true);
    if ((rc = mu_text_dup(root, &out->path, err)) != MU_OK) {
        close(fd);
        return rc;
    }
    out->fd = fd;
    return MU_OK;
}

static void boot_read(char out[40])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, 39) : 0;

    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

enum mu_code mu_keystore_open(
    const char *root, bool create, struct mu_keystore **out, struct mu_err *err)
{
    struct mu_keystore *store;
    enum mu_code rc;

    if (root == NULL || root[0] == '\0')
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the store has no path");
    if ((store = calloc(1, sizeof(*store))) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the store");
    const struct {
        const char *name;
        struct mu_keystore_dir *dir;
        unsigned mode;
    } parts[] = {
        {"certs", &store->certs, 0755}, {"ca", &store->ca, 0755}, {"crl", &store->crl, 0755},
        {"state", &store->state, 0700}, {"secrets", &store->secrets, 0700},
    };

    boot_read(store->boot);
    rc = root_open(root, create, &store->root, err);
    for (size_t i = 0; rc == MU_OK && i < sizeof(parts) / sizeof(parts[0]); i++)
        rc = mu_keystore_dir_open(
            &store->root, parts[i].name, create, parts[i].mode, parts[i].dir, err);
    if (rc != MU_OK) {
        mu_keystore_free(store);
        return rc;
    }
    *out = store;
    return MU_OK;
}

void mu_keystore_free(struct mu_keystore *store)
{
    if (store == NULL)
        return;
    mu_keystore_dir_close(&store->certs);
    mu_keystore_dir_close(&store->ca);
    mu_keystore_dir_close(&store->crl);
    mu_keystore_dir_close(&store->state);
    mu_keystore_dir_close(&store->secrets);
    mu_keystore_dir_close(&store->root);
    free(store);
}

const char *mu_keystore_root(const struct mu_keystore *store)
{
    return store->root.path;
}

enum mu_code mu_keystore_path(const struct mu_keystore *store, const char *name, const char *file,
    struct mu_buf *out, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_name_check(name, err);

    if (rc != MU_OK)
        return rc;
    mu_buf_putf(out, "%s/%s%s%s", store->certs.path, name, file[0] != '\0' ? "/" : "", file);
    return mu_buf_check(out, "a path", err);
}

/* ---- locks ---- */

struct mu_keystore_lock {
    const struct mu_keystore *store;
    int fd;
};

/* The file says who holds it, and behind that that he left in order, in this run of the machine: else
 * there may be leftovers. It stays when the lock is gone, since removing it would race. It is not
 * synced: after a power cut nobody holds it, and the run is another one. */
static enum mu_code lock_take(
    int fd, const char *boot, const char *name, bool *clean, struct mu_err *err)
{
    char pid[80] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
    int len;

    pid[n > 0 ? n : 0] = '\0';
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return mu_err_set(err, MU_STORAGE, MU_M(702), "cannot lock %s: %s", name, strerror(errno));
        pid[strspn(pid, "0123456789")] = '\0';
        return mu_err_set(err, MU_BUSY, MU_M(707), "process %s works on %s",
            pid[0] != '\0' ? pid : "(unknown)", name);
    }
    n = pread(fd, pid, sizeof(pid) - 1, 0); /* as its last holder left it */
    pid[n > 0 ? n : 0] = '\0';
    *clean = n == 0 || (boot[0] != '\0' && strstr(pid, boot) != NULL); /* empty: nobody had it yet */
    len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (mu_keystore_io_write(fd, pid, (size_t)len) != 0 || ftruncate(fd, len) != 0)
        return mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write the lock of %s: %s", name,
            strerror(errno));
    return MU_OK;
}

enum mu_code mu_keystore_lock(struct mu_keystore *store, const char *name,
    struct mu_keystore_lock **out, struct mu_err *err)
{
    char file[MU_KEYSTORE_FILE_NAME];
    struct mu_keystore_lock *lock;
    bool clean = false;
    enum mu_code rc = mu_keystore_name_check(name, err);

    if (rc != MU_OK)
        return rc;
    if ((lock = calloc(1, sizeof(*lock))) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a lock");
    lock->store = store;
    snprintf(file, sizeof(file), "%s.lock", name);
    lock->fd = openat(store->state.fd, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock->fd < 0) {
        rc = mu_keystore_fail(err, store->state.path, file, false);
        free(lock);
        return rc;
    }
    if ((rc = lock_take(lock->fd, store->boot, name, &clean, err)) != MU_OK) {
        close(lock->fd);
        free(lock);
        return rc;
    }
    if (!clean) { /* reading all of state/ for each of 10,000 entries would take minutes */
        snprintf(file, sizeof(file), "%s.", name);
        mu_keystore_dir_tidy(&store->state, file);
        mu_keystore_dir_tidy(&store->secrets, file);
        mu_keystore_pair_tidy(store, name);
    }
    *out = lock;
    return MU_OK;
}

void mu_keystore_unlock(struct mu_keystore_lock *lock)
{
    if (lock == NULL)
        return;
    if (mu_keystore_io_write(lock->fd, lock->store->boot, strlen(lock->store->boot)) != 0)
        errno = 0; /* then the next one looks for leftovers */
    close(lock->fd);
    free(lock);
}

/* ---- small files of an entry ---- */

static const struct mu_keystore_dir *area_dir(
    const struct mu_keystore *store, enum mu_keystore_area area)
{
    return area == MU_KEYSTORE_SECRETS ? &store->secrets : &store->state;
}

static enum mu_code kind_file(const char *name, const char *kind, char out[MU_KEYSTORE_FILE_NAME],
    struct mu_err *err)
{
    enum mu_code rc = mu_keystore_name_check(name, err);

    if (rc != MU_OK)
        return rc;
    if (kind[0] == '\0' || strlen(kind) > 64
        || strspn(kind, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
            != strlen(kind))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the name of a setting is letters, digits and dashes, at most 64");
    snprintf(out, MU_KEYSTORE_FILE_NAME, "%s.%s", name, kind);
    return MU_OK;
}

enum mu_code mu_keystore_put_unsynced(struct mu_keystore *store, enum mu_keystore_area area,
    const char *name, const char *kind, struct mu_bytes content, struct mu_err *err)
{
    char file[MU_KEYSTORE_FILE_NAME];
    enum mu_code rc = kind_file(name, kind, file, err);

    return rc != MU_OK ? rc : mu_keystore_dir_put(area_dir(store, area), file, 0600, content, err);
}

enum mu_code mu_keystore_sync(
    struct mu_keystore *store, enum mu_keystore_area area, struct mu_err *err)
{
    return mu_keystore_dir_sync(area_dir(store, area), err);
}

enum mu_code mu_keystore_put(struct mu_keystore *store, enum mu_keystore_area area, const char *name,
    const char *kind, struct mu_bytes content, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_put_unsynced(store, area, name, kind, content, err);

    return rc != MU_OK ? rc : mu_keystore_dir_sync(area_dir(store, area), err);
}

enum mu_code mu_keystore_get(struct mu_keystore *store, enum mu_keystore_area area, const char *name,
    const char *kind, struct mu_buf *out, struct mu_err *err)
{
    char file[MU_KEYSTORE_FILE_NAME];
    enum mu_code rc = kind_file(name, kind, file, err);

    return rc != MU_OK ? rc : mu_keystore_dir_get(area_dir(store, area), file, out, err);
}

bool mu_keystore_has(
    struct mu_keystore *store, enum mu_keystore_area area, const char *name, const char *kind)
{
    char file[MU_KEYSTORE_FILE_NAME];
    struct stat st;

    return kind_file(name, kind, file, NULL) == MU_OK
        && fstatat(area_dir(store, area)->fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

enum mu_code mu_keystore_remove(struct mu_keystore *store, enum mu_keystore_area area,
    const char *name, const char *kind, struct mu_err *err)
{
    char file[MU_KEYSTORE_FILE_NAME];
    enum mu_code rc = kind_file(name, kind, file, err);

    return rc != MU_OK ? rc : mu_keystore_dir_remove(area_dir(store, area), file, err);
}

struct each_kind {
    const char *name;
    mu_keystore_each_call *call;
    void *cookie;
};

/* A kind has no dot: what stands before the last one is the entry's name. */
static void each_kind_one(void *cookie, const char *file)
{
    struct each_kind *each = cookie;
    const char *dot = strrchr(file, '.');

    if (dot != NULL && (size_t)(dot - file) == strlen(each->name)
        && strncmp(file, each->name, (size_t)(dot - file)) == 0)
        each->call(each->cookie, dot + 1);
}

enum mu_code mu_keystore_each_kind(struct mu_keystore *store, enum mu_keystore_area area,
    const char *name, mu_keystore_each_call *call, void *cookie, struct mu_err *err)
{
    struct each_kind each = {name, call, cookie};

    return mu_keystore_dir_each(area_dir(store, area), each_kind_one, &each, err);
}

struct each_small {
    mu_keystore_each_small_call *call;
    void *cookie;
};

static void each_small_one(void *cookie, const char *file)
{
    struct each_small *each = cookie;
    const char *dot = strrchr(file, '.');
    char name[MU_KEYSTORE_NAME];

    if (dot == NULL || (size_t)(dot - file) >= sizeof(name))
        return;
    memcpy(name, file, (size_t)(dot - file));
    name[dot - file] = '\0';
    if (mu_text_is_entry_name(name))
        each->call(each->cookie, name, dot + 1);
}

enum mu_code mu_keystore_each_small(struct mu_keystore *store, enum mu_keystore_area area,
    mu_keystore_each_small_call *call, void *cookie, struct mu_err *err)
{
    struct each_small each = {call, cookie};

    return mu_keystore_dir_each(area_dir(store, area), each_small_one, &each, err);
}

/* ---- the list of entries ---- */

struct each_entry {
    struct mu_keystore *store;
    mu_keystore_each_call *call;
    void *cookie;
    bool from_state;
    char (*names)[MU_KEYSTORE_NAME];
    size_t n, room;
    bool failed;
};

static void entry_add(struct each_entry *each, const char *name, size_t len)
{
    char one[MU_KEYSTORE_NAME];
    void *grown;

    if (len >= sizeof(one))
        return;
    memcpy(one, name, len);
    one[len] = '\0';
    if (!mu_text_is_entry_name(one))
        return;
    if (each->n == each->room) {
        size_t room = each->room != 0 ? each->room * 2 : 64;

        if ((grown = realloc(each->names, room * sizeof(*each->names))) == NULL) {
            each->failed = true;
            return;
        }
        each->names = grown;
        each->room = room;
    }
    memcpy(each->names[each->n++], one, sizeof(one));
}

static void each_entry_one(void *cookie, const char *file)
{
    struct each_entry *each = cookie;
    const char *dot = strrchr(file, '.');
    char stem[MU_KEYSTORE_STEM];

    if (!each->from_state) {
        if (mu_text_is_entry_name(file) && mu_keystore_current(each->store, file, stem))
            entry_add(each, file, strlen(file));
    } else if (dot != NULL && (strcmp(dot, ".conf") == 0 || strcmp(dot, ".pending") == 0)) {
        entry_add(each, file, (size_t)(dot - file));
    }
}

static int by_entry(const void *a, const void *b)
{
    return strcmp(a, b);
}

enum mu_code mu_keystore_each(
    struct mu_keystore *store, mu_keystore_each_call *call, void *cookie, struct mu_err *err)
{
    struct each_entry each = {.store = store, .call = call, .cookie = cookie};
    enum mu_code rc = mu_keystore_dir_each(&store->certs, each_entry_one, &each, err);

    each.from_state = true;
    if (rc == MU_OK)
        rc = mu_keystore_dir_each(&store->state, each_entry_one, &each, err);
    if (rc == MU_OK && each.failed)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the list of entries");
    if (rc == MU_OK && each.n > 0)
        qsort(each.names, each.n, sizeof(*each.names), by_entry);
    for (size_t i = 0; rc == MU_OK && i < each.n; i++)
        if (i == 0 || strcmp(each.names[i - 1], each.names[i]) != 0)
            call(cookie, each.names[i]);
    free(each.names);
    return rc;
}
