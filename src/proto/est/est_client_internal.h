/* The client engine's inside, shared by the est_client*.c files and nobody else. */
#ifndef MU_PROTO_EST_CLIENT_INTERNAL_H
#define MU_PROTO_EST_CLIENT_INTERNAL_H

#include "http/http_auth.h"
#include "proto/est/est_client.h"
#include "proto/est/est_csrattrs.h"
#include "proto/est/est_http.h"

enum mu_est_client_state {
    MU_EST_CLIENT_NEW,
    MU_EST_CLIENT_ASKED_CA,
    MU_EST_CLIENT_PROBED,      /* cacerts with the label was 404: the same without */
    MU_EST_CLIENT_ASKED_TRUST,
    MU_EST_CLIENT_ASKED_ATTRS,
    MU_EST_CLIENT_ASKED_AGAIN, /* a GET only for a connection to bind to */
    MU_EST_CLIENT_ASKED_KEY,
    MU_EST_CLIENT_ASKED_BINDING,
    MU_EST_CLIENT_SENT,
    MU_EST_CLIENT_WAITING,
    MU_EST_CLIENT_SAVING,
    MU_EST_CLIENT_FINISHED,
    MU_EST_CLIENT_FAILED,
};

enum { MU_EST_NAME_TEXT = 256, MU_EST_REBINDS = 2, MU_EST_AUTH_TRIES = 2 };

struct mu_est_client {
    enum mu_est_client_state state;

    /* what the caller wants; strings and certificates are copies or counts */
    struct mu_est_client_config config;
    struct mu_buf subject, extensions, kek_id;
    struct mu_secret password, kek;
    struct mu_pki_certs trusted;
    uint8_t pin[32];
    bool has_pin;

    /* what the server told */
    bool has_ca;
    struct mu_pki_certs ca_certs, anchors;
    struct mu_pki_cert *ca;           /* borrowed from ca_certs or anchors */
    bool is_asked;                    /* anchors hold what a person or pin vouched for */
    struct mu_buf attrs_der;
    struct mu_est_csrattrs attrs;     /* views into attrs_der */
    int64_t server_date_s;
    int status;

    /* HTTP authentication: the challenge that is answered again and again, and how often this
     * request was */
    struct mu_http_auth challenge;
    bool has_challenge, used_basic;
    unsigned nc, auth_tries;
    bool told_cert_used;

    /* the request */
    struct mu_pki_key *key;           /* counted */
    uint8_t key_digest[32];           /* restored: the key has to be this one */
    bool has_key_digest;
    struct mu_buf csr;
    struct mu_pki_csr *csr_parsed;    /* the same */
    struct mu_buf binding;
    bool has_binding, by_exporter, linked;
    unsigned rebinds;
    struct mu_buf url, body, authorization;
    struct mu_http_header headers[4];
    enum mu_est_op op;                /* of the request that is out */
    bool pending;
    unsigned polls;
    int64_t waited_s, wait_s;

    /* what came of it */
    struct mu_pki_key *made_key;      /* KEYGEN */
    struct mu_pki_cert *cert;
    struct mu_pki_certs chain, save;  /* save: cert, then chain; or what trust is asked about */
    struct mu_buf warnings;
    bool bootstrapped, wants_tls12;
};

#define mu_est_client_trace(c, step, ...) \
    mu_trace((c)->config.env, MU_PROTO_EST, (step), __VA_ARGS__)

