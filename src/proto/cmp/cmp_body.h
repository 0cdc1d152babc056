/* PKIBody (RFC 9810 5.1.2, 5.3): the kinds of body as decoded parts, both directions. */
#ifndef MU_PROTO_CMP_BODY_H
#define MU_PROTO_CMP_BODY_H

#include "pki/pki_cert.h"
#include "proto/cmp/cmp_crmf.h"

enum mu_cmp_type { /* the tag */
    MU_CMP_IR, MU_CMP_IP, MU_CMP_CR, MU_CMP_CP, MU_CMP_P10CR, MU_CMP_POPDECC, MU_CMP_POPDECR,
    MU_CMP_KUR, MU_CMP_KUP, MU_CMP_KRR, MU_CMP_KRP, MU_CMP_RR, MU_CMP_RP, MU_CMP_CCR, MU_CMP_CCP,
    MU_CMP_CKUANN, MU_CMP_CANN, MU_CMP_RANN, MU_CMP_CRLANN, MU_CMP_PKICONF, MU_CMP_NESTED,
    MU_CMP_GENM, MU_CMP_GENP, MU_CMP_ERROR, MU_CMP_CERT_CONF, MU_CMP_POLL_REQ, MU_CMP_POLL_REP,
    MU_CMP_TYPES,
};
const char *mu_cmp_type_name(int type); /* "ir", "pkiConf"; "unknown" */

enum mu_cmp_status_value {
    MU_CMP_ACCEPTED, MU_CMP_GRANTED_WITH_MODS, MU_CMP_REJECTION, MU_CMP_WAITING,
    MU_CMP_REVOCATION_WARNING, MU_CMP_REVOCATION_NOTIFICATION, MU_CMP_KEY_UPDATE_WARNING,
};
const char *mu_cmp_status_name(int status);      /* "rejection" */

enum mu_cmp_fail { /* bit numbers of PKIFailureInfo */
    MU_CMP_BAD_ALG, MU_CMP_BAD_MESSAGE_CHECK, MU_CMP_BAD_REQUEST, MU_CMP_BAD_TIME, MU_CMP_BAD_CERT_ID,
    MU_CMP_BAD_DATA_FORMAT, MU_CMP_WRONG_AUTHORITY, MU_CMP_INCORRECT_DATA, MU_CMP_MISSING_TIME_STAMP,
    MU_CMP_BAD_POP, MU_CMP_CERT_REVOKED, MU_CMP_CERT_CONFIRMED, MU_CMP_WRONG_INTEGRITY,
    MU_CMP_BAD_RECIPIENT_NONCE, MU_CMP_TIME_NOT_AVAILABLE, MU_CMP_UNACCEPTED_POLICY,
    MU_CMP_UNACCEPTED_EXTENSION, MU_CMP_ADD_INFO_NOT_AVAILABLE, MU_CMP_BAD_SENDER_NONCE,
    MU_CMP_BAD_CERT_TEMPLATE, MU_CMP_SIGNER_NOT_TRUSTED, MU_CMP_TRANSACTION_ID_IN_USE,
    MU_CMP_UNSUPPORTED_VERSION, MU_CMP_NOT_AUTHORIZED, MU_CMP_SYSTEM_UNAVAIL, MU_CMP_SYSTEM_FAILURE,
    MU_CMP_DUPLICATE_CERT_REQ, MU_CMP_FAILS,
};
const char *mu_cmp_fail_name(int bit);           /* "badPOP"; "unknown" */

struct mu_cmp_status {
    int status;               /* as it came: known or not */
    bool has_fail;
    uint32_t fail;            /* bit n is 1 << n */
    struct mu_bytes text;     /* content of PKIFreeText: UTF8Strings; n 0 if absent */
};
/* Lowest bit set, -1 if none. */
int mu_cmp_status_fail_bit(const struct mu_cmp_status *status);
/* All texts, "; " between, escaped for a message. False if there is none. */
bool mu_cmp_text_format(struct mu_bytes free_text, struct mu_buf *out);
/* One UTF8String, as content of PKIFreeText. */
void mu_cmp_text_put(struct mu_buf *out, const char *utf8);

struct mu_cmp_cert_response {
    int64_t cert_req_id;
    struct mu_cmp_status status;
    struct mu_bytes cert;            /* DER, p NULL if absent, so with the others */
    struct mu_bytes encrypted_cert;  /* EnvelopedData DER */
    struct mu_bytes private_key;     /* EnvelopedData DER */
    bool has_encrypted_value;        /* the old form, which we do not open */
    struct mu_bytes rsp_info;
};

