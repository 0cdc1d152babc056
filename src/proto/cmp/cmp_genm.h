/*
 * General messages (RFC 9810 5.3.19, RFC 9483 4.3): values of InfoTypeAndValue both ways, and what
 * the server answers out of what the CA gave.
 */
#ifndef MU_PROTO_CMP_GENM_H
#define MU_PROTO_CMP_GENM_H

#include "enroll/enroll_server.h"
#include "proto/cmp/cmp_body.h"

/* ---- values ---- */

/* rootCaKeyUpdate 18; NULL: absent. */
struct mu_cmp_root_update { struct mu_bytes new_with_new, new_with_old, old_with_new; };
bool mu_cmp_genm_root_update_decode(struct mu_bytes value, struct mu_cmp_root_update *out);
void mu_cmp_genm_root_update_encode(const struct mu_cmp_root_update *update, struct mu_buf *out);

/* certReqTemplate 19: CertReqTemplateValue (CMP-94, CMP-95). */
enum { MU_CMP_KEY_SPECS = 8 };
struct mu_cmp_req_template {
    struct mu_cmp_template tmpl; /* no publicKey, serialNumber, signingAlg, identifiers */
    size_t key_spec_n;           /* 0: no wishes */
    struct mu_pki_key_spec key_specs[MU_CMP_KEY_SPECS];
};
/* retagged as for mu_cmp_crmf_template_decode; key specifications that are not known are left
 * out. */
enum mu_code mu_cmp_genm_template_decode(struct mu_bytes value, struct mu_buf *retagged,
    struct mu_cmp_req_template *out, struct mu_err *err) MU_CHECK;
void mu_cmp_genm_template_encode(const struct mu_cmp_req_template *tmpl, struct mu_buf *out);

/* crlStatusList 22: one CRLStatus. issuer is a Name DER (of issuer, or the first directoryName of
 * dpn), p NULL if there is none; this_update_s 0: absent. */
struct mu_cmp_crl_status { struct mu_bytes issuer; int64_t this_update_s; };
bool mu_cmp_genm_crl_status_decode(struct mu_bytes value, struct mu_cmp_crl_status *out);
void mu_cmp_genm_crl_status_encode(const struct mu_cmp_crl_status *status, struct mu_buf *out);

/* SEQUENCE OF UTF8String: suppLangTags 16, certProfile 21; first text, p NULL if there is none. */
bool mu_cmp_genm_texts_first(struct mu_bytes value, struct mu_bytes *out);

/* ---- server ---- */

/* What a genm asks the CA for: CSR_ATTRS, GET_CRL, else INFO (answered out of the credential). */
enum mu_op mu_cmp_genm_op(const struct mu_cmp_body *genm);
enum mu_code mu_cmp_genm_ask(const struct mu_cmp_body *genm, struct mu_question *question,
    struct mu_err *err) MU_CHECK;
/* genp for it; values are views into keep. A type that is not served is MU_UNSUPPORTED,
 * MU_REFUSE_UNSUPPORTED if it is the only one, else listed as unsupported (CMP-99). */
enum mu_code mu_cmp_genm_answer(const struct mu_cmp_body *genm,
    const struct mu_credential *credential, const struct mu_decision *decision,
    struct mu_cmp_body *genp, struct mu_buf *keep, struct mu_err *err) MU_CHECK;

#endif
