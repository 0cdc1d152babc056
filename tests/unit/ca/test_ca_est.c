/* EST in the CA: who may ask, with what right, below which label, and what is answered. */
#include "ca_world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "pki/pki_crl.h"
#include "pki/pki_key_package.h"
#include "pki/pki_name.h"
#include "proto/est/est_keygen.h"
#include "proto/est/est_multipart.h"

#define EST "/.well-known/est/"

static const char t2[] =
    "MIIBQDCB5gIBAjAbMRkwFwYDVQQDDBBmaXJld2FsbC1wb3J0YWwxMFkwEwYHKoZI"
    "zj0CAQYIKoZIzj0DAQcDQgAEQoJQmPedxPNUcfCyRvpqyt1oiiJX/me+TdButUSu"
    "8hg+9nPF6+xNf+5LmtG/YKHeXyCKG6xB9OmJf255Zmx+5qBpMGcGCSqGSIb3DQEJ"
    "DjFaMFgwCQYDVR0TBAIwADALBgNVHQ8EBAMCB4AwHQYDVR0OBBYEFJv4OdUh5v9J"
    "/6wCV1v8TBqLHl2PMB8GA1UdIwQYMBaAFBrfOYTCVuZszyq0JqX9DNJD9T0+MAoG"
    "CCqGSM49BAMCA0kAMEYCIQCK3Li51F7fXsyKZwtIcYMFvDobY3cKKTTDixtN7QZ2"
    "jwIhAKUkqfWPAzwcxQaNQw6pyYvo18ymB9aEheeIXZfGI+tV";

/* ---- a client ---- */

struct ask {
    const char *op; /* "simpleenroll", "iot/simpleenroll" */
    const char *subject, *san; /* of the CSR; default /CN=device */
    enum ca_key key; /* default CA_KEY_A; EC where it is said */
    const char *user, *password; /* Basic */
    const char *challenge; /* challengePassword */
    const char *body; /* instead of a CSR made here, base64 */
    const char *new_subject, *new_san; /* in ChangeSubjectName */
    const char *template; /* name of a template */
    const char *shared; /* serverkeygen: name of the AES key to encrypt to */
};

/* RFC 6402 2.8: untagged elements, each of them optional. */
static void put_new_name(const struct ask *a, struct mu_buf *attributes)
{
    struct mu_buf name = {0}, san = {0};
    size_t outer = mu_der_open(attributes, MU_DER_SEQUENCE), set, value;

    if (a->new_subject != NULL)
        ca_ok(mu_pki_name_parse(a->new_subject, &name, &ca_err));
    if (a->new_san != NULL)
        ca_ok(mu_pki_san_parse(a->new_san, &san, &ca_err));
    mu_der_put_oid(attributes, "1.3.6.1.5.5.7.7.36");
    set = mu_der_open(attributes, MU_DER_SET);
    value = mu_der_open(attributes, MU_DER_SEQUENCE);
    mu_buf_put_bytes(attributes, mu_buf_bytes(&name));
    mu_buf_put_bytes(attributes, mu_buf_bytes(&san));
    mu_der_close(attributes, value);
    mu_der_close(attributes, set);
    mu_der_close(attributes, outer);
    mu_buf_clear(&name);
    mu_buf_clear(&san);
}

static void csr_text(const struct ask *a, struct mu_buf *text)
{
    struct mu_buf name = {0}, san = {0}, exts = {0}, der = {0}, attributes = {0};
    struct mu_secret challenge = {0};
    struct mu_pki_csr_params params = {0};

    ca_ok(mu_pki_name_parse(a->subject != NULL ? a->subject : "/CN=device", &name, &ca_err));
    params.subject = mu_buf_bytes(&name);
    if (a->san != NULL || a->template != NULL) {
        size_t mark = mu_der_open(&exts, MU_DER_SEQUENCE);

        if (a->san != NULL)
            ca_ok(mu_pki_san_parse(a->san, &san, &ca_err));
        if (a->san != NULL)
            mu_pki_ext_put_san(&exts, false, mu_buf_bytes(&san));
        if (a->template != NULL)
            mu_pki_ext_put_template_name(&exts, a->template);
        mu_der_close(&exts, mark);
        params.extensions = mu_buf_bytes(&exts);
    }
    if (a->challenge != NULL) {
        ca_ok(mu_secret_set(&challenge, mu_bytes_str(a->challenge), &ca_err));
        params.challenge = &challenge;
    }
    if (a->new_subject != NULL || a->new_san != NULL) {
        put_new_name(a, &attributes);
        params.attributes = mu_buf_bytes(&attributes);
    }
    if (a->shared != NULL) {
        mu_est_keygen_put(MU_EST_KEYGEN_SECRET, mu_bytes_str(a->shared), &attributes);
        params.attributes = mu_buf_bytes(&attributes);
    }
    ca_ok(mu_pki_csr_make(&params, ca_key(a->key), &der, &ca_err));
    assert_true(mu_text_base64(text, mu_buf_bytes(&der), 64));
    mu_buf_clear(&attributes);
    mu_secret_clear(&challenge);
    mu_buf_clear(&name);
    mu_buf_clear(&san);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
}

struct exchange {
    struct ca_world *w;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool done;
};

static void on_reply(void *cookie, struct mu_http_response *response)
{
    struct exchange *x = cookie;

    pthread_mutex_lock(&x->lock);
    assert_false(x->done);
    mu_http_response_clear(&x->w->last);
    x->w->last = *response;
    x->w->last_status = response->status;
    x->done = true;
    pthread_cond_signal(&x->ready);
    pthread_mutex_unlock(&x->lock);
}

