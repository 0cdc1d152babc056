/* Enrollment and renewal from key to files, against a responder in memory. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 86400 };

static struct mu_agent_enroll with(struct world *w)
{
    return (struct mu_agent_enroll){.settings = &w->settings};
}

static struct mu_agent_facts show(struct world *w, const char *name)
{
    struct mu_agent_facts facts = {0};
    struct mu_err err = {0};

    if (mu_agent_show(&w->agent, name, &facts, &err) != MU_OK)
        fail_msg("%s", err.what);
    return facts;
}

static enum mu_agent_state state_of(struct world *w, const char *name)
{
    struct mu_agent_facts facts = show(w, name);
    enum mu_agent_state state = facts.state;

    mu_agent_facts_clear(&facts);
    return state;
}

static void expect_trace(struct world *w, const char *line)
{
    if (strstr(mu_fake_loop_trace(w->loop), line) == NULL)
        fail_msg("no '%s' in\n%s", line, mu_fake_loop_trace(w->loop));
}

static void expect_step(struct world *w, const char *line)
{
    if (strstr(mu_buf_str(&w->steps), line) == NULL)
        fail_msg("no '%s' in\n%s", line, mu_buf_str(&w->steps));
}

/* S067, R033, R034: key, certificate and chain lie in the store; the trace says where. */
static void test_enroll_makes_everything(void **state)
{
    struct world *w = *state;
    struct mu_agent_facts facts;
    char saved[256];

    w->peer.subject = "/CN=myvpn/OU=AS";
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    mu_pki_cert_free(world_latest(w, "vpn"));
    assert_true(kit_has(w->kit, "certs/vpn/4A00.crt"));
    assert_int_equal(kit_mode(w->kit, "certs/vpn/4A00.key"), 0600);
    assert_true(kit_has(w->kit, "certs/vpn/ca.crt-0"));
    assert_true(kit_has(w->kit, "ca/sceptest.crt"));
    assert_false(kit_has(w->kit, "state/vpn.pending"));
    assert_false(kit_has(w->kit, "state/vpn.key"));
    snprintf(saved, sizeof(saved), "scep saved: vpn, %s/certs/vpn/4A00.crt, new\n", w->kit->root);
    expect_trace(w, saved);
    expect_trace(w, "scep changed: C=NL removed, OU=AS added\n");
    expect_trace(w, "scep result: ok (0)\n");
    assert_true(strstr(mu_fake_loop_trace(w->loop), "scep changed") <
        strstr(mu_fake_loop_trace(w->loop), "scep saved"));
    expect_step(w, "key: RSA 2048, new\n");
    expect_step(w, "saved: vpn: latest.crt, latest.key (0600), ca.crt-0\n");
    facts = show(w, "vpn");
    assert_int_equal(facts.state, MU_AGENT_OK);
    assert_string_equal(facts.serial, "4A00");
    assert_string_equal(facts.subject, "/CN=myvpn/OU=AS");
    assert_string_equal(facts.changed, "C=NL removed, OU=AS added");
    assert_string_equal(facts.last_result, "issued");
    assert_string_equal(facts.last_txn, w->txn);
    assert_string_equal(facts.ca, "sceptest");
    mu_agent_facts_clear(&facts);
}

/* PRODUCT "Rules of every face": the same enroll twice does not enroll twice. */
static void test_enroll_twice_does_nothing(void **state)
{
    struct world *w = *state;

    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_NOTHING);
    assert_non_null(strstr(w->why, "valid until"));
    world_enroll(w, "vpn", (struct mu_agent_enroll){0});
    world_expect(w, MU_AGENT_NOTHING);
    assert_int_equal(w->peer.enrolls, 1);
}

