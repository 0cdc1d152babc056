/* What clients really put into URLs, and what ours does (SCEP-06..12, IOP-01..04, S045, S046,
 * INTEROP 3.1..3.4). */
#include "world.h"

#include <string.h>

static void urls_of_the_client(void **state)
{
    static const struct {
        const char *url; enum mu_scep_http_op op; const char *ca; const char *want;
    } rows[] = {
        {"http://h/p/", MU_SCEP_HTTP_CAPS, NULL, "http://h/p/?operation=GetCACaps"},
        {"http://h/p", MU_SCEP_HTTP_CA_CERT, "", "http://h/p?operation=GetCACert"},
        {"http://h/p", MU_SCEP_HTTP_CA_CERT, "a CA&x",
            "http://h/p?operation=GetCACert&message=a%20CA%26x"},
        {"http://h/p?a=b", MU_SCEP_HTTP_NEXT_CA, "i",
            "http://h/p?a=b&operation=GetNextCACert&message=i"},
        {"http://h/p", MU_SCEP_HTTP_PKI_OPERATION, "i", "http://h/p?operation=PKIOperation"},
    };
    struct mu_buf out = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mu_buf_reset(&out);
        world_ok(mu_scep_http_url(
            rows[i].url, rows[i].op, rows[i].ca, mu_bytes(NULL, 0), &out, &world_err));
        assert_string_equal(mu_buf_str(&out), rows[i].want);
    }
    mu_buf_reset(&out);
    world_ok(mu_scep_http_url("http://h/p", MU_SCEP_HTTP_PKI_OPERATION, NULL,
        mu_bytes("\xfb\xff\xfe\x00", 4), &out, &world_err));
    assert_string_equal(
        mu_buf_str(&out), "http://h/p?operation=PKIOperation&message=%2B%2F%2F%2BAA%3D%3D");
    mu_buf_clear(&out);
}

static enum mu_code read_target(const char *method, const char *target, struct mu_bytes body,
    enum mu_scep_http_op *op, struct mu_buf *ca, struct mu_buf *message)
{
    struct mu_http_request request = {.method = method, .target = target, .body = body};

    mu_buf_reset(ca);
    mu_buf_reset(message);
    return mu_scep_http_request(&request, op, ca, message, &world_err);
}

/* The octets fb ff fe 00 in every way the field writes them. */
static void get_takes_all_spellings_of_base64(void **state)
{
    static const char *const spelled[] = {
        "%2B%2F%2F%2BAA%3D%3D", /* as it should be */
        "+//+AA==",             /* raw */
        "+//+AA%3D%3D",         /* Apple: only the padding (IOP-02) */
        "%20//%20AA==",         /* decoded as a form on the way (S046) */
        "-__-AA",               /* URL-safe, without padding */
        "%2B%2F%2F%2B%0AAA%3D%3D%0A", /* Cisco: line breaks (IOP-01) */
        "%2B%2F%0D%0A%2F%2BAA==%0D%0A",
    };
    struct mu_buf ca = {0}, message = {0}, target = {0};
    enum mu_scep_http_op op = MU_SCEP_HTTP_CAPS;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof spelled / sizeof spelled[0]; i++) {
        mu_buf_reset(&target);
        mu_buf_putf(&target, "/cgi-bin/pkiclient.exe?operation=PKIOperation&message=%s",
            spelled[i]);
        world_ok(
            read_target("GET", mu_buf_str(&target), mu_bytes(NULL, 0), &op, &ca, &message));
        assert_int_equal(op, MU_SCEP_HTTP_PKI_OPERATION);
        if (!mu_bytes_equal(mu_buf_bytes(&message), mu_bytes("\xfb\xff\xfe\x00", 4)))
            fail_msg("%s was not understood", spelled[i]);
    }
    mu_buf_clear(&ca);
    mu_buf_clear(&message);
    mu_buf_clear(&target);
}

