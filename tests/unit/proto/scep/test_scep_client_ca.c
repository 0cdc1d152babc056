/* GetCACert and GetNextCACert as the client takes them; which certificate encrypts and which signs
 * (SCEP-26..32, SCEP-75..76, IOP-05, IOP-06, S029). */
#include "world.h"

#include <string.h>

#define SIGNS MU_KU_DIGITAL_SIGNATURE
#define ENCRYPTS MU_KU_KEY_ENCIPHERMENT

/* NDES: one RA signs, one encrypts, in any order with the CA (IOP-05). */
static void ndes_splits_signing_and_encrypting(void **state)
{
    unsigned order;

    (void)state;
    for (order = 0; order < 2; order++) {
        struct world w;
        struct mu_pki_cert *enc;
        struct mu_scep_client *client;
        struct mu_scep_client_result result;

        world_init(&w);
        enc = world_cert(&(struct world_cert){.subject = "/CN=RA enc",
            .issuer = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_OTHER, .issuer_key = KEY_CA,
            .key_usage = order == 0 ? ENCRYPTS : MU_KU_DATA_ENCIPHERMENT, .serial = 0x2001});
        if (order == 0)
            world_ok(mu_pki_certs_add(&w.ras, enc, &world_err));
        world_add_ra(&w, SIGNS);
        if (order == 1)
            world_ok(mu_pki_certs_add(&w.ras, enc, &world_err));
        /* This responder has one key for both; the reading side is enough to see the choice. */
        w.config.op = MU_SCEP_CLIENT_CA;
        world_ok(world_run(&w, &client));
        mu_scep_client_result(client, &result);
        assert_int_equal(result.reply_type, 3);
        assert_int_equal(result.ca_certs->n, 3);
        assert_true(mu_pki_cert_equal(result.ca, w.ca));
        assert_true(mu_pki_cert_equal(result.ra_sign, w.ra));
        assert_true(mu_pki_cert_equal(result.ra_encrypt, enc));
        world_trace_has(&w.trace, "scep ca: Reply type 3, 3 certificates\n");
        assert_true(world_traced(&w.trace, "RA, loaded for signing\n"));
        assert_true(world_traced(&w.trace, "RA, loaded for encryption\n"));
        mu_pki_cert_free(enc);
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

static void one_ra_for_both_answers_for_the_ca(void **state)
{
    static const unsigned usages[] = {SIGNS | ENCRYPTS, 0};
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct world w;

        world_init(&w);
        world_add_ra(&w, usages[i]);
        world_ok(world_run(&w, NULL));
        assert_true(world_traced(&w.trace, "scep reply: signature ok, CN=RA"));
        assert_true(world_traced(&w.trace, "[1] RA, loaded for signing and encryption"));
        assert_true(world_traced(&w.trace, "trusted as CA_Cert_1, not used for messages"));
        world_clear(&w);
    }
}

/* ra-cert, sscep -e: the wish beats the choice; the wrong one gives M302 with the candidates. */
static void the_recipient_can_be_named(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_add_ra(&w, SIGNS | ENCRYPTS);
    w.config.encrypt_to = w.ca;
    world_failed(world_run(&w, NULL), MU_DENIED, 302, "badMessageCheck");
    assert_non_null(strstr(mu_err_next_text(&world_err), "ra-cert"));
    assert_non_null(strstr(mu_err_next_text(&world_err), "CN=RA"));
    w.config.encrypt_to = w.ra;
    world_ok(world_run(&w, NULL));
    world_clear(&w);
}

/* The lowest CA of a chain, whatever the order. */
static void the_issuing_ca_is_the_lowest(void **state)
{
    unsigned order;

    (void)state;
    for (order = 0; order < 2; order++) {
        struct world w;
        struct mu_pki_cert *root;
        struct mu_pki_certs trusted = {0};
        struct mu_scep_client *client;
        struct mu_scep_client_result result;

        world_init(&w);
        mu_pki_certs_clear(&w.chain);
        mu_pki_cert_free(w.ca);
        root = world_cert(
            &(struct world_cert){.subject = "/CN=root", .key = KEY_RA, .is_ca = true});
        w.ca = world_cert(&(struct world_cert){.subject = "/CN=issuing", .issuer = "/CN=root",
            .key = KEY_CA, .issuer_key = KEY_RA, .is_ca = true});
        w.credential.cert = w.ca;
        world_ok(mu_pki_certs_add(&w.chain, order == 0 ? w.ca : root, &world_err));
        world_ok(mu_pki_certs_add(&w.chain, order == 0 ? root : w.ca, &world_err));
        world_ok(mu_pki_certs_add(&trusted, root, &world_err));
        w.config.trusted = &trusted;
        world_ok(world_run(&w, &client));
        mu_scep_client_result(client, &result);
        assert_true(mu_pki_cert_equal(result.ca, w.ca));
        assert_null(result.ra_sign);
        assert_int_equal(result.chain->n, 2);
        assert_true(mu_pki_cert_equal(result.chain->v[0], w.ca));
        assert_true(mu_pki_cert_equal(result.chain->v[1], root));
        mu_scep_client_free(client);
        mu_pki_certs_clear(&trusted);
        mu_pki_cert_free(root);
        world_clear(&w);
    }
}

/* The engine alone, with a body of ours as GetCACert's answer. */
static enum mu_code feed(struct world *w, int status, const char *type, struct mu_bytes body,
    struct mu_scep_client_result *result, struct mu_scep_client **client)
{
    struct mu_http_response response = {0};
    struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = &response};
    struct mu_step step;
    enum mu_code rc;

    w->config.skip_caps = true;
    w->config.known_caps = MU_SCEP_CAP_STANDARD | MU_SCEP_CAP_AES | MU_SCEP_CAP_SHA256;
    w->config.op = MU_SCEP_CLIENT_CA;
    *client = NULL;
    world_ok(mu_scep_client_new(&w->config, client, &world_err));
    world_ok(mu_scep_client_start(*client, &step, &world_err));
    assert_int_equal(step.want, MU_WANT_SEND);
    world_ok(mu_http_response_set(&response, status, type, body, &world_err));
    rc = mu_scep_client_step(*client, &event, &step, &world_err);
    mu_scep_client_result(*client, result);
    mu_http_response_clear(&response);
    return rc;
}

