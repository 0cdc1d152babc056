/* What the responder answers: capabilities, CA certificates, CertReps of each kind
 * (SCEP-13..20, SCEP-26, SCEP-27, SCEP-34, SCEP-38, SCEP-42, SCEP-56..58, SCEP-73..77, IOP-08,
 * IOP-15). */
#include "world.h"

#include <string.h>

static void get(struct world *w, const char *target, struct mu_http_response *response)
{
    struct mu_http_request request = {.method = "GET", .target = target};

    mu_http_response_clear(response);
    world_serve(w, &request, response);
}

static const char *type_of(const struct mu_http_response *response)
{
    return mu_http_header_get(response->headers, response->header_n, "Content-Type");
}

static void capabilities_follow_the_switches(void **state)
{
    struct world w;
    struct mu_http_response r = {0};

    (void)state;
    world_init(&w);
    get(&w, "/scep?operation=GetCACaps", &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(type_of(&r), "text/plain");
    assert_string_equal(mu_buf_str(&r.body),
        "AES\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-512\n");
    w.credential.caps_sha384 = true;
    w.credential.allow_legacy = true;
    world_ok(mu_pki_certs_add(&w.next, w.ca, &world_err));
    get(&w, "/scep?operation=getcacaps&message=x", &r);
    assert_string_equal(mu_buf_str(&r.body),
        "AES\nDES3\nGetNextCACert\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-1\nSHA-256\n"
        "SHA-384\nSHA-512\n");
    mu_http_response_clear(&r);
    world_clear(&w);
}

static void ca_certificates_one_or_many(void **state)
{
    struct world w;
    struct mu_http_response r = {0};
    struct mu_pki_certs list = {0};
    struct mu_buf keep = {0};

    (void)state;
    world_init(&w);
    get(&w, "/scep?operation=GetCACert", &r);
    assert_string_equal(type_of(&r), "application/x-x509-ca-cert");
    assert_true(mu_bytes_equal(mu_buf_bytes(&r.body), w.ca->der));

    world_add_ra(&w, MU_KU_DIGITAL_SIGNATURE);
    get(&w, "/scep?operation=GetCACert", &r);
    assert_string_equal(type_of(&r), "application/x-x509-ca-ra-cert");
    world_ok(mu_pki_certs_only_decode(mu_buf_bytes(&r.body), &list, NULL, &keep, &world_err));
    assert_int_equal(list.n, 2);
    assert_true(mu_pki_cert_equal(list.v[0], w.ra));
    assert_true(mu_pki_cert_equal(list.v[1], w.ca));
    mu_pki_certs_clear(&list);

    w.credential.single_ca_cert = true; /* IOP-08 */
    get(&w, "/scep?operation=GetCACert", &r);
    assert_string_equal(type_of(&r), "application/x-x509-ca-cert");
    assert_true(mu_bytes_equal(mu_buf_bytes(&r.body), w.ca->der));
    mu_buf_clear(&keep);
    mu_http_response_clear(&r);
    world_clear(&w);
}

static void the_successor_is_signed_or_404(void **state)
{
    struct world w;
    struct mu_http_response r = {0};
    struct mu_pki_signed cms = {0};

    (void)state;
    world_init(&w);
    get(&w, "/scep?operation=GetNextCACert", &r);
    assert_int_equal(r.status, 404); /* SCEP-77 */
    world_ok(mu_pki_certs_add(&w.next, w.ca, &world_err));
    get(&w, "/scep?operation=GetNextCACert", &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(type_of(&r), "application/x-x509-next-ca-cert");
    world_ok(mu_pki_signed_decode(mu_buf_bytes(&r.body), &cms, &world_err));
    world_ok(mu_pki_signed_verify(&cms, w.ca, false, &world_err));
    mu_pki_signed_clear(&cms);
    mu_http_response_clear(&r);
    world_clear(&w);
}

/* ---- CertReps: an enrollment by the client engine, its answers looked at ---- */

static struct mu_scep_msg reply;
static struct mu_pki_enveloped reply_envelope;
static bool reply_for_signer, reply_for_issued;

static void look(struct world *w, unsigned n, struct mu_http_response *response)
{
    struct mu_scep_msg sent = {0};

    (void)n;
    mu_scep_msg_clear(&reply);
    mu_pki_enveloped_clear(&reply_envelope);
    assert_int_equal(response->status, 200); /* SCEP-13 */
    assert_string_equal(type_of(response), "application/x-pki-message");
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&response->body), &reply, &world_err));
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&w->last_request), &sent, &world_err));
    assert_int_equal(reply.type, MU_SCEP_CERT_REP);
    assert_string_equal(reply.transaction_id, sent.transaction_id);
    assert_int_equal(reply.sender_nonce.n, 16);
    assert_memory_not_equal(reply.sender_nonce.p, sent.sender_nonce.p, 16);
    assert_int_equal(reply.recipient_nonce.n, sent.sender_nonce.n);
    assert_memory_equal(reply.recipient_nonce.p, sent.sender_nonce.p, sent.sender_nonce.n);
    if (reply.envelope.p != NULL) {
        world_ok(mu_pki_enveloped_decode(reply.envelope, &reply_envelope, &world_err));
        reply_for_signer
            = mu_pki_enveloped_is_for(&reply_envelope, mu_pki_signed_signer(&sent.cms));
        reply_for_issued
            = w->issued != NULL && mu_pki_enveloped_is_for(&reply_envelope, w->issued);
    }
    mu_scep_msg_clear(&sent);
}

