/* Who gets a certificate, and who is told why not: our client engine against the CA in memory. */
#include "ca_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "pki/pki_crl.h"
#include "store/store.h"

static void challenge_signs_at_once(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;

    ca_ok(ca_enroll(w,
        &(struct ca_client){
            .challenge = "challenge1", .subject = "/C=NL/ST=NH/O=Fortinet/CN=myvpn"},
        &cert));
    assert_true(ca_subject_is(cert, "/ST=NH/O=Fortinet/OU=AS/CN=myvpn")); /* the fixture's rules */
    assert_int_equal(cert->not_after_s, NOW + 365 * 86400);
    assert_true(cert->serial.n >= 16 && cert->serial.n <= 17); /* CA-01 */
    assert_string_equal(w->action, "issue");
    assert_string_equal(w->message,
        "Certificate signing request \"ST=NH,O=Fortinet,OU=AS,CN=myvpn\" signed with CA "
        "certificate \"C=NL,ST=NH,L=Amsterdam,O=Fortinet,OU=AS,CN=sceptest\"");
    mu_pki_cert_free(cert);
}

/* SCEP-54: no challenge waits, and so does one whose profile is manual. */
static void manual_requests_wait(void **state)
{
    struct ca_world *w = *state;

    assert_int_equal(ca_enroll(w, &(struct ca_client){0}, NULL), MU_PENDING);
    assert_string_equal(w->action, "pending");
    assert_int_equal(
        ca_enroll(w, &(struct ca_client){.challenge = "challenge2", .key = CA_KEY_B}, NULL),
        MU_PENDING);
    ca_set(w, "no-challenge = none\n");
    ca_refused(w, &(struct ca_client){.subject = "/CN=x"}, MU_REFUSE_PASSWORD_MISSING,
        "password is needed");
}

/* SCEP-14: neither TLS nor a certificate of ours in it, only the message counts. */
static void tls_is_no_authorization(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;

    ca_ok(
        ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=tls"}, &cert));
    w->peer.tls = true;
    w->peer.tls_version = 0x0304;
    w->peer.client_cert = cert->der;
    ca_refused(w, &(struct ca_client){.challenge = "wrong", .subject = "/CN=tls"},
        MU_REFUSE_PASSWORD, NULL);
    assert_int_equal(ca_enroll(w, &(struct ca_client){.subject = "/CN=tls"}, NULL), MU_PENDING);
    ca_set(w, "no-challenge = none\n");
    ca_refused(w, &(struct ca_client){.subject = "/CN=tls", .key = CA_KEY_B},
        MU_REFUSE_PASSWORD_MISSING, NULL);
    mu_pki_cert_free(cert);
}

static bool note_delivery(void *cookie, const struct mu_record_cert *row)
{
    *(int *)cookie += row->delivery_known ? 100 : 1;
    return true;
}

/* SCEP-79: SCEP never confirms. */
static void a_scep_record_says_delivery_unknown(void **state)
{
    struct ca_world *w = *state;
    int n = 0;

    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, NULL));
    ca_ok(mu_ca_certs_each(w->ca, &(struct mu_store_filter){0}, note_delivery, &n, &ca_err));
    assert_int_equal(n, 1);
}

/* SCEP-56 */
static void a_wrong_challenge_is_a_failure(void **state)
{
    struct ca_world *w = *state;

    ca_refused(
        w, &(struct ca_client){.challenge = "wrong"}, MU_REFUSE_PASSWORD, "password is wrong");
    assert_int_equal(w->last_status, 200); /* SCEP-13: in a CertRep */
}

static void an_empty_challenge_counts_as_absent(void **state)
{
    assert_int_equal(ca_enroll(*state, &(struct ca_client){.challenge = ""}, NULL), MU_PENDING);
}

static void guesses_are_limited_by_address(void **state)
{
    struct ca_world *w = *state;

    for (unsigned i = 0; i < 20; i++)
        ca_refused(w, &(struct ca_client){.challenge = "wrong"}, MU_REFUSE_PASSWORD, NULL);
    ca_refused(w, &(struct ca_client){.challenge = "challenge1"}, MU_REFUSE_RATE, NULL);
    snprintf(w->peer.address, sizeof w->peer.address, "192.0.2.8");
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, NULL));
    snprintf(w->peer.address, sizeof w->peer.address, "192.0.2.7");
    w->now_s += 3601;
    ca_ok(
        ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=later"}, NULL));
}

/* ---- entries ---- */

