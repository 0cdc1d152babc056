/*
 * The certification authority as a service: HTTP request in, HTTP response out, with policy,
 * issuing, records and audit between. It opens no socket and no file: keys come through two
 * functions, records through a mu_store. Safe from any number of threads.
 *
 * Private keys are used on the thread that calls mu_ca_handle. The answer is ready before the
 * record is submitted and leaves when the store says it is durable.
 *
 * Settings of a CA ('key = value' lines in its record):
 *   crl-url, ocsp-url, ca-issuers-url   put into certificates; none
 *   crl-lifetime, crl-renew             7d, 1d: made anew so long before it ends
 *   no-challenge       profile for requests without a challenge; empty: they are refused
 *   pending-max        1000: waiting requests; more are refused
 *   pending-age        7d: then they are rejected by themselves
 *   retransmit         7d: how long a repeated request gets the same certificate (SCEP-60)
 *   allow-legacy       no: MD5, SHA-1, DES, 3DES, Blowfish from clients
 *   single-ca-cert     no: GetCACert gives only the issuing CA (IOP-08)
 *   sign-alg-rsa-encryption  yes: plain rsaEncryption in our SignerInfo (strongSwan 5.9.8)
 *   caps-sha384        yes: list SHA-384
 *   est                profile of EST without a label, with switches of the profile key 'est':
 *                      est+one-line; it says what csrattrs answers and what who comes with a
 *                      certificate of client-ca gets; empty: none
 *   labels             the same for labels: iot:est, old:est+one-line
 *   client-ca          certificates in PEM: who has one of them that is valid may enroll by EST
 *   client-crl         files with the revocation lists of those CAs, by comma; empty: they are not
 *                      asked. Certificates of another CA here are looked up in its record always
 *   cmp-confirm-wait   5min: how long a certConf is waited for; then the certificate is revoked
 *   cmp-time-slack     0: a CMP message whose messageTime is further off is refused; 0: not judged
 *   cmp-check-after    60s: when a client whose request waits should poll
 *   cmp-implicit-confirm  yes: grant implicitConfirm to those who ask for it
 *   cmp-ra             certificates in PEM: who signs CMP with one of these is an RA, as is who has one
 *                      of ours with cmcRA: speaks for others
 *   client-profile     profile of requests signed by certificates below client-ca, or by an RA;
 *                      empty: they are refused
 *   default            no: this CA answers where neither path nor identifier names one
 */
#ifndef MU_CA_CA_H
#define MU_CA_CA_H

#include "enroll/enroll_issuer.h"
#include "enroll/enroll_profile.h"
#include "enroll/enroll_record.h"
#include "enroll/enroll_server.h"
#include "store/store.h"

struct mu_ca;

/* Resolve a key reference of a record, and keep a new key under one. Errors are the keystore's. */
typedef enum mu_code mu_ca_key_load(
    void *cookie, const char *ref, struct mu_pki_key **out, struct mu_err *err);
typedef enum mu_code mu_ca_key_save(
    void *cookie, const char *ref, const struct mu_pki_key *key, struct mu_err *err);
/* Each audit event as it happens, for the log; also the 'request' events, which are not stored.
 * From any thread. */
typedef void mu_ca_event(void *cookie, const struct mu_record_audit *event);

struct mu_ca_config {
    struct mu_store *store; /* must outlive the CA */
    const struct mu_env *env; /* likewise; its functions are called from many threads */
    struct mu_bytes secret; /* key of the challenge hashes, at least 16 octets, kept outside the
                               database; copied */
    mu_ca_key_load *key_load;
    mu_ca_key_save *key_save; /* NULL: nothing can be created */
    /* The file of a setting (client-crl); NULL: there are none. */
    enum mu_code (*file_read)(
        void *cookie, const char *path, struct mu_buf *out, struct mu_err *err);
    void *key_cookie;
    mu_ca_event *event; /* may be NULL */
    void *event_cookie;
    /* Tokens per address: a request that costs a private key takes one, a good end gives it back,
     * so only what fails (or waits) is counted. 0: 200 and 5 a second; burst -1: no limit. */
    int rate_burst;
    double rate_per_s;
    /* Wrong challenges per address before it has to wait: 0: 20 an hour; -1: no limit. */
    int password_attempts;
    struct mu_issuer *issuer; /* NULL: sign here */
};

