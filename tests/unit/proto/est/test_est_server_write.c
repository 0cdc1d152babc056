/* Answers of the server engine: 202, refusals and their statuses. */
#include "world.h"

static void post(struct world *w, struct mu_http_response *r)
{
    struct mu_buf body = {0};

    world_csr(w, "CN=device1", KEY_EC, NULL, &body);
    world_ask(w, "POST", "/simpleenroll", NULL, mu_buf_bytes(&body), r);
    mu_buf_clear(&body);
}

/* EST-48: always with Retry-After. */
static void says_202_with_retry_after(void **state)
{
    struct mu_http_response r = {0};
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 2;
    w.retry_after_s = 300;
    post(&w, &r);
    assert_int_equal(r.status, 202);
    assert_string_equal(world_header(&r, "Retry-After"), "300");
    w.retry_after_s = 0;
    post(&w, &r);
    assert_int_equal(r.status, 202);
    assert_string_equal(world_header(&r, "Retry-After"), "60");
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* EST-44, EST-47: a 4xx with the sentence in text/plain. */
static void refuses_with_a_sentence(void **state)
{
    static const struct { enum mu_reason reason; int status; } cases[] = {
        {MU_REFUSE_SUBJECT_DIFFERS, 400},
        {MU_REFUSE_RENEWAL_EARLY, 403},
        {MU_REFUSE_ENTRY_UNKNOWN, 403},
        {MU_REFUSE_SIGNER_REVOKED, 403},
        {MU_REFUSE_RATE, 429},
        {MU_REFUSE_QUEUE_FULL, 503},
        {MU_REFUSE_INTERNAL, 500},
        {MU_REFUSE_PASSWORD_USED, 401},
    };
    struct mu_http_response r = {0};
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        w.refuse = cases[i].reason;
        w.refuse_text = "these words";
        post(&w, &r);
        assert_int_equal(r.status, cases[i].status);
        assert_string_equal(mu_buf_str(&r.body), "these words\n");
        assert_string_equal(world_header(&r, "Content-Type"), "text/plain");
        assert_int_equal(world_header(&r, "WWW-Authenticate")[0] != '\0', cases[i].status == 401);
    }
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* A refusal needs no credential: none could be looked up for a request that cannot be read. */
static void refuses_without_a_credential(void **state)
{
    struct mu_http_request request = {.method = "POST", .target = "/.well-known/est/fullcmc"};
    struct mu_decision decision = {.verdict = MU_VERDICT_REFUSED};
    struct mu_http_response r = {0};
    struct mu_est_server *server = NULL;
    struct mu_claim claim;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(
        mu_est_server_open(&w.env, &request, &server, &claim, &decision.refusal), MU_UNSUPPORTED);
    assert_non_null(server);
    decision.retry_after_s = 5;
    world_ok(mu_est_server_write(server, NULL, &decision, &r, &world_err));
    assert_int_equal(r.status, 501);
    assert_string_equal(world_header(&r, "Retry-After"), "5");
    mu_err_set(&decision.refusal, MU_AUTH, MU_REFUSE_PASSWORD, "wrong");
    mu_http_response_clear(&r);
    world_ok(mu_est_server_write(server, NULL, &decision, &r, &world_err));
    assert_int_equal(r.status, 401);
    assert_true(mu_text_starts(
        world_header(&r, "WWW-Authenticate"), "Basic realm=\"" MU_EST_SERVER_REALM "\""));
    mu_est_server_free(server);
    mu_http_response_clear(&r);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_202_with_retry_after),
        cmocka_unit_test(refuses_with_a_sentence),
        cmocka_unit_test(refuses_without_a_credential),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
