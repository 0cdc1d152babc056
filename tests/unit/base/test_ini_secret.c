/* A value may be a password: nothing that is given back to the allocator still holds it. */
#include "base/ini.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define VALUE "correct horse battery staple"

static unsigned seen; /* pieces of memory freed with the value in them */

/* The linker puts these in free's place (meson.build). */
void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
    if (p != NULL && memmem(p, malloc_usable_size(p), VALUE, sizeof VALUE - 1) != NULL)
        seen++;
    __real_free(p);
}

static void the_watch_works(void **state)
{
    char *p = strdup("x " VALUE);

    (void)state;
    assert_non_null(p);
    free(p);
    assert_int_equal(seen, 1);
    seen = 0;
}

static void nothing_is_left_behind(void **state)
{
    static const char text[] = "[a]\nb = " VALUE "\nc = other\n";
    static const char broken[] = "[a]\nb = " VALUE "\n c\n]\n";
    struct mu_ini *ini = NULL;
    struct mu_buf out = {.secret = true};
    struct mu_err err = {0};

    (void)state;
    assert_int_equal(
        mu_ini_parse(mu_bytes_str(text), "f", MU_INI_SECTIONS, &ini, &err), MU_OK);
    assert_int_equal(mu_ini_set(ini, "a", NULL, "c", "more " VALUE, &err), MU_OK);
    assert_int_equal(mu_ini_set(ini, "a", NULL, "d", VALUE "\nand more", &err), MU_OK);
    assert_int_equal(mu_ini_set(ini, "a", NULL, "b", NULL, &err), MU_OK);
    assert_true(mu_ini_format(ini, &out));
    assert_non_null(strstr(mu_buf_str(&out), VALUE));
    mu_buf_clear(&out);
    mu_ini_free(ini);
    assert_int_equal(
        mu_ini_parse(mu_bytes_str(broken), "f", MU_INI_SECTIONS, &ini, &err), MU_INPUT);
    assert_int_equal(seen, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_watch_works),
        cmocka_unit_test(nothing_is_left_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
