/* state/<name>.life: what each job leaves in it, what a look at the files mends, and damage. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_life.h"
#include "base/time.h"

enum { HOUR = 3600, DAY = 86400 };

static int64_t now_of(struct world *w)
{
    return mu_env_now(w->agent.env);
}

static struct mu_agent_life life_of(struct world *w, const char *name)
{
    struct mu_agent_life life = {0};

    assert_int_equal(mu_agent_life_read(w->kit->store, name, &life, NULL), MU_OK);
    return life;
}

static unsigned answers(const struct mu_agent_life *life)
{
    unsigned n = 0;

    for (int i = 0; i < MU_LIFECYCLE_ANSWERS; i++)
        n += life->life.answered_s[i] != 0;
    return n;
}

static void put_life(struct world *w, const char *name, const char *text)
{
    assert_int_equal(mu_keystore_put(w->kit->store, MU_KEYSTORE_STATE, name, "life",
                         mu_bytes_str(text), NULL), MU_OK);
}

static void enroll(struct world *w, const char *name)
{
    world_enroll(w, name, (struct mu_agent_enroll){.settings = &w->settings});
}

static void test_all_of_a_record_comes_back(void **state)
{
    struct world *w = *state;
    struct mu_agent_life a = {.life = {.state = MU_LIFECYCLE_RETIRED,
                                  .before = MU_LIFECYCLE_RENEWING,
                                  .spread = 0xfedcba9876543210u,
                                  .not_before_s = 1700000000,
                                  .not_after_s = 1800000000,
                                  .issued_s = 1700000100,
                                  .by_agent = true,
                                  .refused = 3,
                                  .unreached = 7,
                                  .tried_s = 1700000200,
                                  .wait_until_s = 1750000000,
                                  .answered_s = {[6] = 1700000300, [7] = 1700000400},
                                  .expired_refused = true,
                                  .pending_since_s = 1700000500,
                                  .poll_s = 1700000600,
                                  .polls = 9,
                                  .stopped = true,
                                  .undeployed = true,
                                  .not_deployed = 2,
                                  .deploy_tried_s = 1700000700,
                                  .yes_left_s = 123,
                                  .no_left_s = -456,
                                  .warned_s = 1700000800,
                                  .sure_s = 1700000900},
        .asked_by_person = true,
        .told = 0x80000001u,
        .ca_not_after_s = 1900000000,
        .ca_looked_s = 1700001000,
        .cert = {.stem = "4A01-2", .inode = 77, .size = 1234, .mtime_ns = 1700000000123456789}};
    struct mu_agent_life b;

    assert_int_equal(mu_agent_life_write(w->kit->store, "all", &a, NULL), MU_OK);
    assert_int_equal(kit_mode(w->kit, "state/all.life"), 0600);
    b = life_of(w, "all");
    assert_false(b.is_missing || b.is_damaged);
    assert_int_equal(mu_agent_life_write(w->kit->store, "again", &b, NULL), MU_OK);
    a = life_of(w, "again");
#define SAME(member) assert_true(a.member == b.member && a.member != 0)
    SAME(life.state);
    SAME(life.before);
    SAME(life.spread);
    SAME(life.not_before_s);
    SAME(life.not_after_s);
    SAME(life.issued_s);
    SAME(life.by_agent);
    SAME(life.refused);
    SAME(life.unreached);
    SAME(life.tried_s);
    SAME(life.wait_until_s);
    SAME(life.answered_s[6]);
    SAME(life.answered_s[7]);
    SAME(life.expired_refused);
    SAME(life.pending_since_s);
    SAME(life.poll_s);
    SAME(life.polls);
    SAME(life.stopped);
    SAME(life.undeployed);
    SAME(life.not_deployed);
    SAME(life.deploy_tried_s);
    SAME(life.yes_left_s);
    SAME(life.no_left_s);
    SAME(life.warned_s);
    SAME(life.sure_s);
    SAME(asked_by_person);
    SAME(told);
    SAME(ca_not_after_s);
    SAME(ca_looked_s);
#undef SAME
    assert_int_equal(a.life.answered_s[7], 1700000400);
    assert_int_equal(answers(&a), 2);
    assert_true(mu_keystore_stamp_equal(&a.cert, &b.cert));
}

/* Everything cut off, and everything that is no record, is damage and no crash. */
static void test_what_is_cut_off_is_damaged(void **state)
{
    struct world *w = *state;
    struct mu_agent_life life;
    struct mu_buf text = {0};
    char path[64] = "state/web.life", part[4096];

    enroll(w, "web");
    world_expect(w, MU_AGENT_ISSUED);
    kit_file(w->kit, path, &text);
    assert_true(text.n < sizeof(part));
    for (size_t n = 0; n + 1 < text.n; n++) {
        memcpy(part, text.p, n);
        part[n] = '\0';
        put_life(w, "web", part);
        life = life_of(w, "web");
        assert_true(life.is_damaged);
        assert_int_equal(life.life.not_after_s, 0);
    }
    put_life(w, "web", "[life \"other\"]\nstate = installed\nwhole = yes\n");
    assert_true(life_of(w, "web").is_damaged);
    put_life(w, "web", "[life \"web\"]\nstate = asleep\nwhole = yes\n");
    assert_true(life_of(w, "web").is_damaged);
    put_life(w, "web", "[life \"web\"]\nstate = new\nof-a-later-version = 7\nwhole = yes\n");
    assert_false(life_of(w, "web").is_damaged);
    mu_buf_clear(&text);
}

