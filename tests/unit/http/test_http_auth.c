/* Authentication fields as data: the examples of RFC 7617 and 7616, and what is refused
 * (EST-26, EST-27). */
#include "http/http_auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NONCE_256 "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
#define OPAQUE_256 "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
#define CNONCE_256 "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
#define RESPONSE_256 "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
#define RESPONSE_MD5 "8ca523f5e9506fed4657c9700eebdbec"

static void parsed(const char *value, struct mu_http_auth *out)
{
    struct mu_err err = {0};

    if (mu_http_auth_parse(value, out, &err) != MU_OK)
        fail_msg("'%s': %s", value, err.what);
}

static void formatted_is(const struct mu_http_auth *auth, const char *expected)
{
    struct mu_buf out;

    mu_buf_init_secret(&out, 4096);
    assert_true(mu_http_auth_format(auth, &out));
    assert_string_equal(mu_buf_str(&out), expected);
    mu_buf_clear(&out);
}

/* RFC 7617 2 and 2.1 */
static void basic_is_user_and_password(void **state)
{
    static const struct {
        const char *value, *user, *password;
    } cases[] = {
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"},
        {"Basic dGVzdDoxMjPCow==", "test", "123\xc2\xa3"},
        {"Basic Og==", "", ""},          /* EST-27: an empty user is allowed */
        {"Basic OnB3", "", "pw"},
        {"Basic YTpiOmM=", "a", "b:c"}, /* only the first colon divides */
    };
    struct mu_http_auth a;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        parsed(cases[i].value, &a);
        assert_int_equal(a.scheme, MU_HTTP_SCHEME_BASIC);
        assert_string_equal(a.user, cases[i].user);
        assert_string_equal(a.password, cases[i].password);
        formatted_is(&a, cases[i].value);
    }
    parsed(" bAsIc \t Og  ", &a);
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_BASIC);
    mu_http_auth_clear(&a);
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_NONE);
}

/* RFC 7616 3.9.1 */
static const char digest_256[] = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", "
    "nonce=\"" NONCE_256 "\", uri=\"/dir/index.html\", algorithm=SHA-256, "
    "response=\"" RESPONSE_256 "\", qop=auth, nc=00000001, cnonce=\"" CNONCE_256 "\", "
    "opaque=\"" OPAQUE_256 "\"";

static void digest_is_taken_apart(void **state)
{
    struct mu_http_auth a;

    parsed(digest_256, &a);
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_DIGEST);
    assert_string_equal(a.user, "Mufasa");
    assert_string_equal(a.realm, "http-auth@example.org");
    assert_string_equal(a.nonce, NONCE_256);
    assert_string_equal(a.uri, "/dir/index.html");
    assert_string_equal(a.response, RESPONSE_256);
    assert_string_equal(a.opaque, OPAQUE_256);
    assert_string_equal(a.cnonce, CNONCE_256);
    assert_string_equal(a.nc, "00000001");
    assert_string_equal(a.qop, "auth");
    assert_int_equal(a.alg, MU_HTTP_DIGEST_SHA256);
    assert_false(a.sess || a.stale || a.userhash);
    formatted_is(&a, digest_256);

    /* No algorithm is MD5 (3.4); parameters in any case and order, blanks around '='. */
    parsed("DIGEST Response = \"" RESPONSE_MD5 "\",URI=\"/x\" , ,nonce=n,realm=\"\",USERNAME=u,new=\"x\"", &a);
    assert_int_equal(a.alg, MU_HTTP_DIGEST_MD5);
    assert_string_equal(a.uri, "/x");
    assert_string_equal(a.user, "u");
}

/* RFC 7616 3.4.4, 3.9.2: names beyond ASCII, and hashed ones. */
static void digest_names_beyond_ascii(void **state)
{
    static const char ext[] = "Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, realm=\"r\", "
        "nonce=\"n\", uri=\"/\", algorithm=MD5-sess, response=\"" RESPONSE_MD5 "\"";
    static const char hashed[] = "Digest username=\"488869477bf257147b804c45308cd62a\", "
        "realm=\"api@example.org\", nonce=\"n\", uri=\"/doe.json\", algorithm=SHA-256-sess, "
        "response=\"" RESPONSE_256 "\", userhash=true";
    struct mu_http_auth a;

    parsed(ext, &a);
    assert_string_equal(a.user, "J\xc3\xa4s\xc3\xb8n Doe");
    assert_true(a.sess && a.alg == MU_HTTP_DIGEST_MD5);
    formatted_is(&a, ext);
    parsed(hashed, &a);
    assert_true(a.userhash && a.sess && a.alg == MU_HTTP_DIGEST_SHA256);
    formatted_is(&a, hashed);
    parsed("Digest username=\"a \\\"b\\\\ c\", realm=\"r\", nonce=\"n\", uri=\"/\", algorithm=MD5, "
           "response=\"" RESPONSE_MD5 "\"", &a);
    assert_string_equal(a.user, "a \"b\\ c");
    formatted_is(&a, "Digest username=\"a \\\"b\\\\ c\", realm=\"r\", nonce=\"n\", uri=\"/\", "
                     "algorithm=MD5, response=\"" RESPONSE_MD5 "\"");
    /* An algorithm that is not known leaves the rest readable. */
    parsed("Digest username=u, realm=r, nonce=n, uri=\"/\", algorithm=SHA-512-256, response=x", &a);
    assert_int_equal(a.alg, MU_HTTP_DIGEST_OTHER);
}

