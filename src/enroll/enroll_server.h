/*
 * What a server engine of any protocol and the CA say to each other, around two looks at the
 * outside world: bytes -> claim (who says he is what) -> credential (key, secret to check it
 * with) -> question (verified, decrypted) -> decision -> bytes.
 */
#ifndef MU_ENROLL_SERVER_H
#define MU_ENROLL_SERVER_H

#include "base/env.h"
#include "base/secret.h"
#include "http/http_msg.h"
#include "pki/pki_cert.h"
#include "pki/pki_csr.h"

enum mu_op {
    MU_OP_CAPS,     /* SCEP GetCACaps */
    MU_OP_CA_CERTS, /* SCEP GetCACert, EST cacerts, CMP caCerts */
    MU_OP_NEXT_CA,  /* SCEP GetNextCACert */
    MU_OP_ENROLL,   /* a request for a certificate, first or renewal: the signer decides, not the type */
    MU_OP_POLL,
    MU_OP_GET_CERT,
    MU_OP_GET_CRL,
    MU_OP_CSR_ATTRS, /* EST csrattrs, CMP certReqTemplate */
    MU_OP_KEYGEN,    /* ENROLL with a key made by the CA: EST serverkeygen, CMP 9483 4.1.6 */
    MU_OP_REVOKE,    /* CMP rr */
    MU_OP_CONFIRM,   /* CMP certConf */
    MU_OP_INFO,      /* CMP genm that the engine answers out of the credential, pkiConf to an error:
                      * read, then write with a DATA decision */
};

/* How a message says who sends it. */
enum mu_auth {
    MU_AUTH_NONE,
    MU_AUTH_CHALLENGE, /* SCEP challengePassword, found by its hash */
    MU_AUTH_PASSWORD,  /* HTTP Basic or Digest: user and password */
    MU_AUTH_SRP,       /* TLS-SRP: the handshake has checked it */
    MU_AUTH_MAC,       /* CMP: MAC by reference and secret */
    MU_AUTH_CERT,      /* message signature or TLS client certificate */
};

/* What a message says of itself, before any private key was used. Views into the engine. */
struct mu_claim {
    enum mu_proto proto;
    enum mu_op op;
    const char *path;               /* raw path, to choose CA and profile by */
    const char *ca_identifier;      /* message= of GetCACert and the like; NULL: none */
    const char *transaction_id;     /* NULL where there is none */
    const char *message_type;       /* the wire's word for logs: "PKCSReq", "RenewalReq" */
    struct mu_pki_cert *signer;     /* certificate that signed the message; NULL: none. Its signature over the message is already verified */
    bool signer_is_self_signed;     /* says nothing about trust */
    /* SCEP: for whom the envelope is; p NULL if absent */
    struct mu_bytes recipient_issuer, recipient_serial, recipient_skid;
    bool needs_password;            /* enveloped to a password (PWRI), or its answer has to be */

    const char *label;              /* EST label, CMP profile label of the path; NULL: none */
    enum mu_auth auth;              /* strongest means the message itself brings */
    /* Name under which the entry is looked up: HTTP user, SRP user, senderKID (or common name of
     * the sender) of a MAC; NULL: none. The password is checked by the engine's read. */
    const char *entry;
    bool is_renewal;                /* EST simplereenroll, CMP kur: says so; the signer decides */
    struct mu_pki_certs extra;      /* certificates beside the signer's: TLS chain, extraCerts */
    /* CMP: certificate of an RA that put its own signature around the message (nested, CMP-107):
     * the signature is right and the certificate has cmcRA; whether it is ours is the CA's to say
     * by ra_verified_ok. NULL: none. With auth CERT and signer NULL the signer is in what was kept. */
    struct mu_pki_cert *outer;
    struct mu_bytes mac_alg;        /* MAC: AlgorithmIdentifier, how its key is derived */
};

/* What the CA gives the engine to check and answer with. Owned by the CA, valid until the answer
 * is written. */
