/* BER to DER: what is made right, what stays as it is, what is refused; and in what time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "base/der.h"
#include "base/limits.h"
#include "base/text.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

struct conversion {
    const char *ber;
    const char *der;
};

/* As OpenSSL streams an EnvelopedData (openssl cms -encrypt -stream -keyid). */
static const struct conversion enveloped = {
      "308006092a864886f70d010703a08030800201023181ae3081ab0201028014071acdb8fb90e12ffc0ed5a4ba12"
      "276ff8cfd7ce300d06092a864886f70d010101050004818029e2eff2c99dfa1a778cc452833d205573fea2f2f0"
      "b1f868e0e5f70d6d69e1231d9d43a1e2e11574e90e5c2cbed30d8b8da72bf3b27636c2ba6dadb51f14ddf96370"
      "448fd04eff3e3fcb47476183b934ca236b1dd5ef8946de55620c0da9501e00aabac93415de52d2071c510a47a9"
      "d8d20f3a98d7ed4324281720e0ba47a888308006092a864886f70d010701301d06096086480165030401020410"
      "7d1811e5c98d6f29946b5f3ff1007974a080042014192269c95b9258c9348e53028d553c746304294f08154f79"
      "a6bbc50e23452c0410335f8a84d545ab4a2fe238e8beb4cac600000000000000000000",
      "3082012506092a864886f70d010703a0820116308201120201023181ae3081ab0201028014071acdb8fb90e12f"
      "fc0ed5a4ba12276ff8cfd7ce300d06092a864886f70d010101050004818029e2eff2c99dfa1a778cc452833d20"
      "5573fea2f2f0b1f868e0e5f70d6d69e1231d9d43a1e2e11574e90e5c2cbed30d8b8da72bf3b27636c2ba6dadb5"
      "1f14ddf96370448fd04eff3e3fcb47476183b934ca236b1dd5ef8946de55620c0da9501e00aabac93415de52d2"
      "071c510a47a9d8d20f3a98d7ed4324281720e0ba47a888305c06092a864886f70d010701301d06096086480165"
      "0304010204107d1811e5c98d6f29946b5f3ff1007974803014192269c95b9258c9348e53028d553c746304294f"
      "08154f79a6bbc50e23452c335f8a84d545ab4a2fe238e8beb4cac6",
};

/* As OpenSSL streams a SignedData (openssl cms -sign -stream -nodetach -nocerts). */
static const struct conversion signed_data = {
      "308006092a864886f70d010702a0803080020103310d300b0609608648016503040201308006092a864886f70d"
      "010701a08024800428414141414141414141414141414141414141414141414141414141414141414141414141"
      "414141410000000000003181bb3081b80201038014071acdb8fb90e12ffc0ed5a4ba12276ff8cfd7ce300b0609"
      "608648016503040201300d06092a864886f70d01010105000481802d9ae8af171744fb5126b2ba0aae3f8221c7"
      "8291f16f03782bb88b9034b818ea904a6f7c183643ab6c585933f30dd94511797315d80ce8e357ea85413a3bdb"
      "331e37286a8cab8fccb96308a3ec09427feeb80a58f6772085b4db7b7226b24576835783b469542ffb78e8ec0e"
      "667450cbd6dbf384f68e576312b75daaff195529000000000000",
      "3082011c06092a864886f70d010702a082010d30820109020103310d300b060960864801650304020130370609"
      "2a864886f70d010701a02a04284141414141414141414141414141414141414141414141414141414141414141"
      "41414141414141413181bb3081b80201038014071acdb8fb90e12ffc0ed5a4ba12276ff8cfd7ce300b06096086"
      "48016503040201300d06092a864886f70d01010105000481802d9ae8af171744fb5126b2ba0aae3f8221c78291"
      "f16f03782bb88b9034b818ea904a6f7c183643ab6c585933f30dd94511797315d80ce8e357ea85413a3bdb331e"
      "37286a8cab8fccb96308a3ec09427feeb80a58f6772085b4db7b7226b24576835783b469542ffb78e8ec0e6674"
      "50cbd6dbf384f68e576312b75daaff195529",
};

