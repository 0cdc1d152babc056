/* The client engine's inside, shared by the scep_client*.c files and nobody else. */
#ifndef MU_PROTO_SCEP_CLIENT_INTERNAL_H
#define MU_PROTO_SCEP_CLIENT_INTERNAL_H

#include "proto/scep/scep_caps.h"
#include "proto/scep/scep_client.h"
#include "proto/scep/scep_http.h"
#include "proto/scep/scep_msg.h"

enum mu_scep_client_state {
    MU_SCEP_CLIENT_NEW,
    MU_SCEP_CLIENT_ASKED_CAPS,
    MU_SCEP_CLIENT_ASKED_CA,
    MU_SCEP_CLIENT_ASKED_TRUST,
    MU_SCEP_CLIENT_ASKED_NEXT_CA,
    MU_SCEP_CLIENT_SENT,    /* a pkiMessage is out */
    MU_SCEP_CLIENT_WAITING, /* PENDING */
    MU_SCEP_CLIENT_SAVING,
    MU_SCEP_CLIENT_FINISHED,
    MU_SCEP_CLIENT_FAILED,
};

/* Why the CA is trusted. */
enum mu_scep_client_trust {
    MU_SCEP_TRUST_NONE, MU_SCEP_TRUST_PIN, MU_SCEP_TRUST_KNOWN, MU_SCEP_TRUST_ASKED,
    MU_SCEP_TRUST_GIVEN,
};

enum { MU_SCEP_NAME_TEXT = 256 };

struct mu_scep_client {
    enum mu_scep_client_state state;

    /* what the caller wants; strings and certificates are copies or counts */
    struct mu_scep_client_config config;
    struct mu_pki_csr *csr;
    struct mu_buf serial;
    struct mu_pki_certs trusted;
    uint8_t pin[32];
    bool has_pin;

    /* what the server told */
    bool has_caps;
    unsigned caps;
    int caps_http_status; /* of a failed GetCACaps, 0: none */
    struct mu_pki_certs ca_certs;
    bool ca_given;
    int reply_type;
    int64_t server_date_s;

    /* what follows from it */
    enum mu_scep_client_trust trust;
    struct mu_pki_certs anchors;
    struct mu_pki_cert *ca, *ra_sign, *ra_encrypt; /* borrowed from ca_certs and config */
    enum mu_pki_digest digest;
    enum mu_pki_cipher cipher;
    bool use_post;

    /* the transaction */
    bool resumed;
    int type;              /* enum mu_scep_type of the first message; 0: none yet */
    char *transaction_id;
    struct mu_pki_cert *self_signed;
    uint8_t nonce[16];
    struct mu_buf message; /* the one that is out */
    struct mu_buf url;
    struct mu_http_header header;
    bool post_after_get; /* a GET did not arrive whole (SCEP-09) */
    bool get_was_garbled; /* not 414, but 400 or a cut connection; forgotten by a restart */
    bool tried_legacy;
    bool pending;
    unsigned polls;
    int64_t waited_s;

    /* what came of it */
    int pki_status, fail_info;
    struct mu_pki_cert *cert;
    struct mu_pki_certs chain, save; /* save: cert, then chain */
    struct mu_buf crl;
    struct mu_buf warnings;
};

