/* muster.conf and certs.d: each key right and wrong, who wins, what is told when something is wrong. */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/agent_config_internal.h"

static const char text[] =
    "[agent]\nstore = /srv/muster\n"
    "[ca \"branch\"]\nprotocol = scep\nurl = http://10.5.59.172/app/cert/scep/\nchallenge = file:/etc/ch\n"
    "digest = sha512\nscep-standard = expect\ncompat = iis\n"
    "[defaults]\nkey = rsa:3072\nrenew-days = 10\n"
    "[template \"gateway\"]\nca = branch\nsubject = /O=Example/CN=gw\nrenew-days = 20\nkey-usage = "
    "digitalSignature\n"
    "[certificate \"gw1\"]\ntemplate = gateway\nsubject = /O=Example/CN=gw1\n"
    "[certificate \"gw2\"]\ntemplate = gateway\nsuccess-script = true\n";

/* S003: two entries of one template both get all they need. */
static void an_entry_takes_defaults_ca_template_and_itself(void **state)
{
    struct mu_agent_config_entry e;
    struct conf conf;

    conf_with(&conf, text);
    assert_int_equal(mu_agent_config_entry(conf.config, "gw1", 0, &e, &conf.err), MU_OK);
    assert_string_equal(e.settings.url, "http://10.5.59.172/app/cert/scep/");
    assert_string_equal(e.settings.subject, "/O=Example/CN=gw1");
    assert_string_equal(e.settings.key, "rsa:3072");
    assert_string_equal(e.settings.renew_days, "20");
    assert_string_equal(e.settings.digest, "sha512");
    assert_string_equal(e.settings.scep_standard, "expect"); /* SCEP-23 */
    assert_string_equal(e.settings.compat, "iis");           /* SCEP-25 */
    assert_string_equal(e.secrets.challenge, "file:/etc/ch");
    assert_string_equal(e.ca, "branch");
    assert_int_equal(e.routes, 1);
    assert_int_equal(e.policy.renew_days, 20);
    assert_true(e.automation);
    mu_agent_config_entry_clear(&e);
    assert_int_equal(mu_agent_config_entry(conf.config, "gw2", 0, &e, &conf.err), MU_OK);
    assert_string_equal(e.settings.subject, "/O=Example/CN=gw");
    assert_string_equal(e.success_script, "true");
    mu_agent_config_entry_clear(&e);
    assert_string_equal(mu_agent_config_agent(conf.config)->store, "/srv/muster");
    conf_close(&conf);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct mu_agent_config_entry e;
    struct conf conf;

    conf_with(&conf, text);
    assert_int_equal(mu_agent_config_entry(conf.config, "unknown", 0, &e, &conf.err), MU_NOT_FOUND);
    assert_int_equal(mu_agent_config_entry(conf.config, "gw1", 1, &e, &conf.err), MU_NOT_FOUND);
    assert_int_equal(mu_agent_config_entry(NULL, "gw1", 0, &e, &conf.err), MU_NOT_FOUND);
    assert_true(mu_agent_config_has_ca(conf.config, "branch"));
    assert_false(mu_agent_config_has_ca(conf.config, "gateway"));
    assert_false(mu_agent_config_has_ca(NULL, "branch"));
    assert_true(mu_agent_config_has_entry(conf.config, "gw2"));
    assert_string_equal(mu_agent_config_entry_at(conf.config, 1), "gw2");
    assert_null(mu_agent_config_entry_at(conf.config, 2));
    assert_null(mu_agent_config_ca_at(NULL, 0));
    assert_null(mu_agent_config_agent(NULL)->store);
    assert_int_equal(mu_agent_config_agent(NULL)->check_interval_s, 3600);
    conf_close(&conf);
}

/* ---- each key: right, wrong ---- */

enum place { AGENT, CA, CERT };

