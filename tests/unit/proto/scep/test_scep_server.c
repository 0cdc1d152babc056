/* What the responder makes of requests: claims, checks, and which refusal each fault gives
 * (SCEP-33..53, SCEP-61..72, IOP-10..16, INTEROP 3.6..3.11). */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request in the making: what is not set is as it should be. */
struct ask {
    int type;
    enum world_key signer_key, csr_key;
    const char *subject;          /* of the CSR */
    const char *signer_subject;   /* of the self-signed certificate */
    const char *challenge;
    struct mu_pki_cert *signer;   /* instead of a self-signed one */
    struct mu_pki_cert *recipient;
    const char *password;         /* enveloped to it (PWRI) */
    enum mu_pki_digest digest;
    enum mu_pki_cipher cipher;
    struct mu_bytes data;         /* instead of the CSR */
    struct mu_bytes nonce;
    bool no_certs, no_nonce, no_envelope, not_data, break_signature, break_pop, ber;
};

static void wrap_ber(struct mu_buf *body);

static void make(struct world *w, const struct ask *a, struct mu_buf *out)
{
    struct mu_pki_cert *self = NULL, *signer = a->signer;
    struct mu_pki_certs certs = {0};
    struct mu_secret password = {0};
    struct mu_buf envelope = {0}, data = {0};
    struct mu_pki_enveloped_params env = {.recipient = a->recipient != NULL ? a->recipient : w->ca,
        .cipher = a->cipher != MU_PKI_CIPHER_NONE ? a->cipher : MU_PKI_AES128_CBC,
        .allow_legacy = true};
    struct mu_scep_msg_params msg = {.transaction_id = "T1", .type = a->type, .status = -1,
        .fail_info = -1, .digest = a->digest != MU_PKI_DIGEST_NONE ? a->digest : MU_PKI_SHA256,
        .certs = a->no_certs ? NULL : &certs,
        .sender_nonce = a->nonce.n != 0 ? a->nonce : mu_bytes_str("0123456789abcdef")};

    if (a->type == MU_SCEP_CERT_REP)
        msg.status = MU_SCEP_SUCCESS;
    world_request(w, a->subject != NULL ? a->subject : "/CN=dev", a->csr_key, a->challenge);
    mu_buf_put_bytes(&data, a->data.p != NULL ? a->data : mu_buf_bytes(&w->csr));
    if (a->break_pop)
        data.p[data.n - 5] ^= 1;
    if (signer == NULL)
        signer = self = world_cert(&(struct world_cert){
            .subject = a->signer_subject != NULL ? a->signer_subject : "/CN=dev",
            .key = a->signer_key});
    if (a->password != NULL) {
        world_ok(mu_secret_set(&password, mu_bytes_str(a->password), &world_err));
        env.recipient = NULL;
        env.password = &password;
    }
    world_ok(mu_pki_enveloped_encode(&env, mu_buf_bytes(&data), &w->env, &envelope, &world_err));
    world_ok(mu_pki_certs_add(&certs, signer, &world_err));
    if (!a->no_envelope)
        msg.envelope = mu_buf_bytes(&envelope);
    if (a->not_data)
        world_not_data(msg.envelope);
    if (a->no_nonce)
        msg.sender_nonce.n = 0;
    msg.key = world_key(a->signer_key);
    msg.cert = signer;
    world_ok(mu_scep_msg_encode(&msg, out, &world_err));
    if (a->break_signature)
        out->p[out->n - 10] ^= 1;
    if (a->ber)
        wrap_ber(out);
    mu_pki_cert_free(self);
    mu_pki_certs_clear(&certs);
    mu_secret_clear(&password);
    mu_buf_clear(&envelope);
    mu_buf_clear(&data);
}

struct got {
    enum mu_code open, read;
    struct mu_err err;
    struct mu_claim claim;
    bool has_server, has_csr;
    char id[300], type[32];
    uint8_t digest[32];
};

