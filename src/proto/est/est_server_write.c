/* The server engine's way out: decision -> certs-only, 202, multipart, or an error with its
 * sentence in text/plain (RFC 7030 4.2.3). */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_key_package.h"
#include "proto/est/est_auth.h"
#include "proto/est/est_body.h"
#include "proto/est/est_csrattrs.h"
#include "proto/est/est_msg.h"
#include "proto/est/est_multipart.h"
#include "proto/est/est_server_internal.h"

enum { RETRY_AFTER_S = 60 };

/* What is not served or not understood leaves a mark of its own. */
static int status_of(const struct mu_est_server *s, const struct mu_err *failed)
{
    static const int by_code[] = {
        [MU_INPUT] = 400, [MU_AUTH] = 403, [MU_DENIED] = 403, [MU_NOT_FOUND] = 404,
        [MU_BUSY] = 503, [MU_UNSUPPORTED] = 501, [MU_MEMORY] = 503, [MU_INTERNAL] = 500,
    };
    const struct mu_err_row *row = mu_err_row(failed->reason);
    int status = 0;

    if (s != NULL && s->wrong_method)
        return 405;
    if (row != NULL && row->reason >= MU_REFUSE_FIRST)
        status = row->http_status;
    if (status < 400 && (size_t)failed->code < sizeof by_code / sizeof by_code[0])
        status = by_code[failed->code];
    return status < 400 ? 500 : status;
}

static enum mu_code put_retry(
    int64_t retry_s, struct mu_http_response *response, struct mu_err *err)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)retry_s);
    return mu_http_response_add(response, "Retry-After", text, err);
}

static enum mu_code write_text(const struct mu_err *failed, int status,
    struct mu_http_response *response, struct mu_err *err)
{
    const struct mu_err_row *row = mu_err_row(failed->reason);
    struct mu_buf text = {.max = 2048};
    enum mu_code rc;

    mu_buf_putf(&text, "%s\n", failed->what[0] != '\0' ? failed->what
            : row != NULL                              ? row->what
                                                       : "The request was refused.");
    rc = mu_http_response_set(response, status, "text/plain", mu_buf_bytes(&text), err);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_est_server_http_error(
    const struct mu_err *failed, struct mu_http_response *response, struct mu_err *err)
{
    return write_text(failed, status_of(NULL, failed), response, err);
}

static enum mu_code write_refusal(struct mu_est_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_err *err)
{
    const struct mu_err *failed = &decision->refusal;
    struct mu_est_auth_server auth = {.env = s->env, .realm = MU_EST_SERVER_REALM};
    int status = status_of(s, failed);
    enum mu_code rc;

    if (credential != NULL) {
        auth.realm = credential->realm != NULL ? credential->realm : MU_EST_SERVER_REALM;
        auth.nonce_key = credential->nonce_key;
        auth.allow_legacy = credential->allow_legacy;
    }
    rc = write_text(failed, status, response, err);
    if (rc == MU_OK && status == 401)
        rc = mu_est_auth_offer(&auth, s->stale, response, err);
    if (rc == MU_OK && status == 405)
        rc = mu_http_response_add(response, "Allow", mu_est_http_method(s->path.op), err);
    if (rc == MU_OK && decision->retry_after_s > 0)
        rc = put_retry(decision->retry_after_s, response, err);
    if (rc == MU_OK)
        mu_est_server_trace(s, MU_TRACE_REPLY, "HTTP %d, \"%s\"", status, failed->what);
    return rc;
}

/* EST-48: always with Retry-After. */
static enum mu_code write_pending(struct mu_est_server *s, const struct mu_decision *decision,
    struct mu_http_response *response, struct mu_err *err)
{
    static const char text[] = "The request waits for approval. Please repeat it then.\n";
    int64_t retry_s = decision->retry_after_s > 0 ? decision->retry_after_s : RETRY_AFTER_S;
    enum mu_code rc;

    rc = mu_http_response_set(response, 202, "text/plain", mu_bytes_str(text), err);
    if (rc == MU_OK)
        rc = put_retry(retry_s, response, err);
    if (rc == MU_OK)
        mu_est_server_trace(
            s, MU_TRACE_REPLY, "HTTP 202, Retry-After %lld", (long long)retry_s);
    return rc;
}

static enum mu_code write_body(struct mu_bytes der, const char *type, bool one_line,
    struct mu_http_response *response, struct mu_err *err)
{
    struct mu_buf body = {.max = 2 * MU_LIMIT_REPLY};
    enum mu_code rc;

