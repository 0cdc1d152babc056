/* The server engine's way in: bytes -> claim with public-key work only, then with the credential
 * -> question. The way out is in scep_server_write.c. */
#include "proto/scep/scep_server.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_server_internal.h"

static const struct { int type; enum mu_op op; } ops[] = {
    {MU_SCEP_PKCS_REQ, MU_OP_ENROLL},
    {MU_SCEP_RENEWAL_REQ, MU_OP_ENROLL},
    {MU_SCEP_UPDATE_REQ, MU_OP_ENROLL},
    {MU_SCEP_CERT_POLL, MU_OP_POLL},
    {MU_SCEP_GET_CERT, MU_OP_GET_CERT},
    {MU_SCEP_GET_CRL, MU_OP_GET_CRL},
};

static const char *name_text(struct mu_bytes name, char *buf, size_t size)
{
    struct mu_buf text = {.max = 16 * 1024};

    mu_pki_name_format(name, MU_PKI_NAME_COMMA, &text);
    mu_text_escape_to(buf, size, mu_buf_bytes(&text));
    mu_buf_clear(&text);
    return buf;
}

static void trace_message(const struct mu_scep_server *s)
{
    struct mu_buf nonce = {.max = 256};
    char id[2 * MU_LIMIT_TRANSACTION_ID];

    if (!mu_trace_on(s->env))
        return;
    mu_text_hex(&nonce, mu_bytes(s->msg.sender_nonce.p, s->msg.sender_nonce.n), 0);
    mu_scep_server_trace(s, MU_TRACE_REQUEST, "transaction id: %s",
        mu_text_escape_to(id, sizeof id, mu_bytes_str(s->msg.transaction_id)));
    mu_scep_server_trace(s, MU_TRACE_REQUEST, "messageType %d, %s, senderNonce %s", s->msg.type,
        mu_scep_type_name(s->msg.type), nonce.n != 0 ? mu_buf_str(&nonce) : "none");
    mu_scep_server_trace(s, MU_TRACE_REQUEST, "signed %s, envelope %zu bytes",
        s->msg.cms.digest != MU_PKI_DIGEST_NONE ? mu_pki_digest_title(s->msg.cms.digest)
                                                : "without a digest of its own",
        s->msg.envelope.n);
    if (s->msg.attrs_strange || s->msg.sender_nonce.n == 0)
        mu_scep_server_trace(s, MU_TRACE_REQUEST,
            "note: attributes are not as RFC 8894 3.2.1 wants them%s",
            s->msg.sender_nonce.n == 0 ? " (no senderNonce)" : "");
    mu_buf_clear(&nonce);
}

static enum mu_code find_op(struct mu_scep_server *s, struct mu_err *err)
{
    size_t i;

    for (i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (ops[i].type == s->msg.type) {
            s->claim.op = ops[i].op;
            return MU_OK;
        }
    }
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "scep: messageType %d (%s) is no request (RFC 8894 3.2.1.2)", s->msg.type,
        mu_scep_type_name(s->msg.type));
}

/* The included certificate that the SignerInfo names has signed (SCEP-40). Whether its algorithms
 * are too weak is judged in read, with the CA's switch. */
static enum mu_code check_signature(struct mu_scep_server *s, struct mu_err *err)
{
    char name[200];
    enum mu_code rc;

    s->signer = mu_pki_signed_signer(&s->msg.cms);
    if (s->signer == NULL)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "scep: the certificate that signed the message is not in it (RFC 8894 2.3)");
    s->claim.signer = s->signer;
    rc = mu_pki_signed_verify(&s->msg.cms, s->signer, true, err);
    if (rc != MU_OK) {
        mu_err_narrow(err, rc == MU_UNSUPPORTED ? MU_REFUSE_ALGORITHM : MU_REFUSE_SIGNATURE);
        mu_err_context(err, "scep: the message's signature (RFC 8894 3.2)");
        return rc;
    }
    s->claim.signer_is_self_signed = mu_pki_name_equal(s->signer->subject, s->signer->issuer)
        && mu_pki_cert_is_self_signed(s->signer);
    mu_scep_server_trace(s, MU_TRACE_CHECK, "message signature ok, %s%s",
        name_text(s->signer->subject, name, sizeof name),
        s->claim.signer_is_self_signed ? ", self-signed" : "");
    return MU_OK;
}

static bool signer_can_decrypt(const struct mu_scep_server *s)
{
    struct mu_pki_key *key;

    return s->signer != NULL && mu_pki_cert_key(s->signer, &key, NULL) == MU_OK
        && mu_pki_key_can_encrypt(key);
}

