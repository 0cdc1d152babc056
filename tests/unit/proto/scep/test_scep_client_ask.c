/* What the client sends: algorithms by capabilities, POST or GET, keys, the self-signed
 * certificate (SCEP-09, SCEP-19..25, SCEP-36, SCEP-50..52). */
#include "world.h"

#include <string.h>

struct row {
    const char *caps;
    bool legacy;
    enum mu_code code;
    int m;
    enum mu_pki_digest digest;
    enum mu_pki_cipher cipher;
    const char *method;
    const char *warns;
};

static const struct row rows[] = {
    {"SCEPStandard", false, MU_OK, 0, MU_PKI_SHA256, MU_PKI_AES128_CBC, "POST", NULL},
    {"AES\nSHA-256\nPOSTPKIOperation", false, MU_OK, 0, MU_PKI_SHA256, MU_PKI_AES128_CBC, "POST",
        NULL},
    {"aes\r\nsha-512\r\n", false, MU_OK, 0, MU_PKI_SHA512, MU_PKI_AES128_CBC, "GET",
        "POST is not offered"},
    {"AES\nSHA-1\nSHA-256\nSHA-512\nDES3\nPOSTPKIOperation", true, MU_OK, 0, MU_PKI_SHA256,
        MU_PKI_AES128_CBC, "POST", NULL},
    {"AES\nSHA-1", false, MU_UNSUPPORTED, 303, 0, 0, NULL, NULL},
    {"DES3\nSHA-256", false, MU_UNSUPPORTED, 303, 0, 0, NULL, NULL},
    {"DES3\nSHA-1\nPOSTPKIOperation", true, MU_OK, 0, MU_PKI_SHA1, MU_PKI_DES3_CBC, "POST",
        "legacy algorithms in use"},
    {"DES\nMD5", true, MU_OK, 0, MU_PKI_MD5, MU_PKI_DES_CBC, "GET", "legacy algorithms in use"},
    {"", false, MU_UNSUPPORTED, 303, 0, 0, NULL, NULL},
    {"", true, MU_OK, 0, MU_PKI_SHA1, MU_PKI_DES3_CBC, "GET", "told no capabilities"},
};

