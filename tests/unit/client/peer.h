/*
 * A small SCEP responder in memory for the tests of client, agent and api: a CA certificate, the
 * server engine, and switches for what it should do. It remembers transactions, as a CA does.
 */
#ifndef CLIENT_PEER_H
#define CLIENT_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/limits.h"
#include "http/http_msg.h"
#include "pki/pki_cert.h"

enum { PEER_TRANSACTIONS = 2048 };

struct peer_transaction {
    char id[MU_LIMIT_TRANSACTION_ID + 1];
    struct mu_buf csr;
    struct mu_pki_cert *cert;
    unsigned asked; /* requests and polls */
};

struct peer {
    const struct mu_env *env;
    struct mu_pki_key *key;
    struct mu_pki_cert *cert;
    struct mu_pki_certs chain;
    struct peer_transaction txn[PEER_TRANSACTIONS];
    size_t txn_n;
    struct mu_buf crl;           /* made when it is asked for */
    /* switches */
    unsigned pend;               /* a transaction is answered PENDING so many times */
    enum mu_reason refuse;       /* refuse with this */
    const char *subject;         /* issue with this subject instead of the one asked for */
    int64_t lifetime_s;          /* 0: 365 d */
    int http_status;             /* answer with it instead; 0: as usual */
    const struct peer *next;     /* its successor: announced, and issues what is enveloped to it */
    bool challenge_needed;       /* requests without a challenge or a certificate of ours: refused */
    /* what it saw */
    unsigned enrolls, renewals, polls, caps, cas;
    char last_challenge[64], last_target[64]; /* cut off */
};

void peer_init(struct peer *peer, const struct mu_env *env);
/* Another CA of the same name. */
void peer_init_next(struct peer *peer, const struct mu_env *env);
void peer_clear(struct peer *peer);
/* A mu_fake_serve; cookie: struct peer. */
void peer_serve(void *cookie, const struct mu_http_request *request,
    struct mu_http_response *response, struct mu_err *err);
/* The transaction that came last. */
const struct peer_transaction *peer_last(const struct peer *peer);

#endif
