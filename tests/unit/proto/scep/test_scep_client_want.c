/* What the engine wants of its driver: how long to wait and when to give up, what goes by POST and
 * GET, what has to be stored before it is sent. */
#include "world.h"

/* SCEP-64: interval, time and number bound the polling. */
static void polling_is_bounded(void **state)
{
    static const struct { int64_t await_s, max_s; unsigned max_polls, sent; } rows[] = {
        {60, 600, 0, 11}, /* by time */
        {60, 90, 0, 3},   /* the last wait is cut to what is left */
        {60, 3600, 1, 2}, /* by number */
        {2, 6, 0, 4},     /* R085 */
        {0, 0, 0, 61},    /* 60 s for an hour by default */
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        enum mu_code rc;

        world_init(&w);
        w.pending_n = 1000;
        w.config.await_s = rows[i].await_s;
        w.config.max_await_s = rows[i].max_s;
        w.config.max_polls = rows[i].max_polls;
        rc = world_run(&w, NULL);
        world_failed(rc, MU_PENDING, 313, "still pending");
        assert_int_equal(w.sent, rows[i].sent);
        world_clear(&w);
    }
}

static void no_wait_stops_at_the_first_pending(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.pending_n = 1;
    w.config.no_wait = true;
    world_failed(world_run(&w, &client), MU_PENDING, 0, "PENDING");
    mu_scep_client_result(client, &result);
    assert_true(result.pending);
    assert_int_equal(result.pki_status, MU_SCEP_PENDING);
    assert_int_equal(w.waits, 0);
    mu_scep_client_free(client);
    world_clear(&w);
}

/* The CA will remember requests and polls, so the engine is stored first; queries leave no trace. */
static void only_what_the_ca_remembers_is_stored(void **state)
{
    struct world w;
    struct mu_pki_cert *own;

    (void)state;
    world_init(&w);
    world_ok(world_run(&w, NULL));
    assert_true(w.stored.n > 0);
    own = mu_pki_cert_ref(w.issued);
    mu_buf_clear(&w.stored);
    w.config.op = MU_SCEP_CLIENT_CERT;
    w.config.signer_cert = own;
    w.config.signer_key = world_key(KEY_CLIENT);
    w.config.serial = own->serial;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.stored.n, 0);
    mu_pki_cert_free(own);
    world_clear(&w);
}

/* SCEP-08: POST is the raw message with its media type. */
static void post_is_the_raw_message(void **state)
{
    struct world w;
    struct mu_scep_client *client = NULL;
    struct mu_step step;

    (void)state;
    world_init(&w);
    w.config.skip_caps = true;
    w.config.known_caps = mu_scep_caps_parse(mu_bytes_str("SCEPStandard"));
    w.config.ca_certs = &w.chain;
    world_ok(mu_scep_client_new(&w.config, &client, &world_err));
    world_ok(mu_scep_client_start(client, &step, &world_err));
    assert_int_equal(step.want, MU_WANT_SEND);
    assert_true(step.remember);
    assert_string_equal(step.request.method, "POST");
    assert_string_equal(step.request.target, WORLD_URL "?operation=PKIOperation");
    assert_int_equal(step.request.header_n, 1);
    assert_string_equal(step.request.headers[0].value, "application/x-pki-message");
    assert_int_equal(step.request.body.p[0], MU_DER_SEQUENCE);
    mu_scep_client_free(client);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polling_is_bounded),
        cmocka_unit_test(no_wait_stops_at_the_first_pending),
        cmocka_unit_test(only_what_the_ca_remembers_is_stored),
        cmocka_unit_test(post_is_the_raw_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
