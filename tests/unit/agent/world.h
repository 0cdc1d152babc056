/* An agent with a store on disk, a responder in memory and a clock of its own. */
#ifndef AGENT_WORLD_H
#define AGENT_WORLD_H

#include "peer.h"

#include "agent/agent.h"
#include "fake_loop.h"
#include "fake_transport.h"
#include "kit.h"

struct world {
    struct kit *kit;
    struct mu_loop *loop;
    struct peer peer;
    struct mu_transport *transport;
    struct mu_agent agent;
    struct mu_agent_host host;
    struct mu_agent_settings settings; /* scep, a URL, /CN=myvpn */
    /* of the last job */
    unsigned dones;
    enum mu_agent_result result;
    struct mu_err err;        /* code MU_OK: none */
    struct mu_buf steps;      /* "key: RSA 2048, new\n" */
    char why[256], replaced[64], txn[300], file[256], url[256];
    size_t answer_certs;
    bool has_clock, trust_yes, trust_later;
    bool lose_answer;         /* the one to the request, next time */
    unsigned trust_asked;
    char trust_name[80], trust_sha256[100];
    struct mu_agent_job *asking;
};

int world_setup(void **state);
int world_teardown(void **state);
/* As after a restart of the program: a new store object and agent over the same files. */
void world_restart(struct world *w);

/* Run to the end; result, err and so on are filled. Errors of the start count as the job's. */
void world_enroll(struct world *w, const char *name, struct mu_agent_enroll request);
void world_renew(struct world *w, const char *name, struct mu_agent_renew request);
void world_poll(struct world *w, const char *name, bool no_wait);
void world_query(struct world *w, struct mu_agent_query query);
/* Fails the test with the message if err is not MU_OK or the result another one. */
void world_expect(struct world *w, enum mu_agent_result result);
/* The certificate that latest.crt leads to; its key is checked. Free it. */
struct mu_pki_cert *world_latest(struct world *w, const char *name);

#endif