static void operations_and_ca_identifiers(void **state)
{
    static const struct { const char *target; enum mu_scep_http_op op; const char *ca; } rows[] = {
        {"/scep?operation=GetCACaps", MU_SCEP_HTTP_CAPS, ""},
        {"/scep?operation=getcacaps&message=x", MU_SCEP_HTTP_CAPS, "x"},
        {"/any/tail/pkiclient.exe?operation=GetCACert&message=my%20CA", MU_SCEP_HTTP_CA_CERT,
            "my CA"},
        {"/?message=CA-IDENT&operation=GETNEXTCACERT", MU_SCEP_HTTP_NEXT_CA, "CA-IDENT"},
        {"/?operation=GetCACert&message=", MU_SCEP_HTTP_CA_CERT, ""},
    };
    struct mu_buf ca = {0}, message = {0};
    enum mu_scep_http_op op = MU_SCEP_HTTP_PKI_OPERATION;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_ok(read_target("GET", rows[i].target, mu_bytes(NULL, 0), &op, &ca, &message));
        assert_int_equal(op, rows[i].op);
        assert_string_equal(mu_buf_str(&ca), rows[i].ca);
    }
    mu_buf_clear(&ca);
    mu_buf_clear(&message);
}

/* SCEP-08, SCEP-11: the raw body, whatever operation= says. */
static void post_is_always_a_message(void **state)
{
    static const char *const targets[] = {"/scep?operation=PKIOperation", "/scep", "/scep?x=y",
        "/scep?operation=odd", "/scep?operation=pkioperation&message=z"};
    struct mu_buf ca = {0}, message = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        enum mu_scep_http_op op = MU_SCEP_HTTP_CAPS;

        world_ok(read_target("POST", targets[i], mu_bytes("\x30\x00", 2), &op, &ca, &message));
        assert_int_equal(op, MU_SCEP_HTTP_PKI_OPERATION);
        assert_int_equal(message.n, 2);
    }
    mu_buf_clear(&ca);
    mu_buf_clear(&message);
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const struct { const char *method, *target; enum mu_code code; } rows[] = {
        {"GET", "/scep", MU_INPUT},
        {"GET", "/scep?operation=Other", MU_INPUT},
        {"GET", "/scep?operation=", MU_INPUT},
        {"GET", "/scep?operation=PKIOperation", MU_INPUT},
        {"GET", "/scep?operation=PKIOperation&message=", MU_INPUT},
        {"GET", "/scep?operation=PKIOperation&message=%00%01", MU_INPUT},
        {"GET", "/scep?operation=PKIOperation&message=!!!!", MU_INPUT},
        {"POST", "/scep?operation=PKIOperation", MU_INPUT},
        {"PUT", "/scep?operation=PKIOperation", MU_UNSUPPORTED},
    };
    struct mu_buf ca = {0}, message = {0};
    static uint8_t huge[300 * 1024];
    enum mu_scep_http_op op;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (read_target(rows[i].method, rows[i].target, mu_bytes(NULL, 0), &op, &ca, &message)
            != rows[i].code)
            fail_msg("%s %s", rows[i].method, rows[i].target);
    }
    assert_int_equal(
        read_target("POST", "/", mu_bytes(huge, sizeof huge), &op, &ca, &message), MU_INPUT);
    mu_buf_clear(&ca);
    mu_buf_clear(&message);
}

static void scep_is_recognized_by_its_query_or_type(void **state)
{
    static const struct mu_http_header type = {"content-type", "application/x-pki-message"};
    static const struct { const char *method, *target; bool typed, is; } rows[] = {
        {"GET", "/a?operation=GetCACert", false, true},
        {"POST", "/a?operation=PKIOperation", false, true},
        {"POST", "/a", true, true},
        {"GET", "/a", true, false},
        {"POST", "/a", false, false},
        {"GET", "/a?operation=delete", false, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_http_request request = {.method = rows[i].method, .target = rows[i].target,
            .headers = &type, .header_n = rows[i].typed ? 1 : 0};

        assert_int_equal(mu_scep_http_is(&request), rows[i].is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_of_the_client),
        cmocka_unit_test(get_takes_all_spellings_of_base64),
        cmocka_unit_test(operations_and_ca_identifiers),
        cmocka_unit_test(post_is_always_a_message),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(scep_is_recognized_by_its_query_or_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
