/* The server engine's way in: a request -> claim by path, headers and TLS facts, then with the
 * credential -> question. The way out is in est_server_write.c. */
#include "proto/est/est_server.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "http/http_url.h"
#include "pki/pki_name.h"
#include "proto/est/est_auth.h"
#include "proto/est/est_body.h"
#include "proto/est/est_link.h"
#include "proto/est/est_server_internal.h"

static const enum mu_op ops[MU_EST_OP_N] = {
    [MU_EST_CACERTS] = MU_OP_CA_CERTS,
    [MU_EST_CSRATTRS] = MU_OP_CSR_ATTRS,
    [MU_EST_SIMPLEENROLL] = MU_OP_ENROLL,
    [MU_EST_SIMPLEREENROLL] = MU_OP_ENROLL,
    [MU_EST_SERVERKEYGEN] = MU_OP_KEYGEN,
    [MU_EST_FULLCMC] = MU_OP_ENROLL,
};

bool mu_est_server_is(const struct mu_http_request *request)
{
    return mu_est_http_is(request->target);
}

static const char *name_text(struct mu_bytes name, char *buf, size_t size)
{
    struct mu_buf text = {.max = 16 * 1024};

    mu_pki_name_format(name, MU_PKI_NAME_COMMA, &text);
    mu_text_escape_to(buf, size, mu_buf_bytes(&text));
    mu_buf_clear(&text);
    return buf;
}

/* ---- open ---- */

/* The TLS client's certificate and what came with it. What it is worth, the CA judges at each
 * request; one that cannot be read is none. */
static enum mu_code look_at_peer(struct mu_est_server *s, struct mu_err *err)
{
    const struct mu_http_peer *peer = s->request->peer;
    struct mu_bytes rest;
    struct mu_der el;
    enum mu_code rc = MU_OK;
    char name[200];

    if (peer == NULL)
        return MU_OK;
    if (peer->srp_user != NULL) {
        s->claim.auth = MU_AUTH_SRP;
        s->claim.entry = peer->srp_user;
    }
    if (peer->client_cert.n == 0)
        return MU_OK;
    rc = mu_pki_cert_decode(peer->client_cert, &s->signer, err);
    if (rc != MU_OK) {
        mu_err_narrow(err, MU_REFUSE_SIGNER_UNTRUSTED);
        mu_err_context(err, "est: the TLS client certificate (RFC 7030 3.3.2)");
        return rc;
    }
    s->claim.auth = MU_AUTH_CERT;
    s->claim.signer = s->signer;
    s->claim.signer_is_self_signed = mu_pki_name_equal(s->signer->subject, s->signer->issuer)
        && mu_pki_cert_is_self_signed(s->signer);
    rest = peer->client_chain;
    while (rc == MU_OK && s->claim.extra.n < MU_LIMIT_CERTS && mu_der_next(&rest, &el)) {
        struct mu_pki_cert *cert = NULL;

        if (mu_pki_cert_decode(el.whole, &cert, NULL) != MU_OK)
            continue;
        rc = mu_pki_certs_add(&s->claim.extra, cert, err);
        mu_pki_cert_free(cert);
    }
    mu_est_server_trace(s, MU_TRACE_AUTH, "TLS client certificate %s%s",
        name_text(s->signer->subject, name, sizeof name),
        s->claim.signer_is_self_signed ? ", self-signed" : "");
    return rc;
}

/* Authorization adds a user to what TLS tells (RFC 7030 3.2.3: on top of a certificate). */
static enum mu_code look_at_auth(struct mu_est_server *s, struct mu_err *err)
{
    const char *value
        = mu_http_header_get(s->request->headers, s->request->header_n, "Authorization");
    enum mu_code rc;
    char shown[300];

