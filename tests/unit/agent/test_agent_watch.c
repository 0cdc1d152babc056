/* The agent by itself: each rule of PRODUCT "When things happen", against a CA in memory. */
#include "watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char web[] = "[certificate \"web\"]\nca = a\nsubject = /C=NL/CN=web\n";

static void until(struct watched *t, int64_t at_s)
{
    watched_run(t, at_s - watched_now(t));
}

/* How most of them begin: enrolled by itself, for 90 days. */
static void enrolled(struct watched *t)
{
    t->w->peer.lifetime_s = 90 * DAY;
    watched_config(t, web);
    watched_run(t, 60);
}

/* R036: no certificate: it is asked for at the start; then it renews itself when a third is left, within
 * one check interval (S070). */
static void test_enrolls_and_renews_by_itself(void **state)
{
    struct watched *t = *state;
    struct mu_agent_life life;
    int64_t due_s;

    enrolled(t);
    assert_int_equal(t->w->peer.enrolls, 1);
    life = watched_life(t, "web");
    assert_int_equal(life.life.state, MU_LIFECYCLE_INSTALLED);
    assert_true(life.life.by_agent);
    assert_true(watched_heard(t, "SIGNED web"));
    due_s = mu_enroll_lifecycle_due(life.life.not_before_s, life.life.not_after_s, -1, 0);
    until(t, due_s - 60);
    assert_int_equal(t->w->peer.enrolls, 1);
    until(t, due_s + HOUR + 60);
    assert_int_equal(t->w->peer.enrolls, 2);
    assert_int_equal(t->w->peer.renewals, 1);
    assert_true(watched_life(t, "web").life.not_after_s > life.life.not_after_s);
    assert_int_equal(t->failures, 0);
}

/* R012: not a day earlier than whole days left <= N. */
static void test_renew_days(void **state)
{
    struct watched *t = *state;
    char text[400];
    int64_t end_s;

    t->w->peer.lifetime_s = 90 * DAY;
    snprintf(text, sizeof(text), "%srenew-days = 30\n", web);
    watched_config(t, text);
    watched_run(t, 60);
    end_s = watched_life(t, "web").life.not_after_s;
    until(t, end_s - 31 * DAY);
    assert_int_equal(t->w->peer.enrolls, 1);
    until(t, end_s - 31 * DAY + HOUR + 2);
    assert_int_equal(t->w->peer.enrolls, 2);
}

/* S071, S072, M604: never, and said so. */
static void test_renewal_that_is_off(void **state)
{
    struct watched *t = *state;
    char text[400];
    int64_t end_s;

    t->w->peer.lifetime_s = 90 * DAY;
    snprintf(text, sizeof(text), "%srenew-days = 0\nwarn-days = 14\n", web);
    watched_config(t, text);
    watched_run(t, 60);
    end_s = watched_life(t, "web").life.not_after_s;
    until(t, end_s - 16 * DAY);
    assert_int_equal(watched_count(t, "WARNING"), 0);
    until(t, end_s - 10 * DAY);
    assert_true(watched_heard(t, "WARNING web M604 14"));
    assert_true(watched_said(t, "M604 web expires in 14 days and renewal is off. muster config set web renew-days 30"));
    assert_in_range(watched_count(t, "WARNING"), 4, 5); /* one a day */
    until(t, end_s + 5 * DAY);
    assert_int_equal(t->w->peer.enrolls, 1);
    assert_int_equal(watched_count(t, "EXPIRED web"), 1);
}

/* R010: off: no request; on and Apply: it starts. */
static void test_automation_is_off_until_it_is_on(void **state)
{
    struct watched *t = *state;
    char text[400];

    snprintf(text, sizeof(text), "%sautomation = no\n", web);
    watched_config(t, text);
    watched_run(t, 3 * DAY);
    assert_int_equal(t->w->peer.enrolls, 0);
    watched_config(t, web);
    watched_run(t, 60);
    assert_int_equal(t->w->peer.enrolls, 1);
}

