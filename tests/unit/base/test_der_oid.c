/* Object identifiers: text to octets and back, and what is none. */
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

static int teardown(void **state)
{
    mu_buf_clear(&hex_buf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oids_both_ways),
        cmocka_unit_test(bad_oids_are_refused_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
