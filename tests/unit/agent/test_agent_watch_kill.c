/*
 * The agent killed at every call that changes the disk, while it renews and deploys by itself: the pair in
 * use is whole at every moment, the next start goes on with the same transaction, renews and deploys,
 * and leaves nothing over (REN-10, REN-11).
 */
#include "watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "killed.h"

static void expect_clean(struct watched *t, const char *name)
{
    char path[128];

    mu_pki_cert_free(world_latest(t->w, name));
    snprintf(path, sizeof(path), "state/%s.pending", name);
    assert_false(kit_has(t->w->kit, path));
    snprintf(path, sizeof(path), "state/%s.key", name);
    assert_false(kit_has(t->w->kit, path));
    assert_int_equal(kit_count(t->w->kit, ".tmp-"), 0);
}

/* The ones before are left alone. */
static void configure(struct watched *t, const char *name)
{
    struct mu_buf text = {0};

    for (unsigned i = 1; i < (unsigned)atoi(name + 1); i++)
        mu_buf_putf(&text, "[certificate \"%c%u\"]\nca = a\nautomation = no\n", name[0], i);
    mu_buf_putf(&text, "[certificate \"%s\"]\nca = a\nsubject = /CN=%s\nsuccess-script = true\n",
        name, name);
    watched_config(t, mu_buf_str(&text));
    mu_buf_clear(&text);
}

/* Until it is dead, or nothing is left to kill. */
static bool run_until_killed(struct watched *t, unsigned n, int64_t seconds)
{
    for (; seconds > 0 && killed_calls < n; seconds -= 30)
        watched_run(t, 30);
    return killed_calls >= n;
}

static void kill_everywhere(struct watched *t, bool first, unsigned pend, unsigned least)
{
    unsigned n;

    t->w->peer.lifetime_s = 90 * DAY;
    for (n = 1;; n++) {
        struct mu_agent_life life;
        size_t before;
        char name[16];
        bool killed;

        snprintf(name, sizeof(name), "%c%u", first ? 'f' : 'r', n);
        t->deploys = 0;
        if (!first) {
            t->w->peer.pend = 0;
            configure(t, name);
            watched_run(t, 60);
            life = watched_life(t, name);
            assert_int_equal(life.life.state, MU_LIFECYCLE_INSTALLED);
            mu_fake_loop_set_now(t->w->loop, life.life.not_after_s - 30 * DAY + 2 * HOUR);
            t->deploys = 0;
        }
        t->w->peer.pend = pend;
        before = t->w->peer.txn_n;
        if (first)
            configure(t, name);
        killed_calls = 0;
        killed_at = n;
        killed = run_until_killed(t, n, 15 * 60);
        killed_at = 0;
        if (!first) /* at every moment a pair in use */
            mu_pki_cert_free(world_latest(t->w, name));
        watched_restart(t);
        watched_run(t, 2 * HOUR);
        life = watched_life(t, name);
        if (life.life.state != MU_LIFECYCLE_INSTALLED || t->deploys == 0)
            fail_msg("killed at %u: %s, %u deployments", n,
                mu_enroll_lifecycle_state_word(life.life.state), t->deploys);
        assert_true(life.life.not_after_s > watched_now(t) + 80 * DAY);
        assert_int_equal(t->w->peer.txn_n, before + 1);
        assert_true(life.life.by_agent);
        expect_clean(t, name);
        if (!killed)
            break;
    }
    assert_true(n > least);
}

static void test_first_enrollment_killed_anywhere(void **state)
{
    kill_everywhere(*state, true, 0, 40);
}

static void test_renewal_killed_anywhere(void **state)
{
    kill_everywhere(*state, false, 0, 40);
}

static void test_pending_renewal_killed_anywhere(void **state)
{
    kill_everywhere(*state, false, 1, 50);
}

#define T(f) cmocka_unit_test_setup_teardown(f, watched_setup, watched_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_first_enrollment_killed_anywhere),
        T(test_renewal_killed_anywhere),
        T(test_pending_renewal_killed_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
