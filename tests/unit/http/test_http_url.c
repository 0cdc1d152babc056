/* URLs, percent-encoding, query strings. */
#include "http/http_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void good_urls(void **state)
{
    static const struct {
        const char *text, *scheme, *out_scheme, *host, *path;
        unsigned port;
        bool has_port, is_ipv6;
    } cases[] = {
        {"http://ca.example/scep", NULL, "http", "ca.example", "/scep", 80, false, false},
        {"HTTPS://CA.example", NULL, "https", "CA.example", "", 443, false, false},
        {"http://10.0.0.1:8080/a/b?c=d", NULL, "http", "10.0.0.1", "/a/b?c=d", 8080, true, false},
        {"ca.example/x", "https", "https", "ca.example", "/x", 443, false, false},
        {"ca.example:8443", "https", "https", "ca.example", "", 8443, true, false},
        {"ca.example?u=http://x/", "http", "http", "ca.example", "?u=http://x/", 80, false, false},
        {"http://[::1]:8080/x", NULL, "http", "::1", "/x", 8080, true, true},
        {"https://[2001:db8::1]/", NULL, "https", "2001:db8::1", "/", 443, false, true},
        {"http://[fe80::1%25eth0]/", NULL, "http", "fe80::1%25eth0", "/", 80, false, true},
        {"http://host:/x", NULL, "http", "host", "/x", 80, false, false},
        {"http://host:65535", NULL, "http", "host", "", 65535, true, false},
        {"http://a_b-c.d/@x", NULL, "http", "a_b-c.d", "/@x", 80, false, false},
        {"ldap://dir.example/cn=x?certificateRevocationList", NULL, "ldap", "dir.example",
            "/cn=x?certificateRevocationList", 389, false, false},
        {"ldap:///cn=x", NULL, "ldap", "", "/cn=x", 389, false, false},
        {"ldaps://d", NULL, "ldaps", "d", "", 636, false, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_http_url u;
        struct mu_err err = {0};

        if (mu_http_url_parse(cases[i].text, cases[i].scheme, &u, &err) != MU_OK)
            fail_msg("%s: %s", cases[i].text, err.what);
        assert_string_equal(u.scheme, cases[i].out_scheme);
        assert_string_equal(u.host, cases[i].host);
        assert_string_equal(u.path, cases[i].path);
        assert_int_equal(u.port, cases[i].port);
        assert_int_equal(u.has_port, cases[i].has_port);
        assert_int_equal(u.is_ipv6, cases[i].is_ipv6);
        /* path is a view into the text given */
        assert_true(u.path >= cases[i].text && u.path <= cases[i].text + strlen(cases[i].text));
    }
}

static void bad_urls(void **state)
{
    static const char *const cases[] = {
        "", "http://", "http:///x", "ca.example/x", "ftp://x/", "file:///etc/passwd", "http://a b/",
        "http://host:0/", "http://host:65536/", "http://host:99999999999/", "http://host:8x/",
        "http://host:-1/", "http://[::1/", "http://[]/", "http://[1.2.3.4]/", "http://[::g]/",
        "http://[::1]8080/", "http://::1/", "http://a\r\nb/", "http://a/\x7f", "http://h\xc3\xa9/",
        "http://a/#x", "http://a\\b/", "http://%41/", "javascript://x", "://x",
        "averyveryverylongscheme://x/",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_http_url u = {.port = 7};
        struct mu_err err = {0};

        if (mu_http_url_parse(cases[i], NULL, &u, &err) != MU_INPUT)
            fail_msg("taken: %s", cases[i]);
        assert_int_equal(u.port, 7);
        assert_true(err.what[0] != '\0');
    }
}

/* What stands before '@' may be a password, so the sentence must not hold it. */
static void user_info_is_refused_and_not_repeated(void **state)
{
    struct mu_http_url u;
    struct mu_err err = {0};

    assert_int_equal(mu_http_url_parse("https://me:Pa55word@host/x", NULL, &u, &err), MU_INPUT);
    assert_null(strstr(err.what, "Pa55word"));
    assert_int_equal(mu_http_url_parse("me@host", "http", &u, NULL), MU_INPUT);
    /* whatever else is wrong with it */
    static const char *const cases[] = {"ftp://me:Pa55word@host/", "me:Pa55word@host",
        "http://me:Pa55word @host/", "http://me:Pa55word\x7f@host/", "http:/me:Pa55word@host/",
        "https://me:Pa55word#@host/", "https://me:Pa55word/@host/"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(mu_http_url_parse(cases[i], NULL, &u, &err), MU_INPUT);
        if (strstr(err.what, "Pa55word"))
            fail_msg("repeated: %s", err.what);
    }
}

static void very_long_urls_and_hosts_are_refused(void **state)
{
    static char text[70000];
    struct mu_http_url u;

    memcpy(text, "http://", 7);
    memset(text + 7, 'a', 300);
    assert_int_equal(mu_http_url_parse(text, NULL, &u, NULL), MU_INPUT);
    text[7 + 255] = '\0';
    assert_int_equal(mu_http_url_parse(text, NULL, &u, NULL), MU_OK);
    assert_int_equal(strlen(u.host), 255);
    memset(text + 8, '/', sizeof(text) - 9);
    assert_int_equal(mu_http_url_parse(text, NULL, &u, NULL), MU_INPUT);
}

static void percent_encoding_there_and_back(void **state)
{
    uint8_t all[256];
    struct mu_buf enc = {0}, dec = {0};

    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    assert_true(mu_http_percent_encode(&enc, mu_bytes(all, sizeof(all))));
    for (size_t i = 0; i < enc.n; i++)
        assert_non_null(strchr(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%", enc.p[i]));
    assert_true(mu_http_percent_decode(&dec, mu_buf_bytes(&enc)));
    assert_true(mu_bytes_equal(mu_buf_bytes(&dec), mu_bytes(all, sizeof(all))));
    mu_buf_reset(&enc);
    assert_true(mu_http_percent_encode(&enc, mu_bytes_str("MII+/=a b")));
    assert_string_equal(mu_buf_str(&enc), "MII%2B%2F%3Da%20b");
    mu_buf_clear(&enc);
    mu_buf_clear(&dec);
}

static void a_full_buffer_is_told(void **state)
{
    struct mu_buf b;

    mu_buf_init(&b, 4);
    assert_false(mu_http_percent_encode(&b, mu_bytes_str("++")));
    mu_buf_clear(&b);
    mu_buf_init(&b, 1);
    assert_false(mu_http_percent_decode(&b, mu_bytes_str("ab")));
    mu_buf_clear(&b);
}

static void decoding_leaves_plus_and_broken_escapes(void **state)
{
    static const char *const cases[][2] = {
        {"a+b", "a+b"}, {"a%2Bb", "a+b"}, {"a%2bb", "a+b"}, {"%", "%"}, {"%4", "%4"}, {"%41", "A"},
        {"%4g", "%4g"}, {"%%41", "%A"}, {"%zz%", "%zz%"}, {"100%", "100%"}, {"", ""}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_buf b = {0};

        assert_true(mu_http_percent_decode(&b, mu_bytes_str(cases[i][0])));
        assert_string_equal(mu_buf_str(&b), cases[i][1]);
        mu_buf_clear(&b);
    }
}

/* The forms of SCEP by GET: base64 may come raw or escaped. */
static void query_values_stay_raw(void **state)
{
    static const struct {
        const char *target, *key, *value;
    } cases[] = {
        {"/scep?operation=GetCACert&message=ca1", "operation", "GetCACert"},
        {"/scep?operation=GetCACert&message=ca1", "message", "ca1"},
        {"/scep?operation=PKIOperation&message=MII+a/b==", "message", "MII+a/b=="},
        {"/scep?message=MII+a/b==&operation=PKIOperation", "message", "MII+a/b=="},
        {"/scep?message=MII%2Ba%2Fb%3D&operation=PKIOperation", "message", "MII%2Ba%2Fb%3D"},
        {"/scep?operation=PKIOperation&message=MII?x=1", "message", "MII?x=1"},
        {"/scep?operation=GetCACaps", "message", NULL},
        {"/scep?operation", "operation", ""},
        {"/scep?operation=", "operation", ""},
        {"/scep?&&operation=a", "operation", "a"},
        {"/scep?operation=a&operation=b", "operation", "a"},
        {"/scep?xoperation=a", "operation", NULL},
        {"/scep?operationx=a", "operation", NULL},
        {"/scep?x=operation=a", "operation", NULL},
        {"/scep?Operation=a", "operation", NULL},
        {"/scep?", "operation", NULL},
        {"/scep", "operation", NULL},
        {"/operation=a", "operation", NULL},
        {"", "operation", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_bytes v = {0};
        bool found = mu_http_query_get(cases[i].target, cases[i].key, &v);

        if (found != (cases[i].value != NULL)
            || (found && !mu_bytes_equal(v, mu_bytes_str(cases[i].value))))
            fail_msg("%s in %s: '%.*s'", cases[i].key, cases[i].target, (int)v.n, (const char *)v.p);
    }
}

static void paths_of_targets(void **state)
{
    static const char *const cases[][2] = {
        {"/a/b?c=d", "/a/b"}, {"/a", "/a"}, {"/?x", "/"}, {"", ""}, {"?x", ""}, {"*", "*"},
        {"http://h:80/a/b?c", "/a/b"}, {"http://h", "/"}, {"http://h?x", "/"},
        {"/x?u=http://h/y", "/x"}, {"/http://h/y", "/http://h/y"}, {"x?u=http://h/y", "x"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_bytes v = mu_http_target_path(cases[i][0]);

        if (!mu_bytes_equal(v, mu_bytes_str(cases[i][1])))
            fail_msg("%s: '%.*s'", cases[i][0], (int)v.n, (const char *)v.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls),
        cmocka_unit_test(bad_urls),
        cmocka_unit_test(user_info_is_refused_and_not_repeated),
        cmocka_unit_test(very_long_urls_and_hosts_are_refused),
        cmocka_unit_test(percent_encoding_there_and_back),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(decoding_leaves_plus_and_broken_escapes),
        cmocka_unit_test(query_values_stay_raw),
        cmocka_unit_test(paths_of_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
