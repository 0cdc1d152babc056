/* What the server engine refuses: each damaged part has its failure bit (CMP-38), its place (ip or
 * error, CMP-44) and its protection (CMP-32). */
#include "server_world.h"

#include <string.h>

static void start(struct sw *w)
{
    sw_begin(w);
    sw_by_mac(w, "fortinet1");
    sw_crmf(w, MU_CMP_IR, SW_NEW);
}

/* ---- header and protection ---- */

static void version_of(struct sw *w) { w->header.pvno = 4; }
static void version_1(struct sw *w) { w->header.pvno = 1; }
static void no_transaction(struct sw *w) { w->header.transaction_id = mu_bytes(NULL, 0); }
static void short_nonce(struct sw *w) { w->header.sender_nonce.n = 15; }
static void no_nonce(struct sw *w) { w->header.sender_nonce = mu_bytes(NULL, 0); }
static void recip_nonce(struct sw *w) { w->header.recip_nonce = w->header.sender_nonce; }
static void unprotected(struct sw *w) { w->how = (struct mu_cmp_protector){.mac = NULL}; }
static void wrong_secret(struct sw *w) { sw_by_mac(w, "fortinet2"); }
static void unknown_reference(struct sw *w) { w->how.reference = mu_bytes_str("fgt999"); }
static void owf_sha1(struct sw *w)
{
    struct mu_pki_mac mac = w->mac.mac;
    mac.owf = MU_PKI_SHA1;
    sw_ok(mu_cmp_protect_mac_derive(&w->mac, &mac, &w->secret, &sw_err));
}
static void many_iterations(struct sw *w) { w->mac.mac.iterations = 1U << 31; }
static void few_iterations(struct sw *w) { w->mac.mac.iterations = 99; }
static void short_salt(struct sw *w) { w->mac.mac.salt_n = 7; }
static void no_cert(struct sw *w)
{
    sw_by_cert(w, w->client, SW_CLIENT);
    mu_pki_certs_clear(&w->extra);
}
static void other_key(struct sw *w) { sw_by_cert(w, w->client, SW_ROGUE); }
static void other_sender(struct sw *w)
{
    sw_by_cert(w, w->client, SW_CLIENT);
    w->header.sender = w->ca->subject; /* CMP-05 */
}
static void no_signing_usage(struct sw *w)
{
    w->client->exts.key_usage = MU_KU_KEY_AGREEMENT;
    sw_by_cert(w, w->client, SW_CLIENT);
}
static void sha1_signature(struct sw *w)
{
    sw_by_cert(w, w->rsa, SW_RSA);
    w->how.digest = MU_PKI_SHA1; /* CMP-22 */
}
static void far_time(struct sw *w)
{
    w->credential.time_slack_s = 3600;
    w->header.time_s = w->now_s + 3601; /* CMP-07 */
}