/* ---- scep_client_new.c ---- */
/* A line for result.warnings, traced as well. */
void mu_scep_client_warn(struct mu_scep_client *c, enum mu_trace_step step, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Certificate and key that sign our messages. */
struct mu_pki_cert *mu_scep_client_signer(const struct mu_scep_client *c);
struct mu_pki_key *mu_scep_client_signer_key(const struct mu_scep_client *c);
/* The challenge in the CSR; NULL if there is none. */
const struct mu_secret *mu_scep_client_challenge(const struct mu_scep_client *c);
/* GetCert or GetCRL: nothing of it is remembered anywhere. */
bool mu_scep_client_is_query(const struct mu_scep_client *c);

/* ---- scep_client_want.c ---- */
enum mu_code mu_scep_client_want_get(struct mu_scep_client *c, enum mu_scep_http_op op,
    enum mu_scep_client_state state, struct mu_step *next, struct mu_err *err) MU_CHECK;
/* The message that c->message holds, by POST or GET. */
enum mu_code mu_scep_client_want_message(
    struct mu_scep_client *c, struct mu_step *next, struct mu_err *err) MU_CHECK;
/* Makes a fresh message, a poll if the CA said PENDING, and sends it. */
enum mu_code mu_scep_client_want_send(
    struct mu_scep_client *c, struct mu_step *next, struct mu_err *err) MU_CHECK;
/* Waits for the next poll, or ends it: by the time, the number of polls, or the caller's wish. */
enum mu_code mu_scep_client_want_wait(
    struct mu_scep_client *c, struct mu_step *next, struct mu_err *err) MU_CHECK;
enum mu_code mu_scep_client_want_trust(struct mu_scep_client *c, struct mu_step *next) MU_CHECK;
enum mu_code mu_scep_client_want_save(struct mu_scep_client *c, struct mu_step *next) MU_CHECK;
enum mu_code mu_scep_client_want_done(struct mu_scep_client *c, struct mu_step *next) MU_CHECK;

#define mu_scep_client_trace(c, step, ...) \
    mu_trace((c)->config.env, MU_PROTO_SCEP, (step), __VA_ARGS__)

/* ---- scep_client_ca.c, scep_client_trust.c ---- */
/* "CN=x, O=y" for a message; "CN=x" alone if short is set. Return buf. */
const char *mu_scep_client_name(struct mu_bytes name, bool cn_only, char buf[MU_SCEP_NAME_TEXT]);
/* Body of GetCACert to ca_certs. */
enum mu_code mu_scep_client_ca_take(struct mu_scep_client *c,
    const struct mu_http_response *response, struct mu_err *err) MU_CHECK;
/* Chooses CA and RAs among ca_certs (SCEP-32). */
enum mu_code mu_scep_client_ca_choose(struct mu_scep_client *c, struct mu_err *err) MU_CHECK;
/* Decides by pin and known certificates; *ask: the host has to be asked about c->save. */
enum mu_code mu_scep_client_ca_trust(
    struct mu_scep_client *c, bool *ask, struct mu_err *err) MU_CHECK;
/* If there is a pin: it is that of a CA certificate that came. */
enum mu_code mu_scep_client_ca_pin(const struct mu_scep_client *c, struct mu_err *err) MU_CHECK;
/* The host said yes or no. */
enum mu_code mu_scep_client_ca_answer(struct mu_scep_client *c, bool yes, struct mu_err *err)
    MU_CHECK;
/* With the anchors set: CA and RAs have to lead up to them, now (SCEP-31). */
enum mu_code mu_scep_client_ca_check(const struct mu_scep_client *c, struct mu_err *err) MU_CHECK;
/* Path of a certificate up to what is trusted, with more (may be NULL) as intermediates. */
enum mu_code mu_scep_client_ca_path(const struct mu_scep_client *c, struct mu_pki_cert *cert,
    const struct mu_pki_certs *more, int64_t now_s, struct mu_err *err) MU_CHECK;
enum mu_code mu_scep_client_ca_next(struct mu_scep_client *c,
    const struct mu_http_response *response, struct mu_err *err) MU_CHECK;

/* ---- scep_client_ask.c ---- */
/* Digest, cipher, POST or GET by the capabilities (SCEP-19..25). */
enum mu_code mu_scep_client_ask_choose(struct mu_scep_client *c, struct mu_err *err) MU_CHECK;
/* Message type, transaction id and self-signed certificate, where they are not there yet. */
enum mu_code mu_scep_client_ask_prepare(struct mu_scep_client *c, struct mu_err *err) MU_CHECK;
/* Makes c->message with a new nonce. */
enum mu_code mu_scep_client_ask_build(struct mu_scep_client *c, struct mu_err *err) MU_CHECK;

/* ---- scep_client_reply.c ---- */
/* Checks a CertRep in order and takes what is in it. MU_OK: SUCCESS, taken, or PENDING with
 * c->pki_status saying which. */
enum mu_code mu_scep_client_reply_take(struct mu_scep_client *c,
    const struct mu_http_response *response, struct mu_err *err) MU_CHECK;

/* ---- scep_client_cert.c ---- */
/* Decrypted messageData of a SUCCESS: the certificate for our key, or the one asked for, or the
 * CRL; checked and kept. */
enum mu_code mu_scep_client_cert_take(struct mu_scep_client *c, struct mu_bytes plain,
    struct mu_err *err) MU_CHECK;

/* ---- scep_client_fail.c ---- */
/* An answer that is no 200. asked: "GetCACert". */
enum mu_code mu_scep_client_fail_http(const struct mu_scep_client *c,
    const struct mu_http_response *response, const char *asked, struct mu_err *err);
/* A 200 that is a web page: MU_NETWORK M105; else MU_OK. */
enum mu_code mu_scep_client_fail_page(
    const struct mu_http_response *response, const char *asked, struct mu_err *err) MU_CHECK;
/* FAILURE as an error of M302..M318. */
enum mu_code mu_scep_client_fail_refused(
    const struct mu_scep_client *c, const struct mu_scep_msg *msg, struct mu_err *err);
enum mu_code mu_scep_client_fail_pending(const struct mu_scep_client *c, struct mu_err *err);

#endif
