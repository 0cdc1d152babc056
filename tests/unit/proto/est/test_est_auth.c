/* Basic and Digest at both ends. */
#include <stdio.h>

#include "world.h"

/* RFC 7616 3.9.1: the same request in SHA-256 and MD5. */
static void computes_the_example_of_rfc7616(void **state)
{
    struct mu_http_auth a = {.scheme = MU_HTTP_SCHEME_DIGEST, .user = "Mufasa",
        .realm = "http-auth@example.org", .uri = "/dir/index.html",
        .nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", .nc = "00000001",
        .cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", .qop = "auth",
        .alg = MU_HTTP_DIGEST_SHA256};
    char out[65];

    (void)state;
    assert_true(mu_est_auth_digest(&a, mu_bytes_str("Circle of Life"), "GET", out));
    assert_string_equal(out, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    a.alg = MU_HTTP_DIGEST_MD5;
    assert_true(mu_est_auth_digest(&a, mu_bytes_str("Circle of Life"), "GET", out));
    assert_string_equal(out, "8ca523f5e9506fed4657c9700eebdbec");
}

struct ends {
    struct world w;
    struct mu_est_auth_server server;
    struct mu_http_response challenge;
    struct mu_http_request request;
};

static void init(struct ends *e, bool legacy)
{
    world_init(&e->w);
    e->server = (struct mu_est_auth_server){.env = &e->w.env, .realm = "muster",
        .nonce_key = e->w.credential.nonce_key, .allow_legacy = legacy};
    e->challenge = (struct mu_http_response){.status = 401};
    e->request = (struct mu_http_request){.method = "POST", .target = "/.well-known/est/simpleenroll"};
    world_ok(mu_est_auth_offer(&e->server, false, &e->challenge, &world_err));
}

static void clear(struct ends *e)
{
    mu_http_response_clear(&e->challenge);
    world_clear(&e->w);
}

/* The client's answer to the challenge, judged by the server. */
static enum mu_code judge(struct ends *e, const char *target, const char *method, bool *stale)
{
    struct mu_http_auth choice, said = {.scheme = MU_HTTP_SCHEME_NONE};
    struct mu_buf value = {0};
    enum mu_code rc;

    world_ok(mu_est_auth_choose(&e->challenge, e->server.allow_legacy, &choice, &world_err));
    assert_int_equal(choice.scheme, MU_HTTP_SCHEME_DIGEST);
    assert_int_equal(choice.alg, MU_HTTP_DIGEST_SHA256);
    world_ok(mu_est_auth_say(&choice, 1, method, target, "estuser", &e->w.password, &e->w.env,
        &value, &world_err));
    assert_null(strstr(mu_buf_str(&value), "estpwd"));
    world_ok(mu_http_auth_parse(mu_buf_str(&value), &said, &world_err));
    rc = mu_est_auth_check(&e->server, &said, &e->w.password, &e->request, stale, &world_err);
    mu_http_auth_clear(&said);
    mu_buf_clear(&value);
    return rc;
}

static void digest_goes_both_ways(void **state)
{
    struct ends e;
    bool stale;

    (void)state;
    init(&e, false);
    world_ok(judge(&e, e.request.target, "POST", &stale));
    assert_false(stale);
    e.w.now_s += 299;
    world_ok(judge(&e, e.request.target, "POST", &stale));
    e.w.now_s += 2; /* nonces are good for five minutes */
    world_failed(judge(&e, e.request.target, "POST", &stale), MU_AUTH, MU_REFUSE_PASSWORD, "nonce");
    assert_true(stale);
    clear(&e);
}

/* Another path, method, realm or key: the answer is not for this request. */
static void digest_is_for_one_request(void **state)
{
    struct ends e;
    bool stale;

    (void)state;
    init(&e, false);
    world_failed(judge(&e, "/.well-known/est/simplereenroll", "POST", &stale), MU_AUTH,
        MU_REFUSE_PASSWORD, "wrong");
    world_failed(judge(&e, e.request.target, "GET", &stale), MU_AUTH, MU_REFUSE_PASSWORD, NULL);
    e.server.realm = "other";
    world_failed(judge(&e, e.request.target, "POST", &stale), MU_AUTH, MU_REFUSE_PASSWORD, NULL);
    e.server.realm = "muster";
    e.server.nonce_key = mu_bytes("another key", 11);
    world_failed(judge(&e, e.request.target, "POST", &stale), MU_AUTH, MU_REFUSE_PASSWORD, NULL);
    assert_false(stale);
    clear(&e);
}

/* MD5, and no qop, only with allow-legacy. */
static void md5_needs_allow_legacy(void **state)
{
    struct mu_http_auth said = {.scheme = MU_HTTP_SCHEME_DIGEST, .alg = MU_HTTP_DIGEST_MD5,
        .user = "estuser", .realm = "muster", .uri = "/.well-known/est/simpleenroll"};
    struct mu_http_auth offer;
    struct ends e;
    char out[65];
    bool stale;

    (void)state;
    init(&e, true);
    assert_int_equal(e.challenge.header_n, 3); /* SHA-256, MD5, Basic */
    assert_true(mu_http_auth_challenge(e.challenge.headers[1].value, 0, &offer));
    assert_int_equal(offer.alg, MU_HTTP_DIGEST_MD5);
    snprintf(said.nonce, sizeof said.nonce, "%s", offer.nonce);
    assert_true(mu_est_auth_digest(&said, mu_bytes_str("estpwd"), "POST", out));
    snprintf(said.response, sizeof said.response, "%s", out);
    world_ok(mu_est_auth_check(&e.server, &said, &e.w.password, &e.request, &stale, &world_err));
    e.server.allow_legacy = false;
    world_failed(mu_est_auth_check(&e.server, &said, &e.w.password, &e.request, &stale, &world_err),
        MU_AUTH, MU_REFUSE_PASSWORD, "allow-legacy");
    clear(&e);
}

static void nobody_has_no_password(void **state)
{
    struct mu_http_auth said = {.scheme = MU_HTTP_SCHEME_BASIC, .user = "x"};
    struct mu_secret empty = {0};
    struct ends e;
    bool stale;

    (void)state;
    init(&e, false);
    world_failed(mu_est_auth_check(&e.server, &said, NULL, &e.request, &stale, &world_err), MU_AUTH,
        MU_REFUSE_PASSWORD, NULL);
    world_failed(mu_est_auth_check(&e.server, &said, &empty, &e.request, &stale, &world_err),
        MU_AUTH, MU_REFUSE_PASSWORD, NULL);
    clear(&e);
}

static void chooses_the_best_it_knows(void **state)
{
    static const struct { const char *offer; bool legacy; int scheme, alg; } cases[] = {
        {"Basic realm=\"a\"", false, MU_HTTP_SCHEME_BASIC, -1},
        {"Basic realm=\"a\", Digest realm=\"a\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256", false,
            MU_HTTP_SCHEME_DIGEST, MU_HTTP_DIGEST_SHA256},
        {"Digest realm=\"a\", nonce=\"n\", qop=\"auth\", algorithm=MD5, Basic realm=\"a\"", false,
            MU_HTTP_SCHEME_BASIC, -1},
        {"Digest realm=\"a\", nonce=\"n\", qop=\"auth\", algorithm=MD5", true, MU_HTTP_SCHEME_DIGEST,
            MU_HTTP_DIGEST_MD5},
        {"Digest realm=\"a\", nonce=\"n\", qop=\"auth\", algorithm=MD5", false, -1, -1},
        {"Digest realm=\"a\", nonce=\"n\", qop=\"auth-int\", algorithm=SHA-256", false, -1, -1},
        {"Negotiate", true, -1, -1},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_http_response r = {.status = 401};
        struct mu_http_auth choice = {.scheme = MU_HTTP_SCHEME_NONE};
        enum mu_code rc;

        world_ok(mu_http_response_add(&r, "WWW-Authenticate", cases[i].offer, &world_err));
        rc = mu_est_auth_choose(&r, cases[i].legacy, &choice, &world_err);
        if (cases[i].scheme < 0) {
            world_failed(rc, MU_UNSUPPORTED, 403, "no way to authenticate");
        } else {
            world_ok(rc);
            assert_int_equal((int)choice.scheme, cases[i].scheme);
            if (cases[i].alg >= 0)
                assert_int_equal((int)choice.alg, cases[i].alg);
        }
        mu_http_response_clear(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes_the_example_of_rfc7616),
        cmocka_unit_test(digest_goes_both_ways),
        cmocka_unit_test(digest_is_for_one_request),
        cmocka_unit_test(md5_needs_allow_legacy),
        cmocka_unit_test(nobody_has_no_password),
        cmocka_unit_test(chooses_the_best_it_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