static void header_and_protection(void **state)
{
    static const struct {
        const char *what;
        void (*damage)(struct sw *w);
        int bit;
        enum mu_cmp_protection answered; /* BY_MAC only where the peer's own was right */
    } rows[] = {
        {"pvno 4", version_of, MU_CMP_UNSUPPORTED_VERSION, MU_CMP_BY_SIGNATURE},
        {"pvno 1", version_1, MU_CMP_UNSUPPORTED_VERSION, MU_CMP_BY_SIGNATURE},
        {"transactionID", no_transaction, MU_CMP_BAD_DATA_FORMAT, MU_CMP_BY_SIGNATURE},
        {"senderNonce 15", short_nonce, MU_CMP_BAD_SENDER_NONCE, MU_CMP_BY_SIGNATURE},
        {"senderNonce", no_nonce, MU_CMP_BAD_SENDER_NONCE, MU_CMP_BY_SIGNATURE},
        {"recipNonce", recip_nonce, MU_CMP_BAD_RECIPIENT_NONCE, MU_CMP_BY_MAC},
        {"unprotected", unprotected, MU_CMP_WRONG_INTEGRITY, MU_CMP_BY_SIGNATURE},
        {"wrong secret", wrong_secret, MU_CMP_BAD_MESSAGE_CHECK, MU_CMP_BY_SIGNATURE},
        {"reference", unknown_reference, MU_CMP_BAD_MESSAGE_CHECK, MU_CMP_BY_SIGNATURE},
        {"owf SHA-1", owf_sha1, MU_CMP_BAD_ALG, MU_CMP_BY_SIGNATURE},
        {"2^31 iterations", many_iterations, MU_CMP_BAD_ALG, MU_CMP_BY_SIGNATURE},
        {"99 iterations", few_iterations, MU_CMP_BAD_ALG, MU_CMP_BY_SIGNATURE},
        {"salt of 7", short_salt, MU_CMP_BAD_ALG, MU_CMP_BY_SIGNATURE},
        {"signer missing", no_cert, MU_CMP_BAD_MESSAGE_CHECK, MU_CMP_BY_SIGNATURE},
        {"signed by another key", other_key, MU_CMP_BAD_MESSAGE_CHECK, MU_CMP_BY_SIGNATURE},
        {"sender", other_sender, MU_CMP_BAD_MESSAGE_CHECK, MU_CMP_BY_SIGNATURE},
        {"SHA-1 signature", sha1_signature, MU_CMP_BAD_ALG, MU_CMP_BY_SIGNATURE},
        {"time", far_time, MU_CMP_BAD_TIME, MU_CMP_BY_MAC},
        {"keyUsage", no_signing_usage, MU_CMP_ACCEPTED, MU_CMP_BY_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw w;
        sw_init(&w);
        start(&w);
        rows[i].damage(&w);
        sw_send(&w);
        if (rows[i].damage == no_signing_usage) { /* the copy that came says otherwise */
            sw_expect_issued(&w, MU_CMP_IP);
        } else {
            if (w.answer.body.type != MU_CMP_ERROR)
                fail_msg("%s: %s", rows[i].what, mu_cmp_type_name(w.answer.body.type));
            sw_expect_error(&w, rows[i].bit);
        }
        sw_expect_protection(&w, rows[i].answered);
        assert_int_equal(w.kept.n != 0, rows[i].damage == no_signing_usage);
        sw_clear(&w);
    }
}

/* CMP-32: without a key to sign with, the error goes unprotected, never under the secret. */
static void an_error_nobody_can_sign_is_unprotected(void **state)
{
    struct sw w;
    sw_init(&w);
    w.credential.key = NULL;
    w.credential.cert = NULL;
    start(&w);
    sw_by_mac(&w, "fortinet2");
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_BAD_MESSAGE_CHECK);
    sw_expect_protection(&w, MU_CMP_UNPROTECTED);
    assert_null(w.answer.header.protection_alg.p); /* CMP-08 */
    sw_clear(&w);
}

/* CMP-125: with the nearest version we speak. */
static void versions_of_errors(void **state)
{
    static const struct { int asked, answered; } rows[] = {{0, 2}, {1, 2}, {4, 3}, {99, 3}};
    struct sw w;
    sw_init(&w);
    for (size_t i = 0; i < 4; i++) {
        start(&w);
        w.header.pvno = rows[i].asked;
        sw_send(&w);
        sw_expect_error(&w, MU_CMP_UNSUPPORTED_VERSION);
        assert_int_equal(w.answer.header.pvno, rows[i].answered);
    }
    sw_clear(&w);
}