/* S075, D2: pauses grow; the first try after the CA is back is within the longest pause. */
static void test_a_ca_that_is_away(void **state)
{
    struct watched *t = *state;
    unsigned sends;

    watched_config(t, web);
    mu_fake_transport_fail(t->w->transport, -1, MU_NETWORK, MU_M(102));
    watched_run(t, 6 * HOUR);
    sends = mu_fake_transport_sends(t->w->transport);
    assert_in_range(sends, 8, 14); /* 1, 2, 4 ... 60 minutes */
    assert_true(watched_heard(t, "CONNECT_FAILED web M102"));
    mu_fake_transport_fail(t->w->transport, 0, MU_OK, MU_REASON_NONE);
    watched_run(t, 75 * 60);
    assert_int_equal(t->w->peer.txn_n, 1);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_INSTALLED);
}

/* S078: at most two a day, however long it goes on; and across restarts. */
static void test_a_ca_that_refuses(void **state)
{
    struct watched *t = *state;
    int64_t day_s;

    t->w->peer.refuse = MU_REFUSE_NAME;
    watched_config(t, web);
    for (int i = 0; i < 10; i++) {
        unsigned before = t->w->peer.enrolls;

        day_s = watched_now(t);
        for (int j = 0; j < 12; j++) {
            watched_run(t, 2 * HOUR - 60);
            watched_restart(t);
        }
        assert_true(t->w->peer.enrolls - before <= 2);
        assert_true(watched_answers(&(struct mu_agent_life){.life = watched_life(t, "web").life}, day_s) <= 2);
    }
    assert_in_range(t->w->peer.enrolls, 8, 14);
    t->w->peer.refuse = MU_REASON_NONE;
    watched_run(t, 2 * DAY);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_INSTALLED);
}

/* S076, E096, M602: every new certificate would be due at once: renewed once, then held until a third. */
static void test_a_wrong_policy_is_held(void **state)
{
    struct watched *t = *state;
    char text[400];
    int64_t end_s;

    t->w->peer.lifetime_s = 5 * DAY;
    snprintf(text, sizeof(text), "%srenew-days = 7\n", web);
    watched_config(t, text);
    watched_run(t, 2 * HOUR);
    assert_int_equal(t->w->peer.enrolls, 1);
    assert_int_equal(watched_count(t, "HELD web M602"), 1);
    assert_true(watched_said(t, "(lifetime 5 d, renew-days 7); holding until "));
    assert_true(watched_said(t, ". muster config set web renew-days 0, or once: muster renew web --force"));
    end_s = watched_life(t, "web").life.not_after_s;
    until(t, end_s - 5 * DAY / 3 - HOUR);
    assert_int_equal(t->w->peer.enrolls, 1);
    until(t, end_s - 5 * DAY / 3 + HOUR + 60);
    assert_int_equal(t->w->peer.enrolls, 2);
    assert_int_equal(watched_count(t, "HELD web M602"), 2); /* once for each certificate */
}

/* R013, R014, M313: polls with the same transaction; given up; a restart goes on. */
static void test_pending_until_it_is_given_up(void **state)
{
    struct watched *t = *state;
    unsigned polls;
    char text[400];

    t->w->peer.pend = 100000;
    snprintf(text, sizeof(text), "%sawait-result = 100s\nmax-await-result = 10min\n", web);
    watched_config(t, text);
    watched_run(t, 9 * 60);
    assert_in_range(t->w->peer.polls, 4, 5);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_REQUESTED);
    polls = t->w->peer.polls;
    until(t, watched_life(t, "web").life.pending_since_s + 10 * 60 - 2);
    assert_false(watched_life(t, "web").life.stopped); /* not at the last question before the end */
    watched_run(t, 4);
    assert_true(watched_life(t, "web").life.stopped);
    assert_in_range(t->w->peer.polls, polls + 1, polls + 2); /* the last one when the time is over */
    assert_true(watched_said(t, "M313 still pending after 10 min, stopped asking. muster poll web"));
    polls = t->w->peer.polls;
    watched_run(t, DAY);
    assert_true(watched_life(t, "web").life.stopped);
    assert_int_equal(watched_count(t, "PENDING web M313"), 1);
    watched_run(t, DAY);
    assert_int_equal(t->w->peer.polls, polls);
    t->w->peer.pend = 0;
    watched_restart(t);
    watched_run(t, 5 * 60);
    assert_int_equal(t->w->peer.txn_n, 1);
    assert_int_equal(t->w->peer.enrolls, 1);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_INSTALLED);
}