static void forget(void)
{
    mu_scep_msg_clear(&reply);
    mu_pki_enveloped_clear(&reply_envelope);
}

/* SCEP-38, IOP-15: to the signer, with cipher and digest of the request. */
static void success_mirrors_the_request(void **state)
{
    static const struct { enum mu_pki_digest d; enum mu_pki_cipher c; bool legacy; } rows[] = {
        {MU_PKI_SHA256, MU_PKI_AES128_CBC, false},
        {MU_PKI_SHA512, MU_PKI_AES256_CBC, false},
        {MU_PKI_SHA384, MU_PKI_AES192_CBC, false},
        {MU_PKI_SHA1, MU_PKI_DES3_CBC, true},
        {MU_PKI_SHA1, MU_PKI_DES_CBC, true},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;

        world_init(&w);
        w.tamper = look;
        w.config.digest = rows[i].d;
        w.config.cipher = rows[i].c;
        w.config.allow_legacy = w.credential.allow_legacy = rows[i].legacy;
        world_ok(world_run(&w, NULL));
        assert_int_equal(reply.status, MU_SCEP_SUCCESS);
        assert_int_equal(reply.cms.digest, rows[i].d);
        assert_int_equal(reply_envelope.cipher, rows[i].c);
        assert_true(reply_for_signer);
        assert_false(reply_for_issued);
        assert_int_equal(reply.cms.certs.n, 1);
        forget();
        world_clear(&w);
    }
}

/* SCEP-34, SCEP-42, SCEP-58: no envelope; failInfo and words by the reason. */
static void refusals_carry_fail_info_and_a_sentence(void **state)
{
    static const struct { enum mu_reason reason; const char *text; int fail_info; } rows[] = {
        {MU_REFUSE_PASSWORD, NULL, MU_SCEP_BAD_REQUEST},
        {MU_REFUSE_ALGORITHM, NULL, MU_SCEP_BAD_ALG},
        {MU_REFUSE_SIGNATURE, NULL, MU_SCEP_BAD_MESSAGE_CHECK},
        {MU_REFUSE_CLOCK, NULL, MU_SCEP_BAD_TIME},
        {MU_REFUSE_NO_SUCH_REQUEST, NULL, MU_SCEP_BAD_CERT_ID},
        {MU_REFUSE_UNDELIVERABLE, NULL, MU_SCEP_BAD_ALG},
        {MU_REFUSE_RENEWAL_EARLY, "renewal allowed from 2026-01-01", MU_SCEP_BAD_REQUEST},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        const struct mu_err_row *row = mu_err_row(rows[i].reason);

        world_init(&w);
        w.refuse = rows[i].reason;
        w.refuse_text = rows[i].text;
        w.tamper = look;
        assert_int_equal(world_run(&w, NULL), MU_DENIED);
        assert_int_equal(reply.status, MU_SCEP_FAILURE);
        assert_int_equal(reply.fail_info, rows[i].fail_info);
        assert_null(reply.envelope.p);
        assert_string_equal(
            reply.fail_info_text, rows[i].text != NULL ? rows[i].text : row->what);
        forget();
        world_clear(&w);
    }
}

