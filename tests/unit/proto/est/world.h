/*
 * A small world for the tests of EST: a clock, repeatable randomness, a trace to read, a CA that
 * decides in memory, TLS connections as numbers, and a driver that connects a client engine to a
 * server engine by function calls. No socket, no sleep.
 */
#ifndef MU_TEST_EST_WORLD_H
#define MU_TEST_EST_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "pki/pki_csr.h"
#include "pki/pki_name.h"
#include "proto/est/est_auth.h"
#include "proto/est/est_body.h"
#include "proto/est/est_client.h"
#include "proto/est/est_csrattrs.h"
#include "proto/est/est_http.h"
#include "proto/est/est_link.h"
#include "proto/est/est_msg.h"
#include "proto/est/est_multipart.h"
#include "proto/est/est_server.h"

#define WORLD_NOW 1763660000 /* 2025-11-20T17:33:20Z */
#define WORLD_URL "https://127.0.0.1:8443"

/* CSR attributes of seed 002/003 (T1): 1.3.6.1.1.1.1.22, emailAddress, secp384r1, sha384. */
#define WORLD_T1 "MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg=="

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
    unsigned key_usage, eku;                /* 0: none */
    unsigned serial;                        /* 0: 0x1000 */
    int64_t not_before_s, not_after_s;      /* 0: a year before and after WORLD_NOW */
};
struct mu_pki_cert *world_cert(const struct world_cert *what); /* yours */

struct world;
/* What comes between the answer to an operation and the client; n counts its answers from 1. */
typedef void world_tamper(
    struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *response);

struct world {
    struct mu_env env;
    int64_t now_s;
    uint64_t counter;
    struct mu_buf trace, server_trace;
    bool in_server;

    /* the CA */
    struct mu_pki_cert *ca;
    struct mu_pki_certs chain, next;
    struct mu_credential credential;
    struct mu_secret password;      /* of entry */
    const char *entry;              /* NULL: nobody is known */
    bool wants_password;            /* a request without one is refused */
    unsigned pending_n;             /* this many PENDING before it issues */
    int64_t retry_after_s;
    enum mu_reason refuse;          /* not 0: refused so */
    const char *refuse_text;
    const char *issue_subject;      /* instead of the CSR's */
    bool issue_wrong_key;
    struct mu_buf csr_attrs;
    struct mu_pki_cert *issued;
    struct mu_pki_key *made;        /* serverkeygen */
    struct mu_claim last_claim;     /* its pointers are gone */
    char last_entry[64], last_label[80];
    bool last_authenticated;

    /* the TLS in between */
    bool tls12;
    unsigned connection;            /* number of the present one, 0: none */
    unsigned drop_before_post;      /* this many times the connection is gone before a POST */
    bool no_binding;
    struct mu_pki_cert *client_cert;

    /* the client's side */
    struct mu_buf subject, extensions;
    struct mu_est_client_config config;
    world_tamper *tamper;
    int fault_reason;               /* each SEND fails so; -1: none */
    bool say_no, save_fails, no_key;
    enum world_key key;             /* given to WANT_KEY */
    unsigned stop_before_post;      /* not 0: driver stops before this POST */
    struct mu_buf stored;           /* the engine, at the last remember */
    struct mu_pki_key_spec wanted;  /* by the last WANT_KEY */
    unsigned exchanges[MU_EST_OP_N]; /* answered */
    unsigned posts, waits, saves, asks, keys, bindings;
    int64_t last_wait_s;
    struct mu_buf last_csr;         /* DER of the last POST */
    char last_authorization[300];   /* of the last request, "" if none */
    char urls[4096];                /* method and URL of all, a line each */
    bool last_same_connection;
};

/* With a self-signed EC CA that is trusted, EC client key, user "estuser". */
void world_init(struct world *w);
void world_clear(struct world *w);
void world_subject(struct world *w, const char *subject);
/* The extensions asked for; san NULL and usage 0: none. */
void world_extensions(struct world *w, const char *san, unsigned key_usage);
void world_attrs(struct world *w, const char *base64);
/* One HTTP request to the responder on the present connection. */
void world_serve(
    struct world *w, const struct mu_http_request *request, struct mu_http_response *response);
/* GET or POST to the responder, path below /.well-known/est; headers may be NULL. */
void world_ask(struct world *w, const char *method, const char *path, const char *authorization,
    struct mu_bytes body, struct mu_http_response *response);
/* Base64 of a CSR for subject with key; challenge NULL: none. */
void world_csr(struct world *w, const char *subject, enum world_key key, const char *challenge,
    struct mu_buf *out);
/* The binding of the present connection. */
struct mu_bytes world_binding(struct world *w);
/* Drives a client to its end; world_err tells. MU_BUSY: stopped as the world wanted. */
enum mu_code world_drive(struct world *w, struct mu_est_client *client);
/* new, drive; *out (may be NULL: freed) keeps the client. */
enum mu_code world_run(struct world *w, struct mu_est_client **out);
/* The trace has all the lines of text in this order, perhaps with others between. */
void world_trace_has(const struct mu_buf *trace, const char *lines);
bool world_traced(const struct mu_buf *trace, const char *part);
/* The world's error has this reason and its sentence this part (NULL: any). */
void world_failed(enum mu_code rc, enum mu_code want, int m, const char *part);
const char *world_header(const struct mu_http_response *response, const char *name);

#endif
