/*
 * Any bytes to the CMP server engine. Real messages (0x30) are taken as they are; else the first
 * octet chooses how the rest gets past the protection: as a body under a good MAC, under a good
 * signature, or as the message inside a nested one; or as what a transaction kept, with a good
 * certConf behind it.
 */
#include "fuzz_scep.h"

#include "pki/pki_name.h"
#include "proto/cmp/cmp_kept.h"
#include "proto/cmp/cmp_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BY_MAC, BY_CERT, NESTED, KEPT, LATER, KINDS };

static struct world {
    struct mu_pki_key *ca_key, *client_key, *ec_key;
    struct mu_pki_cert *ca, *client, *ec, *issued;
    struct mu_pki_certs chain;
    struct mu_secret password;
    struct mu_cmp_mac_key mac;
    struct mu_buf kept;
} w;

static const uint8_t nonce_key[16] = "0123456789abcde";

/* What was kept of an ir by MAC that was answered with w.issued. */
static void keep(void)
{
    uint8_t hash[3][64];
    struct mu_cmp_kept k = {.type = MU_CMP_IR, .protection = MU_CMP_BY_MAC,
        .reference = mu_bytes_str("test"), .hash = MU_PKI_SHA256};

    memcpy(k.nonce_key, nonce_key, sizeof nonce_key);
    for (int i = 0; i < 3; i++)
        k.hashes[i] = mu_bytes(
            hash[i], mu_pki_digest((enum mu_pki_digest)(MU_PKI_SHA256 + i), w.issued->der, hash[i]));
    mu_cmp_kept_encode(&k, &w.kept);
}

/* An RA: may wrap messages of others. */
static struct mu_pki_cert *ra_cert(struct mu_pki_key *key)
{
    struct mu_buf exts = {0}, der = {0}, name = {0};
    struct mu_pki_cert *cert;
    size_t mark = mu_der_open(&exts, MU_DER_SEQUENCE);

    mu_pki_ext_put_eku(&exts, MU_EKU_CMC_RA);
    mu_der_close(&exts, mark);
    require(mu_pki_name_parse("/CN=ec", &name, NULL) == MU_OK);
    const struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes("\x33", 1),
        .issuer = w.ca->subject, .subject = mu_buf_bytes(&name),
        .not_before_s = FUZZ_NOW - 86400, .not_after_s = FUZZ_NOW + 86400,
        .spki = mu_pki_key_spki(key), .extensions = mu_buf_bytes(&exts)};
    require(mu_pki_cert_make(&tbs, w.ca_key, MU_PKI_SHA256, &der, NULL) == MU_OK);
    require(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, NULL) == MU_OK);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    mu_buf_clear(&name);
    return cert;
}

static void set_up(void)
{
    struct mu_pki_mac mac;

    w.ca_key = fuzz_key(key_ca);
    w.client_key = fuzz_key(key_client);
    w.ec_key = fuzz_key(key_ec);
    w.ca = fuzz_cert("/CN=CA", w.ca_key, NULL, w.ca_key);
    w.client = fuzz_cert("/CN=client", w.client_key, NULL, w.client_key);
    w.ec = ra_cert(w.ec_key);
    w.issued = fuzz_cert("/CN=client", w.client_key, w.ca, w.ca_key);
    require(mu_pki_certs_add(&w.chain, w.ca, NULL) == MU_OK);
    require(mu_secret_set(&w.password, mu_bytes_str("test"), NULL) == MU_OK);
    require(mu_pki_mac_init(&mac, MU_PKI_MAC_PBM, 100, &fuzz_env, NULL) == MU_OK);
    require(mu_cmp_protect_mac_derive(&w.mac, &mac, &w.password, NULL) == MU_OK);
    keep();
}

/* ProtectedPart of header and the octets of a body, and its protection. */
static void protect(struct mu_cmp_header *h, bool by_cert, struct mu_bytes body, struct mu_buf *out)
{
    struct mu_buf alg = {0}, part = {0}, value = {0};
    struct mu_pki_certs extra = {0};
    uint8_t mac[MU_PKI_MAC_SIZE];
    size_t n, seq;

    if (by_cert) {
        mu_pki_key_sign_alg(w.ec_key, MU_PKI_SHA256, &alg);
        h->sender = w.ec->subject;
        require(mu_pki_certs_add(&extra, w.ec, NULL) == MU_OK);
    } else {
        mu_pki_mac_encode(&w.mac.mac, &alg);
        h->sender_kid = mu_bytes_str("test");
    }
    h->protection_alg = mu_buf_bytes(&alg);
    seq = mu_der_open(&part, MU_DER_SEQUENCE);
    mu_cmp_header_encode(h, &part);
    mu_buf_put_bytes(&part, body);
    mu_der_close(&part, seq);
    if (by_cert) {
        require(mu_pki_key_sign(w.ec_key, MU_PKI_SHA256, mu_buf_bytes(&part), &value, NULL) == MU_OK);
    } else {
        require(mu_pki_mac_make(&w.mac.mac, &w.mac.key, mu_buf_bytes(&part), mac, &n, NULL) == MU_OK);
        mu_buf_put(&value, mac, n);
    }
    require(mu_cmp_msg_encode(mu_buf_bytes(&part), mu_buf_bytes(&value), &extra, out, NULL) == MU_OK);
    mu_pki_certs_clear(&extra);
    mu_buf_clear(&alg);
    mu_buf_clear(&part);
    mu_buf_clear(&value);
}

