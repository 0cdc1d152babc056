/*
 * libmuster: certificate enrollment without I/O. An enrollment takes settings, then says step by
 * step what it wants (send this, wait so long, is this CA trusted, save that) and hears what came
 * of it. It opens no file and no socket; it reads the clock and randomness unless given others.
 * Who wants it done over the network in one call takes libmuster-net (muster/net.h).
 *
 * Pointers that come out are valid until the next call for the same enrollment. Texts are UTF-8.
 * An enrollment is used by one thread at a time; different ones may run side by side.
 *
 * EST needs TLS that the program makes: what it shows and whom it believes is asked for behind
 * "TLS" below, and each SEND says what it needs of its connection.
 */
#ifndef MUSTER_H
#define MUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How things end. Everything but MUSTER_OK fills the error. */
enum muster_code {
    MUSTER_OK = 0,
    MUSTER_INPUT,       /* the bytes or words given are wrong */
    MUSTER_AUTH,        /* signature, nonce, chain or fingerprint does not hold */
    MUSTER_DENIED,      /* the CA refused */
    MUSTER_NOT_FOUND,
    MUSTER_BUSY,
    MUSTER_PENDING,     /* a person at the CA has to decide; go on later from the state */
    MUSTER_UNSUPPORTED,
    MUSTER_NETWORK,
    MUSTER_STORAGE,
    MUSTER_MEMORY,
    MUSTER_INTERNAL
};

/* reason is the number of the error catalog (312 for M312), 0 if it has none. */
struct muster_error {
    enum muster_code code;
    int reason;
    char what[512];   /* what happened */
    char likely[384]; /* the likely cause, may be empty */
    char next[384];   /* what to do, may be empty */
};

const char *muster_version(void);

/* ---- settings ---- */

struct muster_enrollment;

/* protocol: "scep", "est" or "cmp". */
enum muster_code muster_enrollment_new(
    const char *protocol, struct muster_enrollment **out, struct muster_error *err);
void muster_enrollment_free(struct muster_enrollment *enrollment);

enum muster_code muster_enrollment_set_url(
    struct muster_enrollment *enrollment, const char *url, struct muster_error *err);
/* '/C=NL/CN=x' or 'CN=x,C=NL'. */
enum muster_code muster_enrollment_set_subject(
    struct muster_enrollment *enrollment, const char *subject, struct muster_error *err);
/* 'DNS:a.example,IP:192.0.2.1,email:x@y,URI:...'. */
enum muster_code muster_enrollment_set_san(
    struct muster_enrollment *enrollment, const char *san, struct muster_error *err);
/* 'digitalSignature,keyEncipherment' and 'clientAuth,serverAuth'; NULL: not asked for. */
enum muster_code muster_enrollment_set_usage(struct muster_enrollment *enrollment,
    const char *key_usage, const char *extended_key_usage, struct muster_error *err);
/* Kept in wiped memory, never in a trace. */
enum muster_code muster_enrollment_set_challenge(
    struct muster_enrollment *enrollment, const char *challenge, struct muster_error *err);
/* EST: user and password of HTTP authentication. CMP: the reference, and the secret of its MAC. */
enum muster_code muster_enrollment_set_login(struct muster_enrollment *enrollment,
    const char *user, const char *password, struct muster_error *err);
/* A certificate (its chain may follow it) that says who asks for a first one: EST shows it in TLS,
 * CMP signs with it. */
enum muster_code muster_enrollment_set_client_certificate(struct muster_enrollment *enrollment,
    const char *certificate_pem, const char *key_pem, const char *password, struct muster_error *err);
/* EST, CMP: the CA makes the key; muster_enrollment_key_pem has it at the end. */
void muster_enrollment_set_server_key(struct muster_enrollment *enrollment, bool server_key);
/* EST: the server is not verified at first, nothing is shown to it, and the pin or TRUST decides
 * about the CA that it names; a new connection, which that CA vouches for, does the rest
 * (RFC 7030 4.1.1). A pin without any trusted certificate does the same. */
void muster_enrollment_set_bootstrap(struct muster_enrollment *enrollment, bool bootstrap);
/* A new key: "rsa:2048" (SCEP's default), "ec:P-256" (that of the others, where EST's server wishes
 * for nothing else), ... */
enum muster_code muster_enrollment_set_key(
    struct muster_enrollment *enrollment, const char *spec, struct muster_error *err);
/* A key that is there; password NULL if it is not encrypted. */
enum muster_code muster_enrollment_set_key_pem(struct muster_enrollment *enrollment,
    const char *pem, const char *password, struct muster_error *err);
/* Makes it a renewal of this certificate (its chain may follow it): SCEP and CMP sign with its key,
 * EST shows it in TLS. Subject and alternative names are its own unless set. */
enum muster_code muster_enrollment_set_renewal(struct muster_enrollment *enrollment,
    const char *certificate_pem, const char *key_pem, const char *password, struct muster_error *err);
/* CA certificates that are trusted, PEM; may be called again. */
enum muster_code muster_enrollment_add_trusted(
    struct muster_enrollment *enrollment, const char *pem, struct muster_error *err);
/* The CA must have this SHA-256 fingerprint, hex with or without colons. */
enum muster_code muster_enrollment_set_pin(
    struct muster_enrollment *enrollment, const char *sha256, struct muster_error *err);
/* SCEP: of GetCACert. EST: the label. CMP: the profile. */
enum muster_code muster_enrollment_set_ca_identifier(
    struct muster_enrollment *enrollment, const char *identifier, struct muster_error *err);
