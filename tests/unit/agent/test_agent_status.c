/* The state of an entry out of its facts, and the router's two lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/agent_status.h"

enum { DAY_S = 86400, NOW_S = 1763660405 };

struct given {
    const char *name;
    int left_days;   /* of a 90-day certificate; 999: none */
    int renew_days;
    bool is_pending;
    const char *result;
    unsigned attempts;
    struct mu_lifecycle life;
    bool no_automation, is_configured, is_stale;
    enum mu_agent_state state;
    int class;
    const char *module, *line;
};

static char serial[] = "4A96E1736D";

static void fill(const struct given *g, struct mu_agent_facts *f, struct mu_agent_facts_deploy *seen,
    struct mu_lifecycle_policy *policy)
{
    static char text[4][16];

    *f = (struct mu_agent_facts){.renew_days = g->renew_days, .is_pending = g->is_pending,
        .attempts = g->attempts, .automation = !g->no_automation, .is_configured = g->is_configured};
    if (g->result != NULL) {
        strcpy(text[0], g->result);
        f->last_result = text[0];
    }
    *policy = (struct mu_lifecycle_policy){.renew_days = g->renew_days};
    *seen = (struct mu_agent_facts_deploy){.match = false, .code = MU_M(902)};
    if (g->is_stale) {
        f->deploy = seen;
        f->deploy_n = 1;
    }
    if (g->left_days == 999)
        return;
    f->serial = f->stem = serial;
    f->not_after_s = NOW_S + (int64_t)g->left_days * DAY_S;
    f->not_before_s = f->not_after_s - 90 * DAY_S;
    mu_agent_is_due(f->not_before_s, f->not_after_s, g->renew_days, 0, NOW_S, &f->renew_from_s);
}

#define OFF "Module scepClient disabled"
#define RUNS "Module scepClient running"
#define NOT "Module scepClient not running"

static const struct given cases[] = {
    {"nothing yet", 999, -1, .state = MU_AGENT_NEW, .class = 2, .module = NOT, .line = "Certificate not enrolled"},
    {"first request out", 999, -1, .is_pending = true, .state = MU_AGENT_REQUESTING, .class = 1, .module = RUNS,
        .line = "Certificate enrollment"},
    {"first one waits", 999, -1, .is_pending = true, .result = "pending", .state = MU_AGENT_PENDING, .class = 1,
        .module = RUNS, .line = "Certificate enrollment"},
    {"not asked any more", 999, -1, .is_pending = true, .result = "pending",
        .life = {.state = MU_LIFECYCLE_REQUESTED, .pending_since_s = NOW_S - 9000, .stopped = true},
        .state = MU_AGENT_PENDING, .class = 2, .module = NOT, .line = "Certificate not enrolled"}, /* R014 */
    {"cut off, tried again", 999, -1, .is_pending = true, .result = "failed", .attempts = 2,
        .state = MU_AGENT_RETRYING, .class = 2, .module = NOT, .line = "Certificate not enrolled"},
    {"refused", 999, -1, .result = "refused", .attempts = 1, .state = MU_AGENT_REJECTED, .class = 2, .module = NOT,
        .line = "Certificate not enrolled"},
    {"by hand, failed", 999, -1, .result = "failed", .attempts = 1, .state = MU_AGENT_FAILED, .class = 2,
        .module = NOT, .line = "Certificate not enrolled"},
    {"configured, failed", 999, -1, .result = "failed", .attempts = 1, .is_configured = true,
        .state = MU_AGENT_RETRYING, .class = 2, .module = NOT, .line = "Certificate not enrolled"},
    {"off before it began", 999, -1, .no_automation = true, .state = MU_AGENT_DISABLED, .class = 0, .module = OFF,
        .line = "Certificate not enrolled"},
    {"fine", 80, 30, .result = "issued", .state = MU_AGENT_OK, .class = 0, .module = NOT,
        .line = "Certificate enrolled 4A96E1736D"},
    {"fine and off", 80, 30, .result = "issued", .no_automation = true, .state = MU_AGENT_DISABLED, .class = 0,
        .module = OFF, .line = "Certificate enrolled 4A96E1736D"},
    {"due", 30, 30, .result = "issued", .state = MU_AGENT_DUE, .class = 2, .module = NOT,
        .line = "Certificate enrolled 4A96E1736D"},
    {"never due", 1, 0, .result = "issued", .state = MU_AGENT_OK, .class = 0, .module = NOT,
        .line = "Certificate enrolled 4A96E1736D"},
    {"renewal out", 20, 30, .is_pending = true, .state = MU_AGENT_RENEWING, .class = 1, .module = RUNS,
        .line = "Certificate re-enrollment"},
    /* R050: the old one is valid */
    {"renewal refused", 20, 30, .result = "refused", .attempts = 3, .state = MU_AGENT_RETRYING, .class = 2,
        .module = NOT, .line = "Certificate enrolled 4A96E1736D"},
    {"held", 80, 95, .result = "issued", .life = {.state = MU_LIFECYCLE_INSTALLED, .by_agent = true},
        .state = MU_AGENT_HELD, .class = 0, .module = NOT, .line = "Certificate enrolled 4A96E1736D"},
    {"stale", 80, 30, .result = "renewed", .is_stale = true, .state = MU_AGENT_RENEWED_STALE, .class = 2, .module = NOT,
        .line = "Certificate enrolled 4A96E1736D"},
    {"hooks failed", 80, 30, .result = "renewed", .life = {.state = MU_LIFECYCLE_FAILED, .not_deployed = 2},
        .state = MU_AGENT_RENEWED_STALE, .class = 2, .module = NOT, .line = "Certificate enrolled 4A96E1736D"},
    {"expired", -2, 30, .result = "failed", .attempts = 9, .state = MU_AGENT_EXPIRED, .class = 2, .module = NOT,
        .line = "Certificate not enrolled"},
    {"expired, renewal waits", -2, 30, .is_pending = true, .result = "pending", .state = MU_AGENT_PENDING, .class = 1,
        .module = RUNS, .line = "Certificate re-enrollment"},
};

