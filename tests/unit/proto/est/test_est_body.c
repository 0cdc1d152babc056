/* Bodies: what is sent, and what is taken. */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

/* A SEQUENCE of 100 octets. */
static void der(struct mu_buf *out)
{
    uint8_t zero[98] = {0};

    mu_der_put(out, MU_DER_SEQUENCE, mu_bytes(zero, sizeof zero));
}

/* EST-10, IOP-21: 64 columns with a line end behind the last; the switch: one line. */
static void wraps_at_64(void **state)
{
    struct mu_buf in = {0}, out = {0}, line = {0};

    (void)state;
    der(&in);
    assert_true(mu_est_body_encode(&out, mu_buf_bytes(&in), false));
    assert_int_equal(strcspn(mu_buf_str(&out), "\n"), 64);
    assert_int_equal(out.p[out.n - 1], '\n');
    assert_true(mu_est_body_encode(&line, mu_buf_bytes(&in), true));
    assert_null(strchr(mu_buf_str(&line), '\n'));
    mu_buf_clear(&in);
    mu_buf_clear(&out);
    mu_buf_clear(&line);
}

static void takes(const char *head, const char *text, const char *tail, const struct mu_buf *want)
{
    struct mu_buf body = {0}, out = {0};

    mu_buf_putf(&body, "%s%s%s", head, text, tail);
    world_ok(mu_est_body_decode(mu_buf_bytes(&body), &out, &world_err));
    assert_true(mu_bytes_equal(mu_buf_bytes(&out), mu_buf_bytes(want)));
    mu_buf_clear(&body);
    mu_buf_clear(&out);
}

/* EST-07, EST-09, IOP-21, IOP-22, IOP-23, INTEROP 17. */
static void takes_anything_sensible(void **state)
{
    struct mu_buf in = {0}, wrapped = {0}, line = {0}, crlf = {0}, out = {0};
    size_t i;

    (void)state;
    der(&in);
    mu_est_body_encode(&wrapped, mu_buf_bytes(&in), false);
    mu_est_body_encode(&line, mu_buf_bytes(&in), true);
    for (i = 0; i < wrapped.n; i++) {
        if (wrapped.p[i] == '\n')
            mu_buf_put_str(&crlf, "\r\n");
        else
            mu_buf_put_byte(&crlf, wrapped.p[i]);
    }
    takes("", mu_buf_str(&wrapped), "", &in);
    takes("", mu_buf_str(&line), "", &in);
    takes("\r\n \t", mu_buf_str(&crlf), "\r\n\r\n", &in);
    takes("\xef\xbb\xbf", mu_buf_str(&line), "", &in);
    takes("-----BEGIN CERTIFICATE REQUEST-----\n", mu_buf_str(&wrapped),
        "-----END CERTIFICATE REQUEST-----\n", &in);
    takes("junk before\n-----BEGIN PKCS7-----\n", mu_buf_str(&wrapped), "-----END PKCS7-----\n", &in);
    world_ok(mu_est_body_decode(mu_buf_bytes(&in), &out, &world_err)); /* the octets themselves */
    assert_true(mu_bytes_equal(mu_buf_bytes(&out), mu_buf_bytes(&in)));
    mu_buf_clear(&in);
    mu_buf_clear(&wrapped);
    mu_buf_clear(&line);
    mu_buf_clear(&crlf);
    mu_buf_clear(&out);
}

static void refuses_the_rest(void **state)
{
    static const char *const bad[] = {"", "  \r\n", "no base64!", "AAAA", "MA=", "M",
        "-----BEGIN X-----\nMAA=\n", "-----BEGIN X-----\n!\n-----END X-----\n",
        "<html><title>Login</title></html>"};
    struct mu_buf out = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(&world_err, 0, sizeof world_err);
        world_failed(mu_est_body_decode(mu_bytes_str(bad[i]), &out, &world_err), MU_INPUT,
            MU_REFUSE_MALFORMED, "RFC 8951 3");
        mu_buf_clear(&out);
    }
}

/* T2: the seed's request, 324 octets. */
static void takes_captured_request(void **state)
{
    char path[512], text[1024];
    struct mu_buf out = {0};
    size_t n;
    FILE *f;

    (void)state;
    snprintf(path, sizeof path, "%s/est-requests/version2.txt", getenv("MU_VECTORS"));
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    world_ok(mu_est_body_decode(mu_bytes(text, n), &out, &world_err));
    assert_int_equal(out.n, 324);
    mu_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wraps_at_64),
        cmocka_unit_test(takes_anything_sensible),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(takes_captured_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