static void test_enrolled_by_a_person(void **state)
{
    struct world *w = *state;
    struct mu_agent_life life;

    enroll(w, "web");
    world_expect(w, MU_AGENT_ISSUED);
    life = life_of(w, "web");
    assert_int_equal(life.life.state, MU_LIFECYCLE_INSTALLED);
    assert_int_equal(life.life.not_after_s, now_of(w) + 365 * DAY);
    assert_int_equal(answers(&life), 0); /* what a person starts is not counted */
    assert_false(life.life.by_agent);
    assert_true(life.asked_by_person);
    assert_true(life.ca_not_after_s > life.life.not_after_s);
}

static void test_renewed_by_the_agent(void **state)
{
    struct world *w = *state;
    struct mu_agent_life life;

    enroll(w, "web");
    w->agent.by_itself = true;
    w->agent.host = "host-a";
    mu_fake_loop_set_now(w->loop, now_of(w) + 300 * DAY);
    world_renew(w, "web", (struct mu_agent_renew){0});
    world_expect(w, MU_AGENT_ISSUED);
    life = life_of(w, "web");
    assert_int_equal(answers(&life), 1);
    assert_true(life.life.by_agent);
    assert_int_equal(life.life.yes_left_s, 65 * DAY); /* learned: so long before the end it says yes */
    assert_true(life.life.spread == mu_enroll_lifecycle_spread("host-a", "web"));
    assert_true(life.life.sure_s > 0);
}

static void test_refused_and_not_reached(void **state)
{
    struct world *w = *state;
    struct mu_agent_life life;

    enroll(w, "web");
    w->agent.by_itself = true;
    mu_fake_loop_set_now(w->loop, now_of(w) + 300 * DAY);
    mu_fake_transport_fail(w->transport, -1, MU_NETWORK, MU_M(102));
    world_renew(w, "web", (struct mu_agent_renew){0});
    assert_int_equal(w->err.code, MU_NETWORK);
    life = life_of(w, "web");
    assert_int_equal(life.life.unreached, 1);
    assert_int_equal(answers(&life), 0);
    assert_int_equal(life.life.state, MU_LIFECYCLE_INSTALLED); /* nothing got out */
    mu_fake_transport_fail(w->transport, 0, MU_OK, MU_REASON_NONE);
    w->peer.http_status = 503;
    world_renew(w, "web", (struct mu_agent_renew){0});
    life = life_of(w, "web");
    assert_int_equal(life.life.unreached, 2);
    w->peer.http_status = 0;
    w->peer.refuse = MU_REFUSE_NAME;
    world_renew(w, "web", (struct mu_agent_renew){0});
    assert_int_equal(w->err.code, MU_DENIED);
    life = life_of(w, "web");
    assert_int_equal(life.life.refused, 1);
    assert_int_equal(life.life.unreached, 0);
    assert_int_equal(answers(&life), 1);
    assert_int_equal(life.life.no_left_s, 65 * DAY);
    assert_int_equal(life.life.state, MU_LIFECYCLE_INSTALLED);
}

/* S078: "renewal allowed from ...". */
static void test_the_ca_names_a_day(void **state)
{
    (void)state;
    assert_int_equal(mu_agent_life_allowed_from(
                         "scep: the CA refused: \"renewal allowed from 2025-11-20T17:40:05Z\""),
        1763660405);
    assert_int_equal(
        mu_agent_life_allowed_from("Renewal is too early, Allowed From 2025-11-20."), 1763596800);
    assert_int_equal(mu_agent_life_allowed_from("allowed from tomorrow"), 0);
    assert_int_equal(mu_agent_life_allowed_from("allowed from "), 0);
    assert_int_equal(mu_agent_life_allowed_from("allowed from 9999999999999999999999999999999999"
                                                "99999999999999999999999999999"), 0);
    assert_int_equal(mu_agent_life_allowed_from("refused"), 0);
}

