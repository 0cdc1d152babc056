/* The driver against a responder in memory: what it asks its host, in which order, and how it ends. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "fake_loop.h"
#include "fake_transport.h"
#include "pki/pki_csr.h"
#include "pki/pki_name.h"

struct world {
    struct mu_loop *loop;
    struct peer peer;
    struct mu_transport *transport;
    struct mu_pki_key *key;
    struct mu_buf csr;
    struct mu_client *client;
    /* what the host saw */
    char order[256]; /* one letter each: T trust, S state, V save, W wait, D done */
    struct mu_buf engine;
    struct mu_pki_cert *cert;
    struct mu_err err;
    bool trust_now, trust_yes;
    unsigned trust_asked;
    enum mu_code state_fails, save_fails;
    unsigned dones;
    unsigned sends_at_state;
    bool lose_answer; /* the one to the request */
};

static int setup(void **state)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_RSA, 2048};
    struct world *w = calloc(1, sizeof(*w));
    struct mu_secret challenge = {0};
    struct mu_buf name = {0};
    struct mu_pki_csr_params params = {.challenge = &challenge};

    assert_non_null(w);
    w->loop = mu_fake_loop_new();
    peer_init(&w->peer, mu_fake_loop_env(w->loop));
    w->transport = mu_fake_transport_new(w->loop, peer_serve, &w->peer);
    mu_fake_transport_strip(w->transport);
    assert_int_equal(mu_pki_key_generate(&spec, &w->key, NULL), MU_OK);
    assert_int_equal(mu_pki_name_parse("/CN=myvpn", &name, NULL), MU_OK);
    assert_int_equal(mu_secret_set(&challenge, mu_bytes_str("s3cret"), NULL), MU_OK);
    params.subject = mu_buf_bytes(&name);
    assert_int_equal(mu_pki_csr_make(&params, w->key, &w->csr, NULL), MU_OK);
    mu_secret_clear(&challenge);
    mu_buf_clear(&name);
    w->trust_now = w->trust_yes = true;
    w->engine.secret = true;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    mu_client_free(w->client);
    assert_int_equal(mu_fake_transport_sessions(w->transport), 0);
    mu_fake_transport_free(w->transport);
    mu_pki_cert_free(w->cert);
    mu_pki_key_free(w->key);
    mu_buf_clear(&w->csr);
    mu_buf_clear(&w->engine);
    peer_clear(&w->peer);
    mu_fake_loop_free(w->loop);
    free(w);
    return 0;
}

static void note(struct world *w, char what)
{
    size_t n = strlen(w->order);

    if (n + 1 < sizeof(w->order))
        w->order[n] = what;
}

static void on_trust(void *ctx, struct mu_client *client, const struct mu_pki_certs *certs)
{
    struct world *w = ctx;

    note(w, 'T');
    w->trust_asked++;
    assert_true(certs->n > 0);
    if (w->trust_now)
        mu_client_trust(client, w->trust_yes);
}

static enum mu_code on_state(void *ctx, struct mu_bytes engine, struct mu_err *err)
{
    struct world *w = ctx;

    note(w, 'S');
    if (w->state_fails != MU_OK)
        return mu_err_set(err, w->state_fails, MU_M(702), "cannot write x: full");
    if (w->lose_answer)
        mu_fake_transport_lose_answers(w->transport, 1);
    w->sends_at_state = mu_fake_transport_sends(w->transport);
    mu_buf_clear(&w->engine);
    mu_buf_put_bytes(&w->engine, engine);
    return MU_OK;
}

static enum mu_code on_save(void *ctx, const struct mu_pki_certs *certs, struct mu_err *err)
{
    struct world *w = ctx;

    note(w, 'V');
    if (w->save_fails != MU_OK)
        return mu_err_set(err, w->save_fails, MU_M(702), "cannot write y: full");
    mu_pki_cert_free(w->cert);
    w->cert = mu_pki_cert_ref(certs->v[0]);
    assert_int_equal(certs->n, 2); /* and its issuer */
    return MU_OK;
}

static void on_wait(void *ctx, int64_t wait_s, int64_t limit_s)
{
    assert_int_equal(wait_s, 60);
    assert_int_equal(limit_s, 3600);
    note(ctx, 'W');
}

static void on_done(void *ctx, struct mu_client *client, const struct mu_err *err)
{
    struct world *w = ctx;

    note(w, 'D');
    w->dones++;
    w->err = err != NULL ? *err : (struct mu_err){0};
}

static struct mu_client_config config(struct world *w)
{
    return (struct mu_client_config){
        .env = mu_fake_loop_env(w->loop),
        .loop = w->loop,
        .transport = w->transport,
        .host = {w, NULL, on_trust, on_state, on_save, on_wait, on_done},
        .proto = MU_PROTO_SCEP,
        .op = MU_CLIENT_ENROLL,
        .url = "http://ca.example/app/cert/scep/",
        .entry = "vpn",
        .csr = mu_buf_bytes(&w->csr),
        .key = w->key,
        .has_challenge = true,
    };
}