static void make_entry(
    struct ca_world *w, const char *name, const char *password, bool reusable, int64_t expires_s)
{
    struct mu_secret secret = {0};
    const struct mu_ca_entry_new entry = {.name = name,
        .profile = "scep-auto",
        .password = &secret,
        .reusable = reusable,
        .expires_s = expires_s,
        .operator= "test" };

    ca_ok(mu_secret_set(&secret, mu_bytes_str(password), &ca_err));
    ca_ok(mu_ca_entry_new(w->ca, &entry, NULL, &ca_err));
    mu_secret_clear(&secret);
}

/* SCEP-55 */
static void a_one_time_password_works_once(void **state)
{
    struct ca_world *w = *state;

    make_entry(w, "gw", "once-only", false, 0);
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "once-only"}, NULL));
    ca_refused(w, &(struct ca_client){.challenge = "once-only", .subject = "/CN=other"},
        MU_REFUSE_PASSWORD_USED, "used already");
    ca_ok(mu_ca_entry_reset(w->ca, "gw", "test", &ca_err));
    ca_ok(
        ca_enroll(w, &(struct ca_client){.challenge = "once-only", .subject = "/CN=other"}, NULL));
}

/* SCEP-55: who comes second may not be who it was made for. The operator is told, the client not.
 */
static void a_used_password_again_is_told_as_a_breach(void **state)
{
    struct ca_world *w = *state;

    make_entry(w, "gw", "once-only", false, 0);
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "once-only"}, NULL));
    ca_refused(w, &(struct ca_client){.challenge = "once-only", .subject = "/CN=other"},
        MU_REFUSE_PASSWORD_USED, NULL);
    assert_non_null(strstr(w->message, "Possible breach"));
    assert_null(strstr(ca_err.what, "breach"));
    ca_refused(w, &(struct ca_client){.challenge = "wrong"}, MU_REFUSE_PASSWORD, NULL);
    assert_null(strstr(w->message, "breach"));
}

static void passwords_expire_and_entries_are_disabled(void **state)
{
    struct ca_world *w = *state;

    make_entry(w, "gw", "short-lived", true, NOW + 100);
    w->now_s = NOW + 99;
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "short-lived"}, NULL));
    w->now_s = NOW + 100;
    ca_refused(w, &(struct ca_client){.challenge = "short-lived", .subject = "/CN=b"},
        MU_REFUSE_PASSWORD_EXPIRED, "expired");
    ca_ok(mu_ca_entry_disable(w->ca, "demo-auto", true, "test", &ca_err));
    ca_refused(
        w, &(struct ca_client){.challenge = "challenge1"}, MU_REFUSE_ENTRY_DISABLED, "disabled");
    ca_ok(mu_ca_entry_disable(w->ca, "demo-auto", false, "test", &ca_err));
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=c"}, NULL));
    ca_ok(mu_ca_entry_remove(w->ca, "demo-auto", "test", &ca_err));
    ca_refused(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=d"},
        MU_REFUSE_PASSWORD, NULL);
}

static void an_entry_whose_profile_is_gone_finds_none(void **state)
{
    struct ca_world *w = *state;

    ca_ok(mu_ca_profile_remove(w->ca, "scep-auto", "test", &ca_err));
    ca_refused(w, &(struct ca_client){.challenge = "challenge1"}, MU_REFUSE_ENTRY_UNKNOWN,
        "Enrollment not found.");
}

/* ---- profiles: each refusal reaches the client ---- */

static void profile_refusals_reach_the_client(void **state)
{
    static const struct {
        const char *settings;
        struct ca_client client;
        enum mu_reason reason;
        const char *words;
    } cases[] = {
        {"subject = CN=*.branch.example\n", {.subject = "/CN=evil"}, MU_REFUSE_NAME,
            "CN=*.branch.example"},
        {"san = refuse\n", {.san = "DNS:a.example"}, MU_REFUSE_SAN, "no subject alternative name"},
        {"san = DNS:*.good.example\n", {.san = "DNS:a.bad.example"}, MU_REFUSE_SAN,
            "a.bad.example"},
        {"keys = ec:P-256\n", {.key = CA_KEY_A}, MU_REFUSE_KEY_WEAK, "RSA 2048"},
        {"", {.key = CA_KEY_WEAK, .subject = "/CN=weak"}, MU_REFUSE_KEY_WEAK, "RSA 1024"},
        {"protocols = cmp\n", {0}, MU_REFUSE_UNSUPPORTED, "not for scep"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ca_client client = cases[i].client;
        void *fresh = NULL;

        if (i != 0) {
            ca_world_end(state);
            ca_world_demo(&fresh);
            *state = fresh;
        }
        client.challenge = "challenge1";
        ca_profile(*state, "scep-auto", cases[i].settings);
        ca_refused(*state, &client, cases[i].reason, cases[i].words);
    }
}

static void live_certificates_and_requests_are_limited(void **state)
{
    struct ca_world *w = *state;
    const struct ca_client again = {.challenge = "challenge1", .key = CA_KEY_B};

    ca_profile(w, "scep-auto", "max-alive = 1\n");
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, NULL));
    ca_refused(w, &again, MU_REFUSE_ALIVE, "live certificates");
    ca_profile(w, "scep-auto", "max-alive = 0\nmax-requests = 1/h\n");
    ca_refused(w, &again, MU_REFUSE_RATE, NULL);
    w->now_s += 3601;
    ca_ok(ca_enroll(w, &again, NULL));
}