static void test_enroll_with_other_settings_wants_replace(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll again = with(w);
    struct mu_pki_cert *first, *second;

    world_enroll(w, "vpn", with(w));
    first = world_latest(w, "vpn");
    assert_int_equal(mu_agent_settings_set(&w->settings, "subject", "/CN=other", NULL), MU_OK);
    world_enroll(w, "vpn", again);
    assert_int_equal(w->err.code, MU_INPUT);
    assert_non_null(strstr(w->err.next, "--replace"));
    assert_int_equal(w->peer.enrolls, 1);
    again.replace = true;
    world_enroll(w, "vpn", again);
    world_expect(w, MU_AGENT_ISSUED);
    assert_string_equal(w->replaced, "4A00");
    second = world_latest(w, "vpn");
    assert_false(mu_bytes_equal(first->spki, second->spki));
    assert_true(kit_has(w->kit, "certs/vpn/4A00.crt")); /* the old one stays */
    assert_int_equal(w->peer.renewals, 0);
    mu_pki_cert_free(first);
    mu_pki_cert_free(second);
}

static void test_an_unknown_ca_is_asked_about_once(void **state)
{
    struct world *w = *state;

    world_enroll(w, "a", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(w->trust_asked, 1);
    assert_string_equal(w->trust_name, "sceptest");
    assert_int_equal(strlen(w->trust_sha256), 95);
    world_enroll(w, "b", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(w->trust_asked, 1);
    expect_trace(w, "trusted as sceptest");
}

static void test_without_trust_nothing_is_asked_of_the_ca(void **state)
{
    struct world *w = *state;

    w->trust_yes = false;
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.reason, 209);
    assert_int_equal(mu_err_exit_code(&w->err), 7);
    assert_non_null(strstr(mu_err_next_text(&w->err), w->trust_sha256));
    assert_int_equal(w->peer.enrolls, 0);
    assert_false(kit_has(w->kit, "state/vpn.key"));
    assert_false(kit_has(w->kit, "ca/sceptest.crt"));
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_FAILED);
    w->trust_yes = true;
    w->host.on_trust = NULL; /* nobody to ask */
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.reason, 209);
}

static void test_trust_may_be_answered_later(void **state)
{
    struct world *w = *state;

    w->trust_later = true;
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->trust_asked, 1);
    assert_int_equal(w->peer.enrolls, 0);
    mu_agent_job_trust(w->asking, true);
    mu_fake_loop_run_until_idle(w->loop);
    assert_int_equal(w->dones, 1);
    world_expect(w, MU_AGENT_ISSUED);
}

static void test_a_pin_answers_for_trust(void **state)
{
    struct world *w = *state;
    struct mu_buf pin = {0};

    mu_pki_cert_fingerprint(w->peer.cert, MU_PKI_SHA256, &pin);
    assert_int_equal(mu_agent_settings_set(&w->settings, "pin-sha256", mu_buf_str(&pin), NULL), MU_OK);
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(w->trust_asked, 0);
    pin.p[0] = pin.p[0] == 'A' ? 'B' : 'A';
    assert_int_equal(mu_agent_settings_set(&w->settings, "pin-sha256", mu_buf_str(&pin), NULL), MU_OK);
    world_enroll(w, "b", with(w));
    assert_int_equal(w->err.reason, 211);
    mu_buf_clear(&pin);
}

/* S064: PENDING, then SUCCESS. */
static void test_pending_is_waited_for(void **state)
{
    struct world *w = *state;

    w->peer.pend = 3;
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    expect_step(w, "status: PENDING, waits for an operator");
    expect_step(w, "status: SUCCESS after 3 min");
    assert_int_equal(w->peer.polls, 3);
}