static void algorithms_follow_the_capabilities(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        struct mu_scep_client *client = NULL;
        struct mu_scep_client_result result;
        enum mu_code rc;

        world_init(&w);
        w.only_caps = rows[i].caps;
        w.config.allow_legacy = w.credential.allow_legacy = rows[i].legacy;
        memset(&world_err, 0, sizeof world_err);
        rc = world_run(&w, &client);
        if (rc != rows[i].code)
            fail_msg("'%s': %d %s", rows[i].caps, (int)rc, world_err.what);
        mu_scep_client_result(client, &result);
        if (rc != MU_OK) {
            world_failed(rc, rows[i].code, rows[i].m, "no common algorithm");
            assert_non_null(strstr(mu_err_next_text(&world_err), "allow-legacy"));
            assert_int_equal(w.sent, 0);
        } else {
            assert_int_equal(result.digest, rows[i].digest);
            assert_int_equal(result.cipher, rows[i].cipher);
            assert_string_equal(w.last_method, rows[i].method);
            if (rows[i].warns != NULL)
                assert_non_null(strstr(result.warnings, rows[i].warns));
            else
                assert_string_equal(result.warnings, "");
        }
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

/* SCEP-21: HTTP errors and dropped connections at GetCACaps count as no capabilities. */
static void no_capabilities_by_http_error(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.caps_status = 404;
    world_failed(world_run(&w, NULL), MU_UNSUPPORTED, 303, "no capabilities");
    w.config.allow_legacy = w.credential.allow_legacy = true;
    world_ok(world_run(&w, NULL));
    assert_string_equal(w.last_method, "GET");
    world_clear(&w);
}

/* SCEP-23. */
static void a_missing_scepstandard_can_be_fatal(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.config.expect_standard = true;
    world_ok(world_run(&w, NULL));
    w.only_caps = "AES\nSHA-256\nPOSTPKIOperation";
    world_failed(world_run(&w, NULL), MU_AUTH, 303, "SCEPStandard");
    world_clear(&w);
}

static void wishes_count_if_they_are_allowed(void **state)
{
    static const struct { enum mu_pki_digest d; enum mu_pki_cipher c; bool legacy; int m; } t[] = {
        {MU_PKI_SHA384, MU_PKI_AES256_CBC, false, 0},
        {MU_PKI_SHA224, MU_PKI_AES192_CBC, false, 0},
        {MU_PKI_MD5, MU_PKI_CIPHER_NONE, false, 705},
        {MU_PKI_DIGEST_NONE, MU_PKI_BLOWFISH_CBC, false, 705},
        {MU_PKI_SHA1, MU_PKI_BLOWFISH_CBC, true, 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct world w;
        enum mu_code rc;

        world_init(&w);
        w.config.digest = t[i].d;
        w.config.cipher = t[i].c;
        w.config.allow_legacy = w.credential.allow_legacy = t[i].legacy;
        rc = world_run(&w, NULL);
        if (t[i].m != 0)
            world_failed(rc, MU_UNSUPPORTED, t[i].m, "weak or legacy");
        else if (rc != MU_OK)
            fail_msg("row %zu: %s", i, world_err.what);
        world_clear(&w);
    }
}

/* S045, SCEP-10: '+', '/', '=' escaped, no line breaks; the size told is that of the value. */
static void get_is_escaped_base64_in_one_line(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.config.method = MU_SCEP_METHOD_GET;
    world_ok(world_run(&w, NULL));
    assert_string_equal(w.last_method, "GET");
    assert_null(strpbrk(strstr(w.last_url, "message=") + 8, "+/=\n \r"));
    assert_true(world_traced(&w.trace, "scep request: base64 "));
    assert_string_equal(w.last_type, "PKCSReq");
    world_clear(&w);
}

static void too_long_for_get(struct world *w, unsigned n, struct mu_http_response *response)
{
    if (strcmp(w->last_method, "GET") == 0 || n == 99)
        world_ok(mu_http_response_set(
            response, 414, "text/plain", mu_bytes_str("too long\n"), &world_err));
}

static void too_long_for_all(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)w;
    (void)n;
    world_ok(
        mu_http_response_set(response, 414, "text/plain", mu_bytes_str("no\n"), &world_err));
}

/* SCEP-09, M108. */
static void a_414_switches_to_post(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.only_caps = "AES\nSHA-256";
    w.tamper = too_long_for_get;
    world_ok(world_run(&w, NULL));
    assert_string_equal(w.last_method, "POST");
    assert_int_equal(w.sent, 2);
    w.tamper = too_long_for_all;
    w.sent = 0;
    world_failed(world_run(&w, NULL), MU_NETWORK, 108, "414");
    assert_int_equal(w.sent, 2);
    w.config.method = MU_SCEP_METHOD_GET;
    w.sent = 0;
    world_failed(world_run(&w, NULL), MU_NETWORK, 108, NULL);
    assert_int_equal(w.sent, 1);
    world_clear(&w);
}

static void cannot_decode_gets(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)n;
    if (strcmp(w->last_method, "GET") == 0)
        world_ok(mu_http_response_set(
            response, 400, "text/plain", mu_bytes_str("garbled\n"), &world_err));
}

static void knows_no_post(struct world *w, unsigned n, struct mu_http_response *response)
{
    bool get = strcmp(w->last_method, "GET") == 0;

    (void)n;
    world_ok(mu_http_response_set(
        response, get ? 400 : 405, "text/plain", mu_bytes_str("no\n"), &world_err));
}

/* SCEP-09, M319: what was cut or changed on the way is sent once more by POST. */
static void a_get_cut_on_the_way_switches_to_post(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.only_caps = "AES\nSHA-256";
    w.tamper = cannot_decode_gets;
    world_ok(world_run(&w, NULL));
    assert_string_equal(w.last_method, "POST");
    assert_int_equal(w.sent, 2);
    w.tamper = NULL;
    w.fault = FAULT_CUT_GET;
    w.sent = 0;
    world_ok(world_run(&w, &client));
    assert_string_equal(w.last_method, "POST");
    assert_int_equal(w.sent, 2);
    mu_scep_client_result(client, &result);
    assert_non_null(strstr(result.warnings, "trying POST"));
    mu_scep_client_free(client);
    /* neither way */
    w.fault = FAULT_NONE;
    w.tamper = knows_no_post;
    w.sent = 0;
    world_failed(world_run(&w, NULL), MU_NETWORK, 319, "405 to the POST");
    assert_int_equal(w.sent, 2);
    /* no connection at all is not about GET, and who insists on GET gets it */
    w.tamper = NULL;
    w.fault = FAULT_SEND;
    w.sent = 0;
    world_failed(world_run(&w, NULL), MU_NETWORK, 103, NULL);
    w.fault = FAULT_CUT_GET;
    w.config.method = MU_SCEP_METHOD_GET;
    world_failed(world_run(&w, NULL), MU_NETWORK, 0, NULL);
    assert_string_equal(w.last_method, "GET");
    world_clear(&w);
}