static const struct {
    enum place place;
    const char *key, *right, *wrong;
} keys[] = {
    {AGENT, "store", "/var/data/scepClient", "here"}, /* R032 */
    {AGENT, "check-interval", "30min", "often"},
    {AGENT, "check-interval", "10s", "1s"},
    {AGENT, "jitter", "0%", "120%"},
    {AGENT, "jitter", "33", "-1%"},
    {AGENT, "max-requests", "4/day", "0/day"},
    {AGENT, "max-requests", "2", "2/week"},
    {AGENT, "time-source", "warn", "ntp"},
    {AGENT, "serial-source", "cat /etc/serial", NULL}, /* R020 */
    {AGENT, "hostname", "fw-ams-1", "a b"},
    {AGENT, "automation", "no", "never"}, /* R010 */
    {AGENT, "allow-legacy", "yes", "sometimes"},
    {AGENT, "ui", "127.0.0.1:8082", "0.0.0.0:8082"},
    {AGENT, "ui", "off", "unix:relative"},
    {AGENT, "control", "unix:/run/muster/c.sock", "off"},
    {AGENT, "metrics", "textfile:/var/lib/node/muster.prom, 127.0.0.1:9100", "textfile:muster.prom"},
    {AGENT, "notify", "journal, command:/usr/local/bin/tell", "mail"},
    {AGENT, "notify", "file:/var/log/muster.log", "command:tell"},
    {AGENT, "hook-user", "hooks", "a:b"},
    {AGENT, "hook-timeout", "5min", "0s"},
    {AGENT, "log-level", "debug", "chatty"},
    {AGENT, "trace-size", "512K", "1T"},
    {CA, "protocol", "scep", "acme"},
    {CA, "url", "http://ca.example/scep", "ftp://ca.example/"}, /* R011 */
    {CA, "url", "http://[::1]:8080/x", "http://user:secret@ca.example/"},
    {CA, "trust", "corp-root, /etc/ssl/ca.pem", NULL},
    {CA, "pin-sha256", "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
        "0011"},
    {CA, "server-name", "ca.example", "ca example"},
    {CA, "proxy", "proxy.example:3128", "proxy.example"},
    {CA, "proxy", "http://proxy.example:3128/", "u:p@proxy.example:3128"},
    {CA, "no-proxy", "localhost, .example", NULL},
    {CA, "source-ip", "2001:db8::1", "eth0"},
    {CA, "timeout", "5s", "quick"},
    {CA, "tls-min", "1.2", "2.0"},
    {CA, "renew-window", "30d", "soon"},
    {CA, "renew-window", "learned", "-1d"},
    {CA, "ca-identifier", "iot", NULL},
    {CA, "challenge", "file:/etc/muster/secrets/branch", "file:branch"},
    {CA, "challenge-once", "no", "2"},
    {CA, "method", "post", "put"},
    {CA, "digest", "sha384", "sha0"},
    {CA, "cipher", "aes256", "rot13"},
    {CA, "ra-cert", "/etc/muster/ra.pem", "ra.pem"},
    {CA, "nonce-check", "warn", "off"},
    {CA, "scep-standard", "expect", "yes"},
    {CA, "compat", "iis", "ndes"},
    {CA, "label", "iot", NULL},
    {CA, "user", "estuser", NULL},
    {CA, "password", "credential:est-password", "credential:../shadow"},
    {CA, "client-cert", "web", NULL},
    {CA, "srp-user", "estuser", NULL},
    {CA, "srp-password", "secret:fleet", "secret:a/b"},
    {CA, "csrattrs", "ignore", "no"},
    {CA, "renew-auth", "password", "none"},
    {CA, "server-key", "yes", "please"},
    {CA, "server-key-to", "shared:fleet", "everybody"},
    {CA, "shared-key", "secret:fleet", "secret:a/b"},
    {CA, "path", "/pkix/", "pkix"},
    {CA, "server-cert", "fac.root", NULL},
    {CA, "ref", "fgt100f", NULL},
    {CA, "secret", "file:/etc/s", "secret:"},
    {CA, "mac", "pbmac1", "hmac"},
    {CA, "mac-iterations", "500", "99"},
    {CA, "mac-iterations", "100000", "100001"},
    {CA, "pop", "encrypted", "challenge"},
    {CA, "mac-owf", "sha512", "md5"},
    {CA, "mac-hmac", "sha384", "hmac"},
    {CA, "cmp-request", "p10cr", "kur"},
    {CA, "implicit-confirm", "yes", "maybe"},
    {CA, "no-confirm", "yes", "maybe"},
    {CA, "ignore-key-usage", "no", "maybe"},
    {CA, "trust-ca-pubs", "yes", "maybe"},
    {CA, "ask-template", "yes", "maybe"},
    {CA, "rsa-pss", "yes", "maybe"},
    {CERT, "ca", "b", "nowhere"},
    {CERT, "template", "t", "nowhere"},
    {CERT, "subject", "/C=NL/CN=router-SN", "/XX=1"}, /* R017 */
    {CERT, "subject", "/O=a\\/b/CN=c", "CN"},        /* R018 */
    {CERT, "san", "email:a@b.example, URI:http://x/, DNS:x, RID:1.2.3, IP:192.0.2.1, dirName:/C=NL/CN=x, "
                  "otherName:1.2.3;UTF8:text",
        "WHAT:x"}, /* R021 */
    {CERT, "key", "rsa:4096", "rsa:big"}, /* R016 */
    {CERT, "key-file", "/etc/ssl/private/own.key", NULL},
    {CERT, "reuse-key", "yes", "perhaps"},
    {CERT, "key-password", "secret:web", "secret:.web"},
    {CERT, "key-usage", "digitalSignature, keyEncipherment", "digitalSignatur"}, /* R025 */
    {CERT, "eku", "serverAuth, clientAuth", "clientAut"},                        /* R027 */
    {CERT, "template-name", "tls-client", NULL},                                 /* R024 */
    {CERT, "renew-days", "30", "30d"},                                           /* R012 */
    {CERT, "renew-days", "33%", "100%"},
    {CERT, "renew-days", "auto", "-1"},
    {CERT, "warn-days", "45, 14, 7, 3, 1", "45, soon"},
    {CERT, "warn-days", "0", "1,2,3,4,5,6,7,8,9"},
    {CERT, "await-result", "5", "5 apples"},      /* R013 */
    {CERT, "max-await-result", "1min", "1 week"}, /* R014 */
    {CERT, "automation", "off", "none"},
    {CERT, "allow-legacy", "yes", "legacy"}, /* R015 */
    {CERT, "deploy", "nginx, copy to=/etc/x", "/usr/share/muster/recipes/nginx"},
    {CERT, "deploy", "haproxy", "../../bin/sh"},
    {CERT, "verify", "tls:localhost:443 sni=www.example.org, tls:[::1]:8443", "localhost:443"},
    {CERT, "verify", "tls:10.0.0.1:1", "tls:10.0.0.1:99999"},
    {CERT, "success-script", "scep_replace_pem /etc/x K pkey\n  && /etc/init.d/ipsec restart", NULL}, /* R030 */
    {CERT, "failure-script", "logger \"$MUSTER_ERROR_TEXT\"", NULL},                                 /* R031 */
    {CERT, "key-owner", "www-data", "www data"},
    {CERT, "key-group", "ssl-cert", "a/b"},
    {CERT, "key-mode", "0640", "0644"},
    {CERT, "key-mode", "600", "rw"},
    {CERT, "comments", "anything # at all = here", NULL},
};