struct mu_cmp_cert_status {          /* of certConf */
    struct mu_bytes cert_hash;
    int64_t cert_req_id;
    bool has_status;
    struct mu_cmp_status status;
    struct mu_bytes hash_alg;        /* AlgorithmIdentifier, p NULL if absent */
};

struct mu_cmp_rev_details {
    struct mu_cmp_template tmpl;     /* issuer and serial name the certificate */
    int reason;                      /* -1: absent */
    struct mu_bytes extensions;      /* crlEntryDetails, n 0 if absent; encoding: made of reason */
};

struct mu_cmp_info {                 /* InfoTypeAndValue */
    struct mu_bytes oid;             /* content octets */
    struct mu_bytes value;           /* whole element, p NULL if absent */
};
enum { MU_CMP_INFOS = 8 };           /* of one genm; the profile has one */

enum mu_cmp_it { /* id-it, 1.3.6.1.5.5.7.4.n */
    MU_CMP_IT_CA_PROT_ENC_CERT = 1, MU_CMP_IT_SIGN_KEY_PAIR_TYPES = 2, MU_CMP_IT_CURRENT_CRL = 6,
    MU_CMP_IT_UNSUPPORTED_OIDS = 7, MU_CMP_IT_IMPLICIT_CONFIRM = 13, MU_CMP_IT_CONFIRM_WAIT_TIME = 14,
    MU_CMP_IT_ORIG_MESSAGE = 15, MU_CMP_IT_SUPP_LANG_TAGS = 16, MU_CMP_IT_CA_CERTS = 17,
    MU_CMP_IT_ROOT_CA_KEY_UPDATE = 18, MU_CMP_IT_CERT_REQ_TEMPLATE = 19, MU_CMP_IT_ROOT_CA_CERT = 20,
    MU_CMP_IT_CERT_PROFILE = 21, MU_CMP_IT_CRL_STATUS_LIST = 22, MU_CMP_IT_CRLS = 23,
};
/* n of id-it n, -1 for any other OID. */
int mu_cmp_it_of(struct mu_bytes oid);
/* The other way; n from 1 to 127; borrowed, static. */
struct mu_bytes mu_cmp_it_oid(int n);

/* Where a body is a SEQUENCE OF of which the profile has one element, n is how many there were and
 * only the first is decoded. */
struct mu_cmp_body {
    enum mu_cmp_type type;
    union {
        struct { size_t n; struct mu_cmp_cert_req req; } req;       /* ir, cr, kur, krr, ccr */
        struct mu_bytes p10;                                        /* p10cr: DER */
        struct {                                                    /* ip, cp, kup, ccp */
            struct mu_bytes ca_pubs;  /* content of SEQUENCE OF Certificate, n 0 if absent */
            size_t n;
            struct mu_cmp_cert_response response;
        } rep;
        struct { size_t n; struct mu_cmp_rev_details details; } rr;
        struct {
            size_t n;
            struct mu_cmp_status status;
            struct mu_bytes cert_issuer, cert_serial; /* revCerts, p NULL if absent */
            struct mu_bytes crls;                     /* content of SEQUENCE OF, n 0 if absent */
        } rp;
        struct { size_t n; struct mu_cmp_cert_status status; } conf; /* certConf; n 0: all rejected */
        struct { size_t n; int64_t cert_req_id; } poll_req;
        struct { size_t n; int64_t cert_req_id, check_after_s; struct mu_bytes reason; } poll_rep;
        struct {
            struct mu_cmp_status status;
            bool has_code;
            int64_t code;
            struct mu_bytes details;  /* content of PKIFreeText, n 0 if absent */
        } error;
        struct { size_t n; struct mu_cmp_info v[MU_CMP_INFOS]; } gen; /* genm, genp */
        struct { size_t n; struct mu_bytes messages; } nested; /* PKIMessages, one behind the other */
    } u; /* the other kinds (popdecc, announcements ...) have no parts here */
};

/* element is the whole [n] of the PKIMessage. retagged as in mu_cmp_crmf_decode. */
enum mu_code mu_cmp_body_decode(struct mu_bytes element, struct mu_buf *retagged,
    struct mu_cmp_body *out, struct mu_err *err) MU_CHECK;
void mu_cmp_body_encode(const struct mu_cmp_body *body, struct mu_buf *out);

#endif
