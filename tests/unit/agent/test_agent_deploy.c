/* Deployment: order, environment, what is not done twice, failures and their scripts (PRODUCT "Hooks"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "world.h"

#include "agent/agent_deploy.h"
#include "agent/agent_hook.h"
#include "agent/agent_verify.h"
#include "base/text.h"

static char dir[64], hooks[96], recipes[96];
static struct mu_buf ran;      /* "nginx;success;" */
static struct mu_buf last_env; /* a line each, of the last child */
static struct mu_buf parts;    /* "recipe nginx ok\n" */
static const char *failing;    /* program whose name has this in it fails */
static int failing_exit;
static const char *says; /* its output then */
static int64_t takes_ms;
static bool done, ok, stale, nothing, vetoed;
static struct mu_err failed;

static void put_script(const char *path, unsigned mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs("#!/bin/sh\n", f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void make(const char *where, const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", where, name);
    put_script(path, 0755);
}

static void script(void *cookie, const struct mu_loop_spawn *what, struct mu_fake_loop_end *end)
{
    const char *name = strrchr(what->argv[0], '/') + 1;
    const char *const *e;

    (void)cookie;
    if (strcmp(name, "sh") == 0)
        name = what->argv[2];
    mu_buf_putf(&ran, "%s", name);
    for (size_t i = 1; strcmp(what->argv[0], "/bin/sh") != 0 && what->argv[i] != NULL; i++)
        mu_buf_putf(&ran, " %s", what->argv[i]);
    mu_buf_put_str(&ran, ";");
    assert_string_equal(what->cwd, "/");
    mu_buf_reset(&last_env);
    for (e = what->env; *e != NULL; e++)
        mu_buf_putf(&last_env, "%s\n", *e);
    end->after_ms = takes_ms;
    if (failing != NULL && strstr(name, failing) != NULL) {
        end->exit_code = failing_exit;
        end->output = says;
    }
}

static int setup(void **state)
{
    struct world *w;
    char path[200];

    if (world_setup(state) != 0)
        return -1;
    w = *state;
    snprintf(dir, sizeof dir, "/tmp/muster-deploy-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(hooks, sizeof hooks, "%s/hooks.d", dir);
    snprintf(recipes, sizeof recipes, "%s/recipes", dir);
    mkdir(hooks, 0755);
    mkdir(recipes, 0755);
    for (size_t i = 0; i < 4; i++) {
        static const char *const phases[] = {"pre", "deploy", "post", "failed"};

        snprintf(path, sizeof path, "%s/%s", hooks, phases[i]);
        mkdir(path, 0755);
    }
    make(recipes, "nginx");
    make(recipes, "copy");
    w->agent.hooks_dir = hooks;
    w->agent.recipes_dir = recipes;
    mu_fake_loop_on_spawn(w->loop, script, NULL);
    mu_buf_init(&ran, 1 << 16);
    mu_buf_init(&last_env, 1 << 16);
    mu_buf_init(&parts, 1 << 16);
    failing = NULL;
    says = "starting\nno such file";
    takes_ms = 0;
    world_enroll(w, "web", (struct mu_agent_enroll){.settings = &w->settings});
    world_expect(w, MU_AGENT_ISSUED);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    mu_buf_clear(&ran);
    mu_buf_clear(&last_env);
    mu_buf_clear(&parts);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    (void)!system(command);
    return world_teardown(state);
}

static void on_part(void *ctx, const struct mu_agent_deploy_part *part)
{
    (void)ctx;
    mu_buf_putf(&parts, "%s %s", part->what, part->ok ? "ok" : "failed");
    if (part->code != MU_REASON_NONE)
        mu_buf_putf(&parts, " M%d", (int)part->code);
    mu_buf_put_str(&parts, "\n");
}

static void on_done(void *ctx, const struct mu_agent_deploy_outcome *outcome, const struct mu_err *err)
{
    (void)ctx;
    done = true;
    ok = outcome->ok;
    stale = outcome->is_stale;
    vetoed = outcome->is_vetoed;
    nothing = outcome->nothing;
    failed = err != NULL ? *err : (struct mu_err){.code = MU_OK};
}

static void run(struct world *w, struct mu_agent_deploy_request request)
{
    static const struct mu_agent_config_agent config = {.hook_timeout_s = 60};
    const struct mu_agent_deploy_host host = {.on_part = on_part, .on_done = on_done};
    struct mu_agent_deploy *d;

    request.name = "web";
    request.agent = &config;
    mu_buf_reset(&ran);
    mu_buf_reset(&parts);
    done = false;
    failed = (struct mu_err){.code = MU_OK};
    if (mu_agent_deploy_start(&w->agent, &request, &host, &d, &failed) != MU_OK)
        return;
    mu_fake_loop_run_until_idle(w->loop);
    assert_true(done);
}

static bool env_has(const char *line)
{
    char with_ends[800];

    snprintf(with_ends, sizeof with_ends, "\n%s\n", line);
    return strstr(mu_buf_str(&last_env), with_ends) != NULL;
}

static void parts_run_in_their_order(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.deploy = "nginx key-mode=0640, copy",
        .success_script = "/etc/init.d/x restart",
        .failure_script = "oh no"};
    char path[200];

    snprintf(path, sizeof path, "%s/deploy", hooks);
    make(path, "20-b");
    make(path, "10-a");
    make(path, "30-c.bak"); /* what an editor left */
    snprintf(path, sizeof path, "%s/post", hooks);
    make(path, "tell");
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_ENROLLED});
    assert_true(ok);
    assert_string_equal(mu_buf_str(&ran), "nginx key-mode=0640;copy;/etc/init.d/x restart;10-a;20-b;tell;");
}

