/* Messages that other programs sent: read, checked, opened, and made again with the same facts
 * (COM-01..20, SCEP-33..46, INTEROP 2). Each folder of tests/vectors says where they come from. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void load(const char *path, struct mu_buf *out)
{
    char full[512], block[4096];
    FILE *f;
    size_t n;

    snprintf(full, sizeof full, "%s/%s",
        getenv("MU_VECTORS") != NULL ? getenv("MU_VECTORS") : "tests/vectors", path);
    f = fopen(full, "rb");
    if (f == NULL)
        fail_msg("cannot read %s", full);
    mu_buf_reset(out);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        mu_buf_put(out, block, n);
    fclose(f);
    assert_true(out->n > 0);
}

static struct mu_pki_key *load_key(const char *path)
{
    struct mu_pki_key *key = NULL;
    struct mu_buf pem = {0};

    load(path, &pem);
    world_ok(mu_pki_key_decode(mu_buf_bytes(&pem), NULL, &key, &world_err));
    mu_buf_clear(&pem);
    return key;
}

static void load_ca(struct mu_pki_certs *ca, struct mu_pki_key **key)
{
    struct mu_buf pem = {0};

    load("scepclient/ca.pem", &pem);
    world_ok(mu_pki_certs_decode(mu_buf_bytes(&pem), ca, &world_err));
    mu_buf_clear(&pem);
    *key = load_key("scepclient/ca.key");
}

struct row {
    const char *path, *key; /* key NULL: not kept */
    int type;
    bool legacy, self_signed;
    size_t id_len;
    const char *challenge, *cn;
};

static const struct row requests[] = {
    {"scepclient/pkcsreq.der", "scepclient/client.key", 19, true, true, 28, "secret", "sc1"},
    {"scepclient/renewalreq.der", "scepclient/client.key", 17, true, false, 28, "secret", "sc1"},
    {"scepclient/pkcsreq-wrong-challenge.der", NULL, 19, true, true, 28, "wrong", "sc2"},
    {"strongswan/pkcsreq.der", "strongswan/client.key", 19, false, true, 40, "secret", "pki1"},
    {"strongswan/renewalreq.der", "scepclient/client.key", 17, false, false, 40, "secret", "sc1"},
    {"certmonger/pkcsreq.der", "certmonger/client.key", 19, false, true, 78, "secret", "cm1"},
};

/* As the responder reads them; the legacy ones only with the switch. */
static void the_responder_takes_them(void **state)
{
    struct world w;
    struct mu_pki_certs ca = {0};
    struct mu_pki_key *ca_key;
    struct mu_buf body = {0}, cn = {0};
    size_t i;

    (void)state;
    world_init(&w);
    load_ca(&ca, &ca_key);
    w.credential.key = ca_key;
    w.credential.cert = ca.v[0];
    for (i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const struct row *row = &requests[i];
        struct mu_http_request request = {.method = "POST", .target = "/scep"};
        struct mu_scep_server *server = NULL;
        struct mu_question q;
        struct mu_claim claim;
        unsigned legacy;

        load(row->path, &body);
        request.body = mu_buf_bytes(&body);
        for (legacy = 0; legacy <= 1; legacy++) {
            w.credential.allow_legacy = legacy;
            world_ok(mu_scep_server_open(&w.env, &request, &server, &claim, &world_err));
            assert_int_equal(strlen(claim.transaction_id), row->id_len);
            assert_int_equal(claim.signer_is_self_signed, row->self_signed);
            assert_string_equal(claim.message_type, mu_scep_type_name(row->type));
            if (row->legacy && !legacy) {
                assert_int_equal(
                    mu_scep_server_read(server, &w.credential, &q, &world_err), MU_UNSUPPORTED);
                assert_int_equal(world_err.reason, MU_REFUSE_ALGORITHM);
            } else {
                world_ok(mu_scep_server_read(server, &w.credential, &q, &world_err));
                assert_int_equal(q.csr->challenge.n, strlen(row->challenge));
                assert_memory_equal(q.csr->challenge.p, row->challenge, strlen(row->challenge));
                mu_buf_reset(&cn);
                assert_true(mu_pki_name_get(q.csr->subject, "CN", &cn));
                assert_string_equal(mu_buf_str(&cn), row->cn);
            }
            mu_scep_server_free(server);
        }
    }
    mu_buf_clear(&body);
    mu_buf_clear(&cn);
    mu_pki_certs_clear(&ca);
    mu_pki_key_free(ca_key);
    world_clear(&w);
}