static int send_it(struct ca_world *w, const char *method, const char *op, const char *user,
    const char *password, struct mu_bytes body)
{
    struct exchange x = {w, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    char target[200], plain[200];
    struct mu_buf auth = {0};
    struct mu_http_header headers[3] = {{"Content-Type", "application/pkcs10"}};
    struct mu_http_request request = {.method = method,
        .target = target,
        .minor = 1,
        .headers = headers,
        .header_n = 1,
        .body = body,
        .peer = &w->peer};

    snprintf(target, sizeof target, EST "%s", op);
    if (user != NULL) {
        snprintf(plain, sizeof plain, "%s:%s", user, password);
        mu_buf_put_str(&auth, "Basic ");
        assert_true(mu_text_base64(&auth, mu_bytes_str(plain), 0));
        headers[request.header_n++] =
            (struct mu_http_header){"Authorization", mu_buf_str(&auth)};
    }
    w->reason = MU_REASON_NONE;
    w->message[0] = w->reasons[0] = '\0';
    mu_ca_handle(w->ca, &request, on_reply, &x);
    pthread_mutex_lock(&x.lock);
    while (!x.done)
        pthread_cond_wait(&x.ready, &x.lock);
    pthread_mutex_unlock(&x.lock);
    mu_buf_clear(&auth);
    return w->last_status;
}

static int get(struct ca_world *w, const char *op)
{
    return send_it(w, "GET", op, NULL, NULL, (struct mu_bytes){0});
}

static int post(struct ca_world *w, const struct ask *a)
{
    struct mu_buf text = {0};
    int status;

    if (a->body != NULL)
        mu_buf_put_str(&text, a->body);
    else
        csr_text(a, &text);
    status = send_it(w, "POST", a->op != NULL ? a->op : "simpleenroll", a->user, a->password,
        mu_buf_bytes(&text));
    mu_buf_clear(&text);
    return status;
}

static const char *header(const struct ca_world *w, const char *name)
{
    const char *value = mu_http_header_get(w->last.headers, w->last.header_n, name);

    return value != NULL ? value : "";
}

static void certs_of(struct ca_world *w, struct mu_pki_certs *out)
{
    struct mu_buf der = {0};

    ca_ok(mu_text_unbase64(mu_buf_bytes(&w->last.body), &der, &ca_err));
    ca_ok(mu_pki_certs_decode(mu_buf_bytes(&der), out, &ca_err));
    mu_buf_clear(&der);
}

/* What was issued, yours; the answer has it alone (EST-39). */
static struct mu_pki_cert *issued(struct ca_world *w, const struct ask *a)
{
    struct mu_pki_certs certs = {0};
    struct mu_pki_cert *cert;
    int status = post(w, a);

    if (status != 200)
        fail_msg("HTTP %d: %s", status, mu_buf_str(&w->last.body));
    certs_of(w, &certs);
    assert_int_equal(certs.n, 1);
    cert = mu_pki_cert_ref(certs.v[0]);
    mu_pki_certs_clear(&certs);
    return cert;
}

static void refused(struct ca_world *w, const struct ask *a, int status, enum mu_reason reason,
    const char *words)
{
    int got = post(w, a);

    if (got != status || w->reason != reason)
        fail_msg("HTTP %d instead of %d, reason %d instead of %d: %s", got, status, (int)w->reason,
            (int)reason, w->message);
    assert_string_equal(header(w, "Content-Type"), "text/plain");
    if (words != NULL && strstr(mu_buf_str(&w->last.body), words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", mu_buf_str(&w->last.body), words);
}

/* What the TLS client shows from now on; NULL: nothing. */
static void show(struct ca_world *w, const struct mu_pki_cert *cert)
{
    w->peer.client_cert = cert != NULL ? cert->der : (struct mu_bytes){0};
}

static const struct ask with_password = {.user = "estuser", .password = "estpwd"};

static struct mu_pki_cert *first(struct ca_world *w)
{
    show(w, NULL);
    return issued(w, &with_password);
}

static int demo(void **state)
{
    struct ca_world *w;

    ca_world_demo(state);
    w = *state;
    w->peer.tls = true;
    w->peer.tls_version = 0x0303;
    w->peer.tls_unique = mu_bytes_str("twelveoctets");
    return 0;
}

/* A root or, with issuer, a certificate below it. */
static struct mu_pki_cert *make_cert(const char *subject, enum ca_key key, bool is_ca,
    struct mu_pki_cert *issuer, enum ca_key issuer_key, int64_t not_after_s)
{
    struct mu_buf name = {0}, exts = {0}, der = {0};
    size_t mark = mu_der_open(&exts, MU_DER_SEQUENCE);
    struct mu_pki_cert *made = NULL;
    uint8_t serial[] = {0x51, (uint8_t)key};
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, sizeof serial),
        .not_before_s = NOW - 10 * 86400,
        .not_after_s = not_after_s,
        .spki = mu_pki_key_spki(ca_key(key))};

    ca_ok(mu_pki_name_parse(subject, &name, &ca_err));
    mu_pki_ext_put_basic(&exts, true, is_ca, -1);
    mu_pki_ext_put_key_usage(
        &exts, true, is_ca ? MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN : MU_KU_DIGITAL_SIGNATURE);
    mu_der_close(&exts, mark);
    tbs.subject = mu_buf_bytes(&name);
    tbs.issuer = issuer != NULL ? issuer->subject : tbs.subject;
    tbs.extensions = mu_buf_bytes(&exts);
    ca_ok(mu_pki_cert_make(&tbs, ca_key(issuer_key), MU_PKI_SHA256, &der, &ca_err));
    ca_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &made, &ca_err));
    mu_buf_clear(&name);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    return made;
}

static void set(struct ca_world *w, const char *settings)
{
    struct mu_buf text = {0};

    mu_buf_putf(&text, "default = yes\n%s", settings);
    ca_ok(mu_ca_set(w->ca, MU_CA_DEMO_NAME, mu_buf_str(&text), "test", &ca_err));
    mu_buf_clear(&text);
}

static void profile(struct ca_world *w, const char *name, const char *settings)
{
    ca_ok(mu_ca_profile_put(w->ca, name, settings, true, "test", &ca_err));
}

static void entry(struct ca_world *w, const char *name, const char *profile_name, unsigned protocols)
{
    struct mu_secret password = {0};
    const struct mu_ca_entry_new e = {.name = name,
        .profile = profile_name,
        .protocols = protocols,
        .password = &password,
        .reusable = true,
        .operator= "test" };
    char text[80];

    snprintf(text, sizeof text, "pwd-of-%s", name);
    ca_ok(mu_secret_set(&password, mu_bytes_str(text), &ca_err));
    ca_ok(mu_ca_entry_new(w->ca, &e, NULL, &ca_err));
    mu_secret_clear(&password);
}

/* ---- what nobody has to log in for ---- */

/* E059, EST-62 */
static void csrattrs_are_the_seed_s(void **state)
{
    struct ca_world *w = *state;

    assert_int_equal(get(w, "csrattrs"), 200);
    assert_string_equal(header(w, "Content-Type"), "application/csrattrs");
    assert_string_equal(header(w, "Content-Transfer-Encoding"), "base64");
    assert_string_equal(mu_buf_str(&w->last.body),
        "MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg==\n");
    assert_int_equal(w->last.body.n, 57);
}

/* E063: no wishes are 204 */
static void no_csrattrs_are_no_content(void **state)
{
    struct ca_world *w = *state;

    profile(w, "plain", "protocols = est\n");
    assert_int_equal(get(w, "plain/csrattrs"), 204);
    assert_int_equal(w->last.body.n, 0);
    set(w, "");
    assert_int_equal(get(w, "csrattrs"), 204);
}

/* EST-32, EST-33, EST-34 */
static void cacerts_need_no_login(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_certs certs = {0};

    assert_int_equal(get(w, "cacerts"), 200);
    certs_of(w, &certs);
    assert_int_equal(certs.n, 1);
    assert_true(mu_pki_cert_is_self_signed(certs.v[0]));
    mu_pki_certs_clear(&certs);
}

/* EST-35, EST-36: who trusts the old root alone is led to the new one, before and after the change */
static void cacerts_lead_from_the_old_root_to_the_new_one(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_certs old = {0}, all = {0};
    const struct mu_pki_path_opts opts = {.now_s = NOW + 60};

    assert_int_equal(get(w, "cacerts"), 200);
    certs_of(w, &old);
    w->now_s += 60;
    ca_ok(mu_ca_next(w->ca, MU_CA_DEMO_NAME, "test", &ca_err));
    for (unsigned activated = 0; activated < 2; activated++) {
        struct mu_pki_cert *newest = NULL;
        unsigned new_with_old = 0, old_with_new = 0;

        assert_int_equal(get(w, "cacerts"), 200);
        mu_pki_certs_clear(&all);
        certs_of(w, &all);
        assert_int_equal(all.n, 4); /* old and new root, and each by the other */
        for (size_t i = 0; i < all.n; i++)
            if (mu_pki_cert_is_self_signed(all.v[i])
                && (newest == NULL || all.v[i]->not_after_s > newest->not_after_s))
                newest = all.v[i];
        assert_false(mu_pki_cert_equal(newest, old.v[0]));
        for (size_t i = 0; i < all.n; i++) {
            struct mu_pki_certs anchor = {&newest, 1};

            if (mu_pki_cert_is_self_signed(all.v[i]))
                continue;
            if (mu_bytes_equal(all.v[i]->spki, newest->spki)) {
                ca_ok(mu_pki_path_check(all.v[i], &all, &old, &opts, &ca_err));
                new_with_old++;
            } else if (mu_bytes_equal(all.v[i]->spki, old.v[0]->spki)) {
                ca_ok(mu_pki_path_check(all.v[i], &all, &anchor, &opts, &ca_err));
                old_with_new++;
            }
        }
        assert_int_equal(new_with_old, 1);
        assert_int_equal(old_with_new, 1);
        if (activated == 0)
            ca_ok(mu_ca_activate(w->ca, MU_CA_DEMO_NAME, "test", &ca_err));
    }
    mu_pki_certs_clear(&all);
    mu_pki_certs_clear(&old);
}

/* EST-01 */
static void plain_http_is_refused(void **state)
{
    struct ca_world *w = *state;

    w->peer.tls = false;
    assert_int_equal(get(w, "cacerts"), 400);
    assert_non_null(strstr(mu_buf_str(&w->last.body), "https only"));
    assert_int_equal(post(w, &with_password), 400);
}