    if (value == NULL)
        return MU_OK;
    s->has_auth = true;
    rc = mu_http_auth_parse(value, &s->auth, err);
    if (rc == MU_INPUT && s->path.op <= MU_EST_CSRATTRS) { /* which need none */
        s->has_auth = false;
        mu_err_clear(err);
        return MU_OK;
    }
    if (rc != MU_OK) {
        mu_err_narrow(err, MU_REFUSE_PASSWORD);
        mu_err_context(err, "est: Authorization (RFC 7030 3.2.3)");
        return rc;
    }
    if (s->auth.scheme == MU_HTTP_SCHEME_OTHER)
        return MU_OK;
    if (s->claim.auth == MU_AUTH_NONE)
        s->claim.auth = MU_AUTH_PASSWORD;
    s->claim.entry = s->auth.user;
    mu_est_server_trace(s, MU_TRACE_AUTH, "HTTP %s, user %s, password *",
        s->auth.scheme == MU_HTTP_SCHEME_BASIC ? "Basic" : "Digest",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(s->auth.user)));
    return MU_OK;
}

static enum mu_code check_request(struct mu_est_server *s, struct mu_err *err)
{
    const char *method = mu_est_http_method(s->path.op);
    bool head = s->path.op <= MU_EST_CSRATTRS && strcmp(s->request->method, "HEAD") == 0;

    s->wrong_method = !head && strcmp(s->request->method, method) != 0;
    if (s->wrong_method)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "est: %s is asked for by %s (RFC 7030 3.2.2)",
            mu_est_http_op_name(s->path.op), method);
    if (s->path.op == MU_EST_FULLCMC)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
            "est: full CMC is not served here, please use simpleenroll (RFC 7030 4.3)");
    if (s->request->body.n > MU_LIMIT_MESSAGE)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "est: the request has %zu bytes, at most %d are taken", s->request->body.n,
            MU_LIMIT_MESSAGE);
    return MU_OK;
}

static void fill_claim(struct mu_est_server *s)
{
    mu_buf_put_bytes(&s->raw_path, mu_http_target_path(s->request->target));
    s->claim.proto = MU_PROTO_EST;
    s->claim.op = ops[s->path.op];
    s->claim.path = mu_buf_str(&s->raw_path);
    s->claim.message_type = mu_est_http_op_name(s->path.op);
    s->claim.is_renewal = s->path.op == MU_EST_SIMPLEREENROLL;
    if (s->path.label[0] != '\0') {
        s->claim.label = s->path.label;
        s->claim.ca_identifier = s->path.label;
    }
}

enum mu_code mu_est_server_open(const struct mu_env *env, const struct mu_http_request *request,
    struct mu_est_server **out, struct mu_claim *claim, struct mu_err *err)
{
    struct mu_est_server *s = calloc(1, sizeof *s);
    enum mu_code rc;

    *out = NULL;
    memset(claim, 0, sizeof *claim);
    if (s == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REFUSE_INTERNAL, "est: out of memory");
    s->env = env;
    s->request = request;
    mu_buf_init(&s->raw_path, MU_LIMIT_URL);
    rc = mu_est_http_parse(request->target, &s->path, err);
    if (rc != MU_OK) {
        mu_est_server_free(s);
        return rc;
    }
    fill_claim(s);
    rc = mu_buf_check(&s->raw_path, "path", err);
    if (rc == MU_OK)
        rc = check_request(s, err);
    if (rc == MU_OK)
        mu_est_server_trace(s, MU_TRACE_REQUEST, "%s, %zu bytes, label %s",
            mu_est_http_op_name(s->path.op), request->body.n,
            s->claim.label != NULL ? s->claim.label : "none");
    if (rc == MU_OK)
        rc = look_at_peer(s, err);
    if (rc == MU_OK)
        rc = look_at_auth(s, err);
    *claim = s->claim;
    *out = s;
    return rc;
}

void mu_est_server_free(struct mu_est_server *s)
{
    if (s == NULL)
        return;
    mu_buf_clear(&s->raw_path);
    mu_http_auth_clear(&s->auth);
    mu_pki_cert_free(s->signer);
    mu_pki_certs_clear(&s->claim.extra);
    mu_pki_csr_free(s->csr);
    free(s);
}

/* ---- read ---- */

/* The password of an Authorization. cacerts and csrattrs need none (RFC 7030 4.1.2, 4.5.1), so
 * one that clients send unasked does no harm there. */
