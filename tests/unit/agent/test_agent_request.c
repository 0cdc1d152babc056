/* What a request over EST is made of, and what is said before anything is sent. */
#include "agent/agent_internal.h"
#include "world.h"

#include <string.h>

#include "pki/pki_csr.h"
#include "pki/pki_name.h"

static void set(struct mu_agent_settings *s, const char *key, const char *value)
{
    assert_int_equal(mu_agent_settings_set(s, key, value, NULL), MU_OK);
}

/* E002: RFC 7030 3.3. */
static void test_est_over_http_is_m201(void **state)
{
    struct mu_agent_settings s = {0};
    struct mu_err err = {0};

    set(&s, "protocol", "est");
    set(&s, "subject", "CN=x");
    set(&s, "url", "http://ca.example");
    assert_int_equal(mu_agent_settings_complete(&s, true, &err), MU_INPUT);
    assert_int_equal(err.reason, 201);
    set(&s, "url", "https://ca.example");
    assert_int_equal(mu_agent_settings_complete(&s, true, &err), MU_OK);
    mu_agent_settings_clear(&s);
}

/* E020, E021: a first request has what the settings say. */
static void test_a_first_request_is_made_of_the_settings(void **state)
{
    struct mu_agent_settings s = {0};
    struct mu_buf subject = {0}, exts = {0}, text = {0};
    struct mu_pki_exts decoded;

    set(&s, "subject", "CN=a,DC=local");
    set(&s, "san", "DNS:a.example,IP:192.0.2.1");
    assert_int_equal(mu_agent_request_parts(&s, NULL, false, &subject, &exts, NULL), MU_OK);
    assert_true(mu_pki_name_format(mu_buf_bytes(&subject), MU_PKI_NAME_COMMA, &text));
    assert_string_equal(mu_buf_str(&text), "CN=a,DC=local");
    assert_int_equal(mu_pki_exts_decode(mu_buf_bytes(&exts), &decoded, NULL), MU_OK);
    assert_true(decoded.san.n > 0);
    assert_false(decoded.has_key_usage);
    mu_buf_clear(&subject);
    mu_buf_clear(&exts);
    mu_buf_clear(&text);
    mu_agent_settings_clear(&s);
}

/* ---- a CMP template ---- */

static void note(void *cookie, const char *text)
{
    mu_buf_putf(cookie, "%s\n", text);
}

/* Name and extensions of a template, as a CA gives them; a usage of 0 is none. */
static void template_of(struct mu_agent_template *t, const struct mu_pki_name_part *parts, size_t n, unsigned usage,
    const char *san)
{
    struct mu_buf names = {0};
    size_t at;

    mu_agent_template_clear(t);
    assert_int_equal(mu_pki_name_build(parts, n, &t->subject, NULL), MU_OK);
    at = mu_der_open(&t->extensions, MU_DER_SEQUENCE);
    if (usage != 0)
        mu_pki_ext_put_key_usage(&t->extensions, true, usage);
    if (san != NULL && san[0] == '\0')
        mu_buf_put_str(&names, "\x30\x02\x82"), mu_buf_put_byte(&names, 0); /* a dNSName to fill in */
    else if (san != NULL)
        assert_int_equal(mu_pki_san_parse(san, &names, NULL), MU_OK);
    if (names.n != 0)
        mu_pki_ext_put_san(&t->extensions, false, mu_buf_bytes(&names));
    mu_der_close(&t->extensions, at);
    mu_buf_clear(&names);
}

static enum mu_code make(const struct mu_agent_settings *s, const struct mu_agent_template *t, struct mu_pki_csr **csr,
    struct mu_err *err)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_EC, 256};
    struct mu_pki_key *key = NULL;
    struct mu_buf der = {0};
    enum mu_code rc;

    assert_int_equal(mu_pki_key_generate(&spec, &key, NULL), MU_OK);
    rc = mu_agent_make_csr(s, NULL, t, NULL, key, &der, err);
    if (rc == MU_OK)
        assert_int_equal(mu_pki_csr_decode(mu_buf_bytes(&der), csr, NULL), MU_OK);
    mu_buf_clear(&der);
    mu_pki_key_free(key);
    return rc;
}

