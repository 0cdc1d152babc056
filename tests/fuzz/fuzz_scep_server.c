/*
 * Any bytes to the server engine. The first octet chooses how far the rest gets by itself: as the
 * body of a POST, as the target of a GET, inside a good signature as the envelope, or inside
 * signature and envelope as the message's data.
 */
#include "fuzz_scep.h"

#include "proto/scep/scep_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY, TARGET, ENVELOPE, CSR, POLL, CERT, CRL, PASSWORD, KINDS };

static struct world {
    struct mu_pki_key *ca_key, *client_key, *ec_key;
    struct mu_pki_cert *ca, *client, *ec, *issued;
    struct mu_pki_certs chain;
    struct mu_secret password;
} w;

static void set_up(void)
{
    w.ca_key = fuzz_key(key_ca);
    w.client_key = fuzz_key(key_client);
    w.ec_key = fuzz_key(key_ec);
    w.ca = fuzz_cert("/CN=CA", w.ca_key, NULL, w.ca_key);
    w.client = fuzz_cert("/CN=client", w.client_key, NULL, w.client_key);
    w.ec = fuzz_cert("/CN=ec", w.ec_key, NULL, w.ec_key);
    w.issued = fuzz_cert("/CN=client", w.client_key, w.ca, w.ca_key);
    require(mu_pki_certs_add(&w.chain, w.ca, NULL) == MU_OK);
    require(mu_secret_set(&w.password, mu_bytes_str("secret"), NULL) == MU_OK);
}

/* The data as a message that gets past signature and, if enveloped, decryption. */
static void protect(unsigned kind, bool ec, struct mu_bytes data, struct mu_buf *body)
{
    static const int types[KINDS] = {[ENVELOPE] = MU_SCEP_PKCS_REQ, [CSR] = MU_SCEP_PKCS_REQ,
        [POLL] = MU_SCEP_CERT_POLL, [CERT] = MU_SCEP_GET_CERT, [CRL] = MU_SCEP_GET_CRL,
        [PASSWORD] = MU_SCEP_RENEWAL_REQ};
    struct mu_pki_enveloped_params env = {.cipher = MU_PKI_AES128_CBC};
    struct mu_buf envelope = {.max = 1 << 20};
    struct mu_pki_certs certs = {0};
    struct mu_scep_msg_params msg = {.transaction_id = "T", .type = types[kind], .status = -1,
        .fail_info = -1, .sender_nonce = mu_bytes("0123456789abcdef", 16), .certs = &certs,
        .key = ec ? w.ec_key : w.client_key, .cert = ec ? w.ec : w.client,
        .digest = MU_PKI_SHA256};

    if (kind == PASSWORD)
        env.password = &w.password;
    else
        env.recipient = w.ca;
    if (kind == ENVELOPE)
        mu_buf_put_bytes(&envelope, data);
    else
        require(mu_pki_enveloped_encode(&env, data, &fuzz_env, &envelope, NULL) == MU_OK);
    require(mu_pki_certs_add(&certs, ec ? w.ec : w.client, NULL) == MU_OK);
    msg.envelope = mu_buf_bytes(&envelope);
    require(mu_scep_msg_encode(&msg, body, NULL) == MU_OK);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&envelope);
}

static void serve(const struct mu_http_request *request, bool legacy, unsigned verdict)
{
    struct mu_credential credential = {.key = w.ca_key, .cert = w.ca, .ca_chain = &w.chain,
        .ca_key = w.ca_key, .next_ca = &w.chain, .password = &w.password, .allow_legacy = legacy};
    struct mu_decision decision = {.verdict = (enum mu_verdict)(verdict % 3), .cert = w.issued,
        .chain = &w.chain, .crl = w.issued->der};
    struct mu_http_response response = {0};
    struct mu_scep_server *server = NULL;
    struct mu_question question;
    struct mu_claim claim;
    struct mu_err err = {0};
    enum mu_code rc;

    rc = mu_scep_server_open(&fuzz_env, request, &server, &claim, &err);
    if (server == NULL) {
        require(rc != MU_OK);
        require(mu_scep_server_http_error(&err, &response, NULL) == MU_OK);
        require(response.status >= 400);
        mu_http_response_clear(&response);
        return;
    }
    if (rc == MU_OK)
        rc = mu_scep_server_read(server, &credential, &question, &err);
    if (rc == MU_OK && question.op == MU_OP_ENROLL)
        require(question.csr != NULL && question.request_digest.n == 32);
    decision.refusal = err;
    if (rc != MU_OK)
        decision.verdict = MU_VERDICT_REFUSED;
    require(mu_scep_server_write(server, &credential,
                claim.transaction_id != NULL ? &decision : NULL, &response, &err)
        == MU_OK);
    require(response.status == 200);
    mu_http_response_clear(&response);
    mu_scep_server_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_http_request request = {.method = "POST", .target = "/scep?operation=PKIOperation"};
    struct mu_buf text = {.max = 1 << 20};
    unsigned kind, flags;

    if (w.ca == NULL)
        set_up();
    if (size < 2)
        return 0;
    /* Real messages begin with a SEQUENCE: they are bodies as they are. */
    if (data[0] == 0x30) {
        kind = BODY;
        flags = data[size - 1];
    } else {
        kind = data[0] % KINDS;
        flags = data[1];
        data += 2;
        size -= 2;
    }
    if (kind == BODY) {
        request.body = mu_bytes(data, size);
    } else if (kind == TARGET) {
        mu_buf_put_str(&text, "/scep?");
        mu_buf_put(&text, data, size);
        request.method = "GET";
        request.target = mu_buf_str(&text);
    } else if (size < 200 * 1024) {
        protect(kind, flags & 2, mu_bytes(data, size), &text);
        request.body = mu_buf_bytes(&text);
    }
    serve(&request, flags & 1, flags >> 2);
    mu_buf_clear(&text);
    return 0;
}
