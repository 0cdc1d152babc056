/* The client engine's inside, shared by the cmp_client*.c files and nobody else. */
#ifndef MU_PROTO_CMP_CLIENT_INTERNAL_H
#define MU_PROTO_CMP_CLIENT_INTERNAL_H

#include "proto/cmp/cmp_client.h"
#include "proto/cmp/cmp_genm.h"
#include "proto/cmp/cmp_http.h"
#include "proto/cmp/cmp_protect.h"

enum mu_cmp_client_state {
    MU_CMP_CLIENT_NEW,
    MU_CMP_CLIENT_SENT,    /* a message is out */
    MU_CMP_CLIENT_WAITING, /* until the next pollReq */
    MU_CMP_CLIENT_SAVING,
    MU_CMP_CLIENT_FINISHED,
    MU_CMP_CLIENT_FAILED,
};

/* What the exchange in hand is about; polling belongs to each. */
enum mu_cmp_client_phase {
    MU_CMP_PHASE_REQUEST,
    MU_CMP_PHASE_CONFIRM, /* certConf: accepted */
    MU_CMP_PHASE_REJECT,  /* certConf: rejected; c->rejected tells why */
};

enum { MU_CMP_NAME_TEXT = 256, MU_CMP_NOTES = 2, MU_CMP_ERROR_TEXT = 400 };

struct mu_cmp_client {
    enum mu_cmp_client_state state;
    enum mu_cmp_client_phase phase;

    /* what the caller wants; everything is a copy or a count, config points here */
    struct mu_cmp_client_config config;
    struct mu_buf url, subject, extensions, recipient;
    struct mu_pki_csr *csr; /* P10CR */
    struct mu_secret secret;
    struct mu_pki_certs signer_chain, server_certs, trusted;

    /* the transaction */
    bool resumed;
    struct mu_buf transaction_id;
    char *transaction_hex;
    uint8_t nonce[MU_CMP_NONCE];       /* of the message that is out */
    uint8_t first_nonce[MU_CMP_NONCE]; /* of the one that was delayed (CMP-103) */
    uint8_t peer_nonce[64];
    size_t peer_nonce_n;
    enum mu_cmp_type request_type;
    bool id_in_use, id_was_in_use;     /* to be asked again under another id; done once (CMP-12) */
    bool first_sent;                   /* extraCerts have been told (CMP-35) */
    struct mu_cmp_mac_key mac, peer_mac; /* ours and the responder's parameters */
    struct mu_pki_certs peer;          /* extraCerts of the first signed answer */
    struct mu_buf message;
    struct mu_http_header headers[1];
    struct mu_http_note notes[MU_CMP_NOTES];
    struct mu_buf note_text[MU_CMP_NOTES];

    /* polling */
    bool pending;
    int64_t poll_id;                   /* certReqId of pollReq (CMP-101) */
    int64_t check_after_s, waited_s, wait_now_s;
    unsigned polls;

    /* what came of it */
    int pki_status, fail_bit;
    char *refusal_text;
    bool implicit, confirmed, granted_with_mods;
    struct mu_pki_cert *cert;
    struct mu_pki_certs chain, save;   /* save: cert, then chain */
    struct mu_pki_certs ca_certs;
    struct mu_pki_key *new_key;        /* central generation */
    struct mu_err rejected;
    enum mu_cmp_fail reject_bit;
    struct mu_buf crl, cert_template, warnings;
    struct mu_buf template_parts;      /* what req_template points into */
    struct mu_cmp_req_template req_template;
    struct mu_buf offers, protection, needs; /* PROBE */
    int64_t server_date_s;
};

#define mu_cmp_client_trace(c, step, ...) \
    mu_trace((c)->config.env, MU_PROTO_CMP, (step), __VA_ARGS__)

