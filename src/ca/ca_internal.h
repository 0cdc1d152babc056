/* What the files of ca/ share: the snapshot of the configuration, one request under way. */
#ifndef MU_CA_CA_INTERNAL_H
#define MU_CA_CA_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "ca/ca.h"
#include "pki/pki_crl.h"
#include "pki/pki_seal.h"

/* ---- the configuration in use: immutable, counted, replaced whole ---- */

/* A key with the certificate it belongs to. */
struct mu_ca_pair {
    struct mu_pki_key *key; /* NULL: could not be loaded */
    struct mu_pki_certs certs; /* its certificate first */
};

/* A label of EST (RFC 7030 3.2.2): the profile and the switches of who asks below it. */
struct mu_ca_label {
    char *label; /* "": the path without one */
    char *profile; /* "": none */
    unsigned est; /* MU_PROFILE_EST_* beside those of the profile */
};

struct mu_ca_one {
    char *name, *settings;
    char *key_ref, *ra_key_ref, *next_key_ref;
    int64_t created_s;
    struct mu_ca_pair ca, ra, next;
    char why[256]; /* a key is missing: the reason */
    char *subject; /* of the CA, comma form: for the event texts */
    /* settings */
    char *crl_url, *ocsp_url, *ca_issuers_url, *no_challenge;
    int64_t crl_lifetime_s, crl_renew_s, pending_max, pending_age_s, retransmit_s;
    char *est, *label_list, *client_ca_text; /* as text */
    struct mu_ca_label *labels; /* the unlabeled path first */
    size_t label_n;
    struct mu_pki_certs client_ca; /* whose certificates are accepted beside our own */
    char *client_crl; /* files with their revocation lists; "": none */
    struct mu_pki_crl **crls;
    size_t crl_n;
    char crl_why[256]; /* a file could not be read */
    uint8_t crl_hash[32]; /* of the files, to see that they changed */
    int64_t confirm_wait_s, check_after_s, time_slack_s;
    char *client_profile;
    struct mu_ca_pair kga; /* signs keys made for clients; none: key NULL */
    bool kga_is_given; /* made elsewhere */
    char *cmp_ra_text;
    struct mu_pki_certs cmp_ra; /* who signs with one of these speaks for others */
    bool implicit_confirm;
    struct mu_pki_certs links; /* next and what leads from an old root to it, for cacerts */
    bool allow_legacy, single_ca_cert, sign_alg_rsa_encryption, caps_sha384, is_default;
};

struct mu_ca_snapshot {
    atomic_uint refs;
    struct mu_ca_one *cas;
    size_t ca_n;
    struct mu_enroll_profile **profiles;
    size_t profile_n;
    bool keys_matter; /* some profile refuses keys seen under another name */
    bool off[4]; /* by enum mu_proto: switched off */
};

enum mu_code mu_ca_snapshot_load(
    const struct mu_ca_config *config, struct mu_ca_snapshot **out, struct mu_err *err) MU_CHECK;
void mu_ca_snapshot_free(struct mu_ca_snapshot *snapshot); /* gives one count back */
/* Fills the members that stand under 'settings'. one may be NULL: only checked. */
enum mu_code mu_ca_settings_parse(
    const char *name, const char *settings, struct mu_ca_one *one, struct mu_err *err) MU_CHECK;
/* NULL if there is none. name NULL or "": the default one. */
struct mu_ca_one *mu_ca_snapshot_find(const struct mu_ca_snapshot *snapshot, const char *name);
const struct mu_enroll_profile *mu_ca_snapshot_profile(
    const struct mu_ca_snapshot *snapshot, const char *name);

/* ---- labels (ca_label.c) ---- */

/* one->est, ->label_list and ->client_ca to what they mean. */
enum mu_code mu_ca_label_parse(struct mu_ca_one *one, struct mu_err *err) MU_CHECK;
void mu_ca_label_clear(struct mu_ca_one *one);

struct mu_ca_choice {
    const struct mu_ca_one *one;
    const struct mu_enroll_profile *profile; /* NULL: the label names none */
    bool is_named; /* the label stands for this profile alone */
    bool is_profile; /* it is the profile's own name: for who has an entry of it, and nobody else */
    unsigned est; /* switches of label and profile */
};
/* label NULL or "": the default CA. Else a label from the settings of a CA, a CA's name, or a
 * profile's, in this order. MU_NOT_FOUND with the sentence for the client. */
