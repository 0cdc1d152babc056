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
        T(test_a_renewal_is_made_of_the_certificate),
        T(test_what_lacks_client_auth),
        T(test_secrets_are_given_or_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