static enum mu_code convert(const char *ber, struct mu_buf *out, size_t *rest_n)
{
    struct mu_buf in = {0};
    bool is_definite;
    enum mu_code rc;

    assert_int_equal(mu_text_unhex(ber, &in, NULL), MU_OK);
    rc = mu_der_from_ber(mu_buf_bytes(&in), out, rest_n, NULL);
    is_definite = mu_der_is_definite(mu_buf_bytes(&in));
    if (rc == MU_OK) {
        size_t n = rest_n != NULL ? in.n - *rest_n : in.n;
        bool same = mu_bytes_equal(mu_bytes(in.p, n), mu_buf_bytes(out));

        assert_int_equal(is_definite, same);
        assert_true(mu_der_is_definite(mu_buf_bytes(out)));
    }
    mu_buf_clear(&in);
    return rc;
}

static void assert_converts(const struct conversion *c)
{
    struct mu_buf out = {0}, text = {0};

    assert_int_equal(convert(c->ber, &out, NULL), MU_OK);
    mu_text_hex_lower(&text, mu_buf_bytes(&out), 0);
    assert_string_equal(mu_buf_str(&text), c->der);
    mu_buf_clear(&out);
    mu_buf_clear(&text);
}

static void der_stays_as_it_is(void **state)
{
    static const char *const cases[] = {"020105", "3000", "3003020105", "a000", "a003040141",
        "3009" "06012a" "a004" "04020102",
        "0302077f", "a10380010a", "0101ff",
        /* [0] around an OCTET STRING in other places than the third */
        "300e" "06012a" "3000" "0500" "a005" "0403010203",
        "300b" "3000" "06012a" "a004" "04020102",
        "310b" "06012a" "3000" "a004" "04020102",
        "300b" "06012a" "3000" "a104" "04020102",
        "300c" "06012a" "3000" "a005" "0203010203"};
    size_t i;

    for (i = 0; i < LEN(cases); i++) {
        struct conversion c = {cases[i], cases[i]};

        assert_converts(&c);
    }
}

static void lengths_become_definite_and_minimal(void **state)
{
    static const struct conversion cases[] = {
        {"3080 0000", "3000"},
        {"3080 020105 0000", "3003020105"},
        {"3080 3080 3080 0500 0000 0000 0000", "3006300430020500"},
        {"308103 020105", "3003020105"},
        {"308400000003 020105", "3003020105"},
        {"0482 0001 41", "040141"},
        {"02 88 0000000000000001 05", "020105"},
        {"a080 a180 0500 0000 0000", "a004a1020500"},
        {"3080 3003 020105 3080 0000 0000", "3007" "3003020105" "3000"},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++)
        assert_converts(&cases[i]);
}

static void strings_in_pieces_are_joined(void **state)
{
    static const struct conversion cases[] = {
        {"2480 04020102 040103 0000", "0403010203"},
        {"2407 04020102 040103", "0403010203"},
        {"2480 2480 040101 0000 2403 040102 040103 0000", "0403010203"},
        {"2480 0000", "0400"},
        {"2400", "0400"},
        {"2403 048100", "0400"},
        {"2380 03020001 03020502 0000", "0303050102"},
        {"2380 2304 03020001 03020402 0000", "0303040102"},
        {"2380 0000", "030100"},
        {"2c80 040141 040142 0000", "0c024142"}, /* X.690 8.21: pieces are OCTET STRINGs */
        {"3380 130141 130142 0000", "13024142"},
        {"3606 160141 040142", "16024142"},
        {"3080 2480 040141 0000 0500 0000", "3005" "040141" "0500"},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++)
        assert_converts(&cases[i]);
}