static void start(struct world *w, const struct mu_client_config *c)
{
    struct mu_err err = {0};

    mu_client_free(w->client);
    w->client = NULL;
    memset(w->order, 0, sizeof(w->order));
    if (mu_client_new(c, &w->client, &err) != MU_OK)
        fail_msg("%s", err.what);
    assert_int_equal(mu_client_start(w->client, NULL), MU_OK);
}

static void run(struct world *w, const struct mu_client_config *c)
{
    start(w, c);
    assert_string_equal(w->order, ""); /* nothing from inside start */
    mu_fake_loop_run_until_idle(w->loop);
    assert_int_equal(w->dones, 1);
    w->dones = 0;
}

static void test_success_asks_trust_stores_saves_and_ends(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);
    struct mu_client_result r;

    run(w, &c);
    assert_int_equal(w->err.code, MU_OK);
    assert_string_equal(w->order, "TSVD");
    assert_true(mu_bytes_equal(w->cert->spki, mu_pki_key_spki(w->key)));
    assert_string_equal(w->peer.last_challenge, "s3cret");
    mu_client_result(w->client, &r);
    assert_string_equal(r.transaction_id, peer_last(&w->peer)->id);
    assert_true(r.has_caps && strstr(r.caps, "SHA-256") != NULL);
    assert_true(mu_pki_cert_equal(r.ca, w->peer.cert));
    assert_true(r.used_post);
}

static void test_the_state_is_stored_before_the_request_is_sent(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);

    run(w, &c);
    assert_int_equal(w->sends_at_state, 2); /* GetCACaps and GetCACert, not yet the request */
    assert_int_equal(mu_fake_transport_sends(w->transport), 3);
}

static void test_nothing_is_sent_if_the_state_cannot_be_stored(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);

    w->state_fails = MU_STORAGE;
    run(w, &c);
    assert_int_equal(w->err.code, MU_STORAGE);
    assert_int_equal(w->err.reason, 702);
    assert_string_equal(w->order, "TSD");
    assert_int_equal(w->peer.enrolls, 0);
}

static void test_trust_refused_and_nobody_to_ask_are_m209(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);

    w->trust_yes = false;
    run(w, &c);
    assert_int_equal(w->err.code, MU_AUTH);
    assert_int_equal(w->err.reason, 209);
    assert_string_equal(w->order, "TD");
    c.host.on_trust = NULL;
    run(w, &c);
    assert_int_equal(w->err.reason, 209);
    assert_int_equal(w->peer.enrolls, 0);
}

static void test_trust_may_be_answered_later(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);

    w->trust_now = false;
    start(w, &c);
    mu_fake_loop_run_until_idle(w->loop);
    assert_string_equal(w->order, "T");
    mu_client_trust(w->client, true);
    mu_fake_loop_run_until_idle(w->loop);
    assert_string_equal(w->order, "TSVD");
    w->dones = 0;
}

static void test_known_or_pinned_cas_are_not_asked_about(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);

    c.trusted = &w->peer.chain;
    run(w, &c);
    assert_string_equal(w->order, "SVD");
    c = config(w);
    c.pin_sha256 = w->peer.cert->sha256;
    run(w, &c);
    assert_string_equal(w->order, "SVD");
}

/* S064, SCEP-61: PENDING is polled, the state is kept at each step. */
static void test_pending_is_polled_until_issued(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);
    int64_t before = mu_fake_loop_now_ms(w->loop);

    w->peer.pend = 3;
    run(w, &c);
    assert_int_equal(w->err.code, MU_OK);
    assert_string_equal(w->order, "TSSWSSWSSWSVD");
    assert_int_equal(w->peer.polls, 3);
    assert_true(mu_fake_loop_now_ms(w->loop) - before >= 180000);
}

static void test_a_poll_by_hand_does_not_wait(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);
    int64_t before = mu_fake_loop_now_ms(w->loop);

    w->peer.pend = 1;
    start(w, &c);
    mu_fake_loop_run_for(w->loop, 1000);
    assert_int_equal(w->order[strlen(w->order) - 1], 'W');
    mu_client_poll(w->client);
    mu_fake_loop_run_until_idle(w->loop);
    assert_int_equal(w->dones, 1);
    assert_true(mu_fake_loop_now_ms(w->loop) - before < 30000);
    mu_client_poll(w->client); /* at the end it does nothing */
    mu_fake_loop_run_until_idle(w->loop);
    assert_int_equal(w->dones, 1);
}

