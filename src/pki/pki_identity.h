/* What a TLS connection is made with. http knows it only by pointer. */
#ifndef MU_PKI_IDENTITY_H
#define MU_PKI_IDENTITY_H

#include "base/env.h"
#include "pki/pki_cert.h"

struct mu_tls_identity {
    struct mu_pki_key *key;            /* client authentication; NULL: none */
    struct mu_pki_certs chain;         /* leaf first */
    struct mu_pki_certs anchors;       /* verify the server */
    bool use_system_anchors;
    bool insecure_bootstrap;           /* finish TLS unverified (EST 4.1.1, probe); caller checks */
    const char *server_name;           /* instead of the URL's host; NULL */
    const char *srp_user;              /* TLS-SRP, TLS 1.2 only, deprecated; NULL: none */
    const struct mu_secret *srp_password;
    int max_version;                   /* 0x0303: no TLS 1.3 (EST-60); 0: any */
    bool tls10_allowed;                /* tls-min lowered with allow-legacy */
    const struct mu_env *env;          /* its clock judges validity */
};

#endif
