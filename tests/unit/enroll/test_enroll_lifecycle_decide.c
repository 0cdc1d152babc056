/* When things happen (PRODUCT), in figures: due, held, spread, retries, caps, clocks, warnings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enroll/enroll_lifecycle.h"

#define NOW 1763660000
#define HOUR 3600
#define DAY 86400

static struct mu_lifecycle lasting(int64_t lifetime_s, int64_t left_s)
{
    return (struct mu_lifecycle){.state = MU_LIFECYCLE_INSTALLED,
        .not_before_s = NOW + left_s - lifetime_s,
        .not_after_s = NOW + left_s,
        .issued_s = NOW + left_s - lifetime_s};
}

static struct mu_lifecycle_decision decide(
    const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t now_s)
{
    struct mu_lifecycle_decision d;

    mu_enroll_lifecycle_decide(r, p, now_s, &d);
    return d;
}

/* When it renews by itself, found by looking whenever it says so. */
static int64_t renewal_of(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p)
{
    int64_t at_s = r->not_before_s;

    for (int i = 0; i < 100; i++) {
        struct mu_lifecycle_decision d = decide(r, p, at_s);

        if (d.action == MU_LIFECYCLE_RENEW)
            return at_s;
        assert_int_equal(d.action, MU_LIFECYCLE_WAIT);
        assert_true(d.at_s > at_s);
        if (d.at_s == INT64_MAX)
            return INT64_MAX;
        at_s = d.at_s;
    }
    fail_msg("looks forever");
    return 0;
}

/* D11, S070, R012, E095: whole days left <= N, within one check interval, not earlier. */
static void due_by_days_by_thirds_and_by_percent(void **state)
{
    static const struct {
        int64_t lifetime_s;
        int renew_days, percent;
        int64_t left_s; /* when it is due */
    } t[] = {
        {365 * DAY, 30, 0, 31 * DAY - 1},
        {365 * DAY, 364, 0, 365 * DAY - 1},
        {90 * DAY, -1, 0, 30 * DAY},
        {36 * HOUR, 30, 0, 12 * HOUR},
        {36 * HOUR, -1, 0, 12 * HOUR},
        {100 * DAY, -1, 10, 10 * DAY},
        {90 * DAY, 1, 0, 2 * DAY - 1},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        const struct mu_lifecycle_policy p = {
            .renew_days = t[i].renew_days, .renew_percent = t[i].percent};

        for (uint64_t spread = 0; spread < 50; spread++) {
            struct mu_lifecycle r = lasting(t[i].lifetime_s, 0);
            int64_t interval_s = t[i].lifetime_s < 3 * DAY ? t[i].lifetime_s / 10 : HOUR, at_s;

            r.spread = spread;
            at_s = r.not_after_s - renewal_of(&r, &p); /* left */
            if (at_s > t[i].left_s || at_s <= t[i].left_s - interval_s)
                fail_msg("row %zu: renews %lld s before the end", i, (long long)at_s);
        }
    }
    assert_int_equal(mu_enroll_lifecycle_due(NOW, NOW + DAY, 0, 0), INT64_MAX);
}

/* S071, M604: 0 means never, also when it has expired. */
static void zero_means_never(void **state)
{
    const struct mu_lifecycle_policy p = {.renew_days = 0};
    struct mu_lifecycle r = lasting(365 * DAY, DAY);

    for (int64_t left_s = 300 * DAY; left_s > -300 * DAY; left_s -= 100 * DAY) {
        struct mu_lifecycle_decision d;

        r = lasting(365 * DAY, left_s);
        d = decide(&r, &p, NOW);
        assert_int_equal(d.action, MU_LIFECYCLE_WAIT);
        assert_int_equal(d.at_s, INT64_MAX);
        assert_int_equal(d.why, MU_M(604));
    }
}

/* E096, S076: 364 renews once, then holds (M602) until a third is left; holding never expires. */
static void who_is_always_due_renews_once_and_holds(void **state)
{
    static const struct {
        int64_t lifetime_s;
        int renew_days;
    } t[] = {{365 * DAY, 364}, {5 * DAY, 7}, {5 * DAY, 4}};

    for (size_t i = 0; i < 3; i++) {
        const struct mu_lifecycle_policy p = {.renew_days = t[i].renew_days, .jitter_percent = 20};
        struct mu_lifecycle r = lasting(t[i].lifetime_s, t[i].lifetime_s);
        struct mu_lifecycle_decision d;
        int64_t at_s;

        assert_in_range(renewal_of(&r, &p), NOW, NOW + HOUR); /* a person's: once */
        r.by_agent = true;
        d = decide(&r, &p, NOW + 2 * HOUR);
        assert_int_equal(d.action, MU_LIFECYCLE_WAIT);
        assert_int_equal(d.why, MU_M(602));
        assert_true(d.held);
        at_s = renewal_of(&r, &p);
        assert_in_range(r.not_after_s - at_s, t[i].lifetime_s / 3 - HOUR, t[i].lifetime_s / 3);
    }
}

