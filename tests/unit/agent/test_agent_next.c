/* A certificate of the next CA, and when it takes over (SCEP-78). */
#include "world.h"

#include "agent/agent_internal.h"
#include "pki/pki_csr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 86400 };

static struct peer next;

static void begin(struct world *w)
{
    peer_init_next(&next, w->agent.env);
    w->peer.next = &next;
    w->peer.lifetime_s = 90LL * DAY_S;
    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings});
    world_expect(w, MU_AGENT_ISSUED);
}

static void end(struct world *w)
{
    w->peer.next = NULL;
    peer_clear(&next);
}

static void days_pass(struct world *w, int days)
{
    mu_fake_loop_set_now(w->loop, mu_fake_loop_now_ms(w->loop) / 1000 + (int64_t)days * DAY_S);
}

static bool is_of(struct world *w, const struct peer *ca)
{
    struct mu_pki_cert *cert = world_latest(w, "vpn");
    bool is = mu_pki_cert_verify(cert, ca->cert, false, NULL) == MU_OK;

    mu_pki_cert_free(cert);
    return is;
}

/* Stem of the pair that waits, "" if none does; looking at an entry may switch it. */
static const char *waiting(struct world *w)
{
    static char stem[MU_KEYSTORE_STEM];
    struct mu_agent_facts facts = {0};

    assert_int_equal(mu_agent_show(&w->agent, "vpn", &facts, NULL), MU_OK);
    snprintf(stem, sizeof(stem), "%s", facts.next_stem != NULL ? facts.next_stem : "");
    mu_agent_facts_clear(&facts);
    return stem;
}

static void renew_next(struct world *w)
{
    world_renew(w, "vpn", (struct mu_agent_renew){.next_ca = true});
}

static void test_it_waits_until_the_present_one_expires(void **state)
{
    struct world *w = *state;

    begin(w);
    renew_next(w);
    world_expect(w, MU_AGENT_ISSUED);
    assert_non_null(strstr(mu_buf_str(&w->steps), "trusted as sceptest-next"));
    assert_non_null(strstr(mu_buf_str(&w->steps), "saved: vpn: 4A01.crt"));
    assert_string_equal(w->replaced, "");
    assert_string_equal(waiting(w), "4A01");
    assert_true(is_of(w, &w->peer));
    assert_true(kit_has(w->kit, "ca/sceptest-next.crt"));
    assert_false(kit_has(w->kit, "state/vpn.pending"));
    /* Once is enough, also when the present one comes due. */
    renew_next(w);
    world_expect(w, MU_AGENT_NOTHING);
    assert_non_null(strstr(w->why, "4A01 waits"));
    days_pass(w, 80);
    world_renew(w, "vpn", (struct mu_agent_renew){0});
    world_expect(w, MU_AGENT_NOTHING);
    assert_int_equal(w->peer.txn_n, 2);
    assert_string_equal(waiting(w), "4A01");
    days_pass(w, 11);
    world_restart(w);
    assert_string_equal(waiting(w), ""); /* looked at, and switched */
    assert_true(is_of(w, &next));
    assert_false(kit_has(w->kit, "certs/vpn/next"));
    end(w);
}

static void test_renew_switches_too(void **state)
{
    struct world *w = *state;

    begin(w);
    w->peer.lifetime_s = 365LL * DAY_S;
    renew_next(w);
    world_expect(w, MU_AGENT_ISSUED);
    days_pass(w, 91);
    world_renew(w, "vpn", (struct mu_agent_renew){0});
    world_expect(w, MU_AGENT_NOTHING);
    assert_non_null(strstr(w->why, "valid until"));
    assert_true(is_of(w, &next));
    assert_int_equal(w->peer.txn_n, 2);
    end(w);
}