/* CMP-94, CMP-96 (RFC 9483 4.3.3): values are copied, the user's own counts and the difference is told */
static void test_CMP96_a_template_is_filled_in(void **state)
{
    static const struct mu_pki_name_part parts[] = {{"CN", "theirs"}, {"O", "Branch"}};
    struct mu_agent_settings s = {0};
    struct mu_buf told = {0}, text = {0};
    struct mu_agent_template t = {.tell = note, .cookie = &told};
    struct mu_pki_csr *csr = NULL;

    set(&s, "subject", "CN=mine");
    template_of(&t, parts, 2, MU_KU_DIGITAL_SIGNATURE, "DNS:a.example");
    assert_int_equal(make(&s, &t, &csr, NULL), MU_OK);
    assert_true(mu_pki_name_format(csr->subject, MU_PKI_NAME_COMMA, &text));
    assert_string_equal(mu_buf_str(&text), "CN=mine,O=Branch");
    assert_true(csr->exts.has_key_usage && csr->exts.key_usage == MU_KU_DIGITAL_SIGNATURE);
    mu_buf_reset(&text);
    assert_true(mu_pki_san_format(csr->exts.san, &text));
    assert_string_equal(mu_buf_str(&text), "DNS:a.example");
    assert_string_equal(mu_buf_str(&told), "the CA's template has another CN than the one asked for, which is used\n");
    mu_pki_csr_free(csr);
    mu_buf_reset(&told);
    set(&s, "key-usage", "keyEncipherment");
    set(&s, "san", "DNS:mine.example");
    assert_int_equal(make(&s, &t, &csr, NULL), MU_OK);
    assert_int_equal(csr->exts.key_usage, MU_KU_KEY_ENCIPHERMENT);
    assert_non_null(strstr(mu_buf_str(&told), "another X509v3 Key Usage than"));
    assert_non_null(strstr(mu_buf_str(&told), "Subject Alternative Name than"));
    mu_pki_csr_free(csr);
    mu_agent_template_clear(&t);
    mu_buf_clear(&told);
    mu_buf_clear(&text);
    mu_agent_settings_clear(&s);
}

/* CMP-96: what has no value is for the user to give; M408 if he did not */
static void test_CMP96_what_a_template_leaves_open_has_to_be_given(void **state)
{
    static const struct mu_pki_name_part parts[] = {{"CN", "x"}, {"OU", "?"}};
    struct mu_agent_settings s = {0};
    struct mu_agent_template t = {0};
    struct mu_pki_csr *csr = NULL;
    struct mu_err err = {0};
    uint8_t *open;

    set(&s, "subject", "CN=mine");
    template_of(&t, parts, 2, 0, NULL);
    open = memchr(t.subject.p, '?', t.subject.n); /* OU of no length: shorter by one all around */
    assert_non_null(open);
    open[-1] = 0, open[-3 - 5]--, open[-3 - 5 - 2]--, t.subject.p[1]--;
    t.subject.n--;
    if (!mu_pki_name_valid(mu_buf_bytes(&t.subject)))
        fail_msg("the name of the test is none");
    assert_int_equal(make(&s, &t, &csr, &err), MU_INPUT);
    assert_int_equal(err.reason, 408);
    assert_non_null(strstr(err.what, "OU in the subject"));
    set(&s, "subject", "CN=mine,OU=given");
    assert_int_equal(make(&s, &t, &csr, NULL), MU_OK);
    mu_pki_csr_free(csr);
    template_of(&t, parts, 1, 0, "");
    assert_int_equal(make(&s, &t, &csr, &err), MU_INPUT);
    assert_int_equal(err.reason, 408);
    set(&s, "san", "DNS:mine.example");
    assert_int_equal(make(&s, &t, &csr, NULL), MU_OK);
    mu_pki_csr_free(csr);
    mu_agent_template_clear(&t);
    mu_agent_settings_clear(&s);
}

