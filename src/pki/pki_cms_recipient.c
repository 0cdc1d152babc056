/* RecipientInfo: which kind, key transport, shared keys. */
#include "pki/pki_cms_recipient.h"

#include "pki/pki_aes_wrap.h"
#include "pki/pki_cms_pwri.h"
#include "pki/pki_internal.h"

static enum mu_code bad(const char *what, const char *clause, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "cms: malformed EnvelopedData: %s (RFC 5652 %s)", what, clause);
}

/* ---- decoding ---- */

/* keyEncryptionAlgorithm and encryptedKey, with which most kinds end. */
static bool key_decode(struct mu_bytes in, struct mu_pki_enveloped *e)
{
    struct mu_der el;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return false;
    e->key_alg = el.whole;
    if (!mu_der_get(&in, MU_DER_OCTET_STRING, &el) || in.n)
        return false;
    e->encrypted_key = el.value;
    return true;
}

static enum mu_code ktri_decode(struct mu_bytes in, struct mu_pki_enveloped *e, struct mu_err *err)
{
    struct mu_der el, rid;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el) || !mu_der_next(&in, &rid))
        return bad("recipient", "6.2.1", err);
    if (rid.tag == MU_DER_CONTEXT(0)) {
        e->rid_skid = rid.value;
    } else {
        if (rid.tag != MU_DER_SEQUENCE || !mu_der_get(&rid.value, MU_DER_SEQUENCE, &el))
            return bad("rid", "6.2.1", err);
        e->rid_issuer = el.whole;
        if (!mu_der_get(&rid.value, MU_DER_INTEGER, &el) || rid.value.n)
            return bad("rid", "6.2.1", err);
        e->rid_serial = el.value;
    }
    if (!key_decode(in, e))
        return bad("encryptedKey", "6.2.1", err);
    e->kind = MU_PKI_RECIPIENT_KTRI;
    return MU_OK;
}

static enum mu_code kek_decode(struct mu_bytes in, struct mu_pki_enveloped *e, struct mu_err *err)
{
    struct mu_der el, id;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el) || !mu_der_get(&in, MU_DER_SEQUENCE, &id)
        || !mu_der_get(&id.value, MU_DER_OCTET_STRING, &el))
        return bad("kekid", "6.2.3", err);
    e->kek_id = el.value;
    if (!key_decode(in, e))
        return bad("encryptedKey", "6.2.3", err);
    e->kind = MU_PKI_RECIPIENT_KEK;
    return MU_OK;
}

static enum mu_code pwri_decode(struct mu_bytes in, struct mu_pki_enveloped *e, struct mu_err *err)
{
    struct mu_der el;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el)
        || !mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el))
        return bad("password recipient", "6.2.4", err);
    if (el.whole.p)
        e->kdf_alg = el.value;
    if (!key_decode(in, e))
        return bad("encryptedKey", "6.2.4", err);
    e->kind = MU_PKI_RECIPIENT_PWRI;
    return MU_OK;
}

enum mu_code mu_pki_recipients_decode(struct mu_bytes in, struct mu_pki_enveloped *e,
    struct mu_err *err)
{
    struct mu_der el;
    if (!mu_der_next(&in, &el))
        return bad("recipientInfos", "6.1", err);
    if (in.n)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cms: more than one recipient (RFC 8894 3.2)");
    switch (el.tag) {
    case MU_DER_SEQUENCE:
        return ktri_decode(el.value, e, err);
    case MU_DER_CONTEXT_CONSTRUCTED(1):
        return mu_pki_kari_decode(el.value, e, err);
    case MU_DER_CONTEXT_CONSTRUCTED(2):
        return kek_decode(el.value, e, err);
    case MU_DER_CONTEXT_CONSTRUCTED(3):
        return pwri_decode(el.value, e, err);
    default:
        e->kind = MU_PKI_RECIPIENT_OTHER;
        return MU_OK;
    }
}

enum mu_code mu_pki_kek_unwrap(const struct mu_pki_enveloped *e, const struct mu_secret *kek,
    struct mu_secret *content_key, struct mu_err *err)
{
    struct mu_der seq, oid;
    size_t size = 0;
    if (mu_der_only(e->key_alg, MU_DER_SEQUENCE, &seq) && mu_der_get(&seq.value, MU_DER_OID, &oid))
        size = mu_pki_aes_wrap_size(oid.value);
    if (!size)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "cms: the shared key wraps with something else than AES key wrap (RFC 3565)");
    if (kek->n != size || !mu_pki_aes_unwrap(kek->p, size, e->encrypted_key, content_key)
        || content_key->n != mu_pki_cipher_key_size(e->cipher))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE, "cms: the shared key does not fit");
    return MU_OK;
}

