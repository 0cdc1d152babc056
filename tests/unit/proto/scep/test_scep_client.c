/* The client engine meets the server engine: every kind of message, polling, and the transcript. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "pki/pki_crl.h"

/* S001, SCEP-29..66: PENDING twice, then SUCCESS; the lines of PRODUCT's transcript in its order. */
static void approval_by_hand_is_traced_as_promised(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.pending_n = 2;
    w.issue_subject = "/O=Fortinet/OU=AS/CN=myvpn";
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_non_null(result.cert);
    assert_true(mu_pki_cert_equal(result.cert, w.issued));
    assert_int_equal(result.chain->n, 1);
    assert_int_equal(result.polls, 2);
    assert_int_equal(w.waits, 2);
    assert_int_equal(w.saves, 1);
    assert_int_equal(w.sent, 3);
    assert_string_equal(result.warnings, "");
    assert_true(result.used_post);
    world_trace_has(&w.trace,
        "scep start: PKCSReq for 'IPSECVPNTest'\n"
        "scep caps: AES POSTPKIOperation Renewal SCEPStandard SHA-256 SHA-512\n"
        "scep ca: Reply type 1, 1 certificate\n"
        "scep ca: [1] version 3, serial 4096 (0x1000), issuer itself\n"
        "scep ca: [1] subject /C=NL/O=Fortinet/CN=sceptest\n"
        "scep ca: [1] trusted as CA_Cert_1, loaded for signing and encryption\n"
        "scep auth: challenge *, signed with a self-signed certificate of the new key\n"
        "scep request: transaction id: \n"
        "scep request: payload \n bytes, PKCS #10\n"
        "scep request: encrypted AES-128-CBC, envelope \n bytes\n"
        "scep request: signed SHA-256, messageType 19, senderNonce \n"
        "scep request: message \n"
        "scep reply: \n bytes, enveloped 0 bytes\n"
        "scep reply: signature ok, CN=sceptest\n"
        "scep reply: transaction id: \n, as sent\n"
        "scep reply: messageType 3, CertRep\n"
        "scep reply: senderNonce \n"
        "scep reply: recipientNonce \n, as sent\n"
        "scep reply: pkistatus: PENDING\n"
        "scep poll: again in 60 s, for at most 60 min\n"
        "scep request: payload \n bytes, issuer and subject\n"
        "messageType 20\n"
        "scep reply: pkistatus: PENDING\n"
        "scep reply: pkistatus: SUCCESS\n"
        "scep reply: decrypted, \n bytes, 1 certificate\n"
        "scep cert: subject /O=Fortinet/OU=AS/CN=myvpn\n"
        "scep cert: issuer /C=NL/O=Fortinet/CN=sceptest\n"
        "scep changed: C=NL removed, OU=AS added\n");
    assert_false(world_traced(&w.trace, "secret"));
    assert_false(world_traced(&w.server_trace, "secret"));
    mu_scep_client_free(client);
    world_clear(&w);
}

static struct mu_scep_nonce seen_nonces[4];
static char seen_ids[4][64];
static int seen_types[4];

static void note_reply(struct world *w, unsigned n, struct mu_http_response *response)
{
    struct mu_scep_msg msg = {0};

    (void)response;
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&w->last_request), &msg, &world_err));
    assert_true(n >= 1 && n <= 4);
    seen_nonces[n - 1] = msg.sender_nonce;
    seen_types[n - 1] = msg.type;
    snprintf(seen_ids[n - 1], sizeof seen_ids[0], "%s", msg.transaction_id);
    assert_int_equal(msg.recipient_nonce.n, 0);
    mu_scep_msg_clear(&msg);
}

/* S033, S040, S060, SCEP-47, SCEP-49, SCEP-61, SCEP-62. */
static void polls_keep_the_transaction_and_change_the_nonce(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 1;
    w.tamper = note_reply;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.sent, 2);
    assert_int_equal(seen_types[0], MU_SCEP_PKCS_REQ);
    assert_int_equal(seen_types[1], MU_SCEP_CERT_POLL);
    assert_string_equal(seen_ids[0], seen_ids[1]);
    assert_int_equal(strlen(seen_ids[0]), 32);
    assert_int_equal(strspn(seen_ids[0], "0123456789ABCDEF"), 32);
    assert_int_equal(seen_nonces[0].n, 16);
    assert_memory_not_equal(seen_nonces[0].p, seen_nonces[1].p, 16);
    world_clear(&w);
}

