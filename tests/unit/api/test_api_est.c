/*
 * EST by the public interface alone, from the shared library, against a responder in memory: what a
 * program with its own TLS does.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/muster.h>

struct run {
    struct world w;
    struct muster_enrollment *e;
    struct muster_error err;
    char order[64]; /* one letter for each want: s send, w, t, v save, d */
    bool trust, no_exporter; /* the server knows tls-unique alone */
    /* of the connections there were */
    unsigned connections;
    bool is_unverified, is_tls_1_2, was_shown, had_authorization;
    char first_trusted[4096], urls[2048];
    unsigned unverified_sends;
};

static int64_t now(void *context)
{
    return WORLD_NOW;
}

static struct muster_enrollment *enrollment(void)
{
    struct muster_enrollment *e = NULL;

    assert_int_equal(muster_enrollment_new("est", &e, NULL), MUSTER_OK);
    assert_string_equal(muster_enrollment_protocol(e), "est");
    assert_int_equal(muster_enrollment_set_url(e, WORLD_URL, NULL), MUSTER_OK);
    assert_int_equal(muster_enrollment_set_subject(e, "/CN=api", NULL), MUSTER_OK);
    muster_enrollment_set_clock(e, now, NULL);
    return e;
}

static void trust_ca(struct run *r)
{
    struct mu_buf pem = {0};

    mu_pki_cert_to_pem(r->w.ca, &pem);
    assert_int_equal(muster_enrollment_add_trusted(r->e, mu_buf_str(&pem), NULL), MUSTER_OK);
    mu_buf_clear(&pem);
}

static int setup(void **state)
{
    struct run *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    world_init(&r->w);
    r->w.wants_password = true;
    r->e = enrollment();
    r->trust = true;
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct run *r = *state;

    muster_enrollment_free(r->e);
    world_clear(&r->w);
    free(r);
    return 0;
}

/* A new connection where the step needs one, made with what the enrollment says of TLS. */
static void connect_for(struct run *r, const struct muster_step *step)
{
    struct mu_pki_certs certs = {0};
    const char *pem;

    if (step->same_connection)
        assert_int_not_equal(r->connections, 0);
    if (r->connections != 0 && r->is_unverified == step->tls_unverified && r->is_tls_1_2 == step->tls_1_2)
        return;
    r->connections++;
    r->w.connection++;
    r->is_unverified = step->tls_unverified;
    r->is_tls_1_2 = r->w.tls12 = step->tls_1_2;
    pem = muster_enrollment_tls_certificate_pem(r->e);
    r->was_shown = pem != NULL;
    mu_pki_cert_free(r->w.client_cert);
    r->w.client_cert = NULL;
    assert_int_equal(pem != NULL, muster_enrollment_tls_key_pem(r->e) != NULL);
    if (pem != NULL) {
        world_ok(mu_pki_certs_decode(mu_bytes_str(pem), &certs, &world_err));
        r->w.client_cert = mu_pki_cert_ref(certs.v[0]);
        mu_pki_certs_clear(&certs);
    }
    pem = muster_enrollment_tls_trusted_pem(r->e);
    snprintf(r->first_trusted, sizeof(r->first_trusted), "%s", pem != NULL ? pem : "");
}

static enum muster_code exchange(struct run *r, struct muster_step *step)
{
    struct mu_http_peer peer = {.address = "127.0.0.1", .uid = -1, .tls = true};
    struct mu_bytes binding;
    struct mu_http_header headers[16];
    struct mu_http_request request = {.method = step->method,
        .target = strchr(step->url + strlen("https://"), '/'), .minor = 1, .headers = headers,
        .header_n = step->header_n, .body = mu_bytes(step->body, step->body_n), .peer = &peer};
    struct mu_http_response response = {0};
    struct muster_header got[16];
    struct muster_event event = {.type = MUSTER_EVENT_RESPONSE, .headers = got};
    enum muster_code rc;
    bool has_authorization = false;

