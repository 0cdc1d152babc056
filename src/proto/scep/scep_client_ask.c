/* Our messages: algorithms by capabilities, the self-signed certificate, payload, envelope,
 * signature. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_client_internal.h"

/* Best first (SCEP-22). */
static const struct { unsigned cap; enum mu_pki_digest digest; } digests[] = {
    {MU_SCEP_CAP_SHA256, MU_PKI_SHA256},
    {MU_SCEP_CAP_SHA512, MU_PKI_SHA512},
    {MU_SCEP_CAP_SHA384, MU_PKI_SHA384},
    {MU_SCEP_CAP_SHA224, MU_PKI_SHA224},
    {MU_SCEP_CAP_SHA1, MU_PKI_SHA1},
    {MU_SCEP_CAP_MD5, MU_PKI_MD5},
};
static const struct { unsigned cap; enum mu_pki_cipher cipher; } ciphers[] = {
    {MU_SCEP_CAP_AES, MU_PKI_AES128_CBC},
    {MU_SCEP_CAP_DES3, MU_PKI_DES3_CBC},
    {MU_SCEP_CAP_DES, MU_PKI_DES_CBC},
};

/* No hash, no cipher named: SHA-1 and 3DES, as RFC 8894 3.5.2 has it for old servers. */
static enum mu_pki_digest best_digest(unsigned caps)
{
    size_t i;

    for (i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        if (caps & digests[i].cap)
            return digests[i].digest;
    }
    return MU_PKI_SHA1;
}

static enum mu_pki_cipher best_cipher(unsigned caps)
{
    size_t i;

    for (i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
        if (caps & ciphers[i].cap)
            return ciphers[i].cipher;
    }
    return MU_PKI_DES3_CBC;
}

static enum mu_code refuse_common(const struct mu_scep_client *c, struct mu_err *err)
{
    struct mu_buf offered = {.max = 1024};

    mu_scep_caps_line(c->caps, &offered);
    mu_err_set(err, MU_UNSUPPORTED, MU_M(303),
        "scep: no common algorithm (offered: %s): the server would take no better than %s and %s "
        "(RFC 8894 3.5.2)",
        offered.n != 0 ? mu_buf_str(&offered) : "no capabilities",
        mu_pki_cipher_title(c->cipher), mu_pki_digest_title(c->digest));
    mu_err_next(err, "Turn on allow-legacy (Enable Legacy Ciphers) to use %s and %s all the "
        "same; better replace the server.",
        mu_pki_cipher_title(c->cipher), mu_pki_digest_title(c->digest));
    mu_buf_clear(&offered);
    return MU_UNSUPPORTED;
}

static enum mu_code refuse_wish(const char *title, struct mu_err *err)
{
    return mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "scep: %s is weak or legacy", title);
}

/* SCEP-36: somebody has to be able to open the envelopes of both directions. */
static enum mu_code check_keys(struct mu_scep_client *c, struct mu_err *err)
{
    struct mu_pki_cert *to = c->ra_encrypt != NULL ? c->ra_encrypt : c->ca;
    char name[MU_SCEP_NAME_TEXT];
    struct mu_pki_key *key;
    enum mu_code rc;

    rc = mu_pki_cert_key(to, &key, err);
    if (rc != MU_OK || mu_scep_client_challenge(c) != NULL)
        return rc;
    if (!mu_pki_key_can_encrypt(key))
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(303),
            "scep: the key of \"%s\" cannot decrypt, and there is no challenge password to "
            "encrypt with instead (RFC 8894 3.1)",
            mu_scep_client_name(to->subject, false, name));
    if (!mu_pki_key_can_encrypt(mu_scep_client_signer_key(c)))
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(305),
            "scep: this SCEP server needs an RSA key: the answer could not be encrypted to ours, "
            "and there is no challenge password to encrypt with instead (RFC 8894 3.1)");
    return MU_OK;
}

