/* Settings files with a key or a certificate in them (R038 to R043): which forms are known, what stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent_replace.h"

#define KEY "-----BEGIN PRIVATE KEY-----\nMIGH\nAgEB\n-----END PRIVATE KEY-----\n"
#define CERT "-----BEGIN CERTIFICATE-----\nMIIC\nMzCC\n-----END CERTIFICATE-----\n"
/* base64 of CERT */
#define CERT_64 \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUMKTXpDQwotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg=="
#define OLD "-----BEGIN X-----\nMIIA\n-----END X-----"

static enum mu_code replace(const char *text, struct mu_buf *out, struct mu_err *err)
{
    const struct mu_agent_replace list[] = {
        {"K", {(const uint8_t *)KEY, sizeof KEY - 1}}, {"C", {(const uint8_t *)CERT, sizeof CERT - 1}}};

    return mu_agent_replace(mu_bytes_str(text), "/etc/settings", list, 2, out, err);
}

static const struct {
    const char *text, *made;
} taken[] = {
    /* R043: the two-pair example; all other bytes stay (R040) */
    {"# K=\"no\"\nA='1'\nK=\"" OLD "\"\nC=\"" OLD "\"\nKK=\"" OLD "\"\n",
        "# K=\"no\"\nA='1'\nK=\"-----BEGIN PRIVATE KEY-----\nMIGH\nAgEB\n-----END PRIVATE KEY-----\"\n"
        "C=\"-----BEGIN CERTIFICATE-----\nMIIC\nMzCC\n-----END CERTIFICATE-----\"\nKK=\"" OLD "\"\n"},
    /* blanks around the old block stay, single quotes too, export, no line end at the end */
    {"  export K='\n" OLD "\n'\nC='" OLD "\n'", "  export K='\n-----BEGIN PRIVATE KEY-----\nMIGH\nAgEB\n"
                                               "-----END PRIVATE KEY-----\n'\nC='" CERT "'"},
    /* one line of base64: of DER, of PEM, with and without quotes */
    {"K=MIIA\nC=LS0tLS1CRUdJTiBYLS0tLS0KQUFBQQotLS0tLUVORCBYLS0tLS0K\n", "K=MIGHAgEB\nC=" CERT_64 "\n"},
    {"K=\"MIIA\" # the key\nC='MIIA';D=2\n", "K=\"MIGHAgEB\" # the key\nC='MIICMzCC';D=2\n"},
    /* several blocks give way to one; CRLF is kept */
    {"K=MIIA\r\nC=\"-----BEGIN X-----\r\nMIIA\r\n-----END X-----\r\n-----BEGIN X-----\r\nMIIA\r\n-----END X-----\r\n\"\r\n",
        "K=MIGHAgEB\r\nC=\"-----BEGIN CERTIFICATE-----\r\nMIIC\r\nMzCC\r\n-----END CERTIFICATE-----\r\n\"\r\n"},
    /* set twice: replaced twice */
    {"K=MIIA\nC=MIIA\nK='MIIA'\n", "K=MIGHAgEB\nC=MIICMzCC\nK='MIGHAgEB'\n"},
    /* what looks like an assignment inside of a value or behind a backslash is none */
    {"D=\"\nK=1\n\\\"C=2\n\"\necho \\\nK=MIIA it\\'s\nK=MIIA\nC=MIIA\n",
        "D=\"\nK=1\n\\\"C=2\n\"\necho \\\nK=MIIA it\\'s\nK=MIGHAgEB\nC=MIICMzCC\n"},
};

static void R040_R041_R043_known_forms_change_and_nothing_else(void **state)
{
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        struct mu_buf out = {.secret = true};
        struct mu_err err = {0};

        assert_int_equal(replace(taken[i].text, &out, &err), MU_OK);
        assert_string_equal(mu_buf_str(&out), taken[i].made);
        mu_buf_clear(&out);
    }
}

