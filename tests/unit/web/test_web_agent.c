/* Requests about the agent, by function call: what they answer, who waits, what is refused. */
#include "web/agent/web_agent.h"

#include "kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_log.h"
#include "fake_loop.h"
#include "web/agent/web_agent_facts.h"

enum { OWNER = 1000 };

static struct mu_loop *loop;
static struct mu_agent agent;
static struct mu_web_agent *web;
static struct mu_buf told; /* what the host was asked */
static struct mu_err refusal;

/* ---- the host ---- */

static void on_status(void *ctx, struct mu_web_agent_status *out)
{
    *out = (struct mu_web_agent_status){.config = "/etc/muster/muster.conf",
        .pid = 77,
        .uid = OWNER,
        .started_s = MU_FAKE_LOOP_START_S - 60,
        .fault = refusal.code != MU_OK ? &refusal : NULL};
}

static enum mu_code on_wish(
    void *ctx, const char *name, enum mu_agent_watch_wish wish, struct mu_err *err)
{
    mu_buf_putf(&told, "wish %d for %s\n", (int)wish, name);
    if (refusal.code != MU_OK)
        *err = refusal;
    return refusal.code;
}

static void on_touch(void *ctx, const char *name)
{
    mu_buf_putf(&told, "touch %s\n", name != NULL ? name : "all");
}

static enum mu_code on_reload(void *ctx, struct mu_err *err)
{
    mu_buf_put_str(&told, "reload\n");
    if (refusal.code != MU_OK)
        *err = refusal;
    return refusal.code;
}

static enum mu_code on_metrics(void *ctx, struct mu_buf *out, struct mu_err *err)
{
    mu_buf_put_str(out, "muster_build_info 1\n");
    return MU_OK;
}

static const struct mu_web_agent_host host = {.on_status = on_status,
    .on_wish = on_wish,
    .on_touch = on_touch,
    .on_reload = on_reload,
    .on_metrics = on_metrics};

static int setup(void **state)
{
    if (kit_setup(state) != 0)
        return -1;
    loop = mu_fake_loop_new();
    agent = (struct mu_agent){
        .store = ((struct kit *)*state)->store, .env = mu_fake_loop_env(loop), .loop = loop};
    assert_int_equal(mu_web_agent_new(&agent, &host, OWNER, "muster", &web, NULL), MU_OK);
    return 0;
}

static int teardown(void **state)
{
    mu_web_agent_free(web);
    web = NULL;
    mu_fake_loop_free(loop);
    mu_buf_clear(&told);
    mu_err_clear(&refusal);
    return kit_teardown(state);
}

/* ---- asking ---- */

struct seen {
    unsigned times;
    int status;
    char type[40];
    struct mu_buf text;
    json_t *body;
};

static void done(void *cookie, struct mu_http_response *response)
{
    struct seen *s = cookie;

    s->times++;
    s->status = response->status;
    snprintf(s->type, sizeof s->type, "%s",
        mu_http_header_get(response->headers, response->header_n, "Content-Type"));
    mu_buf_put_bytes(&s->text, mu_buf_bytes(&response->body));
    s->body = json_loadb((const char *)response->body.p, response->body.n, 0, NULL);
}

static void begin(struct seen *s, const char *method, const char *target, const char *body)
{
    static const struct mu_http_peer peer = {.is_unix = true, .uid = OWNER};
    const struct mu_http_request request = {
        .method = method, .target = target, .minor = 1, .body = mu_bytes_str(body), .peer = &peer};

    *s = (struct seen){0};
    mu_kit_dispatch(mu_web_agent_router(web), &request, done, s);
}

static struct seen ask(const char *method, const char *target, const char *body)
{
    struct seen s;

    begin(&s, method, target, body);
    mu_fake_loop_run_posted(loop);
    for (int i = 0; i < 100 && s.times == 0; i++)
        mu_fake_loop_run_for(loop, 0);
    assert_int_equal(s.times, 1);
    return s;
}

