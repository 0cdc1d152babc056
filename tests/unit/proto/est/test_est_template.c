/* The template of RFC 9908, read and written. */

#include "world.h"

static void put_usage(struct mu_buf *exts)
{
    size_t mark = mu_der_open(exts, MU_DER_SEQUENCE);

    mu_pki_ext_put_key_usage(exts, true, MU_KU_DIGITAL_SIGNATURE);
    mu_der_close(exts, mark);
}

static void note_rdn(void *cookie, const char *type, const char *value)
{
    mu_buf_putf(cookie, "%s=%s\n", type, value != NULL ? value : "?");
}

/* EST-67..EST-71: a template in both styles; with it nothing else counts. */
static void writes_and_reads_templates(void **state)
{
    static const char *const fill[] = {MU_EST_OID_SAN, NULL};
    static const struct mu_pki_name_part subject[] = {{"O", "Example"}, {"CN", NULL}};
    struct mu_buf exts = {0}, der = {0}, text = {0};
    struct mu_est_csrattrs_params params = {.link = true, .key = {MU_PKI_KEY_RSA, 3072},
        .digest = MU_PKI_SHA384, .fill = fill, .with_template = true, .subject = subject,
        .subject_n = 2};
    struct mu_est_csrattrs a;

    (void)state;
    put_usage(&exts);
    params.extensions = mu_buf_bytes(&exts);
    world_ok(mu_est_csrattrs_encode(&params, &der, &world_err));
    world_ok(mu_est_csrattrs_decode(mu_buf_bytes(&der), &a, &world_err));
    assert_true(a.is_template);
    assert_true(a.link);
    assert_int_equal(a.digest, MU_PKI_DIGEST_NONE); /* of the other style */
    assert_int_equal(a.key.type, MU_PKI_KEY_RSA);
    assert_int_equal(a.key.bits, 3072);
    assert_int_equal(a.ext_n, 2);
    assert_false(a.exts[0].fill);
    assert_true(a.exts[1].fill);
    assert_true(mu_est_template_subject(a.subject, note_rdn, &text));
    assert_string_equal(mu_buf_str(&text), "O=Example\nCN=?\n");
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    mu_buf_clear(&text);
}

/* The value of a template around attributes given as DER. */
static void wrap(const char *oid, struct mu_bytes value, struct mu_buf *out)
{
    size_t template = mu_der_open(out, MU_DER_SEQUENCE), attributes, one, set;

    mu_der_put_int(out, 0);
    attributes = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(1));
    one = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, oid);
    set = mu_der_open(out, MU_DER_SET);
    mu_buf_put_bytes(out, value);
    mu_der_close(out, set);
    mu_der_close(out, one);
    mu_der_close(out, attributes);
    mu_der_close(out, template);
}

/* EST-70: a single ExtensionTemplate instead of a list, the OID as printed in the example, an
 * empty directoryName and an address without octets as holes. */
static void reads_variants_of_extension_templates(void **state)
{
    static const uint8_t single[] = {0x30, 5, 6, 3, 0x55, 0x1d, 17};
    static const uint8_t holes[] = {0x30, 17, 0x30, 15, 6, 3, 0x55, 0x1d, 17, 4, 8, 0x30, 6, 0xa4, 2,
        0x30, 0, 0x87, 0};
    static const uint8_t filled[] = {0x30, 14, 0x30, 12, 6, 3, 0x55, 0x1d, 17, 4, 5, 0x30, 3, 0x82, 1,
        'a'};
    static const struct { const char *oid; struct mu_bytes value; bool fill; } cases[] = {
        {MU_EST_OID_EXTENSION_TEMPLATE, {single, sizeof single}, true},
        {"1.2.840.113549.1.9.62", {holes, sizeof holes}, true},
        {MU_EST_OID_EXTENSION_TEMPLATE, {holes, sizeof holes}, true},
        {MU_EST_OID_EXTENSION_REQUEST, {filled, sizeof filled}, false},
    };
    struct mu_est_csrattrs a;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_buf der = {0};

        memset(&a, 0, sizeof a);
        wrap(cases[i].oid, cases[i].value, &der);
        assert_true(mu_est_template_decode(mu_buf_bytes(&der), &a));
        assert_int_equal(a.ext_n, 1);
        assert_int_equal(a.exts[0].fill, cases[i].fill);
        mu_buf_clear(&der);
    }
}

/* A template that is none leaves the other style in force. */
static void falls_back_from_a_bad_template(void **state)
{
    static const uint8_t bad[] = {0x30, 0x1e, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,
        0x09, 0x07, 0x30, 0x11, 0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10,
        0x02, 0x3d, 0x31, 0x02, 0x30, 0x00};
    struct mu_est_csrattrs a;

    (void)state;
    world_ok(mu_est_csrattrs_decode(mu_bytes(bad, sizeof bad), &a, &world_err));
    assert_false(a.is_template);
    assert_true(a.link);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads_templates),
        cmocka_unit_test(reads_variants_of_extension_templates),
        cmocka_unit_test(falls_back_from_a_bad_template),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