/* SCEP-28: content decides; the label only gives the number of S029. */
static void the_content_decides_what_it_is(void **state)
{
    struct world w;
    struct mu_buf p7 = {0}, pem = {0};
    const struct mu_bytes *body[3];
    struct mu_bytes der, b7, bpem;
    static const struct { const char *type; unsigned body; int reply_type; } rows[] = {
        {"application/x-x509-ca-cert", 0, 1},
        {"application/x-x509-ca-ra-cert", 0, 3},
        {"application/x-x509-ca-cert", 1, 1},
        {"application/X-X509-CA-RA-CERT; charset=x", 1, 3},
        {"application/octet-stream", 0, 1},
        {"text/plain", 1, 1},
        {NULL, 2, 1},
    };
    size_t i;

    (void)state;
    world_init(&w);
    mu_pki_certs_only_encode(&w.chain, mu_bytes(NULL, 0), &p7);
    assert_true(mu_pki_cert_to_pem(w.ca, &pem));
    der = w.ca->der;
    b7 = mu_buf_bytes(&p7);
    bpem = mu_buf_bytes(&pem);
    body[0] = &der;
    body[1] = &b7;
    body[2] = &bpem;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_scep_client_result result;
        struct mu_scep_client *client;
        enum mu_code rc;

        rc = feed(&w, 200, rows[i].type, *body[rows[i].body], &result, &client);
        if (rc != MU_OK)
            fail_msg("row %zu: %s", i, world_err.what);
        assert_int_equal(result.reply_type, rows[i].reply_type);
        assert_true(mu_pki_cert_equal(result.ca, w.ca));
        mu_scep_client_free(client);
    }
    mu_buf_clear(&p7);
    mu_buf_clear(&pem);
    world_clear(&w);
}