/* A configuration that is right, with one value more, on line 2, 7 or 11 of it. */
static void around(char *out, size_t size, enum place place, const char *key, const char *value)
{
    char line[600];

    snprintf(line, sizeof line, "%s = %s\n", key, value);
    snprintf(out, size,
        "[agent]\n%s[ca \"b\"]\nprotocol = scep\nurl = http://b/\nuser = u\n%s[template \"t\"]\nsan = DNS:x\n"
        "[certificate \"c\"]\nca = b\n%s",
        place == AGENT ? line : "# a line\n", place == CA ? line : "# a line\n", place == CERT ? line : "# a line\n");
}

static void every_key_is_checked_when_it_is_read(void **state)
{
    static const char *const at[] = {"muster.conf:2:", "muster.conf:7:", "muster.conf:12:"};
    bool seen[128] = {false};
    struct conf conf;
    char all[2000];

    conf_open(&conf);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        seen[mu_agent_config_word_find(keys[i].key)] = true;
        around(all, sizeof all, keys[i].place, keys[i].key, keys[i].right);
        if (conf_try(&conf, all) != MU_OK)
            fail_msg("%s = %s: %s", keys[i].key, keys[i].right, conf.err.what);
        if (keys[i].wrong == NULL)
            continue;
        around(all, sizeof all, keys[i].place, keys[i].key, keys[i].wrong);
        if (conf_try(&conf, all) != MU_INPUT || mu_err_exit_code(&conf.err) != 4 || conf.errors < 1
            || strstr(conf.err.what, at[keys[i].place]) == NULL)
            fail_msg("%s = %s was taken, or told without its line: %s", keys[i].key, keys[i].wrong, conf.told);
    }
    for (size_t i = 0; mu_agent_config_word_at(i) != NULL; i++)
        if (!seen[i])
            fail_msg("no case for %s", mu_agent_config_word_at(i)->word);
    conf_close(&conf);
}