static enum mu_code look_at_envelope(struct mu_scep_server *s, struct mu_err *err)
{
    enum mu_code rc;

    if (s->msg.envelope.n == 0)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "scep: a request without an envelope (RFC 8894 3.2)");
    rc = mu_scep_msg_envelope(&s->msg, &s->enveloped, err);
    if (rc != MU_OK) {
        mu_err_narrow(err, rc == MU_UNSUPPORTED ? MU_REFUSE_ALGORITHM : MU_REFUSE_MALFORMED);
        mu_err_context(err, "scep: the envelope (RFC 8894 3.2.2)");
        return rc;
    }
    s->has_enveloped = true;
    if (s->enveloped.kind != MU_PKI_RECIPIENT_KTRI && s->enveloped.kind != MU_PKI_RECIPIENT_PWRI)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "scep: the envelope has a kind of recipient that is not supported (RFC 8894 3.1)");
    s->claim.recipient_issuer = s->enveloped.rid_issuer;
    s->claim.recipient_serial = s->enveloped.rid_serial;
    s->claim.recipient_skid = s->enveloped.rid_skid;
    /* A poll or query has no challenge in it to envelope the answer with. */
    s->claim.needs_password = s->enveloped.kind == MU_PKI_RECIPIENT_PWRI
        || (s->claim.op != MU_OP_ENROLL && !signer_can_decrypt(s));
    return MU_OK;
}

static enum mu_code open_message(
    struct mu_scep_server *s, struct mu_bytes body, struct mu_err *err)
{
    enum mu_code rc;

    rc = mu_scep_msg_decode(body, &s->msg, err);
    if (rc != MU_OK) {
        if (err != NULL && err->reason < MU_REFUSE_FIRST)
            mu_err_narrow(
                err, rc == MU_UNSUPPORTED ? MU_REFUSE_ALGORITHM : MU_REFUSE_MALFORMED);
        return rc;
    }
    s->has_msg = true;
    s->claim.transaction_id = s->msg.transaction_id;
    s->claim.message_type = mu_scep_type_name(s->msg.type);
    trace_message(s);
    if ((rc = find_op(s, err)) != MU_OK || (rc = check_signature(s, err)) != MU_OK)
        return rc;
    return look_at_envelope(s, err);
}

static const char *op_word(enum mu_scep_http_op op)
{
    return op == MU_SCEP_HTTP_CAPS ? "GetCACaps"
        : op == MU_SCEP_HTTP_CA_CERT ? "GetCACert"
                                     : "GetNextCACert";
}

static enum mu_code open_http(struct mu_scep_server *s, struct mu_buf *body, struct mu_err *err)
{
    static const enum mu_op simple[] = {
        [MU_SCEP_HTTP_CAPS] = MU_OP_CAPS,
        [MU_SCEP_HTTP_CA_CERT] = MU_OP_CA_CERTS,
        [MU_SCEP_HTTP_NEXT_CA] = MU_OP_NEXT_CA,
        [MU_SCEP_HTTP_PKI_OPERATION] = MU_OP_ENROLL,
    };
    enum mu_code rc;

    mu_buf_put_bytes(&s->path, mu_http_target_path(s->request->target));
    rc = mu_buf_check(&s->path, "path", err);
    if (rc == MU_OK)
        rc = mu_scep_http_request(s->request, &s->http_op, &s->ca_identifier, body, err);
    if (rc != MU_OK)
        return rc;
    s->claim.proto = MU_PROTO_SCEP;
    s->claim.op = simple[s->http_op];
    s->claim.path = mu_buf_str(&s->path);
    if (s->ca_identifier.n != 0)
        s->claim.ca_identifier = mu_buf_str(&s->ca_identifier);
    return MU_OK;
}

enum mu_code mu_scep_server_open(const struct mu_env *env, const struct mu_http_request *request,
    struct mu_scep_server **out, struct mu_claim *claim, struct mu_err *err)
{
    struct mu_scep_server *s = calloc(1, sizeof *s);
    struct mu_buf body = {.max = MU_LIMIT_MESSAGE};
    enum mu_code rc;

    *out = NULL;
    memset(claim, 0, sizeof *claim);
    if (s == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REFUSE_INTERNAL, "scep: out of memory");
    s->env = env;
    s->request = request;
    mu_buf_init(&s->ca_identifier, 2048);
    mu_buf_init(&s->path, MU_LIMIT_URL);
    mu_buf_init_secret(&s->plain, MU_LIMIT_MESSAGE);
    rc = open_http(s, &body, err);
    if (rc == MU_OK && s->http_op == MU_SCEP_HTTP_PKI_OPERATION)
        rc = open_message(s, mu_buf_bytes(&body), err);
    else if (rc == MU_OK)
        mu_scep_server_trace(s, MU_TRACE_REQUEST, "%s", op_word(s->http_op));
    mu_buf_clear(&body);
    if (rc != MU_OK && !s->has_msg) {
        mu_scep_server_free(s);
        return rc;
    }
    /* A message whose transaction is known gets its refusal in a CertRep. */
    *claim = s->claim;
    *out = s;
    return rc;
}

