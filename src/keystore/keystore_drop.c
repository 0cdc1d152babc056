/* A generation that is of no use: what was issued and never confirmed, and the CA takes back. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "keystore/keystore_internal.h"
#include "keystore/keystore_io.h"

static void remove_one(void *cookie, const char *name)
{
    const struct mu_keystore_dir *gen = cookie;

    (void)mu_keystore_io_unlink(gen->fd, name);
}

/* The pair with its private key, and what stands beside it. Whatever stays after a kill leads nowhere. */
static void generation_remove(const struct mu_keystore_dir *entry, const char *stem)
{
    struct mu_keystore_dir all = {-1, NULL}, gen = {-1, NULL};
    char file[MU_KEYSTORE_STEM + 8];

    if (mu_keystore_dir_open(entry, ".gen", false, 0, &all, NULL) == MU_OK
        && mu_keystore_dir_open(&all, stem, false, 0, &gen, NULL) == MU_OK
        && mu_keystore_dir_each(&gen, remove_one, &gen, NULL) == MU_OK)
        (void)unlinkat(all.fd, stem, AT_REMOVEDIR);
    mu_keystore_dir_close(&gen);
    mu_keystore_dir_close(&all);
    snprintf(file, sizeof file, "%s.key", stem);
    (void)mu_keystore_io_unlink(entry->fd, file);
    snprintf(file, sizeof file, "%s.crt", stem);
    (void)mu_keystore_io_unlink(entry->fd, file);
}

enum mu_code mu_keystore_next_remove(struct mu_keystore *store, const char *name, struct mu_err *err)
{
    struct mu_keystore_dir entry = {-1, NULL};
    char stem[MU_KEYSTORE_STEM], current[MU_KEYSTORE_STEM];
    bool waits = mu_keystore_next(store, name, stem), is_current;
    enum mu_code rc;

    is_current = waits && mu_keystore_current(store, name, current) && strcmp(stem, current) == 0;
    if (!waits) /* nothing may be there at all */
        return MU_OK;
    if ((rc = mu_keystore_next_drop(store, name, err)) != MU_OK || is_current)
        return rc;
    if ((rc = mu_keystore_dir_open(&store->certs, name, false, 0, &entry, err)) != MU_OK)
        return rc;
    generation_remove(&entry, stem);
    rc = mu_keystore_dir_sync(&entry, err);
    mu_keystore_dir_close(&entry);
    return rc;
}
