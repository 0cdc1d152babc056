/* What the files of this folder share. */
#ifndef MU_NET_INTERNAL_H
#define MU_NET_INTERNAL_H

#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/env.h"
#include "base/loop.h"
#include "base/secret.h"
#include "http/http_msg.h"
#include "http/http_transport.h"
#include "pki/pki_identity.h"

/* The libevent base below a loop of mu_net_loop_new. */
struct event_base *mu_net_loop_base(struct mu_loop *loop);

/* Children of that loop: mu_loop_spawn. */
enum mu_code mu_net_child_spawn(struct mu_loop *loop, const struct mu_loop_spawn *what,
    mu_loop_exit_call *call, void *cookie, struct mu_loop_child **out, struct mu_err *err) MU_CHECK;
void mu_net_child_free(struct mu_loop *loop, struct mu_loop_child *child);

/* What a service presents; the work is done on a helper thread. */
enum mu_code mu_net_peek(struct mu_loop *loop, const struct mu_http_peek *what,
    mu_http_peek_done *done, void *cookie, struct mu_http_peeking **out, struct mu_err *err) MU_CHECK;
void mu_net_peek_cancel(struct mu_http_peeking *peeking);

/* A peer that goes away must not end the program. Idempotent. */
void mu_net_ignore_sigpipe(void);

/* ---- net_tls.c ---- */

/* tls-unique (RFC 5929 3) and the exporter (RFC 9266) of a finished handshake. */
struct mu_net_binding {
    uint8_t unique[64];
    size_t unique_n; /* 0: TLS 1.3 has none */
    uint8_t exporter[32];
    size_t exporter_n; /* 32, or 0 on failure */
};
void mu_net_tls_binding(SSL *ssl, struct mu_net_binding *out);

struct mu_net_tls;
/* A server's context with all its settings; free it with SSL_CTX_free. */
enum mu_code mu_net_tls_server(const struct mu_net_tls *tls, SSL_CTX **out, struct mu_err *err)
    MU_CHECK;

/* Puts key and chain, leaf first, into ctx. Every certificate of the chain that is self-signed
 * and not the leaf is left out unless with_root: the peer has it or does not believe it. */
enum mu_code mu_net_tls_use_chain(SSL_CTX *ctx, const struct mu_pki_key *key,
    const struct mu_pki_certs *chain, bool with_root, struct mu_err *err) MU_CHECK;
/* DER to OpenSSL's type; NULL on failure. */
X509 *mu_net_tls_x509(const struct mu_pki_cert *cert);
/* ---- net_srp.c ---- */
struct mu_net_srp;
/* Log in by name and password, in TLS 1.2. without_cert: a server may do without one, which then
 * has to be the one that knows the password. */
enum mu_code mu_net_srp_client(SSL_CTX *ctx, const char *user, const struct mu_secret *password,
    bool without_cert, struct mu_err *err) MU_CHECK;
/* Lets clients log in beside all others. srp must outlive ctx. */
enum mu_code mu_net_srp_server(SSL_CTX *ctx, const struct mu_net_srp *srp, struct mu_err *err) MU_CHECK;
/* Who has logged in on this connection; NULL: nobody. Valid as long as ssl. */
const char *mu_net_srp_user(SSL *ssl);

/* ---- net_tls.c ---- */
/* What OpenSSL's error queue says on top, emptied: "no shared cipher". Returns buf. */
const char *mu_net_tls_error(char *buf, size_t size);

#endif
