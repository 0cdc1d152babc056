/* The OIDs that CSR attributes are made of: names for people, and what they wish for. */
#ifndef MU_PROTO_EST_OIDS_H
#define MU_PROTO_EST_OIDS_H

#include "pki/pki_key.h"

struct mu_est_oid {
    const char *oid, *name;
    enum mu_pki_key_type key;   /* a key type, or with bits a curve */
    unsigned bits;
    enum mu_pki_digest digest;  /* a signature algorithm */
    bool is_extension;
};

/* By content octets; NULL if not known. */
const struct mu_est_oid *mu_est_oid_find(struct mu_bytes oid);
/* Of a signature with this kind of key; NULL if there is none. */
const char *mu_est_oid_signature(enum mu_pki_key_type key, enum mu_pki_digest digest);

#endif