/* SCEP-65, REN-11: pending survives a restart, with transaction and key. */
static void test_pending_goes_on_after_a_restart(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = with(w);
    struct mu_agent_facts facts;
    char txn[300];

    w->peer.pend = 2;
    request.no_wait = true;
    world_enroll(w, "vpn", request);
    world_expect(w, MU_AGENT_WAITING);
    snprintf(txn, sizeof(txn), "%s", w->txn);
    facts = show(w, "vpn");
    assert_int_equal(facts.state, MU_AGENT_PENDING);
    assert_string_equal(facts.pending_txn, txn);
    assert_string_equal(facts.last_result, "pending");
    mu_agent_facts_clear(&facts);
    assert_int_equal(kit_mode(w->kit, "state/vpn.pending"), 0600);
    assert_int_equal(kit_mode(w->kit, "state/vpn.key"), 0600);
    world_restart(w);
    world_poll(w, "vpn", true);
    world_expect(w, MU_AGENT_WAITING);
    world_restart(w);
    world_enroll(w, "vpn", request); /* enroll goes on as poll does */
    world_expect(w, MU_AGENT_ISSUED);
    assert_string_equal(w->txn, txn);
    assert_int_equal(w->peer.txn_n, 1);
    assert_int_equal(w->peer.enrolls, 1);
    mu_pki_cert_free(world_latest(w, "vpn"));
    world_poll(w, "vpn", true);
    world_expect(w, MU_AGENT_NOTHING);
}

/* The CA answers at another address now: the request is the same, and what is kept names it. */
static void test_pending_goes_on_at_another_url(void **state)
{
    const char *moved = "http://ca.example:8081/moved/";
    struct world *w = *state;
    struct mu_agent_enroll request = with(w);
    struct mu_agent_settings kept = {0};
    char txn[300];

    w->peer.pend = 2;
    request.no_wait = true;
    world_enroll(w, "vpn", request);
    world_expect(w, MU_AGENT_WAITING);
    snprintf(txn, sizeof(txn), "%s", w->txn);
    assert_int_equal(mu_agent_settings_set(&w->settings, "url", moved, NULL), MU_OK);
    world_restart(w);
    world_enroll(w, "vpn", request);
    world_expect(w, MU_AGENT_WAITING);
    assert_non_null(strstr(w->peer.last_target, "/moved/"));
    assert_int_equal(mu_agent_settings_load(w->kit->store, "vpn", &kept, NULL), MU_OK);
    assert_string_equal(kept.url, moved);
    mu_agent_settings_clear(&kept);
    world_poll(w, "vpn", true);
    world_expect(w, MU_AGENT_ISSUED);
    assert_string_equal(w->txn, txn);
    assert_int_equal(w->peer.txn_n, 1);
}

/* A pin that is not of the CA the request was made for: nothing is sent, the request stays, and
 * the settings do. */
static void test_pending_does_not_go_on_against_a_pin(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = with(w);
    struct mu_agent_settings kept = {0};
    char wrong[65];

    w->peer.pend = 1;
    request.no_wait = true;
    world_enroll(w, "vpn", request);
    world_expect(w, MU_AGENT_WAITING);
    memset(wrong, 'A', 64);
    wrong[64] = '\0';
    assert_int_equal(mu_agent_settings_set(&w->settings, "pin-sha256", wrong, NULL), MU_OK);
    assert_int_equal(
        mu_agent_settings_set(&w->settings, "url", "http://other.example/scep", NULL), MU_OK);
    world_enroll(w, "vpn", request);
    assert_int_equal(w->err.reason, 211);
    assert_int_equal(w->peer.polls, 0);
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_PENDING);
    assert_int_equal(mu_agent_settings_load(w->kit->store, "vpn", &kept, NULL), MU_OK);
    assert_null(kept.pin_sha256);
    assert_string_equal(kept.url, "http://ca.example/app/cert/scep/");
    mu_agent_settings_clear(&kept);
    world_poll(w, "vpn", true);
    world_expect(w, MU_AGENT_ISSUED);
}

static void test_pending_with_other_settings_is_not_mixed_up(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = with(w);

    w->peer.pend = 1;
    request.no_wait = true;
    world_enroll(w, "vpn", request);
    assert_int_equal(mu_agent_settings_set(&w->settings, "subject", "/CN=other", NULL), MU_OK);
    world_enroll(w, "vpn", request);
    assert_int_equal(w->err.code, MU_INPUT);
    assert_non_null(strstr(w->err.next, "--new"));
    request.drop_pending = true;
    world_enroll(w, "vpn", request);
    world_expect(w, MU_AGENT_WAITING);
    assert_int_equal(w->peer.txn_n, 2);
}

