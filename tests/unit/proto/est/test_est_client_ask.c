/* Requests out: passwords by Basic and Digest, never asked for ever. */

#include "world.h"

/* M403 with the schemes offered; never asked twice (IOP-26). */
static void refused_password_ends_it(void **state)
{
    struct mu_secret wrong = {0};
    struct world w;

    (void)state;
    world_init(&w);
    w.wants_password = true;
    world_ok(mu_secret_set(&wrong, mu_bytes_str("wrongpwd"), &world_err));
    w.config.password = &wrong;
    world_failed(world_run(&w, NULL), MU_DENIED, 403, "refused (401)");
    assert_non_null(strstr(mu_err_next_text(&world_err), "Digest (SHA-256), Basic"));
    assert_int_equal(w.posts, 1); /* one guess is one */
    assert_false(world_traced(&w.trace, "wrongpwd"));
    world_clear(&w);
    world_init(&w);
    w.wants_password = true;
    w.config.user = NULL;
    w.config.password = NULL;
    world_failed(world_run(&w, NULL), MU_DENIED, 403, "wants a user and password");
    assert_int_equal(w.posts, 1);
    mu_secret_clear(&wrong);
    world_clear(&w);
}

/* A server that has Digest only: Basic goes unasked, then the challenge is answered on the same
 * connection. */
static void only_digest(struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    struct mu_est_auth_server server
        = {.env = &w->env, .realm = "muster", .nonce_key = w->credential.nonce_key};
    struct mu_http_response all = {0};

    (void)n;
    if (op != MU_EST_SIMPLEENROLL || !mu_text_starts(w->last_authorization, "Basic"))
        return;
    mu_http_response_clear(r);
    r->status = 401;
    world_ok(mu_est_auth_offer(&server, false, &all, &world_err));
    world_ok(mu_http_response_add(r, "WWW-Authenticate", all.headers[0].value, &world_err));
    mu_http_response_clear(&all);
}

static void answers_digest(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.tamper = only_digest;
    world_ok(world_run(&w, NULL));
    assert_true(mu_text_starts(w.last_authorization, "Digest "));
    assert_int_equal(w.posts, 2);
    assert_int_equal(w.connection, 1);
    assert_null(strstr(w.last_authorization, "estpwd"));
    assert_true(world_traced(&w.trace, "est auth: the server asks for HTTP Digest"));
    world_clear(&w);
}

/* A poll comes when the nonce is too old: the server says stale, the client answers the new one. */
static void answers_a_stale_nonce(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.tamper = only_digest;
    w.pending_n = 2;
    w.retry_after_s = 400;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.waits, 1); /* Basic, whose answer was lost, took the other */
    assert_int_equal(w.posts, 2 + 2);
    assert_true(world_traced(&w.server_trace, "not judged, old nonce"));
    world_clear(&w);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_password_ends_it),
        cmocka_unit_test(answers_digest),
        cmocka_unit_test(answers_a_stale_nonce),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
