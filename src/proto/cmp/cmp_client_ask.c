/* The messages a client sends: header, body, protection, and the lines of the trace that go with
 * them once the connection stands. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_client_internal.h"

/* Addressed to: who answered last is not asked again, the name stays the same within a
 * transaction (CMP-06). */
static struct mu_bytes recipient(const struct mu_cmp_client *c)
{
    const struct mu_cmp_client_config *config = &c->config;

    if (c->recipient.n != 0)
        return mu_buf_bytes(&c->recipient);
    if (config->op == MU_CMP_CLIENT_KUR || config->op == MU_CMP_CLIENT_RR)
        return config->signer_cert->issuer;
    if (c->server_certs.n != 0)
        return c->server_certs.v[0]->subject;
    return c->trusted.n != 0 ? c->trusted.v[0]->subject : mu_bytes(NULL, 0);
}

/* 128 random bits, once for the transaction (CMP-10). */
static enum mu_code begin_transaction(struct mu_cmp_client *c, struct mu_err *err)
{
    struct mu_buf hex = {.max = 2 * MU_LIMIT_TRANSACTION_ID + 1};
    uint8_t id[MU_CMP_NONCE];
    enum mu_code rc = MU_OK;

    if (c->transaction_id.n != 0)
        return MU_OK;
    if (c->config.transaction_id != NULL) {
        rc = mu_text_unhex(c->config.transaction_id, &c->transaction_id, err);
    } else {
        rc = mu_env_random(c->config.env, id, sizeof id, err);
        if (rc == MU_OK)
            mu_buf_put(&c->transaction_id, id, sizeof id);
    }
    if (rc != MU_OK)
        return rc;
    mu_text_hex(&hex, mu_buf_bytes(&c->transaction_id), 0);
    rc = mu_buf_check(&hex, "transaction identifier", err);
    if (rc == MU_OK) {
        free(c->transaction_hex);
        rc = mu_text_dup(mu_buf_str(&hex), &c->transaction_hex, err);
    }
    mu_buf_clear(&hex);
    return rc;
}

/* The key of our MACs: derived once, the parameters stay for the transaction (CMP-29). */
static enum mu_code begin_mac(struct mu_cmp_client *c, struct mu_err *err)
{
    struct mu_pki_mac params;
    enum mu_code rc;

    if (!mu_cmp_client_by_mac(c) || c->mac.mac.kind != MU_PKI_MAC_NONE)
        return MU_OK;
    rc = mu_pki_mac_init(&params,
        c->config.mac == MU_CMP_MAC_PBMAC1 ? MU_PKI_MAC_PBMAC1 : MU_PKI_MAC_PBM,
        (unsigned)c->config.mac_iterations, c->config.env, err);
    if (rc == MU_OK)
        rc = mu_pki_mac_choose(
            &params, c->config.mac_owf, c->config.mac_hmac, c->config.allow_legacy, err);
    return rc == MU_OK ? mu_cmp_protect_mac_derive(&c->mac, &params, &c->secret, err) : rc;
}

/* Protection certificate first, then its chain without the root (CMP-34, CMP-37); later messages
 * carry the certificate alone, for responders that keep nothing (CMP-35). */
static enum mu_code extra_certs(
    const struct mu_cmp_client *c, struct mu_pki_certs *out, struct mu_err *err)
{
    enum mu_code rc;
    size_t i;

    if (!mu_cmp_client_by_signature(c))
        return MU_OK;
    rc = mu_pki_certs_add(out, c->config.signer_cert, err);
    for (i = 0; !c->first_sent && i < c->signer_chain.n && rc == MU_OK; i++) {
        if (!mu_pki_name_equal(c->signer_chain.v[i]->subject, c->signer_chain.v[i]->issuer))
            rc = mu_pki_certs_add(out, c->signer_chain.v[i], err);
    }
    return rc;
}

