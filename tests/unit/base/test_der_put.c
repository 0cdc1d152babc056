/* DER written: what comes out, octet by octet, and that it reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/der.h"
#include "base/text.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct mu_buf hex_buf;

/* Octets from hex; the next call invalidates them. */
static struct mu_bytes hex(const char *text)
{
    mu_buf_clear(&hex_buf);
    assert_int_equal(mu_text_unhex(text, &hex_buf, NULL), MU_OK);
    return mu_buf_bytes(&hex_buf);
}

static void assert_hex(const struct mu_buf *b, const char *want)
{
    struct mu_buf text = {0};

    assert_false(b->failed);
    mu_text_hex_lower(&text, mu_buf_bytes(b), 0);
    assert_string_equal(mu_buf_str(&text), want);
    mu_buf_clear(&text);
}

static void integers_both_ways(void **state)
{
    static const struct {
        int64_t v;
        const char *der;
    } cases[] = {
        {0, "020100"}, {1, "020101"}, {127, "02017f"}, {128, "02020080"}, {255, "020200ff"},
        {256, "02020100"}, {-1, "0201ff"}, {-128, "020180"}, {-129, "0202ff7f"},
        {INT64_MAX, "02087fffffffffffffff"}, {INT64_MIN, "02088000000000000000"},
    };
    int64_t v = 4711;
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_buf b = {0};

        mu_der_put_int(&b, cases[i].v);
        assert_hex(&b, cases[i].der);
        assert_true(mu_der_int(mu_bytes(b.p + 2, b.n - 2), &v));
        assert_int_equal(v, cases[i].v);
        mu_buf_clear(&b);
    }
}

static void magnitudes_get_their_sign_octet(void **state)
{
    static const struct {
        const char *magnitude, *der;
    } cases[] = {{"", "020100"}, {"00", "020100"}, {"000000", "020100"}, {"7f", "02017f"},
        {"80", "02020080"}, {"0080", "02020080"}, {"00007f", "02017f"},
        {"ffeeddccbbaa99887766554433221100", "021100ffeeddccbbaa99887766554433221100"}};
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_buf b = {0};

        mu_der_put_unsigned(&b, hex(cases[i].magnitude));
        assert_hex(&b, cases[i].der);
        mu_buf_clear(&b);
    }
}

static void bit_strings_of_whole_octets(void **state)
{
    struct mu_buf b = {0};
    struct mu_bytes bits;

    mu_der_put_bits(&b, hex("0102"));
    assert_hex(&b, "0303000102");
    assert_true(mu_der_bits(mu_bytes(b.p + 2, 3), &bits));
    assert_int_equal(bits.n, 2);
    mu_buf_clear(&b);
}

static void times_change_form_in_2050(void **state)
{
    static const struct {
        int64_t t;
        const char *der_text;
        unsigned tag;
    } cases[] = {
        {1732189931, "241121115211Z", MU_DER_UTC_TIME},
        {2524607999, "491231235959Z", MU_DER_UTC_TIME},
        {2524608000, "20500101000000Z", MU_DER_GENERALIZED_TIME},
        {-631152000, "500101000000Z", MU_DER_UTC_TIME},
        {-631152001, "19491231235959Z", MU_DER_GENERALIZED_TIME},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_buf b = {0};
        struct mu_der el;
        int64_t t;

        mu_der_put_time(&b, cases[i].t);
        assert_true(mu_der_only(mu_buf_bytes(&b), cases[i].tag, &el));
        assert_true(mu_bytes_equal(el.value, mu_bytes_str(cases[i].der_text)));
        assert_true(mu_der_time(&el, &t));
        assert_int_equal(t, cases[i].t);
        el.tag = MU_DER_IA5_STRING;
        assert_false(mu_der_time(&el, &t));
        mu_buf_clear(&b);
    }
}

static void a_string_is_printable_if_it_fits(void **state)
{
    static const struct {
        const char *text;
        unsigned tag;
    } cases[] = {{"Example Org. (NL)", MU_DER_PRINTABLE_STRING}, {"", MU_DER_PRINTABLE_STRING},
        {"a@b", MU_DER_UTF8_STRING}, {"a*b", MU_DER_UTF8_STRING}, {"a_b", MU_DER_UTF8_STRING},
        {"\xc3\xa4", MU_DER_UTF8_STRING}, {"a&b", MU_DER_UTF8_STRING}};
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_buf b = {0};

        mu_der_put_string(&b, cases[i].text);
        assert_int_equal(mu_der_peek(mu_buf_bytes(&b)), cases[i].tag);
        assert_int_equal(b.n, 2 + strlen(cases[i].text));
        mu_buf_clear(&b);
    }
}