static void serve(struct world *w, struct mu_bytes body, struct got *got)
{
    struct mu_http_request request = {
        .method = "POST", .target = "/app/cert/scep/?operation=PKIOperation", .body = body};
    struct mu_scep_server *server = NULL;
    struct mu_question question = {0};

    memset(got, 0, sizeof *got);
    w->in_server = true;
    got->open = mu_scep_server_open(&w->env, &request, &server, &got->claim, &got->err);
    got->has_server = server != NULL;
    got->read = got->open;
    if (got->open == MU_OK) {
        w->credential.password = got->claim.needs_password ? &w->password : NULL;
        got->read = mu_scep_server_read(server, &w->credential, &question, &got->err);
    }
    if (got->claim.transaction_id != NULL)
        memcpy(got->id, got->claim.transaction_id, strlen(got->claim.transaction_id) + 1);
    if (got->claim.message_type != NULL)
        memcpy(got->type, got->claim.message_type, strlen(got->claim.message_type) + 1);
    got->has_csr = question.csr != NULL;
    if (question.request_digest.n == 32)
        memcpy(got->digest, question.request_digest.p, 32);
    mu_scep_server_free(server);
    w->in_server = false;
}

static void serve_ask(struct world *w, const struct ask *a, struct got *got)
{
    struct mu_buf body = {0};

    make(w, a, &body);
    serve(w, mu_buf_bytes(&body), got);
    mu_buf_clear(&body);
}

static void each_type_is_its_question(void **state)
{
    static const struct { int type; enum mu_op op; const char *word; bool csr; } rows[] = {
        {MU_SCEP_PKCS_REQ, MU_OP_ENROLL, "PKCSReq", true},
        {MU_SCEP_RENEWAL_REQ, MU_OP_ENROLL, "RenewalReq", true},
        {MU_SCEP_UPDATE_REQ, MU_OP_ENROLL, "UpdateReq", true},
        {MU_SCEP_CERT_POLL, MU_OP_POLL, "CertPoll", false},
        {MU_SCEP_GET_CERT, MU_OP_GET_CERT, "GetCert", false},
        {MU_SCEP_GET_CRL, MU_OP_GET_CRL, "GetCRL", false},
    };
    struct world w;
    struct mu_buf poll = {0}, serial = {0};
    size_t i;

    (void)state;
    world_init(&w);
    mu_scep_msg_put_poll(&poll, w.ca->subject, w.ca->subject);
    mu_scep_msg_put_serial(&serial, w.ca->subject, mu_bytes("\x05", 1));
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ask a = {.type = rows[i].type, .signer_key = KEY_CLIENT, .csr_key = KEY_CLIENT};
        struct got got;

        if (rows[i].type == MU_SCEP_CERT_POLL)
            a.data = mu_buf_bytes(&poll);
        else if (!rows[i].csr)
            a.data = mu_buf_bytes(&serial);
        serve_ask(&w, &a, &got);
        if (got.read != MU_OK)
            fail_msg("%s: %s", rows[i].word, got.err.what);
        assert_int_equal(got.claim.op, rows[i].op);
        assert_int_equal(got.claim.proto, MU_PROTO_SCEP);
        assert_string_equal(got.type, rows[i].word);
        assert_string_equal(got.id, "T1");
        assert_true(got.claim.signer_is_self_signed);
        assert_false(got.claim.needs_password);
        assert_int_equal(got.has_csr, rows[i].csr);
    }
    mu_buf_clear(&poll);
    mu_buf_clear(&serial);
    world_clear(&w);
}

struct fault {
    const char *what;
    struct ask ask;
    bool at_open;
    enum mu_reason reason;
};

#define GOOD .type = MU_SCEP_PKCS_REQ, .signer_key = KEY_CLIENT, .csr_key = KEY_CLIENT