static enum mu_code check_password(struct mu_est_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    struct mu_est_auth_server auth = {
        .env = s->env,
        .realm = credential->realm != NULL ? credential->realm : MU_EST_SERVER_REALM,
        .nonce_key = credential->nonce_key,
        .allow_legacy = credential->allow_legacy,
    };
    struct mu_err ignored;
    enum mu_code rc;

    if (s->request->peer != NULL && s->request->peer->srp_user != NULL && !s->has_auth)
        question->authenticated = true; /* the handshake has checked it */
    if (!s->has_auth)
        return MU_OK;
    rc = mu_est_auth_check(&auth, &s->auth, credential->password, s->request, &s->stale,
        s->claim.op == MU_OP_CA_CERTS || s->claim.op == MU_OP_CSR_ATTRS ? &ignored : err);
    question->authenticated = rc == MU_OK;
    if (s->claim.op == MU_OP_CA_CERTS || s->claim.op == MU_OP_CSR_ATTRS)
        return MU_OK;
    mu_est_server_trace(s, MU_TRACE_CHECK, "HTTP password %s",
        rc == MU_OK ? "ok" : s->stale ? "not judged, old nonce" : "wrong");
    return rc;
}

/* RFC 7030 3.5. An RA cannot have its clients' binding (3.7), so what it is trusted to have
 * verified counts instead. */
static enum mu_code check_link(struct mu_est_server *s, const struct mu_credential *credential,
    struct mu_err *err)
{
    bool has = mu_secret_is_set(&s->csr->challenge);
    enum mu_code rc;

    if (credential->challenge_is_secret)
        return MU_OK;
    if (!has && !credential->link_required)
        return MU_OK;
    if (credential->ra_verified_ok && s->signer != NULL) {
        mu_est_server_trace(s, MU_TRACE_CHECK, "linking left to the RA");
        return MU_OK;
    }
    if (!has)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_LINK,
            "est: the proof of possession has to be linked to the TLS session: the request has no "
            "challengePassword with the channel binding (RFC 7030 3.5)");
    rc = mu_est_link_check(&s->csr->challenge, s->request->peer, err);
    mu_est_server_trace(
        s, MU_TRACE_CHECK, "linked to this TLS session: %s", rc == MU_OK ? "ok" : "no");
    return rc;
}

/* serverkeygen: key and signature of the CSR say nothing (RFC 7030 4.4.1), but their kind is a
 * wish. */
static void take_key_spec(const struct mu_est_server *s, struct mu_question *question)
{
    struct mu_pki_key *key = NULL;

    if (mu_pki_key_from_spki(s->csr->spki, &key, NULL) != MU_OK)
        return;
    mu_pki_key_spec_of(key, &question->key_spec);
    mu_pki_key_free(key);
}

/* Whether the key could be encrypted as asked for, before one is made (RFC 7030 4.4.1: an unknown
 * identifier is an error). */
static enum mu_code check_delivery(struct mu_est_server *s, const struct mu_credential *credential,
    struct mu_err *err)
{
    enum mu_code rc = mu_est_keygen_get(s->csr, &s->keygen, err);
    size_t wrap;

    if (rc != MU_OK || s->keygen.to == MU_EST_KEYGEN_PLAIN)
        return rc;
    if (s->keygen.to == MU_EST_KEYGEN_CERT) {
        if (mu_est_keygen_names(s->keygen.id, s->signer))
            return MU_OK;
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNDELIVERABLE,
            "est: the key is to be encrypted to a certificate that is not the TLS client's "
            "(RFC 7030 4.4.1.2)");
    }
    if (credential->kek == NULL || !mu_secret_is_set(credential->kek)
        || !mu_bytes_equal(s->keygen.id, credential->kek_id))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNDELIVERABLE,
            "est: the key is to be encrypted to a secret that is not known here "
            "(RFC 7030 4.4.1.1)");
    wrap = credential->kek->n / 8 - 2;
    if (wrap > 2 || !s->keygen.wraps[wrap])
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "est: the AES key wrap of that secret is not among the SMIMECapabilities "
            "(RFC 7030 4.4.1.1)");
    return MU_OK;
}