static void the_environment_is_the_documented_one(void **state)
{
    struct world *w = *state;
    struct mu_agent_config_entry plan = {.success_script = "x", .ca = "corp", .key_group = "ssl-cert"};
    struct mu_keystore_entry entry;
    char line[700], proto[] = "scep";

    plan.settings.protocol = proto;
    assert_int_equal(mu_keystore_load(w->agent.store, "web", &entry, NULL), MU_OK);
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_ENROLLED, .transaction = "2B9E"});
    assert_true(mu_text_starts(mu_buf_str(&last_env),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"));
    assert_true(env_has("MUSTER_EVENT=enrolled"));
    assert_true(env_has("MUSTER_NAME=web"));
    assert_true(env_has("MUSTER_CA=corp"));
    assert_true(env_has("MUSTER_PROTOCOL=scep"));
    assert_true(env_has("MUSTER_KEY_GROUP=ssl-cert"));
    assert_true(env_has("MUSTER_KEY_CHANGED=1"));
    assert_true(env_has("MUSTER_TRANSACTION=2B9E"));
    snprintf(line, sizeof line, "MUSTER_CERT=%s", entry.cert_file); /* by serial, not latest */
    assert_true(env_has(line));
    assert_null(strstr(mu_buf_str(&last_env), "latest"));
    snprintf(line, sizeof line, "MUSTER_SERIAL=%s", entry.stem);
    assert_true(env_has(line));
    assert_non_null(strstr(mu_buf_str(&last_env), "/ca.crt-0"));
    assert_null(strstr(mu_buf_str(&last_env), "MUSTER_OLD_SERIAL"));
    assert_null(strstr(mu_buf_str(&last_env), "MUSTER_ERROR"));
    assert_null(strstr(mu_buf_str(&last_env), "BEGIN"));
    mu_keystore_entry_clear(&entry);
}

static void what_worked_for_this_serial_does_not_run_twice(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.deploy = "nginx, copy", .success_script = "act"};
    struct mu_pki_cert *first = world_latest(w, "web");
    struct mu_buf serial = {.max = 100}, line = {.max = 200};

    failing = "copy";
    failing_exit = 3;
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_false(ok);
    assert_string_equal(mu_buf_str(&ran), "nginx;copy;");
    assert_int_equal(failed.reason, MU_M(901));
    assert_string_equal(failed.what, "recipe copy ended with 3: \"no such file\"");
    failing = NULL;
    run(w, (struct mu_agent_deploy_request){.plan = &plan}); /* as after a restart: only from the record */
    assert_string_equal(mu_buf_str(&ran), "copy;act;");
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_string_equal(mu_buf_str(&ran), "");
    assert_true(ok);
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .again = true});
    assert_string_equal(mu_buf_str(&ran), "nginx;copy;act;");
    world_renew(w, "web", (struct mu_agent_renew){.force = true});
    world_expect(w, MU_AGENT_ISSUED);
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_string_equal(mu_buf_str(&ran), "nginx;copy;act;");
    mu_pki_cert_serial_hex(first->serial, &serial);
    mu_buf_putf(&line, "MUSTER_OLD_SERIAL=%s", mu_buf_str(&serial));
    assert_true(env_has(mu_buf_str(&line)));
    mu_pki_cert_free(first);
    mu_buf_clear(&serial);
    mu_buf_clear(&line);
}