/* Each octet of a message changed: never issued, never a crash, always an answer in HTTP. */
static void every_octet_counts(void **state)
{
    struct mu_buf message = {0};
    struct mu_cmp_msg msg;
    size_t covered;
    struct sw w;
    sw_init(&w);
    for (int kind = 0; kind < 2; kind++) {
        start(&w);
        if (kind)
            sw_by_cert(&w, w.client, SW_CLIENT);
        mu_buf_reset(&message);
        sw_encode(&w, &message);
        sw_ok(mu_cmp_msg_decode(mu_buf_bytes(&message), &msg, &sw_err));
        covered = (size_t)(msg.protection.p - msg.der.p) + msg.protection.n;
        assert_true(covered > 300 && (kind == 1 || covered == message.n));
        mu_cmp_msg_clear(&msg);
        for (size_t i = 0; i < message.n; i++) {
            struct mu_http_header type = {"Content-Type", "application/pkixcmp"};
            struct mu_http_request request = {.method = "POST", .target = w.target,
                .headers = &type, .header_n = 1};
            struct mu_cmp_server *server;
            struct mu_question question;
            struct mu_claim claim;
            struct mu_err err = {0};
            message.p[i] ^= 0x04;
            request.body = mu_buf_bytes(&message);
            enum mu_code rc = mu_cmp_server_open(&w.env, &request, &server, &claim, &err);
            w.credential.password = &w.secret;
            if (rc == MU_OK)
                rc = mu_cmp_server_read(server, &w.credential, &question, &err);
            /* extraCerts are not covered (CMP-20): what is behind the protection may change */
            if (rc == MU_OK && i < covered)
                fail_msg("octet %zu of %zu changed and nobody saw it", i, message.n);
            message.p[i] ^= 0x04;
            mu_cmp_server_free(server);
        }
    }
    mu_buf_clear(&message);
    sw_clear(&w);
}

/* A body that cannot be read: the header is answered all the same. */
static void errors_repeat_the_header(void **state)
{
    struct mu_buf part = {0}, message = {0};
    struct sw w;
    sw_init(&w);
    start(&w);
    size_t seq = mu_der_open(&message, MU_DER_SEQUENCE);
    mu_cmp_header_encode(&w.header, &message);
    size_t body = mu_der_open(&message, MU_DER_CONTEXT_CONSTRUCTED(0));
    mu_der_put_int(&message, 5);
    mu_der_close(&message, body);
    mu_der_close(&message, seq);
    sw_post(&w, mu_buf_bytes(&message)); /* transactionID and recipNonce are checked there */
    sw_expect_error(&w, MU_CMP_BAD_DATA_FORMAT);
    sw_post(&w, mu_bytes_str("no message at all"));
    assert_false(w.has_answer);
    assert_int_equal(w.response.status, 400);
    mu_buf_clear(&part);
    mu_buf_clear(&message);
    sw_clear(&w);
}

static void answers_are_no_requests(void **state)
{
    static const enum mu_cmp_type types[] = {MU_CMP_PKICONF, MU_CMP_POLL_REP, MU_CMP_GENP};
    struct sw w;
    sw_init(&w);
    for (size_t i = 0; i < 3; i++) {
        start(&w);
        memset(&w.body, 0, sizeof w.body);
        w.body.type = types[i];
        if (types[i] == MU_CMP_POLL_REP)
            w.body.u.poll_rep.n = 1;
        sw_send(&w);
        sw_expect_error(&w, MU_CMP_BAD_REQUEST);
    }
    sw_clear(&w);
}

static void deep_nesting_is_refused(void **state)
{
    struct mu_buf a = {0}, b = {0};
    struct sw w;
    sw_init(&w);
    start(&w);
    w.credential.ra_verified_ok = true;
    sw_encode(&w, &a);
    for (int i = 0; i < 30; i++) {
        struct mu_cmp_body body = {.type = MU_CMP_NESTED};
        struct mu_pki_certs extra = {0};
        const struct mu_cmp_protector how = {.key = sw_key(SW_RA), .cert = w.ra};
        body.u.nested.n = 1;
        body.u.nested.messages = mu_buf_bytes(&a);
        sw_ok(mu_pki_certs_add(&extra, w.ra, &sw_err));
        mu_buf_reset(&b);
        sw_ok(mu_cmp_protect_encode(&w.header, &body, &how, &extra, &b, &sw_err));
        mu_buf_reset(&a);
        mu_buf_put_bytes(&a, mu_buf_bytes(&b));
        mu_pki_certs_clear(&extra);
        sw_post(&w, mu_buf_bytes(&a));
        assert_int_equal(w.read_ok, i == 0);
    }
    mu_buf_clear(&a);
    mu_buf_clear(&b);
    sw_clear(&w);
}

/* ---- the body of a request ---- */

