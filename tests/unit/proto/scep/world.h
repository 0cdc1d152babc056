/*
 * A small world for the tests of SCEP: a clock, repeatable randomness, a trace to read, a CA that
 * decides in memory, and a driver that connects a client engine to a server engine by function
 * calls. No socket, no sleep.
 */
#ifndef MU_TEST_SCEP_WORLD_H
#define MU_TEST_SCEP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "pki/pki_csr.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_caps.h"
#include "proto/scep/scep_client.h"
#include "proto/scep/scep_http.h"
#include "proto/scep/scep_msg.h"
#include "proto/scep/scep_server.h"

#define WORLD_NOW 1763660000 /* 2025-11-20T17:33:20Z */
#define WORLD_URL "http://127.0.0.1:8080/app/cert/scep/"

#define world_ok(call)                                                                             \
    do {                                                                                           \
        enum mu_code world_rc_ = (call);                                                           \
        if (world_rc_ != MU_OK)                                                                    \
            fail_msg("%s: %d: %s", #call, (int)world_rc_, world_err.what);                         \
    } while (0)

extern struct mu_err world_err;

enum world_key { KEY_CA, KEY_RA, KEY_CLIENT, KEY_OTHER, KEY_EC, KEY_EC_CA, KEY_N };
/* Borrowed; made once per program. */
struct mu_pki_key *world_key(enum world_key which);

struct world_cert {
    const char *subject, *issuer;           /* issuer NULL: itself */
    enum world_key key, issuer_key;         /* issuer_key counts if issuer is set */
    bool is_ca;
    unsigned key_usage;                     /* 0: none */
    unsigned serial;                        /* 0: 0x1000 */
    int64_t not_before_s, not_after_s;      /* 0: a year before and after WORLD_NOW */
    enum mu_pki_digest digest;              /* NONE: SHA-256 */
};
struct mu_pki_cert *world_cert(const struct world_cert *what); /* yours */

/* What comes between request and answer of one exchange; n counts PKIOperations from 1. */
struct world;
typedef void world_tamper(struct world *w, unsigned n, struct mu_http_response *response);

struct world {
    struct mu_env env;
    int64_t now_s;
    uint64_t counter;
    struct mu_buf trace, server_trace;
    bool in_server;

    /* the CA */
    struct mu_pki_cert *ca, *ra, *root;
    struct mu_pki_certs chain, ras, next;
    struct mu_credential credential;
    struct mu_secret password;      /* of the entry, for PWRI */
    unsigned pending_n;             /* this many PENDING before it issues */
    enum mu_reason refuse;          /* not 0: refused so */
    const char *refuse_text;
    const char *issue_subject;      /* instead of the CSR's */
    bool issue_wrong_key;
    struct mu_pki_cert *issued;
    struct mu_bytes crl;
    struct mu_buf crl_der;
    enum mu_op last_op;
    char last_type[32];
    char last_id[300];
    unsigned messages;              /* PKIOperations answered */

    /* the client's side */
    struct mu_buf csr;
    struct mu_scep_client_config config;
    world_tamper *tamper;
    enum mu_http_fault { FAULT_NONE, FAULT_SEND, FAULT_CUT_GET } fault;
    bool say_no;
    bool save_fails;
    unsigned stop_before_send;      /* not 0: driver stops before this PKIOperation */
    unsigned stop_after_send;       /* answered by the CA, answer lost */
    struct mu_buf stored;           /* the engine, at the last remember */
    struct mu_buf last_request;     /* body or URL of the last PKIOperation */
    char last_method[8];
    char last_url[2048];
    unsigned sent;                  /* PKIOperations sent */
    unsigned waits;
    unsigned saves;
    int only_status;                /* not 0: each PKIOperation is answered so */
    const char *only_caps;          /* not NULL: body of GetCACaps */
    int caps_status;                /* not 0: status of GetCACaps */
};

/* With a self-signed RSA CA, no RA, client key KEY_CLIENT, challenge "secret". */
void world_init(struct world *w);
void world_clear(struct world *w);
/* CSR for the subject with the key; challenge NULL: none. Goes to w->csr and w->config. */
void world_request(struct world *w, const char *subject, enum world_key key, const char *challenge);
/* An RA certificate besides the CA; replies are signed and requests decrypted by it. */
void world_add_ra(struct world *w, unsigned key_usage);
/* One HTTP request to the responder. */
void world_serve(struct world *w, const struct mu_http_request *request,
    struct mu_http_response *response);
/* Drives a client to its end; world_err tells. MU_BUSY: stopped as the world wanted. */
enum mu_code world_drive(struct world *w, struct mu_scep_client *client);
/* new, drive; *out (may be NULL: freed) keeps the client. */
enum mu_code world_run(struct world *w, struct mu_scep_client **out);
/* Line by line; the trace has all the lines of text in this order, perhaps with others between. */
void world_trace_has(const struct mu_buf *trace, const char *line);
bool world_traced(const struct mu_buf *trace, const char *part);
/* The world's error has this reason and its sentence this part (NULL: any). */
void world_failed(enum mu_code rc, enum mu_code want, int m, const char *part);

/* Replaces the CertRep in response by one made with changes: decoded, changed by the call,
 * signed again with the CA's key. */
typedef void world_change(struct mu_scep_msg_params *params);
void world_resign(struct world *w, struct mu_http_response *response, world_change *change);

/* Says in place that an envelope's content is id-signedData instead of id-data. */
void world_not_data(struct mu_bytes envelope);

#endif
