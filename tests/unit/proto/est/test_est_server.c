/* The server engine: paths, methods, passwords, linking, requests that are damaged, answers. */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

static void says(const struct mu_http_response *r, int status, const char *part)
{
    if (r->status != status || (part != NULL && strstr(mu_buf_str(&r->body), part) == NULL))
        fail_msg("%d '%s', wanted %d '%s'", r->status, mu_buf_str(&r->body), status,
            part != NULL ? part : "");
}

/* A POST of a CSR of KEY_EC, linked with this challenge (NULL: none). */
static void post(struct world *w, const char *op, const char *challenge, const char *authorization,
    struct mu_http_response *r)
{
    struct mu_buf body = {0};

    world_csr(w, "CN=device1", KEY_EC, challenge, &body);
    world_ask(w, "POST", op, authorization, mu_buf_bytes(&body), r);
    mu_buf_clear(&body);
}

/* EST-32, EST-33, EST-34, EST-35, E059: cacerts without a password, base64, all links. */
static void gives_ca_certs(void **state)
{
    struct mu_http_response r = {0};
    struct mu_pki_certs list = {0};
    struct mu_pki_cert *link;
    struct world w;

    (void)state;
    world_init(&w);
    link = world_cert(&(struct world_cert){.subject = "CN=estExampleCA", .issuer = "CN=old",
        .key = KEY_EC_CA, .issuer_key = KEY_CA, .is_ca = true});
    world_ok(mu_pki_certs_add(&w.next, link, &world_err));
    w.wants_password = true;
    world_ask(&w, "GET", "/cacerts", NULL, mu_bytes(NULL, 0), &r);
    says(&r, 200, "MII");
    assert_string_equal(world_header(&r, "Content-Type"), "application/pkcs7-mime");
    assert_string_equal(world_header(&r, "Content-Transfer-Encoding"), "base64");
    world_ok(mu_est_msg_certs_decode(mu_buf_bytes(&r.body), &list, &world_err));
    assert_int_equal(list.n, 2);
    mu_pki_certs_clear(&list);
    mu_http_response_clear(&r);
    mu_pki_cert_free(link);
    world_clear(&w);
}

