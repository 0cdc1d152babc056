/*
 * The EST server engine: one object per HTTP request, nothing kept between requests.
 * open: request -> claim (path, label, who says he is what); cheap checks only.
 * read: checks the password, linking and proof of possession with the credential -> question.
 * write: decision -> HTTP response. Judging the TLS client's certificate is the CA's.
 */
#ifndef MU_PROTO_EST_SERVER_H
#define MU_PROTO_EST_SERVER_H

#include "enroll/enroll_server.h"

struct mu_est_server;

/* Is this request below /.well-known/est? */
bool mu_est_server_is(const struct mu_http_request *request);
/* On failure *out may still be set: then write a REFUSED decision with it; else answer with
 * mu_est_server_http_error. The request must outlive the engine. */
enum mu_code mu_est_server_open(const struct mu_env *env, const struct mu_http_request *request,
    struct mu_est_server **out, struct mu_claim *claim, struct mu_err *err) MU_CHECK;
/* A wrong or missing password is MU_AUTH with MU_REFUSE_PASSWORD or _MISSING: write then answers
 * 401 with the schemes. */
enum mu_code mu_est_server_read(struct mu_est_server *server, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err) MU_CHECK;
/* 200, 202 with Retry-After, 204, or an error with a sentence in text/plain. */
enum mu_code mu_est_server_write(struct mu_est_server *server, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_err *err) MU_CHECK;
void mu_est_server_free(struct mu_est_server *server);
enum mu_code mu_est_server_http_error(const struct mu_err *failed, struct mu_http_response *response,
    struct mu_err *err) MU_CHECK;

#endif