static void pending_has_no_envelope(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.pending_n = 1;
    w.config.no_wait = true;
    w.tamper = look;
    assert_int_equal(world_run(&w, NULL), MU_PENDING);
    assert_int_equal(reply.status, MU_SCEP_PENDING);
    assert_null(reply.envelope.p);
    assert_int_equal(reply.fail_info, -1);
    forget();
    world_clear(&w);
}

/* strongSwan 5.9.8 takes only plain rsaEncryption (INTEROP 2). */
static void the_signature_algorithm_can_be_plain_rsa(void **state)
{
    static const uint8_t plain[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    static const uint8_t sha256[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b};
    unsigned on;

    (void)state;
    for (on = 0; on <= 1; on++) {
        struct world w;

        world_init(&w);
        w.credential.sign_alg_rsa_encryption = on;
        w.tamper = look;
        world_ok(world_run(&w, NULL));
        assert_int_equal(
            memmem(reply.cms.sig_alg.p, reply.cms.sig_alg.n, plain, sizeof plain) != NULL, on);
        assert_int_equal(
            memmem(reply.cms.sig_alg.p, reply.cms.sig_alg.n, sha256, sizeof sha256) != NULL, !on);
        forget();
        world_clear(&w);
    }
}

/* A transaction id that is no text comes back as it came (INTEROP 3.9); the answer to a message
 * without senderNonce has no recipientNonce. */
static void odd_ids_and_nonces_come_back(void **state)
{
    struct world w;
    struct mu_pki_certs certs = {0};
    struct mu_pki_cert *signer;
    struct mu_buf body = {0};
    struct mu_http_response response = {0};
    struct mu_http_request request = {.method = "POST", .target = "/?operation=PKIOperation"};
    struct mu_scep_msg_params params = {.transaction_id_der = mu_bytes("\x13\x03\x00\x80\xff", 5),
        .type = MU_SCEP_PKCS_REQ, .status = -1, .fail_info = -1, .key = world_key(KEY_CLIENT),
        .certs = &certs, .digest = MU_PKI_SHA256, .envelope = mu_bytes_str("garbage")};

    (void)state;
    world_init(&w);
    signer = world_cert(&(struct world_cert){.subject = "/CN=x", .key = KEY_CLIENT});
    world_ok(mu_pki_certs_add(&certs, signer, &world_err));
    params.cert = signer;
    world_ok(mu_scep_msg_encode(&params, &body, &world_err));
    request.body = mu_buf_bytes(&body);
    world_serve(&w, &request, &response);
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&response.body), &reply, &world_err));
    assert_int_equal(reply.status, MU_SCEP_FAILURE);
    assert_int_equal(reply.fail_info, MU_SCEP_BAD_REQUEST);
    assert_true(
        mu_bytes_equal(reply.transaction_id_der, mu_bytes("\x13\x03\x00\x80\xff", 5)));
    assert_int_equal(reply.recipient_nonce.n, 0);
    forget();
    mu_http_response_clear(&response);
    mu_buf_clear(&body);
    mu_pki_certs_clear(&certs);
    mu_pki_cert_free(signer);
    world_clear(&w);
}

static void http_errors_by_the_row(void **state)
{
    static const struct { enum mu_code code; enum mu_reason reason; int status; } rows[] = {
        {MU_INPUT, MU_REFUSE_MALFORMED, 400},
        {MU_DENIED, MU_REFUSE_RATE, 429},
        {MU_DENIED, MU_REFUSE_SERVICE_OFF, 503},
        {MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED, 501},
        {MU_NOT_FOUND, MU_REASON_NONE, 404},
        {MU_MEMORY, MU_REASON_NONE, 503},
        {MU_NETWORK, MU_REASON_NONE, 500},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_http_response r = {0};
        struct mu_err failed = {.code = rows[i].code, .reason = rows[i].reason};

        world_ok(mu_scep_server_http_error(&failed, &r, &world_err));
        assert_int_equal(r.status, rows[i].status);
        assert_true(r.body.n > 1);
        mu_http_response_clear(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_follow_the_switches),
        cmocka_unit_test(ca_certificates_one_or_many),
        cmocka_unit_test(the_successor_is_signed_or_404),
        cmocka_unit_test(success_mirrors_the_request),
        cmocka_unit_test(refusals_carry_fail_info_and_a_sentence),
        cmocka_unit_test(pending_has_no_envelope),
        cmocka_unit_test(the_signature_algorithm_can_be_plain_rsa),
        cmocka_unit_test(odd_ids_and_nonces_come_back),
        cmocka_unit_test(http_errors_by_the_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
