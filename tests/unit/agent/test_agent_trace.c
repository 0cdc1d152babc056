/* What a job said and heard, kept beside what its host hears of it. */
#include "agent/agent_trace.h"

#include "world.h"

#include <stdio.h>
#include <string.h>

static struct mu_agent_enroll with(struct world *w)
{
    return (struct mu_agent_enroll){.settings = &w->settings};
}

static void keep(void *cookie, const char *name)
{
    snprintf(cookie, MU_KEYSTORE_TRACE, "%s", name);
}

/* False: none is kept. */
static bool latest(struct mu_keystore *store, const char *entry, char name[MU_KEYSTORE_TRACE])
{
    name[0] = '\0';
    return mu_keystore_trace_each(store, entry, keep, name, NULL) == MU_OK && name[0] != '\0';
}

static void read_latest(struct world *w, const char *entry, char name[MU_KEYSTORE_TRACE], struct mu_buf *out)
{
    assert_true(latest(w->kit->store, entry, name));
    assert_int_equal(mu_keystore_trace_read(w->kit->store, name, 0, out, NULL), MU_OK);
}

/* PRODUCT "Trace": time and entry in front of the line that the host gets. */
static void an_enrollment_leaves_its_trace(void **state)
{
    struct world *w = *state;
    char name[MU_KEYSTORE_TRACE], line[400];
    struct mu_buf text = {0};
    struct mu_agent_facts facts;

    w->agent.keeps_traces = true;
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    read_latest(w, "vpn", name, &text);
    assert_non_null(strstr(mu_buf_str(&text), "Z vpn scep start: PKCSReq for 'vpn'\n"));
    snprintf(line, sizeof line, "Z vpn scep request: transaction id: %s\n", w->txn);
    assert_non_null(strstr(mu_buf_str(&text), line));
    assert_non_null(strstr(mu_buf_str(&text), "Z vpn scep result: ok (0)\n"));
    assert_non_null(strstr(mu_fake_loop_trace(w->loop), "scep result: ok (0)\n"));
    assert_true(mu_agent_trace_has(mu_buf_bytes(&text), w->txn));
    assert_false(mu_agent_trace_has(mu_buf_bytes(&text), "2B"));
    assert_int_equal(mu_agent_show(&w->agent, "vpn", &facts, NULL), MU_OK);
    assert_string_equal(facts.last_trace, name);
    mu_agent_facts_clear(&facts);
    mu_buf_clear(&text);
    /* Nothing was said: nothing is kept. */
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_NOTHING);
    assert_int_equal(mu_keystore_trace_remove(w->kit->store, "vpn", NULL), MU_OK);
    world_enroll(w, "vpn", with(w));
    assert_false(latest(w->kit->store, "vpn", name));
}

static void count(void *cookie, const char *name)
{
    ++*(size_t *)cookie;
}

/* A request that waits is one exchange, however many processes ask for it. */
static void a_poll_goes_on_in_the_same_trace(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = with(w);
    char name[MU_KEYSTORE_TRACE];
    struct mu_buf text = {0};
    size_t n = 0;

    w->agent.keeps_traces = true;
    w->peer.pend = 1;
    request.no_wait = true;
    world_enroll(w, "vpn", request);
    world_expect(w, MU_AGENT_WAITING);
    world_restart(w);
    w->agent.keeps_traces = true;
    world_poll(w, "vpn", true);
    world_expect(w, MU_AGENT_ISSUED);
    assert_int_equal(mu_keystore_trace_each(w->kit->store, "vpn", count, &n, NULL), MU_OK);
    assert_int_equal(n, 1);
    read_latest(w, "vpn", name, &text);
    assert_non_null(strstr(mu_buf_str(&text), "scep result: pending\n"));
    assert_non_null(strstr(mu_buf_str(&text), "scep result: ok (0)\n"));
    mu_buf_clear(&text);
}

/* A trace is for people: where it cannot be written, all else goes on. */
static void a_place_that_cannot_be_written_changes_nothing(void **state)
{
    struct world *w = *state;
    char path[160], name[MU_KEYSTORE_TRACE];
    FILE *f;

    w->agent.keeps_traces = true;
    snprintf(path, sizeof path, "%s/log", w->kit->root);
    assert_non_null(f = fopen(path, "w")); /* no directory */
    fclose(f);
    world_enroll(w, "vpn", with(w));
    world_expect(w, MU_AGENT_ISSUED);
    assert_false(latest(w->kit->store, "vpn", name));
}

static void which_ones(struct world *w, const struct mu_agent_trace_choice *choice, size_t expected)
{
    size_t n = 0;
    struct mu_err err = {0};

    assert_int_equal(mu_agent_trace_each(w->kit->store, choice, count, &n, &err), expected > 0 ? MU_OK : MU_NOT_FOUND);
    assert_int_equal(n, expected);
}

static void traces_are_found_by_entry_name_and_transaction(void **state)
{
    struct world *w = *state;
    char name[MU_KEYSTORE_TRACE];

    w->agent.keeps_traces = true;
    which_ones(w, &(struct mu_agent_trace_choice){.word = NULL}, 0);
    world_enroll(w, "vpn", with(w));
    world_renew(w, "vpn", (struct mu_agent_renew){.force = true});
    world_expect(w, MU_AGENT_ISSUED);
    assert_true(latest(w->kit->store, "vpn", name));
    which_ones(w, &(struct mu_agent_trace_choice){.word = NULL}, 2);
    which_ones(w, &(struct mu_agent_trace_choice){.word = "vpn"}, 2);
    which_ones(w, &(struct mu_agent_trace_choice){.word = "vpn", .last = true}, 1);
    which_ones(w, &(struct mu_agent_trace_choice){.word = name}, 1);
    which_ones(w, &(struct mu_agent_trace_choice){.word = w->txn}, 1);
    which_ones(w, &(struct mu_agent_trace_choice){.word = "vpn", .id = w->txn}, 1);
    which_ones(w, &(struct mu_agent_trace_choice){.word = "vpn", .id = "00"}, 0);
    which_ones(w, &(struct mu_agent_trace_choice){.word = "web"}, 0);
    which_ones(w, &(struct mu_agent_trace_choice){.word = "web.20251120T120000Z"}, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {T(an_enrollment_leaves_its_trace), T(a_poll_goes_on_in_the_same_trace),
        T(a_place_that_cannot_be_written_changes_nothing), T(traces_are_found_by_entry_name_and_transaction)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