/* PRODUCT "Sessions", States; R047 to R053. */
static void test_states_and_the_two_lines(void **state)
{
    unsigned seen = 0;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct given *g = &cases[i];
        struct mu_agent_facts_deploy deploy;
        struct mu_lifecycle_policy policy;
        struct mu_lifecycle life = g->life;
        struct mu_agent_facts f;
        struct mu_buf line = {0};

        fill(g, &f, &deploy, &policy);
        life.not_before_s = f.not_before_s;
        life.not_after_s = f.not_after_s;
        mu_agent_status_decide(&f, life.state != MU_LIFECYCLE_NEW ? &life : NULL, &policy, NOW_S);
        if (f.state != g->state)
            fail_msg("%s: %s, not %s", g->name, mu_agent_state_word(f.state),
                mu_agent_state_word(g->state));
        if (mu_agent_status_class(&f) != g->class)
            fail_msg("%s: class %d", g->name, mu_agent_status_class(&f));
        assert_string_equal(mu_agent_status_router_module(&f), g->module);
        assert_true(mu_agent_status_router_certificate(&f, &line));
        assert_string_equal(mu_buf_str(&line), g->line);
        mu_buf_clear(&line);
        seen |= 1U << f.state;
    }
    assert_int_equal(seen, (1U << (MU_AGENT_DISABLED + 1)) - 1); /* each state was met */
}

static void test_codes_say_most(void **state)
{
    struct mu_agent_facts f = {.state = MU_AGENT_EXPIRED, .serial = serial, .renew_days = 0};
    struct mu_agent_facts_deploy seen = {.code = MU_M(905)};
    char code[] = "M312";

    assert_int_equal(mu_agent_status_code(&f), MU_M(604));
    f.renew_days = 30;
    assert_int_equal(mu_agent_status_code(&f), MU_M(601));
    f.why = MU_M(607);
    f.attempts = 2;
    f.last_code = code;
    assert_int_equal(mu_agent_status_code(&f), MU_M(607));
    f.state = MU_AGENT_RETRYING;
    f.why = MU_REASON_NONE;
    assert_int_equal(mu_agent_status_code(&f), MU_M(312));
    f.state = MU_AGENT_RENEWED_STALE;
    f.deploy = &seen;
    f.deploy_n = 1;
    assert_int_equal(mu_agent_status_code(&f), MU_M(905));
    seen.code = MU_REASON_NONE;
    assert_int_equal(mu_agent_status_code(&f), MU_M(902));
    f = (struct mu_agent_facts){.state = MU_AGENT_OK, .serial = serial};
    assert_int_equal(mu_agent_status_code(&f), MU_REASON_NONE);
}