static void a_disabled_service_says_so(void **state)
{
    struct ca_world *w = *state;

    ca_ok(mu_ca_service_set(w->ca, MU_PROTO_EST, false, "test", &ca_err));
    assert_int_equal(get(w, "cacerts"), 503);
    assert_int_equal(post(w, &with_password), 503);
    ca_ok(mu_ca_service_set(w->ca, MU_PROTO_EST, true, "test", &ca_err));
    assert_int_equal(get(w, "cacerts"), 200);
}

/* ---- by password ---- */

static unsigned criticals, all;

static void count_ext(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    all++;
    criticals += critical;
}

/* E072, E074, E075, E022, I8: four extensions, not critical; DC and SAN are gone */
static void a_password_gets_a_certificate(void **state)
{
    struct ca_world *w = *state;
    struct ask a = with_password;
    struct mu_pki_cert *cert;

    a.subject = "/CN=firewall-portal1/DC=local/DC=COM";
    a.san = "DNS:firewall-portal1.local.ca,IP:172.18.60.184";
    a.key = CA_KEY_EC;
    cert = issued(w, &a);
    assert_string_equal(
        header(w, "Content-Type"), "application/pkcs7-mime; smime-type=certs-only");
    assert_string_equal(header(w, "Content-Transfer-Encoding"), "base64");
    assert_true(ca_subject_is(cert, "/CN=firewall-portal1"));
    assert_int_equal(cert->exts.san.n, 0);
    assert_true(cert->exts.has_basic && !cert->exts.is_ca);
    assert_int_equal(cert->exts.key_usage, MU_KU_DIGITAL_SIGNATURE);
    assert_true(cert->exts.skid.n == 20 && cert->exts.akid.n == 20);
    criticals = all = 0;
    mu_pki_ext_each(cert->exts.all, count_ext, NULL);
    assert_int_equal(all, 4);
    assert_int_equal(criticals, 0);
    assert_int_equal(cert->not_after_s - w->now_s, 365 * 86400);
    mu_pki_cert_free(cert);
}

/* E109: the seed's request says version 2 */
static void the_seed_s_request_is_taken(void **state)
{
    static const uint8_t id[] = {0x9b, 0xf8, 0x39, 0xd5, 0x21, 0xe6, 0xff, 0x49, 0xff, 0xac, 0x02,
        0x57, 0x5b, 0xfc, 0x4c, 0x1a, 0x8b, 0x1e, 0x5d, 0x8f};
    struct ca_world *w = *state;
    struct ask a = with_password;
    struct mu_pki_certs ca = {0};
    struct mu_pki_cert *cert;

    a.body = t2;
    cert = issued(w, &a);
    assert_true(mu_bytes_equal(cert->exts.skid, mu_bytes(id, sizeof id)));
    assert_int_equal(get(w, "cacerts"), 200);
    certs_of(w, &ca);
    assert_true(mu_bytes_equal(cert->exts.akid, ca.v[0]->exts.skid));
    mu_pki_certs_clear(&ca);
    mu_pki_cert_free(cert);
}

/* E009, EST-26 */
static void wrong_and_missing_passwords_are_challenged(void **state)
{
    struct ca_world *w = *state;

    refused(w, &(struct ask){.user = "estuser", .password = "wrong"}, 401, MU_REFUSE_PASSWORD, NULL);
    assert_non_null(strstr(header(w, "WWW-Authenticate"), "Digest"));
    refused(w, &(struct ask){.user = "nobody", .password = "estpwd"}, 401, MU_REFUSE_PASSWORD, NULL);
    refused(w, &(struct ask){0}, 401, MU_REFUSE_PASSWORD_MISSING, "password");
    assert_non_null(strstr(header(w, "WWW-Authenticate"), "realm=\"demo\""));
    refused(w, &(struct ask){.op = "simplereenroll"}, 401, MU_REFUSE_PASSWORD_MISSING, NULL);
}

/* An entry of SCEP alone, and one of SRP alone, are none here: nothing tells them from a wrong
 * password. */
static void entries_of_other_means_do_not_log_in(void **state)
{
    struct ca_world *w = *state;

    refused(w, &(struct ask){.user = "demo-auto", .password = "challenge1"}, 401,
        MU_REFUSE_PASSWORD, NULL);
    refused(w, &(struct ask){.user = "srpuser", .password = "srppwd"}, 401, MU_REFUSE_PASSWORD,
        NULL);
    refused(w, &(struct ask){.challenge = "challenge1"}, 401, MU_REFUSE_PASSWORD_MISSING, NULL);
    refused(w, &(struct ask){.body = ""}, 401, MU_REFUSE_PASSWORD_MISSING, NULL);
}

/* E013, EST-29: the handshake has checked the password */
static void a_srp_login_counts(void **state)
{
    struct ca_world *w = *state;
    uint8_t salt[MU_CA_SRP_SALT], again[MU_CA_SRP_SALT];
    struct mu_secret password = {0};

    assert_true(mu_ca_srp(w->ca, "srpuser", salt, &password));
    assert_true(mu_bytes_equal(mu_secret_bytes(&password), mu_bytes_str("srppwd")));
    mu_secret_clear(&password);
    assert_true(mu_ca_srp(w->ca, "srpuser", again, &password));
    assert_memory_equal(salt, again, sizeof salt);
    mu_secret_clear(&password);
    assert_true(mu_ca_srp(w->ca, "nobody", salt, &password)); /* a salt, no password */
    assert_false(mu_secret_is_set(&password));
    assert_true(mu_ca_srp(w->ca, "estuser", salt, &password));
    assert_false(mu_secret_is_set(&password));
    w->peer.srp_user = "srpuser";
    mu_pki_cert_free(issued(w, &(struct ask){0}));
    for (unsigned i = 0; i < 150; i++) { /* handshakes that were right do not count */
        assert_true(mu_ca_srp(w->ca, "srpuser", salt, &password));
        assert_true(mu_secret_is_set(&password));
        mu_secret_clear(&password);
        mu_pki_cert_free(issued(w, &(struct ask){0}));
    }
    for (unsigned i = 0; i < 100; i++) { /* those that came to nothing do */
        assert_true(mu_ca_srp(w->ca, "srpuser", salt, &password));
        mu_secret_clear(&password);
    }
    assert_true(mu_ca_srp(w->ca, "srpuser", salt, &password));
    assert_false(mu_secret_is_set(&password));
}

static void guesses_are_limited(void **state)
{
    struct ca_world *w = *state;
    const struct ask wrong = {.user = "estuser", .password = "wrong"};

    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(post(w, &wrong), 401);
    refused(w, &with_password, 429, MU_REFUSE_RATE, NULL);
    assert_string_not_equal(header(w, "Retry-After"), "");
    /* from elsewhere still: one address shuts nobody out */
    snprintf(w->peer.address, sizeof w->peer.address, "192.0.2.8");
    mu_pki_cert_free(issued(w, &with_password));
    for (unsigned i = 0; i < 80; i++) {
        snprintf(w->peer.address, sizeof w->peer.address, "198.51.100.%u", i);
        assert_int_equal(post(w, &wrong), 401);
    }
    refused(w, &with_password, 429, MU_REFUSE_RATE, NULL); /* too many at this name */
    w->now_s += 3601;
    mu_pki_cert_free(issued(w, &with_password));
}

static void disabled_expired_and_used_passwords(void **state)
{
    struct ca_world *w = *state;
    struct mu_secret password = {0};
    struct mu_ca_entry_new e = {.name = "once",
        .profile = "est",
        .protocols = 1u << MU_PROTO_EST,
        .password = &password,
        .expires_s = NOW + 100,
        .operator= "test" };
    struct ask a = {.user = "once", .password = "pwd-once"};

    ca_ok(mu_secret_set(&password, mu_bytes_str("pwd-once"), &ca_err));
    ca_ok(mu_ca_entry_new(w->ca, &e, NULL, &ca_err));
    mu_secret_clear(&password);
    ca_ok(mu_ca_entry_disable(w->ca, "once", true, "test", &ca_err));
    refused(w, &a, 403, MU_REFUSE_ENTRY_DISABLED, NULL);
    ca_ok(mu_ca_entry_disable(w->ca, "once", false, "test", &ca_err));
    mu_pki_cert_free(issued(w, &a));
    mu_pki_cert_free(issued(w, &a)); /* the same request: its answer was lost */
    a.subject = "/CN=other";
    refused(w, &a, 401, MU_REFUSE_PASSWORD_USED, NULL);
    w->now_s += 101;
    refused(w, &a, 401, MU_REFUSE_PASSWORD_EXPIRED, NULL);
}

