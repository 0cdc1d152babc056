/*
 * A growing buffer that owns its octets and is born with a ceiling. Failure (ceiling reached,
 * no memory) is sticky: put what you like and ask mu_buf_check once at the end. A NUL is always
 * kept behind the content, so mu_buf_str is cheap.
 */
#ifndef MU_BASE_BUF_H
#define MU_BASE_BUF_H

#include "base/bytes.h"
#include "base/err.h"

struct mu_buf {
    uint8_t *p;
    size_t n;
    size_t cap;
    size_t max;  /* 0: MU_BUF_DEFAULT_MAX, so that {0} is a valid empty buffer */
    bool failed; /* something did not fit; the content is incomplete */
    bool secret; /* wipe whenever memory is given back */
};

void mu_buf_init(struct mu_buf *b, size_t max);
void mu_buf_init_secret(struct mu_buf *b, size_t max);
/* Gives the memory back and leaves an empty buffer with the same ceiling. */
void mu_buf_clear(struct mu_buf *b);
/* Empties without giving memory back. */
void mu_buf_reset(struct mu_buf *b);

bool mu_buf_put(struct mu_buf *b, const void *p, size_t n);
bool mu_buf_put_bytes(struct mu_buf *b, struct mu_bytes v);
bool mu_buf_put_byte(struct mu_buf *b, uint8_t v);
bool mu_buf_put_str(struct mu_buf *b, const char *s);
bool mu_buf_putf(struct mu_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends n octets of undefined content and returns where they start, or NULL. */
uint8_t *mu_buf_grow(struct mu_buf *b, size_t n);

struct mu_bytes mu_buf_bytes(const struct mu_buf *b);
/* Never NULL. */
const char *mu_buf_str(const struct mu_buf *b);
/* MU_MEMORY with the name of what did not fit, if anything failed so far. */
enum mu_code mu_buf_check(const struct mu_buf *b, const char *what, struct mu_err *err) MU_CHECK;

#endif
