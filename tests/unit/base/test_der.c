/* DER: what the cursor takes and refuses, values, and that what is written reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/der.h"
#include "base/limits.h"
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

static void the_cursor_takes_elements_in_turn(void **state)
{
    struct mu_bytes in = hex("020105 0500 0403010203");
    struct mu_der el;

    assert_int_equal(mu_der_peek(in), MU_DER_INTEGER);
    assert_false(mu_der_get(&in, MU_DER_NULL, &el));
    assert_true(mu_der_get(&in, MU_DER_INTEGER, &el));
    assert_int_equal(el.value.n, 1);
    assert_int_equal(el.whole.n, 3);
    assert_true(mu_der_next(&in, &el));
    assert_int_equal(el.tag, MU_DER_NULL);
    assert_true(mu_der_next(&in, &el));
    assert_int_equal(el.value.n, 3);
    assert_int_equal(el.value.p[2], 3);
    assert_int_equal(in.n, 0);
    assert_int_equal(mu_der_peek(in), -1);
    assert_false(mu_der_next(&in, &el));
    assert_false(mu_der_get(&in, MU_DER_NULL, &el));
}

static void bad_headers_are_refused_and_leave_the_cursor(void **state)
{
    static const char *const bad[] = {
        "",                   /* nothing */
        "30",                 /* no length */
        "0402ff",             /* beyond the end */
        "3080 0000",          /* indefinite */
        "048105 0102030405",  /* not minimal: short form would do */
        "0482 0005 01",       /* leading zero */
        "04820080",           /* the same, beyond the end */
        "048400000001 00",    /* long way to say one */
        "04850000000001 00",  /* five length octets */
        "0484ffffffff 00",    /* beyond the end */
        "04ff",               /* reserved */
        "0482 01",            /* length cut short */
        "1f1f00",             /* high tag number */
        "bf8101 00",
    };
    size_t i;

    for (i = 0; i < LEN(bad); i++) {
        struct mu_bytes in = hex(bad[i]), before = in;
        struct mu_der el;

        assert_false(mu_der_next(&in, &el));
        assert_ptr_equal(in.p, before.p);
        assert_int_equal(in.n, before.n);
        if (in.n != 0)
            assert_false(mu_der_optional(&in, 0x30, &el));
        assert_false(mu_der_valid(before, 8));
    }
}

static void long_lengths_are_read(void **state)
{
    static const size_t lengths[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 300000};
    static uint8_t zeros[300000];
    size_t i;

    for (i = 0; i < LEN(lengths); i++) {
        struct mu_buf b = {0};
        struct mu_bytes in;
        struct mu_der el;

        mu_der_put(&b, MU_DER_OCTET_STRING, mu_bytes(zeros, lengths[i]));
        in = mu_buf_bytes(&b);
        assert_true(mu_der_next(&in, &el));
        assert_int_equal(el.value.n, lengths[i]);
        assert_int_equal(in.n, 0);
        mu_buf_clear(&b);
    }
}

static void an_optional_element_is_taken_only_if_it_is_there(void **state)
{
    struct mu_bytes in = hex("a003020105 0500");
    struct mu_der el;

    assert_true(mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &el));
    assert_null(el.whole.p);
    assert_true(mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el));
    assert_int_equal(el.value.n, 3);
    assert_true(mu_der_optional(&in, MU_DER_NULL, &el));
    assert_non_null(el.whole.p);
    assert_true(mu_der_optional(&in, MU_DER_NULL, &el));
    assert_null(el.whole.p);
}

static void only_means_nothing_else(void **state)
{
    struct mu_der el = {0};

    assert_true(mu_der_only(hex("020105"), MU_DER_INTEGER, &el));
    assert_false(mu_der_only(hex("020105"), MU_DER_ENUMERATED, &el));
    assert_false(mu_der_only(hex("02010500"), MU_DER_INTEGER, &el));
    assert_false(mu_der_only(hex(""), MU_DER_INTEGER, &el));
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
    static const char *const bad[] = {"", "0001", "ff80", "0000", "ffff", "008000000000000000"};
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
    v = 4711;
    for (i = 0; i < LEN(bad); i++)
        assert_false(mu_der_int(hex(bad[i]), &v));
    assert_int_equal(v, 4711);
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
    assert_false(mu_der_bits(hex("0102"), &bits));
    assert_false(mu_der_bits(hex(""), &bits));
    mu_buf_clear(&b);
}

static void oids_both_ways(void **state)
{
    static const struct {
        const char *text, *der;
    } cases[] = {
        {"1.2.840.113549.1.9.7", "06092a864886f70d010907"},
        {"2.16.840.1.113733.1.9.2", "060a6086480186f845010902"},
        {"0.0", "060100"}, {"0.39", "060127"}, {"1.0", "060128"}, {"2.0", "060150"},
        {"2.5.4.3", "0603550403"}, {"2.999.3", "0603883703"},
        /* The UUID of X.667 */
        {"2.25.329800735698586629295641978511506172918",
            "06146983f09da7ebcfdee0c7a1a7b2c0948cc8f9d776"},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_buf b = {0}, text = {0};
        struct mu_bytes value;

        mu_der_put_oid(&b, cases[i].text);
        assert_hex(&b, cases[i].der);
        value = mu_bytes(b.p + 2, b.n - 2);
        assert_true(mu_der_oid_is(value, cases[i].text));
        assert_false(mu_der_oid_is(value, "1.2.3"));
        value.n--;
        assert_false(mu_der_oid_is(value, cases[i].text));
        value.n++;
        assert_true(mu_der_oid_format(value, &text));
        assert_string_equal(mu_buf_str(&text), cases[i].text);
        mu_buf_clear(&text);
        mu_buf_clear(&b);
    }
}

