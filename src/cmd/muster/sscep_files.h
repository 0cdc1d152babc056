/* The files sscep reads and writes. What it writes appears whole or not at all. */
#ifndef MU_SSCEP_FILES_H
#define MU_SSCEP_FILES_H

#include "base/buf.h"
#include "pki/pki_cert.h"

/* The certificates behind -c: the file itself, or, where getca wrote several, <base>-0, <base>-1,
 * ... A path that names one of those gives its set, the named one first. If both forms are there,
 * the one written last counts. */
enum mu_code mu_sscep_files_ca(
    const char *base, struct mu_pki_certs *out, struct mu_err *err) MU_CHECK;
/* What getca writes: one certificate to base, several to base-0, base-1, ...; wrote is called with
 * each name. */
typedef void mu_sscep_files_wrote(void *cookie, const char *path, struct mu_pki_cert *cert);
enum mu_code mu_sscep_files_ca_write(const char *base, const struct mu_pki_certs *certs,
    mu_sscep_files_wrote *wrote, void *cookie, struct mu_err *err) MU_CHECK;
/* The first certificate of a file. */
enum mu_code mu_sscep_files_cert(
    const char *path, struct mu_pki_cert **out, struct mu_err *err) MU_CHECK;
enum mu_code mu_sscep_files_cert_write(
    const char *path, const struct mu_pki_cert *cert, struct mu_err *err) MU_CHECK;
/* As PEM, label "X509 CRL". */
enum mu_code mu_sscep_files_crl_write(
    const char *path, struct mu_bytes der, struct mu_err *err) MU_CHECK;

#endif
