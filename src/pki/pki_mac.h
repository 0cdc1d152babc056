/*
 * Message authentication by a shared secret: PasswordBasedMac (RFC 9810 5.1.3.1, RFC 9045) and
 * PBMAC1 (RFC 8018 7.1, RFC 9481 6.1.2). Parameters are bounded when they are read, before any
 * work is done for whoever sent them. DHBasedMac and AES-GMAC are not served (CMP-26, CMP-30).
 */
#ifndef MU_PKI_MAC_H
#define MU_PKI_MAC_H

#include "base/env.h"
#include "base/secret.h"
#include "pki/pki_alg.h"

enum mu_pki_mac_kind { MU_PKI_MAC_NONE, MU_PKI_MAC_PBM, MU_PKI_MAC_PBMAC1 };

enum {
    MU_PKI_MAC_SALT_MIN = 8, /* RFC 4211 4.4 */
    MU_PKI_MAC_SALT_MAX = 128,
    MU_PKI_MAC_ITERATIONS_MIN = 100, /* RFC 9045 4.3 */
    MU_PKI_MAC_ITERATIONS_MAX = 100000, /* CMP-28: 50 ms of work */
    MU_PKI_MAC_ITERATIONS = 10000, /* our own, if nobody says otherwise */
    MU_PKI_MAC_SIZE = 64,
};

struct mu_pki_mac {
    enum mu_pki_mac_kind kind;
    enum mu_pki_digest owf;  /* PBM: one-way function; PBMAC1: PRF of PBKDF2 */
    enum mu_pki_digest hash; /* of the HMAC */
    uint8_t salt[MU_PKI_MAC_SALT_MAX];
    size_t salt_n;
    unsigned iterations;
    unsigned key_length; /* PBMAC1 */
};

/* True if the AlgorithmIdentifier names a MAC by password, whatever its parameters. */
bool mu_pki_mac_is(struct mu_bytes algorithm_identifier);
/* Malformed: MU_INPUT. Another algorithm, and what we do not take: MU_UNSUPPORTED,
 * MU_REFUSE_ALGORITHM; SHA-1 as one-way function needs allow_legacy, HMAC-SHA1 is taken (CMP-26).
 * Salt, iteration count or key length out of bounds: MU_INPUT, MU_REFUSE_ALGORITHM. */
enum mu_code mu_pki_mac_decode(struct mu_bytes algorithm_identifier, bool allow_legacy,
    struct mu_pki_mac *out, struct mu_err *err) MU_CHECK;
void mu_pki_mac_encode(const struct mu_pki_mac *mac, struct mu_buf *out);
/* Fresh salt; SHA-256 throughout, see mu_pki_mac_choose. iterations 0: the default; bounded as a peer's. */
enum mu_code mu_pki_mac_init(struct mu_pki_mac *mac, enum mu_pki_mac_kind kind, unsigned iterations,
    const struct mu_env *env, struct mu_err *err) MU_CHECK;
/* Other functions than SHA-256 in parameters just made; NONE: stays. SHA-1 needs allow_legacy: M705. */
enum mu_code mu_pki_mac_choose(struct mu_pki_mac *mac, enum mu_pki_digest owf, enum mu_pki_digest hash,
    bool allow_legacy, struct mu_err *err) MU_CHECK;
bool mu_pki_mac_equal(const struct mu_pki_mac *a, const struct mu_pki_mac *b);

/* The key of the HMAC: all the work of the iterations is here, so messages with the same parameters
 * share it (CMP-29). */
enum mu_code mu_pki_mac_derive(const struct mu_pki_mac *mac, const struct mu_secret *secret,
    struct mu_secret *key, struct mu_err *err) MU_CHECK;
/* The MAC of data with a derived key; out gets *n octets. */
enum mu_code mu_pki_mac_make(const struct mu_pki_mac *mac, const struct mu_secret *key,
    struct mu_bytes data, uint8_t out[MU_PKI_MAC_SIZE], size_t *n, struct mu_err *err) MU_CHECK;
/* Compares in constant time. MU_AUTH, MU_REFUSE_SIGNATURE if it is not right. */
enum mu_code mu_pki_mac_verify(const struct mu_pki_mac *mac, const struct mu_secret *key,
    struct mu_bytes data, struct mu_bytes value, struct mu_err *err) MU_CHECK;

#endif
