/* An entry's settings: words, values, what is kept, and when a certificate is due. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *key, *value, *kept; /* kept NULL: refused */
} values[] = {
    {"protocol", "scep", "scep"},
    {"protocol", "acme", NULL},
    {"url", "http://x/?a=b#c", "http://x/?a=b#c"},
    {"subject", "/C=NL/CN=a b", "/C=NL/CN=a b"},
    {"subject", "/XX=1", NULL},
    {"san", "DNS:a.example, IP:192.0.2.1", "DNS:a.example, IP:192.0.2.1"},
    {"san", "WHAT:x", NULL},
    {"key", "rsa:4096", "rsa:4096"},
    {"key", "rsa:1024", "rsa:1024"}, /* judged where allow-legacy is known */
    {"key", "rsa:large", NULL},
    {"key-usage", "digitalSignature", "digitalSignature"},
    {"key-usage", "digitalSignatur", NULL},
    {"eku", "clientAuth", "clientAuth"},
    {"eku", "clientAut", NULL},
    {"digest", "sha256", "sha256"},
    {"digest", "sha257", NULL},
    {"cipher", "aes128", "aes128"},
    {"cipher", "rot13", NULL},
    {"method", "get", "get"},
    {"method", "put", NULL},
    {"nonce-check", "warn", "warn"},
    {"nonce-check", "off", NULL},
    {"scep-standard", "expect", "expect"},
    {"scep-standard", "yes", NULL},
    {"compat", "iis", "iis"},
    {"compat", "ndes", NULL},
    {"renew-days", "auto", "auto"},
    {"renew-days", "30", "30"},
    {"renew-days", "-1", NULL},
    {"renew-days", "30d", NULL},
    {"pin-sha256", "00", NULL},
    {"await-result", "5min", "300s"},
    {"await-result", "soon", NULL},
    {"reuse-key", "yes", "yes"},
    {"reuse-key", "disable", "no"},
    {"reuse-key", "perhaps", NULL},
    {"label", "iot", "iot"},
    {"csrattrs", "ignore", "ignore"},
    {"csrattrs", "no", NULL},
    {"renew-auth", "password", "password"},
    {"renew-auth", "none", NULL},
    {"tls-min", "1.0", "1.0"}, /* judged where allow-legacy is known */
    {"tls-min", "1.4", NULL},
    {"server-key", "yes", "yes"},
    {"server-key-to", "certificate", "certificate"},
    {"server-key-to", "shared:", NULL},
    {"server-key-to", "shared", NULL},
    {"server-key-to", "shared:0123456789012345678901234567890123456789012345678901234567890123x", NULL},
    {"server-key-to", "shared:fleet", "shared:fleet"},
    {"user", "estuser", "estuser"},
    {"no-such", "x", NULL},
};

static void test_values_are_checked_when_they_are_set(void **state)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct mu_agent_settings s = {0};
        struct mu_err err = {0};
        struct mu_buf out = {0};
        enum mu_code rc = mu_agent_settings_set(&s, values[i].key, values[i].value, &err);

        if ((rc == MU_OK) != (values[i].kept != NULL))
            fail_msg("%s = %s: %s", values[i].key, values[i].value, err.what);
        if (rc != MU_OK) {
            assert_int_equal(rc, MU_INPUT);
            assert_non_null(strstr(err.what, values[i].key));
            assert_false(mu_agent_settings_get(&s, values[i].key, NULL));
        } else {
            assert_true(mu_agent_settings_get(&s, values[i].key, &out));
            assert_string_equal(mu_buf_str(&out), values[i].kept);
            assert_int_equal(mu_agent_settings_set(&s, values[i].key, NULL, NULL), MU_OK);
            assert_false(mu_agent_settings_get(&s, values[i].key, NULL));
        }
        mu_buf_clear(&out);
        mu_agent_settings_clear(&s);
    }
}

static void test_an_unknown_word_names_the_nearest(void **state)
{
    struct mu_agent_settings s = {0};
    struct mu_err err = {0};

    assert_int_equal(mu_agent_settings_set(&s, "renew-day", "30", &err), MU_INPUT);
    assert_non_null(strstr(err.next, "renew-days"));
}

