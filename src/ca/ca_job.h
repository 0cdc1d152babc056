/*
 * One request on its way: ca_scep.c (or the file of another protocol) brings it in and out,
 * ca_job.c begins and ends it, ca_decide.c decides, ca_record.c records.
 */
#ifndef MU_CA_CA_JOB_H
#define MU_CA_CA_JOB_H

#include "ca/ca_internal.h"

struct mu_ca_job;
struct mu_est_part; /* ca_est.c */

/* What a protocol does with a job. The shared files know no other difference between protocols. */
struct mu_ca_way {
    enum mu_proto proto;
    /* job->decision to job->response; whatever the engine keeps of a transaction goes to the row. */
    enum mu_code (*write)(struct mu_ca_job *job, struct mu_err *err);
    /* Looks at a lost transaction: true if the winner is not this request, and that has been
     * answered. May be NULL. */
    bool (*is_other)(struct mu_ca_job *job, const struct mu_record_request *winner);
    /* job->response is ready; true: takes over, and calls mu_ca_job_ready at the end. May be NULL. */
    bool (*deliver)(struct mu_ca_job *job);
    /* job->profile is known: may it be served in this way? May be NULL. */
    enum mu_code (*allows)(const struct mu_ca_job *job, struct mu_err *err);
    /* No record answers it, job->profile is known and allows it: makes what the record needs. May be
     * NULL. */
    enum mu_code (*make)(struct mu_ca_job *job, struct mu_err *err);
    /* A key made here can wait for an operator: write seals it into the row. */
    bool keeps_key;
    /* Where no answer of the protocol's own can be made. */
    enum mu_code (*http_error)(
        const struct mu_err *why, struct mu_http_response *response, struct mu_err *err);
    void (*free)(void *engine);
    /* What else the protocol has hung on the job. May be NULL. */
    void (*clear)(struct mu_ca_job *job);
};

struct mu_ca_job {
    const struct mu_ca_way *way;
    void *engine; /* the way's; NULL: the message could not be opened */
    struct mu_ca *ca;
    struct mu_ca_snapshot *snapshot;
    const struct mu_http_request *request;
    mu_ca_reply *reply;
    void *cookie;
    int64_t now_s;
    const char *address; /* "" if unknown */
    char user_agent[160], transaction_id[320]; /* escaped, for logs */
    bool has_token; /* to be given back at a good end */

    struct mu_claim claim;
    struct mu_credential credential;
    struct mu_question question;
    const struct mu_ca_one *one;
    bool use_next; /* enveloped to the successor (SCEP-78) */

    bool is_ours; /* the signer bears this CA's name: a renewal if it is one of ours */
    bool challenge_is_password; /* of the CSR, found by its hash; else it is of no concern here */
    bool has_password; /* a challenge, or a login that the engine found right */
    /* ca_login.c: what the record says of the signer; the password of claim.entry */
    bool is_recorded, is_revoked;
    /* ca_stranger.c: the signer's CA, if it is one of ours, and what its record says */
    const struct mu_ca_one *sibling;
    bool is_sibling_known, is_sibling_revoked;
    struct mu_secret password;
    void (*logged_in)(struct mu_ca_job *job);
    bool ignores_signer; /* the login alone counts */
    bool is_trusted; /* the signer is below a client-ca and valid: label_profile is for it */
    const struct mu_enroll_profile *label_profile; /* NULL: none */
    bool is_label_named; /* and entries of other profiles have no business there */
    bool new_name; /* csr asks for another name than that of the certificate it renews */
    struct mu_est_part *est;
    int64_t confirm_until_s; /* a confirmation has to come until then; 0: none is waited for */
    int64_t known_id; /* of the record that is answered from; 0: none */
    const struct mu_record_cert *known_cert; /* its certificate; during the answer only */
    uint8_t signer[32], password_hash[32], key_hash[32], asked_hash[32], planned_hash[32];

    const struct mu_enroll_profile *profile;
    char entry[80]; /* "" without a challenge */
    struct mu_enroll_grant grant;
    struct mu_ca_issue issue;
    struct mu_buf asked, planned; /* subjects as text: asked for, to be issued */
    struct mu_buf csr; /* what is kept of a waiting one */
    struct mu_buf sealed; /* its challenge, if the answer will be encrypted to it */
    struct mu_secret challenge; /* that of a request answered at its poll */
    struct mu_buf text; /* what an audit line needs */
    char hint[200]; /* beside the sentence of a refusal, for the operator alone */

    struct mu_pki_key *key; /* made here for the client; NULL: none */
    struct mu_decision decision;
    struct mu_pki_cert *again; /* a certificate issued before */
    struct mu_buf crl;
    struct mu_http_response response; /* ready before the record is submitted */

    struct mu_record_request row;
    struct mu_record_audit audit;
    struct mu_store_change change;
};