static void a_key_seen_under_another_name(void **state)
{
    struct ca_world *w = *state;

    ca_profile(w, "scep-auto", "key-seen = refuse\n");
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=a"}, NULL));
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .subject = "/C=NL/CN=a"},
        NULL)); /* the same once C is dropped */
    ca_refused(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=b"},
        MU_REFUSE_KEY_SEEN, NULL);
}

/* CA-11, INTEROP 3.31 */
static void a_request_never_makes_a_ca(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;

    ca_ok(ca_enroll(
        w, &(struct ca_client){.challenge = "challenge1", .is_ca = true, .any_eku = true}, &cert));
    assert_false(cert->exts.is_ca);
    assert_int_equal(cert->exts.key_usage & (MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN), 0);
    assert_int_equal(cert->exts.eku, MU_EKU_EMAIL);
    mu_pki_cert_free(cert);
}

/* R024 */
static void a_template_name_chooses_a_profile(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;

    ca_ok(mu_ca_profile_put(w->ca, "tls",
        "template-name = tls-client\neku = clientAuth\nmax-requests = 0\nlifetime = 10d\n", true,
        "test", &ca_err));
    ca_ok(ca_enroll(
        w, &(struct ca_client){.challenge = "challenge1", .template_name = "tls-client"}, &cert));
    assert_int_equal(cert->not_after_s, NOW + 10 * 86400);
    mu_pki_cert_free(cert);
    /* but not around an operator */
    assert_int_equal(
        ca_enroll(w,
            &(struct ca_client){
                .challenge = "challenge2", .template_name = "tls-client", .subject = "/CN=z"},
            NULL),
        MU_PENDING);
}

/* R024: who shows no challenge gets the profile meant for that, whatever template he names. */
static void a_template_name_without_a_challenge_chooses_nothing(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;

    ca_ok(mu_ca_profile_put(
        w->ca, "open", "max-requests = 0\nlifetime = 1d\n", true, "test", &ca_err));
    ca_ok(mu_ca_profile_put(w->ca, "tls",
        "template-name = tls-client\nmax-requests = 0\nlifetime = 10d\n", true, "test", &ca_err));
    ca_set(w, "no-challenge = open\n");
    ca_ok(ca_enroll(w, &(struct ca_client){.template_name = "tls-client"}, &cert));
    assert_int_equal(cert->not_after_s, NOW + 86400);
    mu_pki_cert_free(cert);
}

static void a_profile_of_another_ca_is_refused(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;

    ca_ok(mu_ca_profile_put(w->ca, "tls",
        "ca = elsewhere\ntemplate-name = tls-client\nlifetime = 10d\n", true, "test", &ca_err));
    ca_ok(ca_enroll(
        w, &(struct ca_client){.challenge = "challenge1", .template_name = "tls-client"}, &cert));
    assert_int_equal(cert->not_after_s, NOW + 365 * 86400);
    mu_pki_cert_free(cert);
    ca_profile(w, "scep-auto", "ca = elsewhere\n");
    ca_refused(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=x"},
        MU_REFUSE_UNSUPPORTED, "is not for CA");
}

/* ---- repeats ---- */

