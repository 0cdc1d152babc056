/*
 * One enrollment from key to files. The order is always: key made and stored, request stored,
 * sent, answer checked, pair saved and switched, request forgotten, told. A kill between any two
 * of them loses nothing: the next enroll, renew or poll of that name goes on where it was, with
 * the same transaction id and key.
 *
 * What takes time is a job on the agent's loop: the call that starts it returns at once, the
 * host's on_done comes exactly once, from the loop. Each job holds the entry's lock.
 */
#ifndef MU_AGENT_H
#define MU_AGENT_H

#include "agent/agent_config.h"
#include "agent/agent_event.h"
#include "agent/agent_settings.h"
#include "base/loop.h"
#include "client/client.h"
#include "keystore/keystore.h"

/* Filled by the program; all of it outlives the jobs. */
struct mu_agent {
    struct mu_keystore *store;
    const struct mu_env *env;
    struct mu_loop *loop;
    struct mu_transport *transport;
    bool allow_legacy;   /* --allow-legacy, besides the entry's own */
    const struct mu_agent_config *config; /* NULL: no configuration */
    struct mu_agent_events events;
    const char *hooks_dir, *recipes_dir; /* NULL: /etc/muster/hooks.d, and where they were installed */
    const char *host;    /* for the spread: stable for this machine; NULL: none */
    bool deploys;        /* who runs it deploys what is issued (agent_deploy.h): a pair may wait for that */
    bool keeps_traces;   /* of its jobs, in the store: [agent] trace-size */
    bool by_itself;      /* its jobs are the agent's own: the storm guard counts them */
};

struct mu_agent_job;

/* ---- facts of an entry ---- */
enum mu_agent_state {
    MU_AGENT_NEW,       /* settings, no certificate, nothing asked */
    MU_AGENT_PENDING,   /* the CA has it and waits for somebody; no valid certificate here */
    MU_AGENT_OK,
    MU_AGENT_DUE,       /* inside the renewal window */
    MU_AGENT_RENEWING,  /* DUE, or asked for early, and a renewal is pending */
    MU_AGENT_EXPIRED,
    MU_AGENT_FAILED,    /* no certificate and the last try failed */
    MU_AGENT_REQUESTING, /* the first request is under way, or was cut off */
    MU_AGENT_RETRYING,  /* due, or none there yet, and the last try failed: tried again by itself */
    MU_AGENT_HELD,      /* it would be due at once after each issue (M602) */
    MU_AGENT_RENEWED_STALE, /* renewed, and a service does not show it */
    MU_AGENT_REJECTED,  /* no certificate, and the CA said no */
    MU_AGENT_DISABLED,  /* automation is off */
};
const char *mu_agent_state_word(enum mu_agent_state state); /* "PENDING" */

/* One place where the certificate is in use, as it was last seen (state/<name>.deploy). */
struct mu_agent_facts_deploy {
    char *recipe, *endpoint, *serial_seen, *last_line; /* NULL: not known */
    char *file;                                        /* that a recipe wrote for it; NULL: not known */
    bool match;
    enum mu_reason code;
    int exit_code;
    int64_t at_s;
};

