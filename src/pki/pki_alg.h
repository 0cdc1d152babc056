/*
 * Algorithms by one enum each, with their words, OIDs and AlgorithmIdentifiers. What is legacy
 * (decision D5: MD5, SHA-1, DES, 3DES, Blowfish) is known here and refused by whoever has no
 * allow_legacy.
 */
#ifndef MU_PKI_ALG_H
#define MU_PKI_ALG_H

#include "base/buf.h"
#include "base/der.h"

enum mu_pki_digest {
    MU_PKI_DIGEST_NONE, /* EdDSA: the signature hashes by itself */
    MU_PKI_MD5, MU_PKI_SHA1, MU_PKI_SHA224, MU_PKI_SHA256, MU_PKI_SHA384, MU_PKI_SHA512,
};

enum mu_pki_cipher {
    MU_PKI_CIPHER_NONE,
    MU_PKI_DES_CBC, MU_PKI_DES3_CBC, MU_PKI_BLOWFISH_CBC,
    MU_PKI_AES128_CBC, MU_PKI_AES192_CBC, MU_PKI_AES256_CBC,
    MU_PKI_AES128_GCM, MU_PKI_AES256_GCM, /* AuthEnvelopedData: accepted only */
};

/* "sha256" / "SHA-256"; NULL for NONE. Parse takes both and any case. */
const char *mu_pki_digest_word(enum mu_pki_digest d);
const char *mu_pki_digest_title(enum mu_pki_digest d);
bool mu_pki_digest_parse(const char *word, enum mu_pki_digest *out);
bool mu_pki_digest_is_legacy(enum mu_pki_digest d);
size_t mu_pki_digest_size(enum mu_pki_digest d);
/* Parameters NULL or absent are both taken (COM-16); other parameters are refused. */
bool mu_pki_digest_decode(struct mu_bytes algorithm_identifier, enum mu_pki_digest *out);
/* Parameters absent for SHA-2 (COM-16). */
void mu_pki_digest_encode(struct mu_buf *out, enum mu_pki_digest d);

/* "aes128" / "AES-128-CBC". Parse takes "aes" as aes128 and "3des", "des", "blowfish". */
const char *mu_pki_cipher_word(enum mu_pki_cipher c);
const char *mu_pki_cipher_title(enum mu_pki_cipher c);
bool mu_pki_cipher_parse(const char *word, enum mu_pki_cipher *out);
bool mu_pki_cipher_is_legacy(enum mu_pki_cipher c);
size_t mu_pki_cipher_key_size(enum mu_pki_cipher c);

/* Digest of data in one call; out has room for 64 octets; returns the length, 0 on failure. */
size_t mu_pki_digest(enum mu_pki_digest d, struct mu_bytes data, uint8_t out[64]);
/* HMAC; out has room for 64 octets; returns the length, 0 on failure. */
size_t mu_pki_hmac(enum mu_pki_digest d, struct mu_bytes key, struct mu_bytes data, uint8_t out[64]);
/* HMAC-SHA-256; false on failure. */
bool mu_pki_hmac_sha256(struct mu_bytes key, struct mu_bytes data, uint8_t out[32]);

#endif