/* ---- ca_record.c: all but the small ones end the job ---- */
void mu_ca_record_refuse(struct mu_ca_job *job, enum mu_reason reason);
void mu_ca_record_said(const struct mu_ca_job *job, const char *rule, const char *result);
/* Fills job->signer: who asks, as a transaction remembers it. */
bool mu_ca_record_identity(struct mu_ca_job *job);
bool mu_ca_record_hash(struct mu_bytes v, uint8_t out[32]);
const struct mu_pki_certs *mu_ca_record_chain(const struct mu_ca_job *job);
enum mu_reason mu_ca_record_challenge_reason(const struct mu_record_entry *entry, int64_t now_s);
/* This certificate; that of a record, once more; a request that has a record, by what became of it.
 */
void mu_ca_record_answer_cert(
    struct mu_ca_job *job, enum mu_verdict verdict, struct mu_pki_cert *cert);
void mu_ca_record_answer_again(
    struct mu_ca_job *job, const struct mu_record_cert *row, enum mu_verdict verdict);
void mu_ca_record_answer(struct mu_ca_job *job, const struct mu_record_request *request,
    const struct mu_record_cert *cert);
/* Record what job->grant allows: as waiting, or signed. */
void mu_ca_record_pending(struct mu_ca_job *job);
void mu_ca_record_issue(struct mu_ca_job *job);
/* The store's answer to job->change. */
void mu_ca_record_done(void *job, const struct mu_store_result *result);

/* ---- ca_login.c ---- */
/* Looks up what the claim names: claim.entry's password to credential.password, the signer's record
 * to is_recorded and is_revoked; then next goes on with the job. Too many wrong passwords from
 * there, or of that name, end it. */
void mu_ca_login(struct mu_ca_job *job, void (*next)(struct mu_ca_job *job));
/* A request came through TLS-SRP: the handshake was no guess. */
void mu_ca_login_srp_right(struct mu_ca_job *job);
/* The engine found the password wrong. */
void mu_ca_login_failed(struct mu_ca_job *job);

/* ---- ca_stranger.c ---- */
/* Before check, where the signer is not in this CA's record: asks the record of whichever CA of ours
 * it may be of. */
void mu_ca_stranger_look(struct mu_ca_job *job, void (*next)(void *cookie), void *cookie);
/* Below client-ca, valid and not revoked, as far as can be told. MU_DENIED with the reason. */
enum mu_code mu_ca_stranger_check(
    const struct mu_ca_job *job, bool allow_legacy, struct mu_err *err) MU_CHECK;

/* Who may ask is settled: the profile's rules, then the record and the answer. facts->key_seen is
 * looked at, policy gets what it lacks of the CA. */
void mu_ca_decide_grant(
    struct mu_ca_job *job, const struct mu_store_facts *facts, struct mu_enroll_facts *policy);
/* A record of this very request, still good to answer with. */
bool mu_ca_decide_is_repeat(const struct mu_ca_job *job, const struct mu_record_request *r,
    const struct mu_record_cert *cert);
bool mu_ca_decide_is_for_ca(const struct mu_ca_job *job, const struct mu_enroll_profile *profile);
/* The profile for the template that the request names; else profile itself. */
const struct mu_enroll_profile *mu_ca_decide_template(
    struct mu_ca_job *job, const struct mu_enroll_profile *profile);
/* Decides what job->question asks, records it and answers; takes over the job. */
void mu_ca_decide(struct mu_ca_job *job);

/* NULL: answered already. Takes over one count of the snapshot. */
struct mu_ca_job *mu_ca_job_new(const struct mu_ca_way *way, struct mu_ca *ca,
    struct mu_ca_snapshot *snapshot, const struct mu_http_request *request, mu_ca_reply *reply,
    void *cookie);
/* True: the protocol is switched off, and that has been answered. */
bool mu_ca_job_is_off(struct mu_ca_job *job);
/* False: too many requests from there, and that has been answered. */
bool mu_ca_job_take_token(struct mu_ca_job *job);
/* The event that a message came; nothing is kept of it. message NULL: none. */
void mu_ca_job_tell_request(struct mu_ca_job *job, const char *message);
/* Counts and tells a refusal; keep: also in the audit trail. */
void mu_ca_job_tell_refusal(struct mu_ca_job *job, const struct mu_err *why, bool keep);

/* Ends: each answers and frees the job. done uses job->decision; refuse says why not and keeps an
 * audit line; ready sends job->response as it is; fail says it by HTTP alone, with no audit line. */
void mu_ca_job_done(struct mu_ca_job *job);
void mu_ca_job_refuse(struct mu_ca_job *job, const struct mu_err *why);
void mu_ca_job_ready(struct mu_ca_job *job);
void mu_ca_job_fail(struct mu_ca_job *job, const struct mu_err *why);
/* Makes job->response of job->decision. */
enum mu_code mu_ca_job_write(struct mu_ca_job *job, struct mu_err *err) MU_CHECK;
/* MU_DENIED with the table's sentence for the reason. */
enum mu_code mu_ca_refusal(struct mu_err *err, enum mu_reason reason);
/* Adds what is known of the request to an audit line. */
void mu_ca_job_audit(const struct mu_ca_job *job, struct mu_record_audit *audit);

#endif
