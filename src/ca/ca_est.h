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
    uint8_t digest[32];
};

/* serverkeygen: is it on for the label? */
enum mu_code mu_ca_est_key_check(const struct mu_ca_job *job, struct mu_err *err) MU_CHECK;
/* Makes job->key, and a CSR of it that takes the place of the client's. */
enum mu_code mu_ca_est_key_make(struct mu_ca_job *job, struct mu_err *err) MU_CHECK;

#endif