/* Made again from what was read, with the key of their maker, they say the same. */
static void they_are_made_again(void **state)
{
    struct mu_buf body = {0}, made = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct mu_scep_msg msg = {0}, back = {0};
        struct mu_pki_cert *signer;
        struct mu_pki_key *key;

        if (requests[i].key == NULL)
            continue;
        key = load_key(requests[i].key);
        load(requests[i].path, &body);
        world_ok(mu_scep_msg_decode(mu_buf_bytes(&body), &msg, &world_err));
        assert_int_equal(msg.type, requests[i].type);
        signer = mu_pki_signed_signer(&msg.cms);
        assert_non_null(signer);
        world_ok(mu_pki_signed_verify(&msg.cms, signer, true, &world_err));
        assert_true(mu_bytes_equal(signer->spki, mu_pki_key_spki(key)));
        mu_buf_reset(&made);
        world_ok(mu_scep_msg_encode(
            &(struct mu_scep_msg_params){
                .transaction_id = msg.transaction_id,
                .type = msg.type,
                .sender_nonce = mu_bytes(msg.sender_nonce.p, msg.sender_nonce.n),
                .status = -1,
                .fail_info = -1,
                .envelope = msg.envelope,
                .key = key,
                .cert = signer,
                .certs = &msg.cms.certs,
                .digest = msg.cms.digest,
            },
            &made, &world_err));
        world_ok(mu_scep_msg_decode(mu_buf_bytes(&made), &back, &world_err));
        assert_string_equal(back.transaction_id, msg.transaction_id);
        assert_true(mu_bytes_equal(back.transaction_id_der, msg.transaction_id_der));
        assert_int_equal(back.type, msg.type);
        assert_memory_equal(&back.sender_nonce, &msg.sender_nonce, sizeof back.sender_nonce);
        assert_true(mu_bytes_equal(back.envelope, msg.envelope));
        assert_int_equal(back.cms.certs.n, msg.cms.certs.n);
        world_ok(mu_pki_signed_verify(&back.cms, signer, true, &world_err));
        mu_scep_msg_clear(&msg);
        mu_scep_msg_clear(&back);
        mu_pki_key_free(key);
    }
    mu_buf_clear(&body);
    mu_buf_clear(&made);
}

/* certmonger's GET gives the same message as its octets. */
static void the_get_of_certmonger_is_read(void **state)
{
    struct mu_buf target = {0}, want = {0}, ca = {0}, message = {0};
    struct mu_http_request request = {.method = "GET"};
    enum mu_scep_http_op op = MU_SCEP_HTTP_CAPS;

    (void)state;
    load("certmonger/pkcsreq-target.txt", &target);
    load("certmonger/pkcsreq.der", &want);
    request.target = mu_buf_str(&target);
    world_ok(mu_scep_http_request(&request, &op, &ca, &message, &world_err));
    assert_int_equal(op, MU_SCEP_HTTP_PKI_OPERATION);
    assert_true(mu_bytes_equal(mu_buf_bytes(&message), mu_buf_bytes(&want)));
    mu_buf_clear(&target);
    mu_buf_clear(&want);
    mu_buf_clear(&ca);
    mu_buf_clear(&message);
}

