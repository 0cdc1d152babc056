/* What the files of EST in the CA share: ca_est.c is the way in and out, ca_est_key.c makes keys. */
#ifndef MU_CA_CA_EST_H
#define MU_CA_CA_EST_H

#include "ca/ca_job.h"

/* What EST keeps of a request beside the job. */
struct mu_est_part {
    unsigned switches; /* MU_PROFILE_EST_* */
    bool is_profile; /* the label is a profile's own name */
    bool is_linked; /* to this TLS session, and that was verified */
    bool is_ra; /* RFC 7030 3.7 */
    struct mu_err stranger; /* why the client's certificate counts for nothing */
    struct mu_pki_csr renamed; /* views: the CSR with the names of ChangeSubjectName */
    struct mu_pki_csr *own_csr; /* serverkeygen: signed with the new key */
    struct mu_secret kek; /* serverkeygen: the shared key that the request names */
    bool hands_over; /* the key that was kept: then it goes from the record */
    struct mu_store_change change; /* by this */
    uint8_t digest[32], own_digest[32];
};

/* serverkeygen: is it on for the label? */
enum mu_code mu_ca_est_key_check(const struct mu_ca_job *job, struct mu_err *err) MU_CHECK;
/* Makes job->key, and a CSR of it that takes the place of the client's; nothing for other requests. */
enum mu_code mu_ca_est_key_make(struct mu_ca_job *job, struct mu_err *err) MU_CHECK;
/* Before the answer is written: a key whose request waits is sealed into the row, one that waited
 * is taken out of it. */
enum mu_code mu_ca_est_key_settle(struct mu_ca_job *job, struct mu_err *err) MU_CHECK;
/* The answer hands over a key that was kept: true, and it leaves once the record has it no more. */
bool mu_ca_est_key_forget(struct mu_ca_job *job);

#endif
