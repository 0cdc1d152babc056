/* A secret wipes itself and has no way to be printed. */
#ifndef MU_BASE_SECRET_H
#define MU_BASE_SECRET_H

#include "base/bytes.h"
#include "base/err.h"

struct mu_secret {
    uint8_t *p; /* NUL behind the last octet */
    size_t n;
};

/* Replaces the content by a copy; the old one is wiped. */
enum mu_code mu_secret_set(struct mu_secret *s, struct mu_bytes value, struct mu_err *err) MU_CHECK;
void mu_secret_clear(struct mu_secret *s);
struct mu_bytes mu_secret_bytes(const struct mu_secret *s);
bool mu_secret_is_set(const struct mu_secret *s);

#endif
