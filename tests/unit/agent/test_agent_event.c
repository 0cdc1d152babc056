/* Events: their words, their line, and which of them a job makes. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "agent/agent_event.h"
#include "agent/agent_log.h"

enum { AT_S = 1763660405 }; /* 2025-11-20 17:40:05 UTC */

static struct mu_agent_event of(enum mu_agent_event_kind kind)
{
    return (struct mu_agent_event){.kind = kind, .at_s = AT_S, .name = "vpn", .proto = "scep"};
}

/* PRODUCT "Events"; S079, S080, S081, S082, S072. */
static void test_words_of_each_kind(void **state)
{
    static const struct {
        enum mu_agent_event_kind kind;
        const char *proto, *reason, *detail, *msg, *subtype, *action, *level;
        bool is_failure;
        enum mu_reason code;
    } cases[] = {
        {MU_AGENT_EVENT_LOADED, "scep", NULL, NULL, "Certificate is loaded", "vpn",
            "certificate-generate", "notice", false},
        {MU_AGENT_EVENT_SIGNED, "scep", NULL, NULL,
            "Successfully signed local certificate via SCEP", "system", "certificate-generate",
            "notice", false},
        {MU_AGENT_EVENT_SIGNED, "est", NULL, NULL, "Successfully signed local certificate via EST",
            "system", "certificate-generate", "notice", false},
        {MU_AGENT_EVENT_SIGNED, "cmp", NULL, NULL, "Successfully signed local certificate via CMP",
            "system", "certificate-generate", "notice", false},
        {MU_AGENT_EVENT_CONNECT_FAILED, "scep", "refused", NULL, "Failed to connect SCEP Server",
            "system", "certificate-generate", "error", true},
        {MU_AGENT_EVENT_CONNECT_FAILED, "est", "refused", NULL, "Failed to connect EST Server",
            "system", "certificate-generate", "error", true},
        {MU_AGENT_EVENT_SIGN_FAILED, "scep", NULL, NULL,
            "Failed to sign local certificate via SCEP-(null)", "system", "certificate-generate",
            "error", true},
        {MU_AGENT_EVENT_SIGN_FAILED, "cmp", "Enrollment not found.", NULL,
            "Failed to sign local certificate via CMP-Enrollment not found.", "system",
            "certificate-generate", "error", true},
        {MU_AGENT_EVENT_WARNING, "scep", NULL, NULL,
            "Local certificate vpn will expire in 10 days", "system", "certificate-warning",
            "warning", false},
        {MU_AGENT_EVENT_PENDING, "scep", NULL, NULL, "Local certificate request waits for the CA",
            "system", "certificate-status", "notice", false},
        {MU_AGENT_EVENT_HELD, "scep", NULL, NULL, "Renewal of local certificate vpn is held",
            "system", "certificate-status", "warning", false},
        {MU_AGENT_EVENT_CLOCK, "scep", NULL, NULL, "The clock is not believable, waiting", "system",
            "certificate-status", "warning", true},
        {MU_AGENT_EVENT_CLOCK, NULL, NULL, NULL, "The clock has jumped, due dates are computed anew",
            "system", "certificate-status", "warning", true, MU_M(803)},
        {MU_AGENT_EVENT_CA_CHANGED, NULL, NULL, NULL,
            "The CA certificate ends before a new certificate would", "system", "certificate-deploy",
            "notice", false, MU_M(606)},
        {MU_AGENT_EVENT_DEPLOYED, NULL, NULL, "nginx localhost:443",
            "Certificate is deployed to nginx localhost:443", "system", "certificate-deploy",
            "notice", false},
        {MU_AGENT_EVENT_DEPLOY_FAILED, NULL, NULL, "nginx", "Failed to deploy certificate to nginx",
            "system", "certificate-deploy", "error", true},
        {MU_AGENT_EVENT_STALE, NULL, NULL, "localhost:2083",
            "Certificate is renewed, but localhost:2083 presents the old one", "system",
            "certificate-deploy", "warning", true},
        {MU_AGENT_EVENT_CA_CHANGED, "est", NULL, "root2", "CA certificate changed: root2", "system",
            "certificate-deploy", "notice", false},
        {MU_AGENT_EVENT_EXPIRED, NULL, NULL, NULL, "Local certificate vpn has expired", "system",
            "certificate-status", "error", true},
    };
    unsigned seen = 0;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_agent_event event = of(cases[i].kind);
        struct mu_buf msg = {0};

        event.proto = cases[i].proto;
        event.reason = cases[i].reason;
        event.detail = cases[i].detail;
        event.days = 10;
        event.code = cases[i].code;
        assert_true(mu_agent_event_msg(&event, &msg));
        assert_string_equal(mu_buf_str(&msg), cases[i].msg);
        assert_string_equal(mu_agent_event_subtype(event.kind), cases[i].subtype);
        assert_string_equal(mu_agent_event_action(event.kind), cases[i].action);
        assert_string_equal(mu_agent_event_level(event.kind), cases[i].level);
        assert_int_equal(mu_agent_event_is_failure(event.kind), cases[i].is_failure);
        mu_buf_clear(&msg);
        seen |= 1U << event.kind;
    }
    assert_int_equal(seen, (1U << MU_AGENT_EVENT_KINDS) - 1); /* each kind is in the table */
}