/* ---- read ---- */

bool mu_scep_server_deliverable(const struct mu_scep_server *s,
    const struct mu_credential *credential, const struct mu_secret **password)
{
    *password = NULL;
    if (signer_can_decrypt(s))
        return true;
    if (credential->password != NULL && mu_secret_is_set(credential->password))
        *password = credential->password;
    else if (s->csr != NULL && mu_secret_is_set(&s->csr->challenge))
        *password = &s->csr->challenge;
    return *password != NULL;
}

static enum mu_code check_algorithms(
    const struct mu_scep_server *s, const struct mu_credential *credential, struct mu_err *err)
{
    enum mu_pki_digest digest = s->msg.cms.digest;
    enum mu_pki_cipher cipher = s->enveloped.cipher;
    bool weak_digest = mu_pki_digest_is_legacy(digest);
    bool weak_cipher = mu_pki_cipher_is_legacy(cipher);

    if (!weak_digest && !weak_cipher)
        return MU_OK;
    if (!credential->allow_legacy)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "scep: %s%s%s is too weak to be taken without allow-legacy (RFC 8894 2.9)",
            weak_cipher ? mu_pki_cipher_title(cipher) : "",
            weak_cipher && weak_digest ? " with " : "",
            weak_digest ? mu_pki_digest_title(digest) : "");
    mu_scep_server_trace(s, MU_TRACE_CHECK, "warning: legacy algorithms taken: %s, %s",
        mu_pki_cipher_title(cipher), mu_pki_digest_title(digest));
    return MU_OK;
}

/* From the private key on until the request has shown to be its sender's, there is one answer to
 * all that may be wrong. Whoever sends recorded envelopes, changed a little, would else learn from
 * the differences what is in them (COM-13). Only our own trace tells more. */
static enum mu_code unreadable(
    const struct mu_scep_server *s, enum mu_code rc, const struct mu_err *why, struct mu_err *err)
{
    mu_scep_server_trace(
        s, MU_TRACE_CHECK, "unreadable: %s", why != NULL ? why->what : "see the answer");
    if (rc == MU_MEMORY || rc == MU_INTERNAL)
        return rc;
    return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
        "scep: the message cannot be decrypted, or holds no request that was signed with its own "
        "key (RFC 8894 3.2.2, 3.3.1)");
}

/* Polls and queries go on without their content (SCEP-63), which then names nothing (SCEP-73). */
static enum mu_code opened(struct mu_scep_server *s, enum mu_code rc, struct mu_err *err)
{
    if (rc == MU_OK)
        mu_scep_server_trace(s, MU_TRACE_CHECK, "decrypted %s, %zu bytes",
            mu_pki_cipher_title(s->enveloped.cipher), s->plain.n);
    if (rc != MU_AUTH)
        return rc;
    rc = unreadable(s, rc, err, err);
    if (s->claim.op == MU_OP_ENROLL)
        return rc;
    mu_err_clear(err);
    return MU_OK;
}

static enum mu_code decrypt(
    struct mu_scep_server *s, const struct mu_credential *credential, struct mu_err *err)
{
    enum mu_code rc;

    if (s->enveloped.kind == MU_PKI_RECIPIENT_PWRI) {
        if (credential->password == NULL || !mu_secret_is_set(credential->password))
            return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
                "scep: the message is encrypted to a password that is not known here "
                "(RFC 8894 3.1)");
        rc = mu_pki_enveloped_open_password(
            &s->enveloped, credential->password, credential->allow_legacy, &s->plain, err);
    } else {
        if (credential->cert == NULL || credential->key == NULL
            || !mu_pki_enveloped_is_for(&s->enveloped, credential->cert))
            return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
                "scep: the message is encrypted to another certificate than ours (RFC 8894 3.2.2)");
        rc = mu_pki_enveloped_open(
            &s->enveloped, credential->key, credential->allow_legacy, &s->plain, err);
    }
    return opened(s, rc, err);
}

/* Proof of possession (COM-18). What is wrong with it is told to who has the request's key, and to
 * whoever proves possession with an algorithm too weak for us; both have made the request. */