/* SCEP-52: subject and key of the CSR, digitalSignature and keyEncipherment. */
static void the_self_signed_certificate_is_like_the_request(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;
    struct mu_pki_csr *csr = NULL;

    (void)state;
    world_init(&w);
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    world_ok(mu_pki_csr_decode(w.config.csr, &csr, &world_err));
    assert_true(mu_pki_name_equal(result.self_signed->subject, csr->subject));
    assert_true(mu_bytes_equal(result.self_signed->spki, csr->spki));
    assert_true(mu_pki_cert_is_self_signed(result.self_signed));
    assert_int_equal(result.self_signed->exts.key_usage,
        MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    assert_true(result.self_signed->not_before_s < w.now_s);
    assert_true(result.self_signed->not_after_s > w.now_s + 86400);
    mu_pki_csr_free(csr);
    mu_scep_client_free(client);
    world_clear(&w);
}

static void an_empty_subject_still_has_an_issuer(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    world_request(&w, "", KEY_CLIENT, "secret");
    w.issue_subject = "/CN=given";
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_false(mu_pki_name_is_empty(result.self_signed->issuer));
    mu_scep_client_free(client);
    world_clear(&w);
}

/* SCEP-36, M305: an EC key can sign, but the answer needs the challenge to be enveloped with. */
static void ec_keys_need_a_challenge(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_request(&w, "/CN=ec", KEY_EC, "secret");
    world_ok(world_run(&w, NULL));
    world_request(&w, "/CN=ec", KEY_EC, NULL);
    w.sent = 0;
    world_failed(world_run(&w, NULL), MU_UNSUPPORTED, 305, "RSA");
    assert_int_equal(w.sent, 0);
    world_clear(&w);
}

static void ec_polls_are_answered_with_the_password(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 1;
    world_request(&w, "/CN=ec", KEY_EC, "secret");
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.sent, 2);
    world_clear(&w);
}

/* An EC CA cannot decrypt: both directions by password. */
static void ec_cas_are_reached_by_password(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    mu_pki_certs_clear(&w.chain);
    mu_pki_cert_free(w.ca);
    w.ca = world_cert(&(struct world_cert){.subject = "/CN=EC CA", .key = KEY_EC_CA, .is_ca = true,
        .key_usage = MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_CERT_SIGN});
    world_ok(mu_pki_certs_add(&w.chain, w.ca, &world_err));
    w.credential.cert = w.ca;
    w.credential.key = w.credential.ca_key = world_key(KEY_EC_CA);
    world_ok(world_run(&w, NULL));
    world_request(&w, "/CN=x", KEY_CLIENT, NULL);
    world_failed(world_run(&w, NULL), MU_UNSUPPORTED, 303, "cannot decrypt");
    world_clear(&w);
}

static void iis_answers(struct world *w, unsigned n, struct mu_http_response *response)
{
    if (n == 1)
        world_ok(
            mu_http_response_set(response, 500, "text/plain", mu_bytes_str("no\n"), &world_err));
    world_ok(mu_http_response_add(response, "Server", "Microsoft-IIS/10.0", &world_err));
    (void)w;
}

/* SCEP-25: only where it is asked for, and only once. */
static void iis_is_asked_again_with_3des_in_compat_mode(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.tamper = iis_answers;
    world_failed(world_run(&w, NULL), MU_NETWORK, 304, "500");
    w.config.compat_iis = w.config.allow_legacy = w.credential.allow_legacy = true;
    w.sent = 0;
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_int_equal(result.cipher, MU_PKI_DES3_CBC);
    assert_int_equal(result.digest, MU_PKI_SHA1);
    assert_int_equal(w.sent, 2);
    mu_scep_client_free(client);
    world_clear(&w);
}

/* SCEP-61, SCEP-62: what is in a poll, who has signed it; opened with the CA's key. */
static void look_into_the_poll(struct world *w, unsigned n, struct mu_http_response *response)
{
    struct mu_scep_msg msg = {0};
    struct mu_pki_enveloped e = {0};
    struct mu_pki_csr *csr = NULL;
    struct mu_buf plain = {0};
    struct mu_bytes issuer, subject;
    struct mu_pki_cert *signer;
    static uint8_t first_signer[32];

    (void)response;
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&w->last_request), &msg, &world_err));
    signer = mu_pki_signed_signer(&msg.cms);
    assert_non_null(signer); /* SCEP-37 */
    if (n == 1) {
        assert_int_equal(msg.type, MU_SCEP_PKCS_REQ);
        memcpy(first_signer, signer->sha256, sizeof first_signer);
    } else {
        assert_int_equal(msg.type, MU_SCEP_CERT_POLL);
        assert_memory_equal(first_signer, signer->sha256, sizeof first_signer);
    }
    world_ok(mu_pki_enveloped_decode(msg.envelope, &e, &world_err));
    world_ok(mu_pki_enveloped_open(&e, world_key(KEY_CA), false, &plain, &world_err));
    world_ok(mu_pki_csr_decode(w->config.csr, &csr, &world_err));
    if (n == 1) {
        assert_true(mu_bytes_equal(mu_buf_bytes(&plain), csr->der)); /* SCEP-51 */
    } else {
        assert_true(mu_scep_msg_get_poll(mu_buf_bytes(&plain), &issuer, &subject));
        assert_true(mu_bytes_equal(issuer, w->ca->subject));
        assert_true(mu_bytes_equal(subject, csr->subject));
    }
    mu_pki_csr_free(csr);
    mu_pki_enveloped_clear(&e);
    mu_buf_clear(&plain);
    mu_scep_msg_clear(&msg);
}