/* The answer of a renewal that was out when the program ended is fetched, not asked for anew (REN-10). */
static void test_a_restart_goes_on_with_the_same_transaction(void **state)
{
    struct watched *t = *state;
    struct mu_agent_life life;

    t->w->peer.pend = 1;
    watched_config(t, web);
    watched_run(t, 30);
    life = watched_life(t, "web");
    assert_int_equal(life.life.state, MU_LIFECYCLE_REQUESTED);
    watched_restart(t);
    watched_run(t, 5 * 60);
    assert_int_equal(t->w->peer.enrolls, 1);
    assert_int_equal(t->w->peer.txn_n, 1);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_INSTALLED);
}

/* M801: at 1970 nothing is asked for; the clock is set, and it starts. */
static void test_no_enrollment_at_1970(void **state)
{
    struct watched *t = *state;

    mu_fake_loop_set_now(t->w->loop, 5000);
    watched_config(t, web);
    watched_run(t, 2 * HOUR);
    assert_int_equal(t->w->peer.enrolls, 0);
    assert_int_equal(watched_count(t, "CLOCK - M801"), 1);
    assert_true(watched_said(t, "M801 our clock says 1970-01-01 "));
    mu_fake_loop_set_now(t->w->loop, MU_FAKE_LOOP_START_S);
    watched_run(t, 5 * 60);
    assert_int_equal(t->w->peer.enrolls, 1);
    assert_true(watched_heard(t, "CLOCK - M803"));
}

/* The last sure time: no clock is earlier than what a server said. */
static void test_no_renewal_before_the_last_sure_time(void **state)
{
    struct watched *t = *state;
    char text[400];
    int64_t now_s;

    t->w->peer.lifetime_s = 2 * DAY;
    watched_config(t, web);
    watched_run(t, 60);
    now_s = watched_now(t);
    assert_true(watched_life(t, "web").life.sure_s >= now_s - 400);
    mu_fake_loop_set_now(t->w->loop, now_s - 20 * DAY); /* later than the build */
    watched_run(t, 2 * DAY);
    assert_int_equal(t->w->peer.enrolls, 1);
    assert_true(watched_heard(t, "CLOCK - M801"));
    /* told not to care */
    snprintf(text, sizeof(text), "[agent]\ntime-source = ignore\n%s", web);
    watched_config(t, text);
    watched_run(t, 3 * DAY);
    mu_fake_loop_set_now(t->w->loop, now_s + 40 * HOUR);
    watched_run(t, 2 * HOUR);
    assert_true(t->w->peer.enrolls >= 2);
}

/* M803: a machine that slept, or was set by years: the due dates are computed anew within a minute. */
static void test_the_clock_jumps_ahead(void **state)
{
    struct watched *t = *state;
    struct mu_agent_life life;

    enrolled(t);
    life = watched_life(t, "web");
    mu_fake_loop_set_now(t->w->loop, life.life.not_after_s - 20 * DAY);
    watched_run(t, 3 * 60);
    assert_int_equal(t->w->peer.enrolls, 2);
    assert_true(watched_heard(t, "CLOCK - M803"));
    assert_true(watched_said(t, "M803 the clock jumped by +"));
}