/* What was there before is found in the store where no deployment has written it down. */
static void the_first_deployment_of_a_renewed_one_tells_the_old_serial(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.success_script = "act"};
    char first[MU_KEYSTORE_STEM], second[MU_KEYSTORE_STEM], line[MU_KEYSTORE_STEM + 40];

    assert_true(mu_keystore_current(w->agent.store, "web", first));
    mu_fake_loop_run_for(w->loop, 60 * 1000);
    world_renew(w, "web", (struct mu_agent_renew){.force = true});
    assert_true(mu_keystore_current(w->agent.store, "web", second));
    mu_fake_loop_run_for(w->loop, 60 * 1000);
    world_renew(w, "web", (struct mu_agent_renew){.force = true});
    world_expect(w, MU_AGENT_ISSUED);
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_string_not_equal(first, second);
    snprintf(line, sizeof line, "MUSTER_OLD_SERIAL=%s", second);
    assert_true(env_has(line));
}

/* Of a CA that came to those trusted hears hooks.d/post, and nobody else; nothing counts as deployed by that. */
static void a_changed_ca_is_told_to_post_alone(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.deploy = "nginx", .success_script = "act", .failure_script = "oh no"};
    char path[200];

    assert_false(mu_agent_deploy_has_post(&w->agent));
    snprintf(path, sizeof path, "%s/post", hooks);
    make(path, "tell");
    assert_true(mu_agent_deploy_has_post(&w->agent));
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_CA_CHANGED});
    assert_string_equal(mu_buf_str(&ran), "tell;");
    assert_true(env_has("MUSTER_EVENT=ca-changed"));
    assert_false(kit_has(w->kit, "state/web.deploy"));
    failing = "tell";
    failing_exit = 1;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_CA_CHANGED});
    assert_false(ok);
    assert_string_equal(mu_buf_str(&ran), "tell;");
    failing = NULL;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_ENROLLED});
    assert_string_equal(mu_buf_str(&ran), "nginx;act;tell;");
}

static void a_failure_runs_the_failure_script(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan
        = {.deploy = "nginx", .success_script = "act", .failure_script = "mail-it"};
    struct mu_err why = {.code = MU_OK};

    failing = "act";
    failing_exit = 1;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .attempt = 3, .next_try_s = 1732193531});
    assert_string_equal(mu_buf_str(&ran), "nginx;act;mail-it;");
    assert_string_equal(mu_buf_str(&parts), "recipe nginx ok\nsuccess-script failed M901\nfailure-script ok\n");
    assert_true(env_has("MUSTER_EVENT=failed"));
    assert_true(env_has("MUSTER_ERROR_CODE=M901"));
    assert_true(env_has("MUSTER_ERROR_TEXT=success-script ended with 1: \"no such file\""));
    assert_true(env_has("MUSTER_ATTEMPT=3"));
    assert_true(env_has("MUSTER_NEXT_TRY=2024-11-21T12:52:11Z"));
    /* of an enrollment: nothing else runs */
    mu_err_set(&why, MU_DENIED, MU_M(312), "the CA refused\nwith two lines");
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_FAILED, .failed = &why});
    assert_string_equal(mu_buf_str(&ran), "mail-it;");
    assert_true(env_has("MUSTER_ERROR_CODE=M312"));
    assert_non_null(strstr(mu_buf_str(&last_env), "MUSTER_ERROR_TEXT=the CA refused"));
    assert_null(strstr(mu_buf_str(&last_env), "\nwith two lines")); /* one variable stays one line */
}

static void one_that_does_not_end_is_M904(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.success_script = "hangs"};

    takes_ms = 61000;
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_int_equal(failed.reason, MU_M(904));
    assert_non_null(strstr(failed.what, "success-script did not end in "));
}

static struct mu_bytes presented;
static unsigned looks;
static struct mu_bytes old_presented;

static struct mu_bytes presents(void *cookie, const char *host, unsigned port)
{
    (void)cookie;
    assert_string_equal(host, "localhost");
    assert_int_equal(port, 443);
    looks++;
    return looks > 2 || old_presented.n == 0 ? presented : old_presented;
}