static const struct fault faults[] = {
    {"fine", {GOOD}, false, MU_REASON_NONE},
    {"Cisco: another name in the signer (INTEROP 3.10)",
        {GOOD, .signer_subject = "/unstructuredName=router"}, false, MU_REASON_NONE},
    {"another key in the signer (SCEP-53)",
        {.type = MU_SCEP_PKCS_REQ, .signer_key = KEY_OTHER, .csr_key = KEY_CLIENT}, false,
        MU_REFUSE_SIGNER_KEY},
    {"CSR with a broken signature (COM-18)", {GOOD, .break_pop = true}, false, MU_REFUSE_POP},
    {"broken signature (SCEP-40)", {GOOD, .break_signature = true}, true, MU_REFUSE_SIGNATURE},
    {"signer not included (SCEP-40)", {GOOD, .no_certs = true}, true, MU_REFUSE_SIGNATURE},
    {"no envelope", {GOOD, .no_envelope = true}, true, MU_REFUSE_MALFORMED},
    {"another type in the envelope (SCEP-33)", {GOOD, .not_data = true}, true,
        MU_REFUSE_MALFORMED},
    {"no senderNonce is only noted (INTEROP 3.9)", {GOOD, .no_nonce = true}, false,
        MU_REASON_NONE},
    {"a nonce of 8 is only noted", {GOOD, .nonce = {(const uint8_t *)"12345678", 8}}, false,
        MU_REASON_NONE},
    {"a CertRep is no request",
        {.type = MU_SCEP_CERT_REP, .signer_key = KEY_CLIENT, .csr_key = KEY_CLIENT}, true,
        MU_REFUSE_MALFORMED},
    {"SHA-1 (SCEP-04)", {GOOD, .digest = MU_PKI_SHA1}, false, MU_REFUSE_ALGORITHM},
    {"MD5 (SCEP-05)", {GOOD, .digest = MU_PKI_MD5}, false, MU_REFUSE_ALGORITHM},
    {"single DES (SCEP-05)", {GOOD, .cipher = MU_PKI_DES_CBC}, false, MU_REFUSE_ALGORITHM},
    {"3DES", {GOOD, .cipher = MU_PKI_DES3_CBC}, false, MU_REFUSE_ALGORITHM},
    {"AES-256, SHA-512", {GOOD, .cipher = MU_PKI_AES256_CBC, .digest = MU_PKI_SHA512}, false,
        MU_REASON_NONE},
    {"EC without a challenge (SCEP-39)",
        {.type = MU_SCEP_PKCS_REQ, .signer_key = KEY_EC, .csr_key = KEY_EC}, false,
        MU_REFUSE_UNDELIVERABLE},
    {"EC with a challenge (SCEP-36)",
        {.type = MU_SCEP_PKCS_REQ, .signer_key = KEY_EC, .csr_key = KEY_EC,
            .challenge = "secret"}, false, MU_REASON_NONE},
    {"to the entry's password (SCEP-36)", {GOOD, .password = "secret"}, false, MU_REASON_NONE},
    {"to another password", {GOOD, .password = "guess"}, false, MU_REFUSE_SIGNATURE},
    {"no PKCS #10 inside", {GOOD, .data = {(const uint8_t *)"garbage", 7}}, false,
        MU_REFUSE_SIGNATURE},
    {"BER, indefinite lengths, eContent in pieces (IOP-14)", {GOOD, .ber = true}, false,
        MU_REASON_NONE},
};

static void each_fault_is_refused_by_its_name(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct world w;
        struct got got;

        world_init(&w);
        serve_ask(&w, &faults[i].ask, &got);
        if (got.err.reason != faults[i].reason
            || (got.read == MU_OK) != (faults[i].reason == MU_REASON_NONE)
            || (got.open != MU_OK) != faults[i].at_open)
            fail_msg("%s: open %d, read %d, reason %d: %s", faults[i].what, (int)got.open,
                (int)got.read, (int)got.err.reason, got.err.what);
        assert_true(got.has_server); /* each can be told in a CertRep */
        if (faults[i].ask.no_nonce || faults[i].ask.nonce.n != 0)
            assert_true(world_traced(&w.server_trace, "note: attributes"));
        world_clear(&w);
    }
}

static void legacy_is_taken_with_the_switch_and_told(void **state)
{
    static const struct { enum mu_pki_digest digest; enum mu_pki_cipher cipher; } rows[] = {
        {MU_PKI_SHA1, MU_PKI_DES_CBC},
        {MU_PKI_SHA1, MU_PKI_DES3_CBC},
        {MU_PKI_MD5, MU_PKI_BLOWFISH_CBC},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        struct got got;

        world_init(&w);
        w.credential.allow_legacy = true;
        serve_ask(&w, &(struct ask){GOOD, .digest = rows[i].digest, .cipher = rows[i].cipher},
            &got);
        if (got.read != MU_OK)
            fail_msg("row %zu: %s", i, got.err.what);
        assert_true(world_traced(&w.server_trace, "warning: legacy algorithms"));
        world_clear(&w);
    }
}

/* The claim names the recipient before any key is used; the wrong one is refused without it. */
static void an_envelope_for_another_certificate_is_not_opened(void **state)
{
    struct world w;
    struct got got;
    struct mu_pki_cert *other;

    (void)state;
    world_init(&w);
    other = world_cert(&(struct world_cert){.subject = "/CN=other", .key = KEY_OTHER});
    serve_ask(&w, &(struct ask){GOOD, .recipient = other}, &got);
    assert_int_equal(got.open, MU_OK);
    assert_int_equal(got.err.reason, MU_REFUSE_SIGNATURE);
    assert_false(world_traced(&w.server_trace, "decrypted"));
    mu_pki_cert_free(other);
    world_clear(&w);
}

