/* pkiMessage (RFC 8894 3): message <-> struct, both directions, one codec for both roles. */
#ifndef MU_PROTO_SCEP_MSG_H
#define MU_PROTO_SCEP_MSG_H

#include "pki/pki_cms.h"

enum mu_scep_type {
    MU_SCEP_CERT_REP = 3, MU_SCEP_RENEWAL_REQ = 17, MU_SCEP_UPDATE_REQ = 18, MU_SCEP_PKCS_REQ = 19,
    MU_SCEP_CERT_POLL = 20, MU_SCEP_GET_CERT = 21, MU_SCEP_GET_CRL = 22,
};
enum mu_scep_status { MU_SCEP_SUCCESS = 0, MU_SCEP_FAILURE = 2, MU_SCEP_PENDING = 3 };
enum mu_scep_fail_info {
    MU_SCEP_BAD_ALG = 0, MU_SCEP_BAD_MESSAGE_CHECK = 1, MU_SCEP_BAD_REQUEST = 2,
    MU_SCEP_BAD_TIME = 3, MU_SCEP_BAD_CERT_ID = 4,
};
const char *mu_scep_type_name(int type);           /* "PKCSReq" */
const char *mu_scep_status_name(int status);       /* "PENDING" */
const char *mu_scep_fail_info_name(int fail_info); /* "badRequest" */

struct mu_scep_nonce { uint8_t p[64]; size_t n; };

struct mu_scep_msg {
    struct mu_pki_signed cms;     /* decoded outer layer; owns everything below */
    char *transaction_id;         /* text; hex of the octets if they are no printable text */
    struct mu_bytes transaction_id_der; /* the element as it came, to echo it unchanged */
    int type;                     /* enum mu_scep_type */
    struct mu_scep_nonce sender_nonce, recipient_nonce;
    int status;                   /* CertRep; -1 if absent */
    int fail_info;                /* -1 if absent */
    char *fail_info_text;         /* escaped; NULL if absent */
    struct mu_bytes envelope;     /* p NULL if absent, or the one octet NDES sends (IOP-10) */
    bool attrs_strange;           /* something was forgiven; say so in the trace */
};

/* Decodes the outer layer and the SCEP attributes. No signature is checked, no key used. Missing
 * transactionID or messageType, attributes with other than one value, numbers that are no
 * decimal text, unknown types and states are MU_INPUT with the clause. A missing senderNonce is left
 * to the role: requests must have one (IOP: tolerated with a note), CertReps need not (SCEP-48). */
enum mu_code mu_scep_msg_decode(struct mu_bytes body, struct mu_scep_msg *out, struct mu_err *err)
    MU_CHECK;
void mu_scep_msg_clear(struct mu_scep_msg *msg);
/* The pkcsPKIEnvelope, whose encrypted content has to be id-data (SCEP-33); no key is used.
 * MU_UNSUPPORTED is an unknown algorithm. */
enum mu_code mu_scep_msg_envelope(const struct mu_scep_msg *msg, struct mu_pki_enveloped *out,
    struct mu_err *err) MU_CHECK;

struct mu_scep_msg_params {
    const char *transaction_id;
    struct mu_bytes transaction_id_der; /* n not 0: this element instead of the text */
    int type;
    struct mu_bytes sender_nonce, recipient_nonce; /* n 0: leave out */
    int status;                   /* CertRep; else -1 */
    int fail_info;                /* -1: none */
    const char *fail_info_text;   /* NULL: none */
    struct mu_bytes envelope;     /* n 0: no eContent (SCEP-34) */
    const struct mu_pki_key *key;
    const struct mu_pki_cert *cert;
    const struct mu_pki_certs *certs; /* included in SignedData */
    enum mu_pki_digest digest;
    bool sign_alg_rsa_encryption;
};
enum mu_code mu_scep_msg_encode(const struct mu_scep_msg_params *params, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;

/* messageData of CertPoll: SEQUENCE { issuer Name, subject Name }; of GetCert, GetCRL:
 * IssuerAndSerialNumber. */
void mu_scep_msg_put_poll(struct mu_buf *out, struct mu_bytes issuer, struct mu_bytes subject);
bool mu_scep_msg_get_poll(struct mu_bytes in, struct mu_bytes *issuer, struct mu_bytes *subject);
void mu_scep_msg_put_serial(struct mu_buf *out, struct mu_bytes issuer, struct mu_bytes serial);
bool mu_scep_msg_get_serial(struct mu_bytes in, struct mu_bytes *issuer, struct mu_bytes *serial);

#endif