static void renewed_counts_when_the_service_shows_it(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan
        = {.deploy = "nginx", .success_script = "act", .verify = "tls:localhost:443 sni=www.example.org"};
    struct mu_pki_cert *old = world_latest(w, "web"), *now;
    struct mu_buf serial = {.max = 100};

    mu_fake_transport_presents(w->transport, presents, NULL);
    world_renew(w, "web", (struct mu_agent_renew){.force = true});
    now = world_latest(w, "web");
    looks = 0; /* the reload takes two looks */
    presented = now->der;
    old_presented = old->der;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_true(ok);
    assert_int_equal(looks, 3);
    /* it never shows it */
    looks = 0;
    presented = old->der;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .again = true});
    assert_false(ok);
    assert_true(stale);
    assert_int_equal(failed.reason, MU_M(902));
    mu_pki_cert_serial_hex(old->serial, &serial);
    assert_non_null(strstr(failed.what, "localhost:443 still presents "));
    assert_non_null(strstr(failed.what, mu_buf_str(&serial)));
    /* tried again: the recipe tells the service once more, the script does not run twice */
    presented = now->der;
    old_presented.n = 0;
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_true(ok);
    assert_string_equal(mu_buf_str(&ran), "nginx;");
    /* only looking */
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .verify_only = true});
    assert_string_equal(mu_buf_str(&ran), "");
    assert_true(ok);
    mu_pki_cert_free(old);
    mu_pki_cert_free(now);
    mu_buf_clear(&serial);
}

static void a_test_changes_nothing(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan
        = {.deploy = "nginx", .verify = "tls:localhost:443", .failure_script = "oh"};
    const struct mu_err why = {.code = MU_DENIED, .reason = MU_M(312), .what = "test"};

    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_TEST, .again = true});
    assert_string_equal(mu_buf_str(&ran), "nginx;");
    assert_true(env_has("MUSTER_EVENT=test"));
    assert_false(mu_keystore_has(w->agent.store, MU_KEYSTORE_STATE, "web", "deploy"));
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_TEST, .failed = &why});
    assert_string_equal(mu_buf_str(&ran), "oh;");
    assert_true(env_has("MUSTER_EVENT=test"));
}

static void a_service_that_restarts_is_said_to(void **state)
{
    struct world *w = *state;
    struct mu_agent_config_entry plan = {.deploy = "radius"};

    make(recipes, "radius");
    failing = "radius";
    failing_exit = 0;
    says = "testing\nM905: freeradius does not re-read certificates on reload: restarted";
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_true(ok);
    assert_string_equal(mu_buf_str(&parts), "recipe radius ok M905\n");
}

static void recipes_are_names_and_hooks_are_ours(void **state)
{
    struct world *w = *state;
    struct mu_agent_config_entry plan = {.deploy = "../../bin/sh"};
    char path[300];

    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_int_equal(failed.reason, MU_M(901));
    plan.deploy = "ngnix";
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_non_null(strstr(failed.what, "no recipe \"ngnix\""));
    assert_non_null(strstr(failed.next, "copy, nginx"));
    plan.deploy = "nginx";
    snprintf(path, sizeof path, "%s/nginx", recipes);
    assert_int_equal(chmod(path, 0777), 0);
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_non_null(strstr(failed.what, "others may write it"));
    assert_int_equal(chmod(path, 0644), 0);
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_non_null(strstr(failed.what, "it is not executable"));
    unlink(path);
    assert_int_equal(symlink("/bin/sh", path), 0);
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_non_null(strstr(failed.what, "it is no regular file"));
}

static void another_process_at_work_is_told(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.deploy = "nginx"};
    struct mu_keystore_lock *lock;

    assert_int_equal(mu_keystore_lock(w->agent.store, "web", &lock, NULL), MU_OK);
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_int_equal(failed.reason, MU_M(707));
    mu_keystore_unlock(lock);
}

/* ---- hooks.d/pre ---- */

static void make_pre(const char *name)
{
    char path[200];

    snprintf(path, sizeof path, "%s/pre", hooks);
    make(path, name);
}

static void current(struct world *w, char stem[MU_KEYSTORE_STEM])
{
    assert_true(mu_keystore_current(w->agent.store, "web", stem));
}