/* M603: what the CA would refuse is not asked for. */
static void a_window_of_the_ca_is_waited_for(void **state)
{
    const struct mu_lifecycle_policy p = {.renew_days = 60, .ca_window_s = 7 * DAY};
    struct mu_lifecycle r = lasting(90 * DAY, 50 * DAY);

    assert_int_equal(decide(&r, &p, NOW).why, MU_M(603));
    assert_in_range(r.not_after_s - renewal_of(&r, &p), 7 * DAY - HOUR, 7 * DAY);
}

/* S075: 1 min doubling to 1 h; 6 h, 12 h, daily; jitter is only added; bounded by what is left. */
static void pauses_grow_and_end_before_the_certificate(void **state)
{
    static const struct {
        unsigned unreached, refused;
        int64_t lifetime_s, left_s, pause_s;
    } t[] = {
        {1, 0, 90 * DAY, 20 * DAY, 60},
        {2, 0, 90 * DAY, 20 * DAY, 120},
        {6, 0, 90 * DAY, 20 * DAY, 1920},
        {7, 0, 90 * DAY, 20 * DAY, HOUR},
        {4000000000u, 0, 90 * DAY, 20 * DAY, HOUR},
        {9, 0, 90 * DAY, 2 * HOUR, 40 * 60},
        {9, 0, 90 * DAY, 40 * 60, 30 * 60},
        {9, 0, 90 * DAY, 100, 20 * 60},
        {0, 1, 90 * DAY, 20 * DAY, 6 * HOUR},
        {0, 2, 90 * DAY, 20 * DAY, 12 * HOUR},
        {0, 3, 90 * DAY, 20 * DAY, DAY},
        {0, 90, 90 * DAY, 20 * DAY, DAY},
        {0, 9, 90 * DAY, DAY, 6 * HOUR},
        {9, 0, 2 * HOUR, 30 * 60, 720},
        {0, 5, 20 * HOUR, 6 * HOUR, 90 * 60},
        {0, 5, 90 * DAY, -DAY, DAY}, /* expired */
    };
    const struct mu_lifecycle_policy p = {.renew_days = -1, .jitter_percent = 20};

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        for (uint64_t spread = 0; spread < 50; spread++) {
            struct mu_lifecycle r = lasting(t[i].lifetime_s, t[i].left_s);
            struct mu_lifecycle_decision d;
            int64_t pause_s;

            r.spread = spread;
            r.unreached = t[i].unreached;
            r.refused = t[i].refused;
            r.tried_s = NOW;
            d = decide(&r, &p, NOW);
            pause_s = d.at_s - NOW;
            assert_int_equal(d.action, MU_LIFECYCLE_WAIT);
            if (pause_s < t[i].pause_s || pause_s > t[i].pause_s * 12 / 10)
                fail_msg("row %zu: %lld s", i, (long long)pause_s);
            assert_int_equal(decide(&r, &p, d.at_s).action, MU_LIFECYCLE_RENEW);
        }
    }
}

/* S078: at most two in 24 hours, however wrong the policy; four in a life under 3 days. */
static void the_storm_guard_holds(void **state)
{
    const struct mu_lifecycle_policy p = {.renew_days = -1};
    struct mu_lifecycle r = lasting(90 * DAY, 20 * DAY);

    assert_int_equal(mu_enroll_lifecycle_left(&r, &p, NOW), 2);
    r.answered_s[MU_LIFECYCLE_ANSWERS - 2] = NOW - 5 * HOUR;
    assert_int_equal(mu_enroll_lifecycle_left(&r, &p, NOW), 1);
    assert_int_equal(decide(&r, &p, NOW).action, MU_LIFECYCLE_RENEW);
    r.answered_s[MU_LIFECYCLE_ANSWERS - 1] = NOW - HOUR;
    assert_int_equal(mu_enroll_lifecycle_left(&r, &p, NOW), 0);
    assert_int_equal(decide(&r, &p, NOW).at_s, NOW + 19 * HOUR);
    assert_int_equal(decide(&r, &p, NOW + 19 * HOUR).action, MU_LIFECYCLE_RENEW);

    r = lasting(30 * HOUR, 5 * HOUR);
    assert_int_equal(mu_enroll_lifecycle_left(&r, &p, NOW), 4);
    for (int i = 0; i < 4; i++)
        r.answered_s[MU_LIFECYCLE_ANSWERS - 4 + i] = NOW - (4 - i) * HOUR;
    assert_int_equal(decide(&r, &p, NOW).at_s, NOW + 26 * HOUR);
}

