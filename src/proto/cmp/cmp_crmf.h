/* CRMF (RFC 4211): CertReqMsg, CertTemplate, proof of possession, controls; both directions. */
#ifndef MU_PROTO_CMP_CRMF_H
#define MU_PROTO_CMP_CRMF_H

#include "pki/pki_key.h"
#include "pki/pki_name.h"

/* p NULL: absent. What is IMPLICIT on the wire stands here with its universal tag. */
struct mu_cmp_template {
    int64_t version;              /* -1: absent */
    struct mu_bytes serial;       /* INTEGER content octets */
    struct mu_bytes signing_alg;  /* AlgorithmIdentifier */
    struct mu_bytes issuer, subject; /* Name DER */
    int64_t not_before_s, not_after_s; /* 0: absent */
    struct mu_bytes spki;         /* SubjectPublicKeyInfo DER; of zero key bits: central generation */
    bool has_unique_ids;
    struct mu_bytes extensions;   /* Extensions DER */
};

enum mu_cmp_popo {
    MU_CMP_POPO_NONE, MU_CMP_POPO_RA_VERIFIED, MU_CMP_POPO_SIGNATURE,
    MU_CMP_POPO_KEY_ENCIPHERMENT, MU_CMP_POPO_KEY_AGREEMENT,
};

struct mu_cmp_cert_req {
    int64_t cert_req_id;
    struct mu_cmp_template tmpl;
    /* controls */
    struct mu_bytes old_issuer, old_serial; /* oldCertID: Name DER, INTEGER content; p NULL: none */
    struct mu_bytes reg_token, authenticator; /* UTF-8; secrets; p NULL: none */
    bool has_archive, has_unknown_controls; /* unknown ones are ignored */

    enum mu_cmp_popo popo;
    struct mu_bytes popo_input;   /* POPOSigningKeyInput as a SEQUENCE: what is signed if there; p NULL: none */
    struct mu_bytes popo_input_sender; /* authInfo sender, whole GeneralName; p NULL: publicKeyMAC */
    struct mu_bytes popo_input_spki;
    struct mu_bytes popo_alg, popo_signature;
    int subsequent_message;       /* of the other two: 0 encrCert, 1 challengeResp; -1: another choice */

    struct mu_bytes cert_req;     /* decoded: the whole CertRequest, what is signed without popo_input */
};

/* in is one CertReqMsg; retagged has room (see mu_cmp_msg) and keeps its address. */
enum mu_code mu_cmp_crmf_decode(struct mu_bytes in, struct mu_buf *retagged,
    struct mu_cmp_cert_req *out, struct mu_err *err) MU_CHECK;
/* content of a CertTemplate SEQUENCE: used for rr and certReqTemplate too. */
enum mu_code mu_cmp_crmf_template_decode(struct mu_bytes content, struct mu_buf *retagged,
    struct mu_cmp_template *out, struct mu_err *err) MU_CHECK;
void mu_cmp_crmf_template_encode(const struct mu_cmp_template *tmpl, struct mu_buf *out);
/* The CertRequest alone: certReqId, template, controls. What popo_signature is made over. */
void mu_cmp_crmf_request_encode(const struct mu_cmp_cert_req *req, struct mu_buf *out);
/* The whole CertReqMsg. If cert_req.n is not 0 it goes in as it is, else it is encoded. */
void mu_cmp_crmf_encode(const struct mu_cmp_cert_req *req, struct mu_buf *out);

/* Proof by signature (CMP-61, CMP-62): MU_AUTH, MU_REFUSE_POP if it does not hold or is another
 * kind. With poposkInput its publicKey has to be the template's. *key (may be NULL): yours. */
enum mu_code mu_cmp_crmf_verify_popo(const struct mu_cmp_cert_req *req, bool allow_legacy,
    struct mu_pki_key **key, struct mu_err *err) MU_CHECK;
/* True if the CA is asked to make the key: no publicKey, or one without key bits (CMP-80). */
bool mu_cmp_crmf_wants_key(const struct mu_cmp_template *tmpl);

#endif