static void test_waiting_ends_with_m313_and_stays_pending(void **state)
{
    struct world *w = *state;

    w->peer.pend = 1000;
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.reason, 313);
    assert_int_equal(w->err.code, MU_PENDING);
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_PENDING);
    w->peer.pend = 0;
    world_poll(w, "vpn", true);
    world_expect(w, MU_AGENT_ISSUED);
}

static void test_cancel_forgets_request_and_key(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = with(w);

    struct mu_secret password = {0};
    struct mu_agent_facts facts;

    w->peer.pend = 1;
    request.no_wait = true;
    request.key_password = &password;
    assert_int_equal(mu_secret_set(&password, mu_bytes_str("opens"), NULL), MU_OK);
    assert_int_equal(mu_agent_cancel(&w->agent, "vpn", NULL), MU_NOT_FOUND);
    world_enroll(w, "vpn", request);
    assert_true(kit_has(w->kit, "state/vpn.conf"));
    assert_true(kit_has(w->kit, "secrets/vpn.key-password"));
    assert_int_equal(mu_agent_cancel(&w->agent, "vpn", NULL), MU_OK);
    assert_false(kit_has(w->kit, "state/vpn.pending"));
    assert_false(kit_has(w->kit, "state/vpn.key"));
    assert_false(kit_has(w->kit, "state/vpn.conf"));
    assert_false(kit_has(w->kit, "state/vpn.last"));
    assert_false(kit_has(w->kit, "secrets/vpn.key-password"));
    assert_int_equal(mu_agent_show(&w->agent, "vpn", &facts, NULL), MU_NOT_FOUND);
    mu_secret_clear(&password);
}

static void test_cancel_of_a_renewal_keeps_what_was_issued_and_its_settings(void **state)
{
    struct world *w = *state;
    struct mu_agent_renew request = {.force = true, .no_wait = true};

    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    w->peer.pend = 1;
    world_renew(w, "vpn", request);
    world_expect(w, MU_AGENT_WAITING);
    assert_int_equal(mu_agent_cancel(&w->agent, "vpn", NULL), MU_OK);
    assert_false(kit_has(w->kit, "state/vpn.pending"));
    assert_true(kit_has(w->kit, "state/vpn.conf"));
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_OK);
}

static void test_a_refusal_is_kept_for_show_and_forgets_the_request(void **state)
{
    struct world *w = *state;
    struct mu_agent_facts facts;

    w->peer.refuse = MU_REFUSE_PASSWORD;
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.code, MU_DENIED);
    assert_int_equal(mu_err_exit_code(&w->err), 2);
    facts = show(w, "vpn");
    assert_int_equal(facts.state, MU_AGENT_REJECTED);
    assert_string_equal(facts.last_result, "refused");
    assert_non_null(facts.last_what);
    assert_non_null(facts.last_txn);
    assert_int_equal(facts.attempts, 1);
    mu_agent_facts_clear(&facts);
    assert_false(kit_has(w->kit, "state/vpn.pending"));
    w->peer.refuse = MU_REASON_NONE;
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(w->peer.txn_n, 2); /* a new try is a new transaction */
    facts = show(w, "vpn");
    assert_int_equal(facts.attempts, 0);
    assert_null(facts.last_what);
    mu_agent_facts_clear(&facts);
}

/* The same transaction and key after a lost answer: the CA has issued already. */
static void test_a_lost_answer_is_asked_for_again(void **state)
{
    struct world *w = *state;
    char txn[300];

    w->lose_answer = true;
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.code, MU_NETWORK);
    assert_int_equal(mu_err_exit_code(&w->err), 3);
    assert_int_equal(w->peer.enrolls, 1);
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_RETRYING);
    snprintf(txn, sizeof(txn), "%s", w->txn);
    w->lose_answer = false;
    world_restart(w);
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    assert_string_equal(w->txn, txn);
    assert_int_equal(w->peer.txn_n, 1);
    mu_pki_cert_free(world_latest(w, "vpn"));
}

