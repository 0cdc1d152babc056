/* Profiles as text: every key is read, shown and read again; mistakes are named with their line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "enroll/enroll_profile.h"

static struct mu_err err;

static struct mu_enroll_profile *parsed(const char *settings)
{
    struct mu_enroll_profile *p = NULL;

    if (mu_enroll_profile_parse("p", settings, &p, &err) != MU_OK)
        fail_msg("%s: %s", settings, err.what);
    return p;
}

static void defaults_are_those_of_the_manual(void **state)
{
    struct mu_enroll_profile *p = parsed("");

    assert_int_equal(p->protocols, 0);
    assert_false(p->manual);
    assert_int_equal(p->password, MU_PROFILE_PASSWORD_ONCE);
    assert_false(p->wildcard);
    assert_int_equal(p->subject_rule, MU_PROFILE_SUBJECT_ACCEPT);
    assert_int_equal(p->san_rule, MU_PROFILE_SAN_ACCEPT);
    assert_int_equal(p->lifetime_s, 365 * 86400);
    assert_int_equal(p->backdate_s, 300);
    assert_int_equal(p->rsa_min, 2048);
    assert_int_equal(p->ec_curves, 7);
    assert_false(p->ed25519);
    assert_int_equal(p->key_usage, MU_KU_DIGITAL_SIGNATURE);
    assert_int_equal(p->eku, MU_EKU_CLIENT_AUTH);
    assert_false(p->usage_from_request);
    assert_int_equal(p->renew_before_s, 30 * 86400);
    assert_int_equal(p->renew_after_s, 0);
    assert_int_equal(p->renew_key, MU_PROFILE_KEY_EITHER);
    assert_false(p->renew_challenge || p->revoke_old);
    assert_int_equal(p->max_alive, 0);
    assert_int_equal(p->max_requests, 6);
    assert_true(p->ca_in_reply);
    assert_false(p->allow_legacy);
    mu_enroll_profile_free(p);
}

static const char everything[] = "protocols = scep, est\nca = main\napproval = manual\npassword = "
                                 "random reusable\nwildcard = yes\n"
                                 "subject = CN=*.branch.example\nsubject-drop = C, DC\nsubject-set "
                                 "= OU=AS\nsubject-differs = refuse\n"
                                 "san = DNS:*.branch.example, IP:192.0.2.*\nlifetime = "
                                 "90d\nbackdate = 1h\nkeys = rsa:3072, ec:P-384, ed25519\n"
                                 "key-seen = refuse\nkey-usage = digitalSignature, "
                                 "keyEncipherment\neku = serverAuth\nusage-from-request = yes\n"
                                 "critical = none\npointers = no\ntemplate-name = "
                                 "tls-client\nrenew-before = any\nrenew-after = 5d\n"
                                 "renew-key = new\nrenew-challenge = yes\nrevoke-old = "
                                 "yes\nmax-alive = 2\nmax-requests = 100/h\n"
                                 "csrattrs = sha384\nest = link, one-line\nkeygen = yes\n"
                                 "name-change = yes\nca-in-reply = no\nallow-legacy = yes\n";

static void check_everything(const struct mu_enroll_profile *p)
{
    assert_int_equal(p->protocols, 1u << MU_PROTO_SCEP | 1u << MU_PROTO_EST);
    assert_string_equal(p->ca, "main");
    assert_true(p->manual && p->wildcard);
    assert_int_equal(p->password, MU_PROFILE_PASSWORD_REUSABLE);
    assert_int_equal(p->subject_rule, MU_PROFILE_SUBJECT_PATTERN);
    assert_string_equal(p->subject_patterns[0].glob, "*.branch.example");
    assert_int_equal(p->subject_drop.n, 5 + 12); /* two OID elements */
    assert_true(p->subject_set.n > 0);
    assert_int_equal(p->subject_differs, MU_PROFILE_REFUSE);
    assert_int_equal(p->san_pattern_n, 2);
    assert_int_equal(p->lifetime_s, 90 * 86400);
    assert_int_equal(p->backdate_s, 3600);
    assert_int_equal(p->rsa_min, 3072);
    assert_int_equal(p->ec_curves, 2);
    assert_true(p->ed25519 && p->refuse_key_seen && p->usage_from_request);
    assert_int_equal(p->eku, MU_EKU_SERVER_AUTH);
    assert_int_equal(p->critical, 0);
    assert_false(p->pointers || p->ca_in_reply);
    assert_string_equal(p->template_name, "tls-client");
    assert_int_equal(p->renew_before_s, MU_PROFILE_RENEW_ANY);
    assert_int_equal(p->renew_after_s, 5 * 86400);
    assert_int_equal(p->renew_key, MU_PROFILE_KEY_NEW);
    assert_true(p->renew_challenge && p->revoke_old && p->allow_legacy);
    assert_int_equal(p->max_alive, 2);
    assert_int_equal(p->max_requests, 100);
    assert_int_equal(p->csrattrs_der.n, 13);
    assert_int_equal(p->est, MU_PROFILE_EST_LINK | MU_PROFILE_EST_ONE_LINE);
    assert_true(p->keygen && p->name_change);
}

