/* Files that people name: reading with limits and checks of the mode, writing whole or not at all. */
#include "keystore/keystore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"

/* The first directory on the way that may not be passed, or "". */
static void stopped_at(const char *path, char *dir, size_t size)
{
    for (size_t i = 1; path[i] != '\0' && i < size; i++) {
        if (path[i] != '/')
            continue;
        memcpy(dir, path, i);
        dir[i] = '\0';
        if (faccessat(AT_FDCWD, dir, X_OK, AT_EACCESS) != 0)
            return;
    }
    dir[0] = '\0';
}

static enum mu_code open_failed(const char *path, struct mu_err *err)
{
    char dir[256] = "", shown[256];
    int why = errno;
    struct passwd *user;

    mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(path));
    if (why == ENOENT)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no file %s", shown);
    if (why != EACCES)
        return mu_err_set(
            err, MU_STORAGE, MU_REASON_NONE, "cannot read %s: %s", shown, strerror(why));
    stopped_at(path, dir, sizeof(dir));
    user = getpwuid(geteuid());
    return mu_err_set(err, MU_STORAGE, MU_M(704), "%s cannot read %s%s%s%s",
        user != NULL ? user->pw_name : "this user", shown, dir[0] != '\0' ? " (stopped at " : "",
        dir, dir[0] != '\0' ? ")" : "");
}

static enum mu_code mode_check(const struct stat *st, const char *path, struct mu_err *err)
{
    if (!S_ISREG(st->st_mode) || (st->st_mode & 077) == 0)
        return MU_OK;
    mu_err_set(err, MU_DENIED, MU_M(701), "%s is readable by others (%04o)", path,
        (unsigned)(st->st_mode & 07777));
    mu_err_next(err, "chmod 600 %s", path);
    return MU_DENIED;
}

/* A line end at the end of a secret's file is the editor's, not the secret's. */
static void line_end_off(struct mu_buf *out, size_t start)
{
    if (out->n > start && out->p[out->n - 1] == '\n')
        out->p[--out->n] = '\0';
    if (out->n > start && out->p[out->n - 1] == '\r')
        out->p[--out->n] = '\0';
}

enum mu_code mu_keystore_file_read(
    const char *path, enum mu_keystore_file kind, struct mu_buf *out, struct mu_err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t start = out->n;
    struct stat st;
    enum mu_code rc = MU_OK;

    if (fd < 0)
        return open_failed(path, err);
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode))
        rc = mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "%s is no file", path);
    if (rc == MU_OK && kind == MU_KEYSTORE_SECRET && !is_stdin)
        rc = mode_check(&st, path, err);
    if (rc == MU_OK)
        rc = mu_keystore_fd_read(fd, is_stdin ? "the standard input" : path, out, err);
    if (rc == MU_OK && kind == MU_KEYSTORE_SECRET)
        line_end_off(out, start);
    if (!is_stdin)
        close(fd);
    return rc;
}

bool mu_keystore_file_is_open(const char *path, struct mu_err *warning)
{
    struct stat st;

    return stat(path, &st) == 0 && mode_check(&st, path, warning) != MU_OK;
}

enum mu_code mu_keystore_file_write(
    const char *path, unsigned mode, struct mu_bytes content, struct mu_err *err)
{
    char *for_dir = strdup(path), *for_base = strdup(path);
    struct mu_keystore_dir dir = {-1, NULL};
    enum mu_code rc;

    if (for_dir == NULL || for_base == NULL) {
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a path");
        goto out;
    }
    dir.path = dirname(for_dir);
    dir.fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir.fd < 0) {
        rc = mu_keystore_fail(err, path, "", false);
        goto out;
    }
    rc = mu_keystore_dir_put(&dir, basename(for_base), mode != 0 ? mode : 0644, content, err);
    if (rc == MU_OK)
        rc = mu_keystore_dir_sync(&dir, err);
    close(dir.fd);
out:
    free(for_dir);
    free(for_base);
    return rc;
}

enum mu_code mu_keystore_certs_read(const char *path, struct mu_pki_certs *out, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE};
    enum mu_code rc = mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, &text, err);

    if (rc == MU_OK && (rc = mu_pki_certs_decode(mu_buf_bytes(&text), out, err)) != MU_OK)
        mu_err_context(err, "%s", path);
    mu_buf_clear(&text);
    return rc;
}