static void end(struct seen *s)
{
    json_decref(s->body);
    mu_buf_clear(&s->text);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static size_t count_of(const struct seen *s, const char *key)
{
    return json_array_size(json_object_get(s->body, key));
}

static void put_entry(void **state, const char *name, uint8_t serial)
{
    struct mu_keystore_saved saved;
    struct kit_pair pair;

    kit_pair_make(&pair, name, serial);
    kit_save(*state, name, &pair, NULL, &saved);
    kit_pair_clear(&pair);
}

static void put_event(const char *line)
{
    assert_int_equal(mu_keystore_log_append(agent.store, mu_bytes_str(line), NULL), MU_OK);
}

/* ---- cases ---- */

static void status_tells_of_the_process(void **state)
{
    struct seen s = ask("GET", "/v1/status", "");
    const json_t *a = json_object_get(s.body, "agent");

    assert_int_equal(s.status, 200);
    assert_string_equal(text_of(s.body, "schema"), "muster/1");
    assert_string_equal(text_of(s.body, "time"), "2024-11-21T11:52:11Z");
    assert_int_equal(json_integer_value(json_object_get(a, "pid")), 77);
    assert_string_equal(text_of(a, "started"), "2024-11-21T11:51:11Z");
    assert_true(json_is_null(json_object_get(a, "reloaded")));
    assert_true(json_is_null(json_object_get(a, "fault")));
    end(&s);
    mu_err_set(&refusal, MU_INPUT, MU_M(706), "muster.conf:3: what is this");
    s = ask("GET", "/v1/status", "");
    a = json_object_get(json_object_get(s.body, "agent"), "fault");
    assert_string_equal(text_of(a, "code"), "M706");
    assert_string_equal(text_of(a, "what"), "muster.conf:3: what is this");
    end(&s);
}

/* The objects are those of 'muster status --json'. */
static void certificates_are_listed_by_name_and_in_parts(void **state)
{
    struct seen s;
    char name[8];

    for (int i = 0; i < 70; i++) { /* more than one slice */
        snprintf(name, sizeof name, "c%02d", i);
        assert_int_equal(mu_keystore_put(agent.store, MU_KEYSTORE_STATE, name, "conf",
                             mu_bytes_str("protocol = scep\nurl = http://ca.example/scep\n"), NULL),
            MU_OK);
    }
    s = ask("GET", "/v1/certificates", "");
    assert_int_equal(count_of(&s, "certificates"), 70);
    assert_string_equal(text_of(json_array_get(json_object_get(s.body, "certificates"), 69), "name"), "c69");
    assert_true(json_is_null(json_object_get(s.body, "next")));
    end(&s);
    s = ask("GET", "/v1/certificates?limit=2&after=c08", "");
    assert_int_equal(count_of(&s, "certificates"), 2);
    assert_string_equal(text_of(json_array_get(json_object_get(s.body, "certificates"), 0), "name"), "c09");
    assert_string_equal(text_of(s.body, "next"), "c10");
    end(&s);
    s = ask("GET", "/v1/certificates?limit=0", "");
    assert_int_equal(s.status, 400);
    end(&s);
    s = ask("GET", "/v1/certificates?limits=2", "");
    assert_int_equal(s.status, 400);
    assert_non_null(strstr(mu_buf_str(&s.text), "limit"));
    end(&s);
}

static void one_certificate_is_the_same_object(void **state)
{
    struct seen s;
    const json_t *cert;

    put_entry(state, "web", 5);
    s = ask("GET", "/v1/certificates/web", "");
    cert = json_array_get(json_object_get(s.body, "certificates"), 0);
    assert_string_equal(text_of(cert, "name"), "web");
    assert_string_equal(text_of(cert, "serial"), "05");
    end(&s);
    s = ask("GET", "/v1/certificates/other", "");
    assert_int_equal(s.status, 404);
    end(&s);
    s = ask("GET", "/v1/certificates/%2e%2e%2fweb", "");
    assert_int_equal(s.status, 400);
    end(&s);
}

static void a_list_that_is_not_done_is_answered_at_the_end(void **state)
{
    struct seen s;
    char name[8];

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "c%02d", i);
        assert_int_equal(mu_keystore_put(agent.store, MU_KEYSTORE_STATE, name, "conf", mu_bytes_str(""), NULL), MU_OK);
    }
    begin(&s, "GET", "/v1/certificates", "");
    assert_int_equal(s.times, 0);
    mu_web_agent_free(web);
    web = NULL;
    assert_int_equal(s.times, 1);
    assert_int_equal(s.status, 503);
    end(&s);
}

