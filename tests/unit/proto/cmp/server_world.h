/*
 * A CA in memory behind the server engine, and requests made by hand with the codec, so that each
 * part of one can be damaged. No client engine here: what it would never send is the point.
 */
#ifndef MU_TEST_CMP_SERVER_WORLD_H
#define MU_TEST_CMP_SERVER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/cmp/cmp_msg.h"
#include "proto/cmp/cmp_protect.h"
#include "proto/cmp/cmp_server.h"

#define SW_NOW 1763660000 /* 2025-11-20T17:33:20Z */

#define sw_ok(call)                                                                                \
    do {                                                                                           \
        enum mu_code sw_rc_ = (call);                                                              \
        if (sw_rc_ != MU_OK)                                                                       \
            fail_msg("%s: %d: %s", #call, (int)sw_rc_, sw_err.what);                               \
    } while (0)
extern struct mu_err sw_err;

enum sw_key { SW_CA, SW_RA, SW_CLIENT, SW_NEW, SW_RSA, SW_ROGUE, SW_KEYS };
struct mu_pki_key *sw_key(enum sw_key which); /* borrowed, made once */

struct sw {
    struct mu_env env;
    int64_t now_s;
    uint64_t counter;
    struct mu_pki_cert *ca, *ra, *client, *rsa, *rogue; /* ra has cmcRA; rogue is self-signed */
    struct mu_pki_certs chain;
    struct mu_secret secret; /* of entry "fgt100f" */
    struct mu_credential credential;

    /* what the CA decides, and what came of the last request */
    enum mu_verdict verdict;
    enum mu_reason refuse; /* REFUSED */
    const char *words;
    bool modified, implicit_ok;
    struct mu_pki_key *generated; /* KEYGEN: SW_NEW */
    struct mu_pki_key *issuer_key; /* certificates are signed by it instead; NULL: by SW_CA */
    struct mu_buf kept; /* as the CA keeps it with the transaction */
    struct mu_pki_cert *issued;
    struct mu_bytes crl, csr_attrs;
    struct mu_claim claim; /* views are gone; values count */
    enum mu_op op;
    bool read_ok, confirm_accepted;
    enum mu_reason failed; /* open or read */
    char words_seen[128];
    char profile[64];
    int key_type, revoke_reason;
    struct mu_http_response response;

    /* the answer, decoded */
    struct mu_cmp_msg answer;
    bool has_answer;

    /* the request under construction */
    struct mu_cmp_header header;
    struct mu_cmp_body body;
    uint8_t transaction[16], nonce[16];
    struct mu_cmp_protector how;
    struct mu_cmp_mac_key mac;
    struct mu_pki_certs extra;
    struct mu_buf subject, request, signature, alg, spare;
    const char *target; /* "/.well-known/cmp" */
};

void sw_init(struct sw *w);
void sw_clear(struct sw *w);
/* The CA and rogue as old and new root: the one's key certified by the other. Yours. */
struct mu_pki_cert *sw_link(struct sw *w, bool new_with_old);
struct mu_pki_cert *sw_next_root(void); /* rogue's key, as a CA. Yours. */

/* A new transaction with fresh nonce; then the body. */
void sw_begin(struct sw *w);
void sw_by_mac(struct sw *w, const char *secret);           /* reference fgt100f */
void sw_by_cert(struct sw *w, struct mu_pki_cert *cert, enum sw_key key);
/* ir, cr, kur for CN=device and this key, proof of possession signed by it. */
void sw_crmf(struct sw *w, enum mu_cmp_type type, enum sw_key key);
/* Signs CertRequest again after body.u.req was changed. */
void sw_prove(struct sw *w, enum sw_key key);
void sw_p10(struct sw *w, enum sw_key key);
void sw_conf(struct sw *w);  /* certConf for what the last answer issued, in its transaction */
void sw_poll(struct sw *w);  /* pollReq in it */
void sw_genm(struct sw *w, int it, struct mu_bytes value);
/* Next message of the transaction: recipNonce is the last answer's senderNonce, which goes into
 * spare. */
void sw_follow(struct sw *w);

/* One HTTP request to the engine, decided; the answer is in response. */
void sw_serve(struct sw *w, const struct mu_http_request *request);
/* Encodes, sends, decodes the answer. */
void sw_send(struct sw *w);
void sw_encode(struct sw *w, struct mu_buf *out);
void sw_post(struct sw *w, struct mu_bytes message);
/* The header with any body (the whole element) under the MAC of fgt100f. */
void sw_send_raw(struct sw *w, struct mu_bytes body);

/* The answer is an error, or a rejection in its own kind, with this bit. */
void sw_expect_error(const struct sw *w, int bit);
void sw_expect_rejection(const struct sw *w, enum mu_cmp_type type, int bit);
void sw_expect_issued(const struct sw *w, enum mu_cmp_type type);
/* How the answer is protected; the protection is verified. */
void sw_expect_protection(struct sw *w, enum mu_cmp_protection kind);

#endif
