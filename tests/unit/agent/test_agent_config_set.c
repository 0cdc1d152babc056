/* One value written back: every other byte stays, nothing wrong is ever written, and a kill at any call
 * leaves the old file or the new one. */
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "killed.h"

static const char text[] =
    "# our CAs\n"
    "[ca \"b\"]\n"
    "protocol=scep   \n"
    "\t\n# still a comment?\n"
    "url =   http://b/\r\n"
    "\n"
    "[certificate \"web\"]\n"
    "ca = b\n"
    "# renew early, the CA is slow\n"
    "renew-days   =  30\n"
    "success-script = one\n"
    "    two\n";

static enum mu_code set(struct conf *conf, const char *section, const char *name, const char *key, const char *value)
{
    conf->err = (struct mu_err){0};
    return mu_agent_config_set(conf->main, section, name, key, value, NULL, &conf->err);
}

static void same(const struct conf *conf, const char *file, const char *want)
{
    char now[2000];

    conf_read(conf, file, now, sizeof now);
    assert_string_equal(now, want);
}

static void replaced(char *out, size_t size, const char *from, const char *to)
{
    const char *at = strstr(text, from);

    assert_non_null(at);
    snprintf(out, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void the_value_is_changed_where_it_is_and_nothing_else(void **state)
{
    char want[2000];
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "muster.conf", 0640, text);
    replaced(want, sizeof want, "=  30", "=  7");
    assert_int_equal(set(&conf, "certificate", "web", "renew-days", "7"), MU_OK);
    same(&conf, "muster.conf", want);
    assert_int_equal(conf_load(&conf), MU_OK);
    {
        struct stat st;

        assert_int_equal(stat(conf.main, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
    }
    conf_close(&conf);
}

static void what_is_new_gets_a_file_of_its_own(void **state)
{
    struct mu_buf file = {0};
    char want[200];
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "muster.conf", 0644, text);
    assert_int_equal(
        mu_agent_config_set(conf.main, "certificate", "web", "warn-days", "45, 14", &file, &conf.err), MU_OK);
    snprintf(want, sizeof want, "%s/certs.d/web.conf", conf.dir);
    assert_string_equal(mu_buf_str(&file), want);
    same(&conf, "certs.d/web.conf", "[certificate \"web\"]\nwarn-days = 45, 14\n");
    same(&conf, "muster.conf", text);
    assert_int_equal(set(&conf, "certificate", "mail", "ca", "b"), MU_OK);
    same(&conf, "certs.d/mail.conf", "[certificate \"mail\"]\nca = b\n");
    assert_int_equal(set(&conf, "ca", "b", "label", "iot"), MU_OK); /* where its section is */
    assert_int_equal(set(&conf, "agent", "", "jitter", "5%"), MU_OK);
    assert_int_equal(conf_load(&conf), MU_OK);
    assert_int_equal(mu_agent_config_agent(conf.config)->jitter_percent, 5);
    mu_buf_clear(&file);
    conf_close(&conf);
}

static void taking_away_takes_away_everywhere(void **state)
{
    struct mu_agent_config_entry e;
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "muster.conf", 0644, text);
    conf_write(&conf, "certs.d/a.conf", 0644, "[certificate \"web\"]\nrenew-days = 5\n");
    assert_int_equal(set(&conf, "certificate", "web", "renew-days", "6"), MU_OK);
    same(&conf, "certs.d/a.conf", "[certificate \"web\"]\nrenew-days = 6\n"); /* the one that counts */
    same(&conf, "muster.conf", text);
    assert_int_equal(set(&conf, "certificate", "web", "renew-days", NULL), MU_OK);
    assert_int_equal(conf_load(&conf), MU_OK);
    assert_int_equal(mu_agent_config_entry(conf.config, "web", 0, &e, &conf.err), MU_OK);
    assert_null(e.settings.renew_days);
    assert_string_equal(e.success_script, "one\ntwo");
    mu_agent_config_entry_clear(&e);
    conf_close(&conf);
}

static void nothing_wrong_is_written(void **state)
{
    static const struct {
        const char *section, *name, *key, *value, *told;
    } cases[] = {
        {"certificate", "web", "renew-days", "7x", "neither auto"},
        {"certificate", "web", "rnew-days", "7", "there is no 'rnew-days'"},
        {"certificate", "web", "ca", "c", "there is no [ca \"c\"]"},
        {"certificate", "../../etc/x", "ca", "b", "is no name"},
        {"certificate", "new", "subject", "/CN=x", "has no CA to ask"},
        {"certificat", "web", "ca", "b", "no section"},
        {"agent", "", "subject", "/CN=x", "there is no 'subject'"},
        {"ca", "b", "url", NULL, "has no url"},
    };
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "muster.conf", 0644, text);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            set(&conf, cases[i].section, cases[i].name, cases[i].key, cases[i].value), MU_INPUT);
        assert_int_equal(mu_err_exit_code(&conf.err) == 4 || strstr(conf.err.what, "is no name") != NULL, true);
        if (strstr(conf.err.what, cases[i].told) == NULL)
            fail_msg("case %zu: %s", i, conf.err.what);
        same(&conf, "muster.conf", text);
    }
    conf_close(&conf);
}

