/*
 * PKIMessage (RFC 9810 5): message <-> struct, both directions, one codec for both roles. Views
 * point into the message's own DER; what is protected is checked over the octets that came.
 * Protection is made and checked in cmp_protect.c, meaning is given by the roles.
 */
#ifndef MU_PROTO_CMP_MSG_H
#define MU_PROTO_CMP_MSG_H

#include "proto/cmp/cmp_body.h"
#include "proto/cmp/cmp_header.h"

struct mu_cmp_msg {
    struct mu_buf der;            /* owned, DER even if BER came */
    struct mu_buf retagged;       /* owned: parts whose IMPLICIT tag had to become universal again */
    bool has_header;              /* decode came so far: an error can be told to the sender */
    struct mu_cmp_header header;
    bool has_body;                /* all of it was decoded */
    struct mu_cmp_body body;
    struct mu_bytes header_der;   /* whole element */
    struct mu_bytes protected_part; /* content of ProtectedPart: header and body, as they came */
    struct mu_bytes protection;   /* octets of the BIT STRING; p NULL: not protected */
    struct mu_bytes extra_certs;  /* content of the SEQUENCE OF, n 0 if none */
    struct mu_pki_certs extra;    /* decoded: in order, without those we cannot read */
    size_t extra_unread;
};

/* out is always filled as far as it went and must be cleared. A fault of the header leaves
 * has_header false: nothing can be answered in the protocol. A fault in the body is MU_INPUT,
 * MU_REFUSE_MALFORMED (badDataFormat) with has_header true; an unknown kind of body
 * MU_UNSUPPORTED. No version, nonce or protection is judged: see mu_cmp_header_check. Bounds:
 * MU_LIMIT_REPLY octets, MU_LIMIT_DEPTH, MU_LIMIT_CERTS in extraCerts and in caPubs. */
enum mu_code mu_cmp_msg_decode(struct mu_bytes in, struct mu_cmp_msg *out, struct mu_err *err)
    MU_CHECK;
/* Wipes too: a body may hold a regToken. */
void mu_cmp_msg_clear(struct mu_cmp_msg *msg);
/* DER of ProtectedPart, the octets that MAC and signature cover (RFC 9810 5.1.3). */
void mu_cmp_msg_put_protected_part(const struct mu_cmp_msg *msg, struct mu_buf *out);

/* Encoding in two steps, with the protection between them: DER of ProtectedPart from header and
 * body (header.protection_alg is set already), then the message around it. protection p NULL:
 * none; extra may be NULL. */
void mu_cmp_msg_encode_part(const struct mu_cmp_header *header, const struct mu_cmp_body *body,
    struct mu_buf *part);
enum mu_code mu_cmp_msg_encode(struct mu_bytes part, struct mu_bytes protection,
    const struct mu_pki_certs *extra, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* SEQUENCE OF certificates, content only: the form of ca_pubs, crls and genp caCerts here. */
void mu_cmp_msg_put_certs(struct mu_buf *out, const struct mu_pki_certs *certs);
/* Appends; certificates that cannot be read are an error, or counted if unread is not NULL. */
enum mu_code mu_cmp_msg_get_certs(struct mu_bytes content, struct mu_pki_certs *list,
    size_t *unread, struct mu_err *err) MU_CHECK;

#endif
