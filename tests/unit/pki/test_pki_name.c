/* Distinguished names: S065 (slash form), R017, R018, RFC 4514 escapes, comparison. */
#include <string.h>

#include "base/text.h"
#include "kit.h"

static void names_are_read_and_written(void **state)
{
    static const struct {
        const char *text, *slash, *comma, *spaced;
    } rows[] = {
        /* S065 */
        {"/ST=NH/L=Amsterdam/O=Fortinet/OU=AS/CN=myvpn/emailAddress=ipsecvpntest@fortinet.com",
            "/ST=NH/L=Amsterdam/O=Fortinet/OU=AS/CN=myvpn/emailAddress=ipsecvpntest@fortinet.com",
            "ST=NH,L=Amsterdam,O=Fortinet,OU=AS,CN=myvpn,emailAddress=ipsecvpntest@fortinet.com",
            "ST = NH, L = Amsterdam, O = Fortinet, OU = AS, CN = myvpn, "
            "emailAddress = ipsecvpntest@fortinet.com"},
        /* R017 */
        {"/DC=org/DC=OpenXPKI/DC=Test Deployment/CN=router-SN",
            "/DC=org/DC=OpenXPKI/DC=Test Deployment/CN=router-SN",
            "DC=org,DC=OpenXPKI,DC=Test Deployment,CN=router-SN", NULL},
        /* R018: a backslash escapes, white space stays */
        {"/O=a\\/b/CN=c", "/O=a\\/b/CN=c", "O=a/b,CN=c", NULL},
        {"/O= leading/CN=trailing ", "/O= leading/CN=trailing ", "O=\\ leading,CN=trailing\\ ",
            NULL},
        {"/O=a\\\\b/CN=a,b=c+d", "/O=a\\\\b/CN=a,b=c+d", "O=a\\\\b,CN=a\\,b=c\\+d", NULL},
        {"CN=firewall-portal1,DC=local,DC=COM", "/CN=firewall-portal1/DC=local/DC=COM",
            "CN=firewall-portal1,DC=local,DC=COM", "CN = firewall-portal1, DC = local, DC = COM"},
        /* RFC 4514, and what people type around it */
        {"CN=a\\, b,O=c", "/CN=a, b/O=c", "CN=a\\, b,O=c", NULL},
        {"CN=\"a, b\",O=c", "/CN=a, b/O=c", "CN=a\\, b,O=c", NULL},
        {"cn = x , o = y z ", "/CN=x/O=y z", "CN=x,O=y z", "CN = x, O = y z"},
        {"CN=Lu\\C4\\8Di\\C4\\87", "/CN=Lu\xc4\x8di\xc4\x87", "CN=Lu\xc4\x8di\xc4\x87", NULL},
        {"CN=\\#x\\ ", "/CN=#x ", "CN=\\#x\\ ", NULL},
        {"CN=a+UID=b,O=c", "/CN=a/UID=b/O=c", "CN=a+UID=b,O=c", "CN = a + UID = b, O = c"},
        {"CN=a+b", "/CN=a+b", "CN=a\\+b", NULL},
        {"1.2.3.4=v,2.5.4.3=cn", "/1.2.3.4=v/CN=cn", "1.2.3.4=v,CN=cn", NULL},
        {"serialNumber=12,GN=g,surname=s,title=t,street=r,postalCode=p,unstructuredName=u",
            "/serialNumber=12/GN=g/surname=s/title=t/street=r/postalCode=p/unstructuredName=u",
            NULL, NULL},
        {"E=a@b.example,S=NH", "/emailAddress=a@b.example/ST=NH", NULL, NULL},
        {"CN=", "/CN=", "CN=", "CN = "},
        {"", "", "", ""},
        {"/", "", "", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *want[] = {rows[i].slash, rows[i].comma, rows[i].spaced};
        struct mu_buf der = {0}, text = {0}, again = {0};
        kit_ok(mu_pki_name_parse(rows[i].text, &der, kit_err_));
        assert_true(mu_pki_name_valid(kit_bytes_of(&der)));
        assert_int_equal(mu_pki_name_is_empty(kit_bytes_of(&der)), want[0][0] == 0);
        for (int style = 0; style < 3; style++) {
            if (!want[style])
                continue;
            mu_buf_reset(&text);
            assert_true(
                mu_pki_name_format(kit_bytes_of(&der), (enum mu_pki_name_style)style, &text));
            assert_string_equal(mu_buf_str(&text), want[style]);
            /* the slash form has no way to write one RDN of several attributes */
            if (style == MU_PKI_NAME_SLASH && strstr(rows[i].text, "+UID="))
                continue;
            mu_buf_reset(&again);
            kit_ok(mu_pki_name_parse(mu_buf_str(&text), &again, kit_err_));
            assert_true(mu_pki_name_equal(kit_bytes_of(&der), kit_bytes_of(&again)));
        }
        mu_buf_clear(&der);
        mu_buf_clear(&text);
        mu_buf_clear(&again);
    }
}

static void bad_names_say_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"/C=NLD", "two letters"}, /* S014 */
        {"/C=N1", "two letters"},
        {"/CM=x", "did you mean 'CN'"},
        {"/banana=x", "known are CN O OU"},
        {"/CN=http://x", "backslash before a '/'"},
        {"CN=a,b", "backslash before a ','"},
        {"CN", "no type=value"},
        {"CN=x,", "ends with a separator"},
        {"/CN=x/", "ends with a separator"},
        {"CN=\"x", "a quote"},
        {"CN=\\FF", "not UTF-8"},
        {"CN=a\\00b", "NUL"},
        {"DC=\xc3\xbc", "characters it may not have"},
        {"emailAddress=\xc3\xbc@x", "characters it may not have"},
        {"serialNumber=a*b", "characters it may not have"},
        {"9.9.9=x", "no OID"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        enum mu_code rc = mu_pki_name_parse(rows[i].text, &der, kit_err());
        if (rc != MU_INPUT || !kit_says(rows[i].says))
            fail_msg("%s gives %d", rows[i].text, (int)rc);
        assert_int_equal(der.n, 0);
        mu_buf_clear(&der);
    }
    struct mu_buf der = {0}, text = {0};
    mu_buf_put_str(&text, "/CN=");
    for (int i = 0; i < 9000; i++)
        mu_buf_put_byte(&text, 'a');
    assert_int_not_equal(mu_pki_name_parse(mu_buf_str(&text), &der, kit_err()), MU_OK);
    mu_buf_clear(&text);
    mu_buf_clear(&der);
}