static void no_possession(struct sw *w) { w->body.u.req.req.popo = MU_CMP_POPO_NONE; }
static void possession_of_another(struct sw *w) { sw_prove(w, SW_CLIENT); }
static void says_ra_verified(struct sw *w) { w->body.u.req.req.popo = MU_CMP_POPO_RA_VERIFIED; }
static void template_changed(struct sw *w)
{
    w->body.u.req.req.tmpl.subject = w->ca->subject; /* CMP-61: what was signed is another one */
    w->body.u.req.req.cert_req = mu_bytes(NULL, 0);
}
static void id_one(struct sw *w)
{
    w->body.u.req.req.cert_req_id = 1;
    sw_prove(w, SW_NEW);
}
static void with_serial(struct sw *w)
{
    w->body.u.req.req.tmpl.serial = mu_bytes("\1", 1);
    sw_prove(w, SW_NEW);
}

static void bodies_of_requests(void **state)
{
    static const struct {
        const char *what;
        void (*damage)(struct sw *w);
        int bit;
    } rows[] = {
        {"no POP", no_possession, MU_CMP_BAD_POP}, /* CMP-64 */
        {"POP of another key", possession_of_another, MU_CMP_BAD_POP},
        {"raVerified", says_ra_verified, MU_CMP_NOT_AUTHORIZED}, /* CMP-65 */
        {"template changed", template_changed, MU_CMP_BAD_POP},
        {"certReqId 1", id_one, MU_CMP_BAD_DATA_FORMAT}, /* CMP-49 */
        {"serialNumber", with_serial, MU_CMP_BAD_CERT_TEMPLATE}, /* CMP-50 */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw w;
        sw_init(&w);
        start(&w);
        rows[i].damage(&w);
        sw_send(&w);
        sw_expect_rejection(&w, MU_CMP_IP, rows[i].bit);
        sw_expect_protection(&w, MU_CMP_BY_MAC);
        assert_int_equal(w.kept.n, 0);
        sw_clear(&w);
    }
}

/* CMP-62: poposkInput is what is signed where it is there, and its key has to be the template's. */
static void proof_over_its_own_input(void **state)
{
    for (int i = 0; i < 5; i++) {
        struct mu_buf input = {0}, alg = {0}, signature = {0}, sender = {0};
        struct mu_pki_key *key = sw_key(SW_NEW);
        struct mu_cmp_cert_req *req;
        struct sw w;
        size_t seq, choice;
        sw_init(&w);
        start(&w);
        req = &w.body.u.req.req;
        seq = mu_der_open(&input, MU_DER_SEQUENCE);
        sw_ok(mu_pki_name_parse("/CN=fgt100f", &sender, &sw_err));
        /* authInfo: the sender of the message; another; a MAC that nobody checks */
        choice = mu_der_open(&input, i == 4 ? MU_DER_SEQUENCE : MU_DER_CONTEXT_CONSTRUCTED(0));
        mu_der_put(&input, MU_DER_CONTEXT_CONSTRUCTED(4),
            i == 3 ? w.ca->subject : mu_buf_bytes(&sender));
        mu_der_close(&input, choice);
        mu_buf_put_bytes(&input, mu_pki_key_spki(sw_key(i == 1 ? SW_CLIENT : SW_NEW)));
        mu_der_close(&input, seq);
        mu_pki_key_sign_alg(key, MU_PKI_SHA256, &alg);
        sw_ok(mu_pki_key_sign(
            key, MU_PKI_SHA256, mu_buf_bytes(&input), &signature, &sw_err));
        if (i == 2)
            signature.p[signature.n - 1] ^= 1;
        req->popo_input = mu_buf_bytes(&input);
        req->popo_alg = mu_buf_bytes(&alg);
        req->popo_signature = mu_buf_bytes(&signature);
        sw_send(&w);
        if (i == 0)
            sw_expect_issued(&w, MU_CMP_IP);
        else
            sw_expect_rejection(&w, MU_CMP_IP, MU_CMP_BAD_POP);
        mu_buf_clear(&input);
        mu_buf_clear(&alg);
        mu_buf_clear(&signature);
        mu_buf_clear(&sender);
        sw_clear(&w);
    }
}

