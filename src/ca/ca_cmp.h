/* CMP in the CA: ca_cmp.c brings a message in and out, ca_cmp_who.c finds out who sent it,
 * ca_cmp_decide.c decides, ca_cmp_info.c answers questions about the CA. */
#ifndef MU_CA_CA_CMP_H
#define MU_CA_CA_CMP_H

#include "ca/ca_job.h"

struct mu_cmp_server;

/* What a job of CMP has beside the others; its engine. */
struct mu_ca_cmp {
    struct mu_cmp_server *server;
    char label[68]; /* of /.well-known/cmp/p/LABEL, "" if none */

    struct mu_secret password; /* that the MAC is computed with */
    struct mu_secret mac_key; /* derived from it at the transaction's first message */
    struct mu_record_entry *entry; /* copies; NULL: none */
    struct mu_record_request *latest; /* of this transaction id, whoever signed it */
    struct mu_record_cert *latest_cert;
    struct mu_record_cert *signer_row; /* the signer's, if it is one of ours, byte for byte */
    struct mu_pki_cert *kept_signer; /* the message does not bring it: that of the first one (CMP-35) */
    struct mu_pki_cert *renewed; /* that an RA's kur is about (oldCertID) */
    struct mu_record_cert *renewed_row;
    bool is_ra; /* the signer may speak for others (cmcRA) */
    bool is_external; /* a certificate below client-ca */
    bool is_unknown; /* nobody has the reference: the MAC is computed all the same, then refused */

    struct mu_buf kept; /* of the answer that goes out */
    struct mu_pki_csr *made_csr; /* KEYGEN: around the key made here */
    struct mu_buf content; /* of a genp */
    struct mu_store_change change; /* behind an answer from a record */
};

static inline struct mu_ca_cmp *mu_ca_cmp_of(const struct mu_ca_job *job)
{
    return job->engine;
}

/* ca_cmp_who.c. Reads what the store has of sender and transaction, then calls next, or refuses a
 * certificate that nobody trusts. Nothing of the message was believed yet; what the MAC is computed
 * with stands in job->credential behind it, for a reference that nobody has a secret that is none. */
void mu_ca_cmp_who(struct mu_ca_job *job, void (*next)(struct mu_ca_job *job));
/* Behind the engine's read, which found the MAC right or not: counts wrong ones. */
void mu_ca_cmp_who_guessed(struct mu_ca_job *job);
/* Whether the entry or certificate may still ask for something. */
enum mu_reason mu_ca_cmp_who_may_ask(struct mu_ca_job *job);
/* A reference fits a wildcard entry: '*' stands for any characters. */
bool mu_ca_cmp_who_fits(const char *glob, const char *name);
/* One device's secret of a wildcard entry: derived from the entry's by the reference (D10). */
enum mu_code mu_ca_cmp_who_derive(struct mu_bytes master, const char *reference,
    struct mu_secret *out, struct mu_err *err) MU_CHECK;

/* ca_cmp_mac.c: keys of MACs that were right, kept in memory for the rest of their transaction.
 * get: the one for this message's parameters and secret; put: behind the engine's read, kept for
 * what follows an enrollment, and dropped with its end. */
bool mu_ca_mac_get(const struct mu_ca_job *job, struct mu_secret *out);
void mu_ca_mac_put(const struct mu_ca_job *job);

/* ca_cmp_decide.c; ends the job. */
void mu_ca_cmp_decide(struct mu_ca_job *job);
/* job->change with its audit line (job->text); the answer is ready before it is submitted. */
void mu_ca_cmp_submit(struct mu_ca_job *job, const char *action, struct mu_bytes serial);

/* ca_cmp_revoke.c: rr; ends the job. */
void mu_ca_cmp_revoke(struct mu_ca_job *job);
/* The profile that is named by certProfile or the path beside the one the sender has; NULL: there
 * is none of this name for him. */
const struct mu_enroll_profile *mu_ca_cmp_profile(
    struct mu_ca_job *job, const struct mu_enroll_profile *own);

/* ca_cmp_key.c: a key of the profile's kind, and job->question.csr made anew around it. */
enum mu_code mu_ca_cmp_keygen(struct mu_ca_job *job, struct mu_err *err) MU_CHECK;

/* ca_cmp_info.c: genm; ends the job. */
void mu_ca_cmp_info(struct mu_ca_job *job);

#endif
