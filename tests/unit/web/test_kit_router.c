/* Requests of the local socket: who may ask, what is found, that each is answered once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "web/kit/kit_router.h"

enum { OWNER = 1000 };

static struct mu_kit_call *kept;

static void echo(struct mu_kit_call *call)
{
    json_t *out = json_object();

    mu_kit_json_set_text(out, "arg", call->arg);
    mu_kit_json_set_int(out, "uid", call->uid);
    mu_kit_json_set_text(out, "context", call->context);
    (void)json_object_set(out, "in", call->in);
    mu_kit_call_answer(call, out);
}

static void refuse(struct mu_kit_call *call)
{
    struct mu_err err = {0};

    mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "there is no '%s'", call->arg);
    mu_kit_call_fail(call, &err);
}

static void keep(struct mu_kit_call *call)
{
    kept = call;
}

static const struct mu_kit_route routes[] = {
    {"GET", "/v1/things", echo},
    {"GET", "/v1/things/{}", echo},
    {"POST", "/v1/things/{}/refuse", refuse},
    {"POST", "/v1/later", keep},
    {NULL, NULL, NULL},
};

static char context[] = "the context";
static const struct mu_kit_router router = {
    .routes = routes, .context = context, .owner_uid = OWNER};

struct seen {
    unsigned times;
    int status;
    json_t *body;
};

static void done(void *cookie, struct mu_http_response *response)
{
    struct seen *s = cookie;

    s->times++;
    s->status = response->status;
    s->body = json_loadb((const char *)response->body.p, response->body.n, 0, NULL);
    assert_non_null(s->body);
    assert_string_equal(mu_http_header_get(response->headers, response->header_n, "Content-Type"),
        "application/json");
    assert_string_equal(json_string_value(json_object_get(s->body, "schema")), "muster/1");
}

static struct seen ask_as(
    const struct mu_http_peer *peer, const char *method, const char *target, const char *body)
{
    struct mu_http_request request = {
        .method = method, .target = target, .minor = 1, .body = mu_bytes_str(body), .peer = peer};
    struct seen s = {0};

    mu_kit_dispatch(&router, &request, done, &s);
    return s;
}

static struct seen ask(const char *method, const char *target, const char *body)
{
    const struct mu_http_peer peer = {.is_unix = true, .uid = OWNER};

    return ask_as(&peer, method, target, body);
}

static const char *what(const struct seen *s)
{
    return json_string_value(json_object_get(json_object_get(s->body, "error"), "what"));
}

static void only_root_and_the_owner_are_heard(void **state)
{
    static const struct {
        struct mu_http_peer peer;
        int status;
    } cases[] = {
        {{.is_unix = true, .uid = 0}, 200},
        {{.is_unix = true, .uid = OWNER}, 200},
        {{.is_unix = true, .uid = 33}, 403},
        {{.is_unix = true, .uid = -1}, 403},
        {{.is_unix = false, .uid = 0}, 403},
        {{.is_unix = false, .uid = -1, .address = "127.0.0.1"}, 403},
    };
    struct seen s;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        s = ask_as(&cases[i].peer, "GET", "/v1/things", "");
        assert_int_equal(s.times, 1);
        assert_int_equal(s.status, cases[i].status);
        json_decref(s.body);
    }
    s = ask_as(NULL, "GET", "/v1/things", "");
    assert_int_equal(s.status, 403);
    json_decref(s.body);
}

static void echo_text(struct mu_kit_call *call)
{
    struct mu_buf text = {0};

    mu_buf_put_str(&text, "{\"schema\":\"muster/1\",\"n\":1}\n");
    mu_kit_call_answer_text(call, "application/json", &text);
    mu_buf_reset(&text);
    mu_buf_clear(&text);
}

/* Issue 5: group muster may read, root may change. */
static void readers_may_get_and_nothing_else(void **state)
{
    static const struct mu_kit_route own[] = {
        {"GET", "/v1/things", echo_text}, {"POST", "/v1/things", echo_text}, {NULL, NULL, NULL}};
    const struct mu_kit_router reading = {
        .routes = own, .owner_uid = OWNER, .readers = "muster"};
    static const struct {
        const char *method;
        struct mu_http_peer peer;
        int status;
        const char *what;
    } cases[] = {
        {"GET", {.is_unix = true, .uid = 33, .in_group = true}, 200, NULL},
        {"POST", {.is_unix = true, .uid = 33, .in_group = true}, 403,
            "request: group 'muster' may read; changes are for root and the program's own user"},
        {"GET", {.is_unix = true, .uid = 33}, 403,
            "request: not from root, the program's own user or group 'muster'"},
        {"GET", {.uid = -1, .in_group = true}, 403,
            "request: not from root, the program's own user or group 'muster'"},
        {"POST", {.is_unix = true, .uid = OWNER, .in_group = true}, 200, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_http_request request = {
            .method = cases[i].method, .target = "/v1/things", .minor = 1, .peer = &cases[i].peer};
        struct seen s = {0};

        mu_kit_dispatch(&reading, &request, done, &s);
        assert_int_equal(s.times, 1);
        assert_int_equal(s.status, cases[i].status);
        if (cases[i].what != NULL)
            assert_string_equal(
                json_string_value(json_object_get(json_object_get(s.body, "error"), "what")),
                cases[i].what);
        else
            assert_int_equal(json_integer_value(json_object_get(s.body, "n")), 1);
        json_decref(s.body);
    }
    { /* without readers nobody but root and the owner, member or not */
        const struct mu_http_peer member = {.is_unix = true, .uid = 33, .in_group = true};
        struct seen s = ask_as(&member, "GET", "/v1/things", "");

        assert_int_equal(s.status, 403);
        json_decref(s.body);
    }
}

static void routes_are_found_by_method_and_path(void **state)
{
    static const struct {
        const char *method, *target;
        int status;
        const char *arg;
    } cases[] = {
        {"GET", "/v1/things", 200, NULL},
        {"GET", "/v1/things/a", 200, "a"},
        {"GET", "/v1/things/a%20b%2Fc", 200, "a b/c"},
        {"GET", "/v1/things/", 404, NULL},
        {"GET", "/v1/things/a/b", 404, NULL},
        {"GET", "/v1/things/%00", 400, NULL},
        {"GET", "/v1/things/%ff", 400, NULL},
        {"DELETE", "/v1/things", 501, NULL},
        {"GET", "/v1/thing", 404, NULL},
        {"GET", "/v1/things/a/refuse", 501, NULL},
        {"POST", "/v1/things//refuse", 404, NULL},
        {"POST", "/v1/things/a/refuse", 404, NULL},
        {"get", "/v1/things", 501, NULL},
        {"GET", "", 404, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen s = ask(cases[i].method, cases[i].target, "");

        if (s.status != cases[i].status)
            fail_msg("%s %s: %d", cases[i].method, cases[i].target, s.status);
        assert_int_equal(s.times, 1);
        if (cases[i].arg != NULL)
            assert_string_equal(json_string_value(json_object_get(s.body, "arg")), cases[i].arg);
        json_decref(s.body);
    }
}

static void query_and_body_are_one_object(void **state)
{
    struct seen s = ask("GET", "/v1/things?subject=CN%3Dx&limit=3", "{\"a\":[1]}");
    const json_t *in = json_object_get(s.body, "in");

    assert_int_equal(s.status, 200);
    assert_string_equal(json_string_value(json_object_get(in, "subject")), "CN=x");
    assert_string_equal(json_string_value(json_object_get(in, "limit")), "3");
    assert_int_equal(json_array_size(json_object_get(in, "a")), 1);
    assert_string_equal(json_string_value(json_object_get(s.body, "context")), "the context");
    assert_int_equal(json_integer_value(json_object_get(s.body, "uid")), OWNER);
    json_decref(s.body);
}

static void bad_queries_and_bodies_are_refused(void **state)
{
    static const struct {
        const char *target, *body;
    } cases[] = {
        {"/v1/things?a=1&a=2", ""},
        {"/v1/things?a=1", "{\"a\":1}"},
        {"/v1/things?a", ""},
        {"/v1/things?&", ""},
        {"/v1/things?a=%00", ""},
        {"/v1/things", "[1]"},
        {"/v1/things", "{\"a\":1,\"a\":1}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen s = ask("GET", cases[i].target, cases[i].body);

        if (s.status != 400)
            fail_msg("%s %s: %d", cases[i].target, cases[i].body, s.status);
        assert_int_equal(s.times, 1);
        json_decref(s.body);
    }
}

static void a_refusal_carries_the_sentence(void **state)
{
    struct seen s = ask("POST", "/v1/things/x/refuse", "");

    assert_string_equal(what(&s), "there is no 'x'");
    json_decref(s.body);
    s = ask("GET", "/v1/\x01things", "");
    assert_string_equal(what(&s), "request: there is no '/v1/\\x01things'");
    json_decref(s.body);
}

static void an_answer_may_come_later(void **state)
{
    struct mu_http_peer peer = {.is_unix = true, .uid = 0};
    char target[] = "/v1/later", body[] = "{\"a\":\"b\"}";
    struct mu_http_request request = {
        .method = "POST", .target = target, .minor = 1, .body = mu_bytes_str(body), .peer = &peer};
    struct seen s = {0};

    mu_kit_dispatch(&router, &request, done, &s);
    assert_int_equal(s.times, 0);
    memset(target, 'x', sizeof target - 1); /* the request is gone */
    memset(body, 'x', sizeof body - 1);
    assert_string_equal(json_string_value(json_object_get(kept->in, "a")), "b");
    mu_kit_call_answer(kept, json_object());
    assert_int_equal(s.times, 1);
    assert_int_equal(s.status, 200);
    json_decref(s.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_root_and_the_owner_are_heard),
        cmocka_unit_test(readers_may_get_and_nothing_else),
        cmocka_unit_test(routes_are_found_by_method_and_path),
        cmocka_unit_test(query_and_body_are_one_object),
        cmocka_unit_test(bad_queries_and_bodies_are_refused),
        cmocka_unit_test(a_refusal_carries_the_sentence),
        cmocka_unit_test(an_answer_may_come_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
