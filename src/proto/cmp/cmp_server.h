/*
 * The CMP server engine: one object per HTTP request, nothing kept between requests but what write
 * puts into *kept, opaque bytes that the CA stores with the transaction and gives back.
 * open: bytes -> claim; form, sizes and, for signatures, the message signature (public keys only).
 * read: checks the MAC with the credential, proof of possession -> question.
 * write: decision -> HTTP response, protected as the request was; never with the secret of a peer
 * whose own MAC was not right (CMP-32).
 */
#ifndef MU_PROTO_CMP_SERVER_H
#define MU_PROTO_CMP_SERVER_H

#include "enroll/enroll_server.h"

struct mu_cmp_server;

/* A path of CMP's: /.well-known/cmp, /pkix/, /app/cert/cmp2. The media type alone is not enough (C012). */
bool mu_cmp_server_is(const struct mu_http_request *request);
/* On failure *out may still be set: then the error can be told in a PKIMessage (write with a
 * REFUSED decision); if it is NULL answer with mu_cmp_server_http_error. */
enum mu_code mu_cmp_server_open(const struct mu_env *env, const struct mu_http_request *request,
    struct mu_cmp_server **out, struct mu_claim *claim, struct mu_err *err) MU_CHECK;
enum mu_code mu_cmp_server_read(struct mu_cmp_server *server, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err) MU_CHECK;
/* kept (may be NULL) gets what certConf and pollReq of this transaction will need; n 0: nothing. */
enum mu_code mu_cmp_server_write(struct mu_cmp_server *server, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_buf *kept,
    struct mu_err *err) MU_CHECK;
/* Of what write kept: DER of the certificate that signed the first message; n 0: none. View. */
struct mu_bytes mu_cmp_server_kept_signer(struct mu_bytes kept);
void mu_cmp_server_free(struct mu_cmp_server *server);
enum mu_code mu_cmp_server_http_error(const struct mu_err *failed, struct mu_http_response *response,
    struct mu_err *err) MU_CHECK;

#endif