/* Reads CAs, profiles and settings from the store, loads the keys. No CA at all is fine. */
enum mu_code mu_ca_new(
    const struct mu_ca_config *config, struct mu_ca **out, struct mu_err *err) MU_CHECK;
/* After the last answer was given. */
void mu_ca_free(struct mu_ca *ca);
/* Reads all of it again and replaces the snapshot; running requests keep theirs. The calls below
 * that change something do it by themselves. */
enum mu_code mu_ca_reload(struct mu_ca *ca, struct mu_err *err) MU_CHECK;
/* Once a minute or so: CRLs that near their end, old pending requests, old transactions. */
enum mu_code mu_ca_tick(struct mu_ca *ca, struct mu_err *err) MU_CHECK;

/* ---- serving ---- */

/* Called exactly once, maybe before handle returns, maybe on the store's thread. Takes over the
 * response's content. */
typedef void mu_ca_reply(void *cookie, struct mu_http_response *response);
/* The request must stay valid until the reply. Paths: SCEP at /scep, /app/cert/scep/,
 * /cgi-bin/pkiclient.exe with any tail, or anywhere with operation=; a CA by its name as a path
 * label (/scep/NAME) or as message= of the queries; GET /crl/NAME.crl, /ca/NAME.crt; else 404. */
void mu_ca_handle(
    struct mu_ca *ca, const struct mu_http_request *request, mu_ca_reply *reply, void *cookie);

struct mu_ca_stats { /* since start */
    uint64_t requests, issued, renewed, pending, refused, rate_limited, resent;
    uint64_t refused_by[MU_REFUSE_LAST - MU_REFUSE_FIRST];
};
void mu_ca_stats(struct mu_ca *ca, struct mu_ca_stats *out);

/* ---- what an operator does; all of it waits for the store ----
 * 'operator' names who, for the audit trail: "root", a login. */

struct mu_ca_init {
    const char *name; /* entry name */
    const char *root_subject; /* DN, slash or comma form */
    struct mu_pki_key_spec root_key; /* type 0: RSA 2048 */
    int64_t root_lifetime_s; /* 0: 10 years */
    const char *issuing_subject; /* NULL: the root issues by itself */
    struct mu_pki_key_spec issuing_key;
    int64_t issuing_lifetime_s; /* 0: 5 years */
    bool with_ra; /* an RA certificate answers clients (SCEP-02) */
    struct mu_pki_key_spec ra_key; /* type 0: RSA 2048, as SCEP needs it */
    const char *settings; /* NULL: none */
    const char *operator;
};
/* Makes keys and certificates, keeps the keys as NAME-root, NAME, NAME-ra, stores the CA with its
 * first, empty CRL (CA-19), and a profile "default" if there is none. */
enum mu_code mu_ca_init(
    struct mu_ca *ca, const struct mu_ca_init *init, struct mu_err *err) MU_CHECK;
/* A successor (SCEP-77): key NAME-next-<n>; is handed out by GetNextCACert, serves who envelopes
 * to it. activate makes it the current one. */
enum mu_code mu_ca_next(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err) MU_CHECK;
enum mu_code mu_ca_activate(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err) MU_CHECK;
/* Makes (or makes anew) the certificate with cmKGA that signs keys made here for clients. */
enum mu_code mu_ca_kga(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err) MU_CHECK;
/* One made elsewhere instead: key and certificates (its own first, then what leads to a root that the
 * clients trust), each PEM or DER. It has cmKGA, may sign, is valid now, and the key is its own. */
struct mu_ca_kga_given { struct mu_bytes key, certs; };
enum mu_code mu_ca_kga_give(struct mu_ca *ca, const char *name, const struct mu_ca_kga_given *given,
    const char *operator, struct mu_err *err) MU_CHECK;
