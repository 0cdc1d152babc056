/* Inside src/pki: a password as the recipient of EnvelopedData (RFC 5652 6.2.4, RFC 3211). */
#ifndef MU_PKI_CMS_PWRI_H
#define MU_PKI_CMS_PWRI_H

#include "base/secret.h"
#include "pki/pki_cms.h"

/* Content key out of e->encrypted_key. MU_AUTH for a wrong password and every damage. */
enum mu_code mu_pki_pwri_unwrap(const struct mu_pki_enveloped *e, const struct mu_secret *password,
    struct mu_secret *content_key, struct mu_err *err) MU_CHECK;
/* Appends PasswordRecipientInfo to params->password: PBKDF2 with HMAC-SHA-256, then id-alg-PWRI-KEK
 * with AES-256-CBC or, for aes_wrap, AES key wrap with a key as long as the content's. */
enum mu_code mu_pki_pwri_put(struct mu_buf *b, const struct mu_pki_enveloped_params *params,
    struct mu_bytes content_key, const struct mu_env *env, struct mu_err *err) MU_CHECK;

#endif