static void drop_polls(struct world *w, unsigned n, struct mu_http_response *response)
{
    if (n == 2)
        world_ok(mu_http_response_set(
            response, 503, "text/plain", mu_bytes_str("later\n"), &world_err));
}

static void a_poll_that_fails_is_repeated(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 1;
    w.tamper = drop_polls;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.sent, 3);
    assert_true(world_traced(&w.trace, "scep poll: not answered: "));
    world_clear(&w);
}

/* R087: sscep -R. The transaction id is that of the key alone. */
static void polling_at_once_finds_the_transaction_again(void **state)
{
    struct world w;
    char id[300];

    (void)state;
    world_init(&w);
    w.pending_n = 5;
    w.config.no_wait = true;
    w.config.transaction_id_from_key = true;
    world_failed(world_run(&w, NULL), MU_PENDING, 0, NULL);
    memcpy(id, w.last_id, sizeof id);
    w.pending_n = 0;
    w.config.op = MU_SCEP_CLIENT_POLL;
    world_ok(world_run(&w, NULL));
    assert_string_equal(w.last_type, "CertPoll");
    assert_string_equal(w.last_id, id);
    assert_int_equal(w.saves, 1);
    world_clear(&w);
}

static void a_new_request_has_a_new_transaction(void **state)
{
    struct world w;
    char id[300];

    (void)state;
    world_init(&w);
    world_ok(world_run(&w, NULL));
    memcpy(id, w.last_id, sizeof id);
    world_ok(world_run(&w, NULL));
    assert_string_not_equal(w.last_id, id);
    w.config.transaction_id = "my-own-id";
    world_ok(world_run(&w, NULL));
    assert_string_equal(w.last_id, "my-own-id");
    world_clear(&w);
}

static struct mu_pki_cert *old_cert(void)
{
    return world_cert(&(struct world_cert){.subject = "/C=NL/O=Fortinet/CN=myvpn",
        .issuer = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_OTHER, .issuer_key = KEY_CA,
        .serial = 0x3000});
}

