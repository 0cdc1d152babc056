/* Metrics: families, escaping, counting, and what a scrape reads. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_metrics.h"

static struct mu_agent_metrics *metrics;

static void hear(void *cookie, const struct mu_agent_event *event)
{
    mu_agent_metrics_event(cookie, event);
}

static int setup(void **state)
{
    int rc = world_setup(state);
    struct world *w = *state;

    if (rc == 0)
        rc = mu_agent_metrics_new(&metrics, NULL) != MU_OK;
    w->agent.events = (struct mu_agent_events){hear, metrics};
    return rc;
}

static int teardown(void **state)
{
    mu_agent_metrics_free(metrics);
    return world_teardown(state);
}

static char *text_of(struct world *w, size_t reads)
{
    struct mu_buf out = {0};
    struct mu_err err = {0};
    char *text;

    if (mu_agent_metrics_look(metrics, &w->agent, reads, &err) != MU_OK
        || mu_agent_metrics_text(metrics, &w->agent, &out, &err) != MU_OK)
        fail_msg("%s", err.what);
    text = strdup(mu_buf_str(&out));
    mu_buf_clear(&out);
    return text;
}

static void expect(const char *text, const char *line)
{
    const char *at = strstr(text, line);

    if (at == NULL || (at > text && at[-1] != '\n'))
        fail_msg("no line '%s' in\n%s", line, text);
}

/* PRODUCT "Metrics" */
static void test_every_family_is_there_once(void **state)
{
    static const char *const families[] = {"muster_certificate_not_before_timestamp_seconds",
        "muster_certificate_not_after_timestamp_seconds", "muster_certificate_renewal_timestamp_seconds",
        "muster_certificate_last_attempt_timestamp_seconds", "muster_certificate_last_success_timestamp_seconds",
        "muster_certificate_state", "muster_certificate_consecutive_failures", "muster_enroll_attempts_total",
        "muster_certificate_deployed_match", "muster_hook_last_exit_code", "muster_clock_skew_seconds",
        "muster_ca_not_after_timestamp_seconds", "muster_build_info"};
    struct world *w = *state;
    char *text;

    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings});
    world_expect(w, MU_AGENT_ISSUED);
    text = text_of(w, 0);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        char line[120];

        snprintf(line, sizeof line, "# TYPE %s ", families[i]);
        expect(text, line);
        assert_null(strstr(strstr(text, line) + 1, line));
    }
    expect(text, "muster_certificate_state{name=\"vpn\",state=\"OK\"} 1\n");
    expect(text, "muster_certificate_consecutive_failures{name=\"vpn\"} 0\n");
    expect(text, "muster_certificate_not_after_timestamp_seconds{name=\"vpn\",ca=\"sceptest\",protocol=\"scep\"} ");
    expect(text, "muster_enroll_attempts_total{name=\"vpn\",protocol=\"scep\",result=\"issued\",code=\"\"} 1\n");
    expect(text, "muster_ca_not_after_timestamp_seconds{ca=\"sceptest\"} ");
    free(text);
}

static void test_failures_are_counted_by_code(void **state)
{
    struct world *w = *state;
    char *text;

    w->peer.refuse = MU_REFUSE_PASSWORD;
    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings});
    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings});
    text = text_of(w, 0);
    expect(text, "muster_enroll_attempts_total{name=\"vpn\",protocol=\"scep\",result=\"refused\",code=\"M311\"} 2\n");
    expect(text, "muster_certificate_consecutive_failures{name=\"vpn\"} 2\n");
    expect(text, "muster_certificate_state{name=\"vpn\",state=\"REJECTED\"} 1\n");
    free(text);
}

/* More kinds of results than there is room for end in one sum. */
static void test_counting_is_bounded(void **state)
{
    struct mu_agent_event event = {.kind = MU_AGENT_EVENT_SIGN_FAILED, .name = "vpn", .proto = "scep"};
    struct world *w = *state;
    struct mu_buf out = {0};
    const char *p;
    unsigned n = 0;

    for (unsigned i = 0; i < 100; i++) {
        event.code = MU_M(300 + i);
        mu_agent_metrics_event(metrics, &event);
    }
    assert_int_equal(mu_agent_metrics_text(metrics, &w->agent, &out, NULL), MU_OK);
    for (p = mu_buf_str(&out); (p = strstr(p, "muster_enroll_attempts_total{")) != NULL; p++)
        n++;
    assert_int_equal(n, 8);
    assert_non_null(strstr(mu_buf_str(&out), "} 93\n"));
    mu_buf_clear(&out);
}

static void test_what_is_gone_is_not_shown(void **state)
{
    struct world *w = *state;
    char *text;

    world_enroll(w, "a", (struct mu_agent_enroll){.settings = &w->settings, .no_wait = true});
    world_enroll(w, "b", (struct mu_agent_enroll){.settings = &w->settings});
    mu_agent_metrics_event(metrics, &(struct mu_agent_event){.kind = MU_AGENT_EVENT_LOADED, .name = "gone"});
    text = text_of(w, 0);
    expect(text, "muster_certificate_state{name=\"a\",state=\"OK\"} 1\n");
    expect(text, "muster_certificate_state{name=\"b\",state=\"OK\"} 1\n");
    assert_null(strstr(text, "gone"));
    free(text);
}

/* A scrape reads a few; what changed is among them. */
static void test_changes_are_read_first(void **state)
{
    struct world *w = *state;
    char *text;

    world_enroll(w, "a", (struct mu_agent_enroll){.settings = &w->settings});
    world_enroll(w, "b", (struct mu_agent_enroll){.settings = &w->settings});
    free(text_of(w, 0));
    w->peer.refuse = MU_REFUSE_OPERATOR;
    world_renew(w, "b", (struct mu_agent_renew){.force = true});
    text = text_of(w, 1);
    expect(text, "muster_certificate_consecutive_failures{name=\"b\"} 1\n");
    free(text);
}

static void test_label_values_are_escaped(void **state)
{
    struct mu_buf out = {0};

    assert_true(mu_agent_metrics_label(&out, "a\"b\\c\nd"));
    assert_string_equal(mu_buf_str(&out), "a\\\"b\\\\c\\nd");
    mu_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_family_is_there_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_are_counted_by_code, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counting_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_gone_is_not_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_are_read_first, setup, teardown),
        cmocka_unit_test(test_label_values_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