static void test_it_can_be_switched_to_before(void **state)
{
    struct world *w = *state;
    struct mu_keystore_saved saved = {0};
    struct mu_err err = {0};

    begin(w);
    assert_int_equal(mu_agent_activate(&w->agent, "vpn", false, &saved, &err), MU_NOT_FOUND);
    renew_next(w);
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(mu_agent_activate(&w->agent, "vpn", true, &saved, &err), MU_NOT_FOUND);
    assert_true(is_of(w, &w->peer));
    assert_int_equal(mu_agent_activate(&w->agent, "vpn", false, &saved, &err), MU_OK);
    assert_string_equal(saved.stem, "4A01");
    assert_string_equal(saved.replaced, "4A00");
    assert_true(is_of(w, &next));
    assert_int_equal(mu_agent_activate(&w->agent, "vpn", false, &saved, &err), MU_NOT_FOUND);
    end(w);
}

/* CMP, M508: what waits for its confirmation does not take over, and goes with its request. */
static void test_what_is_not_confirmed_never_takes_over(void **state)
{
    struct world *w = *state;
    struct mu_agent_pending pending = {.operation = MU_AGENT_RENEW};
    struct mu_keystore_entry entry = {0};
    struct mu_pki_csr_params params = {0};
    struct mu_pki_key *key = NULL;
    struct mu_err err = {0};

    begin(w);
    renew_next(w);
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(mu_keystore_load_serial(w->agent.store, "vpn", "4A01", &entry, &err), MU_OK);
    assert_int_equal(mu_keystore_key_read(entry.key_file, NULL, &key, &err), MU_OK);
    params.subject = entry.cert->subject;
    assert_int_equal(mu_pki_csr_make(&params, key, &pending.csr, &err), MU_OK);
    mu_buf_put_str(&pending.engine, "x");
    assert_int_equal(mu_agent_pending_store(w->agent.store, "vpn", &pending, &err), MU_OK);
    days_pass(w, 91);
    assert_string_equal(waiting(w), "4A01"); /* the present one has expired all the same */
    assert_true(is_of(w, &w->peer));
    assert_int_equal(mu_agent_pending_remove(w->agent.store, "vpn", &err), MU_OK);
    assert_string_equal(waiting(w), "");
    assert_true(is_of(w, &w->peer));
    assert_false(kit_has(w->kit, "state/vpn.pending"));
    assert_false(kit_has(w->kit, "certs/vpn/4A01.key")); /* nothing of it stays */
    assert_false(kit_has(w->kit, "certs/vpn/4A01.crt"));
    assert_int_equal(kit_count(w->kit, "4A01"), 0);
    assert_true(kit_has(w->kit, "certs/vpn/4A00.key"));
    mu_agent_pending_clear(&pending);
    mu_keystore_entry_clear(&entry);
    mu_pki_key_free(key);
    end(w);
}

/* The request stays one for the next CA through a restart. */
static void test_pending_and_lost_ones_go_on_for_the_next_ca(void **state)
{
    struct world *w = *state;

    begin(w);
    w->peer.pend = 1;
    world_renew(w, "vpn", (struct mu_agent_renew){.next_ca = true, .no_wait = true});
    world_expect(w, MU_AGENT_WAITING);
    world_restart(w);
    world_poll(w, "vpn", true);
    world_expect(w, MU_AGENT_ISSUED);
    assert_string_equal(waiting(w), "4A01");
    assert_true(is_of(w, &w->peer));
    assert_int_equal(w->peer.txn_n, 2);
    end(w);
}

static void test_without_a_successor_nothing_changes(void **state)
{
    struct world *w = *state;

    begin(w);
    w->peer.next = NULL;
    renew_next(w);
    assert_int_equal(w->err.code, MU_NOT_FOUND);
    assert_string_equal(waiting(w), "");
    assert_true(is_of(w, &w->peer));
    assert_false(kit_has(w->kit, "state/vpn.pending"));
    assert_false(kit_has(w->kit, "ca/sceptest-next.crt"));
    end(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(test_it_waits_until_the_present_one_expires),
        T(test_renew_switches_too),
        T(test_it_can_be_switched_to_before),
        T(test_what_is_not_confirmed_never_takes_over),
        T(test_pending_and_lost_ones_go_on_for_the_next_ca),
        T(test_without_a_successor_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