/* A line that is wrong can be mended by the command that its error names. */
static void what_is_wrong_can_be_mended(void **state)
{
    struct conf conf;

    conf_open(&conf);
    assert_int_equal(conf_try(&conf, "[ca \"b\"]\nprotocol = secp\nurl = http://b/\n"), MU_INPUT);
    assert_int_equal(set(&conf, "ca", "b", "protocol", "scep"), MU_OK);
    assert_int_equal(conf_load(&conf), MU_OK);
    conf_close(&conf);
}

static void a_value_cannot_smuggle_in_a_line(void **state)
{
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "muster.conf", 0644, text);
    assert_int_equal(set(&conf, "certificate", "web", "comments", "x\n[agent]\nstore = /tmp"), MU_OK);
    assert_int_equal(conf_load(&conf), MU_OK);
    assert_null(mu_agent_config_agent(conf.config)->store);
    assert_int_equal(set(&conf, "certificate", "web", "comments", "a\x01z"), MU_INPUT);
    conf_close(&conf);
}

/* A kill at each call that changes the disk: the old file or the new one, and the next try does it. */
static void a_kill_leaves_the_old_file_or_the_new_one(void **state)
{
    char want[2000], now[2000];
    unsigned n;

    replaced(want, sizeof want, "=  30", "=  7");
    for (n = 1;; n++) {
        struct conf conf;
        bool done;

        conf_open(&conf);
        conf_write(&conf, "muster.conf", 0600, text);
        killed_calls = 0;
        killed_at = n;
        done = set(&conf, "certificate", "web", "renew-days", "7") == MU_OK && killed_calls < n;
        killed_at = 0;
        conf_read(&conf, "muster.conf", now, sizeof now);
        if (strcmp(now, text) != 0 && strcmp(now, want) != 0)
            fail_msg("call %u: the file is neither", n);
        assert_int_equal(conf_load(&conf), MU_OK);
        assert_int_equal(set(&conf, "certificate", "web", "renew-days", "7"), MU_OK);
        same(&conf, "muster.conf", want);
        conf_close(&conf);
        if (done)
            break;
    }
    assert_true(n > 4);
}

/* ---- where values come from ---- */

static void put_item(void *cookie, const struct mu_agent_config_item *item)
{
    const char *file = item->file != NULL ? strrchr(item->file, '/') + 1 : "default";

    mu_buf_putf(cookie, "%s \"%s\" %s=%s %s:%u%s\n", item->section, item->name, item->key, item->value, file,
        item->line, item->is_overridden ? " overridden" : "");
}

static void each_value_knows_its_origin(void **state)
{
    struct mu_buf all = {0};
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "certs.d/web.conf", 0644, "[certificate \"web\"]\nrenew-days = 7\n");
    assert_int_equal(conf_try(&conf,
                         "[ca \"b\"]\nprotocol = scep\nurl = http://b/\nchallenge = opensesame\n"
                         "[defaults]\nwarn-days = 9\n[certificate \"web\"]\nca = b\nrenew-days = 30\n"),
        MU_OK);
    mu_agent_config_each(conf.config, put_item, &all);
    assert_non_null(strstr(mu_buf_str(&all), "agent \"\" jitter=20% default:0\n"));
    assert_non_null(strstr(mu_buf_str(&all), "ca \"b\" url=http://b/ muster.conf:3\n"));
    assert_non_null(strstr(mu_buf_str(&all), "ca \"b\" challenge=* muster.conf:4\n"));
    assert_non_null(strstr(mu_buf_str(&all), "certificate \"web\" renew-days=30 muster.conf:9 overridden\n"));
    assert_non_null(strstr(mu_buf_str(&all), "certificate \"web\" renew-days=7 web.conf:2\n"));
    assert_null(strstr(mu_buf_str(&all), "opensesame"));
    mu_buf_reset(&all);
    assert_int_equal(mu_agent_config_each_of(conf.config, "web", put_item, &all, &conf.err), MU_OK);
    assert_non_null(strstr(mu_buf_str(&all), "certificate \"web\" renew-days=7 web.conf:2\n"));
    assert_non_null(strstr(mu_buf_str(&all), "defaults \"\" warn-days=9 muster.conf:6\n"));
    assert_non_null(strstr(mu_buf_str(&all), "ca \"b\" challenge=* muster.conf:4\n"));
    assert_non_null(strstr(mu_buf_str(&all), "certificate \"web\" digest=sha256 default:0\n"));
    assert_null(strstr(mu_buf_str(&all), "csrattrs")); /* EST's */
    assert_null(strstr(mu_buf_str(&all), "opensesame"));
    assert_int_equal(mu_agent_config_each_of(conf.config, "none", put_item, &all, &conf.err), MU_NOT_FOUND);
    mu_buf_clear(&all);
    conf_close(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_value_is_changed_where_it_is_and_nothing_else),
        cmocka_unit_test(what_is_new_gets_a_file_of_its_own),
        cmocka_unit_test(taking_away_takes_away_everywhere),
        cmocka_unit_test(nothing_wrong_is_written),
        cmocka_unit_test(what_is_wrong_can_be_mended),
        cmocka_unit_test(a_value_cannot_smuggle_in_a_line),
        cmocka_unit_test(a_kill_leaves_the_old_file_or_the_new_one),
        cmocka_unit_test(each_value_knows_its_origin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