enum mu_code mu_ca_set(struct mu_ca *ca, const char *name, const char *settings,
    const char *operator, struct mu_err * err) MU_CHECK;

/* What the demo is (ACCEPTANCE 'Fixture'): one self-signed CA that acts as RA itself; challenge1
 * (entry demo-auto) signs at once, challenge2 (demo-manual) and no challenge wait; C is dropped,
 * OU=AS set; 365 days; renewal at any time; no limit on requests. Leaves what exists alone, so it
 * may be called at each start. */
#define MU_CA_DEMO_NAME "demo"
#define MU_CA_DEMO_SUBJECT "/C=NL/ST=NH/L=Amsterdam/O=Fortinet/OU=AS/CN=sceptest"
enum mu_code mu_ca_demo(struct mu_ca *ca, struct mu_err *err) MU_CHECK;

/* A server certificate of 90 days for key, with the CA's chain behind it. Names as of a SAN option:
 * "DNS:ca.example,IP:192.0.2.1". */
struct mu_ca_tls {
    const char *ca; /* NULL: the default one */
    const char *common_name, *names;
};
enum mu_code mu_ca_tls_make(struct mu_ca *ca, const struct mu_ca_tls *wish,
    const struct mu_pki_key *key, struct mu_pki_certs *chain, struct mu_err *err) MU_CHECK;

/* TLS-SRP: salt (MU_CA_SRP_SALT octets) and password of a user who may log in so. A name that nobody
 * has gets its salt too and no password (RFC 5054 2.5.1.3). False: cannot be told now. */
enum { MU_CA_SRP_SALT = 16 };
bool mu_ca_srp(struct mu_ca *ca, const char *user, uint8_t salt[MU_CA_SRP_SALT],
    struct mu_secret *password);

/* One CA as it is now. Views valid during the call. */
struct mu_ca_view {
    const char *name;
    const struct mu_pki_certs *chain, *ra, *next, *kga;
    const char *settings;
    bool is_default;
    bool has_key; /* false: its key could not be loaded; then why */
    const char *why;
};
typedef bool mu_ca_view_call(void *cookie, const struct mu_ca_view *view);
void mu_ca_each(struct mu_ca *ca, mu_ca_view_call *call, void *cookie);

struct mu_ca_entry_new {
    const char *name;
    unsigned protocols; /* 1 << enum mu_proto; 0: all */
    const char *profile; /* must exist */
    const char *ca; /* NULL: any */
    const struct mu_secret *password; /* NULL: random, 128 bits */
    bool reusable; /* else once */
    int64_t max_uses; /* 0: by reusable */
    int64_t expires_s; /* 0: never */
    const char *comments;
    const char *operator;
};
/* password (secret, may be NULL if one was given) gets the random one: shown once, by nobody else.
 * A password that another entry has is refused: entries are found by it. */
enum mu_code mu_ca_entry_new(struct mu_ca *ca, const struct mu_ca_entry_new *entry,
    struct mu_secret *password, struct mu_err *err) MU_CHECK;
/* The password of one device of a wildcard entry (CMP), derived from the entry's: the same at each
 * call until that changes. */
enum mu_code mu_ca_entry_device(struct mu_ca *ca, const char *name, const char *reference,
    struct mu_secret *password, struct mu_err *err) MU_CHECK;
/* given NULL: random. */
enum mu_code mu_ca_entry_passwd(struct mu_ca *ca, const char *name, const struct mu_secret *given,
    struct mu_secret *password, const char *operator, struct mu_err * err) MU_CHECK;
/* The client lost its key: uses begin at 0 again, its live certificates no longer stand in the way.
 */
enum mu_code mu_ca_entry_reset(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err) MU_CHECK;
enum mu_code mu_ca_entry_disable(struct mu_ca *ca, const char *name, bool disabled,
    const char *operator, struct mu_err * err) MU_CHECK;
enum mu_code mu_ca_entry_remove(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err) MU_CHECK;

enum mu_code mu_ca_profile_put(struct mu_ca *ca, const char *name, const char *settings,
    bool create, const char *operator, struct mu_err * err) MU_CHECK;
