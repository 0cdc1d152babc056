/* Entries of the store and of the configuration as one list; their secrets; settings changed; a pair adopted. */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_entry.h"
#include "agent/agent_life.h"
#include "agent/agent_secret_where.h"

static void use(struct world *w, struct conf *conf, const char *text)
{
    if (conf_try(conf, text) != MU_OK)
        fail_msg("%s", conf->err.what);
    w->agent.config = conf->config;
}

static void put_name(void *cookie, const char *name)
{
    mu_buf_putf(cookie, "%s ", name);
}

static void put_state(void *cookie, const struct mu_agent_facts *facts)
{
    mu_buf_putf(cookie, "%s:%s ", facts->name, mu_agent_state_word(facts->state));
}

static void configured_and_stored_are_one_list(void **state)
{
    struct world *w = *state;
    struct mu_agent_config_entry e;
    struct mu_buf names = {0};
    struct mu_err err = {0};
    struct conf conf;

    conf_open(&conf);
    world_enroll(w, "middle", (struct mu_agent_enroll){.settings = &w->settings});
    use(w, &conf,
        "[ca \"b\"]\nprotocol = scep\nurl = http://b/\n[agent]\nserial-source = echo 1234567\n"
        "[certificate \"a\"]\nca = b\n[certificate \"middle\"]\nca = b\nrenew-days = 9\n"
        "[certificate \"z\"]\nca = b\nsubject = /O=SNCF/CN=router-SN\n");
    assert_int_equal(mu_agent_entry_each(&w->agent, put_name, &names, &err), MU_OK);
    assert_string_equal(mu_buf_str(&names), "a middle z ");
    mu_buf_reset(&names);
    assert_int_equal(mu_agent_list(&w->agent, put_state, &names, &err), MU_OK);
    assert_string_equal(mu_buf_str(&names), "a:NEW middle:OK z:NEW ");
    assert_int_equal(mu_agent_entry_load(&w->agent, "a", 0, &e, &err), MU_OK);
    assert_string_equal(e.settings.subject, "/CN=a");
    mu_agent_config_entry_clear(&e);
    assert_int_equal(mu_agent_entry_load(&w->agent, "z", 0, &e, &err), MU_OK); /* R020 */
    assert_string_equal(e.settings.subject, "/O=SNCF/CN=router-1234567");
    mu_agent_config_entry_clear(&e);
    assert_int_equal(mu_agent_entry_load(&w->agent, "middle", 0, &e, &err), MU_OK);
    assert_int_equal(e.policy.renew_days, 9); /* the configuration speaks */
    mu_agent_config_entry_clear(&e);
    w->agent.config = NULL;
    assert_int_equal(mu_agent_entry_load(&w->agent, "middle", 0, &e, &err), MU_OK);
    assert_int_equal(e.policy.renew_days, -1);
    assert_string_equal(e.settings.url, w->settings.url);
    mu_agent_config_entry_clear(&e);
    assert_int_equal(mu_agent_entry_load(&w->agent, "middle", 1, &e, &err), MU_NOT_FOUND);
    assert_int_equal(mu_agent_entry_load(&w->agent, "a", 0, &e, &err), MU_NOT_FOUND);
    mu_buf_clear(&names);
    conf_close(&conf);
}

/* A certificate of the configuration is enrolled and renewed with nothing but its name. */
static void a_configured_entry_needs_only_its_name(void **state)
{
    struct world *w = *state;
    const struct mu_agent_enroll request = {.name = "web"};
    char text[400];
    struct mu_agent_job *job = NULL;
    struct mu_pki_cert *cert;
    struct mu_err err = {0};
    struct conf conf;

    conf_open(&conf);
    snprintf(text, sizeof text,
        "[ca \"b\"]\nprotocol = scep\nurl = %s\n[certificate \"web\"]\nca = b\nsubject = /O=Example/CN=web\n"
        "san = DNS:web.example\n",
        w->settings.url);
    use(w, &conf, text);
    w->dones = 0;
    w->err = (struct mu_err){0};
    if (mu_agent_enroll(&w->agent, &request, &w->host, &job, &err) != MU_OK)
        fail_msg("%s", err.what);
    mu_fake_loop_run_until_idle(w->loop);
    world_expect(w, MU_AGENT_ISSUED);
    cert = world_latest(w, "web");
    assert_true(cert->exts.san.n > 0);
    mu_pki_cert_free(cert);
    world_renew(w, "web", (struct mu_agent_renew){.force = true});
    world_expect(w, MU_AGENT_ISSUED);
    w->agent.config = NULL;
    conf_close(&conf);
}

static enum mu_code read_secret(struct world *w, const char *where, char out[64], struct mu_err *err)
{
    struct mu_secret secret = {0};
    enum mu_code rc = mu_agent_secret_where_read(w->kit->store, "challenge", where, &secret, err);

