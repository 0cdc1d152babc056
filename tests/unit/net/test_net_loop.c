/* The event loop: timers, posts from other threads, helper threads, signals. */
#include "net/net_loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"

static struct mu_loop *loop;
static struct mu_buf seen;
static pthread_t loop_thread;

static int setup(void **state)
{
    loop_thread = pthread_self();
    return mu_net_loop_new(&loop, NULL) == MU_OK ? 0 : -1;
}

static int teardown(void **state)
{
    mu_net_loop_free(loop);
    loop = NULL;
    mu_buf_clear(&seen);
    return 0;
}

static void note(void *cookie)
{
    mu_buf_put_str(&seen, cookie);
}

static void stop(void *cookie)
{
    mu_loop_stop(loop);
}

static char word_a[] = "a", word_b[] = "b", word_c[] = "c";

static void timers_fire_in_their_order(void **state)
{
    struct mu_loop_timer *t[4] = {mu_loop_after(loop, 30, note, word_c),
        mu_loop_after(loop, 0, note, word_a), mu_loop_after(loop, 10, note, word_b),
        mu_loop_after(loop, 40, stop, NULL)};

    mu_loop_run(loop);
    assert_string_equal(mu_buf_str(&seen), "abc");
    for (int i = 0; i < 4; i++)
        mu_loop_timer_free(loop, t[i]);
    mu_loop_timer_free(loop, NULL);
}

static void a_freed_timer_does_not_fire(void **state)
{
    struct mu_loop_timer *t = mu_loop_after(loop, 1, note, word_a);
    struct mu_loop_timer *end = mu_loop_after(loop, 20, stop, NULL);
    struct mu_loop_timer *late = mu_loop_after(loop, 3600000, note, word_b);

    mu_loop_timer_free(loop, t);
    mu_loop_run(loop);
    assert_string_equal(mu_buf_str(&seen), "");
    mu_loop_timer_free(loop, late);
    mu_loop_timer_free(loop, end);
}

static struct mu_loop_timer *own;

static void free_own(void *cookie)
{
    mu_loop_timer_free(loop, own);
    own = NULL;
    mu_loop_stop(loop);
}

static void a_timer_may_be_freed_in_its_call(void **state)
{
    own = mu_loop_after(loop, 0, free_own, NULL);
    mu_loop_run(loop);
    assert_null(own);
}

enum { POSTERS = 4, POSTS = 500 };
static unsigned posts_seen;

static void count_post(void *cookie)
{
    assert_true(pthread_equal(pthread_self(), loop_thread));
    if (++posts_seen == POSTERS * POSTS)
        mu_loop_stop(loop);
}

static void *poster(void *cookie)
{
    for (int i = 0; i < POSTS; i++)
        if (mu_loop_post(loop, count_post, NULL) != MU_OK)
            abort();
    return NULL;
}

static void posts_from_many_threads_all_arrive(void **state)
{
    pthread_t t[POSTERS];

    posts_seen = 0;
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, poster, NULL), 0);
    mu_loop_run(loop);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(posts_seen, POSTERS * POSTS);
}

struct piece {
    unsigned in, out;
    bool on_helper;
};
static unsigned pieces_done;

static void square(void *cookie)
{
    struct piece *p = cookie;

    p->out = p->in * p->in;
    p->on_helper = !pthread_equal(pthread_self(), loop_thread);
}

static void piece_done(void *cookie)
{
    assert_true(pthread_equal(pthread_self(), loop_thread));
    if (++pieces_done == 50)
        mu_loop_stop(loop);
}

static void work_runs_on_helpers_and_is_done_on_the_loop(void **state)
{
    struct piece p[50] = {{0}};

    pieces_done = 0;
    for (unsigned i = 0; i < 50; i++) {
        p[i].in = i;
        assert_int_equal(mu_loop_work(loop, square, piece_done, &p[i]), MU_OK);
    }
    mu_loop_run(loop);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(p[i].out, i * i);
        assert_true(p[i].on_helper);
    }
}

static pthread_barrier_t both;

static void meet(void *cookie)
{
    pthread_barrier_wait(&both);
}

static void meeting_done(void *cookie)
{
    if (++pieces_done == 2)
        mu_loop_stop(loop);
}

/* Two jobs that wait for each other: one slow key must not stop another. */
static void two_jobs_run_side_by_side(void **state)
{
    pieces_done = 0;
    pthread_barrier_init(&both, NULL, 2);
    assert_int_equal(mu_loop_work(loop, meet, meeting_done, NULL), MU_OK);
    assert_int_equal(mu_loop_work(loop, meet, meeting_done, NULL), MU_OK);
    mu_loop_run(loop);
    pthread_barrier_destroy(&both);
}

static void nothing(void *cookie)
{
}

/* Nothing is called after free, and nothing leaks (the sanitizer looks). */
static void free_drops_what_is_left(void **state)
{
    for (int i = 0; i < 100; i++)
        assert_int_equal(mu_loop_work(loop, nothing, note, word_a), MU_OK);
    assert_int_equal(mu_loop_post(loop, note, word_a), MU_OK);
    mu_net_loop_free(loop);
    loop = NULL;
    assert_string_equal(mu_buf_str(&seen), "");
}

static void note_and_stop(void *cookie)
{
    note(cookie);
    mu_loop_stop(loop);
}

static void raise_usr1(void *cookie)
{
    kill(getpid(), SIGUSR1);
}

static void signals_arrive_on_the_loop(void **state)
{
    assert_int_equal(mu_net_loop_on_signal(loop, SIGUSR1, note_and_stop, word_a, NULL), MU_OK);
    assert_int_equal(mu_loop_post(loop, raise_usr1, NULL), MU_OK);
    mu_loop_run(loop);
    assert_string_equal(mu_buf_str(&seen), "a");
}

static void a_ninth_signal_is_refused(void **state)
{
    struct mu_err err = {0};

    for (int i = 0; i < 8; i++)
        assert_int_equal(mu_net_loop_on_signal(loop, SIGUSR1, note, word_a, NULL), MU_OK);
    assert_int_equal(mu_net_loop_on_signal(loop, SIGUSR1, note, word_a, &err), MU_MEMORY);
}

static void run_may_be_called_again(void **state)
{
    assert_int_equal(mu_loop_post(loop, stop, NULL), MU_OK);
    mu_loop_run(loop);
    assert_int_equal(mu_loop_post(loop, note, word_b), MU_OK);
    assert_int_equal(mu_loop_post(loop, stop, NULL), MU_OK);
    mu_loop_run(loop);
    assert_string_equal(mu_buf_str(&seen), "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_freed_timer_does_not_fire, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_may_be_freed_in_its_call, setup, teardown),
        cmocka_unit_test_setup_teardown(posts_from_many_threads_all_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(work_runs_on_helpers_and_is_done_on_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(two_jobs_run_side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(free_drops_what_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_arrive_on_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ninth_signal_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(run_may_be_called_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