static void warn_chosen(struct mu_scep_client *c, bool known)
{
    bool legacy = mu_pki_digest_is_legacy(c->digest) || mu_pki_cipher_is_legacy(c->cipher);

    if (legacy)
        mu_scep_client_warn(c, MU_TRACE_REQUEST, "legacy algorithms in use: %s, %s (allow-legacy)",
            mu_pki_cipher_title(c->cipher), mu_pki_digest_title(c->digest));
    if (!known)
        mu_scep_client_warn(c, MU_TRACE_REQUEST,
            "the server told no capabilities: %s, no renewal message", c->use_post ? "POST" : "GET");
    else if (!c->use_post)
        mu_scep_client_warn(c, MU_TRACE_REQUEST, "degraded: the message goes by GET, %s",
            c->config.method == MU_SCEP_METHOD_GET ? "as was asked for" : "POST is not offered");
}

enum mu_code mu_scep_client_ask_choose(struct mu_scep_client *c, struct mu_err *err)
{
    bool known = c->has_caps && c->caps != 0;
    enum mu_code rc;

    c->digest = c->config.digest;
    c->cipher = c->config.cipher;
    if (!c->config.allow_legacy && mu_pki_digest_is_legacy(c->digest))
        return refuse_wish(mu_pki_digest_title(c->digest), err);
    if (!c->config.allow_legacy && mu_pki_cipher_is_legacy(c->cipher))
        return refuse_wish(mu_pki_cipher_title(c->cipher), err);
    if (c->digest == MU_PKI_DIGEST_NONE)
        c->digest = best_digest(c->caps);
    if (c->cipher == MU_PKI_CIPHER_NONE)
        c->cipher = best_cipher(c->caps);
    if (!c->config.allow_legacy
        && (mu_pki_digest_is_legacy(c->digest) || mu_pki_cipher_is_legacy(c->cipher)))
        return refuse_common(c, err);
    c->use_post = c->config.method == MU_SCEP_METHOD_POST
        || (c->config.method == MU_SCEP_METHOD_AUTO && (c->caps & MU_SCEP_CAP_POST));
    rc = check_keys(c, err);
    if (rc == MU_OK)
        warn_chosen(c, known);
    return rc;
}

/* ---- what stays the same for the whole transaction ---- */

/* SCEP-50. With the salt a new request has a new id; sscep's is from the key alone. */
static enum mu_code make_transaction_id(struct mu_scep_client *c, struct mu_err *err)
{
    struct mu_buf in = {.max = 8192}, text = {.max = 80};
    struct mu_pki_key *key
        = c->config.key != NULL ? c->config.key : mu_scep_client_signer_key(c);
    uint8_t salt[16], digest[64];
    enum mu_code rc;

    if (c->config.transaction_id != NULL)
        return mu_text_dup(c->config.transaction_id, &c->transaction_id, err);
    mu_buf_put_bytes(&in, mu_pki_key_spki(key));
    if (!c->config.transaction_id_from_key) {
        rc = mu_env_random(c->config.env, salt, sizeof salt, err);
        if (rc != MU_OK)
            goto out;
        mu_buf_put(&in, salt, sizeof salt);
    }
    rc = mu_buf_check(&in, "public key", err);
    if (rc != MU_OK)
        goto out;
    if (mu_pki_digest(MU_PKI_SHA256, mu_buf_bytes(&in), digest) == 0) {
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "scep: SHA-256 failed");
        goto out;
    }
    mu_text_hex(&text, mu_bytes(digest, 16), 0);
    rc = mu_text_dup(mu_buf_str(&text), &c->transaction_id, err);
out:
    mu_buf_clear(&in);
    mu_buf_clear(&text);
    return rc;
}

/* SCEP-52: subject and key of the CSR. An issuer must not be empty, so the transaction id stands
 * in where the subject is. */
static enum mu_code make_self_signed(struct mu_scep_client *c, struct mu_err *err)
{
    enum { DAY_S = 86400 };
    struct mu_pki_name_part part = {"CN", c->transaction_id};
    struct mu_buf exts = {.max = 1024}, name = {.max = MU_LIMIT_NAME}, der = {.max = 64 * 1024};
    struct mu_pki_tbs tbs = {.spki = mu_pki_key_spki(c->config.key)};
    int64_t now_s = mu_env_now(c->config.env);
    unsigned usage = MU_KU_DIGITAL_SIGNATURE;
    enum mu_pki_digest digest = c->digest;
    struct mu_pki_key_spec spec;
    uint8_t serial[16];
    enum mu_code rc;
    size_t mark;