/* M706: file, line and the word that was probably meant. */
static void unknown_words_name_the_nearest(void **state)
{
    static const struct {
        const char *conf, *told;
    } cases[] = {
        {"[certificate \"a\"]\nautomation = no\nsubjct = /CN=x\n", "muster.conf:3: there is no 'subjct' in [certificate]; did you mean subject?"},
        {"[agent]\njiter = 20%\n", "muster.conf:2: there is no 'jiter' in [agent]; did you mean jitter?"},
        {"[certifcate \"a\"]\n", "muster.conf:1: there is no section [certifcate]; did you mean [certificate]?"},
        {"[agent]\nsubject = /CN=x\n", "'subject' does not belong into [agent]; it belongs into [certificate]"},
        {"[certificate \"x\"]\nautomation = no\nstore = /x\n", "'store' does not belong into [certificate]; it belongs into [agent]"},
        {"[certificate]\nsubject = /CN=x\n", "[certificate] lacks a name; it is written [certificate \"NAME\"]"},
        {"[agent \"x\"]\n", "[agent] has no name"},
        {"[certificate \"../x\"]\n", "'../x' is no name"},
        {"[ca \"branch\"]\nprotocol = scep\nurl = http://x/\n[certificate \"a\"]\nca = brunch\n", "muster.conf:5: there is no [ca \"brunch\"]; did you mean branch?"},
        {"[ca \"b\"]\nprotocol = secp\nurl = http://x/\n", "'secp' is not one of scep, est, cmp; did you mean scep?"},
        {"store = /x\n", "'store' stands before the first [section]"},
        {"[agent]\nnonsense\n", "muster.conf:2: neither [section] nor key = value nor # comment"},
        {"[ca \"b\"]\nurl = http://x/\n", "[ca \"b\"] has no protocol"},
        {"[ca \"b\"]\nprotocol = scep\n", "[ca \"b\"] has no url"},
        {"[ca \"b\"]\nprotocol = est\nurl = http://x/\n", "[ca \"b\"] has EST over http://"},
        {"[certificate \"a\"]\nsubject = /CN=x\n", "[certificate \"a\"] has no CA to ask"}, /* R011 */
    };
    struct conf conf;

    conf_open(&conf);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(conf_try(&conf, cases[i].conf), MU_INPUT);
        assert_int_equal(mu_err_exit_code(&conf.err), 4);
        assert_null(conf.config);
        if (strstr(conf.told, cases[i].told) == NULL)
            fail_msg("case %zu: %s", i, conf.told);
    }
    conf_close(&conf);
}

static void several_errors_are_told_at_once(void **state)
{
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "certs.d/a.conf", 0644, "[certificate \"a\"]\nautomation = no\nsubjct = x\nsan = WHAT:x\n");
    conf_write(&conf, "certs.d/b.conf", 0644, "[certificate \"b\"]\nca = none\n");
    assert_int_equal(conf_try(&conf, "[agent]\nlog-level = loud\n"), MU_INPUT);
    assert_int_equal(conf.errors, 4);
    assert_non_null(strstr(conf.told, "muster.conf:2: "));
    assert_non_null(strstr(conf.told, "certs.d/a.conf:3: "));
    assert_non_null(strstr(conf.told, "certs.d/a.conf:4: "));
    assert_non_null(strstr(conf.told, "certs.d/b.conf:2: "));
    conf_close(&conf);
}

/* Lines that break the format too, all of them. */
static void every_line_that_breaks_the_format_is_told(void **state)
{
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "certs.d/a.conf", 0644, "[certificate \"a\"\nca = none\n");
    assert_int_equal(conf_try(&conf, "[agent]\nnonsense\njitter = 5%\n= x\n"), MU_INPUT);
    assert_int_equal(conf.errors, 3);
    assert_non_null(strstr(conf.told, "muster.conf:2: "));
    assert_non_null(strstr(conf.told, "muster.conf:4: "));
    assert_non_null(strstr(conf.told, "certs.d/a.conf:1: "));
    assert_non_null(strstr(conf.err.what, "muster.conf:2: "));
    assert_int_equal(mu_err_exit_code(&conf.err), 4);
    conf_close(&conf);
}

