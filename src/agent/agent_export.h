/* The present pair of an entry in the form that somebody else takes it. Nothing in the store changes. */
#ifndef MU_AGENT_EXPORT_H
#define MU_AGENT_EXPORT_H

#include "agent/agent.h"

enum mu_agent_export_form {
    MU_AGENT_EXPORT_PEM,    /* certificate and chain, no key */
    MU_AGENT_EXPORT_BUNDLE, /* the same, and the private key behind it, PEM */
    MU_AGENT_EXPORT_P12,    /* PKCS #12 */
};
struct mu_agent_export {
    const char *name;
    enum mu_agent_export_form form;
    const struct mu_secret *key_password; /* opens the key; NULL: the one that is kept, if any */
    const struct mu_secret *password;     /* protects what is made; P12 needs one, a bundle's key is encrypted by it */
};
/* Appends to out, which should be secret; certs (may be NULL) gets how many certificates are in it. MU_NOT_FOUND if
 * the entry has no certificate, MU_UNSUPPORTED if its key is in a token and would have to go along. A pair is taken
 * from one generation, whatever is switched meanwhile. */
enum mu_code mu_agent_export(struct mu_agent *agent, const struct mu_agent_export *request, struct mu_buf *out,
    size_t *certs, struct mu_err *err) MU_CHECK;

#endif