/* SCEP-60: the same certificate, not a second one, and no second challenge. */
static void a_repeated_request_gets_the_same_certificate(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf csr = {0};
    struct ca_client client = {.challenge = "once-only", .transaction_id = "ABC"};
    struct mu_pki_cert *first = NULL, *second = NULL, *third = NULL;
    struct mu_store_counts counts;
    struct mu_ca_stats stats;

    make_entry(w, "gw", "once-only", false, 0);
    ca_csr(&client, &csr);
    ca_use_csr = &csr;
    ca_ok(ca_enroll(w, &client, &first));
    w->now_s += 6 * 86400;
    ca_ok(ca_enroll(w, &client, &second));
    assert_true(mu_pki_cert_equal(first, second));
    client.transaction_id = "DEF"; /* lost reply, new id (INTEROP 3.15) */
    ca_ok(ca_enroll(w, &client, &third));
    assert_true(mu_pki_cert_equal(first, third));
    ca_ok(mu_ca_counts(w->ca, &counts, &ca_err));
    assert_int_equal(counts.certs, 1);
    mu_ca_stats(w->ca, &stats);
    assert_int_equal(stats.issued, 1);
    assert_int_equal(stats.resent, 2);
    /* after seven days it is a new request, and the password is used */
    w->now_s += 2 * 86400;
    ca_refused(w, &client, MU_REFUSE_PASSWORD_USED, NULL);
    mu_pki_cert_free(first);
    mu_pki_cert_free(second);
    mu_pki_cert_free(third);
    mu_buf_clear(&csr);
}

static void another_request_under_the_same_id_is_a_new_one(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *first = NULL, *second = NULL;

    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .from_key = true}, &first));
    ca_ok(ca_enroll(w,
        &(struct ca_client){.challenge = "challenge1", .from_key = true, .subject = "/CN=new"},
        &second));
    assert_false(mu_pki_cert_equal(first, second));
    mu_pki_cert_free(first);
    mu_pki_cert_free(second);
}

static void a_revoked_certificate_is_not_given_again(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf csr = {0}, serial = {0};
    const struct ca_client client = {.challenge = "challenge1", .transaction_id = "ABC"};
    struct mu_pki_cert *first = NULL, *second = NULL;

    ca_csr(&client, &csr);
    ca_use_csr = &csr;
    ca_ok(ca_enroll(w, &client, &first));
    mu_pki_cert_serial_hex(first->serial, &serial);
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&serial), 1, "test", &ca_err));
    ca_ok(ca_enroll(w, &client, &second));
    assert_false(mu_pki_cert_equal(first, second));
    mu_pki_cert_free(first);
    mu_pki_cert_free(second);
    mu_buf_clear(&csr);
    mu_buf_clear(&serial);
}

static void a_waiting_request_repeated_waits_once(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf csr = {0};
    struct ca_client client = {.transaction_id = "ABC"};
    struct mu_store_counts counts;

    ca_csr(&client, &csr);
    ca_use_csr = &csr;
    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    client.transaction_id = "DEF";
    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    ca_ok(mu_ca_counts(w->ca, &counts, &ca_err));
    assert_int_equal(counts.pending, 1);
    /* it is known by its new id */
    ca_ok(mu_ca_queue_approve(w->ca, "DEF", NULL, "test", NULL, &ca_err));
    client.op = MU_SCEP_CLIENT_POLL;
    ca_ok(ca_run(w, &client, NULL, NULL, NULL));
    mu_buf_clear(&csr);
}

/* SCEP-36: an EC key that waits gets its certificate at the poll, encrypted to the challenge, which
 * lies sealed beside the request; also after the client changed its transaction id. */
static void a_waiting_request_of_an_ec_key_is_answered_at_its_poll(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;
    struct mu_buf csr = {0};
    struct ca_client client = {
        .transaction_id = "ABC", .key = CA_KEY_EC, .challenge = "challenge2"};

    ca_csr(&client, &csr);
    ca_use_csr = &csr;
    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    client.op = MU_SCEP_CLIENT_POLL;
    assert_int_equal(ca_run(w, &client, NULL, NULL, NULL), MU_PENDING);
    client.transaction_id = "DEF";
    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    ca_ok(mu_ca_queue_approve(w->ca, "DEF", NULL, "test", NULL, &ca_err));
    ca_world_restart(w);
    ca_ok(ca_run(w, &client, &cert, NULL, NULL));
    assert_non_null(cert);
    mu_pki_cert_free(cert);
    mu_buf_clear(&csr);
}

/* SCEP-36: the CA's secret is another one now: refused with a sentence, nothing sent in the clear. */
static void a_sealed_challenge_that_does_not_open_is_told(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf csr = {0};
    struct ca_client client = {
        .transaction_id = "ABC", .key = CA_KEY_EC, .challenge = "challenge2"};

    ca_csr(&client, &csr);
    ca_use_csr = &csr;
    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    ca_ok(mu_ca_queue_approve(w->ca, "ABC", NULL, "test", NULL, &ca_err));
    w->config.secret = mu_bytes_str("another secret of the CA");
    ca_world_restart(w);
    client.op = MU_SCEP_CLIENT_POLL;
    assert_int_equal(ca_run(w, &client, NULL, NULL, NULL), MU_DENIED);
    assert_int_equal(w->reason, MU_REFUSE_UNDELIVERABLE);
    assert_non_null(strstr(w->message, "another CA secret"));
    mu_buf_clear(&csr);
}

