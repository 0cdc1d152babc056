/* Signed attributes one at a time: what is right, what is forgiven and noted, what is refused
 * (SCEP-41..46, INTEROP 3.9). */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "proto/scep/scep_attr.h"

/* A SignedData with the list as its attributes, decoded. */
static void sign(struct world *w, struct mu_scep_attr_list *list, struct mu_pki_signed *cms)
{
    struct mu_pki_certs certs = {0};
    struct mu_pki_signed_params params = {
        .content = mu_bytes_str("x"),
        .key = world_key(KEY_CA),
        .cert = w->ca,
        .digest = MU_PKI_SHA256,
        .certs = &certs,
    };
    struct mu_buf body = {0};

    world_ok(mu_scep_attr_finish(list, &world_err));
    params.attrs = list->v;
    params.attr_n = list->n;
    world_ok(mu_pki_signed_encode(&params, &body, &world_err));
    world_ok(mu_pki_signed_decode(mu_buf_bytes(&body), cms, &world_err));
    mu_buf_clear(&body);
    mu_scep_attr_clear(list);
}

static void numbers(void **state)
{
    static const struct {
        unsigned tag; const char *content; size_t n; enum mu_code code; int value; bool strange;
    } rows[] = {
        {MU_DER_PRINTABLE_STRING, "19", 2, MU_OK, 19, false},
        {MU_DER_PRINTABLE_STRING, "0", 1, MU_OK, 0, false},
        {MU_DER_UTF8_STRING, "3", 1, MU_OK, 3, true},
        {MU_DER_INTEGER, "\x13", 1, MU_INPUT, 0, false},      /* SCEP-43 */
        {MU_DER_PRINTABLE_STRING, "03", 2, MU_INPUT, 0, false}, /* padding */
        {MU_DER_PRINTABLE_STRING, "", 0, MU_INPUT, 0, false},
        {MU_DER_PRINTABLE_STRING, "-1", 2, MU_INPUT, 0, false},
        {MU_DER_PRINTABLE_STRING, "1 ", 2, MU_INPUT, 0, false},
        {MU_DER_PRINTABLE_STRING, "1\0", 2, MU_INPUT, 0, false},
        {MU_DER_PRINTABLE_STRING, "1000", 4, MU_INPUT, 0, false},
        {MU_DER_PRINTABLE_STRING, "99999999999999999999", 20, MU_INPUT, 0, false},
    };
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_scep_attr_list list = {.n = 0};
        struct mu_pki_signed cms = {0};
        bool strange = false;
        int value = 77;
        enum mu_code rc;

        mu_scep_attr_put(&list, MU_SCEP_OID_MESSAGE_TYPE, rows[i].tag,
            mu_bytes(rows[i].content, rows[i].n));
        sign(&w, &list, &cms);
        rc = mu_scep_attr_number(
            &cms, MU_SCEP_OID_MESSAGE_TYPE, "messageType", &value, &strange, &world_err);
        if (rc != rows[i].code)
            fail_msg("row %zu: %d", i, (int)rc);
        assert_int_equal(value, rc == MU_OK ? rows[i].value : 77);
        assert_int_equal(strange, rows[i].strange);
        world_ok(mu_scep_attr_number(
            &cms, MU_SCEP_OID_PKI_STATUS, "pkiStatus", &value, &strange, &world_err));
        assert_int_equal(value, -1);
        mu_pki_signed_clear(&cms);
    }
    world_clear(&w);
}

static void nonces(void **state)
{
    static const uint8_t octets[80] = {1, 2, 3};
    static const struct { unsigned tag; size_t n; enum mu_code code; bool strange; } rows[] = {
        {MU_DER_OCTET_STRING, 16, MU_OK, false},
        {MU_DER_OCTET_STRING, 20, MU_OK, true},
        {MU_DER_OCTET_STRING, 0, MU_OK, true},
        {MU_DER_OCTET_STRING, 64, MU_OK, true},
        {MU_DER_OCTET_STRING, 65, MU_INPUT, false},
        {MU_DER_PRINTABLE_STRING, 16, MU_INPUT, false},
    };
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_scep_attr_list list = {.n = 0};
        struct mu_pki_signed cms = {0};
        struct mu_scep_nonce nonce = {.n = 0};
        bool strange = false;

        mu_scep_attr_put(
            &list, MU_SCEP_OID_SENDER_NONCE, rows[i].tag, mu_bytes(octets, rows[i].n));
        sign(&w, &list, &cms);
        assert_int_equal(mu_scep_attr_nonce(&cms, MU_SCEP_OID_SENDER_NONCE, "senderNonce", &nonce,
                             &strange, &world_err),
            rows[i].code);
        assert_int_equal(strange, rows[i].strange);
        assert_int_equal(nonce.n, rows[i].code == MU_OK ? rows[i].n : 0);
        mu_pki_signed_clear(&cms);
    }
    world_clear(&w);
}

