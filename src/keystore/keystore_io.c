/* The system calls that change the store's disk, and nothing else. */
#include "keystore/keystore_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int mu_keystore_io_create(int dir, const char *name, unsigned mode)
{
    return openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
}

int mu_keystore_io_write(int fd, const void *p, size_t n)
{
    const uint8_t *at = p;

    while (n > 0) {
        ssize_t done = write(fd, at, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

int mu_keystore_io_fsync(int fd)
{
    int rc;

    do {
        rc = fsync(fd);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

/* Not repeated at EINTR: Linux has closed it then. */
int mu_keystore_io_close(int fd)
{
    return close(fd) != 0 && errno != EINTR ? -1 : 0;
}

int mu_keystore_io_rename(int dir, const char *from, const char *to)
{
    return renameat(dir, from, dir, to);
}

int mu_keystore_io_symlink(int dir, const char *name, const char *target)
{
    return symlinkat(target, dir, name);
}

int mu_keystore_io_unlink(int dir, const char *name)
{
    return unlinkat(dir, name, 0);
}

int mu_keystore_io_mkdir(int dir, const char *name, unsigned mode)
{
    return mkdirat(dir, name, (mode_t)mode);
}