    mu_est_body_encode(&body, der, one_line);
    rc = mu_buf_check(&body, "answer", err);
    if (rc == MU_OK)
        rc = mu_http_response_set(response, 200, type, mu_buf_bytes(&body), err);
    if (rc == MU_OK)
        rc = mu_http_response_add(response, "Content-Transfer-Encoding", "base64", err);
    mu_buf_clear(&body);
    return rc;
}

static enum mu_code add_all(
    struct mu_pki_certs *to, const struct mu_pki_certs *from, struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; from != NULL && i < from->n && rc == MU_OK; i++)
        rc = mu_pki_certs_add(to, from->v[i], err);
    return rc;
}

/* EST-34, EST-35: the chain, and what leads from the old root to the new one. */
static enum mu_code write_ca_certs(struct mu_est_server *s, const struct mu_credential *credential,
    struct mu_http_response *response, struct mu_err *err)
{
    struct mu_pki_certs list = {.n = 0};
    struct mu_buf der = {.max = MU_LIMIT_REPLY};
    enum mu_code rc;

    rc = add_all(&list, credential->ca_chain, err);
    if (rc == MU_OK)
        rc = add_all(&list, credential->next_ca, err);
    if (rc == MU_OK && list.n == 0)
        rc = mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "est: a CA without its certificate");
    if (rc == MU_OK)
        rc = mu_est_msg_certs_encode(&list, &der, err);
    if (rc == MU_OK)
        rc = write_body(
            mu_buf_bytes(&der), MU_EST_MEDIA_PKCS7, credential->one_line, response, err);
    if (rc == MU_OK)
        mu_est_server_trace(s, MU_TRACE_REPLY, "HTTP 200, %zu CA certificate%s", list.n,
            list.n == 1 ? "" : "s");
    mu_pki_certs_clear(&list);
    mu_buf_clear(&der);
    return rc;
}

static enum mu_code write_csr_attrs(struct mu_est_server *s,
    const struct mu_credential *credential, const struct mu_decision *decision,
    struct mu_http_response *response, struct mu_err *err)
{
    struct mu_bytes attrs = decision != NULL ? decision->csr_attrs : mu_bytes(NULL, 0);
    struct mu_buf der = {.max = MU_LIMIT_MESSAGE};
    enum mu_code rc = MU_OK;

    /* EST-55: who demands linking says so. */
    if (credential->link_required && !credential->challenge_is_secret)
        rc = mu_est_csrattrs_add(attrs, MU_EST_OID_CHALLENGE_PASSWORD, &der, err);
    else
        mu_buf_put_bytes(&der, attrs);
    if (rc == MU_OK)
        rc = mu_buf_check(&der, "CSR attributes", err);
    if (rc == MU_OK && der.n == 0) {
        response->status = 204; /* RFC 7030 4.5.2 */
        mu_est_server_trace(s, MU_TRACE_REPLY, "HTTP 204, no wishes");
    } else if (rc == MU_OK) {
        rc = write_body(
            mu_buf_bytes(&der), MU_EST_MEDIA_CSRATTRS, credential->one_line, response, err);
        mu_est_server_trace(s, MU_TRACE_REPLY, "HTTP 200, CSR attributes, %zu bytes", der.n);
    }
    mu_buf_clear(&der);
    return rc;
}

/* The issued certificate alone (EST-39), with its chain where a device needs it (INTEROP 3.20). */
static enum mu_code certs_only(const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_buf *der, struct mu_err *err)
{
    struct mu_pki_certs list = {.n = 0};
    enum mu_code rc;

    if (decision->cert == NULL)
        return mu_err_set(
            err, MU_INTERNAL, MU_REFUSE_INTERNAL, "est: a decision without its certificate");
    rc = mu_pki_certs_add(&list, decision->cert, err);
    if (rc == MU_OK && credential->chain_in_reply)
        rc = add_all(&list, decision->chain, err);
    if (rc == MU_OK)
        rc = mu_est_msg_certs_encode(&list, der, err);
    mu_pki_certs_clear(&list);
    return rc;
}

