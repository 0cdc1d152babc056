/*
 * Pairs of an entry. The files of a generation are complete and synced under their own names
 * before one rename of certs/<name>/current makes them the present ones:
 *
 *   latest.key -> current/latest.key    current -> .gen/<stem>    .gen/<stem>/latest.key -> ../../<stem>.key
 *
 * A pair that is for later has a link certs/<name>/next instead, until it is switched to.
 */
#include "keystore/keystore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "keystore/keystore_io.h"

/* ---- which name ---- */

/* 0: not there; 1: there with this very content; -1: there, and something else. */
static int content_is(
    const struct mu_keystore_dir *dir, const char *file, struct mu_bytes content)
{
    struct mu_buf present = {.secret = true, .max = MU_LIMIT_FILE};
    enum mu_code rc = mu_keystore_dir_get(dir, file, &present, NULL);
    int same = rc == MU_NOT_FOUND ? 0 : -1;

    if (rc == MU_OK && mu_bytes_equal(mu_buf_bytes(&present), content))
        same = 1;
    mu_buf_clear(&present);
    return same;
}

/* The serial as a file name; with "-2" and so on behind it while that name has other content: a
 * second CA may give the same serial. What a crash left of this very pair is taken again. */
static enum mu_code stem_choose(const struct mu_keystore_dir *dir,
    const struct mu_keystore_pair *pair, struct mu_bytes cert_pem, char stem[MU_KEYSTORE_STEM],
    struct mu_err *err)
{
    struct mu_buf serial = {0};
    enum mu_code rc;

    mu_pki_cert_serial_hex(pair->cert->serial, &serial);
    rc = mu_buf_check(&serial, "a serial number", err);
    if (rc == MU_OK && (serial.n == 0 || serial.n > MU_KEYSTORE_STEM - 16))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "a serial number of %zu digits cannot be a file name", serial.n);
    for (unsigned i = 1; rc == MU_OK; i++) {
        char file[MU_KEYSTORE_STEM + 8];

        snprintf(stem, MU_KEYSTORE_STEM, i == 1 ? "%s" : "%s-%u", mu_buf_str(&serial), i);
        snprintf(file, sizeof(file), "%s.key", stem);
        if (content_is(dir, file, pair->key_pem) < 0)
            continue;
        snprintf(file, sizeof(file), "%s.crt", stem);
        if (content_is(dir, file, cert_pem) >= 0)
            break;
    }
    mu_buf_clear(&serial);
    return rc;
}

/* ---- writing ---- */

static enum mu_code pair_put(const struct mu_keystore_dir *dir, const char *stem,
    const char *suffix, unsigned mode, struct mu_bytes content, struct mu_err *err)
{
    char file[MU_KEYSTORE_STEM + 8];

    snprintf(file, sizeof(file), "%s%s", stem, suffix);
    return mu_keystore_dir_put(dir, file, mode, content, err);
}

