/*
 * A kill at every call that changes the disk: each of them and all behind it do nothing, as if the
 * program were gone. Afterwards the same command goes on with the same transaction, and nothing is
 * lost, doubled or left over (HOUSE 10, REN-10, REN-11).
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "killed.h"

/* One key for all: making them is not what is looked at. */
static void use_one_key(struct world *w)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_RSA, 2048};
    struct mu_pki_key *key = NULL;
    struct mu_buf text = {.secret = true};
    char path[128], used[MU_KEYSTORE_NAME];

    assert_int_equal(mu_pki_key_generate(&spec, &key, NULL), MU_OK);
    assert_int_equal(mu_keystore_key_text(key, NULL, NULL, &text, NULL), MU_OK);
    snprintf(path, sizeof(path), "%s/own.key", w->kit->root);
    assert_int_equal(mu_keystore_file_write(path, 0600, mu_buf_bytes(&text), NULL), MU_OK);
    assert_int_equal(mu_agent_settings_set(&w->settings, "key-file", path, NULL), MU_OK);
    assert_int_equal(
        mu_keystore_ca_add(w->kit->store, "sceptest", w->peer.cert, false, used, NULL), MU_OK);
    mu_pki_key_free(key);
    mu_buf_clear(&text);
}

/* The command again after the kill, in a new process so to say. */
static void restart(struct world *w)
{
    killed_at = 0;
    world_restart(w);
}

static void expect_clean(struct world *w, const char *name)
{
    char path[128];

    mu_pki_cert_free(world_latest(w, name));
    snprintf(path, sizeof(path), "certs/%s/ca.crt-0", name);
    assert_true(kit_has(w->kit, path));
    snprintf(path, sizeof(path), "state/%s.pending", name);
    assert_false(kit_has(w->kit, path));
    snprintf(path, sizeof(path), "state/%s.key", name);
    assert_false(kit_has(w->kit, path));
    snprintf(path, sizeof(path), "secrets/%s.challenge", name);
    assert_false(kit_has(w->kit, path));
    assert_int_equal(kit_count(w->kit, ".tmp-"), 0);
}

/* With pend the request is PENDING first, so that the kill meets a poll too. */
static void kill_everywhere(struct world *w, unsigned pend, unsigned least)
{
    struct mu_secret challenge = {0};
    struct mu_agent_enroll request = {.settings = &w->settings, .challenge = &challenge};
    char name[16], whole[64];
    unsigned n;

    assert_int_equal(mu_secret_set(&challenge, mu_bytes_str("s3cret-word"), NULL), MU_OK);
    use_one_key(w);
    w->peer.pend = pend;
    for (n = 1;; n++) {
        size_t before = w->peer.txn_n;
        bool killed;

        snprintf(name, sizeof(name), "k%u", n);
        snprintf(whole, sizeof(whole), "certs/%s/latest.crt", name);
        killed_calls = 0;
        killed_at = n;
        world_enroll(w, name, request);
        killed = killed_calls >= n;
        restart(w);
        if (kit_has(w->kit, whole)) /* key and certificate, or neither */
            mu_pki_cert_free(world_latest(w, name));
        world_enroll(w, name, request);
        assert_int_equal(w->err.code, MU_OK);
        assert_true(w->result == MU_AGENT_ISSUED || w->result == MU_AGENT_NOTHING);
        assert_int_equal(w->peer.txn_n, before + 1);
        world_enroll(w, name, request);
        world_expect(w, MU_AGENT_NOTHING);
        expect_clean(w, name);
        if (!killed)
            break;
    }
    assert_true(n > least);
    mu_secret_clear(&challenge);
}

static void test_enroll_killed_anywhere(void **state)
{
    kill_everywhere(*state, 0, 40);
}

static void test_pending_killed_anywhere(void **state)
{
    kill_everywhere(*state, 1, 55);
}

/* SCEP-78: for the next CA; at every moment the present pair is in use, in the end the other waits,
 * and the switch itself may be killed as well. */
