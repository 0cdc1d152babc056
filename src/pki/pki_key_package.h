/*
 * A private key on its way to who will use it: AsymmetricKeyPackage (RFC 5958) signed by who made
 * the key, enveloped to the recipient (RFC 9483 4.1.6, RFC 7030 4.4.2).
 */
#ifndef MU_PKI_KEY_PACKAGE_H
#define MU_PKI_KEY_PACKAGE_H

#include "pki/pki_cms.h"

struct mu_pki_key_package_params {
    const struct mu_pki_key *key;           /* the key to deliver, private part usable */
    const struct mu_pki_key *signer_key;    /* of the key generation authority */
    struct mu_pki_cert *signer;
    const struct mu_pki_certs *signer_chain; /* goes behind the signer's certificate; NULL: none */
    bool without_public;                    /* version 1, which OpenSSL reads; RFC 9483 4.1.6 wants 2 */
    struct mu_pki_enveloped_params to;      /* content_type is set here */
};
/* MU_UNSUPPORTED: the key cannot leave its token. */
enum mu_code mu_pki_key_package_make(const struct mu_pki_key_package_params *params,
    const struct mu_env *env, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* What opens it: that which the recipient kind needs. */
struct mu_pki_key_package_opener {
    const struct mu_pki_key *key;
    const struct mu_pki_certs *originators; /* see mu_pki_enveloped_open_from */
    const struct mu_secret *password;
    const struct mu_secret *kek;
    bool allow_legacy;
    bool bare;                              /* EnvelopedData without ContentInfo */
};
struct mu_pki_key_package {
    struct mu_pki_key *key;
    struct mu_pki_cert *signer;  /* its signature is right; whether he may is the caller's question */
    struct mu_pki_certs certs;   /* beside the key: signer and chain */
};
/* The package holds exactly one key, whose publicKey, if it is there, fits (CMP-81, CMP-82). A
 * failure behind the recipient's key is the one of mu_pki_enveloped_open. */
enum mu_code mu_pki_key_package_open(struct mu_bytes in,
    const struct mu_pki_key_package_opener *with, struct mu_pki_key_package *out,
    struct mu_err *err) MU_CHECK;
void mu_pki_key_package_clear(struct mu_pki_key_package *package);

/* The innermost part: DER of AsymmetricKeyPackage with one OneAsymmetricKey v2. out should be
 * secret. */
enum mu_code mu_pki_key_package_encode(const struct mu_pki_key *key, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_pki_key_package_decode(struct mu_bytes in, struct mu_pki_key **out,
    struct mu_err *err) MU_CHECK;

#endif
