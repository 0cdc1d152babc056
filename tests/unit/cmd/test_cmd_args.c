/* Options of muster: where their values go, what is refused, what the help says. */
#include "cmd/muster/cmd_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

enum {
    ENROLL =
        MU_ARGS_GLOBAL | MU_ARGS_CA | MU_ARGS_SUBJECT | MU_ARGS_KEY | MU_ARGS_AUTH | MU_ARGS_ENROLL
};

/* argv as programs get it; the reader changes nothing in it. */
static char **words(const char *const *list, int *argc)
{
    static char *argv[160];

    for (*argc = 0; list[*argc] != NULL; ++*argc)
        argv[*argc] = (char *)(uintptr_t)list[*argc];
    return argv;
}

static enum mu_code parse(
    struct mu_cmd_args *args, unsigned groups, const char *const *list, struct mu_err *err)
{
    int argc, at = 0;
    char **argv = words(list, &argc);

    memset(args, 0, sizeof *args);
    return mu_cmd_args_parse(args, groups, argc, argv, &at, false, err);
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void values_flags_and_names_in_any_order(void **state)
{
    struct mu_cmd_args a;
    struct mu_err err = {0};

    assert_int_equal(
        parse(&a, ENROLL,
            ARGV("vpn", "--url", "http://ca/scep", "-vq", "--key=rsa:4096", "--replace", "-v"),
            &err),
        MU_OK);
    assert_int_equal(a.word_n, 1);
    assert_string_equal(a.words[0], "vpn");
    assert_string_equal(a.url, "http://ca/scep");
    assert_string_equal(a.key, "rsa:4096");
    assert_int_equal(a.verbose, 2);
    assert_true(a.quiet);
    assert_true(a.replace);
    assert_false(a.json);
}

static void names_after_two_dashes_are_names(void **state)
{
    struct mu_cmd_args a;
    struct mu_err err = {0};

    assert_int_equal(parse(&a, ENROLL, ARGV("--json", "--", "--url", "-"), &err), MU_OK);
    assert_int_equal(a.word_n, 2);
    assert_string_equal(a.words[0], "--url");
    assert_string_equal(a.words[1], "-");
    assert_null(a.url);
}

static void stops_at_the_command(void **state)
{
    struct mu_cmd_args a = {0};
    struct mu_err err = {0};
    int at = 1, argc;
    char **argv = words(ARGV("muster", "--store", "/s", "-q", "enroll", "--url"), &argc);

    assert_int_equal(mu_cmd_args_parse(&a, MU_ARGS_GLOBAL, argc, argv, &at, true, &err), MU_OK);
    assert_int_equal(at, 4);
    assert_string_equal(a.store, "/s");
    assert_int_equal(a.word_n, 0);
}

static void refusals_name_the_option(void **state)
{
    static const struct {
        unsigned groups;
        const char *argv[4];
        const char *what, *next;
    } cases[] = {
        {ENROLL, {"--subjcet", "x"}, "unknown option --subjcet", "--subject"},
        {ENROLL, {"--url"}, "--url needs a value", ""},
        {ENROLL, {"--json=yes"}, "--json takes no value", ""},
        {MU_ARGS_GLOBAL, {"--url", "x"}, "--url does not belong", ""},
        {ENROLL, {"-x"}, "unknown option -x", ""},
        {ENROLL | MU_ARGS_OUTPUT, {"-o"}, "-o needs a value", ""},
        /* secrets never come on the line */
        {ENROLL, {"--challenge", "x"}, "unknown option --challenge", ""},
        {ENROLL, {"--password", "x"}, "unknown option --password", ""},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_cmd_args a;
        struct mu_err err = {0};

        assert_int_equal(parse(&a, cases[i].groups, cases[i].argv, &err), MU_INPUT);
        assert_non_null(strstr(err.what, cases[i].what));
        assert_non_null(strstr(err.next, cases[i].next));
    }
}

static void too_many_names_are_refused(void **state)
{
    const char *argv[MU_ARGS_MAX_WORDS + 2];
    struct mu_cmd_args a;
    struct mu_err err = {0};
    size_t i;

    for (i = 0; i <= MU_ARGS_MAX_WORDS; i++)
        argv[i] = "n";
    argv[MU_ARGS_MAX_WORDS + 1] = NULL;
    assert_int_equal(parse(&a, ENROLL, argv, &err), MU_INPUT);
    argv[MU_ARGS_MAX_WORDS] = NULL;
    assert_int_equal(parse(&a, ENROLL, argv, &err), MU_OK);
}

/* S015, S018: the usual order, several units, and values with the signs of the slash form. */
static void subject_of_parts(void **state)
{
    struct mu_cmd_args a;
    struct mu_err err = {0};
    struct mu_buf text = {0};

    assert_int_equal(parse(&a, ENROLL,
                         ARGV("--cn", "myvpn", "--ou", "102", "--ou", "203", "--c", "NL", "--o",
                             "a/b+c\\d", "--email-dn", "x@y"),
                         &err),
        MU_OK);
    assert_int_equal(mu_cmd_args_subject(&a, &text, &err), MU_OK);
    assert_string_equal(
        mu_buf_str(&text), "/C=NL/O=a\\/b\\+c\\\\d/OU=102/OU=203/CN=myvpn/emailAddress=x@y");
    mu_buf_clear(&text);
}

static void subject_whole_or_by_parts_but_not_both(void **state)
{
    struct mu_cmd_args a;
    struct mu_err err = {0};
    struct mu_buf text = {0};

    assert_int_equal(parse(&a, ENROLL, ARGV("--subject", "CN=a,O=b"), &err), MU_OK);
    assert_int_equal(mu_cmd_args_subject(&a, &text, &err), MU_OK);
    assert_string_equal(mu_buf_str(&text), "CN=a,O=b");
    assert_int_equal(parse(&a, ENROLL, ARGV("--subject", "CN=a", "--o", "b"), &err), MU_OK);
    assert_int_equal(mu_cmd_args_subject(&a, &text, &err), MU_INPUT);
    mu_buf_clear(&text);
}

/* R021: each kind of name gets its prefix, a whole list stays as it is. */
static void alternative_names_join(void **state)
{
    struct mu_cmd_args a;
    struct mu_err err = {0};
    struct mu_buf text = {0};

    assert_int_equal(parse(&a, ENROLL,
                         ARGV("--dns", "a.example", "--ip", "192.0.2.1", "--email", "x@y", "--uri",
                             "urn:x", "--rid", "1.2.3.4", "--dirname", "/C=NL/CN=x", "--othername",
                             "1.2.3;UTF8:text", "--san", "DNS:b,DNS:c"),
                         &err),
        MU_OK);
    assert_true(mu_cmd_args_san(&a, &text));
    assert_string_equal(mu_buf_str(&text),
        "DNS:a.example,IP:192.0.2.1,email:x@y,URI:urn:x,RID:1.2.3.4,"
        "dirName:/C=NL/CN=x,otherName:1.2.3;UTF8:text,DNS:b,DNS:c");
    mu_buf_clear(&text);
}

/* Some names mean one thing here and another there. */
static bool is_of(const char *name, unsigned wanted)
{
    unsigned groups;
    const char *other;

    for (size_t i = 0; (other = mu_cmd_args_at(i, &groups)) != NULL; i++)
        if (strcmp(other, name) == 0 && (groups & wanted) != 0)
            return true;
    return false;
}

static void help_has_every_option_of_its_groups_once(void **state)
{
    struct mu_buf text = {0};
    unsigned groups;
    const char *name;
    char want[64];
    size_t i;

    assert_true(mu_cmd_args_help(ENROLL, &text));
    for (i = 0; (name = mu_cmd_args_at(i, &groups)) != NULL; i++) {
        const char *first;

        snprintf(want, sizeof want, "--%s ", name);
        first = strstr(mu_buf_str(&text), want);
        if ((groups & ENROLL) != 0)
            assert_non_null(first);
        else if (!is_of(name, ENROLL))
            assert_null(first);
        if (first != NULL && (groups & ENROLL) != 0)
            assert_null(strstr(first + 1, want));
    }
    assert_true(i > 50);
    mu_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_flags_and_names_in_any_order),
        cmocka_unit_test(names_after_two_dashes_are_names),
        cmocka_unit_test(stops_at_the_command),
        cmocka_unit_test(refusals_name_the_option),
        cmocka_unit_test(too_many_names_are_refused),
        cmocka_unit_test(subject_of_parts),
        cmocka_unit_test(subject_whole_or_by_parts_but_not_both),
        cmocka_unit_test(alternative_names_join),
        cmocka_unit_test(help_has_every_option_of_its_groups_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
