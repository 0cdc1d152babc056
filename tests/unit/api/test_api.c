/*
 * The public interface alone, from the shared library, against a responder in memory: what a
 * program with its own I/O does.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/muster.h>

#include "fake_loop.h"

struct world {
    struct mu_loop *loop;
    struct peer peer;
    struct muster_enrollment *e;
    struct muster_error err;
    char order[64]; /* one letter for each want: s send, r send that is remembered, w, t, v, d */
    bool trust, fail_save, lose;
    struct mu_buf state, trace;
};

static int64_t now(void *context)
{
    struct world *w = context;

    return mu_fake_loop_now_ms(w->loop) / 1000;
}

static void trace(void *context, const char *line)
{
    struct world *w = context;

    mu_buf_putf(&w->trace, "%s\n", line);
}

static struct muster_enrollment *enrollment(struct world *w)
{
    struct muster_enrollment *e = NULL;

    assert_int_equal(muster_enrollment_new("scep", &e, NULL), MUSTER_OK);
    assert_int_equal(muster_enrollment_set_url(e, "http://ca.example/scep", NULL), MUSTER_OK);
    assert_int_equal(muster_enrollment_set_subject(e, "/CN=api", NULL), MUSTER_OK);
    assert_int_equal(muster_enrollment_set_challenge(e, "s3cret-word", NULL), MUSTER_OK);
    muster_enrollment_set_clock(e, now, w);
    muster_enrollment_set_trace(e, trace, w);
    return e;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->loop = mu_fake_loop_new();
    peer_init(&w->peer, mu_fake_loop_env(w->loop));
    w->e = enrollment(w);
    w->trust = true;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    muster_enrollment_free(w->e);
    muster_enrollment_free(NULL);
    mu_buf_clear(&w->state);
    mu_buf_clear(&w->trace);
    peer_clear(&w->peer);
    mu_fake_loop_free(w->loop);
    free(w);
    return 0;
}

static enum muster_code exchange(struct world *w, struct muster_step *step)
{
    const struct mu_http_header type = {"Content-Type", step->content_type};
    const struct mu_http_request request = {.method = step->method,
        .target = strchr(step->url + strlen("http://"), '/'), .minor = 1, .headers = &type,
        .header_n = step->content_type != NULL ? 1 : 0, .body = mu_bytes(step->body, step->body_n)};
    struct muster_error lost = {MUSTER_NETWORK, 103, "no answer", "", ""};
    struct muster_event event = {.type = MUSTER_EVENT_RESPONSE};
    struct muster_header headers[8];
    struct mu_http_response response = {0};
    enum muster_code rc;

    peer_serve(&w->peer, &request, &response, NULL);
    event.status = response.status;
    event.headers = headers;
    event.body = response.body.p;
    event.body_n = response.body.n;
    for (; event.header_n < response.header_n && event.header_n < 8; event.header_n++)
        headers[event.header_n] = (struct muster_header){
            response.headers[event.header_n].name, response.headers[event.header_n].value};
    if (w->lose && step->remember)
        event = (struct muster_event){.type = MUSTER_EVENT_SEND_FAILED, .failed = &lost};
    rc = muster_enrollment_step(w->e, &event, step, &w->err);
    mu_http_response_clear(&response);
    return rc;
}

static void keep_state(struct world *w)
{
    const void *state;
    size_t n;

    assert_int_equal(muster_enrollment_state(w->e, &state, &n, NULL), MUSTER_OK);
    mu_buf_reset(&w->state);
    mu_buf_put(&w->state, state, n);
}

static enum muster_code run(struct world *w)
{
    struct muster_error full = {MUSTER_STORAGE, 702, "cannot write: full", "", ""};
    struct muster_step step;
    enum muster_code rc = muster_enrollment_start(w->e, &step, &w->err);
    size_t n = 0;