static void test_what_is_kept_reads_back(void **state)
{
    struct world *w = *state;
    struct mu_agent_settings s = {0}, back = {0};
    struct mu_buf text = {0};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if (values[i].kept != NULL)
            assert_int_equal(mu_agent_settings_set(&s, values[i].key, values[i].value, NULL), MU_OK);
    assert_int_equal(mu_agent_settings_load(w->kit->store, "vpn", &back, NULL), MU_NOT_FOUND);
    assert_int_equal(mu_agent_settings_store(w->kit->store, "vpn", &s, NULL), MU_OK);
    assert_int_equal(kit_mode(w->kit, "state/vpn.conf"), 0600);
    assert_int_equal(mu_agent_settings_load(w->kit->store, "vpn", &back, NULL), MU_OK);
    for (size_t i = 0; mu_agent_settings_word(i) != NULL; i++) {
        struct mu_buf a = {0}, b = {0};

        assert_int_equal(mu_agent_settings_get(&s, mu_agent_settings_word(i), &a),
            mu_agent_settings_get(&back, mu_agent_settings_word(i), &b));
        assert_string_equal(mu_buf_str(&a), mu_buf_str(&b));
        mu_buf_clear(&a);
        mu_buf_clear(&b);
    }
    assert_true(mu_agent_settings_same_request(&s, &back));
    assert_int_equal(mu_agent_settings_set(&back, "renew-days", "7", NULL), MU_OK);
    assert_true(mu_agent_settings_same_request(&s, &back));
    assert_int_equal(mu_agent_settings_set(&back, "url", "http://other.example/", NULL), MU_OK);
    assert_false(mu_agent_settings_same_request(&s, &back));
    assert_true(mu_agent_settings_same_content(&s, &back));
    assert_int_equal(mu_agent_settings_set(&back, "san", "DNS:other", NULL), MU_OK);
    assert_false(mu_agent_settings_same_request(&s, &back));
    assert_false(mu_agent_settings_same_content(&s, &back));
    /* Who makes the key, and how it comes, is part of what is asked for. */
    mu_agent_settings_clear(&back);
    assert_int_equal(mu_agent_settings_copy(&s, &back, NULL), MU_OK);
    assert_int_equal(mu_agent_settings_set(&back, "server-key", "no", NULL), MU_OK);
    assert_false(mu_agent_settings_same_content(&s, &back));
    assert_int_equal(mu_agent_settings_set(&back, "server-key", "yes", NULL), MU_OK);
    assert_true(mu_agent_settings_same_content(&s, &back));
    assert_int_equal(mu_agent_settings_set(&back, "server-key-to", "tls", NULL), MU_OK);
    assert_false(mu_agent_settings_same_content(&s, &back));
    mu_agent_settings_clear(&s);
    mu_agent_settings_clear(&back);
    mu_buf_clear(&text);
}

static void test_a_broken_file_is_m706_with_its_line(void **state)
{
    struct world *w = *state;
    struct mu_agent_settings s = {0};
    struct mu_err err = {0};

    assert_int_equal(mu_keystore_put(w->kit->store, MU_KEYSTORE_STATE, "vpn", "conf",
                         mu_bytes_str("[certificate \"vpn\"]\nurl = http://x/\nrenew-dais = 3\n"), NULL),
        MU_OK);
    assert_int_equal(mu_agent_settings_load(w->kit->store, "vpn", &s, &err), MU_INPUT);
    assert_int_equal(err.reason, 706);
    assert_non_null(strstr(err.what, "vpn.conf:3"));
    assert_null(s.url);
}

/* PRODUCT "When things happen": whole days left <= renew-days; a third of the lifetime. */
static void test_due(void **state)
{
    enum { D = 86400, H = 3600 };
    static const struct {
        int64_t lifetime;
        int renew_days;
        int64_t left;
        bool due;
    } cases[] = {
        {365 * D, 30, 31 * D, false},
        {365 * D, 30, 31 * D - 1, true}, /* 30 whole days */
        {365 * D, 30, 30 * D, true},
        {365 * D, 30, -D, true},
        {365 * D, 0, 1, false},
        {365 * D, 0, -D, false},
        {365 * D, 364, 365 * D - 1, true}, /* due at once: M602 */
        {90 * D, -1, 30 * D + 1, false},
        {90 * D, -1, 30 * D, true},
        {30 * H, 30, 11 * H, false}, /* under three days: a third, whatever is set */
        {30 * H, 30, 10 * H, true},
        {30 * H, 0, 1, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t start = 1700000000, end = start + cases[i].lifetime, from = -1;
        bool due = mu_agent_is_due(start, end, cases[i].renew_days, 0, end - cases[i].left, &from);

        if (due != cases[i].due)
            fail_msg("case %zu", i);
        if (cases[i].renew_days == 0) {
            assert_int_equal(from, 0);
        } else {
            assert_true(mu_agent_is_due(start, end, cases[i].renew_days, 0, from, NULL));
            assert_false(mu_agent_is_due(start, end, cases[i].renew_days, 0, from - 1, NULL));
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_checked_when_they_are_set),
        cmocka_unit_test(test_an_unknown_word_names_the_nearest),
        T(test_what_is_kept_reads_back),
        T(test_a_broken_file_is_m706_with_its_line),
        cmocka_unit_test(test_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