    snprintf(out, 64, "%.*s", (int)secret.n, secret.p != NULL ? (const char *)secret.p : "");
    mu_secret_clear(&secret);
    return rc;
}

static void secrets_come_from_where_they_are_kept(void **state)
{
    struct world *w = *state;
    struct mu_agent_secret_where held = {.agent = &w->agent};
    struct mu_agent_config_secrets where = {.challenge = "literal", .password = "secret:fleet"};
    struct mu_agent_enroll request = {0};
    struct mu_err err = {0};
    char got[64], path[200];
    struct conf conf;

    conf_open(&conf);
    conf_write(&conf, "closed", 0600, "from-file\nsecond line\n");
    conf_write(&conf, "open", 0644, "from-file\n");
    snprintf(path, sizeof path, "file:%s/closed", conf.dir);
    assert_int_equal(read_secret(w, path, got, &err), MU_OK);
    assert_string_equal(got, "from-file");
    snprintf(path, sizeof path, "file:%s/open", conf.dir); /* M701 */
    assert_int_equal(read_secret(w, path, got, &err), MU_DENIED);
    assert_int_equal(err.reason, 701);
    assert_int_equal(read_secret(w, "credential:open", got, &err), MU_INPUT);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", conf.dir, 1), 0);
    assert_int_equal(read_secret(w, "credential:open", got, &err), MU_OK); /* that directory is ours alone */
    assert_string_equal(got, "from-file");
    assert_int_equal(read_secret(w, "credential:../etc/passwd", got, &err), MU_INPUT);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(read_secret(w, "secret:fleet", got, &err), MU_INPUT);
    assert_non_null(strstr(err.next, "muster secret set fleet challenge"));
    assert_int_equal(mu_keystore_put(w->kit->store, MU_KEYSTORE_SECRETS, "fleet", "password",
                         mu_bytes_str("kept"), &err),
        MU_OK);
    assert_int_equal(mu_agent_secret_where_take(&held, &where, &request, &err), MU_OK);
    assert_memory_equal(request.challenge->p, "literal", 7);
    assert_memory_equal(request.password->p, "kept", 4);
    assert_null(request.secret);
    where.srp_password = "secret:none";
    assert_int_equal(mu_agent_secret_where_take(&held, &where, &request, &err), MU_INPUT);
    assert_non_null(strstr(err.what, "srp-password"));
    mu_agent_secret_where_clear(&held);
    conf_close(&conf);
}

/* 'muster config set branch-gw renew-days 7': our own errors tell people this line. */
static void a_setting_is_changed_where_it_is_kept(void **state)
{
    struct world *w = *state;
    struct mu_agent_settings kept = {0};
    struct mu_buf file = {0};
    struct mu_err err = {0};
    struct conf conf;

    conf_open(&conf);
    world_enroll(w, "branch-gw", (struct mu_agent_enroll){.settings = &w->settings});
    assert_int_equal(
        mu_agent_entry_set(&w->agent, conf.main, "branch-gw", "renew-days", "7", &file, &err), MU_OK);
    assert_non_null(strstr(mu_buf_str(&file), "/state/branch-gw.conf"));
    assert_int_equal(mu_agent_settings_load(w->kit->store, "branch-gw", &kept, &err), MU_OK);
    assert_string_equal(kept.renew_days, "7");
    mu_agent_settings_clear(&kept);
    assert_int_equal(
        mu_agent_entry_set(&w->agent, conf.main, "branch-gw", "renew-days", "7x", &file, &err), MU_INPUT);
    assert_int_equal(mu_err_exit_code(&err), 4);
    assert_int_equal(
        mu_agent_entry_set(&w->agent, conf.main, "branch-gw", "challenge", "opensesame", &file, &err), MU_INPUT);
    assert_null(strstr(err.what, "opensesame"));
    assert_non_null(strstr(err.next, "muster secret set branch-gw challenge"));
    use(w, &conf, "[ca \"b\"]\nprotocol = est\nurl = https://b/\nuser = eve\npassword = opensesame\n");
    assert_int_equal(mu_agent_entry_set(&w->agent, conf.main, "branch-gw", "ca", "b", &file, &err), MU_OK);
    assert_int_equal(mu_agent_settings_load(w->kit->store, "branch-gw", &kept, &err), MU_OK);
    assert_string_equal(kept.url, "https://b/");
    assert_string_equal(kept.user, "eve");
    assert_string_equal(kept.renew_days, "7");
    assert_true(mu_keystore_has(w->kit->store, MU_KEYSTORE_SECRETS, "branch-gw", "password"));
    mu_agent_settings_clear(&kept);
    assert_int_equal(mu_agent_entry_set(&w->agent, conf.main, "branch-gw", "ca", "c", &file, &err), MU_INPUT);
    use(w, &conf, "[ca \"b\"]\nprotocol = scep\nurl = http://b/\n[certificate \"branch-gw\"]\nca = b\n");
    mu_buf_reset(&file);
    assert_int_equal(
        mu_agent_entry_set(&w->agent, conf.main, "branch-gw", "renew-days", "8", &file, &err), MU_OK);
    assert_non_null(strstr(mu_buf_str(&file), "/certs.d/branch-gw.conf"));
    assert_int_equal(mu_agent_entry_set(&w->agent, conf.main, "brnch", "renew-days", "8", &file, &err), MU_NOT_FOUND);
    assert_int_equal(mu_agent_entry_set(&w->agent, conf.main, "fresh", "ca", "b", &file, &err), MU_OK);
    assert_int_equal(conf_load(&conf), MU_OK);
    assert_true(mu_agent_config_has_entry(conf.config, "fresh"));
    w->agent.config = NULL;
    mu_buf_clear(&file);
    conf_close(&conf);
}

