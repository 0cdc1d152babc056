/* DER: what the cursor takes and refuses, and values. */
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

static void bad_integers_are_refused(void **state)
{
    static const char *const bad[] = {"", "0001", "ff80", "0000", "ffff", "008000000000000000"};
    int64_t v = 4711;
    size_t i;

    for (i = 0; i < LEN(bad); i++)
        assert_false(mu_der_int(hex(bad[i]), &v));
    assert_int_equal(v, 4711);
    assert_true(mu_der_int(hex("ff7f"), &v));
    assert_int_equal(v, -129);
}

static void bits_that_are_no_whole_octets_are_refused(void **state)
{
    struct mu_bytes bits;

    assert_true(mu_der_bits(hex("000102"), &bits));
    assert_int_equal(bits.n, 2);
    assert_true(mu_der_bits(hex("00"), &bits));
    assert_int_equal(bits.n, 0);
    assert_false(mu_der_bits(hex("0102"), &bits));
    assert_false(mu_der_bits(hex(""), &bits));
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
        cmocka_unit_test(bad_integers_are_refused),
        cmocka_unit_test(bits_that_are_no_whole_octets_are_refused),
        cmocka_unit_test(strings_of_every_type_become_utf8),
        cmocka_unit_test(valid_der_and_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
