/*
 * Certificates of other CAs than the one that is asked (client-ca): valid now, and not revoked. A CA
 * of ours is asked in the record; of any other the lists of client-crl tell, which are read from
 * files with the configuration and again when a file has changed. A list that is missing, too old or
 * not the issuer's says no: nobody can hide a revocation by keeping a list from us.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/time.h"
#include "ca/ca_job.h"
#include "pki/pki_name.h"
#include "pki/pki_pem.h"

enum { CRL_FILE_MAX = 64 << 20, DEPTH_MAX = 8 };

/* ---- lists ---- */

static enum mu_code add(struct mu_ca_one *one, struct mu_bytes der, struct mu_err *err)
{
    struct mu_pki_crl **more = reallocarray(one->crls, one->crl_n + 1, sizeof *more);
    enum mu_code rc;

    if (more == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a revocation list");
    one->crls = more;
    if ((rc = mu_pki_crl_decode(der, &more[one->crl_n], err)) == MU_OK)
        one->crl_n++;
    return rc;
}

/* One list in DER, or any number of them in PEM. */
static enum mu_code add_file(struct mu_ca_one *one, struct mu_bytes file, struct mu_err *err)
{
    struct mu_buf der = {.max = CRL_FILE_MAX};
    struct mu_bytes label;
    enum mu_code rc = MU_OK;
    bool bad = false;

    if (!mu_pki_pem_is(file))
        return add(one, file, err);
    while (rc == MU_OK && mu_pki_pem_next(&file, &label, &der, &bad)) {
        rc = add(one, mu_buf_bytes(&der), err);
        mu_buf_reset(&der);
    }
    mu_buf_clear(&der);
    return rc == MU_OK && bad ? mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the PEM is damaged") : rc;
}

/* Calls on_file for each file of client-crl; without it only the hash over all is made. */
static enum mu_code each_file(const struct mu_ca_config *config, const char *list,
    struct mu_ca_one *one, uint8_t hash[32], struct mu_err *err)
{
    struct mu_buf file = {.max = CRL_FILE_MAX}, sums = {0};
    char *copy = NULL, *next, *path;
    uint8_t sum[32];
    enum mu_code rc = mu_text_dup(list, &copy, err);

    for (next = copy; rc == MU_OK && (path = strsep(&next, ",")) != NULL;) {
        path = mu_text_trim(path);
        if (*path == '\0')
            continue;
        mu_buf_reset(&file);
        rc = config->file_read == NULL
            ? mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "no file can be read here")
            : config->file_read(config->key_cookie, path, &file, err);
        if (rc == MU_OK && mu_ca_record_hash(mu_buf_bytes(&file), sum))
            mu_buf_put(&sums, sum, sizeof sum);
        if (rc == MU_OK && one != NULL)
            rc = add_file(one, mu_buf_bytes(&file), err);
        if (rc != MU_OK)
            mu_err_context(err, "client-crl %s", path);
    }
    if (!mu_ca_record_hash(mu_buf_bytes(&sums), hash))
        memset(hash, 0, 32);
    mu_buf_clear(&sums);
    mu_buf_clear(&file);
    free(copy);
    return rc;
}

void mu_ca_stranger_load(const struct mu_ca_config *config, struct mu_ca_one *one)
{
    struct mu_err err = {0};

    if (*one->client_crl != '\0'
        && each_file(config, one->client_crl, one, one->crl_hash, &err) != MU_OK)
        snprintf(one->crl_why, sizeof one->crl_why, "%.250s", err.what);
}

bool mu_ca_stranger_is_changed(const struct mu_ca_config *config, const struct mu_ca_one *one)
{
    uint8_t hash[32];
    bool failed;

    if (*one->client_crl == '\0')
        return false;
    failed = each_file(config, one->client_crl, NULL, hash, NULL) != MU_OK;
    return failed != (one->crl_why[0] != '\0') || memcmp(hash, one->crl_hash, sizeof hash) != 0;
}

void mu_ca_stranger_clear(struct mu_ca_one *one)
{
    for (size_t i = 0; i < one->crl_n; i++)
        mu_pki_crl_free(one->crls[i]);
    free(one->crls);
    free(one->client_crl);
}

/* ---- looking one up ---- */

/* The newest list of this issuer, if it is his. */
static const struct mu_pki_crl *list_of(
    const struct mu_ca_one *one, struct mu_pki_cert *issuer, bool allow_legacy)
{
    const struct mu_pki_crl *best = NULL;

    for (size_t i = 0; i < one->crl_n; i++)
        if (mu_pki_name_equal(one->crls[i]->issuer, issuer->subject)
            && (best == NULL || one->crls[i]->this_update_s > best->this_update_s)
            && mu_pki_crl_verify(one->crls[i], issuer, allow_legacy, NULL) == MU_OK)
            best = one->crls[i];
    return best;
}

