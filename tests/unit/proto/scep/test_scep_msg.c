/* pkiMessage: decode of encode is equal; what is missing or unknown is refused with its clause
 * (SCEP-33..35, SCEP-41..46, SCEP-61, SCEP-72). */
#include "world.h"

#include <string.h>

static struct mu_scep_msg_params good(struct world *w, struct mu_pki_certs *certs)
{
    world_ok(mu_pki_certs_add(certs, w->ca, &world_err));
    return (struct mu_scep_msg_params){
        .transaction_id = "2B9E443E5E0A9BA816785A1915AA2E99",
        .type = MU_SCEP_PKCS_REQ,
        .sender_nonce = mu_bytes_str("0123456789abcdef"),
        .status = -1,
        .fail_info = -1,
        .envelope = mu_bytes_str("envelope"),
        .key = world_key(KEY_CA),
        .cert = w->ca,
        .certs = certs,
        .digest = MU_PKI_SHA256,
    };
}

static void what_is_encoded_is_decoded(void **state)
{
    static const struct { int type, status, fail_info; const char *text; bool envelope; } rows[] = {
        {MU_SCEP_PKCS_REQ, -1, -1, NULL, true},
        {MU_SCEP_RENEWAL_REQ, -1, -1, NULL, true},
        {MU_SCEP_UPDATE_REQ, -1, -1, NULL, true},
        {MU_SCEP_CERT_POLL, -1, -1, NULL, true},
        {MU_SCEP_GET_CERT, -1, -1, NULL, true},
        {MU_SCEP_GET_CRL, -1, -1, NULL, true},
        {MU_SCEP_CERT_REP, MU_SCEP_SUCCESS, -1, NULL, true},
        {MU_SCEP_CERT_REP, MU_SCEP_PENDING, -1, NULL, false},
        {MU_SCEP_CERT_REP, MU_SCEP_FAILURE, MU_SCEP_BAD_TIME, "words", false},
        {MU_SCEP_CERT_REP, MU_SCEP_FAILURE, MU_SCEP_BAD_ALG, NULL, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        struct mu_pki_certs certs = {0};
        struct mu_scep_msg msg = {0};
        struct mu_buf body = {0};
        struct mu_scep_msg_params params;

        world_init(&w);
        params = good(&w, &certs);
        params.type = rows[i].type;
        params.status = rows[i].status;
        params.fail_info = rows[i].fail_info;
        params.fail_info_text = rows[i].text;
        if (!rows[i].envelope)
            params.envelope.n = 0;
        if (rows[i].type == MU_SCEP_CERT_REP)
            params.recipient_nonce = mu_bytes_str("fedcba9876543210");
        world_ok(mu_scep_msg_encode(&params, &body, &world_err));
        world_ok(mu_scep_msg_decode(mu_buf_bytes(&body), &msg, &world_err));
        assert_string_equal(msg.transaction_id, params.transaction_id);
        assert_int_equal(msg.type, rows[i].type);
        assert_int_equal(msg.status, rows[i].status);
        assert_int_equal(msg.fail_info, rows[i].fail_info);
        if (rows[i].text != NULL)
            assert_string_equal(msg.fail_info_text, rows[i].text);
        else
            assert_null(msg.fail_info_text);
        assert_true(mu_bytes_equal(
            mu_bytes(msg.sender_nonce.p, msg.sender_nonce.n), params.sender_nonce));
        assert_true(mu_bytes_equal(
            mu_bytes(msg.recipient_nonce.p, msg.recipient_nonce.n), params.recipient_nonce));
        assert_true(mu_bytes_equal(msg.envelope, params.envelope));
        assert_int_equal(msg.envelope.p != NULL, rows[i].envelope); /* SCEP-34 */
        assert_false(msg.attrs_strange);
        assert_non_null(mu_pki_signed_signer(&msg.cms));
        world_ok(mu_pki_signed_verify(&msg.cms, w.ca, false, &world_err));
        mu_scep_msg_clear(&msg);
        mu_pki_certs_clear(&certs);
        mu_buf_clear(&body);
        world_clear(&w);
    }
}

/* SCEP-43 on the wire: PrintableString "19", never an INTEGER. */
static void numbers_are_printable_strings_on_the_wire(void **state)
{
    struct world w;
    struct mu_pki_certs certs = {0};
    struct mu_buf body = {0};
    struct mu_scep_msg_params params;

    (void)state;
    world_init(&w);
    params = good(&w, &certs);
    world_ok(mu_scep_msg_encode(&params, &body, &world_err));
    /* OID 2.16.840.1.113733.1.9.2, SET, PrintableString "19" */
    assert_non_null(memmem(body.p, body.n,
        "\x60\x86\x48\x01\x86\xf8\x45\x01\x09\x02\x31\x04\x13\x02\x31\x39", 16));
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&body);
    world_clear(&w);
}

