/* Making certificates: tbsCertificate, signature, and both together (CA-01..CA-05). */
#include "base/limits.h"
#include "pki/pki_internal.h"

static void validity_put(struct mu_buf *b, const struct mu_pki_tbs *tbs)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_time(b, tbs->not_before_s);
    mu_der_put_time(b, tbs->not_after_s);
    mu_der_close(b, seq);
}

static void tbs_put(struct mu_buf *b, const struct mu_pki_tbs *tbs, struct mu_bytes sig_alg)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    if (tbs->extensions.n) {
        size_t version = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
        mu_der_put_int(b, 2); /* v3 */
        mu_der_close(b, version);
    }
    mu_der_put_unsigned(b, tbs->serial_magnitude);
    mu_buf_put_bytes(b, sig_alg);
    mu_buf_put_bytes(b, tbs->issuer);
    validity_put(b, tbs);
    mu_buf_put_bytes(b, tbs->subject);
    mu_buf_put_bytes(b, tbs->spki);
    if (tbs->extensions.n) {
        size_t extensions = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(3));
        mu_buf_put_bytes(b, tbs->extensions);
        mu_der_close(b, extensions);
    }
    mu_der_close(b, seq);
}

/* SEQUENCE { signed part, algorithm, BIT STRING }: certificates, CRLs and requests alike. */
enum mu_code mu_pki_sign_wrap(struct mu_bytes signed_part, struct mu_bytes sig_alg,
    const struct mu_pki_key *key, enum mu_pki_digest digest, struct mu_buf *der, struct mu_err *err)
{
    struct mu_buf signature;
    mu_buf_init(&signature, 4096);
    enum mu_code rc = mu_pki_key_sign(key, digest, signed_part, &signature, err);
    if (rc == MU_OK) {
        size_t seq = mu_der_open(der, MU_DER_SEQUENCE);
        mu_buf_put_bytes(der, signed_part);
        mu_buf_put_bytes(der, sig_alg);
        mu_der_put_bits(der, mu_buf_bytes(&signature));
        mu_der_close(der, seq);
        rc = mu_buf_check(der, "signed object", err);
    }
    mu_buf_clear(&signature);
    return rc;
}

enum mu_code mu_pki_cert_make(const struct mu_pki_tbs *tbs, const struct mu_pki_key *issuer_key,
    enum mu_pki_digest digest, struct mu_buf *der, struct mu_err *err)
{
    struct mu_buf b, sig_alg;
    if (digest == MU_PKI_DIGEST_NONE)
        digest = mu_pki_key_default_digest(issuer_key);
    mu_buf_init(&b, MU_LIMIT_MESSAGE);
    mu_buf_init(&sig_alg, 64);
    mu_pki_key_sign_alg(issuer_key, digest, &sig_alg);
    tbs_put(&b, tbs, mu_buf_bytes(&sig_alg));
    enum mu_code rc = MU_OK;
    if (sig_alg.failed)
        rc = mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "this key cannot sign with the digest asked for");
    if (rc == MU_OK)
        rc = mu_buf_check(&b, "certificate", err);
    if (rc == MU_OK)
        rc = mu_pki_sign_wrap(
            mu_buf_bytes(&b), mu_buf_bytes(&sig_alg), issuer_key, digest, der, err);
    mu_buf_clear(&b);
    mu_buf_clear(&sig_alg);
    return rc;
}
