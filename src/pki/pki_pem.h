/* PEM armor. */
#ifndef MU_PKI_PEM_H
#define MU_PKI_PEM_H

#include "base/buf.h"

bool mu_pki_pem_put(struct mu_buf *out, const char *label, struct mu_bytes der);
/* Next block off the cursor: label (borrowed into text: set *label), content decoded into der.
 * False at the end; MU_INPUT through *bad. Headers inside a block are skipped into no meaning:
 * encrypted traditional keys go to OpenSSL as they are. */
bool mu_pki_pem_next(struct mu_bytes *text, struct mu_bytes *label, struct mu_buf *der, bool *bad);
bool mu_pki_pem_is(struct mu_bytes text); /* contains "-----BEGIN " */

#endif