static void make(unsigned kind, struct mu_bytes data, struct mu_buf *out)
{
    uint8_t nonce[16];
    struct mu_cmp_header h = {.pvno = 3, .transaction_id = mu_bytes("T", 1),
        .sender_nonce = mu_bytes("0123456789abcdef", 16)};
    struct mu_cmp_body body = {.type = MU_CMP_CERT_CONF};
    struct mu_buf encoded = {0};

    if (kind == KEPT || kind == LATER) {
        require(mu_cmp_kept_nonce(nonce_key, &fuzz_env, nonce, NULL) == MU_OK);
        h.recip_nonce = mu_bytes(nonce, sizeof nonce);
    }
    if (kind == NESTED) {
        size_t tag = mu_der_open(&encoded, MU_DER_CONTEXT_CONSTRUCTED(MU_CMP_NESTED));
        size_t seq = mu_der_open(&encoded, MU_DER_SEQUENCE);
        mu_buf_put_bytes(&encoded, data);
        mu_der_close(&encoded, seq);
        mu_der_close(&encoded, tag);
    } else if (kind == KEPT) {
        mu_cmp_body_encode(&body, &encoded);
    } else {
        mu_buf_put_bytes(&encoded, data);
    }
    protect(&h, kind == BY_CERT || kind == NESTED, mu_buf_bytes(&encoded), out);
    mu_buf_clear(&encoded);
}

static void serve(const struct mu_http_request *request, struct mu_bytes kept, unsigned flags)
{
    struct mu_credential credential = {.key = flags & 1 ? w.ca_key : NULL,
        .cert = flags & 1 ? w.ca : NULL, .ca_chain = &w.chain, .ca_key = w.ca_key,
        .next_ca = &w.chain, .password = &w.password, .allow_legacy = flags & 2,
        .ra_verified_ok = flags & 4, .allow_implicit_confirm = flags & 8, .confirm_wait_s = 300,
        .kept = kept};
    struct mu_decision decision = {.verdict = (enum mu_verdict)((flags >> 4) % 3),
        .cert = w.issued, .chain = &w.chain, .csr_attrs = mu_bytes("\x30\x00", 2)};
    struct mu_http_response response = {0};
    struct mu_cmp_server *server = NULL;
    struct mu_question question;
    struct mu_claim claim;
    struct mu_cmp_msg answer;
    struct mu_buf keep = {0};
    struct mu_err err = {0};
    enum mu_code rc;

    rc = mu_cmp_server_open(&fuzz_env, request, &server, &claim, &err);
    if (server == NULL) {
        require(rc != MU_OK);
        require(mu_cmp_server_http_error(&err, &response, NULL) == MU_OK);
        require(response.status >= 400);
        mu_http_response_clear(&response);
        return;
    }
    if (rc == MU_OK)
        rc = mu_cmp_server_read(server, &credential, &question, &err);
    if (rc == MU_OK && (question.op == MU_OP_ENROLL || question.op == MU_OP_KEYGEN))
        require(question.csr != NULL && question.request_digest.n == 32);
    decision.refusal = err;
    if (rc != MU_OK)
        decision.verdict = MU_VERDICT_REFUSED;
    else if (question.op == MU_OP_KEYGEN)
        decision.key = w.client_key;
    require(mu_cmp_server_write(server, &credential, &decision, &response, &keep, &err) == MU_OK);
    require(response.status == 200);
    /* what is answered reads, and is never under a secret the peer did not show (CMP-32) */
    require(mu_cmp_msg_decode(mu_buf_bytes(&response.body), &answer, &err) == MU_OK);
    if (rc != MU_OK && claim.auth != MU_AUTH_MAC)
        require(mu_cmp_protect_kind(&answer) != MU_CMP_BY_MAC);
    mu_cmp_msg_clear(&answer);
    mu_http_response_clear(&response);
    mu_buf_clear(&keep);
    mu_cmp_server_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_http_header type = {"Content-Type", "application/pkixcmp"};
    struct mu_http_request request = {.method = "POST", .target = "/.well-known/cmp",
        .headers = &type, .header_n = 1};
    struct mu_buf text = {.max = 1 << 20};
    struct mu_bytes kept = {0};
    unsigned kind, flags;

    if (w.ca == NULL)
        set_up();
    if (size < 3)
        return 0;
    if (data[0] == 0x30) {
        request.body = mu_bytes(data, size);
        serve(&request, size & 1 ? mu_buf_bytes(&w.kept) : kept, data[size - 1]);
        return 0;
    }
    kind = data[0] % KINDS;
    flags = data[1];
    data += 2;
    size -= 2;
    if (size > 200 * 1024)
        return 0;
    make(kind, mu_bytes(data, size), &text);
    if (kind == KEPT)
        kept = mu_bytes(data, size);
    else if (kind == LATER)
        kept = mu_buf_bytes(&w.kept);
    request.body = mu_buf_bytes(&text);
    serve(&request, kept, flags);
    mu_buf_clear(&text);
    return 0;
}
