#include "killed.h"

#include <errno.h>
#include <stddef.h>

#include "keystore/keystore_io.h"

unsigned killed_calls, killed_at, killed_fail;
bool killed_tears;
void (*killed_heard)(unsigned n, const char *verb, int fd, const char *name);

/* True: go through. */
static bool alive(const char *verb, int fd, const char *name)
{
    bool fails = ++killed_calls == killed_fail;

    if (killed_heard != NULL)
        killed_heard(killed_calls, verb, fd, name);
    if (!fails && (killed_at == 0 || killed_calls < killed_at))
        return true;
    errno = fails ? ENOSPC : EIO;
    return false;
}

#define WRAP(call, parameters, arguments, fd, name)                                                                  \
    int __real_mu_keystore_io_##call parameters;                                                                     \
    int __wrap_mu_keystore_io_##call parameters;                                                                     \
    int __wrap_mu_keystore_io_##call parameters                                                                      \
    {                                                                                                                \
        return alive(#call, fd, name) ? __real_mu_keystore_io_##call arguments : -1;                                 \
    }
WRAP(create, (int dir, const char *name, unsigned mode), (dir, name, mode), dir, name)
WRAP(fsync, (int fd), (fd), fd, "")
WRAP(rename, (int dir, const char *from, const char *to), (dir, from, to), dir, to)
WRAP(symlink, (int dir, const char *name, const char *target), (dir, name, target), dir, name)
WRAP(unlink, (int dir, const char *name), (dir, name), dir, name)
WRAP(mkdir, (int dir, const char *name, unsigned mode), (dir, name, mode), dir, name)

int __real_mu_keystore_io_write(int fd, const void *p, size_t n);
int __wrap_mu_keystore_io_write(int fd, const void *p, size_t n);
int __wrap_mu_keystore_io_write(int fd, const void *p, size_t n)
{
    if (alive("write", fd, ""))
        return __real_mu_keystore_io_write(fd, p, n);
    if (killed_tears && killed_at != 0 && __real_mu_keystore_io_write(fd, p, n / 2) != 0)
        errno = EIO;
    return -1;
}

/* The descriptor is gone whatever the answer. */
int __real_mu_keystore_io_close(int fd);
int __wrap_mu_keystore_io_close(int fd);
int __wrap_mu_keystore_io_close(int fd)
{
    bool through = alive("close", fd, "");
    int why = errno, rc = __real_mu_keystore_io_close(fd);

    errno = why;
    return through ? rc : -1;
}