/* SCEP-24, SCEP-67: 17 where offered, else 19 with the old certificate; 19 too if wished. */
static void renewal_is_17_where_offered_else_19(void **state)
{
    static const struct { const char *caps; bool plain; const char *type; bool warns; } rows[] = {
        {NULL, false, "RenewalReq", false},
        {"SCEPStandard\r\n", false, "PKCSReq", true},
        {NULL, true, "PKCSReq", false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        struct mu_scep_client *client;
        struct mu_scep_client_result result;
        struct mu_pki_cert *old = old_cert();

        world_init(&w);
        world_request(&w, "/C=NL/O=Fortinet/CN=myvpn", KEY_CLIENT, NULL);
        w.only_caps = rows[i].caps;
        w.config.plain_pkcs_req = rows[i].plain;
        w.config.signer_cert = old;
        w.config.signer_key = world_key(KEY_OTHER);
        world_ok(world_run(&w, &client));
        mu_scep_client_result(client, &result);
        assert_string_equal(w.last_type, rows[i].type);
        assert_int_equal(result.used_renewal, strcmp(rows[i].type, "RenewalReq") == 0);
        assert_int_equal(strstr(result.warnings, "Renewal is not offered") != NULL, rows[i].warns);
        assert_null(result.self_signed);
        assert_true(world_traced(&w.trace,
            "scep auth: no challenge, signed with the certificate of serial 12288 (0x3000)"));
        mu_scep_client_free(client);
        mu_pki_cert_free(old);
        world_clear(&w);
    }
}

/* SCEP-72, SCEP-73: the issuer is the CA, also where an RA answers. */
static void get_cert_asks_by_the_name_of_the_ca(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;
    struct mu_pki_cert *own;

    (void)state;
    world_init(&w);
    world_add_ra(&w, MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    world_ok(world_run(&w, NULL));
    own = mu_pki_cert_ref(w.issued);
    w.config.op = MU_SCEP_CLIENT_CERT;
    w.config.signer_cert = own;
    w.config.signer_key = world_key(KEY_CLIENT);
    w.config.serial = own->serial;
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_true(mu_pki_cert_equal(result.cert, own));
    assert_string_equal(w.last_type, "GetCert");
    assert_int_equal(w.saves, 1);
    mu_scep_client_free(client);
    w.config.serial = mu_bytes("\x01\x02", 2);
    world_failed(world_run(&w, NULL), MU_DENIED, 318, "badCertId");
    mu_pki_cert_free(own);
    world_clear(&w);
}

static void make_crl(struct world *w, enum world_key key)
{
    struct mu_pki_crl_params params = {
        .issuer = w->ca->subject,
        .this_update_s = WORLD_NOW - 60,
        .next_update_s = WORLD_NOW + 86400,
        .number = 7,
    };

    mu_buf_clear(&w->crl_der);
    world_ok(mu_pki_crl_make(&params, world_key(key), MU_PKI_SHA256, &w->crl_der, &world_err));
    w->crl = mu_buf_bytes(&w->crl_der);
}

/* SCEP-74; a CRL that the CA has not signed is not taken. */
static void get_crl_takes_only_the_cas_own(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;
    struct mu_pki_cert *own;

    (void)state;
    world_init(&w);
    world_ok(world_run(&w, NULL));
    own = mu_pki_cert_ref(w.issued);
    w.config.op = MU_SCEP_CLIENT_CRL;
    w.config.signer_cert = own;
    w.config.signer_key = world_key(KEY_CLIENT);
    make_crl(&w, KEY_CA);
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_true(mu_bytes_equal(result.crl, w.crl));
    mu_scep_client_free(client);
    make_crl(&w, KEY_OTHER);
    world_failed(world_run(&w, NULL), MU_AUTH, 321, "CRL");
    mu_pki_cert_free(own);
    world_clear(&w);
}

static void capabilities_alone(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.config.op = MU_SCEP_CLIENT_CAPS;
    w.config.ca_identifier = "my CA";
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_true(result.has_caps);
    assert_true(result.caps & MU_SCEP_CAP_STANDARD);
    assert_string_equal(w.last_url, WORLD_URL "?operation=GetCACaps&message=my%20CA");
    mu_scep_client_free(client);
    world_clear(&w);
}

static void get_ca_asks_nobody_for_trust(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.config.op = MU_SCEP_CLIENT_CA;
    w.config.trusted = NULL;
    w.say_no = true;
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_int_equal(result.ca_certs->n, 1);
    assert_true(mu_pki_cert_equal(result.ca, w.ca));
    mu_scep_client_free(client);
    world_clear(&w);
}

static void a_save_that_fails_is_the_end(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.save_fails = true;
    world_failed(world_run(&w, NULL), MU_STORAGE, 0, "disk full");
    world_clear(&w);
}

static void an_event_nobody_wanted_is_refused(void **state)
{
    struct world w;
    struct mu_scep_client *client = NULL;
    struct mu_event event = {.type = MU_EVENT_TIME};
    struct mu_step step;

    (void)state;
    world_init(&w);
    world_ok(mu_scep_client_new(&w.config, &client, &world_err));
    assert_int_equal(mu_scep_client_step(client, &event, &step, &world_err), MU_INTERNAL);
    world_ok(mu_scep_client_start(client, &step, &world_err));
    assert_int_equal(mu_scep_client_step(client, &event, &step, &world_err), MU_INTERNAL);
    assert_int_equal(mu_scep_client_start(client, &step, &world_err), MU_INTERNAL);
    mu_scep_client_free(client);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(approval_by_hand_is_traced_as_promised),
        cmocka_unit_test(polls_keep_the_transaction_and_change_the_nonce),
        cmocka_unit_test(a_poll_that_fails_is_repeated),
        cmocka_unit_test(polling_at_once_finds_the_transaction_again),
        cmocka_unit_test(a_new_request_has_a_new_transaction),
        cmocka_unit_test(renewal_is_17_where_offered_else_19),
        cmocka_unit_test(get_cert_asks_by_the_name_of_the_ca),
        cmocka_unit_test(get_crl_takes_only_the_cas_own),
        cmocka_unit_test(capabilities_alone),
        cmocka_unit_test(get_ca_asks_nobody_for_trust),
        cmocka_unit_test(a_save_that_fails_is_the_end),
        cmocka_unit_test(an_event_nobody_wanted_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