/* EncryptedContentInfo: [0] IMPLICIT OCTET STRING behind an OID and an AlgorithmIdentifier. */
static void encrypted_content_in_pieces_is_joined(void **state)
{
    static const struct conversion cases[] = {
        {"3080 06012a 3000 a080 04020102 040103 0000 0000", "300a" "06012a" "3000" "8003010203"},
        {"300f 06012a 3000 a008 04020102 2402 0400", "3009" "06012a" "3000" "80020102"},
        {"3080 06012a 3080 0000 a080 2480 040101 0000 040102 0000 0000",
            "3009" "06012a" "3000" "80020102"},
        {"3080 06012a 3000 a080 0000 0000", "3007" "06012a" "3000" "8000"},
        {"3080 06012a 3000 a080 040101 020101 0000 0000",
            "300d" "06012a" "3000" "a006" "040101" "020101"},
    };
    size_t i;

    for (i = 0; i < LEN(cases); i++)
        assert_converts(&cases[i]);
}

static void messages_streamed_by_openssl_become_der(void **state)
{
    assert_converts(&enveloped);
    assert_converts(&signed_data);
}

static void bad_ber_is_refused_and_nothing_is_written(void **state)
{
    /* The last two are only followed by something. */
    static const char *const cases[] = {
        "",
        "30",
        "3080",
        "308000",
        "3080 0500",
        "3080 0500 00",
        "3003 0500",
        "0480 0000",
        "30ff",
        "0485 0100000000 00",
        "0484 ffffffff 00",
        "0482 01",
        "1f2000",
        "3f2000",
        "0000",
        "3002 0000",
        "3004 3080 000000",
        "2403 020101",
        "2480 3000 0000",
        "2380 040101 0000",
        "0300",
        "030108",
        "2380 03020101 03020001 0000",
        "2c03 130141",
        "3080 0000 0000",
        "0201050500",
    };
    struct mu_buf out = {0};
    size_t i;

    mu_buf_put_byte(&out, '+');
    for (i = 0; i < LEN(cases); i++) {
        struct mu_buf in = {0};

        assert_int_equal(mu_text_unhex(cases[i], &in, NULL), MU_OK);
        if (i + 2 < LEN(cases))
            assert_false(mu_der_is_definite(mu_buf_bytes(&in)));
        mu_buf_clear(&in);
        assert_int_equal(convert(cases[i], &out, NULL), MU_INPUT);
        assert_string_equal(mu_buf_str(&out), "+");
    }
    mu_buf_clear(&out);
}

/* A message without content has no octets and no pointer to them. */
static void nothing_at_all_is_refused(void **state)
{
    struct mu_buf out = {0};

    assert_false(mu_der_is_definite(mu_bytes(NULL, 0)));
    assert_int_not_equal(mu_der_from_ber(mu_bytes(NULL, 0), &out, NULL, NULL), MU_OK);
    assert_int_equal(out.n, 0);
    mu_buf_clear(&out);
}

static void a_rest_is_counted_where_it_is_allowed(void **state)
{
    struct mu_buf out = {0};
    size_t rest_n = 99;

    assert_int_equal(convert("3080 0500 0000 0a0b0c", &out, &rest_n), MU_OK);
    assert_int_equal(rest_n, 3);
    assert_int_equal(out.n, 4);
    mu_buf_reset(&out);
    assert_int_equal(convert("0500", &out, &rest_n), MU_OK);
    assert_int_equal(rest_n, 0);
    mu_buf_clear(&out);
}

static void the_output_has_a_ceiling(void **state)
{
    struct mu_bytes in = mu_bytes("\x30\x80\x02\x01\x05\x00\x00", 7);
    struct mu_buf out;
    size_t rest_n = 99;

    mu_buf_init(&out, 4);
    assert_int_equal(mu_der_from_ber(in, &out, &rest_n, NULL), MU_MEMORY);
    assert_int_equal(rest_n, 99);
    assert_int_equal(out.n, 0);
    mu_buf_clear(&out);
    mu_buf_init(&out, 5);
    assert_int_equal(mu_der_from_ber(in, &out, NULL, NULL), MU_OK);
    mu_buf_clear(&out);
}

