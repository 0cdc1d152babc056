/* The configuration against what CAs were seen to do, and against the machine. */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_config_review.h"
#include "agent/agent_life.h"

enum { D = 86400 };

/* M602, M603, M604: the next setting is one that this CA takes. */
static void policies_are_compared_with_what_was_learned(void **state)
{
    static const struct {
        int lifetime_d, renew_days, window_d, yes_d, no_d, reason, days;
    } cases[] = {
        {365, -1, 0, 0, 0, 0, 0},
        {365, 30, 0, 0, 0, 0, 0},
        {365, 364, 0, 0, 0, 602, 121},  /* each new one is due at once */
        {365, 365, 0, 7, 40, 602, 121},
        {365, 60, 0, 7, 40, 603, 7},    /* seed: no with 40 days left, yes with 7 */
        {365, 40, 0, 0, 40, 603, 39},
        {365, 39, 0, 0, 40, 0, 0},
        {365, 60, 0, 60, 40, 0, 0},     /* it says yes now */
        {365, 30, 14, 0, 0, 603, 13},   /* renew-window */
        {365, 13, 14, 0, 0, 0, 0},
        {365, 0, 0, 0, 0, 604, 30},
        {0, 0, 0, 0, 0, 604, 30},
        {0, 400, 0, 0, 0, 0, 0},        /* nothing was issued yet */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_lifecycle life = {.yes_left_s = cases[i].yes_d * (int64_t)D, .no_left_s = cases[i].no_d * (int64_t)D};
        const struct mu_lifecycle_policy policy = {
            .renew_days = cases[i].renew_days, .ca_window_s = cases[i].window_d * (int64_t)D};
        int days = -1;

        if (cases[i].lifetime_d > 0) {
            life.not_before_s = 1700000000;
            life.not_after_s = life.not_before_s + cases[i].lifetime_d * (int64_t)D;
        }
        if ((int)mu_agent_config_review_policy(&life, &policy, &days) != cases[i].reason || days != cases[i].days)
            fail_msg("case %zu: %d days", i, days);
    }
}

struct told {
    char text[4000];
    unsigned errors;
};

static void on_note(void *cookie, const struct mu_agent_config_note *note)
{
    struct told *told = cookie;
    size_t n = strlen(told->text);

    told->errors += note->is_error;
    snprintf(told->text + n, sizeof told->text - n, "%u:%s%d %s\n", note->line, note->is_error ? "" : "advice ",
        (int)note->reason, note->text);
}

static void has(const struct told *told, const char *text)
{
    if (strstr(told->text, text) == NULL)
        fail_msg("'%s' is not in: %s", text, told->text);
}

static void what_is_missing_on_this_machine_is_named(void **state)
{
    struct world *w = *state;
    struct told told = {0};
    struct conf conf;
    struct mu_err err = {0};

    conf_open(&conf);
    conf_write(&conf, "open-secret", 0644, "x\n");
    assert_int_equal(conf_try(&conf,
                         "[agent]\nhook-user = nobody-here\n"
                         "[ca \"b\"]\nprotocol = scep\nurl = http://b/\ntrust = corp-root, /none/root.pem\n"
                         "ra-cert = /none/ra.pem\nchallenge = secret:b\nallow-legacy = yes\n"
                         "[certificate \"c\"]\nca = b\nkey-group = no-such-group\nclient-cert = other\n"
                         "deploy = freeradius, nowhere\nrenew-days = 0\n"
                         "success-script = systemctl reload freeradius\n"),
        MU_OK);
    w->agent.config = conf.config;
    assert_int_equal(mu_agent_config_review(&w->agent, NULL, "/none", on_note, &told, &err), MU_OK);
    has(&told, "2:0 hook-user: there is no user 'nobody-here'");
    has(&told, "6:210 trust: ");
    has(&told, "ra-cert: there is no file /none/ra.pem");
    has(&told, "8:706 challenge: secret:b: there is no challenge of that name in the store; muster secret set b challenge");
    has(&told, "9:advice 705 allow-legacy");
    has(&told, "12:0 key-group: there is no group 'no-such-group'");
    has(&told, "13:0 client-cert: there is no certificate 'other' here");
    has(&told, "14:advice 905 deploy: FreeRADIUS does not re-read");
    has(&told, "14:0 deploy: there is no recipe nowhere in /none");
    has(&told, "15:advice 604 c: renewal is off; muster config set c renew-days 30");
    has(&told, "16:advice 905 success-script: freeradius does not re-read");
    memset(&told, 0, sizeof told);
    assert_int_equal(mu_agent_config_review(&w->agent, "nobody", NULL, on_note, &told, &err), MU_OK);
    has(&told, "there is no certificate 'nobody'");
    w->agent.config = NULL;
    conf_close(&conf);
}

/* M602 and M603 by the certificate in the store and the record beside it; also of an entry made by hand. */
static void what_was_learned_is_told_with_the_line_that_mends_it(void **state)
{
    struct world *w = *state;
    struct mu_lifecycle life = {0};
    struct told told = {0};
    struct mu_err err = {0};
    struct conf conf;

    assert_int_equal(mu_agent_settings_set(&w->settings, "renew-days", "3000", &err), MU_OK);
    world_enroll(w, "branch-gw", (struct mu_agent_enroll){.settings = &w->settings});
    assert_int_equal(w->err.code, MU_OK);
    assert_int_equal(mu_agent_config_review(&w->agent, NULL, NULL, on_note, &told, &err), MU_OK);
    has(&told, "0:advice 602 branch-gw: every new certificate would be due at once");
    has(&told, "muster config set branch-gw renew-days ");
    conf_open(&conf);
    assert_int_equal(
        conf_try(&conf, "[ca \"b\"]\nprotocol = scep\nurl = http://b/\n[certificate \"branch-gw\"]\nca = b\nrenew-days = 30\n"),
        MU_OK);
    w->agent.config = conf.config;
    assert_int_equal(mu_agent_life_load(w->kit->store, "branch-gw", &life, &err), MU_OK);
    life.yes_left_s = 7 * D;
    life.no_left_s = 20 * D;
    assert_int_equal(mu_agent_life_store(w->kit->store, "branch-gw", &life, &err), MU_OK);
    memset(&told, 0, sizeof told);
    assert_int_equal(mu_agent_config_review(&w->agent, "branch-gw", NULL, on_note, &told, &err), MU_OK);
    has(&told, "6:advice 603 branch-gw: renew-days 30 is more than the CA's window: it said no with 20 d left and yes later; "
               "muster config set branch-gw renew-days 7");
    assert_int_equal(told.errors, 0);
    w->agent.config = NULL;
    conf_close(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_are_compared_with_what_was_learned),
        cmocka_unit_test_setup_teardown(what_is_missing_on_this_machine_is_named, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(
            what_was_learned_is_told_with_the_line_that_mends_it, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
