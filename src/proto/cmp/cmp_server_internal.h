/* The server engine's inside, shared by cmp_server*.c. */
#ifndef MU_PROTO_CMP_SERVER_INTERNAL_H
#define MU_PROTO_CMP_SERVER_INTERNAL_H

#include "proto/cmp/cmp_http.h"
#include "proto/cmp/cmp_kept.h"
#include "proto/cmp/cmp_msg.h"
#include "proto/cmp/cmp_protect.h"
#include "proto/cmp/cmp_server.h"

struct mu_cmp_server {
    const struct mu_env *env;
    const struct mu_http_request *request;
    struct mu_cmp_path path;
    struct mu_buf path_text;
    struct mu_claim claim;

    struct mu_cmp_msg first;      /* as it came */
    struct mu_cmp_msg inner;      /* of a nested one */
    struct mu_cmp_msg *msg;       /* the request proper: one of these two */
    enum mu_cmp_protection protection;
    struct mu_pki_cert *signer;   /* borrowed from msg, or own_signer */
    struct mu_pki_cert *own_signer; /* out of what was kept; owned */
    struct mu_pki_cert *outer;    /* of the RA around it; borrowed from first */
    bool weak;                    /* a signature with a legacy digest */
    bool signature_ok;
    bool verified;                /* by MAC or signature: its sender is who it says */
    struct mu_cmp_mac_key mac;    /* after read, if the MAC was right */
    struct mu_buf entry, transaction_id, profile_name, words;

    /* after read */
    bool asked;                   /* read came to its end */
    bool has_kept;
    struct mu_cmp_kept kept;
    struct mu_pki_csr *csr;
    uint8_t request_digest[32];
    bool wants_key;
    bool encrypts;                /* possession is proven by opening the certificate (CMP-66) */
    int64_t cert_req_id;
};

#define mu_cmp_server_trace(s, step, ...) mu_trace((s)->env, MU_PROTO_CMP, (step), __VA_ARGS__)

/* cmp_server_ask.c: the body as a question. */
enum mu_code mu_cmp_server_ask(struct mu_cmp_server *s, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err) MU_CHECK;

/* cmp_server_key.c: whether a key made here could be sent, asked before it is made; and its
 * EnvelopedData. */
enum mu_code mu_cmp_server_deliverable(const struct mu_cmp_server *s, struct mu_err *err) MU_CHECK;
enum mu_code mu_cmp_server_package(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* Indirect proof (RFC 9810 5.2.8.3.2): can the key asked for open what is encrypted to it; and the
 * certificate as EnvelopedData for it. */
enum mu_code mu_cmp_server_check_indirect(const struct mu_cmp_server *s,
    const struct mu_cmp_cert_req *req, struct mu_err *err) MU_CHECK;
enum mu_code mu_cmp_server_encrypt(struct mu_cmp_server *s, struct mu_pki_cert *cert,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* cmp_server_body.c: the bit of PKIFailureInfo. */
int mu_cmp_server_fail_bit(const struct mu_err *refusal);

/* cmp_server_body.c: bodies of answers. Views in body point into keep, decision and credential. */
struct mu_cmp_server_keep {
    struct mu_buf text, ca_pubs, private_key, encrypted_cert, gen, crl;
};
enum mu_code mu_cmp_server_body(struct mu_cmp_server *s, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_cmp_body *body, struct mu_cmp_server_keep *keep,
    struct mu_err *err) MU_CHECK;
void mu_cmp_server_keep_clear(struct mu_cmp_server_keep *keep);
/* Of the first message of the transaction, or -1. */
int mu_cmp_server_request_type(const struct mu_cmp_server *s);

#endif
