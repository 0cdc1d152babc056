/* Words and OIDs that reading, writing and printing of names and extensions share; outside of
 * src/pki only the name templates of EST use them. */
#ifndef MU_PKI_WORDS_H
#define MU_PKI_WORDS_H

#include "base/bytes.h"

#define MU_OID_TEMPLATE_NAME "1.3.6.1.4.1.311.20.2"
#define MU_OID_AIA "1.3.6.1.5.5.7.1.1"
#define MU_OID_OCSP "1.3.6.1.5.5.7.48.1"
#define MU_OID_CA_ISSUERS "1.3.6.1.5.5.7.48.2"

/* MU_EKU_OTHER if there is no bit for it. */
unsigned mu_pki_eku_bit(struct mu_bytes oid);
/* NULL if the bit has no OID. */
const char *mu_pki_eku_oid(unsigned bit);

enum { MU_OID_TEXT = 128 };

/* Short word of an attribute type ("CN"), or its dotted OID in buf. */
const char *mu_pki_name_type_word(struct mu_bytes oid, char buf[MU_OID_TEXT]);
/* The other way; what is no known word comes back as it is. */
const char *mu_pki_name_type_oid(const char *word);

#endif