static void test_next_ca_killed_anywhere(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = {.settings = &w->settings};
    struct peer next;
    char name[16], stem[MU_KEYSTORE_STEM];
    unsigned n;

    use_one_key(w);
    peer_init_next(&next, w->agent.env);
    w->peer.next = &next;
    for (n = 1;; n++) {
        struct mu_keystore_saved saved;
        struct mu_pki_cert *cert;
        bool killed;

        snprintf(name, sizeof(name), "n%u", n);
        world_enroll(w, name, request);
        world_expect(w, MU_AGENT_ISSUED);
        killed_calls = 0;
        killed_at = n;
        world_renew(w, name, (struct mu_agent_renew){.next_ca = true});
        killed = killed_calls >= n;
        restart(w);
        mu_pki_cert_free(world_latest(w, name));
        world_renew(w, name, (struct mu_agent_renew){.next_ca = true});
        assert_int_equal(w->err.code, MU_OK);
        expect_clean(w, name);
        assert_true(mu_keystore_next(w->kit->store, name, stem));
        killed_calls = 0;
        killed_at = n;
        if (mu_agent_activate(&w->agent, name, false, &saved, NULL) == MU_OK)
            assert_string_equal(saved.stem, stem);
        killed = killed || killed_calls >= n;
        restart(w);
        mu_pki_cert_free(world_latest(w, name));
        if (mu_keystore_next(w->kit->store, name, stem))
            assert_int_equal(mu_agent_activate(&w->agent, name, false, &saved, NULL), MU_OK);
        cert = world_latest(w, name);
        assert_int_equal(mu_pki_cert_verify(cert, next.cert, false, NULL), MU_OK);
        mu_pki_cert_free(cert);
        expect_clean(w, name);
        if (!killed)
            break;
    }
    assert_true(n > 40);
    w->peer.next = NULL;
    peer_clear(&next);
}

static void test_renew_killed_anywhere(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = {.settings = &w->settings};
    char name[16];
    unsigned n;

    use_one_key(w);
    assert_int_equal(mu_agent_settings_set(&w->settings, "reuse-key", "yes", NULL), MU_OK);
    for (n = 1;; n++) {
        bool killed;
        size_t before;

        snprintf(name, sizeof(name), "r%u", n);
        world_enroll(w, name, request);
        world_expect(w, MU_AGENT_ISSUED);
        before = w->peer.txn_n;
        killed_calls = 0;
        killed_at = n;
        world_renew(w, name, (struct mu_agent_renew){.force = true});
        killed = killed_calls >= n;
        restart(w);
        mu_pki_cert_free(world_latest(w, name)); /* at every moment a pair in use */
        world_renew(w, name, (struct mu_agent_renew){0});
        assert_int_equal(w->err.code, MU_OK);
        assert_true(w->peer.txn_n <= before + 1);
        if (w->peer.txn_n == before) { /* it never got out: once more */
            world_renew(w, name, (struct mu_agent_renew){.force = true});
            world_expect(w, MU_AGENT_ISSUED);
        }
        assert_int_equal(w->peer.txn_n, before + 1);
        expect_clean(w, name);
        if (!killed)
            break;
    }
    assert_true(n > 30);
}

/* M702: a disk that is full at one call only is an error, and what worked still works. */
static void test_what_cannot_be_saved_is_fetched_again(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = {.settings = &w->settings};
    struct mu_err err = {0};
    struct mu_agent_facts facts = {0};
    unsigned n;

    use_one_key(w);
    /* From behind: the first call whose failure leaves a request but no certificate. */
    for (n = 60; n > 1; n--) {
        char name[16], pending[64], crt[64];

        snprintf(name, sizeof(name), "s%u", n);
        snprintf(pending, sizeof(pending), "state/%s.pending", name);
        snprintf(crt, sizeof(crt), "certs/%s/latest.crt", name);
        killed_calls = 0;
        killed_at = n;
        world_enroll(w, name, request);
        restart(w);
        if (!kit_has(w->kit, pending) || kit_has(w->kit, crt)) {
            world_enroll(w, name, request); /* was too late a call: done, and cleaned up */
            continue;
        }
        assert_int_equal(w->err.reason, 702);
        assert_int_equal(mu_err_exit_code(&w->err), 6);
        assert_int_equal(mu_agent_show(&w->agent, name, &facts, &err), MU_OK);
        /* The request is out, what failed is ours; from that call on nothing could be written down. */
        assert_int_equal(facts.state, MU_AGENT_REQUESTING);
        mu_agent_facts_clear(&facts);
        world_poll(w, name, false);
        world_expect(w, MU_AGENT_ISSUED);
        expect_clean(w, name);
        return;
    }
    fail_msg("no call of the save was met");
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_enroll_killed_anywhere),
        T(test_pending_killed_anywhere),
        T(test_next_ca_killed_anywhere),
        T(test_renew_killed_anywhere),
        T(test_what_cannot_be_saved_is_fetched_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