/* Owns its texts; absent ones are NULL, times 0. */
struct mu_agent_facts {
    char name[MU_KEYSTORE_NAME];
    enum mu_agent_state state;
    enum mu_proto proto;
    char *url, *ca;                   /* ca: names trusted for it */
    char *subject, *issuer;           /* slash form */
    char *san;
    char *extensions;                 /* a line each: "X509v3 Key Usage: critical, Digital Signature" */
    char *serial;                     /* upper-case hex */
    char *stem;                       /* file name of the pair: the serial, maybe with "-2" */
    char *next_stem;                  /* of the pair that waits */
    bool next_held;                   /* for its deployment, not for the end of the present one */
    int64_t next_from_s;              /* it is valid from then on */
    char *sha256;                     /* colon form */
    char *key;                        /* "RSA 2048" */
    char *cert_file, *key_file;       /* latest.crt, latest.key: whole paths */
    int64_t not_before_s, not_after_s;
    int days_left;                    /* whole days, negative: expired since */
    int renew_days;                   /* -1: auto; 0: never */
    int renew_percent;                /* of the lifetime left, instead of days; 0: none */
    int64_t renew_from_s;             /* when it becomes DUE; 0: never */
    char *pending_txn;                /* transaction id of the request that is out */
    int64_t pending_since_s;
    bool is_pending;                  /* something is out, sent or about to be */
    /* last try */
    char *last_result;                /* "issued", "renewed", "pending", "refused", "failed" */
    char *last_code;                  /* "M312" */
    char *last_what, *last_likely, *last_next; /* of the error */
    char *last_reason;                /* the CA's own words; NULL: it gave none */
    char *last_txn;
    char *last_trace;                 /* name of what is kept of the exchange */
    int64_t last_s;
    bool has_clock;                   /* the CA's last answer had a time */
    int64_t clock_difference_s;       /* its clock minus ours */
    unsigned attempts;                /* failed ones in a row */
    /* what follows: agent_status.h */
    bool is_configured;               /* a section of the configuration, not made by hand */
    bool automation;
    bool is_by_file;                  /* the pending request goes by file: nobody asks for it */
    bool is_capped;                   /* the storm guard lets the next request out at next_try_s */
    bool is_stopped;                  /* pending too long, not asked any more (M313) */
    bool held;
    enum mu_reason why;               /* M602, M603, M604, M607, ...: what decides on its time */
    int64_t next_try_s;               /* by itself; 0: nothing is tried, or all is well */
    int64_t due_since_s;
    int64_t issued_s;                 /* when it came here */
    int64_t ca_not_after_s;           /* nearest end of a CA certificate of its chain; 0: not known */
    int64_t ca_window_s;              /* how long before the end this CA renews; 0: not known */
    int64_t await_limit_s;            /* of a pending request: asked so long */
    int64_t yes_left_s, no_left_s;    /* learned: lifetime left at which this CA said yes or no */
    struct mu_agent_facts_deploy *deploy;
    size_t deploy_n;
    /* how it shows itself to the CA, EST */
    char *label, *user, *srp_user, *client_cert;
    bool has_password, has_srp_password, has_key_password;
    char *changed;                    /* "C=NL removed, OU=AS added" at the last issue */
    char *warnings;                   /* weak choices in use; lines */
};
/* MU_NOT_FOUND if there is no such entry. No lock is needed. */
enum mu_code mu_agent_show(struct mu_agent *agent, const char *name, struct mu_agent_facts *out,
    struct mu_err *err) MU_CHECK;
/* The same, but what cannot be read comes as FAILED with its error. */
void mu_agent_show_or_failed(struct mu_agent *agent, const char *name, struct mu_agent_facts *out);
void mu_agent_facts_clear(struct mu_agent_facts *facts);
typedef void mu_agent_each_call(void *cookie, const struct mu_agent_facts *facts);
/* All entries by name. One that cannot be read comes as FAILED with its error. */
enum mu_code mu_agent_list(struct mu_agent *agent, mu_agent_each_call *call, void *cookie,
    struct mu_err *err) MU_CHECK;
/* Pure: is a certificate due? renew_days as above; renew_percent of the lifetime instead, 0: none. from
 * (may be NULL) gets the time. */
bool mu_agent_is_due(int64_t not_before_s, int64_t not_after_s, int renew_days, int renew_percent,
    int64_t now_s, int64_t *from);

/* ---- jobs: what the host hears ---- */
/* "responder  SCEP: SHA-256, AES, POST, renewal" and the like: word and text for one line. */
enum mu_agent_step {
    MU_AGENT_STEP_CA,        /* the CA and how it is trusted */
    MU_AGENT_STEP_RESPONDER, /* capabilities, clock difference */
    MU_AGENT_STEP_KEY,       /* "RSA 2048, new" */
    MU_AGENT_STEP_REQUEST,   /* "<transaction id>  sent" or "... again" */
    MU_AGENT_STEP_STATUS,    /* "PENDING, waits for an operator", "SUCCESS after 3 min 12 s" */
    MU_AGENT_STEP_ISSUED,
    MU_AGENT_STEP_CHANGED,
    MU_AGENT_STEP_SAVED,
    MU_AGENT_STEP_RENEWAL,
    MU_AGENT_STEP_WARNING,
};
const char *mu_agent_step_word(enum mu_agent_step step); /* "responder" */

/* A CA that is not known here. Views during the call. */
struct mu_agent_trust {
    struct mu_pki_cert *ca;   /* the one that would be trusted: root if there, else the issuing CA */
    const char *subject;      /* comma form */
    const char *sha256;       /* colon form */
    const char *name;         /* it would be kept under this name */
};

