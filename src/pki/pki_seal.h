/*
 * A secret kept at rest: AES-256-GCM (NIST SP 800-38D) under a key that lies elsewhere, bound to
 * where it belongs. What was sealed for one place, or under another key, opens nowhere else.
 *
 * Format: version (1 octet, 1), nonce (12, random), ciphertext, tag (16).
 */
#ifndef MU_PKI_PKI_SEAL_H
#define MU_PKI_PKI_SEAL_H

#include "base/buf.h"
#include "base/env.h"
#include "base/secret.h"

enum {
    MU_PKI_SEAL_KEY = 32,
    MU_PKI_SEAL_OVERHEAD = 1 + 12 + 16,
    MU_PKI_SEAL_MAX = 64 * 1024, /* plain octets: passwords and keys, not files */
};

/* HKDF-SHA-256 (RFC 5869) with label as salt and no info: one key per label from one secret. The
 * secret is HKDF's input and never an HMAC key with the label as message, so no label can meet a
 * password hashed under the same secret. */
enum mu_code mu_pki_seal_key(struct mu_bytes secret, const char *label,
    uint8_t key[MU_PKI_SEAL_KEY], struct mu_err *err) MU_CHECK;
/* Appends to out. place is authenticated, not kept: opening needs the same octets. */
enum mu_code mu_pki_seal(const uint8_t key[MU_PKI_SEAL_KEY], struct mu_bytes place,
    struct mu_bytes plain, const struct mu_env *env, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;
/* MU_AUTH for whatever does not open, without a word on why. */
enum mu_code mu_pki_seal_open(const uint8_t key[MU_PKI_SEAL_KEY], struct mu_bytes place,
    struct mu_bytes sealed, struct mu_secret *out, struct mu_err *err) MU_CHECK;

#endif
