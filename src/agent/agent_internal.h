/* What the files of the agent share: the job, what is kept of a request, and of the last try. */
#ifndef MU_AGENT_INTERNAL_H
#define MU_AGENT_INTERNAL_H

#include "agent/agent.h"
#include "agent/agent_trace.h"
#include "base/secret.h"
#include "pki/pki_csr.h"

/* ---- state/<name>.pending: a request that is out, or about to be ---- */
enum mu_agent_operation { MU_AGENT_ENROLL, MU_AGENT_RENEW, MU_AGENT_BY_FILE };

struct mu_agent_pending {
    enum mu_agent_operation operation;
    char replaces[MU_KEYSTORE_STEM]; /* current pair when it began, "" if none */
    char *transaction;               /* NULL: none yet */
    char trace[MU_KEYSTORE_TRACE];   /* what is kept of the exchange, "" if nothing */
    char next_ca[MU_KEYSTORE_NAME];  /* enveloped to this CA and for later, "" if not */
    unsigned route;                  /* of 'ca = a, b': by which it goes */
    int64_t since_s;
    struct mu_buf csr;               /* DER; secret, a challenge may be inside */
    struct mu_buf engine;            /* secret for the same reason */
};
/* MU_NOT_FOUND if nothing is pending. */
enum mu_code mu_agent_pending_load(struct mu_keystore *store, const char *name,
    struct mu_agent_pending *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_agent_pending_store(struct mu_keystore *store, const char *name,
    const struct mu_agent_pending *pending, struct mu_err *err) MU_CHECK;
/* The request first, then its key: what is left of a kill between is a key that nobody asks for. */
enum mu_code mu_agent_pending_remove(struct mu_keystore *store, const char *name,
    struct mu_err *err) MU_CHECK;
void mu_agent_pending_clear(struct mu_agent_pending *pending);
/* Settings, secrets and the last try of a name without any certificate, not even a former one; nothing
 * of any other. What asks later under this name must not send its secrets to another CA. */
enum mu_code mu_agent_forget_unissued(struct mu_agent *agent, const char *name,
    struct mu_err *err) MU_CHECK;

/* ---- state/<name>.last: how the last try ended ---- */
struct mu_agent_last {
    char *result, *code, *what, *likely, *next, *said, *transaction, *trace, *changed, *warnings;
    int64_t at_s;
    unsigned attempts;
    bool has_clock;
    int64_t clock_difference_s; /* the CA's clock minus ours, at its last answer */
};
/* Nothing stored: {0}, MU_OK. */
enum mu_code mu_agent_last_load(struct mu_keystore *store, const char *name,
    struct mu_agent_last *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_agent_last_store(struct mu_keystore *store, const char *name,
    const struct mu_agent_last *last, struct mu_err *err) MU_CHECK;
void mu_agent_last_clear(struct mu_agent_last *last);

/* ---- agent_secret.c ---- */
struct mu_agent_secrets {
    const struct mu_secret *challenge, *key_password, *password, *srp_password,
        *secret, *shared_key; /* NULL: not given */
};
struct mu_agent_secret_values {
    struct mu_secret challenge, key_password, password, srp_password, secret, shared_key;
};
/* What is given, else what is kept for the entry. */
enum mu_code mu_agent_secrets_take(struct mu_agent *agent, const char *name,
    const struct mu_agent_secrets *given, struct mu_agent_secret_values *to, struct mu_err *err)
    MU_CHECK;
/* What a later try or a renewal needs without options. */
enum mu_code mu_agent_secrets_keep(struct mu_agent *agent, const char *name,
    const struct mu_agent_secrets *given, struct mu_err *err) MU_CHECK;
enum mu_code mu_agent_secrets_remove(struct mu_agent *agent, const char *name,
    struct mu_err *err) MU_CHECK;
void mu_agent_secrets_clear(struct mu_agent_secret_values *values);
/* Hands over a copy; NULL is not set. */
enum mu_code mu_agent_secret_copy(struct mu_secret *to, const struct mu_secret *from,
    struct mu_err *err) MU_CHECK;

/* ---- agent_request.c: keys and requests out of settings ---- */
/* Does the protocol's engine make the request out of its parts (EST)? SCEP's gets it whole. */
bool mu_agent_engine_makes_csr(const struct mu_agent_settings *settings);
/* Subject (Name) and extensions (Extensions, empty if there are none) of such a request. A renewal
 * asks for what the present certificate has (E098, E108), with a new key without the old one's
 * identifier. */
enum mu_code mu_agent_request_parts(const struct mu_agent_settings *settings,
    const struct mu_pki_cert *present, bool same_key, struct mu_buf *subject,
    struct mu_buf *extensions, struct mu_err *err) MU_CHECK;
/* The spec of a new key. */
enum mu_code mu_agent_key_spec(const struct mu_agent_settings *settings, bool allow_legacy,
    struct mu_pki_key_spec *out, struct mu_err *err) MU_CHECK;
/* A request by the settings; for a renewal by the present certificate (its subject and names),
 * usages from the settings. */
struct mu_agent_job;
/* ---- agent_template.c: what a CA wants in a request over CMP (certReqTemplate) ---- */
struct mu_agent_template { /* {0} is nothing */
    struct mu_buf subject, extensions; /* Name, Extensions; n 0: none */
    void (*tell)(void *cookie, const char *text); /* a difference; NULL: nobody listens */
    void *cookie;
};
void mu_agent_template_clear(struct mu_agent_template *tmpl);
/* The user's own counts, and a difference is told; what the template gives a value for and the user did
 * not is put in; what it wants and nobody gave is M408. */
enum mu_code mu_agent_template_apply(const struct mu_agent_template *tmpl, struct mu_buf *subject,
    struct mu_buf *extensions, struct mu_err *err) MU_CHECK;
/* To be asked before this job's first request is made? */
bool mu_agent_template_wanted(const struct mu_agent_job *job);
/* Asks, takes the key from it where the user named none, and goes on with the request. */
void mu_agent_template_ask(void *job);

/* tmpl may be NULL. */
enum mu_code mu_agent_make_csr(const struct mu_agent_settings *settings,
    const struct mu_pki_cert *present, const struct mu_agent_template *tmpl, const struct mu_secret *challenge,
    const struct mu_pki_key *key, struct mu_buf *der, struct mu_err *err) MU_CHECK;
/* What an enrollment cannot do without; online also needs protocol and url. */
enum mu_code mu_agent_settings_complete(const struct mu_agent_settings *settings, bool online,
    struct mu_err *err) MU_CHECK;
/* The connection and choices of the settings; pin gets 32 octets if there is a pin. */
struct mu_agent_trusted {
    struct mu_pki_certs certs;
    char name[MU_KEYSTORE_NAME]; /* of the only one, "" if there are none or more */
    uint8_t pin[32];
    bool has_pin;
    struct mu_pki_cert *encrypt_to;
    struct mu_pki_certs encrypt_to_list;
};
enum mu_code mu_agent_trusted_load(struct mu_agent *agent, const struct mu_agent_settings *settings,
    struct mu_agent_trusted *out, struct mu_err *err) MU_CHECK;
void mu_agent_trusted_clear(struct mu_agent_trusted *trusted);
/* Fills what settings say of connection and algorithms into a client's config; views. */
void mu_agent_client_config(const struct mu_agent *agent, const struct mu_agent_settings *settings,
    const struct mu_agent_trusted *trusted, struct mu_client_config *out);
bool mu_agent_url_is_tls(const char *url);

/* ---- agent_job.c ---- */
/* A key was made, or not. */
typedef void mu_agent_key_call(struct mu_agent_job *job, const struct mu_err *err);

struct mu_agent_job {
    struct mu_agent *agent;
    struct mu_agent_host host;
    char name[MU_KEYSTORE_NAME];
    struct mu_keystore_lock *lock;
    struct mu_agent_trace trace;        /* its env is what the job hands on */
    struct mu_agent_settings settings;
    struct mu_agent_secret_values secret;
    bool bootstrap;                     /* TLS is not verified this time: CA certificates only */
    bool tls12;                         /* linking needs tls-unique */
    bool learned;                       /* the CA certificates of the answer are dealt with */
    char shows[256];                    /* client certificate: an entry's name or a file, "" if none */
    bool no_wait, has_entry, resumed, was_pending, told_request, saved_now, next_ca;
    bool only_learns;                   /* next_ca over EST or CMP, and not due */
    size_t route;                       /* of 'ca = a, b' */
    bool life_sent;                     /* the lifecycle record knows of the request */
    bool keep_settings;                 /* given for a request that is out: kept once it goes on */
    bool same_try;                      /* for the count of tries */
    bool regenerates, told_pending;     /* for the events */
    bool holds;                         /* what was issued waits to be deployed */
    bool ca_changed;                    /* one came to those trusted */
    bool canceled, busy;                /* busy: a helper thread works for it */
    struct mu_keystore_entry entry;     /* current pair, if has_entry */
    struct mu_pki_key *signer_key;      /* its key, for a renewal */
    struct mu_pki_key_spec spec;        /* of the key to make */
    mu_agent_key_call *on_key;
    struct mu_pki_key *key;
    struct mu_err work_err;             /* of the helper thread */
    struct mu_buf key_text;             /* secret */
    struct mu_agent_pending pending;
    struct mu_agent_template tmpl;      /* CMP, ask-template */
    struct mu_agent_trusted trusted;
    struct mu_pki_cert *next_cert;      /* of pending.next_ca */
    struct mu_tls_identity *identity;
    struct mu_tls_identity *signer;     /* CMP: client-cert, key and chain only */
    struct mu_pki_certs server_certs;   /* CMP: server-cert */
    struct mu_client *client;
    struct mu_pki_cert *trust_ca;       /* asked about */
    bool trust_given;                   /* and accepted */
    char trust_name[MU_KEYSTORE_NAME];
    struct mu_keystore_saved saved;
    char *changed;
    struct mu_loop_timer *timer;
    enum mu_agent_result result;        /* for a job that ends without a client */
    char why[320];
    /* questions */
    struct mu_agent_query query;        /* op only */
    struct mu_http_session *session;
    char *url;
    unsigned probe_next;
    enum mu_proto probe_only;
    bool has_scheme, has_path, may_try_tls;
    struct mu_client *attrs;
    struct mu_buf csr_attrs, paths;
    struct mu_err first_err;
    struct mu_buf file;
    struct mu_err err;
};

enum mu_code mu_agent_job_new(struct mu_agent *agent, const char *name,
    const struct mu_agent_host *host, struct mu_agent_job **out, struct mu_err *err) MU_CHECK;
void mu_agent_job_free(struct mu_agent_job *job);
/* From the loop, soon: call(job). */
enum mu_code mu_agent_job_later(struct mu_agent_job *job, mu_loop_call *call, struct mu_err *err)
    MU_CHECK;
/* Ends with 'nothing to do'; why is kept. */
enum mu_code mu_agent_job_nothing(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
void mu_agent_job_step(struct mu_agent_job *job, enum mu_agent_step step, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A key of job->spec into job->key, on a helper thread; then call, from the loop. */
enum mu_code mu_agent_job_make_key(struct mu_agent_job *job, mu_agent_key_call *call,
    struct mu_err *err) MU_CHECK;
/* job->key as state/<name>.key, before anybody hears of it. */
enum mu_code mu_agent_job_key_store(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
/* Makes the key if it is needed and not there, then request, client, and off. */
enum mu_code mu_agent_job_request(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
/* The same, when nothing is to be asked before. */
enum mu_code mu_agent_job_request_now(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
/* Goes on with job->pending. */
enum mu_code mu_agent_job_resume(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
/* ---- agent_client.c: a client for what is in the job, and off ---- */
/* A CA may wish for a key that is too weak for us. */
enum mu_code mu_agent_key_spec_check(struct mu_agent_job *job, const struct mu_pki_key_spec *spec,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_agent_job_client(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;

/* ---- agent_delivery.c ---- */
/* server-key-to: what the key that the server makes is encrypted to; kek holds it for config. */
enum mu_code mu_agent_delivery_take(struct mu_agent_job *job, struct mu_client_config *config,
    struct mu_secret *kek, struct mu_err *err) MU_CHECK;

/* ---- agent_identity.c ---- */
/* TLS identity of the settings for https: the CAs that trust names, else the CA store and the
 * system's; for EST also what we show ourselves with. None for http. */
enum mu_code mu_agent_job_identity(struct mu_agent_job *job, bool bootstrap, struct mu_err *err) MU_CHECK;

/* Key and chain of client-cert: an entry's name, or a file. */
enum mu_code mu_agent_identity_named(struct mu_agent_job *job, const char *name,
    struct mu_tls_identity *identity, struct mu_err *err) MU_CHECK;
void mu_agent_identity_free(struct mu_tls_identity *identity);
/* May it lack the key usage for TLS client authentication (E101)? */
bool mu_agent_cert_lacks_client_auth(const struct mu_pki_cert *cert);

/* ---- agent_cmp.c; nothing for other protocols ---- */
enum mu_code mu_agent_cmp_config(struct mu_agent_job *job, struct mu_client_config *config,
    struct mu_err *err) MU_CHECK;
/* The confirmation was accepted, or none was wanted: what was saved becomes the present pair. */
enum mu_code mu_agent_cmp_finish(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
/* It was not: what was saved stays in its files and is nobody's next pair. */
void mu_agent_cmp_refused(struct mu_agent_job *job);
/* The pair that waits is one whose confirmation is still out: it never takes over by itself. */
bool mu_agent_cmp_unconfirmed(struct mu_keystore *store, const char *name);

/* ---- agent_learn.c ---- */
/* Is this CA certificate, of those that came, no mere link and vouched for by a CA trusted here? */
bool mu_agent_job_may_learn(
    struct mu_agent_job *job, const struct mu_pki_certs *all, struct mu_pki_cert *cert);
/* Keeps the CA certificates of the answer that a CA known here vouches for. Once; before there is
 * an answer nothing. */
enum mu_code mu_agent_job_learn(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;

/* ---- agent_next.c: a certificate of the next CA, for later (SCEP-78) ---- */
/* Asks for the next CA, trusts it because the present one vouches for it, then requests. */
enum mu_code mu_agent_job_next_ca(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
/* A pair waits, and the current one is out of time. */
bool mu_agent_next_is_due(
    struct mu_agent *agent, const char *name, const struct mu_keystore_entry *current);
/* Tells of a pair that was saved for later. */
void mu_agent_job_tell_waits(struct mu_agent_job *job);

/* ---- agent_hold.c: a pair that waits to be deployed ---- */
bool mu_agent_hold_wanted(const struct mu_agent *agent, const struct mu_pki_cert *cert);
/* Before it is saved: whatever waits with this serial number waits to be deployed. */
enum mu_code mu_agent_hold_mark(struct mu_agent *agent, const char *name,
    const struct mu_pki_cert *cert, struct mu_err *err) MU_CHECK;
/* The pair; false: none waits for this. */
bool mu_agent_hold_load(struct mu_agent *agent, const char *name, struct mu_keystore_entry *out);
enum mu_code mu_agent_hold_switch(struct mu_agent *agent, const char *name,
    struct mu_keystore_saved *saved, struct mu_err *err) MU_CHECK;
void mu_agent_hold_tell(struct mu_agent_job *job);

/* ---- agent_query.c: for agent_probe.c ---- */
void mu_agent_query_start(void *job);
/* Answers the host; err NULL: fine. */
void mu_agent_query_end(struct mu_agent_job *job, const struct mu_err *err);
/* ---- agent_probe.c ---- */
/* Sets protocol and URL of the next way; false: there is none. */
bool mu_agent_probe_next(struct mu_agent_job *job);
/* Another way to try, and it is under way; who does not answer at all is asked once per protocol. */
bool mu_agent_probe_on(struct mu_agent_job *job, const struct mu_err *err);
/* Something answered: there is more to ask, and it is under way. */
bool mu_agent_probe_more(struct mu_agent_job *job);

/* ---- agent_trust.c ---- */
/* A file name for a CA out of its CN; "" if that cannot be one. */
void mu_agent_trust_name(const struct mu_pki_cert *ca, char name[MU_KEYSTORE_NAME]);
/* Keeps a CA that was accepted by its fingerprint: it is the entry's only one from now on. */
enum mu_code mu_agent_job_trust_pinned(struct mu_agent_job *job, const struct mu_pki_certs *certs,
    struct mu_err *err) MU_CHECK;
/* The driver's on_trust: asks the host, who answers with mu_agent_job_trust. */
void mu_agent_job_ask_trust(
    struct mu_agent_job *job, struct mu_client *client, const struct mu_pki_certs *certs);

/* ---- agent_life_note.c: the job's part of state/<name>.life ---- */
struct mu_agent_life;
/* Durable with the next put into state/. */
enum mu_code mu_agent_life_write_unsynced(struct mu_keystore *store, const char *name,
    const struct mu_agent_life *life, struct mu_err *err) MU_CHECK;
/* Before the first message that the CA remembers. */
enum mu_code mu_agent_life_sent(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
/* How it went; err NULL: saved. Best effort: a record that is behind is settled at the next look. */
void mu_agent_life_end(struct mu_agent_job *job, const struct mu_client_result *answer,
    const struct mu_err *err);
/* It had nothing to do. */
void mu_agent_life_nothing(struct mu_agent_job *job);
/* Somebody asks about a request that was given up (M313). */
void mu_agent_life_resume(struct mu_agent_job *job);

/* ---- agent_end.c: how a job ends ---- */
/* Puts the issued pair in place; the driver's on_save. */
enum mu_code mu_agent_job_save(struct mu_agent_job *job, const struct mu_pki_certs *certs,
    struct mu_err *err) MU_CHECK;
/* A request whose pair is in place: its challenge (unless that serves more than once) goes first,
 * so that a kill between leaves a request, and the next run comes here again. */
enum mu_code mu_agent_job_forget(struct mu_agent_job *job, struct mu_err *err) MU_CHECK;
/* Forgets the request or keeps it, writes down how it went, tells the host, frees the job. */
void mu_agent_job_end(struct mu_agent_job *job, const struct mu_err *err);
/* For a job that never asked anybody, or a question. */
void mu_agent_job_answer(struct mu_agent_job *job, const struct mu_agent_outcome *outcome,
    const struct mu_err *err);

/* ---- agent_job_event.c: the events of a job ---- */
/* Once, when the CA first keeps it waiting; err: M313, it stopped asking. NULL: it goes on. */
void mu_agent_job_event_pending(struct mu_agent_job *job, const struct mu_err *err);
/* How it ended; err NULL: issued. */
void mu_agent_job_event_end(
    struct mu_agent_job *job, const struct mu_agent_facts *facts, const struct mu_err *err);
/* A CA certificate came to those trusted, by itself. */
void mu_agent_job_event_ca(struct mu_agent_job *job, const char *ca);
/* A pair came into use without a job. */
void mu_agent_event_loaded(
    struct mu_agent *agent, const char *name, const char *method, const char *serial);

/* ---- agent_facts_life.c ---- */
/* Adds what lifecycle record, policy and deployment say, and the state that follows. */
void mu_agent_facts_life(struct mu_agent *agent, struct mu_agent_facts *facts);

/* Text of a Name for people. */
enum mu_code mu_agent_name_text(struct mu_bytes name, bool slash, char **out, struct mu_err *err)
    MU_CHECK;
enum mu_code mu_agent_fingerprint(const struct mu_pki_cert *cert, char **out, struct mu_err *err)
    MU_CHECK;

#endif
