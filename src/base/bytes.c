/* The few octet helpers that must not be left to the compiler's cleverness. */
#include "base/bytes.h"

bool mu_bytes_equal_secret(struct mu_bytes a, struct mu_bytes b)
{
    volatile uint8_t differs = 0;
    size_t i;

    if (a.n != b.n)
        return false;
    for (i = 0; i < a.n; i++)
        differs |= a.p[i] ^ b.p[i];
    return differs == 0;
}

void mu_bytes_wipe(void *p, size_t n)
{
    if (p != NULL && n != 0)
        explicit_bzero(p, n);
}
