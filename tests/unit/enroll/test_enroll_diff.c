/* Asked versus issued in PRODUCT's words (D17, S066). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enroll/enroll_diff.h"
#include "pki/pki_name.h"

static struct mu_err err;

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != MU_OK)                                                                       \
            fail_msg("%s: %s", #call, err.what);                                                   \
    } while (0)

static struct mu_pki_key *key(void)
{
    static struct mu_pki_key *made;
    struct mu_pki_key_spec spec = {MU_PKI_KEY_EC, 256};

    if (made == NULL)
        ok(mu_pki_key_generate(&spec, &made, &err));
    return made;
}

struct side {
    const char *subject, *san;
    unsigned key_usage, eku;
};

static void put_extensions(const struct side *side, struct mu_buf *b)
{
    struct mu_buf san = {0};
    size_t mark = mu_der_open(b, MU_DER_SEQUENCE);

    if (side->san != NULL) {
        ok(mu_pki_san_parse(side->san, &san, &err));
        mu_pki_ext_put_san(b, false, mu_buf_bytes(&san));
    }
    if (side->key_usage != 0)
        mu_pki_ext_put_key_usage(b, true, side->key_usage);
    if (side->eku != 0)
        mu_pki_ext_put_eku(b, side->eku);
    mu_der_close(b, mark);
    mu_buf_clear(&san);
}

static struct mu_pki_csr *csr(const struct side *side)
{
    struct mu_pki_csr_params params = {.digest = MU_PKI_SHA256};
    struct mu_buf name = {0}, exts = {0}, der = {0};
    struct mu_pki_csr *made = NULL;

    ok(mu_pki_name_parse(side->subject, &name, &err));
    put_extensions(side, &exts);
    params.subject = mu_buf_bytes(&name);
    if (exts.n > 2)
        params.extensions = mu_buf_bytes(&exts);
    ok(mu_pki_csr_make(&params, key(), &der, &err));
    ok(mu_pki_csr_decode(mu_buf_bytes(&der), &made, &err));
    mu_buf_clear(&name);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    return made;
}

static struct mu_pki_cert *cert(const struct side *side)
{
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes("\x01", 1), .not_after_s = 1};
    struct mu_buf name = {0}, exts = {0}, der = {0};
    struct mu_pki_cert *made = NULL;

    ok(mu_pki_name_parse(side->subject, &name, &err));
    put_extensions(side, &exts);
    tbs.issuer = tbs.subject = mu_buf_bytes(&name);
    tbs.spki = mu_pki_key_spki(key());
    if (exts.n > 2)
        tbs.extensions = mu_buf_bytes(&exts);
    ok(mu_pki_cert_make(&tbs, key(), MU_PKI_SHA256, &der, &err));
    ok(mu_pki_cert_decode(mu_buf_bytes(&der), &made, &err));
    mu_buf_clear(&name);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    return made;
}

#define SIGNS MU_KU_DIGITAL_SIGNATURE
#define ENCRYPTS MU_KU_KEY_ENCIPHERMENT

static const struct { struct side asked, issued; const char *words; } rows[] = {
    {{.subject = "/CN=a"}, {.subject = "/CN=a"}, ""},
    /* the seeds: S066 */
    {{.subject = "/C=NL/CN=myvpn"}, {.subject = "/OU=AS/CN=myvpn"}, "C=NL removed, OU=AS added"},
    {{.subject = "/CN=a/O=x"}, {.subject = "/CN=a/O=y"}, "O=x removed, O=y added"},
    {{.subject = "/CN=a"}, {.subject = "/CN=A"}, ""},       /* RFC 5280 7.1 */
    {{.subject = "/C=NL/CN=a"}, {.subject = "/CN=a/C=NL"}, ""}, /* order alone is not told */
    {{.subject = "/OU=x/OU=x/CN=a"}, {.subject = "/OU=x/CN=a"}, "OU=x removed"},
    {{.subject = "/DC=local/DC=COM/CN=f", .san = "DNS:f.local"}, {.subject = "/CN=f"},
        "DC=local removed, DC=COM removed, SAN removed"},
    {{.subject = ""}, {.subject = "/CN=given"}, "CN=given added"},
    {{.subject = "/CN=a", .san = "DNS:a,IP:192.0.2.1"}, {.subject = "/CN=a", .san = "DNS:a"},
        "SAN IP:192.0.2.1 removed"},
    {{.subject = "/CN=a", .san = "DNS:a,DNS:b"}, {.subject = "/CN=a", .san = "DNS:b,DNS:a"}, ""},
    {{.subject = "/CN=a"}, {.subject = "/CN=a", .san = "DNS:a"}, "SAN DNS:a added"},
    {{.subject = "/CN=a", .key_usage = SIGNS | ENCRYPTS}, {.subject = "/CN=a", .key_usage = SIGNS},
        "key usage keyEncipherment removed"},
    {{.subject = "/CN=a", .key_usage = SIGNS}, {.subject = "/CN=a"}, "key usage removed"},
    /* usages count only where some were asked for */
    {{.subject = "/CN=a"}, {.subject = "/CN=a", .key_usage = SIGNS, .eku = MU_EKU_CLIENT_AUTH}, ""},
    {{.subject = "/CN=a", .eku = MU_EKU_SERVER_AUTH},
        {.subject = "/CN=a", .eku = MU_EKU_CLIENT_AUTH},
        "extended key usage serverAuth removed, extended key usage clientAuth added"},
};

static void changes_are_told_in_words(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_pki_csr *asked = csr(&rows[i].asked);
        struct mu_pki_cert *issued = cert(&rows[i].issued);
        struct mu_buf words = {0};

        assert_true(mu_enroll_diff(asked, issued, &words));
        if (strcmp(mu_buf_str(&words), rows[i].words) != 0)
            fail_msg("row %zu: '%s', wanted '%s'", i, mu_buf_str(&words), rows[i].words);
        mu_buf_clear(&words);
        mu_pki_csr_free(asked);
        mu_pki_cert_free(issued);
    }
}

static void control_characters_are_escaped(void **state)
{
    struct side side = {.subject = "/CN=a\x1b[1m"}, plain = {.subject = "/CN=b"};
    struct mu_pki_csr *asked = csr(&side);
    struct mu_pki_cert *issued = cert(&plain);
    struct mu_buf words = {0};

    (void)state;
    assert_true(mu_enroll_diff(asked, issued, &words));
    assert_null(strchr(mu_buf_str(&words), '\x1b'));
    mu_buf_clear(&words);
    mu_pki_csr_free(asked);
    mu_pki_cert_free(issued);
}

static int drop_key(void **state)
{
    (void)state;
    mu_pki_key_free(key());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_told_in_words),
        cmocka_unit_test(control_characters_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, drop_key);
}
