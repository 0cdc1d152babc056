/* Opening an instance: lock, database, keys, CA. */
#include "cmd/muster-ca/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster-ca/files.h"
#include "keystore/keystore.h"

enum { HASH_KEY_SIZE = 32 };

struct instance_memory_key {
    struct instance_memory_key *next;
    char *ref;
    struct mu_pki_key *key;
};

static bool is_memory(const struct instance_conf *conf)
{
    return strcmp(conf->database, "memory") == 0;
}

/* ---- lock ---- */

/* The holder's number is in the file, for people. */
static enum mu_code lock_taken(int fd, const char *dir, struct mu_err *err)
{
    char text[32] = {0};
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    mu_err_set(err, MU_BUSY, MU_M(707),
        "Process %ld works on %s.",
        n > 0 ? strtol(text, NULL, 10) : 0L, dir);
    mu_err_likely(err, "A server, a demo or another command has this directory.");
    mu_err_next(err, "Use the one that runs, wait for it, or end it; or take another directory.");
    return MU_BUSY;
}

static enum mu_code lock_take(const char *dir, int *out, struct mu_err *err)
{
    char path[PATH_MAX], pid[32];
    enum mu_code rc;
    int fd, n;

    snprintf(path, sizeof path, "%s/lock", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        rc = lock_taken(fd, dir, err);
        close(fd);
        return rc;
    }
    n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n) {
        rc = mu_err_set(err, MU_STORAGE, MU_M(702), "cannot write %s: %s", path, strerror(errno));
        close(fd);
        return rc;
    }
    *out = fd;
    return MU_OK;
}

/* ---- keys ---- */

static enum mu_code key_path(
    const struct instance *in, const char *ref, char path[PATH_MAX], struct mu_err *err)
{
    if (!mu_text_is_entry_name(ref)
        || snprintf(path, PATH_MAX, "%s/%s.key", in->conf->keys, ref) >= PATH_MAX)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a key's name is not fit for a file");
    return MU_OK;
}

static enum mu_code key_load(
    void *cookie, const char *ref, struct mu_pki_key **out, struct mu_err *err)
{
    struct instance *in = cookie;
    char path[PATH_MAX];
    enum mu_code rc;

    if (mu_text_starts(ref, "pkcs11:"))
        return mu_keystore_key_read(ref, NULL, out, err);
    for (struct instance_memory_key *k = in->memory_keys; k != NULL; k = k->next)
        if (strcmp(k->ref, ref) == 0) {
            *out = mu_pki_key_ref(k->key);
            return MU_OK;
        }
    if ((rc = key_path(in, ref, path, err)) != MU_OK)
        return rc;
    return mu_keystore_key_read(path, NULL, out, err);
}

static enum mu_code memory_key_save(
    struct instance *in, const char *ref, const struct mu_pki_key *key, struct mu_err *err)
{
    struct instance_memory_key *k = calloc(1, sizeof *k);
    struct mu_buf text;
    enum mu_code rc;

    mu_buf_init_secret(&text, MU_LIMIT_FILE);
    if (k == NULL) {
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
        goto out;
    }
    if ((rc = mu_text_dup(ref, &k->ref, err)) != MU_OK)
        goto out;
    if ((rc = mu_pki_key_encode(key, NULL, &text, err)) != MU_OK)
        goto out;
    if ((rc = mu_pki_key_decode(mu_buf_bytes(&text), NULL, &k->key, err)) != MU_OK)
        goto out;
    k->next = in->memory_keys;
    in->memory_keys = k;
    k = NULL;
out:
    if (k != NULL)
        free(k->ref);
    free(k);
    mu_buf_clear(&text);
    return rc;
}

/* A key that is there already is of an attempt that ended before its CA was recorded; it is kept
 * aside all the same. */
