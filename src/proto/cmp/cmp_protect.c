/* Protection: MAC and signature, both ways. */
#include "proto/cmp/cmp_protect.h"

#include "base/limits.h"
#include "base/text.h"

enum mu_cmp_protection mu_cmp_protect_kind(const struct mu_cmp_msg *msg)
{
    if (!msg->protection.p || !msg->header.protection_alg.p)
        return MU_CMP_UNPROTECTED;
    return mu_pki_mac_is(msg->header.protection_alg) ? MU_CMP_BY_MAC : MU_CMP_BY_SIGNATURE;
}

void mu_cmp_protect_mac_clear(struct mu_cmp_mac_key *mac)
{
    mu_secret_clear(&mac->key);
    *mac = (struct mu_cmp_mac_key){0};
}

enum mu_code mu_cmp_protect_mac_derive(struct mu_cmp_mac_key *mac, const struct mu_pki_mac *params,
    const struct mu_secret *secret, struct mu_err *err)
{
    if (mu_secret_is_set(&mac->key) && mu_pki_mac_equal(&mac->mac, params))
        return MU_OK;
    enum mu_code rc = mu_pki_mac_derive(params, secret, &mac->key, err);
    if (rc == MU_OK)
        mac->mac = *params;
    return rc;
}

/* CMP-20: the DER of header and body as they came, in a buffer of its own. */
static enum mu_code protected_part(const struct mu_cmp_msg *msg, struct mu_buf *part,
    struct mu_err *err)
{
    mu_buf_init(part, MU_LIMIT_REPLY + 16);
    mu_cmp_msg_put_protected_part(msg, part);
    return mu_buf_check(part, "ProtectedPart", err);
}

static enum mu_code unfit(enum mu_code rc, const char *clause, struct mu_err *err)
{
    if (err && err->reason < MU_REFUSE_FIRST)
        mu_err_narrow(err, rc == MU_UNSUPPORTED ? MU_REFUSE_ALGORITHM : MU_REFUSE_SIGNATURE);
    mu_err_context(err, "cmp: protection (RFC 9810 %s)", clause);
    return rc;
}

enum mu_code mu_cmp_protect_verify_mac(const struct mu_cmp_msg *msg, const struct mu_secret *secret,
    bool allow_legacy, struct mu_cmp_mac_key *mac, struct mu_err *err)
{
    struct mu_pki_mac params;
    struct mu_buf part = {0};
    enum mu_code rc;
    if (mu_cmp_protect_kind(msg) != MU_CMP_BY_MAC)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PROTECTION_KIND,
            "cmp: the message is not protected by a MAC (RFC 9483 3.5)");
    rc = mu_pki_mac_decode(msg->header.protection_alg, allow_legacy, &params, err);
    if (rc != MU_OK)
        return unfit(rc, "5.1.3.1", err);
    if (!secret || !mu_secret_is_set(secret))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cmp: no secret is known for the reference of this message (RFC 9483 3.5)");
    if ((rc = mu_cmp_protect_mac_derive(mac, &params, secret, err)) == MU_OK
        && (rc = protected_part(msg, &part, err)) == MU_OK)
        rc = mu_pki_mac_verify(&mac->mac, &mac->key, mu_buf_bytes(&part), msg->protection, err);
    mu_buf_clear(&part);
    return rc == MU_OK ? rc : unfit(rc, "5.1.3.1", err);
}

/* ---- signature ---- */

static bool kid_is(const struct mu_pki_cert *cert, struct mu_bytes kid)
{
    uint8_t id[20];
    if (cert->exts.skid.n)
        return mu_bytes_equal(cert->exts.skid, kid);
    return mu_pki_key_id(cert->spki, id) && mu_bytes_equal(mu_bytes(id, sizeof(id)), kid);
}

/* 2: key identifier and name fit, 1: one of them, where the other says nothing; 0: no. */
static int fits(const struct mu_cmp_header *header, const struct mu_pki_cert *cert)
{
    bool has_kid = header->sender_kid.n != 0;
    bool has_name = header->sender.p && !mu_pki_name_is_empty(header->sender);
    bool kid = has_kid && kid_is(cert, header->sender_kid);
    bool name = has_name && mu_pki_name_equal(header->sender, cert->subject);
    if (kid && name)
        return 2;
    return kid || (name && !cert->exts.skid.n) || (name && !has_kid) ? 1 : 0;
}

static void look(const struct mu_cmp_header *header, const struct mu_pki_certs *list,
    struct mu_pki_cert **best, int *how_good)
{
    for (size_t i = 0; list && i < list->n; i++) {
        int good = fits(header, list->v[i]);
        if (good > *how_good) {
            *how_good = good;
            *best = list->v[i];
        }
    }
}

struct mu_pki_cert *mu_cmp_protect_signer(const struct mu_cmp_msg *msg,
    const struct mu_pki_certs *others)
{
    struct mu_pki_cert *best = NULL;
    int how_good = 0;
    look(&msg->header, &msg->extra, &best, &how_good);
    look(&msg->header, others, &best, &how_good);
    return best;
}

