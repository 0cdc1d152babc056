/*
 * Drives a client engine of any protocol over a transport: one loop for all. It sends, waits and
 * asks its host for what it has not: a key, trust, a place to save. All work happens on the
 * loop's thread, never inside mu_client_start; on_done comes exactly once.
 */
#ifndef MU_CLIENT_H
#define MU_CLIENT_H

#include "base/loop.h"
#include "enroll/enroll_engine.h"
#include "http/http_transport.h"
#include "pki/pki_cert.h"

enum mu_client_op {
    MU_CLIENT_ENROLL,  /* first or, with signer_cert, a renewal */
    MU_CLIENT_CAPS,    /* capabilities only */
    MU_CLIENT_CA,      /* capabilities and CA certificates */
    MU_CLIENT_NEXT_CA,
    MU_CLIENT_CERT,    /* by serial */
    MU_CLIENT_CRL,
    MU_CLIENT_ATTRS,   /* EST: what the CA wants in a request */
    MU_CLIENT_REVOKE,  /* CMP: signer_cert */
    MU_CLIENT_PROBE,   /* what is there; as CA, but nothing that comes is believed */
};
enum mu_client_request { MU_CLIENT_REQUEST_IR, MU_CLIENT_REQUEST_CR, MU_CLIENT_REQUEST_P10CR };
enum mu_client_method { MU_CLIENT_METHOD_AUTO, MU_CLIENT_METHOD_GET, MU_CLIENT_METHOD_POST };

struct mu_client;

/* What the driver asks its host. ctx is handed back. A call that is NULL has the answer given. */
struct mu_client_host {
    void *ctx;
    /* A key like this. Answer with mu_client_key, now or later. NULL: the config's key. */
    void (*on_key)(void *ctx, struct mu_client *client, const struct mu_pki_key_spec *spec);
    /* These CA certificates are not known here. Answer with mu_client_trust, now or later.
     * NULL: no. */
    void (*on_trust)(void *ctx, struct mu_client *client, const struct mu_pki_certs *certs);
    /* The engine as bytes (a secret), before a SEND that the CA will remember. Nothing is sent if
     * this fails. NULL: not kept. */
    enum mu_code (*on_state)(void *ctx, struct mu_bytes engine, struct mu_err *err);
    /* Issued: the certificate, then its chain. It must be on disk when this returns MU_OK; a
     * failure ends the enrollment with that error. NULL: fine. */
    enum mu_code (*on_save)(void *ctx, const struct mu_pki_certs *certs, struct mu_err *err);
    /* The CA keeps us waiting. NULL: nobody is told. */
    void (*on_wait)(void *ctx, int64_t wait_s, int64_t limit_s);
    /* The end; err NULL: done. The client may be freed in it. Must be set. */
    void (*on_done)(void *ctx, struct mu_client *client, const struct mu_err *err);
};

/* Borrowed for the time of mu_client_new, but env, loop and transport, which must outlive the
 * client. What a protocol has no use for is ignored. */
struct mu_client_config {
    const struct mu_env *env;
    struct mu_loop *loop;
    struct mu_transport *transport;
    struct mu_client_host host;

    enum mu_proto proto;
    enum mu_client_op op;
    const char *url;
    const char *entry;                  /* for the trace */
    const char *ca_identifier;          /* SCEP message=, EST label; NULL: none */

    const struct mu_tls_identity *identity; /* NULL for plain http */
    const char *proxy, *no_proxy, *source_ip;
    int timeout_s;
    size_t max_body;                    /* 0: the transport's */

    struct mu_bytes state;              /* engine bytes of on_state: go on with those; n 0: start anew */
    struct mu_bytes csr;                /* ENROLL: DER, signed */
    struct mu_pki_key *key;             /* its key; EST: NULL: on_key is asked once the CA's wish is known */
    struct mu_pki_cert *signer_cert;    /* renewal: the present certificate; queries: who asks */
    struct mu_pki_key *signer_key;
    bool plain_pkcs_req;                /* SCEP: type 19 for a renewal too */
    bool has_challenge;
    struct mu_bytes serial;             /* CERT */

    const struct mu_pki_certs *trusted; /* CA certificates known here */
    const char *trusted_as;             /* their name for the trace */
    const uint8_t *pin_sha256;          /* 32 octets; NULL: none */
    const struct mu_pki_certs *ca_certs; /* given: not asked for */
    struct mu_pki_cert *encrypt_to;     /* SCEP ra-cert */

    enum mu_pki_digest digest;
    enum mu_pki_cipher cipher;
    enum mu_client_method method;
    bool allow_legacy;
    bool nonce_warn_only;
    bool expect_standard, compat_iis;   /* SCEP-23, SCEP-25 */