/* ---- est_client_new.c ---- */
/* A line for result.warnings, traced as well. */
void mu_est_client_warn(struct mu_est_client *c, enum mu_trace_step step, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "CN=x,O=y" for a message. Returns buf. */
const char *mu_est_client_name(struct mu_bytes name, char buf[MU_EST_NAME_TEXT]);

/* ---- est_client_ask.c: requests and waits ---- */
enum mu_code mu_est_client_get(struct mu_est_client *c, enum mu_est_op op, bool with_label,
    enum mu_est_client_state state, struct mu_step *next, struct mu_err *err) MU_CHECK;
enum mu_code mu_est_client_post(struct mu_est_client *c, struct mu_step *next, struct mu_err *err)
    MU_CHECK;
/* The request that is out once more, with an answer to this 401. M403 if there is none left. */
enum mu_code mu_est_client_answer(struct mu_est_client *c, const struct mu_http_response *response,
    struct mu_step *next, struct mu_err *err) MU_CHECK;
enum mu_code mu_est_client_wait(struct mu_est_client *c, const struct mu_http_response *response,
    struct mu_step *next, struct mu_err *err) MU_CHECK;
/* The start: operation, trust, how we authenticate. */
void mu_est_client_trace_start(const struct mu_est_client *c);

/* ---- est_client_ca.c: cacerts ---- */
enum mu_code mu_est_client_ca_take(struct mu_est_client *c, const struct mu_http_response *response,
    struct mu_err *err) MU_CHECK;
/* Decides by anchors and pin; *ask: the host has to be asked about c->save. */
enum mu_code mu_est_client_ca_trust(struct mu_est_client *c, bool *ask, struct mu_err *err) MU_CHECK;
enum mu_code mu_est_client_ca_answer(struct mu_est_client *c, bool yes, struct mu_err *err) MU_CHECK;
/* Path of a certificate up to the anchors, with more (may be NULL) as intermediates. */
enum mu_code mu_est_client_ca_path(const struct mu_est_client *c, struct mu_pki_cert *cert,
    const struct mu_pki_certs *more, int64_t now_s, struct mu_err *err) MU_CHECK;

/* ---- est_client_csr.c: csrattrs, the key's kind, the request ---- */
enum mu_code mu_est_client_attrs_take(struct mu_est_client *c,
    const struct mu_http_response *response, struct mu_err *err) MU_CHECK;
/* The kind of key to make. */
void mu_est_client_key_spec(struct mu_est_client *c, struct mu_pki_key_spec *out);
/* Will this request be linked, if there is a binding? */
bool mu_est_client_may_link(const struct mu_est_client *c);
enum mu_code mu_est_client_csr_make(struct mu_est_client *c, struct mu_err *err) MU_CHECK;

/* ---- est_client_facts.c: the trace of a request ---- */
void mu_est_client_trace_request(struct mu_est_client *c);

/* ---- est_client_reply.c: what a 200 to a POST holds ---- */
enum mu_code mu_est_client_reply_take(struct mu_est_client *c,
    const struct mu_http_response *response, struct mu_err *err) MU_CHECK;

/* ---- est_client_keygen.c: serverkeygen ---- */
/* Attributes that ask for the key to be encrypted to us; none if it is not to be. */
enum mu_code mu_est_client_key_wish(const struct mu_est_client *c, struct mu_buf *attributes,
    struct mu_err *err) MU_CHECK;
/* A part with such a key; to c->made_key. */
enum mu_code mu_est_client_key_open(struct mu_est_client *c, struct mu_bytes body,
    struct mu_err *err) MU_CHECK;

/* ---- est_client_fail.c ---- */
/* An answer that is neither 200 nor 202. */
enum mu_code mu_est_client_fail_http(struct mu_est_client *c,
    const struct mu_http_response *response, struct mu_err *err);
/* A 200 that is a web page: MU_NETWORK M105; else MU_OK. */
enum mu_code mu_est_client_fail_page(const struct mu_est_client *c,
    const struct mu_http_response *response, struct mu_err *err) MU_CHECK;
enum mu_code mu_est_client_fail_pending(const struct mu_est_client *c, struct mu_err *err);
/* A failed SEND in the words of EST: M207 of the re-enroll's certificate is M406. */
enum mu_code mu_est_client_fail_send(const struct mu_est_client *c, const struct mu_err *failed,
    struct mu_err *err);

#endif