static void test_an_unreachable_ca_leaves_no_request(void **state)
{
    struct world *w = *state;

    mu_fake_transport_fail(w->transport, -1, MU_NETWORK, MU_M(102));
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.reason, 102);
    assert_false(kit_has(w->kit, "state/vpn.pending"));
    assert_false(kit_has(w->kit, "state/vpn.key"));
    mu_fake_transport_fail(w->transport, 0, MU_OK, MU_REASON_NONE);
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
}

static void test_challenge_is_sent_and_dropped_after_the_issue(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = with(w);
    struct mu_secret challenge = {0};

    assert_int_equal(mu_secret_set(&challenge, mu_bytes_str("s3cret-word"), NULL), MU_OK);
    request.challenge = &challenge;
    w->peer.challenge_needed = true;
    w->peer.refuse = MU_REFUSE_RATE;
    world_enroll(w, "vpn", request);
    assert_int_equal(kit_mode(w->kit, "secrets/vpn.challenge"), 0600);
    w->peer.refuse = MU_REASON_NONE;
    request.challenge = NULL; /* the stored one serves */
    world_enroll(w, "vpn", request);
    world_expect(w, MU_AGENT_ISSUED);
    assert_string_equal(w->peer.last_challenge, "s3cret-word");
    assert_false(kit_has(w->kit, "secrets/vpn.challenge"));
    assert_null(strstr(mu_fake_loop_trace(w->loop), "s3cret-word"));
    assert_null(strstr(mu_buf_str(&w->steps), "s3cret-word"));
    mu_secret_clear(&challenge);
}

static void test_settings_that_lack_something_are_told_at_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(mu_agent_settings_set(&w->settings, "url", NULL, NULL), MU_OK);
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.code, MU_INPUT);
    assert_non_null(strstr(w->err.next, "--url"));
    world_enroll(w, "../x", with(w));
    assert_int_equal(w->err.code, MU_INPUT);
    assert_int_equal(mu_agent_settings_set(&w->settings, "url", "http://x/", NULL), MU_OK);
    assert_int_equal(mu_agent_settings_set(&w->settings, "key", "rsa:1024", NULL), MU_OK);
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.reason, 705);
    assert_int_equal(mu_fake_transport_sends(w->transport), 0);
}

static void test_two_at_once_are_m707(void **state)
{
    struct world *w = *state;
    struct mu_keystore_lock *lock = NULL;

    assert_int_equal(mu_keystore_lock(w->kit->store, "vpn", &lock, NULL), MU_OK);
    world_enroll(w, "vpn", with(w));
    assert_int_equal(w->err.code, MU_BUSY);
    assert_int_equal(w->err.reason, 707);
    mu_keystore_unlock(lock);
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
}

static void test_a_canceled_job_frees_its_lock(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = with(w);
    struct mu_agent_job *job = NULL;

    request.name = "vpn";
    w->peer.pend = 1000;
    for (int ms = 0; ms < 5; ms++) {
        assert_int_equal(mu_agent_enroll(&w->agent, &request, &w->host, &job, NULL), MU_OK);
        if (ms > 0)
            mu_fake_loop_run_for(w->loop, ms);
        mu_agent_job_cancel(job);
        mu_fake_loop_run_until_idle(w->loop);
    }
    assert_int_equal(w->dones, 0);
    w->peer.pend = 0;
    world_enroll(w, "vpn", request);
    world_expect(w, MU_AGENT_ISSUED);
}

/* ---- renewal ---- */

static void test_renew_before_its_time_does_nothing(void **state)
{
    struct world *w = *state;

    world_renew(w, "vpn", (struct mu_agent_renew){0});
    assert_int_equal(w->err.code, MU_NOT_FOUND);
    world_enroll(w, "vpn", with(w));
    world_renew(w, "vpn", (struct mu_agent_renew){0});
    world_expect(w, MU_AGENT_NOTHING);
    assert_int_equal(w->peer.enrolls, 1);
}