enum mu_code mu_ca_profile_remove(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err) MU_CHECK;
typedef bool mu_ca_profile_call(void *cookie, const struct mu_enroll_profile *profile);
void mu_ca_profile_each(struct mu_ca *ca, mu_ca_profile_call *call, void *cookie);

/* A waiting request by number or transaction id; MU_NOT_FOUND if there is none waiting. */
struct mu_ca_queue_view {
    const struct mu_record_request *request;
    const struct mu_pki_csr *csr; /* as asked, without its challenge */
    struct mu_bytes subject, extensions; /* as it would be issued; n 0 if refusal says why not */
    int64_t not_before_s, not_after_s;
    const struct mu_err *refusal; /* NULL: could be issued */
    const char *key_seen_as; /* NULL: key not seen under another name */
};
typedef void mu_ca_queue_call(void *cookie, const struct mu_ca_queue_view *view);
enum mu_code mu_ca_queue_show(struct mu_ca *ca, const char *id, mu_ca_queue_call *call,
    void *cookie, struct mu_err *err) MU_CHECK;
/* profile NULL: the request's. serial (may be NULL) gets what was issued. The client gets it at its
 * next poll. */
enum mu_code mu_ca_queue_approve(struct mu_ca *ca, const char *id, const char *profile,
    const char *operator, struct mu_buf * serial, struct mu_err *err) MU_CHECK;
enum mu_code mu_ca_queue_reject(struct mu_ca *ca, const char *id, const char *reason,
    const char *operator, struct mu_err * err) MU_CHECK;

/* serial as people type it (hex with or without colons, decimal with "0d" in front not needed: what
 * mu_pki_serial_parse takes). ca NULL: the only or default one. Makes a new CRL at once. */
enum mu_code mu_ca_revoke(struct mu_ca *ca, const char *name, const char *serial, int reason,
    const char *operator, struct mu_err * err) MU_CHECK;
/* Makes a CRL now. der (may be NULL) gets it. */
enum mu_code mu_ca_crl(
    struct mu_ca *ca, const char *name, struct mu_buf *der, struct mu_err *err) MU_CHECK;
/* The latest without making one. */
enum mu_code mu_ca_crl_latest(
    struct mu_ca *ca, const char *name, struct mu_buf *der, struct mu_err *err) MU_CHECK;

/* 'scep disable': requests are answered by MU_REFUSE_SERVICE_OFF. */
enum mu_code mu_ca_service_set(struct mu_ca *ca, enum mu_proto proto, bool enabled,
    const char *operator, struct mu_err * err) MU_CHECK;
bool mu_ca_service_enabled(struct mu_ca *ca, enum mu_proto proto);

/* Lists: straight from the store, waiting for its end. Rows as in store.h; return false to stop. */
typedef bool mu_ca_cert_call(void *cookie, const struct mu_record_cert *row);
typedef bool mu_ca_request_call(void *cookie, const struct mu_record_request *row);
typedef bool mu_ca_entry_call(void *cookie, const struct mu_record_entry *row);
typedef bool mu_ca_audit_call(void *cookie, const struct mu_record_audit *row);
enum mu_code mu_ca_certs_each(struct mu_ca *ca, const struct mu_store_filter *filter,
    mu_ca_cert_call *call, void *cookie, struct mu_err *err) MU_CHECK;
enum mu_code mu_ca_requests_each(struct mu_ca *ca, const struct mu_store_filter *filter,
    mu_ca_request_call *call, void *cookie, struct mu_err *err) MU_CHECK;
enum mu_code mu_ca_entries_each(struct mu_ca *ca, const struct mu_store_filter *filter,
    mu_ca_entry_call *call, void *cookie, struct mu_err *err) MU_CHECK;
enum mu_code mu_ca_audits_each(struct mu_ca *ca, const struct mu_store_filter *filter,
    mu_ca_audit_call *call, void *cookie, struct mu_err *err) MU_CHECK;
enum mu_code mu_ca_counts(
    struct mu_ca *ca, struct mu_store_counts *out, struct mu_err *err) MU_CHECK;

#endif