/* PRODUCT "Expired": with the expired certificate, then by the password, then M607. */
static void test_expired_is_rescued_in_order(void **state)
{
    struct watched *t = *state;
    int64_t end_s;

    enrolled(t);
    end_s = watched_life(t, "web").life.not_after_s;
    t->w->peer.refuse = MU_REFUSE_RENEWAL_LATE;
    mu_fake_loop_set_now(t->w->loop, end_s + DAY);
    watched_run(t, 5 * 60);
    assert_int_equal(t->w->peer.renewals, 1);
    assert_true(watched_life(t, "web").life.expired_refused);
    watched_run(t, DAY);
    assert_true(watched_heard(t, "EXPIRED web M607")); /* no password here */
    assert_int_equal(watched_count(t, "EXPIRED web M601"), 1);
    assert_true(watched_said(t, "M601 expired 1 d ago, trying to renew all the same"));
    assert_true(watched_said(t, "M607 expired "));
    assert_true(watched_said(t, "muster enroll web --replace --challenge-file FILE"));
    /* with one: a new enrollment */
    assert_int_equal(mu_keystore_put(t->w->kit->store, MU_KEYSTORE_SECRETS, "web", "challenge",
                         mu_bytes_str("word"), NULL), MU_OK);
    t->w->peer.refuse = MU_REASON_NONE;
    t->w->peer.renewals = 0;
    watched_run(t, 2 * DAY);
    assert_int_equal(t->w->peer.renewals, 0);
    assert_string_equal(t->w->peer.last_challenge, "word");
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_INSTALLED);
}

/* Somebody else's hand: another certificate is noticed within the check interval, a lost one asked for. */
static void test_changes_of_the_store_are_noticed(void **state)
{
    struct watched *t = *state;
    struct mu_agent_life life;
    struct mu_keystore_saved saved;
    struct kit_pair pair;
    char path[128];

    watched_config(t, web);
    watched_run(t, 60);
    kit_pair_make(&pair, "web", 9);
    kit_save(t->w->kit, "web", &pair, NULL, &saved);
    watched_run(t, HOUR + 60);
    life = watched_life(t, "web");
    assert_string_equal(life.cert.stem, saved.stem);
    snprintf(path, sizeof(path), "%s/certs/web/latest.crt", t->w->kit->root);
    assert_int_equal(remove(path), 0);
    watched_run(t, HOUR + 60);
    assert_int_equal(t->w->peer.enrolls, 2);
    kit_pair_clear(&pair);
}

/* A damaged record costs the day's requests and nothing else. */
static void test_a_damaged_record_is_no_storm(void **state)
{
    struct watched *t = *state;
    unsigned before;

    t->w->peer.refuse = MU_REFUSE_NAME;
    watched_config(t, web);
    watched_run(t, 60);
    before = t->w->peer.enrolls;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mu_keystore_put(t->w->kit->store, MU_KEYSTORE_STATE, "web", "life",
                             mu_bytes_str("[life \"web\"]\nstate = n"), NULL), MU_OK);
        mu_agent_watch_touch(t->watch, "web");
        watched_run(t, HOUR);
    }
    assert_int_equal(t->w->peer.enrolls, before);
    assert_non_null(strstr(mu_buf_str(&t->notes), "damaged"));
}

/* M707: who works on it is not disturbed, and it is looked at again. */
static void test_a_lock_that_another_holds(void **state)
{
    struct watched *t = *state;
    struct mu_keystore_lock *lock = NULL;

    assert_int_equal(mu_keystore_lock(t->w->kit->store, "web", &lock, NULL), MU_OK);
    watched_config(t, web);
    watched_run(t, 10 * 60);
    assert_int_equal(t->w->peer.enrolls, 0);
    assert_non_null(strstr(mu_buf_str(&t->notes), "M707"));
    mu_keystore_unlock(lock);
    watched_run(t, 30 * 60);
    assert_int_equal(t->w->peer.enrolls, 1);
}

