/* Asked versus issued (D17): subject parts, SAN, key usages removed, added, changed. */
#ifndef MU_ENROLL_DIFF_H
#define MU_ENROLL_DIFF_H

#include "pki/pki_cert.h"
#include "pki/pki_csr.h"

/* One word list for people: "C=NL removed, OU=AS added, SAN removed"; empty if nothing changed.
 * Usages count only where the CSR asked for some. */
bool mu_enroll_diff(const struct mu_pki_csr *asked, const struct mu_pki_cert *issued,
    struct mu_buf *out);
/* The same as separate items: what ("C=NL"), change ("removed", "added", "changed"). */
typedef void mu_enroll_diff_call(void *cookie, const char *what, const char *change);
bool mu_enroll_diff_each(const struct mu_pki_csr *asked, const struct mu_pki_cert *issued,
    mu_enroll_diff_call *call, void *cookie);

#endif
