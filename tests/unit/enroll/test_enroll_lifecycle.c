/* The table of states and events, and what is remembered of each event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enroll/enroll_lifecycle.h"

#define NOW 1763660000
#define DAY 86400

static const struct mu_lifecycle_policy policy = {.renew_days = -1, .jitter_percent = 20};

static enum mu_lifecycle_follow apply(
    struct mu_lifecycle *r, enum mu_lifecycle_event event, int64_t now_s)
{
    return mu_enroll_lifecycle_apply(r, &(struct mu_lifecycle_happened){.event = event}, &policy, now_s);
}

static enum mu_lifecycle_follow save(struct mu_lifecycle *r, int64_t now_s, int days, bool deploy)
{
    return mu_enroll_lifecycle_apply(r,
        &(struct mu_lifecycle_happened){.event = MU_LIFECYCLE_SAVED,
            .not_before_s = now_s,
            .not_after_s = now_s + (int64_t)days * DAY,
            .needs_deploy = deploy},
        &policy, now_s);
}

/* The intent is stored before the outside can see anything, the result after it. */
static void a_first_certificate_goes_through_its_states(void **state)
{
    struct mu_lifecycle r = {0};

    assert_int_equal(apply(&r, MU_LIFECYCLE_BEGIN, NOW), MU_LIFECYCLE_STORE);
    assert_int_equal(r.state, MU_LIFECYCLE_NEW);
    assert_int_equal(apply(&r, MU_LIFECYCLE_STORED, NOW), MU_LIFECYCLE_SEND);
    assert_int_equal(r.state, MU_LIFECYCLE_KEYED);
    assert_int_equal(apply(&r, MU_LIFECYCLE_PENDING, NOW), MU_LIFECYCLE_NOTHING);
    assert_int_equal(r.state, MU_LIFECYCLE_REQUESTED);
    assert_int_equal(save(&r, NOW + 100, 90, true), MU_LIFECYCLE_INSTALL);
    assert_int_equal(r.state, MU_LIFECYCLE_ISSUED);
    assert_int_equal(r.pending_since_s, 0);
    assert_true(r.by_agent);
    assert_int_equal(apply(&r, MU_LIFECYCLE_NOT_DEPLOYED, NOW), MU_LIFECYCLE_NOTHING);
    assert_int_equal(r.state, MU_LIFECYCLE_FAILED);
    assert_int_equal(apply(&r, MU_LIFECYCLE_DEPLOYED, NOW), MU_LIFECYCLE_NOTHING);
    assert_int_equal(r.state, MU_LIFECYCLE_INSTALLED);
    assert_int_equal(r.not_deployed, 0);
}

/* A kill after the key was stored: the next BEGIN sends that request and makes no other. */
static void what_is_stored_is_sent_and_not_made_again(void **state)
{
    static const enum mu_lifecycle_state out[] = {
        MU_LIFECYCLE_KEYED, MU_LIFECYCLE_REQUESTED, MU_LIFECYCLE_RENEWING};

    for (size_t i = 0; i < 3; i++) {
        struct mu_lifecycle r = {.state = out[i]};

        assert_int_equal(apply(&r, MU_LIFECYCLE_BEGIN, NOW), MU_LIFECYCLE_SEND);
        assert_int_equal(r.state, out[i]);
    }
}

/* S075: the old pair stays in use. */
static void a_refused_renewal_leaves_the_old_one_in_use(void **state)
{
    struct mu_lifecycle r = {0};

    save(&r, NOW, 90, false);
    r = (struct mu_lifecycle){.state = MU_LIFECYCLE_INSTALLED,
        .not_before_s = NOW,
        .not_after_s = NOW + 90 * DAY};
    assert_int_equal(apply(&r, MU_LIFECYCLE_BEGIN, NOW), MU_LIFECYCLE_STORE);
    assert_int_equal(apply(&r, MU_LIFECYCLE_STORED, NOW), MU_LIFECYCLE_SEND);
    assert_int_equal(r.state, MU_LIFECYCLE_RENEWING);
    assert_int_equal(apply(&r, MU_LIFECYCLE_REFUSED, NOW + 60 * DAY), MU_LIFECYCLE_FORGET);
    assert_int_equal(r.state, MU_LIFECYCLE_INSTALLED);
    assert_int_equal(r.not_after_s, NOW + 90 * DAY);
    assert_int_equal(r.refused, 1);
    assert_int_equal(r.no_left_s, 30 * DAY); /* learned */
    assert_false(r.expired_refused);
    r.state = MU_LIFECYCLE_RENEWING;
    apply(&r, MU_LIFECYCLE_REFUSED, NOW + 91 * DAY);
    assert_true(r.expired_refused);
    assert_int_equal(r.no_left_s, 30 * DAY);
}

/* Polls and what a person starts are not counted; each own request that was answered is, once. */
static void answers_are_counted_once(void **state)
{
    struct mu_lifecycle r = {.state = MU_LIFECYCLE_RENEWING};

    apply(&r, MU_LIFECYCLE_UNREACHED, NOW);
    assert_int_equal(r.answered_s[MU_LIFECYCLE_ANSWERS - 1], 0);
    apply(&r, MU_LIFECYCLE_PENDING, NOW + 1);
    apply(&r, MU_LIFECYCLE_PENDING, NOW + 2);
    save(&r, NOW + 3, 90, false);
    assert_int_equal(r.answered_s[MU_LIFECYCLE_ANSWERS - 1], NOW + 1);
    assert_int_equal(r.answered_s[MU_LIFECYCLE_ANSWERS - 2], 0);
    r.state = MU_LIFECYCLE_RENEWING;
    mu_enroll_lifecycle_apply(&r,
        &(struct mu_lifecycle_happened){.event = MU_LIFECYCLE_REFUSED, .by_person = true}, &policy,
        NOW + 4);
    assert_int_equal(r.answered_s[MU_LIFECYCLE_ANSWERS - 1], NOW + 1);
}

