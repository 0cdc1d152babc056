/*
 * The CA's records behind one interface: store_memory.c, store_sqlite.c, PostgreSQL later.
 *
 * Changes are submitted as one batch with its conditions. All of it happens or nothing, and the
 * callback comes after it is durable: whoever answers a client answers from there. Batches of
 * several threads are committed together; one that loses a condition spoils no neighbor and gets
 * the winner's record back.
 *
 * Every call may complete later and on another thread, reads too (PostgreSQL's do); the memory
 * store answers at once, SQLite answers reads at once and changes from its writer thread. Rows
 * handed to a callback are views, valid during the call. What a call is given must stay valid
 * until its callback.
 */
#ifndef MU_STORE_STORE_H
#define MU_STORE_STORE_H

#include "base/env.h"
#include "enroll/enroll_record.h"

struct mu_store;

/* ---- changes ---- */

/* Which condition a batch lost. */
enum mu_store_lost {
    MU_STORE_LOST_NONE,
    MU_STORE_LOST_TRANSACTION, /* there is one already: result.request and .cert are the winner's */
    MU_STORE_LOST_STATE, /* the request is no longer PENDING: result.request (and .cert) as it is */
    MU_STORE_LOST_CHALLENGE, /* used, expired, disabled or gone meanwhile: result.entry, NULL if
                                gone */
    MU_STORE_LOST_PENDING, /* too many are waiting */
    MU_STORE_LOST_ALIVE, /* too many live certificates of this subject */
    MU_STORE_LOST_RATE, /* too many requests of this subject in the last hour */
    MU_STORE_LOST_SERIAL, /* serial taken */
    MU_STORE_LOST_REVOKED, /* revoke: no such certificate, or revoked already: result.cert, NULL if
                              none */
    MU_STORE_LOST_EXISTS, /* create: the name is taken */
    MU_STORE_LOST_MISSING, /* replace, remove: no such name */
    MU_STORE_LOST_NUMBER, /* CRL number not above the last one */
    MU_STORE_LOST_CONFIRM, /* no confirmation is waited for: result.cert, NULL if none */
};

enum mu_store_put { MU_STORE_CREATE, MU_STORE_REPLACE, MU_STORE_PUT /* either */, MU_STORE_REMOVE };

/* A sentence for logs and admin calls; callers that know what they asked for have better ones. */
const char *mu_store_lost_text(enum mu_store_lost lost);

struct mu_store_result {
    enum mu_code code; /* MU_OK; MU_DENIED if a condition was lost; MU_STORAGE, MU_BUSY */
    enum mu_store_lost lost;
    const struct mu_record_request *request;
    const struct mu_record_cert *cert;
    const struct mu_record_entry *entry;
    int64_t request_id; /* of the new or changed request */
    const struct mu_err *err; /* code != MU_OK */
};
typedef void mu_store_done(void *cookie, const struct mu_store_result *result);

/* Each member that is NULL or 0 is left out. Members are applied in this order. */
struct mu_store_change {
    int64_t now_s;

    /* A new transaction. Condition: no other of the same (proto, ca, transaction_id, signer,
     * digest) since retransmit_since_s; an older one is forgotten in its favor. */
    const struct mu_record_request *request;
    int64_t retransmit_since_s;
    bool transaction_alone; /* and no other of its (proto, ca, transaction_id) whoever signed it:
                               CMP's transactionIdInUse */
    int64_t pending_max; /* request is PENDING: at most so many per CA, this one included */
    const char *subject; /* to be issued, comma form: what rate_max and alive_max count by */
    int64_t rate_max; /* certificates issued and requests made in the last hour for it, this one
                         included */

    /* Settles the PENDING request settle_id: new state, serial, words, changed_s; the CSR goes, and
     * with a rejection what was kept for EST: a key made for the client. */
    int64_t settle_id;
    enum mu_record_state settle_state;
    const char *settle_words;
    /* Or gives it a new transaction id: the client asks again under another (INTEROP 3.15). */
    const char *settle_transaction_id;

    int64_t keep_id; /* this request's kept is replaced */
    struct mu_bytes keep;

    const struct mu_record_cert *cert; /* a new certificate; its renews gets renewed_by */
    int64_t alive_max; /* live certificates of subject and CA, this one included; the renewed one
                          does not count */
    int64_t alive_since_s; /* nor those issued before this */

    const char *use_entry; /* counts one use. Condition: enabled, not expired, uses left */

    /* Settles the confirmation of a certificate that waits for one; WAITING only moves the end of
     * the wait to confirm_until_s. Condition: it is waiting still. */
    const char *confirm_ca; /* with confirm_serial */
    struct mu_bytes confirm_serial;
    enum mu_record_confirm confirm;
    int64_t confirm_until_s;