/* ---- waiting ---- */

static void waiting_requests_are_bounded(void **state)
{
    struct ca_world *w = *state;

    ca_set(w, "pending-max = 2\n");
    assert_int_equal(ca_enroll(w, &(struct ca_client){.subject = "/CN=a"}, NULL), MU_PENDING);
    assert_int_equal(ca_enroll(w, &(struct ca_client){.subject = "/CN=b"}, NULL), MU_PENDING);
    ca_refused(
        w, &(struct ca_client){.subject = "/CN=c"}, MU_REFUSE_QUEUE_FULL, "wait for approval");
    ca_ok(ca_enroll(w, &(struct ca_client){.subject = "/CN=d", .challenge = "challenge1"},
        NULL)); /* does not wait */
    w->now_s += 7 * 86400 + 1; /* their age is bounded too */
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    assert_int_equal(ca_enroll(w, &(struct ca_client){.subject = "/CN=c"}, NULL), MU_PENDING);
}

/* SCEP-63, SCEP-66 */
static void polls_follow_id_and_signer(void **state)
{
    struct ca_world *w = *state;
    struct ca_client client = {.transaction_id = "ABC"},
                     other = {.transaction_id = "ABC", .key = CA_KEY_B, .op = MU_SCEP_CLIENT_POLL};
    struct mu_pki_cert *cert = NULL, *again = NULL;

    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    client.op = MU_SCEP_CLIENT_POLL;
    assert_int_equal(ca_run(w, &client, NULL, NULL, NULL), MU_PENDING);
    assert_int_equal(ca_run(w, &other, NULL, NULL, NULL), MU_DENIED); /* another key */
    assert_int_equal(w->reason, MU_REFUSE_NO_SUCH_REQUEST);
    ca_ok(mu_ca_queue_approve(w->ca, "ABC", NULL, "test", NULL, &ca_err));
    assert_string_equal(w->action, "issue");
    ca_ok(ca_run(w, &client, &cert, NULL, NULL));
    assert_true(ca_subject_is(cert, "/O=Example/OU=AS/CN=device"));
    ca_ok(ca_run(w, &client, &again, NULL, NULL));
    assert_true(mu_pki_cert_equal(cert, again));
    client.transaction_id = "NEVER";
    assert_int_equal(ca_run(w, &client, NULL, NULL, NULL), MU_DENIED);
    assert_int_equal(w->reason, MU_REFUSE_NO_SUCH_REQUEST);
    mu_pki_cert_free(cert);
    mu_pki_cert_free(again);
}

static void the_operators_words_reach_the_client(void **state)
{
    struct ca_world *w = *state;
    struct ca_client client = {.transaction_id = "ABC"};

    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    ca_ok(mu_ca_queue_reject(w->ca, "ABC", "ask Alice first", "bob", &ca_err));
    client.op = MU_SCEP_CLIENT_POLL;
    assert_int_equal(ca_run(w, &client, NULL, NULL, NULL), MU_DENIED);
    assert_int_equal(w->reason, MU_REFUSE_OPERATOR);
    assert_non_null(strstr(ca_err.what, "ask Alice first"));
}

/* ---- renewal ---- */

static struct mu_pki_cert *enrolled(struct ca_world *w, const char *subject)
{
    struct mu_pki_cert *cert = NULL;

    ca_ok(ca_enroll(w,
        &(struct ca_client){
            .challenge = "challenge1", .subject = subject, .san = "DNS:a.example,DNS:b.example"},
        &cert));
    return cert;
}

