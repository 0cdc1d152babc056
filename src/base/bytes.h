/* Borrowed octets. A mu_bytes never owns what it points at. */
#ifndef MU_BASE_BYTES_H
#define MU_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mu_bytes {
    const uint8_t *p;
    size_t n;
};

static inline struct mu_bytes mu_bytes(const void *p, size_t n)
{
    return (struct mu_bytes){p, n};
}

static inline struct mu_bytes mu_bytes_str(const char *s)
{
    return (struct mu_bytes){(const uint8_t *)s, s ? strlen(s) : 0};
}

static inline bool mu_bytes_equal(struct mu_bytes a, struct mu_bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Constant time in the content; the lengths may be learned. */
bool mu_bytes_equal_secret(struct mu_bytes a, struct mu_bytes b);

/* Overwrites memory so that the compiler cannot leave it out. */
void mu_bytes_wipe(void *p, size_t n);

#endif