/* REN-05: between a minute and a day; never behind the certificate's end. */
static void times_that_the_ca_names_are_kept_within_reason(void **state)
{
    static const struct {
        int64_t retry_after_s, retry_at_s, want_s; /* behind NOW */
    } t[] = {
        {5, 0, 60},
        {3600, 0, 3600},
        {90 * DAY, 0, DAY},
        {0, 20 * DAY, 20 * DAY},
        {3600, 20 * DAY, 20 * DAY},
        {0, 40 * DAY, 15 * DAY}, /* the certificate ends after 30 */
        {0, 0, -NOW},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct mu_lifecycle r = {.state = MU_LIFECYCLE_RENEWING,
            .not_before_s = NOW - 60 * DAY,
            .not_after_s = NOW + 30 * DAY};

        mu_enroll_lifecycle_apply(&r,
            &(struct mu_lifecycle_happened){.event = MU_LIFECYCLE_REFUSED,
                .retry_after_s = t[i].retry_after_s,
                .retry_at_s = t[i].retry_at_s != 0 ? NOW + t[i].retry_at_s : 0},
            &policy, NOW);
        assert_int_equal(r.wait_until_s, NOW + t[i].want_s);
    }
}

static void files_changed_by_others_are_taken_as_they_are(void **state)
{
    struct mu_lifecycle r = {.state = MU_LIFECYCLE_INSTALLED, .not_after_s = NOW, .refused = 3};
    const struct mu_lifecycle_happened adopted = {.event = MU_LIFECYCLE_ADOPTED,
        .not_before_s = NOW - DAY,
        .not_after_s = NOW + DAY,
        .needs_deploy = true};

    assert_int_equal(
        mu_enroll_lifecycle_apply(&r, &adopted, &policy, NOW), MU_LIFECYCLE_INSTALL);
    assert_int_equal(r.not_after_s, NOW + DAY);
    assert_int_equal(r.refused, 0);
    assert_false(r.by_agent);
    assert_int_equal(apply(&r, MU_LIFECYCLE_LOST, NOW), MU_LIFECYCLE_NOTHING);
    assert_int_equal(r.state, MU_LIFECYCLE_NEW);
    assert_int_equal(r.not_after_s, 0);
}

static void retired_ones_come_back_as_what_they_were(void **state)
{
    struct mu_lifecycle r = {.state = MU_LIFECYCLE_RENEWING};

    assert_int_equal(apply(&r, MU_LIFECYCLE_RETIRE, NOW), MU_LIFECYCLE_NOTHING);
    assert_int_equal(apply(&r, MU_LIFECYCLE_RETIRE, NOW), MU_LIFECYCLE_NOTHING);
    assert_int_equal(r.state, MU_LIFECYCLE_RETIRED);
    save(&r, NOW, 90, false); /* by a person, meanwhile */
    assert_int_equal(r.state, MU_LIFECYCLE_RETIRED);
    assert_int_equal(apply(&r, MU_LIFECYCLE_RESUME, NOW), MU_LIFECYCLE_NOTHING);
    assert_int_equal(r.state, MU_LIFECYCLE_INSTALLED);
}

/* Whatever comes in whatever order: a state of the table, and the pair in use is never forgotten but
 * by LOST. */
static void no_order_of_events_leads_out_of_the_table(void **state)
{
    struct mu_lifecycle r = {0};
    unsigned impossible = 0;

    for (uint64_t i = 0; i < 200000; i++) {
        const struct mu_lifecycle_happened what = {
            .event = (enum mu_lifecycle_event)mu_enroll_lifecycle_share(
                7, i, MU_LIFECYCLE_EVENTS),
            .not_before_s = NOW,
            .not_after_s = NOW + 90 * DAY,
            .needs_deploy = i % 3 == 0};
        bool had = r.not_after_s != 0;
        struct mu_lifecycle before = r;

        if (mu_enroll_lifecycle_apply(&r, &what, &policy, NOW + (int64_t)i)
            == MU_LIFECYCLE_IMPOSSIBLE) {
            impossible++;
            assert_memory_equal(&r, &before, sizeof r);
        }
        assert_in_range(r.state, 0, MU_LIFECYCLE_STATES - 1);
        assert_non_null(mu_enroll_lifecycle_state_word(r.state));
        if (had && what.event != MU_LIFECYCLE_LOST)
            assert_true(r.not_after_s != 0);
        if (r.state == MU_LIFECYCLE_INSTALLED || r.state == MU_LIFECYCLE_FAILED)
            assert_true(r.not_after_s != 0);
    }
    assert_in_range(impossible, 1, 150000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_certificate_goes_through_its_states),
        cmocka_unit_test(what_is_stored_is_sent_and_not_made_again),
        cmocka_unit_test(a_refused_renewal_leaves_the_old_one_in_use),
        cmocka_unit_test(answers_are_counted_once),
        cmocka_unit_test(times_that_the_ca_names_are_kept_within_reason),
        cmocka_unit_test(files_changed_by_others_are_taken_as_they_are),
        cmocka_unit_test(retired_ones_come_back_as_what_they_were),
        cmocka_unit_test(no_order_of_events_leads_out_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
