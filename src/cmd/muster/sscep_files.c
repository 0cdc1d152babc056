/* Reading and writing for sscep. */
#include "cmd/muster/sscep_files.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>

#include "keystore/keystore.h"
#include "pki/pki_pem.h"
#include "base/limits.h"

/* "ca.crt-3" -> "ca.crt"; false if path does not end like that. */
static bool strip_number(const char *path, char *base, size_t size)
{
    size_t n = strlen(path);

    while (n > 0 && isdigit((unsigned char)path[n - 1]))
        n--;
    if (n == strlen(path) || n < 2 || path[n - 1] != '-' || n > size)
        return false;
    memcpy(base, path, n - 1);
    base[n - 1] = '\0';
    return true;
}

static bool modified(const char *path, struct timespec *when)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return false;
    *when = st.st_mtim;
    return true;
}

static bool numbered_path(const char *base, size_t i, struct mu_buf *path)
{
    mu_buf_reset(path);
    return mu_buf_putf(path, "%s-%zu", base, i);
}

/* True if the numbered set is what counts for this base. */
static bool numbered_counts(const char *base)
{
    struct timespec single, first;
    struct mu_buf path = {0};
    bool counts = false;

    if (numbered_path(base, 0, &path) && modified(mu_buf_str(&path), &first))
        counts = !modified(base, &single) || first.tv_sec > single.tv_sec
            || (first.tv_sec == single.tv_sec && first.tv_nsec > single.tv_nsec);
    mu_buf_clear(&path);
    return counts;
}

static bool known(const struct mu_pki_certs *list, const struct mu_pki_cert *cert)
{
    size_t i;

    for (i = 0; i < list->n; i++) {
        if (mu_pki_cert_equal(list->v[i], cert))
            return true;
    }
    return false;
}

/* Appends those of path that are not in out yet. */
static enum mu_code append(const char *path, struct mu_pki_certs *out, struct mu_err *err)
{
    struct mu_pki_certs more = {0};
    enum mu_code rc = mu_keystore_certs_read(path, &more, err);
    size_t i;

    for (i = 0; rc == MU_OK && i < more.n; i++) {
        if (!known(out, more.v[i]))
            rc = mu_pki_certs_add(out, more.v[i], err);
    }
    mu_pki_certs_clear(&more);
    return rc;
}

static enum mu_code append_numbered(const char *base, struct mu_pki_certs *out, struct mu_err *err)
{
    struct mu_buf path = {0};
    struct timespec when;
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; rc == MU_OK && i < MU_LIMIT_CERTS; i++) {
        if (!numbered_path(base, i, &path) || !modified(mu_buf_str(&path), &when))
            break;
        rc = append(mu_buf_str(&path), out, err);
    }
    mu_buf_clear(&path);
    return rc;
}

enum mu_code mu_sscep_files_ca(const char *base, struct mu_pki_certs *out, struct mu_err *err)
{
    struct mu_pki_certs certs = {0};
    struct timespec when;
    char stripped[4096];
    enum mu_code rc;

    if (strip_number(base, stripped, sizeof stripped) && modified(base, &when)) {
        if ((rc = append(base, &certs, err)) == MU_OK)
            rc = append_numbered(stripped, &certs, err);
    } else if (numbered_counts(base)) {
        rc = append_numbered(base, &certs, err);
    } else {
        rc = append(base, &certs, err);
    }
    if (rc == MU_OK && certs.n == 0)
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "no certificate in %s", base);
    if (rc != MU_OK) {
        mu_pki_certs_clear(&certs);
        return rc;
    }
    *out = certs;
    return MU_OK;
}

enum mu_code mu_sscep_files_cert_write(
    const char *path, const struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_buf pem = {0};
    enum mu_code rc;

    mu_pki_cert_to_pem(cert, &pem);
    if ((rc = mu_buf_check(&pem, "certificate", err)) == MU_OK)
        rc = mu_keystore_file_write(path, 0, mu_buf_bytes(&pem), err);
    mu_buf_clear(&pem);
    return rc;
}

enum mu_code mu_sscep_files_ca_write(const char *base, const struct mu_pki_certs *certs,
    mu_sscep_files_wrote *wrote, void *cookie, struct mu_err *err)
{
    struct mu_buf path = {0};
    enum mu_code rc = MU_OK;
    size_t i;

    if (certs->n == 1) {
        if ((rc = mu_sscep_files_cert_write(base, certs->v[0], err)) == MU_OK)
            wrote(cookie, base, certs->v[0]);
        return rc;
    }
    for (i = 0; rc == MU_OK && i < certs->n; i++) {
        numbered_path(base, i, &path);
        if ((rc = mu_buf_check(&path, "file name", err)) == MU_OK)
            rc = mu_sscep_files_cert_write(mu_buf_str(&path), certs->v[i], err);
        if (rc == MU_OK)
            wrote(cookie, mu_buf_str(&path), certs->v[i]);
    }
    mu_buf_clear(&path);
    return rc;
}

enum mu_code mu_sscep_files_cert(const char *path, struct mu_pki_cert **out, struct mu_err *err)
{
    struct mu_pki_certs certs = {0};
    enum mu_code rc = mu_keystore_certs_read(path, &certs, err);

    if (rc == MU_OK && certs.n == 0)
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "no certificate in %s", path);
    if (rc == MU_OK)
        *out = mu_pki_cert_ref(certs.v[0]);
    mu_pki_certs_clear(&certs);
    return rc;
}

enum mu_code mu_sscep_files_crl_write(const char *path, struct mu_bytes der, struct mu_err *err)
{
    struct mu_buf pem = {0};
    enum mu_code rc;

    mu_buf_init(&pem, MU_LIMIT_CRL * 2L);
    mu_pki_pem_put(&pem, "X509 CRL", der);
    if ((rc = mu_buf_check(&pem, "CRL", err)) == MU_OK)
        rc = mu_keystore_file_write(path, 0, mu_buf_bytes(&pem), err);
    mu_buf_clear(&pem);
    return rc;
}