    rc = mu_env_random(c->config.env, serial, sizeof serial, err);
    if (rc != MU_OK)
        return rc;
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
    if (mu_pki_key_can_encrypt(c->config.key))
        usage |= MU_KU_KEY_ENCIPHERMENT;
    mu_pki_key_spec_of(c->config.key, &spec);
    if (spec.type != MU_PKI_KEY_RSA && spec.type != MU_PKI_KEY_EC)
        digest = mu_pki_key_default_digest(c->config.key);
    mark = mu_der_open(&exts, MU_DER_SEQUENCE);
    mu_pki_ext_put_key_usage(&exts, true, usage);
    mu_der_close(&exts, mark);
    if (mu_pki_name_is_empty(c->csr->subject))
        rc = mu_pki_name_build(&part, 1, &name, err);
    else if (!mu_buf_put_bytes(&name, c->csr->subject))
        rc = mu_buf_check(&name, "subject", err);
    if (rc == MU_OK)
        rc = mu_buf_check(&exts, "extensions", err);
    if (rc != MU_OK)
        goto out;
    tbs.serial_magnitude = mu_bytes(serial, sizeof serial);
    tbs.issuer = tbs.subject = mu_buf_bytes(&name);
    tbs.not_before_s = now_s - DAY_S;
    tbs.not_after_s = now_s + 365 * (int64_t)DAY_S;
    tbs.extensions = mu_buf_bytes(&exts);
    rc = mu_pki_cert_make(&tbs, c->config.key, digest, &der, err);
    if (rc == MU_OK)
        rc = mu_pki_cert_decode(mu_buf_bytes(&der), &c->self_signed, err);
out:
    mu_buf_clear(&exts);
    mu_buf_clear(&name);
    mu_buf_clear(&der);
    return rc;
}

static int message_type(struct mu_scep_client *c)
{
    switch (c->config.op) {
    case MU_SCEP_CLIENT_CERT:
        return MU_SCEP_GET_CERT;
    case MU_SCEP_CLIENT_CRL:
        return MU_SCEP_GET_CRL;
    case MU_SCEP_CLIENT_POLL:
        return MU_SCEP_CERT_POLL;
    default:
        break;
    }
    if (c->config.signer_cert == NULL || c->config.plain_pkcs_req)
        return MU_SCEP_PKCS_REQ;
    if (c->caps & MU_SCEP_CAP_RENEWAL)
        return MU_SCEP_RENEWAL_REQ;
    mu_scep_client_warn(c, MU_TRACE_REQUEST, /* SCEP-24 */
        "degraded: Renewal is not offered, so the renewal goes as PKCSReq");
    return MU_SCEP_PKCS_REQ;
}

enum mu_code mu_scep_client_ask_prepare(struct mu_scep_client *c, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (c->type == 0)
        c->type = message_type(c);
    if (c->transaction_id == NULL)
        rc = make_transaction_id(c, err);
    if (rc == MU_OK && c->config.signer_cert == NULL && c->self_signed == NULL)
        rc = make_self_signed(c, err);
    return rc;
}

/* ---- one message ---- */

static struct mu_bytes message_data(
    const struct mu_scep_client *c, int type, struct mu_buf *b, const char **words)
{
    struct mu_bytes serial = mu_buf_bytes(&c->serial);

    switch (type) {
    case MU_SCEP_CERT_POLL:
        mu_scep_msg_put_poll(b, c->ca->subject, c->csr->subject);
        *words = "issuer and subject";
        return mu_buf_bytes(b);
    case MU_SCEP_GET_CERT:
    case MU_SCEP_GET_CRL:
        /* The issuer is the CA, never an RA (SCEP-72). */
        if (serial.n == 0)
            serial = c->config.signer_cert->serial;
        mu_scep_msg_put_serial(b, c->ca->subject, serial);
        *words = "issuer and serial number";
        return mu_buf_bytes(b);
    default:
        *words = "PKCS #10";
        return c->csr->der;
    }
}