static void nesting_is_bounded(void **state)
{
    unsigned depth;

    for (depth = MU_LIMIT_DEPTH - 1; depth <= MU_LIMIT_DEPTH + 1; depth++) {
        struct mu_buf in = {0}, out = {0};
        unsigned i;

        for (i = 0; i < depth; i++)
            mu_buf_put(&in, "\x30\x80", 2);
        for (i = 0; i < depth; i++)
            mu_buf_put(&in, "\0\0", 2);
        assert_int_equal(mu_der_from_ber(mu_buf_bytes(&in), &out, NULL, NULL),
            depth <= MU_LIMIT_DEPTH ? MU_OK : MU_INPUT);
        if (depth <= MU_LIMIT_DEPTH)
            assert_true(mu_der_valid(mu_buf_bytes(&out), MU_LIMIT_DEPTH));
        mu_buf_clear(&in);
        mu_buf_clear(&out);
    }
}

/* Who walks each level once for its end and once more for its content doubles the work with every
 * level: 31 levels of that would take years. */
static void nested_indefinite_lengths_do_not_multiply_the_work(void **state)
{
    enum { SIZE = 8 << 20, DEPTH = MU_LIMIT_DEPTH - 1 };
    struct mu_buf in, out;
    clock_t start;
    unsigned i;

    mu_buf_init(&in, 2 * SIZE);
    mu_buf_init(&out, 2 * SIZE);
    for (i = 0; i < DEPTH; i++)
        mu_buf_put(&in, "\x30\x80", 2);
    while (in.n < SIZE)
        mu_buf_put(&in, "\x30\x80\x05\x00\x00\x00", 6);
    for (i = 0; i < DEPTH; i++)
        mu_buf_put(&in, "\0\0", 2);
    start = clock();
    assert_int_equal(mu_der_from_ber(mu_buf_bytes(&in), &out, NULL, NULL), MU_OK);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10);
    assert_true(mu_der_valid(mu_buf_bytes(&out), MU_LIMIT_DEPTH));
    mu_buf_clear(&in);
    mu_buf_clear(&out);
}

/* Every prefix and every changed octet of a real message: refused or converted, never worse. */
static void damaged_messages_do_no_harm(void **state)
{
    struct mu_buf in = {0}, out = {0};
    size_t i;

    assert_int_equal(mu_text_unhex(enveloped.ber, &in, NULL), MU_OK);
    for (i = 0; i < in.n; i++) {
        mu_buf_reset(&out);
        assert_int_equal(mu_der_from_ber(mu_bytes(in.p, i), &out, NULL, NULL), MU_INPUT);
    }
    for (i = 0; i < in.n; i++) {
        in.p[i] ^= 0x81;
        mu_buf_reset(&out);
        if (mu_der_from_ber(mu_buf_bytes(&in), &out, NULL, NULL) == MU_OK)
            assert_true(mu_der_is_definite(mu_buf_bytes(&out)));
        in.p[i] ^= 0x81;
    }
    mu_buf_clear(&in);
    mu_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(der_stays_as_it_is),
        cmocka_unit_test(lengths_become_definite_and_minimal),
        cmocka_unit_test(strings_in_pieces_are_joined),
        cmocka_unit_test(encrypted_content_in_pieces_is_joined),
        cmocka_unit_test(messages_streamed_by_openssl_become_der),
        cmocka_unit_test(bad_ber_is_refused_and_nothing_is_written),
        cmocka_unit_test(nothing_at_all_is_refused),
        cmocka_unit_test(a_rest_is_counted_where_it_is_allowed),
        cmocka_unit_test(the_output_has_a_ceiling),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(nested_indefinite_lengths_do_not_multiply_the_work),
        cmocka_unit_test(damaged_messages_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
