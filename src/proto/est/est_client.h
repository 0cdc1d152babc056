/*
 * The EST client engine (RFC 7030, 8951, 9908): cacerts, csrattrs, simpleenroll or simplereenroll
 * (or serverkeygen) with 202 polling, all on one connection. Emits the trace of ACCEPTANCE
 * E035..E079. See enroll/enroll_engine.h.
 *
 * What the driver sees:
 * - WANT_KEY comes after csrattrs, with the kind to make; KEYGEN wants a key too, which signs the
 *   request and is thrown away.
 * - WANT_BINDING asks for the channel binding of the connection of the last answer. The POST that
 *   follows has same_connection set. Where that is gone, SEND_FAILED (MU_NETWORK, no M-number)
 *   leads to a GET and a new WANT_BINDING with the same key (EST-51).
 * - bootstrap: TLS is not verified. One GET cacerts without any authentication, then the pin
 *   decides (M211 if it is another) or WANT_TRUST does (M209 if the answer is no). Accepted: op CA
 *   is DONE, every other op ends with MU_AUTH and no M-number, and result.bootstrapped is set. The
 *   host keeps result.ca (what the pin or the person vouches for) as explicit anchor and starts a
 *   new engine, without bootstrap, over a new, verified session (EST-19, RFC 7030 4.1.1).
 * - result.wants_tls12: linking was demanded and our tls-exporter was refused. A new run over TLS
 *   1.2 can link by tls-unique (EST-60).
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
    bool renews_key;                   /* for the trace: re-enroll with a new key */

    /* The CSR is made here, since csrattrs and linking change it: names and extensions asked for,
     * and the key, or its kind, which is asked for with WANT_KEY once csrattrs are known. */
    struct mu_bytes subject, extensions; /* Name DER; Extensions DER, n 0: none */
    struct mu_pki_key *key;            /* NULL: WANT_KEY */
    struct mu_pki_key_spec key_spec;   /* type 0: the CA's wish, else EC P-256 */
    bool key_spec_is_choice;           /* the user's own: wins over csrattrs, and the difference is told */
    enum mu_pki_digest digest;         /* NONE: the CA's wish, else the key's default */
    bool ignore_csrattrs;
    bool ca_known;                     /* trusted is all there is to know: cacerts is not asked for */

    const char *user;                  /* HTTP authentication; NULL: none; "" is a user too */
    const struct mu_secret *password;
    const char *srp_user;              /* for the trace only: TLS is the transport's */
    const char *client_cert;           /* name of the TLS client certificate, for the trace; NULL: none */
    bool client_cert_lacks_eku;        /* told before it is tried (E101) */
    const char *server_cert;           /* name of the CA that verifies the server, for the trace */
    const char *source_ip;
    bool has_key_password;             /* for the trace */

    const struct mu_pki_certs *trusted; /* explicit anchors: verify issued certificates and cacerts */
    const char *trusted_as;
    const uint8_t *pin_sha256;         /* of the CA */
    bool bootstrap;                    /* TLS was not verified: see above */
    bool no_link;                      /* never put linking data into the CSR */
    bool allow_legacy;

    /* KEYGEN: how the key is to be encrypted to us besides TLS (RFC 7030 4.4.1); none: plain */
    const struct mu_secret *kek;       /* shared secret, named by */
    struct mu_bytes kek_id;
    struct mu_pki_cert *decrypt_cert;  /* or this certificate, whose key is */
    struct mu_pki_key *decrypt_key;

    int64_t await_s, max_await_s;      /* 202 without Retry-After; 0 are 60 and 3600 */
    bool no_wait;                      /* 202 ends the run with MU_PENDING, M404 */
};

struct mu_est_client;

enum mu_code mu_est_client_new(const struct mu_est_client_config *config,
    struct mu_est_client **out, struct mu_err *err) MU_CHECK;
void mu_est_client_free(struct mu_est_client *client);
enum mu_code mu_est_client_start(struct mu_est_client *client, struct mu_step *next,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_est_client_step(struct mu_est_client *client, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err) MU_CHECK;
/* As bytes, to go on after a restart with the same key and names: the request is made anew. No
 * secret is in them. */
enum mu_code mu_est_client_store(const struct mu_est_client *client, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;
/* config gives key, trust and passwords again; names come from state. A key that is not the one
 * of then is M708. */
enum mu_code mu_est_client_restore(const struct mu_est_client_config *config, struct mu_bytes state,
    struct mu_est_client **out, struct mu_err *err) MU_CHECK;

/* What is known so far; views. */
struct mu_est_client_result {
    const struct mu_pki_certs *ca_certs;   /* cacerts, in their order; NULL: not asked */
    struct mu_pki_cert *ca;                /* the issuing one, NULL if not known; bootstrap: what was vouched for */
    const struct mu_pki_certs *anchors;    /* trusted, accepted, and roots that old ones vouch for */
    struct mu_bytes csr_attrs;             /* DER; n 0: none */
    struct mu_bytes csr;                   /* as sent; n 0: not yet */
    struct mu_pki_key *key;                /* KEYGEN: made by the server */
    struct mu_pki_cert *cert;
    const struct mu_pki_certs *chain;      /* issuer first */
    bool pending;
    unsigned polls;
    int status;                            /* last HTTP status, 0: none */
    bool linked;
    bool bootstrapped, wants_tls12;        /* see above */
    const char *warnings;                  /* lines, "" if none */
    int64_t server_date_s;
};
void mu_est_client_result(const struct mu_est_client *client, struct mu_est_client_result *out);

#endif