/* CMP-80: an algorithm that lacks its curve wishes for nothing in particular. */
static void a_wish_without_its_curve(void **state)
{
    struct mu_buf spki = {0};
    size_t seq = mu_der_open(&spki, MU_DER_SEQUENCE), alg = mu_der_open(&spki, MU_DER_SEQUENCE);
    struct sw w;

    mu_der_put_oid(&spki, "1.2.840.10045.2.1");
    mu_der_close(&spki, alg);
    mu_der_put_bits(&spki, mu_bytes("", 0));
    mu_der_close(&spki, seq);
    sw_init(&w);
    start(&w);
    w.header.pvno = 3;
    w.body.u.req.req.tmpl.spki = mu_buf_bytes(&spki);
    w.body.u.req.req.cert_req = mu_bytes(NULL, 0);
    w.body.u.req.req.popo = MU_CMP_POPO_NONE;
    w.generated = sw_key(SW_NEW);
    sw_send(&w);
    sw_expect_issued(&w, MU_CMP_IP);
    assert_int_equal(w.key_type, MU_PKI_KEY_EC);
    mu_buf_clear(&spki);
    sw_clear(&w);
}

/* CMP-54, CMP-55 */
static void updates(void **state)
{
    struct sw w;
    sw_init(&w);
    start(&w);
    w.body.type = MU_CMP_KUR;
    sw_send(&w); /* by MAC */
    sw_expect_error(&w, MU_CMP_WRONG_INTEGRITY);
    for (int i = 0; i < 2; i++) {
        sw_begin(&w);
        sw_by_cert(&w, w.client, SW_CLIENT);
        sw_crmf(&w, MU_CMP_KUR, SW_NEW);
        w.body.u.req.req.old_issuer = w.ca->subject;
        w.body.u.req.req.old_serial = i == 0 ? w.client->serial : w.rsa->serial;
        sw_prove(&w, SW_NEW);
        sw_send(&w);
        if (i == 0)
            sw_expect_issued(&w, MU_CMP_KUP);
        else
            sw_expect_rejection(&w, MU_CMP_KUP, MU_CMP_BAD_CERT_ID);
    }
    sw_clear(&w);
}

/* What the CA refuses: its own kind of answer, or error where it is not about the body. */
static void refusals_of_the_ca(void **state)
{
    static const struct {
        enum mu_reason reason;
        int bit;
        bool error;
    } rows[] = {
        {MU_REFUSE_NAME, MU_CMP_BAD_CERT_TEMPLATE, false},
        {MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED, false}, /* CMP-57 */
        {MU_REFUSE_OPERATOR, MU_CMP_NOT_AUTHORIZED, false},
        {MU_REFUSE_QUEUE_FULL, MU_CMP_SYSTEM_UNAVAIL, false},
        {MU_REFUSE_TRANSACTION, MU_CMP_TRANSACTION_ID_IN_USE, true}, /* CMP-12 */
        {MU_REFUSE_ENTRY_UNKNOWN, MU_CMP_NOT_AUTHORIZED, true},
        {MU_REFUSE_SIGNER_UNTRUSTED, MU_CMP_SIGNER_NOT_TRUSTED, true}, /* CMP-23 */
        {MU_REFUSE_SIGNER_REVOKED, MU_CMP_CERT_REVOKED, true},
        {MU_REFUSE_INTERNAL, MU_CMP_SYSTEM_FAILURE, true},
    };
    struct sw w;
    sw_init(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_buf text = {0};
        start(&w);
        w.verdict = MU_VERDICT_REFUSED;
        w.refuse = rows[i].reason;
        w.words = "in these words";
        sw_send(&w);
        if (rows[i].error)
            sw_expect_error(&w, rows[i].bit);
        else
            sw_expect_rejection(&w, MU_CMP_IP, rows[i].bit);
        mu_cmp_text_format(rows[i].error ? w.answer.body.u.error.status.text
                                         : w.answer.body.u.rep.response.status.text,
            &text);
        assert_string_equal(mu_buf_str(&text), "in these words");
        mu_buf_clear(&text);
    }
    sw_clear(&w);
}

/* ---- later messages ---- */

