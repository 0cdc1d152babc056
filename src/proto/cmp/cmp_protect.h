/*
 * Protection of a PKIMessage (RFC 9810 5.1.3, RFC 9483 3.2): made and checked over the DER of
 * ProtectedPart as it came or as it goes. Who the signer is to be trusted by is asked elsewhere.
 */
#ifndef MU_PROTO_CMP_PROTECT_H
#define MU_PROTO_CMP_PROTECT_H

#include "pki/pki_mac.h"
#include "proto/cmp/cmp_msg.h"

enum mu_cmp_protection { MU_CMP_UNPROTECTED, MU_CMP_BY_MAC, MU_CMP_BY_SIGNATURE };

/* By what the header says; a message without protection is unprotected whatever that is. */
enum mu_cmp_protection mu_cmp_protect_kind(const struct mu_cmp_msg *msg);

/* A derived key with its parameters: messages of the same parameters share the work. {0} is
 * empty. */
struct mu_cmp_mac_key {
    struct mu_pki_mac mac;
    struct mu_secret key;
};
void mu_cmp_protect_mac_clear(struct mu_cmp_mac_key *mac);
/* Takes the parameters and derives, unless mac holds a key of the same parameters and secret. */
enum mu_code mu_cmp_protect_mac_derive(struct mu_cmp_mac_key *mac, const struct mu_pki_mac *params,
    const struct mu_secret *secret, struct mu_err *err) MU_CHECK;

/* mac (of this secret, or empty) is left with the message's parameters and key, to answer with
 * (CMP-29). A wrong MAC, and one that no secret is known for (secret NULL or unset), are MU_AUTH,
 * MU_REFUSE_SIGNATURE; parameters out of bounds and unknown algorithms MU_REFUSE_ALGORITHM. */
enum mu_code mu_cmp_protect_verify_mac(const struct mu_cmp_msg *msg, const struct mu_secret *secret,
    bool allow_legacy, struct mu_cmp_mac_key *mac, struct mu_err *err) MU_CHECK;

/* The certificate that the message says signed it: senderKID, else sender, among extraCerts and
 * then others (may be NULL); NULL if there is none. Borrowed. */
struct mu_pki_cert *mu_cmp_protect_signer(const struct mu_cmp_msg *msg,
    const struct mu_pki_certs *others);
struct mu_cmp_verify_opts {
    bool allow_legacy;
    bool ignore_key_usage; /* IOP-34 */
};
/* Signature by the certificate's key; its subject is the sender, its keyUsage allows to sign
 * (CMP-05, CMP-23). MU_AUTH, MU_REFUSE_SIGNATURE; a weak digest MU_UNSUPPORTED,
 * MU_REFUSE_ALGORITHM. */
enum mu_code mu_cmp_protect_verify_signature(const struct mu_cmp_msg *msg, struct mu_pki_cert *cert,
    const struct mu_cmp_verify_opts *opts, struct mu_err *err) MU_CHECK;

/* What protects: a MAC, or a key with its certificate, or nothing. */
struct mu_cmp_protector {
    const struct mu_cmp_mac_key *mac;
    struct mu_bytes reference;        /* of the MAC: sender and senderKID (CMP-05, CMP-09) */
    const struct mu_pki_key *key;     /* mac NULL */
    const struct mu_pki_cert *cert;
    enum mu_pki_digest digest;        /* NONE: the key's default */
    bool pss;                         /* RSASSA-PSS; a key bound to it does so without */
};
/* Encodes the whole message. protectionAlg is always set here, sender and senderKID where the
 * header has none. extra may be NULL. */
enum mu_code mu_cmp_protect_encode(const struct mu_cmp_header *header,
    const struct mu_cmp_body *body, const struct mu_cmp_protector *how,
    const struct mu_pki_certs *extra, struct mu_buf *out, struct mu_err *err) MU_CHECK;

#endif