/* ---- adoption ---- */

static void write_pair(struct conf *conf, struct kit_pair *pair, struct mu_pki_certs *certs, char key[200])
{
    struct mu_err err = {0};

    kit_pair_make(pair, "old.example", 0x42);
    conf_write(conf, "own.key", 0600, mu_buf_str(&pair->key_pem));
    snprintf(key, 200, "%s/own.key", conf->dir);
    assert_int_equal(mu_pki_certs_add(certs, pair->cert, &err), MU_OK);
}

/* S-adopt: an existing pair becomes an entry: no request goes out, and its lifetime is known. */
static void a_pair_that_exists_becomes_an_entry(void **state)
{
    struct world *w = *state;
    struct mu_agent_adopt adopt = {.name = "old"};
    struct mu_keystore_saved saved = {0};
    struct mu_agent_facts facts = {0};
    struct mu_lifecycle life = {0};
    struct mu_pki_certs certs = {0};
    struct kit_pair pair = {0}, other = {0};
    struct mu_err err = {0};
    struct conf conf;
    char key[200];

    conf_open(&conf);
    write_pair(&conf, &pair, &certs, key);
    adopt.key_file = key;
    adopt.certs = &certs;
    assert_int_equal(mu_agent_adopt(&w->agent, &adopt, &saved, &err), MU_OK);
    assert_int_equal(mu_agent_show(&w->agent, "old", &facts, &err), MU_OK);
    assert_string_equal(facts.serial, saved.stem);
    assert_int_equal(facts.not_after_s, pair.cert->not_after_s);
    assert_false(facts.is_pending);
    mu_agent_facts_clear(&facts);
    assert_int_equal(mu_agent_life_load(w->kit->store, "old", &life, &err), MU_OK);
    assert_int_equal(life.not_after_s, pair.cert->not_after_s);
    assert_int_equal(life.state, MU_LIFECYCLE_INSTALLED);
    assert_int_equal(mu_agent_adopt(&w->agent, &adopt, &saved, &err), MU_OK); /* again: the same */
    kit_pair_make(&other, "other.example", 0x43);
    conf_write(&conf, "own.key", 0600, mu_buf_str(&other.key_pem));
    assert_int_equal(mu_agent_adopt(&w->agent, &adopt, &saved, &err), MU_AUTH);
    assert_int_equal(err.reason, 214);
    mu_pki_certs_clear(&certs);
    kit_pair_clear(&pair);
    kit_pair_clear(&other);
    conf_close(&conf);
}

/* What renews it may be said at once, or stand in the configuration. */
static void an_adopted_pair_keeps_what_renews_it(void **state)
{
    struct world *w = *state;
    struct mu_agent_adopt adopt = {.name = "old", .settings = &w->settings};
    struct mu_keystore_saved saved = {0};
    struct mu_agent_settings kept = {0};
    struct mu_pki_certs certs = {0};
    struct kit_pair pair = {0};
    struct mu_err err = {0};
    struct conf conf;
    char key[200];

    conf_open(&conf);
    write_pair(&conf, &pair, &certs, key);
    adopt.key_file = key;
    adopt.certs = &certs;
    assert_int_equal(mu_agent_settings_set(&w->settings, "key-file", key, &err), MU_OK);
    assert_int_equal(mu_agent_adopt(&w->agent, &adopt, &saved, &err), MU_OK);
    assert_int_equal(mu_agent_settings_load(w->kit->store, "old", &kept, &err), MU_OK);
    assert_string_equal(kept.url, w->settings.url);
    assert_null(kept.key_file);
    mu_agent_settings_clear(&kept);
    mu_pki_certs_clear(&certs);
    kit_pair_clear(&pair);
    conf_close(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(configured_and_stored_are_one_list, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_configured_entry_needs_only_its_name, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(secrets_come_from_where_they_are_kept, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_setting_is_changed_where_it_is_kept, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_pair_that_exists_becomes_an_entry, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(an_adopted_pair_keeps_what_renews_it, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