/* ---- cmp_client_new.c ---- */
/* A line for result.warnings, traced as well. */
void mu_cmp_client_warn(struct mu_cmp_client *c, enum mu_trace_step step, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool mu_cmp_client_by_mac(const struct mu_cmp_client *c);
/* There is a certificate to sign with, and by_mac is false. */
bool mu_cmp_client_by_signature(const struct mu_cmp_client *c);
/* A request whose proof of possession is to open the certificate. */
bool mu_cmp_client_indirect(const struct mu_cmp_client *c);
/* ir, cr, p10cr, kur */
bool mu_cmp_client_enrolls(const struct mu_cmp_client *c);
/* "CN=x, O=y" for a message. Returns buf. */
const char *mu_cmp_client_name(struct mu_bytes name, char buf[MU_CMP_NAME_TEXT]);

/* ---- cmp_client_ask.c ---- */
/* The request, a pollReq, or a certConf (of c->phase) to c->message. */
enum mu_code mu_cmp_client_ask_request(struct mu_cmp_client *c, struct mu_err *err) MU_CHECK;
enum mu_code mu_cmp_client_ask_poll(struct mu_cmp_client *c, struct mu_err *err) MU_CHECK;
enum mu_code mu_cmp_client_ask_confirm(struct mu_cmp_client *c, struct mu_err *err) MU_CHECK;

/* ---- cmp_client_check.c ---- */
/* Decodes and checks an answer in order: version, protection, transaction, nonces. An error
 * message that is not authenticated is an error here (M501, M503). out is to be cleared. */
enum mu_code mu_cmp_client_check(struct mu_cmp_client *c, const struct mu_http_response *response,
    struct mu_cmp_msg *out, struct mu_err *err) MU_CHECK;
/* The words of an error message, escaped; "no words" if there are none. */
void mu_cmp_client_error_text(const struct mu_cmp_msg *msg, char out[MU_CMP_ERROR_TEXT]);
/* Who signed it: among its certificates, or known here; NULL. Borrowed. */
struct mu_pki_cert *mu_cmp_client_find_signer(
    const struct mu_cmp_client *c, const struct mu_cmp_msg *msg);
/* Signed by somebody who may answer for the CA. */
enum mu_code mu_cmp_client_check_signature(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_err *err) MU_CHECK;

/* ---- cmp_client_probe.c ---- */
/* Whatever PKIMessage came, to offers, protection and needs. */
enum mu_code mu_cmp_client_probe_take(struct mu_cmp_client *c,
    const struct mu_http_response *response, struct mu_err *err) MU_CHECK;

/* ---- cmp_client_reply.c ---- */
/* What a checked answer means: MU_OK with c->pending telling whether to wait; else an error.
 * A certificate that is no good is MU_OK with c->phase REJECT. */
enum mu_code mu_cmp_client_reply_take(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_err *err) MU_CHECK;
/* Notes status and text for the result, and traces them behind what. */
void mu_cmp_client_reply_note(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    const struct mu_cmp_status *status, struct mu_bytes details);

/* ---- cmp_client_cert.c ---- */
/* ip, cp, kup that is accepted: the certificate, checked, kept; or why it is no good, in
 * c->rejected with c->phase REJECT. */
enum mu_code mu_cmp_client_cert_take(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_err *err) MU_CHECK;
/* certHash (CMP-76): length, 0 if the certificate's signature implies no digest we have. */
size_t mu_cmp_client_cert_hash(const struct mu_pki_cert *cert, uint8_t out[64]);

/* ---- cmp_client_key.c ---- */
/* The key that the CA made, out of its envelope (CMP-81..86), to c->new_key. */
enum mu_code mu_cmp_client_key_take(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_err *err) MU_CHECK;

/* ---- cmp_client_info.c ---- */
void mu_cmp_client_info_ask(const struct mu_cmp_client *c, struct mu_cmp_body *body,
    struct mu_buf *value);
enum mu_code mu_cmp_client_info_take(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_err *err) MU_CHECK;

/* ---- cmp_client_fail.c ---- */
/* An answer that holds no PKIMessage. */
enum mu_code mu_cmp_client_fail_http(const struct mu_cmp_client *c,
    const struct mu_http_response *response, struct mu_err *err);
/* Authenticated: the CA refused. */
enum mu_code mu_cmp_client_fail_refused(struct mu_cmp_client *c, const struct mu_cmp_status *status,
    struct mu_err *err);
enum mu_code mu_cmp_client_fail_mac(const struct mu_cmp_client *c, struct mu_err *err);
enum mu_code mu_cmp_client_fail_pending(const struct mu_cmp_client *c, struct mu_err *err);

#endif