static void string_types_follow_rfc_5280(void **state)
{
    static const struct {
        const char *text;
        unsigned tag;
    } rows[] = {
        {"/C=NL", MU_DER_PRINTABLE_STRING}, {"/CN=plain", MU_DER_PRINTABLE_STRING},
        {"/CN=a_b", MU_DER_UTF8_STRING}, {"/CN=\xc3\xbc", MU_DER_UTF8_STRING},
        {"/DC=org", MU_DER_IA5_STRING}, {"/emailAddress=a@b", MU_DER_IA5_STRING},
        {"/serialNumber=1", MU_DER_PRINTABLE_STRING},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        struct mu_der name, set, seq, oid, value;
        kit_ok(mu_pki_name_parse(rows[i].text, &der, kit_err_));
        assert_true(mu_der_only(kit_bytes_of(&der), MU_DER_SEQUENCE, &name));
        assert_true(mu_der_only(name.value, MU_DER_SET, &set));
        assert_true(mu_der_only(set.value, MU_DER_SEQUENCE, &seq));
        assert_true(mu_der_get(&seq.value, MU_DER_OID, &oid));
        assert_true(mu_der_next(&seq.value, &value));
        assert_int_equal(value.tag, rows[i].tag);
        /* OpenSSL takes it */
        const uint8_t *p = der.p;
        X509_NAME *x = d2i_X509_NAME(NULL, &p, (long)der.n);
        assert_non_null(x);
        assert_int_equal(X509_NAME_entry_count(x), 1);
        X509_NAME_free(x);
        mu_buf_clear(&der);
    }
}

static void parts_are_built_as_given(void **state)
{
    const struct mu_pki_name_part parts[] = {{"C", "NL"}, {"O", "a/b, c"}, {"CN", " x "}};
    const struct mu_pki_name_part bad[] = {{"C", "NL"}, {"XX", "a"}};
    struct mu_buf der = {0}, text = {0};
    kit_ok(mu_pki_name_build(parts, 3, &der, kit_err_));
    assert_true(mu_pki_name_format(kit_bytes_of(&der), MU_PKI_NAME_SLASH, &text));
    assert_string_equal(mu_buf_str(&text), "/C=NL/O=a\\/b, c/CN= x ");
    mu_buf_reset(&der);
    assert_int_equal(mu_pki_name_build(bad, 2, &der, kit_err()), MU_INPUT);
    assert_int_equal(der.n, 0);
    mu_buf_clear(&der);
    mu_buf_clear(&text);
}

