/* Rows of RFC 9483 and 9810 that need a message no client of ours would send: kinds of body, odd
 * headers, protection, certificates, media types. The bodies are in test_cmp_server_bodies.c. */
#include "server_world.h"

#include "pki/pki_name.h"

static void start(struct sw *w)
{
    sw_init(w);
    sw_begin(w);
    sw_by_mac(w, "fortinet1");
    sw_crmf(w, MU_CMP_IR, SW_NEW);
}

/* ---- kinds of body ---- */

/* CMP-02, CMP-67: what is no request here is refused by its name. */
static void kinds_that_are_no_requests(void **state)
{
    static const struct { int tag, bit; } rows[] = {{MU_CMP_POPDECC, MU_CMP_BAD_REQUEST},
        {MU_CMP_POPDECR, MU_CMP_BAD_REQUEST}, {MU_CMP_KRR, MU_CMP_BAD_REQUEST},
        {MU_CMP_KRP, MU_CMP_BAD_REQUEST}, {MU_CMP_CCR, MU_CMP_BAD_REQUEST},
        {MU_CMP_CCP, MU_CMP_BAD_REQUEST}, {MU_CMP_IP, MU_CMP_BAD_DATA_FORMAT},
        {27, MU_CMP_BAD_REQUEST}, {30, MU_CMP_BAD_REQUEST}};
    struct mu_buf text = {0};
    struct sw w;

    start(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint8_t body[] = {(uint8_t)(0xa0 | rows[i].tag), 2, 0x05, 0x00};

        sw_send_raw(&w, mu_bytes(body, sizeof body));
        sw_expect_error(&w, rows[i].bit);
        mu_buf_reset(&text);
        mu_cmp_text_format(w.answer.body.u.error.status.text, &text);
        if (rows[i].tag < MU_CMP_TYPES)
            assert_non_null(strstr(mu_buf_str(&text), mu_cmp_type_name(rows[i].tag)));
    }
    mu_buf_clear(&text);
    sw_clear(&w);
}

/* CMP-122: no CMP message answers an announcement. */
static void announcements_are_refused_by_http(void **state)
{
    struct sw w;

    start(&w);
    for (int tag = MU_CMP_CKUANN; tag <= MU_CMP_CRLANN; tag++) {
        const uint8_t body[] = {(uint8_t)(0xa0 | tag), 2, 0x05, 0x00};

        sw_send_raw(&w, mu_bytes(body, sizeof body));
        assert_false(w.has_answer);
        assert_int_equal(w.response.status, 501);
    }
    sw_clear(&w);
}

/* CMP-40, CMP-41: names and numbers of RFC 9810 5.2.3, one by one. */
static void names_are_those_of_the_rfc(void **state)
{
    static const char *const bits[] = {"badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId",
        "badDataFormat", "wrongAuthority", "incorrectData", "missingTimeStamp", "badPOP", "certRevoked",
        "certConfirmed", "wrongIntegrity", "badRecipientNonce", "timeNotAvailable", "unacceptedPolicy",
        "unacceptedExtension", "addInfoNotAvailable", "badSenderNonce", "badCertTemplate",
        "signerNotTrusted", "transactionIdInUse", "unsupportedVersion", "notAuthorized", "systemUnavail",
        "systemFailure", "duplicateCertReq"};
    static const char *const states[] = {"accepted", "grantedWithMods", "rejection", "waiting",
        "revocationWarning", "revocationNotification", "keyUpdateWarning"};

    assert_int_equal(MU_CMP_FAILS, 27);
    for (int i = 0; i < 27; i++)
        assert_string_equal(mu_cmp_fail_name(i), bits[i]);
    for (int i = 0; i < 7; i++)
        assert_string_equal(mu_cmp_status_name(i), states[i]);
    assert_string_equal(mu_cmp_fail_name(27), "unknown");
}

/* ---- header ---- */

static size_t put_info(struct mu_buf *out, const char *oid)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put_oid(out, oid);
    return mark;
}