/* ca = a, b: both away is one try, so the pauses grow as with one; a refuses and b is away: b is asked soon
 * and again, and a is not, so that the day's requests are left for b. */
static void test_routes_are_one_try(void **state)
{
    struct watched *t = *state;
    static const char both[] = "[ca \"b\"]\nprotocol = scep\nurl = http://other.example/scep\n"
                               "[certificate \"web\"]\nca = a, b\nsubject = /C=NL/CN=web\n";

    watched_config(t, both);
    mu_fake_transport_fail(t->w->transport, -1, MU_NETWORK, MU_M(102));
    watched_run(t, 30);
    assert_int_equal(t->failures, 2);
    assert_int_equal(watched_life(t, "web").life.unreached, 1);
    watched_run(t, 80);
    assert_int_equal(watched_life(t, "web").life.unreached, 2);
    /* a refuses */
    mu_fake_transport_fail(t->w->transport, 0, MU_OK, MU_REASON_NONE);
    mu_fake_transport_fail_host(t->w->transport, "other.example");
    t->w->peer.refuse = MU_REFUSE_NAME;
    watched_config(t, both);
    watched_run(t, 2 * HOUR);
    assert_int_equal(t->w->peer.enrolls, 1); /* not again and again */
    assert_int_equal(watched_life(t, "web").life.refused, 1);
    assert_true(watched_life(t, "web").life.unreached > 3); /* b is asked at its pace */
    mu_fake_transport_fail_host(t->w->transport, NULL);
    t->w->peer.refuse = MU_REASON_NONE;
    watched_run(t, HOUR + 15 * 60);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_INSTALLED);
    assert_non_null(strstr(t->w->peer.last_target, "/scep?"));
}

/* ca = a, b: where a is away the same entry is asked for at b, in the same try. */
static void test_the_next_route(void **state)
{
    struct watched *t = *state;
    int64_t before_s;

    t->w->peer.lifetime_s = 90 * DAY;
    watched_config(t,
        "[ca \"b\"]\nprotocol = scep\nurl = http://other.example/scep\n"
        "[certificate \"web\"]\nca = a, b\nsubject = /C=NL/CN=web\n");
    mu_fake_transport_fail(t->w->transport, 1, MU_NETWORK, MU_M(102));
    watched_run(t, 30);
    assert_int_equal(t->w->peer.enrolls, 1);
    assert_non_null(strstr(t->w->peer.last_target, "/scep?"));
    assert_int_equal(t->failures, 1);
    /* the renewal begins with a again */
    before_s = watched_life(t, "web").life.not_after_s;
    until(t, before_s - 29 * DAY);
    assert_int_equal(t->w->peer.enrolls, 2);
    assert_non_null(strstr(t->w->peer.last_target, "/app/cert/scep/"));
    /* refused by both: two requests, and that is all for today */
    t->w->peer.refuse = MU_REFUSE_NAME;
    until(t, watched_life(t, "web").life.not_after_s - 29 * DAY);
    assert_in_range(t->w->peer.enrolls, 3, 6);
    assert_true(watched_answers(&(struct mu_agent_life){.life = watched_life(t, "web").life},
                    watched_now(t) - DAY) <= 2);
}

/* A script of hooks.d/post below the test's own directory. */
static void post_script(struct watched *t)
{
    static char hooks[128];
    char path[200];
    FILE *f;

    snprintf(hooks, sizeof(hooks), "%s/hooks.d", t->w->kit->root);
    assert_int_equal(mkdir(hooks, 0755), 0);
    snprintf(path, sizeof(path), "%s/post", hooks);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/post/tell", hooks);
    assert_non_null(f = fopen(path, "w"));
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
    t->w->agent.hooks_dir = hooks;
}

/* SCEP-78, M606: the CA ends before the new certificate would: its successor's is fetched, and takes over
 * when the present one ends. */