static void equality_forgives_case_blanks_and_string_types(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"/CN=Some Name", "/CN=some name", true},
        {"/CN=Some  Name", "/CN= Some Name ", true},
        {"/CN=a", "/CN=b", false},
        {"/CN=a", "/O=a", false},
        {"/CN=a", "/CN=a/O=b", false},
        {"/CN=a/O=b", "/O=b/CN=a", false},
        {"CN=a+O=b", "CN=a,O=b", false},
        {"CN=a+O=b", "O=b+CN=a", true}, /* a SET: DER sorts it */
        {"", "", true},
        {"", "/CN=a", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf a = {0}, b = {0};
        kit_ok(mu_pki_name_parse(rows[i].a, &a, kit_err_));
        kit_ok(mu_pki_name_parse(rows[i].b, &b, kit_err_));
        if (mu_pki_name_equal(kit_bytes_of(&a), kit_bytes_of(&b)) != rows[i].equal)
            fail_msg("row %zu", i);
        mu_buf_clear(&a);
        mu_buf_clear(&b);
    }
    /* INTEROP 3.8: PrintableString against UTF8String and BMPString */
    static const char printable[] = "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x13\x01"
                                    "a";
    static const char utf8[] = "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01"
                               "A";
    static const char bmp[] = "\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x1e\x02\x00"
                              "a";
    assert_true(mu_pki_name_equal(mu_bytes(printable, 14), mu_bytes(utf8, 14)));
    assert_true(mu_pki_name_equal(mu_bytes(printable, 14), mu_bytes(bmp, 15)));
    assert_false(mu_pki_name_equal(mu_bytes(printable, 14), mu_bytes(utf8, 13)));
}

static void count(void *cookie, const char *type, const char *value)
{
    struct mu_buf *out = cookie;
    mu_buf_putf(out, "<%s|%s>", type, value);
}

static void attributes_are_found(void **state)
{
    struct mu_buf text = {0};
    struct mu_bytes name = kit_name("/C=NL/OU=a/OU=b/CN=x/1.2.3=y");
    assert_true(mu_pki_name_each(name, count, &text));
    assert_string_equal(mu_buf_str(&text), "<C|NL><OU|a><OU|b><CN|x><1.2.3|y>");
    mu_buf_reset(&text);
    assert_true(mu_pki_name_get(name, "ou", &text));
    assert_string_equal(mu_buf_str(&text), "a");
    assert_false(mu_pki_name_get(name, "L", &text));
    mu_buf_reset(&text);
    assert_true(mu_pki_name_get(name, "1.2.3", &text));
    assert_string_equal(mu_buf_str(&text), "y");
    mu_buf_clear(&text);
}

static void remote_text_is_escaped(void **state)
{
    static const char der[] = "\x30\x10\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05"
                              "a\x1b[2J";
    struct mu_buf text = {0};
    assert_true(mu_pki_name_format(mu_bytes(der, 18), MU_PKI_NAME_SPACED, &text));
    assert_string_equal(mu_buf_str(&text), "CN = a\\x1b[2J");
    mu_buf_clear(&text);
}

static void values_that_are_no_string_show_as_hex(void **state)
{
    static const char der[] = "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x02\x01\x05";
    struct mu_buf text = {0};
    assert_true(mu_pki_name_format(mu_bytes(der, 14), MU_PKI_NAME_COMMA, &text));
    assert_string_equal(mu_buf_str(&text), "CN=#020105");
    mu_buf_clear(&text);
}

static void malformed_names_are_not_valid(void **state)
{
    static const struct {
        const char *der;
        size_t n;
    } rows[] = {
        {"", 0}, {"\x30", 1}, {"\x31\x00", 2}, {"\x30\x02\x31\x00", 4}, {"\x30\x02\x30\x00", 4},
        {"\x30\x04\x31\x02\x30\x00", 6}, {"\x30\x09\x31\x07\x30\x05\x06\x03\x55\x04\x03", 11},
        {"\x30\x00\x00", 3},
        /* CN=a, then an RDN that ends too early: what was written of the first is taken back */
        {"\x30\x10\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01\x61\x31\x02\x30\x00", 18},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf text = {0};
        struct mu_bytes name = mu_bytes(rows[i].der, rows[i].n);
        assert_false(mu_pki_name_valid(name));
        assert_false(mu_pki_name_format(name, MU_PKI_NAME_SLASH, &text));
        assert_int_equal(text.n, 0);
        /* What stood there before is what is there still, with its NUL. */
        mu_buf_put_str(&text, "before");
        assert_false(mu_pki_name_format(name, MU_PKI_NAME_COMMA, &text));
        assert_string_equal(mu_buf_str(&text), "before");
        assert_false(mu_pki_name_is_empty(name) && i);
        mu_buf_clear(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_and_written),
        cmocka_unit_test(bad_names_say_what_is_wrong),
        cmocka_unit_test(string_types_follow_rfc_5280),
        cmocka_unit_test(parts_are_built_as_given),
        cmocka_unit_test(equality_forgives_case_blanks_and_string_types),
        cmocka_unit_test(attributes_are_found),
        cmocka_unit_test(remote_text_is_escaped),
        cmocka_unit_test(values_that_are_no_string_show_as_hex),
        cmocka_unit_test(malformed_names_are_not_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
