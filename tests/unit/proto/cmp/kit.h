/* What the tests of the CMP codec share: vectors as buffers, errors that are shown. */
#ifndef MU_TEST_CMP_KIT_H
#define MU_TEST_CMP_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/cmp/cmp_msg.h"

static struct mu_err kit_err;

#define kit_ok(call)                                                                               \
    do {                                                                                           \
        enum mu_code kit_rc_ = (call);                                                             \
        if (kit_rc_ != MU_OK)                                                                      \
            fail_msg("%s: %d: %s", #call, (int)kit_rc_, kit_err.what);                             \
    } while (0)

/* path under tests/vectors; out is emptied first */
static inline void kit_load(const char *path, struct mu_buf *out)
{
    char full[512], block[4096];
    FILE *f;
    size_t n;

    snprintf(full, sizeof full, "%s/%s",
        getenv("MU_VECTORS") != NULL ? getenv("MU_VECTORS") : "tests/vectors", path);
    f = fopen(full, "rb");
    if (f == NULL)
        fail_msg("cannot read %s", full);
    mu_buf_reset(out);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        mu_buf_put(out, block, n);
    fclose(f);
    assert_true(out->n > 0);
}

#endif
