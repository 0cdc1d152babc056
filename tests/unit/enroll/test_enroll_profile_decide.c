/* The decision as a table: what a profile makes of a request, and each of its refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "enroll/enroll_profile.h"
#include "enroll/enroll_profile_name.h"
#include "pki/pki_name.h"

#define NOW 1763660000 /* 2025-11-20T17:33:20Z */
#define YEAR (365 * 86400)

static struct mu_err err;
static struct mu_pki_key *key, *other_key, *rsa_key;
static struct mu_pki_cert *issuer;
static int64_t now_s;
static char trace[4000];

static int64_t clock_now(void *ctx)
{
    return now_s;
}

static bool no_random(void *ctx, uint8_t *p, size_t n)
{
    return false; /* a decision needs none */
}

static void keep_trace(void *ctx, const struct mu_trace_event *event)
{
    assert_int_equal(event->step, MU_TRACE_CHECK);
    snprintf(trace + strlen(trace), sizeof trace - strlen(trace), "%s\n", event->text);
}

static const struct mu_env env = {clock_now, no_random, keep_trace, NULL};

static struct mu_bytes name(const char *text, struct mu_buf *der)
{
    mu_buf_reset(der);
    if (mu_pki_name_parse(text, der, &err) != MU_OK)
        fail_msg("%s", err.what);
    return mu_buf_bytes(der);
}

/* Certificate of key's public part. */
static struct mu_pki_cert *make_cert(
    const char *subject, const char *san, bool is_ca, int64_t from_s, int64_t to_s)
{
    struct mu_buf n = {0}, exts = {0}, names = {0}, der = {0};
    const uint8_t serial = 7;
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(&serial, 1),
        .not_before_s = from_s,
        .not_after_s = to_s,
        .spki = mu_pki_key_spki(key)};
    struct mu_pki_cert *cert = NULL;
    uint8_t skid[20];
    size_t mark = mu_der_open(&exts, MU_DER_SEQUENCE);

    assert_true(mu_pki_key_id(tbs.spki, skid));
    mu_pki_ext_put_basic(&exts, true, is_ca, -1);
    mu_pki_ext_put_skid(&exts, skid);
    if (san != NULL) {
        assert_int_equal(mu_pki_san_parse(san, &names, &err), MU_OK);
        mu_pki_ext_put_san(&exts, false, mu_buf_bytes(&names));
    }
    mu_der_close(&exts, mark);
    tbs.subject = tbs.issuer = name(subject, &n);
    tbs.extensions = mu_buf_bytes(&exts);
    assert_int_equal(mu_pki_cert_make(&tbs, key, MU_PKI_SHA256, &der, &err), MU_OK);
    assert_int_equal(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &err), MU_OK);
    mu_buf_clear(&n);
    mu_buf_clear(&exts);
    mu_buf_clear(&names);
    mu_buf_clear(&der);
    return cert;
}

struct wish {
    const char *subject, *san;
    unsigned key_usage, eku;
    bool ca;
    struct mu_pki_key *with; /* NULL: key */
};

static struct mu_pki_csr *make_csr(const struct wish *wish)
{
    struct mu_buf subject = {0}, exts = {0}, names = {0}, der = {0};
    struct mu_pki_csr_params params = {0};
    struct mu_pki_csr *csr = NULL;
    size_t mark = mu_der_open(&exts, MU_DER_SEQUENCE);

    if (wish->ca)
        mu_pki_ext_put_basic(&exts, true, true, -1);
    if (wish->key_usage != 0)
        mu_pki_ext_put_key_usage(&exts, true, wish->key_usage);
    if (wish->eku != 0)
        mu_pki_ext_put_eku(&exts, wish->eku);
    if (wish->san != NULL) {
        assert_int_equal(mu_pki_san_parse(wish->san, &names, &err), MU_OK);
        mu_pki_ext_put_san(&exts, false, mu_buf_bytes(&names));
    }
    mu_der_close(&exts, mark);
    params.subject = name(wish->subject, &subject);
    if (exts.n > 2)
        params.extensions = mu_buf_bytes(&exts);
    assert_int_equal(
        mu_pki_csr_make(&params, wish->with != NULL ? wish->with : key, &der, &err), MU_OK);
    assert_int_equal(mu_pki_csr_decode(mu_buf_bytes(&der), &csr, &err), MU_OK);
    mu_buf_clear(&subject);
    mu_buf_clear(&exts);
    mu_buf_clear(&names);
    mu_buf_clear(&der);
    return csr;
}