    connect_for(r, step);
    snprintf(r->urls + strlen(r->urls), sizeof(r->urls) - strlen(r->urls), "%s\n", step->url);
    assert_true(step->header_n <= 16);
    for (size_t i = 0; i < step->header_n; i++) {
        headers[i] = (struct mu_http_header){step->headers[i].name, step->headers[i].value};
        has_authorization |= strcmp(step->headers[i].name, "Authorization") == 0;
    }
    r->had_authorization |= has_authorization;
    assert_true(!has_authorization || step->needs_named_anchor); /* EST-22 */
    r->unverified_sends += step->tls_unverified;
    binding = world_binding(&r->w);
    peer.tls_version = r->w.tls12 ? 0x0303 : 0x0304;
    *(r->w.tls12 ? &peer.tls_unique : &peer.tls_exporter) = binding;
    if (r->w.client_cert != NULL)
        peer.client_cert = r->w.client_cert->der;
    if (r->no_exporter && !r->w.tls12 && step->body_n != 0)
        world_ok(mu_http_response_set(&response, 400, "text/plain",
            mu_bytes_str("the channel binding is not tls-unique"), &world_err));
    else
        world_serve(&r->w, &request, &response);
    event.status = response.status;
    event.body = response.body.p;
    event.body_n = response.body.n;
    for (; event.header_n < response.header_n && event.header_n < 16; event.header_n++)
        got[event.header_n] = (struct muster_header){
            response.headers[event.header_n].name, response.headers[event.header_n].value};
    event.tls_binding = binding.p;
    event.tls_binding_n = binding.n;
    rc = muster_enrollment_step(r->e, &event, step, &r->err);
    mu_http_response_clear(&response);
    return rc;
}

static enum muster_code run(struct run *r)
{
    struct muster_step step;
    enum muster_code rc = muster_enrollment_start(r->e, &step, &r->err);
    size_t n = 0;

    memset(r->order, 0, sizeof(r->order));
    while (rc == MUSTER_OK && n + 1 < sizeof(r->order)) {
        struct muster_event event = {0};

        r->order[n++] = "swtvd"[step.want];
        switch (step.want) {
        case MUSTER_WANT_SEND:
            rc = exchange(r, &step);
            continue;
        case MUSTER_WANT_WAIT:
            event.type = MUSTER_EVENT_TIME;
            break;
        case MUSTER_WANT_TRUST:
            event.type = MUSTER_EVENT_TRUST;
            event.yes = r->trust;
            break;
        case MUSTER_WANT_SAVE:
            event.type = MUSTER_EVENT_SAVED;
            break;
        case MUSTER_WANT_DONE:
            return MUSTER_OK;
        }
        rc = muster_enrollment_step(r->e, &event, &step, &r->err);
    }
    return rc;
}

static void ok(struct run *r)
{
    struct mu_pki_certs certs = {0};
    struct mu_pki_key *key = NULL;
    enum muster_code rc = run(r);

    if (rc != MUSTER_OK)
        fail_msg("%d M%d: %s", (int)rc, r->err.reason, r->err.what);
    world_ok(mu_pki_certs_decode(
        mu_bytes_str(muster_enrollment_certificate_pem(r->e)), &certs, &world_err));
    world_ok(mu_pki_key_decode(mu_bytes_str(muster_enrollment_key_pem(r->e)), NULL, &key, &world_err));
    assert_true(mu_bytes_equal(certs.v[0]->spki, mu_pki_key_spki(key)));
    mu_pki_certs_clear(&certs);
    mu_pki_key_free(key);
}

static void login(struct run *r)
{
    assert_int_equal(muster_enrollment_set_login(r->e, "estuser", "estpwd", NULL), MUSTER_OK);
}

/* One connection, the password only with what needs it, and the request linked where that is wanted. */
static void a_program_with_its_own_tls_enrolls(void **state)
{
    struct run *r = *state;

    trust_ca(r);
    login(r);
    r->w.credential.link_required = true;
    ok(r);
    assert_int_equal(r->connections, 1);
    assert_true(r->had_authorization && !r->was_shown);
    assert_string_equal(r->w.last_entry, "estuser");
    assert_non_null(strstr(r->first_trusted, "BEGIN CERTIFICATE"));
    assert_non_null(strstr(r->urls, "/simpleenroll"));
}

/* EST-60 */
static void a_server_without_the_exporter_is_asked_under_tls_1_2(void **state)
{
    struct run *r = *state;

    trust_ca(r);
    login(r);
    r->w.credential.link_required = true;
    r->no_exporter = true;
    ok(r);
    assert_int_equal(r->connections, 2);
    assert_true(r->is_tls_1_2);
}

/* EST-18, EST-19: nothing of ours goes over the connection that only fetches the CA. */
static void a_pin_vouches_for_a_second_connection(void **state)
{
    struct run *r = *state;
    struct mu_buf pin = {0};

    mu_pki_cert_fingerprint(r->w.ca, MU_PKI_SHA256, &pin);
    assert_int_equal(muster_enrollment_set_pin(r->e, mu_buf_str(&pin), NULL), MUSTER_OK);
    login(r);
    ok(r);
    assert_int_equal(r->connections, 2);
    assert_int_equal(r->unverified_sends, 1);
    assert_non_null(strstr(r->first_trusted, "BEGIN CERTIFICATE"));
    mu_buf_clear(&pin);
}

