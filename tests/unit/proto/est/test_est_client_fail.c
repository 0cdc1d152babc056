/* What is told when it fails: HTTP errors, refusals, passwords, certificates that do not fit. */
#include <stdio.h>

#include "world.h"

static int only_status;
static const char *only_text, *only_type, *only_header[2];

/* Each POST is answered so. */
static void answer(struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    (void)w;
    (void)n;
    if (op != MU_EST_SIMPLEENROLL && op != MU_EST_SIMPLEREENROLL)
        return;
    mu_http_response_clear(r);
    world_ok(mu_http_response_set(r, only_status, only_type,
        mu_bytes_str(only_text != NULL ? only_text : ""), &world_err));
    if (only_header[0] != NULL)
        world_ok(mu_http_response_add(r, only_header[0], only_header[1], &world_err));
}

static void set(struct world *w, int status, const char *type, const char *text)
{
    world_init(w);
    only_status = status;
    only_type = type;
    only_text = text;
    only_header[0] = NULL;
    w->tamper = answer;
}

static void maps_statuses(void **state)
{
    static const struct { int status; const char *type, *text; enum mu_code code; int m; const char *says; }
        cases[] = {
        {400, "text/plain", "name not allowed\nmore", MU_DENIED, 409, "(400): \"name not allowed\""},
        {400, NULL, "plain words", MU_DENIED, 409, "plain words"},
        {403, "text/html", "<p>no</p>", MU_DENIED, 409, "does not say why"},
        {403, "text/plain", "renewal allowed from 2026", MU_DENIED, 314, "allowed from"},
        {400, "text/plain", "The subject differs from that", MU_DENIED, 315, NULL},
        {400, "text/plain", "evil \x1b[31m", MU_DENIED, 409, "\\x1b"},
        {415, "application/pkcs7-mime", "MII", MU_DENIED, 409, "does not say why"},
        {404, NULL, NULL, MU_NOT_FOUND, 401, "simpleenroll: HTTP 404"},
        {501, "text/plain", "later", MU_UNSUPPORTED, 0, "does not know simpleenroll"},
        {429, NULL, NULL, MU_NETWORK, 405, "HTTP 429"},
        {500, "text/plain", "boom", MU_NETWORK, 405, "\"boom\""},
        {503, NULL, NULL, MU_NETWORK, 405, "busy or broken"},
        {302, NULL, NULL, MU_INPUT, 107, "redirects to nowhere"},
        {204, NULL, NULL, MU_INPUT, 405, "HTTP 204"},
        {200, "text/html", "<html><title>Portal</title>", MU_NETWORK, 105, "Portal"},
        {200, MU_EST_MEDIA_CERTS_ONLY, "", MU_INPUT, 0, "the answer to simpleenroll"},
        {200, MU_EST_MEDIA_CERTS_ONLY, "MAA=", MU_INPUT, 0, "the answer to simpleenroll"},
    };
    struct world w;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set(&w, cases[i].status, cases[i].type, cases[i].text);
        world_failed(world_run(&w, NULL), cases[i].code, cases[i].m, cases[i].says);
        assert_int_equal(w.posts, 1);
        world_clear(&w);
    }
}

static void tells_when_to_come_back(void **state)
{
    struct world w;

    (void)state;
    set(&w, 503, NULL, NULL);
    only_header[0] = "Retry-After";
    only_header[1] = "120";
    world_failed(world_run(&w, NULL), MU_NETWORK, 405, NULL);
    assert_non_null(strstr(mu_err_next_text(&world_err), "120"));
    world_clear(&w);
}

/* IOP-27, E068, EST-60: a linked request that is refused. */
static void blames_linking(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client;
    struct world w;

    (void)state;
    set(&w, 400, "text/plain", "proof of possession not linked");
    w.tls12 = true;
    world_failed(world_run(&w, &client), MU_DENIED, 407, "not linked");
    mu_est_client_result(client, &r);
    assert_false(r.wants_tls12);
    mu_est_client_free(client);
    world_clear(&w);
    set(&w, 400, NULL, NULL); /* a bare 400 */
    w.credential.link_required = true;
    world_failed(world_run(&w, &client), MU_DENIED, 407, NULL);
    mu_est_client_result(client, &r);
    assert_true(r.wants_tls12);
    mu_est_client_free(client);
    world_clear(&w);
    set(&w, 400, "text/plain", "subject not allowed");
    w.tls12 = true;
    world_failed(world_run(&w, NULL), MU_DENIED, 409, NULL);
    world_clear(&w);
}

/* ---- passwords ---- */

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
    assert_true(w.posts <= 3);
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

/* ---- certificates ---- */

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

/* E101: a certificate without clientAuth that is refused. */
static void client_certificate_refused(void **state)
{
    struct world w;
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        set(&w, i == 0 ? 401 : 403, "text/plain", "go away");
        w.config.user = NULL;
        w.config.reenroll = true;
        w.config.client_cert = "est-test101";
        w.config.client_cert_lacks_eku = true;
        if (i == 2)
            w.fault_reason = 207; /* by the handshake */
        world_failed(world_run(&w, NULL), i == 2 ? MU_NETWORK : MU_DENIED, 406, "est-test101");
        world_clear(&w);
    }
}

/* E036: the connection fails before any request. */
static void connection_fails(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.fault_reason = 204;
    world_failed(world_run(&w, NULL), MU_NETWORK, 204, NULL);
    assert_true(world_traced(&w.trace, "est ca: getting the CA certificates failed: "));
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
        cmocka_unit_test(maps_statuses),
        cmocka_unit_test(tells_when_to_come_back),
        cmocka_unit_test(blames_linking),
        cmocka_unit_test(refused_password_ends_it),
        cmocka_unit_test(answers_digest),
        cmocka_unit_test(answers_a_stale_nonce),
        cmocka_unit_test(certificate_of_another_key),
        cmocka_unit_test(certificate_of_another_ca),
        cmocka_unit_test(takes_chains_and_bare_certificates),
        cmocka_unit_test(client_certificate_refused),
        cmocka_unit_test(connection_fails),
        cmocka_unit_test(cannot_be_saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