    /* EST and CMP make the request themselves, out of this instead of csr. */
    struct mu_bytes subject, extensions; /* Name DER; Extensions DER, n 0: none */
    struct mu_pki_key_spec key_spec;    /* type 0: the CA's wish */
    bool key_spec_is_choice;            /* the user's own */
    bool server_key;                    /* the server makes the key (serverkeygen) */
    const struct mu_secret *kek;        /* EST: and encrypts it to this AES key, */
    struct mu_bytes kek_id;             /* which is called so by both sides, */
    struct mu_pki_cert *decrypt_cert;   /* or to this certificate; NULL both: no more than TLS */
    struct mu_pki_key *decrypt_key;
    bool ignore_csrattrs;
    const char *user;                   /* HTTP user; NULL: none */
    const struct mu_secret *password;
    const char *srp_user, *client_cert, *server_cert; /* for the trace: TLS is the identity's */
    bool client_cert_lacks_eku, has_key_password;
    bool renews_key;                    /* a renewal with a new key, for the trace */
    bool bootstrap;                     /* TLS is not verified: CA certificates only (EST-19) */

    /* CMP: a reference and its secret, or signer_cert as a first request's (signs_first). */
    const char *path;                   /* where the URL has none; NULL: the protocol's */
    const char *ref;
    const struct mu_secret *secret;
    bool pbmac1, implicit_confirm, signs_first;
    bool indirect;                      /* the certificate comes encrypted to its key, which proves that we have it */
    int mac_iterations;                 /* 0: the default */
    enum mu_pki_digest mac_owf, mac_hmac; /* NONE: the default */
    bool no_confirm, ignore_key_usage, trust_ca_pubs; /* what some servers need */
    bool rsa_pss;
    enum mu_client_request cmp_request;
    const struct mu_pki_certs *signer_chain;
    const struct mu_pki_certs *server_certs; /* expected from the server; NULL: below trusted */
    int revoke_reason;

    int64_t await_s, max_await_s;
    bool no_wait;                       /* PENDING ends the run with MU_PENDING */
    const char *transaction_id;
};

enum mu_code mu_client_new(const struct mu_client_config *config, struct mu_client **out,
    struct mu_err *err) MU_CHECK;
/* Cancels what is under way; no call comes after it. */
void mu_client_free(struct mu_client *client);
/* Goes on from the loop. Failure here is for lack of memory only and on_done does not come. */
enum mu_code mu_client_start(struct mu_client *client, struct mu_err *err) MU_CHECK;

/* Answers to on_key and on_trust; key NULL with err: there is none. */
void mu_client_key(struct mu_client *client, struct mu_pki_key *key, const struct mu_err *err);
void mu_client_trust(struct mu_client *client, bool yes);
/* While waiting: ask now. Does nothing otherwise. */
void mu_client_poll(struct mu_client *client);

/* What is known so far; views, valid until the next event. */
struct mu_client_result {
    char caps[160];                        /* words on one line, "" if not asked */
    bool has_caps;
    const struct mu_pki_certs *ca_certs;   /* as the CA gave them; NULL: not known */
    struct mu_pki_cert *ca;                /* the issuing one */
    struct mu_pki_cert *ra_sign, *ra_encrypt;
    const char *transaction_id;            /* NULL: none yet */
    struct mu_pki_cert *cert;              /* issued, or asked for */
    const struct mu_pki_certs *chain;      /* issuer first */
    struct mu_bytes crl;                   /* DER */
    struct mu_bytes csr, csr_attrs;        /* EST: as sent, as the CA wishes; n 0: not yet, none */
    struct mu_pki_key *key;                /* made by the server; NULL: it was not */
    bool bootstrapped;                     /* EST-19: ca is vouched for, a verified session does the rest */
    bool wants_tls12;                      /* EST-60: linking works under TLS 1.2 only */
    bool pending;
    unsigned polls;
    bool over;            /* CMP: the certificate was rejected: the request is not to be sent again */
    enum mu_pki_digest digest;
    enum mu_pki_cipher cipher;
    bool used_post, used_renewal;
    const char *refusal;                   /* the wire's words: "badRequest"; NULL: none */
    const char *warnings;                  /* lines; "" if none */
    const struct mu_pki_key_spec *wish_keys; /* CMP's template: key kinds, subject, extensions */
    size_t wish_key_n;
    struct mu_bytes wish_subject, wish_extensions;
    const char *protection, *needs;        /* PROBE, CMP: how the answer is protected, what to bring; NULL */
    int64_t server_date_s;                 /* 0: unknown */
    int64_t answer_at_s;                   /* our clock when it came */
    int64_t retry_after_s;                 /* so long the last answer asks to stay away (Retry-After,
                                              checkAfter); 0: it does not say */
};
void mu_client_result(const struct mu_client *client, struct mu_client_result *out);

#endif
