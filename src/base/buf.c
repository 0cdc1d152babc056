/* The growing buffer: one place that allocates, checks the ceiling and wipes. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"

enum { FIRST_CAP = 128 };

void mu_buf_init(struct mu_buf *b, size_t max)
{
    *b = (struct mu_buf){.max = max};
}

void mu_buf_init_secret(struct mu_buf *b, size_t max)
{
    *b = (struct mu_buf){.max = max, .secret = true};
}

void mu_buf_clear(struct mu_buf *b)
{
    if (b->secret)
        mu_bytes_wipe(b->p, b->cap);
    free(b->p);
    *b = (struct mu_buf){.max = b->max, .secret = b->secret};
}

void mu_buf_reset(struct mu_buf *b)
{
    if (b->secret)
        mu_bytes_wipe(b->p, b->n);
    b->n = 0;
    b->failed = false;
    if (b->p != NULL)
        b->p[0] = 0;
}

/* realloc would leave a copy of a secret behind, so secrets move by hand. */
static uint8_t *move_to(struct mu_buf *b, size_t cap)
{
    uint8_t *p;

    if (!b->secret)
        return realloc(b->p, cap);
    if ((p = malloc(cap)) == NULL)
        return NULL;
    if (b->p != NULL) {
        memcpy(p, b->p, b->n);
        mu_bytes_wipe(b->p, b->cap);
        free(b->p);
    }
    return p;
}

/* Makes room for n more octets and the NUL behind them. */
static bool reserve(struct mu_buf *b, size_t n)
{
    size_t max = b->max != 0 ? b->max : MU_BUF_DEFAULT_MAX;
    size_t cap = b->cap;
    uint8_t *p;

    if (b->failed)
        return false;
    if (b->n > max || n > max - b->n)
        goto fail;
    if (cap > b->n + n)
        return true;
    if (cap < FIRST_CAP)
        cap = FIRST_CAP;
    while (cap <= b->n + n)
        cap *= 2;
    if ((p = move_to(b, cap)) == NULL)
        goto fail;
    b->p = p;
    b->cap = cap;
    return true;
fail:
    b->failed = true;
    return false;
}

uint8_t *mu_buf_grow(struct mu_buf *b, size_t n)
{
    uint8_t *p;

    if (!reserve(b, n))
        return NULL;
    p = b->p + b->n;
    b->n += n;
    b->p[b->n] = 0;
    return p;
}

bool mu_buf_put(struct mu_buf *b, const void *p, size_t n)
{
    uint8_t *to = mu_buf_grow(b, n);

    if (to == NULL)
        return false;
    if (n != 0)
        memcpy(to, p, n);
    return true;
}

bool mu_buf_put_bytes(struct mu_buf *b, struct mu_bytes v)
{
    return mu_buf_put(b, v.p, v.n);
}

bool mu_buf_put_byte(struct mu_buf *b, uint8_t v)
{
    uint8_t *to = mu_buf_grow(b, 1);

    if (to == NULL)
        return false;
    *to = v;
    return true;
}

bool mu_buf_put_str(struct mu_buf *b, const char *s)
{
    return s == NULL || mu_buf_put(b, s, strlen(s));
}

bool mu_buf_putf(struct mu_buf *b, const char *fmt, ...)
{
    va_list args;
    size_t room;
    int n;

    if (!reserve(b, 0))
        return false;
    room = b->cap - b->n;
    va_start(args, fmt);
    n = vsnprintf((char *)b->p + b->n, room, fmt, args);
    va_end(args);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->p[b->n] = 0;
        b->failed = true;
        return false;
    }
    if ((size_t)n >= room) {
        va_start(args, fmt);
        vsnprintf((char *)b->p + b->n, b->cap - b->n, fmt, args);
        va_end(args);
    }
    b->n += (size_t)n;
    return true;
}

struct mu_bytes mu_buf_bytes(const struct mu_buf *b)
{
    return mu_bytes(b->p, b->n);
}

const char *mu_buf_str(const struct mu_buf *b)
{
    return b->p != NULL ? (const char *)b->p : "";
}

enum mu_code mu_buf_check(const struct mu_buf *b, const char *what, struct mu_err *err)
{
    if (!b->failed)
        return MU_OK;
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE,
        "%s does not fit into %zu octets, or memory ran out", what,
        b->max != 0 ? b->max : (size_t)MU_BUF_DEFAULT_MAX);
}