enum mu_code mu_cmp_protect_verify_signature(const struct mu_cmp_msg *msg, struct mu_pki_cert *cert,
    const struct mu_cmp_verify_opts *opts, struct mu_err *err)
{
    const struct mu_pki_verify_opts verify = {.allow_legacy = opts && opts->allow_legacy};
    struct mu_pki_key *key;
    struct mu_buf part = {0};
    enum mu_code rc;
    if (mu_cmp_protect_kind(msg) != MU_CMP_BY_SIGNATURE)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PROTECTION_KIND,
            "cmp: the message is not protected by a signature (RFC 9483 3.5)");
    if (!msg->header.sender.p || !mu_pki_name_equal(msg->header.sender, cert->subject))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cmp: the sender is not the subject of the certificate that protects (RFC 9483 3.1)");
    if (cert->exts.has_key_usage && !(cert->exts.key_usage & MU_KU_DIGITAL_SIGNATURE)
        && !(opts && opts->ignore_key_usage))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cmp: the certificate that protects may not sign: its keyUsage lacks "
            "digitalSignature (RFC 9483 3.5)");
    if ((rc = mu_pki_cert_key(cert, &key, err)) == MU_OK
        && (rc = protected_part(msg, &part, err)) == MU_OK)
        rc = mu_pki_key_verify(key, msg->header.protection_alg, mu_buf_bytes(&part),
            msg->protection, &verify, NULL, err);
    mu_buf_clear(&part);
    return rc == MU_OK ? rc : unfit(rc, "5.1.3.3", err);
}

/* ---- making ---- */

/* CN=<reference>, as a Name. */
static void reference_name_put(struct mu_buf *b, struct mu_bytes reference)
{
    size_t name = mu_der_open(b, MU_DER_SEQUENCE), set = mu_der_open(b, MU_DER_SET);
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, "2.5.4.3");
    mu_der_put(b, MU_DER_UTF8_STRING, reference);
    mu_der_close(b, seq);
    mu_der_close(b, set);
    mu_der_close(b, name);
}

/* Who sends and by which algorithm; views into alg and name. */
static bool by_pss(const struct mu_cmp_protector *how)
{
    return how->pss || mu_pki_key_is_pss(how->key);
}

static enum mu_code header_fill(struct mu_cmp_header *h, const struct mu_cmp_protector *how,
    enum mu_pki_digest digest, struct mu_buf *alg, struct mu_buf *name, struct mu_err *err)
{
    h->protection_alg = mu_bytes(NULL, 0);
    if (how->mac) {
        mu_pki_mac_encode(&how->mac->mac, alg);
        reference_name_put(name, how->reference);
        if (!h->sender.p)
            h->sender = mu_buf_bytes(name);
        if (!h->sender_kid.p && how->reference.n)
            h->sender_kid = how->reference;
    } else if (how->key) {
        if (by_pss(how) && mu_pki_key_can_pss(how->key))
            mu_pki_key_pss_alg(digest, alg);
        else if (!by_pss(how))
            mu_pki_key_sign_alg(how->key, digest, alg);
        else
            return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
                "cmp: only an RSA key signs by RSASSA-PSS");
        if (alg->failed)
            return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
                "cmp: this key cannot sign with the digest asked for");
        if (!h->sender.p && how->cert)
            h->sender = how->cert->subject;
        if (!h->sender_kid.p && how->cert && how->cert->exts.skid.n)
            h->sender_kid = how->cert->exts.skid;
    }
    if (alg->n)
        h->protection_alg = mu_buf_bytes(alg);
    return mu_buf_check(name, "sender", err);
}

static enum mu_code protection_make(const struct mu_cmp_protector *how, enum mu_pki_digest digest,
    const struct mu_buf *part, struct mu_buf *value, struct mu_err *err)
{
    uint8_t mac[MU_PKI_MAC_SIZE];
    size_t n;
    if (!how->mac && by_pss(how))
        return mu_pki_key_sign_pss(how->key, digest, mu_buf_bytes(part), value, err);
    if (!how->mac)
        return mu_pki_key_sign(how->key, digest, mu_buf_bytes(part), value, err);
    enum mu_code rc = mu_pki_mac_make(&how->mac->mac, &how->mac->key, mu_buf_bytes(part), mac, &n, err);
    if (rc == MU_OK)
        mu_buf_put(value, mac, n);
    return rc;
}

enum mu_code mu_cmp_protect_encode(const struct mu_cmp_header *header,
    const struct mu_cmp_body *body, const struct mu_cmp_protector *how,
    const struct mu_pki_certs *extra, struct mu_buf *out, struct mu_err *err)
{
    struct mu_cmp_header h = *header;
    struct mu_buf alg = {.max = 1024}, name = {.max = MU_LIMIT_NAME}, value = {.max = 4096};
    struct mu_buf part = {.max = MU_LIMIT_REPLY, .secret = true}; /* a body may hold a secret */
    enum mu_pki_digest digest = how->digest;
    enum mu_code rc;
    if (!how->mac && how->key && digest == MU_PKI_DIGEST_NONE)
        digest = mu_pki_key_default_digest(how->key);
    if ((rc = header_fill(&h, how, digest, &alg, &name, err)) != MU_OK)
        goto out;
    mu_cmp_msg_encode_part(&h, body, &part);
    if ((rc = mu_buf_check(&part, "ProtectedPart", err)) != MU_OK)
        goto out;
    if (h.protection_alg.p && (rc = protection_make(how, digest, &part, &value, err)) != MU_OK)
        goto out;
    rc = mu_cmp_msg_encode(mu_buf_bytes(&part),
        h.protection_alg.p ? mu_buf_bytes(&value) : mu_bytes(NULL, 0), extra, out, err);
out:
    mu_buf_clear(&alg);
    mu_buf_clear(&name);
    mu_buf_clear(&value);
    mu_buf_clear(&part);
    return rc;
}
