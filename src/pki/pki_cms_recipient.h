/* Inside src/pki: the kinds of RecipientInfo (RFC 5652 6.2) but for passwords, which are
 * pki_cms_pwri.h. */
#ifndef MU_PKI_CMS_RECIPIENT_H
#define MU_PKI_CMS_RECIPIENT_H

#include "pki/pki_cms.h"

/* Content of recipientInfos: exactly one. */
enum mu_code mu_pki_recipients_decode(struct mu_bytes in, struct mu_pki_enveloped *e,
    struct mu_err *err) MU_CHECK;
/* Version of EnvelopedData (COM-10). */
int mu_pki_recipient_version(const struct mu_pki_enveloped_params *params);
/* Appends the RecipientInfo that params ask for. */
enum mu_code mu_pki_recipient_put(struct mu_buf *b, const struct mu_pki_enveloped_params *params,
    struct mu_bytes content_key, const struct mu_env *env, struct mu_err *err) MU_CHECK;
enum mu_code mu_pki_kek_unwrap(const struct mu_pki_enveloped *e, const struct mu_secret *kek,
    struct mu_secret *content_key, struct mu_err *err) MU_CHECK;

/* pki_cms_kari.c: key agreement by ECDH (RFC 5753). Damage and a wrong key are MU_AUTH. */
enum mu_code mu_pki_kari_decode(struct mu_bytes in, struct mu_pki_enveloped *e, struct mu_err *err)
    MU_CHECK;
enum mu_code mu_pki_kari_unwrap(const struct mu_pki_enveloped *e, const struct mu_pki_key *key,
    const struct mu_pki_certs *originators, struct mu_secret *content_key, struct mu_err *err)
    MU_CHECK;
enum mu_code mu_pki_kari_put(struct mu_buf *b, const struct mu_pki_enveloped_params *params,
    const struct mu_pki_key *key, struct mu_bytes content_key, struct mu_err *err) MU_CHECK;

#endif
