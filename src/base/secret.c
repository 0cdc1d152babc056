/* Secrets: copied once, wiped when they go. */
#include "base/secret.h"

#include <stdlib.h>

enum mu_code mu_secret_set(struct mu_secret *s, struct mu_bytes value, struct mu_err *err)
{
    uint8_t *p = malloc(value.n + 1);

    if (p == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a secret");
    if (value.n != 0)
        memcpy(p, value.p, value.n);
    p[value.n] = 0;
    mu_secret_clear(s);
    s->p = p;
    s->n = value.n;
    return MU_OK;
}

void mu_secret_clear(struct mu_secret *s)
{
    mu_bytes_wipe(s->p, s->n);
    free(s->p);
    *s = (struct mu_secret){0};
}

struct mu_bytes mu_secret_bytes(const struct mu_secret *s)
{
    return mu_bytes(s->p, s->n);
}

bool mu_secret_is_set(const struct mu_secret *s)
{
    return s->p != NULL;
}
