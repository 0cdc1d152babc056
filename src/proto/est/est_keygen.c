/* Attributes of serverkeygen: see est_keygen.h. */
#include "proto/est/est_keygen.h"

#include "pki/pki_key.h"

static const struct { const char *oid; enum mu_pki_cipher cipher; } ciphers[] = {
    {"2.16.840.1.101.3.4.1.42", MU_PKI_AES256_CBC},
    {"2.16.840.1.101.3.4.1.22", MU_PKI_AES192_CBC},
    {"2.16.840.1.101.3.4.1.2", MU_PKI_AES128_CBC},
};
static const char *const wraps[3] = {
    "2.16.840.1.101.3.4.1.5", "2.16.840.1.101.3.4.1.25", "2.16.840.1.101.3.4.1.45"};

static void put_attribute(struct mu_buf *b, const char *oid, unsigned tag, struct mu_bytes value)
{
    size_t outer = mu_der_open(b, MU_DER_SEQUENCE), set;

    mu_der_put_oid(b, oid);
    set = mu_der_open(b, MU_DER_SET);
    mu_der_put(b, tag, value);
    mu_der_close(b, set);
    mu_der_close(b, outer);
}

static void put_capability(struct mu_buf *b, const char *oid)
{
    size_t mark = mu_der_open(b, MU_DER_SEQUENCE);

    mu_der_put_oid(b, oid);
    mu_der_close(b, mark);
}

void mu_est_keygen_put(enum mu_est_keygen_to to, struct mu_bytes id, struct mu_buf *out)
{
    struct mu_buf list = {.max = 1024};
    size_t i;

    if (to == MU_EST_KEYGEN_PLAIN)
        return;
    for (i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++)
        put_capability(&list, ciphers[i].oid);
    for (i = 3; i > 0; i--)
        put_capability(&list, wraps[i - 1]);
    put_attribute(out,
        to == MU_EST_KEYGEN_SECRET ? MU_EST_OID_DECRYPT_KEY : MU_EST_OID_ASYMMETRIC_DECRYPT_KEY,
        MU_DER_OCTET_STRING, id);
    put_attribute(out, MU_EST_OID_SMIME_CAPABILITIES, MU_DER_SEQUENCE, mu_buf_bytes(&list));
    if (list.failed)
        out->failed = true;
    mu_buf_clear(&list);
}

static enum mu_code bad(const char *what, struct mu_err *err)
{
    return mu_err_set(
        err, MU_INPUT, MU_REFUSE_MALFORMED, "est: %s (RFC 7030 4.4.1)", what);
}

/* The best cipher listed, and the key wraps. Without a list that is what everybody knows. */
static enum mu_code take_capabilities(
    const struct mu_pki_csr *csr, struct mu_est_keygen *out, struct mu_err *err)
{
    struct mu_bytes value = mu_pki_csr_attribute(csr, MU_EST_OID_SMIME_CAPABILITIES), in;
    struct mu_der list, one, oid;
    size_t best = sizeof ciphers / sizeof ciphers[0], i;

    if (value.p == NULL)
        return bad("the request asks for an encrypted key and has no SMIMECapabilities", err);
    if (!mu_der_only(value, MU_DER_SEQUENCE, &list))
        return bad("the SMIMECapabilities are malformed", err);
    in = list.value;
    while (in.n != 0) {
        if (!mu_der_get(&in, MU_DER_SEQUENCE, &one) || !mu_der_get(&one.value, MU_DER_OID, &oid))
            return bad("the SMIMECapabilities are malformed", err);
        for (i = 0; i < best; i++) {
            if (mu_der_oid_is(oid.value, ciphers[i].oid))
                best = i;
        }
        for (i = 0; i < 3; i++)
            out->wraps[i] = out->wraps[i] || mu_der_oid_is(oid.value, wraps[i]);
    }
    if (best == sizeof ciphers / sizeof ciphers[0])
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "est: the request's SMIMECapabilities list no AES in CBC mode, and nothing else is made "
            "here (RFC 7030 4.4.1)");
    out->cipher = ciphers[best].cipher;
    return MU_OK;
}

enum mu_code mu_est_keygen_get(
    const struct mu_pki_csr *csr, struct mu_est_keygen *out, struct mu_err *err)
{
    struct mu_bytes secret = mu_pki_csr_attribute(csr, MU_EST_OID_DECRYPT_KEY);
    struct mu_bytes cert = mu_pki_csr_attribute(csr, MU_EST_OID_ASYMMETRIC_DECRYPT_KEY);
    struct mu_der id;

    memset(out, 0, sizeof *out);
    if (secret.p == NULL && cert.p == NULL)
        return MU_OK;
    if (secret.p != NULL && cert.p != NULL)
        return bad("the request names two keys to encrypt to", err);
    if (!mu_der_only(secret.p != NULL ? secret : cert, MU_DER_OCTET_STRING, &id)
        || id.value.n == 0)
        return bad("the identifier of the key to encrypt to is no OCTET STRING", err);
    out->to = secret.p != NULL ? MU_EST_KEYGEN_SECRET : MU_EST_KEYGEN_CERT;
    out->id = id.value;
    return take_capabilities(csr, out, err);
}

struct mu_bytes mu_est_keygen_id(const struct mu_pki_cert *cert, uint8_t room[20])
{
    if (cert->exts.skid.n != 0)
        return cert->exts.skid;
    return mu_pki_key_id(cert->spki, room) ? mu_bytes(room, 20) : mu_bytes(NULL, 0);
}

bool mu_est_keygen_names(struct mu_bytes id, const struct mu_pki_cert *cert)
{
    uint8_t room[20];

    if (cert == NULL || id.n == 0)
        return false;
    return mu_bytes_equal(id, cert->exts.skid)
        || (mu_pki_key_id(cert->spki, room) && mu_bytes_equal(id, mu_bytes(room, sizeof room)));
}