/* S085: this action selects exactly these. */
static void test_certificate_generate_selects_four(void **state)
{
    for (enum mu_agent_event_kind i = 0; i < MU_AGENT_EVENT_KINDS; i++) {
        bool is_one = i == MU_AGENT_EVENT_LOADED || i == MU_AGENT_EVENT_SIGNED
            || i == MU_AGENT_EVENT_CONNECT_FAILED || i == MU_AGENT_EVENT_SIGN_FAILED;

        assert_int_equal(strcmp(mu_agent_event_action(i), "certificate-generate") == 0, is_one);
    }
}

static void test_line_has_the_fields_in_order(void **state)
{
    struct mu_agent_event event = of(MU_AGENT_EVENT_SIGN_FAILED);
    struct mu_buf line = {0};

    event.name = "IPSECVPNTest";
    event.method = "renew";
    event.code = MU_M(312);
    event.hint = "1. too early; 2. say \"please\" \\ or not";
    event.transaction = "2B9E443E";
    assert_true(mu_agent_event_line(&event, &line));
    assert_string_equal(mu_buf_str(&line),
        "date=2025-11-20 time=17:40:05 tz=\"+0000\" type=event subtype=system level=error "
        "action=certificate-generate status=failure name=\"IPSECVPNTest\" method=renew "
        "msg=\"Failed to sign local certificate via SCEP-(null)\" "
        "hint=\"1. too early; 2. say \\\"please\\\" \\\\ or not\" code=M312 txn=2B9E443E");
    mu_buf_clear(&line);
}

/* A CA that writes line ends, quotes and terminal codes makes no line of its own and no field. */
static void test_remote_text_cannot_leave_its_field(void **state)
{
    struct mu_agent_event event = of(MU_AGENT_EVENT_SIGN_FAILED);
    struct mu_agent_event_row row;
    struct mu_buf line = {0}, value = {0}, sd = {0};

    event.reason = "no\" status=success\n\x1b[31mdate=2030-01-01 \xe2\x80\xae]x";
    assert_true(mu_agent_event_line(&event, &line));
    assert_null(strchr(mu_buf_str(&line), '\n'));
    assert_null(strchr(mu_buf_str(&line), 0x1b));
    assert_null(strstr(mu_buf_str(&line), "\xe2\x80\xae"));
    assert_true(mu_agent_log_field(mu_buf_bytes(&line), "status", &value));
    assert_string_equal(mu_buf_str(&value), "failure");
    assert_true(mu_agent_log_field(mu_buf_bytes(&line), "reason", &value));
    assert_string_equal(
        mu_buf_str(&value), "no\" status=success\\x0a\\x1b[31mdate=2030-01-01 \\xe2\\x80\\xae]x");
    assert_int_equal(mu_agent_event_row(&event, &row, NULL), MU_OK);
    assert_true(mu_agent_event_row_sd(&row, &sd));
    assert_non_null(strstr(mu_buf_str(&sd), "reason=\"no\\\" status=success\\\\x0a"));
    assert_non_null(strstr(mu_buf_str(&sd), "\\]x\""));
    mu_agent_event_row_clear(&row);
    mu_buf_clear(&sd);
    mu_buf_clear(&line);
    mu_buf_clear(&value);
}

static void test_the_longest_line_fits(void **state)
{
    struct mu_agent_event event = of(MU_AGENT_EVENT_SIGN_FAILED);
    struct mu_buf line = {0};
    char quotes[2000];

    memset(quotes, '"', sizeof quotes - 1);
    quotes[sizeof quotes - 1] = '\0';
    event.reason = event.hint = quotes;
    assert_true(mu_agent_event_line(&event, &line));
    assert_true(line.n <= MU_AGENT_EVENT_LINE);
    mu_buf_clear(&line);
}