static void the_capabilities_of_scepserver(void **state)
{
    struct mu_buf body = {0};

    (void)state;
    load("scepserver/caps.txt", &body);
    assert_int_equal(mu_scep_caps_parse(mu_buf_bytes(&body)),
        MU_SCEP_CAP_RENEWAL | MU_SCEP_CAP_SHA1 | MU_SCEP_CAP_SHA256 | MU_SCEP_CAP_AES
            | MU_SCEP_CAP_DES3 | MU_SCEP_CAP_STANDARD | MU_SCEP_CAP_POST);
    mu_buf_clear(&body);
}

/* scepserver: single DES and SHA-1; signed by the CA, for the certificate of the request. */
static void its_answers_are_opened(void **state)
{
    static const struct { const char *request, *reply; } rows[] = {
        {"scepclient/pkcsreq.der", "scepserver/certrep-success.der"},
        {"scepclient/renewalreq.der", "scepserver/certrep-renewal.der"},
    };
    struct mu_pki_certs ca = {0};
    struct mu_pki_key *ca_key, *key;
    struct mu_buf body = {0}, asked = {0};
    size_t i;

    (void)state;
    load_ca(&ca, &ca_key);
    key = load_key("scepclient/client.key");
    for (i = 0; i < 2; i++) {
        struct mu_scep_msg msg = {0}, sent = {0};
        struct mu_pki_enveloped e = {0};
        struct mu_pki_certs issued = {0};
        struct mu_buf plain = {0};

        load(rows[i].request, &asked);
        load(rows[i].reply, &body);
        world_ok(mu_scep_msg_decode(mu_buf_bytes(&asked), &sent, &world_err));
        world_ok(mu_scep_msg_decode(mu_buf_bytes(&body), &msg, &world_err));
        assert_int_equal(msg.status, MU_SCEP_SUCCESS);
        assert_string_equal(msg.transaction_id, sent.transaction_id);
        assert_memory_equal(msg.recipient_nonce.p, sent.sender_nonce.p, 16);
        assert_true(mu_pki_signed_sid_is(&msg.cms, ca.v[0]));
        assert_int_equal(mu_pki_signed_verify(&msg.cms, ca.v[0], false, &world_err),
            MU_UNSUPPORTED);
        world_ok(mu_pki_signed_verify(&msg.cms, ca.v[0], true, &world_err));
        world_ok(mu_pki_enveloped_decode(msg.envelope, &e, &world_err));
        assert_int_equal(e.cipher, MU_PKI_DES_CBC);
        assert_true(mu_pki_enveloped_is_for(&e, mu_pki_signed_signer(&sent.cms)));
        world_ok(mu_pki_enveloped_open(&e, key, true, &plain, &world_err));
        world_ok(mu_pki_certs_decode(mu_buf_bytes(&plain), &issued, &world_err));
        assert_non_null(mu_pki_certs_by_key(&issued, mu_pki_key_spki(key)));
        mu_pki_certs_clear(&issued);
        mu_buf_clear(&plain);
        mu_pki_enveloped_clear(&e);
        mu_scep_msg_clear(&msg);
        mu_scep_msg_clear(&sent);
    }
    mu_buf_clear(&body);
    mu_buf_clear(&asked);
    mu_pki_key_free(key);
    mu_pki_key_free(ca_key);
    mu_pki_certs_clear(&ca);
}

static void its_refusal_has_no_envelope(void **state)
{
    struct mu_scep_msg msg = {0};
    struct mu_buf body = {0};

    (void)state;
    load("scepserver/certrep-failure.der", &body);
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&body), &msg, &world_err));
    assert_int_equal(msg.status, MU_SCEP_FAILURE);
    assert_int_equal(msg.fail_info, MU_SCEP_BAD_REQUEST);
    assert_null(msg.fail_info_text);
    assert_int_equal(msg.envelope.n, 0);
    mu_scep_msg_clear(&msg);
    mu_buf_clear(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_responder_takes_them),
        cmocka_unit_test(they_are_made_again),
        cmocka_unit_test(the_get_of_certmonger_is_read),
        cmocka_unit_test(the_capabilities_of_scepserver),
        cmocka_unit_test(its_answers_are_opened),
        cmocka_unit_test(its_refusal_has_no_envelope),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
