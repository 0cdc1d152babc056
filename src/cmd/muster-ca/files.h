/* Files of an instance: read whole with a ceiling, written whole or not at all. */
#ifndef MU_CMD_MUSTER_CA_FILES_H
#define MU_CMD_MUSTER_CA_FILES_H

#include <sys/types.h>

#include "base/buf.h"

/* Appends the file's content; out's ceiling is the limit. MU_NOT_FOUND if it is not there. */
enum mu_code files_read(const char *path, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* Like files_read, for secrets: M701 if others may read it. Trailing line ends are cut. */
enum mu_code files_read_secret(const char *path, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* Beside it, synced, then renamed over it; the directory is synced too. */
enum mu_code files_write(const char *path, struct mu_bytes content, mode_t mode, struct mu_err *err)
    MU_CHECK;
/* The same, but an existing file is MU_DENIED. */
enum mu_code files_create(const char *path, struct mu_bytes content, mode_t mode,
    struct mu_err *err) MU_CHECK;
/* Makes the directory if it is not there (its parent must be). */
enum mu_code files_mkdir(const char *path, mode_t mode, struct mu_err *err) MU_CHECK;
bool files_exist(const char *path);

#endif