/* Header, protection, encoding; the nonce is new in every message (CMP-13). */
static enum mu_code build(struct mu_cmp_client *c, struct mu_cmp_header *header,
    const struct mu_cmp_body *body, struct mu_err *err)
{
    struct mu_cmp_protector how = {.digest = c->config.digest};
    struct mu_pki_certs extra = {.n = 0};
    enum mu_code rc;

    if ((rc = begin_transaction(c, err)) != MU_OK || (rc = begin_mac(c, err)) != MU_OK
        || (rc = mu_env_random(c->config.env, c->nonce, sizeof c->nonce, err)) != MU_OK
        || (rc = extra_certs(c, &extra, err)) != MU_OK)
        goto out;
    header->pvno = header->pvno != 0 ? header->pvno : MU_CMP_2000;
    header->recipient = recipient(c);
    header->has_time = true;
    header->time_s = mu_env_now(c->config.env);
    header->transaction_id = mu_buf_bytes(&c->transaction_id);
    header->sender_nonce = mu_bytes(c->nonce, sizeof c->nonce);
    if (c->peer_nonce_n != 0)
        header->recip_nonce = mu_bytes(c->peer_nonce, c->peer_nonce_n);
    if (mu_cmp_client_by_mac(c)) {
        how.mac = &c->mac;
        how.reference = mu_bytes_str(c->config.ref);
    } else if (mu_cmp_client_by_signature(c)) {
        how.key = c->config.signer_key;
        how.cert = c->config.signer_cert;
        how.pss = c->config.rsa_pss;
    }
    mu_buf_reset(&c->message);
    rc = mu_cmp_protect_encode(header, body, &how, &extra, &c->message, err);
out:
    mu_pki_certs_clear(&extra);
    return rc;
}

static void note(struct mu_cmp_client *c, size_t i, enum mu_trace_step step)
{
    c->notes[i].step = step;
    c->notes[i].text = mu_buf_str(&c->note_text[i]);
}

static void note_request(struct mu_cmp_client *c)
{
    struct mu_buf hex = {.max = 256}, serial = {.max = 256};
    char shown[200];

    mu_buf_reset(&c->note_text[0]);
    mu_buf_reset(&c->note_text[1]);
    if (mu_cmp_client_by_mac(c)) {
        mu_buf_putf(&c->note_text[0], "reference %s, secret *",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(c->config.ref)));
    } else if (!mu_cmp_client_by_signature(c)) {
        mu_buf_put_str(&c->note_text[0], "none, the question is not protected");
    } else {
        mu_pki_cert_serial_trace(c->config.signer_cert->serial, &serial);
        mu_buf_putf(&c->note_text[0], "signed with the certificate of serial %s", mu_buf_str(&serial));
    }
    mu_text_hex(&hex, mu_bytes(c->nonce, sizeof c->nonce), 0);
    mu_buf_putf(&c->note_text[1], "transaction id: %s, senderNonce %s", c->transaction_hex,
        mu_buf_str(&hex));
    note(c, 0, MU_TRACE_AUTH);
    note(c, 1, MU_TRACE_REQUEST);
    mu_buf_clear(&hex);
    mu_buf_clear(&serial);
}

/* ---- the request ---- */

static enum mu_cmp_type type_of(const struct mu_cmp_client *c)
{
    switch (c->config.op) {
    case MU_CMP_CLIENT_IR:
        return MU_CMP_IR;
    case MU_CMP_CLIENT_CR:
        return MU_CMP_CR;
    case MU_CMP_CLIENT_P10CR:
        return MU_CMP_P10CR;
    case MU_CMP_CLIENT_KUR:
        return MU_CMP_KUR;
    case MU_CMP_CLIENT_RR:
        return MU_CMP_RR;
    default:
        return MU_CMP_GENM;
    }
}

/* The CertRequest, and the proof over it by the new key (CMP-61). */
static enum mu_code fill_cert_req(struct mu_cmp_client *c, struct mu_cmp_cert_req *req,
    struct mu_buf parts[3], struct mu_err *err)
{
    const struct mu_cmp_client_config *config = &c->config;
    const struct mu_pki_cert *old = config->old_cert != NULL ? config->old_cert : config->signer_cert;
    struct mu_pki_key_spec spec;
    enum mu_pki_digest digest;
    enum mu_code rc;

