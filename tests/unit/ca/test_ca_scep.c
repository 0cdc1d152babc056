/* A SCEP request's way through the CA: which CA, cheap checks before keys, rate, rollover. */
#include "ca_world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "pki/pki_name.h"

static bool body_has(const struct ca_world *w, const char *part)
{
    return memmem(w->last.body.p, w->last.body.n, part, strlen(part)) != NULL;
}

static const char *header(const struct ca_world *w, const char *name)
{
    const char *value = mu_http_header_get(w->last.headers, w->last.header_n, name);

    return value != NULL ? value : "";
}

/* IOP-04, SCEP-07: any tail below the usual paths, and operation= anywhere. */
static void scep_answers_on_any_of_its_paths(void **state)
{
    static const char *const paths[] = {"/scep", "/scep/", "/scep/demo/pkiclient.exe",
        "/app/cert/scep/", "/app/cert/scep/pkiclient.exe", "/cgi-bin/pkiclient.exe",
        "/certsrv/mscep/mscep.dll", "/"};
    struct ca_world *w = *state;
    char target[128];

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        snprintf(target, sizeof target, "%s?operation=GetCACaps", paths[i]);
        assert_int_equal(ca_get(w, target), 200);
        assert_true(body_has(w, "SCEPStandard") && body_has(w, "Renewal")
            && body_has(w, "POSTPKIOperation"));
        assert_true(body_has(w, "SHA-384")); /* strongSwan 5.9.8 */
        assert_false(body_has(w, "GetNextCACert")); /* SCEP-77 */
    }
    assert_int_equal(ca_get(w, "/scep?operation=GetCACert&message=anything"), 200);
    assert_string_equal(header(w, "Content-Type"), "application/x-x509-ca-cert");
    assert_int_equal(ca_get(w, "/other"), 404);
    assert_int_equal(ca_get(w, "/scepter"), 404);
}

/* ACCEPTANCE C036 */
static void answers_carry_the_common_headers(void **state)
{
    struct ca_world *w = *state;

    ca_get(w, "/scep?operation=GetCACaps");
    assert_string_equal(header(w, "X-XSS-Protection"), "1; mode=block");
    assert_string_equal(header(w, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(header(w, "Referrer-Policy"), "strict-origin-when-cross-origin");
    assert_string_equal(header(w, "Permissions-Policy"), "fullscreen=(self)");
}

/* S004 */
static void a_service_can_be_switched_off(void **state)
{
    struct ca_world *w = *state;

    assert_true(mu_ca_service_enabled(w->ca, MU_PROTO_SCEP));
    ca_ok(mu_ca_service_set(w->ca, MU_PROTO_SCEP, false, "test", &ca_err));
    assert_false(mu_ca_service_enabled(w->ca, MU_PROTO_SCEP));
    assert_int_equal(ca_get(w, "/scep?operation=GetCACaps"), 503);
    ca_world_restart(w); /* it stays so */
    assert_int_equal(ca_get(w, "/scep?operation=GetCACaps"), 503);
    ca_ok(mu_ca_service_set(w->ca, MU_PROTO_SCEP, true, "test", &ca_err));
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, NULL));
}

static void make_second(struct ca_world *w, const char *issuing, bool with_ra)
{
    const struct mu_ca_init init = {.name = "second",
        .root_subject = "CN=Second Root,O=x",
        .issuing_subject = issuing,
        .with_ra = with_ra,
        .operator= "test" };

    ca_ok(mu_ca_init(w->ca, &init, &ca_err));
    ca_ok(mu_ca_set(w->ca, "second", "no-challenge = scep-auto\n", "test", &ca_err));
}

/* SCEP-12: a CA by path label or identifier; without one the default answers. */
static void a_ca_is_chosen_by_label_identifier_or_default(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;

    make_second(w, NULL, false);
    ca_get(w, "/scep/second?operation=GetCACert");
    assert_true(body_has(w, "Second Root"));
    ca_get(w, "/scep?operation=GetCACert&message=second");
    assert_true(body_has(w, "Second Root"));
    ca_get(w, "/scep?operation=GetCACert&message=unknown");
    assert_true(body_has(w, "sceptest"));
    ca_get(w, "/scep/demo?operation=GetCACert&message=second"); /* the path wins */
    assert_true(body_has(w, "sceptest"));
    w->path = "/scep/second/pkiclient.exe";
    ca_ok(ca_enroll(w, &(struct ca_client){.subject = "/CN=x"}, &cert));
    assert_non_null(memmem(cert->issuer.p, cert->issuer.n, "Second Root", 11));
    mu_pki_cert_free(cert);
}