static void issued(struct sw *w)
{
    start(w);
    sw_send(w);
    sw_expect_issued(w, MU_CMP_IP);
    sw_conf(w);
}

static void conf_other_hash(struct sw *w) { w->request.p[0] ^= 1; }
static void conf_other_id(struct sw *w) { w->body.u.conf.status.cert_req_id = -1; }
static void conf_other_nonce(struct sw *w) { w->spare.p[15] ^= 1; }
static void conf_no_nonce(struct sw *w) { w->header.recip_nonce = mu_bytes(NULL, 0); }
static void conf_forgotten(struct sw *w) { mu_buf_reset(&w->kept); }
static void conf_by_signature(struct sw *w) { sw_by_cert(w, w->client, SW_CLIENT); }
static void conf_wrong_secret(struct sw *w) { sw_by_mac(w, "fortinet2"); }

/* CMP-14, CMP-19, CMP-77, CMP-104 */
static void confirmations(void **state)
{
    static const struct {
        const char *what;
        void (*damage)(struct sw *w);
        int bit;
    } rows[] = {
        {"hash", conf_other_hash, MU_CMP_BAD_CERT_ID},
        {"certReqId", conf_other_id, MU_CMP_BAD_CERT_ID},
        {"recipNonce", conf_other_nonce, MU_CMP_BAD_RECIPIENT_NONCE},
        {"no recipNonce", conf_no_nonce, MU_CMP_BAD_RECIPIENT_NONCE},
        {"unknown transaction", conf_forgotten, MU_CMP_BAD_REQUEST},
        {"signed after a MAC", conf_by_signature, MU_CMP_WRONG_INTEGRITY},
        {"wrong secret", conf_wrong_secret, MU_CMP_BAD_MESSAGE_CHECK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw w;
        sw_init(&w);
        issued(&w);
        rows[i].damage(&w);
        sw_send(&w);
        sw_expect_error(&w, rows[i].bit);
        sw_clear(&w);
    }
}

/* CMP-77: twice: the CA says so, it has the record. */
static void a_second_certconf(void **state)
{
    struct sw w;
    sw_init(&w);
    issued(&w);
    sw_send(&w);
    assert_int_equal(w.answer.body.type, MU_CMP_PKICONF);
    w.verdict = MU_VERDICT_REFUSED;
    w.refuse = MU_REFUSE_CONFIRMED;
    sw_send(&w); /* the very same message again */
    sw_expect_error(&w, MU_CMP_CERT_CONFIRMED);
    sw_clear(&w);
}

/* Another device with a good certificate of its own cannot end somebody else's transaction. */
static void another_sender_is_refused(void **state)
{
    struct sw w;
    sw_init(&w);
    sw_begin(&w);
    sw_by_cert(&w, w.client, SW_CLIENT);
    sw_crmf(&w, MU_CMP_CR, SW_NEW);
    sw_send(&w);
    sw_conf(&w);
    sw_by_cert(&w, w.rsa, SW_RSA);
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_NOT_AUTHORIZED);
    sw_clear(&w);
}

static void polls(void **state)
{
    struct sw w;
    sw_init(&w);
    w.verdict = MU_VERDICT_PENDING;
    start(&w);
    sw_send(&w);
    sw_conf(&w); /* certConf before there is a certificate */
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_BAD_REQUEST);
    sw_poll(&w);
    w.body.u.poll_req.cert_req_id = 7;
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_BAD_CERT_ID);
    sw_clear(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_and_protection),
        cmocka_unit_test(an_error_nobody_can_sign_is_unprotected),
        cmocka_unit_test(versions_of_errors),
        cmocka_unit_test(every_octet_counts),
        cmocka_unit_test(errors_repeat_the_header),
        cmocka_unit_test(answers_are_no_requests),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(bodies_of_requests),
        cmocka_unit_test(proof_over_its_own_input),
        cmocka_unit_test(a_wish_without_its_curve),
        cmocka_unit_test(updates),
        cmocka_unit_test(refusals_of_the_ca),
        cmocka_unit_test(confirmations),
        cmocka_unit_test(a_second_certconf),
        cmocka_unit_test(another_sender_is_refused),
        cmocka_unit_test(polls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
