/*
 * What a CA remembers, as plain rows: the vocabulary between policy (ca/), the stores and the
 * pages. A row is a bundle of views: whoever hands it out owns what it points at and says how
 * long. {0} is a valid empty row. Nothing here holds a password: only
 * keyed hashes of them, and values sealed under a key outside the database.
 */
#ifndef MU_ENROLL_RECORD_H
#define MU_ENROLL_RECORD_H

#include "base/env.h"
#include "pki/pki_cert.h"

/* Certificates are kept as DER, one behind the other: issuing CA first, up to the root. */
struct mu_record_ca {
    const char *name;
    struct mu_bytes chain;
    const char *key_ref; /* how the program finds the key: a file name, a pkcs11: URI */
    struct mu_bytes ra; /* RA certificate; n 0: the CA answers itself */
    const char *ra_key_ref; /* "" if there is no RA */
    struct mu_bytes next; /* the successor's chain; n 0: none */
    const char *next_key_ref;
    const char *settings; /* 'key = value' lines, see ca/ca.h */
    int64_t created_s;
};

struct mu_record_profile {
    const char *name;
    const char *settings; /* 'key = value' lines, see enroll_profile.h */
    int64_t created_s;
};

/* Beside the bits of protocols: its password opens TLS-SRP, and nothing else; it is an AES key that
 * keys made for clients are encrypted to, and lets nobody ask. */
enum { MU_RECORD_ENTRY_SRP = 1 << 8, MU_RECORD_ENTRY_KEY = 1 << 9 };

struct mu_record_entry {
    const char *name;
    unsigned protocols; /* 1 << enum mu_proto; 0: all */
    const char *profile;
    const char *ca; /* "": any */
    struct mu_bytes password_hash; /* keyed hash (32 octets) it is found by; n 0: none */
    struct mu_bytes
        sealed; /* the value under a key outside the database, for protocols that compute with it */
    bool disabled;
    int64_t created_s;
    int64_t expires_s; /* of the password; 0: never */
    int64_t max_uses; /* 0: reusable, 1: once */
    int64_t uses;
    int64_t last_use_s;
    int64_t reset_s; /* certificates issued before this do not count as alive; 0: never reset */
    const char *comments;
};

/* Whether the client has said that it took the certificate (RFC 9810 5.3.18). */
enum mu_record_confirm {
    MU_RECORD_CONFIRM_NONE, /* nobody waits for it: SCEP and EST know none, or it was implicit */
    MU_RECORD_CONFIRM_WAITING,
    MU_RECORD_CONFIRMED,
    MU_RECORD_CONFIRM_REJECTED,
};

struct mu_record_cert {
    int64_t id; /* counts up with time: lists are paged by it */
    const char *ca;
    struct mu_bytes serial; /* INTEGER content without leading zeros */
    struct mu_bytes der;
    const char *subject; /* comma form */
    struct mu_bytes subject_hash; /* SHA-256 of the Name's DER, 32 octets */
    struct mu_bytes key_hash; /* SHA-256 of the SubjectPublicKeyInfo */
    int64_t not_before_s, not_after_s;
    int64_t issued_s;
    enum mu_proto proto;
    const char *profile, *entry;
    const char *transaction_id;
    struct mu_bytes renews; /* serial of the one before; n 0: a first one */
    struct mu_bytes renewed_by; /* n 0: not renewed */
    int64_t revoked_s; /* 0: not revoked */
    int revoke_reason; /* RFC 5280 5.3.1 */
    bool delivery_known; /* SCEP never confirms: false (SCEP-79) */
    enum mu_record_confirm confirm;
    int64_t confirm_until_s; /* WAITING: revoked if nothing was said until then */
};

enum mu_record_state { MU_RECORD_PENDING, MU_RECORD_ISSUED, MU_RECORD_REJECTED };

/* One transaction. */
struct mu_record_request {
    int64_t id;
    enum mu_proto proto;
    const char *ca;
    const char *transaction_id;
    struct mu_bytes signer; /* 32 octets, mu_enroll_record_signer */
    struct mu_bytes
        digest; /* SHA-256 of the CertificationRequestInfo, challengePassword included */
    enum mu_record_state state;
    struct mu_bytes
        csr; /* without challengePassword, so its signature no longer fits; n 0 once settled */
    const char *subject; /* as asked for, comma form */
    struct mu_bytes subject_hash; /* of the subject to be issued */
    const char *profile, *entry; /* entry "": no challenge */
    struct mu_bytes renews; /* serial; n 0: a first one */
    struct mu_bytes serial; /* ISSUED */
    const char *words; /* REJECTED: the operator's reason, sent to the client */
    int64_t created_s, changed_s;
    const char *address; /* of the peer */
    struct mu_bytes
        kept; /* what the engine will need of it; opaque, at most MU_LIMIT_KEPT; n 0: nothing */
};

/* The audit trail: append-only, written in the transaction that issues. */
struct mu_record_audit {
    int64_t id;
    int64_t time_s;
    const char *action; /* "issue", "renew", "refuse", "request", "revoke", "approve", ... */
    bool success;
    enum mu_reason reason; /* refusals: MU_REFUSE_* */
    enum mu_proto proto;
    const char *ca, *profile, *entry;
    const char *subject;
    struct mu_bytes serial;
    const char *transaction_id;
    const char *address, *user_agent; /* admin calls: address is the operator */
    int64_t size; /* of the message */
    const char *message; /* the sentence of PRODUCT's event table */
};

struct mu_record_crl {
    const char *ca;
    uint64_t number;
    int64_t this_update_s, next_update_s;
    struct mu_bytes der;
};

/* "pending", "issued", "rejected". */
const char *mu_enroll_record_state_name(enum mu_record_state state);
bool mu_enroll_record_state_parse(const char *word, enum mu_record_state *out);
/* "keyCompromise" and the like (RFC 5280 5.3.1); "unspecified" for 0. Parse takes any case and the
 * number; an unknown word lists the known ones. removeFromCRL is not for people. */
const char *mu_enroll_record_reason_name(int reason);
enum mu_code mu_enroll_record_reason_parse(const char *word, int *out, struct mu_err *err) MU_CHECK;
/* Who signed, as a transaction remembers it: the key for a certificate made by oneself (a new one
 * may be made for each message), the certificate for one of ours, so that a renewal with the same
 * key and request is a request of its own (SCEP-60, SCEP-63). */
bool mu_enroll_record_signer(const struct mu_pki_cert *signer, bool is_ours, uint8_t out[32]);
/* A serial without the zeros in front. */
struct mu_bytes mu_enroll_record_serial(struct mu_bytes serial);

#endif