/* CMP-06, CMP-17: what is not known, free text, and an origPKIMessage change nothing. */
static void what_is_not_known_in_a_header_is_ignored(void **state)
{
    struct mu_buf infos = {0}, text = {0}, name = {0};
    struct sw w;
    size_t mark, list;

    for (int by_cert = 0; by_cert < 2; by_cert++) {
        start(&w);
        if (by_cert)
            sw_by_cert(&w, w.client, SW_CLIENT);
        mu_buf_reset(&infos);
        mu_buf_reset(&text);
        mark = put_info(&infos, "1.3.6.1.4.1.99999.1");
        mu_der_put_int(&infos, 7);
        mu_der_close(&infos, mark);
        mark = put_info(&infos, "1.3.6.1.5.5.7.4.15");
        list = mu_der_open(&infos, MU_DER_SEQUENCE);
        mu_der_put(&infos, MU_DER_SEQUENCE, mu_bytes(NULL, 0));
        mu_der_close(&infos, list);
        mu_der_close(&infos, mark);
        mu_cmp_text_put(&text, "hello");
        w.header.general_info = mu_buf_bytes(&infos);
        w.header.free_text = mu_buf_bytes(&text);
        w.header.recipient = w.rogue->subject; /* any value is taken */
        sw_send(&w);
        sw_expect_issued(&w, MU_CMP_IP);
        assert_int_equal(w.answer.header.general_info.n != 0, 1); /* confirmWaitTime alone */
        assert_null(memmem(w.answer.header.general_info.p, w.answer.header.general_info.n, "\x86\x8d\x1f", 3));
        /* the recipient is who asked */
        mu_buf_reset(&name);
        assert_true(mu_pki_name_get(w.answer.header.recipient, "CN", &name));
        assert_string_equal(mu_buf_str(&name), by_cert ? "device" : "fgt100f");
        sw_clear(&w);
    }
    mu_buf_clear(&infos);
    mu_buf_clear(&text);
    mu_buf_clear(&name);
}

/* CMP-05, CMP-09: the secret is found by senderKID, or where there is none by the sender's name. */
static void a_sender_without_key_identifier(void **state)
{
    struct mu_buf name = {0};
    struct sw w;

    for (int i = 0; i < 2; i++) {
        start(&w);
        mu_buf_reset(&name);
        sw_ok(mu_pki_name_parse(i == 0 ? "/O=x/CN=fgt100f" : "/O=x/CN=fgt999", &name, &sw_err));
        w.header.sender = mu_buf_bytes(&name);
        w.how.reference = mu_bytes(NULL, 0);
        sw_send(&w);
        if (i == 0)
            sw_expect_issued(&w, MU_CMP_IP);
        else
            sw_expect_error(&w, MU_CMP_BAD_MESSAGE_CHECK);
        sw_clear(&w);
    }
    mu_buf_clear(&name);
}

/* CMP-18: exactly one name, and one that can be a name. */
static void a_profile_has_one_name(void **state)
{
    static const struct { const char *a; size_t n; bool twice; } rows[]
        = {{"a", 1, true}, {"", 0, false}, {"a\0b", 3, false}};
    struct mu_buf infos = {0};
    struct sw w;
    size_t mark, list;

    for (size_t i = 0; i < 3; i++) {
        start(&w);
        mu_buf_reset(&infos);
        mark = put_info(&infos, "1.3.6.1.5.5.7.4.21");
        list = mu_der_open(&infos, MU_DER_SEQUENCE);
        mu_der_put(&infos, MU_DER_UTF8_STRING, mu_bytes(rows[i].a, rows[i].n));
        if (rows[i].twice)
            mu_der_put(&infos, MU_DER_UTF8_STRING, mu_bytes_str("b"));
        mu_der_close(&infos, list);
        mu_der_close(&infos, mark);
        w.header.general_info = mu_buf_bytes(&infos);
        sw_send(&w);
        sw_expect_rejection(&w, MU_CMP_IP, MU_CMP_BAD_REQUEST);
        sw_clear(&w);
    }
    mu_buf_clear(&infos);
}

/* The request of w with this protectionAlg and protection, whatever they are. */
static void send_protected(
    struct sw *w, struct mu_bytes alg, struct mu_bytes protection, struct mu_pki_cert *cert)
{
    struct mu_cmp_header h = w->header;
    struct mu_buf part = {0}, out = {0}, signature = {0};

    h.sender = cert->subject;
    h.sender_kid = cert->exts.skid;
    h.protection_alg = alg;
    mu_cmp_msg_encode_part(&h, &w->body, &part);
    if (protection.n == 1) { /* a place holder: the client's signature */
        sw_ok(mu_pki_key_sign(sw_key(SW_CLIENT), MU_PKI_SHA256, mu_buf_bytes(&part), &signature, &sw_err));
        protection = mu_buf_bytes(&signature);
    }
    sw_ok(mu_cmp_msg_encode(mu_buf_bytes(&part), protection, &w->extra, &out, &sw_err));
    sw_post(w, mu_buf_bytes(&out));
    mu_buf_clear(&part);
    mu_buf_clear(&out);
    mu_buf_clear(&signature);
}

