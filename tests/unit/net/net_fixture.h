/*
 * Client and server of src/net on loopback, for tests: the server in its worker threads, the
 * client on a loop that runs until its exchange is over. Certificates are made on the spot.
 */
#ifndef MU_NET_FIXTURE_H
#define MU_NET_FIXTURE_H

#include "base/loop.h"
#include "http/http_transport.h"
#include "net/net_client.h"
#include "net/net_loop.h"
#include "net/net_server.h"
#include "pki/pki_identity.h"

/* ---- certificates ---- */
struct fix_cert_spec {
    const char *cn;
    const char *san;  /* "DNS:a,IP:127.0.0.1"; NULL: none */
    const char *eku;  /* "cmcRA"; NULL: none */
    bool ca;
    int from_s, to_s; /* relative to the present; both 0: one day around it */
    unsigned bits;    /* RSA; 0: P-256 */
};
struct fix_cert {
    struct mu_pki_key *key;
    struct mu_pki_cert *cert;
    struct mu_pki_certs chain; /* the certificate, then its issuer's chain */
    void *evp, *x509;
};
/* issuer NULL: self-signed. Aborts on failure. */
void fix_cert_make(struct fix_cert *out, const struct fix_cert_spec *spec, const struct fix_cert *issuer);
void fix_cert_clear(struct fix_cert *c);

/* ---- client ---- */
extern struct mu_loop *fix_loop;
extern struct mu_transport *fix_client;
extern struct mu_env fix_env;  /* system clock (plus fix_shift_s), its trace is kept */
extern int64_t fix_shift_s;
const char *fix_trace(void);
void fix_trace_reset(void);

/* What an exchange brought; filled by fix_ask. */
extern struct mu_http_response fix_response;
extern struct mu_err fix_err;
extern struct mu_http_facts fix_facts; /* without the chain */
extern struct mu_buf fix_unique, fix_exporter, fix_leaf;
extern size_t fix_chain_n;

int fix_setup(void **state);
int fix_teardown(void **state);
struct mu_http_session *fix_open(const struct mu_http_session_spec *spec);
/* Sends and waits. Returns MU_OK or the error's code. body NULL: GET. */
enum mu_code fix_ask(struct mu_http_session *s, const char *url, const char *body);
enum mu_code fix_ask_request(struct mu_http_session *s, const struct mu_http_request *request);
const char *fix_header(const char *name);

/* ---- server ---- */
/* Starts one with two workers on 127.0.0.1; returns the port. */
uint16_t fix_serve(mu_net_handler *handler, const struct mu_net_tls *tls);
uint16_t fix_serve_on(const char *address, mu_net_handler *handler, const struct mu_net_tls *tls);
/* A server that reads one request and sends these octets, then closes; or keeps silent (NULL). */
uint16_t fix_serve_octets(const char *octets);
void fix_reply(struct mu_net_reply *reply, int status, const char *body);

#endif
