/* SCEP messages in HTTP (RFC 8894 4): operation, message=, media types. */
#ifndef MU_PROTO_SCEP_HTTP_H
#define MU_PROTO_SCEP_HTTP_H

#include "http/http_msg.h"
#include "http/http_url.h"

#define MU_SCEP_MEDIA_MESSAGE "application/x-pki-message"
#define MU_SCEP_MEDIA_CA "application/x-x509-ca-cert"
#define MU_SCEP_MEDIA_CA_RA "application/x-x509-ca-ra-cert"
#define MU_SCEP_MEDIA_NEXT_CA "application/x-x509-next-ca-cert"

enum mu_scep_http_op {
    MU_SCEP_HTTP_CAPS, MU_SCEP_HTTP_CA_CERT, MU_SCEP_HTTP_NEXT_CA, MU_SCEP_HTTP_PKI_OPERATION,
};

/* Client: "<url>?operation=OP[&message=...]"; message is percent-encoded; for PKIOperation by GET
 * it is base64 without line breaks. */
enum mu_code mu_scep_http_url(const char *url, enum mu_scep_http_op op, const char *ca_identifier,
    struct mu_bytes get_message, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* Server: which operation, and the message octets. GET: raw '+', blanks for '+', line breaks,
 * URL-safe alphabet, missing padding are all taken (IOP-01, IOP-02); POST: raw body; an odd or
 * missing operation on POST is PKIOperation (SCEP-11). Operation words in any case. */
enum mu_code mu_scep_http_request(const struct mu_http_request *request, enum mu_scep_http_op *op,
    struct mu_buf *ca_identifier, struct mu_buf *message, struct mu_err *err) MU_CHECK;
/* A request that asks for SCEP by its query, whatever its path. */
bool mu_scep_http_is(const struct mu_http_request *request);

#endif