static void a_raw_transaction_id_is_echoed_octet_by_octet(void **state)
{
    struct world w;
    struct mu_pki_certs certs = {0};
    struct mu_scep_msg msg = {0}, back = {0};
    struct mu_buf body = {0}, second = {0};
    struct mu_scep_msg_params params;

    (void)state;
    world_init(&w);
    params = good(&w, &certs);
    params.transaction_id_der = mu_bytes("\x13\x04\x00\xff\x01\x02", 6);
    world_ok(mu_scep_msg_encode(&params, &body, &world_err));
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&body), &msg, &world_err));
    assert_string_equal(msg.transaction_id, "00FF0102");
    assert_true(msg.attrs_strange);
    params.transaction_id_der = msg.transaction_id_der;
    world_ok(mu_scep_msg_encode(&params, &second, &world_err));
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&second), &back, &world_err));
    assert_true(mu_bytes_equal(back.transaction_id_der, mu_bytes("\x13\x04\x00\xff\x01\x02", 6)));
    mu_scep_msg_clear(&msg);
    mu_scep_msg_clear(&back);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&body);
    mu_buf_clear(&second);
    world_clear(&w);
}

/* Attributes as the rows say, in a SignedData. */
struct attr_row { const char *oid; unsigned tag; const char *value; };

static enum mu_code decode_with(
    struct world *w, const struct attr_row *rows, size_t n, const char *content_type)
{
    struct mu_pki_certs certs = {0};
    struct mu_pki_attr attrs[8];
    struct mu_buf values[8] = {{0}}, body = {0};
    struct mu_pki_signed_params params = {
        .content = mu_bytes_str("x"), .content_type = content_type, .key = world_key(KEY_CA),
        .cert = w->ca, .digest = MU_PKI_SHA256, .attrs = attrs, .attr_n = n, .certs = &certs};
    struct mu_scep_msg msg = {0};
    enum mu_code rc;
    size_t i;

    world_ok(mu_pki_certs_add(&certs, w->ca, &world_err));
    for (i = 0; i < n; i++) {
        mu_der_put(&values[i], rows[i].tag, mu_bytes_str(rows[i].value));
        attrs[i] = (struct mu_pki_attr){rows[i].oid, mu_buf_bytes(&values[i])};
    }
    world_ok(mu_pki_signed_encode(&params, &body, &world_err));
    rc = mu_scep_msg_decode(mu_buf_bytes(&body), &msg, &world_err);
    mu_scep_msg_clear(&msg);
    for (i = 0; i < n; i++)
        mu_buf_clear(&values[i]);
    mu_buf_clear(&body);
    mu_pki_certs_clear(&certs);
    return rc;
}

#define TYPE "2.16.840.1.113733.1.9.2"
#define STATUS "2.16.840.1.113733.1.9.3"
#define FAIL "2.16.840.1.113733.1.9.4"
#define ID "2.16.840.1.113733.1.9.7"
#define P MU_DER_PRINTABLE_STRING