/* EST-50: known by who asks and for what, not by the CSR's octets */
static void a_repeated_request_gets_the_same_certificate(void **state)
{
    struct ca_world *w = *state;
    struct ask a = with_password, b;
    struct mu_pki_cert *one, *two, *three;

    a.challenge = "dHdlbHZlb2N0ZXRz"; /* base64 of tls-unique */
    one = issued(w, &a);
    w->peer.tls_unique = mu_bytes_str("othertwelve!");
    a.challenge = "b3RoZXJ0d2VsdmUh";
    two = issued(w, &a);
    assert_true(mu_pki_cert_equal(one, two));
    profile(w, "others", "protocols = est\nmax-requests = 0\n");
    entry(w, "another", "others", 0);
    b = a;
    b.user = "another"; /* the same request of somebody else is another one */
    b.password = "pwd-of-another";
    three = issued(w, &b);
    assert_false(mu_pki_cert_equal(one, three));
    mu_pki_cert_free(three);
    a.subject = "/CN=other";
    three = issued(w, &a);
    assert_false(mu_pki_cert_equal(one, three));
    mu_pki_cert_free(one);
    mu_pki_cert_free(two);
    mu_pki_cert_free(three);
}

/* ---- by certificate ---- */

/* E099, E100, E110, E113, E118: no password, same key, new certificate */
static void the_current_certificate_renews(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = first(w), *fresh;

    show(w, old);
    w->now_s += 60;
    fresh = issued(w, &(struct ask){.op = "simplereenroll"});
    assert_string_equal(w->action, "renew");
    assert_false(mu_pki_serial_equal(old->serial, fresh->serial));
    assert_true(mu_bytes_equal(old->spki, fresh->spki));
    assert_true(mu_bytes_equal(old->exts.skid, fresh->exts.skid));
    mu_pki_cert_free(fresh);
    /* the signer decides, not the operation: simpleenroll renews as well */
    fresh = issued(w, &(struct ask){.key = CA_KEY_B});
    assert_string_equal(w->action, "renew");
    mu_pki_cert_free(fresh);
    mu_pki_cert_free(old);
}

/* EST-44, IOP-25 */
static void a_renewal_keeps_its_names(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old, *fresh;
    struct ask a = {.user = "named", .password = "pwd-of-named", .subject = "/O=x/CN=device",
        .san = "DNS:a.example,DNS:b.example"};
    struct ask again = {.op = "simplereenroll"};

    profile(w, "names", "protocols = est\nmax-requests = 0\nrenew-before = any\n");
    entry(w, "named", "names", 0);
    old = issued(w, &a);
    show(w, old);
    again.subject = "/O=x/CN=device";
    refused(w, &again, 400, MU_REFUSE_SUBJECT_DIFFERS, "alternative names"); /* none asked */
    again.san = "DNS:a.example,DNS:c.example";
    refused(w, &again, 400, MU_REFUSE_SUBJECT_DIFFERS, "alternative names");
    again.san = "DNS:a.example";
    refused(w, &again, 400, MU_REFUSE_SUBJECT_DIFFERS, "alternative names");
    again.san = "DNS:b.example,DNS:a.example"; /* a set */
    again.subject = "/CN=device/O=x";
    refused(w, &again, 400, MU_REFUSE_SUBJECT_DIFFERS, "subject");
    again.subject = "/O=X/CN=DEVICE"; /* RFC 5280 7.1 */
    fresh = issued(w, &again);
    assert_true(ca_subject_is(fresh, "/O=x/CN=device"));
    mu_pki_cert_free(fresh);
    mu_pki_cert_free(old);
}

/* EST-45, EST-46: the CSR keeps the old names, the attribute has the new ones; what is missing in it
 * is dropped. Only where the profile allows it. */
static void a_renewal_may_ask_for_another_name(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old, *fresh;
    struct ask a = {.user = "named", .password = "pwd-of-named", .subject = "/CN=device",
        .san = "DNS:a.example"};
    struct ask again = {.op = "simplereenroll", .subject = "/CN=device", .san = "DNS:a.example",
        .new_subject = "/CN=other"};

    profile(w, "names", "protocols = est\nmax-requests = 0\nrenew-before = any\n");
    entry(w, "named", "names", 0);
    old = issued(w, &a);
    show(w, old);
    refused(w, &again, 400, MU_REFUSE_SUBJECT_DIFFERS, "name-change");
    ca_profile(w, "names", "name-change = yes\n");
    fresh = issued(w, &again);
    assert_true(ca_subject_is(fresh, "/CN=other"));
    assert_int_equal(fresh->exts.san.n, 0);
    mu_pki_cert_free(fresh);
    again.new_san = "DNS:b.example";
    fresh = issued(w, &again);
    assert_true(ca_subject_is(fresh, "/CN=other"));
    assert_true(fresh->exts.san.n != 0);
    mu_pki_cert_free(fresh);
    again.subject = "/CN=stranger"; /* the CSR's own names still have to be the old ones */
    refused(w, &again, 400, MU_REFUSE_SUBJECT_DIFFERS, "subject");
    mu_pki_cert_free(old);
}

/* EST-30: what an RA's certificate asks for is for others, and linked to sessions it has had with
 * them */
static void an_ra_asks_for_others(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *ra, *cert;
    struct ask a = {.user = "ra", .password = "pwd-of-ra", .subject = "/CN=ra"};

    profile(w, "ra", "protocols = est\neku = cmcRA, clientAuth\n");
    entry(w, "ra", "ra", 0);
    assert_int_equal(post(w, &a), 202); /* such a certificate is never given without a look */
    ca_ok(mu_ca_queue_approve(w->ca, "1", NULL, "test", NULL, &ca_err));
    ra = issued(w, &a);
    show(w, ra);
    cert = issued(w,
        &(struct ask){.subject = "/CN=device", .key = CA_KEY_EC, .challenge = "c29tZSBzZXNzaW9u"});
    assert_true(ca_subject_is(cert, "/CN=device"));
    assert_string_equal(w->action, "issue");
    mu_pki_cert_free(cert);
    mu_pki_cert_free(ra);
}

static void windows_of_the_profile_hold(void **state)
{
    struct ca_world *w = *state;
    const struct ask again = {.op = "simplereenroll"};
    struct mu_pki_cert *old;

    ca_profile(w, "est", "renew-before = 30d\nrenew-after = 5d\n");
    old = first(w);
    show(w, old);
    refused(w, &again, 403, MU_REFUSE_RENEWAL_EARLY, "renewal allowed from");
    w->now_s = old->not_after_s + 6 * 86400;
    refused(w, &again, 403, MU_REFUSE_RENEWAL_LATE, "until");
    w->now_s = old->not_after_s + 4 * 86400; /* expired, and the profile takes it */
    mu_pki_cert_free(issued(w, &again));
    mu_pki_cert_free(old);
}

static void a_revoked_certificate_is_refused(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = first(w);
    struct mu_buf serial = {0};
    struct ask other = with_password;

    assert_true(mu_text_hex(&serial, old->serial, ':'));
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&serial), 1, "test", &ca_err));
    show(w, old);
    refused(w, &(struct ask){.op = "simplereenroll"}, 403, MU_REFUSE_SIGNER_REVOKED, NULL);
    refused(w, &(struct ask){0}, 403, MU_REFUSE_SIGNER_REVOKED, NULL);
    other.subject = "/CN=other"; /* the password is a right of its own */
    mu_pki_cert_free(issued(w, &other));
    mu_buf_clear(&serial);
    mu_pki_cert_free(old);
}

/* EST-23: also where the renewal was answered before; but a renewal that supersedes the old certificate
 * by itself is answered again (EST-50). */