/* CMP-08: both or none, and of the key's kind. */
static void protection_and_its_algorithm_belong_together(void **state)
{
    struct mu_buf ecdsa = {0}, rsa = {0};
    struct sw w;

    start(&w);
    sw_by_cert(&w, w.client, SW_CLIENT);
    mu_pki_key_sign_alg(sw_key(SW_CLIENT), MU_PKI_SHA256, &ecdsa);
    mu_pki_key_sign_alg(sw_key(SW_RSA), MU_PKI_SHA256, &rsa);
    send_protected(&w, mu_buf_bytes(&ecdsa), mu_bytes("x", 1), w.client); /* as it should be */
    sw_expect_issued(&w, MU_CMP_IP);
    sw_begin(&w);
    send_protected(&w, mu_buf_bytes(&ecdsa), mu_bytes(NULL, 0), w.client);
    sw_expect_error(&w, MU_CMP_BAD_MESSAGE_CHECK);
    send_protected(&w, mu_bytes(NULL, 0), mu_bytes("x", 1), w.client);
    sw_expect_error(&w, MU_CMP_BAD_MESSAGE_CHECK);
    send_protected(&w, mu_buf_bytes(&rsa), mu_bytes("x", 1), w.client);
    assert_false(w.read_ok);
    assert_string_equal(mu_cmp_type_name(w.answer.body.type), "error");
    mu_buf_clear(&ecdsa);
    mu_buf_clear(&rsa);
    sw_clear(&w);
}

/* CMP-13: no nonce of ours comes twice. */
static void nonces_are_fresh(void **state)
{
    uint8_t seen[6][16];
    struct sw w;

    start(&w);
    w.verdict = MU_VERDICT_PENDING;
    for (int i = 0; i < 6; i++) {
        sw_send(&w);
        memcpy(seen[i], w.answer.header.sender_nonce.p, 16);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(seen[i], seen[j], 16);
        sw_poll(&w);
    }
    sw_clear(&w);
}

/* CMP-46: an error message with a bad header is answered by one. */
static void an_error_with_a_bad_header_gets_an_error(void **state)
{
    struct sw w;

    start(&w);
    memset(&w.body, 0, sizeof w.body);
    w.body.type = MU_CMP_ERROR;
    w.body.u.error.status.status = MU_CMP_REJECTION;
    w.header.sender_nonce.n = 4;
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_BAD_SENDER_NONCE);
    sw_clear(&w);
}

/* CMP-37: certificates nobody needs, in any order, as many as there is room for. */
static void surplus_certificates_are_taken_and_bounded(void **state)
{
    struct sw w;
    struct mu_buf message = {0};
    struct mu_pki_certs many = {0};

    start(&w);
    sw_by_cert(&w, w.client, SW_CLIENT);
    mu_pki_certs_clear(&w.extra);
    sw_ok(mu_pki_certs_add(&w.extra, w.rogue, &sw_err));
    sw_ok(mu_pki_certs_add(&w.extra, w.ca, &sw_err));
    sw_ok(mu_pki_certs_add(&w.extra, w.rsa, &sw_err));
    sw_ok(mu_pki_certs_add(&w.extra, w.client, &sw_err));
    sw_send(&w);
    sw_expect_issued(&w, MU_CMP_IP);
    sw_begin(&w);
    struct mu_pki_cert *row[40];
    for (size_t i = 0; i < 40; i++)
        row[i] = w.client;
    many.v = row;
    many.n = 40;
    sw_ok(mu_cmp_protect_encode(&w.header, &w.body, &w.how, &many, &message, &sw_err));
    sw_post(&w, mu_buf_bytes(&message));
    sw_expect_error(&w, MU_CMP_BAD_DATA_FORMAT);
    mu_buf_clear(&message);
    sw_clear(&w);
}

/* ---- HTTP ---- */

/* CMP-116: pollReq's own media type is taken for the same, any other is not. */
static void media_types(void **state)
{
    static const struct { const char *type; bool ok; } rows[] = {{"application/pkixcmp", true},
        {"application/pkixcmp-poll", true}, {"Application/PKIXCMP; charset=x", true},
        {"application/pkixcmp-polls", false}, {"application/octet-stream", false}};
    struct mu_buf message = {0};
    struct sw w;

    start(&w);
    sw_encode(&w, &message);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct mu_http_header type = {"Content-Type", rows[i].type};
        const struct mu_http_request request = {.method = "POST", .target = w.target, .minor = 1,
            .headers = &type, .header_n = 1, .body = mu_buf_bytes(&message)};

        mu_http_response_clear(&w.response);
        sw_serve(&w, &request);
        assert_int_equal(w.response.status, rows[i].ok ? 200 : 400);
    }
    mu_buf_clear(&message);
    sw_clear(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_that_are_no_requests),
        cmocka_unit_test(announcements_are_refused_by_http),
        cmocka_unit_test(names_are_those_of_the_rfc),
        cmocka_unit_test(what_is_not_known_in_a_header_is_ignored),
        cmocka_unit_test(a_sender_without_key_identifier),
        cmocka_unit_test(a_profile_has_one_name),
        cmocka_unit_test(protection_and_its_algorithm_belong_together),
        cmocka_unit_test(nonces_are_fresh),
        cmocka_unit_test(an_error_with_a_bad_header_gets_an_error),
        cmocka_unit_test(surplus_certificates_are_taken_and_bounded),
        cmocka_unit_test(media_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
