/* Pins, known CAs, questions, and paths to what is trusted (SCEP-29..31, S068, M209, M211, M212). */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"

/* root -> issuing CA; GetCACert gives both, or the issuing one alone. */
static void make_intermediate(struct world *w, bool send_root)
{
    w->root = world_cert(&(struct world_cert){.subject = "/CN=root", .key = KEY_RA, .is_ca = true,
        .serial = 0x9000});
    mu_pki_certs_clear(&w->chain);
    mu_pki_cert_free(w->ca);
    w->ca = world_cert(&(struct world_cert){.subject = "/CN=issuing", .issuer = "/CN=root",
        .key = KEY_CA, .issuer_key = KEY_RA, .is_ca = true, .serial = 0x9001});
    world_ok(mu_pki_certs_add(&w->chain, w->ca, &world_err));
    if (send_root)
        world_ok(mu_pki_certs_add(&w->chain, w->root, &world_err));
    w->credential.cert = w->ca;
}

static void a_pin_decides(void **state)
{
    struct world w;
    uint8_t pin[32];

    (void)state;
    world_init(&w);
    w.config.trusted = NULL;
    w.config.trusted_as = NULL;
    w.say_no = true; /* nobody is asked */
    memcpy(pin, w.ca->sha256, sizeof pin);
    w.config.pin_sha256 = pin;
    world_ok(world_run(&w, NULL));
    world_trace_has(&w.trace,
        "scep trust: the pinned SHA-256 matches\n"
        "scep ca: [1] trusted by its pin, loaded for signing and encryption");
    pin[31] ^= 1;
    w.sent = 0;
    world_failed(world_run(&w, NULL), MU_AUTH, 211, "pinned is ");
    assert_int_equal(w.sent, 0);
    world_clear(&w);
}

static void the_pin_may_name_root_or_issuing_ca(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    make_intermediate(&w, true);
    w.config.trusted = NULL;
    w.config.pin_sha256 = w.root->sha256;
    world_ok(world_run(&w, NULL));
    w.config.pin_sha256 = w.ca->sha256;
    world_ok(world_run(&w, NULL));
    world_clear(&w);
}

/* A CA of the same name but another key does not pass under a pinned root. */
static void a_false_ca_beside_a_pinned_root_is_found(void **state)
{
    struct world w;
    struct mu_pki_cert *root;

    (void)state;
    world_init(&w);
    make_intermediate(&w, false);
    root = world_cert(&(struct world_cert){
        .subject = "/CN=root", .key = KEY_OTHER, .is_ca = true, .serial = 0x9002});
    world_ok(mu_pki_certs_add(&w.chain, root, &world_err));
    w.config.trusted = NULL;
    w.config.pin_sha256 = root->sha256;
    assert_int_equal(world_run(&w, NULL), MU_AUTH);
    assert_int_equal(w.sent, 0);
    mu_pki_cert_free(root);
    world_clear(&w);
}

/* D: never silently. No answer "yes", no request; the SHA-256 to compare is told. */
static void an_unknown_ca_is_asked_about(void **state)
{
    struct world w;
    struct mu_buf print = {0};

    (void)state;
    world_init(&w);
    w.config.trusted = NULL;
    w.config.trusted_as = NULL;
    world_ok(world_run(&w, NULL));
    w.say_no = true;
    w.sent = 0;
    world_failed(world_run(&w, NULL), MU_AUTH, 209, "CN=sceptest");
    assert_int_equal(w.sent, 0);
    assert_true(mu_pki_cert_fingerprint(w.ca, MU_PKI_SHA256, &print));
    assert_non_null(strstr(mu_err_next_text(&world_err), mu_buf_str(&print)));
    mu_buf_clear(&print);
    world_clear(&w);
}

static void another_ca_than_the_known_one_is_refused(void **state)
{
    struct world w;
    struct mu_pki_certs known = {0};
    struct mu_pki_cert *other;

    (void)state;
    world_init(&w);
    other = world_cert(&(struct world_cert){
        .subject = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_OTHER, .is_ca = true});
    world_ok(mu_pki_certs_add(&known, other, &world_err));
    w.config.trusted = &known;
    world_failed(world_run(&w, NULL), MU_AUTH, 209, "not known here");
    assert_int_equal(w.sent, 0);
    mu_pki_cert_free(other);
    mu_pki_certs_clear(&known);
    world_clear(&w);
}

