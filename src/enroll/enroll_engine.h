/*
 * What a client engine of any protocol says and hears. An engine is a value that reads no clock,
 * socket or file: it says what it wants next, its driver (client/) does it and answers with an
 * event. One vocabulary for SCEP polling, EST's Retry-After and CMP's pollReq.
 */
#ifndef MU_ENROLL_ENGINE_H
#define MU_ENROLL_ENGINE_H

#include "base/env.h"
#include "http/http_transport.h"
#include "pki/pki_cert.h"

enum mu_want {
    MU_WANT_SEND,    /* this request; answer with RESPONSE or SEND_FAILED */
    MU_WANT_WAIT,    /* so long; answer with TIME */
    MU_WANT_KEY,     /* a key like this; answer with KEY */
    MU_WANT_TRUST,   /* are these CA certificates ours to trust; answer with TRUST */
    MU_WANT_BINDING, /* the channel binding of a connection; answer with BINDING */
    MU_WANT_SAVE,    /* put this on disk before anybody is told; answer with SAVED */
    MU_WANT_DONE,    /* nothing more; see the engine's result */
};

struct mu_step {
    enum mu_want want;
    struct mu_http_request request;  /* SEND: valid until the next call */
    bool remember;                   /* SEND: the CA will remember it, so store the engine first */
    int64_t wait_s;                  /* WAIT */
    int64_t wait_limit_s;            /* WAIT: all waiting ends after so long, for telling people */
    struct mu_pki_key_spec key;      /* KEY */
    const struct mu_pki_certs *certs; /* TRUST: not known here. SAVE: issued one first, then its chain */
};

enum mu_event_type {
    MU_EVENT_RESPONSE, MU_EVENT_SEND_FAILED, MU_EVENT_TIME, MU_EVENT_KEY, MU_EVENT_TRUST,
    MU_EVENT_BINDING, MU_EVENT_SAVED,
};

struct mu_event {
    enum mu_event_type type;
    const struct mu_http_response *response;
    const struct mu_http_facts *facts;   /* RESPONSE; may be NULL */
    const struct mu_err *failed;         /* SEND_FAILED; SAVED with it: could not be saved */
    struct mu_pki_key *key;              /* KEY */
    bool yes;                            /* TRUST */
    struct mu_bytes binding;             /* BINDING: of the connection the last answer came on,
                                          * tls-unique, else the exporter; n 0: there is none */
};

#endif