/* Renewed while a script of pre wants to be asked: saved, on disk, not switched to. */
static void renew_held(struct world *w, char old[MU_KEYSTORE_STEM], char new[MU_KEYSTORE_STEM])
{
    char now[MU_KEYSTORE_STEM];

    w->agent.deploys = true;
    current(w, old);
    world_renew(w, "web", (struct mu_agent_renew){.regenerate = true, .rekey = true});
    world_expect(w, MU_AGENT_ISSUED);
    current(w, now);
    assert_string_equal(now, old);
    assert_true(mu_agent_deploy_held(&w->agent, "web", new));
    assert_string_not_equal(old, new);
}

static void pre_comes_before_the_switch(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.success_script = "x"};
    char old[MU_KEYSTORE_STEM], new[MU_KEYSTORE_STEM], now[MU_KEYSTORE_STEM], line[300];

    make_pre("10-look");
    renew_held(w, old, new);
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_true(ok);
    assert_string_equal(mu_buf_str(&ran), "10-look;x;");
    snprintf(line, sizeof line, "MUSTER_SERIAL=%s", new);
    assert_true(env_has(line));
    snprintf(line, sizeof line, "MUSTER_OLD_SERIAL=%s", old);
    assert_true(env_has(line));
    assert_true(env_has("MUSTER_KEY_CHANGED=1"));
    current(w, now);
    assert_string_equal(now, new);
    assert_false(mu_agent_deploy_held(&w->agent, "web", NULL));
}

/* The pair stays saved, the present one in use, and nobody is asked again but by hand. */
static void pre_may_veto(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.success_script = "x", .failure_script = "alarm"};
    char old[MU_KEYSTORE_STEM], new[MU_KEYSTORE_STEM], now[MU_KEYSTORE_STEM];

    make_pre("10-look");
    renew_held(w, old, new);
    failing = "10-look";
    failing_exit = 1;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_false(ok);
    assert_true(vetoed);
    assert_int_equal(failed.reason, MU_M(901));
    assert_string_equal(mu_buf_str(&ran), "10-look;alarm;");
    assert_true(env_has("MUSTER_EVENT=failed"));
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED}); /* a retry */
    assert_true(vetoed);
    assert_string_equal(mu_buf_str(&ran), "");
    current(w, now);
    assert_string_equal(now, old);
    assert_true(mu_agent_deploy_held(&w->agent, "web", NULL));
    /* nor is another asked for meanwhile */
    world_renew(w, "web", (struct mu_agent_renew){.no_wait = true});
    world_expect(w, MU_AGENT_NOTHING);
    failing = NULL;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED, .again = true});
    assert_true(ok);
    current(w, now);
    assert_string_equal(now, new);
}

/* 75, a time limit or a signal is no veto: asked again at the next try. */
static void pre_may_ask_to_wait(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.success_script = "x"};
    char old[MU_KEYSTORE_STEM], new[MU_KEYSTORE_STEM], now[MU_KEYSTORE_STEM];

    make_pre("10-look");
    renew_held(w, old, new);
    failing = "10-look";
    failing_exit = 75;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_true(vetoed);
    assert_int_equal(failed.code, MU_BUSY);
    takes_ms = 70000;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_int_equal(failed.reason, MU_M(904));
    takes_ms = 0;
    failing = NULL;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_true(ok);
    assert_string_equal(mu_buf_str(&ran), "10-look;x;");
    current(w, now);
    assert_string_equal(now, new);
}

/* Who cannot be asked has not agreed. */
static void a_pre_that_must_not_be_run_stops_the_switch(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.success_script = "x"};
    char old[MU_KEYSTORE_STEM], new[MU_KEYSTORE_STEM], path[300], other[300];

    make_pre("10-look");
    renew_held(w, old, new);
    snprintf(path, sizeof path, "%s/pre/10-look", hooks);
    chmod(path, 0777);
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_int_equal(failed.reason, MU_M(901));
    assert_non_null(strstr(failed.what, "others may write it"));
    snprintf(other, sizeof other, "%s/elsewhere", dir);
    put_script(other, 0755);
    unlink(path);
    assert_int_equal(symlink(other, path), 0); /* a link is not followed */
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_non_null(strstr(failed.what, "no regular file"));
    unlink(path);
    snprintf(path, sizeof path, "%s/pre", hooks);
    chmod(path, 0777);
    run(w, (struct mu_agent_deploy_request){.plan = &plan});
    assert_non_null(strstr(failed.what, "others may write it"));
    assert_string_equal(mu_buf_str(&ran), "");
    assert_true(mu_agent_deploy_held(&w->agent, "web", NULL));
}