enum mu_code mu_ca_label_choose(const struct mu_ca_snapshot *snapshot, const char *label,
    struct mu_ca_choice *out, struct mu_err *err) MU_CHECK;

/* ---- certificates of other CAs (ca_stranger.c) ---- */

/* Reads one->client_crl; what fails is kept as one->crl_why, and its strangers are refused. */
void mu_ca_stranger_load(const struct mu_ca_config *config, struct mu_ca_one *one);
bool mu_ca_stranger_is_changed(const struct mu_ca_config *config, const struct mu_ca_one *one);
void mu_ca_stranger_clear(struct mu_ca_one *one);

/* ---- certificates of its own (ca_certify.c) ---- */

enum { MU_CA_BACKDATE_S = 300 };

/* One certificate to be made. */
struct mu_ca_plan {
    struct mu_bytes subject;
    const struct mu_pki_key *key; /* certified */
    const struct mu_pki_key *issuer_key;
    const struct mu_pki_cert *issuer; /* NULL: self-signed */
    int64_t lifetime_s;
    bool is_ca;
    int path_len;
    unsigned key_usage, eku;
};
enum mu_code mu_ca_certify(struct mu_ca *ca, const struct mu_ca_plan *plan,
    struct mu_pki_cert **out, struct mu_err *err) MU_CHECK;
/* A new key, kept under its reference before anybody relies on it. */
enum mu_code mu_ca_certify_key(struct mu_ca *ca, const struct mu_pki_key_spec *spec,
    const char *ref, struct mu_pki_key **out, struct mu_err *err) MU_CHECK;
/* The CA's name with its role behind its CN, or CN=CA <role> added. */
enum mu_code mu_ca_certify_subject(struct mu_bytes ca_name, const char *role, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;

/* ---- the key generation authority (ca_kga.c) ---- */

/* It has one that was made here. */
bool mu_ca_kga_is(struct mu_ca *ca, const char *name);
/* What is kept as a setting: the key's reference, the certificates, and whether they were given to us;
 * false: nothing that can be read. */
bool mu_ca_kga_read(const char *setting, char ref[96], struct mu_buf *der, bool *is_given);

/* ---- old and new root (ca_links.c) ---- */

/* After mu_ca_next: a self-signed CA and its successor certify each other. */
enum mu_code mu_ca_links_make(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err) MU_CHECK;
/* What make has kept, into one->links: what is still valid and not in the chain. */
enum mu_code mu_ca_links_read(
    struct mu_ca_one *one, const char *setting, int64_t now_s, struct mu_err *err) MU_CHECK;

/* ---- tokens per address ---- */

struct mu_ca_rate;
struct mu_ca_rate *mu_ca_rate_new(int burst, double per_s, int attempts);
void mu_ca_rate_free(struct mu_ca_rate *rate);
/* False: none left; *wait_s is when there will be one. "" is never limited. */
bool mu_ca_rate_take(struct mu_ca_rate *rate, const char *address, int64_t now_s, int64_t *wait_s);
void mu_ca_rate_give_back(struct mu_ca_rate *rate, const char *address, int64_t now_s);
/* Wrong passwords: false if there were too many within the hour. */
bool mu_ca_rate_may_guess(struct mu_ca_rate *rate, const char *address, int64_t now_s);
void mu_ca_rate_wrong_guess(struct mu_ca_rate *rate, const char *address, int64_t now_s);
/* The same for a name that passwords are guessed of, from anywhere. */
bool mu_ca_rate_may_guess_of(struct mu_ca_rate *rate, const char *entry, int64_t now_s);
void mu_ca_rate_wrong_guess_of(struct mu_ca_rate *rate, const char *entry, int64_t now_s);
/* One that was counted before anybody could know was right. */
void mu_ca_rate_right_guess_of(struct mu_ca_rate *rate, const char *entry, int64_t now_s);

/* ---- keys of MACs of transactions under way (ca_cmp_mac.c) ---- */

struct mu_ca_mac;
struct mu_ca_mac *mu_ca_mac_new(void);
void mu_ca_mac_free(struct mu_ca_mac *mac);
void mu_ca_mac_tick(struct mu_ca_mac *mac, int64_t now_s); /* forgets what is too old */

/* ---- the service ---- */

struct mu_ca {
    struct mu_ca_config config;
    struct mu_secret secret;
    uint8_t seal_key[MU_PKI_SEAL_KEY]; /* of what is kept sealed in the store (ca_seal.c) */
    uint8_t nonce_key[32]; /* of Digest's nonces: the same at all nodes with this secret */
    pthread_mutex_t lock; /* of the pointer below */
    struct mu_ca_snapshot *snapshot;
    pthread_mutex_t reload_lock; /* one reading at a time: the last one read is the last put in use */
    pthread_mutex_t admin_lock; /* one change of configuration or CRL at a time */
    struct mu_ca_rate *rate;
    struct mu_ca_mac *mac;
    atomic_bool crl_due; /* something was revoked since the last lists */
    struct {
        atomic_uint_fast64_t requests, issued, renewed, pending, refused, rate_limited, resent;
        atomic_uint_fast64_t refused_by[MU_REFUSE_LAST - MU_REFUSE_FIRST];
    } stats;
};

struct mu_ca_snapshot *mu_ca_snapshot_get(struct mu_ca *ca); /* give it back with _free */
/* HMAC-SHA-256 of a password: what entries are found by. */
bool mu_ca_password_hash(const struct mu_ca *ca, struct mu_bytes password, uint8_t out[32]);
/* Tells whoever listens. */
void mu_ca_tell(struct mu_ca *ca, const struct mu_record_audit *event);
/* An admin change with its audit line; reloads the snapshot if reload. message is formatted. */
enum mu_code mu_ca_change(struct mu_ca *ca, struct mu_store_change *change, bool reload,
    const char *action, const char *operator, struct mu_err * err, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));