static void format_parses_back(void **state)
{
    struct mu_enroll_profile *p = parsed(everything), *again;
    struct mu_buf text = {0};

    check_everything(p);
    assert_true(mu_enroll_profile_format(p, &text));
    again = parsed(mu_buf_str(&text));
    check_everything(again);
    mu_enroll_profile_free(p);
    mu_enroll_profile_free(again);
    mu_buf_reset(&text);
    p = parsed(""); /* defaults, too */
    assert_true(mu_enroll_profile_format(p, &text));
    again = parsed(mu_buf_str(&text));
    assert_int_equal(again->max_requests, 6);
    assert_int_equal(again->san_rule, MU_PROFILE_SAN_ACCEPT);
    mu_enroll_profile_free(p);
    mu_enroll_profile_free(again);
    mu_buf_clear(&text);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *settings, *what;
    } cases[] = {
        {"lifetme = 3d\n", "no key 'lifetme'"},
        {"\n\nlifetime = 3q\n", ":3: lifetime"},
        {"lifetime = 10s\n", "at least 1min"},
        {"approval = maybe\n", "auto, manual or always"},
        {"wildcard = perhaps\n", "yes or no"},
        {"keys = rsa:12\n", "keys"},
        {"keys = rsa:1024\n", "allow-legacy"},
        {"key-usage = keyCertSign\n", "keyCertSign"}, /* CA-10 */
        {"key-usage = flying\n", "key-usage"},
        {"eku = flying\n", "eku"},
        {"subject = fixed nonsense\n", "subject"},
        {"subject = nonsense\n", "part of a subject pattern"},
        {"subject-drop = XYZ\n", "subject-drop"},
        {"subject-set = XYZ=1\n", "subject-set"},
        {"san = nothing\n", "DNS:*.branch.example"},
        {"max-requests = 6/d\n", "max-requests"},
        {"max-alive = -1\n", "max-alive"},
        {"protocols = ftp\n", "scep, est, cmp"},
        {"password = guess\n", "random once"},
        {"critical = all\n", "critical"},
        {"[other]\nlifetime = 3d\n", "lifetime"},
    };
    struct mu_enroll_profile *p = NULL;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(&err, 0, sizeof err);
        assert_int_not_equal(mu_enroll_profile_parse("p", cases[i].settings, &p, &err), MU_OK);
        if (strstr(err.what, cases[i].what) == NULL)
            fail_msg("'%s': \"%s\" lacks \"%s\"", cases[i].settings, err.what, cases[i].what);
        assert_null(p);
    }
    assert_int_not_equal(mu_enroll_profile_parse("../x", "", &p, &err), MU_OK);
    assert_int_equal(mu_enroll_profile_parse("p", "lifetme = 3d\n", &p, &err), MU_INPUT);
    assert_non_null(strstr(err.next, "lifetime")); /* the nearest key */
}

static void presets_are_profiles(void **state)
{
    const char *title, *settings;
    size_t i;

    for (i = 0; mu_enroll_profile_preset(i, &title, &settings) != NULL; i++)
        mu_enroll_profile_free(parsed(settings));
    assert_int_equal(i, 4);
    mu_enroll_profile_preset(0, &title, &settings);
    assert_string_equal(title, "HTTPS server");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(format_parses_back),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(presets_are_profiles),
    };

    return cmocka_run_group_tests_name("enroll_profile", tests, NULL, NULL);
}