    const char *revoke_ca; /* with revoke_serial */
    struct mu_bytes revoke_serial;
    int revoke_reason;
    bool revoke_lenient; /* already revoked is no loss */
    bool revoke_lift; /* the other way: a certificate on hold (reason 6) is in force again.
                         Condition: it is on hold */

    const struct mu_record_crl *crl; /* condition: number above the last one of its CA */

    const struct mu_record_ca *ca;
    enum mu_store_put ca_put;
    const struct mu_record_profile *profile;
    enum mu_store_put profile_put;
    const struct mu_record_entry *entry; /* REPLACE writes all members but uses and created_s */
    enum mu_store_put entry_put;
    bool entry_reset_uses; /* and its reset_s becomes now_s */
    const char *setting_key, *setting_value; /* value NULL: removed */

    const char *expire_ca; /* PENDING requests of this CA created before expire_pending_s are */
    int64_t expire_pending_s; /* rejected with settle_words */
    int64_t forget_settled_s; /* settled requests changed before this go */
    int64_t forget_kept_s; /* what was kept of those of EST and expire_ca, keys made for clients, if
                              changed before this */
    int64_t forget_audit_s;

    const struct mu_record_audit *audit;
    size_t audit_n;

    mu_store_done *done; /* exactly once; not NULL */
    void *cookie;
    bool any_thread; /* done may run on the writer's thread though the store has a post function */
    struct mu_store_change *next_; /* the store's own while it is queued */
    void *caller_;
};

/* ---- reads ---- */

/* All that one decision needs, in one round trip. Members that are NULL or empty are not asked. */
struct mu_store_ask {
    const char *ca;
    enum mu_proto proto;
    const char *transaction_id;
    struct mu_bytes signer; /* with transaction_id, digest */
    struct mu_bytes digest;
    int64_t since_s; /* settled requests changed before this do not count */
    bool any_signer; /* facts.latest: of this transaction id, whoever signed it */
    struct mu_bytes serial; /* this certificate of ca: facts.cert */
    struct mu_bytes other_serial; /* a second one (rr, oldCertID): facts.other_cert */
    struct mu_bytes password_hash; /* facts.entry */
    const char *entry_name; /* or by name: facts.entry */
    struct mu_bytes key_hash, subject_hash; /* facts.key_seen: the newest certificate of this key
                                               whose subject is not subject_hash */
};
struct mu_store_facts {
    const struct mu_err *err; /* not NULL: the store failed, nothing else is set */
    const struct mu_record_request *same; /* same transaction id, signer and digest */
    const struct mu_record_cert *same_cert; /* ISSUED: its certificate */
    const struct mu_record_request
        *resent; /* same signer and digest under another transaction id */
    const struct mu_record_cert *resent_cert;
    const struct mu_record_request
        *latest; /* newest of this transaction id and signer: for polls */
    const struct mu_record_cert *latest_cert;
    const struct mu_record_cert *cert;
    const struct mu_record_cert *other_cert;
    const struct mu_record_entry *entry;
    const struct mu_record_cert *key_seen;
};
typedef void mu_store_facts_call(void *cookie, const struct mu_store_facts *facts);

/* One call per row, then one with row NULL: err NULL at the good end. Returning false from a row
 * ends the reading early, then no last call comes. */
typedef bool mu_store_ca_call(
    void *cookie, const struct mu_record_ca *row, const struct mu_err *err);
typedef bool mu_store_profile_call(
    void *cookie, const struct mu_record_profile *row, const struct mu_err *err);
typedef bool mu_store_entry_call(
    void *cookie, const struct mu_record_entry *row, const struct mu_err *err);
typedef bool mu_store_cert_call(
    void *cookie, const struct mu_record_cert *row, const struct mu_err *err);
typedef bool mu_store_request_call(
    void *cookie, const struct mu_record_request *row, const struct mu_err *err);
typedef bool mu_store_audit_call(
    void *cookie, const struct mu_record_audit *row, const struct mu_err *err);
typedef bool mu_store_crl_call(
    void *cookie, const struct mu_record_crl *row, const struct mu_err *err);
typedef bool mu_store_setting_call(
    void *cookie, const char *key, const char *value, const struct mu_err *err);

/* Newest first; the next page begins before_id the last one shown. 0 and NULL: no such filter. */
struct mu_store_filter {
    const char *ca;
    const char *name; /* entries */
    bool only_wildcard; /* entries: with a '*' in the name; no limit */
    int64_t id; /* requests */
    int64_t before_id;
    unsigned limit; /* 0: 100 */
    const char *subject; /* certificates, audit: the subject contains this */
    struct mu_bytes serial; /* certificates, audit */
    const char *transaction_id; /* requests, audit, certificates */
    bool by_state; /* requests: only this state */
    enum mu_record_state state;
    const char *action; /* audit */
    const char *profile; /* certificates */
    bool only_revoked; /* certificates; not expired before expires_after_s: for the CRL, no limit */
    int64_t expires_after_s, expires_before_s; /* certificates */
    int64_t unconfirmed_s; /* certificates: that wait for a confirmation since before this */
    int64_t since_s; /* audit: not older */
};