/* What stands behind a value is part of it, and that is said where it looks like a comment. */
static void a_comment_behind_a_value_is_told(void **state)
{
    struct mu_agent_config_entry e;
    struct conf conf;

    conf_open(&conf);
    assert_int_equal(conf_try(&conf, "[certificate \"a\"]\nautomation = no\nrenew-days = 30 # a month\n"), MU_INPUT);
    assert_non_null(strstr(conf.told, "a comment has a line of its own"));
    assert_int_equal(conf_try(&conf,
                         "[certificate \"a\"]\nautomation = no\nsubject = /CN=a # b\nsuccess-script = true # fine\n"
                         "failure-script =\n    # a comment of the script\n    true\ncomments = x # y\n"),
        MU_OK);
    assert_non_null(strstr(conf.told, "muster.conf:3: "));
    assert_null(strstr(conf.told, "muster.conf:4: "));
    assert_null(strstr(conf.told, "muster.conf:5: "));
    assert_int_equal(mu_agent_config_entry(conf.config, "a", 0, &e, &conf.err), MU_OK);
    assert_string_equal(e.settings.subject, "/CN=a # b");
    mu_agent_config_entry_clear(&e);
    conf_close(&conf);
}

/* ---- files ---- */

static void the_last_value_wins_over_all_files(void **state)
{
    struct mu_agent_config_entry e;
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "certs.d/20.conf", 0644, "[certificate \"a\"]\nrenew-days = 20\n");
    conf_write(&conf, "certs.d/10.conf", 0644, "[certificate \"a\"]\nrenew-days = 10\nsan = DNS:ten\n");
    conf_write(&conf, "certs.d/30.conf.bak", 0644, "[certificate \"a\"]\nrenew-days = 30\n");
    conf_write(&conf, "certs.d/.40.conf", 0644, "[certificate \"a\"]\nrenew-days = 40\n");
    assert_int_equal(conf_try(&conf,
                         "[certificate \"a\"]\nautomation = no\nrenew-days = 1\nrenew-days = 2\n[agent]\njitter = 5%\n"
                         "[certificate \"a\"]\nkey = rsa:2048\n"),
        MU_OK);
    assert_int_equal(mu_agent_config_entry(conf.config, "a", 0, &e, &conf.err), MU_OK);
    assert_string_equal(e.settings.renew_days, "20");
    assert_string_equal(e.settings.san, "DNS:ten");
    assert_string_equal(e.settings.key, "rsa:2048");
    assert_false(e.automation);
    mu_agent_config_entry_clear(&e);
    assert_int_equal(mu_agent_config_agent(conf.config)->jitter_percent, 5);
    conf_close(&conf);
}

static void an_empty_value_takes_away_what_is_below(void **state)
{
    struct mu_agent_config_entry e;
    struct conf conf;

    conf_with(&conf,
                         "[defaults]\ntemplate-name = tls\nautomation = no\nsuccess-script = true\n"
                         "[certificate \"a\"]\ntemplate-name =\nsuccess-script =\n");
    assert_int_equal(mu_agent_config_entry(conf.config, "a", 0, &e, &conf.err), MU_OK);
    assert_null(e.settings.template_name); /* R024: empty, no extension */
    assert_null(e.success_script);
    mu_agent_config_entry_clear(&e);
    conf_close(&conf);
}

static void a_file_that_is_named_must_be_there(void **state)
{
    struct conf conf;

    conf_open(&conf);
    assert_int_equal(conf_load(&conf), MU_NOT_FOUND);
    assert_non_null(strstr(conf.err.what, "muster.conf"));
    conf_close(&conf);
}