static enum mu_code decide(const char *settings, const struct wish *wish,
    struct mu_enroll_facts facts, struct mu_enroll_grant *grant)
{
    struct mu_enroll_profile *profile = NULL;
    struct mu_pki_csr *csr = make_csr(wish);
    enum mu_code rc;

    if (mu_enroll_profile_parse("gw", settings, &profile, &err) != MU_OK)
        fail_msg("%s", err.what);
    facts.csr = csr;
    facts.issuer = facts.issuer != NULL ? facts.issuer : issuer;
    facts.proto = MU_PROTO_SCEP;
    trace[0] = '\0';
    memset(&err, 0, sizeof err);
    rc = mu_enroll_profile_decide(profile, &facts, &env, grant, &err);
    mu_enroll_profile_free(profile);
    mu_pki_csr_free(csr);
    return rc;
}

static void subject_is(const struct mu_enroll_grant *grant, const char *want)
{
    struct mu_buf text = {0};

    assert_true(mu_pki_name_format(mu_buf_bytes(&grant->subject), MU_PKI_NAME_SLASH, &text));
    assert_string_equal(mu_buf_str(&text), want);
    mu_buf_clear(&text);
}

/* ---- subjects ---- */

static void subjects_follow_the_rules(void **state)
{
    static const struct {
        const char *settings, *asked, *issued;
    } cases[] = {
        {"", "/C=NL/O=x/CN=a", "/C=NL/O=x/CN=a"},
        {"subject-drop = C\nsubject-set = OU=AS\n",
            "/C=NL/ST=NH/L=Amsterdam/O=Fortinet/CN=myvpn/emailAddress=a@b.c",
            "/ST=NH/L=Amsterdam/O=Fortinet/OU=AS/CN=myvpn/emailAddress=a@b.c"}, /* the fixture */
        {"subject-set = OU=AS\n", "/OU=one/O=x/OU=two/CN=a", "/OU=AS/O=x/CN=a"},
        {"subject-set = OU=AS\n", "/O=x", "/O=x/OU=AS"},
        {"subject-set = /OU=A/OU=B\n", "/CN=a", "/OU=A/OU=B/CN=a"},
        {"subject-drop = DC, C\n", "/CN=firewall-portal1/DC=local/DC=COM", "/CN=firewall-portal1"},
        {"subject = fixed /O=always/CN=this\n", "/CN=whatever", "/O=always/CN=this"},
        {"subject = fixed /O=always/CN=this\nsubject-differs = refuse\n", "/O=always/CN=this",
            "/O=always/CN=this"},
        {"subject = CN=*.branch.example\n", "/O=x/CN=a.branch.example", "/O=x/CN=a.branch.example"},
        {"subject = CN=GW-*, O=x\n", "/O=x/CN=gw-17", "/O=x/CN=gw-17"},
        {"subject-drop = C\nsubject-differs = accept\n", "/C=NL/CN=a", "/C=NL/CN=a"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_enroll_grant grant = {0};

        if (decide(cases[i].settings, &(struct wish){.subject = cases[i].asked},
                (struct mu_enroll_facts){0}, &grant)
            != MU_OK)
            fail_msg("%s: %s", cases[i].settings, err.what);
        subject_is(&grant, cases[i].issued);
        mu_enroll_grant_clear(&grant);
    }
}

/* A subject that is not touched keeps its very octets (CA-05). */
static void an_accepted_subject_is_copied(void **state)
{
    struct mu_enroll_grant grant = {0};
    struct mu_buf der = {0};

    name("/CN=a b/O=\xc3\xa4", &der);
    assert_int_equal(decide("", &(struct wish){.subject = "/CN=a b/O=\xc3\xa4"},
                         (struct mu_enroll_facts){0}, &grant),
        MU_OK);
    assert_true(mu_bytes_equal(mu_buf_bytes(&der), mu_buf_bytes(&grant.subject)));
    mu_enroll_grant_clear(&grant);
    mu_buf_clear(&der);
}

static void globs_match(void **state)
{
    static const struct {
        const char *glob, *text;
        bool fits;
    } cases[] = {
        {"a", "a", true},
        {"a", "A", true},
        {"a", "b", false},
        {"*", "anything", true},
        {"*", "", true},
        {"*.x", "a.x", true},
        {"*.x", "a.b.x", true},
        {"*.x", ".x", true},
        {"*.x", "a.y", false},
        {"*.x", "a.xx", false},
        {"a*c*e", "abcde", true},
        {"a*c*e", "abde", false},
        {"*.x", "*.x", true},
        {"*.*", "*.x", false},
        {"DNS:*.good", "DNS:evil.com", false},
        {"[", "{", false},
        {"@", "`", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (mu_enroll_profile_glob(cases[i].glob, cases[i].text) != cases[i].fits)
            fail_msg("'%s' against '%s'", cases[i].glob, cases[i].text);
}

/* ---- refusals ---- */

static void every_refusal_has_its_sentence(void **state)
{
    struct mu_pki_cert *old =
        make_cert("/CN=a", "DNS:a.example", false, NOW - YEAR, NOW + 10 * 86400);
    struct mu_pki_cert *young = make_cert("/CN=a", NULL, false, NOW - 10, NOW + YEAR);
    struct mu_pki_cert *expired = make_cert("/CN=a", NULL, false, NOW - YEAR, NOW - 1);
    struct mu_pki_cert *future = make_cert("/CN=a", NULL, false, NOW + 10, NOW + 20);
    struct mu_pki_cert *dead_ca = make_cert("/CN=ca", NULL, true, NOW - YEAR, NOW - 1);
    const struct {
        const char *settings;
        struct wish wish;
        struct mu_enroll_facts facts;
        enum mu_reason reason;
        const char *words;
    } cases[] = {
        {"protocols = est\n", {.subject = "/CN=a"}, {0}, MU_REFUSE_UNSUPPORTED, "not for scep"},
        {"", {.subject = "/CN=a"}, {.renews = old, .renews_revoked = true},
            MU_REFUSE_SIGNER_REVOKED, "revoked"},
        {"", {.subject = "/CN=a"}, {.renews = young}, MU_REFUSE_RENEWAL_EARLY,
            "renewal allowed from 2026-10-21T17:33:20Z"},
        {"", {.subject = "/CN=a"}, {.renews = expired}, MU_REFUSE_RENEWAL_LATE,
            "until 2025-11-20T17:33:19Z"},
        {"renew-before = any\n", {.subject = "/CN=a"}, {.renews = future}, MU_REFUSE_CLOCK,
            "valid from"},
        {"renew-key = new\n", {.subject = "/CN=a"}, {.renews = old}, MU_REFUSE_KEY_SEEN, "new key"},
        {"renew-key = same\n", {.subject = "/CN=a", .with = other_key}, {.renews = old},
            MU_REFUSE_SIGNER_KEY, "keeps"},
        {"renew-challenge = yes\n", {.subject = "/CN=a"}, {.renews = old},
            MU_REFUSE_PASSWORD_MISSING, "password"},
        {"", {.subject = "/CN=b"}, {.renews = old}, MU_REFUSE_SUBJECT_DIFFERS, "\"CN=b\""},
        {"", {.subject = "/CN=a", .san = "DNS:b.example"}, {.renews = old},
            MU_REFUSE_SUBJECT_DIFFERS, "alternative"},
        {"keys = rsa:2048\n", {.subject = "/CN=a"}, {0}, MU_REFUSE_KEY_WEAK, "EC P-256"},
        {"keys = ec:P-384\n", {.subject = "/CN=a"}, {0}, MU_REFUSE_KEY_WEAK, "too weak"},
        {"keys = rsa:3072\n", {.subject = "/CN=a", .with = rsa_key}, {0}, MU_REFUSE_KEY_WEAK,
            "RSA 2048"},
        {"key-seen = refuse\n", {.subject = "/CN=a"}, {.key_seen_as = "CN=b"}, MU_REFUSE_KEY_SEEN,
            "another name"},
        {"subject = CN=*.x\n", {.subject = "/CN=a.y"}, {0}, MU_REFUSE_NAME, "CN=a.y"},
        {"subject = CN=*.x\n", {.subject = "/O=a.x"}, {0}, MU_REFUSE_NAME, "no CN"},
        {"subject = CN=*.x\n", {.subject = "/CN=a.x/CN=b"}, {0}, MU_REFUSE_NAME,
            "CN=b"}, /* all of them */
        {"subject = CN=*.x\n", {.subject = "/CN=*.y.x"}, {0}, MU_REFUSE_NAME, "*.y.x"},
        {"subject-drop = C\nsubject-differs = refuse\n", {.subject = "/C=NL/CN=a"}, {0},
            MU_REFUSE_NAME, "another subject"},
        {"subject-drop = CN\n", {.subject = "/CN=a"}, {0}, MU_REFUSE_NAME, "neither"}, /* CA-06 */
        {"san = refuse\n", {.subject = "/CN=a", .san = "DNS:a"}, {0}, MU_REFUSE_SAN, "allows no"},
        {"san = DNS:*.x\n", {.subject = "/CN=a", .san = "DNS:a.x,DNS:b.y"}, {0}, MU_REFUSE_SAN,
            "DNS:b.y"},
        {"san = DNS:*.x\n", {.subject = "/CN=a", .san = "DNS:*.x.x"}, {0}, MU_REFUSE_SAN,
            "DNS:*.x.x"},
        {"san = DNS:*.x\n", {.subject = "/CN=a", .san = "IP:192.0.2.1"}, {0}, MU_REFUSE_SAN,
            "IP:192.0.2.1"},
        {"", {.subject = "/CN=a"}, {.issuer = dead_ca}, MU_REFUSE_INTERNAL,
            "CA certificate expired"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_enroll_grant grant = {0};
        enum mu_code rc = decide(cases[i].settings, &cases[i].wish, cases[i].facts, &grant);

        if (rc == MU_OK)
            fail_msg("case %zu (%s %s) is granted", i, cases[i].settings, cases[i].wish.subject);
        if (err.reason != cases[i].reason || strstr(err.what, cases[i].words) == NULL)
            fail_msg("case %zu: reason %d, \"%s\" (wanted %d, \"%s\")", i, (int)err.reason,
                err.what, (int)cases[i].reason, cases[i].words);
        assert_non_null(strstr(trace, err.what)); /* the trace ends with the refusal */
        assert_int_equal(grant.subject.n, 0);
    }
    mu_pki_cert_free(old);
    mu_pki_cert_free(young);
    mu_pki_cert_free(expired);
    mu_pki_cert_free(future);
    mu_pki_cert_free(dead_ca);
}

static void every_rule_is_traced(void **state)
{
    static const char *const rules[] = {"protocol", "renewal", "key", "key-seen", "subject", "san",
        "dates", "approval", "extensions"};
    struct mu_enroll_grant grant = {0};
    char line[64];

    assert_int_equal(
        decide("", &(struct wish){.subject = "/CN=a"}, (struct mu_enroll_facts){0}, &grant), MU_OK);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        snprintf(line, sizeof line, "policy %s: ok\n", rules[i]);
        assert_non_null(strstr(trace, line));
    }
    mu_enroll_grant_clear(&grant);
}

/* ---- renewal ---- */

static void renewal_keeps_what_was_granted(void **state)
{
    struct mu_pki_cert *old =
        make_cert("/OU=AS/CN=a", "DNS:a.example,DNS:b.example", false, NOW - YEAR, NOW + 86400);
    static const struct {
        const char *settings, *subject, *san;
    } cases[] = {
        {"", "/OU=AS/CN=a", "DNS:b.example,DNS:a.example"},
        {"subject-drop = C\nsubject-set = OU=AS\n", "/C=NL/CN=a",
            NULL}, /* what the rules turn into it */
        {"subject = CN=*.new\nsan = refuse\n", "/OU=AS/CN=a",
            "DNS:a.example"}, /* tighter since (INTEROP 5.10) */
        {"san = DNS:*.example\n", "/OU=AS/CN=a",
            "DNS:c.example"}, /* what a pattern allows by itself */
        {"approval = manual\n", "/OU=AS/CN=a", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_enroll_grant grant = {0};

        if (decide(cases[i].settings,
                &(struct wish){.subject = cases[i].subject, .san = cases[i].san},
                (struct mu_enroll_facts){.renews = old}, &grant)
            != MU_OK)
            fail_msg("case %zu: %s", i, err.what);
        assert_true(mu_bytes_equal(mu_buf_bytes(&grant.subject), old->subject));
        assert_false(grant.manual); /* the old certificate vouches */
        mu_enroll_grant_clear(&grant);
    }
    mu_pki_cert_free(old);
}

/* ---- extensions, dates ---- */

struct seen {
    char oids[600];
};

static void note_ext(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct seen *s = cookie;

    snprintf(s->oids + strlen(s->oids), sizeof s->oids - strlen(s->oids), "%s%s ", oid,
        critical ? "!" : "");
}

static void extensions_are_those_of_the_profile(void **state)
{
    static const struct {
        const char *settings;
        struct wish wish;
        const char *oids;
        unsigned key_usage, eku;
    } cases[] = {
        /* ACCEPTANCE I8: four extensions, none critical */
        {"critical = none\neku = none\npointers = no\n", {.subject = "/CN=a"},
            "2.5.29.19 2.5.29.15 2.5.29.14 2.5.29.35 ", MU_KU_DIGITAL_SIGNATURE, 0},
        {"pointers = no\n", {.subject = "/CN=a"},
            "2.5.29.19! 2.5.29.15! 2.5.29.37 2.5.29.14 2.5.29.35 ", MU_KU_DIGITAL_SIGNATURE,
            MU_EKU_CLIENT_AUTH},
        {"eku = none\n", {.subject = "/CN=a", .san = "DNS:x"},
            "2.5.29.19! 2.5.29.15! 2.5.29.14 2.5.29.35 2.5.29.17 2.5.29.31 1.3.6.1.5.5.7.1.1 ",
            MU_KU_DIGITAL_SIGNATURE, 0},
        {"eku = none\npointers = no\nkey-usage = none\n", {.subject = "", .san = "DNS:x"},
            "2.5.29.19! 2.5.29.14 2.5.29.35 2.5.29.17! ", 0, 0}, /* CA-06 */
        {"pointers = no\nsan = drop\n", {.subject = "/CN=a", .san = "DNS:x"},
            "2.5.29.19! 2.5.29.15! 2.5.29.37 2.5.29.14 2.5.29.35 ", MU_KU_DIGITAL_SIGNATURE,
            MU_EKU_CLIENT_AUTH},
        /* R029: the request's usage counts only if the profile says so, and special ones never
           (CA-11) */
        {"pointers = no\n",
            {.subject = "/CN=a", .key_usage = MU_KU_KEY_ENCIPHERMENT, .eku = MU_EKU_SERVER_AUTH},
            NULL, MU_KU_DIGITAL_SIGNATURE, MU_EKU_CLIENT_AUTH},
        {"usage-from-request = yes\n",
            {.subject = "/CN=a", .key_usage = MU_KU_KEY_ENCIPHERMENT, .eku = MU_EKU_SERVER_AUTH},
            NULL, MU_KU_KEY_ENCIPHERMENT, MU_EKU_SERVER_AUTH},
        {"usage-from-request = yes\n",
            {.subject = "/CN=a",
                .ca = true,
                .key_usage = MU_KU_KEY_CERT_SIGN | MU_KU_DIGITAL_SIGNATURE | MU_KU_CRL_SIGN,
                .eku = MU_EKU_OCSP_SIGNING | MU_EKU_CMC_CA | MU_EKU_ANY | MU_EKU_CODE_SIGNING
                    | MU_EKU_EMAIL},
            NULL, MU_KU_DIGITAL_SIGNATURE, MU_EKU_EMAIL},
        {"usage-from-request = yes\n",
            {.subject = "/CN=a", .key_usage = MU_KU_KEY_CERT_SIGN, .eku = MU_EKU_OCSP_SIGNING},
            NULL, MU_KU_DIGITAL_SIGNATURE, MU_EKU_CLIENT_AUTH},
        {"usage-from-request = yes\neku = codeSigning\n",
            {.subject = "/CN=a", .eku = MU_EKU_CODE_SIGNING}, NULL, MU_KU_DIGITAL_SIGNATURE,
            MU_EKU_CODE_SIGNING},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_enroll_grant grant = {0};
        struct mu_pki_exts exts = {0};
        struct seen seen = {""};

        if (decide(cases[i].settings, &cases[i].wish,
                (struct mu_enroll_facts){
                    .crl_url = "http://ca/crl", .ocsp_url = "", .ca_issuers_url = "http://ca/crt"},
                &grant)
            != MU_OK)
            fail_msg("case %zu: %s", i, err.what);
        assert_int_equal(mu_pki_exts_decode(mu_buf_bytes(&grant.extensions), &exts, &err), MU_OK);
        mu_pki_ext_each(mu_buf_bytes(&grant.extensions), note_ext, &seen);
        if (cases[i].oids != NULL)
            assert_string_equal(seen.oids, cases[i].oids);
        assert_false(exts.is_ca);
        assert_int_equal(exts.key_usage, cases[i].key_usage);
        assert_int_equal(exts.eku, cases[i].eku);
        assert_true(mu_bytes_equal(exts.akid, issuer->exts.skid)); /* CA-07 */
        mu_enroll_grant_clear(&grant);
    }
}

/* CA-04 */
static void dates_stay_within_the_issuers(void **state)
{
    struct mu_pki_cert *short_ca = make_cert("/CN=ca", NULL, true, NOW - 60, NOW + 86400);
    struct mu_enroll_grant grant = {0};

    assert_int_equal(decide("lifetime = 365d\nbackdate = 5min\n",
                         &(struct wish){.subject = "/CN=a"}, (struct mu_enroll_facts){0}, &grant),
        MU_OK);
    assert_int_equal(grant.not_before_s, NOW - 300);
    assert_int_equal(grant.not_after_s, NOW + YEAR);
    mu_enroll_grant_clear(&grant);
    assert_int_equal(decide("", &(struct wish){.subject = "/CN=a"},
                         (struct mu_enroll_facts){.issuer = short_ca}, &grant),
        MU_OK);
    assert_int_equal(grant.not_before_s, NOW - 60);
    assert_int_equal(grant.not_after_s, NOW + 86400);
    mu_enroll_grant_clear(&grant);
    mu_pki_cert_free(short_ca);
}

static void manual_profiles_grant_to_an_operator(void **state)
{
    struct mu_enroll_grant grant = {0};

    assert_int_equal(decide("approval = manual\n", &(struct wish){.subject = "/CN=a"},
                         (struct mu_enroll_facts){0}, &grant),
        MU_OK);
    assert_true(grant.manual);
    mu_enroll_grant_clear(&grant);
    assert_int_equal(decide("approval = manual\n", &(struct wish){.subject = "/CN=a"},
                         (struct mu_enroll_facts){.approved = true}, &grant),
        MU_OK);
    assert_false(grant.manual);
    mu_enroll_grant_clear(&grant);
}

/* R052: manual is asked about once, always at each renewal too. */
static void renewals_are_asked_about_where_the_profile_says_always(void **state)
{
    static const struct {
        const char *settings;
        bool is_renewal, approved, manual;
    } cases[] = {
        {"approval = manual\n", true, false, false},
        {"approval = always\n", true, false, true},
        {"approval = always\n", false, false, true},
        {"approval = always\n", true, true, false},
    };
    struct mu_pki_cert *old = make_cert("/CN=a", NULL, false, NOW - YEAR, NOW + 10 * 86400);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_enroll_grant grant = {0};

        assert_int_equal(decide(cases[i].settings, &(struct wish){.subject = "/CN=a"},
                             (struct mu_enroll_facts){.renews = cases[i].is_renewal ? old : NULL,
                                 .approved = cases[i].approved},
                             &grant),
            MU_OK);
        assert_int_equal(grant.manual, cases[i].manual);
        mu_enroll_grant_clear(&grant);
    }
    mu_pki_cert_free(old);
}

static int group_setup(void **state)
{
    const struct mu_pki_key_spec ec = {MU_PKI_KEY_EC, 256}, rsa = {MU_PKI_KEY_RSA, 2048};

    now_s = NOW;
    if (mu_pki_key_generate(&ec, &key, &err) != MU_OK
        || mu_pki_key_generate(&ec, &other_key, &err) != MU_OK
        || mu_pki_key_generate(&rsa, &rsa_key, &err) != MU_OK)
        return -1;
    issuer = make_cert("/CN=ca", NULL, true, NOW - YEAR, NOW + 10 * (int64_t)YEAR);
    return 0;
}

static int group_teardown(void **state)
{
    mu_pki_key_free(key);
    mu_pki_key_free(other_key);
    mu_pki_key_free(rsa_key);
    mu_pki_cert_free(issuer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects_follow_the_rules),
        cmocka_unit_test(an_accepted_subject_is_copied),
        cmocka_unit_test(globs_match),
        cmocka_unit_test(every_refusal_has_its_sentence),
        cmocka_unit_test(every_rule_is_traced),
        cmocka_unit_test(renewal_keeps_what_was_granted),
        cmocka_unit_test(extensions_are_those_of_the_profile),
        cmocka_unit_test(dates_stay_within_the_issuers),
        cmocka_unit_test(manual_profiles_grant_to_an_operator),
        cmocka_unit_test(renewals_are_asked_about_where_the_profile_says_always),
    };

    return cmocka_run_group_tests_name("enroll_profile_decide", tests, group_setup, group_teardown);
}
