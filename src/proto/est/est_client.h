/*
 * The EST client engine (RFC 7030, 8951, 9908): cacerts, csrattrs, simpleenroll or simplereenroll
 * (or serverkeygen) with 202 polling. Emits the trace of ACCEPTANCE E035..E079 in that order.
 * See enroll/enroll_engine.h.
 */
#ifndef MU_PROTO_EST_CLIENT_H
#define MU_PROTO_EST_CLIENT_H

#include "base/secret.h"
#include "enroll/enroll_engine.h"
#include "pki/pki_csr.h"

enum mu_est_client_op {
    MU_EST_CLIENT_CA,       /* cacerts */
    MU_EST_CLIENT_ATTRS,    /* csrattrs (probe) */
    MU_EST_CLIENT_ENROLL,   /* with reenroll: simplereenroll */
    MU_EST_CLIENT_KEYGEN,   /* serverkeygen: result key */
};

/* All of it is borrowed for the time of the call to new/restore; the engine copies or counts. */
struct mu_est_client_config {
    const struct mu_env *env;          /* must outlive the engine */
    enum mu_est_client_op op;
    const char *url;                   /* https://host[:port][/path]; "/.well-known/est" is added if the path lacks it */
    const char *label;                 /* CA identifier; NULL: none */
    const char *entry;                 /* for 'start: enroll for <entry>' */
    bool reenroll;

    /* The CSR is made here, since csrattrs and linking change it: names and extensions asked for,
     * and the key, or its kind, which is asked for with WANT_KEY once csrattrs are known. */
    struct mu_bytes subject, extensions; /* Name DER; Extensions DER, n 0: none */
    struct mu_pki_key *key;            /* NULL: WANT_KEY */
    struct mu_pki_key_spec key_spec;   /* type 0: the CA's wish, else EC P-256 */
    bool key_spec_is_choice;           /* the user's own: wins over csrattrs, and the difference is told */
    enum mu_pki_digest digest;         /* NONE: the key's default */
    bool ignore_csrattrs;

    const char *user;                  /* HTTP authentication; NULL: none */
    const struct mu_secret *password;
    const char *srp_user;              /* for the trace only: TLS is the transport's */
    const char *client_cert;           /* name of the TLS client certificate, for the trace; NULL: none */
    bool client_cert_lacks_eku;        /* told before it is tried (E101) */
    const char *server_cert;           /* name of the CA that verifies the server, for the trace */
    const char *source_ip;
    bool has_key_password;             /* for the trace */

    const struct mu_pki_certs *trusted; /* explicit anchors: verify issued certificates and cacerts */
    const char *trusted_as;
    const uint8_t *pin_sha256;         /* of the CA; bootstrap decides by it (EST-19) */
    bool bootstrap;                    /* TLS was not verified: cacerts, WANT_TRUST, then the run ends with MU_AUTH for a second, verified one */
    bool no_link;                      /* never put linking data into the CSR */
    bool allow_legacy;

    int64_t await_s, max_await_s;      /* 202 without Retry-After; 0 are 60 and 3600 */
    bool no_wait;                      /* 202 ends the run with MU_PENDING */
};

struct mu_est_client;

enum mu_code mu_est_client_new(const struct mu_est_client_config *config,
    struct mu_est_client **out, struct mu_err *err) MU_CHECK;
void mu_est_client_free(struct mu_est_client *client);
enum mu_code mu_est_client_start(struct mu_est_client *client, struct mu_step *next,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_est_client_step(struct mu_est_client *client, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err) MU_CHECK;
/* As bytes, to go on after a restart with the same key and names: the request is made anew. */
enum mu_code mu_est_client_store(const struct mu_est_client *client, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_est_client_restore(const struct mu_est_client_config *config, struct mu_bytes state,
    struct mu_est_client **out, struct mu_err *err) MU_CHECK;

/* What is known so far; views. */
struct mu_est_client_result {
    const struct mu_pki_certs *ca_certs;   /* cacerts, in their order; NULL: not asked */
    struct mu_pki_cert *ca;                /* the issuing one, NULL if not known */
    struct mu_bytes csr_attrs;             /* DER; n 0: none */
    struct mu_bytes csr;                   /* as sent; n 0: not yet */
    struct mu_pki_key *key;                /* KEYGEN: made by the server */
    struct mu_pki_cert *cert;
    const struct mu_pki_certs *chain;      /* issuer first */
    bool pending;
    unsigned polls;
    int status;                            /* last HTTP status, 0: none */
    bool linked;
    const char *warnings;                  /* lines, "" if none */
    int64_t server_date_s;
};
void mu_est_client_result(const struct mu_est_client *client, struct mu_est_client_result *out);

#endif
