/* cacerts and trust: anchors, pins, questions, bootstrap, roots that change. */
#include <stdlib.h>

#include "world.h"

static void answer_certs(struct mu_http_response *r, const struct mu_pki_certs *list)
{
    struct mu_buf der = {0}, text = {0};

    world_ok(mu_est_msg_certs_encode(list, &der, &world_err));
    mu_est_body_encode(&text, mu_buf_bytes(&der), false);
    mu_http_response_clear(r);
    world_ok(mu_http_response_set(r, 200, MU_EST_MEDIA_PKCS7, mu_buf_bytes(&text), &world_err));
    mu_buf_clear(&der);
    mu_buf_clear(&text);
}

/* EST-19, EST-18: over unverified TLS cacerts only, no password; a person or the pin decides, then
 * the run is over and says so. */
static void bootstraps_by_question(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client;
    struct world w;

    (void)state;
    world_init(&w);
    w.config.trusted = NULL;
    w.config.bootstrap = true;
    world_failed(world_run(&w, &client), MU_AUTH, 0, "RFC 7030 4.1.1");
    mu_est_client_result(client, &r);
    assert_true(r.bootstrapped);
    assert_true(mu_pki_cert_equal(r.ca, w.ca));
    assert_int_equal(r.anchors->n, 1);
    assert_int_equal(w.asks, 1);
    assert_int_equal(w.posts, 0);
    assert_string_equal(w.urls, "GET " WORLD_URL "/.well-known/est/cacerts\n");
    assert_string_equal(w.last_authorization, "");
    mu_est_client_free(client);
    w.say_no = true;
    world_failed(world_run(&w, &client), MU_AUTH, 209, "not known here");
    assert_non_null(strstr(mu_err_next_text(&world_err), "Compare SHA-256"));
    mu_est_client_result(client, &r);
    assert_false(r.bootstrapped);
    mu_est_client_free(client);
    world_clear(&w);
}

static void demand_password(
    struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    (void)w;
    (void)n;
    if (op == MU_EST_CACERTS) {
        r->status = 401;
        world_ok(mu_http_response_add(r, "WWW-Authenticate", "Basic realm=\"x\"", &world_err));
    }
}

/* EST-17, EST-18: a server that proved nothing gets no password, even if it asks. */
static void gives_no_password_to_the_unproved(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.config.trusted = NULL;
    w.config.bootstrap = true;
    w.tamper = demand_password;
    world_failed(world_run(&w, NULL), MU_DENIED, 403, NULL);
    assert_string_equal(w.last_authorization, "");
    assert_int_equal(w.exchanges[MU_EST_CACERTS], 1);
    world_clear(&w);
}

static void bootstraps_by_pin(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client;
    uint8_t pin[32];
    struct world w;

    (void)state;
    world_init(&w);
    w.config.trusted = NULL;
    w.config.bootstrap = true;
    w.config.op = MU_EST_CLIENT_CA;
    memcpy(pin, w.ca->sha256, sizeof pin);
    w.config.pin_sha256 = pin;
    world_ok(world_run(&w, &client));
    assert_int_equal(w.asks, 0);
    mu_est_client_result(client, &r);
    assert_true(r.bootstrapped);
    mu_est_client_free(client);
    pin[0] ^= 1;
    world_failed(world_run(&w, NULL), MU_AUTH, 211, "pinned is");
    world_clear(&w);
}

/* Verified TLS, but a CA that is not known here: never trusted silently. */
static void asks_about_an_unknown_ca(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.config.trusted = NULL;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.asks, 1);
    assert_int_equal(w.posts, 1);
    w.say_no = true;
    world_failed(world_run(&w, NULL), MU_AUTH, 209, NULL);
    world_clear(&w);
}

/* The CA that is trusted is another than the one that answers, as where a server's own certificate is
 * of another CA than those it hands out: a person decides, nobody else. */
static void refuses_another_ca(void **state)
{
    struct mu_pki_certs other = {0};
    struct mu_pki_cert *cert;
    struct world w;

    (void)state;
    world_init(&w);
    cert = world_cert(&(struct world_cert){.subject = "CN=other", .key = KEY_CA, .is_ca = true});
    world_ok(mu_pki_certs_add(&other, cert, &world_err));
    w.config.trusted = &other;
    w.say_no = true;
    world_failed(world_run(&w, NULL), MU_AUTH, 209, "estExampleCA");
    assert_int_equal(w.asks, 1);
    assert_int_equal(w.posts, 0);
    w.say_no = false;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.posts, 1);
    w.config.op = MU_EST_CLIENT_CA; /* only looks, and says so */
    world_failed(world_run(&w, NULL), MU_AUTH, 209, "estExampleCA");
    assert_true(world_traced(&w.trace, "est ca: [1] not used: "));
    mu_pki_certs_clear(&other);
    mu_pki_cert_free(cert);
    world_clear(&w);
}