static enum mu_code key_save(
    void *cookie, const char *ref, const struct mu_pki_key *key, struct mu_err *err)
{
    struct instance *in = cookie;
    char path[PATH_MAX], aside[PATH_MAX];
    struct mu_buf text;
    enum mu_code rc;

    if (is_memory(in->conf))
        return memory_key_save(in, ref, key, err);
    mu_buf_init_secret(&text, MU_LIMIT_FILE);
    if ((rc = key_path(in, ref, path, err)) != MU_OK)
        goto out;
    if (files_exist(path)) {
        int n = snprintf(aside, sizeof aside, "%s.old", path);

        if (n >= (int)sizeof aside || rename(path, aside) != 0) {
            rc = mu_err_set(
                err, MU_STORAGE, MU_M(702), "cannot move %s aside: %s", path, strerror(errno));
            goto out;
        }
    }
    if ((rc = mu_keystore_key_text(key, NULL, NULL, &text, err)) != MU_OK)
        goto out;
    rc = mu_keystore_file_write(path, 0600, mu_buf_bytes(&text), err);
out:
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code hash_key_make(const struct instance *in, struct mu_buf *out, struct mu_err *err)
{
    uint8_t raw[HASH_KEY_SIZE];
    struct mu_buf text;
    enum mu_code rc;

    mu_buf_init_secret(&text, 256);
    if ((rc = mu_env_random(&in->env, raw, sizeof raw, err)) != MU_OK)
        goto out;
    mu_buf_put(out, raw, sizeof raw);
    if (is_memory(in->conf))
        goto out;
    mu_text_hex_lower(&text, mu_bytes(raw, sizeof raw), 0);
    mu_buf_put_byte(&text, '\n');
    if ((rc = mu_buf_check(&text, "hash key", err)) != MU_OK)
        goto out;
    rc = mu_keystore_file_write(in->conf->hash_key, 0600, mu_buf_bytes(&text), err);
out:
    mu_bytes_wipe(raw, sizeof raw);
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code hash_key_read(
    const struct instance *in, bool create, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf text;
    enum mu_code rc;

    if (is_memory(in->conf) || (create && !files_exist(in->conf->hash_key)))
        return hash_key_make(in, out, err);
    mu_buf_init_secret(&text, 256);
    if ((rc = mu_keystore_file_read(in->conf->hash_key, MU_KEYSTORE_SECRET, &text, err)) != MU_OK)
        goto out;
    if (mu_text_unhex(mu_buf_str(&text), out, NULL) != MU_OK || out->n != HASH_KEY_SIZE)
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s is not a key of %d octets in hex",
            in->conf->hash_key, HASH_KEY_SIZE);
out:
    mu_buf_clear(&text);
    return rc;
}

/* Files that settings of a CA name; relative ones are below the directory. */
static enum mu_code setting_file(
    void *cookie, const char *path, struct mu_buf *out, struct mu_err *err)
{
    const struct instance *in = cookie;
    struct mu_buf whole = {.max = 4096};
    enum mu_code rc;

    if (path[0] == '/')
        return mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, out, err);
    mu_buf_putf(&whole, "%s/%s", in->conf->dir, path);
    rc = mu_buf_check(&whole, "path", err);
    if (rc == MU_OK)
        rc = mu_keystore_file_read(mu_buf_str(&whole), MU_KEYSTORE_PUBLIC, out, err);
    mu_buf_clear(&whole);
    return rc;
}

/* ---- all of it ---- */

static enum mu_code store_open(
    struct instance *in, const struct instance_options *options, struct mu_err *err)
{
    struct mu_store_sqlite_config config = {
        .path = in->conf->database, .answers = options->answers};
    bool create = options->create;

    if (is_memory(in->conf)) {
        if (create)
            return mu_store_memory_open(&in->store, err);
        mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "the instance in %s is not running, and it kept its records in memory", in->conf->dir);
        mu_err_next(err, "Start it again.");
        return MU_NOT_FOUND;
    }
    if (!create && !files_exist(in->conf->database)) {
        mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA in %s", in->conf->dir);
        mu_err_next(err, "muster-ca --dir %s init makes one.", in->conf->dir);
        return MU_NOT_FOUND;
    }
    return mu_store_sqlite_open(&config, &in->store, err);
}

static enum mu_code dirs_make(const struct instance_conf *conf, struct mu_err *err)
{
    enum mu_code rc;

    if ((rc = files_mkdir(conf->dir, 0755, err)) != MU_OK || is_memory(conf))
        return rc;
    return files_mkdir(conf->keys, 0700, err);
}

enum mu_code instance_open(const struct instance_conf *conf, const struct instance_options *options,
    struct instance *out, struct mu_err *err)
{
    struct instance *in = out; /* the CA keeps pointers into it */
    struct mu_buf secret;
    enum mu_code rc;

    *in = (struct instance){.conf = conf, .lock_fd = -1};
    mu_buf_init_secret(&secret, 256);
    if (conf->demo)
        mu_env_system_allow_shift();
    in->env = mu_env_system();
    in->env.trace = options->trace;
    if (options->cookie != NULL && options->trace != NULL)
        in->env.ctx = options->cookie;
    if (options->create && (rc = dirs_make(conf, err)) != MU_OK)
        goto out;
    if (!options->create && !files_exist(conf->dir)) {
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA in %s", conf->dir);
        mu_err_next(err, "muster-ca --dir %s init makes one.", conf->dir);
        goto out;
    }
    if ((rc = lock_take(conf->dir, &in->lock_fd, err)) != MU_OK)
        goto out;
    if ((rc = store_open(in, options, err)) != MU_OK)
        goto out;
    if ((rc = hash_key_read(in, options->create, &secret, err)) != MU_OK)
        goto out;
    struct mu_ca_config config = {
        .store = in->store,
        .env = &in->env,
        .secret = mu_buf_bytes(&secret),
        .key_load = key_load,
        .key_save = key_save,
        .file_read = setting_file,
        .key_cookie = in,
        .event = options->event,
        .event_cookie = options->cookie,
        .rate_burst = (int)conf->rate_burst,
        .rate_per_s = (double)conf->rate_per_s,
        .password_attempts = (int)conf->password_attempts,
    };
    rc = mu_ca_new(&config, &in->ca, err);
out:
    mu_buf_clear(&secret);
    if (rc != MU_OK)
        instance_close(in);
    return rc;
}

void instance_close(struct instance *in)
{
    /* The store finishes what is queued, with callbacks into the CA. */
    mu_store_close(in->store);
    mu_ca_free(in->ca);
    while (in->memory_keys != NULL) {
        struct instance_memory_key *k = in->memory_keys;

        in->memory_keys = k->next;
        mu_pki_key_free(k->key);
        free(k->ref);
        free(k);
    }
    if (in->lock_fd >= 0)
        close(in->lock_fd);
    *in = (struct instance){.lock_fd = -1};
}
