/* challengePassword as the channel binding of a TLS session. */
#include "world.h"

static const struct mu_bytes unique = {(const uint8_t *)"0123456789ab", 12};
static const struct mu_bytes exporter = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32};

/* EST-52, EST-58: base64 of the value. */
static void is_base64_of_the_binding(void **state)
{
    struct mu_secret challenge = {0};

    (void)state;
    world_ok(mu_est_link_make(unique, &challenge, &world_err));
    assert_string_equal((const char *)challenge.p, "MDEyMzQ1Njc4OWFi");
    world_ok(mu_est_link_make(exporter, &challenge, &world_err));
    assert_int_equal(challenge.n, 44);
    mu_secret_clear(&challenge);
}

static enum mu_code check(const char *challenge, struct mu_bytes u, struct mu_bytes e)
{
    struct mu_http_peer peer = {.tls = true, .tls_unique = u, .tls_exporter = e};
    struct mu_secret secret = {0};
    enum mu_code rc;

    world_ok(mu_secret_set(&secret, mu_bytes_str(challenge), &world_err));
    rc = mu_est_link_check(&secret, &peer, &world_err);
    mu_secret_clear(&secret);
    return rc;
}

/* EST-54: another session's is refused. */
static void counts_for_this_connection_only(void **state)
{
    const struct mu_bytes none = {NULL, 0};

    (void)state;
    world_ok(check("MDEyMzQ1Njc4OWFi", unique, none));
    world_ok(check("MDEyMzQ1Njc4OWFi\r\n", unique, exporter));
    world_ok(check("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", none, exporter));
    world_failed(check("MDEyMzQ1Njc4OWFj", unique, exporter), MU_AUTH, MU_REFUSE_LINK, "another connection");
    world_failed(check("MDEyMzQ1Njc4OWE=", unique, exporter), MU_AUTH, MU_REFUSE_LINK, NULL);
    world_failed(check("a secret word", unique, exporter), MU_AUTH, MU_REFUSE_LINK, NULL);
    world_failed(check("MDEyMzQ1Njc4OWFi", none, exporter), MU_AUTH, MU_REFUSE_LINK, NULL);
    world_failed(check("MDEyMzQ1Njc4OWFi", none, none), MU_AUTH, MU_REFUSE_LINK, "no channel binding");
    assert_int_equal(mu_est_link_check(&(struct mu_secret){0}, NULL, &world_err), MU_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_base64_of_the_binding),
        cmocka_unit_test(counts_for_this_connection_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
