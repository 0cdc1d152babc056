/* One SCEP exchange of sscep: the engine over the network, until it is done. */
#ifndef MU_SSCEP_RUN_H
#define MU_SSCEP_RUN_H

#include "base/loop.h"
#include "pki/pki_identity.h"
#include "proto/scep/scep_client.h"

struct mu_sscep_run {
    const struct mu_env *env;
    struct mu_loop *loop;
    struct mu_transport *transport;
    const char *proxy;
    const struct mu_tls_identity *identity; /* for https; may be NULL */
    struct mu_scep_client *engine; /* yours */
    /* Before each message that the CA will remember; a failure ends the run. NULL: nothing. */
    enum mu_code (*before_send)(void *ctx, struct mu_err *err);
    /* PENDING, and the next poll comes in wait_s; polls so far. NULL: nobody is told. */
    void (*on_wait)(void *ctx, int64_t wait_s, unsigned polls);
    void *ctx;
};

/* Returns what the engine ends with. Certificates are put where the caller wants them afterwards:
 * SCEP confirms nothing. A CA that the engine does not know is taken, because the caller gave -c
 * or is about to see its fingerprint. */
enum mu_code mu_sscep_run(const struct mu_sscep_run *run, struct mu_err *err) MU_CHECK;

#endif
