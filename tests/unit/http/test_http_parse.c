/* Requests as they stand on the wire: what is taken and, above all, what is not. */
#include "http/http_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>

static char *kept;

static int parse(const char *text, struct mu_http_head *head, const char **why)
{
    free(kept);
    kept = strdup(text);
    *why = "";
    return mu_http_head_parse(kept, strlen(text), head, why);
}

static void a_plain_request(void **state)
{
    struct mu_http_head h;
    const char *why;

    assert_int_equal(parse("GET /scep?operation=PKIOperation&message=MII+/a== HTTP/1.1\r\n"
                           "Host: ca.example:8080\r\nX-Empty:\r\nX-Blank: \t a b \t\r\n\r\n", &h, &why), 0);
    assert_string_equal(h.method, "GET");
    assert_string_equal(h.target, "/scep?operation=PKIOperation&message=MII+/a==");
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.header_n, 3);
    assert_string_equal(mu_http_header_get(h.headers, h.header_n, "host"), "ca.example:8080");
    assert_string_equal(mu_http_header_get(h.headers, h.header_n, "x-empty"), "");
    assert_string_equal(mu_http_header_get(h.headers, h.header_n, "x-blank"), "a b");
    assert_true(h.keep_alive);
    assert_false(h.chunked);
    assert_int_equal(h.length, 0);
}

static void taken(void **state)
{
    static const struct {
        const char *text;
        int minor;
        uint64_t length;
        bool chunked, keep_alive, expect;
    } cases[] = {
        {"GET / HTTP/1.0\r\n\r\n", 0, 0, false, false, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0, 0, false, true, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", 1, 0, false, false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", 1, 0, false, true, false},
        {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 17\r\n\r\n", 1, 17, false, true, false},
        {"POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: Chunked\r\n\r\n", 1, 0, true, true, false},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 1, 1,
            false, true, true},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", 0, 1, false, false,
            false},
        {"GET / HTTP/1.7\r\nHost: a\r\n\r\n", 1, 0, false, true, false},
        {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, 0, false, true, false},
        {"GET / HTTP/1.1\nHost: a\n\n", 1, 0, false, true, false},
        {"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", 1, 0, false, true, false},
        {"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 1, 0, false, true, false},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n", 1,
            999999999999999999, false, true, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_http_head h;
        const char *why;

        if (parse(cases[i].text, &h, &why) != 0)
            fail_msg("case %zu: %s", i, why);
        assert_int_equal(h.minor, cases[i].minor);
        assert_int_equal(h.length, cases[i].length);
        assert_int_equal(h.chunked, cases[i].chunked);
        assert_int_equal(h.keep_alive, cases[i].keep_alive);
        assert_int_equal(h.expect_continue, cases[i].expect);
    }
}

static void refused(void **state)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400}, /* no Host */
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000000000\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01\r\n\r\n", 400},
        {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400}, /* HTTP/0.9 */
        {"GET\r\n\r\n", 400},
        {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
        {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417},
        {"\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"\r\n\r\n", 400},
        {"\x16\x03\x01\r\n\r\n", 400},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_http_head h;
        const char *why;
        int status = parse(cases[i].text, &h, &why);

        if (status != cases[i].status)
            fail_msg("case %zu, %s: %d (%s)", i, cases[i].text, status, why);
        assert_true(why[0] != '\0');
    }
}

static void a_nul_in_the_head_is_refused(void **state)
{
    char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
    struct mu_http_head h;
    const char *why;

    assert_int_equal(mu_http_head_parse(text, sizeof(text) - 1, &h, &why), 400);
}

static void too_many_fields_are_refused(void **state)
{
    struct mu_buf b = {0};
    struct mu_http_head h;
    const char *why;

    mu_buf_put_str(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < MU_HTTP_MAX_HEADERS; i++)
        mu_buf_putf(&b, "X-%d: y\r\n", i);
    mu_buf_put_str(&b, "\r\n");
    assert_int_equal(parse(mu_buf_str(&b), &h, &why), 0);
    b.n -= 2;
    mu_buf_put_str(&b, "X-One: more\r\n\r\n");
    assert_int_equal(parse(mu_buf_str(&b), &h, &why), 431);
    mu_buf_clear(&b);
}

/* However it arrives, the end is found once, at the same place. */
static void the_end_is_found_octet_by_octet(void **state)
{
    static const char *const cases[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "\r\nGET / HTTP/1.0\r\n\r\n",
        "\n\nG\n\r\n", "GET / HTTP/1.0\r\n\n"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        size_t n = strlen(cases[i]), scanned = 0, whole = 0;

        snprintf(text, sizeof(text), "%sBODY\r\n\r\n", cases[i]);
        assert_int_equal(mu_http_head_end(mu_bytes(text, strlen(text)), &whole), n);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(mu_http_head_end(mu_bytes(text, k), &scanned), 0);
        assert_int_equal(mu_http_head_end(mu_bytes(text, n), &scanned), n);
    }
}