static void a_poll_names_the_ca_and_the_subject(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 1;
    w.tamper = look_into_the_poll;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.sent, 2);
    world_clear(&w);
}

/* The engine's first step and the event that answers its GetCACaps. */
static enum mu_code answer_caps(struct world *w, const struct mu_event *event,
    struct mu_scep_client **client, struct mu_step *next)
{
    struct mu_step step;

    world_ok(mu_scep_client_new(&w->config, client, &world_err));
    world_ok(mu_scep_client_start(*client, &step, &world_err));
    assert_non_null(strstr(step.request.target, "operation=GetCACaps"));
    return mu_scep_client_step(*client, event, next, &world_err);
}

/* SCEP-16: whatever its label says. */
static void capabilities_of_any_media_type_are_taken(void **state)
{
    static const char *const types[] = {"text/plain", "application/octet-stream", "text/html", NULL};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct world w;
        struct mu_scep_client *client = NULL;
        struct mu_scep_client_result result;
        struct mu_http_response response = {0};
        struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = &response};
        struct mu_step next;

        world_init(&w);
        world_ok(mu_http_response_set(
            &response, 200, types[i], mu_bytes_str("AES\r\nSHA-256\r\n"), &world_err));
        world_ok(answer_caps(&w, &event, &client, &next));
        mu_scep_client_result(client, &result);
        assert_int_equal(result.caps, MU_SCEP_CAP_AES | MU_SCEP_CAP_SHA256);
        mu_http_response_clear(&response);
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

/* SCEP-21, IOP-07: a dropped connection counts as no capabilities, with the switch; one that could
 * not be made is the end of it in any case. */
static void no_capabilities_by_a_dropped_connection(void **state)
{
    static const struct { bool legacy; int m; enum mu_code code; } drops[] = {
        {false, 506, MU_NETWORK}, {true, 506, MU_OK}, {true, 0, MU_OK}, {true, 101, MU_NETWORK},
        {true, 102, MU_NETWORK},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof drops / sizeof drops[0]; i++) {
        struct world w;
        struct mu_scep_client *client = NULL;
        struct mu_err failed = {.code = MU_NETWORK, .reason = MU_M(drops[i].m), .what = "dropped"};
        struct mu_event event = {.type = MU_EVENT_SEND_FAILED, .failed = &failed};
        struct mu_step next = {0};
        enum mu_code rc;

        world_init(&w);
        w.config.allow_legacy = drops[i].legacy;
        rc = answer_caps(&w, &event, &client, &next);
        if (rc != drops[i].code)
            fail_msg("row %zu: %d %s", i, (int)rc, world_err.what);
        if (rc == MU_OK)
            assert_non_null(strstr(next.request.target, "operation=GetCACert"));
        else
            assert_string_equal(world_err.what, "dropped");
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(algorithms_follow_the_capabilities),
        cmocka_unit_test(no_capabilities_by_http_error),
        cmocka_unit_test(a_missing_scepstandard_can_be_fatal),
        cmocka_unit_test(wishes_count_if_they_are_allowed),
        cmocka_unit_test(get_is_escaped_base64_in_one_line),
        cmocka_unit_test(a_414_switches_to_post),
        cmocka_unit_test(a_get_cut_on_the_way_switches_to_post),
        cmocka_unit_test(the_self_signed_certificate_is_like_the_request),
        cmocka_unit_test(an_empty_subject_still_has_an_issuer),
        cmocka_unit_test(ec_keys_need_a_challenge),
        cmocka_unit_test(ec_polls_are_answered_with_the_password),
        cmocka_unit_test(ec_cas_are_reached_by_password),
        cmocka_unit_test(iis_is_asked_again_with_3des_in_compat_mode),
        cmocka_unit_test(a_poll_names_the_ca_and_the_subject),
        cmocka_unit_test(capabilities_of_any_media_type_are_taken),
        cmocka_unit_test(no_capabilities_by_a_dropped_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