static void a_wrong_pin_ends_it(void **state)
{
    struct run *r = *state;

    assert_int_equal(muster_enrollment_set_pin(r->e,
        "0000000000000000000000000000000000000000000000000000000000000000", NULL), MUSTER_OK);
    login(r);
    assert_int_equal(run(r), MUSTER_AUTH);
    assert_int_equal(r->err.reason, 211);
    assert_false(r->had_authorization);
}

static void a_person_may_vouch(void **state)
{
    struct run *r = *state;

    muster_enrollment_set_bootstrap(r->e, true);
    login(r);
    r->trust = false;
    assert_int_equal(run(r), MUSTER_AUTH);
    assert_int_equal(r->err.reason, 209);
    assert_false(r->had_authorization);
    r->trust = true;
    r->connections = 0;
    ok(r);
    assert_int_equal(r->connections, 2);
    assert_non_null(strchr(r->order, 't'));
}

/* EST-44: simplereenroll, with the present certificate in TLS and no password. */
static void a_renewal_shows_its_certificate(void **state)
{
    struct run *r = *state;
    char cert[8192], key[8192];

    trust_ca(r);
    login(r);
    ok(r);
    snprintf(cert, sizeof(cert), "%s", muster_enrollment_certificate_pem(r->e));
    snprintf(key, sizeof(key), "%s", muster_enrollment_key_pem(r->e));
    muster_enrollment_free(r->e);
    r->e = NULL;
    assert_int_equal(muster_enrollment_new("est", &r->e, NULL), MUSTER_OK);
    assert_int_equal(muster_enrollment_set_url(r->e, WORLD_URL, NULL), MUSTER_OK);
    muster_enrollment_set_clock(r->e, now, NULL);
    trust_ca(r);
    login(r);
    assert_int_equal(muster_enrollment_set_renewal(r->e, cert, key, NULL, NULL), MUSTER_OK);
    r->connections = 0;
    r->had_authorization = false;
    ok(r);
    assert_true(r->was_shown && !r->had_authorization);
    assert_non_null(strstr(r->urls, "/simplereenroll"));
    mu_bytes_wipe(key, sizeof(key));
}

static void a_client_certificate_says_who_asks(void **state)
{
    struct run *r = *state;
    char cert[8192], key[8192];

    trust_ca(r);
    login(r);
    ok(r);
    snprintf(cert, sizeof(cert), "%s", muster_enrollment_certificate_pem(r->e));
    snprintf(key, sizeof(key), "%s", muster_enrollment_key_pem(r->e));
    muster_enrollment_free(r->e);
    r->e = enrollment();
    trust_ca(r);
    assert_int_equal(muster_enrollment_set_client_certificate(r->e, cert, key, NULL, NULL), MUSTER_OK);
    r->connections = 0;
    ok(r);
    assert_true(r->was_shown);
    assert_null(strstr(r->urls, "/simplereenroll"));
    mu_bytes_wipe(key, sizeof(key));
}

/* EST-74: the key that the server made comes out, not the one that signed. */
static void a_key_may_come_from_the_server(void **state)
{
    struct run *r = *state;
    struct mu_pki_key *key = NULL;

    trust_ca(r);
    login(r);
    muster_enrollment_set_server_key(r->e, true);
    ok(r);
    world_ok(mu_pki_key_decode(mu_bytes_str(muster_enrollment_key_pem(r->e)), NULL, &key, &world_err));
    assert_true(mu_pki_key_equal(key, r->w.made));
    assert_non_null(strstr(r->urls, "/serverkeygen"));
    mu_pki_key_free(key);
}

static void pending_is_polled(void **state)
{
    struct run *r = *state;

    trust_ca(r);
    login(r);
    r->w.pending_n = 1;
    ok(r);
    assert_non_null(strchr(r->order, 'w'));
    muster_enrollment_free(r->e);
    r->e = enrollment();
    trust_ca(r);
    login(r);
    muster_enrollment_set_no_wait(r->e, true);
    r->w.pending_n = 1;
    assert_int_equal(run(r), MUSTER_PENDING);
}

static void a_refusal_has_its_words(void **state)
{
    struct run *r = *state;

    trust_ca(r);
    assert_int_equal(muster_enrollment_set_login(r->e, "estuser", "wrong", NULL), MUSTER_OK);
    assert_int_not_equal(run(r), MUSTER_OK);
    assert_true(r->err.what[0] != '\0');
    assert_null(muster_enrollment_certificate_pem(r->e));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_program_with_its_own_tls_enrolls),
        T(a_server_without_the_exporter_is_asked_under_tls_1_2),
        T(a_pin_vouches_for_a_second_connection),
        T(a_wrong_pin_ends_it),
        T(a_person_may_vouch),
        T(a_renewal_shows_its_certificate),
        T(a_client_certificate_says_who_asks),
        T(a_key_may_come_from_the_server),
        T(pending_is_polled),
        T(a_refusal_has_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
