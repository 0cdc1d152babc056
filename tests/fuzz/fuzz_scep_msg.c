/* Any bytes to the pkiMessage decoder and its small neighbors. What decodes must encode again to
 * the same facts. */
#include "fuzz_scep.h"

#include "proto/scep/scep_caps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mu_pki_key *key;
static struct mu_pki_cert *cert;

static void again(const struct mu_scep_msg *msg)
{
    struct mu_scep_msg_params params = {
        .transaction_id_der = msg->transaction_id_der,
        .type = msg->type,
        .sender_nonce = mu_bytes(msg->sender_nonce.p, msg->sender_nonce.n),
        .recipient_nonce = mu_bytes(msg->recipient_nonce.p, msg->recipient_nonce.n),
        .status = msg->status,
        .fail_info = msg->fail_info,
        .fail_info_text = msg->fail_info_text,
        .envelope = msg->envelope,
        .key = key,
        .cert = cert,
        .digest = MU_PKI_SHA256,
    };
    struct mu_scep_msg back = {0};
    struct mu_buf body = {0};

    require(mu_scep_msg_encode(&params, &body, NULL) == MU_OK);
    require(mu_scep_msg_decode(mu_buf_bytes(&body), &back, NULL) == MU_OK);
    require(strcmp(back.transaction_id, msg->transaction_id) == 0);
    require(back.type == msg->type && back.status == msg->status);
    require(back.fail_info == msg->fail_info);
    require(mu_bytes_equal(back.envelope, msg->envelope));
    mu_scep_msg_clear(&back);
    mu_buf_clear(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_bytes in = {data, size}, a, b;
    struct mu_scep_msg msg = {0};
    struct mu_pki_cert *signer;
    struct mu_buf line = {0};
    struct mu_err err;

    if (key == NULL) {
        key = fuzz_key(key_ca);
        cert = fuzz_cert("/CN=CA", key, NULL, key);
    }
    if (mu_scep_msg_decode(in, &msg, &err) == MU_OK) {
        signer = mu_pki_signed_signer(&msg.cms);
        if (signer != NULL)
            (void)!mu_pki_signed_verify(&msg.cms, signer, size % 2 == 0, &err);
        again(&msg);
        mu_scep_msg_clear(&msg);
    }
    (void)mu_scep_msg_get_poll(in, &a, &b);
    (void)mu_scep_msg_get_serial(in, &a, &b);
    require(mu_scep_caps_line(mu_scep_caps_parse(in), &line));
    require(mu_scep_caps_parse(mu_buf_bytes(&line)) == mu_scep_caps_parse(in));
    mu_buf_clear(&line);
    return 0;
}