#define T(text) ((char[]){text})

static char *written(const struct mu_agent_facts *facts)
{
    struct mu_buf out = {0};
    struct mu_agent_json j = {.out = &out};
    char *text;

    mu_agent_json_facts(&j, NULL, facts, MU_FAKE_LOOP_START_S);
    text = strdup(mu_buf_str(&out));
    mu_buf_clear(&out);
    return text;
}

/* Who is told by the agent prints what who reads the store prints. */
static void facts_survive_the_way_through_json(void **state)
{
    struct mu_agent_facts_deploy deploy[2] = {
        {.recipe = T("nginx"), .endpoint = T("tls:a:443"), .serial_seen = T("05"), .match = true, .at_s = 1763660405},
        {.recipe = T("copy"), .code = MU_M(901)}};
    const struct mu_agent_facts full = {.name = "web",
        .state = MU_AGENT_RENEWED_STALE,
        .proto = MU_PROTO_EST,
        .url = T("https://pki.example"),
        .ca = T("corp"),
        .subject = T("/CN=\"x\""),
        .issuer = T("/CN=ca"),
        .san = T("DNS:x"),
        .serial = T("05"),
        .stem = T("05"),
        .next_stem = T("06"),
        .sha256 = T("AB:CD:EF"),
        .key = T("EC P-256"),
        .cert_file = T("/s/certs/web/latest.crt"),
        .key_file = T("/s/certs/web/latest.key"),
        .not_before_s = 1732000000,
        .not_after_s = 1763660405,
        .days_left = -3,
        .renew_days = 30,
        .renew_from_s = 1760000000,
        .due_since_s = 1760000000,
        .next_try_s = 1763660500,
        .pending_txn = T("2B9E"),
        .pending_since_s = 1763660400,
        .is_pending = true,
        .last_result = T("refused"),
        .last_code = T("M312"),
        .last_what = T("the CA said no"),
        .last_reason = T("no"),
        .last_likely = T("1. this; 2. that"),
        .last_next = T("wait"),
        .last_txn = T("2B9E"),
        .last_s = 1763660401,
        .attempts = 3,
        .held = true,
        .automation = true,
        .label = T("iot"),
        .user = T("u"),
        .has_password = true,
        .changed = T("C=NL removed, OU=AS added"),
        .warnings = T("md5\nsha1"),
        .yes_left_s = 20 * 86400,
        .deploy = deploy,
        .deploy_n = 2};
    const struct mu_agent_facts cases[] = {
        full, {.name = "new", .renew_days = -1}, {.name = "off", .state = MU_AGENT_DISABLED, .renew_days = 0}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *once = written(&cases[i]), *twice;
        json_t *object = json_loads(once, 0, NULL);
        struct mu_agent_facts back;
        struct mu_err err = {0};

        if (mu_web_agent_facts_decode(object, &back, &err) != MU_OK)
            fail_msg("%s", err.what);
        twice = written(&back);
        assert_string_equal(twice, once);
        mu_agent_facts_clear(&back);
        json_decref(object);
        free(once);
        free(twice);
    }
}

static void facts_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"{}", "{\"name\":\"a\"}", "{\"name\":\"a\",\"state\":\"ODD\"}",
        "{\"name\":1,\"state\":\"OK\"}", "{\"name\":\"a\",\"state\":\"OK\",\"not_after\":\"soon\"}",
        "{\"name\":\"a\",\"state\":\"OK\",\"url\":\"u\",\"attempts\":-1}"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *object = json_loads(bad[i], 0, NULL);
        struct mu_agent_facts back;

        assert_int_equal(mu_web_agent_facts_decode(object, &back, NULL), MU_INPUT);
        json_decref(object);
    }
}