enum mu_agent_result {
    MU_AGENT_NOTHING,   /* nothing to do */
    MU_AGENT_ISSUED,
    MU_AGENT_WAITING,   /* pending; with it err is NULL, the exit code is 5 */
    MU_AGENT_ANSWERED,  /* a query has its answer */
};

/* Views during on_done. */
struct mu_agent_outcome {
    enum mu_agent_result result;
    const char *why;                        /* NOTHING: "valid until ..., renews from ..." */
    const struct mu_agent_facts *facts;     /* of the entry now; NULL for plain queries */
    const struct mu_client_result *answer;  /* what the CA said; NULL if nothing was asked */
    const char *replaced;                   /* stem that was current before; NULL: none */
    bool ca_changed;                        /* a CA certificate came to those trusted */
    bool held;                              /* ISSUED, and waits to be deployed: facts are of the present pair */
    const char *file;                       /* CRL: where it was stored */
    const char *url;                        /* probe: the one that answered */
    enum mu_proto proto;                    /* probe: what it speaks */
    struct mu_bytes csr_attrs;              /* probe, EST: what the CA wants in a request; n 0: nothing */
    const char *paths;                      /* probe, CMP, of a bare host: where it answered; "" */
    bool has_clock;
    int64_t clock_difference_s;             /* server minus us */
};

struct mu_agent_host {
    void *ctx;
    bool may_ask;   /* on_trust reaches a person */
    /* Answer with mu_agent_job_trust, now or later. NULL: refused with M209. */
    void (*on_trust)(void *ctx, struct mu_agent_job *job, const struct mu_agent_trust *question);
    /* One line for people; NULL: nobody listens. */
    void (*on_step)(void *ctx, enum mu_agent_step step, const char *text);
    /* While pending: next question in wait_s; all ends after limit_s (0: unknown). */
    void (*on_wait)(void *ctx, int64_t wait_s, int64_t limit_s);
    /* err NULL: fine. Both are views. The job is freed behind it by the agent. */
    void (*on_done)(void *ctx, const struct mu_agent_outcome *outcome, const struct mu_err *err);
};
void mu_agent_job_trust(struct mu_agent_job *job, bool yes);
/* Stops a job: what was sent stays stored, on_done does not come. */
void mu_agent_job_cancel(struct mu_agent_job *job);

/* ---- enrollments ---- */
struct mu_agent_enroll {
    const char *name;
    const struct mu_agent_settings *settings; /* NULL: the stored ones */
    size_t route;     /* of 'ca = a, b' in the configuration */
    const struct mu_secret *challenge;   /* NULL: the stored one, if any; so with all of them */
    const struct mu_secret *key_password; /* encrypts a new key, opens a given one */
    const struct mu_secret *password, *srp_password; /* EST */
    const struct mu_secret *secret;      /* CMP: of settings.ref */
    const struct mu_secret *shared_key;  /* EST: that of server-key-to, in hex */
    bool replace;     /* a new key and certificate although there is one */
    bool drop_pending; /* --new: forget a pending request first */
    bool same_try;    /* another route, right behind one that failed */
    bool no_wait;     /* PENDING: return, do not poll */
};
/* Valid certificate and same settings: NOTHING. A pending request: goes on with it. Settings are
 * stored before anything is sent. */
enum mu_code mu_agent_enroll(struct mu_agent *agent, const struct mu_agent_enroll *request,
    const struct mu_agent_host *host, struct mu_agent_job **out, struct mu_err *err) MU_CHECK;

struct mu_agent_renew {
    const char *name;
    size_t route;     /* as above; a request that is out goes on by its own */
    const struct mu_secret *challenge;
    const struct mu_secret *key_password;
    const struct mu_secret *password, *srp_password; /* EST, where a renewal needs them */
    const struct mu_secret *secret; /* CMP */
    const struct mu_secret *shared_key; /* EST */
    bool drop_pending; /* forget a pending request first */
    bool same_try;    /* as above */
    bool force;       /* although not due */
    bool regenerate;  /* now, with the same key unless rekey */
    bool rekey;       /* a new key although reuse-key */
    bool reuse_key;   /* the same key although nothing says so */
    bool dry_run;     /* say what would be done */
    bool next_ca;     /* of the CA's successor, due or not; it waits until the present one expires. Over EST
                       * and CMP: who that will be is learned, and it is renewed if it is due */
    bool no_wait;
};
/* The pair that waits becomes current, now or, if due is set, only where the current one is out of
 * time; NOTHING else changes. MU_NOT_FOUND if none waits, or none is due. */