/* SCEP-27, SCEP-02: the RA's key answers, the CA's only signs. */
static void an_ra_answers_for_an_issuing_ca(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;
    struct mu_scep_client_result result;
    struct mu_scep_client *client = NULL;

    make_second(w, "CN=Second Issuing,O=x", true);
    w->path = "/scep/second";
    ca_ok(ca_run(w, &(struct ca_client){.op = MU_SCEP_CLIENT_ENROLL, .subject = "/CN=x"}, &cert,
        &result, &client));
    assert_int_equal(result.reply_type, 3);
    assert_int_equal(result.ca_certs->n, 3);
    assert_ptr_not_equal(result.ra_encrypt, result.ca);
    assert_int_equal(
        result.ra_encrypt->exts.key_usage, MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    assert_non_null(memmem(
        result.ra_encrypt->subject.p, result.ra_encrypt->subject.n, "Second Issuing RA", 17));
    assert_non_null(memmem(cert->issuer.p, cert->issuer.n, "Second Issuing", 14));
    mu_scep_client_free(client);
    mu_pki_cert_free(cert);
}

/* ---- bad input ---- */

static void garbage_is_refused_without_a_key(void **state)
{
    static const char *const bodies[] = {
        "", "x", "\x30\x80", "\x30\x03\x02\x01\x05", "<html>no</html>"};
    struct ca_world *w = *state;

    w->keys_lost = false;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(ca_post(w, "/scep?operation=PKIOperation", mu_bytes_str(bodies[i])), 400);
        assert_string_equal(w->action, "refuse");
        assert_int_equal(w->reason, MU_REFUSE_MALFORMED);
    }
    assert_int_equal(ca_get(w, "/scep?operation=PKIOperation&message=!!!"), 400);
    assert_int_equal(ca_get(w, "/scep?operation=Nonsense"), 400);
}

/* A message of our client, as it goes over the wire. */
static void keep_request(struct ca_world *w, const char *challenge, struct mu_buf *message)
{
    struct mu_scep_client *client = NULL;
    struct mu_buf csr = {0};
    const struct ca_client what = {.challenge = challenge, .subject = "/CN=wire"};
    struct mu_step step = {0};
    struct mu_event event = {0};
    struct mu_scep_client_config config = {.env = &w->env,
        .op = MU_SCEP_CLIENT_ENROLL,
        .url = "http://ca.example/scep",
        .entry = "t",
        .key = ca_key(CA_KEY_A),
        .no_wait = true};
    enum mu_code rc;

    ca_csr(&what, &csr);
    config.csr = mu_buf_bytes(&csr);
    ca_ok(mu_scep_client_new(&config, &client, &ca_err));
    rc = mu_scep_client_start(client, &step, &ca_err);
    while (rc == MU_OK && !(step.want == MU_WANT_SEND && step.request.body.n != 0)) {
        if (step.want == MU_WANT_SEND) {
            ca_get(w, strchr(strstr(step.request.target, "//") + 2, '/'));
            event = (struct mu_event){.type = MU_EVENT_RESPONSE, .response = &w->last};
        } else {
            event = (struct mu_event){.type = MU_EVENT_TRUST, .yes = true};
        }
        rc = mu_scep_client_step(client, &event, &step, &ca_err);
    }
    assert_int_equal(rc, MU_OK);
    mu_buf_put_bytes(message, step.request.body);
    mu_scep_client_free(client);
    mu_buf_clear(&csr);
}

static void a_damaged_message_is_refused_and_nothing_recorded(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf message = {0};
    struct mu_store_counts counts;

    /* Without a challenge: with one, a signer's certificate that is not self-signed would do. */
    keep_request(w, NULL, &message);
    for (size_t at = 20; at < message.n; at += 97) {
        int status;

        message.p[at] ^= 0x21;
        status = ca_post(w, "/scep?operation=PKIOperation", mu_buf_bytes(&message));
        if (status != 200 && status != 400 && status != 501)
            fail_msg("octet %zu: status %d", at, status);
        if (strcmp(w->action, "refuse") != 0)
            fail_msg("octet %zu: %s", at, w->action);
        message.p[at] ^= 0x21;
    }
    ca_ok(mu_ca_counts(w->ca, &counts, &ca_err));
    assert_int_equal(counts.pending, 0);
    assert_int_equal(ca_post(w, "/scep?operation=PKIOperation", mu_buf_bytes(&message)), 200);
    assert_string_equal(w->action, "pending");
    mu_buf_clear(&message);
}

