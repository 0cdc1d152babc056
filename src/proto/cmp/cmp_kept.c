/* What the server keeps of a transaction: encoding, nonces, the hash to be confirmed. */
#include "proto/cmp/cmp_kept.h"

enum { KEPT_VERSION = 2, KEPT_WITHOUT_ASKED = 1 };
enum { IMPLICIT_ASKED = 1, ENCRYPTS = 2 };

static enum mu_code bad(struct mu_err *err)
{
    return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL,
        "cmp: what was kept of this transaction cannot be read");
}

static bool get_int(struct mu_bytes *in, int64_t *out)
{
    struct mu_der el;
    return mu_der_get(in, MU_DER_INTEGER, &el) && mu_der_int(el.value, out);
}

static bool get_octets(struct mu_bytes *in, struct mu_bytes *out)
{
    struct mu_der el;
    if (!mu_der_get(in, MU_DER_OCTET_STRING, &el))
        return false;
    *out = el.value;
    return true;
}

enum mu_code mu_cmp_kept_decode(struct mu_bytes in, struct mu_cmp_kept *out, struct mu_err *err)
{
    struct mu_cmp_kept k = {0};
    struct mu_der seq;
    struct mu_bytes nonce_key;
    int64_t version, type, protection, flags, hash;
    if (!mu_der_only(in, MU_DER_SEQUENCE, &seq) || !get_int(&seq.value, &version)
        || (version != KEPT_VERSION && version != KEPT_WITHOUT_ASKED) || !get_int(&seq.value, &type)
        || !get_int(&seq.value, &k.cert_req_id) || !get_int(&seq.value, &protection)
        || !get_octets(&seq.value, &k.reference) || !get_octets(&seq.value, &k.signer)
        || !get_octets(&seq.value, &nonce_key) || nonce_key.n != sizeof(k.nonce_key)
        || !get_int(&seq.value, &flags) || !get_int(&seq.value, &hash))
        return bad(err);
    for (int i = 0; i < MU_CMP_KEPT_HASHES; i++)
        if (!get_octets(&seq.value, &k.hashes[i]))
            return bad(err);
    if (version != KEPT_WITHOUT_ASKED && !get_octets(&seq.value, &k.asked))
        return bad(err);
    if (seq.value.n || type < 0 || type >= MU_CMP_TYPES || protection < 0
        || protection > MU_CMP_BY_SIGNATURE || hash < 0 || hash > MU_PKI_SHA512)
        return bad(err);
    k.type = (int)type;
    k.protection = (enum mu_cmp_protection)protection;
    memcpy(k.nonce_key, nonce_key.p, nonce_key.n);
    k.implicit_asked = (flags & IMPLICIT_ASKED) != 0;
    k.encrypts = (flags & ENCRYPTS) != 0;
    k.hash = (enum mu_pki_digest)hash;
    *out = k;
    return MU_OK;
}

void mu_cmp_kept_encode(const struct mu_cmp_kept *k, struct mu_buf *out)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_int(out, KEPT_VERSION);
    mu_der_put_int(out, k->type);
    mu_der_put_int(out, k->cert_req_id);
    mu_der_put_int(out, k->protection);
    mu_der_put(out, MU_DER_OCTET_STRING, k->reference);
    mu_der_put(out, MU_DER_OCTET_STRING, k->signer);
    mu_der_put(out, MU_DER_OCTET_STRING, mu_bytes(k->nonce_key, sizeof(k->nonce_key)));
    mu_der_put_int(out, (k->implicit_asked ? IMPLICIT_ASKED : 0) | (k->encrypts ? ENCRYPTS : 0));
    mu_der_put_int(out, k->hash);
    for (int i = 0; i < MU_CMP_KEPT_HASHES; i++)
        mu_der_put(out, MU_DER_OCTET_STRING, k->hashes[i]);
    mu_der_put(out, MU_DER_OCTET_STRING, k->asked);
    mu_der_close(out, seq);
}

enum mu_pki_digest mu_cmp_kept_hash_of(const struct mu_pki_cert *cert)
{
    return mu_pki_sig_digest(cert->sig_alg);
}

static bool seal(const uint8_t key[16], const uint8_t nonce[8], uint8_t out[8])
{
    uint8_t mac[32];
    if (!mu_pki_hmac_sha256(mu_bytes(key, 16), mu_bytes(nonce, 8), mac))
        return false;
    memcpy(out, mac, 8);
    return true;
}

enum mu_code mu_cmp_kept_nonce(const uint8_t key[16], const struct mu_env *env,
    uint8_t out[MU_CMP_NONCE], struct mu_err *err)
{
    enum mu_code rc = mu_env_random(env, out, 8, err);
    if (rc == MU_OK && !seal(key, out, out + 8))
        rc = mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "cmp: HMAC failed");
    return rc;
}

bool mu_cmp_kept_nonce_is(const uint8_t key[16], struct mu_bytes nonce)
{
    uint8_t end[8];
    return nonce.n == MU_CMP_NONCE && seal(key, nonce.p, end)
        && mu_bytes_equal_secret(mu_bytes(nonce.p + 8, 8), mu_bytes(end, 8));
}