struct mu_store_counts {
    int64_t certs, live, revoked, expiring_30d; /* live: valid now, not revoked */
    int64_t pending, oldest_pending_s; /* 0: none */
    int64_t entries;
    int64_t issued_24h, renewed_24h, refused_24h; /* by the audit trail */
};
typedef void mu_store_counts_call(
    void *cookie, const struct mu_store_counts *counts, const struct mu_err *err);

struct mu_store_ops {
    void (*submit)(struct mu_store *, struct mu_store_change *change);
    void (*flush)(struct mu_store *); /* NULL: nothing is ever gathered */
    void (*ask)(
        struct mu_store *, const struct mu_store_ask *ask, mu_store_facts_call *call, void *cookie);
    void (*cas)(struct mu_store *, mu_store_ca_call *call, void *cookie);
    void (*profiles)(struct mu_store *, mu_store_profile_call *call, void *cookie);
    void (*settings)(struct mu_store *, mu_store_setting_call *call, void *cookie);
    void (*entries)(
        struct mu_store *, const struct mu_store_filter *, mu_store_entry_call *call, void *cookie);
    void (*certs)(
        struct mu_store *, const struct mu_store_filter *, mu_store_cert_call *call, void *cookie);
    void (*requests)(struct mu_store *, const struct mu_store_filter *, mu_store_request_call *call,
        void *cookie);
    void (*audits)(
        struct mu_store *, const struct mu_store_filter *, mu_store_audit_call *call, void *cookie);
    void (*crl)(
        struct mu_store *, const char *ca, mu_store_crl_call *call, void *cookie); /* the latest */
    void (*counts)(struct mu_store *, int64_t now_s, mu_store_counts_call *call, void *cookie);
    void (*close)(struct mu_store *); /* finishes what is queued */
};
struct mu_store {
    const struct mu_store_ops *ops;
};

static inline void mu_store_submit(struct mu_store *s, struct mu_store_change *change)
{
    s->ops->submit(s, change);
}
static inline void mu_store_close(struct mu_store *s)
{
    if (s != NULL)
        s->ops->close(s);
}

/* Submits and waits. For admin calls and start-up; done, cookie and any_thread are overwritten.
 * out (may be NULL) gets code, lost and request_id; its rows are NULL. A lost condition is
 * MU_DENIED without a sentence: the caller knows what it asked for. */
enum mu_code mu_store_submit_wait(struct mu_store *store, struct mu_store_change *change,
    struct mu_store_result *out, struct mu_err *err) MU_CHECK;

/* How completions reach the thread that submitted: caller is asked at submit, on that thread, for
 * whatever names it (NULL: no way back, call from here); post runs call there. post NULL: done is
 * called on the writer's thread. */
struct mu_store_post {
    void *(*caller)(void *ctx);
    bool (*post)(void *ctx, void *caller, void (*call)(void *cookie), void *cookie);
    void *ctx;
};

/* Around the answers to what was committed together, on the writer's thread. NULL: nothing. */
struct mu_store_answers {
    void (*begin)(void *ctx);
    void (*end)(void *ctx);
    void *ctx;
};

/* Says that this thread gathers what it submits and calls mu_store_flush soon after, before it
 * waits for anything: the writer is not woken for each. */
void mu_store_thread_gathers(void);
/* What was gathered is begun. Costs nothing where there is nothing. */
static inline void mu_store_flush(struct mu_store *s)
{
    if (s->ops->flush != NULL)
        s->ops->flush(s);
}

enum mu_code mu_store_memory_open(struct mu_store **out, struct mu_err *err) MU_CHECK;

struct mu_store_sqlite_config {
    const char *path; /* created with mode 0600; with -wal and -shm beside it */
    struct mu_store_post post;
    struct mu_store_answers answers;
    unsigned max_queue; /* changes waiting; 0: 8192; more are MU_BUSY */
    bool read_only; /* somebody else owns it: every change is MU_STORAGE */
};
/* WAL, synchronous FULL. Another program's database, or a newer version of ours, is refused. */
enum mu_code mu_store_sqlite_open(const struct mu_store_sqlite_config *config,
    struct mu_store **out, struct mu_err *err) MU_CHECK;
/* A consistent copy into a new file (mode 0600), while it is in use. */
enum mu_code mu_store_sqlite_backup(
    struct mu_store *store, const char *path, struct mu_err *err) MU_CHECK;

#endif
