/* The server engine's way out: header, extraCerts, protection, HTTP; and what is kept. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_server_internal.h"

/* ---- what is kept ---- */

/* SHA-256, and what the signature implies if that is another; any other that a certConf may name
 * is computed when it comes, which is hardly ever. */
static bool hashes(const struct mu_pki_cert *cert, uint8_t out[MU_CMP_KEPT_HASHES][64],
    struct mu_cmp_kept *kept)
{
    kept->hash = mu_cmp_kept_hash_of(cert);
    for (int i = 0; i < MU_CMP_KEPT_HASHES; i++) {
        kept->hashes[i] = mu_bytes(NULL, 0);
        if (i != 0 && (int)kept->hash != MU_PKI_SHA256 + i)
            continue;
        kept->hashes[i] = mu_bytes(out[i], mu_pki_digest(MU_PKI_SHA256 + i, cert->der, out[i]));
        if (kept->hashes[i].n == 0)
            return false;
    }
    return true;
}

/* Filled while the answer is made. first is what an enrollment's own answer begins with. */
static enum mu_code kept_begin(struct mu_cmp_server *s, const struct mu_credential *credential,
    struct mu_cmp_kept *kept, struct mu_err *err)
{
    struct mu_cmp_kept before;

    if (s->has_kept) {
        *kept = s->kept;
        return MU_OK;
    }
    *kept = (struct mu_cmp_kept){
        .type = s->msg->has_body ? (int)s->msg->body.type : 0,
        .cert_req_id = s->cert_req_id,
        .protection = s->protection,
        /* the certConf is the proof: it cannot be done without (CMP-66) */
        .implicit_asked = s->msg->header.implicit_confirm && !s->encrypts,
        .encrypts = s->encrypts,
    };
    if (s->protection == MU_CMP_BY_MAC)
        kept->reference = mu_buf_bytes(&s->entry);
    else if (s->signer != NULL)
        kept->signer = s->signer->der;
    /* The same message once more: what answers the one answer answers the other, or whoever sees a
     * request could end its transaction by repeating it. */
    if (credential != NULL && credential->kept.n != 0
        && mu_cmp_kept_decode(credential->kept, &before, NULL) == MU_OK) {
        memcpy(kept->nonce_key, before.nonce_key, sizeof kept->nonce_key);
        return MU_OK;
    }
    return mu_env_random(s->env, kept->nonce_key, sizeof kept->nonce_key, err);
}

/* ---- header ---- */

/* CMP-125: the version that came, or the nearest we speak. */
static int answer_version(int pvno)
{
    return pvno < MU_CMP_2000 ? MU_CMP_2000 : pvno > MU_CMP_2021 ? MU_CMP_2021 : pvno;
}

/* CMP-115. */
static enum mu_code header(struct mu_cmp_server *s, const struct mu_cmp_kept *kept,
    uint8_t nonce[MU_CMP_NONCE], struct mu_cmp_header *h, struct mu_err *err)
{
    const struct mu_cmp_header *asked = &s->msg->header;

    if (!s->msg->has_header)
        asked = &s->first.header;
    *h = (struct mu_cmp_header){
        .pvno = answer_version(asked->pvno),
        .recipient = asked->sender,
        .has_time = true,
        .time_s = mu_env_now(s->env),
        .transaction_id = asked->transaction_id,
        .sender_nonce = mu_bytes(nonce, MU_CMP_NONCE),
        .recip_nonce = asked->sender_nonce,
    };
    return mu_cmp_kept_nonce(kept->nonce_key, s->env, nonce, err);
}

/* CMP-73, CMP-74, CMP-16: no confirmation if the client asks for none and the CA needs none. */
static void confirmation(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_cmp_kept *kept, struct mu_cmp_header *h)
{
    h->implicit_confirm = kept->implicit_asked && credential->allow_implicit_confirm;
    if (!h->implicit_confirm && credential->confirm_wait_s > 0)
        h->confirm_wait_s = mu_env_now(s->env) + credential->confirm_wait_s;
}

/* ---- extraCerts ---- */

static bool in_list(const struct mu_pki_certs *list, const struct mu_pki_cert *cert)
{
    for (size_t i = 0; i < list->n; i++)
        if (mu_pki_cert_equal(list->v[i], cert))
            return true;
    return false;
}

