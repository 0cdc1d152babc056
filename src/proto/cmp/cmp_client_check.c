/* An answer, checked in order before anything in it is used: version, protection, transaction,
 * nonces (RFC 9483 3.5). */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_client_internal.h"

void mu_cmp_client_error_text(const struct mu_cmp_msg *msg, char out[MU_CMP_ERROR_TEXT])
{
    struct mu_buf text = {.max = 8 * 1024};
    int bit = mu_cmp_status_fail_bit(&msg->body.u.error.status);

    if (bit >= 0)
        mu_buf_put_str(&text, mu_cmp_fail_name(bit));
    if (msg->body.u.error.status.text.n != 0) {
        if (text.n != 0)
            mu_buf_put_str(&text, ": ");
        mu_cmp_text_format(msg->body.u.error.status.text, &text);
    }
    if (msg->body.u.error.details.n != 0) {
        if (text.n != 0)
            mu_buf_put_str(&text, "; ");
        mu_cmp_text_format(msg->body.u.error.details, &text);
    }
    mu_text_escape_to(out, MU_CMP_ERROR_TEXT, text.n != 0 ? mu_buf_bytes(&text) : mu_bytes_str("no words"));
    mu_buf_clear(&text);
}

/* M501: text for people; nothing follows from it (CMP-39, IOP-29). */
static enum mu_code unprotected(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    char text[MU_CMP_ERROR_TEXT];

    if (msg->body.type != MU_CMP_ERROR)
        return mu_err_set(err, MU_AUTH, MU_M(502),
            "cmp: the answer (%s) is not protected (RFC 9483 3.5)", mu_cmp_type_name(msg->body.type));
    mu_cmp_client_error_text(msg, text);
    mu_cmp_client_trace(c, MU_TRACE_REPLY, "error, not protected, not authenticated: \"%s\"", text);
    mu_err_set(err, MU_AUTH, MU_M(501),
        "cmp: an error without protection, not authenticated: \"%s\"", text);
    mu_err_said(err, text);
    return MU_AUTH;
}

/* M503 */
static enum mu_code uncheckable(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    const struct mu_err *why, struct mu_err *err)
{
    char text[MU_CMP_ERROR_TEXT];

    mu_cmp_client_error_text(msg, text);
    mu_cmp_client_trace(
        c, MU_TRACE_REPLY, "error, protection cannot be checked, not authenticated: \"%s\"", text);
    mu_err_set(err, MU_AUTH, MU_M(503),
        "cmp: the error is protected and nothing here can check it (%.200s)", why->what);
    mu_err_next(err, "Give server-cert. Unverified: \"%.300s\"", text);
    return MU_AUTH;
}

/* Not every certificate below a CA may speak for it: a CA itself may, whom it made its CMP responder
 * or RA (RFC 9810 4.5), and whom the user named: by its certificate or as the recipient (CMP-33). */
static bool may_answer(const struct mu_cmp_client *c, const struct mu_pki_cert *signer)
{
    size_t i;

    for (i = 0; i < c->server_certs.n; i++) {
        if (mu_pki_cert_equal(signer, c->server_certs.v[i]))
            return true;
    }
    return mu_pki_cert_is_ca(signer)
        || (signer->exts.has_eku && (signer->exts.eku & (MU_EKU_CMC_CA | MU_EKU_CMC_RA)) != 0)
        || (c->recipient.n != 0 && !mu_pki_name_is_empty(mu_buf_bytes(&c->recipient))
            && mu_pki_name_equal(signer->subject, mu_buf_bytes(&c->recipient)));
}