/* M701: a secret in a file that others read is refused; one in a file of one's own is advised against. */
static void secrets_in_files_that_others_read_are_refused(void **state)
{
    static const char literal[] = "[ca \"b\"]\nprotocol = scep\nurl = http://b/\nchallenge = opensesame\n";
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "muster.conf", 0644, literal);
    assert_int_equal(conf_load(&conf), MU_DENIED);
    assert_int_equal(conf.err.reason, 701);
    assert_null(strstr(conf.told, "opensesame"));
    conf_write(&conf, "muster.conf", 0600, literal);
    assert_int_equal(conf_load(&conf), MU_OK);
    assert_int_equal(conf.advices, 1);
    assert_non_null(strstr(conf.told, "muster.conf:4: challenge is in the file itself"));
    assert_null(strstr(conf.told, "opensesame"));
    conf_write(&conf, "muster.conf", 0644, "[ca \"b\"]\nprotocol = scep\nurl = http://b/\nchallenge = secret:b\n");
    assert_int_equal(conf_load(&conf), MU_OK);
    assert_int_equal(conf.advices, 0);
    conf_write(&conf, "muster.conf", 0666, "[agent]\n");
    assert_int_equal(conf_load(&conf), MU_DENIED);
    assert_non_null(strstr(conf.told, "may be written by everybody"));
    conf_close(&conf);
}

/* ---- what the values say ---- */

/* E119: where one CA fails the next of the list is asked, over another protocol too. */
static void a_list_of_cas_gives_routes(void **state)
{
    struct mu_agent_config_entry e;
    struct conf conf;

    conf_with(&conf,
                         "[ca \"a\"]\nprotocol = est\nurl = https://a/\nuser = eve\n"
                         "[ca \"b\"]\nprotocol = cmp\nurl = b.example:8080\nref = r\nsecret = secret:b\n"
                         "[certificate \"c\"]\nca = a, b\nsubject = /CN=c\n");
    assert_int_equal(mu_agent_config_entry(conf.config, "c", 0, &e, &conf.err), MU_OK);
    assert_int_equal(e.routes, 2);
    assert_string_equal(e.ca, "a");
    assert_string_equal(e.settings.protocol, "est");
    assert_null(e.secrets.secret);
    mu_agent_config_entry_clear(&e);
    assert_int_equal(mu_agent_config_entry(conf.config, "c", 1, &e, &conf.err), MU_OK);
    assert_string_equal(e.ca, "b");
    assert_string_equal(e.settings.protocol, "cmp");
    assert_string_equal(e.settings.url, "http://b.example:8080"); /* C012 */
    assert_null(e.settings.user);
    assert_string_equal(e.secrets.secret, "secret:b");
    assert_string_equal(e.settings.subject, "/CN=c");
    mu_agent_config_entry_clear(&e);
    conf_close(&conf);
}

static void policy_follows_agent_and_entry(void **state)
{
    struct mu_agent_config_entry e;
    struct mu_lifecycle_policy p;
    bool automation = false;
    struct conf conf;

    conf_with(&conf,
                         "[agent]\ncheck-interval = 10min\njitter = 7%\nmax-requests = 3/day\ntime-source = warn\n"
                         "trace-size = 1M\n"
                         "[ca \"b\"]\nprotocol = scep\nurl = http://b/\nrenew-window = 14d\n"
                         "[certificate \"c\"]\nca = b\nrenew-days = 25%\nwarn-days = 45, 14\nawait-result = 5\n"
                         "max-await-result = 1min\n[certificate \"d\"]\nca = b\nautomation = no\nwarn-days = 0\n");
    assert_int_equal(mu_agent_config_entry(conf.config, "c", 0, &e, &conf.err), MU_OK);
    assert_true(mu_agent_config_policy(conf.config, "c", &p, &automation));
    assert_memory_equal(&p, &e.policy, sizeof p);
    assert_true(automation);
    assert_int_equal(p.renew_days, -1);
    assert_int_equal(p.renew_percent, 25);
    assert_int_equal(p.warn_n, 2);
    assert_int_equal(p.warn_days[1], 14);
    assert_int_equal(p.check_interval_s, 600);
    assert_int_equal(p.jitter_percent, 7);
    assert_int_equal(p.max_requests, 3);
    assert_int_equal(p.clock, MU_LIFECYCLE_CLOCK_WARN);
    assert_int_equal(p.ca_window_s, 14 * 86400);
    assert_int_equal(p.await_s, 5);
    assert_int_equal(p.max_await_s, 60);
    mu_agent_config_entry_clear(&e);
    assert_true(mu_agent_config_policy(conf.config, "d", &p, &automation));
    assert_false(automation);
    assert_int_equal(p.warn_n, 0);
    assert_int_equal(p.renew_days, -1);
    assert_false(mu_agent_config_policy(conf.config, "e", &p, &automation));
    assert_int_equal(mu_agent_config_agent(conf.config)->trace_size, 1 << 20);
    conf_close(&conf);
}