/* The next try is told while something is tried, and only then. */
static void test_next_try(void **state)
{
    struct mu_lifecycle life = {.state = MU_LIFECYCLE_INSTALLED, .refused = 1, .tried_s = NOW_S - 3600};
    struct mu_lifecycle_policy policy = {.renew_days = 30};
    struct mu_agent_facts_deploy deploy;
    struct mu_agent_facts f;

    fill(&(struct given){"refused", 20, 30, .result = "refused", .attempts = 1}, &f, &deploy, &policy);
    life.not_before_s = f.not_before_s;
    life.not_after_s = f.not_after_s;
    mu_agent_status_decide(&f, &life, &policy, NOW_S);
    assert_true(f.next_try_s >= NOW_S + 5 * 3600); /* 6 h after the refusal */
    fill(&(struct given){"fine", 80, 30, .result = "issued"}, &f, &deploy, &policy);
    life = (struct mu_lifecycle){.state = MU_LIFECYCLE_INSTALLED, .not_before_s = f.not_before_s,
        .not_after_s = f.not_after_s};
    mu_agent_status_decide(&f, &life, &policy, NOW_S);
    assert_int_equal(f.next_try_s, 0);
}

static void keep_finding(void *cookie, const struct mu_err *finding)
{
    struct mu_buf *to = cookie;

    mu_buf_putf(to, "M%u %s: %s\n", (unsigned)finding->reason, finding->what, mu_err_next_text(finding));
}

/* A pair that waits before there is one in use, until it is valid (M802) or a script lets it through; a
 * service that was restarted is said to (M905). */
static void test_what_waits_and_what_was_restarted(void **state)
{
    struct mu_lifecycle_policy policy = {.renew_days = 30};
    struct mu_agent_facts_deploy seen = {.recipe = serial, .match = true, .code = MU_M(905)};
    struct mu_agent_facts f = {.name = "web", .next_stem = serial, .next_held = true, .next_from_s = NOW_S + 60,
        .renew_days = 30, .is_configured = true, .automation = true};
    struct mu_buf said = {0};

    mu_agent_status_decide(&f, NULL, &policy, NOW_S);
    assert_int_equal(f.state, MU_AGENT_RENEWED_STALE);
    mu_agent_status_each(&f, NOW_S, keep_finding, &said);
    assert_non_null(strstr(mu_buf_str(&said), "M802 the new certificate "));
    assert_non_null(strstr(mu_buf_str(&said), "muster doctor web"));
    mu_buf_reset(&said);
    mu_agent_status_each(&f, NOW_S + 61, keep_finding, &said);
    assert_null(strstr(mu_buf_str(&said), "M802"));
    f = (struct mu_agent_facts){.name = "web", .serial = serial, .renew_days = 30, .not_after_s = NOW_S + 60,
        .deploy = &seen, .deploy_n = 1};
    mu_agent_status_each(&f, NOW_S, keep_finding, &said);
    assert_non_null(strstr(mu_buf_str(&said), "does not re-read certificates on reload; it was restarted"));
    assert_true(mu_agent_status_code(&f) == MU_REASON_NONE); /* nothing is wrong */
    mu_buf_clear(&said);
}

/* Each sentence by its code, with its numbers. */
static void test_each_rule_has_its_sentence(void **state)
{
    static const unsigned codes[] = {313, 601, 602, 603, 604, 605, 606, 607, 801};
    const struct mu_agent_facts f = {.name = "web", .renew_days = 60, .attempts = 2, .ca_window_s = 7 * 86400,
        .ca_not_after_s = NOW_S, .not_before_s = NOW_S - 86400, .not_after_s = NOW_S + 86400, .await_limit_s = 60};
    char recipe[] = "nginx", endpoint[] = "www.example:443";
    struct mu_agent_facts_deploy seen[] = {{.recipe = recipe}, {.endpoint = endpoint}};
    struct mu_agent_facts g = f;
    struct mu_err err = {0};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        assert_true(mu_agent_status_say(&f, MU_M(codes[i]), NOW_S, &err));
        assert_int_equal(err.reason, MU_M(codes[i]));
        assert_null(strchr(err.what, '<'));
        assert_null(strchr(mu_err_next_text(&err), '<'));
    }
    assert_false(mu_agent_status_say(&f, MU_M(312), NOW_S, &err));
    g.deploy = seen; /* S077: what refers to the old one is named */
    g.deploy_n = 2;
    assert_true(mu_agent_status_say(&g, MU_M(607), NOW_S, &err));
    assert_non_null(strstr(mu_err_next_text(&err), "(nginx, www.example:443): muster deploy web"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states_and_the_two_lines),
        cmocka_unit_test(test_codes_say_most),
        cmocka_unit_test(test_next_try),
        cmocka_unit_test(test_what_waits_and_what_was_restarted),
        cmocka_unit_test(test_each_rule_has_its_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
