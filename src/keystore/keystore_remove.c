/* An entry as a whole, taken away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "keystore/keystore_internal.h"
#include "keystore/keystore_io.h"

enum { DEPTH = 4 }; /* certs/<name>/.gen/<serial>/ */

#define REMOVED ".removed-"

struct sweep {
    const struct mu_keystore_dir *dir;
    unsigned depth;
    enum mu_code rc;
    struct mu_err *err;
};

static enum mu_code tree_remove(
    const struct mu_keystore_dir *parent, const char *name, unsigned depth, struct mu_err *err);

static void sweep_one(void *cookie, const char *name)
{
    struct sweep *s = cookie;

    if (s->rc != MU_OK || mu_keystore_io_unlink(s->dir->fd, name) == 0 || errno == ENOENT)
        return;
    if ((errno == EISDIR || errno == EPERM) && s->depth > 0)
        s->rc = tree_remove(s->dir, name, s->depth - 1, s->err);
    else
        s->rc = mu_keystore_fail(s->err, s->dir->path, name, false);
}

/* A directory with all in it; links in it are removed, not followed. Not there: success. */
static enum mu_code tree_remove(
    const struct mu_keystore_dir *parent, const char *name, unsigned depth, struct mu_err *err)
{
    struct mu_keystore_dir dir = {.fd = -1};
    struct sweep sweep = {.dir = &dir, .depth = depth, .err = err};
    enum mu_code rc = mu_keystore_dir_open(parent, name, false, 0, &dir, err);

    if (rc == MU_NOT_FOUND) {
        mu_err_clear(err);
        return MU_OK;
    }
    if (rc == MU_OK)
        rc = mu_keystore_dir_each(&dir, sweep_one, &sweep, err);
    if (rc == MU_OK)
        rc = sweep.rc;
    mu_keystore_dir_close(&dir);
    if (rc == MU_OK && unlinkat(parent->fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        rc = mu_keystore_fail(err, parent->path, name, false);
    return rc;
}

struct kinds {
    struct mu_keystore *store;
    const char *name;
    enum mu_code rc;
    struct mu_err *err;
};

static void kind_remove(void *cookie, const char *kind)
{
    struct kinds *k = cookie;

    if (k->rc == MU_OK && strcmp(kind, "lock") != 0) /* it is ours */
        k->rc = mu_keystore_remove(k->store, MU_KEYSTORE_STATE, k->name, kind, k->err);
}

static enum mu_code state_remove(struct mu_keystore *store, const char *name, struct mu_err *err)
{
    struct kinds k = {store, name, MU_OK, err};
    enum mu_code rc = mu_keystore_each_kind(store, MU_KEYSTORE_STATE, name, kind_remove, &k, err);

    return rc == MU_OK ? k.rc : rc;
}

/* Out of the way in one step: whoever opens latest.crt finds all of the pair or nothing. */
static enum mu_code pairs_remove(struct mu_keystore *store, const char *name, struct mu_err *err)
{
    char removed[MU_KEYSTORE_NAME + 16];
    enum mu_code rc;

    snprintf(removed, sizeof(removed), REMOVED "%s", name);
    if ((rc = tree_remove(&store->certs, removed, DEPTH, err)) != MU_OK) /* of a run that was killed */
        return rc;
    if (mu_keystore_io_rename(store->certs.fd, name, removed) != 0 && errno != ENOENT)
        return mu_keystore_fail(err, store->certs.path, name, false);
    if ((rc = mu_keystore_dir_sync(&store->certs, err)) == MU_OK)
        rc = tree_remove(&store->certs, removed, DEPTH, err);
    return rc == MU_OK ? mu_keystore_dir_sync(&store->certs, err) : rc;
}

enum mu_code mu_keystore_entry_remove(struct mu_keystore *store, const char *name, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_name_check(name, err);

    /* Settings first: without them nobody asks a CA for what a kill may leave. */
    if (rc == MU_OK)
        rc = mu_keystore_remove(store, MU_KEYSTORE_STATE, name, "conf", err);
    if (rc == MU_OK)
        rc = state_remove(store, name, err);
    return rc == MU_OK ? pairs_remove(store, name, err) : rc;
}