static void other_schemes_are_named_so(void **state)
{
    struct mu_http_auth a;

    parsed("Bearer abc.def", &a);
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_OTHER);
    parsed("Negotiate", &a);
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_OTHER);
}

#define D "Digest username=u, realm=r, nonce=n, uri=\"/\", response=\"" RESPONSE_MD5 "\""
static void malformed_credentials_are_refused(void **state)
{
    static const char *const cases[] = {
        "", " ", "=", "\"Basic\" Og==", "Basic", "Basic ", "Basic YWJj", "Basic O", "Basic Og==, x",
        "Basic Og== x", "Basic user=\"a\"", "Basic YQBiOmM=" /* a NUL */, "Basic YQo6Yg==" /* a LF */,
        "Digest", "Digest abc==", "Digest username=u", D ", qop=auth", D ", nc=00000001",
        D ", qop=auth, nc=0001, cnonce=c", D ", qop=auth, nc=0000000g, cnonce=c", D ", realm=s",
        D ", username*=UTF-8''u", D " x", D ", x", D ", x=", D ", x=\"", D ", x=\"\\", D ", x=\"a\"b",
        "Digest username=u, realm=r, nonce=n, uri=\"/\", response=\"0123\"",
        "Digest username=u, realm=r, nonce=n, uri=\"/\", algorithm=SHA-256, response=\"" RESPONSE_MD5 "\"",
        "Digest username*=u, realm=r, nonce=n, uri=\"/\", response=\"" RESPONSE_MD5 "\"",
        "Digest username*=UTF-8''%00u, realm=r, nonce=n, uri=\"/\", response=\"" RESPONSE_MD5 "\"",
        "Digest username*=UTF-8''%ff, realm=r, nonce=n, uri=\"/\", response=\"" RESPONSE_MD5 "\"",
    };
    struct mu_http_auth a;
    struct mu_err err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mu_err_clear(&err);
        memset(&a, 'x', sizeof(a));
        if (mu_http_auth_parse(cases[i], &a, &err) != MU_INPUT)
            fail_msg("taken: '%s'", cases[i]);
        assert_int_equal(err.reason, MU_REFUSE_MALFORMED);
        assert_non_null(strstr(err.what, "RFC"));
        assert_string_equal(a.password, "");
    }
}

/* A field that does not fit is refused, not cut. */
static void long_values_are_refused(void **state)
{
    char value[2048], long_text[1500];
    struct mu_http_auth a;
    struct mu_err err = {0};

    memset(long_text, 'A', sizeof(long_text));
    long_text[256] = '\0';
    snprintf(value, sizeof(value), "Digest username=u, realm=\"%s\", nonce=n, uri=\"/\", response=\"%s\"",
        long_text, RESPONSE_MD5);
    assert_int_equal(mu_http_auth_parse(value, &a, &err), MU_INPUT);
    snprintf(value, sizeof(value), "Digest realm=\"%s\", nonce=n, Basic realm=\"x\"", long_text);
    assert_true(mu_http_auth_challenge(value, 0, &a));
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_OTHER);
    assert_true(mu_http_auth_challenge(value, 1, &a));
    assert_string_equal(a.realm, "x");
    long_text[256] = 'A';
    long_text[512] = '\0'; /* decodes to 384 octets without a colon */
    snprintf(value, sizeof(value), "Basic %s", long_text);
    assert_int_equal(mu_http_auth_parse(value, &a, &err), MU_INPUT);
    long_text[512] = 'A';
    long_text[sizeof(long_text) - 1] = '\0';
    snprintf(value, sizeof(value), "Basic %s", long_text);
    assert_int_equal(mu_http_auth_parse(value, &a, &err), MU_INPUT);
}

/* RFC 7617 2, RFC 7616 3.9.1, RFC 9110 11.6.1 */
static void challenges_are_found_one_by_one(void **state)
{
    static const char both[] = "Basic realm=\"simple\", Newauth realm=\"apps\", type=1, "
        "title=\"Login to \\\"apps\\\"\", Negotiate, Kerb YWJj==, Digest realm=\"http-auth@example.org\", "
        "qop=\"auth, auth-int\", algorithm=SHA-256, nonce=\"" NONCE_256 "\", opaque=\"" OPAQUE_256 "\", "
        "stale=TRUE,Basic realm=\"foo\", charset=\"UTF-8\"";
    static const enum mu_http_scheme schemes[] = {MU_HTTP_SCHEME_BASIC, MU_HTTP_SCHEME_OTHER,
        MU_HTTP_SCHEME_OTHER, MU_HTTP_SCHEME_OTHER, MU_HTTP_SCHEME_DIGEST, MU_HTTP_SCHEME_BASIC};
    struct mu_http_auth a;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        assert_true(mu_http_auth_challenge(both, i, &a));
        assert_int_equal(a.scheme, schemes[i]);
    }
    assert_string_equal(a.realm, "foo");
    assert_false(mu_http_auth_challenge(both, 6, &a));
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_NONE);
    assert_true(mu_http_auth_challenge(both, 4, &a));
    assert_string_equal(a.realm, "http-auth@example.org");
    assert_string_equal(a.qop, "auth, auth-int");
    assert_string_equal(a.nonce, NONCE_256);
    assert_string_equal(a.opaque, OPAQUE_256);
    assert_int_equal(a.alg, MU_HTTP_DIGEST_SHA256);
    assert_true(a.stale);
    assert_true(mu_http_auth_challenge("Basic", 0, &a)); /* without realm: lenient */
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_BASIC);
}

