/*
 * What the server keeps of a transaction between two messages, as opaque bytes that the CA stores
 * with it: so a restart of the responder, or another node, changes nothing. Inside src/proto/cmp.
 */
#ifndef MU_PROTO_CMP_KEPT_H
#define MU_PROTO_CMP_KEPT_H

#include "base/env.h"
#include "pki/pki_cert.h"
#include "proto/cmp/cmp_protect.h"

enum { MU_CMP_KEPT_HASHES = 3 }; /* SHA-256, SHA-384, SHA-512 */

struct mu_cmp_kept {
    int type;                 /* of the first message: MU_CMP_IR ... */
    int64_t cert_req_id;
    enum mu_cmp_protection protection; /* of every message (CMP-19) */
    struct mu_bytes reference; /* MAC: the entry */
    struct mu_bytes signer;   /* signature: DER of the certificate (CMP-35) */
    uint8_t nonce_key[16];    /* our nonces of this transaction are made with it */
    bool implicit_asked;
    bool encrypts;            /* the certificate goes out encrypted to its own key (CMP-66) */
    /* of the certificate that was answered; NONE: none yet */
    enum mu_pki_digest hash;
    struct mu_bytes hashes[MU_CMP_KEPT_HASHES]; /* SHA-256 always; n 0: not kept */
    struct mu_bytes asked; /* while it waits: names and extensions as a CSR (CMP-52); n 0: not kept */
};

/* Views into in. */
enum mu_code mu_cmp_kept_decode(struct mu_bytes in, struct mu_cmp_kept *out, struct mu_err *err)
    MU_CHECK;
void mu_cmp_kept_encode(const struct mu_cmp_kept *kept, struct mu_buf *out);

/* certHash for cert (CMP-76): the digest of its signature, SHA-512 for Ed25519; NONE if it is
 * another (Ed448). */
enum mu_pki_digest mu_cmp_kept_hash_of(const struct mu_pki_cert *cert);

/* A senderNonce of ours: eight random octets, then eight that only we can make of them. So a
 * recipNonce proves that its message answers one of ours of this transaction, and no poll has to
 * be written down (CMP-13, CMP-14). */
enum mu_code mu_cmp_kept_nonce(const uint8_t key[16], const struct mu_env *env,
    uint8_t out[MU_CMP_NONCE], struct mu_err *err) MU_CHECK;
bool mu_cmp_kept_nonce_is(const uint8_t key[16], struct mu_bytes nonce);

#endif
