/* Changing a configuration: what is written, and that every other byte stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/ini.h"

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

static void a_change_keeps_every_other_byte(void **state)
{
    static const struct {
        const char *before, *section, *name, *key, *value, *after;
    } cases[] = {
        /* changed in place, blanks and line ends as they are */
        {"[a]\nk   =  old  \n# c\n", "a", NULL, "k", "new", "[a]\nk   =  new  \n# c\n"},
        {"[a]\r\nk=old\r\nl=1", "a", NULL, "k", "new", "[a]\r\nk=new\r\nl=1"},
        {"[a]\nk=1\nk=2\n", "a", NULL, "k", "3", "[a]\nk=1\nk=3\n"},
        {"[a]\nk =\n", "a", NULL, "k", "1", "[a]\nk =1\n"},
        {"[a]\nk = 1", "a", NULL, "k", "", "[a]\nk = "},
        {"[a]\nk = 1\n", "a", NULL, "k", "1", "[a]\nk = 1\n"},
        {"[a]\nk = x\n  y\n\nl = 1\n", "a", NULL, "k", "z", "[a]\nk = z\n\nl = 1\n"},
        {"[a]\nk =\n  x\n  y\nl = 1\n", "a", NULL, "k", "p\nq", "[a]\nk =\n  p\n    q\nl = 1\n"},
        {"[a]\nk = 1\n", "a", NULL, "k", "x\n\n  y\r\n", "[a]\nk = x\n    \n    y\n"},
        /* added: behind the last of the section */
        {"[a]\nk = 1\n\n[b]\n", "a", NULL, "l", "2", "[a]\nk = 1\nl = 2\n\n[b]\n"},
        {"[a]\nk = 1\n  more\n# c\n[b]\n", "a", NULL, "l", "2",
            "[a]\nk = 1\n  more\nl = 2\n# c\n[b]\n"},
        {"[a]\n[b]\n", "a", NULL, "l", "2", "[a]\nl = 2\n[b]\n"},
        {"[a]", "a", NULL, "l", "2", "[a]\nl = 2\n"},
        {"[a]\nk = 1", "a", NULL, "l", "2", "[a]\nk = 1\nl = 2\n"},
        {"[ca \"x\"]\nk = 1\n[ca \"y\"]\n", "ca", "x", "l", "2",
            "[ca \"x\"]\nk = 1\nl = 2\n[ca \"y\"]\n"},
        {"[a]\nk = 1\n[b]\n[a]\nm = 1\n", "a", NULL, "l", "2",
            "[a]\nk = 1\n[b]\n[a]\nm = 1\nl = 2\n"},
        {"[a]\r\nk = 1\r\n", "a", NULL, "l", "2", "[a]\r\nk = 1\r\nl = 2\r\n"},
        {"# c\n[a]\n", "", NULL, "l", "2", "l = 2\n# c\n[a]\n"},
        /* a new section */
        {"", "a", NULL, "k", "1", "[a]\nk = 1\n"},
        {"# c", "ca", "x y", "k", "1", "# c\n\n[ca \"x y\"]\nk = 1\n"},
        {"[a]\nk = 1\n", "ca", "x", "k", "1", "[a]\nk = 1\n\n[ca \"x\"]\nk = 1\n"},
        /* removed, with all its lines, and wherever it stands */
        {"[a]\nk = 1\n  more\nl = 2\n", "a", NULL, "k", NULL, "[a]\nl = 2\n"},
        {"[a]\nk = 1\nl = 2\nk = 3", "a", NULL, "k", NULL, "[a]\nl = 2\n"},
        {"[a]\nk = 1\n", "a", NULL, "l", NULL, "[a]\nk = 1\n"},
        {"[a]\nk = 1\n[b]\nk = 1\n", "b", NULL, "k", NULL, "[a]\nk = 1\n[b]\n"},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_ini *ini = parse(cases[i].before, MU_INI_SECTIONS);

        assert_int_equal(mu_ini_set(ini, cases[i].section, cases[i].name, cases[i].key,
                             cases[i].value, NULL),
            MU_OK);
        assert_text(ini, cases[i].after);
        mu_ini_free(ini);
    }
}

