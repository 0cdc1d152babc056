#include "killed.h"

#include <errno.h>
#include <stdbool.h>

#include "keystore/keystore_io.h"

unsigned killed_calls, killed_at;

static bool alive(void)
{
    killed_calls++;
    if (killed_at == 0 || killed_calls < killed_at)
        return true;
    errno = EIO;
    return false;
}

int __real_mu_keystore_io_create(int dir, const char *name, unsigned mode);
int __real_mu_keystore_io_write(int fd, const void *p, size_t n);
int __real_mu_keystore_io_fsync(int fd);
int __real_mu_keystore_io_close(int fd);
int __real_mu_keystore_io_rename(int dir, const char *from, const char *to);
int __real_mu_keystore_io_symlink(int dir, const char *name, const char *target);
int __real_mu_keystore_io_unlink(int dir, const char *name);
int __real_mu_keystore_io_mkdir(int dir, const char *name, unsigned mode);
int __wrap_mu_keystore_io_create(int dir, const char *name, unsigned mode);
int __wrap_mu_keystore_io_write(int fd, const void *p, size_t n);
int __wrap_mu_keystore_io_fsync(int fd);
int __wrap_mu_keystore_io_close(int fd);
int __wrap_mu_keystore_io_rename(int dir, const char *from, const char *to);
int __wrap_mu_keystore_io_symlink(int dir, const char *name, const char *target);
int __wrap_mu_keystore_io_unlink(int dir, const char *name);
int __wrap_mu_keystore_io_mkdir(int dir, const char *name, unsigned mode);

int __wrap_mu_keystore_io_create(int dir, const char *name, unsigned mode)
{
    return alive() ? __real_mu_keystore_io_create(dir, name, mode) : -1;
}

int __wrap_mu_keystore_io_write(int fd, const void *p, size_t n)
{
    return alive() ? __real_mu_keystore_io_write(fd, p, n) : -1;
}

int __wrap_mu_keystore_io_fsync(int fd)
{
    return alive() ? __real_mu_keystore_io_fsync(fd) : -1;
}

int __wrap_mu_keystore_io_close(int fd)
{
    int rc = __real_mu_keystore_io_close(fd);

    return alive() ? rc : -1;
}

int __wrap_mu_keystore_io_rename(int dir, const char *from, const char *to)
{
    return alive() ? __real_mu_keystore_io_rename(dir, from, to) : -1;
}

int __wrap_mu_keystore_io_symlink(int dir, const char *name, const char *target)
{
    return alive() ? __real_mu_keystore_io_symlink(dir, name, target) : -1;
}

int __wrap_mu_keystore_io_unlink(int dir, const char *name)
{
    return alive() ? __real_mu_keystore_io_unlink(dir, name) : -1;
}

int __wrap_mu_keystore_io_mkdir(int dir, const char *name, unsigned mode)
{
    return alive() ? __real_mu_keystore_io_mkdir(dir, name, mode) : -1;
}
