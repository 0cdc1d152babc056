/* CSR attributes: published and captured vectors, both directions. */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

/* Reads a vector; the caller clears out. */
static void vector(const char *name, struct mu_buf *out)
{
    char path[512], text[512];
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/est-csrattrs/%s.txt", getenv("MU_VECTORS"), name);
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    world_ok(mu_est_body_decode(mu_bytes(text, n), out, &world_err));
}

static void append(void *cookie, const char *oid, const char *name, const char *values)
{
    mu_buf_putf(cookie, "%s %s%s%s\n", oid, name, values[0] != '\0' ? ": " : "", values);
}

static void lists(const struct mu_buf *der, const char *want)
{
    struct mu_buf text = {0};

    assert_true(mu_est_csrattrs_each(mu_buf_bytes(der), append, &text));
    assert_string_equal(mu_buf_str(&text), want);
    mu_buf_clear(&text);
}

/* T1, E060, E062. */
static void reads_the_captured_answer(void **state)
{
    struct mu_est_csrattrs a;
    struct mu_buf der = {0};

    (void)state;
    vector("seed", &der);
    world_ok(mu_est_csrattrs_decode(mu_buf_bytes(&der), &a, &world_err));
    lists(&der,
        "1.3.6.1.1.1.1.22 undefined\n"
        "1.2.840.113549.1.9.1 emailAddress\n"
        "1.3.132.0.34 secp384r1\n"
        "2.16.840.1.101.3.4.2.2 sha384\n");
    assert_false(a.link);
    assert_true(a.has_key);
    assert_int_equal(a.key.type, MU_PKI_KEY_EC);
    assert_int_equal(a.key.bits, 384);
    assert_int_equal(a.ext_n, 0);
    assert_int_equal(a.digest, MU_PKI_DIGEST_NONE);
    mu_buf_clear(&der);
}

/* EST-72: RFC 7030's example has an OID where Extensions belong. */
static void reads_the_example_of_rfc7030(void **state)
{
    struct mu_est_csrattrs a;
    struct mu_buf der = {0};

    (void)state;
    vector("rfc7030", &der);
    world_ok(mu_est_csrattrs_decode(mu_buf_bytes(&der), &a, &world_err));
    assert_true(a.link);
    assert_true(a.bad_extensions);
    assert_int_equal(a.ext_n, 0);
    assert_int_equal(a.key.bits, 384);
    assert_int_equal(a.digest, MU_PKI_SHA384);
    lists(&der,
        "1.2.840.113549.1.9.7 challengePassword\n"
        "1.2.840.10045.2.1 id-ecPublicKey: 1.3.132.0.34 secp384r1\n"
        "1.2.840.113549.1.9.14 Extension Request: 1.3.6.1.1.1.1.22 undefined\n"
        "1.2.840.10045.4.3.3 ecdsa-with-SHA384\n");
    mu_buf_clear(&der);
}

/* EST-72: RFC 9908 5.2 and 5.4. */
static void reads_the_examples_of_rfc9908(void **state)
{
    struct mu_est_csrattrs a;
    struct mu_buf der = {0}, rsa = {0};

    (void)state;
    vector("rfc9908-ec", &der);
    world_ok(mu_est_csrattrs_decode(mu_buf_bytes(&der), &a, &world_err));
    assert_true(a.link);
    assert_false(a.bad_extensions);
    assert_int_equal(a.key.bits, 384);
    assert_int_equal(a.digest, MU_PKI_SHA384);
    vector("rfc9908-rsa", &rsa);
    world_ok(mu_est_csrattrs_decode(mu_buf_bytes(&rsa), &a, &world_err));
    assert_int_equal(a.key.type, MU_PKI_KEY_RSA);
    assert_int_equal(a.key.bits, 4096);
    assert_int_equal(a.digest, MU_PKI_SHA256);
    mu_buf_clear(&der);
    mu_buf_clear(&rsa);
}

/* EST-65, EST-66: what we write is what RFC 9908 prints. */
static void writes_the_example_of_rfc9908(void **state)
{
    static const char *const mac[] = {"1.3.6.1.1.1.1.22", NULL};
    struct mu_est_csrattrs_params params
        = {.link = true, .key = {MU_PKI_KEY_RSA, 4096}, .digest = MU_PKI_SHA256};
    struct mu_buf want = {0}, is = {0};

    (void)state;
    vector("rfc9908-rsa", &want);
    world_ok(mu_est_csrattrs_encode(&params, &is, &world_err));
    assert_true(mu_bytes_equal(mu_buf_bytes(&is), mu_buf_bytes(&want)));
    mu_buf_clear(&want);
    mu_buf_clear(&is);
    /* the same elements in another order than the first example */
    params = (struct mu_est_csrattrs_params){.link = true, .oids = mac,
        .key = {MU_PKI_KEY_EC, 384}, .digest = MU_PKI_SHA384};
    vector("rfc9908-ec", &want);
    world_ok(mu_est_csrattrs_encode(&params, &is, &world_err));
    assert_int_equal(is.n, want.n);
    lists(&is,
        "1.2.840.113549.1.9.7 challengePassword\n"
        "1.3.6.1.1.1.1.22 undefined\n"
        "1.2.840.10045.2.1 id-ecPublicKey: 1.3.132.0.34 secp384r1\n"
        "1.2.840.10045.4.3.3 ecdsa-with-SHA384\n");
    mu_buf_clear(&want);
    mu_buf_clear(&is);
}