static void test_the_cas_successor(void **state)
{
    struct watched *t = *state;
    struct mu_agent_life life;
    struct mu_pki_cert *cert;
    struct peer next;
    char stem[MU_KEYSTORE_STEM];

    t->w->peer.lifetime_s = 90 * DAY;
    post_script(t);
    watched_config(t, web);
    watched_run(t, 60);
    peer_init_next(&next, t->w->agent.env);
    t->w->peer.next = &next;
    life = watched_life(t, "web");
    life.ca_not_after_s = life.life.not_after_s + DAY;
    assert_int_equal(mu_agent_life_write(t->w->kit->store, "web", &life, NULL), MU_OK);
    until(t, life.life.not_after_s - 28 * DAY);
    assert_true(mu_keystore_next(t->w->kit->store, "web", stem));
    assert_int_equal(watched_count(t, "CA_CHANGED web M606"), 1);
    assert_true(watched_said(t, "M606 the CA certificate ends at "));
    assert_int_equal(t->ca_changed, 1);
    assert_int_equal(t->w->peer.enrolls, 2);
    until(t, life.life.not_after_s - 60);
    assert_int_equal(t->w->peer.enrolls, 2);
    until(t, life.life.not_after_s + 2 * 60);
    cert = world_latest(t->w, "web");
    assert_int_equal(mu_pki_cert_verify(cert, next.cert, false, NULL), MU_OK);
    mu_pki_cert_free(cert);
    t->w->peer.next = NULL;
    peer_clear(&next);
}

/* Deployment: owed after SAVED, tried again with growing pauses, across a restart; failures are told. */
static void test_deployed_after_it_is_saved(void **state)
{
    struct watched *t = *state;
    char text[400];

    snprintf(text, sizeof(text), "%ssuccess-script = true\nfailure-script = true\n", web);
    t->deploy_fails = 3;
    watched_config(t, text);
    watched_run(t, 30);
    assert_int_equal(t->deploys, 1);
    assert_int_equal(t->last_deploy, MU_AGENT_HOOK_ENROLLED);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_FAILED);
    watched_run(t, 90);
    assert_int_equal(t->deploys, 2);
    watched_restart(t);
    watched_run(t, 30);
    assert_int_equal(t->deploys, 2); /* its pause goes on */
    watched_run(t, 20 * 60);
    assert_int_equal(t->deploys, 4);
    assert_int_equal(t->last_attempt, 4);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_INSTALLED);
    watched_run(t, DAY);
    assert_int_equal(t->deploys, 4);
    assert_int_equal(t->told, 0);
}

/* R031: the failure script hears of a refusal. */
static void test_the_failure_script_is_told(void **state)
{
    struct watched *t = *state;
    char text[400];

    snprintf(text, sizeof(text), "%sfailure-script = true\n", web);
    t->w->peer.refuse = MU_REFUSE_NAME;
    watched_config(t, text);
    watched_run(t, 60);
    assert_int_equal(t->told, 1);
    assert_int_equal(t->last_told, MU_AGENT_HOOK_FAILED);
    assert_int_equal(t->last_attempt, 1);
    watched_run(t, HOUR);
    assert_int_equal(t->told, 1);
}

