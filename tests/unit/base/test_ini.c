/* The configuration format: what is read from where, and line-exact errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/ini.h"
#include "base/limits.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const char sample[] = "# muster\n"
                             "[agent]\n"
                             "store = /var/lib/muster\n"
                             "  \n"
                             "[ca \"corp-est\"]   \n"
                             "protocol       = est\n"
                             "url=https://pki.example:8443/a#b\n"
                             "\n"
                             "[ca \"Branch\"]\r\n"
                             "PROTOCOL = scep\r\n"
                             "[certificate \"gw\"]\n"
                             "subject = /O=Example \"quoted\"/CN=gw = 1\n"
                             "success-script =\n"
                             "    reload ipsec\n"
                             "\t# a comment of the script\n"
                             "    \n"
                             "    logger done   \n"
                             "   \n"
                             "# a comment of the file\n"
                             "comments =\n"
                             "san = a, b";

static struct mu_ini *parse(const char *text, enum mu_ini_style style)
{
    struct mu_ini *ini = NULL;

    assert_int_equal(mu_ini_parse(mu_bytes_str(text), "t.conf", style, &ini, NULL), MU_OK);
    return ini;
}

static void assert_text(const struct mu_ini *ini, const char *want)
{
    struct mu_buf b = {0};

    assert_true(mu_ini_format(ini, &b));
    assert_string_equal(mu_buf_str(&b), want);
    mu_buf_clear(&b);
}

static const char *value_of(
    const struct mu_ini *ini, const char *section, const char *name, const char *key)
{
    const struct mu_ini_item *item = mu_ini_get(ini, section, name, key);

    return item != NULL ? item->value : "(none)";
}

static void sections_keys_and_values_are_read(void **state)
{
    static const struct mu_ini_item want[] = {
        {"agent", "", "store", "/var/lib/muster", 3},
        {"ca", "corp-est", "protocol", "est", 6},
        {"ca", "corp-est", "url", "https://pki.example:8443/a#b", 7},
        {"ca", "Branch", "protocol", "scep", 10},
        {"certificate", "gw", "subject", "/O=Example \"quoted\"/CN=gw = 1", 12},
        {"certificate", "gw", "success-script",
            "reload ipsec\n# a comment of the script\n\nlogger done", 13},
        {"certificate", "gw", "comments", "", 20},
        {"certificate", "gw", "san", "a, b", 21},
    };
    struct mu_ini *ini = parse(sample, MU_INI_SECTIONS);
    size_t i;

    assert_int_equal(mu_ini_count(ini), LEN(want));
    for (i = 0; i < LEN(want); i++) {
        const struct mu_ini_item *item = mu_ini_at(ini, i);

        assert_string_equal(item->section, want[i].section);
        assert_string_equal(item->name, want[i].name);
        assert_string_equal(item->key, want[i].key);
        assert_string_equal(item->value, want[i].value);
        assert_int_equal(item->line, want[i].line);
        assert_ptr_equal(mu_ini_get(ini, want[i].section, want[i].name, want[i].key), item);
    }
    assert_null(mu_ini_at(ini, LEN(want)));
    assert_null(mu_ini_get(ini, "ca", NULL, "protocol"));
    assert_null(mu_ini_get(ini, "agent", NULL, "url"));
    assert_non_null(mu_ini_get(ini, "agent", NULL, "store"));
    assert_string_equal(mu_ini_file(ini), "t.conf");
    assert_text(ini, sample);
    mu_ini_free(ini);
    mu_ini_free(NULL);
}

static void the_last_value_wins(void **state)
{
    struct mu_ini *ini
        = parse("[a]\nk = 1\n[b]\nk = 2\n[a]\nk = 3\nk = 4\n", MU_INI_SECTIONS);

    assert_string_equal(value_of(ini, "a", NULL, "k"), "4");
    assert_string_equal(value_of(ini, "b", "", "k"), "2");
    mu_ini_free(ini);
}

static void texts_that_hold_nothing_are_fine(void **state)
{
    static const char *const cases[]
        = {"", "\n", "# x", "\xef\xbb\xbf", "\xef\xbb\xbf# x\n", "  # x\n", " \r\n", "[a]"};
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_ini *ini = parse(cases[i], MU_INI_SECTIONS);

        assert_int_equal(mu_ini_count(ini), 0);
        assert_text(ini, cases[i]);
        mu_ini_free(ini);
    }
}

static void errors_name_file_line_and_fault(void **state)
{
    static const struct {
        const char *text;
        enum mu_ini_style style;
        const char *what;
    } cases[] = {
        {"[a]\nk = 1\nstore /x\n", MU_INI_SECTIONS,
            "t.conf:3: neither [section] nor key = value nor # comment"},
        {"k\n", MU_INI_SECTIONS, "t.conf:1: neither [section] nor key = value nor # comment"},
        {"; x = 1\n", MU_INI_SECTIONS, "t.conf:1: neither [section] nor key = value nor # comment"},
        {"a b = 1\n", MU_INI_SECTIONS, "t.conf:1: neither [section] nor key = value nor # comment"},
        {"\n = 1\n", MU_INI_SECTIONS,
            "t.conf:2: the line begins with a blank, but there is no value to go on"},
        {"= 1\n", MU_INI_SECTIONS, "t.conf:1: no key before '='"},
        {"[a]\n  k = 1\n", MU_INI_SECTIONS,
            "t.conf:2: the line begins with a blank, but there is no value to go on"},
        {"k = 1\n\n  more\n", MU_INI_SECTIONS,
            "t.conf:3: the line begins with a blank, but there is no value to go on"},
        {"k = 1\n# c\n  more\n", MU_INI_SECTIONS,
            "t.conf:3: the line begins with a blank, but there is no value to go on"},
        {"[a\n", MU_INI_SECTIONS, "t.conf:1: a section has no ']' at its end"},
        {"[\n", MU_INI_SECTIONS, "t.conf:1: a section has no ']' at its end"},
        {"[a] # x\n", MU_INI_SECTIONS, "t.conf:1: a section has no ']' at its end"},
        {"[]\n", MU_INI_SECTIONS, "t.conf:1: a section has no word behind '['"},
        {"[ ]\n", MU_INI_SECTIONS, "t.conf:1: a section has no word behind '['"},
        {"[\"x\"]\n", MU_INI_SECTIONS, "t.conf:1: a section has no word behind '['"},
        {"[ca x]\n", MU_INI_SECTIONS, "t.conf:1: a section is written [word] or [word \"NAME\"]"},
        {"[ca \"x]\n", MU_INI_SECTIONS, "t.conf:1: a section is written [word] or [word \"NAME\"]"},
        {"[ca \"]\n", MU_INI_SECTIONS, "t.conf:1: a section is written [word] or [word \"NAME\"]"},
        {"[ca \"\"]\n", MU_INI_SECTIONS,
            "t.conf:1: a section is written [word] or [word \"NAME\"]"},
        {"[ca\"x\"]\n", MU_INI_SECTIONS,
            "t.conf:1: a section is written [word] or [word \"NAME\"]"},
        {"[ca \"x\"y\"]\n", MU_INI_SECTIONS, "t.conf:1: a section's name has a quote in it"},
        {"a = 1\nb = \x01\n", MU_INI_SECTIONS, "t.conf:2: a control character"},
        {"a = 1\rb = 2\nc = \x7f\n", MU_INI_SECTIONS, "t.conf:2: a control character"},
        {"a = caf\xe9\n", MU_INI_SECTIONS, "t.conf:1: not UTF-8"},
        {"URL http://x\n\nKeyBits\n", MU_INI_BARE, "t.conf:3: a key without a value"},
        {"= x\n", MU_INI_BARE, "t.conf:1: no key before '='"},
        {"URL \"http\n", MU_INI_BARE, "t.conf:1: a quote is not closed"},
        {"URL \"http\" x\n", MU_INI_BARE, "t.conf:1: something stands behind the closing quote"},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_ini *ini = NULL;
        struct mu_err err = {0};

        assert_int_equal(
            mu_ini_parse(mu_bytes_str(cases[i].text), "t.conf", cases[i].style, &ini, &err),
            MU_INPUT);
        assert_int_equal(err.reason, 706);
        assert_string_equal(err.what, cases[i].what);
        assert_null(ini);
    }
}

static void a_nul_octet_is_refused(void **state)
{
    struct mu_ini *ini = NULL;

    assert_int_equal(mu_ini_parse(mu_bytes("a = 1\0\n", 7), "t", MU_INI_SECTIONS, &ini, NULL),
        MU_INPUT);
}

static void a_file_has_a_ceiling(void **state)
{
    static char big[MU_LIMIT_INI + 1];
    struct mu_ini *ini = NULL;

    memset(big, '\n', sizeof big);
    assert_int_equal(
        mu_ini_parse(mu_bytes(big, sizeof big - 1), "t", MU_INI_SECTIONS, &ini, NULL), MU_OK);
    mu_ini_free(ini);
    ini = NULL;
    assert_int_equal(
        mu_ini_parse(mu_bytes(big, sizeof big), "t", MU_INI_SECTIONS, &ini, NULL), MU_MEMORY);
    assert_null(ini);
}

/* sscep's file of options. */
static void bare_lines_are_read_with_case_and_quotes(void **state)
{
    static const char text[] = "# sscep.conf\n"
                               "URL\thttp://x/y=z\n"
                               "CACertFile \"./ca file.crt\"\n"
                               "  FingerPrint = md5\n"
                               "Proxy=\"\"\n"
                               "Engine \"a\\b\"  \r\n"
                               "Label two words\n";
    struct mu_ini *ini = parse(text, MU_INI_BARE);

    assert_int_equal(mu_ini_count(ini), 6);
    assert_string_equal(value_of(ini, "", NULL, "URL"), "http://x/y=z");
    assert_string_equal(value_of(ini, "", NULL, "CACertFile"), "./ca file.crt");
    assert_string_equal(value_of(ini, "", NULL, "FingerPrint"), "md5");
    assert_string_equal(value_of(ini, "", NULL, "Proxy"), "");
    assert_string_equal(value_of(ini, "", NULL, "Engine"), "a\\b");
    assert_string_equal(value_of(ini, "", NULL, "Label"), "two words");
    assert_null(mu_ini_get(ini, "", NULL, "url"));
    assert_int_equal(mu_ini_get(ini, "", NULL, "FingerPrint")->line, 4);
    assert_text(ini, text);
    mu_ini_free(ini);
}