/* SCEP-67, SCEP-70: by the signer, not by the message type. */
static void renewal_by_17_and_by_19(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = enrolled(w, "/C=NL/CN=gw"), *mid = NULL, *last = NULL;
    struct mu_ca_stats stats;

    ca_ok(ca_enroll(
        w, &(struct ca_client){.signer = old, .key = CA_KEY_B, .subject = "/OU=AS/CN=gw"}, &mid));
    assert_string_equal(w->action, "renew");
    assert_non_null(strstr(w->message, "Certificate \"OU=AS,CN=gw\" was renewed ("));
    ca_ok(ca_enroll(w,
              &(struct ca_client){.signer = mid,
                  .signer_key = CA_KEY_B,
                  .plain = true,
                  .subject = "/C=NL/CN=gw",
                  .san = "DNS:b.example"},
              NULL)
                == MU_DENIED
            ? MU_OK
            : MU_INTERNAL); /* the SAN was not in mid */
    assert_int_equal(w->reason, MU_REFUSE_SUBJECT_DIFFERS);
    ca_ok(ca_enroll(w,
        &(struct ca_client){
            .signer = mid, .signer_key = CA_KEY_B, .plain = true, .subject = "/C=NL/CN=gw"},
        &last));
    mu_ca_stats(w->ca, &stats);
    assert_int_equal(stats.issued, 1);
    assert_int_equal(stats.renewed, 2);
    mu_pki_cert_free(old);
    mu_pki_cert_free(mid);
    mu_pki_cert_free(last);
}

/* SCEP-60: a message signed by the issued certificate is a renewal, same id and request or not. */
static void renewal_with_the_same_request_is_no_repeat(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf csr = {0};
    struct ca_client client = {.challenge = "challenge1", .from_key = true};
    struct mu_pki_cert *old = NULL, *fresh = NULL, *again = NULL;

    ca_csr(&client, &csr);
    ca_use_csr = &csr;
    ca_ok(ca_enroll(w, &client, &old));
    client.signer = old;
    ca_ok(ca_enroll(w, &client, &fresh));
    assert_false(mu_pki_cert_equal(old, fresh));
    ca_ok(ca_enroll(w, &client, &again)); /* but this one is */
    assert_true(mu_pki_cert_equal(fresh, again));
    mu_pki_cert_free(old);
    mu_pki_cert_free(fresh);
    mu_pki_cert_free(again);
    mu_buf_clear(&csr);
}

static void renewal_keeps_its_names(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = enrolled(w, "/CN=gw"), *fresh = NULL;

    ca_refused(w, &(struct ca_client){.signer = old, .subject = "/CN=admin"},
        MU_REFUSE_SUBJECT_DIFFERS, "admin");
    ca_refused(w,
        &(struct ca_client){
            .signer = old, .subject = "/CN=gw", .san = "DNS:a.example,DNS:evil.example"},
        MU_REFUSE_SUBJECT_DIFFERS, NULL);
    /* rules that became tighter since do not take what it has (INTEROP 5.10) */
    ca_profile(w, "scep-auto", "san = drop\nsubject = CN=*.branch.example\nsubject-drop = CN\n");
    ca_ok(ca_enroll(w,
        &(struct ca_client){
            .signer = old, .subject = "/OU=AS/CN=gw", .san = "DNS:b.example,DNS:a.example"},
        &fresh));
    assert_true(ca_subject_is(fresh, "/OU=AS/CN=gw"));
    assert_true(fresh->exts.san.n != 0);
    mu_pki_cert_free(old);
    mu_pki_cert_free(fresh);
}

static void the_renewal_window_is_kept(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = enrolled(w, "/CN=gw");
    const struct ca_client client = {.signer = old, .subject = "/CN=gw", .key = CA_KEY_B};

    ca_profile(w, "scep-auto", "renew-before = 30d\nrenew-after = 5d\n");
    ca_refused(w, &client, MU_REFUSE_RENEWAL_EARLY, "renewal allowed from 2026-10-21T17:33:20Z");
    assert_int_equal(ca_err.reason, MU_M(314));
    w->now_s = old->not_after_s - 30 * 86400 - 1;
    ca_refused(w, &client, MU_REFUSE_RENEWAL_EARLY, NULL);
    w->now_s = old->not_after_s + 5 * 86400 + 1;
    ca_refused(w, &client, MU_REFUSE_RENEWAL_LATE, NULL);
    w->now_s = old->not_after_s + 5 * 86400; /* expired, but within renew-after */
    ca_ok(ca_enroll(w, &client, NULL));
    mu_pki_cert_free(old);
}

/* SCEP-69, IOP-12: in its validity, to the second. */
static void an_expired_signer_is_refused_by_default(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = enrolled(w, "/CN=gw");
    const struct ca_client client = {.signer = old, .subject = "/CN=gw", .key = CA_KEY_B};

    ca_profile(w, "scep-auto", "renew-after = 0\n"); /* the default; the demo grants a year */
    w->now_s = old->not_after_s + 1;
    ca_refused(w, &client, MU_REFUSE_RENEWAL_LATE, NULL);
    w->now_s = old->not_after_s;
    ca_ok(ca_enroll(w, &client, NULL));
    mu_pki_cert_free(old);
}