/* What one service does not take is not kept from another; what builds on all does not run. */
static void recipes_stand_alone(void **state)
{
    struct world *w = *state;
    const struct mu_agent_config_entry plan = {.deploy = "nginx, copy", .success_script = "x"};

    failing = "nginx";
    failing_exit = 2;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_false(ok);
    assert_string_equal(mu_buf_str(&ran), "nginx;copy;");
    failing = NULL;
    run(w, (struct mu_agent_deploy_request){.plan = &plan, .event = MU_AGENT_HOOK_RENEWED});
    assert_true(ok);
    assert_string_equal(mu_buf_str(&ran), "nginx;x;");
}

static void take_line(void *cookie, const char *line)
{
    mu_buf_putf(cookie, "%s\n", line);
}

static void output_is_fit_for_a_log(void **state)
{
    static const char text[] = "one\n\ntwo \x1b[31m\n-----BEGIN PRIVATE KEY-----\nMIIsecret\n-----END PRIVATE KEY-----\n"
                               "three\n-----BEGIN EC PRIVATE KEY-----\nMIIcut";
    struct mu_buf out = {.max = 4096};

    (void)state;
    mu_agent_hook_lines(mu_bytes(text, sizeof text - 1), take_line, &out);
    assert_string_equal(mu_buf_str(&out), "one\ntwo \\x1b[31m\n*\n*\nthree\n*\n");
    mu_buf_clear(&out);
}

static void words_of_verify(void **state)
{
    struct mu_agent_verify_spec s;

    (void)state;
    assert_int_equal(mu_agent_verify_parse(mu_bytes_str("tls:localhost:443 sni=www.example.org"), &s, NULL), MU_OK);
    assert_string_equal(s.host, "localhost");
    assert_int_equal(s.port, 443);
    assert_string_equal(s.sni, "www.example.org");
    assert_int_equal(mu_agent_verify_parse(mu_bytes_str(" tls:[::1]:25  starttls=smtp "), &s, NULL), MU_OK);
    assert_string_equal(s.host, "::1");
    assert_string_equal(s.starttls, "smtp");
    assert_int_equal(mu_agent_verify_parse(mu_bytes_str("file:/etc/nginx/muster/web.crt "), &s, NULL), MU_OK);
    assert_string_equal(s.file, "/etc/nginx/muster/web.crt");
    static const char *const wrong[] = {"", "tls:", "tls:host", "tls:host:0", "tls:host:65536", "tls::443",
        "http:host:80", "tls:h:1 sni=", "tls:h:1 starttls=x", "tls:h:1 tls:i:2", "file:relative"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(mu_agent_verify_parse(mu_bytes_str(wrong[i]), &s, NULL), MU_INPUT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* M903 of scep_replace_pem in a script, whose last line is another. */
static void what_our_programs_said_is_found(void **state)
{
    char text[80] = "";

    assert_int_equal(mu_agent_hook_said(mu_bytes_str("a\nscep_replace_pem: M903: Parameter X not found in f\n  do  see\n"), text,
                         sizeof text), MU_M(903));
    assert_string_equal(text, "Parameter X not found in f");
    assert_int_equal(mu_agent_hook_said(mu_bytes_str("see M903: it\nx y: M903: z\nm: M9033: z\nm: M702: z\n"), text, sizeof text),
        MU_REASON_NONE);
    assert_int_equal(mu_agent_hook_said(mu_bytes(NULL, 0), text, sizeof text), MU_REASON_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parts_run_in_their_order),
        TEST(the_environment_is_the_documented_one),
        TEST(what_worked_for_this_serial_does_not_run_twice),
        TEST(the_first_deployment_of_a_renewed_one_tells_the_old_serial),
        TEST(a_changed_ca_is_told_to_post_alone),
        TEST(a_failure_runs_the_failure_script),
        TEST(one_that_does_not_end_is_M904),
        TEST(renewed_counts_when_the_service_shows_it),
        TEST(a_test_changes_nothing),
        TEST(a_service_that_restarts_is_said_to),
        TEST(recipes_are_names_and_hooks_are_ours),
        TEST(another_process_at_work_is_told),
        TEST(pre_comes_before_the_switch),
        TEST(pre_may_veto),
        TEST(pre_may_ask_to_wait),
        TEST(a_pre_that_must_not_be_run_stops_the_switch),
        TEST(recipes_stand_alone),
        cmocka_unit_test(output_is_fit_for_a_log),
        cmocka_unit_test(what_our_programs_said_is_found),
        cmocka_unit_test(words_of_verify),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
