/* The signed attributes of a pkiMessage (RFC 8894 3.2.1): reading and writing one at a time. */
#ifndef MU_PROTO_SCEP_ATTR_H
#define MU_PROTO_SCEP_ATTR_H

#include "proto/scep/scep_msg.h"

#define MU_SCEP_OID_MESSAGE_TYPE "2.16.840.1.113733.1.9.2"
#define MU_SCEP_OID_PKI_STATUS "2.16.840.1.113733.1.9.3"
#define MU_SCEP_OID_FAIL_INFO "2.16.840.1.113733.1.9.4"
#define MU_SCEP_OID_SENDER_NONCE "2.16.840.1.113733.1.9.5"
#define MU_SCEP_OID_RECIPIENT_NONCE "2.16.840.1.113733.1.9.6"
#define MU_SCEP_OID_TRANSACTION_ID "2.16.840.1.113733.1.9.7"
#define MU_SCEP_OID_FAIL_INFO_TEXT "1.3.6.1.5.5.7.24.1"

/* Decimal text (SCEP-43); *out is -1 if the attribute is absent. Another string type than
 * PrintableString is taken and noted in *strange. */
enum mu_code mu_scep_attr_number(const struct mu_pki_signed *cms, const char *oid,
    const char *name, int *out, bool *strange, struct mu_err *err) MU_CHECK;
/* n is 0 if absent. Up to MU_LIMIT_NONCE octets are taken, other than 16 are noted. */
enum mu_code mu_scep_attr_nonce(const struct mu_pki_signed *cms, const char *oid,
    const char *name, struct mu_scep_nonce *out, bool *strange, struct mu_err *err) MU_CHECK;
/* The transaction id: *raw is the whole element, to be echoed octet by octet; *text is it for
 * people and records, upper-case hex where it is no printable text. */
enum mu_code mu_scep_attr_transaction_id(const struct mu_pki_signed *cms, struct mu_bytes *raw,
    char **text, bool *strange, struct mu_err *err) MU_CHECK;
/* Escaped text, NULL if absent or not readable: it is only shown (SCEP-42). */
enum mu_code mu_scep_attr_text(const struct mu_pki_signed *cms, const char *oid, char **text,
    bool *strange, struct mu_err *err) MU_CHECK;

/* Attributes under construction. */
struct mu_scep_attr_list {
    struct mu_pki_attr v[8];
    struct mu_buf value[8];
    size_t n;
};
void mu_scep_attr_put_number(struct mu_scep_attr_list *list, const char *oid, int number);
void mu_scep_attr_put(struct mu_scep_attr_list *list, const char *oid, unsigned tag,
    struct mu_bytes content);
void mu_scep_attr_put_raw(struct mu_scep_attr_list *list, const char *oid, struct mu_bytes element);
/* After the last put: fills in the views. */
enum mu_code mu_scep_attr_finish(struct mu_scep_attr_list *list, struct mu_err *err) MU_CHECK;
void mu_scep_attr_clear(struct mu_scep_attr_list *list);

#endif