static void the_renewal_key_follows_the_profile(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = enrolled(w, "/CN=gw");

    ca_profile(w, "scep-auto", "renew-key = new\n");
    ca_refused(
        w, &(struct ca_client){.signer = old, .subject = "/CN=gw"}, MU_REFUSE_KEY_SEEN, "new key");
    ca_profile(w, "scep-auto", "renew-key = same\n");
    ca_refused(w, &(struct ca_client){.signer = old, .subject = "/CN=gw", .key = CA_KEY_B},
        MU_REFUSE_SIGNER_KEY, "keeps its key");
    ca_profile(w, "scep-auto", "renew-key = either\nrenew-challenge = yes\n");
    ca_refused(w, &(struct ca_client){.signer = old, .subject = "/CN=gw"},
        MU_REFUSE_PASSWORD_MISSING, "renewal");
    ca_refused(w, &(struct ca_client){.signer = old, .subject = "/CN=gw", .challenge = "wrong"},
        MU_REFUSE_PASSWORD, NULL);
    ca_ok(ca_enroll(w,
        &(struct ca_client){.signer = old, .subject = "/CN=gw", .challenge = "challenge1"}, NULL));
    mu_pki_cert_free(old);
}

/* SCEP-69 */
static void a_revoked_signer_is_refused(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = enrolled(w, "/CN=gw"), *fresh = NULL;
    struct mu_buf serial = {0};

    ca_profile(w, "scep-auto", "revoke-old = yes\n");
    ca_ok(ca_enroll(
        w, &(struct ca_client){.signer = old, .subject = "/CN=gw", .key = CA_KEY_B}, &fresh));
    ca_refused(w, &(struct ca_client){.signer = old, .subject = "/CN=gw"}, MU_REFUSE_SIGNER_REVOKED,
        "revoked");
    mu_pki_cert_serial_hex(fresh->serial, &serial);
    ca_ok(mu_ca_revoke(w->ca, "demo", mu_buf_str(&serial), 1, "test", &ca_err));
    ca_refused(w, &(struct ca_client){.signer = fresh, .signer_key = CA_KEY_B, .subject = "/CN=gw"},
        MU_REFUSE_SIGNER_REVOKED, NULL);
    mu_pki_cert_free(old);
    mu_pki_cert_free(fresh);
    mu_buf_clear(&serial);
}

/* IOP-12: a certificate that only bears the CA's name. */
static struct mu_pki_cert *foreign(const struct mu_pki_cert *like, bool our_name)
{
    struct mu_buf der = {0}, name = {0};
    const struct mu_pki_tbs tbs = {.serial_magnitude = like->serial,
        .subject = like->subject,
        .issuer = our_name
            ? like->issuer
            : mu_bytes("\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03two", 16),
        .not_before_s = NOW - 10,
        .not_after_s = NOW + 86400,
        .spki = like->spki,
        .extensions = like->exts.all};
    struct mu_pki_cert *cert = NULL;

    ca_ok(mu_pki_cert_make(&tbs, ca_key(CA_KEY_B), MU_PKI_SHA256, &der, &ca_err));
    ca_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &ca_err));
    mu_buf_clear(&der);
    mu_buf_clear(&name);
    return cert;
}

static void forged_and_foreign_signers(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = enrolled(w, "/CN=gw"), *forged = foreign(old, true),
                       *other = foreign(old, false);

    ca_refused(w, &(struct ca_client){.signer = forged, .subject = "/CN=gw"},
        MU_REFUSE_SIGNER_UNTRUSTED, NULL);
    ca_refused(w,
        &(struct ca_client){.signer = forged, .subject = "/CN=gw", .challenge = "challenge1"},
        MU_REFUSE_SIGNER_UNTRUSTED, NULL);
    ca_refused(w, &(struct ca_client){.signer = other, .subject = "/CN=gw"},
        MU_REFUSE_SIGNER_UNTRUSTED, NULL);
    /* a maker's certificate with a right challenge: the challenge counts */
    ca_ok(ca_enroll(w,
        &(struct ca_client){.signer = other, .subject = "/CN=gw2", .challenge = "challenge1"},
        NULL));
    assert_string_equal(w->action, "issue");
    mu_pki_cert_free(old);
    mu_pki_cert_free(forged);
    mu_pki_cert_free(other);
}

/* ---- queries ---- */