static void test_pending_and_given_up_and_asked_again(void **state)
{
    struct world *w = *state;
    struct mu_agent_life life;
    char first[300];

    w->agent.by_itself = true;
    w->peer.pend = 1000;
    world_enroll(w, "web", (struct mu_agent_enroll){.settings = &w->settings, .no_wait = true});
    world_expect(w, MU_AGENT_WAITING);
    snprintf(first, sizeof(first), "%s", w->txn);
    life = life_of(w, "web");
    assert_int_equal(life.life.state, MU_LIFECYCLE_REQUESTED);
    assert_int_equal(life.life.pending_since_s, now_of(w));
    assert_int_equal(answers(&life), 1);
    world_poll(w, "web", true);
    life = life_of(w, "web");
    assert_int_equal(life.life.polls, 1);
    assert_int_equal(answers(&life), 1); /* polls are no requests */
    /* M313 by the engine's own limit, waiting by hand */
    w->agent.by_itself = false;
    world_poll(w, "web", false);
    assert_int_equal(w->err.reason, 313);
    life = life_of(w, "web");
    assert_true(life.life.stopped);
    /* a person asks: it goes on, with the same transaction */
    mu_fake_loop_set_now(w->loop, now_of(w) + DAY);
    world_poll(w, "web", true);
    assert_string_equal(w->txn, first);
    life = life_of(w, "web");
    assert_false(life.life.stopped);
    assert_int_equal(life.life.pending_since_s, now_of(w));
    assert_int_equal(w->peer.txn_n, 1);
}

static void test_canceled_is_forgotten_with_the_record(void **state)
{
    struct world *w = *state;

    w->peer.pend = 1000;
    world_enroll(w, "new", (struct mu_agent_enroll){.settings = &w->settings, .no_wait = true});
    assert_int_equal(mu_agent_cancel(&w->agent, "new", NULL), MU_OK);
    assert_false(kit_has(w->kit, "state/new.life"));
    w->peer.pend = 0;
    enroll(w, "old");
    w->peer.pend = 1000;
    world_renew(w, "old", (struct mu_agent_renew){.force = true, .no_wait = true});
    assert_int_equal(life_of(w, "old").life.state, MU_LIFECYCLE_RENEWING);
    assert_int_equal(mu_agent_cancel(&w->agent, "old", NULL), MU_OK);
    assert_int_equal(life_of(w, "old").life.state, MU_LIFECYCLE_INSTALLED);
}

/* A record that is gone is made of the certificate; one that is damaged costs the day's requests. */
static void test_rebuilt_from_the_certificate(void **state)
{
    struct world *w = *state;
    struct mu_lifecycle_policy policy;
    struct mu_agent_life life;

    enroll(w, "web");
    assert_int_equal(
        mu_keystore_remove(w->kit->store, MU_KEYSTORE_STATE, "web", "life", NULL), MU_OK);
    life = life_of(w, "web");
    assert_true(life.is_missing);
    assert_true(mu_agent_life_settle(&w->agent, "web", &life));
    assert_int_equal(life.life.state, MU_LIFECYCLE_INSTALLED);
    assert_int_equal(life.life.not_after_s, now_of(w) + 365 * DAY);
    assert_int_equal(answers(&life), 0);

    put_life(w, "web", "[life \"web\"]\nstate = insta");
    life = life_of(w, "web");
    assert_true(life.is_damaged);
    assert_true(mu_agent_life_settle(&w->agent, "web", &life));
    assert_int_equal(life.life.state, MU_LIFECYCLE_INSTALLED);
    assert_int_equal(mu_agent_life_policy(&w->agent, "web", &policy, NULL), MU_OK);
    assert_int_equal(mu_enroll_lifecycle_left(&life.life, &policy, now_of(w)), 0);
    assert_int_equal(mu_enroll_lifecycle_left(&life.life, &policy, now_of(w) + DAY + 1), 2);
    /* a job over it says so and heals it */
    world_renew(w, "web", (struct mu_agent_renew){0});
    world_expect(w, MU_AGENT_NOTHING);
    assert_non_null(strstr(mu_buf_str(&w->steps), "damaged"));
    assert_false(life_of(w, "web").is_damaged);
}

/* Nothing changed: nothing is decoded and nothing written. Another's certificate is adopted. */
static void test_changes_of_the_files_are_noticed(void **state)
{
    struct world *w = *state;
    struct kit_pair pair;
    struct mu_keystore_saved saved;
    struct mu_agent_life life;

    enroll(w, "web");
    life = life_of(w, "web");
    assert_false(mu_agent_life_settle(&w->agent, "web", &life));
    kit_pair_make(&pair, "other", 7);
    kit_save(w->kit, "web", &pair, NULL, &saved);
    assert_true(mu_agent_life_settle(&w->agent, "web", &life));
    assert_int_equal(life.life.not_after_s, pair.cert->not_after_s);
    assert_string_equal(life.cert.stem, saved.stem);
    assert_false(life.life.by_agent);
    assert_false(mu_agent_life_settle(&w->agent, "web", &life));
    kit_pair_clear(&pair);
}