static void a_revoked_certificate_gets_no_old_answer(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = first(w), *fresh, *again;
    struct mu_buf serial = {0};

    assert_true(mu_text_hex(&serial, old->serial, ':'));
    show(w, old);
    fresh = issued(w, &(struct ask){.op = "simplereenroll"});
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&serial), 1, "test", &ca_err));
    refused(w, &(struct ask){.op = "simplereenroll"}, 403, MU_REFUSE_SIGNER_REVOKED, NULL);
    mu_pki_cert_free(old);
    old = fresh;
    ca_profile(w, "est", "revoke-old = yes\n");
    show(w, old);
    fresh = issued(w, &(struct ask){.op = "simplereenroll"});
    again = issued(w, &(struct ask){.op = "simplereenroll"});
    assert_true(mu_pki_serial_equal(fresh->serial, again->serial));
    mu_pki_cert_free(fresh);
    mu_pki_cert_free(again);
    mu_buf_clear(&serial);
    mu_pki_cert_free(old);
}

/* EST-23: of another CA, of nobody, and of one that only bears our name */
static void a_stranger_is_refused_with_a_sentence(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *root =
        make_cert("/CN=Other CA", CA_KEY_B, true, NULL, CA_KEY_B, NOW + 86400 * 100);
    struct mu_pki_cert *stranger =
        make_cert("/CN=device", CA_KEY_A, false, root, CA_KEY_B, NOW + 86400 * 100);
    struct mu_pki_cert *own =
        make_cert("/CN=device", CA_KEY_A, false, NULL, CA_KEY_A, NOW + 86400 * 100);
    struct mu_pki_certs ca = {0};
    struct mu_pki_cert *forged;

    show(w, stranger);
    refused(w, &(struct ask){.op = "simplereenroll"}, 403, MU_REFUSE_SIGNER_UNTRUSTED,
        "issuer is \"CN=Other CA\"");
    refused(w, &(struct ask){0}, 403, MU_REFUSE_SIGNER_UNTRUSTED, "TLS client certificate");
    show(w, own);
    refused(w, &(struct ask){0}, 403, MU_REFUSE_SIGNER_UNTRUSTED, NULL);
    assert_int_equal(get(w, "cacerts"), 200);
    certs_of(w, &ca);
    forged = make_cert("/CN=device", CA_KEY_A, false, ca.v[0], CA_KEY_B, NOW + 86400);
    show(w, forged);
    refused(w, &(struct ask){.op = "simplereenroll"}, 403, MU_REFUSE_SIGNER_UNTRUSTED, NULL);
    /* a password beside it counts all the same */
    mu_pki_cert_free(issued(w, &with_password));
    w->peer.client_cert = mu_bytes_str("no certificate");
    refused(w, &with_password, 403, MU_REFUSE_SIGNER_UNTRUSTED, NULL);
    show(w, NULL);
    mu_pki_certs_clear(&ca);
    mu_pki_cert_free(forged);
    mu_pki_cert_free(own);
    mu_pki_cert_free(stranger);
    mu_pki_cert_free(root);
}

/* EST-31 */
static void a_client_ca_vouches_for_its_own(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *root =
        make_cert("/CN=Maker", CA_KEY_B, true, NULL, CA_KEY_B, NOW + 86400 * 1000);
    struct mu_pki_cert *device =
        make_cert("/CN=serial 1", CA_KEY_A, false, root, CA_KEY_B, NOW + 86400 * 100);
    struct mu_buf pem = {0}, text = {0};

    assert_true(mu_pki_cert_to_pem(root, &pem));
    mu_buf_put_str(&text, "est = est\nclient-ca =");
    for (const char *p = mu_buf_str(&pem), *end; *p != '\0'; p = end + 1) {
        end = strchr(p, '\n');
        mu_buf_putf(&text, "\n  %.*s", (int)(end - p), p);
    }
    mu_buf_put_str(&text, "\n");
    set(w, mu_buf_str(&text));
    show(w, device);
    mu_pki_cert_free(issued(w, &(struct ask){.key = CA_KEY_EC, .subject = "/CN=device"}));
    assert_string_equal(w->action, "issue");
    profile(w, "vip", "protocols = est\n"); /* no choosing of profiles by their names */
    refused(w, &(struct ask){.op = "vip/simpleenroll", .subject = "/CN=vip"}, 403,
        MU_REFUSE_SIGNER_UNTRUSTED, "labels of this CA's settings");
    w->now_s = device->not_after_s + 1;
    refused(w, &(struct ask){.subject = "/CN=later"}, 403, MU_REFUSE_SIGNER_UNTRUSTED, "expired");
    w->now_s = NOW;
    mu_buf_reset(&pem); /* no profile for them */
    mu_buf_put_bytes(&pem, mu_bytes_str(strchr(mu_buf_str(&text), '\n') + 1));
    set(w, mu_buf_str(&pem));
    refused(w, &(struct ask){.subject = "/CN=more"}, 403, MU_REFUSE_ENTRY_UNKNOWN, NULL);
    show(w, NULL);
    mu_buf_clear(&pem);
    mu_buf_clear(&text);
    mu_pki_cert_free(device);
    mu_pki_cert_free(root);
}

static struct mu_buf crl_file; /* what file_read finds; empty: nothing */

static enum mu_code file_read(void *cookie, const char *path, struct mu_buf *out, struct mu_err *err)
{
    assert_string_equal(path, "maker.crl");
    if (crl_file.n == 0)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no file %s", path);
    mu_buf_put_bytes(out, mu_buf_bytes(&crl_file));
    return MU_OK;
}

static void write_crl(struct mu_pki_cert *issuer, enum ca_key key, const struct mu_pki_cert *revoked,
    int64_t next_s)
{
    struct mu_pki_crl_entry entry = {.when_s = NOW - 5, .reason = 1};
    struct mu_pki_crl_params params = {.issuer = issuer->subject, .this_update_s = NOW - 10,
        .next_update_s = next_s, .number = 1, .entries = &entry, .n = revoked != NULL};
    struct mu_buf der = {0};

    if (revoked != NULL)
        entry.serial = revoked->serial;
    mu_buf_reset(&crl_file);
    crl_file.max = 1 << 16;
    ca_ok(mu_pki_crl_make(&params, ca_key(key), MU_PKI_SHA256, &der, &ca_err));
    assert_true(mu_pki_crl_to_pem(mu_buf_bytes(&der), &crl_file));
    mu_buf_clear(&der);
}

static void client_ca_settings(struct mu_buf *out, const char *first, struct mu_pki_cert *ca)
{
    struct mu_buf pem = {0};

    assert_true(mu_pki_cert_to_pem(ca, &pem));
    mu_buf_putf(out, "%sclient-ca =", first);
    for (const char *p = mu_buf_str(&pem), *end; *p != '\0'; p = end + 1) {
        end = strchr(p, '\n');
        mu_buf_putf(out, "\n  %.*s", (int)(end - p), p);
    }
    mu_buf_put_str(out, "\n");
    mu_buf_clear(&pem);
}

/* EST-31: a list that revokes it, that ended, that is another's or not there at all says no */
static void a_revoked_certificate_of_a_client_ca_is_refused(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *root =
        make_cert("/CN=Maker", CA_KEY_B, true, NULL, CA_KEY_B, NOW + 86400 * 1000);
    struct mu_pki_cert *device =
        make_cert("/CN=serial 1", CA_KEY_A, false, root, CA_KEY_B, NOW + 86400 * 100);
    struct mu_buf text = {0};

    w->config.file_read = file_read;
    ca_world_restart(w);
    client_ca_settings(&text, "est = est\nclient-crl = maker.crl\n", root);
    set(w, mu_buf_str(&text));
    show(w, device);
    refused(w, &(struct ask){.subject = "/CN=d0"}, 403, MU_REFUSE_SIGNER_UNTRUSTED, "no file maker.crl");
    write_crl(root, CA_KEY_B, NULL, NOW + 1000);
    ca_ok(mu_ca_tick(w->ca, &ca_err)); /* the file is there now */
    mu_pki_cert_free(issued(w, &(struct ask){.key = CA_KEY_EC, .subject = "/CN=d1"}));
    write_crl(root, CA_KEY_B, device, NOW + 1000);
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    refused(w, &(struct ask){.subject = "/CN=d2"}, 403, MU_REFUSE_SIGNER_REVOKED, "revoked by its CA");
    write_crl(root, CA_KEY_B, NULL, NOW - 1);
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    refused(w, &(struct ask){.subject = "/CN=d3"}, 403, MU_REFUSE_SIGNER_UNTRUSTED, "ended");
    write_crl(root, CA_KEY_A, NULL, NOW + 1000); /* somebody else's signature */
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    refused(w, &(struct ask){.subject = "/CN=d4"}, 403, MU_REFUSE_SIGNER_UNTRUSTED, "no revocation list");
    show(w, NULL);
    mu_buf_clear(&crl_file);
    mu_buf_clear(&text);
    mu_pki_cert_free(device);
    mu_pki_cert_free(root);
}