static void bad_challenges_end_the_list(void **state)
{
    struct mu_http_auth a;

    assert_false(mu_http_auth_challenge("", 0, &a));
    assert_false(mu_http_auth_challenge(" , ,", 0, &a));
    assert_false(mu_http_auth_challenge("=", 0, &a));
    assert_false(mu_http_auth_challenge("Basic realm=\"x", 0, &a));
    assert_false(mu_http_auth_challenge("Basic realm=\"x\" y=z", 0, &a));
    assert_true(mu_http_auth_challenge("Basic realm=x, Digest realm=", 0, &a));
    assert_false(mu_http_auth_challenge("Basic realm=x, Digest nonce=\"a", 1, &a));
    /* Digest that cannot be answered: no nonce; a realm twice. */
    assert_true(mu_http_auth_challenge("Digest realm=r", 0, &a));
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_OTHER);
    assert_true(mu_http_auth_challenge("Digest realm=r, nonce=n, realm=s", 0, &a));
    assert_int_equal(a.scheme, MU_HTTP_SCHEME_OTHER);
}

static void challenges_are_written(void **state)
{
    struct mu_http_auth a = {.scheme = MU_HTTP_SCHEME_BASIC, .realm = "es\"t"}, b;
    struct mu_buf out = {0};

    assert_true(mu_http_auth_challenge_format(&a, &out));
    assert_string_equal(mu_buf_str(&out), "Basic realm=\"es\\\"t\", charset=\"UTF-8\"");
    a = (struct mu_http_auth){.scheme = MU_HTTP_SCHEME_DIGEST, .realm = "est", .nonce = "n", .qop = "auth",
        .alg = MU_HTTP_DIGEST_SHA256, .stale = true, .opaque = "o"};
    mu_buf_reset(&out);
    assert_true(mu_http_auth_challenge_format(&a, &out));
    assert_string_equal(mu_buf_str(&out), "Digest realm=\"est\", nonce=\"n\", algorithm=SHA-256, "
        "qop=\"auth\", opaque=\"o\", stale=true, charset=\"UTF-8\"");
    assert_true(mu_http_auth_challenge(mu_buf_str(&out), 0, &b));
    assert_memory_equal(&a, &b, sizeof(a));
    mu_buf_clear(&out);
}

/* What would be a second header line, or another message, is never written. */
static void what_cannot_be_said_is_not(void **state)
{
    struct mu_http_auth a = {.scheme = MU_HTTP_SCHEME_BASIC, .user = "a:b"};
    struct mu_buf out = {0};

    assert_false(mu_http_auth_format(&a, &out));
    a = (struct mu_http_auth){.scheme = MU_HTTP_SCHEME_BASIC, .password = "a\nb"};
    assert_false(mu_http_auth_format(&a, &out));
    a = (struct mu_http_auth){.scheme = MU_HTTP_SCHEME_DIGEST, .nonce = "a\r\nb"};
    assert_false(mu_http_auth_format(&a, &out));
    a = (struct mu_http_auth){.scheme = MU_HTTP_SCHEME_DIGEST, .qop = "auth, auth-int", .nc = "00000001"};
    assert_false(mu_http_auth_format(&a, &out));
    a = (struct mu_http_auth){.scheme = MU_HTTP_SCHEME_DIGEST, .alg = MU_HTTP_DIGEST_OTHER};
    assert_false(mu_http_auth_format(&a, &out));
    a = (struct mu_http_auth){.scheme = MU_HTTP_SCHEME_OTHER};
    assert_false(mu_http_auth_format(&a, &out));
    assert_false(mu_http_auth_challenge_format(&a, &out));
    a = (struct mu_http_auth){.scheme = MU_HTTP_SCHEME_BASIC, .realm = "a\nb"};
    assert_false(mu_http_auth_challenge_format(&a, &out));
    mu_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(basic_is_user_and_password),
        cmocka_unit_test(digest_is_taken_apart),
        cmocka_unit_test(digest_names_beyond_ascii),
        cmocka_unit_test(other_schemes_are_named_so),
        cmocka_unit_test(malformed_credentials_are_refused),
        cmocka_unit_test(long_values_are_refused),
        cmocka_unit_test(challenges_are_found_one_by_one),
        cmocka_unit_test(bad_challenges_end_the_list),
        cmocka_unit_test(challenges_are_written),
        cmocka_unit_test(what_cannot_be_said_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
