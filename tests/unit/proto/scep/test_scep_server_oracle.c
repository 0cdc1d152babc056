/*
 * The responder is no decryption oracle (COM-13, SCEP-63, SCEP-73). Somebody who has recorded a
 * request can put its envelope, changed a little, into messages of his own and watch the answers:
 * if they told "padding wrong" from "padding right, content wrong", they would tell him the
 * challenge password, 256 questions an octet.
 */
#include <string.h>

#include "world.h"

enum envelope { GOOD, BAD_PADDING, WRONG_KEY_BLOCK, GARBAGE, EMPTY_KEY, BAD_POP, ENVELOPES };

/* What decrypts well, but is no request: a frame with anything in it, and a PKCS #10 whose key is
 * nothing, which fits into the one block that a known IV lets him choose. */
static const uint8_t garbage[] = {0x04, 0x10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t empty_key[] = {0x30, 0x10, 0x30, 0x07, 0x02, 0x01, 0x00, 0x30, 0x00, 0x30,
    0x00, 0x30, 0x00, 0x03, 0x03, 0x00, 0xaa, 0xbb};

static void put_envelope(struct world *w, struct mu_bytes content, enum envelope what, struct mu_buf *out)
{
    struct mu_pki_enveloped_params params = {.recipient = w->ca, .cipher = MU_PKI_AES128_CBC};
    struct mu_buf plain = {0};
    struct mu_pki_enveloped e;

    mu_buf_put_bytes(&plain, content);
    if (what == GARBAGE || what == EMPTY_KEY) {
        mu_buf_reset(&plain);
        mu_buf_put_bytes(&plain, what == GARBAGE ? mu_bytes(garbage, sizeof garbage)
                                                 : mu_bytes(empty_key, sizeof empty_key));
    }
    if (what == BAD_POP)
        plain.p[plain.n - 1] ^= 1;
    world_ok(mu_pki_enveloped_encode(&params, mu_buf_bytes(&plain), &w->env, out, &world_err));
    world_ok(mu_pki_enveloped_decode(mu_buf_bytes(out), &e, &world_err));
    if (what == BAD_PADDING) /* the last octet of the block before the last: padding 0x80 and more */
        out->p[out->n - 17] ^= 0x80;
    if (what == WRONG_KEY_BLOCK)
        out->p[(size_t)(e.encrypted_key.p - e.der.p) + 100] ^= 1;
    mu_pki_enveloped_clear(&e);
    mu_buf_clear(&plain);
}

struct answer {
    enum mu_code rc;
    struct mu_err err;
    size_t issuer_n, serial_n;
};

/* The envelope in a message that a stranger has signed with a certificate of his own. */
static void ask(struct world *w, int type, struct mu_bytes content, enum envelope what,
    enum world_key signs, struct answer *out)
{
    struct mu_pki_cert *signer
        = world_cert(&(struct world_cert){.subject = "/CN=stranger", .key = signs});
    struct mu_pki_certs certs = {0};
    struct mu_buf envelope = {0}, body = {0};
    struct mu_http_peer peer = {.address = "192.0.2.1", .uid = -1};
    struct mu_http_request request = {
        .method = "POST", .target = "/scep?operation=PKIOperation", .minor = 1, .peer = &peer};
    struct mu_scep_msg_params params = {.transaction_id = "T", .type = type, .status = -1,
        .fail_info = -1, .sender_nonce = mu_bytes("0123456789abcdef", 16), .key = world_key(signs),
        .cert = signer, .certs = &certs, .digest = MU_PKI_SHA256};
    struct mu_scep_server *server;
    struct mu_question question = {0};
    struct mu_claim claim;

    memset(out, 0, sizeof *out);
    put_envelope(w, content, what, &envelope);
    params.envelope = mu_buf_bytes(&envelope);
    world_ok(mu_pki_certs_add(&certs, signer, &world_err));
    world_ok(mu_scep_msg_encode(&params, &body, &world_err));
    request.body = mu_buf_bytes(&body);
    world_ok(mu_scep_server_open(&w->env, &request, &server, &claim, &world_err));
    out->rc = mu_scep_server_read(server, &w->credential, &question, &out->err);
    out->issuer_n = question.issuer.n;
    out->serial_n = question.serial.n;
    mu_scep_server_free(server);
    mu_pki_certs_clear(&certs);
    mu_pki_cert_free(signer);
    mu_buf_clear(&envelope);
    mu_buf_clear(&body);
}

static void a_request_is_refused_in_the_same_words_whatever_was_wrong_inside(void **state)
{
    struct world w;
    struct answer first, a;

    world_init(&w);
    ask(&w, MU_SCEP_PKCS_REQ, mu_buf_bytes(&w.csr), BAD_PADDING, KEY_OTHER, &first);
    assert_int_equal(first.rc, MU_AUTH);
    assert_int_equal(first.err.reason, MU_REFUSE_SIGNATURE);
    for (int what = WRONG_KEY_BLOCK; what < ENVELOPES; what++) {
        ask(&w, MU_SCEP_PKCS_REQ, mu_buf_bytes(&w.csr), (enum envelope)what, KEY_OTHER, &a);
        if (a.rc != first.rc || a.err.reason != first.err.reason
            || strcmp(a.err.what, first.err.what) != 0)
            fail_msg("%d is told apart: %s", what, a.err.what);
        assert_string_equal(a.err.likely, first.err.likely);
    }
    /* The whole envelope of somebody else is told from these, but that says nothing new. */
    ask(&w, MU_SCEP_PKCS_REQ, mu_buf_bytes(&w.csr), GOOD, KEY_OTHER, &a);
    assert_int_equal(a.err.reason, MU_REFUSE_SIGNER_KEY);
    /* Who holds the key of the request is told what is wrong with it (COM-18). */
    ask(&w, MU_SCEP_PKCS_REQ, mu_buf_bytes(&w.csr), BAD_POP, KEY_CLIENT, &a);
    assert_int_equal(a.err.reason, MU_REFUSE_POP);
    ask(&w, MU_SCEP_PKCS_REQ, mu_buf_bytes(&w.csr), GOOD, KEY_CLIENT, &a);
    assert_int_equal(a.rc, MU_OK);
    world_clear(&w);
}

/* SCEP-63: the transaction decides, so what is inside a poll need not even be readable. */
static void a_poll_is_the_same_question_whatever_is_inside(void **state)
{
    struct world w;
    struct answer a;

    world_init(&w);
    for (int what = GOOD; what < EMPTY_KEY; what++) {
        ask(&w, MU_SCEP_CERT_POLL, mu_buf_bytes(&w.csr), (enum envelope)what, KEY_OTHER, &a);
        if (a.rc != MU_OK)
            fail_msg("%d is told apart: %s", what, a.err.what);
    }
    world_clear(&w);
}

/* SCEP-73: what cannot be read names no certificate, and there is no such certificate. */
static void a_query_that_cannot_be_read_names_nothing(void **state)
{
    static const int types[] = {MU_SCEP_GET_CERT, MU_SCEP_GET_CRL};
    struct world w;
    struct answer a;
    struct mu_buf data = {0};

    world_init(&w);
    mu_scep_msg_put_serial(&data, w.ca->subject, mu_bytes("\x12\x34", 2));
    for (size_t i = 0; i < 2; i++) {
        ask(&w, types[i], mu_buf_bytes(&data), GOOD, KEY_OTHER, &a);
        assert_int_equal(a.rc, MU_OK);
        assert_int_equal(a.serial_n, 2);
        for (int what = BAD_PADDING; what < EMPTY_KEY; what++) {
            ask(&w, types[i], mu_buf_bytes(&data), (enum envelope)what, KEY_OTHER, &a);
            if (a.rc != MU_OK)
                fail_msg("%d is told apart: %s", what, a.err.what);
            assert_int_equal(a.issuer_n, 0);
            assert_int_equal(a.serial_n, 0);
        }
    }
    mu_buf_clear(&data);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_refused_in_the_same_words_whatever_was_wrong_inside),
        cmocka_unit_test(a_poll_is_the_same_question_whatever_is_inside),
        cmocka_unit_test(a_query_that_cannot_be_read_names_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