static void what_is_missing_or_unknown_is_named(void **state)
{
    static const struct { struct attr_row attrs[4]; size_t n; const char *clause; } rows[] = {
        {{{TYPE, P, "19"}}, 1, "3.2.1.1"},
        {{{ID, P, "a"}}, 1, "3.2.1.2"},
        {{{ID, P, "a"}, {TYPE, P, "99"}}, 2, "3.2.1.2"},
        {{{ID, P, "a"}, {TYPE, P, "1"}}, 2, "3.2.1.2"},
        {{{ID, P, "a"}, {TYPE, P, "nineteen"}}, 2, "table 1"},
        {{{ID, P, "a"}, {TYPE, P, "3"}}, 2, "3.2.1.3"},
        {{{ID, P, "a"}, {TYPE, P, "3"}, {STATUS, P, "1"}}, 3, "3.2.1.3"},
        {{{ID, P, "a"}, {TYPE, P, "3"}, {STATUS, P, "4"}}, 3, "3.2.1.3"},
        {{{ID, P, "a"}, {TYPE, P, "3"}, {STATUS, P, "2"}, {FAIL, P, "5"}}, 4, "3.2.1.4"},
        {{{ID, P, "a"}, {ID, P, "b"}, {TYPE, P, "19"}}, 3, "transactionID"},
    };
    static const struct attr_row fine[] = {{ID, P, "a"}, {TYPE, P, "19"}};
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    world_ok(decode_with(&w, fine, 2, NULL));
    assert_int_equal(decode_with(&w, fine, 2, "1.2.840.113549.1.7.3"), MU_INPUT); /* SCEP-33 */
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum mu_code rc = decode_with(&w, rows[i].attrs, rows[i].n, NULL);

        if (rc != MU_INPUT || strstr(world_err.what, rows[i].clause) == NULL)
            fail_msg("row %zu: %d '%s'", i, (int)rc, world_err.what);
    }
    world_clear(&w);
}

/* IOP-10: NDES adds the HRESULT as an attribute of its own. */
static void unknown_attributes_are_ignored(void **state)
{
    static const struct attr_row rows[] = {
        {ID, P, "a"}, {TYPE, P, "19"}, {"1.3.6.1.4.1.311.21.33", P, "-2147024809"}, {"1.2.3", P, "x"}};
    struct world w;

    (void)state;
    world_init(&w);
    world_ok(decode_with(&w, rows, 4, NULL));
    world_clear(&w);
}

/* SignedData { 1, {}, id-data, certificates, {} }, or with the signer but without its [0]. */
static void put_unsigned(struct world *w, bool with_signer, struct mu_buf *out)
{
    struct mu_buf signature = {0};
    size_t m[6];

    world_ok(mu_pki_key_sign(world_key(KEY_CA), MU_PKI_SHA256, mu_bytes_str("x"), &signature, &world_err));
    m[0] = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, "1.2.840.113549.1.7.2");
    m[1] = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
    m[2] = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_int(out, 1);
    m[3] = mu_der_open(out, MU_DER_SET);
    mu_pki_digest_encode(out, MU_PKI_SHA256);
    mu_der_close(out, m[3]);
    m[3] = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, "1.2.840.113549.1.7.1");
    m[4] = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(0));
    mu_der_put(out, MU_DER_OCTET_STRING, mu_bytes_str("x"));
    mu_der_close(out, m[4]);
    mu_der_close(out, m[3]);
    mu_der_put(out, MU_DER_CONTEXT_CONSTRUCTED(0), w->ca->der);
    m[3] = mu_der_open(out, MU_DER_SET);
    if (with_signer) {
        m[4] = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put_int(out, 1);
        m[5] = mu_der_open(out, MU_DER_SEQUENCE);
        mu_buf_put_bytes(out, w->ca->issuer);
        mu_der_put(out, MU_DER_INTEGER, w->ca->serial);
        mu_der_close(out, m[5]);
        mu_pki_digest_encode(out, MU_PKI_SHA256);
        mu_pki_key_sign_alg(world_key(KEY_CA), MU_PKI_SHA256, out);
        mu_der_put(out, MU_DER_OCTET_STRING, mu_buf_bytes(&signature));
        mu_der_close(out, m[4]);
    }
    mu_der_close(out, m[3]);
    mu_der_close(out, m[2]);
    mu_der_close(out, m[1]);
    mu_der_close(out, m[0]);
    assert_false(out->failed);
    mu_buf_clear(&signature);
}

/* SCEP-35: rightly signed without attributes, it is no pkiMessage all the same. */
static void a_message_without_signer_or_attributes_is_refused(void **state)
{
    static const char *const says[] = {"0 signers", "no signed attributes"};
    unsigned with_signer;

    (void)state;
    for (with_signer = 0; with_signer <= 1; with_signer++) {
        struct world w;
        struct mu_scep_msg msg = {0};
        struct mu_pki_signed cms = {0};
        struct mu_buf body = {0};

        world_init(&w);
        put_unsigned(&w, with_signer, &body);
        world_ok(mu_pki_signed_decode(mu_buf_bytes(&body), &cms, &world_err));
        if (with_signer)
            world_ok(mu_pki_signed_verify(&cms, w.ca, false, &world_err));
        mu_pki_signed_clear(&cms);
        assert_int_equal(mu_scep_msg_decode(mu_buf_bytes(&body), &msg, &world_err), MU_INPUT);
        if (strstr(world_err.what, says[with_signer]) == NULL)
            fail_msg("%s", world_err.what);
        mu_buf_clear(&body);
        world_clear(&w);
    }
}

