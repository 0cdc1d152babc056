/* PKIHeader (RFC 9810 5.1.1), both directions, and the checks that need no key. */
#ifndef MU_PROTO_CMP_HEADER_H
#define MU_PROTO_CMP_HEADER_H

#include "base/env.h"
#include "pki/pki_name.h"

enum { MU_CMP_2000 = 2, MU_CMP_2021 = 3 };
enum { MU_CMP_NONCE = 16 }; /* what we send: nonces and transaction ids */

struct mu_cmp_header {
    int pvno;
    /* Name DER of a directoryName; p NULL if the GeneralName is another choice. Encoding p NULL
     * gives the NULL-DN (CMP-05). */
    struct mu_bytes sender, recipient;
    struct mu_bytes sender_general, recipient_general; /* the whole GeneralName; not used to encode */
    bool has_time;
    int64_t time_s;
    struct mu_bytes protection_alg; /* whole AlgorithmIdentifier, p NULL if absent */
    struct mu_bytes sender_kid, recip_kid; /* p NULL if absent, so with the next three */
    struct mu_bytes transaction_id, sender_nonce, recip_nonce;
    struct mu_bytes free_text;      /* content of PKIFreeText, n 0 if absent */
    struct mu_bytes general_info;   /* content of the SEQUENCE OF; encoded before what follows */
    bool implicit_confirm;          /* 13 */
    int64_t confirm_wait_s;         /* 14: until when, 0 if absent */
    struct mu_bytes cert_profile;   /* 21: the first name, UTF-8, p NULL if absent */
    size_t cert_profile_n;
    struct mu_bytes orig_message;   /* 15: content of PKIMessages, p NULL if absent */
};

/* content is that of the PKIHeader SEQUENCE. Unknown generalInfo is ignored (CMP-06). */
enum mu_code mu_cmp_header_decode(struct mu_bytes content, struct mu_cmp_header *out,
    struct mu_err *err) MU_CHECK;
void mu_cmp_header_encode(const struct mu_cmp_header *header, struct mu_buf *out);

/* pvno 2 or 3 (MU_REFUSE_VERSION), transactionID there and of sane length, senderNonce of 16
 * octets at least (MU_REFUSE_SENDER_NONCE), protectionAlg if and only if protected
 * (RFC 9483 3.5). */
enum mu_code mu_cmp_header_check(const struct mu_cmp_header *header, bool is_protected,
    struct mu_err *err) MU_CHECK;
/* messageTime within slack_s of now, if there is one (CMP-07): MU_REFUSE_CLOCK. */
enum mu_code mu_cmp_header_check_time(const struct mu_cmp_header *header, int64_t now_s,
    int64_t slack_s, struct mu_err *err) MU_CHECK;
/* What a MAC sender calls himself: senderKID, else commonName of sender; false if neither is
 * there or it is no printable text (CMP-05, CMP-09). */
bool mu_cmp_header_reference(const struct mu_cmp_header *header, struct mu_buf *out);

#endif
