/*
 * The SCEP server engine: one object per HTTP request, nothing kept between requests.
 * open: bytes -> claim; cheap checks and the message signature (public-key work only).
 * read: decrypts with the credential -> question. write: decision -> HTTP response.
 */
#ifndef MU_PROTO_SCEP_SERVER_H
#define MU_PROTO_SCEP_SERVER_H

#include "enroll/enroll_server.h"

struct mu_scep_server;

/* On failure *out may still be set: then the error can be told in a CertRep (write with a REFUSED
 * decision, after ca looked up a credential by *claim); if it is NULL answer by HTTP with
 * mu_scep_server_http_error. The request must outlive the engine. */
enum mu_code mu_scep_server_open(const struct mu_env *env, const struct mu_http_request *request,
    struct mu_scep_server **out, struct mu_claim *claim, struct mu_err *err) MU_CHECK;
/* MU_OP_CAPS, _CA_CERTS, _NEXT_CA have nothing to read: the question is filled from the claim. */
enum mu_code mu_scep_server_read(struct mu_scep_server *server, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err) MU_CHECK;
/* The answer, with the digest of the request and its cipher where allowed (IOP-15). For CAPS,
 * CA_CERTS and NEXT_CA decision may be NULL. A certificate for a key that cannot decrypt goes to the
 * challenge of the request or to credential->password, which a poll needs (SCEP-36); where there is
 * neither: MU_REFUSE_UNDELIVERABLE, and a refusal can be written. */
enum mu_code mu_scep_server_write(struct mu_scep_server *server, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_err *err) MU_CHECK;
void mu_scep_server_free(struct mu_scep_server *server);
/* Status by the error's row, text/plain sentence. */
enum mu_code mu_scep_server_http_error(const struct mu_err *failed, struct mu_http_response *response,
    struct mu_err *err) MU_CHECK;

#endif
