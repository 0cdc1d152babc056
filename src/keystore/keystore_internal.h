/* What the files of the keystore share: directories of the store and the atomic write. */
#ifndef MU_KEYSTORE_INTERNAL_H
#define MU_KEYSTORE_INTERNAL_H

#include "keystore/keystore.h"

enum { MU_KEYSTORE_FILE_NAME = 256 };

/* An open directory and the path that people know it by. */
struct mu_keystore_dir {
    int fd;
    char *path;
};

struct mu_keystore {
    struct mu_keystore_dir root, certs, ca, crl, state, secrets;
    char boot[40]; /* of this run of the machine; "" if not known */
};

/* Opens parent/name, made with mode if create and missing; then the parent is synced. A symbolic
 * link is not followed. Not there: MU_NOT_FOUND. */
enum mu_code mu_keystore_dir_open(const struct mu_keystore_dir *parent, const char *name,
    bool create, unsigned mode, struct mu_keystore_dir *out, struct mu_err *err) MU_CHECK;
/* The same, made if missing, but without the sync: the caller syncs the parent before anything leads
 * there. */
enum mu_code mu_keystore_dir_make(const struct mu_keystore_dir *parent, const char *name,
    unsigned mode, struct mu_keystore_dir *out, struct mu_err *err) MU_CHECK;
void mu_keystore_dir_close(struct mu_keystore_dir *dir);
enum mu_code mu_keystore_dir_sync(const struct mu_keystore_dir *dir, struct mu_err *err) MU_CHECK;

/* File of the directory with this content, whole or not at all; synced itself, but not the
 * directory. */
enum mu_code mu_keystore_dir_put(const struct mu_keystore_dir *dir, const char *name, unsigned mode,
    struct mu_bytes content, struct mu_err *err) MU_CHECK;
/* Link of the directory, at every moment with its old target or the new one: what is there is
 * replaced by rename. Not synced. */
enum mu_code mu_keystore_dir_link(const struct mu_keystore_dir *dir, const char *name,
    const char *target, struct mu_err *err) MU_CHECK;
/* Appends the content of a regular file. Not there: MU_NOT_FOUND. */
enum mu_code mu_keystore_dir_get(const struct mu_keystore_dir *dir, const char *name,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_keystore_dir_remove(const struct mu_keystore_dir *dir, const char *name,
    struct mu_err *err) MU_CHECK;
/* Names in the directory, sorted; hidden ones too. */
enum mu_code mu_keystore_dir_each(const struct mu_keystore_dir *dir, mu_keystore_each_call *call,
    void *cookie, struct mu_err *err) MU_CHECK;
/* Removes temporary files that a crash left; only those for files that begin with prefix (NULL:
 * all). Best effort. */
void mu_keystore_dir_tidy(const struct mu_keystore_dir *dir, const char *prefix);
/* For directories without a lock: only what processes that are gone have left. */
void mu_keystore_dir_tidy_dead(const struct mu_keystore_dir *dir);

/* M702 or M704 with errno's reason. */
enum mu_code mu_keystore_fail(struct mu_err *err, const char *dir, const char *name, bool reading);
/* MU_INPUT if it cannot be the name of an entry. */
enum mu_code mu_keystore_name_check(const char *name, struct mu_err *err) MU_CHECK;
enum mu_code mu_keystore_fd_read(int fd, const char *path, struct mu_buf *out, struct mu_err *err)
    MU_CHECK;

/* keystore_pair.c: leftovers below certs/<name>. */
void mu_keystore_pair_tidy(struct mu_keystore *store, const char *name);

/* ---- keystore_pair_read.c ---- */

#define MU_KEYSTORE_CHAIN "ca.crt-"

enum mu_code mu_keystore_entry_dir(struct mu_keystore *store, const char *name,
    struct mu_keystore_dir *out, struct mu_err *err);
/* Which generation is the present one, and which waits; false: none. */
bool mu_keystore_current_get(const struct mu_keystore_dir *entry, char stem[MU_KEYSTORE_STEM]);
bool mu_keystore_next_get(const struct mu_keystore_dir *entry, char stem[MU_KEYSTORE_STEM]);
enum mu_code mu_keystore_generation_read(const struct mu_keystore_dir *entry, const char *stem,
    struct mu_keystore_entry *out, struct mu_err *err);

#endif