/* ---- issuing ---- */

/* A certificate as rows: owns what the rows point at. */
struct mu_ca_issue {
    struct mu_pki_cert *cert;
    struct mu_record_cert row;
    struct mu_buf subject, serial_hex;
    uint8_t subject_hash[32], key_hash[32];
    char message[768];
};
/* Signs what was granted, by the CA's own key or its successor's, or through config.issuer. */
enum mu_code mu_ca_issue_sign(struct mu_ca *ca, const struct mu_ca_one *one, bool use_next,
    const struct mu_enroll_grant *grant, const struct mu_pki_csr *csr, struct mu_pki_cert **out,
    struct mu_err *err) MU_CHECK;
/* Fills row and message (PRODUCT's sentence) from cert, which it takes over. renews: serial, n 0:
 * none. */
enum mu_code mu_ca_issue_row(struct mu_ca_issue *issue, struct mu_pki_cert *cert,
    const struct mu_ca_one *one, struct mu_bytes renews, int64_t now_s,
    struct mu_err *err) MU_CHECK;
void mu_ca_issue_clear(struct mu_ca_issue *issue);
bool mu_ca_subject_text(struct mu_bytes name, struct mu_buf *out);
/* DER of a request without its challengePassword. */
enum mu_code mu_ca_csr_strip(
    const struct mu_pki_csr *csr, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* ---- answering ---- */

/* One request of a protocol; takes over one count of the snapshot. */
void mu_ca_scep(struct mu_ca *ca, struct mu_ca_snapshot *snapshot,
    const struct mu_http_request *request, mu_ca_reply *reply, void *cookie);
void mu_ca_est(struct mu_ca *ca, struct mu_ca_snapshot *snapshot,
    const struct mu_http_request *request, mu_ca_reply *reply, void *cookie);
void mu_ca_cmp(struct mu_ca *ca, struct mu_ca_snapshot *snapshot,
    const struct mu_http_request *request, mu_ca_reply *reply, void *cookie);
bool mu_ca_cmp_is(const struct mu_http_request *request, struct mu_bytes path);
/* Revokes what was not confirmed in time. */
enum mu_code mu_ca_confirm_tick(struct mu_ca *ca, int64_t now_s, struct mu_err *err) MU_CHECK;
/* Headers every answer has (ACCEPTANCE C036), then the reply. */
void mu_ca_answer(struct mu_http_response *response, mu_ca_reply *reply, void *cookie);
void mu_ca_answer_text(int status, const char *text, mu_ca_reply *reply, void *cookie);

/* Makes and stores the next CRL of one. */
enum mu_code mu_ca_crl_make(
    struct mu_ca *ca, const struct mu_ca_one *one, struct mu_buf *der, struct mu_err *err) MU_CHECK;
/* Makes new lists if something was revoked since, as mu_ca_crl_make; not from a store's callback. */
void mu_ca_crl_refresh(struct mu_ca *ca);
/* The latest, copied. MU_NOT_FOUND if there is none. */
enum mu_code mu_ca_crl_read(struct mu_ca *ca, const char *name, struct mu_buf *der,
    struct mu_record_crl *facts, struct mu_err *err) MU_CHECK;

#endif
