/* An engine that is stored and goes on in another process; what waits; what does not fit. */
#include "world.h"

/* Stopped right before the POST: the same key and names, from the start. */
static void goes_on_after_a_restart(void **state)
{
    struct mu_est_client *client = NULL;
    struct world w;

    (void)state;
    world_init(&w);
    w.config.key = world_key(KEY_EC);
    w.stop_before_post = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    assert_true(w.stored.n != 0);
    world_subject(&w, "CN=changed meanwhile");
    w.stop_before_post = 0;
    world_ok(mu_est_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err));
    world_ok(world_drive(&w, client));
    assert_true(world_traced(&w.trace, "est cert: version 3, serial 476825 (0x74699), issuer CN=estExampleCA, "
                                       "subject CN=firewall-portal1,DC=local,DC=COM"));
    mu_est_client_free(client);
    world_clear(&w);
}

/* No secret is in it. */
static void holds_no_secret(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.stop_before_post = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    assert_null(memmem(w.stored.p, w.stored.n, "estpwd", 6));
    assert_null(memmem(w.stored.p, w.stored.n, "ZXN0cHdk", 8));
    world_clear(&w);
}

/* Waiting goes on where it stopped: polls and time count. */
static void remembers_how_long_it_waited(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client = NULL;
    struct world w;

    (void)state;
    world_init(&w);
    w.config.key = world_key(KEY_EC);
    w.pending_n = 100;
    w.retry_after_s = 600;
    w.stop_before_post = 4; /* three polls of ten minutes */
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    w.stop_before_post = 0;
    world_ok(mu_est_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err));
    mu_est_client_result(client, &r);
    assert_true(r.pending);
    assert_int_equal(r.polls, 4);
    world_failed(world_drive(&w, client), MU_PENDING, 313, "60 min");
    mu_est_client_free(client);
    world_clear(&w);
}

static void refuses_what_does_not_fit(void **state)
{
    struct mu_est_client *client = NULL;
    struct mu_buf damaged = {0};
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    w.config.key = world_key(KEY_EC);
    w.stop_before_post = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    for (i = 0; i < w.stored.n; i++) {
        mu_buf_clear(&damaged);
        mu_buf_put_bytes(&damaged, mu_buf_bytes(&w.stored));
        damaged.p[i] ^= 0x10;
        assert_int_equal(
            mu_est_client_restore(&w.config, mu_buf_bytes(&damaged), &client, &world_err), MU_INPUT);
        assert_null(client);
    }
    mu_buf_clear(&damaged);
    w.config.reenroll = true;
    world_failed(mu_est_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err),
        MU_INPUT, 0, "another kind");
    w.config.reenroll = false;
    w.stop_before_post = 0;
    w.config.key = world_key(KEY_OTHER);
    world_ok(mu_est_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err));
    world_failed(world_drive(&w, client), MU_INPUT, 708, "another key");
    mu_est_client_free(client);
    world_clear(&w);
}

/* Events nobody asked for are a fault of the driver, not of the peer. */
static void takes_only_answers_to_its_wants(void **state)
{
    struct mu_event event = {.type = MU_EVENT_SAVED};
    struct mu_est_client *client = NULL;
    struct mu_step next;
    struct world w;

    (void)state;
    world_init(&w);
    world_ok(mu_est_client_new(&w.config, &client, &world_err));
    assert_int_equal(mu_est_client_step(client, &event, &next, &world_err), MU_INTERNAL);
    world_ok(mu_est_client_start(client, &next, &world_err));
    assert_int_equal(mu_est_client_start(client, &next, &world_err), MU_INTERNAL);
    mu_est_client_free(client);
    mu_est_client_free(NULL);
    w.config.url = NULL;
    world_failed(mu_est_client_new(&w.config, &client, &world_err), MU_INPUT, 0, "URL");
    w.config.url = "http://h";
    world_failed(mu_est_client_new(&w.config, &client, &world_err), MU_INPUT, 201, NULL);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_after_a_restart),
        cmocka_unit_test(holds_no_secret),
        cmocka_unit_test(remembers_how_long_it_waited),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(takes_only_answers_to_its_wants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