/* The signer is one that is expected, or leads up to one and may answer for it (CMP-23). */
static enum mu_code check_signer(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_pki_cert *signer,
    struct mu_err *err)
{
    const struct mu_pki_path_opts opts = {
        .now_s = mu_env_now(c->config.env),
        .partial = true,
        .allow_legacy = c->config.allow_legacy,
    };
    const struct mu_pki_certs *anchors = c->server_certs.n != 0 ? &c->server_certs : &c->trusted;
    struct mu_pki_certs pool = {.n = 0};
    char name[MU_CMP_NAME_TEXT];
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; i < msg->extra.n && rc == MU_OK; i++)
        rc = mu_pki_certs_add(&pool, msg->extra.v[i], err);
    for (i = 0; i < c->peer.n && pool.n < MU_LIMIT_CERTS && rc == MU_OK; i++)
        rc = mu_pki_certs_add(&pool, c->peer.v[i], err);
    if (rc == MU_OK)
        rc = mu_pki_path_check(signer, &pool, anchors, &opts, err);
    mu_pki_certs_clear(&pool);
    if (rc != MU_OK)
        mu_err_context(err, "cmp: the answer is signed by \"%s\", who is not trusted for it (RFC 9483 3.5)",
            mu_cmp_client_name(signer->subject, name));
    if (rc != MU_OK || may_answer(c, signer))
        return rc;
    mu_err_set(err, MU_AUTH, MU_M(502),
        "cmp: the answer is signed by \"%s\", a certificate of the CA's that may not answer for it: no "
        "cmcCA, no cmcRA (RFC 9810 4.5)",
        mu_cmp_client_name(signer->subject, name));
    mu_err_likely(err, "Somebody poses as the CA, or an old server's certificate lacks the usages.");
    mu_err_next(err, "If it is the server's all the same: server-cert with that certificate.");
    return MU_AUTH;
}

struct mu_pki_cert *mu_cmp_client_find_signer(
    const struct mu_cmp_client *c, const struct mu_cmp_msg *msg)
{
    const struct mu_pki_certs *lists[] = {&c->server_certs, &c->trusted, &c->peer};
    struct mu_pki_cert *found = NULL;
    size_t i;

    for (i = 0; i < 3 && found == NULL; i++)
        found = mu_cmp_protect_signer(msg, lists[i]);
    return found;
}

enum mu_code mu_cmp_client_check_signature(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    const struct mu_cmp_verify_opts opts
        = {.allow_legacy = c->config.allow_legacy, .ignore_key_usage = c->config.ignore_key_usage};
    struct mu_pki_cert *signer = mu_cmp_client_find_signer(c, msg);
    enum mu_code rc;
    size_t i;

    if (signer == NULL)
        return mu_err_set(err, MU_AUTH, MU_M(503),
            "cmp: the certificate that signed the answer is neither in it nor known here (RFC 9483 3.3)");
    rc = check_signer(c, msg, signer, err);
    if (rc == MU_OK)
        rc = mu_cmp_protect_verify_signature(msg, signer, &opts, err);
    /* Later answers may leave the certificates out (CMP-35). */
    for (i = 0; rc == MU_OK && c->peer.n == 0 && i < msg->extra.n; i++)
        rc = mu_pki_certs_add(&c->peer, msg->extra.v[i], err);
    return rc;
}

/* A responder that answers by the salt and count of the request (CMP-29) spares us the work of
 * deriving the same key again; one that does not has its own derived. */
static enum mu_code expect_our_parameters(struct mu_cmp_client *c, struct mu_err *err)
{
    if (c->peer_mac.mac.kind != MU_PKI_MAC_NONE || !mu_secret_is_set(&c->mac.key))
        return MU_OK;
    c->peer_mac.mac = c->mac.mac;
    return mu_secret_set(&c->peer_mac.key, mu_secret_bytes(&c->mac.key), err);
}

/* The kind of protection is that of our request (CMP-19); an error may be signed to a MAC request,
 * because a MAC may not be given to who has none right (CMP-32). */