/* A reload makes a new one; jobs keep the one they began with. */
static void a_configuration_is_counted(void **state)
{
    struct mu_agent_config *kept;
    struct conf conf;

    conf_with(&conf, text);
    kept = mu_agent_config_ref(conf.config);
    assert_int_equal(conf_try(&conf, "[agent]\n"), MU_OK);
    assert_true(mu_agent_config_has_entry(kept, "gw1"));
    assert_false(mu_agent_config_has_entry(conf.config, "gw1"));
    mu_agent_config_free(kept);
    assert_null(mu_agent_config_ref(NULL));
    conf_close(&conf);
}

/* Ten thousand certificates: no scan of all for each of them. */
static void ten_thousand_certificates_load_quickly(void **state)
{
    struct mu_buf all = {.max = 4 << 20};
    struct mu_lifecycle_policy p;
    struct conf conf;
    char name[32];
    clock_t begin;
    size_t n = 0;

    conf_open(&conf);
    mu_buf_put_str(&all, "[ca \"b\"]\nprotocol = scep\nurl = http://b/\n[template \"t\"]\nca = b\neku = clientAuth\n");
    for (int i = 0; i < 10000; i++)
        mu_buf_putf(&all, "\n[certificate \"gw-%05d\"]\ntemplate = t\nsubject = /O=Example/CN=gw-%05d\nrenew-days = 30\n",
            (i * 7919) % 10000, i);
    begin = clock();
    assert_int_equal(conf_try(&conf, mu_buf_str(&all)), MU_OK);
    while (mu_agent_config_entry_at(conf.config, n) != NULL)
        n++;
    assert_int_equal(n, 10000);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "gw-%05d", i);
        assert_true(mu_agent_config_policy(conf.config, name, &p, NULL));
    }
    assert_true(clock() - begin < 5 * CLOCKS_PER_SEC); /* with all checks compiled in, on a busy machine */
    mu_buf_clear(&all);
    conf_close(&conf);
}

static void bounds_are_kept(void **state)
{
    struct mu_buf all = {.max = 8 << 20};
    struct conf conf;

    conf_open(&conf);
    for (int i = 0; i < 41000; i++)
        mu_buf_putf(&all, "[template \"t%d\"]\n", i);
    assert_int_equal(conf_try(&conf, mu_buf_str(&all)), MU_MEMORY);
    assert_non_null(strstr(conf.err.what, "sections"));
    mu_buf_reset(&all);
    for (int i = 0; i < 5000; i++)
        mu_buf_putf(&all, "%01000d\n", 0);
    assert_int_not_equal(conf_try(&conf, mu_buf_str(&all)), MU_OK);
    mu_buf_reset(&all);
    mu_buf_put_str(&all, "[agent]\n");
    for (int i = 0; i < 1000; i++)
        mu_buf_put_str(&all, "wrong = 1\n");
    assert_int_equal(conf_try(&conf, mu_buf_str(&all)), MU_INPUT);
    assert_int_equal(conf.errors, 100);
    mu_buf_clear(&all);
    conf_close(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_takes_defaults_ca_template_and_itself),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(every_key_is_checked_when_it_is_read),
        cmocka_unit_test(unknown_words_name_the_nearest),
        cmocka_unit_test(several_errors_are_told_at_once),
        cmocka_unit_test(every_line_that_breaks_the_format_is_told),
        cmocka_unit_test(a_comment_behind_a_value_is_told),
        cmocka_unit_test(the_last_value_wins_over_all_files),
        cmocka_unit_test(an_empty_value_takes_away_what_is_below),
        cmocka_unit_test(a_file_that_is_named_must_be_there),
        cmocka_unit_test(secrets_in_files_that_others_read_are_refused),
        cmocka_unit_test(a_list_of_cas_gives_routes),
        cmocka_unit_test(policy_follows_agent_and_entry),
        cmocka_unit_test(a_configuration_is_counted),
        cmocka_unit_test(ten_thousand_certificates_load_quickly),
        cmocka_unit_test(bounds_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
