/* Pairs of an entry as they are read: which is the present one, what belongs to it, which there are. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "keystore/keystore_internal.h"
#include "keystore/keystore_io.h"

enum mu_code mu_keystore_entry_dir(struct mu_keystore *store, const char *name,
    struct mu_keystore_dir *out, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_name_check(name, err);

    return rc != MU_OK ? rc : mu_keystore_dir_open(&store->certs, name, false, 0, out, err);
}

static bool generation_get(
    const struct mu_keystore_dir *entry, const char *link, char stem[MU_KEYSTORE_STEM])
{
    char target[MU_KEYSTORE_STEM + 8];
    ssize_t n = readlinkat(entry->fd, link, target, sizeof(target) - 1);

    if (n <= 5 || strncmp(target, ".gen/", 5) != 0)
        return false;
    target[n] = '\0';
    if (strchr(target + 5, '/') != NULL || target[5] == '.' || strlen(target + 5) >= MU_KEYSTORE_STEM)
        return false;
    memcpy(stem, target + 5, strlen(target + 5) + 1);
    return true;
}

bool mu_keystore_current_get(const struct mu_keystore_dir *entry, char stem[MU_KEYSTORE_STEM])
{
    return generation_get(entry, "current", stem);
}

/* A kill between the switch and the end of the link leaves one that says nothing new. */
bool mu_keystore_next_get(const struct mu_keystore_dir *entry, char stem[MU_KEYSTORE_STEM])
{
    char current[MU_KEYSTORE_STEM];

    return generation_get(entry, "next", stem)
        && !(mu_keystore_current_get(entry, current) && strcmp(current, stem) == 0);
}

bool mu_keystore_current(struct mu_keystore *store, const char *name, char stem[MU_KEYSTORE_STEM])
{
    struct mu_keystore_dir entry = {-1, NULL};
    bool found;

    if (mu_keystore_entry_dir(store, name, &entry, NULL) != MU_OK)
        return false;
    found = mu_keystore_current_get(&entry, stem);
    mu_keystore_dir_close(&entry);
    return found;
}

bool mu_keystore_stamp(
    struct mu_keystore *store, const char *name, struct mu_keystore_stamp *out)
{
    struct mu_keystore_stamp stamp = {0};
    char path[MU_KEYSTORE_NAME + 16], target[MU_KEYSTORE_STEM + 8];
    struct stat st;
    ssize_t n;

    if (mu_keystore_name_check(name, NULL) != MU_OK)
        return false;
    snprintf(path, sizeof(path), "%s/latest.crt", name);
    if (fstatat(store->certs.fd, path, &st, 0) != 0 || !S_ISREG(st.st_mode))
        return false;
    snprintf(path, sizeof(path), "%s/current", name);
    n = readlinkat(store->certs.fd, path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    if (n <= 5 || strlen(target + 5) >= sizeof(stamp.stem))
        return false;
    snprintf(stamp.stem, sizeof(stamp.stem), "%s", target + 5); /* behind ".gen/" */
    stamp.inode = (uint64_t)st.st_ino;
    stamp.size = (uint64_t)st.st_size;
    stamp.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    *out = stamp;
    return true;
}

bool mu_keystore_stamp_equal(
    const struct mu_keystore_stamp *a, const struct mu_keystore_stamp *b)
{
    return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns
        && strcmp(a->stem, b->stem) == 0;
}

bool mu_keystore_next(struct mu_keystore *store, const char *name, char stem[MU_KEYSTORE_STEM])
{
    struct mu_keystore_dir entry = {-1, NULL};
    bool found;

    if (mu_keystore_entry_dir(store, name, &entry, NULL) != MU_OK)
        return false;
    found = mu_keystore_next_get(&entry, stem);
    mu_keystore_dir_close(&entry);
    return found;
}

static enum mu_code certs_get(const struct mu_keystore_dir *dir, const char *file,
    struct mu_pki_certs *out, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE};
    enum mu_code rc = mu_keystore_dir_get(dir, file, &text, err);

    if (rc == MU_OK && (rc = mu_pki_certs_decode(mu_buf_bytes(&text), out, err)) != MU_OK)
        mu_err_context(err, "%s/%s", dir->path, file);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_keystore_generation_read(const struct mu_keystore_dir *entry, const char *stem,
    struct mu_keystore_entry *out, struct mu_err *err)
{
    struct mu_keystore_dir all = {-1, NULL}, gen = {-1, NULL};
    struct mu_pki_certs leaf = {0};
    enum mu_code rc;