/* A template name in the CSR chooses nothing beside label and entry. */
static void a_template_name_leads_to_no_other_profile(void **state)
{
    struct ca_world *w = *state;
    struct ask a = with_password;
    struct mu_pki_cert *plain, *cert;

    profile(w, "brief", "protocols = est\ntemplate-name = short\nlifetime = 1d\nmax-requests = 0\n");
    a.key = CA_KEY_EC;
    plain = issued(w, &a);
    a.template = "short";
    a.subject = "/CN=with template";
    cert = issued(w, &a);
    assert_int_equal(cert->not_after_s - cert->not_before_s, plain->not_after_s - plain->not_before_s);
    assert_true(cert->not_after_s > NOW + 2 * 86400);
    mu_pki_cert_free(cert);
    mu_pki_cert_free(plain);
}

static bool take_root(void *cookie, const struct mu_ca_view *view)
{
    if (strcmp(view->name, "maker") == 0)
        *(struct mu_pki_cert **)cookie = mu_pki_cert_ref(view->chain->v[0]);
    return true;
}

/* EST-31: a CA of ours is asked in its own record, no list is needed */
static void a_certificate_of_another_ca_here_is_looked_up_in_its_record(void **state)
{
    struct ca_world *w = *state;
    const struct mu_ca_init init = {.name = "maker",
        .root_subject = "/CN=Maker of devices",
        .settings = "est = est\n",
        .operator = "test"};
    struct ask at_maker = with_password;
    struct mu_pki_cert *root = NULL, *device, *forged;
    struct mu_buf text = {0}, serial = {0};

    ca_ok(mu_ca_init(w->ca, &init, &ca_err));
    mu_ca_each(w->ca, take_root, &root);
    at_maker.op = "maker/simpleenroll";
    at_maker.subject = "/CN=made device";
    device = issued(w, &at_maker);
    client_ca_settings(&text, "est = est\n", root);
    set(w, mu_buf_str(&text));
    show(w, device);
    mu_pki_cert_free(issued(w, &(struct ask){.key = CA_KEY_EC, .subject = "/CN=e1"}));
    assert_true(mu_text_hex(&serial, device->serial, ':'));
    ca_ok(mu_ca_revoke(w->ca, "maker", mu_buf_str(&serial), 1, "test", &ca_err));
    refused(w, &(struct ask){.subject = "/CN=e2"}, 403, MU_REFUSE_SIGNER_REVOKED, "revoked by CA 'maker'");
    /* its name alone, below an anchor of that name, is in no record */
    forged = make_cert("/CN=Maker of devices", CA_KEY_B, true, NULL, CA_KEY_B, NOW + 86400 * 1000);
    mu_pki_cert_free(device);
    device = make_cert("/CN=serial 2", CA_KEY_A, false, forged, CA_KEY_B, NOW + 86400 * 100);
    mu_buf_reset(&text);
    client_ca_settings(&text, "est = est\n", forged);
    set(w, mu_buf_str(&text));
    show(w, device);
    refused(w, &(struct ask){.subject = "/CN=e3"}, 403, MU_REFUSE_SIGNER_UNTRUSTED, "no record");
    show(w, NULL);
    mu_buf_clear(&text);
    mu_buf_clear(&serial);
    mu_pki_cert_free(forged);
    mu_pki_cert_free(device);
    mu_pki_cert_free(root);
}

/* EST-26: a certificate and a password, both demanded */
static void both_are_demanded_where_the_label_says_so(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = first(w);
    struct ask a = with_password;

    set(w, "labels = strict:est+both\n");
    a.op = "strict/simpleenroll";
    a.subject = "/CN=second";
    refused(w, &a, 403, MU_REFUSE_SIGNER_UNTRUSTED, "beside the password");
    show(w, old);
    refused(w, &(struct ask){.op = "strict/simplereenroll"}, 401, MU_REFUSE_PASSWORD_MISSING, NULL);
    mu_pki_cert_free(issued(w, &a));
    a.op = "strict/simplereenroll";
    a.subject = NULL;
    mu_pki_cert_free(issued(w, &a));
    assert_string_equal(w->action, "renew");
    mu_pki_cert_free(old);
}

/* ---- labels ---- */

/* E008, EST-02 */
static void labels_choose(void **state)
{
    struct ca_world *w = *state;
    struct ask a = with_password;

    assert_int_equal(get(w, "iot/csrattrs"), 200);
    assert_int_equal(get(w, "demo/cacerts"), 200);
    assert_int_equal(get(w, "est/csrattrs"), 200);
    assert_int_equal(get(w, "G_CA_Cert_1/cacerts"), 404); /* E025 */
    assert_non_null(strstr(mu_buf_str(&w->last.body), "no EST under the label 'G_CA_Cert_1'"));
    assert_int_equal(get(w, "scep-auto/cacerts"), 200); /* for all protocols */
    assert_int_equal(get(w, "cmp/cacerts"), 404); /* a profile, but not for EST */
    a.op = "iot/simpleenroll";
    mu_pki_cert_free(issued(w, &a));
    profile(w, "strangers", "protocols = est\n");
    a.op = "strangers/simpleenroll";
    a.subject = "/CN=other";
    refused(w, &a, 403, MU_REFUSE_NOT_ENTITLED, NULL);
}

static void labels_have_switches(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_certs certs = {0};
    struct ask a = with_password;

    set(w, "est = est\nlabels = old:est+one-line+chain\n");
    a.op = "old/simpleenroll";
    assert_int_equal(post(w, &a), 200);
    assert_true(memchr(w->last.body.p, '\n', w->last.body.n - 1) == NULL);
    certs_of(w, &certs);
    assert_int_equal(certs.n, 2);
    mu_pki_certs_clear(&certs);
    a.op = "simpleenroll";
    assert_int_equal(post(w, &a), 200);
    assert_true(memchr(w->last.body.p, '\n', w->last.body.n - 1) != NULL);
}

static void wrong_settings_are_refused(void **state)
{
    static const char *const settings[] = {"labels = a b:est\n", "labels = iot:est+fast\n",
        "est = est+link+challenge\n", "client-ca = nonsense\n"};
    struct ca_world *w = *state;

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        assert_int_equal(
            mu_ca_set(w->ca, MU_CA_DEMO_NAME, settings[i], "test", &ca_err), MU_INPUT);
}

/* ---- linking ---- */