/* SCEP-36: an EC poll needs the password of the entry for its answer. */
static void a_poll_with_an_ec_key_asks_for_the_password(void **state)
{
    struct world w;
    struct got got;
    struct mu_buf poll = {0};

    (void)state;
    world_init(&w);
    mu_scep_msg_put_poll(&poll, w.ca->subject, w.ca->subject);
    serve_ask(&w,
        &(struct ask){.type = MU_SCEP_CERT_POLL, .signer_key = KEY_EC, .csr_key = KEY_EC,
            .data = mu_buf_bytes(&poll)},
        &got);
    assert_int_equal(got.read, MU_OK);
    assert_true(got.claim.needs_password);
    /* without one it can still be told that it waits, or why not */
    mu_secret_clear(&w.password);
    serve_ask(&w,
        &(struct ask){.type = MU_SCEP_CERT_POLL, .signer_key = KEY_EC, .csr_key = KEY_EC,
            .data = mu_buf_bytes(&poll)},
        &got);
    assert_int_equal(got.read, MU_OK);
    mu_buf_reset(&poll);
    mu_scep_msg_put_serial(&poll, w.ca->subject, mu_bytes("\x05", 1));
    serve_ask(&w,
        &(struct ask){.type = MU_SCEP_GET_CRL, .signer_key = KEY_EC, .csr_key = KEY_EC,
            .data = mu_buf_bytes(&poll)},
        &got);
    assert_int_equal(got.err.reason, MU_REFUSE_UNDELIVERABLE);
    mu_buf_clear(&poll);
    world_clear(&w);
}

/* A renewal: the signer is no self-signed certificate, and its key need not be the CSR's. */
static void a_renewal_has_a_signer_that_is_not_self_signed(void **state)
{
    struct world w;
    struct got got;
    struct mu_pki_cert *old;

    (void)state;
    world_init(&w);
    old = world_cert(&(struct world_cert){.subject = "/CN=dev",
        .issuer = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_OTHER, .issuer_key = KEY_CA});
    serve_ask(&w,
        &(struct ask){.type = MU_SCEP_PKCS_REQ, .signer = old, .signer_key = KEY_OTHER,
            .csr_key = KEY_CLIENT},
        &got);
    assert_int_equal(got.read, MU_OK);
    assert_false(got.claim.signer_is_self_signed);
    /* self-issued but signed by another key is not self-signed */
    mu_pki_cert_free(old);
    old = world_cert(&(struct world_cert){.subject = "/CN=dev", .issuer = "/CN=dev",
        .key = KEY_OTHER, .issuer_key = KEY_CA});
    serve_ask(&w,
        &(struct ask){.type = MU_SCEP_PKCS_REQ, .signer = old, .signer_key = KEY_OTHER,
            .csr_key = KEY_CLIENT},
        &got);
    assert_false(got.claim.signer_is_self_signed);
    mu_pki_cert_free(old);
    world_clear(&w);
}

/* SCEP-60's key: the same request in another envelope has the same digest. */
static void the_request_digest_is_that_of_the_request(void **state)
{
    struct world w;
    struct got a, b, other;

    (void)state;
    world_init(&w);
    serve_ask(&w, &(struct ask){GOOD}, &a);
    serve_ask(&w, &(struct ask){GOOD, .cipher = MU_PKI_AES256_CBC}, &b);
    serve_ask(&w, &(struct ask){GOOD, .subject = "/CN=other"}, &other);
    assert_memory_equal(a.digest, b.digest, 32);
    assert_memory_not_equal(a.digest, other.digest, 32);
    world_clear(&w);
}

/* No CMS, no CertRep: an HTTP error, in words, with nothing left over (SCEP-13). */
static void garbage_is_an_http_error(void **state)
{
    static const char *const bodies[] = {"garbage", "\x30\x80", "\x30\x03\x02\x01\x05"};
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    for (i = 0; i < 3; i++) {
        struct mu_http_response response = {0};
        struct got got;

        serve(&w, mu_bytes_str(bodies[i]), &got);
        assert_int_not_equal(got.open, MU_OK);
        assert_false(got.has_server);
        assert_int_equal(got.err.reason, MU_REFUSE_MALFORMED);
        world_ok(mu_scep_server_http_error(&got.err, &response, &world_err));
        assert_int_equal(response.status, 400);
        assert_string_equal(
            mu_http_header_get(response.headers, response.header_n, "Content-Type"), "text/plain");
        mu_http_response_clear(&response);
    }
    world_clear(&w);
}