static const struct {
    const char *text, *says;
} refused[] = {
    {"K=\nC=MIIA\n", "/etc/settings:1: the value of K is empty"},
    {"K=\"\"\nC=MIIA\n", "/etc/settings:1: the value of K is empty"},
    {"C=MIIA\n\nK=/etc/key.pem\n", "/etc/settings:3: the value of K has another form"},
    {"K=$(cat k)\nC=MIIA\n", "K has another form"},
    {"K=\"$(cat k)\"\nC=MIIA\n", "K has another form"},
    {"K=\"-----BEGIN X-----\\nMIIA\\n-----END X-----\"\nC=MIIA\n", "K has another form"},
    {"K=\"-----BEGIN X-----\n$x\n-----END X-----\"\nC=MIIA\n", "K has another form"},
    {"K=\"-----BEGIN X-----\nMIIA\n\"\nC=MIIA\n", "K has another form"},
    {"K=\"MIIA\nMIIA\"\nC=MIIA\n", "K has another form"},
    {"K=\"MIIA\"'MIIA'\nC=MIIA\n", "K has another form"},
    {"K=QUFB\nC=MIIA\n", "K has another form"}, /* base64 of something else */
    {"K=yes\nC=MIIA\n", "K has another form"},
    {"K=MIIA\nC=\"" OLD "\n", "/etc/settings:2: the quote is never closed"},
};

static void R040_other_forms_are_refused_untouched(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct mu_buf out = {.secret = true};
        struct mu_err err = {0};

        assert_int_equal(replace(refused[i].text, &out, &err), MU_INPUT);
        if (strstr(err.what, refused[i].says) == NULL)
            fail_msg("%s: %s", refused[i].text, err.what);
        assert_int_equal(out.n, 0);
        mu_buf_clear(&out);
    }
}

static void R040_an_unknown_parameter_names_the_nearest_M903(void **state)
{
    const struct mu_agent_replace item = {"IPSEC_LOCAL_KEY", {(const uint8_t *)KEY, sizeof KEY - 1}};
    struct mu_buf out = {.secret = true};
    struct mu_err err = {0};

    assert_int_equal(mu_agent_replace(mu_bytes_str("IPSEC_LOCAL_KEYS=MIIA\nX=1\n"), "/etc/s", &item, 1, &out, &err),
        MU_NOT_FOUND);
    assert_int_equal(err.reason, 903);
    assert_string_equal(err.what, "Parameter IPSEC_LOCAL_KEY not found in /etc/s; the file is left as it is");
    assert_non_null(strstr(err.next, "IPSEC_LOCAL_KEYS"));
    assert_int_equal(mu_agent_replace(mu_bytes_str(""), "/etc/s", &item, 1, &out, &err), MU_NOT_FOUND);
    assert_int_equal(out.n, 0);
    mu_buf_clear(&out);
}

static void what_is_no_text_or_no_PEM_is_refused(void **state)
{
    const struct mu_agent_replace token = {"K", {(const uint8_t *)"pkcs11:object=k", 15}};
    const struct mu_agent_replace quote = {"K", {(const uint8_t *)"-----BEGIN X-----\n\"\n-----END X-----\n", 35}};
    struct mu_buf out = {.secret = true};
    struct mu_err err = {0};

    assert_int_equal(mu_agent_replace(mu_bytes("K=MIIA\n\0", 8), "f", &token, 1, &out, &err), MU_INPUT);
    assert_non_null(strstr(err.what, "is no text"));
    assert_int_equal(mu_agent_replace(mu_bytes_str("K=MIIA\n"), "f", &token, 1, &out, &err), MU_INPUT);
    assert_non_null(strstr(err.what, "no PEM"));
    assert_int_equal(mu_agent_replace(mu_bytes_str("K=\"" OLD "\"\n"), "f", &quote, 1, &out, &err), MU_INPUT);
    assert_int_equal(out.n, 0);
    mu_buf_clear(&out);
}

static void R041_kinds(void **state)
{
    enum mu_agent_replace_kind kind;
    struct mu_err err = {0};

    assert_int_equal(mu_agent_replace_kind_parse("pkey", &kind, &err), MU_OK);
    assert_int_equal(kind, MU_AGENT_REPLACE_PKEY);
    assert_int_equal(mu_agent_replace_kind_parse("cert", &kind, &err), MU_OK);
    assert_int_equal(kind, MU_AGENT_REPLACE_CERT);
    assert_int_equal(mu_agent_replace_kind_parse("key", &kind, &err), MU_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R040_R041_R043_known_forms_change_and_nothing_else),
        cmocka_unit_test(R040_other_forms_are_refused_untouched),
        cmocka_unit_test(R040_an_unknown_parameter_names_the_nearest_M903),
        cmocka_unit_test(what_is_no_text_or_no_PEM_is_refused),
        cmocka_unit_test(R041_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