/* Garbage must not buy private-key work. */
static void an_address_has_so_many_tokens(void **state)
{
    struct ca_world *w = *state;
    struct mu_ca_stats stats;

    w->config.rate_burst = 3;
    w->config.rate_per_s = 0.1;
    ca_world_restart(w);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ca_post(w, "/scep", mu_bytes_str("garbage")), 400);
    assert_int_equal(ca_post(w, "/scep", mu_bytes_str("garbage")), 429);
    assert_string_equal(header(w, "Retry-After"), "11");
    assert_int_equal(w->reason, MU_REFUSE_RATE);
    assert_int_equal(ca_get(w, "/scep?operation=GetCACaps"), 200); /* costs nothing */
    mu_ca_stats(w->ca, &stats);
    assert_int_equal(stats.rate_limited, 1);
    snprintf(w->peer.address, sizeof w->peer.address, "192.0.2.99"); /* others are not touched */
    assert_int_equal(ca_post(w, "/scep", mu_bytes_str("garbage")), 400);
    snprintf(w->peer.address, sizeof w->peer.address, "192.0.2.7");
    w->now_s += 11;
    assert_int_equal(ca_post(w, "/scep", mu_bytes_str("garbage")), 400);
    assert_int_equal(ca_post(w, "/scep", mu_bytes_str("garbage")), 429);
}

static void a_good_peer_is_not_slowed_down(void **state)
{
    struct ca_world *w = *state;
    char subject[32];

    w->config.rate_burst = 1;
    w->config.rate_per_s = 0.001;
    ca_world_restart(w);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(subject, sizeof subject, "/CN=good-%u", i);
        ca_ok(
            ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .subject = subject}, NULL));
    }
}

/* Well-formed messages that fail cost as much. */
static void failing_requests_run_out_of_tokens(void **state)
{
    struct ca_world *w = *state;

    w->config.rate_burst = 2;
    w->config.rate_per_s = 0.001;
    ca_world_restart(w);
    for (unsigned i = 0; i < 2; i++)
        ca_refused(w, &(struct ca_client){.challenge = "wrong"}, MU_REFUSE_PASSWORD, NULL);
    assert_int_not_equal(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, NULL), MU_OK);
    assert_int_equal(w->last_status, 429);
    assert_int_equal(w->reason, MU_REFUSE_RATE);
}

/* SCEP-05, D5 */
static void legacy_algorithms_need_the_switch(void **state)
{
    struct ca_world *w = *state;

    assert_int_equal(
        ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .legacy = true}, NULL),
        MU_DENIED);
    assert_int_equal(w->reason, MU_REFUSE_ALGORITHM);
    assert_non_null(strstr(w->message, "allow-legacy"));
    ca_set(w, "allow-legacy = yes\n");
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .legacy = true}, NULL));
}

static void a_ca_without_its_key_says_so(void **state)
{
    struct ca_world *w = *state;

    w->keys_lost = true;
    ca_world_restart(w);
    assert_int_equal(ca_get(w, "/scep?operation=GetCACert"), 500);
    assert_non_null(strstr(w->message, "there is no key 'demo'"));
}

static void without_a_ca_there_is_no_service(void **state)
{
    struct ca_world w;

    ca_world_open(&w, NULL);
    assert_int_equal(ca_get(&w, "/scep?operation=GetCACert"), 503);
    ca_world_close(&w);
}

/* ---- rollover (SCEP-75, SCEP-77, SCEP-78) ---- */