static void what_was_set_reads_back(void **state)
{
    static const char *const values[] = {"", "x", "a = b", "# no comment", "[x]", "\"q\"", "a\nb",
        "a\n\n\nb", "a\n# b\n[c]\nd = e", "caf\xc3\xa9"};
    size_t i;

    for (i = 0; i < LEN(values); i++) {
        struct mu_ini *ini = parse(sample, MU_INI_SECTIONS);
        size_t n = mu_ini_count(ini);

        assert_int_equal(mu_ini_set(ini, "ca", "corp-est", "label", values[i], NULL), MU_OK);
        assert_int_equal(mu_ini_count(ini), n + 1);
        assert_string_equal(value_of(ini, "ca", "corp-est", "label"), values[i]);
        assert_int_equal(mu_ini_set(ini, "ca", "corp-est", "url", values[i], NULL), MU_OK);
        assert_string_equal(value_of(ini, "ca", "corp-est", "url"), values[i]);
        assert_string_equal(value_of(ini, "ca", "Branch", "protocol"), "scep");
        assert_int_equal(mu_ini_set(ini, "ca", "corp-est", "label", NULL, NULL), MU_OK);
        assert_int_equal(mu_ini_set(
                             ini, "ca", "corp-est", "url", "https://pki.example:8443/a#b", NULL),
            MU_OK);
        assert_text(ini, sample);
        mu_ini_free(ini);
    }
}

static void what_the_format_cannot_hold_is_refused_and_changes_nothing(void **state)
{
    static const struct {
        const char *section, *name, *key, *value;
    } cases[] = {
        {"a", NULL, "k", "x\001y"}, {"a", NULL, "k", "caf\xe9"}, {"a", NULL, "k k", "x"},
        {"a", NULL, "", "x"}, {"a", NULL, "k\n[b]\nk", "x"}, {"a", NULL, "#k", "x"},
        {"a b", NULL, "k", "x"}, {"", "", "[k]", "x"}, {"a", "x\"y", "k", "x"},
        {"a", "x\"]\n[b", "k", "x"}, {"a]\n[b", NULL, "k", "x"},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_ini *ini = parse(sample, MU_INI_SECTIONS);

        assert_int_equal(mu_ini_set(ini, cases[i].section, cases[i].name, cases[i].key,
                             cases[i].value, NULL),
            MU_INPUT);
        assert_text(ini, sample);
        mu_ini_free(ini);
    }
}

static void bare_files_can_be_changed_too(void **state)
{
    struct mu_ini *ini = parse("URL http://x\nLabel \"a b\"\n", MU_INI_BARE);

    assert_int_equal(mu_ini_set(ini, "", NULL, "Label", "c d", NULL), MU_OK);
    assert_int_equal(mu_ini_set(ini, "", NULL, "URL", "http://y", NULL), MU_OK);
    assert_int_equal(mu_ini_set(ini, "", NULL, "Proxy", " p q ", NULL), MU_OK);
    assert_text(ini, "URL http://y\nLabel \"c d\"\nProxy \" p q \"\n");
    assert_string_equal(value_of(ini, "", NULL, "Proxy"), " p q ");
    assert_int_equal(mu_ini_set(ini, "", NULL, "Proxy", "a\"b", NULL), MU_INPUT);
    assert_int_equal(mu_ini_set(ini, "", NULL, "Proxy", "a\nb c", NULL), MU_INPUT);
    assert_int_equal(mu_ini_set(ini, "ca", NULL, "URL", "x", NULL), MU_INPUT);
    mu_ini_free(ini);
}

/* A section goes with its items and the comments between them; what is outside stays byte for byte. */
static void a_section_is_taken_away(void **state)
{
    static const struct {
        const char *text, *left;
    } cases[] = {
        {"", ""},
        {"[b]\nx = 1\n", "[b]\nx = 1\n"},
        {"[a \"n\"]\nx = 1\n", ""},
        {"# top\n[a \"n\"]\n# inside\nx = 1\n   two\n\n# of b\n[b]\ny=2", "# top\n# of b\n[b]\ny=2"},
        {"[b]\r\ny = 2\r\n\r\n[a \"n\"]\r\nx = 1\r\n[a \"m\"]\r\nx = 2", "[b]\r\ny = 2\r\n\r\n[a \"m\"]\r\nx = 2"},
        {"[a \"n\"]\nx = 1\n\n[b]\ny = 1\n[A \"n\"]\n\n\n[c]\n", "[b]\ny = 1\n[c]\n"},
        {"[a]\nx = 1\n[a \"n\"]", "[a]\nx = 1\n"},
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct mu_ini *ini = parse(cases[i].text, MU_INI_SECTIONS);

        assert_int_equal(mu_ini_remove(ini, "a", "n", NULL), MU_OK);
        assert_text(ini, cases[i].left);
        mu_ini_free(ini);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_keeps_every_other_byte),
        cmocka_unit_test(what_was_set_reads_back),
        cmocka_unit_test(what_the_format_cannot_hold_is_refused_and_changes_nothing),
        cmocka_unit_test(bare_files_can_be_changed_too),
        cmocka_unit_test(a_section_is_taken_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