static void put_fault(void *cookie, const struct mu_err *fault)
{
    mu_buf_putf(cookie, "%s\n", fault->what);
}

/* Each line that breaks the format, and none for what goes on with such a line. */
static void all_faulty_lines_are_told(void **state)
{
    static const char text[] = "[agent\n"
                               "store = /x\n"
                               "nonsense\n"
                               "    that goes on\n"
                               "    and on\n"
                               "jitter = 5%\n"
                               "    more\n"
                               "\n"
                               "    # behind a value\n"
                               "= nothing\n"
                               "[]\n"
                               "a = \x01\n"
                               "b = \xff\n"
                               "fine = yes\n";
    struct mu_buf told = {0};
    struct mu_ini *ini = NULL;
    struct mu_err err = {0};

    assert_int_equal(mu_ini_parse_all(mu_bytes_str(text), "t.conf", MU_INI_SECTIONS, put_fault, &told, &ini, &err), MU_INPUT);
    assert_null(ini);
    assert_string_equal(mu_buf_str(&told),
        "t.conf:1: a section has no ']' at its end\n"
        "t.conf:3: neither [section] nor key = value nor # comment\n"
        "t.conf:10: no key before '='\n"
        "t.conf:11: a section has no word behind '['\n"
        "t.conf:12: a control character\n"
        "t.conf:13: not UTF-8\n");
    assert_string_equal(err.what, "t.conf:1: a section has no ']' at its end");
    assert_int_equal(err.reason, MU_M(706));
    mu_buf_reset(&told);
    assert_int_equal(mu_ini_parse_all(mu_bytes_str("[a]\nb = c\n"), "t.conf", MU_INI_SECTIONS, put_fault, &told, &ini, &err), MU_OK);
    assert_int_equal(told.n, 0);
    mu_ini_free(ini);
    mu_buf_clear(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_keys_and_values_are_read),
        cmocka_unit_test(the_last_value_wins),
        cmocka_unit_test(texts_that_hold_nothing_are_fine),
        cmocka_unit_test(errors_name_file_line_and_fault),
        cmocka_unit_test(all_faulty_lines_are_told),
        cmocka_unit_test(a_nul_octet_is_refused),
        cmocka_unit_test(a_file_has_a_ceiling),
        cmocka_unit_test(bare_lines_are_read_with_case_and_quotes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