enum mu_code mu_agent_activate(struct mu_agent *agent, const char *name, bool due,
    struct mu_keystore_saved *saved, struct mu_err *err) MU_CHECK;
/* Not due: NOTHING. Expired: tried all the same (M601 as a warning). */
enum mu_code mu_agent_renew(struct mu_agent *agent, const struct mu_agent_renew *request,
    const struct mu_agent_host *host, struct mu_agent_job **out, struct mu_err *err) MU_CHECK;
/* A job that could not even start: kept for show, and told as an event, once. */
void mu_agent_note_failed(struct mu_agent *agent, const char *name, const struct mu_err *err);
/* Asks now about a pending request; no_wait: once. None pending: NOTHING. */
enum mu_code mu_agent_poll(struct mu_agent *agent, const char *name, bool no_wait,
    const struct mu_secret *key_password, const struct mu_agent_host *host,
    struct mu_agent_job **out, struct mu_err *err) MU_CHECK;
/* Forgets a pending request with its key; settings and secrets too if nothing was ever issued under
 * this name. MU_NOT_FOUND if nothing is pending. */
enum mu_code mu_agent_cancel(struct mu_agent *agent, const char *name, struct mu_err *err) MU_CHECK;

/* ---- requests by file ---- */
/* Makes key (kept as pending) and request of the entry; PEM to out. The same again gives the same
 * key. */
enum mu_code mu_agent_csr(struct mu_agent *agent, const struct mu_agent_enroll *request,
    struct mu_buf *pem, struct mu_err *err) MU_CHECK;
/* Takes the answer: certs hold the certificate of the entry's pending (or present) key and perhaps
 * its chain, in any order. */
enum mu_code mu_agent_install(struct mu_agent *agent, const char *name,
    const struct mu_pki_certs *certs, const struct mu_secret *key_password,
    struct mu_keystore_saved *saved, struct mu_err *err) MU_CHECK;

/* A pair that exists becomes an entry, or its next one: key_file (or a pkcs11: URI) and the certificate for it among
 * certs are copied into the store, nothing is asked of a CA. settings say where to renew (NULL: they are known,
 * by the configuration, or said later). */
struct mu_agent_adopt {
    const char *name, *key_file;
    const struct mu_pki_certs *certs;
    const struct mu_agent_settings *settings;
    const struct mu_secret *challenge, *key_password, *password, *srp_password, *secret, *shared_key;
};
enum mu_code mu_agent_adopt(struct mu_agent *agent, const struct mu_agent_adopt *adopt,
    struct mu_keystore_saved *saved, struct mu_err *err) MU_CHECK;

/* ---- questions ---- */
enum mu_agent_query_op {
    MU_AGENT_QUERY_CA,      /* CA certificates of a URL */
    MU_AGENT_QUERY_NEXT_CA,
    MU_AGENT_QUERY_CERT,    /* by serial, in the name of an entry */
    MU_AGENT_QUERY_CRL,     /* in the name of an entry over its protocol, or a CRL's http URL; stored */
    MU_AGENT_QUERY_PROBE,   /* which protocol, what it can, chain, clock */
    MU_AGENT_QUERY_REVOKE,  /* of an entry, over CMP, signed with the certificate in question */
};
struct mu_agent_query {
    enum mu_agent_query_op op;
    const char *name;          /* entry; NULL: url and settings only */
    const char *url;
    const char *serial;        /* CERT: as typed */
    int revoke_reason;         /* REVOKE: CRLReason, 0: unspecified */
    enum mu_proto only;        /* PROBE: this protocol alone; MU_PROTO_NONE: what there is */
    const struct mu_agent_settings *settings; /* connection, ca-identifier; NULL: the entry's or defaults */
    const struct mu_secret *key_password, *password, *srp_password, *secret;
};
enum mu_code mu_agent_query(struct mu_agent *agent, const struct mu_agent_query *query,
    const struct mu_agent_host *host, struct mu_agent_job **out, struct mu_err *err) MU_CHECK;

#endif