static void what_the_ca_named_is_obeyed(void **state)
{
    const struct mu_lifecycle_policy p = {.renew_days = -1, .jitter_percent = 20};
    struct mu_lifecycle r = lasting(90 * DAY, 20 * DAY);
    struct mu_lifecycle_decision d;

    r.refused = 1;
    r.tried_s = NOW;
    r.wait_until_s = NOW + 5 * DAY;
    d = decide(&r, &p, NOW + 4 * DAY);
    assert_in_range(d.at_s, NOW + 5 * DAY, NOW + 5 * DAY + HOUR);
    assert_int_equal(decide(&r, &p, d.at_s).action, MU_LIFECYCLE_RENEW);
}

/* M801: not in 1970, not before what is known to be past; WARN goes on, IGNORE says nothing. */
static void no_decision_by_a_clock_that_is_wrong(void **state)
{
    struct mu_lifecycle_policy p = {.renew_days = -1, .built_s = NOW - 100};
    struct mu_lifecycle r = {.state = MU_LIFECYCLE_NEW};

    assert_int_equal(decide(&r, &p, 5000).action, MU_LIFECYCLE_WAIT);
    assert_int_equal(decide(&r, &p, 5000).why, MU_M(801));
    assert_int_equal(decide(&r, &p, 5000).at_s, 5060);
    assert_int_equal(decide(&r, &p, NOW).action, MU_LIFECYCLE_ENROLL);
    r.sure_s = NOW + 50;
    assert_int_equal(decide(&r, &p, NOW).why, MU_M(801));
    p.clock = MU_LIFECYCLE_CLOCK_WARN;
    assert_int_equal(decide(&r, &p, NOW).action, MU_LIFECYCLE_ENROLL);
    assert_int_equal(decide(&r, &p, NOW).why, MU_M(801));
    p.clock = MU_LIFECYCLE_CLOCK_IGNORE;
    assert_int_equal(decide(&r, &p, NOW).why, MU_REASON_NONE);
}

/* REN-09, S077: the expired certificate first, then the password, then M607. */
static void expired_ones_are_rescued_in_order(void **state)
{
    struct mu_lifecycle_policy p = {.renew_days = -1};
    struct mu_lifecycle r = lasting(90 * DAY, -DAY);

    assert_int_equal(decide(&r, &p, NOW).action, MU_LIFECYCLE_RENEW);
    assert_int_equal(decide(&r, &p, NOW).why, MU_M(601));
    r.expired_refused = true;
    r.refused = 1;
    r.tried_s = NOW;
    assert_int_equal(decide(&r, &p, NOW).action, MU_LIFECYCLE_WAIT);
    assert_int_equal(decide(&r, &p, NOW).why, MU_M(607));
    p.has_password = true;
    assert_int_equal(decide(&r, &p, NOW + 7 * HOUR).action, MU_LIFECYCLE_ENROLL);
    assert_int_equal(decide(&r, &p, NOW + 7 * HOUR).why, MU_M(601));
}

/* await-result and max-await-result; a CA may name longer, and gets one poll at least. M313. */
static void polls_have_their_pace_and_end(void **state)
{
    const struct mu_lifecycle_policy p = {.renew_days = -1, .jitter_percent = 20};
    struct mu_lifecycle r = {.state = MU_LIFECYCLE_KEYED};
    struct mu_lifecycle_happened pending = {.event = MU_LIFECYCLE_PENDING};
    struct mu_lifecycle_decision d;
    int64_t now_s = NOW;
    unsigned polls = 0;

    mu_enroll_lifecycle_apply(&r, &pending, &p, now_s);
    for (;;) {
        d = decide(&r, &p, now_s);
        if (d.action == MU_LIFECYCLE_POLL) {
            polls++;
            mu_enroll_lifecycle_apply(&r, &pending, &p, now_s);
        } else if (d.at_s != INT64_MAX) {
            assert_in_range(d.at_s - now_s, d.at_s == NOW + HOUR ? 1 : 60, 72);
            now_s = d.at_s;
        } else {
            break;
        }
    }
    assert_int_equal(d.why, MU_M(313));
    assert_in_range(polls, 50, 60);
    assert_int_equal(now_s - NOW, HOUR); /* R014: the last question is asked when the time is over */
    mu_enroll_lifecycle_apply(
        &r, &(struct mu_lifecycle_happened){.event = MU_LIFECYCLE_RESUME}, &p, now_s + DAY);
    r = (struct mu_lifecycle){.state = MU_LIFECYCLE_KEYED};
    pending.retry_after_s = 10 * HOUR;
    mu_enroll_lifecycle_apply(&r, &pending, &p, NOW);
    d = decide(&r, &p, NOW);
    assert_in_range(d.at_s, NOW + 10 * HOUR, NOW + 12 * HOUR);
    assert_int_equal(decide(&r, &p, d.at_s).action, MU_LIFECYCLE_POLL);
    /* the CA names a time behind the end: it is not asked before, and given up at the end */
    r = (struct mu_lifecycle){.state = MU_LIFECYCLE_KEYED};
    pending.retry_after_s = 0;
    mu_enroll_lifecycle_apply(&r, &pending, &p, NOW);
    pending.retry_after_s = 10 * HOUR;
    mu_enroll_lifecycle_apply(&r, &pending, &p, NOW + 70);
    d = decide(&r, &p, NOW + 80);
    assert_int_equal(d.action, MU_LIFECYCLE_WAIT);
    assert_int_equal(d.at_s, NOW + HOUR);
    d = decide(&r, &p, NOW + HOUR);
    assert_int_equal(d.action, MU_LIFECYCLE_WAIT);
    assert_int_equal(d.why, MU_M(313));
}

