/* What a 200 holds: certificates of other keys and CAs, chains, bare ones, and saving. */

#include "world.h"

static void certificate_of_another_key(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.issue_wrong_key = true;
    world_failed(world_run(&w, NULL), MU_AUTH, 214, "another key");
    assert_int_equal(w.saves, 0);
    world_clear(&w);
}

static void other_issuer(struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    struct mu_pki_certs list = {0};
    struct mu_buf der = {0}, text = {0};
    struct mu_pki_cert *cert;

    (void)w;
    (void)n;
    if (op != MU_EST_SIMPLEENROLL)
        return;
    cert = world_cert(&(struct world_cert){
        .subject = "CN=x", .issuer = "CN=other", .key = KEY_EC, .issuer_key = KEY_CA});
    world_ok(mu_pki_certs_add(&list, cert, &world_err));
    world_ok(mu_est_msg_certs_encode(&list, &der, &world_err));
    mu_est_body_encode(&text, mu_buf_bytes(&der), true);
    mu_http_response_clear(r);
    world_ok(mu_http_response_set(r, 200, NULL, mu_buf_bytes(&text), &world_err));
    mu_pki_certs_clear(&list);
    mu_pki_cert_free(cert);
    mu_buf_clear(&der);
    mu_buf_clear(&text);
}

static void certificate_of_another_ca(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.tamper = other_issuer;
    world_failed(world_run(&w, NULL), MU_AUTH, 213, "does not verify");
    assert_int_equal(w.saves, 0);
    world_clear(&w);
}

/* EST-40, IOP-22: chain besides the leaf, raw DER, a bare certificate. */
static void raw_and_bare(struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    (void)n;
    if (op != MU_EST_SIMPLEENROLL)
        return;
    mu_http_response_clear(r);
    world_ok(mu_http_response_set(r, 200, NULL, w->issued->der, &world_err));
}

static void takes_chains_and_bare_certificates(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.credential.chain_in_reply = true;
    world_ok(world_run(&w, NULL));
    assert_true(world_traced(&w.trace, "bytes, base64, 2 certificates"));
    world_clear(&w);
    world_init(&w);
    w.tamper = raw_and_bare;
    world_ok(world_run(&w, NULL));
    world_clear(&w);
}

static void cannot_be_saved(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.save_fails = true;
    world_failed(world_run(&w, NULL), MU_STORAGE, 0, "disk full");
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate_of_another_key),
        cmocka_unit_test(certificate_of_another_ca),
        cmocka_unit_test(takes_chains_and_bare_certificates),
        cmocka_unit_test(cannot_be_saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
