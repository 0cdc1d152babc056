/*
 * Two simulated years of the agent itself, for two dozen entries with 60-day certificates, a CA that is
 * away for hours and days, busy, and now and then refusing: what fleet_sim promises for decisions alone holds
 * for files, records, jobs and restarts too. No certificate expires, nobody is asked more than twice a
 * day for an entry, no minute sees a rush, and after each outage all is renewed.
 */
#include "watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 24, DAYS = 730, LIFETIME = 60 * DAY };

struct year {
    struct watched *t;
    uint64_t rolls;
    unsigned outages, restarts, refusals, expired;
    unsigned most_in_a_minute;
};

static int64_t roll(struct year *y, int64_t max)
{
    return mu_enroll_lifecycle_share(7, ++y->rolls, max);
}

static void check_all(struct year *y)
{
    int64_t now_s = watched_now(y->t);
    char name[16];

    for (int i = 0; i < ENTRIES; i++) {
        struct mu_agent_life life;

        snprintf(name, sizeof(name), "e%02d", i);
        life = watched_life(y->t, name);
        if (life.life.not_after_s <= now_s)
            y->expired++;
        assert_true(watched_answers(&life, now_s - DAY) <= 2);
        assert_false(life.is_damaged || life.is_missing);
    }
}

static void set_ca(struct year *y, bool away, int http_status, enum mu_reason refuse)
{
    mu_fake_transport_fail(y->t->w->transport, away ? -1 : 0, MU_NETWORK, MU_M(102));
    y->t->w->peer.http_status = http_status;
    y->t->w->peer.refuse = refuse;
}

/* One day, with what happens on it. */
static void day(struct year *y)
{
    struct watched *t = y->t;
    int64_t what = roll(y, 100), left_s = DAY;
    unsigned before = t->w->peer.enrolls;

    if (what < 12) { /* an outage of hours, and of days now and then */
        int64_t for_s = what == 0 ? 3 * DAY : HOUR + roll(y, 20 * HOUR);

        set_ca(y, true, 0, MU_REASON_NONE);
        watched_run(t, for_s);
        y->outages++;
        left_s = for_s < DAY ? DAY - for_s : 0;
        before = t->w->peer.enrolls;
        set_ca(y, false, 0, MU_REASON_NONE);
        watched_run(t, 60);
        if (t->w->peer.enrolls - before > y->most_in_a_minute)
            y->most_in_a_minute = t->w->peer.enrolls - before;
    } else if (what < 18) {
        set_ca(y, false, 503, MU_REASON_NONE);
        watched_run(t, 6 * HOUR);
        left_s -= 6 * HOUR;
    } else if (what < 21) {
        set_ca(y, false, 0, MU_REFUSE_NAME);
        watched_run(t, DAY);
        y->refusals++;
        left_s = 0;
    }
    set_ca(y, false, 0, MU_REASON_NONE);
    if (what >= 90) {
        watched_restart(t);
        y->restarts++;
    }
    watched_run(t, left_s);
}

static void test_two_years(void **state)
{
    struct watched *t = *state;
    struct year y = {.t = t};
    struct mu_buf text = {0};
    unsigned least;

    t->w->peer.lifetime_s = LIFETIME;
    for (int i = 0; i < ENTRIES; i++)
        mu_buf_putf(&text, "[certificate \"e%02d\"]\nca = a\nsubject = /CN=e%02d\n", i, i);
    watched_config(t, mu_buf_str(&text));
    mu_buf_clear(&text);
    watched_run(t, DAY);
    for (int i = 0; i < DAYS; i++) {
        day(&y);
        mu_buf_reset(&t->events);
        mu_fake_loop_trace_reset(t->w->loop);
        check_all(&y);
    }
    assert_int_equal(y.expired, 0);
    assert_true(y.outages > 40 && y.restarts > 40 && y.refusals > 10);
    least = ENTRIES * (DAYS * DAY / LIFETIME);
    assert_in_range(t->w->peer.txn_n, least, least * 3);
    assert_in_range(y.most_in_a_minute, 0, ENTRIES / 2); /* all of them retry within the hour */
    fprintf(stderr, "# %u issues, %u requests, %u outages, %u days of refusals, %u restarts, busiest minute %u\n",
        (unsigned)t->w->peer.txn_n, t->w->peer.enrolls, y.outages, y.refusals, y.restarts, y.most_in_a_minute);
}

#define T(f) cmocka_unit_test_setup_teardown(f, watched_setup, watched_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_two_years)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