/* ---- encoding ---- */

static bool names_by_skid(const struct mu_pki_enveloped_params *p)
{
    return p->rid_by_skid && p->recipient->exts.skid.n;
}

static bool is_ec(struct mu_pki_cert *cert)
{
    struct mu_pki_key *key;
    struct mu_pki_key_spec spec;
    if (mu_pki_cert_key(cert, &key, NULL) != MU_OK)
        return false;
    mu_pki_key_spec_of(key, &spec);
    return spec.type == MU_PKI_KEY_EC;
}

int mu_pki_recipient_version(const struct mu_pki_enveloped_params *p)
{
    if (p->recipient)
        return names_by_skid(p) || is_ec(p->recipient) ? 2 : 0;
    return p->kek ? 2 : 3;
}

static void ktri_rid_put(struct mu_buf *b, const struct mu_pki_enveloped_params *p)
{
    if (names_by_skid(p)) { /* COM-11 */
        mu_der_put_int(b, 2);
        mu_der_put(b, MU_DER_CONTEXT(0), p->recipient->exts.skid);
        return;
    }
    mu_der_put_int(b, 0);
    size_t rid = mu_der_open(b, MU_DER_SEQUENCE);
    mu_buf_put_bytes(b, p->recipient->issuer);
    mu_der_put(b, MU_DER_INTEGER, p->recipient->serial);
    mu_der_close(b, rid);
}

static enum mu_code ktri_put(struct mu_buf *b, const struct mu_pki_enveloped_params *p,
    const struct mu_pki_key *key, struct mu_bytes content_key, struct mu_err *err)
{
    struct mu_buf encrypted;
    mu_buf_init(&encrypted, 4096);
    enum mu_code rc = mu_pki_key_transport_encrypt(key, content_key, &encrypted, err);
    if (rc == MU_OK) {
        size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
        ktri_rid_put(b, p);
        size_t alg = mu_der_open(b, MU_DER_SEQUENCE);
        mu_der_put_oid(b, MU_OID_RSA);
        mu_der_put_null(b);
        mu_der_close(b, alg);
        mu_der_put(b, MU_DER_OCTET_STRING, mu_buf_bytes(&encrypted));
        mu_der_close(b, seq);
    }
    mu_buf_clear(&encrypted);
    return rc;
}

static enum mu_code kek_put(struct mu_buf *b, const struct mu_pki_enveloped_params *p,
    struct mu_bytes content_key, struct mu_err *err)
{
    const struct mu_secret *kek = p->kek;
    struct mu_buf wrapped = {.max = 256};
    if (kek->n != 16 && kek->n != 24 && kek->n != 32)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_UNDELIVERABLE,
            "cms: a shared key of %zu octets; AES key wrap takes 16, 24 or 32", kek->n);
    if (!mu_pki_aes_wrap(kek->p, kek->n, content_key, &wrapped)) {
        mu_buf_clear(&wrapped);
        return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "cms: key wrapping failed");
    }
    size_t info = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(2));
    mu_der_put_int(b, 4); /* COM-11 */
    size_t id = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put(b, MU_DER_OCTET_STRING, p->kek_id);
    mu_der_close(b, id);
    mu_pki_aes_wrap_put(b, kek->n);
    mu_der_put(b, MU_DER_OCTET_STRING, mu_buf_bytes(&wrapped));
    mu_der_close(b, info);
    mu_buf_clear(&wrapped);
    return MU_OK;
}

enum mu_code mu_pki_recipient_put(struct mu_buf *b, const struct mu_pki_enveloped_params *params,
    struct mu_bytes content_key, const struct mu_env *env, struct mu_err *err)
{
    struct mu_pki_key *key;
    enum mu_code rc;
    if (!params->recipient)
        return params->kek ? kek_put(b, params, content_key, err)
                           : mu_pki_pwri_put(b, params, content_key, env, err);
    if ((rc = mu_pki_cert_key(params->recipient, &key, err)) != MU_OK)
        return rc;
    return is_ec(params->recipient) ? mu_pki_kari_put(b, params, key, content_key, err)
                                    : ktri_put(b, params, key, content_key, err);
}
