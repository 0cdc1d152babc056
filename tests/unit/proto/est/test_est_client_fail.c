/* What is told when it fails: HTTP errors, refusals, our certificate, the connection. */
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

/* ---- certificates ---- */

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
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_statuses),
        cmocka_unit_test(tells_when_to_come_back),
        cmocka_unit_test(blames_linking),
        cmocka_unit_test(client_certificate_refused),
        cmocka_unit_test(connection_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
