/* PBKDF2 and the HMACs by their AlgorithmIdentifiers. */
#include "pki/pki_pbkdf2.h"

#include <openssl/err.h>

#include "pki/pki_internal.h"

static const struct hmac_row {
    const char *oid;
    enum mu_pki_digest digest;
} hmacs[] = {
    {"1.2.840.113549.2.7", MU_PKI_SHA1}, /* as a MAC it is not what D5 calls legacy */
    {"1.2.840.113549.2.8", MU_PKI_SHA224},
    {"1.2.840.113549.2.9", MU_PKI_SHA256},
    {"1.2.840.113549.2.10", MU_PKI_SHA384},
    {"1.2.840.113549.2.11", MU_PKI_SHA512},
    {"1.3.6.1.5.5.8.1.2", MU_PKI_SHA1}, /* what CMP calls it (RFC 9810 5.1.3.1) */
};
enum { HMACS = sizeof(hmacs) / sizeof(hmacs[0]) };

bool mu_pki_hmac_decode(struct mu_bytes alg, enum mu_pki_digest *out)
{
    struct mu_der oid, null;
    if (!mu_der_get(&alg, MU_DER_OID, &oid) || !mu_der_optional(&alg, MU_DER_NULL, &null) || alg.n)
        return false;
    for (size_t i = 0; i < HMACS; i++) {
        if (mu_der_oid_is(oid.value, hmacs[i].oid)) {
            *out = hmacs[i].digest;
            return true;
        }
    }
    return false;
}

void mu_pki_hmac_put(struct mu_buf *b, enum mu_pki_digest digest)
{
    size_t alg = mu_der_open(b, MU_DER_SEQUENCE);
    for (size_t i = 0; i < HMACS; i++) {
        if (hmacs[i].digest == digest) {
            mu_der_put_oid(b, hmacs[i].oid);
            break;
        }
    }
    mu_der_put_null(b); /* RFC 8018 B.1.2 */
    mu_der_close(b, alg);
}

bool mu_pki_pbkdf2_decode(struct mu_bytes in, struct mu_pki_pbkdf2 *out)
{
    struct mu_der oid, seq, salt, count, len, prf;
    if (!mu_der_get(&in, MU_DER_OID, &oid) || !mu_der_oid_is(oid.value, MU_OID_PBKDF2)
        || !mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    in = seq.value;
    if (!mu_der_get(&in, MU_DER_OCTET_STRING, &salt) || !mu_der_get(&in, MU_DER_INTEGER, &count)
        || !mu_der_int(count.value, &out->iterations)
        || !mu_der_optional(&in, MU_DER_INTEGER, &len)
        || !mu_der_optional(&in, MU_DER_SEQUENCE, &prf) || in.n)
        return false;
    out->key_length = 0;
    if (len.whole.p && (!mu_der_int(len.value, &out->key_length) || out->key_length < 1))
        return false;
    out->salt = salt.value;
    out->prf = MU_PKI_SHA1;
    return !prf.whole.p || mu_pki_hmac_decode(prf.value, &out->prf);
}

void mu_pki_pbkdf2_put(struct mu_buf *b, const struct mu_pki_pbkdf2 *kdf)
{
    mu_der_put_oid(b, MU_OID_PBKDF2);
    size_t params = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put(b, MU_DER_OCTET_STRING, kdf->salt);
    mu_der_put_int(b, kdf->iterations);
    if (kdf->key_length)
        mu_der_put_int(b, kdf->key_length);
    if (kdf->prf != MU_PKI_SHA1) /* DEFAULT */
        mu_pki_hmac_put(b, kdf->prf);
    mu_der_close(b, params);
}

bool mu_pki_pbkdf2_derive(const struct mu_pki_pbkdf2 *kdf, struct mu_bytes secret, uint8_t *key,
    size_t n)
{
    bool ok = PKCS5_PBKDF2_HMAC(secret.p ? (const char *)secret.p : "", (int)secret.n, kdf->salt.p,
                  (int)kdf->salt.n, (int)kdf->iterations, mu_pki_alg_md(kdf->prf), (int)n, key)
        == 1;
    ERR_clear_error();
    return ok;
}