/* E098, E108: a renewal has what the certificate has, whatever the settings say by now; a new key
 * has another identifier. */
static void test_a_renewal_is_made_of_the_certificate(void **state)
{
    struct world *w = *state;
    struct mu_agent_settings s = {0};
    struct mu_buf subject = {0}, same = {0}, rekeyed = {0};
    struct mu_pki_exts decoded;

    set(&s, "subject", "CN=other");
    set(&s, "key-usage", "keyAgreement");
    assert_int_equal(mu_agent_request_parts(&s, w->peer.cert, true, &subject, &same, NULL), MU_OK);
    assert_true(mu_bytes_equal(mu_buf_bytes(&subject), w->peer.cert->subject));
    assert_int_equal(mu_pki_exts_decode(mu_buf_bytes(&same), &decoded, NULL), MU_OK);
    assert_int_equal(decoded.key_usage, w->peer.cert->exts.key_usage);
    assert_true(mu_bytes_equal(decoded.skid, w->peer.cert->exts.skid));
    mu_buf_clear(&subject);
    assert_int_equal(
        mu_agent_request_parts(&s, w->peer.cert, false, &subject, &rekeyed, NULL), MU_OK);
    assert_int_equal(mu_pki_exts_decode(mu_buf_bytes(&rekeyed), &decoded, NULL), MU_OK);
    assert_true(decoded.has_key_usage);
    assert_int_equal(decoded.skid.n, 0);
    mu_buf_clear(&subject);
    mu_buf_clear(&same);
    mu_buf_clear(&rekeyed);
    mu_agent_settings_clear(&s);
}

/* E101: no extended key usage at all is told like one without clientAuth. */
static void test_what_lacks_client_auth(void **state)
{
    struct mu_pki_cert cert = {0};

    assert_true(mu_agent_cert_lacks_client_auth(&cert));
    cert.exts.has_eku = true;
    cert.exts.eku = MU_EKU_SERVER_AUTH;
    assert_true(mu_agent_cert_lacks_client_auth(&cert));
    cert.exts.eku |= MU_EKU_CLIENT_AUTH;
    assert_false(mu_agent_cert_lacks_client_auth(&cert));
    cert.exts.eku = MU_EKU_ANY;
    assert_false(mu_agent_cert_lacks_client_auth(&cert));
}

/* Secrets given are kept for the renewal; what is not kept is no error. */
static void test_secrets_are_given_or_kept(void **state)
{
    struct world *w = *state;
    struct mu_secret password = {0};
    struct mu_agent_secrets none = {0}, given = {.password = &password};
    struct mu_agent_secret_values values = {0};
    struct mu_err err = {0};

    assert_int_equal(mu_secret_set(&password, mu_bytes_str("estpwd"), NULL), MU_OK);
    assert_int_equal(mu_agent_secrets_take(&w->agent, "e", &none, &values, &err), MU_OK);
    assert_int_equal(err.code, MU_OK);
    assert_false(mu_secret_is_set(&values.password));
    assert_int_equal(mu_agent_secrets_keep(&w->agent, "e", &given, NULL), MU_OK);
    assert_int_equal(kit_mode(w->kit, "secrets/e.password"), 0600);
    assert_int_equal(mu_agent_secrets_take(&w->agent, "e", &none, &values, &err), MU_OK);
    assert_string_equal((const char *)values.password.p, "estpwd");
    mu_agent_secrets_clear(&values);
    mu_secret_clear(&password);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_est_over_http_is_m201),
        T(test_a_first_request_is_made_of_the_settings),
        T(test_CMP96_a_template_is_filled_in),
        T(test_CMP96_what_a_template_leaves_open_has_to_be_given),
        T(test_a_renewal_is_made_of_the_certificate),
        T(test_what_lacks_client_auth),
        T(test_secrets_are_given_or_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