/* The key as PrivateKeyInfo, or signed by who made it and encrypted as the client wants it. */
static enum mu_code key_part(struct mu_est_server *s, const struct mu_credential *credential,
    const struct mu_pki_key *key, struct mu_buf *der, struct mu_err *err)
{
    bool has_kga = credential->kga_key != NULL && credential->kga_cert != NULL;
    struct mu_pki_key_package_params params = {
        .key = key,
        .signer_key = has_kga ? credential->kga_key : credential->key,
        .signer = has_kga ? credential->kga_cert : credential->cert,
        .without_public = true,
        .to = {.cipher = s->keygen.cipher, .allow_legacy = credential->allow_legacy},
    };

    if (key == NULL)
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "est: a decision without its key");
    if (s->keygen.to == MU_EST_KEYGEN_PLAIN)
        return mu_est_msg_key_encode(key, der, err);
    if (s->keygen.to == MU_EST_KEYGEN_CERT) {
        params.to.recipient = s->signer;
        params.to.rid_by_skid = true;
    } else {
        params.to.kek = credential->kek;
        params.to.kek_id = credential->kek_id;
    }
    return mu_pki_key_package_make(&params, s->env, der, err);
}

static void put_part(struct mu_buf *body, const char *boundary, const char *type,
    const struct mu_buf *der, bool one_line)
{
    struct mu_buf text = {.max = 0};

    mu_buf_init_secret(&text, 2 * MU_LIMIT_REPLY);
    mu_est_body_encode(&text, mu_buf_bytes(der), one_line);
    mu_est_multipart_put(body, boundary, type, mu_buf_bytes(&text));
    if (text.failed)
        body->failed = true;
    mu_buf_clear(&text);
}

static enum mu_code write_key(struct mu_est_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_err *err)
{
    const char *key_type
        = s->keygen.to == MU_EST_KEYGEN_PLAIN ? MU_EST_MEDIA_PKCS8 : MU_EST_MEDIA_KEY_CMS;
    struct mu_buf key = {.max = 0}, body = {.max = 0}, certs = {.max = MU_LIMIT_REPLY};
    char boundary[MU_EST_BOUNDARY_MAX + 1], type[160];
    enum mu_code rc;

    mu_buf_init_secret(&key, MU_LIMIT_MESSAGE);
    mu_buf_init_secret(&body, 2 * MU_LIMIT_REPLY);
    rc = key_part(s, credential, decision->key, &key, err);
    if (rc == MU_OK)
        rc = certs_only(credential, decision, &certs, err);
    if (rc == MU_OK)
        rc = mu_est_multipart_boundary(s->env, boundary, err);
    if (rc != MU_OK)
        goto out;
    put_part(&body, boundary, key_type, &key, credential->one_line);
    put_part(&body, boundary, MU_EST_MEDIA_CERTS_ONLY, &certs, credential->one_line);
    mu_est_multipart_end(&body, boundary);
    rc = mu_buf_check(&body, "key and certificate", err);
    snprintf(type, sizeof type, MU_EST_MEDIA_MULTIPART "; boundary=%s", boundary);
    response->body.secret = true;
    if (rc == MU_OK)
        rc = mu_http_response_set(response, 200, type, mu_buf_bytes(&body), err);
    if (rc == MU_OK)
        mu_est_server_trace(s, MU_TRACE_REPLY, "HTTP 200, key * and certificate");
out:
    mu_buf_clear(&key);
    mu_buf_clear(&body);
    mu_buf_clear(&certs);
    return rc;
}

static enum mu_code write_issued(struct mu_est_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_err *err)
{
    struct mu_buf der = {.max = MU_LIMIT_REPLY};
    enum mu_code rc;

    if (s->claim.op == MU_OP_KEYGEN)
        return write_key(s, credential, decision, response, err);
    rc = certs_only(credential, decision, &der, err);
    if (rc == MU_OK)
        rc = write_body(
            mu_buf_bytes(&der), MU_EST_MEDIA_CERTS_ONLY, credential->one_line, response, err);
    if (rc == MU_OK)
        mu_est_server_trace(s, MU_TRACE_REPLY, "HTTP 200, certificate, %zu bytes", der.n);
    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_est_server_write(struct mu_est_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_err *err)
{
    if (decision != NULL && decision->verdict == MU_VERDICT_REFUSED)
        return write_refusal(s, credential, decision, response, err);
    if (decision != NULL && decision->verdict == MU_VERDICT_PENDING)
        return write_pending(s, decision, response, err);
    if (s->claim.op == MU_OP_CA_CERTS)
        return write_ca_certs(s, credential, response, err);
    if (s->claim.op == MU_OP_CSR_ATTRS)
        return write_csr_attrs(s, credential, decision, response, err);
    if (decision != NULL && decision->verdict == MU_VERDICT_ISSUED)
        return write_issued(s, credential, decision, response, err);
    return mu_err_set(
        err, MU_INTERNAL, MU_REFUSE_INTERNAL, "est: a request was left without a decision");
}