static void chunked_bodies(void **state)
{
    static const struct {
        const char *in, *body, *rest;
        enum mu_http_chunk_result result;
    } cases[] = {
        {"3\r\nabc\r\n0\r\n\r\n", "abc", "", MU_HTTP_CHUNK_DONE},
        {"3\r\nabc\r\n0\r\n\r\nGET", "abc", "GET", MU_HTTP_CHUNK_DONE},
        {"0003;x=\"y\"\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "abcd", "", MU_HTTP_CHUNK_DONE},
        {"0\r\n\r\n", "", "", MU_HTTP_CHUNK_DONE},
        {"0\r\nX: y\r\nZ: 1\r\n\r\n", "", "", MU_HTTP_CHUNK_DONE},
        {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", "", MU_HTTP_CHUNK_DONE},
        {"3\r\nab", "ab", "", MU_HTTP_CHUNK_MORE},
        {"0\r\n\r", "", "", MU_HTTP_CHUNK_MORE},
        {"", "", "", MU_HTTP_CHUNK_MORE},
        {"3\nabc\r\n0\r\n\r\n", "", NULL, MU_HTTP_CHUNK_BAD},
        {"3\r\nabcd\r\n0\r\n\r\n", "abc", NULL, MU_HTTP_CHUNK_BAD},
        {"\r\nabc", "", NULL, MU_HTTP_CHUNK_BAD},
        {"g\r\n", "", NULL, MU_HTTP_CHUNK_BAD},
        {"-1\r\n", "", NULL, MU_HTTP_CHUNK_BAD},
        {"0x3\r\nabc", "", NULL, MU_HTTP_CHUNK_BAD},
        {"1000000000000000\r\n", "", NULL, MU_HTTP_CHUNK_BAD},
        {"fffffffff\r\nx", "", NULL, MU_HTTP_CHUNK_TOO_LONG},
        {"11\r\n01234567890123456\r\n0\r\n\r\n", "", NULL, MU_HTTP_CHUNK_TOO_LONG},
        {"f\r\n012345678901234\r\n2\r\nab\r\n", "012345678901234", NULL, MU_HTTP_CHUNK_TOO_LONG},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = strlen(cases[i].in), used = 0, at = 0;
        struct mu_http_chunks whole = {0}, single = {0};
        struct mu_buf a = {0}, b = {0};
        enum mu_http_chunk_result r;

        r = mu_http_chunks_decode(&whole, mu_bytes(cases[i].in, n), &used, &a, 16);
        if (r != cases[i].result || strcmp(mu_buf_str(&a), cases[i].body) != 0)
            fail_msg("case %zu: %d '%s'", i, r, mu_buf_str(&a));
        if (cases[i].rest != NULL)
            assert_string_equal(cases[i].in + used, cases[i].rest);
        /* one octet at a time gives the same */
        r = MU_HTTP_CHUNK_MORE;
        while (at < n && r == MU_HTTP_CHUNK_MORE) {
            r = mu_http_chunks_decode(&single, mu_bytes(cases[i].in + at, 1), &used, &b, 16);
            at += used;
        }
        assert_int_equal(r, cases[i].result);
        assert_string_equal(mu_buf_str(&b), cases[i].body);
        mu_buf_clear(&a);
        mu_buf_clear(&b);
    }
}

static void endless_chunk_lines_are_refused(void **state)
{
    static const char *const starts[] = {"1;", "0\r\n", "0\r\nX:"};
    static char filler[8192];

    memset(filler, 'a', sizeof(filler));
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct mu_http_chunks c = {0};
        struct mu_buf b = {0};
        size_t used;

        assert_int_equal(
            mu_http_chunks_decode(&c, mu_bytes_str(starts[i]), &used, &b, 16), MU_HTTP_CHUNK_MORE);
        assert_int_equal(mu_http_chunks_decode(&c, mu_bytes(filler, sizeof(filler)), &used, &b, 16),
            MU_HTTP_CHUNK_BAD);
        mu_buf_clear(&b);
    }
}

static int cleanup(void **state)
{
    free(kept);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request),
        cmocka_unit_test(taken),
        cmocka_unit_test(refused),
        cmocka_unit_test(a_nul_in_the_head_is_refused),
        cmocka_unit_test(too_many_fields_are_refused),
        cmocka_unit_test(the_end_is_found_octet_by_octet),
        cmocka_unit_test(chunked_bodies),
        cmocka_unit_test(endless_chunk_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