static enum mu_code check_protection(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    enum mu_cmp_protection kind = mu_cmp_protect_kind(msg);
    struct mu_err why = {.code = MU_OK};
    enum mu_code rc;

    if (kind == MU_CMP_UNPROTECTED)
        return unprotected(c, msg, err);
    if (kind == MU_CMP_BY_MAC) {
        if (!mu_cmp_client_by_mac(c)) {
            mu_err_set(&why, MU_AUTH, MU_M(502),
                "cmp: the answer to a signed request is protected by a password (RFC 9483 3.2)");
            if (msg->body.type == MU_CMP_ERROR)
                return uncheckable(c, msg, &why, err);
            if (err != NULL)
                *err = why;
            return MU_AUTH;
        }
        rc = expect_our_parameters(c, &why);
        if (rc == MU_OK)
            rc = mu_cmp_protect_verify_mac(msg, &c->secret, c->config.allow_legacy, &c->peer_mac, &why);
        if (rc == MU_MEMORY || rc == MU_OK)
            return rc;
        mu_cmp_client_trace(c, MU_TRACE_REPLY, "%s, protection wrong", mu_cmp_type_name(msg->body.type));
        if (rc != MU_AUTH && err != NULL) {
            *err = why;
            mu_err_narrow(err, MU_M(502));
            return rc;
        }
        return mu_cmp_client_fail_mac(c, err);
    }
    if (mu_cmp_client_by_mac(c) && msg->body.type != MU_CMP_ERROR)
        return mu_err_set(err, MU_AUTH, MU_M(502),
            "cmp: the answer (%s) to a request by password is signed (RFC 9483 3.2)",
            mu_cmp_type_name(msg->body.type));
    rc = mu_cmp_client_check_signature(c, msg, &why);
    if (rc == MU_OK || rc == MU_MEMORY)
        return rc;
    if (msg->body.type == MU_CMP_ERROR)
        return uncheckable(c, msg, &why, err);
    mu_cmp_client_trace(c, MU_TRACE_REPLY, "%s, protection wrong", mu_cmp_type_name(msg->body.type));
    if (err != NULL)
        *err = why;
    mu_err_narrow(err, why.reason >= MU_M(200) && why.reason < MU_M(300) ? why.reason : MU_M(502));
    return rc;
}

/* Nonce and transaction are ours (CMP-10, CMP-14, CMP-103). */
static enum mu_code check_transaction(
    const struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    const struct mu_cmp_header *h = &msg->header;

    if (!mu_bytes_equal(h->transaction_id, mu_buf_bytes(&c->transaction_id)))
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE,
            "cmp: the answer belongs to another transaction than ours, %s (RFC 9483 3.5)",
            c->transaction_hex);
    if (!mu_bytes_equal(h->recip_nonce, mu_bytes(c->nonce, sizeof c->nonce))
        && !(c->pending
            && mu_bytes_equal(h->recip_nonce, mu_bytes(c->first_nonce, sizeof c->first_nonce))))
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE,
            "cmp: %s (RFC 9483 3.5)", h->recip_nonce.n == 0 ? "no recipNonce in the answer"
                                                            : "the answer does not repeat our nonce");
    return MU_OK;
}

static enum mu_code check_version(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    char text[MU_CMP_ERROR_TEXT];

    if (msg->header.pvno == MU_CMP_2000 || msg->header.pvno == MU_CMP_2021)
        return MU_OK;
    if (!msg->has_body || msg->body.type != MU_CMP_ERROR)
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(507), "cmp: the server speaks CMP version %d",
            msg->header.pvno);
    mu_cmp_client_error_text(msg, text); /* IOP-31 */
    mu_cmp_client_trace(
        c, MU_TRACE_REPLY, "error in version %d, not authenticated: \"%s\"", msg->header.pvno, text);
    return mu_err_set(err, MU_UNSUPPORTED, MU_M(507),
        "cmp: the server speaks CMP version %d, and says: \"%s\"", msg->header.pvno, text);
}

enum mu_code mu_cmp_client_check(struct mu_cmp_client *c, const struct mu_http_response *response,
    struct mu_cmp_msg *out, struct mu_err *err)
{
    struct mu_bytes body = mu_buf_bytes(&response->body);
    enum mu_code rc;

    rc = mu_cmp_msg_decode(body, out, err);
    if (rc == MU_MEMORY)
        return rc;
    if (out->has_header && out->header.pvno != MU_CMP_2000 && out->header.pvno != MU_CMP_2021)
        return check_version(c, out, err);
    if (rc != MU_OK) {
        if (!out->has_header)
            return mu_cmp_client_fail_http(c, response, err);
        mu_err_context(err, "cmp: the answer of %zu bytes", body.n);
        return rc;
    }
    if ((rc = check_protection(c, out, err)) != MU_OK
        || (rc = mu_cmp_header_check(&out->header, true, err)) != MU_OK
        || (rc = check_transaction(c, out, err)) != MU_OK)
        return rc;
    c->peer_nonce_n = out->header.sender_nonce.n;
    memcpy(c->peer_nonce, out->header.sender_nonce.p, c->peer_nonce_n);
    c->first_sent = true;
    return MU_OK;
}