    memset(w->order, 0, sizeof(w->order));
    while (rc == MUSTER_OK && n + 1 < sizeof(w->order)) {
        struct muster_event event = {0};

        w->order[n++] = "swtvd"[step.want];
        switch (step.want) {
        case MUSTER_WANT_SEND:
            if (step.remember) {
                w->order[n - 1] = 'r';
                keep_state(w);
            }
            rc = exchange(w, &step);
            continue;
        case MUSTER_WANT_WAIT:
            assert_int_equal(step.wait_s, 60);
            event.type = MUSTER_EVENT_TIME;
            break;
        case MUSTER_WANT_TRUST:
            assert_non_null(strstr(step.ca_pem, "BEGIN CERTIFICATE"));
            assert_int_equal(strlen(step.ca_sha256), 95);
            event.type = MUSTER_EVENT_TRUST;
            event.yes = w->trust;
            break;
        case MUSTER_WANT_SAVE:
            assert_non_null(muster_enrollment_certificate_pem(w->e));
            event.type = MUSTER_EVENT_SAVED;
            event.failed = w->fail_save ? &full : NULL;
            break;
        case MUSTER_WANT_DONE:
            return MUSTER_OK;
        }
        rc = muster_enrollment_step(w->e, &event, &step, &w->err);
    }
    return rc;
}

static void test_a_program_with_its_own_io_enrolls(void **state)
{
    struct world *w = *state;
    struct mu_pki_certs certs = {0};
    struct mu_pki_key *key = NULL;

    assert_null(muster_enrollment_certificate_pem(w->e));
    assert_null(muster_enrollment_transaction_id(w->e));
    assert_int_equal(run(w), MUSTER_OK);
    assert_string_equal(w->order, "sstrvd");
    assert_string_equal(muster_enrollment_transaction_id(w->e), peer_last(&w->peer)->id);
    assert_int_equal(
        mu_pki_certs_decode(mu_bytes_str(muster_enrollment_certificate_pem(w->e)), &certs, NULL), MU_OK);
    assert_int_equal(mu_pki_key_decode(mu_bytes_str(muster_enrollment_key_pem(w->e)), NULL, &key, NULL), MU_OK);
    assert_true(mu_bytes_equal(certs.v[0]->spki, mu_pki_key_spki(key)));
    assert_non_null(strstr(muster_enrollment_chain_pem(w->e), "BEGIN CERTIFICATE"));
    assert_string_equal(w->peer.last_challenge, "s3cret-word");
    assert_non_null(strstr(mu_buf_str(&w->trace), "scep caps: "));
    assert_null(strstr(mu_buf_str(&w->trace), "s3cret-word"));
    mu_pki_certs_clear(&certs);
    mu_pki_key_free(key);
}

static void test_pending_is_polled(void **state)
{
    struct world *w = *state;

    w->peer.pend = 2;
    assert_int_equal(run(w), MUSTER_OK);
    assert_string_equal(w->order, "sstrwrwrvd");
    assert_int_equal(w->peer.polls, 2);
}

static void test_a_lost_answer_is_gone_on_with_from_the_state(void **state)
{
    struct world *w = *state;
    char key[8192], txn[300];

    w->lose = true;
    assert_int_equal(run(w), MUSTER_NETWORK);
    assert_int_equal(w->err.reason, 103);
    snprintf(key, sizeof(key), "%s", muster_enrollment_key_pem(w->e));
    snprintf(txn, sizeof(txn), "%s", muster_enrollment_transaction_id(w->e));
    muster_enrollment_free(w->e);
    w->e = enrollment(w);
    w->lose = false;
    assert_int_equal(muster_enrollment_set_state(w->e, w->state.p, w->state.n, NULL), MUSTER_OK);
    assert_int_equal(run(w), MUSTER_INPUT); /* the key first */
    assert_int_equal(muster_enrollment_set_key_pem(w->e, key, NULL, NULL), MUSTER_OK);
    assert_int_equal(run(w), MUSTER_OK);
    assert_string_equal(muster_enrollment_transaction_id(w->e), txn);
    assert_int_equal(w->peer.txn_n, 1);
    mu_bytes_wipe(key, sizeof(key));
}

static void test_refusals_have_code_number_and_words(void **state)
{
    struct world *w = *state;

    w->trust = false;
    assert_int_equal(run(w), MUSTER_AUTH);
    assert_int_equal(w->err.reason, 209);
    assert_true(w->err.what[0] != '\0' && w->err.next[0] != '\0');
    w->trust = true;
    w->peer.refuse = MU_REFUSE_PASSWORD;
    assert_int_equal(run(w), MUSTER_DENIED);
    assert_null(muster_enrollment_certificate_pem(w->e));
    w->peer.refuse = MU_REASON_NONE;
    w->fail_save = true;
    assert_int_equal(run(w), MUSTER_STORAGE);
}