static void useless_answers_have_their_rows(void **state)
{
    static const struct {
        int status; const char *type; const char *body; enum mu_code code; int m; const char *part;
    } rows[] = {
        {200, "application/x-x509-ca-cert", "", MU_INPUT, 301, "returned nothing"},
        {200, "application/x-x509-ca-cert", "garbage", MU_INPUT, 301, "7 bytes"},
        {200, "text/html", "<html><head><title>Sign in</title>", MU_NETWORK, 105, "Sign in"},
        {200, "text/html", " \n<!DOCTYPE html>\n<title>a\x1b[1mb", MU_NETWORK, 105, "a\\x1B"},
        {404, "text/plain", "no", MU_NOT_FOUND, 304, "HTTP 404"},
        {503, "text/plain", "no", MU_NETWORK, 304, "HTTP 503"},
        {301, "text/plain", "no", MU_INPUT, 107, "redirects"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        struct mu_scep_client_result result;
        struct mu_scep_client *client;
        enum mu_code rc;

        world_init(&w);
        rc = feed(&w, rows[i].status, rows[i].type, mu_bytes_str(rows[i].body), &result, &client);
        world_failed(rc, rows[i].code, rows[i].m, NULL);
        if (strcasestr(world_err.what, rows[i].part) == NULL)
            fail_msg("row %zu: %s", i, world_err.what);
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

static void only_client_certificates_are_no_ca(void **state)
{
    struct world w;
    struct mu_pki_certs list = {0};
    struct mu_buf p7 = {0};
    struct mu_scep_client_result result;
    struct mu_scep_client *client;
    struct mu_pki_cert *a, *b;

    (void)state;
    world_init(&w);
    a = world_cert(&(struct world_cert){
        .subject = "/CN=a", .issuer = "/CN=x", .key = KEY_RA, .issuer_key = KEY_CA});
    b = world_cert(&(struct world_cert){
        .subject = "/CN=b", .issuer = "/CN=x", .key = KEY_OTHER, .issuer_key = KEY_CA});
    world_ok(mu_pki_certs_add(&list, a, &world_err));
    world_ok(mu_pki_certs_add(&list, b, &world_err));
    mu_pki_certs_only_encode(&list, mu_bytes(NULL, 0), &p7);
    world_failed(feed(&w, 200, MU_SCEP_MEDIA_CA_RA, mu_buf_bytes(&p7), &result, &client), MU_INPUT,
        301, "2 certificates");
    mu_scep_client_free(client);
    mu_buf_clear(&p7);
    mu_pki_certs_clear(&list);
    mu_pki_cert_free(a);
    mu_pki_cert_free(b);
    world_clear(&w);
}

/* SCEP-25: an RA whose key usage says neither is passed over, except in the compat mode. */
static void wrong_key_usage_is_ignored_in_compat_mode(void **state)
{
    unsigned compat;

    (void)state;
    for (compat = 0; compat <= 1; compat++) {
        struct world w;
        struct mu_scep_client *client;
        struct mu_scep_client_result result;

        world_init(&w);
        world_add_ra(&w, MU_KU_NON_REPUDIATION);
        w.config.op = MU_SCEP_CLIENT_CA;
        w.config.compat_iis = compat;
        world_ok(world_run(&w, &client));
        mu_scep_client_result(client, &result);
        assert_int_equal(result.ra_encrypt != NULL, compat);
        assert_int_equal(result.ra_sign != NULL, compat);
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

/* ---- GetNextCACert ---- */

static void make_next(struct world *w)
{
    struct mu_pki_cert *next = world_cert(&(struct world_cert){
        .subject = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_RA, .is_ca = true, .serial = 0x7777});

    world_ok(mu_pki_certs_add(&w->next, next, &world_err));
    mu_pki_cert_free(next);
    w->config.op = MU_SCEP_CLIENT_NEXT_CA;
}

static void the_successor_is_taken_from_the_current_ca(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    make_next(&w);
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_int_equal(result.ca_certs->n, 1);
    assert_true(mu_pki_cert_equal(result.ca_certs->v[0], w.next.v[0]));
    assert_string_equal(w.last_url, WORLD_URL "?operation=GetNextCACert");
    mu_scep_client_free(client);
    world_clear(&w);
}

/* SCEP-76: signed by anybody else it is not looked at; SCEP-77: 404. */
static void a_successor_from_elsewhere_is_refused(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    make_next(&w);
    w.credential.ca_key = world_key(KEY_OTHER);
    world_failed(world_run(&w, NULL), MU_AUTH, 321, "GetNextCACert");
    mu_pki_certs_clear(&w.next);
    world_failed(world_run(&w, NULL), MU_NOT_FOUND, 0, "404");
    w.config.trusted = NULL;
    world_failed(world_run(&w, NULL), MU_INPUT, 0, "current CA certificate");
    world_clear(&w);
}

/* SCEP-76: an RA is not the CA, even one that is known or vouched for here. */
static void a_successor_signed_by_an_ra_is_refused(void **state)
{
    struct world w;
    struct mu_pki_certs given = {0}, as_ca = {0};

    (void)state;
    world_init(&w);
    make_next(&w);
    world_add_ra(&w, MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    world_ok(mu_pki_certs_add(&given, w.ca, &world_err));
    world_ok(mu_pki_certs_add(&given, w.ra, &world_err));
    world_ok(mu_pki_certs_add(&as_ca, w.ra, &world_err));
    w.config.trusted = NULL;
    w.config.ca_certs = &given;
    world_ok(world_run(&w, NULL));
    w.credential.ca_chain = &as_ca;
    w.credential.ca_key = world_key(KEY_RA);
    world_failed(world_run(&w, NULL), MU_AUTH, 321, "not signed by the current CA");
    w.config.trusted = &given;
    w.config.ca_certs = NULL;
    world_failed(world_run(&w, NULL), MU_AUTH, 321, "not signed by the current CA");
    mu_pki_certs_clear(&given);
    mu_pki_certs_clear(&as_ca);
    world_clear(&w);
}

/* A CA that has expired, or is not valid yet, vouches for nothing. */
static void a_successor_needs_a_ca_that_is_valid_now(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    make_next(&w);
    w.now_s = w.ca->not_after_s;
    world_ok(world_run(&w, NULL));
    w.now_s = w.ca->not_after_s + 1;
    world_failed(world_run(&w, NULL), MU_AUTH, 213, "expired on");
    w.now_s = w.ca->not_before_s - 1;
    world_failed(world_run(&w, NULL), MU_AUTH, 802, "not valid before");
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ndes_splits_signing_and_encrypting),
        cmocka_unit_test(one_ra_for_both_answers_for_the_ca),
        cmocka_unit_test(the_recipient_can_be_named),
        cmocka_unit_test(the_issuing_ca_is_the_lowest),
        cmocka_unit_test(the_content_decides_what_it_is),
        cmocka_unit_test(useless_answers_have_their_rows),
        cmocka_unit_test(only_client_certificates_are_no_ca),
        cmocka_unit_test(the_successor_is_taken_from_the_current_ca),
        cmocka_unit_test(a_successor_from_elsewhere_is_refused),
        cmocka_unit_test(a_successor_signed_by_an_ra_is_refused),
        cmocka_unit_test(a_successor_needs_a_ca_that_is_valid_now),
        cmocka_unit_test(wrong_key_usage_is_ignored_in_compat_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