static void later(struct world *w, int64_t days)
{
    mu_fake_loop_set_now(w->loop, mu_fake_loop_now_ms(w->loop) / 1000 + days * DAY_S);
}

/* R036, REN-10: due, so renewed with the present certificate; both files change together. */
static void test_renew_when_due(void **state)
{
    struct world *w = *state;
    struct mu_pki_cert *first, *second;
    char saved[256];

    world_enroll(w, "vpn", with(w));
    first = world_latest(w, "vpn");
    later(w, 300);
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_DUE);
    world_renew(w, "vpn", (struct mu_agent_renew){.dry_run = true});
    world_expect(w, MU_AGENT_NOTHING);
    assert_int_equal(w->peer.enrolls, 1);
    world_renew(w, "vpn", (struct mu_agent_renew){0});
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(w->peer.renewals, 1);
    assert_string_equal(w->replaced, "4A00");
    snprintf(saved, sizeof(saved), "scep saved: vpn, %s/certs/vpn/4A01.crt, replaces 4A00\n", w->kit->root);
    expect_trace(w, saved);
    expect_trace(w, "scep start: RenewalReq for 'vpn'");
    second = world_latest(w, "vpn");
    assert_false(mu_bytes_equal(first->spki, second->spki));
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_OK);
    mu_pki_cert_free(first);
    mu_pki_cert_free(second);
}

/* The renewal asks for what the certificate has, so that the subject does not differ (M315). */
static void test_a_renewal_asks_for_the_names_of_the_certificate(void **state)
{
    struct world *w = *state;
    struct mu_agent_facts facts;

    w->peer.subject = "/CN=myvpn/OU=AS";
    assert_int_equal(mu_agent_settings_set(&w->settings, "san", "DNS:a.example", NULL), MU_OK);
    world_enroll(w, "vpn", with(w));
    w->peer.subject = NULL;
    world_renew(w, "vpn", (struct mu_agent_renew){.force = true});
    world_expect(w, MU_AGENT_ISSUED);
    facts = show(w, "vpn");
    assert_string_equal(facts.subject, "/CN=myvpn/OU=AS");
    assert_string_equal(facts.san, "DNS:a.example");
    assert_null(facts.changed);
    mu_agent_facts_clear(&facts);
}

static void test_regenerate_and_reuse_keep_the_key(void **state)
{
    static const struct {
        struct mu_agent_renew renew;
        const char *reuse;
        bool same;
    } cases[] = {
        {{.regenerate = true}, "no", true},
        {{.regenerate = true, .rekey = true}, "no", false},
        {{.force = true}, "no", false},
        {{.force = true}, "yes", true},
        {{.force = true, .rekey = true}, "yes", false},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_pki_cert *before, *after;
        char name[8];

        snprintf(name, sizeof(name), "n%zu", i);
        assert_int_equal(mu_agent_settings_set(&w->settings, "reuse-key", cases[i].reuse, NULL), MU_OK);
        world_enroll(w, name, with(w));
        before = world_latest(w, name);
        world_renew(w, name, cases[i].renew);
        world_expect(w, MU_AGENT_ISSUED);
        after = world_latest(w, name);
        assert_false(mu_pki_cert_equal(before, after));
        assert_int_equal(mu_bytes_equal(before->spki, after->spki), cases[i].same);
        mu_pki_cert_free(before);
        mu_pki_cert_free(after);
    }
}