/* EST-62: an empty list, and none, are no wishes; EST-64: what is not known is left alone. */
static void takes_nothing_and_the_unknown(void **state)
{
    static const uint8_t odd[] = {0x30, 0x10, 0x05, 0x00, 0x02, 0x01, 0x07, 0x30, 0x00, 0x30, 0x05,
        0x06, 0x01, 0x2a, 0x31, 0x00, 0x31, 0x00};
    struct mu_est_csrattrs a;

    (void)state;
    world_ok(mu_est_csrattrs_decode(mu_bytes(NULL, 0), &a, &world_err));
    world_ok(mu_est_csrattrs_decode(mu_bytes("\x30\x00", 2), &a, &world_err));
    world_ok(mu_est_csrattrs_decode(mu_bytes(odd, sizeof odd), &a, &world_err));
    assert_false(a.has_key);
    assert_false(a.link);
}

static void refuses_what_is_no_list(void **state)
{
    struct mu_est_csrattrs a;
    struct mu_buf many = {0};
    size_t mark, i;

    (void)state;
    world_failed(mu_est_csrattrs_decode(mu_bytes("\x31\x00", 2), &a, &world_err), MU_INPUT, 0, "RFC 8951 4");
    world_failed(mu_est_csrattrs_decode(mu_bytes("\x30\x02\x06", 3), &a, &world_err), MU_INPUT, 0, NULL);
    world_failed(mu_est_csrattrs_decode(mu_bytes("\x30\x00\x00", 3), &a, &world_err), MU_INPUT, 0, NULL);
    mark = mu_der_open(&many, MU_DER_SEQUENCE);
    for (i = 0; i <= MU_EST_CSRATTRS_MAX; i++)
        mu_der_put_oid(&many, "1.2.3");
    mu_der_close(&many, mark);
    world_failed(mu_est_csrattrs_decode(mu_buf_bytes(&many), &a, &world_err), MU_INPUT, 0, "too many");
    mu_buf_clear(&many);
}

static void put_usage(struct mu_buf *exts)
{
    size_t mark = mu_der_open(exts, MU_DER_SEQUENCE);

    mu_pki_ext_put_key_usage(exts, true, MU_KU_DIGITAL_SIGNATURE);
    mu_der_close(exts, mark);
}

/* EST-66, E056: an extension with its value, and one to be filled in. */
static void writes_and_reads_extensions(void **state)
{
    static const char *const fill[] = {MU_EST_OID_SAN, NULL};
    struct mu_buf exts = {0}, der = {0};
    struct mu_est_csrattrs_params params = {.fill = fill};
    struct mu_est_csrattrs a;

    (void)state;
    put_usage(&exts);
    params.extensions = mu_buf_bytes(&exts);
    world_ok(mu_est_csrattrs_encode(&params, &der, &world_err));
    world_ok(mu_est_csrattrs_decode(mu_buf_bytes(&der), &a, &world_err));
    assert_int_equal(a.ext_n, 2);
    assert_string_equal(mu_est_csrattrs_name(a.exts[0].oid), "X509v3 Key Usage");
    assert_true(a.exts[0].critical);
    assert_false(a.exts[0].fill);
    assert_memory_equal(a.exts[0].value.p, "\x03\x02\x07\x80", 4);
    assert_true(a.exts[1].fill);
    lists(&der,
        "1.2.840.113549.1.9.14 Extension Request: X509v3 Key Usage: critical, Digital Signature\n"
        "2.5.29.17 X509v3 Subject Alternative Name\n");
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
}

/* EST-55 */
static void adds_an_oid_once(void **state)
{
    struct mu_buf one = {0}, two = {0}, seed = {0}, more = {0};
    struct mu_est_csrattrs a;

    (void)state;
    world_ok(mu_est_csrattrs_add(mu_bytes(NULL, 0), MU_EST_OID_CHALLENGE_PASSWORD, &one, &world_err));
    world_ok(mu_est_csrattrs_add(mu_buf_bytes(&one), MU_EST_OID_CHALLENGE_PASSWORD, &two, &world_err));
    assert_true(mu_bytes_equal(mu_buf_bytes(&one), mu_buf_bytes(&two)));
    vector("seed", &seed);
    world_ok(mu_est_csrattrs_add(mu_buf_bytes(&seed), MU_EST_OID_CHALLENGE_PASSWORD, &more, &world_err));
    world_ok(mu_est_csrattrs_decode(mu_buf_bytes(&more), &a, &world_err));
    assert_true(a.link);
    assert_int_equal(a.key.bits, 384);
    mu_buf_clear(&one);
    mu_buf_clear(&two);
    mu_buf_clear(&seed);
    mu_buf_clear(&more);
}

static void no_wishes_are_no_octets(void **state)
{
    struct mu_est_csrattrs_params params = {.link = false};
    struct mu_buf out = {0};

    (void)state;
    world_ok(mu_est_csrattrs_encode(&params, &out, &world_err));
    assert_int_equal(out.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_captured_answer),
        cmocka_unit_test(reads_the_example_of_rfc7030),
        cmocka_unit_test(reads_the_examples_of_rfc9908),
        cmocka_unit_test(writes_the_example_of_rfc9908),
        cmocka_unit_test(takes_nothing_and_the_unknown),
        cmocka_unit_test(refuses_what_is_no_list),
        cmocka_unit_test(writes_and_reads_extensions),
        cmocka_unit_test(adds_an_oid_once),
        cmocka_unit_test(no_wishes_are_no_octets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