static enum mu_code chain_put(const struct mu_keystore_dir *gen, const struct mu_pki_certs *chain,
    struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    char file[32];

    for (size_t i = 0; rc == MU_OK && chain != NULL && i < chain->n; i++) {
        struct mu_buf pem = {0};

        mu_pki_cert_to_pem(chain->v[i], &pem);
        snprintf(file, sizeof(file), MU_KEYSTORE_CHAIN "%zu", i);
        if ((rc = mu_buf_check(&pem, "a chain", err)) == MU_OK)
            rc = mu_keystore_dir_put(gen, file, 0644, mu_buf_bytes(&pem), err);
        mu_buf_clear(&pem);
    }
    /* A crash may have left a longer chain here. */
    for (size_t i = chain != NULL ? chain->n : 0; rc == MU_OK && i < MU_LIMIT_CERTS; i++) {
        snprintf(file, sizeof(file), MU_KEYSTORE_CHAIN "%zu", i);
        if (faccessat(gen->fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0
            && mu_keystore_io_unlink(gen->fd, file) != 0)
            rc = mu_keystore_fail(err, gen->path, file, false);
    }
    return rc;
}

/* .gen/<stem>: links to the pair, and the chain. Nobody is led there yet. */
static enum mu_code generation_put(const struct mu_keystore_dir *entry, const char *stem,
    const struct mu_pki_certs *chain, struct mu_err *err)
{
    struct mu_keystore_dir all = {-1, NULL}, gen = {-1, NULL};
    char target[MU_KEYSTORE_STEM + 16];
    enum mu_code rc;

    if ((rc = mu_keystore_dir_make(entry, ".gen", 0755, &all, err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_dir_make(&all, stem, 0755, &gen, err)) != MU_OK)
        goto out;
    snprintf(target, sizeof(target), "../../%s.key", stem);
    if ((rc = mu_keystore_dir_link(&gen, "latest.key", target, err)) != MU_OK)
        goto out;
    snprintf(target, sizeof(target), "../../%s.crt", stem);
    if ((rc = mu_keystore_dir_link(&gen, "latest.crt", target, err)) != MU_OK)
        goto out;
    if ((rc = chain_put(&gen, chain, err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_dir_sync(&gen, err)) != MU_OK)
        goto out;
    rc = mu_keystore_dir_sync(&all, err);
out:
    mu_keystore_dir_close(&gen);
    mu_keystore_dir_close(&all);
    return rc;
}

/* The outer names lead through current; made before the switch, so that all change with it. */
static enum mu_code outer_links(
    const struct mu_keystore_dir *entry, size_t chain_n, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_dir_link(entry, "latest.key", "current/latest.key", err);

    if (rc == MU_OK)
        rc = mu_keystore_dir_link(entry, "latest.crt", "current/latest.crt", err);
    for (size_t i = 0; rc == MU_OK && i < chain_n; i++) {
        char file[32], target[48];

        snprintf(file, sizeof(file), MU_KEYSTORE_CHAIN "%zu", i);
        snprintf(target, sizeof(target), "current/%s", file);
        rc = mu_keystore_dir_link(entry, file, target, err);
    }
    return rc;
}

/* Outer names of a longer chain lead nowhere now. */
static void outer_tidy(const struct mu_keystore_dir *entry, size_t chain_n)
{
    for (size_t i = chain_n; i < MU_LIMIT_CERTS; i++) {
        char file[32];
        struct stat st;

        snprintf(file, sizeof(file), MU_KEYSTORE_CHAIN "%zu", i);
        if (fstatat(entry->fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)
            && fstatat(entry->fd, file, &st, 0) != 0 && errno == ENOENT)
            (void)mu_keystore_io_unlink(entry->fd, file);
    }
}

/* link: "current" or "next". */
static enum mu_code generation_set(
    const struct mu_keystore_dir *entry, const char *link, const char *stem, struct mu_err *err)
{
    char target[MU_KEYSTORE_STEM + 8];

    snprintf(target, sizeof(target), ".gen/%s", stem);
    return mu_keystore_dir_link(entry, link, target, err);
}

static enum mu_code current_set(
    const struct mu_keystore_dir *entry, const char *stem, struct mu_err *err)
{
    return generation_set(entry, "current", stem, err);
}

/* The switch. If it cannot be made durable it is taken back: a pair that may be gone after the
 * next power cut is not announced. */
static enum mu_code current_switch(const struct mu_keystore_dir *entry, const char *stem,
    const char *before, struct mu_err *err)
{
    enum mu_code rc = current_set(entry, stem, err);

    if (rc != MU_OK || (rc = mu_keystore_dir_sync(entry, err)) == MU_OK)
        return rc;
    if (before[0] == '\0')
        (void)mu_keystore_io_unlink(entry->fd, "current");
    else if (strcmp(before, stem) != 0 && current_set(entry, before, NULL) != MU_OK)
        mu_err_next(err, "the new pair %s is in place, but may be lost at a power cut", stem);
    return rc;
}

static enum mu_code pair_check(const struct mu_keystore_pair *pair, struct mu_err *err)
{
    if (pair->key_pem.n == 0 || pair->cert == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a pair needs a key and a certificate");
    if (pair->chain != NULL && pair->chain->n > MU_LIMIT_CERTS)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a chain of %zu certificates is too long",
            pair->chain->n);
    return MU_OK;
}

/* All is on disk before the link is. */
static enum mu_code next_set(
    const struct mu_keystore_dir *entry, const char *stem, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_dir_sync(entry, err);

    if (rc == MU_OK)
        rc = generation_set(entry, "next", stem, err);
    return rc == MU_OK ? mu_keystore_dir_sync(entry, err) : rc;
}

enum mu_code mu_keystore_save(struct mu_keystore *store, const char *name,
    const struct mu_keystore_pair *pair, struct mu_keystore_saved *saved, struct mu_err *err)
{
    size_t chain_n = pair->chain != NULL ? pair->chain->n : 0;
    struct mu_keystore_dir entry = {-1, NULL};
    struct mu_keystore_saved done = {.chain_n = (unsigned)chain_n};
    struct mu_buf pem = {0};
    enum mu_code rc;

    if ((rc = pair_check(pair, err)) != MU_OK)
        goto out;
    mu_pki_cert_to_pem(pair->cert, &pem);
    if ((rc = mu_buf_check(&pem, "a certificate", err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_name_check(name, err)) != MU_OK)
        goto out;
    /* Directories made here and below are synced where they are named before the switch, once. */
    if ((rc = mu_keystore_dir_make(&store->certs, name, 0755, &entry, err)) != MU_OK)
        goto out;
    if (!mu_keystore_current_get(&entry, done.replaced))
        done.replaced[0] = '\0';
    if ((rc = stem_choose(&entry, pair, mu_buf_bytes(&pem), done.stem, err)) != MU_OK)
        goto out;
    if ((rc = pair_put(&entry, done.stem, ".key", 0600, pair->key_pem, err)) != MU_OK)
        goto out;
    if ((rc = pair_put(&entry, done.stem, ".crt", 0644, mu_buf_bytes(&pem), err)) != MU_OK)
        goto out;
    if ((rc = generation_put(&entry, done.stem, pair->chain, err)) != MU_OK)
        goto out;
    if (pair->held || (pair->later && done.replaced[0] != '\0')) {
        bool is_first = done.replaced[0] == '\0';

        done.replaced[0] = '\0';
        done.waits = true;
        if (is_first && (rc = mu_keystore_dir_sync(&store->certs, err)) != MU_OK)
            goto out;
        if ((rc = next_set(&entry, done.stem, err)) == MU_OK)
            *saved = done;
        goto out;
    }
    if ((rc = outer_links(&entry, chain_n, err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_dir_sync(&entry, err)) != MU_OK)
        goto out;
    if (done.replaced[0] == '\0' && (rc = mu_keystore_dir_sync(&store->certs, err)) != MU_OK)
        goto out;
    if ((rc = current_switch(&entry, done.stem, done.replaced, err)) != MU_OK)
        goto out;
    outer_tidy(&entry, chain_n);
    *saved = done;
out:
    mu_keystore_dir_close(&entry);
    mu_buf_clear(&pem);
    return rc;
}

enum mu_code mu_keystore_activate(struct mu_keystore *store, const char *name,
    struct mu_keystore_saved *saved, struct mu_err *err)
{
    struct mu_keystore_dir entry = {-1, NULL};
    struct mu_keystore_saved done = {0};
    struct mu_keystore_entry loaded = {0};
    enum mu_code rc = mu_keystore_entry_dir(store, name, &entry, err);

    if (rc == MU_OK && !mu_keystore_next_get(&entry, done.stem))
        rc = mu_err_set(
            err, MU_NOT_FOUND, MU_REASON_NONE, "%s has no certificate that waits", name);
    /* What cannot be read is not switched to. */
    if (rc == MU_OK)
        rc = mu_keystore_generation_read(&entry, done.stem, &loaded, err);
    if (rc != MU_OK)
        goto out;
    done.chain_n = (unsigned)loaded.chain.n;
    if (!mu_keystore_current_get(&entry, done.replaced))
        done.replaced[0] = '\0';
    if ((rc = outer_links(&entry, loaded.chain.n, err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_dir_sync(&entry, err)) != MU_OK)
        goto out;
    if ((rc = current_switch(&entry, done.stem, done.replaced, err)) != MU_OK)
        goto out;
    (void)mu_keystore_io_unlink(entry.fd, "next");
    outer_tidy(&entry, loaded.chain.n);
    *saved = done;
out:
    mu_keystore_entry_clear(&loaded);
    mu_keystore_dir_close(&entry);
    return rc;
}

enum mu_code mu_keystore_next_drop(struct mu_keystore *store, const char *name, struct mu_err *err)
{
    struct mu_keystore_dir entry = {-1, NULL};
    enum mu_code rc = mu_keystore_entry_dir(store, name, &entry, err);

    if (rc == MU_OK) {
        (void)mu_keystore_io_unlink(entry.fd, "next");
        rc = mu_keystore_dir_sync(&entry, err);
    }
    mu_keystore_dir_close(&entry);
    return rc;
}

/* ---- after a crash ---- */

static void tidy_generation(void *cookie, const char *stem)
{
    struct mu_keystore_dir gen = {-1, NULL};

    if (mu_keystore_dir_open(cookie, stem, false, 0, &gen, NULL) == MU_OK)
        mu_keystore_dir_tidy(&gen, NULL);
    mu_keystore_dir_close(&gen);
}

void mu_keystore_pair_tidy(struct mu_keystore *store, const char *name)
{
    struct mu_keystore_dir entry = {-1, NULL}, all = {-1, NULL};

    if (mu_keystore_entry_dir(store, name, &entry, NULL) != MU_OK)
        return;
    mu_keystore_dir_tidy(&entry, NULL);
    outer_tidy(&entry, 0);
    if (mu_keystore_dir_open(&entry, ".gen", false, 0, &all, NULL) == MU_OK
        && mu_keystore_dir_each(&all, tidy_generation, &all, NULL) != MU_OK)
        errno = 0;
    mu_keystore_dir_close(&all);
    mu_keystore_dir_close(&entry);
}