static void wishes_reach_the_agent(void **state)
{
    static const struct {
        const char *target, *body;
        enum mu_agent_watch_wish wish;
    } cases[] = {
        {"/v1/certificates/web/renew", "", MU_AGENT_WISH_RENEW},
        {"/v1/certificates/web/renew", "{\"force\":true}", MU_AGENT_WISH_RENEW_FORCE},
        {"/v1/certificates/web/regenerate", "", MU_AGENT_WISH_REGENERATE},
        {"/v1/certificates/web/regenerate?rekey=yes", "", MU_AGENT_WISH_REKEY},
        {"/v1/certificates/web/poll", "", MU_AGENT_WISH_POLL},
        {"/v1/certificates/web/cancel", "", MU_AGENT_WISH_CANCEL},
        {"/v1/certificates/web/deploy", "", MU_AGENT_WISH_DEPLOY},
        {"/v1/certificates/web/verify", "", MU_AGENT_WISH_VERIFY},
    };
    char want[40];

    put_event("name=web n=1");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen s = ask("POST", cases[i].target, cases[i].body);

        assert_int_equal(s.status, 200);
        assert_string_equal(text_of(s.body, "name"), "web");
        assert_non_null(strchr(text_of(s.body, "place"), '-'));
        snprintf(want, sizeof want, "wish %d for web\n", (int)cases[i].wish);
        assert_string_equal(mu_buf_str(&told), want);
        mu_buf_reset(&told);
        end(&s);
    }
}

static void wishes_that_are_wrong_reach_nobody(void **state)
{
    static const struct {
        const char *method, *target, *body;
        int status;
    } cases[] = {
        {"POST", "/v1/certificates/%2e%2e/renew", "", 400},
        {"POST", "/v1/certificates/web/renew", "{\"forced\":true}", 400},
        {"POST", "/v1/certificates/web/renew", "{\"force\":3}", 400},
        {"POST", "/v1/certificates/web/poll", "{\"force\":true}", 400},
        {"POST", "/v1/certificates/web/burn", "", 404},
        {"GET", "/v1/certificates/web/renew", "", 501},
        {"POST", "/v1/touch", "{\"name\":\"../x\"}", 400},
        {"POST", "/v1/reload", "{\"now\":true}", 400},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen s = ask(cases[i].method, cases[i].target, cases[i].body);

        if (s.status != cases[i].status)
            fail_msg("%s %s: %d", cases[i].target, cases[i].body, s.status);
        assert_string_equal(mu_buf_str(&told), "");
        end(&s);
    }
}

static void refusals_keep_their_code(void **state)
{
    struct seen s;
    const json_t *e;

    mu_err_set(&refusal, MU_BUSY, MU_M(707), "process 4 works on web");
    s = ask("POST", "/v1/certificates/web/renew", "");
    e = json_object_get(s.body, "error");
    assert_int_equal(s.status, 503);
    assert_string_equal(text_of(e, "code"), "M707");
    assert_string_equal(text_of(e, "what"), "process 4 works on web");
    end(&s);
    s = ask("POST", "/v1/reload", "");
    assert_int_equal(s.status, 503);
    end(&s);
}

static void reload_touch_and_metrics(void **state)
{
    struct seen s = ask("POST", "/v1/reload", "");

    assert_non_null(json_object_get(s.body, "agent"));
    end(&s);
    s = ask("POST", "/v1/touch", "{\"name\":\"web\"}");
    assert_int_equal(s.status, 200);
    end(&s);
    s = ask("POST", "/v1/touch", "");
    end(&s);
    assert_string_equal(mu_buf_str(&told), "reload\ntouch web\ntouch all\n");
    s = ask("GET", "/v1/metrics", "");
    assert_string_equal(s.type, "text/plain; version=0.0.4");
    assert_string_equal(mu_buf_str(&s.text), "muster_build_info 1\n");
    end(&s);
}