/* An intermediate CA whose root is not there cannot be asked about: M212. */
static void lacks_the_root(
    struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    struct mu_pki_certs list = {0};
    struct mu_pki_cert *sub;

    (void)w;
    (void)n;
    if (op != MU_EST_CACERTS)
        return;
    sub = world_cert(&(struct world_cert){.subject = "CN=sub", .issuer = "CN=root", .key = KEY_EC_CA,
        .issuer_key = KEY_CA, .is_ca = true});
    world_ok(mu_pki_certs_add(&list, sub, &world_err));
    answer_certs(r, &list);
    mu_pki_certs_clear(&list);
    mu_pki_cert_free(sub);
}

static void names_the_missing_root(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.config.trusted = NULL;
    w.tamper = lacks_the_root;
    world_failed(world_run(&w, NULL), MU_AUTH, 212, "CN=root");
    world_clear(&w);
}

/* ---- EST-35, EST-36: a root that changes ---- */

static struct mu_pki_cert *old_root, *links[2];
static bool with_links;

/* OldWithOld, NewWithNew and, if there are any, the links. */
static void roll_over(struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    struct mu_pki_certs list = {0};

    (void)n;
    if (op != MU_EST_CACERTS)
        return;
    world_ok(mu_pki_certs_add(&list, old_root, &world_err));
    world_ok(mu_pki_certs_add(&list, w->ca, &world_err));
    if (with_links) {
        world_ok(mu_pki_certs_add(&list, links[0], &world_err));
        world_ok(mu_pki_certs_add(&list, links[1], &world_err));
    }
    answer_certs(r, &list);
    mu_pki_certs_clear(&list);
}

static void follows_new_with_old(void **state)
{
    /* EST-35: of another name, of another key, over, not of a CA, and of one that nobody trusts here */
    const struct world_cert wrong[] = {
        {.subject = "CN=estOtherCA", .issuer = "CN=estExampleCA", .key = KEY_EC_CA, .issuer_key = KEY_CA, .is_ca = true, .serial = 8},
        {.subject = "CN=estExampleCA", .issuer = "CN=estExampleCA", .key = KEY_EC, .issuer_key = KEY_CA, .is_ca = true, .serial = 8},
        {.subject = "CN=estExampleCA", .issuer = "CN=estExampleCA", .key = KEY_EC_CA, .issuer_key = KEY_CA, .is_ca = true, .serial = 8,
            .not_after_s = WORLD_NOW - 60},
        {.subject = "CN=estExampleCA", .issuer = "CN=estExampleCA", .key = KEY_EC_CA, .issuer_key = KEY_CA, .serial = 8},
        {.subject = "CN=estExampleCA", .issuer = "CN=estExampleCA", .key = KEY_EC_CA, .issuer_key = KEY_RA, .is_ca = true, .serial = 8},
    };
    struct mu_pki_certs trusted = {0};
    struct mu_est_client_result r;
    struct mu_est_client *client;
    struct world w;

    (void)state;
    world_init(&w); /* its CA is the new one */
    old_root = world_cert(&(struct world_cert){.subject = "CN=estExampleCA", .key = KEY_CA,
        .is_ca = true, .serial = 7, .not_after_s = WORLD_NOW + 86400});
    links[0] = world_cert(&(struct world_cert){.subject = "CN=estExampleCA",
        .issuer = "CN=estExampleCA", .key = KEY_EC_CA, .issuer_key = KEY_CA, .is_ca = true, .serial = 8});
    links[1] = world_cert(&(struct world_cert){.subject = "CN=estExampleCA",
        .issuer = "CN=estExampleCA", .key = KEY_CA, .issuer_key = KEY_EC_CA, .is_ca = true, .serial = 9});
    world_ok(mu_pki_certs_add(&trusted, old_root, &world_err));
    w.config.trusted = &trusted;
    w.tamper = roll_over;
    with_links = false;
    world_failed(world_run(&w, NULL), MU_AUTH, 213, NULL);
    assert_int_equal(w.asks, 0);
    with_links = true;
    world_ok(world_run(&w, &client));
    mu_est_client_result(client, &r);
    assert_int_equal(r.anchors->n, 2);
    assert_true(mu_pki_cert_equal(r.anchors->v[1], w.ca));
    assert_true(mu_pki_cert_equal(r.ca, w.ca)); /* EST-36: the one that is valid longest */
    assert_true(world_traced(&w.trace, "vouched for by the old one"));
    mu_est_client_free(client);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mu_pki_cert_free(links[0]);
        links[0] = world_cert(&wrong[i]);
        world_failed(world_run(&w, &client), MU_AUTH, 213, NULL);
        mu_est_client_result(client, &r);
        assert_int_equal(r.anchors->n, 1);
        mu_est_client_free(client);
    }
    mu_pki_certs_clear(&trusted);
    mu_pki_cert_free(old_root);
    mu_pki_cert_free(links[0]);
    mu_pki_cert_free(links[1]);
    world_clear(&w);
}