/* S068. */
static void an_intermediate_ca_needs_its_root(void **state)
{
    struct world w;
    struct mu_pki_certs known = {0};

    (void)state;
    world_init(&w);
    make_intermediate(&w, false);
    w.config.trusted = NULL;
    world_failed(world_run(&w, NULL), MU_AUTH, 212, "CN=root");
    world_ok(mu_pki_certs_add(&known, w.ca, &world_err));
    w.config.trusted = &known;
    world_failed(world_run(&w, NULL), MU_AUTH, 212, "CN=root");
    assert_int_equal(w.sent, 0);
    world_ok(mu_pki_certs_add(&known, w.root, &world_err));
    world_ok(world_run(&w, NULL));
    mu_pki_certs_clear(&known);
    world_clear(&w);
}

static void an_expired_ca_is_not_used(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.now_s = WORLD_NOW + 366 * INT64_C(86400);
    assert_int_equal(world_run(&w, NULL), MU_AUTH);
    assert_non_null(strstr(world_err.what, "expired"));
    assert_int_equal(w.sent, 0);
    world_clear(&w);
}

/* Provisioned certificates need no GetCACert and no question (SCEP-29). */
static void given_certificates_are_trusted(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    make_intermediate(&w, false);
    w.config.ca_certs = &w.chain;
    w.config.trusted = NULL;
    w.say_no = true;
    world_ok(world_run(&w, NULL));
    assert_false(world_traced(&w.trace, "Reply type"));
    world_clear(&w);
}

/* An RA of another CA must not get the challenge. */
static void a_foreign_ra_is_refused(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.ra = world_cert(&(struct world_cert){.subject = "/CN=RA", .issuer = "/CN=elsewhere",
        .key = KEY_RA, .issuer_key = KEY_OTHER,
        .key_usage = MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT});
    world_ok(mu_pki_certs_add(&w.ras, w.ra, &world_err));
    world_failed(world_run(&w, NULL), MU_AUTH, 209, "RA \"CN=RA\"");
    assert_int_equal(w.sent, 0);
    world_clear(&w);
}

/* An issued certificate is not lost because there is no room for all CAs to look for its chain. */
static void as_many_trusted_cas_as_there_may_be(void **state)
{
    struct world w;
    struct mu_pki_certs all = {.n = 0};
    char subject[32];
    unsigned i;

    (void)state;
    world_init(&w);
    for (i = 1; i < MU_LIMIT_CERTS; i++) {
        struct mu_pki_cert *cert;

        snprintf(subject, sizeof subject, "/CN=CA %u", i);
        cert = world_cert(
            &(struct world_cert){.subject = subject, .key = KEY_OTHER, .is_ca = true, .serial = i});
        world_ok(mu_pki_certs_add(&all, cert, &world_err));
        mu_pki_cert_free(cert);
    }
    world_ok(mu_pki_certs_add(&all, w.ca, &world_err));
    w.config.trusted = &all;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.saves, 1);
    mu_pki_certs_clear(&all);
    world_clear(&w);
}

/* SCEP-31: before each use, so also before a poll and after a restart. */
static void a_ca_that_expires_while_waiting_is_not_used(void **state)
{
    struct mu_scep_client *client = NULL;
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 100;
    w.config.await_s = 200 * INT64_C(86400);
    w.config.max_await_s = 1000 * INT64_C(86400);
    assert_int_equal(world_run(&w, NULL), MU_AUTH);
    assert_non_null(strstr(world_err.what, "expired"));
    assert_int_equal(w.sent, 2); /* the request, one poll after 200 days, none after 400 */
    world_clear(&w);

    world_init(&w);
    w.stop_before_send = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    w.stop_before_send = 0;
    w.now_s = WORLD_NOW + 366 * INT64_C(86400);
    w.sent = 0;
    world_ok(mu_scep_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err));
    assert_int_equal(world_drive(&w, client), MU_AUTH);
    assert_non_null(strstr(world_err.what, "expired"));
    assert_int_equal(w.sent, 0);
    mu_scep_client_free(client);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_trusted_cas_as_there_may_be),
        cmocka_unit_test(a_pin_decides),
        cmocka_unit_test(the_pin_may_name_root_or_issuing_ca),
        cmocka_unit_test(a_false_ca_beside_a_pinned_root_is_found),
        cmocka_unit_test(an_unknown_ca_is_asked_about),
        cmocka_unit_test(another_ca_than_the_known_one_is_refused),
        cmocka_unit_test(an_intermediate_ca_needs_its_root),
        cmocka_unit_test(an_expired_ca_is_not_used),
        cmocka_unit_test(given_certificates_are_trusted),
        cmocka_unit_test(a_foreign_ra_is_refused),
        cmocka_unit_test(a_ca_that_expires_while_waiting_is_not_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
