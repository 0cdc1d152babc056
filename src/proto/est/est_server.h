/*
 * The EST server engine: one object per HTTP request, nothing kept between requests.
 * open: request -> claim (path, label, who says he is what); cheap checks only.
 * read: checks the password, linking and proof of possession with the credential -> question.
 * write: decision -> HTTP response. Judging the TLS client's certificate is the CA's.
 */
#ifndef MU_PROTO_EST_SERVER_H
#define MU_PROTO_EST_SERVER_H

#include "enroll/enroll_server.h"

/* Of HTTP authentication, where the credential names none. */
#define MU_EST_SERVER_REALM "est"

struct mu_est_server;

/* Is this request below /.well-known/est? */
bool mu_est_server_is(const struct mu_http_request *request);
/* claim: auth is CERT with a TLS client certificate (in signer; claim.extra has the rest of its
 * chain), else SRP, else PASSWORD with Basic or Digest, else NONE. entry is the user of
 * Authorization, which may come on top of a certificate, else the SRP user. message_type is the
 * operation's word. On failure *out may still be set: then write a REFUSED decision with it (a
 * credential is not needed: NULL); else answer with mu_est_server_http_error. The request must
 * outlive the engine. */
enum mu_code mu_est_server_open(const struct mu_env *env, const struct mu_http_request *request,
    struct mu_est_server **out, struct mu_claim *claim, struct mu_err *err) MU_CHECK;
/* KEYGEN: the DecryptKeyIdentifier of a request that wants its key encrypted to a shared one, for
 * credential.kek; n 0: it names none, or cannot be read, which read then tells. A view. */
struct mu_bytes mu_est_server_shared_id(struct mu_est_server *server);
/* credential.password is that of claim.entry (NULL: no such entry, which takes as long and says
 * the same as a wrong password). A wrong password is MU_AUTH with MU_REFUSE_PASSWORD: write then
 * answers 401 with the schemes, as it does for every refusal whose HTTP status is 401, so a CA
 * that wants a password refuses with MU_REFUSE_PASSWORD_MISSING. authenticated: the password was
 * right, or TLS-SRP was used. With challenge_is_secret the CSR's challengePassword is left to the
 * CA, or compared with credential.password if that is set. KEYGEN: key_spec is that of the CSR's
 * placeholder key, whose signature is not verified (RFC 7030 4.4.1). */
enum mu_code mu_est_server_read(struct mu_est_server *server, const struct mu_credential *credential,
    struct mu_question *question, struct mu_err *err) MU_CHECK;
/* 200, 202 with Retry-After, 204, or an error with a sentence in text/plain. decision may be NULL
 * for CA_CERTS and CSR_ATTRS. */
enum mu_code mu_est_server_write(struct mu_est_server *server, const struct mu_credential *credential,
    const struct mu_decision *decision, struct mu_http_response *response, struct mu_err *err) MU_CHECK;
void mu_est_server_free(struct mu_est_server *server);
enum mu_code mu_est_server_http_error(const struct mu_err *failed, struct mu_http_response *response,
    struct mu_err *err) MU_CHECK;

#endif