static void bad_oids_are_refused_both_ways(void **state)
{
    static const char *const octets[] = {"", "80", "2a80", "2a8001", "2a86", "8037",
        "2affffffffffffffffffffffffffffffffffffff7f"};
    static const char *const texts[] = {"", "1", "1.", ".1", "3.1", "1.40", "1.2..3", "1.2.", "1.x",
        "1.2 ", "1.2.-3", "1.2.999999999999999999999999999999999999999999"};
    struct mu_buf text = {0};
    size_t i;

    mu_buf_put_byte(&text, '+');
    for (i = 0; i < LEN(octets); i++) {
        assert_false(mu_der_oid_format(hex(octets[i]), &text));
        assert_string_equal(mu_buf_str(&text), "+");
        assert_false(mu_der_oid_is(hex(octets[i]), "1.2"));
    }
    for (i = 0; i < LEN(texts); i++) {
        struct mu_buf b = {0};

        assert_false(mu_der_oid_is(hex(""), texts[i]));
        mu_der_put_oid(&b, texts[i]);
        assert_true(b.failed);
        mu_buf_clear(&b);
    }
    mu_buf_clear(&text);
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

static void strings_of_every_type_become_utf8(void **state)
{
    static const struct {
        const char *der, *text; /* NULL: refused */
    } cases[] = {
        {"0c03414243", "ABC"}, {"0c02c3a4", "\xc3\xa4"}, {"1303414243", "ABC"},
        {"13012a", "*"}, {"1203313233", "123"}, {"1603404142", "@AB"}, {"1a0141", "A"},
        {"140141", "A"}, {"1401e4", "\xc3\xa4"},
        {"1e04004100e4", "A\xc3\xa4"}, {"1e0220ac", "\xe2\x82\xac"},
        {"1c080000004100 01f511", "A\xf0\x9f\x94\x91"}, {"0c00", ""}, {"1e00", ""},
        {"0c02c328", NULL}, {"0c0141" "00", NULL}, {"0c03410042", NULL}, {"1303410042", NULL},
        {"1601e4", NULL}, {"1301ff", NULL}, {"1e0141", NULL}, {"1e02d800", NULL},
        {"1e020000", NULL}, {"1c0400110000", NULL}, {"1c03000041", NULL}, {"0403414243", NULL},
        {"820141", NULL},
    };
    struct mu_buf b = {0};
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct mu_bytes in = hex(cases[i].der);
        struct mu_der el;
        bool ok = mu_der_next(&in, &el) && in.n == 0;

        mu_buf_reset(&b);
        mu_buf_put_byte(&b, '+');
        ok = ok && mu_der_string(&el, &b);
        assert_int_equal(ok, cases[i].text != NULL);
        assert_string_equal(mu_buf_str(&b) + 1, ok ? cases[i].text : "");
    }
    mu_buf_clear(&b);
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

static void valid_der_and_what_is_none(void **state)
{
    static const struct {
        const char *der;
        unsigned depth;
        bool valid;
    } cases[] = {
        {"020105", 0, true}, {"3003020105", 1, true}, {"3000", 1, true}, {"0101ff", 0, true},
        {"a00530030101ff", 2, true}, {"2800", 1, true}, {"8000", 0, true}, {"03020780", 0, true},
        {"3003020105", 0, false},      /* too deep */
        {"30053003020105", 1, false},
        {"02010500", 0, false},        /* a rest */
        {"3004020105" "00", 1, false}, {"3003020205", 1, false},
        {"0100", 0, false}, {"01020000", 0, false}, {"010101", 0, false}, {"0200", 0, false},
        {"02020001", 0, false}, {"0300", 0, false}, {"030108", 0, false}, {"030101", 0, false},
        {"050100", 0, false}, {"0600", 0, false}, {"060180", 0, false}, {"06022a80", 0, false},
        {"2403040101", 1, false},      /* a string in pieces */
        {"1003020105", 1, false},      /* a primitive SEQUENCE */
        {"0000", 1, false}, {"30020000", 1, false}, {"2203020105", 1, false},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++)
        assert_int_equal(mu_der_valid(hex(cases[i].der), cases[i].depth), cases[i].valid);
}

static int teardown(void **state)
{
    mu_buf_clear(&hex_buf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cursor_takes_elements_in_turn),
        cmocka_unit_test(bad_headers_are_refused_and_leave_the_cursor),
        cmocka_unit_test(long_lengths_are_read),
        cmocka_unit_test(an_optional_element_is_taken_only_if_it_is_there),
        cmocka_unit_test(only_means_nothing_else),
        cmocka_unit_test(integers_both_ways),
        cmocka_unit_test(magnitudes_get_their_sign_octet),
        cmocka_unit_test(bit_strings_of_whole_octets),
        cmocka_unit_test(oids_both_ways),
        cmocka_unit_test(bad_oids_are_refused_both_ways),
        cmocka_unit_test(times_change_form_in_2050),
        cmocka_unit_test(strings_of_every_type_become_utf8),
        cmocka_unit_test(a_string_is_printable_if_it_fits),
        cmocka_unit_test(elements_nest_and_headers_grow),
        cmocka_unit_test(a_writer_that_hits_its_ceiling_fails_quietly),
        cmocka_unit_test(set_of_is_sorted),
        cmocka_unit_test(valid_der_and_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
