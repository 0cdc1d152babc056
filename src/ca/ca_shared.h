/*
 * AES keys that clients share with the CA, so that a key made for them comes encrypted to one
 * (RFC 7030 4.4.1.1). Each is an entry that lets nobody ask: its name is the DecryptKeyIdentifier,
 * its password the key, sealed like other entries'.
 */
#ifndef MU_CA_CA_SHARED_H
#define MU_CA_CA_SHARED_H

#include "ca/ca_job.h"
#include "ca/ca_seal.h"

/* given: 16, 24 or 32 octets in hex; NULL: a random one of 32 goes to made, in hex. Nothing finds
 * the entry by it: kept has no hash. */
enum mu_code mu_ca_shared_keep(struct mu_ca *ca, const char *name, const struct mu_secret *given,
    struct mu_secret *made, struct mu_ca_kept *kept, struct mu_err *err) MU_CHECK;
/* The key that the request names, into kek and the credential, where it names one that is known
 * and in force; then next goes on. */
void mu_ca_shared_look(struct mu_ca_job *job, struct mu_bytes id, struct mu_secret *kek,
    void (*next)(struct mu_ca_job *job));

#endif