/* Seconds between two questions while PENDING, and how long altogether. 0: 60 and 3600. */
void muster_enrollment_set_polling(
    struct muster_enrollment *enrollment, int64_t every_s, int64_t at_most_s);
/* PENDING ends it with MUSTER_PENDING instead of MUSTER_WANT_WAIT. */
void muster_enrollment_set_no_wait(struct muster_enrollment *enrollment, bool no_wait);
/* MD5, SHA-1, DES, 3DES and small keys: only with this. */
void muster_enrollment_set_allow_legacy(struct muster_enrollment *enrollment, bool allow);
/* Seconds since 1970 instead of the system's clock. */
void muster_enrollment_set_clock(
    struct muster_enrollment *enrollment, int64_t (*now)(void *context), void *context);
/* One line for each thing that happens: "scep caps: AES POSTPKIOperation". No secrets in it. */
void muster_enrollment_set_trace(struct muster_enrollment *enrollment,
    void (*trace)(void *context, const char *line), void *context);
/* What muster_enrollment_state gave: goes on with that request. The same key must be set. */
enum muster_code muster_enrollment_set_state(struct muster_enrollment *enrollment,
    const void *state, size_t state_n, struct muster_error *err);

/* ---- steps ---- */

enum muster_want {
    MUSTER_WANT_SEND,  /* this request by HTTP; answer with RESPONSE or SEND_FAILED */
    MUSTER_WANT_WAIT,  /* so long; answer with TIME */
    MUSTER_WANT_TRUST, /* is this CA ours to trust; answer with TRUST */
    MUSTER_WANT_SAVE,  /* certificate and key are there: keep them, answer with SAVED */
    MUSTER_WANT_DONE
};

struct muster_header {
    const char *name;
    const char *value;
};

struct muster_step {
    enum muster_want want;
    const char *method;        /* SEND: "GET" or "POST" */
    const char *url;
    const char *content_type;  /* NULL: none */
    const void *body;
    size_t body_n;
    bool remember;             /* SEND: the CA will remember it: keep state and key first */
    int64_t wait_s;            /* WAIT */
    const char *ca_pem;        /* TRUST */
    const char *ca_sha256;     /* TRUST: to compare, with colons */
    const struct muster_header *headers; /* SEND: all of them, content_type too. Secrets may be in */
    size_t header_n;
    bool same_connection;      /* SEND: only over the connection of the last answer. Where that is gone:
                                  SEND_FAILED with MUSTER_NETWORK and reason 0 */
    bool needs_named_anchor;   /* SEND: a password is in it: only where muster_enrollment_tls_trusted_pem
                                  vouches for the server, not the system's CA store alone */
    bool tls_unverified;       /* SEND: nobody can vouch for the server yet: TLS is not verified, and
                                  nothing is shown. Where this changes, a new connection */
    bool tls_1_2;              /* SEND: a connection of no later TLS than 1.2 */
};

enum muster_event_type {
    MUSTER_EVENT_RESPONSE,
    MUSTER_EVENT_SEND_FAILED,
    MUSTER_EVENT_TIME,
    MUSTER_EVENT_TRUST,
    MUSTER_EVENT_SAVED
};

struct muster_event {
    enum muster_event_type type;
    int status;                          /* RESPONSE: of HTTP */
    const struct muster_header *headers; /* RESPONSE */
    size_t header_n;
    const void *body;
    size_t body_n;
    const struct muster_error *failed;   /* SEND_FAILED, and SAVED if it could not be; else NULL */
    bool yes;                            /* TRUST */
    /* RESPONSE over TLS: the channel binding of its connection (RFC 5929, RFC 9266): tls-unique, or under
     * TLS 1.3 the exporter. NULL: the request is not linked, which some servers demand. */
    const void *tls_binding;
    size_t tls_binding_n;
};

/* First step; makes the key if none was set. Then one call per event. An error is the end. */
enum muster_code muster_enrollment_start(struct muster_enrollment *enrollment,
    struct muster_step *next, struct muster_error *err);
enum muster_code muster_enrollment_step(struct muster_enrollment *enrollment,
    const struct muster_event *event, struct muster_step *next, struct muster_error *err);
/* ---- TLS: what the connection of the last SEND is made with; NULL: nothing ---- */

/* "scep", "est" or "cmp". */
const char *muster_enrollment_protocol(const struct muster_enrollment *enrollment);
/* Shown to the server, its chain behind it, and the private key, PKCS#8, not encrypted. */
const char *muster_enrollment_tls_certificate_pem(struct muster_enrollment *enrollment);
const char *muster_enrollment_tls_key_pem(struct muster_enrollment *enrollment);
/* CA certificates that may vouch for the server. NULL: the enrollment knows none; the system's may. */
const char *muster_enrollment_tls_trusted_pem(struct muster_enrollment *enrollment);

/* The request as bytes, to go on after a restart. A challenge may be inside: a secret. */
enum muster_code muster_enrollment_state(struct muster_enrollment *enrollment, const void **state,
    size_t *state_n, struct muster_error *err);

/* ---- results: NULL as long as there is none ---- */

const char *muster_enrollment_certificate_pem(struct muster_enrollment *enrollment);
/* Its chain, issuer first. */
const char *muster_enrollment_chain_pem(struct muster_enrollment *enrollment);
/* The private key, PKCS#8, not encrypted; with muster_enrollment_set_server_key the one that the CA made. */
const char *muster_enrollment_key_pem(struct muster_enrollment *enrollment);
const char *muster_enrollment_transaction_id(struct muster_enrollment *enrollment);

#ifdef __cplusplus
}
#endif

#endif