/* CMP-37: without self-signed certificates, which nobody trusts for being there. */
static enum mu_code add_chain(struct mu_pki_certs *extra, const struct mu_pki_certs *chain,
    struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; chain != NULL && i < chain->n && rc == MU_OK; i++)
        if (!mu_pki_name_equal(chain->v[i]->subject, chain->v[i]->issuer)
            && !in_list(extra, chain->v[i]))
            rc = mu_pki_certs_add(extra, chain->v[i], err);
    return rc;
}

/* CMP-34..CMP-36: the certificate that protects and its chain, then that of the new one. */
static enum mu_code extra_certs(const struct mu_cmp_protector *how,
    const struct mu_credential *credential, const struct mu_decision *decision, bool issued,
    struct mu_pki_certs *extra, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (how->mac == NULL && how->key != NULL) {
        rc = mu_pki_certs_add(extra, credential->cert, err);
        if (rc == MU_OK)
            rc = add_chain(extra, credential->ca_chain, err);
    }
    if (rc == MU_OK && issued)
        rc = add_chain(
            extra, decision->chain != NULL ? decision->chain : credential->ca_chain, err);
    return rc;
}

/* ---- write ---- */

/* As the request was; an error to somebody who could not show who he is goes signed, or without
 * protection, never under the secret he claims to know (CMP-21, CMP-32). */
static struct mu_cmp_protector protector(
    const struct mu_cmp_server *s, const struct mu_credential *credential)
{
    struct mu_cmp_protector how = {.mac = NULL};

    if (s->protection == MU_CMP_BY_MAC && s->verified) {
        how.mac = &s->mac;
        how.reference = mu_buf_bytes(&s->entry);
    } else if (credential != NULL && credential->key != NULL && credential->cert != NULL) {
        how.key = credential->key;
        how.cert = credential->cert;
    }
    return how;
}

static void trace_answer(struct mu_cmp_server *s, const struct mu_cmp_body *body,
    const struct mu_decision *decision, size_t n)
{
    bool refused = decision != NULL && decision->verdict == MU_VERDICT_REFUSED;

    if (refused)
        mu_cmp_server_trace(s, MU_TRACE_REPLY, "%s, pkistatus: FAILURE, %s, \"%s\"",
            mu_cmp_type_name(body->type), mu_cmp_fail_name(mu_cmp_server_fail_bit(&decision->refusal)),
            decision->refusal.what);
    else
        mu_cmp_server_trace(s, MU_TRACE_REPLY, "%s, pkistatus: %s", mu_cmp_type_name(body->type),
            decision != NULL && decision->verdict == MU_VERDICT_PENDING ? "PENDING" : "SUCCESS");
    mu_cmp_server_trace(s, MU_TRACE_REPLY, "%zu bytes", n);
}

/* C036, and what ends the connection. */
static enum mu_code http(struct mu_cmp_server *s, struct mu_bytes body,
    struct mu_http_response *response, struct mu_err *err)
{
    static const struct mu_http_header headers[] = {
        {"X-XSS-Protection", "1; mode=block"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "strict-origin-when-cross-origin"},
        {"Permissions-Policy", "fullscreen=(self)"},
        {"Cache-Control", "no-store"},
    };
    enum mu_code rc = mu_http_response_set(response, 200, MU_CMP_MEDIA, body, err);

    for (size_t i = 0; i < sizeof headers / sizeof headers[0] && rc == MU_OK; i++)
        rc = mu_http_response_add(response, headers[i].name, headers[i].value, err);
    if (rc == MU_OK && s->path.closes)
        rc = mu_http_response_add(response, "Connection", "close", err);
    return rc;
}

/* What was asked for, without key and challengePassword; a long one is not kept: what it costs is
 * that the answer says accepted. */
static void keep_asked(const struct mu_cmp_server *s, struct mu_cmp_kept *kept, struct mu_buf *asked)
{
    if (s->csr != NULL
        && mu_pki_csr_frame(s->csr->subject, mu_bytes(NULL, 0), s->csr->exts.all, asked, NULL) == MU_OK)
        kept->asked = mu_buf_bytes(asked);
}

