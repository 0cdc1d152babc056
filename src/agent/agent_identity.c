/*
 * What a connection is made with: which CAs vouch for the server, and which certificate or SRP
 * user shows who we are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_identity.h"

enum { TLS_1_2 = 0x0303 };

bool mu_agent_cert_lacks_client_auth(const struct mu_pki_cert *cert)
{
    return !cert->exts.has_eku || (cert->exts.eku & (MU_EKU_CLIENT_AUTH | MU_EKU_ANY)) == 0;
}

void mu_agent_identity_free(struct mu_tls_identity *identity)
{
    if (identity == NULL)
        return;
    mu_pki_key_free(identity->key);
    mu_pki_certs_clear(&identity->chain);
    mu_pki_certs_clear(&identity->anchors);
    free(identity);
}

static enum mu_code chain_add(struct mu_tls_identity *identity, struct mu_pki_cert *leaf,
    const struct mu_pki_certs *more, struct mu_err *err)
{
    enum mu_code rc = mu_pki_certs_add(&identity->chain, leaf, err);

    /* The root is the server's to know. */
    for (size_t i = 0; rc == MU_OK && i < more->n; i++)
        if (!mu_pki_cert_is_self_signed(more->v[i]))
            rc = mu_pki_certs_add(&identity->chain, more->v[i], err);
    return rc;
}

/* ---- client-cert: an entry of ours, or a file ---- */

static enum mu_code from_entry(struct mu_agent_job *job, const char *name,
    struct mu_tls_identity *identity, struct mu_err *err)
{
    struct mu_agent_secret_values secrets = {0};
    const struct mu_agent_secrets none = {0};
    struct mu_keystore_entry entry = {0};
    enum mu_code rc = mu_keystore_load(job->agent->store, name, &entry, err);

    if (rc == MU_NOT_FOUND) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "client-cert: there is no certificate '%s' here",
            name);
        mu_err_next(err, "muster list shows the names; a file is named with its path");
        return MU_INPUT;
    }
    if (rc == MU_OK)
        rc = mu_agent_secrets_take(job->agent, name, &none, &secrets, err);
    if (rc == MU_OK)
        rc = mu_keystore_key_read(entry.key_file, &secrets.key_password, &identity->key, err);
    if (rc == MU_OK)
        rc = chain_add(identity, entry.cert, &entry.chain, err);
    mu_agent_secrets_clear(&secrets);
    mu_keystore_entry_clear(&entry);
    return rc;
}

/* The key in the same file, or beside it: x.crt, x.key. */
static enum mu_code file_key(const char *path, const struct mu_secret *password,
    struct mu_pki_key **key, struct mu_err *err)
{
    const char *dot = strrchr(path, '.');
    char beside[4096];

    if (mu_keystore_key_read(path, password, key, NULL) == MU_OK)
        return MU_OK;
    snprintf(beside, sizeof(beside), "%.*s.key",
        dot != NULL && strchr(dot, '/') == NULL ? (int)(dot - path) : (int)strlen(path), path);
    return mu_keystore_key_read(beside, password, key, err);
}

static enum mu_code from_file(struct mu_agent_job *job, const char *path,
    struct mu_tls_identity *identity, struct mu_err *err)
{
    struct mu_pki_certs certs = {0}, more = {0};
    enum mu_code rc = mu_keystore_certs_read(path, &certs, err);

    if (rc == MU_OK && certs.n == 0)
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "no certificate in %s", path);
    if (rc == MU_OK)
        rc = file_key(path, &job->secret.key_password, &identity->key, err);
    if (rc == MU_OK && !mu_bytes_equal(certs.v[0]->spki, mu_pki_key_spki(identity->key)))
        rc = mu_err_set(err, MU_INPUT, MU_M(708),
            "client-cert: the key of %s is not that of its first certificate", path);
    if (rc == MU_OK) {
        more.v = certs.v + 1; /* a view: all but the first */
        more.n = certs.n - 1;
        rc = chain_add(identity, certs.v[0], &more, err);
    }
    mu_pki_certs_clear(&certs);
    return rc;
}

static bool renews_by_certificate(const struct mu_agent_job *job)
{
    return job->pending.operation == MU_AGENT_RENEW && job->signer_key != NULL && job->has_entry
        && (job->settings.renew_auth == NULL || strcmp(job->settings.renew_auth, "password") != 0);
}

enum mu_code mu_agent_identity_named(struct mu_agent_job *job, const char *name,
    struct mu_tls_identity *identity, struct mu_err *err)
{
    return strchr(name, '/') != NULL ? from_file(job, name, identity, err)
                                     : from_entry(job, name, identity, err);
}

/* A renewal shows the present certificate (E100, RFC 7030 3.3.2), a first enrollment what
 * client-cert names. */
static enum mu_code client_certificate(
    struct mu_agent_job *job, struct mu_tls_identity *identity, struct mu_err *err)
{
    const char *name = job->settings.client_cert;

    if (renews_by_certificate(job)) {
        snprintf(job->shows, sizeof(job->shows), "%s", job->name);
        identity->key = mu_pki_key_ref(job->signer_key);
        return chain_add(identity, job->entry.cert, &job->entry.chain, err);
    }
    if (name == NULL)
        return MU_OK;
    snprintf(job->shows, sizeof(job->shows), "%s", name);
    return mu_agent_identity_named(job, name, identity, err);
}

static bool tls_below_1_2(const struct mu_agent_job *job)
{
    return job->settings.tls_min != NULL && strcmp(job->settings.tls_min, "1.2") != 0;
}

static enum mu_code identity_fill(struct mu_agent_job *job, bool bootstrap,
    struct mu_tls_identity *identity, struct mu_err *err)
{
    bool legacy = job->agent->allow_legacy || job->settings.allow_legacy > 0;
    enum mu_code rc = MU_OK;

    if (tls_below_1_2(job) && !legacy)
        return mu_err_set(err, MU_INPUT, MU_M(705), "TLS %s is legacy: allow-legacy lets it through",
            job->settings.tls_min);
    identity->env = &job->trace.env;
    identity->insecure_bootstrap = bootstrap;
    identity->use_system_anchors = job->settings.trust == NULL;
    identity->server_name = job->settings.server_name;
    identity->tls10_allowed = tls_below_1_2(job);
    identity->max_version = job->tls12 ? TLS_1_2 : 0;
    for (size_t i = 0; rc == MU_OK && i < job->trusted.certs.n; i++)
        rc = mu_pki_certs_add(&identity->anchors, job->trusted.certs.v[i], err);
    /* Nothing of ours is shown to a server that nobody vouches for (EST-18). */
    if (rc != MU_OK || bootstrap || !mu_agent_settings_is_est(&job->settings))
        return rc;
    if (job->settings.srp_user != NULL && !renews_by_certificate(job)) {
        identity->srp_user = job->settings.srp_user;
        identity->srp_password = &job->secret.srp_password;
        identity->max_version = TLS_1_2;
    }
    return client_certificate(job, identity, err);
}

enum mu_code mu_agent_job_identity(struct mu_agent_job *job, bool bootstrap, struct mu_err *err)
{
    struct mu_tls_identity *identity;
    enum mu_code rc;

    job->shows[0] = '\0';
    if (!mu_agent_url_is_tls(job->settings.url))
        return MU_OK;
    if ((identity = calloc(1, sizeof(*identity))) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a connection");
    if ((rc = identity_fill(job, bootstrap, identity, err)) != MU_OK) {
        mu_agent_identity_free(identity);
        return rc;
    }
    mu_agent_identity_free(job->identity);
    job->identity = identity;
    return MU_OK;
}