/* SCEP-65, REN-11: the stored engine goes on with the same transaction: a poll after PENDING. */
static void test_a_stored_engine_polls_on(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);
    struct mu_buf kept = {.secret = true};

    w->peer.pend = 1;
    c.no_wait = true;
    run(w, &c);
    assert_int_equal(w->err.code, MU_PENDING);
    assert_int_equal(w->peer.enrolls, 1);
    mu_buf_put_bytes(&kept, mu_buf_bytes(&w->engine));
    c.state = mu_buf_bytes(&kept);
    run(w, &c);
    assert_int_equal(w->err.code, MU_OK);
    assert_int_equal(w->peer.enrolls, 1);
    assert_int_equal(w->peer.polls, 1);
    assert_int_equal(w->peer.txn_n, 1);
    assert_non_null(w->cert);
    mu_buf_clear(&kept);
}

/* ... and the same request again where no answer was seen. */
static void test_a_stored_engine_asks_again_after_a_lost_answer(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);
    struct mu_buf kept = {.secret = true};

    c.trusted = &w->peer.chain;
    w->lose_answer = true;
    run(w, &c);
    assert_int_equal(w->err.code, MU_NETWORK);
    assert_int_equal(w->peer.enrolls, 1); /* it has come, and the CA has issued */
    w->lose_answer = false;
    mu_buf_put_bytes(&kept, mu_buf_bytes(&w->engine));
    c.state = mu_buf_bytes(&kept);
    run(w, &c);
    assert_int_equal(w->err.code, MU_OK);
    assert_int_equal(w->peer.enrolls, 2);
    assert_int_equal(w->peer.txn_n, 1);
    mu_buf_clear(&kept);
}

static void test_a_failed_save_is_the_error(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);

    w->save_fails = MU_STORAGE;
    run(w, &c);
    assert_int_equal(w->err.code, MU_STORAGE);
    assert_int_equal(w->err.reason, 702);
    assert_string_equal(w->err.what, "cannot write y: full");
    assert_string_equal(w->order, "TSVD");
}

static void test_refusal_and_network_failure_end_it(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);
    struct mu_client_result r;

    w->peer.refuse = MU_REFUSE_PASSWORD;
    run(w, &c);
    assert_int_equal(w->err.code, MU_DENIED);
    mu_client_result(w->client, &r);
    assert_string_equal(r.refusal, "badRequest");
    assert_null(w->cert);
    w->peer.refuse = MU_REASON_NONE;
    mu_fake_transport_fail(w->transport, -1, MU_NETWORK, MU_M(102));
    run(w, &c);
    assert_int_equal(w->err.code, MU_NETWORK);
    assert_int_equal(w->err.reason, 102);
}

static void test_it_may_be_freed_at_any_time(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);

    w->peer.pend = 1;
    for (int ms = 0; ms < 40; ms++) {
        start(w, &c);
        mu_fake_loop_run_for(w->loop, ms);
        mu_client_free(w->client);
        w->client = NULL;
        memset(w->order, 0, sizeof(w->order));
        mu_fake_loop_run_until_idle(w->loop);
        assert_string_equal(w->order, "");
    }
    w->dones = 0;
}

static void test_questions_have_answers(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);
    struct mu_client_result r;

    c.op = MU_CLIENT_CAPS;
    run(w, &c);
    assert_string_equal(w->order, "D");
    assert_int_equal(w->peer.cas, 0);
    c.op = MU_CLIENT_CA;
    run(w, &c);
    assert_string_equal(w->order, "D");
    mu_client_result(w->client, &r);
    assert_int_equal(r.ca_certs->n, 1);
    assert_true(mu_pki_cert_equal(r.ca_certs->v[0], w->peer.cert));
}

static void test_protocols_without_an_engine_are_refused(void **state)
{
    struct world *w = *state;
    struct mu_client_config c = config(w);
    struct mu_client *client = NULL;

    c.proto = MU_PROTO_NONE;
    assert_int_equal(mu_client_new(&c, &client, NULL), MU_UNSUPPORTED);
    assert_null(client);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_success_asks_trust_stores_saves_and_ends),
        T(test_the_state_is_stored_before_the_request_is_sent),
        T(test_nothing_is_sent_if_the_state_cannot_be_stored),
        T(test_trust_refused_and_nobody_to_ask_are_m209),
        T(test_trust_may_be_answered_later),
        T(test_known_or_pinned_cas_are_not_asked_about),
        T(test_pending_is_polled_until_issued),
        T(test_a_poll_by_hand_does_not_wait),
        T(test_a_stored_engine_polls_on),
        T(test_a_stored_engine_asks_again_after_a_lost_answer),
        T(test_a_failed_save_is_the_error),
        T(test_refusal_and_network_failure_end_it),
        T(test_it_may_be_freed_at_any_time),
        T(test_questions_have_answers),
        T(test_protocols_without_an_engine_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