static void a_successor_is_announced_serves_and_takes_over(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = NULL, *under_next = NULL, *renewed = NULL, *next;
    struct mu_scep_client_result result;
    struct mu_scep_client *client = NULL;

    assert_int_equal(ca_get(w, "/scep?operation=GetNextCACert"), 404);
    assert_int_equal(mu_ca_activate(w->ca, "demo", "test", &ca_err), MU_DENIED);
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=gw"}, &old));
    ca_ok(mu_ca_next(w->ca, "demo", "test", &ca_err));
    ca_get(w, "/scep?operation=GetCACaps");
    assert_true(body_has(w, "GetNextCACert"));
    ca_get(w, "/scep?operation=GetNextCACert");
    assert_string_equal(header(w, "Content-Type"), "application/x-x509-next-ca-cert");
    ca_get(w, "/ca/demo.crt");
    ca_ok(mu_pki_cert_decode(mu_buf_bytes(&w->last.body), &next, &ca_err));
    {
        struct mu_pki_certs trusted = {0};
        struct mu_scep_client_config config = {.env = &w->env,
            .op = MU_SCEP_CLIENT_NEXT_CA,
            .url = "http://ca.example/scep",
            .entry = "t",
            .trusted = &trusted};
        struct mu_step step = {0};
        struct mu_event event;
        enum mu_code rc;

        ca_ok(mu_pki_certs_add(&trusted, next, &ca_err));
        mu_pki_cert_free(next);
        ca_ok(mu_scep_client_new(&config, &client, &ca_err));
        for (rc = mu_scep_client_start(client, &step, &ca_err);
             rc == MU_OK && step.want != MU_WANT_DONE;
             rc = mu_scep_client_step(client, &event, &step, &ca_err)) {
            event = (struct mu_event){.type = step.want == MU_WANT_SAVE ? MU_EVENT_SAVED
                    : step.want == MU_WANT_TRUST                        ? MU_EVENT_TRUST
                                                                        : MU_EVENT_RESPONSE,
                .yes = true,
                .response = &w->last};
            if (step.want == MU_WANT_SEND)
                ca_get(w, strchr(strstr(step.request.target, "//") + 2, '/'));
        }
        ca_ok(rc);
        mu_scep_client_result(client, &result);
        assert_int_equal(result.ca_certs->n, 1);
        next = mu_pki_cert_ref(result.ca_certs->v[0]);
        mu_scep_client_free(client);
        mu_pki_certs_clear(&trusted);
    }
    assert_true(mu_pki_name_equal(next->subject, old->issuer));
    assert_int_equal(ca_get(w, "/ca/demo.crt"), 200);
    /* after activation the old certificate still renews, now under the new key */
    ca_ok(mu_ca_activate(w->ca, "demo", "test", &ca_err));
    ca_get(w, "/ca/demo.crt");
    assert_memory_equal(w->last.body.p, next->der.p, next->der.n);
    ca_ok(ca_enroll(
        w, &(struct ca_client){.signer = old, .subject = "/CN=gw", .key = CA_KEY_B}, &renewed));
    ca_ok(mu_pki_cert_verify(renewed, next, false, &ca_err));
    assert_int_equal(mu_pki_cert_verify(old, next, false, NULL), MU_AUTH);
    mu_pki_cert_free(old);
    mu_pki_cert_free(under_next);
    mu_pki_cert_free(renewed);
    mu_pki_cert_free(next);
}

static bool keep_next(void *cookie, const struct mu_ca_view *view)
{
    *(struct mu_pki_cert **)cookie = mu_pki_cert_ref(view->next->v[0]);
    return false;
}

/* SCEP-78: who envelopes to the next CA's certificate is issued to by its key. */
static void enveloped_to_the_successor_is_issued_by_it(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *next = NULL;
    struct mu_buf csr = {0};
    struct mu_pki_certs only = {0};
    struct mu_scep_client *client = NULL;
    struct mu_scep_client_result result;
    struct mu_step step = {0};
    struct mu_event event;
    struct mu_scep_client_config config = {.env = &w->env,
        .op = MU_SCEP_CLIENT_ENROLL,
        .url = "http://ca.example/scep",
        .entry = "t",
        .key = ca_key(CA_KEY_A),
        .no_wait = true,
        .ca_certs = &only,
        .trusted = &only};
    enum mu_code rc;

    ca_ok(mu_ca_next(w->ca, "demo", "test", &ca_err));
    mu_ca_each(w->ca, keep_next, &next);
    ca_ok(mu_pki_certs_add(&only, next, &ca_err));
    ca_csr(&(struct ca_client){.challenge = "challenge1", .subject = "/CN=early"}, &csr);
    config.csr = mu_buf_bytes(&csr);
    ca_ok(mu_scep_client_new(&config, &client, &ca_err));
    for (rc = mu_scep_client_start(client, &step, &ca_err);
         rc == MU_OK && step.want != MU_WANT_DONE;
         rc = mu_scep_client_step(client, &event, &step, &ca_err)) {
        event = (struct mu_event){
            .type = step.want == MU_WANT_SAVE ? MU_EVENT_SAVED : MU_EVENT_RESPONSE,
            .response = &w->last};
        if (step.want == MU_WANT_SEND && step.request.body.n != 0)
            ca_post(w, "/scep?operation=PKIOperation", step.request.body);
        else if (step.want == MU_WANT_SEND)
            ca_get(w, strchr(strstr(step.request.target, "//") + 2, '/'));
    }
    ca_ok(rc);
    mu_scep_client_result(client, &result);
    ca_ok(mu_pki_cert_verify(result.cert, next, false, &ca_err));
    mu_scep_client_free(client);
    mu_pki_certs_clear(&only);
    mu_pki_cert_free(next);
    mu_buf_clear(&csr);
}