static void events_are_the_last_and_then_those_behind_a_place(void **state)
{
    char target[120];
    struct seen s;

    for (int i = 0; i < 5; i++) {
        snprintf(target, sizeof target, "name=%s n=%d", i % 2 ? "odd" : "even", i);
        put_event(target);
    }
    s = ask("GET", "/v1/events?n=2", "");
    assert_int_equal(count_of(&s, "events"), 2);
    assert_string_equal(text_of(json_array_get(json_object_get(s.body, "events"), 0), "n"), "3");
    snprintf(target, sizeof target, "/v1/events?after=%s", text_of(s.body, "place"));
    end(&s);
    put_event("name=odd n=5");
    s = ask("GET", target, "");
    assert_int_equal(count_of(&s, "events"), 1);
    end(&s);
    s = ask("GET", "/v1/events?name=odd", "");
    assert_int_equal(count_of(&s, "events"), 3);
    end(&s);
    s = ask("GET", "/v1/events?name=even&lines=yes&n=1", "");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(s.body, "events"), 0)), "name=even n=4");
    end(&s);
    s = ask("GET", "/v1/events?after=yesterday", "");
    assert_int_equal(s.status, 400);
    end(&s);
    s = ask("GET", "/v1/events?wait=61", "");
    assert_int_equal(s.status, 400);
    end(&s);
}

static const char *place_now(char target[120], const char *rest)
{
    struct seen s = ask("GET", "/v1/events?n=1", "");

    snprintf(target, 120, "/v1/events?after=%s&wait=30%s", text_of(s.body, "place"), rest);
    end(&s);
    return target;
}

static void who_waits_hears_of_the_next_event(void **state)
{
    char target[120];
    struct seen s;

    put_event("name=a n=1");
    begin(&s, "GET", place_now(target, "&name=b"), "");
    assert_int_equal(s.times, 0);
    put_event("name=a n=2");
    mu_web_agent_happened(web);
    assert_int_equal(s.times, 0); /* another's */
    put_event("name=b n=3");
    mu_web_agent_happened(web);
    assert_int_equal(s.times, 1);
    assert_int_equal(count_of(&s, "events"), 1);
    end(&s);
    /* written by another process: nobody tells us */
    begin(&s, "GET", place_now(target, ""), "");
    mu_fake_loop_run_for(loop, 1500);
    put_event("name=b n=4");
    assert_int_equal(s.times, 0);
    mu_fake_loop_run_for(loop, 1500);
    assert_int_equal(s.times, 1);
    assert_int_equal(count_of(&s, "events"), 1);
    end(&s);
}

static void waiting_ends_in_time_and_is_for_few(void **state)
{
    struct seen s[17];
    char target[120];

    put_event("name=a n=1");
    place_now(target, "");
    for (int i = 0; i < 17; i++)
        begin(&s[i], "GET", target, "");
    assert_int_equal(s[16].times, 1);
    assert_int_equal(s[16].status, 503);
    mu_fake_loop_run_for(loop, 29000);
    assert_int_equal(s[0].times, 0);
    mu_fake_loop_run_for(loop, 1500);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(s[i].times, 1);
        assert_int_equal(s[i].status, 200);
        assert_int_equal(count_of(&s[i], "events"), 0);
    }
    for (int i = 0; i < 17; i++)
        end(&s[i]);
    assert_int_equal(mu_fake_loop_timers(loop), 0); /* nobody waits: nothing wakes us */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(status_tells_of_the_process),
        TEST(certificates_are_listed_by_name_and_in_parts),
        TEST(one_certificate_is_the_same_object),
        TEST(a_list_that_is_not_done_is_answered_at_the_end),
        cmocka_unit_test(facts_survive_the_way_through_json),
        cmocka_unit_test(facts_that_are_none_are_refused),
        TEST(wishes_reach_the_agent),
        TEST(wishes_that_are_wrong_reach_nobody),
        TEST(refusals_keep_their_code),
        TEST(reload_touch_and_metrics),
        TEST(events_are_the_last_and_then_those_behind_a_place),
        TEST(who_waits_hears_of_the_next_event),
        TEST(waiting_ends_in_time_and_is_for_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