static enum mu_code keep(struct mu_cmp_server *s, struct mu_cmp_kept *kept, bool implicit,
    const struct mu_decision *decision, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf asked = {.max = MU_LIMIT_KEPT / 2};
    uint8_t room[MU_CMP_KEPT_HASHES][64];

    if (out == NULL || decision == NULL || mu_cmp_server_request_type(s) < 0
        || mu_cmp_server_request_type(s) == MU_CMP_RR)
        return MU_OK;
    if (decision->verdict == MU_VERDICT_ISSUED && !implicit) {
        if (!hashes(decision->cert, room, kept))
            return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "cmp: digest failed");
        kept->asked = mu_bytes(NULL, 0);
    } else if (decision->verdict != MU_VERDICT_PENDING || s->has_kept) {
        return MU_OK;
    } else {
        keep_asked(s, kept, &asked);
    }
    mu_cmp_kept_encode(kept, out);
    mu_buf_clear(&asked);
    return mu_buf_check(out, "what is kept of a transaction", err);
}

static enum mu_code write_message(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_buf *kept_out,
    struct mu_err *err)
{
    uint8_t nonce[MU_CMP_NONCE];
    struct mu_cmp_kept kept;
    struct mu_cmp_header h;
    struct mu_cmp_body body;
    struct mu_cmp_server_keep parts = {0};
    struct mu_cmp_protector how = protector(s, credential);
    struct mu_pki_certs extra = {0};
    struct mu_buf out = {.max = MU_LIMIT_REPLY};
    bool issued = decision != NULL && decision->verdict == MU_VERDICT_ISSUED;
    enum mu_code rc;

    if ((rc = kept_begin(s, credential, &kept, err)) != MU_OK
        || (rc = header(s, &kept, nonce, &h, err)) != MU_OK
        || (rc = mu_cmp_server_body(s, credential, decision, &body, &parts, err)) != MU_OK)
        goto out;
    if (issued && mu_cmp_server_request_type(s) != MU_CMP_RR)
        confirmation(s, credential, &kept, &h);
    if ((rc = extra_certs(&how, credential, decision, issued, &extra, err)) != MU_OK
        || (rc = mu_cmp_protect_encode(&h, &body, &how, &extra, &out, err)) != MU_OK
        || (rc = keep(s, &kept, h.implicit_confirm, decision, kept_out, err)) != MU_OK)
        goto out;
    trace_answer(s, &body, decision, out.n);
    rc = http(s, mu_buf_bytes(&out), response, err);
out:
    mu_pki_certs_clear(&extra);
    mu_cmp_server_keep_clear(&parts);
    mu_buf_clear(&out);
    return rc;
}

enum mu_code mu_cmp_server_write(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_buf *kept,
    struct mu_err *err)
{
    static const struct mu_decision data = {.verdict = MU_VERDICT_DATA};
    struct mu_decision refused = {.verdict = MU_VERDICT_REFUSED};
    enum mu_code rc;

    if (decision == NULL)
        decision = &data;
    rc = write_message(s, credential, decision, response, kept, &refused.refusal);
    /* A question that cannot be answered as it was meant is still answered. */
    if (rc != MU_OK && decision->verdict != MU_VERDICT_REFUSED && rc != MU_MEMORY) {
        mu_http_response_clear(response);
        return write_message(s, credential, &refused, response, NULL, err);
    }
    if (rc != MU_OK && err != NULL)
        *err = refused.refusal;
    return rc;
}

/* What is no PKIMessage gets an answer in HTTP. */
enum mu_code mu_cmp_server_http_error(
    const struct mu_err *failed, struct mu_http_response *response, struct mu_err *err)
{
    static const int by_code[] = {
        [MU_INPUT] = 400, [MU_AUTH] = 400, [MU_DENIED] = 403, [MU_NOT_FOUND] = 404,
        [MU_BUSY] = 503, [MU_UNSUPPORTED] = 405, [MU_STORAGE] = 503, [MU_MEMORY] = 503,
        [MU_INTERNAL] = 500,
    };
    const struct mu_err_row *row = mu_err_row(failed->reason);
    struct mu_buf text = {.max = 2048};
    int status = 0;
    enum mu_code rc;

    if (row != NULL && row->reason >= MU_REFUSE_FIRST)
        status = row->http_status;
    if (status < 400 && (size_t)failed->code < sizeof by_code / sizeof by_code[0])
        status = by_code[failed->code];
    if (status < 400)
        status = 500;
    mu_buf_putf(&text, "%s\n", failed->what[0] != '\0' ? failed->what
            : row != NULL                              ? row->what
                                                       : "The request was refused.");
    rc = mu_http_response_set(response, status, "text/plain", mu_buf_bytes(&text), err);
    if (rc == MU_OK && status == 405)
        rc = mu_http_response_add(response, "Allow", "POST", err);
    mu_buf_clear(&text);
    return rc;
}