static enum mu_code look(const struct mu_ca_job *job, const struct mu_pki_cert *cert,
    struct mu_pki_cert *issuer, bool allow_legacy, struct mu_err *err)
{
    const struct mu_pki_crl *crl = list_of(job->one, issuer, allow_legacy);
    struct mu_buf name = {0};
    char shown[200], when[MU_TIME_TEXT];
    int64_t revoked_s;
    int reason;

    mu_ca_subject_text(issuer->subject, &name);
    mu_text_escape_to(shown, sizeof shown, mu_buf_bytes(&name));
    mu_buf_clear(&name);
    if (crl == NULL)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_UNTRUSTED,
            "whether the certificate is revoked cannot be told: there is no revocation list of "
            "\"%s\" here%s%s",
            shown, job->one->crl_why[0] != '\0' ? ": " : "", job->one->crl_why);
    if (crl->next_update_s != 0 && crl->next_update_s < job->now_s)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_UNTRUSTED,
            "whether the certificate is revoked cannot be told: the revocation list of \"%s\" ended "
            "%s",
            shown, mu_time_rfc3339(crl->next_update_s, when));
    if (mu_pki_crl_has(crl, cert->serial, &revoked_s, &reason))
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_REVOKED,
            "the certificate was revoked by its CA \"%s\" %s", shown,
            mu_time_rfc3339(revoked_s, when));
    return MU_OK;
}

static struct mu_pki_cert *issuer_in(
    const struct mu_pki_certs *certs, struct mu_pki_cert *cert, bool allow_legacy)
{
    for (size_t i = 0; i < certs->n; i++)
        if (mu_pki_name_equal(certs->v[i]->subject, cert->issuer)
            && mu_pki_cert_verify(cert, certs->v[i], allow_legacy, NULL) == MU_OK)
            return certs->v[i];
    return NULL;
}

/* From the certificate to the first one that the operator named, each by its issuer's list. */
static enum mu_code check_lists(const struct mu_ca_job *job, bool allow_legacy, struct mu_err *err)
{
    struct mu_pki_cert *cert = job->claim.signer, *issuer;
    bool is_leaf = true, is_named = false;
    enum mu_code rc = MU_OK;

    for (unsigned depth = 0; rc == MU_OK && !is_named && depth < DEPTH_MAX; depth++) {
        issuer = issuer_in(&job->one->client_ca, cert, allow_legacy);
        is_named = issuer != NULL;
        if (issuer == NULL)
            issuer = issuer_in(&job->claim.extra, cert, allow_legacy);
        if (issuer == NULL)
            break; /* it is itself named */
        if (!(is_leaf && job->sibling != NULL)) /* asked in the record */
            rc = look(job, cert, issuer, allow_legacy, err);
        is_leaf = false;
        cert = issuer;
    }
    return rc;
}

/* ---- one of our own CAs ---- */

struct asking {
    struct mu_ca_job *job;
    void (*next)(void *cookie);
    void *cookie;
};

static void on_facts(void *cookie, const struct mu_store_facts *facts)
{
    struct asking a = *(struct asking *)cookie;

    free(cookie);
    a.job->is_sibling_known = facts->cert != NULL
        && mu_bytes_equal(facts->cert->der, a.job->claim.signer->der);
    a.job->is_sibling_revoked = a.job->is_sibling_known && facts->cert->revoked_s != 0;
    a.next(a.cookie);
}

void mu_ca_stranger_look(struct mu_ca_job *job, void (*next)(void *cookie), void *cookie)
{
    const struct mu_pki_cert *signer = job->claim.signer;
    struct mu_store_ask ask = {.proto = job->way->proto};
    struct asking *a;

    for (size_t i = 0; signer != NULL && job->one->client_ca.n != 0 && i < job->snapshot->ca_n; i++)
        if (mu_pki_name_equal(signer->issuer, job->snapshot->cas[i].ca.certs.v[0]->subject))
            job->sibling = &job->snapshot->cas[i];
    if (job->sibling == NULL || (a = malloc(sizeof *a)) == NULL) {
        next(cookie); /* without memory it stays unknown, and that is a no */
        return;
    }
    *a = (struct asking){job, next, cookie};
    ask.ca = job->sibling->name;
    ask.serial = mu_enroll_record_serial(signer->serial);
    job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_facts, a);
}

enum mu_code mu_ca_stranger_check(
    const struct mu_ca_job *job, bool allow_legacy, struct mu_err *err)
{
    const struct mu_pki_path_opts opts = {
        .now_s = job->now_s, .partial = true, .allow_legacy = allow_legacy};
    enum mu_code rc =
        mu_pki_path_check(job->claim.signer, &job->claim.extra, &job->one->client_ca, &opts, err);

    if (rc != MU_OK)
        return rc;
    if (job->sibling != NULL && !job->is_sibling_known)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_UNTRUSTED,
            "the certificate bears the name of CA '%s' here, which has no record of it",
            job->sibling->name);
    if (job->is_sibling_revoked)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SIGNER_REVOKED,
            "the certificate was revoked by CA '%s' here", job->sibling->name);
    return *job->one->client_crl != '\0' ? check_lists(job, allow_legacy, err) : MU_OK;
}