    req->tmpl.version = -1;
    req->subsequent_message = -1;
    /* A key update keeps the name (CMP-54); a name only in SAN is the NULL-DN (CMP-51). */
    req->tmpl.subject = config->op == MU_CMP_CLIENT_KUR && c->subject.n == 0 ? old->subject
        : c->subject.n != 0 ? mu_buf_bytes(&c->subject)
                            : mu_bytes("\x30", 2);
    if (c->extensions.n != 0)
        req->tmpl.extensions = mu_buf_bytes(&c->extensions);
    if (!config->central_keygen)
        req->tmpl.spki = mu_pki_key_spki(config->key);
    if (config->op == MU_CMP_CLIENT_KUR) { /* CMP-55 */
        req->old_issuer = old->issuer;
        req->old_serial = old->serial;
    }
    if (config->central_keygen)
        return MU_OK; /* no key, no proof (CMP-80) */
    if (mu_cmp_client_indirect(c)) {
        mu_pki_key_spec_of(config->key, &spec);
        req->popo = spec.type == MU_PKI_KEY_RSA ? MU_CMP_POPO_KEY_ENCIPHERMENT : MU_CMP_POPO_KEY_AGREEMENT;
        req->subsequent_message = 0; /* encrCert */
        return MU_OK;
    }
    mu_cmp_crmf_request_encode(req, &parts[0]);
    rc = mu_buf_check(&parts[0], "CertRequest", err);
    if (rc != MU_OK)
        return rc;
    digest = config->digest != MU_PKI_DIGEST_NONE ? config->digest
                                                  : mu_pki_key_default_digest(config->key);
    mu_pki_key_sign_alg(config->key, digest, &parts[1]);
    if (parts[1].failed || parts[1].n == 0) { /* the digest wished for is for the other key */
        mu_buf_clear(&parts[1]);
        digest = mu_pki_key_default_digest(config->key);
        mu_pki_key_sign_alg(config->key, digest, &parts[1]);
    }
    rc = mu_pki_key_sign(config->key, digest, mu_buf_bytes(&parts[0]), &parts[2], err);
    if (rc != MU_OK)
        return rc;
    req->cert_req = mu_buf_bytes(&parts[0]);
    req->popo = MU_CMP_POPO_SIGNATURE;
    req->popo_alg = mu_buf_bytes(&parts[1]);
    req->popo_signature = mu_buf_bytes(&parts[2]);
    return MU_OK;
}

static enum mu_code fill_body(struct mu_cmp_client *c, struct mu_cmp_body *body,
    struct mu_buf parts[3], struct mu_err *err)
{
    const struct mu_pki_cert *old
        = c->config.old_cert != NULL ? c->config.old_cert : c->config.signer_cert;

    switch (body->type) {
    case MU_CMP_P10CR:
        body->u.p10 = c->csr->der;
        return MU_OK;
    case MU_CMP_RR: /* CMP-87 */
        body->u.rr.n = 1;
        body->u.rr.details.tmpl.version = -1;
        body->u.rr.details.tmpl.serial = old->serial;
        body->u.rr.details.tmpl.issuer = old->issuer;
        body->u.rr.details.reason = c->config.revoke_reason > 0 ? c->config.revoke_reason : 0;
        return MU_OK;
    case MU_CMP_GENM:
        mu_cmp_client_info_ask(c, body, &parts[0]);
        return mu_buf_check(&parts[0], "genm", err);
    default:
        body->u.req.n = 1;
        return fill_cert_req(c, &body->u.req.req, parts, err);
    }
}

enum mu_code mu_cmp_client_ask_request(struct mu_cmp_client *c, struct mu_err *err)
{
    struct mu_cmp_body body = {.type = type_of(c)};
    struct mu_cmp_header header = {.implicit_confirm = mu_cmp_client_enrolls(c)
            && (c->config.implicit_confirm || c->config.disable_confirm) && !mu_cmp_client_indirect(c)};
    struct mu_buf parts[3] = {{.max = 0}, {.max = 0}, {.max = 0}};
    enum mu_code rc;
    size_t i;

