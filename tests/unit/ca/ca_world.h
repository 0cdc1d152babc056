/*
 * A CA in memory with a clock one can move, and our own SCEP client engine wired to it by function
 * calls: no socket, no sleep.
 */
#ifndef MU_TEST_CA_WORLD_H
#define MU_TEST_CA_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/ca.h"
#include "proto/scep/scep_client.h"

#define NOW 1763660000 /* 2025-11-20T17:33:20Z */

enum ca_key { CA_KEY_A, CA_KEY_B, CA_KEY_WEAK, CA_KEY_EC, CA_KEY_N };
struct mu_pki_key *ca_key(enum ca_key which); /* borrowed; made once per program */

struct ca_world {
    struct mu_env env;
    int64_t now_s;
    struct mu_store *store;
    struct mu_ca *ca;
    struct mu_ca_config config;
    struct {
        char ref[96];
        struct mu_pki_key *key;
    } keys[16];
    size_t key_n;
    /* what was told last */
    char action[32], message[800];
    enum mu_reason reason;
    char reasons[2000]; /* trace lines of checks, one behind the other */
    unsigned events;
    bool keys_lost; /* key_load fails */
    struct mu_http_peer peer;
    int last_status; /* of the last HTTP answer */
    struct mu_http_response last;
    unsigned sends; /* PKIOperations */
    const char *content_type; /* of a POST; default SCEP's */
    const char *path; /* of the client's URL, default /app/cert/scep/ */
};
extern struct mu_err ca_err;
#define ca_ok(call)                                                                                \
    do {                                                                                           \
        enum mu_code ca_rc_ = (call);                                                              \
        if (ca_rc_ != MU_OK)                                                                       \
            fail_msg("%s: %d: %s", #call, (int)ca_rc_, ca_err.what);                               \
    } while (0)

/* store NULL: memory. Nothing is in it. */
void ca_world_open(struct ca_world *w, struct mu_store *store);
void ca_world_close(struct ca_world *w);
/* With the CA made from what w->config says now. */
void ca_world_restart(struct ca_world *w);
/* fixture: the demo CA; state is the world */
int ca_world_demo(void **state);
int ca_world_end(void **state);

/* One HTTP request; the answer is w->last until the next. */
int ca_get(struct ca_world *w, const char *target);
int ca_post(struct ca_world *w, const char *target, struct mu_bytes body);

struct ca_client {
    enum mu_scep_client_op op; /* default ENROLL via ca_enroll */
    const char *subject; /* default /C=NL/O=Example/CN=device */
    const char *san;
    const char *challenge; /* NULL: none */
    const char *template_name;
    const char *transaction_id; /* NULL: derived */
    enum ca_key key;
    struct mu_pki_cert *signer; /* renewal */
    enum ca_key signer_key;
    bool plain; /* type 19 even so */
    bool is_ca, any_eku; /* asks for what it must not get */
    struct mu_bytes serial; /* GetCert */
    struct mu_pki_cert *encrypt_to;
    bool legacy; /* 3DES and SHA-1 */
    bool wait; /* polls, each time after what approve does */
    bool from_key; /* transaction id from the key alone */
};
/* Runs one client to its end. *cert (may be NULL) gets what was issued, yours. MU_PENDING: waiting.
 * What is needed else of the result is in out (may be NULL), valid until ca_client_free. */
enum mu_code ca_run(struct ca_world *w, const struct ca_client *what, struct mu_pki_cert **cert,
    struct mu_scep_client_result *out, struct mu_scep_client **client);
enum mu_code ca_enroll(struct ca_world *w, const struct ca_client *what, struct mu_pki_cert **cert);
/* The same CSR as a client with these settings makes (challenge included); for two equal runs. */
void ca_csr(const struct ca_client *what, struct mu_buf *der);
extern struct mu_buf *ca_use_csr; /* not NULL: sent instead of one made by ca_run */

/* Refused for this reason, and said so with these words (NULL: any). */
void ca_refused(
    struct ca_world *w, const struct ca_client *what, enum mu_reason reason, const char *words);
/* The message of the demo's or another profile changed: settings behind what it has. */
void ca_profile(struct ca_world *w, const char *name, const char *settings);
void ca_set(struct ca_world *w, const char *settings);
bool ca_subject_is(const struct mu_pki_cert *cert, const char *slash);

#endif