/* ---- many at once, over SQLite ---- */

enum { THREADS = 4, EACH = 6 };

struct shared {
    struct ca_world *w;
    struct mu_buf message;
    unsigned n;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    unsigned answered, good;
};

static void count_reply(void *cookie, struct mu_http_response *response)
{
    struct shared *s = cookie;

    pthread_mutex_lock(&s->lock);
    s->answered++;
    s->good += response->status == 200;
    pthread_cond_signal(&s->ready);
    pthread_mutex_unlock(&s->lock);
    mu_http_response_clear(response);
}

static void *hammer(void *cookie)
{
    struct shared *s = cookie;
    const struct mu_http_request request = {.method = "POST",
        .target = "/scep?operation=PKIOperation",
        .minor = 1,
        .body = mu_buf_bytes(&s->message),
        .peer = &s->w->peer};

    for (unsigned i = 0; i < EACH; i++)
        mu_ca_handle(s->w->ca, &request, count_reply, s);
    return NULL;
}

/* One message, sent by many at the same time: one certificate, and everybody gets an answer. */
static void a_request_sent_by_many_is_issued_once(void **state)
{
    char dir[] = "/tmp/muster-ca-XXXXXX", file[64];
    struct ca_world w;
    struct mu_store *store = NULL;
    struct mu_store_counts counts;
    struct shared s = {
        .w = &w, .lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};
    pthread_t threads[THREADS];
    static const char *const ends[] = {"", "-wal", "-shm"};

    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/db", dir);
    ca_ok(mu_store_sqlite_open(&(struct mu_store_sqlite_config){.path = file}, &store, &ca_err));
    ca_world_open(&w, store);
    w.config.event = NULL;
    w.env.trace = NULL;
    ca_world_restart(&w);
    ca_ok(mu_ca_demo(w.ca, &ca_err));
    keep_request(&w, "challenge1", &s.message);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &s), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_lock(&s.lock);
    while (s.answered < THREADS * EACH)
        pthread_cond_wait(&s.ready, &s.lock);
    pthread_mutex_unlock(&s.lock);
    assert_int_equal(s.good, THREADS * EACH);
    ca_ok(mu_ca_counts(w.ca, &counts, &ca_err));
    assert_int_equal(counts.certs, 1);
    ca_world_restart(&w); /* all of it is in the database */
    ca_ok(mu_ca_counts(w.ca, &counts, &ca_err));
    assert_int_equal(counts.certs, 1);
    ca_world_close(&w);
    mu_buf_clear(&s.message);
    for (size_t i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/db%s", dir, ends[i]);
        unlink(file);
    }
    rmdir(dir);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, ca_world_demo, ca_world_end)
    const struct CMUnitTest tests[] = {
        CASE(scep_answers_on_any_of_its_paths),
        CASE(answers_carry_the_common_headers),
        CASE(a_service_can_be_switched_off),
        CASE(a_ca_is_chosen_by_label_identifier_or_default),
        CASE(an_ra_answers_for_an_issuing_ca),
        CASE(garbage_is_refused_without_a_key),
        CASE(a_damaged_message_is_refused_and_nothing_recorded),
        CASE(an_address_has_so_many_tokens),
        CASE(failing_requests_run_out_of_tokens),
        CASE(a_good_peer_is_not_slowed_down),
        CASE(legacy_algorithms_need_the_switch),
        CASE(a_ca_without_its_key_says_so),
        cmocka_unit_test(without_a_ca_there_is_no_service),
        CASE(a_successor_is_announced_serves_and_takes_over),
        CASE(enveloped_to_the_successor_is_issued_by_it),
        cmocka_unit_test(a_request_sent_by_many_is_issued_once),
    };

    return cmocka_run_group_tests_name("ca_scep", tests, NULL, NULL);
}