/* SCEP-72, SCEP-73 */
static void certificates_can_be_asked_for(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = enrolled(w, "/CN=gw"), *got = NULL;
    struct ca_client client = {.op = MU_SCEP_CLIENT_CERT, .signer = cert, .serial = cert->serial};

    ca_ok(ca_run(w, &client, &got, NULL, NULL));
    assert_true(mu_pki_cert_equal(cert, got));
    client.serial = mu_bytes("\x05", 1);
    assert_int_equal(ca_run(w, &client, NULL, NULL, NULL), MU_DENIED);
    assert_int_equal(w->reason, MU_REFUSE_NO_SUCH_CERT);
    assert_int_equal(ca_err.reason, MU_M(318));
    mu_pki_cert_free(cert);
    mu_pki_cert_free(got);
}

/* SCEP-74 */
static void the_latest_crl_can_be_asked_for(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = enrolled(w, "/CN=gw");
    struct mu_scep_client_result result;
    struct mu_scep_client *client = NULL;
    struct mu_pki_crl *crl = NULL;
    struct mu_buf serial = {0};

    mu_pki_cert_serial_hex(cert->serial, &serial);
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&serial), 1, "test", &ca_err));
    ca_ok(ca_run(
        w, &(struct ca_client){.op = MU_SCEP_CLIENT_CRL, .signer = cert}, NULL, &result, &client));
    ca_ok(mu_pki_crl_decode(result.crl, &crl, &ca_err));
    assert_int_equal(mu_pki_crl_count(crl), 1);
    mu_pki_crl_free(crl);
    mu_scep_client_free(client);
    mu_pki_cert_free(cert);
    mu_buf_clear(&serial);
}

/* ---- storage that fails ---- */

static void broken_submit(struct mu_store *store, struct mu_store_change *change)
{
    struct mu_err err = {.code = MU_STORAGE, .what = "store: disk full"};

    change->done(change->cookie, &(struct mu_store_result){.code = MU_STORAGE, .err = &err});
}

/* No answer that says issued leaves without its record; the client may try again. */
static void nothing_is_issued_that_is_not_recorded(void **state)
{
    struct ca_world *w = *state;
    struct mu_store_ops broken = *w->store->ops;
    const struct mu_store_ops *whole = w->store->ops;

    broken.submit = broken_submit;
    w->store->ops = &broken;
    assert_true(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, NULL) != MU_OK);
    assert_int_equal(w->last_status, 500);
    w->store->ops = whole;
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, NULL));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, ca_world_demo, ca_world_end)
    const struct CMUnitTest tests[] = {
        CASE(challenge_signs_at_once),
        CASE(manual_requests_wait),
        CASE(a_wrong_challenge_is_a_failure),
        CASE(an_empty_challenge_counts_as_absent),
        CASE(guesses_are_limited_by_address),
        CASE(a_one_time_password_works_once),
        CASE(a_used_password_again_is_told_as_a_breach),
        CASE(tls_is_no_authorization),
        CASE(a_scep_record_says_delivery_unknown),
        CASE(an_expired_signer_is_refused_by_default),
        CASE(passwords_expire_and_entries_are_disabled),
        CASE(an_entry_whose_profile_is_gone_finds_none),
        CASE(profile_refusals_reach_the_client),
        CASE(live_certificates_and_requests_are_limited),
        CASE(a_key_seen_under_another_name),
        CASE(a_request_never_makes_a_ca),
        CASE(a_template_name_chooses_a_profile),
        CASE(a_template_name_without_a_challenge_chooses_nothing),
        CASE(a_profile_of_another_ca_is_refused),
        CASE(a_repeated_request_gets_the_same_certificate),
        CASE(another_request_under_the_same_id_is_a_new_one),
        CASE(a_revoked_certificate_is_not_given_again),
        CASE(a_waiting_request_repeated_waits_once),
        CASE(a_waiting_request_of_an_ec_key_is_answered_at_its_poll),
        CASE(a_sealed_challenge_that_does_not_open_is_told),
        CASE(waiting_requests_are_bounded),
        CASE(polls_follow_id_and_signer),
        CASE(the_operators_words_reach_the_client),
        CASE(renewal_by_17_and_by_19),
        CASE(renewal_with_the_same_request_is_no_repeat),
        CASE(renewal_keeps_its_names),
        CASE(the_renewal_window_is_kept),
        CASE(the_renewal_key_follows_the_profile),
        CASE(a_revoked_signer_is_refused),
        CASE(forged_and_foreign_signers),
        CASE(certificates_can_be_asked_for),
        CASE(the_latest_crl_can_be_asked_for),
        CASE(nothing_is_issued_that_is_not_recorded),
    };

    return cmocka_run_group_tests_name("ca_decide", tests, NULL, NULL);
}