/* EST-52, EST-54, EST-55, E068, IOP-27 */
static void linking_is_checked(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf attrs = {0};
    struct ask a = with_password;

    a.challenge = "c29tZWJvZHkgZWxz"; /* of another session */
    refused(w, &a, 400, MU_REFUSE_LINK, NULL);
    a.challenge = "dHdlbHZlb2N0ZXRz";
    mu_pki_cert_free(issued(w, &a));
    set(w, "est = est\nlabels = linked:est+link\n");
    a.op = "linked/simpleenroll";
    a.subject = "/CN=linked";
    mu_pki_cert_free(issued(w, &a));
    a.challenge = NULL;
    refused(w, &a, 400, MU_REFUSE_LINK, "challengePassword");
    assert_int_equal(get(w, "linked/csrattrs"), 200);
    ca_ok(mu_text_unbase64(mu_buf_bytes(&w->last.body), &attrs, &ca_err));
    assert_non_null(memmem(attrs.p, attrs.n, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07", 9));
    mu_buf_clear(&attrs);
}

/* What the profile of an entry wants holds below any label, and below none. */
static void the_profile_s_own_demands_hold_everywhere(void **state)
{
    struct ca_world *w = *state;
    struct ask a = {.user = "strict", .password = "pwd-of-strict"};
    struct ask b = {.user = "double", .password = "pwd-of-double", .subject = "/CN=double"};

    profile(w, "strict", "protocols = est\nest = link\n");
    entry(w, "strict", "strict", 0);
    refused(w, &a, 400, MU_REFUSE_LINK, "challengePassword");
    a.op = "serverkeygen"; /* est has it, strict has not */
    a.challenge = "dHdlbHZlb2N0ZXRz";
    refused(w, &a, 501, MU_REFUSE_UNSUPPORTED, "serverkeygen is off");
    a.op = NULL;
    mu_pki_cert_free(issued(w, &a));
    profile(w, "double", "protocols = est\nest = both\n");
    entry(w, "double", "double", 0);
    refused(w, &b, 403, MU_REFUSE_SIGNER_UNTRUSTED, "beside the password");
}

/* EST-61 */
static void a_challenge_can_be_the_password(void **state)
{
    struct ca_world *w = *state;

    entry(w, "device", "est", 1u << MU_PROTO_EST);
    set(w, "est = est\nlabels = old:est+challenge\n");
    mu_pki_cert_free(
        issued(w, &(struct ask){.op = "old/simpleenroll", .challenge = "pwd-of-device"}));
    refused(w, &(struct ask){.op = "old/simpleenroll", .challenge = "wrong", .subject = "/CN=x"},
        401, MU_REFUSE_PASSWORD, NULL);
    refused(w, &(struct ask){.op = "old/simpleenroll"}, 401, MU_REFUSE_PASSWORD_MISSING, NULL);
}

/* ---- waiting ---- */

/* EST-48, EST-50: 202, and the certificate once it is approved */
static void approval_is_waited_for(void **state)
{
    struct ca_world *w = *state;
    struct ask a = {.user = "slow", .password = "pwd-of-slow", .challenge = "dHdlbHZlb2N0ZXRz"};
    struct mu_buf serial = {0};

    profile(w, "slow", "protocols = est\napproval = manual\n");
    entry(w, "slow", "slow", 0);
    assert_int_equal(post(w, &a), 202);
    assert_string_not_equal(header(w, "Retry-After"), "");
    assert_string_equal(w->action, "pending");
    w->peer.tls_unique = mu_bytes_str("othertwelve!");
    a.challenge = "b3RoZXJ0d2VsdmUh";
    assert_int_equal(post(w, &a), 202);
    ca_ok(mu_ca_queue_approve(w->ca, "1", NULL, "test", &serial, &ca_err));
    mu_pki_cert_free(issued(w, &a));
    a.subject = "/CN=never";
    assert_int_equal(post(w, &a), 202);
    ca_ok(mu_ca_queue_reject(w->ca, "2", "not this one", "test", &ca_err));
    refused(w, &a, 403, MU_REFUSE_OPERATOR, "not this one");
    mu_buf_clear(&serial);
}

/* ---- keys made here ---- */

/* EST-73, EST-74, EST-75, EST-77 */
static void keys_are_made_where_the_profile_says_so(void **state)
{
    struct ca_world *w = *state;
    struct ask a = {.op = "plain/serverkeygen", .user = "keyless", .password = "pwd-of-keyless"};
    struct mu_buf one = {0};

    profile(w, "plain", "protocols = est\n");
    entry(w, "keyless", "plain", 0);
    refused(w, &a, 501, MU_REFUSE_UNSUPPORTED, "serverkeygen is off");
    ca_ok(mu_ca_profile_put(
        w->ca, "plain", "protocols = est\nkeygen = yes\n", false, "test", &ca_err));
    assert_int_equal(post(w, &a), 200);
    assert_true(mu_text_starts(header(w, "Content-Type"), "multipart/mixed"));
    assert_non_null(strstr(mu_buf_str(&w->last.body), "application/pkcs8"));
    mu_buf_put_bytes(&one, mu_buf_bytes(&w->last.body));
    assert_int_equal(post(w, &a), 200); /* a key is given out once */
    assert_false(mu_bytes_equal(mu_buf_bytes(&one), mu_buf_bytes(&w->last.body)));
    mu_buf_clear(&one);
}

/* The part of the last answer with this media type, out of its base64. */
static void part_of(struct ca_world *w, const char *media, struct mu_buf *der)
{
    struct mu_est_multipart parts;
    const struct mu_est_part *part;

    ca_ok(mu_est_multipart_decode(
        header(w, "Content-Type"), mu_buf_bytes(&w->last.body), &parts, &ca_err));
    part = mu_est_multipart_get(&parts, media);
    assert_non_null(part);
    ca_ok(mu_text_unbase64(part->body, der, &ca_err));
}

static enum mu_code open_made(struct ca_world *w, const struct mu_secret *hex)
{
    struct mu_buf der = {0}, octets = {0};
    struct mu_secret kek = {0};
    struct mu_pki_key_package package = {0};
    struct mu_pki_key_package_opener with = {.kek = &kek};
    enum mu_code rc;

    part_of(w, "application/pkcs7-mime", &der);
    ca_ok(mu_text_unhex((const char *)hex->p, &octets, &ca_err));
    ca_ok(mu_secret_set(&kek, mu_buf_bytes(&octets), &ca_err));
    rc = mu_pki_key_package_open(mu_buf_bytes(&der), &with, &package, NULL);
    assert_true(rc != MU_OK || mu_pki_key_has_private(package.key));
    mu_pki_key_package_clear(&package);
    mu_secret_clear(&kek);
    mu_buf_clear(&octets);
    mu_buf_clear(&der);
    return rc;
}

struct rows {
    size_t n, pending, kept;
};

static bool count_row(void *cookie, const struct mu_record_request *row)
{
    struct rows *r = cookie;

    r->n++;
    r->pending += row->state == MU_RECORD_PENDING;
    r->kept += row->kept.n != 0;
    for (size_t i = 0; i + 5 < row->kept.n; i++) /* sealed, neither PEM nor PrivateKeyInfo of P-256 */
        assert_true(memcmp(row->kept.p + i, "BEGIN", 5) != 0 && memcmp(row->kept.p + i, " ", 5) != 0);
    return true;
}

static struct rows rows_of(struct ca_world *w)
{
    const struct mu_store_filter filter = {.limit = 100};
    struct rows r = {0};

    ca_ok(mu_ca_requests_each(w->ca, &filter, count_row, &r, &ca_err));
    return r;
}

/* 200 with a key and a certificate for it. */
static struct mu_pki_key *handed_over(struct ca_world *w, const struct ask *a)
{
    struct mu_buf key_der = {.secret = true}, certs_der = {0};
    struct mu_pki_certs certs = {0};
    struct mu_pki_key *key = NULL;
    int status = post(w, a);

    if (status != 200)
        fail_msg("HTTP %d: %s", status, mu_buf_str(&w->last.body));
    part_of(w, "application/pkcs8", &key_der);
    part_of(w, "application/pkcs7-mime", &certs_der);
    ca_ok(mu_pki_key_decode(mu_buf_bytes(&key_der), NULL, &key, &ca_err));
    ca_ok(mu_pki_certs_decode(mu_buf_bytes(&certs_der), &certs, &ca_err));
    assert_int_equal(certs.n, 1);
    assert_true(mu_bytes_equal(certs.v[0]->spki, mu_pki_key_spki(key)));
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&key_der);
    mu_buf_clear(&certs_der);
    return key;
}

static void manual_keys(struct ca_world *w)
{
    profile(w, "plain", "protocols = est\nkeygen = yes\napproval = manual\n");
    entry(w, "keyless", "plain", 0);
}

/* EST-48, EST-73: the client's own CSR says which request it is; the key is made once, sealed until it
 * is fetched, and then nowhere. */
static void a_made_key_waits_for_its_approval(void **state)
{
    struct ca_world *w = *state;
    struct ask a = {.op = "plain/serverkeygen", .user = "keyless", .password = "pwd-of-keyless"};
    struct ask plain = {.op = "plain/simpleenroll", .user = "keyless", .password = "pwd-of-keyless"};
    struct mu_buf serial = {0};
    struct mu_pki_key *key;
    struct rows r;

    manual_keys(w);
    assert_int_equal(post(w, &a), 202);
    assert_int_equal(post(w, &a), 202);
    r = rows_of(w);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.kept, 1);
    assert_int_equal(post(w, &plain), 202); /* the same CSR, and another request */
    assert_int_equal(rows_of(w).pending, 2);
    ca_ok(mu_ca_queue_approve(w->ca, "1", NULL, "test", &serial, &ca_err));
    assert_int_equal(rows_of(w).kept, 1);
    key = handed_over(w, &a);
    assert_false(mu_bytes_equal(mu_pki_key_spki(key), mu_pki_key_spki(ca_key(a.key))));
    assert_int_equal(rows_of(w).kept, 0);
    /* Asked once more: another key, and another approval. */
    assert_int_equal(post(w, &a), 202);
    assert_int_equal(rows_of(w).kept, 1);
    ca_ok(mu_ca_queue_reject(w->ca, "3", "one is enough", "test", &ca_err));
    refused(w, &a, 403, MU_REFUSE_OPERATOR, "one is enough");
    assert_int_equal(rows_of(w).kept, 0);
    mu_pki_key_free(key);
    mu_buf_clear(&serial);
}