static enum mu_code envelope(
    const struct mu_scep_client *c, struct mu_bytes plain, struct mu_buf *out, struct mu_err *err)
{
    struct mu_pki_enveloped_params params = {
        .recipient = c->ra_encrypt != NULL ? c->ra_encrypt : c->ca,
        .cipher = c->cipher,
        .allow_legacy = c->config.allow_legacy,
    };
    struct mu_pki_key *key;
    enum mu_code rc;

    rc = mu_pki_cert_key(params.recipient, &key, err);
    if (rc != MU_OK)
        return rc;
    if (!mu_pki_key_can_encrypt(key)) { /* SCEP-36 */
        params.recipient = NULL;
        params.password = mu_scep_client_challenge(c);
        if (params.password == NULL)
            return mu_err_set(err, MU_UNSUPPORTED, MU_M(303),
                "scep: the CA's key cannot decrypt, and there is no challenge password to "
                "encrypt with instead (RFC 8894 3.1)");
    }
    return mu_pki_enveloped_encode(&params, plain, c->config.env, out, err);
}

static enum mu_code sign(struct mu_scep_client *c, int type, struct mu_bytes enveloped,
    struct mu_err *err)
{
    struct mu_pki_certs certs = {.n = 0};
    struct mu_scep_msg_params params = {
        .transaction_id = c->transaction_id,
        .type = type,
        .sender_nonce = mu_bytes(c->nonce, sizeof c->nonce),
        .status = -1,
        .fail_info = -1,
        .envelope = enveloped,
        .key = mu_scep_client_signer_key(c),
        .cert = mu_scep_client_signer(c),
        .certs = &certs,
        .digest = c->digest,
    };
    enum mu_code rc;

    rc = mu_pki_certs_add(&certs, mu_scep_client_signer(c), err);
    mu_buf_reset(&c->message);
    if (rc == MU_OK)
        rc = mu_scep_msg_encode(&params, &c->message, err);
    mu_pki_certs_clear(&certs);
    return rc;
}

enum mu_code mu_scep_client_ask_build(struct mu_scep_client *c, struct mu_err *err)
{
    int type = c->pending ? MU_SCEP_CERT_POLL : c->type;
    struct mu_buf data = {.max = 64 * 1024}, enveloped = {.max = MU_LIMIT_MESSAGE};
    struct mu_buf nonce = {.max = 80};
    const char *words;
    struct mu_bytes plain;
    enum mu_code rc;

    rc = mu_env_random(c->config.env, c->nonce, sizeof c->nonce, err); /* SCEP-47: always new */
    if (rc != MU_OK)
        return rc;
    plain = message_data(c, type, &data, &words);
    mu_scep_client_trace(c, MU_TRACE_REQUEST, "transaction id: %s", c->transaction_id);
    mu_scep_client_trace(c, MU_TRACE_REQUEST, "payload %zu bytes, %s", plain.n, words);
    rc = mu_buf_check(&data, "message data", err);
    if (rc == MU_OK)
        rc = envelope(c, plain, &enveloped, err);
    if (rc != MU_OK)
        goto out;
    mu_scep_client_trace(c, MU_TRACE_REQUEST, "encrypted %s, envelope %zu bytes",
        mu_pki_cipher_title(c->cipher), enveloped.n);
    rc = sign(c, type, mu_buf_bytes(&enveloped), err);
    if (rc != MU_OK)
        goto out;
    mu_text_hex(&nonce, mu_bytes(c->nonce, sizeof c->nonce), 0);
    mu_scep_client_trace(c, MU_TRACE_REQUEST, "signed %s, messageType %d, senderNonce %s",
        mu_pki_digest_title(c->digest), type, mu_buf_str(&nonce));
    mu_scep_client_trace(c, MU_TRACE_REQUEST, "message %zu bytes", c->message.n);
out:
    mu_buf_clear(&data);
    mu_buf_clear(&enveloped);
    mu_buf_clear(&nonce);
    return rc;
}
