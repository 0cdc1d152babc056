/* Pages that are given back come again with what was in them: code, constants, and what was written. */
#include "cmd/musterd/daemon_rest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pki/pki_key.h"

static char written[] = "before";
static const char *const constants[] = {"one", "two"}; /* the linker writes these addresses */

static long resident_kib(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[200];
    long kib = -1;

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "Rss:", 4) == 0)
            kib = strtol(line + 4, NULL, 10);
    if (f != NULL)
        fclose(f);
    return kib;
}

static void key_make(void)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_EC, 256};
    struct mu_pki_key *key = NULL;
    struct mu_err err = {0};

    assert_int_equal(mu_pki_key_generate(&spec, &key, &err), MU_OK);
    mu_pki_key_free(key);
}

static void what_is_given_back_comes_again(void **state)
{
    long before, after;

    (void)state;
    key_make();
    strcpy(written, "after");
    before = resident_kib();
    mu_daemon_rest_give_back();
    after = resident_kib();
    assert_true(before > 0 && after > 0 && after < before);
    assert_string_equal(written, "after");
    assert_string_equal(constants[1], "two");
    key_make();
    mu_daemon_rest_give_back();
    key_make();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_given_back_comes_again)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