    if ((rc = mu_keystore_dir_open(entry, ".gen", false, 0, &all, err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_dir_open(&all, stem, false, 0, &gen, err)) != MU_OK)
        goto out;
    if ((rc = certs_get(&gen, "latest.crt", &leaf, err)) != MU_OK)
        goto out;
    for (unsigned i = 0; i < MU_LIMIT_CERTS; i++) {
        char file[32];

        snprintf(file, sizeof(file), MU_KEYSTORE_CHAIN "%u", i);
        if (faccessat(gen.fd, file, F_OK, 0) != 0)
            break;
        if ((rc = certs_get(&gen, file, &out->chain, err)) != MU_OK)
            goto out;
    }
    out->cert = mu_pki_cert_ref(leaf.v[0]);
    snprintf(out->stem, sizeof(out->stem), "%s", stem);
    if (asprintf(&out->key_file, "%s/%s.key", entry->path, stem) < 0
        || asprintf(&out->cert_file, "%s/%s.crt", entry->path, stem) < 0)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a path");
out:
    mu_pki_certs_clear(&leaf);
    mu_keystore_dir_close(&gen);
    mu_keystore_dir_close(&all);
    return rc;
}

static enum mu_code entry_load(struct mu_keystore *store, const char *name, const char *stem,
    struct mu_keystore_entry *out, struct mu_err *err)
{
    struct mu_keystore_dir entry = {-1, NULL};
    struct mu_keystore_entry loaded = {0};
    char current[MU_KEYSTORE_STEM];
    enum mu_code rc = mu_keystore_entry_dir(store, name, &entry, err);

    if (rc == MU_OK && stem == NULL && !mu_keystore_current_get(&entry, current))
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "%s has no certificate", name);
    else if (rc == MU_NOT_FOUND)
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no certificate '%s'", name);
    if (rc == MU_OK)
        rc = mu_keystore_generation_read(&entry, stem != NULL ? stem : current, &loaded, err);
    mu_keystore_dir_close(&entry);
    if (rc != MU_OK) {
        mu_keystore_entry_clear(&loaded);
        return rc;
    }
    *out = loaded;
    return MU_OK;
}

enum mu_code mu_keystore_load(struct mu_keystore *store, const char *name,
    struct mu_keystore_entry *out, struct mu_err *err)
{
    return entry_load(store, name, NULL, out, err);
}

enum mu_code mu_keystore_load_serial(struct mu_keystore *store, const char *name, const char *stem,
    struct mu_keystore_entry *out, struct mu_err *err)
{
    if (stem[0] == '\0' || strspn(stem, "0123456789ABCDEF-") != strlen(stem))
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "%s has no certificate of that serial", name);
    return entry_load(store, name, stem, out, err);
}

void mu_keystore_entry_clear(struct mu_keystore_entry *entry)
{
    mu_pki_cert_free(entry->cert);
    mu_pki_certs_clear(&entry->chain);
    free(entry->key_file);
    free(entry->cert_file);
    *entry = (struct mu_keystore_entry){0};
}

struct each_serial {
    mu_keystore_each_call *call;
    void *cookie;
};

static void each_serial_one(void *cookie, const char *file)
{
    struct each_serial *each = cookie;
    char stem[MU_KEYSTORE_STEM];
    size_t n = strlen(file);

    if (n <= 4 || n - 4 >= sizeof(stem) || strcmp(file + n - 4, ".crt") != 0 || file[0] == '.'
        || strcmp(file, "latest.crt") == 0)
        return;
    memcpy(stem, file, n - 4);
    stem[n - 4] = '\0';
    each->call(each->cookie, stem);
}

enum mu_code mu_keystore_each_serial(struct mu_keystore *store, const char *name,
    mu_keystore_each_call *call, void *cookie, struct mu_err *err)
{
    struct each_serial each = {call, cookie};
    struct mu_keystore_dir entry = {-1, NULL};
    enum mu_code rc = mu_keystore_entry_dir(store, name, &entry, err);

    if (rc == MU_OK)
        rc = mu_keystore_dir_each(&entry, each_serial_one, &each, err);
    mu_keystore_dir_close(&entry);
    return rc;
}
