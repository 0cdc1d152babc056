/*
 * What CMP needs besides: who signs, who is expected to answer, and the two steps of its end: the
 * pair is saved before the confirmation (RFC 9483 4.1.1 lets the CA revoke what is never
 * confirmed) and becomes the present one after it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_deploy.h"
#include "agent/agent_internal.h"
#include "base/text.h"
#include "pki/pki_identity.h"

/* C002: without a CA known here nothing that comes could be believed. */
static enum mu_code check_trusted(const struct mu_agent_job *job, struct mu_err *err)
{
    /* by a secret the root may come with the answer (CMP-71) */
    if (job->trusted.certs.n != 0
        || (job->settings.trust_ca_pubs > 0 && job->settings.client_cert == NULL && !job->has_entry))
        return MU_OK;
    mu_err_set(err, MU_INPUT, MU_M(210), "there is no CA certificate here to know the CMP server by");
    mu_err_next(err, "muster ca trust FILE --name NAME");
    return MU_INPUT;
}

static enum mu_code load_server_certs(struct mu_agent_job *job, struct mu_err *err)
{
    mu_pki_certs_clear(&job->server_certs);
    if (job->settings.server_cert == NULL)
        return MU_OK;
    return mu_keystore_ca_load(job->agent->store, job->settings.server_cert, &job->server_certs, err);
}

static enum mu_code load_signer(struct mu_agent_job *job, struct mu_err *err)
{
    mu_agent_identity_free(job->signer);
    job->signer = NULL;
    if (job->settings.client_cert == NULL)
        return MU_OK;
    job->signer = calloc(1, sizeof(*job->signer));
    if (job->signer == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a certificate");
    return mu_agent_identity_named(job, job->settings.client_cert, job->signer, err);
}

enum mu_code mu_agent_cmp_config(
    struct mu_agent_job *job, struct mu_client_config *config, struct mu_err *err)
{
    enum mu_code rc;

    if (!mu_agent_settings_is_cmp(&job->settings))
        return MU_OK;
    if ((job->query.op != MU_AGENT_QUERY_PROBE && (rc = check_trusted(job, err)) != MU_OK) || (rc = load_server_certs(job, err)) != MU_OK)
        return rc;
    config->server_certs = job->server_certs.n != 0 ? &job->server_certs : NULL;
    config->server_cert = job->settings.server_cert;
    if (config->signer_cert != NULL) { /* kur, rr, or a question in the name of an entry (C058) */
        config->signer_chain = &job->entry.chain;
        config->ref = NULL;
        return MU_OK;
    }
    config->secret = &job->secret.secret;
    if ((rc = load_signer(job, err)) != MU_OK || job->signer == NULL)
        return rc;
    config->signs_first = true;
    config->signer_cert = job->signer->chain.v[0];
    config->signer_key = job->signer->key;
    config->signer_chain = &job->signer->chain;
    config->ref = NULL; /* C015: a certificate's name means signature */
    return MU_OK;
}

/* Confirmed, and still not switched to if it waits to be deployed. */
static enum mu_code hold(struct mu_agent_job *job, const char *stem, struct mu_err *err)
{
    struct mu_keystore_entry waits = {0};
    enum mu_code rc = mu_keystore_load_serial(job->agent->store, job->name, stem, &waits, err);

    if (rc != MU_OK || !mu_agent_hold_wanted(job->agent, waits.cert)) {
        mu_keystore_entry_clear(&waits);
        return rc;
    }
    rc = mu_agent_hold_mark(job->agent, job->name, waits.cert, err);
    mu_keystore_entry_clear(&waits);
    job->holds = rc == MU_OK;
    if (job->holds) {
        snprintf(job->saved.stem, sizeof(job->saved.stem), "%s", stem);
        job->saved.waits = job->saved_now = true;
    }
    return rc;
}

enum mu_code mu_agent_cmp_finish(struct mu_agent_job *job, struct mu_err *err)
{
    char stem[MU_KEYSTORE_STEM];
    enum mu_code rc;

    if (!mu_agent_settings_is_cmp(&job->settings) || job->pending.next_ca[0] != '\0')
        return MU_OK;
    if (!mu_keystore_next(job->agent->store, job->name, stem)) {
        if (!job->saved.waits) /* it was the present one before a restart */
            return MU_OK;
        job->saved.waits = false; /* the CA handed out the same certificate again */
        return mu_keystore_next_drop(job->agent->store, job->name, err);
    }
    if ((rc = hold(job, stem, err)) != MU_OK || job->holds)
        return rc;
    rc = mu_keystore_activate(job->agent->store, job->name, &job->saved, err);
    if (rc == MU_OK) {
        job->saved.waits = false;
        job->saved_now = true;
    }
    return rc;
}

void mu_agent_cmp_refused(struct mu_agent_job *job)
{
    if (mu_agent_settings_is_cmp(&job->settings) && job->pending.next_ca[0] == '\0'
        && mu_keystore_next_remove(job->agent->store, job->name, NULL) != MU_OK)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING, "the certificate that was not confirmed still waits");
}

/* The certificate that waits beside the present one is that of the request which is pending: it was
 * saved and its confirmation was never accepted, so the CA may have taken it back. */
bool mu_agent_cmp_unconfirmed(struct mu_keystore *store, const char *name)
{
    struct mu_agent_pending pending = {.csr.secret = true, .engine.secret = true};
    struct mu_keystore_entry entry = {0};
    struct mu_pki_csr *csr = NULL;
    struct mu_agent agent = {.store = store};
    char stem[MU_KEYSTORE_STEM];
    bool is = false;

    /* Confirmed, or by a protocol without that, and waiting for its deployment. */
    if (!mu_keystore_next(store, name, stem) || mu_agent_deploy_held(&agent, name, NULL)
        || mu_agent_pending_load(store, name, &pending, NULL) != MU_OK)
        return false;
    if (pending.next_ca[0] == '\0' && mu_keystore_load_serial(store, name, stem, &entry, NULL) == MU_OK)
        is = mu_pki_csr_decode(mu_buf_bytes(&pending.csr), &csr, NULL) != MU_OK
            || mu_bytes_equal(csr->spki, entry.cert->spki);
    mu_pki_csr_free(csr);
    mu_keystore_entry_clear(&entry);
    mu_agent_pending_clear(&pending);
    return is;
}
