/* The client engine against the server engine in memory: enrollment and polling. */
#include <stdio.h>

#include "world.h"

/* EST-03, EST-39, E043, E071: order and paths; Basic comes with the POST, unasked. */
static void enrolls_on_one_connection(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client;
    struct world w;

    (void)state;
    world_init(&w);
    w.wants_password = true;
    world_ok(world_run(&w, &client));
    assert_string_equal(w.urls,
        "GET " WORLD_URL "/.well-known/est/cacerts\n"
        "GET " WORLD_URL "/.well-known/est/csrattrs\n"
        "POST " WORLD_URL "/.well-known/est/simpleenroll\n");
    assert_true(mu_text_starts(w.last_authorization, "Basic "));
    assert_int_equal(w.connection, 1);
    assert_true(w.last_authenticated);
    mu_est_client_result(client, &r);
    assert_non_null(r.cert);
    assert_true(mu_bytes_equal(r.cert->spki, mu_pki_key_spki(world_key(KEY_EC))));
    assert_int_equal(r.chain->n, 1);
    assert_int_equal(r.status, 200);
    assert_int_equal(w.saves, 1);
    mu_est_client_free(client);
    world_clear(&w);
}

/* EST-48, EST-49, EST-50: 202 with Retry-After, the same request again. */
static void polls_after_202(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client;
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 3;
    w.retry_after_s = 120;
    world_ok(world_run(&w, &client));
    assert_int_equal(w.waits, 3);
    assert_int_equal(w.last_wait_s, 120);
    assert_int_equal(w.posts, 4);
    assert_int_equal(w.exchanges[MU_EST_CSRATTRS], 1);
    mu_est_client_result(client, &r);
    assert_int_equal(r.polls, 3);
    assert_false(r.pending);
    world_trace_has(&w.trace, "est poll: again in 120 s, for at most 60 min\n");
    mu_est_client_free(client);
    world_clear(&w);
}

static const char *only_retry;

static void with_retry(struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    (void)w;
    (void)n;
    if (op != MU_EST_SIMPLEENROLL || r->status != 202)
        return;
    mu_http_response_clear(r);
    r->status = 202;
    if (only_retry != NULL)
        world_ok(mu_http_response_add(r, "Retry-After", only_retry, &world_err));
}

/* EST-49: seconds or a date; without one, or with nonsense, a default; never earlier than it says. */
static void waits_as_long_as_it_is_told(void **state)
{
    static const struct { const char *value; int64_t wait_s; const char *next; } cases[] = {
        {"90", 90, NULL}, {"Wed, 01 Jul 2026 12:05:00 GMT", 300, NULL}, {NULL, 60, NULL}, {"soon", 60, NULL},
        {"-5", 60, NULL}, {"Wed, 01 Jul 2020 12:00:00 GMT", 60, NULL},
        {"7200", 0, "come back in 2 h"},
        {"2592001", 0, "come back in 30 d"}, {"99999999999999999999999", 0, "come back in 30 d"},
    };
    struct world w;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_init(&w);
        w.now_s = 1782907200; /* 2026-07-01 12:00:00 */
        w.config.await_s = 60;
        w.pending_n = 1;
        w.tamper = with_retry;
        only_retry = cases[i].value;
        if (cases[i].next == NULL) {
            world_ok(world_run(&w, NULL));
            assert_int_equal(w.last_wait_s, cases[i].wait_s);
        } else {
            world_failed(world_run(&w, NULL), MU_PENDING, 313, NULL);
            assert_non_null(strstr(mu_err_next_text(&world_err), cases[i].next));
        }
        assert_int_equal(w.waits, cases[i].next == NULL);
        world_clear(&w);
    }
}

static void pending_ends(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 100;
    w.retry_after_s = 600;
    world_failed(world_run(&w, NULL), MU_PENDING, 313, "still pending after 60 min and 6 polls");
    world_clear(&w);
    world_init(&w);
    w.pending_n = 1;
    w.retry_after_s = 90;
    w.config.no_wait = true;
    world_failed(world_run(&w, NULL), MU_PENDING, 404, "come back in 1 min 30 s");
    world_clear(&w);
    world_init(&w); /* asking sooner than allowed is no use */
    w.pending_n = 1;
    w.retry_after_s = 7200;
    world_failed(world_run(&w, NULL), MU_PENDING, 313, NULL);
    assert_non_null(strstr(mu_err_next_text(&world_err), "come back in 2 h"));
    assert_int_equal(w.waits, 0);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enrolls_on_one_connection),
        cmocka_unit_test(polls_after_202),
        cmocka_unit_test(waits_as_long_as_it_is_told),
        cmocka_unit_test(pending_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