/* A deployment that failed has its own retry and does not stand in the way of a renewal. */
static void deployments_are_tried_again(void **state)
{
    const struct mu_lifecycle_policy p = {.renew_days = -1};
    struct mu_lifecycle r = lasting(90 * DAY, 80 * DAY);

    r.state = MU_LIFECYCLE_ISSUED;
    assert_int_equal(decide(&r, &p, NOW).action, MU_LIFECYCLE_DEPLOY);
    r.state = MU_LIFECYCLE_FAILED;
    r.not_deployed = 2;
    r.deploy_tried_s = NOW;
    assert_in_range(decide(&r, &p, NOW).at_s, NOW + 120, NOW + 121);
    assert_int_equal(decide(&r, &p, NOW + 121).action, MU_LIFECYCLE_DEPLOY);
    assert_int_equal(decide(&r, &p, NOW + 60 * DAY).action, MU_LIFECYCLE_RENEW);
}

/* S072: one number warns daily from then on, a list once at each, 0 never, auto within the window. */
static void warnings_come_when_they_should(void **state)
{
    static const struct {
        int days[4], n;
        int64_t lifetime_s;
        const char *at; /* whole days left, one letter each: 'a' is 0 */
    } t[] = {
        {{3}, 1, 90 * DAY, "dcba"},
        {{0}, 1, 90 * DAY, ""},
        {{0}, 0, 90 * DAY, ""},
        {{14, 7, 1}, 3, 90 * DAY, "ohb"},
        {{-1}, 1, 90 * DAY, "ohdb"}, /* 45 is outside the window of 30 */
        {{-1}, 1, 10 * DAY, "db"}, /* and 14 and 7 outside that of 3 1/3 */
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct mu_lifecycle_policy p = {.renew_days = -1, .warn_n = t[i].n};
        struct mu_lifecycle r = lasting(t[i].lifetime_s, t[i].lifetime_s);
        char got[64] = "";
        size_t n = 0;

        for (int j = 0; j < t[i].n; j++)
            p.warn_days[j] = t[i].days[j];
        for (int64_t now_s = NOW; now_s < r.not_after_s + DAY; now_s += HOUR) {
            int days = mu_enroll_lifecycle_warning(&r, &p, now_s);

            if (days < 0)
                continue;
            assert_true(n + 1 < sizeof got);
            got[n++] = (char)('a' + days);
            r.warned_s = now_s;
        }
        assert_string_equal(got, t[i].at);
    }
}

static void a_spread_is_stable_and_even(void **state)
{
    unsigned in[10] = {0};

    assert_true(mu_enroll_lifecycle_spread("a", "web") == mu_enroll_lifecycle_spread("a", "web"));
    assert_true(mu_enroll_lifecycle_spread("a", "web") != mu_enroll_lifecycle_spread("aw", "eb"));
    for (uint64_t i = 0; i < 10000; i++)
        in[mu_enroll_lifecycle_share(i, 0, 10)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(in[i], 900, 1100);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_by_days_by_thirds_and_by_percent),
        cmocka_unit_test(zero_means_never),
        cmocka_unit_test(who_is_always_due_renews_once_and_holds),
        cmocka_unit_test(a_window_of_the_ca_is_waited_for),
        cmocka_unit_test(pauses_grow_and_end_before_the_certificate),
        cmocka_unit_test(the_storm_guard_holds),
        cmocka_unit_test(what_the_ca_named_is_obeyed),
        cmocka_unit_test(no_decision_by_a_clock_that_is_wrong),
        cmocka_unit_test(expired_ones_are_rescued_in_order),
        cmocka_unit_test(polls_have_their_pace_and_end),
        cmocka_unit_test(deployments_are_tried_again),
        cmocka_unit_test(warnings_come_when_they_should),
        cmocka_unit_test(a_spread_is_stable_and_even),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
