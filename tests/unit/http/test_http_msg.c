/* Requests and responses as data. */
#include "http/http_msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void header_names_are_case_insensitive_and_the_first_counts(void **state)
{
    const struct mu_http_header h[] = {
        {"Content-Type", "text/plain"}, {"X-A", "1"}, {"x-a", "2"}, {"Empty", ""}};

    assert_string_equal(mu_http_header_get(h, 4, "content-TYPE"), "text/plain");
    assert_string_equal(mu_http_header_get(h, 4, "x-a"), "1");
    assert_string_equal(mu_http_header_get(h, 4, "empty"), "");
    assert_null(mu_http_header_get(h, 4, "Content-Typ"));
    assert_null(mu_http_header_get(h, 0, "X-A"));
    assert_null(mu_http_header_get(NULL, 0, "X-A"));
}

static void added_headers_keep_their_order(void **state)
{
    struct mu_http_response r = {0};
    char name[16], value[16];

    for (int i = 0; i < MU_HTTP_MAX_HEADERS; i++) {
        snprintf(name, sizeof(name), "X-%d", i);
        snprintf(value, sizeof(value), "v %d", i);
        assert_int_equal(mu_http_response_add(&r, name, value, NULL), MU_OK);
    }
    assert_int_equal(r.header_n, MU_HTTP_MAX_HEADERS);
    assert_string_equal(r.headers[0].name, "X-0");
    assert_string_equal(r.headers[33].value, "v 33");
    assert_int_equal(mu_http_response_add(&r, "X-More", "1", NULL), MU_MEMORY);
    assert_int_equal(r.header_n, MU_HTTP_MAX_HEADERS);
    mu_http_response_clear(&r);
    assert_int_equal(r.header_n, 0);
    mu_http_response_clear(&r);
    mu_http_response_clear(NULL);
}

