/* PKCS #10 (RFC 2986): both directions. */
#ifndef MU_PKI_CSR_H
#define MU_PKI_CSR_H

#include "base/secret.h"
#include "pki/pki_ext.h"
#include "pki/pki_key.h"

struct mu_pki_csr {
    struct mu_bytes der;   /* owned by the struct */
    struct mu_bytes info;  /* CertificationRequestInfo, the signed part */
    int version;           /* 0 by the RFC; anything is taken (E109) */
    struct mu_bytes subject, spki, sig_alg, signature;
    struct mu_bytes attributes; /* content of [0], n 0 if none */
    struct mu_pki_exts exts;    /* of extensionRequest, PKCS #9 or Microsoft's */
    struct mu_secret challenge; /* decoded to UTF-8; empty if none or empty (INTEROP 5.8) */
};

/* DER or PEM; copies. Attributes that should be single and are not: MU_INPUT. Strange types of
 * challengePassword (IOP-17) are taken. */
enum mu_code mu_pki_csr_decode(struct mu_bytes file, struct mu_pki_csr **out, struct mu_err *err)
    MU_CHECK;
void mu_pki_csr_free(struct mu_pki_csr *csr);
/* Proof of possession: the self-signature (COM-18). MU_AUTH, MU_REFUSE_POP. *key (may be NULL)
 * gets the decoded key, yours. */
enum mu_code mu_pki_csr_verify(const struct mu_pki_csr *csr, bool allow_legacy,
    struct mu_pki_key **key, struct mu_err *err) MU_CHECK;
/* First value of an attribute by OID; p NULL if absent. */
struct mu_bytes mu_pki_csr_attribute(const struct mu_pki_csr *csr, const char *oid);

struct mu_pki_csr_params {
    struct mu_bytes subject;            /* Name DER; n 0: empty Name */
    struct mu_bytes extensions;         /* Extensions DER, n 0: none asked for */
    const struct mu_secret *challenge;  /* NULL or unset: none. PrintableString if it fits, else UTF8String */
    enum mu_pki_digest digest;          /* NONE: the key's default */
    struct mu_bytes attributes;         /* more of them, whole Attributes; n 0: none */
};
enum mu_code mu_pki_csr_make(const struct mu_pki_csr_params *params, const struct mu_pki_key *key,
    struct mu_buf *der, struct mu_err *err) MU_CHECK;
/* A CertificationRequest with an empty signature, which mu_pki_csr_decode reads: what another
 * protocol asks for in its own form (CRMF), so that policy, queue and gateway see one thing. Proof of
 * possession is that protocol's business. spki n 0: a key without bits, which the CA will make.
 * extensions n 0: none asked for. */
enum mu_code mu_pki_csr_frame(struct mu_bytes subject, struct mu_bytes spki,
    struct mu_bytes extensions, struct mu_buf *der, struct mu_err *err) MU_CHECK;
/* True for a key without bits. */
bool mu_pki_csr_lacks_key(const struct mu_pki_csr *csr);
bool mu_pki_csr_to_pem(struct mu_bytes der, struct mu_buf *out);

#endif