/* What nobody approves, or nobody fetches, leaves no key behind. */
static void a_made_key_that_is_not_fetched_goes(void **state)
{
    struct ca_world *w = *state;
    struct ask a = {.op = "plain/serverkeygen", .user = "keyless", .password = "pwd-of-keyless"};
    struct mu_buf serial = {0};

    manual_keys(w);
    assert_int_equal(post(w, &a), 202);
    a.subject = "/CN=other";
    assert_int_equal(post(w, &a), 202);
    ca_ok(mu_ca_queue_approve(w->ca, "1", NULL, "test", &serial, &ca_err));
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    assert_int_equal(rows_of(w).kept, 2);
    w->now_s += 400 * 86400;
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    assert_int_equal(rows_of(w).kept, 0);
    mu_buf_clear(&serial);
}

/* EST-45: with serverkeygen the new name is for the new key. */
static void a_made_key_goes_with_a_changed_name(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert;
    struct ask a = {.op = "plain/serverkeygen", .subject = "/CN=keyless", .new_subject = "/CN=renamed"};

    profile(w, "plain", "protocols = est\nkeygen = yes\nname-change = yes\nrenew-before = any\nmax-requests = none\n");
    entry(w, "keyless", "plain", 0);
    cert = issued(w, &(struct ask){.op = "plain/simpleenroll", .subject = "/CN=keyless", .user = "keyless",
        .password = "pwd-of-keyless"});
    show(w, cert);
    mu_pki_key_free(handed_over(w, &a));
    mu_pki_cert_free(cert);
}

/* EST-76 */
static void a_made_key_is_encrypted_to_a_shared_one(void **state)
{
    struct ca_world *w = *state;
    struct ask a = {.op = "plain/serverkeygen", .user = "keyless", .password = "pwd-of-keyless",
        .shared = "fleet"};
    struct ask login = {.user = "fleet"};
    struct mu_ca_entry_new e = {.name = "fleet", .profile = "default",
        .protocols = MU_RECORD_ENTRY_KEY, .reusable = true, .operator= "test" };
    struct mu_secret made = {0}, other = {0};
    struct mu_buf serial = {0};

    profile(w, "plain", "protocols = est\nkeygen = yes\n");
    entry(w, "keyless", "plain", 0);
    refused(w, &a, 400, MU_REFUSE_UNDELIVERABLE, "not known here");
    ca_ok(mu_ca_entry_new(w->ca, &e, &made, &ca_err));
    assert_int_equal(made.n, 64);
    assert_int_equal(post(w, &a), 200);
    ca_ok(open_made(w, &made));
    a.shared = "estuser"; /* an entry, but none of these */
    refused(w, &a, 400, MU_REFUSE_UNDELIVERABLE, "not known here");
    a.shared = "../fleet";
    refused(w, &a, 400, MU_REFUSE_UNDELIVERABLE, "not known here");
    a.shared = "fleet";
    /* It lets nobody ask, neither as a login nor as a challenge. */
    login.password = (const char *)made.p;
    refused(w, &login, 401, MU_REFUSE_PASSWORD, NULL);
    ca_ok(mu_ca_entry_passwd(w->ca, "fleet", NULL, &other, "test", &ca_err));
    assert_int_equal(other.n, 64);
    assert_int_equal(post(w, &a), 200);
    assert_int_not_equal(open_made(w, &made), MU_OK);
    ca_ok(open_made(w, &other));
    ca_ok(mu_ca_profile_put(w->ca, "plain", "protocols = est\nkeygen = yes\napproval = manual\n",
        false, "test", &ca_err));
    assert_int_equal(post(w, &a), 202); /* behind an approval too */
    ca_ok(mu_ca_queue_approve(w->ca, "3", NULL, "test", &serial, &ca_err));
    assert_int_equal(post(w, &a), 200);
    ca_ok(open_made(w, &other));
    mu_buf_clear(&serial);
    ca_ok(mu_ca_entry_disable(w->ca, "fleet", true, "test", &ca_err));
    refused(w, &a, 400, MU_REFUSE_UNDELIVERABLE, "not known here");
    /* One that is given has to be a key. */
    ca_ok(mu_secret_set(&other, mu_bytes_str("0123456789abcdef"), &ca_err));
    assert_int_equal(mu_ca_entry_passwd(w->ca, "fleet", &other, NULL, "test", &ca_err), MU_INPUT);
    assert_null(strstr(ca_err.what, "0123456789abcdef"));
    mu_secret_clear(&made);
    mu_secret_clear(&other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, demo, ca_world_end)
    const struct CMUnitTest tests[] = {
        TEST(csrattrs_are_the_seed_s),
        TEST(no_csrattrs_are_no_content),
        TEST(cacerts_need_no_login),
        TEST(cacerts_lead_from_the_old_root_to_the_new_one),
        TEST(plain_http_is_refused),
        TEST(a_disabled_service_says_so),
        TEST(a_password_gets_a_certificate),
        TEST(the_seed_s_request_is_taken),
        TEST(wrong_and_missing_passwords_are_challenged),
        TEST(entries_of_other_means_do_not_log_in),
        TEST(a_srp_login_counts),
        TEST(guesses_are_limited),
        TEST(disabled_expired_and_used_passwords),
        TEST(a_repeated_request_gets_the_same_certificate),
        TEST(the_current_certificate_renews),
        TEST(a_renewal_keeps_its_names),
        TEST(a_renewal_may_ask_for_another_name),
        TEST(an_ra_asks_for_others),
        TEST(windows_of_the_profile_hold),
        TEST(a_revoked_certificate_is_refused),
        TEST(a_revoked_certificate_gets_no_old_answer),
        TEST(a_stranger_is_refused_with_a_sentence),
        TEST(a_template_name_leads_to_no_other_profile),
        TEST(a_client_ca_vouches_for_its_own),
        TEST(a_revoked_certificate_of_a_client_ca_is_refused),
        TEST(a_certificate_of_another_ca_here_is_looked_up_in_its_record),
        TEST(both_are_demanded_where_the_label_says_so),
        TEST(labels_choose),
        TEST(labels_have_switches),
        TEST(wrong_settings_are_refused),
        TEST(linking_is_checked),
        TEST(the_profile_s_own_demands_hold_everywhere),
        TEST(a_challenge_can_be_the_password),
        TEST(approval_is_waited_for),
        TEST(keys_are_made_where_the_profile_says_so),
        TEST(a_made_key_is_encrypted_to_a_shared_one),
        TEST(a_made_key_waits_for_its_approval),
        TEST(a_made_key_that_is_not_fetched_goes),
        TEST(a_made_key_goes_with_a_changed_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