static enum mu_code check_possession(
    const struct mu_est_server *s, const struct mu_credential *credential, struct mu_err *err)
{
    enum mu_code rc = mu_pki_csr_verify(s->csr, credential->allow_legacy, NULL, err);

    if (rc == MU_OK)
        return MU_OK;
    if (rc == MU_UNSUPPORTED)
        mu_err_narrow(err, MU_REFUSE_ALGORITHM);
    mu_err_context(err, "est: proof of possession (RFC 7030 4.2, RFC 2986 3)");
    return rc;
}

static enum mu_code decode_csr(struct mu_est_server *s, struct mu_err *err)
{
    struct mu_buf der = {.max = 0};
    enum mu_code rc;

    mu_buf_init_secret(&der, MU_LIMIT_MESSAGE); /* a challengePassword may be in it */
    rc = mu_est_body_decode(s->request->body, &der, err);
    if (rc == MU_OK)
        rc = mu_pki_csr_decode(mu_buf_bytes(&der), &s->csr, err);
    if (rc != MU_OK) {
        if (err != NULL && err->reason < MU_REFUSE_FIRST)
            mu_err_narrow(err, rc == MU_UNSUPPORTED ? MU_REFUSE_ALGORITHM : MU_REFUSE_MALFORMED);
        mu_err_context(err, "%s: the PKCS #10 (RFC 7030 4.2.1)", mu_est_http_op_name(s->path.op));
    }
    mu_buf_clear(&der);
    return rc;
}

struct mu_bytes mu_est_server_shared_id(struct mu_est_server *s)
{
    struct mu_est_keygen wish;

    if (s->claim.op != MU_OP_KEYGEN || (s->csr == NULL && decode_csr(s, NULL) != MU_OK)
        || mu_est_keygen_get(s->csr, &wish, NULL) != MU_OK || wish.to != MU_EST_KEYGEN_SECRET)
        return mu_bytes(NULL, 0);
    return wish.id;
}

static enum mu_code read_csr(struct mu_est_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    uint8_t digest[64];
    char name[200];
    enum mu_code rc;

    if (s->csr == NULL && (rc = decode_csr(s, err)) != MU_OK)
        return rc;
    if (s->claim.op == MU_OP_KEYGEN) {
        take_key_spec(s, question);
        if ((rc = check_delivery(s, credential, err)) != MU_OK)
            return rc;
    } else {
        if ((rc = check_possession(s, credential, err)) != MU_OK)
            return rc;
        mu_est_server_trace(s, MU_TRACE_CHECK, "proof of possession ok, %s",
            name_text(s->csr->subject, name, sizeof name));
    }
    if ((rc = check_link(s, credential, err)) != MU_OK)
        return rc;
    /* EST-61: the password that this option takes out of the CSR. */
    if (credential->challenge_is_secret && credential->password != NULL && !s->has_auth
        && mu_secret_is_set(&s->csr->challenge) && mu_secret_is_set(credential->password)
        && mu_bytes_equal_secret(
            mu_secret_bytes(&s->csr->challenge), mu_secret_bytes(credential->password)))
        question->authenticated = true;
    if (mu_pki_digest(MU_PKI_SHA256, s->csr->info, digest) == 0)
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "est: SHA-256 failed");
    memcpy(s->request_digest, digest, sizeof s->request_digest);
    question->csr = s->csr;
    question->request_digest = mu_bytes(s->request_digest, sizeof s->request_digest);
    return MU_OK;
}

enum mu_code mu_est_server_read(struct mu_est_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err)
{
    enum mu_code rc;

    memset(question, 0, sizeof *question);
    question->op = s->claim.op;
    question->claim = s->claim;
    question->peer = s->request->peer;
    rc = check_password(s, credential, question, err);
    if (rc == MU_OK && (s->claim.op == MU_OP_ENROLL || s->claim.op == MU_OP_KEYGEN))
        rc = read_csr(s, credential, question, err);
    return rc;
}
