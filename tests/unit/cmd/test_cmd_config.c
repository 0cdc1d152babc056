/* muster.conf to settings: who wins, what is named when it is wrong. */
#include "cmd/muster/cmd_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static const char text[] =
    "[agent]\nstore = /srv/muster\n"
    "[ca \"branch\"]\nprotocol = scep\nurl = http://10.5.59.172/app/cert/scep/\nchallenge = "
    "file:/etc/ch\n"
    "digest = sha512\nscep-standard = expect\ncompat = iis\n"
    "[defaults]\nkey = rsa:3072\nrenew-days = 10\n"
    "[template \"gateway\"]\nca = branch\nsubject = /O=Example/CN=gw\nrenew-days = 20\nkey-usage = "
    "digitalSignature\n"
    "[certificate \"gw1\"]\ntemplate = gateway\nsubject = /O=Example/CN=gw1\n"
    "[certificate \"gw2\"]\ntemplate = gateway\nsuccess-script = true\n"
    "[certificate \"lost\"]\nca = nowhere\n";

static struct mu_ini *parse(const char *t)
{
    struct mu_ini *ini = NULL;
    struct mu_err err = {0};

    assert_int_equal(
        mu_ini_parse(mu_bytes_str(t), "muster.conf", MU_INI_SECTIONS, &ini, &err), MU_OK);
    return ini;
}

/* S003: two entries of one template both get all they need. */
static void entry_takes_defaults_ca_template_and_itself(void **state)
{
    struct mu_ini *ini = parse(text);
    struct mu_agent_settings s = {0};
    struct mu_cmd_config_secrets secrets = {0};
    struct mu_err err = {0};

    assert_int_equal(mu_cmd_config_entry(ini, "gw1", &s, &secrets, &err), MU_OK);
    assert_string_equal(s.url, "http://10.5.59.172/app/cert/scep/");
    assert_string_equal(s.subject, "/O=Example/CN=gw1");
    assert_string_equal(s.key, "rsa:3072");
    assert_string_equal(s.renew_days, "20");
    assert_string_equal(s.digest, "sha512");
    assert_string_equal(s.scep_standard, "expect"); /* SCEP-23 */
    assert_string_equal(s.compat, "iis");           /* SCEP-25 */
    assert_string_equal(secrets.challenge, "file:/etc/ch");
    mu_agent_settings_clear(&s);
    assert_int_equal(mu_cmd_config_entry(ini, "gw2", &s, &secrets, &err), MU_OK);
    assert_string_equal(s.subject, "/O=Example/CN=gw");
    assert_string_equal(s.url, "http://10.5.59.172/app/cert/scep/");
    mu_agent_settings_clear(&s);
    mu_ini_free(ini);
}

static void what_is_not_there_changes_nothing(void **state)
{
    struct mu_ini *ini = parse(text);
    struct mu_agent_settings s = {0};
    struct mu_cmd_config_secrets secrets = {0};
    struct mu_err err = {0};

    assert_int_equal(mu_cmd_config_entry(ini, "unknown", &s, &secrets, &err), MU_OK);
    assert_int_equal(mu_cmd_config_entry(NULL, "gw1", &s, &secrets, &err), MU_OK);
    assert_null(s.url);
    assert_null(s.key);
    assert_null(secrets.challenge);
    assert_true(mu_cmd_config_has_ca(ini, "branch"));
    assert_false(mu_cmd_config_has_ca(ini, "gateway"));
    assert_false(mu_cmd_config_has_ca(NULL, "branch"));
    assert_true(mu_cmd_config_has_entry(ini, "gw2"));
    assert_string_equal(mu_cmd_config_agent(ini, "store"), "/srv/muster");
    assert_null(mu_cmd_config_agent(ini, "jitter"));
    assert_null(mu_cmd_config_agent(NULL, "store"));
    mu_ini_free(ini);
}

static void faults_name_file_and_line(void **state)
{
    static const struct {
        const char *conf, *name, *what;
    } cases[] = {
        {"[certificate \"lost\"]\nca = nowhere\n", "lost", "nowhere"},
        {"[certificate \"a\"]\n\nsubjct = /CN=x\n", "a", "muster.conf:3"},
        {"[certificate \"a\"]\nreuse-key = perhaps\n", "a", "muster.conf:2"},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_ini *ini = parse(cases[i].conf);
        struct mu_agent_settings s = {0};
        struct mu_cmd_config_secrets secrets = {0};
        struct mu_err err = {0};

        assert_int_equal(mu_cmd_config_entry(ini, cases[i].name, &s, &secrets, &err), MU_INPUT);
        assert_int_equal(err.reason, 706);
        assert_non_null(strstr(err.what, cases[i].what));
        mu_agent_settings_clear(&s);
        mu_ini_free(ini);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_takes_defaults_ca_template_and_itself),
        cmocka_unit_test(what_is_not_there_changes_nothing),
        cmocka_unit_test(faults_name_file_and_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