/* R036: the link that services read is gone. */
static void test_a_removed_link_is_no_certificate(void **state)
{
    struct world *w = *state;
    struct mu_agent_life life;
    char path[128];

    enroll(w, "web");
    life = life_of(w, "web");
    snprintf(path, sizeof(path), "%s/certs/web/latest.crt", w->kit->root);
    assert_int_equal(remove(path), 0);
    assert_true(mu_agent_life_settle(&w->agent, "web", &life));
    assert_int_equal(life.life.state, MU_LIFECYCLE_NEW);
    assert_int_equal(life.life.not_after_s, 0);
}

/* REN-08 and M803: what was written down while the clock stood in 2099 does not hold for ever. */
static void test_a_clock_that_went_back(void **state)
{
    struct mu_lifecycle r = {.state = MU_LIFECYCLE_REQUESTED,
        .tried_s = 5000,
        .wait_until_s = 5600,
        .deploy_tried_s = 4000,
        .answered_s = {[7] = 4900},
        .pending_since_s = 4800,
        .poll_s = 4860,
        .warned_s = 4700,
        .sure_s = 900};

    (void)state;
    assert_true(mu_enroll_lifecycle_rebase(&r, 1000));
    assert_int_equal(r.tried_s, 1000);
    assert_int_equal(r.wait_until_s, 1600); /* as long as before */
    assert_int_equal(r.answered_s[7], 1000);
    assert_int_equal(r.pending_since_s, 1000);
    assert_int_equal(r.poll_s, 1060);
    assert_int_equal(r.warned_s, 1000);
    assert_int_equal(r.sure_s, 900);
    assert_false(mu_enroll_lifecycle_rebase(&r, 1000));
}

/* A full disk behind an answer: counted, so that a CA is not asked each minute for one that is lost. */
static void test_an_answer_that_could_not_be_kept_counts(void **state)
{
    struct mu_lifecycle_policy policy = {.renew_days = -1};
    struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_UNREACHED, .answered = true};
    struct mu_lifecycle r = {.state = MU_LIFECYCLE_INSTALLED,
        .not_before_s = 0,
        .not_after_s = 90 * DAY};

    (void)state;
    (void)mu_enroll_lifecycle_apply(&r, &what, &policy, 70 * DAY);
    assert_int_equal(mu_enroll_lifecycle_left(&r, &policy, 70 * DAY), 1);
    what.by_person = true;
    (void)mu_enroll_lifecycle_apply(&r, &what, &policy, 70 * DAY);
    assert_int_equal(mu_enroll_lifecycle_left(&r, &policy, 70 * DAY), 1);
    assert_int_equal(r.unreached, 2);
}

/* A renewal that comes to nothing does not settle what the present certificate is owed. */
static void test_a_deployment_is_owed_across_a_renewal(void **state)
{
    struct mu_lifecycle_policy policy = {.renew_days = -1};
    struct mu_lifecycle r = {.state = MU_LIFECYCLE_FAILED, .not_after_s = 90 * DAY};
    static const enum mu_lifecycle_event events[]
        = {MU_LIFECYCLE_BEGIN, MU_LIFECYCLE_STORED, MU_LIFECYCLE_REFUSED};

    (void)state;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct mu_lifecycle_happened what = {.event = events[i]};

        assert_int_not_equal(
            mu_enroll_lifecycle_apply(&r, &what, &policy, 70 * DAY), MU_LIFECYCLE_IMPOSSIBLE);
    }
    assert_int_equal(r.state, MU_LIFECYCLE_FAILED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_all_of_a_record_comes_back),
        T(test_what_is_cut_off_is_damaged),
        T(test_enrolled_by_a_person),
        T(test_renewed_by_the_agent),
        T(test_refused_and_not_reached),
        cmocka_unit_test(test_the_ca_names_a_day),
        T(test_pending_and_given_up_and_asked_again),
        T(test_canceled_is_forgotten_with_the_record),
        T(test_rebuilt_from_the_certificate),
        T(test_changes_of_the_files_are_noticed),
        T(test_a_removed_link_is_no_certificate),
        cmocka_unit_test(test_a_clock_that_went_back),
        cmocka_unit_test(test_an_answer_that_could_not_be_kept_counts),
        cmocka_unit_test(test_a_deployment_is_owed_across_a_renewal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