static void elements_nest_and_headers_grow(void **state)
{
    struct mu_buf b = {0};
    struct mu_bytes in;
    struct mu_der outer, inner;
    uint8_t octets[300];
    size_t n, seq, tagged;

    for (n = 0; n < sizeof octets; n++)
        octets[n] = (uint8_t)n;
    for (n = 0; n < sizeof octets; n++) {
        mu_buf_reset(&b);
        seq = mu_der_open(&b, MU_DER_SEQUENCE);
        tagged = mu_der_open(&b, MU_DER_CONTEXT_CONSTRUCTED(0));
        mu_der_put(&b, MU_DER_OCTET_STRING, mu_bytes(octets, n));
        mu_der_close(&b, tagged);
        mu_der_put_bool(&b, true);
        mu_der_put_bool(&b, false);
        mu_der_put_null(&b);
        mu_der_close(&b, seq);
        assert_true(mu_der_valid(mu_buf_bytes(&b), 2));
        assert_true(mu_der_only(mu_buf_bytes(&b), MU_DER_SEQUENCE, &outer));
        in = outer.value;
        assert_true(mu_der_get(&in, 0xa0, &inner));
        assert_true(mu_der_only(inner.value, MU_DER_OCTET_STRING, &inner));
        assert_true(mu_bytes_equal(inner.value, mu_bytes(octets, n)));
        assert_true(mu_bytes_equal(in, hex("0101ff 010100 0500")));
    }
    mu_buf_clear(&b);
}

static void a_writer_that_hits_its_ceiling_fails_quietly(void **state)
{
    size_t max, mark, inner;

    for (max = 1; max < 300; max++) {
        struct mu_buf b;

        mu_buf_init(&b, max);
        mark = mu_der_open(&b, MU_DER_SEQUENCE);
        inner = mu_der_open(&b, MU_DER_SET);
        mu_der_put(&b, MU_DER_OCTET_STRING, mu_bytes(hex("00").p, 1));
        if (mu_buf_grow(&b, 200) != NULL)
            memset(b.p + b.n - 200, 5, 200);
        mu_der_close(&b, inner);
        mu_der_put_oid(&b, "1.2.3");
        mu_der_put_time(&b, 0);
        mu_der_close_set_of(&b, mark);
        assert_int_equal(mu_buf_check(&b, "x", NULL), max >= 228 ? MU_OK : MU_MEMORY);
        mu_buf_clear(&b);
    }
}

static void set_of_is_sorted(void **state)
{
    struct mu_buf b = {0};
    size_t mark = mu_der_open(&b, MU_DER_SET);

    mu_buf_put_bytes(&b, hex("0403010203 020105 04020102 0500 020104 0403010202"));
    mu_der_close_set_of(&b, mark);
    assert_hex(&b, "3116" "020104" "020105" "04020102" "0403010202" "0403010203" "0500");
    mu_buf_reset(&b);
    mark = mu_der_open(&b, MU_DER_CONTEXT_CONSTRUCTED(0));
    mu_der_close_set_of(&b, mark);
    assert_hex(&b, "a000");
    mu_buf_reset(&b);
    mark = mu_der_open(&b, MU_DER_SET);
    mu_buf_put_bytes(&b, hex("0405"));
    mu_der_close_set_of(&b, mark);
    assert_true(b.failed);
    mu_buf_clear(&b);
}

static int teardown(void **state)
{
    mu_buf_clear(&hex_buf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_both_ways),
        cmocka_unit_test(magnitudes_get_their_sign_octet),
        cmocka_unit_test(bit_strings_of_whole_octets),
        cmocka_unit_test(times_change_form_in_2050),
        cmocka_unit_test(a_string_is_printable_if_it_fits),
        cmocka_unit_test(elements_nest_and_headers_grow),
        cmocka_unit_test(a_writer_that_hits_its_ceiling_fails_quietly),
        cmocka_unit_test(set_of_is_sorted),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