/* PRODUCT promise 2: a working certificate is never lost because a renewal failed. */
static void test_a_refused_renewal_keeps_the_certificate(void **state)
{
    struct world *w = *state;
    struct mu_pki_cert *before, *after;
    struct mu_agent_facts facts;

    world_enroll(w, "vpn", with(w));
    before = world_latest(w, "vpn");
    w->peer.refuse = MU_REFUSE_RENEWAL_EARLY;
    world_renew(w, "vpn", (struct mu_agent_renew){.force = true});
    assert_int_equal(w->err.code, MU_DENIED);
    world_renew(w, "vpn", (struct mu_agent_renew){.force = true});
    after = world_latest(w, "vpn");
    assert_true(mu_pki_cert_equal(before, after));
    facts = show(w, "vpn");
    assert_int_equal(facts.state, MU_AGENT_OK);
    assert_int_equal(facts.attempts, 2);
    mu_agent_facts_clear(&facts);
    mu_pki_cert_free(before);
    mu_pki_cert_free(after);
}

static void test_a_pending_renewal_goes_on(void **state)
{
    struct world *w = *state;
    struct mu_agent_renew request = {.force = true, .no_wait = true};

    world_enroll(w, "vpn", with(w));
    w->peer.pend = 1;
    world_renew(w, "vpn", request);
    world_expect(w, MU_AGENT_WAITING);
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_RENEWING);
    mu_pki_cert_free(world_latest(w, "vpn"));
    world_restart(w);
    world_renew(w, "vpn", (struct mu_agent_renew){.no_wait = true});
    world_expect(w, MU_AGENT_ISSUED);
    assert_string_equal(w->replaced, "4A00");
    assert_int_equal(w->peer.txn_n, 2);
}

static void test_an_expired_certificate_is_renewed_all_the_same(void **state)
{
    struct world *w = *state;

    w->peer.lifetime_s = 10 * DAY_S;
    world_enroll(w, "vpn", with(w));
    later(w, 12);
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_EXPIRED);
    world_renew(w, "vpn", (struct mu_agent_renew){0});
    expect_step(w, "warning: M601");
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(state_of(w, "vpn"), MU_AGENT_OK);
}

static void test_enroll_after_expiry_is_a_new_request(void **state)
{
    struct world *w = *state;

    w->peer.lifetime_s = 10 * DAY_S;
    world_enroll(w, "vpn", with(w));
    later(w, 12);
    world_enroll(w, "vpn", (struct mu_agent_enroll){0});
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(w->peer.renewals, 0);
    assert_int_equal(w->peer.enrolls, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_enroll_makes_everything),
        T(test_enroll_twice_does_nothing),
        T(test_enroll_with_other_settings_wants_replace),
        T(test_an_unknown_ca_is_asked_about_once),
        T(test_without_trust_nothing_is_asked_of_the_ca),
        T(test_trust_may_be_answered_later),
        T(test_a_pin_answers_for_trust),
        T(test_pending_is_waited_for),
        T(test_pending_goes_on_after_a_restart),
        T(test_pending_goes_on_at_another_url),
        T(test_pending_does_not_go_on_against_a_pin),
        T(test_pending_with_other_settings_is_not_mixed_up),
        T(test_waiting_ends_with_m313_and_stays_pending),
        T(test_cancel_forgets_request_and_key),
        T(test_cancel_of_a_renewal_keeps_what_was_issued_and_its_settings),
        T(test_a_refusal_is_kept_for_show_and_forgets_the_request),
        T(test_a_lost_answer_is_asked_for_again),
        T(test_an_unreachable_ca_leaves_no_request),
        T(test_challenge_is_sent_and_dropped_after_the_issue),
        T(test_settings_that_lack_something_are_told_at_once),
        T(test_two_at_once_are_m707),
        T(test_a_canceled_job_frees_its_lock),
        T(test_renew_before_its_time_does_nothing),
        T(test_renew_when_due),
        T(test_a_renewal_asks_for_the_names_of_the_certificate),
        T(test_regenerate_and_reuse_keep_the_key),
        T(test_a_refused_renewal_keeps_the_certificate),
        T(test_a_pending_renewal_goes_on),
        T(test_an_expired_certificate_is_renewed_all_the_same),
        T(test_enroll_after_expiry_is_a_new_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