static enum mu_code check_possession(
    const struct mu_scep_server *s, const struct mu_credential *credential, struct mu_err *err)
{
    enum mu_code rc = mu_pki_csr_verify(s->csr, credential->allow_legacy, NULL, err);

    if (rc == MU_OK)
        return MU_OK;
    if (!mu_bytes_equal(s->signer->spki, s->csr->spki)
        && (rc != MU_UNSUPPORTED || mu_pki_csr_verify(s->csr, true, NULL, NULL) != MU_OK))
        return unreadable(s, rc, err, err);
    if (rc == MU_UNSUPPORTED)
        mu_err_narrow(err, MU_REFUSE_ALGORITHM);
    mu_err_context(err, "scep: proof of possession (RFC 2986 3)");
    return rc;
}

static enum mu_code read_csr(struct mu_scep_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    const struct mu_secret *password;
    uint8_t digest[64];
    char name[200];
    enum mu_code rc;

    rc = mu_pki_csr_decode(mu_buf_bytes(&s->plain), &s->csr, err);
    if (rc != MU_OK)
        return unreadable(s, rc, err, err);
    if ((rc = check_possession(s, credential, err)) != MU_OK)
        return rc;
    mu_scep_server_trace(s, MU_TRACE_CHECK, "proof of possession ok, %s",
        name_text(s->csr->subject, name, sizeof name));
    /* SCEP-53: the key counts, not the name (INTEROP 3.10). */
    if (s->claim.signer_is_self_signed && !mu_bytes_equal(s->signer->spki, s->csr->spki))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNER_KEY,
            "scep: the self-signed signer's key is not that of the request (RFC 8894 2.4)");
    if (!mu_scep_server_deliverable(s, credential, &password))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNDELIVERABLE,
            "scep: the answer could not be encrypted: the signer's key is not RSA, and there is "
            "no challenge password (RFC 8894 3.1)");
    if (mu_pki_digest(MU_PKI_SHA256, s->csr->info, digest) == 0)
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "scep: SHA-256 failed");
    memcpy(s->request_digest, digest, sizeof s->request_digest);
    question->csr = s->csr;
    question->request_digest = mu_bytes(s->request_digest, sizeof s->request_digest);
    return MU_OK;
}

static enum mu_code read_data(struct mu_scep_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    struct mu_bytes plain = mu_buf_bytes(&s->plain);
    const struct mu_secret *password;

    if (s->claim.op == MU_OP_ENROLL)
        return read_csr(s, credential, question, err);
    /* SCEP-36: what a poll is answered with may lie beside its request, which is looked up later. */
    if (s->claim.op != MU_OP_POLL && !mu_scep_server_deliverable(s, credential, &password))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNDELIVERABLE,
            "scep: the answer could not be encrypted: the signer's key is not RSA (RFC 8894 3.1)");
    if (s->claim.op == MU_OP_POLL) {
        /* SCEP-63: the transaction decides; what the message names is only told. */
        if (!mu_scep_msg_get_poll(plain, &question->issuer, &question->subject))
            mu_scep_server_trace(s, MU_TRACE_CHECK,
                "note: CertPoll without issuer and subject (RFC 8894 3.3.3)");
        return MU_OK;
    }
    if (!mu_scep_msg_get_serial(plain, &question->issuer, &question->serial))
        mu_scep_server_trace(s, MU_TRACE_CHECK,
            "note: %s without issuer and serial number (RFC 8894 3.3.4)", s->claim.message_type);
    return MU_OK;
}

enum mu_code mu_scep_server_read(struct mu_scep_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    struct mu_question q = {.op = s->claim.op, .claim = s->claim, .peer = s->request->peer};
    enum mu_code rc;

    if (!s->has_msg) {
        *question = q;
        return MU_OK;
    }
    /* read after a failed open, or twice, is a fault of the caller */
    if (s->signer == NULL || !s->has_enveloped || s->plain.n != 0)
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "scep: nothing to read");
    if ((rc = check_algorithms(s, credential, err)) != MU_OK
        || (rc = decrypt(s, credential, err)) != MU_OK
        || (rc = read_data(s, credential, &q, err)) != MU_OK) {
        mu_scep_server_trace(
            s, MU_TRACE_CHECK, "refused: %s", err != NULL ? err->what : "see the answer");
        return rc;
    }
    *question = q;
    return MU_OK;
}

void mu_scep_server_free(struct mu_scep_server *s)
{
    if (s == NULL)
        return;
    mu_buf_clear(&s->ca_identifier);
    mu_buf_clear(&s->path);
    mu_scep_msg_clear(&s->msg);
    mu_pki_enveloped_clear(&s->enveloped);
    mu_buf_clear(&s->plain);
    mu_pki_csr_free(s->csr);
    free(s);
}