/* As text, or hex of what is none; the element itself is kept for the answer. */
static void transaction_ids(void **state)
{
    static const char longest[257]
        = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    static const struct {
        unsigned tag; const char *content; size_t n; const char *text; bool strange;
    } rows[] = {
        {MU_DER_PRINTABLE_STRING, "2B9E", 4, "2B9E", false},
        {MU_DER_PRINTABLE_STRING, "a+/=", 4, "a+/=", false},
        {MU_DER_UTF8_STRING, "abc", 3, "abc", true},
        {MU_DER_PRINTABLE_STRING, "\x00\xff\x10", 3, "00FF10", true}, /* a raw digest */
        {MU_DER_PRINTABLE_STRING, "a b", 3, "612062", true},
        {MU_DER_PRINTABLE_STRING, longest, 256, longest, false},
        {MU_DER_PRINTABLE_STRING, longest, 257, NULL, false},
        {MU_DER_PRINTABLE_STRING, "", 0, NULL, false},
        {MU_DER_INTEGER, "\x01", 1, NULL, false},
    };
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_scep_attr_list list = {.n = 0};
        struct mu_pki_signed cms = {0};
        struct mu_bytes raw = {NULL, 0};
        char *text = NULL;
        bool strange = false;
        enum mu_code rc;

        mu_scep_attr_put(&list, MU_SCEP_OID_TRANSACTION_ID, rows[i].tag,
            mu_bytes(rows[i].content, rows[i].n));
        sign(&w, &list, &cms);
        rc = mu_scep_attr_transaction_id(&cms, &raw, &text, &strange, &world_err);
        if (rows[i].text == NULL) {
            assert_int_equal(rc, MU_INPUT);
            assert_null(text);
        } else {
            world_ok(rc);
            assert_int_equal(strncmp(text, rows[i].text, 256), 0);
            assert_int_equal(strange, rows[i].strange);
            assert_int_equal(raw.p[0], rows[i].tag);
            assert_memory_equal(raw.p + raw.n - rows[i].n, rows[i].content, rows[i].n);
        }
        free(text);
        mu_pki_signed_clear(&cms);
    }
    world_clear(&w);
}

/* One attribute, one value: twice is refused (DEPENDENCIES 5). */
static void an_attribute_given_twice_is_refused(void **state)
{
    struct world w;
    struct mu_scep_attr_list list = {.n = 0};
    struct mu_pki_signed cms = {0};
    bool strange = false;
    int value;

    (void)state;
    world_init(&w);
    mu_scep_attr_put_number(&list, MU_SCEP_OID_MESSAGE_TYPE, 19);
    mu_scep_attr_put_number(&list, MU_SCEP_OID_MESSAGE_TYPE, 17);
    sign(&w, &list, &cms);
    assert_int_equal(mu_scep_attr_number(&cms, MU_SCEP_OID_MESSAGE_TYPE, "messageType", &value,
                         &strange, &world_err),
        MU_INPUT);
    mu_pki_signed_clear(&cms);
    world_clear(&w);
}

static void texts_are_escaped_or_left_out(void **state)
{
    static const struct { unsigned tag; const char *content; size_t n; const char *part; } rows[]
        = {
            {MU_DER_UTF8_STRING, "no", 2, "no"},
            {MU_DER_PRINTABLE_STRING, "no", 2, "no"},
            {MU_DER_UTF8_STRING, "a\x07", 2, "a\\x07"},
            {MU_DER_UTF8_STRING, "\xff\xfe", 2, NULL},
            {MU_DER_INTEGER, "\x01", 1, NULL},
        };
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_scep_attr_list list = {.n = 0};
        struct mu_pki_signed cms = {0};
        char *text = NULL;
        bool strange = false;

        mu_scep_attr_put(&list, MU_SCEP_OID_FAIL_INFO_TEXT, rows[i].tag,
            mu_bytes(rows[i].content, rows[i].n));
        sign(&w, &list, &cms);
        world_ok(mu_scep_attr_text(
            &cms, MU_SCEP_OID_FAIL_INFO_TEXT, &text, &strange, &world_err));
        if (rows[i].part == NULL)
            assert_true(text == NULL || strpbrk(text, "\xff\xfe") == NULL);
        else
            assert_string_equal(text, rows[i].part);
        free(text);
        mu_pki_signed_clear(&cms);
    }
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(nonces),
        cmocka_unit_test(transaction_ids),
        cmocka_unit_test(an_attribute_given_twice_is_refused),
        cmocka_unit_test(texts_are_escaped_or_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