static void read_is_for_opened_messages_only(void **state)
{
    struct world w;
    struct mu_http_request request = {.method = "POST", .target = "/?operation=PKIOperation"};
    struct mu_scep_server *server = NULL;
    struct mu_question question;
    struct mu_claim claim;
    struct mu_buf body = {0};

    (void)state;
    world_init(&w);
    make(&w, &(struct ask){GOOD, .no_certs = true}, &body);
    request.body = mu_buf_bytes(&body);
    assert_int_equal(
        mu_scep_server_open(&w.env, &request, &server, &claim, &world_err), MU_AUTH);
    assert_non_null(server);
    assert_int_equal(
        mu_scep_server_read(server, &w.credential, &question, &world_err), MU_INTERNAL);
    mu_scep_server_free(server);
    mu_scep_server_free(NULL);
    mu_buf_clear(&body);
    world_clear(&w);
}

/* COM-18, SCEP-71: the current certificate's signature does not stand in for the new key's. */
static void a_renewal_needs_proof_of_the_new_key(void **state)
{
    static const int types[] = {MU_SCEP_RENEWAL_REQ, MU_SCEP_PKCS_REQ};
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct world w;
        struct got got;
        struct mu_pki_cert *old;
        struct ask a = {.type = types[i], .signer_key = KEY_OTHER, .csr_key = KEY_CLIENT,
            .challenge = "secret"};

        world_init(&w);
        old = world_cert(&(struct world_cert){.subject = "/CN=dev",
            .issuer = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_OTHER, .issuer_key = KEY_CA});
        a.signer = old;
        serve_ask(&w, &a, &got);
        assert_int_equal(got.read, MU_OK);
        a.break_pop = true;
        serve_ask(&w, &a, &got);
        assert_int_equal(got.read, MU_AUTH);
        assert_false(got.has_csr);
        mu_pki_cert_free(old);
        world_clear(&w);
    }
}

static void load(const char *path, struct mu_buf *out)
{
    const char *root = getenv("MU_VECTORS");
    char name[512], block[4096];
    size_t n;
    FILE *f;

    snprintf(name, sizeof name, "%s/%s", root != NULL ? root : "tests/vectors", path);
    f = fopen(name, "rb");
    if (f == NULL)
        fail_msg("%s is missing", name);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        mu_buf_put(out, block, n);
    fclose(f);
}

/* IOP-15: the AES-GCM of modern clients is read; the answer is what every client can open. */
static void gcm_requests_are_answered_with_cbc(void **state)
{
    struct world w;
    struct mu_http_request request = {.method = "POST", .target = "/scep?operation=PKIOperation"};
    struct mu_http_response response = {0};
    struct mu_scep_msg msg = {0};
    struct mu_pki_enveloped asked = {0}, answered = {0};
    struct mu_buf envelope = {0}, key_file = {0}, cert_file = {0}, body = {0};
    struct mu_pki_certs ours = {0}, certs = {0};
    struct mu_pki_key *key = NULL;
    struct mu_pki_cert *signer;

    (void)state;
    world_init(&w);
    world_ok(world_run(&w, NULL)); /* so that there is something to poll for */
    load("openssl/authenveloped-gcm.der", &envelope);
    load("openssl/rsa.key", &key_file);
    load("openssl/rsa.crt", &cert_file);
    world_ok(mu_pki_key_decode(mu_buf_bytes(&key_file), NULL, &key, &world_err));
    world_ok(mu_pki_certs_decode(mu_buf_bytes(&cert_file), &ours, &world_err));
    w.credential.key = key;
    w.credential.cert = ours.v[0];
    signer = world_cert(&(struct world_cert){.subject = "/CN=dev", .key = KEY_CLIENT});
    world_ok(mu_pki_certs_add(&certs, signer, &world_err));
    world_ok(mu_scep_msg_encode(
        &(struct mu_scep_msg_params){.transaction_id = "T1", .type = MU_SCEP_CERT_POLL,
            .status = -1, .fail_info = -1, .sender_nonce = mu_bytes_str("0123456789abcdef"),
            .envelope = mu_buf_bytes(&envelope), .key = world_key(KEY_CLIENT), .cert = signer,
            .certs = &certs, .digest = MU_PKI_SHA256},
        &body, &world_err));
    request.body = mu_buf_bytes(&body);
    world_serve(&w, &request, &response);
    assert_true(world_traced(&w.server_trace, "scep check: decrypted AES-"));
    world_ok(mu_pki_enveloped_decode(mu_buf_bytes(&envelope), &asked, &world_err));
    assert_true(asked.cipher == MU_PKI_AES128_GCM || asked.cipher == MU_PKI_AES256_GCM);
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&response.body), &msg, &world_err));
    assert_int_equal(msg.status, MU_SCEP_SUCCESS);
    world_ok(mu_pki_enveloped_decode(msg.envelope, &answered, &world_err));
    assert_int_equal(answered.cipher,
        asked.cipher == MU_PKI_AES128_GCM ? MU_PKI_AES128_CBC : MU_PKI_AES256_CBC);
    mu_pki_enveloped_clear(&asked);
    mu_pki_enveloped_clear(&answered);
    mu_scep_msg_clear(&msg);
    mu_http_response_clear(&response);
    mu_buf_clear(&envelope);
    mu_buf_clear(&key_file);
    mu_buf_clear(&cert_file);
    mu_buf_clear(&body);
    mu_pki_certs_clear(&ours);
    mu_pki_certs_clear(&certs);
    mu_pki_cert_free(signer);
    mu_pki_key_free(key);
    world_clear(&w);
}

