/* Inside src/pki: the parts of a pkcs11: URI (RFC 7512), and the PKCS#11 module's own functions,
 * which are needed for the one thing engines cannot do: generate a key pair. */
#ifndef MU_PKI_TOKEN_URI_H
#define MU_PKI_TOKEN_URI_H

#include "base/secret.h"
#include "pki/pki_key.h"

struct mu_pki_token_uri {
    struct mu_buf token, object, id, module; /* percent-decoded; empty if not given */
    struct mu_secret pin;                    /* pin-value, or what pin-source's file says */
};

/* MU_INPUT if it is no pkcs11: URI or a percent code is broken. */
enum mu_code mu_pki_token_uri_parse(const char *uri, struct mu_pki_token_uri *out,
    struct mu_err *err) MU_CHECK;
void mu_pki_token_uri_clear(struct mu_pki_token_uri *uri);

/* Loads the module, logs in, and makes a key pair that never leaves the token. */
enum mu_code mu_pki_token_make(const char *module, const struct mu_pki_token_uri *uri,
    const struct mu_secret *pin, const struct mu_pki_key_spec *spec, struct mu_err *err) MU_CHECK;

#endif
