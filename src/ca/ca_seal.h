/*
 * Secrets that a protocol computes with, kept recoverably: sealed under a key derived from the
 * CA's secret, which lies outside the database, and bound to the row they stand in. The keyed hash
 * beside them (mu_ca_password_hash) is what an entry is found by; this is the other use.
 *
 * mu_record_entry.sealed holds the entry's password: CMP's MAC, SCEP's password recipient and
 * HTTP Digest ask for it by mu_ca_unseal.
 *
 * SRP (RFC 5054) needs a salt and a verifier; neither is stored. The salt is mu_ca_seal_salt of the
 * user's name, the same at each handshake and also for a name that nobody has, so that a client
 * cannot learn which names exist (RFC 5054 2.5.1.3). The verifier is made from that salt, the name
 * and the unsealed password, at the handshake or once per entry and process.
 */
#ifndef MU_CA_CA_SEAL_H
#define MU_CA_CA_SEAL_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/secret.h"
#include "ca/ca.h"
#include "pki/pki_seal.h"

/* What the value belongs to; the name beside it is the row's key within its kind. */
enum mu_ca_seal_kind {
    MU_CA_SEAL_ENTRY, /* the password of an entry; name is the entry's */
    MU_CA_SEAL_KEY, /* a key made for a client whose request waits; name is its transaction id */
    MU_CA_SEAL_REQUEST, /* what a waiting request was authorized with; name is its signer, in hex */
};

enum { MU_CA_SEAL_SALT = 16 };

/* Appends to out, some 30 octets more than secret. */
enum mu_code mu_ca_seal(const struct mu_ca *ca, enum mu_ca_seal_kind kind, const char *name,
    struct mu_bytes secret, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* MU_NOT_FOUND if nothing was sealed (n 0: an entry made before there was sealing, or without a
 * password). MU_AUTH if the CA's secret is another one, or the row was tampered with. */
enum mu_code mu_ca_unseal(const struct mu_ca *ca, enum mu_ca_seal_kind kind, const char *name,
    struct mu_bytes sealed, struct mu_secret *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_ca_seal_salt(const struct mu_ca *ca, const char *name,
    uint8_t out[MU_CA_SEAL_SALT], struct mu_err *err) MU_CHECK;

/* What is kept of an entry's password: once per use. */
struct mu_ca_kept {
    uint8_t hash[32], sealed[MU_LIMIT_CHALLENGE + MU_PKI_SEAL_OVERHEAD];
    size_t sealed_n;
    bool no_hash; /* nothing is found by it */
};
/* password: at most MU_LIMIT_CHALLENGE octets. */
enum mu_code mu_ca_password_keep(const struct mu_ca *ca, const char *name,
    struct mu_bytes password, struct mu_ca_kept *out, struct mu_err *err) MU_CHECK;
/* Points row at it. */
void mu_ca_kept_put(const struct mu_ca_kept *kept, struct mu_record_entry *row);

#endif