/* ---- BER: the outer layers with indefinite lengths, eContent in two pieces ---- */

static void put_pieces(struct mu_buf *out, struct mu_bytes content)
{
    size_t half = content.n / 2;

    mu_buf_put(out, "\x24\x80", 2);
    mu_der_put(out, MU_DER_OCTET_STRING, mu_bytes(content.p, half));
    mu_der_put(out, MU_DER_OCTET_STRING, mu_bytes(content.p + half, content.n - half));
    mu_buf_put(out, "\0\0", 2);
}

static void wrap_ber(struct mu_buf *body)
{
    struct mu_buf out = {0};
    struct mu_der outer, oid, el, sd, encap, content;
    struct mu_bytes in;

    assert_true(mu_der_only(mu_buf_bytes(body), MU_DER_SEQUENCE, &outer));
    in = outer.value;
    assert_true(mu_der_get(&in, MU_DER_OID, &oid));
    assert_true(mu_der_get(&in, 0xa0, &el));
    assert_true(mu_der_only(el.value, MU_DER_SEQUENCE, &sd));
    mu_buf_put(&out, "\x30\x80", 2);
    mu_buf_put_bytes(&out, oid.whole);
    mu_buf_put(&out, "\xa0\x80\x30\x80", 4);
    in = sd.value;
    assert_true(mu_der_get(&in, MU_DER_INTEGER, &el));
    mu_buf_put_bytes(&out, el.whole);
    assert_true(mu_der_get(&in, MU_DER_SET, &el));
    mu_buf_put_bytes(&out, el.whole);
    assert_true(mu_der_get(&in, MU_DER_SEQUENCE, &encap));
    assert_true(mu_der_get(&encap.value, MU_DER_OID, &oid));
    assert_true(mu_der_get(&encap.value, 0xa0, &el));
    assert_true(mu_der_only(el.value, MU_DER_OCTET_STRING, &content));
    mu_buf_put(&out, "\x30\x80", 2);
    mu_buf_put_bytes(&out, oid.whole);
    mu_buf_put(&out, "\xa0\x80", 2);
    put_pieces(&out, content.value);
    mu_buf_put(&out, "\0\0\0\0", 4);
    mu_buf_put_bytes(&out, in); /* certificates and signerInfos */
    mu_buf_put(&out, "\0\0\0\0\0\0", 6);
    mu_buf_clear(body);
    *body = out;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_is_its_question),
        cmocka_unit_test(each_fault_is_refused_by_its_name),
        cmocka_unit_test(legacy_is_taken_with_the_switch_and_told),
        cmocka_unit_test(an_envelope_for_another_certificate_is_not_opened),
        cmocka_unit_test(a_poll_with_an_ec_key_asks_for_the_password),
        cmocka_unit_test(a_renewal_has_a_signer_that_is_not_self_signed),
        cmocka_unit_test(the_request_digest_is_that_of_the_request),
        cmocka_unit_test(garbage_is_an_http_error),
        cmocka_unit_test(read_is_for_opened_messages_only),
        cmocka_unit_test(a_renewal_needs_proof_of_the_new_key),
        cmocka_unit_test(gcm_requests_are_answered_with_cbc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
