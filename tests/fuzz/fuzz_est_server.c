/*
 * Any bytes to the server engine. The first octets choose the operation and where the rest stands:
 * in the body as it is or as base64, in the target, in Authorization, in the password's Digest, as
 * the TLS client's certificate, or as the subject of a request that is linked and signed rightly.
 */
#include "fuzz_est.h"

#include <stdio.h>

#include "proto/est/est_auth.h"
#include "proto/est/est_body.h"
#include "proto/est/est_http.h"
#include "proto/est/est_link.h"
#include "proto/est/est_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY, BASE64, TARGET, AUTHORIZATION, CERTIFICATE, ATTRS, SUBJECT, KINDS };

static struct world {
    struct mu_pki_key *ca_key, *client_key;
    struct mu_pki_cert *ca, *issued;
    struct mu_pki_certs chain;
    struct mu_secret password, challenge;
    struct mu_buf good; /* a request as it should be */
} w;

static const struct mu_bytes binding = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32};

static void make_csr(struct mu_bytes subject, struct mu_buf *text)
{
    struct mu_pki_csr_params params = {.subject = subject, .challenge = &w.challenge};
    struct mu_buf der = {.max = 1 << 20};

    if (mu_pki_csr_make(&params, w.client_key, &der, NULL) == MU_OK)
        mu_est_body_encode(text, mu_buf_bytes(&der), false);
    mu_buf_clear(&der);
}

static void set_up(void)
{
    struct mu_buf name = {0};

    w.ca_key = fuzz_key(key_ec_ca);
    w.client_key = fuzz_key(key_ec);
    w.ca = fuzz_cert("CN=CA", mu_pki_key_spki(w.ca_key), NULL, w.ca_key);
    w.issued = fuzz_cert("CN=client", mu_pki_key_spki(w.client_key), w.ca, w.ca_key);
    require(mu_pki_certs_add(&w.chain, w.ca, NULL) == MU_OK);
    require(mu_secret_set(&w.password, mu_bytes_str("fuzz-secret"), NULL) == MU_OK);
    require(mu_est_link_make(binding, &w.challenge, NULL) == MU_OK);
    require(mu_pki_name_parse("CN=client", &name, NULL) == MU_OK);
    make_csr(mu_buf_bytes(&name), &w.good);
    mu_buf_clear(&name);
}

static void serve(const struct mu_http_request *request, unsigned flags, struct mu_bytes attrs)
{
    struct mu_credential credential = {.key = w.ca_key, .cert = w.ca, .ca_chain = &w.chain,
        .next_ca = &w.chain, .password = &w.password, .allow_legacy = flags & 1, .realm = "muster",
        .link_required = flags & 2, .one_line = flags & 4, .chain_in_reply = flags & 8,
        .challenge_is_secret = flags & 16,
        .nonce_key = mu_bytes("0123456789abcdef", flags & 32 ? 0 : 16)};
    struct mu_decision decision = {.verdict = (enum mu_verdict)((flags >> 6) % 3),
        .cert = w.issued, .chain = &w.chain, .key = w.client_key, .csr_attrs = attrs};
    struct mu_http_response response = {0};
    struct mu_est_server *server = NULL;
    struct mu_question question;
    struct mu_claim claim;
    struct mu_err err = {0};
    enum mu_code rc;

    rc = mu_est_server_open(&fuzz_env, request, &server, &claim, &err);
    if (server == NULL) {
        require(rc != MU_OK);
        require(mu_est_server_http_error(&err, &response, NULL) == MU_OK);
        require(response.status >= 400);
        mu_http_response_clear(&response);
        return;
    }
    if (rc == MU_OK) {
        struct mu_bytes id = mu_est_server_shared_id(server);

        require(id.n == 0 || id.p != NULL);
        rc = mu_est_server_read(server, &credential, &question, &err);
    }
    if (rc == MU_OK && (question.op == MU_OP_ENROLL || question.op == MU_OP_KEYGEN))
        require(question.csr != NULL && question.request_digest.n == 32);
    if (rc != MU_OK) {
        decision.verdict = MU_VERDICT_REFUSED;
        decision.refusal = err;
    }
    rc = mu_est_server_write(server, flags & 1 && rc != MU_OK ? NULL : &credential, &decision,
        &response, &err);
    require(rc == MU_OK || claim.op == MU_OP_CSR_ATTRS); /* attributes are the CA's, not anybody's */
    require(rc != MU_OK || response.status >= 200);
    mu_http_response_clear(&response);
    mu_est_server_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"simpleenroll", "simplereenroll", "serverkeygen",
        "fullcmc", "iot/simpleenroll", "cacerts", "csrattrs", "x"};
    struct mu_http_peer peer = {.tls = true, .tls_exporter = binding};
    struct mu_http_header header = {.name = "Authorization"};
    struct mu_http_request request = {.peer = &peer, .minor = 1};
    struct mu_buf text = {.max = 1 << 20}, body = {.max = 1 << 20};
    struct mu_bytes in, attrs = {NULL, 0};
    char target[64];
    unsigned kind, op, flags;

    if (w.ca == NULL)
        set_up();
    if (size < 3 || size > 100 * 1024)
        return 0;
    kind = data[0] % KINDS;
    op = data[1] % 8;
    flags = data[2];
    in = mu_bytes(data + 3, size - 3);
    if (kind == ATTRS)
        op = 6;
    snprintf(target, sizeof target, MU_EST_PATH "/%s", paths[op]);
    request.target = target;
    request.method = op == 5 || op == 6 ? "GET" : "POST";
    request.body = mu_buf_bytes(&w.good);
    if (kind == BODY) {
        request.body = in;
    } else if (kind == BASE64) {
        mu_est_body_encode(&body, in, flags & 4);
        request.body = mu_buf_bytes(&body);
    } else if (kind == TARGET) {
        mu_buf_put_str(&text, MU_EST_PATH);
        mu_buf_put_bytes(&text, in);
        request.target = mu_buf_str(&text);
    } else if (kind == AUTHORIZATION) {
        mu_buf_put_bytes(&text, in);
        header.value = mu_buf_str(&text);
        request.headers = &header;
        request.header_n = 1;
    } else if (kind == CERTIFICATE) {
        peer.client_cert = in;
        peer.client_chain = in;
    } else if (kind == ATTRS) {
        attrs = in;
    } else if (in.n < 8000) {
        make_csr(in, &body);
        request.body = mu_buf_bytes(&body);
    }
    serve(&request, flags, attrs);
    mu_buf_clear(&text);
    mu_buf_clear(&body);
    return 0;
}
