/* Directories of an instance, and files that must be new. Reading and replacing is keystore's. */
#ifndef MU_CMD_MUSTER_CA_FILES_H
#define MU_CMD_MUSTER_CA_FILES_H

#include <sys/types.h>

#include "base/buf.h"

bool files_exist(const char *path);
/* Makes the directory, durably, if it is not there; its parents must be. */
enum mu_code files_mkdir(const char *path, mode_t mode, struct mu_err *err) MU_CHECK;
/* The whole content, synced, in a file that was not there; M702 otherwise. */
enum mu_code files_create(
    const char *path, struct mu_bytes content, mode_t mode, struct mu_err *err) MU_CHECK;

#endif