/* RFC 5424 6.3 */
static void test_structured_data(void **state)
{
    struct mu_agent_event event = of(MU_AGENT_EVENT_LOADED);
    struct mu_agent_event_row row;
    struct mu_buf sd = {0};

    event.method = "enroll";
    assert_int_equal(mu_agent_event_row(&event, &row, NULL), MU_OK);
    assert_true(mu_agent_event_row_sd(&row, &sd));
    assert_string_equal(mu_buf_str(&sd),
        "[muster@32473 type=\"event\" subtype=\"vpn\" level=\"notice\" "
        "action=\"certificate-generate\" status=\"success\" name=\"vpn\" method=\"enroll\"]");
    assert_int_equal(mu_agent_event_severity(event.kind), 5);
    mu_agent_event_row_clear(&row);
    mu_buf_clear(&sd);
}

/* ---- what a job emits ---- */

static struct mu_buf heard;

static void hear(void *cookie, const struct mu_agent_event *event)
{
    struct mu_buf line = {0};

    assert_true(mu_agent_event_line(event, &line));
    mu_buf_putf(&heard, "%s\n", strstr(mu_buf_str(&line), "subtype="));
    mu_buf_clear(&line);
}

static int setup(void **state)
{
    int rc = world_setup(state);
    struct world *w = *state;

    w->agent.events = (struct mu_agent_events){hear, NULL};
    return rc;
}

static int teardown(void **state)
{
    mu_buf_clear(&heard);
    return world_teardown(state);
}

static unsigned lines(const char *with)
{
    unsigned n = 0;

    for (const char *p = mu_buf_str(&heard); (p = strstr(p, with)) != NULL; p += strlen(with))
        n++;
    return n;
}

static void expect(const char *part)
{
    if (strstr(mu_buf_str(&heard), part) == NULL)
        fail_msg("no '%s' in\n%s", part, mu_buf_str(&heard));
}

/* S079, S080: signed, then loaded; after enrollment and after renewal. */
static void test_enroll_and_renew_are_signed_and_loaded(void **state)
{
    struct world *w = *state;

    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings});
    world_expect(w, MU_AGENT_ISSUED);
    expect("name=\"vpn\" method=enroll msg=\"Successfully signed local certificate via SCEP\"");
    expect("subtype=vpn level=notice action=certificate-generate status=success name=\"vpn\" "
           "method=enroll msg=\"Certificate is loaded\"");
    world_renew(w, "vpn", (struct mu_agent_renew){.force = true});
    world_expect(w, MU_AGENT_ISSUED);
    expect("method=renew msg=\"Successfully signed local certificate via SCEP\"");
    expect("method=renew msg=\"Certificate is loaded\"");
    assert_int_equal(lines("\n"), 4);
    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings}); /* nothing to do */
    assert_int_equal(lines("\n"), 4);
}

/* S081 */
static void test_no_connection(void **state)
{
    struct world *w = *state;

    mu_fake_transport_fail(w->transport, -1, MU_NETWORK, MU_M(102));
    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings});
    assert_int_equal(w->err.code, MU_NETWORK);
    expect("msg=\"Failed to connect SCEP Server\" reason=\"");
    expect("code=M102");
    assert_int_equal(lines("\n"), 1);
}

/* S082: the CA's words after the dash and as a field. Without any: test_events.py. */
static void test_refusal_with_a_reason(void **state)
{
    struct world *w = *state;
    struct mu_agent_facts facts = {0};

    w->peer.refuse = MU_REFUSE_OPERATOR;
    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings});
    assert_int_equal(w->err.code, MU_DENIED);
    expect("msg=\"Failed to sign local certificate via SCEP-The operator rejected the request.\" "
           "reason=\"The operator rejected the request.\" hint=\"");
    assert_int_equal(lines("\n"), 1);
    assert_int_equal(mu_agent_show(&w->agent, "vpn", &facts, NULL), MU_OK);
    assert_string_equal(facts.last_reason, "The operator rejected the request.");
    mu_agent_facts_clear(&facts);
}

/* A request that waits is told once, and is none of certificate-generate. */
static void test_pending_is_told_once(void **state)
{
    struct world *w = *state;

    w->peer.pend = 3;
    world_enroll(w, "vpn", (struct mu_agent_enroll){.settings = &w->settings, .no_wait = true});
    world_expect(w, MU_AGENT_WAITING);
    world_poll(w, "vpn", true);
    world_expect(w, MU_AGENT_WAITING);
    assert_int_equal(lines("\n"), 1);
    expect("action=certificate-status status=success name=\"vpn\" method=enroll msg=\"Local "
           "certificate request waits for the CA\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_each_kind),
        cmocka_unit_test(test_certificate_generate_selects_four),
        cmocka_unit_test(test_line_has_the_fields_in_order),
        cmocka_unit_test(test_remote_text_cannot_leave_its_field),
        cmocka_unit_test(test_the_longest_line_fits),
        cmocka_unit_test(test_structured_data),
        cmocka_unit_test_setup_teardown(test_enroll_and_renew_are_signed_and_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusal_with_a_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pending_is_told_once, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
