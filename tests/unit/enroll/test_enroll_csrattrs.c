/* The csrattrs key of a profile: words and base64 to a CsrAttrs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/der.h"
#include "base/text.h"
#include "enroll/enroll_csrattrs.h"

static struct mu_err err;

/* The DER in base64. */
static void expect(const char *value, const char *base64)
{
    struct mu_buf der = {0}, text = {0};

    if (mu_enroll_csrattrs_parse(value, &der, &err) != MU_OK)
        fail_msg("%s: %s", value, err.what);
    assert_true(der.n == 0 || mu_text_base64(&text, mu_buf_bytes(&der), 0));
    assert_string_equal(mu_buf_str(&text), base64);
    mu_buf_clear(&der);
    mu_buf_clear(&text);
}

/* T1, E059: the seed's four objects, as words and as its bytes */
static void words_give_the_seed_s_bytes(void **state)
{
    static const char t1[] = "MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg==";

    expect("1.3.6.1.1.1.1.22, emailAddress, secp384r1, sha384", t1);
    expect(t1, t1);
}

/* EST-65, EST-72: the examples of RFC 9908 5.2 and 5.4 */
static void key_wishes_are_attributes(void **state)
{
    expect("challengePassword, key=ec:P-384, 1.3.6.1.1.1.1.22, ecdsa-with-SHA384",
        "MDIGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiBgcrBgEBAQEWBggqhkjOPQQDAw==");
    expect("challengePassword, key=rsa:4096, sha256WithRSAEncryption",
        "MCkGCSqGSIb3DQEJBzARBgkqhkiG9w0BAQExBAICEAAGCSqGSIb3DQEBCw==");
}

/* EST-66: all extension values in one attribute with one value */
static void extensions_share_one_request(void **state)
{
    struct mu_buf der = {0};
    struct mu_der all, attribute, oid, set, extensions;
    struct mu_bytes in;
    unsigned n = 0;

    assert_int_equal(mu_enroll_csrattrs_parse(
                         "keyUsage=digitalSignature+keyEncipherment, extendedKeyUsage=clientAuth",
                         &der, &err),
        MU_OK);
    assert_true(mu_der_only(mu_buf_bytes(&der), MU_DER_SEQUENCE, &all));
    assert_true(mu_der_only(all.value, MU_DER_SEQUENCE, &attribute));
    in = attribute.value;
    assert_true(mu_der_get(&in, MU_DER_OID, &oid));
    assert_true(mu_der_oid_is(oid.value, "1.2.840.113549.1.9.14"));
    assert_true(mu_der_only(in, MU_DER_SET, &set));
    assert_true(mu_der_only(set.value, MU_DER_SEQUENCE, &extensions));
    for (in = extensions.value; mu_der_next(&in, &all);)
        n++;
    assert_int_equal(n, 2);
    mu_buf_clear(&der);
}

static void no_wishes_are_empty(void **state)
{
    expect("none", "");
    expect("", "");
}

static void strange_words_are_refused(void **state)
{
    static const char *const values[] = {"secp999r1", "key=rsa:17", "key=ec:P-256, key=ec:P-384",
        "keyUsage=flying", "color=red", "1.2.", "MAsGCSqGSIb3DQEJBwAA", "MAwGCSqGSIb3DQEJBw=="};
    struct mu_buf der = {0};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (mu_enroll_csrattrs_parse(values[i], &der, &err) != MU_INPUT || der.n != 0)
            fail_msg("%s was taken", values[i]);
    }
    mu_buf_clear(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_give_the_seed_s_bytes),
        cmocka_unit_test(key_wishes_are_attributes),
        cmocka_unit_test(extensions_share_one_request),
        cmocka_unit_test(no_wishes_are_empty),
        cmocka_unit_test(strange_words_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