struct mu_credential {
    struct mu_pki_key *key;         /* RA key (the CA's own if there is no RA): decrypts, signs */
    struct mu_pki_cert *cert;       /* its certificate */
    const struct mu_pki_certs *ca_chain;  /* issuing CA first, up to the root */
    const struct mu_pki_certs *ra;        /* RA certificates to hand out; n 0: none */
    const struct mu_pki_certs *next_ca;   /* successor certificates; NULL or n 0: none */
    struct mu_pki_key *ca_key;      /* for GetNextCACert, signed by the current CA key */
    const struct mu_secret *password; /* needs_password: the entry's secret, NULL: unknown */
    bool allow_legacy;
    /* compatibility switches of the CA or profile */
    bool sign_alg_rsa_encryption;   /* plain rsaEncryption in our SignerInfo (strongSwan 5.9.8) */
    bool ca_in_reply;               /* CA certificate beside the issued one */
    bool single_ca_cert;            /* GetCACert: only the issuing CA (IOP-08) */
    bool caps_sha384;               /* list SHA-384: harmless, and strongSwan 5.9.8 needs it */
    /* EST */
    const char *realm;              /* of HTTP authentication */
    bool one_line;                  /* bodies in one line (strongSwan pki 5.9.8) */
    bool chain_in_reply;            /* the chain beside the leaf (INTEROP 3.20) */
    bool link_required;             /* proof of possession must be linked to the TLS session */
    bool challenge_is_secret;       /* challengePassword is a password, not linking data (EST-61) */
    struct mu_bytes nonce_key;      /* keys Digest's nonces, the same on all nodes; n 0: no Digest */
    /* serverkeygen: a secret shared with the client, which it may name in DecryptKeyIdentifier */
    const struct mu_secret *kek;    /* 16, 24 or 32 octets; NULL: none */
    struct mu_bytes kek_id;
    /* CMP */
    struct mu_bytes kept;           /* what write kept of this transaction before; n 0: none */
    struct mu_bytes issued;         /* DER of the certificate that a CONFIRM is about; n 0: unknown */
    const struct mu_secret *mac_key; /* derived before with the claim's mac_alg; NULL: derive it */
    int confirm_wait_s;             /* how long a certConf is waited for */
    bool allow_implicit_confirm;
    bool ra_verified_ok;            /* claim.outer, or without one the signer, is an RA of ours:
                                     * may wrap messages, and say raVerified */
    int64_t time_slack_s;           /* messageTime further off is badTime; 0: it is not judged */
    struct mu_pki_key *kga_key;     /* signs generated keys; NULL: key */
    struct mu_pki_cert *kga_cert;
    const struct mu_pki_certs *kga_chain; /* what leads from it to a root; NULL: ca_chain */
};

/* A request that checked out as a message. Views into the engine. */
struct mu_question {
    enum mu_op op;
    struct mu_claim claim;
    const struct mu_pki_csr *csr;   /* ENROLL: proof of possession verified */
    struct mu_bytes request_digest; /* ENROLL: SHA-256 of the CertificationRequestInfo, 32 octets */
    struct mu_bytes subject;        /* POLL: as the message names it; matching is by transaction id */
    struct mu_bytes issuer, serial; /* GET_CERT, GET_CRL */
    const struct mu_http_peer *peer;
    bool authenticated;             /* the password, MAC or SRP login of claim.entry was right */
    /* KEYGEN: the csr is a frame without a key of its own; type 0: the profile's choice */
    struct mu_pki_key_spec key_spec;
    /* REVOKE: issuer and serial above, and */
    int revoke_reason;
    int64_t sent_s;                 /* messageTime; 0: none */
    /* CONFIRM */
    bool confirm_accepted;
    struct mu_bytes confirm_hash;   /* certHash, already compared by the engine if it had the certificate */
    const char *words;              /* freeText of the peer: why it rejects; escaped; NULL: none */
    struct mu_bytes old_issuer, old_serial; /* CMP oldCertID; n 0: none */
    const struct mu_secret *mac_key; /* CMP: the key of the MAC, which was right; NULL: no MAC */
    const char *profile_name;       /* CMP certProfile; NULL: none */
    bool implicit_confirm;          /* CMP: the client asks to do without certConf */
    int64_t crl_since_s;            /* GET_CRL: only one with a later thisUpdate; 0: any */
};

enum mu_verdict { MU_VERDICT_ISSUED, MU_VERDICT_PENDING, MU_VERDICT_REFUSED, MU_VERDICT_DATA };

struct mu_decision {
    enum mu_verdict verdict;
    struct mu_pki_cert *cert;             /* ISSUED, and DATA for GET_CERT */
    const struct mu_pki_certs *chain;     /* issuer first */
    struct mu_bytes crl;                  /* DATA for GET_CRL: DER */
    struct mu_err refusal;                /* REFUSED: reason and sentence, which go to the client */
    int64_t retry_after_s;                /* PENDING, or REFUSED with a time; 0: none */
    const struct mu_pki_key *key;         /* ISSUED for KEYGEN: the generated key */
    struct mu_bytes csr_attrs;            /* DATA for CSR_ATTRS: DER of CsrAttrs (EST), of
                                             CertReqTemplateContent (CMP); n 0: no wishes */
    bool modified;                        /* ISSUED: not all as asked for, beside names and usages (CMP grantedWithMods) */
};

#endif