/* A value that brings its own line end would let remote text write headers. */
static void headers_with_line_ends_are_refused(void **state)
{
    static const struct {
        const char *name, *value;
    } cases[] = {{"X", "a\r\nSet-Cookie: b"}, {"X", "a\nb"}, {"X", "a\rb"}, {"X\r\nY", "a"},
        {"", "a"}, {"X Y", "a"}, {"X:", "a"}, {"X", "a\x7f"}, {"X\xc3\xa9", "a"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_http_response r = {0};
        struct mu_err err = {0};

        assert_int_equal(mu_http_response_add(&r, cases[i].name, cases[i].value, &err), MU_INPUT);
        assert_int_equal(err.code, MU_INPUT);
        assert_int_equal(r.header_n, 0);
        assert_int_equal(
            mu_http_response_set(&r, 200, cases[i].value, mu_bytes_str("x"), NULL),
            strpbrk(cases[i].value, "\r\n\x7f") == NULL ? MU_OK : MU_INPUT);
        mu_http_response_clear(&r);
    }
}

static void set_replaces_status_type_and_body(void **state)
{
    struct mu_http_response r = {0};

    assert_int_equal(mu_http_response_set(&r, 200, "text/plain", mu_bytes_str("first"), NULL), MU_OK);
    assert_int_equal(mu_http_response_add(&r, "X-A", "1", NULL), MU_OK);
    assert_int_equal(
        mu_http_response_set(&r, 404, "application/json", mu_bytes_str("second"), NULL), MU_OK);
    assert_int_equal(r.status, 404);
    assert_int_equal(r.header_n, 2);
    assert_string_equal(
        mu_http_header_get(r.headers, r.header_n, "content-type"), "application/json");
    assert_string_equal(mu_buf_str(&r.body), "second");
    /* Out of its own content, without a type, and what fails changes nothing. */
    assert_int_equal(
        mu_http_response_set(&r, 200, NULL, mu_bytes(r.body.p + 3, 3), NULL), MU_OK);
    assert_string_equal(mu_buf_str(&r.body), "ond");
    assert_int_equal(mu_http_response_set(&r, 500, "a\nb", mu_bytes_str("x"), NULL), MU_INPUT);
    assert_int_equal(r.status, 200);
    assert_string_equal(mu_buf_str(&r.body), "ond");
    mu_http_response_clear(&r);
}

/* A CRL may be longer than a buffer's default ceiling. */
static void a_body_may_be_longer_than_a_plain_buffer(void **state)
{
    struct mu_http_response r = {0};
    static uint8_t big[3 << 20];

    assert_int_equal(mu_http_response_set(&r, 200, NULL, mu_bytes(big, sizeof(big)), NULL), MU_OK);
    assert_int_equal(r.body.n, sizeof(big));
    mu_http_response_clear(&r);
}

static void a_copied_request_stands_alone(void **state)
{
    char method[] = "POST", target[] = "http://h/x", name[] = "X-A", value[] = "1", body[] = "a\0b";
    struct mu_http_header h[2] = {{name, value}, {"X-B", ""}};
    struct mu_http_peer peer = {.uid = -1};
    struct mu_http_request r = {.method = method, .target = target, .minor = 1, .headers = h,
        .header_n = 2, .body = mu_bytes(body, 3), .peer = &peer, .same_connection = true};
    struct mu_http_request *copy = NULL, *empty = NULL;

    assert_int_equal(mu_http_request_copy(&r, &copy, NULL), MU_OK);
    method[0] = target[0] = name[0] = value[0] = body[0] = '!';
    h[1].value = "changed";
    assert_string_equal(copy->method, "POST");
    assert_string_equal(copy->target, "http://h/x");
    assert_int_equal(copy->header_n, 2);
    assert_string_equal(mu_http_header_get(copy->headers, 2, "x-a"), "1");
    assert_string_equal(mu_http_header_get(copy->headers, 2, "x-b"), "");
    assert_true(mu_bytes_equal(copy->body, mu_bytes("a\0b", 3)));
    assert_null(copy->peer);
    assert_true(copy->same_connection);
    mu_http_request_free(copy);

    r = (struct mu_http_request){.method = "GET", .target = ""};
    assert_int_equal(mu_http_request_copy(&r, &empty, NULL), MU_OK);
    assert_int_equal(empty->body.n, 0);
    mu_http_request_free(empty);
    mu_http_request_free(NULL);
}

static void status_texts(void **state)
{
    assert_string_equal(mu_http_status_text(200), "OK");
    assert_string_equal(mu_http_status_text(404), "Not Found");
    assert_string_equal(mu_http_status_text(299), "OK");
    assert_string_equal(mu_http_status_text(499), "Error");
    assert_string_equal(mu_http_status_text(599), "Server Error");
    assert_string_equal(mu_http_status_text(0), "Error");
}

/* EST-06: parameters and case do not count. */
static void media_types_compare_without_case_and_parameters(void **state)
{
    static const struct {
        const char *type;
        bool is;
    } cases[] = {
        {"application/x-pki-message", true}, {"Application/X-PKI-Message", true},
        {"application/x-pki-message; charset=x", true}, {"application/x-pki-message;charset=x", true},
        {" application/x-pki-message ", true}, {"application/x-pki-message ;a=b", true},
        {"application/x-pki-messages", false}, {"application/x-pki-messag", false},
        {"application/x-pki-message x", false}, {"text/html", false}, {"", false}, {";", false},
        {NULL, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (mu_http_media_is(cases[i].type, "application/x-pki-message") != cases[i].is)
            fail_msg("media type '%s'", cases[i].type == NULL ? "(none)" : cases[i].type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_names_are_case_insensitive_and_the_first_counts),
        cmocka_unit_test(added_headers_keep_their_order),
        cmocka_unit_test(headers_with_line_ends_are_refused),
        cmocka_unit_test(set_replaces_status_type_and_body),
        cmocka_unit_test(a_body_may_be_longer_than_a_plain_buffer),
        cmocka_unit_test(a_copied_request_stands_alone),
        cmocka_unit_test(status_texts),
        cmocka_unit_test(media_types_compare_without_case_and_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