static void garbage(struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    static const char *const bodies[] = {"", "not base64!", "MAA=", "<html><title>Hotspot</title>"};

    (void)n;
    if (op == MU_EST_CACERTS) {
        mu_http_response_clear(r);
        world_ok(mu_http_response_set(
            r, 200, MU_EST_MEDIA_PKCS7, mu_bytes_str(bodies[w->counter % 4]), &world_err));
    }
}

static int ca_status;

static void other_status(struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    (void)w;
    (void)n;
    if (op == MU_EST_CACERTS)
        r->status = ca_status;
}

/* EST-33: the very certificates under any other status end it. */
static void only_200_gives_ca_certificates(void **state)
{
    static const int statuses[] = {201, 202, 203, 204, 206, 304, 400, 500};
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        world_init(&w);
        ca_status = statuses[i];
        w.tamper = other_status;
        assert_int_not_equal(world_run(&w, NULL), MU_OK);
        assert_int_equal(w.posts, 0);
        world_clear(&w);
    }
}

/* EST-33: a 200 that holds no certificates; M105 for a page. */
static void refuses_what_holds_no_certificates(void **state)
{
    struct world w;
    unsigned i;

    (void)state;
    for (i = 0; i < 4; i++) {
        world_init(&w);
        w.counter = i;
        w.tamper = garbage;
        if (i == 3)
            world_failed(world_run(&w, NULL), MU_NETWORK, 105, "Hotspot");
        else
            world_failed(world_run(&w, NULL), MU_INPUT, 0, "the answer to cacerts");
        world_clear(&w);
    }
}

static void only_under_no_label(
    struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    (void)op;
    if (n == 1)
        r->status = 404;
    if (w->say_no)
        r->status = 404;
}

/* E008: M401, tried with and without. */
static void tells_about_the_label(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.config.label = "iot";
    w.tamper = only_under_no_label;
    world_failed(world_run(&w, NULL), MU_NOT_FOUND, 401, "without one there is");
    assert_string_equal(w.urls,
        "GET " WORLD_URL "/.well-known/est/iot/cacerts\n"
        "GET " WORLD_URL "/.well-known/est/cacerts\n");
    world_clear(&w);
    world_init(&w);
    w.config.label = "iot";
    w.say_no = true;
    w.tamper = only_under_no_label;
    world_failed(world_run(&w, NULL), MU_NOT_FOUND, 401, "404 with the CA identifier");
    world_clear(&w);
    world_init(&w);
    w.say_no = true;
    w.tamper = only_under_no_label;
    world_failed(world_run(&w, NULL), MU_NOT_FOUND, 401, "there is no EST at");
    world_clear(&w);
}

/* cacerts is not asked for if all is known; a probe that knows nothing only looks. */
static void asks_no_more_than_needed(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client;
    struct world w;

    (void)state;
    world_init(&w);
    w.config.ca_known = true;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.exchanges[MU_EST_CACERTS], 0);
    world_clear(&w);
    world_init(&w);
    w.config.trusted = NULL;
    w.config.op = MU_EST_CLIENT_CA;
    world_ok(world_run(&w, &client));
    assert_int_equal(w.asks, 0);
    mu_est_client_result(client, &r);
    assert_true(mu_pki_cert_equal(r.ca, w.ca));
    assert_int_equal(r.anchors->n, 0);
    mu_est_client_free(client);
    w.config.op = MU_EST_CLIENT_ATTRS;
    world_attrs(&w, WORLD_T1);
    world_ok(world_run(&w, &client));
    mu_est_client_result(client, &r);
    assert_int_equal(r.csr_attrs.n, 40);
    mu_est_client_free(client);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bootstraps_by_question),
        cmocka_unit_test(gives_no_password_to_the_unproved),
        cmocka_unit_test(bootstraps_by_pin),
        cmocka_unit_test(asks_about_an_unknown_ca),
        cmocka_unit_test(refuses_another_ca),
        cmocka_unit_test(names_the_missing_root),
        cmocka_unit_test(follows_new_with_old),
        cmocka_unit_test(only_200_gives_ca_certificates),
        cmocka_unit_test(refuses_what_holds_no_certificates),
        cmocka_unit_test(tells_about_the_label),
        cmocka_unit_test(asks_no_more_than_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