/* EST-62, E059, E063: 57 octets with the line end; 204 where there are no wishes; EST-55. */
static void gives_csr_attributes(void **state)
{
    struct mu_http_response r = {0};
    struct mu_est_csrattrs a;
    struct mu_buf der = {0};
    struct world w;

    (void)state;
    world_init(&w);
    world_ask(&w, "GET", "/csrattrs", NULL, mu_bytes(NULL, 0), &r);
    says(&r, 204, NULL);
    assert_int_equal(r.body.n, 0);
    world_attrs(&w, WORLD_T1);
    world_ask(&w, "GET", "/csrattrs", NULL, mu_bytes(NULL, 0), &r);
    says(&r, 200, WORLD_T1 "\n");
    assert_int_equal(r.body.n, 57);
    assert_string_equal(world_header(&r, "Content-Type"), "application/csrattrs");
    w.credential.one_line = true;
    world_ask(&w, "GET", "/csrattrs", NULL, mu_bytes(NULL, 0), &r);
    assert_int_equal(r.body.n, 56);
    w.credential.link_required = true;
    world_ask(&w, "GET", "/csrattrs", NULL, mu_bytes(NULL, 0), &r);
    world_ok(mu_est_body_decode(mu_buf_bytes(&r.body), &der, &world_err));
    world_ok(mu_est_csrattrs_decode(mu_buf_bytes(&der), &a, &world_err));
    assert_true(a.link);
    mu_buf_clear(&der);
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* EST-02, EST-04, EST-78, EST-80: what is not there, and what is asked for wrongly. */
static void refuses_paths_and_methods(void **state)
{
    static const struct { const char *method, *path; int status; const char *says; } cases[] = {
        {"GET", "/crls", 404, "no operation"},
        {"POST", "/x/y/simpleenroll", 404, "no label"},
        {"GET", "/simpleenroll", 405, "by POST"},
        {"POST", "/cacerts", 405, "by GET"},
        {"DELETE", "/simplereenroll", 405, "by POST"},
        {"POST", "/fullcmc", 501, "full CMC is not served"},
        {"POST", "/simpleenroll", 400, "empty"},
    };
    struct mu_http_response r = {0};
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_ask(&w, cases[i].method, cases[i].path, NULL, mu_bytes(NULL, 0), &r);
        says(&r, cases[i].status, cases[i].says);
        assert_string_equal(world_header(&r, "Content-Type"), "text/plain"); /* EST-47 */
        if (cases[i].status == 405)
            assert_true(strlen(world_header(&r, "Allow")) > 2);
    }
    assert_true(mu_est_server_is(&(struct mu_http_request){.target = "/.well-known/est/x"}));
    assert_false(mu_est_server_is(&(struct mu_http_request){.target = "/.well-known/cmp"}));
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* EST-39, E072: the certificate alone, or its chain with the switch. */
static void issues(void **state)
{
    struct mu_http_response r = {0};
    struct mu_pki_certs list = {0};
    struct world w;

    (void)state;
    world_init(&w);
    post(&w, "/iot/simpleenroll", NULL, NULL, &r);
    says(&r, 200, NULL);
    assert_string_equal(w.last_label, "iot");
    assert_int_equal(w.last_claim.auth, MU_AUTH_NONE);
    assert_string_equal(
        world_header(&r, "Content-Type"), "application/pkcs7-mime; smime-type=certs-only");
    world_ok(mu_est_msg_certs_decode(mu_buf_bytes(&r.body), &list, &world_err));
    assert_int_equal(list.n, 1);
    assert_true(mu_bytes_equal(list.v[0]->spki, mu_pki_key_spki(world_key(KEY_EC))));
    mu_pki_certs_clear(&list);
    w.credential.chain_in_reply = true;
    post(&w, "/simplereenroll", NULL, NULL, &r);
    assert_true(w.last_claim.is_renewal);
    world_ok(mu_est_msg_certs_decode(mu_buf_bytes(&r.body), &list, &world_err));
    assert_int_equal(list.n, 2);
    mu_pki_certs_clear(&list);
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* EST-26, EST-27: 401 with the schemes; Basic right and wrong; nobody and wrong say the same. */
static void asks_for_a_password(void **state)
{
    struct mu_http_response r = {0}, other = {0};
    struct world w;

    (void)state;
    world_init(&w);
    w.wants_password = true;
    post(&w, "/simpleenroll", NULL, NULL, &r);
    says(&r, 401, "password");
    assert_true(mu_text_starts(world_header(&r, "WWW-Authenticate"), "Digest "));
    assert_true(mu_text_starts(r.headers[r.header_n - 1].value, "Basic "));
    post(&w, "/simpleenroll", NULL, "Basic ZXN0dXNlcjplc3Rwd2Q=", &r); /* estuser:estpwd */
    says(&r, 200, NULL);
    assert_true(w.last_authenticated);
    assert_int_equal(w.last_claim.auth, MU_AUTH_PASSWORD);
    assert_string_equal(w.last_entry, "estuser");
    post(&w, "/simpleenroll", NULL, "Basic ZXN0dXNlcjp3cm9uZw==", &r); /* estuser:wrong */
    says(&r, 401, "wrong");
    post(&w, "/simpleenroll", NULL, "Basic bm9ib2R5OmVzdHB3ZA==", &other); /* nobody:estpwd */
    says(&other, 401, NULL);
    assert_string_equal(mu_buf_str(&r.body), mu_buf_str(&other.body));
    post(&w, "/simpleenroll", NULL, "Basic !", &r);
    says(&r, 401, "Authorization");
    post(&w, "/simpleenroll", NULL, "Negotiate abc", &r);
    says(&r, 401, NULL);
    assert_false(world_traced(&w.server_trace, "estpwd"));
    mu_http_response_clear(&r);
    mu_http_response_clear(&other);
    world_clear(&w);
}

/* A password that comes unasked with a GET does no harm (EST-32). */
static void needs_no_password_to_look(void **state)
{
    struct mu_http_response r = {0};
    struct world w;

    (void)state;
    world_init(&w);
    world_ask(&w, "GET", "/cacerts", "Basic ZXN0dXNlcjp3cm9uZw==", mu_bytes(NULL, 0), &r);
    says(&r, 200, NULL);
    world_ask(&w, "GET", "/csrattrs", "Basic ZXN0dXNlcjp3cm9uZw==", mu_bytes(NULL, 0), &r);
    says(&r, 204, NULL);
    world_ask(&w, "GET", "/cacerts", "Basic !", mu_bytes(NULL, 0), &r);
    says(&r, 200, NULL);
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* EST-52, EST-54, EST-55, EST-58: linking verified when it is there, demanded with the switch. */
static void verifies_linking(void **state)
{
    struct mu_http_response r = {0};
    struct mu_secret challenge = {0};
    struct world w;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        world_init(&w);
        w.tls12 = i == 0;
        w.connection = 7;
        world_ok(mu_est_link_make(world_binding(&w), &challenge, &world_err));
        post(&w, "/simpleenroll", (const char *)challenge.p, NULL, &r);
        says(&r, 200, NULL);
        w.connection = 8; /* another session: a replay */
        post(&w, "/simpleenroll", (const char *)challenge.p, NULL, &r);
        says(&r, 400, "linked to another connection");
        w.credential.link_required = true;
        post(&w, "/simpleenroll", NULL, NULL, &r);
        says(&r, 400, "no challengePassword with the channel binding"); /* IOP-27 */
        w.no_binding = true;
        post(&w, "/simpleenroll", (const char *)challenge.p, NULL, &r);
        says(&r, 400, "this connection has no channel binding");
        world_clear(&w);
    }
    mu_secret_clear(&challenge);
    mu_http_response_clear(&r);
}

/* EST-30: what an RA could not have; EST-61: a password in its place, by explicit option. */
static void leaves_linking_to_an_ra_or_takes_a_password(void **state)
{
    struct mu_http_response r = {0};
    struct world w;

    (void)state;
    world_init(&w);
    w.client_cert = world_cert(&(struct world_cert){.subject = "CN=ra", .issuer = "CN=estExampleCA",
        .key = KEY_RA, .issuer_key = KEY_EC_CA, .eku = MU_EKU_CMC_RA});
    w.credential.ra_verified_ok = true;
    post(&w, "/simpleenroll", "c29tZWJvZHkgZWxzZQ==", NULL, &r);
    says(&r, 200, NULL);
    assert_int_equal(w.last_claim.auth, MU_AUTH_CERT);
    w.credential.ra_verified_ok = false;
    post(&w, "/simpleenroll", "c29tZWJvZHkgZWxzZQ==", NULL, &r);
    says(&r, 400, NULL);
    w.credential.challenge_is_secret = true;
    post(&w, "/simpleenroll", "a secret", NULL, &r);
    says(&r, 200, NULL);
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* T2, E109: PKCS #10 version 2 is taken; one octet of it changed is not (EST-42). */
static void takes_version_2(void **state)
{
    char path[512], text[1024];
    struct mu_http_response r = {0};
    struct mu_buf der = {0}, bad = {0};
    struct world w;
    size_t n;
    FILE *f;

    (void)state;
    world_init(&w);
    snprintf(path, sizeof path, "%s/est-requests/version2.txt", getenv("MU_VECTORS"));
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    world_ask(&w, "POST", "/simpleenroll", NULL, mu_bytes(text, n), &r);
    says(&r, 200, NULL);
    world_ok(mu_est_body_decode(mu_bytes(text, n), &der, &world_err));
    der.p[30] ^= 1; /* in the subject */
    mu_est_body_encode(&bad, mu_buf_bytes(&der), false);
    world_ask(&w, "POST", "/simpleenroll", NULL, mu_buf_bytes(&bad), &r);
    says(&r, 400, "proof of possession (RFC 7030 4.2");
    mu_buf_clear(&der);
    mu_buf_clear(&bad);
    mu_http_response_clear(&r);
    world_clear(&w);
}

static void refuses_bodies_that_are_no_request(void **state)
{
    static const char *const bodies[] = {"MAA=", "%%%", "MIIBQDCB5gIBAjAb"};
    struct mu_http_response r = {0};
    struct world w;
    struct mu_buf big = {.max = 1 << 20};
    size_t i;

    (void)state;
    world_init(&w);
    for (i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        world_ask(&w, "POST", "/simpleenroll", NULL, mu_bytes_str(bodies[i]), &r);
        says(&r, 400, "the PKCS #10 (RFC 7030 4.2.1)");
    }
    assert_non_null(mu_buf_grow(&big, 300 * 1024));
    memset(big.p, 'A', big.n);
    world_ask(&w, "POST", "/simpleenroll", NULL, mu_buf_bytes(&big), &r);
    says(&r, 400, "at most 262144 are taken");
    mu_buf_clear(&big);
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* EST-23, EST-31: the certificate of the TLS client is the claim's signer, judged by the CA. */
static void claims_the_tls_client(void **state)
{
    struct mu_http_response r = {0};
    struct world w;

    (void)state;
    world_init(&w);
    w.wants_password = true;
    w.client_cert = world_cert(&(struct world_cert){.subject = "CN=device1", .key = KEY_EC});
    post(&w, "/simplereenroll", NULL, NULL, &r);
    says(&r, 200, NULL);
    assert_int_equal(w.last_claim.auth, MU_AUTH_CERT);
    assert_true(w.last_claim.signer_is_self_signed);
    /* a password on top of it names the entry as well */
    post(&w, "/simpleenroll", NULL, "Basic ZXN0dXNlcjplc3Rwd2Q=", &r);
    assert_int_equal(w.last_claim.auth, MU_AUTH_CERT);
    assert_string_equal(w.last_entry, "estuser");
    assert_true(w.last_authenticated);
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* EST-29: TLS-SRP has checked the password in the handshake. */
static void claims_the_srp_user(void **state)
{
    struct mu_http_peer peer = {.tls = true, .srp_user = "srpuser"};
    struct mu_http_request request = {.method = "GET", .target = "/.well-known/est/cacerts", .peer = &peer};
    struct mu_est_server *server = NULL;
    struct mu_question question;
    struct mu_claim claim;
    struct world w;

    (void)state;
    world_init(&w);
    world_ok(mu_est_server_open(&w.env, &request, &server, &claim, &world_err));
    assert_int_equal(claim.auth, MU_AUTH_SRP);
    assert_string_equal(claim.entry, "srpuser");
    world_ok(mu_est_server_read(server, &w.credential, &question, &world_err));
    assert_true(question.authenticated);
    mu_est_server_free(server);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_ca_certs),
        cmocka_unit_test(gives_csr_attributes),
        cmocka_unit_test(refuses_paths_and_methods),
        cmocka_unit_test(issues),
        cmocka_unit_test(asks_for_a_password),
        cmocka_unit_test(needs_no_password_to_look),
        cmocka_unit_test(verifies_linking),
        cmocka_unit_test(leaves_linking_to_an_ra_or_takes_a_password),
        cmocka_unit_test(takes_version_2),
        cmocka_unit_test(refuses_bodies_that_are_no_request),
        cmocka_unit_test(claims_the_tls_client),
        cmocka_unit_test(claims_the_srp_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
