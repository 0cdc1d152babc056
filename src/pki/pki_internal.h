/*
 * What the files of this folder share, and what TLS needs of a key. Only src/pki and src/net
 * include this header: it is the one place where OpenSSL's types show.
 */
#ifndef MU_PKI_INTERNAL_H
#define MU_PKI_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "pki/pki_cert.h"
#include "pki/pki_key.h"

#define MU_OID_DATA "1.2.840.113549.1.7.1"
#define MU_OID_SIGNED_DATA "1.2.840.113549.1.7.2"
#define MU_OID_ENVELOPED_DATA "1.2.840.113549.1.7.3"
#define MU_OID_AUTH_ENVELOPED_DATA "1.2.840.113549.1.9.16.1.23"
#define MU_OID_CONTENT_TYPE "1.2.840.113549.1.9.3"
#define MU_OID_MESSAGE_DIGEST "1.2.840.113549.1.9.4"
#define MU_OID_SIGNING_TIME "1.2.840.113549.1.9.5"
#define MU_OID_CHALLENGE_PASSWORD "1.2.840.113549.1.9.7"
#define MU_OID_EXTENSION_REQUEST "1.2.840.113549.1.9.14"
#define MU_OID_MS_EXTENSION_REQUEST "1.3.6.1.4.1.311.2.1.14"
#define MU_OID_RSA "1.2.840.113549.1.1.1"
#define MU_OID_RSA_OAEP "1.2.840.113549.1.1.7"
#define MU_OID_MGF1 "1.2.840.113549.1.1.8"
#define MU_OID_RSA_PSS "1.2.840.113549.1.1.10"
#define MU_OID_EC "1.2.840.10045.2.1"
#define MU_OID_ED25519 "1.3.101.112"
#define MU_OID_ED448 "1.3.101.113"
#define MU_OID_PBKDF2 "1.2.840.113549.1.5.12"
#define MU_OID_PWRI_KEK "1.2.840.113549.1.9.16.3.9"

/* Sets err from the sentence and the reason on top of OpenSSL's error queue, and empties it. */
enum mu_code mu_pki_ossl_fail(struct mu_err *err, enum mu_code code, enum mu_reason reason,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Fetched once per process; NULL if this OpenSSL has it not. */
const EVP_MD *mu_pki_alg_md(enum mu_pki_digest d);
/* A context of this thread, begun for d; good until it is asked for d again. NULL: none to be had. */
EVP_MD_CTX *mu_pki_alg_md_ctx(enum mu_pki_digest d);
/* digest becomes the SHA-256 of itself, times over. */
void mu_pki_sha256_again(uint8_t digest[32], unsigned times);
/* Legacy ciphers come only from the context of pki_legacy.c, never from the default one. */
const EVP_CIPHER *mu_pki_alg_cipher(enum mu_pki_cipher c);
const EVP_CIPHER *mu_pki_legacy_cipher(enum mu_pki_cipher c);
const char *mu_pki_digest_oid(enum mu_pki_digest d);
const char *mu_pki_cipher_oid(enum mu_pki_cipher c);
/* By the content octets of an OID; NONE if unknown. */
enum mu_pki_digest mu_pki_digest_by_oid(struct mu_bytes oid);
enum mu_pki_cipher mu_pki_cipher_by_oid(struct mu_bytes oid);
bool mu_pki_cipher_is_aead(enum mu_pki_cipher c);

/* Cuts b to its first n octets, keeping the NUL behind them that buf.h promises. */
static inline void mu_pki_cut(struct mu_buf *b, size_t n)
{
    if (b->p && n <= b->n)
        b->p[b->n = n] = 0;
}

/* Borrowed. The key keeps it for as long as it lives. */
EVP_PKEY *mu_pki_key_evp(const struct mu_pki_key *key);
/* A context prepared to sign with this digest, kept with the key between two uses: taken (NULL: none
 * is there) and put back, by as many threads as like. */
EVP_PKEY_CTX *mu_pki_key_take_signer(const struct mu_pki_key *key, enum mu_pki_digest d);
void mu_pki_key_put_signer(const struct mu_pki_key *key, enum mu_pki_digest d, EVP_PKEY_CTX *ctx);
/* Both take evp over, also on failure; the second asks OpenSSL for the SubjectPublicKeyInfo. */
enum mu_code mu_pki_key_new(EVP_PKEY *evp, struct mu_bytes spki, enum mu_pki_key_type type,
    bool has_private, struct mu_pki_key **out, struct mu_err *err) MU_CHECK;
enum mu_code mu_pki_key_wrap(EVP_PKEY *evp, bool has_private, bool is_token,
    struct mu_pki_key **out, struct mu_err *err) MU_CHECK;

/* pki_key_rsa.c: RSAPublicKey; and RSAPrivateKey, bare or in an unencrypted PrivateKeyInfo, with its
 * SubjectPublicKeyInfo. NULL: not that, or not a plain key of two primes. */
EVP_PKEY *mu_pki_rsa_public(struct mu_bytes bits);
EVP_PKEY *mu_pki_rsa_private(struct mu_bytes der, struct mu_buf *spki);
/* pki_key_ec.c: the same of an ECPrivateKey of P-256, P-384 or P-521 with its public key. */
EVP_PKEY *mu_pki_ec_private(struct mu_bytes der, struct mu_buf *spki);

/* pki_cert_make.c: signs signed_part and appends SEQUENCE { signed_part, sig_alg, signature }. */
enum mu_code mu_pki_sign_wrap(struct mu_bytes signed_part, struct mu_bytes sig_alg,
    const struct mu_pki_key *key, enum mu_pki_digest digest, struct mu_buf *der,
    struct mu_err *err) MU_CHECK;

/* pki_cms_certs.c: CertificateSet content to a list, for SignedData of both kinds. Other choices
 * than Certificate are skipped. At most MU_LIMIT_CERTS. */
enum mu_code mu_pki_certs_from_set(struct mu_bytes set, struct mu_pki_certs *list,
    struct mu_err *err) MU_CHECK;

/* Short form of an OID for a message: the text into buf. Returns buf. */
const char *mu_pki_oid_text(struct mu_bytes oid, char *buf, size_t size);
/* "CN=x, O=y" escaped and cut for a message. Returns buf. */
const char *mu_pki_name_text(struct mu_bytes name_der, char *buf, size_t size);

#endif
