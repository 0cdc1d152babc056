/*
 * Every call of the keystore that changes a disk, one by one, so that a test can count them, make
 * the n-th one fail, and see their order. Nothing is decided here. All return 0, or -1 with errno.
 */
#ifndef MU_KEYSTORE_IO_H
#define MU_KEYSTORE_IO_H

#include <stddef.h>

/* A new file for writing, that must not exist; returns the descriptor. */
int mu_keystore_io_create(int dir, const char *name, unsigned mode);
int mu_keystore_io_write(int fd, const void *p, size_t n); /* all of it */
int mu_keystore_io_fsync(int fd);                          /* a file or a directory */
int mu_keystore_io_close(int fd);                          /* of a file that was written */
int mu_keystore_io_rename(int dir, const char *from, const char *to);
int mu_keystore_io_symlink(int dir, const char *name, const char *target);
int mu_keystore_io_unlink(int dir, const char *name);
int mu_keystore_io_mkdir(int dir, const char *name, unsigned mode);

#endif