/* What a person asks for by name is not held by the guard, and not counted. */
static void test_wishes_of_a_person(void **state)
{
    struct watched *t = *state;
    struct mu_agent_life life;
    struct mu_err err = {0};

    enrolled(t);
    life = watched_life(t, "web");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            mu_agent_watch_wish(t->watch, "web", MU_AGENT_WISH_RENEW_FORCE, &err), MU_OK);
        assert_int_equal(
            mu_agent_watch_wish(t->watch, "web", MU_AGENT_WISH_RENEW_FORCE, &err), MU_BUSY);
        assert_int_equal(err.reason, 707);
        watched_run(t, 30);
    }
    assert_int_equal(t->w->peer.enrolls, 5);
    assert_int_equal(watched_answers(&(struct mu_agent_life){.life = watched_life(t, "web").life}, 0),
        watched_answers(&life, 0));
    assert_int_equal(mu_agent_watch_wish(t->watch, "none", MU_AGENT_WISH_POLL, &err), MU_NOT_FOUND);
    t->w->peer.pend = 1000;
    assert_int_equal(mu_agent_watch_wish(t->watch, "web", MU_AGENT_WISH_REGENERATE, &err), MU_OK);
    watched_run(t, 30);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_RENEWING);
    assert_int_equal(mu_agent_watch_wish(t->watch, "web", MU_AGENT_WISH_POLL, &err), MU_OK);
    watched_run(t, 5);
    assert_int_equal(mu_agent_watch_wish(t->watch, "web", MU_AGENT_WISH_CANCEL, &err), MU_OK);
    assert_int_equal(watched_life(t, "web").life.state, MU_LIFECYCLE_INSTALLED);
    watched_run(t, DAY);
    assert_int_equal(t->w->peer.enrolls, 6);
}

static void on_idle(void *cookie)
{
    ((struct watched *)cookie)->idle = true;
}

/* 'muster renew --all' by timer or cron: does what is due, and ends. */
static void test_once_and_the_end(void **state)
{
    struct watched *t = *state;

    t->w->peer.lifetime_s = 90 * DAY;
    watched_config(t, web);
    mu_agent_watch_run_once(t->watch, on_idle, t);
    watched_run(t, 10);
    assert_true(t->idle);
    assert_int_equal(t->w->peer.enrolls, 1);
    t->idle = false;
    watched_restart(t);
    mu_agent_watch_run_once(t->watch, on_idle, t);
    watched_run(t, 1);
    assert_true(t->idle);
    assert_int_equal(t->w->peer.enrolls, 1);
}

/* Ten at once, the rest spread over the check interval: a start is no rush (docs/fleet.md). */
static void test_a_start_with_many_is_paced(void **state)
{
    struct watched *t = *state;
    struct mu_agent_watch_counts counts;
    struct mu_buf text = {0};

    t->w->peer.refuse = MU_REFUSE_NAME;
    for (int i = 0; i < 60; i++)
        mu_buf_putf(&text, "[certificate \"e%d\"]\nca = a\nsubject = /CN=e%d\n", i, i);
    watched_config(t, mu_buf_str(&text));
    watched_run(t, 30);
    assert_in_range(t->w->peer.enrolls, 10, 11);
    mu_agent_watch_counts(t->watch, &counts);
    assert_int_equal(counts.entries, 60);
    assert_int_equal(counts.unseen, 0);
    assert_int_equal(counts.ready, 60 - t->w->peer.enrolls);
    watched_run(t, 10 * 60);
    assert_int_equal(t->w->peer.enrolls, 60);
    mu_buf_clear(&text);
}

#define T(f) cmocka_unit_test_setup_teardown(f, watched_setup, watched_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_enrolls_and_renews_by_itself),
        T(test_renew_days),
        T(test_renewal_that_is_off),
        T(test_automation_is_off_until_it_is_on),
        T(test_a_ca_that_is_away),
        T(test_a_ca_that_refuses),
        T(test_a_wrong_policy_is_held),
        T(test_pending_until_it_is_given_up),
        T(test_a_restart_goes_on_with_the_same_transaction),
        T(test_no_enrollment_at_1970),
        T(test_no_renewal_before_the_last_sure_time),
        T(test_the_clock_jumps_ahead),
        T(test_expired_is_rescued_in_order),
        T(test_changes_of_the_store_are_noticed),
        T(test_a_damaged_record_is_no_storm),
        T(test_a_lock_that_another_holds),
        T(test_routes_are_one_try),
        T(test_the_next_route),
        T(test_the_cas_successor),
        T(test_deployed_after_it_is_saved),
        T(test_the_failure_script_is_told),
        T(test_wishes_of_a_person),
        T(test_once_and_the_end),
        T(test_a_start_with_many_is_paced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