static void test_trusted_cas_and_pins_answer_for_trust(void **state)
{
    struct world *w = *state;
    struct mu_buf text = {0};

    mu_pki_cert_to_pem(w->peer.cert, &text);
    assert_int_equal(muster_enrollment_add_trusted(w->e, mu_buf_str(&text), NULL), MUSTER_OK);
    assert_int_equal(run(w), MUSTER_OK);
    assert_string_equal(w->order, "ssrvd");
    mu_buf_reset(&text);
    mu_pki_cert_fingerprint(w->peer.cert, MU_PKI_SHA256, &text);
    muster_enrollment_free(w->e);
    w->e = enrollment(w);
    assert_int_equal(muster_enrollment_set_pin(w->e, mu_buf_str(&text), NULL), MUSTER_OK);
    assert_int_equal(run(w), MUSTER_OK);
    assert_string_equal(w->order, "ssrvd");
    mu_buf_clear(&text);
}

static void test_a_renewal_is_signed_with_the_certificate(void **state)
{
    struct world *w = *state;
    char cert[8192], key[8192];

    assert_int_equal(run(w), MUSTER_OK);
    snprintf(cert, sizeof(cert), "%s", muster_enrollment_certificate_pem(w->e));
    snprintf(key, sizeof(key), "%s", muster_enrollment_key_pem(w->e));
    muster_enrollment_free(w->e);
    w->e = enrollment(w);
    assert_int_equal(muster_enrollment_set_renewal(w->e, cert, key, NULL, NULL), MUSTER_OK);
    assert_int_equal(run(w), MUSTER_OK);
    assert_int_equal(w->peer.renewals, 1);
    mu_bytes_wipe(key, sizeof(key));
}

static void test_wrong_settings_are_refused_when_they_are_set(void **state)
{
    struct world *w = *state;
    struct muster_enrollment *e = NULL;
    struct muster_error err = {0};
    struct muster_step step;
    struct muster_event event = {.type = MUSTER_EVENT_TIME};

    assert_int_equal(muster_enrollment_new("acme", &e, &err), MUSTER_UNSUPPORTED);
    assert_null(e);
    assert_int_equal(muster_enrollment_set_subject(w->e, "/XX=1", &err), MUSTER_INPUT);
    assert_true(err.what[0] != '\0');
    assert_int_equal(muster_enrollment_set_san(w->e, "WHAT:1", &err), MUSTER_INPUT);
    assert_int_equal(muster_enrollment_set_usage(w->e, "nothing", NULL, &err), MUSTER_INPUT);
    assert_int_equal(muster_enrollment_set_key(w->e, "rsa:1024", &err), MUSTER_UNSUPPORTED);
    assert_int_equal(err.reason, 705);
    assert_int_equal(muster_enrollment_set_key_pem(w->e, "no key", NULL, NULL), MUSTER_INPUT);
    assert_int_equal(muster_enrollment_set_pin(w->e, "00", NULL), MUSTER_INPUT);
    assert_int_equal(muster_enrollment_set_state(w->e, "x", 1, NULL), MUSTER_INPUT);
    assert_int_equal(muster_enrollment_set_state(w->e, "\x30\x04\x04\x00\x04\x00", 6, NULL), MUSTER_INPUT);
    assert_int_equal(muster_enrollment_step(w->e, &event, &step, &err), MUSTER_INPUT);
    assert_int_equal(run(w), MUSTER_OK); /* and none of it stuck */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_program_with_its_own_io_enrolls),
        T(test_pending_is_polled),
        T(test_a_lost_answer_is_gone_on_with_from_the_state),
        T(test_refusals_have_code_number_and_words),
        T(test_trusted_cas_and_pins_answer_for_trust),
        T(test_a_renewal_is_signed_with_the_certificate),
        T(test_wrong_settings_are_refused_when_they_are_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