/* Cut at any place, or with rest behind, it is refused and nothing leaks. */
static void every_truncation_is_refused(void **state)
{
    struct world w;
    struct mu_pki_certs certs = {0};
    struct mu_scep_msg msg = {0};
    struct mu_buf body = {0};
    struct mu_scep_msg_params params;
    size_t i;

    (void)state;
    world_init(&w);
    params = good(&w, &certs);
    world_ok(mu_scep_msg_encode(&params, &body, &world_err));
    for (i = 0; i < body.n; i++)
        assert_int_not_equal(mu_scep_msg_decode(mu_bytes(body.p, i), &msg, &world_err), MU_OK);
    mu_buf_put_byte(&body, 0x30);
    assert_int_not_equal(mu_scep_msg_decode(mu_buf_bytes(&body), &msg, &world_err), MU_OK);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&body);
    world_clear(&w);
}

static void poll_and_serial_data(void **state)
{
    static const uint8_t issuer[] = {0x30, 0x00}, subject[] = {0x30, 0x02, 0x05, 0x00};
    struct mu_buf b = {0};
    struct mu_bytes x, y;

    (void)state;
    mu_scep_msg_put_poll(&b, mu_bytes(issuer, 2), mu_bytes(subject, 4));
    assert_true(mu_scep_msg_get_poll(mu_buf_bytes(&b), &x, &y));
    assert_true(mu_bytes_equal(x, mu_bytes(issuer, 2)));
    assert_true(mu_bytes_equal(y, mu_bytes(subject, 4)));
    assert_false(mu_scep_msg_get_serial(mu_buf_bytes(&b), &x, &y));
    assert_false(mu_scep_msg_get_poll(mu_bytes(b.p, b.n - 1), &x, &y));
    mu_buf_reset(&b);
    mu_scep_msg_put_serial(&b, mu_bytes(issuer, 2), mu_bytes("\x00\xff", 2));
    assert_true(mu_scep_msg_get_serial(mu_buf_bytes(&b), &x, &y));
    assert_true(mu_bytes_equal(y, mu_bytes("\x00\xff", 2)));
    assert_false(mu_scep_msg_get_poll(mu_buf_bytes(&b), &x, &y));
    mu_buf_put_byte(&b, 0);
    assert_false(mu_scep_msg_get_serial(mu_buf_bytes(&b), &x, &y));
    mu_buf_clear(&b);
}

static void names_of_numbers(void **state)
{
    (void)state;
    assert_string_equal(mu_scep_type_name(3), "CertRep");
    assert_string_equal(mu_scep_type_name(17), "RenewalReq");
    assert_string_equal(mu_scep_type_name(19), "PKCSReq");
    assert_string_equal(mu_scep_type_name(20), "CertPoll");
    assert_string_equal(mu_scep_type_name(4), "unknown");
    assert_string_equal(mu_scep_status_name(0), "SUCCESS");
    assert_string_equal(mu_scep_status_name(2), "FAILURE");
    assert_string_equal(mu_scep_status_name(3), "PENDING");
    assert_string_equal(mu_scep_status_name(1), "unknown");
    assert_string_equal(mu_scep_fail_info_name(0), "badAlg");
    assert_string_equal(mu_scep_fail_info_name(4), "badCertId");
    assert_string_equal(mu_scep_fail_info_name(5), "unknown");
    assert_string_equal(mu_scep_fail_info_name(-1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(numbers_are_printable_strings_on_the_wire),
        cmocka_unit_test(a_raw_transaction_id_is_echoed_octet_by_octet),
        cmocka_unit_test(what_is_missing_or_unknown_is_named),
        cmocka_unit_test(unknown_attributes_are_ignored),
        cmocka_unit_test(a_message_without_signer_or_attributes_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(poll_and_serial_data),
        cmocka_unit_test(names_of_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
