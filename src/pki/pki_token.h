/* Keys by pkcs11: URI, through a provider if one is loaded, else the pkcs11 engine; and -g of
 * sscep. The only file that names engines. */
#ifndef MU_PKI_TOKEN_H
#define MU_PKI_TOKEN_H

#include "pki/pki_key.h"

/* module: path of the PKCS#11 module, NULL for the URI's module-path or the system's default.
 * pin: NULL for the URI's pin-value or pin-source. */
enum mu_code mu_pki_token_open(const char *uri, const char *module, const struct mu_secret *pin,
    struct mu_pki_key **out, struct mu_err *err) MU_CHECK;
/* Checks that an engine or provider of this name can be loaded and makes it the one that later
 * opens take; M709 lists what is installed. */
enum mu_code mu_pki_token_use(const char *engine_or_provider, struct mu_err *err) MU_CHECK;
/* Generates a key pair in the token the URI names (object=, token=, pin-value=). */
enum mu_code mu_pki_token_generate(const char *uri, const char *module, const struct mu_secret *pin,
    const struct mu_pki_key_spec *spec, struct mu_pki_key **out, struct mu_err *err) MU_CHECK;
void mu_pki_token_shutdown(void);

#endif
