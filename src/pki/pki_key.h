/*
 * Keys: an EVP_PKEY in memory, in a file or in a token, behind one type. A key is immutable and
 * counted; it may be used from several threads at once. This is the mu_signer of HOUSE.md: a key
 * whose private part is usable signs and decrypts.
 */
#ifndef MU_PKI_KEY_H
#define MU_PKI_KEY_H

#include "base/secret.h"
#include "pki/pki_alg.h"

struct mu_pki_key;

enum mu_pki_key_type { MU_PKI_KEY_OTHER, MU_PKI_KEY_RSA, MU_PKI_KEY_EC, MU_PKI_KEY_ED25519, MU_PKI_KEY_ED448 };

struct mu_pki_key_spec {
    enum mu_pki_key_type type;
    unsigned bits; /* RSA modulus; EC 256, 384, 521; 0 for EdDSA */
};

/* "rsa:2048", "rsa-2048", "2048", "ec:P-256", "ec-secp256r1", "secp384r1", "ed25519".
 * RSA 1024 and 1536 without allow_legacy are M705; an unknown word lists the known ones. */
enum mu_code mu_pki_key_spec_parse(const char *word, bool allow_legacy,
    struct mu_pki_key_spec *out, struct mu_err *err) MU_CHECK;
/* "RSA 2048", "EC P-256". Returns buf. */
const char *mu_pki_key_spec_format(const struct mu_pki_key_spec *spec, char buf[32]);

enum mu_code mu_pki_key_generate(const struct mu_pki_key_spec *spec, struct mu_pki_key **out,
    struct mu_err *err) MU_CHECK;
/* From DER SubjectPublicKeyInfo. RSA and EC go through EVP_PKEY_fromdata, which is 5 to 50 times
 * faster than the generic decoder. An unknown algorithm is MU_UNSUPPORTED and names its OID. */
enum mu_code mu_pki_key_from_spki(struct mu_bytes spki, struct mu_pki_key **out,
    struct mu_err *err) MU_CHECK;
/* PEM (PKCS#8, encrypted or not, traditional) or DER private key. A missing or wrong password is M703. */
enum mu_code mu_pki_key_decode(struct mu_bytes text, const struct mu_secret *password,
    struct mu_pki_key **out, struct mu_err *err) MU_CHECK;
/* PKCS#8 PEM; encrypted (AES-256-CBC, PBKDF2) if a password is given. out should be secret. */
enum mu_code mu_pki_key_encode(const struct mu_pki_key *key, const struct mu_secret *password,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;
struct mu_pki_key *mu_pki_key_ref(struct mu_pki_key *key);
void mu_pki_key_free(struct mu_pki_key *key);

bool mu_pki_key_has_private(const struct mu_pki_key *key);
/* In a token: cannot be encoded, and may be slow. */
bool mu_pki_key_is_token(const struct mu_pki_key *key);
void mu_pki_key_spec_of(const struct mu_pki_key *key, struct mu_pki_key_spec *out);
/* Of a SubjectPublicKeyInfo, without making a key of it where its DER says enough. Whether the key is
 * a valid one, its signature has to show. */
enum mu_code mu_pki_key_spec_of_spki(struct mu_bytes spki, struct mu_pki_key_spec *out,
    struct mu_err *err) MU_CHECK;
/* DER SubjectPublicKeyInfo, borrowed from the key. */
struct mu_bytes mu_pki_key_spki(const struct mu_pki_key *key);
bool mu_pki_key_equal(const struct mu_pki_key *a, const struct mu_pki_key *b);
/* SHA-1 over the subjectPublicKey bits (RFC 5280 4.2.1.2 (1)); false on failure. */
bool mu_pki_key_id(struct mu_bytes spki, uint8_t out[20]);
bool mu_pki_key_can_encrypt(const struct mu_pki_key *key); /* RSA */

/* AlgorithmIdentifier of the signature this key makes with the digest. */
void mu_pki_key_sign_alg(const struct mu_pki_key *key, enum mu_pki_digest d, struct mu_buf *out);
/* The digest to use if the caller has no wish: SHA-256, by curve for EC, NONE for EdDSA. */
enum mu_pki_digest mu_pki_key_default_digest(const struct mu_pki_key *key);
enum mu_code mu_pki_key_sign(const struct mu_pki_key *key, enum mu_pki_digest d,
    struct mu_bytes tbs, struct mu_buf *signature, struct mu_err *err) MU_CHECK;

/* RSASSA-PSS by an RSA key, which a key bound to it has to use. */
bool mu_pki_key_is_pss(const struct mu_pki_key *key); /* bound to it */
bool mu_pki_key_can_pss(const struct mu_pki_key *key);
void mu_pki_key_pss_alg(enum mu_pki_digest d, struct mu_buf *out);
enum mu_code mu_pki_key_sign_pss(const struct mu_pki_key *key, enum mu_pki_digest d,
    struct mu_bytes tbs, struct mu_buf *signature, struct mu_err *err) MU_CHECK;

struct mu_pki_verify_opts {
    bool allow_legacy;            /* MD5, SHA-1 signatures */
    enum mu_pki_digest digest;    /* needed where the algorithm is plain rsaEncryption (CMS); out of the SignerInfo */
};
/* sig_alg is a whole AlgorithmIdentifier. Wrong signature MU_AUTH; weak digest MU_UNSUPPORTED M705;
 * *used (may be NULL) gets the digest of the algorithm. RSA PKCS#1, RSA-PSS, ECDSA, EdDSA. */
enum mu_code mu_pki_key_verify(const struct mu_pki_key *key, struct mu_bytes sig_alg,
    struct mu_bytes tbs, struct mu_bytes signature, const struct mu_pki_verify_opts *opts,
    enum mu_pki_digest *used, struct mu_err *err) MU_CHECK;

/* The digest a signature algorithm hashes with: out of its parameters for RSA-PSS, SHA-512 for
 * Ed25519; NONE for Ed448 and what is not known. CMP names a certificate by it (RFC 9481 3.3). */
enum mu_pki_digest mu_pki_sig_digest(struct mu_bytes sig_alg);
/* data hashed as that algorithm says; for Ed448 it is 64 octets of SHAKE256. Octets written, 0 if the
 * algorithm is not known. */
size_t mu_pki_sig_hash(struct mu_bytes sig_alg, struct mu_bytes data, uint8_t out[64]);

/* RSA key transport. decrypt never tells padding errors apart from success: it gives want octets,
 * random ones if the padding was wrong (COM-13); oaep_alg is the AlgorithmIdentifier. */
enum mu_code mu_pki_key_transport_encrypt(const struct mu_pki_key *key, struct mu_bytes content_key,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_pki_key_transport_decrypt(const struct mu_pki_key *key, struct mu_bytes alg,
    struct mu_bytes encrypted, size_t want, struct mu_secret *out, struct mu_err *err) MU_CHECK;

#endif