    c->request_type = body.type;
    if (c->config.cert_profile != NULL
        && (mu_cmp_client_enrolls(c) || c->config.op == MU_CMP_CLIENT_TEMPLATE))
        header.cert_profile = mu_bytes_str(c->config.cert_profile); /* CMP-18 */
    if (c->config.central_keygen || mu_cmp_client_indirect(c))
        header.pvno = MU_CMP_2021; /* an EnvelopedData will come back (CMP-04, CMP-80) */
    rc = fill_body(c, &body, parts, err);
    if (rc == MU_OK)
        rc = build(c, &header, &body, err);
    if (rc == MU_OK) {
        memcpy(c->first_nonce, c->nonce, sizeof c->nonce);
        c->poll_id = mu_cmp_client_enrolls(c) && c->config.op != MU_CMP_CLIENT_P10CR ? 0 : -1;
        note_request(c);
    }
    for (i = 0; i < 3; i++)
        mu_buf_clear(&parts[i]);
    return rc;
}

/* ---- what follows ---- */

static int follow_version(const struct mu_cmp_client *c)
{
    return c->config.central_keygen || mu_cmp_client_indirect(c) ? MU_CMP_2021 : MU_CMP_2000;
}

enum mu_code mu_cmp_client_ask_poll(struct mu_cmp_client *c, struct mu_err *err)
{
    struct mu_cmp_body body = {.type = MU_CMP_POLL_REQ};
    struct mu_cmp_header header = {.pvno = follow_version(c)};
    enum mu_code rc;

    body.u.poll_req.n = 1;
    body.u.poll_req.cert_req_id = c->poll_id;
    rc = build(c, &header, &body, err);
    if (rc == MU_OK)
        note_request(c);
    return rc;
}

/* certConf (CMP-75, CMP-76): the hash of the certificate's own signature; with hashAlg, and so in
 * version 3, where that implies none. */
enum mu_code mu_cmp_client_ask_confirm(struct mu_cmp_client *c, struct mu_err *err)
{
    struct mu_cmp_body body = {.type = MU_CMP_CERT_CONF};
    struct mu_cmp_header header = {.pvno = follow_version(c)};
    struct mu_cmp_cert_status *status = &body.u.conf.status;
    struct mu_buf text = {.max = 1024}, alg = {.max = 64};
    uint8_t hash[64];
    size_t n = mu_cmp_client_cert_hash(c->cert, hash);
    enum mu_code rc;

    if (n == 0) {
        n = mu_pki_digest(MU_PKI_SHA256, c->cert->der, hash);
        mu_pki_digest_encode(&alg, MU_PKI_SHA256);
        status->hash_alg = mu_buf_bytes(&alg);
        header.pvno = MU_CMP_2021;
    }
    body.u.conf.n = 1;
    status->cert_hash = mu_bytes(hash, n);
    status->cert_req_id = c->config.op == MU_CMP_CLIENT_P10CR ? -1 : 0;
    if (c->phase == MU_CMP_PHASE_REJECT) {
        mu_cmp_text_put(&text, c->rejected.what);
        status->has_status = true;
        status->status.status = MU_CMP_REJECTION;
        status->status.has_fail = true;
        status->status.fail = UINT32_C(1) << c->reject_bit;
        status->status.text = mu_buf_bytes(&text);
    }
    rc = build(c, &header, &body, err);
    memcpy(c->first_nonce, c->nonce, sizeof c->nonce);
    mu_buf_reset(&c->note_text[0]);
    mu_buf_putf(&c->note_text[0], "certConf sent%s",
        c->phase == MU_CMP_PHASE_REJECT ? ", certificate rejected" : "");
    note(c, 0, MU_TRACE_CONFIRM);
    c->notes[1].text = NULL;
    mu_buf_clear(&text);
    mu_buf_clear(&alg);
    return rc;
}
