/* Alternative names: R021's forms, CA-12, comparison. */
#include <openssl/x509v3.h>
#include <string.h>

#include "kit.h"

static void forms_are_read_and_written(void **state)
{
    static const struct {
        const char *text;
        const char *again; /* NULL: the same */
        int openssl[6];    /* GEN_ types, -1 behind the last */
    } rows[] = {
        /* both lines of I9 */
        {"DNS:one.domain.com,DNS:other.domain.org", NULL, {GEN_DNS, GEN_DNS, -1}},
        {"email:my@other.address,RID:1.2.3.4", NULL, {GEN_EMAIL, GEN_RID, -1}},
        {"DNS:firewall-portal1.local.ca,IP:172.18.60.184", NULL, {GEN_DNS, GEN_IPADD, -1}},
        {"dirName:/C=NL/CN=x", NULL, {GEN_DIRNAME, -1}},
        {"otherName:1.2.3;UTF8:text", NULL, {GEN_OTHERNAME, -1}},
        {"otherName:1.3.6.1.4.1.311.20.2.3;UTF8:u@d,DNS:a", NULL, {GEN_OTHERNAME, GEN_DNS, -1}},
        {"otherName:1.2.3;DER:0500", NULL, {GEN_OTHERNAME, -1}},
        {"URI:http://a.example/b?c=d,IP:2001:db8::1", NULL, {GEN_URI, GEN_IPADD, -1}},
        {"dirName:/O=a, b/CN=x,DNS:y", NULL, {GEN_DIRNAME, GEN_DNS, -1}},
        {" dns:A.example , ip:192.0.2.1", "DNS:A.example,IP:192.0.2.1", {GEN_DNS, GEN_IPADD, -1}},
        {"URI:http://h/a\\,x:y", NULL, {GEN_URI, -1}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0}, text = {0};
        kit_ok(mu_pki_san_parse(rows[i].text, &der, kit_err_));
        assert_true(mu_pki_san_format(kit_bytes_of(&der), &text));
        assert_string_equal(mu_buf_str(&text), rows[i].again ? rows[i].again : rows[i].text);
        const uint8_t *p = der.p;
        GENERAL_NAMES *names = d2i_GENERAL_NAMES(NULL, &p, (long)der.n);
        assert_non_null(names);
        int n = 0;
        for (; rows[i].openssl[n] != -1; n++)
            assert_int_equal(sk_GENERAL_NAME_value(names, n)->type, rows[i].openssl[n]);
        assert_int_equal(sk_GENERAL_NAME_num(names), n);
        GENERAL_NAMES_free(names);
        mu_buf_clear(&der);
        mu_buf_clear(&text);
    }
}

static void bad_forms_say_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"FOO:x", "known are DNS: IP: email: URI: RID: dirName: otherName:"}, /* R021 */
        {"a.example", "unknown prefix"},
        {"DNS:a,FOO:b", "'FOO:b' has an unknown prefix"},
        {"DNS:", "is empty"},
        {"DNS:a,DNS:", "is empty"},
        {"DNS:a b", "no DNS name"}, /* CA-12 */
        {"DNS:\xc3\xbc", "no DNS name"},
        {"IP:300.1.1.1", "no IP address"},
        {"IP:a", "no IP address"},
        {"IP:1.2.3.4/24", "no IP address"},
        {"email:x", "no mail address"},
        {"URI:x", "no URI"},
        {"RID:x", "no dotted OID"},
        {"dirName:/C=NLD", "two letters"},
        {"otherName:1.2.3", "OID;UTF8:text"},
        {"otherName:1.2.3;BLA:x", "OID;UTF8:text"},
        {"otherName:x;UTF8:x", "OID;UTF8:text"},
        {"otherName:1.2.3;DER:05", "OID;UTF8:text"},
        {"", "no alternative name"},
        {" ", "no alternative name"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        enum mu_code rc = mu_pki_san_parse(rows[i].text, &der, kit_err());
        if (rc != MU_INPUT || !kit_says(rows[i].says))
            fail_msg("'%s' gives %d", rows[i].text, (int)rc);
        assert_int_equal(der.n, 0);
    }
}

static void sets_compare_by_value(void **state)
{
    static const struct {
        const char *a, *b;
        bool subset, equal; /* a in b */
    } rows[] = {
        {"DNS:a,DNS:b", "DNS:b,DNS:a", true, true},
        {"DNS:A.example", "DNS:a.EXAMPLE", true, true},
        {"DNS:a", "DNS:a,IP:192.0.2.1", true, false},
        {"DNS:a,DNS:c", "DNS:a,DNS:b", false, false},
        {"DNS:a@b", "email:a@b", false, false},
        {"dirName:/CN=X", "dirName:/CN=x", true, true},
        {"email:A@b", "email:a@b", false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf a = {0}, b = {0};
        kit_ok(mu_pki_san_parse(rows[i].a, &a, kit_err_));
        kit_ok(mu_pki_san_parse(rows[i].b, &b, kit_err_));
        if (mu_pki_san_subset(kit_bytes_of(&a), kit_bytes_of(&b)) != rows[i].subset
            || mu_pki_san_equal(kit_bytes_of(&a), kit_bytes_of(&b)) != rows[i].equal)
            fail_msg("row %zu", i);
        mu_buf_clear(&a);
        mu_buf_clear(&b);
    }
    assert_false(mu_pki_san_subset(mu_bytes("\x31\x00", 2), mu_bytes("\x30\x00", 2)));
    assert_false(mu_pki_san_equal(mu_bytes("\x30\x01\x82", 3), mu_bytes("\x30\x01\x82", 3)));
}

static void strange_names_are_shown_somehow(void **state)
{
    /* an IP of 5 octets, an x400Address, control characters in a DNS name */
    static const char der[] = "\x30\x10\x87\x05\x01\x02\x03\x04\x05\xa3\x02\x05\x00\x82\x03"
                              "a\nb";
    struct mu_buf text = {0};
    assert_true(mu_pki_san_format(mu_bytes(der, 18), &text));
    assert_string_equal(mu_buf_str(&text), "IP:0102030405,[3]:0500,DNS:a\\x0ab");
    mu_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_read_and_written),
        cmocka_unit_test(bad_forms_say_what_is_wrong),
        cmocka_unit_test(sets_compare_by_value),
        cmocka_unit_test(strange_names_are_shown_somehow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
